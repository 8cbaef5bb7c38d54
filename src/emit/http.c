#include "emit/http.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>

#include "core/memory.h"
#include "http_internal.h"
#include "sys/clock.h"

/* --- what libcurl asks for ----------------------------------------------------------------------
 */

/* NULL and ERR_MEMORY. */
static struct http_socket *socket_at(struct http *http, curl_socket_t fd, struct err *err) {
    size_t index = (size_t)fd;
    if (index >= http->sockets_count) {
        size_t count = index + 64;
        struct http_socket *sockets = mem_realloc(http->sockets, count * sizeof *sockets);
        if (sockets == NULL) {
            (void)err_memory(err, count * sizeof *sockets);
            return NULL;
        }
        memset(sockets + http->sockets_count, 0, (count - http->sockets_count) * sizeof *sockets);
        http->sockets = sockets;
        http->sockets_count = count;
    }
    return &http->sockets[index];
}

static void socket_forget(struct http *http, curl_socket_t fd) {
    if (http->sockets[fd].watched != CURL_POLL_NONE) {
        poller_forget(&http->poller, fd);
        http->sockets[fd].watched = CURL_POLL_NONE;
    }
}

void http_note_socket(struct http *http, curl_socket_t fd) {
    struct err err = {0};
    struct http_socket *socket = socket_at(http, fd, &err);
    if (socket == NULL) {
        err_release(&err); /* then it is forgotten at once, like one that is not ours */
        return;
    }
    *socket = (struct http_socket){.watched = CURL_POLL_NONE, .is_ours = true};
    http->open_count++;
    http->open_fd = fd;
}

void http_forget_socket(struct http *http, curl_socket_t fd) {
    if ((size_t)fd < http->sockets_count) {
        socket_forget(http, fd);
        http->open_count -= http->sockets[fd].is_ours ? 1 : 0;
        http->open_fd = http->open_fd == fd ? -1 : http->open_fd;
        http->sockets[fd].is_ours = false;
    }
}

static bool socket_watch(struct http *http, curl_socket_t fd, int what, struct err *err) {
    struct http_socket *socket = socket_at(http, fd, err);
    if (socket == NULL) {
        return false;
    }
    if (what == CURL_POLL_REMOVE) {
        socket->is_wanted = false;
        if (!socket->is_ours) {
            socket_forget(http, fd);
        }
        return true;
    }
    socket->is_wanted = true;
    if (socket->is_ours && socket->watched == what) {
        return true;
    }
    bool is_watched = socket->watched != CURL_POLL_NONE;
    if (!poller_watch(&http->poller, fd, is_watched, (what & CURL_POLL_IN) != 0,
                      (what & CURL_POLL_OUT) != 0, err)) {
        return false;
    }
    socket->watched = what;
    return true;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
    struct http *http = context;
    struct err err = {0};
    (void)easy;
    (void)known;
    if (!socket_watch(http, fd, what, &err)) {
        err_release(&http->poll_err);
        http->poll_err = err;
        return -1;
    }
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context) {
    struct http *http = context;
    (void)multi;
    http->timer_due_us =
        timeout_ms < 0 ? -1 : clock_monotonic_us(http->options.sys) + (int64_t)timeout_ms * 1000;
    return 0;
}

/* --- making and unmaking ------------------------------------------------------------------------
 */

/* Plain http would show the secret to everybody on the way. */
static bool check_base(const char *base, bool *is_loopback, struct err *err) {
    CURLU *url = curl_url();
    char *scheme = NULL;
    char *host = NULL;
    bool is_fine = url != NULL && curl_url_set(url, CURLUPART_URL, base, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    *is_loopback = is_fine && (strcmp(host, "127.0.0.1") == 0 || strcmp(host, "[::1]") == 0 ||
                               strcmp(host, "localhost") == 0);
    bool is_secret_safe =
        is_fine && (strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && *is_loopback));
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(url);
    if (is_secret_safe) {
        return true;
    }
    (void)err_set(err, ERR_USAGE, "'%.300s' is no address to send to", base);
    return err_hint(err, "give an https address; plain http goes to 127.0.0.1, [::1] and "
                         "localhost only");
}

bool http_check_base(const char *base, struct err *err) {
    bool is_loopback;
    return check_base(base, &is_loopback, err);
}

