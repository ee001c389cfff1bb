# SPDX-License-Identifier: Apache-2.0
"""The whole system over closed servers: Kafka by TLS and SCRAM with the rights of `orderlog rights`,
PostgreSQL by verify-full with a role per service. It works, and then every credential is stolen in
turn: what it opens is what is in that list and nothing else."""

import argparse
import concurrent.futures
import itertools
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka import admin as kafka_admin
from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import TopicAuthorizationFailedError

from world import Failed, World, expect, wait_until

PREFIX = "orderlog-"
DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError._NOENT,  # a topic that one may not see has no leaders to ask
}
STATEMENTS = {
    "SELECT": "SELECT * FROM {0} LIMIT 1",
    "INSERT": "INSERT INTO {0} ({1}) SELECT {1} FROM {0} WHERE false",
    "UPDATE": "UPDATE {0} SET {1} = {1} WHERE false",
    "DELETE": "DELETE FROM {0} WHERE false",
    "TRUNCATE": "TRUNCATE {0}",
    "DROP": "DROP TABLE {0} CASCADE",
    "ALTER": "ALTER TABLE {0} ADD COLUMN stolen text",
}
INSUFFICIENT_PRIVILEGE = "42501"
TEMPORARY = "CREATE TEMP TABLE stolen (a text)"
FOR_NOBODY = (
    "CREATE TABLE stolen (a text)",
    "CREATE FUNCTION stolen() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE stolen",
    "ALTER ROLE orderlog PASSWORD 'stolen'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('postgresql.conf')",
)


class Closed(World):
    """Servers that know their callers; each role is given its own credentials alone."""

    def _start_servers(self, services, clean):
        super()._start_servers(services, dict(clean, SECURE="1"))
        self.users = {}
        for file in (services / "secure").glob("*.env"):
            assignments = (line.split("=", 1) for line in file.read_text().splitlines())
            self.users[file.stem] = {name: shlex.split(value)[0] for name, value in assignments}

    def _configure(self, services, clean):
        super()._configure(services, clean)
        for name in ("ORDERLOG_KAFKA_BOOTSTRAP", "ORDERLOG_POSTGRES"):
            del self.env[name]
        self.common = dict(self.env)
        self.env.update(self.users["admin"], ORDERLOG_SETUP_USERS_PREFIX=PREFIX)

    def env_of(self, name):
        return dict(self.common, **self.users[name])

    def kafka(self, user, **settings):
        """Settings of a client that has stolen the user's credentials."""
        env = self.users[user]
        return {
            "bootstrap.servers": env["ORDERLOG_KAFKA_BOOTSTRAP"],
            "security.protocol": env["ORDERLOG_KAFKA_SECURITY_PROTOCOL"],
            "ssl.ca.location": env["ORDERLOG_KAFKA_SSL_CA_LOCATION"],
            "sasl.mechanism": env["ORDERLOG_KAFKA_SASL_MECHANISM"],
            "sasl.username": env["ORDERLOG_KAFKA_SASL_USERNAME"],
            "sasl.password": env["ORDERLOG_KAFKA_SASL_PASSWORD"],
            "log_level": 0,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }


class Tally:
    """Every try, and those that did not end as the list of rights says."""

    def __init__(self):
        self.tries = 0
        self.surprises = []

    def __add__(self, other):
        both = Tally()
        both.tries = self.tries + other.tries
        both.surprises = self.surprises + other.surprises
        return both

    def note(self, who, what, allowed, opened):
        self.tries += 1
        if allowed != opened:
            self.surprises.append(f"{who} {'could' if opened else 'could not'} {what}")


def rights_of(world):
    """{(user, "kafka", kind, name): {operations}}, as the program lists them."""
    rights = {}
    for line in world.tool("rights").splitlines():
        user, where, kind, name, operations = line.split(None, 4)
        rights.setdefault((user, where, kind, name), set()).update(operations.split(", "))
    return rights


