"""The scenarios; see `run`."""

import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from daemon import LIMIT, Daemon, Failure, stored, until
from promises import by_id, check, readings_between

WORK = pathlib.Path(os.environ["WORK"])
SEED = int(os.environ["SEED"])
DISK_MB = 48
STRAPS = 20
# Without a commit for so long: the daemon has noticed.
STALLED = 2.0
# How much longer it then stays so.
FAULT_LASTS = 5.0
# A full disk need not stop commits at once: there is room within files. So many straps, so many times as fast, use it
# up within the time.
FULL_STRAPS = 400
FULL_SPEED = 5
FULL_LASTS = 25.0
# Memory holds at least 16,384 entries while the disk refuses; when they are stored on a disk that is still full, the oldest
# may have to make room.
HELD = 4_000


class Skip(Exception):
    """What is missing."""


def need(*tools, root=False):
    """What a scenario cannot do without."""
    if root and os.geteuid() != 0:
        raise Skip("needs root")
    for tool in tools:
        if not shutil.which(tool):
            raise Skip(f"needs {tool}")


def call(*command):
    """Runs a command that must not fail."""
    subprocess.run(command, check=True, timeout=LIMIT, stdin=subprocess.DEVNULL)


def while_collecting(home, data_dir, fault):
    """Runs the daemon, lets what `fault` makes for it (a context manager) last a while, and looks at what became of the readings."""
    daemon = Daemon(home, data_dir, STRAPS)
    try:
        return with_fault(home, daemon, fault)
    finally:
        daemon.kill()


def with_fault(home, daemon, fault):
    """The same, with a daemon that is killed however this ends."""
    daemon.wait_committed(100)
    before = time.time()
    with fault(daemon) as still_broken:
        until("sign of the fault", lambda: daemon.alive() and still_broken()
              and time.monotonic() - daemon.last_commit > STALLED)
        shown, stalled_at, stalled = daemon.readings_shown(), daemon.up, time.time()
        until("end of the fault", lambda: daemon.alive() and still_broken() and time.time() - stalled > FAULT_LASTS)
        if daemon.up != stalled_at:
            raise Failure("there were commits during the fault: it was none")
        if daemon.readings_shown() <= shown:
            raise Failure("the wall stood still during the fault")
    return what_was_kept(home, daemon, STRAPS, before, made_room=False)


def what_was_kept(home, daemon, straps, before, made_room):
    """Goes on without the fault for a moment, stops, and looks."""
    after = time.time()
    daemon.wait_committed(100)
    acknowledged = daemon.stop()
    entries = check(acknowledged, stored(home, daemon.data_dir), daemon.readings.read_text().splitlines(), made_room)
    no_damage(daemon.data_dir)
    # A strap sends once a second, but for a drop-out now and then.
    taken = by_id(daemon.readings.read_text().splitlines())
    kept, sent = readings_between(entries | taken, before, after), straps * (after - before)
    if kept < min(0.6 * sent, HELD):
        raise Failure(f"only {kept} of some {sent:.0f} readings taken during the fault were kept")
    return f"{len(acknowledged)} acknowledged, {kept} readings kept from {after - before:.0f} s of it"


def no_damage(data_dir):
    """A disk that refuses is no damaged database."""
    if (data_dir / "quarantine").exists():
        raise Failure("a database was set aside")


class FullDisk:
    """A ballast file takes all the room there is, and what may become free meanwhile."""

    def __init__(self, folder):
        self.ballast = folder / "ballast"
        self.file = None

    def __enter__(self):
        self.file = open(self.ballast, "ab", buffering=0)
        return self.fill

    def fill(self):
        for size in (1 << 20, 1 << 12):
            try:
                while self.file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
        return True

    def __exit__(self, *_):
        self.file.close()
        self.ballast.unlink()


