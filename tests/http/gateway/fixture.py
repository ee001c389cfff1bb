# SPDX-License-Identifier: Apache-2.0
"""Real servers of this test's own (brokers are stopped in the middle), a gateway, and an
independent look at the log: pure-Python kafka-python and fastavro."""
import atexit
import http.client
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import fastavro
from kafka import KafkaConsumer, TopicPartition

ROOT = pathlib.Path(__file__).resolve().parents[3]
ORDERLOG = os.environ["ORDERLOG_PROGRAM"]
TOKEN = "ol_dev_0123456789abcdef0123456789abcdef"
TOPICS = ["orders.inbox", "inventory.inbox", "orders.events", "inventory.events", "products"]
PARTITIONS = 4
_never = threading.Event()


def wait_until(what, condition, timeout_s=20):
    """Looks again and again, with a deadline; returns what the condition returned."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        _never.wait(0.05)


class Servers:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="orderlog-http."))
        atexit.register(self.stop)
        self.services = ROOT / "tests/support/services"
        subprocess.run([self.services, "start", self.dir], check=True)
        text = (self.dir / "env").read_text()
        self.env = dict(word.split("=", 1) for word in shlex.split(text))
        self.kafka = self.env["ORDERLOG_KAFKA_BOOTSTRAP"]
        self.registry = self.env["ORDERLOG_REGISTRY"]
        self._schemas = {}
        self.orderlog("setup", ORDERLOG_API_KEY=TOKEN)

    def stop(self):
        self.resume_broker()
        subprocess.run([self.services, "stop", self.dir], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def environment(self, **more):
        partitions = {
            f"ORDERLOG_TOPICS_PARTITIONS_{name}": str(PARTITIONS)
            for name in ("ORDERS", "INVENTORY", "OTHER")
        }
        # Memory is measured: freed memory that a sanitizer keeps back must not count for much.
        sanitizer = {"ASAN_OPTIONS": "quarantine_size_mb=4:detect_leaks=1"}
        return {**os.environ, **sanitizer, **self.env, **partitions, **more}

    def orderlog(self, *arguments, **more):
        done = subprocess.run([ORDERLOG, *arguments], env=self.environment(**more),
                              capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise AssertionError(f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    # --- the broker -----------------------------------------------------------------------------

    def _signal_broker(self, number):
        file = self.dir / "kafka.pid"
        if file.exists():
            try:
                os.kill(int(file.read_text().split()[0]), number)
            except ProcessLookupError:
                pass

    def pause_broker(self):
        self._signal_broker(signal.SIGSTOP)
        tasks = pathlib.Path("/proc", (self.dir / "kafka.pid").read_text().split()[0], "task")
        wait_until("all threads of the broker stand still", lambda: all(
            stat.read_text().rpartition(") ")[2][0] in "TZX" for stat in tasks.glob("*/stat")))

    def resume_broker(self):
        self._signal_broker(signal.SIGCONT)

    # --- the log --------------------------------------------------------------------------------

    def consumer(self, **more):
        return KafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False,
                             auto_offset_reset="earliest", isolation_level="read_committed", **more)

    def ends(self, topics=TOPICS):
        consumer = self.consumer()
        parts = [TopicPartition(t, p) for t in topics for p in range(PARTITIONS)]
        try:
            return {(tp.topic, tp.partition): end
                    for tp, end in consumer.end_offsets(parts).items()}
        finally:
            consumer.close()

    def since(self, before, topic):
        """The records of a topic after these ends, decoded."""
        after = self.ends([topic])
        consumer = self.consumer()
        parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(parts)
        for part in parts:
            consumer.seek(part, before[(topic, part.partition)])
        records = []

        def all_read():
            for batch in consumer.poll(timeout_ms=200).values():
                records.extend(batch)
            return all(consumer.position(p) >= after[(topic, p.partition)] for p in parts)

        try:
            wait_until("reading " + topic, all_read)
        finally:
            consumer.close()
        return [self.decode(record) for record in records]

    def _ask_registry(self, path):
        """Asks again where an answer is lost: under load the registry now and then gives none."""
        for attempt in range(3):
            try:
                with urllib.request.urlopen(f"{self.registry}/{path}", timeout=20) as reply:
                    return json.load(reply)
            except urllib.error.HTTPError:
                raise
            except OSError:
                if attempt == 2:
                    raise

    def schema(self, schema_id):
        if schema_id not in self._schemas:
            text = self._ask_registry(f"schemas/ids/{schema_id}")["schema"]
            self._schemas[schema_id] = fastavro.parse_schema(json.loads(text))
        return self._schemas[schema_id]

    def schema_id(self, topic, record):
        return self._ask_registry(f"subjects/{topic}-orderlog.{record}/versions/latest")["id"]

    def decode(self, record):
        magic, schema_id = struct.unpack(">bI", record.value[:5])
        assert magic == 0
        schema = self.schema(schema_id)
        value = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema)
        headers = {name: text.decode() for name, text in record.headers}
        return {"type": schema["name"], "key": record.key.decode(), "partition": record.partition,
                "headers": headers, **value}

    def encode(self, topic, record, value):
        schema_id = self.schema_id(topic, record)
        out = io.BytesIO()
        out.write(struct.pack(">bI", 0, schema_id))
        fastavro.schemaless_writer(out, self.schema(schema_id), value)
        return out.getvalue()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        if self.headers["Content-Type"] != "application/problem+json":
            return None
        assert self.json["status"] == self.status
        return self.json["type"].removeprefix("urn:orderlog:problem:")


class Gateway:
    """A gateway process; use as a context manager."""

    def __init__(self, servers, *options, ready=True, listening=False):
        self.log_path = servers.dir / f"gateway-{time.monotonic_ns()}.log"
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                [ORDERLOG, "gateway", "--gateway.port=0", "--log.format=json", *options],
                env=servers.environment(), stderr=log)
        if ready:
            wait_until("the gateway is ready", lambda: self.says("ready"))
        self.port = None
        if ready or listening:
            self.port = wait_until("the gateway is listening", self._find_port)

    def log(self):
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def says(self, text):
        if self.process.poll() is not None:
            raise AssertionError(self.log_path.read_text())
        return f'"text":"{text}"' in self.log_path.read_text()

    def _find_port(self):
        found = self.says("listening") and re.search(r'"text":"listening".*"port":(\d+)',
                                                     self.log_path.read_text())
        return int(found.group(1)) if found else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        unnamed = [line for line in self.log_path.read_text().splitlines()
                   if "the OpenAPI document does not name this answer" in line]
        assert not unnamed, unnamed[:5]

    def call(self, method, path, body=None, headers=None, token=TOKEN, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if body:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        try:
            connection.request(method, path, body, sent)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def place(self, order, key=None, **more):
        headers = {"Idempotency-Key": key} if key else {}
        return self.call("POST", "/v1/orders", order, headers, **more)


def order(**changes):
    result = {"customer_id": "c1", "currency": "EUR",
              "lines": [{"sku": "A", "quantity": 2, "unit_price_minor": 150}]}
    result.update(changes)
    return {name: value for name, value in result.items() if value is not None}


_servers = None


def servers():
    global _servers
    if _servers is None:
        _servers = Servers()
    return _servers
