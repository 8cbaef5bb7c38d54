/*
 * Items as lines of an invoice of ours: all that a group has to send, by one request. Its key is
 * the digest of the sorted item keys, under the highest attempt of these: whenever a request comes
 * to nothing, every item of it has its attempt raised, so that the same items under the same
 * attempt are the same request.
 *
 * Each line has the intent of its item. What became of a request that says nothing definite is
 * asked of the invoice's lines, and so is what became of a refused one, as nobody promises that
 * nothing of it was done. After a refusal the items go one by one: a bad one is its own affair.
 */
#include <assert.h>
#include <stdio.h>

#include "core/memory.h"
#include "emit/form.h"
#include "sender_internal.h"

/* --- which ---------------------------------------------------------------------------------------
 */

/* A line has an amount: quantity and price of a unit would need a product. */
bool lines_may_have(const struct emit_work *work) {
    return work->result.status == EMIT_OPEN && !work->has_intent && !work->item.is_by_quantity;
}

size_t lines_count(const struct sender *sender, const struct slot *slot) {
    size_t count = 0;
    if (!sender->options.batches_lines || !slot->is_own_place || slot->is_unbatched) {
        return 0;
    }
    for (size_t index = 0; index < slot->group.works_count; index++) {
        count += lines_may_have(&slot->group.works[index]) ? 1 : 0;
    }
    count = count < EMIT_LINES_PER_CALL_MAX ? count : EMIT_LINES_PER_CALL_MAX;
    return count >= 2 ? count : 0;
}

/* Of the request at hand. */
static bool is_asked(const struct emit_work *work) {
    return work->result.status == EMIT_OPEN && work->place == PLACE_LINES && work->has_intent &&
           !work->needs_list;
}

static struct emit_work *next_asked(struct slot *slot, size_t *index) {
    while (*index < slot->group.works_count) {
        struct emit_work *work = &slot->group.works[(*index)++];
        if (is_asked(work)) {
            return work;
        }
    }
    return NULL;
}

/* --- adding --------------------------------------------------------------------------------------
 */

static bool put_key(struct slot *slot, struct http_call *call, struct err *err) {
    struct emit_key keys[EMIT_LINES_PER_CALL_MAX];
    struct emit_key key;
    struct emit_work *work;
    size_t count = 0;
    unsigned attempt = 0;
    size_t index = 0;
    while ((work = next_asked(slot, &index)) != NULL) {
        assert(count < EMIT_LINES_PER_CALL_MAX);
        keys[count++] = work->item.key;
        attempt = work->attempt > attempt ? work->attempt : attempt;
    }
    if (!emit_lines_key(keys, count, &key, err)) {
        return false;
    }
    emit_idempotency_format(&key, attempt, call->idempotency_key);
    return true;
}

bool lines_ask_add(struct sender *sender, struct slot *slot, struct http_call *call,
                   struct err *err) {
    const struct emit_target target = {.run_id = sender->options.run_id,
                                       .is_discountable = sender->options.is_discountable};
    struct emit_work *work;
    size_t count = 0;
    size_t index = 0;
    call->is_post = true;
    if (!buffer_append(&call->url, text_from("/v1/invoices/"), err) ||
        !form_encode(&call->url, text_from(slot->group.works[slot->work_index].place_id), err) ||
        !buffer_append(&call->url, text_from("/add_lines"), err) || !put_key(slot, call, err)) {
        return false;
    }
    while ((work = next_asked(slot, &index)) != NULL) {
        if (!emit_line_body(&work->item, count++, &target, &call->body, err)) {
            return false;
        }
    }
    return true;
}

json_t *line_as_item(const json_t *line) {
    const json_t *details =
        json_object_get(json_object_get(line, "parent"), "invoice_item_details");
    json_t *item_id = json_object_get(details, "invoice_item");
    json_t *item = json_copy((json_t *)line);
    if (item != NULL && json_is_string(item_id)) {
        (void)json_object_set(item, "id", item_id);
    }
    return item;
}

static bool has_key(const struct emit_work *work, const json_t *line) {
    struct emit_key key;
    const char *text = object_text(json_object_get(line, "metadata"), "item_key");
    return emit_key_parse(text_from(text), &key) &&
           memcmp(key.bytes, work->item.key.bytes, sizeof key.bytes) == 0;
}

static bool take_line(struct sender *sender, struct slot *slot, struct emit_work *work,
                      enum journal_outcome outcome, const struct http_answer *answer,
                      const json_t *line, struct err *err) {
    json_t *item = line_as_item(line);
    if (item == NULL) {
        return err_memory(err, sizeof *work);
    }
    bool is_fine = work_check_object(work, (struct text){"", 0}, item, err) &&
                   work_answered(sender, slot, work, outcome, answer, item, "", err);
    json_decref(item);
    return is_fine;
}

/* The answer shows the first few lines; the ids of the others are asked for. */
bool lines_take_added(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                      const json_t *object, struct err *err) {
    const json_t *lines = json_object_get(json_object_get(object, "lines"), "data");
    struct emit_work *work;
    size_t index = 0;
    while ((work = next_asked(slot, &index)) != NULL) {
        size_t at;
        json_t *line;
        bool is_shown = false;
        json_array_foreach(lines, at, line) {
            if (!is_shown && has_key(work, line)) {
                is_shown = true;
                if (!take_line(sender, slot, work, OUTCOME_SENT, answer, line, err)) {
                    return false;
                }
            }
        }
        if (!is_shown) {
            work->is_unsettled = true;
            work->needs_list = true;
            work->is_kept = true; /* it was answered: nothing is under way */
            work->is_added = true;
        }
    }
    return slot_advance(sender, slot, err);
}

