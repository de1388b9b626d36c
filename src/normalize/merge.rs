//! Several recordings of one workout become one: for each field the better source, and which that was. Pure.
//!
//! | field | from | why |
//! |---|---|---|
//! | start, end, timer, pauses | the best recording | its clock is the box's, which a time server sets; and who wore the strap from when to when is known of it alone |
//! | heart rate, beats | the best recording that has a heart rate, both from the same | a strap hears the heart's current, a watch guesses at the wrist; and they have to lie in time where each other is |
//! | distance, speed, ascent | the best that has a distance, all from the same | so that they agree with each other |
//! | power | the best that has it | |
//! | cadence | the best that has it | |
//! | calories | who measured power; else the best that has them | work that was measured tells more than a heart rate |
//! | sport | the best that knows more than "training" | a strap does not |
//! | laps | who has the distance; else the best that has any | their times are of that recording |
//!
//! Which is the better one: a strap's session, then FIT, TCX, GPX (each keeps less than the one before), then one that is
//! whole, that has beats, that has more heart rates. It does not depend on which came in first.
//!
//! Only what sums up is merged. Samples stay with the recording that they stream from: [`From`] says which that is, so that
//! a ride of twenty hours takes no memory here.

use std::cmp::Reverse;

use serde::Serialize;

use crate::activity::{Activity, ActivityId, Checksum, FileFormat, Summary};

/// `sport` in FIT that says nothing: generic, training, and a fitness equipment of whatever kind.
const VAGUE: [u8; 3] = [0, 10, 4];

/// How good a recording is: of two the greater is the better one. Never the same of two.
pub fn rank(summary: &Summary) -> impl Ord + use<> {
    let format = match summary.format {
        FileFormat::Fit => 2,
        FileFormat::Tcx => 1,
        FileFormat::Gpx => 0_u8,
    };
    let quality = &summary.quality;
    let is_whole = quality.broken_at.is_none() && quality.checksum != Checksum::Bad;
    let has_beats = summary.rr_intervals > 0;
    let id = Reverse(summary.activity);
    (summary.session.is_some(), format, is_whole, has_beats, summary.hr_samples, id)
}

/// Which recording a field of a merged workout is from; `None` where no recording has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct From {
    /// Start, end, timer and pauses.
    pub times: Option<ActivityId>,
    /// Heart rates and what they sum up to.
    pub heart_rate: Option<ActivityId>,
    /// RR intervals.
    pub beats: Option<ActivityId>,
    /// Distance, speed, ascent and descent; positions stream from it too.
    pub distance: Option<ActivityId>,
    /// Power.
    pub power: Option<ActivityId>,
    /// Cadence.
    pub cadence: Option<ActivityId>,
    /// Calories.
    pub calories: Option<ActivityId>,
    /// Sport.
    pub sport: Option<ActivityId>,
    /// Laps.
    pub laps: Option<ActivityId>,
}

/// One workout, of all its recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// As one activity, under the id of the best recording.
    pub activity: Activity,
    /// What is from which.
    pub from: From,
}

