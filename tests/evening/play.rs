//! Plays an evening through the real parts: log, roster, recorder, importer and history, with both clocks moved by hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pulsegate::activity::Summary;
use pulsegate::athlete::AthleteId;
use pulsegate::buffer::Options;
use pulsegate::clock::{Clock, Script, SyncSource};
use pulsegate::history::{History, Kept};
use pulsegate::reading::{BootId, Event, EventKind, Fact, HeartRate, Measurement, Reading, Source};
use pulsegate::roster::desk;
use pulsegate::roster::{AssignBody, People, StrapBody};
use pulsegate::session::ClassId;

use crate::house::House;
use crate::plan::{ANSWERED, Deed, Lesson, Of, Plan, SECOND, Trouble, Word, Wrong, ZERO_US, at};
use crate::support::{crash_image, options, read_all, within};

/// The box is switched on.
const KERNEL: u64 = at(17, 39, 20);
const START: u64 = at(17, 40, 0);
const DAY_US: i64 = 86_400_000_000;

/// How an evening is played. None of it may matter.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The recorder sees so many seconds of the log at once.
    pub every: u64,
    /// What it has understood is kept then.
    pub keep: Option<u64>,
    /// What a link says is broadcast as well, as it was a while ago.
    pub twice: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { every: 30, keep: Some(at(18, 10, 0)), twice: false }
    }
}

/// What came of it.
pub struct Played {
    pub kept: Vec<Kept>,
    pub listed: Vec<Summary>,
    /// What the log tells of activities, in its order.
    pub told: Vec<Summary>,
    pub people: Arc<People>,
    /// By their place in the plan.
    pub athletes: Vec<AthleteId>,
    /// How many words of straps the log has.
    pub words: usize,
    pub history: History,
}

struct Gym<'a> {
    plan: &'a Plan,
    pace: Pace,
    folder: PathBuf,
    athletes: Vec<AthleteId>,
    now: u64,
    mark: PathBuf,
    house: House,
}

/// What happens next.
enum Next<'a> {
    Word(&'a Word),
    Deed(Deed),
    TimeServer,
    Look,
    Keep,
    Durable,
    Crash,
}

/// Both clocks of a box whose kernel started then.
fn script(trouble: &Trouble, now: u64, kernel: u64, is_right: bool) -> Script {
    let (mono, right) = (now - kernel, (ZERO_US + now) as i64);
    let wall = match trouble.wrong {
        _ if is_right => right,
        Wrong::Unset => mono as i64,
        Wrong::DayLate => right - DAY_US,
    };
    Script::new(mono, wall)
}

fn class_id(class: usize) -> ClassId {
    ClassId(uuid::Uuid::from_u128(class as u128 + 1))
}

impl<'a> Gym<'a> {
    async fn open(plan: &'a Plan, pace: Pace, folder: PathBuf, script: Script, boot: u128) -> Self {
        let mark = folder.parent().unwrap().join(format!("time-server-{boot}"));
        let clock = Clock::scripted(BootId(boot), &script, SyncSource::MarkerFile(mark.clone()));
        // Durable when a test says so, and not before.
        let commit_every = Duration::from_secs(86_400);
        let options = Options { commit_every, ..options(&folder, 1 << 30) };
        let house = House::with(clock, &script, options).await;
        Self { plan, pace, folder, athletes: Vec::new(), now: 0, mark, house }
    }

    fn pass_to(&mut self, at: u64) {
        self.house.script.pass(Duration::from_micros(at - self.now));
        self.now = at;
    }

    /// A time server has confirmed the clock.
    fn confirm(&self) {
        let file = std::fs::File::create(&self.mark).unwrap();
        file.set_modified(self.house.script.wall()).unwrap();
        self.house.clock.asked();
    }

    fn house(&mut self) {
        let moment = self.house.moment();
        for edit in &self.plan.people {
            self.athletes.push(desk::add(&self.house.roster, edit, &moment).unwrap().athlete.id);
        }
        for strap in &self.plan.straps {
            let (number, owner) = match strap.of {
                Of::Rental(number) => (Some(number), None),
                Of::Own(person) => (None, Some(self.athletes[person].to_string())),
            };
            let body = StrapBody { strap: strap.id.to_string(), number, owner };
            desk::add_strap(&self.house.roster, &body, &moment).unwrap();
        }
    }

    /// Everything is durable.
    async fn settle(&mut self) {
        let (strap, measurement) = (self.plan.straps[0].id.clone(), Measurement::Battery(50));
        let at = self.house.clock.now();
        let last =
            within(self.house.buffer.append(Fact::Reading(Reading { strap, at, measurement })))
                .await
                .unwrap();
        self.house.buffer.flush();
        within(self.house.buffer.durable(last)).await.unwrap();
    }

    /// What is new is durable, and the recorder has seen it.
    async fn look(&mut self) {
        self.settle().await;
        let buffer = self.house.buffer.clone();
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        // Recording waits until its event is durable; somebody has to commit.
        let step = self.house.recorder.step();
        tokio::pin!(step);
        loop {
            tokio::select! {
                done = &mut step => return done.unwrap(),
                _ = tick.tick() => buffer.flush(),
            }
        }
    }

    async fn says(&self, word: &Word) {
        let strap = self.plan.straps[word.strap].id.clone();
        let reading = |says: &HeartRate| {
            let measurement = Measurement::HeartRate(says.clone());
            Fact::Reading(Reading { strap: strap.clone(), at: self.house.clock.now(), measurement })
        };
        self.house.take(reading(&word.says)).await;
        if self.pace.twice && word.says.source == Source::Link {
            let (bpm, rr) = (word.says.bpm.saturating_sub(3), Vec::new());
            let again = HeartRate { bpm, rr, source: Source::Broadcast, ..word.says };
            self.house.take(reading(&again)).await;
        }
    }

