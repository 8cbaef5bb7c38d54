/*
 * The level meter.
 *
 * Time is walked once, in stretches of constant level that end at rows, at day boundaries and at
 * the ends of subscribed time. Most levels stand still for most days, so the area (level x time) of
 * a still stretch is kept as microseconds and multiplied only when the level moves or a run ends.
 */
#include "rating/level.h"

#include <assert.h>

int level_row_compare(const struct level_row *left, const struct level_row *right) {
    int order = instant_compare(left->occurred_at, right->occurred_at);
    if (order == 0) {
        order = (int)right->is_set - (int)left->is_set; /* set before delta */
    }
    if (order == 0) {
        order = text_compare(left->event_id, right->event_id);
    }
    if (order == 0) {
        order = decimal_compare(left->quantity, right->quantity);
    }
    if (order == 0) {
        order = text_compare(left->unique_key, right->unique_key);
    }
    return order;
}

bool level_fold(struct decimal *level, bool is_set, struct decimal quantity) {
    if (is_set) {
        *level = quantity;
        return true;
    }
    return decimal_add(*level, quantity, level);
}

void level_meter_init(struct level_meter *meter, struct level_window window,
                      struct decimal opening_level, struct level_result *result) {
    assert(window.calendar->days_count > 0);
    assert(window.calendar->days_count <= CALENDAR_DAYS_MAX);
    struct instant reached = calendar_start(window.calendar);
    for (size_t index = 0; index < window.subscribed_count; index++) {
        const struct interval *interval = &window.subscribed[index];
        assert(instant_compare(reached, interval->from) <= 0);
        assert(instant_compare(interval->from, interval->until) < 0);
        reached = interval->until;
    }
    assert(instant_compare(reached, calendar_end(window.calendar)) <= 0);
    *meter = (struct level_meter){
        .window = window,
        .level = opening_level,
        .read_level = opening_level,
        .reached = calendar_start(window.calendar),
        .result = result,
    };
    result->opening_level = opening_level;
    result->closing_level = opening_level;
    result->metered_level = DECIMAL_ZERO;
    result->runs_count = 0;
}

/* sum += level x microseconds: 128 + 43 bits, which 256 hold for every run of a period. */
static void area_add(struct exact *sum, struct decimal level, int64_t still_us) {
    if (still_us != 0) {
        bool fits = exact_add_product(sum, level, (struct decimal){.units = still_us});
        assert(fits);
    }
}

/* area / length_us: floored quotient and remainder; length_us > 0. */
static void area_divide(struct exact area, int64_t length_us, struct level_run *run) {
    bool is_negative = (area.limbs[3] >> 63) != 0;
    uint64_t limbs[4];
    uint64_t carry = is_negative;
    for (size_t index = 0; index < 4; index++) {
        uint64_t limb = is_negative ? ~area.limbs[index] : area.limbs[index];
        limbs[index] = limb + carry;
        carry = limbs[index] < carry;
    }
    uint64_t divisor = (uint64_t)length_us;
    uint64_t remainder = 0;
    for (size_t index = 4; index-- > 0;) {
        if ((remainder | limbs[index]) == 0) {
            continue; /* the upper limbs of most */
        }
        uint128 dividend = (uint128)remainder << 64 | limbs[index];
        uint64_t quotient_limb = (uint64_t)(dividend / divisor);
        remainder = (uint64_t)dividend - quotient_limb * divisor;
        limbs[index] = quotient_limb;
    }
    /* A mean over at most the whole length lies between the levels it came from. */
    assert(limbs[3] == 0 && limbs[2] == 0 && limbs[1] >> 63 == 0);
    int128 quotient = (int128)((uint128)limbs[1] << 64 | limbs[0]);
    if (is_negative) {
        quotient = -quotient;
        if (remainder != 0) {
            quotient -= 1;
            remainder = divisor - remainder;
        }
    }
    assert(decimal_in_range(quotient));
    run->share.units = quotient;
    run->share_remainder = (int64_t)remainder;
}

static void level_meter_end_run(struct level_meter *meter) {
    struct level_result *result = meter->result;
    if (result->runs_count == 0) {
        return;
    }
    area_add(&meter->run_area, meter->run_level, meter->run_still_us);
    const struct calendar *calendar = meter->window.calendar;
    area_divide(meter->run_area, calendar_end(calendar).us - calendar_start(calendar).us,
                &result->runs[result->runs_count - 1]);
}

/* A still day whose numbers are those of the run before it belongs to that run. */
static bool level_meter_day_joins(const struct level_meter *meter) {
    const struct level_result *result = meter->result;
    if (result->runs_count == 0 || meter->day_has_moved) {
        return false;
    }
    const struct level_run *run = &result->runs[result->runs_count - 1];
    return run->has_time == meter->day_has_time && run->closing.units == meter->day_closing.units &&
           run->highest.units == meter->day_highest.units;
}

