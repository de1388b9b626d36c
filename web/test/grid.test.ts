// How a screen is divided, for every head count that changes the picture.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gridFor, metricsFor } from "../src/grid.ts";

const TV = { width: 1900, height: 1010 };
const PHONE = { width: 374, height: 770 };
const GAP = 10;
const DIGITS = 1.8;

test("a TV is divided by head count, and each range keeps its columns", () => {
  const ranges: [from: number, to: number, columns: number][] = [
    [1, 1, 1], [2, 2, 2], [3, 4, 2], [5, 6, 3], [7, 9, 3], [10, 12, 4], [13, 16, 4],
    [17, 20, 5], [21, 25, 5], [26, 30, 6], [31, 42, 7], [43, 60, 10],
  ];
  for (const [from, to, columns] of ranges) {
    for (const people of [from, to]) assert.equal(gridFor(people, TV, GAP).columns, columns, `${people} people`);
  }
});

test("a TV never scrolls and never hides anybody, up to seventy-two people", () => {
  for (let people = 1; people <= 72; people++) {
    const { columns, rows, tile, scrolls } = gridFor(people, TV, GAP);
    assert.ok(!scrolls && columns * rows >= people, `${people} people`);
    assert.ok(columns * tile.width + (columns - 1) * GAP <= TV.width, `${people} people, width`);
    assert.ok(rows * tile.height + (rows - 1) * GAP <= TV.height, `${people} people, height`);
  }
});

test("no row is empty", () => {
  for (let people = 1; people <= 72; people++) {
    const { columns, rows } = gridFor(people, TV, GAP);
    assert.ok((rows - 1) * columns < people, `${people} people`);
  }
});

test("nobody at all is drawn like one", () => {
  assert.deepEqual(gridFor(0, TV, GAP), gridFor(1, TV, GAP));
});

test("a phone held upright stacks a few people and scrolls for many", () => {
  assert.equal(gridFor(3, PHONE, GAP).columns, 1);
  const many = gridFor(60, PHONE, GAP);
  assert.ok(many.scrolls && many.columns <= 3 && many.tile.width >= 104);
});

test("a phone on its side scrolls rather than shrink below reading size", () => {
  const grid = gridFor(60, { width: 830, height: 330 }, 6);
  assert.ok(grid.scrolls && grid.tile.width >= 104 && grid.tile.height >= 86);
});

test("what is in a tile fits into it, for every head count", () => {
  for (const screen of [TV, PHONE, { width: 1264, height: 670 }, { width: 3800, height: 2020 }]) {
    for (let people = 1; people <= 60; people++) {
      const { tile } = gridFor(people, screen, GAP);
      const sizes = metricsFor(tile, DIGITS);
      const beside = sizes.wide ? sizes.percent * 2.4 : 0;
      assert.ok(sizes.bpm * DIGITS + beside + 2 * sizes.pad <= tile.width + 1, `${people} people, width`);
      const stacked = sizes.name * 1.3 + sizes.bpm * 0.76 + sizes.bar + 2 * sizes.pad;
      assert.ok(stacked <= tile.height + 1, `${people} people, height`);
    }
  }
});

test("wider digits are drawn smaller", () => {
  const tile = { width: 186, height: 160 };
  assert.ok(metricsFor(tile, 2.1).bpm < metricsFor(tile, 1.7).bpm);
});
