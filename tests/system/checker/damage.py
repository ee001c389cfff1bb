# SPDX-License-Identifier: Apache-2.0
"""Proves that the checker sees: damages a copy of what was read of a sound run, one fact at a time, and
has the promise judged that must notice."""

import copy
import uuid
from collections import Counter

import checks


def first(records, wanted):
    return next(i for i, r in enumerate(records) if r.type and wanted(r))


class Damage:
    """A copy of the case in which one topic may be changed."""

    def __init__(self, case):
        self.case = copy.copy(case)
        self.log = dict(case.fold.log)

    def judged(self, rule):
        self.case.fold = checks.Fold(self.log)
        self.case.log = self.case.log._replace(committed=self.log)
        return rule(self.case)

    def drop(self, topic, wanted):
        records = list(self.log[topic])
        del records[first(records, wanted)]
        self.log[topic] = records

    def repeat(self, topic, wanted):
        records = self.log[topic]
        self.log[topic] = records + [records[first(records, wanted)]]

    def change(self, topic, wanted, **fields):
        records = list(self.log[topic])
        at = first(records, wanted)
        records[at] = records[at]._replace(body={**records[at].body, **fields})
        self.log[topic] = records


def of(kind, **fields):
    return lambda r: r.type == kind and all(r.body[k] == v for k, v in fields.items())


def extra_entry(damage, book, entry):
    """One more line in somebody's books, for an order that has one like it."""
    entries = dict(getattr(damage.case, book))
    order_id = next(o for o, lines in entries.items() if any(e[:2] == entry for e in lines))
    entries[order_id] = entries[order_id] + [e for e in entries[order_id] if e[:2] == entry][:1]
    setattr(damage.case, book, entries)


def answers_become(damage, before, after):
    """What the client of one effective command was told."""
    key_id, command = next((k, c) for k, c in damage.case.commands.items()
                           if c.answers[before] and c.kind == "PlaceOrder")
    command = copy.copy(command)
    command.answers = Counter({after: 1})
    damage.case.commands = {**damage.case.commands, key_id: command}


def one_commit_less(damage):
    commits = dict(damage.case.commits)
    place = next(k for k, v in commits.items()
                 if not k[0].startswith("orderlog.projector") and len(v) > 3)
    commits[place] = commits[place][:1] + commits[place][2:]
    damage.case.commits = commits


def letter(damage, copies, value=None):
    """A dead letter that has no cause: a good message, or the same twice."""
    record = damage.log["inventory.events"][0]
    body = {"topic": "orders.inbox", "partition": 0, "offset": 10**9, "index": -1, "error": "none",
            "failed_at": 0, "key": None, "value": value}
    damage.log["orders.deadletters"] = damage.log["orders.deadletters"] + [
        record._replace(topic="orders.deadletters", type="DeadLetter", body=body)] * copies


class AnythingDecodes:
    @staticmethod
    def decode(value):
        return value and ("PlaceOrder", {})


def good_letter(damage):
    damage.case.registry = AnythingDecodes
    letter(damage, 1, b"a good message")


def missing_letter(damage):
    damage.case.bad = {"orders.inbox": {(0, 10**9)}}


STRANGER = str(uuid.UUID(int=0))
EVENTS, INBOX, STOCK = "orders.events", "orders.inbox", "inventory.events"
DAMAGES = [
    ("an acknowledged order is lost", "I1 ack", lambda d: d.drop(EVENTS, of("OrderPlaced"))),
    ("a placed order was refused", "I2", lambda d: answers_become(d, "ok", "refused")),
    ("an order misses a version", "I3 ids unique", lambda d: d.drop(EVENTS, of("OrderConfirmed"))),
    ("an event comes twice", "I3 ids unique", lambda d: d.repeat(STOCK, of("StockSold"))),
    ("a payment's event comes twice", "I3 ids unique",
     lambda d: d.repeat("payments.events", of("PaymentCaptured"))),
    ("an id is made up", "I3 ids follow",
     lambda d: d.change(EVENTS, of("OrderConfirmed"), event_id=STRANGER)),
    ("an answer is sent twice", "I4 no message", lambda d: d.repeat(INBOX, of("StockAnswered"))),
    ("an answer is lost", "I4 requests", lambda d: d.drop(INBOX, of("PaymentAnswered"))),
    ("an effect is not told", "I4 requests",
     lambda d: d.drop("payments.events", of("PaymentAuthorized"))),
    ("a reservation is never asked for", "I4 orders ask",
     lambda d: d.drop("inventory.inbox", of("RequestStock", action="RESERVE"))),
    ("a booking is asked for twice", "I4 orders ask",
     lambda d: d.repeat("shipping.inbox", of("RequestShipment", action="BOOK"))),
    ("a commit is missing", "I4 I10", one_commit_less),
    ("an event has no cause", "I5", lambda d: d.change(EVENTS, of("OrderConfirmed"),
                                                       causation_id=STRANGER)),
    ("an order is charged twice", "I6 nobody",
     lambda d: extra_entry(d, "payments", ("AUTHORIZE", "AUTHORIZED"))),
    ("an order is captured twice", "I6 I13",
     lambda d: extra_entry(d, "payments", ("CAPTURE", "CAPTURED"))),
    ("a SKU is oversold", "I7", lambda d: d.change(STOCK, of("StockReserved"), reserved=10**9)),
    ("an order does not end", "I8 every", lambda d: d.drop(EVENTS, of("OrderCompleted"))),
    ("an order ends twice", "I8 every", lambda d: d.repeat(EVENTS, of("OrderCompleted"))),
    ("a parcel leaves twice", "I8 nothing",
     lambda d: extra_entry(d, "parcels", ("DISPATCH", "DISPATCHED"))),
    ("a row has another total", "I9 orders",
     lambda d: d.change(EVENTS, of("OrderPlaced"), total_minor=1)),
    ("a row is of another event", "I9 order_timeline",
     lambda d: d.change(EVENTS, of("OrderPlaced"), event_id=STRANGER)),
    ("a SKU's row is old", "I9 inventory", lambda d: d.change(STOCK, of("ProductCreated"), name="x")),
    ("a command has no row", "I9 commands",
     lambda d: d.change(EVENTS, of("OrderPlaced"), causation_id=STRANGER)),
    ("stock comes from nowhere", "I13 stock",
     lambda d: d.change(STOCK, of("StockReceived"), quantity=1)),
    ("a release is lost", "I13 reservations", lambda d: d.drop(STOCK, of("StockReleased"))),
    ("a bad record vanishes", "I14 bad", missing_letter),
    ("a good message is set aside", "I14 nothing", good_letter),
    ("a bad record is set aside twice", "I14 and", lambda d: letter(d, 2)),
]


def prove(cases):
    """cases: [(promises, case)]. Returns how many damages nobody noticed."""
    seen = 0
    for what, prefix, inflict in DAMAGES:
        name, rule, case = next((n, rule, case) for promises, case in cases
                                for n, rule in promises.items() if n.startswith(prefix))
        damage = Damage(case)
        inflict(damage)
        if damage.judged(rule):
            seen += 1
        else:
            print(f"NOT SEEN: {what}, by {name}")
    print(f"the checker sees {seen} of {len(DAMAGES)} damages")
    return len(DAMAGES) - seen