static void level_meter_end_day(struct level_meter *meter) {
    struct level_result *result = meter->result;
    if (level_meter_day_joins(meter)) {
        assert(meter->run_level.units == meter->read_level.units);
        meter->run_still_us += meter->day_still_us;
    } else {
        level_meter_end_run(meter);
        assert(result->runs_count < CALENDAR_DAYS_MAX);
        result->runs[result->runs_count++] = (struct level_run){
            .first_day = meter->day,
            .has_time = meter->day_has_time,
            .closing = meter->day_closing,
            .highest = meter->day_highest,
        };
        meter->run_level = meter->read_level;
        meter->run_area = meter->day_area;
        meter->run_still_us = meter->day_still_us;
    }
    meter->day++;
    meter->day_has_moved = false;
    meter->day_has_time = false;
    meter->day_highest = DECIMAL_ZERO;
    meter->day_closing = DECIMAL_ZERO;
    meter->day_area = EXACT_ZERO;
    meter->day_still_us = 0;
}

/* How much of [from_us, until_us) is subscribed; the intervals are walked once. */
static int64_t level_meter_subscribed_us(struct level_meter *meter, int64_t from_us,
                                         int64_t until_us) {
    int64_t subscribed_us = 0;
    const struct level_window *window = &meter->window;
    while (meter->subscribed_next < window->subscribed_count) {
        const struct interval *interval = &window->subscribed[meter->subscribed_next];
        int64_t begin_us = interval->from.us > from_us ? interval->from.us : from_us;
        int64_t end_us = interval->until.us < until_us ? interval->until.us : until_us;
        subscribed_us += begin_us < end_us ? end_us - begin_us : 0;
        if (interval->until.us > until_us) {
            break; /* reaches on behind this stretch, or begins there */
        }
        meter->subscribed_next++;
    }
    return subscribed_us;
}

/* A stretch of constant level inside one day, not empty: here the level is read. */
static void level_meter_read(struct level_meter *meter, int64_t from_us, int64_t until_us) {
    if (meter->level.units != meter->read_level.units) {
        area_add(&meter->day_area, meter->read_level, meter->day_still_us);
        meter->day_still_us = 0;
        meter->day_has_moved = true;
        meter->read_level = meter->level;
    }
    int64_t subscribed_us = level_meter_subscribed_us(meter, from_us, until_us);
    if (subscribed_us == 0) {
        return;
    }
    meter->day_highest =
        meter->day_has_time ? decimal_max(meter->day_highest, meter->level) : meter->level;
    meter->day_has_time = true;
    meter->day_closing = meter->level;
    meter->day_still_us += subscribed_us;
    meter->result->metered_level = meter->level;
}

/*
 * Most levels stand still for days: those that are all subscribed, and go on as the run does, are
 * taken at once. Only from the beginning of a day, when nothing is known of it yet.
 */
static void level_meter_skip_days(struct level_meter *meter, int64_t until_us) {
    const struct calendar *calendar = meter->window.calendar;
    const struct level_result *result = meter->result;
    if (result->runs_count == 0 || meter->subscribed_next == meter->window.subscribed_count ||
        meter->reached.us != calendar->starts_us[meter->day]) {
        return;
    }
    const struct level_run *run = &result->runs[result->runs_count - 1];
    const struct interval *interval = &meter->window.subscribed[meter->subscribed_next];
    bool goes_on = run->has_time && interval->from.us <= meter->reached.us &&
                   meter->level.units == meter->read_level.units &&
                   meter->level.units == run->closing.units &&
                   meter->level.units == run->highest.units;
    int64_t limit_us = until_us < interval->until.us ? until_us : interval->until.us;
    size_t day = meter->day;
    while (goes_on && day < calendar->days_count && calendar->starts_us[day + 1] <= limit_us) {
        day++;
    }
    if (day == meter->day) {
        return;
    }
    assert(meter->run_level.units == meter->read_level.units);
    meter->run_still_us += calendar->starts_us[day] - meter->reached.us;
    meter->reached.us = calendar->starts_us[day];
    meter->day = day;
    meter->result->metered_level = meter->level;
    meter->subscribed_next += interval->until.us == meter->reached.us;
}

static void level_meter_advance(struct level_meter *meter, struct instant until) {
    const struct calendar *calendar = meter->window.calendar;
    while (meter->reached.us < until.us) {
        level_meter_skip_days(meter, until.us);
        if (meter->reached.us == until.us) {
            return;
        }
        int64_t day_end_us = calendar->starts_us[meter->day + 1];
        int64_t stop_us = until.us < day_end_us ? until.us : day_end_us;
        level_meter_read(meter, meter->reached.us, stop_us);
        meter->reached.us = stop_us;
        if (stop_us == day_end_us) {
            level_meter_end_day(meter);
        }
    }
}

bool level_meter_add(struct level_meter *meter, struct instant occurred_at, bool is_set,
                     struct decimal quantity) {
    assert(instant_compare(meter->reached, occurred_at) <= 0); /* in order, and inside */
    assert(instant_compare(occurred_at, calendar_end(meter->window.calendar)) < 0);
    level_meter_advance(meter, occurred_at);
    return level_fold(&meter->level, is_set, quantity);
}

bool level_meter_finish(struct level_meter *meter) {
    level_meter_advance(meter, calendar_end(meter->window.calendar));
    assert(meter->day == meter->window.calendar->days_count);
    level_meter_end_run(meter);
    meter->result->closing_level = meter->level;
    return true;
}
