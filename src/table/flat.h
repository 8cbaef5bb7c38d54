/*
 * FlatBuffers, as far as Arrow's messages need them: a builder that writes front to back, and an
 * accessor that checks every offset it follows.
 *
 * Layout (https://flatbuffers.dev/internals/): little-endian; a buffer begins with the offset of
 * its root table. A table begins with the distance back to its vtable, a list of 16-bit field
 * offsets (0: absent). Strings, vectors and tables are reached by unsigned offsets relative to
 * where the offset stands, so children always follow their parents here.
 */
#ifndef PERIODCLOSE_TABLE_FLAT_H
#define PERIODCLOSE_TABLE_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

/*
 * Building. Every call appends; a failure (memory) is kept in is_failed and err, later calls do
 * nothing, and flat_builder_finish reports it. The bytes belong to the caller's buffer, whose first
 * byte must come to stand at a multiple of 8.
 *
 *     struct flat_builder flat = flat_builder_start(&buffer, err);
 *     size_t fields[2];
 *     flat_add_table(&flat, (const uint8_t[]){8, 4}, 2, fields);   an 8-byte field, an offset
 *     flat_set_u64(&flat, fields[0], 7);
 *     flat_link(&flat, fields[1], flat_add_string(&flat, text));
 *     flat_builder_finish(&flat)
 */
struct flat_builder {
    struct buffer *buffer;
    struct err *err;
    bool is_failed;
};

enum { FLAT_FIELDS_MAX = 8, FLAT_OFFSET_BYTES = 4 };

/* Clears the buffer and leaves room for the root's offset, at position 0. */
struct flat_builder flat_builder_start(struct buffer *buffer, struct err *err);
bool flat_builder_finish(struct flat_builder *flat);

/*
 * A table of zeroed fields; sizes_bytes[i] is 0 for an absent field, else 1, 2, 4 or 8. Gives the
 * position of each field, and returns the table's.
 */
size_t flat_add_table(struct flat_builder *flat, const uint8_t *sizes_bytes, size_t fields_count,
                      size_t *fields);
size_t flat_add_string(struct flat_builder *flat, struct text text);
/* Zeroed elements, aligned to align_bytes (at least 4); *elements is the first one's position. */
struct flat_elements {
    size_t count;
    size_t size_bytes;
    size_t align_bytes;
};
size_t flat_add_vector(struct flat_builder *flat, struct flat_elements shape, size_t *elements);
/* Any bytes, aligned to 8: a finished part, whose inner offsets stay right. */
size_t flat_add_bytes(struct flat_builder *flat, struct text bytes);

void flat_link(struct flat_builder *flat, size_t field, size_t target);
void flat_set_u8(struct flat_builder *flat, size_t position, uint8_t value);
void flat_set_u16(struct flat_builder *flat, size_t position, uint16_t value);
void flat_set_u32(struct flat_builder *flat, size_t position, uint32_t value);
void flat_set_u64(struct flat_builder *flat, size_t position, uint64_t value);

/*
 * Reading. Nothing outside bytes[0 … size_bytes) is ever touched: what points outside, or does not
 * fit, sets is_broken and gives an absent value instead, so a caller may read a whole message and
 * ask once. Absent tables and vectors have is_present false and no fields or elements.
 */
struct flat_view {
    const unsigned char *bytes;
    size_t size_bytes;
    bool is_broken;
};

struct flat_table {
    struct flat_view *view;
    size_t position;
    size_t size_bytes;
    size_t vtable;
    size_t fields_count;
    bool is_present;
};

struct flat_vector {
    struct flat_view *view;
    size_t position; /* of the first element */
    size_t count;
    size_t element_bytes;
    bool is_present;
};

struct flat_table flat_root(struct flat_view *view);
uint8_t flat_get_u8(const struct flat_table *table, size_t field, uint8_t absent);
int16_t flat_get_i16(const struct flat_table *table, size_t field, int16_t absent);
int32_t flat_get_i32(const struct flat_table *table, size_t field, int32_t absent);
int64_t flat_get_i64(const struct flat_table *table, size_t field, int64_t absent);
struct flat_table flat_get_table(const struct flat_table *table, size_t field);
struct flat_vector flat_get_vector(const struct flat_table *table, size_t field,
                                   size_t element_bytes);
/* Terminated, valid UTF-8, no NUL inside, at most size_max bytes; NULL when absent or broken. */
const char *flat_get_string(const struct flat_table *table, size_t field, size_t size_max);

/* The index must be below count (asserted). */
struct flat_table flat_vector_table(const struct flat_vector *vector, size_t index);
const unsigned char *flat_vector_element(const struct flat_vector *vector, size_t index);

/* Little-endian loads from anywhere. */
int32_t flat_load_i32(const unsigned char *bytes);
int64_t flat_load_i64(const unsigned char *bytes);

#endif
