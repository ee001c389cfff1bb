# SPDX-License-Identifier: Apache-2.0
"""What every row of the bench is given: servers, programs, settings, and rounds that alternate."""

import contextlib
import datetime
import os
import pathlib
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
SERVICES = SOURCE / "tests" / "support" / "services"
SESSION_GROUPS = pathlib.Path("/proc/sys/kernel/sched_autogroup_enabled")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def database(sql):
    command = ["psql", "-XAtq", "-d", os.environ["ORDERLOG_POSTGRES"], "-c", sql]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextlib.contextmanager
def without_session_groups():
    """Linux shares a machine between sessions before it does between processes, and each connection to
    PostgreSQL is a session of its own: a desktop's way, which servers do without (README.md). Where we
    may not say so it stays as it is."""
    before = None
    with contextlib.suppress(OSError):
        before = SESSION_GROUPS.read_text()
        SESSION_GROUPS.write_text("0")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if before is not None:
                SESSION_GROUPS.write_text(before)


def machine():
    model = [
        line.split(":", 1)[1].strip()
        for line in open("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    memory = int(open("/proc/meminfo").readline().split()[1]) // 1024
    commit = subprocess.run(
        ["git", "-C", HERE, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True
    )
    return {
        "cpu": model[0] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory,
        "kernel": platform.release(),
        "commit": commit.stdout.strip(),
        "date": datetime.date.today().isoformat(),
    }


class Bench:
    """One row's run. `settings` holds the numbers of the command line (rounds=5 seconds=20),
    `config` the program's settings (commit.interval.ms=100)."""

    def __init__(self, settings, config):
        self.settings = settings
        self.config = config
        self.directory = None
        self.measured = {}  # figure key → {"product": [...], "yardstick": [...]}
        self.details = {}  # whatever else is worth keeping; goes to the JSON

    @property
    def rounds(self):
        return self.setting("rounds", 5)

    def setting(self, name, default):
        return self.settings.get(name, default)

    def build_folder(self):
        return pathlib.Path(os.environ["BENCH_BUILD"])

    def orderlog(self):
        return self.build_folder() / "src" / "cli" / "orderlog"

    def program(self, name):
        """A C program of this folder."""
        return self.build_folder() / "tests" / "bench" / name

    # ---- servers ---------------------------------------------------------------------------------

    def start_servers(self, names, profile="full"):
        """Fresh ones, as compose/up has them; their addresses go to os.environ."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="orderlog-bench."))
        subprocess.run(
            [SERVICES, "start", self.directory, *names],
            check=True,
            env=os.environ | {"SERVICES_PROFILE": profile},
            stdout=sys.stderr,
        )
        for line in (self.directory / "env").read_text().splitlines():
            name, _, value = line.partition("=")
            os.environ[name] = "".join(shlex.split(value))

    def stop_servers(self):
        if self.directory:
            subprocess.run([SERVICES, "stop", self.directory], check=False)
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    # ---- figures ---------------------------------------------------------------------------------

    def record(self, key, product, yardstick=None):
        """One round's figure, and its yardstick's where there is one."""
        kept = self.measured.setdefault(key, {"product": [], "yardstick": []})
        kept["product"].append(product)
        if yardstick is not None:
            kept["yardstick"].append(yardstick)

    def alternate(self, product, yardstick):
        """Calls the two in turn, as many times as there are rounds, the one to begin changing with
        each; yields (product's, yardstick's) results."""
        for number in range(self.rounds):
            say(f"round {number + 1} of {self.rounds}")
            if number % 2 == 0:
                mine = product()
                yield mine, yardstick()
            else:
                other = yardstick()
                yield product(), other


def ratios(figure, kept):
    """Round by round."""
    if figure.ratio == "product":
        return kept["product"]
    pairs = zip(kept["product"], kept["yardstick"])
    if figure.ratio == "yardstick/product":
        return [other / mine for mine, other in pairs]
    return [mine / other for mine, other in pairs]


def summary(figure, kept):
    """Medians and spread, and whether the target is met."""
    values = ratios(figure, kept)
    found = {
        "product": statistics.median(kept["product"]),
        "yardstick": statistics.median(kept["yardstick"]) if kept["yardstick"] else None,
        "ratio": statistics.median(values),
        "ratio_min": min(values),
        "ratio_max": max(values),
        "rounds": kept,
        "target": figure.target(),
    }
    found["met"] = figure.met(found["ratio"])
    return found
