# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL stands still, or is gone and comes back: the query service says so at once, to every kind of
read, grows by nothing while callers keep asking, and answers again by itself; streams that were open
miss nothing and tell nothing twice."""

import argparse
import http.client
import itertools
import os
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from world import Caller, Failed, World, expect, wait_until

# query.silence.ms.max (1.5 s), a quarter of a second between two questions, and a machine that is busy.
TOLD_S = 2.5
WAIT_S = 1  # what callers wait for their own write: they are told when that is over
AGAIN_S = 5
CALLERS = 30
SETTLED_S = 2  # from then on nothing grows
STREAMS = 3
ORDER = {"customer_id": "c1", "currency": "EUR",
         "lines": [{"sku": "TEA", "quantity": 1, "unit_price_minor": 500}]}
SLOW = 4 if os.environ.get("ORDERLOG_TEST_SLOW") else 1


class OutageWorld(World):
    """With a master key for personal data, and a PostgreSQL that can be frozen."""

    def _configure(self, services, clean):
        super()._configure(services, clean)
        keys = self.folder / "master.keys"
        keys.write_text(os.urandom(32).hex() + "\n")
        keys.chmod(0o600)
        self.env["ORDERLOG_CUSTOMERS_MASTER_KEY_FILE"] = str(keys)
        self.env["ORDERLOG_SESSION_TIMEOUT_MS"] = "45000"  # roles are stopped for a while, and not missed

    def __exit__(self, *arguments):
        if self.server_runs("postgres"):
            self.signal_postgres(signal.SIGCONT)
        super().__exit__(*arguments)

    def signal_postgres(self, number):
        """The postmaster first, so that no backend is left out; each has a session of its own."""
        postmaster = self.server_pid("postgres")
        os.kill(postmaster, number)
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(status.read_text().rpartition(")")[2].split()[1]) == postmaster:
                    os.kill(int(status.parent.name), number)
            except OSError:
                pass  # has just ended

    def get(self, path, port=None, timeout=15):
        """Status, headers and body; of a stream only the beginning."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.query_port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            reply = connection.getresponse()
            streams = reply.headers["Content-Type"] == "text/event-stream"
            return reply.status, reply.headers, b"" if streams else reply.read()
        finally:
            connection.close()


class Stream(threading.Thread):
    """Follows an order on one connection, from now on."""

    def __init__(self, world, order_id):
        super().__init__(daemon=True)
        self.versions = []
        self.types = []
        self.connection = http.client.HTTPConnection("127.0.0.1", world.query_port, timeout=60)
        self.connection.request("GET", f"/v1/orders/{order_id}/stream",
                                headers={"Authorization": f"Bearer {world.token}"})
        self.reply = self.connection.getresponse()
        expect("a stream is opened", self.reply.status == 200)
        self.start()

    def run(self):
        while line := self.reply.readline():
            if line.startswith(b"id: "):
                self.versions.append(int(line[4:]))
            elif line.startswith(b"event: "):
                self.types.append(line[7:].strip().decode())


class Callers:
    """Ask for everything in turn, a few times a second each."""

    def __init__(self, world, paths):
        self.world = world
        self.turn = itertools.cycle(paths.items())
        self.answers = []  # name, begun after, took, status, Retry-After
        self.over = threading.Event()
        self.begun = time.monotonic()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.over.is_set():
            name, path = next(self.turn)
            begun = time.monotonic()
            try:
                status, headers, _ = self.world.get(path)
                again = headers["Retry-After"]
            except OSError as failure:
                status, again = repr(failure), None
            self.answers.append((name, begun - self.begun, time.monotonic() - begun, status, again))
            self.over.wait(0.1)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(20)


