# SPDX-License-Identifier: Apache-2.0
# The system that compose/up runs: its folder, its ports, and the supervisor's configuration.
# Sourced by up, down and status.

# shellcheck shell=bash
. "$(dirname -- "${BASH_SOURCE[0]}")/services.sh"

data=$(data_dir)
supervisor_conf=$data/supervisord.conf
servers=(postgres kafka registry)
# name, and the words of its command
roles=(
    'gateway gateway'
    'order process order'
    'inventory process inventory'
    'payment process payment'
    'shipping process shipping'
    'project project'
    'query query'
)

# What every role and tool is told, wherever it runs: one line per setting.
# One worker per role on one machine: more partitions would only cost, see tests/bench/README.md.
orderlog_settings() {
    printf '%s\n' 'topics.partitions.orders = 4' 'topics.partitions.inventory = 4' \
        'topics.partitions.other = 4'
}

supervisorctl_() {
    supervisorctl -c "$supervisor_conf" "$@"
}

supervisor_is_running() {
    [[ -f $data/supervisord.pid ]] && is_running "$(<"$data/supervisord.pid")" &&
        supervisorctl_ pid >/dev/null 2>&1
}

declare -A ports=() # by name of server or role; metrics_NAME for a role's listener for operators

load_ports() {
    local name port
    if [[ -f $data/ports ]]; then
        while read -r name port; do
            ports[$name]=$port
        done <"$data/ports"
    fi
}

# Chosen once and remembered; chosen anew only while nothing of ours runs. The environment wins.
choose_ports() {
    local name preferred index=0
    local names=(kafka kafka_controller postgres registry gateway query)
    local defaults=(19092 19093 15432 18081 8080 8090)
    local wished=("${KAFKA_PORT:-}" '' "${POSTGRES_PORT:-}" "${REGISTRY_PORT:-}"
        "${GATEWAY_PORT:-}" "${QUERY_PORT:-}")
    for name in "${roles[@]}"; do
        names+=("metrics_${name%% *}")
        defaults+=($((18100 + index++)))
        wished+=('')
    done
    load_ports
    if supervisor_is_running; then
        return
    fi
    for index in "${!names[@]}"; do
        name=${names[index]}
        preferred=${wished[index]:-${ports[$name]:-${defaults[index]}}}
        ports[$name]=$(free_port "$preferred")
        if [[ ${ports[$name]} != "$preferred" ]]; then
            say "port $preferred is taken: $name gets ${ports[$name]}"
        fi
    done
    for name in "${names[@]}"; do
        echo "$name ${ports[$name]}"
    done >"$data/ports"
    write_settings "$data" full "${ports[kafka]}" "${ports[kafka_controller]}" \
        "${ports[postgres]}" "${ports[registry]}"
}

# The one configuration file of all roles and tools: `orderlog COMMAND --config FILE`.
write_orderlog_conf() (
    umask 077
    eval "$(print_service_env "$data" "${servers[@]}")"
    cat >"$data/orderlog.conf.new" <<CONF
# Written by compose/up.
kafka.bootstrap.servers = $ORDERLOG_KAFKA_BOOTSTRAP
postgres.conninfo = $ORDERLOG_POSTGRES
registry.url = $ORDERLOG_REGISTRY
gateway.port = ${ports[gateway]}
query.port = ${ports[query]}
gateway.url = http://127.0.0.1:${ports[gateway]}
query.url = http://127.0.0.1:${ports[query]}
payment.ledger = $data/payment.ledger
carrier.ledger = $data/carrier.ledger
$(orderlog_settings)
CONF
    if [[ -f $data/api.key ]]; then
        echo "api.key = $(<"$data/api.key")" >>"$data/orderlog.conf.new"
    fi
    if [[ ! -s $data/metrics.key ]]; then
        echo "ol_metrics_$(od -An -N 32 -t x1 /dev/urandom | tr -d ' \n')" >"$data/metrics.key"
    fi
    echo "metrics.key = $(<"$data/metrics.key")" >>"$data/orderlog.conf.new"
    # Whoever loses it has erased every customer: never made anew where one has been.
    if [[ ! -s $data/master.keys ]]; then
        od -An -N 32 -t x1 /dev/urandom | tr -d ' \n' >"$data/master.keys"
    fi
    echo "customers.master.key.file = $data/master.keys" >>"$data/orderlog.conf.new"
    mv "$data/orderlog.conf.new" "$data/orderlog.conf"
)

# write_program NAME COMMAND [LINE...]: one section; a percent sign would start an expansion.
write_program() {
    local name=$1 command=$2
    shift 2
    printf '%s\n' '' "[program:$name]" "command=${command//%/%%}" 'autostart=false' \
        'startsecs=3' 'startretries=20' 'redirect_stderr=true' \
        "stdout_logfile=${data//%/%%}/log/$name.log" 'stdout_logfile_maxbytes=50MB' \
        'stdout_logfile_backups=2' "$@"
}

# What dies is started again, with a growing pause while it does not stay up. Not started again are
# exits that a restart cannot cure: bad usage or settings (64, 78), offsets that disagree with the
# log (84). A fenced worker (80) is: it may only have slept longer than its transaction may last.
write_supervisor_conf() {
    local role name
    {
        echo "; Written by compose/up."
        printf '%s\n' '[unix_http_server]' "file=${data//%/%%}/supervisor.sock" 'chmod=0700' '' \
            '[rpcinterface:supervisor]' \
            'supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface' '' \
            '[supervisorctl]' "serverurl=unix://${data//%/%%}/supervisor.sock" '' \
            '[supervisord]' "pidfile=${data//%/%%}/supervisord.pid" \
            "logfile=${data//%/%%}/log/supervisord.log" 'logfile_maxbytes=10MB' 'logfile_backups=1' \
            "directory=${data//%/%%}" "childlogdir=${data//%/%%}/log" 'umask=022'
        if [[ $(id -u) == 0 ]]; then
            echo 'user=root'
        fi
        write_program postgres "'$source_dir/compose/services.sh' exec postgres '$data'" \
            'autorestart=true' 'priority=1' 'stopsignal=INT' 'stopwaitsecs=30'
        write_program kafka "'$source_dir/compose/services.sh' exec kafka '$data'" \
            'autorestart=true' 'priority=1' 'stopwaitsecs=30'
        write_program registry "'$source_dir/compose/services.sh' exec registry '$data'" \
            'autorestart=true' 'priority=2'
        for role in "${roles[@]}"; do
            name=${role%% *}
            write_program "$name" \
                "'$data/bin/orderlog' ${role#* } --config '$data/orderlog.conf' --metrics.port ${ports[metrics_$name]}" \
                'autorestart=unexpected' 'exitcodes=64,78,84' 'priority=10' 'stopwaitsecs=20'
        done
    } >"$supervisor_conf"
}

# For whoever runs Prometheus: every role by its name, the key that /metrics wants, the alert rules.
write_prometheus_conf() {
    local role name
    {
        printf '%s\n' '# Written by compose/up.' 'global: {scrape_interval: 5s, evaluation_interval: 15s}' \
            "rule_files: ['$source_dir/compose/alerts.yml']" 'scrape_configs:' \
            '  - job_name: orderlog' "    authorization: {credentials_file: '$data/metrics.key'}" \
            '    static_configs:'
        for role in "${roles[@]}"; do
            name=${role%% *}
            echo "      - {targets: ['127.0.0.1:${ports[metrics_$name]}'], labels: {instance: $name}}"
        done
    } >"$data/prometheus.yml"
}

orderlog_() {
    "$data/bin/orderlog" "$1" --config "$data/orderlog.conf" "${@:2}"
}
