# SPDX-License-Identifier: Apache-2.0
"""The promises that ../checks.py does not judge yet. Each rule returns what is wrong, in words that
name the order, SKU or command it is about."""

import json
import re
from collections import Counter, defaultdict

from checks import TERMINAL
from checker.ids import derived, of_key

SHOP = "main"
TERMINAL_EVENTS = {"OrderCompleted", "OrderCancelled", "OrderRejected", "OrderExpired"}
APPLIED = {
    "PlaceOrder": {"OrderPlaced"},
    "CancelOrder": {"OrderCancelled"},
    "SetProduct": {"ProductCreated", "ProductChanged"},
    "ReceiveStock": {"StockReceived"},
}
REFUSED = {"OrderCommandRefused", "StockCommandRefused"}
METADATA = re.compile(r"v1 at=(\d+) seq=(\d+) events=(\d+) new=(\d+) by=([0-9a-f]{8})( answered=\S+)?")


# ---- what the clients saw -----------------------------------------------------------------------

class Command:
    """All that the clients know of one key."""

    __slots__ = ("kind", "key", "aggregate", "key_id", "asked", "answers", "command_ids")

    def __init__(self, entry):
        self.kind = entry["kind"]
        self.key = entry["key"]
        self.aggregate = entry.get("aggregate")
        self.key_id = of_key(SHOP, self.kind, self.aggregate, self.key)
        self.asked = 0
        self.answers = Counter()
        self.command_ids = set()


