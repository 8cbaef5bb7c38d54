/*
 * Open files: reading, writing, replacing, mapping, locking. Paths and folders are in paths.c.
 *
 * What a replacement keeps, and where:
 *   1. PATH is never written to; only a rename puts content there.   file_replace_commit, _adopt
 *   2. The rename comes after the fsync of the content.              file_replace_commit, _leave
 *   3. A success is reported after the fsync of the folder.          file_replace_commit
 *   4. PATH.tmp is always a new file, never an old one truncated: an old one may be a hard link to
 *      a file that matters (path_link_or_copy died between its two steps).    file_replace_begin
 */
#include "sys/files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "failure.h"

static const mode_t FILE_MODE = 0644;

static bool file_open(const struct sys *sys, const char *path, int flags, struct file *file,
                      struct err *err) {
    *file = FILE_CLOSED;
    char kept[FILE_PATH_MAX];
    if (!path_format(kept, err, "%s", path)) {
        return false;
    }
    int fd;
    do {
        fd = sys->open(sys->self, path, flags | O_CLOEXEC, FILE_MODE);
    } while (fd == -EINTR);
    if (fd < 0) {
        return sys_failure(err, (flags & O_CREAT) != 0 ? "create" : "open", path, fd);
    }
    file->sys = sys;
    file->fd = fd;
    memcpy(file->path, kept, sizeof kept);
    return true;
}

bool file_open_read(const struct sys *sys, const char *path, struct file *file, struct err *err) {
    /* O_NONBLOCK means nothing to a regular file; on a FIFO it keeps open from waiting for ever. */
    return file_open(sys, path, O_RDONLY | O_NONBLOCK, file, err);
}

bool file_create(const struct sys *sys, const char *path, struct file *file, struct err *err) {
    return file_open(sys, path, O_RDWR | O_CREAT | O_TRUNC, file, err);
}

bool file_open_update(const struct sys *sys, const char *path, struct file *file, struct err *err) {
    return file_open(sys, path, O_RDWR | O_CREAT | O_NONBLOCK, file, err);
}

bool file_close(struct file *file, struct err *err) {
    assert(file->fd >= 0);
    int fd = file->fd;
    file->fd = -1;
    int result = file->sys->close(file->sys->self, fd);
    /* Linux has let go of the descriptor even then: closing again could close a stranger's. */
    if (result < 0 && result != -EINTR) {
        return sys_failure(err, "close", file->path, result);
    }
    return true;
}

void file_abandon(struct file *file) {
    if (file->fd >= 0) {
        (void)file->sys->close(file->sys->self, file->fd);
        file->fd = -1;
    }
}

static bool file_status(const struct file *file, struct stat *status, struct err *err) {
    assert(file->fd >= 0);
    int result;
    do {
        result = file->sys->fstat(file->sys->self, file->fd, status);
    } while (result == -EINTR);
    if (result < 0) {
        return sys_failure(err, "look at", file->path, result);
    }
    return true;
}

bool file_size(const struct file *file, uint64_t *size_bytes, struct err *err) {
    struct stat status;
    if (!file_status(file, &status, err)) {
        return false;
    }
    *size_bytes = status.st_size > 0 ? (uint64_t)status.st_size : 0;
    return true;
}

bool file_is_regular(const struct file *file, bool *is_regular, struct err *err) {
    struct stat status;
    if (!file_status(file, &status, err)) {
        return false;
    }
    *is_regular = S_ISREG(status.st_mode);
    return true;
}

bool file_read(struct file *file, void *bytes, size_t size_bytes, size_t *read_bytes,
               struct err *err) {
    assert(file->fd >= 0);
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t result = file->sys->read(file->sys->self, file->fd, (unsigned char *)bytes + done,
                                         size_bytes - done);
        if (result == -EINTR) {
            continue;
        }
        if (result < 0) {
            return sys_failure(err, "read", file->path, (int)result);
        }
        if (result == 0) {
            break;
        }
        done += (size_t)result;
    }
    *read_bytes = done;
    return true;
}

