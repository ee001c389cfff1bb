# SPDX-License-Identifier: Apache-2.0
"""Runs the rival in NestJS (BENCH_PEERS, folder nestjs): order management as it is usually built,
on PostgreSQL and Redis of its own. What it prints as JSON comes back as a dict."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from bench_system import free_ports

FOLDER = "nestjs"
TIMEOUT_S = 300


def folder():
    found = pathlib.Path(os.environ.get("BENCH_PEERS", "")) / FOLDER
    if not (found / "run").exists():
        raise SystemExit(f"peers not found: {found}")
    for needed in ("node", "npm", "redis-server"):
        if shutil.which(needed) is None:
            raise SystemExit(f"peers need {needed}: install nodejs 20, npm and redis-server")
    if "PGBIN" not in os.environ and shutil.which("pg_config") is None:
        raise SystemExit("peers need pg_config, or PGBIN: install libpq-dev and postgresql")
    return found


def environment(options):
    """Its servers listen where nobody else does, ours least of all, and nothing that libpq would
    read of this environment leads it to ours."""
    own = {name: value for name, value in os.environ.items()
           if name == "PGBIN" or not name.startswith("PG")}
    build = pathlib.Path(tempfile.gettempdir()) / f"orderlog-peer-{FOLDER}"
    ports = dict(zip(("PORT", "PGPORT", "REDIS_PORT"), free_ports(3)))
    return own | {
        name: str(value) for name, value in ({"BUILD": build} | ports | options).items()
    }


def build():
    """So that no measurement waits for it; the first time it downloads what is missing."""
    subprocess.run([folder() / "run", "build"], env=environment({}), check=True, stdout=sys.stderr)


def run(mode, options, *amount):
    build()
    done = subprocess.run(
        [folder() / "run", mode, *map(str, amount)],
        env=environment(options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
    )
    if done.returncode != 0:
        print(done.stderr[-4000:], file=sys.stderr)
        raise SystemExit(f"the peer failed with status {done.returncode}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if any(not code.startswith("2") for code in found["codes"]):
        raise SystemExit(f"the peer refused requests: {found['codes']}")
    if "checks" in found and not found["checks"]["ok"]:
        raise SystemExit(f"the peer's tables are wrong: {found['checks']}")
    return found


def throughput(orders, **options):
    """Closed loop, 64 connections, until the last of `orders` is shipped: orders_per_s,
    cpu_ms_per_order and rss_mb by process. `options` by the names of its environment: STORE=pg (SQL
    by hand) or prisma, WARMUP, FUSED, PROCS, CONCURRENCY, POOL."""
    return run("throughput", options, orders)


def latency(rate, **options):
    """Open loop at `rate` orders per second: p50_ms, p99_ms from the time an order was meant to be
    sent to its last status."""
    return run("latency", options, rate)


def read(bench, **options):
    """GET of one order, 64 connections: requests_per_s, p50_ms, p99_ms, cpu_percent by process and
    cpu_us_per_request of the application."""
    if "reads" in bench.settings:
        options["READS"] = bench.settings["reads"]
    found = run("read", options)
    found["cpu_us_per_request"] = round(
        found["cpu_percent"]["app"] * 1e4 * found["seconds"] / found["requests"], 1)
    return found
