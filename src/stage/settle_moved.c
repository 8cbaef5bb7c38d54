/*
 * Items that stand with a customer that their org does not have any more, and whose records do not
 * say that they were sent: nobody who asks customer by customer sees them. So where there are such
 * records, everything of the period is listed once; what stands with the org's own customer is not
 * kept, so that little is. Of many records a part at a time is looked for, and everything is listed
 * for each part: that is little beside asking customer by customer, and memory does not grow.
 */
#include <stdlib.h>

#include "core/memory.h"
#include "emit_run.h"
#include "settle.h"

struct expected {
    struct emit_key key;
    uint64_t customer_hash;
};

struct found {
    struct emit_key key;
    json_t *object; /* owned: id, amount, currency */
};

struct settle_moved {
    struct settle_listing listing;
    struct expected *expected; /* of the part at hand */
    size_t expected_max;
    size_t expected_count;
    size_t expected_capacity;
    struct found *found;
    size_t found_count;
    size_t found_capacity;
};

struct settle_moved *settle_moved_create(const struct settle_listing *listing, size_t records_max,
                                         struct err *err) {
    struct settle_moved *moved = mem_alloc(sizeof *moved);
    if (moved == NULL) {
        (void)err_memory(err, sizeof *moved);
        return NULL;
    }
    *moved = (struct settle_moved){.listing = *listing, .expected_max = records_max};
    return moved;
}

void settle_moved_destroy(struct settle_moved *moved) {
    if (moved == NULL) {
        return;
    }
    for (size_t index = 0; index < moved->found_count; index++) {
        json_decref(moved->found[index].object);
    }
    mem_free(moved->found);
    mem_free(moved->expected);
    mem_free(moved);
}

/* Room for one more; NULL and ERR_MEMORY. */
static void *grow(void *rows, size_t row_bytes, size_t count, size_t *capacity, struct err *err) {
    if (count < *capacity) {
        return rows;
    }
    size_t more = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = mem_realloc(rows, more * row_bytes);
    if (grown == NULL) {
        (void)err_memory(err, more * row_bytes);
        return NULL;
    }
    *capacity = more;
    return grown;
}

/* Both rows begin with their key. */
static int compare_keys(const void *left, const void *right) {
    return memcmp(left, right, sizeof(struct emit_key));
}

static bool take(void *context, const struct journal_answer *answer, struct err *err) {
    struct settle_moved *moved = context;
    const struct expected *expected =
        moved->expected_count > 0 ? bsearch(&answer->key, moved->expected, moved->expected_count,
                                            sizeof *moved->expected, compare_keys)
                                  : NULL;
    if (expected == NULL || expected->customer_hash == emit_customer_hash(answer->customer)) {
        return true;
    }
    struct found *rows =
        grow(moved->found, sizeof *rows, moved->found_count, &moved->found_capacity, err);
    if (rows == NULL) {
        return false;
    }
    moved->found = rows;
    json_t *object = json_pack("{s:s%, s:I, s:s%}", "id", answer->object_id.bytes,
                               answer->object_id.size_bytes, "amount", (json_int_t)answer->amount,
                               "currency", answer->currency.bytes, answer->currency.size_bytes);
    if (object == NULL) {
        return err_memory(err, sizeof *rows);
    }
    rows[moved->found_count++] = (struct found){.key = answer->key, .object = object};
    return true;
}

static bool ask(struct settle_moved *moved, struct err *err) {
    qsort(moved->expected, moved->expected_count, sizeof *moved->expected, compare_keys);
    bool is_fine = moved->listing.list(moved->listing.context, take, moved, err);
    moved->expected_count = 0;
    return is_fine;
}

static bool expect(struct settle_moved *moved, const struct emit_group *group,
                   const struct emit_work *work, struct err *err) {
    if (work->recorded_id != NULL || work->was_held || work->held_reason != NULL) {
        return true;
    }
    if (moved->expected_count == moved->expected_max && !ask(moved, err)) {
        return false;
    }
    struct expected *rows =
        grow(moved->expected, sizeof *rows, moved->expected_count, &moved->expected_capacity, err);
    if (rows == NULL) {
        return false;
    }
    moved->expected = rows;
    rows[moved->expected_count++] = (struct expected){
        .key = work->item.key, .customer_hash = emit_customer_hash(group->customer)};
    return true;
}

bool settle_moved_expect(struct settle_moved *moved, const struct emit_group *group,
                         struct err *err) {
    for (size_t index = 0; index < group->works_count; index++) {
        if (!expect(moved, group, &group->works[index], err)) {
            return false;
        }
    }
    return true;
}

bool settle_moved_end(struct settle_moved *moved, struct err *err) {
    if (moved->expected_count > 0 && !ask(moved, err)) {
        return false;
    }
    if (moved->found_count > 0) {
        qsort(moved->found, moved->found_count, sizeof *moved->found, compare_keys);
    }
    return true;
}

const json_t *settle_moved_find(void *context, const struct emit_key *key) {
    const struct settle_moved *moved = context;
    const struct found *found =
        moved->found_count > 0
            ? bsearch(key, moved->found, moved->found_count, sizeof *moved->found, compare_keys)
            : NULL;
    return found != NULL ? found->object : NULL;
}
