#!/bin/bash
# A strap leaves the room for AWAY (8) seconds and comes back: its readings must go on without help, and
# nothing that it sent to a subscriber may be lost.
. "$(dirname "$0")/common.sh"
require mosquitto mosquitto_sub

start_broker
start_subscriber
start_daemon
wait_connected
sent=$(sent_by 0)
poll 30 strap_has_sent_more_than 0 $((sent + 5)) || fail "strap 0 sends nothing although connected"

control off 0
sleep "${AWAY:-8}"
sent=$(sent_by 0)
control on 0
back=$SECONDS
poll 90 strap_has_sent_more_than 0 $((sent + 5)) || fail "strap 0 is back for 90 s, and not read"
took=$((SECONDS - back))
finish
pass "strap 0 read again (6 notifications) $took s after its return; $COMPARISON"
