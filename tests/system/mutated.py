# SPDX-License-Identifier: Apache-2.0
"""Mutated records in every live topic: real records with flipped bits, cut, with bytes put in, under
another record's schema id or key, appended while orders flow. Nothing crashes, hangs or grows; all
orders end; each of them in an inbox is a dead letter once, and nothing else is (I14, I15).

A mutated record may still be a message: then it is somebody's message and has its effects. What
fastavro can read is therefore not appended, only counted."""

import argparse
import io
import random
import secrets
import struct
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import fastavro
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import checks
from reader import Registry, read_topic
from under_fire import TOPICS, append_bad_records, orders_in_database, say
from world import PARTITIONS, Caller, Failed, World, wait_until

ORDERS = 240
RATE = 40  # orders per second
CUSTOMERS = 12
SAMPLES_MAX = 2000  # real records per topic
TRIES_MAX = 30  # for one mutated record that is no message
GROWTH_MB = 64  # of a process, above what it has after its first orders


# ---- mutations ----------------------------------------------------------------------------------

def flip(rng, value, _):
    changed = bytearray(value)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng, value, _):
    begin = rng.randrange(len(value))
    return value[:begin] if rng.random() < 0.5 else value[:begin] + value[begin + rng.randint(1, 8):]


def insert(rng, value, _):
    at = rng.randint(0, len(value))
    return value[:at] + rng.randbytes(rng.choice((1, 2, 9, 300))) + value[at:]


def swap_id(rng, value, ids):
    return value[:1] + struct.pack(">I", rng.choice(ids)) + value[5:]


MUTATIONS = (flip, flip, cut, insert, swap_id)


class Mutator:
    """Makes records that are no messages from real ones."""

    def __init__(self, seed, registry, topics):
        self.rng = random.Random(seed)
        self.registry = registry
        self.samples = {t: self.real(records) for t, records in topics.items()}
        self.ids = sorted({struct.unpack(">I", value[1:5])[0]
                           for records in self.samples.values() for _, _, value in records})
        self.group_id = next((i for i in self.ids
                              if registry.schema(i)["name"] == "orderlog.MessageGroup"), None)
        self.readable = Counter()

    def real(self, records):
        return [r for r in records if r[2] and len(r[2]) >= 5 and self.registry.decode(r[2])]

    def broken(self, value):
        """None when chance only makes messages of it."""
        for _ in range(TRIES_MAX):
            changed = self.rng.choice(MUTATIONS)(self.rng, value, self.ids)
            if self.registry.decode(changed) is None:
                return changed
            self.readable["still messages, not appended"] += 1
        return None

    def broken_group(self, value):
        """A group that can be read, of messages that cannot."""
        name, body = self.registry.decode(value)
        if name != "MessageGroup":
            return None
        messages = [self.broken(m) for m in body["messages"][:3] if len(m) >= 5]
        if not messages or None in messages:
            return None
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.registry.schema(self.group_id), {"messages": messages})
        return b"\0" + struct.pack(">I", self.group_id) + out.getvalue(), len(messages)

    def draw(self, topic):
        """(partition, key, value, how many dead letters it is) of one mutated record."""
        samples = self.samples[topic]
        while True:
            partition, key, value = self.rng.choice(samples)
            if self.rng.random() < 0.25:
                key = self.rng.choice(samples)[1]
            group = self.broken_group(value) if self.rng.random() < 0.3 else None
            changed, letters = group or (self.broken(value), 1)
            if changed is not None:
                return partition, key, changed, letters


def read_some(world, topic):
    """Real records as they stand: (partition, key, value), the oldest of each partition."""
    consumer = KafkaConsumer(bootstrap_servers=world.bootstrap, isolation_level="read_committed",
                             auto_offset_reset="earliest", enable_auto_commit=False)
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    found = []

    def enough():
        for messages in consumer.poll(timeout_ms=200).values():
            found.extend((m.partition, m.key, m.value) for m in messages)
        return len(found) >= SAMPLES_MAX or all(
            consumer.position(p) >= ends[p] for p in partitions)

    wait_until(f"{topic} cannot be read", enough, 60, 0)
    consumer.close()
    return found


def append_mutated(world, mutator, count):
    """Appends so many to every topic; {topic: {(partition, offset): dead letters}}."""
    producer = KafkaProducer(bootstrap_servers=world.bootstrap, acks="all", linger_ms=20,
                             batch_size=1 << 16)
    sent = defaultdict(list)
    for _ in range(count):
        for topic in TOPICS:
            partition, key, value, letters = mutator.draw(topic)
            sent[topic].append((producer.send(topic, key=key, value=value, partition=partition),
                                letters))
    producer.flush(60)
    places = {}
    for topic, futures in sent.items():
        places[topic] = {}
        for future, letters in futures:
            meta = future.get(60)
            places[topic][meta.partition, meta.offset] = letters
    producer.close()
    return places


# ---- what is looked at --------------------------------------------------------------------------

