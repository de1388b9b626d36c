#!/usr/bin/env python3
"""compare.py must find what is wrong, or every scenario is worthless: each case here is doctored data.

Runs with any Python: python3 tests/rig/test_compare.py
"""

import contextlib
import copy
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


if __name__ == "__main__":
    unittest.main()
