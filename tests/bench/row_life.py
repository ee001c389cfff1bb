# SPDX-License-Identifier: Apache-2.0
"""Orders at fixed times, one POST each, whether or not earlier ones are answered: every step of their
lives, counted from when each was meant to be sent."""

import system_load
import system_print


def measure(bench):
    settings = system_load.settings_of(bench, seconds=30)
    system = system_load.start_system(bench, settings)
    try:
        for number in range(bench.rounds):
            found, _, _ = system_load.generate_load(
                bench, system, "latency", settings, f"life{number}")
            if not found["good"]:
                raise SystemExit("bench: not every order was completed")
            settings["warmup"] = 1
            bench.record("confirmed_p99", found["confirmed"]["p99_ms"])
            bench.details.update(found)
            system_print.print_latency(found)
        system_print.print_cpu(found)
        system_load.verify(system)
    finally:
        system.stop()
