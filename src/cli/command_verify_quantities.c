/* verify: quantities once more, from the rows by day that extract sealed. */
#include <stdio.h>

#include "verify_shard.h"

enum { SERIES_COLUMN = 0 };

_Static_assert(DAYS_SERIES == 0 && KEYS_SERIES == 0 && LEVELS_SERIES == 0 && MOMENTS_SERIES == 0 &&
                   DAILY_SERIES == 0,
               "rows by day have their series in the first column");

static void days_next(struct verify_days *days) {
    days->has_row = table_cursor_next(&days->cursor);
}

static struct verify_days days_start(const struct table *table) {
    struct verify_days days = {.cursor = table_cursor_start(table)};
    days_next(&days);
    return days;
}

static bool days_are_of(const struct verify_days *days, int64_t series) {
    return days->has_row && table_get_int64(&days->cursor, SERIES_COLUMN) == series;
}

void verify_quantities_start(struct verify_shard *shard) {
    shard->series = terms_walk_start(shard->tables.series);
    shard->days = days_start(shard->tables.days);
    shard->keys = days_start(shard->tables.keys);
    shard->levels = days_start(shard->tables.levels);
    shard->moments = days_start(shard->tables.moments);
    shard->daily = days_start(shard->tables.daily);
    shard->negatives = terms_walk_start(shard->tables.negatives);
}

/* A date of the period as the number of its day; false and told for one outside. */
static bool day_index(struct verify_shard *shard, int32_t date, size_t *index) {
    int64_t offset = (int64_t)date - table_get_date(shard->org, ORGS_FIRST_DATE);
    *index = (size_t)offset;
    if (offset >= 0 && offset < table_get_int64(shard->org, ORGS_DAYS) && offset < TREND_DAYS_MAX) {
        return true;
    }
    verify_disagree(shard, "a day", "outside the period", "inside");
    return false;
}

static struct recompute_signed read_signed(struct decimal value) {
    struct recompute_signed number;
    number.size = recompute_read(value, &number.is_negative);
    return number;
}

static void add_flow(struct recompute_flow *sum, const struct recompute_flow *addend) {
    recompute_add(&sum->more, &addend->more);
    recompute_add(&sum->less, &addend->less);
}

/* sum, count, unique; also the number of events. */
static struct recompute_signed net_of_flow(struct verify_shard *shard, int64_t series,
                                           enum aggregation aggregation, int64_t *events) {
    struct recompute_flow flow = {0};
    for (; days_are_of(&shard->days, series); days_next(&shard->days)) {
        int64_t count = table_get_int64(&shard->days.cursor, DAYS_COUNT);
        size_t day;
        *events += count;
        shard->days_with_data++;
        struct recompute_flow added = {0};
        if (aggregation == AGGREGATION_SUM) {
            recompute_flow_add(&added, table_get_decimal(&shard->days.cursor, DAYS_SUM));
        } else if (aggregation == AGGREGATION_COUNT) {
            recompute_flow_add_count(&added, count);
        }
        add_flow(&flow, &added);
        if (day_index(shard, table_get_date(&shard->days.cursor, DAYS_DAY), &day)) {
            add_flow(&shard->series_days[day], &added);
        }
    }
    for (; days_are_of(&shard->keys, series); days_next(&shard->keys)) {
        size_t day;
        if (aggregation != AGGREGATION_UNIQUE) {
            continue;
        }
        recompute_flow_add_count(&flow, table_get_int64(&shard->keys.cursor, KEYS_KEYS));
        if (day_index(shard, table_get_date(&shard->keys.cursor, KEYS_DAY), &day)) {
            recompute_flow_add_count(&shard->series_days[day],
                                     table_get_int64(&shard->keys.cursor, KEYS_KEYS));
        }
    }
    return recompute_flow_signed(&flow);
}

/* A level that holds from a day to the next row's. */
struct level_run {
    size_t from;
    bool has_level;
    struct decimal level;
};

static void run_end(struct verify_shard *shard, struct level_run *run, size_t until) {
    for (; run->from < until && run->from < TREND_DAYS_MAX; run->from++) {
        recompute_flow_add(&shard->series_days[run->from], run->level);
        shard->days_with_data += run->has_level ? 1 : 0;
    }
}

