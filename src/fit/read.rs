//! Reads a file: a pass for its structure and its summaries, a pass for what streams.

use std::io::{self, Read, Seek};

use super::decode::{Decoder, Message};
use super::heart::Merge;
use super::scan::{Event, Findings, Scan, ScanError, Times};
use super::stream::{HeartRates, Stream, is_undated, moment};
use super::summary::{Recording, Recordings, is_streamed, is_summary};
use super::table::{hrv, record};
use super::{Class, FileKind, FileReport, Limits};
use crate::activity::{
    Activity, ActivityId, Checksum, Counts, Item, LAPS_MAX, PAUSES_MAX, Quality, Sample, UnixMs,
};

/// Messages between two questions whether to go on.
const MESSAGES_A_TURN: u32 = 1024;

/// Reads a FIT file and says what it holds. Whatever the bytes are, it ends, and holds no more than a few megabytes.
///
/// Records and beats go to `sink` one by one in the order of the file, with the place of their activity in
/// [`FileReport::activities`]; they come before the report, so a sink that must not act on a bad file waits for it.
/// Files that are no activities have nothing for the sink. `go_on` is asked now and then; when it says no (a deadline),
/// the file is rejected.
///
/// # Errors
///
/// Only what the reader fails with. Bad files are [`Class::Rejected`].
pub fn read(
    reader: impl Read + Seek,
    limits: &Limits,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(usize, Item),
) -> io::Result<FileReport> {
    match try_read(reader, limits, go_on, sink) {
        Ok(report) => Ok(report),
        Err(Stop::Scan(ScanError::Io(error))) => Err(error),
        Err(Stop::Scan(error)) => Ok(FileReport::rejected(error.to_string())),
        Err(Stop::Deadline) => {
            Ok(FileReport::rejected("reading took longer than is allowed".to_owned()))
        }
    }
}

enum Stop {
    Scan(ScanError),
    Deadline,
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

fn try_read(
    reader: impl Read + Seek,
    limits: &Limits,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(usize, Item),
) -> Result<FileReport, Stop> {
    let mut scan = Scan::new(reader, limits)?;
    let mut turns = Turns { go_on, left: 0 };
    let recordings = summaries(&mut scan, &mut turns)?;
    let findings = scan.findings().clone();
    scan.rewind()?;
    let streamed = stream(&mut scan, &recordings, &mut turns, sink)?;
    Ok(report(recordings, &streamed, &findings))
}

/// Asks now and then whether to go on.
struct Turns<'a> {
    go_on: &'a mut dyn FnMut() -> bool,
    left: u32,
}

impl Turns<'_> {
    fn take(&mut self) -> Result<(), Stop> {
        if self.left == 0 {
            if !(self.go_on)() {
                return Err(Stop::Deadline);
            }
            self.left = MESSAGES_A_TURN;
        }
        self.left -= 1;
        Ok(())
    }
}

/// The first pass.
fn summaries(
    scan: &mut Scan<'_, impl Read + Seek>,
    turns: &mut Turns<'_>,
) -> Result<Vec<Recording>, Stop> {
    let mut found = vec![Recording::default()];
    let mut recordings = Recordings::default();
    let mut decoder = Decoder::new();
    let mut times = Times::default();
    while let Some(event) = scan.step()? {
        turns.take()?;
        let place = recordings.of(&event);
        let Event::Message(frame) = event else {
            decoder = Decoder::new();
            times = Times::default();
            continue;
        };
        if place == found.len() {
            found.push(Recording::default());
        }
        let recording = &mut found[place];
        let time = times.of(&frame);
        recording.count(&frame, time);
        if is_summary(&frame)
            && let Some(message) = decoder.read(&frame)
        {
            recording.take(frame.definition.message, &message, time);
        }
    }
    found.iter_mut().for_each(Recording::finish);
    Ok(found)
}

/// What streamed of one session.
#[derive(Debug, Clone, Copy, Default)]
struct Streamed {
    counts: Counts,
    untimed: u64,
    distance_m: Option<f64>,
    /// The first record, as it stands in the file.
    first: Option<Sample>,
}

/// What streamed of a recording, session by session; one that has none counts as one.
type SessionsStreamed = Vec<Streamed>;

struct Second {
    recordings: Vec<SessionsStreamed>,
    skipped: u64,
}

