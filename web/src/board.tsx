// The grid of tiles. Sizes arrive as custom properties, so one style rule serves one tile and sixty.

import type { JSX } from "preact";
import { gridFor, metricsFor, type Size } from "./grid.ts";
import type { Text } from "./text.ts";
import { Tile } from "./tile.tsx";
import type { TileView } from "./tile-view.ts";

export interface PlacedTile {
  view: TileView;
  lost: boolean;
}

interface Props {
  tiles: PlacedTile[];
  screen: Size;
  gap: number;
  /** Width of a three-digit number, in em of the number. */
  digits: number;
  silent: boolean;
  text: Text;
}

export function Board({ tiles, screen, gap, digits, silent, text }: Props): JSX.Element {
  const grid = gridFor(tiles.length, screen, gap);
  const sizes = metricsFor(grid.tile, digits);
  const style = {
    "--columns": grid.columns,
    "--tile-height": `${grid.tile.height}px`,
    "--gap": `${gap}px`,
    "--pad": `${sizes.pad}px`,
    "--radius": `${sizes.radius}px`,
    "--name": `${sizes.name}px`,
    "--sign": `${sizes.sign}px`,
    "--bpm": `${sizes.bpm}px`,
    "--percent": `${sizes.percent}px`,
    "--bar": `${sizes.bar}px`,
  };
  return (
    <ul
      class={`board ${sizes.wide ? "wide" : "tall"} ${silent ? "silent" : ""}`}
      role="list"
      aria-label={text.strings.heartRates}
      style={style}
    >
      {tiles.map(({ view, lost }) => (
        <Tile key={view.strap} view={view} lost={lost} />
      ))}
    </ul>
  );
}
