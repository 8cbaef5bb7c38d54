/*
 * Which orgs the rows are of, for a batch of rows.
 *
 * What the plain lane needs of an org lies in one line of the cache: see struct usage_org. In an
 * ordered file a row is nearly always of the org of the row before or of one of the next few. In
 * one without order, each org is somewhere else in memory, and waiting for memory is most of the
 * work. So the batch takes each step for all of its rows before the next one, and asks for what
 * that will need ahead. Which of the two ways a batch goes, the batch before it says.
 */
#include <assert.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/memory.h"
#include "sys/process.h"
#include "usage_state.h"

enum {
    LINE_BYTES = 64,
    FOLLOWERS_COUNT = 8, /* an ordered row is of one of so many orgs, as a rule */
    ORGS_AT_ONCE = 16384,
};

_Static_assert(sizeof(struct usage_org) == LINE_BYTES, "an org takes one line of the cache");

struct org_index {
    void *orgs_memory;
    uint32_t *tails; /* by rank, and FOLLOWERS_COUNT more */
    struct catalog_slots catalog;
};

static void fill_org(const struct usage *usage, uint32_t rank, struct usage_org *filled) {
    const struct catalog_org *org = &usage->catalog->orgs[rank];
    const struct usage_place place = usage->places[rank];
    int64_t start_us = calendar_start(&org->calendar->calendar).us;
    bool is_plain = org->plan != NULL && org->disposition == ORG_RATED && org->is_whole_period;
    *filled = (struct usage_org){
        .bucket = place.bucket,
        .slot_first = place.slot_first,
        .start_us = start_us,
        .length_us = (uint64_t)(calendar_end(&org->calendar->calendar).us - start_us),
        .plan = is_plain ? org->plan : NULL,
    };
    if (org->org_id.size_bytes <= sizeof filled->org_id) {
        filled->org_id_bytes = (uint8_t)org->org_id.size_bytes;
        memcpy(filled->org_id, org->org_id.bytes, org->org_id.size_bytes);
    }
}

/* The last bytes of an org_id: those by which it differs from its neighbours, mostly. */
static inline uint32_t tail_of(struct text org_id) {
    uint32_t tail = 0;
    if (org_id.size_bytes >= sizeof tail) {
        memcpy(&tail, org_id.bytes + org_id.size_bytes - sizeof tail, sizeof tail);
    }
    return tail + (uint32_t)org_id.size_bytes;
}

static bool fill_orgs(void *context, size_t index, struct err *err) {
    struct usage *usage = context;
    uint32_t first = (uint32_t)index * ORGS_AT_ONCE;
    uint32_t left = usage->catalog->orgs_count - first;
    uint32_t end = first + (left < ORGS_AT_ONCE ? left : ORGS_AT_ONCE);
    (void)err;
    for (uint32_t rank = first; rank < end; rank++) {
        fill_org(usage, rank, &usage->orgs[rank]);
        usage->org_index->tails[rank] = tail_of(usage->catalog->orgs[rank].org_id);
    }
    return true;
}

