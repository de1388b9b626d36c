//! One evening in a gym, made from a seed: who wore what from when to when, and every word that a strap said. This is the
//! truth. It does not say what a session is, nor what the box makes of it.

use pulsegate::athlete::{Hide, Sex};
use pulsegate::reading::{Contact, HeartRate, RrInterval, Source, StrapId};
use pulsegate::roster::Edit;

/// 2026-11-21T17:30:00Z, in microseconds: where the evening's own time begins.
pub const ZERO_US: u64 = 1_795_284_000_000_000 - 30 * 60 * SECOND;
pub const SECOND: u64 = 1_000_000;

/// A time of the evening in microseconds, as the clock in the hall has it.
pub const fn at(hour: u64, minute: u64, second: u64) -> u64 {
    ((hour * 60 + minute) * 60 + second - (17 * 60 + 30) * 60) * SECOND
}

/// The time server answers.
pub const ANSWERED: u64 = at(19, 10, 0);

/// Deeds are done off the full second, when no strap speaks: what came first is never in doubt.
const DEED: u64 = 600_000;

/// A small generator of its own (SplitMix64, Steele 2014): the evening of a seed stays what it is.
pub struct Dice(u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn share(&mut self) -> f64 {
        self.below(1 << 32) as f64 / (1u64 << 32) as f64
    }
}

/// What a strap is to the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Rental(u16),
    Own(usize),
}

#[derive(Debug, Clone)]
pub struct Strap {
    pub id: StrapId,
    pub of: Of,
}

#[derive(Debug, Clone)]
pub struct Lesson {
    pub name: &'static str,
    /// People may check in so long before.
    pub open: u64,
    pub from: u64,
    pub to: u64,
    /// Its time is up, and nobody says so.
    pub ends_itself: bool,
}

/// What is done at the desk. Straps, people and classes by their place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Assign { strap: usize, person: usize },
    Release { strap: usize },
    CheckIn { strap: usize, class: Option<usize> },
    CheckOut { strap: usize },
    ClassBegins { class: usize },
    ClassEnds { class: usize },
}

/// A strap says something.
#[derive(Debug, Clone)]
pub struct Word {
    pub at: u64,
    pub strap: usize,
    pub says: HeartRate,
}

/// How the wall clock is wrong until [`ANSWERED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// 1970: no battery, nothing restored.
    Unset,
    /// As it was written to disk a day ago.
    DayLate,
}

/// The box loses its power, or the daemon is killed.
#[derive(Debug, Clone, Copy)]
pub struct Away {
    /// What was said after this never became durable.
    pub durable: u64,
    /// The end.
    pub from: u64,
    /// The kernel runs again; of a killed daemon: as before.
    pub kernel: u64,
    /// The daemon runs again.
    pub to: u64,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Trouble {
    pub away: Option<Away>,
    pub is_same_boot: bool,
    pub wrong: Wrong,
    /// The clock is wrong from the beginning, and not only since the power cut.
    pub wrong_from_start: bool,
}

impl Trouble {
    /// A class is cut in two; the box comes back without the time.
    pub fn cut(wrong: Wrong, second: u64) -> Self {
        let from = at(18, 18, second);
        let (kernel, to) = (at(18, 21, 0), at(18, 21, 30));
        let away = Away { durable: from - 1_700_000, from, kernel, to };
        Self { away: Some(away), is_same_boot: false, wrong, wrong_from_start: false }
    }

    /// The box does not know the time; it learns it, and then is away for so many minutes.
    pub fn long(wrong: Wrong, minutes: u64) -> Self {
        let from = at(19, 15, 30);
        let to = from + minutes * 60 * SECOND;
        let away = Away { durable: from - 800_000, from, kernel: to - 25 * SECOND, to };
        Self { away: Some(away), is_same_boot: false, wrong, wrong_from_start: true }
    }

