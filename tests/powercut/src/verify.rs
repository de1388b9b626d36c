//! What must hold of a disk after a cut.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::entries::{Entries, acknowledged};
use crate::recording::Recording;

/// Said once ids are set aside, before anything is stored.
const STARTED: [&str; 2] = ["gateway: starting ", "stopped uncleanly last time"];

/// What a recording says of the daemon's promises and deliveries.
pub(crate) struct Promises {
    /// Ids with the record that acknowledged them.
    acknowledged: Vec<(usize, RangeInclusive<u64>)>,
    /// Records with which a run of the daemon says that it is ready to take readings.
    starts: Vec<usize>,
    /// Delivered lines with the record that completed them.
    delivered: Vec<(usize, u64)>,
    /// Everything ever delivered.
    reference: Entries,
}

/// What was promised at one moment.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) acknowledged: BTreeSet<u64>,
    pub(crate) delivered: BTreeSet<u64>,
    /// The last id that somebody may have seen: shown live, and on its way to the disk.
    pub(crate) shown: Option<u64>,
}

/// What was found on a disk, in the order of looking.
pub(crate) struct Found {
    /// The log right after the cut; `None` when the daemon was the first to look.
    pub(crate) stored: Option<Entries>,
    /// What the daemon then gave to the same file sink.
    pub(crate) delivered: Entries,
    /// The log after that.
    pub(crate) stored_later: Entries,
}

/// What does not hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Acknowledged, and not there.
    pub(crate) lost: BTreeSet<u64>,
    /// There with another content than before, or with two.
    pub(crate) wrong: BTreeSet<u64>,
    /// There, not delivered before the cut, and not delivered after it.
    pub(crate) passed_over: BTreeSet<u64>,
    /// Neither there nor told as missing.
    pub(crate) untold: BTreeSet<u64>,
    /// First ids of gaps that are told as damage.
    pub(crate) damaged: BTreeSet<u64>,
    /// A database was set aside.
    pub(crate) quarantined: bool,
}

impl Faults {
    pub(crate) fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("lost", &self.lost),
            ("with wrong content", &self.wrong),
            ("never delivered", &self.passed_over),
            ("missing and not told", &self.untold),
            ("at gaps told as damage", &self.damaged),
        ];
        let told = parts.iter().filter(|(_, ids)| !ids.is_empty()).map(|(what, ids)| {
            let (first, last) = (ids.first().copied(), ids.last().copied());
            let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
            format!("{} entries {what} ({first}..={last})", ids.len())
        });
        let quarantined = self.quarantined.then(|| "a database was set aside".to_owned());
        f.write_str(&told.chain(quarantined).collect::<Vec<_>>().join(", "))
    }
}

impl Promises {
    pub(crate) fn of(recording: &Recording) -> Self {
        let log = Lines::of(&recording.log());
        let acknowledged = log
            .0
            .iter()
            .filter_map(|(place, line)| Some((*place, acknowledged(line)?)))
            .filter(|(_, ids)| !ids.is_empty())
            .collect();
        let starts =
            log.0.iter().filter(|(_, line)| STARTED.iter().any(|said| line.contains(said)));
        let starts = starts.map(|(place, _)| *place).collect();
        let lines = Lines::of(&recording.delivered());
        let delivered = lines
            .0
            .iter()
            .flat_map(|(place, line)| Entries::parse(line).ids().last().map(|id| (*place, id)))
            .collect();
        let all: Vec<&str> = lines.0.iter().map(|(_, line)| line.as_str()).collect();
        Self { acknowledged, starts, delivered, reference: Entries::parse(&all.join("\n")) }
    }

    /// Records after which something had just been promised or delivered: the cuts that tell most.
    pub(crate) fn moments(&self) -> (Vec<usize>, Vec<usize>) {
        let mut delivered: Vec<usize> = self.delivered.iter().map(|(place, _)| *place).collect();
        delivered.dedup();
        (self.acknowledged.iter().map(|(place, _)| *place).collect(), delivered)
    }

