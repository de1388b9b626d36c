//! `pulsegate import` with the real binary: every result, packed files, folders, crashes; into the folder of a stopped
//! daemon, and through a running one.
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

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use daemon::{Daemon, LIMIT, output, pulsegate};
use operator::{CONFIG, file_sink, text, wait_until};
use rides::{
    every_activity_is_there_once, fixture, gzipped, history, import, import_to, in_log, ride,
};
use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A folder of rides, some of them in folders within.
fn rides(folder: &Path, count: u32) -> PathBuf {
    let rides = folder.join("rides");
    for hour in 0..count {
        let place = rides.join(format!("{}", hour % 3));
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(format!("{hour:03}.FIT")), ride(hour)).unwrap();
    }
    std::fs::write(rides.join("README.txt"), "not one of them").unwrap();
    rides
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut packer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        packer.start_file(*name, SimpleFileOptions::default()).unwrap();
        packer.write_all(bytes).unwrap();
    }
    packer.finish().unwrap().into_inner()
}

fn results(told: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for file in told {
        *counts.entry(file["result"].as_str().unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn a_dry_run_tells_what_would_become_of_each_file_and_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let files = [
        ("hr_only_indoor_hrv.fit", "imported"),
        ("trunc_50.fit", "salvaged"),
        ("workout_min.fit", "not_an_activity"),
        ("five_bytes.fit", "rejected"),
    ]
    .map(|(name, result)| (fixture(name), result));
    let paths: Vec<&Path> = files.iter().map(|(path, _)| path.as_path()).collect();
    let (told, code) = import(&paths, &["--dry-run", "--data-dir", data_dir.to_str().unwrap()]);
    assert_eq!(code, 65);
    for ((path, result), told) in files.iter().zip(&told) {
        assert_eq!((&told["file"], &told["result"]), (&path.to_str().into(), &(*result).into()));
        assert_eq!(told["reason"].is_null(), *result == "imported", "{told}");
        assert_eq!(
            told["quality"]["checksum"] == "good",
            *result != "salvaged" && *result != "rejected"
        );
    }
    let session = &told[0]["sessions"][0];
    for (field, value) in [
        ("sport", 4.into()),
        ("sub_sport", 15.into()),
        ("start_time", Value::from("2026-06-10T04:26:40Z")),
        ("elapsed_s", 600.0.into()),
        ("timer_s", 600.0.into()),
        ("distance_m", Value::Null),
        ("calories_kcal", 100.into()),
        ("avg_hr_bpm", 102.into()),
        ("max_hr_bpm", 140.into()),
        ("records", 600.into()),
        ("hr_samples", 600.into()),
        ("hr_sum", 61488.0.into()),
        ("rr_intervals", 600.into()),
    ] {
        assert_eq!(session[field], value, "{field}");
    }
    assert!(told[2]["sessions"].as_array().unwrap().is_empty());
    let (_, code) = import(&paths[..3], &["--dry-run"]);
    assert_eq!(code, 0, "something else than an activity is not bad");
    assert!(!data_dir.exists());
}

#[test]
fn the_same_file_is_one_activity_under_any_name_and_however_it_is_packed() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (one, two) = (ride(1), ride(2));
    // What it is, its bytes say.
    let packed = write("a.fit", &gzipped(&one));
    let plain = write("b.fit.gz", &one);
    let files: [(&str, &[u8]); 4] = [
        ("activities/1.fit", &one),
        ("activities/2.fit.gz", &gzipped(&two)),
        ("__MACOSX/._1.fit", b"x"),
        ("profile.csv", b"x"),
    ];
    let zipped = write("export.zip", &archive(&files));
    let (told, code) = import_to(&data_dir, &[&packed, &plain, &zipped]);
    let words: Vec<_> = told.iter().map(|told| told["result"].as_str().unwrap()).collect();
    assert_eq!((words, code), (vec!["imported", "duplicate", "duplicate", "imported"], 0));
    assert!(told[3]["file"].as_str().unwrap().ends_with("export.zip/activities/2.fit.gz"));
    every_activity_is_there_once(&data_dir, 2);
    let mode =
        |path: &str| std::fs::metadata(data_dir.join(path)).unwrap().permissions().mode() & 0o777;
    let listed = history(&data_dir);
    let original = format!("history/originals/{}.fit", listed[1]["sha256"].as_str().unwrap());
    assert_eq!(std::fs::read(data_dir.join(&original)).unwrap(), one, "unpacked, to the byte");
    assert_eq!(
        (mode(&original), mode("history"), mode("history/originals")),
        (0o600, 0o700, 0o700)
    );
    let table = output(&["history", "--data-dir", data_dir.to_str().unwrap()]);
    let table = text(&table.stdout);
    assert!(
        table.lines().count() == 2 && table.contains("cycling") && table.contains("0:01:00"),
        "{table}"
    );
}

#[test]
fn a_whole_recording_takes_the_place_of_a_damaged_one_and_not_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let (whole, cut) = (folder.path().join("whole.fit"), folder.path().join("cut.fit"));
    std::fs::write(&whole, ride(1)).unwrap();
    // Without its session: its id comes from its first record.
    std::fs::write(&cut, &ride(1)[..200]).unwrap();
    let (told, _) = import_to(&data_dir, &[&cut, &whole, &cut, &whole]);
    let words: Vec<_> = told.iter().map(|told| told["result"].as_str().unwrap()).collect();
    assert_eq!(words, ["salvaged", "imported", "duplicate", "duplicate"]);
    assert_eq!(told[0]["sessions"][0]["id"], told[1]["sessions"][0]["id"]);
    let listed = history(&data_dir);
    assert_eq!((listed.len(), &listed[0]["records"]), (1, &60.into()));
    assert_eq!(in_log(&data_dir).len(), 2, "receivers are told of the better one");
}

