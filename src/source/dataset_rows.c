/* Rows of the small files: read by the declared columns, sorted by key, kept in streams. */
#include <assert.h>
#include <stdio.h>

#include "core/memory.h"
#include "dataset_internal.h"
#include "db/copy.h"
#include "sys/process.h"

void *vector_add(struct vector *vector, struct err *err) {
    if (vector->count == vector->capacity) {
        size_t capacity = vector->capacity * 2 > 16 ? vector->capacity * 2 : 16;
        void *items = mem_realloc(vector->items, capacity * vector->item_bytes);
        if (items == NULL) {
            (void)err_memory(err, capacity * vector->item_bytes);
            return NULL;
        }
        vector->items = items;
        vector->capacity = capacity;
    }
    unsigned char *item = (unsigned char *)vector->items + vector->count * vector->item_bytes;
    memset(item, 0, vector->item_bytes);
    vector->count++;
    return item;
}

void vector_release(struct vector *vector) {
    mem_free(vector->items);
    vector->items = NULL;
    vector->count = 0;
    vector->capacity = 0;
}

/* --- reading --------------------------------------------------------------------------------- */

struct reading_rows {
    struct dataset *dataset;
    const struct dataset_file_columns *file;
    struct dataset_reading *reading;
    struct field absent[CSV_COLUMNS_MAX]; /* what a column that need not be given is without it */
    struct field fields[CSV_COLUMNS_MAX];
};

static void find_absent(struct reading_rows *rows) {
    for (size_t index = 0; index < rows->file->columns_count; index++) {
        const struct column *column = &rows->file->columns[index];
        char reason[FIELD_REASON_MAX];
        bool is_fine = column_parse(column, (struct text){"", 0}, &rows->absent[index], reason);
        assert(is_fine || column->is_required);
    }
}

/* In a database a row's key says more than its number. */
static bool add_field_problem(struct reading_rows *rows, const struct csv_row *row, size_t index,
                              const char *reason, struct err *err) {
    const struct dataset_file_columns *file = rows->file;
    struct dataset *dataset = rows->dataset;
    const char *name = dataset_file_name(dataset, rows->reading->file);
    struct buffer key = {0};
    if (dataset->options.database == NULL) {
        return problems_add(dataset->problems, name, row->line, file->columns[index].name,
                            row->fields[index], err, "%s", reason);
    }
    bool is_done = true;
    for (size_t part = 0; is_done && part < file->key_columns; part++) {
        is_done = buffer_append_format(&key, err, "%s%s %.*s", part > 0 ? ", " : "",
                                       file->columns[part].name, (int)row->fields[part].size_bytes,
                                       row->fields[part].bytes);
    }
    is_done = is_done && problems_add(dataset->problems, name, row->line, file->columns[index].name,
                                      row->fields[index], err, "%s (%.*s)", reason,
                                      (int)key.size_bytes, key.bytes != NULL ? key.bytes : "");
    buffer_release(&key);
    return is_done;
}

static bool take_row(void *context, const struct csv_row *row, struct err *err) {
    struct reading_rows *rows = context;
    const struct dataset_file_columns *file = rows->file;
    bool has_required = true;
    bool is_sound = true;
    if ((row->line & 0xFFF) == 0 && !interrupt_check(err)) {
        return false;
    }
    for (size_t index = 0; index < file->columns_count; index++) {
        const struct column *column = &file->columns[index];
        char reason[FIELD_REASON_MAX];
        if (row->fields[index].size_bytes == 0 && !column->is_required) {
            rows->fields[index] = rows->absent[index];
            continue;
        }
        if (column_parse(column, row->fields[index], &rows->fields[index], reason)) {
            continue;
        }
        is_sound = false;
        has_required = has_required && !column->is_required;
        if (!add_field_problem(rows, row, index, reason, err)) {
            return false;
        }
    }
    struct dataset_row taken = {rows->dataset, row->line, row->fields, rows->fields, is_sound};
    return !has_required || rows->reading->take(rows->reading->context, &taken, err);
}

