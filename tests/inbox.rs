//! The watched folder of a running daemon: files come in whole and once, whatever happens on the way.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/daemon.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod daemon;
#[path = "support/operator.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod operator;
#[path = "support/rides.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod rides;
#[path = "support/fit_writer.rs"]
mod writer;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use daemon::{Daemon, LIMIT};
use operator::wait_until;
use rides::{every_activity_is_there_once, gzipped, history, ride};

fn config(folder: &Path, settle_s: u32) -> String {
    let inbox = folder.join("inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    format!(
        "[buffer]\ncommit_every_ms = 100\n[web]\nlisten = \"\"\n[import]\nfolder = {inbox:?}\nsettle_s = {settle_s}\n"
    )
}

fn daemon(folder: &Path, settle_s: u32) -> Daemon {
    Daemon::start(folder, &config(folder, settle_s), &["--simulate", "1"])
}

/// All files in a folder and in those in it, hidden ones too, by their place in it.
fn everything_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            let name = Path::new(path.file_name().unwrap()).to_owned();
            found.extend(everything_in(&path).into_iter().map(|within| name.join(within)));
        } else {
            found.push(path.file_name().unwrap().into());
        }
    }
    found.sort();
    found
}

#[test]
fn a_file_put_into_the_folder_is_taken_in_and_archived() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), 60);
    let inbox = folder.path().join("inbox");
    std::fs::write(inbox.join("a.fit"), ride(1)).unwrap();
    std::fs::write(inbox.join("b.fit.gz"), gzipped(&ride(2))).unwrap();
    std::fs::write(inbox.join("note.txt"), "stays").unwrap();
    std::os::unix::fs::symlink("/etc/hostname", inbox.join("link.fit")).unwrap();
    wait_until(|| {
        inbox.join("imported/a.fit").exists() && inbox.join("imported/b.fit.gz").exists()
    });
    assert_eq!(std::fs::read(inbox.join("imported/a.fit")).unwrap(), ride(1));
    assert!(!inbox.join("imported/a.fit.why").exists());
    // The same again, under the same name.
    std::fs::write(inbox.join("a.fit"), ride(1)).unwrap();
    wait_until(|| inbox.join("imported/1-a.fit").exists());
    let why = std::fs::read_to_string(inbox.join("imported/1-a.fit.why")).unwrap();
    assert!(why.starts_with("a.fit: duplicate: in the history since"), "{why}");
    assert!(inbox.join("note.txt").exists() && inbox.join("link.fit").exists());
    let data_dir = daemon.data_dir().to_owned();
    assert!(daemon.stop().success());
    every_activity_is_there_once(&data_dir, 2);
}

#[test]
fn a_half_copied_file_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), 600);
    let inbox = folder.path().join("inbox");
    let bytes = ride(1);
    std::fs::write(inbox.join("slow.fit"), &bytes[..bytes.len() / 2]).unwrap();
    // Those that come later are taken meanwhile: the half one was looked at often enough to be taken.
    for hour in 2..5 {
        let name = format!("{hour}.fit");
        std::fs::write(inbox.join(&name), ride(hour)).unwrap();
        wait_until(|| inbox.join("imported").join(&name).exists());
    }
    assert!(inbox.join("slow.fit").exists());
    std::fs::write(inbox.join("slow.fit"), &bytes).unwrap();
    wait_until(|| inbox.join("imported/slow.fit").exists());
    assert!(!inbox.join("imported/slow.fit.why").exists(), "it is no salvaged half");
    let data_dir = daemon.data_dir().to_owned();
    assert!(daemon.stop().success());
    every_activity_is_there_once(&data_dir, 4);
}

#[test]
fn what_cannot_be_read_goes_to_quarantine_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), 1);
    let inbox = folder.path().join("inbox");
    std::fs::write(inbox.join("bad.fit"), "this is no FIT file, but it is called one").unwrap();
    std::fs::write(inbox.join("cut.fit"), &ride(1)[..200]).unwrap();
    wait_until(|| inbox.join("quarantine/bad.fit").exists());
    let why = std::fs::read_to_string(inbox.join("quarantine/bad.fit.why")).unwrap();
    assert!(why.starts_with("bad.fit: rejected: this is no FIT file"), "{why}");
    wait_until(|| inbox.join("imported/cut.fit").exists());
    let why = std::fs::read_to_string(inbox.join("imported/cut.fit.why")).unwrap();
    assert!(why.starts_with("cut.fit: salvaged: "), "{why}");
    let data_dir = daemon.data_dir().to_owned();
    assert!(daemon.stop().success());
    every_activity_is_there_once(&data_dir, 1);
}

