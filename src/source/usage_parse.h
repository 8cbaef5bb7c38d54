/*
 * The common shapes of quantities and time stamps, read eight bytes at a time. Anything else is
 * false here and goes to decimal_parse and instant_parse, which know all shapes and every reason.
 * Internal to src/source.
 *
 * A packed quantity is a decimal in 64 bits: mantissa x 2^4 + decimal places, the mantissa signed
 * and within PACKED_MANTISSA_MAX. One value may have several packed forms.
 */
#ifndef PERIODCLOSE_SOURCE_USAGE_PARSE_H
#define PERIODCLOSE_SOURCE_USAGE_PARSE_H

#include <string.h>

#include "core/decimal.h"
#include "core/instant.h"

#define PACKED_MANTISSA_MAX ((INT64_C(1) << 59) - 1)

extern const int64_t packed_powers[DECIMAL_PLACES + 1]; /* 10^0 … 10^15 */

static inline int64_t packed_from(int64_t mantissa, unsigned places) {
    return (int64_t)((uint64_t)mantissa << 4 | places);
}

static inline int64_t packed_mantissa(int64_t packed) {
    return packed >> 4;
}

static inline unsigned packed_places(int64_t packed) {
    return (unsigned)packed & 15;
}

static inline struct decimal packed_to_decimal(int64_t packed) {
    int64_t power = packed_powers[DECIMAL_PLACES - packed_places(packed)];
    return (struct decimal){(int128)packed_mantissa(packed) * power};
}

/* False: it takes more than 64 bits. */
static inline bool packed_from_decimal(struct decimal value, int64_t *packed) {
    int128 mantissa = value.units;
    unsigned places = DECIMAL_PLACES;
    while (places > 0 && mantissa % 1000 == 0) {
        mantissa /= 1000;
        places -= 3;
    }
    if (mantissa > PACKED_MANTISSA_MAX || mantissa < -PACKED_MANTISSA_MAX) {
        return false;
    }
    *packed = packed_from((int64_t)mantissa, places);
    return true;
}

/* A number of up to so many bytes: digits with at most one point among them, and one digit. */
enum { PARSE_QUANTITY_BYTES = 8 };

/* What eight bytes that end with such a number look like: see parse_shape_of. */
struct parse_shape {
    uint64_t zeros;   /* what digits and the point are exclusive or with */
    uint64_t margins; /* what can be added to them without an overflow into the highest bit */
    uint64_t whole_mask;
    uint64_t places_mask;
    unsigned places;
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (uint64_t)(byte))

/* High bit of every byte that is no digit, given the bytes minus '0' each (as exclusive or). */
static inline uint64_t parse_not_digits(uint64_t digits) {
    return (digits | ((digits & EACH_BYTE(0x7F)) + EACH_BYTE(0x76))) & EACH_BYTE(0x80);
}

/* Eight digits, the first in the lowest byte. */
static inline uint64_t parse_eight(uint64_t digits) {
    digits = digits * 10 + (digits >> 8);
    return (((digits & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x000F424000000064)) +
            (((digits >> 16) & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x0000271000000001))) >>
           32;
}

/*
 * Such a number of size_bytes that ends with the highest byte of digits, which were made exclusive
 * or with zeros; odd: which are none, at most a point.
 */
static inline int64_t parse_packed(uint64_t digits, uint64_t odd) {
    unsigned places = 0;
    if (odd != 0) {
        /* The digits before the point move up over it. */
        unsigned point_bits = (unsigned)__builtin_ctzll(odd) - 7;
        uint64_t before = digits & ((UINT64_C(1) << point_bits) - 1);
        uint64_t after = point_bits == 56 ? 0 : digits >> (point_bits + 8) << (point_bits + 8);
        digits = after | before << 8;
        places = (56 - point_bits) / 8;
    }
    return packed_from((int64_t)parse_eight(digits), places);
}

static inline bool parse_is_point(uint64_t digits, uint64_t odd) {
    return (digits >> ((unsigned)__builtin_ctzll(odd) - 7) & 0xFF) == ('.' ^ '0');
}

/* The eight bytes that end with the text are read: those before it must be readable. */
static inline bool parse_quantity_short(struct text text, int64_t *packed) {
    uint64_t bytes;
    if (text.size_bytes == 0 || text.size_bytes > PARSE_QUANTITY_BYTES) {
        return false;
    }
    memcpy(&bytes, text.bytes + text.size_bytes - sizeof bytes, sizeof bytes);
    unsigned unused_bits = (unsigned)(8 * (sizeof bytes - text.size_bytes));
    uint64_t digits = (bytes ^ EACH_BYTE('0')) >> unused_bits << unused_bits;
    uint64_t odd = parse_not_digits(digits);
    if (odd != 0 &&
        (!parse_is_point(digits, odd) || (odd & (odd - 1)) != 0 || text.size_bytes == 1)) {
        return false;
    }
    *packed = parse_packed(digits, odd);
    return true;
}

