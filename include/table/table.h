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
 *     table_writer_end(writer, err)             if there is more to do: no more rows, and the file
 *                                               is finished beside the caller (saver.h)
 *     table_writer_commit(writer, &seal, err)   footer, fsync, rename; destroys the writer,
 *                                               whether it succeeds or not
 *     table_writer_destroy(writer)              instead, on failure: leaves no file; NULL is fine
 *
 * Of many tables in one folder, in place of the commit, when they are ended (sys/files.h):
 *
 *     table_writer_seal(writer, &seal, err)     waits until all is in PATH.tmp, and may be read
 *     table_writer_leave(writer, err)           waits until PATH.tmp is durable: to be adopted;
 *                                               destroys the writer like a commit
 *
 * After any failure a writer can only be destroyed.
 *
 * A column that was not put in a row is null there if nullable (asserted otherwise). Batches are
 * cut after a row, by rows and by bytes of text, so the bytes of a file depend on schema, metadata
 * and rows alone. The file is hashed while it is written. Same bytes in, same bytes out.
 *
 * Reading: table_open maps the file and checks all of its structure before anything is used (magic,
 * footer, schema equal to the one asked for, every offset and length within bounds, text offsets
 * ascending, text valid UTF-8, decimals in range, booleans' and validity bitmaps' lengths, nulls
 * as many as counted). A file that fails is ERR_DAMAGED with its path. So is a file of another
 * writer that is Arrow but not as ours: compressed, with dictionaries, of another format version,
 * with other types, with buffers out of order or not aligned to 16 bytes, with more than
 * TABLE_METADATA_MAX pairs. Its SHA-256 is the manifest's business (table_file_digest). Columns of
 * a batch are plain pointers into the mapping, valid until table_close. Opened tables are
 * read-only: any number of threads may read one.
 */
#ifndef PERIODCLOSE_TABLE_TABLE_H
#define PERIODCLOSE_TABLE_TABLE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

enum {
    TABLE_COLUMNS_MAX = 32,
    TABLE_METADATA_MAX = 64,
    TABLE_TEXT_BYTES_MAX = 1024 * 1024, /* one value; also a metadata key or value */
};

/* "decimal128(38,15)", "utf8", … for messages. */
const char *table_type_name(enum table_type type);

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

enum { TABLE_BATCH_ROWS = 16384, TABLE_BATCH_TEXT_BYTES = 4 * 1024 * 1024 };

/*
 * The writer is visible so that a put is a few instructions in the caller's loop; its members are
 * the module's own. One column's part of the batch being filled: values[] and validity have room
 * for rows_capacity rows.
 */
struct table_writer_column {
    int type; /* enum table_type; -1 beyond the schema's last column */
    void *values;
    int32_t *offsets; /* TABLE_UTF8 */
    char *text_bytes; /* TABLE_UTF8 */
    size_t text_size_bytes;
    size_t text_capacity_bytes;
    uint8_t *validity; /* nullable columns: all set but the nulls' bits */
    size_t nulls_count;
};

struct table_filling;

struct table_writer {
    size_t row; /* the one being filled, in its batch */
    size_t rows_capacity;
    size_t text_size_bytes; /* of all columns, in the batch */
    uint32_t columns_put;   /* bit per column put in this row */
    uint32_t columns_all;
    uint32_t columns_nullable;
    uint64_t rows_before; /* rows of the batches written */
    struct table_writer_column columns[TABLE_COLUMNS_MAX];
    struct table_filling *filling;
};

/* metadata is copied; the schema must outlive the writer. Codes: ERR_FILE, ERR_MEMORY. */
bool table_writer_create(const struct sys *sys, const char *path, const struct table_schema *schema,
                         const struct table_metadata *metadata, size_t metadata_count,
                         struct table_writer **writer, struct err *err);
void table_writer_destroy(struct table_writer *writer);
/* Before the first row, for a table that fills slowly beside other work: a batch ends, and its
 * memory serves again, after so many rows. A power of two, at least 64. */