def orders_pass(world):
    orders = world.folder / "orders.csv"
    orders.write_text(world.tool("generate", "--orders", "60"))
    world.tool("replay", orders, "--stock", "auto", env=dict(
        world.common, ORDERLOG_API_KEY=world.token))
    wait_until("orders do not end", lambda: not world.sql(
        "SELECT 1 FROM orders WHERE closed_at IS NULL LIMIT 1") or None, 60)
    expect("60 orders pass through a system in which every role has its own rights",
           world.sql("SELECT count(*) AS n FROM orders WHERE status = 'COMPLETED'")[0]["n"] == 60,
           world.sql("SELECT status, count(*) FROM orders GROUP BY status"))
    said = world.tool("verify", env=world.env_of("reader"))
    expect("verify holds, with the rights of who only reads", "All promises hold." in said, said)


# ---- Kafka --------------------------------------------------------------------------------------

def ends(world, topics):
    consumer = confluent_kafka.Consumer(world.kafka("admin", group_id="orderlog.test"))
    found = {}
    for topic, metadata in consumer.list_topics(timeout=20).topics.items():
        if topic in topics:
            for partition in metadata.partitions:
                found[topic, partition] = consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=20)
    consumer.close()
    return found


def denied_of(error):
    return isinstance(error, KafkaError) and error.code() in DENIED


def refused(call):
    """True: Kafka denied it. Anything else that goes wrong is a failure of this test."""
    try:
        call()
        return False
    except KafkaException as error:
        if denied_of(error.args[0]):
            return True
        raise


def write_all(world, user, topics, allowed, tally):
    """Really writes where it must not be possible, and nowhere else."""
    answers = {}
    producer = confluent_kafka.Producer(
        world.kafka(user, enable_idempotence=False, message_timeout_ms=20000))
    for topic in topics - allowed:
        producer.produce(topic, b"stolen", partition=0, on_delivery=lambda error, message:
                         answers.update({message.topic(): error}))
    producer.flush(30)
    for topic in topics - allowed:
        error = answers.get(topic)
        if error is None and topic not in answers:
            raise Failed(f"writing to {topic} as {user} was not answered")
        tally.note(user, f"write to {topic}", False, not denied_of(error))


def read_all(world, user, topics, allowed, tally):
    """A reader in pure Python: a topic that it may not even see has no partitions."""
    env = world.users[user]
    consumer = KafkaConsumer(
        bootstrap_servers=env["ORDERLOG_KAFKA_BOOTSTRAP"], security_protocol="SASL_SSL",
        ssl_cafile=env["ORDERLOG_KAFKA_SSL_CA_LOCATION"], sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=env["ORDERLOG_KAFKA_SASL_USERNAME"],
        sasl_plain_password=env["ORDERLOG_KAFKA_SASL_PASSWORD"], group_id=None,
        fetch_max_wait_ms=50)

    def is_denied(topic):
        consumer.assign([KafkaPartition(topic, 0)])
        consumer.seek(KafkaPartition(topic, 0), 0)
        try:
            consumer.poll(300)
            return False
        except TopicAuthorizationFailedError:
            return True

    for topic in topics:
        opened = bool(consumer.partitions_for_topic(topic))
        if opened and topic in allowed:
            opened = not is_denied(topic)
        elif opened:
            try:
                wait_until("denied", lambda topic=topic: is_denied(topic), 20, 0)
                opened = False
            except Failed:
                opened = True
        tally.note(user, f"read {topic}", topic in allowed, opened)
    consumer.close()


def steal_slots(world, user, own, roles, tally):
    """A transactional id in foreign hands would fence the worker that it belongs to; a group's
    offsets would move it."""
    client = kafka_admin.AdminClient(world.kafka(user))
    for role in roles:
        if role == own:
            continue
        producer = confluent_kafka.Producer(world.kafka(
            user, transactional_id=f"orderlog.{role}.0.a"))
        tally.note(user, f"fence {role}", False,
                   not refused(lambda: producer.init_transactions(20)))
        topic = {"order": "orders", "payment": "payments"}.get(role, role) + ".inbox"
        moved = confluent_kafka.ConsumerGroupTopicPartitions(
            f"orderlog.{role}", [TopicPartition(topic, 0, 0)])
        tally.note(user, f"move {role}'s offsets", False, not refused(
            lambda moved=moved: wait_for(client.alter_consumer_group_offsets([moved]))))


