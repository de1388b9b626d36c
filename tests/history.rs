//! What is in the history, as it is listed: the latest first, from the index, and right without it.
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
#[path = "support/watch.rs"]
mod watch;
#[path = "support/fit_writer.rs"]
mod writer;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use daemon::output;
use operator::text;
use pulsegate::history::{History, Wanted};
use rides::{history, import_to, ride};
use serde_json::Value;
use uuid::Uuid;

fn imported(folder: &Path, hours: std::ops::Range<u32>) -> PathBuf {
    let files = folder.join("rides");
    std::fs::create_dir_all(&files).unwrap();
    for hour in hours {
        std::fs::write(files.join(format!("{hour}.fit")), ride(hour)).unwrap();
    }
    let data_dir = folder.join("data");
    import_to(&data_dir, &[&files]);
    data_dir
}

fn starts(listed: &[Value]) -> Vec<&str> {
    listed.iter().map(|one| one["start"].as_str().unwrap()).collect()
}

fn listed(data_dir: &Path, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["history", "--json", "--data-dir", data_dir.to_str().unwrap()];
    all.extend(arguments);
    let output = output(&all);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_latest_come_first_as_many_as_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = imported(folder.path(), 0..5);
    let all = history(&data_dir);
    assert!(all.len() == 5 && starts(&all).is_sorted_by(|one, next| one > next), "{all:?}");
    assert_eq!(listed(&data_dir, &["--limit", "2"]), all[..2]);
    let since = all[2]["start"].as_str().unwrap();
    assert_eq!(listed(&data_dir, &["--since", since]), all[..3]);
    assert_eq!(listed(&data_dir, &["--since", since, "--limit", "1"]), all[..1]);
    assert_eq!(listed(&data_dir, &["--since", "2026-06-10"]), all);
    assert!(listed(&data_dir, &["--since", "2026-06-11"]).is_empty());
    let output = output(&["history", "--since", "yesterday"]);
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
}

#[test]
fn a_list_is_right_whatever_became_of_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = imported(folder.path(), 0..4);
    let all = history(&data_dir);
    let index = data_dir.join("history/index.ndjson");
    let good = std::fs::read(&index).unwrap();
    let first = good.split(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap();
    let mut stranger: Value = serde_json::from_slice(first).unwrap();
    stranger["activity"] = "00000000-0000-4000-8000-000000000000".into();
    let more = [&good[..], stranger.to_string().as_bytes(), b"\n{\"activity\":"].concat();
    let odd = text(&good).replace("\"records\":60", "\"records\":\"many\"").into_bytes();
    for bytes in [b"".to_vec(), good[..good.len() / 2].to_vec(), vec![0xFF; 5000], more, odd] {
        std::fs::write(&index, bytes).unwrap();
        assert_eq!(history(&data_dir), all);
    }
    std::fs::remove_file(&index).unwrap();
    assert_eq!(history(&data_dir), all);
    assert!(!index.exists(), "who only looks writes nothing");
    // What comes in next makes it whole again.
    let data_dir = imported(folder.path(), 4..5);
    assert_eq!(std::fs::read_to_string(&index).unwrap().matches("\"activity\"").count(), 5);
    assert_eq!(history(&data_dir)[1..], all);
}

/// Names the folder that [`lists_one_folder_for_the_others`] lists.
const FOLDER: &str = "PULSEGATE_TEST_LIST";

#[test]
fn lists_one_folder_for_the_others() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let wanted = Wanted { limit: Some(20), ..Wanted::default() };
    let begun = std::time::Instant::now();
    let listed = History::new(Path::new(&folder)).list(&wanted).unwrap();
    let took = begun.elapsed().as_millis();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    println!("LISTED {} {} {peak} {took}", listed.len(), listed[0].summary.start);
}

