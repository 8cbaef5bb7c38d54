/*
 * Invoices of our own, after their items: which there are is gathered from the journal, the sender
 * compares and finalises them, and what became of each is the table invoices.
 *
 * Items are gathered by their customers, a part of these at a time, so that memory does not grow
 * with the items; what is kept to the end is a row for each invoice.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "emit_run.h"

enum { ITEMS_AT_ONCE = 50000 };

/* An item that is on an invoice, or should be on one and is not sent (no invoice_id). */
struct placed {
    struct emit_key key;
    struct text customer;
    struct text invoice_id;
    struct text org_id;
    struct text metric;
    const struct currency *currency;
    int64_t amount;
    const char *open_reason;
};

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

struct gathering {
    struct emission_run *emission;
    struct arena *arena;   /* of the part at hand */
    struct arena *ends;    /* of all */
    struct placed *placed; /* of the part, then sorted */
    size_t placed_count;
    size_t placed_capacity;
    size_t part;
    size_t parts_count; /* 0: they are only counted */
    size_t next;        /* of those that were fed */
    struct ended *ended;
    size_t ended_count;
    size_t ended_capacity;
};

/* --- gathering -----------------------------------------------------------------------------------
 */

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

static struct placed *placed_add(struct gathering *gathering, struct err *err) {
    if (gathering->placed_count == gathering->placed_capacity) {
        size_t capacity = gathering->placed_capacity == 0 ? 256 : gathering->placed_capacity * 2;
        struct placed *placed = mem_realloc(gathering->placed, capacity * sizeof *placed);
        if (placed == NULL) {
            (void)err_memory(err, capacity * sizeof *placed);
            return NULL;
        }
        gathering->placed = placed;
        gathering->placed_capacity = capacity;
    }
    struct placed *added = &gathering->placed[gathering->placed_count++];
    *added = (struct placed){.amount = 0};
    return added;
}

static const char *reason_open(const struct emit_group *group, const struct emit_work *work,
                               const struct journal_state *known) {
    if (group->held_reason != NULL || work->held_reason != NULL) {
        return "held";
    }
    return known->is_unsettled ? "unknown" : known->has_answer ? "failed" : "held";
}

static bool gather_item(struct gathering *gathering, const struct emit_group *group,
                        const struct emit_work *work, struct err *err) {
    struct journal_state known;
    struct placed placed = {.key = work->item.key,
                            .customer = group->customer,
                            .org_id = work->item.org_id,
                            .metric = work->item.metric,
                            .currency = work->item.currency,
                            .amount = work->item.amount};
    if (!journal_find(gathering->emission->journal, &work->item.key, &known, err)) {
        return false;
    }
    bool is_sent = known.has_answer && !known.is_unsettled &&
                   (known.answer.outcome == OUTCOME_SENT || known.answer.outcome == OUTCOME_FOUND);
    if (is_sent) {
        placed.customer = known.answer.customer; /* where it was sent to */
        placed.invoice_id = known.answer.invoice_id;
    } else {
        placed.open_reason = reason_open(group, work, &known);
    }
    bool is_on_bill = placed.invoice_id.size_bytes > 0 || !is_sent;
    if (!is_on_bill || placed.customer.size_bytes == 0) {
        return true;
    }
    if (gathering->parts_count == 0) {
        gathering->placed_count++;
        return true;
    }
    if (emit_customer_hash(placed.customer) % gathering->parts_count != gathering->part) {
        return true;
    }
    struct placed *added = placed_add(gathering, err);
    if (added == NULL) {
        return false;
    }
    *added = placed;
    return keep(gathering->arena, placed.customer, &added->customer, err) &&
           keep(gathering->arena, placed.invoice_id, &added->invoice_id, err) &&
           keep(gathering->arena, placed.org_id, &added->org_id, err) &&
           keep(gathering->arena, placed.metric, &added->metric, err);
}

static bool gather_shard(struct gathering *gathering, size_t shard_index, struct err *err) {
    struct emission_run *emission = gathering->emission;
    struct emit_shard shard;
    struct emit_group group = {0};
    bool is_found = true;
    if (!emit_shard_open(&shard, emission->run, emission->session, &emission->terms,
                         emission->period, shard_index, err)) {
        return false;
    }
    bool is_fine = true;
    while (is_fine && is_found) {
        is_fine = emit_shard_next(&shard, &group, &is_found, err);
        bool is_disabled = group.held_reason != NULL && strcmp(group.held_reason, "disabled") == 0;
        for (size_t index = 0; is_fine && is_found && !is_disabled && index < group.works_count;
             index++) {
            is_fine = gather_item(gathering, &group, &group.works[index], err);
        }
    }
    emit_group_release(&group);
    emit_shard_close(&shard);
    return is_fine;
}

/* By customer and currency; of these the open ones first, then invoice by invoice. */
static int compare_placed(const void *left, const void *right) {
    const struct placed *a = left;
    const struct placed *b = right;
    int order = text_compare(a->customer, b->customer);
    order = order != 0 ? order : strcmp(a->currency->code, b->currency->code);
    order = order != 0 ? order : text_compare(a->invoice_id, b->invoice_id);
    return order != 0 ? order : memcmp(a->key.bytes, b->key.bytes, sizeof a->key.bytes);
}

