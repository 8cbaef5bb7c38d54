/*
 * Writing tables. See table.h for the contract and arrow.h for the layout.
 *
 * A batch is gathered column by column in memory that grows with its first rows and is kept for the
 * next batches. Everything then passes table_output_add, into output->pending, which is handed to
 * the file's saver whenever it is full.
 */
#include <assert.h>
#include <string.h>

#include "arrow.h"
#include "core/memory.h"
#include "sys/saver.h"

enum {
    TABLE_ROWS_FIRST = 64, /* a multiple of 64, so that bitmaps grow by whole words */
    TABLE_TEXT_BYTES_FIRST = 256,
    TABLE_BUFFERS_MAX = 3 * TABLE_COLUMNS_MAX,
};

struct table_output {
    const struct table_schema *schema;
    struct saver *saver;
    struct buffer pending; /* not yet given to the saver */
    struct buffer message;
    struct buffer blocks;      /* Arrow's Block of each batch */
    struct buffer schema_part; /* see arrow_build_schema */
    size_t schema_table;
    uint64_t size_bytes;       /* given to table_output_add */
    uint64_t rows_count;       /* when it is ended */
    size_t text_refused_bytes; /* of a put that failed, to be told by table_end_row */
    bool is_broken;
    bool is_ended;
};

/* --- bytes to the file -------------------------------------------------------------------- */

/* As much as fits into the pending buffer at a time: nothing grows with the batch. */
static bool table_output_add(struct table_output *output, const void *bytes, size_t size_bytes,
                             struct err *err) {
    struct buffer *pending = &output->pending;
    struct text rest = {.bytes = bytes, .size_bytes = size_bytes};
    output->size_bytes += size_bytes;
    while (pending->size_bytes + rest.size_bytes >= SAVER_BUFFER_BYTES) {
        size_t room_bytes = SAVER_BUFFER_BYTES - pending->size_bytes;
        if (!buffer_append(pending, (struct text){rest.bytes, room_bytes}, err) ||
            !saver_give(output->saver, pending, err)) {
            return false;
        }
        rest.bytes += room_bytes;
        rest.size_bytes -= room_bytes;
    }
    return buffer_append(pending, rest, err);
}

static bool table_output_pad(struct table_output *output, struct err *err) {
    static const char zeros[ARROW_ALIGN_BYTES];
    uint64_t padded = arrow_padded(output->size_bytes);
    return table_output_add(output, zeros, (size_t)(padded - output->size_bytes), err);
}

/* Writes output->message with its prefix, padded; *message_bytes is the length of all that. */
static bool table_output_message(struct table_output *output, size_t *message_bytes,
                                 struct err *err) {
    struct text message = buffer_text(&output->message);
    uint64_t start = output->size_bytes;
    uint64_t end = arrow_padded(start + ARROW_PREFIX_BYTES + message.size_bytes);
    *message_bytes = (size_t)(end - start);
    uint32_t prefix[2] = {ARROW_CONTINUATION, (uint32_t)(*message_bytes - ARROW_PREFIX_BYTES)};
    return table_output_add(output, prefix, sizeof prefix, err) &&
           table_output_add(output, message.bytes, message.size_bytes, err) &&
           table_output_pad(output, err);
}

/* --- messages ----------------------------------------------------------------------------- */

/* Begins output->message; *header is where the header's offset goes. */
static struct flat_builder table_message_start(struct table_output *output, enum arrow_header type,
                                               uint64_t body_bytes, size_t *header,
                                               struct err *err) {
    static const uint8_t sizes_bytes[] = {
        [ARROW_MESSAGE_VERSION] = 2,
        [ARROW_MESSAGE_HEADER_TYPE] = 1,
        [ARROW_MESSAGE_HEADER] = FLAT_OFFSET_BYTES,
        [ARROW_MESSAGE_BODY_LENGTH] = 8,
    };
    struct flat_builder flat = flat_builder_start(&output->message, err);
    size_t fields[sizeof sizes_bytes];
    flat_link(&flat, 0, flat_add_table(&flat, sizes_bytes, sizeof sizes_bytes, fields));
    flat_set_u16(&flat, fields[ARROW_MESSAGE_VERSION], ARROW_VERSION_V5);
    flat_set_u8(&flat, fields[ARROW_MESSAGE_HEADER_TYPE], (uint8_t)type);
    flat_set_u64(&flat, fields[ARROW_MESSAGE_BODY_LENGTH], body_bytes);
    *header = fields[ARROW_MESSAGE_HEADER];
    return flat;
}

