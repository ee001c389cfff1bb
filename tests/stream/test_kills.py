# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every step of a transaction, and at random under load: nothing is lost or doubled."""
import os
import random
import time
import unittest

from orderlog_world import ROLES, WorldTest, wait_until

SWEEP = ["produce=kill@{}", "offsets=kill@{}", "commit=kill@{}", "commit=kill-after@{}"]
LONG = os.environ.get("ORDERLOG_TEST_LONG") == "1"
ORDERS = 5000 if LONG else 1000


class Kills(WorldTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for sku in "ABCDEFGH":
            cls.world.stock(sku, 1_000_000)
        cls.world.stock("rare", 50)
        cls.world.flush()

    def sweep(self, role):
        """The process dies at the first step, its successor at the next, and so on."""
        world, log = self.world, self.log
        for other in ROLES:
            if other != role:
                world.start(other)
        orders = []
        for number in range(1, 6 if LONG else 3 if role in ("order", "inventory") else 2):
            for point in SWEEP:
                fault = point.format(number)
                worker = world.start(role, fault=fault, commit_records_max=5)

                def fed_until_dead():
                    orders.append(world.place(f"{self.id()}-{fault}-{len(orders)}",
                                              [("A", 1), ("B", 1)]))
                    world.flush()
                    return not worker.alive()
                wait_until(fed_until_dead, f"death by {fault}", 40, worker.log)
                self.assertEqual(worker.process.returncode, -9, worker.log())
                self.assertEqual(worker.faults(), 1)
        world.start(role)
        log.await_completed(orders, 60)
        log.await_quiet()
        log.check(self)
        log.check_no_hanging_transaction(self)

    def test_order_dies_at_every_step(self):
        self.sweep("order")

    def test_inventory_dies_at_every_step(self):
        self.sweep("inventory")

    def test_payment_dies_at_every_step(self):
        self.sweep("payment")

    def test_shipping_dies_at_every_step(self):
        self.sweep("shipping")

    def test_random_kills_under_load_lose_and_double_nothing(self):
        world, log = self.world, self.log
        seed = int(os.environ.get("ORDERLOG_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"  seed: ORDERLOG_TEST_SEED={seed}")
        draw = random.Random(seed)
        workers = {role: world.start(role) for role in ROLES}
        orders, methods, cancelled, kills = [], {}, set(), 0
        rare = 0
        while len(orders) < ORDERS:
            for _ in range(draw.randint(20, 120)):
                lines = [(draw.choice("ABCDEFGH"), draw.randint(1, 5))
                         for _ in range(draw.randint(1, 4))]
                if draw.random() < 0.05:
                    lines.append(("rare", draw.randint(1, 3)))
                method = draw.choice(["tok_ok"] * 8 + ["tok_decline", "tok_delay_50"])
                order_id = world.place(f"{self.id()}-{len(orders)}", lines, method)
                orders.append(order_id)
                methods[order_id] = method
                rare += any(sku == "rare" for sku, _ in lines)
                if draw.random() < 0.05:
                    world.place(f"{self.id()}-{len(orders) - 1}", lines, method)  # sent twice
                if draw.random() < 0.1:
                    cancelled.add(draw.choice(orders[-100:]))
                    world.cancel(sorted(cancelled)[-1])
                    world.cancel(orders[-1]) if draw.random() < 0.3 else None
            world.flush()
            role = draw.choice(ROLES)
            enough = len(log.poll().records) + draw.randint(50, 600)
            try:
                wait_until(lambda: len(log.poll().records) >= enough, "some progress",
                           draw.uniform(0.2, 1.5))
            except AssertionError:
                pass  # all was done already: killed while idle
            workers[role].kill()
            workers[role] = world.start(role)
            kills += 1
        print(f"  {len(orders)} orders, {kills} kills, {rare} orders of what is scarce")
        log.await_event(orders, ["OrderCompleted", "OrderCancelled", "OrderRejected"], 120)
        log.await_quiet(60)
        log.check(self)
        log.check_no_hanging_transaction(self)
        for order_id in orders:
            names = log.names(order_id)
            if methods[order_id] == "tok_decline":
                self.assertFalse({"OrderConfirmed", "OrderPaymentCaptured"} & set(names), names)
            if "OrderCompleted" in names:
                self.assertEqual(names.count("OrderPaymentCaptured"), 1, names)
        self.check_conservation()
        self.check_ledger()

    def check_conservation(self):
        """What was reserved was sold to completed orders or released (I13)."""
        sold = {}
        for events in self.log.by_order.values():
            if any(event.name == "OrderDispatched" for event in events):
                for line in events[0].body["lines"]:
                    sold[line["sku"]] = sold.get(line["sku"], 0) + line["quantity"]
        for sku, events in self.log.by_sku.items():
            self.assertEqual(events[-1].body["reserved"], 0, sku)
            self.assertEqual(events[-1].body["sold"], sold.get(sku, 0), sku)

    def check_ledger(self):
        """One charge and one capture per payment, and captures only of completed orders (I6)."""
        seen = {}
        with open(self.world.environment["ORDERLOG_PAYMENT_LEDGER"]) as ledger:
            for line in ledger:
                _, payment_id, order_id, action, result, *_ = line.split()
                what = (payment_id, action, result)
                self.assertNotIn(what, seen, line)
                seen[what] = order_id
        captured = {order_id for (_, action, result), order_id in seen.items()
                    if action.upper() == "CAPTURE" and result.upper() == "CAPTURED"}
        completed = {order_id for order_id in self.log.by_order
                     if "OrderPaymentCaptured" in self.log.names(order_id)}
        self.assertEqual(sorted(captured ^ completed)[:3], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
