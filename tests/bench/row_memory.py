# SPDX-License-Identifier: Apache-2.0
"""Memory. Every role idle, after its start with a catalogue; and what the order processor holds for
an open and for a closed order, counted by its own allocator (bench_memory.c)."""

import subprocess

import system_load

MIB = 1024 * 1024


def measure_state(bench):
    program = bench.program("bench_memory")
    done = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True)
    held = bench.details["bytes_and_ns_per_input"] = {
        name: (float(size), float(ns))
        for name, size, ns in (line.split() for line in done.stdout.splitlines())
    }
    bench.record("open", held["open"][0])
    bench.record("closed", held["closed"][0] * 1e6 / MIB)


def measure(bench):
    measure_state(bench)
    system = system_load.start_system(bench, system_load.settings_of(bench))
    try:
        memory = system.memory()
        roles = {name: memory[name]["now_mib"] for name in system.processes}
        bench.details["memory"] = memory
        bench.details["idle_mib"] = {name: round(mib, 1) for name, mib in roles.items()}
        bench.record("idle", max(roles.values()))
    finally:
        system.stop()
