"""Holds every TCX and GPX file of a folder against the schemas beside this file."""

import sys
from pathlib import Path

from lxml import etree

HERE = Path(__file__).parent
SCHEMAS = {f".{name}": etree.XMLSchema(etree.parse(HERE / f"{name}.xsd")) for name in ("tcx", "gpx")}
# Each makes a file of that kind wrong: a check that lets one of them pass proves nothing.
DAMAGES = {
    ".tcx": [
        (b"<Calories>", b"<Calories>x"),
        (b"<TriggerMethod>", b"<TriggerMethod>By "),
        (b"<Time>", b"<Time>on "),
        (b"<Intensity>Active</Intensity>", b""),
        (b"<HeartRateBpm><Value>", b"<HeartRateBpm><Value>9"),
        (b"<Trackpoint><Time>", b"<Trackpoint><Cadence>90</Cadence><Time>"),
        (b"ns3:Speed", b"ns3:Velocity"),
    ],
    ".gpx": [
        (b' lat="', b' lat="9'),
        (b"<trkpt lat", b"<trkpt latitude"),
        (b"<time>", b"<time>on "),
        (b"<gpxtpx:hr>", b"<gpxtpx:hr>9"),
        (b"<trkseg>", b"<trkseg><name>x</name>"),
        (b"gpxpx:PowerInWatts", b"gpxpx:Watts"),
    ],
}


def main(folder):
    files = sorted(path for path in Path(folder).iterdir() if path.suffix in SCHEMAS)
    assert len(files) > 20, f"{len(files)} files"
    bad = 0
    for path in files:
        schema = SCHEMAS[path.suffix]
        if not schema.validate(etree.parse(path)):
            bad += 1
            print(f"{path.name}: {schema.error_log.last_error}")
    for suffix, damages in DAMAGES.items():
        text = (Path(folder) / f"ride{suffix}").read_bytes()
        for right, wrong in damages:
            assert right in text, right
            if SCHEMAS[suffix].validate(etree.fromstring(text.replace(right, wrong))):
                bad += 1
                print(f"the schema lets {wrong} pass for {right}")
    print(f"{len(files)} files, {bad} bad; {sum(map(len, DAMAGES.values()))} damages found")
    return bad > 0


sys.exit(main(sys.argv[1]))
