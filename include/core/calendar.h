/*
 * Calendar: the days of a billing period in one time zone.
 *
 * A period is named by the month in which it begins ("2026-10") and begins on the anchor day of
 * that month, clamped to the month's end; it ends where the next one begins. Every boundary is
 * computed from the anchor, never from the boundary before. A local midnight that does not exist is
 * the first instant of that date; a doubled one is the earlier (DESIGN.md 4). A date that the zone
 * skipped altogether is no day of the period. Pure: the zone's changes of offset are given.
 */
#ifndef PERIODCLOSE_CORE_CALENDAR_H
#define PERIODCLOSE_CORE_CALENDAR_H

#include "core/arena.h"
#include "core/instant.h"

struct month {
    int year;
    int month; /* 1..12 */
};

/* "YYYY-MM", years 1971 to 9000. NULL when fine, else the reason. */
const char *month_parse(struct text text, struct month *result);
struct month month_add(struct month month, int months);
int month_compare(struct month left, struct month right);
size_t month_format(struct month month, char text[INSTANT_TEXT_MAX]); /* YYYY-MM */

/* One stretch of constant offset: from from_us (inclusive) until the next row's. */
struct zone_offset {
    int64_t from_us;
    int32_t offset_seconds; /* local = UTC + offset */
};

/* offsets[0].from_us is INT64_MIN; ascending. Covers the months asked for; loaded by sys/zone.h. */
struct zone {
    const struct zone_offset *offsets;
    size_t offsets_count;
};

/* First instant of the civil date in the zone, after the rules above. */
struct instant zone_midnight(const struct zone *zone, int32_t civil_days);

/* Date in the zone at an instant. */
int32_t zone_date(const struct zone *zone, struct instant instant);

/*
 * days_count days; day i is [starts[i], starts[i + 1]), starts has days_count + 1 entries; dates[i]
 * is its civil date. At most CALENDAR_DAYS_MAX days.
 */
enum { CALENDAR_DAYS_MAX = 32 };

struct calendar {
    size_t days_count;
    int64_t starts_us[CALENDAR_DAYS_MAX + 1];
    int32_t dates[CALENDAR_DAYS_MAX];
};

static inline struct instant calendar_start(const struct calendar *calendar) {
    return (struct instant){calendar->starts_us[0]};
}
static inline struct instant calendar_end(const struct calendar *calendar) {
    return (struct instant){calendar->starts_us[calendar->days_count]};
}

/* anchor_day 1..31 (asserted). */
void calendar_init(struct calendar *calendar, const struct zone *zone, struct month month,
                   int anchor_day);

/* Index of the day holding instant; the instant must lie inside the period (asserted). */
size_t calendar_day_index(const struct calendar *calendar, struct instant instant);

#endif
