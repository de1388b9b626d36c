// The wall page: wires the stream, the clock and the screen to what is drawn. All rules live in
// the modules it names; this file only holds what is known now and when to look again.

import { h, render } from "preact";
import { App } from "./app.tsx";
import { Feed } from "./feed.ts";
import type { LiveBoard } from "./model.ts";
import { isNightlyDue, REFUSED_RELOAD_MS, Reloader, SILENT_RELOAD_MS } from "./reload.ts";
import { gapFor, hidePointerAtRest, measureDigits, shiftAt } from "./screen.ts";
import type { Link } from "./staleness.ts";
import { textFor } from "./text.ts";
import { zoneProperties } from "./zones.ts";

const LIVE = "/api/v1/live";
const LOOK_AGAIN_MS = 500;
// A stream may be dead without the browser knowing, for instance when the box lost power.
const REOPEN_MS = 15_000;

const root = document.getElementById("wall") as HTMLElement;
const page = document.documentElement;
const text = textFor(navigator.language);
const digits = measureDigits(getComputedStyle(root));
const reloader = new Reloader();

// Ages are measured with the clock that never jumps: a box without a battery clock sets the
// wall clock minutes after it has started, and so may the TV stick.
const started = performance.now();
let board: LiveBoard | null = null;
let heardAt = started;
let openedAt = started;
let refusedAt: number | null = null;
let build: string | null = null;
let rebuilt = false;
let link: Link = "connecting";
let shiftedFor = -1;

const feed = new Feed(LIVE, {
  onBoard(next) {
    board = next;
    heardAt = performance.now();
    document.title = `${next.label || next.gateway} · Pulsegate`;
    draw();
  },
  onBuild(next) {
    build ??= next;
    rebuilt = next !== build;
    if (rebuilt) reloader.ask();
  },
  onLink(next) {
    link = next;
    draw();
  },
  onRefused() {
    refusedAt = performance.now();
  },
});

function open(): void {
  refusedAt = null;
  openedAt = performance.now();
  feed.open();
}

function lookAgain(): void {
  const now = performance.now();
  const silentMs = now - heardAt;
  if (refusedAt !== null) {
    if (now - refusedAt >= REFUSED_RELOAD_MS) reloader.ask(open);
  } else if (silentMs >= REOPEN_MS && now - openedAt >= REOPEN_MS) {
    open();
  }
  if (rebuilt || silentMs >= SILENT_RELOAD_MS || isNightlyDue(new Date(), now - started)) reloader.ask();
  draw();
}

// Only when it changes: writing a property, even the same value, makes the browser restyle every tile.
function shift(hour: number): void {
  if (hour === shiftedFor) return;
  shiftedFor = hour;
  const [x, y] = shiftAt(hour);
  root.style.setProperty("--shift-x", `${x}px`);
  root.style.setProperty("--shift-y", `${y}px`);
}

function draw(): void {
  const now = new Date();
  shift(now.getHours());
  const stage = root.querySelector(".stage");
  const whole = { width: innerWidth, height: innerHeight };
  const screen = stage ? { width: stage.clientWidth, height: stage.clientHeight } : whole;
  const silentMs = performance.now() - heardAt;
  render(h(App, { board, link, silentMs, now, screen, gap: gapFor(whole), digits, text }), root);
}

page.lang = text.language;
for (const [name, value] of zoneProperties()) page.style.setProperty(name, value);
hidePointerAtRest(page);
addEventListener("resize", draw);
setInterval(lookAgain, LOOK_AGAIN_MS);
draw();
open();
