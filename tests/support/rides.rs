//! Recordings to bring in, and what has come of them.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::daemon::output;
use crate::operator::{text, told};
use crate::writer::Writer;

/// 2026-06-10, in seconds since 1989-12-31.
const START: u32 = 1_150_000_000;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fit/files/synthetic").join(name)
}

/// A ride of its own: a minute of records that begins so many hours after the first.
pub(crate) fn ride(hour: u32) -> Vec<u8> {
    let mut fit = Writer::default();
    fit.file_id(4);
    let start = START + hour * 3600;
    fit.define(1, 20, &[(253, 4, 0x86), (3, 1, 0x02)]);
    for second in 0..60 {
        let [a, b, c, d] = (start + second).to_le_bytes();
        fit.message(1, &[a, b, c, d, 100 + (second % 10) as u8]);
    }
    fit.define(2, 18, &[(253, 4, 0x86), (2, 4, 0x86), (7, 4, 0x86), (8, 4, 0x86), (5, 1, 0)]);
    let mut session = (start + 60).to_le_bytes().to_vec();
    session.extend(start.to_le_bytes());
    session.extend(60_000u32.to_le_bytes());
    session.extend(59_000u32.to_le_bytes());
    session.push(2);
    fit.message(2, &session);
    fit.finish()
}

pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// `pulsegate import --json …`: what is told of each file, and the exit code.
pub(crate) fn import(paths: &[&Path], more: &[&str]) -> (Vec<Value>, i32) {
    let mut arguments = vec!["import", "--json"];
    arguments.extend(more);
    arguments.extend(paths.iter().map(|path| path.to_str().unwrap()));
    let output = output(&arguments);
    let told = text(&output.stdout);
    let told = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let code = output.status.code().unwrap();
    assert!(code == 0 || code == 65, "{code}: {}", text(&output.stderr));
    (told, code)
}

pub(crate) fn import_to(data_dir: &Path, paths: &[&Path]) -> (Vec<Value>, i32) {
    import(paths, &["--data-dir", data_dir.to_str().unwrap()])
}

pub(crate) fn history(data_dir: &Path) -> Vec<Value> {
    let output = output(&["history", "--json", "--data-dir", data_dir.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The activities that the log tells of, by their ids, each as often as it does.
pub(crate) fn in_log(data_dir: &Path) -> Vec<String> {
    std::fs::write(data_dir.join("gateway-id"), "club-1\n").unwrap();
    let lines = told(data_dir, &["export"]);
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["event"] == "activity")
        .map(|event| event["activity"].as_str().unwrap().to_owned())
        .collect()
}

/// Every activity once in the history, once in the log, and its bytes where they belong.
pub(crate) fn every_activity_is_there_once(data_dir: &Path, count: usize) {
    let listed = history(data_dir);
    let ids: BTreeSet<_> =
        listed.iter().map(|one| one["activity"].as_str().unwrap().to_owned()).collect();
    assert_eq!((listed.len(), ids.len()), (count, count));
    let mut logged = in_log(data_dir);
    logged.sort();
    assert_eq!(logged, ids.into_iter().collect::<Vec<_>>());
    for one in &listed {
        let name = format!(
            "history/originals/{}.{}",
            one["sha256"].as_str().unwrap(),
            one["format"].as_str().unwrap()
        );
        assert!(data_dir.join(&name).is_file(), "{name}");
    }
    assert_eq!(std::fs::read_dir(data_dir.join("history/pending")).unwrap().count(), 0);
}
