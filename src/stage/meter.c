/*
 * meter: day partials become one quantity per (org, metric), and the daily series.
 *
 * Walks orgs, prices, series and the per-day tables side by side: all are sorted by org and metric,
 * and a series row exists only where a rated org's plan has a price. Nothing is looked up, nothing
 * is kept but the row at hand.
 */
#include <assert.h>

#include "rating/terms.h"
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

enum meter_output { OUTPUT_USAGE, OUTPUT_DAILY, OUTPUTS_COUNT };

static const struct stage_output meter_outputs[OUTPUTS_COUNT] = {
    [OUTPUT_USAGE] = {.schema = &checkpoint_usage, .is_sharded = true},
    [OUTPUT_DAILY] = {.schema = &checkpoint_daily, .is_sharded = true},
};

/* A per-day table, read from front to back; its first column is the series. */
struct day_walk {
    struct table_cursor cursor;
    bool has_row;
};

static struct day_walk day_walk_start(const struct table *table) {
    struct day_walk walk = {.cursor = table_cursor_start(table)};
    walk.has_row = table_cursor_next(&walk.cursor);
    return walk;
}

static bool day_walk_is_at(const struct day_walk *walk, int64_t series) {
    enum { SERIES_COLUMN = 0 };
    return walk->has_row && table_get_int64(&walk->cursor, SERIES_COLUMN) == series;
}

static void day_walk_next(struct day_walk *walk) {
    walk->has_row = table_cursor_next(&walk->cursor);
}

_Static_assert(DAYS_SERIES == 0 && KEYS_SERIES == 0 && LEVELS_SERIES == 0,
               "a day walk reads the series from the first column");

struct meter {
    const struct stage_shard *shard;
    struct day_walk days;
    struct day_walk keys;
    struct day_walk levels;
    int64_t series_out; /* number of the usage row being made */
    int64_t events_in;  /* of all series rows */
    int64_t events_out; /* of all usage rows */
    int64_t period_us;  /* length of the org's period */
    struct text org_id; /* at hand, for messages */
    struct text metric;
};

struct metered {
    struct decimal net;
    int64_t days_with_data;
};

static bool meter_range(const struct meter *meter, struct err *err) {
    return err_set(err, ERR_RANGE,
                   "org '%.*s', metric '%.*s': usage does not fit in 23 digits "
                   "and 15 decimals",
                   (int)meter->org_id.size_bytes, meter->org_id.bytes,
                   (int)meter->metric.size_bytes, meter->metric.bytes);
}

static bool meter_put_day(struct meter *meter, int32_t day, const struct decimal *quantity,
                          struct err *err) {
    struct table_writer *daily = meter->shard->outputs[OUTPUT_DAILY];
    table_put_int64(daily, DAILY_SERIES, meter->series_out);
    table_put_date(daily, DAILY_DAY, day);
    if (quantity != NULL) {
        table_put_decimal(daily, DAILY_QUANTITY, *quantity);
    }
    return table_end_row(daily, err);
}

/* sum and count: the days' rows are the series. */
static bool meter_days(struct meter *meter, int64_t series, bool is_count, struct metered *metered,
                       struct err *err) {
    for (; day_walk_is_at(&meter->days, series); day_walk_next(&meter->days)) {
        struct decimal quantity = table_get_decimal(&meter->days.cursor, DAYS_SUM);
        if (is_count) {
            (void)decimal_from_int64(table_get_int64(&meter->days.cursor, DAYS_COUNT), &quantity);
        }
        if (!decimal_add(metered->net, quantity, &metered->net)) {
            return meter_range(meter, err);
        }
        metered->days_with_data++;
        if (!meter_put_day(meter, table_get_date(&meter->days.cursor, DAYS_DAY), &quantity, err)) {
            return false;
        }
    }
    return true;
}

/* unique: new keys per day; a day with events has data also when it brought no new key. */
static bool meter_keys(struct meter *meter, int64_t series, struct metered *metered,
                       struct err *err) {
    for (; day_walk_is_at(&meter->days, series); day_walk_next(&meter->days)) {
        metered->days_with_data++;
    }
    for (; day_walk_is_at(&meter->keys, series); day_walk_next(&meter->keys)) {
        struct decimal quantity;
        (void)decimal_from_int64(table_get_int64(&meter->keys.cursor, KEYS_KEYS), &quantity);
        if (!decimal_add(metered->net, quantity, &metered->net)) {
            return meter_range(meter, err);
        }
        if (!meter_put_day(meter, table_get_date(&meter->keys.cursor, KEYS_DAY), &quantity, err)) {
            return false;
        }
    }
    return true;
}

