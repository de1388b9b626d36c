// Tiles stand still: their order comes from names and ids alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveTile } from "../src/model.ts";
import { inOrder } from "../src/order.ts";

const tile = (strap: string, name: string | null, bpm = 100): LiveTile => ({ strap, name, bpm }) as LiveTile;
const straps = (tiles: LiveTile[], locale = "en") => inOrder(tiles, locale).map(({ strap }) => strap);

test("people with a name come first, by name, then straps by id", () => {
  const tiles = [tile("B2", null), tile("C3", "Zoë"), tile("A1", null), tile("D4", "anna")];
  assert.deepEqual(straps(tiles), ["D4", "C3", "A1", "B2"]);
});

test("two people of the same name are told apart by their straps", () => {
  assert.deepEqual(straps([tile("B", "Anna"), tile("A", "Anna")]), ["A", "B"]);
});

test("a new heart rate moves nobody", () => {
  assert.deepEqual(straps([tile("A", "Anna", 60), tile("B", "Bo", 190)]), straps([tile("B", "Bo", 60), tile("A", "Anna", 190)]));
});

test("names are ordered as the language orders them", () => {
  const tiles = [tile("1", "Östen"), tile("2", "Pia")];
  assert.deepEqual(straps(tiles, "de"), ["1", "2"]);
  assert.deepEqual(straps(tiles, "fi"), ["2", "1"]);
});

test("the given list is left alone", () => {
  const tiles = [tile("B", "Bo"), tile("A", "Anna")];
  inOrder(tiles, "en");
  assert.equal(tiles[0]?.strap, "B");
});
