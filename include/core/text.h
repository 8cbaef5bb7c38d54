/*
 * Text: a slice of bytes owned by somebody else, and a growing buffer of bytes.
 *
 * Keys are compared by their bytes (as unsigned), never by locale. A slice is not terminated.
 */
#ifndef PERIODCLOSE_CORE_TEXT_H
#define PERIODCLOSE_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/err.h"

struct text {
    const char *bytes;
    size_t size_bytes;
};

static inline struct text text_from(const char *terminated) {
    return (struct text){.bytes = terminated, .size_bytes = strlen(terminated)};
}

static inline bool text_equals(struct text left, struct text right) {
    return left.size_bytes == right.size_bytes &&
           (left.size_bytes == 0 || memcmp(left.bytes, right.bytes, left.size_bytes) == 0);
}

/* < 0, 0, > 0, by bytes; a prefix comes first. */
int text_compare(struct text left, struct text right);

/* Well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF). NUL bytes pass here. */
bool text_is_utf8(struct text text);

/*
 * Caller-owned growing bytes, zero-initialise to start. Not terminated; buffer_text gives the
 * slice, valid until the next append.
 */
struct buffer {
    char *bytes;
    size_t size_bytes;
    size_t capacity_bytes;
};

bool buffer_reserve(struct buffer *buffer, size_t more_bytes, struct err *err);
bool buffer_append(struct buffer *buffer, struct text text, struct err *err);
bool buffer_append_format(struct buffer *buffer, struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct text buffer_text(const struct buffer *buffer);
void buffer_clear(struct buffer *buffer);   /* keeps the memory */
void buffer_release(struct buffer *buffer); /* gives it back */

#endif
