//! A box without a radio, whose time a test moves: the log, people, sessions and what is made of them.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(dead_code, unreachable_pub, reason = "no test needs everything")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use pulsegate::activity::ActivityId;
use pulsegate::archive::Archive;
use pulsegate::athlete::AthleteId;
use pulsegate::buffer::{Buffer, Keeper, Options};
use pulsegate::clock::{Clock, Script, SyncSource};
use pulsegate::config;
use pulsegate::history::{self, Bounds, History, Importer, Kept, Owner, Wanted};
use pulsegate::intake::Intake;
use pulsegate::live::{self, Board};
use pulsegate::reading::{
    BootId, Contact, EntryId, Event, EventKind, Fact, HeartRate, Measurement, Reading, RrInterval,
    Source, StrapId,
};
use pulsegate::recorder::{self, Recorder};
use pulsegate::roster::desk::{self, Moment};
use pulsegate::roster::{self, Around, AssignBody, Edit, Forgotten, Roster, Teller, Wearing};
use pulsegate::session::tracker::Rules;
use pulsegate::sink::{self, Context, TaskEnd};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{close, options, within};

/// 2026-11-21T18:00:00Z.
pub const EVENING_US: i64 = 1_795_284_000_000_000;

pub fn strap(number: u32) -> StrapId {
    StrapId::new(&format!("{:08X}", 0x9F6E_0000 + number)).unwrap()
}

/// Where the box is.
pub fn zone() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(-7))
}

/// A box whose time a test moves.
pub struct House {
    pub script: Script,
    pub clock: Clock,
    pub buffer: Buffer,
    pub keeper: Keeper,
    pub roster: Roster,
    pub teller: Teller,
    pub recorder: Recorder,
    pub importer: Importer,
    pub history: History,
    pub board: Board,
    pub second: u64,
    pub folder: PathBuf,
    sinks: JoinSet<TaskEnd>,
    stop: CancellationToken,
}

/// What the sink of a [`House`] writes.
pub const OUT: &str = "out.ndjson";

impl House {
    pub async fn open(folder: &Path, boot: u128, script: &Script) -> Self {
        let clock = Clock::scripted(BootId(boot), script, SyncSource::Vouched);
        Self::with(clock, script, options(folder, 1 << 30)).await
    }

