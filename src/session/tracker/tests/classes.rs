//! Classes on the gym floor, as the log has them.

#[cfg(test)]
use super::*;
use crate::reading::GapReason;

const MINUTE: u64 = 60;

impl Gym {
    fn happens(&mut self, kind: EventKind) {
        self.entry(Fact::Event(Event { at: self.at(), kind }));
    }

    fn class_begins(&mut self, number: u128, minutes: u32) {
        let name = "Cycling".to_owned();
        self.happens(EventKind::ClassBegan { class: id(number), name, planned_s: minutes * 60 });
    }

    fn power_cut_with_gap(&mut self, seconds: u64) {
        self.boot += 1;
        self.now = (self.now + seconds).checked_sub(1000).unwrap();
        let (first, last) = (EntryId(self.next), EntryId(self.next + 50));
        let reason = GapReason::UncleanStop;
        self.happens(EventKind::Gap { first, last, count: None, reason });
        self.started();
    }

    fn checks_in(&mut self, name: &str, class: Option<u128>) {
        self.happens(EventKind::CheckedIn { strap: strap(name), class: class.map(id) });
    }

    /// Strap, class, reason and length in seconds of what has ended.
    fn told_ends(&self) -> Vec<(String, Option<ClassId>, Why, u64)> {
        let told = self.ended().into_iter().map(|ended| {
            let Session { strap, class, .. } = &ended.session;
            let class = class.as_ref().map(|class| class.id);
            (strap.to_string(), class, ended.why, ended.summary.elapsed_s.round() as u64)
        });
        told.collect()
    }
}

fn id(number: u128) -> ClassId {
    ClassId(Uuid::from_u128(number))
}

#[test]
fn whoever_begins_while_one_class_runs_takes_part_and_is_done_when_its_time_is_over() {
    let mut gym = Gym::new();
    gym.class_begins(7, 45);
    gym.seconds(60);
    gym.beats("A1", 50 * MINUTE, 140);
    let session = gym.started_sessions()[0].clone();
    assert_eq!(session.class.as_ref().map(|class| class.id), Some(id(7)));
    let class = session.class.unwrap();
    assert_eq!((class.to.0 - class.from.0, class.name.as_str()), (45 * 60_000, "Cycling"));
    // To the second when the class was over, though nobody has ended it.
    let ended = ("A1".to_owned(), Some(id(7)), Why::ClassEnded, 44 * MINUTE);
    assert_eq!(gym.told_ends(), [ended]);
    assert_eq!(gym.started_sessions().len(), 1, "what the strap sends on is nothing new");
    assert_eq!(gym.tracker.classes().run_out(&gym.at(), &gym.timeline), [id(7)]);
}

#[test]
fn while_two_classes_run_a_check_in_says_which() {
    let mut gym = Gym::new();
    gym.class_begins(7, 45);
    gym.class_begins(8, 45);
    gym.beats("A1", 20, 120);
    gym.checks_in("B2", Some(8));
    gym.beats("B2", 20, 120);
    let of = |gym: &Gym, n: usize| gym.started_sessions()[n].class.as_ref().map(|c| c.id);
    assert_eq!((of(&gym, 0), of(&gym, 1)), (None, Some(id(8))));
    gym.happens(EventKind::ClassEnded { class: id(8) });
    gym.seconds(200);
    let ended = gym.told_ends();
    assert_eq!(ended[0].1, Some(id(8)));
    assert_eq!(ended[0].2, Why::ClassEnded);
    // Now there is one again.
    gym.beats("C3", 20, 120);
    assert_eq!(of(&gym, 2), Some(id(7)));
}

