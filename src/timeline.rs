//! When each boot was. Stamps count from a boot; this turns them into time, and mends what was stamped before the
//! clock was set. Pure.
//!
//! A boot's line is `unix = mono + offset`. Where a time server confirmed the clock, the offset is known, for the hours
//! before as well. A boot that never heard one lies between its neighbours in the log: it began after the last sign of
//! life of the boot before, and ended before the next one began. Nothing is ever ordered by the wall clock.
//!
//! Sums are made in `i128`, where a thousand boots of any length fit, and cut to `i64` at the very end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::reading::{At, BootId, ClockTrust, EntryId};

/// An offset this far from the boot's last anchor is worth a new one.
const ANCHOR_STEP_US: u64 = 100_000;

/// Synced anchors further apart than this contradict each other.
const CONTRADICTION_US: u64 = 1_000_000;

/// How much of a boot's end a power cut may take from its record.
const RECORD_EVERY_US: u64 = 10 * 60 * 1_000_000;

/// Anchors in one record. Written in full they take 3.2 kB: a record fits into one page of the store.
const ANCHORS_MAX: usize = 64;

/// Boots kept. A box that is switched off every night needs three years for them.
const BOOTS_MAX: usize = 1000;

/// What is known of when each boot was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// In the order of the log.
    boots: Vec<Boot>,
    /// The `last_us` that each boot's record had when it was last to be stored.
    stored_us: BTreeMap<BootId, u64>,
}

/// What is known of one boot, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    /// Place in the log where the boot was first noted: orders boots, and names the record.
    pub from: EntryId,
    /// Which.
    pub boot: BootId,
    /// Earliest stamp, in microseconds since boot.
    pub first_us: u64,
    /// Latest stamp, in microseconds since boot.
    pub last_us: u64,
    /// What the wall clock said, wherever that changed. In the order of `mono_us`.
    pub anchors: Vec<Anchor>,
}

/// From here on the wall clock was so far ahead of the monotonic one, and could be believed so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Packed", into = "Packed")]
pub struct Anchor {
    /// Microseconds since boot.
    pub mono_us: u64,
    /// Unix time minus `mono_us`.
    pub offset_us: i64,
    /// Whether the wall clock could be believed.
    pub trust: ClockTrust,
}

/// A time, and how it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Unix time in microseconds.
    pub unix_us: i64,
    /// How far it can be believed.
    pub quality: TimeQuality,
}

/// How far an outgoing time can be believed.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeQuality {
    /// Stamped while a time server confirmed the clock.
    Synced,
    /// Stamped while the clock was wrong or in doubt, mended by what a time server said in the same boot.
    Corrected,
    /// No time server in that boot; held by the boots before and after.
    Bounded,
    /// As the wall clock had it: plausible, not confirmed.
    Restored,
    /// The clock was never set, and nothing is known that would help.
    Unset,
}

impl From<ClockTrust> for TimeQuality {
    fn from(trust: ClockTrust) -> Self {
        match trust {
            ClockTrust::Unset => Self::Unset,
            ClockTrust::Restored => Self::Restored,
            ClockTrust::Synced => Self::Synced,
        }
    }
}

impl Timeline {
    /// What stored records tell, in whatever order they come.
    pub fn new(mut boots: Vec<Boot>) -> Self {
        for boot in &mut boots {
            boot.anchors.sort_by_key(|anchor| anchor.mono_us);
            boot.thin_out();
        }
        boots.sort_by_key(|boot| boot.from);
        let stored_us = boots.iter().map(|boot| (boot.boot, boot.last_us)).collect();
        Self { boots, stored_us }
    }

    /// All boots, in the order of the log.
    pub fn boots(&self) -> &[Boot] {
        &self.boots
    }

    /// Notes a stamp and its place in the log, in any order. Returns the boot when its record has to be stored anew.
    pub fn note(&mut self, id: EntryId, at: &At) -> Option<&Boot> {
        let Some(index) = self.index(at.boot) else { return Some(self.insert(id, at)) };
        let boot = self.boots.get_mut(index)?;
        boot.first_us = boot.first_us.min(at.mono_us);
        boot.last_us = boot.last_us.max(at.mono_us);
        let anchored = boot.note(at);
        let stored_us = self.stored_us.entry(boot.boot).or_default();
        let due = boot.last_us.saturating_sub(*stored_us) >= RECORD_EVERY_US;
        (anchored || due).then(|| {
            *stored_us = boot.last_us;
            &*boot
        })
    }

    fn insert(&mut self, id: EntryId, at: &At) -> &Boot {
        let anchor = Anchor { mono_us: at.mono_us, offset_us: at.wall_offset_us, trust: at.trust };
        let (first_us, last_us) = (at.mono_us, at.mono_us);
        let boot = Boot { from: id, boot: at.boot, first_us, last_us, anchors: vec![anchor] };
        self.stored_us.insert(at.boot, last_us);
        let index = self.boots.partition_point(|boot| boot.from < id);
        match self.boots.get_mut(index) {
            // A boot that was noted at the end of the log and left nothing there. Its record is written over.
            Some(empty) if empty.from == id => {
                self.stored_us.remove(&empty.boot);
                *empty = boot;
            }
            _ => self.boots.insert(index, boot),
        }
        &self.boots[index]
    }

