//! Whoever may become the daemon's user does so: a file that root leaves in its folder would keep it from starting.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::exit::{Exit, Failure};

/// Starts this program anew as the owner of the data folder, when root looks into somebody else's.
pub(in crate::cli) fn become_owner(data_dir: &Path) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // A folder that is not there is told later.
    let Ok(folder) = std::fs::metadata(data_dir) else { return Ok(()) };
    if folder.uid() == 0 {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| Failure::new(Exit::Software, error))?;
    let error = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .uid(folder.uid())
        .gid(folder.gid())
        .exec();
    let text = format!(
        "cannot become user {}, who owns {}, to run {}: {error}. Files that root leaves there would keep the daemon \
         from starting.",
        folder.uid(),
        data_dir.display(),
        program.display()
    );
    Err(Failure::new(Exit::Unavailable, text))
}
