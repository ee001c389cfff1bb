# SPDX-License-Identifier: Apache-2.0
"""An independent reader of the log: pure-Python kafka-python and fastavro, schemas by id from the
registry over HTTP, committed records only. Shares no code with the system under test."""

import io
import json
import select
import struct
import urllib.error
import urllib.request
from collections import namedtuple

import fastavro
from kafka import KafkaConsumer, TopicPartition

from world import Failed, wait_until

Record = namedtuple("Record", "topic partition offset key type body")

PAUSE_S = 1
ANSWER_S = 20  # of the registry; asked again as often as ANSWER_TRIES
ANSWER_TRIES = 3
IDLE_POLLS = 4  # trailing transaction markers have no record: the end is silence at the end offset


def plain(schema):
    """The schema without logical types: ids stay text, times stay microseconds."""
    if isinstance(schema, dict):
        return {k: plain(v) for k, v in schema.items() if k != "logicalType"}
    return [plain(v) for v in schema] if isinstance(schema, list) else schema


class Registry:
    def __init__(self, url):
        self.url = url
        self.schemas = {}

    def text(self, schema_id):
        for attempt in range(ANSWER_TRIES):
            try:
                with urllib.request.urlopen(f"{self.url}/schemas/ids/{schema_id}",
                                            timeout=ANSWER_S) as reply:
                    return json.load(reply)["schema"]
            except OSError as error:  # an answer that was lost, or one of a registry that begins anew
                if isinstance(error, urllib.error.HTTPError) and error.code == 404:
                    return None
                if attempt == ANSWER_TRIES - 1:
                    raise
                select.select([], [], [], PAUSE_S)
        return None

    def schema(self, schema_id):
        """The parsed schema, None when the registry does not know the id."""
        if schema_id not in self.schemas:
            text = self.text(schema_id)
            self.schemas[schema_id] = fastavro.parse_schema(plain(json.loads(text))) if text else None
        return self.schemas[schema_id]

    def decode(self, value):
        """(record name, dict), or None when the bytes are no message."""
        if value is None or len(value) < 5 or value[0] != 0:
            return None
        schema = self.schema(struct.unpack(">I", value[1:5])[0])
        if schema is None:
            return None
        stream = io.BytesIO(value[5:])
        try:
            body = fastavro.schemaless_reader(stream, schema)
        except Exception:  # fastavro has no one error for bytes that it cannot read
            return None
        if stream.read(1):
            return None
        return schema["name"].rsplit(".", 1)[-1], body


def read_topic(world, registry, topic):
    """Every committed record of a topic, in offset order per partition; type None: no message."""
    consumer = KafkaConsumer(bootstrap_servers=world.bootstrap, isolation_level="read_committed",
                             auto_offset_reset="earliest", enable_auto_commit=False,
                             max_poll_records=5000, max_partition_fetch_bytes=8 << 20,
                             check_crcs=False)  # in Python they take most of the time
    partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    records = []
    silent = 0

    def read_some():
        nonlocal silent
        batches = consumer.poll(timeout_ms=200)
        silent = 0 if batches else silent + 1
        for messages in batches.values():
            for message in messages:
                name, body = registry.decode(message.value) or (None, message.value)
                records.append(Record(topic, message.partition, message.offset, message.key, name,
                                      body))
        at_end = all(consumer.position(tp) >= ends[tp] for tp in partitions)
        return at_end or silent >= IDLE_POLLS

    wait_until(f"{topic} cannot be read to its end", read_some, 120, 0)
    consumer.close()
    for partition in partitions:
        read = [r for r in records if r.partition == partition.partition]
        if ends[partition] > 0 and not read and ends[partition] > 50:
            raise Failed(f"{topic}[{partition.partition}] has {ends[partition]} offsets but no record")
    return records
