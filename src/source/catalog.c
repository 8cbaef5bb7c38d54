/*
 * Look-ups. The index of org ids is an open hash table of 8-byte slots: half of the hash, to tell
 * most strangers apart without touching their text, and the number of the org.
 */
#include "source/catalog.h"

#include <assert.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/memory.h"

const char *const org_status_names[ORG_STATUSES_COUNT] = {
    [ORG_ACTIVE] = "active",
    [ORG_SUSPENDED] = "suspended",
    [ORG_CANCELLED] = "cancelled",
};

const char *const org_disposition_names[ORG_DISPOSITIONS_COUNT] = {
    [ORG_RATED] = "rated",
    [ORG_SET_ASIDE] = "set_aside",
    [ORG_LISTED] = "listed",
};

const struct org_reason_row org_reason_table[ORG_REASONS_COUNT] = {
    [ORG_REASON_NONE] = {.name = "", .disposition = ORG_RATED},
    [ORG_REASON_NO_PLAN] = {.name = "no_plan", .disposition = ORG_SET_ASIDE},
    [ORG_REASON_TWO_PLANS] = {.name = "two_plans", .disposition = ORG_SET_ASIDE},
    [ORG_REASON_CURRENCY_MISMATCH] = {.name = "currency_mismatch", .disposition = ORG_SET_ASIDE},
    [ORG_REASON_PERIOD_GAP] = {.name = "period_gap", .disposition = ORG_SET_ASIDE},
    [ORG_REASON_PERIOD_OVERLAP] = {.name = "period_overlap", .disposition = ORG_SET_ASIDE},
    [ORG_REASON_KIND_MISMATCH] = {.name = "kind_mismatch", .disposition = ORG_SET_ASIDE},
    [ORG_REASON_NOT_SUBSCRIBED] = {.name = "not_subscribed", .disposition = ORG_LISTED},
    [ORG_REASON_PERIOD_OPEN] = {.name = "period_open", .disposition = ORG_LISTED},
};

/* A value added to an enum without its row above would leave a hole at the end of its table. */
_Static_assert(ORG_STATUSES_COUNT == 3, "a new status needs its name");
_Static_assert(ORG_DISPOSITIONS_COUNT == 3, "a new disposition needs its name");
_Static_assert(ORG_REASONS_COUNT == 9, "a new reason needs its row in org_reason_table");

/* --- ids ------------------------------------------------------------------------------------- */

static bool has_control_character(struct text text) {
    for (size_t index = 0; index < text.size_bytes; index++) {
        unsigned char byte = (unsigned char)text.bytes[index];
        bool is_second_set = byte == 0xC2 && index + 1 < text.size_bytes &&
                             (unsigned char)text.bytes[index + 1] < 0xA0; /* U+0080 to U+009F */
        if (byte < 0x20 || byte == 0x7F || is_second_set) {
            return true;
        }
    }
    return false;
}

const char *catalog_check_id(struct text text) {
    if (text.size_bytes == 0) {
        return "is empty";
    }
    if (text.size_bytes > CATALOG_ID_BYTES_MAX) {
        return "is over 255 bytes long";
    }
    return has_control_character(text) ? "holds a control character" : NULL;
}

const char *catalog_check_metric(struct text text) {
    if (text.size_bytes > CATALOG_METRIC_BYTES_MAX) {
        return "is over 128 bytes long";
    }
    return catalog_check_id(text);
}

/* --- orgs by id ------------------------------------------------------------------------------ */

struct catalog_index {
    const struct text *not_selected;
    size_t slots_count; /* a power of two, at least twice the orgs */
    uint64_t slots[];   /* upper half: of the hash; lower half: number of the org + 1; 0: empty */
};

static uint64_t slot_of(uint64_t hash, uint32_t number) {
    return (hash & UINT64_C(0xFFFFFFFF00000000)) | (number + 1);
}

static void index_put(struct catalog_index *index, uint64_t hash, uint32_t number) {
    size_t place = hash & (index->slots_count - 1);
    while (index->slots[place] != 0) {
        place = (place + 1) & (index->slots_count - 1);
    }
    index->slots[place] = slot_of(hash, number);
}

