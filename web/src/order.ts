// Where a tile stands: by name, then by strap id, people without a name last. Nothing that
// changes from second to second takes part, so nobody's tile jumps while they look at it.

import type { LiveTile } from "./model.ts";

export function inOrder(tiles: readonly LiveTile[], locale: string): LiveTile[] {
  const collator = new Intl.Collator(locale, { numeric: true, sensitivity: "base" });
  return [...tiles].sort((a, b) => {
    if (!a.name !== !b.name) return a.name ? -1 : 1;
    return collator.compare(a.name ?? "", b.name ?? "") || (a.strap < b.strap ? -1 : a.strap > b.strap ? 1 : 0);
  });
}
