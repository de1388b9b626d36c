//! What a file says of its recordings as wholes: who recorded, sessions, laps, pauses, devices, the time zone.
//!
//! All of it is needed before the first record can be told to belong to a session, and files may say it at their end.
//! So it is gathered in a pass of its own; its lists are bounded.

use super::FileKind;
use super::decode::Message;
use super::heart::Hearts;
use super::scan::{Event, Frame};
use super::stream::moment;
use super::table::{
    ELAPSED, START_TIME, TIMER, TIMESTAMP, TotalsFields, activity, device_info, event,
    field_description, file_id, hr, hrv, lap, record, session, sport,
};
use crate::activity::{DEVICES_MAX, Device, Lap, Origin, Pause, Totals, UnixMs};

/// Most sessions of one recording.
const SESSIONS_MAX: usize = 64;
/// Most laps of one recording, of all of its sessions together.
const LAPS_MAX: usize = 4096;
/// Most pauses of one recording.
const PAUSES_MAX: usize = 4096;

/// Tells the recordings in a file from each other. A segment that begins with a `file_id` begins a recording; one that
/// does not goes on with the one before: watches put what they were handed later into segments of their own.
#[derive(Debug, Default)]
pub struct Recordings {
    current: usize,
    begun: bool,
    fresh: bool,
}

impl Recordings {
    /// Which recording, counted from 0, this belongs to.
    pub fn of(&mut self, event: &Event<'_>) -> usize {
        match event {
            Event::Segment => self.fresh = true,
            Event::Message(frame) => {
                if self.fresh && self.begun && frame.definition.message == file_id::MESSAGE {
                    self.current += 1;
                }
                self.fresh = false;
                self.begun = true;
            }
        }
        self.current
    }
}

/// One session as its device summed it up.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub start: UnixMs,
    pub sport: Option<u8>,
    pub sub_sport: Option<u8>,
    pub sport_name: Option<String>,
    pub totals: Totals,
    /// There is no such summary in the file: what it says was found in the records.
    pub synthesised: bool,
}

/// One recording.
#[derive(Debug, Default)]
pub struct Recording {
    file_type: Option<u8>,
    identified: bool,
    pub origin: Origin,
    /// In order of their starts, once [finished](Recording::finish).
    pub sessions: Vec<Session>,
    pub laps: Vec<Lap>,
    pub pauses: Vec<Pause>,
    pub devices: Vec<Device>,
    pub utc_offset_min: Option<i16>,
    pub hearts: Hearts,
    /// Summaries that did not fit.
    pub left_out: u64,
    stopped: Option<UnixMs>,
    sport: Session,
    messages: u64,
    /// Records and messages of beats.
    streamed: u64,
    first: Option<UnixMs>,
    last: Option<UnixMs>,
}

/// Whether a message is read in the first pass: everything but what streams.
pub fn is_summary(frame: &Frame<'_>) -> bool {
    !matches!(frame.definition.message, record::MESSAGE | hrv::MESSAGE | field_description::MESSAGE)
}

/// Whether a message is read in the second pass.
pub fn is_streamed(frame: &Frame<'_>) -> bool {
    !is_summary(frame)
}

impl Recording {
    /// Notes that a message is there, read or not; `time` is when, if it says so.
    pub fn count(&mut self, frame: &Frame<'_>, time: Option<u32>) {
        self.messages += 1;
        match frame.definition.message {
            record::MESSAGE => {
                self.streamed += 1;
                let at = time.map(moment);
                self.first = self.first.or(at);
                self.last = at.or(self.last);
            }
            hrv::MESSAGE => self.streamed += 1,
            _ => {}
        }
    }