static bool gather_part(struct gathering *gathering, struct err *err) {
    gathering->placed_count = 0;
    gathering->next = 0;
    for (size_t shard = 0; shard < run_shards_count(gathering->emission->run); shard++) {
        if (!gather_shard(gathering, shard, err)) {
            return false;
        }
    }
    if (gathering->parts_count > 0 && gathering->placed_count > 0) {
        qsort(gathering->placed, gathering->placed_count, sizeof *gathering->placed,
              compare_placed);
    }
    return true;
}

/* --- feeding -------------------------------------------------------------------------------------
 */

static bool is_same_bill(const struct placed *a, const struct placed *b) {
    return text_equals(a->customer, b->customer) && a->currency == b->currency;
}

static bool next_bill(void *context, struct emit_group *group, bool *is_found, struct err *err) {
    struct gathering *gathering = context;
    const struct placed *placed = gathering->placed;
    size_t at = gathering->next;
    *is_found = false;
    group->works_count = 0;
    group->bill = (struct emit_bill){.reason = ""};
    /* Open ones of a customer without an invoice are nothing to look at. */
    while (at < gathering->placed_count && placed[at].invoice_id.size_bytes == 0) {
        at++;
    }
    if (at == gathering->placed_count) {
        return true;
    }
    const struct placed *first = &placed[at];
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
    for (; at < gathering->placed_count && is_same_bill(first, &placed[at]) &&
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
        work->item.period = gathering->emission->period;
    }
    gathering->next = at;
    *is_found = true;
    return true;
}

static struct ended *ended_add(struct gathering *gathering, struct err *err) {
    if (gathering->ended_count == gathering->ended_capacity) {
        size_t capacity = gathering->ended_capacity == 0 ? 64 : gathering->ended_capacity * 2;
        struct ended *ended = mem_realloc(gathering->ended, capacity * sizeof *ended);
        if (ended == NULL) {
            (void)err_memory(err, capacity * sizeof *ended);
            return NULL;
        }
        gathering->ended = ended;
        gathering->ended_capacity = capacity;
    }
    return &gathering->ended[gathering->ended_count++];
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

static bool bill_done(void *context, const struct emit_group *group, struct err *err) {
    struct gathering *gathering = context;
    const struct emit_bill *bill = &group->bill;
    char detail[EMIT_DETAIL_MAX];
    if (bill->status == INVOICE_OF_OTHERS) {
        return true;
    }
    struct ended *ended = ended_add(gathering, err);
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
    return keep(gathering->ends, bill->invoice_id, &ended->invoice_id, err) &&
           keep(gathering->ends, group->customer, &ended->customer, err) &&
           keep(gathering->ends, text_from(bill->state), &ended->state, err) &&
           keep(gathering->ends, text_from(bill->request_id), &ended->request_id, err) &&
           keep(gathering->ends, text_from(detail), &ended->detail, err);
}

static bool close_parts(struct gathering *gathering, struct err *err) {
    struct emission_run *emission = gathering->emission;
    struct emit_feed feed = {.context = gathering, .next = next_bill, .done = bill_done};
    if (!gather_part(gathering, err)) { /* counts */
        return false;
    }
    gathering->parts_count = gathering->placed_count / ITEMS_AT_ONCE + 1;
    for (; gathering->part < gathering->parts_count; gathering->part++) {
        struct arena_mark mark = arena_mark(gathering->arena);
        if (!gather_part(gathering, err) ||
            !sender_close_invoices(emission->sender, &feed, emission->session->sending.finalizes,
                                   err)) {
            return false;
        }
        arena_rewind(gathering->arena, mark);
    }
    return true;
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

static bool write_rows(struct gathering *gathering, struct table_writer *invoices,
                       struct err *err) {
    if (gathering->ended_count > 0) {
        qsort(gathering->ended, gathering->ended_count, sizeof *gathering->ended, compare_ended);
    }
    for (size_t index = 0; index < gathering->ended_count; index++) {
        const struct ended *ended = &gathering->ended[index];
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

static bool write_table(struct run *run, struct gathering *gathering, struct err *err) {
    struct table_writer *invoices = NULL;
    if (!run_output_create(run, &checkpoint_invoices, 0, &invoices, err)) {
        return false;
    }
    if (!write_rows(gathering, invoices, err)) {
        table_writer_destroy(invoices);
        return false;
    }
    return run_output_commit(run, &checkpoint_invoices, 0, invoices, err);
}

bool emit_no_invoices(struct run *run, struct err *err) {
    return write_table(run, &(struct gathering){0}, err);
}

bool emit_invoices(struct emission_run *emission, struct err *err) {
    struct gathering gathering = {.emission = emission};
    gathering.arena = arena_create(err);
    gathering.ends = gathering.arena != NULL ? arena_create(err) : NULL;
    bool is_fine = gathering.ends != NULL && close_parts(&gathering, err) &&
                   write_table(emission->run, &gathering, err);
    arena_destroy(gathering.arena);
    arena_destroy(gathering.ends);
    mem_free(gathering.placed);
    mem_free(gathering.ended);
    return is_fine;
}
