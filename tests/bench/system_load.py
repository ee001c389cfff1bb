# SPDX-License-Identifier: Apache-2.0
"""Load on the whole system, and what it used meanwhile: CPU by process, records, rows, bytes."""

import json
import os
import subprocess
import time

import bench_records
from bench_frame import database, say
from bench_system import System

SETTINGS = {
    "seconds": 60,
    "warmup": 60,
    "batch": 500,
    "window": 20000,
    "connections": 2,
    "skus": 1000,
    "rate": 500,
    "partitions": 1,
}


def settings_of(bench, **defaults):
    """What bench_load is told: the command line's numbers over the row's over ours."""
    settings = SETTINGS | defaults
    return settings | {name: bench.settings[name] for name in settings if name in bench.settings}


def start_system(bench, settings):
    """Every role, with a catalogue."""
    system = System(bench.orderlog(), bench.directory, settings["partitions"], bench.config)
    try:
        say("starting every role")
        system.start()
        say(f"stocking {settings['skus']} products")
        system.stock(settings["skus"], database)
    except BaseException:
        system.stop()
        raise
    return system


class Phase:
    """What was there at one moment."""

    def __init__(self, system, with_log):
        self.at = time.monotonic()
        asking = "SELECT pid FROM pg_stat_activity WHERE application_name = 'bench_load'"
        self.cpu = system.cpu({int(pid) for pid in database(asking).split()})
        self.wal = int(database("SELECT pg_current_wal_lsn() - '0/0'"))
        self.lags = system.lags()
        if with_log:
            self.offsets = bench_records.end_offsets()
            self.log_bytes = bench_records.log_bytes(system.directory)


def generate_load(bench, system, kind, settings, tag):
    """Runs bench_load throughput or latency; returns what it found and what was there at its phases.
    `tag` begins the keys of its orders."""
    program = bench.program("bench_load")
    options = [f"{name}={value}" for name, value in settings.items() if name != "partitions"]
    options += [
        f"gateway={system.gateway}",
        f"token={system.token}",
        f"postgres={os.environ['ORDERLOG_POSTGRES']}",
        f"bootstrap={os.environ['ORDERLOG_KAFKA_BOOTSTRAP']}",
        f"tag={tag}",
    ]
    # Named, so that what PostgreSQL does for the measurement is not counted as the system's.
    environment = os.environ | {"PGAPPNAME": "bench_load"}
    load = subprocess.Popen(
        [program, kind, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    system.processes["load generator"] = load
    phases, found = {}, None
    for line in load.stdout:
        word, _, name = line.strip().partition(" ")
        if word == "phase":
            say(f"{kind}: {name}")
            phases[name] = Phase(system, kind == "throughput")
            load.stdin.write("\n")
            load.stdin.flush()
        elif line.startswith("{"):
            found = json.loads(line)
    status = load.wait()
    del system.processes["load generator"]
    if system.dead():
        raise SystemExit(f"bench: {', '.join(system.dead())} ended during the run")
    if found is None:
        raise SystemExit(f"bench: the load generator failed with status {status}")
    begin, end = phases["begin"], phases["end"]
    orders = found["orders"]
    found["cpu_us_per_order"] = {
        name: round((used - begin.cpu.get(name, 0)) * 1e6 / orders, 1)
        for name, used in sorted(end.cpu.items())
    }
    found["cpu_cores_busy"] = round(
        sum(end.cpu.values()) - sum(begin.cpu.get(name, 0) for name in end.cpu), 2
    ) / round(end.at - begin.at, 2)
    found["wal_bytes_per_order"] = round((end.wal - begin.wal) / orders)
    found["lags"] = end.lags
    found["memory"] = system.memory()
    return found, begin, end


def rows_per_order(orders):
    """Rows written by table; PostgreSQL counts them with a delay of up to ten seconds."""
    deadline = time.monotonic() + 20
    sql = (
        "SELECT json_object_agg(relname, json_build_array(n_tup_ins, n_tup_upd, n_tup_hot_upd))"
        " FROM pg_stat_user_tables WHERE n_tup_ins + n_tup_upd > 0"
    )
    counts = json.loads(database(sql))
    while counts["orders"][0] < orders and time.monotonic() < deadline:
        counts = json.loads(database(sql))
    return {
        table: {
            "inserted": round(inserted / orders, 2),
            "updated": round(updated / orders, 2),
            "updated_hot": round(hot / orders, 2),
        }
        for table, (inserted, updated, hot) in sorted(counts.items())
    }


def records_per_order(begin, end, orders):
    result = {}
    for topic, row in sorted(bench_records.count_records(begin.offsets, end.offsets).items()):
        result[topic] = {name: round(count / orders, 4) for name, count in row.items()}
    for topic, size in end.log_bytes.items():
        grown = size - begin.log_bytes.get(topic, 0)
        if grown > 0:
            result.setdefault(topic, {})["log_bytes"] = round(grown / orders, 1)
    return result


def verify(system):
    """The program's own check of log against database: a run that fails it has no figures."""
    say("verifying")
    done = system.tool("verify", check=False)
    if done.returncode != 0:
        raise SystemExit(f"bench: log and database disagree:\n{done.stdout}")
