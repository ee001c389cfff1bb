# SPDX-License-Identifier: Apache-2.0
"""The processors alone, from placed to a booked shipment, against the same saga in Kafka Streams:
the orders wait in the log, what decides them is warm and stands still, then it is let go.

The two take turns on one broker, which has compiled what is hot for either before the rounds that count. Each
round of either begins with topics of its own and as many
orders of warm-up, so that both hold the same number of orders in memory. The peer's process is its
whole application; ours are the four roles together, the carrier keeping what was booked."""

import json
import os
import signal
import subprocess
import time

import peer_streams
from bench_frame import say
from bench_system import System, cpu_s, pause
from confluent_kafka.admin import AdminClient

ROLES = ("order", "inventory", "payment", "shipping")
WARMUPS = 3  # of either: so long the broker's JIT goes on finding work
ORDERS = 200000
WARMUP = 100000  # what the peer's JVM wants
SKUS = 10000  # as many as the peer has
PARTITIONS = 1  # with one worker a role more of them only make more requests
CONFIG = {"carrier.mode": "manual"}  # nobody dispatches: what is booked stays so


def until(done, what):
    deadline = time.monotonic() + 30
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: {what} do not go away")
        pause(0.1)


def remove(admin):
    """Topics and groups of the round before. A group's static members are missed only after
    their session."""
    groups = [group.id for group in admin.list_groups() if group.id.startswith("orderlog.")]
    until(lambda: all(not group.members for group in admin.list_groups() if group.id in groups),
          "members of groups")
    topics = [name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")]
    removed = admin.delete_consumer_groups(groups) if groups else {}
    removed = removed | (admin.delete_topics(topics) if topics else {})
    for done in removed.values():
        done.result(30)
    until(lambda: not set(topics) & set(admin.list_topics(timeout=10).topics), "topics")


def roles_cpu(system):
    return {name: cpu_s(system.processes[name].pid) for name in ROLES}


def load(bench, system, orders):
    """Runs bench_saga; returns what it found, and seconds of CPU by role and of the broker."""
    order = system.processes["order"]
    broker = system.server_pid("kafka")
    command = [bench.program("bench_saga"), "--config", system.config, "--orders", str(orders)]
    command += ["--warmup", str(bench.setting("warmup", WARMUP)), "--skus", str(SKUS)]
    saga = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    cpu, found = {}, None
    try:
        for line in saga.stdout:
            word, _, name = line.strip().partition(" ")
            if word == "phase":
                if name == "fill":
                    order.send_signal(signal.SIGSTOP)
                if name == "begin":
                    pause(1)  # as the peer does
                cpu[name] = roles_cpu(system) | {"kafka": cpu_s(broker)}
                saga.stdin.write("\n")
                saga.stdin.flush()
                if name == "begin":
                    order.send_signal(signal.SIGCONT)
            elif line.startswith("{"):
                found = json.loads(line)
    finally:
        order.send_signal(signal.SIGCONT)
    if saga.wait() != 0 or found is None:
        raise SystemExit("bench: bench_saga failed")
    if system.dead():
        raise SystemExit(f"bench: {', '.join(system.dead())} ended during the run")
    return found, {name: used - cpu["begin"][name] for name, used in cpu["end"].items()}


def run_ours(bench, orders):
    remove(AdminClient({"bootstrap.servers": os.environ["ORDERLOG_KAFKA_BOOTSTRAP"]}))
    partitions = bench.setting("partitions", PARTITIONS)
    system = System(bench.orderlog(), bench.directory, partitions, CONFIG | bench.config)
    try:
        system.start(ROLES)
        found, cpu = load(bench, system, orders)
        memory = {name: system.memory()[name]["peak_mib"] for name in ROLES}
    finally:
        system.stop()
    per_order = {name: used * 1e6 / orders for name, used in cpu.items()}
    found["cpu_us_per_order"] = {name: round(us, 1) for name, us in per_order.items()}
    found["cpu_us"] = sum(per_order[name] for name in ROLES)
    found["memory_mib"] = memory
    say(f"orderlog: {found}")
    return found


def run_peer(bench, orders):
    broker = int((bench.directory / "kafka.pid").read_text().split()[0])
    found = peer_streams.throughput(orders, broker, WARMUP=bench.setting("warmup", WARMUP))
    say(f"peer: {found}")
    return found


def measure(bench):
    orders = bench.setting("orders", ORDERS)
    peer_streams.build()
    for _ in range(bench.setting("warmups", WARMUPS)):
        run_ours(bench, orders)
        run_peer(bench, orders)
    rounds = bench.alternate(lambda: run_ours(bench, orders), lambda: run_peer(bench, orders))
    for ours, peer in rounds:
        bench.record("orders", ours["orders_per_s"], peer["orders_per_s"])
        bench.record("cpu", ours["cpu_us"], peer["app_cpu_s"] * 1e6 / orders)
        bench.record("memory", sum(ours["memory_mib"].values()), peer["app_rss_peak_mib"])
        bench.details.setdefault("rounds", []).append({"orderlog": ours, "peer": peer})
