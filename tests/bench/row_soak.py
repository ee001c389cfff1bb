# SPDX-License-Identifier: Apache-2.0
"""Ten minutes as a shop has them: orders in batches at 70 % of the rate that the system has at its peak
beside the same readers, measured just before (`paced` sets another rate), 2,000 reads of orders a
second (`reads`), 500 clients that each follow an order's events to its end and a while longer, then
another's (`streams`). Nothing may fail, readers are answered within 20 ms, and no role's memory
grows."""

import json
import pathlib
import subprocess
import sys
import threading

import system_load
from bench_frame import database, say
from bench_system import ROLES

SHARE_OF_PEAK = 0.7
PEAK_S = 20
IDS = 2000  # that are read
EVERY_S = 10
FOLLOWED_EVERY_S = 1
WINDOW = 20000  # orders on their way, at the peak


class Followers:
    """bench_streams.py, told of new orders as they come."""

    def __init__(self, system, count):
        here = pathlib.Path(__file__).parent
        self.process = subprocess.Popen(
            [sys.executable, here / "bench_streams.py", str(system.query_port), system.token,
             str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.count = count
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.feed)
        self.thread.start()

    def feed(self):
        while not self.stopping.wait(FOLLOWED_EVERY_S):
            ids = database("SELECT order_id FROM orders WHERE shop_id = 'main' AND stage = 'OPEN'"
                           f" ORDER BY placed_at DESC LIMIT {self.count}")
            self.process.stdin.write(ids.rstrip("\n") + "\n" if ids.strip() else "")
            self.process.stdin.flush()

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.process.stdin.close()
        found = json.loads(self.process.stdout.read())
        self.process.wait()
        return found


class Readers:
    """bench_paced, for so many seconds."""

    def __init__(self, bench, system, ids, seconds):
        self.process = subprocess.Popen(
            [bench.program("bench_paced"), f"http://127.0.0.1:{system.query_port}", system.token,
             str(bench.setting("reads", 2000)), str(seconds), ids],
            stdout=subprocess.PIPE, text=True)

    def found(self):
        return json.loads(self.process.communicate()[0])


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
    settled = memory[len(memory) // 10]
    grown = {name: round(memory[-1][name] - settled[name], 1) for name in settled}
    say(f"orders: {found['completed_per_s']} completed/s, {found['cpu_cores_busy']} cores busy")
    say(f"reads: {read}")
    say(f"streams: {streamed}")
    say(f"memory, MiB: after a minute {settled}")
    say(f"memory, MiB: at the end {memory[-1]}")
    if not found["good"]:
        raise SystemExit("bench: not every order was completed")
    bench.details.update(orders=found, reads=read, streams=streamed, memory=memory)
    bench.record("read_p99", read["times"]["p99_ms"])
    bench.record("failed", read["failed"] + streamed["failed"])
    bench.record("grown", max(grown.values()))
