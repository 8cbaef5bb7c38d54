/*
 * Invoices of ours, once all is sent: each is read; its total and its lines are compared with the
 * items that were put on it; and if asked for, a draft that agrees and has all of them is
 * finalised.
 *
 * An invoice is read right before it is finalised, and its state decides: what is no draft any more
 * is finalised, whoever did it and however its answer was lost. So asking twice does no harm, and
 * the key, which is journaled before it is used, is one more lock on the same door. Lines of other
 * runs of ours (earlier revisions, other orgs of the customer) count as they stand.
 */
#include <stdio.h>

#include "emit/form.h"
#include "sender_internal.h"
#include "sys/clock.h"

/* --- asking --------------------------------------------------------------------------------------
 */

bool closing_ask(struct sender *sender, struct slot *slot, struct http_call *call,
                 struct err *err) {
    (void)sender;
    if (!buffer_append(&call->url, text_from("/v1/invoices/"), err) ||
        !form_encode(&call->url, slot->group.bill.invoice_id, err)) {
        return false;
    }
    if (slot->step == STEP_SHOW) {
        return true;
    }
    call->is_post = true;
    emit_idempotency_format(&slot->invoice.item.key, slot->invoice.attempt, call->idempotency_key);
    return buffer_append(&call->url, text_from("/finalize"), err) &&
           form_bool(&call->body, "auto_advance", false, err);
}

static bool finalize_key(const struct slot *slot, struct emit_key *key, struct err *err) {
    static const char before[] = "finalize:";
    struct buffer content = {0};
    struct digest digest;
    bool is_fine = buffer_append(&content, text_from(before), err) &&
                   buffer_append(&content, slot->group.bill.invoice_id, err) &&
                   digest_of(content.bytes, content.size_bytes, &digest, err);
    buffer_release(&content);
    if (is_fine) {
        memcpy(key->bytes, digest.bytes, sizeof key->bytes);
    }
    return is_fine;
}

/* The attempt to finalise it under, behind all that are known of; an open one is gone on with. */
static bool number_finalizing(struct sender *sender, struct slot *slot, struct err *err) {
    struct journal_state known = {0};
    struct emit_work *work = &slot->invoice;
    *work = (struct emit_work){.attempt = 1, .place = PLACE_INVOICE};
    work->item.org_id = slot->group.org_id;
    keep_text(work->place_id, sizeof work->place_id, slot->group.bill.invoice_id);
    if (!finalize_key(slot, &work->item.key, err) ||
        !journal_find(sender->journal, &work->item.key, &known, err)) {
        return false;
    }
    if (known.is_unsettled) {
        int64_t age_us = clock_now(sender->options.sys).us - known.intent.at.us;
        bool is_alive = age_us >= 0 && age_us < KEY_LIFE_US;
        work->attempt = known.intent.attempt + (is_alive ? 0 : 1);
        work->has_intent = is_alive;
        work->is_unsettled = is_alive;
    } else if (known.has_answer) {
        work->attempt = known.answer.attempt + 1;
    }
    slot->closing.is_numbered = true;
    return true;
}

bool closing_put_intent(struct sender *sender, struct slot *slot, struct err *err) {
    buffer_clear(&sender->body);
    return buffer_append(&sender->body, slot->group.bill.invoice_id, err) &&
           work_put_intent(sender, slot, &slot->invoice, err);
}

bool closing_advance(struct sender *sender, struct slot *slot, struct err *err) {
    slot->tries = 0;
    slot->misses = 0;
    slot->is_unsure = false;
    switch (slot->closing.phase) {
    case CLOSING_READ:
        slot_ready(sender, slot, STEP_SHOW);
        return true;
    case CLOSING_LINES:
        slot_ready(sender, slot, STEP_LINES);
        return true;
    case CLOSING_FINALIZE:
        break;
    }
    if (!slot->closing.is_numbered && !number_finalizing(sender, slot, err)) {
        return false;
    }
    if (slot->invoice.has_intent) {
        slot_ready(sender, slot, STEP_FINALIZE);
    } else {
        slot_need_intent(sender, slot);
    }
    return true;
}

/* --- what it ends with ---------------------------------------------------------------------------
 */

static bool end_with(struct sender *sender, struct slot *slot, enum invoice_status status,
                     const char *reason) {
    slot->group.bill.status = status;
    slot->group.bill.reason = reason;
    slot_finish(sender, slot);
    return true;
}

static void keep_answer(struct slot *slot, const struct http_answer *answer, const char *detail) {
    struct emit_bill *bill = &slot->group.bill;
    keep_text(bill->request_id, sizeof bill->request_id, text_from(answer->request_id));
    keep_text(bill->detail, sizeof bill->detail, text_from(detail));
}

