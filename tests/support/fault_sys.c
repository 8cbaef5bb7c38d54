#include "support/fault_sys.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What happens to the call that is about to be made. */
enum verdict { VERDICT_GO, VERDICT_FAIL, VERDICT_SHORT };

static _Noreturn void die(struct fault_sys *fault) {
    if (fault->power != NULL) {
        power_cut(fault->power, fault->plan.loss == FAULT_LOSS_TEAR);
    }
    _exit(FAULT_DIED_STATUS);
}

static enum verdict count_call(struct fault_sys *fault) {
    uint64_t number = atomic_fetch_add(&fault->calls, 1) + 1;
    switch (fault->plan.mode) {
    case FAULT_NONE:
        return VERDICT_GO;
    case FAULT_FAIL_ONCE:
        return number == fault->plan.at ? VERDICT_FAIL : VERDICT_GO;
    case FAULT_FAIL_FROM:
        return number >= fault->plan.at ? VERDICT_FAIL : VERDICT_GO;
    case FAULT_SHORT:
        return number == fault->plan.at ? VERDICT_SHORT : VERDICT_GO;
    case FAULT_DIE:
        if (number == fault->plan.at) {
            die(fault);
        }
        return VERDICT_GO;
    }
    abort();
}

static bool must_fail(struct fault_sys *fault) {
    return count_call(fault) == VERDICT_FAIL;
}

/* Counts a call that moves bytes; halves their number when the call is to be short. */
static bool must_fail_or_halve(struct fault_sys *fault, size_t *size_bytes) {
    enum verdict verdict = count_call(fault);
    if (verdict == VERDICT_SHORT && *size_bytes > 1) {
        *size_bytes /= 2;
    }
    return verdict == VERDICT_FAIL;
}

static int fault_open(void *self, const char *path, int flags, mode_t mode) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error
                            : fault->inner->open(fault->inner->self, path, flags, mode);
}

static int fault_close(void *self, int fd) {
    struct fault_sys *fault = self;
    bool has_failed = must_fail(fault);
    int result = fault->inner->close(fault->inner->self, fd);
    return has_failed ? -fault->plan.error : result;
}

static ssize_t fault_read(void *self, int fd, void *bytes, size_t size_bytes) {
    struct fault_sys *fault = self;
    return must_fail_or_halve(fault, &size_bytes)
               ? -fault->plan.error
               : fault->inner->read(fault->inner->self, fd, bytes, size_bytes);
}

static ssize_t fault_pread(void *self, int fd, void *bytes, size_t size_bytes, int64_t offset) {
    struct fault_sys *fault = self;
    return must_fail_or_halve(fault, &size_bytes)
               ? -fault->plan.error
               : fault->inner->pread(fault->inner->self, fd, bytes, size_bytes, offset);
}

static ssize_t fault_write(void *self, int fd, const void *bytes, size_t size_bytes) {
    struct fault_sys *fault = self;
    return must_fail_or_halve(fault, &size_bytes)
               ? -fault->plan.error
               : fault->inner->write(fault->inner->self, fd, bytes, size_bytes);
}

static ssize_t fault_pwrite(void *self, int fd, const void *bytes, size_t size_bytes,
                            int64_t offset) {
    struct fault_sys *fault = self;
    return must_fail_or_halve(fault, &size_bytes)
               ? -fault->plan.error
               : fault->inner->pwrite(fault->inner->self, fd, bytes, size_bytes, offset);
}

static int fault_fsync(void *self, int fd) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error : fault->inner->fsync(fault->inner->self, fd);
}

static int fault_ftruncate(void *self, int fd, int64_t size_bytes) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error
                            : fault->inner->ftruncate(fault->inner->self, fd, size_bytes);
}

static int fault_start_writeback(void *self, int fd, int64_t offset, int64_t size_bytes) {
    struct fault_sys *fault = self;
    return must_fail(fault)
               ? -fault->plan.error
               : fault->inner->start_writeback(fault->inner->self, fd, offset, size_bytes);
}

static int fault_rename(void *self, const char *from, const char *to) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error
                            : fault->inner->rename(fault->inner->self, from, to);
}

