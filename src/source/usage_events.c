/*
 * Events with an id, told apart by (org, event_id).
 *
 * Reading spreads them by a keyed hash of both into partitions. Here a partition is read through
 * and its distinct events are kept in a table; a row that finds its event there is a duplicate when
 * they agree, and bad input when they do not. When the table is full, the half of it with the
 * higher hashes is dropped and left for another turn through the same partition: so the memory is
 * bounded, and a single event repeated a billion times costs one entry.
 *
 * Two ids are one when their 128-bit hashes are, under a secret of this process: an accident has a
 * chance of less than one in 10^18 for a billion billion pairs, and nobody can arrange one.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/memory.h"
#include "sys/process.h"
#include "usage_state.h"

enum {
    EVENT_IS_WIDE = 1, /* struct event_tail and event_id follow */
    EVENT_IS_SET = 2,
    EVENT_IS_LATE = 4,
    EVENT_IS_AFTER_START = 8,
    EVENT_HAS_KEY = 16,

    TABLE_SLOTS_MIN = 64,
};

struct event_head {
    uint64_t hash[2];
    uint64_t where; /* row_where, with the flags above */
    int64_t occurred_at_us;
    int64_t packed; /* not in wide ones */
    uint32_t org;
    uint32_t metric;
};

_Static_assert(sizeof(struct event_head) == 48, "50 million of these are spilled");

struct event_tail {
    struct decimal quantity;
    uint64_t key_hash[2];
    uint64_t event_id_bytes;
    uint64_t padding;
};

/* A row as it was spilled. */
struct event_row {
    struct event_head head;
    struct event_tail tail;
    const unsigned char *event_id;
};

/* An event kept: rows[] of the table hold this, then the tail and the event_id of a wide one. */
struct kept {
    uint64_t duplicates_count;
    struct event_head head;
};

struct settling {
    struct usage *usage;
    struct usage_feed *feed;
    unsigned char *rows;
    size_t rows_bytes;
    size_t rows_capacity_bytes;
    uint32_t *slots; /* place in rows[] / 8 + 1 */
    uint32_t slots_count;
    uint32_t kept_count;
    uint64_t from; /* this turn keeps hashes within [from, until] */
    uint64_t until;
    struct conflicts conflicts;
};

/* --- spilling ----------------------------------------------------------------------------------
 */

/* Ids are often small numbers of each org's own: the org must change every bit. */
static uint64_t mix(uint64_t value) {
    value ^= value >> 33;
    value *= UINT64_C(0xFF51AFD7ED558CCD);
    value ^= value >> 33;
    value *= UINT64_C(0xC4CEB9FE1A85EC53);
    return value ^ value >> 33;
}

bool feed_identified(struct usage_feed *feed, struct metric_entry *entry,
                     const struct feed_event *event, struct text event_id, uint64_t line,
                     struct err *err) {
    struct event_head head = {
        .occurred_at_us = event->occurred_at.us,
        .packed = event->packed,
        .org = feed->org.rank,
        .metric = entry->metric,
    };
    feed_hash(feed->usage, event_id, head.hash);
    head.hash[0] = mix(head.hash[0] ^ (uint64_t)head.org * UINT64_C(0x9E3779B97F4A7C15));
    head.hash[1] = mix(head.hash[1] + (uint64_t)head.org * UINT64_C(0xD6E8FEB86659FD93));
    bool is_wide = !event->is_packed || event->has_key || event->event_id.size_bytes > 0;
    uint64_t flags = (is_wide ? EVENT_IS_WIDE : 0) | (event->is_set ? EVENT_IS_SET : 0) |
                     (event->is_late ? EVENT_IS_LATE : 0) |
                     (event->is_after_start ? EVENT_IS_AFTER_START : 0) |
                     (event->has_key ? EVENT_HAS_KEY : 0);
    head.where = row_where(feed->file_index, line, flags);
    uint32_t partition = (uint32_t)(((head.hash[0] >> 32) * feed->usage->partitions_count) >> 32);
    struct spill_stream *stream = &feed->partitions[partition];
    struct spill *spill = feed->usage->spill;
    if (!is_wide) {
        return spill_append(spill, stream, &head, sizeof head, err);
    }
    struct event_tail tail = {
        .quantity = event->quantity,
        .key_hash = {event->key_hash[0], event->key_hash[1]},
        .event_id_bytes = event->event_id.size_bytes,
    };
    return spill_append(spill, stream, &head, sizeof head, err) &&
           spill_append(spill, stream, &tail, sizeof tail, err) &&
           spill_append(spill, stream, event->event_id.bytes, event->event_id.size_bytes, err);
}

