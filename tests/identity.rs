//! What is one activity and what is two: copies, cut ones, longer ones, and strangers that say the same of themselves.
//! With the real binary, and another process for each import.
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

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use daemon::output;
use operator::text;
use pulsegate::activity::{ActivityId, Origin, UnixMs};
use rides::{every_activity_is_there_once, history, import_to, in_log};
use serde_json::Value;
use writer::{Writer, checksum};

/// 2026-06-10, in seconds since 1989-12-31.
const START: u32 = 1_150_000_000;
/// The same in seconds since 1970.
const START_UNIX: i64 = 1_781_065_600;

/// A strap's session as a gateway writes it.
struct Ride {
    serial: u32,
    /// Seconds that the session begins before its first record.
    ahead: u32,
    rates: Vec<u8>,
    /// Seconds each of the sports takes.
    sports: Vec<u32>,
    calories: u16,
}

impl Ride {
    fn of(rates: impl IntoIterator<Item = u8>) -> Self {
        let rates: Vec<u8> = rates.into_iter().collect();
        let seconds = rates.len() as u32;
        Self { serial: 7, ahead: 0, rates, sports: vec![seconds], calories: 10 }
    }

    /// The bytes, and where the messages of the records end in them.
    fn write(&self) -> (Vec<u8>, usize) {
        let mut fit = Writer::default();
        fit.define(0, 0, &[(0, 1, 0x00), (1, 2, 0x84), (2, 2, 0x84), (3, 4, 0x8C), (4, 4, 0x86)]);
        let mut file_id = vec![4, 255, 0, 1, 0];
        file_id.extend(self.serial.to_le_bytes());
        file_id.extend(START.to_le_bytes());
        fit.message(0, &file_id);
        fit.define(1, 20, &[(253, 4, 0x86), (3, 1, 0x02)]);
        for (time, bpm) in (START + self.ahead..).zip(&self.rates) {
            let [a, b, c, d] = time.to_le_bytes();
            fit.message(1, &[a, b, c, d, *bpm]);
        }
        let records = 14 + fit.len();
        let fields = [(253, 4, 0x86), (2, 4, 0x86), (7, 4, 0x86), (5, 1, 0), (11, 2, 0x84)];
        fit.define(2, 18, &fields);
        let mut start = START;
        for seconds in &self.sports {
            let mut session = (start + seconds).to_le_bytes().to_vec();
            session.extend(start.to_le_bytes());
            session.extend((seconds * 1000).to_le_bytes());
            session.push(2);
            session.extend(self.calories.to_le_bytes());
            fit.message(2, &session);
            start += seconds;
        }
        (fit.finish(), records)
    }

    fn whole(&self) -> Vec<u8> {
        self.write().0
    }

    /// Without its summary and the latter half of its records.
    fn cut(&self) -> Vec<u8> {
        let (mut bytes, records) = self.write();
        bytes.truncate(records - self.rates.len() / 2 * 6);
        bytes
    }
}

/// Heart rates that go up and down around `bpm`.
fn around(bpm: u8, seconds: u8) -> Vec<u8> {
    (0..seconds).map(|second| bpm + second % 9).collect()
}

/// A folder for files and what becomes of them.
struct Gym {
    folder: tempfile::TempDir,
    data_dir: PathBuf,
}