static int fault_link(void *self, const char *from, const char *to) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error : fault->inner->link(fault->inner->self, from, to);
}

static int fault_unlink(void *self, const char *path) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error : fault->inner->unlink(fault->inner->self, path);
}

static int fault_mkdir(void *self, const char *path, mode_t mode) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error
                            : fault->inner->mkdir(fault->inner->self, path, mode);
}

static int fault_rmdir(void *self, const char *path) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error : fault->inner->rmdir(fault->inner->self, path);
}

static int fault_stat(void *self, const char *path, struct stat *status) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error
                            : fault->inner->stat(fault->inner->self, path, status);
}

static int fault_fstat(void *self, int fd, struct stat *status) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error
                            : fault->inner->fstat(fault->inner->self, fd, status);
}

static ssize_t fault_list(void *self, const char *path, char ***names) {
    struct fault_sys *fault = self;
    if (must_fail(fault)) {
        *names = NULL;
        return -fault->plan.error;
    }
    return fault->inner->list(fault->inner->self, path, names);
}

static void *fault_map(void *self, int fd, size_t size_bytes, int *error) {
    struct fault_sys *fault = self;
    if (must_fail(fault)) {
        *error = -fault->plan.error;
        return NULL;
    }
    return fault->inner->map(fault->inner->self, fd, size_bytes, error);
}

static void *fault_map_scratch(void *self, int fd, size_t size_bytes, int *error) {
    struct fault_sys *fault = self;
    if (must_fail(fault)) {
        *error = -fault->plan.error;
        return NULL;
    }
    return fault->inner->map_scratch(fault->inner->self, fd, size_bytes, error);
}

static int fault_unmap(void *self, void *memory, size_t size_bytes) {
    struct fault_sys *fault = self;
    bool has_failed = must_fail(fault);
    int result = fault->inner->unmap(fault->inner->self, memory, size_bytes);
    return has_failed ? -fault->plan.error : result;
}

static int fault_lock(void *self, int fd) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error : fault->inner->lock(fault->inner->self, fd);
}

static int fault_lock_probe(void *self, int fd) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error : fault->inner->lock_probe(fault->inner->self, fd);
}

static int fault_socket(void *self, int domain, int type, int protocol) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error
                            : fault->inner->socket(fault->inner->self, domain, type, protocol);
}

static int fault_socket_hold(void *self, int fd, bool is_held) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error
                            : fault->inner->socket_hold(fault->inner->self, fd, is_held);
}

static int fault_poll_create(void *self) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error : fault->inner->poll_create(fault->inner->self);
}

static int fault_poll_change(void *self, int poll_fd, int operation, int fd, uint32_t events) {
    struct fault_sys *fault = self;
    return must_fail(fault)
               ? -fault->plan.error
               : fault->inner->poll_change(fault->inner->self, poll_fd, operation, fd, events);
}

static int fault_poll_wait(void *self, int poll_fd, struct epoll_event *events, int events_max,
                           int timeout_ms) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error
                            : fault->inner->poll_wait(fault->inner->self, poll_fd, events,
                                                      events_max, timeout_ms);
}

static int fault_forbid_dumps(void *self) {
    struct fault_sys *fault = self;
    return must_fail(fault) ? -fault->plan.error : fault->inner->forbid_dumps(fault->inner->self);
}

/* No thread: calls would get other numbers in every run. */
static int fault_thread_start(void *self, void *(*work)(void *), void *argument,
                              pthread_t *thread) {
    (void)self;
    (void)work;
    (void)argument;
    (void)thread;
    return -EAGAIN;
}

static void fault_thread_join(void *self, pthread_t thread) {
    (void)self;
    (void)thread;
    abort(); /* there is none */
}

static int64_t fault_now_us(void *self) {
    struct fault_sys *fault = self;
    return fault->inner->now_us(fault->inner->self);
}

static int64_t fault_monotonic_us(void *self) {
    struct fault_sys *fault = self;
    return fault->inner->monotonic_us(fault->inner->self);
}

