# SPDX-License-Identifier: Apache-2.0
"""What an outsider sees: the committed records of all topics, and the promises they must keep.

Reads with kafka-python (read_committed), decodes with fastavro, and judges with rules written from
the documentation, none of it shared with the program.
"""
import collections
import ctypes
import ctypes.util
import re
import time
import uuid

from kafka import KafkaConsumer, TopicPartition

from orderlog_world import EVENTS, INBOX, ROLES, wait_until

TOPICS = [name for role in ROLES for name in
          (INBOX[role], EVENTS[role], INBOX[role].replace("inbox", "deadletters"))]
TERMINAL = {"OrderCompleted", "OrderCancelled", "OrderRejected", "OrderExpired"}
METADATA = re.compile(r"v1 at=(\d+) seq=(\d+) events=(\d+) new=(\d+) by=([0-9a-f]{8})( answered=\S+)?")

Record = collections.namedtuple("Record", "topic partition offset index key name body")


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash"))
xxhash.XXH3_128bits.restype = Hash128
xxhash.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def derived_id(cause, index):
    """Event ids are a function of their cause and version."""
    data = cause.bytes + (index & (1 << 64) - 1).to_bytes(8, "little")
    found = xxhash.XXH3_128bits(data, len(data))
    value = bytearray(found.high.to_bytes(8, "big") + found.low.to_bytes(8, "big"))
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(value))


def micros(moment):
    return round(moment.timestamp() * 1e6)


