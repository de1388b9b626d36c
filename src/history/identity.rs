//! Which activity it is that comes in: one that is known, a better copy of one, or a new one.
//!
//! An id is made of who recorded and of the first sample ([`ActivityId::of`]), so it is the same for a copy, and for a recording that
//! was cut off. That alone proves nothing: straps of one gateway and apps without a serial number may begin in the same
//! second with the same heart rate. So where an id is taken, both recordings are read again and compared, and what is
//! different gets an id of its own, made of all that was measured. Nothing is taken for a duplicate unless what it
//! measured is there.

use std::io::ErrorKind;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::parcel::Prepared;
use super::{Bounds, History, HistoryError, Kept, Wanted, format, is_whole};
use crate::activity::{
    Activity, ActivityId, ContentDigest, FileFormat, Item, Sample, Totals, UnixMs,
};
use crate::fit::{Class, FileReport};

/// Most records and beats of a file that are compared: 18 hours. Of a longer one at most so many are, chosen by what they are.
const ITEMS_MAX: usize = 1 << 17;

/// Of a damaged recording one record in so many may be the damage itself.
const DAMAGE: usize = 10;

/// What an activity is that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is in the history under this id, since then.
    Known(ActivityId, UnixMs),
    /// It takes the place of a lesser copy under this id, or is new.
    Taken(ActivityId),
    /// It is in its file twice.
    Twice(ActivityId),
}

impl Standing {
    /// The id that it has.
    pub(super) fn id(&self) -> ActivityId {
        match self {
            Self::Known(id, _) | Self::Taken(id) | Self::Twice(id) => *id,
        }
    }

    /// Whether anything of it has to be kept.
    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::Taken(_))
    }

    /// When it came in before.
    pub(super) fn since(&self) -> Option<UnixMs> {
        match self {
            Self::Known(_, since) => Some(*since),
            Self::Taken(_) | Self::Twice(_) => None,
        }
    }
}

/// Says what the activities of a file are.
pub(super) struct Identify<'a> {
    history: &'a History,
    prepared: &'a Prepared,
    bounds: &'a Bounds,
    stop: &'a CancellationToken,
    /// Those of this file that were identified, with the digest of their content.
    claimed: Vec<(ActivityId, ContentDigest)>,
}

impl<'a> Identify<'a> {
    /// Of a file that was read.
    pub(super) fn new(
        history: &'a History,
        prepared: &'a Prepared,
        bounds: &'a Bounds,
        stop: &'a CancellationToken,
    ) -> Self {
        Self { history, prepared, bounds, stop, claimed: Vec::new() }
    }

    /// What the activity at `place` in the file is.
    pub(super) fn standing(&mut self, place: usize) -> Result<Standing, HistoryError> {
        let activity = &self.prepared.report.activities[place];
        let content = self.prepared.contents.get(place).copied().unwrap_or_default();
        let all = all_of(content, &activity.totals);
        let before = before(activity, self.prepared.format, content);
        let mut id = before;
        loop {
            let twin = self.claimed.iter().find(|(claimed, _)| *claimed == id);
            let standing = match (twin, self.history.get(id)?) {
                (Some((_, other)), _) if *other == all => return Ok(Standing::Twice(id)),
                (Some(_), _) => None,
                (None, None) if id == before && id != activity.id => None,
                (None, None) => Some(self.of_these_bytes(place)?.unwrap_or(Standing::Taken(id))),
                (None, Some(kept)) => self.compare(place, &kept)?,
            };
            if let Some(standing) = standing {
                self.claimed.push((id, all));
                return Ok(standing);
            }
            id = if id == before && id != activity.id { activity.id } else { id.apart(all) };
        }
    }

    /// What it is when its very file is kept, under an id that was made otherwise: a session that was recorded here, comes
    /// back from where it was sent to.
    fn of_these_bytes(&self, place: usize) -> Result<Option<Standing>, HistoryError> {
        let Prepared { sha256, format, .. } = self.prepared;
        if !self.history.original(sha256, *format).exists() {
            return Ok(None);
        }
        for listed in self.history.list(&Wanted::default())? {
            if listed.summary.sha256 != *sha256 {
                continue;
            }
            let kept = self.history.get(listed.summary.activity)?;
            let is_it = |kept: &Kept| kept.session.is_some() && kept.place == Some(place as u32);
            if let Some(kept) = kept.filter(is_it) {
                return Ok(Some(Standing::Known(kept.activity.id, kept.came_in)));
            }
        }
        Ok(None)
    }

