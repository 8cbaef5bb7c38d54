/*
 * Sockets and the wait for them, for code that drives a library without blocking.
 *
 *     struct poller poller;
 *     poller_open(&poller, sys, err)
 *     poller_watch(&poller, fd, wants_read, wants_write, err)     again to change; both false: no
 * more poller_wait(&poller, timeout_ms, ready, READY_MAX, &ready_count, err) poller_close(&poller)
 *
 * A wait that a signal cuts short is fine and has nothing ready. Failures are ERR_FILE.
 */
#ifndef PERIODCLOSE_SYS_NET_H
#define PERIODCLOSE_SYS_NET_H

#include "core/err.h"
#include "sys/sys.h"

struct poller {
    const struct sys *sys;
    int fd; /* -1: closed */
};

#define POLLER_CLOSED ((struct poller){.fd = -1})

enum { POLLER_READY_MAX = 64 };

struct poller_ready {
    int fd;
    bool can_read;
    bool can_write;
    bool has_failed;
};

bool poller_open(struct poller *poller, const struct sys *sys, struct err *err);
void poller_close(struct poller *poller);
/* is_known: the descriptor is being watched already. */
bool poller_watch(struct poller *poller, int fd, bool is_known, bool wants_read, bool wants_write,
                  struct err *err);
void poller_forget(struct poller *poller, int fd); /* one that is gone already is fine */
bool poller_wait(struct poller *poller, int timeout_ms, struct poller_ready *ready,
                 size_t *ready_count, struct err *err);

int net_socket(const struct sys *sys, int domain, int type, int protocol); /* or -errno */
/*
 * Between the two, what is written gathers into few packets, for 0.2 s at most: TCP's own limit. It
 * only saves time, so that a socket that cannot is fine.
 */
void net_hold(const struct sys *sys, int fd);
void net_let_go(const struct sys *sys, int fd);
int net_close(const struct sys *sys, int fd);

#endif