/* last, max, time_weighted. */
static struct recompute_signed net_of_level(struct verify_shard *shard, int64_t series,
                                            enum aggregation aggregation) {
    struct recompute_average average = {0};
    struct decimal highest = DECIMAL_ZERO;
    bool has_highest = false;
    struct level_run run = {0};
    for (; days_are_of(&shard->levels, series); days_next(&shard->levels)) {
        const struct table_cursor *row = &shard->levels.cursor;
        size_t day;
        if (day_index(shard, table_get_date(row, LEVELS_DAY), &day)) {
            run_end(shard, &run, day);
            run.has_level = !table_is_null(row, LEVELS_CLOSING);
            run.level = run.has_level ? table_get_decimal(row, LEVELS_CLOSING) : DECIMAL_ZERO;
        }
        if (!table_is_null(row, LEVELS_HIGHEST) &&
            (!has_highest || table_get_decimal(row, LEVELS_HIGHEST).units > highest.units)) {
            highest = table_get_decimal(row, LEVELS_HIGHEST);
            has_highest = true;
        }
        if (aggregation == AGGREGATION_TIME_WEIGHTED) {
            int64_t left_over = table_get_int64(row, LEVELS_SHARE_REMAINDER);
            recompute_average_add(&average, table_get_decimal(row, LEVELS_SHARE),
                                  left_over > 0 ? left_over : 0);
        }
    }
    run_end(shard, &run, (size_t)table_get_int64(shard->org, ORGS_DAYS));
    if (aggregation == AGGREGATION_TIME_WEIGHTED) {
        return recompute_average_net(&average,
                                     table_get_instant(shard->org, ORGS_PERIOD_END).us -
                                         table_get_instant(shard->org, ORGS_PERIOD_START).us);
    }
    if (aggregation == AGGREGATION_MAX) {
        return read_signed(highest);
    }
    return table_is_null(&shard->series.cursor, SERIES_METERED_LEVEL)
               ? (struct recompute_signed){.is_negative = false}
               : read_signed(table_get_decimal(&shard->series.cursor, SERIES_METERED_LEVEL));
}

static bool verify_count(struct verify_shard *shard, const char *what, int64_t sealed,
                         int64_t expected) {
    if (sealed == expected) {
        return true;
    }
    char sealed_text[32];
    char expected_text[32];
    (void)snprintf(sealed_text, sizeof sealed_text, "%lld", (long long)sealed);
    (void)snprintf(expected_text, sizeof expected_text, "%lld", (long long)expected);
    verify_disagree(shard, what, sealed_text, expected_text);
    return false;
}

/* A net below zero is a row of negatives, and only that: exceptions.csv tells it. */
static bool verify_negative(struct verify_shard *shard, struct text org_id,
                            const struct recompute_signed *net) {
    if (!terms_walk_to(&shard->negatives, org_id, shard->metric)) {
        if (net->is_negative) {
            verify_disagree(shard, "negative net", "none", "a row of negatives");
        }
        return !net->is_negative;
    }
    struct decimal sealed = table_get_decimal(&shard->negatives.cursor, NEGATIVES_NET);
    shard->negatives_found++;
    if (net->is_negative && recompute_signed_is(net, sealed)) {
        return true;
    }
    verify_signed_disagrees(shard, "negative net", sealed, net);
    return false;
}

bool verify_quantity(struct verify_shard *shard, enum aggregation aggregation) {
    struct decimal sealed = table_get_decimal(&shard->usage, USAGE_QUANTITY);
    struct text org_id = table_get_text(shard->org, ORGS_ORG_ID);
    struct recompute_signed net = {.is_negative = false};
    int64_t events = 0;
    bool is_level = aggregation_table[aggregation].is_level;
    shard->days_with_data = 0;
    shard->has_series = false;
    memset(shard->series_days, 0, sizeof shard->series_days);
    if (is_level) {
        shard->days_with_data = table_get_int64(shard->org, ORGS_SUBSCRIBED_DAYS);
    }
    if (terms_walk_to(&shard->series, org_id, shard->metric)) {
        int64_t series = table_get_int64(&shard->series.cursor, SERIES_SERIES);
        events = table_get_int64(&shard->series.cursor, SERIES_EVENTS);
        shard->days_with_data = 0;
        shard->has_series = true;
        if (is_level) {
            net = net_of_level(shard, series, aggregation);
        } else {
            events = 0;
            net = net_of_flow(shard, series, aggregation, &events);
        }
    }
    const struct recompute_number zero = {.count = 0};
    bool is_quantity = verify_value(shard, "quantity", sealed, net.is_negative ? &zero : &net.size);
    bool is_negative = verify_negative(shard, org_id, &net);
    bool is_events =
        verify_count(shard, "events", table_get_int64(&shard->usage, USAGE_EVENTS), events);
    bool is_days =
        verify_count(shard, "days_with_data", table_get_int64(&shard->usage, USAGE_DAYS_WITH_DATA),
                     shard->days_with_data);
    return is_quantity && is_negative && is_events && is_days;
}

/* --- what a line needs ---------------------------------------------------------------------------
 */

bool verify_presence(struct verify_shard *shard, const char *what, bool is_sealed,
                     bool is_expected) {
    if (is_sealed != is_expected) {
        verify_disagree(shard, what, is_sealed ? "a value" : "nothing",
                        is_expected ? "a value" : "nothing");
    }
    return is_sealed == is_expected;
}

