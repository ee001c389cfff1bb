# SPDX-License-Identifier: Apache-2.0
"""Judges a finished run from outside: folds the log from offset 0 and compares it with what the
clients wrote down, with PostgreSQL, and with the books of provider and carrier.

Shares no code with the program: kafka-python, fastavro and psql. Prints which promises hold, and
for what is wrong the smallest story: the order's events with their offsets. Exit status 1: broken.
Memory is bounded: see gather.py for the shares in which a run is read and judged.
"""

import argparse
import gc
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import checks  # noqa: E402
from checker import damage, gather, rules  # noqa: E402
from checker.gather import STOCK, Shares  # noqa: E402
from reader import Registry  # noqa: E402
from world import Failed  # noqa: E402

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHOWN = 5  # violations of one promise that are told in full, of each share
SHARE_OFFSETS = 400000  # of the log; so many need about a gigabyte
READ_S = 900  # for the whole log
PROCESSES = min(4, os.cpu_count())
BY_ORDER = ("orders", "order_lines", "order_timeline", "order_commands")
BY_SKU = ("inventory", "stock_commands")


class Database:
    """The rows of one share, under the tables' own names; without a share all of them."""

    def __init__(self, conninfo, share=None):
        self.conninfo = conninfo
        self.views = ""
        if share is None:
            return
        by_order = by_sku = "false"
        if share.kind == STOCK:
            by_sku = f"('x' || left(md5(sku), 4))::bit(16)::int * {share.count} >> 16 = {share.number}"
        else:
            first, end = share.ids()
            by_order = f"order_id >= '{first}'" + (f" AND order_id < '{end}'" if end else "")
        for tables, own in ((BY_ORDER, by_order), (BY_SKU, by_sku)):
            for table in tables:
                self.views += f"CREATE TEMP VIEW {table} AS SELECT * FROM public.{table} WHERE {own};\n"

    def sql(self, query):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-At", self.conninfo],
                              input=f"{self.views}SELECT row_to_json(q) FROM ({query}) AS q",
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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


def read_foreign(path):
    """{(group, topic, partition): {(offset, metadata)}} of commits that no worker made."""
    found = defaultdict(set)
    for group, topic, partition, offset, metadata in json.loads(Path(path).read_text()) if path else ():
        found[group, topic, partition].add((offset, metadata))
    return found


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


def stock_is_conserved(fold, outcome):
    """Orders that wait for people still hold what they reserved."""
    return [] if outcome.statuses["NEEDS_ATTENTION"] else checks.stock_is_conserved(fold, outcome.sold)


def money_is_conserved(fold, ledger):
    return [w for w in checks.money_is_conserved(fold, ledger)
            if fold.last[UUID.search(w)[0]]["status"] != "NEEDS_ATTENTION"]


class Outcome:
    """What the shares of orders add up to."""

    def __init__(self):
        self.statuses, self.sold, self.violations = Counter(), Counter(), Counter()
        self.told = defaultdict(list)  # by promise

    def add(self, other):
        self.statuses += other.statuses
        self.sold += other.sold
        self.violations.update(other.violations)
        for name, stories in other.told.items():
            self.told[name] += stories


class Run:
    """What is known of the run as a whole; the processes that judge are forked with it."""

    def __init__(self, options, folder, shares, reads, commits):
        self.options, self.folder, self.shares, self.commits = options, folder, shares, commits
        self.hanging = [f"{r.topic}[{r.partition}]: last stable offset {r.stable}, end {r.end}"
                        for r in reads if r.stable != r.end]
        self.commands = defaultdict(dict)
        if options.history:
            for key_id, command in rules.read_history(options.history).items():
                self.commands[self.share_of(command)][key_id] = command
        self.bad = read_bad(options.bad)
        self.payments = self.in_shares(read_ledger(options.payment_ledger))
        self.parcels = self.in_shares(read_ledger(options.carrier_ledger))
        self.outcome = Outcome()

    def share_of(self, command):
        order_id = {"PlaceOrder": command.key_id, "CancelOrder": command.aggregate}.get(command.kind)
        return self.shares.of_order(order_id) if order_id else self.shares.of_sku(command.aggregate)

    def in_shares(self, ledger):
        found = defaultdict(dict)
        for order_id, entries in ledger.items():
            found[self.shares.of_order(order_id)][order_id] = entries
        return found

    def orders_as_told(self):
        """Of all orders that were asked for, what their clients know."""
        told = Counter()
        for commands in self.commands.values():
            for command in commands.values():
                if command.kind == "PlaceOrder":
                    told["placed"] += 1
                    told[next((name for answer, name in (
                        ("ok", "acknowledged"), ("unknown", "unknown")) if command.answers[answer]),
                        "refused")] += 1
        return told


