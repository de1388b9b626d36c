//! A window onto a file: the bytes ahead, a few messages of them, and where they stand.

use std::io::{self, Read, Seek, SeekFrom};

/// The longest message: a header byte, 255 fields and 255 developer fields of 255 bytes each.
pub const MESSAGE_MAX: usize = 1 + 2 * 255 * 255;
/// Room for the longest message and a half: what is left of the window is moved to its front at most once per read.
const ROOM: usize = 3 * MESSAGE_MAX / 2;

/// Bytes that are searched at once.
const PIECE: usize = 64 * 1024;

/// Bytes of a file from where one is to the end of the window.
pub struct Input<R> {
    reader: R,
    window: Box<[u8]>,
    from: usize,
    to: usize,
    /// Where `from` is in the file.
    position: u64,
    length: u64,
}

impl<R: Read + Seek> Input<R> {
    /// From the beginning of `reader`.
    pub fn new(mut reader: R) -> io::Result<Self> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        // A small file gets a small window.
        let room = usize::try_from(length).unwrap_or(usize::MAX).clamp(16, ROOM);
        let window = vec![0; room].into_boxed_slice();
        Ok(Self { reader, window, from: 0, to: 0, position: 0, length })
    }

    /// Bytes in the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes from the beginning of the file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes from here to the end of the file.
    pub fn left(&self) -> u64 {
        self.length.saturating_sub(self.position)
    }

    /// The next `count` bytes, or fewer where the file ends; `count` is at most [`MESSAGE_MAX`].
    pub fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.to - self.from < count {
            self.fill(count)?;
        }
        let there = count.min(self.to - self.from);
        Ok(&self.window[self.from..self.from + there])
    }

    /// The `count` bytes that were [peeked](Self::peek) at.
    pub fn peeked(&self, count: usize) -> &[u8] {
        &self.window[self.from..(self.from + count).min(self.to)]
    }

    fn fill(&mut self, count: usize) -> io::Result<()> {
        if self.from > 0 {
            self.window.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        while self.to < count.min(self.window.len()) {
            match self.reader.read(&mut self.window[self.to..]) {
                Ok(0) => break,
                Ok(read) => self.to += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Goes on by `count` bytes that were peeked at.
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.to - self.from);
        self.from += count;
        self.position += count as u64;
    }

    /// Goes to `position`.
    pub fn skip_to(&mut self, position: u64) -> io::Result<()> {
        let ahead = position.checked_sub(self.position).and_then(|ahead| ahead.try_into().ok());
        match ahead {
            Some(ahead) if ahead <= self.to - self.from => self.advance(ahead),
            _ => {
                self.reader.seek(SeekFrom::Start(position))?;
                (self.from, self.to, self.position) = (0, 0, position);
            }
        }
        Ok(())
    }

    /// The first place from `from` on where `is_it` holds of the next `count` bytes; one stays where one is.
    pub fn find(
        &mut self,
        from: u64,
        count: usize,
        is_it: fn(&[u8]) -> bool,
    ) -> io::Result<Option<u64>> {
        let mut piece = Vec::with_capacity(PIECE + count);
        let mut at = from;
        self.reader.seek(SeekFrom::Start(from))?;
        let found = loop {
            let read = self.reader.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            if let Some(place) = piece.windows(count).position(is_it) {
                break Some(at + place as u64);
            }
            if read == 0 {
                break None;
            }
            // What may be the beginning of it stays.
            let done = (piece.len() + 1).saturating_sub(count);
            piece.drain(..done);
            at += done as u64;
        };
        self.back()?;
        Ok(found)
    }

    /// Shows the bytes from `from` to `to`, piece by piece; one stays where one is.
    pub fn visit(&mut self, from: u64, to: u64, show: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut piece = Vec::with_capacity(PIECE);
        let mut left = to - from;
        self.reader.seek(SeekFrom::Start(from))?;
        while left > 0 {
            piece.clear();
            let read = self.reader.by_ref().take(left.min(PIECE as u64)).read_to_end(&mut piece)?;
            if read == 0 {
                break;
            }
            show(&piece);
            left -= read as u64;
        }
        self.back()
    }

    /// To where the window ends, after a look at something else.
    fn back(&mut self) -> io::Result<()> {
        let ahead = (self.to - self.from) as u64;
        self.reader.seek(SeekFrom::Start(self.position + ahead)).map(drop)
    }

    /// Whether `is_it` holds of the `count` bytes at `place`; one stays where one is.
    pub fn find_at(
        &mut self,
        place: u64,
        count: usize,
        is_it: fn(&[u8]) -> bool,
    ) -> io::Result<bool> {
        let mut is = false;
        self.visit(place, place + count as u64, &mut |there| {
            is = there.len() == count && is_it(there);
        })?;
        Ok(is)
    }

    /// Back to the beginning, for another pass.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(0))?;
        (self.from, self.to, self.position) = (0, 0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_window_shows_every_byte_once_and_knows_where_it_is() {
        let bytes: Vec<u8> = (0..400_000).map(|n: u32| (n % 251) as u8).collect();
        let mut input = Input::new(Cursor::new(&bytes)).unwrap();
        let mut seen: Vec<u8> = Vec::new();
        for count in [1, 130_000, 7, 99_999, 130_051].into_iter().cycle() {
            let there = input.peek(count).unwrap().to_vec();
            input.advance(there.len());
            seen.extend(&there);
            assert_eq!(input.position(), seen.len() as u64);
            if there.len() < count {
                break;
            }
        }
        assert!(seen == bytes && input.left() == 0);
        input.rewind().unwrap();
        input.skip_to(300_000).unwrap();
        assert_eq!(input.peek(2).unwrap(), &bytes[300_000..300_002]);
    }
}