bool verify_optional(struct verify_shard *shard, const char *what, const struct table_cursor *row,
                     size_t column, bool has_value, const struct recompute_signed *expected) {
    bool is_sealed = !table_is_null(row, column);
    if (!verify_presence(shard, what, is_sealed, has_value) || !is_sealed) {
        return is_sealed == has_value;
    }
    struct decimal sealed = table_get_decimal(row, column);
    if (recompute_signed_is(expected, sealed)) {
        return true;
    }
    verify_signed_disagrees(shard, what, sealed, expected);
    return false;
}

static bool verify_moments(struct verify_shard *shard, int64_t series,
                           const struct recompute_trend *trend, bool is_expected) {
    struct verify_days *moments = &shard->moments;
    const struct table_cursor *row = &moments->cursor;
    const struct recompute_signed r_squared = {.size = trend->r_squared};
    bool is_sealed = days_are_of(moments, series);
    bool agrees = verify_presence(shard, "moments", is_sealed, is_expected);
    if (is_sealed && is_expected) {
        agrees = verify_optional(shard, "day_sum", row, MOMENTS_DAY_SUM, true, &trend->day_sum);
        agrees = verify_optional(shard, "day_moment", row, MOMENTS_DAY_MOMENT, true,
                                 &trend->day_moment) &&
                 agrees;
        agrees = verify_optional(shard, "r_squared", row, MOMENTS_R_SQUARED, trend->has_r_squared,
                                 &r_squared) &&
                 agrees;
        days_next(moments);
    }
    for (; days_are_of(moments, series); days_next(moments)) {
        agrees = verify_presence(shard, "moments", true, false);
    }
    return agrees;
}

/* The days themselves, where their sums are no decimals; else daily has none of them. */
static bool verify_daily(struct verify_shard *shard, int64_t series, bool is_expected) {
    struct verify_days *daily = &shard->daily;
    int32_t first_date = table_get_date(shard->org, ORGS_FIRST_DATE);
    bool agrees = true;
    for (int32_t day = 0; is_expected && day < TREND_DAYS_MAX; day++) {
        struct recompute_signed expected = recompute_flow_signed(&shard->series_days[day]);
        if (expected.size.count == 0) {
            continue;
        }
        bool is_sealed = days_are_of(daily, series) &&
                         table_get_date(&daily->cursor, DAILY_DAY) == first_date + day;
        agrees = verify_presence(shard, "day", is_sealed, true) && agrees;
        if (is_sealed) {
            agrees =
                verify_optional(shard, "day", &daily->cursor, DAILY_QUANTITY, true, &expected) &&
                agrees;
            days_next(daily);
        }
    }
    for (; days_are_of(daily, series); days_next(daily)) {
        agrees = verify_presence(shard, "day", true, false);
    }
    return agrees;
}

bool verify_series(struct verify_shard *shard, enum aggregation aggregation,
                   struct recompute_trend *trend) {
    int64_t days_count = table_get_int64(shard->org, ORGS_DAYS);
    struct recompute_series series = {
        .aggregation = aggregation,
        .days = shard->series_days,
        .days_count = days_count < TREND_DAYS_MAX ? (size_t)days_count : TREND_DAYS_MAX,
        .next_days_count = (size_t)table_get_int64(shard->org, ORGS_NEXT_DAYS),
        .days_with_data = (size_t)shard->days_with_data,
        .current = table_get_decimal(&shard->usage, USAGE_QUANTITY),
    };
    recompute_trend(&series, trend);
    if (!shard->has_series) {
        return true;
    }
    int64_t number = table_get_int64(&shard->series.cursor, SERIES_SERIES);
    bool has_sums = trend->has_line && recompute_fits(&trend->day_sum.size) &&
                    recompute_fits(&trend->day_moment.size);
    bool is_moments = verify_moments(shard, number, trend, has_sums);
    return verify_daily(shard, number, trend->has_line && !has_sums) && is_moments;
}

void verify_quantities_end(struct verify_shard *shard) {
    const struct {
        const struct verify_days *days;
        const char *name;
    } tables[] = {{&shard->days, "days"},
                  {&shard->keys, "keys"},
                  {&shard->levels, "levels"},
                  {&shard->moments, "moments"},
                  {&shard->daily, "daily"}};
    for (size_t index = 0; index < sizeof tables / sizeof tables[0]; index++) {
        struct disagreement *found =
            tables[index].days->has_row ? disagreements_add(&shard->disagreements) : NULL;
        if (found != NULL) {
            disagreement_name(found->org_id, text_from(tables[index].name));
            disagreement_name(found->what, text_from("rows by day"));
            (void)snprintf(found->sealed, sizeof found->sealed, "rows of series %lld",
                           (long long)table_get_int64(&tables[index].days->cursor, SERIES_COLUMN));
            (void)snprintf(found->expected, sizeof found->expected, "metered by no price");
        }
    }
}
