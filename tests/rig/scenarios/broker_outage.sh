#!/bin/bash
# The broker is killed for OUTAGE (60) seconds; half-way the daemon is killed too (SIGKILL) and started again.
#
# When the broker is back, everything must arrive, with one exception that no program can avoid: what the
# daemon had received but not yet put on disk when it was killed. The daemon logs each durable commit, so
# compare.py knows where that line was: nothing before it may be missing, and behind it at most what a few
# seconds bring.
. "$(dirname "$0")/common.sh"
require mosquitto mosquitto_sub

outage=${OUTAGE:-60}
max_gap=$("$RIG_PYTHON" -c 'import math, sys; print(math.ceil(5 * float(sys.argv[1])))' "$RIG_HZ")

start_broker
start_subscriber
start_daemon
wait_connected
poll 30 test -s "$RECEIVED" || fail "nothing arrives although the broker is there"

kill_broker
stop_subscriber
sleep $((outage / 2))
kill_daemon
start_daemon
restarted=$SECONDS
wait_connected
if [ $((SECONDS - restarted)) -lt $((outage / 2)) ]; then sleep $((outage / 2 - SECONDS + restarted)); fi
start_broker
start_subscriber
DELIVERY_SECONDS=60
finish --committed "$RIG_OUT/daemon-1.log" --max-gap "$max_gap"
pass "$outage s without broker, SIGKILL half-way; $COMPARISON"
