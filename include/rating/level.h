/*
 * Levels: a quantity that stands until it is changed (storage, members, seats).
 *
 * Rows come ordered by (occurred_at, set before delta, event_id by bytes, quantity, unique_key);
 * level_row_compare is that order. A level is read only after the last row of an instant. Opening
 * level + movements = closing level. DESIGN.md section 3, "Flow and level".
 *
 *     level_meter_init(&meter, window, opening)
 *     level_meter_add(&meter, instant, is_set, quantity)    in order, instants in [start, end)
 *     level_meter_finish(&meter, &result)
 *
 * Rows before the period's start are folded into the opening level by level_fold. Everything is
 * exact; a level or a sum that does not fit is false.
 */
#ifndef PERIODCLOSE_RATING_LEVEL_H
#define PERIODCLOSE_RATING_LEVEL_H

#include "core/calendar.h"
#include "core/decimal.h"
#include "core/wide.h"

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

/* See the table `levels` in table/checkpoint.h: a run of days. */
struct level_run {
    size_t first_day;
    bool has_time; /* some of the run is subscribed; else closing and highest mean nothing */
    struct decimal closing;
    struct decimal highest;
    struct decimal share;
    int64_t share_remainder;
};

struct level_result {
    struct decimal opening_level;
    struct decimal closing_level; /* just before the period's end */
    struct decimal metered_level; /* at the end of the subscribed time */
    size_t runs_count;
    struct level_run runs[CALENDAR_DAYS_MAX];
};

struct level_meter; /* by value below so that callers can keep it on the stack */

/* level after one row: quantity for a set, level + quantity for a delta. False: does not fit. */
bool level_fold(struct decimal *level, bool is_set, struct decimal quantity);

struct level_meter {
    struct level_window window;
    struct decimal opening_level;
    struct decimal level;   /* after the last row taken */
    struct instant reached; /* everything before is accounted for */
    size_t day;             /* being filled */
    struct wide day_area;   /* level x subscribed microseconds of the day so far */
    bool day_has_time;
    struct decimal day_highest;
    struct decimal day_closing;
    struct decimal metered_level;
    struct level_result *result;
};

/* result is filled as days end; it must live until finish. */
void level_meter_init(struct level_meter *meter, struct level_window window,
                      struct decimal opening_level, struct level_result *result);
bool level_meter_add(struct level_meter *meter, struct instant occurred_at, bool is_set,
                     struct decimal quantity);
bool level_meter_finish(struct level_meter *meter);

#endif
