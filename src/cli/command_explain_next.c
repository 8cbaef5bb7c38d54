/* explain: what was recorded and billed, what a revision changed, and what may come. */
#include <stdio.h>

#include "explain.h"

/* --- records ------------------------------------------------------------------------------------
 */

static const struct {
    const char *status;
    const char *words;
} status_words[] = {
    {"computed", "computed, nothing sent yet"},
    {"recorded", "recorded"},
    {"sent", "on the customer's bill"},
    {"zero", "nothing to send"},
    {"held", "held back, as the org is suspended"},
    {"disabled", "not sent, as overage billing is switched off"},
    {"failed", "sending failed"},
    {"unknown", "sent, but the answer was lost"},
};

static const char *status_in_words(struct text status) {
    for (size_t index = 0; index < sizeof status_words / sizeof status_words[0]; index++) {
        if (text_equals(status, text_from(status_words[index].status))) {
            return status_words[index].words;
        }
    }
    return "of a status that this program does not know";
}

/* Why an item was not sent; what became of it at the other side. */
static bool say_item(const struct explanation *explanation, const struct table_cursor *item,
                     struct err *err) {
    static const size_t columns[] = {ITEMS_REASON, ITEMS_DETAIL, ITEMS_STRIPE_ITEM_ID};
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < sizeof columns / sizeof columns[0]; index++) {
        if (!table_is_null(item, columns[index])) {
            const char *text =
                explain_escape(explanation, table_get_text(item, columns[index]), err);
            is_fine = text != NULL && explain_say(explanation, err, "", "%s", text);
        }
    }
    return is_fine;
}

static bool say_adjustment(const struct explanation *explanation,
                           const struct explain_metric *metric, struct err *err) {
    struct table_cursor row;
    char usage[2][PRINT_NUMBER_MAX];
    char costs[2][PRINT_NUMBER_MAX];
    const struct currency *currency = explanation->plan->currency;
    if (!explain_find(explanation, explanation->tables.adjustments, metric->price->metric, &row)) {
        return true;
    }
    const char *reason =
        table_is_null(&row, ADJUSTMENTS_REASON)
            ? ""
            : explain_escape(explanation, table_get_text(&row, ADJUSTMENTS_REASON), err);
    if (reason == NULL) {
        return false;
    }
    (void)print_decimal(table_get_decimal(&row, ADJUSTMENTS_OLD_USAGE), usage[0]);
    (void)print_decimal(table_get_decimal(&row, ADJUSTMENTS_NEW_USAGE), usage[1]);
    (void)print_money(table_get_decimal(&row, ADJUSTMENTS_OLD_COST), currency, costs[0]);
    (void)print_money(table_get_decimal(&row, ADJUSTMENTS_NEW_COST), currency, costs[1]);
    return explain_say(explanation, err, "revised", "usage %s -> %s, cost %s -> %s", usage[0],
                       usage[1], costs[0], costs[1]) &&
           (reason[0] == '\0' || explain_say(explanation, err, "", "reason: %s", reason));
}

bool explain_record(const struct explanation *explanation, const struct explain_metric *metric,
                    struct err *err) {
    struct table_cursor row;
    char billed[PRINT_NUMBER_MAX];
    char cost[PRINT_NUMBER_MAX];
    char previous[PRINT_NUMBER_MAX];
    if (explain_find(explanation, explanation->tables.records, metric->price->metric, &row)) {
        const struct currency *currency = explanation->plan->currency;
        struct table_cursor item;
        bool has_item =
            explain_find(explanation, explanation->tables.items, metric->price->metric, &item);
        struct text status =
            has_item ? table_get_text(&item, ITEMS_STATUS) : table_get_text(&row, RECORDS_STATUS);
        bool is_item_held = has_item && text_equals(status, text_from("held"));
        const char *words = is_item_held ? "held back" : status_in_words(status);
        struct decimal previous_cost = table_get_decimal(&row, RECORDS_PREVIOUS_COST);
        long long revision = table_get_int64(&row, RECORDS_REVISION);
        (void)print_money(table_get_decimal(&row, RECORDS_BILLED), currency, billed);
        (void)print_money(table_get_decimal(&row, RECORDS_COST), currency, cost);
        (void)print_money(previous_cost, currency, previous);
        bool is_fine = decimal_is_zero(previous_cost)
                           ? explain_say(explanation, err, "billed", "%s: revision %lld, %s",
                                         billed, revision, words)
                           : explain_say(explanation, err, "billed",
                                         "%s - %s billed before = %s: revision %lld, %s", cost,
                                         previous, billed, revision, words);
        is_fine = is_fine && (!has_item || say_item(explanation, &item, err));
        if (!is_fine) {
            return false;
        }
    }
    return say_adjustment(explanation, metric, err);
}

/* --- projections --------------------------------------------------------------------------------
 */

