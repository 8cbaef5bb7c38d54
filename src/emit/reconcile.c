/*
 * Comparing what was recorded with what stands at Stripe: the items of each customer since the
 * period's end are listed, and matched by metadata. Nothing is sent; what the journal did not know
 * is put into it, if that is asked for.
 */
#include <stdlib.h>

#include "emit/form.h"
#include "sender_internal.h"

#define DAY_US (INT64_C(86400) * 1000000)

/* A journal that began after a loss may not know how many attempts there were before it. */
enum { RESEND_ATTEMPTS = 16 };

struct text reconcile_customer_of(const struct slot *slot, const struct emit_work *work) {
    return work->customer.size_bytes > 0 ? work->customer : slot->group.customer;
}

bool reconcile_is_resent(const struct reconcile *reconcile, const struct emit_key *key) {
    for (size_t index = 0; index < reconcile->resend_count; index++) {
        if (memcmp(reconcile->resend[index].bytes, key->bytes, sizeof key->bytes) == 0) {
            return true;
        }
    }
    return false;
}

bool reconcile_is_earlier(const struct reconcile *reconcile, const char *run_id) {
    for (size_t index = 0; index < reconcile->earlier_run_ids_count; index++) {
        if (strcmp(reconcile->earlier_run_ids[index], run_id) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_held(const struct slot *slot, const struct emit_work *work) {
    bool is_open = work->result.status == EMIT_OPEN && !work->is_unsettled;
    bool is_kept = slot->group.held_reason != NULL || work->was_held ||
                   reconcile_customer_of(slot, work).size_bytes == 0;
    return work->result.status == EMIT_HELD || (is_open && is_kept);
}

bool reconcile_tell(struct sender *sender, const struct slot *slot, enum reconcile_kind kind,
                    const struct emit_work *work, const json_t *object, struct err *err) {
    struct reconcile *reconcile = sender->reconcile;
    struct reconcile_finding finding = {
        .kind = kind,
        .org_id = slot->group.org_id,
        .metric = work != NULL
                      ? work->item.metric
                      : text_from(object_text(json_object_get(object, "metadata"), "metric")),
        .item = work != NULL ? &work->item : NULL,
        .our_id = work != NULL ? work->result.object_id : "",
        .their_id = object_text(object, "id"),
        .their_amount = json_integer_value(json_object_get(object, "amount")),
        .their_currency = text_from(object_text(object, "currency")),
    };
    const char *key = object_text(json_object_get(object, "metadata"), "item_key");
    finding.has_key = work != NULL || emit_key_parse(text_from(key), &finding.key);
    if (work != NULL) {
        finding.key = work->item.key;
    }
    reconcile->counts.findings++;
    return reconcile->found(reconcile->context, &finding, err);
}

/* --- events of meters, which cannot be listed ---------------------------------------------------
 */

static const struct http_answer nobody_asked = {.fate = HTTP_NOT_SENT};

static bool compare_event(struct sender *sender, struct slot *slot, struct emit_work *work,
                          struct err *err) {
    struct reconcile *reconcile = sender->reconcile;
    reconcile->counts.items++;
    if (work->result.status == EMIT_SENT || is_held(slot, work) ||
        (slot->group.customer.size_bytes == 0 && !work->is_unsettled)) {
        reconcile->counts.agreed++;
        return true;
    }
    if (work->result.status != EMIT_UNKNOWN && !work->is_unsettled) {
        return reconcile_tell(sender, slot, RECONCILE_NEVER_SENT, work, NULL, err);
    }
    if (!reconcile_tell(sender, slot, RECONCILE_UNKNOWN, work, NULL, err)) {
        return false;
    }
    if (!reconcile_is_resent(reconcile, &work->item.key)) {
        return true;
    }
    reconcile->counts.resent++;
    work->place = PLACE_METER;
    return work_answered(sender, slot, work, OUTCOME_ABSENT, &nobody_asked, NULL, "", err);
}

static bool compare_metered(struct sender *sender, struct slot *slot, struct err *err) {
    for (size_t index = 0; index < slot->group.works_count; index++) {
        if (!compare_event(sender, slot, &slot->group.works[index], err)) {
            return false;
        }
    }
    slot_finish(sender, slot);
    return true;
}

/* --- asking -------------------------------------------------------------------------------------
 */

/* The items of an org may stand with several customers: one listing of each. */
bool reconcile_advance(struct sender *sender, struct slot *slot, struct err *err) {
    if (sender->options.is_metered) {
        return compare_metered(sender, slot, err);
    }
    slot->tries = 0;
    slot->page_after[0] = '\0';
    slot->invoices_listed = INVOICES_NONE;
    if (slot->group.works_count == 0 && slot->listed.size_bytes == 0 &&
        slot->group.customer.size_bytes > 0) {
        slot->listed = slot->group.customer;
        slot_ready(sender, slot, STEP_RECONCILE);
        return true;
    }
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        struct text customer = reconcile_customer_of(slot, work);
        if (!work->is_compared && customer.size_bytes > 0) {
            slot->listed = customer;
            slot_ready(sender, slot, STEP_RECONCILE);
            return true;
        }
        if (!work->is_compared) { /* no customer to list: what was sent has an id */
            slot->listed = customer;
            return reconcile_listed(sender, slot, &nobody_asked, err);
        }
    }
    slot_finish(sender, slot);
    return true;
}

static bool ask_sought(const struct slot *slot, struct http_call *call, struct err *err) {
    const struct emit_work *work = &slot->group.works[slot->work_index];
    return buffer_append(&call->url, text_from("/v1/invoiceitems/"), err) &&
           form_encode(&call->url, text_from(work->result.object_id), err);
}

bool reconcile_ask(struct sender *sender, struct slot *slot, struct http_call *call,
                   struct err *err) {
    if (slot->step == STEP_SOUGHT) {
        return ask_sought(slot, call, err);
    }
    struct buffer query = {0};
    struct instant end =
        slot->group.works_count > 0 ? slot->group.works[0].item.period_end : slot->group.period_end;
    int64_t since_us = end.us - DAY_US;
    (void)sender;
    bool is_fine = form_text(&query, "customer", slot->listed, err) &&
                   form_int64(&query, "created[gte]", since_us / 1000000, err) &&
                   page_ask(slot, "/v1/invoiceitems", &query, call, err);
    buffer_release(&query);
    return is_fine;
}

/* --- what is there ------------------------------------------------------------------------------
 */

static bool note_unrecorded(struct sender *sender, struct slot *slot, struct emit_work *work,
                            const struct http_answer *answer, const json_t *object,
                            struct err *err) {
    if (!reconcile_tell(sender, slot, RECONCILE_UNRECORDED, work, object, err)) {
        return false;
    }
    return !sender->reconcile->repairs ||
           work_answered(sender, slot, work, OUTCOME_FOUND, answer, object, "", err);
}

bool reconcile_compare(struct sender *sender, struct slot *slot, struct emit_work *work,
                       const struct http_answer *answer, const json_t *object, struct err *err) {
    const struct emit_item *item = &work->item;
    bool is_same = json_integer_value(json_object_get(object, "amount")) == item->amount &&
                   strcmp(object_text(object, "currency"), item->currency->code) == 0;
    bool is_sent = work->result.status == EMIT_SENT;
    bool is_other = is_sent && work->result.object_id[0] != '\0' &&
                    strcmp(object_text(object, "id"), work->result.object_id) != 0;
    if (work->is_found || is_other) {
        work->has_double = true; /* whatever it is: the item is not sent again beside it */
        return reconcile_tell(sender, slot, RECONCILE_EXTRA, work, object, err);
    }
    work->is_found = true;
    /* Nobody has recorded that it was sent there: it was to go to the customer that the org has. */
    bool is_moved = work->is_different && !text_equals(work->customer, slot->group.customer);
    if (!is_same || is_moved) {
        return reconcile_tell(sender, slot, RECONCILE_DIFFERENT, work, object, err) &&
               (is_sent || !sender->reconcile->repairs ||
                work_answered(sender, slot, work, OUTCOME_FOUND, answer, object, "", err));
    }
    if (!is_sent) {
        return note_unrecorded(sender, slot, work, answer, object, err);
    }
    sender->reconcile->counts.agreed++;
    return true;
}

/* metadata[org_id] is cut for Stripe's sake; so is ours for comparing. */
static bool is_of_org(const struct slot *slot, const char *org_id) {
    size_t size = strlen(org_id);
    return size > 0 && size <= slot->group.org_id.size_bytes &&
           memcmp(org_id, slot->group.org_id.bytes, size) == 0 &&
           (size == slot->group.org_id.size_bytes || size + 4 > EMIT_METADATA_VALUE_MAX);
}

/* Other revisions are of other runs; each is compared with its own. */
static bool is_of_other_run(const struct sender *sender, const struct slot *slot,
                            const json_t *metadata) {
    const char *run_id = object_text(metadata, "run_id");
    long long newest = 1;
    if (sender->reconcile->knows_all || strcmp(run_id, sender->options.run_id) == 0) {
        return false;
    }
    for (size_t index = 0; index < slot->group.works_count; index++) {
        long long revision = slot->group.works[index].item.revision;
        newest = revision > newest ? revision : newest;
    }
    return reconcile_is_earlier(sender->reconcile, run_id) ||
           strtoll(object_text(metadata, "revision"), NULL, 10) > newest;
}

bool reconcile_take_unknown(struct sender *sender, const struct slot *slot, const json_t *object,
                            struct err *err) {
    const json_t *metadata = json_object_get(object, "metadata");
    return strcmp(object_text(metadata, "period"), sender->options.period) != 0 ||
           !is_of_org(slot, object_text(metadata, "org_id")) ||
           is_of_other_run(sender, slot, metadata) ||
           reconcile_tell(sender, slot, RECONCILE_EXTRA, NULL, object, err);
}

static bool take_row(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                     const json_t *object, struct err *err) {
    struct emit_key key;
    const json_t *metadata = json_object_get(object, "metadata");
    if (strcmp(object_text(metadata, "period"), sender->options.period) != 0 ||
        !emit_key_parse(text_from(object_text(metadata, "item_key")), &key) ||
        !is_of_org(slot, object_text(metadata, "org_id"))) {
        return true; /* of others, of another period, of another org of the customer */
    }
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (memcmp(key.bytes, work->item.key.bytes, sizeof key.bytes) == 0) {
            return reconcile_compare(sender, slot, work, answer, object, err);
        }
    }
    return reconcile_take_unknown(sender, slot, object, err);
}

/* --- what is not there --------------------------------------------------------------------------
 */

static bool take_absent(struct sender *sender, struct slot *slot, struct emit_work *work,
                        const struct http_answer *answer, struct err *err) {
    const struct reconcile *reconcile = sender->reconcile;
    const json_t *there = work->result.status != EMIT_SENT && reconcile->elsewhere != NULL
                              ? reconcile->elsewhere(reconcile->elsewhere_context, &work->item.key)
                              : NULL;
    if (there != NULL) {
        return reconcile_tell(sender, slot, RECONCILE_DIFFERENT, work, there, err);
    }
    if (is_held(slot, work)) {
        sender->reconcile->counts.agreed++;
        sender->reconcile->counts.held += work->was_held ? 1 : 0;
        return true;
    }
    if (work->result.status != EMIT_SENT) {
        return reconcile_tell(sender, slot, RECONCILE_NEVER_SENT, work, NULL, err);
    }
    if (!reconcile_tell(sender, slot, RECONCILE_REMOVED, work, NULL, err)) {
        return false;
    }
    if (work->has_double || !reconcile_is_resent(sender->reconcile, &work->item.key)) {
        return true;
    }
    sender->reconcile->counts.resent++;
    work->attempt += RESEND_ATTEMPTS;
    return work_answered(sender, slot, work, OUTCOME_ABSENT, answer, NULL, "", err);
}

/*
 * Where else there is something: lines of invoices of ours; and what was sent and is not among all
 * that, as the org has another customer now than it was sent to.
 */
static bool ask_elsewhere(struct sender *sender, struct slot *slot) {
    if (reconcile_ask_own_invoices(sender, slot)) {
        return true;
    }
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        bool is_missed = !work->is_compared && !work->is_found && !work->is_sought &&
                         work->result.status == EMIT_SENT &&
                         text_equals(reconcile_customer_of(slot, work), slot->listed);
        if (is_missed && work->result.object_id[0] != '\0' && !reconcile_is_line(work)) {
            work->is_sought = true;
            slot->work_index = index;
            slot->tries = 0;
            slot_ready(sender, slot, STEP_SOUGHT);
            return true;
        }
    }
    return reconcile_ask_all_invoices(sender, slot);
}

