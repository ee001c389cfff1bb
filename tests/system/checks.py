# SPDX-License-Identifier: Apache-2.0
"""The promises, checked on what an independent reader found in the log and on psql's rows.

Each check returns a list of what is wrong, empty when the promise holds."""

from collections import Counter, defaultdict

TERMINAL = {"COMPLETED", "CANCELLED", "REJECTED", "EXPIRED"}
MAIN = "main"


def versioned(records):
    """Events of a topic that carry a version, in offset order per key."""
    return [r for r in records if r.type and "version" in r.body]


class Fold:
    """The log by aggregate: what every check below stands on."""

    def __init__(self, log):
        self.log = log
        self.orders = defaultdict(list)
        self.skus = defaultdict(list)
        self.by_cause = defaultdict(list)
        for record in log["orders.events"]:
            if record.type:
                self.by_cause[record.body["causation_id"]].append(record)
                self.orders[record.body["order_id"]].append(record)
        for record in log["inventory.events"]:
            if record.type:
                self.by_cause[record.body["causation_id"]].append(record)
                self.skus[record.body["shop_id"], record.body["sku"]].append(record)
        self.placed = {o: e[0] for o, e in self.orders.items() if e[0].type == "OrderPlaced"}
        self.last = {o: [r for r in self.orders[o] if "version" in r.body][-1].body
                     for o in self.placed}


def acknowledged_commands_take_effect_once(fold, acknowledged):
    """I1: acknowledged is {command id: record types of which exactly one must have happened}."""
    wrong = []
    for command_id, types in acknowledged.items():
        outcomes = [r.type for r in fold.by_cause[command_id] if r.type in types]
        if len(outcomes) != 1:
            wrong.append(f"command {command_id}: {outcomes} instead of exactly one of {types}")
    return wrong


def file_orders_are_placed_once(fold, file_orders):
    """I1: file_orders is {reference: (customer, lines)}; lines None where it must be refused."""
    wrong = []
    placed = defaultdict(list)
    for order_id, record in fold.placed.items():
        placed[record.body["reference"]].append(record.body)
    for reference, (customer, lines) in file_orders.items():
        found = placed.get(reference, [])
        if lines is None:
            if found:
                wrong.append(f"order {reference} should have been refused")
        elif len(found) != 1:
            wrong.append(f"order {reference} was placed {len(found)} times")
        elif found[0]["customer_id"] != customer or lines != [
                (l["sku"], l["quantity"], l["unit_price_minor"]) for l in found[0]["lines"]]:
            wrong.append(f"order {reference} was placed with other content")
    return wrong


def ids_are_unique_and_versions_complete(fold, of=("orders", "skus")):
    """I3; of what is there whole."""
    wrong = []
    seen = Counter(r.body["event_id"] for topic in fold.log if topic.endswith(".events")
                   for r in fold.log[topic] if r.type)
    wrong += [f"event {e} occurs {n} times" for e, n in seen.items() if n > 1]
    for aggregates in (getattr(fold, name) for name in of):
        for name, events in aggregates.items():
            versions = [r.body["version"] for r in events if "version" in r.body]
            if versions != list(range(1, len(versions) + 1)):
                wrong.append(f"{name}: versions {versions[:50]}")
    return wrong


def no_sku_is_oversold(fold):
    """I7, and each level follows from its event."""
    wrong = []
    for name, events in fold.skus.items():
        on_hand = reserved = sold = 0
        for record in events:
            body = record.body
            if "version" not in body:
                continue
            change = body.get("quantity", body.get("delta", 0))
            if record.type in ("StockReceived", "StockAdjusted"):
                on_hand += change
            elif record.type == "StockReserved":
                reserved += change
            elif record.type == "StockReleased":
                reserved -= change
            elif record.type == "StockSold":
                on_hand, reserved, sold = on_hand - change, reserved - change, sold + change
            levels = (body["on_hand"], body["reserved"], body["sold"])
            if levels != (on_hand, reserved, sold) or not 0 <= reserved <= on_hand:
                wrong.append(f"{name} version {body['version']}: {levels}, "
                             f"by its events {(on_hand, reserved, sold)}")
                break
    return wrong


def every_order_ends(fold):
    """I8, as far as one run can show it."""
    return [f"order {o} is {last['status']}" for o, last in fold.last.items()
            if last["status"] not in TERMINAL]


def compare(name, expected, rows):
    wrong = [f"{name} {k}: {rows.get(k)} in PostgreSQL, {v} by the log"
             for k, v in expected.items() if rows.get(k) != v]
    return wrong + [f"{name} {k}: a row that the log does not have" for k in rows.keys() - expected.keys()]


