# SPDX-License-Identifier: Apache-2.0
"""One OrderPlaced of three lines, encoded and decoded by our codec and by avro-c's generic values.
Instructions are the difference of two runs of different length, so that what comes before and after
does not count; they hardly differ from round to round, so there are at most two."""

import re
import subprocess

COUNTS = (1000, 3000)
TIMED = 200000


def instructions(program, kind):
    counted = []
    for count in COUNTS:
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        done = subprocess.run(
            [*command, program, kind, str(count)], check=True, capture_output=True, text=True)
        counted.append(int(re.search(r"Collected : (\d+)", done.stderr).group(1)))
    return (counted[1] - counted[0]) / (COUNTS[1] - COUNTS[0])


def nanoseconds(program, kind):
    done = subprocess.run(
        [program, kind, str(TIMED)], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def measure(bench):
    program = bench.program("bench_codec")
    for _ in range(min(bench.rounds, 2)):
        for what in ("encode", "decode"):
            ours, theirs = f"ours-{what}", f"avroc-{what}"
            bench.record(what, instructions(program, ours), instructions(program, theirs))
    for what in ("encode", "decode"):
        pairs = list(bench.alternate(
            lambda what=what: nanoseconds(program, f"ours-{what}"),
            lambda what=what: nanoseconds(program, f"avroc-{what}")))
        bench.details[f"{what}_ns"] = {
            "product": [mine for mine, _ in pairs], "yardstick": [other for _, other in pairs]}
