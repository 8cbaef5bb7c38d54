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
    call->is_post = true;
    emit_idempotency_format(&work->item.key, work->attempt, call->idempotency_key);
    return buffer_append(&call->url, text_from("/v1/invoiceitems"), err) &&
           emit_item_body(&work->item, &target, &call->body, err);
}

static bool ask_invoice(struct sender *sender, struct slot *slot, struct http_call *call,
                        struct err *err) {
    char key[EMIT_KEY_TEXT_MAX];
    emit_key_format(&slot->invoice.item.key, key);
    call->is_post = true;
    emit_idempotency_format(&slot->invoice.item.key, slot->invoice.attempt, call->idempotency_key);
    return buffer_append(&call->url, text_from("/v1/invoices"), err) &&
           form_text(&call->body, "customer", slot->group.customer, err) &&
           form_bool(&call->body, "auto_advance", false, err) &&
           form_text(&call->body, "pending_invoice_items_behavior", text_from("exclude"), err) &&
           form_text(&call->body, "currency", text_from(slot->group.works[0].item.currency->code),
                     err) &&
           form_text(&call->body, "metadata[invoice_key]", text_from(key), err) &&
           form_text(&call->body, "metadata[run_id]", text_from(sender->options.run_id), err) &&
           form_text(&call->body, "metadata[period]", text_from(sender->options.period), err);
}

static bool ask_subscription(struct sender *sender, struct slot *slot, struct http_call *call,
                             struct err *err) {
    (void)sender;
    return buffer_append(&call->url, text_from("/v1/subscriptions/"), err) &&
           form_encode(&call->url, slot->group.subscription, err);
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
                   form_int64(&query, "limit", 100, err) &&
                   (slot->page_after[0] == '\0' ||
                    form_text(&query, "starting_after", text_from(slot->page_after), err)) &&
                   buffer_append(&call->url, text_from("/v1/invoiceitems?"), err) &&
                   buffer_append(&call->url, buffer_text(&query), err);
    buffer_release(&query);
    return is_fine;
}

bool step_ask(struct sender *sender, struct slot *slot, struct http_call *call, struct err *err) {
    switch (slot->step) {
    case STEP_LIST:
        return ask_list(sender, slot, call, err);
    case STEP_SUBSCRIPTION:
        return ask_subscription(sender, slot, call, err);
    case STEP_INVOICE:
        return ask_invoice(sender, slot, call, err);
    case STEP_ITEM:
        return ask_item(sender, slot, call, err);
    case STEPS_COUNT:
        break;
    }
    return true;
}

/* --- answers that settle ------------------------------------------------------------------------
 */

static bool take_item(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      const json_t *object, struct err *err) {
    struct emit_work *work = &slot->group.works[slot->work_index];
    return work_check_object(work, slot->group.customer, object, err) &&
           work_answered(sender, slot, work, OUTCOME_SENT, answer, object, "", err) &&
           slot_advance(sender, slot, err);
}

static bool take_invoice(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                         const json_t *object, struct err *err) {
    return work_answered(sender, slot, &slot->invoice, OUTCOME_SENT, answer, object, "", err) &&
           slot_advance(sender, slot, err);
}

/* When the subscription is billed next; it stood on the subscription itself in older versions. */
static int64_t next_invoice_s(const json_t *object) {
    int64_t end_s = json_integer_value(json_object_get(object, "current_period_end"));
    const json_t *items = json_object_get(json_object_get(object, "items"), "data");
    size_t index;
    json_t *item;
    json_array_foreach(items, index, item) {
        int64_t item_end_s = json_integer_value(json_object_get(item, "current_period_end"));
        if (item_end_s > 0 && (end_s == 0 || item_end_s < end_s)) {
            end_s = item_end_s;
        }
    }
    return end_s;
}

static bool take_subscription(struct sender *sender, struct slot *slot, const json_t *object,
                              struct err *err) {
    const char *status = object_text(object, "status");
    bool is_active = strcmp(status, "active") == 0 || strcmp(status, "trialing") == 0 ||
                     strcmp(status, "past_due") == 0;
    bool is_ending = json_is_true(json_object_get(object, "cancel_at_period_end"));
    int64_t wait_us = next_invoice_s(object) * 1000000 - clock_now(sender->options.sys).us;
    if (is_active && !is_ending && wait_us <= sender->options.max_wait_us) {
        slot->has_target = true;
        slot->place = PLACE_SUBSCRIPTION;
        size_t size = slot->group.subscription.size_bytes;
        size = size < sizeof slot->place_id - 1 ? size : sizeof slot->place_id - 1;
        memcpy(slot->place_id, slot->group.subscription.bytes, size);
        slot->place_id[size] = '\0';
    } else {
        slot->group.subscription.size_bytes = 0;
    }
    return slot_advance(sender, slot, err);
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
        if (!work_check_object(work, slot->group.customer, object, err)) {
            return false;
        }
        return work_answered(sender, slot, work, OUTCOME_FOUND, answer, object, "", err);
    }
    return true;
}

