//! `pulsegate run`: the daemon.

use std::io::IsTerminal;

use super::ConfigArg;
use crate::exit::Failure;
use crate::gateway::{self, Source};
use crate::{log, simulate};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Virtual straps instead of Bluetooth
    #[arg(long, value_name = "STRAPS", value_parser = clap::value_parser!(u16).range(1..=500))]
    simulate: Option<u16>,
    /// Another seed, other virtual straps
    #[arg(long, default_value_t = 1, requires = "simulate")]
    seed: u64,
    /// Virtual straps send so many times as fast as real ones
    #[arg(long, default_value_t = 1, requires = "simulate", value_parser = clap::value_parser!(u32).range(1..=100))]
    speed: u32,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    log::start("info");
    let (config, path) = args.config.load()?;
    if path.is_none() {
        tracing::info!(
            "no configuration file: every adapter, every strap in range, no destinations"
        );
    }
    let source = match args.simulate {
        None => Source::Bluetooth,
        Some(straps) => Source::Simulated(simulate::Settings {
            straps: straps.into(),
            seed: args.seed,
            mishaps: true,
            speed: args.speed,
        }),
    };
    gateway::run(config, source, |ready| {
        // The link holds the key: it is for people at a terminal, not for the log.
        if let Some(wall) = ready.wall.filter(|_| std::io::stderr().is_terminal()) {
            eprintln!("wall: {wall}");
        }
    })
    .await
}
