/*
 * Checking a record batch before anything of it is used.
 *
 * The loops over values gather their findings and judge once at the end, so that they stay short
 * and without branches: every byte of a file passes here each time it is opened. Only of a file
 * that this process wrote itself the values are not looked at; its structure is, for little.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "arrow.h"

bool arrow_damaged(const char *path, struct err *err, const char *format, ...) {
    char reason[ERR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    err_set(err, ERR_DAMAGED, "%s: %s", path, reason);
    return err_hint(err, "restore the file, or run the stage that writes it again");
}

/* Walks the buffers of a message in order. */
struct arrow_buffers {
    const struct arrow_message *message;
    struct flat_vector buffers;
    size_t next;
    size_t used_bytes; /* of the body, by the buffers before */
};

struct arrow_slice {
    const unsigned char *bytes; /* NULL when empty */
    size_t size_bytes;
};

/* NULL, or what is wrong. */
static const char *arrow_next_buffer(struct arrow_buffers *walk, struct arrow_slice *slice) {
    assert(walk->next < walk->buffers.count);
    const unsigned char *buffer = flat_vector_element(&walk->buffers, walk->next++);
    int64_t offset_signed = flat_load_i64(buffer);
    int64_t size_signed = flat_load_i64(buffer + 8);
    *slice = (struct arrow_slice){0};
    if (offset_signed < 0 || size_signed < 0) {
        return "a buffer has a negative offset or length";
    }
    size_t offset = (size_t)offset_signed;
    size_t size = (size_t)size_signed;
    if (size == 0) {
        return NULL;
    }
    if (offset > walk->message->body_bytes || size > walk->message->body_bytes - offset) {
        return "a buffer reaches beyond the batch";
    }
    if (offset < walk->used_bytes) {
        return "a buffer overlaps the one before";
    }
    walk->used_bytes = offset + size;
    slice->bytes = walk->message->body + offset;
    slice->size_bytes = size;
    if ((uintptr_t)slice->bytes % sizeof(struct decimal) != 0) {
        return "a buffer is not aligned to 16 bytes";
    }
    return NULL;
}

static size_t arrow_count_bits(const uint8_t *bits, size_t rows_count) {
    size_t count = 0;
    size_t byte = 0;
    for (; byte + 8 <= rows_count / 8; byte += 8) {
        uint64_t word;
        memcpy(&word, bits + byte, sizeof word);
        count += (size_t)__builtin_popcountll(word);
    }
    for (size_t row = byte * 8; row < rows_count; row++) {
        count += (unsigned)bits[row / 8] >> (row % 8) & 1U;
    }
    return count;
}

static const char *arrow_check_validity(struct arrow_slice validity, size_t rows_count,
                                        int64_t nulls_count, bool is_nullable) {
    if (nulls_count < 0 || (uint64_t)nulls_count > rows_count) {
        return "it has more nulls than rows";
    }
    if (nulls_count > 0 && !is_nullable) {
        return "it has nulls but is not nullable";
    }
    if (validity.size_bytes == 0) {
        return nulls_count == 0 ? NULL : "its nulls are counted but not marked";
    }
    if (validity.size_bytes < arrow_bits_bytes(rows_count)) {
        return "its validity bitmap is too short";
    }
    if (arrow_count_bits(validity.bytes, rows_count) != rows_count - (size_t)nulls_count) {
        return "its nulls are not as many as counted";
    }
    return NULL;
}

static bool arrow_decimals_fit(const struct decimal *values, size_t count) {
    /* 10^38 - 1; a value fits if moved up by that it is at most twice that, as unsigned. */
    const uint128 limit = (uint128)UINT64_C(10000000000000000000) * UINT64_C(10000000000000000000);
    const uint128 most = limit - 1;
    bool fits = true;
    for (size_t index = 0; index < count; index++) {
        fits &= (uint128)values[index].units + most <= 2 * most;
    }
    return fits;
}

static bool arrow_offsets_ascend(const int32_t *offsets, size_t rows_count, size_t text_bytes) {
    bool ascend = offsets[0] >= 0;
    for (size_t row = 0; row < rows_count; row++) {
        ascend &= offsets[row] <= offsets[row + 1];
    }
    return ascend && (size_t)offsets[rows_count] <= text_bytes;
}

/* Length of the bytes before the first one that is not ASCII, in steps of 32. */
static size_t arrow_ascii_bytes(const char *bytes, size_t size_bytes) {
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t position = 0;
    for (; position + 32 <= size_bytes; position += 32) {
        uint64_t words[4];
        memcpy(words, bytes + position, sizeof words);
        if (((words[0] | words[1] | words[2] | words[3]) & high_bits) != 0) {
            break;
        }
    }
    return position;
}

/* All the text is UTF-8, and no value begins inside a character: so each value is UTF-8. */
static const char *arrow_check_text(const struct arrow_slice text, const int32_t *offsets,
                                    size_t rows_count) {
    if (!arrow_offsets_ascend(offsets, rows_count, text.size_bytes)) {
        return "its text offsets do not ascend within its text";
    }
    size_t start = (size_t)offsets[0];
    size_t end = (size_t)offsets[rows_count];
    if (start == end) {
        return NULL;
    }
    const char *bytes = (const char *)text.bytes;
    size_t checked = start + arrow_ascii_bytes(bytes + start, end - start);
    if (checked == end) {
        return NULL;
    }
    if (!text_is_utf8((struct text){.bytes = bytes + checked, .size_bytes = end - checked})) {
        return "its text is not UTF-8";
    }
    for (size_t row = 0; row < rows_count; row++) {
        size_t offset = (size_t)offsets[row];
        if (offset < end && (text.bytes[offset] & 0xc0U) == 0x80) {
            return "its text is cut inside a character";
        }
    }
    return NULL;
}

