/* Inside of push: push.c walks the ledger and moves the cursor, push_send.c sends a batch. */
#ifndef PERIODCLOSE_SRC_EMIT_PUSH_INTERNAL_H
#define PERIODCLOSE_SRC_EMIT_PUSH_INTERNAL_H

#include "emit/push.h"

enum { PUSH_ROWS_MAX = 1000 };

enum push_fate { PUSH_OPEN, PUSH_SENT, PUSH_TOO_OLD, PUSH_AHEAD, PUSH_REFUSED, PUSH_NO_CUSTOMER };

struct push_item {
    struct push_row row;
    enum push_fate fate;
    char detail[200];
};

/*
 * Sends the items that are PUSH_OPEN: each is PUSH_SENT or PUSH_REFUSED then. ERR_REFUSED when all
 * of several are refused, or the key may not send; ERR_UNKNOWN when no answer came.
 */
bool push_send(struct client *client, struct push_item *items, size_t items_count,
               struct buffer *body, struct err *err);

/*
 * After a stop that may have come between sending a batch and noting it: items that are too old by
 * now are asked for, and are PUSH_SENT when Dodo has them.
 */
bool push_prove(struct client *client, struct push_item *items, size_t items_count,
                struct err *err);

#endif
