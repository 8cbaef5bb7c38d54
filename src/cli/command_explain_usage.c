/* explain: what was used and when, and what of it did not count. */
#include <stdio.h>

#include "explain.h"
#include "rating/daily.h"

/* --- flows --------------------------------------------------------------------------------------
 */

static const char *const aggregation_words[AGGREGATIONS_COUNT] = {
    [AGGREGATION_SUM] = "sum of",
    [AGGREGATION_COUNT] = "one for each of",
    [AGGREGATION_MAX] = "highest level",
    [AGGREGATION_LAST] = "level at the end",
    [AGGREGATION_UNIQUE] = "different keys in",
    [AGGREGATION_TIME_WEIGHTED] = "average level over the whole period",
};

static bool say_instants(const struct explanation *explanation, struct instant first_at,
                         struct instant last_at, struct err *err) {
    return explain_say_span(explanation,
                            &(struct explain_span){.from = first_at,
                                                   .until = last_at,
                                                   .one = "at ",
                                                   .first = "first ",
                                                   .between = ", last "},
                            err);
}

static bool say_first_and_last(const struct explanation *explanation,
                               const struct table_cursor *series, struct err *err) {
    return table_is_null(series, SERIES_FIRST_AT) || table_is_null(series, SERIES_LAST_AT) ||
           say_instants(explanation, table_get_instant(series, SERIES_FIRST_AT),
                        table_get_instant(series, SERIES_LAST_AT), err);
}

static bool say_busiest_day(const struct explanation *explanation,
                            const struct explain_metric *metric, struct err *err) {
    enum { DAYS_MAX = 64 };
    const struct explain_tables *tables = &explanation->tables;
    struct daily_walk walk = daily_walk_start(tables->days, tables->keys, tables->levels);
    struct decimal quantities[DAYS_MAX];
    int64_t series = table_get_int64(&metric->usage, USAGE_SERIES);
    int32_t first_date = table_get_date(&explanation->org, ORGS_FIRST_DATE);
    int64_t days_count = table_get_int64(&explanation->org, ORGS_DAYS);
    size_t busiest = 0;
    daily_walk_to(&walk, series);
    if (days_count < 1 || days_count > DAYS_MAX ||
        !daily_walk_fill(&walk, series, metric->price->price.aggregation, first_date,
                         (size_t)days_count, quantities)) {
        return err_set(err, ERR_DAMAGED, "%s: days that the org's period does not have",
                       table_path(tables->days));
    }
    for (size_t day = 1; day < (size_t)days_count; day++) {
        busiest = quantities[day].units > quantities[busiest].units ? day : busiest;
    }
    char date[INSTANT_TEXT_MAX];
    char quantity[PRINT_NUMBER_MAX];
    (void)civil_format(first_date + (int32_t)busiest, date);
    (void)print_decimal(quantities[busiest], quantity);
    return quantities[busiest].units <= 0 ||
           explain_say(explanation, err, "", "busiest day %s with %s", date, quantity);
}

static bool say_flow(const struct explanation *explanation, const struct explain_metric *metric,
                     const struct table_cursor *series, struct err *err) {
    char quantity[PRINT_NUMBER_MAX];
    char events[PRINT_NUMBER_MAX];
    uint64_t events_count = (uint64_t)table_get_int64(&metric->usage, USAGE_EVENTS);
    int64_t days_with_data = table_get_int64(&metric->usage, USAGE_DAYS_WITH_DATA);
    (void)print_decimal(table_get_decimal(&metric->usage, USAGE_QUANTITY), quantity);
    (void)print_count(events_count, events);
    if (series == NULL || events_count == 0) {
        return explain_say(explanation, err, "usage", "%s: no events in the period", quantity);
    }
    return explain_say(explanation, err, "usage", "%s: %s %s event%s on %lld of %lld days",
                       quantity, aggregation_words[metric->price->price.aggregation], events,
                       events_count == 1 ? "" : "s", (long long)days_with_data,
                       (long long)table_get_int64(&explanation->org, ORGS_DAYS)) &&
           say_first_and_last(explanation, series, err) &&
           (days_with_data < 2 || say_busiest_day(explanation, metric, err));
}

