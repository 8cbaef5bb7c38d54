/*
 * When no connection comes about. Such a request was seen by nobody, so nothing is lost by asking
 * again, and nothing is said about the item either: it is tried until the deadline of the whole
 * sending, at the pace of all pauses, and what is not sent by then stays unsent (exit 40). People
 * are told once that the other side cannot be reached, and once that it can be again.
 */
#include <stdio.h>

#include "sender_internal.h"
#include "sys/clock.h"
#include "sys/process.h"

/* A single connection that does not come about is nothing to tell. */
enum { TOLD_AFTER_US = 5000000 };

static void tell(const struct sender *sender, const char *text) {
    if (sender->options.note != NULL) {
        sender->options.note(sender->options.note_context, text);
    }
}

void sender_missed(struct sender *sender, const char *problem) {
    struct reach *reach = &sender->reach;
    int64_t now_us = clock_monotonic_us(sender->options.sys);
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
    (void)snprintf(text, sizeof text,
                   "%.200s cannot be reached (%s): it is tried again until the deadline; nothing "
                   "is lost meanwhile",
                   sender->options.base, reach->problem);
    tell(sender, text);
}

void sender_reached(struct sender *sender) {
    struct reach *reach = &sender->reach;
    if (reach->is_told) {
        char text[320];
        int64_t lost_us = clock_monotonic_us(sender->options.sys) - reach->lost_us;
        (void)snprintf(text, sizeof text, "%.200s is there again, after %lld s",
                       sender->options.base, (long long)(lost_us / 1000000));
        tell(sender, text);
    }
    *reach = (struct reach){0};
}

bool sender_check_time(const struct sender *sender, int64_t now_us, struct err *err) {
    if (!interrupt_check(err)) {
        return false;
    }
    if (sender->options.deadline_us == 0 || now_us < sender->options.deadline_us) {
        return true;
    }
    if (sender->reach.is_lost) {
        (void)err_set(err, ERR_INTERRUPTED,
                      "the deadline for sending is over, and %.200s cannot be reached: %s",
                      sender->options.base, sender->reach.problem);
        return err_hint(err,
                        "what was not sent is not lost: check the network and STRIPE_API_BASE, "
                        "then type the same command again: it goes on where this one stopped");
    }
    (void)err_set(err, ERR_INTERRUPTED, "the deadline for sending is over");
    return err_hint(err, "type the same command again: it goes on where this one stopped");
}
