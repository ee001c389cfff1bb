# SPDX-License-Identifier: Apache-2.0
"""Faults: each begins, lasts and is healed by itself. A fault belongs to a lane; faults of
different lanes overlap, those of one lane do not. Everything random is drawn beforehand from the
seed, so that a schedule can be printed and replayed."""

import random
import signal
import subprocess
import threading
from collections import namedtuple

from reader import Registry
from under_fire import append_bad_records
from world import Failed, wait_until

from chaos_world import FAKETIME, PROCESSORS

Fault = namedtuple("Fault", "at_s lane name arguments")
SESSION_S = 3  # of the roles' groups; transactions time out after 5

ROLES = (*PROCESSORS, "project", "gateway", "query")
STORMY = ("order", "inventory", "payment", "shipping", "project")
LOCKED = ("orders", "projection_offsets", "inventory", "order_timeline")


class Faults:
    def __init__(self, world, bad):
        self.world = world
        self.bad = bad  # {topic: {(partition, offset)}}
        self.healing = threading.Event()

    def hold(self, seconds):
        """While the fault lasts; cut short when all is to be healed."""
        self.healing.wait(seconds)

    # ---- processes ----

    def kill(self, role):
        self.world.roles[role].send(signal.SIGKILL)

    def kill_all_processors(self):
        for role in PROCESSORS:
            self.world.roles[role].send(signal.SIGKILL)

    def stop(self, role, seconds):
        target = self.world.roles[role]
        target.send(signal.SIGSTOP)
        self.hold(seconds)
        target.send(signal.SIGCONT)

    def zombie(self, role, seconds):
        """Stopped until a successor has its partitions; then it wakes up."""
        second = self.world.second(role)
        wait_until(f"{second.name} is not ready", second.is_ready, 60)
        self.world.roles[role].send(signal.SIGSTOP)
        self.hold(SESSION_S + seconds)
        self.world.roles[role].send(signal.SIGCONT)
        self.hold(2)
        self.retire(second)

    def lost(self, role, seconds):
        """A slot lost for good: another takes over; later it comes back."""
        self.world.roles[role].end()
        second = self.world.second(role)
        self.hold(SESSION_S + seconds)
        self.retire(second, signal.SIGKILL)
        self.world.roles[role].start()

    def twice(self, role):
        """The same slot started twice: within its patience one of them is gone."""
        target = self.world.roles[role]
        with target.lock:
            first = target.process
            target.start()
            other = target.process
            try:
                wait_until(f"two {role} in one slot go on side by side",
                           lambda: first.poll() is not None or other.poll() is not None, 60)
                if other.poll() is not None and first.poll() is None:
                    self.world.note_exit(target, other.returncode)
                    target.process = first
                elif first.returncode is not None:
                    self.world.note_exit(target, first.returncode)
            except Failed as failure:
                self.world.defects.append(str(failure))
                first.kill()
                first.wait()

    def storm(self, role, times, pause_s, graceful):
        for _ in range(times):
            second = self.world.second(role)
            self.hold(pause_s)
            self.retire(second, signal.SIGTERM if graceful else signal.SIGKILL)
            self.hold(pause_s / 2)

    def retire(self, second, number=signal.SIGTERM):
        second.end(number)
        self.world.roles.pop(second.name, None)

    def clock(self, role, offset_s, seconds):
        target = self.world.roles[role]
        target.extra = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"{offset_s:+d}s",
                        "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        target.send(signal.SIGKILL)
        self.hold(seconds)
        target.extra = {}
        target.send(signal.SIGKILL)

    def garbage(self):
        try:
            found = append_bad_records(self.world, Registry(self.world.registry))
        except Exception:  # the broker is down just now: which of them it has is not known
            return
        for topic, places in found.items():
            self.bad.setdefault(topic, set()).update(places)

    # ---- servers ----

    def broker_kill(self, seconds):
        self.world.signal_server("kafka", signal.SIGKILL)
        self.hold(seconds)
        self.world.start_server("kafka")

    def broker_stop(self, seconds):
        self.world.signal_server("kafka", signal.SIGSTOP)
        self.hold(seconds)
        self.world.signal_server("kafka", signal.SIGCONT)

    def postgres_stop(self, seconds):
        self.world.signal_server("postgres", signal.SIGQUIT)
        self.hold(seconds)
        self.world.start_server("postgres")

    def lock_held(self, table, seconds):
        holder = subprocess.Popen(["psql", "-X", "-q", self.world.postgres], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        try:
            holder.stdin.write(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;\n")
            holder.stdin.flush()
            self.hold(seconds)
            holder.stdin.close()
        except OSError:
            pass  # the server was ended meanwhile
        holder.wait(60)

    # ---- the network ----

    def network(self, server, seconds, mode):
        self.world.set_proxy(server, **mode)
        self.hold(seconds)
        self.world.set_proxy(server)


def draw(rng, name):
    """Arguments of a fault."""
    seconds = round(rng.uniform(1, 4), 1)
    long_seconds = round(rng.uniform(6, 10), 1)
    processor = rng.choice(PROCESSORS)
    return {
        "kill": lambda: {"role": rng.choice(ROLES)},
        "kill_all_processors": dict,
        "stop": lambda: {"role": rng.choice(ROLES), "seconds": rng.choice((seconds, long_seconds))},
        "zombie": lambda: {"role": rng.choice(STORMY), "seconds": seconds},
        "lost": lambda: {"role": rng.choice(STORMY), "seconds": long_seconds},
        "twice": lambda: {"role": processor},
        "storm": lambda: {"role": rng.choice(STORMY), "times": 4, "pause_s": seconds / 2,
                          "graceful": rng.random() < 0.5},
        "clock": lambda: {"role": rng.choice(ROLES), "offset_s": rng.choice((-20, -5, 5, 20)),
                          "seconds": long_seconds},
        "garbage": dict,
        "broker_kill": lambda: {"seconds": round(rng.uniform(0, 3), 1)},
        "broker_stop": lambda: {"seconds": rng.choice((seconds, long_seconds))},
        "postgres_stop": lambda: {"seconds": round(rng.uniform(0, 3), 1)},
        "lock_held": lambda: {"table": rng.choice(LOCKED), "seconds": long_seconds},
        "network": lambda: draw_network(rng, seconds, long_seconds),
    }[name]()


def draw_network(rng, seconds, long_seconds):
    server = rng.choice(("kafka", "kafka", "kafka", "postgres"))
    modes = [{"mode": "delay", "ms": rng.choice((5, 50, 300))}, {"mode": "reset"},
             {"mode": "half-open"}, {"mode": "drop-replies"}]
    if server == "kafka":
        modes += [{"mode": "hold", "api": api} for api in (26, 28, 24, 26)]
    return {"server": server, "seconds": rng.choice((seconds, long_seconds)),
            "mode": rng.choice(modes)}


LANES = {
    "process": ["kill", "kill", "kill", "stop", "stop", "zombie", "lost", "twice", "storm",
                "kill_all_processors", "kill", "garbage"] + (["clock"] if FAKETIME else []),
    "server": ["broker_kill", "broker_stop", "postgres_stop", "lock_held"],
}


def schedule(seed, seconds, proxied, only=()):
    """Every kind once before any comes again; the pauses between them are drawn too."""
    faults = []
    lanes = dict(LANES)
    if proxied:
        lanes["server"] = lanes["server"] + ["network"] * 6
    for lane, names in lanes.items():
        rng = random.Random(f"{seed} {lane}")
        names = [n for n in names if not only or n in only]
        at_s, left = rng.uniform(2, 5), []
        while names and at_s < seconds:
            left = left or rng.sample(names, len(names))
            name = left.pop()
            arguments = draw(rng, name)
            faults.append(Fault(round(at_s, 1), lane, name, arguments))
            mode_s = arguments.get("seconds", 0) + arguments.get("times", 0) * 1.5 * arguments.get(
                "pause_s", 0)
            at_s += mode_s + (rng.uniform(6, 12) if lane == "server" else rng.uniform(1, 4))
    return sorted(faults)
