# SPDX-License-Identifier: Apache-2.0
"""When brokers or processors are away: 503 means certainly not written, 504 means unknown, memory
stays bounded, and stopping loses nothing that was acknowledged."""
import http.client
import itertools
import json
import os
import pathlib
import re
import signal
import threading
import time
import unittest
from collections import Counter

from kafka import OffsetAndMetadata, TopicPartition

from fixture import PARTITIONS, TOKEN, Gateway, order, servers, wait_until

KEYS = {"n": 0}
SLOW = 5 if os.environ.get("ORDERLOG_TEST_SLOW") else 1


def fresh(name):
    KEYS["n"] += 1
    return f"{name}-{KEYS['n']}"


def usage(pid):
    """Resident KiB and threads of a process."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return tuple(int(re.search(rf"^{name}:\s+(\d+)", status, re.M).group(1))
                 for name in ("VmRSS", "Threads"))


class Flood:
    """Twenty callers who send without end, five of them batches; what they were told by key."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.told = {}
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.send, args=(number, 50 if number % 4 == 0 else 1))
                        for number in range(20)]
        for thread in self.threads:
            thread.start()

    def send(self, number, size):
        for turn in itertools.count():
            if self.over.wait(0.05):
                return
            keys = [f"flood-{number}-{turn}-{n}" for n in range(size)]
            try:
                results = self.place(keys)
            except (OSError, http.client.HTTPException) as failure:
                results = [repr(failure)] * size
            self.told.update(zip(keys, results, strict=True))

    def place(self, keys):
        if len(keys) == 1:
            return [self.gateway.place(order(), keys[0]).status]
        lines = "".join(json.dumps(order(idempotency_key=key)) + "\n" for key in keys)
        reply = self.gateway.call("POST", "/v1/orders:batch", lines,
                                  {"Content-Type": "application/x-ndjson"})
        if reply.status != 200:
            return [reply.status] * len(keys)
        return [json.loads(line)["status"] for line in reply.body.splitlines()]

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(40)


