#!/usr/bin/env python3
"""compare.py must find what is wrong, or every scenario is worthless: each case here is doctored data.

Runs with any Python: python3 tests/rig/test_compare.py
"""

import contextlib
import copy
import datetime
import io
import json
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

import compare
import strap_model


def good_run(straps=3, notifications=40):
    """Entries sent and the readings they become, straps taking turns, after a battery reading of each."""
    sent, readings, seq = [], [], 0
    for strap in range(straps):
        seq += 1
        readings.append({"seq": seq, "strap": strap_model.polar_id(strap), "battery_percent": 97})
    for n in range(notifications):
        for strap in range(straps):
            seq += 1
            payload = strap_model.heart_rate_payload(strap, n)
            bpm, rr = compare.parse_measurement(payload)
            strap_id = strap_model.polar_id(strap)
            sent.append({"strap": strap_id, "n": n, "hex": payload.hex(), "t": n + strap / 10})
            readings.append({
                "seq": seq,
                "strap": strap_id,
                "bpm": bpm,
                "rr_ms": [round(raw * 1000 / 1024, 3) for raw in rr],
                "source": "link",
            })
    return sent, readings


class Compare(unittest.TestCase):
    def setUp(self):
        self.sent, self.readings = good_run()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def compare(self, *options, batch=7):
        """compare.py's exit status and output for what self.sent and self.readings hold."""
        lines = [json.dumps({"v": 1, "readings": self.readings[i:i + batch]})
                 for i in range(0, len(self.readings), batch)]
        received = self.folder / "received"
        received.write_text("".join(line + "\n" for line in lines) + '{"v":1,"readings":[{"se')
        sent = self.folder / "sent"
        sent.write_text("".join(json.dumps(entry) + "\n" for entry in self.sent))
        output = io.StringIO()
        arguments = ["compare.py", str(sent), str(received), *map(str, options)]
        with mock.patch.object(sys, "argv", arguments), contextlib.redirect_stdout(output):
            return compare.main(), output.getvalue()

    def clock(self):
        """Options for a clock that is set right and confirmed at 10 s, and is wrong again from 30 s on; the readings
        have the true time.
        """
        log = self.folder / "clock"
        true_unix = 1_795_253_400
        changes = [(0, "wrong"), (10, "confirmed"), (30, "wrong")]
        lines = [{"t": t, "unix": true_unix + t, "clock": clock} for t, clock in changes]
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
        sent_at = iter([entry["t"] for entry in self.sent])
        for reading in self.readings:
            t = next(sent_at) if "bpm" in reading else 0
            time = datetime.datetime.fromtimestamp(true_unix + t, datetime.timezone.utc)
            reading["ts"] = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            reading["ts_quality"] = "synced" if 20 <= t < 30 else "corrected"
        return "--clock", log

    def move(self, index, seconds):
        """Doctors the time of a reading."""
        reading = self.readings[index]
        time = datetime.datetime.fromisoformat(reading["ts"].replace("Z", "+00:00"))
        time += datetime.timedelta(seconds=seconds)
        reading["ts"] = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def committed(self, seq):
        """Options for a daemon that was killed after it had committed up to `seq`."""
        log = self.folder / "log"
        log.write_text(f"TRACE committed up=3 entries=3\nTRACE committed up={seq} entries=3\n")
        return "--committed", log, "--max-gap", 5

    def assert_fails(self, text, *options):
        status, output = self.compare(*options)
        self.assertEqual(status, 1, output)
        self.assertIn(text, output)

    def assert_passes(self, text, *options):
        status, output = self.compare(*options)
        self.assertEqual(status, 0, output)
        self.assertIn(text, output)

    def test_all_there(self):
        self.assert_passes("3 straps, 120 sent, 120 received, 0 missing, 0 added, 0 repeated")

    def test_repeats_are_legal(self):
        self.readings += copy.deepcopy(self.readings[20:40])
        self.assert_passes("20 repeated")

    def test_repeat_that_differs(self):
        self.readings.append(dict(self.readings[30], bpm=1))
        self.assert_fails("came twice and differs")

    def test_one_missing(self):
        del self.readings[50]
        self.assert_fails("1 missing")

    def test_last_missing(self):
        del self.readings[-1]
        self.assert_fails("the last 1 of 40 missing")
        self.assert_passes("1 missing", "--tail-slack", 1)

    def test_wrong_beat(self):
        self.readings[60]["bpm"] += 1
        self.assert_fails("1 missing, 1 added")

    def test_wrong_interval(self):
        self.readings[60]["rr_ms"][0] += 0.98
        self.assert_fails("reading not sent")

    def test_second_interval_lost(self):
        reading = next(r for r in self.readings if len(r.get("rr_ms", [])) == 2)
        del reading["rr_ms"][1]
        self.assert_fails("reading not sent")

    def test_order(self):
        one, next_one = self.readings[60], self.readings[63]
        one["seq"], next_one["seq"] = next_one["seq"], one["seq"]
        self.assert_fails("out of order")

    def test_delivered_twice_under_two_numbers(self):
        self.readings.append(dict(self.readings[60], seq=1000))
        self.assert_fails("1 added")

    def test_strap_mixed_up(self):
        self.readings[60]["strap"] = strap_model.polar_id(2)
        self.assert_fails("reading not sent")

    def test_strap_unknown(self):
        self.readings[60]["strap"] = "FFFFFFFF"
        self.assert_fails("FFFFFFFF: reading not sent")

    def test_nothing(self):
        self.sent, self.readings = [], []
        self.assert_fails("nothing was sent")

    def test_broadcast_is_no_notification(self):
        self.readings.append(dict(self.readings[60], seq=1000, source="broadcast"))
        self.assert_passes("0 added")

    def test_gap(self):
        gap = {r["seq"] for r in self.readings if r["strap"] == strap_model.polar_id(1)} & set(range(60, 72))
        self.readings = [r for r in self.readings if r["seq"] not in gap]
        self.assert_fails("missing between seq")
        self.assert_passes("4 missing", "--max-gap", 4)
        self.assert_fails("missing between seq", "--max-gap", 3)

    def test_two_gaps(self):
        del self.readings[90], self.readings[60]
        self.readings = [r for r in self.readings if r["seq"] != 66]
        self.assert_fails("not the only gap", "--max-gap", 5)

    def test_lost_behind_the_commit(self):
        # What was in memory is gone, and its numbers with it. (Number 1 was an event: not published.)
        self.readings = [r for r in self.readings if r["seq"] not in (1, *range(61, 67))]
        self.assert_passes("6 missing", *self.committed(60))

    def test_lost_before_the_commit(self):
        self.readings = [r for r in self.readings if r["seq"] not in range(61, 67)]
        self.assert_fails("the committed seq 61, 62, 63, 64, 65, 66 did not arrive", *self.committed(66))

    def test_lost_long_before_the_commit(self):
        del self.readings[60]
        self.assert_fails("although all up to seq 100 was committed", *self.committed(100))

    def test_committed_but_another_took_its_number(self):
        # As if the log had been cut back at the restart and its numbers used again.
        self.readings = [r for r in self.readings if r["seq"] not in range(61, 67)]
        for reading in self.readings:
            if reading["seq"] > 66:
                reading["seq"] -= 6
        self.assert_fails("was committed", *self.committed(66))

    def test_time(self):
        self.assert_passes("ts at most 0.000 s off (90 corrected, 30 synced)", *self.clock())

    def test_time_three_seconds_off(self):
        options = self.clock()
        self.move(60, 2.9)
        self.assert_passes("ts at most 2.900 s off", *options)
        self.move(60, 0.2)
        self.assert_fails("ts is +3.100 s off", *options)
        self.move(60, -6.2)
        self.assert_fails("ts is -3.100 s off", *options)

    def test_time_of_a_clock_that_is_a_day_off(self):
        options = self.clock()
        for index in range(3, 123):
            self.move(index, 86400)
        self.assert_fails("ts is +86400.000 s off", *options)

    def test_quality_while_the_clock_was_wrong(self):
        options = self.clock()
        for quality in ("unset", "restored", "bounded", "synced"):
            self.readings[3 + 3 * 5]["ts_quality"] = quality
            self.assert_fails("sent at 5.0 s, should be corrected", *options)

    def test_quality_while_the_clock_was_confirmed(self):
        options = self.clock()
        self.readings[3 + 3 * 25]["ts_quality"] = "corrected"
        self.assert_fails("sent at 25.0 s, should be synced", *options)

    def test_quality_until_the_confirmation_is_seen(self):
        options = self.clock()
        self.readings[3 + 3 * 15]["ts_quality"] = "synced"
        self.assert_passes("31 synced", *options)
        self.readings[3 + 3 * 15]["ts_quality"] = "restored"
        self.assert_fails("sent at 15.0 s, should be corrected or synced", *options)

    def test_time_of_a_battery(self):
        options = self.clock()
        self.move(0, 3.5)
        self.assert_fails("ts is not between those of its neighbours", *options)
        self.move(0, -7)
        self.assert_fails("ts is not between those of its neighbours", *options)
        self.move(0, 3.5)
        self.readings[0]["ts_quality"] = "unset"
        self.assert_fails("should be synced or corrected", *options)

    def test_nothing_sent_while_the_clock_was_wrong(self):
        options = self.clock()
        early = [entry for entry in self.sent if entry["t"] < 10]
        for entry in early:
            entry["t"] = 10
        for reading in self.readings[3:3 + len(early)]:
            reading["ts"] = "2026-11-21T09:30:10.000Z"
        self.assert_fails("nothing arrived that was sent while the clock was as at 0 s (wrong)", *options)


if __name__ == "__main__":
    unittest.main()
