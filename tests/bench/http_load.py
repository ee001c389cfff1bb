# SPDX-License-Identifier: Apache-2.0
"""Programs that say "begin" and "end" around what is measured, and the CPU of others meanwhile."""

import json
import subprocess

import bench_system
from bench_system import pause

SETTLED_S = 2  # what a server still does for what came before


def run(command, pids):
    """Runs a load. Returns what it found, with "cpu": seconds of CPU by name, of pids."""
    load = subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    used, found = {}, None
    for line in load.stdout:
        if line.startswith("{"):
            found = json.loads(line)
            continue
        if line.strip() == "begin":
            pause(SETTLED_S)
        now = {name: bench_system.cpu_s(pid) for name, pid in pids.items()}
        used = {name: now[name] - used.get(name, 0) for name in now}
        load.stdin.write("\n")
        load.stdin.flush()
    if load.wait() != 0 or found is None:
        raise SystemExit(f"bench: {command[0]} failed with status {load.returncode}")
    return found | {"cpu": used}


class BareServer:
    """bench_bare_http, for as long as the block lasts."""

    def __init__(self, bench, *words):
        self.command = [str(word) for word in (bench.program("bench_bare_http"), *words)]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *failure):
        self.process.stdin.close()
        self.process.wait()