static void table_link_schema(struct flat_builder *flat, size_t field,
                              const struct table_output *output) {
    size_t part = flat_add_bytes(flat, buffer_text(&output->schema_part));
    flat_link(flat, field, part + output->schema_table);
}

static bool table_write_head(struct table_output *output, struct err *err) {
    static const char magic[ARROW_HEAD_BYTES] = ARROW_MAGIC;
    size_t header;
    size_t message_bytes;
    struct flat_builder flat = table_message_start(output, ARROW_HEADER_SCHEMA, 0, &header, err);
    table_link_schema(&flat, header, output);
    return flat_builder_finish(&flat) && table_output_add(output, magic, sizeof magic, err) &&
           table_output_message(output, &message_bytes, err);
}

static bool table_write_footer(struct table_output *output, struct err *err) {
    static const uint32_t end_mark[2] = {ARROW_CONTINUATION, 0};
    static const uint8_t sizes_bytes[] = {
        [ARROW_FOOTER_VERSION] = 2,
        [ARROW_FOOTER_SCHEMA] = FLAT_OFFSET_BYTES,
        [ARROW_FOOTER_DICTIONARIES] = FLAT_OFFSET_BYTES,
        [ARROW_FOOTER_BATCHES] = FLAT_OFFSET_BYTES,
    };
    struct flat_builder flat = flat_builder_start(&output->message, err);
    size_t fields[sizeof sizes_bytes];
    flat_link(&flat, 0, flat_add_table(&flat, sizes_bytes, sizeof sizes_bytes, fields));
    flat_set_u16(&flat, fields[ARROW_FOOTER_VERSION], ARROW_VERSION_V5);
    table_link_schema(&flat, fields[ARROW_FOOTER_SCHEMA], output);
    size_t elements;
    struct flat_elements blocks = {.size_bytes = ARROW_BLOCK_BYTES, .align_bytes = 8};
    flat_link(&flat, fields[ARROW_FOOTER_DICTIONARIES], flat_add_vector(&flat, blocks, &elements));
    blocks.count = output->blocks.size_bytes / ARROW_BLOCK_BYTES;
    flat_link(&flat, fields[ARROW_FOOTER_BATCHES], flat_add_vector(&flat, blocks, &elements));
    for (size_t offset = 0; offset < output->blocks.size_bytes; offset += 8) {
        uint64_t word;
        memcpy(&word, output->blocks.bytes + offset, sizeof word);
        flat_set_u64(&flat, elements + offset, word);
    }
    if (!flat_builder_finish(&flat)) {
        return false;
    }
    struct text footer = buffer_text(&output->message);
    uint32_t footer_bytes = (uint32_t)footer.size_bytes;
    return table_output_add(output, end_mark, sizeof end_mark, err) &&
           table_output_add(output, footer.bytes, footer.size_bytes, err) &&
           table_output_add(output, &footer_bytes, sizeof footer_bytes, err) &&
           table_output_add(output, ARROW_MAGIC, ARROW_MAGIC_BYTES, err);
}

/* --- the batch in memory ------------------------------------------------------------------ */

static bool table_column_grow(struct table_writer_column *column, size_t rows_from, size_t rows_to,
                              struct err *err) {
    size_t bytes = arrow_values_bytes((enum table_type)column->type, rows_to);
    void *values = mem_realloc(column->values, bytes);
    if (values == NULL) {
        return err_memory(err, bytes);
    }
    column->values = values;
    size_t bits_from = arrow_bits_bytes(rows_from);
    size_t bits_to = arrow_bits_bytes(rows_to);
    if (column->type == TABLE_BOOL) {
        memset((uint8_t *)values + bits_from, 0, bits_to - bits_from);
    }
    if (column->type == TABLE_UTF8) {
        column->offsets = values;
        column->offsets[0] = 0;
    }
    return true;
}

static bool table_validity_grow(struct table_writer_column *column, size_t rows_from,
                                size_t rows_to, struct err *err) {
    size_t bits_from = arrow_bits_bytes(rows_from);
    size_t bits_to = arrow_bits_bytes(rows_to);
    uint8_t *validity = mem_realloc(column->validity, bits_to);
    if (validity == NULL) {
        return err_memory(err, bits_to);
    }
    memset(validity + bits_from, 0xff, bits_to - bits_from);
    column->validity = validity;
    return true;
}