static void curl_start(void) {
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

bool http_create(const struct http_options *options, struct http **http, struct err *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool is_loopback;
    assert(options->in_flight_max >= 1 && options->in_flight_max <= HTTP_IN_FLIGHT_MAX);
    (void)pthread_once(&once, curl_start);
    *http = NULL;
    if (!check_base(options->base, &is_loopback, err)) {
        return false;
    }
    struct http *made = mem_alloc(sizeof *made);
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    *made = (struct http){
        .options = *options, .poller = POLLER_CLOSED, .timer_due_us = -1, .open_fd = -1};
    made->multi = curl_multi_init();
    made->transfers = mem_alloc(options->in_flight_max * sizeof *made->transfers);
    bool is_fine = made->multi != NULL && made->transfers != NULL;
    if (!is_fine) {
        (void)err_memory(err, options->in_flight_max * sizeof *made->transfers);
    }
    is_fine = is_fine && poller_open(&made->poller, options->sys, err);
    for (; is_fine && made->transfers_count < options->in_flight_max; made->transfers_count++) {
        is_fine = transfer_init(&made->transfers[made->transfers_count], made, is_loopback, err);
    }
    if (!is_fine) {
        http_destroy(made);
        return false;
    }
    (void)curl_multi_setopt(made->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(made->multi, CURLMOPT_SOCKETDATA, made);
    (void)curl_multi_setopt(made->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(made->multi, CURLMOPT_TIMERDATA, made);
    (void)curl_multi_setopt(made->multi, CURLMOPT_MAXCONNECTS, (long)options->in_flight_max + 4);
    made->options.secret = NULL; /* it stands in the headers, and the caller may clear its own */
    *http = made;
    return true;
}

void http_destroy(struct http *http) {
    if (http == NULL) {
        return;
    }
    for (size_t index = 0; http->transfers != NULL && index < http->options.in_flight_max;
         index++) {
        transfer_release(&http->transfers[index]);
    }
    if (http->multi != NULL) {
        (void)curl_multi_cleanup(http->multi);
    }
    poller_close(&http->poller);
    err_release(&http->poll_err);
    mem_free(http->sockets);
    mem_free(http->transfers);
    mem_free(http);
}

/* --- sending ------------------------------------------------------------------------------------
 */

struct http_call *http_begin(struct http *http) {
    struct http_transfer *transfer = http->free_list;
    if (transfer == NULL) {
        return NULL;
    }
    http->free_list = transfer->next;
    struct http_call *call = &transfer->call;
    struct buffer answer = call->answer.body;
    buffer_clear(&answer);
    buffer_clear(&call->url);
    buffer_clear(&call->body);
    call->answer = (struct http_answer){.body = answer};
    call->idempotency_key[0] = '\0';
    call->is_post = false;
    call->owner = NULL;
    transfer->has_no_memory = false;
    return call;
}

bool http_send(struct http *http, struct http_call *call, struct err *err) {
    struct http_transfer *transfer = call->transfer;
    CURL *easy = transfer->easy;
    bool is_keyed = call->idempotency_key[0] != '\0';
    if (!transfer_address(transfer, err)) {
        return false;
    }
    if (is_keyed) {
        transfer_write_key(transfer, call->idempotency_key);
    }
    bool is_fine =
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER,
                         is_keyed ? transfer->keyed_headers : transfer->plain_headers) == CURLE_OK;
    if (call->is_post) {
        is_fine = is_fine && curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)call->body.size_bytes) ==
                      CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                                   call->body.bytes != NULL ? call->body.bytes : "") == CURLE_OK;
    } else {
        is_fine = is_fine && curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    }
    if (!is_fine || curl_multi_add_handle(http->multi, easy) != CURLM_OK) {
        return err_set(err, ERR_MEMORY, "libcurl cannot begin a request");
    }
    http->in_flight++;
    http->begun_count++;
    return true;
}

/*
 * Whether nobody can have seen the request. Where a connection that was kept dies under it, libcurl
 * sends it again over a new one by itself: failing to connect is only half of that story then.
 */
static bool is_unseen(CURL *easy) {
    long sent_bytes = 0;
    curl_off_t began_us = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    (void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &began_us);
    return sent_bytes == 0 && began_us == 0;
}

static enum http_fate fate_of(CURLcode code, CURL *easy) {
    switch (code) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_OPERATION_TIMEDOUT:
        return is_unseen(easy) ? HTTP_NOT_SENT : HTTP_LOST;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return HTTP_UNTRUSTED;
    default:
        return HTTP_LOST;
    }
}

