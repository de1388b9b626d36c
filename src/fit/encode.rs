//! An activity as a FIT file: our own writer of the plainest file that every decoder reads.
//!
//! Messages stand in the order that devices use: what recorded it, timer start, records with the beats of the same
//! second behind them, timer stops and starts at pauses, timer stop, laps, session, activity. Samples and beats stream
//! through; what is kept is a record in the making and the sums of each lap. What a file must agree with itself about is
//! checked while it is written ([`Contradiction`]).
//!
//! It writes one session. It does not copy what some other device wrote: an imported FIT file is passed on as its bytes.

mod summary;
mod sums;
mod wire;

use std::io::{self, Seek, Write};
use std::num::NonZeroU32;

use ring::digest::{SHA256, digest};

use super::stream::{FIRST_DATE, FIT_EPOCH, moment};
use crate::activity::{Activity, Beat, Counts, Device, Item, RrMillis, Sample, UnixMs};
use crate::reading::StrapId;

use summary::Summaries;
pub use summary::SummaryOf;
use wire::{HRV_SLOTS, Kind, Value, Wire};

/// `manufacturer`: nobody that Garmin has registered. Other numbers would be a lie.
const DEVELOPMENT: u16 = 255;

/// `event`: the timer.
const TIMER: u8 = 0;
/// `source_type`: what recorded it, itself.
const LOCAL: u8 = 5;
/// `event_type`
const START: u8 = 0;
const STOP_ALL: u8 = 4;

/// Who writes the file. Strava and Garmin tell files apart by product, serial number and the second of their begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creator {
    /// Our number of the product.
    pub product: u16,
    /// Stands for the box that wrote the file, for ever.
    pub serial: NonZeroU32,
    /// Name of the product; 31 bytes of it are kept.
    pub name: String,
    /// Version of the software, in hundredths.
    pub software_version: u16,
}

/// Our one product.
const PRODUCT: u16 = 1;

impl Creator {
    /// This box as the writer of a session of this strap, or of what it has taken from elsewhere: the same for ever, and
    /// another than any other box and any other strap. Those who tell files apart by their writer and their second would
    /// take two people who begin together for one.
    pub fn of(gateway: &str, strap: Option<&StrapId>) -> Self {
        let mut name = gateway.to_owned();
        if let Some(strap) = strap {
            name.push('/');
            name.push_str(strap.as_str());
        }
        let hash = digest(&SHA256, name.as_bytes());
        let bytes = hash.as_ref().first_chunk().expect("a SHA-256 has 32 bytes");
        let part = |text: &str| text.parse::<u16>().unwrap_or(0);
        Self {
            product: PRODUCT,
            serial: NonZeroU32::new(u32::from_le_bytes(*bytes)).unwrap_or(NonZeroU32::MIN),
            name: "Pulsegate".to_owned(),
            software_version: part(env!("CARGO_PKG_VERSION_MAJOR")) * 100
                + part(env!("CARGO_PKG_VERSION_MINOR")) * 10,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Written {
    /// What a decoder finds in the file.
    pub counts: Counts,
    /// Samples that came in the second of another: what it had not, went into its record.
    pub merged: u64,
    /// Samples without a time.
    pub untimed: u64,
    /// Beats that took no time, or too long for the format.
    pub beats_left_out: u64,
    /// Length of the file.
    pub bytes: u64,
}

/// Why no file was written. What has been written of it is no FIT file: its header is empty.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The disk.
    #[error("a FIT file could not be written")]
    Write(#[from] io::Error),
    /// The activity contradicts itself, and decoders would refuse the file or tell wrong sums.
    #[error("the activity cannot be a FIT file: {0}")]
    Contradiction(#[from] Contradiction),
}

/// What an activity must not say of itself. Times are in UTC.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Contradiction {
    /// A time that FIT has no number for.
    #[error("{0} is no date in FIT, which knows those from 1998-07-05 to 2126-02-06")]
    NoDate(UnixMs),
    /// Not one sample has a time.
    #[error("it has no record: none of its samples has a time")]
    NoRecord,
    /// Time goes backwards.
    #[error("the sample of {at} comes after that of {before}")]
    Backwards {
        /// The sample.
        at: UnixMs,
        /// The one before it.
        before: UnixMs,
    },
    /// A sample that is not of this activity.
    #[error("the sample of {at} is outside of the activity, which lasts from {start} to {end}")]
    Outside {
        /// The sample.
        at: UnixMs,
        /// Where the activity begins.
        start: UnixMs,
        /// Where it ends.
        end: UnixMs,
    },
    /// A pause that begins before the one before it ends, ends before it begins, or is outside of the activity.
    #[error("pause {0} (from 0) is out of order or outside of the activity")]
    Pause(usize),
    /// The first lap does not begin with the activity, or another not after the one before it, or after the end.
    #[error(
        "lap {0} (from 0) does not begin where one can: laps cover the activity, one after the other"
    )]
    Lap(usize),
    /// The timer ran longer than there was time.
    #[error("the timer is said to have run {timer_ms} ms in {elapsed_ms} ms")]
    Timer {
        /// What the timer shows.
        timer_ms: u32,
        /// From start to end.
        elapsed_ms: u32,
    },
    /// The timers of the laps are not that of the session.
    #[error("the timers of the laps make {laps_ms} ms, that of the session says {session_ms} ms")]
    LapTimers {
        /// All laps together.
        laps_ms: i64,
        /// The session.
        session_ms: u32,
    },
    /// The lowest, average and highest heart rate are not in this order.
    #[error(
        "the heart rates of {of} are not in order: lowest {min:?}, average {avg:?}, highest {max:?}"
    )]
    HeartRates {
        /// Whose.
        of: SummaryOf,
        /// Lowest, in beats per minute.
        min: Option<u8>,
        /// Average, in beats per minute.
        avg: Option<u8>,
        /// Highest, in beats per minute.
        max: Option<u8>,
    },
}

