//! Whatever a strap may send or advertise: `cargo +nightly fuzz run strap_bytes`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pulsegate::reading::StrapInfo;
use pulsegate::sensor::{self, device_information, polar_broadcast, polar_name};

fuzz_target!(|bytes: &[u8]| {
    let Some((number, value)) = bytes.split_first_chunk::<2>() else { return };
    let number = u16::from_le_bytes(*number);
    for characteristic in [number, 0x2A37, 0x2A19] {
        if let Some(profile) = sensor::profile(characteristic) {
            let _ = profile.decode(value);
        }
    }
    let _ = polar_broadcast::decode(number, value);
    let _ = polar_name::parse(&String::from_utf8_lossy(value));
    let mut info = StrapInfo::default();
    for characteristic in 0x2A23..0x2A2B {
        device_information::note(&mut info, characteristic, value);
    }
});
