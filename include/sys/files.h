/*
 * Files, with errors as values. Codes: ERR_FILE (with path and the OS's reason), ERR_MEMORY.
 * Reads and writes go on after EINTR and short counts.
 *
 * file_replace is the one way a file that matters comes into being (DESIGN.md 6):
 *
 *     struct file_replacement replacement;
 *     file_replace_begin(sys, path, &replacement, err)      creates PATH.tmp
 *     file_append(&replacement.file, bytes, size, err) …    as often as needed
 *     file_replace_commit(&replacement, err)                fsync, close, rename, fsync of folder
 *     file_replace_abort(&replacement)                      instead, or after a failure
 *
 * After commit or abort the replacement is empty; aborting an empty one does nothing, so it can
 * stand in every out: path. A death at any point leaves the old file or the new one, whole, and at
 * most a PATH.tmp, which the next file_replace_begin of the same path overwrites.
 *
 * Of many files in one folder the commit can be taken apart, so that the folder is flushed once:
 *
 *     file_replace_leave(&replacement, err)       fsync, close: PATH.tmp is whole and durable
 *     file_replace_adopt(sys, path, err)          rename
 *     directory_sync(sys, folder, err)            for all that were adopted
 */
#ifndef PERIODCLOSE_SYS_FILES_H
#define PERIODCLOSE_SYS_FILES_H

#include "core/err.h"
#include "core/text.h"
#include "sys/sys.h"

enum { FILE_PATH_MAX = 4096 };

struct file {
    const struct sys *sys;
    int fd; /* -1: closed */
    char path[FILE_PATH_MAX];
};

#define FILE_CLOSED ((struct file){.fd = -1})