/* An offset the OS can express, for size_bytes from there on. */
static bool check_offset(const struct file *file, const char *action, uint64_t offset,
                         size_t size_bytes, struct err *err) {
    if (offset > INT64_MAX || size_bytes > (uint64_t)INT64_MAX - offset) {
        return sys_failure(err, action, file->path, EFBIG);
    }
    return true;
}

bool file_read_at(const struct file *file, uint64_t offset, void *bytes, size_t size_bytes,
                  size_t *read_bytes, struct err *err) {
    assert(file->fd >= 0);
    if (!check_offset(file, "read", offset, size_bytes, err)) {
        return false;
    }
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t result = file->sys->pread(file->sys->self, file->fd, (unsigned char *)bytes + done,
                                          size_bytes - done, (int64_t)(offset + done));
        if (result == -EINTR) {
            continue;
        }
        if (result < 0) {
            return sys_failure(err, "read", file->path, (int)result);
        }
        if (result == 0) {
            break;
        }
        done += (size_t)result;
    }
    *read_bytes = done;
    return true;
}

bool file_append(struct file *file, const void *bytes, size_t size_bytes, struct err *err) {
    assert(file->fd >= 0);
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t result = file->sys->write(file->sys->self, file->fd,
                                          (const unsigned char *)bytes + done, size_bytes - done);
        if (result == -EINTR) {
            continue;
        }
        if (result <= 0) {
            /* Nothing written and no reason given: going on could go on for ever. */
            return sys_failure(err, "write", file->path, result == 0 ? EIO : (int)result);
        }
        done += (size_t)result;
    }
    return true;
}

bool file_write_at(struct file *file, uint64_t offset, const void *bytes, size_t size_bytes,
                   struct err *err) {
    assert(file->fd >= 0);
    if (!check_offset(file, "write", offset, size_bytes, err)) {
        return false;
    }
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t result =
            file->sys->pwrite(file->sys->self, file->fd, (const unsigned char *)bytes + done,
                              size_bytes - done, (int64_t)(offset + done));
        if (result == -EINTR) {
            continue;
        }
        if (result <= 0) {
            return sys_failure(err, "write", file->path, result == 0 ? EIO : (int)result);
        }
        done += (size_t)result;
    }
    return true;
}

bool file_truncate(struct file *file, uint64_t size_bytes, struct err *err) {
    assert(file->fd >= 0);
    if (!check_offset(file, "truncate", size_bytes, 0, err)) {
        return false;
    }
    int result;
    do {
        result = file->sys->ftruncate(file->sys->self, file->fd, (int64_t)size_bytes);
    } while (result == -EINTR);
    if (result < 0) {
        return sys_failure(err, "truncate", file->path, result);
    }
    return true;
}

bool file_sync(struct file *file, struct err *err) {
    assert(file->fd >= 0);
    int result;
    do {
        result = file->sys->fsync(file->sys->self, file->fd);
    } while (result == -EINTR);
    if (result < 0) {
        return sys_failure(err, "flush", file->path, result);
    }
    return true;
}

void file_start_writeback(struct file *file, uint64_t offset, uint64_t size_bytes) {
    assert(file->fd >= 0);
    if (offset <= INT64_MAX && size_bytes <= INT64_MAX) {
        (void)file->sys->start_writeback(file->sys->self, file->fd, (int64_t)offset,
                                         (int64_t)size_bytes);
    }
}

/* --- replacing ------------------------------------------------------------------------------ */

bool file_replace_path(const char *path, char temporary[FILE_PATH_MAX], struct err *err) {
    return path_format(temporary, err, "%s.tmp", path);
}

bool file_replace_begin(const struct sys *sys, const char *path,
                        struct file_replacement *replacement, struct err *err) {
    *replacement = FILE_REPLACEMENT_NONE;
    char temporary[FILE_PATH_MAX];
    if (!path_format(replacement->path, err, "%s", path) ||
        !file_replace_path(path, temporary, err) || !path_remove(sys, temporary, err)) {
        return false;
    }
    return file_open(sys, temporary, O_RDWR | O_CREAT | O_EXCL, &replacement->file, err);
}

