//! Every stored vector for Heart Rate Measurement and Polar broadcasts, against the decoders.
//! The subset `sdk_asserted` is the oracle: what Polar's own tests assert of the same bytes.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use pulsegate::reading::{Contact, Measurement};
use pulsegate::sensor::{HeartRateMeasurement, Profile, polar_broadcast};
use serde_json::Value;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn check_heart_rate(vector: &Value) {
    let input = vector["hex"].as_str().unwrap();
    let note = format!("{input}: {}", vector["note"]);
    let result = HeartRateMeasurement.decode(&hex(input));
    let expected = &vector["decoded"];
    if expected.get("hr").is_none() {
        assert!(result.is_err(), "{note}: must be refused, gave {result:?}");
        return;
    }
    let decoded = result.unwrap_or_else(|error| panic!("{note}: {error}"));
    let Measurement::HeartRate(heart_rate) = decoded.measurement else { panic!("{note}") };
    assert_eq!(u64::from(heart_rate.bpm), expected["hr"].as_u64().unwrap(), "{note}: bpm");
    let contact = match expected["contact"].as_bool() {
        None => Contact::Unknown,
        Some(false) => Contact::NotWorn,
        Some(true) => Contact::Worn,
    };
    assert_eq!(heart_rate.contact, contact, "{note}: contact");
    assert_eq!(
        heart_rate.energy_kj.map(u64::from),
        expected["energy_kj"].as_u64(),
        "{note}: energy"
    );
    let rr: Vec<u64> = heart_rate.rr.iter().map(|rr| u64::from(rr.0)).collect();
    let expected_rr: Vec<u64> =
        expected["rr_1024"].as_array().unwrap().iter().map(|rr| rr.as_u64().unwrap()).collect();
    assert_eq!(rr, expected_rr, "{note}: RR intervals");
    let expected_ms = expected["rr_ms"].as_array().unwrap();
    for (rr, ms) in heart_rate.rr.iter().zip(expected_ms) {
        assert_eq!(rr.millis().round(), ms.as_f64().unwrap(), "{note}: RR in milliseconds");
    }
    assert_eq!(
        decoded.trailing as u64,
        expected["trailing"].as_u64().unwrap(),
        "{note}: trailing bytes"
    );
}

#[test]
fn every_heart_rate_vector_decodes_as_written() {
    let all = vectors(include_str!("fixtures/ble/hr_2a37.json"));
    assert_eq!(all.len(), 31);
    all.iter().for_each(check_heart_rate);
}

#[test]
fn the_sdk_asserted_subset_is_the_oracle() {
    let sdk_asserted: Vec<Value> = vectors(include_str!("fixtures/ble/hr_2a37.json"))
        .into_iter()
        .filter(|vector| vector["verification"] == "bytes and expected fields equal the SDK test")
        .collect();
    assert_eq!(sdk_asserted.len(), 16);
    sdk_asserted.iter().for_each(check_heart_rate);
}

#[test]
fn every_broadcast_vector_decodes_as_written() {
    let all = vectors(include_str!("fixtures/ble/polar_adv.json"));
    assert_eq!(all.len(), 11);
    for vector in &all {
        let note = &vector["note"];
        let company = u16::try_from(vector["company_id"].as_u64().unwrap()).unwrap();
        let data = hex(vector["btleplug_manufacturer_value"].as_str().unwrap());
        let decoded = polar_broadcast::decode(company, &data);
        let expected = &vector["decoded"];
        assert_eq!(decoded.is_some(), expected["hr_present"].as_bool().unwrap(), "{note}");
        let Some(broadcast) = decoded else { continue };
        assert_eq!(u64::from(broadcast.bpm), expected["slow"].as_u64().unwrap(), "{note}: slow");
        assert_eq!(
            u64::from(broadcast.fast_bpm),
            expected["fast"].as_u64().unwrap(),
            "{note}: fast"
        );
        assert_eq!(
            u64::from(broadcast.counter),
            expected["counter"].as_u64().unwrap(),
            "{note}: counter"
        );
        assert_eq!(
            u64::from(broadcast.channel),
            expected["khz"].as_u64().unwrap(),
            "{note}: channel"
        );
        assert_eq!(broadcast.contact, expected["contact"] == 1, "{note}: contact");
    }
}

mod any_bytes {
    use super::*;
    use proptest::prelude::*;
    use pulsegate::sensor::{PROFILES, device_information, polar_name};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            for profile in PROFILES {
                let _ = profile.decode(&bytes);
            }
            let _ = polar_broadcast::decode(polar_broadcast::COMPANY, &bytes);
            let mut info = Default::default();
            for characteristic in device_information::CHARACTERISTICS {
                device_information::note(&mut info, characteristic, &bytes);
            }
            let _ = polar_name::parse(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn what_a_strap_encodes_is_what_we_decode(
            bpm in 0u16..400,
            energy in proptest::option::of(any::<u16>()),
            rr in proptest::collection::vec(1u16.., 0..20),
            contact in 0..3,
        ) {
            use pulsegate::reading::{HeartRate, RrInterval, Source};
            let contact = [Contact::Unknown, Contact::NotWorn, Contact::Worn][contact as usize];
            let heart_rate = HeartRate {
                bpm, contact, energy_kj: energy, rr: rr.into_iter().map(RrInterval).collect(), source: Source::Link,
            };
            let decoded = HeartRateMeasurement.decode(&pulsegate::sensor::encode_heart_rate(&heart_rate)).unwrap();
            prop_assert_eq!(decoded.measurement, Measurement::HeartRate(heart_rate));
            prop_assert_eq!(decoded.trailing, 0);
        }
    }
}
