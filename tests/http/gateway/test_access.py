# SPDX-License-Identifier: Apache-2.0
"""I16: nobody reads or changes what is not theirs. Every operation of the OpenAPI document, asked by
every kind of caller; what a customer may see of orders, lists, waits and outcomes; and how soon a
revoked key or a withdrawn key of the issuer is refused."""
import http.client
import json
import signal
import subprocess
import time
import unittest
import uuid

from fixture import ORDERLOG, TOKEN, Gateway, free_port, order, servers, wait_until
from tokens import AUDIENCE, ISSUER, Issuer

SCOPES = ["orders:read", "orders:write", "orders:import", "catalog:write", "inventory:read",
          "inventory:write", "shipments:write", "customers:read", "customers:write", "ops"]
OF_CUSTOMERS = {"orders:read", "orders:write", "customers:read", "customers:write"}
BY_ORDER, BY_CUSTOMER = "order", "customer"
# What an operation about somebody's thing is asked for; "GET /v1/orders" shows what is theirs.
OWNED = {"GET /v1/orders/{id}": BY_ORDER, "GET /v1/orders/{id}/events": BY_ORDER,
         "GET /v1/orders/{id}/stream": BY_ORDER, "GET /v1/commands/{id}": BY_ORDER,
         "GET /v1/customers/{id}": BY_CUSTOMER, "PUT /v1/customers/{id}": BY_CUSTOMER,
         "DELETE /v1/customers/{id}": BY_CUSTOMER, "GET /v1/customers/{id}/summary": BY_CUSTOMER}
# Nobody has made any of these: 404 says who was let in, too.
NOT_THERE = {"GET /v1/inventory/{sku}", "GET /v1/customers/{id}"}


class Caller:
    def __init__(self, name, token, scopes=None, shop="main", customer=None):
        self.name, self.token, self.shop, self.customer = name, token, shop, customer
        self.scopes = None if scopes is None else set(scopes)  # None: nobody
        if customer and self.scopes is not None:
            self.scopes &= OF_CUSTOMERS


class Role:
    """A long-running role that is no gateway."""

    def __init__(self, *command):
        self.log_path = servers().dir / f"{command[0]}-{time.monotonic_ns()}.log"
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([ORDERLOG, *command, "--log.format=json"],
                                            env=servers().environment(), stderr=log)

    def ready(self):
        def says():
            if self.process.poll() is not None:
                raise AssertionError(self.log_path.read_text())
            return '"text":"ready"' in self.log_path.read_text()
        wait_until("ready", says, 40)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


class Client:
    """Keeps its connection where it can."""

    def __init__(self, port):
        self.port, self.connection = port, None

    def call(self, method, path, token=None, body=None, headers=None, whole=True):
        sent = {"Authorization": token if " " in (token or "") else f"Bearer {token}"} if token else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        for attempt in range(2):
            self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port,
                                                                            timeout=30)
            try:
                self.connection.request(method, path, body, sent)
                response = self.connection.getresponse()
                break
            except (http.client.HTTPException, OSError):
                self.close()
                if attempt:
                    raise
        stream = response.getheader("Content-Type") == "text/event-stream"
        data = b"" if stream else response.read()
        if stream or response.getheader("Connection") == "close":
            self.close()
        return response.status, data

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def create_key(*options):
    said = servers().orderlog("keys", "create", *options).split()
    return next(word for word in said if word.startswith("ol_"))


