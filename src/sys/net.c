#include "sys/net.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "failure.h"

bool poller_open(struct poller *poller, const struct sys *sys, struct err *err) {
    *poller = POLLER_CLOSED;
    int fd = sys->poll_create(sys->self);
    if (fd < 0) {
        return sys_failure(err, "open", "a list of sockets", fd);
    }
    *poller = (struct poller){.sys = sys, .fd = fd};
    return true;
}

void poller_close(struct poller *poller) {
    if (poller->fd >= 0) {
        (void)poller->sys->close(poller->sys->self, poller->fd);
        poller->fd = -1;
    }
}

bool poller_watch(struct poller *poller, int fd, bool is_known, bool wants_read, bool wants_write,
                  struct err *err) {
    uint32_t events = (wants_read ? EPOLLIN : 0U) | (wants_write ? EPOLLOUT : 0U);
    const struct sys *sys = poller->sys;
    int operation = is_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int result = sys->poll_change(sys->self, poller->fd, operation, fd, events);
    /* A number comes back for another socket before its old one is known to be gone. */
    if (result == -ENOENT || result == -EEXIST) {
        operation = is_known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        result = sys->poll_change(sys->self, poller->fd, operation, fd, events);
    }
    return result >= 0 || sys_failure(err, "watch", "a socket", result);
}

void poller_forget(struct poller *poller, int fd) {
    (void)poller->sys->poll_change(poller->sys->self, poller->fd, EPOLL_CTL_DEL, fd, 0);
}

bool poller_wait(struct poller *poller, int timeout_ms, struct poller_ready *ready,
                 size_t *ready_count, struct err *err) {
    struct epoll_event events[POLLER_READY_MAX];
    const struct sys *sys = poller->sys;
    *ready_count = 0;
    int count = sys->poll_wait(sys->self, poller->fd, events, POLLER_READY_MAX, timeout_ms);
    if (count == -EINTR) {
        return true;
    }
    if (count < 0) {
        return sys_failure(err, "wait for", "sockets", count);
    }
    for (int index = 0; index < count; index++) {
        ready[index] = (struct poller_ready){
            .fd = events[index].data.fd,
            .can_read = (events[index].events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP)) != 0,
            .can_write = (events[index].events & EPOLLOUT) != 0,
            .has_failed = (events[index].events & EPOLLERR) != 0,
        };
    }
    *ready_count = (size_t)count;
    return true;
}

int net_socket(const struct sys *sys, int domain, int type, int protocol) {
    return sys->socket(sys->self, domain, type | SOCK_CLOEXEC, protocol);
}

void net_hold(const struct sys *sys, int fd) {
    (void)sys->socket_hold(sys->self, fd, true);
}

void net_let_go(const struct sys *sys, int fd) {
    (void)sys->socket_hold(sys->self, fd, false);
}

int net_close(const struct sys *sys, int fd) {
    return sys->close(sys->self, fd);
}