#[test]
fn a_daemon_that_is_killed_takes_claimed_files_up_again() {
    const FILES: u32 = 12;
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    let claimed = inbox.join(".claimed");
    std::fs::create_dir_all(&claimed).unwrap();
    std::fs::write(claimed.join("left.fit"), ride(100)).unwrap();
    let names: Vec<String> = (0..FILES).map(|hour| format!("{hour}.fit")).collect();
    for (hour, name) in (0..).zip(&names) {
        std::fs::write(inbox.join(name), ride(hour)).unwrap();
    }
    // Killed when so many are there.
    for done in [1, 4, 8] {
        let daemon = daemon(folder.path(), 60);
        let count =
            || names.iter().filter(|name| inbox.join("imported").join(name).exists()).count();
        wait_until(|| count() >= done);
        daemon.kill();
    }
    let daemon = daemon(folder.path(), 60);
    wait_until(|| names.iter().all(|name| inbox.join("imported").join(name).exists()));
    wait_until(|| inbox.join("imported/left.fit").exists());
    let data_dir = daemon.data_dir().to_owned();
    assert!(daemon.stop().success());
    every_activity_is_there_once(&data_dir, FILES as usize + 1);
}

#[test]
fn a_disk_that_refuses_is_not_the_fault_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    let originals = folder.path().join("data/history/originals");
    std::fs::create_dir_all(originals.parent().unwrap()).unwrap();
    // A file where a folder should be: nothing can be kept.
    std::fs::write(&originals, "").unwrap();
    std::fs::create_dir_all(inbox.join(".claimed")).unwrap();
    std::fs::write(inbox.join(".claimed/a.fit"), ride(1)).unwrap();
    let daemon = daemon(folder.path(), 1);
    let said = daemon.wait_for("warning", |line| {
        line.contains("the watched folder has to wait").then(|| line.to_owned())
    });
    assert!(said.contains("originals"), "{said}");
    assert!(inbox.join(".claimed/a.fit").exists() && !inbox.join("quarantine").exists());
    std::fs::remove_file(&originals).unwrap();
    wait_until(|| inbox.join("imported/a.fit").exists());
    let data_dir = daemon.data_dir().to_owned();
    assert!(daemon.stop().success());
    assert_eq!(history(&data_dir).len(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), 1);
    let inbox = folder.path().join("inbox");
    std::fs::remove_dir_all(&inbox).unwrap();
    daemon.wait_for("warning", |line| line.contains("has to wait").then_some(()));
    std::fs::create_dir(&inbox).unwrap();
    std::fs::write(inbox.join("a.fit"), ride(1)).unwrap();
    wait_until(|| inbox.join("imported/a.fit").exists());
    assert!(daemon.stop().success());
}

#[test]
fn a_folder_put_into_the_folder_is_taken_in_with_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    let elsewhere = folder.path().join("elsewhere");
    for made in [&inbox.join("watch/2026/06"), &inbox.join("watch/imported"), &elsewhere] {
        std::fs::create_dir_all(made).unwrap();
    }
    std::fs::write(inbox.join("watch/a.fit"), ride(1)).unwrap();
    std::fs::write(inbox.join("watch/2026/06/a.fit"), ride(2)).unwrap();
    std::fs::write(inbox.join("watch/2026/06/bad.fit"), "this is no FIT file, is it?").unwrap();
    // Only ours are left alone, at the top.
    std::fs::write(inbox.join("watch/imported/c.fit"), ride(3)).unwrap();
    std::fs::create_dir(inbox.join("imported")).unwrap();
    std::fs::write(inbox.join("imported/d.fit"), ride(4)).unwrap();
    std::fs::write(elsewhere.join("e.fit"), ride(5)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, inbox.join("watch/link")).unwrap();
    std::fs::create_dir(inbox.join("watch/.hidden")).unwrap();
    std::fs::write(inbox.join("watch/.hidden/f.fit"), ride(6)).unwrap();
    let daemon = daemon(folder.path(), 1);
    let expected = [
        "imported/d.fit",
        "imported/watch/2026/06/a.fit",
        "imported/watch/a.fit",
        "imported/watch/imported/c.fit",
        "quarantine/watch/2026/06/bad.fit",
        "quarantine/watch/2026/06/bad.fit.why",
        "watch/.hidden/f.fit",
        "watch/link",
    ];
    let expected: Vec<PathBuf> = expected.into_iter().map(PathBuf::from).collect();
    wait_until(|| everything_in(&inbox) == expected);
    assert!(elsewhere.join("e.fit").exists());
    let why = inbox.join("quarantine/watch/2026/06/bad.fit.why");
    let why = std::fs::read_to_string(why).unwrap();
    assert!(why.starts_with("watch/2026/06/bad.fit: rejected: "), "{why}");
    assert!(!inbox.join(".claimed/watch").exists(), "what was ours is gone");
    let data_dir = daemon.data_dir().to_owned();
    assert!(daemon.stop().success());
    every_activity_is_there_once(&data_dir, 3);
}

