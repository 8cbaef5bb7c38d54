#include "db/wire.h"

#include <assert.h>

enum {
    GROUP_BASE = 10000, /* numeric's digits */
    HEADER_BYTES = 8,
    WHOLE_GROUPS_MAX = 6, /* 24 digits; decimals have 23 */
    SIGN_POSITIVE = 0x0000,
    SIGN_NEGATIVE = 0x4000,
    GROUPS_MAX = 10, /* six before the point, four behind it */
};

#define UNITS_PER_ONE ((uint128)UINT64_C(1000000000000000))

_Static_assert(HEADER_BYTES + 2 * GROUPS_MAX <= DB_NUMERIC_BYTES_MAX, "every decimal has room");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is the other way round");

/* --- integers -------------------------------------------------------------------------------- */

void wire_put_uint16(uint16_t value, unsigned char bytes[2]) {
    value = __builtin_bswap16(value);
    memcpy(bytes, &value, sizeof value);
}

void wire_put_uint32(uint32_t value, unsigned char bytes[4]) {
    value = __builtin_bswap32(value);
    memcpy(bytes, &value, sizeof value);
}

void wire_put_uint64(uint64_t value, unsigned char bytes[8]) {
    value = __builtin_bswap64(value);
    memcpy(bytes, &value, sizeof value);
}

/* --- instants -------------------------------------------------------------------------------- */

#define YEAR_0001_US (INT64_C(-719162) * INSTANT_DAY_US)
#define YEAR_10000_US (INT64_C(2932897) * INSTANT_DAY_US)

const char *wire_instant(const unsigned char *bytes, struct instant *value) {
    int64_t since_2000 = (int64_t)wire_uint64(bytes);
    if (since_2000 == INT64_MAX || since_2000 == INT64_MIN) {
        return "is infinite";
    }
    if (since_2000 < YEAR_0001_US - WIRE_EPOCH_US || since_2000 >= YEAR_10000_US - WIRE_EPOCH_US) {
        return "is out of range (years 0001 to 9999)";
    }
    value->us = since_2000 + WIRE_EPOCH_US;
    return NULL;
}

void wire_put_instant(struct instant value, unsigned char bytes[8]) {
    assert(value.us >= YEAR_0001_US && value.us < YEAR_10000_US);
    wire_put_uint64((uint64_t)(value.us - WIRE_EPOCH_US), bytes);
}

/* --- decimals -------------------------------------------------------------------------------- */

/* A group at weight w counts 10000^w; 10^-15 units are 10000^-4 times ten. */
enum decimal_fault wire_decimal(const unsigned char *bytes, size_t size_bytes,
                                struct decimal *value) {
    if (size_bytes < HEADER_BYTES) {
        return DECIMAL_NOT_A_NUMBER;
    }
    size_t groups_count = wire_uint16(bytes);
    int weight = (int16_t)wire_uint16(bytes + 2);
    unsigned sign = wire_uint16(bytes + 4);
    if ((sign != SIGN_POSITIVE && sign != SIGN_NEGATIVE) ||
        size_bytes != HEADER_BYTES + 2 * groups_count) {
        return DECIMAL_NOT_A_NUMBER;
    }
    const unsigned char *groups = bytes + HEADER_BYTES;
    while (groups_count > 0 && wire_uint16(groups) == 0) {
        groups += 2;
        groups_count--;
        weight--;
    }
    if (groups_count > 0 && weight >= WHOLE_GROUPS_MAX) {
        return DECIMAL_OUT_OF_RANGE;
    }
    uint128 whole = 0; /* down to weight -3: 10^-12, fits for six groups and three */
    unsigned last = 0; /* of weight -4 */
    for (int position = weight; position >= -3; position--) {
        size_t index = (size_t)(weight - position);
        unsigned group = index < groups_count ? wire_uint16(groups + 2 * index) : 0;
        if (group >= GROUP_BASE) {
            return DECIMAL_NOT_A_NUMBER;
        }
        whole = whole * GROUP_BASE + group;
    }
    for (size_t index = weight < -3 ? 0 : (size_t)(weight + 4); index < groups_count; index++) {
        unsigned group = wire_uint16(groups + 2 * index);
        if (group >= GROUP_BASE) {
            return DECIMAL_NOT_A_NUMBER;
        }
        if (weight - (int)index == -4 && group % 10 == 0) {
            last = group / 10;
        } else if (group != 0) {
            return DECIMAL_TOO_MANY_DECIMALS;
        }
    }
    if (whole >= UNITS_PER_ONE * UNITS_PER_ONE * 100000) {
        return DECIMAL_OUT_OF_RANGE;
    }
    int128 units = (int128)(whole * 1000 + last);
    value->units = sign == SIGN_NEGATIVE ? -units : units;
    assert(decimal_in_range(value->units));
    return DECIMAL_OK;
}

size_t wire_put_decimal(struct decimal value, unsigned char bytes[DB_NUMERIC_BYTES_MAX]) {
    assert(decimal_in_range(value.units));
    bool is_negative = value.units < 0;
    uint128 units = is_negative ? (uint128)-value.units : (uint128)value.units;
    uint128 whole = units / UNITS_PER_ONE;
    uint64_t fraction = (uint64_t)(units % UNITS_PER_ONE);
    unsigned decimals = fraction == 0 ? 0 : DECIMAL_PLACES;
    for (uint64_t rest = fraction; rest != 0 && rest % 10 == 0; rest /= 10) {
        decimals--;
    }
    uint16_t groups[GROUPS_MAX]; /* the first one of weight 5, the last one of weight -4 */
    fraction *= 10;
    for (int index = GROUPS_MAX - 1; index >= WHOLE_GROUPS_MAX; index--) {
        groups[index] = (uint16_t)(fraction % GROUP_BASE);
        fraction /= GROUP_BASE;
    }
    for (int index = WHOLE_GROUPS_MAX - 1; index >= 0; index--) {
        groups[index] = (uint16_t)(whole % GROUP_BASE);
        whole /= GROUP_BASE;
    }
    assert(whole == 0);
    int first = 0;
    int end = GROUPS_MAX;
    while (first < end && groups[first] == 0) {
        first++;
    }
    while (end > first && groups[end - 1] == 0) {
        end--;
    }
    int weight = first < end ? WHOLE_GROUPS_MAX - 1 - first : 0;
    wire_put_uint16((uint16_t)(end - first), bytes);
    wire_put_uint16((uint16_t)weight, bytes + 2);
    wire_put_uint16(is_negative ? SIGN_NEGATIVE : SIGN_POSITIVE, bytes + 4);
    wire_put_uint16((uint16_t)decimals, bytes + 6);
    for (int index = first; index < end; index++) {
        wire_put_uint16(groups[index], bytes + HEADER_BYTES + 2 * (index - first));
    }
    return HEADER_BYTES + 2 * (size_t)(end - first);
}
