//! One line on a terminal that says how far something has come: a bar, files, bytes, and what is being done now. It is
//! rewritten in place, is never wider than the terminal, and is gone when other lines are said.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Back to the beginning of the line, which is emptied.
const CLEAR: &str = "\r\x1b[K";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// Columns of the bar itself, and of a terminal that does not say how wide it is.
const BAR: usize = 24;
const WIDTH: usize = 80;

/// It is not drawn more often: a serial line is slow, and nobody reads faster.
const DRAWN_EVERY: Duration = Duration::from_millis(50);

/// Whether standard output is a terminal that can rewrite a line.
pub(super) fn is_watched() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !is_dumb
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Done {
    pub files: usize,
    pub bytes: u64,
}

/// The line.
#[derive(Debug)]
pub(super) struct Progress {
    all: Done,
    done: Done,
    /// Whether it is on the terminal.
    stands: bool,
    drawn: Option<Instant>,
    /// <https://no-color.org>
    is_coloured: bool,
}

impl Progress {
    pub(super) fn new(all: Done) -> Self {
        let is_coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { all, done: Done::default(), stands: false, drawn: None, is_coloured }
    }

    /// What is to be written when something begins; nothing if that was only a moment ago.
    pub(super) fn begin(&mut self, name: &str) -> String {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < DRAWN_EVERY) {
            return String::new();
        }
        self.drawn = Some(Instant::now());
        self.stands = true;
        CLEAR.to_owned() + &self.line(name, width())
    }

    /// A file of so many bytes is done.
    pub(super) fn end(&mut self, bytes: u64) {
        self.done.files += 1;
        self.done.bytes += bytes;
    }

    /// What takes the line away, for others to be said.
    pub(super) fn clear(&mut self) -> &'static str {
        self.drawn = None;
        if std::mem::take(&mut self.stands) { CLEAR } else { "" }
    }

    fn line(&self, name: &str, width: usize) -> String {
        let (done, all) = (self.done, self.all);
        // Without bytes the files are all there is to go by.
        let (part, whole) = match all.bytes {
            0 => (done.files as u64, all.files as u64),
            bytes => (done.bytes, bytes),
        };
        let filled = (part.min(whole) as usize * BAR).checked_div(whole as usize).unwrap_or(BAR);
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let said = format!(
            " {}/{} files, {:.1}/{:.1} MB ",
            done.files,
            all.files,
            megabytes(done.bytes),
            megabytes(all.bytes)
        );
        // In its last column some terminals begin the next line.
        let room = width.saturating_sub(1);
        if room < BAR + 2 + said.len() {
            return cut(said.trim(), room);
        }
        let (full, empty) = ("#".repeat(filled), "-".repeat(BAR - filled));
        let bar = match self.is_coloured {
            true => format!("[{GREEN}{full}{PLAIN}{empty}]"),
            false => format!("[{full}{empty}]"),
        };
        bar + &said + &cut(name, room - BAR - 2 - said.len())
    }
}

/// As much of the end of a text as fits, for there names differ.
fn cut(text: &str, room: usize) -> String {
    // Letters of some scripts are two columns wide; that any beyond ASCII may be is near enough here.
    let columns = |letter: char| if letter.is_ascii() { 1 } else { 2 };
    if text.chars().map(columns).sum::<usize>() <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(3);
    let fitting = text.char_indices().rev().take_while(|(_, letter)| {
        let fits = columns(*letter) <= left;
        left = left.saturating_sub(columns(*letter));
        fits
    });
    let from = fitting.last().map_or(text.len(), |(at, _)| at);
    ["...".get(..room.min(3)).unwrap_or_default(), &text[from..]].concat()
}

fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map(|size| usize::from(size.ws_col)).ok().filter(|width| *width > 0).unwrap_or(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(files: usize, bytes: u64) -> Progress {
        let all = Done { files: 60, bytes: 20_000_000 };
        Progress {
            all,
            done: Done { files, bytes },
            stands: false,
            drawn: None,
            is_coloured: false,
        }
    }

    #[test]
    fn the_line_says_how_far_it_has_come() {
        let line = progress(15, 5_000_000).line("rides/evening.fit", 80);
        assert_eq!(line, "[######------------------] 15/60 files, 5.0/20.0 MB rides/evening.fit");
        let line = progress(60, 20_000_000).line("", 80);
        assert_eq!(line, format!("[{}] 60/60 files, 20.0/20.0 MB ", "#".repeat(24)));
        let none = Progress { all: Done { files: 2, bytes: 0 }, ..progress(1, 0) };
        assert!(none.line("", 80).starts_with("[############------------]"));
    }

    #[test]
    fn it_is_never_wider_than_the_terminal() {
        let name =
            "rides/Größe/ひとつ/a very long name of a file that does not fit into any line.fit";
        for width in 0..120 {
            let line = progress(15, 5_000_000).line(name, width);
            let columns: usize = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
            assert!(columns < width.max(1), "{width}: {columns} {line}");
        }
        assert!(progress(1, 1).line(name, 79).ends_with("into any line.fit"));
    }
}
