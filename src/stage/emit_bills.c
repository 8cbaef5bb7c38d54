/* What is on each invoice of our own, and what became of it: emit_bills.h. */
#include "emit_bills.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "emit_run.h"

struct ended {
    struct text invoice_id;
    struct text customer;
    struct text state;
    struct text request_id;
    struct text detail;
    const struct currency *currency;
    const char *status;
    const char *reason;
    uint64_t items_count;
    uint64_t open_count;
    int64_t ours;
    int64_t theirs;
};

struct emit_bills {
    const char *period;
    struct arena *arena; /* of the items kept */
    struct arena_mark empty;
    struct arena *ends; /* of the rows */
    struct emit_placed *placed;
    size_t placed_count;
    size_t placed_capacity;
    size_t part;
    size_t parts_count; /* 0: they are only counted */
    size_t next;        /* of those that were fed */
    struct ended *ended;
    size_t ended_count;
    size_t ended_capacity;
};

bool emit_bills_create(const char *period, struct emit_bills **bills, struct err *err) {
    struct emit_bills *made = mem_alloc(sizeof *made);
    *bills = NULL;
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    *made = (struct emit_bills){.period = period};
    made->arena = arena_create(err);
    made->ends = made->arena != NULL ? arena_create(err) : NULL;
    if (made->ends == NULL) {
        emit_bills_destroy(made);
        return false;
    }
    made->empty = arena_mark(made->arena);
    *bills = made;
    return true;
}

void emit_bills_destroy(struct emit_bills *bills) {
    if (bills == NULL) {
        return;
    }
    arena_destroy(bills->arena);
    arena_destroy(bills->ends);
    mem_free(bills->placed);
    mem_free(bills->ended);
    mem_free(bills);
}

/* --- items --------------------------------------------------------------------------------------
 */

static const char *reason_open(const struct emit_group *group, const struct emit_work *work,
                               const struct journal_state *known) {
    if (group->held_reason != NULL || work->held_reason != NULL) {
        return "held";
    }
    return known->is_unsettled ? "unknown" : known->has_answer ? "failed" : "held";
}

bool emit_placed_of(const struct emit_group *group, const struct emit_work *work,
                    const struct journal_state *known, struct emit_placed *placed) {
    bool is_sent =
        known->has_answer && !known->is_unsettled &&
        (known->answer.outcome == OUTCOME_SENT || known->answer.outcome == OUTCOME_FOUND);
    *placed = (struct emit_placed){.key = work->item.key,
                                   .customer = group->customer,
                                   .org_id = work->item.org_id,
                                   .metric = work->item.metric,
                                   .currency = work->item.currency,
                                   .amount = work->item.amount};
    if (is_sent) {
        placed->customer = known->answer.customer; /* where it was sent to */
        placed->invoice_id = known->answer.invoice_id;
    } else {
        placed->open_reason = reason_open(group, work, known);
    }
    bool is_on_bill = placed->invoice_id.size_bytes > 0 || !is_sent;
    return is_on_bill && placed->customer.size_bytes > 0;
}

void emit_bills_begin(struct emit_bills *bills, size_t part, size_t parts_count) {
    arena_rewind(bills->arena, bills->empty);
    bills->placed_count = 0;
    bills->next = 0;
    bills->part = part;
    bills->parts_count = parts_count;
}

static bool keep(struct arena *arena, struct text text, struct text *kept, struct err *err) {
    char *bytes = arena_alloc(arena, text.size_bytes + 1, err);
    if (bytes == NULL) {
        return false;
    }
    if (text.size_bytes > 0) {
        memcpy(bytes, text.bytes, text.size_bytes);
    }
    *kept = (struct text){bytes, text.size_bytes};
    return true;
}

static struct emit_placed *placed_add(struct emit_bills *bills, struct err *err) {
    if (bills->placed_count == bills->placed_capacity) {
        size_t capacity = bills->placed_capacity == 0 ? 256 : bills->placed_capacity * 2;
        struct emit_placed *placed = mem_realloc(bills->placed, capacity * sizeof *placed);
        if (placed == NULL) {
            (void)err_memory(err, capacity * sizeof *placed);
            return NULL;
        }
        bills->placed = placed;
        bills->placed_capacity = capacity;
    }
    struct emit_placed *added = &bills->placed[bills->placed_count++];
    *added = (struct emit_placed){.amount = 0};
    return added;
}

