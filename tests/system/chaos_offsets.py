# SPDX-License-Identifier: Apache-2.0
"""Committed offsets that a tool has changed, as it happens to people: a worker that starts on them
must refuse, and name the cure; the cure must work."""

import re
import subprocess

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from world import Failed, wait_until

INBOX = {"order": "orders.inbox", "inventory": "inventory.inbox", "payment": "payments.inbox",
         "shipping": "shipping.inbox"}
REFUSED = 84  # exit status: offsets and log disagree
CURE = "ommit the last transaction's offset and metadata again", \
    "ommit the offset and metadata of the last transaction again"
CHANGES = ("deleted", "earliest", "back", "forward", "moved", "older")
TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
ASKED_MS = 20000  # one question to a broker that may be away
PATIENCE_S = 150  # broken brokers, and beyond the patience of a take-over (120 s)
METADATA = re.compile(r"v1 at=\d+ seq=(\d+) events=\d+ new=(\d+) ")


class GroupOffsets:
    """What a role's group has committed."""

    def __init__(self, world, role):
        self.world, self.group, self.topic = world, f"orderlog.{role}", INBOX[role]
        self.client = {"bootstrap_servers": world.bootstrap, "request_timeout_ms": ASKED_MS}

    def partition(self, number):
        return TopicPartition(self.topic, number)

    def read_once(self):
        consumer = KafkaConsumer(group_id=self.group, isolation_level="read_committed",
                                 enable_auto_commit=False, **self.client)
        try:
            found = {n: consumer.committed(self.partition(n), metadata=True, timeout_ms=ASKED_MS)
                     for n in range(self.world.partitions)}
        finally:
            consumer.close()
        return {n: (what.offset, what.metadata) for n, what in found.items() if what}

    def read(self):
        """{partition: (offset, metadata)}, when no transaction is pending on any."""
        return self.insist("are not known", self.read_once)

    def write(self, offsets):
        """Possible when no worker is a member any more."""
        for partition, (offset, metadata) in offsets.items():
            self.told(partition, offset, metadata)
        wanted = {self.partition(n): OffsetAndMetadata(offset, metadata, -1)
                  for n, (offset, metadata) in offsets.items()}

        def write_once():
            admin = KafkaAdminClient(**self.client)
            try:
                answer = admin.alter_group_offsets(self.group, wanted)
            finally:
                admin.close()
            return len(answer) == len(wanted) and all(e is NoError for e in answer.values())

        self.insist("cannot be written", write_once)

    def insist(self, what, attempt):
        """Brokers may be away meanwhile."""
        def again():
            try:
                return attempt()
            except KafkaError:
                return None

        return wait_until(f"the offsets of {self.group} {what}", again, PATIENCE_S, 0.3)

    def tool(self, partition, *arguments):
        """Kafka's own, as an operator would use it."""
        env, said = self.world.env, []
        command = [env["ORDERLOG_JAVA"], "-XX:TieredStopAtLevel=1", "-cp", env["KAFKA_LIBS"] + "/*", TOOL,
                   "--bootstrap-server", self.world.bootstrap, "--group", self.group,
                   "--topic", f"{self.topic}:{partition}", *arguments]

        def done():
            result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=PATIENCE_S)
            said.append(result.stdout + result.stderr)
            return result.returncode == 0 and "Error" not in said[-1]

        try:
            wait_until(f"{arguments} for {self.group}", done, PATIENCE_S, 0.5)
        except Failed as failure:
            raise Failed(f"{failure}\n{said[-1]}") from None

    def reset(self, partition, offset):
        self.told(partition, offset, "")
        self.tool(partition, "--reset-offsets", "--to-offset", str(offset), "--execute")

    def told(self, partition, offset, metadata):
        """The checker must know what was no worker's doing."""
        self.world.foreign_commits.append((self.group, self.topic, partition, offset, metadata))


def change(offsets, how, partition, good, earlier):
    offset, metadata = good[partition]
    if how == "deleted":
        offsets.tool(partition, "--delete-offsets")
    elif how == "moved":
        offsets.write({partition: (max(0, offset - 1) if offset else 1, metadata)})
    elif how == "older" and promises_less(earlier[partition], good[partition]):
        offsets.write({partition: earlier[partition]})
    else:
        offsets.told(partition, offset, "")  # where the log ends, the tool goes no further
        offsets.reset(partition, {"earliest": 0, "forward": offset + 1}.get(how, max(0, offset - 1)))


def promises_less(earlier, good):
    """Whether an earlier commit knows nothing of events that a later one promises: what only led to no
    event may be read again."""
    before, after = METADATA.match(earlier[1]), METADATA.match(good[1])
    return bool(before and after and int(before[1]) < int(after[1]) and int(after[2]) > 0)


def must_refuse(world, role):
    """Starts the role, again if its servers fail it, until it ends because of the offsets."""
    since = role.log.stat().st_size

    def refused():
        with role.lock:
            role.start()
            role.wanted = False  # the supervisor is not to start it again
            process = role.process
        wait_until(f"{role.name} neither refuses nor ends", lambda: process.poll() is not None, PATIENCE_S)
        if process.returncode == REFUSED:
            return True
        world.note_exit(role, process.returncode)
        return False

    wait_until(f"{role.name} does not refuse offsets that were changed", refused, PATIENCE_S)
    world.exits[f"{role.name}: refused"] += 1
    with open(role.log, "rb") as log:
        log.seek(since)
        told = log.read().decode(errors="replace")
    if not any(cure in told for cure in CURE):
        raise Failed(f"{role.name} does not say what to do:\n{told}")


def draw(rng, role, partitions):
    return {"role": role, "partition": rng.randrange(partitions), "how": rng.choice(CHANGES),
            "graceful": rng.random() < 0.5}
