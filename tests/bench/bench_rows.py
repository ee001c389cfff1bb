# SPDX-License-Identifier: Apache-2.0
"""The table of what is measured: one row per figure, each against its yardstick in the same run."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Figure:
    """`ratio` says how the two are compared: "product/yardstick", "yardstick/product", or "product"
    alone where there is no yardstick. `at_least` or `at_most` is the target for the median ratio."""

    key: str
    what: str
    unit: str
    yardstick: str = ""
    ratio: str = "product/yardstick"
    at_least: float | None = None
    at_most: float | None = None

    def target(self):
        if self.at_least is not None:
            return f"≥ {self.at_least:,g}"
        return f"≤ {self.at_most:,g}" if self.at_most is not None else "–"

    def met(self, value):
        """None where there is no target."""
        if self.at_least is not None:
            return value >= self.at_least
        return value <= self.at_most if self.at_most is not None else None


@dataclasses.dataclass(frozen=True)
class Row:
    """Measured by measure(bench) of `module`. `servers`: what it needs of tests/support/services,
    started afresh for it."""

    name: str
    title: str
    module: str
    servers: tuple
    figures: tuple
    by_name_only: bool = False  # long, or for a look at something: no part of the whole


ALL = ("kafka", "postgres", "registry")
PEER_KS = "peers/kafka-streams"
PEER_NEST = "peers/nestjs"

ROWS = (
    Row("life", "a whole life at 500 orders/s, open loop", "row_life", ALL, (
        Figure("confirmed_p99", "placed → confirmed, p99", "ms", ratio="product", at_most=100),
    ), by_name_only=True),
    Row("soak", "ten minutes of orders, readers and streams", "row_soak", ALL, (
        Figure("read_p99", "GET order, p99", "ms", ratio="product", at_most=20),
        Figure("failed", "requests and streams that failed", "", ratio="product", at_most=0),
        Figure("grown", "the most that a role grew after a tenth of the time", "MiB",
               ratio="product", at_most=16),
        Figure("kept", "the most that a role keeps of an order that is over", "bytes",
               ratio="product", at_most=128),
    ), by_name_only=True),
    Row("b1", "codec, instructions per message", "row_codec", (), (
        Figure("encode", "encode", "instructions", "avro-c generic", "yardstick/product",
               at_least=15),
        Figure("decode", "decode", "instructions", "avro-c generic", "yardstick/product",
               at_least=15),
    )),
    Row("b2", "order processor", "row_processor", ALL, (
        Figure("inputs", "inputs", "inputs/s", "bare exactly-once copy loop, same records and bytes",
               at_least=0.8),
    )),
    Row("b3", "saga without projection, placed to shipment booked", "row_saga", ALL, (
        Figure("orders", "throughput", "orders/s", PEER_KS, at_least=2.5),
        Figure("cpu", "application CPU per order", "µs", PEER_KS, at_most=1 / 3),
        Figure("memory", "memory of all roles", "MiB", PEER_KS, at_most=1 / 3),
    )),
    Row("b4", "whole system, HTTP batch to visible in PostgreSQL", "row_whole", ALL, (
        Figure("orders", "sustained", "orders/s", ratio="product", at_least=8000),
    )),
    Row("b5", "whole system against the usual back end", "row_nestjs", ALL, (
        Figure("sql", "sustained", "orders/s", PEER_NEST + ", hand-written SQL", at_least=10),
        Figure("prisma", "sustained", "orders/s", PEER_NEST + ", Prisma", at_least=40),
    )),
    Row("b6", "latency at 1,000 orders/s, open loop", "row_latency", ALL, (
        Figure("booked_p50", "placed → shipment booked, p50", "ms", PEER_KS, at_most=0.5),
        Figure("booked_p99", "placed → shipment booked, p99", "ms", PEER_KS, at_most=0.5),
        Figure("visible_p50", "placed → visible, p50", "ms", PEER_KS, at_most=0.5),
        Figure("visible_p99", "placed → visible, p99", "ms", PEER_KS, at_most=0.5),
    )),
    Row("b7", "batch ingest, NDJSON to acks=all", "row_ingest", ALL, (
        Figure("records", "ingest", "records/s", "bare librdkafka producer", at_least=0.65),
    )),
    Row("b8", "single POST, acknowledged by the broker", "row_post", ALL, (
        Figure("cpu", "server CPU per request", "µs", "bare libmicrohttpd POST", at_most=2.2),
    )),
    Row("b9", "projector, insert-heavy", "row_projector_insert", ALL, (
        Figure("rows", "rows", "rows/s", "bare binary COPY, same tables", at_least=0.55),
    )),
    Row("b10", "projector, update-heavy", "row_projector_update", ALL, (
        Figure("rows", "rows", "rows/s", "bare set-based upsert loop", at_least=0.85),
    )),
    Row("b11", "GET order, unchanged", "row_get_unchanged", ALL, (
        Figure("cpu", "server CPU per request", "µs", "bare libmicrohttpd", at_most=1.3),
    )),
    Row("b12", "GET order from PostgreSQL, 64 connections", "row_get", ALL, (
        Figure("pgbench", "requests", "requests/s", "pgbench, pipelined look-ups", at_least=0.45),
        Figure("nestjs", "requests", "requests/s", PEER_NEST, at_least=8),
    )),
    Row("b13", "take-over, from topics as live load left them", "row_takeover", ALL, (
        Figure("orders", "open orders restored, per worker", "orders/s", ratio="product",
               at_least=500000),
    )),
    Row("b14", "rebuild of orders from offset 0", "row_rebuild", ALL, (
        Figure("events", "events", "events/s", "rows/s of b10's product", at_least=2.5),
    )),
    Row("b15", "memory", "row_memory", ALL, (
        Figure("idle", "the largest role, idle", "MiB", ratio="product", at_most=40),
        Figure("open", "an open order", "bytes", ratio="product", at_most=300),
        Figure("closed", "a million closed orders", "MiB", ratio="product", at_most=64),
    )),
    Row("b16", "growth: CPU per order against the smallest", "row_growth", ALL, (
        Figure("orders", "10⁵ and 10⁶ orders in log and tables, the dearer", "µs", "10⁴",
               at_most=1.15),
        Figure("skus", "five hot SKUs or 10⁵, the dearer", "µs", "the other", at_most=1.15),
        Figure("workers", "2 and 4 workers per role, the dearer", "µs", "1", at_most=1.15),
        Figure("pinned", "orders/s of 4 order workers, each held to a share of a core", "", "of 1, times 4"),
    )),
)