#[test]
fn bombs_and_rubbish_are_rejected_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let zeros = vec![0; 33 << 20];
    let files = [
        write("gzip bomb.fit.gz", &gzipped(&zeros)),
        write(
            "zip bomb.zip",
            &archive(&[("a.fit", &zeros[..20 << 20]), ("b.fit", &zeros[..20 << 20])]),
        ),
        write("cut.fit.gz", &gzipped(&ride(1))[..100]),
        write("cut.zip", &archive(&[("a.fit", &ride(1))])[..200]),
        write("empty.fit", b""),
        folder.path().join("missing.fit"),
    ];
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let (told, code) = import(&paths, &["--dry-run"]);
    assert_eq!(code, 65);
    let reasons: Vec<_> = told.iter().map(|told| told["reason"].as_str().unwrap()).collect();
    assert_eq!(results(&told), BTreeMap::from([("rejected", 7)]), "{reasons:?}");
    assert!(reasons[0].contains("33554432 bytes"), "{reasons:?}");
    assert!(reasons[2].contains("unpacks to more"), "{reasons:?}");
    // What is refused for its size counts against what an archive may unpack to.
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(170_000).collect();
    let files: [(&str, &[u8]); 3] =
        [("pad.csv", &noise), ("a.fit", &zeros), ("b.fit", &zeros[..20 << 20])];
    let (told, _) = import(&[&write("padded.zip", &archive(&files))], &["--dry-run"]);
    let reason = |file: usize| told[file]["reason"].as_str().unwrap();
    assert!(reason(0).contains("33554432 bytes"), "{told:?}");
    assert!(reason(1).contains("unpacks to more"), "{told:?}");
    let none = write("none.zip", &archive(&[("a.txt", b"x")]));
    let (told, code) = import(&[&none], &["--dry-run"]);
    assert_eq!((results(&told), code), (BTreeMap::from([("not_an_activity", 1)]), 0));
}

