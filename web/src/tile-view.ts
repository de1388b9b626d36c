// From a tile as the daemon reports it to the strings a tile shows, at a given age. Flat and
// made of plain values, so a tile can tell at once whether anything it shows has changed.

import type { LiveTile } from "./model.ts";
import { freshness } from "./staleness.ts";
import { fill, type Text } from "./text.ts";
import { zoneText } from "./zones.ts";

export const LOW_BATTERY = 15;

export interface TileView {
  strap: string;
  /** What is written small before `name`: the start of a strap id nobody has put a name on. */
  prefix: string;
  name: string;
  bpm: string;
  zone: string;
  /** Filled segments of the level bar. */
  level: number;
  percent: string;
  /** Class of the fill: `z0` to `z5`, or `stale`. */
  fill: string;
  /** Small signs; empty means that there is nothing to say. */
  points: string;
  place: string;
  trouble: string;
  age: string;
  battery: string;
  /** The whole tile as a sentence. */
  label: string;
}

/** What to show, or null when the tile has been silent for so long that it goes away. */
export function viewOf(tile: LiveTile, ageMs: number, text: Text): TileView | null {
  const state = freshness(ageMs);
  if (state === "gone") return null;

  const { strings } = text;
  const stale = state !== "fresh";
  const bpm = state === "dashed" ? null : tile.bpm;
  // Whoever hides their numbers has a zone all the same.
  const zone = state === "dashed" ? null : tile.zone;
  const percent = bpm === null || tile.percent_of_max === null ? "" : text.percent(tile.percent_of_max);
  const low = tile.battery_percent !== null && tile.battery_percent <= LOW_BATTERY;
  const battery = low ? text.percent(tile.battery_percent ?? 0) : "";
  const trouble = tile.link === "lost" ? strings.linkLost : tile.contact === "not_worn" ? strings.noContact : "";
  const seconds = Math.floor(ageMs / 1000);
  const points = typeof tile.points === "number" ? text.counted(strings.points, tile.points) : "";

  const place = typeof tile.place === "number" ? tile.place : null;

  const sentence = [
    tile.name || fill(strings.strap, { id: tile.strap }),
    bpm !== null ? fill(strings.sayBpm, { n: text.number(bpm) }) : zone === null ? strings.sayNoBpm : "",
    zone === null ? "" : fill(strings.sayZone, { n: text.number(zone) }),
    percent && fill(strings.sayPercent, { p: percent }),
    points,
    place === null ? "" : fill(strings.sayPlace, { n: text.number(place) }),
    trouble,
    stale ? text.counted(strings.sayAge, seconds) : "",
    low ? fill(strings.sayBattery, { p: battery }) : "",
  ];

  return {
    strap: tile.strap,
    prefix: tile.name ? "" : tile.strap.slice(0, -4),
    name: tile.name || tile.strap.slice(-4),
    bpm: bpm !== null ? text.number(bpm) : zone === null ? "–" : "",
    zone: zoneText(zone),
    level: zone ?? 0,
    percent,
    fill: stale ? "stale" : `z${zone ?? 0}`,
    points,
    place: place === null ? "" : `#${text.number(place)}`,
    trouble,
    age: stale ? `${text.number(seconds)} s` : "",
    battery,
    label: sentence.filter(Boolean).join(", "),
  };
}

/** True when two views would look and read the same. */
export function sameView(a: TileView, b: TileView): boolean {
  return (Object.keys(a) as (keyof TileView)[]).every((key) => a[key] === b[key]);
}
