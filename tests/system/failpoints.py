# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every failpoint of include/service/failpoint.h: each is armed in turn in every role that
passes it, under load; the role dies there and is started again. All roles sweep at once. A failpoint
that nobody comes by fails the run; in the end everything must hold, as after chaos."""

import argparse
import random
import re
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

from chaos_load import Load
from chaos_run import finish, in_folder, say
from chaos_world import EXPECTED_EXITS, PROCESSORS, ChaosWorld
from world import ROOT, Failed, wait_until

HIT_S = 90
READY_S = 150  # beyond the patience of a take-over (120 s)
TRIES = 4
# Reached only where a call was made to fail first.
AFTER = {"abort": "fail_commit", "unknown": "fail_commit_answer"}
# Others have no deadlines, no calls, or no state to fold.
ONLY = {"loop_deadline_fired": ("order",), "loop_call_taken": ("payment", "shipping"),
        "takeover_folding": ("order", "inventory")}
OFTEN = 20  # what happens in every turn is let pass up to so many times; the rest happens at start


def read_table():
    text = (ROOT / "include/service/failpoint.h").read_text()
    names = re.findall(r"^    X\((\w+)\)", text, re.MULTILINE)
    if not names:
        raise Failed("include/service/failpoint.h has no table")
    return names


def roles_of(name):
    kind = name.split("_")[0]
    if kind == "project":
        return ("project",)
    return () if kind == "fail" else ONLY.get(name, PROCESSORS)


def arming(name, rng):
    """The environment that lets a role die there."""
    kind = name.split("_")[0]
    if kind in AFTER:
        return f"{AFTER[kind]}:{rng.randint(1, OFTEN)},{name}"
    often = kind != "takeover" and name != "project_loaded"
    return f"{name}:{rng.randint(1, OFTEN) if often else 1}"


class Sweep(threading.Thread):
    """One role, point after point."""

    def __init__(self, world, role, names, rng, hits, healing):
        super().__init__(daemon=True)
        self.world, self.role, self.names, self.rng = world, world.roles[role], names, rng
        self.hits, self.healing = hits, healing
        self.failure = None

    def announced(self, since):
        with open(self.role.log, "rb") as log:
            log.seek(since)
            return re.findall(r"^failpoint: (\w+)$", log.read().decode(errors="replace"),
                              re.MULTILINE)

    def die_at(self, name):
        """Other roles die too: one may end itself, as it may under chaos, before it comes by."""
        for _ in range(TRIES):
            if self.try_at(name, arming(name, self.rng)):
                return
        raise Failed(f"{self.role.name} ended itself {TRIES} times before it came by {name}")

    def try_at(self, name, armed):
        with self.role.lock:  # no supervisor in between: exactly one start is armed
            self.role.end()
            since = self.role.log.stat().st_size
            self.role.extra = {"ORDERLOG_FAILPOINT": armed}
            self.role.start()
            self.role.extra = {}
            process = self.role.process
        try:
            wait_until("it dies", lambda: process.poll() is not None, HIT_S)
        except Failed:
            raise Failed(f"{self.role.name} never dies at {armed}; it came by "
                         f"{self.announced(since)}:\n{self.role.tail()}") from None
        points = self.announced(since)
        died = process.returncode == -signal.SIGKILL and name in points
        if not died and (process.returncode == -signal.SIGKILL or
                         process.returncode not in EXPECTED_EXITS):
            raise Failed(f"{self.role.name} ended with {process.returncode} instead of dying at "
                         f"{armed}; it came by {points}:\n{self.role.tail()}")
        for point in points if died else ():
            self.hits[point] += 1
        wait_until(f"{self.role.name} is not ready after dying at {armed}",
                   lambda: self.role.process is not process and self.role.is_ready(), READY_S)
        return died

    def run(self):
        try:
            for name in self.names:
                if self.healing.is_set():
                    return
                self.die_at(name)
        except Exception as failure:  # shown by the main thread
            self.failure = failure


def sweep(world, load, names, options):
    hits, healing = Counter(), threading.Event()
    sweeps = []
    for role in (*PROCESSORS, "project"):
        rng = random.Random(f"{options.seed} {role}")
        own = [n for n in names if role in roles_of(n)] * options.rounds
        rng.shuffle(own)
        sweeps.append(Sweep(world, role, own, rng, hits, healing))
    say(f"{sum(len(s.names) for s in sweeps)} deaths at {len(names)} failpoints")
    for one in sweeps:
        one.start()

    def over():
        load.check()
        for one in sweeps:
            if one.failure:
                raise one.failure
        return not any(one.is_alive() for one in sweeps)

    try:
        wait_until("the sweep does not end", over, 60 + HIT_S * max(len(s.names) for s in sweeps), 0.2)
    finally:
        healing.set()
        for one in sweeps:
            one.join(2 * HIT_S)
    return hits


def run(world, options, folder):
    names = read_table()
    load = Load(world, folder / "history.jsonl", options.seed, options.rate)
    load.stock()
    load.start()
    try:
        hits = sweep(world, load, names, options)
        say("healing")
        world.await_ready()
    finally:
        load.stop()
    missed = set(names) - set(hits)
    if missed:
        raise Failed(f"nobody comes by these failpoints: {', '.join(sorted(missed))}")
    finish(world, load, options, {}, folder, "failpoints hit", hits)


def main():
    parser = argparse.ArgumentParser(prog="failpoints.py", description=__doc__)
    parser.add_argument("program", help="path of orderlog-failpoints")
    parser.add_argument("--without", help="a program that must not have any failpoint")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--rate", type=float, default=60, help="orders per second")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", help="use this new folder and keep it")
    options = parser.parse_args()
    options.prove = False
    say(f"seed {options.seed}")
    if options.without and b"ORDERLOG_FAILPOINT" in Path(options.without).read_bytes():
        say(f"FAILED: {options.without} has failpoints")
        return 1

    def attempt(folder):
        with ChaosWorld(Path(options.program).resolve(), folder) as world:
            run(world, options, folder)

    return in_folder("failpoints", options.keep, attempt)


if __name__ == "__main__":
    sys.exit(main())
