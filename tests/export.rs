//! `pulsegate export` with the real binary: every format, read again by its own reader, of a stopped and of a running
//! daemon; and what it refuses.
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

use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use daemon::{Daemon, output, pulsegate};
use operator::{CONFIG, text};
use pulsegate::activity::Item;
use pulsegate::fit::{self, Class, FileReport, Limits};
use pulsegate::track;
use rides::{fixture, history, import_to, ride};
use serde_json::Value;

/// A minute on the map, with a heart rate at each second.
fn walk() -> String {
    let mut gpx = "<gpx version=\"1.1\"><trk><type>walking</type><trkseg>".to_owned();
    for second in 0..60 {
        gpx += &format!(
            "<trkpt lat=\"47.5\" lon=\"8.{second}\"><time>2026-07-01T10:00:{second:02}Z</time><extensions>\
             <TrackPointExtension><hr>{}</hr></TrackPointExtension></extensions></trkpt>",
            90 + second % 7
        );
    }
    gpx + "</trkseg></trk></gpx>"
}

fn export(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut all = vec!["export", "--data-dir", data_dir.to_str().unwrap()];
    all.extend(arguments);
    output(&all)
}

/// The bytes of an activity in this format.
fn printed(data_dir: &Path, activity: &str, format: &str) -> Vec<u8> {
    let output = export(data_dir, &[activity, "--format", format, "--output", "-"]);
    assert!(output.status.success(), "{format}: {}", text(&output.stderr));
    output.stdout
}

/// What it says when it fails with this code, and that it printed nothing.
fn refused(data_dir: &Path, arguments: &[&str], code: i32) -> String {
    let output = export(data_dir, arguments);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{said}");
    said
}

/// The heart rates of a file, and what else is said of it.
fn rates(bytes: &[u8], format: &str) -> (Vec<Option<u8>>, FileReport) {
    let (limits, mut rates) = (Limits::default(), Vec::new());
    let mut sink = |_, item| {
        if let Item::Sample(sample) = item {
            rates.push(sample.heart_rate_bpm);
        }
    };
    let report = match format {
        "fit" => fit::read(Cursor::new(bytes), &limits, &mut || true, &mut sink),
        _ => track::read(bytes, &limits, &mut || true, &mut sink),
    }
    .unwrap();
    assert_eq!(report.result, Class::Decoded, "{format}: {:?}", report.reason);
    (rates, report)
}

/// The id of the activity that came in under this name.
fn id_of(data_dir: &Path, file: &Path) -> String {
    let listed = history(data_dir);
    let one = listed.iter().find(|one| one["file"] == file.to_str().unwrap()).unwrap();
    one["activity"].as_str().unwrap().to_owned()
}

fn every_format_holds_the_activity(data_dir: &Path, walk: &str, ride_id: &str) {
    assert_eq!(printed(data_dir, ride_id, "fit"), ride(1), "its own bytes");
    let walked: Vec<_> = (0..60).map(|second| Some(90 + second % 7)).collect();
    let ridden: Vec<_> = (0..60).map(|second| Some(100 + second % 10)).collect();
    for (id, rates_of, format, sport) in [
        (walk, &walked, "fit", 11),
        (walk, &walked, "gpx", 11),
        (walk, &walked, "tcx", 0),
        (ride_id, &ridden, "tcx", 2),
    ] {
        let (found, report) = rates(&printed(data_dir, id, format), format);
        assert_eq!(&found, rates_of, "{format}");
        assert!(
            format == "tcx" || report.activities[0].sport == Some(sport),
            "{format}: {:?}",
            report.activities[0].sport
        );
    }
    let csv = text(&printed(data_dir, ride_id, "csv"));
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((lines.len(), lines[0][2], lines[60][2]), (61, "heart_rate_bpm", "109"));
    let json: Value = serde_json::from_slice(&printed(data_dir, ride_id, "json")).unwrap();
    assert_eq!(json["activity"]["id"], ride_id);
    assert_eq!(json["samples"].as_array().unwrap().len(), 60);
    assert_eq!(json["samples"][59]["heart_rate_bpm"], 109);
}

