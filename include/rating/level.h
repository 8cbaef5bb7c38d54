/*
 * Levels: a quantity that stands until it is changed (storage, members, seats).
 *
 * Rows come ordered by (occurred_at, set before delta, event_id by bytes, quantity, unique_key);
 * level_row_compare is that order. A level is read only after the last row of an instant. Opening
 * level + movements = closing level. DESIGN.md section 3, "Flow and level".
 *
 *     level_meter_init(&meter, window, opening, &result)
 *     level_meter_add(&meter, instant, is_set, quantity)    in order, instants in [start, end)
 *     level_meter_finish(&meter)
 *
 * Rows before the period's start are folded into the opening level by level_fold. Rows at exactly
 * the start move the level inside the period, and the opening level is then never read. Everything
 * is exact; a level that does not fit is false.
 */
#ifndef PERIODCLOSE_RATING_LEVEL_H
#define PERIODCLOSE_RATING_LEVEL_H

#include "core/calendar.h"
#include "core/decimal.h"

struct level_row {
    struct instant occurred_at;
    bool is_set;
    struct decimal quantity;
    struct text event_id;
    struct text unique_key;
};

int level_row_compare(const struct level_row *left, const struct level_row *right);

/* Half-open stretch of time. */
struct interval {
    struct instant from;
    struct instant until;
};

/* The period and the subscribed time in it: ascending, disjoint, within the period, not empty. */
struct level_window {
    const struct calendar *calendar;
    const struct interval *subscribed;
    size_t subscribed_count;
};

/*
 * See the table `levels` in table/checkpoint.h: a run of days, from first_day until the next run's.
 * Begins on day 0, on each day in which the level moved, and where has_time, closing or highest
 * differ from the day before. So each day of a run has its has_time and its closing, and all but
 * the first one are still.
 */
struct level_run {
    size_t first_day;
    bool has_time; /* some of each day is subscribed; else closing and highest are zero */
    struct decimal closing;
    struct decimal highest;
    struct decimal share;
    int64_t share_remainder;
};

struct level_result {
    struct decimal opening_level;
    struct decimal closing_level; /* just before the period's end */
    struct decimal metered_level; /* just before the end of the subscribed time; zero without any */
    size_t runs_count;
    struct level_run runs[CALENDAR_DAYS_MAX];
};

/* level after one row: quantity for a set, level + quantity for a delta. False: does not fit. */
bool level_fold(struct decimal *level, bool is_set, struct decimal quantity);

/* By value so that callers can keep it on the stack; its fields are level.c's own. */
struct level_meter {
    struct level_window window;
    struct decimal level;      /* after the last row taken */
    struct decimal read_level; /* the level that stands at `reached`: after whole instants only */
    struct instant reached;    /* everything before is accounted for */
    size_t subscribed_next;    /* the first subscribed interval that ends after `reached` */

    size_t day; /* being filled */
    bool day_has_moved;
    bool day_has_time;
    struct decimal day_highest;
    struct decimal day_closing;
    struct exact day_area; /* level x subscribed microseconds, but for those that follow */
    int64_t day_still_us;  /* subscribed microseconds at read_level, not yet in day_area */

    struct decimal run_level; /* the same two of the run being filled */
    struct exact run_area;
    int64_t run_still_us;

    struct level_result *result;
};

/* result is filled as days end; it must live until finish. */
void level_meter_init(struct level_meter *meter, struct level_window window,
                      struct decimal opening_level, struct level_result *result);
bool level_meter_add(struct level_meter *meter, struct instant occurred_at, bool is_set,
                     struct decimal quantity);
bool level_meter_finish(struct level_meter *meter);

#endif
