//! `pulsegate buffer` where something is wrong: refused entries, damaged files, another user's folder.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/daemon.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod daemon;
#[path = "support/operator.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod operator;

use std::os::unix::fs::FileExt;
use std::path::Path;

use operator::{buffer, close, filled, open, status, text, told};
use pulsegate::buffer::{Purpose, Rejected, Span};
use pulsegate::reading::{Entry, EntryId};
use serde_json::Value;

#[test]
fn what_was_refused_for_good_is_listed_exported_and_requeued() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let entries = filled(&data_dir, 10).await;
        let (buffer, keeper) = open(&data_dir, Purpose::Collect);
        let reject = |entry: &Entry, reason: &str| Rejected {
            entry: entry.clone(),
            reason: reason.to_owned(),
        };
        for (sink, refused, reason) in
            [("club", 2..5, "quota exceeded"), ("cloud", 7..8, "payload format invalid")]
        {
            buffer.register(sink).await.unwrap();
            let rejected = entries[refused].iter().map(|entry| reject(entry, reason)).collect();
            buffer.taken(sink, Span::new(EntryId(0), EntryId(10)), rejected);
        }
        close(buffer, keeper).await;
    });
    let list = told(&data_dir, &["list", "--rejected"]);
    let rows: Vec<&str> = list.lines().collect();
    assert_eq!(rows.len(), 2, "{list}");
    assert!(rows[0].contains("club kept") && rows[0].contains("3 entries, 2 to 4: quota exceeded"));
    assert!(rows[1].contains("cloud kept") && rows[1].contains("payload format invalid"), "{list}");
    let of_cloud = told(&data_dir, &["list", "--rejected", "--sink", "cloud"]);
    assert_eq!(of_cloud.lines().collect::<Vec<_>>(), [rows[1]]);

    let whole = told(&data_dir, &["export"]);
    let lines: Vec<&str> = whole.lines().collect();
    let exported = told(&data_dir, &["export", "--rejected"]);
    assert_eq!(exported.lines().collect::<Vec<_>>(), [lines[2], lines[3], lines[4], lines[7]]);
    let of_club = told(&data_dir, &["export", "--rejected", "--sink", "club", "--from", "seq:4"]);
    assert_eq!(of_club.lines().collect::<Vec<_>>(), [lines[4]]);

    let said = told(&data_dir, &["requeue", "club"]);
    assert!(said.contains("3 refused entries are delivered once more"), "{said}");
    let letters = |n: usize| status(&data_dir)["sinks"][n]["dead_letters"].clone();
    assert_eq!(letters(1), serde_json::json!({ "kept": 0, "requeued": 3, "dropped": 0 }));
    assert_eq!(letters(0)["kept"], 1);
    assert!(told(&data_dir, &["list", "--rejected"]).contains("club requeued"));
    let said = told(&data_dir, &["requeue", "--all"]);
    assert!(said.contains("1 refused entries"), "{said}");
    assert_eq!(letters(0)["requeued"], 1);
    assert!(told(&data_dir, &["requeue", "--all"]).contains("no dead letters"));
}

/// Four kilobytes of zeros over this place of the database.
fn spoil(data_dir: &Path, at: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(data_dir.join("buffer/db")).unwrap();
    file.write_all_at(&[0; 4096], at).unwrap();
    file.sync_all().unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Wherever the file is damaged: either nothing was lost by it, or every command says so and what helps; and afterwards
/// the folder is whole, with every entry that is not told as missing.
#[test]
fn damage_is_told_with_what_helps_and_a_repair_saves_what_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let entries = runtime.block_on(filled(&whole, 6000));
    let lines = told(&whole, &["export"]);
    assert_eq!(lines.lines().count(), entries.len());
    let size = std::fs::metadata(whole.join("buffer/db")).unwrap().len();
    let (mut harmed, mut saved) = (0, 0);
    for at in (0..8).map(|n| size / 8 * n) {
        let damaged = folder.path().join(format!("damaged-{at}"));
        copy(&whole, &damaged);
        spoil(&damaged, at);
        let verify = buffer(&damaged, &["verify"]);
        let export = buffer(&damaged, &["export"]);
        if verify.status.success() {
            assert_eq!(text(&export.stdout), lines, "at {at}: nothing may be missing unsaid");
        } else {
            harmed += 1;
            for said in [&verify, &export] {
                assert_eq!(said.status.code(), Some(74), "at {at}: {}", text(&said.stderr));
                let words = text(&said.stderr);
                assert!(words.contains("damaged") && words.contains("buffer repair"), "{words}");
            }
        }
        let said = told(&damaged, &["repair"]);
        println!("at {at}: verify {:?}; {}{said}", verify.status.code(), text(&verify.stderr));
        assert!(said.contains("copied into a new database"), "{said}");
        assert!(said.contains("all of it can be read"), "{said}");
        let after = told(&damaged, &["export"]);
        let mut gaps = Vec::new();
        let mut there = std::collections::BTreeSet::new();
        for line in after.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if line["event"] == "gap" {
                gaps.push(line["first"].as_u64().unwrap()..=line["last"].as_u64().unwrap());
            }
            there.insert(line["seq"].as_u64().unwrap());
        }
        saved += entries.iter().filter(|entry| there.contains(&entry.id.0)).count();
        for id in entries.iter().map(|entry| entry.id.0) {
            let told = gaps.iter().any(|gap| gap.contains(&id));
            assert!(there.contains(&id) || told, "at {at}: {id} is missing unsaid; {said}");
        }
        told(&damaged, &["verify"]);
        assert_eq!(status(&damaged)["health"]["state"], "ok");
    }
    assert!(harmed > 0, "nothing was hit");
    assert!(saved > entries.len() * 5, "{saved} of {} in eight folders", entries.len() * 8);
}

/// A file that root leaves in the folder of the daemon's user would keep the daemon from starting.
#[test]
fn root_leaves_nothing_behind_that_the_daemons_user_cannot_read() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let test = "root_leaves_nothing_behind_that_the_daemons_user_cannot_read";
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED {test}: only root can become somebody else");
        return;
    }
    const USER: u32 = 54_321;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("pulsegate");
    std::fs::copy(env!("CARGO_BIN_EXE_pulsegate"), &program).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let data_dir = folder.path().join("data");
    tokio::runtime::Runtime::new().unwrap().block_on(filled(&data_dir, 50));
    each_file(&data_dir, &mut |path| chown(path, Some(USER), Some(USER)).unwrap());
    for command in [&["status"][..], &["export"], &["rewind", "x", "--to", "-1h"], &["repair"]] {
        let mut asked = std::process::Command::new(&program);
        asked.arg("buffer").args(command).arg("--data-dir").arg(&data_dir);
        let output = asked.output().unwrap();
        let code = if command[0] == "rewind" { 64 } else { 0 };
        assert_eq!(output.status.code(), Some(code), "{command:?}: {}", text(&output.stderr));
        each_file(&data_dir, &mut |path| {
            let owner = std::fs::symlink_metadata(path).unwrap().uid();
            assert_eq!(owner, USER, "{} after {command:?}", path.display());
        });
    }
}

fn each_file(path: &Path, each: &mut impl FnMut(&Path)) {
    each(path);
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            each_file(&entry.unwrap().path(), each);
        }
    }
}
