//! What the files of an activity have in common: why one cannot be, what of it was left out, text in XML, lines that hold
//! a sample and its beats.

use std::fmt;
use std::io;

use super::samples;
use crate::activity::{Item, Pause, Sample, UnixMs};

/// Beats of one line. Between two samples there are a few; whoever sends thousands gets further lines.
const BEATS_MAX: usize = 256;

/// Why an activity cannot be such a file.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The disk.
    #[error("the file could not be written")]
    Write(#[from] io::Error),
    /// GPX knows points on a map only.
    #[error("no sample has a position, and GPX holds nothing else; take FIT, TCX, CSV or JSON")]
    NoPosition,
    /// TCX must say first how long each lap took.
    #[error("the activity does not say how long it lasted, and TCX must; take FIT, CSV or JSON")]
    NoDuration,
}

/// What went into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Samples in it.
    pub samples: u64,
    /// Samples that the format has no place for: without a time, and in GPX without a position.
    pub samples_left_out: u64,
    /// Beats in it.
    pub beats: u64,
    /// Beats that the format has no place for.
    pub beats_left_out: u64,
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn rfc3339(at: UnixMs) -> String {
    samples::rfc3339(at.0.saturating_mul(1000))
}

/// Heart rate, if there was a beat.
pub(super) fn beating(sample: &Sample) -> Option<u8> {
    sample.heart_rate_bpm.filter(|bpm| *bpm != 0)
}

/// A number that can be written.
pub(super) fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// A whole number of the kind that XML formats have for cadence.
pub(super) fn whole_rpm(value: Option<f64>) -> Option<u8> {
    value.filter(|rpm| (0.0..254.5).contains(rpm)).map(|rpm| rpm.round() as u8)
}

/// Whether the timer stood still at some time between two moments.
pub(super) fn paused(pauses: &[Pause], before: UnixMs, after: UnixMs) -> bool {
    pauses.iter().any(|pause| pause.from >= before && pause.to <= after && pause.from < pause.to)
}

/// Text as it stands in XML 1.0: what is markup is escaped, what XML cannot hold at all becomes U+FFFD.
pub(super) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\t' | '\n' | '\r' => write!(f, "&#{};", u32::from(letter))?,
                '\0'..' ' | '\u{FFFE}' | '\u{FFFF}' => f.write_str("\u{FFFD}")?,
                letter => fmt::Write::write_char(f, letter)?,
            }
        }
        Ok(())
    }
}

/// A sample and the beats behind it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Row {
    /// `None` for beats that came before any sample.
    pub sample: Option<Sample>,
    /// Milliseconds between beats, oldest first.
    pub rr_ms: Vec<u16>,
}

/// Puts beats to their sample.
#[derive(Debug, Default)]
pub(super) struct Rows(Option<Row>);

impl Rows {
    /// Takes an item; a row that is complete by it.
    pub fn item(&mut self, item: Item) -> Option<Row> {
        match item {
            Item::Sample(sample) => self.0.replace(Row { sample: Some(sample), ..Row::default() }),
            Item::Beat(beat) => {
                let full = self.0.take_if(|row| row.rr_ms.len() == BEATS_MAX);
                self.0.get_or_insert_default().rr_ms.push(beat.rr.0);
                full
            }
        }
    }

    /// The last row.
    pub fn end(&mut self) -> Option<Row> {
        self.0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::{Beat, RrMillis};

    #[test]
    fn text_cannot_become_markup() {
        let text = Escaped("<a href=\"x\">&\u{0}\n\u{FFFF}ü").to_string();
        assert_eq!(text, "&lt;a href=&quot;x&quot;&gt;&amp;\u{FFFD}&#10;\u{FFFD}ü");
    }

    #[test]
    fn beats_stand_with_the_sample_before_them() {
        let beat = |ms| Item::Beat(Beat { after: None, rr: RrMillis(ms) });
        let sample = Item::Sample(Sample::default());
        let mut rows = Rows::default();
        let mut made: Vec<Row> = [beat(1), sample, sample, beat(2), beat(3)]
            .into_iter()
            .filter_map(|item| rows.item(item))
            .collect();
        made.extend(rows.end());
        let told: Vec<_> =
            made.iter().map(|row| (row.sample.is_some(), row.rr_ms.clone())).collect();
        assert_eq!(told, [(false, vec![1]), (true, vec![]), (true, vec![2, 3])]);
    }

    #[test]
    fn no_line_grows_without_bound() {
        let mut rows = Rows::default();
        let beats = std::iter::repeat_n(Item::Beat(Beat { after: None, rr: RrMillis(5) }), 1000);
        let full: Vec<usize> =
            beats.filter_map(|item| rows.item(item)).map(|row| row.rr_ms.len()).collect();
        assert_eq!(full, [256; 3]);
        assert_eq!(rows.end().unwrap().rr_ms.len(), 1000 - 3 * 256);
    }
}
