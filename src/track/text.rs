//! Bytes of any of the usual encodings as UTF-8. What is no letter becomes U+FFFD: a damaged name must not cost a ride.

use std::io::{self, BufRead, Read};

/// Bytes read at once.
const CHUNK: usize = 8192;
/// Where a declaration must have said the encoding.
const DECLARATION: usize = 256;

/// How text is kept in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// Windows-1252, which ISO 8859-1 is a part of wherever letters are meant.
    Western,
}

/// What Windows-1252 has instead of the control characters 0x80 to 0x9F.
const WESTERN: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Reads UTF-8 out of a file that may be something else, and no more of it than is allowed.
#[derive(Debug)]
pub struct Text<R> {
    file: R,
    encoding: Encoding,
    /// Bytes of the file that are not decoded yet: the beginning of a letter, mostly.
    raw: Vec<u8>,
    text: String,
    taken: usize,
    /// Bytes taken since [`Text::begin`].
    since: usize,
    /// Bytes of the file that were read, and how many may be.
    read: u64,
    limit: u64,
    is_over: bool,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// An encoding that is not read here.
    #[error("its encoding is {0:?}; save it as UTF-8")]
    Encoding(String),
    /// The reader.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl<R: Read> Text<R> {
    /// Looks how the file begins.
    pub fn new(file: R, limit: u64) -> Result<Self, TextError> {
        let mut text = Self {
            file,
            encoding: Encoding::Utf8,
            raw: Vec::with_capacity(CHUNK),
            text: String::new(),
            taken: 0,
            since: 0,
            read: 0,
            limit,
            is_over: false,
        };
        while text.raw.len() < DECLARATION && !text.is_over {
            text.fill_raw()?;
        }
        let (encoding, mark) = recognise(&text.raw)?;
        text.encoding = encoding;
        text.raw.drain(..mark);
        text.decode();
        Ok(text)
    }

    /// Bytes of the file that were read for what was taken, to about a chunk.
    pub fn position(&self) -> u64 {
        let ahead = self.raw.len() + self.text.len() - self.taken;
        self.read.saturating_sub(ahead as u64)
    }

    /// From here on bytes are counted anew.
    pub fn begin(&mut self) {
        self.since = 0;
    }

    fn fill_raw(&mut self) -> io::Result<()> {
        let before = self.raw.len();
        self.raw.resize(before + CHUNK, 0);
        let count = loop {
            match self.file.read(&mut self.raw[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.raw.truncate(before + *count.as_ref().unwrap_or(&0));
        self.is_over = count? == 0;
        self.read += (self.raw.len() - before) as u64;
        Ok(())
    }

    /// Turns `raw` into text, but for a letter that has only begun.
    fn decode(&mut self) {
        let (text, raw) = (&mut self.text, &mut self.raw);
        text.clear();
        self.taken = 0;
        let used = match self.encoding {
            Encoding::Utf8 => utf8(raw, text, self.is_over),
            Encoding::Western => {
                let letter = |byte: &u8| match byte {
                    0x80..=0x9F => WESTERN[usize::from(byte - 0x80)],
                    byte => char::from(*byte),
                };
                text.extend(raw.iter().map(letter));
                raw.len()
            }
            Encoding::Utf16Le => utf16(raw, text, self.is_over, u16::from_le_bytes),
            Encoding::Utf16Be => utf16(raw, text, self.is_over, u16::from_be_bytes),
        };
        raw.drain(..used);
    }
}

fn utf8(raw: &[u8], text: &mut String, is_over: bool) -> usize {
    let mut used = 0;
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        used += chunk.valid().len();
        let invalid = chunk.invalid();
        let has_only_begun = used + invalid.len() == raw.len() && invalid.len() < 4 && !is_over;
        if invalid.is_empty() || has_only_begun {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        used += invalid.len();
    }
    used
}

fn utf16(raw: &[u8], text: &mut String, is_over: bool, unit: fn([u8; 2]) -> u16) -> usize {
    let (pairs, odd) = raw.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let mut used = pairs.len() * 2;
    let begins_one = |unit: u16| (0xD800..0xDC00).contains(&unit);
    let held = pairs.last().is_some_and(|pair| begins_one(unit(*pair))) && !is_over;
    let count = pairs.len() - usize::from(held);
    used -= 2 * usize::from(held);
    text.extend(
        char::decode_utf16(units.take(count))
            .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)),
    );
    if is_over { used + odd.len() } else { used }
}

/// The encoding of a file that begins so, and the bytes of its mark.
fn recognise(head: &[u8]) -> Result<(Encoding, usize), TextError> {
    match head {
        [0xEF, 0xBB, 0xBF, ..] => return Ok((Encoding::Utf8, 3)),
        [0xFF, 0xFE, ..] => return Ok((Encoding::Utf16Le, 2)),
        [0xFE, 0xFF, ..] => return Ok((Encoding::Utf16Be, 2)),
        [b'<', 0, ..] => return Ok((Encoding::Utf16Le, 0)),
        [0, b'<', ..] => return Ok((Encoding::Utf16Be, 0)),
        _ => {}
    }
    let head = String::from_utf8_lossy(&head[..head.len().min(DECLARATION)]);
    let declared = head.split_once("?>").and_then(|(declaration, _)| {
        let (_, value) = declaration.split_once("encoding")?;
        let value = value.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
        value[1..].split(quote).next()
    });
    match declared.map(str::to_ascii_lowercase).as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => Ok((Encoding::Utf8, 0)),
        Some("iso-8859-1" | "iso-8859-15" | "latin1" | "latin-1" | "windows-1252" | "cp1252") => {
            Ok((Encoding::Western, 0))
        }
        // It cannot be: the declaration was read byte by byte.
        Some("utf-16" | "utf-16le" | "utf-16be") => Ok((Encoding::Utf8, 0)),
        Some(other) => Err(TextError::Encoding(other.chars().take(40).collect())),
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Text<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.taken == self.text.len() && !(self.is_over && self.raw.is_empty()) {
            if self.read > self.limit {
                return Err(io::Error::other(Beyond::File(self.limit)));
            }
            self.fill_raw()?;
            self.decode();
        }
        if self.since > super::xml::TOKEN_MAX {
            return Err(io::Error::other(Beyond::Token));
        }
        Ok(&self.text.as_bytes()[self.taken..])
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
        self.since += count;
    }
}

