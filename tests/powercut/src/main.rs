//! Cuts the power under Pulsegate, many times, and looks at what is left. See README.md.

mod entries;
mod folder;
mod image;
mod mount;
mod process;
mod recorder;
mod recording;
mod replay;
mod strace;
mod trace;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
powercut record FOLDER MEGABYTES
    Serves a disk and the files beside it in FOLDER until it is unmounted. Writing to FOLDER/control: `cut from here`,
    `save PATH`.
powercut replay NAME RECORDING CUTS SEED WORKERS [ONLY]
    Cuts the power in a recording and looks at what is left. PULSEGATE is the program, SCRATCH a folder in memory.
    The last line is the sum; the status is 0 when nothing was wrong, 1 when something was, 2 for anything else.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("powercut: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[&str]) -> Result<bool> {
    match arguments {
        ["record", folder, megabytes] => {
            let size = megabytes.parse::<usize>().context("MEGABYTES")? << 20;
            recorder::serve(Path::new(folder), size)?;
            Ok(true)
        }
        ["replay", name, path, cuts, seed, workers, only @ ..] if only.len() < 2 => {
            let plan = replay::Plan {
                name: (*name).to_owned(),
                binary: folder_of("PULSEGATE")?,
                scratch: folder_of("SCRATCH")?,
                cuts: cuts.parse().context("CUTS")?,
                seed: seed.parse().context("SEED")?,
                workers: workers.parse().context("WORKERS")?,
                only: only.first().map(|only| only.parse()).transpose().context("ONLY")?,
            };
            let sum = replay::run(&plan, &recording::Recording::load(Path::new(path))?)?;
            println!(
                "{name}: {} cuts, {} unopenable, {} with loss, {} entries lost, {} otherwise wrong",
                sum.cuts, sum.unopenable, sum.with_loss, sum.lost, sum.otherwise_wrong
            );
            Ok(sum.good())
        }
        _ => bail!("usage:\n{USAGE}"),
    }
}

fn folder_of(variable: &str) -> Result<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).with_context(|| format!("{variable} is not set"))
}
