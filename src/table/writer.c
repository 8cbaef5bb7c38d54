/*
 * Writing tables. See table.h for the contract and arrow.h for the layout.
 *
 * A batch is gathered column by column in memory that grows with its first rows. A full one is lent
 * to the file's saver where it lies, while the next one is gathered in other memory, the spare; the
 * two change places batch by batch.
 */
#include <assert.h>
#include <string.h>

#include "arrow.h"
#include "core/memory.h"
#include "output.h"

enum {
    TABLE_ROWS_FIRST = 64, /* a multiple of 64, so that bitmaps grow by whole words */
    TABLE_TEXT_BYTES_FIRST = 256,
};

struct table_filling {
    struct table_output output;
    struct table_writer_column spare[TABLE_COLUMNS_MAX];
    size_t spare_rows_capacity;
    size_t batch_rows_max;
    bool is_spare_lent;
    uint64_t rows_count;       /* when it is ended */
    size_t text_refused_bytes; /* of a put that failed, to be told by table_end_row */
    bool is_broken;
    bool is_ended;
};

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
    const struct table_schema *schema = writer->filling->output.schema;
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
        writer->filling->text_refused_bytes = size_bytes;
        writer->columns_put &= ~(UINT32_C(1) << column);
        return false;
    }
    filled->text_bytes = bytes;
    filled->text_capacity_bytes = capacity;
    return true;
}

/* --- whole batches ------------------------------------------------------------------------ */

static void table_clear_trailing_bits(uint8_t *bits, size_t rows_count) {
    if (rows_count % 8 != 0) {
        bits[rows_count / 8] &= (uint8_t)((1U << (rows_count % 8)) - 1);
    }
}

/* The body's buffers in Arrow's order. */
static void table_batch_parts(const struct table_writer *writer, struct table_parts *parts) {
    parts->rows_count = writer->row;
    parts->pieces_count = 0;
    for (size_t index = 0; index < writer->filling->output.schema->columns_count; index++) {
        const struct table_writer_column *column = &writer->columns[index];
        struct table_piece validity = {0};
        if (column->nulls_count > 0) {
            table_clear_trailing_bits(column->validity, writer->row);
            validity.bytes = column->validity;
            validity.size_bytes = arrow_bits_bytes(writer->row);
        }
        parts->nulls_counts[index] = column->nulls_count;
        parts->pieces[parts->pieces_count++] = validity;
        parts->pieces[parts->pieces_count++] = (struct table_piece){
            .bytes = column->values,
            .size_bytes = arrow_values_bytes((enum table_type)column->type, writer->row)};
        if (column->type == TABLE_UTF8) {
            parts->pieces[parts->pieces_count++] = (struct table_piece){
                .bytes = column->text_bytes, .size_bytes = column->text_size_bytes};
        }
    }
}

/* Makes the columns' memory fit for a batch of up to rows_count rows. */
static void table_batch_clear(struct table_writer *writer, size_t rows_count) {
    for (size_t index = 0; index < writer->filling->output.schema->columns_count; index++) {
        struct table_writer_column *column = &writer->columns[index];
        size_t bits_bytes = arrow_bits_bytes(rows_count);
        if (column->type == TABLE_BOOL) {
            memset(column->values, 0, bits_bytes);
        }
        if (column->nulls_count > 0) {
            memset(column->validity, 0xff, bits_bytes);
        }
        column->nulls_count = 0;
        column->text_size_bytes = 0;
    }
}

/* The columns change places with the spare. */
static bool table_batch_turn(struct table_writer *writer, struct err *err) {
    struct table_filling *filling = writer->filling;
    size_t rows_capacity = writer->rows_capacity;
    for (size_t index = 0; index < filling->output.schema->columns_count; index++) {
        struct table_writer_column lent = writer->columns[index];
        writer->columns[index] = filling->spare[index];
        filling->spare[index] = lent;
    }
    writer->rows_capacity = filling->spare_rows_capacity;
    filling->spare_rows_capacity = rows_capacity;
    filling->is_spare_lent = true;
    return writer->rows_capacity >= rows_capacity || table_writer_grow(writer, rows_capacity, err);
}

static bool table_write_batch(struct table_writer *writer, struct err *err) {
    struct table_parts parts;
    parts.is_last = false;
    table_batch_parts(writer, &parts);
    bool is_routed = false;
    if (!table_output_batch(&writer->filling->output, &parts, &is_routed, err) ||
        (is_routed && !table_batch_turn(writer, err))) {
        return false;
    }
    table_batch_clear(writer, writer->rows_capacity);
    writer->rows_before += writer->row;
    writer->row = 0;
    writer->text_size_bytes = 0;
    return true;
}

/* --- rows --------------------------------------------------------------------------------- */

