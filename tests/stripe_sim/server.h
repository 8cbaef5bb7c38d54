/*
 * The HTTP server: libmicrohttpd in one thread, an epoll loop of ours, and all that can go wrong on
 * a wire. Listens on loopback, on ports that the OS chooses: plain, and TLS when a certificate is
 * given. Control (control.h) comes in on stdin, a JSON object a line, and on POST /_control.
 */
#ifndef PERIODCLOSE_TESTS_STRIPE_SIM_SERVER_H
#define PERIODCLOSE_TESTS_STRIPE_SIM_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "stripe_sim/faults.h"

struct server_options {
    const char *schemas;     /* folder */
    const char *certificate; /* PEM text, or NULL: no TLS */
    const char *private_key;
    int64_t seconds_max; /* it ends by itself after that */
    bool reads_stdin;    /* ends with it, too */
};

struct server_stats {
    uint64_t requests;
    uint64_t connections;
    uint64_t overlaps; /* a customer had two requests at once */
};

struct server {
    struct api *api;
    struct world *world;
    struct faults faults;
    struct server_stats stats;
    bool is_fast;      /* answers items with a canned text and keeps nothing */
    bool is_recording; /* keeps what was asked, for the test to read */
    bool is_stopping;
    json_t *recorded; /* array */
    int client;       /* pidfd of the client that may be killed, or -1 */
    int64_t refuse_until_us;
};

/* Prints "port N" and "tls-port N" and serves until the end; the exit status. */
int server_run(const struct server_options *options);

/* Before it is answered, everything sent until now must have been carried out. */
bool control_moves_time(const json_t *command);
/* One control command; the answer is {"ok": true, …} or {"ok": false, "error": …}. */
json_t *control_answer(struct server *server, const json_t *command);

int64_t server_now_us(void); /* monotonic */
/* From here on, and for so long, no connection is taken. */
void server_refuse(struct server *server, int64_t for_us);

#endif
