"""The real daemon as a child process: started, watched by its log, stopped or killed."""

import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import threading
import time

PULSEGATE = os.environ["PULSEGATE"]
# Everything that is waited for comes within this, or the test fails.
LIMIT = 60
COMMITTED = re.compile(r"committed up=(\d+) entries=(\d+)")


class Failure(Exception):
    """A promise that was not kept."""


def environment():
    """Ours, without what would change the daemon."""
    kept = {name: value for name, value in os.environ.items()
            if name not in ("JOURNAL_STREAM", "NOTIFY_SOCKET", "STATE_DIRECTORY")}
    return kept | {"RUST_LOG": "info,pulsegate::ble=warn,pulsegate::buffer=trace", "NO_COLOR": "1"}


def until(what, look, limit=LIMIT):
    """Waits until `look` returns something true, and returns that."""
    deadline = time.monotonic() + limit
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Failure(f"no {what} within {limit} s")
        threading.Event().wait(0.02)
    return found


class Daemon:
    """`pulsegate run` in `home`: configuration, log and delivered readings are there, the data where it is told."""

    def __init__(self, home, data_dir, straps, sink="out", wrapper=(), seed=1, speed=1):
        self.data_dir = pathlib.Path(data_dir)
        home.mkdir(exist_ok=True)
        self.readings = home / f"{sink}.ndjson"
        config = home / f"{sink}.toml"
        config.write_text(
            f'data_dir = "{data_dir}"\n[buffer]\ncommit_every_ms = 50\n[web]\nlisten = ""\n'
            f'[sinks.{sink}.file]\npath = "{self.readings}"\nrotate_mb = 1024\n', encoding="utf-8")
        command = [*wrapper, PULSEGATE, "run", "--simulate", str(straps), "--seed", str(seed), "--speed", str(speed),
                   "--config", config]
        self.log_path = home / f"{sink}.log"
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True, errors="replace", env=environment())
        self.lines = queue.Queue()
        self.tail = []
        self.acknowledged = set()
        self.up = -1
        self.last_commit = time.monotonic()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            for line in self.child.stderr:
                log.write(line)
                log.flush()
                self.tail = [*self.tail[-11:], line.rstrip()]
                if (found := COMMITTED.search(line)) and (count := int(found[2])):
                    up = int(found[1])
                    self.acknowledged.update(range(up + 1 - count, up + 1))
                    self.last_commit = time.monotonic()
                    self.up = up

    def quote(self):
        """The end of the log, without commits."""
        return "\n".join(line[:300] for line in self.tail if "committed up=" not in line)

    def alive(self):
        """Fails unless it still runs."""
        if self.child.poll() is not None:
            self.reader.join(LIMIT)
            raise Failure(f"the daemon ended with status {self.child.returncode}:\n{self.quote()}")
        return True

    def wait_committed(self, more, limit=LIMIT):
        """Waits until so many more entries are acknowledged."""
        goal = len(self.acknowledged) + more
        until(f"commit of {more} more entries", lambda: len(self.acknowledged) >= goal or not self.alive(), limit)

    def status(self):
        """What `pulsegate status --json` says."""
        output = subprocess.run([PULSEGATE, "status", "--json", "--data-dir", self.data_dir], env=environment(),
                                capture_output=True, text=True, timeout=LIMIT, check=False)
        if output.returncode:
            self.alive()
            raise Failure(f"no status: {output.stderr.strip()}")
        return json.loads(output.stdout)

    def readings_shown(self):
        """How many readings the wall has had, of all straps."""
        return sum(strap["readings"] for strap in self.status()["straps"])

    def kill(self):
        """Like a crash. Returns what it had acknowledged."""
        self.child.kill()
        return self._ended()

    def stop(self):
        """Asks it to stop, and expects that it does so well."""
        self.alive()
        self.child.send_signal(signal.SIGTERM)
        acknowledged = self._ended()
        if self.child.returncode != 0:
            raise Failure(f"the daemon stopped with status {self.child.returncode}:\n{self.quote()}")
        return acknowledged

    def _ended(self):
        try:
            self.child.wait(LIMIT)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"the daemon does not stop:\n{self.quote()}") from error
        self.reader.join(LIMIT)
        return self.acknowledged


def stored(home, data_dir):
    """Every entry in the log of a stopped daemon, as lines."""
    config = home / "export.toml"
    config.write_text(f'data_dir = "{data_dir}"\n', encoding="utf-8")
    output = subprocess.run([PULSEGATE, "buffer", "export", "--config", config], env=environment(), capture_output=True,
                            text=True, timeout=LIMIT, check=False)
    if output.returncode:
        raise Failure(f"no export (status {output.returncode}): {output.stderr.strip()}")
    return output.stdout.splitlines()