    /// Forgets boots all of whose entries are gone, and the oldest of too many. A boot before `oldest` stays while
    /// it is the last known one that holds up a boot with entries. Returns the `from` of the forgotten ones.
    pub fn forget_before(&mut self, oldest: EntryId) -> Vec<EntryId> {
        let holder = self.boots.partition_point(|boot| boot.from <= oldest).saturating_sub(1);
        let known = self.boots.iter().take(holder + 1).rposition(Boot::is_known);
        let surplus = self.boots.len().saturating_sub(BOOTS_MAX);
        let forgotten = self.boots.drain(..known.unwrap_or(holder).max(surplus));
        let forgotten: Vec<Boot> = forgotten.collect();
        for boot in &forgotten {
            self.stored_us.remove(&boot.boot);
        }
        forgotten.iter().map(|boot| boot.from).collect()
    }

    /// The time of a stamp, as far as it is known today.
    pub fn place(&self, at: &At) -> Placed {
        let stamped = Placed { unix_us: at.unix_us(), quality: at.trust.into() };
        let Some(index) = self.index(at.boot) else { return stamped };
        let boot = &self.boots[index];
        if at.trust == ClockTrust::Synced && !boot.contradicts(at.mono_us, at.wall_offset_us) {
            return stamped;
        }
        match boot.unix_us(at.mono_us) {
            Some(unix_us) => Placed { unix_us: cut(unix_us), quality: TimeQuality::Corrected },
            None if boot.anchors.is_empty() => stamped,
            None => self.place_between(index, at.mono_us),
        }
    }

    fn index(&self, boot: BootId) -> Option<usize> {
        // Most stamps are of the boot that runs.
        self.boots.iter().rposition(|known| known.boot == boot)
    }

    /// Places a stamp of a boot that never synced. All such boots between two known ones are laid out from the first
    /// on, each where its own clock had it or as little beside as keeps the order; a boot moves as a whole.
    fn place_between(&self, index: usize, mono_us: u64) -> Placed {
        let before = (0..index).rev().find_map(|i| Some((i + 1, self.boots[i].end_us()?)));
        let after =
            (index + 1..self.boots.len()).find_map(|i| Some((i, self.boots[i].unix_us(0)?)));
        let first = before.map_or(0, |(first, _)| first);
        let end = after.map_or(self.boots.len(), |(end, _)| end);
        let between = before.is_some() && after.is_some();

        // How long the boots from here to the next known one lasted.
        let mut lasted: i128 = self.boots[first..end].iter().map(Boot::lasted_us).sum();
        let mut lower = before.map(|(_, unix_us)| (unix_us, TimeQuality::Bounded));
        let mut placed = Placed { unix_us: 0, quality: TimeQuality::Unset };
        for boot in &self.boots[first..=index] {
            let latest = after.map(|(_, unix_us)| unix_us.saturating_sub(lasted));
            lasted -= boot.lasted_us();
            let (offset_us, quality) = boot.lay(lower, latest);
            let quality = if between { TimeQuality::Bounded } else { quality };
            let end_us = offset_us + boot.lasted_us();
            // Stamps after the last one that a power cut left in the record must not reach into the next boot.
            let limit = latest.map(|latest| end_us.max(latest + boot.lasted_us()));
            let unix_us = offset_us + i128::from(mono_us);
            let unix_us = limit.map_or(unix_us, |limit| unix_us.min(limit));
            placed = Placed { unix_us: cut(unix_us), quality };
            lower = Some((end_us, if before.is_some() { TimeQuality::Bounded } else { quality }));
        }
        placed
    }
}

impl Boot {
    /// Notes what the wall clock said. True when that was news.
    fn note(&mut self, at: &At) -> bool {
        let index = self.anchors.partition_point(|anchor| anchor.mono_us <= at.mono_us);
        // What held then; before the first anchor nobody has looked yet.
        let holding = self.anchors.get(index.saturating_sub(1));
        let is_held = holding.is_some_and(|anchor| {
            anchor.trust == at.trust
                && anchor.offset_us.abs_diff(at.wall_offset_us) <= ANCHOR_STEP_US
        });
        if is_held {
            return false;
        }
        let anchor = Anchor { mono_us: at.mono_us, offset_us: at.wall_offset_us, trust: at.trust };
        let before = self.anchors.clone();
        self.anchors.insert(index, anchor);
        self.thin_out();
        self.anchors != before
    }

    /// Keeps the record small: the latest anchor stays (the next stamp is compared with it) and so does the first
    /// synced one. What is not synced goes first, the least believable and oldest before the others; then what says
    /// nearly the same as the synced anchor before it.
    fn thin_out(&mut self) {
        while self.anchors.len() > ANCHORS_MAX {
            let is_synced = |anchor: &Anchor| anchor.trust == ClockTrust::Synced;
            let first_synced = self.anchors.iter().position(is_synced);
            let worth = |index: &usize| {
                let anchor = self.anchors[*index];
                let before = self.anchors[..*index].iter().rfind(|anchor| is_synced(anchor));
                let news = before.map_or(0, |before| before.offset_us.abs_diff(anchor.offset_us));
                (anchor.trust, if is_synced(&anchor) { news } else { 0 })
            };
            let rest = (0..self.anchors.len() - 1).filter(|index| Some(*index) != first_synced);
            let Some(least) = rest.min_by_key(worth) else { return };
            self.anchors.remove(least);
        }
    }

