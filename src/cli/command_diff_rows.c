/* diff: two tables side by side, in key order. */
#include "diff.h"

enum { ORG_ID_COLUMN = 0, METRIC_COLUMN = 1 };

_Static_assert(ORGS_ORG_ID == 0 && USAGE_ORG_ID == 0 && NEGATIVES_METRIC == 1 &&
                   ESTIMATES_METRIC == 1 && CHANGES_METRIC == 1 && CHARGES_ORG_ID == 0 &&
                   PROJECTIONS_ORG_ID == 0 && RECORDS_ORG_ID == 0 && USAGE_METRIC == 1 &&
                   CHARGES_METRIC == 1 && PROJECTIONS_METRIC == 1 && RECORDS_METRIC == 1,
               "keys stand in the first columns");

static bool side_open(struct diff_side *side, struct run *run, const struct table_schema *schema,
                      struct err *err) {
    return shard_walk_start(&side->rows, run, schema, err) &&
           shard_walk_start(&side->orgs, run, &checkpoint_orgs, err);
}

static void side_close(struct diff_side *side) {
    shard_walk_close(&side->rows);
    shard_walk_close(&side->orgs);
}

static int compare_keys(const struct diff_side sides[SIDES_COUNT], bool has_metric) {
    const struct shard_walk *left = &sides[SIDE_A].rows;
    const struct shard_walk *right = &sides[SIDE_B].rows;
    if (!left->has_row || !right->has_row) {
        return left->has_row ? -1 : 1;
    }
    int order = text_compare(table_get_text(&left->cursor, ORG_ID_COLUMN),
                             table_get_text(&right->cursor, ORG_ID_COLUMN));
    if (order == 0 && has_metric) {
        order = text_compare(table_get_text(&left->cursor, METRIC_COLUMN),
                             table_get_text(&right->cursor, METRIC_COLUMN));
    }
    return order;
}

static bool values_differ(const struct table_cursor *left, const struct table_cursor *right,
                          size_t column, enum table_type type) {
    bool is_null = table_is_null(left, column);
    if (is_null || table_is_null(right, column)) {
        return is_null != table_is_null(right, column);
    }
    switch (type) {
    case TABLE_DECIMAL:
        return decimal_compare(table_get_decimal(left, column), table_get_decimal(right, column)) !=
               0;
    case TABLE_UTF8:
        return !text_equals(table_get_text(left, column), table_get_text(right, column));
    case TABLE_INT64:
        return table_get_int64(left, column) != table_get_int64(right, column);
    case TABLE_TIMESTAMP:
        return instant_compare(table_get_instant(left, column), table_get_instant(right, column)) !=
               0;
    case TABLE_DATE:
        return table_get_date(left, column) != table_get_date(right, column);
    case TABLE_BOOL:
        return table_get_bool(left, column) != table_get_bool(right, column);
    }
    return true;
}

/* The side whose status only says that no database was there to record it; SIDES_COUNT: neither. */
static enum side unrecorded_side(const struct diff_pair *pair, const struct comparison *comparison,
                                 size_t column) {
    for (enum side side = SIDE_A; comparison->unrecorded != NULL && side < SIDES_COUNT; side++) {
        enum side other = side == SIDE_A ? SIDE_B : SIDE_A;
        if (pair->has[SIDE_A] && pair->has[SIDE_B] &&
            strcmp(comparison->schema->columns[column].name, "status") == 0 &&
            text_equals(table_get_text(pair->rows[side], column),
                        text_from(comparison->unrecorded)) &&
            text_equals(table_get_text(pair->rows[other], column), text_from("recorded"))) {
            return side;
        }
    }
    return SIDES_COUNT;
}

bool diff_cell_differs(const struct diff_pair *pair, const struct comparison *comparison,
                       size_t column) {
    if (!pair->has[SIDE_A] || !pair->has[SIDE_B]) {
        const struct table_cursor *row = pair->rows[pair->has[SIDE_A] ? SIDE_A : SIDE_B];
        return comparison->zero_columns == 0 ||
               ((comparison->zero_columns >> column & 1) != 0 &&
                (table_is_null(row, column) || !decimal_is_zero(table_get_decimal(row, column))));
    }
    return unrecorded_side(pair, comparison, column) == SIDES_COUNT &&
           values_differ(pair->rows[SIDE_A], pair->rows[SIDE_B], column,
                         comparison->schema->columns[column].type);
}