#[test]
fn a_folder_of_sixty_files_comes_in_with_one_command_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let rides = rides(folder.path(), 60);
    let output =
        output(&["import", rides.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.lines().count() == 61, "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("imported") && lines[0].contains("cycling"), "{}", lines[0]);
    assert!(lines[..60].windows(2).all(|pair| {
        let name = |line: &str| line.split_whitespace().nth(1).unwrap().to_owned();
        name(pair[0]) < name(pair[1])
    }));
    assert!(lines[60].starts_with("60 files: 60 imported"), "{}", lines[60]);
    every_activity_is_there_once(&data_dir, 60);
    let (told, code) = import_to(&data_dir, &[&rides]);
    assert_eq!((results(&told), code), (BTreeMap::from([("duplicate", 60)]), 0));
    every_activity_is_there_once(&data_dir, 60);
}

#[test]
fn a_terminal_shows_a_bar_as_wide_as_it_is_and_a_pipe_none() {
    let test = "a_terminal_shows_a_bar_as_wide_as_it_is_and_a_pipe_none";
    if std::process::Command::new("script").arg("--version").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "script is not installed");
        println!("SKIPPED {test}: script is not installed (apt-get install bsdutils)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rides = rides(folder.path(), 7);
    std::fs::write(rides.join("bad.fit"), "this is no FIT file, is it?").unwrap();
    std::fs::write(rides.join("cut.fit"), &ride(9)[..300]).unwrap();
    let on_a_terminal = |columns: u32, no_color: &str| {
        let command = format!(
            "stty cols {columns}; {} import --dry-run {}",
            env!("CARGO_BIN_EXE_pulsegate"),
            rides.to_str().unwrap()
        );
        let output = std::process::Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("NO_COLOR", no_color)
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (text(&output.stdout).to_owned(), output.status.code())
    };
    let (said, code) = on_a_terminal(100, "1");
    assert_eq!(code, Some(65), "{said:?}");
    let (bars, lines): (Vec<_>, Vec<_>) = said
        .split('\r')
        .map(|part| part.trim_start_matches("\x1b[K"))
        .partition(|part| part.starts_with('['));
    assert!(bars[0].starts_with("[------------------------] 0/9 files, 0.0/0.0 MB "), "{said:?}");
    assert!(bars.iter().all(|bar| bar.chars().count() < 100), "{said:?}");
    assert!(!said.contains("\x1b[3"), "no colour: {said:?}");
    let said_of = |word: &str| lines.iter().filter(|line| line.trim().starts_with(word)).count();
    assert_eq!(
        (said_of("salvaged"), said_of("rejected"), said_of("imported")),
        (1, 1, 0),
        "{said:?}"
    );
    assert!(lines.iter().any(|line| line.trim().starts_with("9 files: 7 imported, 1 salvaged")));
    let (said, _) = on_a_terminal(50, "1");
    let bars = said.split('\r').filter(|part| part.contains(" files, "));
    assert!(
        bars.clone().count() > 0
            && bars.clone().all(|bar| bar.trim_start_matches("\x1b[K").len() < 50)
    );
    let (said, _) = on_a_terminal(100, "");
    assert!(said.contains("\x1b[32m"), "colour: {said:?}");
    let piped = output(&["import", "--dry-run", rides.to_str().unwrap()]);
    let said = text(&piped.stdout);
    assert!(!said.contains(['\r', '\x1b']) && said.lines().count() == 9 + 1 + 1, "{said}");
}

#[test]
fn killed_at_any_moment_every_file_is_there_once_after_it_was_brought_again() {
    const FILES: u32 = 12;
    let folder = tempfile::tempdir().unwrap();
    let rides = rides(folder.path(), FILES);
    let first = folder.path().join("first.fit");
    std::fs::write(&first, ride(500)).unwrap();
    let begun = Instant::now();
    import_to(&folder.path().join("measured"), &[&rides]);
    let usual = begun.elapsed();
    for round in 0..30 {
        let data_dir = folder.path().join(format!("data-{round}"));
        // Into a log that was begun: here it is about files.
        import_to(&data_dir, &[&first]);
        let arguments =
            ["import", "--json", rides.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()];
        let mut promised = BTreeSet::new();
        for part in 0..2 {
            let mut child =
                pulsegate(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::park_timeout(usual.mul_f64(f64::from(round * 2 + part + 1) / 60.0));
            child.kill().unwrap();
            let mut said = String::new();
            child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            child.wait().unwrap();
            for line in said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
                promised.insert(line["sessions"][0]["id"].as_str().unwrap().to_owned());
            }
        }
        let kept: BTreeSet<_> = history(&data_dir)
            .iter()
            .map(|one| one["activity"].as_str().unwrap().to_owned())
            .collect();
        assert!(promised.is_subset(&kept), "round {round}: told as imported, and not there");
        let (told, code) = import_to(&data_dir, &[&rides]);
        assert_eq!((told.len(), code), (FILES as usize, 0));
        every_activity_is_there_once(&data_dir, FILES as usize + 1);
    }
}

/// Asks the daemon in this folder something.
fn ask(data_dir: &Path, request: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = UnixStream::connect(data_dir.join("pulsegate.sock")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // It may have refused before it has read everything.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let code = text(&answer[..head]).split(' ').nth(1).unwrap().parse().unwrap();
    (code, answer.split_off(head + 4))
}

#[test]
fn a_running_daemon_takes_files_in_tells_its_sinks_and_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let rides = rides(folder.path(), 5);
    let config = format!("{CONFIG}[import]\nmax_file_mb = 1\n");
    let daemon = Daemon::start(folder.path(), &config, &["--simulate", "1"]);
    daemon.wait_committed(3);
    let data_dir = daemon.data_dir().to_owned();
    let (told, code) = import_to(&data_dir, &[&rides]);
    assert_eq!((results(&told), code), (BTreeMap::from([("imported", 5)]), 0));
    let events = || {
        let lines = file_sink(&data_dir);
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == "activity").collect::<Vec<_>>()
    };
    wait_until(|| events().len() == 5);
    let event = &events()[0];
    assert_eq!(
        (&event["sport"], &event["records"], &event["format"]),
        (&2.into(), &60.into(), &"fit".into())
    );
    assert!(!event.to_string().contains("000.FIT"), "names of files stay here: {event}");

    let (code, body) = ask(&data_dir, "GET /api/v1/activities", b"");
    let listed: Vec<Value> = serde_json::from_slice(&body).unwrap();
    assert_eq!((code, listed.len()), (200, 5));
    let id = listed[0]["activity"].as_str().unwrap();
    let (code, body) = ask(&data_dir, &format!("GET /api/v1/activities/{id}"), b"");
    let one: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((code, &one["activity"]["counts"]["records"]), (200, &60.into()));
    let (code, _) = ask(&data_dir, &format!("GET /api/v1/activities/{id}/original"), b"");
    assert_eq!(code, 200);
    assert_eq!(ask(&data_dir, "GET /api/v1/activities/../../x", b"").0, 404);
    assert_eq!(ask(&data_dir, "GET /api/v1/activities/no", b"").0, 404);

    let (code, body) = ask(&data_dir, "POST /api/v1/import?name=evening%20ride.fit", &ride(9));
    let one: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (code, &one["result"], &one["file"]),
        (200, &"imported".into(), &"evening ride.fit".into())
    );
    let (code, body) = ask(&data_dir, "POST /api/v1/import?name=x.fit", b"no FIT file");
    let one: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((code, &one["result"]), (200, &"rejected".into()));
    let (code, _) = ask(&data_dir, "POST /api/v1/import?name=x.fit", &vec![1; 33 << 20]);
    assert_eq!(code, 413);
    // Whoever is still writing hears it, too.
    let large = folder.path().join("large.fit");
    std::fs::File::create(&large).unwrap().set_len(40 << 20).unwrap();
    for _ in 0..5 {
        let (told, code) = import_to(&data_dir, &[&large]);
        assert_eq!((results(&told), code), (BTreeMap::from([("rejected", 1)]), 65));
    }
    assert!(daemon.stop().success());
    every_activity_is_there_once(&data_dir, 6);
    let left = std::fs::read_dir(data_dir.join("history/originals")).unwrap().count();
    assert_eq!(left, 6, "no half uploads are left");
}

