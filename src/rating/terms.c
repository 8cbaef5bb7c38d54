#include "rating/terms.h"

#include <assert.h>

/* Rows with the same (terms, plan_id) as the cursor's row, from first on: their number. */
static size_t terms_count_rows(const struct table *table) {
    return (size_t)table_rows_count(table);
}

static bool terms_load_tiers(struct table *tiers, struct tier **loaded, struct arena *arena,
                             struct err *err) {
    *loaded = arena_alloc_array(arena, terms_count_rows(tiers), sizeof **loaded, err);
    if (*loaded == NULL) {
        return false;
    }
    size_t index = 0;
    struct table_cursor cursor = table_cursor_start(tiers);
    while (table_cursor_next(&cursor)) {
        struct tier *tier = &(*loaded)[index++];
        tier->is_open = table_is_null(&cursor, TIERS_UP_TO);
        if (!tier->is_open) {
            tier->up_to = table_get_decimal(&cursor, TIERS_UP_TO);
        }
        tier->unit_price = table_get_decimal(&cursor, TIERS_UNIT_PRICE);
        tier->flat_price = table_get_decimal(&cursor, TIERS_FLAT_PRICE);
    }
    return true;
}

/* Is the cursor's row of the key (terms, plan_id[, metric])? columns: where they stand. */
struct terms_key {
    int64_t terms;
    struct text plan_id;
    struct text metric;
};

static bool tiers_row_is(const struct table_cursor *cursor, const struct terms_key *key) {
    return table_get_int64(cursor, TIERS_TERMS) == key->terms &&
           text_equals(table_get_text(cursor, TIERS_PLAN_ID), key->plan_id) &&
           text_equals(table_get_text(cursor, TIERS_METRIC), key->metric);
}

static bool terms_load_price(const struct table_cursor *cursor, struct terms_price *loaded,
                             struct err *err) {
    struct price *price = &loaded->price;
    loaded->metric = table_get_text(cursor, PRICES_METRIC);
    if (!table_is_null(cursor, PRICES_UNIT)) {
        loaded->unit = table_get_text(cursor, PRICES_UNIT);
    }
    if (!aggregation_find(table_get_text(cursor, PRICES_AGGREGATION), &price->aggregation) ||
        !model_find(table_get_text(cursor, PRICES_MODEL), &price->model)) {
        return err_set(err, ERR_DAMAGED, "%s: unknown aggregation or model",
                       table_path(cursor->table));
    }
    price->included = table_get_decimal(cursor, PRICES_INCLUDED);
    price->has_hard_limit = !table_is_null(cursor, PRICES_HARD_LIMIT);
    if (price->has_hard_limit) {
        price->hard_limit = table_get_decimal(cursor, PRICES_HARD_LIMIT);
    }
    if (!table_is_null(cursor, PRICES_UNIT_PRICE)) {
        price->unit_price = table_get_decimal(cursor, PRICES_UNIT_PRICE);
    }
    if (!table_is_null(cursor, PRICES_PACKAGE_SIZE)) {
        price->package_size = table_get_decimal(cursor, PRICES_PACKAGE_SIZE);
    }
    return true;
}

static bool price_fits_model(const struct price *price) {
    const struct model_row *model = &model_table[price->model];
    if (model->needs_package_size && price->package_size.units <= 0) {
        return false;
    }
    if (!model->needs_tiers) {
        return true;
    }
    return price->tiers_count > 0 && price->tiers_count <= CHARGE_LINES_MAX &&
           price->tiers[price->tiers_count - 1].is_open;
}

/* All prices in table order, each with its run of tiers. */
static bool terms_load_prices(struct table *prices, struct table *tiers,
                              struct terms_price **loaded, struct arena *arena, struct err *err) {
    struct tier *all_tiers;
    *loaded = arena_alloc_array(arena, terms_count_rows(prices), sizeof **loaded, err);
    if (*loaded == NULL || !terms_load_tiers(tiers, &all_tiers, arena, err)) {
        return false;
    }
    size_t price_index = 0;
    size_t tier_index = 0;
    struct table_cursor price_row = table_cursor_start(prices);
    struct table_cursor tier_row = table_cursor_start(tiers);
    bool has_tier = table_cursor_next(&tier_row);
    while (table_cursor_next(&price_row)) {
        struct terms_price *price = &(*loaded)[price_index++];
        if (!terms_load_price(&price_row, price, err)) {
            return false;
        }
        struct terms_key key = {
            .terms = table_get_int64(&price_row, PRICES_TERMS),
            .plan_id = table_get_text(&price_row, PRICES_PLAN_ID),
            .metric = price->metric,
        };
        price->price.tiers = &all_tiers[tier_index];
        while (has_tier && tiers_row_is(&tier_row, &key)) {
            price->price.tiers_count++;
            tier_index++;
            has_tier = table_cursor_next(&tier_row);
        }
        if (!price_fits_model(&price->price)) {
            return err_set(err, ERR_DAMAGED,
                           "%s: plan '%.*s', metric '%.*s': price does not fit "
                           "its model",
                           table_path(prices), (int)key.plan_id.size_bytes, key.plan_id.bytes,
                           (int)key.metric.size_bytes, key.metric.bytes);
        }
    }
    if (has_tier) {
        return err_set(err, ERR_DAMAGED, "%s: tiers without a price", table_path(tiers));
    }
    return true;
}

