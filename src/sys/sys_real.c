/* The operating system itself: one call each (two for fsync), -errno instead of errno, no logic. */
#include "sys/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/memory.h"

static int answer(int result) {
    return result < 0 ? -errno : result;
}

static ssize_t answer_size(ssize_t result) {
    return result < 0 ? -errno : result;
}

static int real_open(void *self, const char *path, int flags, mode_t mode) {
    (void)self;
    return answer(open(path, flags, mode));
}

static int real_close(void *self, int fd) {
    (void)self;
    return answer(close(fd));
}

static ssize_t real_read(void *self, int fd, void *bytes, size_t size_bytes) {
    (void)self;
    return answer_size(read(fd, bytes, size_bytes));
}

static ssize_t real_pread(void *self, int fd, void *bytes, size_t size_bytes, int64_t offset) {
    (void)self;
    return answer_size(pread(fd, bytes, size_bytes, offset));
}

static ssize_t real_write(void *self, int fd, const void *bytes, size_t size_bytes) {
    (void)self;
    return answer_size(write(fd, bytes, size_bytes));
}

static ssize_t real_pwrite(void *self, int fd, const void *bytes, size_t size_bytes,
                           int64_t offset) {
    (void)self;
    return answer_size(pwrite(fd, bytes, size_bytes, offset));
}

/*
 * fsync waits for pages that are on their way to the disk while it holds others locked, and who
 * reads those through a mapping waits with it: stages stood still for a tenth of a second over the
 * tables just written. So what is on its way is waited for first, when nothing is locked. Of its
 * errors those that tell of lost data count, as fsync does not tell them again; all others only say
 * that there was no such wait.
 */
static int real_fsync(void *self, int fd) {
    (void)self;
    int result = answer(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE));
    bool is_lost = result == -EIO || result == -ENOSPC || result == -EDQUOT;
    return is_lost ? result : answer(fsync(fd));
}

static int real_ftruncate(void *self, int fd, int64_t size_bytes) {
    (void)self;
    return answer(ftruncate(fd, size_bytes));
}

static int real_start_writeback(void *self, int fd, int64_t offset, int64_t size_bytes) {
    (void)self;
    return answer(sync_file_range(fd, offset, size_bytes, SYNC_FILE_RANGE_WRITE));
}

static int real_rename(void *self, const char *from, const char *to) {
    (void)self;
    return answer(rename(from, to));
}

static int real_link(void *self, const char *from, const char *to) {
    (void)self;
    return answer(linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW));
}

static int real_unlink(void *self, const char *path) {
    (void)self;
    return answer(unlink(path));
}

static int real_mkdir(void *self, const char *path, mode_t mode) {
    (void)self;
    return answer(mkdir(path, mode));
}

static int real_rmdir(void *self, const char *path) {
    (void)self;
    return answer(rmdir(path));
}

static int real_stat(void *self, const char *path, struct stat *status) {
    (void)self;
    return answer(stat(path, status));
}

static int real_fstat(void *self, int fd, struct stat *status) {
    (void)self;
    return answer(fstat(fd, status));
}

/* Appends a copy of name to the array, growing it by doubling. */
static int names_add(char ***names, size_t *capacity, size_t count, const char *name) {
    if (count == *capacity) {
        size_t grown = *capacity == 0 ? 16 : *capacity * 2;
        char **moved = mem_realloc(*names, grown * sizeof **names);
        if (moved == NULL) {
            return -ENOMEM;
        }
        *names = moved;
        *capacity = grown;
    }
    size_t size_bytes = strlen(name) + 1;
    char *copy = mem_alloc(size_bytes);
    if (copy == NULL) {
        return -ENOMEM;
    }
    memcpy(copy, name, size_bytes);
    (*names)[count] = copy;
    return 0;
}

static ssize_t real_list(void *self, const char *path, char ***names) {
    (void)self;
    *names = NULL;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return -errno;
    }
    size_t count = 0;
    size_t capacity = 0;
    int error = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            error = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        error = names_add(names, &capacity, count, entry->d_name);
        if (error != 0) {
            break;
        }
        count++;
    }
    (void)closedir(directory);
    if (error != 0) {
        for (size_t index = 0; index < count; index++) {
            mem_free((*names)[index]);
        }
        mem_free(*names);
        *names = NULL;
        return error;
    }
    return (ssize_t)count;
}

