#include "sorter.h"

#include <assert.h>

#include "core/memory.h"

enum {
    CAPACITY_FIRST_BYTES = 64 * 1024,
    CAPACITY_LARGE_BYTES = 1024 * 1024, /* one that needs so much gets all it may have */
    INSERTION_ENTRIES = 12,             /* sorted by insertion, then merged */
    MERGED_MIN = 2,
    RECORD_ALIGNMENT = 8,
    RECORD_HEAD_BYTES = 16, /* prefix and size, in a run */
};

struct entry {
    uint64_t prefix;
    uint32_t offset; /* in records[] */
    uint32_t size_bytes;
};

/* One sorted run being merged: the record at its front. */
struct cursor {
    struct spill_reader reader;
    struct sorter_record record;
};

struct sorter {
    struct spill *spill;
    sorter_compare *compare;
    size_t memory_bytes;

    unsigned char *records;
    size_t records_bytes;
    size_t records_capacity_bytes;
    struct entry *entries; /* entries_capacity of them, and as many again to merge into */
    size_t entries_count;
    size_t entries_capacity;

    struct spill_stream *runs;
    size_t runs_count; /* those from runs_first on are still to be merged */
    size_t runs_first;
    size_t runs_capacity;

    size_t next; /* in memory: the entry to give next */
    struct cursor *cursors;
    size_t cursors_count;
    size_t *heap; /* indices of cursors[], the least at the top */
    size_t heap_count;
    bool is_top_taken;
};

bool sorter_create(struct spill *spill, size_t memory_bytes, sorter_compare *compare,
                   struct sorter **sorter, struct err *err) {
    struct sorter *created = mem_alloc(sizeof *created);
    if (created == NULL) {
        return err_memory(err, sizeof *created);
    }
    created->spill = spill;
    created->compare = compare;
    created->memory_bytes = memory_bytes < UINT32_MAX / 2 ? memory_bytes : UINT32_MAX / 2;
    *sorter = created;
    return true;
}

static void cursors_close(struct sorter *sorter) {
    for (size_t index = 0; index < sorter->cursors_count; index++) {
        spill_reader_close(&sorter->cursors[index].reader);
    }
    mem_free(sorter->cursors);
    mem_free(sorter->heap);
    sorter->cursors = NULL;
    sorter->heap = NULL;
    sorter->cursors_count = 0;
    sorter->heap_count = 0;
}

void sorter_reset(struct sorter *sorter) {
    cursors_close(sorter);
    for (size_t index = 0; index < sorter->runs_count; index++) {
        spill_abandon(&sorter->runs[index]);
    }
    sorter->runs_count = 0;
    sorter->runs_first = 0;
    sorter->records_bytes = 0;
    sorter->entries_count = 0;
    sorter->next = 0;
    sorter->is_top_taken = false;
}

void sorter_destroy(struct sorter *sorter) {
    if (sorter == NULL) {
        return;
    }
    sorter_reset(sorter);
    mem_free(sorter->runs);
    mem_free(sorter->records);
    mem_free(sorter->entries);
    mem_free(sorter);
}

size_t sorter_runs_count(const struct sorter *sorter) {
    return sorter->runs_count;
}

/* --- in memory ---------------------------------------------------------------------------------
 */

static int entry_compare(const struct sorter *sorter, const struct entry *left,
                         const struct entry *right) {
    if (left->prefix != right->prefix) {
        return left->prefix < right->prefix ? -1 : 1;
    }
    struct sorter_record left_record = {left->prefix, sorter->records + left->offset,
                                        left->size_bytes};
    struct sorter_record right_record = {right->prefix, sorter->records + right->offset,
                                         right->size_bytes};
    return sorter->compare(&left_record, &right_record);
}

static void sort_by_insertion(const struct sorter *sorter, struct entry *entries, size_t count) {
    for (size_t index = 1; index < count; index++) {
        struct entry moving = entries[index];
        size_t place = index;
        for (; place > 0 && entry_compare(sorter, &moving, &entries[place - 1]) < 0; place--) {
            entries[place] = entries[place - 1];
        }
        entries[place] = moving;
    }
}

