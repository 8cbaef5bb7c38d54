/*
 * periodclose over an operating system that can die, for the search (search.mjs). Never installed.
 *
 *   FAULTY_DIE_AT=N      ends with status 77 in place of our N-th file operation
 *   FAULTY_LOSS=drop     … and what was not synced by then is lost (tear: half of it)
 *   FAULTY_CLOCK_S=N     the clock goes N seconds ahead
 *   FAULTY_SPEED=N       the monotonic clock, and so every pause and age, goes N times as fast
 *   FAULTY_SLEPT=FILE    the machine has slept as many seconds as FILE says, once there is one
 *   FAULTY_CALLS=FILE    is told how many operations there were
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "support/fault_sys.h"
#include "sys/process.h"

enum { SECOND_US = 1000000 };
/* Days, as if the machine had slept before: who mixes up the two clocks is found out. */
#define SLEPT_US INT64_C(500000000000)

static int64_t ahead_us;
static int64_t speed = 1;
static const char *slept; /* NULL: it never slept */

static int64_t now_ahead(void *self) {
    const struct sys *real = sys_real();
    (void)self;
    return real->now_us(real->self) + ahead_us;
}

static int64_t monotonic_fast(void *self) {
    const struct sys *real = sys_real();
    (void)self;
    return real->monotonic_us(real->self) * speed;
}

static int64_t slept_us(void) {
    char text[32] = "";
    FILE *file = slept != NULL ? fopen(slept, "r") : NULL;
    if (file != NULL) {
        (void)fread(text, 1, sizeof text - 1, file);
        (void)fclose(file);
    }
    return (int64_t)strtoull(text, NULL, 10) * SECOND_US;
}

static int64_t elapsed_fast(void *self) {
    const struct sys *real = sys_real();
    (void)self;
    return real->elapsed_us(real->self) * speed + SLEPT_US + slept_us();
}

static int (*poll_wait)(void *self, int poll_fd, struct epoll_event *events, int events_max,
                        int timeout_ms);

static int poll_wait_fast(void *self, int poll_fd, struct epoll_event *events, int events_max,
                          int timeout_ms) {
    int64_t sooner_ms = (timeout_ms + speed - 1) / speed;
    return poll_wait(self, poll_fd, events, events_max, (int)sooner_ms);
}

static uint64_t number_of(const char *name) {
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static enum fault_loss loss_of(const char *text) {
    return text == NULL                ? FAULT_LOSS_NONE
           : strcmp(text, "drop") == 0 ? FAULT_LOSS_DROP
           : strcmp(text, "tear") == 0 ? FAULT_LOSS_TEAR
                                       : FAULT_LOSS_NONE;
}

int main(int argc, char **argv) {
    static struct fault_sys fault;
    uint64_t die_at = number_of("FAULTY_DIE_AT");
    struct fault_plan plan = {.mode = die_at > 0 ? FAULT_DIE : FAULT_NONE,
                              .at = die_at,
                              .loss =
                                  die_at > 0 ? loss_of(getenv("FAULTY_LOSS")) : FAULT_LOSS_NONE};
    ahead_us = (int64_t)number_of("FAULTY_CLOCK_S") * SECOND_US;
    interrupt_install();
    fault_sys_init(&fault, plan);
    fault.sys.now_us = now_ahead;
    slept = getenv("FAULTY_SLEPT");
    if (slept != NULL) {
        fault.sys.elapsed_us = elapsed_fast;
    }
    if (number_of("FAULTY_SPEED") > 0) {
        speed = (int64_t)number_of("FAULTY_SPEED");
        poll_wait = fault.sys.poll_wait;
        fault.sys.poll_wait = poll_wait_fast;
        fault.sys.monotonic_us = monotonic_fast;
        fault.sys.elapsed_us = elapsed_fast;
    }
    int status = cli_main(argc, argv, &fault.sys);
    const char *report = getenv("FAULTY_CALLS");
    FILE *file = report != NULL ? fopen(report, "w") : NULL;
    if (file != NULL) {
        (void)fprintf(file, "%llu\n", (unsigned long long)fault_sys_calls(&fault));
        (void)fclose(file);
    }
    fault_sys_release(&fault);
    return status;
}
