// SPDX-License-Identifier: Apache-2.0
//
// The one list of metrics. To add one: add a row and call metrics_add / _set / _observe_us with
// METRIC_ and the id. A label, where there is one, is NUMBERED by its series (partition 3, status
// 202) or NAMED (metrics_name_series(), or the literals of a table); STEPPED is NAMED with the
// process's role before it. The series are 0 … series - 1. Never an order id.
// Names: orderlog_ first, base units, counters end in _total. SECONDS is a gauge that is set in
// microseconds and shown in seconds.
//
// compose/dashboard.json and compose/alerts.yml stand on these names; a test compares them.
#ifndef ORDERLOG_SERVICE_METRICS_TABLE_H
#define ORDERLOG_SERVICE_METRICS_TABLE_H

// What takes time, by role.
#define METRIC_STEPS(STEP)                                                                         \
    STEP(INPUT, "input")             /* first record of a batch read to its last one decided */    \
    STEP(DEADLINES, "deadlines")     /* firing them, only where some have passed */                \
    STEP(SNAPSHOTS, "snapshots")     /* rows of soft state for one transaction */                  \
    STEP(FLUSH, "flush")             /* groups and offsets to the producer */                      \
    STEP(TRANSACTION, "transaction") /* first record read to committed */                          \
    STEP(CALL, "call")               /* provider or carrier, from request to answer */             \
    STEP(DECODE, "decode")           /* a projector's batch */                                     \
    STEP(APPLY, "apply")             /* its database transaction */                                \
    STEP(POOL, "pool")               /* waiting for a database connection */                       \
    STEP(DATABASE, "database")       /* the reads of one request, or of some together */

// What went wrong, by where it was noticed.
#define METRIC_ERRORS(ERROR)                                                                       \
    ERROR(CLIENT, "kafka_client")           /* a Kafka client has trouble, and goes on */          \
    ERROR(TRANSACTION, "kafka_transaction") /* a transaction was not committed */                  \
    ERROR(UNDECODABLE, "undecodable")       /* bytes that are no message of ours */                \
    ERROR(UNDECIDABLE, "undecidable")       /* a message that could not be decided */              \
    ERROR(POSTGRES, "postgres")             /* a statement failed */                               \
    ERROR(POSTGRES_CONNECT, "postgres_connect")                                                    \
    ERROR(OUTSIDE, "outside") /* a try at provider or carrier failed */                            \
    ERROR(FATAL, "fatal")     /* the process ends for it */

// What was tried again.
#define METRIC_RETRIES(RETRY)                                                                      \
    RETRY(TRANSACTION, "transaction")                                                              \
    RETRY(TAKEOVER, "takeover")                                                                    \
    RETRY(PROJECTION, "projection")                                                                \
    RETRY(OUTSIDE, "outside")

