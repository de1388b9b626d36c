// What the wall does when the box falls silent, is cut off, refuses, or has been updated. Serves
// the committed web/dist from a small server of its own and turns the browser's clock.
//
//   node tests/browser/stale.mjs

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { openPage, readWall, run } from "./browser.mjs";

const DIST = fileURLToPath(new URL("../../web/dist/", import.meta.url));
const FILES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/wall.js": ["wall.js", "text/javascript; charset=utf-8"],
  "/wall.css": ["wall.css", "text/css; charset=utf-8"],
  "/favicon.svg": ["favicon.svg", "image/svg+xml"],
};

/** A box that says only what the test tells it to say. */
class Box {
  streams = new Set();
  pageLoads = 0;
  build = "one";
  refuses = false;

  async start() {
    this.server = createServer((request, response) => void this.answer(request, response));
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.origin = `http://127.0.0.1:${this.server.address().port}`;
  }

  async answer(request, response) {
    const { pathname } = new URL(request.url, this.origin);
    if (this.refuses && pathname === "/api/v1/live") return response.writeHead(401).end();
    if (pathname === "/api/v1/live") return this.open(response);
    if (pathname === "/" && request.method === "GET") this.pageLoads += 1;
    const [name, type] = FILES[pathname] ?? [];
    if (!name) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": type, "content-security-policy": "default-src 'self'" });
    response.end(request.method === "HEAD" ? undefined : await readFile(DIST + name));
  }

  open(response) {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(`retry: 2000\nevent: build\ndata: ${JSON.stringify({ build: this.build })}\n\n`);
    this.streams.add(response);
    response.on("close", () => this.streams.delete(response));
  }

  say(...tiles) {
    const board = {
      gateway: "club-1", label: null, time: new Date().toISOString(), tiles,
      straps: { connected: tiles.length, seen: tiles.length },
      sinks: [{ name: "club", state: "ok" }], buffer: { waiting: 0 },
    };
    for (const stream of this.streams) stream.write(`event: tiles\ndata: ${JSON.stringify(board)}\n\n`);
  }

  cut() {
    for (const stream of this.streams) stream.destroy();
  }

  stop() {
    this.cut();
    this.server.closeAllConnections();
    this.server.close();
  }
}

function tile(name, age_ms) {
  return {
    strap: `0000${name.toUpperCase()}`, name, bpm: 142, zone: 4, percent_of_max: 75, contact: "worn",
    age_ms, link: "connected", battery_percent: 97, rssi_dbm: -61,
  };
}

/** A page whose clock stands still unless the test turns it, showing what `box` says first. */
async function showing(browser, checks, box, tiles) {
  const { page, wrongs } = await openPage(browser, box.origin);
  await page.clock.install();
  await page.goto(box.origin);
  await checks.soon("the page opens the stream", async () => box.streams.size, (open) => open > 0);
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 500);
  box.say(...tiles);
  await checks.soon("the tiles appear", () => readWall(page), (wall) => wall.tiles.length === tiles.length);
  return { page, wrongs };
}

