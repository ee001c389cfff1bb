# SPDX-License-Identifier: Apache-2.0
"""What one order leaves behind: records and bytes by topic, rows and WAL in PostgreSQL."""

import os
import pathlib

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

INBOX = ".inbox"


def log_bytes(directory):
    """Bytes on disk by topic, indexes apart; the broker's own topics included."""
    sizes = {}
    for partition in (pathlib.Path(directory) / "kafka").iterdir():
        topic, dash, number = partition.name.rpartition("-")
        if dash and number.isdigit():
            size = sum(segment.stat().st_size for segment in partition.glob("*.log"))
            sizes[topic] = sizes.get(topic, 0) + size
    return sizes


def consumer():
    return Consumer(
        {
            "bootstrap.servers": os.environ["ORDERLOG_KAFKA_BOOTSTRAP"],
            "group.id": "bench.records",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 5,
        }
    )


def end_offsets():
    """The next offset of every partition of our topics."""
    reader = consumer()
    ends = {}
    for topic, metadata in reader.list_topics(timeout=10).topics.items():
        if topic.startswith("__"):
            continue
        for partition in metadata.partitions:
            _, end = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            ends[topic, partition] = end
    reader.close()
    return ends


def ends_of(topic):
    """The next offset of each partition."""
    found = {part: end for (name, part), end in end_offsets().items() if name == topic}
    return [found[part] for part in sorted(found)]


def topic_like(topic, name):
    """Makes an empty topic of the same shape and settings."""
    admin = AdminClient({"bootstrap.servers": os.environ["ORDERLOG_KAFKA_BOOTSTRAP"]})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    settings = admin.describe_configs([resource])[resource].result()
    config = {key: row.value for key, row in settings.items() if row.source == 1}  # of the topic
    partitions = len(admin.list_topics(topic, timeout=10).topics[topic].partitions)
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result()


def group_size(value):
    """How many messages are in a MessageGroup: Avro's zig-zag count after the five-byte header."""
    bits = shift = 0
    for byte in value[5:]:
        bits |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return (bits >> 1) ^ -(bits & 1)


def count_records(begin, end):
    """Reads all records from begin to end; by topic: records, of which groups, messages, bytes."""
    counts = {}
    left = {}
    for (topic, partition), last in end.items():
        first = begin.get((topic, partition), 0)
        row = counts.setdefault(
            topic, {"records": 0, "groups": 0, "grouped_messages": 0, "payload_bytes": 0, "span": 0}
        )
        row["span"] += last - first
        if last > first:
            left[topic, partition] = last
    reader = consumer()
    reader.assign([TopicPartition(t, p, begin.get((t, p), 0)) for t, p in left])
    while left:
        messages = reader.consume(num_messages=10000, timeout=10)
        if not messages:
            raise SystemExit(f"bench: the log cannot be read to its end: {left}")
        for message in messages:
            place = message.topic(), message.partition()
            if message.error():  # the end of a partition: trailing markers have no records
                if message.offset() >= left.get(place, 0):
                    left.pop(place, None)
                continue
            if message.offset() >= end[place]:
                continue
            row = counts[place[0]]
            key, value = message.key(), message.value()
            row["records"] += 1
            row["payload_bytes"] += len(key or b"") + len(value or b"")
            if key is None and place[0].endswith(INBOX):
                row["groups"] += 1
                row["grouped_messages"] += group_size(value)
    reader.close()
    for row in counts.values():
        row["markers"] = row.pop("span") - row["records"]
    return {topic: row for topic, row in counts.items() if row["records"] or row["markers"]}
