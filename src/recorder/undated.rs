//! A boot that does not know the time yet, and what had been understood before it.
//!
//! A box without a battery clock may learn the time an hour after it was switched on. Sessions that ended before are recorded
//! with the time as it seemed then, and without what hangs on the date. So what was known before such a boot is kept, and
//! once its time is known the log is gone through again from there.

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::exit::chain;
use crate::reading::{At, EntryId};
use crate::roster::People;
use crate::session::tracker::{Rules, State, Tracker};
use crate::timeline::{Placed, TimeQuality, Timeline};

/// A boot that moves by less has the time it had: files have whole seconds.
const MOVED_US: u64 = 1_000_000;

/// Where to begin again.
pub(super) struct Undated {
    /// The first stamp of the boot.
    first: At,
    /// When that seemed to be.
    seemed: Placed,
    /// The first reading that is needed, once there is one.
    from: Option<EntryId>,
    /// What had been understood before it.
    pub(super) before: Tracker,
}

/// The same, to be kept on the disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    first: At,
    seemed_unix_us: i64,
    seemed: TimeQuality,
    from: Option<EntryId>,
    before: State,
}

impl Undated {
    /// A boot begins with this stamp. An earlier one that does not know the time yet has to be begun with.
    pub(super) fn begin(
        earlier: Option<Self>,
        first: &At,
        timeline: &Timeline,
        tracker: &Tracker,
    ) -> Option<Self> {
        let seemed = timeline.place(first);
        if is_known(&seemed) {
            return None;
        }
        earlier.or_else(|| {
            // Of sessions that go on.
            let from = Some(tracker.oldest()).filter(|oldest| *oldest < tracker.next());
            Some(Self { first: *first, seemed, from, before: tracker.clone() })
        })
    }

    /// A heart rate came.
    pub(super) fn reading(&mut self, id: EntryId) {
        self.from.get_or_insert(id);
    }

    /// Whether the log has it all still: what it let go of is recorded already, and will not be any better.
    pub(super) fn is_kept(&self, oldest: EntryId) -> bool {
        self.from.is_none_or(|from| from >= oldest)
    }

    /// Whether the time is known now, or better than before.
    pub(super) fn is_dated(&self, timeline: &Timeline) -> bool {
        let placed = timeline.place(&self.first);
        is_known(&placed) || placed.unix_us.abs_diff(self.seemed.unix_us) > MOVED_US
    }

    /// Whether it knows nobody who is not known any more.
    pub(super) fn knows_only(&self, people: &People) -> bool {
        self.before.athletes().all(|athlete| people.athlete(athlete).is_some())
    }

    pub(super) fn kept(&self) -> Kept {
        let Placed { unix_us, quality } = self.seemed;
        let before = self.before.state().clone();
        let Self { first, from, .. } = *self;
        Kept { first, seemed_unix_us: unix_us, seemed: quality, from, before }
    }
}

impl Kept {
    pub(super) fn resume(self, gateway: &str, rules: Rules) -> Option<Undated> {
        let Self { first, seemed_unix_us, seemed, from, before } = self;
        match Tracker::resume(gateway, rules, before) {
            Ok(before) => {
                let seemed = Placed { unix_us: seemed_unix_us, quality: seemed };
                Some(Undated { first, seemed, from, before })
            }
            Err(error) => {
                warn!(error = chain(&error), "sessions of before the time was known keep theirs");
                None
            }
        }
    }
}

/// Whether a time is what a time server says.
pub(super) fn is_known(placed: &Placed) -> bool {
    matches!(placed.quality, TimeQuality::Synced | TimeQuality::Corrected)
}
