//! FIT on the wire: header, definitions, messages, checksums. It does not know what a session is.
//!
//! What it writes is the plainest form there is, because that is what every decoder reads: a header of 14 bytes with its
//! own checksum, little-endian, no compressed time stamps, one local type for each kind of message, defined once. The
//! size and the checksums stand in the header and are known last: the header is written over at the end, so a file that
//! was cut short says so and still holds its records.

use std::io::{self, Seek, SeekFrom, Write};

use crate::fit::crc;

/// Bytes of the header.
const HEADER: usize = 14;
/// Version 2.0 of the protocol.
const PROTOCOL: u8 = 0x20;
/// Version of the profile that the field numbers are from, in thousandths. Readers only show it.
const PROFILE: u16 = 21158;
/// Bytes of every text, its zero at the end included: a field has one size for the whole file.
const TEXT: usize = 32;
/// RR intervals in one `hrv` message.
pub const HRV_SLOTS: usize = 5;
/// Bytes that are gathered before they are written.
const GATHERED: usize = 8192;

/// A kind of message. Its place is its local type, of which there are 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    FileId,
    FileCreator,
    DeviceInfo,
    Event,
    /// A record that holds nothing but a heart rate: most of them.
    HeartRecord,
    /// A record with every field there is.
    FullRecord,
    Hrv,
    Lap,
    Session,
    Activity,
}

const KINDS: usize = 10;

impl Kind {
    /// Number of the message in the profile.
    fn global(self) -> u16 {
        match self {
            Self::FileId => 0,
            Self::FileCreator => 49,
            Self::DeviceInfo => 23,
            Self::Event => 21,
            Self::HeartRecord | Self::FullRecord => 20,
            Self::Hrv => 78,
            Self::Lap => 19,
            Self::Session => 18,
            Self::Activity => 34,
        }
    }
}

/// The value of a field, in the type that the profile gives it. `None` is written as the invalid value of the type.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    Enum(Option<u8>),
    U8(Option<u8>),
    I8(Option<i8>),
    U16(Option<u16>),
    U32(Option<u32>),
    /// Like `U32`, but 0 is the invalid value.
    U32z(Option<u32>),
    I32(Option<i32>),
    /// Times between beats in 1/1000 s; unused ones are `u16::MAX`.
    Beats([u16; HRV_SLOTS]),
    /// Cut to 31 bytes.
    Text(&'a str),
}

impl Value<'_> {
    /// Size in bytes and base type. Types of several bytes have bit 7: without it fitdecode drops the field.
    fn layout(self) -> [u8; 2] {
        match self {
            Self::Enum(_) => [1, 0x00],
            Self::I8(_) => [1, 0x01],
            Self::U8(_) => [1, 0x02],
            Self::U16(_) => [2, 0x84],
            Self::Beats(_) => [2 * HRV_SLOTS as u8, 0x84],
            Self::I32(_) => [4, 0x85],
            Self::U32(_) => [4, 0x86],
            Self::U32z(_) => [4, 0x8C],
            Self::Text(_) => [TEXT as u8, 0x07],
        }
    }

    fn write(self, to: &mut Vec<u8>) {
        match self {
            Self::Enum(value) | Self::U8(value) => to.push(value.unwrap_or(u8::MAX)),
            Self::I8(value) => to.extend(value.unwrap_or(i8::MAX).to_le_bytes()),
            Self::U16(value) => to.extend(value.unwrap_or(u16::MAX).to_le_bytes()),
            Self::U32(value) => to.extend(value.unwrap_or(u32::MAX).to_le_bytes()),
            Self::U32z(value) => to.extend(value.unwrap_or(0).to_le_bytes()),
            Self::I32(value) => to.extend(value.unwrap_or(i32::MAX).to_le_bytes()),
            Self::Beats(values) => values.iter().for_each(|value| to.extend(value.to_le_bytes())),
            Self::Text(text) => {
                let fits = (0..TEXT).rev().find(|at| text.is_char_boundary(*at));
                let cut = &text[..fits.unwrap_or(0).min(text.len())];
                to.extend(cut.bytes());
                to.resize(to.len() + TEXT - cut.len(), 0);
            }
        }
    }
}