bool emit_bills_add(struct emit_bills *bills, const struct emit_placed *placed, struct err *err) {
    if (bills->parts_count == 0) {
        bills->placed_count++;
        return true;
    }
    if (emit_customer_hash(placed->customer) % bills->parts_count != bills->part) {
        return true;
    }
    struct emit_placed *added = placed_add(bills, err);
    if (added == NULL) {
        return false;
    }
    *added = *placed;
    return keep(bills->arena, placed->customer, &added->customer, err) &&
           keep(bills->arena, placed->invoice_id, &added->invoice_id, err) &&
           keep(bills->arena, placed->org_id, &added->org_id, err) &&
           keep(bills->arena, placed->metric, &added->metric, err);
}

size_t emit_bills_count(const struct emit_bills *bills) {
    return bills->placed_count;
}

/* By customer and currency; of these the open ones first, then invoice by invoice. */
static int compare_placed(const void *left, const void *right) {
    const struct emit_placed *a = left;
    const struct emit_placed *b = right;
    int order = text_compare(a->customer, b->customer);
    order = order != 0 ? order : strcmp(a->currency->code, b->currency->code);
    order = order != 0 ? order : text_compare(a->invoice_id, b->invoice_id);
    return order != 0 ? order : memcmp(a->key.bytes, b->key.bytes, sizeof a->key.bytes);
}

void emit_bills_sort(struct emit_bills *bills) {
    if (bills->parts_count > 0 && bills->placed_count > 0) {
        qsort(bills->placed, bills->placed_count, sizeof *bills->placed, compare_placed);
    }
}

/* --- feeding -------------------------------------------------------------------------------------
 */

static bool is_same_bill(const struct emit_placed *a, const struct emit_placed *b) {
    return text_equals(a->customer, b->customer) && a->currency == b->currency;
}

bool emit_bills_next(void *context, struct emit_group *group, bool *is_found, struct err *err) {
    struct emit_bills *bills = context;
    const struct emit_placed *placed = bills->placed;
    size_t at = bills->next;
    *is_found = false;
    group->works_count = 0;
    group->bill = (struct emit_bill){.reason = ""};
    /* Open ones of a customer without an invoice are nothing to look at. */
    while (at < bills->placed_count && placed[at].invoice_id.size_bytes == 0) {
        at++;
    }
    if (at == bills->placed_count) {
        return true;
    }
    const struct emit_placed *first = &placed[at];
    for (size_t before = at; before > 0 && is_same_bill(first, &placed[before - 1]); before--) {
        if (placed[before - 1].invoice_id.size_bytes == 0) {
            group->bill.open_count++;
            group->bill.open_reason = placed[before - 1].open_reason;
        }
    }
    group->org_id = first->org_id;
    group->customer = first->customer;
    group->subscription = (struct text){"", 0};
    group->held_reason = NULL;
    group->bill.invoice_id = first->invoice_id;
    for (; at < bills->placed_count && is_same_bill(first, &placed[at]) &&
           text_equals(first->invoice_id, placed[at].invoice_id);
         at++) {
        struct emit_work *work = emit_group_add(group, err);
        if (work == NULL) {
            return false;
        }
        work->item.key = placed[at].key;
        work->item.org_id = placed[at].org_id;
        work->item.metric = placed[at].metric;
        work->item.currency = placed[at].currency;
        work->item.amount = placed[at].amount;
        work->item.period = bills->period;
    }
    bills->next = at;
    *is_found = true;
    return true;
}

static struct ended *ended_add(struct emit_bills *bills, struct err *err) {
    if (bills->ended_count == bills->ended_capacity) {
        size_t capacity = bills->ended_capacity == 0 ? 64 : bills->ended_capacity * 2;
        struct ended *ended = mem_realloc(bills->ended, capacity * sizeof *ended);
        if (ended == NULL) {
            (void)err_memory(err, capacity * sizeof *ended);
            return NULL;
        }
        bills->ended = ended;
        bills->ended_capacity = capacity;
    }
    return &bills->ended[bills->ended_count++];
}

