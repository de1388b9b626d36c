//! Bytes that reach the device, journal of the file system included: what wears out a card.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Scale;
use crate::log::Log;
use crate::ours::Ours;
use crate::raw::{Plain, Raw};
use crate::readings::{STRAPS, Store, readings};
use crate::report::{Report, Target};
use crate::sqlite::Sqlite;

pub fn run(folder: &Path, scale: &Scale, report: &mut Report) {
    std::fs::create_dir_all(folder).unwrap();
    let device = Device::new(folder);
    let root = device.root().to_owned();
    let mut each = Vec::new();
    let mut measure = |store: &mut dyn Store| {
        let before = device.written();
        for second in 0..scale.seconds {
            store.append(readings(second * STRAPS..(second + 1) * STRAPS));
        }
        let bytes = (device.written() - before) as f64 / (scale.seconds * STRAPS) as f64;
        each.push((store.name(), bytes));
        bytes
    };
    let mut ours = Ours::open(&root.join("ours"), u64::MAX);
    let of_ours = measure(&mut ours);
    ours.close();
    let of_plain = measure(&mut Plain::open(&root.join("plain")));
    measure(&mut Raw::open(&root.join("raw")));
    measure(&mut Sqlite::open(&root.join("sqlite")));
    measure(&mut Log::open(&root.join("log")));
    let what = "3 device bytes a reading, ours / 29-byte records in sled";
    report.judge(what, of_ours / of_plain, &Target::AtMost(0.5));
    for (name, bytes) in each {
        report.note(&format!("{name:22} {bytes:>5.0} bytes a reading"));
    }
    report.note(&format!("{STRAPS} readings a commit, counted by {}", device.means()));
}

/// Where bytes are counted: an ext4 of our own on a loop device, which takes root; else what this process wrote.
enum Device {
    Loop { mounted: PathBuf, sectors: PathBuf },
    Process { folder: PathBuf },
}

impl Device {
    fn new(folder: &Path) -> Self {
        Self::mount(folder).unwrap_or_else(|| Self::Process { folder: folder.to_owned() })
    }

    fn mount(folder: &Path) -> Option<Self> {
        let image = folder.join("image");
        let mounted = folder.join("mounted");
        File::create(&image).and_then(|file| file.set_len(512 << 20)).unwrap();
        std::fs::create_dir_all(&mounted).unwrap();
        // Without the lazy part, which the kernel would do in the background while we count.
        let options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        run_quietly(Command::new("mkfs.ext4").args(options).arg(&image))?;
        run_quietly(Command::new("mount").args(["-o", "loop"]).args([&image, &mounted]))?;
        let found = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&mounted).output().ok();
        let source = found.and_then(|output| String::from_utf8(output.stdout).ok());
        let name = source.as_deref().and_then(|source| source.trim().strip_prefix("/dev/"));
        let sectors = Path::new("/sys/block").join(name.unwrap_or_default()).join("stat");
        let device = Self::Loop { mounted, sectors };
        device.root().is_dir().then_some(device)
    }

    fn root(&self) -> &Path {
        match self {
            Self::Loop { mounted, .. } => mounted,
            Self::Process { folder } => folder,
        }
    }

    fn means(&self) -> &'static str {
        match self {
            Self::Loop { .. } => "an ext4 on a loop device",
            Self::Process { .. } => "/proc/self/io, without the journal: root would see more",
        }
    }

    /// Bytes written so far, with everything that was waiting.
    fn written(&self) -> u64 {
        match self {
            Self::Loop { mounted, sectors } => {
                rustix::fs::syncfs(File::open(mounted).unwrap()).unwrap();
                let text = std::fs::read_to_string(sectors).unwrap();
                512 * text.split_whitespace().nth(6).unwrap().parse::<u64>().unwrap()
            }
            Self::Process { .. } => {
                let text = std::fs::read_to_string("/proc/self/io").unwrap();
                let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
                line.unwrap().parse().unwrap()
            }
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Self::Loop { mounted, .. } = self {
            // The loop device goes with it. sled's threads may hold the files a moment longer.
            run_quietly(Command::new("umount").arg("--lazy").arg(mounted));
        }
    }
}

fn run_quietly(command: &mut Command) -> Option<()> {
    command.output().ok().filter(|output| output.status.success()).map(|_| ())
}
