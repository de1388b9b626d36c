//! The state in the words of operators: how the buffer is, and how far each sink has come.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Span};
use super::state::{Letters, State};
use crate::reading::EntryId;

/// How the buffer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// What comes in is safe within a moment.
    Ok,
    /// The disk refuses: what comes in is held in memory, and it is tried again.
    Refused {
        /// For how many seconds.
        since_s: u64,
        /// What the disk said.
        reason: String,
    },
    /// What a damaged database still holds is being put back.
    PuttingBack {
        /// Everything that is missing is before this place.
        before: EntryId,
    },
    /// A damaged database was set aside; what it holds is put back by the next start or repair.
    SetAside {
        /// How many.
        databases: usize,
    },
}

impl Health {
    /// How a collecting buffer is.
    pub fn of(state: &State) -> Self {
        match (&state.trouble, state.salvaging_before) {
            (Some(trouble), _) => Self::Refused {
                since_s: trouble.since.elapsed().as_secs(),
                reason: trouble.reason.clone(),
            },
            (None, Some(before)) => Self::PuttingBack { before },
            (None, None) => Self::Ok,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Refused { since_s, reason } => write!(
                f,
                "THE DISK REFUSES since {since_s} s: {reason}; entries are held in memory, and it is tried again"
            ),
            Self::PuttingBack { before } => {
                write!(
                    f,
                    "putting back what a damaged database holds of the places before {before}"
                )
            }
            Self::SetAside { databases } => write!(
                f,
                "{databases} damaged database(s) set aside: `pulsegate buffer repair` puts back what can be read, and so \
                 does starting the daemon"
            ),
        }
    }
}

/// How far one sink has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkReport {
    /// Its name.
    pub name: String,
    /// Everything before this place was taken.
    pub next: EntryId,
    /// Places kept that it has not had.
    pub waiting: u64,
    /// Ranges that are still to come while newer ones were taken already.
    pub backlog: Vec<Span>,
    /// Entries dropped before it had them.
    pub lost: u64,
    /// Entries that its far side refused for good.
    pub dead_letters: Letters,
}

impl SinkReport {
    /// How far this sink has come, whether or not it has begun.
    pub fn of(state: &State, name: &str) -> Self {
        let cursor = state.cursors.get(name).cloned();
        let cursor = cursor.unwrap_or_else(|| Cursor::at(state.oldest));
        let starts = std::iter::once(cursor.next).chain(cursor.ahead.iter().map(|span| span.end));
        let backlog = starts.zip(&cursor.ahead).map(|(first, taken)| Span::new(first, taken.first));
        Self {
            backlog: backlog.filter(|span| span.places() > 0).collect(),
            next: cursor.next,
            waiting: state.waiting(name),
            lost: state.lost.get(name).copied().unwrap_or(0),
            dead_letters: state.letters.get(name).copied().unwrap_or_default(),
            name: name.to_owned(),
        }
    }

    /// Every sink that has ever had a cursor.
    pub fn all(state: &State) -> Vec<Self> {
        state.cursors.keys().map(|name| Self::of(state, name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Trouble;

    #[test]
    fn what_is_still_to_come_behind_newer_entries_is_told_as_ranges() {
        let span = |first, end| Span::new(EntryId(first), EntryId(end));
        let ahead = vec![span(200, 300), span(400, 500)];
        let cursor = Cursor { next: EntryId(100), ahead };
        let mut state = State { committed: EntryId(600), ..State::default() };
        state.cursors.insert("club".into(), cursor);
        let report = SinkReport::of(&state, "club");
        assert_eq!(report.backlog, [span(100, 200), span(300, 400)]);
        assert_eq!((report.next, report.waiting), (EntryId(100), 300));
        assert_eq!(SinkReport::all(&state).len(), 1);
    }

    #[test]
    fn a_disk_that_refuses_is_told_before_anything_else() {
        let before = EntryId(7);
        let mut state = State { salvaging_before: Some(before), ..State::default() };
        assert_eq!(Health::of(&State::default()), Health::Ok);
        assert_eq!(Health::of(&state), Health::PuttingBack { before });
        let since = tokio::time::Instant::now();
        state.trouble = Some(Trouble { reason: "no space".into(), since });
        assert!(Health::of(&state).to_string().contains("no space"));
    }
}
