// What the browser tests share: starting Debian's Chromium so that it talks to nobody but the
// page under test, watching what the page does, and counting checks.

import { chromium } from "playwright-core";

const CHROMIUM = process.env.PULSEGATE_CHROMIUM ?? "/usr/bin/chromium";
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A headless browser with a profile of its own, which is deleted when it is closed. */
export function launch() {
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: QUIET });
}

/** A page in English on a 1080p screen, and a list that fills with everything it does wrong. */
export async function openPage(browser, origin) {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1920, height: 1080 } });
  const page = await context.newPage();
  const wrongs = [];
  page.on("console", (message) => {
    if (message.type() === "error") wrongs.push(`console error: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrongs.push(`uncaught: ${error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.origin !== origin) wrongs.push(`request to ${url.origin}`);
  });
  // The binding survives reloads, the listener is installed before the page's own scripts.
  await page.exposeFunction("reportViolation", (text) => wrongs.push(`CSP violation: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.reportViolation(`${event.violatedDirective} blocked ${event.blockedURI || "inline"}`);
    });
  });
  return { page, wrongs };
}

/** Counts checks; the first that fails ends the test with what was seen. */
export class Checks {
  count = 0;

  that(holds, what, seen) {
    if (!holds) throw new Error(seen === undefined ? what : `${what}; seen: ${JSON.stringify(seen)}`);
    this.count += 1;
  }

  /** Asks `look` again until `good` accepts the answer, for at most `ms` of real time. */
  async soon(what, look, good, ms = 5_000) {
    const end = Date.now() + ms;
    let seen = await look();
    while (!good(seen) && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      seen = await look();
    }
    this.that(good(seen), what, seen);
    return seen;
  }
}

/** Everything a person would see, read in one go. */
export function readWall(page) {
  return page.evaluate(() => {
    const text = (root, selector) => root.querySelector(selector)?.textContent ?? "";
    return {
      connection: text(document, ".connection"),
      banner: text(document, ".banner"),
      idle: text(document, ".idle h2"),
      dimmed: document.querySelector(".board.silent") !== null,
      tiles: [...document.querySelectorAll(".tile")].map((tile) => ({
        label: tile.getAttribute("aria-label") ?? "",
        name: text(tile, ".name"),
        bpm: text(tile, ".bpm"),
        zone: text(tile, ".zone"),
        age: text(tile, ".age"),
        stale: tile.classList.contains("stale"),
      })),
    };
  });
}

/** Runs a test to its end: prints the verdict, sets the exit status, closes what was opened. */
export async function run(name, body) {
  const checks = new Checks();
  const browser = await launch();
  try {
    await body(browser, checks);
    console.log(`${name}: ok - ${checks.count} checks`);
  } catch (error) {
    console.error(`${name}: failed after ${checks.count} checks - ${error.message}`);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
  process.exit(); // a failed test may have left its server listening
}
