//! The real binary, from its command line to its exit code, with virtual straps and a file as destination.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/daemon.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod daemon;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use daemon::{Daemon, LIMIT, output, pulsegate};
use serde_json::Value;

const FILE_SINK: &str = r#"
[buffer]
commit_every_ms = 100
[web]
listen = ""
[sinks.out.file]
path = "readings.ndjson"
"#;

/// The lines of the file sink.
fn lines(data_dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(data_dir.join("readings.ndjson")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn seq(line: &Value) -> u64 {
    line["seq"].as_u64().unwrap()
}

#[test]
fn readings_come_out_without_a_hole_and_a_clean_stop_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut data_dir = None;
    for _ in 0..2 {
        let daemon = Daemon::start(folder.path(), FILE_SINK, &["--simulate", "4"]);
        data_dir = Some(daemon.data_dir().to_owned());
        let from = daemon.wait_committed(0);
        daemon.wait_committed(from + 30);
        assert!(daemon.stop().success());
    }
    let lines = lines(&data_dir.unwrap());
    let seqs: Vec<u64> = lines.iter().map(seq).collect();
    assert!(seqs.len() > 60 && seqs.iter().copied().eq(0..seqs.len() as u64), "{seqs:?}");
    let event = |name: &str| lines.iter().filter(|line| line["event"] == name).count();
    assert_eq!(event("started"), 2);
    assert_eq!(event("gap"), 0);
    assert_eq!(event("strap_connected"), 8);
    let reading = lines.iter().find(|line| line["bpm"].is_u64()).unwrap();
    for key in ["v", "gateway", "strap", "seq", "ts", "ts_quality", "rr_ms", "source"] {
        assert!(!reading[key].is_null(), "{key} in {reading}");
    }
}

#[test]
fn a_file_holds_entries_in_the_format_of_its_choice() {
    let folder = tempfile::tempdir().unwrap();
    let sink = |format| {
        format!("[sinks.{format}.file]\npath = \"{format}.ndjson\"\nformat = \"{format}\"\n")
    };
    let sinks = ["samples", "fhir", "omh", "cloudevents"].map(sink).concat();
    let config = format!("{FILE_SINK}{sinks}");
    let daemon = Daemon::start(folder.path(), &config, &["--simulate", "4"]);
    let data_dir = daemon.data_dir().to_owned();
    let from = daemon.wait_committed(0);
    daemon.wait_committed(from + 30);
    assert!(daemon.stop().success());
    let read = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(data_dir.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let samples = lines(&data_dir);
    assert_eq!(read("samples.ndjson"), samples, "what is written when nothing is chosen");
    let events = read("cloudevents.ndjson");
    assert!(events.iter().map(|event| &event["data"]).eq(&samples));
    let rates = samples.iter().filter(|sample| sample["bpm"].is_u64()).count();
    let intervals: usize = samples.iter().filter_map(|s| Some(s["rr_ms"].as_array()?.len())).sum();
    assert!(rates > 0 && intervals > 0, "{rates} heart rates and {intervals} intervals");
    let observations = read("fhir.ndjson");
    assert!(observations.iter().all(|line| line["resourceType"] == "Observation"));
    assert_eq!(observations.len(), rates + intervals);
    let points = read("omh.ndjson");
    let of =
        |name: &str| points.iter().filter(|p| p["header"]["schema_id"]["name"] == name).count();
    assert_eq!((of("heart-rate"), of("rr-interval")), (rates, intervals));
}

#[test]
fn nothing_committed_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut must_be_there = Vec::new();
    let mut data_dir = folder.path().join("data");
    for round in 0..6 {
        let daemon = Daemon::start(folder.path(), FILE_SINK, &["--simulate", "12"]);
        data_dir = daemon.data_dir().to_owned();
        let first = daemon.wait_committed(0);
        let seen = daemon.wait_committed(first + 5 + 7 * round);
        let last = daemon.kill().unwrap_or(seen).max(seen);
        must_be_there.push((first, last));
    }
    let daemon = Daemon::start(folder.path(), FILE_SINK, &["--simulate", "1"]);
    let last = daemon.wait_committed(must_be_there.last().unwrap().1 + 1);
    daemon.wait_committed(last + 1);
    assert!(daemon.stop().success());

    // At least once: a repeat is the same line again.
    let mut by_seq: BTreeMap<u64, Value> = BTreeMap::new();
    for line in lines(&data_dir) {
        let before = by_seq.insert(seq(&line), line.clone());
        assert!(before.is_none_or(|before| before == line), "{line}");
    }
    for (first, last) in must_be_there {
        for id in first..=last {
            assert!(
                by_seq.contains_key(&id),
                "{id} of {first}..={last} was committed and is missing"
            );
        }
    }
    // Whatever is missing is told.
    let gaps: Vec<(u64, u64)> = by_seq
        .values()
        .filter(|line| line["event"] == "gap")
        .map(|line| (line["first"].as_u64().unwrap(), line["last"].as_u64().unwrap()))
        .collect();
    assert_eq!(gaps.len(), 6);
    let end = *by_seq.keys().last().unwrap();
    for id in 0..end {
        let told = gaps.iter().any(|(first, last)| (first..=last).contains(&&id));
        assert!(by_seq.contains_key(&id) != told, "{id}: either there, or told as missing");
    }
}

#[test]
fn without_an_adapter_the_three_causes_and_what_to_type_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = pulsegate(&["run"])
        .env("STATE_DIRECTORY", folder.path())
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{text}");
    for part in [
        "systemctl enable --now bluetooth",
        "rfkill unblock bluetooth",
        "bluetoothctl list",
        "--simulate",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn check_tells_all_mistakes_with_exit_code_78_and_praises_a_good_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.toml");
    std::fs::write(&path, "[web]\nlisten = 'x'\n[gateway]\nidd = 'y'\n").unwrap();
    let bad = output(&["check", "--config", path.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert_eq!(bad.status.code(), Some(78), "{text}");
    assert!(text.contains("line 2: web.listen") && text.contains("line 4: gateway.idd"), "{text}");
    let good = output(&[
        "check",
        "--config",
        concat!(env!("CARGO_MANIFEST_DIR"), "/config/pulsegate.toml"),
    ]);
    assert!(good.status.success());
    let missing = output(&["check", "--config", "/nonexistent.toml"]);
    assert_eq!(missing.status.code(), Some(78));
}

#[test]
fn the_command_line_is_refused_with_64_and_explained() {
    for wrong in [
        &["runn"][..],
        &["run", "--simulate", "0"],
        &["run", "--simulate", "x"],
        &["demo", "--straps"],
    ] {
        let output = output(wrong);
        assert_eq!(output.status.code(), Some(64), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }
    assert!(output(&["--help"]).status.success());
    assert!(output(&["--version"]).status.success());
}

#[test]
fn status_says_what_is_and_where_to_look_when_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), FILE_SINK, &["--simulate", "3"]);
    daemon.wait_committed(20);
    let status = daemon.status();
    assert_eq!(status["straps"].as_array().unwrap().len(), 3);
    assert!(
        status["straps"][0]["bpm"].is_u64() && status["straps"][0]["link"] == "connected",
        "{status}"
    );
    assert_eq!(status["sinks"][0]["state"], "ok");
    assert!(status["buffer"]["committed"].as_u64().unwrap() >= 20);
    let data_dir = daemon.data_dir().to_owned();
    let second = Daemon::start(folder.path(), FILE_SINK, &["--simulate", "1"]);
    second.wait_for("refusal", |line| line.contains("another pulsegate running").then_some(()));
    assert!(daemon.stop().success());

    let gone = output(&["status", "--data-dir", data_dir.to_str().unwrap()]);
    assert_eq!(gone.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("systemctl status pulsegate"));
}

/// One request over a connection of its own; the whole answer, or what came of an endless one.
fn get(port: u16, path: &str, headers: &str, until: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part).unwrap() {
            0 => break,
            n => answer.extend_from_slice(&part[..n]),
        }
        if !until.is_empty() && String::from_utf8_lossy(&answer).contains(until) {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_wall_is_shown_to_who_has_the_key_and_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[web]\nlisten = \"127.0.0.1:0\"\n[buffer]\ncommit_every_ms = 100\n";
    let daemon = Daemon::start(folder.path(), config, &["--simulate", "2"]);
    daemon.wait_committed(5);
    let link = daemon.status()["wall"].as_str().unwrap().to_owned();
    let (origin, key) = link.split_once("/?key=").unwrap();
    let port: u16 = origin.rsplit_once(':').unwrap().1.parse().unwrap();
    let host = "Host: 127.0.0.1\r\n";
    for path in ["/", "/?key=wrong", "/wall.js", "/api/v1/live", "/api/v1/live?key=wrong"] {
        let answer = get(port, path, host, "");
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("bpm"), "{path}: {answer}");
    }
    let opened = get(port, &format!("/?key={key}"), host, "");
    assert!(opened.starts_with("HTTP/1.1 303") && opened.contains("HttpOnly"), "{opened}");
    let cookie = format!("{host}Cookie: pulsegate_wall={key}\r\n");
    let page = get(port, "/", &cookie, "");
    assert!(
        page.starts_with("HTTP/1.1 200")
            && page.contains("content-security-policy: default-src 'self'")
    );
    let live = get(port, "/api/v1/live", &cookie, "\"bpm\":1");
    assert!(live.contains("event: build") && live.contains("event: tiles"), "{live}");
    let other_name = format!("Host: evil.example\r\nCookie: pulsegate_wall={key}\r\n");
    assert!(get(port, "/", &other_name, "").starts_with("HTTP/1.1 421"));
    assert!(get(port, "/api/v1/health", host, "").starts_with("HTTP/1.1 200"));
    assert!(daemon.stop().success(), "an open page must not hold up stopping");
}

