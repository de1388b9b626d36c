// The page as a function of what is known now. It is rendered from the outside, on every event
// and twice a second; nothing in here keeps state or a timer.

import type { JSX } from "preact";
import { Board, type PlacedTile } from "./board.tsx";
import type { Size } from "./grid.ts";
import { Header } from "./header.tsx";
import { Idle } from "./idle.tsx";
import type { LiveBoard } from "./model.ts";
import { inOrder } from "./order.ts";
import { ageOf, connection, SILENT_MS, type Link } from "./staleness.ts";
import { fill, type Text } from "./text.ts";
import { viewOf } from "./tile-view.ts";

export interface AppProps {
  board: LiveBoard | null;
  link: Link;
  /** Time since the last board arrived, or since the page was loaded. */
  silentMs: number;
  now: Date;
  screen: Size;
  gap: number;
  digits: number;
  text: Text;
}

export function App({ board, link, silentMs, now, screen, gap, digits, text }: AppProps): JSX.Element {
  const silent = silentMs > SILENT_MS;
  const tiles = board ? placed(board, silentMs, text) : [];
  const idle = tiles.length === 0 && (board !== null || silent);
  return (
    <>
      <Header
        board={board}
        connection={connection(link, board !== null, silentMs)}
        silentMs={silentMs}
        now={idle ? null : now}
        text={text}
      />
      <main class="stage">
        {tiles.length > 0 && (
          <Board tiles={tiles} screen={screen} gap={gap} digits={digits} silent={silent} text={text} />
        )}
        {idle && <Idle silent={silent} now={now} text={text} />}
      </main>
      {silent && <p class="banner">{fill(text.strings.silent, { n: text.seconds(silentMs) })}</p>}
    </>
  );
}

function placed(board: LiveBoard, silentMs: number, text: Text): PlacedTile[] {
  return inOrder(board.tiles, text.locale).flatMap((tile) => {
    const view = viewOf(tile, ageOf(tile, silentMs), text);
    return view ? [{ view, lost: tile.link === "lost" }] : [];
  });
}