    /// With a clock of its own, and a log that commits when it is told to.
    pub async fn with(clock: Clock, script: &Script, options: Options) -> Self {
        let folder = &options.data_dir.clone();
        let options = Options { sinks: vec!["club".into()], ..options };
        let (buffer, keeper) = Buffer::open(&options, &clock).unwrap();
        let board = Board::default();
        let intake = Intake::new(buffer.clone(), board.clone());
        let importer = Importer::new(history::Parts {
            history: History::new(folder),
            intake: intake.clone(),
            buffer: buffer.clone(),
            clock: clock.clone(),
            bounds: Bounds::default(),
            stop: CancellationToken::new(),
        });
        let roster = Roster::start(folder);
        let teller = Teller::new(roster::Parts {
            roster: roster.clone(),
            intake,
            buffer: buffer.clone(),
            clock: clock.clone(),
            stop: CancellationToken::new(),
        });
        let recorder = Recorder::new(recorder::Parts {
            gateway: "box-1".to_owned(),
            buffer: buffer.clone(),
            importer: importer.clone(),
            roster: roster.clone(),
            board: board.clone(),
            clock: clock.clone(),
            rules: Rules::default(),
            time_zone: zone(),
            settle: Duration::from_secs(2),
            stop: CancellationToken::new(),
        });
        let history = History::new(folder);
        let script = script.clone();
        let house = Self {
            script,
            clock,
            buffer,
            keeper,
            roster,
            teller,
            recorder,
            importer,
            history,
            board,
            second: 0,
            folder: folder.to_owned(),
            sinks: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        house.happens(EventKind::Started { version: "1".to_owned() }).await;
        house
    }

    /// Something happens now.
    pub async fn happens(&self, kind: EventKind) {
        self.take(Fact::Event(Event { at: self.clock.now(), kind })).await;
    }

    pub async fn take(&self, fact: Fact) {
        within(self.buffer.append(fact)).await.unwrap();
    }

    /// So many seconds pass; these straps tell a heart rate every second.
    pub async fn pass(&mut self, seconds: u64, straps: &[(u32, u16)]) {
        for _ in 0..seconds {
            self.second(straps).await;
        }
        self.settle().await;
    }

    /// A heart at work under this strap, second by second.
    pub async fn work(&mut self, number: u32, heart: &[u16]) {
        for bpm in heart {
            self.second(&[(number, *bpm)]).await;
        }
        self.settle().await;
    }

    /// One second passes.
    pub async fn second(&mut self, straps: &[(u32, u16)]) {
        self.script.pass(Duration::from_secs(1));
        self.second += 1;
        for (number, bpm) in straps {
            let measurement = Measurement::HeartRate(HeartRate {
                bpm: *bpm,
                contact: Contact::Worn,
                energy_kj: None,
                rr: vec![RrInterval((61_440 / u32::from(*bpm)) as u16)],
                source: Source::Link,
            });
            let at = self.clock.now();
            self.take(Fact::Reading(Reading { strap: strap(*number), at, measurement })).await;
        }
    }

    /// A file comes in.
    pub async fn import(&self, bytes: &[u8], owner: Option<Owner>) -> ActivityId {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let told = within(self.importer.import_for(file, "ride.fit", owner)).await.unwrap();
        told[0].sessions[0].id
    }

    /// Everything is durable, and the recorder has seen it.
    pub async fn settle(&mut self) {
        let (strap, measurement) = (strap(99), Measurement::Battery(50));
        let at = self.clock.now();
        let last = self.buffer.append(Fact::Reading(Reading { strap, at, measurement }));
        let last = within(last).await.unwrap();
        self.buffer.flush();
        within(self.buffer.durable(last)).await.unwrap();
        within(self.recorder.step()).await.unwrap();
    }

    pub fn moment(&self) -> Moment {
        let at = self.clock.now();
        Moment { at, unix_us: at.unix_us(), heard: Some(BTreeSet::new()) }
    }

    pub fn athlete(&self, name: &str, consent: Option<&str>) -> AthleteId {
        let edit = Edit {
            display_name: Some(name.to_owned()),
            birth_year: Some(1986),
            sex: Some(pulsegate::athlete::Sex::Male),
            weight_kg: Some(80.0),
            max_hr_bpm: Some(190),
            consent: consent.map(str::to_owned),
            ..Edit::default()
        };
        desk::add(&self.roster, &edit, &self.moment()).unwrap().athlete.id
    }

    pub fn assign(&self, number: u32, name: &str) {
        let body = AssignBody { athlete: name.to_owned() };
        desk::assign(&self.roster, strap(number).as_str(), &body, &self.moment()).unwrap();
    }

    /// As the desk of a running daemon does it.
    pub async fn forget(&self, name: &str) -> Forgotten {
        let timeline = self.buffer.timeline().borrow().clone();
        let wearing = Wearing::new(&self.roster.people(), timeline);
        let around = Around {
            buffer: Some(&self.buffer),
            history: &self.history,
            labels: Vec::new(),
            sinks: Vec::new(),
        };
        let moment = self.moment();
        within(roster::forget(&self.roster, name, &moment, &wearing, &around)).await.unwrap()
    }

    /// By their start.
    pub fn listed(&self) -> Vec<history::Listed> {
        let mut listed = self.history.list(&Wanted::default()).unwrap();
        listed.reverse();
        listed
    }

    pub fn kept(&self) -> Vec<Kept> {
        let listed = self.listed();
        listed.iter().map(|l| self.history.get(l.summary.activity).unwrap().unwrap()).collect()
    }

    /// Starts the sink: a file in this format.
    pub fn send(&mut self, format: &str) {
        let text = format!("[sinks.club.file]\npath = {OUT:?}\nformat = {format:?}");
        let config = config::parse(&text).unwrap();
        let history = self.history.clone();
        let context = Context {
            gateway: "box-1".into(),
            board: self.board.clone(),
            buffer: self.buffer.clone(),
            stop: self.stop.clone(),
            archive: Archive::new(history, self.roster.clone(), zone(), Bounds::default()),
            data_dir: self.folder.clone(),
            delivery: config::Delivery::default(),
        };
        sink::spawn(&mut self.sinks, "club", &config.sinks["club"], &context).unwrap();
    }

    /// Waits until the sink is in such a state.
    pub async fn sink(&self, is_so: impl Fn(&live::Sink) -> bool) {
        let mut board = self.board.watch();
        let seen = board.wait_for(|now| now.sinks.get("club").is_some_and(&is_so));
        within(seen).await.unwrap();
    }

    /// Waits until everything that is in the log by now has been written.
    pub async fn delivered(&self) {
        self.buffer.flush();
        let end = self.buffer.read(EntryId(0), EntryId(u64::MAX), usize::MAX).await.unwrap();
        let end = end.last().unwrap().id;
        within(self.buffer.durable(end)).await.unwrap();
        self.sink(|sink| sink.next > end).await;
    }

    /// Everything that is in the log by now has been written: these are the lines.
    pub async fn sent(&self) -> Vec<Value> {
        self.delivered().await;
        let text = std::fs::read_to_string(self.folder.join(OUT)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub async fn close(mut self) {
        self.stop.cancel();
        while let Some(ended) = within(self.sinks.join_next()).await {
            ended.unwrap().unwrap();
        }
        drop((self.recorder, self.importer, self.teller));
        close(&self.buffer, self.keeper).await;
    }
}

pub fn script() -> Script {
    Script::new(60_000_000, EVENING_US)
}
