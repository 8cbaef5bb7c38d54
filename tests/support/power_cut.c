#include "support/power_cut.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/unsynced_files.h"
#include "sys/files.h"

enum { DESCRIPTORS_MAX = 16384 };

enum name_change { NAME_CREATED, NAME_REMOVED, NAME_RENAMED, FOLDER_CREATED, FOLDER_REMOVED };

/* A change of a name that was not synced, and what undoing it needs. */
struct unsynced_name {
    enum name_change change;
    struct identity folder;
    char *path;
    char *from;      /* NAME_RENAMED: what it was called before */
    int replaced_fd; /* the file that this name led to before; -1: none */
};

struct power {
    struct sys sys;
    const char *const *may_be_lost;
    pthread_mutex_t mutex;
    bool is_ignored[DESCRIPTORS_MAX]; /* by descriptor: opened under may_be_lost */
    struct unsynced_files files;
    struct unsynced_name names[POWER_NAMES_MAX];
    size_t names_count;
};

static char *duplicate(const char *text) {
    char *copy = support_allocate(strlen(text) + 1);
    strcpy(copy, text);
    return copy;
}

static void lock(struct power *power) {
    (void)pthread_mutex_lock(&power->mutex);
}

static void unlock(struct power *power) {
    (void)pthread_mutex_unlock(&power->mutex);
}

static bool is_under(const char *path, const char *prefix) {
    size_t size_bytes = strlen(prefix);
    return strncmp(path, prefix, size_bytes) == 0 &&
           (path[size_bytes] == '\0' || path[size_bytes] == '/');
}

static bool may_be_lost(const struct power *power, const char *path) {
    for (const char *const *prefix = power->may_be_lost; prefix != NULL && *prefix != NULL;
         prefix++) {
        if (is_under(path, *prefix)) {
            return true;
        }
    }
    return false;
}

/* --- names ---------------------------------------------------------------------------------- */

static struct identity folder_of(const char *path) {
    char folder[FILE_PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", path);
    size_t end = strlen(folder);
    while (end > 1 && folder[end - 1] == '/') {
        end--;
    }
    while (end > 0 && folder[end - 1] != '/') {
        end--;
    }
    folder[end] = '\0';
    struct stat status = {0};
    if (stat(end == 0 ? "." : folder, &status) != 0) {
        support_give_up("cannot look at a folder");
    }
    return identity_of(&status);
}

/* The regular file that path leads to, so that it can be brought back; -1 when there is none. */
static int keep_file(const char *path) {
    struct stat status;
    if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
        return -1;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        support_give_up("cannot keep a file that goes away");
    }
    return fd;
}

static void note_name(struct power *power, enum name_change change, const char *path,
                      const char *from, int replaced_fd) {
    if (power->names_count == POWER_NAMES_MAX) {
        support_give_up("too many unsynced names");
    }
    power->names[power->names_count++] =
        (struct unsynced_name){.change = change,
                               .folder = folder_of(path),
                               .path = duplicate(path),
                               .from = from == NULL ? NULL : duplicate(from),
                               .replaced_fd = replaced_fd};
}

static void forget_name(struct unsynced_name *name) {
    if (name->replaced_fd >= 0) {
        (void)close(name->replaced_fd);
    }
    free(name->path);
    free(name->from);
}

/* Earlier changes inside a folder that has moved for good are undone where it is now. */
static void move_names(struct power *power, size_t names_count, const char *from, const char *to) {
    for (size_t index = 0; index < names_count; index++) {
        struct unsynced_name *name = &power->names[index];
        char **paths[] = {&name->path, &name->from};
        for (size_t which = 0; which < 2; which++) {
            char *path = *paths[which];
            if (path == NULL || strcmp(path, from) == 0 || !is_under(path, from)) {
                continue;
            }
            char *moved = support_allocate(strlen(to) + strlen(path) + 1);
            (void)sprintf(moved, "%s%s", to, path + strlen(from));
            free(path);
            *paths[which] = moved;
        }
    }
}

