//! Made-up people and what they did.

use pulsegate::activity::{
    Activity, ActivityId, Counts, Device, Lap, Origin, Pause, Quality, RrMillis, Totals, UnixMs,
};
use pulsegate::athlete::{
    Athlete, AthleteId, Consent, Hide, MaxHr, MaxHrOrigin, Profile, RestingHr, RestingHrOrigin, Sex,
};
use pulsegate::session::{Hrv, Recovery, SessionSummary, ZoneTimes};
use pulsegate::workout::{TimedBeat, TimedRate, Workout};
use uuid::Uuid;

/// 2026-07-01T06:04:11Z.
pub const START: UnixMs = UnixMs::from_seconds(1_782_885_851);

pub fn aino() -> Athlete {
    Athlete {
        id: AthleteId(Uuid::from_u128(0x40f7_b0e1_89e2_43ac_a5b8_1e29_c8d4_7cad)),
        display_name: "Aino".to_owned(),
        legal_name: Some("Aino Maria Virtanen".to_owned()),
        reference_id: Some("member-4711".to_owned()),
        profile: Profile {
            birth_year: Some(1994),
            sex: Some(Sex::Female),
            weight_kg: Some(61.5),
            max_hr: Some(MaxHr { bpm: 190, origin: MaxHrOrigin::Given }),
            resting_hr: Some(RestingHr { bpm: 52, origin: RestingHrOrigin::Given }),
            zones_from_bpm: None,
            max_hr_raised: None,
        },
        hide: Hide::default(),
        consent: Some(Consent { at: START.plus_ms(-86_400_000), text: "2026-1".to_owned() }),
        accounts: Vec::new(),
        created: START.plus_ms(-86_400_000),
    }
}

fn bare(sport: u8, sub_sport: u8) -> Activity {
    let origin = Origin { serial: Some(7), created: Some(START), ..Origin::default() };
    Activity {
        id: ActivityId::new(&origin, START, 0, None),
        index: 0,
        origin,
        sport: Some(sport),
        sub_sport: Some(sub_sport),
        sport_name: None,
        start: START,
        utc_offset_min: Some(60),
        totals: Totals::default(),
        laps: Vec::new(),
        pauses: Vec::new(),
        devices: Vec::new(),
        counts: Counts::default(),
        quality: Quality::default(),
    }
}

/// A session under a strap, of so many seconds.
pub fn class(seconds: u64) -> Workout {
    let gateway = Device {
        manufacturer: Some(255),
        serial: Some(7),
        product_name: Some("Pulsegate".to_owned()),
        software_version: Some(10),
        ..Device::default()
    };
    let strap = Device {
        index: 1,
        device_type: Some(1),
        manufacturer: Some(123),
        serial: Some(0x9F6E_5322),
        product_name: Some("Polar H10".to_owned()),
        source: Some(3),
        ..Device::default()
    };
    let length = seconds as f64;
    let effort = SessionSummary {
        elapsed_s: length,
        active_s: length,
        paused_s: 0.0,
        avg_bpm: Some(148.2),
        min_bpm: Some(92),
        max_bpm: Some(181),
        of_max: Some(MaxHr { bpm: 190, origin: MaxHrOrigin::Given }),
        zones: Some(ZoneTimes([0.0, 0.1, 0.2, 0.3, 0.25, 0.15].map(|part| part * length))),
        calories_kcal: Some(512.5),
        trimp_banister: Some(104.25),
        trimp_edwards: Some(141.0),
        points: Some(132.0),
        hrv: Some(Hrv {
            rmssd_ms: 24.1,
            sdnn_ms: 38.0,
            pnn50_percent: 4.5,
            beats: 7205,
            artefacts: 12,
        }),
        recovery: Some(Recovery { from_bpm: 165, after_60_s: Some(31), after_120_s: Some(48) }),
        exceeded: None,
    };
    let counts = Counts { hr_samples: seconds, hr_sum: 148.2 * length, ..Counts::default() };
    let activity = Activity {
        sport_name: Some("Gym session".to_owned()),
        devices: vec![gateway, strap],
        counts,
        ..bare(62, 70)
    };
    Workout { activity, athlete: Some(aino()), effort: Some(effort) }
}

/// A ride that a bike computer recorded, with all that it sums up.
pub fn ride() -> Workout {
    let lap = |seconds: i64, trigger| Lap {
        start: START.plus_ms(seconds * 1000),
        totals: Totals {
            elapsed_s: Some(600.0),
            timer_s: Some(550.4),
            distance_m: Some(4800.5),
            calories_kcal: Some(155),
            avg_hr_bpm: Some(139),
            avg_speed_mps: Some(8.25),
            avg_power_w: Some(211),
            ..Totals::default()
        },
        trigger,
    };
    let computer = Device {
        manufacturer: Some(1),
        serial: Some(3_949_444_444),
        product_name: Some("Edge 840".to_owned()),
        software_version: Some(2106),
        ..Device::default()
    };
    let activity = Activity {
        totals: Totals {
            elapsed_s: Some(1200.0),
            timer_s: Some(1100.0),
            distance_m: Some(9601.0),
            calories_kcal: Some(310),
            avg_hr_bpm: Some(139),
            max_hr_bpm: Some(171),
            min_hr_bpm: Some(88),
            avg_speed_mps: Some(8.25),
            max_speed_mps: Some(14.125),
            avg_power_w: Some(211),
            max_power_w: Some(640),
            avg_cadence_rpm: Some(88),
            max_cadence_rpm: Some(112),
            ascent_m: Some(135),
            descent_m: Some(130),
        },
        laps: vec![lap(0, Some(0)), lap(600, Some(7))],
        pauses: vec![Pause { from: START.plus_ms(300_000), to: START.plus_ms(400_000) }],
        devices: vec![computer],
        ..bare(2, 7)
    };
    Workout { activity, athlete: Some(aino()), effort: None }
}

/// A workout of which next to nothing is known.
pub fn unknown() -> Workout {
    let activity = Activity { sport: None, sub_sport: None, utc_offset_min: None, ..bare(0, 0) };
    Workout {
        activity,
        athlete: Some(Athlete { profile: Profile::default(), ..aino() }),
        effort: None,
    }
}

/// A heart rate a second.
pub fn rates(seconds: i64) -> impl Iterator<Item = TimedRate> + Clone {
    (0..seconds).map(|second| TimedRate {
        at: START.plus_ms(second * 1000),
        bpm: (110.0 + 40.0 * (second as f64 / 300.0).sin()).round() as u16,
    })
}

/// The beats of it.
pub fn beats(seconds: i64) -> impl Iterator<Item = TimedBeat> + Clone {
    rates(seconds)
        .scan(START.0, |next, rate| {
            let rr = 60_000 / i64::from(rate.bpm);
            let second_over = rate.at.0 + 1000;
            let mut came = Vec::new();
            while *next < second_over {
                *next += rr;
                came.push(TimedBeat { at: UnixMs(*next), rr: RrMillis(rr as u16) });
            }
            Some(came)
        })
        .flatten()
}
