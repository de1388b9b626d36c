//! The roster's promise: what was confirmed is there after any cut, a damaged file keeps nobody from starting, the past is
//! never rewritten, and of who was forgotten no byte is left. Under proptest.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use pulsegate::activity::UnixMs;
use pulsegate::athlete::{Athlete, AthleteId, Hide, Profile};
use pulsegate::reading::{At, BootId, ClockTrust, EntryId, StrapId};
use pulsegate::roster::desk::{self, Moment};
use pulsegate::roster::{
    Around, AssignBody, Edit, Of, People, Record, Roster, RosterError, Strap, Wearer, Wearing,
    forget,
};
use pulsegate::timeline::Timeline;
use uuid::Uuid;

const SECOND: u64 = 1_000_000;
const NOON: i64 = 1_790_000_000_000_000;

fn athlete_id(n: u8) -> AthleteId {
    AthleteId(Uuid::from_u128(0x1000 + u128::from(n)))
}

fn athlete(n: u8, name: &str) -> Athlete {
    Athlete {
        id: athlete_id(n),
        display_name: name.to_owned(),
        legal_name: None,
        reference_id: None,
        profile: Profile::default(),
        hide: Hide::default(),
        consent: None,
        accounts: Vec::new(),
        created: UnixMs(1),
    }
}

fn strap_id(n: u8) -> StrapId {
    StrapId::new(&format!("9F6E53{n:02X}")).unwrap()
}

/// So many seconds after noon, by a clock that a time server confirmed.
fn at(second: u64) -> At {
    let mono_us = second * SECOND;
    At { boot: BootId(7), mono_us, wall_offset_us: NOON, trust: ClockTrust::Synced }
}

fn unix_us(second: u64) -> i64 {
    NOON + i64::try_from(second * SECOND).unwrap()
}

fn moment(second: u64) -> Moment {
    Moment { at: at(second), unix_us: unix_us(second), heard: None }
}

fn worn(strap: u8, by: Option<u8>, second: u64) -> Record {
    let by = by.map(|n| Wearer::Athlete(athlete_id(n)));
    Record::Worn { strap: strap_id(strap), by, at: at(second) }
}

fn said(people: &People) -> Vec<Record> {
    people.records().collect()
}

fn put(roster: &Roster, records: Vec<Record>) {
    roster.change(|_| Ok((records, ()))).unwrap();
}

fn file(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("roster/people")
}

