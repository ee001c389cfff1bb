# SPDX-License-Identifier: Apache-2.0
"""The build stops when a schema no longer goes with a version of it that was shipped, naming the
file, the field and the rule; and lets every allowed change pass.

schemas_shipped.py GENERATOR
"""
import copy
import json
import os
import subprocess
import sys
import tempfile
import unittest

GENERATOR = sys.argv.pop(1)

BEFORE = {"type": "record", "name": "Thing", "namespace": "orderlog", "fields": [
    {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "count", "type": "long"},
    {"name": "small", "type": "int"},
    {"name": "note", "type": ["null", "string"], "default": None},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
    {"name": "parts", "type": {"type": "array", "items": {
        "type": "record", "name": "Part", "fields": [
            {"name": "sku", "type": "string"}, {"name": "price", "type": "long"}]}}},
    {"name": "maybe", "type": ["null", "long"], "default": None}]}
COUNT, SMALL, NOTE, KIND, PARTS, MAYBE = 1, 2, 3, 4, 5, 6


class Shipped(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="orderlog-shipped.")
        self.addCleanup(folder.cleanup)
        self.root = os.path.join(folder.name, "schemas")
        self.out = os.path.join(folder.name, "out")
        os.mkdir(self.out)
        self.write("shipped/topic/thing.1.avsc", BEFORE)
        # Something to generate when Thing itself is gone.
        self.write("topic/other.avsc", {"type": "record", "name": "Other", "namespace": "orderlog",
                                        "fields": [{"name": "x", "type": "long"}]})

    def write(self, name, schema):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            json.dump(schema, file)

    def build(self):
        done = subprocess.run([GENERATOR, self.root, self.out], capture_output=True, text=True,
                              timeout=60)
        return done.returncode, done.stdout + done.stderr

    def changed(self, change):
        schema = copy.deepcopy(BEFORE)
        change(schema["fields"])
        self.write("topic/thing.avsc", schema)
        return self.build()

    def allows(self, change):
        code, text = self.changed(change)
        self.assertEqual(code, 0, text)

    def stops(self, change, *texts):
        code, text = self.changed(change)
        self.assertNotEqual(code, 0, "it built")
        for expected in ("topic/thing.avsc does not go with", "shipped/topic/thing.1.avsc",
                         *texts):
            self.assertIn(expected, text)

    def test_what_both_sides_can_read_is_allowed(self):
        self.allows(lambda fields: None)
        self.allows(lambda fields: fields[COUNT].update(doc="Other words."))
        self.allows(lambda fields: fields.append(
            {"name": "later", "type": ["null", "bytes"], "default": None}))
        self.allows(lambda fields: fields.pop(MAYBE))
        self.allows(lambda fields: fields.reverse())
        self.allows(lambda fields: fields[PARTS]["type"]["items"]["fields"].append(
            {"name": "weight", "type": ["null", "long"], "default": None}))

    def test_a_new_field_needs_a_default(self):
        self.stops(lambda fields: fields.append({"name": "later", "type": "long"}),
                   "this program could not read", "Thing.later: the writer does not have the field")
        self.stops(lambda fields: fields[PARTS]["type"]["items"]["fields"].append(
            {"name": "weight", "type": "long"}), "Thing.parts.weight: the writer does not have")

    def test_a_field_without_default_stays(self):
        self.stops(lambda fields: fields.pop(COUNT), "that program could not read",
                   "Thing.count: the writer does not have the field")

    def test_names_stay(self):
        self.stops(lambda fields: fields[COUNT].update(name="number"), "the writer does not have")
        # An alias helps the new reader, not the old one.
        self.stops(lambda fields: fields[COUNT].update(name="number", aliases=["count"]),
                   "that program could not read", "Thing.count")
        self.stops(lambda fields: fields[PARTS]["type"]["items"].update(name="Piece"),
                   "Thing.parts")

    def test_types_stay(self):
        self.stops(lambda fields: fields[COUNT].update(type="string"), "Thing.count: was written")
        self.stops(lambda fields: fields[COUNT].update(type="int"), "Thing.count: was written as "
                   "long, and cannot be read as int")
        self.stops(lambda fields: fields[SMALL].update(type="long"), "that program could not read",
                   "Thing.small")
        self.stops(lambda fields: fields[NOTE].update(type=["null", "bytes"]), "Thing.note")
        self.stops(lambda fields: fields[COUNT].update(
            type={"type": "long", "logicalType": "timestamp-micros"}),
            "Thing.count: the logical type was none and is timestamp-micros")
        self.stops(lambda fields: fields[PARTS].update(type={"type": "array", "items": "string"}),
                   "Thing.parts")

    def test_what_may_be_null_stays(self):
        self.stops(lambda fields: fields[COUNT].update(type=["null", "long"], default=None),
                   "that program could not read", "Thing.count")
        self.stops(lambda fields: fields[MAYBE].update(type="long", default=0), "Thing.maybe")

    def test_symbols_stay(self):
        self.stops(lambda fields: fields[KIND]["type"]["symbols"].append("C"),
                   "that program could not read", "symbol C of enum Kind")
        self.stops(lambda fields: fields[KIND]["type"]["symbols"].remove("A"),
                   "this program could not read", "symbol A of enum Kind")
        self.allows(lambda fields: fields[KIND]["type"]["symbols"].reverse())

    def test_every_shipped_version_counts(self):
        later = copy.deepcopy(BEFORE)
        later["fields"].append({"name": "later", "type": ["null", "long"], "default": None})
        self.write("shipped/topic/thing.2.avsc", later)
        self.allows(lambda fields: None)
        code, text = self.changed(lambda fields: fields.append(
            {"name": "later", "type": ["null", "string"], "default": None}))
        self.assertNotEqual(code, 0)
        self.assertIn("shipped/topic/thing.2.avsc", text)

    def test_a_shipped_record_stays(self):
        code, text = self.build()
        self.assertNotEqual(code, 0)
        self.assertIn("topic/thing.avsc is gone", text)


if __name__ == "__main__":
    unittest.main()