#[test]
fn a_copy_that_stalls_is_waited_for_and_taken_again_when_it_goes_on_after_all() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), 1);
    let inbox = folder.path().join("inbox");
    let bytes = ride(1);
    let mut copy = std::fs::File::create(inbox.join("slow.fit")).unwrap();
    copy.write_all(&bytes[..200]).unwrap();
    // What is damaged, and says of itself that it is complete, is taken meanwhile.
    let mut damaged = ride(2);
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(inbox.join("damaged.fit"), damaged).unwrap();
    wait_until(|| inbox.join("imported/damaged.fit").exists());
    assert!(inbox.join("slow.fit").exists(), "it says of itself that more must come");
    // Nothing comes for long.
    let taken = inbox.join("imported/slow.fit");
    wait_until(|| taken.exists());
    let beside = inbox.join("imported/slow.fit.why");
    let why = std::fs::read_to_string(&beside).unwrap();
    assert!(why.starts_with("slow.fit: salvaged: "), "{why}");
    copy.write_all(&bytes[200..]).unwrap();
    drop(copy);
    wait_until(|| taken.exists() && !beside.exists());
    assert_eq!(std::fs::read(&taken).unwrap(), bytes);
    let data_dir = daemon.data_dir().to_owned();
    assert!(daemon.stop().success());
    let listed = history(&data_dir);
    let counts: Vec<_> = listed.iter().map(|one| one["records"].as_u64().unwrap()).collect();
    assert_eq!(counts, [60, 60]);
}

/// Runs the daemon, and kills it where it moves or syncs this file or folder for the first or second time. Whether it
/// came so far.
fn killed_at(folder: &Path, place: &str, time: u32) -> bool {
    let inbox = folder.join("inbox");
    let config_path = folder.join("pulsegate.toml");
    let data_dir = folder.join("data");
    let config = config(folder, 1);
    std::fs::write(&config_path, format!("data_dir = {data_dir:?}\n{config}")).unwrap();
    // The tracer is not in between: our child is the daemon.
    let mut child = Command::new("strace")
        .args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none"])
        .args(["-e", "trace=rename,renameat,renameat2,fsync"])
        .args(["-e", &format!("inject=all:signal=KILL:when={time}")])
        .arg("-P")
        .arg(inbox.join(place))
        .arg(env!("CARGO_BIN_EXE_pulsegate"))
        .args(["run", "--simulate", "1", "--config"])
        .arg(&config_path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.signal(), Some(9), "{status:?}");
            return true;
        }
        let is_through = is_archived(&inbox);
        if is_through || Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(is_through, "it does not come");
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn is_archived(inbox: &Path) -> bool {
    inbox.join("imported/watch/a.fit").exists() && !inbox.join(".claimed/watch").exists()
}

#[test]
fn killed_at_any_step_a_file_is_neither_lost_nor_doubled() {
    let test = "killed_at_any_step_a_file_is_neither_lost_nor_doubled";
    if Command::new("strace").arg("--version").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "strace is not installed");
        println!("SKIPPED {test}: strace is not installed (apt-get install strace)");
        return;
    }
    let mut damaged = ride(1);
    *damaged.last_mut().unwrap() ^= 1;
    let mut kills = Vec::new();
    for (place, time) in [
        // The folders for it are made, it is claimed, and both folders synced.
        (".claimed", 1),
        ("watch/a.fit", 1),
        (".claimed/watch", 1),
        ("watch", 1),
        // It is in the history; its reason is written, it is moved, and both folders synced.
        ("imported", 1),
        ("imported/watch", 1),
        (".claimed/watch/a.fit", 1),
        ("imported/watch", 2),
        (".claimed/watch", 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let inbox = folder.path().join("inbox");
        std::fs::create_dir_all(inbox.join("watch")).unwrap();
        std::fs::write(inbox.join("watch/a.fit"), &damaged).unwrap();
        let there = || {
            let all = everything_in(&inbox);
            let (files, rest): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|path| path.ends_with("watch/a.fit"));
            assert_eq!(files.len(), 1, "{place} {time}: {files:?} {rest:?}");
            format!("{} {rest:?}", files[0].display())
        };
        if killed_at(folder.path(), place, time) {
            kills.push(place);
        }
        println!("{place} {time}: {} killed so far, {}", kills.len(), there());
        let daemon = daemon(folder.path(), 1);
        daemon.wait_committed(1);
        // An empty folder may stay in `.claimed/`.
        wait_until(|| {
            inbox.join("imported/watch/a.fit").exists()
                && !inbox.join(".claimed/watch/a.fit").exists()
        });
        let data_dir = daemon.data_dir().to_owned();
        assert!(daemon.stop().success());
        there();
        assert_eq!(std::fs::read(inbox.join("imported/watch/a.fit")).unwrap(), damaged);
        let why = std::fs::read_to_string(inbox.join("imported/watch/a.fit.why")).unwrap();
        // Between the history and its reason, only the history knows that it was damaged.
        let word = if place == "imported" { ": duplicate: " } else { ": salvaged: " };
        assert!(why.contains(word), "{place}: {why}");
        every_activity_is_there_once(&data_dir, 1);
    }
    assert!(kills.len() >= 7, "killed at {kills:?} only");
}
