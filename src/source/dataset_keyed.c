/* Rows of the small files, sorted by key. */
#include <assert.h>

#include "dataset_internal.h"

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

bool keyed_add(struct sorter *sorter, const struct keyed *keyed, struct err *err) {
    assert(keyed->key.size_bytes <= UINT16_MAX);
    uint16_t key_bytes = (uint16_t)keyed->key.size_bytes;
    uint64_t prefix = keyed->rank;
    for (size_t index = 0; index < 4; index++) {
        unsigned char byte =
            index < key_bytes ? (unsigned char)keyed->key.bytes[index] : (unsigned char)0;
        prefix = prefix << 8 | byte;
    }
    size_t size_bytes =
        sizeof key_bytes + key_bytes + sizeof keyed->line + keyed->payload.size_bytes;
    unsigned char *at;
    if (!sorter_add_room(sorter, prefix, size_bytes, &at, err)) {
        return false;
    }
    memcpy(at, &key_bytes, sizeof key_bytes);
    at += sizeof key_bytes;
    memcpy(at, keyed->key.bytes, key_bytes);
    at += key_bytes;
    memcpy(at, &keyed->line, sizeof keyed->line);
    at += sizeof keyed->line;
    if (keyed->payload.size_bytes > 0) {
        memcpy(at, keyed->payload.bytes, keyed->payload.size_bytes);
    }
    return true;
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

bool keyed_merge_create(struct dataset *dataset, struct keyed_merge *merge, struct err *err) {
    size_t count = dataset_readers_count(dataset);
    size_t memory_bytes = count == 1 ? DATASET_SORTER_BYTES : DATASET_SORTERS_BYTES / count;
    *merge = (struct keyed_merge){.sorters_count = count, .taken = count};
    for (size_t index = 0; index < count; index++) {
        if (!sorter_create(dataset->spill, memory_bytes, keyed_compare, &merge->sorters[index],
                           err)) {
            return false;
        }
    }
    return true;
}

void keyed_merge_release(struct keyed_merge *merge) {
    for (size_t index = 0; index < merge->sorters_count; index++) {
        sorter_destroy(merge->sorters[index]);
    }
    *merge = (struct keyed_merge){.sorters_count = 0};
}

static bool is_front_less(const struct sorter_record *left, const struct sorter_record *right) {
    return left->prefix != right->prefix ? left->prefix < right->prefix
                                         : keyed_compare(left, right) < 0;
}

bool keyed_merge_next(struct keyed_merge *merge, struct keyed *keyed, bool *has_row,
                      struct err *err) {
    bool is_first = merge->taken == merge->sorters_count;
    for (size_t index = is_first ? 0 : merge->taken;
         index < (is_first ? merge->sorters_count : merge->taken + 1); index++) {
        if (!sorter_next(merge->sorters[index], &merge->fronts[index], err)) {
            return false;
        }
    }
    size_t least = 0;
    for (size_t index = 1; index < merge->sorters_count; index++) {
        const struct sorter_record *front = &merge->fronts[index];
        if (front->bytes != NULL &&
            (merge->fronts[least].bytes == NULL || is_front_less(front, &merge->fronts[least]))) {
            least = index;
        }
    }
    merge->taken = least;
    *has_row = merge->fronts[least].bytes != NULL;
    if (*has_row) {
        *keyed = keyed_decode(&merge->fronts[least]);
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
