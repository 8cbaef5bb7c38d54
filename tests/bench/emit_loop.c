/*
 * The yardstick of sending: a plain loop of libcurl's multi interface over epoll that posts as many
 * forms as told, so many at once, and throws the answers away. No journal, no retries, no checks.
 *
 *     emit_loop BASE COUNT IN_FLIGHT
 *
 * Form and headers are as long as those of an invoice item, and differ where those differ: an
 * Idempotency-Key that is new each time is what costs HTTP/2 its table of headers. Exits with 1
 * when an answer is no 200.
 */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 64, URL_MAX = 256, BODY_MAX = 1024, KEY_DIGITS = 32 };

static const char key_header[] = "Idempotency-Key: 0123456789abcdef0123456789abcdef-00001";

struct loop {
    CURLM *multi;
    int poll_fd;
    int64_t timer_due_us; /* -1: none */
    const char *base;
    unsigned long sent;
    unsigned long count;
    unsigned long refused;
};

struct sending {
    CURL *easy;
    struct curl_slist *headers;
    char *key; /* the digits of the Idempotency-Key, in the last of the headers */
    char body[BODY_MAX];
};

static void fail(const char *what) {
    fprintf(stderr, "emit_loop: %s\n", what);
    exit(2);
}

static int64_t now_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
    struct loop *loop = context;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(loop->poll_fd, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                   (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (epoll_ctl(loop->poll_fd, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0) {
        (void)epoll_ctl(loop->poll_fd, EPOLL_CTL_MOD, fd, &event);
    }
    (void)curl_multi_assign(loop->multi, fd, loop);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context) {
    struct loop *loop = context;
    (void)multi;
    loop->timer_due_us = timeout_ms < 0 ? -1 : now_us() + (int64_t)timeout_ms * 1000;
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes;
    (void)context;
    return size * count;
}

static void sending_start(struct loop *loop, struct sending *sending) {
    char url[URL_MAX];
    char digits[KEY_DIGITS + 1];
    unsigned long number = ++loop->sent;
    (void)snprintf(url, sizeof url, "%s/v1/invoiceitems", loop->base);
    (void)snprintf(sending->body, sizeof sending->body,
                   "customer=%032lu-00001&amount=1234&currency=usd&discountable=false"
                   "&description=tokens%%3A%%201%%2C234%%20over%%200%%20included%%2C%%20October"
                   "%%202026&period[start]=1790812800&period[end]=1793491199"
                   "&metadata[item_key]=%032lu"
                   "&metadata[run_id]=0123456789abcdef0123456789abcdef&metadata[org_id]=org%lu"
                   "&metadata[metric]=tokens&metadata[period]=2026-10&metadata[quantity]=1234"
                   "&metadata[revision]=1&subscription=sub_%lu",
                   number, number, number, number);
    (void)snprintf(digits, sizeof digits, "%032lu", number * 2654435761UL);
    memcpy(sending->key, digits, KEY_DIGITS);
    (void)curl_easy_setopt(sending->easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(sending->easy, CURLOPT_POSTFIELDS, sending->body);
    if (curl_multi_add_handle(loop->multi, sending->easy) != CURLM_OK) {
        fail("libcurl cannot begin a request");
    }
}

static struct sending *sending_new(void) {
    struct sending *sending = calloc(1, sizeof *sending);
    if (sending == NULL || (sending->easy = curl_easy_init()) == NULL) {
        fail("no memory");
    }
    static const char *const lines[] = {"Authorization: Bearer sk_test_51yardstick0000000000000000",
                                        "Stripe-Version: 2026-07-29.dahlia",
                                        "Content-Type: application/x-www-form-urlencoded",
                                        "Expect:", key_header};
    for (size_t line = 0; line < sizeof lines / sizeof lines[0]; line++) {
        sending->headers = curl_slist_append(sending->headers, lines[line]);
    }
    struct curl_slist *last = sending->headers;
    while (last->next != NULL) {
        last = last->next;
    }
    sending->key = last->data + sizeof "Idempotency-Key: " - 1;
    CURL *easy = sending->easy;
    const char *authorities = getenv("CURL_CA_BUNDLE");
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, sending->headers);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    (void)curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, sending);
    if (authorities != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, authorities);
    }
    return sending;
}

static void collect(struct loop *loop, unsigned long *done) {
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
        struct sending *sending = NULL;
        long status = 0;
        bool is_fine = message->data.result == CURLE_OK;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &sending);
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        loop->refused += is_fine && status == 200 ? 0 : 1;
        (void)curl_multi_remove_handle(loop->multi, sending->easy);
        *done += 1;
        if (loop->sent < loop->count) {
            sending_start(loop, sending);
        }
    }
}

static void turn(struct loop *loop) {
    struct epoll_event events[EVENTS_MAX];
    int running;
    int64_t left_us = loop->timer_due_us < 0 ? 1000000 : loop->timer_due_us - now_us();
    int wait_ms = left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
    int count = epoll_wait(loop->poll_fd, events, EVENTS_MAX, wait_ms);
    for (int index = 0; index < count; index++) {
        int mask = (events[index].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                   (events[index].events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
        (void)curl_multi_socket_action(loop->multi, events[index].data.fd, mask, &running);
    }
    if (loop->timer_due_us >= 0 && now_us() >= loop->timer_due_us) {
        loop->timer_due_us = -1;
        (void)curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: emit_loop BASE COUNT IN_FLIGHT\n", stderr);
        return 2;
    }
    struct loop loop = {.base = argv[1], .count = strtoul(argv[2], NULL, 10), .timer_due_us = -1};
    unsigned long in_flight = strtoul(argv[3], NULL, 10);
    unsigned long done = 0;
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    loop.multi = curl_multi_init();
    loop.poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop.multi == NULL || loop.poll_fd < 0) {
        fail("no memory");
    }
    (void)curl_multi_setopt(loop.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(loop.multi, CURLMOPT_SOCKETDATA, &loop);
    (void)curl_multi_setopt(loop.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(loop.multi, CURLMOPT_TIMERDATA, &loop);
    (void)curl_multi_setopt(loop.multi, CURLMOPT_MAXCONNECTS, (long)in_flight + 4);
    for (unsigned long index = 0; index < in_flight && loop.sent < loop.count; index++) {
        sending_start(&loop, sending_new());
    }
    while (done < loop.count) {
        turn(&loop);
        collect(&loop, &done);
    }
    if (loop.refused > 0) {
        fprintf(stderr, "emit_loop: %lu of %lu were not answered with 200\n", loop.refused,
                loop.count);
    }
    return loop.refused > 0 ? 1 : 0;
}
