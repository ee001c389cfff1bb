# SPDX-License-Identifier: Apache-2.0
"""Shops under chaos: they place orders one by one and in batches, with hot SKUs and difficult ways
to pay, cancel some, send some twice, ask again when they are not answered, or give up. All that
they asked and were told goes into a history file, line by line:

  {"t": 12.3, "id": 7, "what": "invoke", "kind": "PlaceOrder", "key": "…", "aggregate": null}
  {"t": 12.4, "id": 7, "what": "ok|refused|unknown", "status": 202, "order_id": …, "command_id": …}

refused: told that nothing was written (503, 429, 4xx, or there was nobody to connect to).
unknown: 504, or the connection broke.
"""

import heapq
import http.client
import json
import random
import threading
import time
from collections import Counter

from world import Failed, quote, wait_until

METHODS = ("tok_ok",) * 12 + ("tok_decline", "tok_delay_300", "tok_delay_1500", "tok_lost",
                              "tok_timeout")
PLENTY = [f"SKU {n:02}" for n in range(40)]
HOT = [f"HOT-{n}" for n in range(4)]
TIMEOUT_S = 8
BATCH_LINES = 40
PATIENCE_S = 90  # how long a shop goes on asking the same


class History:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8", buffering=1)
        self.lock = threading.Lock()
        self.started = time.monotonic()
        self.next_id = 0
        self.counts = Counter()

    def _write(self, entry):
        entry["t"] = round(time.monotonic() - self.started, 3)
        self.file.write(json.dumps(entry) + "\n")

    def invoke(self, kind, key, aggregate=None):
        with self.lock:
            self.next_id += 1
            self.counts[kind] += 1
            self._write({"id": self.next_id, "what": "invoke", "kind": kind, "key": key,
                         "aggregate": aggregate})
            return self.next_id

    def answer(self, request_id, what, status=None, body=None):
        with self.lock:
            self.counts[what] += 1
            self._write({"id": request_id, "what": what, "status": status,
                         "order_id": (body or {}).get("order_id"),
                         "command_id": (body or {}).get("command_id")})


def judge(status):
    if status == 202:
        return "ok"
    return "unknown" if status in (500, 502, 504) else "refused"


class Caller:
    """One connection to the gateway, made anew when it breaks."""

    def __init__(self, world, history):
        self.world, self.history = world, history
        self.connection = None

    def ask(self, method, path, text, headers=()):
        """(what, status, answer's text)"""
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.world.gateway_port,
                                                             timeout=TIMEOUT_S)
                self.connection.connect()
        except OSError:
            self.connection = None
            return "refused", None, b""
        try:
            self.connection.request(method, path, text, {
                "Authorization": f"Bearer {self.world.token}", **dict(headers)})
            reply = self.connection.getresponse()
            data = reply.read()
            if reply.will_close:
                self.connection = None
            return judge(reply.status), reply.status, data
        except (OSError, http.client.HTTPException):
            self.connection = None
            return "unknown", None, b""

    def command(self, kind, method, path, body, key, aggregate=None):
        request_id = self.history.invoke(kind, key, aggregate)
        what, status, data = self.ask(method, path, json.dumps(body), {
            "Content-Type": "application/json", "Idempotency-Key": key}.items())
        answer = json.loads(data) if what == "ok" else None
        self.history.answer(request_id, what, status, answer)
        return what, answer, status

    def batch(self, orders):
        """orders: [(key, body)]; returns [(what, answer)]"""
        ids = [self.history.invoke("PlaceOrder", key) for key, _ in orders]
        text = "".join(json.dumps({**body, "idempotency_key": key}) + "\n" for key, body in orders)
        what, status, data = self.ask("POST", "/v1/orders:batch", text,
                                      {"Content-Type": "application/x-ndjson"}.items())
        told = {}
        if status == 200:
            for line in data.splitlines():
                answer = json.loads(line)
                told[answer["line"]] = answer
        results = []
        for number, request_id in enumerate(ids, 1):
            answer = told.get(number)
            if answer:
                what = judge(answer["status"])
            elif status == 200:
                what = "unknown"
            self.history.answer(request_id, what, answer["status"] if answer else status, answer)
            results.append((what, answer))
        return results


