"""What must hold of the log, whatever happened to the disk."""

import datetime
import json

from daemon import Failure

SHOWN = 3


def by_id(*sources):
    """{id: entry} of lines; an id that means two things is a fault. A torn last line of a crash is no entry."""
    entries, texts = {}, {}
    for lines in sources:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if texts.setdefault(entry["seq"], line) != line:
                raise Failure(f"two contents of one id:\n{texts[entry['seq']]}\n{line}")
            entries[entry["seq"]] = entry
    return entries


def ranges(ids):
    """A few of these ids, for people."""
    ids = sorted(ids)
    shown = ", ".join(str(each) for each in ids[:SHOWN])
    return f"{len(ids)} ({shown}{', …' if len(ids) > SHOWN else ''})"


def check(acknowledged, stored, delivered, made_room=False):
    """Compares the log with what was promised and with what a sink was given. Returns the entries.

    `made_room`: the oldest readings may have gone without a word once every sink had them.
    """
    entries, taken = by_id(stored), by_id(delivered)
    by_id(stored, delivered)
    gaps = [entry for entry in entries.values() if entry.get("event") == "gap"]
    told, told_lost = set(), set()
    for gap in gaps:
        if gap["reason"] == "damaged":
            raise Failure(f"told as damage: {gap}")
        span = range(gap["first"], gap["last"] + 1)
        told.update(span)
        if gap["reason"] in ("buffer_full", "not_stored"):
            told_lost.update(span)
    gone = set()
    if made_room:
        oldest = min((number for number, entry in entries.items() if "event" not in entry), default=0)
        gone = {number for number, entry in taken.items() if number < oldest and "event" not in entry}
    if lost := acknowledged - entries.keys() - told_lost - gone:
        raise Failure(f"acknowledged and lost: {ranges(lost)} of {len(acknowledged)}")
    if untold := set(range(min(entries), max(entries) + 1)) - entries.keys() - told - gone:
        raise Failure(f"neither there nor told as missing: {ranges(untold)}")
    return entries


def readings_between(entries, begin, end):
    """How many heart rates were measured between two moments (Unix time)."""
    moments = (datetime.datetime.fromisoformat(entry["ts"]).timestamp() for entry in entries.values() if "bpm" in entry)
    return sum(begin <= moment < end for moment in moments)
