/*
 * Where a group's items go: on the draft invoice of its subscription, on the subscription's next
 * invoice, or on an invoice of their own, which is made once per customer, currency and period.
 *
 * An invoice of ours is known by metadata[invoice_key], the digest of customer, currency and
 * period, and is looked for before one is made: it may be of another org of the same customer, of
 * an earlier start, or of a run directory that is lost. Only a draft takes items, so one that was
 * finalised or is gone is followed by another, under the next attempt. An empty draft bills nobody:
 * one too many, after an answer that did not come, is harmless.
 */
#include <stdio.h>

#include "emit/form.h"
#include "sender_internal.h"
#include "sys/clock.h"

#define DAY_US (INT64_C(86400) * 1000000)
/* The cycle of a subscription and our period end on the same day, in whatever zone each counts. */
#define SAME_END_US (2 * DAY_US)

static void target_set(struct slot *slot, enum emit_place place, struct text id) {
    slot->has_target = true;
    slot->place = place;
    keep_text(slot->place_id, sizeof slot->place_id, id);
}

/* --- asking -------------------------------------------------------------------------------------
 */

bool place_ask_subscription(struct sender *sender, struct slot *slot, struct http_call *call,
                            struct err *err) {
    (void)sender;
    return buffer_append(&call->url, text_from("/v1/subscriptions/"), err) &&
           form_encode(&call->url, slot->group.subscription, err);
}

/* What was made for the period was made after its end. */
static int64_t made_since_s(const struct slot *slot) {
    return (slot->group.works[0].item.period_end.us - DAY_US) / 1000000;
}

bool place_ask_invoices(struct sender *sender, struct slot *slot, struct http_call *call,
                        struct err *err) {
    struct buffer query = {0};
    bool is_draft_wanted = !slot->is_draft_asked;
    (void)sender;
    bool is_fine =
        form_text(&query, "customer", slot->group.customer, err) &&
        (is_draft_wanted ? form_text(&query, "subscription", slot->group.subscription, err) &&
                               form_text(&query, "status", text_from("draft"), err)
                         : form_int64(&query, "created[gte]", made_since_s(slot), err)) &&
        page_ask(slot, "/v1/invoices", &query, call, err);
    buffer_release(&query);
    return is_fine;
}

bool place_ask_invoice(struct sender *sender, struct slot *slot, struct http_call *call,
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

/* --- answers ------------------------------------------------------------------------------------
 */

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

bool place_take_subscription(struct sender *sender, struct slot *slot, const json_t *object,
                             struct err *err) {
    const char *status = object_text(object, "status");
    bool is_active = strcmp(status, "active") == 0 || strcmp(status, "trialing") == 0 ||
                     strcmp(status, "past_due") == 0;
    bool is_ending = json_is_true(json_object_get(object, "cancel_at_period_end"));
    int64_t wait_us = next_invoice_s(object) * 1000000 - clock_now(sender->options.sys).us;
    if (is_active && !is_ending && wait_us <= sender->options.max_wait_us) {
        target_set(slot, PLACE_SUBSCRIPTION, slot->group.subscription);
    } else {
        slot->has_no_subscription = true;
    }
    return slot_advance(sender, slot, err);
}

static bool is_refused(const struct slot *slot, const char *id) {
    return slot->refused_id[0] != '\0' && strcmp(slot->refused_id, id) == 0;
}

/* The draft whose period ends nearest to ours. */
static void match_draft(struct slot *slot, const json_t *invoice) {
    int64_t end_us = json_integer_value(json_object_get(invoice, "period_end")) * 1000000;
    int64_t off_us = end_us - slot->group.works[0].item.period_end.us;
    off_us = off_us < 0 ? -off_us : off_us;
    bool is_ours =
        strcmp(object_text(invoice, "currency"), slot->group.works[0].item.currency->code) == 0 &&
        off_us <= SAME_END_US && !is_refused(slot, object_text(invoice, "id"));
    if (is_ours && (slot->found_id[0] == '\0' || off_us < slot->found_off_us)) {
        slot->found_off_us = off_us;
        keep_text(slot->found_id, sizeof slot->found_id, text_from(object_text(invoice, "id")));
    }
}

/*
 * Of several drafts of ours the oldest: they are listed newest first. One that took nothing more is
 * full, and so are those before it.
 */
static void match_own(struct slot *slot, const json_t *invoice) {
    struct emit_key key;
    const char *text = object_text(json_object_get(invoice, "metadata"), "invoice_key");
    if (!emit_key_parse(text_from(text), &key) ||
        memcmp(key.bytes, slot->invoice.item.key.bytes, sizeof key.bytes) != 0) {
        return;
    }
    slot->invoices_count++;
    const char *id = object_text(invoice, "id");
    slot->is_behind_refused = slot->is_behind_refused || is_refused(slot, id);
    if (strcmp(object_text(invoice, "status"), "draft") == 0 && !slot->is_behind_refused) {
        keep_text(slot->found_id, sizeof slot->found_id, text_from(id));
    }
}

bool place_take_invoices(struct sender *sender, struct slot *slot, const json_t *object,
                         struct err *err) {
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(object, "data"), index, row) {
        if (slot->is_draft_asked) {
            match_own(slot, row);
        } else {
            match_draft(slot, row);
        }
    }
    if (page_turn(slot, object)) {
        slot_ready(sender, slot, STEP_INVOICES);
        return true;
    }
    if (slot->found_id[0] != '\0') {
        target_set(slot, PLACE_INVOICE, text_from(slot->found_id));
    }
    slot->is_own_place = slot->is_draft_asked && slot->has_target;
    slot->is_own_asked = slot->is_draft_asked;
    slot->is_draft_asked = true;
    return slot_advance(sender, slot, err);
}

