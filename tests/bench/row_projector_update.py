# SPDX-License-Identifier: Apache-2.0
"""Whole lives of orders as live load left them in the log: the read model `orders` from the start,
which inserts each order once and updates it wherever a batch has more of its events, against bare
SQL that is given the same rows, folded already, in the same batches."""

import projector_load
from bench_frame import say

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
    lines = ("order_id", "line_no", "sku", "quantity", "unit_price_minor", "price_version")
    return (
        (
            "statement",
            arrays("bench.orders", columns, "INSERT"),
            f"INSERT INTO orders ({', '.join(columns)})"
            f" SELECT * FROM {unnest(projector, 'orders', columns)} AS u"
            " ON CONFLICT (order_id) DO NOTHING",
        ),
        (
            "statement",
            arrays("bench.orders", changing, "UPDATE"),
            f"UPDATE orders o SET {changes}"
            f" FROM {unnest(projector, 'orders', changing)} AS u ({', '.join(changing)})"
            " WHERE o.order_id = u.order_id AND o.version < u.version",
        ),
        (
            "statement",
            arrays(
                "(SELECT s.batch, s.op, s.order_id, l.* FROM bench.order_line_sets s"
                " CROSS JOIN LATERAL unnest(s.lines) AS l) AS x", lines, "INSERT"),
            "INSERT INTO order_line_sets SELECT order_id, array_agg(ROW(line_no, sku, quantity,"
            " unit_price_minor, price_version)::order_line ORDER BY line_no)"
            " FROM unnest($1::uuid[], $2::int4[], $3::text[], $4::int8[], $5::int8[], $6::int8[])"
            f" AS u ({', '.join(lines)}) GROUP BY order_id ORDER BY order_id"
            " ON CONFLICT DO NOTHING",
        ),
    )


def arrays(source, columns, op):
    aggregates = ", ".join(f"array_agg({name} ORDER BY order_id)" for name in columns)
    return f"SELECT {aggregates} FROM {source} WHERE batch = {{batch}} AND op = '{op}'"


def unnest(projector, table, columns):
    types = projector.types(table)
    parameters = (f"${n + 1}::{types[name]}[]" for n, name in enumerate(columns))
    return f"unnest({', '.join(parameters)})"


def check(projector, wanted):
    if projector.content() != wanted:
        raise SystemExit(f"bench: {projector.content()} was written, not {wanted}")
