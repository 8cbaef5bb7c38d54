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

/*
 * What the rows of one price begin with, and its own limits, as they stand in the file. Of a few
 * prices at a time: neighbouring orgs mostly have the same few plans.
 */
struct usage_price {
    const struct terms_price *price; /* NULL: nothing yet */
    struct report_cells names;       /* plan_id, metric, aggregation */
    bool has_limits;
    struct decimal limit;       /* the last of these: */
    struct report_cells limits; /* included, soft_limit, hard_limit, limit */
};

enum { USAGE_PRICES_COUNT = 256 };

struct usage_report {
    struct report_file *file;
    struct rated_walk walk;
    struct report_cells org; /* org_id of the one at hand */
    struct usage_price prices[USAGE_PRICES_COUNT];
};

static void usage_put_optional(struct report_file *file, bool has_value, struct decimal value) {
    if (has_value) {
        report_decimal(file, value);
    } else {
        report_empty(file);
    }
}

enum usage_side { SIDE_LIMITS, SIDE_CHARGES };

static void usage_put_org(struct usage_report *usage) {
    struct report_file *file = usage->file;
    if (usage->walk.price_next > 1) { /* not its first price */
        report_cells(file, &usage->org);
        return;
    }
    struct report_mark mark = report_mark(file);
    report_text(file, usage->walk.org_id);
    report_keep_cells(file, mark, &usage->org);
}

static void usage_put_names(struct usage_report *usage, struct usage_price *kept) {
    struct report_file *file = usage->file;
    const struct rated_walk *walk = &usage->walk;
    if (kept->price == walk->price) {
        report_cells(file, &kept->names);
        return;
    }
    struct report_mark mark = report_mark(file);
    report_text(file, walk->plan->plan_id);
    report_text(file, walk->price->metric);
    report_words(file, aggregation_table[walk->price->price.aggregation].name);
    report_keep_cells(file, mark, &kept->names);
    kept->price = walk->price;
    kept->has_limits = false;
}

static void usage_put_limits(struct usage_report *usage, struct usage_price *kept,
                             const struct limits *limits, struct decimal limit) {
    struct report_file *file = usage->file;
    const struct price *terms = &usage->walk.price->price;
    bool is_own = limits->has_soft_limit || limits->has_hard_limit;
    if (kept->has_limits && !is_own && limit.units == kept->limit.units) {
        report_cells(file, &kept->limits);
        return;
    }
    struct report_mark mark = report_mark(file);
    report_decimal(file, terms->included);
    usage_put_optional(file, limits->has_soft_limit, limits->soft_limit);
    usage_put_optional(file, limits->has_hard_limit || terms->has_hard_limit,
                       limits->has_hard_limit ? limits->hard_limit : terms->hard_limit);
    report_decimal(file, limit);
    if (!is_own) {
        report_keep_cells(file, mark, &kept->limits);
        kept->limit = limit;
        kept->has_limits = true;
    }
}

static bool usage_put(struct usage_report *usage, struct err *err) {
    struct report_file *file = usage->file;
    const struct rated_walk *walk = &usage->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
    struct decimal quantity = table_get_decimal(&walk->usage, USAGE_QUANTITY);
    struct decimal limit = charge_limit(&walk->price->price, &limits);
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
    size_t place = (uintptr_t)walk->price / sizeof *walk->price % USAGE_PRICES_COUNT;
    struct usage_price *kept = &usage->prices[place];
    usage_put_org(usage);
    usage_put_names(usage, kept);
    report_decimal(file, quantity);
    usage_put_limits(usage, kept, &limits, limit);
    report_decimal(file, overage);
    report_decimal(file, blocked);
    usage_put_optional(file, has_utilisation, has_utilisation ? utilisation : DECIMAL_ZERO);
    return report_end_row(file, err);
}

static bool usage_shard(const struct report_source *source, const struct report_shard *shard,
                        struct usage_report *usage, struct err *err) {
    struct rated_walk *walk = &usage->walk;
    *walk = rated_walk_start(source->terms, shard->orgs);
    rated_walk_usage(walk, shard->usage);
    rated_walk_beside(walk, SIDE_LIMITS, shard->limits);
    rated_walk_beside(walk, SIDE_CHARGES, shard->charges);
    while (rated_walk_next_org(walk, err)) {
        while (rated_walk_next_price(walk, err)) {
            if (!usage_put(usage, err)) {
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
    struct usage_report usage = {.file = file};
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < source->shards_count; index++) {
        is_fine = usage_shard(source, &source->shards[index], &usage, err);
    }
    for (size_t index = 0; index < USAGE_PRICES_COUNT; index++) {
        report_cells_release(&usage.prices[index].names);
        report_cells_release(&usage.prices[index].limits);
    }
    report_cells_release(&usage.org);
    return is_fine;
}

const struct report report_usage = {
    .file_name = "usage.csv",
    REPORT_COLUMNS(columns),
    .is_due = usage_is_due,
    .write = usage_write,
};
