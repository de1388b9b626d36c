// Reads the files of a folder with fit-file-parser and compares what it finds with the .json beside each.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// Where node_modules is, is said by NODE_PATH, which only require() heeds.
const loaded = createRequire(import.meta.url)("fit-file-parser");
const FitParser = loaded.default ?? loaded;

const sports = { training: 10, cycling: 2 };
const subSports = { cardio_training: 26, generic: 0 };
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const known = (list, key) => list.map((entry) => entry[key]).filter((value) => value !== undefined && value !== null);

async function check(path) {
  const expected = JSON.parse(readFileSync(path.replace(/\.fit$/, ".json"), "utf8"));
  const parser = new FitParser({ force: false, mode: "list", speedUnit: "m/s", lengthUnit: "m", temperatureUnit: "celsius" });
  const fit = await new Promise((resolve, reject) =>
    parser.parse(readFileSync(path), (error, data) => (error ? reject(new Error(`${path}: ${error}`)) : resolve(data))),
  );
  const [session] = fit.sessions;
  const heart = known(fit.records, "heart_rate");
  const rr = known(fit.hrv ?? [], "time").flat().filter((value) => value !== null && value < 65.535);
  const distances = known(fit.records, "distance");
  const got = {
    records: fit.records.length,
    hr_samples: heart.length,
    hr_sum: sum(heart),
    rr_intervals: rr.length,
    rr_sum_ms: Math.round(sum(rr) * 1000),
    start_unix: new Date(session.start_time).getTime() / 1000,
    elapsed_s: session.total_elapsed_time,
    timer_s: session.total_timer_time,
    sport: sports[session.sport],
    sub_sport: subSports[session.sub_sport],
    laps: fit.laps.length,
    avg_hr_bpm: session.avg_heart_rate,
    max_hr_bpm: session.max_heart_rate,
    min_hr_bpm: session.min_heart_rate,
    timer_events: fit.events.length,
    power_sum_w: sum(known(fit.records, "power")),
    altitude_sum_m: sum(known(fit.records, "enhanced_altitude")),
    distance_m: distances.length > 0 ? distances.at(-1) : null,
  };
  const differs = (a, b) => (typeof b === "number" ? !(Math.abs(a - b) < 1e-4) : a !== b);
  return Object.keys(got)
    .filter((key) => differs(got[key], expected[key]))
    .map((key) => `${path}: ${key} is ${got[key]}, not ${expected[key]}`);
}

const folder = process.argv[2];
const files = readdirSync(folder).filter((name) => name.endsWith(".fit")).sort();
if (files.length === 0) throw new Error("no files");
const wrong = [];
for (const name of files) wrong.push(...(await check(join(folder, name))));
console.log(wrong.length > 0 ? wrong.join("\n") : `fit-file-parser: ${files.length} files as written`);
process.exit(wrong.length > 0 ? 1 : 0);
