# SPDX-License-Identifier: Apache-2.0
"""Batches of orders, prepared in memory, until the broker has acknowledged every line; against
librdkafka alone writing the same records. The processors stand still in both."""

import os

import bench_records
import http_load
import system_load

CONFIG = {"gateway.backlog.ms.max": 3600000}
RAW = "bench.raw"


def measure(bench):
    bench.config = CONFIG | bench.config
    settings = system_load.settings_of(bench, connections=4, batch=5000)
    count = bench.setting("orders", 200000)
    system = system_load.start_system(bench, settings)
    numbers = iter(range(1000000))
    found = {"product": [], "yardstick": []}
    kept = bench.details.setdefault("rounds", found)

    def note(name, one):
        one["cpu_us"] = {
            process: used * 1e6 / one["records"] for process, used in one["cpu"].items()
        } | ({"client": one["cpu_us"]} if "cpu_us" in one else {})
        kept[name].append(one)
        return one["records"] / one["seconds"]

    def gateway():
        pids = {"gateway": system.processes["gateway"].pid, "kafka": system.server_pid("kafka")}
        before = sum(bench_records.ends_of("orders.inbox"))
        one = http_load.run(
            [bench.program("bench_requests"), "batch", system.gateway_port, system.token, count,
             settings["connections"], settings["skus"], f"batch{next(numbers):06}",
             settings["batch"]], pids)
        written = sum(bench_records.ends_of("orders.inbox")) - before
        if written != count:
            raise SystemExit(f"bench: {written} records for {count} lines")
        return note("product", one)

    def librdkafka():
        before = sum(bench_records.ends_of(RAW))
        one = http_load.run(
            [bench.program("bench_produce"), os.environ["ORDERLOG_KAFKA_BOOTSTRAP"], "orders.inbox", RAW, count,
             *first], {"kafka": system.server_pid("kafka")})
        written = sum(bench_records.ends_of(RAW)) - before
        if written != count:
            raise SystemExit(f"bench: {written} records for {count}")
        return note("yardstick", one)

    try:
        system.stop_roles([name for name in system.processes if name != "gateway"])
        bench_records.topic_like("orders.inbox", RAW)
        first = bench_records.ends_of("orders.inbox")
        for _ in range(3):  # the broker compiles what is hot, and the yardstick gets its records
            gateway()
        librdkafka()
        for rounds in kept.values():
            rounds.clear()
        for mine, other in bench.alternate(gateway, librdkafka):
            bench.record("records", mine, other)
    finally:
        system.stop()
