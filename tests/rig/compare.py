#!/usr/bin/env python3
"""Compares what the straps sent with what arrived at the far end.

SENT is the rig's sent.ndjson. RECEIVED holds one JSON object a line: batches as published over MQTT
({"readings": [...]}) or single readings, as a file destination has them.

Per strap, the heart rate readings in the order of `seq` must be the notifications sent: each once, in order,
none missing, none added. A repeat (same `seq`) is legal when it says the same; it is counted and dropped.
Battery readings, events and heart rates taken from advertisements share the numbers; they are not compared.

--tail-slack N      the last N notifications of each strap may be still under way
--max-gap N         each strap may lack one run of at most N consecutive notifications: those that were in a
                    program's memory when it was killed
--committed LOG     LOG is what the daemon wrote until it was killed, with "committed up=SEQ" lines: a gap
                    allowed by --max-gap must lie wholly behind the last such SEQ
--clock LOG         LOG has a line whenever the wall clock was set or confirmed: `ts` must be within 3 s
                    of the true time of sending, and `ts_quality` as good as the clock was. Its lines, in order:
                    {"t": by the clock of SENT, "unix": true time, "clock": "wrong" or "confirmed"}

Exits 0 when all is well, 1 with the first differences when not.
"""

import argparse
import bisect
import collections
import datetime
import json
import re
import sys
import typing

SHOWN_DIFFERENCES = 10

# How far `ts` may be from the true time, seconds.
CLOCK_ERROR_MAX = 3

# The daemon looks for the time server's word every ten seconds.
CONFIRMATION_SEEN_AFTER = 12

# From a strap to its stamp.
UNDER_WAY = 1


class Sent(typing.NamedTuple):
    """A notification: what it said, and when it left by the monotonic clock."""
    value: tuple
    t: float