    /// The daemon is killed in the middle of a class, and started again at once.
    pub fn killed(wrong: Wrong, second: u64) -> Self {
        let from = at(18, 18, second);
        let away = Away { durable: from - 900_000, from, kernel: 0, to: from + 12 * SECOND };
        Self { away: Some(away), is_same_boot: true, wrong, wrong_from_start: true }
    }
}

pub struct Plan {
    pub people: Vec<Edit>,
    pub straps: Vec<Strap>,
    pub classes: Vec<Lesson>,
    /// In their order.
    pub deeds: Vec<(u64, Deed)>,
    /// In their order. What was said while the box was away is in here.
    pub words: Vec<Word>,
    pub trouble: Trouble,
    pub until: u64,
}

impl Plan {
    /// Whether the box heard it, and has not lost it.
    pub fn is_durable(&self, at: u64) -> bool {
        self.trouble.away.is_none_or(|away| at <= away.durable || at >= away.to)
    }
}

/// What is between a strap and a heart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Silent,
    NoContact,
    Zero,
    Nonsense,
    LinkLost,
}

/// How a strap sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As an H10: RR intervals, contact unknown.
    Beats,
    /// As an H7 or an optical one: contact, no RR intervals.
    Plain,
    Broadcast,
    /// Over a link, while its broadcasts are heard as well.
    Both,
}

/// Somebody trains.
struct Bout {
    strap: usize,
    /// Seconds of the evening.
    from: u64,
    to: u64,
    /// The heart comes down from here on.
    rest: u64,
    way: Way,
    hard: f64,
    faults: Vec<(u64, u64, Fault)>,
}

struct Maker {
    dice: Dice,
    plan: Plan,
    rentals: Vec<usize>,
}

/// An evening of 45 athletes, 60 straps and three classes.
pub fn evening(seed: u64, trouble: Trouble) -> Plan {
    let early = 190 * SECOND;
    let class = |name, open, from, to, ends_itself| Lesson { name, open, from, to, ends_itself };
    let classes = vec![
        class("Ride", 0, at(18, 0, 0), at(18, 15, 0), false),
        class("Row", early, at(18, 10, 0), at(18, 25, 0), false),
        class("Burn", early, at(18, 25, 0), at(18, 40, 0), true),
    ];
    let (straps, deeds) = (Vec::new(), Vec::new());
    let (people, words) = (Vec::new(), Vec::new());
    let until = at(20, 4, 0);
    let plan = Plan { people, straps, classes, deeds, words, trouble, until };
    let mut maker = Maker { dice: Dice(seed), plan, rentals: Vec::new() };
    maker.house();
    maker.everybody();
    maker.classes();
    let mut plan = maker.plan;
    plan.deeds.sort_by_key(|(at, _)| *at);
    plan.words.sort_by_key(|word| (word.at, word.strap));
    plan
}

const PEOPLE: usize = 45;
const OWN: usize = 38;
const STRAPS: usize = 60;

impl Maker {
    fn house(&mut self) {
        for person in 0..PEOPLE {
            let edit = self.person(person);
            self.plan.people.push(edit);
        }
        for strap in 0..STRAPS {
            let id = StrapId::new(&format!("{:08X}", 0x9F6E_0000 + strap)).unwrap();
            let of = match strap.checked_sub(OWN) {
                None => Of::Own(strap),
                Some(rental) => Of::Rental(rental as u16 + 1),
            };
            self.plan.straps.push(Strap { id, of });
        }
        self.rentals = (OWN..STRAPS).collect();
    }