/// More than is allowed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum Beyond {
    /// Of the file.
    #[error("it is larger than {0} bytes")]
    File(u64),
    /// Of one tag, text or comment.
    #[error("a tag, text or comment in it is longer than {} bytes", super::xml::TOKEN_MAX)]
    Token,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut text = String::new();
        Text::new(bytes, 1 << 20).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Gives one byte at a time.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let one = into.len().min(1);
            self.0.read(&mut into[..one])
        }
    }

    const SAMPLE: &str = "<gpx creator=\"Größe → 𝄞\"/>";

    #[test]
    fn marks_and_declarations_tell_the_encoding() {
        assert_eq!(text(SAMPLE.as_bytes()), SAMPLE);
        assert_eq!(text(&[b"\xEF\xBB\xBF", SAMPLE.as_bytes()].concat()), SAMPLE);
        let little: Vec<u8> = SAMPLE.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = SAMPLE.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (mark, bytes) in
            [(&b"\xFF\xFE"[..], &little), (b"\xFE\xFF", &big), (b"", &little), (b"", &big)]
        {
            assert_eq!(text(&[mark, bytes].concat()), SAMPLE);
        }
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>Gr\xF6\xDFe \x80</a>";
        assert!(text(latin).ends_with("<a>Größe €</a>"));
        let error = Text::new(&b"<?xml version='1.0' encoding='Shift_JIS'?>"[..], 100).err();
        assert_eq!(error.unwrap().to_string(), "its encoding is \"shift_jis\"; save it as UTF-8");
    }

    #[test]
    fn letters_may_be_cut_anywhere() {
        let long = SAMPLE.repeat(1500);
        let utf16: Vec<u8> = long.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [long.as_bytes(), &utf16] {
            let mut got = String::new();
            Text::new(Dribble(bytes), 1 << 20).unwrap().read_to_string(&mut got).unwrap();
            assert_eq!(got, long);
            assert_eq!(text(bytes), long);
        }
    }

    #[test]
    fn what_is_no_letter_is_marked_and_the_rest_is_kept() {
        assert_eq!(text(b"<a>\xFFb\xC3</a>"), "<a>\u{FFFD}b\u{FFFD}</a>");
        assert_eq!(text(b"<a>\xE2\x82"), "<a>\u{FFFD}");
    }
}