// KIND(id, name, label, label kind, series, help)
#define METRICS(COUNTER, GAUGE, SECONDS, HISTOGRAM)                                                \
    COUNTER(HTTP_REQUESTS, "orderlog_http_requests_total", "status", NUMBERED, 600,                \
            "Requests answered, by status")                                                        \
    COUNTER(HTTP_REFUSED, "orderlog_http_refused_total", "problem", NAMED, 128,                    \
            "Requests refused, by type of problem")                                                \
    HISTOGRAM(HTTP_REQUEST, "orderlog_http_request_seconds", "route", NAMED, 64,                   \
              "From the request's first line to its answer, by route")                             \
    GAUGE(HTTP_CONNECTIONS, "orderlog_http_connections", NULL, UNLABELLED, 1, "Open connections")  \
    GAUGE(HTTP_REQUESTS_OPEN, "orderlog_http_requests_open", NULL, UNLABELLED, 1,                  \
          "Requests read or waiting for an answer")                                                \
    COUNTER(GATEWAY_COMMANDS, "orderlog_gateway_commands_total", "outcome", NAMED, 8,              \
            "Commands by what became of them at the gateway")                                      \
    HISTOGRAM(GATEWAY_PRODUCE, "orderlog_gateway_produce_seconds", NULL, UNLABELLED, 1,            \
              "From producing a command to the brokers' acknowledgement")                          \
    COUNTER(REPLICA_READS, "orderlog_replica_reads_total", NULL, UNLABELLED, 1,                    \
            "Reads that were given to a replica of the database")                                  \
    GAUGE(QUERY_STREAMS, "orderlog_query_streams", NULL, UNLABELLED, 1,                            \
          "Open streams of orders' events")                                                        \
    GAUGE(GATEWAY_PENDING, "orderlog_gateway_pending", NULL, UNLABELLED, 1,                        \
          "Commands waiting for the brokers' acknowledgement")                                     \
    SECONDS(GATEWAY_BACKLOG, "orderlog_gateway_backlog_seconds", "role", NAMED, 4,                 \
            "Lag of the processors as the gateway sees it")                                        \
    SECONDS(GATEWAY_CATALOGUE_AGE, "orderlog_gateway_catalogue_age_seconds", NULL, UNLABELLED, 1,  \
            "Since the catalogue was last known complete")                                         \
    GAUGE(GATEWAY_CATALOGUE_PRODUCTS, "orderlog_gateway_catalogue_products", NULL, UNLABELLED, 1,  \
          "Products in the catalogue")                                                             \
    GAUGE(PARTITIONS, "orderlog_partitions", NULL, UNLABELLED, 1,                                  \
          "Partitions of the input that this worker has taken over")                               \
    GAUGE(PARTITIONS_ALL, "orderlog_partitions_all", NULL, UNLABELLED, 1,                          \
          "Partitions that the input has, whoever works on them")                                  \
    GAUGE(LAG_RECORDS, "orderlog_lag_records", "partition", NUMBERED, 1024,                        \
          "Records between the position and the end of this role's input")                         \
    SECONDS(LAG, "orderlog_lag_seconds", "partition", NUMBERED, 1024,                              \
            "How long the oldest unread record of this role's input has waited, at most")          \
    GAUGE(KAFKA_QUEUE, "orderlog_kafka_queue_records", "queue", NAMED, 2,                          \
          "Records in the Kafka clients' own queues: fetched and not handled, sent and not "       \
          "acknowledged")                                                                          \
    COUNTER(RECORDS_IN, "orderlog_records_in_total", NULL, UNLABELLED, 1, "Records read")          \
    COUNTER(MESSAGES_IN, "orderlog_messages_in_total", NULL, UNLABELLED, 1,                        \
            "Messages read, those inside groups counted singly")                                   \
    COUNTER(RECORDS_OUT, "orderlog_records_out_total", NULL, UNLABELLED, 1, "Records produced")    \
    COUNTER(BYTES_OUT, "orderlog_bytes_out_total", NULL, UNLABELLED, 1, "Bytes produced")          \
    COUNTER(TRANSACTIONS, "orderlog_transactions_total", "outcome", NAMED, 8,                      \
            "Kafka transactions, by outcome")                                                      \
    HISTOGRAM(COMMIT, "orderlog_commit_seconds", NULL, UNLABELLED, 1,                              \
              "Sending the offsets and committing a transaction")                                  \
    HISTOGRAM(STEP, "orderlog_step_seconds", "step", STEPPED, 16,                                  \
              "What a role's work takes, by step; of batches and transactions, not of messages")   \
    HISTOGRAM(DELAY, "orderlog_delay_seconds", NULL, UNLABELLED, 1,                                \
              "From a record's writing to the commit of what it led to; the oldest of each batch") \
    COUNTER(ERRORS, "orderlog_errors_total", "kind", NAMED, 16, "What went wrong, by kind")        \
    COUNTER(RETRIES, "orderlog_retries_total", "what", NAMED, 8,                                   \
            "What was tried again after a failure")                                                \
    COUNTER(LOG_LINES, "orderlog_log_lines_total", "level", NAMED, 4, "Lines of log, by level")    \
    COUNTER(SNAPSHOT_ROWS, "orderlog_snapshot_rows_total", NULL, UNLABELLED, 1,                    \
            "Rows of soft state written for take-over")                                            \
    HISTOGRAM(SNAPSHOT_PASS, "orderlog_snapshot_pass_seconds", NULL, UNLABELLED, 1,                \
              "Passes of snapshots, from begin to position, of one partition")                     \
    HISTOGRAM(TAKEOVER, "orderlog_takeover_seconds", NULL, UNLABELLED, 1,                          \
              "Taking assigned partitions over, from committed offsets to the first input")        \
    COUNTER(TAKEOVER_RECORDS, "orderlog_takeover_records_total", "kind", NAMED, 2,                 \
            "Records read at take-overs")                                                          \
    COUNTER(DEAD_LETTERS, "orderlog_dead_letters_total", NULL, UNLABELLED, 1,                      \
            "Records put aside because they could not be handled")                                 \
    GAUGE(PARKED_LETTERS, "orderlog_parked_letters", "partition", NUMBERED, 1024,                  \
          "Inputs parked because they, or others of their key before them, cannot be decided")     \
    GAUGE(STOPPED, "orderlog_partition_stopped", "partition", NUMBERED, 1024,                      \
          "1 while a partition takes no input because too much is parked")                         \
    GAUGE(AGGREGATES, "orderlog_aggregates", NULL, UNLABELLED, 1, "Orders or SKUs held in memory") \
    GAUGE(OPEN_ORDERS, "orderlog_open_orders", NULL, UNLABELLED, 1,                                \
          "Orders held in memory that are not closed")                                             \
    GAUGE(STATE_BYTES, "orderlog_state_bytes", NULL, UNLABELLED, 1,                                \
          "Memory of the orders or SKUs held")                                                     \
    GAUGE(TIMERS, "orderlog_timers", NULL, UNLABELLED, 1, "Deadlines waiting")                     \
    COUNTER(OUTSIDE_TRIES, "orderlog_outside_tries_total", "outcome", NAMED, 3,                    \
            "Requests to payment provider or carrier that ended, by outcome")                      \
    GAUGE(OUTSIDE_CALLS, "orderlog_outside_calls", NULL, UNLABELLED, 1,                            \
          "Calls to payment provider or carrier that are not answered, waiting ones included")     \
    GAUGE(OUTSIDE_OPEN, "orderlog_outside_requests_open", NULL, UNLABELLED, 1,                     \
          "Requests to payment provider or carrier on the wire")                                   \
    GAUGE(OUTSIDE_BREAKER, "orderlog_outside_breaker_open", NULL, UNLABELLED, 1,                   \
          "1 while calls wait because payment provider or carrier fails")                          \
    COUNTER(PROJECTED_RECORDS, "orderlog_projected_records_total", NULL, UNLABELLED, 1,            \
            "Events applied to read models")                                                       \
    GAUGE(PROJECTION_LAG_RECORDS, "orderlog_projection_lag_records", "topic", NAMED, 8,            \
          "Records between the stored positions and the end of the log")                           \
    SECONDS(PROJECTION_LAG, "orderlog_projection_lag_seconds", "topic", NAMED, 8,                  \
            "How long the oldest event that is not applied has waited, at most")                   \
    GAUGE(PROJECTIONS_PAUSED, "orderlog_projections_paused", "topic", NAMED, 8,                    \
          "Read models that an operator has paused")                                               \
    HISTOGRAM(PROJECT_BATCH, "orderlog_project_batch_seconds", NULL, UNLABELLED, 1,                \
              "Applying one batch, whatever number of database transactions it takes")             \
    GAUGE(POOL_SIZE, "orderlog_database_connections", NULL, UNLABELLED, 1,                         \
          "Connections to PostgreSQL that requests share")                                         \
    GAUGE(POOL_BUSY, "orderlog_database_connections_busy", NULL, UNLABELLED, 1,                    \
          "Those that a request is using")                                                         \
    GAUGE(READS_WAITING, "orderlog_reads_waiting", NULL, UNLABELLED, 1,                            \
          "Reads that wait for a write to become visible")                                         \
    SECONDS(OLDEST_OPEN_ORDER, "orderlog_oldest_open_order_seconds", NULL, UNLABELLED, 1,          \
            "Age of the oldest order that is not closed and does not wait for people")             \
    GAUGE(ORDERS_NEEDING_ATTENTION, "orderlog_orders_needing_attention", NULL, UNLABELLED, 1,      \
          "Orders that wait for people; 1000 stands for more")                                     \
    COUNTER(SPANS, "orderlog_spans_total", "outcome", NAMED, 4,                                    \
            "Spans of traces, by what became of them")

#endif