def orders_rows_equal_the_fold(fold, world):
    """I9."""
    expected = {}
    lines = {}
    for order_id, record in fold.placed.items():
        placed, last = record.body, fold.last[order_id]
        captured = sum(r.body["amount_minor"] for r in fold.orders[order_id]
                       if r.type == "OrderPaymentCaptured")
        expected[order_id] = (
            placed["shop_id"], placed["customer_id"], placed["reference"], placed["currency"],
            last["version"], last["status"], last["reservation_status"], last["payment_status"],
            last["shipment_status"], len(placed["lines"]), placed["total_minor"], captured)
        for number, line in enumerate(placed["lines"], 1):
            lines[order_id, number] = (line["sku"], line["quantity"], line["unit_price_minor"],
                                       line["price_version"])
    columns = ("shop_id", "customer_id", "reference", "currency", "version", "status",
               "reservation_status", "payment_status", "shipment_status", "lines_count",
               "total_minor", "captured_minor")
    rows = {r["order_id"]: tuple(r[c] for c in columns)
            for r in world.sql(f"SELECT order_id, {', '.join(columns)} FROM orders")}
    line_rows = {(r["order_id"], r["line_no"]):
                 (r["sku"], r["quantity"], r["unit_price_minor"], r["price_version"])
                 for r in world.sql("SELECT * FROM order_lines")}
    return compare("orders", expected, rows) + compare("order_lines", lines, line_rows)


def timeline_rows_equal_the_log(fold, world):
    """I9."""
    expected = {(r.partition, r.offset): (r.body["order_id"], r.type, r.body.get("version"),
                                          r.body.get("status"), r.body["event_id"])
                for events in fold.orders.values() for r in events}
    rows = {(r["log_partition"], r["log_offset"]):
            (r["order_id"], r["type"], r["version"], r["status"], r["event_id"])
            for r in world.sql("SELECT order_id, log_partition, log_offset, type, version, status, "
                               "event_id FROM order_timeline")}
    return compare("order_timeline", expected, rows)


def inventory_rows_equal_the_fold(fold, world):
    """I9."""
    expected = {}
    for name, events in fold.skus.items():
        events = [r for r in events if "version" in r.body]
        if not events:
            continue
        last = events[-1].body
        product = [r.body for r in events if r.type.startswith("Product")][-1]
        expected[name] = (last["version"], product["name"], product["price_minor"],
                          product["price_version"], last["on_hand"], last["reserved"], last["sold"])
    rows = {(r["shop_id"], r["sku"]): (r["version"], r["name"], r["price_minor"],
                                       r["price_version"], r["on_hand"], r["reserved"], r["sold"])
            for r in world.sql("SELECT * FROM inventory")}
    return compare("inventory", expected, rows)


def read_ledger(text):
    """{order id: [(action, result, amount)]}"""
    ledger = defaultdict(list)
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 6:
            ledger[fields[2]].append((fields[3], fields[4], int(fields[5])))
    return ledger


def money_is_conserved(fold, ledger):
    """I6 and I13: the provider's own books against the orders."""
    wrong = []
    for order_id, last in fold.last.items():
        total = fold.placed[order_id].body["total_minor"]
        entries = ledger.get(order_id, [])
        captured = [a for action, result, a in entries if (action, result) == ("CAPTURE", "CAPTURED")]
        held = any((action, result) == ("AUTHORIZE", "AUTHORIZED") for action, result, _ in entries)
        voided = any((action, result) == ("VOID", "VOIDED") for action, result, _ in entries)
        if last["status"] == "COMPLETED" and captured != [total]:
            wrong.append(f"order {order_id} is COMPLETED with total {total}, captured {captured}")
        if last["status"] != "COMPLETED" and captured:
            wrong.append(f"order {order_id} is {last['status']}, yet {captured} was captured")
        if last["status"] != "COMPLETED" and held and not voided:
            wrong.append(f"order {order_id} is {last['status']}, yet its money is still held")
    return wrong


def sold_by_orders(fold):
    """{(shop, SKU): quantity}"""
    sold = Counter()
    for order_id, last in fold.last.items():
        if last["reservation_status"] == "SOLD":
            for line in fold.placed[order_id].body["lines"]:
                sold[fold.placed[order_id].body["shop_id"], line["sku"]] += line["quantity"]
    return sold


def stock_is_conserved(fold, sold=None):
    """I13: every SKU's figures against the orders that have it, or what was added up of them."""
    wrong = []
    sold = sold_by_orders(fold) if sold is None else sold
    for name, events in fold.skus.items():
        came = sum(r.body.get("quantity", r.body.get("delta", 0)) for r in events
                   if r.type in ("StockReceived", "StockAdjusted"))
        levels = [r.body for r in events if "version" in r.body]
        if not levels:
            continue
        last = levels[-1]
        if came != last["on_hand"] + last["sold"] or last["sold"] != sold[name] or last["reserved"]:
            wrong.append(f"{name}: {came} came, on hand {last['on_hand']}, reserved "
                         f"{last['reserved']}, sold {last['sold']}, dispatched {sold[name]}")
    return wrong


def bad_records_are_set_aside(fold, bad):
    """I14: bad is {topic: {(partition, offset)}}; those in an inbox must be among the dead letters."""
    wrong = []
    for topic, places in bad.items():
        if not topic.endswith(".inbox"):
            continue
        letters = {(r.body["partition"], r.body["offset"])
                   for r in fold.log[topic.replace(".inbox", ".deadletters")]
                   if r.type == "DeadLetter" and r.body["topic"] == topic}
        wrong += [f"{topic}{list(p)} is in no dead letter" for p in places - letters]
    return wrong
