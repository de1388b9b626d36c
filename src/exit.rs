//! What the exit code means (`sysexits.h`), and the one place where an error's chain is printed.

use std::error::Error;
use std::process::ExitCode;

/// Why the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 0: as asked.
    Ok = 0,
    /// 64: the command line is wrong.
    Usage = 64,
    /// 65: some of what was brought cannot be read.
    Data = 65,
    /// 69: something needed is not there (no adapter, no running daemon).
    Unavailable = 69,
    /// 70: a fault of ours (a panic, a task that ended unasked).
    Software = 70,
    /// 73: something that must be created cannot be.
    CannotCreate = 73,
    /// 74: the buffer cannot read or write.
    Io = 74,
    /// 78: the configuration is wrong.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that ends the program, with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// The code to exit with.
    pub exit: Exit,
    /// What happened.
    pub error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// Ends the program with `exit` because of `error`.
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit, error: error.into() }
    }

    /// The error and what it came from, joined by colons.
    pub fn chain(&self) -> String {
        chain(self.error.as_ref())
    }
}

/// An error and its sources in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
