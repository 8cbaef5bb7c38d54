/*
 * Charges: from usage to cents, for one (org, metric), and the cap over one org.
 *
 * limit = the org's soft limit or, without one, the price's included units.
 * overage = max(0, min(usage, hard limit) - limit); blocked = max(0, usage - hard limit).
 * exact = the model's exact sum of products over the overage (zero overage costs nothing).
 * uncapped_cost = exact rounded once, half away from zero, to the currency's billing increment.
 * Source: DESIGN.md section 3. ERR_RANGE when a product or a sum does not fit; nothing wraps.
 */
#ifndef PERIODCLOSE_RATING_CHARGE_H
#define PERIODCLOSE_RATING_CHARGE_H

#include "core/arena.h"
#include "core/money.h"
#include "rating/price.h"

/* An org's own limits for a metric, over the price's. */
struct limits {
    bool has_soft_limit;
    bool has_hard_limit;
    struct decimal soft_limit;
    struct decimal hard_limit;
};

struct charge {
    struct decimal limit;
    bool has_hard_limit;
    struct decimal hard_limit;
    struct decimal overage;
    struct decimal blocked;
    struct exact exact;
    struct decimal exact_cost;    /* exact, half away to 15 decimals: shown and totalled */
    struct decimal uncapped_cost; /* exact, rounded once to the billing increment */
};

/* The tiers a charge went through. amount is exact: quantity x unit_price + flat_price. */
struct charge_line {
    size_t tier; /* index into price->tiers */
    struct decimal quantity;
    struct exact amount;
};

enum { CHARGE_LINES_MAX = 1024 }; /* tiers of one price at most; sources refuse more */

struct charge_lines {
    size_t lines_count;
    struct charge_line *lines; /* room for price->tiers_count, given by the caller */
};

/* The org's soft limit or, without one, the price's included units. limits may be NULL. */
struct decimal charge_limit(const struct price *price, const struct limits *limits);

/* usage >= 0 (asserted). limits and lines may be NULL. */
bool charge_rate(const struct price *price, const struct limits *limits, struct decimal usage,
                 const struct currency *currency, struct charge *charge, struct charge_lines *lines,
                 struct err *err);

/* One metric of an org under its cap. */
struct capped_cost {
    struct text metric;
    struct decimal uncapped_cost; /* a multiple of the increment, >= 0 */
    struct decimal cost;          /* out */
};

/*
 * When the uncapped costs add up to more than cap, reduces them pro rata in billing increments by
 * largest remainder (ties: metric by bytes), so that the costs add up to cap exactly; else cost =
 * uncapped_cost. The order of costs[] does not matter. cap is a multiple of the increment, >= 0.
 */
bool charge_cap(struct capped_cost *costs, size_t costs_count, struct decimal cap,
                const struct currency *currency, struct arena *arena, struct err *err);

#endif
