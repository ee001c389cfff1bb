# SPDX-License-Identifier: Apache-2.0
"""Draws where time goes as a flame graph: a box for each function, as wide as its share, on top of who
called it.

    perf record -e cpu-clock -F 499 -g -p PID -- sleep 20
    perf script | $VENV/bin/python3 tests/bench/bench_flame.py TITLE > tests/bench/results/flame_NAME.svg"""

import html
import sys

WIDTH, ROW, TOP = 1200, 16, 24
LEAST = 0.0008  # of all: narrower boxes are left out
CHARACTER = 6.2  # width


def stacks(lines):
    """Each sample's frames from the outermost on, thread first."""
    thread, frames = None, []
    for line in lines:
        if not line.strip():
            if thread:
                yield [thread, *reversed(frames)]
            thread, frames = None, []
        elif not line[0].isspace():
            thread = line.split()[0]
        elif thread:
            name = line.split(None, 1)[1].rsplit(" (", 1)[0].split("+0x")[0].strip()
            frames.append(name)
    if thread:
        yield [thread, *reversed(frames)]


def grow(samples):
    """name → [samples, children]."""
    root = [0, {}]
    for frames in samples:
        node = root
        node[0] += 1
        for name in frames:
            node = node[1].setdefault(name, [0, {}])
            node[0] += 1
    return root


def depth(node, whole):
    return 1 + max((depth(child, whole) for child in node[1].values()
                    if child[0] >= whole * LEAST), default=0)


def color(name):
    if name.endswith("_[k]") or name.startswith(("__x64", "do_", "sys_", "tcp_", "vfs_")):
        return "#e8a25c"
    return ("#f2c14e", "#efb366", "#f0cf7a", "#e9b44c")[sum(map(ord, name)) % 4]


def boxes(node, name, x, level, whole, bottom):
    width = node[0] / whole * WIDTH
    y = bottom - (level + 1) * ROW
    share = f"{name}: {100 * node[0] / whole:.1f} %"
    yield (f'<g><title>{html.escape(share)}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" '
           f'height="{ROW - 1}" fill="{color(name)}"/>')
    fits = int(width / CHARACTER)
    if fits >= 3:
        text = name if len(name) <= fits else name[:fits - 1] + "…"
        yield f'<text x="{x + 2:.1f}" y="{y + 11}">{html.escape(text)}</text>'
    yield "</g>"
    for child, inner in sorted(node[1].items()):
        if inner[0] >= whole * LEAST:
            yield from boxes(inner, child, x, level + 1, whole, bottom)
        x += inner[0] / whole * WIDTH


def main():
    root = grow(stacks(sys.stdin))
    if not root[0]:
        raise SystemExit("no samples")
    height = TOP + depth(root, root[0]) * ROW + 4
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
          'font-family="monospace" font-size="10">')
    print(f'<text x="4" y="15" font-size="13">{html.escape(sys.argv[1])}, {root[0]} samples</text>')
    print("\n".join(boxes(root, "all", 0, 0, root[0], height)))
    print("</svg>")


main()
