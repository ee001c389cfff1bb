# SPDX-License-Identifier: Apache-2.0
"""A log for projectors to read, projectors that read it from the start, and what they write, kept by
triggers so that bare SQL can write the same rows in the same batches."""

import datetime
import json
import os
import re
import subprocess

import bench_records
import system_load
from bench_frame import SOURCE, database, say
from bench_system import ROLES, pause

PROCESSORS = ("order", "inventory", "payment", "shipping")
TOPIC = "orders.events"
PROJECTIONS = SOURCE / "projections"
# Which sums of nothing are kept is up to where batches were cut.
SHOWN = {"order_counts": "order_stats"}
NEAR_THE_END = 1000  # offsets, of which some are markers
# A row or two per batch with the time in it, which nobody could write again.
FLEETING = ("order_timeline_news",)
# As the projector's own sessions have it: nobody waits for the disk, plans go by keys.
SESSION = (
    "SET jit = off; SET enable_seqscan = off; SET enable_mergejoin = off;"
    " SET plan_cache_mode = force_custom_plan; SET synchronous_commit = off"
)


def conninfo():
    return os.environ["ORDERLOG_POSTGRES"]


def write_log(bench, orders, processors=PROCESSORS):
    """The system with a log of so many orders' events, decided by these processors alone while no
    projector ran; only the servers run when it returns."""
    settings = system_load.settings_of(bench)
    system = system_load.start_system(bench, settings)
    try:
        system.stop_roles([name for name in ROLES if name not in ("gateway", *processors)])
        say(f"placing {orders} orders")
        place(bench, system, settings, orders)
        await_drained(system)
        system.stop_roles(list(system.processes))
    except BaseException:
        system.stop()
        raise
    return system


def place(bench, system, settings, orders, tag="log"):
    options = [f"{name}={settings[name]}" for name in ("batch", "connections", "skus")]
    options += [
        f"orders={orders}",
        f"tag={tag}",
        f"gateway={system.gateway}",
        f"token={system.token}",
        f"postgres={conninfo()}",
    ]
    subprocess.run(
        [bench.program("bench_load"), "place", *options], check=True, stdout=subprocess.DEVNULL)


def await_drained(system):
    """Until no role has been behind for a few seconds: what is not yet an input of one role may be
    a call in flight of another."""
    quiet = 0
    while quiet < 6:
        behind = system.lags()
        quiet = 0 if any(behind.get(name) for name in system.processes) else quiet + 1
        pause(0.5)


