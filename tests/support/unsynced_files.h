/*
 * The half of power_cut that knows bytes: which files have some that were not synced, and what they
 * held at their last sync. Not thread-safe: power_cut holds its mutex.
 */
#ifndef PERIODCLOSE_TESTS_SUPPORT_UNSYNCED_FILES_H
#define PERIODCLOSE_TESTS_SUPPORT_UNSYNCED_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { UNSYNCED_FILES_MAX = 4096 };

/* Which file it is, whatever its names. */
struct identity {
    dev_t device;
    ino_t inode;
};

struct identity identity_of(const struct stat *status);
bool identity_equals(struct identity left, struct identity right);

struct unsynced_file {
    struct identity identity;
    int fd;               /* our own, for reading and writing */
    int64_t synced_bytes; /* its size at the last sync */
    char *image;          /* those bytes, once one of them is overwritten; else NULL */
    int64_t changed_from; /* what was written or cut off since */
    int64_t changed_until;
};

struct unsynced_files {
    struct unsynced_file rows[UNSYNCED_FILES_MAX];
    size_t count;
};

/* Notes that bytes [from, until) of the file behind fd are about to change; no file: nothing. */
void unsynced_files_note(struct unsynced_files *files, int fd, int64_t from, int64_t until);
void unsynced_files_forget(struct unsynced_files *files, struct identity identity); /* synced */
void unsynced_files_lose(const struct unsynced_files *files, bool is_torn);
void unsynced_files_release(struct unsynced_files *files);

/* The first size_bytes of a file, for free(); and back into one. */
char *file_image_read(int fd, int64_t size_bytes);
void file_image_write(int fd, const char *image, int64_t from, int64_t until);

/* For a simulator that cannot go on: says so and aborts. Its memory is not mem_alloc's. */
_Noreturn void support_give_up(const char *what);
void *support_allocate(size_t size_bytes);

#endif
