#include "reach.h"

#include <stdio.h>

#include "sys/clock.h"
#include "sys/process.h"

/* A single connection that does not come about is nothing to tell. */
enum { TOLD_AFTER_US = 5000000 };

static void tell(const struct reach *reach, const char *text) {
    if (reach->options.note != NULL) {
        reach->options.note(reach->options.note_context, text);
    }
}

static const char *what_is_wrong(const struct reach *reach) {
    return reach->is_there ? "does not answer as it should" : "cannot be reached";
}

static void miss(struct reach *reach, const char *problem) {
    int64_t now_us = clock_monotonic_us(reach->options.sys);
    char text[512];
    (void)snprintf(reach->problem, sizeof reach->problem, "%s", problem);
    if (!reach->is_lost) {
        reach->is_lost = true;
        reach->lost_us = now_us;
    }
    if (reach->is_told || now_us - reach->lost_us < TOLD_AFTER_US) {
        return;
    }
    reach->is_told = true;
    (void)snprintf(
        text, sizeof text,
        "%.200s %s (%s): it is tried again until the deadline; nothing is lost meanwhile",
        reach->options.base, what_is_wrong(reach), reach->problem);
    tell(reach, text);
}

void reach_missed(struct reach *reach, const char *problem) {
    reach->is_there = false;
    miss(reach, problem);
}

void reach_failed(struct reach *reach, const char *problem) {
    reach->is_there = true;
    miss(reach, problem);
}

void reach_made(struct reach *reach) {
    if (reach->is_told) {
        char text[320];
        int64_t lost_us = clock_monotonic_us(reach->options.sys) - reach->lost_us;
        (void)snprintf(text, sizeof text, "%.200s is there again, after %lld s",
                       reach->options.base, (long long)(lost_us / 1000000));
        tell(reach, text);
    }
    reach->is_lost = false;
    reach->is_told = false;
}

bool reach_check_time(const struct reach *reach, int64_t now_us, struct err *err) {
    if (!interrupt_check(err)) {
        return false;
    }
    if (reach->options.deadline_us == 0 || now_us < reach->options.deadline_us) {
        return true;
    }
    if (reach->is_lost) {
        (void)err_set(err, ERR_INTERRUPTED, "the deadline for sending is over, and %.200s %s: %s",
                      reach->options.base, what_is_wrong(reach), reach->problem);
        return err_hint(err,
                        "what was not sent is not lost: check the network and %s, then type the "
                        "same command again: it goes on where this one stopped",
                        reach->options.base_name);
    }
    (void)err_set(err, ERR_INTERRUPTED, "the deadline for sending is over");
    return err_hint(err, "type the same command again: it goes on where this one stopped");
}
