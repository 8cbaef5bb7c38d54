/*
 * Inside of the stage emit: invoices of our own as the items that were put on them, and as the rows
 * of the table invoices.
 *
 *     emit_placed_of(&group, &work, &known, &placed)   for each item; false: it is on none
 *     emit_bills_begin(bills, 0, 0)                    they are only counted
 *     emit_bills_begin(bills, part, parts_count)       or those of a part of the customers kept
 *     emit_bills_add(bills, &placed, err)
 *     emit_bills_sort(bills)
 *     sender_close_invoices with emit_bills_next and emit_bills_done
 *     emit_bills_write(bills, invoices, err)           once, after the last part
 *
 * What is kept of items lasts until the next begin, a row for each invoice to the end. All items of
 * a customer are in one part.
 */
#ifndef PERIODCLOSE_SRC_STAGE_EMIT_BILLS_H
#define PERIODCLOSE_SRC_STAGE_EMIT_BILLS_H

#include "emit/sender.h"
#include "table/table.h"

/* An item that is on an invoice, or should be on one and is not sent (no invoice_id). */
struct emit_placed {
    struct emit_key key;
    struct text customer;
    struct text invoice_id;
    struct text org_id;
    struct text metric;
    const struct currency *currency;
    int64_t amount;
    const char *open_reason; /* a constant */
};

/* Texts stay those of the group and of the journal. */
bool emit_placed_of(const struct emit_group *group, const struct emit_work *work,
                    const struct journal_state *known, struct emit_placed *placed);

struct emit_bills;

/* period: YYYY-MM, of all items; must outlive the bills. */
bool emit_bills_create(const char *period, struct emit_bills **bills, struct err *err);
void emit_bills_destroy(struct emit_bills *bills); /* NULL is fine */
void emit_bills_begin(struct emit_bills *bills, size_t part, size_t parts_count);
bool emit_bills_add(struct emit_bills *bills, const struct emit_placed *placed, struct err *err);
size_t emit_bills_count(const struct emit_bills *bills); /* of items, since the last begin */
void emit_bills_sort(struct emit_bills *bills);
/* For struct emit_feed; the context is the bills. */
bool emit_bills_next(void *context, struct emit_group *group, bool *is_found, struct err *err);
bool emit_bills_done(void *context, const struct emit_group *group, struct err *err);
bool emit_bills_write(struct emit_bills *bills, struct table_writer *invoices, struct err *err);

#endif
