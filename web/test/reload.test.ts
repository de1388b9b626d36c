// When the page may load itself again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBoard, parseBuild } from "../src/model.ts";
import { isNightlyDue, mayReload } from "../src/reload.ts";
import { shiftAt } from "../src/screen.ts";

const HOUR = 3_600_000;
const at = (hour: number, minute = 0) => new Date(2026, 10, 21, hour, minute);

test("a page that has run all day is due at four in the morning and at no other hour", () => {
  assert.ok(isNightlyDue(at(4), 20 * HOUR));
  assert.ok(!isNightlyDue(at(3, 59), 20 * HOUR));
  assert.ok(!isNightlyDue(at(5), 20 * HOUR));
});

test("the page that was loaded at four is not due again before five", () => {
  assert.ok(!isNightlyDue(at(4, 30), HOUR / 2));
});

test("two reloads are half a minute apart", () => {
  assert.ok(mayReload(null, 0));
  assert.ok(!mayReload(100_000, 129_999));
  assert.ok(mayReload(100_000, 130_000));
});

test("a wall clock that was set back does not forbid reloading", () => {
  assert.ok(mayReload(100_000, 50_000));
});

test("an event that is not a board is silence", () => {
  for (const data of ["", "null", "7", "{}", '{"tiles":3}', "{"]) assert.equal(parseBoard(data), null);
  assert.equal(parseBoard('{"gateway":"g","label":null,"tiles":[]}')?.sinks.length, 0);
});

test("a build is a string or nothing", () => {
  assert.equal(parseBuild('{"build":"0.1.0+abc"}'), "0.1.0+abc");
  for (const data of ["{}", '{"build":1}', "x"]) assert.equal(parseBuild(data), null);
});

test("the picture moves by two pixels an hour and stays within two", () => {
  const seen = Array.from({ length: 24 }, (_, hour) => shiftAt(hour));
  assert.deepEqual(seen.slice(0, 5), [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]);
});
