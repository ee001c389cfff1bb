// SPDX-License-Identifier: Apache-2.0
//
// The one list of metrics. To add one: add a row and call metrics_add / _set / _observe_us with
// METRIC_ and the id. A label, where there is one, is NUMBERED by its series (partition 3, status
// 202) or NAMED (metrics_name_series()); the series are 0 … series - 1. Never an order id.
// Names: orderlog_ first, base units, counters end in _total.
#ifndef ORDERLOG_SERVICE_METRICS_TABLE_H
#define ORDERLOG_SERVICE_METRICS_TABLE_H

// KIND(id, name, label, label kind, series, help)
#define METRICS(COUNTER, GAUGE, HISTOGRAM)                                                         \
    COUNTER(HTTP_REQUESTS, "orderlog_http_requests_total", "status", NUMBERED, 600,                \
            "Requests answered, by status")                                                        \
    HISTOGRAM(HTTP_REQUEST, "orderlog_http_request_seconds", "route", NAMED, 64,                   \
              "From the request's first line to its answer, by route")                             \
    GAUGE(HTTP_CONNECTIONS, "orderlog_http_connections", NULL, UNLABELLED, 1, "Open connections")  \
    GAUGE(HTTP_REQUESTS_OPEN, "orderlog_http_requests_open", NULL, UNLABELLED, 1,                  \
          "Requests read or waiting for an answer")                                                \
    COUNTER(GATEWAY_COMMANDS, "orderlog_gateway_commands_total", "outcome", NAMED, 8,              \
            "Commands by what became of them at the gateway")                                      \
    HISTOGRAM(GATEWAY_PRODUCE, "orderlog_gateway_produce_seconds", NULL, UNLABELLED, 1,            \
              "From producing a command to the brokers' acknowledgement")                          \
    GAUGE(GATEWAY_PENDING, "orderlog_gateway_pending", NULL, UNLABELLED, 1,                        \
          "Commands waiting for the brokers' acknowledgement")                                     \
    GAUGE(GATEWAY_BACKLOG_MS, "orderlog_gateway_backlog_milliseconds", "role", NAMED, 4,           \
          "Lag of the processors as the gateway sees it")                                          \
    GAUGE(GATEWAY_CATALOGUE_AGE_MS, "orderlog_gateway_catalogue_age_milliseconds", NULL,           \
          UNLABELLED, 1, "Since the catalogue was last known complete")                            \
    GAUGE(GATEWAY_CATALOGUE_PRODUCTS, "orderlog_gateway_catalogue_products", NULL, UNLABELLED, 1,  \
          "Products in the catalogue")                                                             \
    GAUGE(LAG_RECORDS, "orderlog_lag_records", "partition", NUMBERED, 1024,                        \
          "Records between the position and the end of this role's input")                         \
    COUNTER(RECORDS_IN, "orderlog_records_in_total", NULL, UNLABELLED, 1, "Records read")          \
    COUNTER(MESSAGES_IN, "orderlog_messages_in_total", NULL, UNLABELLED, 1,                        \
            "Messages read, those inside groups counted singly")                                   \
    COUNTER(RECORDS_OUT, "orderlog_records_out_total", NULL, UNLABELLED, 1, "Records produced")    \
    COUNTER(BYTES_OUT, "orderlog_bytes_out_total", NULL, UNLABELLED, 1, "Bytes produced")          \
    COUNTER(TRANSACTIONS, "orderlog_transactions_total", "outcome", NAMED, 8,                      \
            "Kafka transactions, by outcome")                                                      \
    HISTOGRAM(COMMIT, "orderlog_commit_seconds", NULL, UNLABELLED, 1,                              \
              "Sending the offsets and committing a transaction")                                  \
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
    GAUGE(TIMERS, "orderlog_timers", NULL, UNLABELLED, 1, "Deadlines waiting")                     \
    COUNTER(OUTSIDE_TRIES, "orderlog_outside_tries_total", "outcome", NAMED, 3,                    \
            "Requests to payment provider or carrier that ended, by outcome")                      \
    GAUGE(OUTSIDE_OPEN, "orderlog_outside_requests_open", NULL, UNLABELLED, 1,                     \
          "Requests to payment provider or carrier on the wire")                                   \
    GAUGE(OUTSIDE_BREAKER, "orderlog_outside_breaker_open", NULL, UNLABELLED, 1,                   \
          "1 while calls wait because payment provider or carrier fails")                          \
    COUNTER(PROJECTED_RECORDS, "orderlog_projected_records_total", NULL, UNLABELLED, 1,            \
            "Events applied to read models")                                                       \
    GAUGE(PROJECTION_LAG, "orderlog_projection_lag_records", "topic", NAMED, 8,                    \
          "Records between the stored positions and the end of the log")                           \
    GAUGE(PROJECTION_LAG_MS, "orderlog_projection_lag_milliseconds", "topic", NAMED, 8,            \
          "Age of the last record applied, while there are further ones")                          \
    HISTOGRAM(PROJECT_BATCH, "orderlog_project_batch_seconds", NULL, UNLABELLED, 1,                \
              "Applying one batch in one database transaction")

#endif
