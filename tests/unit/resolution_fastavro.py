# SPDX-License-Identifier: Apache-2.0
"""Schemas that evolved at random, read by our resolution and by fastavro's: both must come to the
same value, or both must refuse.

resolution_fastavro.py TOOL [CASES]
"""
import copy
import io
import json
import os
import random
import struct
import subprocess
import sys
import time

import fastavro

VALUES = 8


class Evolution:
    """A reader's schema of the kinds that ours have, and a writer's that differs from it."""

    def __init__(self, rng):
        self.rng = rng
        self.names = 0

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def chance(self, share):
        return self.rng.random() < share

    # ---- the reader ----

    def enum(self):
        schema = {"type": "enum", "name": self.name("Kind"),
                  "symbols": [f"S{i}" for i in range(self.rng.randint(1, 80 if self.chance(0.1) else 5))]}
        if self.chance(0.5):
            schema["default"] = self.rng.choice(schema["symbols"])
        return schema

    def plain(self, depth):
        kinds = ["boolean", "int", "long", "long", "string", "string", "bytes", "enum"]
        kind = self.rng.choice(kinds + (["record", "record"] if depth else []))
        if kind == "enum":
            return self.enum()
        return self.record(depth - 1) if kind == "record" else kind

    def any_type(self, depth):
        draw = self.rng.random()
        if draw < 0.25:
            return ["null", self.plain(depth)]
        if draw < 0.4:
            return {"type": "array", "items": self.plain(depth)}
        return self.plain(depth)

    def record(self, depth):
        fields = []
        for _ in range(self.rng.randint(1, 6)):
            field = {"name": self.name("f"), "type": self.any_type(depth)}
            if self.chance(0.6):
                field["default"] = self.default(field["type"])
            fields.append(field)
        return {"type": "record", "name": self.name("Part"), "fields": fields}

    def default(self, schema):
        if isinstance(schema, list):
            return self.default(schema[0])
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind == "enum":
            return self.rng.choice(schema["symbols"])
        if kind == "array":
            return [self.default(schema["items"]) for _ in range(self.rng.randint(0, 2))]
        if kind == "record":
            return {field["name"]: self.default(field["type"]) for field in schema["fields"]}
        return {"null": None, "boolean": True, "int": -7, "long": 1 << 40, "string": "dé\"fault",
                "bytes": "by\u00ff\u0080te"}[kind]

    # ---- the writer ----

    def foreign_type(self, depth=2):
        """Anything at all: nobody reads it."""
        kind = self.rng.choice(["null", "boolean", "int", "long", "float", "double", "string",
                                "bytes", "fixed", "enum", "map", "array", "union", "record", "list"])
        if kind == "fixed":
            return {"type": "fixed", "name": self.name("Fix"), "size": self.rng.randint(0, 9)}
        if kind == "enum":
            return self.enum()
        if depth == 0 and kind in ("map", "array", "union", "record"):
            return "double"
        if kind in ("map", "array"):
            inner = self.foreign_type(depth - 1)
            return {"type": kind, "values" if kind == "map" else "items": inner}
        if kind == "union":
            return ["null", "double", {"type": "map", "values": "long"}, self.enum()]
        if kind == "record":
            return {"type": "record", "name": self.name("Other"), "fields": [
                {"name": f"x{i}", "type": self.foreign_type(depth - 1)}
                for i in range(self.rng.randint(0, 3))]}
        if kind == "list":
            name = self.name("List")
            return {"type": "record", "name": name, "fields": [
                {"name": "head", "type": "long"}, {"name": "tail", "type": ["null", name]}]}
        return kind

    def evolve_type(self, reader):
        """What the writer may have had where the reader has this; the reader may get aliases."""
        if isinstance(reader, list):
            inner = self.evolve_type(reader[1])
            draw = self.rng.random()
            if isinstance(inner, list) or inner == "null":
                return inner
            if draw < 0.6:
                return ["null", inner]
            if draw < 0.75:
                return inner
            if draw < 0.9:
                return [inner, "null"]
            return ["null", inner, {"type": "map", "values": "int"}]
        kind = reader if isinstance(reader, str) else reader["type"]
        if self.chance(0.04):
            return self.foreign_type()
        if self.chance(0.06):
            inner = self.evolve_type(reader)
            return inner if isinstance(inner, list) or inner == "null" else ["null", inner]
        if kind == "long" and self.chance(0.3):
            return "int"
        if kind in ("string", "bytes") and self.chance(0.15):
            return "bytes" if kind == "string" else "string"
        if kind == "enum":
            return self.evolve_enum(reader)
        if kind == "array":
            return {"type": "array", "items": self.evolve_type(reader["items"])}
        if kind == "record":
            return self.evolve_record(reader)
        return reader

    def rename(self, reader, writer):
        if self.chance(0.1):
            writer["name"] = self.name("Old")
            if self.chance(0.9):
                reader["aliases"] = ["orderlog." + writer["name"]]

    def evolve_enum(self, reader):
        writer = {"type": "enum", "name": reader["name"], "symbols": list(reader["symbols"])}
        if self.chance(0.3):
            writer["symbols"].append("NEW")
        if self.chance(0.3) and len(writer["symbols"]) > 1:
            writer["symbols"].remove(self.rng.choice(writer["symbols"]))
        if self.chance(0.3):
            self.rng.shuffle(writer["symbols"])
        self.rename(reader, writer)
        return writer

    def evolve_record(self, reader):
        fields = []
        for field in reader["fields"]:
            if self.chance(0.15 if "default" in field else 0.03):
                continue
            evolved = {"name": field["name"], "type": self.evolve_type(field["type"])}
            if self.chance(0.1):
                evolved["name"] = self.name("old")
                if "default" not in field or self.chance(0.8):
                    field["aliases"] = [evolved["name"]]
            fields.append(evolved)
        while self.chance(0.3):
            fields.insert(self.rng.randint(0, len(fields)),
                          {"name": self.name("g"), "type": self.foreign_type()})
        if self.chance(0.3):
            self.rng.shuffle(fields)
        writer = {"type": "record", "name": reader["name"], "fields": fields}
        self.rename(reader, writer)
        return writer

    def pair(self):
        reader = self.record(3)
        reader["name"] = "Top"
        reader["namespace"] = "orderlog"
        writer = self.evolve_record(reader)
        writer["namespace"] = "orderlog"
        return writer, reader

    # ---- records of the writer, byte by byte ----

    def record_bytes(self, schema, named, depth=0):
        rng = self.rng
        if isinstance(schema, list):
            nulls = [i for i, branch in enumerate(schema) if branch == "null"]
            index = nulls[0] if nulls and depth > 6 else rng.randrange(len(schema))
            return number(index) + self.record_bytes(schema[index], named, depth + 1)
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind in named:
            return self.record_bytes(named[kind], named, depth + 1)
        if isinstance(schema, dict) and "name" in schema:
            named[schema["name"]] = schema
        if kind == "record":
            return b"".join(self.record_bytes(field["type"], named, depth + 1)
                            for field in schema["fields"])
        if kind == "enum":
            return number(rng.randrange(len(schema["symbols"])))
        if kind == "fixed":
            return rng.randbytes(schema["size"])
        if kind in ("array", "map"):
            return self.blocks(kind, schema["values" if kind == "map" else "items"], named, depth)
        text = "äb" * rng.randrange(50)
        return {"null": lambda: b"", "boolean": lambda: bytes([rng.randrange(2)]),
                "int": lambda: number(rng.getrandbits(32) - (1 << 31) >> rng.randrange(32)),
                "long": lambda: number(rng.getrandbits(64) - (1 << 63) >> rng.randrange(64)),
                "float": lambda: struct.pack("<f", rng.random()),
                "double": lambda: struct.pack("<d", rng.random()),
                "string": lambda: number(len(text.encode())) + text.encode(),
                "bytes": lambda: number(10) + b"some ascii"}[kind]()

    def blocks(self, kind, inner, named, depth):
        out = b""
        for _ in range(self.rng.randint(0, 2)):
            count = self.rng.randint(1, 3)
            items = b"".join((number(2) + b"k%d" % i if kind == "map" else b"")
                             + self.record_bytes(inner, named, depth + 1) for i in range(count))
            out += (number(-count) + number(len(items)) if self.chance(0.3) else number(count))
            out += items
        return out + number(0)


