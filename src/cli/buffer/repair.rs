//! `pulsegate buffer repair`: what a starting daemon does with its files, without collecting.

use std::path::Path;

use super::door::{self, nothing_in};
use super::output::Output;
use super::print;
use crate::buffer::{self, Buffer, BufferError, Health, Purpose, State};
use crate::cli::client::{Answered, Client};
use crate::cli::status::megabytes;
use crate::config::Config;
use crate::exit::{Exit, Failure, chain};
use crate::inspect::{self, Checked};

pub(super) async fn run(config: &Config, data_dir: &Path) -> Result<(), Failure> {
    if Client::new(data_dir)?.is_answered().await? == Answered::Yes {
        let text = "the daemon is running, and does this by itself whenever it is needed (`pulsegate buffer status` tells \
                    its health). To do it by hand: `systemctl stop pulsegate` first.";
        return Err(Failure::new(Exit::Unavailable, text));
    }
    let before = buffer::set_aside_in(data_dir);
    if !buffer::is_there_something_of(data_dir) {
        return Err(nothing_in(data_dir));
    }
    let mut output = Output::default();
    let mut say = |text: String| output.say(&text);
    let (buffer, keeper) = door::open(config, &door::options(config, data_dir, Purpose::Repair))?;
    let repaired = repair(&buffer, config, data_dir, before, &mut say).await;
    let closed = door::close(&buffer, keeper).await;
    let checked = repaired?;
    closed?;
    if checked.bad.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{} chunks cannot be read; nothing more can be got out of them, and they go with the oldest entries",
        checked.bad.len()
    );
    Err(Failure::new(Exit::Io, text))
}

async fn repair(
    buffer: &Buffer,
    config: &Config,
    data_dir: &Path,
    before: usize,
    say: &mut impl FnMut(String) -> Result<(), Failure>,
) -> Result<Checked, Failure> {
    let failed = |error: BufferError| door::failed(error.into());
    // Known sinks count as losers should the log be too large for the disk.
    for sink in config.sinks.keys() {
        if buffer.state().borrow().cursors.contains_key(sink) {
            buffer.register(sink).await.map_err(failed)?;
        }
    }
    let set_aside = buffer::set_aside_in(data_dir);
    match (before, set_aside) {
        (0, 0) => say("the database opens\n".to_owned())?,
        (before, now) if now > before => {
            say("the database was damaged: it is set aside, and a new one begun\n".to_owned())?;
        }
        _ => say("the database opens, and one was set aside before\n".to_owned())?,
    }
    put_back(buffer, data_dir, say).await?;
    let old = buffer.state().borrow().bytes_on_disk;
    match buffer.rotate().await {
        Ok(()) => {}
        Err(BufferError::Unavailable { reason }) => {
            let text = format!(
                "the database could not be copied into a new one: {reason}. What there was is still there; the copy needs \
                 {} of space for a while.",
                megabytes(old)
            );
            return Err(Failure::new(Exit::Io, text));
        }
        Err(error) => return Err(failed(error)),
    }
    // What could not be copied was set aside, and is searched as well.
    put_back(buffer, data_dir, say).await?;
    let checked = inspect::verify(buffer).await.map_err(door::failed)?;
    let report = inspect::report(buffer, config.buffer.max_bytes()).await.map_err(failed)?;
    say(format!(
        "copied into a new database: {} on disk before, {} now\n",
        megabytes(old),
        megabytes(report.bytes_on_disk)
    ))?;
    say(print::checked(&checked))?;
    Ok(checked)
}

/// Waits until what damaged databases hold is back in place.
async fn put_back(
    buffer: &Buffer,
    data_dir: &Path,
    say: &mut impl FnMut(String) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let closed = |error: &dyn std::error::Error| Failure::new(Exit::Io, error.to_string());
    // Whether there is something to put back is known once the thread is at work.
    buffer.responds().await.map_err(|error| Failure::new(Exit::Io, chain(&error)))?;
    let mut state = buffer.state();
    let entries = state.borrow().entries;
    let searching = |state: &State| state.salvaging_before.is_some();
    if !searching(&state.borrow()) {
        return Ok(());
    }
    let over = state.wait_for(|state| !searching(state) || state.trouble.is_some()).await;
    let now = over.map_err(|error| closed(&error))?.clone();
    if let Health::Refused { reason, .. } = Health::of(&now) {
        return Err(Failure::new(Exit::Io, format!("the disk refuses: {reason}")));
    }
    let found = now.entries.saturating_sub(entries);
    say(format!("{found} entries that no sink has had were put back\n"))?;
    match buffer::set_aside_in(data_dir) {
        0 => say("places that could not be read are told to receivers as gaps\n".to_owned()),
        n => say(format!(
            "{n} damaged database(s) could not be searched to the end and are kept in {}; try again\n",
            data_dir.join("quarantine").display()
        )),
    }
}
