/* Paths, names and folders. Open files are in files.c. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "failure.h"
#include "sys/files.h"

/* Far deeper than any run directory; deeper trees are not ours to remove. */
enum { TREE_DEPTH_MAX = 32 };

static const mode_t DIRECTORY_MODE = 0755;

bool path_format(char path[FILE_PATH_MAX], struct err *err, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size_bytes = vsnprintf(path, FILE_PATH_MAX, format, arguments);
    va_end(arguments);
    if (size_bytes < 0) {
        path[0] = '\0';
        return err_set(err, ERR_FILE, "cannot format a path");
    }
    if (size_bytes >= FILE_PATH_MAX) {
        return err_set(err, ERR_FILE, "path '%.200s...' has %d bytes, more than the %d allowed",
                       path, size_bytes, FILE_PATH_MAX - 1);
    }
    return true;
}

/* The folder that holds the last name of path: "a/b" → "a", "b" → ".", "/b" → "/". */
static bool path_parent(const char *path, char parent[FILE_PATH_MAX], struct err *err) {
    if (!path_format(parent, err, "%s", path)) {
        return false;
    }
    size_t size_bytes = strlen(parent);
    while (size_bytes > 1 && parent[size_bytes - 1] == '/') {
        size_bytes--;
    }
    while (size_bytes > 0 && parent[size_bytes - 1] != '/') {
        size_bytes--;
    }
    while (size_bytes > 1 && parent[size_bytes - 1] == '/') {
        size_bytes--;
    }
    if (size_bytes == 0) {
        parent[size_bytes++] = '.';
    }
    parent[size_bytes] = '\0';
    return true;
}

bool path_absolute(const char *path, char absolute[FILE_PATH_MAX], struct err *err) {
    char *resolved = realpath(path, NULL);
    if (resolved == NULL) {
        return sys_failure(err, "resolve", path, errno);
    }
    bool is_fine = path_format(absolute, err, "%s", resolved);
    free(resolved);
    return is_fine;
}

bool path_from_root(const char *path, char full[FILE_PATH_MAX], struct err *err) {
    if (path[0] == '/') {
        return path_format(full, err, "%s", path);
    }
    char *here = getcwd(NULL, 0);
    if (here == NULL) {
        return sys_failure(err, "name the folder we are in for", path, errno);
    }
    while (path[0] == '.' && path[1] == '/') {
        path += 2;
        path += strspn(path, "/");
    }
    bool is_here = path[0] == '\0' || strcmp(path, ".") == 0;
    bool is_fine = path_format(full, err, "%s%s%s", here, is_here ? "" : "/", is_here ? "" : path);
    free(here);
    return is_fine;
}

const char *path_from_here(const char *full) {
    char *here = getcwd(NULL, 0);
    size_t here_bytes = here == NULL ? 0 : strlen(here);
    bool is_below = here_bytes > 1 && strncmp(full, here, here_bytes) == 0 &&
                    full[here_bytes] == '/' && full[here_bytes + 1] != '\0' &&
                    full[here_bytes + 1] != '-';
    free(here);
    return is_below ? full + here_bytes + 1 : full;
}

static int look_at(const struct sys *sys, const char *path, enum path_kind *kind) {
    struct stat status;
    int result;
    do {
        result = sys->stat(sys->self, path, &status);
    } while (result == -EINTR);
    if (result == -ENOENT || result == -ENOTDIR) {
        *kind = PATH_MISSING;
        return 0;
    }
    if (result == 0) {
        *kind = S_ISREG(status.st_mode)   ? PATH_FILE
                : S_ISDIR(status.st_mode) ? PATH_DIRECTORY
                                          : PATH_OTHER;
    }
    return result;
}

bool path_kind(const struct sys *sys, const char *path, enum path_kind *kind, struct err *err) {
    int result = look_at(sys, path, kind);
    return result == 0 || sys_failure(err, "look at", path, result);
}

bool path_kind_of_input(const struct sys *sys, const char *path, enum path_kind *kind,
                        struct err *err) {
    int result = look_at(sys, path, kind);
    if (result != -ELOOP) {
        return result == 0 || sys_failure(err, "look at", path, result);
    }
    (void)err_set(err, ERR_INPUT, "cannot read '%.700s': its symbolic links lead round in a circle",
                  path);
    return err_hint(err, "let the link lead to what is to be read, or name that");
}

/* --- folders -------------------------------------------------------------------------------- */