static const char *status_word(enum invoice_status status) {
    switch (status) {
    case INVOICE_DRAFT:
        return "draft";
    case INVOICE_FINALISED:
        return "finalised";
    case INVOICE_DIFFERENT:
        return "different";
    case INVOICE_FAILED:
        return "failed";
    case INVOICE_OF_OTHERS:
    case INVOICE_UNKNOWN:
        break;
    }
    return "unknown";
}

bool emit_bills_done(void *context, const struct emit_group *group, struct err *err) {
    struct emit_bills *bills = context;
    const struct emit_bill *bill = &group->bill;
    char detail[EMIT_DETAIL_MAX];
    if (bill->status == INVOICE_OF_OTHERS) {
        return true;
    }
    struct ended *ended = ended_add(bills, err);
    if (ended == NULL) {
        return false;
    }
    (void)snprintf(detail, sizeof detail, "%s", bill->detail);
    if (strcmp(bill->reason, "items_open") == 0) {
        (void)snprintf(detail, sizeof detail, "%llu item%s of this customer %s not sent: %s",
                       (unsigned long long)bill->open_count, bill->open_count == 1 ? "" : "s",
                       bill->open_count == 1 ? "is" : "are", bill->open_reason);
    }
    *ended =
        (struct ended){.currency = group->works[0].item.currency,
                       .status = status_word(bill->status),
                       .reason = bill->reason,
                       .items_count = bill->ours_count > group->works_count ? bill->ours_count
                                                                            : group->works_count,
                       .open_count = bill->open_count,
                       .ours = bill->ours,
                       .theirs = bill->theirs};
    return keep(bills->ends, bill->invoice_id, &ended->invoice_id, err) &&
           keep(bills->ends, group->customer, &ended->customer, err) &&
           keep(bills->ends, text_from(bill->state), &ended->state, err) &&
           keep(bills->ends, text_from(bill->request_id), &ended->request_id, err) &&
           keep(bills->ends, text_from(detail), &ended->detail, err);
}

/* --- the table -----------------------------------------------------------------------------------
 */

static int compare_ended(const void *left, const void *right) {
    const struct ended *a = left;
    const struct ended *b = right;
    return text_compare(a->invoice_id, b->invoice_id);
}

static void put_optional(struct table_writer *invoices, size_t column, struct text text) {
    if (text.size_bytes > 0) {
        table_put_text(invoices, column, text);
    }
}

bool emit_bills_write(struct emit_bills *bills, struct table_writer *invoices, struct err *err) {
    if (bills->ended_count > 0) {
        qsort(bills->ended, bills->ended_count, sizeof *bills->ended, compare_ended);
    }
    for (size_t index = 0; index < bills->ended_count; index++) {
        const struct ended *ended = &bills->ended[index];
        table_put_text(invoices, INVOICES_INVOICE_ID, ended->invoice_id);
        table_put_text(invoices, INVOICES_CUSTOMER_ID, ended->customer);
        table_put_text(invoices, INVOICES_CURRENCY, text_from(ended->currency->code));
        table_put_int64(invoices, INVOICES_ITEMS, (int64_t)ended->items_count);
        table_put_int64(invoices, INVOICES_OPEN_ITEMS, (int64_t)ended->open_count);
        table_put_decimal(invoices, INVOICES_OURS, money_from_stripe(ended->ours, ended->currency));
        table_put_decimal(invoices, INVOICES_THEIRS,
                          money_from_stripe(ended->theirs, ended->currency));
        put_optional(invoices, INVOICES_STATE, ended->state);
        table_put_text(invoices, INVOICES_STATUS, text_from(ended->status));
        put_optional(invoices, INVOICES_REASON, text_from(ended->reason));
        put_optional(invoices, INVOICES_REQUEST_ID, ended->request_id);
        put_optional(invoices, INVOICES_DETAIL, ended->detail);
        if (!table_end_row(invoices, err)) {
            return false;
        }
    }
    return true;
}
