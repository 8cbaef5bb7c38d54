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

static bool usage_put(struct report_file *file, const struct report_orgs *orgs,
                      const struct terms_price *price, const struct limits *limits,
                      const struct table_cursor *usage, const struct table_cursor *charge,
                      struct err *err) {
    const struct price *terms = &price->price;
    struct decimal quantity = table_get_decimal(usage, USAGE_QUANTITY);
    struct decimal limit = table_get_decimal(charge, CHARGES_LIMIT);
    struct decimal utilisation;
    bool has_utilisation =
        limit.units > 0 && ratio_round(quantity, limit, UTILISATION_PLACES, &utilisation);
    report_text(file, orgs->org_id);
    report_text(file, orgs->plan->plan_id);
    report_text(file, price->metric);
    report_words(file, aggregation_table[terms->aggregation].name);
    report_decimal(file, quantity);
    report_decimal(file, terms->included);
    usage_put_optional(file, limits->has_soft_limit, limits->soft_limit);
    usage_put_optional(file, limits->has_hard_limit || terms->has_hard_limit,
                       limits->has_hard_limit ? limits->hard_limit : terms->hard_limit);
    report_decimal(file, limit);
    report_decimal(file, table_get_decimal(charge, CHARGES_OVERAGE));
    report_decimal(file, table_get_decimal(charge, CHARGES_BLOCKED));
    usage_put_optional(file, has_utilisation, has_utilisation ? utilisation : DECIMAL_ZERO);
    return report_end_row(file, err);
}

static bool usage_shard(const struct report_source *source, const struct report_shard *shard,
                        struct report_file *file, struct err *err) {
    struct terms_walk limits_walk = terms_walk_start(shard->limits);
    struct table_cursor usage = table_cursor_start(shard->usage);
    struct table_cursor charge = table_cursor_start(shard->charges);
    struct report_orgs orgs = report_orgs_start(source, shard);
    while (report_orgs_next(&orgs, err)) {
        for (size_t index = 0; index < orgs.plan->prices_count; index++) {
            const struct terms_price *price = &orgs.plan->prices[index];
            struct limits limits = terms_walk_limits(&limits_walk, orgs.org_id, price->metric);
            if (!table_cursor_next(&usage) || !table_cursor_next(&charge)) {
                return err_set(err, ERR_DAMAGED, "%s: fewer rows than prices",
                               table_path(shard->charges));
            }
            if (!usage_put(file, &orgs, price, &limits, &usage, &charge, err)) {
                return false;
            }
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
