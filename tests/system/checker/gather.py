# SPDX-License-Identifier: Apache-2.0
"""The log from offset 0: what is committed, what was aborted, and how far either kind of reader gets. The
messages of a group are taken out of it.

A long run does not fit into memory. So partitions are read in parallel processes, which sort what they
read into files by share: a share of the orders (by their ids, which are evenly spread) with all
that any domain wrote about them, or of the stock (by SKU) with what is about no order. A share is judged by
itself.
Within a file records stand as in their partition."""

import hashlib
import heapq
import marshal
import struct
from collections import Counter, defaultdict, namedtuple

from checker import wire
from reader import Record, Registry
from world import Failed

DOMAINS = ("orders", "inventory", "payments", "shipping")
TOPICS = [f"{domain}.{kind}" for domain in DOMAINS for kind in ("inbox", "events", "deadletters")]
CHUNK = 4000  # records that are written at once
ORDERS, STOCK = "orders", "stock"
COMMITTED, ABORTED = "committed", "aborted"

Log = namedtuple("Log", "committed aborted")
Read = namedtuple("Read", "topic partition committed aborted bad stable end")  # of one partition


class Share(namedtuple("Share", "kind number count")):  # this one of so many
    __slots__ = ()

    @property
    def name(self):
        return f"{self.kind}{self.number}"

    def ids(self):
        """Of orders: the first id of this share, and the first of the next one; None after the last share."""
        def begin(n):
            return f"{-(-(n << 16) // self.count):04x}0000-0000-0000-0000-000000000000"

        return begin(self.number), begin(self.number + 1) if self.number + 1 < self.count else None


class Shares:
    """So many of the orders, and so many of the stock."""

    def __init__(self, orders, stock):
        self.orders = [Share(ORDERS, n, orders) for n in range(orders)]
        self.stock = [Share(STOCK, n, stock) for n in range(stock)]
        self.by_sku = {None: self.stock[0]}

    def of_order(self, order_id):
        return self.orders[int(order_id[:4], 16) * len(self.orders) >> 16]

    def of_sku(self, sku):
        """As PostgreSQL can tell it too; of no SKU: the first."""
        if sku not in self.by_sku:
            digits = hashlib.md5(sku.encode()).hexdigest()[:4]
            self.by_sku[sku] = self.stock[int(digits, 16) * len(self.stock) >> 16]
        return self.by_sku[sku]


class Fates:
    """Which batches of a partition are committed, twice: as the markers in the log say, and as the broker
    tells a reader of what is committed."""

    def __init__(self):
        self.aborted = set()  # first offsets of batches, by their markers
        self.open = defaultdict(list)  # by producer: batches that wait for a marker
        self.told = []  # heap of (first offset, producer): transactions that the broker calls aborted
        self.aborting = set()  # producers that are within one of those
        self.told_aborted = set()

    def take(self, batch):
        while self.told and self.told[0][0] <= batch.last:
            self.aborting.add(heapq.heappop(self.told)[1])
        if batch.attributes & wire.CONTROL:
            pieces = self.open.pop(batch.producer, ())
            if wire.is_abort(batch):
                self.aborted.update(pieces)
                self.aborting.discard(batch.producer)
        elif batch.attributes & wire.TRANSACTIONAL:
            self.open[batch.producer].append(batch.offset)
            if batch.producer in self.aborting:
                self.told_aborted.add(batch.offset)

    def read(self, cluster, topic, partition, stable):
        told = set()
        for piece in cluster.read(topic, partition, stable, wire.COMMITTED):
            for producer, first in piece.aborted:
                if (first, producer) not in told:  # each answer tells of all that it overlaps
                    told.add((first, producer))
                    heapq.heappush(self.told, (first, producer))
            for batch in piece.batches:
                self.take(batch)
        if self.aborted != self.told_aborted:
            raise Failed(f"{topic}[{partition}]: by their markers other transactions are aborted than by the "
                         f"broker: {sorted(self.aborted ^ self.told_aborted)[:20]}")
        return self


def is_data(batch):
    return not batch.attributes & wire.CONTROL


