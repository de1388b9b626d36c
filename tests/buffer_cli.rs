//! `pulsegate buffer` with the real binary: on the folder of a stopped daemon, and on a running one.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/daemon.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod daemon;
#[path = "support/operator.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod operator;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use daemon::{Daemon, LIMIT, pulsegate};
use operator::{
    CONFIG, close, file_sink, open, refused, seq, started, status, stopped, text, told, wait_until,
};
use pulsegate::buffer::Purpose;
use serde_json::Value;

/// Everything that the file sink was given is exported as the same line, and nothing else before its end.
fn export_is_what_was_delivered(data_dir: &Path) {
    let delivered = file_sink(data_dir);
    let next = seq(delivered.lines().last().unwrap()) + 1;
    let exported = told(data_dir, &["export", "--to", &format!("seq:{next}")]);
    assert_eq!(exported, delivered);
    let more = told(data_dir, &["export"]);
    assert!(more.starts_with(&exported) && more.ends_with('\n'));
}

/// A list, a single entry, selections, a check: the same of a running daemon and of a stopped one.
fn it_can_be_looked_into(data_dir: &Path) {
    export_is_what_was_delivered(data_dir);
    let lines = told(data_dir, &["export", "--from", "seq:3", "--to", "seq:9"]);
    assert!(lines.lines().map(seq).eq(3..9), "{lines}");
    let reading = lines.lines().find(|line| line.contains("\"bpm\":1")).unwrap();
    let reading: Value = serde_json::from_str(reading).unwrap();

    let list = told(data_dir, &["list", "--from", "-1h", "--limit", "9"]);
    let place = reading["seq"].to_string();
    let row = list.lines().find(|row| row.split_whitespace().next() == Some(&place)).unwrap();
    for part in ["ts", "ts_quality", "strap"] {
        assert!(row.contains(reading[part].as_str().unwrap()), "{part} in {row}");
    }
    assert!(row.contains(&format!("{} bpm", reading["bpm"])), "{row}");
    assert_eq!(list.lines().count(), 9);
    assert!(list.starts_with("0 ") && list.contains(" started ") && list.contains("version="));
    let newest = told(data_dir, &["list", "--limit", "5"]);
    assert!((1..=5).contains(&newest.lines().count()), "{newest}");
    assert!(newest.lines().all(|row| !list.contains(row)), "the newest, not the oldest: {newest}");

    let strap = reading["strap"].as_str().unwrap();
    let of_strap = told(data_dir, &["export", "--strap", &strap.to_lowercase()]);
    assert!(of_strap.lines().count() > 2);
    assert!(of_strap.lines().all(|line| line.contains(&format!("\"strap\":\"{strap}\""))));
    let time = reading["ts"].as_str().unwrap();
    let before = told(data_dir, &["export", "--to", time]);
    let from = told(data_dir, &["export", "--from", time, "--to", "seq:40"]);
    assert_eq!(before + &from, told(data_dir, &["export", "--to", "seq:40"]), "split at {time}");
    assert_eq!(told(data_dir, &["export", "--to", "2026-01-01"]), "");

    let shown = told(data_dir, &["show", &place]);
    let sample: Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
    assert_eq!(sample, reading);
    for part in ["boot ", "mono_us ", "wall_offset_us ", "trust ", "readings", "out: taken"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let checked = told(data_dir, &["verify"]);
    assert!(checked.contains("chunks read") && checked.contains("all of it can be read"));

    let status = status(data_dir);
    assert_eq!(status["health"]["state"], "ok");
    assert!(status["entries"].as_u64().unwrap() >= 40 && status["limit_bytes"] == 256 << 20);
    assert_eq!(status["oldest"]["seq"], 0);
    assert!(status["newest"]["ts"].as_str() > status["oldest"]["ts"].as_str(), "{status}");
    assert_eq!(status["sinks"][0]["name"], "out");
    assert_eq!(status["sinks"][0]["dead_letters"]["kept"], 0);
    let plain = told(data_dir, &["status"]);
    assert!(plain.contains("health    ok") && plain.contains("sink      out: next "), "{plain}");
    assert_eq!(told(data_dir, &["list", "--rejected"]), "");
}

/// What is wrongly asked is refused in the same words.
fn wrong_questions_are_explained(data_dir: &Path) {
    let said = refused(data_dir, &["rewind", "nope", "--to", "-2h"], 64);
    assert!(said.contains("\"nope\"") && said.contains("\"out\""), "{said}");
    let said = refused(data_dir, &["requeue", "nope"], 64);
    assert!(said.contains("\"nope\""), "{said}");
    let said = refused(data_dir, &["list", "--rejected", "--sink", "nope"], 64);
    assert!(said.contains("\"nope\""), "{said}");
    let said = refused(data_dir, &["rewind", "out", "--to", "18:00"], 64);
    assert!(said.contains("18:00") && said.contains("2026-11-21T18:00:00Z"), "{said}");
    let said = refused(data_dir, &["show", "9999999"], 64);
    assert!(said.contains("the log ends before"), "{said}");
    refused(data_dir, &["requeue"], 64);
    refused(data_dir, &["requeue", "out", "--all"], 64);
    refused(data_dir, &["list", "--rejected", "--from", "-1h"], 64);
    refused(data_dir, &["export", "--strap", "a b"], 64);
}

#[test]
fn what_a_stopped_daemon_keeps_can_be_looked_into_and_nothing_is_changed_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = stopped(folder.path());
    let before = status(&data_dir);
    it_can_be_looked_into(&data_dir);
    wrong_questions_are_explained(&data_dir);
    let mut after = status(&data_dir);
    after["bytes_on_disk"] = before["bytes_on_disk"].clone();
    assert_eq!(after, before);
    let daemon = Daemon::start(folder.path(), CONFIG, &["--simulate", "1"]);
    let next = before["committed"].as_u64().unwrap();
    daemon.wait_committed(next + 5);
    assert!(daemon.stop().success());
    let lines = told(&data_dir, &["export"]);
    assert!(lines.lines().map(seq).eq(0..lines.lines().count() as u64), "no id is left out");
}

