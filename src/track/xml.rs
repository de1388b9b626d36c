//! Walks the elements of an XML file within limits. The only file that names quick-xml.
//!
//! Elements go by their local names: what prefix an app gives to a namespace says nothing, and apps get namespaces wrong.
//! Nothing is expanded: of entities those that XML itself defines are known, and references to characters; a document
//! type is passed over, whatever it declares or points to.

use std::io::{self, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event as Token};

use super::text::{Beyond, Text, TextError};

/// Longest tag, text or comment in bytes.
pub const TOKEN_MAX: usize = 1 << 16;
/// Deepest nesting. TCX has eight levels and its extensions a few.
const DEPTH_MAX: usize = 64;
/// Longest local name of an element.
const NAME_MAX: usize = 128;
/// What is kept of the text of an element. Numbers, times and names are shorter.
const TEXT_MAX: usize = 1024;
/// Attributes of an element that are looked at. What we look for stands among the first.
const ATTRIBUTES_MAX: usize = 32;

/// Why there is nothing further to read.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// Too large.
    #[error(transparent)]
    Beyond(Beyond),
    /// Nested too deeply, or a name too long.
    #[error(
        "its elements are nested more than {DEPTH_MAX} deep, or have names of more than {NAME_MAX} bytes"
    )]
    Shape,
    /// An encoding that is not read here.
    #[error("its encoding is {0:?}; save it as UTF-8")]
    Encoding(String),
    /// No XML.
    #[error("it is not well-formed XML: {0}")]
    Malformed(String),
    /// It ends in the middle of something.
    #[error("it ends before its end: <{0}> is not closed")]
    Truncated(String),
    /// The reader.
    #[error(transparent)]
    Io(io::Error),
}

/// What comes next. [`Xml::path`] says where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An element begins; its attributes can be asked for.
    Open,
    /// An element ends; its text is known, if it had no elements in it.
    Close,
}

/// An XML file being read.
pub struct Xml<R: Read> {
    reader: Reader<Text<R>>,
    buffer: Vec<u8>,
    /// Local names from the root on, with `/` between them.
    path: String,
    depth: usize,
    text: String,
    attributes: Vec<(String, String)>,
    /// The path is to lose its last name before the next event.
    leaves: bool,
    /// The element was empty: its end follows.
    is_empty: bool,
}

impl<R: Read> Xml<R> {
    /// Begins to read a file of so many bytes at most.
    pub fn new(file: R, limit: u64) -> Result<Self, XmlError> {
        let text = Text::new(file, limit).map_err(|error| match error {
            TextError::Encoding(encoding) => XmlError::Encoding(encoding),
            TextError::Io(error) => XmlError::Io(error),
        })?;
        let mut reader = Reader::from_reader(text);
        reader.config_mut().allow_dangling_amp = true;
        Ok(Self {
            reader,
            buffer: Vec::new(),
            path: String::new(),
            depth: 0,
            text: String::new(),
            attributes: Vec::new(),
            leaves: false,
            is_empty: false,
        })
    }

    /// About how many bytes of the file were read.
    pub fn position(&self) -> u64 {
        self.reader.get_ref().position()
    }

    /// Where the element is, from the root on: `gpx/trk/name`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The element itself.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The text of the element that ends, without blanks around it.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// An attribute of the element that begins, by its local name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|attribute| attribute.0 == name);
        found.map(|(_, value)| value.trim())
    }

    /// Goes to the next element that begins or ends. `None` behind the end of the file.
    pub fn next(&mut self) -> Result<Option<Event>, XmlError> {
        if std::mem::take(&mut self.leaves) {
            let parent = self.path.rfind('/').unwrap_or(0);
            self.path.truncate(parent);
            self.depth -= 1;
        }
        if std::mem::take(&mut self.is_empty) {
            self.leaves = true;
            return Ok(Some(Event::Close));
        }
        loop {
            self.buffer.clear();
            self.reader.get_mut().begin();
            let token = match self.reader.read_event_into(&mut self.buffer) {
                Ok(token) => token,
                Err(error) => return Err(error_of(&error)),
            };
            match token {
                Token::Start(start) => {
                    open(&mut self.path, &mut self.depth, &mut self.attributes, &start)?;
                    self.text.clear();
                    return Ok(Some(Event::Open));
                }
                Token::Empty(start) => {
                    open(&mut self.path, &mut self.depth, &mut self.attributes, &start)?;
                    self.text.clear();
                    self.is_empty = true;
                    return Ok(Some(Event::Open));
                }
                Token::End(_) => {
                    self.leaves = true;
                    return Ok(Some(Event::Close));
                }
                Token::Text(text) => keep(&mut self.text, &text.xml10_content()),
                Token::CData(text) => keep(&mut self.text, &text.xml10_content()),
                Token::GeneralRef(reference) => {
                    let name = reference.xml10_content();
                    let letter = match reference.resolve_char_ref() {
                        Ok(Some(letter)) => Some(letter),
                        _ => predefined(&name),
                    };
                    if let Some(letter) = letter {
                        keep(&mut self.text, letter.encode_utf8(&mut [0; 4]));
                    }
                }
                Token::Eof if self.depth > 0 => {
                    return Err(XmlError::Truncated(self.name().to_owned()));
                }
                Token::Eof => return Ok(None),
                Token::Comment(_) | Token::Decl(_) | Token::PI(_) | Token::DocType(_) => {}
            }
        }
    }
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

fn keep(text: &mut String, more: &str) {
    if text.len() + more.len() <= TEXT_MAX {
        text.push_str(more);
    }
}

fn open(
    path: &mut String,
    depth: &mut usize,
    attributes: &mut Vec<(String, String)>,
    start: &BytesStart<'_>,
) -> Result<(), XmlError> {
    let local = start.local_name();
    let name = local.as_ref();
    if *depth == DEPTH_MAX || name.len() > NAME_MAX {
        return Err(XmlError::Shape);
    }
    if *depth > 0 {
        path.push('/');
    }
    path.push_str(name);
    *depth += 1;
    attributes.clear();
    // Looking for repeated names costs the square of their number.
    for attribute in start.attributes().with_checks(false).take(ATTRIBUTES_MAX).flatten() {
        let local = attribute.key.local_name();
        let mut value = String::new();
        unescape(&attribute.value, &mut value);
        attributes.push((local.as_ref().to_owned(), value));
    }
    Ok(())
}

/// The value of an attribute with what it refers to; nothing of one that is too long.
fn unescape(raw: &str, value: &mut String) {
    if raw.len() > TEXT_MAX {
        return;
    }
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        value.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find(';') else { break };
        let name = &rest[1..end];
        let number = name.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
        let number = number.or_else(|| name.strip_prefix('#').map(str::parse));
        let letter = match number {
            Some(number) => number.ok().and_then(char::from_u32),
            None => predefined(name),
        };
        value.extend(letter);
        rest = &rest[end + 1..];
    }
    value.push_str(rest);
}

fn error_of(error: &quick_xml::Error) -> XmlError {
    let quick_xml::Error::Io(source) = error else {
        return XmlError::Malformed(error.to_string().chars().take(200).collect());
    };
    let beyond = source.get_ref().and_then(|inner| inner.downcast_ref::<Beyond>());
    match beyond {
        Some(beyond) => XmlError::Beyond(*beyond),
        None => XmlError::Io(io::Error::new(source.kind(), source.to_string())),
    }
}
