//! Standard output that may be closed at any time (`| head`): then there is nothing more to do, and nothing wrong.

use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;

use super::door::Lines;
use crate::exit::{Exit, Failure};

/// Standard output.
#[derive(Default)]
pub(in crate::cli) struct Output {
    closed: bool,
}

impl Output {
    /// Writes all of it, or finds that nobody reads any more.
    pub(in crate::cli) fn write(&mut self, text: &[u8]) -> Result<ControlFlow<()>, Failure> {
        if self.closed {
            return Ok(ControlFlow::Break(()));
        }
        let written = std::io::stdout().write_all(text);
        self.look(written)
    }

    /// Writes something after which nothing comes.
    pub(in crate::cli) fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.write(text.as_bytes()).map(|_| ())
    }

    /// Hands on what is still held.
    pub(in crate::cli) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = std::io::stdout().flush();
        self.look(flushed).map(|_| ())
    }

    fn look(&mut self, written: std::io::Result<()>) -> Result<ControlFlow<()>, Failure> {
        match written {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(ControlFlow::Break(()))
            }
            Err(error) => {
                Err(Failure::new(Exit::Io, format!("cannot write to standard output: {error}")))
            }
        }
    }
}

/// A document as people and programs read it.
pub(in crate::cli) fn json(document: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document);
    Ok(text.map_err(|error| Failure::new(Exit::Software, error))? + "\n")
}

/// Lines of JSON, one at a time. Pieces that come over a socket are cut anywhere.
pub(super) struct Split {
    lines: Lines,
    held: Vec<u8>,
    at: usize,
}

impl Split {
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines, held: Vec::new(), at: 0 }
    }

    /// The next line; `None` when that was all.
    pub(super) async fn next(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            if let Some(length) = self.held[self.at..].iter().position(|&byte| byte == b'\n') {
                let line = &self.held[self.at..self.at + length];
                self.at += length + 1;
                return serde_json::from_slice(line)
                    .map(Some)
                    .map_err(|error| Failure::new(Exit::Software, error));
            }
            self.held.drain(..self.at);
            self.at = 0;
            match self.lines.next().await? {
                Some(piece) => self.held.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}