/// Seconds in FIT.
fn fit_time(at: UnixMs) -> Result<u32, Contradiction> {
    let seconds = u32::try_from(at.seconds().saturating_sub(FIT_EPOCH)).ok();
    let date = seconds.filter(|seconds| (FIRST_DATE..u32::MAX).contains(seconds));
    date.ok_or(Contradiction::NoDate(at))
}

/// A record in the making: what was measured within one second, and the beats behind it.
#[derive(Debug, Clone, Copy)]
struct Pending {
    time: u32,
    sample: Sample,
    /// It is in the file already, because there were more beats than are kept.
    is_written: bool,
    beats: [u16; HRV_SLOTS],
    beat_count: usize,
}

impl Pending {
    fn new(time: u32, sample: Sample) -> Self {
        Self { time, sample, is_written: false, beats: [u16::MAX; HRV_SLOTS], beat_count: 0 }
    }
}

/// Writes one file: give it the items in their order, then [`Encoder::finish`].
#[derive(Debug)]
pub struct Encoder<W> {
    wire: Wire<W>,
    start: u32,
    /// When the activity ends, if it says so.
    end: Option<UnixMs>,
    /// When the timer stops (even) and starts (odd), in order.
    switches: Vec<u32>,
    /// How many of them are in the file.
    switched: usize,
    pending: Option<Pending>,
    summaries: Summaries,
    written: Written,
}

impl<W: Write + Seek> Encoder<W> {
    /// Begins a file where `out` stands.
    ///
    /// # Errors
    ///
    /// What the activity says may contradict itself, `out` may fail.
    pub fn new(out: W, activity: &Activity, creator: &Creator) -> Result<Self, EncodeError> {
        let start = fit_time(activity.start)?;
        let end = activity.totals.elapsed_s.map(|_| activity.end());
        if let Some(end) = end {
            fit_time(end)?;
        }
        let summaries = Summaries::new(activity, start)?;
        let switches = switches(activity, end)?;
        let mut encoder = Self {
            wire: Wire::new(out)?,
            start,
            end,
            switches,
            switched: 0,
            pending: None,
            summaries,
            written: Written::default(),
        };
        encoder.head(activity, creator)?;
        Ok(encoder)
    }

    /// What recorded it, and that the timer started. Who writes the file stands in `file_id` and `file_creator`; where
    /// something else recorded the activity, its name stands there too, and it is the device of index 0.
    fn head(&mut self, activity: &Activity, creator: &Creator) -> io::Result<()> {
        let serial = creator.serial.get();
        let origin = &activity.origin;
        let name = origin.product_name.as_deref().unwrap_or(&creator.name);
        let file_id = [
            (0, Value::Enum(Some(4))),
            (1, Value::U16(Some(DEVELOPMENT))),
            (2, Value::U16(Some(creator.product))),
            (3, Value::U32z(Some(serial))),
            (4, Value::U32(Some(self.start))),
            (8, Value::Text(name)),
        ];
        self.wire.message(Kind::FileId, &file_id)?;
        let version = Value::U16(Some(creator.software_version));
        self.wire.message(Kind::FileCreator, &[(0, version)])?;
        let recorder = match &origin.product_name {
            None => Device {
                manufacturer: Some(DEVELOPMENT),
                product: Some(creator.product),
                serial: Some(serial),
                product_name: Some(creator.name.clone()),
                software_version: Some(creator.software_version),
                ..Device::default()
            },
            Some(_) => Device {
                manufacturer: origin.manufacturer,
                product: origin.product,
                serial: origin.serial,
                product_name: origin.product_name.clone(),
                ..Device::default()
            },
        };
        self.device(&Device { source: Some(LOCAL), ..recorder })?;
        // The box stands in the list of its own sessions too.
        let is_creator = |device: &&Device| {
            device.manufacturer == Some(DEVELOPMENT) && device.serial == Some(serial)
        };
        let others = activity.devices.iter().filter(|device| !is_creator(device));
        for (device, index) in others.zip(1..) {
            self.device(&Device { index, ..device.clone() })?;
        }
        self.timer(self.start, START)
    }

