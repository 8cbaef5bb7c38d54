/*
 * Values as they stand on PostgreSQL's wire in binary: big-endian integers, timestamptz as
 * microseconds since 2000-01-01, numeric in base 10,000.
 */
#ifndef PERIODCLOSE_DB_WIRE_H
#define PERIODCLOSE_DB_WIRE_H

#include "core/decimal.h"
#include "core/instant.h"
#include "db/db.h"

static inline uint16_t wire_uint16(const unsigned char *bytes) {
    return (uint16_t)((unsigned)bytes[0] << 8 | bytes[1]);
}

static inline uint32_t wire_uint32(const unsigned char *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap32(value);
}

static inline uint64_t wire_uint64(const unsigned char *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap64(value);
}

#define WIRE_EPOCH_US (INT64_C(10957) * INSTANT_DAY_US) /* 2000-01-01 */

/*
 * NULL, or the reason: "is infinite", "is out of range" (years 0001 to 9999, as everywhere). The
 * eight bytes of a timestamptz.
 */
const char *wire_instant(const unsigned char *bytes, struct instant *value);
void wire_put_instant(struct instant value, unsigned char bytes[8]);

/*
 * A numeric that is no decimal: NaN and the infinities are DECIMAL_NOT_A_NUMBER, so is what is no
 * numeric at all; the rest as for decimal_parse.
 */
enum decimal_fault wire_decimal(const unsigned char *bytes, size_t size_bytes,
                                struct decimal *value);
/* Exact, with no more decimals than are needed. Returns the size. */
size_t wire_put_decimal(struct decimal value, unsigned char bytes[DB_NUMERIC_BYTES_MAX]);

void wire_put_uint16(uint16_t value, unsigned char bytes[2]);
void wire_put_uint32(uint32_t value, unsigned char bytes[4]);
void wire_put_uint64(uint64_t value, unsigned char bytes[8]);

#endif
