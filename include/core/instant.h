/*
 * Instants: microseconds since 1970-01-01T00:00:00Z, and civil dates.
 *
 * Time stamps come as RFC 3339 ("2026-10-01T00:00:00.5+02:00", "t", "z" and a space for the T are
 * fine) or as "YYYY-MM-DD HH:MM:SS[.fraction]", taken as UTC. Fractions finer than a microsecond
 * are cut off. Years 0001 to 9999. A second of 60 stands only in the last minute of a month in UTC
 * (a leap second) and is taken as the first second of the next month.
 */
#ifndef PERIODCLOSE_CORE_INSTANT_H
#define PERIODCLOSE_CORE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"

enum { INSTANT_TEXT_MAX = 32 };

#define INSTANT_DAY_US INT64_C(86400000000)

struct instant {
    int64_t us; /* since 1970-01-01T00:00:00Z */
};

static inline int instant_compare(struct instant left, struct instant right) {
    return (left.us > right.us) - (left.us < right.us);
}

/* NULL when text is a time stamp, else the reason ("has no time zone", …), a constant. */
const char *instant_parse(struct text text, struct instant *result);

/* YYYY-MM-DDTHH:MM:SS[.ffffff]Z, the fraction only when there is one. Returns the length. */
size_t instant_format(struct instant instant, char text[INSTANT_TEXT_MAX]);

/* Civil dates, proleptic Gregorian; days count from 1970-01-01 (Arrow's date32). */
struct civil_date {
    int year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
};

int32_t civil_to_days(struct civil_date date);
struct civil_date civil_from_days(int32_t days);
int civil_month_days(int year, int month);

/* YYYY-MM-DD. Returns the length. */
size_t civil_format(int32_t days, char text[INSTANT_TEXT_MAX]);

#endif