class Shops(threading.Thread):
    """One thread of the load. Draws everything from its own seed."""

    def __init__(self, world, history, name, seed, rate, batches):
        super().__init__(daemon=True, name=name)
        self.caller = Caller(world, history)
        self.random = random.Random(seed)
        self.rate, self.batches = rate, batches
        self.stopping = threading.Event()
        self.failure = None
        self.number = 0
        self.later = []  # heap of (due, number, action)

    def draw_order(self):
        lines = [{"sku": self.random.choice(PLENTY), "quantity": self.random.randint(1, 5)}
                 for _ in range(self.random.choice((1, 1, 2, 3)))]
        if self.random.random() < 0.3:
            lines.append({"sku": self.random.choice(HOT), "quantity": self.random.randint(1, 3)})
        self.number += 1
        key = f"{self.name}-{self.number}"
        return key, {"customer_id": f"c-{self.number % 97}", "currency": "GBP", "lines": lines,
                     "payment_method": self.random.choice(METHODS), "reference": key}

    def at(self, delay_s, action):
        self.number += 1
        heapq.heappush(self.later, (time.monotonic() + delay_s, self.number, action))

    def settle(self, what, again, begun, give_up):
        """Asks again until it is known, or not: some shops give up."""
        if what != "ok" and not give_up and time.monotonic() - begun < PATIENCE_S:
            self.at(self.random.uniform(0.3, 1.5), again)

    def place(self, key, body, begun, give_up):
        what, answer, _ = self.caller.command("PlaceOrder", "POST", "/v1/orders", body, key)
        self.settle(what, lambda: self.place(key, body, begun, give_up), begun, give_up)
        self.after(what, answer, key, body)

    def after(self, what, answer, key, body):
        if what != "ok":
            return
        drawn = self.random.random()
        if drawn < 0.05:
            self.at(self.random.uniform(0, 5), lambda: self.caller.command(
                "PlaceOrder", "POST", "/v1/orders", body, key))
        elif drawn < 0.20:
            begun = time.monotonic()
            self.at(self.random.choice((0, 0.1, 0.5, 1, 2)),
                    lambda: self.cancel(answer["order_id"], f"cancel-{key}", begun))

    def cancel(self, order_id, key, begun):
        what, _, _ = self.caller.command("CancelOrder", "POST", f"/v1/orders/{order_id}/cancel",
                                         {"reason": "changed my mind"}, key, order_id)
        self.settle(what, lambda: self.cancel(order_id, key, begun), begun, False)

    def place_batch(self, orders, begun):
        again = []
        for (key, body), (what, answer) in zip(orders, self.caller.batch(orders)):
            self.after(what, answer, key, body)
            if what != "ok" and self.random.random() < 0.9:
                again.append((key, body))
        if again and time.monotonic() - begun < PATIENCE_S:
            self.at(self.random.uniform(0.5, 2), lambda: self.place_batch(again, begun))

    def run(self):
        size = BATCH_LINES if self.batches else 1
        pause_s = size / self.rate
        due = time.monotonic()
        try:
            while not self.stopping.is_set() or self.later:
                while self.later and self.later[0][0] <= time.monotonic():
                    heapq.heappop(self.later)[2]()
                if not self.stopping.is_set() and time.monotonic() >= due:
                    due = max(due + pause_s, time.monotonic() - 1)
                    begun = time.monotonic()
                    if self.batches:
                        self.place_batch([self.draw_order() for _ in range(size)], begun)
                    else:
                        self.place(*self.draw_order(), begun, self.random.random() < 0.15)
                next_at = min(due, self.later[0][0]) if self.later else due
                if self.stopping.is_set() and self.later:
                    next_at = self.later[0][0]
                threading.Event().wait(max(0.002, min(0.2, next_at - time.monotonic())))
        except Exception as failure:  # shown by the main thread
            self.failure = failure


class Load:
    def __init__(self, world, path, seed, rate):
        self.world = world
        self.history = History(path)
        single = min(rate, 40)
        self.shops = [Shops(world, self.history, f"{seed}-{n}", f"{seed}-{n}", single / 4, False)
                      for n in range(4)]
        if rate > single:
            self.shops.append(Shops(world, self.history, f"{seed}-b", f"{seed}-b", rate - single,
                                    True))

    def stock(self):
        caller = Caller(self.world, self.history)

        def certain(kind, method, path, body, key, aggregate):
            wait_until(f"{kind} {aggregate} is not accepted", lambda: caller.command(
                kind, method, path, body, key, aggregate)[0] == "ok", 60)

        for sku in PLENTY + HOT:
            certain("SetProduct", "PUT", f"/v1/products/{quote(sku)}",
                    {"name": sku, "price_minor": 250, "currency": "GBP"}, f"set-{quote(sku)}",
                    f"{sku}")
            certain("ReceiveStock", "POST", f"/v1/inventory/{quote(sku)}/receive",
                    {"quantity": 200 if sku in HOT else 1000000}, f"first-{quote(sku)}", f"{sku}")
        # Until the products have come to the gateway there is nothing to sell.
        body = {"customer_id": "first", "currency": "GBP", "payment_method": "tok_ok",
                "lines": [{"sku": sku, "quantity": 1} for sku in PLENTY + HOT]}
        wait_until("the catalogue does not get to the gateway", lambda: caller.command(
            "PlaceOrder", "POST", "/v1/orders", body, "first")[0] == "ok", 60)

    def start(self):
        for shop in self.shops:
            shop.start()

    def stop(self):
        for shop in self.shops:
            shop.stopping.set()
        for shop in self.shops:
            shop.join(PATIENCE_S + 30)
            if shop.is_alive():
                raise Failed(f"shop {shop.name} never came to an end")

    def check(self):
        for shop in self.shops:
            if shop.failure:
                raise shop.failure
