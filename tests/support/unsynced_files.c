#include "support/unsynced_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void support_give_up(const char *what) {
    (void)fprintf(stderr, "power_cut: %s: %s\n", what, strerrordesc_np(errno));
    abort();
}

void *support_allocate(size_t size_bytes) {
    void *memory = calloc(1, size_bytes > 0 ? size_bytes : 1);
    if (memory == NULL) {
        support_give_up("no memory");
    }
    return memory;
}

struct identity identity_of(const struct stat *status) {
    return (struct identity){status->st_dev, status->st_ino};
}

bool identity_equals(struct identity left, struct identity right) {
    return left.device == right.device && left.inode == right.inode;
}

static struct unsynced_file *find_file(struct unsynced_files *files, struct identity identity) {
    for (size_t index = 0; index < files->count; index++) {
        if (identity_equals(files->rows[index].identity, identity)) {
            return &files->rows[index];
        }
    }
    return NULL;
}

void unsynced_files_forget(struct unsynced_files *files, struct identity identity) {
    struct unsynced_file *file = find_file(files, identity);
    if (file != NULL) {
        (void)close(file->fd);
        free(file->image);
        *file = files->rows[--files->count];
    }
}

char *file_image_read(int fd, int64_t size_bytes) {
    char *image = support_allocate((size_t)size_bytes);
    for (int64_t done = 0; done < size_bytes;) {
        ssize_t result = pread(fd, image + done, (size_t)(size_bytes - done), done);
        if (result <= 0) {
            support_give_up("cannot read what a file held");
        }
        done += result;
    }
    return image;
}

void file_image_write(int fd, const char *image, int64_t from, int64_t until) {
    for (int64_t done = from; done < until;) {
        ssize_t result = pwrite(fd, image + done, (size_t)(until - done), done);
        if (result <= 0) {
            support_give_up("cannot put back what a file held");
        }
        done += result;
    }
}

/* Notes that bytes [from, until) of the regular file behind fd are about to change. */
void unsynced_files_note(struct unsynced_files *files, int fd, int64_t from, int64_t until) {
    struct stat status;
    if (from >= until || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return;
    }
    struct unsynced_file *file = find_file(files, identity_of(&status));
    if (file == NULL) {
        if (files->count == UNSYNCED_FILES_MAX) {
            support_give_up("too many unsynced files");
        }
        /* Opened anew: a duplicate would share, and so prolong, the lock of an open file. */
        char link_path[64];
        (void)snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", fd);
        int own = open(link_path, O_RDWR | O_CLOEXEC);
        if (own < 0) {
            support_give_up("cannot open an unsynced file");
        }
        file = &files->rows[files->count++];
        *file = (struct unsynced_file){.identity = identity_of(&status),
                                       .fd = own,
                                       .synced_bytes = status.st_size,
                                       .changed_from = from,
                                       .changed_until = until};
    }
    if (file->image == NULL && from < file->synced_bytes) {
        file->image = file_image_read(file->fd, file->synced_bytes);
    }
    file->changed_from = from < file->changed_from ? from : file->changed_from;
    file->changed_until = until > file->changed_until ? until : file->changed_until;
}

static void lose_bytes(const struct unsynced_file *file, bool is_torn) {
    struct stat status;
    if (fstat(file->fd, &status) != 0) {
        support_give_up("cannot look at an unsynced file");
    }
    int64_t until = status.st_size < file->changed_until ? status.st_size : file->changed_until;
    int64_t kept = file->changed_from;
    if (is_torn && until > kept) {
        kept += (until - kept) / 2;
    }
    int64_t size_bytes = is_torn && kept > file->synced_bytes ? kept : file->synced_bytes;
    if (ftruncate(file->fd, size_bytes) != 0) {
        support_give_up("cannot cut an unsynced file");
    }
    if (file->image != NULL) {
        file_image_write(file->fd, file->image, kept < status.st_size ? kept : status.st_size,
                         file->synced_bytes);
    }
}

void unsynced_files_lose(const struct unsynced_files *files, bool is_torn) {
    for (size_t index = 0; index < files->count; index++) {
        lose_bytes(&files->rows[index], is_torn);
    }
}

void unsynced_files_release(struct unsynced_files *files) {
    while (files->count > 0) {
        unsynced_files_forget(files, files->rows[0].identity);
    }
}
