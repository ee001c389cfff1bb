#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Kafka, PostgreSQL and the schema registry as plain processes in one folder: how each is prepared,
# run in the foreground, and asked whether it is ready. compose/up (under a supervisor) and
# tests/support/services (in a temporary folder) both stand on this.
#
# The folder DIR holds `settings` (ports and profile), one folder per service, and `log`.
# Sourced by scripts; as a program it is `services.sh exec kafka|postgres|registry DIR`.

# shellcheck shell=bash
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/secure.sh"

# ---- ports -------------------------------------------------------------------------------------

port_is_open() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# A free port, PREFERRED if it is free. Below the kernel's ephemeral range, where outgoing
# connections come and go. Another process may still be faster: callers try again.
free_port() {
    local port=${1:-$((20000 + RANDOM % 12000))}
    while port_is_open "$port"; do
        port=$((20000 + RANDOM % 12000))
    done
    printf '%s\n' "$port"
}

# write_settings DIR PROFILE KAFKA_PORT CONTROLLER_PORT POSTGRES_PORT REGISTRY_PORT
# Profile `test` starts fast and forgets on power loss; `full` is what one would run.
# A further broker of the same cluster has a folder of its own: see join_brokers. With SECURE=1 in
# the environment servers and their callers know each other: see secure.sh.
write_settings() {
    local dir=$1
    mkdir -p "$dir/log"
    printf '%s=%q\n' PROFILE "$2" KAFKA_PORT "$3" KAFKA_CONTROLLER_PORT "$4" \
        POSTGRES_PORT "$5" REGISTRY_PORT "$6" SECURE "${SECURE:-}" >"$dir/settings"
    if [[ ! -f $dir/postgres.password ]]; then
        (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$dir/postgres.password")
    fi
}

load_settings() {
    KAFKA_NODE=1 KAFKA_VOTERS= SECURE=
    # shellcheck source=/dev/null
    . "$1/settings"
}

# join_brokers DIR...: brokers that have settings, but have not been prepared, become one cluster.
join_brokers() {
    local dir node=0 voters=
    for dir in "$@"; do
        load_settings "$dir"
        node=$((node + 1))
        voters+="${voters:+,}$node@127.0.0.1:$KAFKA_CONTROLLER_PORT"
    done
    node=0
    for dir in "$@"; do
        node=$((node + 1))
        printf '%s=%q\n' KAFKA_NODE "$node" KAFKA_VOTERS "$voters" >>"$dir/settings"
    done
}

# ---- Java --------------------------------------------------------------------------------------

# Loading classes is most of a start: an archive of them (made by compose/deps with ARCHIVE_CLASSES
# set) halves it. A Java that the archive does not suit ignores it.
class_archive() {
    archive=()
    if [[ -n ${ARCHIVE_CLASSES:-} ]]; then
        archive=("-XX:ArchiveClassesAtExit=$1/classes.jsa")
    elif [[ -f $1/classes.jsa ]]; then
        archive=("-XX:SharedArchiveFile=$1/classes.jsa" -Xlog:cds=off -Xlog:class+path=off)
    fi
}

# ---- Kafka -------------------------------------------------------------------------------------

# format_kafka DIR PROPERTIES
format_kafka() {
    local users=()
    [[ -z $SECURE ]] || mapfile -t users < <(secure_kafka_users "$1")
    "$(java_kafka)" -XX:TieredStopAtLevel=1 -cp "$KAFKA_HOME/libs/*" kafka.tools.StorageTool \
        format -t 4L6g3nShT-eMCtK--X86sw -c "$2" "${users[@]}" >"$1/log/kafka-format.log" 2>&1 ||
        die "Kafka's storage could not be formatted: see $1/log/kafka-format.log"
}

# What every broker of ours has, wherever it runs; REPLICAS of the brokers' own topics.
kafka_settings() {
    local replicas=$1
    cat <<PROPERTIES
auto.create.topics.enable=false
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=4
offsets.retention.minutes=525600
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$(((replicas + 1) / 2))
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=33554432
PROPERTIES
}

prepare_kafka() {
    local dir=$1 commas replicas=1
    load_settings "$dir"
    commas=${KAFKA_VOTERS//[^,]/}
    ((${#commas} < 2)) || replicas=3
    # The short broker session lets a killed broker register again at once.
    cat >"$dir/kafka.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$KAFKA_NODE
controller.quorum.voters=${KAFKA_VOTERS:-1@127.0.0.1:$KAFKA_CONTROLLER_PORT}
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$dir/kafka
$(kafka_settings "$replicas")
PROPERTIES
    # What is overwritten in a compacted topic is looked for every 15 s otherwise.
    if [[ $PROFILE == test ]]; then
        echo "log.cleaner.backoff.ms=500" >>"$dir/kafka.properties"
    fi
    if [[ -n $SECURE ]]; then
        prepare_secure "$dir"
        # Of a setting that is there twice the later one counts.
        secure_kafka_properties "$dir" >>"$dir/kafka.properties"
    fi
    if [[ -f $dir/kafka/meta.properties ]]; then
        return
    fi
    if [[ -n $SECURE ]]; then
        format_kafka "$dir" "$dir/kafka.properties"
        return
    fi
    # Formatting costs a Java start, and its result names no port: done once, then copied.
    local formatted=$KAFKA_HOME/formatted
    if [[ ! -d $formatted ]]; then
        local temporary
        temporary=$(mktemp -d "$KAFKA_HOME/format.XXXXXX")
        sed "s|^log.dirs=.*|log.dirs=$temporary|; s|^node.id=.*|node.id=1|; s|^\(controller.quorum.voters\)=.*|\1=1@127.0.0.1:1|" \
            "$dir/kafka.properties" >"$temporary.properties"
        format_kafka "$dir" "$temporary.properties"
        rm "$temporary.properties"
        mv -T "$temporary" "$formatted" 2>/dev/null || rm -r "$temporary" # another start was first
    fi
    mkdir -p "$dir/kafka"
    cp -r "$formatted/." "$dir/kafka/"
    if [[ $KAFKA_NODE != 1 ]]; then
        # 22 characters of base64url are the 16 bytes of an id; the last one holds only two bits.
        local id
        id=$(head -c 64 /dev/urandom | base64 -w 0 | tr -d '+/=')
        sed -i "s|^node.id=.*|node.id=$KAFKA_NODE|; s|^directory.id=.*|directory.id=${id:0:21}A|" \
            "$dir/kafka/meta.properties"
    fi
}

exec_kafka() {
    local dir=$1
    load_settings "$dir"
    local jvm=(-Xms512m -Xmx1g -XX:+UseG1GC)
    if [[ $PROFILE == test ]]; then
        jvm=(-Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
    fi
    class_archive "$KAFKA_HOME"
    exec "$(java_kafka)" "${jvm[@]}" "${archive[@]}" -cp "$KAFKA_HOME/libs/*" \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=info \
        -Dorg.slf4j.simpleLogger.showDateTime=true \
        -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS \
        kafka.Kafka "$dir/kafka.properties"
}

# How many brokers a Metadata request (v1, no topics) is answered with.
brokers_known() {
    load_settings "$1"
    local answer
    answer=$(
        exec 2>/dev/null
        exec 3<>"/dev/tcp/127.0.0.1/$KAFKA_PORT"
        printf '\0\0\0\016\0\003\0\001\0\0\0\001\377\377\0\0\0\0' >&3
        timeout 2 head -c 12 <&3 | od -An -tu1 | tr -s ' \n' ' '
    ) || return 1
    [[ $answer =~ ([0-9]+)\ $ ]] && printf '%s\n' "${BASH_REMATCH[1]}"
}

ready_kafka() {
    local known
    load_settings "$1"
    if [[ -n $SECURE ]]; then # a stranger is told nothing
        grep -qs 'Kafka Server started' "$1/log/kafka.log" && port_is_open "$KAFKA_PORT"
        return
    fi
    known=$(brokers_known "$1") && ((known >= 1))
}

# ---- PostgreSQL --------------------------------------------------------------------------------

# PostgreSQL refuses to run as root; then it runs as the user that Debian's package made.
as_postgres() {
    if [[ $(id -u) == 0 ]]; then
        exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    fi
    exec "$@"
}

# What every server of ours has, wherever it runs.
postgres_settings() {
    printf '%s\n' 'max_connections = 200' 'shared_buffers = 256MB' 'max_wal_size = 4GB'
}

prepare_postgres() {
    local dir=$1 bin sync=()
    bin=$(postgres_bin)
    load_settings "$dir"
    if [[ ! -f $dir/postgres/ready ]]; then
        mkdir -p "$dir/postgres" # it may be a file system of its own
        find "$dir/postgres" -mindepth 1 -delete
        chmod 700 "$dir/postgres"
        if [[ $(id -u) == 0 ]]; then
            chown postgres:postgres "$dir/postgres"
            (as_postgres test -x "$dir/postgres") ||
                die "the postgres user cannot reach $dir: choose another folder with ORDERLOG_DATA"
        fi
        if [[ $PROFILE == test ]]; then
            sync=(--no-sync)
        fi
        (cd / && as_postgres "$bin/initdb" -D "$dir/postgres" -U orderlog --encoding=UTF8 \
            --locale=C.UTF-8 --auth=trust "${sync[@]}") >"$dir/log/initdb.log" 2>&1 ||
            die "initdb failed: see $dir/log/initdb.log"
        [[ -z $SECURE ]] || prepare_secure "$dir"
        {
            echo "local all all scram-sha-256"
            if [[ -n $SECURE ]]; then
                secure_postgres_hba
            else
                echo "host all all 127.0.0.1/32 scram-sha-256"
                echo "host replication all 127.0.0.1/32 scram-sha-256"
            fi
        } >"$dir/postgres/pg_hba.conf"
        # Before the server is up, hence before anybody could connect without a password.
        {
            printf '%s\n' 'CREATE DATABASE orderlog' 'CREATE DATABASE registry' \
                "ALTER ROLE orderlog PASSWORD '$(<"$dir/postgres.password")'"
            [[ -z $SECURE ]] || secure_postgres_users "$dir"
        } |
            (cd / && as_postgres "$bin/postgres" --single -D "$dir/postgres" postgres) \
                >>"$dir/log/initdb.log" 2>&1 || die "creating databases failed: see $dir/log/initdb.log"
        touch "$dir/postgres/ready"
    fi
    {
        echo "listen_addresses = '127.0.0.1'"
        echo "port = $POSTGRES_PORT"
        echo "unix_socket_directories = '$dir/postgres'"
        postgres_settings
        if [[ $PROFILE == test ]]; then
            echo "fsync = off"
        fi
        [[ -z $SECURE ]] || secure_postgres_settings "$dir"
    } >"$dir/postgres/postgresql.auto.conf"
}

exec_postgres() {
    local bin
    bin=$(postgres_bin)
    cd /
    as_postgres "$bin/postgres" -D "$1/postgres"
}

ready_postgres() {
    load_settings "$1"
    "$(postgres_bin)/pg_isready" -q -h 127.0.0.1 -p "$POSTGRES_PORT" -d orderlog
}

# ---- schema registry ---------------------------------------------------------------------------

# registry_settings POSTGRES_HOST:PORT: as environment, but for addresses and the password. Stores in
# PostgreSQL, so that schema ids survive.
registry_settings() {
    printf '%s\n' APICURIO_STORAGE_KIND=sql APICURIO_STORAGE_SQL_KIND=postgresql \
        "APICURIO_DATASOURCE_URL=jdbc:postgresql://$1/registry" APICURIO_DATASOURCE_USERNAME=orderlog \
        APICURIO_DATASOURCE_JDBC_INITIAL_SIZE=2 APICURIO_DATASOURCE_JDBC_MIN_SIZE=2 \
        APICURIO_DATASOURCE_JDBC_MAX_SIZE=20
}

prepare_registry() {
    load_settings "$1"
}

# Waits for PostgreSQL, since it gives up otherwise.
exec_registry() {
    local dir=$1
    load_settings "$dir"
    await postgres "$dir" 60
    local jvm=(-Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
    cd "$APICURIO_HOME"
    export QUARKUS_HTTP_HOST=127.0.0.1 QUARKUS_HTTP_PORT=$REGISTRY_PORT
    export QUARKUS_MANAGEMENT_HOST=127.0.0.1 QUARKUS_MANAGEMENT_PORT=0
    local setting
    while read -r setting; do
        export "${setting?}"
    done < <(registry_settings "127.0.0.1:$POSTGRES_PORT")
    APICURIO_DATASOURCE_PASSWORD=$(<"$dir/postgres.password")
    if [[ -n $SECURE ]]; then
        APICURIO_DATASOURCE_URL=${APICURIO_DATASOURCE_URL/127.0.0.1/localhost}
        APICURIO_DATASOURCE_URL+="?sslmode=verify-full&sslrootcert=$dir/secure/authority.pem"
        APICURIO_DATASOURCE_USERNAME=${secure_prefix}registry
        APICURIO_DATASOURCE_PASSWORD=$(secure_password "$dir" registry)
    fi
    export APICURIO_DATASOURCE_PASSWORD
    class_archive "$APICURIO_HOME"
    exec "$(java_registry)" "${jvm[@]}" "${archive[@]}" -jar quarkus-run.jar
}

ready_registry() {
    load_settings "$1"
    curl -fs -m 5 -o /dev/null "http://127.0.0.1:$REGISTRY_PORT/apis/ccompat/v7/subjects"
}

# ---- all of them -------------------------------------------------------------------------------

# A child that has ended stays a zombie until it is waited for.
is_running() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) && stat=${stat##*) } && [[ $stat != Z* ]]
}

# await NAME DIR SECONDS [PID]: until it is ready; fails when the time is up or PID has ended.
await() {
    local name=$1 dir=$2 deadline=$((SECONDS + $3)) pid=${4:-}
    until "ready_$name" "$dir"; do
        if [[ -n $pid ]] && ! is_running "$pid"; then
            say "$name ended while starting: see $dir/log/$name.log"
            return 1
        fi
        if ((SECONDS >= deadline)); then
            say "$name is not ready after $3 s: see $dir/log/$name.log"
            return 1
        fi
        sleep 0.05
    done
}

# print_service_env DIR NAME...: what a client of these needs to know, as shell assignments.
print_service_env() {
    local dir=$1 name
    shift
    load_settings "$dir"
    for name in "$@"; do
        case $name in
        kafka)
            local broker servers=127.0.0.1:$KAFKA_PORT
            for broker in "$dir"/broker*/settings; do
                [[ -f $broker ]] && servers+=$(. "$broker" && echo ",127.0.0.1:$KAFKA_PORT")
            done
            printf '%s=%q\n' ORDERLOG_KAFKA_BOOTSTRAP "$servers"
            ;;
        postgres)
            printf '%s=%q\n' ORDERLOG_POSTGRES \
                "host=127.0.0.1 port=$POSTGRES_PORT user=orderlog password=$(<"$dir/postgres.password") dbname=orderlog"
            ;;
        registry)
            printf '%s=%q\n' ORDERLOG_REGISTRY "http://127.0.0.1:$REGISTRY_PORT/apis/ccompat/v7"
            ;;
        esac
    done
    printf '%s=%q\n' ORDERLOG_PYTHON "$VENV/bin/python3" ORDERLOG_JAVA "$(java_kafka)" \
        KAFKA_LIBS "$KAFKA_HOME/libs"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    if [[ $# != 3 || $1 != exec || ! $2 =~ ^(kafka|postgres|registry)$ ]]; then
        echo "usage: services.sh exec kafka|postgres|registry DIR" >&2
        exit 2
    fi
    "exec_$2" "$3"
fi
