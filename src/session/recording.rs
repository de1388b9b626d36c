//! A session as a recording: its readings from the log become an activity, samples and beats, as `fit::encode` and other
//! writers take them. One pass, nothing collected but pauses.
//!
//! A file begins with what its end tells, so readings are read twice: once for [`Recording::activity`], and once more for
//! the items themselves.

use super::axis::Axis;
use super::heard::{Ear, HOLD_US, Heard};
use super::told::Ended;
use crate::activity::{
    Activity, ActivityId, Beat, Counts, Device, Item, Origin, PAUSES_MAX, Pause, Quality, RrMillis,
    Sample, Totals, UnixMs,
};
use crate::reading::{Entry, EntryId, Fact, HeartRate, Measurement, StrapId};
use crate::timeline::{TimeQuality, Timeline};

/// `sport` and `sub_sport` in FIT: training, cardio training. Services name an activity by the two together.
const TRAINING: u8 = 10;
const CARDIO_TRAINING: u8 = 26;
/// `ble_device_type` in FIT: a heart-rate strap.
const STRAP: u8 = 1;
/// `source_type` in FIT: Bluetooth LE.
const BLUETOOTH_LE: u8 = 3;
/// `manufacturer` in FIT.
const POLAR: u16 = 123;

/// Turns the entries of one session into what streams from a recording.
#[derive(Debug, Clone)]
pub struct Recording<'s> {
    ended: &'s Ended,
    start: UnixMs,
    end_us: u64,
    axis: Axis,
    ear: Ear,
    next: EntryId,
    /// Since when a heart rate holds.
    holds_us: Option<u64>,
    /// Where the heart rate before ended.
    active_to_us: u64,
    pauses: Vec<Pause>,
    counts: Counts,
}