    /// Every kind of profile there is, in turn, with numbers of the dice.
    fn person(&mut self, person: usize) -> Edit {
        let mut some = |from: u64, to: u64| from + self.dice.below(to - from);
        let sex = if some(0, 2) == 0 { Sex::Female } else { Sex::Male };
        let (resting, max) = (some(46, 66) as u16, some(172, 199) as u16);
        let mut edit = Edit {
            display_name: Some(format!("P{person:02}")),
            birth_year: Some(some(1956, 2008) as u16),
            sex: Some(sex),
            weight_kg: Some(some(500, 980) as f64 / 10.0),
            max_hr_bpm: Some(max),
            resting_hr_bpm: Some(resting),
            consent: (person % 5 != 4).then(|| "2026-1".to_owned()),
            ..Edit::default()
        };
        match person % 9 {
            0 | 4 | 7 => {}
            1 => edit.max_hr_bpm = None,
            2 => edit.weight_kg = None,
            3 => {
                (edit.sex, edit.weight_kg) = (None, None);
                (edit.max_hr_bpm, edit.resting_hr_bpm) = (None, None);
            }
            5 => edit.zones_from_bpm = Some([95, 113, 132, 151, 170]),
            6 => edit.resting_hr_bpm = None,
            _ => {
                (edit.birth_year, edit.sex, edit.weight_kg) = (None, None, None);
                (edit.max_hr_bpm, edit.resting_hr_bpm) = (None, None);
            }
        }
        let hide =
            Hide { tile: person % 11 == 3, numbers: person % 7 == 2, ranking: person % 4 == 1 };
        edit.hide = (hide != Hide::default()).then_some(hide);
        edit
    }

    fn deed(&mut self, second: u64, deed: Deed) {
        self.plan.deeds.push((second * SECOND + DEED, deed));
    }

    fn assign(&mut self, second: u64, strap: usize, person: usize) {
        self.deed(second, Deed::Assign { strap, person });
    }

    fn rental(&mut self) -> usize {
        self.rentals.pop().unwrap()
    }

    /// Their own strap, or a rental.
    fn strap(&mut self, person: usize) -> usize {
        if person < OWN { person } else { self.rental() }
    }

    fn bout(&mut self, strap: usize, from: u64, to: u64) -> Bout {
        let way = [Way::Beats, Way::Plain, Way::Beats][self.dice.below(3) as usize];
        Bout {
            strap,
            from,
            to,
            rest: to,
            way,
            hard: 0.55 + 0.4 * self.dice.share(),
            faults: Vec::new(),
        }
    }

    fn up_to(&mut self, seconds: u64) -> u64 {
        self.dice.below(seconds + 1)
    }

    fn class(&self, class: usize) -> (u64, u64) {
        let class = &self.plan.classes[class];
        (class.from / SECOND, class.to / SECOND)
    }

    /// What each of the 45 does this evening.
    fn everybody(&mut self) {
        for person in 0..PEOPLE {
            match person {
                0..9 => self.regular(person, person % 3),
                9..12 => self.walks_in(person, person % 3),
                12..15 => self.leaves_early(person, person % 3),
                15..17 => self.comes_back(person, person % 2),
                17..20 => self.drops_out(person, person % 3),
                20..22 => self.loses_contact(person, person % 2),
                22 | 23 => self.broadcasts(person),
                24 | 25 => self.speaks_twice(person),
                26 => self.tries(person),
                27 => self.wears_two(person),
                28 => self.exceeds(person),
                29 | 30 => self.goes_on_to_the_next(person),
                31 | 32 => self.checks_in_late(person, person % 3),
                33 => self.stays(person),
                34 => self.hands_back(person),
                35 | 36 => self.trains_late(person),
                37 => self.trains_last(person),
                38 | 40 => self.hands_over(person, person + 1),
                42 => self.hands_over_later(person, person + 1),
                39 | 41 | 43 => {}
                _ => self.takes_what_lies_there(person),
            }
        }
        self.nobody_trains();
        self.lies_there();
    }

    fn classes(&mut self) {
        for class in 0..self.plan.classes.len() {
            let (start, end) = self.class(class);
            let open = self.plan.classes[class].open / SECOND;
            self.deed(start - open, Deed::ClassBegins { class });
            self.deed(end, Deed::ClassEnds { class });
        }
    }

    fn comes_to(&mut self, person: usize, class: usize) -> Bout {
        let (start, end) = self.class(class);
        let strap = self.strap(person);
        let early = 170 + self.up_to(15);
        self.assign(start - early, strap, person);
        let early = 100 + self.up_to(60);
        // Before it runs, a check-in cannot name it.
        let class = Some(class).filter(|class| self.plan.classes[*class].open > 0);
        self.deed(start - early, Deed::CheckIn { strap, class });
        let (early, late) = (self.up_to(60), self.up_to(60));
        let mut bout = self.bout(strap, start - early, end + 150 + late);
        bout.rest = end;
        bout
    }