    fn device(&mut self, device: &Device) -> io::Result<()> {
        let fields = [
            (253, Value::U32(Some(self.start))),
            (0, Value::U8(Some(device.index))),
            (1, Value::U8(device.device_type)),
            (2, Value::U16(device.manufacturer)),
            (3, Value::U32z(device.serial)),
            (4, Value::U16(device.product)),
            (5, Value::U16(device.software_version)),
            (25, Value::Enum(device.source)),
            (27, Value::Text(device.product_name.as_deref().unwrap_or_default())),
            (32, Value::U8(device.battery_percent)),
        ];
        self.wire.message(Kind::DeviceInfo, &fields)
    }

    fn timer(&mut self, time: u32, event_type: u8) -> io::Result<()> {
        let fields = [
            (253, Value::U32(Some(time))),
            (0, Value::Enum(Some(TIMER))),
            (1, Value::Enum(Some(event_type))),
            (4, Value::U8(Some(0))),
        ];
        self.wire.message(Kind::Event, &fields)
    }

    /// Writes what comes next.
    ///
    /// # Errors
    ///
    /// It may contradict what came before, `out` may fail. Nothing must follow.
    pub fn item(&mut self, item: Item) -> Result<(), EncodeError> {
        match item {
            Item::Sample(sample) => self.sample(sample),
            Item::Beat(beat) => Ok(self.beat(beat)?),
        }
    }

    fn sample(&mut self, sample: Sample) -> Result<(), EncodeError> {
        let Some(at) = sample.at else {
            self.written.untimed += 1;
            return Ok(());
        };
        let time = fit_time(at)?;
        // Nobody's heart beats 0 times a minute: no beat was found.
        let heart_rate_bpm = sample.heart_rate_bpm.filter(|bpm| *bpm != 0 && *bpm != u8::MAX);
        let sample = Sample { heart_rate_bpm, ..sample };
        match &mut self.pending {
            Some(pending) if pending.time == time => {
                self.written.merged += 1;
                if !pending.is_written {
                    fill_gaps(&mut pending.sample, &sample);
                }
                return Ok(());
            }
            Some(pending) if pending.time > time => {
                return Err(Contradiction::Backwards { at, before: moment(pending.time) }.into());
            }
            None if time > self.start => self.begin()?,
            _ => {}
        }
        if time < self.start || self.end.is_some_and(|end| at > end) {
            let (start, end) = (moment(self.start), self.end.unwrap_or(at));
            return Err(Contradiction::Outside { at, start, end }.into());
        }
        self.settle(time)?;
        self.pending = Some(Pending::new(time, sample));
        Ok(())
    }

    /// A session begins with its first record: where nothing was measured yet, it is empty.
    fn begin(&mut self) -> io::Result<()> {
        self.settle(self.start)?;
        self.pending = Some(Pending::new(self.start, Sample::default()));
        Ok(())
    }

    fn beat(&mut self, beat: Beat) -> io::Result<()> {
        let RrMillis(ms) = beat.rr;
        if ms == 0 || ms == u16::MAX {
            self.written.beats_left_out += 1;
            return Ok(());
        }
        if self.pending.is_none() {
            self.begin()?;
        }
        let Some(pending) = &mut self.pending else { return Ok(()) };
        pending.beats[pending.beat_count] = ms;
        pending.beat_count += 1;
        self.written.counts.rr_intervals += 1;
        if pending.beat_count == HRV_SLOTS { self.write_pending() } else { Ok(()) }
    }

    /// Writes the record in the making and its beats; it stays, because its second is not over.
    fn write_pending(&mut self) -> io::Result<()> {
        let Some(mut pending) = self.pending else { return Ok(()) };
        if !pending.is_written {
            self.record(pending.time, &pending.sample)?;
            pending.is_written = true;
        }
        if pending.beat_count > 0 {
            self.wire.message(Kind::Hrv, &[(0, Value::Beats(pending.beats))])?;
            (pending.beats, pending.beat_count) = ([u16::MAX; HRV_SLOTS], 0);
        }
        self.pending = Some(pending);
        Ok(())
    }

