//! Stored chunks of any bytes, sealed so that the contents are looked at: `cargo +nightly fuzz run stored_chunk`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pulsegate::buffer::record::{self, ChunkBuilder};

fuzz_target!(|bytes: &[u8]| {
    // As they are: the checksum stops nearly all of them.
    let _ = record::decode(bytes);
    let mut sealed = record::MAGIC.to_vec();
    sealed.extend_from_slice(&[0; 4]);
    sealed.extend_from_slice(bytes);
    if sealed.len() < 11 {
        return;
    }
    let length = (sealed.len() as u16).to_le_bytes();
    sealed[9..11].copy_from_slice(&length);
    let crc = crc32fast::hash(&sealed[8..]).to_le_bytes();
    sealed[4..8].copy_from_slice(&crc);
    let (Ok(header), Ok(entries)) = (record::header(&sealed), record::decode(&sealed)) else { return };
    assert_eq!(usize::from(header.count), entries.len());
    // What can be read can be written again, unless a later chunk has to take it.
    let Some(first) = entries.first() else { return };
    let mut again = ChunkBuilder::new(first.id, &first.fact);
    let taken = entries.iter().take_while(|entry| again.push(entry.id, &entry.fact)).count();
    if taken > 0 {
        assert_eq!(record::decode(&again.bytes()).expect("written by us"), entries[..taken]);
    }
});
