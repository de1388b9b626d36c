//! A folder of files by one command: `pulsegate import FOLDER` with the real binary, each file against what three
//! independent decoders agree on, and the history against what was told. The synthetic files are in the repository; the real ones are
//! not ours to pass on, and stand in the folder that `PULSEGATE_FIT_CORPUS` names.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/fit.rs"]
mod corpus;
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
use std::path::{Path, PathBuf};

use corpus::{Expected, corpora, expected};
use rides::{history, import_to, in_log};
use serde_json::Value;

/// Damaged before their first record (docs/fit.md): nothing of them could be kept.
const NOTHING_KEPT: [&str; 2] =
    ["synthetic/header_size_255_short.fit", "synthetic/undefined_local.fit"];

/// Have other heart rates when they are cut off (docs/fit.md): those of the watch instead of those that the strap handed over later.
const TWO_HEARTS: [&str; 2] = ["garmin-fr935-cr.fit", "sample_mulitple_header.fit"];

/// The folder with the real files, if there is one.
fn real_files(test: &str) -> Option<PathBuf> {
    let named = corpora().into_iter().nth(1);
    if named.is_none() {
        println!("NOTE {test}: PULSEGATE_FIT_CORPUS names no folder with real FIT files");
    }
    named
}

/// The files of a corpus that others have recorded, by what its index says of their licence.
fn recorded(corpus: &Path) -> BTreeSet<String> {
    let index = std::fs::read_to_string(corpus.join("INDEX.tsv")).unwrap();
    let rows = index.lines().skip(1).map(|row| row.split('\t').collect::<Vec<_>>());
    rows.filter(|row| !row[4].starts_with("own")).map(|row| row[0].to_owned()).collect()
}

