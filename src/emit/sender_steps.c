/*
 * The kinds of requests: how each is asked, and what its answer does. An answer that settles
 * nothing is tried again under the same key, with pauses; what then remains open is UNKNOWN when it
 * may have been carried out, and FAILED when it was not.
 */
#include <stdio.h>

#include "emit/form.h"
#include "sender_internal.h"
#include "sys/clock.h"

/* --- asking -------------------------------------------------------------------------------------
 */

static bool ask_item(struct sender *sender, struct slot *slot, struct http_call *call,
                     struct err *err) {
    const struct emit_work *work = &slot->group.works[slot->work_index];
    struct emit_target target = {.customer = slot->group.customer,
                                 .place = work->place,
                                 .place_id = text_from(work->place_id),
                                 .run_id = sender->options.run_id,
                                 .is_discountable = sender->options.is_discountable};
    struct text kept = {slot->bodies.bytes + work->body_offset, work->body_bytes};
    call->is_post = true;
    if (work->place != PLACE_METER) { /* those are told apart by their identifier */
        emit_idempotency_format(&work->item.key, work->attempt, call->idempotency_key);
    }
    return buffer_append(&call->url,
                         text_from(work->place == PLACE_METER ? "/v1/billing/meter_events"
                                                              : "/v1/invoiceitems"),
                         err) &&
           (kept.size_bytes > 0 ? buffer_append(&call->body, kept, err)
                                : emit_item_body(&work->item, &target, &call->body, err));
}

static bool ask_list(struct sender *sender, struct slot *slot, struct http_call *call,
                     struct err *err) {
    struct buffer query = {0};
    int64_t since_us = INT64_MAX;
    (void)sender;
    for (size_t index = 0; index < slot->group.works_count; index++) {
        const struct emit_work *work = &slot->group.works[index];
        if (work->needs_list && work->first_at_us < since_us) {
            since_us = work->first_at_us;
        }
    }
    bool is_fine = form_text(&query, "customer", slot->group.customer, err) &&
                   form_int64(&query, "created[gte]", (since_us - LIST_SLACK_US) / 1000000, err) &&
                   page_ask(slot, "/v1/invoiceitems", &query, call, err);
    buffer_release(&query);
    return is_fine;
}

bool step_ask(struct sender *sender, struct slot *slot, struct http_call *call, struct err *err) {
    switch (slot->step) {
    case STEP_LIST:
        return ask_list(sender, slot, call, err);
    case STEP_SUBSCRIPTION:
        return place_ask_subscription(sender, slot, call, err);
    case STEP_INVOICES:
        return sender->reconcile != NULL ? reconcile_ask_invoices(slot, call, err)
                                         : place_ask_invoices(sender, slot, call, err);
    case STEP_INVOICE:
        return place_ask_invoice(sender, slot, call, err);
    case STEP_ITEM:
        return ask_item(sender, slot, call, err);
    case STEP_ADD_LINES:
        return lines_ask_add(sender, slot, call, err);
    case STEP_LINES:
        return lines_ask(sender, slot, call, err);
    case STEP_SHOW:
    case STEP_FINALIZE:
        return closing_ask(sender, slot, call, err);
    case STEP_RECONCILE:
    case STEP_SOUGHT:
        return reconcile_ask(sender, slot, call, err);
    case STEPS_COUNT:
        break;
    }
    return true;
}

/* --- answers that settle ------------------------------------------------------------------------
 */

static bool is_same_event(const struct emit_work *work, struct text customer,
                          const json_t *object) {
    char key[EMIT_KEY_TEXT_MAX];
    char value[24];
    const json_t *payload = json_object_get(object, "payload");
    emit_key_format(&work->item.key, key);
    (void)snprintf(value, sizeof value, "%lld", (long long)work->item.amount);
    return strcmp(object_text(object, "identifier"), key) == 0 &&
           strcmp(object_text(payload, "value"), value) == 0 &&
           text_equals(text_from(object_text(payload, "stripe_customer_id")), customer);
}

/* There already: an earlier request of ours arrived, or one of a start whose journal is lost. */
static bool take_there_already(struct sender *sender, struct slot *slot,
                               const struct http_answer *answer, struct err *err) {
    struct emit_work *work = &slot->group.works[slot->work_index];
    return work_answered(sender, slot, work, OUTCOME_FOUND, answer, NULL, "", err) &&
           slot_advance(sender, slot, err);
}