#[test]
fn secrets_and_readings_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let config = FILE_SINK.replace("listen = \"\"", "listen = \"127.0.0.1:0\"");
    let daemon = Daemon::start(folder.path(), &config, &["--simulate", "1"]);
    daemon.wait_committed(3);
    let data_dir = daemon.data_dir().to_owned();
    let mode =
        |name: &str| std::fs::metadata(data_dir.join(name)).unwrap().permissions().mode() & 0o077;
    for name in ["", "buffer", "cursors", "gateway-id", "wall-key", "pulsegate.sock"] {
        assert_eq!(mode(name), 0, "{name}");
    }
    daemon.stop();
    assert_eq!(mode("readings.ndjson"), 0);
}

/// The messages that a service manager gets, one at a time.
struct ServiceManager {
    socket: std::os::unix::net::UnixDatagram,
    path: std::path::PathBuf,
}

impl ServiceManager {
    fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { socket, path }
    }

    fn wait_for(&self, wanted: &str) {
        let mut buffer = [0; 512];
        loop {
            let length = self
                .socket
                .recv(&mut buffer)
                .unwrap_or_else(|error| panic!("no {wanted}: {error}"));
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == wanted) {
                return;
            }
        }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("NOTIFY_SOCKET", self.path.to_str().unwrap().to_owned()),
            ("WATCHDOG_USEC", "600000".to_owned()),
        ]
    }
}