/* --- levels -------------------------------------------------------------------------------------
 */

struct level_words {
    bool has_highest;
    struct decimal highest;
    int32_t highest_day;
    bool has_average;
    struct decimal average;
};

/* shares + left_over / period, half away from zero. */
static bool level_average(struct decimal shares, int128 left_over, int64_t period_us,
                          struct decimal *average) {
    int128 whole = left_over / period_us;
    int128 rest = left_over % period_us;
    int128 units = shares.units + whole;
    int128 twice = rest * 2;
    bool goes_up = twice > period_us || (twice == period_us && units >= 0);
    average->units = units + (goes_up ? 1 : 0);
    return decimal_in_range(average->units);
}

static struct level_words level_read(const struct explanation *explanation, int64_t series) {
    struct level_words words = {.has_average = true};
    struct decimal shares = DECIMAL_ZERO;
    int128 left_over = 0;
    struct table_cursor row = table_cursor_start(explanation->tables.levels);
    while (table_cursor_next(&row) && table_get_int64(&row, LEVELS_SERIES) <= series) {
        if (table_get_int64(&row, LEVELS_SERIES) < series) {
            continue;
        }
        left_over += table_get_int64(&row, LEVELS_SHARE_REMAINDER);
        words.has_average = words.has_average &&
                            decimal_add(shares, table_get_decimal(&row, LEVELS_SHARE), &shares);
        if (table_is_null(&row, LEVELS_HIGHEST)) {
            continue;
        }
        struct decimal highest = table_get_decimal(&row, LEVELS_HIGHEST);
        if (!words.has_highest || highest.units > words.highest.units) {
            words.has_highest = true;
            words.highest = highest;
            words.highest_day = table_get_date(&row, LEVELS_DAY);
        }
    }
    int64_t period_us = table_get_instant(&explanation->org, ORGS_PERIOD_END).us -
                        table_get_instant(&explanation->org, ORGS_PERIOD_START).us;
    words.has_average = words.has_average && period_us > 0 &&
                        level_average(shares, left_over, period_us, &words.average);
    return words;
}

static bool say_opening_and_closing(const struct explanation *explanation,
                                    const struct table_cursor *series, struct err *err) {
    char opening[PRINT_NUMBER_MAX] = "0";
    char closing[PRINT_NUMBER_MAX] = "0";
    if (!table_is_null(series, SERIES_OPENING_LEVEL)) {
        (void)print_decimal(table_get_decimal(series, SERIES_OPENING_LEVEL), opening);
    }
    if (!table_is_null(series, SERIES_CLOSING_LEVEL)) {
        (void)print_decimal(table_get_decimal(series, SERIES_CLOSING_LEVEL), closing);
    }
    if (!explain_say(explanation, err, "", "opened the period at %s, closed it at %s", opening,
                     closing)) {
        return false;
    }
    if (table_is_null(series, SERIES_METERED_LEVEL) ||
        table_is_null(series, SERIES_CLOSING_LEVEL) ||
        decimal_compare(table_get_decimal(series, SERIES_METERED_LEVEL),
                        table_get_decimal(series, SERIES_CLOSING_LEVEL)) == 0) {
        return true;
    }
    (void)print_decimal(table_get_decimal(series, SERIES_METERED_LEVEL), closing);
    return explain_say(explanation, err, "", "it was %s when the subscription ended", closing);
}

static bool say_highest_and_average(const struct explanation *explanation,
                                    const struct table_cursor *series, struct err *err) {
    struct level_words words = level_read(explanation, table_get_int64(series, SERIES_SERIES));
    char day[INSTANT_TEXT_MAX];
    char highest[PRINT_NUMBER_MAX];
    char average[PRINT_NUMBER_MAX];
    (void)civil_format(words.highest_day, day);
    (void)print_decimal(words.highest, highest);
    (void)print_decimal(words.average, average);
    return !words.has_highest || !words.has_average ||
           explain_say(explanation, err, "", "highest %s, first on %s; average over time %s",
                       highest, day, average);
}

