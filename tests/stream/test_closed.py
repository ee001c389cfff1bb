# SPDX-License-Identifier: Apache-2.0
"""A closed order's entry says where the event lies that closed it, and that one record has the whole
order in it: whatever failed while it was closed, and whoever took over since."""
import re
import unittest

from kafka import KafkaConsumer, TopicPartition

from orderlog_world import NEVER_MS, OFTEN_MS, WorldTest, wait_until

UNUSABLE = re.compile(r"snapshots cannot be used, all events are folded .*partition=(\d+)")
FAULTS = ("commit=done-but-lost@3,commit=not-done-lost@5,offsets=refused@8,commit=not-done-refused@11,"
          "commit=done-but-lost@14,produce=fail@90")
COPIED = ("customer_id", "currency", "lines", "items_minor", "discount_minor", "shipping_minor",
          "tax_minor", "total_minor")


class Closed(WorldTest):
    lasting = ("inventory", "payment", "shipping")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for role in cls.lasting:
            cls.world.start(role)
        for sku in ("A", "B"):
            cls.world.stock(sku, 1_000_000)
        cls.world.flush()

    # ---- what happens ----

    def close_some(self, name):
        """Orders that end in all ways."""
        world, log = self.world, self.log
        orders = [world.place(f"{name}-{i}", (("A", 1), ("B", 1 + i), ("A", 2))) for i in range(25)]
        refused = [world.place(f"{name}-refused-{i}", (("A", 1), ("nobody has it", 1)))
                   for i in range(5)]
        declined = [world.place(f"{name}-declined-{i}", method="tok_decline") for i in range(5)]
        world.flush()
        cancelled = [world.place(f"{name}-cancelled-{i}") for i in range(10)]
        for order in cancelled:
            world.cancel(order)
        world.flush()
        log.await_completed(orders)
        log.await_event(refused + declined, "OrderRejected")
        log.await_event(cancelled, ("OrderCancelled", "OrderCompleted"))
        log.await_quiet()

    def restart(self, order, **options):
        order.kill()
        self.world.await_empty_group("order")
        return self.world.start("order", **options).await_ready()

    # ---- what is checked ----

    def closers(self):
        """{order id: the record that closed it}"""
        self.log.catch_up()
        return {order: event for order, events in self.log.by_order.items() for event in events
                if event.body.get("folded")}

    def entries(self):
        """{order id: (partition, fields)} of the snapshots, once all closed orders are in them."""
        wanted = set(self.closers())

        def found():
            return {key: (partition, row[1]) for partition, rows in
                    self.log.rows("orders.state").items() for key, row in rows.items()
                    if row[0] == "ClosedOrderSnapshot" and row[1]["closing_offset"] is not None}
        wait_until(lambda: set(found()) >= wanted, "every closed order has its row")
        return found()

    def read(self, partition, offset):
        """The one record."""
        consumer = KafkaConsumer(bootstrap_servers=self.world.bootstrap, group_id=None,
                                 isolation_level="read_committed", max_poll_records=1)
        at = TopicPartition("orders.events", partition)
        consumer.assign([at])
        consumer.seek(at, offset)
        record = wait_until(lambda: consumer.poll(timeout_ms=100).get(at), "one record")[0]
        consumer.close()
        self.assertEqual(record.offset, offset)
        return self.world.registry.decode(record.value)

    def assert_entries_lead_to_their_orders(self):
        closers, entries = self.closers(), self.entries()
        self.assertEqual(set(closers), set(entries))
        self.assertGreater(len(entries), 40)
        for order, (partition, entry) in entries.items():
            closer = closers[order]
            self.assertEqual((partition, entry["closing_offset"]),
                             (closer.partition, closer.offset), f"{order}, {closer.name}")
            events = self.log.by_order[order]
            placed, folded = events[0].body, closer.body["folded"]
            self.assertEqual([folded[name] for name in COPIED], [placed[name] for name in COPIED])
            captured = [event.body["amount_minor"] for event in events
                        if event.name == "OrderPaymentCaptured"]
            self.assertEqual(folded["captured_minor"], sum(captured))
        one, (partition, entry) = next(iter(entries.items()))
        _, event = self.read(partition, entry["closing_offset"])
        self.assertEqual(str(event["order_id"]), one)
        self.assertEqual(event["folded"], closers[one].body["folded"])

    # ---- promises ----

    def test_1_whatever_fails_entries_lead_to_their_orders(self):
        order = self.world.start("order", fault=FAULTS, commit_records_max=8,
                                 snapshot_interval_ms=OFTEN_MS).await_ready()
        self.close_some("faulty")
        self.assertEqual(order.faults(), FAULTS.count("@"), order.log())
        self.assert_entries_lead_to_their_orders()
        order = self.restart(order, fault="commit=kill@6", commit_records_max=8,
                             snapshot_interval_ms=OFTEN_MS)
        for i in range(10):
            self.world.place(f"killed-{i}")
        self.world.flush()
        order.await_exit(60)
        order = self.restart(order, snapshot_interval_ms=OFTEN_MS)
        self.close_some("taken over")
        self.assert_entries_lead_to_their_orders()
        self.world.run("verify", "--wait", "30")
        self.log.check(self)

    def test_2_snapshots_of_an_older_format_are_not_used(self):
        world = self.world
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        self.close_some("before")
        entries = self.entries()
        order.kill()
        world.await_empty_group("order")
        positions = {partition: rows["/position"][1]
                     for partition, rows in self.log.rows("orders.state").items()}
        # A position of the format before; and a row of it under a position of this one, as a
        # program of before leaves it that dies in the middle of a pass.
        self.write_row(0, "/position", "SnapshotPosition", {**positions[0], "format": 1})
        torn = next(key for key, (partition, _) in entries.items() if partition == 1)
        self.write_row(1, torn, "ClosedOrderSnapshot",
                       {**entries[torn][1], "closing_offset": None})
        world.flush()
        order = world.start("order", snapshot_interval_ms=NEVER_MS).await_ready()
        self.assertEqual(sorted(UNUSABLE.findall(order.log())), ["0", "1"], order.log())
        order = self.restart(order, snapshot_interval_ms=OFTEN_MS)
        self.close_some("after")
        self.assert_entries_lead_to_their_orders()
        world.run("verify", "--wait", "30")

    def write_row(self, partition, key, record, fields):
        self.world.send("orders.state", partition, key,
                        self.world.registry.encode("orders.state", record, fields))


if __name__ == "__main__":
    unittest.main(verbosity=2)
