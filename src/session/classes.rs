//! Classes as they run: which there are, and when each is over. Pure.
//!
//! A class is over when it was ended, or when its planned time has passed. That is counted by the monotonic clock within a
//! boot, and from boot to boot by times that a time server has confirmed; without these a box that was away counts as if no
//! time had passed meanwhile. So a class may end late on a box that does not know the time, and never early.

use serde::{Deserialize, Serialize};

use super::axis::between_us;
use super::told::{Class, ClassId};
use crate::activity::UnixMs;
use crate::reading::At;
use crate::timeline::{TimeQuality, Timeline};

/// Classes followed at once, those that are over included. More than any house has rooms.
const CLASSES_MAX: usize = 64;

/// A class that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Which.
    pub id: ClassId,
    /// What it is called.
    pub name: String,
    /// When it began.
    pub began: At,
    /// How long it is to last, in seconds.
    pub planned_s: u32,
    /// When it was ended.
    ended: Option<At>,
    /// Certainly passed in earlier boots, in microseconds.
    passed_us: u64,
    /// From where on the boot that runs counts.
    since: At,
}

impl Begun {
    /// A class that begins now.
    pub fn new(id: ClassId, name: String, began: At, planned_s: u32) -> Self {
        Self { id, name, began, planned_s, ended: None, passed_us: 0, since: began }
    }

    /// Microseconds of it that have passed, and that certainly.
    fn passed_us(&self, now: &At, timeline: &Timeline) -> u64 {
        let in_boot = |us: u64| if now.boot == self.since.boot { us } else { 0 };
        let own_us = in_boot(now.mono_us.saturating_sub(self.since.mono_us));
        let certain_us = self.passed_us.saturating_add(own_us);
        let is_sure = |at: &At| {
            matches!(timeline.place(at).quality, TimeQuality::Synced | TimeQuality::Corrected)
        };
        if now.boot == self.began.boot || !is_sure(&self.began) || !is_sure(now) {
            return certain_us;
        }
        certain_us.max(between_us(&self.began, now, timeline))
    }

    /// What is left of it, in microseconds; 0 when it is over.
    pub fn left_us(&self, now: &At, timeline: &Timeline) -> u64 {
        let planned_us = u64::from(self.planned_s) * 1_000_000;
        match self.over_since(now, timeline) {
            Some(_) => 0,
            None => planned_us.saturating_sub(self.passed_us(now, timeline)),
        }
    }

    /// The same in whole seconds, begun ones included.
    pub fn left_s(&self, now: &At, timeline: &Timeline) -> u32 {
        u32::try_from(self.left_us(now, timeline).div_ceil(1_000_000)).unwrap_or(u32::MAX)
    }

    /// When it was over, if it is by now. For an end that nobody saw, as the boot that runs would have stamped it.
    pub fn over_since(&self, now: &At, timeline: &Timeline) -> Option<At> {
        let planned_us = u64::from(self.planned_s) * 1_000_000;
        let over_us = self.passed_us(now, timeline).checked_sub(planned_us);
        let planned =
            over_us.map(|over_us| At { mono_us: now.mono_us.saturating_sub(over_us), ..*now });
        match (self.ended, planned) {
            (Some(ended), Some(planned)) => {
                let is_before = ended.boot != planned.boot || ended.mono_us <= planned.mono_us;
                Some(if is_before { ended } else { planned })
            }
            (ended, planned) => ended.or(planned),
        }
    }

    /// The class, at the times that are known by now.
    pub fn told(&self, timeline: &Timeline) -> Class {
        let from = UnixMs(timeline.place(&self.began).unix_us.div_euclid(1000));
        let to = from.plus_ms(i64::from(self.planned_s) * 1000);
        Class { id: self.id, name: self.name.clone(), from, to }
    }
}

/// The classes that run, and those that ended not long ago.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Classes(Vec<Begun>);

impl Classes {
    /// A class begins. One that has begun already is left as it is.
    pub fn begin(&mut self, class: Begun) {
        if self.0.len() < CLASSES_MAX && self.0.iter().all(|known| known.id != class.id) {
            self.0.push(class);
        }
    }

    /// A class is ended, if it has not been.
    pub fn end(&mut self, class: ClassId, at: &At) {
        let known = self.0.iter_mut().find(|known| known.id == class && known.ended.is_none());
        if let Some(known) = known {
            known.ended = Some(*at);
        }
    }

    /// The box runs again: it was last awake at `heard`.
    pub(super) fn back(&mut self, heard: &At, now: &At) {
        if heard.boot == now.boot {
            return;
        }
        for class in self.0.iter_mut().filter(|class| class.since.boot != now.boot) {
            if class.since.boot == heard.boot {
                let own_us = heard.mono_us.saturating_sub(class.since.mono_us);
                class.passed_us = class.passed_us.saturating_add(own_us);
            }
            class.since = At { mono_us: 0, ..*now };
        }
    }

