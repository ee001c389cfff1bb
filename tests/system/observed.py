# SPDX-License-Identifier: Apache-2.0
"""What operators see of the whole system while orders go through it: metrics of every role, traces
as a collector gets them, and logs that keep secrets to themselves."""

import argparse
import http.client
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from world import Caller, Failed, World, expect, wait_until

METRICS_KEY = "ol_metrics_" + "0123456789abcdef" * 4
MASTER_KEY = "0f1e2d3c" * 8
TRACE_KEY = "collector-key-" + "89abcdef" * 4
TRACE = uuid.uuid4().hex
PARENT = "b7ad6b7169203331"
# What must be in no log: people, and whatever opens something.
PERSONAL = ["Ada Lovelace", "ada.lovelace@example.org", "12 St James Square", "+44 20 7946 0958"]
# How soon an order expires that is to: time enough to stop who has placed it.
SOON = {"ORDERLOG_ORDER_RESERVATION_TTL_MS": "2500"}
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


class Collector:
    """An OTLP/HTTP receiver: keeps every span with the service that sent it."""

    def __init__(self):
        self.spans = []
        self.lock = threading.Lock()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                good = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json" \
                    and self.headers["Authorization"] == f"Bearer {TRACE_KEY}"
                if good:
                    collector.take(body)
                self.send_response(200 if good else 400)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, body):
        for resource in body["resourceSpans"]:
            service = attributes(resource["resource"])["service.name"]
            for scope in resource["scopeSpans"]:
                with self.lock:
                    self.spans += [dict(span, service=service, about=attributes(span))
                                   for span in scope["spans"]]

    def of_trace(self, trace_id):
        with self.lock:
            return [span for span in self.spans if span["traceId"] == trace_id]


def attributes(holder):
    return {a["key"]: next(iter(a["value"].values())) for a in holder["attributes"]}


class Observed(World):
    def __init__(self, program, folder, collector):
        super().__init__(program, folder)
        self.collector = collector
        self.programs = {}  # by role, where it is another one
        self.settings = {}

    def program_of(self, name):
        return self.programs.get(name, self.program)

    def env_of(self, name):
        return {**self.env, **self.settings.get(name, {})}

    def _configure(self, services, clean):
        super()._configure(services, clean)
        master = self.folder / "master.key"
        master.touch(0o600)
        master.write_text(MASTER_KEY + "\n")
        self.env.update(ORDERLOG_METRICS_KEY=METRICS_KEY, ORDERLOG_TRACE_OTLP_URL=self.collector.url,
                        ORDERLOG_TRACE_OTLP_KEY=TRACE_KEY, ORDERLOG_TRACE_SAMPLE_EVERY="1",
                        ORDERLOG_LOG_FORMAT="json", ORDERLOG_LOG_LEVEL="debug",
                        ORDERLOG_CUSTOMERS_MASTER_KEY_FILE=str(master))


def promtool():
    cache = os.environ.get("ORDERLOG_CACHE") or \
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orderlog"
    return Path(cache) / "linters/promtool"


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


ROLES = {"orderlog-gateway", "orderlog-order", "orderlog-inventory", "orderlog-payment",
         "orderlog-shipping", "orderlog-project"}


def post_order(world, key, **headers):
    body = {"customer_id": "c-1", "currency": "EUR", "reference": PERSONAL[0],
            "lines": [{"sku": "watched", "quantity": 1}]}
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway_port, timeout=15)
    connection.request("POST", "/v1/orders", json.dumps(body), {
        "Authorization": f"Bearer {world.token}", "Content-Type": "application/json",
        "Idempotency-Key": key, **headers})
    reply = connection.getresponse()
    answer = json.loads(reply.read())
    if reply.status != 202:
        raise Failed(f"POST /v1/orders: {reply.status} {answer}")
    return answer["order_id"]


def completed(world, order_id):
    return world.sql(f"SELECT 1 FROM orders WHERE order_id = '{order_id}' AND status = 'COMPLETED'")