class Access(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.issuer = Issuer()
        jwt = [f"--jwt.jwks={cls.issuer.jwks_path}", f"--jwt.issuer={ISSUER}",
               f"--jwt.audience={AUDIENCE}"]
        query_port = free_port()
        cls.roles = [Role("process", "order"), Role("project"),
                     Role("query", f"--query.port={query_port}", *jwt)]
        cls.gateway = Gateway(servers(), *jwt)
        for role in cls.roles:
            role.ready()
        cls.clients = {"gateway": Client(cls.gateway.port), "query": Client(query_port)}
        cls.key = {"revoked": create_key("--scopes=all"),
                   "other shop": create_key("--scopes=all", "--shop=other"),
                   "write only": create_key("--scopes=orders:write")}
        cls.orders = {customer: cls.place(customer) for customer in ("c1", "c2")}
        for receipt in cls.orders.values():
            cls.await_visible(receipt["command_id"])

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients.values():
            client.close()
        cls.gateway.__exit__()
        for role in cls.roles:
            role.stop()

    @classmethod
    def ask(cls, service, method, path, token=TOKEN, body=None, **more):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        return cls.clients[service].call(method, path, token, body, **more)

    @classmethod
    def place(cls, customer, token=TOKEN, key=None):
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        status, body = cls.ask("gateway", "POST", "/v1/orders", token, order(customer_id=customer),
                               headers=headers)
        assert status == 202, body
        return json.loads(body)

    @classmethod
    def await_visible(cls, command_id):
        path = f"/v1/commands/{command_id}?wait=10s"
        wait_until("the command is visible", lambda: cls.ask("query", "GET", path)[0] == 200, 60)

    # --- the matrix -----------------------------------------------------------------------------

    def operations(self):
        """(service, method, path, scopes, open to customers), as the services themselves say."""
        for service in self.clients:
            status, body = self.ask(service, "GET", "/openapi.json", None)
            self.assertEqual(status, 200)
            for path, methods in json.loads(body)["paths"].items():
                for method, operation in methods.items():
                    if method in ("get", "put", "post", "delete", "patch"):
                        yield (service, method.upper(), path, set(operation.get("x-scopes", [])),
                               operation.get("x-customers", False))

    def callers(self):
        issuer = self.issuer
        everything = " ".join(SCOPES)
        for name, token in [("nobody", None), ("garbage", "x"), ("a short key", "ol_"),
                            ("an unknown key", "ol_nobody_0123456789abcdef"),
                            ("a wrong secret", TOKEN[:-1] + "0"), ("a longer secret", TOKEN + "0"),
                            ("another scheme", "Basic " + TOKEN), ("a revoked key", self.key["revoked"])]:
            yield Caller(name, token)
        yield Caller("a key with all scopes", TOKEN, SCOPES)
        yield Caller("a key of another shop", self.key["other shop"], SCOPES, "other")
        yield Caller("a key with orders:write", self.key["write only"], ["orders:write"])
        for scope in SCOPES:
            yield Caller(f"a token with just {scope}", issuer.token(scope=scope), [scope])
            rest = [word for word in SCOPES if word != scope]
            yield Caller(f"a token without {scope}", issuer.token(scope=" ".join(rest)), rest)
        for alg in ("RS256", "ES256", "EdDSA"):
            yield Caller(f"a token by {alg}", issuer.token(alg, scope=everything), SCOPES)
        yield Caller("a token without scopes", issuer.token(), [])
        yield Caller("a token with words of keys", issuer.token(scope="all read write import *"), [])
        yield Caller("a token of another shop", issuer.token(scope=everything, shop="other"), SCOPES,
                     "other")
        for customer in ("c1", "c2", "c11"):
            yield Caller(f"customer {customer}", issuer.token(scope=everything, customer=customer),
                         SCOPES, customer=customer)
        yield Caller("customer c1 of another shop",
                     issuer.token(scope=everything, customer="c1", shop="other"), SCOPES, "other", "c1")
        yield Caller("customer c1 without scopes", issuer.token(customer="c1"), [], customer="c1")
        for name, token in issuer.faulty(scope=everything).items():
            yield Caller(f"a token {name}", token)

    def expected(self, caller, method, path, scopes, customers):
        """A status, or a text that says what else."""
        owned = OWNED.get(f"{method} {path}")
        if not scopes:
            return "let in"
        if caller.scopes is None:
            return 401
        if not caller.scopes & scopes or (caller.customer and not customers):
            return 403
        if owned and caller.customer and (caller.shop, caller.customer) != ("main", "c1"):
            if owned == BY_CUSTOMER and caller.customer == "c1":
                return "let in"  # of their own shop, where they may be somebody
            return 404
        if owned == BY_ORDER and caller.shop != "main":
            return 404
        if path == "/v1/commands/{id}" and not caller.scopes & {"orders:read", "orders:write",
                                                                "shipments:write"}:
            return 404  # outcomes of commands about stock only
        return "let in"

    def probe(self, service, method, path, caller):
        receipt = self.orders["c1"]
        about = {"/v1/commands/{id}": receipt["command_id"], "/v1/customers/{id}": "c1",
                 "/v1/customers/{id}/summary": "c1"}.get(path, receipt["order_id"])
        # What changes something is asked in a way that is refused after who asks has been judged.
        body, headers = (None, {}) if method == "GET" else ("{", {"Idempotency-Key": "\""})
        if path.endswith(":batch"):
            body, headers = "", {"Content-Type": "application/x-ndjson"}
        elif method == "DELETE":
            body = None
        filled = path.replace("{id}", about).replace("{sku}", "A")
        return self.ask(service, method, filled, caller.token, body, headers=headers)

    def test_every_operation_by_every_caller(self):
        servers().orderlog("keys", "revoke", self.key["revoked"].split("_")[1])
        for service in self.clients:
            wait_until("the key is revoked", lambda: self.ask(service, "GET", "/metrics",
                                                              self.key["revoked"])[0] == 401)
        operations, callers = list(self.operations()), list(self.callers())
        surprises = []
        for service, method, path, scopes, customers in operations:
            for caller in callers:
                expected = self.expected(caller, method, path, scopes, customers)
                status, body = self.probe(service, method, path, caller)
                good = status == expected or (
                    expected == "let in" and status not in (401, 403) and
                    (status != 404 or f"{method} {path}" in NOT_THERE or
                     (path.endswith("summary") and caller.shop == "other")))
                if not good:
                    surprises.append(f"{service} {method} {path} by {caller.name}: {status}, "
                                     f"expected {expected}: {body[:200]}")
                if path == "/v1/orders" and method == "GET" and status == 200:
                    seen = {one["customer_id"] for one in json.loads(body)["orders"]}
                    mine = set() if caller.shop != "main" else \
                        {caller.customer} if caller.customer else seen
                    if not seen <= mine:
                        surprises.append(f"{caller.name} sees orders of {seen - mine}")
        print(f"\naccess: {len(operations)} operations x {len(callers)} callers = "
              f"{len(operations) * len(callers)} requests, {len(surprises)} surprises")
        self.assertGreater(len(operations), 20)
        self.assertEqual(surprises, [])

    # --- customers ------------------------------------------------------------------------------

    def customer(self, name, **more):
        return self.issuer.token(scope="orders:* customers:*", customer=name, **more)

    def outcome(self, token, command_id):
        status, body = self.ask("query", "GET", f"/v1/commands/{command_id}?wait=10s", token)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def cancel(self, token, order_id):
        status, body = self.ask("gateway", "POST", f"/v1/orders/{order_id}/cancel", token, {})
        self.assertEqual(status, 202, body)
        return json.loads(body)["command_id"]

    def test_a_stranger_cancels_nothing_and_learns_nothing(self):
        receipt = self.place("c1")
        self.await_visible(receipt["command_id"])
        stranger, owner = self.customer("c2"), self.customer("c1")
        answers = []
        for order_id in (receipt["order_id"], str(uuid.uuid4())):
            command_id = self.cancel(stranger, order_id)
            answer = self.outcome(stranger, command_id)
            answers.append({**answer, "command_id": "", "order_id": "", "occurred_at": ""})
            self.assertEqual((answer["outcome"], answer["reason"]), ("refused", "UNKNOWN_ORDER"))
            for token in (self.customer("c3"), self.customer("c2", shop="other")):
                self.assertEqual(self.ask("query", "GET", f"/v1/commands/{command_id}", token)[0], 404)
        self.assertEqual(answers[0], answers[1])
        status, body = self.ask("query", "GET", f"/v1/orders/{receipt['order_id']}/events", owner)
        self.assertEqual([one["type"] for one in json.loads(body)["events"]], ["OrderPlaced"])
        done = self.outcome(owner, self.cancel(owner, receipt["order_id"]))
        self.assertEqual(done["outcome"], "applied")
        # Closed: the owner hears so, a stranger hears nothing.
        self.assertEqual(self.outcome(owner, self.cancel(owner, receipt["order_id"]))["reason"],
                         "ALREADY_CLOSED")
        self.assertEqual(self.outcome(stranger, self.cancel(stranger, receipt["order_id"]))["reason"],
                         "UNKNOWN_ORDER")

    def test_a_customer_orders_for_nobody_else(self):
        lines = [{"sku": "A", "quantity": 1}]
        body = {"customer_id": "c2", "currency": "EUR", "lines": lines}
        status, said = self.ask("gateway", "POST", "/v1/orders", self.customer("c1"), body)
        self.assertEqual(status, 403, said)
        batch = json.dumps({**body, "idempotency_key": "b"}) + "\n"
        status, said = self.ask("gateway", "POST", "/v1/orders:batch", self.customer("c1"), batch,
                                headers={"Content-Type": "application/x-ndjson"})
        self.assertEqual((status, json.loads(said)["status"]), (200, 403))

    def test_waiting_tells_nothing_of_others_commands(self):
        receipt = self.orders["c1"]
        after = f"after={receipt['command_id']}"
        for path in (f"/v1/orders/{receipt['order_id']}?{after}", f"/v1/orders?{after}",
                     f"/v1/commands/{receipt['command_id']}?wait=0ms"):
            self.assertEqual(self.ask("query", "GET", path, self.customer("c1"))[0], 200)
            for stranger in (self.customer("c2"), self.customer("c1", shop="other"),
                             self.key["other shop"]):
                self.assertEqual(self.ask("query", "GET", path, stranger)[0], 504)

    def test_what_is_remembered_of_versions_is_told_to_its_customer_only(self):
        path = f"/v1/orders/{self.orders['c2']['order_id']}"
        tokens = [self.customer("c2"), TOKEN, self.customer("c1"), self.key["other shop"]]
        for _ in range(50):
            found = [self.ask("query", "GET", path, token, headers={"If-None-Match": '"1"'})[0]
                     for token in tokens]
            self.assertEqual(found, [304, 304, 404, 404])

    # --- soon -----------------------------------------------------------------------------------

    def taken(self, service, token):
        return self.ask(service, "GET", "/metrics", token)[0] == 200

    def seconds_until(self, service, token, wanted):
        begin = time.monotonic()
        wait_until(f"{service}: {wanted}", lambda: self.taken(service, token) == wanted)
        return time.monotonic() - begin

    def test_a_key_counts_and_is_revoked_within_a_second(self):
        key = create_key("--scopes=ops")
        for service in self.clients:
            self.assertLess(self.seconds_until(service, key, True), 1)
        servers().orderlog("keys", "revoke", key.split("_")[1])
        waited = {service: self.seconds_until(service, key, False) for service in self.clients}
        print(f"\naccess: a revoked key is refused after {waited}")
        self.assertLess(max(waited.values()), 1)

    def test_z_keys_of_the_issuer_change_within_a_second(self):
        before = self.issuer.token(scope="ops")
        for service in self.clients:
            self.assertTrue(self.taken(service, before))
        self.issuer.new_keys()
        for process in (self.gateway.process, self.roles[2].process):
            process.send_signal(signal.SIGHUP)
        after = self.issuer.token(scope="ops")
        for service in self.clients:
            self.assertLess(self.seconds_until(service, after, True), 1)
            self.assertFalse(self.taken(service, before))

    def test_no_token_is_in_the_log_lines(self):
        token = self.issuer.token(scope="ops", sub="someone@example.org")
        for service in self.clients:
            self.assertTrue(self.taken(service, token))
        for path in (self.gateway.log_path, self.roles[2].log_path):
            text = path.read_text()
            self.assertNotIn("someone@example.org", text)
            self.assertNotIn(token.split(".")[2][:20], text)


if __name__ == "__main__":
    unittest.main()
