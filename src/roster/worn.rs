//! Who wore a strap when. Changes carry stamps of a clock that may have been wrong; they are placed by the timeline when
//! asked, as readings are, so that what was noted before a time server answered is right afterwards. Pure.
//!
//! Within a boot stamps are compared as they are, and no clock matters at all. Between boots, changes keep the order
//! they were made in: a change whose time is known holds those before and after in their place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::people::{Change, People, Wearer};
use crate::athlete::AthleteId;
use crate::reading::{At, BootId, StrapId};
use crate::timeline::{TimeQuality, Timeline};

/// Who wore what, by what is known of the clocks today.
#[derive(Debug, Clone)]
pub struct Wearing {
    timeline: Arc<Timeline>,
    straps: BTreeMap<StrapId, Vec<Placed>>,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    boot: BootId,
    mono_us: u64,
    unix_us: i64,
    by: Option<Wearer>,
}

/// A strap was worn from then until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worn {
    /// Which.
    pub strap: StrapId,
    /// From here on, in microseconds of Unix time.
    pub from_us: i64,
    /// Until here; `None`: it still is.
    pub to_us: Option<i64>,
}

impl Wearing {
    /// Places every change.
    pub fn new(people: &People, timeline: Arc<Timeline>) -> Self {
        let straps = people
            .changes()
            .map(|(strap, changes)| (strap.clone(), place(changes, &timeline)))
            .collect();
        Self { timeline, straps }
    }

    /// Who wore a strap when this was stamped; `None`: nobody, or nobody knows. A change counts from its own moment on,
    /// the later made of two at the same moment.
    pub fn who(&self, strap: &StrapId, at: &At) -> Option<Wearer> {
        let changes = self.straps.get(strap)?;
        let is_same_boot = |placed: &Placed| placed.boot == at.boot;
        let begun = match changes.iter().position(is_same_boot) {
            // Changes of one boot stand together. Two people at the desk at once are perhaps stamped in the other order
            // than they were put in: none is before the one made before it.
            Some(first) => {
                let same = changes[first..].iter().take_while(|placed| is_same_boot(placed));
                first + same.take_while(|placed| placed.mono_us <= at.mono_us).count()
            }
            None => begun_at(changes, self.timeline.place(at).unix_us),
        };
        changes.get(begun.checked_sub(1)?)?.by
    }

    /// Who wore a strap at a time, in microseconds of Unix time.
    pub fn who_at(&self, strap: &StrapId, unix_us: i64) -> Option<Wearer> {
        let changes = self.straps.get(strap)?;
        changes.get(begun_at(changes, unix_us).checked_sub(1)?)?.by
    }

    /// What an athlete wore at any moment from `time.start` to before `time.end`, each from beginning to end, by
    /// beginning. Someone with two straps has both.
    pub fn worn_by(&self, athlete: AthleteId, time: Range<i64>) -> Vec<Worn> {
        let mut found = Vec::new();
        for (strap, changes) in &self.straps {
            for (n, placed) in changes.iter().enumerate() {
                let to_us = changes.get(n + 1).map(|next| next.unix_us);
                let is_theirs = placed.by == Some(Wearer::Athlete(athlete));
                let lasted = to_us.is_none_or(|to_us| to_us > placed.unix_us);
                let touches =
                    placed.unix_us < time.end && to_us.is_none_or(|to_us| to_us > time.start);
                if is_theirs && lasted && touches {
                    found.push(Worn { strap: strap.clone(), from_us: placed.unix_us, to_us });
                }
            }
        }
        found.sort_by(|a, b| (a.from_us, &a.strap).cmp(&(b.from_us, &b.strap)));
        found
    }
}

/// How many of the changes have come to pass by then.
fn begun_at(changes: &[Placed], unix_us: i64) -> usize {
    changes.partition_point(|placed| placed.unix_us <= unix_us)
}

/// Gives each change its time, none before the one made before it.
fn place(changes: &[Change], timeline: &Timeline) -> Vec<Placed> {
    let mut placed: Vec<(Placed, bool)> = changes
        .iter()
        .map(|&Change { at, by, .. }| {
            let time = timeline.place(&at);
            let is_known = matches!(time.quality, TimeQuality::Synced | TimeQuality::Corrected);
            (Placed { boot: at.boot, mono_us: at.mono_us, unix_us: time.unix_us, by }, is_known)
        })
        .collect();
    // None after a later one whose time is known.
    let mut latest_us = i64::MAX;
    for (placed, is_known) in placed.iter_mut().rev() {
        placed.unix_us = placed.unix_us.min(latest_us);
        if *is_known {
            latest_us = placed.unix_us;
        }
    }
    let mut earliest_us = i64::MIN;
    for (placed, _) in &mut placed {
        placed.unix_us = placed.unix_us.max(earliest_us);
        earliest_us = placed.unix_us;
    }
    placed.into_iter().map(|(placed, _)| placed).collect()
}
