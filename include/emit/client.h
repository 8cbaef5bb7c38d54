/*
 * A client of a JSON API that is asked one thing after the other: Dodo, and lists of Stripe.
 *
 *     client_create(&options, &client, err)
 *     struct client_reply reply = {0};
 *     client_get(client, text_from("/events/evt_1"), &reply, err)
 *     … reply.fate, reply.object … client_reply_release(&reply);
 *     client_destroy(client)
 *
 * Keeps a pace of so many requests a minute, obeys 429 and Retry-After, and tries again, with
 * pauses, what nobody saw or what was asked only: a question that got no answer, a 429 or a 5xx
 * until the deadline; a server that cannot be reached a few times, or until the deadline, as the
 * caller says. A POST that may have been carried out is given
 * back as CLIENT_UNSURE at once: the caller knows how to find out. Errors, where nobody may go on:
 * the key is not taken (ERR_REFUSED), a signal or the deadline (ERR_INTERRUPTED).
 */
#ifndef PERIODCLOSE_EMIT_CLIENT_H
#define PERIODCLOSE_EMIT_CLIENT_H

#include <jansson.h>

#include "emit/http.h"

enum client_dialect {
    DIALECT_STRIPE, /* {"error":{"type","code","message"}} */
    DIALECT_DODO,   /* {"code","message"} */
};

struct client_options {
    const struct sys *sys;
    const char *base;
    const char *secret;
    const char *secret_name; /* of the environment: "DODO_PAYMENTS_API_KEY" */
    const char *version;     /* Stripe-Version; NULL: none */
    const char *content_type;
    enum client_dialect dialect;
    unsigned per_minute; /* 0: no bound */
    int64_t timeout_ms;
    int64_t retry_delay_ms;
    int64_t deadline_us; /* monotonic; 0: none */
    /* For people: the other side cannot be reached, and that it can be again. NULL: nobody. */
    void (*note)(void *context, const char *text);
    void *note_context;
};

enum client_fate {
    CLIENT_DONE,      /* 2xx with a JSON object */
    CLIENT_NOT_THERE, /* 404, in the API's own words */
    CLIENT_REFUSED,   /* a definite no: nothing was done */
    CLIENT_NOT_SENT,  /* nobody saw it, however often it was tried; not if it is tried on */
    CLIENT_UNSURE, /* a POST that may have been carried out; a GET whose answers are not the API's
                    */
};

struct client_reply {
    enum client_fate fate;
    int status;     /* of HTTP; 0: no answer */
    json_t *object; /* owned; of CLIENT_DONE */
    char request_id[HTTP_REQUEST_ID_MAX];
    char detail[240]; /* of the others, for people */
};

struct client;

bool client_create(const struct client_options *options, struct client **client, struct err *err);
void client_destroy(struct client *client); /* NULL is fine */

/* path: behind the base, with its query. The reply is filled anew; release it. */
bool client_get(struct client *client, struct text path, struct client_reply *reply,
                struct err *err);
bool client_post(struct client *client, struct text path, struct text body,
                 struct client_reply *reply, struct err *err);
void client_reply_release(struct client_reply *reply);
/* Whether a connection is tried until the deadline: while something is sent, not to look only. */
void client_keep_connecting(struct client *client, bool keeps_connecting);
/* The pause before the next try of a caller that tries again itself. */
bool client_rest(struct client *client, unsigned tries, struct err *err);

/* The text of a field, "" when it is not there or no text. */
const char *client_text(const json_t *object, const char *name);

uint64_t client_requests(const struct client *client);

#endif