#[test]
fn what_a_running_daemon_keeps_can_be_looked_into_through_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = started(folder.path());
    it_can_be_looked_into(daemon.data_dir());
    wrong_questions_are_explained(daemon.data_dir());
    let said = refused(daemon.data_dir(), &["repair"], 69);
    assert!(said.contains("does this by itself") && said.contains("systemctl stop"), "{said}");
    let status = daemon.status();
    assert_eq!(status["buffer"]["health"]["state"], "ok");
    assert!(status["buffer"]["entries"].as_u64().unwrap() >= 40);
    assert_eq!(status["sinks"][0]["lost"], 0);
    assert_eq!(status["sinks"][0]["dead_letters"]["kept"], 0);
    assert!(daemon.stop().success());
}

#[test]
fn a_rewound_sink_gets_everything_from_there_on_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = stopped(folder.path());
    let delivered = file_sink(&data_dir);
    let stood = seq(delivered.lines().last().unwrap()) + 1;
    let said = told(&data_dir, &["rewind", "out", "--to", "seq:10"]);
    let expected = format!("out stood at {stood}; everything from 10 on is delivered once more");
    assert!(said.contains(&expected) && said.contains("when the daemon starts"), "{said}");
    assert!(said.contains(&format!("{} entries again", stood - 10)), "{said}");
    assert_eq!(status(&data_dir)["sinks"][0]["next"], 10);
    let never_forward = told(&data_dir, &["rewind", "out", "--to", "seq:30"]);
    assert!(never_forward.contains("nothing goes again"), "{never_forward}");

    let daemon = Daemon::start(folder.path(), CONFIG, &["--simulate", "1"]);
    let again = |line: &&str| seq(line) >= 10;
    let wanted: Vec<&str> = delivered.lines().filter(again).collect();
    wait_until(|| file_sink(&data_dir).lines().count() >= delivered.lines().count() + wanted.len());
    let now = file_sink(&data_dir);
    let repeated: Vec<&str> = now[delivered.len()..].lines().take(wanted.len()).collect();
    assert_eq!(repeated, wanted);
    assert!(daemon.stop().success());
}

#[test]
fn a_rewind_of_a_running_daemon_moves_its_cursor_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = started(folder.path());
    let first = file_sink(daemon.data_dir()).lines().nth(20).unwrap().to_owned();
    let first: Value = serde_json::from_str(&first).unwrap();
    let said = told(daemon.data_dir(), &["rewind", "out", "--to", first["ts"].as_str().unwrap()]);
    assert!(said.starts_with("out stood at ") && !said.contains("when the daemon"), "{said}");
    let to: u64 =
        said.split_once("everything from ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!((15..=20).contains(&to), "straps that came in the same millisecond at most: {said}");
    daemon.wait_for("the rewind", |line| {
        (line.contains("rewound") && line.contains("sink=\"out\"")).then_some(())
    });
}

