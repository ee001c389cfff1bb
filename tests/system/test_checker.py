# SPDX-License-Identifier: Apache-2.0
"""What the checker makes of a log: which records are committed, and which offset commits are one. The
logs are written here, byte by byte."""

import struct
import sys
import unittest
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checker import wire  # noqa: E402
from checker.gather import Commits, Fates, Shares  # noqa: E402
from world import Failed  # noqa: E402

PLACE = ("orderlog.order", "orders.inbox", 0)
WORDS = "v1 at=7 seq=3 events=1 new=1 by=00000001"


def varint(value):
    value = value << 1 ^ value >> 63
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def blob(data):
    return varint(-1) if data is None else varint(len(data)) + data


def record(delta, key, value):
    body = b"\0" + varint(0) + varint(delta) + blob(key) + blob(value) + varint(0)
    return varint(len(body)) + body


def commit_record(offset, words):
    group, topic, partition = PLACE
    return (struct.pack(">h", 1) + wire.text(group) + wire.text(topic) + struct.pack(">i", partition),
            struct.pack(">hqi", 3, offset, -1) + wire.text(words) + struct.pack(">q", 0))


class Log:
    """A partition: batches one after the other."""

    def __init__(self):
        self.end, self.data = 0, b""

    def append(self, producer, *records, attributes=None):
        if attributes is None:
            attributes = wire.TRANSACTIONAL if producer >= 0 else 0
        body = b"".join(record(n, *r) for n, r in enumerate(records))
        first, self.end = self.end, self.end + len(records)
        self.data += wire.HEAD.pack(first, wire.HEAD.size - 12 + len(body), 0, 2, 0, attributes,
                                    len(records) - 1, 0, 0, producer, 0, 0, len(records)) + body
        return first

    def marker(self, producer, kind):
        self.append(producer, (struct.pack(">hh", 0, kind), b""),
                    attributes=wire.TRANSACTIONAL | wire.CONTROL)

    def commit(self, producer):
        self.marker(producer, 1)

    def abort(self, producer):
        self.marker(producer, wire.ABORT)

    def batches(self, data=None, offset=0):
        data = self.data if data is None else data
        return wire.batches(data, 0, len(data), offset)


class Told(Log):
    """Instead of a cluster: all in pieces of one batch, with what a broker says of aborted ones."""

    def __init__(self, aborted=()):
        super().__init__()
        self.aborted = list(aborted)

    def read(self, topic, partition, end, isolation):
        for batch in self.batches():
            yield wire.Piece(self.end, self.end, self.aborted, [batch])


class Batches(unittest.TestCase):
    def test_records_come_out_as_they_were_written(self):
        log = Log()
        log.append(5, (b"a", b"x" * 300), (None, None), (b"", b"y"))
        log.append(-1, (b"b", b"z"))
        found = [r for batch in log.batches() for r in wire.records(batch)]
        self.assertEqual(found, [(0, b"a", b"x" * 300), (1, None, None), (2, b"", b"y"), (3, b"b", b"z")])

    def test_what_is_cut_off_or_was_read_before_is_left_out(self):
        log = Log()
        log.append(5, (b"a", b"1"), (b"b", b"2"))
        log.append(5, (b"c", b"3"))
        log.append(5, (b"d", b"4"))
        for cut in (1, 40, 70):
            self.assertEqual([b.offset for b in log.batches(log.data[:-cut], 2)], [2])


class Aborted(unittest.TestCase):
    def test_a_batch_shares_the_fate_of_its_own_producer_s_next_marker(self):
        log = Told([(5, 0)])
        lost = log.append(5, (None, b"1"))
        kept = log.append(6, (None, b"2"))
        log.commit(6)
        lost_too = log.append(5, (None, b"3"))
        log.abort(5)
        log.append(5, (None, b"4"))
        log.commit(5)
        fates = Fates().read(log, "t", 0, log.end)
        self.assertEqual(fates.aborted, {lost, lost_too})
        self.assertNotIn(kept, fates.aborted)

    def test_a_broker_that_says_otherwise_is_not_believed(self):
        log = Told()
        log.append(5, (None, b"1"))
        log.abort(5)
        with self.assertRaises(Failed):
            Fates().read(log, "t", 0, log.end)


class CommitsAreCounted(unittest.TestCase):
    def counted(self, log, foreign=()):
        commits = Commits(foreign)
        for batch in log.batches():
            commits.take(batch)
        return [offset for offset, _ in commits.history[PLACE]]

    def test_offsets_sent_again_within_a_transaction_are_one_commit(self):
        log = Log()
        log.append(5, commit_record(7, WORDS))
        log.append(5, commit_record(7, WORDS))
        log.commit(5)
        self.assertEqual(self.counted(log), [7])

    def test_another_producer_s_marker_between_does_not_make_them_two(self):
        log = Log()
        log.append(5, commit_record(7, WORDS))
        log.commit(6)
        log.append(5, commit_record(7, WORDS))
        log.commit(5)
        self.assertEqual(self.counted(log), [7])

    def test_the_same_words_in_two_transactions_are_two_commits(self):
        log = Log()
        log.append(5, commit_record(7, WORDS))
        log.commit(5)
        log.append(5, commit_record(7, WORDS))
        log.commit(5)
        self.assertEqual(self.counted(log), [7, 7])

    def test_the_same_words_of_two_producers_are_two_commits(self):
        log = Log()
        log.append(5, commit_record(7, WORDS))
        log.append(6, commit_record(7, WORDS))
        log.commit(5)
        log.commit(6)
        self.assertEqual(self.counted(log), [7, 7])

    def test_other_words_within_a_transaction_are_two_commits(self):
        log = Log()
        log.append(5, commit_record(7, WORDS))
        log.append(5, commit_record(8, WORDS.replace("at=7 seq=3", "at=8 seq=4")))
        log.commit(5)
        self.assertEqual(self.counted(log), [7, 8])

    def test_what_is_committed_outside_of_transactions_counts_each_time(self):
        log = Log()
        log.append(-1, commit_record(7, WORDS))
        log.append(-1, commit_record(7, WORDS))
        self.assertEqual(self.counted(log), [7, 7])

    def test_only_what_was_committed_on_purpose_is_left_out(self):
        log = Log()
        log.append(5, commit_record(7, WORDS))
        log.commit(5)
        log.append(-1, commit_record(6, ""))
        log.append(-1, commit_record(7, WORDS))
        log.append(5, commit_record(7, WORDS))
        log.commit(5)
        self.assertEqual(self.counted(log, {PLACE: {(6, ""), (7, WORDS)}}), [7, 7])
        self.assertEqual(self.counted(log, {PLACE: {(7, WORDS)}}), [7, 6, 7])


class OrdersAreShared(unittest.TestCase):
    def test_each_order_lies_in_the_range_of_ids_that_postgresql_is_asked_for(self):
        for count in (1, 3, 7, 64):
            shares = Shares(count, 1)
            for number in range(1000):
                order_id = str(uuid.UUID(int=number * (1 << 128) // 1000))
                first, end = shares.of_order(order_id).ids()
                self.assertTrue(first <= order_id and (end is None or order_id < end), order_id)


if __name__ == "__main__":
    unittest.main(verbosity=2)