@contextlib.contextmanager
def small_disk(home):
    """A file system of its own, with little room."""
    need("mkfs.ext4", "mount", root=True)
    image, disk = home / "disk.img", home / "disk"
    disk.mkdir()
    with open(image, "wb") as file:
        file.truncate(DISK_MB << 20)
    # No blocks held back for root: the daemon of the test is root.
    call("mkfs.ext4", "-q", "-m", "0", "-J", "size=4", image)
    call("mount", "-o", "loop", image, disk)
    try:
        yield disk
    finally:
        call("umount", disk)


def full_disk(home):
    """The data folder's file system is full for a while. The daemon has to go on, with commits or without."""
    with small_disk(home) as disk:
        daemon = Daemon(home, disk / "data", FULL_STRAPS, speed=FULL_SPEED)
        try:
            # Until many of them are connected; later there would be room left in files that have grown.
            daemon.wait_committed(600)
            before = time.time()
            with FullDisk(disk) as fill:
                until("end of the fault", lambda: daemon.alive() and fill() and time.time() - before > FULL_LASTS)
            told = what_was_kept(home, daemon, FULL_STRAPS * FULL_SPEED, before, made_room=True)
        finally:
            daemon.kill()
        refused = daemon.log_path.read_text().count("the disk refuses, will retry")
        if not refused:
            raise Failure(f"the disk was never too full for a commit: this proves nothing ({told})")
        return f"{told}, told {refused} times that the disk refuses"


def kill_while_full(home):
    """The daemon is killed while the disk is full, and again after a start on the full disk."""
    with small_disk(home) as disk:
        acknowledged = set()
        daemon = Daemon(home, disk / "data", STRAPS)
        try:
            daemon.wait_committed(100)
            with FullDisk(disk) as fill:
                filled = time.monotonic()
                until("full disk", lambda: daemon.alive() and fill() and time.monotonic() - filled > FAULT_LASTS)
                acknowledged |= daemon.kill()
                # It may give up or go on, but must not make it worse.
                daemon = Daemon(home, disk / "data", STRAPS, seed=2)
                began = time.monotonic()
                until("end of the fault", lambda: fill() and time.monotonic() - began > FAULT_LASTS)
                gave_up = daemon.child.poll() is not None
                acknowledged |= daemon.kill()
            daemon = Daemon(home, disk / "data", STRAPS, seed=3)
            daemon.wait_committed(100)
            acknowledged |= daemon.stop()
        finally:
            daemon.kill()
        no_damage(daemon.data_dir)
        entries = check(acknowledged, stored(home, disk / "data"), daemon.readings.read_text().splitlines(), made_room=True)
        return f"{len(acknowledged)} acknowledged, {len(entries)} entries there, the start on the full disk " \
               f"{'gave up' if gave_up else 'waited'}"


class Refused:
    """Every change of the file system fails with EROFS: strace answers in the kernel's place while it is attached.

    A real `mount -o remount,ro` is refused as long as a file is open for writing, as the daemon's are.
    """

    CALLS = "pwrite64,pwritev,pwritev2,ftruncate,fallocate,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat"

    def __init__(self, log, pid):
        self.log, self.pid = log, pid
        self.strace = None

    def __enter__(self):
        self.strace = subprocess.Popen(["strace", "-f", "-p", str(self.pid), "-o", self.log, "-e",
                                        f"trace={self.CALLS}", "-e", f"inject={self.CALLS}:error=EROFS"],
                                       stderr=subprocess.DEVNULL)
        return self.is_on

    def is_on(self):
        if self.strace.poll() is not None:
            raise Failure("strace is gone")
        return self.log.exists() and "EROFS" in self.log.read_text(errors="replace")

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait(LIMIT)


def read_only(home):
    """The data folder's file system refuses every write for a while."""
    need("strace")

    return while_collecting(home, home / "data", lambda daemon: Refused(home / "refused.log", daemon.child.pid))