/* Formats a path; too long is ERR_FILE. */
bool path_format(char path[FILE_PATH_MAX], struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A FIFO opens without waiting for its writer: ask file_is_regular before reading input. */
bool file_open_read(const struct sys *sys, const char *path, struct file *file, struct err *err);
bool file_create(const struct sys *sys, const char *path, struct file *file,
                 struct err *err); /* read and write, truncated, mode 0644 */
/*
 * Read and write, created when missing, its content kept: for a lock file, and for a journal. Write
 * with file_write_at; cut a torn end off with file_truncate.
 */
bool file_open_update(const struct sys *sys, const char *path, struct file *file, struct err *err);
bool file_close(struct file *file, struct err *err); /* ERR_FILE when the OS reports a loss */
void file_abandon(struct file *file);                /* closes without a word; closed is fine */

bool file_size(const struct file *file, uint64_t *size_bytes, struct err *err);
bool file_is_regular(const struct file *file, bool *is_regular, struct err *err);
/* Up to size_bytes from the current position; *read_bytes == 0 is the end. */
bool file_read(struct file *file, void *bytes, size_t size_bytes, size_t *read_bytes,
               struct err *err);
/* Up to size_bytes from offset; fewer only at the end of the file. */
bool file_read_at(const struct file *file, uint64_t offset, void *bytes, size_t size_bytes,
                  size_t *read_bytes, struct err *err);
bool file_append(struct file *file, const void *bytes, size_t size_bytes, struct err *err);
bool file_write_at(struct file *file, uint64_t offset, const void *bytes, size_t size_bytes,
                   struct err *err);
bool file_truncate(struct file *file, uint64_t size_bytes, struct err *err);
bool file_sync(struct file *file, struct err *err);
/* Asks the OS to begin writing that part out now, so that a later sync is short. Best effort. */
void file_start_writeback(struct file *file, uint64_t offset, uint64_t size_bytes);

struct file_replacement {
    struct file file; /* the temporary, open for appending */
    char path[FILE_PATH_MAX];
};

#define FILE_REPLACEMENT_NONE ((struct file_replacement){.file = {.fd = -1}})

bool file_replace_begin(const struct sys *sys, const char *path,
                        struct file_replacement *replacement, struct err *err);
bool file_replace_commit(struct file_replacement *replacement, struct err *err);
void file_replace_abort(struct file_replacement *replacement);
/* Leaves the replacement empty, like a commit; after a failure there is no PATH.tmp. */
bool file_replace_leave(struct file_replacement *replacement, struct err *err);
bool file_replace_adopt(const struct sys *sys, const char *path, struct err *err);
/* PATH.tmp: where it is until it is adopted. */
bool file_replace_path(const char *path, char temporary[FILE_PATH_MAX], struct err *err);
/* begin, append, commit in one. */
bool file_replace(const struct sys *sys, const char *path, struct text content, struct err *err);

/* Whole small regular file into buffer (cleared first); larger than bytes_max is ERR_DAMAGED. */
bool file_load(const struct sys *sys, const char *path, size_t bytes_max, struct buffer *buffer,
               struct err *err);

/* The same of standard input, up to its end. */
bool file_load_stdin(const struct sys *sys, size_t bytes_max, struct buffer *buffer,
                     struct err *err);

/* A read-only mapping; an empty file maps to NULL with size 0. */
struct mapping {
    const unsigned char *bytes;
    size_t size_bytes;
};

bool file_map(const struct sys *sys, const char *path, struct mapping *mapping, struct err *err);
void file_unmap(const struct sys *sys, struct mapping *mapping);

/*
 * Memory for what is too much to be held in anonymous memory, all zero: a file that has no name any
 * more once it is mapped, so that the OS may write it out, and nothing is left of it.
 */
struct scratch_memory {
    void *bytes;
    size_t size_bytes;
};

/* At path, for an instant, is the file; what is there already is overwritten. size_bytes > 0. */
bool scratch_memory_open(const struct sys *sys, const char *path, size_t size_bytes,
                         struct scratch_memory *memory, struct err *err);
void scratch_memory_close(const struct sys *sys, struct scratch_memory *memory); /* closed: fine */

enum path_kind { PATH_MISSING, PATH_FILE, PATH_DIRECTORY, PATH_OTHER };

/* Without links and dots: the same for everybody. The path must be there. */
bool path_absolute(const char *path, char absolute[FILE_PATH_MAX], struct err *err);
/* From the root, by the names it was given: a link may lead elsewhere later. */
bool path_from_root(const char *path, char full[FILE_PATH_MAX], struct err *err);
/* As it is typed where we are: from here, when it lies below. A pointer into the path. */
const char *path_from_here(const char *full);
bool path_kind(const struct sys *sys, const char *path, enum path_kind *kind, struct err *err);
/* The same of what a user named to be read: links that lead round in a circle are bad input. */
bool path_kind_of_input(const struct sys *sys, const char *path, enum path_kind *kind,
                        struct err *err);
/*
 * Existing: fine. The folder that holds a new one is flushed, so that what is made durable in the
 * new one can be found again.
 */
bool directory_create(const struct sys *sys, const char *path, struct err *err);
bool directory_create_all(const struct sys *sys, const char *path, struct err *err);
bool directory_sync(const struct sys *sys, const char *path, struct err *err);
/* Flushes the folder that holds path: makes a path_rename or path_remove durable. */
bool directory_sync_parent(const struct sys *sys, const char *path, struct err *err);
/* Names sorted by bytes; release with directory_release. */
struct directory_listing {
    char **names;
    size_t names_count;
};
bool directory_list(const struct sys *sys, const char *path, struct directory_listing *listing,
                    struct err *err);
void directory_release(struct directory_listing *listing);
/* A file, a link or an empty folder; missing is fine. */
bool path_remove(const struct sys *sys, const char *path, struct err *err);
/* A folder and all in it, at most 32 deep; links are removed, not followed; missing is fine. */
bool path_remove_tree(const struct sys *sys, const char *path, struct err *err);
bool path_rename(const struct sys *sys, const char *from, const char *to, struct err *err);
/*
 * Makes to another name of the file from (which must be durable already), or a copy of it where
 * they cannot share one. What to named before is replaced whole; durable on return, like
 * file_replace.
 */
bool path_link_or_copy(const struct sys *sys, const char *from, const char *to, struct err *err);
/* The same for one of many in a folder: durable when directory_sync of it has succeeded. */
bool path_share(const struct sys *sys, const char *from, const char *to, struct err *err);

/* Takes the lock of an open file; *taken false when another open file holds it. */
bool file_lock(struct file *file, bool *taken, struct err *err);
/* Does another open file hold it? Takes nothing; the file may be open for reading alone. */
bool file_is_locked(const struct file *file, bool *is_locked, struct err *err);

#endif
