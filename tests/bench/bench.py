# SPDX-License-Identifier: Apache-2.0
"""Runs the rows of tests/bench/run and prints the table."""

import datetime
import importlib
import json
import re
import sys

import bench_plot
import bench_rows
from bench_frame import HERE, Bench, machine, say, summary, without_session_groups

NUMBER = re.compile(r"[a-z_]+=[0-9]+")


def run_row(row, settings, config):
    """Its measurements; "error" says why there are none."""
    say(f"{row.name}: {row.title}")
    bench = Bench(settings, config)
    found = {"title": row.title, "figures": {}, "details": bench.details}
    try:
        if row.servers:
            bench.start_servers(row.servers)
        importlib.import_module(row.module).measure(bench)
    except (Exception, SystemExit) as failure:  # the other rows go on
        found["error"] = f"{type(failure).__name__}: {failure}"
        say(f"{row.name}: {found['error']}")
    finally:
        bench.stop_servers()
    for figure in row.figures:
        if figure.key in bench.measured:
            found["figures"][figure.key] = summary(figure, bench.measured[figure.key])
    return found


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict(met):
    return {True: "met", False: "NOT MET", None: ""}[met]


def print_table(results):
    head = ("", "figure", "product", "yardstick", "ratio", "spread", "target", "")
    lines = [head]
    for row in bench_rows.ROWS:
        found = results["rows"].get(row.name)
        if found is None:
            continue
        lines.append((row.name.upper(), row.title, "", "", "", "", "", found.get("error", "")))
        for figure in row.figures:
            one = found["figures"].get(figure.key)
            if one is None:
                lines.append(("", figure.what, "not measured", "", "", "", figure.target(), ""))
                continue
            spread = f"{number(one['ratio_min'])}–{number(one['ratio_max'])}"
            against = f"{number(one['yardstick'])} {figure.yardstick}" if figure.yardstick else ""
            lines.append((
                "", figure.what, f"{number(one['product'])} {figure.unit}", against,
                number(one["ratio"]), spread, figure.target(), verdict(one["met"]),
            ))
    widths = [max(len(line[column]) for line in lines) for column in range(1, 7)]
    for line in lines:
        cells = [f"{line[0]:4}"] + [f"{cell:{w}}" for cell, w in zip(line[1:7], widths)] + [line[7]]
        print("  ".join(cells).rstrip())


def is_met(row, found):
    """All its figures are measured, and on their targets."""
    have = found["figures"]
    return all(f.key in have and have[f.key]["met"] is not False for f in row.figures)


def main():
    words = sys.argv[1:]
    names = [word for word in words if "=" not in word]
    settings = {
        name: int(value)
        for name, value in (word.split("=") for word in words if NUMBER.fullmatch(word))
    }
    config = dict(word.split("=", 1) for word in words if "=" in word and not NUMBER.fullmatch(word))
    known = [row.name for row in bench_rows.ROWS]
    whole = [row.name for row in bench_rows.ROWS if not row.by_name_only]
    for name in names:
        if name not in known:
            raise SystemExit(f"bench: there is no row '{name}': {' '.join(known)}")
    results = {"machine": machine(), "settings": settings | config, "rows": {}}
    stamp = f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
    path = HERE / "results" / f"{stamp}.json"
    for row in bench_rows.ROWS:
        if row.name in (names or whole):
            with without_session_groups():
                results["rows"][row.name] = run_row(row, settings, config)
            path.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")

    print("Machine:", ", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    print_table(results)
    met = [row.name for row in bench_rows.ROWS
           if row.name in results["rows"] and is_met(row, results["rows"][row.name])]
    print(f"\n{len(met)} of {len(results['rows'])} rows met: {' '.join(met)}")
    say(f"written to {path.relative_to(HERE)}")
    bench_plot.draw([path])
    return 1 if any("error" in found for found in results["rows"].values()) else 0


sys.exit(main())
