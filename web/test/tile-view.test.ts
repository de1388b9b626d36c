// What a tile shows and says, from fresh to gone.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveTile } from "../src/model.ts";
import { textFor } from "../src/text.ts";
import { sameView, viewOf, type TileView } from "../src/tile-view.ts";

const TEXT = textFor("en-GB");

const ANNA: LiveTile = {
  strap: "9F6E5322",
  name: "Anna",
  bpm: 142,
  zone: 4,
  percent_of_max: 75,
  contact: "worn",
  age_ms: 420,
  link: "connected",
  battery_percent: 97,
  rssi_dbm: -61,
  points: null,
  place: null,
};

function see(change: Partial<LiveTile> = {}, ageMs = 420): TileView {
  const view = viewOf({ ...ANNA, ...change }, ageMs, TEXT);
  assert.ok(view);
  return view;
}

test("a fresh tile shows everything and is one sentence", () => {
  const view = see();
  assert.deepEqual([view.name, view.bpm, view.zone, view.level, view.percent, view.fill], ["Anna", "142", "Z4", 4, "75%", "z4"]);
  assert.deepEqual([view.trouble, view.age, view.battery], ["", "", ""]);
  assert.equal(view.label, "Anna, 142 beats per minute, zone 4, 75% of maximum");
});

test("a place is shown and said to whoever has one, and to nobody else", () => {
  const view = see({ points: 41, place: 3 });
  assert.deepEqual([view.place, view.label], ["#3", "Anna, 142 beats per minute, zone 4, 75% of maximum, 41 points, place 3"]);
  assert.equal(see({ points: 41 }).place, "");
  assert.ok(!sameView(view, see({ points: 41, place: 4 })));
});

test("points are shown and said while a session goes on", () => {
  assert.equal(see().points, "");
  const view = see({ points: 41 });
  assert.equal(view.points, "41 points");
  assert.ok(view.label.includes("75% of maximum, 41 points"));
  assert.equal(see({ points: 1 }).points, "1 point");
  assert.equal(see({ points: 0 }).points, "0 points");
});

test("a strap without a name shows its id, the last four apart", () => {
  const view = see({ name: null });
  assert.deepEqual([view.prefix, view.name], ["9F6E", "5322"]);
  assert.ok(view.label.startsWith("strap 9F6E5322, "));
});

test("after five seconds it is grey and says how old it is", () => {
  const view = see({}, 7_400);
  assert.deepEqual([view.fill, view.age, view.bpm, view.zone], ["stale", "7 s", "142", "Z4"]);
  assert.ok(view.label.endsWith("last reading 7 seconds ago"));
});

test("after fifteen seconds it claims no heart rate, zone or level any more", () => {
  const view = see({}, 15_001);
  assert.deepEqual([view.bpm, view.zone, view.level, view.percent], ["–", "Z–", 0, ""]);
  assert.equal(view.label, "Anna, no heart rate, last reading 15 seconds ago");
});

test("after sixty seconds it is gone", () => {
  assert.equal(viewOf(ANNA, 60_001, TEXT), null);
});

test("a strap that reports no heart rate shows a dash", () => {
  const view = see({ bpm: null, zone: null, percent_of_max: null });
  assert.deepEqual([view.bpm, view.fill], ["–", "z0"]);
});

test("whoever hides their numbers shows the zone and no number", () => {
  const view = see({ bpm: null, percent_of_max: null });
  assert.deepEqual([view.bpm, view.percent, view.zone, view.level, view.fill], ["", "", "Z4", 4, "z4"]);
  assert.equal(view.label, "Anna, zone 4");
  assert.deepEqual([see({ bpm: null, percent_of_max: null }, 15_001).zone], ["Z–"]);
});

test("a battery is mentioned at fifteen per cent, not at sixteen", () => {
  assert.equal(see({ battery_percent: 16 }).battery, "");
  assert.equal(see({ battery_percent: 15 }).battery, "15%");
  assert.equal(see({ battery_percent: 0 }).battery, "0%");
});

test("a lost link outranks lost contact, and both are words", () => {
  assert.equal(see({ contact: "not_worn" }).trouble, "no contact");
  assert.equal(see({ contact: "not_worn", link: "lost" }).trouble, "no signal");
  assert.equal(see({ contact: "unknown", link: "broadcast" }).trouble, "");
});

test("two views are the same exactly when nothing visible has changed", () => {
  assert.ok(sameView(see(), see({ rssi_dbm: -80, age_ms: 999 })));
  assert.ok(!sameView(see(), see({ bpm: 143 })));
});