class Case:
    """All that is known of one share of a run."""

    def __init__(self, run, share):
        options = run.options
        self.share, self.run = share, run
        self.registry = Registry(options.registry)
        self.log = gather.load_share(run.folder, share)
        self.fold = checks.Fold(self.log.committed)
        self.commands = run.commands[share]
        self.bad = run.bad if share == run.shares.of_sku(None) else {}
        self.commits = run.commits
        self.payments, self.parcels = run.payments[share], run.parcels[share]
        self.database = Database(options.postgres, share) if options.postgres else None


# What is judged of every share of orders, of the stock, and of the run.
ORDERS_PROMISES = {
    "I1 acknowledged commands take effect once": lambda c: rules.acknowledged_once(c.fold, c.commands),
    "I2 refused have no effect, unknown have one at most":
        lambda c: rules.refused_never(c.fold, c.commands),
    "I3 ids unique, versions complete":
        lambda c: checks.ids_are_unique_and_versions_complete(c.fold, ("orders",)),
    "I3 ids follow from their causes": lambda c: rules.ids_follow_from_causes(c.fold),
    "I4 no message is sent twice": lambda c: rules.message_ids_are_unique(c.fold),
    "I4 requests are answered once": lambda c: rules.requests_are_answered_once(c.fold),
    "I4 orders ask for what they need": lambda c: rules.orders_ask_for_what_they_need(c.fold),
    "I5 causes are committed": lambda c: rules.causes_are_committed(c.fold.log, c.log.aborted),
    "I6 nobody is charged twice": lambda c: rules.charged_once(c.fold, c.payments),
    "I6 I13 money is conserved": lambda c: money_is_conserved(c.fold, c.payments),
    "I8 every order ends, once": lambda c: rules.one_end(c.fold),
    "I8 nothing cancelled is dispatched": lambda c: rules.dispatched_parcels(c.fold, c.parcels),
    "I9 orders, order_lines": lambda c: checks.orders_rows_equal_the_fold(c.fold, c.database),
    "I9 order_timeline": lambda c: checks.timeline_rows_equal_the_log(c.fold, c.database),
    "I9 commands": lambda c: rules.commands_rows_equal_the_log(c.fold, c.database.sql),
    "I13 reservations end once": lambda c: rules.reservations_end_once(c.fold),
}
STOCK_PROMISES = {
    "I1 acknowledged commands take effect once": ORDERS_PROMISES[
        "I1 acknowledged commands take effect once"],
    "I2 refused have no effect, unknown have one at most": ORDERS_PROMISES[
        "I2 refused have no effect, unknown have one at most"],
    "I3 ids unique, versions complete":
        lambda c: checks.ids_are_unique_and_versions_complete(c.fold, ("skus",)),
    "I3 ids follow from their causes": ORDERS_PROMISES["I3 ids follow from their causes"],
    "I5 causes are committed": lambda c: rules.causes_are_committed(
        rules.about_no_order(c.fold.log), c.log.aborted),
    "I7 no SKU is oversold": lambda c: checks.no_sku_is_oversold(c.fold),
    "I9 inventory": lambda c: checks.inventory_rows_equal_the_fold(c.fold, c.database),
    "I9 commands": ORDERS_PROMISES["I9 commands"],
    "I13 stock is conserved": lambda c: stock_is_conserved(c.fold, c.run.outcome),
    "I14 bad records are set aside": lambda c: checks.bad_records_are_set_aside(c.fold, c.bad),
    "I14 nothing else is": lambda c: nothing_else_is_set_aside(c.fold, c.registry),
    "I14 and each once": lambda c: letters_come_once(c.fold),
}
RUN_PROMISES = {
    "I4 I10 commits are numbered": lambda c: rules.commits_are_numbered(c.commits),
    "I10 projections never go back": lambda c: rules.projection_offsets_never_went_back(
        Database(c.options.postgres).sql),
    "I12 no transaction hangs": lambda c: c.hanging,
}


def can_judge(run, name):
    if name.startswith(("I9", "I10")):
        return run.options.postgres is not None
    return any(run.payments.values()) or not name.startswith("I6")


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
        yield f"      {mark} {r.topic}[{r.partition}]@{r.offset} {r.type} {facts}"


