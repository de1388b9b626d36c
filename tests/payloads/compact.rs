//! Batches as CBOR, read by the words of `src/format/cbor.rs` alone.

use pulsegate::format::cbor;
use pulsegate::format::samples::{self, Batch};
use pulsegate::normalize::Outgoing;
use serde_json::{Value, json};

use crate::readings::{GATEWAY, batch, heart_rate};

/// The JSON of a batch, made of its CBOR.
fn expanded(bytes: &[u8]) -> Value {
    let mut rest = bytes;
    let batch: Value = ciborium::from_reader(&mut rest).unwrap();
    assert!(rest.is_empty(), "nothing behind the batch");
    let whole = |value: &Value| value.as_i64().unwrap();
    let readings = batch[5].as_array().unwrap().iter().map(|entry| {
        let quality = ["synced", "corrected", "bounded", "restored", "unset"];
        let ms = whole(&batch[3]) + whole(&entry[2]);
        let quality = quality[whole(&entry[3]) as usize];
        let mut object = json!({
            "v": batch[0],
            "gateway": batch[1],
            "seq": whole(&batch[2]) + whole(&entry[1]),
            "ts": samples::rfc3339(ms * 1000),
            "ts_quality": quality,
        });
        let strap = || batch[4][whole(&entry[4]) as usize].clone();
        let more = match whole(&entry[0]) {
            0 => {
                let source = ["link", "broadcast"][whole(&entry[7]) as usize];
                let rr = entry[10].as_array().unwrap().iter();
                let millis =
                    |rr: &Value| (rr.as_f64().unwrap() * 1_000_000.0 / 1024.0).round() / 1000.0;
                let mut more = json!({
                    "strap": strap(),
                    "bpm": entry[5],
                    "contact": entry[6],
                    "source": source,
                    "rr_ms": rr.map(millis).collect::<Vec<_>>(),
                });
                if entry[8] == true {
                    more["suspect"] = true.into();
                }
                if !entry[9].is_null() {
                    more["energy_kj"] = entry[9].clone();
                }
                more
            }
            1 => json!({
                "strap": strap(),
                "battery_percent": entry[5],
            }),
            2 => serde_json::from_str(entry[4].as_str().unwrap()).unwrap(),
            kind => panic!("{kind} is no kind of entry"),
        };
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    });
    json!({"v": batch[0], "gateway": batch[1], "readings": readings.collect::<Vec<_>>()})
}

fn json_of(entries: &[Outgoing]) -> Value {
    serde_json::to_value(Batch::new(GATEWAY, entries)).unwrap()
}

/// Twenty minutes of one strap: how many bytes as JSON, how many as CBOR.
pub fn sizes() -> (usize, usize) {
    let entries: Vec<_> =
        (0..1200).map(|n| heart_rate(48_211 + n, 120, &[512 - n as u16 % 40, 517])).collect();
    let json = serde_json::to_vec(&Batch::new(GATEWAY, &entries)).unwrap();
    (json.len(), cbor::batch(GATEWAY, &entries).len())
}

#[test]
fn cbor_says_everything_that_json_says() {
    let entries = batch();
    assert_eq!(expanded(&cbor::batch(GATEWAY, &entries)), json_of(&entries));
    assert_eq!(expanded(&cbor::batch(GATEWAY, &[])), json_of(&[]));
}

#[test]
fn cbor_takes_a_fifth_of_the_bytes() {
    let (json, cbor) = sizes();
    assert!(cbor * 5 <= json, "{cbor} of {json} bytes");
}
