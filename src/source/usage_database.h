/* Usage out of PostgreSQL: what its files share. Internal to src/source. */
#ifndef PERIODCLOSE_SOURCE_USAGE_DATABASE_H
#define PERIODCLOSE_SOURCE_USAGE_DATABASE_H

#include "db/copy.h"
#include "db/wire.h"
#include "usage_state.h"

extern const char database_ledger[]; /* the relation, for messages */

/* The columns of a row, as sql/extract/usage_late.sql sends it. */
enum {
    COLUMN_ORG_ID,
    COLUMN_METRIC,
    COLUMN_QUANTITY,
    COLUMN_OCCURRED_AT,
    COLUMN_IS_SET,
    COLUMN_UNIQUE_KEY,
    COLUMN_EVENT_ID,
    COLUMN_RECORDED_AT,
    COLUMN_REASON,
    COLUMNS_COUNT,
    COLUMN_EVENTS = COLUMNS_COUNT, /* of sql/extract/usage_summed.sql alone */
    COLUMN_LAST_AT,
    COLUMNS_SUMMED_COUNT,
};

/* The columns of sql/extract/usage.sql, each with those of many rows. */
enum { PACK_ORGS, PACK_METRICS, PACK_QUANTITY, PACK_ROWS, PACK_COLUMNS_COUNT };

/* The columns of sql/extract/seats.sql, each with those of many events. */
enum {
    SEATS_PACK_ORGS,
    SEATS_PACK_USERS,
    SEATS_PACK_ROLES,
    SEATS_PACK_SEATS,
    SEATS_PACK_COLUMNS_COUNT
};

static inline struct text database_text(const struct db_field *field) {
    return (struct text){(const char *)field->bytes, field->size_bytes};
}

/* --- columns that hold those of many rows ------------------------------------------------------
 */

/* What is left of lines. Without bytes it is at its end. */
static inline void pack_skip_line(struct text *lines, size_t size_bytes) {
    bool is_last = lines->size_bytes == size_bytes;
    lines->bytes = is_last ? NULL : lines->bytes + size_bytes + 1;
    lines->size_bytes = is_last ? 0 : lines->size_bytes - size_bytes - 1;
}

static inline bool pack_take_line(struct text *lines, struct db_field *field) {
    if (lines->bytes == NULL) {
        return false;
    }
    const char *end = memchr(lines->bytes, '\n', lines->size_bytes);
    size_t size_bytes = end != NULL ? (size_t)(end - lines->bytes) : lines->size_bytes;
    *field = (struct db_field){(const unsigned char *)lines->bytes, (uint32_t)size_bytes};
    pack_skip_line(lines, size_bytes);
    return true;
}

static inline void pack_skip_bytes(struct text *column, size_t size_bytes) {
    column->bytes += size_bytes;
    column->size_bytes -= size_bytes;
}

static inline bool pack_take_bytes(struct text *column, size_t size_bytes, struct db_field *field) {
    if (size_bytes > column->size_bytes) {
        return false;
    }
    *field = (struct db_field){(const unsigned char *)column->bytes, (uint32_t)size_bytes};
    pack_skip_bytes(column, size_bytes);
    return true;
}

/* --- quantities --------------------------------------------------------------------------------
 */

/* Up to sixteen digits and twelve decimals, as nearly every quantity: exact, or false. */
static inline bool database_pack_numeric(const unsigned char *bytes, size_t size_bytes,
                                         int64_t *packed) {
    size_t groups = size_bytes >= 8 ? wire_uint16(bytes) : 0;
    if (groups == 0 || groups > 4 || size_bytes != 8 + 2 * groups) {
        return false;
    }
    int weight = (int16_t)wire_uint16(bytes + 2);
    unsigned sign = wire_uint16(bytes + 4);
    int behind = (int)groups - 1 - weight; /* groups behind the point */
    if ((sign != 0 && sign != 0x4000) || behind > 3 || weight > 3 || weight < -3) {
        return false;
    }
    int64_t mantissa = 0;
    for (size_t index = 0; index < groups; index++) {
        unsigned group = wire_uint16(bytes + 8 + 2 * index);
        if (group > 9999) {
            return false;
        }
        mantissa = mantissa * 10000 + group;
    }
    for (; behind < 0; behind++) {
        mantissa *= 10000;
    }
    *packed = packed_from(sign == 0 ? mantissa : -mantissa, 4 * (unsigned)behind);
    return true;
}

/* The metrics that any plan meters as a level, as an array's text; a name may stand twice. */
bool database_list_levels(const struct catalog *catalog, struct buffer *list, struct err *err);

/* One row: judged as a row of a file is, and counted. */
bool feed_database_row(struct usage_feed *feed, const struct db_field *fields, struct err *err);
/* The same with COLUMNS_SUMMED_COUNT fields: one event, or several that were added up. */
bool feed_database_sum(struct usage_feed *feed, const struct db_field *fields, struct err *err);
/* Readies a connection for physical ranges. */
bool prepare_database(struct source_database *database, size_t connection, struct err *err);
/* Asks for all seats over one connection, which can do nothing else until they are read. */
bool begin_seats_database(struct source_database *database, size_t connection,
                          struct db_copy_out *copy, struct err *err);
/* The seats that were asked for already, over the last connection; NULL: they were not. */
struct db_copy_out *source_database_seats(struct source_database *database);
void source_database_take_seats(struct source_database *database); /* they are read */
/* All seats, over one connection. */
bool read_seats_database(struct usage_feed *feed, struct source_database *database, size_t worker,
                         struct err *err);
/* SEATS_PACK_COLUMNS_COUNT fields: many events, kept until all are there. bytes: room to work in.
 */
bool feed_database_seats(struct usage_feed *feed, const struct db_field *fields,
                         struct buffer *bytes, struct err *err);
/* Then: every seat from its events, judged as a row of a file is. */
bool feed_pair_seats(struct usage_feed *feed, struct err *err);
/* PACK_COLUMNS_COUNT fields: many rows, one after the other. */
bool feed_database_pack(struct usage_feed *feed, const struct db_field *fields, struct err *err);
/* A row of sql/extract/usage_late.sql: listed, and moves nothing. */
bool feed_database_late(struct usage_feed *feed, const struct db_field *fields, struct err *err);

#endif