def eio(home):
    """Syncs fail now and then; what was acknowledged survives a kill."""
    need("strace")
    trace = home / "syncs.log"
    strace = ["strace", "-f", "-y", "-s", "200", "-o", trace, "-e", "trace=fdatasync,write",
              "-e", "inject=fdatasync:error=EIO:when=20+25"]
    daemon = Daemon(home, home / "data", STRAPS, wrapper=strace)
    daemon.wait_committed(100)

    def failed():
        return trace.read_text(errors="replace").count("EIO (Input/output error) (INJECTED)")

    until("failed syncs", lambda: daemon.alive() and failed() >= 4)
    daemon.wait_committed(100)
    pid = int(subprocess.run(["pgrep", "-P", str(daemon.child.pid)], capture_output=True, text=True, check=True).stdout)
    os.kill(pid, signal.SIGKILL)
    acknowledged = daemon.kill()
    commits = acknowledged_after_their_sync(trace.read_text(errors="replace").splitlines())
    entries = check(acknowledged, stored(home, home / "data"), daemon.readings.read_text().splitlines())
    no_damage(home / "data")
    return f"{len(acknowledged)} acknowledged in {commits} commits, {failed()} syncs failed, {len(entries)} entries there"


SYNC = re.compile(r"(?P<thread>\d+) .*(?:fdatasync\(\d+<(?P<path>[^>]*)>|<\.\.\. fdatasync resumed>)(?P<rest>.*)")


def acknowledged_after_their_sync(lines):
    """Each commit that is told must follow a good sync of the data file, by the same thread."""
    synced, waiting, commits = set(), {}, 0
    for line in lines:
        if found := SYNC.match(line):
            thread, path = found["thread"], found["path"] or waiting.get(found["thread"], "")
            waiting[thread] = path
            if "/buffer/" in path and "<unfinished" not in line:
                (synced.add if found["rest"].endswith("= 0") else synced.discard)(thread)
        elif "committed up=" in line and "entries=0" not in line:
            commits += 1
            thread = line.split()[0]
            if thread not in synced:
                raise Failure(f"acknowledged without a sync: {line}")
            synced.discard(thread)
    if commits < 5:
        raise Failure(f"only {commits} commits were seen")
    return commits


ROUNDS = 100
# The longest that a round's daemon lives behind its first commit, and the longest for all of them.
ROUND_LASTS = 1.0
ROUNDS_LAST = 85


def kill9(home):
    """A hundred rounds under load, each ended by SIGKILL."""
    dice = random.Random(SEED)
    acknowledged, began = set(), time.monotonic()
    for number in range(ROUNDS):
        left = ROUNDS_LAST - (time.monotonic() - began)
        daemon = Daemon(home, home / "data", 50, seed=number + 1)
        # Some rounds do not get as far as their first commit.
        if number == 0 or dice.random() < 0.8:
            daemon.wait_committed(1)
        threading.Event().wait(dice.uniform(0, max(0, min(ROUND_LASTS, left / (ROUNDS - number)))))
        daemon.alive()
        acknowledged |= daemon.kill()
    entries = check(acknowledged, stored(home, home / "data"), daemon.readings.read_text().splitlines())
    no_damage(home / "data")
    return f"{ROUNDS} kills, {len(acknowledged)} acknowledged, {len(entries)} entries there"


def run(name):
    """One scenario; returns its status."""
    began = time.monotonic()
    home = WORK / name
    home.mkdir()
    try:
        told, status = f"ok, {globals()[name](home)}", 0
    except Failure as failure:
        told, status = f"FAILED: {failure}", 1
    except Skip as skip:
        print(f"SKIP faults: {name}: {skip}")
        return 77
    print(f"{name}: {told} ({time.monotonic() - began:.0f} s)", flush=True)
    return status


if __name__ == "__main__":
    statuses = [run(name) for name in sys.argv[1:]]
    sys.exit(1 if 1 in statuses else max(statuses))