/* How many of the eight bytes are before the first line feed. False: there is none. */
static inline bool parse_find_feed(const char *bytes, size_t *offset) {
    uint64_t text;
    memcpy(&text, bytes, sizeof text);
    uint64_t others = text ^ EACH_BYTE('\n');
    uint64_t feeds = (others - EACH_BYTE(1)) & ~others & EACH_BYTE(0x80);
    if (feeds == 0) {
        return false;
    }
    *offset = (size_t)__builtin_ctzll(feeds) / 8;
    return true;
}

/* Numbers of up to eight bytes with so many places, and so a point unless they are none. */
static inline struct parse_shape parse_shape_of(unsigned places) {
    struct parse_shape shape = {EACH_BYTE('0'), EACH_BYTE(0x76), 0, ~UINT64_C(0), places};
    if (places > 0) {
        unsigned point_bits = 56 - 8 * places;
        shape.zeros ^= (uint64_t)('0' ^ '.') << point_bits;
        shape.margins += UINT64_C(0x09) << point_bits;
        shape.whole_mask = (UINT64_C(1) << point_bits) - 1;
        shape.places_mask = ~shape.whole_mask << 8;
    }
    return shape;
}

/*
 * The number of that shape, of 1 to 8 bytes, that ends before end. False: it is none. The eight
 * bytes before end are read.
 */
static inline bool parse_mantissa(const struct parse_shape *shape, const char *end,
                                  size_t size_bytes, int64_t *mantissa) {
    uint64_t bytes;
    memcpy(&bytes, end - sizeof bytes, sizeof bytes);
    unsigned unused_bits = (unsigned)(8 * (sizeof bytes - size_bytes));
    uint64_t digits = (bytes ^ shape->zeros) >> unused_bits << unused_bits;
    if ((((digits + shape->margins) | digits) & EACH_BYTE(0x80)) != 0 ||
        size_bytes <= shape->places) {
        return false;
    }
    digits = (digits & shape->places_mask) | (digits & shape->whole_mask) << 8;
    *mantissa = (int64_t)parse_eight(digits);
    return true;
}

/*
 * HH:MM:SS at bytes as a number that is in order of time. False: it is none, or an hour above 23,
 * which is not told from others here: 24 to 29 are more than parse_time_order of 23:59:59.
 */
static inline bool parse_time_order(const char *bytes, uint64_t *order) {
    uint64_t text;
    memcpy(&text, bytes, sizeof text);
    const uint64_t margins = UINT64_C(0x767A7F767A7F767D);
    uint64_t digits = text ^ UINT64_C(0x30303A30303A3030);
    *order = __builtin_bswap64(text);
    return (((digits + margins) | digits) & EACH_BYTE(0x80)) == 0;
}

/* HH:MM:SS at bytes, a second of 60 left to instant_parse. */
static inline bool parse_time_of_day(const char *bytes, int64_t *seconds) {
    uint64_t text;
    memcpy(&text, bytes, sizeof text);
    const uint64_t colons = UINT64_C(0x00003A00003A0000);
    const uint64_t colons_mask = UINT64_C(0x0000FF0000FF0000);
    uint64_t digits = (text ^ EACH_BYTE('0')) & ~colons_mask;
    if ((text & colons_mask) != colons || parse_not_digits(digits) != 0) {
        return false;
    }
    uint64_t pairs = digits * 10 + (digits >> 8);
    unsigned hour = (unsigned)(pairs & 0xFF);
    unsigned minute = (unsigned)(pairs >> 24 & 0xFF);
    unsigned second = (unsigned)(pairs >> 48 & 0xFF);
    *seconds = (int64_t)hour * 3600 + minute * 60 + second;
    return hour < 24 && minute < 60 && second < 60;
}

/*
 * A text of 1 to 16 bytes as two words, which with its size are equal only for equal texts. False:
 * it is no such text. The eight bytes before the text and those behind its first one are read.
 */