#[test]
fn thousands_of_activities_are_listed_without_reading_each_of_them() {
    const MANY: usize = 5000;
    let folder = tempfile::tempdir().unwrap();
    let data_dir = imported(folder.path(), 0..1);
    let activities = data_dir.join("history/activities");
    let index = data_dir.join("history/index.ndjson");
    let line = std::fs::read_to_string(&index).unwrap();
    let line: Value = serde_json::from_str(line.trim()).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&index).unwrap();
    let mut lines = String::new();
    for number in 0..MANY {
        let id = Uuid::from_u128(0x4000_8000_0000_0000_0000 + number as u128);
        // Not to be read: it would be left out.
        std::fs::write(activities.join(format!("{id}.json")), "no document").unwrap();
        let mut line = line.clone();
        line["activity"] = id.to_string().into();
        line["start"] = format!("{}-01-01T00:{:02}:00Z", 2027 + number / 60, number % 60).into();
        lines += &format!("\n{line}\n");
    }
    file.write_all(lines.as_bytes()).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lists_one_folder_for_the_others", "--nocapture", "--test-threads=1"])
        .env(FOLDER, &data_dir)
        .output()
        .unwrap();
    let said = text(&output.stdout);
    let told = said.lines().find_map(|line| line.split_once("LISTED ")).unwrap().1;
    let told: Vec<_> = told.split(' ').collect();
    let [count, latest, peak, took] = told[..] else { panic!("{told:?}") };
    println!("{MANY} activities: {peak} KiB at most, {took} ms");
    assert_eq!((count, &latest[..5]), ("20", "2110-"), "{told:?}");
    assert!(peak.parse::<u64>().unwrap() < 24 << 10, "{told:?}");
    assert_eq!(listed(&data_dir, &[]).len(), MANY + 1);
}

/// Runs `pulsegate` on a folder, and gives what it prints.
fn run(data_dir: &Path, arguments: &[&str]) -> String {
    let all = [arguments, &["--data-dir", data_dir.to_str().unwrap()]].concat();
    let output = output(&all);
    assert!(output.status.success(), "{all:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_same_ride_as_fit_tcx_and_gpx_is_one_with_the_others_below_and_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let start = pulsegate::activity::UnixMs::from_seconds(1_780_000_000);
    let ride = watch::ride(&watch::heart(1, 900), start, 5);
    std::fs::write(file("ride.fit"), ride).unwrap();
    run(&data_dir, &["import", &file("ride.fit")]);
    for format in ["tcx", "gpx"] {
        let place = file(&format!("ride.{format}"));
        run(&data_dir, &["export", "last", "--format", format, "--output", &place]);
    }
    // Whatever comes first, FIT is the better one.
    std::fs::remove_dir_all(&data_dir).unwrap();
    run(&data_dir, &["athlete", "add", "Aino", "--consent", "v1"]);
    run(&data_dir, &["athlete", "add", "Ben"]);
    for name in ["ride.gpx", "ride.tcx", "ride.fit"] {
        run(&data_dir, &["import", &file(name)]);
    }
    let all = history(&data_dir);
    let by_format = |format: &str| all.iter().find(|one| one["format"] == format).unwrap();
    let fit = &by_format("fit")["activity"];
    assert!(by_format("fit").get("same_as").is_none(), "{all:?}");
    assert_eq!((&by_format("tcx")["same_as"], &by_format("gpx")["same_as"]), (fit, fit));
    let table = run(&data_dir, &["history"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 3 && lines[0].contains(fit.as_str().unwrap()), "{table}");
    assert!(lines[1].contains("also: ") && lines[2].contains("also: "), "{table}");

    // Nobody's until somebody says whose; all of it is hers then, and nobody else's afterwards.
    assert!(listed(&data_dir, &["--athlete", "Aino"]).is_empty());
    let claimed = run(&data_dir, &["import", "--athlete", "Aino", &file("ride.fit")]);
    assert!(claimed.starts_with("duplicate") && claimed.contains("whose it is"), "{claimed}");
    assert_eq!(listed(&data_dir, &["--athlete", "Aino"]).len(), 3);
    assert!(run(&data_dir, &["history"]).contains("Aino"));
    let refused = run(&data_dir, &["import", "--athlete", "Ben", &file("ride.fit")]);
    assert!(refused.contains("duplicate") && !refused.contains("whose it is"), "{refused}");
    assert!(listed(&data_dir, &["--athlete", "Ben"]).is_empty());
    let unknown = output(&[
        "import",
        "--athlete",
        "Cleo",
        &file("ride.fit"),
        "--data-dir",
        data_dir.to_str().unwrap(),
    ]);
    assert_eq!(unknown.status.code(), Some(64), "{}", text(&unknown.stderr));

    let forgotten = run(&data_dir, &["athlete", "forget", "Aino"]);
    assert!(forgotten.contains("erased: 3 imported activities"), "{forgotten}");
    assert!(history(&data_dir).is_empty());
    assert_eq!(std::fs::read_dir(data_dir.join("history/originals")).unwrap().count(), 0);
}
