# SPDX-License-Identifier: Apache-2.0
"""Shops under chaos: they place orders one by one and in batches, with hot SKUs and difficult ways
to pay, cancel some, send some twice, ask again when they are not answered, or give up. All that
they asked and were told goes into a history file, line by line:

  {"t": 12.3, "id": 7, "what": "invoke", "kind": "PlaceOrder", "key": "…", "aggregate": null}
  {"t": 12.4, "id": 7, "what": "ok|refused|unknown", "status": 202, "order_id": …, "command_id": …}

refused: told that nothing was written (503, 429, 4xx, or there was nobody to connect to).
unknown: 504, or the connection broke.

What goes beyond SINGLE_RATE comes from shops that send batches: what they owe since an outage is in their
next batches, so that the rate that was asked for is the mean of the whole run, outages included.
"""

import heapq
import http.client
import json
import random
import threading
import time
from collections import Counter, deque

from world import Failed, quote, wait_until

METHODS = ("tok_ok",) * 12 + ("tok_decline", "tok_delay_300", "tok_delay_1500", "tok_lost",
                              "tok_timeout")
PLENTY = [f"SKU {n:02}" for n in range(40)]
HOT = [f"HOT-{n}" for n in range(4)]
TIMEOUT_S = 8
SINGLE_RATE = 40  # orders per second that are placed one by one
SINGLE_SHOPS = 4
BATCH_SHOPS = 2
BATCH_LINES = 300  # at most
BATCH_EVERY_S = 0.08
DUE_S = 0.5  # for what was put off, between two new orders
PAUSES_S = (0.2, 0.4, 0.8, 1.6)  # of a shop whose batches are not taken
HOT_AGAIN_S = 15  # there is something to fight for again
PATIENCE_S = 90  # how long a shop goes on asking the same


class History:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.lock = threading.Lock()
        self.started = time.monotonic()
        self.next_id = 0
        self.counts = Counter()

    def _write(self, entry):
        entry["t"] = round(time.monotonic() - self.started, 3)
        self.file.write(json.dumps(entry) + "\n")

    def invoke(self, kind, keys, aggregate=None):
        """The ids of as many requests as there are keys; written down before anything is sent."""
        with self.lock:
            ids = range(self.next_id + 1, self.next_id + 1 + len(keys))
            self.next_id = ids[-1]
            self.counts[kind] += len(keys)
            for request_id, key in zip(ids, keys):
                self._write({"id": request_id, "what": "invoke", "kind": kind, "key": key,
                             "aggregate": aggregate})
            self.file.flush()
            return ids

    def answer(self, request_id, what, status=None, body=None):
        with self.lock:
            self.counts[what] += 1
            self._write({"id": request_id, "what": what, "status": status,
                         "order_id": (body or {}).get("order_id"),
                         "command_id": (body or {}).get("command_id")})

    def close(self):
        with self.lock:
            self.file.close()


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
        request_id, = self.history.invoke(kind, [key], aggregate)
        what, status, data = self.ask(method, path, json.dumps(body), {
            "Content-Type": "application/json", "Idempotency-Key": key}.items())
        answer = json.loads(data) if what == "ok" else None
        self.history.answer(request_id, what, status, answer)
        return what, answer, status

    def batch(self, orders):
        """orders: [(key, body)]; returns [(what, answer)]"""
        ids = self.history.invoke("PlaceOrder", [key for key, _ in orders])
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


class Shop(threading.Thread):
    """One thread of the load. Draws everything from its own seed."""

    def __init__(self, world, history, name, seed, rate):
        super().__init__(daemon=True, name=name)
        self.caller = Caller(world, history)
        self.random = random.Random(seed)
        self.rate = rate
        self.stopping = threading.Event()
        self.failure = None
        self.number = 0
        self.placed = self.acknowledged = 0  # orders, however often each was asked for
        self.later = []  # heap of (due, number, action)

    def draw_order(self, sizes, hot):
        lines = [{"sku": self.random.choice(PLENTY), "quantity": self.random.randint(1, 5)}
                 for _ in range(self.random.choice(sizes))]
        if self.random.random() < hot:
            lines.append({"sku": self.random.choice(HOT), "quantity": self.random.randint(1, 3)})
        self.number += 1
        self.placed += 1
        key = f"{self.name}-{self.number}"
        return key, {"customer_id": f"c-{self.number % 97}", "currency": "GBP", "lines": lines,
                     "payment_method": self.random.choice(METHODS), "reference": key}

    def at(self, delay_s, action):
        self.number += 1
        heapq.heappush(self.later, (time.monotonic() + delay_s, self.number, action))

    def do_what_is_due(self):
        """Some of it: while nobody answers, each takes its time."""
        until = time.monotonic() + DUE_S
        while self.later and self.later[0][0] <= time.monotonic() < until:
            heapq.heappop(self.later)[2]()

    def settle(self, what, again, begun, give_up):
        """Asks again until it is known, or not: some shops give up."""
        if what != "ok" and not give_up and time.monotonic() - begun < PATIENCE_S:
            self.at(self.random.uniform(0.3, 1.5), again)

    def cancel(self, order_id, key, begun):
        what, _, _ = self.caller.command("CancelOrder", "POST", f"/v1/orders/{order_id}/cancel",
                                         {"reason": "changed my mind"}, key, order_id)
        self.settle(what, lambda: self.cancel(order_id, key, begun), begun, False)

    def cancel_soon(self, key, answer):
        begun = time.monotonic()
        self.at(self.random.choice((0, 0.1, 0.5, 1, 2)),
                lambda: self.cancel(answer["order_id"], f"cancel-{key}", begun))

    def run(self):
        try:
            self.trade()
        except Exception as failure:  # shown by the main thread
            self.failure = failure


