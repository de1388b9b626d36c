//! A disk image, mounted through a loop device.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long an unmount is tried for.
const LIMIT: Duration = Duration::from_secs(20);
const TRY_EVERY: Duration = Duration::from_millis(20);

/// A mounted image. Unmounted when dropped; the loop device goes with it.
pub(crate) struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    /// Mounts the image, which replays the file system's journal.
    pub(crate) fn new(image: &Path, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).context("creating a mount point")?;
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(image).arg(folder))?;
        Ok(Self { folder: folder.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let deadline = Instant::now() + LIMIT;
        loop {
            match run(Command::new("umount").arg(&self.folder)) {
                Ok(()) => return,
                Err(error) if Instant::now() >= deadline => {
                    eprintln!("{} stays mounted: {error:#}", self.folder.display());
                    return;
                }
                Err(_) => std::thread::park_timeout(TRY_EVERY),
            }
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