/* Sum of shares: whole 10^-15 units and a remainder of period_us-ths, rounded half away. */
struct share_sum {
    int128 units;
    int64_t remainder; /* 0 <= remainder < period_us */
};

static bool share_sum_add(struct share_sum *sum, struct decimal share, int64_t remainder,
                          int64_t period_us) {
    assert(remainder >= 0 && remainder < period_us);
    int64_t carried = sum->remainder + remainder; /* both below 2^62 */
    int128 carry = carried / period_us;
    sum->remainder = carried % period_us;
    return !__builtin_add_overflow(sum->units, share.units, &sum->units) &&
           !__builtin_add_overflow(sum->units, carry, &sum->units);
}

static bool share_sum_round(const struct share_sum *sum, int64_t period_us,
                            struct decimal *average) {
    /* A negative average is floored so far: exactly half stays below, which is away from zero. */
    int64_t twice = sum->remainder * 2;
    bool is_up = sum->units < 0 ? twice > period_us : twice >= period_us;
    average->units = sum->units + (is_up ? 1 : 0);
    return decimal_in_range(average->units);
}

static bool meter_levels(struct meter *meter, int64_t series, enum aggregation aggregation,
                         const struct table_cursor *org, struct decimal metered_level,
                         struct metered *metered, struct err *err) {
    int32_t first_date = table_get_date(org, ORGS_FIRST_DATE);
    struct share_sum shares = {0};
    bool has_highest = false;
    struct decimal highest = DECIMAL_ZERO;
    int32_t run_date = first_date;
    bool run_has_time = false;
    while (day_walk_is_at(&meter->levels, series)) {
        const struct table_cursor *row = &meter->levels.cursor;
        int32_t date = table_get_date(row, LEVELS_DAY);
        metered->days_with_data += run_has_time ? date - run_date : 0;
        run_date = date;
        run_has_time = !table_is_null(row, LEVELS_CLOSING);
        struct decimal closing = DECIMAL_ZERO;
        if (run_has_time) {
            struct decimal run_highest = table_get_decimal(row, LEVELS_HIGHEST);
            closing = table_get_decimal(row, LEVELS_CLOSING);
            highest = has_highest ? decimal_max(highest, run_highest) : run_highest;
            has_highest = true;
        }
        if (!share_sum_add(&shares, table_get_decimal(row, LEVELS_SHARE),
                           table_get_int64(row, LEVELS_SHARE_REMAINDER), meter->period_us)) {
            return meter_range(meter, err);
        }
        if (!meter_put_day(meter, date, run_has_time ? &closing : NULL, err)) {
            return false;
        }
        day_walk_next(&meter->levels);
    }
    metered->days_with_data +=
        run_has_time ? first_date + table_get_int64(org, ORGS_DAYS) - run_date : 0;
    switch (aggregation) {
    case AGGREGATION_LAST:
        metered->net = metered_level;
        return true;
    case AGGREGATION_MAX:
        metered->net = highest;
        return true;
    case AGGREGATION_TIME_WEIGHTED:
        return share_sum_round(&shares, meter->period_us, &metered->net) || meter_range(meter, err);
    case AGGREGATION_SUM:
    case AGGREGATION_COUNT:
    case AGGREGATION_UNIQUE:
    case AGGREGATIONS_COUNT:
        break;
    }
    assert(false && "a flow has no levels");
    return false;
}

static bool meter_series(struct meter *meter, const struct table_cursor *org,
                         const struct table_cursor *series_row, enum aggregation aggregation,
                         struct metered *metered, struct err *err) {
    int64_t series = table_get_int64(series_row, SERIES_SERIES);
    if (aggregation == AGGREGATION_SUM || aggregation == AGGREGATION_COUNT) {
        return meter_days(meter, series, aggregation == AGGREGATION_COUNT, metered, err);
    }
    if (aggregation == AGGREGATION_UNIQUE) {
        return meter_keys(meter, series, metered, err);
    }
    struct decimal metered_level = DECIMAL_ZERO;
    if (!table_is_null(series_row, SERIES_METERED_LEVEL)) {
        metered_level = table_get_decimal(series_row, SERIES_METERED_LEVEL);
    }
    return meter_levels(meter, series, aggregation, org, metered_level, metered, err);
}

