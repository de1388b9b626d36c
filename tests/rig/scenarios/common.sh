# shellcheck shell=bash disable=SC2034
# Sourced by every scenario: a broker, a subscriber at the far end, the daemon, and waiting without guessing.
#
# Whatever a scenario leaves for the host to look at is in $RIG_OUT. The daemon's data and the broker's are in
# $WORK, which in the guest is memory.
set -uo pipefail

SCENARIO=$(basename "$0" .sh)
WORK=$(mktemp -d)
RECEIVED=$RIG_OUT/received.ndjson
BROKER_PID='' SUBSCRIBER_PID='' DAEMON_PID='' DAEMON_RUNS=0

leave() {
    local pid
    for pid in $DAEMON_PID $SUBSCRIBER_PID $BROKER_PID; do
        kill -KILL "$pid"
        wait "$pid"
    done 2>/dev/null
    rm -rf "$WORK"
}
trap leave EXIT

pass() {
    echo "PASS $SCENARIO ($RIG_LEVEL): $*"
    exit 0
}

fail() {
    echo "FAIL $SCENARIO ($RIG_LEVEL): $*"
    if [ "$DAEMON_RUNS" -gt 0 ]; then tail -n 15 "$RIG_OUT/daemon-$DAEMON_RUNS.log"; fi
    exit 1
}

skip() {
    echo "SKIP rig: $*"
    exit 77
}

require() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null || skip "$tool (apt-get install mosquitto mosquitto-clients)"
    done
    [ -x "${PULSEGATE:-}" ] || skip "the daemon (cargo build --release, or PULSEGATE=/path/to/pulsegate)"
}

# poll SECONDS COMMAND...: until COMMAND succeeds; fails when it has not within SECONDS.
poll() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.5
    done
}

# json EXPRESSION: the Python expression, with d = the JSON on standard input.
json() { "$RIG_PYTHON" -c "import json, sys; d = json.load(sys.stdin); print($1)"; }

free_port() {
    "$RIG_PYTHON" -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])'
}

port_answers() { (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }

# The broker keeps sessions over a restart, as a club's would.
start_broker() {
    PORT=${PORT:-$(free_port)}
    cat >"$WORK/mosquitto.conf" <<CONF
listener $PORT 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location $WORK/
autosave_interval 0
max_queued_messages 0
log_type all
log_timestamp true
CONF
    mosquitto -c "$WORK/mosquitto.conf" >>"$RIG_OUT/mosquitto.log" 2>&1 &
    BROKER_PID=$!
    poll 10 port_answers || fail "the broker does not start: see mosquitto.log"
}

# kill_broker: the session of the subscriber is on disk first, or the restarted broker would acknowledge the
# daemon's messages and drop them for want of a subscriber.
kill_broker() {
    kill -USR1 "$BROKER_PID"
    poll 10 test -s "$WORK/mosquitto.db" || fail "the broker did not save its sessions"
    kill -KILL "$BROKER_PID"
    wait "$BROKER_PID" 2>/dev/null
    BROKER_PID=''
}

subscriptions() { grep -c "Sending SUBACK to rig-far-end" "$RIG_OUT/mosquitto.log"; }

subscribed_more_often_than() { [ "$(subscriptions)" -gt "$1" ]; }

# The far end: a durable subscriber that writes each message as one line.
start_subscriber() {
    local before
    before=$(subscriptions)
    mosquitto_sub -h 127.0.0.1 -p "$PORT" -i rig-far-end -c -q 1 -t 'pulsegate/+/batch' \
        >>"$RECEIVED" 2>"$RIG_OUT/mosquitto_sub.log" &
    SUBSCRIBER_PID=$!
    poll 10 subscribed_more_often_than "$before" || fail "the subscriber does not reach the broker"
}

stop_subscriber() {
    kill "$SUBSCRIBER_PID"
    wait "$SUBSCRIBER_PID" 2>/dev/null
    SUBSCRIBER_PID=''
}

# Each run of the daemon has a log of its own, daemon-N.log, with a line per durable commit.
start_daemon() {
    cat >"$WORK/pulsegate.toml" <<CONF
data_dir = "$WORK/data"
[gateway]
id = "rig"
[bluetooth]
links_per_adapter = $RIG_STRAPS
${BLUETOOTH_KEYS:-}
[web]
listen = ""
[sinks.local.mqtt]
url = "mqtt://127.0.0.1:$PORT"
CONF
    DAEMON_RUNS=$((DAEMON_RUNS + 1))
    RUST_LOG=${RUST_LOG:-info,pulsegate::buffer=trace} RUST_BACKTRACE=1 NO_COLOR=1 \
        "$PULSEGATE" run --config "$WORK/pulsegate.toml" >"$RIG_OUT/daemon-$DAEMON_RUNS.log" 2>&1 &
    DAEMON_PID=$!
}

kill_daemon() {
    kill -KILL "$DAEMON_PID"
    wait "$DAEMON_PID" 2>/dev/null
    DAEMON_PID=''
}

daemon_is_gone() { ! kill -0 "$DAEMON_PID" 2>/dev/null; }

# stop_daemon: SIGTERM must end it within 15 s, with status 0.
stop_daemon() {
    local status=0
    kill -TERM "$DAEMON_PID" || fail "the daemon ended by itself"
    poll 15 daemon_is_gone || fail "the daemon still runs 15 s after SIGTERM"
    wait "$DAEMON_PID" || status=$?
    DAEMON_PID=''
    [ $status = 0 ] || fail "the daemon exited with $status after SIGTERM"
}

connected_straps() {
    "$PULSEGATE" status --config "$WORK/pulsegate.toml" --json 2>/dev/null \
        | json 'sum(strap["link"] == "connected" for strap in d["straps"])' 2>/dev/null
}

all_connected() { [ "$(connected_straps)" = "$RIG_STRAPS" ]; }

# wait_connected [SECONDS]: until the daemon says of every strap that its notifications flow.
wait_connected() {
    local start=$SECONDS
    if ! poll "${1:-$((30 + 3 * RIG_STRAPS))}" all_connected; then
        fail "$(connected_straps) of $RIG_STRAPS straps connected after $((SECONDS - start)) s"
    fi
    echo "all $RIG_STRAPS straps connected after $((SECONDS - start)) s"
}

# sent_by INDEX: how much a strap has sent to a subscriber so far.
sent_by() { $RIG_CTL stat | json "d['straps'][$1]['sent']"; }

strap_has_sent_more_than() { [ "$(sent_by "$1")" -gt "$2" ]; }

# control COMMAND...: tells the straps something; they must understand.
control() { $RIG_CTL "$@" >/dev/null || fail "the straps refuse: $*"; }

# same [OPTION...]: compares what was sent with what arrived; the output is kept for the verdict.
same() { COMPARISON=$("$RIG_PYTHON" "$RIG_DIR/compare.py" "$@" "$RIG_OUT/sent.ndjson" "$RECEIVED" 2>&1); }

# finish [OPTION...]: no more notifications; what was sent must arrive within 20 s, and stopping the daemon
# must not add or change anything. Options are for compare.py.
finish() {
    control hush
    poll "${DELIVERY_SECONDS:-20}" same "$@" || fail "$COMPARISON"
    stop_daemon
    same "$@" || fail "after the daemon stopped: $COMPARISON"
}

: >"$RECEIVED"
: >"$RIG_OUT/mosquitto.log"