impl Gym {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        Self { folder, data_dir }
    }

    /// Imports one file, and says what became of it and which activities it holds.
    fn import(&self, name: &str, bytes: &[u8]) -> (String, Vec<String>) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let (told, _) = import_to(&self.data_dir, &[&path]);
        let ids = told[0]["sessions"].as_array().unwrap().iter();
        let ids = ids.map(|session| session["id"].as_str().unwrap().to_owned()).collect();
        (told[0]["result"].as_str().unwrap().to_owned(), ids)
    }

    /// What became of files that are imported one after the other, and how many records each activity has then.
    fn all(&self, files: &[&[u8]]) -> (Vec<String>, Vec<u64>) {
        let names = (0..).map(|n: u32| format!("{n}.fit"));
        let words = names.zip(files).map(|(name, bytes)| self.import(&name, bytes).0).collect();
        let records =
            history(&self.data_dir).into_iter().map(|one| one["records"].as_u64().unwrap());
        let mut records: Vec<u64> = records.collect();
        records.sort_unstable();
        (words, records)
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn straps_of_one_gateway_that_begin_in_the_same_second_are_an_activity_each() {
    // Also when their first heart rates are the same.
    for other in [around(120, 60), std::iter::once(90).chain(around(120, 59)).collect()] {
        let (mine, yours) = (Ride::of(around(90, 60)).whole(), Ride::of(other).whole());
        let gym = Gym::new();
        let first = gym.import("mine.fit", &mine);
        let second = gym.import("yours.fit", &yours);
        assert_eq!((first.0.as_str(), second.0.as_str()), ("imported", "imported"));
        assert_ne!(first.1, second.1);
        every_activity_is_there_once(&gym.data_dir, 2);
        for (name, bytes, known) in [("a.fit", &yours, &second), ("b.fit", &mine, &first)] {
            assert_eq!(gym.import(name, bytes), ("duplicate".to_owned(), known.1.clone()));
        }
        every_activity_is_there_once(&gym.data_dir, 2);
        // What is told of each are its own samples.
        for (told, rate) in [(&first, ",90,"), (&second, ",121,")] {
            let id = &told.1[0];
            let data_dir = gym.data_dir.to_str().unwrap();
            let csv = output(&["export", id, "--format", "csv", "-o", "-", "--data-dir", data_dir]);
            let csv = text(&csv.stdout);
            assert_eq!(csv.lines().count(), 61, "{csv}");
            assert_eq!(csv.contains(",121,"), rate == ",121,", "{csv}");
        }
    }
}

#[test]
fn ids_do_not_depend_on_what_came_in_before() {
    let rides = [90, 100, 110, 120].map(|bpm| Ride::of(around(bpm, 60)).whole());
    let ids = |order: [usize; 4]| {
        let gym = Gym::new();
        order.map(|n| (n, gym.import("ride.fit", &rides[n]).1)).into_iter().collect::<BTreeSet<_>>()
    };
    assert_eq!(ids([0, 1, 2, 3]), ids([3, 1, 0, 2]));
}

#[test]
fn what_was_cut_off_is_one_with_the_whole_whichever_comes_first() {
    let rides = [
        Ride::of(around(90, 60)),
        // The watch waited for its satellites.
        Ride { ahead: 3, ..Ride::of(around(90, 60)) },
        // An app: no serial number.
        Ride { serial: 0, ..Ride::of(around(90, 60)) },
        // It died before it said where one sport ended.
        Ride { sports: vec![20, 40], ..Ride::of(around(90, 60)) },
    ];
    for ride in rides {
        let (whole, cut) = (ride.whole(), ride.cut());
        let counts = if ride.sports.len() == 1 { vec![60] } else { vec![20, 40] };
        let (told, records) = Gym::new().all(&[&cut, &whole, &cut, &whole]);
        assert_eq!(told, words(&["salvaged", "imported", "duplicate", "duplicate"]));
        assert_eq!(records, counts);
        let (told, records) = Gym::new().all(&[&whole, &cut]);
        assert_eq!((told, records), (words(&["imported", "duplicate"]), counts));
    }
}

#[test]
fn a_copy_with_a_flipped_bit_is_one_with_the_good_one() {
    let ride = Ride::of(around(90, 60));
    let (good, records) = ride.write();
    let mut bad = good.clone();
    bad[records - 6 * 30 - 1] ^= 0x10;
    let (told, records) = Gym::new().all(&[&bad, &good, &bad]);
    assert_eq!((told, records), (words(&["salvaged", "imported", "duplicate"]), vec![60]));
    let gym = Gym::new();
    let (told, _) = gym.all(&[&good, &bad]);
    assert_eq!(told, words(&["imported", "duplicate"]));
    assert_eq!(history(&gym.data_dir)[0]["quality"]["checksum"], "good");
}

#[test]
fn a_longer_recording_takes_the_place_of_its_own_beginning_and_of_nothing_else() {
    let (short, long) = (Ride::of(around(90, 60)), Ride::of(around(90, 90)));
    let gym = Gym::new();
    let (told, records) = gym.all(&[&short.whole(), &long.whole(), &short.whole()]);
    assert_eq!((told, records), (words(&["imported", "imported", "duplicate"]), vec![90]));
    assert_eq!(in_log(&gym.data_dir).len(), 2, "receivers are told of the longer one");
    // One heart rate differs: nobody can say which is right.
    let mut rates = around(90, 60);
    rates[30] += 1;
    let (told, records) = Gym::new().all(&[&short.whole(), &Ride::of(rates).whole()]);
    assert_eq!((told, records), (words(&["imported", "imported"]), vec![60, 60]));
}

#[test]
fn rides_without_a_record_are_told_apart_by_their_summaries() {
    let ride = |calories| Ride { calories, sports: vec![600], ..Ride::of([]) }.whole();
    let files = [ride(1), ride(2), ride(3), ride(2), Ride::of(around(90, 60)).whole()];
    let files = files.each_ref().map(Vec::as_slice);
    let (told, records) = Gym::new().all(&files);
    assert_eq!(told, words(&["imported", "imported", "imported", "duplicate", "imported"]));
    assert_eq!(records, [0, 0, 0, 60]);
}

#[test]
fn two_recordings_in_one_file_are_two_unless_they_are_the_same() {
    let mine = Ride::of(around(90, 60)).whole();
    let mut rates = around(90, 60);
    rates[59] = 0;
    let yours = Ride::of(rates).whole();
    for (behind, count) in [(&mine, 1), (&yours, 2)] {
        let gym = Gym::new();
        let chained = [mine.as_slice(), behind].concat();
        assert_eq!(gym.import("chained.fit", &chained).0, "imported");
        every_activity_is_there_once(&gym.data_dir, count);
        assert_eq!(gym.import("again.fit", &chained).0, "duplicate");
        assert_eq!(gym.import("behind.fit", behind).0, "duplicate");
        every_activity_is_there_once(&gym.data_dir, count);
    }
}

/// Has what is kept look as an earlier release left it.
fn keep_as_before(data_dir: &Path, now: &str, before: ActivityId) {
    let folder = data_dir.join("history/activities");
    let path = folder.join(format!("{now}.json"));
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    kept["activity"]["id"] = before.to_string().into();
    kept.as_object_mut().unwrap().remove("place");
    std::fs::write(folder.join(format!("{before}.json")), kept.to_string()).unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_came_in_under_an_id_of_before_keeps_it() {
    let ride = Ride { ahead: 3, ..Ride::of(around(90, 60)) };
    let gym = Gym::new();
    let (_, ids) = gym.import("a.fit", &ride.whole());
    let created = Some(UnixMs::from_seconds(START_UNIX));
    let (manufacturer, product) = (Some(255), Some(1));
    let origin = Origin { manufacturer, product, serial: Some(7), created, product_name: None };
    let before = ActivityId::new(&origin, UnixMs::from_seconds(START_UNIX), 0, None);
    keep_as_before(&gym.data_dir, &ids[0], before);
    let known = ("duplicate".to_owned(), vec![before.to_string()]);
    assert_eq!(gym.import("b.fit", &ride.whole()), known);
    // Another name within: other bytes, the same ride.
    let mut copy = ride.whole();
    copy[2] = 1;
    let sum = checksum(&copy[..12]).to_le_bytes();
    copy[12..14].copy_from_slice(&sum);
    let length = copy.len() - 2;
    let sum = checksum(&copy[..length]).to_le_bytes();
    copy[length..].copy_from_slice(&sum);
    assert_eq!(gym.import("c.fit", &copy), known);
    let data_dir = gym.data_dir.to_str().unwrap();
    let csv = output(&["export", "last", "--format", "csv", "-o", "-", "--data-dir", data_dir]);
    assert_eq!(text(&csv.stdout).lines().count(), 61);
    // A stranger that would have had the same id.
    let (told, ids) = gym.import("d.fit", &Ride::of(around(120, 60)).whole());
    assert_eq!(told, "imported");
    assert_ne!(ids[0], before.to_string());
}

#[test]
fn a_tcx_that_was_cut_off_is_one_with_the_whole() {
    let points: String = (10..50)
        .map(|second| {
            format!(
                "<Trackpoint><Time>2026-06-10T04:26:{second}Z</Time><HeartRateBpm><Value>{}</Value></HeartRateBpm></Trackpoint>",
                100 + second % 7
            )
        })
        .collect();
    let whole = format!(
        "<TrainingCenterDatabase><Activities><Activity Sport=\"Biking\"><Id>2026-06-10T04:26:10Z</Id>\
         <Lap StartTime=\"2026-06-10T04:26:10Z\"><TotalTimeSeconds>39</TotalTimeSeconds><Track>{points}</Track></Lap>\
         <Creator><Name>Edge 530</Name><UnitId>12345</UnitId><ProductID>3121</ProductID></Creator>\
         </Activity></Activities></TrainingCenterDatabase>"
    );
    let cut = &whole.as_bytes()[..whole.len() / 2];
    let (told, records) = Gym::new().all(&[cut, whole.as_bytes(), cut]);
    assert_eq!((told, records), (words(&["salvaged", "imported", "duplicate"]), vec![40]));
}
