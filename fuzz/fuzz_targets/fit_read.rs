//! All of the reader on any bytes: `cargo +nightly fuzz run fit_read fuzz/corpus/fit_read tests/fixtures/fit/files/synthetic`.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use pulsegate::fit::{self, Limits};

fuzz_target!(|bytes: &[u8]| {
    let mut items = 0u64;
    let report =
        fit::read(Cursor::new(bytes), &Limits::default(), &mut || true, &mut |_, _| items += 1)
            .expect("memory does not fail");
    let counted: u64 =
        report.activities.iter().map(|one| one.counts.records + one.counts.rr_intervals).sum();
    assert_eq!(items, counted, "what streamed is what was counted");
});
