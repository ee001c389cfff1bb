# SPDX-License-Identifier: Apache-2.0
"""Personal data through the whole system: it is sealed wherever it lies, opens for who may see it,
and after an erasure opens for nobody, while orders stay as they were. The files of Kafka and
PostgreSQL are searched for the words and for the key itself."""

import argparse
import http.client
import json
import os
import secrets
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import fastavro
import io
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from world import PARTITIONS, ROOT, Failed, Role, World, expect, free_port, quote, wait_until

ERASURE_MS = 4000  # a segment is closed after half of it


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class SealedWorld(World):
    """One with a master key."""

    def _configure(self, services, clean):
        super()._configure(services, clean)
        self.master = self.folder / "master.keys"
        self.master.touch(mode=0o600)
        self.master.write_text(f"# of this test\n{secrets.token_hex(32)}\n")
        self.env["ORDERLOG_CUSTOMERS_MASTER_KEY_FILE"] = str(self.master)
        self.env["ORDERLOG_CUSTOMERS_ERASURE_MS"] = str(ERASURE_MS)

    def ask(self, port, method, path, body=None, key=None, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Authorization": f"Bearer {token or self.token}"}
        if isinstance(body, str):
            headers["Content-Type"] = "application/x-ndjson"
        elif body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        if key:
            headers["Idempotency-Key"] = key
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, text.decode()

    def write(self, method, path, body=None, key=None, port=None):
        status, text = self.ask(port or self.gateway_port, method, path, body, key)
        return status, json.loads(text)

    def accepted(self, *arguments, **named):
        status, answer = self.write(*arguments, **named)
        if status != 202:
            raise Failed(f"{arguments}: {status} {answer}")
        return answer

    def read(self, path, token=None):
        status, text = self.ask(self.query_port, "GET", path, token=token)
        return status, json.loads(text) if text else None


# ---- what is searched ---------------------------------------------------------------------------

def files_with(folder, needle):
    """Every file below the folder that holds these bytes."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            try:
                if path.is_file() and needle in path.read_bytes():
                    found.append(str(path))
            except FileNotFoundError:
                pass  # removed meanwhile
    return found


def nothing_in_the_clear(world, when, words):
    subprocess.run(["psql", "-X", "-q", world.postgres, "-c", "CHECKPOINT"], check=True)
    folder = world.folder
    control = [w for w in ("services/kafka", "services/postgres")
               if not files_with(folder / w, b"erased-sku")]
    expect(f"{when}: a word that is not personal is found in the files of Kafka and PostgreSQL",
           not control, control)
    for word in words:
        found = files_with(folder, word.encode())
        expect(f"{when}: '{word}' is nowhere: log, dead letters, heap, WAL, logs of roles and servers",
               not found, found)


# ---- Kafka --------------------------------------------------------------------------------------

def schema_of(path):
    return fastavro.parse_schema(json.loads((ROOT / "schemas" / path).read_text()))


CUSTOMER_KEY = schema_of("customers.keys/customer_key.avsc")
CUSTOMER_ERASED = schema_of("customers.keys/customer_erased.avsc")


def records(world, topic):
    consumer = KafkaConsumer(bootstrap_servers=world.bootstrap, enable_auto_commit=False,
                             isolation_level="read_committed")
    places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning()
    ends = consumer.end_offsets(places)
    got, silent = [], 0
    while silent < 4 and any(consumer.position(p) < ends[p] for p in places):  # markers have no record
        batches = consumer.poll(200)
        silent = 0 if batches else silent + 1
        for batch in batches.values():
            got += batch
    consumer.close()
    return got


def live_keys(world, customer):
    """What is left of their keys by the log: key of the record → sealed key."""
    keys = {}
    for record in records(world, "customers.keys"):
        if not record.key.startswith(f"main/{customer}/".encode()):
            continue
        if record.value is None:
            keys.pop(record.key, None)
        else:
            keys[record.key] = fastavro.schemaless_reader(io.BytesIO(record.value[5:]),
                                                          CUSTOMER_KEY)["sealed"]
    return keys


def id_of(world, subject):
    done = subprocess.run(["curl", "-fsS", f"{world.registry}/subjects/{subject}/versions/latest"],
                          check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)["id"]


def break_a_copy(world, order_id):
    """A command with a sealed address that cannot be decoded, so that it ends as a dead letter."""
    source = next(r for r in records(world, "orders.inbox") if r.key == order_id.encode())
    producer = KafkaProducer(bootstrap_servers=world.bootstrap)
    producer.send("orders.inbox", key=source.key, value=source.value + b"\0",
                  partition=source.partition).get(30)
    producer.close()
    wait_until("the broken copy is no dead letter", lambda: any(
        source.value in (r.value or b"") for r in records(world, "orders.deadletters")), 30, 0.2)


def mark_only(world, customer):
    """What a gateway leaves that dies right after the mark of an erasure."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, CUSTOMER_ERASED, {
        "shop_id": "main", "customer_id": customer, "erased_at": int(time.time() * 1e6)})
    schema_id = id_of(world, "customers.keys-orderlog.CustomerErased")
    key = next(r for r in records(world, "customers.keys")
               if r.key.startswith(f"main/{customer}/".encode()))
    producer = KafkaProducer(bootstrap_servers=world.bootstrap)
    producer.send("customers.keys", key=f"main/{customer}".encode(), partition=key.partition,
                  value=b"\0" + struct.pack(">I", schema_id) + out.getvalue()).get(30)
    producer.close()