static void transfer_done(struct http_transfer *transfer, CURLcode code) {
    struct http *http = transfer->http;
    struct http_answer *answer = &transfer->call.answer;
    long status = 0;
    answer->fate = fate_of(code, transfer->easy);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    answer->status = answer->fate == HTTP_ANSWERED ? (int)status : 0;
    if (answer->fate != HTTP_ANSWERED) {
        (void)snprintf(answer->problem, sizeof answer->problem, "%s",
                       transfer->has_no_memory ? "no memory for the answer"
                                               : curl_easy_strerror(code));
    }
    (void)curl_multi_remove_handle(http->multi, transfer->easy);
    http->in_flight--;
    transfer->next = NULL;
    if (http->done_last == NULL) {
        http->done_first = transfer;
    } else {
        http->done_last->next = transfer;
    }
    http->done_last = transfer;
}

static void collect_done(struct http *http) {
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            CURLcode code = message->data.result; /* gone when the handle is removed */
            struct http_transfer *transfer = NULL;
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
            transfer_done(transfer, code);
        }
    }
}

/* Milliseconds from now to then, rounded up, so that a wait does not end early and spin. */
static int wait_ms(int64_t now_us, int64_t until_us) {
    int64_t left_ms = until_us > now_us ? (until_us - now_us + 999) / 1000 : 0;
    return left_ms < 60000 ? (int)left_ms : 60000;
}

static bool check_polling(struct http *http, struct err *err) {
    if (http->poll_err.code == ERR_NONE) {
        return true;
    }
    *err = http->poll_err;
    http->poll_err = (struct err){0};
    return false;
}

/*
 * libcurl's timer: also what makes a request that was just begun go out. It writes each of them by
 * itself, over HTTP/2 even head and body: where they share one connection, those that were begun
 * together go together (0.7 to 0.9 of the time).
 */
void http_push(struct http *http) {
    int running;
    if (http->timer_due_us < 0 || clock_monotonic_us(http->options.sys) < http->timer_due_us) {
        return;
    }
    int shared_fd = http->begun_count > 1 && http->open_count == 1 ? http->open_fd : -1;
    http->begun_count = 0;
    http->timer_due_us = -1;
    if (shared_fd >= 0) {
        net_hold(http->options.sys, shared_fd);
    }
    (void)curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    if (shared_fd >= 0 && http->sockets[shared_fd].is_ours) { /* else it was closed meanwhile */
        net_let_go(http->options.sys, shared_fd);
    }
}

static void act_on(struct http *http, const struct poller_ready *ready) {
    int running;
    int mask = (ready->can_read ? CURL_CSELECT_IN : 0) | (ready->can_write ? CURL_CSELECT_OUT : 0) |
               (ready->has_failed ? CURL_CSELECT_ERR : 0);
    if ((size_t)ready->fd < http->sockets_count && !http->sockets[ready->fd].is_wanted) {
        socket_forget(http, ready->fd); /* closed by the other side, between two requests */
        return;
    }
    (void)curl_multi_socket_action(http->multi, ready->fd, mask, &running);
}

bool http_wait(struct http *http, int64_t until_us, struct err *err) {
    struct poller_ready ready[POLLER_READY_MAX];
    size_t ready_count;
    int64_t due_us = until_us;
    http_push(http);
    collect_done(http);
    if (http->timer_due_us >= 0 && http->timer_due_us < due_us) {
        due_us = http->timer_due_us;
    }
    int timeout_ms =
        http->done_first != NULL ? 0 : wait_ms(clock_monotonic_us(http->options.sys), due_us);
    if (!poller_wait(&http->poller, timeout_ms, ready, &ready_count, err)) {
        return false;
    }
    for (size_t index = 0; index < ready_count; index++) {
        act_on(http, &ready[index]);
    }
    collect_done(http);
    return check_polling(http, err);
}

struct http_call *http_next_done(struct http *http) {
    struct http_transfer *transfer = http->done_first;
    if (transfer == NULL) {
        return NULL;
    }
    http->done_first = transfer->next;
    if (http->done_first == NULL) {
        http->done_last = NULL;
    }
    return &transfer->call;
}

void http_finish(struct http *http, struct http_call *call) {
    call->transfer->next = http->free_list;
    http->free_list = call->transfer;
}

size_t http_in_flight(const struct http *http) {
    return http->in_flight;
}
