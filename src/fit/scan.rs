//! The structure of a FIT file: segments, definitions, messages, checksums, and where it breaks off.
//!
//! A [`Scan`] walks a file of any size through a small window and gives out one message after the other, each with its
//! definition. It looks at no value but the time stamp, believes no size it has not checked, and never fails on what the
//! bytes are: whatever is wrong is kept in [`Findings`], the walk goes on where it can and ends where it must. Only a
//! broken limit and a disk that fails are errors.

mod definition;
mod header;

use std::fmt;
use std::io::{self, Read, Seek};

use super::Limits;
use super::input::Input;
use crate::activity::Checksum;

pub use definition::{Definition, DeveloperField, FieldDefinition};
use header::{AHEAD, HEADER, Header, Sum};

/// One message.
pub struct Frame<'a> {
    /// Its local number, 0 to 15.
    pub local: u8,
    /// What it is made of.
    pub definition: &'a Definition,
    /// The low five bits of its time, if it has a compressed header.
    pub time_offset: Option<u8>,
    /// Its fields.
    pub bytes: &'a [u8],
}

impl Frame<'_> {
    /// Its time stamp in seconds since 1989-12-31T00:00:00Z, if it has a plain one.
    pub fn timestamp(&self) -> Option<u32> {
        let at = self.definition.timestamp_at?;
        let bytes = self.bytes.get(at..at + 4)?.try_into().ok()?;
        let time = if self.definition.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        };
        (time != u32::MAX).then_some(time)
    }
}

/// The time of the latest message, for compressed headers, which carry its low five bits only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times(u32);

impl Times {
    /// The time of a message, in seconds since 1989-12-31T00:00:00Z.
    pub fn of(&mut self, frame: &Frame<'_>) -> Option<u32> {
        let time = match frame.time_offset {
            None => frame.timestamp()?,
            Some(offset) => {
                let ahead = (u32::from(offset).wrapping_sub(self.0)) & 0x1F;
                self.0.wrapping_add(ahead)
            }
        };
        self.0 = time;
        Some(time)
    }
}

/// What a walk comes by.
pub enum Event<'a> {
    /// A segment begins: definitions and developer fields of the one before no longer count.
    Segment,
    /// A message.
    Message(Frame<'a>),
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The file is empty.
    Empty,
    /// It does not begin with a FIT header.
    NotFit,
    /// It ends inside its header.
    HeaderCut,
    /// The header says of itself that it has this size, and the messages begin elsewhere.
    HeaderSize(u8),
    /// The checksum of the header is not what it must be.
    HeaderChecksum,
    /// The header says that there are this many bytes of messages, and there are not.
    DataSize(u32),
    /// The file ends before its messages do.
    Cut,
    /// The file ends before its checksum.
    ChecksumCut,
    /// The checksum is not what it must be.
    Checksum,
    /// A message of a local number that no definition stands for.
    Undefined(u8),
    /// What follows the last segment is no segment.
    Trailing,
    /// Something stands between two segments that is none.
    Between,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::NotFit => f.write_str("this is no FIT file: `.FIT` does not stand in its header"),
            Self::HeaderCut => f.write_str("the file ends inside its header"),
            Self::HeaderSize(size) => write!(f, "the header claims a size of {size} bytes"),
            Self::HeaderChecksum => f.write_str("the checksum of the header is wrong"),
            Self::DataSize(size) => {
                write!(f, "the header claims {size} bytes of messages, which is not so")
            }
            Self::Cut => f.write_str("the file is cut off"),
            Self::ChecksumCut => f.write_str("the file is cut off before its checksum"),
            Self::Checksum => f.write_str("the checksum is wrong: the file was changed"),
            Self::Undefined(local) => {
                write!(f, "a message of type {local} follows that was never defined")
            }
            Self::Trailing => f.write_str("what follows the last segment is not FIT"),
            Self::Between => f.write_str("something that is not FIT stands between two segments"),
        }
    }
}

/// What a walk found out.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// The fault that messages break off at, or else the first, and where it is in bytes from the beginning of the file.
    pub fault: Option<(Fault, u64)>,
    /// The first place where messages could not be read on.
    pub broken_at: Option<u64>,
    /// The worst checksum of the segments; `None` before the first ended.
    pub checksum: Option<Checksum>,
    /// Messages, definitions included.
    pub messages: u64,
    /// Definitions.
    pub definitions: u64,
    /// Segments.
    pub segments: u32,
}

impl Findings {
    fn note(&mut self, fault: Fault, at: u64) {
        self.fault.get_or_insert((fault, at));
    }