# ---- the story ----------------------------------------------------------------------------------

def word(what):
    return f"{what}{secrets.token_hex(8)}"


def address(of):
    return {"name": of + "N", "line1": of + "L", "city": "Wien", "country": "AT"}


def order(customer, place=None, key=None):
    body = {"customer_id": customer, "currency": "EUR", "lines": [{"sku": "erased-sku", "quantity": 1}]}
    if place:
        body["shipping_address"] = address(place)
    if key:
        body["idempotency_key"] = key
    return body


def stock(world):
    world.accepted("PUT", "/v1/products/erased-sku", {"name": "Ant", "price_minor": 100, "currency": "EUR"})
    world.accepted("POST", "/v1/inventory/erased-sku/receive", {"quantity": 1000})
    wait_until("the gateway has no price", lambda: world.write(
        "POST", "/v1/orders", dict(order("c0"), expected_total_minor=1))[1]["type"].endswith(
            "total-differs"), 30, 0.2)


def finished(world, order_id):
    def is_over():
        status, found = world.read(f"/v1/orders/{order_id}")
        return found if status == 200 and found["status"] == "COMPLETED" else None
    return wait_until(f"order {order_id} is not completed", is_over, 60, 0.1)


def people_come(world, words):
    ada, bob = words
    body = {"name": ada, "email": f"{ada}@example.org", "addresses": [address(ada)]}
    answer = world.accepted("PUT", "/v1/customers/ada", body, "put-1")
    status, found = world.read(f"/v1/customers/ada?after={answer['command_id']}&wait=10s")
    expect("who writes a customer reads it back",
           status == 200 and found["name"] == ada and found["addresses"] == [address(ada)], found)
    again = world.accepted("PUT", "/v1/customers/ada", body, "put-1")
    expect("the same request again is the same command", again == answer, again)
    world.accepted("PUT", "/v1/customers/bob", {"name": bob})
    placed = world.accepted("POST", "/v1/orders", order("ada", ada), "order-1")
    again = world.accepted("POST", "/v1/orders", order("ada", ada), "order-1")
    expect("the same order again is the same command, though sealed anew",
           again["command_id"] == placed["command_id"], again)
    # bob's lines make their key only now; the last line has no newline.
    lines = "\n".join(json.dumps(b) for b in (
        order("ada", ada, "batch-1"), order("carl", bob, "batch-2"), order("ada", None, "batch-3"),
        order("dora", bob, "batch-4")))
    status, text = world.ask(world.gateway_port, "POST", "/v1/orders:batch", lines)
    results = [json.loads(line) for line in text.splitlines()]
    expect("a batch takes addresses, of new customers too",
           status == 200 and [r["status"] for r in results] == [202] * 4, text)
    return [placed["order_id"]] + [r["order_id"] for r in results]


