/*
 * What a close left in a run directory, as lines: every folder, and every file with its digest, but
 * for lock and progress.json, which tell of times and processes.
 */
#ifndef PERIODCLOSE_TESTS_PROGRAM_DESCRIBE_RUN_H
#define PERIODCLOSE_TESTS_PROGRAM_DESCRIBE_RUN_H

#include <string.h>

#include "core/digest.h"
#include "sys/files.h"

static inline bool describe_file(const char *path, struct buffer *text, struct err *err) {
    struct mapping mapping;
    struct digest digest;
    char digest_text[DIGEST_TEXT_MAX];
    if (!file_map(sys_real(), path, &mapping, err)) {
        return false;
    }
    bool is_fine = digest_of(mapping.bytes, mapping.size_bytes, &digest, err);
    file_unmap(sys_real(), &mapping);
    if (!is_fine) {
        return false;
    }
    digest_format(&digest, digest_text);
    return buffer_append_format(text, err, "%s %s\n", digest_text, path);
}

static inline bool is_told_apart(const char *name) {
    return strcmp(name, "lock") != 0 && strcmp(name, "progress.json") != 0;
}

static inline bool describe_entry(const char *path, struct buffer *text, struct err *err) {
    enum path_kind kind;
    struct directory_listing listing;
    if (!path_kind(sys_real(), path, &kind, err)) {
        return false;
    }
    if (kind != PATH_DIRECTORY) {
        return describe_file(path, text, err);
    }
    if (!buffer_append_format(text, err, "folder %s\n", path) ||
        !directory_list(sys_real(), path, &listing, err)) {
        return false;
    }
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < listing.names_count; index++) {
        char inner[FILE_PATH_MAX];
        is_fine = path_format(inner, err, "%s/%s", path, listing.names[index]) &&
                  describe_file(inner, text, err);
    }
    directory_release(&listing);
    return is_fine;
}

/* Every folder, and every file with its digest: files in folders, no deeper. */
static inline bool describe_run(const char *path, struct buffer *text, struct err *err) {
    struct directory_listing listing;
    buffer_clear(text);
    if (!directory_list(sys_real(), path, &listing, err)) {
        return false;
    }
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < listing.names_count; index++) {
        char inner[FILE_PATH_MAX];
        is_fine = path_format(inner, err, "%s/%s", path, listing.names[index]) &&
                  (!is_told_apart(listing.names[index]) || describe_entry(inner, text, err));
    }
    directory_release(&listing);
    return is_fine;
}

#endif
