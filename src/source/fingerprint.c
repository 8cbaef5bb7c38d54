#include "fingerprint.h"

#include <assert.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/memory.h"

_Static_assert(sizeof(XXH128_canonical_t) == FINGERPRINT_HASH_BYTES, "a hash of 128 bits");

bool fingerprint_init(struct fingerprint *fingerprint, uint64_t size_bytes, struct err *err) {
    size_t blocks_count =
        (size_t)((size_bytes + FINGERPRINT_BLOCK_BYTES - 1) / FINGERPRINT_BLOCK_BYTES);
    size_t hashes_bytes = (blocks_count + 1) * sizeof *fingerprint->hashes;
    fingerprint->hashes = mem_alloc(hashes_bytes);
    fingerprint->blocks_count = blocks_count;
    fingerprint->size_bytes = size_bytes;
    atomic_init(&fingerprint->added_count, 0);
    return fingerprint->hashes != NULL || err_memory(err, hashes_bytes);
}

void fingerprint_release(struct fingerprint *fingerprint) {
    mem_free(fingerprint->hashes);
    fingerprint->hashes = NULL;
}

size_t fingerprint_block_bytes(const struct fingerprint *fingerprint, size_t block) {
    assert(block < fingerprint->blocks_count);
    uint64_t left = fingerprint->size_bytes - (uint64_t)block * FINGERPRINT_BLOCK_BYTES;
    return left < FINGERPRINT_BLOCK_BYTES ? (size_t)left : FINGERPRINT_BLOCK_BYTES;
}

void fingerprint_add(struct fingerprint *fingerprint, size_t block, const void *bytes) {
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash,
                             XXH3_128bits(bytes, fingerprint_block_bytes(fingerprint, block)));
    memcpy(fingerprint->hashes[block], &hash, sizeof hash);
    atomic_fetch_add(&fingerprint->added_count, 1);
}

bool fingerprint_is_complete(const struct fingerprint *fingerprint) {
    return fingerprint->hashes != NULL && fingerprint->added_count == fingerprint->blocks_count;
}

bool fingerprint_finish(const struct fingerprint *fingerprint, struct digest *digest,
                        struct err *err) {
    assert(fingerprint_is_complete(fingerprint));
    unsigned char size[8];
    for (size_t index = 0; index < sizeof size; index++) {
        size[index] = (unsigned char)(fingerprint->size_bytes >> (8 * index));
    }
    struct hasher *hasher = hasher_create(err);
    bool is_done = hasher != NULL &&
                   hasher_add(hasher, fingerprint->hashes,
                              fingerprint->blocks_count * sizeof *fingerprint->hashes, err) &&
                   hasher_add(hasher, size, sizeof size, err) && hasher_finish(hasher, digest, err);
    hasher_destroy(hasher);
    return is_done;
}
