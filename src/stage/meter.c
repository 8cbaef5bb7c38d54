/*
 * meter: day partials become one quantity per (org, metric).
 *
 * Walks orgs, prices, series and the per-day tables side by side: all are sorted by org and metric,
 * and a series row exists only where a rated org's plan has a price. Nothing is looked up, nothing
 * is kept but the row at hand.
 *
 * It is also the last to read the days: what a line through them needs goes along with the
 * quantity, so that a replay from a later stage has no use for extract's largest files.
 */
#include <assert.h>

#include "rating/daily.h"
#include "rating/rated.h"
#include "stage/stages.h"

enum meter_input {
    INPUT_ORGS,
    INPUT_PLANS,
    INPUT_PRICES,
    INPUT_TIERS,
    INPUT_SERIES,
    INPUT_DAYS,
    INPUT_KEYS,
    INPUT_LEVELS,
    INPUTS_COUNT,
};

static const struct table_schema *const meter_inputs[INPUTS_COUNT] = {
    [INPUT_ORGS] = &checkpoint_orgs,     [INPUT_PLANS] = &checkpoint_plans,
    [INPUT_PRICES] = &checkpoint_prices, [INPUT_TIERS] = &checkpoint_tiers,
    [INPUT_SERIES] = &checkpoint_series, [INPUT_DAYS] = &checkpoint_days,
    [INPUT_KEYS] = &checkpoint_keys,     [INPUT_LEVELS] = &checkpoint_levels,
};

enum meter_output {
    OUTPUT_USAGE,
    OUTPUT_MOMENTS,
    OUTPUT_DAILY,
    OUTPUT_NEGATIVES,
    OUTPUTS_COUNT,
};

static const struct stage_output meter_outputs[OUTPUTS_COUNT] = {
    [OUTPUT_USAGE] = {.schema = &checkpoint_usage, .is_sharded = true},
    [OUTPUT_MOMENTS] = {.schema = &checkpoint_moments, .is_sharded = true},
    [OUTPUT_DAILY] = {.schema = &checkpoint_daily, .is_sharded = true},
    [OUTPUT_NEGATIVES] = {.schema = &checkpoint_negatives, .is_sharded = true},
};

enum meter_side { SIDE_SERIES };

struct meter {
    const struct stage_shard *shard;
    struct rated_walk walk;
    struct daily_walk daily;
    struct trend_days days; /* of the series at hand */
    bool has_strange_day;   /* one of them is of no day of the period, or there twice */
    int64_t events_in;      /* of all series rows */
    int64_t events_out;     /* of all usage rows */
};

struct metered {
    int128 net_units; /* checked to be a decimal in the end */
    int64_t days_with_data;
};

static int32_t meter_first_date(const struct meter *meter) {
    return table_get_date(&meter->walk.org, ORGS_FIRST_DATE);
}

static int64_t meter_period_us(const struct meter *meter) {
    return table_get_instant(&meter->walk.org, ORGS_PERIOD_END).us -
           table_get_instant(&meter->walk.org, ORGS_PERIOD_START).us;
}

static void meter_put_days(struct meter *meter, int64_t first, int64_t count,
                           struct decimal quantity) {
    meter->has_strange_day |= !trend_days_put(&meter->days, first, count, quantity);
}

/* --- flows --------------------------------------------------------------------------------------
 */

static bool meter_sum(struct meter *meter, int64_t series, struct metered *metered) {
    int32_t first_date = meter_first_date(meter);
    struct day_span span;
    while (day_walk_take(&meter->daily.days, series, &span)) {
        const struct decimal *sums = day_values(&span, DAYS_SUM);
        for (size_t row = span.from; row < span.until; row++) {
            meter_put_days(meter, day_offset(&span, row, first_date), 1, sums[row]);
            if (__builtin_add_overflow(metered->net_units, sums[row].units, &metered->net_units)) {
                return false;
            }
        }
        metered->days_with_data += (int64_t)(span.until - span.from);
    }
    return true;
}

