//! Archives and packed files made to hurt: each is bounded in memory, in number and in what it unpacks to, and says why
//! it is refused. A process of its own looks at each, so that what is measured is what looking takes.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/fit_writer.rs"]
mod writer;
#[path = "support/zip_writer.rs"]
mod zip_writer;

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use pulsegate::activity::Checksum;
use pulsegate::history::{Bounds, Outcome, Word, look};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::writer::Writer;
use crate::zip_writer::{Entry, ZipMaker, deflated};

const MIB: u64 = 1 << 20;
/// Most memory that looking at anything may take, the process around it included.
const MEMORY_MAX: u64 = 32 * MIB;

/// Names the file that [`looks_at_one_file_for_the_others`] looks at.
const FILE: &str = "PULSEGATE_TEST_LOOK_AT";

/// What a process of its own made of a file.
#[derive(Debug)]
struct Apart {
    peak: u64,
    /// How often each result was told.
    results: BTreeMap<String, usize>,
    /// One reason of each kind, without the names.
    reasons: Vec<String>,
}

fn look_apart(bytes: &[u8]) -> Apart {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.zip");
    std::fs::write(&path, bytes).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "looks_at_one_file_for_the_others", "--nocapture", "--test-threads=1"])
        .env(FILE, &path)
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "what was unpacked is gone");
    let line = stdout.lines().find_map(|line| line.split_once("LOOKED ")).unwrap().1;
    let (peak, results, reasons) = serde_json::from_str(line).unwrap();
    Apart { peak, results, reasons }
}

fn look_at(path: &Path) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let source = std::fs::File::open(path).unwrap();
    runtime.block_on(look(source, "x.zip", &Bounds::default())).unwrap()
}

#[test]
fn looks_at_one_file_for_the_others() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let outcomes = look_at(Path::new(&path));
    let mut results = BTreeMap::<&str, usize>::new();
    let mut reasons = Vec::new();
    for outcome in &outcomes {
        *results.entry(outcome.result.in_words()).or_default() += 1;
        let reason = outcome.reason.clone().unwrap_or_default();
        if reasons.len() < 8 && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak = 1024 * peak.split_whitespace().next().unwrap().parse::<u64>().unwrap();
    let told = serde_json::to_string(&(peak, results, reasons)).unwrap();
    println!("LOOKED {told}");
}

/// A small ride of its own.
fn ride(hour: u32) -> Vec<u8> {
    let mut fit = Writer::default();
    fit.file_id(4);
    fit.define(1, 20, &[(253, 4, 0x86), (3, 1, 0x02)]);
    for second in 0..60 {
        let [a, b, c, d] = (1_150_000_000 + hour * 3600 + second).to_le_bytes();
        fit.message(1, &[a, b, c, d, 100]);
    }
    fit.finish()
}

