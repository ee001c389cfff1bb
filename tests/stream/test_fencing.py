# SPDX-License-Identifier: Apache-2.0
"""Two workers never both write: one that slept while another took its partitions, or its slot,
writes nothing that anybody sees."""
import time
import unittest

from orderlog_world import WorldTest, wait_until


class Fencing(WorldTest):
    lasting = ("inventory", "payment", "shipping")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for role in cls.lasting:
            cls.world.start(role)
        cls.world.stock("A", 1_000_000)
        cls.world.flush()
        cls.log.await_count(lambda: cls.log.events["inventory.events"], 2, "stock has arrived", 60)

    def setUp(self):
        # Each test begins without members: those that were killed stay until their time is up.
        self.world.await_empty_group("order")

    def settled(self, orders):
        self.log.await_completed(orders)
        self.log.await_quiet()
        self.log.check(self)

    def zombie_with_input(self, fault):
        world = self.world
        zombie = world.start("order", fault=fault)
        orders = [world.place(f"{self.id()}-{i}") for i in range(6)]
        world.flush()
        zombie.await_stopped()
        begun = time.monotonic()
        heir = world.start("order", slot=1)
        self.settled(orders)
        print(f"  another slot had taken over and finished after {time.monotonic() - begun:.1f} s")
        zombie.resume()
        # It either finds its transaction ended (80), or gives it up and joins the group anew.
        more = [world.place(f"{self.id()}-more-{i}") for i in range(6)]
        world.flush()
        wait_until(lambda: "transaction aborted" in zombie.log() or not zombie.alive(),
                   "the zombie gives up", 30, zombie.log)
        self.settled(orders + more)
        self.assertTrue(heir.alive(), heir.log())
        return zombie

    def test_a_zombie_that_wakes_before_its_offsets_are_sent_writes_nothing(self):
        zombie = self.zombie_with_input("offsets=stop@1")
        if not zombie.alive():
            self.assertEqual(zombie.process.returncode, 80, zombie.log())

    def test_a_zombie_that_wakes_before_its_commit_writes_nothing_and_ends(self):
        zombie = self.zombie_with_input("commit=stop@1")
        self.assertEqual(zombie.await_exit(), 80, zombie.log())

    def test_a_zombie_with_nothing_but_timers_writes_nothing(self):
        """Without input only the offset that is sent along fences it."""
        world, log = self.world, self.log
        for worker in world.workers:
            if worker.role == "inventory" and worker.alive():
                worker.kill()  # nobody answers: the order can only expire
        options = {"order_reservation_ttl_ms": 10000, "order_payment_timeout_ms": 60000,
                   "snapshot_interval_ms": 0}
        first = world.start("order", **options)
        order = world.place(self.id())
        world.flush()
        log.await_event([order], "OrderPlaced")
        log.await_quiet(roles=("order",))
        first.kill()  # with nothing left to read: its heir's only transaction is the expiry
        zombie = world.start("order", fault="offsets=stop@1", **options)
        zombie.await_stopped()
        self.assertNotIn("OrderExpired", log.poll().names(order))
        heir = world.start("order", slot=1, **options)
        log.await_event([order], "OrderExpired")
        zombie.resume()
        wait_until(lambda: "transaction aborted" in zombie.log() or not zombie.alive(),
                   "the zombie gives up", 30, zombie.log)
        world.start("inventory").await_ready()
        log.await_quiet(roles=("order", "inventory"))
        self.assertEqual(log.names(order), ["OrderPlaced", "OrderExpired"])
        log.check(self)
        self.assertTrue(heir.alive(), heir.log())

    def test_a_zombie_does_not_commit_into_an_empty_group(self):
        """A broker takes offsets without a generation while a group is empty."""
        world, log = self.world, self.log
        # Its records must not time out while it sleeps, or that alone would save us.
        zombie = world.start("order", fault="group=lost@2", transaction_timeout_ms=60000)
        orders = [world.place(f"{self.id()}-{i}") for i in range(6)]
        world.flush()
        zombie.await_stopped()
        heir = world.start("order", slot=1)
        self.settled(orders)
        heir.kill()
        world.await_empty_group("order")
        zombie.resume()
        wait_until(lambda: "transaction aborted" in zombie.log() or not zombie.alive(),
                   "the zombie gives up", 40, zombie.log)
        more = [world.place(f"{self.id()}-more-{i}") for i in range(6)]
        world.flush()
        if not zombie.alive():
            self.assertEqual(zombie.process.returncode, 80, zombie.log())
            world.start("order", slot=1)
        self.settled(orders + more)

    def test_a_second_worker_in_a_slot_ends_the_first(self):
        world = self.world
        first = world.start("order").await_ready()
        second = world.start("order")
        self.assertEqual(first.await_exit(), 80, first.log())
        orders = [world.place(f"{self.id()}-{i}") for i in range(6)]
        world.flush()
        self.settled(orders)
        self.assertTrue(second.alive(), second.log())

    def test_a_worker_that_slept_while_its_slot_was_taken_ends(self):
        world = self.world
        for fault in ("offsets=stop@1", "commit=stop@1", "produce=stop@3"):
            first = world.start("order", fault=fault)
            orders = [world.place(f"{self.id()}-{fault}-{i}") for i in range(6)]
            world.flush()
            first.await_stopped()
            second = world.start("order")
            self.settled(orders)
            first.resume()
            self.assertEqual(first.await_exit(), 80, first.log())
            orders += [world.place(f"{self.id()}-{fault}-more-{i}") for i in range(6)]
            world.flush()
            self.settled(orders)
            self.assertTrue(second.alive(), second.log())
            second.kill()


if __name__ == "__main__":
    unittest.main(verbosity=2)