fn any_record() -> impl Strategy<Value = Record> {
    let name = "[a-zA-Zäø日 \"\\\\]{1,12}";
    prop_oneof![
        (0..4u8, name).prop_map(|(n, name)| Record::Athlete(Box::new(athlete(n, &name)))),
        (0..4u8, 0..50u16).prop_map(|(n, number)| {
            let (id, of) = (strap_id(n), Of::Rental(number));
            Record::Strap(Strap { id, of, added: UnixMs(2) })
        }),
        (0..4u8).prop_map(|n| Record::Removed(strap_id(n))),
        (0..4u8, proptest::option::of(0..4u8), 0..100u64)
            .prop_map(|(strap, by, second)| worn(strap, by, second)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_file_cut_off_anywhere_says_what_was_confirmed_until_there(
        changes in prop::collection::vec(prop::collection::vec(any_record(), 1..3), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        // What the file says after each line, and where that ends.
        let mut people = People::default();
        let mut states = vec![said(&people)];
        {
            let roster = Roster::open(folder.path()).unwrap();
            for records in changes {
                for record in &records {
                    people.apply(record.clone());
                    states.push(said(&people));
                }
                put(&roster, records);
                prop_assert_eq!(said(&roster.people()), said(&people));
            }
        }
        let bytes = std::fs::read(file(folder.path())).unwrap();
        let cut = cut.index(bytes.len() + 1);
        std::fs::write(file(folder.path()), &bytes[..cut]).unwrap();
        let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        let is_torn = cut > 0 && bytes[cut - 1] != b'\n';
        for _ in 0..2 {
            let roster = Roster::open(folder.path()).unwrap();
            prop_assert_eq!(&said(&roster.people()), &states[whole]);
        }
        let aside = folder.path().join("roster/damaged-1");
        prop_assert_eq!(std::fs::read(aside).ok(), is_torn.then(|| bytes[..cut].to_vec()));
        prop_assert!(!folder.path().join("roster/damaged-2").exists(), "set aside once");
        // And it goes on.
        let roster = Roster::open(folder.path()).unwrap();
        put(&roster, vec![worn(1, Some(1), 200)]);
        let after = said(&roster.people());
        drop(roster);
        prop_assert_eq!(said(&Roster::open(folder.path()).unwrap().people()), after);
    }

    #[test]
    fn a_damaged_byte_costs_the_lines_it_touches_and_nothing_else(
        count in 2..10u8,
        place in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let folder = tempfile::tempdir().unwrap();
        {
            let roster = Roster::open(folder.path()).unwrap();
            for n in 0..count {
                put(&roster, vec![Record::Athlete(Box::new(athlete(n, "Anna")))]);
            }
        }
        let mut bytes = std::fs::read(file(folder.path())).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        std::fs::write(file(folder.path()), &bytes).unwrap();
        let roster = Roster::open(folder.path()).unwrap();
        let left = roster.people().athletes().count();
        // A line end that is gone makes one bad line of two.
        prop_assert!(left + 2 >= usize::from(count) && left < usize::from(count), "{left} of {count}");
        let aside = std::fs::read(folder.path().join("roster/damaged-1")).unwrap();
        prop_assert_eq!(aside, bytes);
    }

    #[test]
    fn who_wore_what_is_right_for_any_time_whatever_the_clocks_said(
        boots in prop::collection::vec((1..1000u64, -2_000_000..2_000_000i64, any::<bool>()), 1..4),
        changes in prop::collection::vec((0..2u8, proptest::option::of(0..3u8), 0..20u64), 1..20),
        asked in prop::collection::vec((0..2u8, any::<prop::sample::Index>(), 0..1000u64), 1..20),
    ) {
        // Each boot begins behind the one before. Its clock is wrong until a time server answers, at its very end.
        let (mut timeline, mut begun_s) = (Timeline::default(), 0);
        let mut stamps = Vec::new();
        for (n, (pause_s, wrong_s, is_unset)) in (0u32..).zip(&boots) {
            begun_s += 1000 + pause_s;
            let trust = if *is_unset { ClockTrust::Unset } else { ClockTrust::Restored };
            let right_us = unix_us(begun_s);
            let boot = BootId(u128::from(n) + 1);
            let stamp = move |second: u64| At {
                boot,
                mono_us: second * SECOND,
                wall_offset_us: right_us + wrong_s * 1_000_000,
                trust,
            };
            let place = EntryId(u64::from(n) * 10);
            timeline.note(place, &stamp(0));
            let synced = At { wall_offset_us: right_us, trust: ClockTrust::Synced, ..stamp(999) };
            timeline.note(place.plus(1), &synced);
            stamps.push((begun_s, stamp));
        }
        let mut people = People::default();
        let mut truth: BTreeMap<StrapId, Vec<(u64, Option<u8>)>> = BTreeMap::new();
        let each = changes.len().div_ceil(stamps.len());
        for (part, (begun_s, stamp)) in changes.chunks(each).zip(&stamps) {
            let mut second = 0;
            for (strap, by, later) in part {
                second += later;
                let by_id = by.map(|n| Wearer::Athlete(athlete_id(n)));
                let strap = strap_id(*strap);
                people.apply(Record::Worn { strap: strap.clone(), by: by_id, at: stamp(second) });
                truth.entry(strap).or_default().push((begun_s + second, *by));
            }
        }
        let wearing = Wearing::new(&people, Arc::new(timeline));
        for (strap, boot, second) in asked {
            let strap = strap_id(strap);
            let (begun_s, stamp) = &stamps[boot.index(stamps.len())];
            let when = begun_s + second;
            let changes = truth.get(&strap).map(Vec::as_slice).unwrap_or_default();
            let expected = changes.iter().rfind(|(from, _)| *from <= when).and_then(|(_, by)| *by);
            let expected = expected.map(|n| Wearer::Athlete(athlete_id(n)));
            prop_assert_eq!(wearing.who(&strap, &stamp(second)), expected);
            prop_assert_eq!(wearing.who_at(&strap, unix_us(when)), expected);
            for n in 0..3 {
                let then = unix_us(when);
                let wears = wearing.worn_by(athlete_id(n), then..then + 1);
                let has = wears.iter().any(|worn| worn.strap == strap);
                prop_assert_eq!(has, expected == Some(Wearer::Athlete(athlete_id(n))));
            }
        }
    }

    #[test]
    fn a_later_change_rewrites_nothing_of_what_was(
        changes in prop::collection::vec((0..2u8, proptest::option::of(0..3u8), 1..20u64), 2..20),
    ) {
        let mut people = People::default();
        let (mut second, mut known) = (0, Vec::new());
        for (strap, by, later) in changes {
            let before = Wearing::new(&people, Arc::default());
            known.extend((second..second + later).flat_map(|s| {
                [0, 1].map(|n| (s, n, before.who(&strap_id(n), &at(s))))
            }));
            second += later;
            people.apply(worn(strap, by, second));
            let after = Wearing::new(&people, Arc::default());
            for (s, n, who) in &known {
                prop_assert_eq!(after.who(&strap_id(*n), &at(*s)), *who);
            }
        }
    }
}

fn two_people(data_dir: &Path) -> Roster {
    let roster = Roster::open(data_dir).unwrap();
    for (n, name) in [(1, "Anna"), (2, "Bo")] {
        put(&roster, vec![Record::Athlete(Box::new(athlete(n, name)))]);
    }
    roster
}

fn assign(roster: &Roster, strap: &str, who: &str, second: u64) -> pulsegate::roster::Assigned {
    let body = AssignBody { athlete: who.to_owned() };
    desk::assign(roster, strap, &body, &moment(second)).unwrap()
}

#[test]
fn a_strap_that_changes_hands_belongs_to_the_first_until_then_and_to_the_second_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let roster = two_people(folder.path());
    assign(&roster, "9F6E5322", "anna", 10);
    let told = assign(&roster, "5322", "Bo", 20);
    assert_eq!(told.taken_from.unwrap().display_name, "Anna");
    desk::release(&roster, "9f6e", &moment(30)).unwrap();
    let wearing = Wearing::new(&roster.people(), Arc::default());
    let strap = StrapId::new("9F6E5322").unwrap();
    let who = |second| wearing.who(&strap, &at(second)).and_then(Wearer::athlete);
    let (anna, bo) = (Some(athlete_id(1)), Some(athlete_id(2)));
    assert_eq!([9, 10, 19, 20, 29, 30, 99].map(who), [None, anna, anna, bo, bo, None, None]);
    let [worn] = &wearing.worn_by(athlete_id(1), i64::MIN..i64::MAX)[..] else { panic!() };
    assert_eq!((worn.from_us, worn.to_us), (unix_us(10), Some(unix_us(20))));
    assert!(wearing.worn_by(athlete_id(1), unix_us(20)..unix_us(99)).is_empty());
}

#[test]
fn of_two_changes_at_one_moment_the_later_made_counts_and_the_first_lasted_no_time() {
    let mut people = People::default();
    people.apply(worn(1, Some(1), 10));
    people.apply(worn(1, Some(2), 10));
    let wearing = Wearing::new(&people, Arc::default());
    assert_eq!(wearing.who(&strap_id(1), &at(10)), Some(Wearer::Athlete(athlete_id(2))));
    assert_eq!(people.wears(&strap_id(1)), Some(Wearer::Athlete(athlete_id(2))));
    assert!(wearing.worn_by(athlete_id(1), i64::MIN..i64::MAX).is_empty());
}

#[test]
fn a_change_by_a_clock_that_nobody_can_mend_stays_between_those_made_before_and_after_it() {
    let by = |n: u8| Some(Wearer::Athlete(athlete_id(n)));
    // Of a boot that the timeline does not know: of 1970, and of a far future.
    for wall_offset_us in [0, 2_500_000_000_000_000] {
        let trust = ClockTrust::Unset;
        let lost = At { boot: BootId(8), mono_us: SECOND, wall_offset_us, trust };
        let third = At { boot: BootId(9), ..at(100) };
        let mut people = People::default();
        for (n, at) in [(1, at(10)), (2, lost), (3, third)] {
            people.apply(Record::Worn { strap: strap_id(1), by: by(n), at });
        }
        let wearing = Wearing::new(&people, Arc::default());
        let strap = strap_id(1);
        let between = wearing.who_at(&strap, unix_us(50));
        assert!(between == by(1) || between == by(2), "{between:?}");
        assert_eq!(wearing.who_at(&strap, unix_us(9)), None);
        assert_eq!(wearing.who_at(&strap, unix_us(100)), by(3));
        assert_eq!(wearing.who_at(&strap, i64::MAX), by(3));
        let later = At { mono_us: 5 * SECOND, ..lost };
        assert_eq!(wearing.who(&strap, &later), by(2), "within its boot no clock matters");
        assert_eq!(wearing.who(&strap, &At { mono_us: 0, ..lost }), by(1));
        assert_eq!(people.wears(&strap), by(3));
    }
}

#[test]
fn two_changes_that_were_put_in_order_the_other_way_round_are_at_one_moment() {
    let mut people = People::default();
    people.apply(worn(1, Some(1), 20));
    people.apply(worn(1, Some(2), 19));
    let wearing = Wearing::new(&people, Arc::default());
    assert_eq!(wearing.who(&strap_id(1), &at(19)), None);
    assert_eq!(wearing.who(&strap_id(1), &at(20)), Some(Wearer::Athlete(athlete_id(2))));
}

#[test]
fn releasing_what_nobody_wears_and_assigning_what_is_worn_already_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let roster = two_people(folder.path());
    let first = assign(&roster, "9F6E5322", "Anna", 10);
    assert!(first.changed && first.new_strap && first.warnings.is_empty(), "{first:?}");
    let before = std::fs::read(file(folder.path())).unwrap();
    let again = assign(&roster, "9F6E5322", "Anna", 11);
    assert!(!again.changed && again.taken_from.is_none());
    assert_eq!(std::fs::read(file(folder.path())).unwrap(), before);
    let released = desk::release(&roster, "9F6E5322", &moment(12)).unwrap();
    assert_eq!(released.was_worn_by.unwrap().display_name, "Anna");
    let released = desk::release(&roster, "9F6E5322", &moment(13)).unwrap();
    assert_eq!(released.was_worn_by, None);
    let unknown = desk::release(&roster, "0000", &moment(14));
    assert!(matches!(unknown, Err(RosterError::NotFound(_))), "{unknown:?}");
}

#[test]
fn somebody_with_two_straps_has_both_and_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let roster = two_people(folder.path());
    assign(&roster, "9F6E5322", "Anna", 10);
    let told = assign(&roster, "F64D7353496E", "Anna", 20);
    assert!(told.warnings[0].contains("also wears 9F6E5322"), "{:?}", told.warnings);
    let straps = roster.people().worn_now(athlete_id(1));
    assert_eq!(straps.len(), 2);
    let wearing = Wearing::new(&roster.people(), Arc::default());
    assert_eq!(wearing.worn_by(athlete_id(1), unix_us(15)..unix_us(16)).len(), 1);
    assert_eq!(wearing.worn_by(athlete_id(1), unix_us(20)..unix_us(21)).len(), 2);
}

