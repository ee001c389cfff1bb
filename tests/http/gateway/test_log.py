# SPDX-License-Identifier: Apache-2.0
"""What the gateway puts into the log: exactly what it acknowledged, named so that retries are seen."""
import json
import pathlib
import threading
import unittest
import urllib.parse

from confluent_kafka import Producer

from fixture import PARTITIONS, Gateway, order, servers, wait_until


def murmur2(data):
    """Kafka's default partitioner, written down from its description a second time."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    for at in range(0, len(data) // 4 * 4, 4):
        k = int.from_bytes(data[at:at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[len(data) // 4 * 4:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


class Log(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = servers()
        cls.gateway = Gateway(cls.servers, "--gateway.backlog.ms.max=1h", "--http.line.bytes.max=2000")
        cls.addClassCleanup(cls.gateway.__exit__)

    def setUp(self):
        self.before = self.servers.ends()

    def written(self, topic="orders.inbox"):
        return self.servers.since(self.before, topic)

    def set_price(self, sku, price_minor, version, currency="EUR"):
        value = self.servers.encode("products", "Product", {
            "shop_id": "main", "sku": sku, "name": sku, "price_minor": price_minor,
            "currency": currency, "price_version": version, "updated_at": 0})
        producer = Producer({"bootstrap.servers": self.servers.kafka})
        producer.produce("products", value, f"main/{sku}")
        self.assertEqual(producer.flush(10), 0)

    def test_an_acknowledged_order_is_in_the_log_as_it_was_sent(self):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        body = order(reference="r 1", ordered_at="2026-01-31T12:00:00+01:00", discount_minor=1,
                     shipping_minor=2, tax_minor=3, expected_total_minor=304, shop_id="main",
                     payment_method="tok_x")
        reply = self.gateway.call("POST", "/v1/orders", body,
                                  {"Idempotency-Key": "\"a \\\"b\\\"\"", "traceparent": trace})
        self.assertEqual(reply.status, 202, reply.body)
        [record] = self.written()
        self.assertEqual(record["type"], "orderlog.PlaceOrder")
        self.assertEqual(record["headers"]["ce_type"], "orderlog.PlaceOrder")
        self.assertEqual(record["headers"]["traceparent"].split("-")[1], trace.split("-")[1])
        self.assertEqual(record["key"], reply.json["order_id"])
        self.assertEqual(record["partition"], murmur2(record["key"].encode()) % PARTITIONS)
        self.assertEqual(str(record["order_id"]), reply.json["order_id"])
        self.assertEqual(str(record["key_id"]), reply.json["order_id"])
        self.assertEqual(str(record["command_id"]), reply.json["command_id"])
        self.assertEqual(reply.headers["Location"], "/v1/orders/" + reply.json["order_id"])
        self.assertEqual(record["idempotency_key"], "a \"b\"")
        self.assertEqual(record["ordered_at"].isoformat(), "2026-01-31T11:00:00+00:00")
        self.assertEqual(record["lines"], [
            {"sku": "A", "quantity": 2, "unit_price_minor": 150, "price_version": None}])
        self.assertEqual([record[f] for f in ("shop_id", "customer_id", "currency", "reference",
                                              "payment_method")],
                         ["main", "c1", "EUR", "r 1", "tok_x"])
        self.assertEqual([record[f"{f}_minor"] for f in ("discount", "shipping", "tax")], [1, 2, 3])

    def test_the_same_key_names_the_same_order_and_the_content_its_command(self):
        first = self.gateway.place(order(), "same").json
        again = self.gateway.place(order(), "same").json
        quoted = self.gateway.place(order(), "\"same\"").json
        changed = self.gateway.place(order(customer_id="c2"), "same").json
        other = self.gateway.place(order(), "other").json
        self.assertEqual(again, first)
        self.assertEqual(quoted, first)
        self.assertEqual(changed["order_id"], first["order_id"])
        self.assertNotEqual(changed["command_id"], first["command_id"])
        self.assertNotEqual(other["order_id"], first["order_id"])
        made = [self.gateway.place(order()).json for _ in range(2)]
        self.assertNotEqual(made[0]["order_id"], made[1]["order_id"])
        self.assertEqual(self.gateway.place(order(), made[0]["idempotency_key"]).json["command_id"],
                         made[0]["command_id"])

    def test_prices_come_from_the_catalogue_and_do_not_change_the_command(self):
        bought = order(lines=[{"sku": "priced", "quantity": 3}])
        self.set_price("priced", 250, 7)
        place = lambda: self.gateway.place(bought, "catalogue")
        wait_until("the catalogue has it", lambda: place().status == 202)
        self.before = self.servers.ends()
        first = place()
        [record] = self.written()
        self.assertEqual(record["lines"], [
            {"sku": "priced", "quantity": 3, "unit_price_minor": 250, "price_version": 7}])
        self.set_price("priced", 300, 8)

        def new_price():
            self.before = self.servers.ends()
            reply = place()
            self.assertEqual(reply.json["command_id"], first.json["command_id"])
            return self.written()[0]["lines"][0]["unit_price_minor"] == 300

        wait_until("the new price is used", new_price)
        refused = self.gateway.place({**bought, "expected_total_minor": 750})
        self.assertEqual((refused.status, refused.problem), (422, "total-differs"))
        refused = self.gateway.place({**bought, "currency": "USD"})
        self.assertEqual((refused.status, refused.problem), (422, "currency-differs"))

    def test_other_commands_are_keyed_by_what_they_are_about(self):
        about = "4b2c5a3e-0000-8000-8000-000000000001"
        for kind, body, name in (("cancel", {"reason": "why"}, "CancelOrder"),
                                 ("dispatch", None, "DispatchOrder"), ("deliver", {}, "DeliverOrder")):
            self.before = self.servers.ends()
            reply = self.gateway.call("POST", f"/v1/orders/{about.upper()}/{kind}", body,
                                      {"Idempotency-Key": "k"})
            self.assertEqual(reply.status, 202, reply.body)
            [record] = self.written()
            self.assertEqual((record["type"], record["key"]), ("orderlog." + name, about))
            self.assertEqual(str(record["command_id"]), reply.json["command_id"])
        sku = "BANK CHARGES \u00e4"
        for method, path, body, name in (
                ("PUT", "/v1/products/{}", {"name": "n", "price_minor": 0, "currency": "EUR"},
                 "SetProduct"),
                ("POST", "/v1/inventory/{}/receive", {"quantity": 5}, "ReceiveStock"),
                ("POST", "/v1/inventory/{}/adjust", {"delta": -5, "reason": "r"}, "AdjustStock")):
            self.before = self.servers.ends()
            reply = self.gateway.call(method, path.format(urllib.parse.quote(sku)), body)
            self.assertEqual(reply.status, 202, reply.body)
            self.assertEqual(reply.headers["Location"], "/v1/commands/" + reply.json["command_id"])
            [record] = self.written("inventory.inbox")
            self.assertEqual((record["type"], record["key"], record["sku"]),
                             ("orderlog." + name, "main/" + sku, sku))
            for field, value in body.items():
                self.assertEqual(record[field], value)

    def test_a_batch_is_answered_line_by_line(self):
        count = 10000
        def text(i):
            if i % 1000 == 999:
                return "x" * 3000
            if i % 100 == 50:
                return ""
            if i % 10 == 5:
                return json.dumps(order(idempotency_key=f"b{i}", customer_id=""))
            return json.dumps(order(idempotency_key=f"b{i}"))
        reply = self.gateway.call("POST", "/v1/orders:batch",
                                  "\n".join(text(i) for i in range(count)),
                                  {"Content-Type": "application/x-ndjson"}, timeout=120)
        self.assertEqual(reply.status, 200)
        results = [json.loads(line) for line in reply.body.splitlines()]
        expected = [(i + 1, 413 if i % 1000 == 999 else 422 if i % 10 == 5 else 202)
                    for i in range(count) if i % 100 != 50 or i % 1000 == 999]
        self.assertEqual([(r["line"], r["status"]) for r in results], expected)
        written = {r["key"] for r in self.written()}
        acknowledged = [r["order_id"] for r in results if r["status"] == 202]
        self.assertEqual(len(acknowledged), len(set(acknowledged)))
        self.assertEqual(written, set(acknowledged))

    def test_a_batch_of_any_length_takes_bounded_memory(self):
        count = 200000
        statm = pathlib.Path(f"/proc/{self.gateway.process.pid}/statm")
        rss = lambda: int(statm.read_text().split()[1]) * 4096
        before = rss()
        reply = self.gateway.call("POST", "/v1/orders:batch", "{}\n" * count,
                                  {"Content-Type": "application/x-ndjson"}, timeout=120)
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.body.count(b"\n"), count)
        self.assertGreater(len(reply.body), 32 << 20)
        self.assertLess(rss() - before, 24 << 20)

    def test_many_clients_at_one_time_lose_and_double_nothing(self):
        ids, failures = [], []

        def shop(number):
            for i in range(50):
                reply = self.gateway.place(order(), f"many-{number}-{i}")
                (ids if reply.status == 202 else failures).append(reply.json.get("order_id"))

        threads = [threading.Thread(target=shop, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(sorted(r["key"] for r in self.written()), sorted(ids))
        self.assertEqual(len(set(ids)), 16 * 50)


if __name__ == "__main__":
    unittest.main()