/* Of whole numbers; their sum fits easily. */
static void add_counts(struct meter *meter, const struct day_span *span, size_t column,
                       int128 *sum) {
    int32_t first_date = meter_first_date(meter);
    const int64_t *counts = day_values(span, column);
    for (size_t row = span->from; row < span->until; row++) {
        struct decimal count;
        *sum += counts[row];
        (void)decimal_from_int64(counts[row], &count);
        meter_put_days(meter, day_offset(span, row, first_date), 1, count);
    }
}

/*
 * count: events; unique: new keys per day. A day with events has data also when it brought no new
 * key.
 */
static bool meter_count(struct meter *meter, int64_t series, bool is_unique,
                        struct metered *metered) {
    struct day_span span;
    struct decimal net;
    int128 sum = 0;
    while (day_walk_take(&meter->daily.days, series, &span)) {
        metered->days_with_data += (int64_t)(span.until - span.from);
        if (!is_unique) {
            add_counts(meter, &span, DAYS_COUNT, &sum);
        }
    }
    while (is_unique && day_walk_take(&meter->daily.keys, series, &span)) {
        add_counts(meter, &span, KEYS_KEYS, &sum);
    }
    bool fits = decimal_from_int128(sum, &net);
    metered->net_units = net.units;
    return fits;
}

/* --- levels -------------------------------------------------------------------------------------
 */

/* Sum of shares: whole 10^-15 units and a remainder of period_us-ths, rounded half away. */
struct share_sum {
    int128 units;
    int64_t remainder; /* 0 <= remainder < period_us */
};

static bool share_sum_add(struct share_sum *sum, struct decimal share, int64_t remainder,
                          int64_t period_us) {
    assert(remainder >= 0 && remainder < period_us);
    sum->remainder += remainder; /* both below 2^62 */
    int128 carry = sum->remainder >= period_us;
    sum->remainder -= carry != 0 ? period_us : 0;
    return !__builtin_add_overflow(sum->units, share.units, &sum->units) &&
           !__builtin_add_overflow(sum->units, carry, &sum->units);
}

static bool share_sum_round(const struct share_sum *sum, int64_t period_us, int128 *average) {
    /* A negative average is floored so far: exactly half stays below, which is away from zero. */
    int64_t twice = sum->remainder * 2;
    bool is_up = sum->units < 0 ? twice > period_us : twice >= period_us;
    return !__builtin_add_overflow(sum->units, (int128)is_up, average);
}

/* What all runs of days of a level come to. */
struct level_sum {
    bool has_highest;
    struct decimal highest;
    struct share_sum shares;
    int64_t run_first; /* first day of the last run */
    bool run_has_time; /* some of each of its days is subscribed */
    struct decimal run_level;
    int64_t days_with_data;
};

/* The last run holds until this day. */
static void level_sum_end_run(struct meter *meter, struct level_sum *sum, int64_t day) {
    if (sum->run_has_time) {
        sum->days_with_data += day - sum->run_first;
        meter_put_days(meter, sum->run_first, day - sum->run_first, sum->run_level);
    }
}

static bool level_sum_add(struct meter *meter, struct level_sum *sum, const struct day_span *span,
                          size_t row, int64_t period_us) {
    int64_t day = day_offset(span, row, meter_first_date(meter));
    level_sum_end_run(meter, sum, day);
    sum->run_first = day;
    sum->run_has_time = !day_is_null(span, LEVELS_CLOSING, row);
    if (sum->run_has_time) {
        sum->run_level = ((const struct decimal *)day_values(span, LEVELS_CLOSING))[row];
        struct decimal highest = ((const struct decimal *)day_values(span, LEVELS_HIGHEST))[row];
        sum->highest = sum->has_highest ? decimal_max(sum->highest, highest) : highest;
        sum->has_highest = true;
    }
    return share_sum_add(
        &sum->shares, ((const struct decimal *)day_values(span, LEVELS_SHARE))[row],
        ((const int64_t *)day_values(span, LEVELS_SHARE_REMAINDER))[row], period_us);
}

