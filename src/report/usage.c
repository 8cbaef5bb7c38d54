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
 * What the rows of one price have in common, as it stands in the file. Of a few prices at a time:
 * neighbouring orgs mostly have the same few plans.
 */
struct usage_price {
    const struct terms_price *price; /* NULL: nothing yet */
    struct report_field names;       /* plan_id, metric, aggregation */
    struct report_field limits;      /* included, soft_limit, hard_limit, limit; none its own */
};

enum { USAGE_PRICES_COUNT = 256 };

struct usage_report {
    struct usage_price prices[USAGE_PRICES_COUNT];
};

static bool usage_keep_names(struct usage_price *kept, const struct rated_walk *walk,
                             struct err *err) {
    struct report_field *names = &kept->names;
    const char *aggregation = aggregation_table[walk->price->price.aggregation].name;
    return report_field_start(names, err) && report_field_comma(names, err) &&
           report_field_text(names, walk->plan->plan_id, err) && report_field_comma(names, err) &&
           report_field_text(names, walk->price->metric, err) && report_field_comma(names, err) &&
           report_field_words(names, aggregation, err);
}

static char *put_optional(char *at, bool has_value, struct decimal value) {
    return has_value ? report_put_decimal(at, value) : report_put_empty(at);
}

enum { LIMITS_BYTES_MAX = 4 * (1 + DECIMAL_TEXT_MAX) };

/* included, soft_limit, hard_limit, limit. */
static char *usage_put_limits(char *at, const struct price *terms, const struct limits *limits,
                              struct decimal limit) {
    at = report_put_decimal(at, terms->included);
    at = put_optional(at, limits->has_soft_limit, limits->soft_limit);
    at = put_optional(at, limits->has_hard_limit || terms->has_hard_limit,
                      limits->has_hard_limit ? limits->hard_limit : terms->hard_limit);
    return report_put_decimal(at, limit);
}

static bool usage_keep_limits(struct usage_price *kept, const struct price *terms,
                              struct err *err) {
    char text[LIMITS_BYTES_MAX];
    const struct limits none = {0};
    char *end = usage_put_limits(text, terms, &none, charge_limit(terms, &none));
    struct text limits = {.bytes = text, .size_bytes = (size_t)(end - text)};
    return report_field_start(&kept->limits, err) && buffer_append(&kept->limits.text, limits, err);
}

/* What is kept of the price at hand; NULL: no memory. */
static struct usage_price *usage_kept(struct usage_report *usage, const struct rated_walk *walk,
                                      struct err *err) {
    size_t place = (uintptr_t)walk->price / sizeof *walk->price % USAGE_PRICES_COUNT;
    struct usage_price *kept = &usage->prices[place];
    if (kept->price == walk->price) {
        return kept;
    }
    kept->price = NULL;
    if (!usage_keep_names(kept, walk, err) || !usage_keep_limits(kept, &walk->price->price, err)) {
        return NULL;
    }
    kept->price = walk->price;
    return kept;
}

static bool usage_price(void *state, struct report_walk *report_walk, struct report_file *part,
                        struct err *err) {
    const struct rated_walk *walk = &report_walk->rated;
    const struct rated_side *charge = &walk->sides[REPORT_CHARGES];
    const struct price *terms = &walk->price->price;
    struct limits limits = rated_limits(&walk->sides[REPORT_LIMITS]);
    struct decimal quantity = table_get_decimal(&walk->usage, USAGE_QUANTITY);
    struct decimal limit = charge_limit(terms, &limits);
    struct decimal utilisation;
    bool has_utilisation =
        limit.units > 0 && ratio_round(quantity, limit, UTILISATION_PLACES, &utilisation);
    const struct usage_price *kept = usage_kept(state, walk, err);
    if (kept == NULL) {
        return false;
    }
    size_t size_bytes = report_walk->org_id.text.size_bytes + kept->names.text.size_bytes +
                        LIMITS_BYTES_MAX + 4 * (1 + DECIMAL_TEXT_MAX);
    char *at = report_row_start(part, size_bytes);
    if (at == NULL) {
        return report_row_end(part, NULL, err);
    }
    at = report_put_field(at, &report_walk->org_id);
    at = report_put_field(at, &kept->names);
    at = report_put_field(at, &report_walk->usage);
    at = limits.has_soft_limit || limits.has_hard_limit
             ? usage_put_limits(at, terms, &limits, limit)
             : report_put_field(at, &kept->limits);
    if (charge->is_here) {
        at = report_put_decimal(at, table_get_decimal(&charge->cursor, CHARGES_OVERAGE));
        at = report_put_decimal(at, table_get_decimal(&charge->cursor, CHARGES_BLOCKED));
    } else {
        memcpy(at, ",0,0", 4);
        at += 4;
    }
    at = put_optional(at, has_utilisation, has_utilisation ? utilisation : DECIMAL_ZERO);
    return report_row_end(part, at, err);
}

static void usage_release(void *state) {
    struct usage_report *usage = state;
    for (size_t index = 0; index < USAGE_PRICES_COUNT; index++) {
        report_field_release(&usage->prices[index].names);
        report_field_release(&usage->prices[index].limits);
    }
}

static const struct report_rows usage_rows = {
    .state_bytes = sizeof(struct usage_report),
    .price = usage_price,
    .release = usage_release,
};

const struct report report_usage = {
    .file_name = "usage.csv",
    REPORT_COLUMNS(columns),
    .is_due = usage_is_due,
    .rows = &usage_rows,
};