/* rows_capacity changes only when every column has grown; growing again after a failure is fine. */
static bool table_writer_grow(struct table_writer *writer, size_t rows_capacity, struct err *err) {
    const struct table_schema *schema = writer->output->schema;
    for (size_t index = 0; index < schema->columns_count; index++) {
        struct table_writer_column *column = &writer->columns[index];
        if (!table_column_grow(column, writer->rows_capacity, rows_capacity, err) ||
            (schema->columns[index].is_nullable &&
             !table_validity_grow(column, writer->rows_capacity, rows_capacity, err))) {
            return false;
        }
    }
    writer->rows_capacity = rows_capacity;
    return true;
}

bool table_writer_reserve_text(struct table_writer *writer, size_t column, size_t size_bytes) {
    struct table_writer_column *filled = &writer->columns[column];
    /* Fits int32 offsets: a batch ends with the row that brings its text over the limit. */
    _Static_assert((int64_t)TABLE_BATCH_TEXT_BYTES +
                           (int64_t)TABLE_COLUMNS_MAX * TABLE_TEXT_BYTES_MAX <
                       INT32_MAX,
                   "text offsets must fit");
    size_t capacity = filled->text_capacity_bytes;
    capacity = capacity == 0 ? TABLE_TEXT_BYTES_FIRST : capacity;
    while (size_bytes <= TABLE_TEXT_BYTES_MAX && capacity - filled->text_size_bytes < size_bytes) {
        capacity *= 2;
    }
    char *bytes =
        size_bytes > TABLE_TEXT_BYTES_MAX ? NULL : mem_realloc(filled->text_bytes, capacity);
    if (bytes == NULL) {
        writer->output->text_refused_bytes = size_bytes;
        writer->columns_put &= ~(UINT32_C(1) << column);
        return false;
    }
    filled->text_bytes = bytes;
    filled->text_capacity_bytes = capacity;
    return true;
}

/* A buffer of the body; zeros up to the next multiple of 64 follow it in the file. */
struct table_piece {
    const void *bytes;
    size_t size_bytes;
};

static void table_clear_trailing_bits(uint8_t *bits, size_t rows_count) {
    if (rows_count % 8 != 0) {
        bits[rows_count / 8] &= (uint8_t)((1U << (rows_count % 8)) - 1);
    }
}

/* The body's buffers in Arrow's order. */
static size_t table_batch_pieces(struct table_writer *writer, struct table_piece *pieces) {
    size_t count = 0;
    for (size_t index = 0; index < writer->output->schema->columns_count; index++) {
        struct table_writer_column *column = &writer->columns[index];
        struct table_piece validity = {0};
        if (column->nulls_count > 0) {
            table_clear_trailing_bits(column->validity, writer->row);
            validity.bytes = column->validity;
            validity.size_bytes = arrow_bits_bytes(writer->row);
        }
        pieces[count++] = validity;
        pieces[count++] = (struct table_piece){
            .bytes = column->values,
            .size_bytes = arrow_values_bytes((enum table_type)column->type, writer->row)};
        if (column->type == TABLE_UTF8) {
            pieces[count++] = (struct table_piece){.bytes = column->text_bytes,
                                                   .size_bytes = column->text_size_bytes};
        }
    }
    return count;
}

static bool table_build_batch(struct table_writer *writer, const struct table_piece *pieces,
                              size_t pieces_count, uint64_t *body_bytes, struct err *err) {
    struct table_output *output = writer->output;
    *body_bytes = 0;
    for (size_t index = 0; index < pieces_count; index++) {
        *body_bytes += arrow_padded(pieces[index].size_bytes);
    }
    static const uint8_t sizes_bytes[] = {
        [ARROW_BATCH_LENGTH] = 8,
        [ARROW_BATCH_NODES] = FLAT_OFFSET_BYTES,
        [ARROW_BATCH_BUFFERS] = FLAT_OFFSET_BYTES,
    };
    size_t header;
    size_t fields[sizeof sizes_bytes];
    struct flat_builder flat =
        table_message_start(output, ARROW_HEADER_RECORD_BATCH, *body_bytes, &header, err);
    flat_link(&flat, header, flat_add_table(&flat, sizes_bytes, sizeof sizes_bytes, fields));
    flat_set_u64(&flat, fields[ARROW_BATCH_LENGTH], writer->row);

    size_t element;
    struct flat_elements nodes = {output->schema->columns_count, ARROW_NODE_BYTES, 8};
    flat_link(&flat, fields[ARROW_BATCH_NODES], flat_add_vector(&flat, nodes, &element));
    for (size_t index = 0; index < nodes.count; index++, element += ARROW_NODE_BYTES) {
        flat_set_u64(&flat, element, writer->row);
        flat_set_u64(&flat, element + 8, writer->columns[index].nulls_count);
    }
    struct flat_elements buffers = {pieces_count, ARROW_BUFFER_BYTES, 8};
    flat_link(&flat, fields[ARROW_BATCH_BUFFERS], flat_add_vector(&flat, buffers, &element));
    uint64_t offset = 0;
    for (size_t index = 0; index < pieces_count; index++, element += ARROW_BUFFER_BYTES) {
        flat_set_u64(&flat, element, offset);
        flat_set_u64(&flat, element + 8, pieces[index].size_bytes);
        offset += arrow_padded(pieces[index].size_bytes);
    }
    return flat_builder_finish(&flat);
}