/* What became of the request to finalise it; nothing when none was made. */
static bool note_finalized(struct sender *sender, struct slot *slot, enum journal_outcome outcome,
                           const struct http_answer *answer, const char *detail, struct err *err) {
    const struct emit_bill *bill = &slot->group.bill;
    if (!slot->closing.is_numbered) {
        return true;
    }
    struct journal_answer record = {
        .key = slot->invoice.item.key,
        .attempt = slot->invoice.attempt,
        .outcome = outcome,
        .status = answer->status,
        .amount = bill->theirs,
        .currency = text_from(slot->group.works[0].item.currency->code),
        .customer = slot->group.customer,
        .object_id = bill->invoice_id,
        .request_id = text_from(answer->request_id),
        .detail = text_from(detail),
        .invoice_id = bill->invoice_id,
    };
    slot->invoice.has_intent = false;
    slot->invoice.is_unsettled = false;
    return journal_put_answer(sender->journal, &record, err);
}

/* Its taxes are not ours, and neither are the discounts that --discountable lets Stripe make. */
static int64_t total_of(const struct sender *sender, const json_t *invoice) {
    const json_t *untaxed = json_object_get(invoice, "total_excluding_tax");
    int64_t total =
        json_integer_value(json_is_integer(untaxed) ? untaxed : json_object_get(invoice, "total"));
    size_t index;
    json_t *discount;
    json_array_foreach(json_object_get(invoice, "total_discount_amounts"), index, discount) {
        if (sender->options.is_discountable) {
            total += json_integer_value(json_object_get(discount, "amount"));
        }
    }
    return total;
}

/* Everything of it was read. */
static bool decide(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                   struct err *err) {
    struct emit_bill *bill = &slot->group.bill;
    bool is_draft = strcmp(bill->state, "draft") == 0;
    if (slot->closing.found_count < slot->group.works_count) {
        return end_with(sender, slot, INVOICE_DIFFERENT, "lines_missing");
    }
    if (slot->closing.extra_count > 0) {
        return end_with(sender, slot, INVOICE_DIFFERENT, "lines_not_ours");
    }
    if (bill->theirs != bill->ours) {
        return end_with(sender, slot, INVOICE_DIFFERENT, "total");
    }
    if (strcmp(bill->state, "void") == 0) {
        return end_with(sender, slot, INVOICE_DIFFERENT, "void");
    }
    if (!is_draft) {
        bill->detail[0] = '\0';
        return note_finalized(sender, slot, OUTCOME_FOUND, answer, "", err) &&
               end_with(sender, slot, INVOICE_FINALISED, "");
    }
    if (bill->open_count > 0) {
        return end_with(sender, slot, INVOICE_DRAFT, "items_open");
    }
    if (!sender->finalizes) {
        return end_with(sender, slot, INVOICE_DRAFT, "not_asked");
    }
    if (slot->closing.is_refused) {
        return end_with(sender, slot, INVOICE_FAILED, "refused");
    }
    if (slot->closing.is_lost) {
        if (slot->invoice.raised >= RAISED_MAX) {
            return end_with(sender, slot, INVOICE_UNKNOWN, "");
        }
        if (!note_finalized(sender, slot, OUTCOME_ABSENT, answer, "", err)) {
            return false;
        }
        slot->invoice.attempt++;
        slot->invoice.raised++;
        slot->closing.is_lost = false;
    }
    slot->closing.phase = CLOSING_FINALIZE;
    return closing_advance(sender, slot, err);
}

/* --- reading -------------------------------------------------------------------------------------
 */

static bool twice(const struct slot *slot, const struct emit_work *work, struct err *err) {
    char key[EMIT_KEY_TEXT_MAX];
    emit_key_format(&work->item.key, key);
    (void)err_set(err, ERR_CONTENT, "org '%.*s', metric '%.*s': item %s is twice on invoice %.*s",
                  (int)work->item.org_id.size_bytes, work->item.org_id.bytes,
                  (int)work->item.metric.size_bytes, work->item.metric.bytes, key,
                  (int)slot->group.bill.invoice_id.size_bytes, slot->group.bill.invoice_id.bytes);
    return err_hint(err, "see it in Stripe's dashboard; it was not finalised");
}

/* Sent by somebody else, as the records say, who knows no invoice of it: one of this run's items.
 */
static bool is_known(const struct sender *sender, const struct emit_key *key, bool *is_sent,
                     struct err *err) {
    struct journal_state known;
    if (!journal_find(sender->journal, key, &known, err)) {
        return false;
    }
    *is_sent = known.has_answer && !known.is_unsettled && known.answer.invoice_id.size_bytes == 0 &&
               (known.answer.outcome == OUTCOME_SENT || known.answer.outcome == OUTCOME_FOUND);
    return true;
}

