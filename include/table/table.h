/*
 * Tables: columns of plain values in Apache Arrow IPC files (the "file" format).
 *
 * Types: decimal128(38,15), utf8, int64, timestamp[us, UTC], date32, bool. No nesting, no
 * dictionaries, no compression: pandas, polars, R and the JavaScript reader open them as they are.
 * Format: apache/arrow format/File.fbs, Schema.fbs, Message.fbs; format version V5. Buffers are
 * padded to 64 bytes in the file and little-endian, so that a mapped decimal column is an array of
 * struct decimal.
 *
 * Writing (one thread per writer):
 *
 *     table_writer_create(sys, path, schema, metadata, &writer, err)
 *     for each row: table_put_decimal(writer, COLUMN, value) … for every column, in any order,
 *                   then table_end_row(writer, err)
 *     table_writer_commit(writer, &seal, err)   footer, fsync, rename; destroys the writer
 *     table_writer_destroy(writer)              instead, on failure: leaves no file; NULL is fine
 *
 * A column that was not put in a row is null there if nullable (asserted otherwise). Batches are
 * cut by rows and by bytes of text, so the bytes of a file depend on schema, metadata and rows
 * alone. The file is hashed while it is written. Same bytes in, same bytes out.
 *
 * Reading: table_open maps the file and checks all of its structure before anything is used (magic,
 * footer, schema equal to the one asked for, every offset and length within bounds, text offsets
 * ascending, text valid UTF-8, decimals in range, booleans' and validity bitmaps' lengths). A file
 * that fails is ERR_DAMAGED with its path. Its SHA-256 is the manifest's business
 * (table_file_digest). Columns of a batch are plain pointers into the mapping, valid until
 * table_close.
 */
#ifndef PERIODCLOSE_TABLE_TABLE_H
#define PERIODCLOSE_TABLE_TABLE_H

#include "core/decimal.h"
#include "core/digest.h"
#include "core/instant.h"
#include "core/text.h"
#include "sys/sys.h"

enum table_type {
    TABLE_DECIMAL,   /* struct decimal, decimal128(38,15) */
    TABLE_UTF8,      /* struct text */
    TABLE_INT64,     /* int64_t */
    TABLE_TIMESTAMP, /* struct instant */
    TABLE_DATE,      /* int32_t, days since 1970-01-01 */
    TABLE_BOOL,      /* bool */
};

struct table_column {
    const char *name;
    enum table_type type;
    bool is_nullable;
};

enum { TABLE_COLUMNS_MAX = 32 };

/* Constant; the column order is the enum's that goes with it. Rows are sorted by the first
 * key_columns_count columns. */
struct table_schema {
    const char *name;
    const struct table_column *columns;
    size_t columns_count;
    size_t key_columns_count;
};

/* Key/value pairs kept in the file's schema, in the order given. */
struct table_metadata {
    const char *key;
    const char *value;
};

struct table_seal {
    uint64_t rows_count;
    uint64_t size_bytes;
    struct digest digest; /* SHA-256 of the whole file */
};

enum { TABLE_BATCH_ROWS = 65536, TABLE_BATCH_TEXT_BYTES = 4 * 1024 * 1024 };

struct table_writer;

bool table_writer_create(const struct sys *sys, const char *path, const struct table_schema *schema,
                         const struct table_metadata *metadata, size_t metadata_count,
                         struct table_writer **writer, struct err *err);
void table_writer_destroy(struct table_writer *writer);
bool table_writer_commit(struct table_writer *writer, struct table_seal *seal, struct err *err);

/* Type asserted. Text may be up to 1 MB and is copied; text must be valid UTF-8 (the caller's
 * duty: sources check). Text puts may fail (ERR_MEMORY); the failure is kept and returned by
 * table_end_row. */