#[test]
fn who_is_early_takes_part_and_who_trains_alone_goes_on_alone() {
    let mut gym = Gym::new();
    gym.beats("ALONE", 20 * MINUTE, 120);
    for _ in 0..MINUTE {
        gym.reads("ALONE", 120, Contact::Unknown);
        gym.beats("EARLY", 1, 110);
    }
    gym.class_begins(7, 10);
    for _ in 0..11 * MINUTE {
        gym.reads("ALONE", 120, Contact::Unknown);
        gym.beats("EARLY", 1, 150);
    }
    gym.seconds(200);
    let expected = [
        ("EARLY".to_owned(), Some(id(7)), Why::ClassEnded, 11 * MINUTE),
        ("ALONE".to_owned(), None, Why::Silence, 32 * MINUTE + 4),
    ];
    assert_eq!(gym.told_ends(), expected);
}

#[test]
fn who_goes_on_from_one_class_to_the_next_begins_anew_and_who_checked_out_does_not() {
    let mut gym = Gym::new();
    gym.class_begins(7, 5);
    gym.beats("B2", MINUTE, 130);
    gym.happens(EventKind::CheckedOut { strap: strap("B2") });
    for _ in 0..5 * MINUTE {
        gym.reads("B2", 90, Contact::Unknown);
        gym.beats("A1", 1, 150);
    }
    gym.class_begins(8, 5);
    for _ in 0..MINUTE {
        gym.reads("B2", 90, Contact::Unknown);
        gym.beats("A1", 1, 150);
    }
    gym.happens(EventKind::ClassEnded { class: id(8) });
    gym.seconds(200);
    let told: Vec<_> =
        gym.told_ends().into_iter().map(|(strap, class, why, _)| (strap, class, why)).collect();
    let with = |strap: &str, class, why| (strap.to_owned(), Some(id(class)), why);
    let expected = [
        with("B2", 7, Why::CheckOut),
        with("A1", 7, Why::ClassEnded),
        with("A1", 8, Why::ClassEnded),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_class_ends_in_time_over_a_power_cut_and_when_the_box_comes_back_after_its_end() {
    for (away, length) in [(10 * MINUTE, 30 * MINUTE), (25 * MINUTE, 10 * MINUTE)] {
        let mut gym = Gym::new();
        gym.now = 300;
        gym.class_begins(7, 30);
        gym.beats("A1", 10 * MINUTE, 140);
        // What a crash leaves comes first in the log, by the clock of the new boot.
        gym.power_cut_with_gap(away);
        gym.beats("A1", 25 * MINUTE, 150);
        let ends = gym.told_ends();
        let [(_, class, why, elapsed)] = &ends[..] else { panic!("{ends:?}") };
        assert_eq!((*class, *why), (Some(id(7)), Why::ClassEnded));
        assert!(elapsed.abs_diff(length) <= 5, "{elapsed}");
    }
}

#[test]
fn the_same_log_with_classes_gives_the_same_sessions_however_often_time_is_told() {
    let mut gym = Gym::new();
    gym.class_begins(7, 5);
    gym.checks_in("C3", Some(7));
    for second in 0..12 * MINUTE {
        gym.reads("A1", 150, Contact::Unknown);
        // Silent from shortly before the end of the class on.
        if second < 4 * MINUTE {
            gym.reads("B2", 120, Contact::Unknown);
        }
        if second == 8 * MINUTE {
            gym.class_begins(8, 10);
        }
        gym.seconds(1);
    }
    gym.happens(EventKind::ClassEnded { class: id(8) });
    gym.seconds(10 * MINUTE);
    let mut again = Tracker::new("box-1", Rules::default());
    let mut told = Vec::new();
    for entry in &gym.log {
        let state = again.state().clone();
        again = Tracker::resume("box-1", Rules::default(), state).unwrap();
        told.extend(again.entry(entry, &gym.timeline));
    }
    told.extend(again.pass(&gym.at(), &gym.timeline));
    let sort = |told: &[Output]| {
        let mut lines: Vec<_> = told.iter().map(|output| format!("{output:?}")).collect();
        lines.sort();
        lines
    };
    assert_eq!(sort(&told), sort(&gym.told));
    assert_eq!(gym.ended().len(), 3);
}
