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

/*
 * Ids and metrics are compared millions of times and mostly are short: up to 16 bytes are two
 * words, which may overlap.
 */
static inline bool text_equals(struct text left, struct text right) {
    size_t size_bytes = left.size_bytes;
    if (size_bytes != right.size_bytes) {
        return false;
    }
    if (size_bytes >= 8 && size_bytes <= 16) {
        uint64_t words[4];
        memcpy(&words[0], left.bytes, 8);
        memcpy(&words[1], right.bytes, 8);
        memcpy(&words[2], left.bytes + size_bytes - 8, 8);
        memcpy(&words[3], right.bytes + size_bytes - 8, 8);
        return words[0] == words[1] && words[2] == words[3];
    }
    if (size_bytes >= 4 && size_bytes < 8) {
        uint32_t words[4];
        memcpy(&words[0], left.bytes, 4);
        memcpy(&words[1], right.bytes, 4);
        memcpy(&words[2], left.bytes + size_bytes - 4, 4);
        memcpy(&words[3], right.bytes + size_bytes - 4, 4);
        return words[0] == words[1] && words[2] == words[3];
    }
    return size_bytes == 0 || memcmp(left.bytes, right.bytes, size_bytes) == 0;
}

/* Not for callers: the rest of text_compare. */
int text_compare_bytes(struct text left, struct text right);

/* Eight bytes as a number, the first one counting most. */
static inline uint64_t text_word(const char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap64(word);
#else
    return word;
#endif
}

/* Four bytes likewise. */
static inline uint64_t text_half_word(const char *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap32(word);
#else
    return word;
#endif
}

/* The first bytes of a text that has at least four: as if zeros followed to make them eight. */
static inline uint64_t text_first_word(struct text text) {
    if (text.size_bytes >= 8) {
        return text_word(text.bytes);
    }
    uint64_t last = text_half_word(text.bytes + text.size_bytes - 4);
    return text_half_word(text.bytes) << 32 | last << (8 - text.size_bytes) * 8;
}

/*
 * < 0, 0, > 0, by bytes; a prefix comes first. Names differ in their first bytes; keys of one kind
 * mostly are equally long: up to 16 bytes are two words again. The second begins with the first
 * one's end, if they are so few.
 */
static inline int text_compare(struct text left, struct text right) {
    size_t size_bytes = left.size_bytes;
    if (size_bytes < 4 || right.size_bytes < 4) {
        return text_compare_bytes(left, right);
    }
    uint64_t left_word = text_first_word(left);
    uint64_t right_word = text_first_word(right);
    if (left_word == right_word) {
        if (size_bytes != right.size_bytes || size_bytes > 16) {
            return text_compare_bytes(left, right);
        }
        if (size_bytes <= 8) {
            return 0;
        }
        left_word = text_word(left.bytes + size_bytes - 8);
        right_word = text_word(right.bytes + size_bytes - 8);
    }
    return (left_word > right_word) - (left_word < right_word);
}

/* Well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF). NUL bytes pass here. */
bool text_is_utf8(struct text text);

/*
 * Size of the character that begins at index; 0 for what people must not get as it is, because a
 * terminal acts on it or nothing can show it: control characters and bytes that are not UTF-8.
 */
size_t text_shown_bytes(struct text text, size_t index);

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
