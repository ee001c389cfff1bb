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
from checker import damage, gather, rules  # noqa: E402
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
                     if r.type == "DeadLetter" and not r.body.get("retry_id"))
    return [f"{place} was set aside {n} times" for place, n in places.items() if n > 1]


def stock_is_conserved(fold):
    """Orders that wait for people still hold what they reserved."""
    if any(last["status"] == "NEEDS_ATTENTION" for last in fold.last.values()):
        return []
    return checks.stock_is_conserved(fold)


def money_is_conserved(fold, ledger):
    return [w for w in checks.money_is_conserved(fold, ledger)
            if fold.last[UUID.search(w)[0]]["status"] != "NEEDS_ATTENTION"]


class Case:
    """All that is known of one run."""

    def __init__(self, options):
        self.registry = Registry(options.registry)
        self.log = gather.gather(options.bootstrap, self.registry)
        self.fold = checks.Fold(self.log.committed)
        self.commands = rules.read_history(options.history) if options.history else {}
        self.bad = read_bad(options.bad)
        self.payments = read_ledger(options.payment_ledger)
        self.parcels = read_ledger(options.carrier_ledger)
        self.commits = gather.committed_offsets(options.bootstrap)
        self.database = Database(options.postgres) if options.postgres else None


PROMISES = {
    "I1 acknowledged commands take effect once": lambda c: rules.acknowledged_once(c.fold, c.commands),
    "I2 refused have no effect, unknown have one at most":
        lambda c: rules.refused_never(c.fold, c.commands),
    "I3 ids unique, versions complete": lambda c: checks.ids_are_unique_and_versions_complete(c.fold),
    "I3 ids follow from their causes": lambda c: rules.ids_follow_from_causes(c.fold),
    "I4 no message is sent twice": lambda c: rules.message_ids_are_unique(c.fold),
    "I4 requests are answered once": lambda c: rules.requests_are_answered_once(c.fold),
    "I4 orders ask for what they need": lambda c: rules.orders_ask_for_what_they_need(c.fold),
    "I4 I10 commits are numbered": lambda c: rules.commits_are_numbered(c.commits),
    "I5 causes are committed": lambda c: rules.causes_are_committed(c.fold, c.log.aborted),
    "I6 nobody is charged twice": lambda c: rules.charged_once(c.fold, c.payments),
    "I6 I13 money is conserved": lambda c: money_is_conserved(c.fold, c.payments),
    "I7 no SKU is oversold": lambda c: checks.no_sku_is_oversold(c.fold),
    "I8 every order ends, once": lambda c: rules.one_end(c.fold),
    "I8 nothing cancelled is dispatched": lambda c: rules.dispatched_parcels(c.fold, c.parcels),
    "I9 orders, order_lines": lambda c: checks.orders_rows_equal_the_fold(c.fold, c.database),
    "I9 order_timeline": lambda c: checks.timeline_rows_equal_the_log(c.fold, c.database),
    "I9 inventory": lambda c: checks.inventory_rows_equal_the_fold(c.fold, c.database),
    "I9 commands": lambda c: rules.commands_rows_equal_the_log(c.fold, c.database.sql),
    "I10 projections never go back":
        lambda c: rules.projection_offsets_never_went_back(c.database.sql),
    "I12 no transaction hangs": lambda c: c.log.hanging,
    "I13 stock is conserved": lambda c: stock_is_conserved(c.fold),
    "I13 reservations end once": lambda c: rules.reservations_end_once(c.fold),
    "I14 bad records are set aside": lambda c: checks.bad_records_are_set_aside(c.fold, c.bad),
    "I14 nothing else is": lambda c: nothing_else_is_set_aside(c.fold, c.registry),
    "I14 and each once": lambda c: letters_come_once(c.fold),
}


def can_judge(case, name):
    if name.startswith(("I9", "I10")):
        return case.database is not None
    return bool(case.payments) or not name.startswith("I6")


def judge(case):
    for name, rule in PROMISES.items():
        if can_judge(case, name):
            yield name, rule(case)


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
    parser.add_argument("--prove", action="store_true",
                        help="then damage what was read, and see that each damage is found")
    options = parser.parse_args()

    started = time.monotonic()
    case = Case(options)
    statuses = Counter(last["status"] for last in case.fold.last.values())
    print(f"{sum(map(len, case.log.committed.values()))} records committed, "
          f"{sum(map(len, case.log.aborted.values()))} aborted, {len(case.log.bad)} no messages; "
          f"{len(case.fold.placed)} orders: {dict(statuses)}")
    broken = report(judge(case), case.log)
    print(f"{broken} violations; judged in {time.monotonic() - started:.0f} s")
    if options.prove and not broken:
        broken = damage.prove(case, PROMISES)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
