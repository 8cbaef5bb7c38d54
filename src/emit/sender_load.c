/* What the journal knows of a group, and what is to be done for it next. */
#include <stdio.h>

#include "sender_internal.h"
#include "sys/clock.h"

void keep_text(char *kept, size_t kept_max, struct text text) {
    size_t size = text.size_bytes < kept_max - 1 ? text.size_bytes : kept_max - 1;
    memcpy(kept, text.bytes != NULL ? text.bytes : "", size);
    kept[size] = '\0';
}

static struct emit_target target_of(const struct sender *sender, const struct slot *slot,
                                    enum emit_place place, const char *place_id) {
    return (struct emit_target){.customer = slot->group.customer,
                                .place = place,
                                .place_id = text_from(place_id),
                                .run_id = sender->options.run_id,
                                .is_discountable = sender->options.is_discountable};
}

static bool digest_body(struct sender *sender, struct emit_key *content, struct err *err) {
    struct digest digest;
    if (!digest_of(sender->body.bytes, sender->body.size_bytes, &digest, err)) {
        return false;
    }
    memcpy(content->bytes, digest.bytes, sizeof content->bytes);
    return true;
}

/* --- from the journal ---------------------------------------------------------------------------
 */

static bool content_conflict(const struct emit_work *work, const char *what, const char *ours,
                             const char *theirs, struct err *err) {
    char key[EMIT_KEY_TEXT_MAX];
    emit_key_format(&work->item.key, key);
    (void)err_set(err, ERR_CONTENT,
                  "org '%.*s', metric '%.*s': item %s is there already with other content: %s %s, "
                  "ours %s",
                  (int)work->item.org_id.size_bytes, work->item.org_id.bytes,
                  (int)work->item.metric.size_bytes, work->item.metric.bytes, key, what, theirs,
                  ours);
    return err_hint(err, "see it in Stripe's dashboard; nothing more was sent");
}

/* It stands there, and is nobody's to send again. */
static bool tell_different(struct sender *sender, struct emit_work *work, struct err *err) {
    if (sender->reconcile == NULL && !sender->options.tells_different) {
        return false;
    }
    work->is_different = true;
    if (sender->reconcile == NULL) {
        work->result.status = EMIT_UNKNOWN;
        keep_text(work->result.detail, sizeof work->result.detail, text_from(err->message));
    }
    err_release(err);
    return true;
}

/* Is what was found or sent what is to be billed? */
static bool check_known(const struct emit_work *work, struct text customer,
                        const struct journal_answer *answer, struct err *err) {
    char ours[64];
    char theirs[320];
    if (answer->amount != work->item.amount ||
        !text_equals(answer->currency, text_from(work->item.currency->code))) {
        (void)snprintf(ours, sizeof ours, "%lld %s", (long long)work->item.amount,
                       work->item.currency->code);
        (void)snprintf(theirs, sizeof theirs, "%lld %.*s", (long long)answer->amount,
                       (int)(answer->currency.size_bytes < 8 ? answer->currency.size_bytes : 8),
                       answer->currency.bytes);
        return content_conflict(work, "amount", ours, theirs, err);
    }
    if (customer.size_bytes > 0 && !text_equals(answer->customer, customer)) {
        char own[EMIT_ID_MAX];
        keep_text(own, sizeof own, customer);
        keep_text(theirs, EMIT_ID_MAX, answer->customer);
        return content_conflict(work, "customer", own, theirs, err);
    }
    return true;
}

bool work_check_object(const struct emit_work *work, struct text customer, const json_t *object,
                       struct err *err) {
    struct brief brief = brief_of(object);
    return work_check_brief(work, customer, &brief, err);
}

bool work_check_brief(const struct emit_work *work, struct text customer, const struct brief *brief,
                      struct err *err) {
    struct journal_answer answer = {
        .amount = brief->amount,
        .currency = brief->currency,
        .customer = brief->customer,
    };
    return check_known(work, customer, &answer, err);
}