bool usage_orgs_create(struct usage *usage, struct err *err) {
    uint32_t orgs_count = usage->catalog->orgs_count;
    struct org_index *index = mem_alloc(sizeof *index);
    if (index == NULL) {
        return err_memory(err, sizeof *index);
    }
    usage->org_index = index;
    index->catalog = catalog_index_slots(usage->catalog);
    size_t orgs_bytes = (orgs_count + (size_t)1) * sizeof *usage->orgs;
    index->orgs_memory = mem_alloc(orgs_bytes);
    index->tails = mem_alloc(((size_t)orgs_count + FOLLOWERS_COUNT) * sizeof *index->tails);
    if (index->orgs_memory == NULL || index->tails == NULL) {
        return err_memory(err, orgs_bytes);
    }
    uintptr_t aligned = ((uintptr_t)index->orgs_memory + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    usage->orgs = (struct usage_org *)aligned;
    size_t turns_count = ((size_t)orgs_count + ORGS_AT_ONCE - 1) / ORGS_AT_ONCE;
    return process_parallel(usage->jobs, turns_count, fill_orgs, usage, err);
}

void usage_orgs_destroy(struct usage *usage) {
    if (usage->org_index != NULL) {
        mem_free(usage->org_index->orgs_memory);
        mem_free(usage->org_index->tails);
        mem_free(usage->org_index);
    }
}

/* The first org whose hash is like this one: nearly always the right one. */
static uint32_t guess_rank(const struct org_index *index, uint64_t hash) {
    const uint64_t *slots = index->catalog.slots;
    size_t mask = index->catalog.mask;
    for (size_t place = hash & mask; slots[place] != 0; place = (place + 1) & mask) {
        if ((slots[place] ^ hash) >> 32 == 0) {
            return (uint32_t)slots[place] - 1;
        }
    }
    return CATALOG_NONE;
}

static inline bool is_of(const struct usage *usage, uint32_t rank, struct text org_id) {
    const struct usage_org *org = &usage->orgs[rank];
    return org->org_id_bytes > 0
               ? parse_is_same(org_id, (struct text){org->org_id, org->org_id_bytes})
               : text_equals(org_id, usage->catalog->orgs[rank].org_id);
}

static uint32_t settle_rank(const struct usage *usage, uint32_t guessed, struct text org_id) {
    return guessed < usage->catalog->orgs_count && is_of(usage, guessed, org_id)
               ? guessed
               : catalog_find_org(usage->catalog, org_id);
}

/* The org of a row that comes after one of `before`, which is mostly that or one soon after it. */
static uint32_t guess_follower(const struct usage *usage, uint32_t before, struct text org_id) {
    const struct org_index *index = usage->org_index;
    uint32_t tail = tail_of(org_id);
    unsigned alike = 0;
    for (unsigned follower = 0; follower < FOLLOWERS_COUNT; follower++) {
        alike |= (unsigned)(index->tails[before + follower] == tail) << follower;
    }
    return alike != 0 ? before + (uint32_t)__builtin_ctz(alike)
                      : guess_rank(index, XXH3_64bits(org_id.bytes, org_id.size_bytes));
}

static void find_in_order(struct usage_feed *feed, struct feed_line *lines, size_t count) {
    const struct usage *usage = feed->usage;
    uint32_t orgs_count = usage->catalog->orgs_count;
    uint32_t before = feed->rank_before < orgs_count ? feed->rank_before : 0;
    for (size_t row = 0; row < count; row++) {
        if (lines[row].is_as_before) {
            continue;
        }
        lines[row].rank = guess_follower(usage, before, lines[row].fields[0]);
        if (lines[row].rank < orgs_count) {
            before = lines[row].rank;
            __builtin_prefetch(&usage->orgs[before]);
        }
    }
    for (size_t row = 0; row < count; row++) {
        lines[row].rank = lines[row].is_as_before
                              ? lines[row - 1].rank
                              : settle_rank(usage, lines[row].rank, lines[row].fields[0]);
    }
}

static void find_without_order(struct usage_feed *feed, struct feed_line *lines, size_t count) {
    const struct usage *usage = feed->usage;
    uint32_t orgs_count = usage->catalog->orgs_count;
    for (size_t row = 0; row < count; row++) {
        struct text org_id = lines[row].fields[0];
        lines[row].hash = XXH3_64bits(org_id.bytes, org_id.size_bytes);
        const struct catalog_slots *catalog = &usage->org_index->catalog;
        __builtin_prefetch(&catalog->slots[lines[row].hash & catalog->mask]);
    }
    for (size_t row = 0; row < count; row++) {
        uint32_t rank = guess_rank(usage->org_index, lines[row].hash);
        lines[row].rank = rank;
        if (rank < orgs_count) {
            __builtin_prefetch(&usage->orgs[rank]);
        }
    }
    for (size_t row = 0; row < count; row++) {
        uint32_t rank = settle_rank(usage, lines[row].rank, lines[row].fields[0]);
        lines[row].rank = rank;
        if (rank < orgs_count) {
            /* Where its word will go, as a rule. */
            const struct spill_stream *stream =
                &feed->streams[STREAM_FLOWS_SHORT][usage->orgs[rank].bucket];
            if (stream->buffer != NULL) {
                __builtin_prefetch(stream->buffer + stream->used_bytes, 1);
            }
        }
    }
}

void feed_find_orgs(struct usage_feed *feed, struct feed_line *lines, size_t count) {
    assert(count > 0 && count <= FEED_LINES_MAX);
    if (feed->is_ordered) {
        find_in_order(feed, lines, count);
    } else {
        find_without_order(feed, lines, count);
    }
    size_t followers_count = 0;
    for (size_t row = 0; row < count; row++) {
        uint32_t rank = lines[row].rank;
        followers_count += rank - feed->rank_before < FOLLOWERS_COUNT;
        feed->rank_before = rank;
    }
    feed->is_ordered = 2 * followers_count > count;
}
