# SPDX-License-Identifier: Apache-2.0
"""Servers and roles of one system under test, as processes that can be killed and started again."""

import http.client
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
READY_S = 60
SERVICES = ROOT / "compose/services.sh"


# Real orders where they are at hand; tests make do without.
REAL_ORDERS = Path(os.environ.get("ORDERLOG_DATA_DIR", ROOT.parent / "shared" / "data")) / "online_retail.csv.gz"


class Failed(Exception):
    """A promise was broken; the text says which."""


def expect(what, condition, detail=""):
    if not condition:
        raise Failed(f"{what}\n{detail}")
    print(f"holds  {what}", flush=True)


def wait_until(what, condition, seconds=60, every_s=0.05):
    """Returns the first true value of condition(); fails when there is none in time. A machine that
    stands still, and we with it, takes nothing of that time."""
    deadline = time.monotonic() + seconds
    nothing = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"after {seconds} s: {what}")
        paused_at = time.monotonic()
        nothing.wait(every_s)
        overslept = time.monotonic() - paused_at - every_s
        if overslept > 1:
            deadline += overslept


taken_ports = []  # sockets, for as long as this process lives


def free_port():
    """Below those of tests/support/services. Bound from now on, so that another test takes another one;
    with SO_REUSEADDR, which roles set too, they may still listen on it."""
    while True:
        taken = socket.socket()
        try:
            taken.bind(("127.0.0.1", random.randrange(10000, 20000)))
        except OSError:
            taken.close()
            continue
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken_ports.append(taken)
        return taken.getsockname()[1]