static bool load_answer(struct sender *sender, struct text customer, struct emit_work *work,
                        const struct journal_answer *answer, struct err *err) {
    work->attempt = answer->attempt;
    work->result.attempts = answer->attempt;
    keep_text(work->result.request_id, sizeof work->result.request_id, answer->request_id);
    switch (answer->outcome) {
    case OUTCOME_SENT:
    case OUTCOME_FOUND:
        work->result.status = EMIT_SENT;
        keep_text(work->result.object_id, sizeof work->result.object_id, answer->object_id);
        keep_text(work->result.invoice_id, sizeof work->result.invoice_id, answer->invoice_id);
        return work->item.currency == NULL || check_known(work, customer, answer, err) ||
               tell_different(sender, work, err);
    case OUTCOME_REFUSED:
        keep_text(work->result.detail, sizeof work->result.detail, answer->detail);
        work->result.status = sender->options.retries_failed ? EMIT_OPEN : EMIT_FAILED;
        work->attempt++;
        return true;
    case OUTCOME_ABSENT:
        work->result.status = EMIT_OPEN;
        work->attempt++;
    }
    return true;
}

/* Was the body of the attempt the one that we would send now? */
static bool is_same_body(struct sender *sender, struct slot *slot, struct emit_work *work,
                         const struct journal_intent *intent, bool *is_same, struct err *err) {
    struct emit_key content;
    struct emit_target target = target_of(sender, slot, work->place, work->place_id);
    if (!emit_item_body(&work->item, &target, &sender->body, err) ||
        !digest_body(sender, &content, err)) {
        return false;
    }
    *is_same = memcmp(content.bytes, intent->content.bytes, sizeof content.bytes) == 0;
    return true;
}

/* A wall clock that was put back says nothing about an age; the other one begins with a process. */
static bool is_key_alive(const struct sender *sender, const struct emit_work *work) {
    const struct sys *sys = sender->options.sys;
    int64_t age_us = clock_now(sys).us - work->first_at_us;
    bool is_old = work->first_us != 0 && clock_elapsed_us(sys) - work->first_us >= KEY_LIFE_US;
    return !is_old && age_us >= 0 && age_us < KEY_LIFE_US;
}

static bool load_work(struct sender *sender, struct slot *slot, struct emit_work *work,
                      struct err *err) {
    struct journal_state known;
    work->attempt = 1;
    if (!journal_find(sender->journal, &work->item.key, &known, err)) {
        return false;
    }
    if (known.has_answer && !known.is_unsettled) {
        bool is_sent =
            known.answer.outcome == OUTCOME_SENT || known.answer.outcome == OUTCOME_FOUND;
        work->customer = is_sent ? known.answer.customer : (struct text){"", 0};
        /* Sent there on purpose: the org may have another customer now. */
        bool is_meant =
            work->recorded_id != NULL ||
            (known.has_intent && text_equals(known.intent.customer, known.answer.customer));
        return load_answer(sender, is_meant ? (struct text){"", 0} : slot->group.customer, work,
                           &known.answer, err);
    }
    if (!known.is_unsettled) {
        if (work->recorded_id != NULL && !known.has_answer) {
            work->result.status = EMIT_SENT;
            keep_text(work->result.object_id, EMIT_ID_MAX, text_from(work->recorded_id));
        }
        return true;
    }
    /* Until it is settled the whole group stays with the customer that it was asked for. */
    slot->group.customer = known.intent.customer;
    work->attempt = known.intent.attempt;
    work->first_at_us = known.intent.at.us;
    work->has_intent = true;
    work->is_unsettled = true;
    work->place = known.intent.place;
    work->content = known.intent.content;
    keep_text(work->place_id, sizeof work->place_id, known.intent.place_id);
    if (work->place == PLACE_LINES) { /* which others went with it, only the invoice can tell */
        work->needs_list = true;
        return true;
    }
    bool is_same = false;
    if (!is_same_body(sender, slot, work, &known.intent, &is_same, err)) {
        return false;
    }
    bool is_alive = is_key_alive(sender, work);
    if (work->place == PLACE_METER && !(is_alive && is_same)) {
        work_stays_unknown(work, is_alive ? "it was sent with another amount"
                                          : "its identifier is no longer kept apart");
        return true;
    }
    work->needs_list = !is_alive || !is_same;
    return true;
}

