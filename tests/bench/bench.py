# SPDX-License-Identifier: Apache-2.0
"""Runs the measurements of tests/bench/run on servers that it has started, and prints the table."""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import bench_records
from bench_system import System

HERE = pathlib.Path(__file__).parent
SETTINGS = {
    "seconds": 60,
    "warmup": 60,
    "batch": 500,
    "window": 8000,
    "connections": 2,
    "skus": 1000,
    "rate": 500,
    "partitions": 1,
}
TARGETS = {"throughput": 3000, "confirmed_p99_ms": 100}


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def database(sql):
    command = ["psql", "-XAtq", "-d", os.environ["ORDERLOG_POSTGRES"], "-c", sql]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def machine():
    model = [
        line.split(":", 1)[1].strip()
        for line in open("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    memory = int(open("/proc/meminfo").readline().split()[1]) // 1024
    commit = subprocess.run(
        ["git", "-C", HERE, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True
    )
    return {
        "cpu": model[0] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory,
        "kernel": platform.release(),
        "postgresql": database("SHOW server_version"),
        "commit": commit.stdout.strip(),
        "date": datetime.date.today().isoformat(),
    }


class Phase:
    """What was there at one moment."""

    def __init__(self, system, with_log):
        self.at = time.monotonic()
        asking = "SELECT pid FROM pg_stat_activity WHERE application_name = 'bench_load'"
        self.cpu = system.cpu({int(pid) for pid in database(asking).split()})
        self.wal = int(database("SELECT pg_current_wal_lsn() - '0/0'"))
        if with_log:
            self.offsets = bench_records.end_offsets()
            self.log_bytes = bench_records.log_bytes(system.directory)


def generate_load(system, kind, settings):
    """Runs bench_load; returns what it found and what was there at its phases."""
    program = pathlib.Path(os.environ["BENCH_BUILD"]) / "tests" / "bench" / "bench_load"
    options = [f"{name}={value}" for name, value in settings.items() if name != "partitions"]
    options += [
        f"gateway={system.gateway}",
        f"token={system.token}",
        f"postgres={os.environ['ORDERLOG_POSTGRES']}",
        f"bootstrap={os.environ['ORDERLOG_KAFKA_BOOTSTRAP']}",
        f"tag={kind}",
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
            phases[name] = system.lags() if name == "sent" else Phase(system, kind == "throughput")
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
    found["lags_when_sent"] = phases.get("sent")
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
    """The program's own check of log against database; None where it has none."""
    if "verify" not in system.tool("--help", check=False).stdout:
        return None
    done = system.tool("verify", check=False)
    if done.returncode != 0:
        print(done.stdout)
    return done.returncode == 0


# ---- the table -----------------------------------------------------------------------------------


def print_throughput(found):
    per_s = found["completed_per_s"]
    met = "met" if per_s >= TARGETS["throughput"] else "MISSED"
    print(f"\nSustained, HTTP batch to COMPLETED in PostgreSQL: {per_s:,} orders/s"
          f"   (target {TARGETS['throughput']:,}: {met})")
    print(f"  {found['orders']:,} orders in {found['total_s']:.1f} s; the gateway took"
          f" {found['accepted_per_s']:,}/s; {found['resent_batches']} batches resent;"
          f" {found['cpu_cores_busy']:.2f} cores busy")
    print(f"  behind when the load ended: {found['lags_when_sent']}")


def print_cpu(found):
    print(f"\n{'CPU per order':24}{'µs':>8}   {'memory now':>12}{'peak':>8}  MiB")
    rows = sorted(found["cpu_us_per_order"].items(), key=lambda row: -row[1])
    for name, used in rows:
        memory = found["memory"].get(name)
        text = f"   {memory['now_mib']:12.0f}{memory['peak_mib']:8.0f}" if memory else ""
        print(f"  {name:22}{used:8.1f}{text}")
    print(f"  {'all':22}{sum(used for _, used in rows):8.1f}")


def print_records(records, rows, wal_bytes):
    print(f"\n{'Written per order':24}{'records':>9}{'groups':>9}{'markers':>9}"
          f"{'payload B':>11}{'log B':>9}")
    columns = ("records", "groups", "markers", "payload_bytes", "log_bytes")
    total = dict.fromkeys(columns, 0)
    for topic, row in records.items():
        print(f"  {topic:22}{row.get('records', 0):9.2f}{row.get('groups', 0):9.3f}"
              f"{row.get('markers', 0):9.3f}{row.get('payload_bytes', 0):11.0f}"
              f"{row.get('log_bytes', 0):9.0f}")
        for column in columns:
            total[column] += row.get(column, 0)
    print(f"  {'all':22}{total['records']:9.2f}{total['groups']:9.3f}{total['markers']:9.3f}"
          f"{total['payload_bytes']:11.0f}{total['log_bytes']:9.0f}")
    for table, row in rows.items():
        print(f"  {table:22}{row['inserted']:9.2f} rows inserted, {row['updated']:.2f} updated"
              f" ({row['updated_hot']:.2f} in place)")
    print(f"  write-ahead log {wal_bytes:,} bytes")


LATENCIES = (
    ("sent_late", "sent late (generator)"),
    ("accepted", "→ 202"),
    ("placed_in_log", "→ OrderPlaced in log"),
    ("confirmed", "→ OrderConfirmed in log"),
    ("booked", "→ shipment booked in log"),
    ("completed", "→ OrderCompleted in log"),
    ("visible", "→ visible in PostgreSQL"),
    ("confirmed_visible", "→ confirmed, visible"),
    ("completed_visible", "→ completed, visible"),
)


def print_latency(found):
    p99 = found["confirmed"].get("p99_ms", float("inf"))
    met = "met" if p99 <= TARGETS["confirmed_p99_ms"] else "MISSED"
    print(f"\nOpen loop, {found['rate']} orders/s, {found['orders']:,} single POSTs, from the"
          f" intended time; {found['refused']} refused; {found['cpu_cores_busy']:.2f} cores busy")
    print(f"  place → confirmed p99 {p99:.1f} ms   (target {TARGETS['confirmed_p99_ms']}: {met})")
    print(f"  {'ms':26}{'p50':>8}{'p90':>8}{'p99':>8}{'p99.9':>8}{'max':>8}")
    for name, label in LATENCIES:
        row = found[name]
        if row["count"]:
            print(f"  {label:26}" + "".join(
                f"{row[point]:8.1f}" for point in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")
            ))


def main():
    names = [word for word in sys.argv[1:] if "=" not in word] or ["throughput", "latency"]
    given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    config = {name: value for name, value in given.items() if "." in name}
    settings = SETTINGS | {name: int(value) for name, value in given.items() if "." not in name}
    program = pathlib.Path(os.environ["BENCH_BUILD"]) / "src" / "cli" / "orderlog"
    system = System(program, os.environ["BENCH_DIR"], settings["partitions"], config)
    results = {"machine": machine(), "settings": settings | config}
    good = True
    try:
        say("starting every role")
        system.start()
        say(f"stocking {settings['skus']} products")
        system.stock(settings["skus"], database)
        results["memory_idle"] = system.memory()
        for name in names:
            found, begin, end = generate_load(system, name, settings)
            results[name] = found
            good = found["good"] and good
            if name == "throughput":
                say("counting records")
                found["records_per_order"] = records_per_order(begin, end, found["orders"])
                found["rows_per_order"] = rows_per_order(found["orders"] + found["orders_warmup"])
        say("verifying")
        results["verified"] = verify(system)
        good = good and results["verified"] is not False
    finally:
        system.stop()

    print("Machine:", ", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    if "throughput" in results:
        print_throughput(results["throughput"])
        print_cpu(results["throughput"])
        print_records(
            results["throughput"]["records_per_order"],
            results["throughput"]["rows_per_order"],
            results["throughput"]["wal_bytes_per_order"],
        )
    if "latency" in results:
        print_latency(results["latency"])
        print_cpu(results["latency"])
    verdict = {True: "log and database agree", False: "LOG AND DATABASE DISAGREE", None: "not run"}
    print(f"\norderlog verify: {verdict[results['verified']]}")
    print("every order was completed" if good else "NOT every order was completed: see above")
    path = HERE / "results" / f"{datetime.datetime.now():%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    say(f"written to {path.relative_to(HERE)}")
    return 0 if good else 1


sys.exit(main())
