// SPDX-License-Identifier: Apache-2.0
//
// The one list of options. From it come struct config, parsing of files, environment and flags,
// range checks, `--help`, `--print-config` and the documentation test.
//
// To add an option: add one row. The arguments are
//
//   field      member of struct config
//   name       as in files and flags; in the environment ORDERLOG_ and upper case, with
//              '.' as '_' and '-' as '__'
//   default    NULL for strings means "not set"
//   min, max   inclusive, for numbers; for CHOICE the choices, separated by '|'
//   roles      who uses it: flags are taken by these only, file and environment by all
//   sentence   shown by --help
//
// SECRET strings are never printed. MS and BYTES are numbers with their unit, and take the
// suffixes s, m, h (MS) and KiB, MiB, GiB (BYTES).
#ifndef ORDERLOG_SERVICE_CONFIG_OPTIONS_H
#define ORDERLOG_SERVICE_CONFIG_OPTIONS_H

#define CONFIG_OPTIONS(STR, SECRET, INT, MS, BYTES, BOOL, CHOICE)                                  \
    STR(registry_url, "registry.url", "http://127.0.0.1:8081/apis/ccompat/v7", ROLES_ALL,          \
        "Schema registry with the Confluent API")                                                  \
    SECRET(postgres_conninfo, "postgres.conninfo", "dbname=orderlog",                              \
           ROLE_PROJECT | ROLE_QUERY | ROLE_SETUP | ROLE_TOOL,                                     \
           "libpq connection string; postgres.KEYWORD options are added to it")                    \
    INT(topics_partitions_orders, "topics.partitions.orders", 16, 1, 1024, ROLE_SETUP,             \
        "Partitions of the orders.* topics; set once")                                             \
    INT(topics_partitions_inventory, "topics.partitions.inventory", 16, 1, 1024, ROLE_SETUP,       \
        "Partitions of the inventory.* topics; set once")                                          \
    INT(topics_partitions_other, "topics.partitions.other", 16, 1, 1024, ROLE_SETUP,               \
        "Partitions of all other topics; set once")                                                \
    INT(topics_replication, "topics.replication", 1, 1, 9, ROLE_SETUP,                             \
        "Replicas of every topic; 3 on a real cluster")                                            \
    STR(setup_users_prefix, "setup.users.prefix", "", ROLE_SETUP,                                  \
        "Give the Kafka users and database roles that begin so, as orderlog-gateway, the rights "  \
        "of `orderlog rights`; empty: whoever may connect may do all")                             \
    INT(slot, "slot", 0, 0, 9999, ROLES_PROCESS | ROLE_PROJECT,                                    \
        "Number that names this worker's group instance and transactional ids; one process each")  \
    INT(commit_records_max, "commit.records.max", 20000, 1, 100000, ROLES_PROCESS,                 \
        "Commit after this many messages at the latest")                                           \
    MS(commit_interval_ms, "commit.interval.ms", 25, 1, 5000, ROLES_PROCESS,                       \
       "Commit after this time at the latest")                                                     \
    MS(commit_interval_ms_max, "commit.interval.ms.max", 100, 1, 5000, ROLES_PROCESS,              \
       "While more is waiting than that time is enough for: up to this time")                      \
    MS(commit_linger_ms, "commit.linger.ms", 3, 0, 1000, ROLES_PROCESS,                            \
       "Let messages gather for this time after a commit; the first after a rest is not kept")     \
    MS(commit_linger_ms_max, "commit.linger.ms.max", 20, 0, 1000, ROLES_PROCESS,                   \
       "In a flood, of 1,000 messages per transaction and more, for this time")                    \
    INT(parked_letters_max, "parked.letters.max", 10000, 1, 10000000, ROLES_PROCESS,               \
        "A partition with so many inputs parked takes no more until some are retried or dropped")  \
    BYTES(parked_bytes_max, "parked.bytes.max", 67108864, 1048576, 17179869184, ROLES_PROCESS,     \
          "The same for the memory of what is parked, per partition")                              \
    MS(snapshot_interval_ms, "snapshot.interval.ms", 10000, 0, 3600000,                            \
       ROLE_ORDER | ROLE_INVENTORY,                                                                \
       "Write what has changed in memory to D.state this often, for fast take-over; 0: never")     \
    MS(transaction_timeout_ms, "transaction.timeout.ms", 10000, 2000, 900000, ROLES_PROCESS,       \
       "The broker aborts a transaction that is open for longer")                                  \
    MS(session_timeout_ms, "session.timeout.ms", 10000, 1000, 300000,                              \
       ROLES_PROCESS | ROLE_PROJECT, "A slot that is silent for longer loses its partitions")      \
    MS(order_reservation_ttl_ms, "order.reservation.ttl.ms", 900000, 1000, 604800000, ROLE_ORDER,  \
       "An order that is not confirmed by then is cancelled and its stock released")               \
    MS(order_payment_timeout_ms, "order.payment.timeout.ms", 30000, 100, 86400000, ROLE_ORDER,     \
       "Ask for the outcome of a payment that has not answered by then")                           \
    INT(order_payment_lookups_max, "order.payment.lookups.max", 10, 0, 1000, ROLE_ORDER,           \
        "Look-ups of an unknown payment before a case is opened for people")                       \
    MS(order_command_window_ms, "order.command.window.ms", 86400000, 60000, 2592000000,            \
       ROLE_ORDER | ROLE_INVENTORY, "How long a command's key and outcome are remembered")         \
    INT(commands_remembered_max, "commands.remembered.max", 1000000, 1000, 100000000,              \
        ROLE_ORDER | ROLE_INVENTORY,                                                               \
        "Commands remembered per partition; above it the oldest are forgotten before their time")  \
    MS(payment_call_timeout_ms, "payment.call.timeout.ms", 2000, 10, 120000, ROLE_PAYMENT,         \
       "A provider's answer that takes longer counts as unknown")                                  \
    INT(payment_inflight_max, "payment.inflight.max", 1000, 1, 100000, ROLE_PAYMENT,               \
        "Calls to the provider at one time")                                                       \
    STR(payment_provider_url, "payment.provider.url", "", ROLE_PAYMENT,                            \
        "Payment provider to call over HTTP; empty: the simulated one that is built in")           \
    SECRET(payment_provider_key, "payment.provider.key", NULL, ROLE_PAYMENT,                       \
           "Sent to the payment provider as Authorization: Bearer")                                \
    MS(payment_provider_timeout_ms, "payment.provider.timeout.ms", 1000, 10, 120000, ROLE_PAYMENT, \
       "One try of a call to payment.provider.url; further ones follow while the call has time")   \
    STR(payment_ledger, "payment.ledger", "", ROLE_PAYMENT | ROLE_TOOL,                            \
        "File where the simulated provider keeps its own books; empty: in memory")                 \
    STR(carrier_ledger, "carrier.ledger", "", ROLE_SHIPPING | ROLE_TOOL,                           \
        "File where the simulated carrier keeps its own books; empty: in memory")                  \
    STR(carrier_url, "carrier.url", "", ROLE_SHIPPING,                                             \
        "Carrier to call over HTTP; empty: the simulated one that is built in")                    \
    SECRET(carrier_key, "carrier.key", NULL, ROLE_SHIPPING,                                        \
           "Sent to the carrier as Authorization: Bearer")                                         \
    MS(carrier_timeout_ms, "carrier.timeout.ms", 5000, 10, 120000, ROLE_SHIPPING,                  \
       "One try of a call to carrier.url; it is repeated until it is answered")                    \
    INT(calls_connections_max, "calls.connections.max", 256, 1, 10000,                             \
        ROLE_PAYMENT | ROLE_SHIPPING, "Connections to provider or carrier; further calls wait")    \
    MS(calls_connect_timeout_ms, "calls.connect.timeout.ms", 500, 10, 60000,                       \
       ROLE_PAYMENT | ROLE_SHIPPING, "Connecting to provider or carrier")                          \
    INT(calls_retries_max, "calls.retries.max", 3, 0, 100, ROLE_PAYMENT,                           \
        "Retries after answers of no use, before the outcome is called unknown")                   \
    MS(calls_backoff_max_ms, "calls.backoff.max.ms", 1000, 1, 600000,                              \
       ROLE_PAYMENT | ROLE_SHIPPING, "Longest pause before a retry; pauses are drawn at random")   \
    INT(calls_breaker_failures, "calls.breaker.failures", 10, 1, 1000000,                          \
        ROLE_PAYMENT | ROLE_SHIPPING, "Failures in a row after which calls wait for a probe")      \
    MS(calls_breaker_open_ms, "calls.breaker.open.ms", 500, 1, 600000,                             \
       ROLE_PAYMENT | ROLE_SHIPPING, "Until the first probe; then up to 16 times as long")         \
    CHOICE(carrier_mode, "carrier.mode", "auto", "auto|manual", ROLE_SHIPPING,                     \
           "auto dispatches and delivers by itself; manual waits for operators' commands")         \
    MS(carrier_dispatch_after_ms, "carrier.dispatch.after.ms", 200, 0, 604800000, ROLE_SHIPPING,   \
       "With carrier.mode=auto: from booked to the request to dispatch")                           \
    MS(carrier_deliver_after_ms, "carrier.deliver.after.ms", 300, 0, 604800000, ROLE_SHIPPING,     \
       "With carrier.mode=auto: from dispatched to delivered")                                     \
    INT(projector_batch_records_max, "projector.batch.records.max", 50000, 1, 500000,              \
        ROLE_PROJECT, "Records applied in one database transaction at most")                       \
    MS(projector_batch_interval_ms, "projector.batch.interval.ms", 25, 0, 1000, ROLE_PROJECT,      \
       "While records keep coming, transactions begin this far apart; further where it is busy")   \
    INT(projector_threads, "projector.threads", 1, 1, 64, ROLE_PROJECT,                            \
        "Threads per topic, each with its own consumer and database connection")                   \
    BOOL(projector_synchronous_commit, "projector.synchronous-commit", false, ROLE_PROJECT,        \
         "Wait for the disk at every commit; off loses nothing, as rows and offsets go together")  \
    STR(customers_master_key_file, "customers.master.key.file", "",                                \
        ROLE_GATEWAY | ROLE_QUERY | ROLE_TOOL,                                                     \
        "File of the master keys that seal customers' keys; empty: no personal data is taken")     \
    MS(customers_erasure_ms, "customers.erasure.ms", 3600000, 1000, 604800000,                     \
       ROLE_SETUP | ROLE_GATEWAY,                                                                  \
       "An erased customer's key is gone from the brokers' disks by then; setup makes the topic "  \
       "so")                                                                                       \
    MS(customers_keys_age_ms_max, "customers.keys.age.ms.max", 10000, 1000, 3600000,               \
       ROLE_GATEWAY | ROLE_QUERY,                                                                  \
       "With an older view of who was erased no personal data is taken or shown")                  \
    STR(gateway_host, "gateway.host", "127.0.0.1", ROLE_GATEWAY, "Address to listen on")           \
    INT(gateway_port, "gateway.port", 8080, 0, 65535, ROLE_GATEWAY,                                \
        "Port to listen on; 0 takes a free one and logs it")                                       \
    INT(gateway_threads, "gateway.threads", 1, 1, 64, ROLE_GATEWAY, "Threads that serve HTTP")     \
    MS(gateway_backlog_ms_max, "gateway.backlog.ms.max", 2000, 100, 3600000, ROLE_GATEWAY,         \
       "Above this lag of the order processors batches wait and new orders are put off with 503; " \
       "of the inventory processors, what concerns products and stock")                            \
    MS(gateway_catalogue_age_ms_max, "gateway.catalogue.age.ms.max", 10000, 1000, 3600000,         \
       ROLE_GATEWAY, "With a catalogue older than this no orders are taken")                       \
    MS(gateway_request_timeout_ms, "gateway.request.timeout.ms", 5000, 100, 120000, ROLE_GATEWAY,  \
       "How long to wait for the brokers' acknowledgement before answering 503 or 504")            \
    STR(gateway_url, "gateway.url", "http://127.0.0.1:8080", ROLE_TOOL,                            \
        "Where tools find the gateway")                                                            \
    STR(query_url, "query.url", "http://127.0.0.1:8090", ROLE_TOOL,                                \
        "Where tools find the query service")                                                      \
    SECRET(api_key, "api.key", NULL, ROLE_TOOL | ROLE_SETUP,                                       \
           "API key that tools send, or that setup stores as the development key")                 \
    STR(query_host, "query.host", "127.0.0.1", ROLE_QUERY, "Address to listen on")                 \
    INT(query_port, "query.port", 8090, 0, 65535, ROLE_QUERY,                                      \
        "Port to listen on; 0 takes a free one and logs it")                                       \
    INT(query_threads, "query.threads", 2, 1, 64, ROLE_QUERY,                                      \
        "Threads that serve HTTP, each with a connection on which it looks orders up")             \
    INT(query_readers, "query.readers", 4, 1, 64, ROLE_QUERY,                                      \
        "Threads that read whatever else is asked for, each with its own database connection")     \
    MS(query_wait_ms_max, "query.wait.ms.max", 10000, 0, 60000, ROLE_QUERY,                        \
       "Longest wait= that a read may ask for")                                                    \
    MS(query_silence_ms_max, "query.silence.ms.max", 1500, 100, 60000, ROLE_QUERY,                 \
       "PostgreSQL is away when it has not answered SELECT 1 for this long: reads get 503")        \
    SECRET(query_replicas, "query.replicas", NULL, ROLE_QUERY,                                     \
           "Streaming replicas that take reads: libpq connection strings, with ; in between")      \
    MS(query_replica_lag_ms_max, "query.replica.lag.ms.max", 1000, 200, 3600000, ROLE_QUERY,       \
       "A replica that is further behind takes no reads")                                          \
    INT(query_streams_max, "query.streams.max", 8192, 1, 100000, ROLE_QUERY,                       \
        "Streams of events open at one time; http.connections.max is to be larger")                \
    MS(query_stream_heartbeat_ms, "query.stream.heartbeat.ms", 15000, 1000, 300000, ROLE_QUERY,    \
       "A stream without events sends a comment this often")                                       \
    MS(query_stream_stall_ms_max, "query.stream.stall.ms.max", 10000, 100, 300000, ROLE_QUERY,     \
       "A client that does not take its events for this long is dropped")                          \
    MS(query_stream_age_ms_max, "query.stream.age.ms.max", 3600000, 1000, 86400000, ROLE_QUERY,    \
       "A stream ends after this time; its client comes back with what it has seen")               \
    BYTES(http_body_bytes_max, "http.body.bytes.max", 4194304, 1024, 67108864,                     \
          ROLE_GATEWAY | ROLE_QUERY, "Largest request body, except for streams")                   \
    BYTES(http_bodies_bytes_max, "http.bodies.bytes.max", 268435456, 1048576, 17179869184,         \
          ROLE_GATEWAY | ROLE_QUERY, "Memory of all request bodies together; above it 503")        \
    INT(http_requests_max, "http.requests.max", 4096, 1, 100000, ROLE_GATEWAY | ROLE_QUERY,        \
        "Requests in work at one time, open streams not counted; further ones get 503")            \
    INT(http_rate_per_second, "http.rate.per-second", 100000, 0, 1000000,                          \
        ROLE_GATEWAY | ROLE_QUERY,                                                                 \
        "Requests of one API key or token per second and process, above it 429; 0: no limit")      \
    INT(http_rate_burst, "http.rate.burst", 0, 0, 10000000, ROLE_GATEWAY | ROLE_QUERY,             \
        "So many at once after a rest; 0: as many as a second brings")                             \
    STR(http_tls_certificate_file, "http.tls.certificate.file", "", ROLE_GATEWAY | ROLE_QUERY,     \
        "PEM file of the certificate with its chain, read again after SIGHUP; empty: no TLS")      \
    STR(http_tls_key_file, "http.tls.key.file", "", ROLE_GATEWAY | ROLE_QUERY,                     \
        "PEM file of the certificate's key")                                                       \
    BOOL(http_tls_1_2, "http.tls.1.2", false, ROLE_GATEWAY | ROLE_QUERY,                           \
         "Speak TLS 1.2 to clients that know no 1.3")                                              \
    BYTES(http_line_bytes_max, "http.line.bytes.max", 1048576, 1024, 16777216, ROLE_GATEWAY,       \
          "Longest line of a streamed batch")                                                      \
    INT(http_connections_max, "http.connections.max", 16384, 1, 100000, ROLE_GATEWAY | ROLE_QUERY, \
        "Connections at one time")                                                                 \
    INT(http_connections_per_ip_max, "http.connections.per-ip.max", 2048, 1, 100000,               \
        ROLE_GATEWAY | ROLE_QUERY, "Connections at one time from one address")                     \
    MS(http_idle_timeout_ms, "http.idle.timeout.ms", 30000, 1000, 3600000,                         \
       ROLE_GATEWAY | ROLE_QUERY, "Close a connection that is silent for longer")                  \
    MS(http_read_timeout_ms, "http.read.timeout.ms", 15000, 100, 3600000,                          \
       ROLE_GATEWAY | ROLE_QUERY, "A request must have arrived whole by then")                     \
    STR(jwt_jwks, "jwt.jwks", "", ROLE_GATEWAY | ROLE_QUERY,                                       \
        "File with the public keys of an issuer of tokens (JWKS); empty: only API keys are taken") \
    STR(jwt_issuer, "jwt.issuer", "", ROLE_GATEWAY | ROLE_QUERY, "What tokens' iss is to be")      \
    STR(jwt_audience, "jwt.audience", "", ROLE_GATEWAY | ROLE_QUERY,                               \
        "What tokens' aud is to be, or have among others")                                         \
    STR(jwt_claim_shop, "jwt.claim.shop", "shop", ROLE_GATEWAY | ROLE_QUERY,                       \
        "The claim that names a token's shop")                                                     \
    STR(jwt_claim_customer, "jwt.claim.customer", "customer", ROLE_GATEWAY | ROLE_QUERY,           \
        "The claim that binds a token to one customer; without it the whole shop is its own")      \
    MS(jwt_leeway_ms, "jwt.leeway.ms", 30000, 0, 300000, ROLE_GATEWAY | ROLE_QUERY,                \
       "How far the issuer's clock may be off: exp and nbf are stretched by it, whole seconds")    \
    INT(jwt_remembered_max, "jwt.remembered.max", 10000, 0, 1000000, ROLE_GATEWAY | ROLE_QUERY,    \
        "Good tokens that are remembered, so that their signature is not checked every time")      \
    STR(metrics_host, "metrics.host", "127.0.0.1", ROLES_SERVER,                                   \
        "Address of the listener for /metrics, /livez and /readyz")                                \
    INT(metrics_port, "metrics.port", 0, 0, 65535, ROLES_SERVER,                                   \
        "Port of the listener for /metrics, /livez and /readyz; 0: none")                          \
    SECRET(                                                                                        \
        metrics_key, "metrics.key", NULL, ROLES_SERVER,                                            \
        "Key, ol_ID_SECRET, that /metrics on metrics.port wants; not set: it refuses everybody")   \
    STR(trace_otlp_url, "trace.otlp.url", "", ROLES_SERVER,                                        \
        "Where spans are sent as OTLP/HTTP JSON, as http://127.0.0.1:4318/v1/traces; empty: no "   \
        "traces")                                                                                  \
    SECRET(trace_otlp_key, "trace.otlp.key", NULL, ROLES_SERVER,                                   \
           "Sent to trace.otlp.url as Authorization: Bearer")                                      \
    INT(trace_sample_every, "trace.sample.every", 1000, 0, 1000000000, ROLES_SERVER,               \
        "One order in so many is traced, chosen by its id; 0: only those whose callers ask for "   \
        "it")                                                                                      \
    BOOL(trace_callers, "trace.callers", true, ROLES_SERVER,                                       \
         "Trace what a caller's traceparent says is sampled")                                      \
    CHOICE(log_level, "log.level", "info", "debug|info|warn|error", ROLES_ALL,                     \
           "Log lines of this level and above")                                                    \
    CHOICE(log_format, "log.format", "text", "text|json", ROLES_ALL, "One line per event, as")     \
    MS(watchdog_ms, "watchdog.ms", 60000, 1000, 3600000, ROLES_SERVER,                             \
       "End the process when one guarded call hangs for longer")                                   \
    MS(shutdown_timeout_ms, "shutdown.timeout.ms", 15000, 100, 600000, ROLES_SERVER,               \
       "End the process when stopping takes longer")

#endif
