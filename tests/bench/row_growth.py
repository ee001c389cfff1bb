# SPDX-License-Identifier: Apache-2.0
"""CPU per order of our own processes as three things grow: orders in log and tables (up to
`largest`), SKUs that orders are spread over (five, as an order of up to five lines needs, or
`spread`), and workers per role, each with a partition of its own. Orders come at a fixed rate, since
what an order costs depends on how many share a transaction: `rate` a second, or `each` for every
worker of a role. What servers use is in the details, role by role, but counts in no figure: the
broker compiles itself the faster the more it is given to do.

Transactions of the workers gather for a longer time than usual, so that the broker has a core to
spare for four of each. Then order workers are held to a share of a core each (`share` percent) and
given all they take: their number alone says how much comes through.

There are as many windows of `seconds` at each size as there are rounds; those at the smallest one, ten
thousand orders, add ten thousand each.

`largest=0` leaves the first two out, `workers=0` the workers: each takes some minutes."""

import pathlib
import statistics
import time

import projector_load
import system_load
from bench_frame import database, say
from bench_rows import ALL
from bench_system import pause

HOT = 5  # lines of an order are of different SKUs
SIZES = (10**4, 10**5)
LARGEST = 10**6
WORKERS = (1, 2, 4)
ROLES = ("order", "inventory", "payment", "shipping", "project")
OTHERS = ("kafka", "postgresql", "postgresql background", "postgresql, measuring", "registry",
          "load generator")
BATCHES_PER_S = 20  # that each worker has its part of
CGROUPS = pathlib.Path("/sys/fs/cgroup/cpu")
PERIOD_US = 50000
GATHERING = {"commit.linger.ms": 50, "commit.linger.ms.max": 50}
PATIENCE_S = 120
SQL_OPEN = "SELECT count(*) FROM orders WHERE shop_id = 'main' AND stage = 'OPEN'"


def load(bench, system, settings, tag, seconds, warmup):
    """A stretch of load, and what an order costs in it."""
    options = settings | {"seconds": seconds, "warmup": warmup}
    found, _, _ = system_load.generate_load(bench, system, "throughput", options, tag)
    if not found["good"]:
        raise SystemExit("bench: not every order was completed")
    cpu = {}
    for name, us in found["cpu_us_per_order"].items():
        kind = name if name in OTHERS else name.partition("-")[0]
        cpu[kind] = round(cpu.get(kind, 0) + us, 1)
    ours = sum(us for kind, us in cpu.items() if kind not in OTHERS)
    one = {"cpu_us": round(ours, 1), "orders_per_s": found["completed_per_s"], "cpu": cpu}
    say(f"{tag}: {one}")
    return one


