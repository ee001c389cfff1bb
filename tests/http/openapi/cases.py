# SPDX-License-Identifier: Apache-2.0
"""schemathesis against both services as they run, over Kafka and PostgreSQL, with all its checks."""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "system"))
from world import Caller, World, expect, quote, wait_until  # noqa: E402

UNNAMED = "the OpenAPI document does not name this answer"


class ApiWorld(World):
    """With a master key for personal data, and room for all that is thrown at it."""

    def _configure(self, services, clean):
        super()._configure(services, clean)
        keys = self.folder / "master.keys"
        keys.write_text(os.urandom(32).hex() + "\n")
        keys.chmod(0o600)
        self.env.update(ORDERLOG_CUSTOMERS_MASTER_KEY_FILE=str(keys),
                        ORDERLOG_GATEWAY_BACKLOG_MS_MAX="1h")


def place_orders(world):
    """Something to be found by reads."""
    caller = Caller(world)
    for number, sku in enumerate(("TEA-250", "äö ü")):
        path = f"/v1/products/{quote(sku)}"
        caller.command("PUT", path, {"name": sku, "price_minor": 500, "currency": "EUR"}, f"p{number}")
        caller.command("POST", f"/v1/inventory/{quote(sku)}/receive", {"quantity": 1000}, f"r{number}")
    order = {"customer_id": "c1", "currency": "EUR", "lines": [{"sku": "TEA-250", "quantity": 1}]}
    wait_until("the catalogue has no product",
               lambda: caller.send("POST", "/v1/orders", order, "first")[0] == 202)
    for number in range(60):
        caller.command("POST", "/v1/orders", dict(order, reference=f"r{number}"), f"o{number}")
    wait_until("orders are not read", lambda: len(world.sql("SELECT 1 FROM orders")) > 60)


def cases_of(report):
    """How many requests were sent, and answers by status."""
    statuses = {}
    for line in report.read_text().splitlines():
        for status in re.findall(r'"status_code":\s*(\d+)', line):
            statuses[status] = statuses.get(status, 0) + 1
    return statuses


def count_operations(document):
    return sum(method in ("get", "put", "post", "delete") for item in document["paths"].values()
               for method in item)


def run(world, service, arguments):
    port = world.gateway_port if service == "gateway" else world.query_port
    url = f"http://127.0.0.1:{port}"
    report = world.folder / f"{service}.ndjson"
    statuses = {}
    seed = arguments.seed
    while sum(statuses.values()) < arguments.cases:
        # Each round draws other cases; how many it takes for an operation is up to schemathesis.
        done = subprocess.run(
            [arguments.schemathesis, "--config-file", HERE / "schemathesis.toml", "run",
             f"{url}/openapi.json", "--checks", "all", "--max-examples", str(arguments.examples),
             "--seed", str(seed), "--workers", "2", "--warnings", "off", "--report", "ndjson",
             "--report-ndjson-path", report, "--suppress-health-check", "all"],
            env=dict(world.env, SCHEMATHESIS_HOOKS="hooks", PYTHONPATH=str(HERE)),
            cwd=world.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print(done.stdout[-20000:], flush=True)
        expect(f"{service}: schemathesis finds nothing (seed {seed})", done.returncode == 0)
        for status, count in cases_of(report).items():
            statuses[status] = statuses.get(status, 0) + count
        seed += 1
    print(f"{service}: {sum(statuses.values())} cases, 0 failures; answers by status: "
          + ", ".join(f"{status} {count}" for status, count in sorted(statuses.items())), flush=True)
    text = world.roles[service].log.read_text(errors="replace")
    expect(f"{service}: every answer is named by the document", UNNAMED not in text,
           "\n".join(line for line in text.splitlines() if UNNAMED in line))
    world.roles[service].check_alive()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--schemathesis", required=True)
    parser.add_argument("--cases", type=int, default=300, help="at least, of each service")
    parser.add_argument("--examples", type=int, default=10, help="of each operation and round")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--service", choices=["gateway", "query"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderlog-openapi.") as folder:
        os.chmod(folder, 0o711)  # PostgreSQL does not run as root
        with ApiWorld(Path(arguments.program).resolve(), folder) as world:
            place_orders(world)
            for service in [arguments.service] if arguments.service else ["gateway", "query"]:
                run(world, service, arguments)


main()
