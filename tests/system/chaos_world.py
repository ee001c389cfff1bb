# SPDX-License-Identifier: Apache-2.0
"""The system under chaos: world.py's, with a supervisor that restarts roles as a service manager
does, servers that can be killed and started again, and optionally a proxy between them."""

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

from world import ROOT, Failed, Role, World, free_port, wait_until

SERVICES = ROOT / "compose/services.sh"
FAKETIME = next((path for path in (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/faketime/libfaketimeMT.so.1")) if path.exists()), None)
PROCESSORS = ("order", "inventory", "payment", "shipping")

# What a role may end itself with while its servers are being broken; all else is a defect. A fatal
# error of the client library ends a process with 70 and "restart" as its cure.
EXPECTED_EXITS = {0: "stopped", 69: "unavailable", 70: "internal", 80: "fenced", 81: "watchdog",
                  83: "shutdown time-out", -signal.SIGKILL: "killed"}

AUDIT = """
CREATE TABLE IF NOT EXISTS audit_offsets (projection text, topic text, partition integer,
    was bigint, became bigint);
CREATE OR REPLACE FUNCTION audit_offsets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.next_offset < OLD.next_offset THEN
        INSERT INTO audit_offsets VALUES (OLD.projection, OLD.topic, OLD.partition,
            OLD.next_offset, NEW.next_offset);
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER audit_offsets AFTER UPDATE ON projection_offsets
    FOR EACH ROW EXECUTE FUNCTION audit_offsets();
"""


class ChaosRole(Role):
    """Started again by the supervisor whenever it ends while it is wanted."""

    def __init__(self, world, name, arguments):
        super().__init__(world, name, arguments)
        self.lock = threading.RLock()
        self.wanted = False
        self.extra = {}  # environment for the next start
        self.restart_at = 0

    def start(self):
        with self.lock, open(self.log, "ab") as log:
            self.wanted = True
            self.process = subprocess.Popen(
                [self.world.program, *self.arguments, "--metrics.port", str(self.metrics_port)],
                env={**self.world.env, **self.extra}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)

    def send(self, number):
        with self.lock:
            if self.process.poll() is None:
                self.process.send_signal(number)

    def end(self, number=signal.SIGKILL):
        """For good, as far as the supervisor goes."""
        with self.lock:
            self.wanted = False
            if self.process and self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(25)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()

    def check_alive(self):
        """The supervisor sees to it."""


class ChaosWorld(World):
    def __init__(self, program, folder, proxied=False):
        super().__init__(program, folder)
        self.proxied = proxied
        self.proxy = None
        self.exits = Counter()
        self.defects = []
        self.ending = threading.Event()
        self.supervisor = threading.Thread(target=self._supervise, daemon=True)

    def _configure(self, services, clean):
        super()._configure(services, clean)
        self.services = services
        # Short time-outs, so that every fault also outlives them.
        self.env.update(ORDERLOG_SESSION_TIMEOUT_MS="3000", ORDERLOG_TRANSACTION_TIMEOUT_MS="5000",
                        ORDERLOG_ORDER_RESERVATION_TTL_MS="60000",
                        ORDERLOG_ORDER_PAYMENT_LOOKUPS_MAX="30")
        if self.proxied:
            self._put_proxy_between()

    def _put_proxy_between(self):
        """Roles come to the broker through a listener of their own, which is advertised as the
        proxy; the checker and the broker itself go straight."""
        behind, front, database = free_port(), free_port(), free_port()
        path = self.services / "kafka.properties"
        lines = []
        for line in path.read_text().splitlines():
            name, _, value = line.partition("=")
            if name == "listeners":
                value += f",PROXIED://127.0.0.1:{behind}"
            elif name == "advertised.listeners":
                value += f",PROXIED://127.0.0.1:{front}"
            elif name == "listener.security.protocol.map":
                value += ",PROXIED:PLAINTEXT"
            lines.append(f"{name}={value}")
        path.write_text("\n".join(lines) + "\n")
        self.signal_server("kafka", signal.SIGKILL)
        self.start_server("kafka")
        port = dict(word.split("=", 1) for word in self.postgres.split())["port"]
        self.proxy = subprocess.Popen(
            [os.sys.executable, str(Path(__file__).with_name("proxy.py")),
             f"kafka:{front}:{behind}", f"postgres:{database}:{port}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.proxy.stdout.readline()  # it listens
        self.env["ORDERLOG_KAFKA_BOOTSTRAP"] = f"127.0.0.1:{front}"
        self.env["ORDERLOG_POSTGRES"] = self.postgres.replace(f"port={port}", f"port={database}")

    def set_proxy(self, server, **mode):
        self.proxy.stdin.write(json.dumps({"server": server, **mode}) + "\n")
        self.proxy.stdin.flush()
        return json.loads(self.proxy.stdout.readline())

    def _start_roles(self):
        self.execute(AUDIT)
        for name, arguments in {
            **{role: ["process", role] for role in PROCESSORS},
            "project": ["project"],
            "gateway": ["gateway", "--gateway.port", str(self.gateway_port)],
            "query": ["query", "--query.port", str(self.query_port)],
        }.items():
            self.roles[name] = ChaosRole(self, name, arguments)
            self.roles[name].start()
        self.supervisor.start()
        self.await_ready()

    def await_ready(self, seconds=90):
        for role in list(self.roles.values()):
            if role.wanted:
                wait_until(f"{role.name} is not ready:\n{role.tail()}", role.is_ready, seconds)

    def __exit__(self, *arguments):
        self.ending.set()
        if self.supervisor.is_alive():
            self.supervisor.join()
        for role in self.roles.values():
            role.send(signal.SIGCONT)
        if self.proxy:
            self.proxy.kill()
            self.proxy.wait()
        super().__exit__(*arguments)

    # ---- roles ----

    def _supervise(self):
        while not self.ending.wait(0.1):
            for role in list(self.roles.values()):
                with role.lock:
                    code = role.process.poll() if role.wanted else None
                    if code is None:
                        continue
                    if not role.restart_at:
                        self.note_exit(role, code)
                        role.restart_at = time.monotonic() + (1 if code == 80 else 0.3)
                    elif time.monotonic() >= role.restart_at:
                        role.restart_at = 0
                        role.start()

    def note_exit(self, role, code):
        self.exits[f"{role.name.split('-')[0]}: {EXPECTED_EXITS.get(code, code)}"] += 1
        if code not in EXPECTED_EXITS:
            self.defects.append(f"{role.name} ended with {code}:\n{role.tail()}")

    def second(self, name, slot=1):
        """A further worker of a role, in a slot of its own."""
        role = ChaosRole(self, f"{name}-{slot}", [*self.roles[name].arguments, "--slot", str(slot)])
        self.roles[role.name] = role
        role.start()
        return role

    # ---- servers ----

    def server_pid(self, name):
        return int((self.services / f"{name}.pid").read_text().split()[0])

    def signal_server(self, name, number):
        """Ends it, or stops it, or lets it go on."""
        pid = self.server_pid(name)
        os.kill(pid, number)
        if number in (signal.SIGKILL, signal.SIGQUIT):
            wait_until(f"{name} does not end", lambda: not is_running(pid), 30)

    def start_server(self, name):
        with open(self.services / "log" / f"{name}.log", "ab") as log:
            process = subprocess.Popen(["setsid", str(SERVICES), "exec", name, str(self.services)],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        (self.services / f"{name}.pid").write_text(f"{process.pid} {start_time(process.pid)}\n")
        ready = ["bash", "-c", f'. "{SERVICES}"; ready_{name} "{self.services}"']
        wait_until(f"{name} is not ready",
                   lambda: subprocess.run(ready, stdin=subprocess.DEVNULL,
                                          stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL).returncode == 0, 60)

    def execute(self, sql):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.postgres],
                              input=sql, text=True, capture_output=True)
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr}")


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
