//! `docs/payloads.md` shows what the code writes.

use std::fmt::Write;
use std::path::PathBuf;

use crate::{compact, readings, terra};

const INTRODUCTION: &str = "# Payloads

<!-- Made by `PULSEGATE_RENEW=1 cargo test --test payloads`. What is changed here by hand is lost. -->

What leaves the box, one real example of each. All of it is judged by others in `tests/run payloads`: Terra's by Terra's own
OpenAPI and Python client, FHIR by fhir.resources, Open mHealth by its schemas, CloudEvents by its SDK; our own by
[`schemas/`](../schemas), which are made from the types. Lists of samples are cut short here.

| payload | what it tells | a repeat is known by | schema |
|---|---|---|---|
| samples | every reading and event | `gateway`, `seq` | `samples-entry.json`, `samples-batch.json` |
| samples as CBOR | the same | the same | below |
| CloudEvents | the same, and workouts, in an envelope | `source`, `id` | `cloudevents-entry.json` |
| FHIR R4 | heart rates and RR intervals; a workout as a transaction Bundle | `identifier` | HL7's |
| Open mHealth | heart rates and RR intervals; workouts | `header.id` | Open mHealth's |
| Terra `activity` | a workout | `metadata.summary_id` | `terra-activity.json` |
| Terra `body` | a day, beat by beat | `user_id`, date of `metadata.start_time` | `terra-body.json` |
| Terra `daily` | what a day sums up to | `user_id`, date of `metadata.start_time` | `terra-daily.json` |
| Terra `athlete` | who somebody is | `user_id` | `terra-athlete.json` |
| Terra `auth`, `deauth`, `user_reauth` | what happens to users | – | `terra-user-event.json` |

## What leaves when

A file sink writes one object a line (`[sinks.NAME.file] format`):

| `format` | a reading | the event `activity` | `athlete_agreed` | `athlete_changed` | `athlete_withdrew` | other events |
|---|---|---|---|---|---|---|
| `samples` | itself | itself, a summary | itself | itself | itself | themselves |
| `cloudevents` | in an envelope | in an envelope; then the workout, a Terra `activity` event, in another (`pulsegate.workout`) | in an envelope | in an envelope | in an envelope | in envelopes |
| `fhir` | Observations | the workout as a transaction Bundle | – | – | – | – |
| `omh` | data points | what the workout sums up to, as data points | – | – | – | – |
| `terra` | – | `activity` with its heart rates; then `body` with every beat and `daily`, of each local day that the workout touches | `auth`, `athlete` | `athlete` | `deauth` | – |

Workouts, days and people leave only of athletes who agree *at that moment*: of whoever withdrew or was forgotten since the
recording nothing leaves but the `deauth`, and what `samples` says of the session is nobody's by then. Nor does a workout of which
nobody knows whose it is. What is not on the box any more is passed over; while the disk cannot be read, nothing is, and it is
tried again.

A day holds everything that the box knows of it when it is sent, so it is sent again, larger, with each workout that it grows by.
The box remembers nothing of what it sent: a rewind or a crash repeats, and `last_webhook_update` is `null`. A payload of Terra's
is never larger than 10 MB. A day cannot be sent in parts, for receivers know it by its date and the second part would overwrite the
first; so one that is too large (ten hours of one strap) leaves without its RR intervals, then without its heart rates, and the
journal says so. A `deauth` has nothing of the user but `user_id`: of whoever was forgotten nothing else is left.
";

