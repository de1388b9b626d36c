// The thin strip on top: whose wall this is, whether it is live, how many straps, what time.

import type { JSX } from "preact";
import type { LiveBoard } from "./model.ts";
import type { Connection } from "./staleness.ts";
import type { Text } from "./text.ts";

interface Props {
  board: LiveBoard | null;
  connection: Connection;
  /** Null leaves the clock out: the screen already shows a large one. */
  now: Date | null;
  text: Text;
}

export function Header({ board, connection, now, text }: Props): JSX.Element {
  const live = connection === "live";
  const waiting = board ? board.sinks.filter((sink) => sink.state !== "ok").length : 0;
  return (
    <header class="strip">
      <h1 class="label">{board ? board.label || board.gateway : "Pulsegate"}</h1>
      <p class="note" role="status">
        {waiting > 0 && text.counted(text.strings.sinksWaiting, waiting)}
      </p>
      <p class="straps">{board && live && text.counted(text.strings.strapsConnected, board.straps.connected)}</p>
      <p class={`connection ${connection}`} role="status">
        <i class="dot" aria-hidden="true" />
        {text.strings[connection]}
      </p>
      {now && <time class="clock">{text.clock(now)}</time>}
    </header>
  );
}
