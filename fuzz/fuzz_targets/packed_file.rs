//! Whatever may be packed, as it is brought: archives, gzip, and what they hold. Needs a folder in memory:
//! `TMPDIR=/dev/shm cargo +nightly fuzz run packed_file`.
#![no_main]

use std::cell::RefCell;
use std::io::{Seek, Write};

use libfuzzer_sys::fuzz_target;
use pulsegate::history::{Bounds, Word, look};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().build().expect("a runtime"));
}

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).and_then(|()| file.rewind()).expect("room");
    let bounds = Bounds { archive_files: 50, ..Bounds::default() };
    let outcomes = RUNTIME.with_borrow(|runtime| runtime.block_on(look(file, "x", &bounds)));
    let outcomes = outcomes.expect("whatever the bytes are, the disk is well");
    assert!((1..=51).contains(&outcomes.len()), "{} outcomes", outcomes.len());
    for outcome in outcomes {
        assert!(outcome.result != Word::Rejected || outcome.sessions.is_empty());
    }
});