class Faults(unittest.TestCase):
    def setUp(self):
        self.servers = servers()
        self.before = self.servers.ends()
        self.addCleanup(self.servers.resume_broker)

    def gateway(self, *options):
        gateway = Gateway(self.servers, *options)
        self.addCleanup(gateway.__exit__)
        return gateway

    def commit_everything(self, role="order", inbox="orders.inbox"):
        """Stands in for the processors: their group has read all there is."""
        consumer = self.servers.consumer(group_id=f"orderlog.{role}")
        parts = [TopicPartition(inbox, p) for p in range(PARTITIONS)]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        consumer.commit({tp: OffsetAndMetadata(end, "", -1) for tp, end in ends.items()})
        consumer.close()

    def written_keys(self):
        return [r["idempotency_key"] for r in self.servers.since(self.before, "orders.inbox")]

    def test_without_brokers_503_is_never_written_and_504_may_be(self):
        gateway = self.gateway("--gateway.backlog.ms.max=1h", "--gateway.request.timeout.ms=3s")
        self.assertEqual(gateway.place(order(), "before").status, 202)
        self.servers.pause_broker()
        replies = {}

        def place(key):
            replies[key] = gateway.place(order(), key)

        keys = [fresh("away") for _ in range(40)]
        threads = [threading.Thread(target=place, args=(key,)) for key in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
        self.assertEqual(set(replies), set(keys), "every request is answered in time")
        statuses = {reply.status for reply in replies.values()}
        self.assertEqual(statuses, {503, 504})
        for reply in replies.values():
            expected = {503: "not-written", 504: "outcome-unknown"}[reply.status]
            self.assertEqual(reply.problem, expected)
            if reply.status == 503:
                self.assertIsNotNone(reply.headers["Retry-After"])
        self.assertEqual(gateway.call("GET", "/livez", token=None).status, 200)

        self.servers.resume_broker()
        after = fresh("after")
        wait_until("orders are taken again", lambda: gateway.place(order(), after).status == 202, 60)
        written = self.written_keys()
        for key, reply in replies.items():
            if reply.status == 503:
                self.assertNotIn(key, written)
        # The retry that 504 asks for: the same key, the same order.
        for key in keys:
            self.assertEqual(gateway.place(order(), key).status, 202)
        self.assertLessEqual(set(keys), set(self.written_keys()))

    def test_while_the_broker_stands_still_memory_is_flat_and_nothing_is_made_up(self):
        gateway = self.gateway("--gateway.backlog.ms.max=1h", "--gateway.request.timeout.ms=1s")
        self.assertEqual(gateway.place(order(), fresh("before")).status, 202)
        flood = Flood(gateway)
        self.addCleanup(flood.end)
        wait_until("orders are taken", lambda: list(flood.told.values()).count(202) > 1000)
        flood.told.clear()
        self.servers.pause_broker()
        paused = time.monotonic()
        samples = []  # resident KiB and threads, once all wait for the brokers or have been told

        def stood_still():
            at = time.monotonic() - paused
            if at >= 5:
                samples.append(usage(gateway.process.pid))
            return at >= 15

        wait_until("it has stood still for long", stood_still)
        meanwhile = dict(flood.told)
        self.servers.resume_broker()
        wait_until("orders are taken again",
                   lambda: gateway.place(order(), fresh("again")).status == 202, 60)
        flood.end()
        self.assertLessEqual(max(rss for rss, _ in samples) - samples[0][0], 3072 * SLOW, samples)
        # Each of the five Kafka clients may begin one more connection, and is given its broker once
        # more (kafka_revive.h): a thread of librdkafka's each.
        self.assertLessEqual(max(threads for _, threads in samples) - samples[0][1], 12, samples)
        self.assertLessEqual(set(flood.told.values()), {202, 429, 503, 504})
        self.assertGreater(len(meanwhile), 100)
        written = set(self.written_keys())
        acknowledged = {key for key, status in flood.told.items() if status == 202}
        refused = {key for key, status in flood.told.items() if status in (429, 503)}
        self.assertTrue(refused)
        self.assertEqual(acknowledged - written, set(), "acknowledged, and not in the log")
        self.assertEqual(refused & written, set(), "certainly not written, and in the log")
        print(f"{len(meanwhile)} orders while the broker stood still, "
              f"{dict(Counter(meanwhile.values()))}, {max(samples)[0] - samples[0][0]} KiB more")

    def test_old_prices_are_not_used(self):
        gateway = self.gateway("--gateway.backlog.ms.max=1h", "--gateway.catalogue.age.ms.max=2s")
        by_catalogue = order(lines=[{"sku": "nowhere", "quantity": 1}])
        self.assertEqual(gateway.place(by_catalogue).problem, "unknown-sku")
        self.servers.pause_broker()
        reply = wait_until("the catalogue is too old",
                           lambda: (r := gateway.place(by_catalogue)).status == 503 and r)
        self.assertEqual(reply.problem, "catalogue-stale")
        self.assertIsNotNone(reply.headers["Retry-After"])
        self.assertEqual(gateway.call("GET", "/readyz", token=None).status, 503)
        self.assertEqual(gateway.call("GET", "/livez", token=None).status, 200)
        self.servers.resume_broker()
        wait_until("the catalogue is fresh again",
                   lambda: gateway.place(by_catalogue).problem == "unknown-sku", 60)

    def test_started_without_brokers_it_says_503_until_they_are_back(self):
        self.servers.pause_broker()
        gateway = Gateway(self.servers, "--gateway.backlog.ms.max=1h", ready=False, listening=True)
        self.addCleanup(gateway.__exit__)
        key = fresh("early")
        reply = gateway.place(order(), key)
        self.assertEqual((reply.status, reply.problem), (503, "unavailable"))
        self.assertIsNotNone(reply.headers["Retry-After"])
        self.assertEqual(gateway.call("GET", "/livez", token=None).status, 200)
        self.assertEqual(gateway.call("GET", "/readyz", token=None).status, 503)
        self.servers.resume_broker()
        wait_until("orders are taken", lambda: gateway.place(order(), key).status == 202, 60)
        self.assertEqual(gateway.call("GET", "/readyz", token=None).status, 200)
        self.assertEqual(self.written_keys().count(key), 1)

    def test_stopped_while_it_waits_for_brokers_it_ends_with_0(self):
        self.servers.pause_broker()
        gateway = Gateway(self.servers, ready=False, listening=True)
        self.addCleanup(gateway.__exit__)
        gateway.process.terminate()
        self.assertEqual(gateway.process.wait(60), 0, gateway.log_path.read_text()[-4000:])

    def test_behind_a_backlog_orders_are_put_off_batches_wait_and_cancels_pass(self):
        self.commit_everything()
        gateway = self.gateway("--gateway.backlog.ms.max=500")
        self.assertEqual(gateway.place(order()).status, 202)
        reply = wait_until("orders are put off",
                           lambda: (r := gateway.place(order())).status == 503 and r)
        self.assertEqual(reply.problem, "backlog")
        self.assertGreaterEqual(int(reply.headers["Retry-After"]), 1)
        cancel = "/v1/orders/4b2c5a3e-0000-8000-8000-000000000002/cancel"
        self.assertEqual(gateway.call("POST", cancel).status, 202)

        key = fresh("batch")
        answer = []
        line = json.dumps(order(idempotency_key=key)) + "\n"
        batch = threading.Thread(target=lambda: answer.append(gateway.call(
            "POST", "/v1/orders:batch", line, {"Content-Type": "application/x-ndjson"})))
        batch.start()
        batch.join(1.5)
        self.assertTrue(batch.is_alive(), "the batch waits")
        self.assertNotIn(key, self.written_keys())
        self.commit_everything()
        batch.join(20)
        self.assertEqual([json.loads(answer[0].body)["status"]], [202])
        self.assertIn(key, self.written_keys())
        self.commit_everything()
        wait_until("orders are taken again", lambda: gateway.place(order()).status == 202)
        self.commit_everything()

    def test_behind_a_backlog_of_stock_only_stock_is_put_off(self):
        inventory = ("inventory", "inventory.inbox")
        self.commit_everything()
        self.commit_everything(*inventory)
        gateway = self.gateway("--gateway.backlog.ms.max=500")
        commands = [("PUT", "/v1/products/late", {"name": "x", "price_minor": 1, "currency": "EUR"}),
                    ("POST", "/v1/inventory/late/receive", {"quantity": 1}),
                    ("POST", "/v1/inventory/late/adjust", {"delta": 1, "reason": "counted"})]
        for command in commands:
            self.assertEqual(gateway.call(*command).status, 202)
        for command in commands:
            reply = wait_until("stock is put off",
                               lambda c=command: (r := gateway.call(*c)).status == 503 and r)
            self.assertEqual(reply.problem, "backlog")
            self.assertGreaterEqual(int(reply.headers["Retry-After"]), 1)
        self.assertEqual(gateway.place(order()).status, 202)
        lag = r'orderlog_gateway_backlog_seconds{role="(\w+)"} ([\d.]+)'
        lags = dict(re.findall(lag, gateway.call("GET", "/metrics").body.decode()))
        self.assertEqual(set(lags), {"order", "inventory"})
        self.assertGreater(float(lags["inventory"]), 0.5)
        self.commit_everything()
        self.commit_everything(*inventory)
        wait_until("stock is taken again", lambda: gateway.call(*commands[0]).status == 202)
        self.commit_everything(*inventory)

    def test_a_client_that_breaks_off_a_batch_leaves_the_rest_working(self):
        gateway = self.gateway("--gateway.backlog.ms.max=1h")
        for _ in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
            connection.putrequest("POST", "/v1/orders:batch")
            connection.putheader("Authorization", f"Bearer {TOKEN}")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            text = "".join(json.dumps(order(idempotency_key=fresh("cut"))) + "\n" for _ in range(50))
            connection.send(b"%x\r\n%s\r\n" % (len(text), text.encode()))
            connection.close()
        self.assertEqual(gateway.place(order()).status, 202)
        wait_until("all of them are over", lambda: len(self.written_keys()) % 50 == 1)
        gateway.process.terminate()
        self.assertEqual(gateway.process.wait(20), 0, gateway.log_path.read_text()[-4000:])

    def test_sigterm_answers_what_was_asked_and_ends_with_0(self):
        gateway = self.gateway("--gateway.backlog.ms.max=1h", "--gateway.request.timeout.ms=4s")
        self.assertEqual(gateway.place(order()).status, 202)
        metrics = lambda: gateway.call("GET", "/metrics").body.decode()
        wait_until("none waits", lambda: "orderlog_gateway_pending 0" in metrics())
        answers = []
        keys = [fresh("drain") for _ in range(8)]
        self.servers.pause_broker()
        threads = [threading.Thread(target=lambda k=key: answers.append(gateway.place(order(), k)))
                   for key in keys]
        for thread in threads:
            thread.start()
        wait_until("all wait for the brokers", lambda: "orderlog_gateway_pending 8" in metrics())
        gateway.process.send_signal(signal.SIGTERM)
        wait_until("it is stopping", lambda: any(l["text"] == "stopping" for l in gateway.log()))
        self.servers.resume_broker()
        for thread in threads:
            thread.join(20)
        self.assertEqual(len(answers), 8)
        acknowledged = sum(reply.status == 202 for reply in answers)
        self.assertGreater(acknowledged, 0)
        self.assertEqual(gateway.process.wait(20), 0, gateway.log_path.read_text()[-4000:])
        self.assertGreaterEqual(sum(k in keys for k in set(self.written_keys())), acknowledged)

    def test_a_second_sigterm_ends_it_at_once(self):
        gateway = self.gateway("--gateway.backlog.ms.max=1h", "--gateway.request.timeout.ms=60s")
        self.servers.pause_broker()
        waiting = threading.Thread(target=lambda: self.assertRaises(
            (http.client.HTTPException, OSError), gateway.place, order()))
        waiting.start()
        wait_until("it waits", lambda: b"orderlog_gateway_pending 1" in gateway.call("GET", "/metrics").body)
        gateway.process.send_signal(signal.SIGTERM)
        wait_until("it is stopping", lambda: any(l["text"] == "stopping" for l in gateway.log()))
        gateway.process.send_signal(signal.SIGTERM)
        self.assertEqual(gateway.process.wait(5), 82)
        waiting.join(10)

    def test_without_setup_it_says_what_to_do(self):
        missing = Gateway(self.servers, "--registry.url=" + self.servers.registry + "/nowhere",
                          ready=False)
        self.addCleanup(missing.__exit__)
        self.assertIn(missing.process.wait(60), (69, 85))
        self.assertTrue(any("registry" in line.get("error", "") for line in missing.log()))


if __name__ == "__main__":
    unittest.main()