    /// What the activity at `place` is beside one that is kept; `None` if it is another.
    fn compare(&self, place: usize, kept: &Kept) -> Result<Option<Standing>, HistoryError> {
        let (id, since) = (kept.activity.id, kept.came_in);
        if kept.sha256 == self.prepared.sha256 {
            let same = kept.place.is_none_or(|kept| kept as usize == place);
            return Ok(same.then_some(Standing::Known(id, since)));
        }
        let Some(theirs) = self.kept_items(kept)? else { return Ok(None) };
        let Some(ours) = self.items(place)? else { return Ok(None) };
        let new = &self.prepared.report.activities[place];
        Ok(match relation(new, ours, &kept.activity, theirs) {
            Relation::Other => None,
            Relation::Lesser => Some(Standing::Known(id, since)),
            Relation::Better => Some(Standing::Taken(id)),
        })
    }

    /// What was measured in the file that comes in.
    fn items(&self, place: usize) -> Result<Option<Items>, HistoryError> {
        let Prepared { scratch, format, .. } = self.prepared;
        let mut items = Items::default();
        let report = format::read(
            *format,
            &scratch.file,
            &self.bounds.file,
            &mut self.deadline(),
            &mut |at, item| items.add(at, &item),
        );
        let report = report.map_err(HistoryError::disk("reading", scratch.path()))?;
        self.sorted(items, &report, Some(place))
    }

