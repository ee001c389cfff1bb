# SPDX-License-Identifier: Apache-2.0
"""All roles and servers on this machine, against the usual back end with servers of its own. They
take turns, our roles stopped meanwhile. The peer's clock ends when an order is shipped, ours when
it is completed."""

import peer_nestjs
import system_load
from bench_frame import say
from bench_system import ROLES

# Each runs for some ten seconds at what it reaches on two cores.
STORES = {
    "sql": {"store": "pg", "orders": 10000, "warmup": 5000},
    "prisma": {"store": "prisma", "orders": 2000, "warmup": 1000},
}
PRISMA_ROUNDS = 2  # the slower, and furthest from its target


def measure(bench):
    peer_nestjs.build()
    settings = system_load.settings_of(bench, seconds=10, warmup=30)
    system = system_load.start_system(bench, settings)
    runs = 0
    bench.details["rounds_of_prisma"] = min(bench.rounds, PRISMA_ROUNDS)

    def product():
        nonlocal runs
        runs += 1
        if not system.processes:
            system.start_roles(ROLES)
        found, _, _ = system_load.generate_load(
            bench, system, "throughput", settings, f"nest{runs}")
        if not found["good"]:
            raise SystemExit("bench: not every order was completed")
        settings["warmup"] = 5  # the broker has compiled what is hot; the pipe is to be full again
        return found

    def peer(store, orders, warmup):
        if system.processes:
            system.stop_roles(list(system.processes))
        return peer_nestjs.throughput(orders, STORE=store, WARMUP=warmup)

    try:
        for key, of_store in STORES.items():
            for number, (mine, other) in enumerate(
                    bench.alternate(product, lambda of_store=of_store: peer(**of_store))):
                bench.record(key, mine["completed_per_s"], other["orders_per_s"])
                keep(bench, key, mine, other)
                if key == "prisma" and number + 1 == PRISMA_ROUNDS:
                    break
        if not system.processes:
            system.start_roles(ROLES)
        system_load.verify(system)
    finally:
        system.stop()


def keep(bench, key, mine, other):
    """CPU beside each rate: of all processes but those that measure."""
    measuring = ("load generator", "postgresql, measuring")
    used = {
        "product": sum(us for name, us in mine["cpu_us_per_order"].items()
                       if name not in measuring),
        "yardstick": 1000 * sum(ms for name, ms in other["cpu_ms_per_order"].items()
                                if name != "loader"),
    }
    say(f"{key}: CPU per order {used['product']:.0f} µs, peer {used['yardstick']:.0f} µs;"
        f" others on the machine took {other['cpu_percent']['others']} % of a core meanwhile")
    bench.details.setdefault(key, []).append(
        {"cpu_us_per_order": used, "product": mine, "yardstick": other})
