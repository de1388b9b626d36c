//! The directory of a ZIP archive, walked file by file. Nothing that an archive says of itself is believed before it was
//! seen, and no more than one name is held at a time: a reader that holds the directory takes a gigabyte for a file of
//! 256 MiB.
//!
//! The source is PKWARE's APPNOTE 6.3.10. Archives in several volumes and encrypted ones are told, not read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How an archive begins: with its first file, an empty one with its end.
const MARKS: [[u8; 4]; 2] = [LOCAL, END];

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const WIDE_END: [u8; 4] = *b"PK\x06\x06";
const WIDE_LOCATOR: [u8; 4] = *b"PK\x06\x07";

/// Lengths of those records, without what varies.
const LOCAL_LENGTH: u64 = 30;
const CENTRAL_LENGTH: u64 = 46;
const END_LENGTH: u64 = 22;
const WIDE_END_LENGTH: u64 = 56;
const WIDE_LOCATOR_LENGTH: u64 = 20;

/// The longest comment behind the end.
const COMMENT_MAX: u64 = 0xFFFF;

/// Longest name that is looked at, as long as a path may be.
const NAME_MAX: u16 = 1024;

/// The field of the wider numbers among what is extra.
const WIDE: u16 = 1;

/// What stands in place of a number that needs more than 32 bits.
const ELSEWHERE: u64 = 0xFFFF_FFFF;

/// Bits of the flags of a file.
const IS_ENCRYPTED: u16 = 1;
const IS_UTF8: u16 = 1 << 11;

/// Letters 128 to 255 of code page 437, in which names stand that are not UTF-8.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
                     αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{A0}";

/// Whether something that begins so is an archive.
pub(super) fn is_archive(head: &[u8]) -> bool {
    MARKS.iter().any(|mark| head.starts_with(mark))
}

/// Why something of an archive cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ZipFault {
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The archive.
    #[error("{0}")]
    Damaged(&'static str),
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Stored,
    Deflated,
    /// In another way, by its number.
    Other(u16),
    Encrypted,
}

/// A file, as the directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name, cut if it is longer than any is.
    pub(super) name: String,
    pub(super) has_long_name: bool,
    pub(super) packing: Packing,
    /// What its bytes, unpacked, shall sum up to.
    pub(super) crc: u32,
    /// How many those shall be.
    pub(super) size: u64,
    packed: u64,
    local: u64,
}

/// An archive.
#[derive(Debug)]
pub(super) struct Zip {
    file: File,
    directory: Directory,
}

/// Where a directory is.
#[derive(Debug, Clone, Copy)]
struct Directory {
    from: u64,
    to: u64,
    /// How many files it says there are; of many the lower 16 bits.
    said: u64,
    /// Bytes in front of the archive, which its own numbers leave out.
    before: u64,
}

impl Zip {
    /// Finds the directory from the end of the file.
    pub(super) fn open(file: File) -> Result<Self, ZipFault> {
        let size = file.metadata()?.len();
        let from = size.saturating_sub(END_LENGTH + COMMENT_MAX);
        let mut tail = vec![0; (size - from) as usize];
        read_at(&file, &mut tail, from)?;
        let marks = tail.windows(END.len()).enumerate().rev();
        for (at, _) in marks.filter(|(_, mark)| *mark == END) {
            let Some(end) = tail[at..].first_chunk() else { continue };
            if let Some(directory) = directory(&file, from + at as u64, end)? {
                return Ok(Self { file, directory });
            }
        }
        Err(ZipFault::Damaged("it has no directory at its end; is it cut off?"))
    }

    /// The file that the archive is in.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Walks the directory, and counts: more than `most` are too many.
    pub(super) fn count(&self, most: usize) -> Result<Count, ZipFault> {
        let (mut at, mut files) = (self.first(), 0);
        loop {
            match self.record(at)? {
                None => break,
                Some(_) if files == most => return Ok(Count::TooMany),
                Some(record) => (at, files) = (record.end(at), files + 1),
            }
        }
        let is_all = files as u64 & 0xFFFF == self.directory.said & 0xFFFF;
        Ok(if is_all { Count::All } else { Count::Some })
    }

