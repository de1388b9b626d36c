//! The structure of any bytes: `cargo +nightly fuzz run fit_scan fuzz/corpus/fit_scan tests/fixtures/fit/files/synthetic`.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use pulsegate::fit::Limits;
use pulsegate::fit::scan::{Event, Scan};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let Ok(mut scan) = Scan::new(Cursor::new(bytes), &limits) else { return };
    let mut seen = 0;
    while let Ok(Some(event)) = scan.step() {
        if let Event::Message(frame) = event {
            assert_eq!(frame.bytes.len(), frame.definition.size);
            seen += 1 + frame.bytes.len();
        }
    }
    // No byte is given twice.
    assert!(seen <= bytes.len());
});
