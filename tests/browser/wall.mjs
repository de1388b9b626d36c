// Looks at the wall page of a running daemon with a real browser.
//
//   PULSEGATE_WALL_URL='http://127.0.0.1:8080/?key=…' node tests/browser/wall.mjs
//
// PULSEGATE_EXPECT_TILES   how many tiles to wait for (6)
// PULSEGATE_EXPECT_CLASS   the class whose name and time are to be on the strip (none)
// PULSEGATE_SCREENSHOT     where to write a picture of the wall (none)

import { openPage, readWall, run } from "./browser.mjs";

const url = process.env.PULSEGATE_WALL_URL;
const expected = Number(process.env.PULSEGATE_EXPECT_TILES ?? 6);
const expectedClass = process.env.PULSEGATE_EXPECT_CLASS;
const picture = process.env.PULSEGATE_SCREENSHOT;

const TILES_WITHIN_MS = 30_000;
const CHANGE_WITHIN_MS = 5_000;
const WATCHED_MS = 5_000;
const MOST_HEAP = 30 * 1024 * 1024;

if (!url) {
  console.error("wall: set PULSEGATE_WALL_URL to the full address of the wall, with its key");
  process.exit(64);
}

await run("wall", async (browser, checks) => {
  const { page, wrongs } = await openPage(browser, new URL(url).origin);
  const response = await page.goto(url, { waitUntil: "domcontentloaded" });
  const opened = Date.now();
  checks.that(response.ok(), "the wall page is served", response.status());
  const policy = response.headers()["content-security-policy"] ?? "";
  checks.that(/default-src 'self'/.test(policy), "the page has its content security policy", policy);
  checks.that(!/unsafe/.test(policy), "the policy allows nothing unsafe", policy);

  const numbered = ({ tiles }) => tiles.length === expected && tiles.every(({ bpm }) => /^\d{2,3}$/.test(bpm));
  const first = await checks.soon(
    `${expected} tiles with a heart rate within ${TILES_WITHIN_MS / 1000} s`,
    () => readWall(page),
    numbered,
    TILES_WITHIN_MS,
  );

  checks.that(first.tiles.every(({ zone }) => /^Z[0-5]$/.test(zone)), "every tile shows its zone", first.tiles);
  checks.that(
    first.tiles.every(({ name, label, bpm }) => label.includes(name) && label.includes(`${bpm} beats per minute`)),
    "every tile is named by a sentence",
    first.tiles,
  );
  const listed = await page.getByRole("list", { name: "Heart rates" }).getByRole("listitem").count();
  checks.that(listed === expected, "a screen reader finds a list with every tile", listed);
  checks.that(first.connection === "live", "the strip says live", first.connection);
  checks.that((await page.evaluate(() => document.documentElement.lang)) === "en", "the page names its language");

  if (expectedClass) {
    const readClass = () =>
      page.evaluate(() => {
        const text = (selector) => document.querySelector(selector)?.textContent ?? "";
        return { name: text(".class"), left: text(".classes b") };
      });
    const begun = await checks.soon(
      "the class is on the strip, with the time that is left",
      readClass,
      ({ name, left }) => name === expectedClass && /^\d+:[0-5]\d$/.test(left),
    );
    await checks.soon("the time that is left goes down", readClass, ({ left }) => left !== begun.left);
  }

  await checks.soon(
    `a heart rate changes within ${CHANGE_WITHIN_MS / 1000} s`,
    async () => (await readWall(page)).tiles.map(({ bpm }) => bpm).join(),
    (now) => now !== first.tiles.map(({ bpm }) => bpm).join(),
    CHANGE_WITHIN_MS,
  );

  const layout = await page.evaluate(() => {
    const inside = (outer, inner) =>
      inner.left >= outer.left - 1 && inner.right <= outer.right + 1 &&
      inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
    const screen = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
    const tiles = [...document.querySelectorAll(".tile")].map((tile) => ({
      tile: tile.getBoundingClientRect(),
      bpm: tile.querySelector(".bpm").getBoundingClientRect(),
    }));
    return {
      onScreen: tiles.every(({ tile }) => inside(screen, tile)),
      inTile: tiles.every(({ tile, bpm }) => inside(tile, bpm)),
    };
  });
  checks.that(layout.onScreen, "every tile is on the screen");
  checks.that(layout.inTile, "every heart rate fits into its tile");

  await page.waitForTimeout(Math.max(0, WATCHED_MS - (Date.now() - opened)));
  const endless = await page.evaluate(
    () => document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime === Infinity).length,
  );
  checks.that(endless === 0, "no animation runs for ever", endless);

  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
  const { metrics } = await devtools.send("Performance.getMetrics");
  const heap = metrics.find(({ name }) => name === "JSHeapUsedSize").value;
  checks.that(heap < MOST_HEAP, `the page uses less than ${MOST_HEAP} B of script memory`, heap);

  if (picture) await page.screenshot({ path: picture });
  checks.that(wrongs.length === 0, "no foreign request, console error or CSP violation", wrongs);
});