static bool take_line(struct sender *sender, struct slot *slot, const json_t *line,
                      struct err *err) {
    struct emit_key key;
    const json_t *metadata = json_object_get(line, "metadata");
    struct emit_bill *bill = &slot->group.bill;
    bool is_ours = emit_key_parse(text_from(object_text(metadata, "item_key")), &key) &&
                   strcmp(object_text(metadata, "period"), sender->options.period) == 0;
    bill->ours += is_ours ? json_integer_value(json_object_get(line, "amount")) : 0;
    bill->ours_count += is_ours ? 1 : 0;
    for (size_t index = 0; is_ours && index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (memcmp(key.bytes, work->item.key.bytes, sizeof key.bytes) != 0) {
            continue;
        }
        if (work->is_found) {
            return twice(slot, work, err);
        }
        work->is_found = true;
        slot->closing.found_count++;
        return work_check_object(work, (struct text){"", 0}, line, err);
    }
    bool is_of_this_run =
        is_ours && strcmp(object_text(metadata, "run_id"), sender->options.run_id) == 0;
    bool is_sent = is_ours && !is_of_this_run;
    if (is_of_this_run && !is_known(sender, &key, &is_sent, err)) {
        return false;
    }
    slot->closing.extra_count += is_sent ? 0 : 1;
    return true;
}

static bool take_lines(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                       const json_t *list, struct err *err) {
    size_t index;
    json_t *line;
    json_array_foreach(json_object_get(list, "data"), index, line) {
        if (!take_line(sender, slot, line, err)) {
            return false;
        }
    }
    if (!page_turn(slot, list)) {
        return decide(sender, slot, answer, err);
    }
    slot->closing.phase = CLOSING_LINES;
    return closing_advance(sender, slot, err);
}

static bool take_shown(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                       const json_t *invoice, struct err *err) {
    struct emit_bill *bill = &slot->group.bill;
    struct emit_key ours;
    struct emit_key theirs;
    const char *text = object_text(json_object_get(invoice, "metadata"), "invoice_key");
    if (!place_invoice_key(sender, slot, &ours, err)) {
        return false;
    }
    if (!emit_key_parse(text_from(text), &theirs) ||
        memcmp(ours.bytes, theirs.bytes, sizeof ours.bytes) != 0) {
        return end_with(sender, slot, INVOICE_OF_OTHERS, "");
    }
    keep_text(bill->state, sizeof bill->state, text_from(object_text(invoice, "status")));
    keep_text(bill->request_id, sizeof bill->request_id, text_from(answer->request_id));
    bill->theirs = total_of(sender, invoice);
    bill->ours = 0;
    bill->ours_count = 0;
    slot->closing.found_count = 0;
    slot->closing.extra_count = 0;
    slot->page_after[0] = '\0';
    for (size_t index = 0; index < slot->group.works_count; index++) {
        slot->group.works[index].is_found = false;
    }
    /* Its first lines; where those are not all, they are listed from the start. */
    const json_t *lines = json_object_get(invoice, "lines");
    if (json_is_false(json_object_get(lines, "has_more"))) {
        return take_lines(sender, slot, answer, lines, err);
    }
    slot->closing.phase = CLOSING_LINES;
    return closing_advance(sender, slot, err);
}

static bool take_finalized(struct sender *sender, struct slot *slot,
                           const struct http_answer *answer, const json_t *invoice,
                           struct err *err) {
    struct emit_bill *bill = &slot->group.bill;
    keep_text(bill->state, sizeof bill->state, text_from(object_text(invoice, "status")));
    keep_answer(slot, answer, "");
    bill->theirs = total_of(sender, invoice);
    if (!note_finalized(sender, slot, OUTCOME_SENT, answer, "", err)) {
        return false;
    }
    /* Somebody put a line on it in between. */
    return bill->theirs == bill->ours ? end_with(sender, slot, INVOICE_FINALISED, "")
                                      : end_with(sender, slot, INVOICE_DIFFERENT, "total");
}

bool closing_take(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                  const json_t *object, struct err *err) {
    if (slot->step == STEP_SHOW) {
        return take_shown(sender, slot, answer, object, err);
    }
    return slot->step == STEP_LINES ? take_lines(sender, slot, answer, object, err)
                                    : take_finalized(sender, slot, answer, object, err);
}

/* --- when it is not answered as it should --------------------------------------------------------
 */

bool closing_give_up(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                     const struct judgement *judgement, struct err *err) {
    keep_answer(slot, answer, judgement->detail);
    if (slot->step != STEP_FINALIZE) {
        bool is_gone = judgement->verdict == VERDICT_REFUSED && answer->status == 404;
        return is_gone ? end_with(sender, slot, INVOICE_DIFFERENT, "gone")
                       : end_with(sender, slot, INVOICE_FAILED, "not_shown");
    }
    /* What it is now is read again: another start, or somebody, may have finalised it. */
    bool is_refused = judgement->verdict == VERDICT_REFUSED && !slot->is_unsure;
    if (is_refused &&
        !note_finalized(sender, slot, OUTCOME_REFUSED, answer, judgement->detail, err)) {
        return false;
    }
    slot->closing.is_refused = is_refused;
    slot->closing.is_lost = !is_refused;
    slot->closing.phase = CLOSING_READ;
    return closing_advance(sender, slot, err);
}
