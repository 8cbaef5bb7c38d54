/* Charges, caps and quantities once more. */
#include "rating/recompute.h"

#include <assert.h>
#include <stdlib.h>

#include "recompute_digits.h"

/* --- charges ------------------------------------------------------------------------------------
 */

static bool read_positive(struct decimal value, struct recompute_number *result, struct err *err) {
    bool is_negative;
    *result = recompute_read(value, &is_negative);
    return !is_negative ||
           err_set(err, ERR_CONTROL, "a price, a tier or a limit below zero is sealed");
}

static bool load_tiers(struct recompute_price *loaded, const struct price *price,
                       struct arena *arena, struct err *err) {
    struct recompute_tier *tiers = arena_alloc_array(arena, price->tiers_count, sizeof *tiers, err);
    if (tiers == NULL) {
        return false;
    }
    for (size_t index = 0; index < price->tiers_count; index++) {
        tiers[index].is_open = price->tiers[index].is_open;
        if (!read_positive(price->tiers[index].up_to, &tiers[index].up_to, err) ||
            !read_positive(price->tiers[index].unit_price, &tiers[index].unit_price, err) ||
            !read_positive(price->tiers[index].flat_price, &tiers[index].flat_price, err)) {
            return false;
        }
    }
    bool ends_open = price->tiers_count > 0 && tiers[price->tiers_count - 1].is_open;
    for (size_t index = 0; index + 1 < price->tiers_count; index++) {
        bool is_below = index + 2 == price->tiers_count ||
                        number_compare(&tiers[index].up_to, &tiers[index + 1].up_to) < 0;
        ends_open = ends_open && !tiers[index].is_open && is_below;
    }
    bool needs_tiers = price->model == MODEL_GRADUATED || price->model == MODEL_VOLUME;
    if (needs_tiers && !ends_open) {
        return err_set(err, ERR_CONTROL, "tiers that do not ascend to one open tier are sealed");
    }
    loaded->tiers = tiers;
    loaded->tiers_count = price->tiers_count;
    return true;
}

bool recompute_price_load(struct recompute_price *loaded, const struct price *price,
                          struct arena *arena, struct err *err) {
    *loaded =
        (struct recompute_price){.model = price->model, .has_hard_limit = price->has_hard_limit};
    if (!read_positive(price->included, &loaded->included, err) ||
        !read_positive(price->hard_limit, &loaded->hard_limit, err) ||
        !read_positive(price->unit_price, &loaded->unit_price, err) ||
        !read_positive(price->package_size, &loaded->package_size, err)) {
        return false;
    }
    if (price->model == MODEL_PACKAGE && loaded->package_size.count == 0) {
        return err_set(err, ERR_CONTROL, "a package of size zero is sealed");
    }
    return load_tiers(loaded, price, arena, err);
}

/* amount counts 10^-30: quantity x price, both in units. */
static void add_product(struct recompute_number *amount, const struct recompute_number *quantity,
                        const struct recompute_number *price) {
    struct recompute_number product = number_multiply(quantity, price);
    recompute_add(amount, &product);
}

static void add_flat(struct recompute_number *amount, const struct recompute_number *flat_price) {
    struct recompute_number flat = number_shift(flat_price, UNIT_PLACES);
    recompute_add(amount, &flat);
}

/* What one tier adds, told when it is asked for. */
static void add_line(struct recompute_number *amount, struct recompute_lines *lines,
                     size_t tier_index, const struct recompute_tier *tier,
                     const struct recompute_number *part) {
    static const struct recompute_number one = {.count = 1, .digits = {1}};
    struct recompute_number exact = {.count = 0};
    add_product(&exact, part, &tier->unit_price);
    add_flat(&exact, &tier->flat_price);
    recompute_add(amount, &exact);
    if (lines != NULL) {
        struct recompute_number unit = number_shift(&one, UNIT_PLACES);
        lines->lines[lines->count++] = (struct recompute_line){
            .tier = tier_index,
            .quantity = *part,
            .amount = number_divide_half_away(&exact, &unit),
        };
    }
}