    /// Takes in a summary.
    pub fn take(&mut self, number: u16, message: &Message<'_>, time: Option<u32>) {
        match number {
            file_id::MESSAGE => self.identify(message),
            sport::MESSAGE => {
                self.sport = Session {
                    sport: message.whole(sport::SPORT),
                    sub_sport: message.whole(sport::SUB_SPORT),
                    sport_name: message.text(sport::NAME),
                    ..Session::default()
                };
            }
            session::MESSAGE => self.session(message),
            lap::MESSAGE => self.lap(message),
            event::MESSAGE => self.event(message, time),
            device_info::MESSAGE => self.device(message),
            activity::MESSAGE => self.activity(message),
            hr::MESSAGE => self.hearts.add(message, message.whole(TIMESTAMP)),
            _ => {}
        }
    }

    fn identify(&mut self, message: &Message<'_>) {
        if std::mem::replace(&mut self.identified, true) {
            return;
        }
        self.file_type = message.whole(file_id::TYPE);
        self.origin = Origin {
            manufacturer: message.whole(file_id::MANUFACTURER),
            product: message.whole(file_id::PRODUCT),
            serial: message.whole(file_id::SERIAL_NUMBER).filter(|serial| *serial != 0),
            created: message.whole(file_id::TIME_CREATED).map(moment),
            product_name: message.text(file_id::PRODUCT_NAME),
        };
    }

    fn session(&mut self, message: &Message<'_>) {
        if self.sessions.len() >= SESSIONS_MAX {
            self.left_out += 1;
            return;
        }
        self.sessions.push(Session {
            start: start(message).or(self.first).or(self.origin.created).unwrap_or_default(),
            sport: message.whole(session::SPORT),
            sub_sport: message.whole(session::SUB_SPORT),
            sport_name: message.text(session::SPORT_PROFILE_NAME),
            totals: totals(message, &session::TOTALS),
            synthesised: false,
        });
    }

    fn lap(&mut self, message: &Message<'_>) {
        match start(message) {
            Some(start) if self.laps.len() < LAPS_MAX => self.laps.push(Lap {
                start,
                totals: totals(message, &lap::TOTALS),
                trigger: message.whole(lap::TRIGGER),
            }),
            _ => self.left_out += 1,
        }
    }

    fn event(&mut self, message: &Message<'_>, time: Option<u32>) {
        let (Some(at), Some(event::TIMER)) = (time.map(moment), message.whole(event::EVENT)) else {
            return;
        };
        let kind = message.whole::<u8>(event::EVENT_TYPE);
        if kind.is_some_and(|kind| event::STOPS.contains(&kind)) {
            self.stopped.get_or_insert(at);
        } else if kind == Some(event::START)
            && let Some(from) = self.stopped.take()
            && from < at
        {
            if self.pauses.len() < PAUSES_MAX {
                self.pauses.push(Pause { from, to: at });
            } else {
                self.left_out += 1;
            }
        }
    }

    /// Devices say the same again and again: what is said last counts, and what is not said again stays.
    fn device(&mut self, message: &Message<'_>) {
        let Some(index) = message.whole(device_info::DEVICE_INDEX) else { return };
        let place = self.devices.iter().position(|device| device.index == index);
        let place = place.unwrap_or_else(|| {
            self.devices.push(Device { index, ..Device::default() });
            self.devices.len() - 1
        });
        let device = &mut self.devices[place];
        let said = |field| message.whole(field);
        device.manufacturer = said(device_info::MANUFACTURER).or(device.manufacturer);
        device.product = said(device_info::PRODUCT).or(device.product);
        device.serial = message.whole(device_info::SERIAL_NUMBER).or(device.serial);
        device.software_version = said(device_info::SOFTWARE_VERSION).or(device.software_version);
        device.source = message.whole(device_info::SOURCE_TYPE).or(device.source);
        device.battery_percent =
            message.whole(device_info::BATTERY_LEVEL).or(device.battery_percent);
        if let Some(name) = message.text(device_info::PRODUCT_NAME) {
            device.product_name = Some(name);
        }
    }