def wait_for(futures):
    for future in futures.values():
        for partition in getattr(future.result(), "topic_partitions", ()):
            if partition.error:
                raise KafkaException(partition.error)


def administer(world, user, tally):
    client = kafka_admin.AdminClient(world.kafka(user))

    acl = kafka_admin.AclBinding(
        kafka_admin.ResourceType.TOPIC, "customers.keys", kafka_admin.ResourcePatternType.LITERAL,
        f"User:{PREFIX}{user}", "*", kafka_admin.AclOperation.READ,
        kafka_admin.AclPermissionType.ALLOW)
    attempts = {
        "create a topic": lambda: wait_for(client.create_topics([kafka_admin.NewTopic("stolen", 1, 1)])),
        "delete a topic": lambda: wait_for(client.delete_topics(["orders.events"])),
        "add partitions": lambda: wait_for(client.create_partitions(
            [kafka_admin.NewPartitions("orders.events", 64)])),
        "delete records": lambda: wait_for(client.delete_records(
            [TopicPartition("orders.events", 0, 1)])),
        "change a topic's settings": lambda: wait_for(client.incremental_alter_configs(
            [kafka_admin.ConfigResource(kafka_admin.ResourceType.TOPIC, "orders.events",
                                        incremental_configs=[kafka_admin.ConfigEntry(
                                            "retention.ms", "1",
                                            incremental_operation=
                                            kafka_admin.AlterConfigOpType.SET)])])),
        "give itself a right": lambda: wait_for(client.create_acls([acl])),
        "set a password": lambda: wait_for(client.alter_user_scram_credentials(
            [kafka_admin.UserScramCredentialUpsertion(
                f"{PREFIX}admin", kafka_admin.ScramCredentialInfo(
                    kafka_admin.ScramMechanism.SCRAM_SHA_512, 4096), b"stolen")])),
    }
    for what, attempt in attempts.items():
        tally.note(user, what, False, not refused(attempt))


def kafka_is_closed(world, rights):
    topics = {name for _, where, kind, name in rights if where == "kafka" and kind == "topic"}
    known = confluent_kafka.Consumer(world.kafka("admin", group_id="orderlog.test")).list_topics(
        timeout=20).topics
    expect("every topic is in somebody's rights", topics == {t for t in known if t[0] != "_"},
           topics ^ set(known))
    users = sorted({user for user, where, *_ in rights if where == "kafka"})
    roles = [user for user in users if (user, "kafka", "transactions", f"orderlog.{user}.") in rights]
    before = ends(world, topics)

    def steal(user):
        def may(operation):
            return {t for t in topics
                    if operation in rights.get((user, "kafka", "topic", t), ())}

        tally = Tally()
        write_all(world, user, topics, may("write"), tally)
        read_all(world, user, topics, may("read"), tally)
        steal_slots(world, user, user if user in roles else None, roles, tally)
        administer(world, user, tally)
        return tally

    # Each mostly waits.
    with concurrent.futures.ThreadPoolExecutor(len(users)) as thieves:
        tally = sum(thieves.map(steal, users), Tally())
    expect(f"{tally.tries} tries with stolen credentials of {len(users)} users opened in Kafka what "
           "the list of rights says and nothing else", not tally.surprises,
           "\n".join(tally.surprises))
    expect("no log has grown", ends(world, topics) == before)


# ---- PostgreSQL ---------------------------------------------------------------------------------

