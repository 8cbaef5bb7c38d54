/*
 * Inside of the client of http:
 *
 *   http.c           the requests under way: begun, waited for, given back
 *   http_transfer.c  one request: what libcurl is told of it, what it reads of the answer
 */
#ifndef PERIODCLOSE_SRC_EMIT_HTTP_INTERNAL_H
#define PERIODCLOSE_SRC_EMIT_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "emit/http.h"
#include "sys/net.h"

struct http_transfer {
    struct http_call call; /* what the caller sees */
    struct http *http;
    CURL *easy;
    CURLU *address;      /* taken apart once, and not for each request anew */
    struct buffer asked; /* the url it is of */
    struct curl_slist *plain_headers;
    struct curl_slist *keyed_headers; /* the last one is the Idempotency-Key */
    char *key_header;                 /* its text, in the list */
    bool has_no_memory;
    struct http_transfer *next; /* in the list of free or of done ones */
};

/*
 * A socket, by its number. libcurl forgets it after each request and asks for it again with the
 * next, nearly always for the same: so what is being watched stays watched, and is only forgotten
 * when something happens that libcurl does not wait for, or when it is closed. Sockets that libcurl
 * opens without asking us it also closes without telling: those are forgotten at once.
 */
struct http_socket {
    int watched; /* CURL_POLL_IN, CURL_POLL_OUT or both; CURL_POLL_NONE: not watched */
    bool is_wanted;
    bool is_ours;
};

struct http {
    struct http_options options;
    CURLM *multi;
    struct poller poller;
    struct http_socket *sockets;
    size_t sockets_count;
    int64_t timer_due_us; /* -1: none */
    size_t open_count;    /* sockets that we opened */
    int open_fd;          /* the last of them */
    size_t begun_count;   /* requests since the last push */
    struct err poll_err;  /* of a callback; told by the next wait */
    size_t in_flight;
    size_t transfers_count;
    struct http_transfer *transfers;
    struct http_transfer *free_list;
    struct http_transfer *done_first;
    struct http_transfer *done_last;
};

/* http.c. A socket was opened through us; is about to be closed. */
void http_note_socket(struct http *http, curl_socket_t fd);
void http_forget_socket(struct http *http, curl_socket_t fd);

/* http_transfer.c */
/* Puts it into the list of free ones. What it made of a failed one goes with transfer_release. */
bool transfer_init(struct http_transfer *transfer, struct http *http, bool is_loopback,
                   struct err *err);
void transfer_release(struct http_transfer *transfer);
/* Where it goes: base and the call's url. */
bool transfer_address(struct http_transfer *transfer, struct err *err);
/* The header that goes with a request that has a key. */
void transfer_write_key(struct http_transfer *transfer, const char *key);

#endif