/// Puts files into a folder as they stand in the corpus.
fn lay_out(files: &[&Expected], folder: &Path) {
    for file in files {
        let place = folder.join(&file.file);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(&file.path, place).unwrap();
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

/// A moment in seconds since 1970.
fn seconds(session: &Value) -> f64 {
    let time: jiff::Timestamp = session["start_time"].as_str().unwrap().parse().unwrap();
    time.as_millisecond() as f64 / 1000.0
}

/// What is told of a session, by the names that the decoders' results have.
const FIELDS: [(&str, &str); 8] = [
    ("sport", "sport"),
    ("sub_sport", "sub_sport"),
    ("elapsed_s", "total_elapsed_time"),
    ("timer_s", "total_timer_time"),
    ("distance_m", "total_distance"),
    ("calories_kcal", "total_calories"),
    ("avg_hr_bpm", "avg_heart_rate"),
    ("max_hr_bpm", "max_heart_rate"),
];

fn is_session(told: &Value, wanted: &Value) -> bool {
    let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-6,
        (a, b) => a == b,
    };
    same(Some(seconds(told)), number(&wanted["start_time"]))
        && FIELDS.iter().all(|(ours, theirs)| same(number(&told[ours]), number(&wanted[theirs])))
}

/// What is told of a file and is not as the decoders have it.
fn differences(expected: &Expected, told: &Value) -> Vec<String> {
    let mut differs = Vec::new();
    let sessions = told["sessions"].as_array().unwrap();
    let values = &expected.values;
    let rates = if expected.hr_merged.is_null() { &values["hr"] } else { &expected.hr_merged };
    // Of files that are no activities nothing is told but what they are.
    if told["result"] != "not_an_activity" {
        for (what, wanted) in [
            ("records", &values["records"]),
            ("hr_samples", &rates[0]),
            ("hr_sum", &rates[1]),
            ("rr_intervals", &values["hrv"][1]),
        ] {
            let found: f64 = sessions.iter().map(|session| number(&session[what]).unwrap()).sum();
            let wanted = number(wanted).unwrap_or(0.0);
            let exactly = expected.class == "exact";
            if found < wanted - 1e-6 || exactly && found > wanted + 1e-6 {
                differs.push(format!("{what}: {found}, wanted {wanted}"));
            }
        }
    }
    for wanted in values["sess"].as_array().unwrap() {
        if !sessions.iter().any(|told| is_session(told, wanted)) {
            differs.push(format!("no session {wanted} in {}", told["sessions"]));
        }
    }
    let bad = told["result"] == "rejected" || told["result"] == "salvaged";
    if expected.class == "exact" && bad
        || expected.class == "reject" && told["result"] != "rejected"
    {
        differs.push(format!("{}: {}", told["result"], told["reason"]));
    }
    differs
}

/// Brings files in with one command, and once more. Each is told as it is, each activity is in the history once, no
/// activity is missing, and nothing comes of the second time. How many activities there are.
fn bring(files: &[&Expected]) -> (BTreeMap<String, usize>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let (rides, data_dir) = (folder.path().join("rides"), folder.path().join("data"));
    lay_out(files, &rides);
    let (told, _) = import_to(&data_dir, &[&rides]);
    assert_eq!(told.len(), files.len(), "one object a file");
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut ids = BTreeMap::new();
    for told in &told {
        let path = Path::new(told["file"].as_str().unwrap());
        let name = path.strip_prefix(&rides).unwrap().to_str().unwrap();
        let expected = files.iter().find(|expected| expected.file == name).unwrap();
        *words.entry(told["result"].as_str().unwrap().to_owned()).or_default() += 1;
        let is_told = expected.class != "nocrash" && !NOTHING_KEPT.contains(&name);
        if is_told {
            wrong.extend(differences(expected, told).iter().map(|what| format!("{name}: {what}")));
        }
        for session in told["sessions"].as_array().unwrap() {
            let most = ids.entry(session["id"].as_str().unwrap().to_owned()).or_insert(0);
            *most = session["records"].as_u64().unwrap().max(*most);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    every_activity_is_listed(&data_dir, &ids);

    let events = in_log(&data_dir).len();
    let (again, _) = import_to(&data_dir, &[&rides]);
    let word = |told: &Value| match told["result"].as_str().unwrap() {
        "imported" | "salvaged" => "duplicate".to_owned(),
        word => word.to_owned(),
    };
    for (first, second) in told.iter().zip(&again) {
        let is = (&second["file"], second["result"].as_str().unwrap());
        assert_eq!(is, (&first["file"], word(first).as_str()), "{second}");
        let ids = |told: &Value| {
            let sessions = told["sessions"].as_array().unwrap().iter();
            sessions.map(|session| session["id"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(first), ids(second), "{}", second["file"]);
    }
    assert_eq!(in_log(&data_dir).len(), events, "nobody is told again");
    every_activity_is_listed(&data_dir, &ids);
    (words, ids.len())
}

/// The history lists what was told, each once, and of each as many records as there were in the best copy.
fn every_activity_is_listed(data_dir: &Path, ids: &BTreeMap<String, u64>) {
    let listed = history(data_dir);
    let kept: BTreeMap<String, u64> = listed
        .iter()
        .map(|one| (one["activity"].as_str().unwrap().to_owned(), one["records"].as_u64().unwrap()))
        .collect();
    assert_eq!(kept.len(), listed.len());
    assert_eq!(&kept, ids);
}

#[test]
fn sixty_real_files_come_in_with_one_command() {
    let Some(corpus) = real_files("sixty_real_files_come_in_with_one_command") else { return };
    let (recorded, all) = (recorded(&corpus), expected(&corpus));
    let files: Vec<&Expected> = all.iter().filter(|one| recorded.contains(&one.file)).collect();
    assert_eq!((files.len(), recorded.len()), (60, 60));
    let (words, activities) = bring(&files);
    println!("{words:?}, {activities} activities");
    // The two are cut and damaged copies of a third.
    assert_eq!(words["duplicate"], 2, "{words:?}");
    assert_eq!(words.get("rejected"), None, "{words:?}");
}

#[test]
fn every_real_file_that_was_cut_off_is_one_with_the_whole() {
    let test = "every_real_file_that_was_cut_off_is_one_with_the_whole";
    let Some(corpus) = real_files(test) else { return };
    let (recorded, all) = (recorded(&corpus), expected(&corpus));
    let files = all.iter().filter(|one| recorded.contains(&one.file));
    let files: Vec<&Expected> =
        files.filter(|one| !TWO_HEARTS.iter().any(|it| one.file.ends_with(it))).collect();
    let folder = tempfile::tempdir().unwrap();
    let rides = folder.path().join("rides");
    lay_out(&files, &rides);
    let cut = |part: usize| {
        let cut = folder.path().join(format!("cut at {part} of 100"));
        lay_out(&files, &cut);
        for file in &files {
            let path = cut.join(&file.file);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() * part / 100]).unwrap();
        }
        cut
    };
    let (third, most) = (cut(33), cut(60));
    let ids = |folders: &[&Path], data_dir: &str| -> BTreeSet<String> {
        let data_dir = folder.path().join(data_dir);
        import_to(&data_dir, folders);
        let listed = history(&data_dir);
        listed.iter().map(|one| one["activity"].as_str().unwrap().to_owned()).collect()
    };
    let whole = ids(&[&rides], "whole");
    assert_eq!(ids(&[&most, &rides], "the cut ones first"), whole);
    assert_eq!(ids(&[&rides, &third], "the whole ones first"), whole);
}

#[test]
fn the_synthetic_files_come_in_together_and_none_is_taken_for_another() {
    let all = expected(&corpora()[0]);
    let (words, activities) = bring(&all.iter().collect::<Vec<_>>());
    println!("{words:?}, {activities} activities");
    // Most are copies or beginnings of one recording of ten minutes, cut, flipped or with another header, or of one of 50 seconds with
    // developer fields that stand for nothing.
    assert_eq!((words["duplicate"], activities), (49, 22));
}

#[test]
fn the_whole_corpus_comes_in_with_one_command() {
    let Some(corpus) = real_files("the_whole_corpus_comes_in_with_one_command") else { return };
    let all = expected(&corpus);
    let (words, activities) = bring(&all.iter().collect::<Vec<_>>());
    println!("{words:?}, {activities} activities");
    // No synthetic file is taken for a real one.
    assert_eq!((words["duplicate"], activities), (49 + 2, 22 + 63));
}
