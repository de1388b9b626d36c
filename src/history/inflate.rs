//! Inflates what is packed, as far as it can be: all that stands before a damage comes out, and then the damage is told.
//! A few dozen kilobytes are held, whatever is packed.
//!
//! Errors are those of the source, which have a number of the operating system, or say what is wrong with the packing:
//! [`ErrorKind::UnexpectedEof`] where it is cut off, another kind where it is damaged.

use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read};
use std::os::unix::fs::FileExt;

use flate2::{Decompress, FlushDecompress, Status};

/// How gzip begins.
pub(super) const GZIP: [u8; 2] = [0x1F, 0x8B];

/// Deflate, the only packing of gzip.
const DEFLATE: u8 = 8;

/// Members of one gzip. Those who write many of them put 64 KiB into each.
const MEMBERS_MAX: u32 = 4096;

/// What gzip may say of the parts of its header (RFC 1952, 2.3.1).
const HAS_CHECKSUM: u8 = 0x02;
const HAS_EXTRA: u8 = 0x04;
const HAS_NAME: u8 = 0x08;
const HAS_COMMENT: u8 = 0x10;

fn damaged(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "it is cut off")
}

/// Deflate (RFC 1951). Read it in pieces of 32 KiB or more: what does not fit is lost to a damage behind it.
#[derive(Debug)]
pub(super) struct Inflate<R> {
    source: R,
    state: Decompress,
    at: Inflating,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inflating {
    Within,
    End,
    Damage,
}

impl<R: BufRead> Inflate<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, state: Decompress::new(false), at: Inflating::Within }
    }

    fn begin_anew(&mut self) {
        self.state.reset(false);
        self.at = Inflating::Within;
    }
}

impl<R: BufRead> Read for Inflate<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.at {
                Inflating::Damage => return Err(damaged("it is damaged")),
                Inflating::End => return Ok(0),
                Inflating::Within if out.is_empty() => return Ok(0),
                Inflating::Within => {}
            }
            let input = self.source.fill_buf()?;
            let is_all = input.is_empty();
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(input, out, FlushDecompress::None);
            let consumed = (self.state.total_in() - before_in) as usize;
            let written = (self.state.total_out() - before_out) as usize;
            self.source.consume(consumed);
            self.at = match status {
                Ok(Status::StreamEnd) => Inflating::End,
                Ok(_) if written == 0 && is_all => return Err(cut_off()),
                // Without this it might go on for ever.
                Ok(_) if written == 0 && consumed == 0 => Inflating::Damage,
                Ok(_) => Inflating::Within,
                Err(_) => Inflating::Damage,
            };
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

/// gzip (RFC 1952): one member or several. What stands behind them and is none is left alone.
#[derive(Debug)]
pub(super) struct Gzip<R> {
    inflate: Inflate<R>,
    sum: Sum,
    members: u32,
    at: Unzipping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unzipping {
    Header,
    Member,
    End,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            inflate: Inflate::new(source),
            sum: Sum::default(),
            members: 0,
            at: Unzipping::Header,
        }
    }

    fn header(&mut self) -> io::Result<()> {
        let source = &mut self.inflate.source;
        let mut head = [0; 10];
        exact(source, &mut head)?;
        let [a, b, method, flags, ..] = head;
        if [a, b] != GZIP || method != DEFLATE {
            return Err(damaged("what stands behind its first part is no gzip"));
        }
        if flags & HAS_EXTRA != 0 {
            let mut length = [0; 2];
            exact(source, &mut length)?;
            skip(source, u16::from_le_bytes(length).into())?;
        }
        for text in [HAS_NAME, HAS_COMMENT] {
            if flags & text != 0 {
                skip_text(source)?;
            }
        }
        if flags & HAS_CHECKSUM != 0 {
            skip(source, 2)?;
        }
        if self.members == MEMBERS_MAX {
            return Err(damaged("it is made of more than 4096 parts"));
        }
        self.members += 1;
        self.inflate.begin_anew();
        self.sum = Sum::default();
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        let (mut crc, mut size) = ([0; 4], [0; 4]);
        exact(&mut self.inflate.source, &mut crc)?;
        exact(&mut self.inflate.source, &mut size)?;
        // Of the size gzip knows the lower 32 bits.
        self.sum.expect(
            u32::from_le_bytes(crc),
            self.sum.size & !0xFFFF_FFFF | u64::from(u32::from_le_bytes(size)),
        )
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.at {
                Unzipping::End => return Ok(0),
                Unzipping::Header => {
                    self.header()?;
                    self.at = Unzipping::Member;
                }
                Unzipping::Member => {
                    let length = self.inflate.read(out)?;
                    if length > 0 || out.is_empty() {
                        self.sum.add(&out[..length]);
                        return Ok(length);
                    }
                    self.trailer()?;
                    let next = self.inflate.source.fill_buf()?;
                    self.at = match next.first() == GZIP.first() {
                        true => Unzipping::Header,
                        false => Unzipping::End,
                    };
                }
            }
        }
    }
}

