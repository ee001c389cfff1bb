# SPDX-License-Identifier: Apache-2.0
"""The order processor alone. The whole system runs once; then its orders.inbox, commands and answers
alike, is put back into empty topics, and the processor goes through it as fast as it can: ids are
functions of their cause, so that the recorded answers are answers again. Against a loop that copies:
it reads the same inbox and writes the same records, out of memory, in transactions like ours.
An input is a message; a group of them is one record."""

import os
import time

from confluent_kafka.admin import AdminClient

import bench_records
import bench_system
import http_load
import system_load
from bench_frame import say
from bench_system import pause

INBOX = "orders.inbox"
EVENTS = "orders.events"
WRITTEN = (EVENTS, "orders.state", "inventory.inbox", "payments.inbox", "shipping.inbox")
EMPTIED = (INBOX, "orders.deadletters", *WRITTEN)
KEPT = "bench.inbox"
COPIED = "bench."
COMMIT_MS, COMMIT_RECORDS = 20, 20000  # the defaults of commit.linger.ms.max, commit.records.max
PATIENCE_S = 120


def await_that(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: {what} does not come")
        pause(0.02)


def records_of(topics):
    """Records by topic, and messages in the inbox."""
    ends = {place: end for place, end in bench_records.end_offsets().items() if place[0] in topics}
    return bench_records.count_records({}, ends)


class Replay:
    def __init__(self, bench, system):
        self.bench = bench
        self.system = system
        self.rounds = 0
        self.counts = records_of(EMPTIED)
        inbox = self.counts[INBOX]
        self.records = inbox["records"]
        self.inputs = inbox["records"] - inbox["groups"] + inbox["grouped_messages"]
        for topic in WRITTEN:
            bench_records.topic_like(topic, COPIED + topic)
        bench_records.topic_like(INBOX, KEPT)
        self.fill(INBOX, KEPT)

    def fill(self, source, topic):
        http_load.run([self.bench.program("bench_produce"),
                       os.environ["ORDERLOG_KAFKA_BOOTSTRAP"], source, topic, self.records, 0], {})

    def empty(self):
        """Topics as setup makes them, and no offset of the processor."""
        broker = AdminClient({"bootstrap.servers": os.environ["ORDERLOG_KAFKA_BOOTSTRAP"]})
        for future in broker.delete_topics(list(EMPTIED)).values():
            future.result()
        for future in broker.delete_consumer_groups(["orderlog.order"]).values():
            future.result()
        await_that(lambda: not set(EMPTIED) & set(broker.list_topics(timeout=10).topics),
                   "the end of the old topics")
        self.system.tool("setup")

    def messages_in(self):
        return self.system.metrics("order").get("orderlog_messages_in_total", 0.0)

    def used(self):
        """Seconds of CPU by process."""
        pids = {"order": self.system.processes["order"].pid,
                "kafka": self.system.server_pid("kafka")}
        return {name: bench_system.cpu_s(pid) for name, pid in pids.items()}

    def processor(self):
        """Inputs per second. The clock begins with the first look that finds it at work."""
        self.empty()
        self.fill(KEPT, INBOX)
        self.system.start_roles(["order"])
        try:
            await_that(lambda: self.messages_in() > 0, "the first input")
            before, began, cpu = self.messages_in(), time.monotonic(), self.used()
            await_that(lambda: self.messages_in() >= self.inputs, "the last input")
            seconds = time.monotonic() - began
            inputs = self.inputs - before
            self.note("product", inputs / seconds, {
                name: (used - cpu[name]) * 1e6 / inputs for name, used in self.used().items()})
        finally:
            self.system.stop_roles(["order"])
        found = records_of(EMPTIED)
        for topic in (EVENTS, "payments.inbox"):  # shipping writes to its own inbox too
            mine, other = self.messages(found, topic), self.messages(self.counts, topic)
            if mine != other:
                raise SystemExit(f"bench: {topic} has {mine} messages, and had {other} at first")
        self.written = found
        return inputs / seconds

    @staticmethod
    def messages(counts, topic):
        row = counts[topic]
        return row["records"] - row["groups"] + row["grouped_messages"]

    def copy(self):
        """What processor() last wrote, from the same inbox."""
        self.rounds += 1
        command = [self.bench.program("bench_copy"), os.environ["ORDERLOG_KAFKA_BOOTSTRAP"], KEPT,
                   self.records, f"bench.copy{self.rounds}", COMMIT_MS, COMMIT_RECORDS]
        for topic in WRITTEN:
            count = self.written.get(topic, {"records": 0})["records"]
            command += [topic, COPIED + topic, count] if count else []
        found = http_load.run(command, {"kafka": self.system.server_pid("kafka")})
        rate = self.inputs / found["seconds"]
        self.note("yardstick", rate, {
            "client": found["cpu_s"] * 1e6 / self.inputs,
            "kafka": found["cpu"]["kafka"] * 1e6 / self.inputs})
        return rate

    def note(self, name, rate, cpu_us):
        self.bench.details.setdefault(name, []).append({"inputs_per_s": rate, "cpu_us": cpu_us})


def measure(bench):
    settings = system_load.settings_of(bench, seconds=15, warmup=5)
    system = system_load.start_system(bench, settings)
    try:
        found, _, _ = system_load.generate_load(bench, system, "throughput", settings, "recorded")
        if not found["good"]:
            raise SystemExit("bench: not every order was completed")
        system.stop()
        replay = Replay(bench, system)
        say(f"{replay.inputs} inputs in {replay.records} records")
        for _ in range(2):  # the broker compiles what is hot, and the loop gets what to copy
            replay.processor()
        replay.copy()
        bench.details.clear()
        bench.details.update(inputs=replay.inputs, written=replay.written)
        for mine, other in bench.alternate(replay.processor, replay.copy):
            bench.record("inputs", mine, other)
    finally:
        system.stop()
