# SPDX-License-Identifier: Apache-2.0
"""Ten minutes as a shop has them: orders in batches at a fixed rate (`paced`, by default 70 % of what b4
finds), 2,000 reads of orders a second (`reads`), 500 clients that each follow an order's events to its
end, then the next (`streams`). Nothing may fail, readers are answered within 20 ms, and no role's
memory grows."""

import json
import pathlib
import subprocess
import sys
import threading

import system_load
from bench_frame import database, say
from bench_system import ROLES

PEAK = 4000  # orders/s, of b4
IDS = 2000  # that are read
EVERY_S = 10
FOLLOWED_EVERY_S = 0.5


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


def measure(bench):
    settings = system_load.settings_of(bench, seconds=600, warmup=30, window=200000, batch=100)
    settings["paced"] = bench.setting("paced", PEAK * 7 // 10)
    reads = bench.setting("reads", 2000)
    system = system_load.start_system(bench, settings)
    try:
        # The broker compiles what is hot, and there is something to read.
        system_load.generate_load(bench, system, "throughput", settings | {"seconds": 5}, "first")
        ids = bench.directory / "ids"
        ids.write_text(database(f"SELECT order_id FROM orders LIMIT {IDS}"))
        followers = Followers(system, bench.setting("streams", 500))
        readers = subprocess.Popen(
            [bench.program("bench_paced"), f"http://127.0.0.1:{system.query_port}", system.token,
             str(reads), str(settings["seconds"] + 20), ids], stdout=subprocess.PIPE, text=True)
        memory, over = [], threading.Event()

        def watch():
            while not over.wait(EVERY_S):
                memory.append({name: round(one["now_mib"], 1)
                               for name, one in system.memory().items() if name in ROLES})

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            found, _, _ = system_load.generate_load(
                bench, system, "throughput", settings | {"warmup": 10}, "soak")
            read = json.loads(readers.communicate()[0])
        finally:
            over.set()
            watcher.join()
            streamed = followers.stop()
        report(bench, found, read, streamed, memory)
        system_load.verify(system)
    finally:
        system.stop()


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
