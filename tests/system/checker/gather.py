# SPDX-License-Identifier: Apache-2.0
"""The log from offset 0, in both isolation levels: what is committed, what was aborted, and how far
either reader gets. The messages of a group are taken out of it."""

import struct
from collections import namedtuple

from kafka import KafkaConsumer, TopicPartition

from reader import Record
from world import wait_until

DOMAINS = ("orders", "inventory", "payments", "shipping")
TOPICS = [f"{domain}.{kind}" for domain in DOMAINS for kind in ("inbox", "events", "deadletters")]
POLL_RECORDS = 20000

Log = namedtuple("Log", "committed aborted hanging bad")


def open_consumer(bootstrap, isolation, topics):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, group_id=None,
                             auto_offset_reset="earliest", enable_auto_commit=False,
                             max_poll_records=POLL_RECORDS, max_partition_fetch_bytes=8 << 20,
                             fetch_max_wait_ms=50, check_crcs=False)
    partitions = [TopicPartition(topic, p) for topic in topics
                  for p in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    return consumer, partitions


def read_all(bootstrap, isolation, topics, take, seconds):
    """Calls take(message) for every record; returns the end offsets of this isolation level."""
    consumer, partitions = open_consumer(bootstrap, isolation, topics)
    ends = consumer.end_offsets(partitions)

    def read_some():
        for messages in consumer.poll(timeout_ms=200).values():
            for message in messages:
                take(message)
        return all(consumer.position(tp) >= ends[tp] for tp in partitions)

    wait_until(f"the log cannot be read to its end with {isolation}", read_some, seconds, 0)
    consumer.close()
    return ends


class Gatherer:
    def __init__(self, registry):
        self.registry = registry
        self.records = {topic: [] for topic in TOPICS}
        self.bad = []  # what is no message: (topic, partition, offset, index)

    def add(self, message):
        name, body = self.registry.decode(message.value) or (None, None)
        place = message.topic, message.partition, message.offset
        if name != "MessageGroup":
            if name is None:
                self.bad.append((*place, -1))
            self.records[message.topic].append(Record(*place, message.key, name, body))
            return
        for index, value in enumerate(body["messages"]):
            name, inner = self.registry.decode(value) or (None, None)
            if name is None:
                self.bad.append((*place, index))
            else:
                self.records[message.topic].append(Record(*place, None, name, inner))


def gather(bootstrap, registry, seconds=600):
    committed, aborted = Gatherer(registry), Gatherer(registry)
    offsets = {}

    def take_committed(message):
        offsets.setdefault((message.topic, message.partition), set()).add(message.offset)
        committed.add(message)

    def take_any(message):
        if message.offset not in offsets.get((message.topic, message.partition), ()):
            aborted.add(message)

    stable = read_all(bootstrap, "read_committed", TOPICS, take_committed, seconds)
    ends = read_all(bootstrap, "read_uncommitted", TOPICS, take_any, seconds)
    hanging = [f"{tp.topic}[{tp.partition}]: last stable offset {stable[tp]}, end {ends[tp]}"
               for tp in ends if stable[tp] != ends[tp]]
    return Log(committed.records, aborted.records, hanging, committed.bad)


# ---- committed offsets --------------------------------------------------------------------------

def text(data, at):
    end = at + 2 + int.from_bytes(data[at:at + 2], "big")
    return data[at + 2:end].decode(), end


def compact_text(data, at):
    size = shift = 0
    while True:
        size |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return data[at:at + size - 1].decode()


def offset_commit(key, value):
    """(group, topic, partition), offset, metadata of a record of __consumer_offsets, or None."""
    if key is None or value is None or int.from_bytes(key[:2], "big") > 1:
        return None
    group, at = text(key, 2)
    topic, at = text(key, at)
    version, offset = struct.unpack(">hq", value[:10])
    metadata = (compact_text(value, 14) if version >= 4 else
                text(value, 14 if version == 3 else 10)[0])
    return (group, topic, int.from_bytes(key[at:at + 4], "big")), offset, metadata


def committed_offsets(bootstrap, seconds=120):
    """{(group, topic, partition): [(offset, metadata), …]} in the order of their commits.

    A coordinator that dies after it has written the offsets of a transaction, but before it has
    said so, is replaced by one that is sent them again: the same words twice, and no transaction's end
    between them. That is one commit. With an end between them they are two, and stay two."""
    history = {}
    run = {}  # by partition: where its current run of records without a marker began, and ends
    place = {}  # of the last commit of each

    def take(message):
        began, ended = run.get(message.partition, (message.offset, message.offset))
        if message.offset != ended:
            began = message.offset  # a marker, or what was aborted, lies between
        run[message.partition] = began, message.offset + 1
        found = offset_commit(message.key, message.value)
        if not found or not found[0][0].startswith("orderlog."):
            return
        commits = history.setdefault(found[0], [])
        if not commits or commits[-1] != found[1:] or place[found[0]] < began:
            commits.append(found[1:])
        place[found[0]] = message.offset

    read_all(bootstrap, "read_committed", ["__consumer_offsets"], take, seconds)
    return history