static bool table_text_refused(const struct table_writer *writer, struct err *err) {
    size_t size_bytes = writer->filling->text_refused_bytes;
    if (size_bytes <= TABLE_TEXT_BYTES_MAX) {
        return err_memory(err, size_bytes);
    }
    return err_set(err, ERR_RANGE, "%s: a text of %zu bytes is longer than %d bytes",
                   saver_path(writer->filling->output.saver), size_bytes, TABLE_TEXT_BYTES_MAX);
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
    assert(!writer->filling->is_broken);
    bool is_done = true;
    if (writer->filling->text_refused_bytes > 0) {
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
    if (writer->row == writer->filling->batch_rows_max ||
        writer->text_size_bytes >= TABLE_BATCH_TEXT_BYTES) {
        is_done = table_write_batch(writer, err);
    } else if (writer->row == writer->rows_capacity) {
        is_done = table_writer_grow(writer, 2 * writer->rows_capacity, err);
    }
out:
    if (!is_done) {
        writer->filling->is_broken = true;
        writer->row = 0; /* a put after all stays inside its column */
    }
    return is_done;
}

/* --- life --------------------------------------------------------------------------------- */

static void table_writer_set_types(struct table_writer *writer, const struct table_schema *schema) {
    for (size_t index = 0; index < TABLE_COLUMNS_MAX; index++) {
        writer->columns[index].type = -1;
    }
    for (size_t index = 0; index < schema->columns_count; index++) {
        writer->columns[index].type = (int)schema->columns[index].type;
        writer->filling->spare[index].type = (int)schema->columns[index].type;
        writer->columns_all |= UINT32_C(1) << index;
        writer->columns_nullable |= (uint32_t)schema->columns[index].is_nullable << index;
    }
}

bool table_writer_create(const struct sys *sys, const char *path, const struct table_schema *schema,
                         const struct table_metadata *metadata, size_t metadata_count,
                         struct table_writer **writer, struct err *err) {
    assert(schema->columns_count > 0 && schema->columns_count <= TABLE_COLUMNS_MAX);
    assert(schema->key_columns_count <= schema->columns_count);
    assert(metadata_count <= TABLE_METADATA_MAX);
    struct table_writer *made = mem_alloc(sizeof *made);
    struct table_filling *filling = mem_alloc(sizeof *filling);
    if (made == NULL || filling == NULL) {
        mem_free(made);
        mem_free(filling);
        return err_memory(err, sizeof *made + sizeof *filling);
    }
    filling->output.schema = schema;
    filling->batch_rows_max = TABLE_BATCH_ROWS;
    made->filling = filling;
    table_writer_set_types(made, schema);
    if (!table_writer_grow(made, TABLE_ROWS_FIRST, err) ||
        !table_output_open(&filling->output, sys, path, metadata, metadata_count, err)) {
        table_writer_destroy(made);
        return false;
    }
    *writer = made;
    return true;
}

void table_writer_bound_batch(struct table_writer *writer, size_t rows_max) {
    assert(table_writer_rows_count(writer) == 0 && writer->rows_capacity == TABLE_ROWS_FIRST);
    assert(rows_max >= TABLE_ROWS_FIRST && rows_max <= TABLE_BATCH_ROWS);
    assert((rows_max & (rows_max - 1)) == 0);
    writer->filling->batch_rows_max = rows_max;
}

static void table_columns_release(struct table_writer_column columns[TABLE_COLUMNS_MAX]) {
    for (size_t index = 0; index < TABLE_COLUMNS_MAX; index++) {
        mem_free(columns[index].values);
        mem_free(columns[index].text_bytes);
        mem_free(columns[index].validity);
        columns[index] = (struct table_writer_column){.type = -1};
    }
}

void table_writer_destroy(struct table_writer *writer) {
    if (writer == NULL) {
        return;
    }
    table_output_release(&writer->filling->output); /* first: it may still read the columns */
    table_columns_release(writer->columns);
    table_columns_release(writer->filling->spare);
    mem_free(writer->filling);
    mem_free(writer);
}

/* The memory of rows goes with them, or is given back. */
static bool table_write_last_batch(struct table_writer *writer, struct err *err) {
    struct table_filling *filling = writer->filling;
    bool is_done = true;
    bool is_routed = false;
    if (writer->row > 0) {
        struct table_parts parts;
        parts.is_last = true;
        table_batch_parts(writer, &parts);
        is_done = table_output_batch(&filling->output, &parts, &is_routed, err);
        for (size_t index = 0; index < filling->output.schema->columns_count; index++) {
            struct table_writer_column *column = &writer->columns[index];
            column->values = NULL;
            column->text_bytes = NULL;
            column->validity = column->nulls_count > 0 ? NULL : column->validity;
        }
    }
    if (is_done) {
        if (filling->is_spare_lent && !is_routed) {
            table_output_settle(&filling->output);
        }
        table_columns_release(writer->columns);
        table_columns_release(filling->spare);
    }
    return is_done;
}

bool table_writer_end(struct table_writer *writer, struct err *err) {
    struct table_filling *filling = writer->filling;
    assert(!filling->is_broken && !filling->is_ended);
    assert(writer->columns_put == 0);
    filling->rows_count = table_writer_rows_count(writer);
    filling->is_ended =
        table_write_last_batch(writer, err) && table_output_end(&filling->output, err);
    filling->is_broken = !filling->is_ended;
    return filling->is_ended;
}

bool table_writer_seal(struct table_writer *writer, struct table_seal *seal, struct err *err) {
    struct table_filling *filling = writer->filling;
    assert(filling->is_ended);
    seal->rows_count = filling->rows_count;
    seal->size_bytes = filling->output.size_bytes;
    return table_output_digest(&filling->output, &seal->digest, err);
}

bool table_writer_leave(struct table_writer *writer, struct err *err) {
    assert(writer->filling->is_ended);
    bool is_left = table_output_leave(&writer->filling->output, err);
    table_writer_destroy(writer);
    return is_left;
}

bool table_writer_is_left(struct table_writer *writer) {
    return table_output_is_left(&writer->filling->output);
}

bool table_writer_commit(struct table_writer *writer, struct table_seal *seal, struct err *err) {
    struct table_filling *filling = writer->filling;
    struct table_seal made = {0};
    bool is_done = filling->is_ended || table_writer_end(writer, err);
    if (is_done) {
        made.rows_count = filling->rows_count;
        made.size_bytes = filling->output.size_bytes;
        is_done = table_output_finish(&filling->output, &made.digest, err);
    }
    table_writer_destroy(writer);
    if (is_done) {
        *seal = made;
    }
    return is_done;
}
