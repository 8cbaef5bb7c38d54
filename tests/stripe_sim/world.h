/*
 * The account at Stripe (and at Dodo) that the simulator plays: customers, subscriptions, items,
 * invoices, meter events, idempotency keys, and a clock that the test moves. All of it is JSON, so
 * that the test can have it dumped. One world at a time; world_reset makes a new one.
 *
 * Objects stand in collections in the order of their making; lists show the newest first.
 */
#ifndef PERIODCLOSE_TESTS_STRIPE_SIM_WORLD_H
#define PERIODCLOSE_TESTS_STRIPE_SIM_WORLD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { WORLD_KEY_MAX = 128, IDEMPOTENCY_KEY_MAX = 255 };

struct collection {
    json_t *list;  /* array, in the order of making */
    json_t *by_id; /* id to the same object */
};

struct world {
    uint64_t generation; /* of the n-th world */
    uint64_t seed;
    char key[WORLD_KEY_MAX]; /* the only API key that is accepted */
    int64_t clock_offset_us;
    int64_t key_life_us;
    int64_t key_slack_us;               /* every other key lives longer, by up to that */
    char refused_metric[WORLD_KEY_MAX]; /* no item or line of it is taken; empty: none */
    uint64_t ids_count;
    struct collection customers;
    struct collection subscriptions;
    struct collection items;
    struct collection invoices;
    struct collection meter_events;
    struct collection dodo_events;
    struct collection meters; /* Dodo's */
    json_t *items_of;         /* customer to array of items, in the order of making */
    json_t *lines_of;         /* invoice to array of lines */
    json_t *keys;             /* idempotency key to what was asked and answered */
    json_t *calls;            /* "POST /v1/invoiceitems 200" to a count */
};

struct world *world_create(void);
void world_destroy(struct world *world);
/* Empties everything; the generation goes up. */
void world_reset(struct world *world, uint64_t seed, const char *key);

int64_t world_now_us(const struct world *world);
int64_t world_now_s(const struct world *world);
bool world_is_live(const struct world *world);

/* "ii_" and 24 digits; the same for the same seed and count. */
json_t *world_new_id(struct world *world, const char *prefix);

/* Takes over the reference. */
void collection_add(struct collection *collection, json_t *object);
json_t *collection_find(const struct collection *collection, const char *id); /* or NULL */
void collection_remove(struct collection *collection, const char *id);

void world_add_item(struct world *world, json_t *item);
void world_remove_item(struct world *world, const char *id);
/* Borrowed; an array, empty when there is none. */
json_t *world_items_of(struct world *world, const char *customer);
json_t *world_lines_of(struct world *world, const char *invoice);

/* Everything, for the test. New reference. */
json_t *world_dump(const struct world *world);

/* Text of a field; "" when it is not there or null. */
const char *field_text(const json_t *object, const char *name);
int64_t field_integer(const json_t *object, const char *name);
/* Running out of memory ends the simulator. */
json_t *must(json_t *value);

#endif
