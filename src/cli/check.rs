//! `pulsegate check`: the configuration, without starting anything. Exit code 78 when something is wrong.

use super::ConfigArg;
use crate::config;
use crate::exit::Failure;

pub(super) fn run(args: &ConfigArg) -> Result<(), Failure> {
    let (config, path) = args.load()?;
    match path {
        Some(path) => println!("{}: good, {} sinks", path.display(), config.sinks.len()),
        None => println!("no configuration at {}: defaults, which are good", config::DEFAULT_PATH),
    }
    Ok(())
}