    fn synced(&self) -> impl DoubleEndedIterator<Item = &Anchor> {
        self.anchors.iter().filter(|anchor| anchor.trust == ClockTrust::Synced)
    }

    fn is_known(&self) -> bool {
        self.synced().next().is_some()
    }

    /// Whether the clock had been set away for a while then, with every sign of being right: what was said last before
    /// and what was said next after agree with each other and not with this.
    fn contradicts(&self, mono_us: u64, offset_us: i64) -> bool {
        let differs = |anchor: &&Anchor| anchor.offset_us.abs_diff(offset_us) > CONTRADICTION_US;
        let before = self.synced().filter(|anchor| anchor.mono_us < mono_us).rfind(differs);
        let after = self.synced().filter(|anchor| anchor.mono_us > mono_us).find(differs);
        match (before, after) {
            (Some(before), Some(after)) => {
                before.offset_us.abs_diff(after.offset_us) <= CONTRADICTION_US
            }
            _ => false,
        }
    }

    /// Unix time by the nearest synced anchor. Where the clock was set back between two anchors, time stands still
    /// rather than run backwards.
    fn unix_us(&self, mono_us: u64) -> Option<i128> {
        let anchors: Vec<&Anchor> = self
            .synced()
            .filter(|anchor| !self.contradicts(anchor.mono_us, anchor.offset_us))
            .collect();
        let mut unix_us: Option<i128> = None;
        for (index, anchor) in anchors.iter().enumerate().rev() {
            let before = index.checked_sub(1).and_then(|index| anchors.get(index));
            let nearest_from = before.map_or(0, |before| before.mono_us.midpoint(anchor.mono_us));
            let here = i128::from(mono_us.max(nearest_from)) + i128::from(anchor.offset_us);
            unix_us = Some(unix_us.map_or(here, |later| later.min(here)));
            if nearest_from <= mono_us {
                break;
            }
        }
        unix_us
    }

    /// Unix time of the last stamp, when it is known.
    fn end_us(&self) -> Option<i128> {
        self.unix_us(self.last_us)
    }

    /// From the start of the kernel to the last stamp.
    fn lasted_us(&self) -> i128 {
        i128::from(self.last_us)
    }

    /// The offset of a boot that never synced. It began after `lower`, and at `latest` if it is to end before the next
    /// known boot began. Where both cannot be, order wins.
    fn lay(&self, lower: Option<(i128, TimeQuality)>, latest: Option<i128>) -> (i128, TimeQuality) {
        let said = |trust| self.anchors.iter().rfind(|anchor| anchor.trust == trust);
        let (said, quality) = match said(ClockTrust::Restored) {
            // Restored from disk, it is late; put right by hand later on, it is less so.
            Some(restored) => (Some(restored), TimeQuality::Restored),
            None => (said(ClockTrust::Unset), TimeQuality::Unset),
        };
        let own_us = said.map_or(0, |anchor| i128::from(anchor.offset_us));
        // A clock that was never set says nothing: as early as can be, or else as late.
        let estimate = match (quality, lower, latest) {
            (TimeQuality::Unset, Some((lower, _)), _) => lower,
            (TimeQuality::Unset, None, Some(latest)) => latest,
            _ => own_us,
        };
        let offset_us = latest.map_or(estimate, |latest| estimate.min(latest));
        let offset_us = lower.map_or(offset_us, |(lower, _)| offset_us.max(lower));
        let quality = match lower {
            _ if offset_us == own_us => quality,
            Some((lower, holds)) if offset_us == lower => holds,
            _ => TimeQuality::Bounded,
        };
        (offset_us, quality)
    }
}

/// An anchor as stored: a thousand records are read at each start.
type Packed = (u64, i64, char);

impl From<Anchor> for Packed {
    fn from(anchor: Anchor) -> Self {
        let trust = match anchor.trust {
            ClockTrust::Unset => 'u',
            ClockTrust::Restored => 'r',
            ClockTrust::Synced => 's',
        };
        (anchor.mono_us, anchor.offset_us, trust)
    }
}

impl TryFrom<Packed> for Anchor {
    type Error = String;
    fn try_from((mono_us, offset_us, trust): Packed) -> Result<Self, String> {
        let trust = match trust {
            'u' => ClockTrust::Unset,
            'r' => ClockTrust::Restored,
            's' => ClockTrust::Synced,
            other => return Err(format!("{other:?} is no word for how far a clock is believed")),
        };
        Ok(Self { mono_us, offset_us, trust })
    }
}

/// Beyond what 64 bits hold lies no time that anybody measured.
fn cut(unix_us: i128) -> i64 {
    i64::try_from(unix_us).unwrap_or(if unix_us < 0 { i64::MIN } else { i64::MAX })
}
