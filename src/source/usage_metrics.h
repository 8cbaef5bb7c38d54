/*
 * Metrics by number, and what is counted of each. Names get their numbers in order of first sight,
 * shared by the feeds; each feed has a table of its own, so that no row waits for a lock. Internal
 * to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_USAGE_METRICS_H
#define PERIODCLOSE_SOURCE_USAGE_METRICS_H

#include "source/usage.h"
#include "usage_parse.h"
#include "usage_tally.h"

struct metric_totals {
    uint64_t events_read;
    struct tally units_read;
    uint64_t events[USAGE_CATEGORIES_COUNT];
    struct tally units[USAGE_CATEGORIES_COUNT];
};

/* Names to numbers, in order of first sight; shared by the feeds, guarded by a mutex. */
struct metric_names;

struct metric_names *metric_names_create(struct err *err);
void metric_names_destroy(struct metric_names *names);
bool metric_names_add(struct metric_names *names, struct text name, uint32_t *metric,
                      struct text *kept, struct err *err);
/* After all reading: */
uint32_t metric_names_count(const struct metric_names *names);
struct text metric_names_text(const struct metric_names *names, uint32_t metric);
bool metric_names_find(const struct metric_names *names, struct text name, uint32_t *metric);

/* NULL: usage may be of this metric; else the reason why not. */
const char *metric_refusal(struct text name, bool has_seats_file);

/* A feed's own look-up and totals. */
struct metric_entry {
    struct text name;
    uint32_t metric;
    uint32_t follower;   /* the entry that came after this one last time */
    const char *refusal; /* NULL: a good name */
    unsigned places;     /* of mantissas */
    int64_t mantissas;   /* of the plain lane's last rows, not yet among the units read */
    struct metric_totals totals;
};

/* Before the units read are asked for. */
static inline void metric_entry_settle(struct metric_entry *entry) {
    int128 power = packed_powers[DECIMAL_PLACES - entry->places];
    tally_add(&entry->totals.units_read, (struct decimal){entry->mantissas * power});
    entry->mantissas = 0;
}

/* Counts a row as read. Most rows of a metric have as many places as the one before. */
static inline void metric_entry_read(struct metric_entry *entry, int64_t packed) {
    int64_t sum;
    entry->totals.events_read++;
    if (packed_places(packed) == entry->places &&
        !__builtin_add_overflow(entry->mantissas, packed_mantissa(packed), &sum)) {
        entry->mantissas = sum;
        return;
    }
    metric_entry_settle(entry);
    entry->places = packed_places(packed);
    entry->mantissas = packed_mantissa(packed);
}

/* A name of up to 16 bytes that was found before, its words as parse_words has them. */
struct metric_seen {
    uint64_t words[2];
    uint32_t size_bytes; /* 0: none */
    uint32_t entry;
};

enum { METRICS_SEEN_BITS = 6 };

struct metric_table {
    struct metric_names *names;
    struct metric_entry *entries;
    uint32_t entries_count;
    uint32_t entries_capacity;
    uint32_t *index; /* entry + 1, open addressing */
    uint32_t index_capacity;
    uint32_t last; /* the entry of the row before */
    bool has_seats_file;
    struct metric_seen seen[1 << METRICS_SEEN_BITS]; /* by their words */
};

void metric_table_release(struct metric_table *table);
bool metric_table_find_other(struct metric_table *table, struct text name, uint32_t *entry,
                             struct err *err);

/* Most rows have the metric that followed the one before the last time. */
static inline bool metric_table_find(struct metric_table *table, struct text name, uint32_t *entry,
                                     struct err *err) {
    if (table->entries_count > 0) {
        uint32_t follower = table->entries[table->last].follower;
        if (parse_is_same(table->entries[follower].name, name)) {
            *entry = follower;
            table->last = follower;
            return true;
        }
    }
    return metric_table_find_other(table, name, entry, err);
}

/* The same for a name around which eight bytes on either side are readable: most metrics are seen
 * again and again, in any order. */
static inline bool metric_table_find_short(struct metric_table *table, struct text name,
                                           uint32_t *entry, struct err *err) {
    uint64_t words[2];
    if (!parse_words(name, words)) {
        return metric_table_find(table, name, entry, err);
    }
    uint64_t mixed = (words[0] + 31 * words[1]) * UINT64_C(0x9E3779B97F4A7C15);
    struct metric_seen *seen = &table->seen[mixed >> (64 - METRICS_SEEN_BITS)];
    if (((seen->words[0] ^ words[0]) | (seen->words[1] ^ words[1]) |
         (seen->size_bytes ^ name.size_bytes)) == 0) {
        *entry = seen->entry;
        return true;
    }
    if (!metric_table_find(table, name, entry, err)) {
        return false;
    }
    *seen = (struct metric_seen){{words[0], words[1]}, (uint32_t)name.size_bytes, *entry};
    return true;
}

#endif