void table_writer_bound_batch(struct table_writer *writer, size_t rows_max);
/* No row may follow, only a commit or a destroy; the memory of rows is given back. */
bool table_writer_end(struct table_writer *writer, struct err *err);
bool table_writer_commit(struct table_writer *writer, struct table_seal *seal, struct err *err);
bool table_writer_seal(struct table_writer *writer, struct table_seal *seal, struct err *err);
bool table_writer_leave(struct table_writer *writer, struct err *err);
bool table_writer_is_left(struct table_writer *writer); /* table_writer_leave comes back at once */

/* Not for callers: the rare cases of table_put_text and table_end_row. */
bool table_writer_reserve_text(struct table_writer *writer, size_t column, size_t size_bytes);
bool table_writer_end_row(struct table_writer *writer, struct err *err);

static inline struct table_writer_column *table_writer_put(struct table_writer *writer,
                                                           size_t column, enum table_type type) {
    assert(column < TABLE_COLUMNS_MAX);
    assert(writer->columns[column].type == (int)type);
    assert((writer->columns_put >> column & 1) == 0);
    writer->columns_put |= UINT32_C(1) << column;
    return &writer->columns[column];
}

/* Type asserted, and that a column is put once in a row. */
static inline void table_put_decimal(struct table_writer *writer, size_t column,
                                     struct decimal value) {
    struct decimal *values = table_writer_put(writer, column, TABLE_DECIMAL)->values;
    values[writer->row] = value;
}

static inline void table_put_int64(struct table_writer *writer, size_t column, int64_t value) {
    int64_t *values = table_writer_put(writer, column, TABLE_INT64)->values;
    values[writer->row] = value;
}

static inline void table_put_instant(struct table_writer *writer, size_t column,
                                     struct instant value) {
    int64_t *values = table_writer_put(writer, column, TABLE_TIMESTAMP)->values;
    values[writer->row] = value.us;
}

static inline void table_put_date(struct table_writer *writer, size_t column, int32_t days) {
    int32_t *values = table_writer_put(writer, column, TABLE_DATE)->values;
    values[writer->row] = days;
}

static inline void table_put_bool(struct table_writer *writer, size_t column, bool value) {
    uint8_t *bits = table_writer_put(writer, column, TABLE_BOOL)->values;
    bits[writer->row / 8] |= (uint8_t)((unsigned)value << (writer->row % 8));
}

/* Most texts are short: no call for those of four to sixteen bytes. */
static inline void table_copy_text(char *to, struct text text) {
    uint64_t words[2];
    uint32_t halves[2];
    if (text.size_bytes < sizeof halves[0] || text.size_bytes > sizeof words) {
        if (text.size_bytes > 0) {
            memcpy(to, text.bytes, text.size_bytes);
        }
    } else if (text.size_bytes >= sizeof words[0]) {
        size_t last = text.size_bytes - sizeof words[0];
        memcpy(&words[0], text.bytes, sizeof words[0]);
        memcpy(&words[1], text.bytes + last, sizeof words[1]);
        memcpy(to, &words[0], sizeof words[0]);
        memcpy(to + last, &words[1], sizeof words[1]);
    } else {
        size_t last = text.size_bytes - sizeof halves[0];
        memcpy(&halves[0], text.bytes, sizeof halves[0]);
        memcpy(&halves[1], text.bytes + last, sizeof halves[1]);
        memcpy(to, &halves[0], sizeof halves[0]);
        memcpy(to + last, &halves[1], sizeof halves[1]);
    }
}

/*
 * The text is copied; it must be valid UTF-8 (the caller's duty: sources check). Text over
 * TABLE_TEXT_BYTES_MAX (ERR_RANGE) and a lack of memory (ERR_MEMORY) are kept and returned by
 * table_end_row.
 */
