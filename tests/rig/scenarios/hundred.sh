#!/bin/bash
# Many straps (run with --level mock --straps 100): delivered exactly, and what that costs the daemon.
# SECONDS_OF_DATA (30): for how long.
. "$(dirname "$0")/common.sh"
require mosquitto mosquitto_sub

ticks() { awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat"; }

start_broker
start_subscriber
start_daemon
wait_connected
window=${SECONDS_OF_DATA:-30}
before=$(ticks)
began=$EPOCHREALTIME
sleep "$window"
after=$(ticks)
cpu=$(awk "BEGIN { print ($after - $before) / $(getconf CLK_TCK) / ($EPOCHREALTIME - $began) * 100 }")
rss=$(awk '/^VmRSS/ { print $2 / 1024 }' "/proc/$DAEMON_PID/status")
finish
pass "$(printf 'daemon: %.1f %% CPU, %.1f MB resident; %s' "$cpu" "$rss" "$COMPARISON")"