static int64_t fault_elapsed_us(void *self) {
    struct fault_sys *fault = self;
    return fault->inner->elapsed_us(fault->inner->self);
}

void fault_sys_init(struct fault_sys *fault, struct fault_plan plan) {
    assert(plan.mode == FAULT_NONE || plan.at >= 1);
    assert((plan.mode != FAULT_FAIL_ONCE && plan.mode != FAULT_FAIL_FROM) || plan.error > 0);
    assert(plan.mode != FAULT_FAIL_FROM || plan.error != EINTR);
    fault->plan = plan;
    atomic_init(&fault->calls, 0);
    bool has_loss = plan.mode == FAULT_DIE && plan.loss != FAULT_LOSS_NONE;
    fault->power = has_loss ? power_create(plan.may_be_lost) : NULL;
    fault->inner = has_loss ? power_sys(fault->power) : sys_real();
    fault->sys = (struct sys){
        .self = fault,
        .open = fault_open,
        .close = fault_close,
        .read = fault_read,
        .pread = fault_pread,
        .write = fault_write,
        .pwrite = fault_pwrite,
        .fsync = fault_fsync,
        .ftruncate = fault_ftruncate,
        .start_writeback = fault_start_writeback,
        .rename = fault_rename,
        .link = fault_link,
        .unlink = fault_unlink,
        .mkdir = fault_mkdir,
        .rmdir = fault_rmdir,
        .stat = fault_stat,
        .fstat = fault_fstat,
        .list = fault_list,
        .map = fault_map,
        .map_scratch = fault_map_scratch,
        .unmap = fault_unmap,
        .lock = fault_lock,
        .lock_probe = fault_lock_probe,
        .socket = fault_socket,
        .socket_hold = fault_socket_hold,
        .poll_create = fault_poll_create,
        .poll_change = fault_poll_change,
        .poll_wait = fault_poll_wait,
        .forbid_dumps = fault_forbid_dumps,
        .thread_start = fault_thread_start,
        .thread_join = fault_thread_join,
        .now_us = fault_now_us,
        .monotonic_us = fault_monotonic_us,
        .elapsed_us = fault_elapsed_us,
    };
}

void fault_sys_release(struct fault_sys *fault) {
    power_destroy(fault->power);
    fault->power = NULL;
}

uint64_t fault_sys_calls(const struct fault_sys *fault) {
    return atomic_load(&fault->calls);
}

bool fault_sys_fired(const struct fault_sys *fault) {
    return fault->plan.mode != FAULT_NONE && fault_sys_calls(fault) >= fault->plan.at;
}

/* How the child tells its outcome; far from the codes of the program itself. */
enum { STATUS_CALM = 100, STATUS_FINE, STATUS_REPORTED, STATUS_BROKEN };

static _Noreturn void run_child(struct fault_plan plan,
                                bool (*body)(const struct sys *sys, void *context), void *context) {
    (void)alarm(FAULT_RUN_SECONDS_MAX);
    struct fault_sys fault;
    fault_sys_init(&fault, plan);
    bool is_fine = body(&fault.sys, context);
    if (fault_sys_fired(&fault)) {
        _exit(is_fine ? STATUS_FINE : STATUS_REPORTED);
    }
    _exit(is_fine ? STATUS_CALM : STATUS_BROKEN);
}

enum fault_outcome fault_run(struct fault_plan plan,
                             bool (*body)(const struct sys *sys, void *context), void *context) {
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run_child(plan, body, context);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child > 0 && WIFEXITED(status)) {
        switch (WEXITSTATUS(status)) {
        case FAULT_DIED_STATUS:
            return FAULT_OUTCOME_DIED;
        case STATUS_CALM:
            return FAULT_OUTCOME_CALM;
        case STATUS_FINE:
            return FAULT_OUTCOME_FINE;
        case STATUS_REPORTED:
            return FAULT_OUTCOME_REPORTED;
        default:
            break;
        }
    }
    (void)fprintf(stderr, "fault_run: the child ended with %s %d (mode %d, at %llu)\n",
                  WIFSIGNALED(status) ? "signal" : "status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (int)plan.mode,
                  (unsigned long long)plan.at);
    abort();
}
