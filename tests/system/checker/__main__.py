# SPDX-License-Identifier: Apache-2.0
"""Judges a finished run from outside: folds the log from offset 0 and compares it with what the
clients wrote down, with PostgreSQL, and with the books of provider and carrier.

Shares no code with the program: kafka-python, fastavro and psql. Prints which promises hold, and
for what is wrong the smallest story: the order's events with their offsets. Exit status 1: broken.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import checks  # noqa: E402
from checker import gather, rules  # noqa: E402
from reader import Registry  # noqa: E402
from world import Failed  # noqa: E402

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHOWN = 5  # violations of one promise that are told in full


class Database:
    def __init__(self, conninfo):
        self.conninfo = conninfo

    def sql(self, query):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-At", self.conninfo],
                              input=f"SELECT row_to_json(q) FROM ({query}) AS q", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]


def read_ledger(path):
    return checks.read_ledger(Path(path).read_text()) if path and Path(path).exists() else {}


def read_bad(path):
    """{topic: {(partition, offset)}} of records that were put there to be set aside."""
    if not path:
        return {}
    return {topic: {tuple(place) for place in places}
            for topic, places in json.loads(Path(path).read_text()).items()}


def nothing_else_is_set_aside(fold, registry):
    """I14: the only dead letters are those of bytes that are no message."""
    wrong = []
    for domain in gather.DOMAINS:
        for r in fold.log[f"{domain}.deadletters"]:
            if r.type == "DeadLetter" and registry.decode(r.body["value"]):
                wrong.append(f"{r.body['topic']}[{r.body['partition']}]@{r.body['offset']} "
                             f"index {r.body['index']} was set aside: {r.body['error']}")
    return wrong


def letters_come_once(fold):
    """I14, I4"""
    places = Counter((r.body["topic"], r.body["partition"], r.body["offset"], r.body["index"])
                     for domain in gather.DOMAINS for r in fold.log[f"{domain}.deadletters"]
                     if r.type == "DeadLetter")
    return [f"{place} was set aside {n} times" for place, n in places.items() if n > 1]


def stock_is_conserved(fold):
    """Orders that wait for people still hold what they reserved."""
    if any(last["status"] == "NEEDS_ATTENTION" for last in fold.last.values()):
        return []
    return checks.stock_is_conserved(fold)


def money_is_conserved(fold, ledger):
    return [w for w in checks.money_is_conserved(fold, ledger)
            if fold.last[UUID.search(w)[0]]["status"] != "NEEDS_ATTENTION"]


def promises(log, fold, registry, database, options):
    commands = rules.read_history(options.history) if options.history else {}
    bad = read_bad(options.bad)
    payments, parcels = read_ledger(options.payment_ledger), read_ledger(options.carrier_ledger)
    yield "I1 acknowledged commands take effect once", rules.acknowledged_once(fold, commands)
    yield "I2 refused have no effect, unknown have one at most", rules.refused_never(fold, commands)
    yield "I3 ids unique, versions complete", checks.ids_are_unique_and_versions_complete(fold)
    yield "I3 ids follow from their causes", rules.ids_follow_from_causes(fold)
    yield "I4 no message is sent twice", rules.message_ids_are_unique(fold)
    yield "I4 requests are answered once", rules.requests_are_answered_once(fold)
    yield "I4 orders ask for what they need", rules.orders_ask_for_what_they_need(fold)
    yield "I4 I10 commits are numbered", rules.commits_are_numbered(
        gather.committed_offsets(options.bootstrap))
    yield "I5 causes are committed", rules.causes_are_committed(fold, log.aborted)
    if payments:
        yield "I6 nobody is charged twice", rules.charged_once(fold, payments)
        yield "I6 I13 money is conserved", money_is_conserved(fold, payments)
    yield "I7 no SKU is oversold", checks.no_sku_is_oversold(fold)
    yield "I8 every order ends, once", rules.one_end(fold)
    yield "I8 nothing cancelled is dispatched", rules.dispatched_parcels(fold, parcels)
    if database:
        yield "I9 orders, order_lines", checks.orders_rows_equal_the_fold(fold, database)
        yield "I9 order_timeline", checks.timeline_rows_equal_the_log(fold, database)
        yield "I9 inventory", checks.inventory_rows_equal_the_fold(fold, database)
        yield "I9 commands", rules.commands_rows_equal_the_log(fold, database.sql)
        yield "I10 projections never go back", rules.projection_offsets_never_went_back(database.sql)
    yield "I12 no transaction hangs", log.hanging
    yield "I13 stock is conserved", stock_is_conserved(fold)
    yield "I13 reservations end once", rules.reservations_end_once(fold)
    yield "I14 bad records are set aside", checks.bad_records_are_set_aside(fold, bad)
    yield "I14 nothing else is", nothing_else_is_set_aside(fold, registry)
    yield "I14 and each once", letters_come_once(fold)


# ---- the story of what is wrong -----------------------------------------------------------------

def index_by_order(log):
    found = defaultdict(list)
    for mark, records in ((" ", log.committed), ("aborted", log.aborted)):
        for topic in records:
            for r in records[topic]:
                if r.type and r.body.get("order_id"):
                    found[r.body["order_id"]].append((mark, r))
    return found


def tell(order_id, by_order):
    for mark, r in by_order[order_id]:
        facts = {k: v for k, v in r.body.items() if k in (
            "version", "status", "action", "result", "sku", "quantity", "attempt", "event_id",
            "message_id", "command_id", "causation_id")}
        print(f"      {mark} {r.topic}[{r.partition}]@{r.offset} {r.type} {facts}")


def report(results, log):
    broken, by_order = 0, None
    for name, wrong in results:
        print(f"{'BROKEN' if wrong else 'holds '} {name}" + (f": {len(wrong)}" if wrong else ""),
              flush=True)
        for text in wrong[:SHOWN]:
            print(f"    {text}")
            by_order = by_order or index_by_order(log)
            for order_id in {u for u in UUID.findall(text) if u in by_order}:
                tell(order_id, by_order)
        broken += len(wrong)
    return broken


def main():
    parser = argparse.ArgumentParser(prog="checker", description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--postgres", help="libpq connection string; without it no I9, I10")
    parser.add_argument("--history", help="what the clients saw: see ../README.md")
    parser.add_argument("--bad", help="JSON: topic → [[partition, offset], …] of bad records")
    parser.add_argument("--payment-ledger")
    parser.add_argument("--carrier-ledger")
    options = parser.parse_args()

    started = time.monotonic()
    registry = Registry(options.registry)
    log = gather.gather(options.bootstrap, registry)
    fold = checks.Fold(log.committed)
    statuses = Counter(last["status"] for last in fold.last.values())
    print(f"{sum(map(len, log.committed.values()))} records committed, "
          f"{sum(map(len, log.aborted.values()))} aborted, {len(log.bad)} no messages; "
          f"{len(fold.placed)} orders: {dict(statuses)}")
    database = Database(options.postgres) if options.postgres else None
    broken = report(promises(log, fold, registry, database, options), log)
    print(f"{broken} violations; judged in {time.monotonic() - started:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