static bool say_level(const struct explanation *explanation, const struct explain_metric *metric,
                      const struct table_cursor *series, struct err *err) {
    char quantity[PRINT_NUMBER_MAX];
    char events[PRINT_NUMBER_MAX];
    enum aggregation aggregation = metric->price->price.aggregation;
    uint64_t events_count = (uint64_t)table_get_int64(&metric->usage, USAGE_EVENTS);
    (void)print_decimal(table_get_decimal(&metric->usage, USAGE_QUANTITY), quantity);
    (void)print_count(events_count, events);
    if (series == NULL) {
        return explain_say(explanation, err, "usage", "%s: the level was zero all the time",
                           quantity);
    }
    return explain_say(explanation, err, "usage", "%s: %s%s", quantity,
                       aggregation_words[aggregation],
                       aggregation == AGGREGATION_LAST ? " of the subscribed time" : "") &&
           say_opening_and_closing(explanation, series, err) &&
           say_highest_and_average(explanation, series, err) &&
           (explain_is_subscribed_throughout(explanation) ||
            explain_say(explanation, err, "",
                        "rows outside its subscribed time move the level, too, but are not counted "
                        "as events")) &&
           (events_count == 0 || (explain_say(explanation, err, "", "set or changed by %s event%s",
                                              events, events_count == 1 ? "" : "s") &&
                                  say_first_and_last(explanation, series, err)));
}

/* --- what did not count -------------------------------------------------------------------------
 */

static bool say_aside(const struct explanation *explanation, const struct table_cursor *row,
                      struct err *err) {
    char quantity[PRINT_NUMBER_MAX];
    int64_t events = table_get_int64(row, ASIDES_EVENTS);
    bool is_opening = text_equals(table_get_text(row, ASIDES_KIND), text_from("late_opening"));
    (void)print_decimal(table_get_decimal(row, ASIDES_QUANTITY), quantity);
    return explain_say(explanation, err, "late",
                       is_opening
                           ? "%s in %lld event%s before the period, not yet in its recorded "
                             "opening level: counted"
                           : "%s in %lld event%s recorded after the cutoff: not counted here",
                       quantity, (long long)events, events == 1 ? "" : "s") &&
           say_instants(explanation, table_get_instant(row, ASIDES_FIRST_AT),
                        table_get_instant(row, ASIDES_LAST_AT), err);
}

static bool say_asides(const struct explanation *explanation, const struct explain_metric *metric,
                       struct err *err) {
    struct table_cursor row = table_cursor_start(explanation->tables.asides);
    while (table_cursor_next(&row)) {
        if (text_equals(table_get_text(&row, ASIDES_ORG_ID), explanation->org_id) &&
            text_equals(table_get_text(&row, ASIDES_METRIC), metric->price->metric) &&
            !text_equals(table_get_text(&row, ASIDES_KIND), text_from("unpriced")) &&
            !say_aside(explanation, &row, err)) {
            return false;
        }
    }
    return true;
}

static bool say_negative(const struct explanation *explanation, const struct explain_metric *metric,
                         struct err *err) {
    struct table_cursor row;
    char text[PRINT_NUMBER_MAX];
    if (!explain_find(explanation, explanation->tables.negatives, metric->price->metric, &row)) {
        return true;
    }
    (void)print_decimal(table_get_decimal(&row, NEGATIVES_NET), text);
    return explain_say(explanation, err, "negative", "it comes to %s, which is billed as zero",
                       text);
}

bool explain_usage(const struct explanation *explanation, const struct explain_metric *metric,
                   struct err *err) {
    struct table_cursor series;
    bool has_series =
        explain_find(explanation, explanation->tables.series, metric->price->metric, &series);
    const struct table_cursor *row = has_series ? &series : NULL;
    bool is_level = aggregation_table[metric->price->price.aggregation].is_level;
    return (is_level ? say_level(explanation, metric, row, err)
                     : say_flow(explanation, metric, row, err)) &&
           say_asides(explanation, metric, err) && say_negative(explanation, metric, err);
}