def headers_by_order(world, *order_ids):
    """Headers of the events of each of the orders in the log, in order."""
    consumer = KafkaConsumer(bootstrap_servers=world.bootstrap, auto_offset_reset="earliest",
                             isolation_level="read_committed", consumer_timeout_ms=3000)
    consumer.assign([TopicPartition("orders.events", p) for p in range(4)])
    found = {order_id: [] for order_id in order_ids}
    for record in consumer:
        found.get(record.key.decode(), []).append(dict(record.headers))
    consumer.close()
    return found


def headers_of_events(world, order_id):
    return headers_by_order(world, order_id)[order_id]


def traces_in(headers):
    return {h.get("traceparent", b"").decode()[3:35] for h in headers}


def headers_of_snapshot(world, order_id):
    """Headers of the order's row, once a pass of snapshots has ended with it."""
    consumer = KafkaConsumer(bootstrap_servers=world.bootstrap, auto_offset_reset="earliest",
                             isolation_level="read_committed")
    consumer.assign([TopicPartition("orders.state", p) for p in range(4)])
    found = {}

    def ended():
        for place, records in consumer.poll(100).items():
            for record in records:
                if record.key == order_id.encode():
                    found[place] = dict(record.headers)
                elif record.key == b"/position" and place in found:
                    return [found[place]]

    headers = wait_until("no snapshot of the order", ended, 30)[0]
    consumer.close()
    return headers


def check_tree(what, spans, root_parent):
    """Every span but one has its parent among them; all come down from that one."""
    by_id = {span["spanId"]: span for span in spans}
    expect(f"{what}: span ids are unique", len(by_id) == len(spans))
    roots = [span for span in spans if span.get("parentSpanId") == root_parent]
    expect(f"{what}: one span is the root", len(roots) == 1, roots)
    for span in spans:
        seen = set()
        while span is not roots[0]:
            parent = by_id.get(span.get("parentSpanId"))
            if not parent or span["spanId"] in seen:
                raise Failed(f"{what}: {span} has no parent")
            if int(parent["startTimeUnixNano"]) > int(span["startTimeUnixNano"]) + 5_000_000:
                raise Failed(f"{what}: {span} began before its parent {parent}")
            seen.add(span["spanId"])
            span = parent
    print(f"holds  {what}: {len(spans)} spans, each begun by its parent")
    return roots[0], by_id


def whole_trace(world, trace_id, root_parent, events_count, services=ROLES):
    """Its spans, once all have come: each role sends its own, a second later at most."""
    def all_there():
        spans = world.collector.of_trace(trace_id)
        known = {root_parent} | {s["spanId"] for s in spans}
        projected = [s for s in spans if s["name"] == "project orders.events"]
        return len(projected) == events_count and {s["service"] for s in spans} == services and \
            {s.get("parentSpanId") for s in spans} <= known and spans

    try:
        return wait_until("spans are missing", all_there, 30)
    except Failed as failure:
        raise Failed(f"{failure}: {world.collector.of_trace(trace_id)}") from None


def one_order_is_one_trace(world):
    order_id = post_order(world, "traced", traceparent=f"00-{TRACE}-{PARENT}-01")
    wait_until("the traced order is not completed", lambda: completed(world, order_id))
    events = headers_of_events(world, order_id)
    expect("every event of the order carries its trace",
           events and all(e.get("traceparent", b"").decode().split("-")[1::2] == [TRACE, "01"] for e in events),
           events)

    spans = whole_trace(world, TRACE, PARENT, len(events))
    root, by_id = check_tree("the trace of an order", spans, PARENT)
    expect("its root is the request", root["name"] == "POST /v1/orders" and root["kind"] == 2 and
           root["about"]["http.response.status_code"] == "202" and
           root["about"]["orderlog.order_id"] == order_id, root)
    chain = ["project orders.events", "process StockAnswered", "process RequestStock",
             "process PlaceOrder", "send PlaceOrder", "POST /v1/orders"]
    ways = []
    for span in spans:
        way = []
        while span:
            way.append(span["name"])
            span = by_id.get(span.get("parentSpanId"))
        ways.append(way)
    expect(f"one way goes {' < '.join(chain)}", chain in ways, ways)
    expect("payment and shipping are called in it", {"process RequestPayment", "process RequestShipment"} <=
           {s["name"] for s in spans}, ways)
    for span in spans:
        about = span["about"]
        if span["name"].startswith("process"):
            expect_quietly(about["messaging.system"] == "kafka" and
                           about["messaging.destination.name"].endswith(".inbox") and
                           int(about["messaging.kafka.offset"]) >= 0 and
                           about["orderlog.order_id"] == order_id, span)
    parents = {s["parentSpanId"] for s in spans if s["name"].startswith("project")}
    expect("what is projected was decided in it", all(by_id[p]["name"].startswith("process") for p in parents))