def number(value):
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes(out + bytes([rest]))


def canonical(schema, value):
    """fastavro gives a default as it stands in the schema."""
    if isinstance(schema, list):
        return None if value is None else canonical(schema[1], value)
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind == "bytes":
        return value.decode("latin-1") if isinstance(value, bytes) else value
    if kind == "array":
        return [canonical(schema["items"], item) for item in value]
    if kind == "record":
        return {field["name"]: canonical(field["type"], value[field["name"]])
                for field in schema["fields"]}
    return value


def read(data, writer, reader=None):
    """(value, None) or (None, why)"""
    source = io.BytesIO(data)
    try:
        value = fastavro.schemaless_reader(source, copy.deepcopy(writer), copy.deepcopy(reader))
    except Exception as error:  # whatever fastavro raises, it refuses
        return None, f"{type(error).__name__}: {error}"
    return value, None if source.tell() == len(data) else "bytes are left"


def sized(data):
    return struct.pack("<I", len(data)) + data


def make_cases(rng, count):
    cases = []
    while len(cases) < count:
        evolution = Evolution(rng)
        writer, reader = evolution.pair()
        fastavro.parse_schema(copy.deepcopy(writer), named_schemas={})
        fastavro.parse_schema(copy.deepcopy(reader), named_schemas={})
        records = [evolution.record_bytes(writer, {}) for _ in range(VALUES)]
        cases.append((writer, reader, records))
    return cases


