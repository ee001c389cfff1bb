# SPDX-License-Identifier: Apache-2.0
"""The order processor is killed under live load and started again: how many open orders it restores
per second, from reading the committed offsets to the first input. Its start as a process and its
joining the group are not in it; all that is read from topics is: snapshots as the passes left them,
the events after them, dead letters. No order ever closes: the carrier waits for people."""

import http.client
import random
import signal
import time

import system_load
from bench_frame import database, say
from bench_system import cpu_s, pause

BATCH = 20000
PATIENCE_S = 120


def batch(first, count, skus):
    """Orders of 1 to 5 lines; the number is the seed."""
    lines = []
    for number in range(first, first + count):
        draw = random.Random(number)
        items = ",".join(
            f'{{"sku":"BENCH-{sku:05}","quantity":{draw.randint(1, 3)}}}'
            for sku in draw.sample(range(skus), draw.randint(1, 5))
        )
        lines.append(
            f'{{"idempotency_key":"takeover-{number:09}","customer_id":"customer-{number:06}",'
            f'"currency":"GBP","shipping_minor":395,"lines":[{items}]}}\n'
        )
    return "".join(lines)


def place(system, first, count, skus):
    """The gateway reads no faster than the processors keep up."""
    for at in range(first, first + count, BATCH):
        part = min(BATCH, first + count - at)
        body = batch(at, part, skus)
        connection = http.client.HTTPConnection(
            "127.0.0.1", system.gateway_port, timeout=PATIENCE_S)
        headers = {
            "Authorization": f"Bearer {system.token}",
            "Content-Type": "application/x-ndjson",
        }
        connection.request("POST", "/v1/orders:batch", body, headers)
        reply = connection.getresponse().read()
        connection.close()
        accepted = reply.count(b'"status":202')
        if accepted != part:
            raise SystemExit(f"bench: {accepted} of {part} orders accepted: {reply[:300]}")


def await_metric(system, name, metric, value):
    deadline = time.monotonic() + PATIENCE_S
    while system.metrics(name).get(metric) != value:
        if time.monotonic() > deadline or system.dead():
            raise SystemExit(f"bench: {metric} of {name} is {system.metrics(name).get(metric)},"
                             f" not {value}; dead: {system.dead()}")
        pause(0.02)


def take_over(system, orders):
    """One kill; what the new process found. What is on its way to others is let through first: they
    would be on other machines."""
    system.end_role("order", signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while any(system.lags().get(name) != 0 for name in ("inventory", "payment", "shipping")):
        if time.monotonic() > deadline or system.dead():
            raise SystemExit(f"bench: no rest: {system.lags()}, dead: {system.dead()}")
        pause(0.1)
    system.start_role("order")
    system.await_ready("order")
    cpu = cpu_s(system.processes["order"].pid)
    metrics = system.metrics("order")
    if metrics["orderlog_aggregates"] != orders:
        raise SystemExit(f"bench: {metrics['orderlog_aggregates']} of {orders} orders restored")
    return {
        "orders": orders,
        "seconds": metrics["orderlog_takeover_seconds_sum"],
        "rows": metrics['orderlog_takeover_records_total{kind="snapshots"}'],
        "events": metrics['orderlog_takeover_records_total{kind="events"}'],
        "cpu_s_until_ready": round(cpu, 3),
    }


def measure(bench):
    bench.config = bench.config | {"carrier.mode": "manual"}
    settings = system_load.settings_of(bench)
    open_orders = bench.setting("orders", 200000)
    more = open_orders // 10
    system = system_load.start_system(bench, settings)
    rounds = bench.details["rounds"] = []
    try:
        # Nothing is read from PostgreSQL any more: the machine is left to the processors.
        system.end_role("project")
        say(f"placing {open_orders} orders")
        place(system, 0, open_orders, settings["skus"])
        orders = open_orders
        for _ in range(bench.rounds):
            place(system, orders, more, settings["skus"])
            orders += more
            await_metric(system, "order", "orderlog_aggregates", orders)
            found = take_over(system, orders)
            found["orders_per_s"] = round(orders / found["seconds"])
            say(f"{found}")
            rounds.append(found)
            bench.record("orders", found["orders_per_s"])
        # All that was restored goes on, and is the fold of the log.
        system.start_role("project")
        system.await_ready("project")
        deadline = time.monotonic() + PATIENCE_S
        booked = "SELECT count(*) FROM orders WHERE shipment_status = 'BOOKED'"
        while (found := database(booked)) != str(orders):
            if time.monotonic() > deadline or system.dead():
                raise SystemExit(f"bench: {found} of {orders} orders are booked")
            pause(0.5)
        system_load.verify(system)
    finally:
        system.stop()
