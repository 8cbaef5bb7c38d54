/*
 * Invoice items: what is put on a customer's bill for one record, and what it is known by.
 *
 * An item's key is the digest of (org, metric, period, revision): the first 16 bytes of the SHA-256
 * of these four, each with its length before it. It stands in the metadata and never changes; the
 * Idempotency-Key is the key and the number of the attempt. The body of an attempt depends on the
 * item and on where it goes alone; its digest is journaled, so that a body that came out different
 * is never sent under an old key.
 *
 * Texts belong to the caller.
 */
#ifndef PERIODCLOSE_EMIT_ITEM_H
#define PERIODCLOSE_EMIT_ITEM_H

#include "core/digest.h"
#include "core/instant.h"
#include "core/money.h"

enum {
    EMIT_KEY_BYTES = 16,
    EMIT_KEY_TEXT_MAX = 33,
    EMIT_IDEMPOTENCY_MAX = 48,
    EMIT_ITEMS_PER_INVOICE_MAX = 250,
    EMIT_METADATA_VALUE_MAX = 500, /* Stripe counts characters; bytes are never fewer */
};

#define EMIT_AMOUNT_MAX INT64_C(999999999999) /* Stripe: up to 12 digits */

struct emit_key {
    unsigned char bytes[EMIT_KEY_BYTES];
};

struct emit_item {
    struct emit_key key;
    struct text org_id;
    struct text metric;
    const char *period; /* YYYY-MM */
    struct text unit;   /* label of the metric's unit; empty: none */
    int64_t revision;
    const struct currency *currency;
    struct decimal billed;
    int64_t amount; /* billed in Stripe's minor units */
    struct decimal overage;
    struct decimal limit;
    struct decimal unit_price;
    const char *run_id;  /* that recorded it; NULL: the one that sends it */
    bool is_by_quantity; /* sent as quantity and unit amount, which give `amount` exactly */
    struct instant period_start;
    struct instant period_end; /* exclusive; Stripe's is inclusive */
};

/* Where an item goes. */
enum emit_place {
    PLACE_SUBSCRIPTION,
    PLACE_INVOICE,
    PLACE_CUSTOMER,
    PLACE_METER, /* no invoice item, but an event of a meter */
    PLACE_LINES, /* a line of an invoice, added with others by one request */
    PLACES_COUNT,
};

struct emit_target {
    struct text customer;
    enum emit_place place;
    struct text place_id; /* of the subscription or invoice */
    const char *run_id;
    bool is_discountable;
};

bool emit_key_of(struct text org_id, struct text metric, const char *period, int64_t revision,
                 struct emit_key *key, struct err *err);
void emit_key_format(const struct emit_key *key, char text[EMIT_KEY_TEXT_MAX]);
bool emit_key_parse(struct text text, struct emit_key *key); /* exactly 32 lower-case hex digits */
void emit_idempotency_format(const struct emit_key *key, unsigned attempt,
                             char text[EMIT_IDEMPOTENCY_MAX]);

/*
 * Whether quantity and unit price give the billed amount to the last digit, within Stripe's 12
 * decimals; sets is_by_quantity.
 */
void emit_item_use_quantity(struct emit_item *item);
/* ERR_RANGE when the amount is none of Stripe's. Sets amount. */
bool emit_item_set_amount(struct emit_item *item, struct err *err);
/*
 * What a customer reads on the bill: "tokens: 250,000 over 500,000 included, October 2026", or
 * "… 250,000, none included, …"; of a revision with " (correction 1: credit)", or ": difference".
 */
bool emit_item_describe(const struct emit_item *item, struct buffer *text, struct err *err);
/*
 * The form for POST /v1/invoiceitems, into body (cleared first). For PLACE_METER, the one for POST
 * /v1/billing/meter_events: the item key is its identifier, its value the amount in Stripe's minor
 * units, its name "overage.METRIC", its time the last second of the period.
 */
bool emit_item_body(const struct emit_item *item, const struct emit_target *target,
                    struct buffer *body, struct err *err);

/*
 * One of the lines for POST /v1/invoices/ID/add_lines, added to body: of an item that is not sent
 * by quantity. Their key is the digest of the sorted item keys; at most EMIT_LINES_PER_CALL_MAX go
 * in one request (Stripe names no bound but that of an invoice).
 */
enum { EMIT_LINES_PER_CALL_MAX = EMIT_ITEMS_PER_INVOICE_MAX };
bool emit_lines_key(const struct emit_key *keys, size_t count, struct emit_key *key,
                    struct err *err);
bool emit_line_body(const struct emit_item *item, size_t index, const struct emit_target *target,
                    struct buffer *body, struct err *err);

#endif
