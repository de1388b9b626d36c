//! Many cuts of one recording: where they are made, each one looked at, and the sum.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};

use crate::entries::Entries;
use crate::image::Later;
use crate::process::{End, Program};
use crate::recording::{Cutter, Recording};
use crate::verify::{Due, Faults, Found, Promises};

/// Faults told one by one; the rest is only counted.
const TOLD: usize = 5;

/// What to do.
pub(crate) struct Plan {
    /// Said in front of every line.
    pub(crate) name: String,
    /// The program under test.
    pub(crate) binary: PathBuf,
    /// For images and mount points.
    pub(crate) scratch: PathBuf,
    pub(crate) cuts: usize,
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    /// Only this cut, counted from 0.
    pub(crate) only: Option<usize>,
}

/// One cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Its number in the plan.
    number: usize,
    /// So many records came before it.
    place: usize,
    later: Later,
    /// How the daemon ends that then looks at the disk.
    end: End,
}

/// What came of all cuts.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) cuts: usize,
    pub(crate) unopenable: usize,
    /// Cuts after which something acknowledged was not there.
    pub(crate) with_loss: usize,
    pub(crate) lost: usize,
    /// Cuts with any other fault.
    pub(crate) otherwise_wrong: usize,
}

impl Sum {
    pub(crate) fn good(&self) -> bool {
        self.cuts > 0 && self.unopenable + self.with_loss + self.otherwise_wrong == 0
    }
}

enum Outcome {
    Unopenable(anyhow::Error),
    Opened(Faults),
}

/// Makes the cuts of a plan.
pub(crate) fn run(plan: &Plan, recording: &Recording) -> Result<Sum> {
    let promises = Promises::of(recording);
    let mut cuts = choose(plan, recording, &promises)?;
    if let Some(only) = plan.only {
        cuts.retain(|cut| cut.number == only);
    }
    let (next, sum, told) = (AtomicUsize::new(0), Mutex::new(Sum::default()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.workers)
            .map(|worker| {
                let (cuts, promises, next, sum, told) = (&cuts, &promises, &next, &sum, &told);
                scope.spawn(move || {
                    let mut cutter = Cutter::new(recording);
                    // The cuts are in ascending order, and so are those of each worker.
                    while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let due = promises.at(cut.place);
                        let outcome = look(plan, worker, &mut cutter, *cut, promises, &due)?;
                        let fault = note(sum, &due, &outcome);
                        if let Some(fault) = fault
                            && told.fetch_add(1, Ordering::Relaxed) < TOLD
                        {
                            println!("{}: cut {}: {fault}", plan.name, describe(cut, recording));
                        }
                    }
                    Ok::<_, anyhow::Error>(())
                })
            })
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(_) => bail!("a worker panicked"),
            }
        }
        Ok(())
    })?;
    sum.into_inner().map_err(|_| anyhow::anyhow!("a worker panicked"))
}

/// A third right after a commit was told, a third right after a delivery, a third anywhere. Where databases are
/// exchanged, half of the cuts fall into that.
fn choose(plan: &Plan, recording: &Recording, promises: &Promises) -> Result<Vec<Cut>> {
    let begin = recording.begin().context("the recording never begins")?;
    let end = recording.len();
    if begin >= end {
        bail!("nothing happened in the recording");
    }
    let (told, delivered) = promises.moments();
    let within = |places: Vec<usize>| -> Vec<usize> {
        places.into_iter().filter(|place| *place >= begin).collect()
    };
    let (told, delivered) = (within(told), within(delivered));
    let marked = recording.marked();
    let mut dice = fastrand::Rng::with_seed(plan.seed);
    let mut cuts: Vec<Cut> = (0..plan.cuts)
        .map(|number| {
            let moments = match number % 3 {
                0 => &told,
                1 => &delivered,
                _ => &Vec::new(),
            };
            let marked = dice.choice(&marked).filter(|_| number % 2 == 0);
            let place = match (marked, dice.choice(moments)) {
                (Some(marked), _) => dice.usize(marked.start + 1..=marked.end + 1).min(end),
                (None, Some(place)) => place + 1,
                (None, None) => dice.usize(begin + 1..=end),
            };
            let later = Later::ALL[number / 6 % 3];
            let end = if dice.bool() { End::Asked } else { End::Killed };
            Cut { number, place, later, end }
        })
        .collect();
    cuts.sort_by_key(|cut| cut.place);
    Ok(cuts)
}

fn look(
    plan: &Plan,
    worker: usize,
    cutter: &mut Cutter<'_>,
    cut: Cut,
    promises: &Promises,
    due: &Due,
) -> Result<Outcome> {
    let scratch = plan.scratch.join(format!("worker-{worker}"));
    std::fs::create_dir_all(&scratch).context("creating a folder")?;
    let mut dice = fastrand::Rng::with_seed(plan.seed.wrapping_add(cut.number as u64));
    let left = cutter.cut(cut.place, cut.later, &mut dice, &scratch)?;
    let data_dir = left.data_dir.clone();
    let program = Program { binary: plan.binary.clone(), data_dir, scratch };
    // Each in a fresh process: some damage shows only when a mended database is opened again.
    let open = || {
        // Half of the cuts are first looked at by the daemon.
        let first = match cut.number / 3 % 2 {
            0 => Some(match program.stored() {
                // There may be nothing to export yet.
                Err(_) if due.acknowledged.is_empty() => Entries::default(),
                stored => stored.context("first opening")?,
            }),
            _ => None,
        };
        Ok(Found {
            stored: first,
            delivered: program.delivered("out", cut.end).context("opening by the daemon")?,
            stored_later: program.stored().context("last opening")?,
        })
    };
    let outcome = match open() {
        Err(error) => Outcome::Unopenable(error),
        Ok(found) => Outcome::Opened(Faults {
            quarantined: program.has_quarantine(),
            ..promises.check(due, &found)
        }),
    };
    Ok(outcome)
}

/// Adds to the sum; returns what is wrong.
fn note(sum: &Mutex<Sum>, due: &Due, outcome: &Outcome) -> Option<String> {
    let mut sum = sum.lock().ok()?;
    sum.cuts += 1;
    match outcome {
        Outcome::Unopenable(error) => {
            sum.unopenable += 1;
            Some(format!("cannot be opened: {error:#}"))
        }
        Outcome::Opened(faults) if faults.any() => {
            if faults.lost.is_empty() {
                sum.otherwise_wrong += 1;
            } else {
                sum.with_loss += 1;
                sum.lost += faults.lost.len();
            }
            Some(format!("{faults}, of {} acknowledged", due.acknowledged.len()))
        }
        Outcome::Opened(_) => None,
    }
}

fn describe(cut: &Cut, recording: &Recording) -> String {
    let Cut { number, place, later, end } = cut;
    let of = recording.len();
    let end = match end {
        End::Asked => "stopped",
        End::Killed => "killed",
    };
    let later = later.name();
    format!("{number} (behind record {place} of {of}, {later}; the daemon that looked was {end})")
}
