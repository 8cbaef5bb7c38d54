/*
 * What the folder holds, for the manifest. A file's content digest is the SHA-256 over the
 * XXH3-128 hashes (canonical, big-endian) of its blocks of 1 MiB, the last one may be shorter, and
 * then its size as 8 bytes, least significant first. So a folder of many GB is told apart from
 * another at the speed of memory, by all threads, and one changed byte shows all the same. It is no
 * protection against somebody who builds collisions: those who can write the input need none.
 */
#include <assert.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/memory.h"
#include "dataset_internal.h"
#include "sys/process.h"

enum { BLOCK_BYTES = 1024 * 1024, BLOCKS_AT_ONCE = 16 };

bool dataset_is_usage_file(const char *name) {
    size_t size_bytes = strlen(name);
    return size_bytes >= strlen("usage.csv") && strncmp(name, "usage", strlen("usage")) == 0 &&
           strcmp(name + size_bytes - strlen(".csv"), ".csv") == 0 &&
           strcmp(name, dataset_files[DATASET_HISTORY].file) != 0;
}

static bool is_known_file(const char *name) {
    for (size_t file = 0; file < DATASET_FILES_COUNT; file++) {
        if (strcmp(name, dataset_files[file].file) == 0) {
            return true;
        }
    }
    return strcmp(name, "seats.csv") == 0 || dataset_is_usage_file(name);
}

struct hashing {
    const struct file *file;
    uint64_t size_bytes;
    XXH128_canonical_t *hashes;
};

static bool hash_blocks(void *context, size_t index, struct err *err) {
    const struct hashing *hashing = context;
    char *block = mem_alloc(BLOCK_BYTES);
    if (block == NULL) {
        return err_memory(err, BLOCK_BYTES);
    }
    bool is_done = interrupt_check(err);
    for (size_t part = 0; is_done && part < BLOCKS_AT_ONCE; part++) {
        size_t number = index * BLOCKS_AT_ONCE + part;
        uint64_t offset = (uint64_t)number * BLOCK_BYTES;
        if (offset >= hashing->size_bytes) {
            break;
        }
        uint64_t left = hashing->size_bytes - offset;
        size_t wanted = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
        size_t read_bytes;
        is_done = file_read_at(hashing->file, offset, block, wanted, &read_bytes, err);
        if (is_done && read_bytes < wanted) {
            is_done =
                err_set(err, ERR_INPUT, "'%.700s' was cut while it was read", hashing->file->path);
        }
        if (is_done) {
            XXH128_canonicalFromHash(&hashing->hashes[number], XXH3_128bits(block, wanted));
        }
    }
    mem_free(block);
    return is_done;
}

static bool digest_hashes(const struct hashing *hashing, size_t blocks_count, struct digest *digest,
                          struct err *err) {
    unsigned char size[8];
    for (size_t index = 0; index < sizeof size; index++) {
        size[index] = (unsigned char)(hashing->size_bytes >> (8 * index));
    }
    struct hasher *hasher = hasher_create(err);
    bool is_done =
        hasher != NULL &&
        hasher_add(hasher, hashing->hashes, blocks_count * sizeof *hashing->hashes, err) &&
        hasher_add(hasher, size, sizeof size, err) && hasher_finish(hasher, digest, err);
    hasher_destroy(hasher);
    return is_done;
}

static bool digest_file(const struct file *file, size_t jobs, struct dataset_file *result,
                        struct err *err) {
    bool is_regular;
    if (!file_is_regular(file, &is_regular, err) || !file_size(file, &result->size_bytes, err)) {
        return false;
    }
    if (!is_regular) {
        return err_set(err, ERR_INPUT, "cannot read '%.700s': it is not a file", file->path);
    }
    size_t blocks_count = (size_t)((result->size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES);
    struct hashing hashing = {.file = file, .size_bytes = result->size_bytes};
    hashing.hashes = mem_alloc(blocks_count * sizeof *hashing.hashes);
    if (hashing.hashes == NULL) {
        return err_memory(err, blocks_count * sizeof *hashing.hashes);
    }
    size_t parts_count = (blocks_count + BLOCKS_AT_ONCE - 1) / BLOCKS_AT_ONCE;
    bool is_done = process_parallel(jobs, parts_count, hash_blocks, &hashing, err) &&
                   digest_hashes(&hashing, blocks_count, &result->content, err);
    mem_free(hashing.hashes);
    return is_done;
}

bool dataset_fingerprint_file(const struct sys *sys, const char *folder, const char *name,
                              size_t jobs, struct dataset_file *fingerprint, struct err *err) {
    char path[FILE_PATH_MAX];
    struct file file;
    if (!path_format(path, err, "%s/%s", folder, name) || !file_open_read(sys, path, &file, err)) {
        return false;
    }
    (void)snprintf(fingerprint->name, sizeof fingerprint->name, "%s", name);
    bool is_done = digest_file(&file, jobs, fingerprint, err);
    file_abandon(&file);
    return is_done;
}

static bool take_file(const struct sys *sys, const char *folder, const char *name, size_t jobs,
                      struct vector *files, struct err *err) {
    struct dataset_file *added = vector_add(files, err);
    return added != NULL && dataset_fingerprint_file(sys, folder, name, jobs, added, err);
}

bool dataset_fingerprint(const struct sys *sys, const char *folder, size_t jobs,
                         struct dataset_file **files, size_t *files_count, struct err *err) {
    struct directory_listing listing = {0};
    struct vector found = {.item_bytes = sizeof(struct dataset_file)};
    *files = NULL;
    *files_count = 0;
    if (!dataset_check_folder(sys, folder, err) || !directory_list(sys, folder, &listing, err)) {
        return false;
    }
    bool is_done = true;
    for (size_t index = 0; is_done && index < listing.names_count; index++) {
        if (is_known_file(listing.names[index])) {
            is_done = take_file(sys, folder, listing.names[index], jobs, &found, err);
        }
    }
    directory_release(&listing);
    if (!is_done) {
        vector_release(&found);
        return false;
    }
    *files = found.items;
    *files_count = found.count;
    return true;
}