    /// What was promised within the first `cut` records.
    pub(crate) fn at(&self, cut: usize) -> Due {
        let before = self.acknowledged.iter().filter(|(place, _)| *place < cut);
        let delivered = self.delivered.iter().filter(|(place, _)| *place < cut);
        let next = self.acknowledged.iter().find(|(place, _)| *place >= cut);
        // A later run sets its own ids aside before it says that it starts.
        let next = next.filter(|(place, _)| !self.starts.iter().any(|s| (cut..*place).contains(s)));
        let last = self.acknowledged.iter().rfind(|(place, _)| *place < cut);
        Due {
            shown: next.or(last).map(|(_, ids)| *ids.end()),
            acknowledged: before.flat_map(|(_, ids)| ids.clone()).collect(),
            delivered: delivered.map(|(_, id)| *id).collect(),
        }
    }

    /// Compares a disk with what was promised.
    pub(crate) fn check(&self, due: &Due, found: &Found) -> Faults {
        let Found { delivered, stored_later, .. } = found;
        let stored = found.stored.as_ref().unwrap_or(stored_later);
        // What the sink had taken may make room without a word: the oldest readings, and nothing behind them.
        let oldest = stored_later.readings().next().unwrap_or_default();
        let is_there = |id: &u64| {
            let dropped = stored.told_dropped(*id) || stored_later.told_dropped(*id);
            let made_room = *id < oldest && due.delivered.contains(id);
            dropped || made_room || (stored.get(*id).is_some() && stored_later.get(*id).is_some())
        };
        let mut faults = Faults {
            lost: due.acknowledged.iter().filter(|id| !is_there(id)).copied().collect(),
            damaged: stored.told_damaged().chain(stored_later.told_damaged()).collect(),
            ..Faults::default()
        };
        for entries in [stored, delivered, stored_later] {
            faults.wrong.extend(&entries.twofold);
            faults.wrong.extend(entries.ids().filter(|id| {
                let content = entries.get(*id);
                let was = self.reference.get(*id).filter(|_| due.shown >= Some(*id));
                was.is_some() && was != content
                    || stored.get(*id).is_some_and(|first| Some(first) != content)
            }));
        }
        // What the daemon that looked has added itself need not all be delivered.
        let upto = if found.stored.is_some() { None } else { delivered.ids().last() };
        let old = stored.ids().filter(|id| upto.is_none_or(|upto| *id <= upto));
        // A sink that is new begins with the oldest reading; events before that are not for it.
        let begins = self.reference.ids().next().unwrap_or_default();
        let old = old.filter(|id| *id >= begins || !stored.is_event(*id));
        let waiting = old.filter(|id| !due.delivered.contains(id));
        faults.passed_over.extend(waiting.filter(|id| delivered.get(*id).is_none()));
        if let Some(last) = stored_later.ids().last() {
            faults.untold.extend(
                (oldest..=last).filter(|id| {
                    stored_later.get(*id).is_none() && !stored_later.told_missing(*id)
                }),
            );
        }
        faults
    }
}

/// Lines with the record that completed them. A write may hold many lines, or a part of one.
struct Lines(Vec<(usize, String)>);