/* Merges entries from[first, middle) and from[middle, end) into to[first, end). */
static void merge_entries(const struct sorter *sorter, const struct entry *from, struct entry *to,
                          size_t first, size_t middle, size_t end) {
    size_t left = first;
    size_t right = middle;
    for (size_t place = first; place < end; place++) {
        bool is_left = left < middle &&
                       (right == end || entry_compare(sorter, &from[left], &from[right]) <= 0);
        to[place] = is_left ? from[left++] : from[right++];
    }
}

static bool is_sorted(const struct sorter *sorter) {
    for (size_t index = 1; index < sorter->entries_count; index++) {
        if (entry_compare(sorter, &sorter->entries[index], &sorter->entries[index - 1]) < 0) {
            return false;
        }
    }
    return true;
}

static void sort_entries(struct sorter *sorter) {
    size_t count = sorter->entries_count;
    if (is_sorted(sorter)) {
        return;
    }
    for (size_t first = 0; first < count; first += INSERTION_ENTRIES) {
        size_t rest = count - first;
        sort_by_insertion(sorter, sorter->entries + first,
                          rest < INSERTION_ENTRIES ? rest : INSERTION_ENTRIES);
    }
    struct entry *from = sorter->entries;
    struct entry *to = sorter->entries + sorter->entries_capacity;
    for (size_t width = INSERTION_ENTRIES; width < count; width *= 2) {
        for (size_t first = 0; first < count; first += 2 * width) {
            size_t middle = count - first < width ? count : first + width;
            size_t end = count - first < 2 * width ? count : first + 2 * width;
            merge_entries(sorter, from, to, first, middle, end);
        }
        struct entry *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != sorter->entries) {
        memcpy(sorter->entries, from, count * sizeof *from);
    }
}

/* --- runs --------------------------------------------------------------------------------------
 */

static bool run_begin(struct sorter *sorter, struct spill_stream **run, struct err *err) {
    if (sorter->runs_count == sorter->runs_capacity) {
        size_t capacity = sorter->runs_capacity == 0 ? 16 : sorter->runs_capacity * 2;
        struct spill_stream *runs = mem_realloc(sorter->runs, capacity * sizeof *runs);
        if (runs == NULL) {
            return err_memory(err, capacity * sizeof *runs);
        }
        sorter->runs = runs;
        sorter->runs_capacity = capacity;
    }
    *run = &sorter->runs[sorter->runs_count++];
    **run = (struct spill_stream){0};
    return true;
}

static bool run_append(struct sorter *sorter, struct spill_stream *run,
                       const struct sorter_record *record, struct err *err) {
    uint64_t head[2] = {record->prefix, record->size_bytes};
    _Static_assert(sizeof head == RECORD_HEAD_BYTES, "a run's records have two words before them");
    return spill_append(sorter->spill, run, head, sizeof head, err) &&
           spill_append(sorter->spill, run, record->bytes, record->size_bytes, err);
}

static bool write_run(struct sorter *sorter, struct err *err) {
    sort_entries(sorter);
    struct spill_stream *run;
    if (!run_begin(sorter, &run, err)) {
        return false;
    }
    for (size_t index = 0; index < sorter->entries_count; index++) {
        const struct entry *entry = &sorter->entries[index];
        struct sorter_record record = {entry->prefix, sorter->records + entry->offset,
                                       entry->size_bytes};
        if (!run_append(sorter, run, &record, err)) {
            return false;
        }
    }
    sorter->entries_count = 0;
    sorter->records_bytes = 0;
    return spill_flush(sorter->spill, run, err);
}

/* --- adding ------------------------------------------------------------------------------------
 */

static bool grow_records(struct sorter *sorter, size_t capacity, struct err *err) {
    unsigned char *records = mem_realloc(sorter->records, capacity);
    if (records == NULL) {
        return err_memory(err, capacity);
    }
    sorter->records = records;
    sorter->records_capacity_bytes = capacity;
    return true;
}