impl<'s> Recording<'s> {
    /// Of this session.
    pub fn new(ended: &'s Ended) -> Self {
        let session = &ended.session;
        Self {
            ended,
            start: UnixMs(session.start.unix_us.div_euclid(1000)),
            end_us: (ended.summary.elapsed_s * 1e6).round() as u64,
            axis: Axis::new(&session.began),
            ear: Ear::default(),
            next: session.first,
            holds_us: None,
            active_to_us: 0,
            pauses: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Takes the next entry of the log, from the session's first to its last, and gives what a recording has of it. What is
    /// not of this session, is a repeat, or tells no heart rate gives nothing.
    pub fn entry(&mut self, entry: &Entry, timeline: &Timeline) -> Vec<Item> {
        let is_of_it = (self.next..=self.ended.last).contains(&entry.id);
        let Some((heart_rate, at)) =
            of_strap(entry, &self.ended.session.strap).filter(|_| is_of_it)
        else {
            return Vec::new();
        };
        self.next = entry.id.plus(1);
        let at_us = self.axis.us(at, timeline).min(self.end_us);
        match self.ear.hear(at_us, heart_rate) {
            Heard::Again => Vec::new(),
            Heard::Nothing => {
                self.settle(at_us);
                Vec::new()
            }
            Heard::Rate(bpm) => {
                self.settle(at_us);
                self.pause(at_us);
                self.holds_us = Some(at_us);
                self.items(self.moment(at_us), bpm, heart_rate)
            }
        }
    }

    fn items(&mut self, at: UnixMs, bpm: u16, heart_rate: &HeartRate) -> Vec<Item> {
        self.counts.records += 1;
        self.counts.hr_samples += 1;
        self.counts.hr_sum += f64::from(bpm);
        self.counts.rr_intervals += heart_rate.rr.len() as u64;
        let heart_rate_bpm = u8::try_from(bpm).ok();
        let sample = Item::Sample(Sample { at: Some(at), heart_rate_bpm, ..Sample::default() });
        let beat = |rr: &_| Item::Beat(Beat { after: Some(at), rr: RrMillis::from(*rr) });
        std::iter::once(sample).chain(heart_rate.rr.iter().map(beat)).collect()
    }

    /// What held, holds no more.
    fn settle(&mut self, at_us: u64) {
        if let Some(from_us) = self.holds_us.take() {
            self.active_to_us = at_us.clamp(from_us, from_us.saturating_add(HOLD_US));
        }
    }

    /// A heart rate comes again.
    fn pause(&mut self, at_us: u64) {
        if at_us > self.active_to_us && self.pauses.len() < PAUSES_MAX {
            let (from, to) = (self.moment(self.active_to_us), self.moment(at_us));
            self.pauses.push(Pause { from, to });
        }
    }

    fn moment(&self, us: u64) -> UnixMs {
        self.start.plus_ms(i64::try_from(us / 1000).unwrap_or(i64::MAX))
    }

    /// The session as an activity, once all its entries were taken.
    pub fn activity(self) -> Activity {
        let (session, summary) = (&self.ended.session, &self.ended.summary);
        let whole = |bpm: u16| u8::try_from(bpm).ok();
        Activity {
            id: ActivityId(session.id.0),
            index: 0,
            origin: Origin { created: Some(self.start), ..Origin::default() },
            sport: Some(TRAINING),
            sub_sport: Some(CARDIO_TRAINING),
            sport_name: session.class.as_ref().map(|class| class.name.clone()),
            start: self.start,
            utc_offset_min: None,
            totals: Totals {
                elapsed_s: Some(summary.elapsed_s),
                timer_s: Some(summary.active_s),
                calories_kcal: summary.calories_kcal.map(|kcal| kcal.round() as u16),
                avg_hr_bpm: summary.avg_bpm.and_then(|bpm| whole(bpm.round() as u16)),
                max_hr_bpm: summary.max_bpm.and_then(whole),
                min_hr_bpm: summary.min_bpm.and_then(whole),
                ..Totals::default()
            },
            laps: Vec::new(),
            pauses: self.pauses,
            devices: vec![device(&session.strap)],
            counts: self.counts,
            quality: Quality {
                clock_unset: session.start.quality == TimeQuality::Unset,
                ..Quality::default()
            },
        }
    }
}

fn of_strap<'e>(
    entry: &'e Entry,
    strap: &StrapId,
) -> Option<(&'e HeartRate, &'e crate::reading::At)> {
    let Fact::Reading(reading) = &entry.fact else { return None };
    let Measurement::HeartRate(heart_rate) = &reading.measurement else { return None };
    (reading.strap == *strap).then_some((heart_rate, &reading.at))
}

/// A strap as it stands in a FIT file. What has an id of eight hex digits is Polar's, and that is its serial number.
fn device(strap: &StrapId) -> Device {
    let id = strap.as_str();
    let serial = u32::from_str_radix(id, 16).ok().filter(|_| id.len() == 8);
    Device {
        index: 1,
        device_type: Some(STRAP),
        manufacturer: serial.map(|_| POLAR),
        serial,
        source: Some(BLUETOOTH_LE),
        ..Device::default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::num::NonZeroU32;

    use super::*;
    use crate::athlete::Profile;
    use crate::fit;
    use crate::fit::encode::{Creator, Encoder};
    use crate::reading::{At, BootId, ClockTrust, Contact, Reading, RrInterval, Source};
    use crate::session::told::{Command, Output, Wearer};
    use crate::session::{Rules, Tracker};

    const UNIX_US: i64 = 1_795_539_600_000_000;

    fn entry(id: u64, second: u64, bpm: u16, source: Source) -> Entry {
        let rr = if source == Source::Link { vec![RrInterval(512); 2] } else { Vec::new() };
        let heart_rate = HeartRate { bpm, contact: Contact::Worn, energy_kj: None, rr, source };
        let strap = StrapId::new(if id.is_multiple_of(7) { "B2" } else { "9F6E5322" }).unwrap();
        let at = At {
            boot: BootId(1),
            mono_us: second * 1_000_000,
            wall_offset_us: UNIX_US,
            trust: ClockTrust::Synced,
        };
        let measurement = Measurement::HeartRate(heart_rate);
        Entry { id: EntryId(id), fact: Fact::Reading(Reading { strap, at, measurement }) }
    }

    /// Two minutes, half a minute of nothing, another minute; somebody else's readings and broadcasts between.
    fn log() -> Vec<Entry> {
        let seconds = (0..120).chain(150..210);
        let entry = |(index, second): (u64, u64)| {
            let id = 1 + index;
            let source = if id.is_multiple_of(5) { Source::Broadcast } else { Source::Link };
            entry(id, second, 120 + second as u16 / 10, source)
        };
        (0..).zip(seconds).map(entry).collect()
    }

    fn session(log: &[Entry], timeline: &Timeline) -> Ended {
        let mut tracker = Tracker::new("box-1", Rules::default());
        let wearer = Wearer {
            athlete: crate::athlete::AthleteId(uuid::Uuid::nil()),
            profile: Profile::default(),
        };
        let strap = StrapId::new("9F6E5322").unwrap();
        let at = *log[0].fact.at();
        tracker.command(&at, Command::Wears { strap, wearer: Some(wearer) }, timeline);
        log.iter().for_each(|entry| drop(tracker.entry(entry, timeline)));
        let late = At { mono_us: 1_000_000_000, ..at };
        let told = tracker.pass(&late, timeline);
        let ended = told.into_iter().find_map(|output| match output {
            Output::Ended(ended) if ended.session.strap.as_str() == "9F6E5322" => Some(*ended),
            Output::Started(_) | Output::Ended(_) => None,
        });
        ended.unwrap()
    }

    #[test]
    fn a_session_becomes_a_fit_file_that_says_what_its_summary_says() {
        let (log, timeline) = (log(), Timeline::default());
        let ended = session(&log, &timeline);
        let mut first = Recording::new(&ended);
        log.iter().for_each(|entry| drop(first.entry(entry, &timeline)));
        let activity = first.activity();
        // Second 118 is somebody else's, 119 a broadcast: the heart rate of 117 holds.
        let (from, to) = (activity.start.plus_ms(122_000), activity.start.plus_ms(150_000));
        assert_eq!(activity.pauses, [Pause { from, to }]);
        assert_eq!(activity.devices[0].serial, Some(0x9F6E_5322));

        let creator = Creator {
            product: 1,
            serial: NonZeroU32::MIN,
            name: "Pulsegate".to_owned(),
            software_version: 1,
        };
        let mut file = Cursor::new(Vec::new());
        let mut encoder = Encoder::new(&mut file, &activity, &creator).unwrap();
        let mut second = Recording::new(&ended);
        // Whatever is delivered twice counts once.
        for entry in log.iter().flat_map(|entry| [entry, entry]) {
            for item in second.entry(entry, &timeline) {
                encoder.item(item).unwrap();
            }
        }
        let written = encoder.finish().unwrap();
        assert_eq!(written.counts.rr_intervals, activity.counts.rr_intervals);
        assert_eq!(written.counts.hr_sum, activity.counts.hr_sum);

        let mut items = 0;
        let bytes = file.into_inner();
        let mut sink = |_, _| items += 1;
        let limits = fit::Limits::default();
        let report = fit::read(Cursor::new(bytes), &limits, &mut || true, &mut sink).unwrap();
        let [read] = report.activities.as_slice() else { panic!("{report:?}") };
        assert_eq!(read.start, activity.start);
        let near = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 0.001;
        assert!(near(read.totals.elapsed_s, ended.summary.elapsed_s), "{read:?}");
        assert!(near(read.totals.timer_s, ended.summary.active_s), "{read:?}");
        assert_eq!(read.totals.avg_hr_bpm, activity.totals.avg_hr_bpm);
        assert!(items > 300, "{items}");
    }

    #[test]
    fn pauses_and_heart_rates_add_up_to_the_summary() {
        let (log, timeline) = (log(), Timeline::default());
        let ended = session(&log, &timeline);
        let mut recording = Recording::new(&ended);
        log.iter().for_each(|entry| drop(recording.entry(entry, &timeline)));
        let activity = recording.activity();
        let paused: i64 = activity.pauses.iter().map(|pause| pause.to.0 - pause.from.0).sum();
        assert!((paused as f64 / 1000.0 - ended.summary.paused_s).abs() < 1e-9, "{ended:?}");
        assert_eq!(activity.id.0, ended.session.id.0);
    }
}