    /// Where the first file stands in the directory.
    pub(super) fn first(&self) -> u64 {
        self.directory.from
    }

    /// The file at this place in the directory, and the place of the next; `None` at its end.
    pub(super) fn member(&self, at: u64) -> Result<Option<(Member, u64)>, ZipFault> {
        let Some(record) = self.record(at)? else { return Ok(None) };
        let Record { fixed, name, extra, .. } = record;
        let (flags, method) = (u16_at(&fixed, 8), u16_at(&fixed, 10));
        let mut text = vec![0; name.min(NAME_MAX).into()];
        read_at(&self.file, &mut text, at + CENTRAL_LENGTH)?;
        let mut numbers =
            [24, 20, 42].map(|place| u64::from(u32::from_le_bytes(bytes_at(&fixed, place))));
        if numbers.contains(&ELSEWHERE) {
            let mut fields = vec![0; extra.into()];
            read_at(&self.file, &mut fields, at + CENTRAL_LENGTH + u64::from(name))?;
            widen(&mut numbers, &fields);
        }
        let [size, packed, local] = numbers;
        let packing = match method {
            _ if flags & IS_ENCRYPTED != 0 => Packing::Encrypted,
            0 => Packing::Stored,
            8 => Packing::Deflated,
            other => Packing::Other(other),
        };
        let member = Member {
            name: in_words(&text, flags & IS_UTF8 != 0),
            has_long_name: name > NAME_MAX,
            packing,
            crc: u32::from_le_bytes(bytes_at(&fixed, 16)),
            size,
            packed,
            local,
        };
        Ok(Some((member, record.end(at))))
    }

    /// Where the packed bytes of a file begin and end, its own header in front of them left out.
    pub(super) fn bytes_of(&self, member: &Member) -> Result<(u64, u64), ZipFault> {
        let outside = ZipFault::Damaged("its bytes are said to be outside of the archive");
        let places = || {
            let local = member.local.checked_add(self.directory.before)?;
            Some((local, local.checked_add(LOCAL_LENGTH)?))
        };
        let Some((local, names)) = places().filter(|(_, names)| *names <= self.directory.from)
        else {
            return Err(outside);
        };
        let mut head = [0; LOCAL_LENGTH as usize];
        read_at(&self.file, &mut head, local)?;
        if !head.starts_with(&LOCAL) {
            return Err(ZipFault::Damaged("it does not begin where the archive says"));
        }
        let from = names + u64::from(u16_at(&head, 26)) + u64::from(u16_at(&head, 28));
        match from.checked_add(member.packed) {
            Some(to) if to <= self.directory.from => Ok((from, to)),
            _ => Err(outside),
        }
    }

    fn record(&self, at: u64) -> Result<Option<Record>, ZipFault> {
        let Directory { to, .. } = self.directory;
        if at + CENTRAL_LENGTH > to {
            return Ok(None);
        }
        let mut fixed = [0; CENTRAL_LENGTH as usize];
        read_at(&self.file, &mut fixed, at)?;
        let [name, extra, comment] = [28, 30, 32].map(|place| u16_at(&fixed, place));
        let record = Record { fixed, name, extra, comment };
        Ok((fixed.starts_with(&CENTRAL) && record.end(at) <= to).then_some(record))
    }
}

/// How many files an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// As many as it says.
    All,
    /// Other than it says: the directory breaks off, or something else does not fit.
    Some,
    /// More than may be.
    TooMany,
}

/// What stands of a file in the directory.
struct Record {
    fixed: [u8; CENTRAL_LENGTH as usize],
    name: u16,
    extra: u16,
    comment: u16,
}

impl Record {
    fn end(&self, at: u64) -> u64 {
        let Self { name, extra, comment, .. } = self;
        at + CENTRAL_LENGTH + u64::from(*name) + u64::from(*extra) + u64::from(*comment)
    }
}