/* --- the table of distinct events --------------------------------------------------------------
 */

static size_t kept_bytes(const struct event_row *row) {
    size_t size_bytes = sizeof(struct kept);
    if ((row->head.where & EVENT_IS_WIDE) != 0) {
        size_bytes += sizeof row->tail + (size_t)row->tail.event_id_bytes;
    }
    return (size_bytes + 7) / 8 * 8;
}

static void kept_read(const unsigned char *bytes, struct event_row *row) {
    memcpy(&row->head, bytes + offsetof(struct kept, head), sizeof row->head);
    row->tail = (struct event_tail){0};
    row->event_id = NULL;
    if ((row->head.where & EVENT_IS_WIDE) != 0) {
        memcpy(&row->tail, bytes + sizeof(struct kept), sizeof row->tail);
        row->event_id = bytes + sizeof(struct kept) + sizeof row->tail;
    }
}

static struct decimal row_quantity(const struct event_row *row) {
    return (row->head.where & EVENT_IS_WIDE) != 0 ? row->tail.quantity
                                                  : packed_to_decimal(row->head.packed);
}

static bool rows_agree(const struct event_row *left, const struct event_row *right) {
    const uint64_t told = EVENT_IS_SET | EVENT_HAS_KEY;
    return left->head.metric == right->head.metric &&
           left->head.occurred_at_us == right->head.occurred_at_us &&
           ((left->head.where ^ right->head.where) & told) == 0 &&
           decimal_compare(row_quantity(left), row_quantity(right)) == 0 &&
           left->tail.key_hash[0] == right->tail.key_hash[0] &&
           left->tail.key_hash[1] == right->tail.key_hash[1];
}

static uint32_t *find_slot(const struct settling *settling, const struct event_head *head) {
    uint32_t mask = settling->slots_count - 1;
    uint32_t slot = (uint32_t)head->hash[0] & mask;
    for (; settling->slots[slot] != 0; slot = (slot + 1) & mask) {
        const unsigned char *bytes = settling->rows + (size_t)(settling->slots[slot] - 1) * 8;
        struct event_head kept;
        memcpy(&kept, bytes + offsetof(struct kept, head), sizeof kept);
        if (kept.hash[0] == head->hash[0] && kept.hash[1] == head->hash[1] &&
            kept.org == head->org) {
            break;
        }
    }
    return &settling->slots[slot];
}

/* Keeps of the table only what belongs to this turn, whose range just shrank. */
static void table_rebuild(struct settling *settling) {
    memset(settling->slots, 0, settling->slots_count * sizeof *settling->slots);
    size_t to = 0;
    settling->kept_count = 0;
    size_t size_bytes;
    for (size_t from = 0; from < settling->rows_bytes; from += size_bytes) {
        struct event_row row;
        kept_read(settling->rows + from, &row);
        size_bytes = kept_bytes(&row);
        if (row.head.hash[1] > settling->until) {
            continue;
        }
        memmove(settling->rows + to, settling->rows + from, size_bytes);
        *find_slot(settling, &row.head) = (uint32_t)(to / 8) + 1;
        settling->kept_count++;
        to += size_bytes;
    }
    settling->rows_bytes = to;
    conflicts_keep(&settling->conflicts, settling->until);
}

