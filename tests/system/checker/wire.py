# SPDX-License-Identifier: Apache-2.0
"""The few words of Kafka's protocol that the checker needs, and record batches as they lie in the log: with
their producers and with the markers that end transactions, neither of which a consumer shows. In Python
a consumer would also take most of the checker's time."""

import socket
import struct
from collections import namedtuple

import lz4.frame

from world import Failed

FETCH, LIST_OFFSETS, METADATA = 1, 2, 3
UNCOMMITTED, COMMITTED = 0, 1  # isolation levels
LATEST = -1
FETCH_BYTES = 8 << 20
ANSWER_S = 60

HEAD = struct.Struct(">qiibIhiqqqhii")  # of a batch, format 2
TRANSACTIONAL, CONTROL, CODEC = 0x10, 0x20, 0x07  # attributes
ABORT = 0  # type of a marker; 1 is commit

Batch = namedtuple("Batch", "offset last producer attributes count data at end")
Piece = namedtuple("Piece", "end stable aborted batches")  # aborted: [(producer, first offset)]


class Answer:
    """Reads what a broker said."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values if len(values) > 1 else values[0]

    def text(self):
        size = self.take("h")
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def many(self, one):
        return [one() for _ in range(max(0, self.take("i")))]


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def one_partition(topic, body):
    return struct.pack(">i", 1) + text(topic) + struct.pack(">i", 1) + body


class Broker:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), ANSWER_S)
        self.number = 0

    def read(self, size):
        data = bytearray(size)
        view = memoryview(data)
        while view:
            got = self.socket.recv_into(view)
            if not got:
                raise Failed("the broker closed the connection")
            view = view[got:]
        return bytes(data)

    def ask(self, api, version, body):
        self.number += 1
        body = struct.pack(">hhi", api, version, self.number) + text("checker") + body
        self.socket.sendall(struct.pack(">i", len(body)) + body)
        answer = Answer(self.read(struct.unpack(">i", self.read(4))[0]))
        if answer.take("i") != self.number:
            raise Failed("the broker answered another question")
        return answer

    def close(self):
        self.socket.close()


class Cluster:
    """Which broker leads which partition; connections to them, of one process."""

    def __init__(self, bootstrap):
        self.brokers = {}
        host, _, port = bootstrap.partition(",")[0].rpartition(":")
        first = Broker(host, int(port))
        answer = first.ask(METADATA, 1, struct.pack(">i", -1))
        first.close()
        self.places = {node: (host, port) for node, host, port, _ in answer.many(
            lambda: (answer.take("i"), answer.text(), answer.take("i"), answer.text()))}
        answer.take("i")  # the controller

        def partition():
            error, number, leader = answer.take("hii")
            answer.many(lambda: answer.take("i"))  # replicas
            answer.many(lambda: answer.take("i"))  # those in sync
            return error, number, leader

        def topic():
            return answer.take("h"), answer.text(), answer.take("b"), answer.many(partition)

        self.leaders = {name: {number: leader for _, number, leader in partitions}
                        for _, name, _, partitions in answer.many(topic)}

    def partitions(self, topics):
        return [(topic, number) for topic in topics for number in sorted(self.leaders.get(topic, ()))]

    def leader(self, topic, partition):
        node = self.leaders[topic][partition]
        if node not in self.places:
            raise Failed(f"{topic}[{partition}] has no leader")
        if node not in self.brokers:
            self.brokers[node] = Broker(*self.places[node])
        return self.brokers[node]

    def end(self, topic, partition, isolation):
        """With COMMITTED the last stable offset."""
        answer = self.leader(topic, partition).ask(LIST_OFFSETS, 2, struct.pack(
            ">ib", -1, isolation) + one_partition(topic, struct.pack(">iq", partition, LATEST)))
        answer.take("ii")  # throttled; one topic
        answer.text()
        _, _, error, _, offset = answer.take("iihqq")
        if error:
            raise Failed(f"the end of {topic}[{partition}]: error {error}")
        return offset

    def fetch(self, topic, partition, offset, isolation):
        """A Piece from the offset on."""
        answer = self.leader(topic, partition).ask(FETCH, 4, struct.pack(
            ">iiiib", -1, 100, 1, FETCH_BYTES, isolation) + one_partition(
                topic, struct.pack(">iqi", partition, offset, FETCH_BYTES)))
        answer.take("ii")
        answer.text()
        _, _, error, end, stable = answer.take("iihqq")
        if error:
            raise Failed(f"{topic}[{partition}] from {offset} on: error {error}")
        aborted = answer.many(lambda: answer.take("qq"))
        size = answer.take("i")
        return Piece(end, stable, aborted, batches(answer.data, answer.at, answer.at + max(0, size), offset))

    def read(self, topic, partition, end, isolation=UNCOMMITTED):
        """Yields Pieces from the beginning of the partition up to an offset."""
        offset, silent = 0, 0
        while offset < end:
            piece = self.fetch(topic, partition, offset, isolation)
            silent = 0 if piece.batches else silent + 1
            if silent > ANSWER_S * 10:
                raise Failed(f"nothing comes from {topic}[{partition}] at {offset}, its end is {end}")
            yield piece
            if piece.batches:
                offset = piece.batches[-1].last + 1


# By codec: where a batch's records lie, in its bytes or in what they unpack to.
UNPACK = {
    0: lambda data, at, after: (data, at, after),
    3: lambda data, at, after: whole(lz4.frame.decompress(data[at:after])),
}


def whole(data):
    return data, 0, len(data)


def batches(data, at, end, offset):
    """Whole ones, from the offset on; what is cut off at the end comes with the next answer."""
    found = []
    while at + HEAD.size <= end:
        (first, size, _, magic, _, attributes, span, _, _, producer, _, _,
         count) = HEAD.unpack_from(data, at)
        after = at + 12 + size
        if after > end:
            break
        if magic != 2 or attributes & CODEC not in UNPACK:
            raise Failed(f"a batch at {first} has format {magic}, codec {attributes & CODEC}")
        if first + span >= offset:
            found.append(Batch(first, first + span, producer, attributes, count,
                               *UNPACK[attributes & CODEC](data, at + HEAD.size, after)))
        at = after
    return found


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def blob(data, at):
    size, at = varint(data, at)
    return (None, at) if size < 0 else (data[at:at + size], at + size)


def records(batch):
    """Yields (offset, key, value)."""
    data, at = batch.data, batch.at
    for _ in range(batch.count):
        size, at = varint(data, at)
        after = at + size
        _, at = varint(data, at + 1)  # attributes; time
        delta, at = varint(data, at)
        key, at = blob(data, at)
        value, at = blob(data, at)
        at = after  # headers
        yield batch.offset + delta, key, value


def is_abort(marker):
    _, key, _ = next(records(marker))
    return struct.unpack_from(">hh", key)[1] == ABORT
