# SPDX-License-Identifier: Apache-2.0
"""Calls to the outside finish in any order and processes die in the middle: every request is
answered exactly once, and nobody is charged twice."""
import collections
import random
import os
import time
import unittest
import uuid

from orderlog_world import WorldTest, wait_until


class Executors(WorldTest):
    def order_in(self, partition):
        return next(one for one in iter(uuid.uuid4, None)
                    if self.world.partition_of(str(one)) == partition)

    def request(self, order_id, method, action="AUTHORIZE", payment_id=None):
        return self.world.message("payments.inbox", "RequestPayment", order_id=order_id,
                                  payment_id=payment_id or uuid.uuid4(), action=action, attempt=0,
                                  amount_minor=100, currency="GBP", payment_method=method)

    def check_answers(self, asked):
        """asked: order id -> how many requests"""
        log = self.log
        log.catch_up()
        events = collections.Counter(event.body["order_id"]
                                     for event in log.events["payments.events"])
        answers = collections.Counter(record.body["order_id"]
                                      for record in log.inbox["orders.inbox"]
                                      if record.name == "PaymentAnswered")
        for order_id, count in asked.items():
            self.assertEqual(events[order_id], count, order_id)
            self.assertEqual(answers[order_id], count, order_id)
        log.check_ids(self)
        log.check_commits(self)
        log.check_no_hanging_transaction(self)

    def check_ledger(self):
        """One charge per payment."""
        charges = collections.Counter()
        with open(self.world.environment["ORDERLOG_PAYMENT_LEDGER"]) as ledger:
            for line in ledger:
                _, payment_id, _, action, result, *_ = line.split()
                charges[payment_id, action.upper(), result.upper()] += 1
        self.assertTrue(charges)
        twice = [what for what, count in charges.items() if count > 1]
        self.assertEqual(twice[:3], [])

    def await_answers(self, asked, seconds=60):
        def done():
            self.log.poll()
            answered = collections.Counter(event.body["order_id"]
                                           for event in self.log.events["payments.events"])
            return all(answered[order_id] >= count for order_id, count in asked.items())
        wait_until(done, "all requests are answered", seconds)

    def test_answers_come_out_of_order_and_none_twice_whatever_is_killed(self):
        world, log = self.world, self.log
        seed = int(os.environ.get("ORDERLOG_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"  seed: ORDERLOG_TEST_SEED={seed}")
        draw = random.Random(seed)
        asked = {}
        options = {"payment_call_timeout_ms": 60000}
        worker = world.start("payment", **options)
        for round_number in range(6):
            for partition in range(world.partitions):
                for _ in range(draw.randint(2, 8)):  # records
                    messages = []
                    for _ in range(draw.randint(1, 12)):
                        order_id = self.order_in(partition)
                        asked[order_id] = 1
                        messages.append(self.request(
                            order_id, draw.choice(["tok_ok", "tok_decline", "tok_delay_10",
                                                   f"tok_delay_{draw.randint(1, 1500)}"])))
                    world.send("payments.inbox", partition, None,
                               world.group("payments.inbox", messages))
            world.flush()
            enough = len(log.events["payments.events"]) + draw.randint(1, 30)
            wait_until(lambda: len(log.poll().events["payments.events"]) >= min(enough, len(asked)),
                       "some answers", 40, worker.log)
            worker.kill()
            worker = world.start("payment", **options)
        self.await_answers(asked)
        log.await_quiet(roles=("payment",))
        self.check_answers(asked)
        self.check_ledger()
        # Delayed ones came later than those behind them, or the test has shown nothing.
        offsets = {record.body["message_id"]: (record.partition, record.offset, record.index)
                   for record in log.inbox["payments.inbox"]}
        order = [offsets[event.body["causation_id"]] for event in log.events["payments.events"]
                 if event.partition == 0]
        self.assertNotEqual(order, sorted(order))

    def test_calls_in_flight_survive_aborts(self):
        """What they answer belongs to a turn that was undone: only the call made again counts."""
        world = self.world
        worker = world.start("payment", payment_call_timeout_ms=60000,
                             fault="offsets=refused@2,commit=not-done-lost@3,offsets=refused@6,"
                                   "commit=done-but-lost@6,produce=fail@20,offsets=refused@12")
        asked = {}
        for round_number in range(8):
            for partition in range(world.partitions):
                messages = []
                for i in range(10):
                    order_id = self.order_in(partition)
                    asked[order_id] = 1
                    messages.append(self.request(order_id, f"tok_delay_{50 + 120 * i}"))
                world.send("payments.inbox", partition, None,
                           world.group("payments.inbox", messages))
            world.flush()
            # The next round is read while calls of this one are in flight.
            self.log.await_count(lambda: self.log.events["payments.events"],
                                 len(self.log.events["payments.events"]) + 5, "answers")
        self.await_answers(asked)
        self.assertEqual(worker.faults(), 6, worker.log())
        self.assertTrue(worker.alive(), worker.log())
        worker.kill()
        self.check_answers(asked)
        self.check_ledger()

    def test_calls_of_one_order_take_effect_in_order(self):
        world = self.world
        worker = world.start("payment", payment_call_timeout_ms=60000)
        asked = {}
        for i in range(30):
            order_id, payment_id = self.order_in(i % world.partitions), uuid.uuid4()
            asked[order_id] = 2
            world.send("payments.inbox", i % world.partitions, None, world.group(
                "payments.inbox", [self.request(order_id, "tok_delay_700", "AUTHORIZE", payment_id),
                                   self.request(order_id, "tok_delay_700", "VOID", payment_id)]))
        world.flush()
        self.await_answers(asked)
        self.check_answers(asked)
        for order_id in asked:
            names = [event.name for event in self.log.events["payments.events"]
                     if event.body["order_id"] == order_id]
            self.assertEqual(names, ["PaymentAuthorized", "PaymentVoided"])
        self.check_ledger()
        worker.kill()

    def test_a_full_worker_goes_on_after_a_rebalance(self):
        """It stops reading while it has no room; its partitions coming and going must not make
        that last for ever."""
        world = self.world
        options = {"payment_call_timeout_ms": 60000, "payment_inflight_max": 1100}
        asked = {}
        for i in range(40):
            messages = []
            for _ in range(100):
                order_id = self.order_in(i % world.partitions)
                asked[order_id] = 1
                messages.append(self.request(order_id, f"tok_delay_{500 + 10 * i}"))
            world.send("payments.inbox", i % world.partitions, None,
                       world.group("payments.inbox", messages))
        world.flush()
        first = world.start("payment", **options).await_ready()
        self.log.await_count(lambda: self.log.events["payments.events"], 1, "an answer")
        second = world.start("payment", slot=1, **options)
        wait_until(lambda: second.taken() or not second.alive(), "a rebalance", 30, second.log)
        self.await_answers(asked, 90)
        self.assertTrue(first.alive() and second.alive())
        second.kill()
        self.log.await_quiet(roles=("payment",))
        self.check_answers(asked)
        self.check_ledger()
        first.kill()


if __name__ == "__main__":
    unittest.main(verbosity=2)