#[test]
fn a_daemon_that_is_killed_while_it_takes_files_in_finishes_them_when_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let rides = rides(folder.path(), 20);
    for round in 0..6 {
        let daemon = Daemon::start(folder.path(), CONFIG, &["--simulate", "1"]);
        let data_dir = daemon.data_dir().to_owned();
        wait_until(|| UnixStream::connect(data_dir.join("pulsegate.sock")).is_ok());
        let arguments =
            ["import", rides.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()];
        let mut child =
            pulsegate(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::park_timeout(Duration::from_millis(30 + 40 * round));
        daemon.kill();
        child.wait().unwrap();
    }
    let daemon = Daemon::start(folder.path(), CONFIG, &["--simulate", "1"]);
    let data_dir = daemon.data_dir().to_owned();
    wait_until(|| UnixStream::connect(data_dir.join("pulsegate.sock")).is_ok());
    let is_empty =
        |folder: PathBuf| std::fs::read_dir(folder).is_ok_and(|mut all| all.next().is_none());
    wait_until(|| is_empty(data_dir.join("history/pending")));
    let (told, code) = import_to(&data_dir, &[&rides]);
    assert_eq!((told.len(), code), (20, 0));
    assert!(daemon.stop().success());
    every_activity_is_there_once(&data_dir, 20);
}

