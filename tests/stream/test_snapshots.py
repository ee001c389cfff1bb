# SPDX-License-Identifier: Apache-2.0
"""Snapshots make taking over short, and nothing depends on them: with them, without them and with
half of them a processor comes to the same state."""
import re
import unittest

from orderlog_world import NEVER_MS, OFTEN_MS, WorldTest, wait_until

TAKEN = re.compile(r"partition taken over .*topic=(\S+) partition=(\d+) .*snapshots=(\d+) folded=(\d+)")


class SnapshotsTest(WorldTest):
    lasting = ("payment", "shipping")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for role in cls.lasting:
            cls.world.start(role)
        cls.world.stock("A", 1_000_000)
        cls.world.stock("B", 7)
        cls.world.flush()

    # ---- looking ----

    def await_snapshots(self, domain, ends):
        """Every partition's position has reached these ends of the events, unless nothing has
        happened behind: a pass covers what was committed when it began. Returns how many events
        may lie behind the positions."""
        now = self.events_ends(domain + ".events")
        since = {p: end if now[p] > end else 0 for p, end in ends.items()}
        topic = domain + ".state"

        def positions():
            return {p: rows["/position"][1]["events_offset"] if "/position" in rows else -1
                    for p, rows in self.log.rows(topic).items()}
        wait_until(lambda: all(position >= since[p] for p, position in positions().items()),
                   f"{topic} has a position behind {since}", 60, positions)
        return sum(now.values()) - sum(since.values())

    def events_ends(self, topic):
        self.log.catch_up()
        return {p: max((r.offset + 1 for r in self.log.events[topic] if r.partition == p), default=0)
                for p in range(self.world.partitions)}

    def taken(self, worker):
        """{partition: (snapshots read, events folded)} of its first take-over."""
        found = {}
        for _, partition, snapshots, folded in TAKEN.findall(worker.log()):
            found.setdefault(int(partition), (int(snapshots), int(folded)))
        return found

    def place(self, count, name, **fields):
        orders = [self.world.place(f"{self.id()}-{name}-{i}", **fields) for i in range(count)]
        self.world.flush()
        return orders

    def work(self, count, name):
        """Orders that end in several ways, one that stays open, and commands."""
        orders = self.place(count, name)
        refused = self.place(3, name + "-refused", lines=(("A", 1), ("nobody has it", 1)))
        self.log.await_completed(orders, 60)
        for order in refused:
            self.log.await_event([order], "OrderRejected")
        for order in (orders + refused)[:8]:
            self.world.cancel(order)
        self.world.flush()
        self.log.await_quiet(60)
        return orders

    def verify(self):
        """The program's own comparison: snapshots and the rest against all events."""
        said = self.world.run("verify", "--wait", "30")
        line = next(line for line in said.splitlines() if line.startswith("I11"))
        self.assertIn("holds", line, said)
        return int(re.search(r"\s(\d+) rows", line)[1])

    def stop(self, *workers):
        for worker in workers:
            worker.kill()
        for role in {worker.role for worker in workers}:
            self.world.await_empty_group(role)


class FirstPass(SnapshotsTest):
    """Before a pass has ended there is no position, and rows count behind one only."""

    def test_rows_of_a_first_pass_that_was_torn_are_used(self):
        world, log = self.world, self.log
        inventory = world.start("inventory").await_ready()
        order = world.start("order", snapshot_interval_ms=NEVER_MS).await_ready()
        # More than one transaction of a pass can take.
        self.work(1500, "many")
        self.stop(order)
        faulty = world.start("order", fault="commit=kill@2", snapshot_interval_ms=OFTEN_MS)
        faulty.await_exit(60)
        world.await_empty_group("order")
        torn = self.log.rows("orders.state")
        rows = sum(len(rows) - ("/position" in rows) for rows in torn.values())
        self.assertGreater(rows, 0, "the first transaction of a pass has rows")
        for rows_of_one in torn.values():
            if rows_of_one:
                self.assertEqual(rows_of_one["/position"][1]["events_offset"], 0)
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        self.assertNotIn("snapshots cannot be used", order.log())
        print(f"  after a first pass that was torn: {self.taken(order)}")
        self.assertGreaterEqual(sum(read for read, _ in self.taken(order).values()), rows)
        ends = self.events_ends("orders.events")
        self.work(20, "after")
        self.await_snapshots("orders", ends)
        self.assertGreater(self.verify(), 1500)
        log.check(self)
        self.assertTrue(inventory.alive())