    /// Those that run.
    pub fn running<'a, 'now>(
        &'a self,
        now: &'now At,
        timeline: &'now Timeline,
    ) -> impl Iterator<Item = &'a Begun> + use<'a, 'now> {
        self.0.iter().filter(|class| class.over_since(now, timeline).is_none())
    }

    /// Those whose planned time is over, and that nobody has ended.
    pub fn run_out(&self, now: &At, timeline: &Timeline) -> Vec<ClassId> {
        let run_out = self.0.iter().filter(|class| class.ended.is_none());
        run_out.filter(|c| c.over_since(now, timeline).is_some()).map(|class| class.id).collect()
    }

    /// The one that runs, when it is the only one.
    pub fn only(&self, now: &At, timeline: &Timeline) -> Option<&Begun> {
        let mut running = self.running(now, timeline);
        let first = running.next();
        first.filter(|_| running.next().is_none())
    }

    /// A class of this id, whether it runs or is over.
    pub fn get(&self, class: ClassId) -> Option<&Begun> {
        self.0.iter().find(|known| known.id == class)
    }

    /// Forgets those that have been over for so many microseconds.
    pub(super) fn forget(&mut self, after_us: u128, now: &At, timeline: &Timeline) {
        self.0.retain(|class| {
            let over = class.over_since(now, timeline);
            over.is_none_or(|over| u128::from(between_us(&over, now, timeline)) < after_us)
        });
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::reading::{BootId, ClockTrust, EntryId};

    const SECOND: u64 = 1_000_000;
    const UNIX_US: i64 = 1_795_000_000_000_000;

    fn at(boot: u128, second: u64, wall_offset_us: i64, trust: ClockTrust) -> At {
        At { boot: BootId(boot), mono_us: second * SECOND, wall_offset_us, trust }
    }

    /// Began at second 100 of the first boot and is to last 45 minutes; ten minutes later the power failed.
    fn cut(began: At) -> Classes {
        let id = ClassId(Uuid::from_u128(7));
        let mut classes = Classes::default();
        classes.begin(Begun::new(id, "Spin".to_owned(), began, 45 * 60));
        classes
    }

    fn is_over(classes: &Classes, now: &At, timeline: &Timeline) -> bool {
        classes.running(now, timeline).next().is_none()
    }

    fn timeline(stamps: &[At]) -> Timeline {
        let mut timeline = Timeline::default();
        for (place, at) in (0..).zip(stamps) {
            timeline.note(EntryId(place), at);
        }
        timeline
    }

    #[test]
    fn within_a_boot_the_wall_clock_has_no_say() {
        let began = at(1, 100, 0, ClockTrust::Unset);
        let classes = cut(began);
        let set = |second| at(1, second, UNIX_US, ClockTrust::Synced);
        let timeline = timeline(&[began, set(101)]);
        assert!(!is_over(&classes, &set(100 + 45 * 60 - 1), &timeline));
        assert!(is_over(&classes, &set(100 + 45 * 60), &timeline));
        let left = classes.get(ClassId(Uuid::from_u128(7))).unwrap();
        assert_eq!(left.left_us(&set(100 + 44 * 60), &timeline), 60 * SECOND);
        // It is told at the time that the server has put right.
        assert_eq!(left.told(&timeline).from.0, (UNIX_US + 100 * SECOND as i64) / 1000);
    }

    #[test]
    fn over_a_power_cut_the_time_of_a_server_counts() {
        let (began, heard) =
            (at(1, 100, UNIX_US, ClockTrust::Synced), at(1, 700, UNIX_US, ClockTrust::Synced));
        let mut classes = cut(began);
        // Twenty minutes without power.
        let offset_us = UNIX_US + 1900 * SECOND as i64;
        let now = |second| at(2, second, offset_us, ClockTrust::Synced);
        let timeline = timeline(&[began, heard, now(5)]);
        classes.back(&heard, &now(5));
        assert!(!is_over(&classes, &now(5), &timeline));
        let end = 100 + 45 * 60 - 1900;
        assert!(!is_over(&classes, &now(end - 1), &timeline));
        assert!(is_over(&classes, &now(end), &timeline));
        let over = classes.get(ClassId(Uuid::from_u128(7))).unwrap();
        assert_eq!(over.over_since(&now(end + 9), &timeline).unwrap().mono_us, end * SECOND);
    }

    #[test]
    fn a_clock_that_is_wrong_after_a_power_cut_ends_nothing_early() {
        let (began, heard) =
            (at(1, 100, UNIX_US, ClockTrust::Synced), at(1, 700, UNIX_US, ClockTrust::Synced));
        // A day ahead, or in 1970: nobody has confirmed it.
        for (wrong_us, trust) in
            [(UNIX_US + 86_400 * SECOND as i64, ClockTrust::Restored), (0, ClockTrust::Unset)]
        {
            let mut classes = cut(began);
            let now = |second| at(2, second, wrong_us, trust);
            let timeline = timeline(&[began, heard, now(5)]);
            classes.back(&heard, &now(5));
            // Ten minutes had passed, and 35 are left.
            assert!(!is_over(&classes, &now(35 * 60 - 1), &timeline), "{trust:?}");
            assert!(is_over(&classes, &now(35 * 60), &timeline), "{trust:?}");
        }
    }
}
