# SPDX-License-Identifier: Apache-2.0
"""Orders read over HTTP at 64 connections, each order again only after all others, against pgbench
that looks the same rows up in pipelines, as many under way, and against the usual back end."""

import json
import random
import re
import subprocess
import urllib.request

import http_load
import projector_load
import system_load
from bench_frame import database, say
from bench_system import ROLES

CONNECTIONS = 64
CLIENTS = 4  # of pgbench: each with a pipeline of 16
DEEP = CONNECTIONS // CLIENTS
IDS = 256  # fetched at once by a client of pgbench: next to nothing beside looking them up
LOOKUP = (
    "SELECT o.*, s.lines FROM orders o JOIN order_line_sets s USING (order_id)"
    " WHERE o.order_id = :i{}"
)


def measure(bench):
    seconds = bench.setting("seconds", 6)
    settings = system_load.settings_of(bench)
    system = system_load.start_system(bench, settings)
    try:
        projector_load.place(bench, system, settings, bench.setting("orders", 50000))
        projector_load.await_drained(system)
        system.stop_roles([name for name in ROLES if name != "query"])
        database("VACUUM ANALYZE orders, order_line_sets")
        ids = database("SELECT order_id FROM orders ORDER BY order_id").split()
        random.Random(1).shuffle(ids)
        check(system, ids[:200])
        path = bench.directory / "ids"
        path.write_text("\n".join(ids) + "\n")
        script = lookups(bench, ids)

        def product():
            server = projector_load.server_cpu_s(system)
            found = http_load.run(
                [bench.program("bench_reads"), system.query_port, system.token, seconds,
                 CONNECTIONS, path],
                {"query": system.processes["query"].pid})
            server = projector_load.server_cpu_s(system) - server
            return per_request(found["requests"], found["seconds"], found["cpu"]["query"], server)

        def yardstick():
            server = projector_load.server_cpu_s(system)
            rate = pgbench(script, len(ids) // IDS, seconds)
            server = projector_load.server_cpu_s(system) - server
            return per_request(rate * seconds, seconds, 0, server)

        product()  # warms up
        for mine, other in bench.alternate(product, yardstick):
            bench.record("pgbench", mine["per_s"], other["per_s"])
            bench.details.setdefault("product", []).append(mine)
            bench.details.setdefault("yardstick", []).append(other)
            say(f"query {mine}")
            say(f"pgbench {other}")
    finally:
        system.stop()
    against_nestjs(bench)


def per_request(requests, seconds, query_s, server_s):
    return {
        "per_s": round(requests / seconds),
        "query_cpu_us": round(query_s * 1e6 / requests, 1),
        "postgresql_cpu_us": round(server_s * 1e6 / requests, 1),
    }


def check(system, ids):
    """What is answered is what is in the tables."""
    for order_id in ids:
        request = urllib.request.Request(
            f"http://127.0.0.1:{system.query_port}/v1/orders/{order_id}",
            headers={"Authorization": f"Bearer {system.token}"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            got = json.load(reply)
            tag = reply.headers["ETag"]
        row = json.loads(database(
            "SELECT row_to_json(x) FROM (SELECT o.*, (SELECT json_agg(l) FROM (SELECT sku,"
            " quantity, unit_price_minor, price_version FROM order_lines WHERE order_id ="
            " o.order_id ORDER BY line_no) l) AS lines FROM orders o"
            f" WHERE order_id = '{order_id}') x"))
        for name in ("order_id", "version", "status", "total_minor", "lines", "customer_id"):
            if got[name] != row[name]:
                raise SystemExit(f"bench: {order_id}: {name} is {got[name]}, not {row[name]}")
        if tag != f'"{row["version"]}"':
            raise SystemExit(f"bench: {order_id}: ETag {tag} of version {row['version']}")


def lookups(bench, ids):
    """A script of pgbench that fetches IDS ids and looks each of them up."""
    database("CREATE SCHEMA bench")
    names = [f"i{number}" for number in range(IDS)]
    database(f"CREATE TABLE bench.ids (n integer PRIMARY KEY, {' uuid, '.join(names)} uuid)")
    rows = "\n".join(
        "\t".join([str(first // IDS), *ids[first:first + IDS]])
        for first in range(0, len(ids) - IDS + 1, IDS))
    path = bench.directory / "ids.copy"
    path.write_text(rows + "\n")
    database(f"\\copy bench.ids FROM {path}")
    script = [f"\\set n random(0, :rows - 1)\nSELECT {', '.join(names)} FROM bench.ids"
              " WHERE n = :n\n\\gset"]
    for first in range(0, IDS, DEEP):
        script.append("\\startpipeline")
        script += [LOOKUP.format(number) + ";" for number in range(first, first + DEEP)]
        script.append("\\endpipeline")
    path = bench.directory / "lookups.pgbench"
    path.write_text("\n".join(script) + "\n")
    return path


def pgbench(script, rows, seconds):
    """Look-ups per second."""
    done = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1", "-T", str(seconds),
         "-D", f"rows={rows}", "-f", script, projector_load.conninfo()],
        check=True, stdout=subprocess.PIPE, text=True)
    return float(re.search(r"tps = ([0-9.]+)", done.stdout).group(1)) * IDS


def against_nestjs(bench):
    try:
        import peer_nestjs
    except ImportError:
        return
    for number, mine in enumerate(bench.measured["pgbench"]["product"]):
        say(f"nestjs, round {number + 1}")
        found = peer_nestjs.read(bench)
        bench.record("nestjs", mine, found["requests_per_s"])
        bench.details.setdefault("nestjs", []).append(found)
