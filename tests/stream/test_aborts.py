# SPDX-License-Identifier: Apache-2.0
"""Whatever fails inside a transaction: its input is read again, soft state goes back with it, and
the log ends up as if nothing had happened."""
import unittest

from orderlog_world import WorldTest

ORDERS = 12


class Aborts(WorldTest):
    lasting = ("inventory", "payment", "shipping")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for role in cls.lasting:
            cls.world.start(role)
        for sku in ("A", "B", "C"):
            cls.world.stock(sku, 1_000_000)
        cls.world.flush()
        cls.log.await_count(lambda: cls.log.events["inventory.events"], 6, "stock has arrived", 60)

    def whole_lives(self, role, fault, faults_count, exit_code=None, **options):
        """Orders live their whole life through a role that has these faults; then all is checked.
        With an exit code, the process ends on the fault and a new one goes on."""
        world, log = self.world, self.log
        if role in self.lasting:  # this role's lasting worker makes room
            for worker in world.workers:
                if worker.role == role and worker.alive():
                    worker.kill()
        worker = world.start(role, fault=fault, commit_records_max=8, **options)
        order_role = worker if role == "order" else world.start("order")
        names = [f"{self.id()}-{i}" for i in range(ORDERS)]
        orders = []
        for i, name in enumerate(names):
            lines = [("A", 1 + i % 3), ("B", 2)] if i % 2 else [("C", 1)]
            orders.append(world.place(name, lines))
        world.flush()
        if exit_code is not None:
            self.assertEqual(worker.await_exit(), exit_code, worker.log())
            worker = world.start(role)
        log.await_completed(orders)
        if exit_code is None:
            for i in range(20):  # batches may have been large: until each fault has had its turn
                if worker.faults() == faults_count:
                    break
                one = world.place(f"{self.id()}-one-more-{i}", [("C", 1)])
                world.flush()
                log.await_completed([one])
        log.await_quiet()
        for i, order_id in enumerate(orders):
            self.assertEqual(sorted(log.names(order_id)), self.happy_life(2 if i % 2 else 1))
        log.check(self)
        log.check_no_hanging_transaction(self)
        if exit_code is None:
            self.assertEqual(worker.faults(), faults_count, worker.log())
            self.assertTrue(worker.alive(), worker.log())
        # What was folded from the log is what the worker held: it takes over and goes on.
        if role == "order":
            order_role.kill()
            world.start("order")
            more = world.place(self.id() + "-more", [("A", 1)])
            world.flush()
            log.await_completed([more])
        for worker in world.workers:
            if worker.alive() and worker.role in (role, "order"):
                worker.kill()
        if role in self.lasting:
            world.start(role)

    @staticmethod
    def happy_life(skus):
        """Sorted: capture and delivery come in any order."""
        return sorted(["OrderPlaced"] + ["OrderStockReserved"] * skus
                      + ["OrderPaymentRequested", "OrderPaymentAuthorized", "OrderConfirmed",
                         "OrderShipmentBooked", "OrderDispatchAuthorised", "OrderDispatched",
                         "OrderPaymentCaptured", "OrderDelivered", "OrderCompleted"])

    # ---- before the commit ----

    def test_an_aborted_transaction_leaves_no_trace(self):
        self.whole_lives("order", "offsets=refused@1,offsets=refused@2,offsets=refused@5", 3)

    def test_offsets_that_cannot_be_sent_are_sent_with_the_next_try(self):
        self.whole_lives("order", "offsets=lost@2,offsets=lost@3,offsets=refused@6", 3)

    def test_a_connection_that_is_lost_with_records_on_it_aborts(self):
        self.whole_lives("order", "produce=lost@1,produce=lost@8,produce=lost@30", 3)

    def test_a_record_that_cannot_be_produced_aborts(self):
        self.whole_lives("order", "produce=fail@1,produce=fail@8,produce=fail@30", 3)

    def test_a_producer_that_cannot_be_made_anew_is_made_later(self):
        # The third and fourth calls reopen the producer after the time-out of a call.
        self.whole_lives("order", "offsets=lost@2,init=fail@3,init=fail@4", 3)

    # ---- the commit itself ----

    def test_a_commit_that_was_not_done_is_undone(self):
        self.whole_lives("order", "commit=not-done-lost@1,commit=not-done-lost@4", 2)

    def test_a_commit_that_was_done_is_kept(self):
        self.whole_lives("order", "commit=done-but-lost@1,commit=done-but-lost@4", 2)

    def test_a_commit_that_was_refused_is_undone(self):
        self.whole_lives("order", "commit=not-done-refused@2,commit=not-done-refused@3", 2)

    def test_a_commit_that_was_done_is_kept_beside_one_that_was_not(self):
        self.whole_lives("order", "commit=done-but-lost@2,commit=not-done-lost@5", 2)

    def test_a_fenced_commit_ends_the_process(self):
        self.whole_lives("order", "commit=fenced@3", 1, exit_code=80)

    def test_a_call_that_hangs_ends_the_process(self):
        self.whole_lives("order", "commit=hang@2", 1, exit_code=81, watchdog_ms=1000)

    # ---- the other roles ----

    def test_inventory_survives_all_of_it(self):
        self.whole_lives("inventory", "offsets=refused@1,produce=fail@9,commit=not-done-lost@4,"
                                      "commit=done-but-lost@6,commit=done-but-lost@8", 5)

    def test_payment_survives_all_of_it(self):
        self.whole_lives("payment", "offsets=refused@1,produce=fail@5,commit=not-done-lost@3,"
                                    "commit=done-but-lost@6,commit=done-but-lost@7", 5)

    def test_shipping_survives_all_of_it(self):
        self.whole_lives("shipping", "offsets=refused@1,produce=fail@5,commit=not-done-lost@3,"
                                     "commit=done-but-lost@6,commit=done-but-lost@7", 5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