def expect_quietly(condition, detail):
    if not condition:
        raise Failed(f"a span lacks what is known of it: {detail}")


def an_order_without_a_caller_trace_has_one_of_its_own(world):
    order_id = post_order(world, "own-trace")
    wait_until("the order is not completed", lambda: completed(world, order_id))
    trace_id = order_id.replace("-", "")
    spans = whole_trace(world, trace_id, None, len(headers_of_events(world, order_id)))
    root, _ = check_tree("an order's own trace", spans, None)
    expect("its trace id is the order's id, its root the request", root["name"] == "POST /v1/orders")


def what_follows_without_a_message_goes_on_in_the_orders_trace(world, faulty):
    """Deadlines pass, and a dead letter is retried, by order processors that have not seen what came before: they have
    it from events, a snapshot and a dead letter."""
    order, inventory = world.roles["order"], world.roles["inventory"]
    trace_of = {}

    def post(key):
        trace_id = uuid.uuid4().hex
        order_id = post_order(world, key, traceparent=f"00-{trace_id}-{PARENT}-01")
        trace_of[order_id] = trace_id
        return order_id

    def restart(**settings):
        order.stop()  # not killed: it has spans to tell
        world.settings["order"] = settings
        order.start()

    def expired(order_id):
        return world.sql(f"SELECT 1 FROM orders WHERE order_id = '{order_id}' AND status = 'EXPIRED'")

    order.stop()
    inventory.stop()
    late, sick = post("late"), post("sick")
    world.programs["order"] = faulty
    log, order.log = order.log, world.folder / "faulty.log"
    restart(ORDERLOG_FAULT=f"undecidable=OrderPlaced:{sick}", ORDERLOG_SNAPSHOT_INTERVAL_MS="0", **SOON)
    parked = wait_until("no input is parked", lambda: lines_of(order, "input parked with its key"))
    expect("the line about what is parked says order and trace",
           [(line["key"], line["order_id"], line["trace_id"]) for line in parked] ==
           [(sick, sick, trace_of[sick])], parked)
    wait_until("the order is not placed", lambda: world.sql(f"SELECT 1 FROM orders WHERE order_id = '{late}'"))

    world.programs.clear()
    order.log = log
    restart(ORDERLOG_SNAPSHOT_INTERVAL_MS="100", **SOON)
    later = post("later")
    row = headers_of_snapshot(world, later)
    expect("a snapshot carries the trace of its order", trace_of[later] in row.get("traceparent", b"").decode(), row)
    restart()
    wait_until("the orders do not expire", lambda: expired(late) and expired(later))
    inventory.start()
    world.tool("deadletters", "retry", "--key", sick)
    wait_until("what was retried is not completed", lambda: completed(world, sick))

    events = headers_by_order(world, late, later, sick)
    expect("every event carries the trace of its order",
           all(traces_in(events[order_id]) == {trace_of[order_id]} for order_id in events), events)
    for what, order_id in (("events", late), ("a snapshot", later)):
        what = f"an order that expired, known from {what}"
        spans = whole_trace(world, trace_of[order_id], PARENT, len(events[order_id]),
                            ROLES - {"orderlog-payment", "orderlog-shipping"})
        root, by_id = check_tree(f"the trace of {what}", spans, PARENT)
        deadlines = [s for s in spans if s["name"] == "deadline"]
        expect("its deadline is in it, caused by what happened last", root["name"] == "POST /v1/orders" and
               [(by_id[s["parentSpanId"]]["name"], s["about"]["orderlog.order_id"]) for s in deadlines] ==
               [("process PlaceOrder", order_id)], spans)
        expect("and so is what it led to", {"project orders.events", "process RequestStock"} <=
               {s["name"] for s in spans if s["parentSpanId"] == deadlines[0]["spanId"]}, spans)
    check_tree("the trace of an order that was retried",
               whole_trace(world, trace_of[sick], PARENT, len(events[sick])), PARENT)
    handled = lines_of(order, "message handled, which was parked")
    expect("the line about the retry says order and trace",
           [(line["order_id"], line["trace_id"]) for line in handled] == [(sick, trace_of[sick])], handled)