    async fn does(&self, deed: Deed) {
        let (moment, happens) = (self.house.moment(), |kind| self.house.happens(kind));
        let strap_id = |strap: usize| self.plan.straps[strap].id.as_str();
        match deed {
            Deed::Assign { strap, person } => {
                let body = AssignBody { athlete: self.athletes[person].to_string() };
                desk::assign(&self.house.roster, strap_id(strap), &body, &moment).unwrap();
            }
            Deed::Release { strap } => {
                desk::release(&self.house.roster, strap_id(strap), &moment).unwrap();
            }
            Deed::CheckIn { strap, class } => {
                let strap = self.plan.straps[strap].id.clone();
                happens(EventKind::CheckedIn { strap, class: class.map(class_id) }).await;
            }
            Deed::CheckOut { strap } => {
                happens(EventKind::CheckedOut { strap: self.plan.straps[strap].id.clone() }).await;
            }
            Deed::ClassBegins { class } => {
                let Lesson { name, open, from, to, ends_itself } = self.plan.classes[class].clone();
                let more = if ends_itself { 0 } else { 1200 };
                let planned_s = ((to + open - from) / SECOND) as u32 + more;
                let (class, name) = (class_id(class), name.to_owned());
                happens(EventKind::ClassBegan { class, name, planned_s }).await;
            }
            Deed::ClassEnds { class } if self.plan.classes[class].ends_itself => {}
            Deed::ClassEnds { class } => {
                happens(EventKind::ClassEnded { class: class_id(class) }).await;
            }
        }
    }

    /// The power goes: what is on the disk is all that is left.
    async fn crash(self) -> Self {
        let away = self.plan.trouble.away.unwrap();
        let image = self.folder.with_extension("after");
        crash_image(&self.folder, &image);
        let before = self.house.script.clone();
        self.house.close().await;
        let (script, boot) = if self.plan.trouble.is_same_boot {
            before.pass(Duration::from_micros(away.to - self.now));
            (before, 1)
        } else {
            let is_right = self.plan.trouble.wrong_from_start;
            (script(&self.plan.trouble, away.to, away.kernel, is_right), 2)
        };
        let mut gym = Self::open(self.plan, self.pace, image, script, boot).await;
        if !self.plan.trouble.is_same_boot && self.plan.trouble.wrong_from_start {
            gym.confirm();
        }
        (gym.now, gym.athletes) = (away.to, self.athletes);
        gym
    }
}

/// All that happens, in its order.
fn script_of(plan: &Plan, pace: Pace) -> Vec<(u64, Next<'_>)> {
    let mut all: Vec<(u64, Next<'_>)> = vec![(ANSWERED + 650_000, Next::TimeServer)];
    all.extend(plan.words.iter().map(|word| (word.at, Next::Word(word))));
    all.extend(plan.deeds.iter().map(|(at, deed)| (*at, Next::Deed(*deed))));
    let looks = (START / SECOND..=plan.until / SECOND).step_by(pace.every as usize);
    all.extend(looks.map(|second| (second * SECOND + 900_000, Next::Look)));
    all.extend(pace.keep.map(|at| (at + 950_000, Next::Keep)));
    if let Some(away) = plan.trouble.away {
        // While it is away nothing happens; what is looked at just before is not durable either.
        all.retain(|(at, next)| match next {
            Next::Word(_) => *at <= away.from || *at >= away.to,
            _ => *at <= away.durable || *at >= away.to,
        });
        all.extend([(away.durable, Next::Durable), (away.from, Next::Crash)]);
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

pub async fn play(plan: &Plan, pace: Pace, folder: &Path) -> Played {
    let is_right = !plan.trouble.wrong_from_start;
    let live = folder.join("box");
    std::fs::create_dir(&live).unwrap();
    let script = script(&plan.trouble, START, KERNEL, is_right);
    let mut gym = Gym::open(plan, pace, live, script, 1).await;
    gym.now = START;
    if is_right {
        gym.confirm();
    }
    gym.house();
    for (at, next) in script_of(plan, pace) {
        gym.pass_to(at.max(gym.now));
        match next {
            Next::Word(word) => gym.says(word).await,
            Next::Deed(deed) => gym.does(deed).await,
            Next::Look => gym.look().await,
            Next::Keep => gym.house.recorder.keep().await,
            Next::Durable => gym.settle().await,
            Next::Crash => gym = gym.crash().await,
            Next::TimeServer => {
                let right = (ZERO_US + gym.now) as i64;
                gym.house.script.step(right - gym.house.clock.asked().unix_us());
                gym.confirm();
            }
        }
    }
    gym.look().await;
    let house = gym.house;
    let listed = house.listed().into_iter().map(|listed| listed.summary).collect();
    let (kept, history) = (house.kept(), house.history.clone());
    let (mut told, mut words) = (Vec::new(), 0);
    for entry in read_all(&house.buffer).await {
        match entry.fact {
            Fact::Event(Event { kind: EventKind::Activity(summary), .. }) => told.push(*summary),
            Fact::Reading(Reading { measurement: Measurement::HeartRate(_), .. }) => words += 1,
            _ => {}
        }
    }
    let (people, athletes) = (house.roster.people(), gym.athletes);
    house.close().await;
    Played { kept, listed, told, people, athletes, words, history }
}

impl Played {
    /// Whose an activity is, by the place in the plan.
    pub fn person(&self, kept: &Kept) -> Option<usize> {
        let places: HashMap<_, _> =
            self.athletes.iter().enumerate().map(|(n, id)| (id, n)).collect();
        let session = kept.session.as_ref()?;
        session.athlete.map(|athlete| places[&athlete])
    }
}