#[test]
fn a_rental_keeps_its_number_and_all_come_back_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let roster = two_people(folder.path());
    let rental = |strap: &str, number| {
        let body = pulsegate::roster::StrapBody {
            strap: strap.to_owned(),
            number: Some(number),
            owner: None,
        };
        desk::add_strap(&roster, &body, &moment(1))
    };
    rental("9F6E5322", 12).unwrap();
    rental("F64D7353496E", 3).unwrap();
    assert_eq!(rental("9F6E5322", 12).unwrap().strap.of, Of::Rental(12), "as often as one likes");
    let taken = rental("AABBCCDD", 12).unwrap_err().to_string();
    assert!(taken.contains("rental 12 is strap 9F6E5322"), "{taken}");
    let renumbered = rental("9F6E5322", 13).unwrap_err().to_string();
    assert!(renumbered.contains("strap remove"), "{renumbered}");
    assert_eq!(assign(&roster, "12", "Anna", 10).name, "rental 12 (9F6E5322)");
    assign(&roster, "#3", "Bo", 10);
    let back = desk::release_rentals(&roster, &moment(20)).unwrap();
    let names: Vec<_> = back.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["rental 3 (F64D7353496E)", "rental 12 (9F6E5322)"]);
    assert!(desk::release_rentals(&roster, &moment(21)).unwrap().is_empty());
    desk::remove_strap(&roster, "12", &moment(22)).unwrap();
    let wearing = Wearing::new(&roster.people(), Arc::default());
    assert_eq!(wearing.worn_by(athlete_id(1), i64::MIN..i64::MAX).len(), 1, "who wore it stays");
}