impl Lines {
    fn of(pieces: &[(usize, &[u8])]) -> Self {
        let mut lines = Vec::new();
        let mut begun = Vec::new();
        for (place, piece) in pieces {
            for byte in *piece {
                if *byte == b'\n' {
                    let line = String::from_utf8_lossy(&begun).into_owned();
                    lines.push((*place, line));
                    begun.clear();
                } else {
                    begun.push(*byte);
                }
            }
        }
        Self(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Kind, Record, Trace};

    fn promises() -> Promises {
        let log = |text: &str| Record::new(Kind::Log, 0, text.as_bytes());
        let delivered = |text: &str| Record::new(Kind::Delivered, 0, text.as_bytes());
        let records = vec![
            log("TRACE committed up=1 entries=2\n"),
            delivered("{\"seq\":0,\"bpm\":60}\n{\"seq\":1,"),
            delivered("\"bpm\":61}\n"),
            log("TRACE committed up=3 entries=2\n"),
            delivered("{\"seq\":2,\"bpm\":62}\n{\"seq\":3,\"bpm\":63}\n"),
        ];
        Promises::of(&Recording::Disk(Trace { disk_size: 0, records }))
    }

    fn lines(ids: RangeInclusive<u64>) -> Entries {
        let line = |id| format!("{{\"seq\":{id},\"bpm\":{}}}\n", 60 + id);
        Entries::parse(&ids.map(line).collect::<String>())
    }

    fn found(stored: &Entries, delivered: RangeInclusive<u64>) -> Found {
        let (stored, stored_later) = (Some(stored.clone()), stored.clone());
        Found { stored, delivered: lines(delivered), stored_later }
    }

    #[test]
    fn what_is_due_grows_with_the_cut() {
        let promises = promises();
        assert!(promises.at(0).acknowledged.is_empty());
        assert_eq!(promises.at(2).delivered, BTreeSet::from([0]));
        assert_eq!(promises.at(3).delivered, BTreeSet::from([0, 1]));
        assert_eq!(promises.at(4).acknowledged, BTreeSet::from([0, 1, 2, 3]));
    }

    #[test]
    fn ids_that_may_have_been_seen_are_those_on_their_way_in_the_same_run() {
        let log = |text: &str| Record::new(Kind::Log, 0, text.as_bytes());
        let start = || log("INFO pulsegate::gateway: starting version=\"1\"\n");
        let records = vec![
            start(),
            log("TRACE committed up=1 entries=2\n"),
            start(),
            log("TRACE committed up=99 entries=2\n"),
        ];
        let promises = Promises::of(&Recording::Disk(Trace { disk_size: 0, records }));
        let shown: Vec<_> = (0..=4).map(|cut| promises.at(cut).shown).collect();
        assert_eq!(shown, [None, Some(1), Some(1), Some(99), Some(99)]);
    }

    #[test]
    fn a_good_disk_has_no_faults() {
        let promises = promises();
        let due = promises.at(4);
        assert!(!promises.check(&due, &found(&lines(0..=3), 2..=3)).any());
        // A repeat is legal.
        assert!(!promises.check(&due, &found(&lines(0..=3), 0..=3)).any());
    }

    #[test]
    fn each_fault_is_seen() {
        let promises = promises();
        let due = promises.at(4);
        let ids = BTreeSet::from;
        let check = |stored, delivered| promises.check(&due, &found(&stored, delivered));
        assert_eq!(check(lines(0..=2), 2..=2).lost, ids([3]));
        assert_eq!(check(lines(0..=3), 3..=3).passed_over, ids([2]));
        assert_eq!(check(lines(0..=5), 2..=4).passed_over, ids([5]));
        let holed = Entries::parse("{\"seq\":0,\"bpm\":60}\n{\"seq\":2,\"bpm\":62}\n");
        assert_eq!(check(holed, 2..=2).untold, ids([1]));
        let other = Entries::parse("{\"seq\":1,\"bpm\":99}\n");
        assert_eq!(check(other, 1..=1).wrong, ids([1]));
    }

    #[test]
    fn a_second_opening_that_loses_is_seen() {
        let promises = promises();
        let due = promises.at(4);
        let mut found = found(&lines(0..=3), 2..=3);
        found.stored_later = lines(0..=1);
        assert_eq!(promises.check(&due, &found).lost, BTreeSet::from([2, 3]));
    }

    #[test]
    fn a_power_cut_must_not_look_like_damage() {
        let promises = promises();
        let due = promises.at(4);
        let told = Entries::parse(concat!(
            "{\"seq\":0,\"bpm\":60}\n{\"seq\":1,\"bpm\":61}\n",
            "{\"seq\":4,\"event\":\"gap\",\"first\":2,\"last\":3,\"reason\":\"damaged\"}\n"
        ));
        let faults = promises.check(&due, &found(&told, 4..=4));
        assert_eq!(faults.damaged, BTreeSet::from([2]));
        assert_eq!(faults.lost, BTreeSet::from([2, 3]));
        assert!(faults.untold.is_empty());
    }

    #[test]
    fn what_the_daemon_that_looked_has_added_need_not_be_delivered() {
        let promises = promises();
        let due = promises.at(4);
        let first_look_by_daemon = |delivered| {
            let found = found(&lines(0..=5), delivered);
            promises.check(&due, &Found { stored: None, ..found })
        };
        assert!(!first_look_by_daemon(2..=4).any());
        assert_eq!(first_look_by_daemon(3..=4).passed_over, BTreeSet::from([2]));
    }
}
