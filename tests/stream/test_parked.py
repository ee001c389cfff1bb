# SPDX-License-Identifier: Apache-2.0
"""What decodes but cannot be decided parks its key: it and every later input of the key wait, in
their order, until people have them retried or dropped; all other keys go on."""
import json
import subprocess
import unittest
import uuid

from orderlog_world import PROGRAM, WorldTest, hashed_id, wait_until, SHOP

LETTERS = "orders.deadletters"


class Parked(WorldTest):
    lasting = ("inventory", "shipping")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for role in cls.lasting:
            cls.world.start(role)
        cls.world.stock("A", 1_000_000)
        cls.world.flush()
        cls.log.await_count(lambda: cls.log.events["inventory.events"], 2, "stock has arrived", 60)

    # ---- helpers ----

    def order_in(self, partition):
        """(idempotency key, order id) of an order that is not placed yet, in this partition."""
        for i in range(1000):
            key = f"{self.id()}-{partition}-{i}"
            order_id = str(hashed_id(SHOP, "PlaceOrder", key))
            if self.world.partition_of(order_id) == partition:
                return key, order_id
        raise AssertionError("no such order")

    def letters(self, key, topic=LETTERS):
        """(offset, index) of what is parked under the key, in the log's order."""
        found = []
        for record in self.log.letters[topic]:
            body = record.body
            if body.get("parked_key") != key:
                continue
            at = (body["offset"], body["index"])
            if record.name == "DeadLetter" and at not in found:
                found.append(at)
            elif record.name == "DeadLetterSettled":
                found.remove(at)
        return found

    def await_parked(self, key, count, topic=LETTERS):
        wait_until(lambda: len(self.log.poll() and self.letters(key, topic)) == count,
                   f"{count} letters are parked", 30, lambda: str(self.letters(key, topic)))

    def tool(self, *arguments, expect=0):
        done = subprocess.run([PROGRAM, "deadletters", *arguments], env=self.world.environment,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, expect, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def listed(self, *arguments):
        return [json.loads(line) for line in self.tool("list", "--json", *arguments).splitlines()]

    def cancel_and_await_letter(self, order_id, count):
        self.world.cancel(order_id)
        self.world.flush()
        self.await_parked(order_id, count)

    # ---- tests ----

    def test_a_key_parks_alone_and_is_put_through_in_order_after_kills(self):
        world, log = self.world, self.log
        payment = world.start("payment")
        key, sick = self.order_in(0)
        worker = world.start("order", fault=f"undecidable=OrderPlaced:{sick}").await_ready()
        world.place(key)
        world.flush()
        self.await_parked(sick, 1)
        # Behind it, alone and in a group with others; around it life goes on.
        other, other_placed = world.place_message(f"{self.id()}-beside", 0)
        cancel = world.encode_command("orders.inbox", "CancelOrder", uuid.UUID(sick), "in a group",
                                      reason=None)
        world.send("orders.inbox", 0, None, world.group("orders.inbox", [cancel, other_placed]))
        world.cancel(sick, "alone")
        world.flush()
        healthy = [other] + [world.place(f"{self.id()}-{i}") for i in range(10)]
        world.flush()
        self.await_parked(sick, 3)
        log.await_completed(healthy)
        self.assertNotIn(sick, log.by_order)
        # Killed, healed of its bug, taken over by itself and by another slot: it stays parked.
        worker.kill()
        worker = world.start("order").await_ready()
        self.cancel_and_await_letter(sick, 4)
        worker.kill()
        worker = world.start("order", slot=1)
        self.cancel_and_await_letter(sick, 5)
        log.catch_up()
        self.assertNotIn(sick, log.by_order)
        # Seen, and put through while the system runs.
        rows = self.listed("--key", sick)
        self.assertEqual([row["state"] for row in rows], ["parked"] * 5)
        self.assertEqual([(row["offset"], row["index"]) for row in rows], self.letters(sick))
        self.assertIn("made by the test", rows[0]["error"])
        self.assertIn("waits", rows[1]["error"])
        before = self.letters(sick)
        self.assertEqual(before, sorted(before))
        shown = self.tool("show", "--key", sick, "--error", "made by the test")
        self.assertEqual(json.loads(shown)["message"]["order_id"], sick)
        self.assertEqual(len(self.listed("--key", sick, "--topic", "orders.deadletters",
                                         "--since", "2000-01-31",
                                         "--until", "2100-01-31T12:00:00+01:00")), 5)
        for filters in (("--until", "2000-01-31"), ("--topic", "payments"), ("--error", "nothing")):
            self.assertEqual(self.listed("--key", sick, *filters), [])
        for bad in (("list", "--topic", "orders.events"), ("list", "--since", "yesterday"),
                    ("retry",), ("drop",), ("bury", "--all"), ("drop", "--all", "--wait", "-1")):
            self.tool(*bad, expect=64)
        self.assertIn("5", self.tool("retry", "--key", sick, "--dry-run"))
        self.assertEqual(self.letters(sick), before)
        print(self.tool("retry", "--key", sick), end="")
        self.await_parked(sick, 0)
        # Placed first, cancelled by the first of the cancellations, under their own ids.
        log.await_event([sick], "OrderCancelled")
        events = log.by_order[sick]
        self.assertEqual(events[0].name, "OrderPlaced")
        command = next(record for record in log.inbox["orders.inbox"]
                       if record.name == "PlaceOrder" and str(record.body["order_id"]) == sick)
        self.assertEqual(events[0].body["causation_id"], command.body["command_id"])
        first_cancel = next(record for record in log.inbox["orders.inbox"]
                            if record.name == "CancelOrder"
                            and str(record.body["order_id"]) == sick)
        cancelled = next(event for event in events if event.name == "OrderCancelled")
        self.assertEqual(cancelled.body["causation_id"], first_cancel.body["command_id"])
        settled = [(record.body["offset"], record.body["index"], record.body["how"])
                   for record in log.letters[LETTERS] if record.name == "DeadLetterSettled"
                   and record.body["parked_key"] == sick]
        self.assertEqual(settled, [(*at, "RETRIED") for at in before])
        self.assertEqual(self.listed("--key", sick), [])
        self.assertEqual(len(self.listed("--key", sick, "--all")), 5)
        log.await_quiet()
        log.check(self)
        payment.kill()

    def test_a_retry_that_fails_parks_again_and_a_drop_frees_the_key(self):
        world, log = self.world, self.log
        payment = world.start("payment")
        key, sick = self.order_in(1)
        world.start("order", fault=f"undecidable=OrderPlaced:{sick}").await_ready()
        world.place(key)
        world.cancel(sick)
        world.flush()
        self.await_parked(sick, 2)
        before = self.letters(sick)
        self.assertIn("failed again", self.tool("retry", "--key", sick, expect=1))
        log.catch_up()
        self.assertEqual(self.letters(sick), before)
        again = [record.body for record in log.letters[LETTERS]
                 if record.name == "DeadLetter" and record.body["parked_key"] == sick
                 and record.body["retry_id"]]
        self.assertEqual([(body["offset"], body["index"]) for body in again], before[:1])
        self.assertTrue(again[0]["value"])
        # Drop what fails and retry the rest: the cancellation finds no order.
        self.tool("drop", "--key", sick, "--error", "made by the test")
        self.await_parked(sick, 1)
        self.tool("retry", "--key", sick)
        self.await_parked(sick, 0)
        # The key is free: the same order again is decided at once, and fails again.
        world.place(key)
        world.flush()
        self.await_parked(sick, 1)
        self.tool("drop", "--key", sick)
        self.await_parked(sick, 0)
        world.cancel(sick, "another")
        world.flush()
        log.await_count(lambda: [event for event in log.events["orders.events"]
                                 if event.name == "OrderCommandRefused"
                                 and str(event.body["order_id"]) == sick], 2,
                        "both cancellations are refused")
        log.await_quiet()
        log.check_ids(self)
        log.check_commits(self)
        payment.kill()

    def test_an_offset_set_back_over_parked_input_is_refused(self):
        """No event tells: what was parked does."""
        world, log = self.world, self.log
        worker = world.start("order").await_ready()
        log.await_quiet(roles=("order",))
        worker.kill()
        key, sick = self.order_in(0)
        offset, metadata = world.offsets("order")[0]
        worker = world.start("order", fault=f"undecidable=OrderPlaced:{sick}").await_ready()
        world.place(key)
        world.flush()
        self.await_parked(sick, 1)
        worker.kill()
        last = world.offsets("order")[0]
        world.await_empty_group("order")
        world.set_offset("order", 0, offset, metadata)
        worker = world.start("order")
        self.assertEqual(worker.await_exit(), 84)
        self.assertIn("set back", worker.log())
        world.await_empty_group("order")
        world.set_offset("order", 0, *last)
        world.start("order").await_ready()
        self.tool("drop", "--key", sick)
        self.await_parked(sick, 0)

    def test_a_deadline_that_cannot_be_decided_parks_its_order(self):
        world, log = self.world, self.log
        key, sick = self.order_in(0)
        worker = world.start("order", fault=f"undecidable=OrderExpired:{sick}",
                             order_reservation_ttl_ms=1000).await_ready()
        world.place(key)  # nobody answers for the payment
        healthy = world.place(f"{self.id()}-healthy")
        world.flush()
        self.await_parked(sick, 1)
        self.assertEqual(self.letters(sick)[0][1], -2)
        log.await_event([healthy], "OrderExpired")
        world.cancel(sick)
        world.flush()
        self.await_parked(sick, 2)
        worker.kill()
        world.start("order", order_reservation_ttl_ms=1000).await_ready()
        log.catch_up()
        self.assertNotIn("OrderExpired", log.names(sick))
        self.tool("retry", "--key", sick)
        log.await_event([sick], ("OrderExpired", "OrderCancelled"))
        self.await_parked(sick, 0)
        log.check_ids(self)

    def test_an_executor_parks_and_retries_in_single_file(self):
        world, log = self.world, self.log
        topic = "payments.deadletters"
        order_id = self.order_in(1)[1]
        payment_id = uuid.uuid4()

        def request(action, method="tok_ok", delay=None):
            return world.message("payments.inbox", "RequestPayment", order_id=uuid.UUID(order_id),
                                 payment_id=payment_id, action=action, attempt=0, amount_minor=100,
                                 currency="GBP", payment_method=delay or method)

        def events():
            log.poll()
            return [event.name for event in log.events["payments.events"]
                    if str(event.body["order_id"]) == order_id]
        worker = world.start("payment").await_ready()
        # A call under way, then what cannot be decided, then what waits behind it.
        world.send("payments.inbox", 1, None, world.group("payments.inbox", [
            request("AUTHORIZE", delay="tok_delay_3000"), request("CAPTURE", "x" * 1000),
            request("CAPTURE"), request("CAPTURE")]))
        world.flush()
        self.await_parked(order_id, 3, topic)
        worker.kill()
        # The first was read before anything of its key was parked: it is called for again.
        worker = world.start("payment", slot=1)
        wait_until(lambda: events() == ["PaymentAuthorized"], "the open call is answered", 40,
                   lambda: str(events()) + worker.log())
        self.assertEqual(len(self.letters(order_id, topic)), 3)
        self.assertIn("failed again", self.tool("retry", "--topic", "payments.inbox", expect=1))
        self.tool("drop", "--topic", "payments.inbox", "--error", "too long")
        self.await_parked(order_id, 2, topic)
        self.tool("retry", "--topic", "payments.inbox", "--key", order_id)
        self.await_parked(order_id, 0, topic)
        self.assertEqual(events()[0], "PaymentAuthorized")
        self.assertEqual(events().count("PaymentCaptured"), 2)
        log.await_quiet(roles=("payment",))
        worker.kill()

    def test_a_retry_is_done_once_whatever_dies_meanwhile(self):
        world, log = self.world, self.log
        world.start("payment")
        key, sick = self.order_in(0)
        worker = world.start("order", fault=f"undecidable=OrderPlaced:{sick}").await_ready()
        world.place(key)
        for i in range(600):  # more than one transaction puts through
            world.cancel(sick, f"cancel-{i}")
        world.flush()
        self.await_parked(sick, 601)
        worker.kill()
        worker = world.start("order", fault="offsets=refused@1,commit=kill@2,"
                             "commit=kill-after@4").await_ready()
        asked = subprocess.Popen([PROGRAM, "deadletters", "retry", "--key", sick, "--wait", "60"],
                                 env=self.world.environment, stdout=subprocess.PIPE)
        for _ in range(3):
            wait_until(lambda: not worker.alive() or asked.poll() is not None, "it dies", 30)
            if asked.poll() is not None:
                break
            worker = world.start("order", fault="commit=kill-after@3")
        self.assertEqual(asked.wait(timeout=60), 0)
        asked.stdout.close()
        self.await_parked(sick, 0)
        log.await_event([sick], "OrderCancelled")
        log.await_quiet()
        # What was put through does not come back.
        if worker.alive():
            worker.kill()
        worker = world.start("order").await_ready()
        self.assertNotIn("keys are parked", worker.log())
        self.assertEqual(log.names(sick).count("OrderPlaced"), 1)
        log.check_ids(self)
        log.check_orders(self)
        log.check_commits(self)


class Bound(WorldTest):
    """At its bound the partition stops, saying so; the others go on."""
    lasting = ("inventory", "payment", "shipping")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for role in cls.lasting:
            cls.world.start(role)
        cls.world.stock("A", 1_000_000)
        cls.world.flush()

    def stop_at_bound(self, name):
        """(the worker, the order that is parked, orders that wait behind it)"""
        world, log = self.world, self.log
        key = next(key for key in (f"{name}{i}" for i in range(1000))
                   if world.partition_of(str(hashed_id(SHOP, "PlaceOrder", key))) == 0)
        sick = str(hashed_id(SHOP, "PlaceOrder", key))
        worker = world.start("order", fault=f"undecidable=OrderPlaced:{sick}",
                             parked_letters_max=3).await_ready()
        world.place(key)
        for i in range(4):
            world.cancel(sick, f"cancel-{i}")
        world.flush()
        wait_until(lambda: "partition stops" in worker.log(), "the partition stops", 30, worker.log)
        self.assertIn("parked.letters.max", worker.log())
        orders = [world.place(f"{name}-order-{i}") for i in range(20)]
        world.flush()
        there = [one for one in orders if world.partition_of(one) == 0]
        log.await_completed([one for one in orders if one not in there])
        return worker, sick, there

    def deadletters(self, *arguments):
        done = subprocess.run([PROGRAM, "deadletters", *arguments], env=self.world.environment,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_drop_frees_it_where_it_stands(self):
        log = self.log
        worker, sick, there = self.stop_at_bound("dropped")
        # What waits unread behind the letters is not given up with them.
        self.deadletters("drop", "--key", sick)
        log.await_completed(there)
        log.await_quiet()
        self.assertIn("partition goes on", worker.log())
        self.assertNotIn(sick, log.by_order)
        refused = [event for event in log.events["orders.events"]
                   if event.name == "OrderCommandRefused" and str(event.body["order_id"]) == sick]
        self.assertEqual(len(refused), 2)
        log.check_ids(self)
        log.check_orders(self)
        log.check_commits(self)

    def test_a_retry_frees_it_where_it_stands(self):
        world, log = self.world, self.log
        worker, sick, there = self.stop_at_bound("retried")
        worker.kill()
        worker = world.start("order", parked_letters_max=3).await_ready()  # the bug is mended
        wait_until(lambda: "partition stops" in worker.log(), "it stops again", 30, worker.log)
        self.deadletters("retry", "--key", sick)
        log.await_completed(there)
        log.await_event([sick], "OrderCancelled")
        log.await_quiet()
        refused = [str(event.body["order_id"]) for event in log.events["orders.events"]
                   if event.name == "OrderCommandRefused"]
        self.assertEqual(refused.count(sick), 3)
        log.check_ids(self)
        log.check_orders(self)
        log.check_commits(self)

    def test_the_partition_stops_and_a_larger_bound_takes_it_up(self):
        world, log = self.world, self.log
        before = len(log.letters[LETTERS])
        worker, sick, there = self.stop_at_bound("k")
        self.assertTrue(worker.alive())
        log.catch_up()
        self.assertEqual([log.names(one) for one in there], [[]] * len(there))
        self.assertEqual(len(log.letters[LETTERS]), before + 3)
        worker.kill()
        world.start("order").await_ready()
        log.await_completed(there)
        log.await_count(lambda: log.letters[LETTERS], before + 5, "the rest parks")
        self.deadletters("retry", "--all")
        log.await_event([sick], "OrderCancelled")
        log.await_quiet()
        log.check_ids(self)
        log.check_orders(self)


if __name__ == "__main__":
    unittest.main(verbosity=2)
