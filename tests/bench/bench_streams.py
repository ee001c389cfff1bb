# SPDX-License-Identifier: Apache-2.0
"""Streams of single orders, as front ends have them: each client follows one order to its end and for
a few seconds more, as a page does that stays open, then the next. Every stream's versions must come
without a gap or a double. Until told to stop by the end of its input; then prints one line of JSON.

    bench_streams.py PORT TOKEN CLIENTS        orders to follow: one id per line of input
"""

import asyncio
import collections
import json
import re
import sys

STAY_S = 5
SILENCE_S = 60
EVENT = re.compile(r"^id: (\d+)\r?\nevent: (\w+)", re.MULTILINE)
LAST = ("OrderCompleted", "OrderCancelled", "OrderRejected", "OrderExpired")


class Streams:
    def __init__(self, port, token):
        self.port, self.token = port, token
        self.ids = collections.deque(maxlen=20000)
        self.opened = self.events = self.finished = 0
        self.failures = []
        self.stopping = False
        self.more = asyncio.Event()

    async def follow(self, order_id):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET /v1/orders/{order_id}/stream HTTP/1.0\r\nHost: 127.0.0.1\r\n"
                         f"Authorization: Bearer {self.token}\r\n\r\n".encode())
            status = (await reader.readline()).split()
            if len(status) < 2 or status[1] != b"200":
                self.failures.append(f"{order_id}: {status}")
                return
            self.opened += 1
            await reader.readuntil(b"\r\n\r\n")
            await self.read_events(reader, order_id)
        finally:
            writer.close()

    async def read_events(self, reader, order_id):
        before = leave_at = None
        clock = asyncio.get_running_loop().time
        while not self.stopping:
            try:
                async with asyncio.timeout_at(leave_at or clock() + SILENCE_S):
                    block = (await reader.readuntil(b"\n\n")).decode()
            except TimeoutError:
                if leave_at is None:
                    self.failures.append(f"{order_id}: silence after version {before}")
                return
            except asyncio.IncompleteReadError:
                self.failures.append(f"{order_id}: closed after version {before}")
                return
            found = EVENT.search(block)  # else a comment, or how soon to come back
            if not found:
                continue
            version = int(found[1])
            self.events += 1
            if before is not None and version != before + 1:
                self.failures.append(f"{order_id}: {version} after {before}")
            before = version
            if found[2] in LAST:
                self.finished += 1
                leave_at = clock() + STAY_S

    async def client(self):
        while not self.stopping:
            if not self.ids:
                self.more.clear()
                await self.more.wait()
                continue
            try:
                await self.follow(self.ids.pop())
            except (OSError, ValueError) as error:
                self.failures.append(repr(error))
                await asyncio.sleep(1)

    async def listen(self):
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            self.ids.append(line.decode().strip())
            self.more.set()
        self.stopping = True


async def main():
    streams = Streams(int(sys.argv[1]), sys.argv[2])
    clients = [asyncio.create_task(streams.client()) for _ in range(int(sys.argv[3]))]
    await streams.listen()
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    print(json.dumps({"opened": streams.opened, "events": streams.events,
                      "finished": streams.finished, "failed": len(streams.failures),
                      "failures": streams.failures[:5]}))


asyncio.run(main())
