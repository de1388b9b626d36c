// The thin strip on top: whose wall this is, which class runs and for how long still, whether it is live, how many straps, what time.

import type { JSX } from "preact";
import type { LiveBoard } from "./model.ts";
import type { Connection } from "./staleness.ts";
import type { Text } from "./text.ts";

// More do not fit beside the rest.
const MOST_CLASSES = 2;

interface Props {
  board: LiveBoard | null;
  connection: Connection;
  silentMs: number;
  /** Null leaves the clock out: the screen already shows a large one. */
  now: Date | null;
  text: Text;
}

export function Header({ board, connection, silentMs, now, text }: Props): JSX.Element {
  const live = connection === "live";
  const waiting = board ? board.sinks.filter((sink) => sink.state !== "ok").length : 0;
  return (
    <header class="strip">
      <h1 class="label">{board ? board.label || board.gateway : "Pulsegate"}</h1>
      <p class="note" role="status">
        {waiting > 0 && text.counted(text.strings.sinksWaiting, waiting)}
      </p>
      {board && board.classes.length > 0 && (
        <p class="classes" role="timer" aria-live="off">
          {board.classes.slice(0, MOST_CLASSES).map(({ name, left_s }) => (
            <span key={name}>
              <span class="class">{name}</span> <b>{text.timer(Math.max(0, left_s - Math.floor(silentMs / 1000)))}</b>
            </span>
          ))}
        </p>
      )}
      <p class="straps">{board && live && text.counted(text.strings.strapsConnected, board.straps.connected)}</p>
      <p class={`connection ${connection}`} role="status">
        <i class="dot" aria-hidden="true" />
        {text.strings[connection]}
      </p>
      {now && <time class="clock">{text.clock(now)}</time>}
    </header>
  );
}