class Log:
    def __init__(self, world):
        self.world = world
        self.registry = world.registry
        self.consumer = KafkaConsumer(bootstrap_servers=world.bootstrap, group_id=None,
                                      isolation_level="read_committed", fetch_max_wait_ms=50,
                                      enable_auto_commit=False, auto_offset_reset="earliest",
                                      max_poll_records=5000)
        self.assigned = [TopicPartition(topic, partition) for topic in TOPICS
                         for partition in range(world.partitions)]
        self.consumer.assign(self.assigned)
        self.records = []
        self.undecodable = []
        self.by_order = collections.defaultdict(list)  # events of orders.events, in log order
        self.by_sku = collections.defaultdict(list)
        self.inbox = collections.defaultdict(list)     # topic -> messages, groups unpacked
        self.events = collections.defaultdict(list)
        self.letters = collections.defaultdict(list)

    def close(self):
        self.consumer.close()

    def poll(self, timeout_ms=20):
        for at, records in self.consumer.poll(timeout_ms=timeout_ms).items():
            for record in records:
                self.take(at.topic, record)
        return self

    def take(self, topic, record):
        try:
            name, body = self.registry.decode(record.value)
        except Exception as error:  # bytes that a test wrote
            self.undecodable.append((topic, record.partition, record.offset, error))
            return
        if name != "MessageGroup":
            self.add(Record(topic, record.partition, record.offset, -1, record.key, name, body))
            return
        for index, data in enumerate(body["messages"]):
            try:
                name, inner = self.registry.decode(data)
            except Exception as error:
                self.undecodable.append((topic, record.partition, record.offset, error))
                continue
            self.add(Record(topic, record.partition, record.offset, index, None, name, inner))

    def add(self, record):
        self.records.append(record)
        if record.topic.endswith(".inbox"):
            self.inbox[record.topic].append(record)
        elif record.topic.endswith(".deadletters"):
            self.letters[record.topic].append(record)
        else:
            self.events[record.topic].append(record)
            if record.topic == "orders.events" and "version" in record.body:
                self.by_order[str(record.body["order_id"])].append(record)
            elif record.topic == "inventory.events" and "version" in record.body:
                self.by_sku[record.body["sku"]].append(record)

    # ---- waiting ----

    def names(self, order_id):
        return [record.name for record in self.by_order[str(order_id)]]

    def await_event(self, order_ids, names, seconds=40):
        """Every order has an event of one of these names."""
        names = {names} if isinstance(names, str) else set(names)
        left = {str(order_id) for order_id in order_ids}

        def done():
            self.poll()
            for order_id in list(left):
                if names & set(self.names(order_id)):
                    left.discard(order_id)
            return not left
        wait_until(done, f"{sorted(names)} of {len(left)} orders", seconds,
                   lambda: f"{len(left)} left, such as "
                           + "; ".join(f"{one} {self.names(one)}" for one in sorted(left)[:3]))

    def await_completed(self, order_ids, seconds=40):
        self.await_event(order_ids, "OrderCompleted", seconds)

    def await_count(self, collection, count, what, seconds=30):
        wait_until(lambda: len(self.poll() and collection()) >= count, what, seconds,
                   lambda: f"{len(collection())} of {count}")

    def ends(self, isolation):
        consumer = KafkaConsumer(bootstrap_servers=self.world.bootstrap, group_id=None,
                                 isolation_level=isolation)
        try:
            return consumer.end_offsets(self.assigned)
        finally:
            consumer.close()

    def await_quiet(self, seconds=30, roles=ROLES):
        """All input is handled: committed offsets at the ends (less trailing markers)."""
        def done():
            self.poll()
            handled = {at: max((record.offset + 1 for record in self.inbox[at.topic]
                                if record.partition == at.partition), default=0)
                       for at in self.assigned if at.topic.endswith(".inbox")}
            for role in roles:
                committed = self.world.offsets(role)
                for partition in range(self.world.partitions):
                    if (committed.get(partition, (0, ""))[0]
                            < handled[TopicPartition(INBOX[role], partition)]):
                        return False
            return True
        wait_until(done, "everything is handled", seconds)
        return self

    def catch_up(self, seconds=30):
        ends = self.ends("read_committed")
        wait_until(lambda: self.poll() and all(self.consumer.position(at) >= ends[at]
                                               for at in self.assigned),
                   "the log is read to its end", seconds)

    # ---- snapshots ----

    def rows(self, topic):
        """{partition: {key: (record's name, fields)}}, as compaction would leave them."""
        consumer = KafkaConsumer(bootstrap_servers=self.world.bootstrap, group_id=None,
                                 isolation_level="read_committed", enable_auto_commit=False,
                                 auto_offset_reset="earliest", fetch_max_wait_ms=20)
        parts = [TopicPartition(topic, partition) for partition in range(self.world.partitions)]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        found = {partition: {} for partition in range(self.world.partitions)}
        while any(consumer.position(at) < ends[at] for at in parts):
            for at, records in consumer.poll(timeout_ms=100).items():
                for record in records:
                    key = record.key.decode()
                    if record.value is None:
                        found[at.partition].pop(key, None)
                    else:
                        found[at.partition][key] = self.registry.decode(record.value)
        consumer.close()
        return found

    # ---- promises ----

    def check(self, test):
        """All promises about everything that is committed now."""
        self.catch_up()
        self.check_ids(test)
        self.check_orders(test)
        self.check_stock(test)
        self.check_conversations(test)
        self.check_commits(test)

    def check_ids(self, test):
        """Event and message ids are unique and derived from their cause (I3)."""
        seen = {}
        for record in self.records:
            body = record.body
            for field in ("event_id", "message_id"):
                if field in body and body[field] not in self.world.foreign_ids:
                    if body[field] in seen:
                        test.fail(f"{record} repeats {seen[body[field]]}")
                    seen[body[field]] = record
            if "event_id" not in body:
                continue
            if "version" in body:
                wanted = derived_id(body["causation_id"], body["version"])
            elif record.name.endswith("CommandRefused"):
                command_id = body.get("command_id") or body["causation_id"]
                wanted = derived_id(command_id, micros(body["occurred_at"]))
            else:
                wanted = derived_id(body["causation_id"], 1)
            test.assertEqual(body["event_id"], wanted, record)

    def check_orders(self, test):
        places = collections.Counter(str(record.body["order_id"])
                                     for record in self.inbox["orders.inbox"]
                                     if record.name == "PlaceOrder")
        for order_id, events in self.by_order.items():
            names = [event.name for event in events]
            test.assertEqual([event.body["version"] for event in events],
                             list(range(1, len(events) + 1)), (order_id, names))
            test.assertEqual(len({event.partition for event in events}), 1)
            test.assertEqual(names.count("OrderPlaced"), 1, (order_id, names))
            test.assertEqual(names[0], "OrderPlaced")
            test.assertGreater(places[order_id], 0, f"nobody placed {order_id}")
            test.assertLessEqual(sum(name in TERMINAL for name in names), 1, (order_id, names))
            if "OrderDispatched" in names:
                test.assertFalse({"OrderCancelled", "OrderRejected", "OrderExpired"} & set(names),
                                 (order_id, names))

    def check_stock(self, test):
        """Each SKU's levels follow from the event before, and stay possible (I3, I7, I13)."""
        for sku, events in self.by_sku.items():
            on_hand = reserved = sold = 0
            held = {}
            for version, event in enumerate(events, 1):
                body = event.body
                test.assertEqual(body["version"], version, (sku, event))
                order_id, quantity = body.get("order_id"), body.get("quantity", 0)
                if event.name == "StockReceived":
                    on_hand += quantity
                elif event.name == "StockReserved":
                    test.assertNotIn(order_id, held, event)
                    held[order_id] = quantity
                    reserved += quantity
                elif event.name == "StockReleased":
                    reserved -= held.pop(order_id)
                elif event.name == "StockSold":
                    quantity = held.pop(order_id)
                    on_hand, reserved, sold = on_hand - quantity, reserved - quantity, sold + quantity
                test.assertEqual((body["on_hand"], body["reserved"], body["sold"]),
                                 (on_hand, reserved, sold), event)
                test.assertTrue(0 <= reserved <= on_hand, event)
                test.assertEqual(sum(held.values()), reserved)

    def check_conversations(self, test):
        """Every request has at most one answer, every answer a request; causes exist (I4, I5)."""
        known = {record.body[field] for record in self.records
                 for field in ("event_id", "message_id", "command_id") if field in record.body}
        answers = collections.Counter()
        for record in self.inbox["orders.inbox"]:
            if (record.name.endswith("Answered")
                    and record.body["message_id"] not in self.world.foreign_ids):
                answers[record.body["causation_id"]] += 1
                test.assertTrue(record.body["causation_id"] in known, record)
        for cause, count in answers.items():
            test.assertEqual(count, 1, f"{cause} was answered {count} times")
        for role in ("payment", "shipping"):
            for event in self.events[EVENTS[role]]:
                test.assertTrue(event.body["causation_id"] in known, event)
        answered = {record.body["causation_id"] for record in self.inbox["orders.inbox"]
                    if record.name == "PaymentAnswered"
                    and record.body["message_id"] not in self.world.foreign_ids}
        happened = {event.body["event_id"] for event in self.events["payments.events"]}
        test.assertEqual(sorted(happened ^ answered)[:3], [], "events of payment and its answers")

    def check_commits(self, test):
        """Every transaction committed an offset with metadata, numbered without a gap, by whoever."""
        consumer = KafkaConsumer(bootstrap_servers=self.world.bootstrap, group_id=None,
                                 isolation_level="read_committed", enable_auto_commit=False,
                                 auto_offset_reset="earliest", fetch_max_wait_ms=50)
        topic = "__consumer_offsets"
        parts = [TopicPartition(topic, part) for part in consumer.partitions_for_topic(topic)]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        commits = collections.defaultdict(list)
        deadline = time.monotonic() + 30
        while any(consumer.position(part) < ends[part] for part in parts):
            test.assertLess(time.monotonic(), deadline, "reading the committed offsets")
            for records in consumer.poll(timeout_ms=200).values():
                for record in records:
                    found = read_commit(record.key, record.value)
                    if found and found[0].startswith("orderlog."):
                        commits[found[:3]].append(found[3:])
        consumer.close()
        test.assertTrue(commits)
        for at, history in commits.items():
            before = None
            for offset, metadata in history:
                match = METADATA.fullmatch(metadata)
                test.assertTrue(match, f"{at}: offset {offset} with metadata '{metadata}'")
                test.assertEqual(int(match[1]), offset, (at, metadata))
                seq = int(match[2])
                if before is not None:
                    test.assertEqual(seq, before[1] + 1, f"{at}: transactions are numbered")
                    test.assertGreaterEqual(offset, before[0], f"{at}: offsets never go back")
                before = (offset, seq)

    def check_no_hanging_transaction(self, test, seconds=15):
        """The last stable offset reaches the end of every partition (I12)."""
        def difference():
            stable, ends = self.ends("read_committed"), self.ends("read_uncommitted")
            return {at: (stable[at], ends[at]) for at in ends if stable[at] != ends[at]}
        wait_until(lambda: not difference(), "no transaction is open", seconds, difference)


def read_commit(key, value):
    """(group, topic, partition, offset, metadata) of a record of __consumer_offsets."""
    if key is None or value is None or int.from_bytes(key[:2], "big") > 1:
        return None

    def text(data, at):
        end = at + 2 + int.from_bytes(data[at:at + 2], "big")
        return data[at + 2:end].decode(), end
    group, at = text(key, 2)
    topic, at = text(key, at)
    partition = int.from_bytes(key[at:at + 4], "big")
    version, offset = int.from_bytes(value[:2], "big"), int.from_bytes(value[2:10], "big")
    if version < 4:
        return group, topic, partition, offset, text(value, 14 if version == 3 else 10)[0]
    size, at, shift = 0, 14, 0  # a compact string: its length plus one, seven bits a byte
    while True:
        size |= (value[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not value[at - 1] & 0x80:
            return group, topic, partition, offset, value[at:at + size - 1].decode()
