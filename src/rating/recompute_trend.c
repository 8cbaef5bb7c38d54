/*
 * Trends once more. With x = 0 … n - 1 and sums over the days:
 *
 *     D = n sum(x²) - sum(x)²             A = n sum(xy) - sum(x) sum(y)
 *     P = sum(y) sum(x²) - sum(x) sum(xy)
 *     slope = A / D        y(x) = (P + A x) / D        R² = A² / (D (n sum(y²) - sum(y)²))
 */
#include <assert.h>
#include <stdlib.h>

#include "recompute_digits.h"

/* --- numbers of either sign ---------------------------------------------------------------------
 */

static struct recompute_flow flow_times(const struct recompute_flow *flow, uint64_t factor) {
    struct recompute_number times = number_from(factor);
    return (struct recompute_flow){.more = number_multiply(&flow->more, &times),
                                   .less = number_multiply(&flow->less, &times)};
}

static void flow_add(struct recompute_flow *sum, const struct recompute_flow *addend) {
    recompute_add(&sum->more, &addend->more);
    recompute_add(&sum->less, &addend->less);
}

static struct recompute_flow flow_negated(const struct recompute_flow *flow) {
    return (struct recompute_flow){.more = flow->less, .less = flow->more};
}

struct recompute_signed recompute_flow_signed(const struct recompute_flow *flow) {
    bool is_negative = number_compare(&flow->more, &flow->less) < 0;
    return (struct recompute_signed){.is_negative = is_negative,
                                     .size = is_negative
                                                 ? number_subtract(&flow->less, &flow->more)
                                                 : number_subtract(&flow->more, &flow->less)};
}

static struct recompute_signed signed_divide(const struct recompute_signed *numerator,
                                             const struct recompute_number *denominator) {
    struct recompute_signed result = {.size =
                                          number_divide_half_away(&numerator->size, denominator)};
    result.is_negative = numerator->is_negative && result.size.count > 0;
    return result;
}

bool recompute_signed_is(const struct recompute_signed *number, struct decimal value) {
    bool is_negative;
    struct recompute_number size = recompute_read(value, &is_negative);
    return number->is_negative == is_negative && number_compare(&number->size, &size) == 0;
}

/* --- the line -----------------------------------------------------------------------------------
 */

struct line {
    struct recompute_number d;
    struct recompute_flow a;
    struct recompute_flow p;
    struct recompute_flow y; /* sum */
    struct recompute_number y_squares;
};

static struct line line_through(const struct recompute_series *series) {
    struct line line = {0};
    struct recompute_flow xy = {0};
    uint64_t n = series->days_count;
    uint64_t x_sum = 0;
    uint64_t x_squares = 0;
    for (uint64_t x = 0; x < n; x++) {
        struct recompute_signed y = recompute_flow_signed(&series->days[x]);
        struct recompute_flow day = {.more = y.is_negative ? (struct recompute_number){0} : y.size,
                                     .less = y.is_negative ? y.size : (struct recompute_number){0}};
        struct recompute_flow product = flow_times(&day, x);
        struct recompute_number square = number_multiply(&y.size, &y.size);
        x_sum += x;
        x_squares += x * x;
        flow_add(&line.y, &day);
        flow_add(&xy, &product);
        recompute_add(&line.y_squares, &square);
    }
    struct recompute_flow n_xy = flow_times(&xy, n);
    struct recompute_flow x_y = flow_times(&line.y, x_sum);
    struct recompute_flow x_y_less = flow_negated(&x_y);
    struct recompute_flow x_xy = flow_times(&xy, x_sum);
    struct recompute_flow x_xy_less = flow_negated(&x_xy);
    line.d = number_from(n * x_squares - x_sum * x_sum);
    line.a = n_xy;
    flow_add(&line.a, &x_y_less);
    line.p = flow_times(&line.y, x_squares);
    flow_add(&line.p, &x_xy_less);
    return line;
}

/* D x y(x), zero where that is negative. */
static struct recompute_number line_at(const struct line *line, uint64_t x) {
    struct recompute_flow at = flow_times(&line->a, x);
    flow_add(&at, &line->p);
    return recompute_flow_quantity(&at);
}

static struct recompute_number times(const struct recompute_number *number, uint64_t factor) {
    struct recompute_number by = number_from(factor);
    return number_multiply(number, &by);
}

/* The sum of (2x - n + 1) y is 2 A / n, because the sum of x is n (n - 1) / 2. */
static void find_sums(const struct line *line, uint64_t n, struct recompute_trend *trend) {
    struct recompute_flow twice = flow_times(&line->a, 2);
    struct recompute_signed moment_by_n = recompute_flow_signed(&twice);
    struct recompute_number divisor = number_from(n);
    trend->day_sum = recompute_flow_signed(&line->y);
    trend->day_moment = signed_divide(&moment_by_n, &divisor);
}