static bool read_csv_rows(struct reading_rows *rows, struct err *err) {
    struct dataset *dataset = rows->dataset;
    const struct dataset_file_columns *file = rows->file;
    struct csv_column declared[CSV_COLUMNS_MAX];
    struct csv_file csv;
    bool is_found;
    columns_declare(file, declared);
    if (!csv_open(dataset->sys, dataset->options.folder, file->file, declared, file->columns_count,
                  file->is_optional, &csv, &is_found, dataset->problems, err)) {
        return false;
    }
    if (!is_found) {
        return true;
    }
    bool is_read = csv_read_rows(&csv, take_row, rows, dataset->problems, err);
    csv_close(&csv);
    return is_read;
}

/* Rows are counted in the order of their key, which is that of the statement. */
static bool read_database_rows(struct reading_rows *rows, struct err *err) {
    const struct dataset_file_columns *file = rows->file;
    struct db *db = source_database_connection(rows->dataset->options.database, 0);
    struct db_copy_out copy;
    struct db_copy_row from;
    struct csv_row row = {0};
    if (!db_copy_out_begin(db, file->statement, file->columns_count, &copy, err)) {
        return false;
    }
    for (;;) {
        if (!db_copy_out_next(&copy, &from, err)) {
            db_copy_out_abort(&copy);
            return false;
        }
        if (from.fields == NULL) {
            return db_copy_out_end(&copy, err);
        }
        row.line++;
        for (size_t index = 0; index < file->columns_count; index++) {
            bool is_null = from.fields[index].bytes == NULL;
            row.fields[index] = (struct text){
                is_null ? "" : (const char *)from.fields[index].bytes,
                from.fields[index].size_bytes,
            };
        }
        if (!take_row(rows, &row, err)) {
            db_copy_out_abort(&copy);
            return false;
        }
    }
}

bool dataset_read(struct dataset *dataset, struct dataset_reading *reading, struct err *err) {
    uint64_t count = problems_count(dataset->problems);
    struct reading_rows rows = {
        .dataset = dataset, .file = &dataset_files[reading->file], .reading = reading};
    find_absent(&rows);
    if (!(dataset->options.database != NULL ? read_database_rows(&rows, err)
                                            : read_csv_rows(&rows, err))) {
        return false;
    }
    reading->is_sound = problems_count(dataset->problems) == count;
    return true;
}

const char *dataset_file_name(const struct dataset *dataset, enum dataset_file_number file) {
    return dataset->options.database != NULL ? dataset_files[file].relation
                                             : dataset_files[file].file;
}

bool dataset_add_problem(struct dataset *dataset, enum dataset_file_number file, uint64_t line,
                         const char *column, struct text value, const char *reason,
                         struct err *err) {
    return problems_add(dataset->problems, dataset_file_name(dataset, file), line, column, value,
                        err, "%s", reason);
}

bool dataset_add_repeated(struct dataset *dataset, enum dataset_file_number file, uint64_t line,
                          const char *column, struct text value, uint64_t first_line,
                          struct err *err) {
    return problems_add(dataset->problems, dataset_file_name(dataset, file), line, column, value,
                        err, "stands on line %llu already", (unsigned long long)first_line);
}

bool dataset_keep_text(struct dataset *dataset, struct text text, struct text *kept,
                       struct err *err) {
    enum { POOL_BYTES = 32 * 1024 };
    *kept = (struct text){"", 0};
    if (text.size_bytes == 0) {
        return true;
    }
    if (text.size_bytes > dataset->pool_bytes) {
        bool is_long = text.size_bytes > POOL_BYTES / 8;
        size_t size_bytes = is_long ? text.size_bytes : POOL_BYTES;
        char *memory = arena_alloc(dataset->arena, size_bytes, err);
        if (memory == NULL) {
            return false;
        }
        if (is_long) {
            memcpy(memory, text.bytes, text.size_bytes);
            *kept = (struct text){memory, text.size_bytes};
            return true;
        }
        dataset->pool = memory;
        dataset->pool_bytes = size_bytes;
    }
    memcpy(dataset->pool, text.bytes, text.size_bytes);
    *kept = (struct text){dataset->pool, text.size_bytes};
    dataset->pool += text.size_bytes;
    dataset->pool_bytes -= text.size_bytes;
    return true;
}