static bool take_event(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                       const json_t *object, struct err *err) {
    struct emit_work *work = &slot->group.works[slot->work_index];
    if (!is_same_event(work, slot->group.customer, object)) {
        return err_set(err, ERR_CONTENT,
                       "org '%.*s', metric '%.*s': Stripe answers with another meter event than "
                       "was sent (request %s)",
                       (int)work->item.org_id.size_bytes, work->item.org_id.bytes,
                       (int)work->item.metric.size_bytes, work->item.metric.bytes,
                       answer->request_id);
    }
    return work_answered(sender, slot, work, OUTCOME_SENT, answer, object, "", err) &&
           slot_advance(sender, slot, err);
}

static bool take_item(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      const struct judgement *judgement, struct err *err) {
    struct emit_work *work = &slot->group.works[slot->work_index];
    if (work->place == PLACE_METER) {
        return take_event(sender, slot, answer, judgement->object, err);
    }
    return work_check_brief(work, slot->group.customer, &judgement->brief, err) &&
           work_settled(sender, slot, work, OUTCOME_SENT, answer, &judgement->brief, "", err) &&
           slot_advance(sender, slot, err);
}

static bool match_listed(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                         const json_t *object, struct err *err) {
    struct emit_key key;
    const char *text = object_text(json_object_get(object, "metadata"), "item_key");
    if (!emit_key_parse(text_from(text), &key)) {
        return true;
    }
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (!work->needs_list || memcmp(key.bytes, work->item.key.bytes, sizeof key.bytes) != 0) {
            continue;
        }
        struct brief brief = brief_of(object);
        return work_check_brief(work, slot->group.customer, &brief, err) &&
               work_settled(sender, slot, work, OUTCOME_FOUND, answer, &brief, "", err);
    }
    return true;
}

static bool take_list(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      const json_t *object, struct err *err) {
    const json_t *data = json_object_get(object, "data");
    size_t index;
    json_t *row;
    json_array_foreach(data, index, row) {
        if (!match_listed(sender, slot, answer, row, err)) {
            return false;
        }
    }
    if (page_turn(slot, object)) {
        slot_ready(sender, slot, STEP_LIST);
        return true;
    }
    for (size_t work_index = 0; work_index < slot->group.works_count; work_index++) {
        struct emit_work *work = &slot->group.works[work_index];
        if (!work->needs_list || work->place == PLACE_LINES) {
            continue;
        }
        if (work->raised >= RAISED_MAX) {
            work->needs_list = false;
            work->result.status = EMIT_UNKNOWN;
            work->result.attempts = work->attempt;
        } else if (!work_answered(sender, slot, work, OUTCOME_ABSENT, answer, NULL, "", err)) {
            return false;
        }
    }
    return slot_advance(sender, slot, err);
}

/* --- answers that do not ------------------------------------------------------------------------
 */

/* Every item that the request was asked for: one, or all that wait for it. */
static void give_up_others(struct slot *slot, const char *detail) {
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (work->result.status != EMIT_OPEN) {
            continue;
        }
        work->result.status = work->is_unsettled ? EMIT_UNKNOWN : EMIT_FAILED;
        work->result.attempts = work->is_unsettled ? work->attempt : work->attempt - 1;
        (void)snprintf(work->result.detail, sizeof work->result.detail, "%s", detail);
    }
}

static bool give_up_invoice(struct sender *sender, struct slot *slot,
                            const struct http_answer *answer, const struct judgement *judgement,
                            struct err *err) {
    struct emit_work *invoice = &slot->invoice;
    bool is_retried = false;
    if (judgement->verdict == VERDICT_REFUSED || !slot->is_unsure) {
        return work_answered(sender, slot, invoice, OUTCOME_REFUSED, answer, NULL,
                             judgement->detail, err) &&
               slot_advance(sender, slot, err);
    }
    if (!place_retry_invoice(sender, slot, &is_retried, err) || is_retried) {
        return is_retried;
    }
    invoice->result.status = EMIT_UNKNOWN;
    (void)snprintf(invoice->result.detail, sizeof invoice->result.detail, "%s", judgement->detail);
    return slot_advance(sender, slot, err);
}

static bool give_up_item(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                         const struct judgement *judgement, struct err *err) {
    struct emit_work *work = &slot->group.works[slot->work_index];
    work->is_unsettled = work->is_unsettled || slot->is_unsure;
    if (!work->is_unsettled || judgement->verdict == VERDICT_REFUSED) {
        if (!work_answered(sender, slot, work, OUTCOME_REFUSED, answer, NULL, judgement->detail,
                           err)) {
            return false;
        }
        /* Finalised in between, or gone: there is another place. */
        if (judgement->is_about_invoice && work->raised < RAISED_MAX) {
            work_reopen(work);
            if (strcmp(work->place_id, slot->place_id) == 0) {
                place_forget(slot);
            }
        }
        return slot_advance(sender, slot, err);
    }
    /* Its key has ended over there: a listing can tell what it did. */
    bool is_kept = judgement->verdict == VERDICT_KEPT_FAILURE;
    bool is_last_word = answer->status >= 500 && answer->has_should_retry && !answer->should_retry;
    if ((is_kept || is_last_word) && work->raised < RAISED_MAX) {
        work->needs_list = true;
        work->is_kept = is_kept;
        return slot_advance(sender, slot, err);
    }
    work->result.status = EMIT_UNKNOWN;
    work->result.attempts = work->attempt;
    (void)snprintf(work->result.detail, sizeof work->result.detail, "%s", judgement->detail);
    return slot_advance(sender, slot, err);
}

