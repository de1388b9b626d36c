//! Entries of the log as the outside sees them: lines of JSON, by `seq`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::Value;

/// Entries by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entries {
    by_id: BTreeMap<u64, String>,
    /// Ids that came with two contents.
    pub(crate) twofold: BTreeSet<u64>,
    gaps: Vec<Gap>,
}

/// A range that holds nothing, as the stream tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) ids: RangeInclusive<u64>,
    pub(crate) why: Why,
}

/// Why a range holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The ids were never given to anything that was acknowledged.
    Unused,
    /// Entries made room.
    Full,
    /// The disk lost them. It has not: only the power went.
    Damaged,
}

impl Entries {
    /// Reads lines. A torn last line is legal in a file, and no entry.
    pub(crate) fn parse(text: &str) -> Self {
        let mut entries = Self::default();
        for line in text.lines() {
            let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
            let Some(id) = value["seq"].as_u64() else { continue };
            if let Some(before) = entries.by_id.insert(id, line.to_owned()) {
                if before == line {
                    continue;
                }
                entries.twofold.insert(id);
            }
            entries.gaps.extend(gap(&value));
        }
        entries
    }

    pub(crate) fn get(&self, id: u64) -> Option<&str> {
        self.by_id.get(&id).map(String::as_str)
    }

    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.by_id.keys().copied()
    }

    pub(crate) fn is_event(&self, id: u64) -> bool {
        self.get(id).is_some_and(|entry| entry.contains("\"event\":"))
    }

    /// Ids of what straps have measured.
    pub(crate) fn readings(&self) -> impl Iterator<Item = u64> {
        self.ids().filter(|id| !self.is_event(*id))
    }

    /// Whether the stream tells that this id holds nothing.
    pub(crate) fn told_missing(&self, id: u64) -> bool {
        self.gaps.iter().any(|gap| gap.ids.contains(&id))
    }

    /// Whether the stream tells that this id made room for others.
    pub(crate) fn told_dropped(&self, id: u64) -> bool {
        self.gaps.iter().any(|gap| gap.why == Why::Full && gap.ids.contains(&id))
    }

    /// Ids that are said to be lost to damage, by the first of each gap.
    pub(crate) fn told_damaged(&self) -> impl Iterator<Item = u64> {
        self.gaps.iter().filter(|gap| gap.why == Why::Damaged).map(|gap| *gap.ids.start())
    }
}

fn gap(value: &Value) -> Option<Gap> {
    (value["event"] == "gap").then_some(())?;
    let ids = value["first"].as_u64()?..=value["last"].as_u64()?;
    let why = match value["reason"].as_str()? {
        "buffer_full" | "not_stored" => Why::Full,
        "damaged" => Why::Damaged,
        _ => Why::Unused,
    };
    Some(Gap { ids, why })
}

/// The ids that one line of the daemon's log acknowledges: `… committed up=UP entries=N`.
pub(crate) fn acknowledged(line: &str) -> Option<RangeInclusive<u64>> {
    let (_, rest) = line.split_once("committed up=")?;
    let (up, rest) = rest.split_once(' ')?;
    let up: u64 = up.parse().ok()?;
    let count: u64 = rest.strip_prefix("entries=")?.split_whitespace().next()?.parse().ok()?;
    // Inclusive, so that `up=0 entries=1` is the entry 0; nothing committed is an empty range.
    Some((up + 1).checked_sub(count)?..=up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_which_ids_are_safe() {
        let ids = |rest: &str| acknowledged(&format!("TRACE buffer::writer: committed {rest}"));
        assert_eq!(ids("up=0 entries=1"), Some(0..=0));
        assert_eq!(ids("up=19 entries=4"), Some(16..=19));
        assert!(ids("up=19 entries=0").is_some_and(|ids| ids.is_empty()));
        assert_eq!(acknowledged("INFO gateway: starting"), None);
    }

    #[test]
    fn repeats_are_one_entry_and_contradictions_are_noticed() {
        let text = concat!(
            "{\"seq\":1,\"bpm\":60}\n{\"seq\":1,\"bpm\":60}\n{\"seq\":2,\"bpm\":60}\n",
            "{\"seq\":2,\"bpm\":61}\n",
            "{\"seq\":9,\"event\":\"gap\",\"first\":3,\"last\":8,\"reason\":\"unclean_stop\"}\n",
            "{\"se"
        );
        let entries = Entries::parse(text);
        assert_eq!(entries.ids().collect::<Vec<_>>(), [1, 2, 9]);
        assert_eq!(entries.twofold, BTreeSet::from([2]));
        assert!(entries.told_missing(3) && !entries.told_missing(9) && !entries.told_dropped(3));
    }
}
