// What the daemon says once a second on /api/v1/live, as types, and the one place that
// reads it. Nothing here knows a screen.

export type Zone = 0 | 1 | 2 | 3 | 4 | 5;

export interface LiveTile {
  strap: string;
  name: string | null;
  bpm: number | null;
  zone: Zone | null;
  percent_of_max: number | null;
  contact: "worn" | "not_worn" | "unknown";
  age_ms: number;
  link: "connected" | "broadcast" | "lost";
  battery_percent: number | null;
  rssi_dbm: number | null;
  /** Effort points of the session that goes on; null when there is none, or they are not known. */
  points: number | null;
  /** Place by effort points in the class; null for whoever is in none, or does not want to be ranked. */
  place: number | null;
}

export interface LiveClass {
  name: string;
  /** What is left of it, in seconds. */
  left_s: number;
}

export interface LiveSink {
  name: string;
  state: "ok" | "retrying" | "parked";
}

export interface LiveBoard {
  gateway: string;
  label: string | null;
  time: string;
  tiles: LiveTile[];
  /** The classes that run, the first one first. */
  classes: LiveClass[];
  straps: { connected: number; seen: number };
  sinks: LiveSink[];
  buffer: { waiting: number };
}

/** The board in an event's data, or null when it is not one: a bad event counts as silence. */
export function parseBoard(data: string): LiveBoard | null {
  const value = parseObject(data);
  if (!value || !Array.isArray(value.tiles)) return null;
  return {
    ...(value as unknown as LiveBoard),
    straps: (value.straps as LiveBoard["straps"]) ?? { connected: value.tiles.length, seen: value.tiles.length },
    classes: Array.isArray(value.classes) ? value.classes : [],
    sinks: Array.isArray(value.sinks) ? value.sinks : [],
  };
}

/** The build id in an event's data, or null. */
export function parseBuild(data: string): string | null {
  const build = parseObject(data)?.build;
  return typeof build === "string" ? build : null;
}

function parseObject(data: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
