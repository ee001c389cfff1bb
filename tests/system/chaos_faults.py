# SPDX-License-Identifier: Apache-2.0
"""Faults: each begins, lasts and is healed by itself. A fault belongs to a lane; faults of
different lanes overlap, those of one lane do not. Everything random is drawn beforehand from the
seed, so that a schedule can be printed and replayed."""

import errno
import random
import signal
import subprocess
import threading
import time
from collections import Counter, namedtuple

from reader import Registry
from under_fire import append_bad_records
from world import Failed, free_port, wait_until

import chaos_offsets
from chaos_world import FAKETIME, PROCESSORS

Fault = namedtuple("Fault", "at_s lane name arguments")
SESSION_S = 3  # of the roles' groups; transactions time out after 5

ROLES = (*PROCESSORS, "project", "gateway", "query")
STORMY = ("order", "inventory", "payment", "shipping", "project")
LED = ("orders.inbox", "orders.events", "inventory.inbox", "payments.events", "shipping.inbox",
       "__consumer_offsets")
COORDINATED = 4  # partitions of __transaction_state in services.sh
LOCKED = ("orders", "projection_offsets", "inventory", "order_timeline")


class Faults:
    def __init__(self, world, bad):
        self.world = world
        self.bad = bad  # {topic: {(partition, offset)}}
        self.healing = threading.Event()
        self.misdeeds = {}  # by server: what the proxy has done to it
        self.ended_by_it = Counter()  # servers that a full disk has ended

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
            first, port = target.process, target.metrics_port
            target.metrics_port = free_port()  # or the second would only find its port taken
            target.start()
            other = target.process
            try:
                wait_until(f"two {role} in one slot go on side by side",
                           lambda: first.poll() is not None or other.poll() is not None, 60)
                if other.poll() is not None and first.poll() is None:
                    self.world.note_exit(target, other.returncode)
                    target.process, target.metrics_port = first, port
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

    def offsets_lost(self, role, partition, how, graceful):
        """A tool changes what a role has committed: it refuses until that is put right."""
        target, offsets = self.world.roles[role], chaos_offsets.GroupOffsets(self.world, role)
        earlier = offsets.read()
        self.hold(2)
        target.end(signal.SIGTERM if graceful else signal.SIGKILL)
        good = offsets.read()
        chaos_offsets.change(offsets, how, partition, good, earlier)
        chaos_offsets.must_refuse(self.world, target)
        offsets.write(good)
        target.start()

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

    def broker_kill(self, broker, seconds):
        self.world.signal_server(broker, signal.SIGKILL)
        self.hold(seconds)
        self.world.start_server(broker)
        self.replicas_back()

    def broker_stop(self, broker, seconds):
        self.world.signal_server(broker, signal.SIGSTOP)
        self.hold(seconds)
        self.world.signal_server(broker, signal.SIGCONT)
        self.replicas_back()

    def replicas_back(self):
        if len(self.world.brokers) > 1:
            self.world.await_in_sync()

    def leader_kill(self, topic, partition, seconds):
        self.broker_kill(self.world.leader_of(topic, partition), seconds)

    def coordinator_kill(self, transactional_id, seconds):
        """The broker that decides about this producer's transactions."""
        self.leader_kill("__transaction_state", java_hash(transactional_id) % COORDINATED, seconds)

    def broker_down(self, broker, seconds):
        self.broker_kill(broker, seconds)

    def rolling_restart(self):
        for broker in self.world.brokers:
            self.world.signal_server(broker, signal.SIGTERM)
            self.world.start_server(broker)
            self.replicas_back()

    def postgres_stop(self, seconds):
        self.world.signal_server("postgres", signal.SIGQUIT)
        self.hold(seconds)
        self.world.start_server("postgres")

    def disk_full(self, server, seconds):
        """Not a byte is left, whatever the server gives back meanwhile. It may end by that."""
        log = self.world.services / "log" / f"{server}.log"
        before = log.stat().st_size
        filler = self.world.services / server / "filler"
        told = []

        def noticed():
            fill(filler)
            with open(log, "rb") as text:
                text.seek(before)
                told.append(b"No space left on device" in text.read())
            return told[-1]

        try:
            wait_until(f"{server} does not notice that its disk is full", noticed, 60, 0.2)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and not self.healing.wait(0.2):
                fill(filler)
        finally:
            filler.unlink()
        self.ended_by_it[server] += not self.world.server_runs(server)

        def back():
            if not self.world.server_runs(server):
                self.world.start_server(server)
            return self.world.server_is_ready(server)

        wait_until(f"{server} does not come back when there is room", back, 90, 0.5)

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

    def outside(self, server, seconds, mode):
        self.network(server, seconds, mode)

    def network(self, server, seconds, mode):
        self.world.set_proxy(server, **mode)
        self.hold(seconds)
        self.misdeeds[server] = self.world.set_proxy(server)


