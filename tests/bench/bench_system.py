# SPDX-License-Identifier: Apache-2.0
"""The system under measurement: its roles as child processes, and what the kernel knows of them."""

import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import secrets
import select
import signal
import socket
import subprocess
import time
import urllib.request

ROLES = {
    "gateway": ["gateway"],
    "order": ["process", "order"],
    "inventory": ["process", "inventory"],
    "payment": ["process", "payment"],
    "shipping": ["process", "shipping"],
    "project": ["project"],
    "query": ["query"],
}
SERVERS = ("kafka", "registry", "postgres")
METRICS_KEY = f"ol_metrics_{secrets.token_hex(32)}"
STOCKING = 8  # connections that a catalogue comes over
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def pause(seconds):
    select.select([], [], [], seconds)


def free_ports(count):
    """Taken all at once, so that none comes twice."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


def stat_of(pid):
    """The fields of /proc/PID/stat after the name: [1] parent, [11..14] user and system ticks."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_s(pid, with_ended_children=False):
    stat = stat_of(pid)
    if stat is None:
        return 0.0
    last = 15 if with_ended_children else 13
    return sum(map(int, stat[11:last])) / TICKS_PER_S


def children_of(pid):
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = stat_of(entry)
            if stat and int(stat[1]) == pid:
                yield int(entry)


def memory_mib(pid, field):
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    except FileNotFoundError:
        pass
    return 0.0


def metrics_request(port):
    headers = {"Authorization": f"Bearer {METRICS_KEY}"}
    return urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)