/* --- when that says nothing definite -------------------------------------------------------------
 */

static void ask_lines(struct slot *slot, bool is_over) {
    struct emit_work *work;
    size_t index = 0;
    while ((work = next_asked(slot, &index)) != NULL) {
        work->is_unsettled = true;
        work->needs_list = true;
        work->is_kept = is_over;
    }
}

bool lines_give_up(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                   const struct judgement *judgement, struct err *err) {
    bool is_refused = judgement->verdict == VERDICT_REFUSED;
    bool is_kept = judgement->verdict == VERDICT_KEPT_FAILURE;
    bool is_last_word = answer->status >= 500 && answer->has_should_retry && !answer->should_retry;
    const struct emit_work *first = &slot->group.works[slot->work_index];
    if (is_refused && judgement->is_about_invoice) {
        if (strcmp(first->place_id, slot->place_id) == 0) {
            place_forget(slot);
        }
    } else if (is_refused) {
        slot->is_unbatched = true;
    }
    if (is_refused || ((is_kept || is_last_word) && first->raised < RAISED_MAX)) {
        ask_lines(slot, is_refused || is_kept);
        return slot_advance(sender, slot, err);
    }
    struct emit_work *work;
    size_t index = 0;
    while ((work = next_asked(slot, &index)) != NULL) {
        /* Seen by nobody, or asked of the lines by the next start. */
        work->is_unsettled = work->is_unsettled || slot->is_unsure;
        work->result.status = work->is_unsettled ? EMIT_UNKNOWN : EMIT_FAILED;
        work->result.attempts = work->attempt;
        (void)snprintf(work->result.detail, sizeof work->result.detail, "%s", judgement->detail);
    }
    return slot_advance(sender, slot, err);
}

bool lines_too_old(struct sender *sender, struct slot *slot, struct err *err) {
    ask_lines(slot, false);
    return slot_advance(sender, slot, err);
}

bool lines_take_other_content(struct sender *sender, struct slot *slot, bool *is_taken,
                              struct err *err) {
    *is_taken = slot->group.works[slot->work_index].raised < RAISED_MAX;
    if (!*is_taken) {
        return true;
    }
    ask_lines(slot, false);
    return slot_advance(sender, slot, err);
}

/* --- what lines an invoice has -------------------------------------------------------------------
 */

bool lines_ask(struct sender *sender, struct slot *slot, struct http_call *call, struct err *err) {
    struct text id = sender->is_closing ? slot->group.bill.invoice_id
                     : sender->reconcile != NULL
                         ? text_from(slot->found_id)
                         : text_from(slot->group.works[slot->work_index].place_id);
    struct buffer query = {0};
    bool is_fine = buffer_append(&call->url, text_from("/v1/invoices/"), err) &&
                   form_encode(&call->url, id, err) && page_ask(slot, "/lines", &query, call, err);
    buffer_release(&query);
    return is_fine;
}

/* Waits for the lines of the invoice that is asked for. */
static bool is_of_listing(const struct slot *slot, const struct emit_work *work) {
    return work->needs_list && work->place == PLACE_LINES &&
           strcmp(work->place_id, slot->group.works[slot->work_index].place_id) == 0;
}

static bool take_absent(struct sender *sender, struct slot *slot, struct emit_work *work,
                        const struct http_answer *answer, struct err *err) {
    if (!work->is_added && work->raised < RAISED_MAX) {
        return work_answered(sender, slot, work, OUTCOME_ABSENT, answer, NULL, "", err);
    }
    work->needs_list = false;
    work->result.status = EMIT_UNKNOWN;
    work->result.attempts = work->attempt;
    if (work->is_added) {
        (void)snprintf(work->result.detail, sizeof work->result.detail,
                       "Stripe says that it was added to invoice %.120s, but does not show it",
                       work->place_id);
    }
    return true;
}

bool lines_take(struct sender *sender, struct slot *slot, const struct http_answer *answer,
                const json_t *object, struct err *err) {
    size_t at;
    json_t *line;
    json_array_foreach(json_object_get(object, "data"), at, line) {
        for (size_t index = 0; index < slot->group.works_count; index++) {
            struct emit_work *work = &slot->group.works[index];
            if (is_of_listing(slot, work) && has_key(work, line) &&
                !take_line(sender, slot, work, work->is_added ? OUTCOME_SENT : OUTCOME_FOUND,
                           answer, line, err)) {
                return false;
            }
        }
    }
    if (page_turn(slot, object)) {
        slot_ready(sender, slot, STEP_LINES);
        return true;
    }
    /* The work at hand tells which invoice it was: it is the last to be answered. */
    struct emit_work *first = &slot->group.works[slot->work_index];
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (work != first && is_of_listing(slot, work) &&
            !take_absent(sender, slot, work, answer, err)) {
            return false;
        }
    }
    return (!is_of_listing(slot, first) || take_absent(sender, slot, first, answer, err)) &&
           slot_advance(sender, slot, err);
}

bool lines_are_gone(struct sender *sender, struct slot *slot, struct err *err) {
    struct emit_work *first = &slot->group.works[slot->work_index];
    for (size_t index = 0; index < slot->group.works_count; index++) {
        struct emit_work *work = &slot->group.works[index];
        if (work != first && is_of_listing(slot, work)) {
            work->place = PLACE_INVOICE;
        }
    }
    first->place = PLACE_INVOICE;
    if (strcmp(first->place_id, slot->place_id) == 0) {
        place_forget(slot);
    }
    return slot_advance(sender, slot, err);
}
