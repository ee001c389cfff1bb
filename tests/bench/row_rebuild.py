# SPDX-License-Identifier: Apache-2.0
"""The read model `orders` from offset 0 on empty tables, as one begins that is built anew: events
per second, against the rows per second of an update-heavy projector (row_projector_update.py) on the
same log. A rebuild is given the memory for larger batches: in them more of an order's events meet,
and they are written as one row. At the end all read models are brought up to date and
`orderlog verify` folds the log."""

import projector_load
import row_projector_update
import system_load
from bench_frame import say


def measure(bench):
    system = projector_load.write_log(bench, bench.setting("orders", 60000))
    try:
        projector = projector_load.Projector(bench, system, row_projector_update.NAMES)
        projector.run()  # warms up; finds the end of the log
        wanted = projector.content()
        options = ("--projector.batch.records.max", str(bench.setting("records", 400000)))

        def run(options=()):
            found = projector.run(options)
            row_projector_update.check(projector, wanted)
            return found

        for mine, other in bench.alternate(lambda: run(options), run):
            bench.record("events", per_s(mine, "records"), per_s(other, "rows"))
            details = details_of(mine)
            bench.details.setdefault("rebuild", []).append(details)
            bench.details.setdefault("b10", []).append(projector_load.per_row(other))
            say(f"rebuild {details}")
        system.start_roles(["project"])
        projector_load.await_drained(system)
        system.stop_roles(["project"])
        system_load.verify(system)
    finally:
        system.stop()


def per_s(found, what):
    return round(found[what] * 1e6 / found["us"])


def details_of(found):
    """CPU per event in µs, and what a batch was like."""
    return {
        "events_per_s": per_s(found, "records"),
        "client_cpu_us_per_event": round(found["client_cpu_us"] / found["records"], 3),
        "server_cpu_us_per_event": round(found["server_cpu_us"] / found["records"], 3),
        "events_per_batch": round(found["records"] / max(found["batches"], 1)),
        "events_per_row": round(found["records"] / found["rows"], 2),
        "events": found["records"],
    }
