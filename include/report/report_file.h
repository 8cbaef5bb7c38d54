/*
 * Report files: RFC 4180 CSV for people and their spreadsheets (DESIGN.md 9).
 *
 * UTF-8, "\n", header row, fields quoted only where needed. A text that a spreadsheet would run as
 * a formula (it begins with = + - @ tab or CR) gets a leading apostrophe. Decimals in full, costs
 * with the currency's decimals, instants as YYYY-MM-DDTHH:MM:SS[.ffffff]Z. The file appears whole,
 * and is hashed and written beside the caller (sys/saver.h).
 *
 *     report_file_open(&file, sys, path, columns, columns_count, err)
 *     report_text(&file, …) report_decimal(&file, …) …   in the order of the columns
 *     report_end_row(&file, err)
 *     report_file_end(&file, err)                        no more rows; it is finished by itself
 *     report_file_seal(&file, &seal, err)                waits until all of it is hashed
 *     report_file_leave(&file, err)                      waits until it is durable in PATH.tmp, to
 *                                                        be adopted (sys/files.h)
 *     report_file_abort(&file)                           instead, at any point
 *
 * Failures while putting are kept and returned by report_end_row.
 *
 * Rows that are many are put together in one piece, in room that is made once for the whole row,
 * from fields that were made before (report_field_…) and numbers:
 *
 *     char *at = report_row_start(&file, size_bytes)     as large as it can get; NULL: no memory
 *     at = report_put_field(at, field) … report_put_decimal(at, value) …
 *     report_row_end(&file, at, err)
 *
 * Rows that several threads make are put into parts, files without a saver, and then added to the
 * file in their order (report_file_add).
 */
#ifndef PERIODCLOSE_REPORT_REPORT_FILE_H
#define PERIODCLOSE_REPORT_REPORT_FILE_H

#include <assert.h>

#include "core/digest.h"
#include "core/instant.h"
#include "core/money.h"
#include "sys/saver.h"

struct report_file {
    struct saver *saver; /* NULL: a part */
    struct buffer buffer;
    size_t columns_count;
    size_t column;       /* of the row being written */
    uint64_t rows_count; /* without the header */
    struct err failure;
};

struct report_seal {
    uint64_t rows_count;
    uint64_t size_bytes;
    struct digest digest;
};

bool report_file_open(struct report_file *file, const struct sys *sys, const char *path,
                      const char *const *columns, size_t columns_count, struct err *err);
void report_text(struct report_file *file, struct text value);
void report_words(struct report_file *file, const char *value); /* our own words: no guard */
void report_decimal(struct report_file *file, struct decimal value);
void report_money(struct report_file *file, struct decimal amount, const struct currency *currency);
void report_int64(struct report_file *file, int64_t value);
void report_instant(struct report_file *file, struct instant value);
void report_empty(struct report_file *file);
bool report_end_row(struct report_file *file, struct err *err);
bool report_file_end(struct report_file *file, struct err *err);
bool report_file_seal(struct report_file *file, struct report_seal *seal, struct err *err);
bool report_file_leave(struct report_file *file, struct err *err);
void report_file_abort(struct report_file *file); /* after leave, or zeroed: nothing */

/* A part of a file with these columns; released with report_file_abort. */
struct report_file report_part(size_t columns_count);
/* The part's rows behind those that the file has; the part is empty afterwards, for the next ones.
 */
bool report_file_add(struct report_file *file, struct report_file *part, struct err *err);

/* --- rows in one piece --------------------------------------------------------------------------
 */

/*
 * A field, or several, as they stand in the file, each but a row's first with the comma before it.
 * The memory is always at least REPORT_FIELD_CAPACITY_BYTES long, so that a short one is copied
 * without counting.
 */
enum { REPORT_FIELD_BYTES = 32, REPORT_FIELD_CAPACITY_BYTES = 64 };
_Static_assert((int)REPORT_FIELD_CAPACITY_BYTES >= 1 + (int)DECIMAL_TEXT_MAX,
               "room for a comma and a number");

struct report_field {
    struct buffer text;
};

/* Makes it empty; the others add to it. */
bool report_field_start(struct report_field *field, struct err *err);
bool report_field_comma(struct report_field *field, struct err *err);
bool report_field_text(struct report_field *field, struct text value, struct err *err);
bool report_field_words(struct report_field *field, const char *value, struct err *err);
bool report_field_decimal(struct report_field *field, struct decimal value, struct err *err);
/* Makes it a comma and the number alone; it was started before. */
static inline void report_field_number(struct report_field *field, struct decimal value) {
    assert(field->text.capacity_bytes >= 1 + DECIMAL_TEXT_MAX);
    char *at = field->text.bytes;
    *at = ',';
    field->text.size_bytes = (size_t)(decimal_write(at + 1, value) - at);
}

void report_field_release(struct report_field *field);

/* Not for callers: the rare cases of the two that follow. */
char *report_row_room(struct report_file *part, size_t room_bytes);
bool report_row_fail(struct report_file *part, struct err *err);

/* A row of a part. The room has REPORT_FIELD_BYTES more than asked for, which report_put_field may
 * write over. */
static inline char *report_row_start(struct report_file *part, size_t size_bytes) {
    struct buffer *buffer = &part->buffer;
    assert(part->saver == NULL && part->column == 0);
    size_t room_bytes = size_bytes + REPORT_FIELD_BYTES + 1; /* the line's end, too */
    return buffer->capacity_bytes - buffer->size_bytes >= room_bytes
               ? buffer->bytes + buffer->size_bytes
               : report_row_room(part, room_bytes);
}

/* at: where the row ends; NULL if it could not start, which is told here. */
static inline bool report_row_end(struct report_file *part, char *at, struct err *err) {
    if (at == NULL) {
        return report_row_fail(part, err);
    }
    *at++ = '\n';
    part->buffer.size_bytes = (size_t)(at - part->buffer.bytes);
    part->rows_count++;
    assert(part->buffer.size_bytes <= part->buffer.capacity_bytes);
    return true;
}

static inline char *report_put_field(char *at, const struct report_field *field) {
    size_t size_bytes = field->text.size_bytes;
    if (size_bytes <= REPORT_FIELD_BYTES) {
        memcpy(at, field->text.bytes, REPORT_FIELD_BYTES);
    } else {
        memcpy(at, field->text.bytes, size_bytes);
    }
    return at + size_bytes;
}

/* With the comma before it, as all that follow. */
static inline char *report_put_decimal(char *at, struct decimal value) {
    *at++ = ',';
    if (decimal_is_zero(value)) {
        *at = '0';
        return at + 1;
    }
    return decimal_write(at, value);
}

static inline char *report_put_int64(char *at, int64_t value) {
    *at = ',';
    return decimal_write_int64(at + 1, value);
}

static inline char *report_put_money(char *at, struct decimal amount,
                                     const struct currency *currency) {
    *at = ',';
    return money_write(at + 1, amount, currency);
}

/* A text takes twice its bytes and so much more, the comma included. */
enum { REPORT_TEXT_BYTES_MORE = 4 };
char *report_put_text(char *at, struct text value);
char *report_put_words(char *at, const char *value); /* our own words: no guard */

static inline char *report_put_empty(char *at) {
    *at = ',';
    return at + 1;
}

#endif
