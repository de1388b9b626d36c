//! The house rules: who must not know whom, which file alone names an engine, how long a file may be.
//! `docs/architecture.md` says why.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::{Path, PathBuf};

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 30, "{} sources", found.len());
    found
}

/// The code of a file, without comments and without its unit tests.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether `name` stands in the code as a word of its own (`sled` does not stand in `controlled`).
fn names(code: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

fn offences(files: &[(String, String)], forbidden: &[(&[&str], &[&str])]) -> Vec<String> {
    let mut found = Vec::new();
    for (places, words) in forbidden {
        for (file, text) in
            files.iter().filter(|(file, _)| places.iter().any(|place| file.starts_with(place)))
        {
            let code = code(text);
            let named = words.iter().filter(|word| names(&code, word));
            found.extend(named.map(|word| format!("{file} names {word}")));
        }
    }
    found
}

/// Part by part, what it must not name.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (
        &[
            "src/sensor/",
            "src/fit/mod",
            "src/fit/scan",
            "src/fit/table",
            "src/fit/decode",
            "src/fit/encode",
            "src/track/",
            "src/session/",
            "src/normalize/",
            "src/format/",
            "src/reading.rs",
            "src/timeline.rs",
            "src/activity.rs",
            "src/athlete.rs",
            "src/workout.rs",
            "src/roster/people",
            "src/roster/worn",
            "src/roster/edit",
            "src/roster/find",
        ],
        &[
            "tokio",
            "btleplug",
            "sled",
            "reqwest",
            "rumqttc",
            "axum",
            "crate::config",
            "crate::clock",
            "Instant",
            "SystemTime",
        ],
    ),
    (&["src/ble/"], &["crate::sink", "crate::web"]),
    (&["src/fit/", "src/track/"], &["crate::sink", "crate::buffer", "crate::web"]),
    (
        &["src/history/"],
        &["crate::sink", "crate::web", "crate::ble", "crate::config", "crate::cli", "sled"],
    ),
    (
        &["src/roster/"],
        &["crate::sink", "crate::web", "crate::ble", "crate::config", "crate::cli", "sled"],
    ),
    (
        &["src/recorder/"],
        &["crate::sink", "crate::web", "crate::ble", "crate::sensor", "crate::config", "sled"],
    ),
    (&["src/buffer/"], &["crate::sink", "crate::ble", "crate::sensor", "crate::web"]),
    (&["src/sink/"], &["crate::ble", "crate::web"]),
    (&["src/sink/mqtt"], &["super::file", "crate::sink::file"]),
    (&["src/sink/file"], &["super::mqtt", "crate::sink::mqtt"]),
    (&["src/web/"], &["crate::ble", "crate::sink"]),
    (&["src/simulate/"], &["crate::sink", "crate::buffer", "crate::config", "crate::web"]),
];

/// Each foreign engine, and the one file that names it.
const ENGINES: &[(&str, &str)] = &[
    ("btleplug", "src/ble/bluez.rs"),
    ("sled", "src/buffer/store.rs"),
    ("rumqttc", "src/sink/mqtt/v5.rs"),
    ("rumqttc_v4", "src/sink/mqtt/v4.rs"),
    ("reqwest", "src/cli/client.rs"),
    ("fitparser", "src/fit/decode.rs"),
    ("quick_xml", "src/track/xml.rs"),
    ("flate2", "src/history/inflate.rs"),
];

#[test]
fn no_part_names_what_it_must_not_know() {
    let found = offences(&sources(), FORBIDDEN);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn links_know_the_buffer_by_its_error_only() {
    for (file, text) in sources().iter().filter(|(file, _)| file.starts_with("src/ble/")) {
        for line in code(text).lines().filter(|line| line.contains("crate::buffer")) {
            assert_eq!(line.trim(), "use crate::buffer::BufferError;", "{file}");
        }
    }
}

#[test]
fn each_engine_is_named_in_one_file() {
    for (engine, home) in ENGINES {
        for (file, text) in sources() {
            assert!(
                file == *home || !names(&code(&text), engine),
                "{file} names {engine}, which lives in {home}"
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_short() {
    for (file, text) in sources() {
        assert!(text.starts_with("//!"), "{file} does not begin with what it is for");
        let lines = text.lines().count();
        assert!(lines <= 700, "{file} has {lines} lines, 700 are the limit");
    }
    let main = include_str!("../src/main.rs");
    assert!(main.lines().count() < 60, "main.rs is thin");
}

#[test]
fn no_task_is_detached_and_nothing_is_unwrapped() {
    for (file, text) in sources() {
        let code = code(&text);
        for word in
            ["tokio::spawn(", "thread::sleep", ".unwrap()", "todo!(", "unimplemented!(", "unsafe "]
        {
            assert!(!code.contains(word), "{file}: {word}");
        }
    }
}

#[test]
fn there_are_four_traits_at_most() {
    let traits: Vec<String> = sources()
        .iter()
        .flat_map(|(_, text)| code(text).lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| {
            line.trim_start().starts_with("pub trait ") || line.trim_start().starts_with("trait ")
        })
        .collect();
    assert!(traits.len() <= 4, "{traits:#?}");
}

#[test]
fn the_rules_bite() {
    let broken =
        [("src/sensor/x.rs".to_owned(), "use tokio::time; // sled\nfn controlled() {}".to_owned())];
    assert_eq!(offences(&broken, FORBIDDEN), ["src/sensor/x.rs names tokio"]);
}