class SingleShop(Shop):
    """Places orders one by one; what it missed while nobody answered it does not make up for."""

    def place(self, key, body, begun, give_up):
        what, answer, _ = self.caller.command("PlaceOrder", "POST", "/v1/orders", body, key)
        self.settle(what, lambda: self.place(key, body, begun, give_up), begun, give_up)
        if what != "ok":
            return
        self.acknowledged += 1
        drawn = self.random.random()
        if drawn < 0.05:
            self.at(self.random.uniform(0, 5), lambda: self.caller.command(
                "PlaceOrder", "POST", "/v1/orders", body, key))
        elif drawn < 0.20:
            self.cancel_soon(key, answer)

    def more_of_what_is_hot(self, number):
        for sku in HOT:
            self.caller.command("ReceiveStock", "POST", f"/v1/inventory/{sku}/receive",
                                {"quantity": 100}, f"more-{sku}-{number}", sku)
        self.at(HOT_AGAIN_S, lambda: self.stopping.is_set() or self.more_of_what_is_hot(number + 1))

    def trade(self):
        due = time.monotonic()
        while not self.stopping.is_set() or self.later:
            self.do_what_is_due()
            if not self.stopping.is_set() and time.monotonic() >= due:
                due = max(due + 1 / self.rate, time.monotonic() - 1)
                self.place(*self.draw_order((1, 1, 2, 3), 0.3), time.monotonic(),
                           self.random.random() < 0.15)
            next_at = min(due, self.later[0][0]) if self.later else due
            if self.stopping.is_set() and self.later:
                next_at = self.later[0][0]
            threading.Event().wait(max(0.002, min(0.2, next_at - time.monotonic())))


class BatchShop(Shop):
    """Sends what is due since its last batch in one piece: after an outage, all that it owes."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.waiting = deque()  # (key, body, since when) that was not accepted yet

    def owed(self):
        return int((time.monotonic() - self.began) * self.rate) - self.placed

    def next_batch(self):
        batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), BATCH_LINES))]
        if not self.stopping.is_set():
            now = time.monotonic()
            batch += [(*self.draw_order((1, 1, 1, 2), 0.1), now)
                      for _ in range(min(self.owed(), BATCH_LINES - len(batch)))]
        return batch

    def send(self, batch):
        """Whether anything of it was accepted."""
        accepted = 0
        for order, (what, answer) in zip(batch, self.caller.batch([o[:2] for o in batch])):
            key, body, since = order
            if what == "ok":
                accepted += 1
                self.follow(key, body, answer)
            elif time.monotonic() - since < PATIENCE_S and self.random.random() < 0.98:
                self.waiting.append(order)
        self.acknowledged += accepted
        return accepted > 0

    def follow(self, key, body, answer):
        drawn = self.random.random()
        if drawn < 0.02:
            self.at(self.random.uniform(0, 5), lambda: self.caller.batch([(key, body)]))
        elif drawn < 0.05:
            self.cancel_soon(key, answer)

    def trade(self):
        self.began = time.monotonic()
        pauses = 0
        while not self.stopping.is_set() or self.later or self.waiting:
            begun = time.monotonic()
            self.do_what_is_due()
            batch = self.next_batch()
            pauses = 0 if not batch or self.send(batch) else min(pauses + 1, len(PAUSES_S))
            pause_s = PAUSES_S[pauses - 1] if pauses else BATCH_EVERY_S
            threading.Event().wait(max(0.002, begun + pause_s - time.monotonic()))


class Load:
    def __init__(self, world, path, seed, rate):
        self.world = world
        self.history = History(path)
        single = min(rate, SINGLE_RATE)
        self.shops = [SingleShop(world, self.history, f"{seed}-{n}", f"{seed}-{n}",
                                 single / SINGLE_SHOPS) for n in range(SINGLE_SHOPS)]
        if rate > single:
            self.shops += [BatchShop(world, self.history, f"{seed}-b{n}", f"{seed}-b{n}",
                                     (rate - single) / BATCH_SHOPS) for n in range(BATCH_SHOPS)]
        self.shops[0].at(HOT_AGAIN_S, lambda: self.shops[0].more_of_what_is_hot(0))

    def totals(self):
        """(placed, acknowledged): orders, however often each was asked for."""
        return sum(s.placed for s in self.shops), sum(s.acknowledged for s in self.shops)

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
        deadline = time.monotonic() + PATIENCE_S + 60
        for shop in self.shops:
            shop.join(max(0, deadline - time.monotonic()))
            if shop.is_alive():
                raise Failed(f"shop {shop.name} never came to an end")
        self.history.close()

    def check(self):
        for shop in self.shops:
            if shop.failure:
                raise shop.failure
