//! A box with people and recorded sessions, made by hand: no strap, no clock that runs.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use pulsegate::activity::{
    Activity, ActivityId, Beat, Counts, Device, Item, Origin, Quality, RrMillis, Sample, Totals,
    UnixMs,
};
use pulsegate::archive::Archive;
use pulsegate::athlete::AthleteId;
use pulsegate::buffer::{Buffer, Keeper};
use pulsegate::clock::{Clock, Script, SyncSource};
use pulsegate::fit::encode::{Creator, Encoder};
use pulsegate::history::{self, Bounds, History, Importer, Recording};
use pulsegate::intake::Intake;
use pulsegate::live::Board;
use pulsegate::reading::{BootId, StrapId};
use pulsegate::roster::desk::{self, Moment};
use pulsegate::roster::{Edit, Roster};
use pulsegate::session::{SessionSummary, Why};
use pulsegate::timeline::TimeQuality;
use pulsegate::workout::StrapSession;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{close, options, within};

/// Summer time from the last Sunday of March to that of October.
pub const ZONE: &str = "EET-2EEST,M3.5.0/3,M10.5.0/4";

pub struct Gym {
    pub data_dir: PathBuf,
    pub clock: Clock,
    pub buffer: Buffer,
    pub keeper: Keeper,
    pub roster: Roster,
    pub importer: Importer,
    pub board: Board,
}

/// A moment, as `2026-03-29T02:59:00Z`.
pub fn at(text: &str) -> UnixMs {
    UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

impl Gym {
    pub fn open(data_dir: &Path) -> Self {
        let script = Script::new(60_000_000, at("2026-11-24T12:00:00Z").0 * 1000);
        let clock = Clock::scripted(BootId(7), &script, SyncSource::Vouched);
        let (buffer, keeper) = Buffer::open(&options(data_dir, 1 << 30), &clock).unwrap();
        let board = Board::default();
        let importer = Importer::new(history::Parts {
            history: History::new(data_dir),
            intake: Intake::new(buffer.clone(), board.clone()),
            buffer: buffer.clone(),
            clock: clock.clone(),
            bounds: Bounds::default(),
            stop: CancellationToken::new(),
        });
        let roster = Roster::open(data_dir).unwrap();
        Self { data_dir: data_dir.to_owned(), clock, buffer, keeper, roster, importer, board }
    }

    pub fn archive(&self) -> Archive {
        let zone = TimeZone::posix(ZONE).unwrap();
        let bounds = Bounds { time: Duration::from_secs(60), ..Bounds::default() };
        Archive::new(self.importer.history().clone(), self.roster.clone(), zone, bounds)
    }

    pub fn athlete(&self, edit: &Edit) -> AthleteId {
        let at = self.clock.now();
        let moment = Moment { at, unix_us: at.unix_us(), heard: None };
        desk::add(&self.roster, edit, &moment).unwrap().athlete.id
    }

    /// Somebody who has agreed, or not.
    pub fn somebody(&self, name: &str, consent: Option<&str>) -> AthleteId {
        self.athlete(&Edit {
            display_name: Some(name.to_owned()),
            legal_name: Some(format!("{name} Virtanen")),
            birth_year: Some(1990),
            consent: consent.map(str::to_owned),
            ..Edit::default()
        })
    }

    /// A session of so many seconds: 120 bpm and one more each minute, two beats a second.
    pub async fn session(
        &self,
        athlete: Option<AthleteId>,
        start: UnixMs,
        seconds: u64,
    ) -> ActivityId {
        let strap = StrapId::new("9F6E5322").unwrap();
        let id = ActivityId(Uuid::new_v5(
            &Uuid::nil(),
            format!("{}/{athlete:?}/{seconds}", start.0).as_bytes(),
        ));
        let bpm = |second: u64| 120 + (second / 60 % 60) as u8;
        let elapsed_s = Some(seconds as f64);
        let activity = Activity {
            id,
            index: 0,
            origin: Origin { created: Some(start), ..Origin::default() },
            sport: Some(10),
            sub_sport: Some(26),
            sport_name: None,
            start,
            utc_offset_min: None,
            totals: Totals { elapsed_s, timer_s: elapsed_s, ..Totals::default() },
            laps: Vec::new(),
            pauses: Vec::new(),
            devices: vec![Device { index: 1, serial: Some(0x9F6E_5322), ..Device::default() }],
            counts: Counts {
                records: seconds,
                hr_samples: seconds,
                hr_sum: (0..seconds).map(|second| f64::from(bpm(second))).sum(),
                rr_intervals: 2 * seconds,
            },
            quality: Quality::default(),
        };
        let mut bytes = Cursor::new(Vec::new());
        let creator = Creator::of("box-1", Some(&strap));
        let mut encoder = Encoder::new(&mut bytes, &activity, &creator).unwrap();
        for second in 0..seconds {
            let at = Some(start.plus_ms(second as i64 * 1000));
            let heart_rate_bpm = Some(bpm(second));
            let sample = Sample { at, heart_rate_bpm, ..Sample::default() };
            encoder.item(Item::Sample(sample)).unwrap();
            for rr in [500, 490] {
                encoder.item(Item::Beat(Beat { after: at, rr: RrMillis(rr) })).unwrap();
            }
        }
        encoder.finish().unwrap();
        let agreed = athlete.and_then(|athlete| {
            let people = self.roster.people();
            people.athlete(athlete).map(|known| known.consent.is_some())
        });
        let effort = SessionSummary {
            elapsed_s: seconds as f64,
            active_s: seconds as f64,
            avg_bpm: Some(130.0),
            max_bpm: Some(bpm(seconds).into()),
            calories_kcal: Some(seconds as f64 / 10.0),
            ..SessionSummary::default()
        };
        let session = StrapSession {
            strap,
            athlete,
            class: None,
            ended: Why::Silence,
            time: TimeQuality::Synced,
            effort,
        };
        let consent = agreed == Some(true);
        let recording = Recording { bytes: bytes.into_inner(), activity, session, consent };
        within(self.importer.record(recording)).await.unwrap();
        id
    }

    pub async fn close(self) {
        let Self { buffer, keeper, importer, .. } = self;
        drop(importer);
        close(&buffer, keeper).await;
    }
}