def only_who_may_sees(world, words, order_id):
    reader = world.tool("keys", "create", "--scopes", "orders:read").strip()
    status, found = world.read(f"/v1/orders/{order_id}")
    expect("an address is shown to who may see it",
           status == 200 and found["shipping_address"] == address(words[0]), found)
    status, found = wait_until("the new key is not known", lambda: (
        lambda r: r if r[0] != 401 else None)(world.read(f"/v1/orders/{order_id}", reader)), 20)
    expect("and to nobody else", status == 200 and "shipping_address" not in found, found)
    expect("nor are customers", world.read("/v1/customers/ada", reader)[0] == 403 and
           world.read("/v1/customers", reader)[0] == 403)
    other = world.tool("keys", "create", "--scopes", "all", "--shop", "other").strip()
    expect("to another shop they do not exist", wait_until("the key is not known", lambda: (
        lambda r: r if r[0] != 401 else None)(world.read("/v1/customers/ada", other)), 20)[0] == 404)
    names, cursor = [], ""
    while cursor is not None:
        status, page = world.read(f"/v1/customers?limit=1{cursor and '&cursor=' + cursor}")
        names += [c["name"] for c in page["customers"]]
        cursor = page["next_cursor"]
    expect("the list has every customer once", names == list(words), names)


def two_gateways_make_one_key(world, words):
    second = Role(world, "gateway2", ["gateway", "--gateway.port", str(free_port())])
    port = int(second.arguments[-1])
    world.roles["gateway2"] = second
    second.start()
    wait_until("the second gateway is not ready", second.is_ready)
    customers = [f"race-{n}" for n in range(12)]
    placed, lock = {}, threading.Lock()

    def place(customer, at, number):
        answer = world.accepted("POST", "/v1/orders", order(customer, words[1]),
                                f"{customer}-{number}", port=at)
        with lock:
            placed[answer["order_id"]] = answer["command_id"]

    threads = [threading.Thread(target=place, args=(c, at, n)) for c in customers
               for n, at in enumerate((world.gateway_port, port) * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect("every order of new customers is taken by two gateways", len(placed) == 48, len(placed))
    for order_id, command_id in placed.items():
        status, found = world.read(f"/v1/orders/{order_id}?after={command_id}&wait=10s")
        if status != 200 or found["shipping_address"] != address(words[1]):
            raise Failed(f"order {order_id}: {status} {found}")
    print("holds  every one of their addresses opens", flush=True)
    counts = wait_until("keys that lost the race are still there", lambda: (lambda c: c if set(
        c.values()) == {1} else None)({c: len(live_keys(world, c)) for c in customers}), 20, 0.2)
    expect("each customer has one key", len(counts) == 12, counts)


def the_master_key_is_changed(world, words):
    old, new = world.master.read_text().splitlines()[1], secrets.token_hex(32)

    def restart(*keys):
        world.master.write_text("\n".join(keys))
        for name in ("gateway", "gateway2", "query"):
            world.kill_and_restart(name)
        for name in ("gateway", "gateway2", "query"):
            wait_until(f"{name} is not ready", world.roles[name].is_ready)

    restart(new, old)
    said = world.tool("reseal")
    expect("every key is sealed anew", said.startswith("16 keys sealed anew, 0"), said)
    expect("once is enough", world.tool("reseal").startswith("0 keys sealed anew, 16"))
    restart(new)
    expect("what was sealed before opens without the old master key",
           world.read("/v1/customers/ada")[1]["name"] == words[0] and
           world.read("/v1/customers/bob")[1]["name"] == words[1])


def erase(world, words, orders):
    def rows():
        return world.sql("SELECT order_id, version, status, total_minor, captured_minor, updated_at "
                         "FROM orders WHERE customer_id = 'ada' ORDER BY order_id")

    before = rows()
    kafka = world.folder / "services/kafka"
    sealed = list(live_keys(world, "ada").values()) + list(live_keys(world, "bob").values())
    expect("the sealed keys are in Kafka's files", len(sealed) == 2 and
           all(files_with(kafka, key) for key in sealed))
    done = subprocess.run([world.program, "verify", "--erased", "ada", "--log-dirs", kafka],
                          env=world.env, stdout=subprocess.PIPE, text=True)
    expect("verify --erased says no before the erasure", done.returncode == 1 and
           "NOT ERASED" in done.stdout, done.stdout)

    answer = world.accepted("DELETE", "/v1/customers/ada")
    began = time.monotonic()
    wait_until("the customer is still shown", lambda: world.read("/v1/customers/ada")[0] == 410, 10, 0.01)
    wait_until("the address of an order is still shown", lambda: world.read(
        f"/v1/orders/{orders[0]}")[1]["shipping_address"] == {"erased": True}, 10, 0.01)
    took = time.monotonic() - began
    expect("an erasure is seen within a second, in the addresses of orders too", took < 1, f"{took:.3f} s")
    expect("the list has it no more", [c["name"] for c in world.read("/v1/customers")[1]["customers"]]
           == [words[1]])
    status, text = world.read(f"/v1/commands/{answer['command_id']}?wait=10s")
    expect("the outcome of the erasure is known", status == 200 and text["outcome"] == "applied", text)
    expect("nothing personal is taken of it again",
           world.write("PUT", "/v1/customers/ada", {"name": words[0]})[0] == 410 and
           world.write("POST", "/v1/orders", order("ada", words[0]))[0] == 410)
    expect("erasing again changes nothing", world.write("DELETE", "/v1/customers/ada")[0] == 202)
    expect("orders, totals and versions are as before", rows() == before, before)
    later = world.accepted("POST", "/v1/orders", order("ada"), "later")
    finished(world, later["order_id"])
    expect("others are untouched", world.read("/v1/customers/bob")[1]["name"] == words[1])
    expect("no key is left in the log's table", not live_keys(world, "ada"))

    said = is_erased_in_time(world, "ada")
    expect("the proof counts the sealed copies that remain", all(
        f"{where:<32} {count:>12}" in said for where, count in (
            ("orders.inbox", 3), ("orders.events", 2), ("customers in PostgreSQL", 0),
            ("order_addresses in PostgreSQL", 2))), said)
    left = files_with(kafka, sealed[0])
    expect("the key is in no file of Kafka's any more", not left, left)
    expect("that of somebody else is", files_with(kafka, sealed[1]))


def is_erased_in_time(world, customer):
    """The proof, which becomes possible when the broker has cleaned."""
    kafka = world.folder / "services/kafka"
    said = {}

    def proven():
        done = subprocess.run([world.program, "verify", "--erased", customer, "--log-dirs", kafka],
                              env=world.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said["text"] = done.stdout
        return done.returncode == 0

    began = time.monotonic()
    try:
        wait_until(f"{customer} is not proven to be erased", proven, 60, 0.5)
    except Failed:
        raise Failed(f"verify --erased {customer}:\n{said['text']}") from None
    say(f"verify --erased {customer} after {time.monotonic() - began:.1f} s\n{said['text']}")
    return said["text"]


def run(world):
    words = (word("Ada"), word("Bob"))
    stock(world)
    orders = people_come(world, words)
    for order_id in orders:
        finished(world, order_id)
    break_a_copy(world, orders[0])
    only_who_may_sees(world, words, orders[0])
    nothing_in_the_clear(world, "before the erasure", words)
    two_gateways_make_one_key(world, words)

    the_master_key_is_changed(world, words)
    erase(world, words, orders)
    mark_only(world, "bob")
    wait_until("nobody finishes what a dead gateway began", lambda: not live_keys(world, "bob"), 30, 0.2)
    is_erased_in_time(world, "bob")
    wait_until("the read model has not heard of it", lambda: world.sql(
        "SELECT 1 FROM customers WHERE customer_id = 'bob' AND erased_at IS NOT NULL "
        "AND ciphertext IS NULL"), 30)
    print("holds  an erasure whose gateway died is finished by others", flush=True)
    nothing_in_the_clear(world, "after the erasure", words)
    print(world.tool("verify"))
    for role in world.roles.values():
        status = role.stop()
        if status != 0:
            raise Failed(f"{role.name} ended with {status} after SIGTERM:\n{role.tail()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderlog-system.") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL has a user of its own
        try:
            with SealedWorld(Path(options.program).resolve(), folder) as world:
                try:
                    run(world)
                except Exception:
                    for role in world.roles.values():
                        print(f"--- {role.name}\n{role.tail()}")
                    raise
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
