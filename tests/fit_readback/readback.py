"""Reads the files of a folder with fitdecode and compares what it finds with the .json beside each."""

import json
import sys
from pathlib import Path

import fitdecode

# Ids in the FIT profile, where fitdecode gives names.
SPORTS = {"training": 10, "cycling": 2}
SUB_SPORTS = {"cardio_training": 26, "generic": 0}


def messages(path):
    with fitdecode.FitReader(
        path, check_crc=fitdecode.CrcCheck.RAISE, error_handling=fitdecode.ErrorHandling.RAISE
    ) as reader:
        found = [frame for frame in reader if isinstance(frame, fitdecode.FitDataMessage)]
    for message in found:
        assert not message.name.startswith("unknown_"), message.name
        for field in message.fields:
            assert not field.name.startswith("unknown_"), f"{message.name}.{field.name}"
    return found


def values(found, name, field):
    got = (m.get_value(field, fallback=None) for m in found if m.name == name)
    return [value for value in got if value is not None]


def check(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    found = messages(path)
    (session,) = [m for m in found if m.name == "session"]
    (activity,) = [m for m in found if m.name == "activity"]
    (file_id,) = [m for m in found if m.name == "file_id"]
    assert found[0] is file_id and found[-1] is activity
    heart = values(found, "record", "heart_rate")
    times = values(found, "record", "timestamp")
    assert all(a < b for a, b in zip(times, times[1:])), "records are not in order"
    assert file_id.get_value("time_created") == session.get_value("start_time") == times[0]
    rr = [x for beats in values(found, "hrv", "time") for x in beats if x is not None]
    local = activity.get_value("local_timestamp").replace(tzinfo=None)
    utc = activity.get_value("timestamp").replace(tzinfo=None)
    lap_timers = values(found, "lap", "total_timer_time")
    assert round(sum(lap_timers), 3) == activity.get_value("total_timer_time")
    distances = values(found, "record", "distance")
    got = {
        "records": len(times),
        "hr_samples": len(heart),
        "hr_sum": sum(heart),
        "rr_intervals": len(rr),
        "rr_sum_ms": round(sum(rr) * 1000),
        "start_unix": session.get_value("start_time").timestamp(),
        "elapsed_s": session.get_value("total_elapsed_time"),
        "timer_s": session.get_value("total_timer_time"),
        "local_offset_s": (local - utc).total_seconds(),
        "sport": SPORTS[session.get_value("sport")],
        "sub_sport": SUB_SPORTS[session.get_value("sub_sport")],
        "laps": session.get_value("num_laps"),
        "avg_hr_bpm": session.get_value("avg_heart_rate"),
        "max_hr_bpm": session.get_value("max_heart_rate"),
        "min_hr_bpm": session.get_value("min_heart_rate"),
        "timer_events": len(values(found, "event", "event_type")),
        "power_sum_w": sum(values(found, "record", "power")),
        "altitude_sum_m": sum(values(found, "record", "enhanced_altitude")),
        "distance_m": distances[-1] if distances else None,
    }
    assert len(lap_timers) == expected["laps"]
    return [
        f"{path.name}: {key} is {got[key]}, not {value}"
        for key, value in expected.items()
        if (abs(got[key] - value) > 1e-6 if isinstance(value, float) else got[key] != value)
    ]


files = sorted(Path(sys.argv[1]).glob("*.fit"))
assert files, "no files"
wrong = [line for path in files for line in check(path)]
print("\n".join(wrong) or f"fitdecode: {len(files)} files as written")
sys.exit(bool(wrong))
