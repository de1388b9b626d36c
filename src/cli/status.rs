//! `pulsegate status`: asks the running daemon through the socket in its data folder.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::ConfigArg;
use super::client::Client;
use crate::buffer::{Health, Letters};
use crate::exit::{Exit, Failure};
use crate::web::Status;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Data folder of the daemon, instead of the configuration's
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let data_dir = match args.data_dir {
        Some(folder) => folder,
        None => args.config.load()?.0.data_dir(),
    };
    let status: Status = Client::new(&data_dir)?.get("/api/v1/status").await?;
    if args.json {
        let text = serde_json::to_string_pretty(&status);
        println!("{}", text.map_err(|error| Failure::new(Exit::Software, error))?);
    } else {
        print!("{}", table(&status));
    }
    Ok(())
}

fn table(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_table(&mut text, status);
    text
}

fn write_table(text: &mut String, status: &Status) -> std::fmt::Result {
    let Status { version, gateway, uptime_s, .. } = status;
    writeln!(text, "pulsegate {version}, gateway {gateway}, up {}", time(*uptime_s))?;
    if let Some(wall) = &status.wall {
        writeln!(text, "wall      {wall}")?;
    }
    if status.adapters.is_empty() {
        writeln!(text, "adapter   none")?;
    }
    for adapter in &status.adapters {
        let state = if adapter.up { "scanning" } else { "DOWN" };
        writeln!(
            text,
            "adapter   {} {} {state}, {} links",
            adapter.name, adapter.address, adapter.links
        )?;
    }
    let buffer = &status.buffer;
    let less =
        if buffer.limit_bytes < buffer.max_bytes { " (the disk has no room for more)" } else { "" };
    writeln!(
        text,
        "buffer    {} entries kept, {} of {}{less}, next {}",
        buffer.entries,
        megabytes(buffer.bytes),
        megabytes(buffer.limit_bytes),
        buffer.committed
    )?;
    if buffer.health != Health::Ok {
        writeln!(text, "          {}", buffer.health)?;
    }
    if status.sinks.is_empty() {
        writeln!(text, "sink      none: readings are kept and shown, and go nowhere else")?;
    }
    for sink in &status.sinks {
        let reason =
            sink.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let backlog = match sink.backlog {
            0 => String::new(),
            places => format!(" ({places} behind the newest)"),
        };
        writeln!(
            text,
            "sink      {} {}{reason}, {} delivered, {} waiting{backlog}, {} rejected",
            sink.name, sink.state, sink.delivered, sink.waiting, sink.rejected
        )?;
        let letters = sink.dead_letters;
        if sink.lost > 0 || letters != Letters::default() {
            writeln!(text, "          {}", in_words(sink.lost, letters))?;
        }
    }
    writeln!(
        text,
        "\n{:<14} {:<16} {:<10} {:<10} {:>4} {:>5} {:>5}",
        "STRAP", "LABEL", "MODEL", "LINK", "BPM", "BATT", "AGE"
    )?;
    for strap in &status.straps {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        writeln!(
            text,
            "{:<14} {:<16} {:<10} {:<10} {:>4} {:>5} {:>4}s",
            strap.id,
            or_dash(strap.label.clone()),
            or_dash(strap.model.clone()),
            strap.link,
            or_dash(strap.bpm.map(|bpm| bpm.to_string())),
            or_dash(strap.battery_percent.map(|percent| format!("{percent}%"))),
            strap.age_ms / 1000
        )?;
    }
    Ok(())
}

/// What a sink never got.
pub(super) fn in_words(lost: u64, letters: Letters) -> String {
    let Letters { kept, requeued, dropped } = letters;
    let dropped = if dropped > 0 { format!(", {dropped} dropped") } else { String::new() };
    format!("{lost} lost; dead letters: {kept} kept, {requeued} to be delivered once more{dropped}")
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1 << 20))
}

pub(super) fn time(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {} s", seconds % 60),
        (0, hours) => format!("{hours} h {minutes} min"),
        (days, hours) => format!("{days} d {hours} h"),
    }
}