/* Room for size_bytes more, by leaving the higher half of this turn's hashes to a later one. */
static bool make_room(struct settling *settling, size_t size_bytes, struct err *err) {
    while (settling->rows_capacity_bytes - settling->rows_bytes < size_bytes ||
           settling->kept_count >= settling->slots_count / 4 * 3) {
        if (settling->until == settling->from || settling->rows_bytes == 0) {
            /* A row larger than the memory is still one row. */
            size_t capacity = settling->rows_capacity_bytes + size_bytes;
            unsigned char *rows = mem_realloc(settling->rows, capacity);
            if (rows == NULL) {
                return err_memory(err, capacity);
            }
            settling->rows = rows;
            settling->rows_capacity_bytes = capacity;
            return true;
        }
        settling->until = settling->from + (settling->until - settling->from) / 2;
        table_rebuild(settling);
    }
    return true;
}

static bool table_insert(struct settling *settling, const struct event_row *row, struct err *err) {
    size_t size_bytes = kept_bytes(row);
    if (!make_room(settling, size_bytes, err)) {
        return false;
    }
    if (row->head.hash[1] > settling->until) {
        return true;
    }
    unsigned char *bytes = settling->rows + settling->rows_bytes;
    struct kept kept = {.head = row->head};
    memcpy(bytes, &kept, sizeof kept);
    if ((row->head.where & EVENT_IS_WIDE) != 0) {
        memcpy(bytes + sizeof kept, &row->tail, sizeof row->tail);
        if (row->tail.event_id_bytes > 0) {
            memcpy(bytes + sizeof kept + sizeof row->tail, row->event_id,
                   (size_t)row->tail.event_id_bytes);
        }
    }
    *find_slot(settling, &row->head) = (uint32_t)(settling->rows_bytes / 8) + 1;
    settling->rows_bytes += size_bytes;
    settling->kept_count++;
    return true;
}

/* --- duplicates and conflicts ------------------------------------------------------------------
 */

static void add_conflict(struct settling *settling, const struct event_head *left,
                         const struct event_head *right) {
    bool is_left_first = left->where < right->where;
    struct conflict conflict = {
        .hash = {left->hash[0], left->hash[1]},
        .where = (is_left_first ? right : left)->where,
        .other = (is_left_first ? left : right)->where,
    };
    conflicts_add(&settling->conflicts, &conflict);
}

/* The row's event is kept already: what stands is the earlier row, recorded when the first was. */
static void meet_kept(struct settling *settling, unsigned char *bytes,
                      const struct event_row *row) {
    const uint64_t recorded = EVENT_IS_LATE | EVENT_IS_AFTER_START;
    struct event_row kept_row;
    kept_read(bytes, &kept_row);
    if (!rows_agree(&kept_row, row)) {
        add_conflict(settling, &kept_row.head, &row->head);
        return;
    }
    struct kept kept;
    memcpy(&kept, bytes, sizeof kept);
    kept.duplicates_count++;
    uint64_t both = kept.head.where & row->head.where & recorded;
    /* The flags lie below the line, and one that is wide stays so: its tail is in the table. */
    uint64_t flags = (kept.head.where & (EVENT_IS_WIDE | EVENT_IS_SET | EVENT_HAS_KEY)) | both;
    uint64_t first = kept.head.where < row->head.where ? kept.head.where : row->head.where;
    kept.head.where = first >> ROW_FLAGS_BITS << ROW_FLAGS_BITS | flags;
    memcpy(bytes, &kept, sizeof kept);
}

static bool take_row(struct settling *settling, const struct event_row *row, struct err *err) {
    if (row->head.hash[1] < settling->from || row->head.hash[1] > settling->until) {
        return true;
    }
    uint32_t slot = *find_slot(settling, &row->head);
    if (slot != 0) {
        meet_kept(settling, settling->rows + (size_t)(slot - 1) * 8, row);
        return true;
    }
    return table_insert(settling, row, err);
}