class Sorter:
    """Takes the records of one partition, and writes them to the files of the shares they belong to."""

    def __init__(self, folder, registry, shares, topic, partition, kind):
        self.folder, self.registry, self.shares = folder, registry, shares
        self.name = f"{topic}-{partition}-{kind}"
        self.is_stock = topic == "inventory.events"
        self.waiting = defaultdict(list)
        self.count = 0
        self.bad = []  # what is no message: (offset, index)

    def add(self, offset, key, value):
        name, body = self.registry.decode(value) or (None, None)
        if name != "MessageGroup":
            self.sort(offset, -1, key, name, body)
            return
        for index, inner in enumerate(body["messages"]):
            name, body = self.registry.decode(inner) or (None, None)
            self.sort(offset, index, None, name, body)

    def sort(self, offset, index, key, name, body):
        if name is None:
            self.bad.append((offset, index))
            if index >= 0:
                return
        self.count += 1
        record = offset, key, name, body
        order_id = body.get("order_id") if body else None
        sku = body.get("sku") if body else None
        if order_id:
            self.put(self.shares.of_order(order_id).name, record)
        if not order_id or (self.is_stock and sku):
            self.put(self.shares.of_sku(sku).name, record)

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
    bootstrap, registry_url, folder, shares, topic, partition, end = job
    registry, cluster = Registry(registry_url), wire.Cluster(bootstrap)
    committed, aborted = (Sorter(folder, registry, shares, topic, partition, kind)
                          for kind in (COMMITTED, ABORTED))
    stable = cluster.end(topic, partition, wire.COMMITTED)
    fates = Fates().read(cluster, topic, partition, stable)
    for piece in cluster.read(topic, partition, end):
        for batch in filter(is_data, piece.batches):
            sound = batch.offset < stable and batch.offset not in fates.aborted
            add = (committed if sound else aborted).add
            for record in wire.records(batch):
                add(*record)
    committed.close()
    aborted.close()
    return Read(topic, partition, committed.count, aborted.count, len(committed.bad), stable, end)


def end_offsets(bootstrap):
    """{(topic, partition): end}"""
    cluster = wire.Cluster(bootstrap)
    return {place: cluster.end(*place, wire.UNCOMMITTED) for place in cluster.partitions(TOPICS)}


def gather(pool, ends, bootstrap, registry_url, folder, shares):
    """Reads every partition, the longest first; yields a Read of each."""
    jobs = [(bootstrap, registry_url, folder, shares, *place, ends[place])
            for place in sorted(ends, key=ends.get, reverse=True)]
    return pool.imap_unordered(read_partition, jobs)


def load_share(folder, share):
    """The Log of a share, with whole records."""
    log = Log({topic: [] for topic in TOPICS}, {topic: [] for topic in TOPICS})
    for path in sorted(folder.glob(f"{share.name}-*")):
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


class Commits:
    """{(group, topic, partition): [(offset, metadata), …]} in the order of their commits.

    A coordinator that dies after it has written the offsets of a transaction, but before it has
    said so, is replaced by one that is sent them again: the same words twice, by the same producer and with no
    marker of its own between them. That is one commit. What others end meanwhile does not make it two;
    with its own end between them they are two, and stay two.

    foreign: commits that are known to be no worker's, as they were made on purpose. They are left out, but
    not where a worker says the same words in a transaction."""

    def __init__(self, foreign=()):
        self.foreign = dict(foreign)
        self.history = {}
        self.ended = Counter()  # by producer: its transactions so far
        self.place = {}  # of the last commit of each: its producer's transaction

    def take(self, batch):
        if not is_data(batch):
            self.ended[batch.producer] += 1
            return
        transactional = batch.attributes & wire.TRANSACTIONAL
        transaction = (batch.producer, self.ended[batch.producer]) if transactional else None
        for _, key, value in wire.records(batch):
            found = offset_commit(key, value)
            if found and found[0][0].startswith("orderlog."):
                self.note(*found, transaction)

    def note(self, place, offset, metadata, transaction):
        if not transaction and (offset, metadata) in self.foreign.get(place, ()):
            return
        commits = self.history.setdefault(place, [])
        again = transaction and self.place.get(place) == transaction
        if not again or commits[-1] != (offset, metadata):
            commits.append((offset, metadata))
        self.place[place] = transaction


def committed_offsets(bootstrap, foreign=()):
    cluster, commits = wire.Cluster(bootstrap), Commits(foreign)
    for topic, partition in cluster.partitions(["__consumer_offsets"]):
        end = cluster.end(topic, partition, wire.COMMITTED)
        fates = Fates().read(cluster, topic, partition, end)
        for piece in cluster.read(topic, partition, end):
            for batch in piece.batches:
                if batch.offset < end and batch.offset not in fates.aborted:
                    commits.take(batch)
    return commits.history
