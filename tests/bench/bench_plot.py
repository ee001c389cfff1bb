# SPDX-License-Identifier: Apache-2.0
"""Draws what the bench has measured, from the JSON of its results, to SVG beside them:

    $VENV/bin/python3 tests/bench/bench_plot.py tests/bench/results/*.json

latency.svg from runs of b6 with sweep=1, throughput.svg from runs of b16. Results that have neither
are passed over. A run of rows that have them draws both by itself."""

import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "orderlog"  # the same figures give the same file
import matplotlib.pyplot as plot  # noqa: E402

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
OVERLOADED_MS = 1000  # half of the orders wait this long: they queue, it is no latency any more
PEERS = {
    "orderlog": ("Orderlog", "tab:blue"),
    "kafka-streams": ("Kafka Streams", "tab:orange"),
    "nestjs": ("NestJS", "tab:green"),
}


def read_rows(paths, name):
    """The results of one row, with the settings they were measured with."""
    for path in paths:
        results = json.loads(pathlib.Path(path).read_text())
        row = results["rows"].get(name)
        if row and "error" not in row:
            yield results, row


def points(run):
    """(p50, p99) in ms of one run; None where it was overloaded."""
    if "overloaded" in run:
        return None
    booked = run.get("booked", run)
    pair = booked.get("p50_ms"), booked.get("p99_ms")
    return None if None in pair or pair[0] > OVERLOADED_MS else pair


def label_machine(figure, machine):
    text = f"{machine['cores']} cores of {machine['cpu']}, {machine['date']}, {machine['commit']}"
    figure.text(0.01, 0.01, text, fontsize=6, color="gray")


def save(figure, name):
    path = RESULTS / name
    figure.savefig(path, metadata={"Date": None})
    print(path.name)


def draw_latency(paths):
    runs = {}  # peer → rate → [run, ...]
    machine = None
    for results, row in read_rows(paths, "b6"):
        if not results["settings"].get("sweep"):
            continue
        machine = results["machine"]
        for name, rates in row["details"].get("latency", {}).items():
            for rate, found in rates.items():
                runs.setdefault(name, {}).setdefault(int(rate), []).extend(found)
    if not runs:
        return
    figure, axes = plot.subplots(figsize=(7, 4.5))
    for name, rates in runs.items():
        label, color = PEERS[name]
        good = {}
        for rate, found in sorted(rates.items()):
            pairs = [pair for pair in map(points, found) if pair]
            if pairs:
                good[rate] = [statistics.median(column) for column in zip(*pairs)]
            else:
                axes.plot([rate], [OVERLOADED_MS], "x", color=color, markersize=9)
                axes.annotate("overloaded", (rate, OVERLOADED_MS), color=color, fontsize=7,
                              textcoords="offset points", xytext=(0, 6), ha="center")
        axes.plot(list(good), [p50 for p50, _ in good.values()], "o-", color=color,
                  label=f"{label}, p50")
        axes.plot(list(good), [p99 for _, p99 in good.values()], "o--", color=color,
                  label=f"{label}, p99")
    axes.set(xscale="log", yscale="log", xlabel="orders/s, open loop",
             ylabel="placed → shipment booked, ms")
    axes.grid(True, which="both", alpha=0.2)
    axes.legend(fontsize=8)
    label_machine(figure, machine)
    save(figure, "latency.svg")


def draw_throughput(paths):
    rates = {}  # workers → [orders/s, ...]
    for results, row in read_rows(paths, "b16"):
        for one in row["details"].get("scaling with pinned workers", []):
            machine, percent = results["machine"], one["percent_of_a_core"]
            rates.setdefault(one["workers"], []).append(one["orders_per_s"])
    if not rates:
        return
    figure, axes = plot.subplots(figsize=(7, 4.5))
    counts = sorted(rates)
    medians = [statistics.median(rates[count]) for count in counts]
    axes.plot(counts, medians, "o-", color="tab:blue", label="measured")
    axes.plot(counts, [count * medians[0] / counts[0] for count in counts], "--", color="gray",
              label="as many times the first")
    for count in counts:
        axes.plot([count] * len(rates[count]), rates[count], ".", color="tab:blue", alpha=0.4)
    axes.set(xlabel=f"order workers, {percent} % of a core each",
             ylabel="orders/s, HTTP batch → visible", xticks=counts)
    axes.set_ylim(bottom=0)
    axes.grid(True, alpha=0.2)
    axes.legend(fontsize=8)
    label_machine(figure, machine)
    save(figure, "throughput.svg")


def draw(paths):
    draw_latency(paths)
    draw_throughput(paths)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("usage: bench_plot.py RESULT.json...")
    draw(sys.argv[1:])
