# SPDX-License-Identifier: Apache-2.0
"""What operators see of the whole system while orders go through it: metrics of every role."""

import argparse
import http.client
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from world import Caller, Failed, World, expect, wait_until

METRICS_KEY = "ol_metrics_" + "0123456789abcdef" * 4
# What each role must have shown once orders have gone through.
SHOWN = {
    "gateway": ["orderlog_http_request_seconds_count", "orderlog_gateway_commands_total",
                "orderlog_gateway_produce_seconds_count", "orderlog_gateway_catalogue_age_seconds"],
    "order": ["orderlog_lag_seconds", "orderlog_lag_records", "orderlog_commit_seconds_count",
              'orderlog_step_seconds_count{role="order",step="input"}',
              'orderlog_step_seconds_count{role="order",step="transaction"}',
              "orderlog_delay_seconds_count", 'orderlog_transactions_total{outcome="aborted"}',
              "orderlog_open_orders", "orderlog_state_bytes", "orderlog_partitions",
              "orderlog_dead_letters_total", "orderlog_parked_letters"],
    "inventory": ['orderlog_step_seconds_count{role="inventory",step="input"}', "orderlog_state_bytes"],
    "payment": ['orderlog_step_seconds_count{role="payment",step="call"}', "orderlog_outside_calls"],
    "shipping": ['orderlog_step_seconds_count{role="shipping",step="call"}'],
    "project": ['orderlog_step_seconds_count{role="project",step="apply"}', "orderlog_delay_seconds_count",
                "orderlog_projection_lag_seconds", "orderlog_projected_records_total"],
    "query": ['orderlog_step_seconds_count{role="query",step="database"}', "orderlog_database_connections",
              "orderlog_http_refused_total", "orderlog_oldest_open_order_seconds"],
}


class Observed(World):
    def _configure(self, services, clean):
        super()._configure(services, clean)
        self.env.update(ORDERLOG_METRICS_KEY=METRICS_KEY)


def promtool():
    cache = os.environ.get("ORDERLOG_CACHE") or \
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orderlog"
    return Path(cache) / "checks/promtool"


def metrics_of(role):
    connection = http.client.HTTPConnection("127.0.0.1", role.metrics_port, timeout=5)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {METRICS_KEY}"})
    reply = connection.getresponse()
    text = reply.read().decode()
    if reply.status != 200:
        raise Failed(f"/metrics of {role.name}: {reply.status} {text}")
    return text


def place_orders(world):
    caller = Caller(world)
    caller.command("PUT", "/v1/products/watched", {"name": "Watched", "currency": "EUR", "price_minor": 500}, "w-1")
    caller.command("POST", "/v1/inventory/watched/receive", {"quantity": 100}, "w-2")
    placed = []
    for i in range(5):
        body = {"customer_id": "c-1", "currency": "EUR", "lines": [{"sku": "watched", "quantity": 1}]}
        placed.append(caller.command("POST", "/v1/orders", body, f"watched-{i}", ("unknown-sku",))["order_id"])
    wait_until("the orders are not completed", lambda: world.sql(
        "SELECT 1 FROM orders WHERE status = 'COMPLETED' HAVING count(*) = 5"), 60)
    return placed


def read(world, path):
    connection = http.client.HTTPConnection("127.0.0.1", world.query_port, timeout=5)
    connection.request("GET", path, headers={"Authorization": f"Bearer {world.token}"})
    reply = connection.getresponse()
    reply.read()
    return reply.status


def metrics_of_every_role_are_as_prometheus_wants_them(world, placed):
    read(world, f"/v1/orders/{placed[0]}")
    read(world, "/v1/orders/00000000-0000-4000-8000-000000000000")
    known = {line.split()[0] for line in world.tool("metrics").splitlines()}
    for role in world.roles.values():
        def missing(role=role):
            text = metrics_of(role)
            return [name for name in SHOWN[role.name]
                    if not re.search(rf"^{re.escape(name)}[ {{]", text, re.MULTILINE)]

        wait_until(f"metrics of {role.name} lack {missing()}", lambda role=role: not missing(role), 30)
        text = metrics_of(role)
        done = subprocess.run([promtool(), "check", "metrics"], input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        expect(f"promtool finds nothing wrong with the metrics of {role.name}",
               done.returncode == 0 and not done.stdout, done.stdout)
        told = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
        expect(f"every metric of {role.name} is in the table", told <= known, told - known)
        expect(f"{role.name} is ready in its metrics", "\norderlog_ready 1\n" in text, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderlog-observed.") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL has a user of its own
        try:
            with Observed(Path(options.program).resolve(), folder) as world:
                placed = place_orders(world)
                metrics_of_every_role_are_as_prometheus_wants_them(world, placed)
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