static bool grow_entries(struct sorter *sorter, struct err *err) {
    size_t capacity = sorter->entries_capacity == 0 ? CAPACITY_FIRST_BYTES / sizeof(struct entry)
                                                    : sorter->entries_capacity * 2;
    size_t most = sorter->memory_bytes / (2 * sizeof(struct entry) + RECORD_ALIGNMENT) + 1;
    if (capacity > CAPACITY_LARGE_BYTES / sizeof(struct entry) && capacity < most) {
        capacity = most;
    }
    size_t size_bytes = 2 * capacity * sizeof(struct entry);
    struct entry *entries = mem_realloc(sorter->entries, size_bytes);
    if (entries == NULL) {
        return err_memory(err, size_bytes);
    }
    sorter->entries = entries;
    sorter->entries_capacity = capacity;
    return true;
}

/* Whether one more record fits within the memory, counting what sorting takes. */
static bool has_room(const struct sorter *sorter, size_t size_bytes) {
    size_t entries_bytes = 2 * (sorter->entries_count + 1) * sizeof(struct entry);
    return sorter->records_bytes + size_bytes + entries_bytes <= sorter->memory_bytes;
}

bool sorter_add_room(struct sorter *sorter, uint64_t prefix, size_t size_bytes,
                     unsigned char **room, struct err *err) {
    assert(size_bytes > 0 && size_bytes < UINT32_MAX / 4);
    size_t rounded = (size_bytes + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
    if (!has_room(sorter, rounded) && sorter->entries_count > 0 && !write_run(sorter, err)) {
        return false;
    }
    size_t capacity = sorter->records_capacity_bytes;
    if (capacity - sorter->records_bytes < rounded) {
        capacity = capacity == 0 ? CAPACITY_FIRST_BYTES : capacity * 2;
        if (capacity > CAPACITY_LARGE_BYTES || capacity > sorter->memory_bytes) {
            capacity = sorter->memory_bytes;
        }
        if (capacity < sorter->records_bytes + rounded) {
            capacity = sorter->records_bytes + rounded;
        }
        if (!grow_records(sorter, capacity, err)) {
            return false;
        }
    }
    if (sorter->entries_count == sorter->entries_capacity && !grow_entries(sorter, err)) {
        return false;
    }
    *room = sorter->records + sorter->records_bytes;
    sorter->entries[sorter->entries_count++] =
        (struct entry){prefix, (uint32_t)sorter->records_bytes, (uint32_t)size_bytes};
    sorter->records_bytes += rounded;
    return true;
}

bool sorter_add(struct sorter *sorter, uint64_t prefix, const void *bytes, size_t size_bytes,
                struct err *err) {
    unsigned char *room;
    if (!sorter_add_room(sorter, prefix, size_bytes, &room, err)) {
        return false;
    }
    memcpy(room, bytes, size_bytes);
    return true;
}

/* --- merging -----------------------------------------------------------------------------------
 */

static bool cursor_advance(struct cursor *cursor, struct err *err) {
    cursor->record = (struct sorter_record){0};
    if (spill_is_at_end(&cursor->reader)) {
        return true;
    }
    const unsigned char *bytes;
    uint64_t head[2];
    if (!spill_take(&cursor->reader, sizeof head, &bytes, err)) {
        return false;
    }
    memcpy(head, bytes, sizeof head);
    if (!spill_take(&cursor->reader, (size_t)head[1], &bytes, err)) {
        return false;
    }
    cursor->record = (struct sorter_record){head[0], bytes, (size_t)head[1]};
    return true;
}

static bool cursor_is_less(const struct sorter *sorter, size_t left_index, size_t right_index) {
    const struct sorter_record *left = &sorter->cursors[left_index].record;
    const struct sorter_record *right = &sorter->cursors[right_index].record;
    if (left->prefix != right->prefix) {
        return left->prefix < right->prefix;
    }
    return sorter->compare(left, right) < 0;
}

static void heap_sink(struct sorter *sorter, size_t place) {
    size_t *heap = sorter->heap;
    for (;;) {
        size_t least = 2 * place + 1;
        if (least >= sorter->heap_count) {
            return;
        }
        if (least + 1 < sorter->heap_count &&
            cursor_is_less(sorter, heap[least + 1], heap[least])) {
            least++;
        }
        if (!cursor_is_less(sorter, heap[least], heap[place])) {
            return;
        }
        size_t swapped = heap[place];
        heap[place] = heap[least];
        heap[least] = swapped;
        place = least;
    }
}

/* Cursors on `count` runs from runs_first on, and the heap over them. */
static bool merge_open(struct sorter *sorter, size_t count, struct err *err) {
    cursors_close(sorter);
    sorter->cursors = mem_alloc(count * sizeof *sorter->cursors);
    sorter->heap = mem_alloc(count * sizeof *sorter->heap);
    if (sorter->cursors == NULL || sorter->heap == NULL) {
        return err_memory(err, count * sizeof *sorter->cursors);
    }
    sorter->cursors_count = count;
    for (size_t index = 0; index < count; index++) {
        struct cursor *cursor = &sorter->cursors[index];
        if (!spill_reader_open(&cursor->reader, sorter->spill,
                               &sorter->runs[sorter->runs_first + index], err) ||
            !cursor_advance(cursor, err)) {
            return false;
        }
        assert(cursor->record.bytes != NULL);
        sorter->heap[index] = index;
    }
    sorter->runs_first += count;
    sorter->heap_count = count;
    for (size_t place = count / 2; place-- > 0;) {
        heap_sink(sorter, place);
    }
    sorter->is_top_taken = false;
    return true;
}

static bool merge_next(struct sorter *sorter, struct sorter_record *record, struct err *err) {
    if (sorter->is_top_taken) {
        struct cursor *top = &sorter->cursors[sorter->heap[0]];
        if (!cursor_advance(top, err)) {
            return false;
        }
        if (top->record.bytes == NULL) {
            spill_reader_close(&top->reader);
            sorter->heap[0] = sorter->heap[--sorter->heap_count];
        }
        heap_sink(sorter, 0);
    }
    sorter->is_top_taken = sorter->heap_count > 0;
    *record = sorter->heap_count > 0 ? sorter->cursors[sorter->heap[0]].record
                                     : (struct sorter_record){0};
    return true;
}

static bool merge_into_run(struct sorter *sorter, size_t count, struct err *err) {
    struct spill_stream *run;
    if (!merge_open(sorter, count, err) || !run_begin(sorter, &run, err)) {
        return false;
    }
    struct sorter_record record;
    for (;;) {
        if (!merge_next(sorter, &record, err)) {
            return false;
        }
        if (record.bytes == NULL) {
            return spill_flush(sorter->spill, run, err);
        }
        if (!run_append(sorter, run, &record, err)) {
            return false;
        }
    }
}

bool sorter_finish(struct sorter *sorter, struct err *err) {
    if (sorter->runs_count == 0) {
        sort_entries(sorter);
        return true;
    }
    if (sorter->entries_count > 0 && !write_run(sorter, err)) {
        return false;
    }
    /* The merge's buffers take the place of the records. */
    mem_free(sorter->records);
    mem_free(sorter->entries);
    sorter->records = NULL;
    sorter->entries = NULL;
    sorter->records_capacity_bytes = 0;
    sorter->entries_capacity = 0;
    size_t at_once =
        sorter->memory_bytes / (spill_chunk_bytes(sorter->spill) + sizeof(struct cursor));
    at_once = at_once < MERGED_MIN ? MERGED_MIN : at_once;
    while (sorter->runs_count - sorter->runs_first > at_once) {
        if (!merge_into_run(sorter, at_once, err)) {
            return false;
        }
    }
    return merge_open(sorter, sorter->runs_count - sorter->runs_first, err);
}

bool sorter_next(struct sorter *sorter, struct sorter_record *record, struct err *err) {
    if (sorter->runs_count > 0) {
        return merge_next(sorter, record, err);
    }
    *record = (struct sorter_record){0};
    if (sorter->next < sorter->entries_count) {
        const struct entry *entry = &sorter->entries[sorter->next++];
        *record = (struct sorter_record){entry->prefix, sorter->records + entry->offset,
                                         entry->size_bytes};
    }
    return true;
}