static bool read_row(struct spill_reader *reader, struct event_row *row, struct err *err) {
    const unsigned char *bytes;
    if (!spill_take(reader, sizeof row->head, &bytes, err)) {
        return false;
    }
    memcpy(&row->head, bytes, sizeof row->head);
    row->tail = (struct event_tail){0};
    row->event_id = NULL;
    if ((row->head.where & EVENT_IS_WIDE) == 0) {
        return true;
    }
    if (!spill_take(reader, sizeof row->tail, &bytes, err)) {
        return false;
    }
    memcpy(&row->tail, bytes, sizeof row->tail);
    return spill_take(reader, (size_t)row->tail.event_id_bytes, &row->event_id, err);
}

/* --- what stands -------------------------------------------------------------------------------
 */

static bool feed_kept(struct settling *settling, const unsigned char *bytes,
                      const struct event_row *row, struct err *err) {
    struct usage_feed *feed = settling->feed;
    uint64_t where = row->head.where;
    struct feed_event event = {
        .quantity = row_quantity(row),
        .packed = row->head.packed,
        .is_packed = true,
        .is_set = (where & EVENT_IS_SET) != 0,
        .is_late = (where & EVENT_IS_LATE) != 0,
        .is_after_start = (where & EVENT_IS_AFTER_START) != 0,
        .occurred_at.us = row->head.occurred_at_us,
        .event_id = {(const char *)row->event_id, (size_t)row->tail.event_id_bytes},
        .has_key = (where & EVENT_HAS_KEY) != 0,
        .key_hash = {row->tail.key_hash[0], row->tail.key_hash[1]},
    };
    if ((where & EVENT_IS_WIDE) != 0) {
        event.is_packed = packed_from_decimal(event.quantity, &event.packed);
    }
    uint32_t index;
    if (!metric_table_find(&feed->metrics,
                           metric_names_text(settling->usage->names, row->head.metric), &index,
                           err)) {
        return false;
    }
    struct metric_entry *entry = &feed->metrics.entries[index];
    struct kept kept;
    memcpy(&kept, bytes, sizeof kept);
    if (kept.duplicates_count > 0) {
        entry->totals.events[USAGE_DUPLICATE] += kept.duplicates_count;
        if (!event.is_set) {
            tally_add_times(&entry->totals.units[USAGE_DUPLICATE], event.quantity,
                            kept.duplicates_count);
        }
    }
    if (feed->org.rank != row->head.org) {
        feed_look_at_org(feed, row->head.org);
    }
    return feed_event(feed, entry, &event, err);
}

/* Events come in no order of orgs: asks for the org of one that comes later. */
static void prefetch_org(const struct settling *settling, size_t from) {
    struct event_head head;
    memcpy(&head, settling->rows + from + offsetof(struct kept, head), sizeof head);
    const struct catalog_org *org = &settling->usage->catalog->orgs[head.org];
    __builtin_prefetch(org);
    __builtin_prefetch((const char *)(org + 1) - 1);
    __builtin_prefetch(&settling->usage->places[head.org]);
}

static bool feed_all_kept(struct settling *settling, struct err *err) {
    enum { AHEAD_COUNT = 12 };
    size_t ahead = 0;
    size_t ahead_count = 0;
    size_t size_bytes;
    for (size_t from = 0; from < settling->rows_bytes; from += size_bytes) {
        struct event_row row;
        for (; ahead_count < AHEAD_COUNT && ahead < settling->rows_bytes; ahead_count++) {
            prefetch_org(settling, ahead);
            kept_read(settling->rows + ahead, &row);
            ahead += kept_bytes(&row);
        }
        ahead_count--;
        kept_read(settling->rows + from, &row);
        size_bytes = kept_bytes(&row);
        if (!feed_kept(settling, settling->rows + from, &row, err)) {
            return false;
        }
    }
    return true;
}