static inline void table_put_text(struct table_writer *writer, size_t column, struct text value) {
    struct table_writer_column *filled = table_writer_put(writer, column, TABLE_UTF8);
    if (value.size_bytes > filled->text_capacity_bytes - filled->text_size_bytes ||
        value.size_bytes > TABLE_TEXT_BYTES_MAX) {
        if (!table_writer_reserve_text(writer, column, value.size_bytes)) {
            return;
        }
    }
    table_copy_text(filled->text_bytes + filled->text_size_bytes, value);
    filled->text_size_bytes += value.size_bytes;
    writer->text_size_bytes += value.size_bytes;
    filled->offsets[writer->row + 1] = (int32_t)filled->text_size_bytes;
}

static inline bool table_end_row(struct table_writer *writer, struct err *err) {
    if (writer->columns_put == writer->columns_all && writer->row + 1 < writer->rows_capacity &&
        writer->text_size_bytes < TABLE_BATCH_TEXT_BYTES) {
        writer->row++;
        writer->columns_put = 0;
        return true;
    }
    return table_writer_end_row(writer, err);
}

static inline uint64_t table_writer_rows_count(const struct table_writer *writer) {
    return writer->rows_before + writer->row;
}

/*
 * Rows by column, of tables without text, booleans and nulls, several at a time: there is room for
 * so many of rows_wanted, at least for one; every column's values are written to where
 * table_rows_… points, then the rows ended.
 */
static inline size_t table_rows_room(const struct table_writer *writer, size_t rows_wanted) {
    size_t room = writer->rows_capacity - writer->row;
    return rows_wanted < room ? rows_wanted : room;
}

static inline struct decimal *table_rows_decimal(struct table_writer *writer, size_t column) {
    assert(writer->columns[column].type == (int)TABLE_DECIMAL);
    return (struct decimal *)writer->columns[column].values + writer->row;
}

static inline int64_t *table_rows_int64(struct table_writer *writer, size_t column) {
    assert(writer->columns[column].type == (int)TABLE_INT64);
    return (int64_t *)writer->columns[column].values + writer->row;
}

static inline int32_t *table_rows_date(struct table_writer *writer, size_t column) {
    assert(writer->columns[column].type == (int)TABLE_DATE);
    return (int32_t *)writer->columns[column].values + writer->row;
}

static inline bool table_end_rows(struct table_writer *writer, size_t rows_count, struct err *err) {
    assert(writer->columns_put == 0 && rows_count > 0);
    writer->row += rows_count - 1;
    writer->columns_put = writer->columns_all;
    return table_end_row(writer, err);
}

struct table;

bool table_open(const struct sys *sys, const char *path, const struct table_schema *schema,
                struct table **table, struct err *err);
/*
 * The same for a file that this very process has committed, and that nobody else may write to since
 * (the run's lock): the values (decimals in range, offsets ascending, UTF-8) were right when they
 * were put and are not looked at again. Where everything stands is checked as ever.
 */
bool table_open_own(const struct sys *sys, const char *path, const struct table_schema *schema,
                    struct table **table, struct err *err);
/* Opens with the schema the file itself states (inspect): *schema lives as long as the table, its
 * name is the file's, it has no key columns. */
bool table_open_any(const struct sys *sys, const char *path, struct table **table,
                    const struct table_schema **schema, struct err *err);
/* The same for a file held in memory, 16-byte aligned, which must outlive the table. */
bool table_open_memory(const void *bytes, size_t size_bytes, const char *path, struct table **table,
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
/* A cursor whose next row is the one with that number; behind the last row: none. */
struct table_cursor table_cursor_before(const struct table *table, uint64_t row);
/* Of a table sorted by a column of text: the number of the first row that is not before the key. */
uint64_t table_find_row(const struct table *table, size_t column, struct text key);
bool table_cursor_next_batch(struct table_cursor *cursor); /* not for callers */

static inline bool table_cursor_next(struct table_cursor *cursor) {
    if (cursor->is_started && cursor->row + 1 < cursor->batch->rows_count) {
        cursor->row++;
        return true;
    }
    return table_cursor_next_batch(cursor);
}

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

/* SHA-256 and size of any file on disk, read in bounded windows; rows_count is 0. */
bool table_file_digest(const struct sys *sys, const char *path, struct table_seal *seal,
                       struct err *err);

#endif