/// The second pass.
fn stream(
    scan: &mut Scan<'_, impl Read + Seek>,
    found: &[Recording],
    turns: &mut Turns<'_>,
    sink: &mut dyn FnMut(usize, Item),
) -> Result<Second, Stop> {
    let sessions = |recording: &Recording| recording.sessions.len().max(1);
    let mut streamed: Vec<SessionsStreamed> =
        found.iter().map(|recording| vec![Streamed::default(); sessions(recording)]).collect();
    let mut skipped = 0;
    let mut recordings = Recordings::default();
    let mut decoder = Decoder::new();
    let mut times = Times::default();
    let mut current = Current::new(0, found);
    while let Some(event) = scan.step()? {
        turns.take()?;
        let place = recordings.of(&event);
        let Event::Message(frame) = event else {
            current.records(&mut decoder, &mut streamed, sink);
            skipped += decoder.skipped();
            decoder = Decoder::new();
            times = Times::default();
            continue;
        };
        if place != current.place {
            current = Current::new(place, found);
        }
        let time = times.of(&frame);
        if !is_streamed(&frame) {
            continue;
        }
        if !decoder.joins(&frame) {
            current.records(&mut decoder, &mut streamed, sink);
        }
        match frame.definition.message {
            record::MESSAGE => {
                decoder.gather(&frame, time);
            }
            number => {
                if let Some(message) = decoder.read(&frame)
                    && number == hrv::MESSAGE
                {
                    current.beats(&message, &mut streamed, sink);
                }
            }
        }
    }
    current.records(&mut decoder, &mut streamed, sink);
    skipped += decoder.skipped();
    Ok(Second { recordings: streamed, skipped })
}

/// The recording that is being read.
struct Current<'a> {
    place: usize,
    recording: &'a Recording,
    stream: Stream,
    hearts: Merge<'a>,
    session: usize,
    /// Place of its first activity among those of the file.
    activities_before: usize,
}

impl<'a> Current<'a> {
    fn new(place: usize, found: &'a [Recording]) -> Self {
        let recording = &found[place];
        Self {
            place,
            recording,
            stream: Stream::default(),
            hearts: recording.hearts.merge(),
            session: 0,
            activities_before: found[..place].iter().map(activities).sum(),
        }
    }

    /// Gives the records that were gathered.
    fn records(
        &mut self,
        decoder: &mut Decoder,
        streamed: &mut [SessionsStreamed],
        sink: &mut dyn FnMut(usize, Item),
    ) {
        let to = &mut streamed[self.place];
        decoder.give(&mut |message, time| {
            let at = time.map(moment);
            let (mut sample, mut rates) = self.stream.sample(message, at);
            let as_it_stands = sample;
            if let Some(bpm) = time.and_then(|time| self.hearts.rate(time)) {
                sample.heart_rate_bpm = Some(bpm);
                rates = HeartRates { count: 1, sum: f64::from(bpm) };
            }
            self.session = at.map_or(self.session, |at| self.recording.session_at(at));
            let session = &mut to[self.session];
            session.first.get_or_insert(as_it_stands);
            session.sample(&sample, rates);
            self.give(Item::Sample(sample), sink);
        });
    }

    /// Gives the beats of a message.
    fn beats(
        &self,
        message: &Message<'_>,
        streamed: &mut [SessionsStreamed],
        sink: &mut dyn FnMut(usize, Item),
    ) {
        for beat in self.stream.beats(message) {
            streamed[self.place][self.session].counts.rr_intervals += 1;
            self.give(Item::Beat(beat), sink);
        }
    }

    fn give(&self, item: Item, sink: &mut dyn FnMut(usize, Item)) {
        if activities(self.recording) > 0 {
            sink(self.activities_before + self.session, item);
        }
    }
}

/// How many activities come of a recording.
fn activities(recording: &Recording) -> usize {
    if recording.kind() == FileKind::Activity { recording.sessions.len() } else { 0 }
}

impl Streamed {
    fn sample(&mut self, sample: &Sample, rates: HeartRates) {
        self.counts.records += 1;
        self.counts.hr_samples += rates.count;
        self.counts.hr_sum += rates.sum;
        self.untimed += u64::from(sample.at.is_none());
        self.distance_m = sample.distance_m.or(self.distance_m);
    }
}