/* Each tier's part of the quantity, from the bottom up. */
static struct recompute_number cost_graduated(const struct recompute_price *price,
                                              const struct recompute_number *quantity,
                                              struct recompute_lines *lines) {
    struct recompute_number amount = {.count = 0};
    struct recompute_number below = {.count = 0}; /* the upper bound of the tier before */
    for (size_t index = 0; index < price->tiers_count; index++) {
        const struct recompute_tier *tier = &price->tiers[index];
        bool is_last = tier->is_open || number_compare(quantity, &tier->up_to) <= 0;
        struct recompute_number part = number_subtract(is_last ? quantity : &tier->up_to, &below);
        add_line(&amount, lines, index, tier, &part);
        if (is_last) {
            break;
        }
        below = tier->up_to;
    }
    return amount;
}

/* The whole quantity at the price of the tier it falls in. */
static struct recompute_number cost_volume(const struct recompute_price *price,
                                           const struct recompute_number *quantity,
                                           struct recompute_lines *lines) {
    struct recompute_number amount = {.count = 0};
    size_t index = 0;
    while (!price->tiers[index].is_open &&
           number_compare(quantity, &price->tiers[index].up_to) > 0) {
        index++;
    }
    add_line(&amount, lines, index, &price->tiers[index], quantity);
    return amount;
}

/* A package begun is a package sold. */
static struct recompute_number cost_package(const struct recompute_price *price,
                                            const struct recompute_number *quantity) {
    static const struct recompute_number one = {.count = 1, .digits = {1}};
    struct recompute_number rest;
    struct recompute_number packages = number_divide(quantity, &price->package_size, &rest);
    if (rest.count > 0) {
        recompute_add(&packages, &one);
    }
    struct recompute_number amount = number_multiply(&packages, &price->unit_price);
    return number_shift(&amount, UNIT_PLACES);
}

/* Counts 10^-30; quantity above zero. */
static struct recompute_number cost_of(const struct recompute_price *price,
                                       const struct recompute_number *quantity,
                                       struct recompute_lines *lines) {
    switch (price->model) {
    case MODEL_PER_UNIT:
        return number_multiply(quantity, &price->unit_price);
    case MODEL_GRADUATED:
        return cost_graduated(price, quantity, lines);
    case MODEL_VOLUME:
        return cost_volume(price, quantity, lines);
    case MODEL_PACKAGE:
        return cost_package(price, quantity);
    case MODELS_COUNT:
        break;
    }
    assert(false && "a price has a model");
    abort();
}

void recompute_charge(const struct recompute_terms *terms, const struct recompute_number *usage,
                      struct recompute_charge *charge, struct recompute_lines *lines) {
    static const struct recompute_number one = {.count = 1, .digits = {1}};
    const struct recompute_price *price = terms->price;
    const struct recompute_number *hard_limit = terms->hard_limit;
    if (hard_limit == NULL && price->has_hard_limit) {
        hard_limit = &price->hard_limit;
    }
    *charge = (struct recompute_charge){.limit = terms->soft_limit != NULL ? *terms->soft_limit
                                                                           : price->included};
    const struct recompute_number *billable = usage;
    if (hard_limit != NULL && number_compare(usage, hard_limit) > 0) {
        charge->blocked = number_subtract(usage, hard_limit);
        billable = hard_limit;
    }
    if (number_compare(billable, &charge->limit) <= 0) {
        return; /* no overage costs nothing */
    }
    charge->overage = number_subtract(billable, &charge->limit);
    struct recompute_number exact = cost_of(price, &charge->overage, lines);
    struct recompute_number unit = number_shift(&one, UNIT_PLACES);
    struct recompute_number increment = number_shift(terms->increment, UNIT_PLACES);
    charge->exact_cost = number_divide_half_away(&exact, &unit);
    struct recompute_number increments = number_divide_half_away(&exact, &increment);
    charge->uncapped_cost = number_multiply(&increments, terms->increment);
}