#[test]
fn a_mistyped_id_is_warned_of_unless_the_strap_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let roster = two_people(folder.path());
    let told = assign(&roster, "9F6E5323", "Anna", 1);
    assert!(told.changed && told.warnings[0].contains("strap remove 9F6E5323"), "{told:?}");
    // An H7, which has no check digit.
    let h7 = StrapId::new("4790CC14").unwrap();
    let hearing = Moment { heard: Some([h7.clone()].into()), ..moment(2) };
    let body = AssignBody { athlete: "Bo".to_owned() };
    let told = desk::assign(&roster, "CC14", &body, &hearing).unwrap();
    assert_eq!((told.strap, told.warnings), (h7, Vec::new()));
    for unknown in ["9F6E54", "HELLO123", "12"] {
        let error = desk::assign(&roster, unknown, &body, &moment(3)).unwrap_err();
        assert!(error.to_string().contains("all 8 digits"), "{error}");
    }
}

#[test]
fn whoever_may_be_two_is_asked_for_an_id_and_nothing_that_makes_no_sense_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let roster = two_people(folder.path());
    put(&roster, vec![Record::Athlete(Box::new(athlete(3, "Anneli")))]);
    let named = |name: &str| Edit { display_name: Some(name.to_owned()), ..Edit::default() };
    let edit = |who: &str, edit: &Edit| desk::edit(&roster, who, edit, &moment(1));
    assert_eq!(edit("ANNA", &named("Anna")).unwrap().athlete.id, athlete_id(1));
    let two = edit("ann", &named("X")).unwrap_err().to_string();
    assert!(two.contains("Anna (00000000) or Anneli (00000000)"), "{two}");
    assert!(matches!(edit("Carl", &named("X")), Err(RosterError::NotFound(_))));
    let id = athlete_id(2).to_string();
    assert_eq!(edit(&id, &named("anna")).unwrap().warnings.len(), 1, "two of one name");
    for bad in [
        named(""),
        named("a\nb"),
        named(&"x".repeat(41)),
        Edit { birth_year: Some(1850), ..Edit::default() },
        Edit { birth_year: Some(2027), ..Edit::default() },
        Edit { weight_kg: Some(f64::NAN), ..Edit::default() },
        Edit { weight_kg: Some(700.0), ..Edit::default() },
        Edit { max_hr_bpm: Some(90), ..Edit::default() },
        Edit { max_hr_bpm: Some(100), resting_hr_bpm: Some(110), ..Edit::default() },
        Edit { zones_from_bpm: Some([100, 120, 120, 140, 150]), ..Edit::default() },
    ] {
        let before = roster.people();
        assert!(matches!(edit(&id, &bad), Err(RosterError::Refused(_))), "{bad:?}");
        assert_eq!(before, roster.people());
    }
}