void work_stays_unknown(struct emit_work *work, const char *why) {
    char at[INSTANT_TEXT_MAX];
    (void)instant_format((struct instant){work->first_at_us}, at);
    work->needs_list = false;
    work->result.status = EMIT_UNKNOWN;
    work->result.reason = "not_sent_again";
    work->result.attempts = work->attempt;
    (void)snprintf(work->result.detail, sizeof work->result.detail,
                   "first sent %s and never answered; %s: not sent again; see the usage in "
                   "Stripe's dashboard",
                   at, why);
}

/* What may have been carried out is settled first, whatever holds it now. */
void work_hold(struct emit_work *work) {
    if (work->held_reason != NULL && work->result.status == EMIT_OPEN && !work->is_unsettled) {
        work->result.status = EMIT_HELD;
        work->result.reason = work->held_reason;
    }
}

bool slot_load(struct sender *sender, struct slot *slot, struct err *err) {
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (!load_work(sender, slot, work, err)) {
            return false;
        }
        work_hold(work);
    }
    return true;
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* A pending item is on none. */
static struct text invoice_of(const struct emit_work *work, const struct brief *brief) {
    bool is_placed = work->place == PLACE_INVOICE || work->place == PLACE_LINES;
    bool is_told = brief->invoice.size_bytes > 0 || !brief->is_given || !is_placed;
    return is_told ? brief->invoice : text_from(work->place_id);
}

bool work_answered(struct sender *sender, struct slot *slot, struct emit_work *work,
                   enum journal_outcome outcome, const struct http_answer *answer,
                   const json_t *object, const char *detail, struct err *err) {
    struct brief brief = brief_of(object);
    return work_settled(sender, slot, work, outcome, answer, &brief, detail, err);
}

bool work_settled(struct sender *sender, struct slot *slot, struct emit_work *work,
                  enum journal_outcome outcome, const struct http_answer *answer,
                  const struct brief *brief, const char *detail, struct err *err) {
    char key[EMIT_KEY_TEXT_MAX];
    bool is_found = outcome == OUTCOME_FOUND && brief->customer.size_bytes > 0;
    struct journal_answer record = {
        .key = work->item.key,
        .attempt = work->attempt,
        .outcome = outcome,
        .status = answer->status,
        .amount = brief->amount,
        .currency = brief->currency,
        .customer = is_found ? brief->customer : slot->group.customer,
        .object_id = brief->id,
        .request_id = text_from(answer->request_id),
        .detail = text_from(detail),
        .invoice_id = invoice_of(work, brief),
    };
    if (work->place == PLACE_METER) {
        /* An event of a meter has no id and tells no amount: it was compared, or was there. */
        emit_key_format(&work->item.key, key);
        record.amount = work->item.amount;
        record.currency = text_from(work->item.currency->code);
        bool is_there = outcome == OUTCOME_SENT || outcome == OUTCOME_FOUND;
        record.object_id = text_from(is_there ? key : "");
    }
    if (!journal_put_answer(sender->journal, &record, err)) {
        return false;
    }
    work->is_unsettled = false;
    work->needs_list = false;
    work->is_kept = false;
    work->has_intent = false;
    work->result.attempts = work->attempt;
    keep_text(work->result.request_id, sizeof work->result.request_id, record.request_id);
    keep_text(work->result.detail, sizeof work->result.detail, record.detail);
    switch (outcome) {
    case OUTCOME_SENT:
    case OUTCOME_FOUND:
        work->result.status = EMIT_SENT;
        keep_text(work->result.object_id, sizeof work->result.object_id, record.object_id);
        keep_text(work->result.invoice_id, sizeof work->result.invoice_id, record.invoice_id);
        break;
    case OUTCOME_REFUSED:
        work->result.status = EMIT_FAILED;
        break;
    case OUTCOME_ABSENT:
        work->attempt++;
        work->raised++;
        work_hold(work);
        break;
    }
    return true;
}

