#include "core/instant.h"

#include <assert.h>

#include "digits.h"

#define SECOND_US INT64_C(1000000)
#define DAY_SECONDS INT64_C(86400)

/* 0001-01-01T00:00:00Z, and the end of 9999-12-31. */
#define SECONDS_FIRST INT64_C(-62135596800)
#define SECONDS_END INT64_C(253402300800)

static const char not_a_time_stamp[] = "is not a time stamp; write YYYY-MM-DDTHH:MM:SSZ";
static const char bad_offset[] = "has a bad offset from UTC; write Z or +HH:MM, at most 23:59";

enum {
    DATE_BYTES = 10,      /* YYYY-MM-DD */
    DATE_TIME_BYTES = 19, /* YYYY-MM-DDTHH:MM:SS */
    SECOND_AT = 17,
    LEAP_SECOND = 60,
};

/* Two digits at a place; anything above 99 means that they are none. */
static inline unsigned read_pair(const char *bytes) {
    unsigned tens = (unsigned)(unsigned char)bytes[0] - '0';
    unsigned ones = (unsigned)(unsigned char)bytes[1] - '0';
    return tens <= 9 && ones <= 9 ? tens * 10 + ones : 100;
}

static inline bool is_leap_year(int year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int civil_month_days(int year, int month) {
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    assert(month >= 1 && month <= 12);
    return days[month - 1] + (month == 2 && is_leap_year(year));
}

/*
 * Howard Hinnant's algorithms ("chrono-compatible low-level date algorithms"): years begin in
 * March, so that the leap day is a year's last, and repeat every 400.
 */
static inline int64_t days_of(int64_t year, int64_t month, int64_t day) {
    int64_t shifted = month <= 2 ? year - 1 : year;
    int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    int64_t year_of_era = shifted - era * 400;
    int64_t month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

int32_t civil_to_days(struct civil_date date) {
    assert(date.day >= 1 && date.day <= civil_month_days(date.year, date.month));
    int64_t days = days_of(date.year, date.month, date.day);
    assert(days >= INT32_MIN && days <= INT32_MAX);
    return (int32_t)days;
}

struct civil_date civil_from_days(int32_t days) {
    int64_t shifted = (int64_t)days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned day_of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil_date){
        .year = (int)(era * 400 + year_of_era + (month <= 2)),
        .month = (int)month,
        .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
    };
}

/* [.digits] at *at, in microseconds; finer digits are cut off. False without a digit. */
static bool read_fraction(const char **at, const char *end, int64_t *fraction_us) {
    const char *first = *at + 1;
    const char *reading = first;
    unsigned digit;
    int64_t us = 0;
    for (; reading < end && (digit = (unsigned)(unsigned char)*reading - '0') <= 9; reading++) {
        if (reading - first < 6) {
            us = us * 10 + digit;
        }
    }
    if (reading == first) {
        return false;
    }
    if (reading - first < 6) {
        us *= (int64_t)digits_power[6 - (reading - first)];
    }
    *fraction_us = us;
    *at = reading;
    return true;
}

/* What follows the seconds and their fraction, up to the end: Z, z, +HH:MM or -HH:MM. */
static const char *read_zone(const char *at, const char *end, int64_t *offset_seconds) {
    if (end - at == 1 && (*at == 'Z' || *at == 'z')) {
        *offset_seconds = 0;
        return NULL;
    }
    if (*at != '+' && *at != '-') {
        return not_a_time_stamp;
    }
    if (end - at != 6 || at[3] != ':') {
        return bad_offset;
    }
    unsigned hours = read_pair(at + 1);
    unsigned minutes = read_pair(at + 4);
    if (hours > 23 || minutes > 59) {
        return bad_offset;
    }
    int64_t seconds = (int64_t)hours * 3600 + minutes * 60;
    *offset_seconds = *at == '-' ? -seconds : seconds;
    return NULL;
}

/*
 * What eight bytes should look like: a digit where shape has '0', elsewhere the same byte. margins
 * has 0x76 for a digit and 0x7F for a byte.
 */
struct shape {
    char bytes[8];
    char margins[8];
};

#define YEAR_SHAPE ((struct shape){"0000-00-", "\x76\x76\x76\x76\x7F\x76\x76\x7F"})
#define DATE_SHAPE ((struct shape){"00-00-00", "\x76\x76\x7F\x76\x76\x7F\x76\x76"})
#define TIME_SHAPE ((struct shape){"00:00:00", "\x76\x76\x7F\x76\x76\x7F\x76\x76"})

/*
 * Zero if eight bytes have the shape, all eight tested at once, for this runs once per usage row: a
 * digit xor '0' is at most 9 and stays below 0x80 when 0x76 is added, equal bytes give 0, and no
 * such sum carries into its neighbour. A byte with its top bit set fails by that bit. The order of
 * bytes in a word does not matter.
 */
static inline uint64_t misses_shape(const char *bytes, struct shape shape) {
    uint64_t actual;
    uint64_t expected;
    uint64_t margins;
    memcpy(&actual, bytes, sizeof actual);
    memcpy(&expected, shape.bytes, sizeof expected);
    memcpy(&margins, shape.margins, sizeof margins);
    uint64_t difference = actual ^ expected;
    return ((difference + margins) | difference) & UINT64_C(0x8080808080808080);
}

/* Two bytes known to be digits. */
static inline unsigned pair_value(const char *bytes) {
    return (unsigned)(unsigned char)bytes[0] * 10 + (unsigned char)bytes[1] - '0' * 11;
}

/* YYYY-MM-DDTHH:MM:SS at bytes as seconds, as if it were UTC. Shape first, then ranges. */
static inline const char *read_date_time(const char *bytes, int64_t *seconds) {
    bool is_separated = bytes[10] == 'T' || bytes[10] == ' ' || bytes[10] == 't';
    uint64_t misses = misses_shape(bytes, YEAR_SHAPE) | misses_shape(bytes + 2, DATE_SHAPE) |
                      misses_shape(bytes + 11, TIME_SHAPE);
    if (misses != 0 || !is_separated) {
        return not_a_time_stamp;
    }
    int year = (int)(pair_value(bytes) * 100 + pair_value(bytes + 2));
    unsigned month = pair_value(bytes + 5);
    unsigned day = pair_value(bytes + 8);
    unsigned hour = pair_value(bytes + 11);
    unsigned minute = pair_value(bytes + 14);
    unsigned second = pair_value(bytes + 17);
    if (year == 0) {
        return "has a year outside 0001 to 9999";
    }
    if (month < 1 || month > 12) {
        return "has a month outside 01 to 12";
    }
    if (day < 1 || (day > 28 && (int)day > civil_month_days(year, (int)month))) {
        return "has a day that its month does not have";
    }
    if (hour > 23 || minute > 59 || second > LEAP_SECOND) {
        return "has a time of day outside 00:00:00 to 23:59:59";
    }
    *seconds = days_of(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    return NULL;
}

/*
 * A leap second is the last of a month in UTC, whatever the offset it is written with; rolled over,
 * it is the first instant of the next. Which months had one is announced too late for a program to
 * know.
 */
static const char *check_leap_second(int64_t seconds) {
    int64_t days = seconds / DAY_SECONDS;
    bool is_midnight = seconds == days * DAY_SECONDS;
    return is_midnight && civil_from_days((int32_t)days).day == 1
               ? NULL
               : "has a second of 60, which only a month's last minute in UTC may have";
}

/* YYYY-MM-DD and nothing else: worth a reason of its own, spreadsheets write it. */
static bool is_date_only(struct text text) {
    return text.size_bytes == DATE_BYTES && misses_shape(text.bytes, YEAR_SHAPE) == 0 &&
           misses_shape(text.bytes + 2, DATE_SHAPE) == 0;
}

const char *instant_parse(struct text text, struct instant *result) {
    if (text.size_bytes < DATE_TIME_BYTES) {
        return is_date_only(text) ? "has no time of day; write YYYY-MM-DDTHH:MM:SSZ"
                                  : not_a_time_stamp;
    }
    int64_t seconds;
    const char *reason = read_date_time(text.bytes, &seconds);
    if (reason != NULL) {
        return reason;
    }
    int64_t fraction_us = 0;
    const char *at = text.bytes + DATE_TIME_BYTES;
    const char *end = text.bytes + text.size_bytes;
    bool is_plain_utc = text.size_bytes == DATE_TIME_BYTES + 1 && *at == 'Z';
    if (!is_plain_utc) {
        int64_t offset_seconds = 0;
        if (at < end && *at == '.' && !read_fraction(&at, end, &fraction_us)) {
            return not_a_time_stamp;
        }
        if (at < end) {
            reason = read_zone(at, end, &offset_seconds);
        } else if (text.bytes[DATE_BYTES] != ' ') {
            reason = "has no time zone; write Z, an offset, or 'YYYY-MM-DD HH:MM:SS' for UTC";
        }
        if (reason != NULL) {
            return reason;
        }
        seconds -= offset_seconds;
    }
    if (seconds < SECONDS_FIRST || seconds >= SECONDS_END) {
        return "is outside the years 0001 to 9999 in UTC";
    }
    if (pair_value(text.bytes + SECOND_AT) == LEAP_SECOND) {
        reason = check_leap_second(seconds);
        if (reason != NULL) {
            return reason;
        }
    }
    result->us = seconds * SECOND_US + fraction_us;
    return NULL;
}

/* Years beyond 9999 and before 0 are written too: a damaged file must still be printable. */
static char *write_date(char *at, int32_t days) {
    struct civil_date date = civil_from_days(days);
    if (date.year >= 0 && date.year <= 9999) {
        digits_write_pair(at, (uint64_t)date.year / 100);
        digits_write_pair(at + 2, (uint64_t)date.year % 100);
        at += 4;
    } else {
        uint64_t magnitude = date.year < 0 ? -(uint64_t)date.year : (uint64_t)date.year;
        if (date.year < 0) {
            *at++ = '-';
        }
        size_t count = digits_count(magnitude);
        at = digits_write_fixed(at, magnitude, count < 4 ? 4 : count);
    }
    *at++ = '-';
    digits_write_pair(at, (uint64_t)date.month);
    at[2] = '-';
    digits_write_pair(at + 3, (uint64_t)date.day);
    return at + 5;
}

size_t instant_format(struct instant instant, char text[INSTANT_TEXT_MAX]) {
    int64_t days = instant.us / INSTANT_DAY_US;
    int64_t rest_us = instant.us % INSTANT_DAY_US;
    if (rest_us < 0) {
        rest_us += INSTANT_DAY_US;
        days--;
    }
    char *at = write_date(text, (int32_t)days);
    uint32_t second = (uint32_t)(rest_us / SECOND_US);
    uint32_t fraction_us = (uint32_t)(rest_us % SECOND_US);
    *at = 'T';
    digits_write_pair(at + 1, second / 3600);
    at[3] = ':';
    digits_write_pair(at + 4, second / 60 % 60);
    at[6] = ':';
    digits_write_pair(at + 7, second % 60);
    at += 9;
    if (fraction_us != 0) {
        *at++ = '.';
        at = digits_write_fixed(at, fraction_us, 6);
    }
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - text);
}

size_t civil_format(int32_t days, char text[INSTANT_TEXT_MAX]) {
    char *end = write_date(text, days);
    *end = '\0';
    return (size_t)(end - text);
}