#[test]
fn an_athlete_can_be_noted_changed_and_taken_back_field_by_field() {
    use pulsegate::athlete::{Account, Sex};
    use pulsegate::roster::Field;
    let folder = tempfile::tempdir().unwrap();
    let roster = Roster::open(folder.path()).unwrap();
    let all = Edit {
        display_name: Some(" Anna ".to_owned()),
        legal_name: Some("Anna Example".to_owned()),
        reference_id: Some("M-17".to_owned()),
        birth_year: Some(1990),
        sex: Some(Sex::Female),
        weight_kg: Some(61.5),
        max_hr_bpm: Some(187),
        resting_hr_bpm: Some(52),
        zones_from_bpm: Some([95, 114, 133, 152, 171]),
        hide: Some(Hide { numbers: true, ..Hide::default() }),
        consent: Some("2026-1".to_owned()),
        accounts: vec![Account { provider: "strava".to_owned(), user: "7".to_owned() }],
        raised_max_hr: None,
        clear: Vec::new(),
    };
    let added = desk::add(&roster, &all, &moment(5)).unwrap().athlete;
    assert_eq!(added.display_name, "Anna");
    assert_eq!(added.consent.as_ref().unwrap().at, UnixMs(unix_us(5) / 1000));
    assert_eq!(added.id.0.get_version_num(), 4);
    let clear = <Field as clap::ValueEnum>::value_variants().to_vec();
    let fewer = Edit { clear, weight_kg: Some(60.0), ..Edit::default() };
    let edited = desk::edit(&roster, "M-17", &fewer, &moment(6)).unwrap().athlete;
    let mut expected = athlete(0, "Anna");
    (expected.id, expected.created) = (added.id, added.created);
    expected.profile.weight_kg = Some(60.0);
    assert_eq!(edited, expected);
    drop(roster);
    let again = Roster::open(folder.path()).unwrap();
    assert_eq!(**again.people().athlete(added.id).unwrap(), expected);
}