    fn record(&mut self, time: u32, sample: &Sample) -> io::Result<()> {
        let counts = &mut self.written.counts;
        counts.records += 1;
        counts.hr_samples += u64::from(sample.heart_rate_bpm.is_some());
        counts.hr_sum += f64::from(sample.heart_rate_bpm.unwrap_or(0));
        let timestamp = (253, Value::U32(Some(time)));
        let heart_rate = (3, Value::U8(sample.heart_rate_bpm));
        let has_heart_alone = *sample
            == Sample { at: sample.at, heart_rate_bpm: sample.heart_rate_bpm, ..Sample::default() };
        if has_heart_alone {
            return self.wire.message(Kind::HeartRecord, &[timestamp, heart_rate]);
        }
        let cadence = sample.cadence_rpm.filter(|rpm| (0.0..254.5).contains(rpm));
        let fields = [
            timestamp,
            heart_rate,
            (0, Value::I32(sample.position.map(|place| place.lat))),
            (1, Value::I32(sample.position.map(|place| place.lon))),
            (5, scaled(sample.distance_m, 100.0)),
            (73, scaled(sample.speed_mps, 1000.0)),
            (78, scaled(sample.altitude_m.map(|metres| metres + 500.0), 5.0)),
            (4, Value::U8(cadence.map(|rpm| rpm as u8))),
            (53, Value::U8(cadence.map(|rpm| (rpm.fract() * 128.0) as u8))),
            (7, Value::U16(sample.power_w)),
            (13, Value::I8(sample.temperature_c)),
            (33, Value::U16(sample.calories_kcal)),
        ];
        self.wire.message(Kind::FullRecord, &fields)
    }

    /// Brings the file up to `next`, when the next record is: the record in the making, then what the timer did.
    fn settle(&mut self, next: u32) -> io::Result<()> {
        self.write_pending()?;
        if let Some(pending) = self.pending.take() {
            let stop = self.switches.get(self.switched).filter(|_| self.switched.is_multiple_of(2));
            let until = stop.map_or(next, |stop| next.min((*stop).max(pending.time)));
            self.summaries.add(pending.time, &pending.sample, until - pending.time);
        }
        while let Some(time) = self.switches.get(self.switched).copied() {
            // A record of the second of a stop is before it, one of the second of a start behind it.
            let is_stop = self.switched.is_multiple_of(2);
            if time > next || (is_stop && time == next) {
                break;
            }
            self.timer(time, if is_stop { STOP_ALL } else { START })?;
            self.switched += 1;
        }
        Ok(())
    }

    /// Writes the summaries and makes the file whole.
    ///
    /// # Errors
    ///
    /// What was summed up may contradict what the activity says, `out` may fail.
    pub fn finish(mut self) -> Result<Written, EncodeError> {
        let latest = self.pending.as_ref().ok_or(Contradiction::NoRecord)?.time;
        let end = self.end.unwrap_or(moment(latest));
        let end_time = fit_time(end)?;
        // The last record stands for a second, whether or not the end is known.
        self.settle(end_time.max(latest + 1))?;
        self.timer(end_time, STOP_ALL)?;
        self.summaries.write(&mut self.wire, end)?;
        Ok(Written { bytes: self.wire.finish()?, ..self.written })
    }
}

/// A physical value as it is kept; what does not fit is left out.
fn scaled(value: Option<f64>, scale: f64) -> Value<'static> {
    let raw = value.map(|value| (value * scale).round());
    let fits = raw.filter(|raw| (0.0..f64::from(u32::MAX)).contains(raw));
    Value::U32(fits.map(|raw| raw as u32))
}

/// The seconds in which the timer stops and starts, in turn.
fn switches(activity: &Activity, end: Option<UnixMs>) -> Result<Vec<u32>, Contradiction> {
    let mut before = activity.start;
    let mut times = Vec::with_capacity(2 * activity.pauses.len());
    for (index, pause) in activity.pauses.iter().enumerate() {
        if pause.from < before || pause.to < pause.from || end.is_some_and(|end| pause.to > end) {
            return Err(Contradiction::Pause(index));
        }
        before = pause.to;
        times.extend([fit_time(pause.from)?, fit_time(pause.to)?]);
    }
    Ok(times)
}

/// Takes from `more` what `sample` has not.
fn fill_gaps(sample: &mut Sample, more: &Sample) {
    *sample = Sample {
        at: sample.at,
        heart_rate_bpm: sample.heart_rate_bpm.or(more.heart_rate_bpm),
        position: sample.position.or(more.position),
        altitude_m: sample.altitude_m.or(more.altitude_m),
        speed_mps: sample.speed_mps.or(more.speed_mps),
        distance_m: sample.distance_m.or(more.distance_m),
        cadence_rpm: sample.cadence_rpm.or(more.cadence_rpm),
        power_w: sample.power_w.or(more.power_w),
        temperature_c: sample.temperature_c.or(more.temperature_c),
        calories_kcal: sample.calories_kcal.or(more.calories_kcal),
    };
}

#[cfg(test)]
mod tests;
