#!/bin/bash
# Straps that are not connected to: `scan` shows them, and the heart rate in their advertisements is read.
# Needs --level mock --broadcast.
. "$(dirname "$0")/common.sh"
[ "$RIG_LEVEL" = mock ] || skip "straps that broadcast (--level mock --broadcast)"
require mosquitto mosquitto_sub

"$PULSEGATE" scan --seconds 6 --json >"$RIG_OUT/scan.json" || fail "scan does not work"
scanned=$(json "sum(s['model'] == 'H10' and len(s['id']) == 8 and s['bpm'] > 0 and s['rssi_dbm'] < 0 and s['connectable'] for s in d)" \
    <"$RIG_OUT/scan.json")
[ "$scanned" = "$RIG_STRAPS" ] || fail "scan shows $scanned of $RIG_STRAPS straps: see scan.json"

# each_read_at_least COUNT: so many different broadcast readings of each strap have reached the far end.
each_read_at_least() {
    "$RIG_PYTHON" - "$RECEIVED" "$RIG_STRAPS" "$1" <<'PY'
import json, sys
counts = {}
for line in open(sys.argv[1]):
    for reading in json.loads(line)["readings"]:
        assert reading["source"] == "broadcast" and reading["bpm"] > 0 and reading["rr_ms"] == [], reading
        counts.setdefault(reading["strap"], set()).add(reading["seq"])
enough = [strap for strap, seqs in counts.items() if len(seqs) >= int(sys.argv[3])]
sys.exit(len(enough) != int(sys.argv[2]))
PY
}

start_broker
start_subscriber
BLUETOOTH_KEYS='connect = "none"'
start_daemon
poll 40 each_read_at_least 10 || fail "not every strap was read ten times from its broadcasts"
stop_daemon
pass "scan shows all $RIG_STRAPS straps; each was read ten times and more from its broadcasts"