/* A folder is synced: its names stay, and files that lost their last name are gone for good. */
static void settle_names(struct power *power, struct identity folder) {
    size_t kept = 0;
    for (size_t index = 0; index < power->names_count; index++) {
        struct unsynced_name *name = &power->names[index];
        if (!identity_equals(name->folder, folder)) {
            power->names[kept++] = *name;
            continue;
        }
        if (name->change == NAME_RENAMED) {
            move_names(power, kept, name->from, name->path);
        }
        struct stat status;
        if (name->replaced_fd >= 0 && fstat(name->replaced_fd, &status) == 0 &&
            status.st_nlink == 0) {
            unsynced_files_forget(&power->files, identity_of(&status));
        }
        forget_name(name);
    }
    power->names_count = kept;
}

static void bring_back(const struct unsynced_name *name) {
    struct stat status;
    if (name->replaced_fd < 0 || fstat(name->replaced_fd, &status) != 0) {
        return;
    }
    char *image = file_image_read(name->replaced_fd, status.st_size);
    int fd = open(name->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, status.st_mode & 0777);
    if (fd >= 0) { /* else its folder is gone for good, and the file with it */
        file_image_write(fd, image, 0, status.st_size);
        (void)close(fd);
    }
    free(image);
}

static void undo_name(const struct unsynced_name *name) {
    struct err err = {0};
    switch (name->change) {
    case NAME_CREATED:
        (void)unlink(name->path);
        break;
    case NAME_REMOVED:
        bring_back(name);
        break;
    case NAME_RENAMED:
        (void)rename(name->path, name->from);
        bring_back(name);
        break;
    case FOLDER_CREATED:
        if (!path_remove_tree(sys_real(), name->path, &err)) {
            support_give_up("cannot remove a folder");
        }
        break;
    case FOLDER_REMOVED:
        (void)mkdir(name->path, 0755);
        break;
    }
}

void power_cut(struct power *power, bool is_torn) {
    lock(power); /* for ever */
    unsynced_files_lose(&power->files, is_torn);
    while (power->names_count > 0) {
        struct unsynced_name *name = &power->names[--power->names_count];
        undo_name(name);
        forget_name(name);
    }
}

/* --- the calls ------------------------------------------------------------------------------ */

/* O_TRUNC changes a file before there is a descriptor to look at it through. */
static void note_truncating_open(struct power *power, const char *path) {
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
        return;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        unsynced_files_note(&power->files, fd, 0, status.st_size);
        (void)close(fd);
    }
}

static int power_open(void *self, const char *path, int flags, mode_t mode) {
    struct power *power = self;
    bool is_ignored = may_be_lost(power, path);
    lock(power);
    struct stat status;
    bool is_new = (flags & O_CREAT) != 0 && lstat(path, &status) != 0 && errno == ENOENT;
    if (!is_ignored && (flags & O_TRUNC) != 0) {
        note_truncating_open(power, path);
    }
    int fd = sys_real()->open(NULL, path, flags, mode);
    if (fd >= DESCRIPTORS_MAX) {
        support_give_up("descriptor too high");
    }
    if (fd >= 0) {
        power->is_ignored[fd] = is_ignored;
        if (is_new && !is_ignored) {
            note_name(power, NAME_CREATED, path, NULL, -1);
        }
    }
    unlock(power);
    return fd;
}

