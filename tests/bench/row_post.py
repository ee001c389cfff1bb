# SPDX-License-Identifier: Apache-2.0
"""Single orders over many connections, each acknowledged when the broker has it: the gateway's CPU
per request, against a server that reads the same request, answers as many bytes and knows nothing.
The processors stand still, so that the machine is the gateway's, the broker's and the load's."""

import bench_records
import http_load
import system_load

ANSWER_BYTES = 210  # of the gateway's body
THREADS = 1  # of both: the default of gateway.threads
WARMUPS = 4  # until the broker's JVM has compiled what is hot: a slow broker makes small batches
CONFIG = {"gateway.backlog.ms.max": 3600000}


def measure(bench):
    bench.config = CONFIG | bench.config
    settings = system_load.settings_of(bench, seconds=5, connections=64)
    system = system_load.start_system(bench, settings)
    system.stop_roles([name for name in system.processes if name != "gateway"])
    numbers = iter(range(1000000))
    seconds, connections = settings["seconds"], settings["connections"]

    def load(port, name, pids):
        command = [bench.program("bench_requests"), "post", port, system.token, seconds,
                   connections, settings["skus"], f"post{next(numbers):06}"]
        found = http_load.run(command, pids)
        for process, used in found["cpu"].items():
            key = f"{name}: {process}"
            bench.details.setdefault("cpu_us", {}).setdefault(key, []).append(
                used * 1e6 / found["requests"])
        bench.details.setdefault("requests_per_s", {}).setdefault(name, []).append(
            found["requests"] / found["seconds"])
        return found

    def gateway():
        pids = {"gateway": system.processes["gateway"].pid, "kafka": system.server_pid("kafka")}
        before = sum(bench_records.ends_of("orders.inbox"))
        found = load(system.gateway_port, "product", pids)
        written = sum(bench_records.ends_of("orders.inbox")) - before
        if written != found["requests"]:
            raise SystemExit(f"bench: {written} records for {found['requests']} requests")
        return found["cpu"]["gateway"] * 1e6 / found["requests"]

    try:
        with http_load.BareServer(bench, "post", THREADS, ANSWER_BYTES) as bare:
            def bare_server():
                found = load(bare.port, "yardstick", {"server": bare.process.pid})
                return found["cpu"]["server"] * 1e6 / found["requests"]

            for _ in range(WARMUPS):
                gateway()
            bench.details.clear()
            for mine, other in bench.alternate(gateway, bare_server):
                bench.record("cpu", mine, other)
    finally:
        system.stop()
