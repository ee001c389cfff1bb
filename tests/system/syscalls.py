# SPDX-License-Identifier: Apache-2.0
"""System calls of a release build that kill or fail: each role is started under strace, and its N-th
call of a kind ends it (kill -9) or comes back with an error. N follows from the seed. Under load, all roles
at once, each on its own round; in the end everything must hold, as after chaos. Ends with 77 where strace
may not trace."""

import argparse
import http.client
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter, namedtuple
from pathlib import Path

from chaos_load import Load
from chaos_offsets import GroupOffsets
from chaos_run import SKIPPED, finish, in_folder, say
from chaos_world import PROCESSORS, ChaosWorld
from world import Failed, is_running, wait_until

HIT_S = 20  # what a role does not come by in this time is too far away
READY_S = 150  # beyond the patience of a take-over (120 s)
GOES_ON = 3  # times that a role must be seen to get further after a call has failed
FAR = 10  # calls up to 2^FAR of one thread; early ones, at start, are drawn as often as late ones
NEAR = 4  # of what is rarely called
NEARER = 16
# Without memory the dynamic loader ends a program before main(), with 127 or by a fault; jemalloc by a fault, we by an
# assertion.
OUT_OF_MEMORY = (127, -signal.SIGSEGV, -signal.SIGABRT)
WORKERS = (*PROCESSORS, "project")
KILLED_AT = ("sendmsg", "recvmsg", "write", "poll")
DATABASE_CALLS = ("sendto", "recvfrom")  # of libpq; of the HTTP server too

Injection = namedtuple("Injection", "call error")  # without an error: SIGKILL
BROKER_FAILS = [Injection("sendmsg", "ECONNRESET"), Injection("sendmsg", "EPIPE"),
                Injection("recvmsg", "ECONNRESET"), Injection("connect", "ECONNREFUSED"),
                Injection("poll", "EINTR"), Injection("mmap", "ENOMEM")]
DISK_FAILS = [Injection("write", "ENOSPC"), Injection("write", "EIO")]  # of the log and the books
SOCKET_FAILS = [Injection("sendto", "EPIPE"), Injection("recvfrom", "ECONNRESET")]
SERVER_FAILS = [Injection("accept4", "EMFILE"), Injection("epoll_wait", "EINTR")]
RARE = [w for w in BROKER_FAILS + SERVER_FAILS if w.call in ("connect", "accept4")] + DISK_FAILS


def injections(role):
    kills = KILLED_AT + (DATABASE_CALLS if role == "project" else ())
    found = [Injection(call, None) for call in kills] if role in WORKERS else []
    found += BROKER_FAILS + DISK_FAILS
    if role not in PROCESSORS:
        found += SOCKET_FAILS
    return found + (SERVER_FAILS if role in ("gateway", "query") else [])


def how_far(world, load, role):
    """A function whose values grow as long as the role does its work."""
    if role in PROCESSORS:
        offsets = GroupOffsets(world, role)
        return lambda: sum(offset for offset, _ in offsets.read().values())
    if role == "gateway":
        return lambda: load.totals()[1]
    if role == "project":
        return lambda: int(world.sql("SELECT sum(next_offset) AS n FROM projection_offsets")[0]["n"])
    answered = Counter()

    def ask():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", world.query_port, timeout=5)
            connection.request("GET", "/v1/orders", headers={"Authorization": f"Bearer {world.token}"})
            answered["times"] += connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            pass
        return answered["times"]

    return ask