    fn regular(&mut self, person: usize, class: usize) {
        let bout = self.comes_to(person, class);
        self.train(&bout);
    }

    fn walks_in(&mut self, person: usize, class: usize) {
        let (start, end) = self.class(class);
        let strap = self.strap(person);
        self.assign(start - 900, strap, person);
        let (late, early) = (self.up_to(60), self.up_to(60));
        let bout = self.bout(strap, start + late, end - early);
        self.train(&bout);
    }

    /// And takes the strap off at once, after a minute, or after more than two.
    fn leaves_early(&mut self, person: usize, class: usize) {
        let mut bout = self.comes_to(person, class);
        let (start, _) = self.class(class);
        bout.rest = start + 230 + self.up_to(60);
        bout.to = bout.rest + [1, 80, 140][person % 3];
        self.deed(bout.rest, Deed::CheckOut { strap: bout.strap });
        self.train(&bout);
    }

    fn comes_back(&mut self, person: usize, class: usize) {
        let (start, end) = self.class(class);
        let strap = self.strap(person);
        self.assign(start - 60, strap, person);
        let mut bout = self.bout(strap, start, end);
        let away = 181 + self.up_to(150);
        bout.faults.push((start + 240, start + 240 + away, Fault::Silent));
        self.train(&bout);
    }

    fn drops_out(&mut self, person: usize, class: usize) {
        let mut bout = self.comes_to(person, class);
        let (start, _) = self.class(class);
        let long = 170 + self.up_to(8);
        for (from, seconds) in [(60, long), (300, 3), (330, 7), (350, 40), (700, 15)] {
            bout.faults.push((start + from, start + from + seconds, Fault::Silent));
        }
        self.train(&bout);
    }

    fn loses_contact(&mut self, person: usize, class: usize) {
        let mut bout = self.comes_to(person, class);
        let (start, _) = self.class(class);
        for (from, seconds, fault) in [
            (100, 30, Fault::NoContact),
            (200, 60, Fault::Zero),
            (300, 12, Fault::Nonsense),
            (400, 2, Fault::Zero),
            (750, 4, Fault::NoContact),
        ] {
            bout.faults.push((start + from, start + from + seconds, fault));
        }
        self.train(&bout);
    }

    fn broadcasts(&mut self, person: usize) {
        let mut bout = self.comes_to(person, 2);
        bout.way = Way::Broadcast;
        self.train(&bout);
    }

    fn speaks_twice(&mut self, person: usize) {
        let mut bout = self.comes_to(person, 0);
        bout.way = Way::Both;
        let from = bout.from + 300;
        bout.faults.push((from, from + 20 + self.up_to(40), Fault::LinkLost));
        self.train(&bout);
    }

    /// Eight seconds, nine, ten (which are a session), and twelve.
    fn tries(&mut self, person: usize) {
        let strap = self.strap(person);
        self.assign(at(17, 50, 0) / SECOND, strap, person);
        for (from, heard) in
            [(at(18, 0, 0), 8), (at(18, 6, 0), 10), (at(18, 12, 0), 11), (at(18, 30, 0), 13)]
        {
            let from = from / SECOND;
            let mut bout = self.bout(strap, from, from + heard);
            bout.way = Way::Beats;
            self.train(&bout);
        }
    }

    fn wears_two(&mut self, person: usize) {
        let rental = self.rental();
        let (start, end) = self.class(2);
        for (strap, late) in [(person, 0), (rental, 120)] {
            self.assign(start - 100, strap, person);
            let bout = self.bout(strap, start + late, end - late);
            self.train(&bout);
        }
    }