/// One file being written.
#[derive(Debug)]
pub struct Wire<W> {
    out: W,
    /// Where in `out` the file begins.
    begin: u64,
    /// Bytes and checksum of what was written behind the header.
    size: u64,
    crc: u16,
    gathered: Vec<u8>,
    /// Bytes of a message of each kind that was defined.
    defined: [Option<usize>; KINDS],
}

impl<W: Write + Seek> Wire<W> {
    /// Begins a file where `out` stands.
    pub fn new(mut out: W) -> io::Result<Self> {
        let begin = out.stream_position()?;
        // What a reader refuses, until the file is whole.
        out.write_all(&[0; HEADER])?;
        let gathered = Vec::with_capacity(GATHERED + 512);
        Ok(Self { out, begin, size: 0, crc: 0, gathered, defined: [None; KINDS] })
    }

    /// Writes a message, and before the first of its kind what it is made of: the fields of a kind are always the same.
    pub fn message(&mut self, kind: Kind, fields: &[(u8, Value<'_>)]) -> io::Result<()> {
        let local = kind as u8;
        if self.defined[usize::from(local)].is_none() {
            let [low, high] = kind.global().to_le_bytes();
            // Definition, reserved, little-endian, which message, how many fields.
            self.gathered.extend([0x40 | local, 0, 0, low, high, fields.len() as u8]);
            for (number, value) in fields {
                let [size, base] = value.layout();
                self.gathered.extend([*number, size, base]);
            }
        }
        let before = self.gathered.len();
        self.gathered.push(local);
        fields.iter().for_each(|(_, value)| value.write(&mut self.gathered));
        let length = self.gathered.len() - before;
        let defined = self.defined[usize::from(local)].get_or_insert(length);
        debug_assert_eq!(*defined, length, "{kind:?} has changed its fields");
        if self.gathered.len() >= GATHERED {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.crc = crc::update(self.crc, &self.gathered);
        self.size += self.gathered.len() as u64;
        self.out.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }

    /// Writes the checksum and the header. The bytes of the whole file.
    pub fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        let size = u32::try_from(self.size).map_err(|_| {
            io::Error::new(io::ErrorKind::FileTooLarge, "a FIT file has 4 GiB at most")
        })?;
        // The checksum covers the header too; but what is followed by its own checksum leaves 0 behind.
        self.out.write_all(&self.crc.to_le_bytes())?;
        let end = self.out.stream_position()?;
        self.out.seek(SeekFrom::Start(self.begin))?;
        self.out.write_all(&header(size))?;
        self.out.seek(SeekFrom::Start(end))?;
        self.out.flush()?;
        Ok(HEADER as u64 + self.size + 2)
    }
}

/// The header of a file with `size` bytes of messages.
fn header(size: u32) -> [u8; HEADER] {
    let with_profile = |profile: u16| {
        let mut header = [0; HEADER];
        header[0] = HEADER as u8;
        header[1] = PROTOCOL;
        header[2..4].copy_from_slice(&profile.to_le_bytes());
        header[4..8].copy_from_slice(&size.to_le_bytes());
        header[8..12].copy_from_slice(b".FIT");
        let crc = crc::update(0, &header[..12]);
        header[12..].copy_from_slice(&crc.to_le_bytes());
        (header, crc)
    };
    // 0 means "no checksum" and makes rustyfit refuse the file.
    match with_profile(PROFILE) {
        (_, 0) => with_profile(PROFILE - 1).0,
        (header, _) => header,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn file(write: impl FnOnce(&mut Wire<&mut Cursor<Vec<u8>>>)) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        let mut wire = Wire::new(&mut out).unwrap();
        write(&mut wire);
        assert_eq!(wire.finish().unwrap(), out.get_ref().len() as u64);
        out.into_inner()
    }

    #[test]
    fn a_message_is_defined_once_and_laid_out_as_the_profile_says() {
        let bytes = file(|wire| {
            for bpm in [Some(61), None] {
                let at = Value::U32(Some(1_000_000_000));
                wire.message(Kind::HeartRecord, &[(253, at), (3, Value::U8(bpm))]).unwrap();
            }
        });
        let expected = [
            // 14 bytes of header, protocol 2.0, profile 21.158, 24 bytes of messages, its own checksum
            &[14, 0x20, 0xA6, 0x52, 24, 0, 0, 0, b'.', b'F', b'I', b'T'][..],
            &crc::update(0, &bytes[..12]).to_le_bytes(),
            // local type 4 is record(20): timestamp(253) of 4 bytes, heart_rate(3) of one
            &[0x44, 0, 0, 20, 0, 2, 253, 4, 0x86, 3, 1, 0x02],
            &[4, 0x00, 0xCA, 0x9A, 0x3B, 61],
            &[4, 0x00, 0xCA, 0x9A, 0x3B, 0xFF],
            &crc::update(0, &bytes[..bytes.len() - 2]).to_le_bytes(),
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn what_is_missing_is_the_invalid_value_of_its_type() {
        let mut bytes = Vec::new();
        for value in [
            Value::Enum(None),
            Value::U8(None),
            Value::I8(None),
            Value::U16(None),
            Value::U32(None),
            Value::U32z(None),
            Value::I32(None),
        ] {
            value.write(&mut bytes);
            assert_eq!(usize::from(value.layout()[0]), bytes.len(), "{value:?}");
            bytes.clear();
            value.write(&mut bytes);
            let expected: &[u8] = match value {
                Value::I8(_) => &[0x7F],
                Value::U16(_) => &[0xFF; 2],
                Value::U32(_) => &[0xFF; 4],
                Value::U32z(_) => &[0; 4],
                Value::I32(_) => &[0xFF, 0xFF, 0xFF, 0x7F],
                _ => &[0xFF],
            };
            assert_eq!(bytes, expected, "{value:?}");
            bytes.clear();
        }
    }

    #[test]
    fn a_text_ends_with_a_zero_and_never_in_the_middle_of_a_letter() {
        let mut bytes = Vec::new();
        Value::Text("Polar H10").write(&mut bytes);
        assert_eq!(bytes, [&b"Polar H10"[..], &[0; 23]].concat());
        bytes.clear();
        Value::Text(&format!("{}ä", "x".repeat(30))).write(&mut bytes);
        assert_eq!(bytes, [&[b'x'; 30][..], &[0; 2]].concat());
    }

    #[test]
    fn the_checksum_of_a_header_is_never_zero() {
        // The size whose header has the checksum 0 with the usual profile, found by trying.
        let zero = (0..1 << 17).find(|size: &u32| {
            let mut usual = header(*size);
            usual[2..4].copy_from_slice(&PROFILE.to_le_bytes());
            crc::update(0, &usual[..12]) == 0
        });
        let header = header(zero.unwrap());
        assert_eq!(header[2..4], (PROFILE - 1).to_le_bytes());
        assert_ne!(header[12..], [0, 0]);
    }

    #[test]
    fn a_file_may_begin_anywhere_and_is_refused_until_it_is_whole() {
        let mut out = Cursor::new(b"before".to_vec());
        out.set_position(6);
        let mut wire = Wire::new(&mut out).unwrap();
        wire.message(Kind::FileCreator, &[(0, Value::U16(Some(1)))]).unwrap();
        wire.flush().unwrap();
        assert_eq!(wire.out.get_ref()[6..20], [0; 14]);
        wire.finish().unwrap();
        assert_eq!(&out.get_ref()[..6], b"before");
        assert_eq!(&out.get_ref()[14..18], b".FIT");
        assert_eq!(out.position(), out.get_ref().len() as u64);
    }
}