def complete_lines(path):
    """The lines of a file that may be growing: a last line without an end is not there yet."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.endswith("\n") and line.strip():
                yield number, line


def parse_measurement(payload):
    """Beat and raw RR intervals of a 2A37 value as strap_model.py makes it (8-bit beat, no energy)."""
    rr = [int.from_bytes(payload[i:i + 2], "little") for i in range(2, len(payload), 2)]
    return payload[1], tuple(rr)


def read_sent(path):
    """{strap: [Sent, ...]} in the order of sending."""
    sent = collections.defaultdict(list)
    for number, line in complete_lines(path):
        entry = json.loads(line)
        measurements = sent[entry["strap"]]
        if entry["n"] != len(measurements):
            raise ValueError(f"{path}:{number}: n is {entry['n']}, {len(measurements)} expected")
        measurements.append(Sent(parse_measurement(bytes.fromhex(entry["hex"])), entry["t"]))
    return dict(sent)


def is_notification(reading):
    """Whether this came from a notification: not battery, not an event, not taken from an advertisement."""
    return "bpm" in reading and reading.get("source", "link") == "link"


def read_received(path):
    """{seq: reading} of everything that arrived, the number of repeats, and complaints about some of them."""
    readings, repeats, complaints = {}, 0, []
    for number, line in complete_lines(path):
        message = json.loads(line)
        for reading in message.get("readings", [message]):
            known = readings.setdefault(reading["seq"], reading)
            if known is not reading:
                repeats += 1
                if known != reading:
                    complaints.append(f"line {number}: seq {reading['seq']} came twice and differs:"
                                      f" {json.dumps(known)} and {json.dumps(reading)}")
    return readings, repeats, complaints


def last_committed(path):
    """The last SEQ of "committed up=SEQ" in a log."""
    last = None
    for _number, line in complete_lines(path):
        if found := re.search(r"\bcommitted up=(\d+)", line):
            last = int(found[1])
    if last is None:
        raise ValueError(f"{path} has no line 'committed up=SEQ': RUST_LOG=pulsegate::buffer=trace?")
    return last


class StrapComparison:
    """Aligns what one strap sent with its readings."""

    def __init__(self, strap, sent, readings):
        self.strap = strap
        self.sent = sent
        self.gaps = []  # (first n, length, seq of the reading before, seq of the reading after)
        self.added = []  # readings that fit nowhere
        self.matched = []  # (what was sent, its reading)
        position, last_seq = 0, 0
        for reading in readings:
            value = self._value(reading)
            found = next((n for n in range(position, len(sent)) if sent[n].value == value), None)
            if found is None:
                self.added.append(reading)
                continue
            if found > position:
                self.gaps.append((position, found - position, last_seq, reading["seq"]))
            self.matched.append((sent[found], reading))
            position, last_seq = found + 1, reading["seq"]
        self.unfinished = len(sent) - position

    @staticmethod
    def _value(reading):
        # 3 decimals of a millisecond tell every 1/1024 s apart, so the raw interval comes back exactly.
        return reading["bpm"], tuple(round(ms * 1.024) for ms in reading["rr_ms"])

    def missing_count(self):
        """Notifications without a reading, those at the end included."""
        return sum(gap[1] for gap in self.gaps) + self.unfinished

    def complaints(self, tail_slack, max_gap, committed, arrived):
        """What is wrong, in words. `arrived` holds every seq that came, of whatever kind."""
        for reading in self.added:
            yield f"{self.strap}: reading not sent, or out of order: {json.dumps(reading)}"
        for first, length, seq_before, seq_after in self.gaps:
            what = f"{self.strap}: n {first}..{first + length - 1} missing"
            what += f" between seq {seq_before} and {seq_after}"
            # A lost reading that was committed has left its number unused; in a gap, no committed one may be.
            committed_within = range(seq_before + 1, min(committed, seq_after - 1) + 1)
            lost = [seq for seq in committed_within if seq not in arrived]
            if seq_after <= committed:
                yield f"{what}, although all up to seq {committed} was committed"
            elif lost:
                yield f"{what}, and the committed seq {', '.join(map(str, lost))} did not arrive"
            elif length > max_gap:
                yield what
            elif len(self.gaps) > 1:
                yield f"{what}, which is not the only gap"
        if self.unfinished > tail_slack:
            yield f"{self.strap}: the last {self.unfinished} of {len(self.sent)} missing"


class ClockLog:
    """What became of the wall clock, and what that says of each reading's time."""

    def __init__(self, path):
        self.lines = [json.loads(line) for _number, line in complete_lines(path)]
        self.times = [line["t"] for line in self.lines]
        self.worst = 0.0
        self.qualities = collections.Counter()
        if not self.lines:
            raise ValueError(f"{path} has no line")
        if unknown := {line["clock"] for line in self.lines} - {"wrong", "confirmed"}:
            raise ValueError(f"{path}: a clock cannot be {unknown}")
        if self.times != sorted(self.times):
            raise ValueError(f"{path} is not in order")

    def _unix(self, t):
        return self.lines[0]["unix"] + t - self.times[0]

    def _state(self, t):
        """Index of the line that held at `t`."""
        return max(0, bisect.bisect_right(self.times, t) - 1)

    def _qualities(self, t):
        """What `ts_quality` may be of something sent at `t`. A clock that was wrong is mended by its later line."""
        if any(abs(t - change) < UNDER_WAY for change in self.times):
            return {"synced", "corrected"}
        line = self.lines[self._state(t)]
        if line["clock"] == "wrong":
            return {"corrected"}
        return {"synced"} if t - line["t"] >= CONFIRMATION_SEEN_AFTER else {"synced", "corrected"}

    @staticmethod
    def _ts(reading):
        return datetime.datetime.strptime(reading["ts"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()

    def complaints(self, matched, arrived):
        """What is wrong, in words. `matched` are pairs of Sent and reading, `arrived` is {seq: reading}."""
        for sent, reading in matched:
            self.qualities[reading["ts_quality"]] += 1
            error = self._ts(reading) - self._unix(sent.t)
            self.worst = max(self.worst, abs(error))
            if abs(error) > CLOCK_ERROR_MAX:
                yield f"sent at {sent.t} s, ts is {error:+.3f} s off: {json.dumps(reading)}"
            allowed = self._qualities(sent.t)
            if reading["ts_quality"] not in allowed:
                yield f"sent at {sent.t} s, should be {' or '.join(sorted(allowed))}: {json.dumps(reading)}"
        used = {self._state(sent.t) for sent, _reading in matched}
        for index, line in enumerate(self.lines):
            if index not in used:
                yield f"nothing arrived that was sent while the clock was as at {line['t']} s ({line['clock']})"
        yield from self._complaints_of_others({reading["seq"]: sent.t for sent, reading in matched}, arrived)

    def _complaints_of_others(self, sent_at, arrived):
        """Nobody wrote down when a battery was read: between its neighbours in the order of `seq`."""
        known = sorted(sent_at)
        for seq in sorted(arrived.keys() - sent_at.keys()):
            reading, place = arrived[seq], bisect.bisect(known, seq)
            before = sent_at[known[place - 1]] if place > 0 else self.times[0]
            after = sent_at[known[place]] if place < len(known) else float("inf")
            is_early = self._ts(reading) < self._unix(before) - CLOCK_ERROR_MAX
            is_late = self._ts(reading) > self._unix(after) + CLOCK_ERROR_MAX
            if is_early or is_late:
                yield f"ts is not between those of its neighbours: {json.dumps(reading)}"
            if reading["ts_quality"] not in ("synced", "corrected"):
                yield f"should be synced or corrected: {json.dumps(reading)}"

    def summary(self):
        """For the line of figures."""
        qualities = ", ".join(f"{count} {quality}" for quality, count in sorted(self.qualities.items()))
        return f", ts at most {self.worst:.3f} s off ({qualities})"


def main():
    keep_layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=keep_layout)
    parser.add_argument("sent", metavar="SENT")
    parser.add_argument("received", metavar="RECEIVED")
    parser.add_argument("--tail-slack", type=int, default=0, metavar="N")
    parser.add_argument("--max-gap", type=int, default=0, metavar="N")
    parser.add_argument("--committed", metavar="LOG")
    parser.add_argument("--clock", metavar="LOG")
    options = parser.parse_args()
    committed = last_committed(options.committed) if options.committed else 0

    sent = read_sent(options.sent)
    everything, repeats, complaints = read_received(options.received)
    by_strap = collections.defaultdict(list)
    for seq in sorted(everything):
        if is_notification(everything[seq]):
            by_strap[everything[seq]["strap"]].append(everything[seq])

    if not sent:
        complaints.append("nothing was sent: there is nothing to compare")
    straps = [
        StrapComparison(strap, sent.get(strap, []), by_strap[strap]) for strap in sorted({*sent, *by_strap})
    ]
    for strap in straps:
        complaints += strap.complaints(options.tail_slack, options.max_gap, committed, everything)

    clock = ClockLog(options.clock) if options.clock else None
    if clock:
        complaints += clock.complaints([pair for strap in straps for pair in strap.matched], everything)

    received = sum(map(len, by_strap.values()))
    missing = sum(strap.missing_count() for strap in straps)
    added = sum(len(strap.added) for strap in straps)
    print(f"{len(sent)} straps, {sum(map(len, sent.values()))} sent, {received} received, {missing} missing, "
          f"{added} added, {repeats} repeated{clock.summary() if clock else ''}")
    for complaint in complaints[:SHOWN_DIFFERENCES]:
        print("  " + complaint)
    if len(complaints) > SHOWN_DIFFERENCES:
        print(f"  ... and {len(complaints) - SHOWN_DIFFERENCES} more")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