bool dataset_find_org(struct dataset *dataset, enum dataset_file_number file, uint64_t line,
                      struct text org_id, uint32_t *rank, struct err *err) {
    const struct catalog *catalog = &dataset->catalog;
    /* In a file in order of orgs it is the one before, or the next one. */
    uint32_t guess = dataset->rank_before;
    if (guess < catalog->orgs_count && !text_equals(catalog->orgs[guess].org_id, org_id)) {
        guess++;
    }
    bool is_guessed =
        guess < catalog->orgs_count && text_equals(catalog->orgs[guess].org_id, org_id);
    *rank = is_guessed ? guess : catalog_find_org(catalog, org_id);
    dataset->rank_before = *rank < catalog->orgs_count ? *rank : 0;
    return *rank != CATALOG_NONE || !dataset->orgs_are_sound ||
           dataset_add_problem(dataset, file, line, "org_id", org_id, "is not in orgs.csv", err);
}

uint32_t dataset_find_plan(const struct dataset *dataset, struct text plan_id) {
    size_t first = 0;
    size_t end = dataset->today_count;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        int order = text_compare(dataset->today[middle].plan_id, plan_id);
        if (order == 0) {
            return (uint32_t)middle;
        }
        if (order < 0) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return UINT32_MAX;
}

/* --- sorting --------------------------------------------------------------------------------- */

/* A record: size of the key (2 bytes), key, line (8 bytes), payload. Its prefix: the rank, and the
 * first four bytes of the key. */
static struct keyed keyed_decode(const struct sorter_record *record) {
    uint16_t key_bytes;
    struct keyed keyed = {.rank = (uint32_t)(record->prefix >> 32)};
    memcpy(&key_bytes, record->bytes, sizeof key_bytes);
    const char *at = (const char *)record->bytes + sizeof key_bytes;
    keyed.key = (struct text){at, key_bytes};
    memcpy(&keyed.line, at + key_bytes, sizeof keyed.line);
    at += key_bytes + sizeof keyed.line;
    keyed.payload =
        (struct text){at, record->size_bytes - (size_t)(at - (const char *)record->bytes)};
    return keyed;
}

static int keyed_compare(const struct sorter_record *left_record,
                         const struct sorter_record *right_record) {
    struct keyed left = keyed_decode(left_record);
    struct keyed right = keyed_decode(right_record);
    int order = text_compare(left.key, right.key);
    return order != 0 ? order : (left.line > right.line) - (left.line < right.line);
}

bool keyed_sorter_create(struct dataset *dataset, struct sorter **sorter, struct err *err) {
    return sorter_create(dataset->spill, DATASET_SORTER_BYTES, keyed_compare, sorter, err);
}

bool keyed_add(struct dataset *dataset, struct sorter *sorter, const struct keyed *keyed,
               struct err *err) {
    assert(keyed->key.size_bytes <= UINT16_MAX);
    uint16_t key_bytes = (uint16_t)keyed->key.size_bytes;
    struct buffer *record = &dataset->scratch;
    uint64_t prefix = keyed->rank;
    for (size_t index = 0; index < 4; index++) {
        unsigned char byte =
            index < key_bytes ? (unsigned char)keyed->key.bytes[index] : (unsigned char)0;
        prefix = prefix << 8 | byte;
    }
    size_t size_bytes =
        sizeof key_bytes + key_bytes + sizeof keyed->line + keyed->payload.size_bytes;
    buffer_clear(record);
    if (!buffer_reserve(record, size_bytes, err)) {
        return false;
    }
    char *at = record->bytes;
    memcpy(at, &key_bytes, sizeof key_bytes);
    at += sizeof key_bytes;
    memcpy(at, keyed->key.bytes, key_bytes);
    at += key_bytes;
    memcpy(at, &keyed->line, sizeof keyed->line);
    at += sizeof keyed->line;
    if (keyed->payload.size_bytes > 0) {
        memcpy(at, keyed->payload.bytes, keyed->payload.size_bytes);
    }
    return sorter_add(sorter, prefix, record->bytes, size_bytes, err);
}