static bool meter_price(struct meter *meter, const struct table_cursor *org,
                        const struct terms_price *price, struct terms_walk *series,
                        struct err *err) {
    struct metered metered = {.net = DECIMAL_ZERO};
    struct table_writer *usage = meter->shard->outputs[OUTPUT_USAGE];
    int64_t events = 0;
    meter->metric = price->metric;
    bool has_series = terms_walk_to(series, meter->org_id, price->metric);
    if (has_series) {
        events = table_get_int64(&series->cursor, SERIES_EVENTS);
        if (!meter_series(meter, org, &series->cursor, price->price.aggregation, &metered, err)) {
            return false;
        }
        if (!table_is_null(&series->cursor, SERIES_CLOSING_LEVEL)) {
            table_put_decimal(usage, USAGE_CLOSING_LEVEL,
                              table_get_decimal(&series->cursor, SERIES_CLOSING_LEVEL));
        }
    }
    if (!has_series && aggregation_table[price->price.aggregation].is_level) {
        metered.days_with_data = table_get_int64(org, ORGS_SUBSCRIBED_DAYS); /* a level of zero */
    }
    meter->events_out += events;
    table_put_text(usage, USAGE_ORG_ID, meter->org_id);
    table_put_text(usage, USAGE_METRIC, price->metric);
    table_put_int64(usage, USAGE_SERIES, meter->series_out++);
    table_put_decimal(usage, USAGE_QUANTITY, decimal_max(metered.net, DECIMAL_ZERO));
    table_put_decimal(usage, USAGE_NET, metered.net);
    table_put_int64(usage, USAGE_EVENTS, events);
    table_put_int64(usage, USAGE_DAYS_WITH_DATA, metered.days_with_data);
    return table_end_row(usage, err);
}

/* Every event that extract metered is in exactly one row of usage, and every day row was used. */
static bool meter_check(struct meter *meter, struct err *err) {
    struct decimal left;
    struct decimal right;
    struct table_cursor cursor = table_cursor_start(meter->shard->inputs[INPUT_SERIES]);
    while (table_cursor_next(&cursor)) {
        meter->events_in += table_get_int64(&cursor, SERIES_EVENTS);
    }
    (void)decimal_from_int64(meter->events_in, &left);
    (void)decimal_from_int64(meter->events_out, &right);
    struct text unit = text_from("events");
    if (!totals_add_left(meter->shard->totals, "events of series = events of usage", unit, left,
                         err) ||
        !totals_add_right(meter->shard->totals, "events of series = events of usage", unit, right,
                          err)) {
        return false;
    }
    if (meter->days.has_row || meter->keys.has_row || meter->levels.has_row) {
        return err_set(err, ERR_DAMAGED, "%s: days of a series that no price meters",
                       table_path(meter->shard->inputs[INPUT_DAYS]));
    }
    return true;
}

static bool meter_compute(const struct stage_shard *shard, struct err *err) {
    struct terms terms;
    if (!terms_load(&terms, shard->inputs[INPUT_PLANS], shard->inputs[INPUT_PRICES],
                    shard->inputs[INPUT_TIERS], shard->arena, err)) {
        return false;
    }
    struct meter meter = {
        .shard = shard,
        .days = day_walk_start(shard->inputs[INPUT_DAYS]),
        .keys = day_walk_start(shard->inputs[INPUT_KEYS]),
        .levels = day_walk_start(shard->inputs[INPUT_LEVELS]),
        .series_out = (int64_t)shard->shard_index << 32,
    };
    struct terms_walk series = terms_walk_start(shard->inputs[INPUT_SERIES]);
    struct table_cursor org = table_cursor_start(shard->inputs[INPUT_ORGS]);
    while (table_cursor_next(&org)) {
        if (!table_is_null(&org, ORGS_REASON)) {
            continue; /* set aside or listed */
        }
        const struct terms_plan *plan;
        if (!terms_find_plan(&terms, table_get_int64(&org, ORGS_TERMS),
                             table_get_text(&org, ORGS_PLAN_ID), &plan, err)) {
            return false;
        }
        meter.org_id = table_get_text(&org, ORGS_ORG_ID);
        meter.period_us = table_get_instant(&org, ORGS_PERIOD_END).us -
                          table_get_instant(&org, ORGS_PERIOD_START).us;
        for (size_t price_index = 0; price_index < plan->prices_count; price_index++) {
            if (!meter_price(&meter, &org, &plan->prices[price_index], &series, err)) {
                return false;
            }
        }
    }
    return meter_check(&meter, err);
}

const struct stage stage_meter = {
    .name = "meter",
    .number = 20,
    .version = 1,
    .effect = EFFECT_NONE,
    .summary = "turn day partials into one quantity per org and metric, and a daily series",
    .inputs = meter_inputs,
    .inputs_count = INPUTS_COUNT,
    .outputs = meter_outputs,
    .outputs_count = OUTPUTS_COUNT,
    .compute = meter_compute,
};
