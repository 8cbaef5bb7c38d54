/*
 * Prices: how a metric's events become a quantity (aggregation) and how an overage quantity becomes
 * an amount (model). DESIGN.md sections 2 and 3.
 *
 * One table each for the aggregations and the models; a row is the whole declaration (name, flow or
 * level, what a price of it needs). Parsers, reports, help and tests walk them.
 */
#ifndef PERIODCLOSE_RATING_PRICE_H
#define PERIODCLOSE_RATING_PRICE_H

#include "core/decimal.h"

enum aggregation {
    AGGREGATION_SUM,
    AGGREGATION_COUNT,
    AGGREGATION_MAX,
    AGGREGATION_LAST,
    AGGREGATION_UNIQUE,
    AGGREGATION_TIME_WEIGHTED,
    AGGREGATIONS_COUNT,
};

struct aggregation_row {
    const char *name;
    bool is_level; /* else a flow */
};

extern const struct aggregation_row aggregation_table[AGGREGATIONS_COUNT];

bool aggregation_find(struct text name, enum aggregation *aggregation);

enum model {
    MODEL_PER_UNIT,
    MODEL_GRADUATED,
    MODEL_VOLUME,
    MODEL_PACKAGE,
    MODELS_COUNT,
};

struct tier {
    bool is_open; /* the last one: no upper bound */
    struct decimal up_to;
    struct decimal unit_price;
    struct decimal flat_price;
};

/* Tiers are in ascending order, the last one open; none for models without tiers. */
struct price {
    enum aggregation aggregation;
    enum model model;
    struct decimal included;
    bool has_hard_limit;
    struct decimal hard_limit;
    struct decimal unit_price;   /* per_unit, package */
    struct decimal package_size; /* package; above zero */
    const struct tier *tiers;    /* graduated, volume */
    size_t tiers_count;
};

struct charge;
struct charge_lines;

struct model_row {
    const char *name;
    bool needs_unit_price;
    bool needs_package_size;
    bool needs_tiers;
    /* Adds the exact cost of quantity (> 0) to *cost; lines may be NULL. False: does not fit. */
    bool (*cost)(const struct price *price, struct decimal quantity, struct exact *cost,
                 struct charge_lines *lines);
};

extern const struct model_row model_table[MODELS_COUNT];

bool model_find(struct text name, enum model *model);

#endif
