//! What stays on the disk of a log that was filled, drained and bounded.

use std::path::Path;
use std::time::Duration;

use crate::Scale;
use crate::measure::files;
use crate::ours::Ours;
use crate::readings::{Store, readings};
use crate::report::{Report, Target};

/// Readings in a commit: ten seconds' worth, so that filling takes no hour. A commit of a second writes the same into the
/// database, for chunks go there once they are full.
const COMMIT: u64 = 500;

pub fn run(folder: &Path, scale: &Scale, report: &mut Report) {
    let mut ours = Ours::open(folder, scale.max_bytes);
    let (mut next, mut stored, mut backlog, mut largest) = (0, 0, 0, 0);
    let mut before = 0;
    while stored < 5 * scale.max_bytes / 2 {
        ours.append(readings(next..next + COMMIT));
        next += COMMIT;
        let bytes = ours.state().bytes;
        stored += bytes.saturating_sub(before);
        before = bytes;
        backlog = backlog.max(bytes);
        if next.is_multiple_of(COMMIT * 20) {
            largest = largest.max(size(folder));
        }
    }
    let mut count = 0;
    ours.drain("sink", &mut |entries| count += entries.len());
    assert!(count > 0);
    for _ in 0..20 {
        // Some quiet, as a daemon has it: sled clears up in a thread that looks once a second.
        std::thread::park_timeout(Duration::from_millis(200));
        ours.append(readings(next..next + COMMIT));
        next += COMMIT;
    }
    let left = size(folder);
    let ratio = |size: u64| size as f64 / backlog as f64;
    let what = "4 files after eviction and draining / largest backlog";
    report.judge(what, ratio(left), &Target::AtMost(2.0));
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    report.note(&format!(
        "backlog {:.1} MiB, files at their largest {:.1} MiB ({:.2}), at last {:.1} MiB",
        mb(backlog),
        mb(largest),
        ratio(largest),
        mb(left)
    ));
    ours.close();
}

/// Everything but the reserve, whose size is fixed and which is there to be given up.
fn size(folder: &Path) -> u64 {
    let files = files(folder).into_iter().filter(|path| !path.ends_with("reserve"));
    // sled removes its old snapshots while we look.
    files.filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum()
}