bool terms_load(struct terms *terms, struct table *plans, struct table *prices, struct table *tiers,
                struct arena *arena, struct err *err) {
    struct terms_price *all_prices;
    struct terms_plan *loaded =
        arena_alloc_array(arena, terms_count_rows(plans), sizeof *loaded, err);
    if (loaded == NULL || !terms_load_prices(prices, tiers, &all_prices, arena, err)) {
        return false;
    }
    size_t plan_index = 0;
    size_t price_index = 0;
    struct table_cursor plan_row = table_cursor_start(plans);
    struct table_cursor price_row = table_cursor_start(prices);
    bool has_price = table_cursor_next(&price_row);
    while (table_cursor_next(&plan_row)) {
        struct terms_plan *plan = &loaded[plan_index++];
        plan->terms = table_get_int64(&plan_row, PLANS_TERMS);
        plan->plan_id = table_get_text(&plan_row, PLANS_PLAN_ID);
        plan->currency = currency_find(table_get_text(&plan_row, PLANS_CURRENCY));
        plan->prices = &all_prices[price_index];
        if (plan->currency == NULL) {
            return err_set(err, ERR_DAMAGED, "%s: unknown currency", table_path(plans));
        }
        while (has_price && table_get_int64(&price_row, PRICES_TERMS) == plan->terms &&
               text_equals(table_get_text(&price_row, PRICES_PLAN_ID), plan->plan_id)) {
            plan->prices_count++;
            price_index++;
            has_price = table_cursor_next(&price_row);
        }
    }
    if (has_price) {
        return err_set(err, ERR_DAMAGED, "%s: prices without a plan", table_path(prices));
    }
    *terms = (struct terms){.plans = loaded, .plans_count = plan_index};
    return true;
}

bool terms_find_plan(const struct terms *terms, int64_t version, struct text plan_id,
                     const struct terms_plan **plan, struct err *err) {
    size_t low = 0;
    size_t high = terms->plans_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct terms_plan *candidate = &terms->plans[middle];
        int order = (version > candidate->terms) - (version < candidate->terms);
        if (order == 0) {
            order = text_compare(plan_id, candidate->plan_id);
        }
        if (order == 0) {
            *plan = candidate;
            return true;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return err_set(err, ERR_DAMAGED, "plan '%.*s' is not in the checkpoint",
                   (int)plan_id.size_bytes, plan_id.bytes);
}

const struct terms_price *terms_find_price(const struct terms_plan *plan, struct text metric) {
    size_t low = 0;
    size_t high = plan->prices_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = text_compare(metric, plan->prices[middle].metric);
        if (order == 0) {
            return &plan->prices[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

struct terms_walk terms_walk_start(const struct table *table) {
    struct terms_walk walk = {.cursor = table_cursor_start(table)};
    walk.has_row = table_cursor_next(&walk.cursor);
    return walk;
}

bool terms_walk_to(struct terms_walk *walk, struct text org_id, struct text metric) {
    enum { ORG_ID_COLUMN = 0, METRIC_COLUMN = 1 };
    while (walk->has_row) {
        int order = text_compare(table_get_text(&walk->cursor, ORG_ID_COLUMN), org_id);
        if (order == 0) {
            order = text_compare(table_get_text(&walk->cursor, METRIC_COLUMN), metric);
        }
        if (order >= 0) {
            return order == 0;
        }
        walk->has_row = table_cursor_next(&walk->cursor);
    }
    return false;
}

_Static_assert(LIMITS_ORG_ID == 0 && LIMITS_METRIC == 1 && HISTORY_METRIC == 1 &&
                   SERIES_METRIC == 1 && USAGE_METRIC == 1 && RECORDS_METRIC == 1,
               "a walk reads org_id and metric from the first two columns");

struct limits terms_row_limits(const struct table_cursor *row) {
    struct limits limits = {0};
    limits.has_soft_limit = !table_is_null(row, LIMITS_SOFT_LIMIT);
    if (limits.has_soft_limit) {
        limits.soft_limit = table_get_decimal(row, LIMITS_SOFT_LIMIT);
    }
    limits.has_hard_limit = !table_is_null(row, LIMITS_HARD_LIMIT);
    if (limits.has_hard_limit) {
        limits.hard_limit = table_get_decimal(row, LIMITS_HARD_LIMIT);
    }
    return limits;
}

struct limits terms_walk_limits(struct terms_walk *walk, struct text org_id, struct text metric) {
    return terms_walk_to(walk, org_id, metric) ? terms_row_limits(&walk->cursor)
                                               : (struct limits){0};
}

size_t terms_prices_max(const struct terms *terms) {
    size_t most = 0;
    for (size_t index = 0; index < terms->plans_count; index++) {
        size_t count = terms->plans[index].prices_count;
        most = count > most ? count : most;
    }
    return most;
}