void table_put_decimal(struct table_writer *writer, size_t column, struct decimal value);
void table_put_text(struct table_writer *writer, size_t column, struct text value);
void table_put_int64(struct table_writer *writer, size_t column, int64_t value);
void table_put_instant(struct table_writer *writer, size_t column, struct instant value);
void table_put_date(struct table_writer *writer, size_t column, int32_t days);
void table_put_bool(struct table_writer *writer, size_t column, bool value);
bool table_end_row(struct table_writer *writer, struct err *err);
uint64_t table_writer_rows_count(const struct table_writer *writer);

struct table;

bool table_open(const struct sys *sys, const char *path, const struct table_schema *schema,
                struct table **table, struct err *err);
/* Opens with the schema the file itself states (inspect): *schema lives as long as the table. */
bool table_open_any(const struct sys *sys, const char *path, struct table **table,
                    const struct table_schema **schema, struct err *err);
void table_close(struct table *table); /* NULL is fine */

const char *table_path(const struct table *table);
uint64_t table_rows_count(const struct table *table);
size_t table_batches_count(const struct table *table);
/* NULL when the file has no such key. */
const char *table_metadata_value(const struct table *table, const char *key);

/* One batch: rows_count rows; the pointers are plain arrays. */
struct table_batch {
    size_t rows_count;
    struct {
        const void *values;      /* struct decimal, int64_t, int32_t …; bits for TABLE_BOOL */
        const int32_t *offsets;  /* TABLE_UTF8: rows_count + 1 */
        const char *text_bytes;  /* TABLE_UTF8 */
        const uint8_t *validity; /* NULL: no nulls; else bit set = present */
    } columns[TABLE_COLUMNS_MAX];
};

const struct table_batch *table_batch(const struct table *table, size_t batch_index);

/*
 * A cursor over all rows, batch by batch.
 *
 *     struct table_cursor cursor = table_cursor_start(table);
 *     while (table_cursor_next(&cursor)) { … table_get_text(&cursor, ORGS_ORG_ID) … }
 */
struct table_cursor {
    const struct table *table;
    const struct table_batch *batch;
    size_t batch_index; /* of the next batch */
    size_t row;         /* in the batch */
    bool is_started;
};

struct table_cursor table_cursor_start(const struct table *table);
bool table_cursor_next(struct table_cursor *cursor);

static inline bool table_is_null(const struct table_cursor *cursor, size_t column) {
    const uint8_t *validity = cursor->batch->columns[column].validity;
    return validity != NULL && (validity[cursor->row / 8] >> (cursor->row % 8) & 1) == 0;
}
static inline struct decimal table_get_decimal(const struct table_cursor *cursor, size_t column) {
    return ((const struct decimal *)cursor->batch->columns[column].values)[cursor->row];
}
static inline int64_t table_get_int64(const struct table_cursor *cursor, size_t column) {
    return ((const int64_t *)cursor->batch->columns[column].values)[cursor->row];
}
static inline struct instant table_get_instant(const struct table_cursor *cursor, size_t column) {
    return (struct instant){((const int64_t *)cursor->batch->columns[column].values)[cursor->row]};
}
static inline int32_t table_get_date(const struct table_cursor *cursor, size_t column) {
    return ((const int32_t *)cursor->batch->columns[column].values)[cursor->row];
}
static inline bool table_get_bool(const struct table_cursor *cursor, size_t column) {
    const uint8_t *bits = cursor->batch->columns[column].values;
    return (bits[cursor->row / 8] >> (cursor->row % 8) & 1) != 0;
}
static inline struct text table_get_text(const struct table_cursor *cursor, size_t column) {
    const int32_t *offsets = cursor->batch->columns[column].offsets;
    int32_t from = offsets[cursor->row];
    return (struct text){.bytes = cursor->batch->columns[column].text_bytes + from,
                         .size_bytes = (size_t)(offsets[cursor->row + 1] - from)};
}

/* SHA-256 and size of a file on disk, read in bounded windows. */
bool table_file_digest(const struct sys *sys, const char *path, struct table_seal *seal,
                       struct err *err);

#endif
