// The few small drawings of the page. All are decoration: the words beside them say the same.

import type { JSX } from "preact";

function icon(path: string): () => JSX.Element {
  return () => (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

export const ClockIcon = icon("M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM12 7v5.2l3.4 2");
export const NoSignalIcon = icon("M5 20v-3M10 20v-7M15 20v-3M20 20V5M4 4l16 16");
export const NoContactIcon = icon("M2 12h5l2-5 3 9M15 12h7M12.6 20.4L20 4");
export const BatteryIcon = icon("M3 8h15v8H3zM21 11v2M6 11v2");
export const DropIcon = icon("M12 3c3.6 4.4 6 7.5 6 10.8a6 6 0 0 1-12 0C6 10.5 8.4 7.4 12 3zM9.3 14.6a2.9 2.9 0 0 0 2.5 2.7");
export const PhoneIcon = icon("M8 3h8a1.5 1.5 0 0 1 1.5 1.5v15A1.5 1.5 0 0 1 16 21H8a1.5 1.5 0 0 1-1.5-1.5v-15A1.5 1.5 0 0 1 8 3zM10 9l4 4M14 9l-4 4M11 18h2");
export const NearIcon = icon("M12 18.5h.01M8.6 15a4.8 4.8 0 0 1 6.8 0M5.7 12a9 9 0 0 1 12.6 0M2.8 9a13 13 0 0 1 18.4 0");
