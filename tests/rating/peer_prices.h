/*
 * The cases of the peers: their parameters, and those of them that are prices. See
 * peer_cases_test.c.
 */
#ifndef PERIODCLOSE_TESTS_RATING_PEER_PRICES_H
#define PERIODCLOSE_TESTS_RATING_PEER_PRICES_H

#include "numbers.h"

#include <jansson.h>

#include "rating/charge.h"

enum { PEER_TIERS_MAX = 8, TEXT_MAX = 256 };

struct peer_case {
    const char *id;
    const char *model;
    const char *currency;
    const char *usage;
    const char *expected;
    const char *unit;
    const json_t *params;
    const char *without; /* a parameter to leave out of account, or NULL */
};

/* --- parameters --------------------------------------------------------------------------------
 */

/* NULL when it is not there, null, or to be left out. Never a number: those may have lost digits.
 */
static inline const char *param(const struct peer_case *peer, const json_t *object,
                                const char *name) {
    const json_t *value = json_object_get(object, name);
    if (value == NULL || json_is_null(value) ||
        (peer->without != NULL && strcmp(peer->without, name) == 0)) {
        return NULL;
    }
    assert_true(json_is_string(value));
    return json_string_value(value);
}

static inline struct decimal param_decimal(const struct peer_case *peer, const json_t *object,
                                           const char *name) {
    const char *text = param(peer, object, name);
    return text == NULL ? DECIMAL_ZERO : dec(text);
}

/* Whether every parameter is one of the names, a list with spaces around each. */
static inline bool params_are_known(const struct peer_case *peer, const json_t *object,
                                    const char *names) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value) {
        char spaced[TEXT_MAX];
        snprintf(spaced, sizeof spaced, " %s ", name);
        bool is_left_out = peer->without != NULL && strcmp(peer->without, name) == 0;
        assert_false(json_is_real(value));
        if (strstr(names, spaced) == NULL && !is_left_out) {
            return false;
        }
    }
    return true;
}

static inline const struct currency *peer_currency(const struct peer_case *peer) {
    const struct currency *currency = currency_find(text_from(peer->currency));
    if (currency == NULL) {
        fail_msg("%s: no currency '%s'", peer->id, peer->currency);
    }
    return currency;
}

/* --- prices ------------------------------------------------------------------------------------
 */

struct peer_price {
    struct price price;
    struct tier tiers[PEER_TIERS_MAX];
};

static inline void read_tiers(const struct peer_case *peer, const json_t *array,
                              struct peer_price *read) {
    size_t count = json_array_size(array);
    assert_in_range(count, 1, PEER_TIERS_MAX);
    for (size_t tier = 0; tier < count; tier++) {
        const json_t *row = json_array_get(array, tier);
        const char *up_to = param(peer, row, "up_to");
        assert_true(params_are_known(peer, row, " up_to unit flat "));
        read->tiers[tier] = (struct tier){
            .is_open = up_to == NULL,
            .up_to = up_to == NULL ? DECIMAL_ZERO : dec(up_to),
            .unit_price = param_decimal(peer, row, "unit"),
            .flat_price = param_decimal(peer, row, "flat"),
        };
    }
    read->price.tiers = read->tiers;
    read->price.tiers_count = count;
}

static inline bool read_price(const struct peer_case *peer, const char *model, const json_t *object,
                              struct peer_price *read) {
    *read = (struct peer_price){.price = {.included = param_decimal(peer, object, "free")}};
    if (!model_find(text_from(model), &read->price.model)) {
        return false;
    }
    const char *round = param(peer, object, "round");
    switch (read->price.model) {
    case MODEL_PER_UNIT:
        read->price.unit_price = param_decimal(peer, object, "unit");
        if (param(peer, object, "divide") != NULL) {
            /* Usage in whole thousands, begun ones counted, is a package of a thousand. */
            assert_string_equal(param(peer, object, "unit_round"), "ceil");
            read->price.model = MODEL_PACKAGE;
            read->price.package_size = param_decimal(peer, object, "divide");
        }
        return true;
    case MODEL_PACKAGE:
        read->price.unit_price = param_decimal(peer, object, "price");
        read->price.package_size = param_decimal(peer, object, "size");
        return round == NULL || strcmp(round, "up") == 0;
    case MODEL_GRADUATED:
    case MODEL_VOLUME:
        read_tiers(peer, json_object_get(object, "tiers"), read);
        return param(peer, object, "divide") == NULL;
    case MODELS_COUNT:
        break;
    }
    return false;
}

static inline struct charge rate(const struct peer_case *peer, const struct peer_price *read,
                                 struct decimal usage) {
    struct err err = {0};
    struct charge charge;
    assert_true(charge_rate(&read->price, NULL, usage, peer_currency(peer), &charge, NULL, &err));
    return charge;
}

/* A maximum spend is our cap with one metric under it. */
static inline struct decimal capped(const struct peer_case *peer, const json_t *object,
                                    struct decimal uncapped) {
    const char *most = param(peer, object, "max");
    if (most == NULL) {
        return uncapped;
    }
    struct err err = {0};
    struct arena *arena = arena_create(&err);
    assert_non_null(arena);
    struct capped_cost cost = {.metric = text_from("usage"), .uncapped_cost = uncapped};
    assert_true(charge_cap(&cost, 1, dec(most), peer_currency(peer), arena, &err));
    arena_destroy(arena);
    return cost.cost;
}

