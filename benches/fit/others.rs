//! What people read FIT files with in Python and in Node, if it is there. (The FIT SDK's licence forbids to measure it.)

use std::path::Path;
use std::process::Command;

use crate::report::Report;

const PYTHON: &str = "
import sys, resource, fitdecode
records = total = 0
with fitdecode.FitReader(sys.argv[1]) as fit:
    for frame in fit:
        if isinstance(frame, fitdecode.FitDataMessage) and frame.name == 'record':
            records += 1
            total += frame.get_value('heart_rate', fallback=0) or 0
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime, used.ru_maxrss, f'{records} records, {total} bpm')
";

const NODE: &str = "
const { readFileSync } = require('fs');
const Parser = require('fit-file-parser').default;
new Parser({ mode: 'list' }).parse(readFileSync(process.argv[1]), (error, data) => {
  if (error) throw new Error(error);
  const total = data.records.reduce((sum, record) => sum + (record.heart_rate ?? 0), 0);
  const used = process.resourceUsage();
  console.log(used.userCPUTime / 1e6, used.maxRSS, `${data.records.length} records, ${total} bpm`);
});
";

/// Has them read a file once each.
pub fn note(report: &Report, file: &Path) {
    let python = std::env::var("PULSEGATE_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    one(report, "fitdecode", &python, "-c", PYTHON, file);
    one(report, "fit-file-parser", "node", "-e", NODE, file);
}

fn one(report: &Report, name: &str, program: &str, flag: &str, script: &str, file: &Path) {
    let output = Command::new(program).args([flag, script]).arg(file).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        report.note(&format!("{name:16} is not installed"));
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words = text.trim().splitn(3, ' ');
    let seconds: f64 = words.next().unwrap().parse().unwrap();
    let peak: u64 = words.next().unwrap().parse().unwrap();
    let found = words.next().unwrap();
    let rate = std::fs::metadata(file).unwrap().len() as f64 / 1e6 / seconds;
    report.note(&format!(
        "{name:16} {seconds:7.3} s {rate:7.1} MB/s {:6} MiB peak, start included: {found}",
        peak / 1024
    ));
}