/* All of the customer's items are read. */
bool reconcile_listed(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      struct err *err) {
    if (ask_elsewhere(sender, slot)) {
        return true;
    }
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (work->is_compared || !text_equals(reconcile_customer_of(slot, work), slot->listed)) {
            continue;
        }
        work->is_compared = true;
        sender->reconcile->counts.items++;
        if (!work->is_found && !take_absent(sender, slot, work, answer, err)) {
            return false;
        }
    }
    return reconcile_advance(sender, slot, err);
}

bool reconcile_take_gone(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                         struct err *err) {
    if (slot->step == STEP_LINES) {
        reconcile_lines_read(sender, slot);
        return true;
    }
    return reconcile_listed(sender, slot, answer, err);
}

bool reconcile_take_sought(struct sender *sender, struct slot *slot,
                           const struct http_answer *answer, const json_t *object,
                           struct err *err) {
    struct emit_work *work = &slot->group.works[slot->work_index];
    struct emit_key key;
    const char *text = object_text(json_object_get(object, "metadata"), "item_key");
    bool is_there = !json_is_true(json_object_get(object, "deleted")) &&
                    emit_key_parse(text_from(text), &key) &&
                    memcmp(key.bytes, work->item.key.bytes, sizeof key.bytes) == 0;
    return (!is_there || reconcile_compare(sender, slot, work, answer, object, err)) &&
           reconcile_listed(sender, slot, answer, err);
}

bool reconcile_take(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                    const json_t *object, struct err *err) {
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(object, "data"), index, row) {
        if (!take_row(sender, slot, answer, row, err)) {
            return false;
        }
    }
    if (page_turn(slot, object)) {
        slot_ready(sender, slot, STEP_RECONCILE);
        return true;
    }
    return reconcile_listed(sender, slot, answer, err);
}

bool reconcile_failed(const struct slot *slot, const struct http_answer *answer,
                      const struct judgement *judgement, struct err *err) {
    if (judgement->is_untrusted) {
        return answer_untrusted("Stripe", judgement, err);
    }
    (void)err_set(
        err, answer->fate == HTTP_ANSWERED ? ERR_REFUSED : ERR_INTERRUPTED,
        "cannot list the items of customer '%.*s': %s%s%s",
        (int)(slot->listed.size_bytes < EMIT_ID_MAX ? slot->listed.size_bytes : EMIT_ID_MAX),
        slot->listed.bytes, judgement->detail, answer->request_id[0] != '\0' ? ", request " : "",
        answer->request_id);
    return err_hint(err, "check STRIPE_API_KEY and the network, then type the same command again");
}
