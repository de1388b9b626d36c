//! What readings sum up to, by examples that can be worked out by hand.

#[cfg(test)]
use super::*;
use crate::athlete::{MaxHr, MaxHrOrigin, Profile, RestingHr, RestingHrOrigin, Sex};
use crate::reading::{Contact, RrInterval, Source};

const SECOND: u64 = 1_000_000;

fn link(bpm: u16) -> HeartRate {
    HeartRate {
        bpm,
        contact: Contact::Unknown,
        energy_kj: None,
        rr: Vec::new(),
        source: Source::Link,
    }
}

fn effort(readings: &[(u64, u16)]) -> Effort {
    let mut effort = Effort::default();
    for (second, bpm) in readings {
        effort.reading(second * SECOND, &link(*bpm));
    }
    effort
}

fn somebody() -> Body {
    let profile = Profile {
        birth_year: Some(1986),
        sex: Some(Sex::Male),
        weight_kg: Some(80.0),
        max_hr: Some(MaxHr { bpm: 190, origin: MaxHrOrigin::Given }),
        resting_hr: Some(RestingHr { bpm: 60, origin: RestingHrOrigin::Given }),
        zones_from_bpm: None,
        max_hr_raised: None,
    };
    Body::new(&profile, Some(2026))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

/// Kcal by Keytel: 80 kg, 40 years, 150 bpm make (−55.0969 + 94.635 + 15.904 + 8.068) / 4.184 = 15.18 a minute.
#[test]
fn an_hour_at_one_heart_rate_is_the_formula_times_sixty() {
    let readings: Vec<_> = (0..3600).map(|second| (second, 150)).collect();
    let told = effort(&readings).summary(3600 * SECOND, &somebody());
    assert!(
        near(told.elapsed_s, 3600.0) && near(told.active_s, 3600.0) && near(told.paused_s, 0.0)
    );
    assert_eq!((told.avg_bpm, told.min_bpm, told.max_bpm), (Some(150.0), Some(150), Some(150)));
    assert!(near(told.calories_kcal.unwrap(), 60.0 * 63.5101 / 4.184), "{told:?}");
    // 150 of 190 are 78 percent: zone 3.
    assert!(near(told.zones.unwrap().0[3], 3600.0));
    assert!(near(told.points.unwrap(), 180.0) && near(told.trimp_edwards.unwrap(), 180.0));
    let reserve = 90.0 / 130.0;
    let banister = 60.0 * reserve * 0.64 * f64::exp(1.92 * reserve);
    assert!(near(told.trimp_banister.unwrap(), banister));
    assert_eq!((told.hrv, told.recovery, told.exceeded), (None, None, None));
}

#[test]
fn a_value_holds_until_the_next_one_and_five_seconds_at_most() {
    let told = effort(&[(0, 100), (4, 120), (20, 140)]).summary(22 * SECOND, &somebody());
    assert!(near(told.active_s, 4.0 + 5.0 + 2.0) && near(told.paused_s, 11.0));
    let mean = (4.0 * 100.0 + 5.0 * 120.0 + 2.0 * 140.0) / 11.0;
    assert!(near(told.avg_bpm.unwrap(), mean));
    let later = effort(&[(0, 100)]).summary(60 * SECOND, &somebody());
    assert!(near(later.active_s, 5.0) && near(later.paused_s, 55.0));
}

#[test]
fn no_beat_ends_what_held() {
    let mut whole = effort(&[(0, 100), (2, 0), (3, 100)]);
    let off = HeartRate { contact: Contact::NotWorn, ..link(100) };
    whole.reading(4 * SECOND, &off);
    assert_eq!((whole.end_us(), whole.bpm_at(4 * SECOND)), (4 * SECOND, None));
    let told = whole.summary(10 * SECOND, &somebody());
    assert!(near(told.active_s, 3.0) && near(told.paused_s, 7.0));
}

#[test]
fn a_broadcast_of_what_the_link_tells_changes_nothing() {
    let alone = effort(&[(0, 100), (1, 101), (2, 102)]);
    let mut both = Effort::default();
    for (second, bpm) in [(0, 100), (1, 101), (2, 102)] {
        both.reading(second * SECOND, &link(bpm));
        let echo = HeartRate { source: Source::Broadcast, ..link(180) };
        assert_eq!(both.reading(second * SECOND + 300_000, &echo), Heard::Again);
    }
    let until = 5 * SECOND;
    assert_eq!(alone.summary(until, &somebody()), both.summary(until, &somebody()));
}

#[test]
fn beats_across_a_gap_are_no_neighbours() {
    let with = |second: u64, rr: &[u16], effort: &mut Effort| {
        let rr = rr.iter().map(|rr| RrInterval(*rr)).collect();
        effort.reading(second * SECOND, &HeartRate { rr, ..link(75) });
    };
    let mut effort = Effort::default();
    with(0, &[800, 810], &mut effort);
    with(4, &[800], &mut effort);
    with(9, &[900, 900], &mut effort);
    let hrv = effort.summary(9 * SECOND, &Body::default()).hrv.unwrap();
    assert_eq!((hrv.beats, hrv.artefacts), (5, 0));
    // Differences of 10, 10 and 0.
    assert!(near(hrv.rmssd_ms * 1.024, (200.0f64 / 3.0).sqrt()));
}

#[test]
fn a_profile_that_is_corrected_counts_from_the_beginning() {
    let effort = effort(&[(0, 150), (3, 160), (6, 170)]);
    let unknown = effort.summary(8 * SECOND, &Body::default());
    assert!(near(unknown.active_s, 8.0) && unknown.avg_bpm.is_some());
    let none = (unknown.zones, unknown.calories_kcal, unknown.points, unknown.of_max);
    assert_eq!(none, (None, None, None, None));
    assert_eq!((unknown.trimp_banister, unknown.trimp_edwards), (None, None));
    assert!(effort.summary(8 * SECOND, &somebody()).calories_kcal.unwrap() > 0.0);
}

#[test]
fn a_maximum_that_was_exceeded_for_half_a_minute_is_told() {
    let readings: Vec<_> = (0..40).map(|second| (second, 193)).collect();
    let told = effort(&readings).summary(40 * SECOND, &somebody());
    let raised = Some(MaxHr { bpm: 193, origin: MaxHrOrigin::Exceeded });
    assert_eq!((told.exceeded, told.of_max.unwrap().bpm), (raised, 190));
    let short = effort(&readings[..29]).summary(29 * SECOND, &somebody());
    assert_eq!(short.exceeded, None);
}

#[test]
fn zones_of_ones_own_move_points_and_leave_edwards_alone() {
    let own = Profile {
        zones_from_bpm: Some([140, 145, 150, 155, 160]),
        max_hr: Some(MaxHr { bpm: 190, origin: MaxHrOrigin::Given }),
        ..Profile::default()
    };
    let readings: Vec<_> = (0..60).map(|second| (second, 160)).collect();
    let told = effort(&readings).summary(60 * SECOND, &Body::new(&own, None));
    assert!(near(told.points.unwrap(), 4.0) && near(told.trimp_edwards.unwrap(), 4.0));
    assert!(near(told.zones.unwrap().0[5], 60.0));
}

#[test]
fn a_checkpoint_is_small_and_goes_on_as_if_nothing_had_been() {
    let readings: Vec<_> = (0..3000).map(|second| (second, 90 + (second / 30) as u16)).collect();
    let (first, rest) = readings.split_at(1234);
    let text = serde_json::to_string(&effort(first)).unwrap();
    assert!(text.len() < 1500, "{} bytes", text.len());
    let mut resumed: Effort = serde_json::from_str(&text).unwrap();
    for (second, bpm) in rest {
        resumed.reading(second * SECOND, &link(*bpm));
    }
    assert_eq!(resumed, effort(&readings));
    let broken = text.replace("[[90,", "[[10,");
    assert!(serde_json::from_str::<Effort>(&broken).is_err());
}

#[test]
fn times_out_of_order_or_out_of_reach_are_no_reason_to_panic() {
    let mut effort = effort(&[(10, 100), (5, 110)]);
    assert_eq!(effort.bpm_at(10 * SECOND), Some(110));
    effort.reading(u64::MAX, &link(120));
    let told = effort.summary(0, &somebody());
    assert!(near(told.active_s, 5.0), "{told:?}");
    effort.summary(u64::MAX, &somebody());
}
