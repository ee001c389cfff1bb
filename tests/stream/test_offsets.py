# SPDX-License-Identifier: Apache-2.0
"""An offset that does not belong to the events is refused, before anything is written, and the
message names the cure. The cure works."""
import unittest

from kafka.structs import TopicPartition

from orderlog_world import EVENTS, INBOX, WorldTest


class Offsets(WorldTest):
    lasting = ("inventory",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        world, log = cls.world, cls.log
        cls.workers = {role: world.start(role) for role in ("order", "inventory", "payment")}
        world.stock("A", 1000)
        cls.orders = []
        cls.history = []  # offsets and metadata of earlier transactions
        for i in range(8):
            cls.orders.append(world.place(f"first-{i}"))
            world.flush()
            log.await_event(cls.orders, "OrderConfirmed")
            cls.history.append((world.offsets("order"), world.offsets("payment")))
        log.await_quiet(roles=("order", "inventory", "payment"))
        for role in ("order", "payment"):
            cls.workers[role].kill()
        cls.refusals = 0

    def refused(self, role, change):
        """Starts a worker on changed offsets, then puts them right and sees it work."""
        world, log = self.world, self.log
        world.await_empty_group(role)
        good = world.offsets(role)
        self.assertEqual(len(good), world.partitions)
        log.catch_up()
        before = len(log.records)
        for partition in good:
            change(partition, *good[partition])
        worker = world.start(role)
        self.assertEqual(worker.await_exit(), 84, worker.log())
        self.assertIn("commit the last transaction's offset and metadata again"
                      if "run `orderlog setup`" in worker.log() else
                      "Commit the offset and metadata of the last transaction again"
                      if "was set back" in worker.log() else "restore the topic", worker.log())
        log.catch_up()
        self.assertEqual(len(log.records), before, "something was written")
        world.await_empty_group(role)
        for partition, (offset, metadata) in good.items():
            world.set_offset(role, partition, offset, metadata)
        worker = world.start(role).await_ready()
        if role == "order":
            Offsets.refusals += 1
            order = world.place(f"cured-{self.refusals}")
            world.flush()
            log.await_event([order], "OrderStockReserved")
        worker.kill()

    def test_an_offset_set_back_by_a_tool_is_refused(self):
        self.refused("order", lambda partition, offset, metadata:
                     self.world.set_offset("order", partition, offset - 1, ""))

    def test_an_offset_set_forward_by_a_tool_is_refused(self):
        self.refused("order", lambda partition, offset, metadata:
                     self.world.set_offset("order", partition, offset + 1, "by hand"))

    def test_an_offset_moved_with_its_metadata_is_refused(self):
        self.refused("order", lambda partition, offset, metadata:
                     self.world.set_offset("order", partition, offset - 1, metadata))
        self.refused("order", lambda partition, offset, metadata:
                     self.world.set_offset("order", partition, offset + 1, metadata))

    def test_an_earlier_transaction_s_offset_is_refused(self):
        old = self.history[1][0]
        self.refused("order", lambda partition, offset, metadata:
                     self.world.set_offset("order", partition, *old[partition]))

    def test_a_later_transaction_s_offset_is_refused(self):
        """As after a restore of the events from a backup: what it promises is not there."""
        def promise_more(partition, offset, metadata):
            events = int(metadata.split("new=")[1].split()[0])
            self.world.set_offset("order", partition, offset,
                                  metadata.replace(f"new={events}", f"new={events + 1}"))
        self.refused("order", promise_more)

        def promise_further(partition, offset, metadata):
            events = int(metadata.split("events=")[1].split()[0])
            self.world.set_offset("order", partition, offset,
                                  metadata.replace(f"events={events}", f"events={events + 1000}"))
        self.refused("order", promise_further)

    def test_a_lost_offset_is_refused(self):
        self.refused("order", lambda partition, offset, metadata:
                     self.world.delete_offset("order", partition))

    def test_roles_without_state_check_too(self):
        old = self.history[1][1]
        self.refused("payment", lambda partition, offset, metadata:
                     self.world.set_offset("payment", partition, *old[partition]))
        self.refused("payment", lambda partition, offset, metadata:
                     self.world.set_offset("payment", partition, max(offset - 1, 0), ""))

    def test_z_after_all_cures_every_order_goes_on(self):
        world, log = self.world, self.log
        for role in ("order", "payment", "shipping"):
            world.start(role)
        log.await_completed(list(log.by_order))
        log.await_quiet()
        log.check_ids(self)
        log.check_orders(self)
        log.check_stock(self)
        log.check_conversations(self)
        self.assertTrue(all(INBOX[role] in log.inbox and EVENTS[role] in log.events
                            for role in ("order", "payment")))

    def test_zz_input_deleted_unread_is_refused(self):
        """Retention was too short for a stop that was too long."""
        world = self.world
        for worker in world.workers:
            if worker.alive():
                worker.kill()
        world.await_empty_group("order")
        order_id = world.place(self.id())
        world.flush()
        at = TopicPartition("orders.inbox", world.partition_of(order_id))
        end = self.log.ends("read_uncommitted")[at]
        world.admin.delete_records({at: end})
        worker = world.start("order")
        self.assertEqual(worker.await_exit(), 84, worker.log())
        self.assertIn("input was deleted unread", worker.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
