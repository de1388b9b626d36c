//! `pulsegate class`, `check-in` and `check-out` with the real binary: what is confirmed outlives a kill, what is wrong is told.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/daemon.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod daemon;
#[path = "support/operator.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod operator;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Output;

use daemon::{Daemon, output};
use operator::{CONFIG, file_sink, text, wait_until};
use serde_json::Value;

fn run(data_dir: &Path, arguments: &[&str]) -> Output {
    output(&[arguments, &["--data-dir", data_dir.to_str().unwrap()]].concat())
}

fn told(data_dir: &Path, arguments: &[&str]) -> String {
    let output = run(data_dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(data_dir: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&told(data_dir, &[arguments, &["--json"]].concat())).unwrap()
}

/// It fails with this code and says this among other things.
fn refused(data_dir: &Path, arguments: &[&str], code: i32, says: &str) {
    let output = run(data_dir, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(says), "{arguments:?}: {said}");
}

fn start(folder: &Path) -> Daemon {
    let daemon = Daemon::start(folder, CONFIG, &["--simulate", "2"]);
    let socket = daemon.data_dir().join("pulsegate.sock");
    wait_until(|| UnixStream::connect(&socket).is_ok());
    daemon
}

fn heard(daemon: &Daemon) -> Vec<String> {
    let straps = || daemon.status()["straps"].as_array().unwrap().clone();
    wait_until(|| straps().iter().filter(|strap| strap["bpm"].is_u64()).count() >= 2);
    straps().iter().map(|strap| strap["id"].as_str().unwrap().to_owned()).collect()
}

/// Sessions that take part in the class of this name, as listed.
fn taking_part(data_dir: &Path, name: &str) -> Option<u64> {
    let listed = json(data_dir, &["class", "list"]);
    let class = listed.as_array().unwrap().iter().find(|class| class["name"] == name)?.clone();
    class["sessions"].as_u64()
}

#[test]
fn a_class_that_was_confirmed_runs_on_after_a_kill_and_whoever_checks_in_takes_part() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let data_dir = daemon.data_dir().to_owned();
    let straps = heard(&daemon);
    told(&data_dir, &["athlete", "add", "Anna"]);
    let said = told(&data_dir, &["class", "start", "Spin", "--minutes", "45"]);
    assert_eq!(said, "Spin has begun, for 45 minutes\n");
    daemon.kill();

    let daemon = start(folder.path());
    heard(&daemon);
    let listed = json(&data_dir, &["class", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["planned_s"]), (&"Spin".into(), &2700.into()));
    assert!(listed[0]["left_s"].as_u64().unwrap() <= 2700, "{listed}");
    told(&data_dir, &["strap", "assign", &straps[0], "Anna"]);
    let checked = json(&data_dir, &["check-in", "anna"]);
    assert_eq!(
        (&checked["class"], &checked["straps"][0]),
        (&"Spin".into(), &straps[0].clone().into())
    );
    wait_until(|| taking_part(&data_dir, "Spin") >= Some(1));
    let said = told(&data_dir, &["check-out", "Anna"]);
    assert_eq!(said, "Anna has checked out\n");
    assert_eq!(told(&data_dir, &["class", "end"]), "Spin has ended\n");
    // At once, though the recorder has not read it.
    assert_eq!(json(&data_dir, &["class", "list"]), Value::Array(Vec::new()));
    // Receivers are told, in the order of the log, and of straps only.
    wait_until(|| file_sink(&data_dir).contains("class_ended"));
    let sink = file_sink(&data_dir);
    let place = |word: &str| sink.find(word).unwrap_or_else(|| panic!("no {word}"));
    assert!(
        place("class_began") < place("checked_in") && place("checked_in") < place("checked_out")
    );
    assert!(!sink.contains("Anna"));
    assert!(daemon.stop().success());
}

#[test]
fn what_cannot_be_is_refused_in_words_that_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let data_dir = daemon.data_dir().to_owned();
    let straps = heard(&daemon);
    told(&data_dir, &["athlete", "add", "Anna"]);
    refused(&data_dir, &["class", "end"], 64, "no class runs");
    refused(&data_dir, &["class", "start", " "], 64, "1 to 60 characters");
    refused(&data_dir, &["class", "start", "Spin", "--minutes", "0"], 64, "1 to 600 minutes");
    refused(&data_dir, &["check-in", "Bo"], 64, "nobody and no strap");
    refused(&data_dir, &["check-in", "Anna"], 64, "Anna wears no strap; `pulsegate strap assign");
    refused(&data_dir, &["check-in", &straps[1]], 64, "nobody wears");
    refused(&data_dir, &["check-in", &straps[1], "--class", "Spin"], 64, "nobody wears");
    told(&data_dir, &["strap", "assign", &straps[0], "Anna"]);
    refused(&data_dir, &["check-in", "Anna", "--class", "Spin"], 64, "none does");
    told(&data_dir, &["class", "start", "Spin"]);
    refused(&data_dir, &["class", "start", "SPIN "], 64, "runs already");
    told(&data_dir, &["class", "start", "Yoga"]);
    refused(&data_dir, &["check-in", "Anna"], 64, "say which with --class: \"Spin\", \"Yoga\"");
    refused(&data_dir, &["class", "end"], 64, "say which ends");
    refused(&data_dir, &["class", "end", "Box"], 64, "no class \"Box\" runs; there is \"Spin\"");
    let checked = json(&data_dir, &["check-in", &straps[0][4..], "--class", "yoga"]);
    assert_eq!(checked["class"], "Yoga");
    wait_until(|| taking_part(&data_dir, "Yoga") == Some(1));
    assert_eq!(told(&data_dir, &["class", "end", "yoga"]), "Yoga has ended\n");
    assert!(daemon.stop().success());
    for command in [&["class", "start", "Spin"][..], &["class", "list"], &["check-in", "Anna"]] {
        refused(&data_dir, command, 69, "no daemon answers");
    }
}