def lines_of(role, text):
    lines = (json.loads(line) for line in role.log.read_text().splitlines() if text in line)
    return [line for line in lines if line["text"] == text]


def what_the_caller_does_not_sample_is_carried_but_not_told(world):
    trace_id = uuid.uuid4().hex
    order_id = post_order(world, "unsampled", traceparent=f"00-{trace_id}-{PARENT}-00")
    wait_until("the order is not completed", lambda: completed(world, order_id))
    events = headers_of_events(world, order_id)
    expect("events carry an unsampled trace on",
           events and all(e.get("traceparent", b"").decode().split("-")[1::2] == [trace_id, "00"] for e in events),
           events)
    expect("and the collector is told nothing of it",
           not world.collector.of_trace(trace_id) and not world.collector.of_trace(order_id.replace("-", "")))


def a_read_is_a_span_of_its_callers_trace(world, order_id):
    trace_id = uuid.uuid4().hex
    status = call(world, world.query_port, "GET", f"/v1/orders/{order_id}", Authorization=f"Bearer {world.token}",
                  traceparent=f"00-{trace_id}-{PARENT}-01")
    spans = wait_until("the read's span does not come", lambda: world.collector.of_trace(trace_id), 10)
    expect("a read is a span of its caller's trace",
           status == 200 and [(s["service"], s["name"], s["parentSpanId"]) for s in spans] ==
           [("orderlog-query", "GET /v1/orders/{id}", PARENT)], spans)


