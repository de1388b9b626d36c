//! Appending, draining and reopening: the same readings in every store, the stores in turn.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use pulsegate::reading::Fact;

use crate::log::Log;
use crate::ours::Ours;
use crate::raw::Raw;
use crate::readings::{Store, readings};
use crate::report::{Report, Target, median};
use crate::sqlite::Sqlite;
use crate::{Scale, Wanted};

/// Readings in a commit.
const COMMIT: u64 = 1000;
/// Which of the stores are ours and raw sled.
const OURS: usize = 0;
const RAW: usize = 1;

pub fn run(folder: &Path, scale: &Scale, wanted: &Wanted, report: &mut Report) {
    std::fs::create_dir_all(folder).unwrap();
    let mut ours = Ours::open(&folder.join("ours"), u64::MAX);
    let mut raw = Raw::open(&folder.join("raw"));
    let mut sqlite = Sqlite::open(&folder.join("sqlite"));
    let mut log = Log::open(&folder.join("log"));
    let mut stores: [&mut dyn Store; 4] = [&mut ours, &mut raw, &mut sqlite, &mut log];

    let appended = append(&mut stores, scale);
    if wanted.has(1) {
        let what = format!("1 append, {COMMIT} readings a commit, ours / raw sled");
        compare(report, &what, 0.9, &stores, &appended);
        let ratio = flow(folder, scale);
        report.note(&format!(
            "with facts coming in while a commit is under way, ours / raw sled {ratio:.2}"
        ));
    }
    if wanted.has(2) {
        let drained = drain(&mut stores, scale);
        compare(report, "2 drain by 500, ours / raw sled", 0.8, &stores, &drained);
    }
    if wanted.has(5) {
        reopen(folder, scale, report);
    }
    ours.close();
}

/// Readings a second of each store in each round.
type Rates = Vec<[f64; 4]>;

fn commits(begin: u64, each: u64) -> Vec<Vec<Fact>> {
    let firsts = (begin..begin + each).step_by(COMMIT as usize);
    firsts.map(|first| readings(first..first + COMMIT)).collect()
}

fn append(stores: &mut [&mut dyn Store; 4], scale: &Scale) -> Rates {
    let mut rates = Vec::new();
    let each = scale.readings / scale.rounds as u64;
    for round in 0..scale.rounds as u64 {
        let commits = commits(round * each, each);
        rates.push(in_turn(stores, round as usize, |store| {
            let commits = commits.clone();
            let start = Instant::now();
            for commit in commits {
                store.append(commit);
            }
            each as f64 / start.elapsed().as_secs_f64()
        }));
    }
    rates
}

/// What a thread of its own is worth: raw sled has nowhere to put facts while it commits.
fn flow(folder: &Path, scale: &Scale) -> f64 {
    let mut ours = Ours::open(&folder.join("ours, flowing"), u64::MAX);
    let mut raw = Raw::open(&folder.join("raw, beside it"));
    let each = scale.readings / scale.rounds as u64;
    let mut round = |round: u64| {
        let commits = commits(round * each, each);
        let start = Instant::now();
        commits.iter().for_each(|commit| raw.append(commit.clone()));
        let of_raw = start.elapsed().as_secs_f64();
        let start = Instant::now();
        ours.append_flowing(commits);
        of_raw / start.elapsed().as_secs_f64()
    };
    let ratio = median((0..scale.rounds as u64).map(&mut round));
    ours.close();
    ratio
}

fn drain(stores: &mut [&mut dyn Store; 4], scale: &Scale) -> Rates {
    let round = |round| {
        in_turn(stores, round, |store| {
            let mut count = 0;
            let start = Instant::now();
            store.drain(&format!("sink {round}"), &mut |entries| {
                count += black_box(entries).len() as u64;
            });
            let elapsed = start.elapsed().as_secs_f64();
            assert_eq!(count, scale.readings, "{}", store.name());
            count as f64 / elapsed
        })
    };
    (0..scale.rounds).map(round).collect()
}

/// Each store once, with another one first each time.
fn in_turn(
    stores: &mut [&mut dyn Store; 4],
    round: usize,
    mut work: impl FnMut(&mut dyn Store) -> f64,
) -> [f64; 4] {
    let mut rates = [0.0; 4];
    for turn in 0..4 {
        let store = (round + turn) % 4;
        rates[store] = work(stores[store]);
    }
    rates
}

fn compare(
    report: &mut Report,
    what: &str,
    target: f64,
    stores: &[&mut dyn Store; 4],
    rates: &Rates,
) {
    let ratio = |to: usize| median(rates.iter().map(|round| round[OURS] / round[to]));
    report.judge(what, ratio(RAW), &Target::AtLeast(target));
    for (index, store) in stores.iter().enumerate() {
        let rate = median(rates.iter().map(|round| round[index]));
        let text =
            format!("{:10} {rate:>9.0} readings/s, ours / it {:.2}", store.name(), ratio(index));
        report.note(&text);
    }
}

/// Opens what a kill leaves behind, with nothing of it in memory.
fn reopen(folder: &Path, scale: &Scale, report: &mut Report) {
    let mut times = Vec::new();
    let mut means = "";
    for round in 0..scale.openings {
        let ours = folder.join(format!("ours {round}"));
        let raw = folder.join(format!("raw {round}"));
        copy(&folder.join("ours"), &ours);
        copy(&folder.join("raw"), &raw);
        means = forget(&[&ours, &raw]);
        let open_ours = || {
            let start = Instant::now();
            let store = Ours::open(&ours, u64::MAX);
            let elapsed = start.elapsed().as_secs_f64();
            store.close();
            elapsed
        };
        let open_raw = || {
            let start = Instant::now();
            let store = Raw::open(&raw);
            black_box(store.newest());
            start.elapsed().as_secs_f64()
        };
        times.push(if round % 2 == 0 {
            let ours = open_ours();
            (ours, open_raw())
        } else {
            let raw = open_raw();
            (open_ours(), raw)
        });
    }
    let what = format!("5 reopening {} readings after a kill, seconds", scale.readings);
    report.judge(&what, median(times.iter().map(|times| times.0)), &Target::AtMost(1.0));
    let raw = median(times.iter().map(|times| times.1));
    let ratio = median(times.iter().map(|times| times.0 / times.1));
    report.note(&format!("raw sled {raw:.2} s, ours / it {ratio:.2}; page cache {means}"));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
            File::open(&to).unwrap().sync_all().unwrap();
        }
    }
}

/// Empties the page cache if we may, else drops the files' pages; says which.
fn forget(folders: &[&Path]) -> &'static str {
    if std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok() {
        return "emptied";
    }
    for folder in folders {
        for path in files(folder) {
            let file = File::open(path).unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
    "without the stores' files"
}

/// All files in a folder.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