enum { PLACES_FOR_READING = 3 };

static void format_short(struct decimal value, char text[PRINT_NUMBER_MAX]) {
    (void)print_decimal(explain_shorten(value, PLACES_FOR_READING), text);
}

static bool say_change(const struct explanation *explanation, const struct explain_metric *metric,
                       struct err *err) {
    char previous[PRINT_NUMBER_MAX];
    char percent[PRINT_NUMBER_MAX];
    struct decimal change = {.units = 0};
    struct table_cursor row;
    if (!explain_find(explanation, explanation->tables.changes, metric->price->metric, &row)) {
        return true;
    }
    (void)print_decimal(table_get_decimal(&row, CHANGES_PREVIOUS), previous);
    if (table_is_null(&row, CHANGES_CHANGE) ||
        __builtin_mul_overflow(table_get_decimal(&row, CHANGES_CHANGE).units, (int128)100,
                               &change.units) ||
        !decimal_in_range(change.units)) {
        return explain_say(explanation, err, "month before", "%s", previous);
    }
    (void)print_decimal(explain_shorten(change, 1), percent);
    return explain_say(explanation, err, "month before", "%s used: %s%s %% since", previous,
                       change.units > 0 ? "+" : "", percent);
}

static bool say_trend(const struct explanation *explanation, const struct table_cursor *row,
                      struct err *err) {
    char slope[PRINT_NUMBER_MAX];
    char r_squared[PRINT_NUMBER_MAX];
    if (table_is_null(row, PROJECTIONS_SLOPE_PER_DAY) ||
        decimal_is_zero(table_get_decimal(row, PROJECTIONS_SLOPE_PER_DAY)) ||
        table_is_null(row, PROJECTIONS_R_SQUARED)) {
        return true;
    }
    format_short(table_get_decimal(row, PROJECTIONS_SLOPE_PER_DAY), slope);
    format_short(table_get_decimal(row, PROJECTIONS_R_SQUARED), r_squared);
    return explain_say(explanation, err, "",
                       "from a line through the days: %s%s a day, R squared %s",
                       slope[0] == '-' ? "" : "+", slope, r_squared);
}

/* What is expected; without rows it goes on as it is, and nothing is over the limit. */
struct expectation {
    bool is_known;
    struct decimal projected;
    struct decimal overage;
    struct decimal cost;
};

static struct expectation expectation_read(const struct explanation *explanation,
                                           const struct explain_metric *metric,
                                           const struct table_cursor *projection) {
    struct expectation expected = {.is_known = true,
                                   .projected = table_get_decimal(&metric->usage, USAGE_QUANTITY)};
    struct table_cursor row;
    if (projection != NULL) {
        expected.is_known = !table_is_null(projection, PROJECTIONS_PROJECTED);
        expected.projected =
            expected.is_known ? table_get_decimal(projection, PROJECTIONS_PROJECTED) : DECIMAL_ZERO;
    }
    if (explain_find(explanation, explanation->tables.estimates, metric->price->metric, &row)) {
        expected.is_known = expected.is_known && !table_is_null(&row, ESTIMATES_PROJECTED_COST);
        expected.overage = table_get_decimal(&row, ESTIMATES_PROJECTED_OVERAGE);
        expected.cost = table_get_decimal(&row, ESTIMATES_PROJECTED_COST);
    }
    return expected;
}

bool explain_projection(const struct explanation *explanation, const struct explain_metric *metric,
                        struct err *err) {
    struct table_cursor row;
    char projected[PRINT_NUMBER_MAX];
    char overage[PRINT_NUMBER_MAX];
    char cost[PRINT_NUMBER_MAX];
    if (explanation->tables.projections == NULL) {
        return true;
    }
    bool has_row =
        explain_find(explanation, explanation->tables.projections, metric->price->metric, &row);
    struct expectation expected = expectation_read(explanation, metric, has_row ? &row : NULL);
    bool is_unused = decimal_is_zero(table_get_decimal(&metric->usage, USAGE_QUANTITY)) &&
                     expected.is_known && decimal_is_zero(expected.projected);
    if (!say_change(explanation, metric, err)) {
        return false;
    }
    if (is_unused) {
        return true; /* nothing used, nothing expected: nothing to say */
    }
    if (!expected.is_known) {
        return explain_say(explanation, err, "next period",
                           "no estimate: the numbers do not fit in 38 digits");
    }
    format_short(expected.projected, projected);
    format_short(expected.overage, overage);
    (void)print_money(expected.cost, explanation->plan->currency, cost);
    return explain_say(explanation, err, "next period",
                       "about %s in its %lld days: %s over the limit, %s", projected,
                       (long long)table_get_int64(&explanation->org, ORGS_NEXT_DAYS), overage,
                       cost) &&
           (!has_row || say_trend(explanation, &row, err));
}