class Snapshots(SnapshotsTest):
    def test_1_after_a_kill_only_the_tail_is_read(self):
        world, log = self.world, self.log
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        inventory = world.start("inventory", snapshot_interval_ms=OFTEN_MS).await_ready()
        self.work(60, "before")
        ends = {domain: self.events_ends(domain + ".events") for domain in ("orders", "inventory")}
        self.work(8, "behind")
        behind = {domain: self.await_snapshots(domain, ends[domain]) for domain in ends}
        self.assertGreater(self.verify(), 60)
        self.stop(order, inventory)
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        inventory = world.start("inventory", snapshot_interval_ms=OFTEN_MS).await_ready()
        for worker, least in ((order, 60), (inventory, 1)):
            taken = self.taken(worker)
            domain = "orders" if worker.role == "order" else "inventory"
            print(f"  {worker.role}: (snapshots, events) read per partition: {taken}, "
                  f"events in all: {sum(self.events_ends(domain + '.events').values())}")
            self.assertGreaterEqual(sum(snapshots for snapshots, _ in taken.values()), least)
            folded = sum(folded for _, folded in taken.values())
            self.assertLessEqual(folded, behind[domain])
        # What was remembered still is: a repeated cancel has its outcome, a closed order answers.
        refusals = len([e for e in log.events["orders.events"] if e.name == "OrderCommandRefused"])
        self.assertGreater(refusals, 0)
        for events in list(log.by_order.values())[:8]:
            world.cancel(str(events[0].body["order_id"]))
        self.work(20, "after")
        log.check(self)
        again = [e.body["causation_id"] for e in log.events["orders.events"]
                 if e.name == "OrderCommandRefused"]
        self.assertEqual(len(again), len(set(again)), "a command was refused twice")
        self.verify()

    def test_2_a_pass_that_was_torn_is_harmless(self):
        world, log = self.world, self.log
        inventory = world.start("inventory", snapshot_interval_ms=OFTEN_MS).await_ready()
        order = world.start("order", snapshot_interval_ms=NEVER_MS).await_ready()
        # More than two transactions of a pass can take.
        self.work(1500, "many")
        self.stop(order)
        before = self.log.rows("orders.state")
        faulty = world.start("order", fault="commit=kill@2", snapshot_interval_ms=OFTEN_MS)
        faulty.await_exit(60)
        torn = self.log.rows("orders.state")
        self.assertGreater(sum(map(len, torn.values())), sum(map(len, before.values())))
        for partition, rows in torn.items():
            self.assertEqual(rows.get("/position"), before[partition].get("/position"))
        world.await_empty_group("order")
        self.verify()
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        print(f"  after a torn pass: {self.taken(order)}")
        ends = self.events_ends("orders.events")
        self.work(20, "after")
        behind = self.await_snapshots("orders", ends)
        self.assertGreater(self.verify(), 1500)
        self.stop(order)
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        self.assertLessEqual(sum(folded for _, folded in self.taken(order).values()), behind)
        log.check(self)
        self.assertTrue(inventory.alive())

    def test_3_without_snapshots_the_state_is_the_same(self):
        world, log = self.world, self.log
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        inventory = world.start("inventory", snapshot_interval_ms=OFTEN_MS).await_ready()
        orders = self.work(20, "before")
        self.stop(order, inventory)
        world.admin.delete_topics(["orders.state", "inventory.state"])
        wait_until(lambda: not {"orders.state", "inventory.state"} & set(world.admin.list_topics()),
                   "the snapshots are gone", 30)
        world.run("setup")
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        inventory = world.start("inventory", snapshot_interval_ms=OFTEN_MS).await_ready()
        for worker in (order, inventory):
            taken = self.taken(worker)
            self.assertEqual(sum(snapshots for snapshots, _ in taken.values()), 0)
            self.assertGreater(sum(folded for _, folded in taken.values()), 20)
        for order_id in orders[:5]:
            world.cancel(order_id)  # known to be completed, and to have been refused
        ends = {domain: self.events_ends(domain + ".events") for domain in ("orders", "inventory")}
        self.work(20, "after")
        log.check(self)
        for domain in ends:
            self.await_snapshots(domain, ends[domain])
        self.assertGreater(self.verify(), 40)

    def test_4_an_older_row_counts_until_it_is_replaced(self):
        world = self.world
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        inventory = world.start("inventory", snapshot_interval_ms=OFTEN_MS).await_ready()
        ends = self.events_ends("orders.events")
        self.work(10, "before")
        self.await_snapshots("orders", ends)
        self.stop(order)
        partition, key, (name, fields) = next(
            (partition, key, row) for partition, rows in self.log.rows("orders.state").items()
            for key, row in rows.items() if row[0].endswith("ClosedOrderSnapshot"))
        world.send("orders.state", partition, key, world.registry.encode(
            "orders.state", "ClosedOrderSnapshot", {**fields, "closing_offset": None}))
        world.flush()
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        self.assertIn("snapshots cannot be used", order.log())
        ends = self.events_ends("orders.events")
        self.work(10, "after")
        behind = self.await_snapshots("orders", ends)
        self.stop(order)
        order = world.start("order", snapshot_interval_ms=OFTEN_MS).await_ready()
        self.assertNotIn("snapshots cannot be used", order.log())
        self.assertLessEqual(sum(folded for _, folded in self.taken(order).values()), behind)
        self.verify()
        self.assertTrue(inventory.alive())


if __name__ == "__main__":
    unittest.main(verbosity=2)