static void table_batch_clear(struct table_writer *writer) {
    for (size_t index = 0; index < writer->output->schema->columns_count; index++) {
        struct table_writer_column *column = &writer->columns[index];
        size_t bits_bytes = arrow_bits_bytes(writer->row);
        if (column->type == TABLE_BOOL) {
            memset(column->values, 0, bits_bytes);
        }
        if (column->nulls_count > 0) {
            memset(column->validity, 0xff, bits_bytes);
        }
        column->nulls_count = 0;
        column->text_size_bytes = 0;
    }
    writer->rows_before += writer->row;
    writer->row = 0;
    writer->text_size_bytes = 0;
}

static bool table_write_batch(struct table_writer *writer, struct err *err) {
    struct table_output *output = writer->output;
    struct table_piece pieces[TABLE_BUFFERS_MAX];
    size_t pieces_count = table_batch_pieces(writer, pieces);
    uint64_t body_bytes;
    uint64_t start = output->size_bytes;
    assert(start % ARROW_ALIGN_BYTES == 0);
    size_t message_bytes;
    if (!table_build_batch(writer, pieces, pieces_count, &body_bytes, err) ||
        !table_output_message(output, &message_bytes, err)) {
        return false;
    }
    for (size_t index = 0; index < pieces_count; index++) {
        if (!table_output_add(output, pieces[index].bytes, pieces[index].size_bytes, err) ||
            !table_output_pad(output, err)) {
            return false;
        }
    }
    assert(output->size_bytes == start + message_bytes + body_bytes);
    uint64_t block[ARROW_BLOCK_BYTES / 8] = {start, message_bytes, body_bytes};
    struct text block_text = {.bytes = (const char *)block, .size_bytes = sizeof block};
    if (!buffer_append(&output->blocks, block_text, err)) {
        return false;
    }
    table_batch_clear(writer);
    return true;
}

/* --- rows --------------------------------------------------------------------------------- */

static bool table_text_refused(const struct table_writer *writer, struct err *err) {
    size_t size_bytes = writer->output->text_refused_bytes;
    if (size_bytes <= TABLE_TEXT_BYTES_MAX) {
        return err_memory(err, size_bytes);
    }
    return err_set(err, ERR_RANGE, "%s: a text of %zu bytes is longer than %d bytes",
                   saver_path(writer->output->saver), size_bytes, TABLE_TEXT_BYTES_MAX);
}

/* Nulls hold zeros, so that a file's bytes do not depend on the batch before. */
static void table_put_null(struct table_writer *writer, struct table_writer_column *column) {
    size_t row = writer->row;
    column->validity[row / 8] &= (uint8_t) ~(1U << (row % 8));
    column->nulls_count++;
    if (column->type == TABLE_UTF8) {
        column->offsets[row + 1] = (int32_t)column->text_size_bytes;
    } else if (column->type != TABLE_BOOL) {
        size_t width = arrow_values_bytes((enum table_type)column->type, 1);
        memset((char *)column->values + row * width, 0, width);
    }
}

bool table_writer_end_row(struct table_writer *writer, struct err *err) {
    assert(!writer->output->is_broken);
    bool is_done = true;
    if (writer->output->text_refused_bytes > 0) {
        is_done = table_text_refused(writer, err);
        goto out;
    }
    uint32_t nulls = writer->columns_all & ~writer->columns_put;
    assert((nulls & ~writer->columns_nullable) == 0);
    for (size_t index = 0; nulls >> index != 0 && index < TABLE_COLUMNS_MAX; index++) {
        if ((nulls >> index & 1) != 0) {
            table_put_null(writer, &writer->columns[index]);
        }
    }
    writer->columns_put = 0;
    writer->row++;
    if (writer->row == TABLE_BATCH_ROWS || writer->text_size_bytes >= TABLE_BATCH_TEXT_BYTES) {
        is_done = table_write_batch(writer, err);
    } else if (writer->row == writer->rows_capacity) {
        is_done = table_writer_grow(writer, 2 * writer->rows_capacity, err);
    }
out:
    if (!is_done) {
        writer->output->is_broken = true;
        writer->row = 0; /* a put after all stays inside its column */
    }
    return is_done;
}