static inline void write_amount(const struct peer_case *peer, struct decimal amount, char *ours) {
    if (strcmp(peer->unit, "minor") == 0) {
        int64_t minor;
        assert_true(money_to_minor(amount, peer_currency(peer), &minor));
        snprintf(ours, TEXT_MAX, "%lld", (long long)minor);
        return;
    }
    decimal_format(amount, ours);
}

/* Billed for usage after what was billed before: cost - previous cost, as between revisions. */
static inline void write_billed(const struct peer_case *peer, const json_t *object,
                                const struct peer_price *read, struct decimal usage,
                                const char *prior_quantity, char *ours) {
    struct decimal billed = capped(peer, object, rate(peer, read, usage).uncapped_cost);
    struct decimal previous = param_decimal(peer, object, "prior_billed");
    if (prior_quantity != NULL) {
        struct decimal before =
            capped(peer, object, rate(peer, read, dec(prior_quantity)).uncapped_cost);
        assert_true(decimal_is_zero(previous) || previous.units <= before.units);
        previous = param(peer, object, "prior_billed") != NULL ? previous : before;
    }
    assert_true(decimal_subtract(billed, previous, &billed));
    write_amount(peer, billed, ours);
}

#define PRICE_PARAMS                                                                               \
    " tiers zero_usage_bills_first_flat unit free size price round divide unit_round max "

static inline bool compute_price(const struct peer_case *peer, char *ours) {
    struct peer_price read;
    if (!params_are_known(peer, peer->params,
                          PRICE_PARAMS " prior_quantity prior_billed prior_flat_billed ") ||
        !read_price(peer, peer->model, peer->params, &read)) {
        return false;
    }
    const char *prior_quantity = param(peer, peer->params, "prior_quantity");
    const char *round = param(peer, peer->params, "round");
    bool is_rounded = round != NULL && round[0] >= '0' && round[0] <= '9';
    bool is_minor = strcmp(peer->unit, "minor") == 0;
    struct decimal usage = dec(peer->usage);
    if (is_rounded || is_minor || prior_quantity != NULL ||
        param(peer, peer->params, "prior_billed") != NULL ||
        param(peer, peer->params, "max") != NULL) {
        struct decimal prior = param_decimal(peer, peer->params, "prior_quantity");
        assert_true(decimal_add(usage, prior, &usage));
        write_billed(peer, peer->params, &read, usage, prior_quantity, ours);
    } else {
        decimal_format(rate(peer, &read, usage).exact_cost, ours); /* not rounded to money there */
    }
    return true;
}

static inline bool compute_delta(const struct peer_case *peer, char *ours) {
    const json_t *price = json_object_get(peer->params, "price");
    struct peer_price read;
    if (!params_are_known(peer, peer->params, " price already_rated_quantity ") ||
        !params_are_known(peer, price, PRICE_PARAMS " model ") ||
        !read_price(peer, param(peer, price, "model"), price, &read)) {
        return false;
    }
    const char *prior_quantity = param(peer, peer->params, "already_rated_quantity");
    write_billed(peer, price, &read, dec(peer->usage), prior_quantity, ours);
    return true;
}

/* One tier of a graduated price, by its line. */
static inline bool compute_one_range(const struct peer_case *peer, char *ours) {
    const json_t *is_adjacent = json_object_get(peer->params, "adjacent");
    struct decimal from = param_decimal(peer, peer->params, "from");
    if (!params_are_known(peer, peer->params, " from to unit flat adjacent ") ||
        (!json_is_true(is_adjacent) && !decimal_is_zero(from))) {
        return false; /* ranges of whole numbers, 1 to 10, 11 to 20: we have no gaps */
    }
    struct peer_price read = {.price = {.model = MODEL_GRADUATED, .tiers_count = 3}};
    read.price.tiers = read.tiers;
    read.tiers[0].up_to = from;
    read.tiers[1] = (struct tier){
        .up_to = param_decimal(peer, peer->params, "to"),
        .unit_price = param_decimal(peer, peer->params, "unit"),
        .flat_price = param_decimal(peer, peer->params, "flat"),
    };
    read.tiers[2].is_open = true;
    struct err err = {0};
    struct charge charge;
    struct charge_line room[3];
    struct charge_lines lines = {.lines = room};
    assert_true(charge_rate(&read.price, NULL, dec(peer->usage), peer_currency(peer), &charge,
                            &lines, &err));
    for (size_t line = 0; line < lines.lines_count; line++) {
        struct decimal amount;
        if (room[line].tier == 1) {
            assert_true(exact_round_to_decimal(room[line].amount, &amount));
            decimal_format(amount, ours);
            return true;
        }
    }
    fail_msg("%s: the range was not used", peer->id);
    return false;
}

/* Included units are used up in order: what a split adds to the overage. */
static inline bool compute_included(const struct peer_case *peer, char *ours) {
    if (!params_are_known(peer, peer->params, " free prior_quantity ")) {
        return false;
    }
    struct peer_price read = {.price = {.included = param_decimal(peer, peer->params, "free")}};
    struct decimal prior = param_decimal(peer, peer->params, "prior_quantity");
    struct decimal usage;
    assert_true(decimal_add(dec(peer->usage), prior, &usage));
    struct peer_case in_units = *peer;
    in_units.currency = "usd"; /* which one does not matter at a price of zero */
    struct decimal overage = rate(&in_units, &read, usage).overage;
    assert_true(decimal_subtract(overage, rate(&in_units, &read, prior).overage, &overage));
    decimal_format(overage, ours);
    return true;
}

#endif
