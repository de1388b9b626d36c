// What this screen is like: how much room the tiles have, how wide its digits are, and the few
// things a screen that never sleeps needs (no pointer, a picture that does not burn in).

import type { Size } from "./grid.ts";

const POINTER_HIDES_MS = 3_000;
const SHIFT_PX = 2;

/** A 1080p TV gets 10 px between tiles, a phone 6. */
export function gapFor(screen: Size): number {
  return Math.round(Math.min(14, Math.max(6, Math.min(screen.width, screen.height) / 105)));
}

/** Two pixels further each hour, four places in turn: enough for an OLED, too little to notice. */
export function shiftAt(hour: number): [x: number, y: number] {
  const steps = [[0, 0], [1, 0], [1, 1], [0, 1]] as const;
  const [x, y] = steps[hour % steps.length] ?? steps[0];
  return [x * SHIFT_PX, y * SHIFT_PX];
}

/** Width of the widest three-digit number in em, in the font this machine really has. */
export function measureDigits(style: CSSStyleDeclaration): number {
  const fallback = 2.0;
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return fallback;
  context.font = `800 100px ${style.fontFamily}`;
  const widest = Math.max(...["0", "4", "8"].map((digit) => context.measureText(digit).width));
  return widest > 0 ? (3 * widest) / 100 + 0.06 : fallback;
}

export function hidePointerAtRest(root: HTMLElement): void {
  let timer = 0;
  const rest = () => root.classList.add("at-rest");
  addEventListener("pointermove", () => {
    root.classList.remove("at-rest");
    clearTimeout(timer);
    timer = setTimeout(rest, POINTER_HIDES_MS);
  });
  rest();
}