def usage(pid):
    """Resident KiB and threads of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return tuple(int(re.search(rf"^{name}:\s+(\d+)", status, re.M).group(1))
                 for name in ("VmRSS", "Threads"))


def write_something(world):
    """What is read later; returns the path of every kind of read."""
    caller = Caller(world)
    caller.command("PUT", "/v1/products/TEA", {"name": "Tea", "price_minor": 500, "currency": "EUR"}, "p")
    caller.command("POST", "/v1/inventory/TEA/receive", {"quantity": 1000}, "r")
    customer = caller.command("PUT", "/v1/customers/c1", {"name": "Ada"}, "c")
    placed = caller.command("POST", "/v1/orders", ORDER, "o")
    one, command = placed["order_id"], placed["command_id"]
    wait = f"wait={WAIT_S}s"
    paths = {
        "an order": f"/v1/orders/{one}",
        "an order after a command": f"/v1/orders/{one}?after={command}&{wait}",
        "events": f"/v1/orders/{one}/events",
        "a list": "/v1/orders?customer=c1&limit=5",
        "a stream": f"/v1/orders/{one}/stream",
        "the sample": "/v1/stream",
        "stats": "/v1/stats?unit=day",
        "a summary": "/v1/customers/c1/summary",
        "a customer": f"/v1/customers/c1?after={customer['command_id']}&{wait}",
        "customers": "/v1/customers",
        "stock": "/v1/inventory/TEA",
        "a command": f"/v1/commands/{command}",
        "a command, waited for": f"/v1/commands/{command}?{wait}",
    }
    return paths


def all_are_answered(world, paths):
    return all(world.get(path)[0] == 200 for path in paths.values())


def is_ready(world):
    return world.get("/readyz")[0] == 200


def expect_told(answers):
    """Who asked when it had already been found out is told at once, whatever was asked for."""
    other = [a for a in answers if a[3] != 503 or a[4] is None]
    expect(f"{len(answers)} reads of {len({a[0] for a in answers})} kinds: 503 with Retry-After",
           not other, other[:5])
    late = max(answers, key=lambda a: a[2])
    expect(f"the slowest was told after {late[2]:.2f} s: {late[0]}", late[2] <= TOLD_S * SLOW, late)
    late = max((a for a in answers if a[1] > TOLD_S * SLOW), key=lambda a: a[2])
    expect(f"once that is known, after {late[2]:.2f} s", late[2] <= 1 * SLOW, late)


def expect_flat(samples, before):
    """No thread more than before; no memory more than a moment after it began."""
    expect("threads stay as they were", {s[2] for s in samples} == {before[1]}, (before, samples))
    settled = [s[1] for s in samples if s[0] >= SETTLED_S]
    grown = (max(settled) - settled[0]) / 1024
    expect(f"memory grows by {grown:.1f} MiB", grown <= 4 * SLOW, samples)


def watch(world, callers, seconds):
    """While they ask: what supervisors are told, and what the process takes."""
    pid = world.roles["query"].process.pid
    samples = []
    told = []
    while (at := time.monotonic() - callers.begun) < seconds:
        samples.append((at, *usage(pid)))
        for port in (world.query_port, world.roles["query"].metrics_port):
            begun = time.monotonic()
            told.append((world.get("/livez", port)[0], time.monotonic() - begun))
            if at > TOLD_S * SLOW:
                status, _, body = world.get("/readyz", port)
                if status != 503 or b"PostgreSQL" not in body:
                    raise Failed(f"/readyz says {status} {body}")
        callers.over.wait(0.2)
    expect("/livez says 200 at any time", {status for status, _ in told} == {200}, told)
    expect("and soon", max(took for _, took in told) <= TOLD_S * SLOW, told)
    return samples


def await_event(streams, kind):
    wait_until(f"streams do not tell of {kind}",
               lambda: all(kind in stream.types for stream in streams), 20)


def outage(world, paths, seconds, begin, end):
    """Orders that are followed get their stock while nobody can read that, and are shipped afterwards."""
    caller = Caller(world)
    inventory, shipping = world.roles["inventory"], world.roles["shipping"]
    wait_until("not everything can be read", lambda: all_are_answered(world, paths))
    # Not ended: to begin they would need the registry, and that PostgreSQL.
    for role in (inventory, shipping):
        role.process.send_signal(signal.SIGSTOP)
    orders = [caller.command("POST", "/v1/orders", ORDER, f"{begin.__name__}{n}")["order_id"]
              for n in range(STREAMS)]
    wait_until("the orders cannot be read",
               lambda: all_are_answered(world, {order: f"/v1/orders/{order}" for order in orders}))
    streams = [Stream(world, order) for order in orders]
    await_event(streams, "OrderPlaced")
    before = usage(world.roles["query"].process.pid)
    begin(world)
    callers = Callers(world, paths)
    inventory.process.send_signal(signal.SIGCONT)
    samples = watch(world, callers, seconds)
    callers.end()
    expect_told(callers.answers)
    expect_flat(samples, before)
    end(world)
    begun = time.monotonic()
    wait_until("reads are not answered again",
               lambda: all_are_answered(world, paths) and is_ready(world), AGAIN_S * SLOW)
    print(f"holds  everything is answered again after {time.monotonic() - begun:.2f} s", flush=True)
    await_event(streams, "OrderConfirmed")
    shipping.process.send_signal(signal.SIGCONT)
    await_event(streams, "OrderCompleted")
    versions = [list(stream.versions) for stream in streams]
    expect("open streams have told everything once and in order",
           all(seen == list(range(1, len(seen) + 1)) for seen in versions), versions)


def freeze(world):
    world.signal_postgres(signal.SIGSTOP)


def thaw(world):
    world.signal_postgres(signal.SIGCONT)


def end_server(world):
    world.signal_server("postgres", signal.SIGQUIT)


def start_server(world):
    world.start_server("postgres")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderlog-outage.") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL has a user of its own
        try:
            with OutageWorld(Path(options.program).resolve(), folder) as world:
                paths = write_something(world)
                outage(world, paths, 8, freeze, thaw)
                outage(world, paths, 4, end_server, start_server)
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
