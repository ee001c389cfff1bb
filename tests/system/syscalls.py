# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a release build at its N-th system call of a kind, N drawn from the seed: roles are started
under strace, under load, all at once, each on its own round. In the end everything must hold, as after
chaos. Ends with 77 where strace may not trace."""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from chaos_load import Load
from chaos_run import SKIPPED, finish, in_folder, say
from chaos_world import PROCESSORS, ChaosWorld
from world import Failed, wait_until

HIT_S = 30  # what a role does not come by in this time it is spared
READY_S = 150  # beyond the patience of a take-over (120 s)
FAR = 10  # calls up to 2^FAR of one thread; early ones, at start, are drawn as often as late ones
KILLED_AT = ("sendmsg", "recvmsg", "write", "poll")
DATABASE_CALLS = ("sendto", "recvfrom")  # a projector's


class Sweep(threading.Thread):
    """One role, call after call."""

    def __init__(self, world, role, rng, rounds, hits, healing):
        super().__init__(daemon=True)
        self.world, self.role, self.rng = world, world.roles[role], rng
        self.hits, self.healing = hits, healing
        killed_at = KILLED_AT + (DATABASE_CALLS if role == "project" else ())
        self.rounds = list(killed_at) * rounds
        rng.shuffle(self.rounds)
        self.failure = None

    def kill_at(self, call):
        number = int(2 ** self.rng.uniform(0, FAR))
        with self.role.lock:  # no supervisor in between: exactly one start is traced
            self.role.end()
            self.role.under = ("strace", "-D", "-f", "-qq", "-e", "signal=none", "-o", "/dev/null", "-e",
                               f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
            self.role.start()
            self.role.under = ()
            process = self.role.process
        try:
            wait_until("it dies", lambda: process.poll() is not None, HIT_S)
        except Failed:
            self.role.send(signal.SIGKILL)
            return
        if process.returncode == -signal.SIGKILL:
            self.hits[self.role.name, call] += 1

    def run(self):
        try:
            for call in self.rounds:
                if self.healing.is_set():
                    return
                self.kill_at(call)
                wait_until(f"{self.role.name} is not ready after dying at {call}",
                           self.role.is_ready, READY_S)
        except Exception as failure:  # shown by the main thread
            self.failure = failure


def may_trace():
    return shutil.which("strace") and subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL).returncode == 0


def sweep(world, load, options):
    hits, healing = Counter(), threading.Event()
    sweeps = [Sweep(world, role, random.Random(f"{options.seed} {role}"), options.rounds, hits, healing)
              for role in (*PROCESSORS, "project")]
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
    missed = set(KILLED_AT + DATABASE_CALLS) - {call for _, call in hits}
    if missed:
        raise Failed(f"nobody ever died at {', '.join(sorted(missed))}")
    finish(world, load, options, {}, folder, "died at system calls", hits)


def main():
    parser = argparse.ArgumentParser(prog="syscalls.py", description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--rate", type=float, default=40, help="orders per second")
    parser.add_argument("--rounds", type=int, default=1)
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
