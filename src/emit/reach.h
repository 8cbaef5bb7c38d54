/*
 * When no connection comes about, or a question gets no answer. Such a request was seen by nobody,
 * so nothing is lost by asking again, and nothing is said about what was to be sent either: it is
 * tried until the deadline of the whole sending, at the pace of all pauses, and what is not sent by
 * then stays unsent (exit 40). People are told once that the other side cannot be reached, and once
 * that it can be again.
 */
#ifndef PERIODCLOSE_SRC_EMIT_REACH_H
#define PERIODCLOSE_SRC_EMIT_REACH_H

#include "core/err.h"
#include "sys/sys.h"

struct reach_options {
    const struct sys *sys;
    const char *base;
    const char *base_name; /* of the environment: "STRIPE_API_BASE" */
    int64_t deadline_us;   /* monotonic; 0: none */
    /* NULL: nobody is told. */
    void (*note)(void *context, const char *text);
    void *note_context;
};

/* Connections that did not come about, since the last one that did. Zero but for the options. */
struct reach {
    struct reach_options options;
    bool is_lost;
    bool is_there; /* but fails */
    bool is_told;
    int64_t lost_us; /* monotonic: since when */
    char problem[200];
};

void reach_missed(struct reach *reach, const char *problem); /* no connection came about */
/* It is there, and answers nothing that can be used: to be asked again just as well. */
void reach_failed(struct reach *reach, const char *problem);
void reach_made(struct reach *reach);
/* ERR_INTERRUPTED after a signal, or past the deadline. */
bool reach_check_time(const struct reach *reach, int64_t now_us, struct err *err);

#endif