/// The directory that ends with this record at `at`; `None` if those bytes are something else.
fn directory(
    file: &File,
    at: u64,
    end: &[u8; END_LENGTH as usize],
) -> Result<Option<Directory>, ZipFault> {
    let said = u64::from(u16_at(end, 10));
    let size = u64::from(u32::from_le_bytes(bytes_at(end, 12)));
    let from = u64::from(u32::from_le_bytes(bytes_at(end, 16)));
    if [said, size, from] != [0xFFFF, ELSEWHERE, ELSEWHERE] {
        let narrow = placed(file, at, (said, size, from))?;
        if narrow.is_some() {
            return Ok(narrow);
        }
    }
    let Some(locator_at) = at.checked_sub(WIDE_LOCATOR_LENGTH) else { return Ok(None) };
    let mut locator = [0; WIDE_LOCATOR_LENGTH as usize];
    read_at(file, &mut locator, locator_at)?;
    let Some(wide_at) = locator_at.checked_sub(WIDE_END_LENGTH) else { return Ok(None) };
    if !locator.starts_with(&WIDE_LOCATOR) {
        return Ok(None);
    }
    // Where it says, or right in front, which is the same unless there is something before the archive.
    for wide_at in [u64::from_le_bytes(bytes_at(&locator, 8)), wide_at] {
        let mut wide = [0; WIDE_END_LENGTH as usize];
        if wide_at > locator_at - WIDE_END_LENGTH {
            continue;
        }
        read_at(file, &mut wide, wide_at)?;
        if wide.starts_with(&WIDE_END) {
            let [said, size, from] = [32, 40, 48].map(|at| u64::from_le_bytes(bytes_at(&wide, at)));
            return placed(file, wide_at, (said, size, from));
        }
    }
    Ok(None)
}

/// A directory of this number of files, size and place, if there is one that ends at `to`.
fn placed(
    file: &File,
    to: u64,
    (said, size, at): (u64, u64, u64),
) -> Result<Option<Directory>, ZipFault> {
    // It ends where its end stands, whatever is in front of the archive.
    let Some(from) = to.checked_sub(size) else { return Ok(None) };
    let Some(before) = from.checked_sub(at) else { return Ok(None) };
    let mut mark = [0; CENTRAL.len()];
    read_at(file, &mut mark, from)?;
    let is_there = mark == CENTRAL || size == 0;
    Ok(is_there.then_some(Directory { from, to, said, before }))
}

/// Takes the numbers that need more bits from where they are: those of them that do, one after the other.
fn widen(numbers: &mut [u64], mut fields: &[u8]) {
    while let Some((head, rest)) = fields.split_first_chunk::<4>() {
        let length = usize::from(u16_at(head, 2)).min(rest.len());
        let (field, rest) = rest.split_at(length);
        fields = rest;
        if u16_at(head, 0) == WIDE {
            let wide = field.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes_at(bytes, 0)));
            let narrow = numbers.iter_mut().filter(|number| **number == ELSEWHERE);
            narrow.zip(wide).for_each(|(number, wide)| *number = wide);
            return;
        }
    }
}

/// A name. What is valid UTF-8 is meant so, whatever the flags say.
fn in_words(name: &[u8], is_utf8: bool) -> String {
    match std::str::from_utf8(name) {
        Ok(text) => text.to_owned(),
        Err(_) if is_utf8 => String::from_utf8_lossy(name).into_owned(),
        Err(_) => name.iter().map(|byte| letter(*byte)).collect(),
    }
}

fn letter(byte: u8) -> char {
    match byte.checked_sub(128) {
        Some(place) => CP437.chars().nth(place.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
        None => char::from(byte),
    }
}

/// Reads what an archive says is there: that it is not is its fault, not that of the disk.
fn read_at(file: &File, out: &mut [u8], at: u64) -> Result<(), ZipFault> {
    if i64::try_from(at).is_err() {
        return Err(ZipFault::Damaged("something in it is said to be beyond its end"));
    }
    file.read_exact_at(out, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ZipFault::Damaged("it is cut off"),
        _ => ZipFault::Io(error),
    })
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("records are longer than what stands in them")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}