static bool take_list(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      const json_t *object, struct err *err) {
    const json_t *data = json_object_get(object, "data");
    const char *last_id = "";
    size_t index;
    json_t *row;
    json_array_foreach(data, index, row) {
        last_id = object_text(row, "id");
        if (!match_listed(sender, slot, answer, row, err)) {
            return false;
        }
    }
    if (json_is_true(json_object_get(object, "has_more")) && last_id[0] != '\0') {
        (void)snprintf(slot->page_after, sizeof slot->page_after, "%s", last_id);
        slot->tries = 0;
        slot_ready(sender, slot, STEP_LIST);
        return true;
    }
    for (size_t work_index = 0; work_index < slot->group.works_count; work_index++) {
        struct emit_work *work = &slot->group.works[work_index];
        if (!work->needs_list) {
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

static bool give_up(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                    const struct judgement *judgement, struct err *err) {
    struct emit_work *work = slot->step == STEP_ITEM      ? &slot->group.works[slot->work_index]
                             : slot->step == STEP_INVOICE ? &slot->invoice
                                                          : NULL;
    if (work == NULL) {
        give_up_others(slot, judgement->detail);
        slot_finish(sender, slot);
        return true;
    }
    work->is_unsettled = work->is_unsettled || slot->is_unsure;
    bool is_ended = answer->fate == HTTP_ANSWERED && answer->status >= 500;
    if (!work->is_unsettled || judgement->verdict == VERDICT_REFUSED) {
        return work_answered(sender, slot, work, OUTCOME_REFUSED, answer, NULL, judgement->detail,
                             err) &&
               slot_advance(sender, slot, err);
    }
    if (slot->step == STEP_INVOICE && work->raised < RAISED_MAX) {
        /* Another one: an empty draft bills nobody. */
        work->raised++;
        work->attempt++;
        work->has_intent = false;
        work->is_unsettled = false;
        return slot_advance(sender, slot, err);
    }
    /* It ended over there: a listing can tell what it did. */
    if (is_ended && slot->step == STEP_ITEM && work->raised < RAISED_MAX) {
        work->needs_list = true;
        return slot_advance(sender, slot, err);
    }
    work->result.status = EMIT_UNKNOWN;
    work->result.attempts = work->attempt;
    (void)snprintf(work->result.detail, sizeof work->result.detail, "%s", judgement->detail);
    return slot_advance(sender, slot, err);
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
    slot->state = SLOT_PAUSES;
    slot->pause_until_us = now_us + pause_us;
    sender->pausing_count++;
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
    (void)err_set(err, ERR_REFUSED, "Stripe does not take the API key: %s%s%s", judgement->detail,
                  answer->request_id[0] != '\0' ? ", request " : "", answer->request_id);
    return err_hint(err, "check STRIPE_API_KEY, then type the same command again");
}

static bool is_maybe_done(const struct slot *slot) {
    return slot->is_unsure ||
           (slot->step == STEP_ITEM && slot->group.works[slot->work_index].is_unsettled);
}

bool step_take(struct sender *sender, struct slot *slot, const struct http_answer *answer,
               struct err *err) {
    struct judgement judgement;
    bool is_fine = true;
    bool is_post = slot->step == STEP_ITEM || slot->step == STEP_INVOICE;
    bool is_last_word = answer->has_should_retry && !answer->should_retry;
    answer_judge(answer, &judgement);
    slot->tries++;
    /* Permission is looked at before the key: this says nothing about the tries before. */
    if (judgement.verdict == VERDICT_REFUSED && answer->status == 403 && is_maybe_done(slot)) {
        judgement.verdict = VERDICT_UNSURE;
    }
    switch (judgement.verdict) {
    case VERDICT_DONE:
        pace_answered(&sender->paces[slot->step]);
        is_fine =
            slot->step == STEP_ITEM      ? take_item(sender, slot, answer, judgement.object, err)
            : slot->step == STEP_INVOICE ? take_invoice(sender, slot, answer, judgement.object, err)
            : slot->step == STEP_LIST    ? take_list(sender, slot, answer, judgement.object, err)
                                         : take_subscription(sender, slot, judgement.object, err);
        break;
    case VERDICT_REFUSED:
    case VERDICT_KEPT_FAILURE:
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
    case VERDICT_BAD_KEY:
    case VERDICT_OTHER_CONTENT:
        is_fine = stop_for_all(slot, answer, &judgement, err);
        break;
    }
    judgement_release(&judgement);
    return is_fine;
}
