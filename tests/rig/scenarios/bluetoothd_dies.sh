#!/bin/bash
# bluetoothd is killed (SIGKILL) and started again after 3 s: all straps must be read again within 60 s.
# What straps sent while nobody could hear them may be missing: until the kernel has given up the dead
# bluetoothd's links, straps believe that they are heard.
. "$(dirname "$0")/common.sh"
[ "$RIG_LEVEL" = uml ] || skip "a real bluetoothd (--level uml)"
require mosquitto mosquitto_sub

all_sent_more_than() { # COUNT...: one for each strap
    local counts
    counts=$(IFS=,; echo "$*")
    [ "$($RIG_CTL stat | json "all(s['sent'] > n for s, n in zip(d['straps'], [$counts]))")" = True ]
}

start_broker
start_subscriber
start_daemon
wait_connected
$RIG_BTD kill
sleep 3
$RIG_BTD start
restarted=$SECONDS
# shellcheck disable=SC2046  # one word per strap
set -- $($RIG_CTL stat | json "*(s['sent'] + 3 for s in d['straps'])")
poll 60 all_sent_more_than "$@" || fail "not all straps are read again 60 s after bluetoothd's return"
took=$((SECONDS - restarted))
wait_connected 10
finish --max-gap "$("$RIG_PYTHON" -c 'import math, sys; print(math.ceil(10 * float(sys.argv[1])))' "$RIG_HZ")"
pass "all $RIG_STRAPS straps read again $took s after bluetoothd's return; $COMPARISON"