/// A file of an archive: what comes out must be what the archive says it is.
#[derive(Debug)]
pub(super) struct Checked<R> {
    source: R,
    sum: Sum,
    crc: u32,
    size: u64,
}

impl<R: Read> Checked<R> {
    pub(super) fn new(source: R, crc: u32, size: u64) -> Self {
        Self { source, sum: Sum::default(), crc, size }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(out)?;
        if length == 0 && !out.is_empty() {
            self.sum.expect(self.crc, self.size)?;
        }
        self.sum.add(&out[..length]);
        Ok(length)
    }
}

/// What came out so far.
#[derive(Debug, Default)]
struct Sum {
    crc: crc32fast::Hasher,
    size: u64,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.size += bytes.len() as u64;
    }

    fn expect(&self, crc: u32, size: u64) -> io::Result<()> {
        if self.size != size {
            return Err(damaged("it should unpack to another size"));
        }
        if self.crc.clone().finalize() != crc {
            return Err(damaged("its checksum is wrong"));
        }
        Ok(())
    }
}

/// A part of a file, wherever others read it.
#[derive(Debug)]
pub(super) struct Slice<'a> {
    file: &'a File,
    from: u64,
    to: u64,
}

impl<'a> Slice<'a> {
    pub(super) fn new(file: &'a File, from: u64, to: u64) -> Self {
        Self { file, from, to }
    }
}

impl Read for Slice<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.to.saturating_sub(self.from)).unwrap_or(usize::MAX);
        let most = out.len().min(left);
        let length = self.file.read_at(&mut out[..most], self.from)?;
        self.from += length as u64;
        Ok(length)
    }
}

fn exact(source: &mut impl Read, out: &mut [u8]) -> io::Result<()> {
    source.read_exact(out).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => cut_off(),
        _ => error,
    })
}

fn skip(source: &mut impl BufRead, mut bytes: usize) -> io::Result<()> {
    while bytes > 0 {
        let there = source.fill_buf()?.len().min(bytes);
        if there == 0 {
            return Err(cut_off());
        }
        source.consume(there);
        bytes -= there;
    }
    Ok(())
}

/// Passes over a text and the zero behind it.
fn skip_text(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let there = source.fill_buf()?;
        if there.is_empty() {
            return Err(cut_off());
        }
        let end = there.iter().position(|byte| *byte == 0);
        let length = end.map_or(there.len(), |end| end + 1);
        source.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::write::GzEncoder;
    use flate2::{Compression, GzBuilder};

    use super::*;

    /// What comes out, and the kind of error that ends it.
    fn unpacked(packed: &[u8], piece: usize) -> (Vec<u8>, Option<ErrorKind>) {
        let mut gzip = Gzip::new(BufReader::with_capacity(piece, packed));
        let (mut found, mut out) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            match gzip.read(&mut out) {
                Ok(0) => return (found, None),
                Ok(length) => found.extend(&out[..length]),
                Err(error) => return (found, Some(error.kind())),
            }
        }
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn text() -> Vec<u8> {
        (0..20_000u32).flat_map(|number| (number * 7919 % 1009).to_string().into_bytes()).collect()
    }

    #[test]
    fn members_come_out_one_after_the_other_whatever_their_headers_hold() {
        let text = text();
        let mut packer = GzBuilder::new()
            .filename("ride.fit")
            .comment("a comment")
            .extra([7; 300])
            .write(Vec::new(), Compression::best());
        packer.write_all(&text).unwrap();
        let mut packed = packer.finish().unwrap();
        packed.extend(gzipped(b""));
        packed.extend(gzipped(b"the end"));
        let all = [&text[..], b"the end"].concat();
        for piece in [1, 7, 1 << 16] {
            assert_eq!(unpacked(&packed, piece), (all.clone(), None));
        }
        // Tapes and disks are filled up with zeros.
        packed.extend([0; 512]);
        assert_eq!(unpacked(&packed, 100), (all, None));
    }

    #[test]
    fn cut_off_anywhere_it_yields_what_stands_before() {
        let text = text();
        let packed = gzipped(&text);
        let mut longest = 0;
        for length in (0..packed.len()).step_by(37).chain([packed.len() - 8, packed.len() - 1]) {
            let (found, error) = unpacked(&packed[..length], 4096);
            assert_eq!(error, Some(ErrorKind::UnexpectedEof), "{length}");
            assert!(text.starts_with(&found) && found.len() >= longest, "{length}");
            longest = found.len();
        }
        assert_eq!(longest, text.len());
    }

    #[test]
    fn damaged_anywhere_it_ends_and_says_so_and_what_stands_before_is_there() {
        let text = text();
        let packed = gzipped(&text);
        for place in (18..packed.len()).step_by(41) {
            let mut bytes = packed.clone();
            bytes[place] ^= 0x40;
            let (found, error) = unpacked(&bytes, 4096);
            assert!(error.is_some(), "{place}");
            let whole = unpacked(&packed[..place], 4096).0;
            // The last code before the damage may take bits of it.
            let sure = whole.len().saturating_sub(300);
            assert!(found.len() >= sure && found[..sure] == text[..sure], "{place}");
        }
    }
}
