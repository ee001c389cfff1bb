# SPDX-License-Identifier: Apache-2.0
"""The log from offset 0, in both isolation levels: what is committed, what was aborted, and how far
either reader gets. The messages of a group are taken out of it.

A long run does not fit into memory. So partitions are read in parallel processes, which sort what they
read into files by share: a share of the orders (by their ids, which are evenly spread) with all
that any domain wrote about them, or the stock with what is about no order. A share is judged by itself.
Within a file records stand as in their partition."""

import marshal
import struct
from collections import defaultdict, namedtuple

from kafka import KafkaConsumer, TopicPartition

from reader import Record, Registry
from world import wait_until

DOMAINS = ("orders", "inventory", "payments", "shipping")
TOPICS = [f"{domain}.{kind}" for domain in DOMAINS for kind in ("inbox", "events", "deadletters")]
POLL_RECORDS = 20000
CHUNK = 4000  # records that are written at once
STOCK = "stock"
COMMITTED, ABORTED = "committed", "aborted"

Log = namedtuple("Log", "committed aborted")
Read = namedtuple("Read", "topic partition committed aborted bad stable end")  # of one partition


def share_of(order_id, shares):
    """Which share of the orders this one is in: ranges of ids, as share_range() says."""
    return int(order_id[:4], 16) * shares >> 16


def share_range(share, shares):
    """First id of the share, and first that is in the next one; None after the last share."""
    def begin(n):
        return f"{-(-(n << 16) // shares):04x}0000-0000-0000-0000-000000000000"

    return begin(share), begin(share + 1) if share + 1 < shares else None


def open_consumer(bootstrap, isolation, partitions):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, group_id=None,
                             auto_offset_reset="earliest", enable_auto_commit=False,
                             max_poll_records=POLL_RECORDS, max_partition_fetch_bytes=8 << 20,
                             fetch_max_wait_ms=50, check_crcs=False)
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    return consumer


def partitions_of(bootstrap, topics):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    found = [TopicPartition(topic, p) for topic in topics
             for p in sorted(consumer.partitions_for_topic(topic))]
    consumer.close()
    return found


def read_all(bootstrap, isolation, partitions, take, seconds):
    """Calls take(message) for every record; returns the end offsets of this isolation level."""
    consumer = open_consumer(bootstrap, isolation, partitions)
    ends = consumer.end_offsets(partitions)

    def read_some():
        for messages in consumer.poll(timeout_ms=200).values():
            for message in messages:
                take(message)
        return all(consumer.position(tp) >= ends[tp] for tp in partitions)

    wait_until(f"the log cannot be read to its end with {isolation}", read_some, seconds, 0)
    consumer.close()
    return ends


class Sorter:
    """Takes the records of one partition, and writes them to the files of the shares they belong to."""

    def __init__(self, folder, registry, shares, topic, partition, kind):
        self.folder, self.registry, self.shares = folder, registry, shares
        self.name = f"{topic}-{partition}-{kind}"
        self.is_stock = topic == "inventory.events"
        self.waiting = defaultdict(list)
        self.count = 0
        self.bad = []  # what is no message: (offset, index)

    def add(self, message):
        name, body = self.registry.decode(message.value) or (None, None)
        if name != "MessageGroup":
            self.sort(message.offset, -1, message.key, name, body)
            return
        for index, value in enumerate(body["messages"]):
            name, inner = self.registry.decode(value) or (None, None)
            self.sort(message.offset, index, None, name, inner)

    def sort(self, offset, index, key, name, body):
        if name is None:
            self.bad.append((offset, index))
            if index >= 0:
                return
        self.count += 1
        record = offset, key, name, body
        order_id = body.get("order_id") if body else None
        if order_id:
            self.put(share_of(order_id, self.shares), record)
        if not order_id or (self.is_stock and body.get("sku")):
            self.put(STOCK, record)

    def put(self, share, record):
        waiting = self.waiting[share]
        waiting.append(record)
        if len(waiting) >= CHUNK:
            self.write(share)

    def write(self, share):
        with open(self.folder / f"{share}-{self.name}", "ab") as file:
            marshal.dump(self.waiting.pop(share), file)

    def close(self):
        for share in list(self.waiting):
            self.write(share)


def read_partition(job):
    bootstrap, registry_url, folder, shares, tp, seconds = job
    registry = Registry(registry_url)
    committed, aborted = (Sorter(folder, registry, shares, tp.topic, tp.partition, kind)
                          for kind in (COMMITTED, ABORTED))
    seen = bytearray()  # by offset: 1 where a record is committed

    def take_committed(message):
        if message.offset >= len(seen):
            seen.extend(bytes(message.offset + POLL_RECORDS - len(seen)))
        seen[message.offset] = 1
        committed.add(message)

    def take_any(message):
        if message.offset >= len(seen) or not seen[message.offset]:
            aborted.add(message)

    stable = read_all(bootstrap, "read_committed", [tp], take_committed, seconds)
    ends = read_all(bootstrap, "read_uncommitted", [tp], take_any, seconds)
    committed.close()
    aborted.close()
    return Read(tp.topic, tp.partition, committed.count, aborted.count, len(committed.bad),
                stable[tp], ends[tp])


def end_offsets(bootstrap):
    partitions = partitions_of(bootstrap, TOPICS)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    ends = consumer.end_offsets(partitions)
    consumer.close()
    return ends


def gather(pool, ends, bootstrap, registry_url, folder, shares, seconds=900):
    """Reads every partition, the longest first; yields a Read of each."""
    jobs = [(bootstrap, registry_url, folder, shares, tp, seconds)
            for tp in sorted(ends, key=ends.get, reverse=True)]
    return pool.imap_unordered(read_partition, jobs)


def load_share(folder, share):
    """The Log of a share, with whole records."""
    log = Log({topic: [] for topic in TOPICS}, {topic: [] for topic in TOPICS})
    for path in sorted(folder.glob(f"{share}-*")):
        _, topic, partition, kind = path.name.split("-")
        into, partition = getattr(log, kind)[topic], int(partition)
        with open(path, "rb") as file:
            while True:
                try:
                    chunk = marshal.load(file)
                except EOFError:
                    break
                into.extend(Record(topic, partition, *record) for record in chunk)
    return log


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


def committed_offsets(bootstrap, seconds=600):
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

    read_all(bootstrap, "read_committed", partitions_of(bootstrap, ["__consumer_offsets"]), take, seconds)
    return history
