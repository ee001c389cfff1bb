# SPDX-License-Identifier: Apache-2.0
"""The tools on a running system: what they do, that doing it again changes nothing, and that they
say no where they must."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from world import PARTITIONS, Caller, Failed, World, expect, wait_until

CSV = """order_id,customer_id,ordered_at,line_no,sku,description,quantity,unit_price_minor,currency,line_total_minor
T-1,c1,2026-03-02T10:00:00,1,AB 1,"Ant, brown",2,100,GBP,200
T-2,,2026-03-02T10:01:00,1,AB 1,"Ant, brown",3,100,GBP,300
T-1,c1,2026-03-02T10:02:00,2,bee,Bee,1,50,GBP,50
T-3,c2,2026-03-02T10:03:00,1,bee,Bee,9,50,GBP,450
CT-4,c1,2026-03-02T10:04:00,1,AB 1,"Ant, brown",-2,100,GBP,-200
T-5,c1,2026-03-02T10:05:00,1,bee,adjust,1,-7,GBP,-7
T-6,c1,2026-03-02T10:06:00,1,bee,free,1,0,GBP,0
"""


def refuse(world, status, text, *arguments, **environment):
    """The tool must end with this status and say this."""
    done = subprocess.run([world.program, *arguments], env=dict(world.env, **environment), text=True,
                          timeout=120, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    expect(f"orderlog {' '.join(arguments)}: {status}, \"{text}\"",
           done.returncode == status and text in done.stdout, f"{done.returncode}\n{done.stdout}")


def committed(world, role):
    consumer = KafkaConsumer(bootstrap_servers=world.bootstrap, group_id=f"orderlog.{role}")
    topic = {"order": "orders", "payment": "payments"}.get(role, role) + ".inbox"
    found = {p: consumer.committed(TopicPartition(topic, p), metadata=True)
             for p in range(PARTITIONS)}
    consumer.close()
    return found


def setup_can_be_repeated(world):
    offsets = {role: committed(world, role) for role in ("order", "inventory", "payment", "shipping")}
    expect("setup commits an offset with metadata for every inbox partition",
           all(o and o.metadata.startswith("v1 ") for of in offsets.values() for o in of.values()),
           offsets)
    said = world.tool("setup")
    expect("setup again creates nothing", "0 created" in said and "offsets: 0 committed" in said and
           "0 migrations" in said, said)
    refuse(world, 78, "set topics.partitions.orders to 4", "setup", "--topics.partitions.orders=8")
    refuse(world, 69, "127.0.0.1:1", "setup", ORDERLOG_KAFKA_BOOTSTRAP="127.0.0.1:1")
    refuse(world, 69, "registry", "setup", ORDERLOG_REGISTRY="http://127.0.0.1:1/apis/ccompat/v7")
    refuse(world, 69, "postgres.conninfo", "setup", ORDERLOG_POSTGRES="host=127.0.0.1 port=1")


def keys_open_and_close(world):
    token = world.tool("keys", "create", "--scopes", "read", "--shop", "other", "--note", "a note").strip()
    key_id = token.split("_")[1]
    listed = world.tool("keys", "list")
    expect("a new key is listed without its secret", key_id in listed and "a note" in listed and
           token.split("_")[2] not in listed, listed)
    caller = Caller(world)
    mine, caller.world = world.token, world
    world.token = token
    try:
        wait_until("the gateway does not know the new key", lambda: caller.send(
            "POST", "/v1/orders", {}, "k")[0] == 403, 20)
        world.tool("keys", "revoke", key_id)
        wait_until("the gateway still takes the revoked key", lambda: caller.send(
            "POST", "/v1/orders", {}, "k")[0] == 401, 20)
    finally:
        world.token = mine
    print("holds  a key opens what its scopes say, and nothing once revoked")
    refuse(world, 1, "there is no key nobody", "keys", "revoke", "nobody")
    refuse(world, 64, "does not know 'root'", "keys", "create", "--scopes", "root")


def a_replay_counts_every_outcome(world):
    path = world.folder / "tools.csv"
    path.write_text(CSV)
    for attempt in ("once", "again"):
        said = world.tool("replay", path, "--stock", "5")
        rows = {line[:58].strip(): line[58:].split() for line in said.splitlines()}
        expect(f"replayed {attempt}, completed are counted", rows.get("completed") == ["3", "4", "550"], said)
        expect(f"replayed {attempt}, short ones are counted",
               rows.get("rejected: OUT_OF_STOCK") == ["1", "1", "450"], said)
        expect(f"replayed {attempt}, returns are counted",
               rows.get("refused by the gateway: invalid-quantity") == ["1", "1", "-200"], said)
        expect(f"replayed {attempt}, adjustments are counted",
               rows.get("refused by the gateway: invalid-amount") == ["1", "1", "-7"], said)
        expect(f"replayed {attempt}, sums agree", "they agree" in said and "unexplained: 0" in said, said)
        levels = {r["sku"]: (r["on_hand"], r["reserved"], r["sold"])
                  for r in world.sql("SELECT * FROM inventory WHERE sku IN ('AB 1', 'bee')")}
        expect(f"replayed {attempt}, stock is as if once",
               levels == {"AB 1": (0, 0, 5), "bee": (3, 0, 2)}, levels)
    refuse(world, 1, "unauthenticated", "replay", str(path), "--stock",
           "5", "--key", "ol_nobody_0123456789abcdef", "--patience", "1")
    refuse(world, 65, "no column", "replay", __file__)
    refuse(world, 64, "--stock", "replay", str(path), "--stock", "many")


def a_bench_finds_what_it_placed(world):
    for batch, orders in (("0", 60), ("20", 60)):
        found = json.loads(world.tool("bench", "--rate", "30", "--seconds", "2", "--skus", "7",
                                      "--batch", batch, "--json"))
        expect(f"bench with batches of {batch} finds every order it placed",
               found["orders"] == orders and found["found"] == orders - found["refused"]
               and found["missing"] == found["different"] == 0, found)
        expect(f"bench with batches of {batch} times every order",
               found["accepted"]["count"] == found["found"]
               and found["visible"]["count"] == found["looked_for"]
               and 0 < found["accepted"]["p50_ms"] <= found["visible"]["max_ms"], found)
        rows = world.sql("SELECT count(*) AS orders FROM orders WHERE customer_id LIKE 'customer-%'")
        expect("they are in the read model", rows[0]["orders"] >= found["found"], rows)
    refuse(world, 1, "unauthenticated", "bench", "--key", "ol_nobody_0123456789abcdef",
           "--wait", "1")
    refuse(world, 64, "--rate must be", "bench", "--rate", "many")
    refuse(world, 64, "--skus must be", "bench", "--skus", "1")
    refuse(world, 64, "at most", "bench", "--rate", "1000000", "--seconds", "86400")


SPOIL = """
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN NEW.customer_id := NEW.customer_id || ''!''; RETURN NEW; END';
CREATE TRIGGER spoil BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION spoil();
"""


def a_bench_sees_another_content(world):
    subprocess.run(["psql", "-Xq", world.postgres, "-c", SPOIL], check=True)
    done = subprocess.run([world.program, "bench", "--rate", "10", "--seconds", "1", "--json"],
                          env=world.env, text=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    expect("bench says that an order is not what was sent",
           done.returncode == 1 and found["different"] > 0 and found["found"] == 0, found)


def events_tell_one_orders_life(world):
    order_id = world.sql("SELECT order_id FROM orders WHERE reference = 'T-1'")[0]["order_id"]
    lines = world.tool("events", order_id).splitlines()
    expect("events begins with OrderPlaced and ends with OrderCompleted",
           "OrderPlaced" in lines[0] and "OrderCompleted" in lines[-1], lines)
    records = [json.loads(line) for line in world.tool("events", order_id, "--json").splitlines()]
    expect("events as JSON have gap-free versions",
           [r["event"]["version"] for r in records] == list(range(1, len(lines) + 1)), records)
    refuse(world, 1, "knows no order", "events", "00000000-0000-4000-8000-000000000000")
    refuse(world, 64, "no order id", "events", "T-1")


def status_says_when_all_is_done(world):
    def all_done():
        said = json.loads(world.tool("status", "--json"))
        readers = said["processors"] + said["projections"]
        return len(readers) >= 9 and all(r["behind"] == 0 and r["exact"] for r in readers) and said

    said = wait_until("status does not come to 0", all_done, 30, 0.5)
    print("holds  status counts 0 records behind when all is done")
    working = {worker["role"]: worker for worker in said["workers"] if worker["partitions_count"]}
    roles = {"order", "inventory", "payment", "shipping", "project orders.events", "project inventory.events"}
    expect("status names every worker with its partitions",
           set(working) == roles and all(w["partitions"] == "0-3" for w in working.values()) and
           working["order"]["instance"] == "order-0", said["workers"])
    expect("status says that gateway and query service are ready",
           [(s["name"], s["ready"]) for s in said["services"]] == [("gateway", True), ("query", True)], said)
    expect("status knows of no open order and of no dead letter",
           said["orders"] == {"oldest_open": None, "needing_attention": 0} and
           not any(said["dead_letters"].values()), said)
    text = world.tool("status")
    expect("status says it in words, too", "Oldest open order: none" in text and "order-0" in text, text)


def a_read_model_is_paused_resumed_and_reset(world):
    refuse(world, 64, "there is no read model 'nosuch'; there are:", "projection", "pause", "nosuch")
    refuse(world, 64, "usage:", "projection", "stop", "orders")
    refuse(world, 64, "--confirm inventory", "projection", "reset", "inventory")
    refuse(world, 64, "--confirm inventory", "projection", "reset", "inventory", "--confirm", "orders")
    before = world.sql("SELECT * FROM inventory ORDER BY shop_id, sku")
    said = world.tool("projection", "pause", "inventory")
    expect("pause says what it did", "inventory is paused" in said, said)
    expect("pause again says so", "was paused before" in world.tool("projection", "pause", "inventory"))
    status = json.loads(world.tool("status", "--json"))
    expect("status says which read model is paused",
           [p["name"] for p in status["projections"] if p["paused"]] == ["inventory"], status)
    said = world.tool("projection", "reset", "inventory", "--confirm", "inventory")
    expect("a reset read model that is paused stays empty",
           not world.sql("SELECT * FROM inventory") and "is empty" in said, said)
    world.tool("projection", "resume", "inventory")
    wait_until("a reset read model is not built again",
               lambda: world.sql("SELECT * FROM inventory ORDER BY shop_id, sku") == before, 30)
    print("holds  a reset read model is built again, the same as before")


def verify_finds_what_was_tampered_with(world):
    expect("verify passes", "All promises hold" in world.tool("verify"))
    for what, damage, repair, promise in (
            ("a changed order", "UPDATE orders SET lines_count = lines_count + 1 WHERE reference = 'T-1'",
             "UPDATE orders SET lines_count = lines_count - 1 WHERE reference = 'T-1'",
             "orders in PostgreSQL"),
            ("a changed sum", "UPDATE customer_counts SET total_minor = total_minor + 1 "
             "WHERE customer_id = 'c2'", "UPDATE customer_counts SET total_minor = total_minor - 1 "
             "WHERE customer_id = 'c2'", "customer_counts"),
            ("a changed line", "UPDATE order_line_sets SET lines = "
             "replace(lines, '\"AB 1\",\"quantity\":', '\"AB 1\",\"quantity\":1')",
             "UPDATE order_line_sets SET lines = "
             "replace(lines, '\"AB 1\",\"quantity\":1', '\"AB 1\",\"quantity\":')",
             "order_lines in PostgreSQL"),
            ("a changed SKU", "UPDATE inventory SET on_hand = 99 WHERE sku = 'bee'",
             "UPDATE inventory SET on_hand = 3 WHERE sku = 'bee'", "inventory in PostgreSQL"),
            ("a lost timeline row", "UPDATE order_timeline_parts SET history = (history::jsonb - 0)::text", None,
             "order_timeline in PostgreSQL")):
        subprocess.run(["psql", "-Xq", world.postgres, "-c", damage], check=True)
        done = subprocess.run([world.program, "verify"], env=world.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        found = [line for line in done.stdout.splitlines() if "VIOLATIONS" in line]
        expect(f"verify finds {what} and nothing else",
               done.returncode == 1 and len(found) == 1 and promise in found[0], done.stdout)
        if repair:
            subprocess.run(["psql", "-Xq", world.postgres, "-c", repair], check=True)


def the_program_explains_itself(world):
    for arguments in ([], ["generate"], ["replay"], ["bench"], ["verify"], ["setup"], ["keys"], ["events"],
                      ["status"], ["ledger"], ["gateway"], ["project"], ["query"]):
        said = world.tool(*arguments, "--help")
        expect(f"orderlog {' '.join(arguments)} --help says how", "sage: orderlog" in said, said)
    refuse(world, 64, "The nearest is 'verify'", "verfy")
    refuse(world, 64, "--orders must be", "generate", "--orders", "many")
    refuse(world, 64, "--day must be", "generate", "--day", "2026-02-30")
    refuse(world, 64, "no-such-option", "verify", "--no-such-option")
    same = [world.tool("generate", "--orders", "50", "--seed", "3") for _ in range(2)]
    expect("generate gives the same orders for the same seed", same[0] == same[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderlog-tools.") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL has a user of its own
        try:
            with World(Path(options.program).resolve(), folder) as world:
                the_program_explains_itself(world)
                setup_can_be_repeated(world)
                keys_open_and_close(world)
                a_replay_counts_every_outcome(world)
                events_tell_one_orders_life(world)
                a_bench_finds_what_it_placed(world)
                status_says_when_all_is_done(world)
                a_read_model_is_paused_resumed_and_reset(world)
                verify_finds_what_was_tampered_with(world)
                a_bench_sees_another_content(world)
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
