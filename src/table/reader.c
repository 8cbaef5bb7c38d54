/*
 * Reading tables: finds the parts of an Arrow file, checks all of them, and hands out pointers.
 *
 * Invariants of a struct table, kept by table_load alone:
 * 1. Every pointer in batches, schema and metadata lies in the mapping and is followed by as many
 *    bytes as its use may read.
 * 2. rows_count is the sum of the batches' rows.
 * The footer's schema is the one that counts; the first message's copy of it is for readers of
 * streams and is not looked at.
 */
#include <assert.h>

#include "arrow.h"
#include "core/memory.h"
#include "sys/files.h"

struct table {
    const struct sys *sys; /* NULL when the bytes are the caller's */
    struct mapping mapping;
    char *path;
    struct arrow_schema content;
    struct table_schema schema;
    struct table_batch *batches;
    size_t batches_count;
    uint64_t rows_count;
    bool is_own; /* see table_open_own */
};

/* --- opening ------------------------------------------------------------------------------ */

static bool table_find_footer(const struct table *table, struct flat_view *footer,
                              struct err *err) {
    const unsigned char *bytes = table->mapping.bytes;
    size_t size = table->mapping.size_bytes;
    if (size < ARROW_HEAD_BYTES + ARROW_TAIL_BYTES) {
        return arrow_damaged(table->path, err, "%zu bytes are too few for an Arrow file", size);
    }
    if (memcmp(bytes, ARROW_MAGIC "\0", ARROW_HEAD_BYTES) != 0) {
        return arrow_damaged(table->path, err, "it is not an Arrow file");
    }
    if (memcmp(bytes + size - ARROW_MAGIC_BYTES, ARROW_MAGIC, ARROW_MAGIC_BYTES) != 0) {
        return arrow_damaged(table->path, err, "its end is missing");
    }
    int32_t footer_bytes = flat_load_i32(bytes + size - ARROW_TAIL_BYTES);
    if (footer_bytes <= 0 || (size_t)footer_bytes > size - ARROW_HEAD_BYTES - ARROW_TAIL_BYTES) {
        return arrow_damaged(table->path, err, "its footer is said to be %d bytes long",
                             footer_bytes);
    }
    *footer = (struct flat_view){
        .bytes = bytes + size - ARROW_TAIL_BYTES - (size_t)footer_bytes,
        .size_bytes = (size_t)footer_bytes,
    };
    return true;
}

/* Where a batch stands, from its block in the footer; NULL, or what is wrong. */
static const char *table_find_batch(const struct table *table, const unsigned char *block,
                                    size_t batches_end, size_t *used_bytes,
                                    struct arrow_message *message) {
    int64_t offset_signed = flat_load_i64(block);
    int32_t metadata_signed = flat_load_i32(block + ARROW_BLOCK_METADATA_LENGTH);
    int64_t body_signed = flat_load_i64(block + ARROW_BLOCK_BODY_LENGTH);
    if (offset_signed < 0 || metadata_signed < ARROW_PREFIX_BYTES || body_signed < 0) {
        return "has a negative place or length";
    }
    size_t offset = (size_t)offset_signed;
    size_t metadata_bytes = (size_t)metadata_signed;
    size_t body_bytes = (size_t)body_signed;
    if (offset > batches_end || metadata_bytes > batches_end - offset ||
        body_bytes > batches_end - offset - metadata_bytes) {
        return "reaches beyond the file";
    }
    /* In their order and apart, so that checking costs no more than the file's size. */
    if (offset < *used_bytes) {
        return "overlaps the one before";
    }
    *used_bytes = offset + metadata_bytes + body_bytes;
    const unsigned char *prefix = table->mapping.bytes + offset;
    int32_t length = flat_load_i32(prefix + 4);
    if ((uint32_t)flat_load_i32(prefix) != ARROW_CONTINUATION || length < 0 ||
        (size_t)length > metadata_bytes - ARROW_PREFIX_BYTES) {
        return "does not begin like a message";
    }
    message->metadata = prefix + ARROW_PREFIX_BYTES;
    message->metadata_bytes = (size_t)length;
    message->body = prefix + metadata_bytes;
    message->body_bytes = body_bytes;
    return NULL;
}

static bool table_load_batches(struct table *table, const struct flat_vector *blocks,
                               size_t batches_end, struct err *err) {
    if (blocks->count == 0) {
        return true;
    }
    /* The footer holds 24 bytes for each, so the count is bounded by the file. */
    size_t batches_bytes = blocks->count * sizeof *table->batches;
    table->batches = mem_alloc(batches_bytes);
    if (table->batches == NULL) {
        return err_memory(err, batches_bytes);
    }
    size_t used_bytes = ARROW_HEAD_BYTES;
    for (size_t index = 0; index < blocks->count; index++) {
        struct arrow_message message = {
            .path = table->path, .batch_index = index, .is_own = table->is_own};
        const unsigned char *block = flat_vector_element(blocks, index);
        const char *fault = table_find_batch(table, block, batches_end, &used_bytes, &message);
        if (fault != NULL) {
            return arrow_damaged(table->path, err, "record batch %zu %s", index, fault);
        }
        if (!arrow_read_batch(&message, &table->content, &table->batches[index], err)) {
            return false;
        }
        table->rows_count += table->batches[index].rows_count;
        table->batches_count++;
    }
    return true;
}

