# SPDX-License-Identifier: Apache-2.0
"""How long work stands still: a worker is killed under load and started again, killed for good with
another slot to take over, and a projector is killed and started again. Each many times; prints the
least, the median and the most, and fails where a median is beyond what is promised."""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time

from kafka import KafkaConsumer, TopicPartition

from world import PARTITIONS, Caller, Failed, Role, World, wait_until

EVENTS = {"order": "orders.events", "inventory": "inventory.events",
          "payment": "payments.events", "shipping": "shipping.events"}
SKUS = 40
PAUSE_S = 0.02  # between two orders
QUIET_S = 0.5  # nothing new for so long: all that the dead had committed has been seen
SETTLED_S = 1.0
PROMISED_S = {"restart": 2.0, "lost": 20.0, "project": 2.0}


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Shop(threading.Thread):
    """Places orders of all SKUs without end, so that every partition always has something to do."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.caller = Caller(world)
        self.stopping = threading.Event()
        self.failure = None

    def stock(self):
        for number in range(SKUS):
            self.caller.command("PUT", f"/v1/products/R{number}", {
                "name": f"R{number}", "price_minor": 100, "currency": "GBP"}, f"product-{number}")
            self.caller.command("POST", f"/v1/inventory/R{number}/receive",
                                {"quantity": 1000000}, f"receive-{number}")

    def run(self):
        number = 0
        try:
            while not self.stopping.wait(PAUSE_S):
                lines = [{"sku": f"R{(number + i * 7) % SKUS}", "quantity": 1} for i in range(3)]
                self.caller.command("POST", "/v1/orders", {
                    "customer_id": "c", "currency": "GBP", "lines": lines,
                    "payment_method": "tok_ok"}, f"order-{number}", ("unknown-sku",))
                number += 1
        except Exception as failure:  # handed to the main thread, which ends the run
            self.failure = failure


class Watch(threading.Thread):
    """When committed records last came, by partition of one topic."""

    def __init__(self, world, topic):
        super().__init__(daemon=True)
        self.consumer = KafkaConsumer(bootstrap_servers=world.bootstrap,
                                      isolation_level="read_committed", enable_auto_commit=False,
                                      fetch_max_wait_ms=20)
        self.partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        self.consumer.assign(self.partitions)
        self.consumer.seek_to_end()
        self.seen = [0.0] * PARTITIONS
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            for partition in self.consumer.poll(timeout_ms=20):
                self.seen[partition.partition] = time.monotonic()

    def await_quiet(self):
        wait_until("what the dead worker wrote goes on coming",
                   lambda: time.monotonic() - max(self.seen) > QUIET_S)

    def await_all(self, since, seconds=60):
        """Seconds from `since` until every partition had something new."""
        wait_until("not every partition makes progress", lambda: min(self.seen) > since, seconds,
                   0.005)
        return max(self.seen) - since


def projected(world):
    rows = world.sql("SELECT partition, next_offset FROM projection_offsets "
                     "WHERE projection = 'orders'")
    return {row["partition"]: row["next_offset"] for row in rows}


def start_and_own(role):
    """Started, and its partitions are taken over."""
    role.start()
    wait_until(f"{role.name} is not ready", role.is_ready)


def restart_once(world, watch, role):
    watch.await_all(time.monotonic())
    role.kill()
    watch.await_quiet()
    began = time.monotonic()
    role.start()
    return watch.await_all(began)


def lose_once(watch, role):
    """The other slot has to take over; afterwards this one comes back."""
    watch.await_all(time.monotonic())
    role.kill()
    killed = time.monotonic()
    # What it had committed may still be on its way to us.
    took = SETTLED_S + watch.await_all(killed + SETTLED_S)
    start_and_own(role)
    return took


def project_once(world, role):
    role.kill()
    before = projected(world)
    began = time.monotonic()
    role.start()
    wait_until("the projector makes no progress",
               lambda: all(to > before[p] for p, to in projected(world).items()), 60, 0.02)
    return time.monotonic() - began


def measure(world, role_name, rounds):
    watch = Watch(world, EVENTS[role_name])
    watch.start()
    found = {}
    slot = world.roles[role_name]
    say(f"{role_name}: killed and started again, {rounds} times")
    found["restart"] = [restart_once(world, watch, slot) for _ in range(rounds)]
    say(f"project: killed and started again, {rounds} times")
    found["project"] = [project_once(world, world.roles["project"]) for _ in range(rounds)]
    say(f"{role_name}: killed for good with a second slot at hand, {rounds} times")
    second = Role(world, f"{role_name}-1", ["process", role_name, "--slot", "1"])
    world.roles[second.name] = second
    start_and_own(second)
    found["lost"] = [lose_once(watch, second) for _ in range(rounds)]
    watch.stopping.set()
    watch.join()
    return found


def report(found):
    good = True
    print(f"{'':10}{'rounds':>8}{'min':>8}{'median':>8}{'max':>8}{'promised':>10}   seconds")
    for kind, times in found.items():
        median = statistics.median(times)
        kept = median <= PROMISED_S[kind]
        good = good and kept
        print(f"{kind:10}{len(times):8}{min(times):8.2f}{median:8.2f}{max(times):8.2f}"
              f"{PROMISED_S[kind]:10.1f}   {'kept' if kept else 'NOT KEPT'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="the orderlog executable")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--role", choices=EVENTS, default="order")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderlog-recovery.") as folder:
        os.chmod(folder, 0o755)  # PostgreSQL has its own user
        with World(os.path.abspath(options.program), folder) as world:
            shop = Shop(world)
            shop.stock()
            shop.start()
            try:
                found = measure(world, options.role, options.rounds)
            except Failed as failure:
                print(f"FAILED: {shop.failure or failure}", file=sys.stderr)
                return 1
            finally:
                shop.stopping.set()
                shop.join()
    return 0 if report(found) else 1


sys.exit(main())