def resident_mb(role):
    for line in Path(f"/proc/{role.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    raise Failed(f"{role.name} has no memory: it is gone")


def letters_are_those(log, places):
    """I14: one dead letter for each bad message of an inbox, and none for anything else."""
    wrong = []
    for topic, bad in places.items():
        if not topic.endswith(".inbox"):
            continue
        letters = Counter((r.body["partition"], r.body["offset"])
                          for r in log[topic.replace(".inbox", ".deadletters")]
                          if r.type == "DeadLetter" and r.body["topic"] == topic)
        wrong += [f"{topic}{list(p)}: {letters[p]} dead letters instead of {n}"
                  for p, n in bad.items() if letters[p] != n]
        wrong += [f"{topic}{list(p)} is a dead letter, and was none of ours"
                  for p in letters.keys() - bad.keys()]
    return wrong


def check(world, places):
    registry = Registry(world.registry)
    log = {topic: read_topic(world, registry, topic) for topic in TOPICS}
    fold = checks.Fold(log)
    ledger = checks.read_ledger(world.tool("ledger", "payment"))
    results = {
        "I3 ids unique, versions complete": checks.ids_are_unique_and_versions_complete(fold),
        "I6 I13 money is conserved": checks.money_is_conserved(fold, ledger),
        "I7 no SKU is oversold": checks.no_sku_is_oversold(fold),
        "I8 every order ends": checks.every_order_ends(fold) if fold.placed else ["no orders"],
        "I9 orders, order_lines": checks.orders_rows_equal_the_fold(fold, world),
        "I9 inventory": checks.inventory_rows_equal_the_fold(fold, world),
        "I13 stock is conserved": checks.stock_is_conserved(fold),
        "I14 mutated records are dead letters, once": letters_are_those(log, places),
    }
    broken = 0
    for name, wrong in results.items():
        say(f"{'BROKEN' if wrong else 'holds '} {name}")
        for text in wrong[:10]:
            print(f"           {text}")
        broken += len(wrong)
    if broken:
        raise Failed(f"{broken} broken promises")


def all_ready(world):
    for role in world.roles.values():
        wait_until(f"{role.name} is not ready", role.is_ready)


# ---- the test -----------------------------------------------------------------------------------

class MutatedWorld(World):
    def _configure(self, services, clean):
        super()._configure(services, clean)
        self.env["ORDERLOG_SNAPSHOT_INTERVAL_MS"] = "1000"  # records in the state topics, soon
        master = self.folder / "master.keys"
        master.touch(mode=0o600)
        master.write_text(secrets.token_hex(32) + "\n")
        self.env["ORDERLOG_CUSTOMERS_MASTER_KEY_FILE"] = str(master)


class Load(threading.Thread):
    """Files of orders, one after the other, until it is enough."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world = world
        self.enough = threading.Event()
        self.failure = None

    def replay(self, number):
        path = self.world.folder / f"orders-{number}.csv"
        path.write_text(self.world.tool("generate", "--orders", ORDERS, "--seed", number))
        self.world.tool("replay", path, "--rate", RATE)

    def run(self):
        number = 1
        try:
            while number == 1 or not self.enough.is_set():
                self.replay(number)
                number += 1
        except Exception as failure:  # handed to the main thread, which ends the test
            self.failure = failure

    def finish(self):
        self.enough.set()
        self.join(240)
        if self.failure:
            raise self.failure
        if self.is_alive():
            raise Failed("the orders of a file did not get through")


def live_topics(world):
    """Real records of every topic, as soon as each has some."""
    topics = {}

    def all_live():
        for topic in TOPICS:
            if not any(value for _, _, value in topics.get(topic, ())):
                topics[topic] = read_some(world, topic)
        return all(any(value for _, _, value in found) for found in topics.values())

    wait_until("not every topic has records", all_live, 60)
    return topics


def run(world, seed, count, growth_mb):
    registry = Registry(world.registry)
    # Garbage first: otherwise there were no dead letters to mutate.
    places = {topic: {place: 1 for place in bad}
              for topic, bad in append_bad_records(world, registry).items()}
    caller = Caller(world)
    for number in range(CUSTOMERS):
        caller.command("PUT", f"/v1/customers/mutated-{number}", {"name": f"Customer {number}"},
                       f"customer-{number}")
    load = Load(world)
    load.start()
    try:
        wait_until("no orders come", lambda: orders_in_database(world) > ORDERS // 3, 60)
        mutator = Mutator(seed, registry, live_topics(world))
        before = {name: resident_mb(role) for name, role in world.roles.items()}
        started = time.monotonic()
        for topic, found in append_mutated(world, mutator, count).items():
            places[topic].update(found)
        say(f"{count} mutated records into each of {len(TOPICS)} topics in "
            f"{time.monotonic() - started:.0f} s; {dict(mutator.readable)}")
    finally:
        load.enough.set()
    load.finish()
    all_ready(world)
    say("orderlog verify")
    print(world.tool("verify", "--wait", 120))
    after = {name: resident_mb(role) for name, role in world.roles.items()}
    say("resident MB: " + ", ".join(f"{n} {before[n]} to {after[n]}" for n in after))
    grown = [n for n in after if after[n] > before[n] + growth_mb]
    if grown:
        raise Failed(f"more than {growth_mb} MB were added to {', '.join(grown)}")

    say("every role anew, over all of it")
    for name in world.roles:
        world.kill_and_restart(name)
    all_ready(world)
    world.tool("deadletters", "list")
    world.tool("verify", "--wait", 120)
    check(world, places)
    for role in world.roles.values():
        status = role.stop()
        if status != 0:
            raise Failed(f"{role.name} ended with {status} after SIGTERM:\n{role.tail()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    parser.add_argument("--records", type=int, default=500, help="mutated ones, per topic")
    parser.add_argument("--growth-mb", type=int, default=GROWTH_MB)
    parser.add_argument("--keep", help="use this new folder and keep it")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    say(f"seed {options.seed}")

    with tempfile.TemporaryDirectory(prefix="orderlog-mutated.") as temporary:
        folder = Path(options.keep or temporary)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # PostgreSQL has a user of its own
        started = time.monotonic()
        try:
            with MutatedWorld(Path(options.program).resolve(), folder) as world:
                try:
                    run(world, options.seed, options.records, options.growth_mb)
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
