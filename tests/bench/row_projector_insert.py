# SPDX-License-Identifier: Apache-2.0
"""Orders that were placed and no more: every read model of orders.events from the start, against
COPY of the same rows into the same tables, in the same batches. Sums, whose rows are there after the
first batch, are upserted."""

import projector_load
from bench_frame import say

NAMES = ["orders", "order_timeline", "order_commands"]
SUMS = ("order_counts", "customer_counts")


def measure(bench):
    system = projector_load.write_log(bench, bench.setting("orders", 120000), ("order",))
    try:
        projector = projector_load.Projector(bench, system, NAMES)
        projector.run()  # warms up; finds the end of the log
        batches = projector.capture()
        wanted = projector.content()
        steps = [
            projector.upsert_step(table) if table in SUMS else copy_step(projector, table)
            for table in projector.tables
        ]

        def product():
            found = projector.run()
            check(projector, wanted)
            return found

        def yardstick():
            found = projector.replay(batches, steps)
            check(projector, wanted)
            return found

        for mine, other in bench.alternate(product, yardstick):
            if mine["rows"] != other["rows"]:
                raise SystemExit(f"bench: {mine['rows']} rows against {other['rows']}")
            details = projector_load.per_row(mine), projector_load.per_row(other)
            bench.record("rows", *(one["rows_per_s"] for one in details))
            bench.details.setdefault("product", []).append(details[0])
            bench.details.setdefault("yardstick", []).append(details[1])
            say(f"projector {details[0]}")
            say(f"COPY {details[1]}")
    finally:
        system.stop()


def copy_step(projector, table):
    columns = ", ".join(projector.columns(table))
    return (
        "copy",
        f"COPY (SELECT {columns} FROM bench.{table} WHERE batch = {{batch}} ORDER BY order_id)"
        " TO STDOUT (FORMAT binary)",
        f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)",
    )


def check(projector, wanted):
    if projector.content() != wanted:
        raise SystemExit(f"bench: {projector.content()} was written, not {wanted}")