static const char *arrow_read_column(struct arrow_buffers *walk, const struct table_column *column,
                                     const unsigned char *node, size_t column_index,
                                     struct table_batch *batch) {
    bool is_own = walk->message->is_own;
    size_t rows_count = batch->rows_count;
    if (flat_load_i64(node) != (int64_t)rows_count) {
        return "it has another number of rows than its batch";
    }
    struct arrow_slice validity;
    struct arrow_slice values;
    struct arrow_slice text = {0};
    const char *fault = arrow_next_buffer(walk, &validity);
    fault = fault != NULL ? fault : arrow_next_buffer(walk, &values);
    if (fault == NULL && column->type == TABLE_UTF8) {
        fault = arrow_next_buffer(walk, &text);
    }
    int64_t nulls_count = flat_load_i64(node + 8);
    fault = fault != NULL
                ? fault
                : arrow_check_validity(validity, rows_count, nulls_count, column->is_nullable);
    if (fault != NULL) {
        return fault;
    }
    /* Without rows even the one text offset may be missing. */
    if (rows_count > 0 && values.size_bytes < arrow_values_bytes(column->type, rows_count)) {
        return "its values are too short";
    }
    batch->columns[column_index].values = values.bytes;
    batch->columns[column_index].validity = nulls_count > 0 ? validity.bytes : NULL;
    if (rows_count == 0) {
        return NULL;
    }
    if (column->type == TABLE_DECIMAL && !is_own &&
        !arrow_decimals_fit((const void *)values.bytes, rows_count)) {
        return "a decimal is out of range";
    }
    if (column->type == TABLE_UTF8) {
        /* A column of empty texts has no bytes; callers get a pointer all the same. */
        batch->columns[column_index].text_bytes =
            text.bytes != NULL ? (const char *)text.bytes : "";
        batch->columns[column_index].offsets = (const void *)values.bytes;
        return is_own ? NULL : arrow_check_text(text, (const void *)values.bytes, rows_count);
    }
    return NULL;
}

/* The record batch in a message: its rows, nodes and buffers. */
static const char *arrow_read_message(const struct arrow_message *message, struct flat_view *view,
                                      int64_t *rows_count, struct flat_vector *nodes,
                                      struct flat_vector *buffers) {
    struct flat_table root = flat_root(view);
    if (flat_get_i16(&root, ARROW_MESSAGE_VERSION, 0) != ARROW_VERSION_V5) {
        return "is not of format version V5";
    }
    if (flat_get_u8(&root, ARROW_MESSAGE_HEADER_TYPE, 0) != ARROW_HEADER_RECORD_BATCH) {
        return "is not a record batch";
    }
    int64_t body_bytes = flat_get_i64(&root, ARROW_MESSAGE_BODY_LENGTH, 0);
    if (body_bytes < 0 || (uint64_t)body_bytes != message->body_bytes) {
        return "is not as long as the footer says";
    }
    struct flat_table header = flat_get_table(&root, ARROW_MESSAGE_HEADER);
    if (flat_get_table(&header, ARROW_BATCH_COMPRESSION).is_present) {
        return "is compressed";
    }
    *rows_count = flat_get_i64(&header, ARROW_BATCH_LENGTH, 0);
    *nodes = flat_get_vector(&header, ARROW_BATCH_NODES, ARROW_NODE_BYTES);
    *buffers = flat_get_vector(&header, ARROW_BATCH_BUFFERS, ARROW_BUFFER_BYTES);
    return view->is_broken || !header.is_present ? "has parts that point outside" : NULL;
}

bool arrow_read_batch(const struct arrow_message *message, const struct arrow_schema *schema,
                      struct table_batch *batch, struct err *err) {
    struct flat_view view = {.bytes = message->metadata, .size_bytes = message->metadata_bytes};
    int64_t rows_count = 0;
    struct flat_vector nodes = {0};
    struct flat_vector buffers = {0};
    const char *fault = arrow_read_message(message, &view, &rows_count, &nodes, &buffers);
    size_t buffers_count = 0;
    for (size_t index = 0; index < schema->columns_count; index++) {
        buffers_count += schema->columns[index].type == TABLE_UTF8 ? 3 : 2;
    }
    if (fault == NULL && (nodes.count != schema->columns_count || buffers.count != buffers_count)) {
        fault = "has other columns than the schema";
    }
    /* A row takes at least one bit of the body. This keeps all sums below far from overflow. */
    if (fault == NULL &&
        (rows_count < 0 || (uint64_t)rows_count > (uint64_t)message->body_bytes * 8)) {
        fault = "has more rows than fit into it";
    }
    if (fault != NULL) {
        return arrow_damaged(message->path, err, "record batch %zu %s", message->batch_index,
                             fault);
    }
    batch->rows_count = (size_t)rows_count;
    struct arrow_buffers walk = {.message = message, .buffers = buffers};
    for (size_t index = 0; index < schema->columns_count; index++) {
        fault = arrow_read_column(&walk, &schema->columns[index],
                                  flat_vector_element(&nodes, index), index, batch);
        if (fault != NULL) {
            return arrow_damaged(message->path, err, "record batch %zu, column '%s': %s",
                                 message->batch_index, schema->columns[index].name, fault);
        }
    }
    return true;
}
