//! Every file of the corpus, against what three independent decoders agree on: `tests/fixtures/fit/`, and a folder laid
//! out like it that `PULSEGATE_FIT_CORPUS` names. `docs/fit.md` says what the classes mean and why which file differs.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/fit.rs"]
mod corpus;

use std::collections::BTreeMap;
use std::io::Cursor;

use pulsegate::activity::{Activity, Item};
use pulsegate::fit::{self, Class, FileReport, Limits};
use serde_json::Value;

use crate::corpus::{Expected, everything};

/// What came of a file, and how many items each activity was given.
fn read(expected: &Expected) -> (FileReport, BTreeMap<usize, u64>) {
    let bytes = std::fs::read(&expected.path).unwrap();
    let mut items = BTreeMap::new();
    let report = fit::read(
        Cursor::new(bytes),
        &Limits::default(),
        &mut || true,
        &mut |activity, _: Item| {
            *items.entry(activity).or_default() += 1;
        },
    );
    (report.unwrap(), items)
}

/// The numbers of a file that must be met: records, heart rates, their sum, RR intervals.
fn wanted(expected: &Expected) -> [f64; 4] {
    let values = &expected.values;
    let hr = if expected.hr_merged.is_null() { &values["hr"] } else { &expected.hr_merged };
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    [number(&values["records"]), number(&hr[0]), number(&hr[1]), number(&values["hrv"][1])]
}

fn found(report: &FileReport) -> [f64; 4] {
    let counts = &report.counts;
    [counts.records as f64, counts.hr_samples as f64, counts.hr_sum, counts.rr_intervals as f64]
}

/// What a summary says, field by field; `null` is nothing.
fn session(activity: &Activity) -> [Option<f64>; 9] {
    let totals = &activity.totals;
    [
        activity.sport.map(f64::from),
        activity.sub_sport.map(f64::from),
        Some(activity.start.0 as f64 / 1000.0),
        totals.elapsed_s,
        totals.timer_s,
        totals.distance_m,
        totals.calories_kcal.map(f64::from),
        totals.avg_hr_bpm.map(f64::from),
        totals.max_hr_bpm.map(f64::from),
    ]
}

fn wanted_session(value: &Value) -> [Option<f64>; 9] {
    [
        "sport",
        "sub_sport",
        "start_time",
        "total_elapsed_time",
        "total_timer_time",
        "total_distance",
        "total_calories",
        "avg_heart_rate",
        "max_heart_rate",
    ]
    .map(|key| value[key].as_f64())
}

fn same(a: &[Option<f64>; 9], b: &[Option<f64>; 9]) -> bool {
    a.iter().zip(b).all(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-6,
        (None, None) => true,
        _ => false,
    })
}

/// What is not as it must be.
fn differences(expected: &Expected, report: &FileReport) -> Vec<String> {
    let mut differs = Vec::new();
    let exactly = expected.class == "exact";
    let numbers = wanted(expected).into_iter().zip(found(report));
    for (what, (wanted, found)) in
        ["records", "heart rates", "their sum", "beats"].iter().zip(numbers)
    {
        if (exactly && (found - wanted).abs() > 1e-6) || found < wanted - 1e-6 {
            differs.push(format!("{what}: {found}, wanted {wanted}"));
        }
    }
    let rejected = report.result == Class::Rejected;
    if rejected != (expected.class == "reject") {
        differs.push(format!("{:?}: {:?}", report.result, report.reason));
    }
    let wanted: Vec<_> =
        expected.values["sess"].as_array().unwrap().iter().map(wanted_session).collect();
    let sessions: Vec<_> = report
        .activities
        .iter()
        .filter(|activity| !activity.quality.synthesised)
        .map(session)
        .collect();
    if exactly && sessions.len() != wanted.len() {
        differs.push(format!("{} sessions, wanted {}", sessions.len(), wanted.len()));
    }
    for wanted in wanted {
        if !sessions.iter().any(|session| same(session, &wanted)) {
            differs.push(format!("session {wanted:?} is not in {sessions:?}"));
        }
    }
    if exactly && report.result == Class::Salvaged {
        differs.push(format!("salvaged: {:?}", report.reason));
    }
    differs
}

#[test]
fn each_file_meets_its_class() {
    let mut files: BTreeMap<String, Vec<(String, Vec<String>)>> = BTreeMap::new();
    for expected in everything() {
        let (report, items) = read(&expected);
        assert_eq!(
            items.values().sum::<u64>(),
            if report.activities.is_empty() {
                0
            } else {
                report.activities.iter().map(|a| a.counts.records + a.counts.rr_intervals).sum()
            },
            "{}: what streamed is not what was counted",
            expected.file
        );
        let differs = differences(&expected, &report);
        for difference in &differs {
            println!("{:8} {}: {difference}", expected.class, expected.file);
        }
        files.entry(expected.class.clone()).or_default().push((expected.file.clone(), differs));
    }
    let met = |class: &str| {
        let files = &files[class];
        let met = files.iter().filter(|(_, differs)| differs.is_empty()).count();
        println!("{class}: {met} of {}", files.len());
        (met, files.len() - met)
    };
    assert_eq!(met("exact").1, 0, "exact");
    assert!(met("lenient").1 <= 1, "lenient");
    assert!(met("salvage").1 <= 2, "salvage");
    assert_eq!(met("reject").1, 0, "reject");
    println!("nocrash: {}", files["nocrash"].len());
}
