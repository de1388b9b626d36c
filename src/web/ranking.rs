//! Who has which place in a class, by effort points. Pure.
//!
//! Whoever hides their tile, their numbers or their place in a ranking has none, and is not counted for the others either:
//! nobody can tell from a gap that there is somebody.

use std::collections::BTreeMap;

use crate::athlete::AthleteId;
use crate::live::Snapshot;
use crate::reading::StrapId;
use crate::roster::People;
use crate::session::ClassId;

/// The place of every strap whose wearer has one, counted from 1. Whoever has the same points has the same place.
pub(super) fn places(snapshot: &Snapshot, people: &People) -> BTreeMap<StrapId, usize> {
    let mut ranked: BTreeMap<StrapId, (ClassId, AthleteId)> = BTreeMap::new();
    let mut points: BTreeMap<(ClassId, AthleteId), u32> = BTreeMap::new();
    for (strap, session) in &snapshot.sessions {
        let Some(class) = session.class else { continue };
        let Some(wearer) = people.wearer(strap) else { continue };
        let hide = wearer.hide;
        let whole = whole(session.effort.points);
        if hide.tile || hide.numbers || hide.ranking || whole == 0 {
            continue;
        }
        ranked.insert(strap.clone(), (class, wearer.id));
        // Whoever wears two straps is one person.
        let best = points.entry((class, wearer.id)).or_default();
        *best = whole.max(*best);
    }
    let place = |of: (ClassId, AthleteId)| {
        let own = points.get(&of).copied().unwrap_or_default();
        let is_better =
            |((class, _), other): &(&(ClassId, AthleteId), &u32)| *class == of.0 && **other > own;
        points.iter().filter(is_better).count() + 1
    };
    ranked.into_iter().map(|(strap, of)| (strap, place(of))).collect()
}

/// Points as they are shown: begun ones do not count.
pub(super) fn whole(points: Option<f64>) -> u32 {
    points.unwrap_or_default() as u32
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::athlete::Hide;
    use crate::live::LiveSession;
    use crate::reading::{At, BootId, ClockTrust};
    use crate::roster::desk::{self, Moment};
    use crate::roster::{AssignBody, Edit, Roster};
    use crate::session::SessionSummary;

    const SPIN: ClassId = ClassId(Uuid::from_u128(1));
    const YOGA: ClassId = ClassId(Uuid::from_u128(2));

    fn strap(name: &str) -> StrapId {
        StrapId::new(name).unwrap()
    }

    /// Each with what they hide, their class, and their points; everybody wears the strap of their name.
    fn placed(room: &[(&str, Hide, Option<ClassId>, f64)]) -> Vec<(String, usize)> {
        let folder = tempfile::tempdir().unwrap();
        let roster = Roster::open(folder.path()).unwrap();
        let at = At {
            boot: BootId(1),
            mono_us: 1,
            wall_offset_us: 1_795_000_000_000_000,
            trust: ClockTrust::Synced,
        };
        let heard = room.iter().map(|(name, ..)| strap(name)).collect();
        let moment = Moment { at, unix_us: at.unix_us(), heard: Some(heard) };
        let mut snapshot = Snapshot::default();
        for (name, hide, class, points) in room {
            let edit = Edit {
                display_name: Some((*name).to_owned()),
                hide: Some(*hide),
                ..Edit::default()
            };
            desk::add(&roster, &edit, &moment).unwrap();
            let body = AssignBody { athlete: (*name).to_owned() };
            desk::assign(&roster, name, &body, &moment).unwrap();
            let effort = SessionSummary { points: Some(*points), ..SessionSummary::default() };
            snapshot.sessions.insert(strap(name), LiveSession { class: *class, effort });
        }
        let places = places(&snapshot, &roster.people());
        places.into_iter().map(|(strap, place)| (strap.to_string(), place)).collect()
    }

    #[test]
    fn more_points_are_a_better_place_and_the_same_points_the_same() {
        let all = Hide::default();
        let room = [
            ("ANNA", all, Some(SPIN), 31.9),
            ("BEN1", all, Some(SPIN), 31.1),
            ("CARA", all, Some(SPIN), 40.0),
            ("DORA", all, Some(SPIN), 12.0),
            ("EMIL", all, Some(YOGA), 3.0),
            ("FINN", all, None, 99.0),
            ("GRET", all, Some(SPIN), 0.9),
        ];
        let expected = [("ANNA", 2), ("BEN1", 2), ("CARA", 1), ("DORA", 4), ("EMIL", 1)];
        assert_eq!(placed(&room), expected.map(|(name, place)| (name.to_owned(), place)));
    }

    #[test]
    fn whoever_hides_has_no_place_and_is_not_counted() {
        let hides = [
            Hide { tile: true, ..Hide::default() },
            Hide { numbers: true, ..Hide::default() },
            Hide { ranking: true, ..Hide::default() },
        ];
        for hide in hides {
            let room =
                [("ANNA", hide, Some(SPIN), 50.0), ("BEN1", Hide::default(), Some(SPIN), 20.0)];
            assert_eq!(placed(&room), [("BEN1".to_owned(), 1)], "{hide:?}");
        }
    }
}