class Projector:
    """The read models `names` of orders.events, each run from the start on empty tables."""

    def __init__(self, bench, system, names):
        self.bench = bench
        self.system = system
        self.names = names
        self.end = None  # where the log's last record is passed
        self.is_ours = f"projection IN ({', '.join(map(repr, names))})"
        self.resets = [(PROJECTIONS / name / "reset.sql").read_text() for name in names]
        emptied = re.findall(r"^TRUNCATE (.*);", "".join(self.resets), re.MULTILINE)
        self.tables = [
            table for tables in emptied for table in tables.split(", ") if table not in FLEETING]

    def empty(self):
        for reset in self.resets:
            database(reset)
        database(f"DELETE FROM projection_offsets WHERE {self.is_ours}")
        database("CHECKPOINT")
        database("SELECT pg_stat_reset()")

    def run(self, options=()):
        """Rows written, seconds from the moment it begins to read until it is through, CPU; with
        `options` of the program."""
        self.empty()
        self.system.start_roles(["project"], [*self.names, *options])
        if self.end is None:
            # During a long batch its metrics are of before, when it did not know of the log's end.
            while self.position() < sum(bench_records.ends_of(TOPIC)) - NEAR_THE_END:
                pause(0.1)
            await_drained(self.system)
            self.end = self.position()
        ended_us = self.await_end()
        began_us = self.began_us()
        used = self.system.cpu(set())
        batches = self.batches()
        self.system.stop_roles(["project"])
        rows = int(database(
            "SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables"
            f" WHERE relname IN ({', '.join(map(repr, self.tables))})"))
        return {
            "rows": rows,
            "records": self.end,
            "batches": batches,
            "us": ended_us - began_us,
            "client_cpu_us": used["project"] * 1e6,
            "server_cpu_us": used["postgresql"] * 1e6,  # its connections, as of the yardstick's
        }

    def position(self):
        return int(database(
            "SELECT coalesce(min(next_offset), 0) FROM projection_offsets"
            f" WHERE topic = '{TOPIC}' AND {self.is_ours}"))

    def await_end(self):
        program = self.bench.program("bench_sql")
        words = ["await", conninfo(), TOPIC, self.end, len(self.names)]
        done = subprocess.run(
            [program, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True)
        return int(done.stdout)

    def began_us(self):
        """The time in its log when it had read its positions; earlier runs wrote to it too."""
        log = (self.system.directory / "log" / "project.log").read_text()
        for line in reversed(log.splitlines()):
            if " projecting " in line and TOPIC in line:
                when = datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00"))
                return round(when.timestamp() * 1e6)
        raise SystemExit("bench: the projector did not begin")

    def batches(self):
        text = self.system.metrics("project")
        return int(sum(value for name, value in text.items()
                       if name.startswith("orderlog_project_batch_seconds_count")))

    # ---- what it writes ----------------------------------------------------------------------

    def capture(self):
        """One more run, not counted, that keeps each row as each batch left it in the schema
        bench, with `batch` 0, 1, 2 … and `op`; returns how many batches there were."""
        say("keeping what it writes")
        self.empty()
        database("CREATE SCHEMA bench")
        for table in self.tables:
            columns = ", ".join(self.columns(table))
            database(f"""
                CREATE UNLOGGED TABLE bench.{table} AS
                    SELECT 0::bigint AS batch, ''::text AS op, {columns} FROM {table} LIMIT 0;
                CREATE FUNCTION bench.keep_{table}() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN
                    INSERT INTO bench.{table} SELECT txid_current(), TG_OP, {columns} FROM written;
                    RETURN NULL;
                END $$;""")
            for event in ("INSERT", "UPDATE"):
                database(f"CREATE TRIGGER keep_{event} AFTER {event} ON {table}"
                         " REFERENCING NEW TABLE AS written FOR EACH STATEMENT"
                         f" EXECUTE FUNCTION bench.keep_{table}()")
        self.system.start_roles(["project"], self.names)
        self.await_end()
        self.system.stop_roles(["project"])
        for table in self.tables:
            for event in ("INSERT", "UPDATE"):
                database(f"DROP TRIGGER keep_{event} ON {table}")
        union = " UNION ".join(f"SELECT batch FROM bench.{table}" for table in self.tables)
        database(f"CREATE TABLE bench.numbers AS SELECT batch, row_number() OVER (ORDER BY batch)"
                 f" - 1 AS number FROM ({union}) AS b")
        for table in self.tables:
            database(f"UPDATE bench.{table} t SET batch = number FROM bench.numbers n"
                     " WHERE n.batch = t.batch")
            database(f"CREATE INDEX ON bench.{table} (batch, op, {', '.join(self.key(table))})")
            database(f"ANALYZE bench.{table}")
        return int(database("SELECT count(*) FROM bench.numbers"))

    def types(self, table):
        """Of its columns, by name, but for those that PostgreSQL makes itself."""
        return dict(line.split("|") for line in database(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
            f" WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = '' ORDER BY attnum").splitlines())

    def columns(self, table):
        return list(self.types(table))

    def key(self, table):
        return database(
            "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid ="
            f" (SELECT indexrelid FROM pg_index WHERE indrelid = '{table}'::regclass"
            " AND indisprimary)").split()

    # ---- writing it again --------------------------------------------------------------------

    def upsert_step(self, table):
        """Rows that batch after batch writes again, as the batch left them."""
        columns, key = self.columns(table), self.key(table)
        values = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
        return (
            "statement",
            arrays(f"bench.{table}", columns, key),
            f"INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT * FROM {self.unnest(table, columns)} AS u"
            f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {values}",
        )

    def unnest(self, table, columns):
        types = self.types(table)
        parameters = (f"${n + 1}::{types[name]}[]" for n, name in enumerate(columns))
        return f"unnest({', '.join(parameters)})"

    def replay(self, batches, steps):
        """bench_sql, with steps of (kind, query, SQL)."""
        self.empty()
        text = "".join("".join(" ".join(part.split()) + "\n" for part in step) for step in steps)
        words = ["replay", conninfo(), str(batches), SESSION]
        done = subprocess.run([self.bench.program("bench_sql"), *words], check=True, input=text,
                              stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)

    def content(self):
        """Of all tables, the same whoever wrote them: rows and a digest of each."""
        return {
            table: database(
                f"SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0)"
                f" FROM {SHOWN.get(table, table)} t")
            for table in self.tables
        }


def arrays(source, columns, key, condition="true"):
    """What a batch wrote, a row of arrays in the order of the key."""
    aggregates = ", ".join(f"array_agg({name})" for name in columns)
    return (
        f"SELECT {aggregates} FROM (SELECT * FROM {source}"
        f" WHERE batch = {{batch}} AND {condition} ORDER BY {', '.join(key)}) AS sorted")


def server_cpu_s(system):
    return sum(used for name, used in system.cpu(set()).items() if name.startswith("postgresql"))


def per_row(found):
    """CPU per row in µs, and what a batch was like."""
    return {
        "rows_per_s": round(found["rows"] * 1e6 / found["us"]),
        "client_cpu_us_per_row": round(found["client_cpu_us"] / found["rows"], 2),
        "server_cpu_us_per_row": round(found["server_cpu_us"] / found["rows"], 2),
        "rows_per_batch": round(found["rows"] / max(found["batches"], 1)),
        "rows": found["rows"],
    }
