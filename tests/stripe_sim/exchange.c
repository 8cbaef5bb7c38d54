#include "stripe_sim/exchange.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

enum { BODY_MAX = 4 << 20, MILLISECOND_US = 1000, CUSTOMER_MAX = 64 };

struct exchange {
    struct exchange *next; /* of all open ones */
    struct exchange **link;
    struct MHD_Connection *connection;
    bool is_begun;
    char *query; /* as it came */
    char *url;   /* once its headers are there */
    char *method;
    struct buffer body;
    uint64_t number;
    uint64_t generation; /* of the world it belongs to */
    enum fault fault;
    bool is_stalled;
    bool was_stalled;
    int64_t wake_us;
    bool is_answered; /* answer holds what a stall keeps back */
    struct answer answer;
    char customer[CUSTOMER_MAX]; /* whom it bills; empty: nobody */
};

struct exchanges {
    struct server *server;
    struct exchange *first;
};

struct exchanges *exchanges_create(struct server *server) {
    struct exchanges *exchanges = calloc(1, sizeof *exchanges);
    if (exchanges == NULL) {
        abort();
    }
    exchanges->server = server;
    return exchanges;
}

void exchanges_destroy(struct exchanges *exchanges) {
    free(exchanges);
}

static struct exchange *exchange_create(struct exchanges *exchanges,
                                        struct MHD_Connection *connection) {
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL) {
        abort();
    }
    exchange->connection = connection;
    exchange->number = ++exchanges->server->stats.requests;
    exchange->generation = exchanges->server->world->generation;
    exchange->next = exchanges->first;
    exchange->link = &exchanges->first;
    if (exchange->next != NULL) {
        exchange->next->link = &exchange->next;
    }
    exchanges->first = exchange;
    return exchange;
}

void *exchange_begin(void *context, const char *uri, struct MHD_Connection *connection) {
    struct exchange *exchange = exchange_create(context, connection);
    const char *mark = strchr(uri, '?');
    exchange->query = strdup(mark != NULL ? mark + 1 : "");
    return exchange;
}

static void client_kill(struct server *server) {
    if (server->client >= 0) {
        (void)syscall(SYS_pidfd_send_signal, server->client, SIGKILL, NULL, 0);
    }
}

void exchange_end(void *context, struct MHD_Connection *connection, void **own,
                  enum MHD_RequestTerminationCode code) {
    struct exchanges *exchanges = context;
    struct exchange *exchange = *own;
    (void)connection;
    if (exchange == NULL) {
        return;
    }
    if (exchange->fault == FAULT_KILL_ANSWERED && code == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        client_kill(exchanges->server);
    }
    *exchange->link = exchange->next;
    if (exchange->next != NULL) {
        exchange->next->link = exchange->link;
    }
    free(exchange->query);
    free(exchange->url);
    free(exchange->method);
    buffer_release(&exchange->body);
    answer_release(&exchange->answer);
    free(exchange);
    *own = NULL;
}

/* --- the wire -----------------------------------------------------------------------------------
 */

static int socket_of(struct MHD_Connection *connection) {
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* MHD closes the socket when we say MHD_NO, but politely; this aborts the connection before. */
static enum MHD_Result reset(struct exchange *exchange) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    (void)connect(socket_of(exchange->connection), &none, sizeof none);
    return MHD_NO;
}

/* Says good-bye as TLS does, in place of an answer. On a plain connection there is nothing to say.
 */
static void close_session(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info != NULL && info->tls_session != NULL) {
        (void)gnutls_bye(info->tls_session, GNUTLS_SHUT_WR);
    }
}

/* Asked of the kernel: before a client hangs up, its TLS sends some bytes more. */
static bool is_gone(struct MHD_Connection *connection) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    return getsockopt(socket_of(connection), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
           info.tcpi_state != TCP_ESTABLISHED;
}

static void queue(struct exchange *exchange, unsigned int status, struct MHD_Response *response) {
    (void)MHD_queue_response(exchange->connection, status, response);
    MHD_destroy_response(response);
}

static void queue_text(struct exchange *exchange, unsigned int status, const char *type,
                       const char *text) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    (void)MHD_add_response_header(response, "Content-Type", type);
    queue(exchange, status, response);
}

struct half {
    char *text;
    size_t size_bytes;
};

static ssize_t half_read(void *context, uint64_t position, char *bytes, size_t bytes_max) {
    const struct half *half = context;
    if (position >= half->size_bytes / 2) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t size = half->size_bytes / 2 - (size_t)position;
    size = size < bytes_max ? size : bytes_max;
    memcpy(bytes, half->text + position, size);
    return (ssize_t)size;
}

static void half_free(void *context) {
    struct half *half = context;
    free(half->text);
    free(half);
}

static struct MHD_Response *half_response(char *text) {
    struct half *half = calloc(1, sizeof *half);
    if (half == NULL) {
        abort();
    }
    *half = (struct half){.text = text, .size_bytes = strlen(text)};
    return MHD_create_response_from_callback(half->size_bytes, 4096, half_read, half, half_free);
}