    /// Where messages end tells more than what else is wrong.
    fn broken(&mut self, fault: Fault, at: u64) {
        if self.broken_at.is_none() {
            self.fault = Some((fault, at));
            self.broken_at = Some(at);
        }
    }

    fn sum(&mut self, checksum: Checksum) {
        let badness = |checksum| match checksum {
            Checksum::Good => 0,
            Checksum::Absent => 1,
            Checksum::Bad => 2,
        };
        let before = self.checksum.unwrap_or(Checksum::Good);
        let worst = if badness(checksum) > badness(before) { checksum } else { before };
        self.checksum = Some(worst);
    }
}

/// Why a walk was given up.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The file holds more than is allowed.
    #[error("the file holds more than {limit} {what}, which is the limit")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// The disk.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
}

enum Place {
    /// A segment may begin here.
    Between,
    /// Inside a segment.
    Inside(Segment),
    /// Nothing follows.
    End,
}

#[derive(Clone, Copy)]
struct Segment {
    /// Where its messages end and its checksum stands; `None` if its header is not to be believed.
    end: Option<u64>,
    claimed: u32,
    /// Where the next segment begins, or the file ends: no message reaches over it.
    until: u64,
    crc: Sum,
}

/// A walk over a file.
pub struct Scan<'l, R> {
    input: Input<R>,
    limits: &'l Limits,
    place: Place,
    definitions: [Option<Definition>; 16],
    /// Bytes of the message given out last.
    given: usize,
    /// Another segment was sought and there is none.
    is_last: bool,
    findings: Findings,
}

const CHECKSUM_SIZE: u64 = 2;
/// Bytes that tell a header where one is sought.
const SOUGHT: usize = HEADER + 3;

impl<'l, R: Read + Seek> Scan<'l, R> {
    /// Stands before the first segment.
    pub fn new(reader: R, limits: &'l Limits) -> Result<Self, ScanError> {
        let input = Input::new(reader)?;
        if input.length() > limits.bytes {
            return Err(ScanError::Limit { what: "bytes", limit: limits.bytes });
        }
        Ok(Self {
            input,
            limits,
            place: Place::Between,
            definitions: Default::default(),
            given: 0,
            is_last: false,
            findings: Findings::default(),
        })
    }

    /// Back to the beginning, for another pass.
    pub fn rewind(&mut self) -> Result<(), ScanError> {
        self.input.rewind()?;
        self.place = Place::Between;
        self.definitions = Default::default();
        self.given = 0;
        self.is_last = false;
        self.findings = Findings::default();
        Ok(())
    }

