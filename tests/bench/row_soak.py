# SPDX-License-Identifier: Apache-2.0
"""Ten minutes as a shop has them: orders in batches at 70 % of the rate that the system has at its peak
beside the same readers, measured just before (`paced` sets another rate), 2,000 reads of orders a
second (`reads`), 500 clients that each follow an order's events to its end and a while longer, then
another's (`streams`). Nothing may fail, readers are answered within 20 ms, and no role's memory
grows, but for what it has to know of every order that is over: who places it again, pays it again or
ships it again must be told. (Payment and shipping hold their simulated provider and carrier.)"""

import json
import os
import pathlib
import subprocess
import sys
import threading

import system_load
from bench_frame import database, say
from bench_system import ROLES

REMEMBERING = ("order", "payment", "shipping")
SHARE_OF_PEAK = 0.7
PEAK_S = 20
IDS = 2000  # that are read
EVERY_S = 10
FOLLOWED_EVERY_S = 1
SQL_NEWEST = ("SELECT order_id FROM orders WHERE shop_id = 'main' AND stage = 'OPEN'"
              " ORDER BY placed_at DESC LIMIT 200;\n")
WINDOW = 20000  # orders on their way, at the peak


class Followers:
    """bench_streams.py, told of new orders as they come: by one connection, as a program that is
    started every second would take from the others what one of them needs."""

    def __init__(self, system, count):
        here = pathlib.Path(__file__).parent
        self.asking = subprocess.Popen(
            ["psql", "-qAtX", os.environ["ORDERLOG_POSTGRES"]], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.process = subprocess.Popen(
            [sys.executable, here / "bench_streams.py", str(system.query_port), system.token,
             str(count)], stdin=self.asking.stdout, stdout=subprocess.PIPE, text=True)
        self.asking.stdout.close()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.feed)
        self.thread.start()

    def feed(self):
        while not self.stopping.wait(FOLLOWED_EVERY_S):
            self.asking.stdin.write(SQL_NEWEST)
            self.asking.stdin.flush()

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.asking.stdin.close()
        self.asking.wait()
        found = json.loads(self.process.stdout.read())
        self.process.wait()
        return found


class Readers:
    """bench_paced, for so many seconds."""

    def __init__(self, bench, system, ids, seconds):
        self.process = subprocess.Popen(
            [bench.program("bench_paced"), str(system.query_port), system.token,
             str(bench.setting("reads", 2000)), str(seconds), ids],
            stdout=subprocess.PIPE, text=True)

    def found(self):
        said = self.process.communicate()[0]
        if self.process.returncode != 0:
            raise SystemExit("bench: a read failed")
        return json.loads(said)


class Memory:
    """Every role's, now and then."""

    def __init__(self, system):
        self.system, self.seen, self.over = system, [], threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.over.wait(EVERY_S):
            self.seen.append({name: round(one["now_mib"], 1)
                              for name, one in self.system.memory().items() if name in ROLES})

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.seen


def measure(bench):
    settings = system_load.settings_of(bench, seconds=600, batch=100, connections=8)
    system = system_load.start_system(bench, settings)
    try:
        # The broker compiles what is hot, and there is something to read.
        system_load.generate_load(
            bench, system, "throughput", settings | {"seconds": 5, "window": WINDOW}, "first")
        ids = bench.directory / "ids"
        ids.write_text(database(f"SELECT order_id FROM orders LIMIT {IDS}"))
        followers = Followers(system, bench.setting("streams", 500))
        try:
            rate = bench.setting("paced", 0) or find_rate(bench, system, ids, settings)
            say(f"{rate} orders/s for {settings['seconds']} s")
            readers = Readers(bench, system, ids, settings["seconds"] + 10)
            memory = Memory(system)
            try:
                # What is late is sent later, but it is sent: there is no window that holds it back.
                found, _, _ = system_load.generate_load(
                    bench, system, "throughput",
                    settings | {"warmup": 10, "paced": rate, "window": 10 * rate * 10}, "soak")
                read = readers.found()
            finally:
                seen = memory.stop()
        finally:
            streamed = followers.stop()
        report(bench, found, read, streamed, seen)
        system_load.verify(system)
    finally:
        system.stop()


def find_rate(bench, system, ids, settings):
    readers = Readers(bench, system, ids, PEAK_S + 10)
    found, _, _ = system_load.generate_load(
        bench, system, "throughput",
        settings | {"warmup": 10, "seconds": PEAK_S, "window": WINDOW}, "peak")
    say(f"peak: {found['completed_per_s']} orders/s; reads meanwhile: {readers.found()}")
    return int(found["completed_per_s"] * SHARE_OF_PEAK)


def report(bench, found, read, streamed, memory):
    """What grew, and by how much, from when a tenth of the time had gone by."""
    settled, last = memory[len(memory) // 10], memory[-1]
    grown = {name: round(last[name] - settled[name], 1) for name in settled}
    orders = found["orders"] * 9 / 10
    kept = {name: round(grown[name] * 2**20 / orders) for name in REMEMBERING}
    say(f"orders: {found['completed_per_s']} completed/s, {found['cpu_cores_busy']:.2f} cores busy")
    say(f"reads: {read}")
    say(f"streams: {streamed}")
    say(f"memory, MiB: after a tenth of the time {settled}")
    say(f"memory, MiB: at the end {last}")
    say(f"bytes per order that is over: {kept}")
    if not found["good"]:
        raise SystemExit("bench: not every order was completed")
    bench.details.update(orders=found, reads=read, streams=streamed, memory=memory)
    bench.record("read_p99", read["times"]["p99_ms"])
    bench.record("failed", streamed["failed"])
    bench.record("grown", max(grown[name] for name in grown if name not in REMEMBERING))
    bench.record("kept", max(kept.values()))