/// Puts together what both passes found.
fn report(found: Vec<Recording>, second: &Second, findings: &Findings) -> FileReport {
    let left_out: u64 =
        found.iter().map(|recording| recording.left_out + recording.hearts.left_out()).sum();
    let mut quality = Quality {
        checksum: findings.checksum.unwrap_or(Checksum::Absent),
        broken_at: findings.broken_at,
        skipped_messages: second.skipped + left_out,
        ..Quality::default()
    };
    let kinds: Vec<FileKind> = found.iter().map(Recording::kind).collect();
    let mut counts = Counts::default();
    let mut all = Vec::new();
    for (recording, streamed) in found.into_iter().zip(&second.recordings) {
        for session in streamed {
            counts.add(&session.counts);
            quality.untimed_records += session.untimed;
        }
        if activities(&recording) > 0 {
            all.extend(of_recording(recording, streamed, &quality));
        }
    }
    quality.synthesised = all.iter().any(|activity: &Activity| activity.quality.synthesised);
    quality.clock_unset = all.iter().any(|activity| activity.quality.clock_unset);
    quality.laps_left_out = all.iter().map(|activity| activity.quality.laps_left_out).sum();
    let (result, kind, reason) = judge(&kinds, findings, &quality, all.is_empty());
    FileReport { result, reason, kind, quality, activities: all, counts }
}

/// The activities of one recording; `quality` is that of the file.
fn of_recording(
    mut recording: Recording,
    streamed: &[Streamed],
    quality: &Quality,
) -> Vec<Activity> {
    let mut laps = std::mem::take(&mut recording.laps);
    let mut pauses = std::mem::take(&mut recording.pauses);
    let sessions = std::mem::take(&mut recording.sessions);
    let starts: Vec<UnixMs> = sessions.iter().map(|session| session.start).collect();
    let mut made = Vec::new();
    for (index, (session, streamed)) in sessions.into_iter().zip(streamed).enumerate() {
        let next = starts.get(index + 1).copied();
        let mine = |at: UnixMs| next.is_none_or(|next| at < next);
        let rest = laps.split_off(laps.partition_point(|lap| mine(lap.start)));
        let mut own_laps = std::mem::replace(&mut laps, rest);
        let rest = pauses.split_off(pauses.partition_point(|pause| mine(pause.from)));
        let mut own_pauses = std::mem::replace(&mut pauses, rest);
        let laps_left_out = own_laps.len().saturating_sub(LAPS_MAX) as u32;
        own_laps.truncate(LAPS_MAX);
        own_pauses.truncate(PAUSES_MAX);
        let mut totals = session.totals;
        if session.synthesised {
            totals.distance_m = streamed.distance_m;
        }
        let number = index as u32;
        made.push(Activity {
            id: ActivityId::of(&recording.origin, number, streamed.first.as_ref(), session.start),
            index: number,
            origin: recording.origin.clone(),
            sport: session.sport,
            sub_sport: session.sub_sport,
            sport_name: session.sport_name,
            start: session.start,
            utc_offset_min: recording.utc_offset_min,
            totals,
            laps: own_laps,
            pauses: own_pauses,
            devices: recording.devices.clone(),
            counts: streamed.counts,
            quality: Quality {
                synthesised: session.synthesised,
                clock_unset: is_undated(session.start),
                untimed_records: streamed.untimed,
                laps_left_out,
                ..quality.clone()
            },
        });
    }
    made
}

fn judge(
    kinds: &[FileKind],
    findings: &Findings,
    quality: &Quality,
    without_activity: bool,
) -> (Class, FileKind, Option<String>) {
    let fault = findings.fault.map(|(fault, at)| format!("{fault} (at byte {at})"));
    if !without_activity {
        let synthesised =
            || quality.synthesised.then(|| "no session in it: made from its records".to_owned());
        let class = if fault.is_some() { Class::Salvaged } else { Class::Decoded };
        return (class, FileKind::Activity, fault.or_else(synthesised));
    }
    let kind = kinds.iter().copied().find(|kind| *kind != FileKind::Activity);
    match kind {
        Some(FileKind::Empty) | None if fault.is_some() => {
            (Class::Rejected, kind.unwrap_or(FileKind::Activity), fault)
        }
        None => {
            let reason = "an activity without a session, a record or a beat".to_owned();
            (Class::Rejected, FileKind::Activity, Some(reason))
        }
        Some(kind) => {
            let fault = fault.map(|fault| format!("; {fault}")).unwrap_or_default();
            (Class::NotAnActivity, kind, Some(format!("{}{fault}", kind.in_words())))
        }
    }
}
