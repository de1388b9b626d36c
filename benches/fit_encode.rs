//! What writing an hour of heart rate with every beat as a FIT file costs: `cargo bench --bench fit_encode`.
//!
//! Beside it, in the same run and turn by turn, stands the checksum of the same bytes alone, which nobody can do without:
//! what counts is the median of the ratios. Target: an hour in less than a millisecond. With `PULSEGATE_BENCH_STRICT=1` a
//! missed target makes the exit code 1.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

#[path = "../tests/support/sessions.rs"]
mod sessions;

use std::hint::black_box;
use std::io::Cursor;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pulsegate::activity::{Activity, Item};
use pulsegate::fit::crc;
use pulsegate::fit::encode::{Creator, Encoder};

const TARGET: Duration = Duration::from_millis(1);
const TURNS: usize = 200;

fn encode(activity: &Activity, items: &[Item], creator: &Creator) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let mut encoder = Encoder::new(&mut out, activity, creator).unwrap();
    items.iter().for_each(|item| encoder.item(*item).unwrap());
    encoder.finish().unwrap();
    out.into_inner()
}

fn time(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    let creator = Creator {
        product: 7,
        serial: NonZeroU32::MIN,
        name: "Pulsegate".to_owned(),
        software_version: 10,
    };
    for (name, (activity, items), is_target) in [
        ("an hour of heart rate with every beat", sessions::hour(), true),
        ("twenty minutes of a ride with everything", sessions::ride(), false),
    ] {
        let bytes = encode(&activity, &items, &creator);
        let mut encoding = Vec::new();
        let mut ratios = Vec::new();
        for _ in 0..TURNS {
            let ours = time(|| {
                black_box(encode(black_box(&activity), &items, &creator));
            });
            let checksum = time(|| {
                black_box(crc::update(0, black_box(&bytes)));
            });
            encoding.push(ours);
            ratios.push(ours / checksum);
        }
        let (took, ratio) = (median(encoding), median(ratios));
        println!(
            "{name}: {} items, {} bytes in {:.0} µs, {ratio:.1} times the checksum of the same bytes",
            items.len(),
            bytes.len(),
            took * 1e6
        );
        if is_target && took > TARGET.as_secs_f64() {
            println!("MISSED: the target is {} µs", TARGET.as_micros());
            if std::env::var_os("PULSEGATE_BENCH_STRICT").is_some_and(|strict| strict == "1") {
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
