#!/bin/bash
# A box without a battery clock, and somebody who sets the clock by hand. There is no broker while that happens:
#
#   1970        the daemon starts, and no time server has spoken
#   right       a time server sets the clock and leaves its mark
#   a day on    by hand; half-way the daemon is killed (SIGKILL) and started again, with every sign of a right clock
#   right       the time server again
#   a day back  by hand
#   right       the time server again
#
# Then the broker comes: everything must arrive, stamped within 3 s of the true time, as `synced` where the clock was
# right and as `corrected` where it was not. PHASE (20): seconds that each of these lasts.
#
# In the guest only: this machine's clock is not ours to set.
. "$(dirname "$0")/common.sh"
[ "$RIG_LEVEL" = uml ] || fail "sets the clock: only --level uml"
require mosquitto mosquitto_sub

phase=${PHASE:-20}
mark=/run/systemd/timesync/synchronized
clock_log=$RIG_OUT/clock.ndjson
day=86400

# True time is what the guest's clock would say had nobody touched it: so far ahead of the monotonic clock.
true_offset=$("$RIG_PYTHON" -c 'import time; print(time.time() - time.monotonic())')

# set_clock AHEAD: so many seconds ahead of the true time.
set_clock() {
    "$RIG_PYTHON" -c '
import sys, time
time.clock_settime(time.CLOCK_REALTIME, time.monotonic() + float(sys.argv[1]) + float(sys.argv[2]))' \
        "$true_offset" "$1" || fail "the clock cannot be set"
}

# 1970, as the kernel has it on a box that cannot know better: a minute ahead of the monotonic clock, which is as
# close as the kernel lets it be set.
set_clock_to_1970() { set_clock "$("$RIG_PYTHON" -c 'import sys; print(60 - float(sys.argv[1]))' "$true_offset")"; }

# A time server has set the clock.
confirm() {
    mkdir -p "$(dirname "$mark")"
    touch "$mark"
}

# note wrong|confirmed: for compare.py.
note() {
    "$RIG_PYTHON" -c '
import json, sys, time
t = time.monotonic()
print(json.dumps({"t": t, "unix": t + float(sys.argv[1]), "clock": sys.argv[2]}))' "$true_offset" "$1" >>"$clock_log"
}

by_hand() {
    note wrong
    set_clock "$1"
    echo "$(date -u +%FT%TZ): set by hand"
}

by_time_server() {
    set_clock 0
    confirm
    note confirmed
    echo "$(date -u +%FT%TZ): set by a time server"
}

# Nothing may be lost in memory when the daemon is killed: the straps are silent until all is on disk.
restart_daemon() {
    local strap
    control hush
    sleep 3
    kill_daemon
    start_daemon
    wait_connected
    for ((strap = 0; strap < RIG_STRAPS; strap++)); do control unmute "$strap"; done
}

: >"$clock_log"
rm -f "$mark"
# The broker must know the far end before it is away, or it would acknowledge messages and drop them.
start_broker
start_subscriber
kill_broker
stop_subscriber

note wrong
set_clock_to_1970
echo "$(date -u +%FT%TZ): the daemon starts"
start_daemon
wait_connected
sleep "$phase"
by_time_server
sleep "$phase"
by_hand $day
sleep $((phase / 2))
restart_daemon
sleep $((phase / 2))
by_time_server
sleep "$phase"
by_hand -$day
sleep "$phase"
by_time_server
sleep "$phase"

start_broker
start_subscriber
DELIVERY_SECONDS=60
finish --clock "$clock_log"
pass "clock in 1970, a day on with a SIGKILL, a day back; $COMPARISON"
