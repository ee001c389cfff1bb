# SPDX-License-Identifier: Apache-2.0
"""Orders at fixed times against the rival in Kafka Streams, which commits as often as it can: from
when an order was meant to be sent to its shipment being booked, and to its being visible. With
sweep=1 also at other rates and beside the usual back end, for the plots, without targets."""

import peer_nestjs
import peer_streams
import system_load
import system_print
from bench_frame import say
from bench_system import ROLES

RATE = 1000
SWEEP = (50, 200, 5000)
NESTJS_RATES = (50, 200)
STREAMS = {"KS_OPTS": "commit.interval.ms=5"}


def measure(bench):
    peer_streams.build()
    settings = system_load.settings_of(bench, seconds=15, warmup=30)
    system = system_load.start_system(bench, settings)
    runs = 0

    def product(rate):
        nonlocal runs
        runs += 1
        if not system.processes:
            system.start_roles(ROLES)
        found, _, _ = system_load.generate_load(
            bench, system, "latency", settings | {"rate": rate}, f"open{runs}")
        settings["warmup"] = 5
        return found

    def peer(run):
        if system.processes:
            system.stop_roles(list(system.processes))
        return run()

    def streams(rate):
        return peer(lambda: peer_streams.latency(rate, system.server_pid("kafka"), **STREAMS))

    try:
        rate = bench.setting("rate", RATE)
        for mine, other in bench.alternate(lambda: product(rate), lambda: streams(rate)):
            if not mine["good"]:
                raise SystemExit("bench: not every order was completed")
            for step in ("booked", "visible"):
                for point in ("p50", "p99"):
                    name = f"{point}_ms"
                    bench.record(f"{step}_{point}", mine[step][name], other[name])
            keep(bench, "orderlog", rate, mine)
            keep(bench, "kafka-streams", rate, other)
            system_print.print_latency(mine)
            say(f"peer {other}")
        if bench.setting("sweep", 0):
            sweep(bench, product, streams, peer)
        if not system.processes:
            system.start_roles(ROLES)
        system_load.verify(system)
    finally:
        system.stop()


def sweep(bench, product, streams, peer):
    """What is overloaded has no figures at that rate: the plot marks it."""
    peer_nestjs.build()
    for rate in SWEEP:
        attempt(bench, "orderlog", rate, product)
        attempt(bench, "kafka-streams", rate, streams)
    for rate in NESTJS_RATES:
        attempt(bench, "nestjs", rate, lambda rate: peer(lambda: peer_nestjs.latency(rate)))


def attempt(bench, name, rate, run):
    try:
        found = run(rate)
    except (SystemExit, OSError) as failure:
        say(f"{name} at {rate}/s: overloaded: {failure}")
        found = {"overloaded": str(failure)}
    if found.get("good") is False:
        found["overloaded"] = "not every order was completed in time"
    keep(bench, name, rate, found)


def keep(bench, name, rate, found):
    runs = bench.details.setdefault("latency", {}).setdefault(name, {})
    runs.setdefault(str(rate), []).append(found)