static ssize_t power_write(void *self, int fd, const void *bytes, size_t size_bytes) {
    struct power *power = self;
    lock(power);
    off_t offset = lseek(fd, 0, (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? SEEK_END : SEEK_CUR);
    if (offset >= 0 && !power->is_ignored[fd]) {
        unsynced_files_note(&power->files, fd, offset, offset + (int64_t)size_bytes);
    }
    ssize_t result = sys_real()->write(NULL, fd, bytes, size_bytes);
    unlock(power);
    return result;
}

static ssize_t power_pwrite(void *self, int fd, const void *bytes, size_t size_bytes,
                            int64_t offset) {
    struct power *power = self;
    lock(power);
    if (!power->is_ignored[fd]) {
        unsynced_files_note(&power->files, fd, offset, offset + (int64_t)size_bytes);
    }
    ssize_t result = sys_real()->pwrite(NULL, fd, bytes, size_bytes, offset);
    unlock(power);
    return result;
}

static int power_ftruncate(void *self, int fd, int64_t size_bytes) {
    struct power *power = self;
    lock(power);
    struct stat status;
    if (!power->is_ignored[fd] && fstat(fd, &status) == 0) {
        int64_t now_bytes = status.st_size;
        unsynced_files_note(&power->files, fd, size_bytes < now_bytes ? size_bytes : now_bytes,
                            size_bytes < now_bytes ? now_bytes : size_bytes);
    }
    int result = sys_real()->ftruncate(NULL, fd, size_bytes);
    unlock(power);
    return result;
}

static int power_fsync(void *self, int fd) {
    struct power *power = self;
    lock(power);
    struct stat status;
    int result = sys_real()->fstat(NULL, fd, &status);
    if (result == 0 && S_ISDIR(status.st_mode)) {
        settle_names(power, identity_of(&status));
    } else if (result == 0) {
        unsynced_files_forget(&power->files, identity_of(&status));
    }
    unlock(power);
    return result;
}

static int power_rename(void *self, const char *from, const char *to) {
    struct power *power = self;
    bool is_ignored = may_be_lost(power, from) && may_be_lost(power, to);
    lock(power);
    struct stat from_status;
    struct stat to_status;
    bool is_nothing = lstat(from, &from_status) == 0 && lstat(to, &to_status) == 0 &&
                      identity_equals(identity_of(&from_status), identity_of(&to_status));
    bool is_noted = !is_ignored && !is_nothing;
    int replaced_fd = is_noted ? keep_file(to) : -1;
    int result = sys_real()->rename(NULL, from, to);
    if (result == 0 && is_noted) {
        note_name(power, NAME_RENAMED, to, from, replaced_fd);
    } else if (replaced_fd >= 0) {
        (void)close(replaced_fd);
    }
    unlock(power);
    return result;
}

static int power_link(void *self, const char *from, const char *to) {
    struct power *power = self;
    lock(power);
    int result = sys_real()->link(NULL, from, to);
    if (result == 0 && !may_be_lost(power, to)) {
        note_name(power, NAME_CREATED, to, NULL, -1);
    }
    unlock(power);
    return result;
}

static int power_unlink(void *self, const char *path) {
    struct power *power = self;
    lock(power);
    bool is_noted = !may_be_lost(power, path);
    int kept_fd = is_noted ? keep_file(path) : -1;
    int result = sys_real()->unlink(NULL, path);
    if (result == 0 && is_noted) {
        note_name(power, NAME_REMOVED, path, NULL, kept_fd);
    } else if (kept_fd >= 0) {
        (void)close(kept_fd);
    }
    unlock(power);
    return result;
}

static int power_mkdir(void *self, const char *path, mode_t mode) {
    struct power *power = self;
    lock(power);
    int result = sys_real()->mkdir(NULL, path, mode);
    if (result == 0 && !may_be_lost(power, path)) {
        note_name(power, FOLDER_CREATED, path, NULL, -1);
    }
    unlock(power);
    return result;
}

static int power_rmdir(void *self, const char *path) {
    struct power *power = self;
    lock(power);
    int result = sys_real()->rmdir(NULL, path);
    if (result == 0 && !may_be_lost(power, path)) {
        note_name(power, FOLDER_REMOVED, path, NULL, -1);
    }
    unlock(power);
    return result;
}

/* --- life ----------------------------------------------------------------------------------- */

/* Unsynced files and kept ones take descriptors beside the program's own. */
static void raise_descriptors_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_MAX) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

struct power *power_create(const char *const *may_be_lost_paths) {
    raise_descriptors_limit();
    struct power *power = support_allocate(sizeof *power);
    power->may_be_lost = may_be_lost_paths;
    (void)pthread_mutex_init(&power->mutex, NULL);
    power->sys = *sys_real(); /* what only reads goes straight through: it takes no self */
    power->sys.self = power;
    power->sys.open = power_open;
    power->sys.write = power_write;
    power->sys.pwrite = power_pwrite;
    power->sys.ftruncate = power_ftruncate;
    power->sys.fsync = power_fsync;
    power->sys.rename = power_rename;
    power->sys.link = power_link;
    power->sys.unlink = power_unlink;
    power->sys.mkdir = power_mkdir;
    power->sys.rmdir = power_rmdir;
    return power;
}

void power_destroy(struct power *power) {
    if (power == NULL) {
        return;
    }
    unsynced_files_release(&power->files);
    while (power->names_count > 0) {
        forget_name(&power->names[--power->names_count]);
    }
    (void)pthread_mutex_destroy(&power->mutex);
    free(power);
}

const struct sys *power_sys(const struct power *power) {
    return &power->sys;
}