static void *real_map(void *self, int fd, size_t size_bytes, int *error) {
    (void)self;
    void *memory = mmap(NULL, size_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        *error = -errno;
        return NULL;
    }
    *error = 0;
    return memory;
}

/* Room that is found missing when a page is first written to would be a SIGBUS. */
static void *real_map_scratch(void *self, int fd, size_t size_bytes, int *error) {
    (void)self;
    *error = -posix_fallocate(fd, 0, (off_t)size_bytes);
    if (*error != 0) {
        return NULL;
    }
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        *error = -errno;
        return NULL;
    }
    return memory;
}

static int real_unmap(void *self, void *memory, size_t size_bytes) {
    (void)self;
    return answer(munmap(memory, size_bytes));
}

/*
 * An open-file-description lock: it belongs to the open file, so that it ends with its last
 * descriptor and not, as the older record locks do, with any close of the same path.
 */
static int real_lock(void *self, int fd) {
    (void)self;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return answer(fcntl(fd, F_OFD_SETLK, &lock));
}

static int real_lock_probe(void *self, int fd) {
    (void)self;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_GETLK, &lock) < 0) {
        return -errno;
    }
    return lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

static int real_socket(void *self, int domain, int type, int protocol) {
    (void)self;
    return answer(socket(domain, type, protocol));
}

static int real_socket_hold(void *self, int fd, bool is_held) {
    (void)self;
    int option = is_held ? 1 : 0;
    return answer(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &option, sizeof option));
}

static int real_poll_create(void *self) {
    (void)self;
    return answer(epoll_create1(EPOLL_CLOEXEC));
}

static int real_poll_change(void *self, int poll_fd, int operation, int fd, uint32_t events) {
    (void)self;
    struct epoll_event event = {.events = events, .data.fd = fd};
    return answer(epoll_ctl(poll_fd, operation, fd, &event));
}

static int real_poll_wait(void *self, int poll_fd, struct epoll_event *events, int events_max,
                          int timeout_ms) {
    (void)self;
    return answer(epoll_wait(poll_fd, events, events_max, timeout_ms));
}

static int real_forbid_dumps(void *self) {
    (void)self;
    return answer(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

static int real_thread_start(void *self, void *(*work)(void *), void *argument, pthread_t *thread) {
    (void)self;
    return -pthread_create(thread, NULL, work, argument);
}

static void real_thread_join(void *self, pthread_t thread) {
    (void)self;
    (void)pthread_join(thread, NULL);
}

static int64_t clock_us(clockid_t clock) {
    struct timespec time = {0};
    (void)clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static int64_t real_now_us(void *self) {
    (void)self;
    return clock_us(CLOCK_REALTIME);
}

static int64_t real_monotonic_us(void *self) {
    (void)self;
    return clock_us(CLOCK_MONOTONIC);
}

static int64_t real_elapsed_us(void *self) {
    (void)self;
    return clock_us(CLOCK_BOOTTIME);
}

const struct sys *sys_real(void) {
    static const struct sys real = {
        .self = NULL,
        .open = real_open,
        .close = real_close,
        .read = real_read,
        .pread = real_pread,
        .write = real_write,
        .pwrite = real_pwrite,
        .fsync = real_fsync,
        .ftruncate = real_ftruncate,
        .start_writeback = real_start_writeback,
        .rename = real_rename,
        .link = real_link,
        .unlink = real_unlink,
        .mkdir = real_mkdir,
        .rmdir = real_rmdir,
        .stat = real_stat,
        .fstat = real_fstat,
        .list = real_list,
        .map = real_map,
        .map_scratch = real_map_scratch,
        .unmap = real_unmap,
        .lock = real_lock,
        .lock_probe = real_lock_probe,
        .socket = real_socket,
        .socket_hold = real_socket_hold,
        .poll_create = real_poll_create,
        .poll_change = real_poll_change,
        .poll_wait = real_poll_wait,
        .forbid_dumps = real_forbid_dumps,
        .thread_start = real_thread_start,
        .thread_join = real_thread_join,
        .now_us = real_now_us,
        .monotonic_us = real_monotonic_us,
        .elapsed_us = real_elapsed_us,
    };
    return &real;
}