def fill(path):
    """Takes all room there is."""
    piece = bytes(1 << 20)
    with open(path, "ab", buffering=0) as file:
        while piece:
            try:
                file.write(piece)
            except OSError as failure:
                if failure.errno != errno.ENOSPC:
                    raise
                piece = piece[:len(piece) // 4]


def java_hash(text):
    """|String.hashCode()|, by which Kafka finds a coordinator."""
    value = 0
    for char in text:
        value = (31 * value + ord(char)) & 0xFFFFFFFF
    return min(value, (1 << 32) - value)


def choose(rng, choices):
    """Draws nothing where there is nothing to choose: a seed means the same with and without."""
    return choices[0] if len(choices) == 1 else rng.choice(choices)


def draw(rng, name, world):
    """Arguments of a fault."""
    seconds = round(rng.uniform(1, 4), 1)
    long_seconds = round(rng.uniform(6, 10), 1)
    processor = rng.choice(PROCESSORS)
    return {
        "kill": lambda: {"role": rng.choice((*ROLES, *world.outside_ports))},
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
        "offsets_lost": lambda: chaos_offsets.draw(rng, processor, world.partitions),
        "broker_kill": lambda: {"broker": choose(rng, world.brokers),
                                "seconds": round(rng.uniform(0, 3), 1)},
        "broker_stop": lambda: {"broker": choose(rng, world.brokers),
                                "seconds": rng.choice((seconds, long_seconds))},
        "leader_kill": lambda: {"topic": rng.choice(LED), "partition": rng.randrange(world.partitions),
                                "seconds": round(rng.uniform(0, 3), 1)},
        "coordinator_kill": lambda: {"transactional_id": f"orderlog.{processor}.0.{rng.choice('ab')}",
                                     "seconds": round(rng.uniform(0, 3), 1)},
        "broker_down": lambda: {"broker": rng.choice(world.brokers), "seconds": 60},
        "rolling_restart": dict,
        "disk_full": lambda: {"server": rng.choice(("kafka", "postgres")), "seconds": long_seconds},
        "outside": lambda: draw_outside(rng, long_seconds),
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


def draw_outside(rng, seconds):
    """Late, lost, never, twice, or another's: what a provider can do with its answers."""
    return {"server": rng.choice(("provider", "provider", "carrier")), "seconds": seconds,
            "mode": rng.choice([
                {"mode": "delay", "ms": rng.choice((300, 1500))}, {"mode": "reset"},
                {"mode": "half-open"}, {"mode": "drop-replies"}, {"mode": "twice"},
                {"mode": "twice"}, {"mode": "swap"}, {"mode": "swap"}])}


LANES = {
    "process": ["kill", "kill", "kill", "stop", "stop", "zombie", "lost", "twice", "storm",
                "kill_all_processors", "kill", "garbage"] + (["clock"] if FAKETIME else []),
    "server": ["broker_kill", "broker_stop", "postgres_stop", "lock_held"],
}
# After each round of a lane, drawn by themselves: what other kinds a seed means is not changed by them.
AFTER_ROUND = {"process": ["offsets_lost"]}
CLUSTER = ["leader_kill", "leader_kill", "coordinator_kill", "coordinator_kill", "broker_down",
           "rolling_restart"]


def schedule(seed, seconds, world, only=()):
    """Every kind once before any comes again; the pauses between them are drawn too."""
    faults = []
    lanes = dict(LANES)
    if world.proxied:
        lanes["server"] = lanes["server"] + ["network"] * 6
    if len(world.brokers) > 1:
        lanes["server"] = lanes["server"] + CLUSTER
    if world.small_disks:
        lanes["server"] = lanes["server"] + ["disk_full"] * 2
    if world.outside:
        lanes["outside"] = ["outside"]
    for lane, names in lanes.items():
        rng, after_rng = random.Random(f"{seed} {lane}"), random.Random(f"{seed} {lane} after")
        names, after = ([n for n in kinds if not only or n in only]
                        for kinds in (names, AFTER_ROUND.get(lane, ())))
        at_s, left = rng.uniform(2, 5), []
        while (names or after) and at_s < seconds:
            left = left or [*after, *rng.sample(names, len(names))]
            name = left.pop()
            arguments = draw(after_rng if name in after else rng, name, world)
            faults.append(Fault(round(at_s, 1), lane, name, arguments))
            mode_s = arguments.get("seconds", 0) + arguments.get("times", 0) * 1.5 * arguments.get(
                "pause_s", 0)
            at_s += mode_s + (rng.uniform(6, 12) if lane == "server" else rng.uniform(1, 4))
    return sorted(faults)
