# SPDX-License-Identifier: Apache-2.0
"""The whole system under fire: thousands of orders are replayed through it while others are placed
and cancelled by hand, bad records are appended to every topic, and every role is killed once with
SIGKILL and started again. Afterwards an independent reader checks what was promised."""

import argparse
import csv
import gzip
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from confluent_kafka import Consumer as StockConsumer
from confluent_kafka import TopicPartition as StockPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from kafka import KafkaProducer

import checks
from reader import ANSWER_S, Registry, read_topic
from world import PARTITIONS, REAL_ORDERS, Caller, Failed, World, quote, wait_until

ORDERS = 2000
RATE = 120  # orders per second: slow enough for every role to die while orders flow
STOCK_RECORDS_MAX = 1500  # per partition, for the stock deserialiser, which is slow
TOPICS = [f"{d}.{k}" for d in ("orders", "inventory", "payments", "shipping")
          for k in ("inbox", "events", "deadletters")]
TOPICS += ["orders.state", "inventory.state", "products", "access.keys", "customers", "customers.keys"]
TABLES = ("orders.state", "inventory.state", "products", "access.keys", "customers", "customers.keys")
KILLED = ("order", "inventory", "payment", "shipping", "project", "gateway", "query")


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


# ---- what is replayed ---------------------------------------------------------------------------

def write_orders(world, path):
    """The first orders of the real file where it is at hand, invented ones otherwise."""
    if not REAL_ORDERS.exists():
        path.write_text(world.tool("generate", "--orders", ORDERS, "--seed", "7"))
        return "generated orders"
    taken = set()
    with gzip.open(REAL_ORDERS, "rt", newline="") as source, open(path, "w", newline="") as out:
        rows = csv.reader(source)
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(next(rows))
        for row in rows:
            if row[0] in taken or len(taken) < ORDERS:
                taken.add(row[0])
                writer.writerow(row)
    return "real orders"


def read_orders(path):
    """{reference: (customer, lines or None where it must be refused)}, by Python's own reader."""
    orders = {}
    for row in csv.DictReader(open(path, newline="")):
        customer, lines = orders.setdefault(row["order_id"], (row["customer_id"] or "guest", []))
        lines.append((row["sku"], int(row["quantity"]), int(row["unit_price_minor"])))
    return {name: (customer, None if any(q < 1 or p < 0 for _, q, p in lines) else lines)
            for name, (customer, lines) in orders.items()}


# ---- what is placed by hand ---------------------------------------------------------------------

METHODS = ("tok_ok", "tok_ok", "tok_ok", "tok_decline", "tok_delay_400", "tok_lost", "tok_timeout")


class Shopper(threading.Thread):
    """Places orders one by one, sends some twice, cancels some. Remembers what was acknowledged."""

    def __init__(self, world, seed):
        super().__init__(daemon=True)
        self.caller = Caller(world)
        self.random = random.Random(seed)
        self.acknowledged = {}  # command id → types of which one must happen
        self.stopping = threading.Event()
        self.failure = None
        self.placed = 0

    def stock(self):
        for sku, quantity in (("SYS plenty", 5000), ("SYS-few", 40)):
            answer = self.caller.command("PUT", f"/v1/products/{quote(sku)}", {
                "name": sku, "price_minor": 250, "currency": "GBP"}, f"product-{quote(sku)}")
            self.acknowledged[answer["command_id"]] = ("ProductCreated",)
            answer = self.caller.command("POST", f"/v1/inventory/{quote(sku)}/receive",
                                         {"quantity": quantity}, f"receive-{quote(sku)}")
            self.acknowledged[answer["command_id"]] = ("StockReceived",)

    def place(self, number):
        lines = [{"sku": "SYS plenty", "quantity": self.random.randint(1, 5)}]
        if number % 2:
            lines.append({"sku": "SYS-few", "quantity": self.random.randint(1, 4)})
        order = {"customer_id": f"shopper-{number % 10}", "currency": "GBP", "lines": lines,
                 "payment_method": self.random.choice(METHODS), "reference": f"hand-{number}"}
        key = f"order-{number}"
        # Only the first ones may come before their products have got to the gateway.
        fresh = ("unknown-sku",) if number < 2 else ()
        answer = self.caller.command("POST", "/v1/orders", order, key, fresh)
        self.acknowledged[answer["command_id"]] = ("OrderPlaced",)
        self.placed += 1
        if number % 3 == 0:
            again = self.caller.command("POST", "/v1/orders", order, key)
            if again["order_id"] != answer["order_id"] or again["command_id"] != answer["command_id"]:
                raise Failed(f"the same order sent twice became two: {answer} {again}")
        if number % 4 == 0:
            # Some before, some while and some after the carrier comes.
            self.stopping.wait(self.random.choice((0, 0, 0.2, 0.6, 1.2)))
            answer = self.caller.command("POST", f"/v1/orders/{answer['order_id']}/cancel",
                                         {"reason": "changed my mind"}, f"cancel-{number}")
            self.acknowledged[answer["command_id"]] = ("OrderCancelled", "OrderCommandRefused")

    def run(self):
        number = 0
        try:
            while not self.stopping.is_set():
                self.place(number)
                number += 1
        except Exception as failure:  # handed to the main thread, which ends the test
            self.failure = failure


