//! TCX and GPX: what apps and websites export instead of FIT.
//!
//! Reading takes one pass and holds a few kilobytes. `text` turns whatever encoding the file has into UTF-8, `xml` walks
//! its elements within limits, `tcx` and `gpx` say what they mean. The outcome is that of FIT files: an
//! [`Activity`](crate::activity::Activity) for each activity or track, samples that stream, and a report of how far all
//! of it can be believed. Nothing here knows where files come from or where activities go.

mod gather;
mod gpx;
pub mod sport;
mod tcx;
mod text;
mod xml;

use std::io::{self, Read};

use crate::activity::{Counts, FileFormat, Item, Quality};
use crate::fit::{Class, FileKind, FileReport, Limits};

use gather::Gather;
use text::Text;
use xml::{Event, Xml, XmlError};

/// Events between two questions whether to go on.
const EVENTS_A_TURN: u32 = 4096;

/// Whether something that begins with these bytes is XML: a tag comes first, behind a mark and blanks.
pub fn is_markup(head: &[u8]) -> bool {
    let mut text = String::new();
    let decoded = Text::new(head, head.len() as u64).map(|text_of| {
        // The end of a head is in the middle of something; what stands before it counts.
        let _ = text_of.take(head.len() as u64).read_to_string(&mut text);
    });
    match decoded {
        Ok(()) => {
            let mut rest = text.trim_start().chars();
            rest.next() == Some('<')
                && rest
                    .next()
                    .is_some_and(|letter| "?!_".contains(letter) || letter.is_alphabetic())
        }
        // Only a declaration names an encoding.
        Err(_) => true,
    }
}

/// Which of the two a file is, by its first element; `None` if it is neither, or does not come so far within `limits`.
///
/// # Errors
///
/// Only what the reader fails with.
pub fn kind(reader: impl Read, limits: &Limits) -> io::Result<Option<FileFormat>> {
    let first = Xml::new(reader, limits.bytes).and_then(|mut xml| {
        xml.next()?;
        Ok(format_of(xml.path()))
    });
    match first {
        Err(XmlError::Io(error)) => Err(error),
        first => Ok(first.unwrap_or(None)),
    }
}

/// What a file with this root is.
fn format_of(root: &str) -> Option<FileFormat> {
    match root {
        "TrainingCenterDatabase" => Some(FileFormat::Tcx),
        "gpx" => Some(FileFormat::Gpx),
        _ => None,
    }
}

/// Reads a TCX or GPX file and says what it holds. Whatever the bytes are, it ends, and holds a few hundred kilobytes at
/// most.
///
/// Samples go to `sink` one by one in the order of the file, with the place of their activity in
/// [`FileReport::activities`]; they come before the report, so a sink that must not act on a bad file waits for it. Of
/// `limits`, `messages` bounds the points and `segments` the activities. `go_on` is asked now and then; when it says no
/// (a deadline), the file is rejected.
///
/// # Errors
///
/// Only what the reader fails with. Bad files are [`Class::Rejected`].
pub fn read(
    reader: impl Read,
    limits: &Limits,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(usize, Item),
) -> io::Result<FileReport> {
    let mut xml = match Xml::new(reader, limits.bytes) {
        Ok(xml) => xml,
        Err(XmlError::Io(error)) => return Err(error),
        Err(error) => return Ok(FileReport::rejected(error.to_string())),
    };
    let mut gather = Gather::new(limits, sink);
    let mut dialect = Dialect::Unknown;
    let mut turn = 0;
    let fault = loop {
        if turn == 0 && !go_on() {
            return Ok(FileReport::rejected("reading took longer than is allowed".to_owned()));
        }
        turn = (turn + 1) % EVENTS_A_TURN;
        let event = match xml.next() {
            Ok(Some(event)) => event,
            Ok(None) => break None,
            Err(XmlError::Io(error)) => return Err(error),
            Err(error) => break Some((error.to_string(), xml.position())),
        };
        let outcome = match (&mut dialect, event) {
            (Dialect::Unknown, Event::Open) => match format_of(xml.path()) {
                Some(FileFormat::Tcx) => {
                    dialect = Dialect::Tcx(Box::default());
                    Ok(())
                }
                Some(FileFormat::Gpx) => {
                    dialect = Dialect::Gpx(gpx::Reader::new(&xml));
                    Ok(())
                }
                Some(FileFormat::Fit) | None => {
                    Err(format!("neither TCX nor GPX: it begins with <{}>", xml.path()))
                }
            },
            (Dialect::Tcx(reader), event) => reader.take(event, &xml, &mut gather),
            (Dialect::Gpx(reader), event) => reader.take(event, &xml, &mut gather),
            (Dialect::Unknown, Event::Close) => Ok(()),
        };
        if let Err(reason) = outcome {
            break Some((reason, xml.position()));
        }
    };
    let is_course = match dialect {
        Dialect::Unknown => {
            let reason = fault.map(|(reason, _)| reason);
            return Ok(FileReport::rejected(reason.unwrap_or_else(|| "nothing in it".to_owned())));
        }
        Dialect::Tcx(reader) => reader.end(&mut gather),
        Dialect::Gpx(reader) => reader.end(&mut gather),
    };
    Ok(report(gather, fault, is_course))
}

enum Dialect {
    Unknown,
    Tcx(Box<tcx::Reader>),
    Gpx(gpx::Reader),
}

fn report(gather: Gather<'_>, fault: Option<(String, u64)>, is_course: bool) -> FileReport {
    let mut activities = gather.activities;
    // Nobody knows whether what was read last was all of it.
    if let (Some((_, at)), Some(last)) = (&fault, activities.last_mut()) {
        last.quality.broken_at = Some(*at);
    }
    let mut quality = Quality {
        broken_at: fault.as_ref().map(|(_, at)| *at),
        synthesised: activities.iter().any(|activity| activity.quality.synthesised),
        laps_left_out: activities.iter().map(|activity| activity.quality.laps_left_out).sum(),
        ..Quality::default()
    };
    let mut counts = Counts::default();
    for activity in &activities {
        counts.add(&activity.counts);
        quality.untimed_records += activity.quality.untimed_records;
    }
    let reason = fault.map(|(reason, at)| format!("{reason} (at byte {at})"));
    let (result, kind, reason) = match (activities.is_empty(), reason) {
        (false, None) => (Class::Decoded, FileKind::Activity, None),
        (false, reason) => (Class::Salvaged, FileKind::Activity, reason),
        (true, Some(reason)) => (Class::Rejected, FileKind::Activity, Some(reason)),
        (true, None) if is_course => {
            let reason = "a course to follow: nothing in it has a time".to_owned();
            (Class::NotAnActivity, FileKind::Course, Some(reason))
        }
        (true, None) => (
            Class::Rejected,
            FileKind::Empty,
            Some("neither an activity nor a track in it".to_owned()),
        ),
    };
    FileReport { result, reason, kind, quality, activities, counts }
}
