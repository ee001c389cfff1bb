# SPDX-License-Identifier: Apache-2.0
"""All roles and servers on this machine: batches over HTTP until PostgreSQL shows every order
completed. Rounds follow one another on one log; what an order costs is of the last of them.

Two partitions, and a projector's thread for each: with one, PostgreSQL's connection for the events of orders
is what everything waits for. The window lets as many orders be under way as the batches hold that are applied and
read ahead, and what the processors need: more would wait among these, an order's life would pass through more
batches, and each of them writes its row once more."""

import system_load
import system_print

CONFIG = {"projector.threads": "2"}


def measure(bench):
    bench.config = CONFIG | bench.config
    settings = system_load.settings_of(bench, seconds=20, partitions=2, window=24000)
    system = system_load.start_system(bench, settings)
    orders = 0
    try:
        for number in range(bench.rounds):
            found, begin, end = system_load.generate_load(
                bench, system, "throughput", settings, f"whole{number}")
            if not found["good"]:
                raise SystemExit("bench: not every order was completed")
            settings["warmup"] = 5  # the pipe is to be full again
            orders += found["orders_all"]
            bench.record("orders", found["completed_per_s"])
            system_print.print_throughput(found)
        found["records_per_order"] = system_load.records_per_order(begin, end, found["orders"])
        found["rows_per_order"] = system_load.rows_per_order(orders)
        bench.details.update(found)
        system_print.print_cpu(found)
        system_print.print_records(
            found["records_per_order"], found["rows_per_order"], found["wal_bytes_per_order"])
        system_load.verify(system)
    finally:
        system.stop()
