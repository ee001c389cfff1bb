# SPDX-License-Identifier: Apache-2.0
"""Runs the rival in Kafka Streams (BENCH_PEERS, folder kafka-streams) on the row's broker: the same
saga, order to shipment, seven hops, exactly once. What it prints as JSON comes back as a dict."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

FOLDER = "kafka-streams"
TIMEOUT_S = 300


def folder():
    found = pathlib.Path(os.environ.get("BENCH_PEERS", "")) / FOLDER
    if not (found / "run").exists():
        raise SystemExit(f"peers not found: {found}")
    for needed in ("java", "mvn"):
        if shutil.which(needed) is None:
            raise SystemExit(f"peers need {needed}: install openjdk-17-jdk-headless and maven")
    return found


def environment(broker_pid, options):
    build = pathlib.Path(tempfile.gettempdir()) / f"orderlog-peer-{FOLDER}"
    return os.environ | {
        "BOOTSTRAP": os.environ["ORDERLOG_KAFKA_BOOTSTRAP"],
        "BUILD": str(build),
        "BROKER_PID": str(broker_pid),
    } | {name: str(value) for name, value in options.items()}


def run(mode, amount, broker_pid, options):
    done = subprocess.run(
        [folder() / "run", mode, str(amount)],
        env=environment(broker_pid, options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
    )
    if done.returncode != 0:
        print(done.stderr[-4000:], file=sys.stderr)
        raise SystemExit(f"the peer failed with status {done.returncode}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["duplicate_terminals"]:
        raise SystemExit(f"the peer ended {found['duplicate_terminals']} orders twice")
    return found


def build():
    """So that no measurement waits for it; the first time it downloads what is missing."""
    command = [folder() / "run", "build"]
    subprocess.run(command, env=environment(0, {}), check=True, stdout=sys.stderr)


def throughput(orders, broker_pid=0, **options):
    """`orders` wait in the log, the warm application is let go: seconds, orders_per_s, app_cpu_s,
    broker_cpu_s, app_rss_peak_mib. `options` are the peer's, by the names of its environment:
    KS_OPTS, APP_JVM, STORE, CACHED_STORES, WARMUP."""
    return run("throughput", orders, broker_pid, options)


def latency(rate, broker_pid=0, **options):
    """Open loop at `rate` orders per second for 20 s: p50_ms, p99_ms, max_ms from the time an order
    was meant to be sent to its last event at a read_committed consumer; app_cpu_percent,
    app_rss_peak_mib."""
    return run("latency", rate, broker_pid, options)
