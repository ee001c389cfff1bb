# SPDX-License-Identifier: Apache-2.0
"""Whoever trickles, floods, smuggles, or holds connections for nothing is refused or cut off, and the
others do not notice: their p99 is printed. And callers have limits, and TLS its certificate."""
import os
import re
import resource
import selectors
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from fixture import TOKEN, Gateway, order, servers, wait_until

ATTACKERS = [f"127.0.0.{n}" for n in range(2, 8)]
SLOW = 10 if os.environ.get("ORDERLOG_TEST_SLOW") else 1
KEY = f"Authorization: Bearer {TOKEN}\r\n"


def connect(port, source="127.0.0.2", timeout=10):
    return socket.create_connection(("127.0.0.1", port), timeout, (source, 0))


def read_all(sock):
    """Until the other side closes, or nothing comes for the time-out."""
    received = b""
    try:
        while got := sock.recv(65536):
            received += got
    except ConnectionError:
        pass
    return received


class Bystander:
    """A caller who places orders all the while, over one connection after another."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.times_ms = []
        self.failures = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stopped.is_set():
            before = time.monotonic()
            try:
                status = self.gateway.place(order(), timeout=20).status
                if status != 202:
                    self.failures.append(status)
            except OSError as error:
                self.failures.append(error)
            self.times_ms.append((time.monotonic() - before) * 1000)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def p99_ms(self):
        return sorted(self.times_ms)[int(len(self.times_ms) * 0.99)]

    def has_placed(self, count):
        return lambda: len(self.times_ms) >= count


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        cls.servers = servers()

    def gateway(self, *options):
        gateway = Gateway(self.servers, "--gateway.backlog.ms.max=1h", *options)
        self.addCleanup(gateway.__exit__)
        return gateway

    def watch(self, gateway, what, attack, placed=200):
        """Runs the attack beside a caller who must not notice it."""
        with Bystander(gateway) as calm:
            wait_until("orders were placed in peace", calm.has_placed(placed), 60)
        with Bystander(gateway) as caller:
            attack()
            wait_until("orders were placed meanwhile", caller.has_placed(placed), 60)
        print(f"{what}: {len(caller.times_ms)} orders meanwhile, p99 {caller.p99_ms():.1f} ms "
              f"({calm.p99_ms():.1f} ms in peace)", flush=True)
        self.assertEqual(caller.failures, [])
        self.assertLess(caller.p99_ms(), max(10 * calm.p99_ms(), 100) * SLOW)

    def rss_mb(self, gateway):
        with open(f"/proc/{gateway.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

    # --- time ----------------------------------------------------------------------------------

    def test_requests_that_trickle_in_are_cut_off(self):
        gateway = self.gateway("--http.read.timeout.ms=1s")

        def attack():
            held = [connect(gateway.port) for _ in range(500)]
            text = f"POST /v1/orders HTTP/1.1\r\nHost: a\r\n{KEY}Content-Length: 1000\r\n\r\n".encode()
            for at, sock in enumerate(held):
                sock.sendall(text[:20 + at % 200])
            deadline = time.monotonic() + 20 * SLOW
            trickle = threading.Event()
            while held:
                self.assertLess(time.monotonic(), deadline, f"{len(held)} are still open")
                for sock in list(held):
                    try:
                        sock.setblocking(False)
                        sock.sendall(b"x")
                        if sock.recv(65536) == b"":
                            raise ConnectionError
                    except BlockingIOError:
                        continue
                    except OSError:
                        sock.close()
                        held.remove(sock)
                trickle.wait(0.1)

        self.watch(gateway, "500 slow requests", attack)

    def test_ten_thousand_idle_connections_leave_others_alone(self):
        gateway = self.gateway("--http.connections.max=12000", "--http.read.timeout.ms=8s",
                               "--http.idle.timeout.ms=8s")
        held = []
        self.addCleanup(lambda: [sock.close() for sock in held])
        before_mb = self.rss_mb(gateway)

        def attack():
            for number in range(10000):
                held.append(connect(gateway.port, ATTACKERS[number % len(ATTACKERS)]))
            metrics = gateway.call("GET", "/metrics").body.decode()
            open_now = int(metrics.split("\norderlog_http_connections ")[1].split()[0])
            self.assertGreaterEqual(open_now, 10000)
            print(f"10,000 idle connections: {self.rss_mb(gateway) - before_mb:.0f} MB more", flush=True)

        self.watch(gateway, "10,000 idle connections", attack)
        readable = selectors.DefaultSelector()
        for sock in held:
            readable.register(sock, selectors.EVENT_READ)

        def all_closed():
            for event, _ in readable.select(0):
                self.assertEqual(event.fileobj.recv(1), b"")
                readable.unregister(event.fileobj)
            return len(readable.get_map()) == 0

        wait_until("idle connections are closed", all_closed, 30 * SLOW)

    def test_one_address_cannot_take_all_connections(self):
        gateway = self.gateway("--http.connections.per-ip.max=300")

        def attack():
            held = [connect(gateway.port) for _ in range(400)]
            closed = wait_until("the ones too many are closed", lambda: self.closed_of(held) or None)
            self.assertGreaterEqual(closed, 90)
            for sock in held:
                sock.close()

        self.watch(gateway, "400 connections of one address, 300 allowed", attack)

    @staticmethod
    def closed_of(held):
        closed = 0
        for sock in held:
            sock.setblocking(False)
            try:
                closed += sock.recv(1) == b""
            except BlockingIOError:
                pass
            except OSError:
                closed += 1
        return closed if closed >= 90 else 0

    # --- size ----------------------------------------------------------------------------------

    def test_headers_and_bodies_without_end_are_refused(self):
        gateway = self.gateway()
        before_mb = self.rss_mb(gateway)
        start = b"POST /v1/orders HTTP/1.1\r\nHost: a\r\n" + KEY.encode()
        endless = {
            "a request line": (b"GET /", b"x" * 4096, (b" 414 ", b" 431 ")),
            "a header": (start + b"X: ", b"x" * 4096, (b" 431 ",)),
            "headers": (start, b"X-Header: " + b"y" * 100 + b"\r\n", (b" 431 ",)),
            "a body in chunks": (start + b"Transfer-Encoding: chunked\r\n\r\n",
                                 b"10000\r\n" + b" " * 65536 + b"\r\n", (b" 413 ",)),
            "a long body": (start + b"Content-Length: 99999999999\r\n\r\n", b" " * 65536, (b" 413 ",)),
        }

        def attack():
            for name, (begin, more, expected) in endless.items():
                with self.subTest(name), connect(gateway.port) as sock:
                    sent, reply = 0, b""
                    try:
                        sock.sendall(begin)
                        while sent < 64 << 20:
                            sock.sendall(more)
                            sent += len(more)
                    except OSError:
                        pass
                    try:
                        reply = read_all(sock)
                    except TimeoutError:
                        pass
                    self.assertLess(sent, 64 << 20, "it went on reading")
                    # A reset may have overtaken the answer: refused all the same.
                    self.assertTrue(not reply or any(e in reply[:40] for e in expected), reply[:200])

        self.watch(gateway, "headers and bodies without end", attack)
        self.assertLess(self.rss_mb(gateway) - before_mb, 100 * SLOW)

    def test_the_memory_of_all_bodies_together_is_bounded(self):
        gateway = self.gateway("--http.bodies.bytes.max=8MiB")
        held = []
        begin = f"POST /v1/orders HTTP/1.1\r\nHost: a\r\n{KEY}Content-Length: 4000000\r\n\r\n".encode()
        statuses = []
        for _ in range(6):  # they stop short of their end
            sock = connect(gateway.port)
            sock.sendall(begin + b" " * 3900000)
            held.append(sock)
        for sock in held:
            sock.sendall(b" " * 100000)
            sock.settimeout(20)
            statuses.append(sock.recv(65536).split(b" ")[1])
            sock.close()
        print(f"six bodies of 4 MB where 8 MiB are allowed: {statuses}", flush=True)
        self.assertIn(b"503", statuses)
        self.assertLess(statuses.count(b"400"), 4)
        self.assertEqual(gateway.place(order()).status, 202)

    # --- form ----------------------------------------------------------------------------------

    def test_no_request_is_smuggled(self):
        gateway = self.gateway()
        second = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        post = f"POST /v1/orders/4b2c5a3e-0000-8000-8000-000000000002/cancel HTTP/1.1\r\n"
        shapes = {
            "Content-Length twice": f"{post}Host: a\r\n{KEY}Content-Length: 0\r\nContent-Length: {len(second)}\r\n\r\n",
            "Content-Length twice, alike": f"{post}Host: a\r\n{KEY}Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "Host twice": f"{post}Host: a\r\nHost: b\r\n{KEY}Content-Length: 0\r\n\r\n",
            "length and chunks": f"{post}Host: a\r\n{KEY}Content-Length: {len(second) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "chunks and length": f"{post}Host: a\r\n{KEY}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            "another coding": f"{post}Host: a\r\n{KEY}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "a coding with a tab": f"{post}Host: a\r\n{KEY}Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n",
            "a space before the colon": f"{post}Host: a\r\n{KEY}Content-Length : {len(second)}\r\n\r\n",
            "a length that is none": f"{post}Host: a\r\n{KEY}Content-Length: 0x{len(second):x}\r\n\r\n",
            "a negative length": f"{post}Host: a\r\n{KEY}Content-Length: -1\r\n\r\n",
            "a folded header": f"{post}Host: a\r\n{KEY}X: y\r\n Content-Length: {len(second)}\r\n\r\n",
            "a bare LF after the request line": f"{post[:-2]}\nHost: a\r\n{KEY}Content-Length: 0\r\n\r\n",
            "a bare LF after a header": f"{post}Host: a\r\nX: y\nContent-Length: {len(second)}\r\n{KEY}\r\n",
            "a bare CR in a header": f"{post}Host: a\r\n{KEY}X: y\rContent-Length: {len(second)}\r\n\r\n",
            "chunks with bare LF": f"{post}Host: a\r\n{KEY}Transfer-Encoding: chunked\r\n\r\n0\n\n",
        }
        for name, text in shapes.items():
            with self.subTest(name), connect(gateway.port) as sock:
                sock.sendall(text.encode() + second.encode())
                reply = read_all(sock)  # it is closed
                self.assertNotIn(b"ok\n", reply)
                # Of what it refuses itself libmicrohttpd sends the head twice.
                statuses = set(re.findall(rb"HTTP/1\.1 (\d+)", reply))
                self.assertEqual(len(statuses), 1, reply)
                if name != "chunks with bare LF":  # taken, and the last on its connection
                    self.assertIn(b" 400 ", reply[:20], reply)

    # --- number --------------------------------------------------------------------------------

    def test_each_caller_has_a_rate_and_is_told_of_it(self):
        made = self.servers.orderlog("keys", "create", "--scopes=all").split()
        other = next(word for word in made if word.startswith("ol_"))
        gateway = self.gateway("--http.rate.per-second=2", "--http.rate.burst=10")
        wait_until("the key is known", lambda: gateway.call("GET", "/metrics", token=other).status != 401)
        replies = [gateway.place(order()) for _ in range(14)]
        statuses = [reply.status for reply in replies]
        self.assertEqual(statuses[:10], [202] * 10)
        self.assertIn(429, statuses)
        self.assertEqual(replies[0].headers["RateLimit-Policy"], '"caller";q=10;w=5')
        self.assertEqual(replies[0].headers["RateLimit"], '"caller";r=9;t=1')
        refused = replies[statuses.index(429)]
        self.assertEqual(refused.problem, "rate-limited")
        self.assertEqual(refused.headers["RateLimit"].split(";")[1], "r=0")
        self.assertEqual(refused.headers["Retry-After"], "1")
        self.assertEqual(gateway.place(order(), token=other).status, 202, "another caller has their own")
        self.assertEqual(gateway.call("GET", "/readyz", token=None).status, 200)
        wait_until("the rate brings more", lambda: gateway.place(order()).status == 202)

    def test_requests_in_work_are_bounded(self):
        gateway = self.gateway("--http.requests.max=5", "--gateway.request.timeout.ms=3s")
        self.addCleanup(self.servers.resume_broker)
        self.assertEqual(gateway.place(order()).status, 202)
        self.servers.pause_broker()
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(gateway.place(order())))
                   for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self.servers.resume_broker()
        full = [r for r in replies if r.problem == "unavailable"]
        self.assertGreaterEqual(len(full), 10)
        self.assertEqual(full[0].headers["Retry-After"], "1")
        self.assertEqual({r.status for r in replies} - {503, 504}, set())
        wait_until("orders are taken again", lambda: gateway.place(order()).status == 202, 60)

    # --- TLS -----------------------------------------------------------------------------------

    def make_certificate(self, name):
        folder = self.servers.dir
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", folder / "new.key", "-out", folder / "new.pem"],
                       check=True, capture_output=True)
        os.replace(folder / "new.key", folder / "tls.key")
        os.replace(folder / "new.pem", folder / "tls.pem")
        return folder / "tls.pem", folder / "tls.key"

    def dial_tls(self, gateway, latest=ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=self.servers.dir / "tls.pem")
        context.maximum_version = latest
        return context.wrap_socket(connect(gateway.port, "127.0.0.1"), server_hostname="127.0.0.1")

    def ask(self, sock, path="/livez"):
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        reply = b""
        while b"ok\n" not in reply:
            got = sock.recv(4096)
            if not got:
                break
            reply += got
        return reply.split(b" ")[1] if reply else None

    def test_tls_and_a_new_certificate_without_dropping_connections(self):
        certificate, key = self.make_certificate("first")
        gateway = self.gateway(f"--http.tls.certificate.file={certificate}", f"--http.tls.key.file={key}")
        sock = self.dial_tls(gateway)
        self.assertEqual((sock.version(), self.ask(sock)), ("TLSv1.3", b"200"))
        with self.assertRaises(ssl.SSLError):
            self.dial_tls(gateway, ssl.TLSVersion.TLSv1_2)
        with connect(gateway.port) as plain:
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertNotIn(b"ok\n", read_all(plain))

        # Two callers keep placing orders while the certificate changes.
        failures, placed, stop = [], [0], threading.Event()

        def keep_asking():
            with self.dial_tls(gateway) as mine:
                while not stop.is_set():
                    if self.ask(mine) != b"200":
                        failures.append("not answered")
                        return
                    placed[0] += 1

        threads = [threading.Thread(target=keep_asking) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until("they ask", lambda: placed[0] > 100)
        first = sock.getpeercert(True)
        self.make_certificate("second")
        gateway.process.send_signal(signal.SIGHUP)
        wait_until("it was read again", lambda: gateway.says("certificate read again"))
        with self.dial_tls(gateway) as fresh:
            self.assertNotEqual(fresh.getpeercert(True), first)
            self.assertEqual(self.ask(fresh), b"200")
        self.assertEqual(self.ask(sock), b"200", "the connection from before stands")
        (self.servers.dir / "tls.key").write_text("no key")
        gateway.process.send_signal(signal.SIGHUP)
        wait_until("it says so", lambda: gateway.says("the certificate cannot be read again, going on with the one before"))
        with self.dial_tls(gateway) as fresh:
            self.assertEqual(self.ask(fresh), b"200")
        before = placed[0]
        wait_until("they still ask", lambda: placed[0] > before + 100)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        print(f"two certificates, {placed[0]} answers on connections that stood all the while", flush=True)
        sock.close()

    def test_a_certificate_of_another_key_is_refused_at_the_start(self):
        certificate, _ = self.make_certificate("one")
        kept = certificate.with_name("kept.pem")
        kept.write_bytes(certificate.read_bytes())
        _, key = self.make_certificate("two")
        broken = Gateway(self.servers, f"--http.tls.certificate.file={kept}", f"--http.tls.key.file={key}",
                         ready=False)
        self.addCleanup(broken.__exit__)
        self.assertNotEqual(broken.process.wait(20), 0)
        self.assertIn("is not of the key", broken.log_path.read_text())


if __name__ == "__main__":
    unittest.main()
