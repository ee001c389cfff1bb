# SPDX-License-Identifier: Apache-2.0
"""Read models made anew beside the live ones, while orders come and are read: equal to what was live,
put in its place without anybody noticing, and not where they differ."""

import argparse
import http.client
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from world import Failed, World, expect

MODELS = ("orders", "order_timeline", "order_commands", "inventory", "stock_commands",
          "customers", "customer_commands")


class Reader:
    """Reads all the time; remembers every answer that was none."""

    def __init__(self, world, paths):
        self.world, self.paths = world, paths
        self.reads, self.failures = 0, []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.world.query_port, timeout=15)
        while not self.stopping.is_set():
            for path in self.paths:
                connection.request("GET", path, headers={"Authorization": f"Bearer {self.world.token}"})
                reply = connection.getresponse()
                text = reply.read()
                self.reads += 1
                if reply.status != 200:
                    self.failures.append((path, reply.status, text))


def place(world, name, seed, orders=300):
    day = world.folder / f"{name}.csv"
    day.write_text(world.tool("generate", "--orders", orders, "--seed", seed))
    world.tool("replay", day, "--stock", "auto")


def rebuild(world, *arguments):
    done = subprocess.run([world.program, "rebuild", *arguments], env=world.env, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="", flush=True)
    return done.returncode, done.stdout


def generations(world):
    return {r["projection"]: (r["low"], r["high"]) for r in world.sql(
        "SELECT projection, min(generation) AS low, max(generation) AS high FROM projection_offsets "
        "GROUP BY projection")}


def rebuilt_ones_take_the_place_of_live_ones(world, paths):
    failed = []

    def keep_placing():
        try:
            place(world, "meanwhile", 12)
        except Failed as why:
            failed.append(why)

    placing = threading.Thread(target=keep_placing)
    with Reader(world, paths) as reader:
        placing.start()
        for name in MODELS:
            status, said = rebuild(world, name)
            expect(f"{name} is rebuilt while orders come, and equal to the live one",
                   status == 0 and "equal" in said and "DIFFERENT" not in said, said)
        placing.join()
    expect("orders went on being placed", not failed, failed)
    expect(f"no read failed meanwhile ({reader.reads} were answered)",
           reader.reads > 100 and not reader.failures,
           f"{reader.failures[:5]}\n{world.roles['query'].tail()}")
    expect("each has one generation, the second", set(generations(world).values()) == {(2, 2)},
           generations(world))
    expect("nothing is left over", not world.sql(
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'"))
    expect("who might read the live one may read what took its place", world.sql(
        "SELECT has_table_privilege('somebody', 'orders', 'SELECT') AND NOT"
        " has_table_privilege('somebody', 'orders', 'DELETE') AS may")[0]["may"] is True)
    expect("verify passes, projectors went on", "All promises hold" in world.tool("verify"))


def a_difference_is_not_swapped_unless_accepted(world):
    subprocess.run(["psql", "-Xq", world.postgres, "-c", "UPDATE orders SET lines_count = 77 "
                    "WHERE order_id = (SELECT min(order_id::text)::uuid FROM orders)"], check=True)
    tampered = "SELECT order_id FROM orders WHERE lines_count = 77"
    status, said = rebuild(world, "orders")
    expect("a difference is told, and nothing is changed",
           status == 1 and "DIFFERENT" in said and world.sql(tampered), said)
    expect("nothing is left over", not world.sql(
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'"))
    status, said = rebuild(world, "orders", "--accept")
    expect("an accepted difference is swapped in", status == 0 and not world.sql(tampered), said)


def what_others_made_of_the_tables_is_not_dropped(world):
    subprocess.run(["psql", "-Xq", world.postgres, "-c",
                    "CREATE VIEW somebodys AS SELECT count(*) FROM orders"], check=True)
    status, said = rebuild(world, "orders")
    expect("a view of somebody's own is named and left alone",
           status != 0 and "somebodys" in said and world.sql("SELECT * FROM somebodys"), said)
    subprocess.run(["psql", "-Xq", world.postgres, "-c", "DROP VIEW somebodys"], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderlog-rebuild.") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL has a user of its own
        with World(options.program, Path(folder)) as world:
            place(world, "before", 11)
            subprocess.run(["psql", "-Xq", world.postgres, "-c",
                            "CREATE ROLE somebody; GRANT SELECT ON orders TO somebody"], check=True)
            ids = [r["order_id"] for r in world.sql("SELECT order_id FROM orders LIMIT 3")]
            paths = ["/v1/orders?limit=5", "/v1/stats?unit=day"]
            paths += [f"/v1/orders/{i}" for i in ids] + [f"/v1/orders/{i}/events" for i in ids]
            rebuilt_ones_take_the_place_of_live_ones(world, paths)
            a_difference_is_not_swapped_unless_accepted(world)
            what_others_made_of_the_tables_is_not_dropped(world)
            place(world, "after", 13, 50)
            expect("verify passes at the end", "All promises hold" in world.tool("verify"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
