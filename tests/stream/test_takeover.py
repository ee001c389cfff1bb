# SPDX-License-Identifier: Apache-2.0
"""A worker that is gone is replaced: by itself at once, by another slot within 20 seconds."""
import os
import time
import unittest

from orderlog_world import WorldTest, free_port, wait_until

SLOWER = 5 if os.environ.get("ORDERLOG_TEST_SLOW") else 1  # under a sanitizer
LIMIT_OTHER_SLOT_S = 20 * SLOWER
LIMIT_SAME_SLOT_S = 2 * SLOWER


class Takeover(WorldTest):
    lasting = ("inventory", "payment", "shipping")
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for role in cls.lasting:
            cls.world.start(role)
        cls.world.stock("A", 1_000_000)
        cls.world.flush()
        cls.log.await_count(lambda: cls.log.events["inventory.events"], 2, "stock has arrived", 60)

    def test_1_a_restarted_slot_goes_on_at_once(self):
        world, log = self.world, self.log
        worker = world.start("order").await_ready()
        for i in range(3):
            orders = [world.place(f"{self.id()}-{i}-{j}") for j in range(6)]
            world.flush()
            if i == 1:
                log.await_event(orders[:1], "OrderPlaced")  # in the middle of something
            worker.kill()
            worker = world.start("order")
            wait_until(lambda: "ready role=order" in worker.log(), "the process is up", 30,
                       worker.log)
            begun = time.monotonic()
            log.await_completed(orders)
            took = time.monotonic() - begun
            worker.await_ready()
            print(f"  the same slot went on after {took:.2f} s")
            self.assertLess(took, LIMIT_SAME_SLOT_S + 3)  # whole lives, on a machine that is busy
        log.await_quiet()
        log.check(self)

    def test_2_another_slot_takes_over_what_a_killed_one_had(self):
        world, log = self.world, self.log
        world.await_empty_group("order")
        default = {"session_timeout_ms": 10000, "transaction_timeout_ms": 10000}
        first = world.start("order", fault="commit=kill@3", **default).await_ready()
        second = world.start("order", slot=1, **default)
        wait_until(lambda: second.taken() >= 1, "the group is shared", 30, second.log)
        orders = []

        def one_more():
            orders.append(world.place(f"{self.id()}-{len(orders)}"))
            world.flush()
            return not first.alive()
        wait_until(one_more, "the first dies before a commit", 30)
        begun = time.monotonic()
        log.await_completed(orders)
        took = time.monotonic() - begun
        print(f"  another slot had finished everything {took:.1f} s after the kill")
        self.assertLess(took, LIMIT_OTHER_SLOT_S)
        log.await_quiet()
        log.check(self)
        log.check_no_hanging_transaction(self)

    def test_3_workers_without_partitions_wait_for_their_turn(self):
        world, log = self.world, self.log
        world.await_empty_group("order")
        workers = [world.start("order", slot=slot, metrics_port=free_port()) for slot in range(3)]
        wait_until(lambda: sum(worker.taken() for worker in workers) >= 2
                   and world.admin.describe_groups(["orderlog.order"])["orderlog.order"]
                   ["group_state"] == "Stable"
                   and len(world.admin.describe_groups(["orderlog.order"])["orderlog.order"]
                           ["members"]) == 3, "three members", 40)
        wait_until(lambda: not any(worker.why_not_ready() for worker in workers),
                   "who has nothing to do is ready for it", 30,
                   lambda: [worker.why_not_ready() for worker in workers])
        orders = [world.place(f"{self.id()}-{i}") for i in range(6)]
        world.flush()
        log.await_completed(orders)
        for worker in workers:
            self.assertTrue(worker.alive(), worker.log())
        workers[0].kill()
        workers[1].kill()
        orders = [world.place(f"{self.id()}-more-{i}") for i in range(6)]
        world.flush()
        log.await_completed(orders, LIMIT_OTHER_SLOT_S)
        log.await_quiet()
        log.check(self)

    def test_4_a_worker_that_comes_and_goes_disturbs_nothing(self):
        """Rebalances under load: each ends the open transaction and hands the state over."""
        world, log = self.world, self.log
        world.await_empty_group("order")
        world.start("order").await_ready()
        orders = []
        for i in range(3):
            orders += [world.place(f"{self.id()}-{i}-{j}") for j in range(100)]
            world.flush()
            guest = world.start("order", slot=1 + i, session_timeout_ms=1500)
            wait_until(lambda: guest.taken() or not guest.alive(), "a guest is in", 30, guest.log)
            orders += [world.place(f"{self.id()}-{i}-more-{j}") for j in range(100)]
            world.flush()
            self.assertEqual(guest.terminate(), 0, guest.log())
        log.await_completed(orders, 60)
        log.await_quiet()
        log.check(self)

    def test_5_what_becomes_of_an_open_transaction_is_waited_for(self):
        """The offsets in it may still be committed: who took the older ones would decide twice."""
        world, log = self.world, self.log
        world.await_empty_group("order")
        sleeper = world.start("order", fault="commit=stop@1", transaction_timeout_ms=60000)
        orders = [world.place(f"{self.id()}-{i}") for i in range(6)]
        world.flush()
        sleeper.await_stopped()
        heir = world.start("order", slot=1, metrics_port=free_port())
        wait_until(lambda: "take-over waits" in heir.log() or heir.taken(), "the heir asks", 30,
                   heir.log)
        self.assertIn("partitions are being taken over", heir.why_not_ready())
        sleeper.resume()  # its offsets are in the transaction: nothing keeps it from committing
        log.await_completed(orders)
        wait_until(lambda: not heir.why_not_ready(), "the heir is ready", 30, heir.why_not_ready)
        log.await_quiet()
        log.check(self)
        self.assertIn("take-over waits", heir.log())
        self.assertTrue(heir.alive(), heir.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
