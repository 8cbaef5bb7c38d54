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
static inline char *begin_field(struct report_file *file, size_t size_bytes) {
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

/* Quotes around it, an apostrophe, and each byte twice. */
static size_t text_room(struct text value, bool is_quoted) {
    return is_quoted ? 3 + 2 * value.size_bytes : 1 + value.size_bytes;
}

/* Returns the end. */
static char *write_text(char *at, struct text value, bool is_quoted) {
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
    return at;
}

void report_text(struct report_file *file, struct text value) {
    bool is_quoted = needs_quotes(value);
    char *from = begin_field(file, text_room(value, is_quoted));
    if (from != NULL) {
        file->buffer.size_bytes += (size_t)(write_text(from, value, is_quoted) - from);
    }
}

void report_words(struct report_file *file, const char *value) {
    struct text words = text_from(value);
    assert(!needs_quotes(words));
    char *at = begin_field(file, words.size_bytes);
    if (at != NULL) {
        memcpy(at, words.bytes, words.size_bytes);
        file->buffer.size_bytes += words.size_bytes;
    }
}

void report_decimal(struct report_file *file, struct decimal value) {
    char *at = begin_field(file, DECIMAL_TEXT_MAX);
    if (at != NULL) {
        file->buffer.size_bytes += decimal_format(value, at);
    }
}

void report_money(struct report_file *file, struct decimal amount,
                  const struct currency *currency) {
    char *at = begin_field(file, DECIMAL_TEXT_MAX);
    if (at != NULL) {
        file->buffer.size_bytes += money_format(amount, currency, at);
    }
}

void report_int64(struct report_file *file, int64_t value) {
    char *at = begin_field(file, DECIMAL_TEXT_MAX);
    if (at != NULL) {
        file->buffer.size_bytes += (size_t)(decimal_write_int64(at, value) - at);
    }
}

void report_instant(struct report_file *file, struct instant value) {
    char *at = begin_field(file, INSTANT_TEXT_MAX);
    if (at != NULL) {
        file->buffer.size_bytes += instant_format(value, at);
    }
}

void report_empty(struct report_file *file) {
    (void)begin_field(file, 0);
}

/* --- rows
 * -----------------------------------------------------------------------------------------
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
    return file->buffer.size_bytes < SAVER_BUFFER_BYTES || file->saver == NULL ||
           report_flush(file, err);
}

/* --- rows in one piece --------------------------------------------------------------------------
 */

bool report_field_start(struct report_field *field, struct err *err) {
    buffer_clear(&field->text);
    return field->text.capacity_bytes >= REPORT_FIELD_CAPACITY_BYTES ||
           buffer_reserve(&field->text, REPORT_FIELD_CAPACITY_BYTES, err);
}

bool report_field_comma(struct report_field *field, struct err *err) {
    return buffer_append(&field->text, text_from(","), err);
}

bool report_field_text(struct report_field *field, struct text value, struct err *err) {
    struct buffer *buffer = &field->text;
    bool is_quoted = needs_quotes(value);
    if (!buffer_reserve(buffer, text_room(value, is_quoted), err)) {
        return false;
    }
    char *end = write_text(buffer->bytes + buffer->size_bytes, value, is_quoted);
    buffer->size_bytes = (size_t)(end - buffer->bytes);
    return true;
}

bool report_field_words(struct report_field *field, const char *value, struct err *err) {
    assert(!needs_quotes(text_from(value)));
    return buffer_append(&field->text, text_from(value), err);
}

bool report_field_decimal(struct report_field *field, struct decimal value, struct err *err) {
    char text[DECIMAL_TEXT_MAX];
    size_t size_bytes = decimal_format(value, text);
    return buffer_append(&field->text, (struct text){.bytes = text, .size_bytes = size_bytes}, err);
}

void report_field_release(struct report_field *field) {
    buffer_release(&field->text);
}

char *report_put_text(char *at, struct text value) {
    *at++ = ',';
    return write_text(at, value, needs_quotes(value));
}

char *report_put_words(char *at, const char *value) {
    struct text words = text_from(value);
    assert(!needs_quotes(words));
    *at++ = ',';
    memcpy(at, words.bytes, words.size_bytes);
    return at + words.size_bytes;
}

char *report_row_room(struct report_file *part, size_t room_bytes) {
    struct buffer *buffer = &part->buffer;
    return report_grow(part, buffer, room_bytes) ? buffer->bytes + buffer->size_bytes : NULL;
}

bool report_row_fail(struct report_file *part, struct err *err) {
    assert(part->failure.code != ERR_NONE);
    *err = part->failure;
    part->failure = (struct err){0};
    return false;
}

/* --- files --------------------------------------------------------------------------------------
 */

struct report_file report_part(size_t columns_count) {
    return (struct report_file){.columns_count = columns_count};
}

bool report_file_add(struct report_file *file, struct report_file *part, struct err *err) {
    struct buffer *buffer = &file->buffer;
    assert(file->column == 0 && part->column == 0 && part->saver == NULL);
    file->rows_count += part->rows_count;
    part->rows_count = 0;
    if (buffer->size_bytes + part->buffer.size_bytes > SAVER_BUFFER_BYTES &&
        !saver_give(file->saver, buffer, err)) {
        return false;
    }
    if (part->buffer.size_bytes >= SAVER_BUFFER_BYTES / 2) {
        return saver_give(file->saver, buffer, err) && saver_give(file->saver, &part->buffer, err);
    }
    bool is_added = buffer_append(buffer, buffer_text(&part->buffer), err);
    buffer_clear(&part->buffer);
    return is_added;
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

bool report_file_seal(struct report_file *file, struct report_seal *seal, struct err *err) {
    seal->rows_count = file->rows_count;
    seal->size_bytes = saver_size_bytes(file->saver);
    return saver_digest(file->saver, &seal->digest, err);
}

bool report_file_leave(struct report_file *file, struct err *err) {
    struct saver *saver = file->saver;
    file->saver = NULL;
    bool is_left = saver_leave(saver, err);
    report_file_abort(file);
    return is_left;
}

void report_file_abort(struct report_file *file) {
    saver_destroy(file->saver);
    buffer_release(&file->buffer);
    err_release(&file->failure);
    *file = (struct report_file){0};
}