def judge(case, answers):
    """The number of records read, or an explanation."""
    writer, reader, records = case
    theirs = [read(record, writer, reader) for record in records]
    good, text = next(answers)
    if not good:
        if all(why is None for _, why in theirs):
            return f"we refuse what fastavro reads: {text.decode()}"
        return 0
    count = 0
    for record, (value, why) in zip(records, theirs):
        good, data = next(answers)
        ours, our_why = read(data, reader) if good else (None, data.decode())
        if (our_why is None) != (why is None):
            return f"ours: {our_why or ours}\nfastavro: {why or value}\nrecord: {record.hex()}"
        if why is None:
            if canonical(reader, ours) != canonical(reader, value):
                return f"ours: {ours}\nfastavro: {value}\nrecord: {record.hex()}"
            count += 1
    return count


def split(data):
    at = 0
    while at < len(data):
        good, length = struct.unpack_from("<?I", data, at)
        yield good, data[at + 5:at + 5 + length]
        at += 5 + length


def main():
    tool, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1500
    if os.environ.get("ORDERLOG_TEST_LONG"):
        count *= 40
    seed = int(os.environ.get("ORDERLOG_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed: ORDERLOG_TEST_SEED={seed}")
    cases = make_cases(random.Random(seed), count)
    request = b"".join(
        sized(json.dumps(writer).encode()) + sized(json.dumps(reader).encode())
        + struct.pack("<I", len(records)) + b"".join(map(sized, records))
        for writer, reader, records in cases)
    done = subprocess.run([tool], input=request, capture_output=True, timeout=1000)
    if done.returncode != 0:
        sys.exit(f"the tool ends with {done.returncode}: {done.stderr.decode()[-3000:]}")
    answers = split(done.stdout)
    records = refused = 0
    for number, case in enumerate(cases):
        found = judge(case, answers)
        if isinstance(found, str):
            sys.exit(f"case {number}\nwriter: {json.dumps(case[0])}\nreader: "
                     f"{json.dumps(case[1])}\n{found}")
        records += found
        refused += found == 0
    if next(answers, None) is not None:
        sys.exit("there are more answers than questions")
    if records < count or refused < count // 50:
        sys.exit(f"the cases show nothing: {records} records, {refused} refusals")
    print(f"{count} pairs of schemas: {records} records alike, {refused} pairs refused by both")


if __name__ == "__main__":
    main()
