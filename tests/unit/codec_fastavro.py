# SPDX-License-Identifier: Apache-2.0
"""The Python side of test_codec_fastavro: fastavro reads and rewrites our bytes, and makes its own.

codec_fastavro.py SCHEMAS DIR SEED COUNT: for each record, DIR/NAME.ours holds encodings, each
after its length (4 bytes, little endian). Every one must come out of fastavro as it went in. Then
COUNT random values are written the same way to DIR/NAME.theirs.
"""

import glob
import io
import json
import os
import random
import struct
import sys
import uuid

import fastavro


def plain(schema):
    """Without logical types: their Python classes cannot hold every long, and bytes matter here."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if isinstance(schema, dict):
        return {key: plain(value) for key, value in schema.items() if key != "logicalType"}
    return schema


def random_long(rng, bits):
    edges = [0, 1, -1, 63, 64, -64, -65, (1 << (bits - 1)) - 1, -(1 << (bits - 1))]
    if rng.random() < 0.2:
        return rng.choice(edges)
    return rng.getrandbits(bits) - (1 << (bits - 1)) >> rng.randrange(bits)


def random_text(rng):
    length = rng.randrange(3000) if rng.random() < 0.02 else rng.randrange(24)
    alphabet = rng.choice(["abc 0123\0", "äé€", "a\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"])
    return "".join(rng.choices(alphabet, k=length))


class Maker:
    """Random values; plain ones come from pools, because Python is slow."""

    POOL = 2000

    def __init__(self, rng):
        self.rng = rng
        self.named = {}
        rnd = range(self.POOL)
        self.pools = {
            "boolean": [True, False],
            "int": [random_long(rng, 32) for _ in rnd],
            "long": [random_long(rng, 64) for _ in rnd],
            "string": [random_text(rng) for _ in rnd],
            "bytes": [rng.randbytes(rng.randrange(40)) for _ in rnd],
            "uuid": [str(uuid.UUID(bytes=rng.randbytes(16))) for _ in rnd],
        }

    def maker(self, schema):
        """A function without arguments that makes a value of the schema."""
        choice, rnd = self.rng.choice, self.rng.random
        if isinstance(schema, str):
            if schema in self.pools:
                pool = self.pools[schema]
                return lambda: choice(pool)
            return self.named[schema.removeprefix("orderlog.")]
        if isinstance(schema, list):
            make = self.maker(schema[1])
            return lambda: None if rnd() < 0.3 else make()
        kind = schema["type"]
        if kind == "array":
            make = self.maker(schema["items"])
            return lambda: [make() for _ in range(int(rnd() * 4) if rnd() < 0.99 else 300)]
        if kind == "enum":
            symbols = schema["symbols"]
            self.named[schema["name"]] = lambda: choice(symbols)
            return self.named[schema["name"]]
        if kind == "record":
            fields = [(field["name"], self.maker(field["type"])) for field in schema["fields"]]
            self.named[schema["name"]] = lambda: {name: make() for name, make in fields}
            return self.named[schema["name"]]
        return self.maker("uuid" if schema.get("logicalType") == "uuid" else kind)


def check_ours(schema, path):
    with open(path, "rb") as file:
        data = file.read()
    at = count = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        ours = data[at + 4 : at + 4 + length]
        at += 4 + length
        source = io.BytesIO(ours)
        value = fastavro.schemaless_reader(source, schema, None)
        if source.tell() != length:
            sys.exit(f"{path}: fastavro leaves bytes unread in value {count}: {ours.hex()}")
        target = io.BytesIO()
        fastavro.schemaless_writer(target, schema, value)
        if target.getvalue() != ours:
            sys.exit(f"{path}: fastavro writes value {count} otherwise: {ours.hex()}")
        count += 1
    return count


def main():
    schemas, directory, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rng = random.Random(seed)
    maker = Maker(rng)
    checked = 0
    for path in sorted(glob.glob(os.path.join(schemas, "*", "*.avsc"))):
        with open(path, encoding="utf-8") as file:
            text = json.load(file)
        schema = fastavro.parse_schema(plain(text), named_schemas={})
        base = os.path.join(directory, text["name"])
        checked += check_ours(schema, base + ".ours")
        make = maker.maker(text)
        with open(base + ".theirs", "wb") as file:
            for _ in range(count):
                target = io.BytesIO()
                fastavro.schemaless_writer(target, schema, make())
                data = target.getvalue()
                file.write(struct.pack("<I", len(data)) + data)
    print(f"fastavro {fastavro.__version__}: {checked} of our values rewritten to the same bytes")


if __name__ == "__main__":
    main()
