//! The header of a segment: how long it really is, what it claims, and whether its checksum holds.

use super::Fault;
use crate::fit::crc;

/// Bytes of a header without a checksum, which old devices write.
const SHORT: usize = 12;
/// Bytes of a header with a checksum.
pub(super) const HEADER: usize = 14;
/// Bytes that tell whether messages begin behind a header of any size.
pub(super) const AHEAD: usize = 255 + 3;

/// Whether a header of one of the two sizes stands at the beginning of these bytes, and messages begin behind it.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    bytes.get(8..12) == Some(b".FIT")
        && [SHORT, HEADER].contains(&usize::from(bytes[0]))
        && begins_at(bytes, usize::from(bytes[0]))
}

/// A definition stands first: its header byte, a zero, a byte order.
fn begins_at(ahead: &[u8], size: usize) -> bool {
    matches!(ahead.get(size..size + 3), Some([0x40..0x80, 0, 0 | 1]))
}

/// A header that can be worked with.
pub(super) struct Header {
    /// Its bytes.
    pub size: usize,
    /// Bytes of messages that it claims.
    pub data_size: u32,
    /// The checksum of what stands before the messages.
    pub crc: Sum,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

impl Header {
    /// Reads the header at the beginning of `ahead`, of which [`AHEAD`] bytes are enough.
    pub fn read(ahead: &[u8]) -> Result<Self, Fault> {
        let Some(&[claimed, _, _, _, a, b, c, d, b'.', b'F', b'I', b'T']) = ahead.first_chunk()
        else {
            return Err(if ahead.len() < SHORT { Fault::HeaderCut } else { Fault::NotFit });
        };
        let (size, mut fault) = Self::size(claimed, ahead)?;
        if ahead.len() < size {
            return Err(Fault::HeaderCut);
        }
        let mut crc = Sum { whole: crc::update(0, &ahead[..size]), messages: None };
        if size == HEADER {
            let checksum = u16::from_le_bytes([ahead[12], ahead[13]]);
            let sound = checksum == 0 || checksum == crc::update(0, &ahead[..SHORT]);
            if !sound {
                fault = fault.or(Some(Fault::HeaderChecksum));
                crc.messages = Some(0);
            }
        }
        Ok(Self { size, data_size: u32::from_le_bytes([a, b, c, d]), crc, fault })
    }

    /// How long it is: what it says, if that is one of the two known sizes. Else one of these behind which messages
    /// begin, and only then a greater one behind which they do.
    fn size(claimed: u8, ahead: &[u8]) -> Result<(usize, Option<Fault>), Fault> {
        let claimed_size = usize::from(claimed);
        if claimed_size == HEADER || claimed_size == SHORT {
            return Ok((claimed_size, None));
        }
        if let Some(size) = [HEADER, SHORT].into_iter().find(|size| begins_at(ahead, *size)) {
            return Ok((size, Some(Fault::HeaderSize(claimed))));
        }
        if claimed_size > HEADER && begins_at(ahead, claimed_size) {
            return Ok((claimed_size, None));
        }
        Err(Fault::NotFit)
    }
}

/// The checksum of a segment while it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    whole: u16,
    /// That of the messages alone, if the header's is wrong. Behind a header with a good checksum the sum is 0: if the
    /// header was damaged after the file was written, this is what the file ends with.
    messages: Option<u16>,
}

impl Sum {
    /// Goes on over `bytes`.
    pub fn add(&mut self, bytes: &[u8]) {
        self.whole = crc::update(self.whole, bytes);
        self.messages = self.messages.map(|sum| crc::update(sum, bytes));
    }

    /// Whether it is what stands there.
    pub fn is(self, bytes: &[u8]) -> bool {
        let is = |sum: u16| bytes == sum.to_le_bytes();
        is(self.whole) || self.messages.is_some_and(is)
    }
}
