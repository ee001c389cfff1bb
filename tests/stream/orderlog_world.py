# SPDX-License-Identifier: Apache-2.0
"""A broker of its own, the program as processes on it, and a way to write commands: what the
tests of the transaction loop stand on.

The topics' names are fixed, so every test file has its own broker; registry and database are those
that the tests share (ORDERLOG_REGISTRY, ORDERLOG_POSTGRES). Nothing here uses the program's code or
librdkafka: commands are encoded with fastavro and sent with kafka-python.
"""
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
import uuid

import fastavro
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import MemberToRemove
from kafka.partitioner.default import murmur2
from kafka.structs import OffsetAndMetadata, TopicPartition

SERVICES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "services")
PROGRAM = os.environ["ORDERLOG_PROGRAM"]
FAULTY = os.environ["ORDERLOG_FAULTY"]
ROLES = ("order", "inventory", "payment", "shipping")
INBOX = {"order": "orders.inbox", "inventory": "inventory.inbox", "payment": "payments.inbox",
         "shipping": "shipping.inbox"}
EVENTS = {role: inbox.replace("inbox", "events") for role, inbox in INBOX.items()}
SHOP = "main"
NEVER_MS = 0  # snapshot.interval.ms: none
OFTEN_MS = 300
NEVER = threading.Event()  # nobody sets it: its wait is a pause between two looks


def wait_until(condition, what, seconds=30.0, explain=None):
    """Returns the condition's first true value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            more = f": {explain()}" if explain else ""
            raise AssertionError(f"not within {seconds} s: {what}{more}")
        NEVER.wait(0.02)


# ---- Avro, as any client does it ----------------------------------------------------------------

class Registry:
    def __init__(self):
        self.url = os.environ["ORDERLOG_REGISTRY"]
        self.by_id = {}
        self.by_subject = {}

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def encode(self, topic, record, fields):
        subject = f"{topic}-orderlog.{record}"
        if subject not in self.by_subject:
            found = self.get(f"/subjects/{subject}/versions/latest")
            self.by_subject[subject] = (found["id"],
                                        fastavro.parse_schema(json.loads(found["schema"])))
        number, schema = self.by_subject[subject]
        out = io.BytesIO(b"\0" + number.to_bytes(4, "big"))
        out.seek(5)
        fastavro.schemaless_writer(out, schema, fields)
        return out.getvalue()

    def decode(self, data):
        """(record's name, fields)"""
        if data[0] != 0:
            raise ValueError("no magic byte")
        number = int.from_bytes(data[1:5], "big")
        if number not in self.by_id:
            text = json.loads(self.get(f"/schemas/ids/{number}")["schema"])
            self.by_id[number] = (text["name"], fastavro.parse_schema(text))
        name, schema = self.by_id[number]
        stream = io.BytesIO(data)
        stream.seek(5)
        fields = fastavro.schemaless_reader(stream, schema)
        if stream.read(1):
            raise ValueError("bytes behind the record")
        return name, fields


def hashed_id(*parts):
    """As the gateway makes ids of keys: SHA-256 over the parts with their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    value = bytearray(digest.digest()[:16])
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(value))


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# ---- one process of the program ------------------------------------------------------------------

class Worker:
    """`orderlog process ROLE`; with a fault, the program built for it."""

    def __init__(self, world, role, slot=0, fault=None, **options):
        environment = dict(world.environment)
        environment.update({"ORDERLOG_" + name.upper(): str(value)
                            for name, value in {**world.options, **options}.items()})
        if fault:
            environment["ORDERLOG_FAULT"] = fault
        self.world, self.role, self.slot, self.fault = world, role, slot, fault
        self.metrics_port = options.get("metrics_port")
        self.log_path = os.path.join(world.folder, f"{len(world.workers):03}-{role}-{slot}.log")
        self.begun = time.monotonic()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [FAULTY if fault else PROGRAM, "process", role, "--slot", str(slot)],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        world.workers.append(self)

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def faults(self):
        return self.log().count("\nfault: ") + self.log().startswith("fault: ")

    def alive(self):
        return self.process.poll() is None

    def state(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]

    def await_stopped(self, seconds=30):
        wait_until(lambda: self.state() == "T", f"{self.role} stops itself", seconds, self.log)

    def await_exit(self, seconds=30):
        return_code = [None]

        def ended():
            return_code[0] = self.process.poll()
            return return_code[0] is not None
        wait_until(ended, f"{self.role} ends", seconds, self.log)
        return return_code[0]

    def await_ready(self, seconds=30):
        """All partitions of an only worker are taken over."""
        wait_until(lambda: self.taken() >= self.world.partitions or not self.alive(),
                   f"{self.role} takes its partitions over", seconds, self.log)
        if not self.alive():
            raise AssertionError(f"{self.role} ended: {self.log()}")
        return self

    def why_not_ready(self):
        """What /readyz of a worker with a metrics_port answers; empty: it is ready."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/readyz", timeout=5):
                return ""
        except urllib.error.HTTPError as refused:
            return refused.read().decode()
        except OSError as gone:
            return str(gone)

    def taken(self):
        return self.log().count("partition taken over")

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds=20):
        if self.alive():
            self.process.terminate()
        return self.await_exit(seconds)