def call(world, port, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    connection.request(method, path, body, headers)
    reply = connection.getresponse()
    reply.read()
    return reply.status


def logs_keep_what_is_not_theirs_to_themselves(world):
    stray = "ol_stray_" + "fedcba9876543210" * 4
    caller = {"Authorization": f"Bearer {world.token}", "Content-Type": "application/json"}
    name, mail, street, phone = PERSONAL
    # Whatever goes wrong with people's data and with keys.
    call(world, world.gateway_port, "POST", "/v1/orders", "{}", Authorization=f"Bearer {stray}")
    call(world, world.query_port, "GET", f"/v1/orders?api_key={stray}", Authorization=f"Bearer {stray}")
    call(world, world.gateway_port, "POST", "/v1/orders", f'{{"customer_id": "{mail}", "name": "{name}"',
         **caller)
    call(world, world.gateway_port, "POST", "/v1/orders", json.dumps({"email": mail, "lines": street}), **caller)
    customer = {"name": name, "email": mail,
                "addresses": [{"line1": street, "city": "London", "postal_code": "SW1Y 4LB", "country": "GB"}]}
    everything = {**caller, "Authorization":
                  "Bearer " + world.tool("keys", "create", "--scopes", "read,write,import,customers:*").strip()}
    wait_until("a customer is not taken", lambda: call(
        world, world.gateway_port, "PUT", "/v1/customers/c-1", json.dumps(customer),
        **{**everything, "Idempotency-Key": "ada"}) in (200, 202), 10)
    call(world, world.gateway_port, "PUT", "/v1/customers/c-1", json.dumps({**customer, "phone": phone}), **everything)
    call(world, world.query_port, "GET", "/v1/customers/c-1", **everything)
    trace_id = uuid.uuid4().hex
    order_id = post_order(world, "cancelled", traceparent=f"00-{trace_id}-{PARENT}-01")
    status = call(world, world.gateway_port, "POST", f"/v1/orders/{order_id}/cancel",
                  json.dumps({"reason": f"call {name}, {phone}"}),
                  **{**caller, "Idempotency-Key": "cancel-1"})
    expect("a cancel that says why is taken", status == 202, status)
    wait_until("the cancel is not answered", lambda: {"OrderCancelled", "OrderCommandRefused"} & {
        h["ce_type"].decode().rpartition(".")[2] for h in headers_of_events(world, order_id)}, 30)
    expect("a command without a trace is part of its order's",
           traces_in(headers_of_events(world, order_id)) == {trace_id}, headers_of_events(world, order_id))
    producer = KafkaProducer(bootstrap_servers=world.bootstrap)
    for topic in ("orders.inbox", "inventory.inbox", "payments.inbox", "orders.events"):
        producer.send(topic, f"{name} {mail} {street}".encode(), key=mail.encode() if "events" in topic else None,
                      headers=[("traceparent", f"00-{TRACE}-{PARENT}-01".encode())], partition=0).get(10)
    producer.close()
    wait_until("what is undecodable is not set aside", lambda: json.loads(
        world.tool("status", "--json"))["dead_letters"]["aside"] >= 3, 60)
    secrets = {"the API key": world.token, "its secret": world.token.rsplit("_", 1)[1],
               "the metrics key": METRICS_KEY, "the collector's key": TRACE_KEY, "a stray key": stray,
               "the master key": MASTER_KEY, "a key with more scopes": everything["Authorization"].split()[1],
               "PostgreSQL's password": re.search(r"password=(\S+)", world.postgres)[1],
               **{text: text for text in PERSONAL}}
    for role in world.roles.values():
        role.stop()
    read = 0
    # Kafka's segments end in .log too: they are data.
    logs = [*world.folder.glob("*.log"), *(world.folder / "services/log").glob("*")]
    expect("the servers' logs are looked at too", len(logs) > len(world.roles), logs)
    for log in logs:
        text = log.read_text(errors="replace")
        read += len(text)
        for what, secret in secrets.items():
            if secret in text:
                line = next(line for line in text.splitlines() if secret in line)
                raise Failed(f"{log.name} tells {what}: {line}")
    print(f"holds  {len(secrets)} secrets and personal data are in none of {read} bytes of logs")
    lines = []
    for role in world.roles.values():
        for line in role.log.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                raise Failed(f"{role.name} logs a line that is no JSON: {line}") from None
            expect_quietly({"time", "level", "text", "role"} <= set(lines[-1]), line)
    aside = [line for line in lines if line["text"] == "input set aside in the dead letters"]
    expect("a line about a message says where it stands",
           len(aside) >= 3 and all({"topic", "partition", "offset"} <= set(line) and line["trace_id"] == TRACE
                                   for line in aside), aside)
    traced = [line for line in lines if "trace_id" in line and "order_id" in line]
    expect(f"{len(traced)} of {len(lines)} lines say which order and trace they are about",
           any(line["role"] == "order" and "offset" in line for line in traced), traced[:3])
    projected = [line for line in traced if line["role"] == "project" and line["trace_id"] == TRACE]
    expect("a projector's lines about a record do, and say which",
           projected and all(line["topic"].endswith(".events") and {"partition", "offset"} <= set(line) and
                             line["order_id"] == projected[0]["order_id"] for line in projected),
           projected or [line for line in lines if line["role"] == "project"][-3:])
    skipped = [line for line in lines if line["text"] == "record skipped, kept in projection_skipped"]
    expect("also about one that it cannot take", [line.get("trace_id") for line in skipped] == [TRACE], skipped)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    parser.add_argument("faulty", help="path of orderlog-faulty")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderlog-observed.") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL has a user of its own
        try:
            with Observed(Path(options.program).resolve(), folder, Collector()) as world:
                placed = place_orders(world)
                one_order_is_one_trace(world)
                an_order_without_a_caller_trace_has_one_of_its_own(world)
                what_the_caller_does_not_sample_is_carried_but_not_told(world)
                what_follows_without_a_message_goes_on_in_the_orders_trace(world, Path(options.faulty).resolve())
                a_read_is_a_span_of_its_callers_trace(world, placed[0])
                metrics_of_every_role_are_as_prometheus_wants_them(world, placed)
                logs_keep_what_is_not_theirs_to_themselves(world)
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