async function silence(browser, checks) {
  const box = new Box();
  await box.start();
  // Anna's reading is new, Bo's is three seconds old: he passes every limit three seconds earlier.
  const { page, wrongs } = await showing(browser, checks, box, [tile("Anna", 0), tile("Bo", 3_000)]);
  const after = async (ms) => {
    await page.clock.runFor(ms);
    return readWall(page);
  };

  let wall = await after(1_000);
  checks.that(wall.connection === "live" && !wall.dimmed && wall.banner === "", "at 1 s all is well", wall);
  checks.that(wall.tiles.every((one) => !one.stale && one.age === ""), "at 1 s nobody is stale", wall.tiles);

  wall = await after(2_000);
  checks.that(wall.tiles[1].stale && wall.tiles[1].age === "6 s", "Bo is grey at 6 s and says so", wall.tiles[1]);
  checks.that(wall.tiles[1].bpm === "142", "Bo keeps his number at 6 s", wall.tiles[1]);
  checks.that(!wall.tiles[0].stale, "Anna is not grey at 3 s", wall.tiles[0]);
  checks.that(wall.connection === "live" && !wall.dimmed, "at 3 s the box is not silent yet", wall);

  wall = await after(3_000);
  checks.that(wall.tiles[0].stale && wall.tiles[0].age === "6 s", "Anna is grey at 6 s", wall.tiles[0]);
  checks.that(wall.dimmed, "after 5 s of silence the board dims", wall);
  checks.that(wall.banner === "no data from the box for 6 s", "and says for how long", wall.banner);
  checks.that(wall.connection === "reconnecting…", "and the strip says reconnecting", wall.connection);

  wall = await after(8_000);
  checks.that(wall.tiles[0].bpm === "142", "Anna keeps her number at 14 s", wall.tiles[0]);
  checks.that(wall.tiles[1].bpm === "–", "Bo has a dash at 17 s", wall.tiles[1]);
  checks.that(/no heart rate/.test(wall.tiles[1].label), "and says so to a screen reader", wall.tiles[1].label);

  wall = await after(2_000);
  checks.that(wall.tiles[0].bpm === "–", "Anna has a dash at 16 s", wall.tiles[0]);

  wall = await after(40_000);
  checks.that(wall.tiles.length === 2, "at 56 s and 59 s both are still there", wall.tiles);
  wall = await after(2_000);
  checks.that(wall.tiles.map(({ name }) => name).join() === "Anna", "at 61 s Bo is gone, Anna stays", wall.tiles);

  const loads = box.pageLoads;
  await page.clock.runFor(3_000);
  await checks.soon("after 60 s of silence the page loads itself again", async () => box.pageLoads, (n) => n === loads + 1);
  await checks.soon("and opens the stream", async () => box.streams.size, (open) => open > 0);
  await page.clock.runFor(20_000);
  checks.that(box.pageLoads === loads + 1, "but not again and again", box.pageLoads - loads);
  // Time passed perhaps before the page that was loaded began to count it.
  const idle = async () => {
    await page.clock.runFor(1_000);
    return (await readWall(page)).idle;
  };
  await checks.soon("and does not ask for straps meanwhile", idle, (text) => text === "No data from the box");

  box.say(tile("Anna", 0));
  await checks.soon("one event brings it all back", () => readWall(page), (now) =>
    now.connection === "live" && now.banner === "" && now.tiles.length === 1 && !now.tiles[0].stale);
  checks.that(wrongs.length === 0, "no foreign request, console error or CSP violation", wrongs);
  await page.context().close();
  box.stop();
}

async function cutOff(browser, checks) {
  const box = new Box();
  await box.start();
  const { page } = await openPage(browser, box.origin);
  await page.goto(box.origin);
  await checks.soon("the page opens the stream", async () => box.streams.size, (open) => open > 0);
  box.say(tile("Anna", 0));
  const word = async () => (await readWall(page)).connection;
  await checks.soon("the strip says live", word, (now) => now === "live");
  box.cut();
  await checks.soon("a cut stream says reconnecting at once", word, (now) => now === "reconnecting…", 1_500);
  await checks.soon("the browser comes back by itself", async () => box.streams.size, (open) => open > 0, 8_000);
  box.say(tile("Anna", 0));
  await checks.soon("and says live again", word, (now) => now === "live");
  checks.that(box.pageLoads === 1, "without loading the page again", box.pageLoads);

  box.build = "two";
  box.cut();
  await checks.soon("a new build loads the page again", async () => box.pageLoads, (n) => n === 2, 8_000);
  await page.context().close();
  box.stop();
}

async function refused(browser, checks) {
  const box = new Box();
  await box.start();
  box.refuses = true;
  const { page } = await openPage(browser, box.origin);
  await page.clock.install();
  await page.goto(box.origin);
  await page.waitForTimeout(500);
  await page.clock.runFor(3_000);
  await page.waitForTimeout(500); // a reload would take real time
  checks.that(box.pageLoads === 1, "a refused page waits", box.pageLoads);
  await page.clock.runFor(3_000);
  await checks.soon("and loads itself again after five seconds", async () => box.pageLoads, (n) => n === 2);
  await page.waitForTimeout(500);
  await page.clock.runFor(15_000);
  await page.waitForTimeout(300);
  checks.that(box.pageLoads === 2, "but not in a tight loop", box.pageLoads);
  await page.context().close();
  box.stop();
}

async function nobody(browser, checks) {
  const box = new Box();
  await box.start();
  const { page } = await showing(browser, checks, box, []);
  await checks.soon("an empty board invites to put on a strap", () => readWall(page), (wall) => wall.idle === "Put on your strap");
  await page.context().close();
  box.stop();
}

await run("stale", async (browser, checks) => {
  await silence(browser, checks);
  await cutOff(browser, checks);
  await refused(browser, checks);
  await nobody(browser, checks);
});