static enum MHD_Result send_answer(struct exchange *exchange) {
    char request_id[40];
    if (exchange->fault == FAULT_NOT_JSON_AFTER) {
        queue_text(exchange, 200, "text/html", "<html>Welcome to the hotel</html>");
        return MHD_YES;
    }
    char *text = json_dumps(exchange->answer.body, JSON_COMPACT);
    if (text == NULL) {
        abort();
    }
    struct MHD_Response *response =
        exchange->fault == FAULT_TRUNCATE
            ? half_response(text)
            : MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    (void)snprintf(request_id, sizeof request_id, "req_%llu", (unsigned long long)exchange->number);
    (void)MHD_add_response_header(response, "Request-Id", request_id);
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    for (size_t index = 0; index < exchange->answer.headers_count; index++) {
        (void)MHD_add_response_header(response, exchange->answer.headers[index].name,
                                      exchange->answer.headers[index].value);
    }
    queue(exchange, (unsigned int)exchange->answer.status, response);
    return MHD_YES;
}

/* --- the story of one request -------------------------------------------------------------------
 */

static void stall(struct exchanges *exchanges, struct exchange *exchange) {
    exchange->is_stalled = true;
    exchange->was_stalled = true;
    exchange->wake_us = server_now_us() + exchanges->server->faults.stall_ms * MILLISECOND_US;
    MHD_suspend_connection(exchange->connection);
}

/* Notes when a customer has two requests at once, of which the client still waits for both. */
static void note_customer(struct exchanges *exchanges, struct exchange *exchange) {
    const char *found = NULL;
    struct text body = buffer_text(&exchange->body);
    if (body.size_bytes > 0) {
        found = memmem(body.bytes, body.size_bytes, "customer=", strlen("customer="));
    }
    if (found == NULL) {
        return;
    }
    found += strlen("customer=");
    size_t rest = body.size_bytes - (size_t)(found - body.bytes);
    size_t size = 0;
    while (size < rest && found[size] != '&' && size < CUSTOMER_MAX - 1) {
        size++;
    }
    memcpy(exchange->customer, found, size);
    for (struct exchange *other = exchanges->first; other != NULL; other = other->next) {
        if (other != exchange && other->is_stalled &&
            strcmp(other->customer, exchange->customer) == 0 && !is_gone(other->connection)) {
            exchanges->server->stats.overlaps++;
        }
    }
}

static enum MHD_Result do_work(struct exchanges *exchanges, struct exchange *exchange,
                               struct request *request) {
    struct server *server = exchanges->server;
    if (exchange->fault == FAULT_STALL_BEFORE) {
        api_start(server->world, request);
        stall(exchanges, exchange);
        return MHD_YES;
    }
    request->trouble = fault_trouble(exchange->fault);
    api_answer(server->api, server->world, request, &exchange->answer);
    exchange->is_answered = true;
    if (exchange->fault == FAULT_STALL_AFTER) {
        stall(exchanges, exchange);
        return MHD_YES;
    }
    return send_answer(exchange);
}

static enum MHD_Result exchange_decide(struct exchanges *exchanges, struct exchange *exchange,
                                       struct request *request) {
    struct server *server = exchanges->server;
    enum MHD_Result result = MHD_YES;
    note_customer(exchanges, exchange);
    switch (exchange->fault) {
    case FAULT_REFUSE:
        server_refuse(server, server->faults.refuse_ms * MILLISECOND_US);
        return reset(exchange);
    case FAULT_KILL_BEFORE:
        client_kill(server);
        return reset(exchange);
    case FAULT_NOT_JSON_502:
        queue_text(exchange, 502, "text/html", "<html><h1>502 Bad Gateway</h1></html>");
        return MHD_YES;
    default: /* the others do the work, and then differ */
        result = do_work(exchanges, exchange, request);
        break;
    }
    if (exchange->fault == FAULT_RESET_AFTER) {
        return reset(exchange);
    }
    if (exchange->fault == FAULT_KILL_DONE) {
        client_kill(server);
        return reset(exchange);
    }
    if (exchange->fault == FAULT_CLOSE_SESSION) {
        close_session(exchange->connection);
        return MHD_NO;
    }
    if (exchange->fault == FAULT_CLOSE_AFTER) {
        (void)shutdown(socket_of(exchange->connection), SHUT_RDWR);
        return MHD_NO;
    }
    return result;
}

static enum MHD_Result answer_control(struct server *server, struct exchange *exchange) {
    struct text body = buffer_text(&exchange->body);
    json_t *command = json_loadb(body.bytes, body.size_bytes, 0, NULL);
    json_t *answer = control_answer(server, command);
    char *text = json_dumps(answer, JSON_COMPACT);
    queue_text(exchange, 200, "application/json", text);
    free(text);
    json_decref(answer);
    json_decref(command);
    return MHD_YES;
}

