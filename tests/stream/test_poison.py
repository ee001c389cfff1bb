# SPDX-License-Identifier: Apache-2.0
"""Bad bytes stop nothing: each is set aside whole, once, and everything around it goes on."""
import unittest
import uuid

from kafka import KafkaProducer

from orderlog_world import SHOP, WorldTest


class Poison(WorldTest):
    lasting = ("inventory", "shipping")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for role in cls.lasting:
            cls.world.start(role)
        cls.world.stock("A", 1_000_000)
        cls.world.flush()
        cls.log.await_count(lambda: cls.log.events["inventory.events"], 2, "stock has arrived", 60)

    def bad_values(self, topic, good, foreign):
        """(name, key, value) of what cannot be handled; good is a message of this topic."""
        return [
            ("tombstone", "k", None),
            ("empty", "k", b""),
            ("text", "k", b"{\"order\": 1}"),
            ("no schema", None, b"\0\0\0"),
            ("unknown schema", "k", b"\0\x7f\xff\xff\xffabc"),
            ("cut short", "k", good[:-1]),
            ("cut very short", None, good[:6]),
            ("too long", "k", good + b"\0"),
            ("foreign", "k", foreign),
            ("group in a group, as bytes", None,
             self.world.group(topic, [good])[:-3]),
            ("as large as an inbox allows", "k", bytes(1_040_000)),
        ]

    def send_all(self, topic, bad, partition):
        sent = []
        for name, key, value in bad:
            future = self.world.send(topic, partition, key, value)
            sent.append((future, name, key, value))
        self.world.flush()
        return {(partition, future.get(timeout=30).offset): (name, key, value)
                for future, name, key, value in sent}

    def check_letters(self, topic, letters, sent):
        found = {}
        for letter in letters:
            body = letter.body
            at = (body["partition"], body["offset"])
            if at not in sent:
                continue
            self.assertNotIn(at, found, f"twice in the dead letters: {body}")
            found[at] = body
            name, key, value = sent[at]
            self.assertEqual(body["topic"], topic, name)
            self.assertEqual(letter.partition, body["partition"], name)
            self.assertEqual(body["index"], -1, name)
            self.assertEqual(body["key"], key.encode() if key else None, name)
            self.assertEqual(body["value"], value, name)
            self.assertTrue(body["error"], name)
        self.assertEqual(len(found), len(sent),
                         [sent[at][0] for at in sent if at not in found])

    def order_message(self, order_id):
        return self.world.message("orders.inbox", "StockAnswered", order_id=uuid.UUID(order_id),
                                  sku="none", result="RESERVED", requested=1, available=1)

    def test_the_order_role_sets_bad_bytes_aside(self):
        world, log = self.world, self.log
        payment = world.start("payment")
        worker = world.start("order", commit_records_max=5)
        orders, sent, grouped = [], {}, 0
        for round_number in range(2):
            for partition in range(world.partitions):
                order_id = next(order_id for order_id in
                                (str(uuid.uuid4()) for _ in range(1000))
                                if world.partition_of(order_id) == partition)
                bad = self.bad_values(
                    "orders.inbox", self.order_message(order_id),
                    world.message("payments.inbox", "RequestPayment",
                                  order_id=uuid.UUID(order_id), payment_id=uuid.uuid4(),
                                  action="AUTHORIZE", attempt=0, amount_minor=1, currency="GBP",
                                  payment_method="tok_ok"))
                bad.append(("in the wrong partition", order_id, self.order_message(
                    next(other for other in (str(uuid.uuid4()) for _ in range(1000))
                         if world.partition_of(other) != partition))))
                bad.append(("shop without a name", order_id, world.registry.encode(
                    "orders.inbox", "CancelOrder",
                    {"command_id": uuid.uuid4(), "key_id": uuid.uuid4(), "shop_id": "",
                     "order_id": uuid.UUID(order_id), "idempotency_key": "k", "received_at": 1,
                     "reason": None})))
                orders.append(world.place(f"{self.id()}-{round_number}-{partition}-a"))
                sent.update(self.send_all("orders.inbox", bad, partition))
                # One bad message among good ones: only it is set aside.
                good = world.place_message(f"{self.id()}-{round_number}-{partition}", partition)
                orders.append(good[0])
                future = world.send("orders.inbox", partition, None, world.group(
                    "orders.inbox", [b"bad", good[1], b"", world.group("orders.inbox", [])]))
                world.flush()
                group_at = (partition, future.get(timeout=30).offset)
                orders.append(world.place(f"{self.id()}-{round_number}-{partition}-b"))
                world.flush()
                log.await_completed(orders)
                log.await_quiet()
                log.catch_up()
                letters = log.letters["orders.deadletters"]
                self.check_letters("orders.inbox", letters, sent)
                inside = [letter.body for letter in letters
                          if (letter.body["partition"], letter.body["offset"]) == group_at]
                self.assertEqual([body["index"] for body in inside], [0, 2, 3])
                self.assertEqual([body["value"] for body in inside],
                                 [b"bad", b"", world.group("orders.inbox", [])])
                grouped += 3
            worker.kill()
            worker = world.start("order")
        log.catch_up()
        self.assertEqual(len([letter for letter in log.letters["orders.deadletters"]
                              if "not copied" not in letter.body["error"]]), len(sent) + grouped)
        log.check_ids(self)
        log.check_orders(self)
        log.check_commits(self)
        payment.kill()

    def test_what_is_too_large_to_be_copied_is_named(self):
        """Compressed, 20 MiB pass every limit of the broker."""
        world, log = self.world, self.log
        worker = world.start("order")
        payment = world.start("payment")
        producer = KafkaProducer(bootstrap_servers=world.bootstrap, acks="all",
                                 compression_type="gzip", max_request_size=64 << 20)
        order_id = world.place(self.id())
        world.flush()
        partition = world.partition_of(order_id)
        sent = {}
        for key, value in ((b"k", bytes(20 << 20)), (bytes(20 << 20), b"x")):
            future = producer.send("orders.inbox", key=key, value=value, partition=partition)
            producer.flush()
            sent[future.get(timeout=30).offset] = (key, value)
        producer.close()
        orders = [order_id] + [world.place(f"{self.id()}-{i}") for i in range(6)]
        world.flush()
        log.await_completed(orders)
        log.catch_up()
        letters = [letter.body for letter in log.letters["orders.deadletters"]
                   if letter.body["partition"] == partition and letter.body["offset"] in sent]
        self.assertEqual([(len(body["key"] or b""), len(body["value"] or b""))
                          for body in letters], [(1, 0), (0, 1)])
        for body in letters:
            self.assertIn("not copied", body["error"])
        worker.kill()
        payment.kill()

    def test_inventory_sets_bad_bytes_aside(self):
        world, log = self.world, self.log
        bad = self.bad_values("inventory.inbox",
                              world.message("inventory.inbox", "RequestStock", sku="A",
                                            order_id=uuid.uuid4(), action="RELEASE", quantity=0),
                              self.order_message(str(uuid.uuid4())))
        sent = {}
        for partition in range(world.partitions):
            sent.update(self.send_all("inventory.inbox", bad, partition))
        before = len(log.events["inventory.events"])
        world.stock("B", 7)
        world.stock("C", 7)
        world.flush()
        log.await_count(lambda: log.events["inventory.events"], before + 4, "stock has arrived")
        log.await_quiet(roles=("inventory",))
        log.catch_up()
        self.check_letters("inventory.inbox", log.letters["inventory.deadletters"], sent)
        log.check_stock(self)

    def test_an_executor_sets_bad_bytes_aside_once_whatever_is_open_before_them(self):
        """While an earlier call has no answer the offset stays before the bad bytes: read again,
        they are known to be dealt with."""
        world, log = self.world, self.log
        order_ids = [next(one for one in (str(uuid.uuid4()) for _ in range(1000))
                          if world.partition_of(one) == partition)
                     for partition in range(world.partitions)]

        def request(order_id, method):
            return world.message("payments.inbox", "RequestPayment",
                                 order_id=uuid.UUID(order_id), payment_id=uuid.uuid4(),
                                 action="AUTHORIZE", attempt=0, amount_minor=100, currency="GBP",
                                 payment_method=method)
        for order_id, partition in zip(order_ids, range(world.partitions)):
            world.send("payments.inbox", partition, None, world.group(
                "payments.inbox", [request(order_id, "tok_delay_8000")]))
        world.flush()
        sent = {}
        for order_id, partition in zip(order_ids, range(world.partitions)):
            bad = self.bad_values("payments.inbox", request(order_id, "tok_ok"),
                                  self.order_message(order_id))
            sent.update(self.send_all("payments.inbox", bad, partition))
        worker = world.start("payment", payment_call_timeout_ms=60000)
        log.await_count(lambda: log.letters["payments.deadletters"], len(sent), "dead letters")
        for _ in range(2):
            worker.kill()
            worker = world.start("payment", payment_call_timeout_ms=60000).await_ready()
        log.await_count(lambda: [event for event in log.events["payments.events"]
                                 if str(event.body["order_id"]) in order_ids],
                        world.partitions, "the delayed answers", 40)
        log.await_quiet(roles=("payment",))
        log.catch_up()
        self.check_letters("payments.inbox", log.letters["payments.deadletters"], sent)
        self.assertEqual(len(log.letters["payments.deadletters"]), len(sent))
        self.assertEqual(SHOP, log.events["payments.events"][-1].body["shop_id"])
        worker.kill()


if __name__ == "__main__":
    unittest.main(verbosity=2)