# ---- what goes wrong ----------------------------------------------------------------------------

def append_bad_records(world, registry):
    """Appends what is no message of ours to every topic; {topic: {(partition, offset)}}."""
    producer = KafkaProducer(bootstrap_servers=world.bootstrap, acks="all")
    some_id = next(i for i in range(1, 2000) if registry.schema(i))
    values = [
        os.urandom(100),  # garbage
        b"",
        b"\0\0",  # cut off within the header
        b"\0" + struct.pack(">I", some_id) + b"\x48abc",  # cut off within the record
        b"\0" + struct.pack(">I", 2**31 - 2) + b"whatever",  # a schema that nobody has
        b"\0" + struct.pack(">I", some_id) + b"\xff" * 30,  # lengths without end
    ]
    bad = {}
    for topic in TOPICS:
        bad[topic] = set()
        for partition in range(world.partitions):
            for value in values:
                key = b"bad" if topic in TABLES or partition % 2 else None
                sent = producer.send(topic, key=key, value=value, partition=partition)
                bad[topic].add((partition, sent.get(30).offset))
    producer.close()
    return bad


def orders_in_database(world):
    return world.sql("SELECT count(*) AS n FROM orders")[0]["n"]


def kill_every_role(world, replay, expected, shopper, registry):
    """Kills the roles one after the other while orders flow; returns the bad records appended."""
    bad = {}
    for number, name in enumerate(KILLED):
        threshold = expected * (number + 1) // (len(KILLED) + 2)

        def reached():
            if shopper.failure:
                raise shopper.failure
            return orders_in_database(world) >= threshold or replay.poll() is not None

        wait_until(f"the database does not get to {threshold} orders", reached, 120)
        say(f"kill -9 {name} at {orders_in_database(world)} orders")
        world.kill_and_restart(name)
        if number == 2:
            say("bad records into every topic")
            bad = append_bad_records(world, registry)
    return bad


# ---- what analysts do ---------------------------------------------------------------------------

def stock_deserialiser_reads(world, bad):
    """The stock AvroDeserializer with the registry, no code of ours: every record of every topic."""
    # Without a timeout the client waits for ever where an answer is lost; it asks again by itself.
    deserialise = AvroDeserializer(SchemaRegistryClient({"url": world.registry,
                                                         "timeout": ANSWER_S}))
    wrong = []
    for topic in TOPICS:
        consumer = StockConsumer({"bootstrap.servers": world.bootstrap, "group.id": "analyst",
                                  "isolation.level": "read_committed", "enable.auto.commit": False,
                                  "enable.partition.eof": True, "fetch.wait.max.ms": 20})
        consumer.assign([StockPartition(topic, p, 0) for p in range(PARTITIONS)])
        read = dict.fromkeys(range(PARTITIONS), 0)
        open_partitions = set(read)
        while open_partitions:
            message = consumer.poll(30)
            if message is None:
                wrong.append(f"{topic}: nothing comes from {open_partitions}")
                break
            if message.error():
                open_partitions.discard(message.partition())  # its end
                continue
            place = message.partition(), message.offset()
            read[place[0]] += 1
            if read[place[0]] >= STOCK_RECORDS_MAX and max(bad[topic])[1] < place[1]:
                open_partitions.discard(place[0])
            if place in bad[topic] or message.value() is None:
                continue
            try:
                context = SerializationContext(topic, MessageField.VALUE)
                if not isinstance(deserialise(message.value(), context), dict):
                    wrong.append(f"{topic}{list(place)}: not a record")
            except Exception as failure:
                wrong.append(f"{topic}{list(place)}: {failure}")
        consumer.close()
    return wrong


