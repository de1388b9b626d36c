// The screen without tiles: a clock to look at, and what to do to appear here. When the box
// itself is silent it says that instead, because then no strap would help.

import type { JSX } from "preact";
import { DropIcon, NearIcon, PhoneIcon } from "./icons.tsx";
import type { Text } from "./text.ts";

interface Props {
  silent: boolean;
  now: Date;
  text: Text;
}

const ICONS = [DropIcon, PhoneIcon, NearIcon] as const;
const LEGEND = [1, 2, 3, 4, 5];

export function Idle({ silent, now, text }: Props): JSX.Element {
  const { strings } = text;
  return (
    <section class="idle">
      <div class="now">
        <time>{text.clock(now)}</time>
        <p>{text.date(now)}</p>
      </div>
      <div class="legend" aria-hidden="true">
        {LEGEND.map((zone) => (
          <span key={zone} class={`z${zone}`}>{`Z${zone}`}</span>
        ))}
      </div>
      <h2>{silent ? strings.silentTitle : strings.idleTitle}</h2>
      {silent ? (
        <p class="check">{strings.silentHint}</p>
      ) : (
        <ul class="hints" role="list">
          {strings.idleHints.map((hint, at) => {
            const Icon = ICONS[at] ?? NearIcon;
            return (
              <li key={at}>
                <Icon />
                <span>{hint}</span>
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
}