/// What is said before each example: the beginning of the payload's name, the heading, the words.
const PARTS: &[(&str, &str, &str)] = &[
    (
        "samples.Entry",
        "Samples",
        "A reading. `seq` counts up by one and is never used twice. `bpm` is null when the strap found no beat; `contact` is
null when the strap does not tell; `suspect: true` marks a heart rate that no heart has. `rr_ms` are the times between beats,
oldest first. What `ts_quality` says: [README](../README.md).",
    ),
    (
        "cloudevents.Event",
        "CloudEvents",
        "`type` is `pulsegate.reading`, `pulsegate.event` or `pulsegate.workout`. In binary mode `data` is the body, and the
attributes are headers (`ce-id`, …) in HTTP, user properties in MQTT 5.",
    ),
    (
        "fhir.Observation",
        "FHIR: a heart rate",
        "Beats are Observations of LOINC 8637-1 in milliseconds, each at the moment that ends the interval; their identifiers
end in `/0`, `/1`. There is no subject: the box sends who wears a strap with workouts only.",
    ),
    (
        "fhir.Bundle",
        "FHIR: a workout",
        "A transaction that creates only what is not there. The series has a value for each second, `E` where there is none.
A workout that was sent and comes in again, better than before, has the same identifiers: a server that holds it keeps
what it has.",
    ),
    (
        "omh.heart-rate",
        "Open mHealth: a heart rate",
        "`creation_date_time` is when it was measured. A workout's points carry `user_id`, and `temporal_relationship_to_physical_activity`.",
    ),
    ("omh.rr-interval", "Open mHealth: a beat", "Its time is that of the R wave that ends the interval."),
    (
        "omh.physical-activity",
        "Open mHealth: a workout",
        "With it come data points for the average, highest and lowest heart rate (`descriptive_statistic`).",
    ),
    (
        "terra.ActivityEvent",
        "Terra: activity",
        "`metadata.type` is Terra's number of the sport. `user_id` is the athlete's id, `provider` always `POLAR`. Heart rates are
as measured; `timer_duration_seconds` leaves pauses out. Zone 1 has the index 0; time below it is what is missing from
`activity_seconds`. `trimp_score` is Banister's. RR intervals are in `body`; effort points, Edwards' TRIMP and recovery
have no place in Terra's model; of positions, power and cadence only the sums are told.",
    ),
    (
        "terra.BodyEvent",
        "Terra: body",
        "Everything of one local day, for a newer one overwrites. `rr_interval_ms` are as measured, artefacts too.",
    ),
    ("terra.DailyEvent", "Terra: daily", "Sums over the workouts of the day; the average is weighed by active time."),
    (
        "terra.AthleteEvent",
        "Terra: athlete",
        "`first_name` is the name shown to the room; the legal name stays on the box. Only the year of birth is known: `age` is
that of the end of the year.",
    ),
    ("terra.AuthSuccessEvent", "Terra: auth", "The athlete has agreed."),
    ("terra.DeauthEvent", "Terra: deauth", "The athlete has withdrawn, or was forgotten."),
    ("terra.UserReauthEvent", "Terra: user_reauth", "What belonged to the old id belongs to the new one."),
];

fn document() -> String {
    let examples: Vec<_> = [readings::samples(), readings::examples(), terra::examples()].concat();
    let mut page = INTRODUCTION.to_owned();
    let mut shown = 0;
    for (name, heading, words) in PARTS {
        write!(page, "\n## {heading}\n\n{words}\n").unwrap();
        for (_, bytes) in examples.iter().filter(|(example, _)| example.starts_with(name)) {
            let json = std::str::from_utf8(bytes).unwrap();
            write!(page, "\n```json\n{json}\n```\n").unwrap();
            shown += 1;
        }
        if *name == "samples.Entry" {
            page.push_str(&compact_form());
        }
    }
    assert_eq!(shown, examples.len(), "an example without a place");
    page
}

/// The words are those of the module.
fn compact_form() -> String {
    let source = include_str!("../../src/format/cbor.rs");
    let (_, rest) = source.split_once("//! ```text\n").unwrap();
    let (grammar, rest) = rest.split_once("//! ```\n").unwrap();
    let words = rest.split("\n\n").next().unwrap();
    let plain = |text: &str| {
        let lines = text.lines().map(|line| line.trim_start_matches("//!").trim_start());
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    };
    let (json, cbor) = compact::sizes();
    format!(
        "\n## Samples as CBOR\n\nTwenty minutes of one strap, two beats a second: {json} bytes as a JSON batch, {cbor} as CBOR \
         ({} %).\n\n```text\n{}\n```\n\n{}\n",
        (cbor * 100).div_ceil(json),
        plain(grammar),
        plain(words)
    )
}

#[test]
fn the_document_shows_what_the_code_writes() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/payloads.md");
    let page = document();
    if std::env::var_os("PULSEGATE_RENEW").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stands == page,
        "docs/payloads.md does not show what is written now; renew it by\n\
         PULSEGATE_RENEW=1 cargo test --test payloads the_document"
    );
}