static void find_r_squared(const struct line *line, uint64_t n, struct recompute_trend *trend) {
    struct recompute_signed y = recompute_flow_signed(&line->y);
    struct recompute_signed a = recompute_flow_signed(&line->a);
    struct recompute_number squares = times(&line->y_squares, n);
    struct recompute_number square = number_multiply(&y.size, &y.size);
    struct recompute_number spread = number_subtract(&squares, &square);
    trend->has_r_squared = spread.count > 0;
    if (trend->has_r_squared) {
        struct recompute_number numerator = number_multiply(&a.size, &a.size);
        struct recompute_number denominator = number_multiply(&line->d, &spread);
        numerator = number_shift(&numerator, UNIT_PLACES);
        trend->r_squared = number_divide_half_away(&numerator, &denominator);
    }
}

/* --- the next period ----------------------------------------------------------------------------
 */

static struct recompute_number positive(struct decimal value) {
    bool is_negative;
    struct recompute_number size = recompute_read(value, &is_negative);
    return is_negative ? (struct recompute_number){0} : size;
}

/* The current quantity, as the fitted daily mean is to the current one. */
static struct recompute_number scale_current(const struct recompute_series *series,
                                             const struct line *line,
                                             const struct recompute_number *total) {
    struct recompute_number current = positive(series->current);
    struct recompute_signed y = recompute_flow_signed(&line->y);
    if (y.is_negative || y.size.count == 0) {
        return current;
    }
    struct recompute_number numerator = number_multiply(total, &current);
    struct recompute_number denominator = number_multiply(&line->d, &y.size);
    numerator = times(&numerator, series->days_count);
    denominator = times(&denominator, series->next_days_count);
    return number_divide_half_away(&numerator, &denominator);
}

static struct recompute_number project(const struct recompute_series *series,
                                       const struct line *line) {
    struct recompute_number total = {0};
    struct recompute_number highest = {0};
    struct recompute_number last = {0};
    for (uint64_t day = 0; day < series->next_days_count; day++) {
        last = line_at(line, series->days_count + day);
        recompute_add(&total, &last);
        highest = number_compare(&last, &highest) > 0 ? last : highest;
    }
    struct recompute_number mean_of = times(&line->d, series->next_days_count);
    switch (series->aggregation) {
    case AGGREGATION_SUM:
    case AGGREGATION_COUNT:
        return number_divide_half_away(&total, &line->d);
    case AGGREGATION_UNIQUE:
        return scale_current(series, line, &total);
    case AGGREGATION_LAST:
        return number_divide_half_away(&last, &line->d);
    case AGGREGATION_MAX:
        return number_divide_half_away(&highest, &line->d);
    case AGGREGATION_TIME_WEIGHTED:
        return number_divide_half_away(&total, &mean_of);
    case AGGREGATIONS_COUNT:
        break;
    }
    assert(false && "a price has an aggregation");
    abort();
}

void recompute_trend(const struct recompute_series *series, struct recompute_trend *trend) {
    *trend = (struct recompute_trend){.has_slope = true};
    if (series->days_with_data < 2 || series->days_count < 2) {
        trend->projected = positive(series->current);
        trend->has_projected = true;
        return;
    }
    struct line line = line_through(series);
    trend->has_line = true;
    find_sums(&line, series->days_count, trend);
    struct recompute_flow growth = flow_times(&line.a, 30);
    struct recompute_signed slope_by_d = recompute_flow_signed(&line.a);
    struct recompute_signed growth_by_d = recompute_flow_signed(&growth);
    trend->slope_per_day = signed_divide(&slope_by_d, &line.d);
    trend->growth_30_days = signed_divide(&growth_by_d, &line.d);
    trend->has_slope =
        recompute_fits(&trend->slope_per_day.size) && recompute_fits(&trend->growth_30_days.size);
    find_r_squared(&line, series->days_count, trend);
    trend->projected = project(series, &line);
    trend->has_projected = recompute_fits(&trend->projected);
}

struct recompute_signed recompute_change(struct decimal current, struct decimal previous) {
    enum { CHANGE_PLACES = 6 };
    bool is_negative;
    struct recompute_number size = recompute_read(previous, &is_negative);
    struct recompute_flow difference = {0};
    recompute_flow_add(&difference, current);
    recompute_add(is_negative ? &difference.more : &difference.less, &size);
    struct recompute_signed change = recompute_flow_signed(&difference);
    assert(size.count > 0);
    change.size = number_shift(&change.size, CHANGE_PLACES);
    change = signed_divide(&change, &size);
    change.size = number_shift(&change.size, UNIT_PLACES - CHANGE_PLACES);
    return change;
}