static inline bool parse_words(struct text text, uint64_t words[2]) {
    size_t size_bytes = text.size_bytes;
    if (size_bytes - 1 >= 16) {
        return false;
    }
    unsigned unused_bits = (unsigned)(8 * (size_bytes < 8 ? 8 - size_bytes : 0));
    memcpy(&words[0], text.bytes, sizeof words[0]);
    memcpy(&words[1], text.bytes + size_bytes - sizeof words[1], sizeof words[1]);
    words[0] = words[0] << unused_bits >> unused_bits;
    words[1] >>= unused_bits;
    return true;
}

#else

static inline bool parse_words(struct text text, uint64_t words[2]) {
    (void)text;
    (void)words;
    return false;
}

static inline bool parse_quantity_short(struct text text, int64_t *packed) {
    (void)text;
    (void)packed;
    return false;
}

static inline bool parse_find_feed(const char *bytes, size_t *offset) {
    (void)bytes;
    (void)offset;
    return false;
}

static inline struct parse_shape parse_shape_of(unsigned places) {
    return (struct parse_shape){.places = places};
}

static inline bool parse_mantissa(const struct parse_shape *shape, const char *end,
                                  size_t size_bytes, int64_t *mantissa) {
    (void)shape;
    (void)end;
    (void)size_bytes;
    (void)mantissa;
    return false;
}

static inline bool parse_time_order(const char *bytes, uint64_t *order) {
    (void)bytes;
    (void)order;
    return false;
}

static inline bool parse_time_of_day(const char *bytes, int64_t *seconds) {
    (void)bytes;
    (void)seconds;
    return false;
}

#endif

/* Dates seen lately, by their day: text and first instant. Rows are mostly of few dates. */
enum {
    PARSE_DATES_COUNT = 32,
    PARSE_DATE_BYTES = 11,
    PARSE_TIME_BYTES = 8,
    PARSE_STAMP_BYTES = 20
};

struct parse_date {
    char text[PARSE_DATE_BYTES]; /* YYYY-MM-DDT */
    int64_t start_us;
};

struct parse_dates {
    struct parse_date dates[PARSE_DATES_COUNT];
};

static inline bool parse_is_stamp(struct text text) {
    return text.size_bytes == PARSE_STAMP_BYTES && text.bytes[PARSE_STAMP_BYTES - 1] == 'Z';
}

/* Whether the text, of at least PARSE_DATE_BYTES, begins with the date. */
static inline bool parse_is_date(struct text text, const struct parse_date *date) {
    return memcmp(text.bytes, date->text, 8) == 0 && memcmp(text.bytes + 3, date->text + 3, 8) == 0;
}

/* YYYY-MM-DDTHH:MM:SSZ of a date seen lately. *date: where that date is, or would be, kept. */
static inline bool parse_instant_seen(struct text text, struct parse_dates *dates,
                                      struct parse_date **date, int64_t *seconds,
                                      struct instant *result) {
    *date = NULL;
    if (!parse_is_stamp(text) || !parse_time_of_day(text.bytes + PARSE_DATE_BYTES, seconds)) {
        return false;
    }
    unsigned tens = (unsigned char)text.bytes[8];
    unsigned ones = (unsigned char)text.bytes[9];
    *date = &dates->dates[(tens * 10 + ones) % PARSE_DATES_COUNT];
    if (!parse_is_date(text, *date)) {
        return false;
    }
    result->us = (*date)->start_us + *seconds * 1000000;
    return true;
}

/* As instant_parse, and keeps the date. */
static inline const char *parse_instant(struct text text, struct parse_dates *dates,
                                        struct instant *result) {
    int64_t seconds;
    struct parse_date *date;
    if (parse_instant_seen(text, dates, &date, &seconds, result)) {
        return NULL;
    }
    const char *reason = instant_parse(text, result);
    if (reason == NULL && date != NULL) {
        memcpy(date->text, text.bytes, PARSE_DATE_BYTES);
        date->start_us = result->us - seconds * 1000000;
    }
    return reason;
}

/* text_equals for short texts: no call for those of four to sixteen bytes. */
static inline bool parse_is_same(struct text left, struct text right) {
    size_t size_bytes = left.size_bytes;
    if (size_bytes != right.size_bytes) {
        return false;
    }
    if (size_bytes < 4 || size_bytes > 16) {
        return size_bytes == 0 || memcmp(left.bytes, right.bytes, size_bytes) == 0;
    }
    if (size_bytes < 8) {
        return memcmp(left.bytes, right.bytes, 4) == 0 &&
               memcmp(left.bytes + size_bytes - 4, right.bytes + size_bytes - 4, 4) == 0;
    }
    return memcmp(left.bytes, right.bytes, 8) == 0 &&
           memcmp(left.bytes + size_bytes - 8, right.bytes + size_bytes - 8, 8) == 0;
}

#endif