/* Each org's slot is somewhere else in memory: those of several are asked for ahead. */
static void index_add_orgs(struct catalog_index *index, const struct catalog *catalog) {
    enum { AHEAD = 32 };
    uint64_t hashes[AHEAD];
    for (uint32_t first = 0; first < catalog->orgs_count; first += AHEAD) {
        uint32_t left = catalog->orgs_count - first;
        uint32_t count = left < AHEAD ? left : AHEAD;
        for (uint32_t org = 0; org < count; org++) {
            struct text org_id = catalog->orgs[first + org].org_id;
            hashes[org] = XXH3_64bits(org_id.bytes, org_id.size_bytes);
            __builtin_prefetch(&index->slots[hashes[org] & (index->slots_count - 1)], 1);
        }
        for (uint32_t org = 0; org < count; org++) {
            index_put(index, hashes[org], first + org);
        }
    }
}

bool catalog_index_create(struct catalog *catalog, const struct text *not_selected,
                          size_t not_selected_count, struct err *err) {
    size_t count = catalog->orgs_count + not_selected_count;
    assert(count < CATALOG_NOT_SELECTED);
    size_t slots_count = 16;
    while (slots_count < 2 * count) {
        slots_count *= 2;
    }
    size_t size_bytes = sizeof(struct catalog_index) + slots_count * sizeof(uint64_t);
    struct catalog_index *index = mem_alloc(size_bytes);
    if (index == NULL) {
        return err_memory(err, size_bytes);
    }
    index->not_selected = not_selected;
    index->slots_count = slots_count;
    index_add_orgs(index, catalog);
    for (size_t other = 0; other < not_selected_count; other++) {
        struct text org_id = not_selected[other];
        index_put(index, XXH3_64bits(org_id.bytes, org_id.size_bytes),
                  catalog->orgs_count + (uint32_t)other);
    }
    catalog->index = index;
    return true;
}

void catalog_index_release(struct catalog *catalog) {
    mem_free(catalog->index);
    catalog->index = NULL;
}

struct catalog_slots catalog_index_slots(const struct catalog *catalog) {
    assert(catalog->index != NULL);
    return (struct catalog_slots){catalog->index->slots, catalog->index->slots_count - 1};
}

uint32_t catalog_find_org(const struct catalog *catalog, struct text org_id) {
    const struct catalog_index *index = catalog->index;
    assert(index != NULL);
    uint64_t hash = XXH3_64bits(org_id.bytes, org_id.size_bytes);
    size_t place = hash & (index->slots_count - 1);
    for (; index->slots[place] != 0; place = (place + 1) & (index->slots_count - 1)) {
        uint64_t slot = index->slots[place];
        if ((slot ^ hash) >> 32 != 0) {
            continue;
        }
        uint32_t number = (uint32_t)slot - 1;
        bool is_selected = number < catalog->orgs_count;
        struct text found = is_selected ? catalog->orgs[number].org_id
                                        : index->not_selected[number - catalog->orgs_count];
        if (text_equals(found, org_id)) {
            return is_selected ? number : CATALOG_NOT_SELECTED;
        }
    }
    return CATALOG_NONE;
}

/* --- prices and openings --------------------------------------------------------------------- */

const struct catalog_price *catalog_find_price(const struct catalog_org *org, struct text metric,
                                               uint32_t *slot) {
    if (org->plan == NULL) {
        return NULL;
    }
    uint32_t first = 0;
    uint32_t end = org->plan->prices_count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        int order = text_compare(org->plan->prices[middle].metric, metric);
        if (order == 0) {
            *slot = middle;
            return &org->plan->prices[middle];
        }
        if (order < 0) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return NULL;
}

const struct decimal *catalog_find_opening(const struct catalog *catalog, uint32_t org,
                                           struct text metric) {
    uint32_t first = 0;
    uint32_t end = catalog->openings_count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        const struct catalog_opening *opening = &catalog->openings[middle];
        int order = (opening->org > org) - (opening->org < org);
        if (order == 0) {
            order = text_compare(opening->metric, metric);
        }
        if (order == 0) {
            return &opening->closing_level;
        }
        if (order < 0) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return NULL;
}

/* --- who is active --------------------------------------------------------------------------- */

void catalog_mark_active(const struct catalog *catalog, uint32_t org) {
    assert(org < catalog->orgs_count);
    __atomic_store_n(&catalog->orgs[org].is_active, 1, __ATOMIC_RELAXED);
}

void catalog_settle(struct catalog *catalog) {
    for (uint32_t rank = 0; rank < catalog->orgs_count; rank++) {
        struct catalog_org *org = &catalog->orgs[rank];
        if (org->reason == ORG_REASON_NOT_SUBSCRIBED && org->is_active != 0) {
            org->reason = ORG_REASON_NO_PLAN;
            org->disposition = (uint8_t)org_reason_table[ORG_REASON_NO_PLAN].disposition;
        }
    }
}
