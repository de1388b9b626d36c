//! What is printed, as text.

use serde_json::Value;

use super::door::When;
use crate::buffer::SinkReport;
use crate::cli::status::{in_words, megabytes};
use crate::inspect::{Checked, Report, Requeued, Rewound, Shown, Stamp};
use crate::reading::ClockTrust;

/// What is kept, and for whom.
pub(super) fn report(report: &Report) -> String {
    let Report { health, entries, committed, .. } = report;
    let mut text = format!(
        "health    {health}\n\
         entries   {entries} kept, next {committed}\n\
         size      {} of {}, {} on disk\n",
        megabytes(report.bytes),
        megabytes(report.limit_bytes),
        megabytes(report.bytes_on_disk),
    );
    for (name, stamp) in [("oldest", &report.oldest), ("newest", &report.newest)] {
        let words = stamp.as_ref().map_or("-".to_owned(), |stamp| {
            let Stamp { seq, ts, ts_quality } = stamp;
            format!("{seq} at {ts} ({ts_quality})")
        });
        text += &format!("{name:<10}{words}\n");
    }
    if report.sinks.is_empty() {
        text += "sink      none has ever delivered from here\n";
    }
    for sink in &report.sinks {
        let SinkReport { name, next, waiting, backlog, lost, dead_letters } = sink;
        text += &format!("sink      {name}: next {next}, {waiting} waiting");
        for span in backlog {
            text += &format!(", backlog {} to {}", span.first, span.end.0.saturating_sub(1));
        }
        text += &format!("; {}\n", in_words(*lost, *dead_letters));
    }
    text
}

fn trust(trust: ClockTrust) -> &'static str {
    match trust {
        ClockTrust::Unset => "unset",
        ClockTrust::Restored => "restored",
        ClockTrust::Synced => "synced",
    }
}

/// An entry in one line: place, time with its quality, strap or event, value.
pub(super) fn line(sample: &Value) -> String {
    let word = |key: &str| sample[key].as_str().unwrap_or("-");
    let (who, what) = match sample["event"].as_str() {
        Some(event) => (event, details(sample)),
        None => (word("strap"), value(sample)),
    };
    let seq = sample["seq"].as_u64().unwrap_or_default();
    let line = format!("{seq:<10} {} {:<8} {who:<15} {what}", word("ts"), word("ts_quality"));
    format!("{}\n", line.trim_end())
}

fn value(sample: &Value) -> String {
    if let Some(percent) = sample["battery_percent"].as_u64() {
        return format!("battery {percent}%");
    }
    let bpm = sample["bpm"].as_u64().map_or("no beat".to_owned(), |bpm| format!("{bpm} bpm"));
    let rr: Vec<String> =
        sample["rr_ms"].as_array().into_iter().flatten().map(Value::to_string).collect();
    let rr = if rr.is_empty() { String::new() } else { format!(", RR {} ms", rr.join(" ")) };
    let contact = if sample["contact"] == false { ", not worn" } else { "" };
    let broadcast = if sample["source"] == "broadcast" { ", broadcast" } else { "" };
    let suspect = if sample["suspect"] == true { ", suspect" } else { "" };
    format!("{bpm}{rr}{contact}{broadcast}{suspect}")
}

/// What an event says beside its name.
fn details(sample: &Value) -> String {
    const SAID: [&str; 6] = ["v", "gateway", "seq", "ts", "ts_quality", "event"];
    let fields = sample.as_object().into_iter().flatten();
    let words = fields.filter(|(key, _)| !SAID.contains(&key.as_str())).map(|(key, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{key}={value}")
    });
    words.collect::<Vec<_>>().join(" ")
}

/// An entry in full.
pub(super) fn shown(shown: &Shown) -> String {
    let Shown { sample, boot, mono_us, wall_offset_us, class, .. } = shown;
    let mut text = format!(
        "{sample}\n\
         boot            {boot}\n\
         mono_us         {mono_us}\n\
         wall_offset_us  {wall_offset_us}\n\
         trust           {}\n\
         class           {}\n",
        trust(shown.trust),
        match class {
            crate::reading::Class::Readings => "readings",
            crate::reading::Class::Events => "events",
        },
    );
    for (sink, taken) in &shown.taken {
        let word = if *taken { "taken" } else { "waiting" };
        text += &format!("sink            {sink}: {word}\n");
    }
    text
}

/// A dead letter in one line.
pub(super) fn letter(letter: &Value) -> String {
    let word = |key: &str| letter[key].as_str().unwrap_or("-");
    format!(
        "{:<6} {} {:<9} {} entries, {} to {}: {}\n",
        letter["number"],
        word("sink"),
        word("state"),
        letter["count"],
        letter["first"],
        letter["last"],
        word("reason")
    )
}

/// What a check has found.
pub(super) fn checked(checked: &Checked) -> String {
    let Checked { chunks, bytes, entries, bad } = checked;
    let size = megabytes(*bytes);
    let mut text = format!("{chunks} chunks read, {size}, {entries} entries\n");
    for chunk in bad {
        text +=
            &format!("BAD: the chunk that begins with entry {}: {}\n", chunk.first, chunk.error);
    }
    if bad.is_empty() {
        text += "all of it can be read\n";
    }
    text
}

/// What becomes of dead letters.
pub(super) fn requeued(requeued: &Requeued, when: When) -> String {
    match (requeued.entries, when) {
        (0, _) => "there are no dead letters to deliver once more\n".to_owned(),
        (entries, When::Now) => format!("{entries} refused entries are delivered once more\n"),
        (entries, When::AtStart) => {
            format!("{entries} refused entries are delivered once more when the daemon starts\n")
        }
    }
}

/// Where a sink stood, and what it gets again.
pub(super) fn rewound(rewound: &Rewound, when: When) -> String {
    let Rewound { sink, stood, to, again, waiting } = rewound;
    let mut text = format!("{sink} stood at {}", stood.next);
    for span in &stood.ahead {
        let last = span.end.0.saturating_sub(1);
        if span.places() > 0 {
            text += &format!(", and had {} to {last} as well", span.first);
        }
    }
    let start = match when {
        When::Now => "",
        When::AtStart => " when the daemon starts",
    };
    if *again == 0 {
        text += &format!(": it has had nothing from {to} on, nothing goes again\n");
    } else {
        text += &format!(
            "; everything from {to} on is delivered once more{start}: {again} entries again, {waiting} in all\n"
        );
    }
    text
}