/* Removes the temporary and forgets the replacement. */
static void replacement_drop(struct file_replacement *replacement) {
    const struct sys *sys = replacement->file.sys;
    file_abandon(&replacement->file);
    int result;
    do {
        result = sys->unlink(sys->self, replacement->file.path);
    } while (result == -EINTR);
    *replacement = FILE_REPLACEMENT_NONE;
}

bool file_replace_commit(struct file_replacement *replacement, struct err *err) {
    assert(replacement->file.fd >= 0);
    const struct sys *sys = replacement->file.sys;
    if (!file_sync(&replacement->file, err) || !file_close(&replacement->file, err) ||
        !path_rename(sys, replacement->file.path, replacement->path, err)) {
        replacement_drop(replacement);
        return false;
    }
    bool is_synced = directory_sync_parent(sys, replacement->path, err);
    *replacement = FILE_REPLACEMENT_NONE;
    return is_synced;
}

bool file_replace_leave(struct file_replacement *replacement, struct err *err) {
    assert(replacement->file.fd >= 0);
    if (!file_sync(&replacement->file, err) || !file_close(&replacement->file, err)) {
        replacement_drop(replacement);
        return false;
    }
    *replacement = FILE_REPLACEMENT_NONE;
    return true;
}

bool file_replace_adopt(const struct sys *sys, const char *path, struct err *err) {
    char temporary[FILE_PATH_MAX];
    return file_replace_path(path, temporary, err) && path_rename(sys, temporary, path, err);
}

void file_replace_abort(struct file_replacement *replacement) {
    if (replacement->file.fd >= 0) {
        replacement_drop(replacement);
    }
}

bool file_replace(const struct sys *sys, const char *path, struct text content, struct err *err) {
    struct file_replacement replacement;
    if (!file_replace_begin(sys, path, &replacement, err)) {
        return false;
    }
    if (!file_append(&replacement.file, content.bytes, content.size_bytes, err)) {
        file_replace_abort(&replacement);
        return false;
    }
    return file_replace_commit(&replacement, err);
}

/* --- whole files ---------------------------------------------------------------------------- */

/* Opens a regular file and tells its size; anything else than a regular file is refused. */
static bool open_regular(const struct sys *sys, const char *path, struct file *file,
                         uint64_t *size_bytes, struct err *err) {
    if (!file_open_read(sys, path, file, err)) {
        return false;
    }
    bool is_regular;
    if (!file_is_regular(file, &is_regular, err) || !file_size(file, size_bytes, err)) {
        file_abandon(file);
        return false;
    }
    if (!is_regular) {
        file_abandon(file);
        return err_set(err, ERR_FILE, "cannot read '%.700s': not a regular file", path);
    }
    return true;
}

static bool load_opened(struct file *file, uint64_t size_bytes, size_t bytes_max,
                        struct buffer *buffer, struct err *err) {
    for (;;) {
        /* One byte more than expected, so that one read finds the end. */
        size_t room =
            size_bytes > buffer->size_bytes ? (size_t)(size_bytes - buffer->size_bytes) + 1 : 4096;
        if (size_bytes > bytes_max || buffer->size_bytes > bytes_max) {
            return err_set(err, ERR_DAMAGED, "'%.700s' is larger than the %zu bytes allowed",
                           file->path, bytes_max);
        }
        size_t read_bytes;
        if (!buffer_reserve(buffer, room, err) ||
            !file_read(file, buffer->bytes + buffer->size_bytes, room, &read_bytes, err)) {
            return false;
        }
        buffer->size_bytes += read_bytes;
        if (read_bytes < room) {
            break;
        }
    }
    if (buffer->size_bytes > bytes_max) {
        return err_set(err, ERR_DAMAGED, "'%.700s' is larger than the %zu bytes allowed",
                       file->path, bytes_max);
    }
    return true;
}

