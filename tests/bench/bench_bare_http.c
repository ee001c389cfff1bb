// SPDX-License-Identifier: Apache-2.0
//
// The yardstick of the HTTP services: libmicrohttpd in threads of its own, with nothing behind it.
//
//   bench_bare_http post THREADS BODY_BYTES   reads the body, answers 202 with Location and such a
//                                             body
//   bench_bare_http get THREADS               answers 304 with an ETag
//
// Prints its port; ends with its input.
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BODY_MAX = 4096, MEMORY_BYTES = 32 * 1024, BACKLOG = 1024 };

struct request {
    char body[BODY_MAX];
    size_t length;
};

static size_t answer_bytes; // 0: a 304
static char answer_body[BODY_MAX];

static enum MHD_Result answer(struct MHD_Connection *connection) {
    struct MHD_Response *response =
        answer_bytes > 0
            ? MHD_create_response_from_buffer(answer_bytes, answer_body, MHD_RESPMEM_MUST_COPY)
            : MHD_create_response_from_buffer(0, answer_body, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    if (answer_bytes > 0) {
        (void)MHD_add_response_header(response, "Content-Type", "application/json");
        (void)MHD_add_response_header(response, "Location",
                                      "/v1/orders/00000000-0000-0000-0000-000000000000");
    } else {
        (void)MHD_add_response_header(response, "Cache-Control", "private, no-cache");
        (void)MHD_add_response_header(response, "ETag", "\"12\"");
    }
    enum MHD_Result queued = MHD_queue_response(connection, answer_bytes > 0 ? 202 : 304, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result on_access(void *state, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload_data,
                                 size_t *upload_data_size, void **context) {
    (void)state;
    (void)url;
    (void)method;
    (void)version;
    struct request *request = *context;
    if (!request) {
        *context = request = malloc(sizeof(*request));
        if (!request)
            return MHD_NO;
        request->length = 0;
        return MHD_YES;
    }
    if (*upload_data_size == 0)
        return answer(connection);
    if (*upload_data_size > BODY_MAX - request->length)
        return MHD_NO;
    memcpy(request->body + request->length, upload_data, *upload_data_size);
    request->length += *upload_data_size;
    *upload_data_size = 0;
    return MHD_YES;
}

static void on_complete(void *state, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode code) {
    (void)state;
    (void)connection;
    (void)code;
    free(*context);
    *context = NULL;
}

int main(int argc, char **argv) {
    if (argc < 3 || (strcmp(argv[1], "post") == 0) != (argc == 4))
        return 2;
    const unsigned threads = (unsigned)atoi(argv[2]);
    answer_bytes = argc == 4 ? (size_t)atol(argv[3]) : 0;
    if (answer_bytes > BODY_MAX)
        return 2;
    memset(answer_body, 'x', sizeof(answer_body));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return 1;
    struct MHD_OptionItem pool[] = {{MHD_OPTION_THREAD_POOL_SIZE, threads, NULL},
                                    {MHD_OPTION_END, 0, NULL}};
    if (threads < 2)
        pool[0] = pool[1];
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_access, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_complete, NULL, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    if (!daemon)
        return 1;
    printf("%d\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    while (getchar() != EOF) {
    }
    MHD_stop_daemon(daemon);
    return 0;
}