#[test]
fn every_format_holds_the_activity_of_a_stopped_and_of_a_running_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let (fit, gpx) = (folder.path().join("ride.fit"), folder.path().join("walk.gpx"));
    std::fs::write(&fit, ride(1)).unwrap();
    std::fs::write(&gpx, walk()).unwrap();
    import_to(&data_dir, &[&fit, &gpx]);
    let (walk_id, ride_id) = (id_of(&data_dir, &gpx), id_of(&data_dir, &fit));
    every_format_holds_the_activity(&data_dir, &walk_id, &ride_id);
    assert_eq!(
        text(&printed(&data_dir, "last", "gpx")),
        text(&printed(&data_dir, &walk_id, "gpx"))
    );
    let daemon = Daemon::start(folder.path(), CONFIG, &["--simulate", "1"]);
    daemon.wait_committed(3);
    every_format_holds_the_activity(&data_dir, &walk_id[..9], &ride_id);
    assert!(daemon.stop().success());
}

#[test]
fn a_file_of_several_activities_is_passed_on_whole_as_fit_and_one_by_one_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let chained = fixture("chained_3.fit");
    import_to(folder.path(), &[&chained]);
    let listed = history(folder.path());
    assert!(listed.len() > 1, "{listed:?}");
    for one in &listed {
        let id = one["activity"].as_str().unwrap();
        let output = export(folder.path(), &[id, "--format", "fit", "--output", "-"]);
        assert_eq!(output.stdout, std::fs::read(&chained).unwrap());
        let said = text(&output.stderr);
        assert!(said.contains(&format!("it holds {} activities", listed.len())), "{said}");
        let json: Value = serde_json::from_slice(&printed(folder.path(), id, "json")).unwrap();
        let samples = json["samples"].as_array().unwrap();
        assert_eq!(samples.len() as u64, one["records"].as_u64().unwrap());
        assert_eq!(samples[0]["ts"].as_str().unwrap()[..19], one["start"].as_str().unwrap()[..19]);
    }
}

#[test]
fn a_file_is_for_its_owner_only_and_none_is_overwritten_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, fit) = (folder.path().join("data"), folder.path().join("ride.fit"));
    std::fs::write(&fit, ride(1)).unwrap();
    import_to(&data_dir, &[&fit]);
    let out = folder.path().join("out/ride.csv");
    let arguments = ["last", "--format", "csv", "--output", out.to_str().unwrap()];
    refused(&data_dir, &arguments, 73);
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    assert!(export(&data_dir, &arguments).status.success());
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&out, "mine").unwrap();
    let said = refused(&data_dir, &arguments, 73);
    assert!(said.contains("--force"), "{said}");
    assert_eq!(std::fs::read(&out).unwrap(), b"mine");
    let mut forced = arguments.to_vec();
    forced.push("--force");
    assert!(export(&data_dir, &forced).status.success());
    assert_eq!(std::fs::read(&out).unwrap(), printed(&data_dir, "last", "csv"));
    // One that cannot be in the format leaves nothing behind, nor takes the old one away.
    let mut map = forced.clone();
    map[2] = "gpx";
    let said = refused(&data_dir, &map, 65);
    assert!(said.contains("no sample has a position"), "{said}");
    assert_eq!(std::fs::read(&out).unwrap(), printed(&data_dir, "last", "csv"));
    assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn without_a_name_it_is_put_where_one_stands_under_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, fit) = (folder.path().join("data"), folder.path().join("ride.fit"));
    std::fs::write(&fit, ride(1)).unwrap();
    import_to(&data_dir, &[&fit]);
    let arguments = ["export", "last", "--format", "fit", "--data-dir", data_dir.to_str().unwrap()];
    let output = pulsegate(&arguments).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let name = format!("{}.fit", id_of(&data_dir, &fit));
    assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), ride(1));
}

