#include "core/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/memory.h"

int text_compare_bytes(struct text left, struct text right) {
    size_t common = left.size_bytes < right.size_bytes ? left.size_bytes : right.size_bytes;
    int order = common == 0 ? 0 : memcmp(left.bytes, right.bytes, common);
    if (order != 0) {
        return order;
    }
    return (left.size_bytes > right.size_bytes) - (left.size_bytes < right.size_bytes);
}

/*
 * Size of the well-formed sequence that begins at bytes[0], 0 for none. Table 3-7 of the Unicode
 * standard: only the second byte's range depends on the first, and that is what keeps overlong
 * forms, surrogates and anything above U+10FFFF out.
 */
static size_t utf8_sequence_bytes(const unsigned char *bytes, size_t left_bytes) {
    unsigned char first = bytes[0];
    if (first < 0x80) {
        return 1;
    }
    size_t size_bytes = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first < 0xC2 || first > 0xF4 || left_bytes < size_bytes) {
        return 0;
    }
    unsigned char lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (bytes[1] < lowest || bytes[1] > highest) {
        return 0;
    }
    for (size_t index = 2; index < size_bytes; index++) {
        if ((bytes[index] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size_bytes;
}

bool text_is_utf8(struct text text) {
    const unsigned char *bytes = (const unsigned char *)text.bytes;
    size_t index = 0;
    while (index < text.size_bytes) {
        uint64_t eight;
        if (text.size_bytes - index >= sizeof eight) {
            memcpy(&eight, bytes + index, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                index += sizeof eight;
                continue;
            }
        }
        size_t size_bytes = utf8_sequence_bytes(bytes + index, text.size_bytes - index);
        if (size_bytes == 0) {
            return false;
        }
        index += size_bytes;
    }
    return true;
}

bool buffer_reserve(struct buffer *buffer, size_t more_bytes, struct err *err) {
    enum { CAPACITY_MIN = 64 };
    if (buffer->capacity_bytes - buffer->size_bytes >= more_bytes) {
        return true;
    }
    if (more_bytes > SIZE_MAX / 4 - buffer->size_bytes) {
        return err_memory(err, more_bytes);
    }
    /* At least half as much again, so that many small appends stay linear. */
    size_t capacity = buffer->capacity_bytes + buffer->capacity_bytes / 2;
    if (capacity < buffer->size_bytes + more_bytes) {
        capacity = buffer->size_bytes + more_bytes;
    }
    if (capacity < CAPACITY_MIN) {
        capacity = CAPACITY_MIN;
    }
    char *bytes = mem_realloc(buffer->bytes, capacity);
    if (bytes == NULL) {
        return err_memory(err, capacity);
    }
    buffer->bytes = bytes;
    buffer->capacity_bytes = capacity;
    return true;
}

bool buffer_append(struct buffer *buffer, struct text text, struct err *err) {
    if (text.size_bytes == 0) {
        return true;
    }
    if (!buffer_reserve(buffer, text.size_bytes, err)) {
        return false;
    }
    memcpy(buffer->bytes + buffer->size_bytes, text.bytes, text.size_bytes);
    buffer->size_bytes += text.size_bytes;
    return true;
}

bool buffer_append_format(struct buffer *buffer, struct err *err, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    size_t size_bytes = (size_t)length;
    /* vsnprintf writes a NUL behind the text: room for it, but it is no part of the buffer. */
    if (!buffer_reserve(buffer, size_bytes + 1, err)) {
        return false;
    }
    va_start(arguments, format);
    (void)vsnprintf(buffer->bytes + buffer->size_bytes, size_bytes + 1, format, arguments);
    va_end(arguments);
    buffer->size_bytes += size_bytes;
    return true;
}

struct text buffer_text(const struct buffer *buffer) {
    return (struct text){.bytes = buffer->bytes, .size_bytes = buffer->size_bytes};
}

void buffer_clear(struct buffer *buffer) {
    buffer->size_bytes = 0;
}

void buffer_release(struct buffer *buffer) {
    mem_free(buffer->bytes);
    *buffer = (struct buffer){0};
}

size_t text_shown_bytes(struct text text, size_t index) {
    assert(index < text.size_bytes);
    unsigned char first = (unsigned char)text.bytes[index];
    size_t size_bytes = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first < 0x20 || first == 0x7F || index + size_bytes > text.size_bytes ||
        !text_is_utf8((struct text){text.bytes + index, size_bytes})) {
        return 0;
    }
    /* U+0080 to U+009F are control characters, too. */
    return first == 0xC2 && (unsigned char)text.bytes[index + 1] < 0xA0 ? 0 : size_bytes;
}