/// Every file below, with what is in it.
fn everything(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found
}

fn mentions(folder: &Path, word: &str) -> Vec<std::path::PathBuf> {
    let within = |bytes: &[u8]| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    everything(folder)
        .into_iter()
        .filter(|(_, bytes)| within(bytes))
        .map(|(path, _)| path)
        .collect()
}

#[tokio::test]
async fn of_who_was_forgotten_no_byte_is_left_and_what_they_wore_was_worn_by_somebody() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path();
    let roster = two_people(data_dir);
    let names = ["Zlatana", "Quixotina", "M-4711-X", "strava-99173", "Second-Name-Of"];
    let named = |display: &str| Edit {
        display_name: Some(display.to_owned()),
        legal_name: Some("Quixotina of Nowhere".to_owned()),
        reference_id: Some("M-4711-X".to_owned()),
        accounts: vec![pulsegate::athlete::Account {
            provider: "strava".to_owned(),
            user: "strava-99173".to_owned(),
        }],
        ..Edit::default()
    };
    let id = desk::add(&roster, &named("Second-Name-Of"), &moment(1)).unwrap().athlete.id;
    desk::edit(&roster, "second", &named("Zlatana"), &moment(2)).unwrap();
    assign(&roster, "9F6E5322", "Zlatana", 10);
    assign(&roster, "9F6E5322", "Anna", 20);
    assign(&roster, "AABBCC81", "Zlatana", 30);
    drop(roster);
    // Damage: what was set aside has the name in it, and so has what a crash left.
    let bytes = std::fs::read(file(data_dir)).unwrap();
    std::fs::write(file(data_dir), [&bytes[..], b"1 00000000 {\"athl"].concat()).unwrap();
    let roster = Roster::open(data_dir).unwrap();
    std::fs::write(data_dir.join("roster/people.new"), &bytes).unwrap();
    for name in names {
        assert!(!mentions(data_dir, name).is_empty(), "{name} is there before");
    }
    let history = pulsegate::history::History::new(data_dir);
    let around =
        Around { buffer: None, history: &history, labels: vec!["zlatana's H10"], sinks: vec![] };
    let wearing = Wearing::new(&roster.people(), Arc::default());
    let traces = pulsegate::roster::traces(&roster.people(), &wearing, id).unwrap();
    assert_eq!((traces.worn.len(), traces.owns.len(), traces.accounts.len()), (2, 2, 1));
    let told = forget(&roster, "Zlatana", &moment(40), &wearing, &around).await.unwrap();
    assert_eq!((told.changes, told.straps.len(), told.accounts, told.damaged_files), (2, 2, 1, 1));
    assert!(told.remains[0].what.contains("1 label"), "{:?}", told.remains);
    let raw = id.to_string();
    for word in names.iter().copied().chain([raw.as_str()]) {
        assert_eq!(mentions(data_dir, word), Vec::<std::path::PathBuf>::new(), "{word}");
    }
    drop(roster);
    let people = Roster::open(data_dir).unwrap().people();
    let wearing = Wearing::new(&people, Arc::default());
    let who = |strap: &str, second| wearing.who(&StrapId::new(strap).unwrap(), &at(second));
    assert_eq!(who("9F6E5322", 15), Some(Wearer::Somebody));
    assert_eq!(who("9F6E5322", 25), Some(Wearer::Athlete(athlete_id(1))), "others keep theirs");
    assert_eq!((who("AABBCC81", 35), who("AABBCC81", 45)), (Some(Wearer::Somebody), None));
    assert_eq!(people.athletes().count(), 2);
}