    /// What was measured in a file that is kept; `None` if it is not there or cannot be read any more.
    fn kept_items(&self, kept: &Kept) -> Result<Option<Items>, HistoryError> {
        let mut items = Items::default();
        let (limits, mut sink) = (&self.bounds.file, |at, item| items.add(at, &item));
        match self.history.replay(kept, limits, &mut self.deadline(), &mut sink) {
            Ok(report) => self.sorted(items, &report, kept.place_in(&report.activities)),
            Err(HistoryError::Disk { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn deadline(&self) -> impl FnMut() -> bool {
        let deadline = Instant::now() + self.bounds.time;
        move || Instant::now() < deadline && !self.stop.is_cancelled()
    }

    fn sorted(
        &self,
        mut items: Items,
        report: &FileReport,
        own: Option<usize>,
    ) -> Result<Option<Items>, HistoryError> {
        if self.stop.is_cancelled() {
            return Err(HistoryError::Stopping);
        }
        let Some(own) = own.filter(|_| report.result != Class::Rejected) else { return Ok(None) };
        items.activities.resize_with(report.activities.len().max(own + 1), Vec::new);
        items
            .activities
            .iter_mut()
            .chain([&mut items.bare])
            .for_each(|items| items.sort_unstable());
        items.own = own;
        Ok(Some(items))
    }
}

/// The id that was given before ids were made of the first sample: what came in then has it.
fn before(activity: &Activity, format: FileFormat, content: ContentDigest) -> ActivityId {
    let Activity { origin, start, .. } = activity;
    match format {
        FileFormat::Fit => {
            let content = (!origin.identifies()).then_some(content.value());
            ActivityId::new(origin, *start, activity.index, content)
        }
        FileFormat::Tcx | FileFormat::Gpx => {
            ActivityId::new(origin, *start, 0, Some(content.value()))
        }
    }
}

/// A digest of all that tells an activity from others.
fn all_of(mut content: ContentDigest, totals: &Totals) -> ContentDigest {
    said(totals).into_iter().for_each(|number| content.number(number));
    content
}

/// What a summary says that no two rides have in common.
fn said(totals: &Totals) -> [Option<f64>; 6] {
    let Totals { elapsed_s, timer_s, distance_m, calories_kcal, avg_hr_bpm, max_hr_bpm, .. } =
        *totals;
    let bpm = |bpm: Option<u8>| bpm.map(f64::from);
    let calories = calories_kcal.map(f64::from);
    [elapsed_s, timer_s, distance_m, calories, bpm(avg_hr_bpm), bpm(max_hr_bpm)]
}

/// What was measured in a file: a digest of each record that measures something, and of each beat.
#[derive(Debug, Default)]
struct Items {
    /// By activity.
    activities: Vec<Vec<u64>>,
    /// Each record that has a heart rate once more without it: a strap hands its rates over at the end, and a file that was cut off
    /// lacks them.
    bare: Vec<u64>,
    /// Which of the activities it is about.
    own: usize,
    count: usize,
    /// Records without a time.
    untimed: u32,
    /// One digest in two to this power is kept.
    thinned: u32,
}

impl Items {
    fn add(&mut self, at: usize, item: &Item) {
        if self.activities.len() <= at {
            self.activities.resize_with(at + 1, Vec::new);
        }
        match item {
            Item::Sample(sample) => {
                let when = self.when(sample.at);
                let full = digest(when, sample);
                let bare = Sample { heart_rate_bpm: None, ..*sample };
                let bare = digest(when, &bare).filter(|bare| Some(*bare) != full);
                self.activities[at].extend(full.filter(|full| is_chosen(*full, self.thinned)));
                self.bare.extend(bare.filter(|bare| is_chosen(*bare, self.thinned)));
            }
            Item::Beat(beat) => {
                let mut digest = ContentDigest::default();
                digest.number(beat.after.map(|after| after.0 as f64));
                digest.beat(beat.rr);
                let beat = Some(digest.value()).filter(|beat| is_chosen(*beat, self.thinned));
                self.activities[at].extend(beat);
            }
        }
        self.count += 2;
        if self.count > ITEMS_MAX {
            self.thin(self.thinned + 1);
        }
    }

    /// The time of a record; of one that has none, its number.
    fn when(&mut self, at: Option<UnixMs>) -> Option<f64> {
        if let Some(UnixMs(ms)) = at {
            return Some(ms as f64);
        }
        self.untimed += 1;
        Some(f64::from(self.untimed))
    }

    fn thin(&mut self, thinned: u32) {
        self.thinned = thinned;
        self.activities.iter_mut().for_each(|items| items.retain(|it| is_chosen(*it, thinned)));
        self.bare.retain(|it| is_chosen(*it, thinned));
        self.count = self.activities.iter().map(Vec::len).sum::<usize>() + self.bare.len();
    }

    fn own(&self) -> &[u64] {
        self.activities.get(self.own).map_or(&[], Vec::as_slice)
    }

    /// How many items of the activity are nowhere in the other file.
    fn lacking_in(&self, other: &Self) -> usize {
        let is_there = |item: &&u64| {
            let mut lists = other.activities.iter().chain([&other.bare]);
            lists.any(|items| items.binary_search(item).is_ok())
        };
        self.own().iter().filter(|item| !is_there(item)).count()
    }
}

/// Of the high bits, which depend on everything.
fn is_chosen(digest: u64, thinned: u32) -> bool {
    digest.leading_zeros() >= thinned
}

/// Of a record that measures something.
fn digest(when: Option<f64>, sample: &Sample) -> Option<u64> {
    let values = values(sample);
    let mut digest = ContentDigest::default();
    digest.number(when);
    values.into_iter().for_each(|value| digest.number(value));
    values.iter().any(Option::is_some).then(|| digest.value())
}

/// What a record measures.
fn values(sample: &Sample) -> [Option<f64>; 10] {
    [
        sample.heart_rate_bpm.map(f64::from),
        sample.position.map(|place| f64::from(place.lat)),
        sample.position.map(|place| f64::from(place.lon)),
        sample.altitude_m,
        sample.speed_mps,
        sample.distance_m,
        sample.cadence_rpm,
        sample.power_w.map(f64::from),
        sample.temperature_c.map(f64::from),
        sample.calories_kcal.map(f64::from),
    ]
}

/// How a recording that comes in stands to one that is kept under its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// Another one.
    Other,
    /// The same, and nothing that is not kept.
    Lesser,
    /// The same, and more of it, or undamaged.
    Better,
}

/// One is the other when all that it measured is there in the file of the other, perhaps in another activity of that: a
/// watch that died had no time to say where one sport ended. Of a damaged one a little may be missing: that is the
/// damage. Of one in which nothing was measured, the summary tells.
fn relation(new: &Activity, mut ours: Items, kept: &Activity, mut theirs: Items) -> Relation {
    let thinned = ours.thinned.max(theirs.thinned);
    ours.thin(thinned);
    theirs.thin(thinned);
    let lacking = |one: &Items, other: &Items, activity: &Activity| {
        let tolerated = if is_whole(activity) { 0 } else { one.own().len() / DAMAGE };
        let lacking = one.lacking_in(other);
        (lacking, lacking <= tolerated)
    };
    let (new_lacks, new_is_there) = lacking(&ours, &theirs, new);
    let (kept_lacks, kept_is_there) = lacking(&theirs, &ours, kept);
    let both_whole = is_whole(new) && is_whole(kept);
    let nothing = ours.own().is_empty() || theirs.own().is_empty();
    let as_much = kept_is_there && new_is_there;
    let differ = as_much && rates(new) != rates(kept)
        || nothing && (new.counts, said(&new.totals)) != (kept.counts, said(&kept.totals));
    if both_whole && differ {
        return Relation::Other;
    }
    match (kept_is_there, new_is_there) {
        (false, false) => Relation::Other,
        (true, false) => Relation::Better,
        (false, true) => Relation::Lesser,
        (true, true) => match (is_whole(new), is_whole(kept)) {
            (true, false) => Relation::Better,
            (false, true) => Relation::Lesser,
            _ if new_lacks > kept_lacks => Relation::Better,
            _ => Relation::Lesser,
        },
    }
}

/// How many heart rates there are, and what they sum up to: a record may hold several, of which a sample shows one.
fn rates(activity: &Activity) -> (u64, f64) {
    (activity.counts.hr_samples, activity.counts.hr_sum)
}
