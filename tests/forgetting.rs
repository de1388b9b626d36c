//! `pulsegate athlete forget` on the folder of a stopped box, killed wherever it stands.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

#[path = "support/carve.rs"]
mod carve;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use carve::{carved, says};
use pulsegate::reading::{Entry, EntryId, Fact};
use pulsegate::roster::desk::{self, Moment};
use pulsegate::roster::{AssignBody, Edit, Roster};
use support::{append_all, close, crash_image, open, read_all, reading};

const RENTAL: usize = 0xB0B;
const OWN: usize = 0xA0A;

fn moment(second: u64) -> Moment {
    let at = *reading(RENTAL, second).at();
    Moment { at, unix_us: at.unix_us(), heard: None }
}

fn enter(roster: &Roster, name: &str) {
    let edit = Edit { display_name: Some(name.to_owned()), ..Edit::default() };
    desk::add(roster, &edit, &moment(1)).unwrap();
}

fn assign(roster: &Roster, strap: usize, name: &str, second: u64) {
    let body = AssignBody { athlete: name.to_owned() };
    let strap = format!("{:08X}", 0x9F6E_0000 + strap);
    desk::assign(roster, &strap, &body, &moment(second)).unwrap();
}

fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulsegate"));
    command.args(["athlete", "forget", "Zlatana", "--data-dir"]).arg(data_dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    let told = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(told).unwrap()
}

/// A rental that was Ben's, then hers, then his again, and a strap of her own. Hers, and the rest.
async fn filled(data_dir: &Path) -> (Vec<Entry>, Vec<Entry>) {
    let roster = Roster::open(data_dir).unwrap();
    for name in ["Zlatana", "Ben"] {
        enter(&roster, name);
    }
    assign(&roster, RENTAL, "Ben", 10);
    assign(&roster, OWN, "Zlatana", 10);
    assign(&roster, RENTAL, "Zlatana", 1000);
    assign(&roster, RENTAL, "Ben", 2000);
    let (buffer, keeper) = open(data_dir, 1 << 30).unwrap();
    let facts = (20..3000).flat_map(|second| [reading(RENTAL, second), reading(OWN, second)]);
    let entries = append_all(&buffer, facts).await;
    close(&buffer, keeper).await;
    let numbered = entries.into_iter().enumerate();
    let (hers, rest): (Vec<_>, Vec<_>) = numbered.partition(|(n, entry)| {
        let Fact::Reading(reading) = &entry.fact else { return false };
        reading.strap.as_str().ends_with("0A0A") || (1000..2000).contains(&(20 + n / 2))
    });
    let plain = |both: Vec<(usize, Entry)>| both.into_iter().map(|(_, entry)| entry).collect();
    (plain(hers), plain(rest))
}

#[tokio::test]
async fn killed_at_any_step_it_can_be_asked_for_again_and_then_nothing_of_them_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before");
    let (hers, rest) = filled(&before).await;
    let steps: [&[&str]; 5] = [
        &["buffer.new"],
        &["buffer.new", "db"],
        &["buffer.new", "journal"],
        &["buffer.old"],
        &["roster", "people.new"],
    ];
    for step in steps {
        let data_dir = folder.path().join("data");
        crash_image(&before, &data_dir);
        let reached: std::path::PathBuf =
            step.iter().fold(data_dir.clone(), |path, part| path.join(part));
        let mut running = command(&data_dir).spawn().unwrap();
        // Or it was faster than we have looked.
        while !reached.exists() && running.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        // Fails when it has ended.
        let _ = running.kill();
        running.wait().unwrap();
        // Whatever it has done, the others' readings are there.
        let carved_now: Vec<EntryId> = carved(&data_dir).into_iter().map(|(_, e)| e.id).collect();
        let there: std::collections::BTreeSet<EntryId> = carved_now.into_iter().collect();
        assert!(rest.iter().all(|entry| there.contains(&entry.id)), "{step:?}");

        let again = command(&data_dir).output().unwrap();
        let is_done = text(&again).contains("there is no athlete");
        assert!(again.status.success() || is_done, "{step:?}: {}", text(&again));
        assert_eq!(says(&data_dir, "Zlatana"), Vec::<std::path::PathBuf>::new(), "{step:?}");
        let carved: BTreeMap<EntryId, Entry> =
            carved(&data_dir).into_iter().map(|(_, entry)| (entry.id, entry)).collect();
        assert!(hers.iter().all(|entry| !carved.contains_key(&entry.id)), "{step:?}");
        let (buffer, keeper) = open(&data_dir, 1 << 30).unwrap();
        let left = read_all(&buffer).await;
        assert!(left.iter().filter(|e| matches!(e.fact, Fact::Reading(_))).eq(&rest), "{step:?}");
        assert!(!data_dir.join("quarantine").exists(), "{step:?}");
        close(&buffer, keeper).await;
        std::fs::remove_dir_all(&data_dir).unwrap();
    }
}