bool place_take_invoice(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                        const json_t *object, struct err *err) {
    target_set(slot, PLACE_INVOICE, text_from(object_text(object, "id")));
    slot->is_own_place = true;
    return work_answered(sender, slot, &slot->invoice, OUTCOME_SENT, answer, object, "", err) &&
           slot_advance(sender, slot, err);
}

void place_forget(struct slot *slot) {
    memcpy(slot->refused_id, slot->place_id, sizeof slot->refused_id);
    slot->has_target = false;
    slot->is_own_place = false;
    slot->is_draft_asked = false;
    slot->is_own_asked = false;
}

/* --- an invoice of our own ----------------------------------------------------------------------
 */

static bool put_part(struct buffer *content, struct text part, struct err *err) {
    return buffer_append_format(content, err, "%zu:", part.size_bytes) &&
           buffer_append(content, part, err);
}

bool place_invoice_key(const struct sender *sender, const struct slot *slot, struct emit_key *key,
                       struct err *err) {
    struct buffer content = {0};
    struct digest digest;
    bool is_fine = put_part(&content, text_from("invoice"), err) &&
                   put_part(&content, slot->group.customer, err) &&
                   put_part(&content, text_from(slot->group.works[0].item.currency->code), err) &&
                   put_part(&content, text_from(sender->options.period), err) &&
                   digest_of(content.bytes, content.size_bytes, &digest, err);
    buffer_release(&content);
    if (is_fine) {
        memcpy(key->bytes, digest.bytes, sizeof key->bytes);
    }
    return is_fine;
}

static bool search_invoice(struct sender *sender, struct slot *slot, struct err *err) {
    unsigned attempt = slot->invoice.attempt;
    unsigned raised = slot->invoice.raised;
    slot->invoice =
        (struct emit_work){.attempt = attempt, .raised = raised, .place = PLACE_CUSTOMER};
    slot->invoice.item.org_id = slot->group.org_id;
    slot->is_draft_asked = true;
    slot->invoices_count = 0;
    slot->is_behind_refused = false;
    slot->found_id[0] = '\0';
    slot->page_after[0] = '\0';
    if (!place_invoice_key(sender, slot, &slot->invoice.item.key, err)) {
        return false;
    }
    slot_ready(sender, slot, STEP_INVOICES);
    return true;
}

/* No draft of ours is there: the attempt to make one under, behind all that are known of. */
static bool number_invoice(struct sender *sender, struct slot *slot, struct err *err) {
    struct journal_state known = {0};
    unsigned attempt = slot->invoices_count + 1;
    if (!journal_find(sender->journal, &slot->invoice.item.key, &known, err)) {
        return false;
    }
    if (known.has_intent && known.intent.attempt > attempt) {
        attempt = known.intent.attempt;
    }
    if (known.has_answer && !known.is_unsettled && known.answer.attempt >= attempt) {
        attempt = known.answer.attempt + 1;
    }
    if (slot->invoice.attempt >= attempt) {
        attempt = slot->invoice.attempt + 1; /* the one before came to nothing in this start */
    }
    slot->invoice.attempt = attempt;
    slot->is_numbered = true;
    return true;
}

/* Without its invoice no item was sent. */
static void fail_open(struct slot *slot) {
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (work->result.status == EMIT_OPEN) {
            work->result = slot->invoice.result;
            work->result.status = EMIT_FAILED;
            work->result.attempts = work->attempt - 1;
        }
    }
}

static bool advance_invoice(struct sender *sender, struct slot *slot, struct err *err) {
    if (!slot->is_own_asked) {
        slot->is_numbered = false;
        return search_invoice(sender, slot, err);
    }
    if (!slot->is_numbered && !number_invoice(sender, slot, err)) {
        return false;
    }
    if (slot->invoice.result.status != EMIT_OPEN) {
        fail_open(slot);
        slot_finish(sender, slot);
    } else if (slot->invoice.has_intent) {
        slot_ready(sender, slot, STEP_INVOICE);
    } else {
        slot_need_intent(sender, slot);
    }
    return true;
}

/* The answer did not come, is a failure for ever, or the key is of another body: look, then make
   another. False: that was done often enough. */
bool place_retry_invoice(struct sender *sender, struct slot *slot, bool *is_retried,
                         struct err *err) {
    *is_retried = slot->invoice.raised < RAISED_MAX;
    if (!*is_retried) {
        return true;
    }
    slot->invoice.raised++;
    slot->is_own_asked = false;
    return slot_advance(sender, slot, err);
}

bool place_find(struct sender *sender, struct slot *slot, struct err *err) {
    const struct sender_options *options = &sender->options;
    if (options->is_metered) {
        target_set(slot, PLACE_METER, (struct text){"", 0});
        return slot_advance(sender, slot, err);
    }
    bool has_subscription = slot->group.subscription.size_bytes > 0 && !slot->has_no_subscription &&
                            options->attach != ATTACH_INVOICE;
    if (has_subscription && options->attach == ATTACH_DRAFT && !slot->is_draft_asked) {
        slot->found_id[0] = '\0';
        slot->page_after[0] = '\0';
        slot_ready(sender, slot, STEP_INVOICES);
        return true;
    }
    if (has_subscription && options->max_wait_us >= 0) {
        slot_ready(sender, slot, STEP_SUBSCRIPTION);
        return true;
    }
    if (has_subscription) {
        target_set(slot, PLACE_SUBSCRIPTION, slot->group.subscription);
        return slot_advance(sender, slot, err);
    }
    if (!options->may_stand_alone && options->attach != ATTACH_INVOICE) {
        slot_hold(sender, slot, "no_upcoming_invoice");
        return true;
    }
    return advance_invoice(sender, slot, err);
}