static const char *table_nullable_text(bool is_nullable) {
    return is_nullable ? "nullable" : "not null";
}

/* The first difference to the schema asked for, if any, is an error. */
static bool table_check_schema(const struct table *table, const struct table_schema *wanted,
                               struct err *err) {
    const struct arrow_schema *found = &table->content;
    for (size_t index = 0; index < wanted->columns_count && index < found->columns_count; index++) {
        const struct table_column *left = &found->columns[index];
        const struct table_column *right = &wanted->columns[index];
        if (strcmp(left->name, right->name) != 0 || left->type != right->type ||
            left->is_nullable != right->is_nullable) {
            return arrow_damaged(
                table->path, err, "column %zu is '%s' %s %s, table '%s' has '%s' %s %s there",
                index + 1, left->name, table_type_name(left->type),
                table_nullable_text(left->is_nullable), wanted->name, right->name,
                table_type_name(right->type), table_nullable_text(right->is_nullable));
        }
    }
    if (found->columns_count != wanted->columns_count) {
        return arrow_damaged(table->path, err, "it has %zu columns, table '%s' has %zu",
                             found->columns_count, wanted->name, wanted->columns_count);
    }
    return true;
}

/* Checks everything in the mapping; wanted is NULL to take the schema that is there. */
static bool table_load(struct table *table, const struct table_schema *wanted, struct err *err) {
    struct flat_view footer;
    if (!table_find_footer(table, &footer, err)) {
        return false;
    }
    struct flat_table root = flat_root(&footer);
    if (footer.is_broken) {
        return arrow_damaged(table->path, err, "its footer is broken");
    }
    if (flat_get_i16(&root, ARROW_FOOTER_VERSION, 0) != ARROW_VERSION_V5) {
        return arrow_damaged(table->path, err, "it is not of format version V5");
    }
    struct flat_table schema = flat_get_table(&root, ARROW_FOOTER_SCHEMA);
    const char *fault = arrow_read_schema(&schema, &table->content);
    if (fault != NULL) {
        return arrow_damaged(table->path, err, "its schema cannot be read: %s", fault);
    }
    if (flat_get_vector(&root, ARROW_FOOTER_DICTIONARIES, ARROW_BLOCK_BYTES).count > 0) {
        return arrow_damaged(table->path, err, "it has dictionaries");
    }
    struct flat_vector blocks = flat_get_vector(&root, ARROW_FOOTER_BATCHES, ARROW_BLOCK_BYTES);
    if (footer.is_broken) {
        return arrow_damaged(table->path, err, "its footer is broken");
    }
    if (wanted != NULL && !table_check_schema(table, wanted, err)) {
        return false;
    }
    const char *folder_end = strrchr(table->path, '/');
    table->schema = wanted != NULL ? *wanted
                                   : (struct table_schema){
                                         .name = folder_end != NULL ? folder_end + 1 : table->path,
                                         .columns = table->content.columns,
                                         .columns_count = table->content.columns_count,
                                     };
    size_t batches_end = (size_t)(footer.bytes - table->mapping.bytes);
    return table_load_batches(table, &blocks, batches_end, err);
}

static struct table *table_create(const char *path, struct err *err) {
    size_t path_bytes = strlen(path) + 1;
    struct table *table = mem_alloc(sizeof *table);
    char *path_copy = mem_alloc(path_bytes);
    if (table == NULL || path_copy == NULL) {
        mem_free(table);
        mem_free(path_copy);
        (void)err_memory(err, sizeof *table + path_bytes);
        return NULL;
    }
    memcpy(path_copy, path, path_bytes);
    table->path = path_copy;
    return table;
}

static bool table_open_file(const struct sys *sys, const char *path,
                            const struct table_schema *wanted, bool is_own, struct table **table,
                            struct err *err) {
    struct table *made = table_create(path, err);
    if (made == NULL) {
        return false;
    }
    made->is_own = is_own;
    if (!file_map(sys, path, &made->mapping, err)) {
        table_close(made);
        return false;
    }
    made->sys = sys;
    if (!table_load(made, wanted, err)) {
        table_close(made);
        return false;
    }
    *table = made;
    return true;
}

bool table_open(const struct sys *sys, const char *path, const struct table_schema *schema,
                struct table **table, struct err *err) {
    return table_open_file(sys, path, schema, false, table, err);
}

bool table_open_own(const struct sys *sys, const char *path, const struct table_schema *schema,
                    struct table **table, struct err *err) {
    return table_open_file(sys, path, schema, true, table, err);
}

