/* Rows of the small files: read by the declared columns, kept in streams. */
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

/* One thread's. */
struct reading_rows {
    struct dataset *dataset;
    struct dataset_reader reader;
    const struct dataset_file_columns *file;
    const struct dataset_reading *reading;
    void *context;                        /* of the reading, for this thread */
    struct field absent[CSV_COLUMNS_MAX]; /* what a column that need not be given is without it */
    struct field fields[CSV_COLUMNS_MAX];
    size_t columns[CSV_COLUMNS_MAX]; /* those the file has */
    size_t columns_count;
};

/* layout: which columns the file has; NULL: all. */
static void find_columns(struct reading_rows *rows, const struct csv_layout *layout) {
    for (size_t index = 0; index < rows->file->columns_count; index++) {
        const struct column *column = &rows->file->columns[index];
        char reason[FIELD_REASON_MAX];
        bool is_fine = column_parse(column, (struct text){"", 0}, &rows->absent[index], reason);
        assert(is_fine || column->is_required);
        rows->fields[index] = rows->absent[index];
        if (layout == NULL || layout->has_column[index]) {
            rows->columns[rows->columns_count] = index;
            rows->columns_count++;
        }
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
        return problems_add(rows->reader.problems, name, row->line, file->columns[index].name,
                            row->fields[index], err, "%s", reason);
    }
    bool is_done = true;
    for (size_t part = 0; is_done && part < file->key_columns; part++) {
        is_done = buffer_append_format(&key, err, "%s%s %.*s", part > 0 ? ", " : "",
                                       file->columns[part].name, (int)row->fields[part].size_bytes,
                                       row->fields[part].bytes);
    }
    is_done =
        is_done && problems_add(rows->reader.problems, name, row->line, file->columns[index].name,
                                row->fields[index], err, "%s (%.*s)", reason, (int)key.size_bytes,
                                key.bytes != NULL ? key.bytes : "");
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
    for (size_t place = 0; place < rows->columns_count; place++) {
        size_t index = rows->columns[place];
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
    struct dataset_row taken = {.dataset = rows->dataset,
                                .reader = &rows->reader,
                                .line = row->line,
                                .texts = row->fields,
                                .fields = rows->fields,
                                .is_sound = is_sound};
    return !has_required || rows->reading->take(rows->context, &taken, err);
}

static void *context_of(const struct dataset_reading *reading, size_t index) {
    return (char *)reading->context + index * reading->context_bytes;
}

static void reading_rows_init(struct reading_rows *rows, struct dataset *dataset,
                              const struct dataset_reading *reading, size_t index,
                              const struct csv_layout *layout, struct problems *problems) {
    *rows = (struct reading_rows){
        .dataset = dataset,
        .reader = {.dataset = dataset, .file = reading->file, .problems = problems},
        .file = &dataset_files[reading->file],
        .reading = reading,
        .context = context_of(reading, index),
    };
    find_columns(rows, layout);
}

size_t dataset_readers_count(const struct dataset *dataset) {
    size_t jobs = dataset->options.database != NULL ? 1 : dataset->options.jobs;
    return jobs < 1 ? 1 : jobs < DATASET_READERS_MAX ? jobs : DATASET_READERS_MAX;
}

static bool finish_context(const struct dataset_reading *reading, size_t index, struct err *err) {
    return reading->finish == NULL || reading->finish(context_of(reading, index), err);
}

/* A file in parts: each by the thread that takes it. Bad rows come out in order whoever meets them.
 */
struct reading_parts {
    struct dataset *dataset;
    const struct dataset_reading *reading;
    const struct csv_file *csv;
    struct csv_range parts[CSV_PARTS_MAX];
    size_t parts_count;
    struct problems *problems[CSV_PARTS_MAX]; /* the first one is the dataset's */
};

static bool read_part(void *context, size_t index, struct err *err) {
    struct reading_parts *reading = context;
    struct reading_rows rows;
    reading_rows_init(&rows, reading->dataset, reading->reading, index, &reading->csv->layout,
                      reading->problems[index]);
    return csv_read_part(reading->csv, reading->parts[index], take_row, &rows,
                         reading->problems[index], err) &&
           finish_context(reading->reading, index, err);
}

static bool read_parts(struct reading_parts *reading, struct err *err) {
    struct problems *problems = reading->dataset->problems;
    reading->problems[0] = problems;
    bool is_done = true;
    for (size_t index = 1; is_done && index < reading->parts_count; index++) {
        reading->problems[index] = problems_create(err);
        is_done = reading->problems[index] != NULL;
    }
    is_done = is_done &&
              process_parallel(reading->parts_count, reading->parts_count, read_part, reading, err);
    for (size_t index = 1; index < reading->parts_count; index++) {
        is_done = is_done && problems_merge(problems, reading->problems[index], 0, err);
        problems_destroy(reading->problems[index]);
    }
    return is_done;
}

/* *contexts_used: those whose rows are all taken. */
static bool read_csv_rows(struct dataset *dataset, const struct dataset_reading *reading,
                          size_t *contexts_used, struct err *err) {
    const struct dataset_file_columns *file = &dataset_files[reading->file];
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
    struct reading_parts parts = {.dataset = dataset, .reading = reading, .csv = &csv};
    size_t part_bytes = dataset->options.part_bytes;
    const struct csv_cut cut = {
        .parts_max = reading->contexts_count > 1 ? reading->contexts_count : 1,
        .part_bytes = part_bytes > 0 ? part_bytes : CSV_PART_BYTES,
    };
    bool is_read =
        csv_cut(&csv, cut, parts.parts, &parts.parts_count, err) && read_parts(&parts, err);
    csv_close(&csv);
    *contexts_used = parts.parts_count;
    return is_read;
}

/* Rows are counted in the order of their key, which is that of the statement. */
static bool read_database_rows(struct dataset *dataset, const struct dataset_reading *reading,
                               struct err *err) {
    const struct dataset_file_columns *file = &dataset_files[reading->file];
    struct db *db = source_database_connection(dataset->options.database, 0);
    struct reading_rows rows;
    reading_rows_init(&rows, dataset, reading, 0, NULL, dataset->problems);
    struct db_copy_out copy;
    struct db_copy_row from;
    struct csv_row row = {0};
    struct db_params params = {0};
    db_params_text(&params, text_from(source_database_period(dataset->options.database)));
    if (!db_copy_out_begin_with(db, file->statement, &params, file->columns_count, &copy, err)) {
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
        if (!take_row(&rows, &row, err)) {
            db_copy_out_abort(&copy);
            return false;
        }
    }
}

bool dataset_read(struct dataset *dataset, struct dataset_reading *reading, struct err *err) {
    uint64_t count = problems_count(dataset->problems);
    assert(reading->contexts_count <= DATASET_READERS_MAX);
    size_t contexts_used = 0;
    if (!(dataset->options.database != NULL
              ? read_database_rows(dataset, reading, err)
              : read_csv_rows(dataset, reading, &contexts_used, err))) {
        return false;
    }
    size_t contexts_count = reading->contexts_count > 1 ? reading->contexts_count : 1;
    for (size_t index = contexts_used; index < contexts_count; index++) {
        if (!finish_context(reading, index, err)) {
            return false;
        }
    }
    reading->is_sound = problems_count(dataset->problems) == count;
    return true;
}

const char *dataset_file_name(const struct dataset *dataset, enum dataset_file_number file) {
    return dataset->options.database != NULL ? dataset_files[file].relation
                                             : dataset_files[file].file;
}

bool dataset_refuse(const struct dataset_row *row, const char *column, struct text value,
                    const char *reason, struct err *err) {
    return problems_add(row->reader->problems, dataset_file_name(row->dataset, row->reader->file),
                        row->line, column, value, err, "%s", reason);
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

bool dataset_find_org(const struct dataset_row *row, struct text org_id, uint32_t *rank,
                      struct err *err) {
    const struct catalog *catalog = &row->dataset->catalog;
    /* In a file in order of orgs it is the one before, or the next one. */
    uint32_t guess = row->reader->rank_before;
    if (guess < catalog->orgs_count && !text_equals(catalog->orgs[guess].org_id, org_id)) {
        guess++;
    }
    bool is_guessed =
        guess < catalog->orgs_count && text_equals(catalog->orgs[guess].org_id, org_id);
    *rank = is_guessed ? guess : catalog_find_org(catalog, org_id);
    row->reader->rank_before = *rank < catalog->orgs_count ? *rank : 0;
    return *rank != CATALOG_NONE || !row->dataset->orgs_are_sound ||
           dataset_refuse(row, "org_id", org_id, "is not in orgs.csv", err);
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
