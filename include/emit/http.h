/*
 * HTTP: requests side by side over few connections (libcurl's multi interface).
 *
 *     http_create(&options, &http, err)
 *     struct http_call *call = http_begin(http)      NULL: all are in use
 *     fill call->url (behind the base), body, idempotency_key, owner
 *     http_send(http, call, err)
 *     http_wait(http, until_us, err)                 until one is done, or until then
 *     while ((call = http_next_done(http)) != NULL) { … call->answer …; http_finish(http, call); }
 *     http_destroy(http)
 *
 * TLS is always verified; redirects are not followed; plain http goes to this very machine only
 * (ERR_USAGE). Proxies and authorities come from the usual environment (HTTPS_PROXY, NO_PROXY,
 * CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR). Connections are kept; HTTP/2 where it is offered.
 * The secret goes into one header and is neither logged nor part of any error. One thread.
 */
#ifndef PERIODCLOSE_EMIT_HTTP_H
#define PERIODCLOSE_EMIT_HTTP_H

#include "core/text.h"
#include "sys/sys.h"

enum { HTTP_IN_FLIGHT_MAX = 256, HTTP_KEY_MAX = 48, HTTP_REQUEST_ID_MAX = 80 };

struct http_options {
    const struct sys *sys;
    const char *base;    /* "https://api.stripe.com", without a slash at its end */
    const char *secret;  /* goes out as: Authorization: Bearer SECRET */
    const char *version; /* Stripe-Version; NULL: none */
    const char *content_type;
    size_t in_flight_max;
    int64_t timeout_ms; /* of one request */
};

enum http_fate {
    HTTP_ANSWERED,
    HTTP_NOT_SENT,  /* no connection: nobody saw the request */
    HTTP_LOST,      /* it may have arrived */
    HTTP_UNTRUSTED, /* TLS: the other side is not who it should be; nothing was sent */
};

struct http_answer {
    enum http_fate fate;
    int status;
    struct buffer body;
    char request_id[HTTP_REQUEST_ID_MAX];
    bool is_replayed;
    bool has_should_retry;
    bool should_retry;
    bool is_rate_limited;   /* the limiter says so, and not a lock */
    int64_t retry_after_us; /* 0: not given */
    char problem[200];      /* when there is no answer */
};

struct http_call {
    struct buffer url;  /* "/v1/invoiceitems?…" */
    struct buffer body; /* of a POST */
    bool is_post;
    char idempotency_key[HTTP_KEY_MAX]; /* empty: none */
    void *owner;
    struct http_answer answer;
    struct http_transfer *transfer; /* the module's own */
};

struct http;

/* https, or plain http to this machine: what http_create asks for. ERR_USAGE. */
bool http_check_base(const char *base, struct err *err);
bool http_create(const struct http_options *options, struct http **http, struct err *err);
void http_destroy(struct http *http); /* NULL is fine; what is under way is given up */

struct http_call *http_begin(struct http *http);
bool http_send(struct http *http, struct http_call *call, struct err *err);
/* What was begun goes out now, and not with the next wait. */
void http_push(struct http *http);
bool http_wait(struct http *http, int64_t until_us, struct err *err);
struct http_call *http_next_done(struct http *http);
void http_finish(struct http *http, struct http_call *call);
size_t http_in_flight(const struct http *http);

#endif