#[test]
fn the_service_manager_is_told_ready_alive_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let manager = ServiceManager::new(folder.path());
    let daemon =
        Daemon::start_with(folder.path(), FILE_SINK, &["--simulate", "1"], &manager.environment());
    manager.wait_for("READY=1");
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");
    daemon.terminate();
    manager.wait_for("STOPPING=1");
    assert!(daemon.stop().success());
}

#[test]
fn under_a_service_manager_an_adapter_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let manager = ServiceManager::new(folder.path());
    let mut environment = manager.environment();
    environment.push(("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent".to_owned()));
    let daemon = Daemon::start_with(folder.path(), FILE_SINK, &[], &environment);
    daemon.wait_for("the three causes", |line| line.contains("no Bluetooth adapter").then_some(()));
    manager.wait_for("WATCHDOG=1");
    assert!(daemon.stop().success(), "it went on, and stops when told to");
}

/// Watches the system calls of the buffer's thread: sled's own flush would not do, and no other test would notice.
#[test]
fn a_commit_is_told_only_after_its_data_file_was_synced() {
    let test = "a_commit_is_told_only_after_its_data_file_was_synced";
    if std::process::Command::new("strace").arg("--version").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "strace is not installed");
        println!("SKIPPED {test}: strace is not installed (apt-get install strace)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (config, trace) = (folder.path().join("x.toml"), folder.path().join("trace"));
    let data_dir = folder.path().join("data");
    std::fs::write(&config, format!("data_dir = {data_dir:?}\n{FILE_SINK}")).unwrap();
    // `timeout` is followed too; it ends the daemon properly.
    let output = std::process::Command::new("strace")
        .args(["-f", "-y", "-s", "400", "-e", "trace=fdatasync,write", "-o"])
        .arg(&trace)
        .args([
            "timeout",
            "-s",
            "TERM",
            "6",
            env!("CARGO_BIN_EXE_pulsegate"),
            "run",
            "--simulate",
            "4",
            "--config",
        ])
        .arg(&config)
        .env("RUST_LOG", "pulsegate::buffer=trace")
        .env("NO_COLOR", "1")
        .env_remove("JOURNAL_STREAM")
        .output()
        .unwrap();
    let trace = std::fs::read_to_string(&trace).unwrap_or_default();
    let mut synced = std::collections::BTreeSet::new();
    let mut commits = 0;
    for line in trace.lines() {
        let thread = line.split_whitespace().next().unwrap();
        let files = ["/buffer/db>", "/buffer/journal>"];
        if line.contains("fdatasync(") && files.iter().any(|file| line.contains(file)) {
            synced.insert(thread);
        } else if line.contains("committed up=") && !line.contains("entries=0") {
            commits += 1;
            assert!(synced.remove(thread), "told before a data file was synced: {line}");
        }
    }
    assert!(commits >= 5, "{commits} commits; {}", String::from_utf8_lossy(&output.stderr));
}