def read_history(path):
    """{key id: Command}; a request without an answer counts as unknown."""
    commands, pending = {}, {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["what"] == "invoke":
                name = entry["kind"], entry["aggregate"], entry["key"]
                command = commands.get(name) or commands.setdefault(name, Command(entry))
                command.asked += 1
                pending[entry["id"]] = command
                continue
            command = pending.pop(entry["id"])
            command.answers[entry["what"]] += 1
            if entry.get("command_id"):
                command.command_ids.add(entry["command_id"])
    for command in pending.values():
        command.answers["unknown"] += 1
    return {command.key_id: command for command in commands.values()}


def outcomes_by_key(fold):
    found = defaultdict(list)
    for topic in ("orders.events", "inventory.events"):
        for record in fold.log[topic]:
            if record.type and record.body.get("key_id"):
                found[record.body["key_id"]].append(record)
    return found


def outcomes(command, found):
    return [r for r in found[command.key_id] if r.type in APPLIED[command.kind] | REFUSED]


def acknowledged_once(fold, commands):
    """I1"""
    found, wrong = outcomes_by_key(fold), []
    for command in commands.values():
        if not command.answers["ok"]:
            continue
        seen = outcomes(command, found)
        applied = [r for r in seen if r.type not in REFUSED]
        if len(command.command_ids) != 1:
            wrong.append(f"{command.kind} {command.key}: one key and content, but command ids "
                         f"{sorted(command.command_ids)}")
        elif not seen:
            wrong.append(f"{command.kind} {command.key} was acknowledged as "
                         f"{next(iter(command.command_ids))} but has no outcome; order or key id "
                         f"{command.aggregate or command.key_id}")
        elif len(applied) > 1 or (applied and len(seen) > 1):
            wrong.append(f"{command.kind} {command.key}: outcomes {[r.type for r in seen]} of "
                         f"{command.aggregate or command.key_id}")
        elif {r.body["causation_id"] for r in seen} != command.command_ids:
            wrong.append(f"{command.kind} {command.key}: answered {command.command_ids}, but "
                         f"{seen[0].body['causation_id']} took effect")
    return wrong


def refused_never(fold, commands):
    """I2: refused means not written; unknown resolves to one outcome."""
    found, wrong = outcomes_by_key(fold), []
    written = Counter(r.body["key_id"] for topic in ("orders.inbox", "inventory.inbox")
                      for r in fold.log[topic] if r.type and "key_id" in r.body)
    for command in commands.values():
        if command.answers["ok"]:
            continue
        seen = outcomes(command, found)
        if not command.answers["unknown"]:
            if seen or written[command.key_id]:
                wrong.append(f"{command.kind} {command.key} was only ever refused, yet stands in the "
                             f"log {written[command.key_id]} times: "
                             f"{command.aggregate or command.key_id}")
        elif len(seen) > 1 or len(seen) != min(1, written[command.key_id]):
            wrong.append(f"{command.kind} {command.key} is unknown to its client and was written "
                         f"{written[command.key_id]} times: outcomes {[r.type for r in seen]} of "
                         f"{command.aggregate or command.key_id}")
    return wrong


# ---- ids and causes -----------------------------------------------------------------------------

def ids_follow_from_causes(fold):
    """I3: every event's id is the one that its cause and version make, in one partition each."""
    wrong = []
    partitions = defaultdict(set)
    for topic in ("orders.events", "inventory.events", "payments.events", "shipping.events"):
        for record in fold.log[topic]:
            if not record.type:
                continue
            body = record.body
            partitions[topic, record.key].add(record.partition)
            if record.type in REFUSED:
                wanted = derived(body["causation_id"], body["occurred_at"])
            else:
                wanted = derived(body["causation_id"], body.get("version", 1))
            if body["event_id"] != wanted:
                wrong.append(f"{topic}[{record.partition}]@{record.offset} {record.type} "
                             f"{body['event_id']} should have the id {wanted}")
    wrong += [f"{topic} {key} lies in partitions {sorted(p)}"
              for (topic, key), p in partitions.items() if len(p) > 1]
    return wrong


def messages(fold, topic, kind, action=None):
    return [r for r in fold.log[topic] if r.type == kind and (not action or r.body["action"] == action)]


def message_ids_are_unique(fold):
    """I4: no message of one domain to another was sent twice."""
    seen = defaultdict(list)
    for topic in ("orders.inbox", "inventory.inbox", "payments.inbox", "shipping.inbox"):
        for record in fold.log[topic]:
            if record.type and "message_id" in record.body:
                seen[record.body["message_id"]].append(record)
    return [f"{where[0].type} {message} of order {where[0].body['order_id']} was sent "
            f"{len(where)} times: {[(r.topic, r.partition, r.offset) for r in where]}"
            for message, where in seen.items() if len(where) > 1]


def requests_are_answered_once(fold):
    """I4: what each request must yield, recomputed."""
    wrong = []
    answers = Counter(r.body["message_id"] for r in fold.log["orders.inbox"]
                      if r.type and r.type.endswith("Answered"))
    effects = Counter((topic, r.body["causation_id"]) for topic in
                      ("inventory.events", "payments.events", "shipping.events")
                      for r in fold.log[topic] if r.type)

    def expect(record, topic, effects_wanted, answers_wanted):
        message = record.body["message_id"]
        got = effects[topic, message], answers[derived(message, 2)]
        if got[0] not in effects_wanted or got[1] not in answers_wanted:
            wrong.append(f"{record.type} {record.body['action']} {message} at {record.topic}"
                         f"[{record.partition}]@{record.offset} of order {record.body['order_id']}: "
                         f"{got[0]} events instead of {effects_wanted}, {got[1]} answers instead of "
                         f"{answers_wanted}")

    for record in messages(fold, "inventory.inbox", "RequestStock"):
        reserve = record.body["action"] == "RESERVE"
        expect(record, "inventory.events", (0, 1), (1,) if reserve else (0,))
    for record in messages(fold, "payments.inbox", "RequestPayment"):
        expect(record, "payments.events", (1,), (1,))
    for record in messages(fold, "shipping.inbox", "RequestShipment"):
        book = record.body["action"] == "BOOK"
        expect(record, "shipping.events", (1,) if book else (0, 1), (1,) if book else (0, 1))
    return wrong


def orders_ask_for_what_they_need(fold):
    """I4: every step of an order sent exactly the messages that belong to it."""
    wrong = []
    sent = defaultdict(Counter)
    for topic in ("inventory.inbox", "payments.inbox", "shipping.inbox"):
        for r in fold.log[topic]:
            if r.type and r.type.startswith("Request"):
                what = r.body["action"], r.body.get("sku")
                sent[r.body["order_id"]][what] += r.body.get("quantity", 1)
    for order_id, record in fold.placed.items():
        names = Counter(r.type for r in fold.orders[order_id])
        quantities = Counter()
        for line in record.body["lines"]:
            quantities[line["sku"]] += line["quantity"]
        wanted = {("RESERVE", sku): q for sku, q in quantities.items()}
        if names["OrderDispatched"]:
            wanted.update({("SELL", sku): q for sku, q in quantities.items()})
        wanted["AUTHORIZE", None] = names["OrderPaymentRequested"]
        wanted["BOOK", None] = names["OrderConfirmed"]
        wanted["DISPATCH", None] = names["OrderDispatchAuthorised"]
        got = sent[order_id]
        kinds = {kind for kind, _ in wanted} | {"SELL"}
        for what in {w for w in got if w[0] in kinds} | wanted.keys():
            if got[what] != wanted.get(what, 0):
                wrong.append(f"order {order_id} asked {got[what]} of {what}, should have "
                             f"{wanted.get(what, 0)}")
    return wrong


def about_no_order(log):
    return {topic: [r for r in records if r.type and not r.body.get("order_id")]
            for topic, records in log.items()}


def causes_are_committed(log, aborted):
    """I5: nothing stands on a record that was aborted and never came again."""
    known, lost = set(), set()
    for records, into in ((log, known), (aborted, lost)):
        for topic in records:
            for r in records[topic]:
                if r.type:
                    into.update(r.body[f] for f in ("event_id", "message_id", "command_id")
                                if f in r.body)
    wrong = []
    for topic, records in log.items():
        for r in records:
            if not r.type or "causation_id" not in r.body or r.body["causation_id"] in known:
                continue
            cause = r.body["causation_id"]
            # A deadline is no record: its id is made of the order and the version it had.
            if topic == "orders.events" and cause == derived(r.body["order_id"],
                                                            r.body.get("version", 0) - 1):
                continue
            if r.type == "Product":
                continue
            wrong.append(f"{topic}[{r.partition}]@{r.offset} {r.type} "
                         f"{r.body.get('order_id') or r.body.get('sku')}: its cause {cause} is "
                         f"{'aborted' if cause in lost else 'in no record'}")
    return wrong


# ---- lives of orders ----------------------------------------------------------------------------

def one_end(fold):
    """I8: one terminal state in time, never both cancelled and dispatched."""
    wrong = []
    for order_id, last in fold.last.items():
        names = Counter(r.type for r in fold.orders[order_id])
        if last["status"] not in TERMINAL | {"NEEDS_ATTENTION"}:
            wrong.append(f"order {order_id} still is {last['status']}")
        if sum(names[n] for n in TERMINAL_EVENTS) > 1:
            wrong.append(f"order {order_id} ended more than once")
        if names["OrderDispatchAuthorised"] and names["OrderCancelled"]:
            wrong.append(f"order {order_id} was cancelled and dispatched")
    wrong += [f"order {o} has events but never was placed" for o, events in fold.orders.items()
              if o not in fold.placed and any(r.type not in REFUSED for r in events)]
    return wrong


def dispatched_parcels(fold, ledger):
    """I8, by the carrier's own books: nothing cancelled is dispatched, nothing twice."""
    wrong = []
    for order_id, last in fold.last.items():
        sent = [e for e in ledger.get(order_id, []) if e[:2] == ("DISPATCH", "DISPATCHED")]
        if len(sent) > 1 or (sent and last["status"] in ("CANCELLED", "REJECTED", "EXPIRED")):
            wrong.append(f"order {order_id} is {last['status']}; the carrier dispatched "
                         f"{len(sent)} times")
    return wrong


def charged_once(fold, ledger):
    """I6: the provider never did one thing twice, under whatever key."""
    wrong = []
    for order_id, entries in ledger.items():
        done = Counter(entry[:2] for entry in entries)
        for what in (("AUTHORIZE", "AUTHORIZED"), ("CAPTURE", "CAPTURED")):
            if done[what] > 1:
                wrong.append(f"order {order_id}: {what[1]} {done[what]} times by the provider")
        if order_id not in fold.placed:
            wrong.append(f"order {order_id} is in the provider's books, but not in the log")
    return wrong


def reservations_end_once(fold):
    """I13: what was reserved for an order was released or sold, once, as its end demands."""
    wrong = []
    for (_, sku), events in fold.skus.items():
        held = {}
        for r in events:
            if r.type not in ("StockReserved", "StockReleased", "StockSold"):
                continue
            order_id, quantity = r.body["order_id"], r.body["quantity"]
            if r.type == "StockReserved":
                if order_id in held:
                    wrong.append(f"{sku}: reserved twice for order {order_id}")
                held[order_id] = quantity
            elif held.get(order_id) != quantity:
                wrong.append(f"{sku}@{r.offset}: {r.type} {quantity} of {held.get(order_id)} for "
                             f"order {order_id}")
            else:
                held[order_id] = 0
                sold = fold.last.get(order_id, {}).get("reservation_status") == "SOLD"
                if sold != (r.type == "StockSold"):
                    wrong.append(f"{sku}@{r.offset}: {r.type} for order {order_id}, whose "
                                 f"reservation is {fold.last.get(order_id, {}).get('reservation_status')}")
        for order_id, quantity in held.items():
            if quantity and fold.last.get(order_id, {}).get("status") in TERMINAL:
                wrong.append(f"{sku}: {quantity} still held for order {order_id}, which is "
                             f"{fold.last[order_id]['status']}")
    return wrong


# ---- positions ----------------------------------------------------------------------------------

def commits_are_numbered(history):
    """I4, I10: every transaction committed an offset with its number; nobody else's came between."""
    wrong = []
    roles = 0
    for (group, topic, partition), commits in history.items():
        if group.startswith("orderlog.projector"):
            continue
        roles += 1
        before = None
        for offset, metadata in commits:
            match = METADATA.fullmatch(metadata)
            if not match or int(match[1]) != offset:
                wrong.append(f"{group} {topic}[{partition}]: offset {offset} with '{metadata}'")
                break
            number = int(match[2])
            if before and (number != before[1] + 1 or offset < before[0]):
                wrong.append(f"{group} {topic}[{partition}]: offset {offset} of transaction "
                             f"{number} after offset {before[0]} of transaction {before[1]}")
            before = offset, number
    return wrong or ([] if roles else ["no offset was ever committed"])


def commands_rows_equal_the_log(fold, sql):
    """I9: order_commands and stock_commands."""
    wrong = []
    for table, topic, refused in (("order_commands", "orders.events", "OrderCommandRefused"),
                                  ("stock_commands", "inventory.events", "StockCommandRefused")):
        expected = {}
        for r in fold.log[topic]:
            if r.type and r.body.get("key_id"):
                expected.setdefault(r.body["causation_id"], (
                    "refused" if r.type == refused else "applied", r.type, r.partition, r.offset))
        rows = {r["command_id"]: (r["outcome"], r["event_type"], r["log_partition"], r["log_offset"])
                for r in sql(f"SELECT command_id, outcome, event_type, log_partition, log_offset "
                             f"FROM {table}")}
        wrong += [f"{table} {c}: {rows.get(c)} in PostgreSQL, {e} by the log"
                  for c, e in expected.items() if rows.get(c) != e]
        wrong += [f"{table} {c}: a row that the log does not have" for c in rows.keys() - expected.keys()]
    return wrong


def projection_offsets_never_went_back(sql):
    """I10, as a trigger wrote it down; without the trigger nothing is known."""
    if not sql("SELECT 1 FROM pg_tables WHERE tablename = 'audit_offsets'"):
        return []
    return [f"projection {r['projection']} {r['topic']}[{r['partition']}] went from {r['was']} to "
            f"{r['became']}" for r in sql("SELECT * FROM audit_offsets WHERE became < was")]
