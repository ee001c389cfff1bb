# SPDX-License-Identifier: Apache-2.0
"""CPU per order of the whole system, servers included, as three things grow: orders in log and
tables (up to `largest`), SKUs that orders are spread over (`spread`, against the five that an order
of up to five lines needs), and workers per role, each with a partition of its own. Every system is
warm before: the broker's JIT is done. Then order workers are held to a share of a core each
(`share` percent), and their number alone says how much comes through."""

import pathlib

import system_load
from bench_frame import database, say
from bench_rows import ALL

HOT = 5  # lines of an order are of different SKUs
WORKERS = (1, 2, 4)
ROLES = ("order", "inventory", "payment", "shipping", "project")
OURS = ("load generator", "postgresql, measuring")
CGROUPS = pathlib.Path("/sys/fs/cgroup/cpu")
PERIOD_US = 100000


def window(bench, system, settings, tag, warmup=5):
    """A stretch at full load, and what an order costs in it."""
    options = settings | {"seconds": bench.setting("seconds", 8), "warmup": warmup}
    found, _, _ = system_load.generate_load(bench, system, "throughput", options, tag)
    if not found["good"]:
        raise SystemExit("bench: not every order was completed")
    used = {name: us for name, us in found["cpu_us_per_order"].items() if name not in OURS}
    one = {"cpu_us": sum(used.values()), "orders_per_s": found["completed_per_s"], "cpu": used}
    say(f"{tag}: {one['cpu_us']:.0f} µs per order, {one['orders_per_s']} orders/s")
    return one


def warm(bench, system, settings):
    """Few orders and many requests: what is hot in the broker is compiled."""
    options = settings | {"seconds": bench.setting("warm", 50), "warmup": 1, "rate": 150}
    system_load.generate_load(bench, system, "latency", options, "warm")


def orders_now():
    return int(database("SELECT count(*) FROM orders"))


def measure_sizes(bench, system, settings):
    kept = bench.details["orders"] = []
    for size in (10**4, 10**5, bench.setting("largest", 300000)):
        settings = settings | {"batch": 500}
        missing = size - orders_now()
        if missing > 0:
            options = settings | {"seconds": max(missing // 4000, 1), "warmup": 1}
            while orders_now() < size:
                system_load.generate_load(
                    bench, system, "throughput", options, f"fill{orders_now()}")
        before = orders_now()
        kept.append(window(bench, system, settings, f"size{before}") | {"orders": before})
    bench.record("orders", kept[-1]["cpu_us"], kept[0]["cpu_us"])


def measure_skus(bench, system, settings, spread):
    kept = bench.details["skus"] = {"hot": [], "spread": []}
    for number in range(bench.setting("rounds", 2)):
        hot = window(bench, system, settings | {"skus": HOT}, f"hot{number}")
        wide = window(bench, system, settings | {"skus": spread}, f"spread{number}")
        kept["hot"].append(hot)
        kept["spread"].append(wide)
        bench.record("skus", hot["cpu_us"], wide["cpu_us"])


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
    percent = bench.setting("share", 10)

    def stretches(system, settings):
        count = settings["partitions"]
        free.append(window(bench, system, settings, f"workers{count}") | {"workers": count})
        try:
            groups = hold(system, count, percent)
        except OSError as error:
            say(f"workers are not held to a share of a core: {error}")
            return
        try:
            one = window(bench, system, settings, f"pinned{count}")
        finally:
            let_go(groups)
        pinned.append(one | {"workers": count, "percent_of_a_core": percent})

    bench.details["workers"] = free
    bench.details["scaling with pinned workers"] = pinned
    for count in WORKERS:
        with_workers(bench, count, stretches)
    bench.record("workers", free[-1]["cpu_us"], free[0]["cpu_us"])


def measure(bench):
    settings = system_load.settings_of(bench)
    spread = max(bench.setting("spread", 20000), settings["skus"])
    system = system_load.start_system(bench, settings | {"skus": spread})
    try:
        warm(bench, system, settings)
        measure_sizes(bench, system, settings)
        measure_skus(bench, system, settings, spread)
        system_load.verify(system)
    finally:
        system.stop()
    measure_workers(bench)