static bool give_up(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                    const struct judgement *judgement, struct err *err) {
    if (sender->is_closing) {
        return closing_give_up(sender, slot, answer, judgement, err);
    }
    if (sender->reconcile != NULL) {
        bool is_gone = (slot->step == STEP_LINES || slot->step == STEP_SOUGHT) &&
                       answer->status == 404 && judgement->verdict == VERDICT_REFUSED;
        return is_gone ? reconcile_take_gone(sender, slot, answer, err)
                       : reconcile_failed(slot, answer, judgement, err);
    }
    if (slot->step == STEP_ITEM) {
        return give_up_item(sender, slot, answer, judgement, err);
    }
    if (slot->step == STEP_ADD_LINES) {
        return lines_give_up(sender, slot, answer, judgement, err);
    }
    if (slot->step == STEP_LINES && answer->status == 404 &&
        judgement->verdict == VERDICT_REFUSED) {
        return lines_are_gone(sender, slot, err);
    }
    if (slot->step == STEP_INVOICE) {
        return give_up_invoice(sender, slot, answer, judgement, err);
    }
    give_up_others(slot, judgement->detail);
    slot_finish(sender, slot);
    return true;
}

static bool stop_for_all(const struct slot *slot, const struct http_answer *answer,
                         const struct judgement *judgement, struct err *err) {
    if (judgement->verdict == VERDICT_OTHER_CONTENT) {
        (void)err_set(err, ERR_CONTENT,
                      "org '%.*s': the same Idempotency-Key was used with other content (%s, "
                      "request %s)",
                      (int)slot->group.org_id.size_bytes, slot->group.org_id.bytes,
                      judgement->detail, answer->request_id);
        return err_hint(err, "see the request in Stripe's dashboard; nothing more was sent");
    }
    if (judgement->is_untrusted) {
        return answer_untrusted("Stripe", judgement, err);
    }
    (void)err_set(err, ERR_REFUSED, "Stripe does not take the API key: %s%s%s", judgement->detail,
                  answer->request_id[0] != '\0' ? ", request " : "", answer->request_id);
    return err_hint(err, "check STRIPE_API_KEY, then type the same command again");
}

/*
 * The key was used for something else: by a start whose journal is lost, when the item was to go
 * elsewhere. What stands at Stripe decides, and not what the key was used for.
 */
static bool take_other_content(struct sender *sender, struct slot *slot,
                               const struct http_answer *answer, const struct judgement *judgement,
                               struct err *err) {
    bool is_retried = false;
    if (slot->step == STEP_INVOICE) {
        if (!place_retry_invoice(sender, slot, &is_retried, err) || is_retried) {
            return is_retried;
        }
    }
    if (slot->step == STEP_ADD_LINES) {
        if (!lines_take_other_content(sender, slot, &is_retried, err) || is_retried) {
            return is_retried;
        }
    }
    if (slot->step == STEP_FINALIZE) {
        return closing_give_up(sender, slot, answer, judgement, err);
    }
    struct emit_work *work = &slot->group.works[slot->work_index];
    if (slot->step == STEP_ITEM && work->raised < RAISED_MAX) {
        work->is_unsettled = true;
        work->needs_list = true;
        return slot_advance(sender, slot, err);
    }
    return stop_for_all(slot, answer, judgement, err);
}

/* The same request again, after a pause. */
static void try_again(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      enum verdict verdict) {
    int64_t now_us = clock_monotonic_us(sender->options.sys);
    int64_t pause_us = retry_delay_us(sender, slot->tries);
    if (answer->retry_after_us > pause_us) {
        pause_us = answer->retry_after_us;
    }
    if (verdict == VERDICT_TOO_MUCH) {
        pace_slow_down(&sender->paces[slot->step], now_us, answer->is_rate_limited ? pause_us : 0);
    }
    slot_pause(sender, slot, slot->step, now_us + pause_us);
}