#[test]
fn a_file_full_of_rubbish_keeps_nobody_from_starting_and_three_are_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("roster")).unwrap();
    for round in 0..5u8 {
        std::fs::write(file(folder.path()), vec![round.wrapping_mul(67); 300_000]).unwrap();
        let roster = Roster::open(folder.path()).unwrap();
        assert!(roster.people().is_empty());
        put(&roster, vec![worn(1, Some(1), 1)]);
    }
    let mut aside: Vec<_> = std::fs::read_dir(folder.path().join("roster"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    aside.sort();
    assert_eq!(aside, ["damaged-3", "damaged-4", "damaged-5", "lock", "people"]);
}

#[test]
fn the_file_stays_small_private_and_with_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let roster = Roster::open(folder.path()).unwrap();
    for n in 0..2500u64 {
        put(&roster, vec![Record::Athlete(Box::new(athlete(1, &format!("Anna {n}"))))]);
    }
    let length = std::fs::metadata(file(folder.path())).unwrap().len();
    assert!(length < 250_000, "{length} bytes for one athlete");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("roster")), 0o700);
    assert_eq!(mode(&file(folder.path())), 0o600);
    let second = Roster::open(folder.path());
    assert!(matches!(second, Err(RosterError::InUse { .. })), "{second:?}");
    drop(roster);
    let people = Roster::open(folder.path()).unwrap().people();
    assert_eq!(people.athlete(athlete_id(1)).unwrap().display_name, "Anna 2499");
}

#[test]
fn the_oldest_changes_make_room_and_what_is_worn_now_stays() {
    let mut people = People::default();
    people.apply(worn(9, Some(3), 0));
    for n in 0..1000 {
        people.apply(worn(u8::try_from(n % 5).unwrap(), Some(u8::try_from(n % 3).unwrap()), n));
    }
    assert_eq!(people.thin_out(2000), 0);
    assert_eq!(people.thin_out(80), 1001 - 70);
    assert_eq!(people.len(), 70);
    assert_eq!(people.wears(&strap_id(9)), Some(Wearer::Athlete(athlete_id(3))));
    let wearing = Wearing::new(&people, Arc::default());
    assert_eq!(wearing.who(&strap_id(4), &at(994)), Some(Wearer::Athlete(athlete_id(1))));
    assert_eq!(wearing.who(&strap_id(4), &at(4)), None, "nobody knows any more");
}
