#include "report/report_file.h"

#include <assert.h>
#include <stdio.h>

/* A row that begins before a buffer is full mostly still fits into it. */
enum { REPORT_ROW_BYTES = 4 * 1024 };

static void report_keep(struct report_file *file, bool is_fine, struct err *err) {
    if (is_fine) {
        return;
    }
    if (file->failure.code == ERR_NONE) {
        file->failure = *err;
    } else {
        err_release(err);
    }
}

/* False: there is no memory, which report_end_row will tell. */
static bool report_grow(struct report_file *file, struct buffer *buffer, size_t size_bytes) {
    struct err err = {0};
    bool is_grown = buffer_reserve(buffer, size_bytes, &err);
    report_keep(file, is_grown, &err);
    return is_grown;
}

/*
 * Begins a field that has up to size_bytes: the comma before every field but the first, then where
 * it goes; the caller adds to the buffer's size what it put there. NULL: see report_grow.
 */
static inline char *report_field(struct report_file *file, size_t size_bytes) {
    struct buffer *buffer = &file->buffer;
    assert(file->column < file->columns_count);
    bool is_first = file->column++ == 0;
    if (buffer->capacity_bytes - buffer->size_bytes <= size_bytes &&
        !report_grow(file, buffer, size_bytes + 1)) {
        return NULL;
    }
    buffer->bytes[buffer->size_bytes] = ',';
    buffer->size_bytes += !is_first;
    return buffer->bytes + buffer->size_bytes;
}

/* What a byte of a text asks for. */
enum byte_duty { DUTY_NONE = 0, DUTY_QUOTES = 1, DUTY_APOSTROPHE_IF_FIRST = 2 };

static const unsigned char byte_duties[256] = {
    [','] = DUTY_QUOTES,
    ['"'] = DUTY_QUOTES,
    ['\n'] = DUTY_QUOTES,
    ['\r'] = DUTY_QUOTES | DUTY_APOSTROPHE_IF_FIRST,
    ['\t'] = DUTY_APOSTROPHE_IF_FIRST,
    ['='] = DUTY_APOSTROPHE_IF_FIRST,
    ['+'] = DUTY_APOSTROPHE_IF_FIRST,
    ['-'] = DUTY_APOSTROPHE_IF_FIRST,
    ['@'] = DUTY_APOSTROPHE_IF_FIRST,
};

static bool needs_quotes(struct text value) {
    unsigned duties = DUTY_NONE;
    for (size_t index = 0; index < value.size_bytes; index++) {
        duties |= byte_duties[(unsigned char)value.bytes[index]];
    }
    return (duties & DUTY_QUOTES) != 0;
}

static bool is_formula(struct text value) {
    return value.size_bytes > 0 &&
           (byte_duties[(unsigned char)value.bytes[0]] & DUTY_APOSTROPHE_IF_FIRST) != 0;
}

/* Every quote twice; returns the end. */
static char *write_quoted(char *at, struct text value) {
    for (size_t index = 0; index < value.size_bytes; index++) {
        *at++ = value.bytes[index];
        if (value.bytes[index] == '"') {
            *at++ = '"';
        }
    }
    return at;
}

void report_text(struct report_file *file, struct text value) {
    bool is_quoted = needs_quotes(value);
    /* Quotes around it, an apostrophe, and each byte twice. */
    char *from = report_field(file, is_quoted ? 3 + 2 * value.size_bytes : 1 + value.size_bytes);
    if (from == NULL) {
        return;
    }
    char *at = from;
    if (is_quoted) {
        *at++ = '"';
    }
    if (is_formula(value)) {
        *at++ = '\'';
    }
    if (is_quoted) {
        at = write_quoted(at, value);
        *at++ = '"';
    } else if (value.size_bytes > 0) { /* an empty text may have no bytes at all */
        memcpy(at, value.bytes, value.size_bytes);
        at += value.size_bytes;
    }
    file->buffer.size_bytes += (size_t)(at - from);
}

void report_words(struct report_file *file, const char *value) {
    struct text words = text_from(value);
    assert(!needs_quotes(words));
    char *at = report_field(file, words.size_bytes);
    if (at != NULL) {
        memcpy(at, words.bytes, words.size_bytes);
        file->buffer.size_bytes += words.size_bytes;
    }
}

void report_decimal(struct report_file *file, struct decimal value) {
    char *at = report_field(file, DECIMAL_TEXT_MAX);
    if (at != NULL) {
        file->buffer.size_bytes += decimal_format(value, at);
    }
}

void report_money(struct report_file *file, struct decimal amount,
                  const struct currency *currency) {
    char *at = report_field(file, DECIMAL_TEXT_MAX);
    if (at != NULL) {
        file->buffer.size_bytes += money_format(amount, currency, at);
    }
}

