// The palette: which text colour each zone gets, and that everything on it can be read.

import assert from "node:assert/strict";
import { test } from "node:test";
import { contrast, inkOn, PALETTE, zoneProperties, zoneText } from "../src/zones.ts";

test("zones 1 to 5 get white, white, black, black and white text", () => {
  const [W, K] = ["#ffffff", "#000000"];
  assert.deepEqual(PALETTE.slice(1).map(inkOn), [W, W, K, K, W]);
});

test("text on every zone has a contrast of at least 4.5", () => {
  for (const colour of PALETTE) assert.ok(contrast(colour, inkOn(colour)) >= 4.5, colour);
});

test("contrast is the WCAG one", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
  assert.equal(contrast("#777777", "#ffffff").toFixed(2), "4.48");
});

test("below zone 1 is darker than zone 1", () => {
  assert.ok(contrast(PALETTE[0], "#ffffff") > contrast(PALETTE[1], "#ffffff"));
});

test("the zone is always printed, even when nobody knows it", () => {
  assert.deepEqual([zoneText(0), zoneText(4), zoneText(null)], ["Z0", "Z4", "Z–"]);
});

test("every zone has a fill and a text colour as custom properties", () => {
  assert.equal(zoneProperties().length, 12);
  assert.deepEqual(zoneProperties()[8], ["--z4", "#fff13a"]);
});