/* The largest rest first; ties by the bytes of the metric. */
static int capped_compare(const void *left, const void *right) {
    const struct recompute_capped *a = left;
    const struct recompute_capped *b = right;
    int order = number_compare(&b->rest, &a->rest);
    return order != 0 ? order : text_compare(a->metric, b->metric);
}

static int place_compare(const void *left, const void *right) {
    const struct recompute_capped *a = left;
    const struct recompute_capped *b = right;
    return (a->place > b->place) - (a->place < b->place);
}

void recompute_cap(struct recompute_capped *costs, size_t costs_count,
                   const struct recompute_number *cap, const struct recompute_number *increment) {
    static const struct recompute_number one = {.count = 1, .digits = {1}};
    struct recompute_number rest;
    struct recompute_number total = {.count = 0};
    for (size_t index = 0; index < costs_count; index++) {
        costs[index].place = index;
        costs[index].cost = costs[index].uncapped_cost;
        recompute_add(&total, &costs[index].uncapped_cost);
    }
    if (number_compare(&total, cap) <= 0) {
        return;
    }
    /* In increments: share = cost x cap / total, and the increments that nobody got. */
    struct recompute_number left_over = number_divide(cap, increment, &rest);
    for (size_t index = 0; index < costs_count; index++) {
        struct recompute_number increments =
            number_divide(&costs[index].uncapped_cost, increment, &rest);
        struct recompute_number product = number_multiply(&increments, cap);
        costs[index].cost = number_divide(&product, &total, &costs[index].rest);
        left_over = number_subtract(&left_over, &costs[index].cost);
    }
    qsort(costs, costs_count, sizeof *costs, capped_compare);
    for (size_t index = 0; index < costs_count; index++) {
        if (left_over.count > 0) {
            recompute_add(&costs[index].cost, &one);
            left_over = number_subtract(&left_over, &one);
        }
        costs[index].cost = number_multiply(&costs[index].cost, increment);
    }
    qsort(costs, costs_count, sizeof *costs, place_compare);
}

/* --- quantities ---------------------------------------------------------------------------------
 */

void recompute_flow_add(struct recompute_flow *flow, struct decimal value) {
    bool is_negative;
    struct recompute_number size = recompute_read(value, &is_negative);
    recompute_add(is_negative ? &flow->less : &flow->more, &size);
}

void recompute_flow_add_count(struct recompute_flow *flow, int64_t count) {
    struct recompute_number whole = number_from(count < 0 ? -(uint128)count : (uint128)count);
    struct recompute_number size = number_shift(&whole, UNIT_PLACES);
    recompute_add(count < 0 ? &flow->less : &flow->more, &size);
}

struct recompute_number recompute_flow_quantity(const struct recompute_flow *flow) {
    if (number_compare(&flow->more, &flow->less) <= 0) {
        return (struct recompute_number){.count = 0};
    }
    return number_subtract(&flow->more, &flow->less);
}

void recompute_average_add(struct recompute_average *average, struct decimal share,
                           int64_t left_over) {
    recompute_flow_add(&average->shares, share);
    assert(left_over >= 0);
    struct recompute_number rest = number_from((uint128)left_over);
    recompute_add(&average->left_over, &rest);
}

struct recompute_signed recompute_average_net(const struct recompute_average *average,
                                              int64_t period_us) {
    assert(period_us > 0);
    struct recompute_number period = number_from((uint128)period_us);
    struct recompute_flow area = {
        .more = number_multiply(&average->shares.more, &period),
        .less = number_multiply(&average->shares.less, &period),
    };
    recompute_add(&area.more, &average->left_over);
    struct recompute_signed net = recompute_flow_signed(&area);
    net.size = number_divide_half_away(&net.size, &period);
    net.is_negative = net.is_negative && net.size.count > 0;
    return net;
}
