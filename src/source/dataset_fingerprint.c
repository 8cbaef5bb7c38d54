/* What the folder holds, for the manifest: see fingerprint.h for how a file's digest is made. */
#include <stdio.h>

#include "core/memory.h"
#include "dataset_internal.h"
#include "fingerprint.h"
#include "sys/process.h"

enum { BLOCKS_AT_ONCE = 64 };

bool dataset_is_usage_file(const char *name) {
    size_t size_bytes = strlen(name);
    return size_bytes >= strlen("usage.csv") && strncmp(name, "usage", strlen("usage")) == 0 &&
           strcmp(name + size_bytes - strlen(".csv"), ".csv") == 0 &&
           strcmp(name, dataset_files[DATASET_HISTORY].file) != 0;
}

static bool is_large_file(const char *name) {
    return strcmp(name, "seats.csv") == 0 || dataset_is_usage_file(name);
}

static bool is_known_file(const char *name) {
    for (size_t file = 0; file < DATASET_FILES_COUNT; file++) {
        if (strcmp(name, dataset_files[file].file) == 0) {
            return true;
        }
    }
    return is_large_file(name);
}

struct hashing {
    const struct file *file;
    struct fingerprint fingerprint;
};

static bool hash_blocks(void *context, size_t index, struct err *err) {
    struct hashing *hashing = context;
    char *block = mem_alloc(FINGERPRINT_BLOCK_BYTES);
    if (block == NULL) {
        return err_memory(err, FINGERPRINT_BLOCK_BYTES);
    }
    bool is_done = interrupt_check(err);
    size_t number = index * BLOCKS_AT_ONCE;
    size_t until = number + BLOCKS_AT_ONCE;
    until = until < hashing->fingerprint.blocks_count ? until : hashing->fingerprint.blocks_count;
    for (; is_done && number < until; number++) {
        size_t wanted = fingerprint_block_bytes(&hashing->fingerprint, number);
        size_t read_bytes;
        is_done = file_read_at(hashing->file, (uint64_t)number * FINGERPRINT_BLOCK_BYTES, block,
                               wanted, &read_bytes, err);
        if (is_done && read_bytes < wanted) {
            is_done =
                err_set(err, ERR_INPUT, "'%.700s' was cut while it was read", hashing->file->path);
        }
        if (is_done) {
            fingerprint_add(&hashing->fingerprint, number, block);
        }
    }
    mem_free(block);
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
    struct hashing hashing = {.file = file};
    if (!fingerprint_init(&hashing.fingerprint, result->size_bytes, err)) {
        return false;
    }
    size_t parts_count = (hashing.fingerprint.blocks_count + BLOCKS_AT_ONCE - 1) / BLOCKS_AT_ONCE;
    bool is_done = process_parallel(jobs, parts_count, hash_blocks, &hashing, err) &&
                   fingerprint_finish(&hashing.fingerprint, &result->content, err);
    result->has_content = is_done;
    fingerprint_release(&hashing.fingerprint);
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

static bool take_file(const struct sys *sys, const char *folder, const char *name,
                      const struct dataset_fingerprint_options *options, struct vector *files,
                      struct err *err) {
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    if (!path_format(path, err, "%s/%s", folder, name) ||
        !path_kind_of_input(sys, path, &kind, err)) {
        return false;
    }
    if (kind == PATH_MISSING) { /* and yet it is listed */
        return err_set(err, ERR_INPUT,
                       "cannot read '%.700s': it is a link to a file that is not there", path);
    }
    struct dataset_file *added = vector_add(files, err);
    if (added == NULL) {
        return false;
    }
    (void)snprintf(added->name, sizeof added->name, "%s", name);
    return (options->is_without_large && is_large_file(name)) ||
           dataset_fingerprint_file(sys, folder, name, options->jobs, added, err);
}

bool dataset_fingerprint(const struct sys *sys, const char *folder,
                         const struct dataset_fingerprint_options *options,
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
            is_done = take_file(sys, folder, listing.names[index], options, &found, err);
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

void dataset_file_format(const struct dataset_file *file, char text[DATASET_FILE_TEXT_MAX]) {
    char digest[DIGEST_TEXT_MAX];
    digest_format(&file->content, digest);
    (void)snprintf(text, DATASET_FILE_TEXT_MAX, "%llu bytes, %s",
                   (unsigned long long)file->size_bytes, digest);
}
