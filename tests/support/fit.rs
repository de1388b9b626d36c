//! Where the FIT files of the tests are, and what is known of each.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(dead_code, unreachable_pub, reason = "no test needs everything")]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// What is known of a file.
pub struct Expected {
    /// Its name in the corpus.
    pub file: String,
    pub path: PathBuf,
    /// `exact`, `lenient`, `salvage`, `nocrash` or `reject`.
    pub class: String,
    /// What three independent decoders agree on.
    pub values: Value,
    /// Heart rates with those a strap handed over later, where there are any.
    pub hr_merged: Value,
}

/// The folders with files: the synthetic ones in the repository, and what `PULSEGATE_FIT_CORPUS` names.
pub fn corpora() -> Vec<PathBuf> {
    let named = std::env::var_os("PULSEGATE_FIT_CORPUS").map(PathBuf::from);
    if named.is_none() {
        println!("NOTE further FIT files: PULSEGATE_FIT_CORPUS names no folder");
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fit");
    [own].into_iter().chain(named).collect()
}

/// What is known of every file there is, each once.
pub fn everything() -> Vec<Expected> {
    let mut all: Vec<Expected> = Vec::new();
    for expected in corpora().iter().flat_map(|folder| expected(folder)) {
        if !all.iter().any(|known| known.file == expected.file) {
            all.push(expected);
        }
    }
    all
}

/// What is known of the files of a folder.
pub fn expected(folder: &Path) -> Vec<Expected> {
    let lines = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            Expected {
                path: folder.join("files").join(line["file"].as_str().unwrap()),
                file: text(&line["file"]),
                class: text(&line["cls"]),
                values: line["expected"].clone(),
                hr_merged: line["hr_merged"].clone(),
            }
        })
        .collect()
}
