# SPDX-License-Identifier: Apache-2.0
"""Whole lives of orders as live load left them in the log: the read model `orders` from the start,
which inserts each order once and updates it wherever a batch has more of its events, against bare
SQL that is given the same rows, folded already, in the same batches."""

import projector_load
from bench_frame import say
from projector_load import arrays

NAMES = ["orders"]
# What changes in an order's life.
CHANGING = (
    "version", "status", "reservation_status", "payment_status", "shipment_status",
    "captured_minor", "close_reason", "close_detail", "case_reason", "tracking", "confirmed_at",
    "dispatched_at", "delivered_at", "closed_at", "updated_at",
)


def measure(bench):
    system = projector_load.write_log(bench, bench.setting("orders", 60000))
    try:
        projector = projector_load.Projector(bench, system, NAMES)
        projector.run()  # warms up; finds the end of the log
        batches = projector.capture()
        wanted = projector.content()
        steps = steps_of(projector)

        def product():
            found = projector.run()
            check(projector, wanted)
            return found

        def yardstick():
            found = projector.replay(batches, steps)
            check(projector, wanted)
            return found

        for mine, other in bench.alternate(product, yardstick):
            details = projector_load.per_row(mine), projector_load.per_row(other)
            bench.record("rows", *(one["rows_per_s"] for one in details))
            bench.details.setdefault("product", []).append(details[0])
            bench.details.setdefault("yardstick", []).append(details[1])
            bench.details["records"] = mine["records"]
            say(f"projector {details[0]}")
            say(f"SQL {details[1]}")
    finally:
        system.stop()


def steps_of(projector):
    """Binary arrays through unnest, in key order; an update is guarded by its version."""
    columns = projector.columns("orders")
    changes = ", ".join(f"{name} = u.{name}" for name in CHANGING)
    changing = ("order_id", *CHANGING)
    return (
        (
            "statement",
            arrays("bench.orders", columns, ["order_id"], "op = 'INSERT'"),
            f"INSERT INTO orders ({', '.join(columns)})"
            f" SELECT * FROM {projector.unnest('orders', columns)} AS u"
            " ON CONFLICT (order_id) DO NOTHING",
        ),
        (
            "statement",
            arrays("bench.orders", changing, ["order_id"], "op = 'UPDATE'"),
            f"UPDATE orders o SET {changes}"
            f" FROM {projector.unnest('orders', changing)} AS u ({', '.join(changing)})"
            " WHERE o.order_id = u.order_id AND o.version < u.version",
        ),
        (
            "statement",
            arrays("bench.order_line_sets", ("order_id", "lines"), ["order_id"]),
            "INSERT INTO order_line_sets"
            f" SELECT * FROM {projector.unnest('order_line_sets', ('order_id', 'lines'))} AS u"
            " ON CONFLICT DO NOTHING",
        ),
        projector.upsert_step("order_counts"),
        projector.upsert_step("customer_counts"),
    )


def check(projector, wanted):
    if projector.content() != wanted:
        raise SystemExit(f"bench: {projector.content()} was written, not {wanted}")