bool file_load(const struct sys *sys, const char *path, size_t bytes_max, struct buffer *buffer,
               struct err *err) {
    buffer_clear(buffer);
    struct file file;
    uint64_t size_bytes;
    if (!open_regular(sys, path, &file, &size_bytes, err)) {
        return false;
    }
    bool is_loaded = load_opened(&file, size_bytes, bytes_max, buffer, err);
    file_abandon(&file);
    return is_loaded;
}

bool file_load_stdin(const struct sys *sys, size_t bytes_max, struct buffer *buffer,
                     struct err *err) {
    struct file file = {.sys = sys, .fd = 0, .path = "standard input"};
    buffer_clear(buffer);
    return load_opened(&file, 0, bytes_max, buffer, err);
}

bool file_map(const struct sys *sys, const char *path, struct mapping *mapping, struct err *err) {
    *mapping = (struct mapping){0};
    struct file file;
    uint64_t size_bytes;
    if (!open_regular(sys, path, &file, &size_bytes, err)) {
        return false;
    }
    if (size_bytes > SIZE_MAX) {
        file_abandon(&file);
        return sys_failure(err, "map", path, ENOMEM);
    }
    int error = 0;
    const void *memory = NULL;
    if (size_bytes > 0) {
        do {
            memory = sys->map(sys->self, file.fd, (size_t)size_bytes, &error);
        } while (memory == NULL && error == -EINTR);
    }
    file_abandon(&file);
    if (size_bytes > 0 && memory == NULL) {
        return sys_failure(err, "map", path, error);
    }
    *mapping = (struct mapping){.bytes = memory, .size_bytes = (size_t)size_bytes};
    return true;
}

void file_unmap(const struct sys *sys, struct mapping *mapping) {
    if (mapping->bytes != NULL) {
        (void)sys->unmap(sys->self, (void *)(uintptr_t)mapping->bytes, mapping->size_bytes);
    }
    *mapping = (struct mapping){0};
}

bool scratch_memory_open(const struct sys *sys, const char *path, size_t size_bytes,
                         struct scratch_memory *memory, struct err *err) {
    struct file file;
    int error = 0;
    *memory = (struct scratch_memory){0};
    assert(size_bytes > 0);
    if (!file_create(sys, path, &file, err)) {
        return false;
    }
    int unlinked = sys->unlink(sys->self, path);
    if (unlinked < 0) {
        file_abandon(&file);
        return sys_failure(err, "remove", path, unlinked);
    }
    void *bytes;
    do {
        bytes = sys->map_scratch(sys->self, file.fd, size_bytes, &error);
    } while (bytes == NULL && error == -EINTR);
    file_abandon(&file);
    if (bytes == NULL) {
        return sys_failure(err, "map", path, error);
    }
    *memory = (struct scratch_memory){.bytes = bytes, .size_bytes = size_bytes};
    return true;
}

void scratch_memory_close(const struct sys *sys, struct scratch_memory *memory) {
    if (memory->bytes != NULL) {
        (void)sys->unmap(sys->self, memory->bytes, memory->size_bytes);
    }
    *memory = (struct scratch_memory){0};
}

bool file_lock(struct file *file, bool *taken, struct err *err) {
    assert(file->fd >= 0);
    int result;
    do {
        result = file->sys->lock(file->sys->self, file->fd);
    } while (result == -EINTR);
    if (result < 0 && result != -EAGAIN && result != -EACCES) {
        return sys_failure(err, "lock", file->path, result);
    }
    *taken = result == 0;
    return true;
}

bool file_is_locked(const struct file *file, bool *is_locked, struct err *err) {
    assert(file->fd >= 0);
    int result = file->sys->lock_probe(file->sys->self, file->fd);
    if (result < 0 && result != -EAGAIN) {
        return sys_failure(err, "look at the lock of", file->path, result);
    }
    *is_locked = result != 0;
    return true;
}