    /// Their maximum, for more than half a minute.
    fn exceeds(&mut self, person: usize) {
        self.plan.people[person].max_hr_bpm = Some(150);
        let mut bout = self.comes_to(person, 2);
        bout.hard = 0.99;
        self.train(&bout);
    }

    fn goes_on_to_the_next(&mut self, person: usize) {
        let mut bout = self.comes_to(person, 1);
        let (start, end) = self.class(2);
        self.deed(start - 45, Deed::CheckIn { strap: bout.strap, class: Some(2) });
        (bout.to, bout.rest) = (end + 200, end);
        self.train(&bout);
    }

    fn checks_in_late(&mut self, person: usize, class: usize) {
        let (start, end) = self.class(class);
        let strap = self.strap(person);
        self.assign(start - 20, strap, person);
        self.deed(start + 200, Deed::CheckIn { strap, class: Some(class) });
        let mut bout = self.bout(strap, start + 5, end + 180);
        bout.rest = end;
        self.train(&bout);
    }

    /// Checks out, goes on without a break, and checks in to the class after.
    fn stays(&mut self, person: usize) {
        let mut bout = self.comes_to(person, 0);
        let (start, _) = self.class(0);
        let (_, end) = self.class(1);
        self.deed(start + 240, Deed::CheckOut { strap: bout.strap });
        self.deed(start + 720, Deed::CheckIn { strap: bout.strap, class: Some(1) });
        (bout.to, bout.rest) = (end + 180, end);
        self.train(&bout);
    }

    /// And keeps it on for a while.
    fn hands_back(&mut self, person: usize) {
        let (start, end) = self.class(2);
        let strap = self.rental();
        self.assign(start - 30, strap, person);
        let bout = self.bout(strap, start, end);
        self.deed(end - 160, Deed::Release { strap });
        self.train(&bout);
    }

    /// While the time server answers, and perhaps while the box goes away.
    fn trains_late(&mut self, person: usize) {
        let strap = self.strap(person);
        self.assign(at(19, 0, 0) / SECOND, strap, person);
        let from = at(19, 5, 0) / SECOND + self.up_to(30);
        let to = match self.plan.trouble.away {
            Some(away) if away.from > ANSWERED => away.to / SECOND + 300,
            _ => at(19, 24, 0) / SECOND,
        };
        let bout = self.bout(strap, from, to);
        self.train(&bout);
    }

    fn trains_last(&mut self, person: usize) {
        let strap = self.strap(person);
        self.assign(at(19, 2, 0) / SECOND, strap, person);
        let bout = self.bout(strap, at(19, 49, 0) / SECOND, at(19, 55, 0) / SECOND);
        self.train(&bout);
    }

    /// At half past six, from one chest to the next, without a gap.
    fn hands_over(&mut self, first: usize, second: usize) {
        let strap = self.rental();
        let half_past = at(18, 30, 0) / SECOND;
        self.assign(half_past - 1150, strap, first);
        self.assign(half_past, strap, second);
        let from = half_past - 1100;
        let mut bout = self.bout(strap, from, half_past + 700);
        bout.rest = half_past + 600;
        self.train(&bout);
        if second % 4 == 1 {
            self.deed(half_past + 90, Deed::CheckIn { strap, class: Some(2) });
        }
    }

    /// Handed back, on the desk for less than the silence, and given to the next.
    fn hands_over_later(&mut self, first: usize, second: usize) {
        let strap = self.rental();
        let (start, _) = self.class(2);
        self.assign(start, strap, first);
        let bout = self.bout(strap, start + 60, start + 480);
        self.train(&bout);
        self.deed(start + 500, Deed::Release { strap });
        self.assign(start + 590, strap, second);
        let bout = self.bout(strap, start + 600, start + 1000);
        self.train(&bout);
    }

    /// And is asked for their name in the middle.
    fn takes_what_lies_there(&mut self, person: usize) {
        let strap = self.rental();
        let (start, end) = self.class(2);
        self.assign(start + 200, strap, person);
        let bout = self.bout(strap, start, end);
        self.train(&bout);
    }

