#!/bin/bash
# Nothing goes wrong: every notification arrives at the far end of MQTT, once, in order.
# SECONDS_OF_DATA (20): for how long.
. "$(dirname "$0")/common.sh"
require mosquitto mosquitto_sub

start_broker
start_subscriber
start_daemon
wait_connected
sleep "${SECONDS_OF_DATA:-20}"
finish
pass "$COMPARISON"