static bool pair_differs(const struct diff_pair *pair, const struct comparison *comparison) {
    for (size_t index = 0; index < comparison->columns_count; index++) {
        if (diff_cell_differs(pair, comparison, comparison->columns[index])) {
            return true;
        }
    }
    return false;
}

/* The org's currency on the side that has the row; A's where both have it. */
static bool pair_currency(struct diff_side *side, struct diff_pair *pair, struct err *err) {
    bool is_found;
    pair->currency = NULL;
    if (!shard_walk_to(&side->orgs, pair->org_id, &is_found, err)) {
        return false;
    }
    if (is_found) {
        pair->currency = currency_find(table_get_text(&side->orgs.cursor, ORGS_CURRENCY));
    }
    return true;
}

/* The smaller key of both sides, with the rows that have it. */
static struct diff_pair pair_make(const struct diff_side sides[SIDES_COUNT], bool has_metric) {
    int order = compare_keys(sides, has_metric);
    struct diff_pair pair = {.has = {order <= 0, order >= 0}};
    const struct table_cursor *key = &sides[order <= 0 ? SIDE_A : SIDE_B].rows.cursor;
    for (enum side side = SIDE_A; side < SIDES_COUNT; side++) {
        pair.rows[side] = pair.has[side] ? &sides[side].rows.cursor : NULL;
    }
    pair.org_id = table_get_text(key, ORG_ID_COLUMN);
    if (has_metric) {
        pair.metric = table_get_text(key, METRIC_COLUMN);
    }
    return pair;
}

static bool pair_take(struct diff *diff, const struct comparison *comparison,
                      struct diff_side sides[SIDES_COUNT], struct diff_pair *pair,
                      const struct diff_counts *widths, struct diff_counts *counts,
                      struct err *err) {
    if (!diff_is_wanted(diff, pair->org_id, pair->metric)) {
        return true;
    }
    counts->compared++;
    for (size_t index = 0; index < comparison->columns_count; index++) {
        enum side side = unrecorded_side(pair, comparison, comparison->columns[index]);
        if (side != SIDES_COUNT) {
            counts->unrecorded[side]++;
        }
    }
    if (!pair_differs(pair, comparison)) {
        return true;
    }
    counts->differing++;
    size_t org_width = print_width(pair->org_id);
    size_t metric_width = print_width(pair->metric);
    counts->org_width = org_width > counts->org_width ? org_width : counts->org_width;
    counts->metric_width =
        metric_width > counts->metric_width ? metric_width : counts->metric_width;
    if (diff->first_org[0] == '\0' && pair->org_id.size_bytes < DIFF_ORG_MAX) {
        memcpy(diff->first_org, pair->org_id.bytes, pair->org_id.size_bytes);
    }
    if (comparison->zero_columns == 0 && (!pair->has[SIDE_A] || !pair->has[SIDE_B])) {
        counts->only[pair->has[SIDE_A] ? SIDE_A : SIDE_B]++;
    }
    return widths == NULL ||
           (pair_currency(&sides[pair->has[SIDE_A] ? SIDE_A : SIDE_B], pair, err) &&
            diff_print_pair(diff, comparison, pair, widths, err));
}

bool diff_walk(struct diff *diff, const struct comparison *comparison,
               const struct diff_counts *widths, struct diff_counts *counts, struct err *err) {
    struct diff_side sides[SIDES_COUNT] = {0};
    bool is_fine = side_open(&sides[SIDE_A], diff->runs[SIDE_A], comparison->schema, err) &&
                   side_open(&sides[SIDE_B], diff->runs[SIDE_B], comparison->schema, err);
    while (is_fine && (sides[SIDE_A].rows.has_row || sides[SIDE_B].rows.has_row)) {
        struct diff_pair pair = pair_make(sides, comparison->has_metric);
        is_fine = pair_take(diff, comparison, sides, &pair, widths, counts, err);
        for (enum side side = SIDE_A; is_fine && side < SIDES_COUNT; side++) {
            is_fine = !pair.has[side] || shard_walk_next(&sides[side].rows, err);
        }
    }
    side_close(&sides[SIDE_A]);
    side_close(&sides[SIDE_B]);
    return is_fine;
}
