# SPDX-License-Identifier: Apache-2.0
"""The system under chaos: world.py's, with a supervisor that restarts roles as a service manager
does, servers that can be killed and started again, and optionally a proxy between them."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from world import Failed, Role, World, free_port, wait_until

FAKETIME = next((path for path in (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/faketime/libfaketimeMT.so.1")) if path.exists()), None)
DISK_BYTES = 1 << 30  # of a small disk
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
        self.may_also_end = ()  # with these exit codes, because of what is done to it just now
        self.under = ()  # a program that starts it, and its arguments: it keeps the process id
        self.restart_at = 0

    def start(self):
        with self.lock, open(self.log, "ab") as log:
            self.wanted, self.restart_at = True, 0
            self.process = subprocess.Popen(
                [*self.under, self.world.program, *self.arguments, *self.metrics()],
                env={**self.world.env, **self.extra}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)

    def metrics(self):
        return "--metrics.port", str(self.metrics_port)

    def send(self, number):
        with self.lock:
            if self.process.poll() is None:
                self.process.send_signal(number)

    def end(self, number=signal.SIGKILL):
        """For good, as far as the supervisor goes; False when the signal did not end it."""
        with self.lock:
            self.wanted = False
            if self.process and self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(25)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
                    return False
        return True

    def check_alive(self):
        """The supervisor sees to it."""


class Outsider(ChaosRole):
    """A payment provider or a carrier: no role of ours, so there are no metrics to ask."""

    def __init__(self, world, name, arguments, port):
        super().__init__(world, name, [*arguments, "--port", str(port)])
        self.port = port

    def metrics(self):
        return ()

    def is_ready(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class NotAllowed(Exception):
    """This machine does not let us do what was asked for."""


class ChaosWorld(World):
    def __init__(self, program, folder, proxied=False, brokers=1, outside=False, small_disks=False,
                 busy=False):
        super().__init__(program, folder)
        self.busy = busy  # few partitions make large transactions
        self.partitions = 2 if busy else self.partitions
        self.proxied = proxied
        self.outside = outside  # provider and carrier are processes behind the proxy
        self.outside_ports = {}
        self.small_disks = small_disks
        self.mounted = []
        self.brokers = [f"kafka{n}" for n in range(1, brokers + 1)] if brokers > 1 else ["kafka"]
        self.proxy = None
        self.exits = Counter()
        self.defects = []
        self.foreign_commits = []  # (group, topic, partition, offset, metadata) that no worker made
        self.ending = threading.Event()
        self.supervisor = threading.Thread(target=self._supervise, daemon=True)

    def _start_servers(self, services, clean):
        if self.small_disks:
            self._mount_small_disks()
        super()._start_servers(services, {**clean, "SERVICES_BROKERS": str(len(self.brokers))})

    def _configure(self, services, clean):
        super()._configure(services, clean)
        if len(self.brokers) > 1:
            self.env["ORDERLOG_TOPICS_REPLICATION"] = "3"
        # Short time-outs, so that every fault also outlives them.
        self.env.update(ORDERLOG_SESSION_TIMEOUT_MS="3000", ORDERLOG_TRANSACTION_TIMEOUT_MS="5000",
                        ORDERLOG_ORDER_RESERVATION_TTL_MS="60000",
                        ORDERLOG_ORDER_PAYMENT_LOOKUPS_MAX="30")
        if self.busy:
            self.env["ORDERLOG_PROJECTOR_THREADS"] = "2"
        behind = [*(self._servers_behind() if self.proxied else ()),
                  *(self._outside_behind() if self.outside else ())]
        if behind:
            self._start_proxy(behind)

    def _mount_small_disks(self):
        for name in ("kafka", "postgres"):
            folder = self.services / name
            folder.mkdir()
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755",
                                   f"orderlog-{name}", folder], capture_output=True, text=True)
            if done.returncode != 0:
                raise NotAllowed(f"file systems cannot be mounted here: {done.stderr.strip()}")
            self.mounted.append(folder)

    def _outside_behind(self):
        """Small time-outs, so that every call is tried more than once."""
        self.env.update(ORDERLOG_PAYMENT_PROVIDER_TIMEOUT_MS="400", ORDERLOG_CARRIER_TIMEOUT_MS="600")
        names = []
        for name, variable in (("provider", "ORDERLOG_PAYMENT_PROVIDER_URL"),
                               ("carrier", "ORDERLOG_CARRIER_URL")):
            front, self.outside_ports[name] = free_port(), free_port()
            self.env[variable] = f"http://127.0.0.1:{front}"
            names.append(f"{name}:{front}:{self.outside_ports[name]}")
        return names

    def _start_proxy(self, names):
        self.proxy = subprocess.Popen(
            [os.sys.executable, str(Path(__file__).with_name("proxy.py")), *names],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.proxy.stdout.readline()  # it listens

    def _servers_behind(self):
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
        self.env["ORDERLOG_KAFKA_BOOTSTRAP"] = f"127.0.0.1:{front}"
        self.env["ORDERLOG_POSTGRES"] = self.postgres.replace(f"port={port}", f"port={database}")
        return f"kafka:{front}:{behind}", f"postgres:{database}:{port}"

    def set_proxy(self, server, **mode):
        self.proxy.stdin.write(json.dumps({"server": server, **mode}) + "\n")
        self.proxy.stdin.flush()
        return json.loads(self.proxy.stdout.readline())

    def _start_roles(self):
        self.execute(AUDIT)
        for name, port in self.outside_ports.items():
            ledger = self.env["ORDERLOG_PAYMENT_LEDGER" if name == "provider" else
                              "ORDERLOG_CARRIER_LEDGER"]
            self.roles[name] = Outsider(self, name, [
                "simulate", name, "--ledger", ledger, "--lose-percent", "5", "--break-percent", "5",
                "--silence-ms", "3000"], port)
            self.roles[name].start()
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
        for folder in self.mounted:
            subprocess.run(["umount", folder])

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
        if code not in EXPECTED_EXITS and code not in role.may_also_end:
            self.defects.append(f"{role.name} ended with {code}:\n{role.tail()}")

    def second(self, name, slot=1):
        """A further worker of a role, in a slot of its own."""
        role = ChaosRole(self, f"{name}-{slot}", [*self.roles[name].arguments, "--slot", str(slot)])
        self.roles[role.name] = role
        role.start()
        return role

    # ---- the cluster ----

    def leader_of(self, topic, partition):
        """The broker that leads it."""
        node = self.topics()[topic].partitions[partition].leader
        return f"kafka{node}" if node > 0 else None

    def await_in_sync(self):
        """Until every replica of every partition follows: only then may the next one be lost."""
        def lagging():
            return [t.topic for t in self.topics().values() for p in t.partitions.values()
                    if len(p.isrs) < len(p.replicas)]

        wait_until("replicas do not catch up", lambda: not lagging(), 90, 0.5)

    def topics(self):
        try:
            return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(
                timeout=10).topics
        except KafkaException as failure:
            raise Failed(f"no broker tells of its topics: {failure}") from None

    def execute(self, sql):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.postgres],
                              input=sql, text=True, capture_output=True)
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr}")