bool keyed_next(struct sorter *sorter, struct keyed *keyed, bool *has_row, struct err *err) {
    struct sorter_record record;
    if (!sorter_next(sorter, &record, err)) {
        return false;
    }
    *has_row = record.bytes != NULL;
    if (*has_row) {
        *keyed = keyed_decode(&record);
    }
    return true;
}

bool keyed_check_next(struct keyed_check *check, const struct keyed *keyed, bool *is_repeated,
                      struct err *err) {
    *is_repeated = check->has_key && check->rank == keyed->rank &&
                   text_equals(buffer_text(&check->key), keyed->key);
    if (*is_repeated) {
        return true;
    }
    check->has_key = true;
    check->rank = keyed->rank;
    check->line = keyed->line;
    buffer_clear(&check->key);
    return buffer_append(&check->key, keyed->key, err);
}

/* --- streams: per record its rank, its size, its payload -------------------------------------- */

bool streams_create(struct dataset *dataset, enum dataset_file_number file, struct err *err) {
    dataset->streams[file] = arena_alloc_array(dataset->arena, dataset->shards_count,
                                               sizeof *dataset->streams[file], err);
    return dataset->streams[file] != NULL;
}

bool streams_put(struct dataset *dataset, enum dataset_file_number file, uint32_t rank,
                 struct text payload, struct err *err) {
    size_t shard = rank / CHECKPOINT_SHARD_ORGS;
    assert(shard < dataset->shards_count);
    assert(payload.size_bytes <= UINT32_MAX);
    uint32_t head[2] = {rank, (uint32_t)payload.size_bytes};
    struct spill_stream *stream = &dataset->streams[file][shard];
    /* Ranks ascend, so the shard before is whole: its memory is given back. */
    if (shard > 0 && dataset->streams[file][shard - 1].buffer != NULL &&
        !spill_flush(dataset->spill, &dataset->streams[file][shard - 1], err)) {
        return false;
    }
    return spill_append(dataset->spill, stream, head, sizeof head, err) &&
           (payload.size_bytes == 0 ||
            spill_append(dataset->spill, stream, payload.bytes, payload.size_bytes, err));
}

bool streams_finish(struct dataset *dataset, enum dataset_file_number file, struct err *err) {
    for (size_t shard = 0; shard < dataset->shards_count; shard++) {
        struct spill_stream *stream = &dataset->streams[file][shard];
        if (stream->buffer != NULL && !spill_flush(dataset->spill, stream, err)) {
            return false;
        }
    }
    return true;
}

bool stream_walk_open(struct stream_walk *walk, const struct dataset *dataset,
                      enum dataset_file_number file, size_t shard_index, struct err *err) {
    *walk = (struct stream_walk){.reader = SPILL_READER_CLOSED};
    if (dataset->streams[file] == NULL) {
        return true;
    }
    return spill_reader_open(&walk->reader, dataset->spill, &dataset->streams[file][shard_index],
                             err) &&
           stream_walk_step(walk, err);
}

bool stream_walk_step(struct stream_walk *walk, struct err *err) {
    uint32_t head[2];
    const unsigned char *bytes = NULL;
    walk->has_row = false;
    if (spill_is_at_end(&walk->reader)) {
        return true;
    }
    if (!spill_take(&walk->reader, sizeof head, &bytes, err)) {
        return false;
    }
    memcpy(head, bytes, sizeof head);
    if (head[1] > 0 && !spill_take(&walk->reader, head[1], &bytes, err)) {
        return false;
    }
    walk->has_row = true;
    walk->rank = head[0];
    walk->payload = (struct text){(const char *)bytes, head[1]};
    return true;
}

void stream_walk_close(struct stream_walk *walk) {
    spill_reader_close(&walk->reader);
}