/* For measuring: hardly any work, nothing kept. */
static enum MHD_Result answer_fast(struct exchange *exchange) {
    char text[160];
    (void)snprintf(text, sizeof text,
                   "{\"id\":\"ii_%024llu\",\"object\":\"invoiceitem\",\"livemode\":false}",
                   (unsigned long long)exchange->number);
    queue_text(exchange, 200, "application/json", text);
    return MHD_YES;
}

static const char *header(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void record(struct server *server, const struct request *request,
                   const struct exchange *exchange) {
    (void)json_array_append_new(
        server->recorded,
        must(json_pack("{s:s, s:s, s:s%, s:s?, s:s?, s:s, s:I}", "method", request->method, "path",
                       request->path, "body",
                       request->body.size_bytes > 0 ? request->body.bytes : "",
                       request->body.size_bytes, "idempotency_key", request->idempotency_key,
                       "version", request->version, "fault", fault_name(exchange->fault), "status",
                       (json_int_t)exchange->answer.status)));
}

static struct request request_of(const struct exchange *exchange) {
    return (struct request){
        .number = exchange->number,
        .method = exchange->method,
        .path = exchange->url,
        .query = text_from(exchange->query),
        .body = buffer_text(&exchange->body),
        .authorization = header(exchange->connection, "Authorization"),
        .idempotency_key = header(exchange->connection, "Idempotency-Key"),
        .version = header(exchange->connection, "Stripe-Version"),
    };
}

static bool is_control(const struct exchange *exchange) {
    return strcmp(exchange->url, "/_control") == 0;
}

/* The headers are there: what will go wrong is drawn, and may strike before the body is read. */
static enum MHD_Result exchange_open(struct server *server, struct exchange *exchange,
                                     const char *url, const char *method) {
    exchange->is_begun = true;
    exchange->url = strdup(url);
    exchange->method = strdup(method);
    if (exchange->url == NULL || exchange->method == NULL) {
        abort();
    }
    if (!is_control(exchange) && !server->is_fast) {
        struct request request = request_of(exchange);
        exchange->fault = faults_draw(&server->faults, &request);
    }
    return exchange->fault == FAULT_RESET_BEFORE ? reset(exchange) : MHD_YES;
}

static enum MHD_Result exchange_go(struct exchanges *exchanges, struct exchange *exchange) {
    struct server *server = exchanges->server;
    if (is_control(exchange)) {
        return answer_control(server, exchange);
    }
    if (server->is_fast) {
        return answer_fast(exchange);
    }
    struct request request = request_of(exchange);
    enum MHD_Result result = exchange_decide(exchanges, exchange, &request);
    if (server->is_recording && (exchange->is_answered || !exchange->is_stalled)) {
        record(server, &request, exchange);
    }
    return result;
}

enum MHD_Result exchange_step(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **own) {
    struct exchanges *exchanges = context;
    struct exchange *exchange = *own;
    (void)version;
    (void)connection;
    if (!exchange->is_begun) {
        return exchange_open(exchanges->server, exchange, url, method);
    }
    if (*upload_size > 0) {
        struct err err = {0};
        if (exchange->body.size_bytes + *upload_size > BODY_MAX ||
            !buffer_append(&exchange->body,
                           (struct text){.bytes = upload, .size_bytes = *upload_size}, &err)) {
            return MHD_NO;
        }
        *upload_size = 0;
        return MHD_YES;
    }
    if (exchange->is_stalled) {
        return MHD_YES; /* woken too early */
    }
    if (exchange->was_stalled && !exchange->is_answered) {
        return reset(exchange); /* stalled over a reset of the world: it is of no account now */
    }
    return exchange->is_answered ? send_answer(exchange) : exchange_go(exchanges, exchange);
}

/*
 * The stall is over. What it put off is done now, whether or not the client still waits for it: its
 * key must not be in use for ever.
 */
static void exchange_wake(struct exchanges *exchanges, struct exchange *exchange) {
    struct server *server = exchanges->server;
    exchange->is_stalled = false;
    if (!exchange->is_answered && exchange->generation == server->world->generation) {
        struct request request = request_of(exchange);
        api_answer(server->api, server->world, &request, &exchange->answer);
        exchange->is_answered = true;
        if (server->is_recording) {
            record(server, &request, exchange);
        }
    }
    MHD_resume_connection(exchange->connection);
}

int64_t exchanges_wake(struct exchanges *exchanges, int64_t now_us) {
    int64_t next_us = INT64_MAX;
    for (struct exchange *exchange = exchanges->first; exchange != NULL;
         exchange = exchange->next) {
        if (exchange->is_stalled && exchange->wake_us <= now_us) {
            exchange_wake(exchanges, exchange);
        } else if (exchange->is_stalled && exchange->wake_us < next_us) {
            next_us = exchange->wake_us;
        }
    }
    return next_us;
}

bool exchanges_wake_all(struct exchanges *exchanges) {
    bool is_any = false;
    for (struct exchange *exchange = exchanges->first; exchange != NULL;
         exchange = exchange->next) {
        is_any = is_any || exchange->is_stalled;
    }
    (void)exchanges_wake(exchanges, INT64_MAX);
    return is_any;
}