/* Nobody saw it: until the deadline, however often. */
static void try_connecting(struct sender *sender, struct slot *slot,
                           const struct http_answer *answer) {
    int64_t now_us = clock_monotonic_us(sender->options.sys);
    reach_missed(&sender->reach, answer->problem);
    slot_pause(sender, slot, slot->step, now_us + retry_delay_us(sender, ++slot->misses));
}

static bool is_maybe_done(const struct slot *slot) {
    return slot->is_unsure ||
           (slot->step == STEP_ITEM && slot->group.works[slot->work_index].is_unsettled) ||
           (slot->step == STEP_FINALIZE && slot->invoice.is_unsettled);
}

static bool take_done(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      const struct judgement *judgement, struct err *err) {
    const json_t *object = judgement->object;
    switch (slot->step) {
    case STEP_LIST:
        return take_list(sender, slot, answer, object, err);
    case STEP_SUBSCRIPTION:
        return place_take_subscription(sender, slot, object, err);
    case STEP_INVOICES:
        return sender->reconcile != NULL
                   ? reconcile_take_invoices(sender, slot, answer, object, err)
                   : place_take_invoices(sender, slot, object, err);
    case STEP_INVOICE:
        return place_take_invoice(sender, slot, answer, object, err);
    case STEP_ITEM:
        return take_item(sender, slot, answer, judgement, err);
    case STEP_ADD_LINES:
        return lines_take_added(sender, slot, answer, object, err);
    case STEP_LINES:
        return sender->is_closing          ? closing_take(sender, slot, answer, object, err)
               : sender->reconcile != NULL ? reconcile_take_lines(sender, slot, answer, object, err)
                                           : lines_take(sender, slot, answer, object, err);
    case STEP_SHOW:
    case STEP_FINALIZE:
        return closing_take(sender, slot, answer, object, err);
    case STEP_RECONCILE:
        return reconcile_take(sender, slot, answer, object, err);
    case STEP_SOUGHT:
        return reconcile_take_sought(sender, slot, answer, object, err);
    case STEPS_COUNT:
        break;
    }
    return true;
}

bool step_take(struct sender *sender, struct slot *slot, const struct http_answer *answer,
               struct err *err) {
    struct judgement judgement;
    bool is_fine = true;
    bool is_post = slot->step == STEP_ITEM || slot->step == STEP_INVOICE ||
                   slot->step == STEP_ADD_LINES || slot->step == STEP_FINALIZE;
    bool is_last_word = answer->has_should_retry && !answer->should_retry;
    if (slot->step == STEP_ITEM && slot->group.works[slot->work_index].place != PLACE_METER) {
        answer_judge_brief(answer, &judgement);
    } else {
        answer_judge(answer, &judgement);
    }
    /* A comparison sends nothing: whoever waits for it is told at once that it cannot be made. */
    if (judgement.verdict == VERDICT_NOT_DONE && sender->reconcile == NULL) {
        try_connecting(sender, slot, answer);
        return true;
    }
    slot->misses = 0;
    slot->tries++;
    /* Permission is looked at before the key: this says nothing about the tries before. */
    if (judgement.verdict == VERDICT_REFUSED && answer->status == 403 && is_maybe_done(slot)) {
        judgement.verdict = VERDICT_UNSURE;
    }
    switch (judgement.verdict) {
    case VERDICT_DONE:
        pace_answered(&sender->paces[slot->step]);
        is_fine = take_done(sender, slot, answer, &judgement, err);
        break;
    case VERDICT_REFUSED:
    case VERDICT_KEPT_FAILURE:
        if (slot->step == STEP_ITEM && judgement.is_there_already &&
            slot->group.works[slot->work_index].place == PLACE_METER) {
            is_fine = take_there_already(sender, slot, answer, err);
            break;
        }
        slot->is_unsure = slot->is_unsure || judgement.verdict == VERDICT_KEPT_FAILURE;
        is_fine = give_up(sender, slot, answer, &judgement, err);
        break;
    case VERDICT_UNSURE:
        slot->is_unsure = slot->is_unsure || is_post;
        __attribute__((fallthrough));
    case VERDICT_NOT_DONE:
    case VERDICT_TOO_MUCH:
        if (is_last_word || (slot->tries >= TRIES_MAX && judgement.verdict != VERDICT_TOO_MUCH)) {
            is_fine = give_up(sender, slot, answer, &judgement, err);
        } else {
            try_again(sender, slot, answer, judgement.verdict);
        }
        break;
    case VERDICT_OTHER_CONTENT:
        is_fine = take_other_content(sender, slot, answer, &judgement, err);
        break;
    case VERDICT_BAD_KEY:
        is_fine = stop_for_all(slot, answer, &judgement, err);
        break;
    }
    judgement_release(&judgement);
    return is_fine;
}