#[test]
fn what_is_not_there_or_meant_of_several_is_told_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let said = refused(&data_dir, &["last", "--format", "fit", "--output", "-"], 64);
    assert!(said.contains("no activity has come in yet"), "{said}");
    let files: Vec<_> = (0..17)
        .map(|hour| {
            let path = folder.path().join(format!("{hour}.fit"));
            std::fs::write(&path, ride(hour)).unwrap();
            path
        })
        .collect();
    let paths: Vec<&Path> = files.iter().map(|path| path.as_path()).collect();
    import_to(&data_dir, &paths);
    for wanted in ["no-such", ""] {
        let said = refused(&data_dir, &[wanted, "--format", "fit", "--output", "-"], 64);
        assert!(said.contains("there is no activity"), "{said}");
    }
    // Of seventeen ids two begin with the same of sixteen digits.
    let ids: Vec<String> =
        history(&data_dir).iter().map(|one| one["activity"].as_str().unwrap().to_owned()).collect();
    let shared = ids.iter().map(|id| &id[..1]);
    let shared = shared
        .clone()
        .find(|first| ids.iter().filter(|id| id.starts_with(*first)).count() > 1)
        .unwrap();
    let said = refused(&data_dir, &[shared, "--format", "fit", "--output", "-"], 64);
    for id in &ids {
        assert_eq!(said.contains(id), id.starts_with(shared), "{said}");
    }
}

#[test]
fn a_track_that_contradicts_itself_is_no_fit_file_and_the_reason_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, gpx) = (folder.path().join("data"), folder.path().join("back.gpx"));
    let point =
        |second| format!("<trkpt lat='1' lon='2'><time>2026-07-01T10:00:{second}Z</time></trkpt>");
    let points = [point(10), point(40), point(20), point(50)].concat();
    std::fs::write(&gpx, format!("<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")).unwrap();
    import_to(&data_dir, &[&gpx]);
    let said = refused(&data_dir, &["last", "--format", "fit", "--output", "-"], 65);
    assert!(said.contains("comes after that of 2026-07-01T10:00:40"), "{said}");
    assert_eq!(text(&printed(&data_dir, "last", "csv")).lines().count(), 5);
}

#[test]
fn a_fit_file_made_of_another_names_what_recorded_the_activity() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, file) = (folder.path().join("data"), folder.path().join("ride.tcx"));
    let point = |second| {
        let time = format!("<Time>2026-07-01T10:00:{second}Z</Time>");
        format!("<Trackpoint>{time}<HeartRateBpm><Value>120</Value></HeartRateBpm></Trackpoint>")
    };
    let track = [point(10), point(20)].concat();
    let lap = "<TotalTimeSeconds>10</TotalTimeSeconds><DistanceMeters>0</DistanceMeters>";
    let creator = "<Name>Edge 530</Name><UnitId>3812345678</UnitId><ProductID>3121</ProductID>";
    let text = format!(
        "<TrainingCenterDatabase><Activities><Activity Sport='Biking'><Id>2026-07-01T10:00:10Z</Id>\
         <Lap StartTime='2026-07-01T10:00:10Z'>{lap}<Track>{track}</Track></Lap>\
         <Creator>{creator}</Creator></Activity></Activities></TrainingCenterDatabase>"
    );
    std::fs::write(&file, text).unwrap();
    import_to(&data_dir, &[&file]);
    let (_, report) = rates(&printed(&data_dir, "last", "fit"), "fit");
    let activity = &report.activities[0];
    assert_eq!(activity.origin.product_name.as_deref(), Some("Edge 530"));
    let recorder = activity.devices.iter().find(|device| device.index == 0).unwrap();
    assert_eq!((recorder.serial, recorder.product), (Some(3_812_345_678), Some(3121)));
    assert_eq!(recorder.product_name.as_deref(), Some("Edge 530"));
    // Whose product number that is, TCX does not say; who wrote the file is no secret.
    assert_eq!((recorder.manufacturer, activity.origin.manufacturer), (None, Some(255)));
}
