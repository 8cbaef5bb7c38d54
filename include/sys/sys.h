/*
 * The seam to the operating system.
 *
 * Every call to the OS, the clock and sockets goes through a struct sys: a thin table of
 * functions that tests wrap to fail the N-th call, to write half, to lose unsynced data or to die.
 * The functions hold no logic: each is one system call and answers like it, but returns -errno
 * instead of setting errno, so that errno stays inside src/sys. Nothing above src/sys calls them
 * directly: files.h, net.h, clock.h and process.h are their only callers.
 *
 * sys_real() is the operating system. A wrapper has its own struct sys, with self pointing at its
 * state, and is passed in its place.
 */
#ifndef PERIODCLOSE_SYS_SYS_H
#define PERIODCLOSE_SYS_SYS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stat;
struct epoll_event;

struct sys {
    void *self;
    /* files */
    int (*open)(void *self, const char *path, int flags, mode_t mode);
    int (*close)(void *self, int fd);
    ssize_t (*read)(void *self, int fd, void *bytes, size_t size_bytes);
    ssize_t (*pread)(void *self, int fd, void *bytes, size_t size_bytes, int64_t offset);
    ssize_t (*write)(void *self, int fd, const void *bytes, size_t size_bytes);
    ssize_t (*pwrite)(void *self, int fd, const void *bytes, size_t size_bytes, int64_t offset);
    int (*fsync)(void *self, int fd);
    int (*ftruncate)(void *self, int fd, int64_t size_bytes);
    int (*start_writeback)(void *self, int fd, int64_t offset, int64_t size_bytes);
    int (*rename)(void *self, const char *from, const char *to);
    int (*link)(void *self, const char *from, const char *to);
    int (*unlink)(void *self, const char *path);
    int (*mkdir)(void *self, const char *path, mode_t mode);
    int (*rmdir)(void *self, const char *path);
    int (*stat)(void *self, const char *path, struct stat *status);
    int (*fstat)(void *self, int fd, struct stat *status);
    /* names: heap array (mem_alloc) of heap strings, without "." and ".."; count or -errno */
    ssize_t (*list)(void *self, const char *path, char ***names);
    void *(*map)(void *self, int fd, size_t size_bytes, int *error); /* read-only, shared */
    /* of that size, all zero, written to in place; its room on the disk is taken at once */
    void *(*map_scratch)(void *self, int fd, size_t size_bytes, int *error);
    int (*unmap)(void *self, void *memory, size_t size_bytes);
    int (*lock)(void *self, int fd);       /* OFD write lock on the whole file, without waiting */
    int (*lock_probe)(void *self, int fd); /* could it be had? 0, or -EAGAIN; takes nothing */
    /* network: sockets are closed with close */
    int (*socket)(void *self, int domain, int type, int protocol);
    /* true: what is written waits for more; false: all of it goes out */
    int (*socket_hold)(void *self, int fd, bool is_held);
    int (*poll_create)(void *self);
    int (*poll_change)(void *self, int poll_fd, int operation, int fd, uint32_t events);
    int (*poll_wait)(void *self, int poll_fd, struct epoll_event *events, int events_max,
                     int timeout_ms);
    int (*forbid_dumps)(void *self); /* no core dump, no reading by a debugger */
    /* a thread beside the caller; a wrapper that counts calls refuses it with -EAGAIN, so that the
     * caller makes all of them itself, in one order */
    int (*thread_start)(void *self, void *(*work)(void *), void *argument, pthread_t *thread);
    void (*thread_join)(void *self, pthread_t thread);
    /* clock */
    int64_t (*now_us)(void *self);       /* wall clock, UTC */
    int64_t (*monotonic_us)(void *self); /* for rates and time left */
    int64_t (*elapsed_us)(void *self);   /* the same, and on while the machine sleeps: for ages */
};

const struct sys *sys_real(void);

#endif