/// Merges recordings of one workout: the best one, and the others from the better to the lesser ([`rank`]).
pub fn merge(best: &Activity, others: &[&Activity]) -> Merged {
    let all: Vec<&Activity> = std::iter::once(best).chain(others.iter().copied()).collect();
    let first = |has: fn(&Activity) -> bool| all.iter().copied().find(|one| has(one));
    let heart_rate = first(|one| one.counts.hr_samples > 0 || one.totals.avg_hr_bpm.is_some());
    let beats = heart_rate.filter(|one| one.counts.rr_intervals > 0);
    let distance = first(|one| one.totals.distance_m.is_some_and(|metres| metres > 0.0));
    let power = first(|one| one.totals.avg_power_w.is_some_and(|watts| watts > 0));
    let cadence = first(|one| one.totals.avg_cadence_rpm.is_some_and(|rpm| rpm > 0));
    let sport = first(|one| one.sport.is_some_and(|sport| !VAGUE.contains(&sport)));
    let sport = sport.or_else(|| first(|one| one.sport.is_some()));
    let has_calories = |one: &Activity| one.totals.calories_kcal.is_some_and(|kcal| kcal > 0);
    let calories = power.filter(|one| has_calories(one)).or_else(|| first(has_calories));
    let laps = distance.filter(|one| !one.laps.is_empty());
    let laps = laps.or_else(|| first(|one| !one.laps.is_empty()));
    let mut activity = best.clone();
    let totals = &mut activity.totals;
    if let Some(Activity { totals: theirs, .. }) = heart_rate {
        totals.avg_hr_bpm = theirs.avg_hr_bpm;
        totals.max_hr_bpm = theirs.max_hr_bpm;
        totals.min_hr_bpm = theirs.min_hr_bpm;
    }
    if let Some(Activity { totals: theirs, .. }) = distance {
        totals.distance_m = theirs.distance_m;
        totals.avg_speed_mps = theirs.avg_speed_mps;
        totals.max_speed_mps = theirs.max_speed_mps;
        totals.ascent_m = theirs.ascent_m;
        totals.descent_m = theirs.descent_m;
    }
    if let Some(Activity { totals: theirs, .. }) = power {
        totals.avg_power_w = theirs.avg_power_w;
        totals.max_power_w = theirs.max_power_w;
    }
    if let Some(Activity { totals: theirs, .. }) = cadence {
        totals.avg_cadence_rpm = theirs.avg_cadence_rpm;
        totals.max_cadence_rpm = theirs.max_cadence_rpm;
    }
    if let Some(theirs) = calories {
        totals.calories_kcal = theirs.totals.calories_kcal;
    }
    if let Some(theirs) = sport {
        activity.sport = theirs.sport;
        activity.sub_sport = theirs.sub_sport;
        activity.sport_name = best.sport_name.clone().or_else(|| theirs.sport_name.clone());
    }
    if let Some(theirs) = laps {
        activity.laps.clone_from(&theirs.laps);
    }
    if activity.utc_offset_min.is_none() {
        activity.utc_offset_min = all.iter().find_map(|one| one.utc_offset_min);
    }
    let id = |one: Option<&Activity>| one.map(|one| one.id);
    let from = From {
        times: Some(best.id),
        heart_rate: id(heart_rate),
        beats: id(beats),
        distance: id(distance),
        power: id(power),
        cadence: id(cadence),
        calories: id(calories),
        sport: id(sport),
        laps: id(laps),
    };
    Merged { activity, from }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::{Counts, Lap, Origin, Quality, Totals, UnixMs};

    fn activity(index: u32, sport: u8, totals: Totals) -> Activity {
        let origin = Origin::default();
        let start = UnixMs::from_seconds(1_795_284_000 + i64::from(index));
        Activity {
            id: ActivityId::new(&origin, start, index, None),
            index: 0,
            origin,
            sport: Some(sport),
            sub_sport: None,
            sport_name: None,
            start,
            utc_offset_min: None,
            totals,
            laps: Vec::new(),
            pauses: Vec::new(),
            devices: Vec::new(),
            counts: Counts::default(),
            quality: Quality::default(),
        }
    }

    /// A strap, a bike computer and an app that knows the place alone.
    fn three() -> [Activity; 3] {
        let strap = Totals {
            elapsed_s: Some(3600.0),
            avg_hr_bpm: Some(141),
            max_hr_bpm: Some(172),
            calories_kcal: Some(640),
            ..Totals::default()
        };
        let mut strap = activity(0, 10, strap);
        strap.counts = Counts { hr_samples: 3600, rr_intervals: 8000, ..Counts::default() };
        let computer = Totals {
            elapsed_s: Some(3500.0),
            avg_hr_bpm: Some(139),
            max_hr_bpm: Some(190),
            calories_kcal: Some(580),
            avg_power_w: Some(180),
            max_power_w: Some(700),
            avg_cadence_rpm: Some(85),
            distance_m: Some(0.0),
            ..Totals::default()
        };
        let mut computer = activity(1, 2, computer);
        computer.counts = Counts { hr_samples: 3500, ..Counts::default() };
        computer.utc_offset_min = Some(120);
        let app = Totals {
            distance_m: Some(30_000.0),
            avg_speed_mps: Some(8.3),
            ascent_m: Some(210),
            calories_kcal: Some(900),
            ..Totals::default()
        };
        let mut app = activity(2, 2, app);
        app.laps.push(Lap { start: app.start, totals: app.totals, trigger: None });
        [strap, computer, app]
    }

    #[test]
    fn each_field_is_from_the_better_source_and_says_from_which() {
        let [strap, computer, app] = three();
        let Merged { activity, from } = merge(&strap, &[&computer, &app]);
        assert_eq!((activity.id, activity.start), (strap.id, strap.start));
        let totals = &activity.totals;
        assert_eq!((totals.elapsed_s, totals.avg_hr_bpm), (Some(3600.0), Some(141)));
        assert_eq!(totals.max_hr_bpm, Some(172), "not what the watch made of a bump");
        assert_eq!((totals.avg_power_w, totals.calories_kcal), (Some(180), Some(580)));
        let moved = (totals.distance_m, totals.avg_speed_mps, totals.ascent_m);
        assert_eq!(moved, (Some(30_000.0), Some(8.3), Some(210)));
        assert_eq!((activity.sport, activity.utc_offset_min), (Some(2), Some(120)));
        assert_eq!(activity.laps.len(), 1);
        let expected = From {
            times: Some(strap.id),
            heart_rate: Some(strap.id),
            beats: Some(strap.id),
            distance: Some(app.id),
            power: Some(computer.id),
            cadence: Some(computer.id),
            calories: Some(computer.id),
            sport: Some(computer.id),
            laps: Some(app.id),
        };
        assert_eq!(from, expected);
    }

    #[test]
    fn without_power_the_calories_of_the_strap_count_and_alone_it_stays_as_it_is() {
        let [strap, mut computer, app] = three();
        computer.totals.avg_power_w = Some(0);
        let merged = merge(&strap, &[&computer, &app]);
        assert_eq!(merged.activity.totals.calories_kcal, Some(640));
        assert_eq!((merged.from.power, merged.from.calories), (None, Some(strap.id)));
        assert_eq!(merge(&app, &[]).activity, app);
    }

    #[test]
    fn a_strap_is_better_than_a_fit_file_that_than_tcx_and_that_than_gpx() {
        let [strap, computer, _] = three();
        let file = |format| Summary::new(&computer, "00", format);
        let session = crate::workout::StrapSession {
            strap: crate::reading::StrapId::new("9F6E5322").unwrap(),
            athlete: None,
            class: None,
            ended: crate::session::Why::Silence,
            time: crate::timeline::TimeQuality::Synced,
            effort: crate::session::SessionSummary::default(),
        };
        let of_strap = Summary {
            session: Some(Box::new(session)),
            ..Summary::new(&strap, "00", FileFormat::Fit)
        };
        let mut damaged = file(FileFormat::Fit);
        damaged.quality.broken_at = Some(7);
        let all = [
            of_strap,
            file(FileFormat::Fit),
            damaged,
            file(FileFormat::Tcx),
            file(FileFormat::Gpx),
        ];
        assert!(all.is_sorted_by(|better, lesser| rank(better) > rank(lesser)));
    }
}
