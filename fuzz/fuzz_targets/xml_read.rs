//! The reader of TCX and GPX on any bytes: `cargo +nightly fuzz run xml_read`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pulsegate::fit::Limits;
use pulsegate::track;

fuzz_target!(|bytes: &[u8]| {
    let mut items = 0u64;
    let report = track::read(bytes, &Limits::default(), &mut || true, &mut |_, _| items += 1)
        .expect("memory does not fail");
    let counted: u64 = report.activities.iter().map(|one| one.counts.records).sum();
    assert_eq!(items, counted, "what streamed is what was counted");
});
