#include "core/calendar.h"

#include <assert.h>

#include "digits.h"

enum { YEAR_FIRST = 1971, YEAR_LAST = 9000 };

#define SECOND_US INT64_C(1000000)

static const char not_a_month[] = "is not a month; write YYYY-MM";

const char *month_parse(struct text text, struct month *result) {
    enum { MONTH_BYTES = 7 };
    if (text.size_bytes != MONTH_BYTES || text.bytes[4] != '-') {
        return not_a_month;
    }
    int numbers[2] = {0, 0};
    for (size_t index = 0; index < MONTH_BYTES; index++) {
        if (index == 4) {
            continue;
        }
        char digit = text.bytes[index];
        if (digit < '0' || digit > '9') {
            return not_a_month;
        }
        int *number = &numbers[index > 4];
        *number = *number * 10 + (digit - '0');
    }
    if (numbers[1] < 1 || numbers[1] > 12) {
        return "has a month outside 01 to 12";
    }
    if (numbers[0] < YEAR_FIRST || numbers[0] > YEAR_LAST) {
        return "has a year outside 1971 to 9000";
    }
    *result = (struct month){.year = numbers[0], .month = numbers[1]};
    return NULL;
}

static inline int64_t month_number(struct month month) {
    assert(month.month >= 1 && month.month <= 12);
    return (int64_t)month.year * 12 + month.month - 1;
}

struct month month_add(struct month month, int months) {
    int64_t number = month_number(month) + months;
    int64_t year = number >= 0 ? number / 12 : (number - 11) / 12;
    assert(year >= INT32_MIN && year <= INT32_MAX);
    return (struct month){.year = (int)year, .month = (int)(number - year * 12) + 1};
}

int month_compare(struct month left, struct month right) {
    int64_t left_number = month_number(left);
    int64_t right_number = month_number(right);
    return (left_number > right_number) - (left_number < right_number);
}

size_t month_format(struct month month, char text[INSTANT_TEXT_MAX]) {
    size_t size_bytes =
        civil_format(civil_to_days((struct civil_date){month.year, month.month, 1}), text);
    size_bytes -= sizeof "-01" - 1;
    text[size_bytes] = '\0';
    return size_bytes;
}

/*
 * The first instant whose local time is not before the midnight. That one sentence holds every
 * rule: a midnight jumped over gives the instant of the jump, a doubled one its earlier, and a date
 * jumped over altogether the same instant as the date after it.
 */
struct instant zone_midnight(const struct zone *zone, int32_t civil_days) {
    assert(zone->offsets_count > 0);
    assert(zone->offsets[0].from_us == INT64_MIN);
    /* The dates whose microseconds fit, with room for any offset. */
    assert(civil_days > -106000000 && civil_days < 106000000);
    int64_t local_us = civil_days * INSTANT_DAY_US;
    for (size_t index = 0;; index++) {
        const struct zone_offset *offset = &zone->offsets[index];
        int64_t at_us = local_us - offset->offset_seconds * SECOND_US;
        if (at_us < offset->from_us) {
            at_us = offset->from_us;
        }
        bool is_last = index + 1 == zone->offsets_count;
        if (is_last || at_us < zone->offsets[index + 1].from_us) {
            return (struct instant){at_us};
        }
    }
}

int32_t zone_date(const struct zone *zone, struct instant instant) {
    assert(zone->offsets_count > 0);
    assert(zone->offsets[0].from_us == INT64_MIN);
    size_t low = 0;
    size_t high = zone->offsets_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->offsets[middle].from_us <= instant.us) {
            low = middle;
        } else {
            high = middle;
        }
    }
    /* Days and rest apart, so that the offset cannot overflow an instant at the end of the range */
    int64_t days = instant.us / INSTANT_DAY_US;
    int64_t rest_us = instant.us % INSTANT_DAY_US + zone->offsets[low].offset_seconds * SECOND_US;
    days += rest_us / INSTANT_DAY_US;
    if (rest_us % INSTANT_DAY_US < 0) {
        days--;
    }
    return (int32_t)days;
}

/* The date on which the period of that month begins: the anchor, clamped to the month's end. */
static int32_t anchor_date(struct month month, int anchor_day) {
    int days = civil_month_days(month.year, month.month);
    return civil_to_days((struct civil_date){
        .year = month.year,
        .month = month.month,
        .day = anchor_day < days ? anchor_day : days,
    });
}

void calendar_init(struct calendar *calendar, const struct zone *zone, struct month month,
                   int anchor_day) {
    assert(anchor_day >= 1 && anchor_day <= 31);
    int32_t first_date = anchor_date(month, anchor_day);
    int32_t end_date = anchor_date(month_add(month, 1), anchor_day);
    assert(end_date - first_date <= CALENDAR_DAYS_MAX);
    calendar->days_count = 0;
    calendar->starts_us[0] = zone_midnight(zone, first_date).us;
    for (int32_t date = first_date; date < end_date; date++) {
        int64_t end_us = zone_midnight(zone, date + 1).us;
        if (end_us == calendar->starts_us[calendar->days_count]) {
            continue; /* a date that the zone skipped */
        }
        calendar->dates[calendar->days_count] = date;
        calendar->starts_us[++calendar->days_count] = end_us;
    }
    assert(calendar->days_count > 0);
}

size_t calendar_day_index(const struct calendar *calendar, struct instant instant) {
    assert(instant.us >= calendar->starts_us[0]);
    assert(instant.us < calendar->starts_us[calendar->days_count]);
    /* Right but for the hours a change of offset shifts: then the neighbour is. */
    size_t index = (size_t)((instant.us - calendar->starts_us[0]) / INSTANT_DAY_US);
    if (index >= calendar->days_count) {
        index = calendar->days_count - 1;
    }
    while (instant.us < calendar->starts_us[index]) {
        index--;
    }
    while (instant.us >= calendar->starts_us[index + 1]) {
        index++;
    }
    return index;
}
