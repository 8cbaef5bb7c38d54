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

static void report_bytes(struct report_file *file, const char *bytes, size_t size_bytes) {
    struct buffer *buffer = &file->buffer;
    if (size_bytes == 0) {
        return; /* an empty text may have no bytes at all */
    }
    if (buffer->capacity_bytes - buffer->size_bytes < size_bytes) {
        struct err err = {0};
        report_keep(file, buffer_append(buffer, (struct text){bytes, size_bytes}, &err), &err);
        return;
    }
    memcpy(buffer->bytes + buffer->size_bytes, bytes, size_bytes);
    buffer->size_bytes += size_bytes;
}

static void report_byte(struct report_file *file, char byte) {
    struct buffer *buffer = &file->buffer;
    if (buffer->size_bytes < buffer->capacity_bytes) {
        buffer->bytes[buffer->size_bytes++] = byte;
    } else {
        report_bytes(file, &byte, 1);
    }
}

/* The comma before every field but the first. */
static void report_next_field(struct report_file *file) {
    assert(file->column < file->columns_count);
    if (file->column++ > 0) {
        report_byte(file, ',');
    }
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

static void report_quoted(struct report_file *file, struct text value) {
    size_t from = 0;
    for (size_t index = 0; index < value.size_bytes; index++) {
        if (value.bytes[index] == '"') {
            report_bytes(file, value.bytes + from, index + 1 - from);
            from = index; /* the quote once more */
        }
    }
    report_bytes(file, value.bytes + from, value.size_bytes - from);
}

void report_text(struct report_file *file, struct text value) {
    report_next_field(file);
    bool is_quoted = needs_quotes(value);
    if (is_quoted) {
        report_byte(file, '"');
    }
    if (is_formula(value)) {
        report_byte(file, '\'');
    }
    if (is_quoted) {
        report_quoted(file, value);
        report_byte(file, '"');
    } else {
        report_bytes(file, value.bytes, value.size_bytes);
    }
}

void report_words(struct report_file *file, const char *value) {
    struct text words = text_from(value);
    assert(!needs_quotes(words));
    report_next_field(file);
    report_bytes(file, words.bytes, words.size_bytes);
}

/*
 * Room for one short field, so that a number is formatted where it belongs. NULL when there is no
 * memory, which report_end_row will tell.
 */
static char *report_room(struct report_file *file, size_t size_bytes) {
    struct buffer *buffer = &file->buffer;
    if (buffer->capacity_bytes - buffer->size_bytes < size_bytes) {
        struct err err = {0};
        if (!buffer_reserve(buffer, size_bytes, &err)) {
            report_keep(file, false, &err);
            return NULL;
        }
    }
    return buffer->bytes + buffer->size_bytes;
}

void report_decimal(struct report_file *file, struct decimal value) {
    report_next_field(file);
    char *at = report_room(file, DECIMAL_TEXT_MAX);
    if (at != NULL) {
        file->buffer.size_bytes += decimal_format(value, at);
    }
}

void report_money(struct report_file *file, struct decimal amount,
                  const struct currency *currency) {
    report_next_field(file);
    char *at = report_room(file, DECIMAL_TEXT_MAX);
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
    char text[INSTANT_TEXT_MAX];
    report_next_field(file);
    report_bytes(file, text, instant_format(value, text));
}

void report_empty(struct report_file *file) {
    report_next_field(file);
}

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
    file->column = 0;
    file->rows_count++;
    report_byte(file, '\n');
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
