//! Every byte of a folder, searched for what may be read from it: words, stored chunks, refused entries.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(dead_code, unreachable_pub, reason = "no test needs everything")]

use std::path::{Path, PathBuf};

use pulsegate::buffer::record;
use pulsegate::reading::Entry;

/// First bytes of a refused entry's letter, as `src/buffer/letters.rs` writes it.
const LETTER: [u8; 4] = *b"PGd\x01";

/// Every file below a folder, with its bytes.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found
}

/// The files that have this word in them.
pub fn says(folder: &Path, word: &str) -> Vec<PathBuf> {
    let is_in = |bytes: &[u8]| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    files(folder).into_iter().filter(|(_, bytes)| is_in(bytes)).map(|(path, _)| path).collect()
}

/// Every entry that can be read out of some file, whatever that file is: old versions of chunks, what was dropped,
/// letters, torn copies.
pub fn carved(folder: &Path) -> Vec<(PathBuf, Entry)> {
    let mut found = Vec::new();
    for (path, bytes) in files(folder) {
        for at in 0..bytes.len().saturating_sub(11) {
            let rest = &bytes[at..];
            let length = usize::from(u16::from_le_bytes([rest[9], rest[10]]));
            let Some(whole) = rest.get(..length) else { continue };
            let entries = match rest[..4].try_into().unwrap() {
                record::MAGIC => record::decode(whole).unwrap_or_default(),
                LETTER => refused(whole).unwrap_or_default(),
                _ => continue,
            };
            found.extend(entries.into_iter().map(|entry| (path.clone(), entry)));
        }
    }
    found
}

/// The entries of a letter: its body is a chunk's.
fn refused(letter: &[u8]) -> Option<Vec<Entry>> {
    let rest = letter.get(12..)?;
    let (sink, rest) = rest.split_first()?;
    let rest = rest.get(usize::from(*sink)..)?;
    let reason = usize::from(u16::from_le_bytes([*rest.first()?, *rest.get(1)?]));
    let mut body = rest.get(2 + reason..)?.to_vec();
    let length = (body.len() + 8) as u16;
    body.get_mut(1..3)?.copy_from_slice(&length.to_le_bytes());
    let mut chunk = record::MAGIC.to_vec();
    chunk.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    chunk.extend_from_slice(&body);
    record::decode(&chunk).ok()
}
