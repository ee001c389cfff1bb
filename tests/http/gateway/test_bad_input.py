# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a request: its own status, its own problem type, and no trace in the log."""
import http.client
import json
import time
import unittest

from fixture import TOKEN, Gateway, free_port, order, servers, wait_until

ORDERS = "/v1/orders"
ORDER = "/v1/orders/4b2c5a3e-0000-8000-8000-000000000000"


def line(**changes):
    result = {"sku": "A", "quantity": 1, "unit_price_minor": 100}
    result.update(changes)
    return {name: value for name, value in result.items() if value is not None}


def lines(*items):
    return order(lines=list(items))


TEXT = json.dumps(order())

# name, method, path, body, headers, status, problem, field (None: no field errors)
ROWS = [
    ("malformed JSON", "POST", ORDERS, "{\"a\":", {}, 400, "malformed-json", None),
    ("no body", "POST", ORDERS, None, {}, 400, "malformed-json", None),
    ("two values", "POST", ORDERS, TEXT + TEXT, {}, 400, "malformed-json", None),
    ("a number beyond 64 bits", "POST", ORDERS, TEXT.replace("150", "9" * 25), {}, 400,
     "malformed-json", None),
    ("an infinite number", "POST", ORDERS, TEXT.replace("150", "Infinity"), {}, 400,
     "malformed-json", None),
    ("duplicate keys", "POST", ORDERS, TEXT[:-1] + ",\"currency\":\"USD\"}", {}, 400,
     "duplicate-key", None),
    ("bad UTF-8", "POST", ORDERS, TEXT.encode().replace(b"c1", b"c\xff"), {}, 400,
     "invalid-utf8", None),
    ("an overlong encoding", "POST", ORDERS, TEXT.encode().replace(b"c1", b"\xc0\xaf"), {}, 400,
     "invalid-utf8", None),
    ("deep nesting", "POST", ORDERS, "[" * 100000, {}, 400, "too-deep", None),
    ("not an object", "POST", ORDERS, "[]", {}, 422, "wrong-type", ""),
    ("wrong type of quantity", "POST", ORDERS, lines(line(quantity="2")), {}, 422, "wrong-type",
     "lines[0].quantity"),
    ("a fraction", "POST", ORDERS, lines(line(), line(quantity=1.5)), {}, 422, "wrong-type",
     "lines[1].quantity"),
    ("an exponent", "POST", ORDERS, TEXT.replace("150", "1e3"), {}, 422, "wrong-type",
     "lines[0].unit_price_minor"),
    ("a line that is no object", "POST", ORDERS, lines("A"), {}, 422, "wrong-type", "lines[0]"),
    ("lines that are no array", "POST", ORDERS, order(lines={}), {}, 422, "wrong-type", "lines"),
    ("unknown field", "POST", ORDERS, order(colour="red"), {}, 422, "unknown-field", "colour"),
    ("unknown field of a line", "POST", ORDERS, lines(line(colour=1)), {}, 422, "unknown-field",
     "lines[0].colour"),
    ("a batch's field", "POST", ORDERS, order(idempotency_key="k"), {}, 422, "unknown-field",
     "idempotency_key"),
    ("missing customer", "POST", ORDERS, order(customer_id=None), {}, 422, "missing-field",
     "customer_id"),
    ("missing SKU", "POST", ORDERS, lines(line(sku=None)), {}, 422, "missing-field",
     "lines[0].sku"),
    ("missing lines", "POST", ORDERS, order(lines=None), {}, 422, "missing-field", "lines"),
    ("negative quantity", "POST", ORDERS, lines(line(quantity=-1)), {}, 422, "invalid-quantity",
     "lines[0].quantity"),
    ("quantity zero", "POST", ORDERS, lines(line(quantity=0)), {}, 422, "invalid-quantity",
     "lines[0].quantity"),
    ("huge quantity", "POST", ORDERS, lines(line(quantity=2**62)), {}, 422, "invalid-quantity",
     "lines[0].quantity"),
    ("negative price", "POST", ORDERS, lines(line(unit_price_minor=-1)), {}, 422,
     "invalid-amount", "lines[0].unit_price_minor"),
    ("negative tax", "POST", ORDERS, order(tax_minor=-1), {}, 422, "invalid-amount", "tax_minor"),
    ("a discount above the total", "POST", ORDERS, order(discount_minor=301), {}, 422,
     "invalid-amount", "discount_minor"),
    ("a line that overflows", "POST", ORDERS,
     lines(line(), line(quantity=1000000, unit_price_minor=10**12)), {}, 422, "total-overflow",
     "lines[1].quantity"),
    ("a total that overflows", "POST", ORDERS, order(shipping_minor=9 * 10**15), {}, 422,
     "total-overflow", ""),
    ("another total than expected", "POST", ORDERS, order(expected_total_minor=299), {}, 422,
     "total-differs", "expected_total_minor"),
    ("unknown currency", "POST", ORDERS, order(currency="XXY"), {}, 422, "unknown-currency",
     "currency"),
    ("currency in lower case", "POST", ORDERS, order(currency="eur"), {}, 422, "unknown-currency",
     "currency"),
    ("unknown SKU in a fresh catalogue", "POST", ORDERS, lines(line(), line(unit_price_minor=None)),
     {}, 422, "unknown-sku", "lines[1].sku"),
    ("empty SKU", "POST", ORDERS, lines(line(sku="")), {}, 422, "invalid-value", "lines[0].sku"),
    ("a SKU with a slash", "POST", ORDERS, lines(line(sku="a/b")), {}, 422, "invalid-value",
     "lines[0].sku"),
    ("a control character", "POST", ORDERS, order(customer_id="a\u0007"), {}, 422, "invalid-value",
     "customer_id"),
    ("a name that is too long", "POST", ORDERS, order(reference="x" * 65), {}, 422,
     "invalid-value", "reference"),
    ("no time", "POST", ORDERS, order(ordered_at="yesterday"), {}, 422, "invalid-value",
     "ordered_at"),
    ("no lines", "POST", ORDERS, order(lines=[]), {}, 422, "no-lines", "lines"),
    ("10,000 lines", "POST", ORDERS, lines(*[line()] * 10000), {}, 422, "too-many-lines", "lines"),
    ("a body over the limit", "POST", ORDERS, b" " * (5 << 20), {}, 413, "body-too-large", None),
    ("another shop", "POST", ORDERS, order(shop_id="other"), {}, 403, "wrong-shop", "shop_id"),
    ("a key in half quotes", "POST", ORDERS, order(), {"Idempotency-Key": "\"k"}, 400,
     "invalid-idempotency-key", None),
    ("a key that is too long", "POST", ORDERS, order(), {"Idempotency-Key": "k" * 256}, 400,
     "invalid-idempotency-key", None),
    ("another content type", "POST", ORDERS, order(), {"Content-Type": "text/plain"}, 415,
     "unsupported-media-type", None),
    ("an unknown path", "POST", "/v1/order", order(), {}, 404, "not-found", None),
    ("a path that cannot be decoded", "POST", "/v1/%zz", order(), {}, 400, "invalid-parameter",
     None),
    ("a wrong method", "DELETE", ORDERS, None, {}, 405, "method-not-allowed", None),
    ("an order id that is none", "POST", "/v1/orders/7/cancel", None, {}, 400, "invalid-parameter",
     None),
    ("unknown field of a cancellation", "POST", ORDER + "/cancel", {"why": "x"}, {}, 422,
     "unknown-field", "why"),
    ("a condition that a product does not know", "PUT", "/v1/products/A",
     {"name": "a", "currency": "EUR", "price_minor": 1}, {"If-Match": '"3"'}, 400, "invalid-parameter", None),
    ("a body for a dispatch", "POST", ORDER + "/dispatch", {"reason": "x"}, {}, 422,
     "unknown-field", "reason"),
    ("a product without a price", "PUT", "/v1/products/A", {"name": "a", "currency": "EUR"}, {},
     422, "missing-field", "price_minor"),
    ("a product in no currency", "PUT", "/v1/products/A",
     {"name": "a", "currency": "ABC", "price_minor": 1}, {}, 422, "unknown-currency", "currency"),
    ("a SKU with a slash in the path", "PUT", "/v1/products/a%2Fb",
     {"name": "a", "currency": "EUR", "price_minor": 1}, {}, 400, "invalid-parameter", None),
    ("nothing received", "POST", "/v1/inventory/A/receive", {"quantity": 0}, {}, 422,
     "invalid-quantity", "quantity"),
    ("an adjustment by nothing", "POST", "/v1/inventory/A/adjust", {"delta": 0, "reason": "x"}, {},
     422, "invalid-quantity", "delta"),
    ("an adjustment without a reason", "POST", "/v1/inventory/A/adjust", {"delta": 1}, {}, 422,
     "missing-field", "reason"),
]


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = servers()
        # Nobody reads the inbox here: the backlog would grow for ever.
        cls.gateway = Gateway(cls.servers, "--gateway.backlog.ms.max=1h")
        cls.addClassCleanup(cls.gateway.__exit__)

    def setUp(self):
        self.before = self.servers.ends()

    def assert_no_trace(self):
        self.assertEqual(self.servers.ends(), self.before)

    def test_each_kind_has_its_own_answer_and_leaves_no_trace(self):
        for name, method, path, body, headers, status, problem, field in ROWS:
            with self.subTest(name):
                reply = self.gateway.call(method, path, body, headers)
                self.assertEqual((reply.status, reply.problem), (status, problem), reply.body)
                fields = [error["field"] for error in reply.json.get("errors", [])]
                self.assertEqual(fields, [] if field is None else [field])
        self.assert_no_trace()

    def test_a_batch_answers_the_same_line_by_line_and_leaves_no_trace(self):
        rows = [row for row in ROWS
                if row[2] == ORDERS and isinstance(row[3], dict) and not row[4]
                and row[0] != "a batch's field"]
        body = "".join(json.dumps({**row[3], "idempotency_key": f"bad {i}"}) + "\n"
                       for i, row in enumerate(rows))
        reply = self.gateway.call("POST", "/v1/orders:batch", body,
                                  {"Content-Type": "application/x-ndjson"})
        self.assertEqual(reply.status, 200)
        results = [json.loads(text) for text in reply.body.splitlines()]
        self.assertEqual([result["line"] for result in results], list(range(1, len(rows) + 1)))
        for row, result in zip(rows, results):
            with self.subTest(row[0]):
                self.assertEqual(result["status"], row[5])
                self.assertEqual(result["type"], "urn:orderlog:problem:" + row[6])
        self.assert_no_trace()

    def test_without_the_right_key_nothing_is_open(self):
        other = self.servers.orderlog("keys", "create", "--scopes=read,ops").split()
        reader = next(word for word in other if word.startswith("ol_"))
        wait_until("the key is known",
                   lambda: self.gateway.call("GET", "/metrics", token=reader).status == 200)
        calls = [("POST", ORDERS, order()), ("POST", "/v1/orders:batch", "{}\n"),
                 ("POST", ORDER + "/cancel", None), ("POST", ORDER + "/dispatch", None),
                 ("POST", ORDER + "/deliver", None), ("PUT", "/v1/products/A", {}),
                 ("POST", "/v1/inventory/A/receive", {}), ("POST", "/v1/inventory/A/adjust", {}),
                 ("GET", "/metrics", None)]
        wrong = [None, "x", "ol_dev_", TOKEN + "0", TOKEN[:-1] + "0", "ol_nobody_0123456789abcdef"]
        for method, path, body in calls:
            for token in wrong:
                with self.subTest(path=path, token=token):
                    reply = self.gateway.call(method, path, body, token=token)
                    self.assertEqual((reply.status, reply.problem), (401, "unauthenticated"))
                    self.assertEqual(reply.headers["WWW-Authenticate"], "Bearer")
            if path != "/metrics":
                reply = self.gateway.call(method, path, body, token=reader)
                self.assertEqual((reply.status, reply.problem), (403, "forbidden"))
        for path in ("/livez", "/readyz"):
            self.assertEqual(self.gateway.call("GET", path, token=None).status, 200)
        self.assertEqual(self.gateway.call("GET", "/metrics", token=reader).status, 200)
        self.assert_no_trace()

    def test_prices_of_ones_own_need_the_import_scope(self):
        made = self.servers.orderlog("keys", "create", "--scopes=read,write").split()
        writer = next(word for word in made if word.startswith("ol_"))
        place = lambda: self.gateway.place(order(), token=writer)
        wait_until("the key is known", lambda: place().status != 401)
        reply = place()
        self.assertEqual((reply.status, reply.problem), (403, "forbidden"))
        self.assertEqual(reply.json["errors"][0]["field"], "lines[0].unit_price_minor")
        self.assert_no_trace()

    def test_a_revoked_key_stops_working(self):
        made = self.servers.orderlog("keys", "create", "--scopes=read,ops").split()
        token = next(word for word in made if word.startswith("ol_"))
        read = lambda: self.gateway.call("GET", "/metrics", token=token).status
        wait_until("the key is known", lambda: read() == 200)
        self.servers.orderlog("keys", "revoke", token.split("_")[1])
        wait_until("the key is refused", lambda: read() == 401)

    def test_a_revoked_key_opens_no_further_line_of_a_batch(self):
        made = self.servers.orderlog("keys", "create", "--scopes=all").split()
        token = next(word for word in made if word.startswith("ol_"))
        read = lambda: self.gateway.call("GET", "/metrics", token=token).status
        wait_until("the key is known", lambda: read() == 200)

        def lines():
            yield b"{}\n"
            self.servers.orderlog("keys", "revoke", token.split("_")[1])
            wait_until("the key is refused", lambda: read() == 401)
            # What holds is asked anew five times a second.
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                yield b"{}\n"
            yield b"{}\n"

        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=60)
        connection.request("POST", "/v1/orders:batch", lines(), {
            "Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"},
            encode_chunked=True)
        results = connection.getresponse().read().splitlines()
        self.assertEqual(json.loads(results[0])["status"], 422)
        self.assertEqual(json.loads(results[-1])["status"], 401)
        connection.close()
        self.assert_no_trace()

    def test_metrics_on_the_listener_for_operators_want_their_key(self):
        key, port = "ol_metrics_0123456789abcdef", free_port()
        with Gateway(self.servers, f"--metrics.port={port}", f"--metrics.key={key}") as gateway:
            gateway.port = port
            for path in ("/livez", "/readyz"):
                self.assertEqual(gateway.call("GET", path, token=None).status, 200)
            for token in (None, TOKEN, key + "0", key[:-1], "ol_other_0123456789abcdef"):
                reply = gateway.call("GET", "/metrics", token=token)
                self.assertEqual((reply.status, reply.problem), (401, "unauthenticated"))
            self.assertIn(b"orderlog_", gateway.call("GET", "/metrics", token=key).body)
        with Gateway(self.servers, f"--metrics.port={port}") as gateway:
            gateway.port = port
            self.assertEqual(gateway.call("GET", "/metrics", token=key).status, 401)

    def test_no_secret_is_in_the_log_lines(self):
        self.gateway.call("POST", ORDERS, "{", token=TOKEN)
        self.assertNotIn(TOKEN[7:], self.gateway.log_path.read_text())


if __name__ == "__main__":
    unittest.main()
