# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that misbehaves on command, between roles and their servers.

  proxy.py NAME:PORT:SERVER_PORT...

One JSON object per line on stdin changes what one of the names does; each is answered on stdout by
what has happened since: {"server": "kafka", "mode": …}

  pass          (default)
  delay         every piece of either direction waits "ms"
  reset         connections are reset, again and again, as they come
  half-open     nothing passes, connections stay; afterwards they are reset
  drop-replies  what the server says is lost; afterwards those connections are reset
  twice         every piece a client says is said twice, and so answered twice
  swap          of two answers that come one after the other each goes to the other's client;
                afterwards those connections are reset
  hold          Kafka requests with key "api" (24 AddPartitionsToTxn, 26 EndTxn, 28 TxnOffsetCommit)
                wait, and what follows them; afterwards they are released, even when their client has
                gone meanwhile: the late arrival of a request that was given up long ago
"""

import asyncio
import json
import sys
from collections import Counter

PIECE = 1 << 16
SPOILING = ("half-open", "drop-replies", "swap")


class Server:
    """One port, one mode, all its connections."""

    def __init__(self, port, is_kafka):
        self.port, self.is_kafka = port, is_kafka
        self.mode = {"mode": "pass"}
        self.changed = asyncio.Event()
        self.links = set()
        self.waiting = None  # (link, piece) that waits for another to be swapped with
        self.counts = Counter()

    def set_mode(self, mode):
        before, self.mode = self.mode["mode"], mode
        self.changed.set()
        self.changed = asyncio.Event()
        self.waiting = None
        for link in list(self.links):
            if mode["mode"] == "reset" or (before in SPOILING and link.spoiled):
                link.reset()

    async def until(self, done):
        """Until done() holds; looked at when the mode changes."""
        while not done():
            await self.changed.wait()

    async def accept(self, reader, writer):
        if self.mode["mode"] == "reset":
            self.counts["reset"] += 1
            writer.transport.abort()
            return
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, writer, to_writer)
        self.links.add(link)
        await asyncio.gather(link.forth(reader), link.back(to_reader))
        self.links.discard(link)
        link.reset()


class Link:
    """One connection of a client and ours to the server."""

    def __init__(self, server, client, upstream):
        self.server, self.client, self.upstream = server, client, upstream
        self.spoiled = False

    def reset(self):
        self.server.counts["reset"] += self.server.mode["mode"] == "reset"
        for writer in (self.client, self.upstream):
            writer.transport.abort()

    async def read(self, reader):
        """The next piece; of Kafka's requests a whole one."""
        if not self.server.is_kafka:
            return await reader.read(PIECE)
        head = await reader.readexactly(4)
        return head + await reader.readexactly(int.from_bytes(head, "big"))

    async def wait_turn(self, piece):
        mode = self.server.mode
        if mode["mode"] == "delay":
            self.server.counts["delayed"] += 1
            asked = self.server.changed
            try:
                await asyncio.wait_for(asked.wait(), mode["ms"] / 1000)
            except asyncio.TimeoutError:
                pass
        elif mode["mode"] == "half-open":
            self.spoiled = True
            self.server.counts["swallowed"] += 1
            await self.server.until(lambda: self.server.mode["mode"] != "half-open")
        elif mode["mode"] == "hold" and piece and int.from_bytes(piece[4:6], "big") == mode["api"]:
            self.server.counts["held"] += 1
            await self.server.until(lambda: self.server.mode["mode"] != "hold")

    async def forth(self, reader):
        try:
            while piece := await self.read(reader):
                await self.wait_turn(piece)
                if self.server.mode["mode"] == "twice":
                    self.server.counts["doubled"] += 1
                    piece += piece
                self.upstream.write(piece)
                await self.upstream.drain()
            self.upstream.write_eof()
        except (OSError, EOFError, asyncio.IncompleteReadError):
            if not self.upstream.transport.is_closing():
                try:
                    self.upstream.write_eof()
                except OSError:
                    pass

    async def back(self, reader):
        try:
            while piece := await reader.read(PIECE):
                if self.server.mode["mode"] == "drop-replies":
                    self.spoiled = True
                    self.server.counts["dropped"] += 1
                    continue
                if self.server.mode["mode"] == "swap":
                    self.spoiled = True
                    other, self.server.waiting = self.server.waiting, (self, piece)
                    if not other or other[0] is self:
                        continue
                    self.server.waiting = None
                    self.server.counts["swapped"] += 1
                    if not other[0].client.transport.is_closing():
                        other[0].client.write(piece)
                    piece = other[1]
                await self.wait_turn(None)
                if not self.client.transport.is_closing():
                    self.client.write(piece)
                    await self.client.drain()
        except OSError:
            pass  # the client has gone; what it sent still goes its way
        if not self.client.transport.is_closing():
            self.client.close()


async def main():
    servers = {}
    for argument in sys.argv[1:]:
        name, port, behind = argument.split(":")
        servers[name] = Server(int(behind), name == "kafka")
        await asyncio.start_server(servers[name].accept, "127.0.0.1", int(port), limit=1 << 25)
    print("listening", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        server = servers[command["server"]]
        counts = dict(server.counts)
        server.set_mode({"mode": "pass", **command})
        print(json.dumps(counts), flush=True)


asyncio.run(main())