    /// What was found so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// The next segment or message; `None` at the end.
    pub fn step(&mut self) -> Result<Option<Event<'_>>, ScanError> {
        self.input.advance(std::mem::take(&mut self.given));
        loop {
            match self.place {
                Place::End => return Ok(None),
                Place::Between => {
                    self.place = self.begin()?;
                    if matches!(self.place, Place::Inside(_)) {
                        return Ok(Some(Event::Segment));
                    }
                }
                Place::Inside(segment) => {
                    if let Some((local, time_offset)) = self.message(segment)? {
                        let definition = self.definitions[usize::from(local)]
                            .as_ref()
                            .expect("a message is given out if it is defined");
                        let bytes = &self.input.peeked(self.given)[1..];
                        let frame = Frame { local, definition, time_offset, bytes };
                        return Ok(Some(Event::Message(frame)));
                    }
                }
            }
        }
    }

    /// Reads the header of a segment.
    fn begin(&mut self) -> Result<Place, ScanError> {
        let at = self.input.position();
        let first = self.findings.segments == 0;
        if self.input.left() == 0 {
            if first {
                self.findings.broken(Fault::Empty, at);
            }
            return Ok(Place::End);
        }
        let ahead = self.input.peek(AHEAD)?;
        let header = match Header::read(ahead) {
            Ok(header) => header,
            Err(fault) if first => {
                self.findings.broken(fault, at);
                return Ok(Place::End);
            }
            Err(_) => {
                let Some(next) = self.input.find(at + 1, SOUGHT, header::is_plain)? else {
                    self.findings.broken(Fault::Trailing, at);
                    return Ok(Place::End);
                };
                self.findings.broken(Fault::Between, at);
                self.input.skip_to(next)?;
                return Ok(Place::Between);
            }
        };
        self.findings.segments += 1;
        if self.findings.segments > self.limits.segments {
            let limit = u64::from(self.limits.segments);
            return Err(ScanError::Limit { what: "segments", limit });
        }
        if let Some(fault) = header.fault {
            self.findings.note(fault, at);
        }
        let size = header.size;
        let end = (header.data_size > 0)
            .then_some(at + size as u64 + u64::from(header.data_size))
            .filter(|end| *end <= self.input.length());
        self.definitions = Default::default();
        self.input.advance(size);
        let mut segment =
            Segment { end, claimed: header.data_size, until: self.input.length(), crc: header.crc };
        if !self.ends_as_claimed(end)? {
            segment.until = self.next_segment(at)?;
            if self.is_summed_up(&segment)? {
                segment.end = None;
            }
        }
        if header.data_size == 0 && self.closes_here()? {
            segment.end = Some(self.input.position());
        }
        Ok(Place::Inside(segment))
    }

    /// Whether the file ends where a header claims that its messages do, or another segment begins.
    fn ends_as_claimed(&mut self, end: Option<u64>) -> Result<bool, ScanError> {
        let Some(behind) = end.map(|end| end + CHECKSUM_SIZE) else { return Ok(false) };
        let length = self.input.length();
        Ok(behind >= length || self.input.find_at(behind, SOUGHT, header::is_plain)?)
    }

    /// Where no message of the segment that begins at `at` can reach over, when nothing ends where its header claims: perhaps
    /// it was cut off, and the next one stands somewhere in between.
    fn next_segment(&mut self, at: u64) -> Result<u64, ScanError> {
        let length = self.input.length();
        if self.is_last {
            return Ok(length);
        }
        // The header may have lost its checksum, too.
        let next = self.input.find(at + HEADER as u64 - CHECKSUM_SIZE, SOUGHT, header::is_plain)?;
        self.is_last = next.is_none();
        Ok(next.unwrap_or(length))
    }

    /// Whether the checksum of all stands where a segment must end, and none where its header claims that it does: then
    /// nothing is missing, and the size is wrong.
    fn is_summed_up(&mut self, segment: &Segment) -> Result<bool, ScanError> {
        let (from, until) = (self.input.position(), segment.until);
        let (Some(claimed), Some(end)) = (segment.end, until.checked_sub(CHECKSUM_SIZE)) else {
            return Ok(false);
        };
        if claimed >= end {
            return Ok(false);
        }
        let mut sum = segment.crc;
        self.input.visit(from, claimed, &mut |bytes| sum.add(bytes))?;
        let mut is = false;
        self.input.visit(claimed, claimed + CHECKSUM_SIZE, &mut |bytes| is = sum.is(bytes))?;
        if is {
            return Ok(false);
        }
        self.input.visit(claimed, end, &mut |bytes| sum.add(bytes))?;
        // Zeros behind a checksum sum up to zero.
        self.input.visit(end, until, &mut |bytes| is = sum.is(bytes) && bytes != [0, 0])?;
        Ok(is)
    }

    /// Whether a checksum could stand here: the file or the segment ends behind it.
    fn closes_here(&mut self) -> Result<bool, ScanError> {
        let behind = self.input.peek(CHECKSUM_SIZE as usize + HEADER)?;
        let next = behind.get(CHECKSUM_SIZE as usize..).unwrap_or(&[]);
        Ok(next.is_empty() || next.get(8..12) == Some(b".FIT"))
    }

    /// Reads definitions up to the next message, and gives its local number and the low bits of its time; `None` if
    /// the segment ends.
    fn message(&mut self, mut segment: Segment) -> Result<Option<(u8, Option<u8>)>, ScanError> {
        loop {
            let at = self.input.position();
            if self.ends_here(&mut segment)? {
                self.finish(segment)?;
                return Ok(None);
            }
            let Some(&[header]) = self.input.peek(1)?.first_chunk().filter(|_| at < segment.until)
            else {
                return self.cut(Fault::Cut, at);
            };
            self.findings.messages += 1;
            if self.findings.messages > self.limits.messages {
                return Err(ScanError::Limit { what: "messages", limit: self.limits.messages });
            }
            let (local, time_offset) = match header {
                0x80.. => ((header >> 5) & 0x3, Some(header & 0x1F)),
                0x40..0x80 => {
                    let length = self.definition(header)?;
                    if !self.whole(&mut segment, length)? {
                        return self.cut(Fault::Cut, at);
                    }
                    self.define(header, length)?;
                    self.consume(&mut segment, length);
                    continue;
                }
                _ => (header & 0xF, None),
            };
            let Some(definition) = &self.definitions[usize::from(local)] else {
                return self.resume(segment, local);
            };
            let length = 1 + definition.size;
            if !self.whole(&mut segment, length)? {
                return self.cut(Fault::Cut, at);
            }
            segment.crc.add(self.input.peeked(length));
            self.given = length;
            self.place = Place::Inside(segment);
            return Ok(Some((local, time_offset)));
        }
    }

    /// Whether the messages of a segment end here.
    fn ends_here(&mut self, segment: &mut Segment) -> Result<bool, ScanError> {
        match segment.end {
            Some(end) => Ok(self.input.position() >= end),
            // The header was wrong; what it ends with tells whether this is its checksum.
            None if self.input.position() + CHECKSUM_SIZE != segment.until => Ok(false),
            None => Ok(segment.crc.is(self.input.peek(CHECKSUM_SIZE as usize)?)),
        }
    }

    /// Whether `length` bytes of a message are all there. A message that reaches over the end that the header claims,
    /// when nothing ends there, shows that the claim is wrong: then the file's end counts.
    fn whole(&mut self, segment: &mut Segment, length: usize) -> Result<bool, ScanError> {
        if let Some(end) = segment.end
            && self.input.position() + length as u64 > end
        {
            let ahead = (end - self.input.position()) as usize;
            let behind = self.input.peek(ahead + CHECKSUM_SIZE as usize + HEADER)?;
            let next = behind.get(ahead + CHECKSUM_SIZE as usize..).unwrap_or(&[]);
            if next.is_empty() || next.get(8..12) == Some(b".FIT") {
                return Ok(false);
            }
            segment.end = None;
        }
        let is_over = self.input.position() + length as u64 > segment.until;
        Ok(!is_over && self.input.peek(length)?.len() == length)
    }

    fn consume(&mut self, segment: &mut Segment, length: usize) {
        segment.crc.add(self.input.peeked(length));
        self.input.advance(length);
    }

    /// The messages break off; perhaps another segment follows.
    fn cut<T>(&mut self, fault: Fault, at: u64) -> Result<Option<T>, ScanError> {
        self.findings.broken(fault, at);
        self.findings.sum(Checksum::Absent);
        self.place = match self.place {
            Place::Inside(Segment { until, .. }) if until < self.input.length() => {
                self.input.skip_to(until)?;
                Place::Between
            }
            Place::Inside(Segment { end: Some(end), .. })
                if end + CHECKSUM_SIZE < self.input.length() =>
            {
                self.input.skip_to(end + CHECKSUM_SIZE)?;
                Place::Between
            }
            _ => Place::End,
        };
        Ok(None)
    }

    /// Without a definition nobody knows how long a message is: the rest of the segment is lost, not of the file.
    fn resume<T>(&mut self, segment: Segment, local: u8) -> Result<Option<T>, ScanError> {
        self.place = Place::Inside(segment);
        self.cut(Fault::Undefined(local), self.input.position())
    }

    /// Reads the checksum of a segment.
    fn finish(&mut self, segment: Segment) -> Result<(), ScanError> {
        let at = self.input.position();
        if segment.end.is_none() {
            self.findings.note(Fault::DataSize(segment.claimed), at);
        }
        let checksum = match self.input.peek(CHECKSUM_SIZE as usize)? {
            there if segment.crc.is(there) => Checksum::Good,
            [_, _] => Checksum::Bad,
            _ => Checksum::Absent,
        };
        match checksum {
            Checksum::Good => {}
            Checksum::Bad => self.findings.note(Fault::Checksum, at),
            Checksum::Absent => self.findings.note(Fault::ChecksumCut, at),
        }
        self.findings.sum(checksum);
        self.input.advance(CHECKSUM_SIZE as usize);
        self.place = Place::Between;
        Ok(())
    }

    /// Bytes of the definition that begins here, header byte included, as far as they can be told.
    fn definition(&mut self, header: u8) -> Result<usize, ScanError> {
        let fields = self.input.peek(6)?.get(5).copied().unwrap_or(0);
        let mut length = 6 + 3 * usize::from(fields);
        if header & 0x20 != 0 {
            let developer = self.input.peek(length + 1)?.get(length).copied().unwrap_or(0);
            length += 1 + 3 * usize::from(developer);
        }
        Ok(length)
    }

    /// Keeps a definition that is all there.
    fn define(&mut self, header: u8, length: usize) -> Result<(), ScanError> {
        self.findings.definitions += 1;
        if self.findings.definitions > self.limits.definitions {
            return Err(ScanError::Limit { what: "definitions", limit: self.limits.definitions });
        }
        let definition = Definition::read(self.input.peeked(length), self.findings.definitions);
        self.definitions[usize::from(header & 0xF)] = Some(definition);
        Ok(())
    }
}