    /// The time zone: what the clock on the wall was ahead of UTC when the activity was written.
    fn activity(&mut self, message: &Message<'_>) {
        let (Some(at), Some(local)) =
            (message.whole::<i64>(TIMESTAMP), message.whole::<i64>(activity::LOCAL_TIMESTAMP))
        else {
            return;
        };
        let quarters = (local - at + 450).div_euclid(900);
        if quarters.abs() <= 14 * 4 {
            self.utc_offset_min = Some((quarters * 15) as i16);
        }
    }

    /// What the file is, by its own word, or by what is in it.
    pub fn kind(&self) -> FileKind {
        match self.file_type {
            Some(4) => FileKind::Activity,
            Some(kind) => FileKind::from_number(kind),
            None if !self.sessions.is_empty() || self.streamed > 0 => FileKind::Activity,
            None if self.messages == 0 => FileKind::Empty,
            None => FileKind::Other(0xFF),
        }
    }

    /// Puts everything in order when all of it was taken in. An activity without a session gets one.
    pub fn finish(&mut self) {
        self.devices.sort_by_key(|device| device.index);
        self.devices.truncate(DEVICES_MAX);
        self.laps.sort_by_key(|lap| lap.start);
        self.pauses.sort_by_key(|pause| pause.from);
        self.sessions.sort_by_key(|session| session.start);
        let something = self.streamed > 0 || !self.laps.is_empty();
        if self.kind() == FileKind::Activity && self.sessions.is_empty() && something {
            let lap = self.laps.first().map(|lap| lap.start);
            let start = self.first.or(lap).or(self.origin.created).unwrap_or_default();
            let elapsed = self.last.map(|last| (last.0 - start.0).max(0));
            let paused: i64 = self.pauses.iter().map(|pause| pause.to.0 - pause.from.0).sum();
            let seconds = |ms: i64| ms.max(0) as f64 / 1000.0;
            let totals = Totals {
                elapsed_s: elapsed.map(seconds),
                timer_s: elapsed.map(|elapsed| seconds(elapsed - paused)),
                ..Totals::default()
            };
            self.sessions.push(Session { start, totals, synthesised: true, ..self.sport.clone() });
        }
    }

    /// Which session something at `at` belongs to: the latest that had begun. What is before all of them belongs to
    /// the first, what is behind the end of one to that one, so that nothing is lost.
    pub fn session_at(&self, at: UnixMs) -> usize {
        self.sessions.partition_point(|session| session.start <= at).saturating_sub(1)
    }
}

/// When a session or a lap began. The time stamp of a summary says only when it was written: at its end, as a rule.
fn start(message: &Message<'_>) -> Option<UnixMs> {
    message.whole(START_TIME).map(moment).or_else(|| {
        let written: u32 = message.whole(TIMESTAMP)?;
        let elapsed = message.number(ELAPSED)?;
        Some(moment(written).plus_ms(-(elapsed * 1000.0).round() as i64))
    })
}

fn totals(message: &Message<'_>, fields: &TotalsFields) -> Totals {
    Totals {
        elapsed_s: message.number(ELAPSED),
        timer_s: message.number(TIMER),
        distance_m: message.number(fields.distance),
        calories_kcal: message.whole(fields.calories),
        avg_hr_bpm: message.whole(fields.avg_heart_rate),
        max_hr_bpm: message.whole(fields.max_heart_rate),
        min_hr_bpm: message.whole(fields.min_heart_rate),
        avg_speed_mps: message.either(fields.avg_speed),
        max_speed_mps: message.either(fields.max_speed),
        avg_power_w: message.whole(fields.avg_power),
        max_power_w: message.whole(fields.max_power),
        avg_cadence_rpm: message.whole(fields.avg_cadence),
        max_cadence_rpm: message.whole(fields.max_cadence),
        ascent_m: message.whole(fields.ascent),
        descent_m: message.whole(fields.descent),
    }
}
