// SPDX-License-Identifier: Apache-2.0
//
// The gateway's parts, as its routes see them.
#ifndef ORDERLOG_HTTP_GATEWAY_STATE_H
#define ORDERLOG_HTTP_GATEWAY_STATE_H

#include "event/registry.h"
#include "event/schema_ids.h"
#include "http/access_keys.h"
#include "http/access_tokens.h"
#include "http/backlog.h"
#include "http/catalogue.h"
#include "http/command.h"
#include "http/command_writer.h"
#include "http/customer_desk.h"
#include "http/server.h"
#include "service/jsonout.h"

struct gateway {
    const struct config *config; // borrowed
    struct registry *registry;
    struct schema_ids *ids;
    struct access_keys *keys;
    struct access_tokens *tokens; // NULL: none are taken
    struct catalogue *catalogue;
    struct command_writer *writer;
    struct customer_desk *desk; // NULL: no master key
    struct customer_keys_view people;
    struct backlog *orders; // what order and inventory processors have not handled yet
    struct backlog *stock;
    struct http_server *server;
    struct http_side_work work;    // the writer's, in the server's threads
    struct http_side_work serving; // and in the first of them
    struct http_server *admin;
};

// Prices as they are now. False in `fresh` when the catalogue is too old.
struct command_prices gateway_prices(struct gateway *gateway);

// "/v1/orders/ID": folder is "orders" or "commands".
struct gateway_link {
    char text[64];
};
struct gateway_link gateway_link(const char *folder, const struct id *id);

// The body of an acknowledgement: ids, links, and the key when the caller gave none.
void gateway_write_receipt(struct jsonout *out, const struct command *command,
                           const char *made_key);

// The problem of an outcome other than WRITER_WRITTEN.
void gateway_explain(enum writer_outcome outcome, struct problem *problem);

// Refuses because of the backlog: fills in the problem.
void gateway_explain_backlog(const struct backlog *backlog, struct problem *problem);

// --- gateway_commands.c ------------------------------------------------------------------------

void gateway_handle_place(struct http_request *request, void *state);
void gateway_handle_cancel(struct http_request *request, void *state);
void gateway_handle_dispatch(struct http_request *request, void *state);
void gateway_handle_deliver(struct http_request *request, void *state);
void gateway_handle_product(struct http_request *request, void *state);
void gateway_handle_receive(struct http_request *request, void *state);
void gateway_handle_adjust(struct http_request *request, void *state);
void gateway_handle_customer(struct http_request *request, void *state);
void gateway_handle_erase(struct http_request *request, void *state);

// --- gateway_batch.c ---------------------------------------------------------------------------

void gateway_batch_begin(struct http_request *request, void *state);
size_t gateway_batch_chunk(struct http_request *request, void *state, const char *bytes,
                           size_t length);
void gateway_batch_handle(struct http_request *request, void *state);
void gateway_batch_done(struct http_request *request, void *attachment, bool complete);

#endif
