/*
 * Fingerprint: the content digest of one file, from its blocks in any order, by any threads.
 *
 *     fingerprint_init(&fingerprint, size_bytes, err)
 *     fingerprint_add(&fingerprint, block, bytes)                once for each block
 *     fingerprint_finish(&fingerprint, &digest, err)             when it is complete
 *     fingerprint_release(&fingerprint)
 *
 * It is the SHA-256 over the XXH3-128 hashes (canonical, big-endian) of the file's blocks of
 * FINGERPRINT_BLOCK_BYTES, the last one may be shorter, and then its size as 8 bytes, least
 * significant first. So a folder of many GB is told apart from another at the speed of memory, by
 * all threads, and one changed byte shows all the same. It is no protection against somebody who
 * builds collisions: those who can write the input need none. Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_FINGERPRINT_H
#define PERIODCLOSE_SOURCE_FINGERPRINT_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/digest.h"

enum { FINGERPRINT_BLOCK_BYTES = 256 * 1024, FINGERPRINT_HASH_BYTES = 16 };

struct fingerprint {
    unsigned char (*hashes)[FINGERPRINT_HASH_BYTES]; /* NULL: none is made */
    size_t blocks_count;
    uint64_t size_bytes;
    _Atomic size_t added_count;
};

bool fingerprint_init(struct fingerprint *fingerprint, uint64_t size_bytes, struct err *err);
void fingerprint_release(struct fingerprint *fingerprint); /* none is fine */

/* The block's length, the last one's too. */
size_t fingerprint_block_bytes(const struct fingerprint *fingerprint, size_t block);
void fingerprint_add(struct fingerprint *fingerprint, size_t block, const void *bytes);
bool fingerprint_is_complete(const struct fingerprint *fingerprint);
/* Complete (asserted). */
bool fingerprint_finish(const struct fingerprint *fingerprint, struct digest *digest,
                        struct err *err);

#endif