bool table_open_any(const struct sys *sys, const char *path, struct table **table,
                    const struct table_schema **schema, struct err *err) {
    if (!table_open_file(sys, path, NULL, false, table, err)) {
        return false;
    }
    *schema = &(*table)->schema;
    return true;
}

bool table_open_memory(const void *bytes, size_t size_bytes, const char *path, struct table **table,
                       const struct table_schema **schema, struct err *err) {
    struct table *made = table_create(path, err);
    if (made == NULL) {
        return false;
    }
    made->mapping = (struct mapping){.bytes = bytes, .size_bytes = size_bytes};
    if (!table_load(made, NULL, err)) {
        table_close(made);
        return false;
    }
    *table = made;
    *schema = &made->schema;
    return true;
}

void table_close(struct table *table) {
    if (table == NULL) {
        return;
    }
    if (table->sys != NULL) {
        file_unmap(table->sys, &table->mapping);
    }
    mem_free(table->batches);
    mem_free(table->path);
    mem_free(table);
}

/* --- what is in it ------------------------------------------------------------------------ */

const char *table_path(const struct table *table) {
    return table->path;
}

uint64_t table_rows_count(const struct table *table) {
    return table->rows_count;
}

size_t table_batches_count(const struct table *table) {
    return table->batches_count;
}

const char *table_metadata_value(const struct table *table, const char *key) {
    for (size_t index = 0; index < table->content.metadata_count; index++) {
        if (strcmp(table->content.metadata[index].key, key) == 0) {
            return table->content.metadata[index].value;
        }
    }
    return NULL;
}

const struct table_batch *table_batch(const struct table *table, size_t batch_index) {
    assert(batch_index < table->batches_count);
    return &table->batches[batch_index];
}

struct table_cursor table_cursor_start(const struct table *table) {
    return (struct table_cursor){.table = table};
}

struct table_cursor table_cursor_before(const struct table *table, uint64_t row) {
    struct table_cursor cursor = table_cursor_start(table);
    while (cursor.batch_index < table->batches_count &&
           row >= table->batches[cursor.batch_index].rows_count) {
        row -= table->batches[cursor.batch_index++].rows_count;
    }
    if (row > 0 && cursor.batch_index < table->batches_count) {
        cursor.batch = &table->batches[cursor.batch_index++];
        cursor.row = (size_t)row - 1;
        cursor.is_started = true;
    }
    return cursor;
}

static struct text batch_text(const struct table_batch *batch, size_t column, size_t row) {
    const int32_t *offsets = batch->columns[column].offsets;
    return (struct text){.bytes = batch->columns[column].text_bytes + offsets[row],
                         .size_bytes = (size_t)(offsets[row + 1] - offsets[row])};
}

uint64_t table_find_row(const struct table *table, size_t column, struct text key) {
    uint64_t rows_before = 0;
    size_t index = 0;
    const struct table_batch *batch = NULL;
    for (; index < table->batches_count; index++) {
        batch = &table->batches[index];
        size_t rows_count = batch->rows_count;
        if (rows_count > 0 && text_compare(batch_text(batch, column, rows_count - 1), key) >= 0) {
            break;
        }
        rows_before += rows_count;
    }
    if (index == table->batches_count) {
        return rows_before;
    }
    size_t low = 0;
    size_t high = batch->rows_count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (text_compare(batch_text(batch, column, middle), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return rows_before + low;
}

bool table_cursor_next_batch(struct table_cursor *cursor) {
    while (cursor->batch_index < cursor->table->batches_count) {
        cursor->batch = &cursor->table->batches[cursor->batch_index++];
        if (cursor->batch->rows_count > 0) {
            cursor->row = 0;
            cursor->is_started = true;
            return true;
        }
    }
    /* After the last row; asked again, the answer stays the same. */
    cursor->is_started = false;
    return false;
}

/* --- digest of a file --------------------------------------------------------------------- */

bool table_file_digest(const struct sys *sys, const char *path, struct table_seal *seal,
                       struct err *err) {
    enum { WINDOW_BYTES = 256 * 1024 };
    struct table_seal made = {0};
    struct file file = FILE_CLOSED;
    bool is_done = false;
    char *window = mem_alloc(WINDOW_BYTES);
    struct hasher *hasher = NULL;
    if (window == NULL) {
        return err_memory(err, WINDOW_BYTES);
    }
    hasher = hasher_create(err);
    if (hasher == NULL || !file_open_read(sys, path, &file, err)) {
        goto out;
    }
    size_t read_bytes;
    do {
        if (!file_read(&file, window, WINDOW_BYTES, &read_bytes, err) ||
            !hasher_add(hasher, window, read_bytes, err)) {
            goto out;
        }
        made.size_bytes += read_bytes;
    } while (read_bytes > 0);
    is_done = hasher_finish(hasher, &made.digest, err);
out:
    file_abandon(&file);
    hasher_destroy(hasher);
    mem_free(window);
    if (is_done) {
        *seal = made;
    }
    return is_done;
}
