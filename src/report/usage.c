/* usage.csv: every price of every rated org's plan, zeros too: how much of it was used. */
#include "rating/trend.h"
#include "report/reports.h"

static const char *const columns[] = {
    "org_id",     "plan_id",    "metric", "aggregation", "usage",   "included",
    "soft_limit", "hard_limit", "limit",  "overage",     "blocked", "utilisation",
};

enum { UTILISATION_PLACES = 6 };

static bool usage_is_due(const struct report_source *source) {
    return source->shards_count > 0 && source->shards[0].charges != NULL;
}

static void usage_put_optional(struct report_file *file, bool has_value, struct decimal value) {
    if (has_value) {
        report_decimal(file, value);
    } else {
        report_empty(file);
    }
}

enum usage_side { SIDE_LIMITS, SIDE_CHARGES };

static bool usage_put(struct report_file *file, const struct rated_walk *walk, struct err *err) {
    const struct price *terms = &walk->price->price;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
    struct decimal quantity = table_get_decimal(&walk->usage, USAGE_QUANTITY);
    struct decimal limit = charge_limit(terms, &limits);
    struct decimal overage = DECIMAL_ZERO;
    struct decimal blocked = DECIMAL_ZERO;
    struct decimal utilisation;
    bool has_utilisation =
        limit.units > 0 && ratio_round(quantity, limit, UTILISATION_PLACES, &utilisation);
    if (charge->is_here) {
        limit = table_get_decimal(&charge->cursor, CHARGES_LIMIT);
        overage = table_get_decimal(&charge->cursor, CHARGES_OVERAGE);
        blocked = table_get_decimal(&charge->cursor, CHARGES_BLOCKED);
    }
    report_text(file, walk->org_id);
    report_text(file, walk->plan->plan_id);
    report_text(file, walk->price->metric);
    report_words(file, aggregation_table[terms->aggregation].name);
    report_decimal(file, quantity);
    report_decimal(file, terms->included);
    usage_put_optional(file, limits.has_soft_limit, limits.soft_limit);
    usage_put_optional(file, limits.has_hard_limit || terms->has_hard_limit,
                       limits.has_hard_limit ? limits.hard_limit : terms->hard_limit);
    report_decimal(file, limit);
    report_decimal(file, overage);
    report_decimal(file, blocked);
    usage_put_optional(file, has_utilisation, has_utilisation ? utilisation : DECIMAL_ZERO);
    return report_end_row(file, err);
}

static bool usage_shard(const struct report_source *source, const struct report_shard *shard,
                        struct report_file *file, struct err *err) {
    struct rated_walk walk = rated_walk_start(source->terms, shard->orgs);
    rated_walk_usage(&walk, shard->usage);
    rated_walk_beside(&walk, SIDE_LIMITS, shard->limits);
    rated_walk_beside(&walk, SIDE_CHARGES, shard->charges);
    while (rated_walk_next_org(&walk, err)) {
        while (rated_walk_next_price(&walk, err)) {
            if (!usage_put(file, &walk, err)) {
                return false;
            }
        }
        if (err->code != ERR_NONE) {
            return false;
        }
    }
    return err->code == ERR_NONE;
}

static bool usage_write(const struct report_source *source, struct report_file *file,
                        struct totals *totals, struct err *err) {
    (void)totals;
    for (size_t index = 0; index < source->shards_count; index++) {
        if (!usage_shard(source, &source->shards[index], file, err)) {
            return false;
        }
    }
    return true;
}

const struct report report_usage = {
    .file_name = "usage.csv",
    REPORT_COLUMNS(columns),
    .is_due = usage_is_due,
    .write = usage_write,
};