void work_reopen(struct emit_work *work) {
    work->result.status = EMIT_OPEN;
    work->attempt++;
    work->raised++;
}

/* --- what is next -------------------------------------------------------------------------------
 */

static struct emit_work *find_unsettled(struct emit_group *group, bool is_listed) {
    for (size_t index = 0; index < group->works_count; index++) {
        struct emit_work *work = &group->works[index];
        if (work->result.status == EMIT_OPEN && work->is_unsettled &&
            work->needs_list == is_listed) {
            return work;
        }
    }
    return NULL;
}

static struct emit_work *find_open(struct emit_group *group) {
    for (size_t index = 0; index < group->works_count; index++) {
        if (group->works[index].result.status == EMIT_OPEN) {
            return &group->works[index];
        }
    }
    return NULL;
}

void slot_hold(struct sender *sender, struct slot *slot, const char *reason) {
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (work->result.status == EMIT_OPEN) {
            work->result.status = EMIT_HELD;
            work->result.reason = reason;
        }
    }
    slot_finish(sender, slot);
}

static bool advance_new(struct sender *sender, struct slot *slot, struct err *err) {
    if (!slot->has_target) {
        return place_find(sender, slot, err);
    }
    struct emit_work *work = find_open(&slot->group);
    if (!work->has_intent) {
        slot_need_intent(sender, slot);
        return true;
    }
    slot->work_index = (size_t)(work - slot->group.works);
    slot_ready(sender, slot, work->place == PLACE_LINES ? STEP_ADD_LINES : STEP_ITEM);
    return true;
}

/* What an earlier start, or a request given up, may still have under way would not be seen. */
static void ready_list(struct sender *sender, struct slot *slot) {
    enum step step =
        slot->group.works[slot->work_index].place == PLACE_LINES ? STEP_LINES : STEP_LIST;
    int64_t quiet_us = sender->options.started_us;
    bool is_kept = true;
    for (size_t index = 0; index < slot->group.works_count; index++) {
        const struct emit_work *work = &slot->group.works[index];
        is_kept = is_kept && (!work->needs_list || work->is_kept);
        quiet_us = work->asked_us > quiet_us ? work->asked_us : quiet_us;
    }
    quiet_us += sender_quiet_us(sender->options.timeout_ms);
    slot->page_after[0] = '\0';
    if (is_kept || clock_monotonic_us(sender->options.sys) >= quiet_us) {
        slot_ready(sender, slot, step);
    } else {
        slot_pause(sender, slot, step, quiet_us);
    }
}

/* Hours may have passed in queues and pauses: past its life the key would be a new one. */
bool slot_may_ask(struct sender *sender, struct slot *slot, bool *may_ask, struct err *err) {
    *may_ask = true;
    if (slot->step != STEP_ITEM && slot->step != STEP_ADD_LINES) {
        return true; /* a group that is only looked at may have no items */
    }
    struct emit_work *work = &slot->group.works[slot->work_index];
    bool is_open = work->is_unsettled || slot->is_unsure;
    bool is_apart = !sender->options.is_metered || sender->options.apart_until.us == 0 ||
                    clock_now(sender->options.sys).us < sender->options.apart_until.us;
    *may_ask = is_apart && (!is_open || is_key_alive(sender, work));
    if (*may_ask) {
        return true;
    }
    if (slot->step == STEP_ADD_LINES) {
        return lines_too_old(sender, slot, err);
    }
    work->is_unsettled = true;
    if (work->place == PLACE_METER) {
        work_stays_unknown(work, "its identifier is no longer kept apart");
        return slot_advance(sender, slot, err);
    }
    work->needs_list = true;
    ready_list(sender, slot);
    return true;
}