# ---- the world -----------------------------------------------------------------------------------

class World:
    def __init__(self, partitions=2, **options):
        self.partitions = partitions
        self.options = {"session_timeout_ms": 2000, "transaction_timeout_ms": 5000,
                        "carrier_dispatch_after_ms": 0, "carrier_deliver_after_ms": 0, **options}
        self.folder_owner = tempfile.TemporaryDirectory(prefix="orderlog-stream.")
        self.folder = self.folder_owner.name
        self.workers = []
        self.foreign_ids = set()  # of messages that a test made up
        self.registry = Registry()
        self.servers = os.path.join(self.folder, "servers")
        self.admin = self.producer = None
        try:
            self.begin(partitions)
        except BaseException:
            self.close()
            raise

    def begin(self, partitions):
        subprocess.run([SERVICES, "start", self.servers, "kafka"], check=True)
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("ORDERLOG_")}
        for name in ("ORDERLOG_REGISTRY", "ORDERLOG_POSTGRES"):
            self.environment[name] = os.environ[name]
        with open(os.path.join(self.servers, "env")) as env:
            self.bootstrap = next(line.split("=", 1)[1].strip() for line in env
                                  if line.startswith("ORDERLOG_KAFKA_BOOTSTRAP="))
        self.environment["ORDERLOG_KAFKA_BOOTSTRAP"] = self.bootstrap
        self.environment["ORDERLOG_PAYMENT_LEDGER"] = os.path.join(self.folder, "payments.ledger")
        self.environment["ORDERLOG_CARRIER_LEDGER"] = os.path.join(self.folder, "carrier.ledger")
        for which in ("ORDERS", "INVENTORY", "OTHER"):
            self.environment["ORDERLOG_TOPICS_PARTITIONS_" + which] = str(partitions)
        self.run("setup")
        self.admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        self.producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=2,
                                      batch_size=65536, max_request_size=1_048_588)

    def close(self):
        for worker in self.workers:
            if worker.alive():
                worker.kill()
        for client in (self.producer, self.admin):
            if client:
                client.close()
        subprocess.run([SERVICES, "stop", self.servers], check=False)
        if os.environ.get("ORDERLOG_TEST_KEEP"):
            print("kept:", self.folder, file=sys.stderr)
            self.folder_owner._finalizer.detach()
        else:
            self.folder_owner.cleanup()

    def run(self, *arguments):
        done = subprocess.run([PROGRAM, *arguments], env=self.environment, capture_output=True,
                              text=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"orderlog {' '.join(arguments)} ends with {done.returncode}: "
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, role, slot=0, fault=None, **options):
        return Worker(self, role, slot, fault, **options)

    # ---- what is written ----

    def partition_of(self, key):
        return (murmur2(key.encode()) & 0x7FFFFFFF) % self.partitions

    def send(self, topic, partition, key, value):
        return self.producer.send(topic, value=value, key=key.encode() if key else None,
                                  partition=partition)

    def flush(self):
        self.producer.flush(timeout=30)

    def encode_command(self, topic, record, key, idempotency_key, **fields):
        kind = {"order_id": key} if topic == "orders.inbox" else {"sku": key}
        key_id = (key if record == "PlaceOrder"
                  else hashed_id(SHOP, record, str(key), idempotency_key))
        return self.registry.encode(topic, record, {
            "command_id": hashed_id(key_id.bytes, repr(sorted(fields.items()))), "key_id": key_id,
            "shop_id": SHOP, **kind, "idempotency_key": idempotency_key,
            "received_at": int(time.time() * 1e6), **fields})

    def command(self, topic, record, key, idempotency_key, **fields):
        about = str(key) if topic == "orders.inbox" else f"{SHOP}/{key}"
        self.send(topic, self.partition_of(about), about,
                  self.encode_command(topic, record, key, idempotency_key, **fields))

    @staticmethod
    def order_fields(lines, method="tok_ok", price=100):
        return {"customer_id": "c-1", "currency": "GBP", "reference": None, "ordered_at": None,
                "payment_method": method,
                "lines": [{"sku": sku, "quantity": quantity, "unit_price_minor": price,
                           "price_version": None} for sku, quantity in lines],
                "discount_minor": 0, "shipping_minor": 0, "tax_minor": 0}

    def place(self, key, lines=(("A", 1),), method="tok_ok", price=100):
        """Returns the order's id."""
        order_id = hashed_id(SHOP, "PlaceOrder", key)
        self.command("orders.inbox", "PlaceOrder", order_id, key,
                     **self.order_fields(lines, method, price))
        return str(order_id)

    def place_message(self, key, partition):
        """(order id, its command) for a group; the id lies in this partition."""
        order_id = next(order_id for order_id in
                        (hashed_id(SHOP, "PlaceOrder", f"{key}-{i}") for i in range(1000))
                        if self.partition_of(str(order_id)) == partition)
        return str(order_id), self.encode_command("orders.inbox", "PlaceOrder", order_id, key,
                                                  **self.order_fields((("A", 1),)))

    def cancel(self, order_id, key="cancel"):
        self.command("orders.inbox", "CancelOrder", uuid.UUID(order_id), key, reason=None)

    def stock(self, sku, quantity, key="first"):
        self.command("inventory.inbox", "SetProduct", sku, key, name=sku, price_minor=100,
                     currency="GBP")
        self.command("inventory.inbox", "ReceiveStock", sku, key, quantity=quantity)

    def message(self, topic, record, **fields):
        """An encoded message as other domains send it."""
        made = {"message_id": uuid.uuid4(), "causation_id": uuid.uuid4(),
                "correlation_id": uuid.uuid4(), "shop_id": SHOP, **fields}
        self.foreign_ids.add(made["message_id"])
        return self.registry.encode(topic, record, made)

    def group(self, topic, messages):
        return self.registry.encode(topic, "MessageGroup", {"messages": list(messages)})

    # ---- offsets ----

    def offsets(self, role):
        """{partition: (offset, metadata)}"""
        group = f"orderlog.{role}"
        found = self.admin.list_group_offsets(group)[group]
        return {at.partition: (what.offset, what.metadata) for at, what in found.items()
                if what.offset >= 0}

    def set_offset(self, role, partition, offset, metadata):
        at = TopicPartition(INBOX[role], partition)
        self.admin.alter_group_offsets(f"orderlog.{role}",
                                       {at: OffsetAndMetadata(offset, metadata, -1)})

    def delete_offset(self, role, partition):
        self.admin.delete_group_offsets(f"orderlog.{role}",
                                        [TopicPartition(INBOX[role], partition)])

    def await_empty_group(self, role, seconds=30):
        """Members that were killed would stay for the session time-out: they are removed."""
        group = f"orderlog.{role}"
        gone = {f"{role}-{worker.slot}" for worker in self.workers
                if worker.role == role and not worker.alive()}

        def emptied():
            found = self.admin.describe_groups([group])[group]
            left = [MemberToRemove(group_instance_id=member["group_instance_id"])
                    for member in found["members"] if member["group_instance_id"] in gone]
            if left:
                self.admin.remove_group_members(group, left)
            return found["group_state"] in ("Empty", "Dead")
        wait_until(emptied, f"{group} is empty", seconds)


class WorldTest(unittest.TestCase):
    """One world per class."""
    partitions = 2
    options = {}

    @classmethod
    def setUpClass(cls):
        from orderlog_log import Log
        cls.world = World(cls.partitions, **cls.options)
        cls.addClassCleanup(cls.world.close)
        cls.log = Log(cls.world)
        cls.addClassCleanup(cls.log.close)

    def tearDown(self):
        for worker in self.world.workers:
            if worker.alive() and worker.role not in getattr(self, "lasting", ()):
                worker.kill()