static bool read_partition(struct settling *settling, uint32_t partition, struct err *err) {
    struct usage *usage = settling->usage;
    for (size_t job = 0; job < usage->jobs; job++) {
        struct spill_reader reader;
        bool is_done =
            spill_reader_open(&reader, usage->spill, &usage->feeds[job].partitions[partition], err);
        while (is_done && !spill_is_at_end(&reader)) {
            struct event_row row;
            is_done = read_row(&reader, &row, err) && take_row(settling, &row, err);
        }
        spill_reader_close(&reader);
        if (!is_done) {
            return false;
        }
    }
    return true;
}

/* --- settling ----------------------------------------------------------------------------------
 */

static bool settling_init(struct settling *settling, struct usage *usage, struct usage_feed *feed,
                          struct err *err) {
    *settling = (struct settling){.usage = usage, .feed = feed};
    size_t memory = (size_t)(usage->memory_bytes / 4);
    settling->slots_count = TABLE_SLOTS_MIN;
    while (settling->slots_count * 2 * sizeof(uint32_t) <= memory / 8) {
        settling->slots_count *= 2;
    }
    settling->rows_capacity_bytes = memory - settling->slots_count * sizeof(uint32_t);
    settling->rows = mem_alloc(settling->rows_capacity_bytes);
    settling->slots = mem_alloc(settling->slots_count * sizeof *settling->slots);
    if (settling->rows == NULL || settling->slots == NULL) {
        return err_memory(err, memory);
    }
    return true;
}

static void keep_conflicts(struct settling *settling) {
    struct usage *usage = settling->usage;
    (void)pthread_mutex_lock(&usage->conflicts_mutex);
    for (size_t index = 0; index < settling->conflicts.count; index++) {
        conflicts_add(&usage->conflicts, &settling->conflicts.rows[index]);
    }
    (void)pthread_mutex_unlock(&usage->conflicts_mutex);
}

static bool settle_partition(struct settling *settling, uint32_t partition, struct err *err) {
    settling->from = 0;
    for (;;) {
        settling->until = UINT64_MAX;
        settling->rows_bytes = 0;
        settling->kept_count = 0;
        settling->conflicts.count = 0;
        memset(settling->slots, 0, settling->slots_count * sizeof *settling->slots);
        if (!read_partition(settling, partition, err) || !feed_all_kept(settling, err)) {
            return false;
        }
        keep_conflicts(settling);
        if (settling->until == UINT64_MAX) {
            return true;
        }
        settling->from = settling->until + 1;
    }
}

struct settlers {
    struct usage *usage;
    _Atomic uint32_t next_partition;
};

static bool settle_worker(void *context, size_t worker, struct err *err) {
    struct settlers *settlers = context;
    struct usage *usage = settlers->usage;
    struct settling *settling = mem_alloc(sizeof *settling);
    if (settling == NULL) {
        return err_memory(err, sizeof *settling);
    }
    bool is_done = settling_init(settling, usage, &usage->feeds[worker], err);
    uint32_t partition = 0;
    while (is_done &&
           (partition = atomic_fetch_add(&settlers->next_partition, 1)) < usage->partitions_count) {
        is_done = interrupt_check(err) && settle_partition(settling, partition, err);
    }
    mem_free(settling->rows);
    mem_free(settling->slots);
    mem_free(settling);
    return is_done;
}

bool usage_settle_events(struct usage *usage, struct problems *problems, struct err *err) {
    bool has_events = false;
    for (size_t job = 0; job < usage->jobs; job++) {
        for (uint32_t index = 0; index < usage->partitions_count; index++) {
            struct spill_stream *stream = &usage->feeds[job].partitions[index];
            has_events |= !spill_is_empty(stream);
            if (!spill_flush(usage->spill, stream, err)) {
                return false;
            }
        }
    }
    struct settlers settlers = {.usage = usage};
    if (has_events && !process_parallel(usage->jobs, usage->jobs, settle_worker, &settlers, err)) {
        return false;
    }
    return usage_tell_conflicts(usage, problems, err) &&
           usage_merge_problems(usage, problems, err) && usage_seal(usage, err);
}
