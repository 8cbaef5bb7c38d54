/*
 * Metrics by number. A feed looks for the follower of the metric before first, see
 * metric_table_find; then for the same again; then by hash.
 */
#include <assert.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/memory.h"
#include "usage_state.h"

enum { INDEX_CAPACITY_FIRST = 64, ENTRIES_CAPACITY_FIRST = 16 };

struct metric_names {
    pthread_mutex_t mutex;
    struct arena *arena;
    struct text *texts;
    uint32_t texts_count;
    uint32_t texts_capacity;
    uint32_t *index; /* metric + 1 */
    uint32_t index_capacity;
};

/* --- the shared names --------------------------------------------------------------------------
 */

struct metric_names *metric_names_create(struct err *err) {
    struct metric_names *names = mem_alloc(sizeof *names);
    if (names == NULL) {
        (void)err_memory(err, sizeof *names);
        return NULL;
    }
    names->arena = arena_create(err);
    if (names->arena == NULL) {
        mem_free(names);
        return NULL;
    }
    (void)pthread_mutex_init(&names->mutex, NULL);
    return names;
}

void metric_names_destroy(struct metric_names *names) {
    if (names == NULL) {
        return;
    }
    (void)pthread_mutex_destroy(&names->mutex);
    arena_destroy(names->arena);
    mem_free(names->texts);
    mem_free(names->index);
    mem_free(names);
}

static uint32_t hash_of(struct text name) {
    return (uint32_t)XXH3_64bits(name.bytes, name.size_bytes);
}

bool metric_names_find(const struct metric_names *names, struct text name, uint32_t *metric) {
    if (names->index_capacity == 0) {
        return false;
    }
    uint32_t mask = names->index_capacity - 1;
    for (uint32_t place = hash_of(name) & mask; names->index[place] != 0;
         place = (place + 1) & mask) {
        if (text_equals(names->texts[names->index[place] - 1], name)) {
            *metric = names->index[place] - 1;
            return true;
        }
    }
    return false;
}

static void index_put(uint32_t *index, uint32_t capacity, uint32_t hash, uint32_t value) {
    uint32_t place = hash & (capacity - 1);
    while (index[place] != 0) {
        place = (place + 1) & (capacity - 1);
    }
    index[place] = value;
}

static bool names_grow(struct metric_names *names, struct err *err) {
    uint32_t capacity =
        names->texts_capacity == 0 ? ENTRIES_CAPACITY_FIRST : names->texts_capacity * 2;
    struct text *texts = mem_realloc(names->texts, capacity * sizeof *texts);
    if (texts == NULL) {
        return err_memory(err, capacity * sizeof *texts);
    }
    names->texts = texts;
    uint32_t *index = mem_alloc(4 * capacity * sizeof *index);
    if (index == NULL) {
        return err_memory(err, 4 * capacity * sizeof *index);
    }
    for (uint32_t metric = 0; metric < names->texts_count; metric++) {
        index_put(index, 4 * capacity, hash_of(texts[metric]), metric + 1);
    }
    mem_free(names->index);
    names->index = index;
    names->index_capacity = 4 * capacity;
    names->texts_capacity = capacity;
    return true;
}

static bool names_add_locked(struct metric_names *names, struct text name, uint32_t *metric,
                             struct text *kept, struct err *err) {
    enum { METRICS_MAX = 1 << 28 };
    if (!metric_names_find(names, name, metric)) {
        if (names->texts_count == METRICS_MAX) {
            return err_set(err, ERR_RANGE, "the usage has too many different metrics");
        }
        if (names->texts_count == names->texts_capacity && !names_grow(names, err)) {
            return false;
        }
        char *bytes = arena_alloc(names->arena, name.size_bytes, err);
        if (bytes == NULL) {
            return false;
        }
        memcpy(bytes, name.bytes, name.size_bytes);
        *metric = names->texts_count++;
        names->texts[*metric] = (struct text){bytes, name.size_bytes};
        index_put(names->index, names->index_capacity, hash_of(name), *metric + 1);
    }
    *kept = names->texts[*metric];
    return true;
}

bool metric_names_add(struct metric_names *names, struct text name, uint32_t *metric,
                      struct text *kept, struct err *err) {
    (void)pthread_mutex_lock(&names->mutex);
    bool is_done = names_add_locked(names, name, metric, kept, err);
    (void)pthread_mutex_unlock(&names->mutex);
    return is_done;
}

uint32_t metric_names_count(const struct metric_names *names) {
    return names->texts_count;
}

struct text metric_names_text(const struct metric_names *names, uint32_t metric) {
    assert(metric < names->texts_count);
    return names->texts[metric];
}

/* --- a feed's table ----------------------------------------------------------------------------
 */

void metric_table_release(struct metric_table *table) {
    mem_free(table->entries);
    mem_free(table->index);
    *table = (struct metric_table){0};
}

static bool table_grow(struct metric_table *table, struct err *err) {
    uint32_t capacity =
        table->entries_capacity == 0 ? ENTRIES_CAPACITY_FIRST : table->entries_capacity * 2;
    struct metric_entry *entries = mem_realloc(table->entries, capacity * sizeof *entries);
    if (entries == NULL) {
        return err_memory(err, capacity * sizeof *entries);
    }
    table->entries = entries;
    uint32_t *index = mem_alloc(4 * capacity * sizeof *index);
    if (index == NULL) {
        return err_memory(err, 4 * capacity * sizeof *index);
    }
    for (uint32_t entry = 0; entry < table->entries_count; entry++) {
        index_put(index, 4 * capacity, hash_of(entries[entry].name), entry + 1);
    }
    mem_free(table->index);
    table->index = index;
    table->index_capacity = 4 * capacity;
    table->entries_capacity = capacity;
    return true;
}

const char *metric_refusal(struct text name, bool has_seats_file) {
    if (has_seats_file && text_equals(name, text_from("seats"))) {
        return "seats are counted from seats.csv, which is given too";
    }
    return catalog_check_metric(name);
}

static bool table_add(struct metric_table *table, struct text name, uint32_t *entry,
                      struct err *err) {
    if (table->entries_count == table->entries_capacity && !table_grow(table, err)) {
        return false;
    }
    struct metric_entry added = {0};
    if (!metric_names_add(table->names, name, &added.metric, &added.name, err)) {
        return false;
    }
    *entry = table->entries_count++;
    added.follower = *entry;
    added.refusal = metric_refusal(name, table->has_seats_file);
    table->entries[*entry] = added;
    index_put(table->index, table->index_capacity, hash_of(name), *entry + 1);
    return true;
}

static bool table_look_up(struct metric_table *table, struct text name, uint32_t *entry,
                          struct err *err) {
    if (table->index_capacity > 0) {
        uint32_t mask = table->index_capacity - 1;
        for (uint32_t place = hash_of(name) & mask; table->index[place] != 0;
             place = (place + 1) & mask) {
            if (text_equals(table->entries[table->index[place] - 1].name, name)) {
                *entry = table->index[place] - 1;
                return true;
            }
        }
    }
    return table_add(table, name, entry, err);
}

bool metric_table_find_other(struct metric_table *table, struct text name, uint32_t *entry,
                             struct err *err) {
    uint32_t last = table->last;
    if (table->entries_count > 0 && text_equals(table->entries[last].name, name)) {
        *entry = last;
        return true;
    }
    if (!table_look_up(table, name, entry, err)) {
        return false;
    }
    table->entries[last].follower = *entry;
    table->last = *entry;
    return true;
}