void report_int64(struct report_file *file, int64_t value) {
    struct decimal decimal;
    (void)decimal_from_int64(value, &decimal);
    report_decimal(file, decimal);
}

void report_instant(struct report_file *file, struct instant value) {
    char *at = report_field(file, INSTANT_TEXT_MAX);
    if (at != NULL) {
        file->buffer.size_bytes += instant_format(value, at);
    }
}

void report_empty(struct report_file *file) {
    (void)report_field(file, 0);
}

/* --- fields that come again ---------------------------------------------------------------------
 */

struct report_mark report_mark(const struct report_file *file) {
    return (struct report_mark){.offset_bytes = file->buffer.size_bytes, .column = file->column};
}

void report_keep_cells(struct report_file *file, struct report_mark mark,
                       struct report_cells *cells) {
    const struct buffer *buffer = &file->buffer;
    assert(mark.offset_bytes <= buffer->size_bytes && mark.column <= file->column);
    size_t size_bytes = buffer->size_bytes - mark.offset_bytes;
    cells->column = mark.column;
    cells->columns_count = file->column - mark.column;
    buffer_clear(&cells->text);
    if (size_bytes > 0 &&
        (cells->text.capacity_bytes >= size_bytes || report_grow(file, &cells->text, size_bytes))) {
        memcpy(cells->text.bytes, buffer->bytes + mark.offset_bytes, size_bytes);
        cells->text.size_bytes = size_bytes;
    }
}

void report_cells(struct report_file *file, const struct report_cells *cells) {
    struct buffer *buffer = &file->buffer;
    size_t size_bytes = cells->text.size_bytes;
    assert(file->column == cells->column);
    assert(file->columns_count - file->column >= cells->columns_count);
    file->column += cells->columns_count;
    if (size_bytes > 0 && (buffer->capacity_bytes - buffer->size_bytes >= size_bytes ||
                           report_grow(file, buffer, size_bytes))) {
        memcpy(buffer->bytes + buffer->size_bytes, cells->text.bytes, size_bytes);
        buffer->size_bytes += size_bytes;
    }
}

void report_cells_release(struct report_cells *cells) {
    buffer_release(&cells->text);
}

/* --- rows and files -----------------------------------------------------------------------------
 */

static bool report_flush(struct report_file *file, struct err *err) {
    struct buffer *buffer = &file->buffer;
    return saver_give(file->saver, buffer, err) &&
           buffer_reserve(buffer, SAVER_BUFFER_BYTES + REPORT_ROW_BYTES, err);
}

bool report_end_row(struct report_file *file, struct err *err) {
    if (file->failure.code != ERR_NONE) {
        *err = file->failure;
        file->failure = (struct err){0};
        return false;
    }
    assert(file->column == file->columns_count);
    if (file->buffer.size_bytes == file->buffer.capacity_bytes &&
        !buffer_reserve(&file->buffer, 1, err)) {
        return false;
    }
    file->buffer.bytes[file->buffer.size_bytes++] = '\n';
    file->column = 0;
    file->rows_count++;
    return file->buffer.size_bytes < SAVER_BUFFER_BYTES || report_flush(file, err);
}

bool report_file_open(struct report_file *file, const struct sys *sys, const char *path,
                      const char *const *columns, size_t columns_count, struct err *err) {
    *file = (struct report_file){.columns_count = columns_count};
    if (!buffer_reserve(&file->buffer, SAVER_BUFFER_BYTES + REPORT_ROW_BYTES, err) ||
        !saver_create(sys, path, &file->saver, err)) {
        report_file_abort(file);
        return false;
    }
    for (size_t index = 0; index < columns_count; index++) {
        report_words(file, columns[index]);
    }
    if (!report_end_row(file, err)) {
        report_file_abort(file);
        return false;
    }
    file->rows_count = 0;
    return true;
}

bool report_file_end(struct report_file *file, struct err *err) {
    assert(file->column == 0);
    if (!saver_give(file->saver, &file->buffer, err)) {
        return false;
    }
    saver_end(file->saver);
    buffer_release(&file->buffer);
    return true;
}

bool report_file_commit(struct report_file *file, struct report_seal *seal, struct err *err) {
    struct saver *saver = file->saver;
    file->saver = NULL;
    seal->rows_count = file->rows_count;
    seal->size_bytes = saver_size_bytes(saver);
    bool is_fine = saver_finish(saver, &seal->digest, err);
    report_file_abort(file);
    return is_fine;
}

void report_file_abort(struct report_file *file) {
    saver_destroy(file->saver);
    buffer_release(&file->buffer);
    err_release(&file->failure);
    *file = (struct report_file){0};
}
