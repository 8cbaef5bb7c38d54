/*
 * Recomputation: every charge once more, by sums as they are done at school, for `verify`.
 *
 * The second opinion on money: whole numbers are rows of decimal digits, added, subtracted,
 * multiplied and divided digit by digit. Nothing here calls core/decimal.h, core/wide.h or the
 * arithmetic of this module, so that a mistake there cannot hide here; only the types that say what
 * is to be computed are shared. Rules: DESIGN.md section 3.
 *
 * A number counts 10^-15 units like a decimal and is never negative: what may be (a day's sum, a
 * level) is gathered on two sides, see recompute_flow. Numbers of decimals have at most 39 digits,
 * their products 78; nothing the rules ask for gets near RECOMPUTE_DIGITS_MAX (asserted).
 */
#ifndef PERIODCLOSE_RATING_RECOMPUTE_H
#define PERIODCLOSE_RATING_RECOMPUTE_H

#include "core/arena.h"
#include "rating/price.h"

enum { RECOMPUTE_DIGITS_MAX = 120, RECOMPUTE_TEXT_MAX = RECOMPUTE_DIGITS_MAX + 8 };

struct recompute_number {
    unsigned count;                       /* no zeros on top; zero has none */
    uint8_t digits[RECOMPUTE_DIGITS_MAX]; /* least significant first; beyond count undefined */
};

/* The size of value; its sign is told apart. */
struct recompute_number recompute_read(struct decimal value, bool *is_negative);
bool recompute_is(const struct recompute_number *number, struct decimal value);
/* Does it fit into a decimal? */
bool recompute_fits(const struct recompute_number *number);
/* As a decimal, in full. Returns the length. */
size_t recompute_format(const struct recompute_number *value, char text[RECOMPUTE_TEXT_MAX]);

void recompute_add(struct recompute_number *sum, const struct recompute_number *addend);

/* --- charges ------------------------------------------------------------------------------------
 */

struct recompute_tier {
    bool is_open;
    struct recompute_number up_to;
    struct recompute_number unit_price;
    struct recompute_number flat_price;
};

/* A price in digits: made once, used for all of its orgs. */
struct recompute_price {
    enum model model;
    struct recompute_number included;
    bool has_hard_limit;
    struct recompute_number hard_limit;
    struct recompute_number unit_price;
    struct recompute_number package_size;
    const struct recompute_tier *tiers;
    size_t tiers_count;
};

/* ERR_CONTROL for a price that no rule allows: something negative, no open tier at the end. */
bool recompute_price_load(struct recompute_price *loaded, const struct price *price,
                          struct arena *arena, struct err *err);

struct recompute_terms {
    const struct recompute_price *price;
    const struct recompute_number *soft_limit; /* the org's own; NULL: none */
    const struct recompute_number *hard_limit;
    const struct recompute_number *increment; /* the currency's billing increment, above zero */
};

struct recompute_charge {
    struct recompute_number limit;
    struct recompute_number overage;
    struct recompute_number blocked;
    struct recompute_number exact_cost; /* half away to 15 decimals */
    struct recompute_number uncapped_cost;
};

/* One tier of a graduated or volume charge. */
struct recompute_line {
    size_t tier; /* index into the price's tiers */
    struct recompute_number quantity;
    struct recompute_number amount; /* half away to 15 decimals */
};

struct recompute_lines {
    size_t count;
    struct recompute_line *lines; /* room for price->tiers_count, given by the caller */
};

/* lines are added to (start with a count of zero), and may be NULL. */
void recompute_charge(const struct recompute_terms *terms, const struct recompute_number *usage,
                      struct recompute_charge *charge, struct recompute_lines *lines);

/* One metric of an org under its cap. */
struct recompute_capped {
    struct text metric;
    struct recompute_number uncapped_cost; /* a multiple of the increment */
    struct recompute_number cost;          /* out */
    struct recompute_number rest;          /* of the fair share; the function's own */
    size_t place;                          /* in the caller's order; the function's own */
};

/* The cap by largest remainder, ties by the metric's bytes. The order of costs[] is kept. */
void recompute_cap(struct recompute_capped *costs, size_t costs_count,
                   const struct recompute_number *cap, const struct recompute_number *increment);

/* --- quantities ---------------------------------------------------------------------------------
 */

/* A sum of numbers of either sign. */
struct recompute_flow {
    struct recompute_number more;
    struct recompute_number less;
};
void recompute_flow_add(struct recompute_flow *flow, struct decimal value);
void recompute_flow_add_count(struct recompute_flow *flow, int64_t count); /* whole units */
/* more - less; zero when that is negative. */
struct recompute_number recompute_flow_quantity(const struct recompute_flow *flow);

/* A number of either sign. */
struct recompute_signed {
    bool is_negative; /* false for zero */
    struct recompute_number size;
};
struct recompute_signed recompute_flow_signed(const struct recompute_flow *flow);
bool recompute_signed_is(const struct recompute_signed *number, struct decimal value);

/*
 * The average level: shares are level x time / period, in floored units, and what was left over
 * (checkpoint.h, levels). Half away.
 */
struct recompute_average {
    struct recompute_flow shares;
    struct recompute_number left_over; /* plain whole numbers */
};
void recompute_average_add(struct recompute_average *average, struct decimal share,
                           int64_t left_over);
struct recompute_signed recompute_average_net(const struct recompute_average *average,
                                              int64_t period_us);

/* --- trends -------------------------------------------------------------------------------------
 */

struct recompute_series {
    enum aggregation aggregation;
    const struct recompute_flow *days; /* days_count, each of either sign */
    size_t days_count;
    size_t next_days_count;
    size_t days_with_data;
    struct decimal current;
};

/*
 * The line through the days by the textbook's normal equations (rating/trend.h centres its days and
 * uses other formulas), and the next period's quantity. Source: the project's issue 2,
 * "Projection".
 */
struct recompute_trend {
    bool has_line;                      /* else there are no sums of the days */
    struct recompute_signed day_sum;    /* of y */
    struct recompute_signed day_moment; /* of (2x - days_count + 1) y */
    bool has_slope;                     /* slope and growth fit into decimals */
    struct recompute_signed slope_per_day;
    struct recompute_signed growth_30_days;
    bool has_r_squared;
    struct recompute_number r_squared;
    bool has_projected;
    struct recompute_number projected;
};

void recompute_trend(const struct recompute_series *series, struct recompute_trend *trend);

/* (current - previous) / |previous|, half away to 6 decimals; previous is not zero. */
struct recompute_signed recompute_change(struct decimal current, struct decimal previous);

#endif
