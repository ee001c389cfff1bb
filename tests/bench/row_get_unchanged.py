# SPDX-License-Identifier: Apache-2.0
"""Orders that callers have already (If-None-Match), over many connections: the query service's CPU
per request, authorisation included, against libmicrohttpd answering as many bytes and knowing
nothing. What PostgreSQL uses meanwhile, for the service's looks, is in the details."""

import tempfile

import http_load
import projector_load
import system_load
from bench_frame import database

ORDERS = 200
THREADS = 2  # of both: the default of query.threads


def tags():
    """"path etag" of some orders, per line."""
    sql = f"SELECT order_id, version FROM orders ORDER BY order_id LIMIT {ORDERS}"
    rows = [row.split("|") for row in database(sql).splitlines()]
    return "".join(f'/v1/orders/{order} "{version}"\n' for order, version in rows)


def measure(bench):
    settings = system_load.settings_of(bench, seconds=5, connections=64, warmup=0)
    system = system_load.start_system(bench, settings)
    used = bench.details.setdefault("cpu_us", {})
    rates = bench.details.setdefault("requests_per_s", {})

    def load(port, name, pids, file):
        command = [bench.program("bench_requests"), "get", port, system.token,
                   settings["seconds"], settings["connections"], file]
        found = http_load.run(command, pids)
        rates.setdefault(name, []).append(found["requests"] / found["seconds"])
        for process, seconds in found["cpu"].items():
            used.setdefault(f"{name}: {process}", []).append(seconds * 1e6 / found["requests"])
        return used[f"{name}: server"][-1]

    try:
        projector_load.place(bench, system, settings | {"connections": 2}, ORDERS)
        projector_load.await_drained(system)
        query = system.processes["query"].pid
        with (http_load.BareServer(bench, "get", THREADS) as bare,
              tempfile.NamedTemporaryFile("w", dir=bench.directory) as file):
            file.write(tags())
            file.flush()

            def service():
                before = http_load.postgres_cpu(system)
                mine = load(system.query_port, "product", {"server": query}, file.name)
                postgres = http_load.postgres_cpu(system) - before
                bench.details.setdefault("postgres_cores", []).append(
                    postgres / (settings["seconds"] + http_load.SETTLED_S))
                return mine

            def bare_server():
                return load(bare.port, "yardstick", {"server": bare.process.pid}, file.name)

            for mine, other in bench.alternate(service, bare_server):
                bench.record("cpu", mine, other)
    finally:
        system.stop()