bool slot_advance(struct sender *sender, struct slot *slot, struct err *err) {
    if (sender->reconcile != NULL) {
        return reconcile_advance(sender, slot, err);
    }
    if (sender->is_closing) {
        return closing_advance(sender, slot, err);
    }
    slot->tries = 0;
    slot->misses = 0;
    slot->is_unsure = false;
    struct emit_work *work = find_unsettled(&slot->group, true);
    if (work != NULL) {
        slot->work_index = (size_t)(work - slot->group.works);
        ready_list(sender, slot);
        return true;
    }
    work = find_unsettled(&slot->group, false);
    if (work != NULL) {
        slot->work_index = (size_t)(work - slot->group.works);
        slot_ready(sender, slot, STEP_ITEM);
        return true;
    }
    if (sender->is_settling || find_open(&slot->group) == NULL) {
        slot_finish(sender, slot);
        return true;
    }
    const char *reason = slot->group.held_reason;
    if (reason == NULL && slot->group.customer.size_bytes == 0) {
        reason = "no_stripe_customer";
    }
    if (reason != NULL) {
        slot_hold(sender, slot, reason);
        return true;
    }
    return advance_new(sender, slot, err);
}

/* --- intents ------------------------------------------------------------------------------------
 */

bool work_put_intent(struct sender *sender, struct slot *slot, struct emit_work *work,
                     struct err *err) {
    struct instant now = clock_now(sender->options.sys);
    struct journal_intent intent = {.key = work->item.key,
                                    .attempt = work->attempt,
                                    .at = now,
                                    .place = work->place,
                                    .place_id = text_from(work->place_id),
                                    .customer = slot->group.customer};
    if (!digest_body(sender, &intent.content, err) ||
        !journal_put_intent(sender->journal, &intent, err)) {
        return false;
    }
    work->content = intent.content;
    work->first_at_us = now.us;
    work->first_us = clock_elapsed_us(sender->options.sys);
    work->has_intent = true;
    return true;
}

/* What is sent are the very bytes whose digest the intent has. */
static bool keep_body(struct sender *sender, struct slot *slot, struct emit_work *work,
                      struct err *err) {
    work->body_offset = slot->bodies.size_bytes;
    work->body_bytes = sender->body.size_bytes;
    return buffer_append(&slot->bodies, buffer_text(&sender->body), err);
}

/* For all items of the group at once, or for the invoice that they wait for. */
bool slot_put_intents(struct sender *sender, struct slot *slot, struct err *err) {
    if (sender->is_closing) {
        return closing_put_intent(sender, slot, err);
    }
    if (!slot->has_target) {
        buffer_clear(&sender->body);
        return buffer_append(&sender->body, slot->group.customer, err) &&
               work_put_intent(sender, slot, &slot->invoice, err);
    }
    size_t lines_left = lines_count(sender, slot);
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (work->result.status != EMIT_OPEN || work->has_intent) {
            continue;
        }
        bool is_line = lines_left > 0 && lines_may_have(work);
        lines_left -= is_line ? 1 : 0;
        work->place = is_line ? PLACE_LINES : slot->place;
        work->body_bytes = 0;
        memcpy(work->place_id, slot->place_id, strlen(slot->place_id) + 1);
        struct emit_target target = target_of(sender, slot, work->place, work->place_id);
        if (!emit_item_body(&work->item, &target, &sender->body, err) ||
            !work_put_intent(sender, slot, work, err) ||
            (!is_line && !keep_body(sender, slot, work, err))) {
            return false;
        }
    }
    return true;
}
