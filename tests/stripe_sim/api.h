/*
 * What Stripe and Dodo answer. api_answer takes a whole request and does what they would do with
 * it, in their order: who asks (401), version, route (404), limits (429), idempotency key (replay,
 * 400, 409), parameters (400, not kept), the work, and keeping the answer under its key.
 *
 * Where the facts leave it open, the simulator is the stricter one: it refuses what Stripe might
 * perhaps accept, so that nothing depends on it.
 */
#ifndef PERIODCLOSE_TESTS_STRIPE_SIM_API_H
#define PERIODCLOSE_TESTS_STRIPE_SIM_API_H

#include "core/text.h"
#include "stripe_sim/world.h"

/* What the answer is to be in place of the true one. */
enum trouble {
    TROUBLE_NONE,
    TROUBLE_500_BEFORE,  /* nothing done, but the answer is kept under the key */
    TROUBLE_500_AFTER,   /* done, and the answer kept under the key is a 500 */
    TROUBLE_409,         /* another request holds a lock: nothing done, not kept */
    TROUBLE_429_LIMITED, /* with Stripe-Rate-Limited-Reason: nothing done, not kept */
    TROUBLE_429_LOCKED,  /* without it, code lock_timeout */
    TROUBLE_401,
    TROUBLE_402, /* kept under the key */
    TROUBLE_403,
};

struct request {
    uint64_t number; /* of the exchange; tells whose a running key is */
    const char *method;
    const char *path;
    struct text query;
    struct text body;
    const char *authorization;   /* or NULL */
    const char *idempotency_key; /* or NULL */
    const char *version;         /* or NULL */
    enum trouble trouble;
    char id[256];   /* from the path; set by api_answer */
    json_t *params; /* set by api_answer */
};

enum { ANSWER_HEADERS_MAX = 4 };

struct answer {
    int status;
    json_t *body; /* owned */
    struct {
        const char *name; /* constant */
        char value[64];
    } headers[ANSWER_HEADERS_MAX];
    size_t headers_count;
};

struct api;

/* folder holds the schemas. NULL, after a message on stderr, when they cannot be read. */
struct api *api_create(const char *folder);
void api_destroy(struct api *api);

/* The largest number of requests in one second; 0: no limit. Also empties the windows. */
void api_set_limits(struct api *api, size_t per_endpoint, size_t per_account);

void api_answer(struct api *api, struct world *world, struct request *request,
                struct answer *answer);
void answer_release(struct answer *answer);

/* Marks the request's key as being worked on, so that a second one meets 409. */
void api_start(struct world *world, const struct request *request);

/* --- for the files that do the work --- */

/* Fills answer with an error and returns false. code and param may be NULL. */
bool answer_refuse(struct answer *answer, int status, const char *code, const char *param,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
void answer_header(struct answer *answer, const char *name, const char *value);

/* The text of a parameter; NULL when it was not given. */
const char *param_text(const json_t *params, const char *name);
bool param_integer(const json_t *params, const char *name, int64_t *value); /* false: not given */
bool param_is_true(const json_t *params, const char *name, bool otherwise);
bool metadata_accepts(const json_t *params, const char *name, struct answer *answer);
/* What a new object's metadata is; {} when none was given. New reference. */
json_t *metadata_of(const json_t *params, const char *name);

/*
 * One page of candidates (an array in the order of making), newest first, of those that `wanted`
 * keeps; honours limit, starting_after and ending_before.
 */
bool answer_page(struct answer *answer, const json_t *params, const json_t *candidates,
                 bool (*wanted)(const json_t *object, const json_t *params), const char *url);
/* True when value fits the parameter `created`, an integer or a range. */
bool created_fits(const json_t *params, int64_t value);

bool create_item(struct world *world, const struct request *request, struct answer *answer);
bool list_items(struct world *world, const struct request *request, struct answer *answer);
bool show_item(struct world *world, const struct request *request, struct answer *answer);
bool delete_item(struct world *world, const struct request *request, struct answer *answer);
bool create_invoice(struct world *world, const struct request *request, struct answer *answer);
bool list_invoices(struct world *world, const struct request *request, struct answer *answer);
bool show_invoice(struct world *world, const struct request *request, struct answer *answer);
bool delete_invoice(struct world *world, const struct request *request, struct answer *answer);
bool finalize_invoice(struct world *world, const struct request *request, struct answer *answer);
bool add_lines(struct world *world, const struct request *request, struct answer *answer);
bool list_lines(struct world *world, const struct request *request, struct answer *answer);
bool preview_invoice(struct world *world, const struct request *request, struct answer *answer);
bool show_customer(struct world *world, const struct request *request, struct answer *answer);
bool list_subscriptions(struct world *world, const struct request *request, struct answer *answer);
bool show_subscription(struct world *world, const struct request *request, struct answer *answer);
bool create_meter_event(struct world *world, const struct request *request, struct answer *answer);
bool ingest_events(struct world *world, const struct request *request, struct answer *answer);
bool show_event(struct world *world, const struct request *request, struct answer *answer);
bool list_events(struct world *world, const struct request *request, struct answer *answer);
bool list_dodo_subscriptions(struct world *world, const struct request *request,
                             struct answer *answer);
bool show_dodo_subscription(struct world *world, const struct request *request,
                            struct answer *answer);
bool show_meter(struct world *world, const struct request *request, struct answer *answer);

/* Stripe's rules for an amount of a currency: known, in range, a multiple of its increment. */
bool amount_accepts(int64_t amount, const char *currency, struct answer *answer);
/* quantity (default 1) times unit amount, in minor units. */
bool amount_of_price(const json_t *params, const json_t *unit_params, int64_t *amount,
                     struct answer *answer);
/* A draft invoice of that customer with room for `more`, or a refusal. */
json_t *draft_for(struct world *world, const char *id, const char *customer, size_t more,
                  struct answer *answer);
/* Or a refusal: of the metric that the test wants to be refused. */
bool world_takes_metric(const struct world *world, const json_t *params, struct answer *answer);
/* Puts an item on an invoice as a line, and totals anew. */
void invoice_attach(struct world *world, json_t *invoice, json_t *item);
/* An item that is deleted leaves its invoice, too. */
void invoice_forget_item(struct world *world, const char *id);
void invoice_drop_line(struct world *world, json_t *invoice,
                       bool is_last); /* or the first; with its item */
json_t *invoice_new(struct world *world, const char *customer, const char *currency);
enum { INVOICE_LINES_MAX = 250 };

#endif
