// The five zones as colours, and which text colour can be read on each. The palette keeps the
// names coaches shout (grey, blue, green, yellow, red) and stays apart for colour-blind eyes.

import type { Zone } from "./model.ts";

export const LEVELS = 5;

/** Index is the zone; 0 is "below zone 1", a neutral darker than zone 1. */
export const PALETTE = ["#20222c", "#474957", "#0065ff", "#62dabd", "#fff13a", "#cf1b1c"] as const;

const WHITE = "#ffffff";
const BLACK = "#000000";

/** White or black, whichever has the higher WCAG contrast on `background`. */
export function inkOn(background: string): string {
  return contrast(background, WHITE) >= contrast(background, BLACK) ? WHITE : BLACK;
}

/** WCAG 2 contrast ratio of two `#rrggbb` colours, 1 to 21. */
export function contrast(a: string, b: string): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

function luminance(hex: string): number {
  const channel = (at: number) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

export function zoneText(zone: Zone | null): string {
  return `Z${zone ?? "–"}`;
}

/** The palette as custom properties, `--z0` with `--z0-ink` to `--z5` with `--z5-ink`. */
export function zoneProperties(): [string, string][] {
  return PALETTE.flatMap((colour, zone): [string, string][] => [
    [`--z${zone}`, colour],
    [`--z${zone}-ink`, inkOn(colour)],
  ]);
}