# ---- the test -----------------------------------------------------------------------------------

def check(world, fold, bad, file_orders, shopper):
    ledger = checks.read_ledger(world.tool("ledger", "payment"))
    results = {
        "I1 acknowledged commands take effect once":
            checks.acknowledged_commands_take_effect_once(fold, shopper.acknowledged),
        "I1 the file's orders are placed once, as they stand in it":
            checks.file_orders_are_placed_once(fold, file_orders),
        "I3 ids unique, versions complete": checks.ids_are_unique_and_versions_complete(fold),
        "I6 I13 money is conserved": checks.money_is_conserved(fold, ledger),
        "I7 no SKU is oversold": checks.no_sku_is_oversold(fold),
        "I8 every order ends": checks.every_order_ends(fold),
        "I9 orders, order_lines": checks.orders_rows_equal_the_fold(fold, world),
        "I9 order_timeline": checks.timeline_rows_equal_the_log(fold, world),
        "I9 inventory": checks.inventory_rows_equal_the_fold(fold, world),
        "I13 stock is conserved": checks.stock_is_conserved(fold),
        "I14 bad records are set aside": checks.bad_records_are_set_aside(fold, bad),
        "a stock deserialiser reads every topic": stock_deserialiser_reads(world, bad),
    }
    broken = 0
    for name, wrong in results.items():
        say(f"{'BROKEN' if wrong else 'holds '} {name}")
        for text in wrong[:10]:
            print(f"           {text}")
        broken += len(wrong)
    if broken:
        raise Failed(f"{broken} broken promises")


def run(world, seed):
    registry = Registry(world.registry)
    path = world.folder / "orders.csv"
    say(f"replaying {write_orders(world, path)}")
    file_orders = read_orders(path)
    expected = sum(lines is not None for _, lines in file_orders.values())

    shopper = Shopper(world, seed)
    shopper.stock()
    shopper.start()
    replay = subprocess.Popen([world.program, "replay", str(path), "--rate", str(RATE)], env=world.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    try:
        bad = kill_every_role(world, replay, expected, shopper, registry)
        output, _ = replay.communicate(timeout=240)
    finally:
        shopper.stopping.set()
        replay.kill()
    print(output)
    if replay.returncode != 0:
        raise Failed(f"the replay ended with {replay.returncode}")
    shopper.join(120)
    if shopper.failure:
        raise shopper.failure
    say(f"{shopper.placed} orders placed by hand, {len(shopper.acknowledged)} commands acknowledged")
    for role in world.roles.values():
        wait_until(f"{role.name} is not ready", role.is_ready)

    say("orderlog verify")
    print(world.tool("verify", "--wait", 120))

    say("reading the log independently")
    log = {topic: read_topic(world, registry, topic) for topic in TOPICS}
    check(world, checks.Fold(log), bad, file_orders, shopper)
    for role in world.roles.values():
        status = role.stop()
        if status != 0:
            raise Failed(f"{role.name} ended with {status} after SIGTERM:\n{role.tail()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    parser.add_argument("--keep", help="use this new folder and keep it")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    say(f"seed {options.seed}")

    with tempfile.TemporaryDirectory(prefix="orderlog-system.") as temporary:
        folder = Path(options.keep or temporary)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # PostgreSQL has a user of its own
        started = time.monotonic()
        try:
            with World(Path(options.program).resolve(), folder) as world:
                try:
                    run(world, options.seed)
                except Exception:
                    for role in world.roles.values():
                        print(f"--- {role.name}\n{role.tail()}")
                    raise
        except Failed as failure:
            say(f"FAILED (seed {options.seed}): {failure}")
            return 1
        say(f"passed in {time.monotonic() - started:.0f} s")
        return 0


if __name__ == "__main__":
    sys.exit(main())
