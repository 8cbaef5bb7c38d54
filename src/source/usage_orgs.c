/*
 * Which orgs the rows are of, for a batch of rows.
 *
 * In an ordered file a row is nearly always of the org of the row before or of the one after that.
 * In one without order, each org is somewhere else in memory, three steps away (index, org, text of
 * its id), and waiting for memory is most of the work. So the batch takes each step for all of its
 * rows before the next one, and asks for what that will need ahead.
 */
#include <assert.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/memory.h"
#include "usage_state.h"

/* Open addressing: upper half of the hash, then rank + 1; 0 is empty. */
struct org_index {
    size_t mask;
    uint64_t slots[];
};

bool org_index_create(const struct catalog *catalog, struct org_index **index, struct err *err) {
    size_t slots_count = 16;
    while (slots_count < 2 * (size_t)catalog->orgs_count) {
        slots_count *= 2;
    }
    size_t size_bytes = sizeof **index + slots_count * sizeof(uint64_t);
    struct org_index *created = mem_alloc(size_bytes);
    if (created == NULL) {
        return err_memory(err, size_bytes);
    }
    created->mask = slots_count - 1;
    for (uint32_t rank = 0; rank < catalog->orgs_count; rank++) {
        struct text org_id = catalog->orgs[rank].org_id;
        uint64_t hash = XXH3_64bits(org_id.bytes, org_id.size_bytes);
        size_t place = hash & created->mask;
        while (created->slots[place] != 0) {
            place = (place + 1) & created->mask;
        }
        created->slots[place] = (hash & UINT64_C(0xFFFFFFFF00000000)) | (rank + UINT64_C(1));
    }
    *index = created;
    return true;
}

/* The first org whose hash is like this one: nearly always the right one. */
static uint32_t guess_rank(const struct org_index *index, uint64_t hash) {
    size_t place = hash & index->mask;
    for (; index->slots[place] != 0; place = (place + 1) & index->mask) {
        if ((index->slots[place] ^ hash) >> 32 == 0) {
            return (uint32_t)index->slots[place] - 1;
        }
    }
    return CATALOG_NONE;
}

/* Rows of the org before, and of the one after it; the others are left to be found. */
static size_t find_followers(struct usage_feed *feed, struct feed_line *lines, size_t count,
                             struct feed_line **pending) {
    const struct catalog *catalog = feed->usage->catalog;
    const struct org_index *index = feed->usage->org_index;
    uint32_t rank = feed->rank_before;
    size_t pending_count = 0;
    for (size_t row = 0; row < count; row++) {
        struct text org_id = lines[row].fields[0];
        if (lines[row].is_as_before) {
            lines[row].rank = lines[row - 1].rank;
            continue;
        }
        if (rank < catalog->orgs_count && parse_is_same(org_id, catalog->orgs[rank].org_id)) {
            lines[row].rank = rank;
        } else if (rank + 1 < catalog->orgs_count &&
                   parse_is_same(org_id, catalog->orgs[rank + 1].org_id)) {
            lines[row].rank = ++rank;
        } else {
            lines[row].hash = XXH3_64bits(org_id.bytes, org_id.size_bytes);
            __builtin_prefetch(&index->slots[lines[row].hash & index->mask]);
            pending[pending_count++] = &lines[row];
        }
    }
    return pending_count;
}

void feed_find_orgs(struct usage_feed *feed, struct feed_line *lines, size_t count) {
    assert(count > 0 && count <= FEED_LINES_MAX);
    const struct catalog *catalog = feed->usage->catalog;
    struct feed_line *pending[FEED_LINES_MAX];
    size_t pending_count = find_followers(feed, lines, count, pending);
    if (pending_count > 0) {
        for (size_t row = 0; row < pending_count; row++) {
            uint32_t rank = guess_rank(feed->usage->org_index, pending[row]->hash);
            pending[row]->rank = rank;
            if (rank < catalog->orgs_count) {
                __builtin_prefetch(&catalog->orgs[rank]);
                __builtin_prefetch((const char *)(&catalog->orgs[rank] + 1) - 1);
                __builtin_prefetch(&feed->usage->places[rank]);
            }
        }
        for (size_t row = 0; row < pending_count; row++) {
            if (pending[row]->rank < catalog->orgs_count) {
                __builtin_prefetch(catalog->orgs[pending[row]->rank].org_id.bytes);
            }
        }
        for (size_t row = 0; row < pending_count; row++) {
            struct text org_id = pending[row]->fields[0];
            uint32_t rank = pending[row]->rank;
            if (rank >= catalog->orgs_count || !parse_is_same(org_id, catalog->orgs[rank].org_id)) {
                pending[row]->rank = catalog_find_org(catalog, org_id);
            }
        }
        for (size_t row = 1; row < count; row++) {
            if (lines[row].is_as_before) {
                lines[row].rank = lines[row - 1].rank;
            }
        }
    }
    feed->rank_before = lines[count - 1].rank;
}
