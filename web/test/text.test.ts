// Languages: which one is chosen, and that each is complete down to its placeholders.

import assert from "node:assert/strict";
import { test } from "node:test";
import { STRINGS } from "../src/strings.ts";
import { fill, textFor } from "../src/text.ts";

test("the language of the browser is taken, English when the page does not speak it", () => {
  const chosen = ["de-AT", "FR", "es-419", "fi", "en-US", "sv-SE", undefined, "constructor"].map((tag) => textFor(tag).language);
  assert.deepEqual(chosen, ["de", "fr", "es", "fi", "en", "en", "en", "en"]);
});

test("every language has the same placeholders in the same texts", () => {
  for (const [language, strings] of Object.entries(STRINGS)) {
    assert.deepEqual(shape(strings), shape(STRINGS.en), language);
  }
});

test("a count takes the right form in each language", () => {
  const straps = (tag: string, count: number) => {
    const text = textFor(tag);
    return text.counted(text.strings.strapsConnected, count);
  };
  assert.deepEqual([straps("en", 1), straps("en", 5)], ["1 strap connected", "5 straps connected"]);
  assert.deepEqual([straps("fr", 0), straps("fi", 2)], ["0 ceinture connectée", "2 vyötä yhdistetty"]);
});

test("numbers are written as the language writes them", () => {
  assert.equal(textFor("de").percent(75), "75\u00a0%");
  assert.equal(textFor("en").percent(75), "75%");
  assert.equal(textFor("fi").clock(new Date(2026, 10, 21, 9, 5)), "9.05");
});

test("the clock shows no AM or PM", () => {
  assert.equal(textFor("en-US").clock(new Date(2026, 10, 21, 15, 5)), "3:05");
});

test("a placeholder without a value stays visible", () => {
  assert.equal(fill("{n} of {m}", { n: "1" }), "1 of {m}");
});

/** The placeholders of a text, or of everything inside a group of texts. */
function shape(value: unknown): unknown {
  if (typeof value === "string") return (value.match(/\{\w+\}/g) ?? []).sort();
  return Object.fromEntries(Object.entries(value as object).map(([key, inner]) => [key, shape(inner)]));
}
