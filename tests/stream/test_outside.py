# SPDX-License-Identifier: Apache-2.0
"""Payment and shipping with a provider and a carrier in processes of their own, behind HTTP: all of
them are killed again and again, answers are lost, and every request is still answered exactly once
and takes effect at most once."""
import collections
import os
import random
import subprocess
import time
import unittest
import uuid

from orderlog_world import PROGRAM, WorldTest, free_port, wait_until


class Simulator:
    def __init__(self, world, what, *more):
        self.port = free_port()
        self.world, self.what, self.more = world, what, more
        self.ledger = os.path.join(world.folder, f"{what}.ledger")
        self.log_path = os.path.join(world.folder, f"simulated-{what}.log")
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "simulate", self.what, "--port", str(self.port), "--ledger", self.ledger,
                 *self.more], env=self.world.environment, stdin=subprocess.DEVNULL, stderr=log)
        return self

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def effects(self):
        """{(id, action, result): how often}"""
        with open(self.ledger) as ledger:
            return collections.Counter((line.split()[1], *line.split()[3:5]) for line in ledger)


class Outside(WorldTest):
    def outside(self, what, *more):
        simulator = Simulator(self.world, what, *more).start()
        self.addCleanup(simulator.kill)
        return simulator

    def send(self, topic, record, fields):
        order_id = fields["order_id"]
        partition = self.world.partition_of(str(order_id))
        self.world.send(topic, partition, None, self.world.group(
            topic, [self.world.message(topic, record, **fields)]))

    def answered(self, role, answer):
        events = collections.Counter(event.body["order_id"]
                                     for event in self.log.events[f"{role}.events"])
        answers = collections.Counter(one.body["order_id"] for one in self.log.inbox["orders.inbox"]
                                      if one.name == answer)
        return events, answers

    def seeded(self):
        seed = int(os.environ.get("ORDERLOG_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"  seed: ORDERLOG_TEST_SEED={seed}")
        return random.Random(seed)

    def test_everyone_is_charged_once_whoever_is_killed(self):
        draw = self.seeded()
        provider = self.outside("provider", "--lose-percent", "5", "--break-percent", "5")
        options = {"payment_provider_url": provider.url, "payment_provider_timeout_ms": 500}
        asked = [uuid.uuid4() for _ in range(600)]
        methods = {}
        for order_id in asked:
            methods[order_id] = draw.choice(["tok_ok", "tok_decline", "tok_delay_30", "tok_lost",
                                             "tok_broken", "tok_timeout", "tok_ok", "tok_ok"])
            self.send("payments.inbox", "RequestPayment", {
                "order_id": order_id, "payment_id": order_id, "action": "AUTHORIZE", "attempt": 0,
                "amount_minor": 100, "currency": "GBP", "payment_method": methods[order_id]})
        self.world.flush()
        worker = self.world.start("payment", **options)
        for _ in range(3):
            enough = len(self.log.poll().events["payments.events"]) + draw.randint(20, 120)
            wait_until(lambda: len(self.log.poll().events["payments.events"])
                       >= min(enough, len(asked)), "some answers", 40, worker.log)
            if draw.random() < 0.7:
                provider.kill()
                provider.start()
            if draw.random() < 0.7:
                worker.kill()
                worker = self.world.start("payment", **options)
        wait_until(lambda: len(self.log.poll().events["payments.events"]) >= len(asked),
                   "all answers", 90, worker.log)
        self.log.await_quiet(roles=("payment",))
        self.log.catch_up()
        events, answers = self.answered("payments", "PaymentAnswered")
        for order_id in asked:
            self.assertEqual((events[order_id], answers[order_id]), (1, 1), order_id)
        effects = provider.effects()
        self.assertEqual([what for what, count in effects.items() if count > 1], [])
        # Who was told so was charged, and who was told otherwise was not.
        charged = {payment for payment, _, result in effects if result == "AUTHORIZED"}
        for event in self.log.events["payments.events"]:
            order_id = str(event.body["order_id"])
            if event.name == "PaymentAuthorized":
                self.assertIn(order_id, charged)
            elif event.name == "PaymentDeclined":
                self.assertNotIn(order_id, charged)
            else:
                self.assertEqual(event.name, "PaymentUnknown")
        self.assertTrue(charged)

    def test_every_parcel_goes_out_once_whoever_is_killed(self):
        draw = self.seeded()
        carrier = self.outside("carrier", "--lose-percent", "10", "--break-percent", "10",
                               "--dispatch-after-ms", "50", "--deliver-after-ms", "50")
        options = {"carrier_url": carrier.url}
        asked = [uuid.uuid4() for _ in range(200)]
        for order_id in asked:
            for action in ("BOOK", "DISPATCH"):
                self.send("shipping.inbox", "RequestShipment", {
                    "order_id": order_id, "shipment_id": order_id, "action": action})
        self.world.flush()
        worker = self.world.start("shipping", **options)

        def delivered():
            return {event.body["order_id"] for event in self.log.poll().events["shipping.events"]
                    if event.name == "ShipmentDelivered"}
        for _ in range(3):
            enough = len(delivered()) + draw.randint(10, 40)
            wait_until(lambda: len(delivered()) >= min(enough, len(asked)), "some deliveries", 40,
                       worker.log)
            if draw.random() < 0.7:
                carrier.kill()
                carrier.start()
            if draw.random() < 0.7:
                worker.kill()
                worker = self.world.start("shipping", **options)
        wait_until(lambda: len(delivered()) == len(asked), "all are delivered", 90, worker.log)
        self.log.await_quiet(roles=("shipping",))
        self.log.catch_up()
        names = collections.defaultdict(list)
        for event in self.log.events["shipping.events"]:
            names[event.body["order_id"]].append(event.name)
        for order_id in asked:
            self.assertEqual(names[order_id],
                             ["ShipmentBooked", "ShipmentDispatched", "ShipmentDelivered"])
        self.assertEqual([what for what, count in carrier.effects().items() if count > 1], [])
        self.assertEqual(sum(carrier.effects().values()), 3 * len(asked))


if __name__ == "__main__":
    unittest.main(verbosity=2)
