// How many columns and rows for how many people on this screen, and how large everything in
// a tile may be. Pure arithmetic on pixels: the style sheet only reads the results.

export interface Size {
  width: number;
  height: number;
}

export interface Grid {
  columns: number;
  rows: number;
  tile: Size;
  /** True when the tiles would become unreadable and the page scrolls instead (phones). */
  scrolls: boolean;
}

/** Pixel sizes inside one tile. */
export interface Metrics {
  /** Wide tiles put the percentage beside the number, others below it. */
  wide: boolean;
  pad: number;
  radius: number;
  name: number;
  sign: number;
  bpm: number;
  percent: number;
  bar: number;
}

// Head counts that share a layout, each with the columns that fill a 16:9 screen. Inside one
// range nobody's tile moves to another column when somebody comes or goes.
const WIDE_SCREEN: readonly [people: number, columns: number][] = [
  [1, 1],
  [2, 2],
  [4, 2],
  [6, 3],
  [9, 3],
  [12, 4],
  [16, 4],
  [20, 5],
  [25, 5],
  [30, 6],
  [42, 7],
  [60, 10],
];

const LEAST: Size = { width: 104, height: 86 };
// Narrower than this the signs would leave no room for the name beside them.
const LEAST_WIDE = 220;
const GOOD_ASPECT = 1.3;
const MOST_COLUMNS = 12;

export function gridFor(people: number, screen: Size, gap: number): Grid {
  const count = Math.max(1, people);
  if (screen.width >= screen.height * 1.3) {
    const row = WIDE_SCREEN.find(([most]) => count <= most);
    const columns = row ? row[1] : Math.min(MOST_COLUMNS, Math.ceil(count / 6));
    const grid = divide(count, columns, screen, gap);
    if (!grid.scrolls && grid.tile.width >= LEAST.width) return grid;
  }
  return bestOf(count, screen, gap);
}

/** For every other shape of screen: the columns that give the largest tiles. */
function bestOf(count: number, screen: Size, gap: number): Grid {
  let best = divide(count, 1, screen, gap);
  for (let columns = 2; columns <= Math.min(count, MOST_COLUMNS); columns++) {
    const next = divide(count, columns, screen, gap);
    if (next.tile.width < LEAST.width) break;
    if (worth(next) > worth(best) || (best.scrolls && worth(next) === worth(best))) best = next;
  }
  return best;
}

function worth({ tile }: Grid): number {
  return Math.min(tile.width / GOOD_ASPECT, tile.height);
}

function divide(count: number, columns: number, screen: Size, gap: number): Grid {
  const rows = Math.ceil(count / columns);
  const fit = Math.floor((screen.height - gap * (rows - 1)) / rows);
  return {
    columns,
    rows,
    tile: {
      width: Math.floor((screen.width - gap * (columns - 1)) / columns),
      height: Math.max(fit, LEAST.height),
    },
    scrolls: fit < LEAST.height,
  };
}

/**
 * The arrangement that leaves the larger number; a little less is worth it to have the number in
 * the middle. `digits` is the width of a three-digit number in em: it depends on the machine's fonts.
 */
export function metricsFor(tile: Size, digits: number): Metrics {
  const tall = arrange(tile, digits, TALL);
  const wide = arrange(tile, digits, WIDE);
  return tile.width >= LEAST_WIDE && wide.bpm > tall.bpm * 1.1 ? wide : tall;
}

interface Shape {
  wide: boolean;
  name: [ofHeight: number, ofWidth: number];
  /** Of the name's size. */
  sign: number;
  percent: number;
}

const TALL: Shape = { wide: false, name: [0.132, 0.108], sign: 0.55, percent: 0.85 };
const WIDE: Shape = { wide: true, name: [0.15, 0.082], sign: 0.6, percent: 1.15 };

function arrange({ width, height }: Size, digits: number, shape: Shape): Metrics {
  const least = Math.min(width, height);
  const pad = clamp(least * 0.07, 7, 44);
  const name = clamp(Math.min(height * shape.name[0], width * shape.name[1]), 14, 104);
  const sign = clamp(name * shape.sign, 11, 44);
  const percent = clamp(name * shape.percent, 14, 112);
  const bar = clamp(height * 0.05, 5, 34);
  const above = name * 1.3 + (shape.wide ? pad * 0.2 : sign * 1.3);
  const below = shape.wide ? bar + pad * 0.95 : Math.max(bar, percent * 1.1) + pad * 0.6;
  const beside = shape.wide ? percent * 2.5 : 0;
  // Digits have no descenders: a line of 0.76 em holds them.
  const bpm = Math.min((height - 2 * pad - above - below) / 0.76, (width - 2 * pad - beside) / digits);
  return {
    wide: shape.wide,
    pad: round(pad),
    radius: round(clamp(least * 0.055, 6, 28)),
    name: round(name),
    sign: round(sign),
    bpm: round(Math.max(bpm, 20)),
    percent: round(percent),
    bar: round(bar),
  };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