class Sweep(threading.Thread):
    """One role, call after call."""

    def __init__(self, world, load, role, rng, rounds, hits, healing):
        super().__init__(daemon=True)
        self.world, self.role, self.rng = world, world.roles[role], rng
        self.hits, self.healing = hits, healing
        self.how_far = how_far(world, load, role)
        self.rounds = injections(role) * rounds
        rng.shuffle(self.rounds)
        self.trace = world.folder / f"{role}.trace"
        self.failure = None

    def start_under(self, what, number):
        deed = f"error={what.error}" if what.error else "signal=SIGKILL"
        files = ("-P", str(self.role.log), "-P", self.world.env["ORDERLOG_PAYMENT_LEDGER"], "-P",
                 self.world.env["ORDERLOG_CARRIER_LEDGER"]) if what in DISK_FAILS else ()
        self.trace.write_text("")
        with self.role.lock:  # no supervisor in between: exactly one start is traced
            if not self.role.end(signal.SIGTERM if what.error else signal.SIGKILL):
                raise Failed(f"{self.role.name} does not stop:\n{self.role.tail()}")
            self.role.may_also_end = OUT_OF_MEMORY if what.error == "ENOMEM" else ()
            self.role.under = ("strace", "-D", "-I", "2", "-f", "-qq", "-Z", "-e", "signal=none", "-o", str(self.trace),
                               *files, "-e", f"trace={what.call}", "-e",
                               f"inject={what.call}:{deed}:when={number}")
            self.role.start()
            self.role.under = ()
            return self.role.process

    def kill_at(self, what, number):
        process = self.start_under(what, number)
        try:
            wait_until("it dies", lambda: process.poll() is not None, HIT_S)
        except Failed:
            self.role.send(signal.SIGKILL)
            return False
        return process.returncode == -signal.SIGKILL

    def has_failed(self):
        return "INJECTED" in self.trace.read_text(errors="replace")

    def fail_at(self, what, number):
        process = self.start_under(what, number)
        try:
            wait_until("it fails", lambda: self.has_failed() or process.poll() is not None, HIT_S, 0.2)
        except Failed:
            return False
        self.let_go(process)
        self.goes_on(f"its {number}. {what.call} came back with {what.error}")
        return self.has_failed()

    def strike(self, what):
        """Nearer each time that it does not come by."""
        number = int(2 ** self.rng.uniform(0, NEAR if what in RARE else FAR))
        while number and not self.healing.is_set():
            hit = (self.fail_at if what.error else self.kill_at)(what, number)
            wait_until(f"{self.role.name} is not ready after {what}", self.role.is_ready, READY_S)
            if hit:
                self.hits[self.role.name, what.call, what.error or "SIGKILL"] += 1
                return
            number //= NEARER

    def let_go(self, process):
        """The tracer counts by thread: threads that are made later would fail again and again."""
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            tracer = int(re.search(r"^TracerPid:\s*(\d+)", status, re.MULTILINE)[1])
            if tracer:
                os.kill(tracer, signal.SIGTERM)
        except (OSError, TypeError):
            return  # one or the other has ended
        if tracer:
            wait_until(f"strace does not leave {self.role.name} alone", lambda: not is_running(tracer), 30)

    def goes_on(self, after):
        """By itself, or started again: a process that only lives does not count."""
        seen = [self.how_far()]

        def further():
            now = self.how_far()
            if now > seen[-1]:
                seen.append(now)
            return len(seen) > GOES_ON

        wait_until(f"{self.role.name} gets no further after {after}", further, READY_S, 0.5)

    def run(self):
        try:
            for what in self.rounds:
                if self.healing.is_set():
                    return
                self.strike(what)
        except Exception as failure:  # shown by the main thread
            self.failure = failure


def may_trace():
    return shutil.which("strace") and subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL).returncode == 0


def sweep(world, load, options):
    hits, healing = Counter(), threading.Event()
    sweeps = [Sweep(world, load, role, random.Random(f"{options.seed} {role}"), options.rounds, hits,
                    healing) for role in options.roles]
    for one in sweeps:
        one.start()

    def over():
        load.check()
        for one in sweeps:
            if one.failure:
                raise one.failure
        return not any(one.is_alive() for one in sweeps)

    try:
        wait_until("the sweep does not end", over,
                   60 + (HIT_S + READY_S) * max(len(s.rounds) for s in sweeps), 0.2)
    finally:
        healing.set()
        for one in sweeps:
            one.join(HIT_S + READY_S)
    return hits


def run(world, options, folder):
    load = Load(world, folder / "history.jsonl", options.seed, options.rate)
    load.stock()
    load.start()
    try:
        hits = sweep(world, load, options)
        say("healing")
        world.await_ready()
    finally:
        load.stop()
    wanted = {(what.call, what.error or "SIGKILL") for role in options.roles for what in injections(role)}
    missed = wanted - {hit[1:] for hit in hits}
    if missed:
        raise Failed(f"nobody ever came by {sorted(missed)}")
    finish(world, load, options, {}, folder, "system calls that killed or failed", hits)


def main():
    parser = argparse.ArgumentParser(prog="syscalls.py", description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--rate", type=float, default=40, help="orders per second")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--roles", nargs="*", default=(*WORKERS, "gateway", "query"))
    parser.add_argument("--keep", help="use this new folder and keep it")
    options = parser.parse_args()
    options.prove = False
    say(f"seed {options.seed}")
    if not may_trace():
        say("SKIPPED: strace is not here, or may not trace")
        return SKIPPED

    def attempt(folder):
        with ChaosWorld(Path(options.program).resolve(), folder) as world:
            run(world, options, folder)

    return in_folder("syscalls", options.keep, attempt)


if __name__ == "__main__":
    sys.exit(main())