class Role:
    """One long-running role; its port stays the same when it is started again."""

    def __init__(self, world, name, arguments):
        self.world = world
        self.name = name
        self.arguments = arguments
        self.metrics_port = free_port()
        self.process = None
        self.log = world.folder / f"{name}.log"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.world.program_of(self.name), *self.arguments, "--metrics.port", str(self.metrics_port)],
                env=self.world.env_of(self.name), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def is_ready(self):
        self.check_alive()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=2)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended by itself with {self.process.returncode}:\n{self.tail()}")

    def kill(self):
        self.check_alive()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class World:
    """Starts everything in __enter__, ends everything in __exit__."""

    def __init__(self, program, folder):
        self.program = str(program)
        self.partitions = PARTITIONS
        self.folder = Path(folder)
        self.services = self.folder / "services"
        self.roles = {}
        self.env = {}

    def __enter__(self):
        services = self.services
        services.mkdir()
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ORDERLOG_") or
                 k == "ORDERLOG_CACHE"}
        try:
            self._start_servers(services, clean)
            self._configure(services, clean)
            self.tool("setup")
            self.token = self.tool("keys", "create", "--scopes", "all").strip()
            self.env["ORDERLOG_API_KEY"] = self.token
            self._start_roles()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        for role in self.roles.values():
            if role.process and role.process.poll() is None:
                role.process.kill()
                role.process.wait()
        subprocess.run([ROOT / "tests/support/services", "stop", self.services])

    def _start_servers(self, services, clean):
        subprocess.run([ROOT / "tests/support/services", "start", services], check=True, env=clean)

    def _configure(self, services, clean):
        servers = {}
        for line in (services / "env").read_text().splitlines():
            name, value = line.split("=", 1)
            servers[name] = shlex.split(value)[0] if value else ""
        self.bootstrap = servers["ORDERLOG_KAFKA_BOOTSTRAP"]
        self.postgres = servers["ORDERLOG_POSTGRES"]
        self.registry = servers["ORDERLOG_REGISTRY"]
        self.gateway_port = free_port()
        self.query_port = free_port()
        self.env = dict(
            clean, **servers,
            ORDERLOG_TOPICS_PARTITIONS_ORDERS=str(self.partitions),
            ORDERLOG_TOPICS_PARTITIONS_INVENTORY=str(self.partitions),
            ORDERLOG_TOPICS_PARTITIONS_OTHER=str(self.partitions),
            ORDERLOG_GATEWAY_URL=f"http://127.0.0.1:{self.gateway_port}",
            ORDERLOG_QUERY_URL=f"http://127.0.0.1:{self.query_port}",
            ORDERLOG_PAYMENT_LEDGER=str(self.folder / "payment.ledger"),
            ORDERLOG_CARRIER_LEDGER=str(self.folder / "carrier.ledger"),
            # Short, so that lost answers of the provider are looked up while we watch.
            ORDERLOG_ORDER_PAYMENT_TIMEOUT_MS="3000",
            ORDERLOG_PAYMENT_CALL_TIMEOUT_MS="1000",
        )

    def _start_roles(self):
        for name, arguments in {
            "order": ["process", "order"],
            "inventory": ["process", "inventory"],
            "payment": ["process", "payment"],
            "shipping": ["process", "shipping"],
            "project": ["project"],
            "gateway": ["gateway", "--gateway.port", str(self.gateway_port)],
            "query": ["query", "--query.port", str(self.query_port)],
        }.items():
            self.roles[name] = Role(self, name, arguments)
            self.roles[name].start()
        for role in self.roles.values():
            wait_until(f"{role.name} is not ready", role.is_ready, READY_S)

    def env_of(self, name):
        """What a role finds in its environment."""
        return self.env

    def program_of(self, name):
        return self.program

    def kill_and_restart(self, name):
        role = self.roles[name]
        role.kill()
        role.start()

    # ---- servers ----

    def place_of(self, name):
        """What services.sh calls a server, and its folder: brokers of a cluster have their own."""
        if not name.startswith("kafka"):
            return name, self.services
        number = name.removeprefix("kafka")
        return "kafka", self.services / f"broker{number}" if number > "1" else self.services

    def server_pid(self, name):
        service, folder = self.place_of(name)
        return int((folder / f"{service}.pid").read_text().split()[0])

    def signal_server(self, name, number):
        """Ends it, or stops it, or lets it go on."""
        pid = self.server_pid(name)
        os.kill(pid, number)
        if number in (signal.SIGKILL, signal.SIGQUIT, signal.SIGTERM):
            wait_until(f"{name} does not end", lambda: not is_running(pid), 60)

    def server_is_ready(self, name):
        service, folder = self.place_of(name)
        ready = ["bash", "-c", f'. "{SERVICES}"; ready_{service} "{folder}"']
        return subprocess.run(ready, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def server_runs(self, name):
        return is_running(self.server_pid(name))

    def start_server(self, name):
        service, folder = self.place_of(name)
        with open(folder / "log" / f"{service}.log", "ab") as log:
            process = subprocess.Popen(["setsid", str(SERVICES), "exec", service, str(folder)],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        (folder / f"{service}.pid").write_text(f"{process.pid} {start_time(process.pid)}\n")
        wait_until(f"{name} is not ready", lambda: self.server_is_ready(name), 60)

    # ---- tools ----

    def tool(self, *arguments, timeout=300, env=None):
        """Runs a tool to its end; returns what it printed."""
        done = subprocess.run([self.program, *map(str, arguments)], env=env or self.env, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failed(f"orderlog {' '.join(map(str, arguments))} ended with {done.returncode}:\n"
                         f"{done.stdout}{done.stderr}")
        return done.stdout

    def sql(self, query):
        """Rows of a query as dicts of text; null is None."""
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-At", self.postgres],
                              input=f"SELECT row_to_json(q) FROM ({query}) AS q", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]


def process_stat(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def is_running(pid):
    stat = process_stat(pid)
    return stat is not None and stat[0] != "Z"


def start_time(pid):
    return process_stat(pid)[19]



class Caller:
    """An HTTP caller that asks again, with the same key, until it is told 202 or a refusal."""

    def __init__(self, world):
        self.world = world

    def send(self, method, path, body, key, again_on=(), seconds=90):
        answer = {}

        def settled():
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.world.gateway_port,
                                                        timeout=15)
                connection.request(method, path, json.dumps(body), {
                    "Authorization": f"Bearer {self.world.token}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": key,
                })
                reply = connection.getresponse()
                text = reply.read()
            except (OSError, http.client.HTTPException):
                return False  # killed, or not up again: the outcome is not known
            if reply.status in (429, 503, 504):
                return False
            answer["status"] = reply.status
            answer["body"] = json.loads(text)
            return answer["body"].get("type", "").rsplit(":", 1)[-1] not in again_on

        wait_until(f"{method} {path} is not answered", settled, seconds, 0.1)
        return answer["status"], answer["body"]

    def command(self, method, path, body, key, again_on=()):
        """Must be accepted, after any answers of the problem types again_on; returns the body."""
        status, answer = self.send(method, path, body, key, again_on)
        if status != 202:
            raise Failed(f"{method} {path}: {status} {answer}")
        return answer


def quote(text):
    return urllib.parse.quote(text, safe="")
