#include "emit/client.h"

#include <assert.h>
#include <stdio.h>

#include "answer.h"
#include "core/memory.h"
#include "reach.h"
#include "sys/clock.h"
#include "sys/process.h"

enum { CLIENT_TRIES_MAX = 6, CLIENT_DELAY_MS_MAX = 8000, MINUTE_US = 60000000 };

struct client {
    struct client_options options;
    struct http *http;
    struct reach reach;
    bool keeps_connecting;
    int64_t next_us; /* when the next request may go */
    uint64_t random;
    uint64_t requests;
};

bool client_create(const struct client_options *options, struct client **client, struct err *err) {
    *client = NULL;
    struct client *made = mem_alloc(sizeof *made);
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    *made =
        (struct client){.options = *options, .random = (uint64_t)clock_now(options->sys).us | 1};
    made->reach.options = (struct reach_options){.sys = options->sys,
                                                 .base = options->base,
                                                 .base_name = options->dialect == DIALECT_DODO
                                                                  ? "DODO_PAYMENTS_API_BASE"
                                                                  : "STRIPE_API_BASE",
                                                 .deadline_us = options->deadline_us,
                                                 .note = options->note,
                                                 .note_context = options->note_context};
    struct http_options http_options = {.sys = options->sys,
                                        .base = options->base,
                                        .secret = options->secret,
                                        .version = options->version,
                                        .content_type = options->content_type,
                                        .in_flight_max = 1,
                                        .timeout_ms = options->timeout_ms};
    if (!http_create(&http_options, &made->http, err)) {
        mem_free(made);
        return false;
    }
    *client = made;
    return true;
}

void client_destroy(struct client *client) {
    if (client != NULL) {
        http_destroy(client->http);
        mem_free(client);
    }
}

void client_reply_release(struct client_reply *reply) {
    json_decref(reply->object);
    *reply = (struct client_reply){0};
}

const char *client_text(const json_t *object, const char *name) {
    return object_text(object, name);
}

void client_keep_connecting(struct client *client, bool keeps_connecting) {
    client->keeps_connecting = keeps_connecting;
}

uint64_t client_requests(const struct client *client) {
    return client->requests;
}

/* --- time ---------------------------------------------------------------------------------------
 */

static bool client_check(const struct client *client, struct err *err) {
    return reach_check_time(&client->reach, clock_monotonic_us(client->options.sys), err);
}

static bool client_pause(struct client *client, int64_t until_us, struct err *err) {
    int64_t now_us = clock_monotonic_us(client->options.sys);
    while (now_us < until_us) {
        int64_t step_us = until_us - now_us < 500000 ? until_us - now_us : 500000;
        if (!client_check(client, err) || !http_wait(client->http, now_us + step_us, err)) {
            return false;
        }
        now_us = clock_monotonic_us(client->options.sys);
    }
    return true;
}

/* Evenly, so that going on after a stop is no burst. */
static bool client_keep_pace(struct client *client, struct err *err) {
    if (client->options.per_minute == 0) {
        return client_check(client, err);
    }
    int64_t interval_us = (MINUTE_US + client->options.per_minute - 1) / client->options.per_minute;
    if (!client_pause(client, client->next_us, err)) {
        return false;
    }
    client->next_us = clock_monotonic_us(client->options.sys) + interval_us;
    return client_check(client, err);
}

/* Doubling from the first delay, between half and all of it. */
static int64_t client_delay_us(struct client *client, unsigned tries) {
    int64_t delay_us = client->options.retry_delay_ms * 1000;
    int64_t max_us = (int64_t)CLIENT_DELAY_MS_MAX * 1000;
    for (unsigned done = 1; done < tries && delay_us < max_us; done++) {
        delay_us *= 2;
    }
    delay_us = delay_us < max_us ? delay_us : max_us;
    client->random ^= client->random << 13;
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    return delay_us / 2 + (int64_t)(client->random % (uint64_t)(delay_us / 2 + 1));
}

bool client_rest(struct client *client, unsigned tries, struct err *err) {
    return client_pause(
        client, clock_monotonic_us(client->options.sys) + client_delay_us(client, tries), err);
}

/* --- one request --------------------------------------------------------------------------------
 */

struct client_request {
    struct text path;
    struct text body;
    bool is_post;
};

/* One exchange, whatever comes of it. The call is the caller's to finish. */
static bool client_exchange(struct client *client, const struct client_request *request,
                            struct http_call **call, struct err *err) {
    if (!client_keep_pace(client, err)) {
        return false;
    }
    *call = http_begin(client->http);
    assert(*call != NULL); /* one at a time */
    (*call)->is_post = request->is_post;
    client->requests++;
    if (!buffer_append(&(*call)->url, request->path, err) ||
        !buffer_append(&(*call)->body, request->body, err) ||
        !http_send(client->http, *call, err)) {
        return false;
    }
    while (http_next_done(client->http) == NULL) {
        int64_t until_us = clock_monotonic_us(client->options.sys) + 500000;
        /* A request under way is bounded by its own time limit; a signal need not wait for it. */
        if (!interrupt_check(err) || !http_wait(client->http, until_us, err)) {
            return false;
        }
    }
    return true;
}