    fn nobody_trains(&mut self) {
        let strap = self.rental();
        let (start, end) = self.class(1);
        let bout = self.bout(strap, start, end - 60);
        self.train(&bout);
    }

    /// Straps that nobody wears: some are mute, some find no heart, some say that they are not worn.
    fn lies_there(&mut self) {
        let faults = [Fault::Zero, Fault::NoContact, Fault::Silent];
        for (n, strap) in self.rentals.clone().into_iter().enumerate() {
            for second in (at(18, 0, 0)..at(18, 45, 0)).step_by(10 * SECOND as usize) {
                self.says(strap, second, Source::Broadcast, Some(faults[n % 3]), 71, Vec::new());
            }
        }
    }

    fn says(
        &mut self,
        strap: usize,
        second_us: u64,
        source: Source,
        fault: Option<Fault>,
        bpm: u16,
        rr: Vec<RrInterval>,
    ) {
        let knows_contact = strap % 3 == 1 || fault == Some(Fault::NoContact);
        let worn = if knows_contact { Contact::Worn } else { Contact::Unknown };
        let (bpm, contact, rr) = match fault {
            Some(Fault::Silent) => return,
            Some(Fault::LinkLost) if source == Source::Link => return,
            Some(Fault::NoContact) => (bpm, Contact::NotWorn, Vec::new()),
            Some(Fault::Zero) => (0, worn, Vec::new()),
            Some(Fault::Nonsense) => (300, worn, rr),
            _ => (bpm, worn, rr),
        };
        let says = HeartRate { bpm, contact, energy_kj: None, rr, source };
        // Each strap has its own part of the second.
        let at = second_us + strap as u64 * 6_007 + u64::from(source == Source::Broadcast) * 3_001;
        self.plan.words.push(Word { at, strap, says });
    }

    /// A heart under a strap, second by second: warm, hard in waves, and down again.
    fn train(&mut self, bout: &Bout) {
        let (low, high) = (92.0 + self.dice.share() * 14.0, 150.0 + 45.0 * (bout.hard - 0.5));
        let wave = 90.0 + self.dice.share() * 160.0;
        let lag = 14.0 + self.dice.share() * 14.0;
        let (mut heart, mut beat) = (low, 0.0);
        for second in bout.from..bout.to {
            let since = (second - bout.from) as f64;
            let asked = match second < bout.rest {
                true => {
                    low + (high - low)
                        * (0.62 + 0.38 * (since / wave * std::f64::consts::TAU).sin())
                }
                false => 74.0,
            };
            heart += (asked - heart) / lag + (self.dice.share() - 0.5) * 1.4;
            let mut beats = Vec::new();
            while beat < 1.0 {
                let wander = 1.0 + 0.03 * (since / 4.1).sin() + (self.dice.share() - 0.5) * 0.04;
                let interval = 60.0 / heart * wander;
                beat += interval;
                // A beat missed, a beat too many, a tick of the muscle.
                let told = match self.dice.below(400) {
                    0 => interval * 2.0,
                    1 => interval * 0.5,
                    2 => 0.12,
                    3 => 2.3,
                    _ => interval,
                };
                beats.push(RrInterval((told * 1024.0).round() as u16));
            }
            beat -= 1.0;
            let fault = bout.faults.iter().find(|(from, to, _)| (*from..*to).contains(&second));
            let fault = fault.map(|(.., fault)| *fault);
            let bpm = heart.round() as u16;
            if matches!(bout.way, Way::Beats | Way::Both) {
                self.says(bout.strap, second * SECOND, Source::Link, fault, bpm, beats);
            } else if bout.way == Way::Plain {
                self.says(bout.strap, second * SECOND, Source::Link, fault, bpm, Vec::new());
            }
            // An advertisement is of a while ago.
            if matches!(bout.way, Way::Broadcast | Way::Both) && second % 2 == 0 {
                self.says(
                    bout.strap,
                    second * SECOND,
                    Source::Broadcast,
                    fault,
                    bpm - 2,
                    Vec::new(),
                );
            }
        }
    }
}
