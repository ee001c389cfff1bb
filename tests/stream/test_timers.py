# SPDX-License-Identifier: Apache-2.0
"""A deadline counts only when everything that was in the inbox after it has been read."""
import time
import unittest
import uuid

from kafka import KafkaProducer

from orderlog_world import WorldTest, wait_until

ORDERS = 60
TTL_MS = 4000


class Timers(WorldTest):
    lasting = ("inventory", "shipping")
    options = {"order_reservation_ttl_ms": TTL_MS, "order_payment_timeout_ms": 1500}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stocked = cls.world.start("inventory")
        cls.world.start("shipping")
        for sku in ("A", "B"):
            cls.world.stock(sku, 1_000_000)
        cls.world.flush()
        cls.log.await_count(lambda: cls.log.events["inventory.events"], 4, "stock has arrived", 60)

    def deadline_passed(self, order_ids):
        deadline = max(self.log.by_order[order_id][0].body["reservation_deadline"].timestamp()
                       for order_id in order_ids)
        wait_until(lambda: time.time() > deadline + 0.2, "the deadline has passed")

    def test_an_answer_that_sits_unread_is_in_time(self):
        world, log = self.world, self.log
        first = world.start("order").await_ready()
        orders = [world.place(f"{self.id()}-{i}", [("A", 1), ("B", 1)]) for i in range(ORDERS)]
        world.flush()
        log.await_event(orders, "OrderPaymentRequested")
        first.kill()
        answered = len(log.events["payments.events"]) + ORDERS
        payment = world.start("payment").await_ready()
        log.await_count(lambda: log.events["payments.events"], answered, "payments are answered")
        self.deadline_passed(orders)
        # Small batches: the first ones end long before the last answer has been read.
        world.start("order", commit_records_max=3)
        log.await_event(orders, "OrderConfirmed")
        for order_id in orders:
            self.assertNotIn("OrderExpired", log.names(order_id))
            self.assertNotIn("OrderPaymentTimedOut", log.names(order_id))
        log.await_completed(orders)
        payment.kill()
        log.await_quiet(roles=("order", "inventory", "shipping"))
        log.check(self)

    def test_an_order_without_answers_expires(self):
        world, log = self.world, self.log
        world.start("order").await_ready()
        orders = [world.place(f"{self.id()}-{i}", [("A", 2)]) for i in range(ORDERS)]
        world.flush()  # nobody answers for the payment
        log.await_event(orders, "OrderExpired", seconds=TTL_MS / 1000 + 20)
        for order_id in orders:
            names = log.names(order_id)
            self.assertEqual(names.count("OrderExpired"), 1, names)
            self.assertNotIn("OrderConfirmed", names)
            expired = next(event for event in log.by_order[order_id]
                           if event.name == "OrderExpired")
            self.assertGreaterEqual(expired.body["occurred_at"],
                                    log.by_order[order_id][0].body["reservation_deadline"])
        payment = world.start("payment")  # the late answers change nothing
        log.await_quiet()
        payment.kill()
        log.check(self)
        self.assertEqual(log.by_sku["A"][-1].body["reserved"], 0)

    def test_a_deadline_whose_transaction_aborts_passes_again(self):
        world, log = self.world, self.log
        self.stocked.kill()
        worker = world.start("order", fault="offsets=refused@2,commit=not-done-lost@2")
        order_id = world.place(self.id())
        world.flush()
        log.await_event([order_id], "OrderExpired", seconds=TTL_MS / 1000 + 20)
        self.assertEqual(worker.faults(), 2, worker.log())
        Timers.stocked = world.start("inventory").await_ready()
        log.await_quiet(roles=("order", "inventory"))
        self.assertEqual(log.names(order_id), ["OrderPlaced", "OrderExpired"])
        log.check(self)

    def foreign_producer(self):
        producer = KafkaProducer(bootstrap_servers=self.world.bootstrap, acks="all",
                                 transactional_id=self.id(), transaction_timeout_ms=60000)
        producer.init_transactions()
        return producer

    def test_trailing_markers_do_not_hold_deadlines_up(self):
        """An aborted transaction leaves offsets that no record will ever fill."""
        world, log = self.world, self.log
        world.start("order").await_ready()
        orders = [world.place(f"{self.id()}-{i}") for i in range(4)]
        world.flush()
        log.await_event(orders, "OrderPaymentRequested")
        foreign = self.foreign_producer()
        foreign.begin_transaction()
        for partition in range(world.partitions):
            foreign.send("orders.inbox", value=b"never seen", partition=partition)
        foreign.flush()
        foreign.abort_transaction()
        foreign.close()
        log.await_event(orders, "OrderExpired", seconds=TTL_MS / 1000 + 20)

    def test_an_answer_in_an_open_transaction_is_in_time(self):
        """It may still be committed: whoever asks for the end must see uncommitted records."""
        world, log = self.world, self.log
        order_worker = world.start("order", order_payment_timeout_ms=600_000).await_ready()
        # An order whose only SKU lies with nobody: the test itself answers for inventory.
        self.stocked.kill()
        order_id = world.place(self.id(), [("C", 1)])
        world.flush()
        log.await_event([order_id], "OrderPlaced")
        foreign = self.foreign_producer()
        foreign.begin_transaction()
        partition = world.partition_of(order_id)
        answer = world.message("orders.inbox", "StockAnswered", order_id=uuid.UUID(order_id),
                               sku="C", result="UNKNOWN_SKU", requested=1, available=0)
        foreign.send("orders.inbox", value=world.group("orders.inbox", [answer]),
                     partition=partition)
        foreign.flush()
        self.deadline_passed([order_id])
        probe = time.monotonic() + 1.5
        wait_until(lambda: log.poll() and time.monotonic() > probe, "a while has passed")
        self.assertEqual(log.names(order_id), ["OrderPlaced"])
        foreign.commit_transaction()
        foreign.close()
        log.await_event([order_id], "OrderRejected")
        self.assertNotIn("OrderExpired", log.names(order_id))
        order_worker.kill()
        Timers.stocked = world.start("inventory").await_ready()


if __name__ == "__main__":
    unittest.main(verbosity=2)