class System:
    def __init__(self, program, directory, partitions, config):
        self.program = str(program)
        self.directory = pathlib.Path(directory)
        self.processes = {}
        self.gateway_port, self.query_port, *ports = free_ports(2 + len(ROLES))
        self.ports = dict(zip(ROLES, ports))
        self.gateway = f"http://127.0.0.1:{self.gateway_port}"
        self.token = f"ol_{secrets.token_hex(8)}_{secrets.token_hex(16)}"
        self.config = self.directory / "orderlog.conf"
        # The carrier acts at once, so that a whole life is the system's own time; the books of the
        # simulated provider and carrier are theirs, not ours, and stay in memory.
        self.config.write_text(
            f"""kafka.bootstrap.servers = {os.environ['ORDERLOG_KAFKA_BOOTSTRAP']}
postgres.conninfo = {os.environ['ORDERLOG_POSTGRES']}
registry.url = {os.environ['ORDERLOG_REGISTRY']}
gateway.port = {self.gateway_port}
query.port = {self.query_port}
gateway.url = {self.gateway}
query.url = http://127.0.0.1:{self.query_port}
topics.partitions.orders = {partitions}
topics.partitions.inventory = {partitions}
topics.partitions.other = {partitions}
metrics.key = {METRICS_KEY}
carrier.dispatch.after.ms = 0
carrier.deliver.after.ms = 0
"""
            + "".join(f"{name} = {value}\n" for name, value in config.items())
        )
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ORDERLOG_") or name == "ORDERLOG_CACHE"
        }

    def tool(self, *words, check=True):
        command = [self.program, words[0], "--config", str(self.config), *words[1:]]
        return subprocess.run(
            command, env=self.environment, check=check, stdout=subprocess.PIPE, text=True
        )

    def start(self, roles=ROLES):
        self.tool("setup")
        self.token = self.tool("keys", "create", "--scopes", "all").stdout.strip()
        self.start_roles(roles)

    def start_roles(self, names, arguments=()):
        """With these arguments, if any; returns when all of them are ready."""
        for name in names:
            self.start_role(name, arguments)
        for name in names:
            self.await_ready(name)

    def start_role(self, name, arguments=()):
        (self.directory / "log").mkdir(exist_ok=True)
        role = name.partition("-")[0]
        command = [self.program, *ROLES[role], *arguments, "--config", str(self.config)]
        command += ["--metrics.port", str(self.ports[name])]
        with open(self.directory / "log" / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )

    def start_workers(self, roles, count):
        """So many of each, in slots of their own, where one runs already: order-1, order-2 …"""
        for slot in range(1, count):
            for role in roles:
                [self.ports[f"{role}-{slot}"]] = free_ports(1)
                self.start_role(f"{role}-{slot}", ("--slot", str(slot)))
        for slot in range(1, count):
            for role in roles:
                self.await_ready(f"{role}-{slot}")

    def await_ready(self, name):
        deadline = time.monotonic() + 60
        while not self.is_ready(name):
            if time.monotonic() > deadline or self.processes[name].poll() is not None:
                log = (self.directory / "log" / f"{name}.log").read_text()
                raise SystemExit(f"bench: {name} is not ready:\n{log[-2000:]}")
            pause(0.1)

    def end_role(self, name, with_signal=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(with_signal)
        process.wait(20)

    def is_ready(self, name):
        try:
            url = f"http://127.0.0.1:{self.ports[name]}/readyz"
            return urllib.request.urlopen(url, timeout=2).status == 200
        except OSError:
            return False

    def stop(self):
        self.stop_roles(list(self.processes))

    def stop_roles(self, names):
        for name in names:
            self.processes[name].send_signal(signal.SIGTERM)
        for name in names:
            process = self.processes.pop(name)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                print(f"bench: {name} does not stop, killed")
                process.kill()
                process.wait()

    def dead(self):
        return [name for name, p in self.processes.items() if p.poll() is not None]

    # ---- what it uses ----------------------------------------------------------------------------

    def server_pid(self, name):
        return int((self.directory / f"{name}.pid").read_text().split()[0])

    def cpu(self, measuring):
        """Seconds of CPU so far, by process; those of PostgreSQL by what they serve. `measuring`:
        backends of the load generator."""
        used = {name: cpu_s(process.pid) for name, process in self.processes.items()}
        for name in ("kafka", "registry"):
            used[name] = cpu_s(self.server_pid(name))
        postmaster = self.server_pid("postgres")
        used["postgresql"] = used["postgresql, measuring"] = 0.0
        # Checkpoints, WAL writer, vacuum; backends that have ended.
        used["postgresql background"] = cpu_s(postmaster, with_ended_children=True)
        for pid in children_of(postmaster):
            try:
                title = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except FileNotFoundError:
                continue
            serves = title.startswith(b"postgres: orderlog orderlog ")
            name = "postgresql" if serves else "postgresql background"
            used["postgresql, measuring" if pid in measuring else name] += cpu_s(pid)
        return used

    def memory(self):
        pids = {name: process.pid for name, process in self.processes.items()}
        pids |= {name: self.server_pid(name) for name in ("kafka", "registry")}
        return {
            name: {"now_mib": memory_mib(pid, "VmRSS"), "peak_mib": memory_mib(pid, "VmHWM")}
            for name, pid in pids.items()
        }

    def metrics(self, name):
        """A role's metrics, each label set and, under the bare name, all of them added up; nothing
        while it does not answer."""
        found = {}
        try:
            request = metrics_request(self.ports[name])
            text = urllib.request.urlopen(request, timeout=5).read().decode()
        except OSError:
            return found
        for line in text.splitlines():
            series, _, value = line.rpartition(" ")
            if not series or line.startswith("#"):
                continue
            metric = series.partition("{")[0]
            found[metric] = found.get(metric, 0) + float(value)
            if series != metric:
                found[series] = float(value)
        return found

    def lags(self):
        """How far each role is behind, from its metrics."""
        found = {}
        for name in self.ports:
            metrics = self.metrics(name)
            for metric in ("orderlog_lag_records", "orderlog_projection_lag_records"):
                if metric in metrics:
                    found[name] = found.get(name, 0) + metrics[metric]
            if "orderlog_gateway_backlog_seconds" in metrics:
                found["gateway backlog ms"] = metrics["orderlog_gateway_backlog_seconds"] * 1000
        return found

    # ---- a catalogue -----------------------------------------------------------------------------

    def stock(self, skus, database):
        """Products BENCH-00000 … with plenty in stock; returns when the read model shows them."""
        with concurrent.futures.ThreadPoolExecutor(STOCKING) as pool:
            for done in [pool.submit(self.stock_some, range(first, skus, STOCKING))
                         for first in range(STOCKING)]:
                done.result()
        deadline = time.monotonic() + 60
        want = str(skus)
        while database("SELECT count(*) FROM inventory WHERE on_hand = 1000000") != want:
            if time.monotonic() > deadline:
                raise SystemExit("bench: the catalogue does not appear in PostgreSQL")
            pause(0.1)

    def stock_some(self, numbers):
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway_port, timeout=30)
        for number in numbers:
            sku = f"BENCH-{number:05}"
            price = 100 + number % 1900
            product = f'{{"name":"Bench {number}","price_minor":{price},"currency":"GBP"}}'
            self.call(connection, "PUT", f"/v1/products/{sku}", product)
            self.call(connection, "POST", f"/v1/inventory/{sku}/receive", '{"quantity":1000000}')
        connection.close()

    def call(self, connection, method, path, body):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        headers["Idempotency-Key"] = f"stock-{method}-{path}"
        deadline = time.monotonic() + 30
        while True:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            text = reply.read()
            if reply.status == 202:
                return
            # A new key is not known to the gateway at once; 503 says to come again.
            if reply.status not in (401, 503) or time.monotonic() > deadline:
                raise SystemExit(f"bench: {method} {path}: {reply.status} {text[:300]}")
            pause(0.2)