/* Flushes a folder; *action says what failed. */
static int sync_folder(const struct sys *sys, const char *path, const char **action) {
    int fd;
    *action = "open folder";
    do {
        fd = sys->open(sys->self, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    } while (fd == -EINTR);
    if (fd < 0) {
        return fd;
    }
    int result;
    *action = "flush folder";
    do {
        result = sys->fsync(sys->self, fd);
    } while (result == -EINTR);
    (void)sys->close(sys->self, fd);
    /* EINVAL: this file system cannot flush a folder on its own (some network ones). */
    return result == -EINVAL ? 0 : result;
}

bool directory_sync(const struct sys *sys, const char *path, struct err *err) {
    const char *action;
    int result = sync_folder(sys, path, &action);
    return result == 0 || sys_failure(err, action, path, result);
}

bool directory_sync_parent(const struct sys *sys, const char *path, struct err *err) {
    char parent[FILE_PATH_MAX];
    return path_parent(path, parent, err) && directory_sync(sys, parent, err);
}

bool directory_create(const struct sys *sys, const char *path, struct err *err) {
    int result;
    do {
        result = sys->mkdir(sys->self, path, DIRECTORY_MODE);
    } while (result == -EINTR);
    if (result < 0 && result != -EEXIST) {
        return sys_failure(err, "create folder", path, result);
    }
    if (result == -EEXIST) {
        enum path_kind kind;
        if (!path_kind(sys, path, &kind, err)) {
            return false;
        }
        if (kind == PATH_MISSING) {
            return err_set(err, ERR_FILE,
                           "cannot create folder '%.700s': it is a link to a folder that is not "
                           "there",
                           path);
        }
        if (kind != PATH_DIRECTORY) {
            return sys_failure(err, "create folder", path, EEXIST);
        }
    }
    /*
     * Also when it is there already: a process may have died between mkdir and this. But then the
     * folder around it may be one that we are not allowed to open.
     */
    char parent[FILE_PATH_MAX];
    if (!path_parent(path, parent, err)) {
        return false;
    }
    const char *action;
    int synced = sync_folder(sys, parent, &action);
    return synced == 0 || (synced == -EACCES && result == -EEXIST) ||
           sys_failure(err, action, parent, synced);
}

bool directory_create_all(const struct sys *sys, const char *path, struct err *err) {
    char ancestor[FILE_PATH_MAX];
    if (!path_format(ancestor, err, "%s", path)) {
        return false;
    }
    for (size_t end = 1; ancestor[0] != '\0' && ancestor[end] != '\0'; end++) {
        if (ancestor[end] != '/' || ancestor[end - 1] == '/') {
            continue;
        }
        ancestor[end] = '\0';
        enum path_kind kind;
        if (!path_kind(sys, ancestor, &kind, err) ||
            (kind != PATH_DIRECTORY && !directory_create(sys, ancestor, err))) {
            return false;
        }
        ancestor[end] = '/';
    }
    return directory_create(sys, path, err);
}

static int compare_names(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

bool directory_list(const struct sys *sys, const char *path, struct directory_listing *listing,
                    struct err *err) {
    *listing = (struct directory_listing){0};
    ssize_t result;
    do {
        result = sys->list(sys->self, path, &listing->names);
    } while (result == -EINTR);
    if (result < 0) {
        *listing = (struct directory_listing){0};
        return sys_failure(err, "list folder", path, (int)result);
    }
    listing->names_count = (size_t)result;
    if (listing->names_count > 1) {
        qsort(listing->names, listing->names_count, sizeof *listing->names, compare_names);
    }
    return true;
}

void directory_release(struct directory_listing *listing) {
    for (size_t index = 0; index < listing->names_count; index++) {
        mem_free(listing->names[index]);
    }
    mem_free(listing->names);
    *listing = (struct directory_listing){0};
}

/* --- removing ------------------------------------------------------------------------------- */

static int unlink_again(const struct sys *sys, const char *path) {
    int result;
    do {
        result = sys->unlink(sys->self, path);
    } while (result == -EINTR);
    return result == -ENOENT ? 0 : result;
}

static int rmdir_again(const struct sys *sys, const char *path) {
    int result;
    do {
        result = sys->rmdir(sys->self, path);
    } while (result == -EINTR);
    return result == -ENOENT ? 0 : result;
}

bool path_remove(const struct sys *sys, const char *path, struct err *err) {
    int result = unlink_again(sys, path);
    if (result == -EISDIR) {
        result = rmdir_again(sys, path);
    }
    if (result < 0) {
        return sys_failure(err, "remove", path, result);
    }
    return true;
}

/* A walk down a tree: the names still to remove in each folder from the top to where it stands. */
struct tree_walk {
    const struct sys *sys;
    char path[FILE_PATH_MAX];
    size_t depth;
    struct tree_level {
        struct directory_listing listing;
        size_t next;
        size_t path_bytes; /* of the folder's own path */
    } levels[TREE_DEPTH_MAX];
};

/*
 * Removes what walk->path names, or steps into it when it is a folder. unlink comes first and says
 * EISDIR of a real folder only, so that a symbolic link is removed and never followed.
 */
static bool tree_enter(struct tree_walk *walk, struct err *err) {
    int result = unlink_again(walk->sys, walk->path);
    if (result == 0) {
        return true;
    }
    if (result != -EISDIR) {
        return sys_failure(err, "remove", walk->path, result);
    }
    if (walk->depth == TREE_DEPTH_MAX) {
        return err_set(err, ERR_FILE, "cannot remove '%.700s': more than %d folders deep",
                       walk->path, TREE_DEPTH_MAX);
    }
    struct tree_level *level = &walk->levels[walk->depth];
    *level = (struct tree_level){.path_bytes = strlen(walk->path)};
    if (!directory_list(walk->sys, walk->path, &level->listing, err)) {
        return false;
    }
    walk->depth++;
    return true;
}

/* One step: the next name of the deepest folder, or the folder itself when it is empty. */
static bool tree_step(struct tree_walk *walk, struct err *err) {
    struct tree_level *level = &walk->levels[walk->depth - 1];
    walk->path[level->path_bytes] = '\0';
    if (level->next < level->listing.names_count) {
        const char *name = level->listing.names[level->next++];
        size_t name_bytes = strlen(name);
        if (level->path_bytes + 1 + name_bytes >= sizeof walk->path) {
            return sys_failure(err, "remove everything in", walk->path, ENAMETOOLONG);
        }
        walk->path[level->path_bytes] = '/';
        memcpy(walk->path + level->path_bytes + 1, name, name_bytes + 1);
        return tree_enter(walk, err);
    }
    int result = rmdir_again(walk->sys, walk->path);
    if (result < 0) {
        return sys_failure(err, "remove folder", walk->path, result);
    }
    directory_release(&level->listing);
    walk->depth--;
    return true;
}

bool path_remove_tree(const struct sys *sys, const char *path, struct err *err) {
    struct tree_walk walk;
    walk.sys = sys;
    walk.depth = 0;
    if (!path_format(walk.path, err, "%s", path)) {
        return false;
    }
    bool is_fine = tree_enter(&walk, err);
    while (is_fine && walk.depth > 0) {
        is_fine = tree_step(&walk, err);
    }
    while (walk.depth > 0) {
        directory_release(&walk.levels[--walk.depth].listing);
    }
    return is_fine;
}

/* --- moving and linking --------------------------------------------------------------------- */

bool path_rename(const struct sys *sys, const char *from, const char *to, struct err *err) {
    int result;
    do {
        result = sys->rename(sys->self, from, to);
    } while (result == -EINTR);
    if (result < 0) {
        (void)sys_failure(err, "rename", from, result);
        return err_wrap(err, "moving to '%.300s'", to);
    }
    return true;
}

static bool copy(const struct sys *sys, const char *from, const char *to, struct err *err) {
    enum { CHUNK_BYTES = 64 * 1024 };
    struct file source = FILE_CLOSED;
    struct file_replacement replacement = FILE_REPLACEMENT_NONE;
    bool is_copied = false;
    unsigned char *chunk = mem_alloc(CHUNK_BYTES);
    if (chunk == NULL) {
        (void)err_memory(err, CHUNK_BYTES);
        goto out;
    }
    if (!file_open_read(sys, from, &source, err) ||
        !file_replace_begin(sys, to, &replacement, err)) {
        goto out;
    }
    size_t read_bytes;
    do {
        if (!file_read(&source, chunk, CHUNK_BYTES, &read_bytes, err) ||
            !file_append(&replacement.file, chunk, read_bytes, err)) {
            goto out;
        }
    } while (read_bytes == CHUNK_BYTES);
    is_copied = file_replace_commit(&replacement, err);
out:
    file_replace_abort(&replacement);
    file_abandon(&source);
    mem_free(chunk);
    return is_copied;
}

/* What the OS answers when these two places cannot share one file. */
static bool must_copy(int error) {
    return error == -EXDEV || error == -EPERM || error == -EMLINK || error == -EOPNOTSUPP ||
           error == -ENOSYS;
}

static int link_again(const struct sys *sys, const char *from, const char *to) {
    int result;
    do {
        result = sys->link(sys->self, from, to);
    } while (result == -EINTR);
    return result;
}

static bool link_failed(const char *from, const char *to, int result, struct err *err) {
    (void)sys_failure(err, "link", from, result);
    return err_wrap(err, "linking to '%.300s'", to);
}

/* In the place of what is there, which needs a name beside it first. */
static bool share_over(const struct sys *sys, const char *from, const char *to, struct err *err) {
    char temporary[FILE_PATH_MAX];
    if (!path_format(temporary, err, "%s.tmp", to) || !path_remove(sys, temporary, err)) {
        return false;
    }
    int result = link_again(sys, from, temporary);
    if (must_copy(result)) {
        return copy(sys, from, to, err);
    }
    if (result < 0) {
        return link_failed(from, to, result, err);
    }
    if (!path_rename(sys, temporary, to, err)) {
        (void)unlink_again(sys, temporary);
        return false;
    }
    /* A rename between two names of one file does nothing, and leaves the first behind. */
    return path_remove(sys, temporary, err);
}

bool path_share(const struct sys *sys, const char *from, const char *to, struct err *err) {
    int result = link_again(sys, from, to);
    if (result == -EEXIST) {
        return share_over(sys, from, to, err);
    }
    if (must_copy(result)) {
        return copy(sys, from, to, err);
    }
    return result == 0 || link_failed(from, to, result, err);
}

bool path_link_or_copy(const struct sys *sys, const char *from, const char *to, struct err *err) {
    return path_share(sys, from, to, err) && directory_sync_parent(sys, to, err);
}
