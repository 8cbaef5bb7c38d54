#include <assert.h>
#include <string.h>

#include "flat.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tables are written as memory holds them");

static const char flat_zeros[64];

static bool flat_append(struct flat_builder *flat, const void *bytes, size_t size_bytes) {
    struct text text = {.bytes = bytes, .size_bytes = size_bytes};
    if (!flat->is_failed && size_bytes > 0 && !buffer_append(flat->buffer, text, flat->err)) {
        flat->is_failed = true;
    }
    return !flat->is_failed;
}

static size_t flat_position(const struct flat_builder *flat) {
    return flat->buffer->size_bytes;
}

static void flat_add_zeros(struct flat_builder *flat, size_t size_bytes) {
    while (size_bytes > 0) {
        size_t part = size_bytes < sizeof flat_zeros ? size_bytes : sizeof flat_zeros;
        if (!flat_append(flat, flat_zeros, part)) {
            return;
        }
        size_bytes -= part;
    }
}

/* Pads so that what comes skip_bytes later stands at a multiple of align_bytes. */
static void flat_align(struct flat_builder *flat, size_t skip_bytes, size_t align_bytes) {
    size_t past = (flat_position(flat) + skip_bytes) % align_bytes;
    flat_add_zeros(flat, past == 0 ? 0 : align_bytes - past);
}

struct flat_builder flat_builder_start(struct buffer *buffer, struct err *err) {
    struct flat_builder flat = {.buffer = buffer, .err = err};
    buffer_clear(buffer);
    flat_add_zeros(&flat, FLAT_OFFSET_BYTES);
    return flat;
}

bool flat_builder_finish(struct flat_builder *flat) {
    flat_align(flat, 0, 8);
    return !flat->is_failed;
}

size_t flat_add_table(struct flat_builder *flat, const uint8_t *sizes_bytes, size_t fields_count,
                      size_t *fields) {
    assert(fields_count <= FLAT_FIELDS_MAX);
    flat_align(flat, 0, 2);
    size_t vtable = flat_position(flat);
    size_t vtable_bytes = 4 + 2 * fields_count;
    size_t table = (vtable + vtable_bytes + 3) / 4 * 4;
    uint16_t words[2 + FLAT_FIELDS_MAX] = {(uint16_t)vtable_bytes};
    size_t end = table + 4;
    for (size_t index = 0; index < fields_count; index++) {
        size_t size = sizes_bytes[index];
        if (size == 0) {
            continue;
        }
        fields[index] = (end + size - 1) / size * size;
        words[2 + index] = (uint16_t)(fields[index] - table);
        end = fields[index] + size;
    }
    words[1] = (uint16_t)(end - table);
    flat_append(flat, words, vtable_bytes);
    flat_add_zeros(flat, end - vtable - vtable_bytes);
    flat_set_u32(flat, table, (uint32_t)(table - vtable));
    return table;
}

size_t flat_add_string(struct flat_builder *flat, struct text text) {
    assert(text.size_bytes <= INT32_MAX);
    flat_align(flat, 0, 4);
    size_t position = flat_position(flat);
    uint32_t size = (uint32_t)text.size_bytes;
    flat_append(flat, &size, sizeof size);
    flat_append(flat, text.bytes, text.size_bytes);
    flat_add_zeros(flat, 1);
    return position;
}

size_t flat_add_vector(struct flat_builder *flat, struct flat_elements shape, size_t *elements) {
    assert(shape.align_bytes >= 4 && shape.count <= UINT32_MAX);
    flat_align(flat, sizeof(uint32_t), shape.align_bytes);
    size_t position = flat_position(flat);
    uint32_t count = (uint32_t)shape.count;
    flat_append(flat, &count, sizeof count);
    *elements = flat_position(flat);
    flat_add_zeros(flat, shape.count * shape.size_bytes);
    return position;
}

size_t flat_add_bytes(struct flat_builder *flat, struct text bytes) {
    flat_align(flat, 0, 8);
    size_t position = flat_position(flat);
    flat_append(flat, bytes.bytes, bytes.size_bytes);
    return position;
}

static void flat_set(struct flat_builder *flat, size_t position, const void *value,
                     size_t size_bytes) {
    if (!flat->is_failed) {
        assert(position + size_bytes <= flat->buffer->size_bytes);
        memcpy(flat->buffer->bytes + position, value, size_bytes);
    }
}

void flat_link(struct flat_builder *flat, size_t field, size_t target) {
    assert(flat->is_failed || (target > field && target - field <= UINT32_MAX));
    flat_set_u32(flat, field, (uint32_t)(target - field));
}

void flat_set_u8(struct flat_builder *flat, size_t position, uint8_t value) {
    flat_set(flat, position, &value, sizeof value);
}

void flat_set_u16(struct flat_builder *flat, size_t position, uint16_t value) {
    flat_set(flat, position, &value, sizeof value);
}

void flat_set_u32(struct flat_builder *flat, size_t position, uint32_t value) {
    flat_set(flat, position, &value, sizeof value);
}

void flat_set_u64(struct flat_builder *flat, size_t position, uint64_t value) {
    flat_set(flat, position, &value, sizeof value);
}