def judge(run, promises, case, log=None):
    """The outcome: how often each promise is broken, with a few stories."""
    outcome, by_order = Outcome(), None
    for name, rule in promises.items():
        if not can_judge(run, name):
            continue
        wrong = rule(case)
        outcome.violations[name] += len(wrong)
        for text in wrong[:SHOWN]:
            outcome.told[name].append(f"    {text}")
            if log:
                by_order = by_order or index_by_order(log)
                for order_id in {u for u in UUID.findall(text) if u in by_order}:
                    outcome.told[name] += tell(order_id, by_order)
    return outcome


the_run = None  # of the processes that are forked to judge


def judge_share(share):
    case = Case(the_run, share)
    if share.kind == STOCK:
        return judge(the_run, STOCK_PROMISES, case, case.log)
    outcome = judge(the_run, ORDERS_PROMISES, case, case.log)
    outcome.statuses.update(last["status"] for last in case.fold.last.values())
    outcome.sold.update(checks.sold_by_orders(case.fold))
    return outcome


def report(outcome):
    for name, count in sorted(outcome.violations.items(), key=lambda v: int(v[0].split()[0][1:])):
        print(f"{'BROKEN' if count else 'holds '} {name}" + (f": {count}" if count else ""))
        for line in outcome.told[name]:
            print(line)
    sys.stdout.flush()


def by_promise(violations):
    """What is broken by what was promised: I1, I2, …"""
    found = Counter()
    for name, count in violations.items():
        for promise in re.findall(r"I\d+", name):
            found[promise] += count
    return dict(sorted(found.items(), key=lambda v: int(v[0][1:])))


def read(options, folder, started):
    ends = gather.end_offsets(options.bootstrap)
    shares = Shares(1, 1) if options.prove else Shares(
        sum(ends.values()) // SHARE_OFFSETS + 1,
        sum(end for (topic, _), end in ends.items() if topic == "inventory.events") // SHARE_OFFSETS + 1)
    with multiprocessing.Pool(PROCESSES, maxtasksperchild=1) as pool:
        commits = pool.apply_async(gather.committed_offsets, (options.bootstrap,
                                                              read_foreign(options.foreign)))
        reads = list(gather.gather(pool, ends, options.bootstrap, options.registry, folder, shares))
        commits = commits.get(READ_S)
    print(f"{sum(r.committed for r in reads)} records committed, {sum(r.aborted for r in reads)} "
          f"aborted, {sum(r.bad for r in reads)} no messages; read in "
          f"{time.monotonic() - started:.0f} s", flush=True)
    return Run(options, folder, shares, reads, commits)


def judge_all(run):
    global the_run
    the_run = run
    # The stock in new processes, as they must know what all orders have sold.
    for shares in (run.shares.orders, run.shares.stock):
        with multiprocessing.Pool(PROCESSES, maxtasksperchild=1) as pool:
            for outcome in pool.imap_unordered(judge_share, shares, 1):
                run.outcome.add(outcome)
    run.outcome.add(judge(run, RUN_PROMISES, run))
    return run.outcome


def prove(run):
    orders, stock = Case(run, run.shares.orders[0]), Case(run, run.shares.stock[0])
    return damage.prove([(ORDERS_PROMISES, orders), (STOCK_PROMISES, stock), (RUN_PROMISES, orders)])


def main():
    parser = argparse.ArgumentParser(prog="checker", description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--postgres", help="libpq connection string; without it no I9, I10")
    parser.add_argument("--history", help="what the clients saw: see ../README.md")
    parser.add_argument("--bad", help="JSON: topic → [[partition, offset], …] of bad records")
    parser.add_argument("--payment-ledger")
    parser.add_argument("--carrier-ledger")
    parser.add_argument("--result", help="write what was found to this file, as JSON")
    parser.add_argument("--foreign", help="offsets that were committed by no worker, on purpose")
    parser.add_argument("--prove", action="store_true",
                        help="then damage what was read, and see that each damage is found")
    options = parser.parse_args()

    started = time.monotonic()
    # Millions of records live until their process ends: to look for garbage among them again and again takes
    # longer than all else.
    gc.disable()
    with tempfile.TemporaryDirectory(prefix="orderlog-checker.") as folder:
        run = read(options, Path(folder), started)
        outcome = judge_all(run)
        report(outcome)
        broken = sum(outcome.violations.values())
        print(f"{sum(outcome.statuses.values())} orders: {dict(outcome.statuses)}; {broken} "
              f"violations; judged in {time.monotonic() - started:.0f} s, {len(run.shares.orders)} shares of "
              f"orders, {len(run.shares.stock)} of the stock")
        if options.result:
            Path(options.result).write_text(json.dumps({
                "violations": by_promise(outcome.violations), "statuses": outcome.statuses,
                "orders": run.orders_as_told()}))
        if options.prove and not broken:
            broken = prove(run)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