static bool client_bad_key(const struct client *client, const struct judgement *judgement,
                           struct err *err) {
    if (judgement->is_untrusted) {
        const char *who = client->options.dialect == DIALECT_DODO ? "Dodo" : "Stripe";
        return answer_untrusted(who, judgement, err);
    }
    (void)err_set(err, ERR_REFUSED, "%s does not take the API key: %s",
                  client->options.dialect == DIALECT_DODO ? "Dodo" : "Stripe", judgement->detail);
    return err_hint(err, "check %s, then type the same command again", client->options.secret_name);
}

/* No answer, or one that will be another one later: asking again does no harm. */
static bool client_may_pass(int status) {
    return status == 0 || status == 408 || status == 409 || status >= 500;
}

/* What is to be done with an answer: true when it is one to give back. */
static bool client_settles(const struct client_request *request, enum verdict verdict,
                           unsigned tries, int status, enum client_fate *fate) {
    switch (verdict) {
    case VERDICT_DONE:
        *fate = CLIENT_DONE;
        return true;
    case VERDICT_REFUSED:
    case VERDICT_OTHER_CONTENT:
        *fate = status == 404 ? CLIENT_NOT_THERE : CLIENT_REFUSED;
        return true;
    case VERDICT_NOT_DONE:
        *fate = CLIENT_NOT_SENT;
        return tries >= CLIENT_TRIES_MAX;
    case VERDICT_TOO_MUCH: /* until the deadline */
        return false;
    case VERDICT_UNSURE:
    case VERDICT_KEPT_FAILURE:
    case VERDICT_BAD_KEY:
        break;
    }
    *fate = CLIENT_UNSURE;
    return request->is_post || (tries >= CLIENT_TRIES_MAX && !client_may_pass(status));
}

/* Connections that do not come about are tried on here; then there is an answer, or its lack. */
static bool client_reach(struct client *client, const struct client_request *request,
                         struct http_call **call, struct err *err) {
    for (unsigned misses = 1;; misses++) {
        if (!client_exchange(client, request, call, err)) {
            return false;
        }
        if ((*call)->answer.fate != HTTP_NOT_SENT || !client->keeps_connecting) {
            return true;
        }
        reach_missed(&client->reach, (*call)->answer.problem);
        http_finish(client->http, *call);
        if (!client_rest(client, misses, err)) {
            return false;
        }
    }
}

static bool client_ask(struct client *client, const struct client_request *request,
                       struct client_reply *reply, struct err *err) {
    *reply = (struct client_reply){0};
    for (unsigned tries = 1;; tries++) {
        struct http_call *call;
        struct judgement judgement;
        if (!client_reach(client, request, &call, err)) {
            return false;
        }
        if (client->options.dialect == DIALECT_DODO) {
            answer_judge_flat(&call->answer, &judgement);
        } else {
            answer_judge(&call->answer, &judgement);
        }
        int64_t pause_us = client_delay_us(client, tries);
        if (call->answer.retry_after_us > pause_us) {
            pause_us = call->answer.retry_after_us;
        }
        bool is_bad_key = judgement.verdict == VERDICT_BAD_KEY;
        bool is_settled =
            client_settles(request, judgement.verdict, tries, call->answer.status, &reply->fate);
        reply->status = call->answer.status;
        memcpy(reply->request_id, call->answer.request_id, sizeof reply->request_id);
        memcpy(reply->detail, judgement.detail, sizeof reply->detail);
        reply->object = json_incref(judgement.object);
        http_finish(client->http, call);
        if (is_bad_key) {
            (void)client_bad_key(client, &judgement, err);
        }
        judgement_release(&judgement);
        if (is_bad_key) {
            return false;
        }
        if (is_settled || judgement.verdict == VERDICT_TOO_MUCH) {
            reach_made(&client->reach);
        } else {
            reach_failed(&client->reach, reply->detail);
        }
        if (is_settled) {
            return true;
        }
        client_reply_release(reply);
        if (!client_pause(client, clock_monotonic_us(client->options.sys) + pause_us, err)) {
            return false;
        }
    }
}

bool client_get(struct client *client, struct text path, struct client_reply *reply,
                struct err *err) {
    return client_ask(client, &(struct client_request){.path = path, .body = text_from("")}, reply,
                      err);
}

bool client_post(struct client *client, struct text path, struct text body,
                 struct client_reply *reply, struct err *err) {
    return client_ask(client, &(struct client_request){.path = path, .body = body, .is_post = true},
                      reply, err);
}