def paced(bench, system, settings, tag, rate):
    return load(bench, system, settings | {"paced": rate, "batch": rate // BATCHES_PER_S}, tag,
                bench.setting("seconds", 5), 1)


def warm(bench, system, settings):
    """Few orders and many requests: what is hot in the broker is compiled."""
    options = settings | {"seconds": bench.setting("warm", 30), "warmup": 1, "rate": 150}
    system_load.generate_load(bench, system, "latency", options, "warm")


def orders_now():
    return int(database("SELECT count(*) FROM orders"))


def fill(bench, system, settings, size):
    """Orders come as fast as they go through, until so many are completed."""
    missing = size - orders_now()
    if missing <= 0:
        return
    say(f"placing {missing} orders")
    projector_load.place(bench, system, settings, missing, f"fill{size}")
    seen, deadline = 0, time.monotonic() + PATIENCE_S
    while (now := orders_now()) < size or database(SQL_OPEN) != "0":
        if now > seen:
            seen, deadline = now, time.monotonic() + PATIENCE_S
        if time.monotonic() > deadline or system.dead():
            raise SystemExit(f"bench: {now} of {size} orders; dead: {system.dead()}")
        pause(1)


def windows(bench, measure_window):
    """As many as there are rounds, at one size."""
    return [measure_window(number) for number in range(bench.rounds)]


def record_dearest(bench, key, baseline, others):
    """Round by round, the dearest of the others against the baseline."""
    for at, one in enumerate(baseline):
        bench.record(key, max(other[at]["cpu_us"] for other in others), one["cpu_us"])


def measure_sizes(bench, system, settings):
    kept = bench.details["orders"] = []
    for size in (*SIZES, bench.setting("largest", LARGEST)):
        fill(bench, system, settings, size)
        kept.append(windows(bench, lambda number: {"orders": (before := orders_now())} | paced(
            bench, system, settings, f"size{before}", bench.setting("rate", 2000))))
    record_dearest(bench, "orders", kept[0], kept[1:])


def measure_skus(bench, system, settings, spread):
    """In turn; the one with the dearer median is held against the other."""
    kept = bench.details["skus"] = {"hot": [], "spread": []}
    for number in range(bench.rounds):
        for name, skus in (("hot", HOT), ("spread", spread)):
            kept[name].append(paced(bench, system, settings | {"skus": skus}, f"{name}{number}",
                                    bench.setting("rate", 2000)))
    cpu = [[one["cpu_us"] for one in found] for found in kept.values()]
    cheap, dear = sorted(cpu, key=statistics.median)
    for one, other in zip(dear, cheap):
        bench.record("skus", one, other)


def with_workers(bench, count, measure):
    """On servers of its own, since partitions are set once."""
    bench.stop_servers()
    bench.start_servers(ALL)
    settings = system_load.settings_of(bench, partitions=count)
    system = system_load.start_system(bench, settings)
    try:
        system.start_workers(ROLES, count)
        warm(bench, system, settings)
        found = measure(system, settings)
        system_load.verify(system)
        return found
    finally:
        system.stop()


def hold(system, count, percent):
    """Each order worker in a control group of its own; returns these."""
    groups = []
    for name in ("order", *(f"order-{slot}" for slot in range(1, count))):
        group = CGROUPS / f"orderlog-bench-{system.processes[name].pid}"
        group.mkdir()
        groups.append(group)
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(PERIOD_US * percent // 100))
        (group / "cgroup.procs").write_text(str(system.processes[name].pid))
    return groups


def let_go(groups):
    for group in groups:
        for pid in (group / "cgroup.procs").read_text().split():
            (CGROUPS / "cgroup.procs").write_text(pid)
        group.rmdir()


def measure_workers(bench):
    free, pinned = [], []
    percent = bench.setting("share", 2)
    bench.config = GATHERING | bench.config

    def stretches(system, settings):
        count = settings["partitions"]
        rate = bench.setting("each", 750) * count
        free.append(windows(bench, lambda number: {"workers": count} | paced(
            bench, system, settings, f"workers{count}round{number}", rate)))
        try:
            groups = hold(system, count, percent)
        except OSError as error:
            say(f"workers are not held to a share of a core: {error}")
            return
        try:
            # Orders that wait are at the workers, a second of work each.
            full = settings | {"window": bench.setting("waiting", 2000) * count, "batch": 100}
            one = load(bench, system, full, f"pinned{count}", bench.setting("seconds", 10), 5)
        finally:
            let_go(groups)
        pinned.append(one | {"workers": count, "percent_of_a_core": percent})

    bench.details["workers"] = free
    bench.details["scaling with pinned workers"] = pinned
    for count in WORKERS:
        with_workers(bench, count, stretches)
    record_dearest(bench, "workers", free[0], free[1:])
    if pinned:
        bench.record("pinned", pinned[-1]["orders_per_s"], pinned[0]["orders_per_s"] * WORKERS[-1])


def measure_growth(bench):
    settings = system_load.settings_of(bench)
    spread = max(bench.setting("spread", 10**5), settings["skus"])
    system = system_load.start_system(bench, settings | {"skus": spread})
    try:
        warm(bench, system, settings)
        measure_sizes(bench, system, settings)
        measure_skus(bench, system, settings, spread)
        system_load.verify(system)
    finally:
        system.stop()


def measure(bench):
    if bench.setting("largest", LARGEST) > 0:
        measure_growth(bench)
    if bench.setting("workers", 1) > 0:
        measure_workers(bench)
