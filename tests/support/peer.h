/*
 * The other side of a connection, and a clock, for tests of what speaks HTTP: a server on loopback
 * that lives in the thread that is tested. It works whenever the tested code waits for its sockets
 * (poll_wait of peer_sys): it reads what came, asks the test what to answer, and answers. When
 * nobody has anything to do, the clock jumps to where the wait would end, so that pauses of minutes
 * take no time and what happens when is the same in every run.
 *
 *     struct peer peer;
 *     peer_open(&peer, answer, context);
 *     … peer.base as the address, &peer.sys as the system …
 *     peer_close(&peer);
 *
 * It stops the program when it fails. libcurl's own time limits go by the real clock.
 */
#ifndef PERIODCLOSE_TESTS_SUPPORT_PEER_H
#define PERIODCLOSE_TESTS_SUPPORT_PEER_H

#include "core/text.h"
#include "sys/sys.h"

enum { PEER_LINES_MAX = 64, PEER_ADDRESS_MAX = 40 };

struct peer_request {
    size_t number;    /* from 1 on */
    size_t waiting;   /* how many others wait for their answers */
    int64_t at_us;    /* of the clock */
    const char *head; /* request line and headers, as they came */
    const char *body;
};

enum peer_end {
    PEER_KEEPS,  /* the connection stays open */
    PEER_CLOSES, /* after what was said */
    PEER_RESETS, /* the same, rudely: what was said may be lost */
};

struct peer_answer {
    struct buffer text; /* of the whole answer; nothing: silence, and then the end */
    int64_t after_us;   /* of the clock */
    enum peer_end end;
};

struct peer_line {
    int fd; /* -1: free */
    struct buffer came;
    bool is_waiting; /* the answer is due at due_us */
    int64_t due_us;
    struct peer_answer answer;
    size_t said_bytes; /* of it */
};

struct peer {
    struct sys sys;
    char base[PEER_ADDRESS_MAX]; /* http://127.0.0.1:PORT */
    int64_t clock_us;            /* monotonic; wall clock: on top of PEER_EPOCH_US */
    int64_t slept_us;            /* the machine did: only the clock for ages went on */
    void (*answer)(void *context, const struct peer_request *request, struct peer_answer *answer);
    void *context;
    int listener;
    size_t requests_count;
    size_t connections_count;
    struct peer_line lines[PEER_LINES_MAX];
};

#define PEER_EPOCH_US INT64_C(1793491200000000) /* 2026-11-01T00:00:00Z */

void peer_open(struct peer *peer,
               void (*answer)(void *context, const struct peer_request *request,
                              struct peer_answer *answer),
               void *context);
void peer_close(struct peer *peer);
/* No connection is taken from here on. */
void peer_refuse(struct peer *peer);
void peer_accept(struct peer *peer); /* again, at the same address */

/* A whole answer: headers are lines that end in "\r\n", or "". */
void peer_say(struct peer_answer *answer, int status, const char *headers, const char *body);
/* The value of a header of the request, and of a field of a form (decoded), "" when it is not
 * there. */
void peer_header(const struct peer_request *request, const char *name, char *value, size_t size);
void peer_field(const char *form, const char *name, char *value, size_t size);

#endif