def psql(conninfo, script):
    return subprocess.run(["psql", "-X", "-q", "-At", conninfo], input=script, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def sqlstates(conninfo, statements):
    """How each ends, in one session; whatever it does is undone."""
    script = "\\o /dev/null\n" + "".join(
        f"BEGIN;\n{sql};\n\\echo :SQLSTATE\nROLLBACK;\n" for sql in statements)
    return psql(conninfo, script).stdout.split()


def postgres_is_closed(world, rights):
    tally = Tally()
    tables = [(row["relname"], row["attname"]) for row in world.sql(
        "SELECT relname, attname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum = ("
        "SELECT min(attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0"
        " AND NOT attisdropped)")]
    users, databases = ({user: operations for (user, where, what, *_), operations in rights.items()
                         if (where, what) == ("postgresql", kind)} for kind in ("tables", "database"))

    for user, operations in users.items():
        attempts = [(f"{word} {table}", form.format(table, column), word in operations and
                     (table != "schema_migrations" or word == "SELECT"))
                    for (table, column), (word, form) in itertools.product(
                        tables, STATEMENTS.items())]
        attempts += [(sql, sql, False) for sql in FOR_NOBODY]
        attempts.append((TEMPORARY, TEMPORARY, "TEMPORARY" in databases[user]))
        states = sqlstates(world.users[user]["ORDERLOG_POSTGRES"], [sql for _, sql, _ in attempts])
        if len(states) != len(attempts) or not {"00000", INSUFFICIENT_PRIVILEGE} >= set(states):
            raise Failed(f"{user}: {list(zip(attempts, states))}")
        for (what, _, allowed), state in zip(attempts, states):
            tally.note(user, what, allowed, state == "00000")
    expect(f"{tally.tries} tries with stolen credentials of {len(users)} users opened in PostgreSQL "
           f"({len(tables)} tables) what the list of rights says and nothing else",
           not tally.surprises, "\n".join(tally.surprises))

    one = world.users["query"]["ORDERLOG_POSTGRES"]
    for what, changed, text in (
            ("another database", one.replace("dbname=orderlog", "dbname=registry"), "permission denied"),
            ("a connection without TLS", one.replace("verify-full", "disable"), "no encryption"),
            ("a user that has no role there", one.replace("user=orderlog-query", "user=orderlog-order"),
             "authentication failed"),
            ("the right user with a wrong password", one.replace("password=", "password=x"),
             "authentication failed")):
        done = psql(changed, "SELECT 1")
        expect(f"PostgreSQL refuses {what}", done.returncode != 0 and text in done.stderr,
               done.stderr)


# ---- strangers ----------------------------------------------------------------------------------

def refuses(world, what, text, **environment):
    done = subprocess.run([world.program, "status"], env=dict(world.env_of("reader"), **environment),
                          text=True, timeout=120, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    expect(f"{what}: \"{text}\"", done.returncode == 69 and text in done.stdout,
           f"{done.returncode}\n{done.stdout}")


def strangers_are_told_why(world):
    other = world.folder / "other"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=Other", "-keyout",
                    f"{other}.key", "-out", f"{other}.pem"], check=True, stderr=subprocess.DEVNULL)
    refuses(world, "a wrong password", "do not let us in", ORDERLOG_KAFKA_SASL_PASSWORD="wrong")
    refuses(world, "brokers with a certificate of somebody else", "do not let us in",
            ORDERLOG_KAFKA_SSL_CA_LOCATION=f"{other}.pem")
    reader = world.users["reader"]["ORDERLOG_POSTGRES"]
    refuses(world, "a database with a certificate of somebody else", "certificate verify failed",
            ORDERLOG_POSTGRES=reader.split("sslrootcert")[0] + f"sslrootcert={other}.pem")
    refuses(world, "a database by another name than its certificate's", "does not match host name",
            ORDERLOG_POSTGRES=reader.replace("host=localhost", "host=elsewhere"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="path of the executable orderlog")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderlog-secured.") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL has a user of its own
        try:
            with Closed(Path(options.program).resolve(), folder) as world:
                orders_pass(world)
                for role in world.roles.values():  # so that logs grow by intruders alone
                    role.stop()
                rights = rights_of(world)
                kafka_is_closed(world, rights)
                postgres_is_closed(world, rights)
                strangers_are_told_why(world)
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
