// The ages at which a tile turns grey, loses its number and goes away, and the word for the link.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveTile } from "../src/model.ts";
import { ageOf, connection, freshness } from "../src/staleness.ts";

test("a tile is fresh up to and including five seconds, then stale, dashed and gone", () => {
  const seen = [0, 5_000, 5_001, 15_000, 15_001, 60_000, 60_001].map(freshness);
  assert.deepEqual(seen, ["fresh", "fresh", "stale", "stale", "dashed", "dashed", "gone"]);
});

test("an age goes on growing after its event arrived", () => {
  const tile = { age_ms: 4_800 } as LiveTile;
  assert.equal(freshness(ageOf(tile, 0)), "fresh");
  assert.equal(freshness(ageOf(tile, 500)), "stale");
});

test("an age never shrinks", () => {
  assert.equal(ageOf({ age_ms: 300 } as LiveTile, -2_000), 300);
});

test("an open stream that says nothing for more than five seconds is not live", () => {
  assert.equal(connection("open", true, 5_000), "live");
  assert.equal(connection("open", true, 5_001), "reconnecting");
});

test("a broken stream is reconnecting at once", () => {
  assert.equal(connection("down", true, 100), "reconnecting");
});

test("a page that has heard nothing yet is connecting, but not for ever", () => {
  assert.equal(connection("open", false, 1_000), "connecting");
  assert.equal(connection("connecting", false, 6_000), "reconnecting");
});