/* --- life --------------------------------------------------------------------------------- */

static bool table_writer_start(const struct sys *sys, const char *path,
                               const struct table_metadata *metadata, size_t metadata_count,
                               struct table_writer *writer, struct err *err) {
    struct table_output *output = writer->output;
    return table_writer_grow(writer, TABLE_ROWS_FIRST, err) &&
           arrow_build_schema(output->schema, metadata, metadata_count, &output->schema_part,
                              &output->schema_table, err) &&
           saver_create(sys, path, &output->saver, err) && table_write_head(output, err);
}

bool table_writer_create(const struct sys *sys, const char *path, const struct table_schema *schema,
                         const struct table_metadata *metadata, size_t metadata_count,
                         struct table_writer **writer, struct err *err) {
    assert(schema->columns_count > 0 && schema->columns_count <= TABLE_COLUMNS_MAX);
    assert(schema->key_columns_count <= schema->columns_count);
    assert(metadata_count <= TABLE_METADATA_MAX);
    struct table_writer *made = mem_alloc(sizeof *made);
    struct table_output *output = mem_alloc(sizeof *output);
    if (made == NULL || output == NULL) {
        mem_free(made);
        mem_free(output);
        return err_memory(err, sizeof *made + sizeof *output);
    }
    output->schema = schema;
    made->output = output;
    for (size_t index = 0; index < TABLE_COLUMNS_MAX; index++) {
        made->columns[index].type = -1;
    }
    for (size_t index = 0; index < schema->columns_count; index++) {
        made->columns[index].type = (int)schema->columns[index].type;
        made->columns_all |= UINT32_C(1) << index;
        made->columns_nullable |= (uint32_t)schema->columns[index].is_nullable << index;
    }
    if (!table_writer_start(sys, path, metadata, metadata_count, made, err)) {
        table_writer_destroy(made);
        return false;
    }
    *writer = made;
    return true;
}

/* The columns' memory, which an ended writer needs no more. */
static void table_writer_forget_rows(struct table_writer *writer) {
    for (size_t index = 0; index < TABLE_COLUMNS_MAX; index++) {
        struct table_writer_column *column = &writer->columns[index];
        mem_free(column->values);
        mem_free(column->text_bytes);
        mem_free(column->validity);
        *column = (struct table_writer_column){.type = -1};
    }
}

void table_writer_destroy(struct table_writer *writer) {
    if (writer == NULL) {
        return;
    }
    struct table_output *output = writer->output;
    saver_destroy(output->saver);
    buffer_release(&output->pending);
    buffer_release(&output->message);
    buffer_release(&output->blocks);
    buffer_release(&output->schema_part);
    mem_free(output);
    table_writer_forget_rows(writer);
    mem_free(writer);
}

bool table_writer_end(struct table_writer *writer, struct err *err) {
    struct table_output *output = writer->output;
    assert(!output->is_broken && !output->is_ended);
    assert(writer->columns_put == 0);
    output->rows_count = table_writer_rows_count(writer);
    if ((writer->row > 0 && !table_write_batch(writer, err)) || !table_write_footer(output, err) ||
        !saver_give(output->saver, &output->pending, err)) {
        output->is_broken = true;
        return false;
    }
    saver_end(output->saver);
    output->is_ended = true;
    buffer_release(&output->pending);
    table_writer_forget_rows(writer);
    return true;
}

bool table_writer_commit(struct table_writer *writer, struct table_seal *seal, struct err *err) {
    struct table_output *output = writer->output;
    struct table_seal made = {0};
    bool is_done = output->is_ended || table_writer_end(writer, err);
    if (is_done) {
        struct saver *saver = output->saver;
        output->saver = NULL;
        made.rows_count = output->rows_count;
        made.size_bytes = output->size_bytes;
        is_done = saver_finish(saver, &made.digest, err);
    }
    table_writer_destroy(writer);
    if (is_done) {
        *seal = made;
    }
    return is_done;
}