/// One request to the local API.
fn ask(data_dir: &Path, request: &str, body: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(data_dir.join("pulsegate.sock")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (code, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())))
}

#[test]
fn the_local_api_says_which_parameter_is_wrong_and_why_and_reads_no_large_body() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = started(folder.path());
    let api = |request: &str, body: &str| ask(daemon.data_dir(), request, body);
    for (query, parameter) in [
        ("entries?from=noon", "from"),
        ("entries?to_seq=x", "to_seq"),
        ("entries?form=x", "form"),
        ("entries?limit=0", "limit"),
        ("entries?strap=a%20b", "strap"),
        ("entries?from=-1h&from_seq=3", "from_seq"),
        ("letters?limit=3", "limit"),
        ("entries/x", "seq"),
    ] {
        let (code, said) = api(&format!("GET /api/v1/buffer/{query}"), "");
        assert_eq!((code, said["parameter"].as_str()), (400, Some(parameter)), "{said}");
        assert!(said["error"].as_str().unwrap().contains(parameter), "{said}");
    }
    let post = |what: &str, body: &str| api(&format!("POST /api/v1/buffer/{what}"), body);
    let (code, said) = post("rewind", r#"{"sink":"out","to":"noon"}"#);
    assert_eq!((code, said["parameter"].as_str()), (400, Some("to")), "{said}");
    let (code, said) = post("rewind", r#"{"sink":"nope","to":"-1h"}"#);
    assert_eq!(code, 404, "{said}");
    for body in [r#"{"sink":"out"}"#, r#"{"sink":"out","to":"-1h","dry":true}"#, "{", ""] {
        let (code, said) = post("rewind", body);
        assert!((400..=422).contains(&code) && said["error"].is_string(), "{body}: {code} {said}");
    }
    let large = format!(r#"{{"sink":"{}"}}"#, "x".repeat(5000));
    let (code, said) = post("requeue", &large);
    assert_eq!(code, 413, "{said}");
    assert_eq!(api("GET /api/v1/buffer/rewind", "").0, 405);
    let (code, said) = post("requeue", "{}");
    assert_eq!((code, &said["entries"]), (200, &Value::from(0)), "{said}");
    assert!(daemon.stop().success());
}

#[test]
fn the_page_door_knows_nothing_of_the_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let config = CONFIG.replace("listen = \"\"", "listen = \"127.0.0.1:0\"");
    let daemon = Daemon::start(folder.path(), &config, &["--simulate", "1"]);
    daemon.wait_committed(3);
    let link = daemon.status()["wall"].as_str().unwrap().to_owned();
    let (origin, key) = link.split_once("/?key=").unwrap();
    let port: u16 = origin.rsplit_once(':').unwrap().1.parse().unwrap();
    for (method, path) in
        [("GET", ""), ("GET", "/entries"), ("POST", "/verify"), ("POST", "/rewind")]
    {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(
            stream,
            "{method} /api/v1/buffer{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Cookie: pulsegate_wall={key}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{method} {path}: {answer}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn a_reader_that_goes_away_ends_an_export_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = stopped(folder.path());
    for arguments in [&["export"][..], &["list"], &["status"], &["verify"]] {
        let mut all = vec!["buffer"];
        all.extend(arguments);
        all.extend(["--data-dir", data_dir.to_str().unwrap()]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = pulsegate(&all).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{}", text(&ended.stderr));
    }
}

#[test]
fn where_there_is_no_buffer_it_says_so_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for command in
        [&["status"][..], &["verify"], &["repair"], &["export"], &["rewind", "x", "--to", "-1h"]]
    {
        let said = refused(&missing, command, 69);
        assert!(said.contains("no buffer in") && said.contains("--data-dir"), "{said}");
        let said = refused(folder.path(), command, 69);
        assert!(said.contains("no buffer in"), "{said}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_in_use_by_a_process_that_does_not_answer_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = stopped(folder.path());
    // As while a daemon starts: the database is open, and the socket is not there yet.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (held, keeper) = open(&data_dir, Purpose::Inspect);
    let said = refused(&data_dir, &["status"], 69);
    assert!(said.contains("in use") && said.contains("does not answer"), "{said}");
    assert!(said.contains("systemctl status pulsegate"), "{said}");
    runtime.block_on(close(held, keeper));
    told(&data_dir, &["status"]);
}
