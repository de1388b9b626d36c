// The texts and numbers of one locale: which language, how its numbers, times and plurals look.

import { STRINGS, type Counted, type Language, type Strings } from "./strings.ts";

export interface Text {
  language: Language;
  locale: string;
  strings: Strings;
  number(value: number): string;
  percent(value: number): string;
  seconds(ms: number): string;
  /** Minutes and seconds, as on a stopwatch. */
  timer(seconds: number): string;
  clock(at: Date): string;
  date(at: Date): string;
  counted(text: Counted, count: number): string;
}

/** The language of `wanted` (a BCP 47 tag) if the page speaks it, English if not. */
export function textFor(wanted: string | undefined): Text {
  const short = (wanted ?? "").toLowerCase().split("-")[0] ?? "";
  const known = Object.prototype.hasOwnProperty.call(STRINGS, short);
  const language = known ? (short as Language) : "en";
  const locale = known && wanted ? wanted : "en-GB";

  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
  const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
  const clock = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
  const date = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" });
  const plural = new Intl.PluralRules(locale);

  return {
    language,
    locale,
    strings: STRINGS[language],
    number: (value) => number.format(value),
    percent: (value) => percent.format(value / 100),
    seconds: (ms) => number.format(Math.floor(ms / 1000)),
    timer: (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`,
    clock: (at) => withoutDayPeriod(clock.formatToParts(at)),
    date: (at) => date.format(at),
    counted: (text, count) =>
      fill(plural.select(count) === "one" ? text.one : text.other, { n: number.format(count) }),
  };
}

/** The time as on a clock face: whoever looks at the wall knows whether it is morning. */
function withoutDayPeriod(parts: Intl.DateTimeFormatPart[]): string {
  const kept = parts.filter(({ type }) => type !== "dayPeriod");
  return kept.map(({ value }) => value).join("").trim();
}

/** `text` with every `{key}` replaced by its value. */
export function fill(text: string, values: Record<string, string>): string {
  return text.replace(/\{(\w+)\}/g, (whole, key: string) => values[key] ?? whole);
}