/// The same minute as TCX and as GPX, the one in UTF-8, the other in UTF-16 with its mark.
fn tracks() -> (Vec<u8>, Vec<u8>) {
    let stamp = |second: u32| format!("2026-06-10T04:{:02}:{:02}Z", second / 60, second % 60);
    let mut tcx = format!(
        "\u{FEFF}\n<?xml version=\"1.0\"?>\n<!-- {} -->\n<TrainingCenterDatabase><Activities><Activity Sport=\"Running\">\
         <Id>{}</Id><Lap StartTime=\"{}\"><TotalTimeSeconds>60</TotalTimeSeconds><Calories>9</Calories><Track>",
        "-".repeat(5000).replace('-', "= "),
        stamp(0),
        stamp(0)
    );
    let mut gpx = "<gpx version=\"1.1\"><trk><type>cycling</type><trkseg>".to_owned();
    for second in 0..61 {
        let (at, bpm) = (stamp(second), 100 + second % 10);
        tcx += &format!(
            "<Trackpoint><Time>{at}</Time><HeartRateBpm><Value>{bpm}</Value></HeartRateBpm></Trackpoint>"
        );
        gpx += &format!("<trkpt lat=\"47.5\" lon=\"8.{second}\"><time>{at}</time></trkpt>");
    }
    tcx += "</Track></Lap></Activity></Activities></TrainingCenterDatabase>";
    gpx += "</trkseg></trk></gpx>";
    let wide = format!("\u{FEFF}{gpx}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    (tcx.into_bytes(), wide)
}

#[test]
fn tcx_and_gpx_come_in_by_the_same_door_once_and_keep_their_endings() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let brought = folder.path().join("brought");
    std::fs::create_dir(&brought).unwrap();
    let (tcx, gpx) = tracks();
    let write = |name: &str, bytes: &[u8]| std::fs::write(brought.join(name), bytes).unwrap();
    write("a.TCX", &tcx);
    write("b.gpx.gz", &gzipped(&gpx));
    // What it is, its bytes say.
    write("c.fit", &gpx);
    write("d.gpx", &ride(1));
    write("e.zip", &archive(&[("1.tcx", &tcx), ("2.tcx.gz", &gzipped(&tcx)), ("3.gpx", &gpx)]));
    write("notes.xml", &tcx);
    let (told, code) = import_to(&data_dir, &[&brought]);
    let words: Vec<_> = told.iter().map(|told| told["result"].as_str().unwrap()).collect();
    let (new, known) = ("imported", "duplicate");
    assert_eq!((words, code), (vec![new, new, known, new, known, known, known], 0), "{told:?}");
    every_activity_is_there_once(&data_dir, 3);
    let listed = history(&data_dir);
    let kept: BTreeMap<_, _> =
        listed.iter().map(|one| (one["format"].as_str().unwrap(), one)).collect();
    assert_eq!(kept.keys().copied().collect::<Vec<_>>(), ["fit", "gpx", "tcx"]);
    for (ending, bytes) in [("tcx", &tcx), ("gpx", &gpx)] {
        let sha256 = kept[ending]["sha256"].as_str().unwrap();
        let original = data_dir.join(format!("history/originals/{sha256}.{ending}"));
        assert_eq!(&std::fs::read(original).unwrap(), bytes, "unpacked, to the byte");
    }
    assert_eq!((&kept["tcx"]["sport"], &kept["tcx"]["hr_samples"]), (&1.into(), &61.into()));
    assert_eq!((&kept["gpx"]["sport"], &kept["gpx"]["records"]), (&2.into(), &61.into()));
}

#[test]
fn a_cut_tcx_file_is_salvaged_and_other_xml_is_told_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (tcx, _) = tracks();
    let files = [
        write("cut.tcx", &tcx[..tcx.len() * 19 / 20]),
        write("page.gpx", b"<?xml version=\"1.0\"?><html><body/></html>"),
        write("odd.gpx", b"<?xml version='1.0' encoding='Shift_JIS'?><gpx/>"),
        write("course.gpx", b"<gpx><trk><trkseg><trkpt lat='1' lon='2'/></trkseg></trk></gpx>"),
    ];
    let data_dir = folder.path().join("data");
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let (told, code) = import_to(&data_dir, &paths);
    let words: Vec<_> = told.iter().map(|told| told["result"].as_str().unwrap()).collect();
    assert_eq!((words, code), (vec!["salvaged", "rejected", "rejected", "not_an_activity"], 65));
    let reason = |at: usize| told[at]["reason"].as_str().unwrap();
    assert!(reason(0).contains("it ends before its end"), "{}", reason(0));
    assert_eq!(reason(1), "neither TCX nor GPX: it begins with <html>");
    assert_eq!(reason(2), "its encoding is \"shift_jis\"; save it as UTF-8");
    let listed = history(&data_dir);
    assert!(listed.len() == 1 && listed[0]["quality"]["broken_at"].is_u64(), "{listed:?}");
}
