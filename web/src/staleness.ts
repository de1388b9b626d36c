// How old is too old. The ages the daemon reports keep growing here between two events, so
// a tile turns grey and goes away on time even when the daemon falls silent.

import type { LiveTile } from "./model.ts";

export type Freshness = "fresh" | "stale" | "dashed" | "gone";

export const STALE_MS = 5_000;
export const DASH_MS = 15_000;
export const GONE_MS = 60_000;

/** No event for this long: the whole board dims and says so. */
export const SILENT_MS = 5_000;

/** A tile's age now, when its event arrived `sinceEventMs` ago. */
export function ageOf(tile: LiveTile, sinceEventMs: number): number {
  return tile.age_ms + Math.max(0, sinceEventMs);
}

export function freshness(ageMs: number): Freshness {
  if (ageMs > GONE_MS) return "gone";
  if (ageMs > DASH_MS) return "dashed";
  if (ageMs > STALE_MS) return "stale";
  return "fresh";
}

export type Link = "connecting" | "open" | "down";
export type Connection = "connecting" | "live" | "reconnecting";

/** The word beside the dot: an open stream that says nothing is not "live". */
export function connection(link: Link, hadEvent: boolean, silentMs: number): Connection {
  if (!hadEvent) return silentMs > SILENT_MS ? "reconnecting" : "connecting";
  return link === "open" && silentMs <= SILENT_MS ? "live" : "reconnecting";
}