/// A file of as many sessions as one may have, each of two bytes.
fn sessions() -> Vec<u8> {
    let one = {
        let mut one = Writer::default();
        one.file_id(4);
        one.define(1, 18, &[(5, 1, 0)]);
        (0..64).for_each(|_| one.message(1, &[2]));
        one.finish()
    };
    one.repeat(64)
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn many(count: usize, entry: impl Fn(usize) -> Entry) -> ZipMaker {
    let mut zip = ZipMaker::default();
    zip.file("first.fit", &ride(1));
    zip.entries.extend((0..count).map(entry));
    zip
}

fn entry(name: &str) -> Entry {
    let (name, extra, comment) = (name.as_bytes().to_vec(), Vec::new(), Vec::new());
    Entry { name, method: 8, crc: 0, packed: 0, size: 0, at: 0, extra, comment }
}

type Expected = (usize, &'static str);

/// Each with the number of things told of it, and part of a reason.
fn hostile() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let zeros = vec![0; 31 << 20];
    let made = |work: &dyn Fn(&mut ZipMaker)| {
        let mut zip = ZipMaker::default();
        work(&mut zip);
        zip.finish()
    };
    let nested = |levels: usize| {
        let mut inner = made(&|zip| {
            zip.file("a.fit", &ride(1));
        });
        for _ in 0..levels {
            inner = made(&|zip| {
                zip.file("a.zip", &inner);
                zip.file("b.fit", &inner);
            });
        }
        inner
    };
    vec![
        ("two million files", many(2_000_000, |_| entry("")).finish_wide(2_000_001), (1, "files")),
        (
            "two million files, and it says one",
            many(2_000_000, |_| entry("")).finish_saying(1),
            (1, "files"),
        ),
        ("it says 2^60 files", many(0, |_| entry("")).finish_wide(1 << 60), (2, "")),
        (
            "long names, and much beside them",
            many(700, |_| {
                let long = vec![b'x'; 65_535];
                Entry {
                    name: [&long[4..], b".fit"].concat(),
                    extra: long.clone(),
                    comment: long,
                    ..entry("")
                }
            })
            .finish(),
            (701, "name"),
        ),
        (
            "files that are all the same bytes",
            {
                let mut zip = ZipMaker::default();
                let one = zip.file("a.fit", &zeros).clone();
                zip.entries.extend((0..9_000).map(|number| Entry {
                    name: format!("{number}.fit").into_bytes(),
                    ..one.clone()
                }));
                zip.finish()
            },
            (9_001, "share"),
        ),
        (
            "files that say they are 4 GB",
            made(&|zip| {
                for number in 0..50 {
                    let entry = zip.file(&format!("{number}.fit"), &ride(number));
                    entry.size = u32::MAX;
                }
            }),
            (50, ""),
        ),
        (
            "files that say they are packed in 4 GB",
            made(&|zip| zip.file("a.fit", &ride(1)).packed = u32::MAX),
            (1, "outside"),
        ),
        (
            "files that say they are 16 EB",
            made(&|zip| {
                let entry = zip.file("a.fit", &ride(1));
                (entry.packed, entry.size, entry.at) = (u32::MAX, u32::MAX, u32::MAX);
                entry.extra = [&[1, 0, 24, 0][..], &[0xFF; 24]].concat();
            }),
            (1, "outside"),
        ),
        (
            "zeros, a thousand times what they are packed in",
            made(&|zip| {
                let packed = deflated(&zeros);
                for number in 0..40 {
                    zip.packed(&format!("{number}.fit"), &packed, zeros.len(), 0);
                }
            }),
            (40, "unpacks to more"),
        ),
        ("archives within archives", nested(8), (1, "")),
        ("gzip within gzip", gzipped(&gzipped(&gzipped(&zeros))), (1, "")),
        ("a gzip of 256 MiB of zeros", gzip_of_zeros(256 << 20), (1, "33554432 bytes")),
        (
            "a gzip with a name without end",
            [&[0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 3][..], &[b'x'; 20 << 20]].concat(),
            (1, ""),
        ),
        ("members of nothing, a million", gzipped(b"").repeat(1_000_000), (1, "4096 parts")),
        (
            "ends of archives all over",
            [&b"PK\x03\x04"[..], &b"PK\x05\x06".repeat(30 << 18)].concat(),
            (1, ""),
        ),
        (
            "four thousand sessions, and twenty such files",
            {
                let (bytes, mut zip) = (sessions(), ZipMaker::default());
                let (packed, crc) = (deflated(&bytes), crc32fast::hash(&bytes));
                for number in 0..20 {
                    zip.packed(&format!("{number}.fit"), &packed, bytes.len(), crc);
                }
                zip.file("more.csv", &noise());
                zip.finish()
            },
            (20, "activities"),
        ),
    ]
}

/// What cannot be packed: it makes an archive large.
fn noise() -> Vec<u8> {
    std::iter::repeat_with(|| fastrand::u8(..)).take(2 << 20).collect()
}

fn gzip_of_zeros(mut left: u64) -> Vec<u8> {
    let (zeros, mut packer) = (vec![0; 1 << 20], GzEncoder::new(Vec::new(), Compression::fast()));
    while left > 0 {
        packer.write_all(&zeros).unwrap();
        left -= zeros.len() as u64;
    }
    packer.finish().unwrap()
}

#[test]
fn nothing_that_is_packed_to_hurt_takes_memory() {
    let mut wrong = Vec::new();
    for (name, bytes, (outcomes, reason)) in hostile() {
        let begun = Instant::now();
        let apart = look_apart(&bytes);
        let seconds = begun.elapsed().as_secs_f64();
        let said = format!(
            "{name}: {} MiB, {} MiB in {seconds:.1} s, {apart:?}",
            bytes.len() as u64 / MIB,
            apart.peak / MIB
        );
        println!("{said}");
        if apart.peak > MEMORY_MAX
            || apart.results.values().sum::<usize>() != outcomes
            || !apart.reasons.iter().any(|told| told.contains(reason))
        {
            wrong.push(said);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is told of these bytes.
fn told(bytes: &[u8]) -> Vec<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, bytes).unwrap();
    look_at(&path)
}

#[test]
fn archives_of_every_make_are_read() {
    let streamed = {
        let mut packer = ZipWriter::new_stream(Vec::new());
        for name in ["a.fit", "b.fit"] {
            packer.start_file(name, SimpleFileOptions::default()).unwrap();
            packer.write_all(&ride(1)).unwrap();
        }
        packer.set_comment("c".repeat(60_000));
        packer.finish().unwrap().into_inner()
    };
    let wide_files = {
        let mut packer = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = zip::CompressionMethod::Stored;
        let options = SimpleFileOptions::default().large_file(true).compression_method(stored);
        for name in ["a.fit", "b.fit"] {
            packer.start_file(name, options).unwrap();
            packer.write_all(&ride(1)).unwrap();
        }
        packer.finish().unwrap().into_inner()
    };
    let mut wide = ZipMaker::default();
    wide.file("a.fit", &ride(1));
    let entry = wide.file("b.fit", &ride(2));
    let (packed, size) = (u64::from(entry.packed), u64::from(entry.size));
    (entry.packed, entry.size) = (u32::MAX, u32::MAX);
    let other = [9, 9, 2, 0, 1, 1];
    entry.extra = [&other[..], &[1, 0, 16, 0], &size.to_le_bytes(), &packed.to_le_bytes()].concat();
    for bytes in [streamed, wide_files, wide.finish_wide(2)] {
        let outcomes = told(&bytes);
        assert_eq!(outcomes.len(), 2, "{outcomes:?}");
        for (outcome, name) in outcomes.iter().zip(["x.zip/a.fit", "x.zip/b.fit"]) {
            assert_eq!(
                (outcome.result, outcome.file.as_str()),
                (Word::Imported, name),
                "{outcomes:?}"
            );
        }
    }
    let mut zip = ZipMaker::default();
    zip.file("x.fit", &ride(1)).name = b"M\x81ller/Stra\xe1e.fit".to_vec();
    zip.file("y.fit", &ride(2)).name = "Übung.fit".into();
    let names: Vec<_> = told(&zip.finish()).into_iter().map(|outcome| outcome.file).collect();
    assert_eq!(names, ["x.zip/Müller/Straße.fit", "x.zip/Übung.fit"]);
}

#[test]
fn what_is_packed_and_cut_off_or_damaged_is_read_as_far_as_it_unpacks() {
    let bytes = noisy_ride();
    let packed = gzipped(&bytes);
    let quality = |packed: &[u8]| {
        let outcomes = told(packed);
        let [outcome] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!(outcome.result, Word::Salvaged, "{outcome:?}");
        let reason = outcome.reason.clone().unwrap();
        assert!(reason.starts_with("the packing breaks off after "), "{reason}");
        let records = outcome.sessions[0].records;
        (outcome.quality.clone().unwrap(), records, reason)
    };
    assert_eq!(told(&packed)[0].sessions[0].records, 2000);
    let (cut, records, reason) = quality(&packed[..packed.len() / 2]);
    assert!((800..1200).contains(&records), "{records}: {reason}");
    assert!(cut.broken_at.is_some() && cut.checksum != Checksum::Bad, "{cut:?}");
    // All of it is there, but nobody knows that.
    let (cut, records, reason) = quality(&packed[..packed.len() - 3]);
    assert_eq!((records, cut.broken_at), (2000, Some(bytes.len() as u64)), "{reason}");
    let mut damaged = packed.clone();
    damaged[packed.len() - 8] ^= 1;
    let (sum, records, reason) = quality(&damaged);
    assert_eq!((records, sum.checksum), (2000, Checksum::Bad), "{reason}");

    // In an archive the others are not touched by it.
    let mut zip = ZipMaker::default();
    let half = deflated(&bytes);
    zip.packed("cut.fit", &half[..half.len() / 2], bytes.len(), crc32fast::hash(&bytes));
    zip.file("lied.fit", &bytes).crc ^= 1;
    zip.file("short.fit", &bytes).size -= 1;
    zip.file("cut.fit.gz", &packed[..packed.len() / 2]);
    zip.file("none.fit.gz", &packed[..12]);
    zip.file("whole.fit", &bytes);
    let outcomes = told(&zip.finish());
    let results: Vec<_> = outcomes.iter().map(|outcome| outcome.result).collect();
    use Word::{Imported, Rejected, Salvaged};
    assert_eq!(
        results,
        [Salvaged, Salvaged, Salvaged, Salvaged, Rejected, Imported],
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1].quality.as_ref().unwrap().checksum, Checksum::Bad);
}

/// A ride that does not pack well.
fn noisy_ride() -> Vec<u8> {
    let mut fit = Writer::default();
    let mut random = fastrand::Rng::with_seed(7);
    fit.file_id(4);
    fit.define(1, 20, &[(253, 4, 0x86), (3, 1, 0x02), (0, 4, 0x85), (1, 4, 0x85)]);
    for second in 0..2000 {
        let mut message = (1_150_000_000u32 + second).to_le_bytes().to_vec();
        message.extend(std::iter::repeat_with(|| random.u8(60..110)).take(9));
        fit.message(1, &message);
    }
    fit.finish()
}
