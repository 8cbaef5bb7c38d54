#include <assert.h>
#include <string.h>

#include "flat.h"

int32_t flat_load_i32(const unsigned char *bytes) {
    int32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

int64_t flat_load_i64(const unsigned char *bytes) {
    int64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint32_t flat_load_u32(const unsigned char *bytes) {
    return (uint32_t)flat_load_i32(bytes);
}

static size_t flat_load_u16(const unsigned char *bytes) {
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

/* Positions are sums of a size_t below the size and a 32-bit offset: they never wrap. */
static bool flat_holds(const struct flat_view *view, size_t position, size_t size_bytes) {
    return position <= view->size_bytes && size_bytes <= view->size_bytes - position;
}

static struct flat_table flat_no_table(struct flat_view *view) {
    return (struct flat_table){.view = view};
}

static struct flat_table flat_broken_table(struct flat_view *view) {
    view->is_broken = true;
    return flat_no_table(view);
}

static struct flat_table flat_table_at(struct flat_view *view, size_t position) {
    if (!flat_holds(view, position, 4)) {
        return flat_broken_table(view);
    }
    int64_t vtable_signed = (int64_t)position - flat_load_i32(view->bytes + position);
    if (vtable_signed < 0 || !flat_holds(view, (size_t)vtable_signed, 4)) {
        return flat_broken_table(view);
    }
    size_t vtable = (size_t)vtable_signed;
    size_t vtable_bytes = flat_load_u16(view->bytes + vtable);
    size_t table_bytes = flat_load_u16(view->bytes + vtable + 2);
    if (vtable_bytes < 4 || vtable_bytes % 2 != 0 || !flat_holds(view, vtable, vtable_bytes) ||
        table_bytes < 4 || !flat_holds(view, position, table_bytes)) {
        return flat_broken_table(view);
    }
    return (struct flat_table){.view = view,
                               .position = position,
                               .size_bytes = table_bytes,
                               .vtable = vtable,
                               .fields_count = (vtable_bytes - 4) / 2,
                               .is_present = true};
}

struct flat_table flat_root(struct flat_view *view) {
    if (!flat_holds(view, 0, FLAT_OFFSET_BYTES)) {
        return flat_broken_table(view);
    }
    return flat_table_at(view, flat_load_u32(view->bytes));
}

/* NULL when the field is absent or does not lie inside its table. */
static const unsigned char *flat_field(const struct flat_table *table, size_t field,
                                       size_t size_bytes) {
    if (field >= table->fields_count) {
        return NULL;
    }
    size_t offset = flat_load_u16(table->view->bytes + table->vtable + 4 + 2 * field);
    if (offset == 0) {
        return NULL;
    }
    if (offset < 4 || offset + size_bytes > table->size_bytes) {
        table->view->is_broken = true;
        return NULL;
    }
    return table->view->bytes + table->position + offset;
}

uint8_t flat_get_u8(const struct flat_table *table, size_t field, uint8_t absent) {
    const unsigned char *bytes = flat_field(table, field, 1);
    return bytes == NULL ? absent : bytes[0];
}

int16_t flat_get_i16(const struct flat_table *table, size_t field, int16_t absent) {
    const unsigned char *bytes = flat_field(table, field, 2);
    int16_t value = absent;
    if (bytes != NULL) {
        memcpy(&value, bytes, sizeof value);
    }
    return value;
}

int32_t flat_get_i32(const struct flat_table *table, size_t field, int32_t absent) {
    const unsigned char *bytes = flat_field(table, field, 4);
    return bytes == NULL ? absent : flat_load_i32(bytes);
}

int64_t flat_get_i64(const struct flat_table *table, size_t field, int64_t absent) {
    const unsigned char *bytes = flat_field(table, field, 8);
    return bytes == NULL ? absent : flat_load_i64(bytes);
}

/* Where an offset field points to; false when it is absent. */
static bool flat_target(const struct flat_table *table, size_t field, size_t *position) {
    const unsigned char *bytes = flat_field(table, field, FLAT_OFFSET_BYTES);
    if (bytes == NULL) {
        return false;
    }
    *position = (size_t)(bytes - table->view->bytes) + flat_load_u32(bytes);
    return true;
}

struct flat_table flat_get_table(const struct flat_table *table, size_t field) {
    size_t position;
    if (!flat_target(table, field, &position)) {
        return flat_no_table(table->view);
    }
    return flat_table_at(table->view, position);
}

struct flat_vector flat_get_vector(const struct flat_table *table, size_t field,
                                   size_t element_bytes) {
    struct flat_view *view = table->view;
    struct flat_vector none = {.view = view, .element_bytes = element_bytes};
    size_t position;
    if (!flat_target(table, field, &position)) {
        return none;
    }
    if (!flat_holds(view, position, 4)) {
        view->is_broken = true;
        return none;
    }
    size_t count = flat_load_u32(view->bytes + position);
    if (!flat_holds(view, position + 4, count * element_bytes)) {
        view->is_broken = true;
        return none;
    }
    return (struct flat_vector){.view = view,
                                .position = position + 4,
                                .count = count,
                                .element_bytes = element_bytes,
                                .is_present = true};
}

const char *flat_get_string(const struct flat_table *table, size_t field, size_t size_max) {
    struct flat_vector vector = flat_get_vector(table, field, 1);
    if (!vector.is_present) {
        return NULL;
    }
    struct flat_view *view = table->view;
    const char *bytes = (const char *)view->bytes + vector.position;
    if (vector.count > size_max || !flat_holds(view, vector.position, vector.count + 1) ||
        strnlen(bytes, vector.count + 1) != vector.count ||
        !text_is_utf8((struct text){.bytes = bytes, .size_bytes = vector.count})) {
        view->is_broken = true;
        return NULL;
    }
    return bytes;
}

struct flat_table flat_vector_table(const struct flat_vector *vector, size_t index) {
    assert(index < vector->count && vector->element_bytes == FLAT_OFFSET_BYTES);
    size_t position = vector->position + index * FLAT_OFFSET_BYTES;
    return flat_table_at(vector->view, position + flat_load_u32(vector->view->bytes + position));
}

const unsigned char *flat_vector_element(const struct flat_vector *vector, size_t index) {
    assert(index < vector->count);
    return vector->view->bytes + vector->position + index * vector->element_bytes;
}
