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

use std::path::Path;

use daemon::Daemon;
use operator::wait_until;
use rides::{every_activity_is_there_once, gzipped, history, ride};

fn daemon(folder: &Path, settle_s: u32) -> Daemon {
    let inbox = folder.join("inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    let config = format!(
        "[buffer]\ncommit_every_ms = 100\n[web]\nlisten = \"\"\n[import]\nfolder = {inbox:?}\nsettle_s = {settle_s}\n"
    );
    Daemon::start(folder, &config, &["--simulate", "1"])
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
