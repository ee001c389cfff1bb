# SPDX-License-Identifier: Apache-2.0
# The same servers, closed: Kafka speaks TLS and knows its callers by SCRAM, PostgreSQL by SCRAM over
# TLS, and each role is a user of its own with the rights of `orderlog rights`. With SECURE=1 in
# DIR/settings. DIR/secure holds the authority, the servers' key and certificate, and one file per
# user with its password. Sourced by services.sh.

# shellcheck shell=bash

secure_prefix=orderlog-
secure_users=(admin gateway order inventory payment shipping project query reader registry)
secure_database_users=(project query reader) # those of src/store/grants.c

# An authority of this folder alone, and a certificate for 127.0.0.1 from it. Nothing else is
# trusted, hence nobody who has a certificate from somewhere else.
make_authority() {
    local dir=$1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
        -subj "/CN=Orderlog authority" -keyout "$dir/authority.key" -out "$dir/authority.pem"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -subj "/CN=localhost" -keyout "$dir/server.key" -out "$dir/server.csr"
    openssl x509 -req -in "$dir/server.csr" -CA "$dir/authority.pem" -CAkey "$dir/authority.key" \
        -CAcreateserial -days 3650 -out "$dir/server.pem" \
        -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1")
    cat "$dir/server.key" "$dir/server.pem" >"$dir/server.both.pem"
}

# prepare_secure DIR: once per folder; services are prepared at the same time.
prepare_secure() {
    local dir=$1/secure user
    exec {lock}>"$1/secure.lock"
    flock "$lock"
    if [[ ! -f $dir/ready ]]; then
        (umask 077 && mkdir -p "$dir")
        (umask 077 && make_authority "$dir") >"$1/log/secure.log" 2>&1 ||
            die "certificates could not be made: see $1/log/secure.log"
        for user in "${secure_users[@]}"; do
            (umask 077 && openssl rand -hex 24 | tr -d '\n' >"$dir/$user.password")
        done
        touch "$dir/ready"
    fi
    exec {lock}>&-
}

secure_password() {
    printf '%s' "$(<"$1/secure/$2.password")"
}

# Of a broker: who is not named by an ACL may nothing. Controllers know each other by certificate.
secure_kafka_properties() {
    local dir=$1
    cat <<PROPERTIES
listeners=SASL_SSL://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=SASL_SSL://127.0.0.1:$KAFKA_PORT
inter.broker.listener.name=SASL_SSL
listener.security.protocol.map=CONTROLLER:SSL,SASL_SSL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location=$dir/secure/server.both.pem
ssl.truststore.type=PEM
ssl.truststore.location=$dir/secure/authority.pem
ssl.enabled.protocols=TLSv1.3
listener.name.controller.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="${secure_prefix}admin" password="$(secure_password "$dir" admin)";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:${secure_prefix}admin;User:CN=localhost
PROPERTIES
}

# Arguments of Kafka's format: users exist from the first moment.
secure_kafka_users() {
    local dir=$1 user
    for user in "${secure_users[@]}"; do
        printf '%s\n' --add-scram \
            "SCRAM-SHA-512=[name=$secure_prefix$user,password=$(secure_password "$dir" "$user")]"
    done
}

# SQL for a server in single mode, one statement per line.
secure_postgres_users() {
    local dir=$1 user
    for user in "${secure_database_users[@]}" registry; do
        printf "CREATE ROLE \"%s\" LOGIN PASSWORD '%s'\n" "$secure_prefix$user" \
            "$(secure_password "$dir" "$user")"
    done
    printf 'ALTER DATABASE registry OWNER TO "%sregistry"\n' "$secure_prefix"
    printf 'REVOKE ALL ON DATABASE registry FROM PUBLIC\n'
}

secure_postgres_hba() {
    printf '%s\n' "hostssl all all 127.0.0.1/32 scram-sha-256" "hostnossl all all all reject"
}

# PostgreSQL reads its key as its own user and insists on who owns it.
secure_postgres_settings() {
    local dir=$1 name
    for name in server.key server.pem; do
        install -m 600 "$dir/secure/$name" "$dir/postgres/$name"
        [[ $(id -u) != 0 ]] || chown postgres:postgres "$dir/postgres/$name"
    done
    echo "ssl = on"
    echo "ssl_cert_file = 'server.pem'"
    echo "ssl_key_file = 'server.key'"
    echo "ssl_min_protocol_version = 'TLSv1.3'"
    echo "password_encryption = 'scram-sha-256'"
}

# What a role needs to know, as shell assignments; of PostgreSQL where it has a role there.
print_secure_env() {
    local dir=$1 user=$2 database_user=
    case $user in
    admin) database_user=orderlog ;;
    project | query | reader) database_user=$secure_prefix$user ;;
    esac
    printf '%s=%q\n' ORDERLOG_KAFKA_BOOTSTRAP "127.0.0.1:$KAFKA_PORT" \
        ORDERLOG_KAFKA_SECURITY_PROTOCOL sasl_ssl \
        ORDERLOG_KAFKA_SSL_CA_LOCATION "$dir/secure/authority.pem" \
        ORDERLOG_KAFKA_SASL_MECHANISM SCRAM-SHA-512 \
        ORDERLOG_KAFKA_SASL_USERNAME "$secure_prefix$user" \
        ORDERLOG_KAFKA_SASL_PASSWORD "$(secure_password "$dir" "$user")"
    [[ -n $database_user ]] || return 0
    local password
    if [[ $user == admin ]]; then
        password=$(<"$dir/postgres.password")
    else
        password=$(secure_password "$dir" "$user")
    fi
    printf '%s=%q\n' ORDERLOG_POSTGRES \
        "host=localhost hostaddr=127.0.0.1 port=$POSTGRES_PORT dbname=orderlog user=$database_user password=$password sslmode=verify-full sslrootcert=$dir/secure/authority.pem"
}