static bool meter_level(struct meter *meter, int64_t series, enum aggregation aggregation,
                        struct metered *metered) {
    const struct table_cursor *org = &meter->walk.org;
    const struct table_cursor *series_row = &meter->walk.sides[SIDE_SERIES].cursor;
    int64_t period_us = meter_period_us(meter);
    struct level_sum sum = {.highest = DECIMAL_ZERO};
    struct day_span span;
    while (day_walk_take(&meter->daily.levels, series, &span)) {
        for (size_t row = span.from; row < span.until; row++) {
            if (!level_sum_add(meter, &sum, &span, row, period_us)) {
                return false;
            }
        }
    }
    level_sum_end_run(meter, &sum, table_get_int64(org, ORGS_DAYS));
    metered->days_with_data = sum.days_with_data;
    switch (aggregation) {
    case AGGREGATION_LAST:
        metered->net_units = table_is_null(series_row, SERIES_METERED_LEVEL)
                                 ? 0
                                 : table_get_decimal(series_row, SERIES_METERED_LEVEL).units;
        return true;
    case AGGREGATION_MAX:
        metered->net_units = sum.highest.units;
        return true;
    case AGGREGATION_TIME_WEIGHTED:
        return share_sum_round(&sum.shares, period_us, &metered->net_units);
    case AGGREGATION_SUM:
    case AGGREGATION_COUNT:
    case AGGREGATION_UNIQUE:
    case AGGREGATIONS_COUNT:
        break;
    }
    assert(false && "a flow has no levels");
    return false;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static bool meter_series(struct meter *meter, int64_t series, struct metered *metered,
                         struct err *err) {
    const struct rated_walk *walk = &meter->walk;
    enum aggregation aggregation = walk->price->price.aggregation;
    trend_days_start(&meter->days, (size_t)table_get_int64(&walk->org, ORGS_DAYS));
    bool fits = aggregation == AGGREGATION_SUM ? meter_sum(meter, series, metered)
                : aggregation_table[aggregation].is_level
                    ? meter_level(meter, series, aggregation, metered)
                    : meter_count(meter, series, aggregation == AGGREGATION_UNIQUE, metered);
    if (meter->has_strange_day) {
        return err_set(err, ERR_DAMAGED, "%s: days of series %lld that its period does not have",
                       table_path(walk->sides[SIDE_SERIES].cursor.table), (long long)series);
    }
    return (fits && decimal_in_range(metered->net_units)) ||
           err_set(err, ERR_RANGE,
                   "org '%.*s', metric '%.*s': usage does not fit in 23 digits and 15 decimals",
                   (int)walk->org_id.size_bytes, walk->org_id.bytes,
                   (int)walk->price->metric.size_bytes, walk->price->metric.bytes);
}

static bool meter_put_negative(struct meter *meter, int128 net_units, struct err *err) {
    struct table_writer *negatives = meter->shard->outputs[OUTPUT_NEGATIVES];
    table_put_text(negatives, NEGATIVES_ORG_ID, meter->walk.org_id);
    table_put_text(negatives, NEGATIVES_METRIC, meter->walk.price->metric);
    table_put_decimal(negatives, NEGATIVES_NET, (struct decimal){net_units});
    return table_end_row(negatives, err);
}

/* The days themselves, when what a line needs of them is too large. */
static bool meter_put_daily(struct meter *meter, int64_t series, struct err *err) {
    struct table_writer *daily = meter->shard->outputs[OUTPUT_DAILY];
    for (size_t index = 0; index < meter->days.runs_count; index++) {
        const struct trend_run *run = &meter->days.runs[index];
        for (uint32_t day = run->first; day < run->first + run->days; day++) {
            table_put_int64(daily, DAILY_SERIES, series);
            table_put_date(daily, DAILY_DAY, meter_first_date(meter) + (int32_t)day);
            table_put_decimal(daily, DAILY_QUANTITY, run->quantity);
            if (!table_end_row(daily, err)) {
                return false;
            }
        }
    }
    return true;
}

/* What a line through the days needs, where one is fitted. */
static bool meter_put_moments(struct meter *meter, int64_t series, const struct metered *metered,
                              struct err *err) {
    struct table_writer *out = meter->shard->outputs[OUTPUT_MOMENTS];
    struct trend_moments moments;
    if (!trend_has_line(meter->days.days_count, (size_t)metered->days_with_data)) {
        return true;
    }
    trend_measure(&meter->days, &moments);
    if (!moments.has_sums) {
        return meter_put_daily(meter, series, err);
    }
    table_put_int64(out, MOMENTS_SERIES, series);
    table_put_decimal(out, MOMENTS_DAY_SUM, moments.sum);
    table_put_decimal(out, MOMENTS_DAY_MOMENT, moments.moment);
    if (moments.has_r_squared) {
        table_put_decimal(out, MOMENTS_R_SQUARED, moments.r_squared);
    }
    return table_end_row(out, err);
}

static bool meter_price(struct meter *meter, struct err *err) {
    const struct rated_walk *walk = &meter->walk;
    const struct rated_side *series = &walk->sides[SIDE_SERIES];
    struct table_writer *usage = meter->shard->outputs[OUTPUT_USAGE];
    struct metered metered = {.net_units = 0};
    int64_t events = 0;
    if (series->is_here) {
        int64_t number = table_get_int64(&series->cursor, SERIES_SERIES);
        events = table_get_int64(&series->cursor, SERIES_EVENTS);
        if (!meter_series(meter, number, &metered, err) ||
            (metered.net_units < 0 && !meter_put_negative(meter, metered.net_units, err)) ||
            !meter_put_moments(meter, number, &metered, err)) {
            return false;
        }
        table_put_int64(usage, USAGE_SERIES, number);
    } else if (aggregation_table[walk->price->price.aggregation].is_level) {
        metered.days_with_data = table_get_int64(&walk->org, ORGS_SUBSCRIBED_DAYS); /* at zero */
    }
    meter->events_out += events;
    table_put_text(usage, USAGE_ORG_ID, walk->org_id);
    table_put_text(usage, USAGE_METRIC, walk->price->metric);
    table_put_decimal(usage, USAGE_QUANTITY,
                      (struct decimal){metered.net_units > 0 ? metered.net_units : 0});
    table_put_int64(usage, USAGE_EVENTS, events);
    table_put_int64(usage, USAGE_DAYS_WITH_DATA, metered.days_with_data);
    return table_end_row(usage, err);
}

/* Every event that extract metered is in exactly one row of usage, and every day row was used. */
static bool meter_check(struct meter *meter, struct err *err) {
    static const char row[] = "events of series = events of usage";
    struct decimal left;
    struct decimal right;
    struct table_cursor cursor = table_cursor_start(meter->shard->inputs[INPUT_SERIES]);
    while (table_cursor_next(&cursor)) {
        meter->events_in += table_get_int64(&cursor, SERIES_EVENTS);
    }
    (void)decimal_from_int64(meter->events_in, &left);
    (void)decimal_from_int64(meter->events_out, &right);
    struct text unit = text_from("events");
    return totals_add_left(meter->shard->totals, row, unit, left, err) &&
           totals_add_right(meter->shard->totals, row, unit, right, err) &&
           daily_walk_end(&meter->daily, err);
}

static bool meter_compute(const struct stage_shard *shard, struct err *err) {
    struct terms terms;
    if (!terms_load(&terms, shard->inputs[INPUT_PLANS], shard->inputs[INPUT_PRICES],
                    shard->inputs[INPUT_TIERS], shard->arena, err)) {
        return false;
    }
    struct meter meter = {
        .shard = shard,
        .walk = rated_walk_start(&terms, shard->inputs[INPUT_ORGS]),
        .daily = daily_walk_start(shard->inputs[INPUT_DAYS], shard->inputs[INPUT_KEYS],
                                  shard->inputs[INPUT_LEVELS]),
    };
    rated_walk_beside(&meter.walk, SIDE_SERIES, shard->inputs[INPUT_SERIES]);
    while (rated_walk_next_org(&meter.walk, err)) {
        while (rated_walk_next_price(&meter.walk, err)) {
            if (!meter_price(&meter, err)) {
                return false;
            }
        }
    }
    return err->code == ERR_NONE && meter_check(&meter, err);
}

const struct stage stage_meter = {
    .name = "meter",
    .number = 20,
    .version = 3,
    .effect = EFFECT_NONE,
    .summary = "turn day partials into one quantity per org and metric",
    .inputs = meter_inputs,
    .inputs_count = INPUTS_COUNT,
    .outputs = meter_outputs,
    .outputs_count = OUTPUTS_COUNT,
    .compute = meter_compute,
};
