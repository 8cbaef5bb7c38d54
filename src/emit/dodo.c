/* The window of groups: what the journal knows of them, and what is to be sent. */
#include <stdio.h>

#include "core/memory.h"
#include "dodo_internal.h"
#include "emit/form.h"
#include "sys/clock.h"

/* Few enough that a lost answer can be proven item by item within a minute. */
enum { WINDOW_ITEMS = 100, SWEEP_PAGES_MAX = 1000000 };

bool dodo_create(const struct dodo_options *options, struct client *client, struct journal *journal,
                 struct dodo **dodo, struct err *err) {
    *dodo = mem_alloc(sizeof **dodo);
    if (*dodo == NULL) {
        return err_memory(err, sizeof **dodo);
    }
    (*dodo)->options = *options;
    (*dodo)->client = client;
    (*dodo)->journal = journal;
    if (!dodo_book_create(client, &(*dodo)->book, err)) {
        dodo_destroy(*dodo);
        *dodo = NULL;
        return false;
    }
    return true;
}

void dodo_destroy(struct dodo *dodo) {
    if (dodo == NULL) {
        return;
    }
    for (size_t index = 0; index < dodo->groups_capacity; index++) {
        emit_group_release(&dodo->groups[index]);
    }
    dodo_book_destroy(dodo->book);
    buffer_release(&dodo->body);
    dodo_index_destroy(dodo->index);
    mem_free(dodo->groups);
    mem_free(dodo->open);
    mem_free(dodo);
}

bool dodo_load(struct dodo *dodo, struct err *err) {
    return dodo_book_load(dodo->book, err);
}

/* --- what is there already ----------------------------------------------------------------------
 */

static bool sweep_note(struct dodo *dodo, const json_t *event, struct err *err) {
    const json_t *metadata = json_object_get(event, "metadata");
    char detail[EMIT_DETAIL_MAX];
    struct journal_answer found = {
        .attempt = 1,
        .outcome = OUTCOME_FOUND,
        .status = 200,
        .amount = json_integer_value(json_object_get(metadata, "amount")),
        .currency = text_from(client_text(metadata, "currency")),
        .customer = text_from(client_text(event, "customer_id")),
        .object_id = text_from(client_text(event, "event_id")),
    };
    if (strcmp(client_text(metadata, "period"), dodo->options.period) != 0 ||
        !emit_key_parse(found.object_id, &found.key)) {
        return true; /* somebody else's, or another period's */
    }
    (void)snprintf(detail, sizeof detail, "stamped %.40s", client_text(event, "timestamp"));
    found.detail = text_from(detail);
    return journal_put_answer(dodo->journal, &found, err);
}

static bool list_page(struct dodo *dodo, struct text path, size_t *count,
                      bool (*note)(struct dodo *dodo, const json_t *event, struct err *err),
                      struct err *err) {
    struct client_reply reply;
    if (!client_get(dodo->client, path, &reply, err)) {
        return false;
    }
    const json_t *items = json_object_get(reply.object, "items");
    bool is_fine = true;
    if (reply.fate != CLIENT_DONE || !json_is_array(items)) {
        bool is_word = reply.fate == CLIENT_REFUSED || reply.fate == CLIENT_NOT_THERE;
        is_fine = err_set(err, is_word ? ERR_REFUSED : ERR_INTERRUPTED,
                          "cannot ask Dodo what is there already: %s", reply.detail);
        (void)err_hint(err, "nothing was sent; see DODO_PAYMENTS_API_KEY and the network, then "
                            "type the same command again");
    }
    *count = json_array_size(items);
    for (size_t index = 0; is_fine && index < *count; index++) {
        is_fine = note(dodo, json_array_get(items, index), err);
    }
    client_reply_release(&reply);
    return is_fine;
}

bool dodo_list_metric(struct dodo *dodo, struct text metric, struct instant since,
                      bool (*note)(struct dodo *dodo, const json_t *event, struct err *err),
                      struct err *err) {
    struct buffer path = {0};
    struct buffer name = {0};
    struct buffer query = {0};
    char start[INSTANT_TEXT_MAX];
    size_t count = 1;
    (void)instant_format(since, start);
    bool is_fine = dodo_event_name(metric, &name, err);
    for (int page = 0; is_fine && count > 0 && page < SWEEP_PAGES_MAX; page++) {
        buffer_clear(&path);
        buffer_clear(&query);
        is_fine = form_text(&query, "event_name", buffer_text(&name), err) &&
                  form_text(&query, "start", text_from(start), err) &&
                  form_int64(&query, "page_number", page, err) &&
                  form_int64(&query, "page_size", DODO_PAGE_SIZE, err) &&
                  buffer_append(&path, text_from("/events?"), err) &&
                  buffer_append(&path, buffer_text(&query), err) &&
                  list_page(dodo, buffer_text(&path), &count, note, err);
    }
    buffer_release(&path);
    buffer_release(&name);
    buffer_release(&query);
    return is_fine;
}

bool dodo_sweep(struct dodo *dodo, const struct text *metrics, size_t metrics_count,
                struct instant since, struct err *err) {
    for (size_t index = 0; index < metrics_count; index++) {
        if (!dodo_list_metric(dodo, metrics[index], since, sweep_note, err)) {
            return false;
        }
    }
    return journal_put_swept(dodo->journal, err) &&
           journal_commit(dodo->journal, clock_now(dodo->options.sys), err);
}

/* --- what the journal knows of an item ----------------------------------------------------------
 */

static void keep_text(char *kept, size_t kept_max, struct text text) {
    size_t size = text.size_bytes < kept_max - 1 ? text.size_bytes : kept_max - 1;
    memcpy(kept, text.bytes != NULL ? text.bytes : "", size);
    kept[size] = '\0';
}

static bool check_known(const struct emit_work *work, struct text customer,
                        const struct journal_answer *answer, struct err *err) {
    const struct emit_item *item = &work->item;
    if (answer->amount == item->amount &&
        text_equals(answer->currency, text_from(item->currency->code)) &&
        (customer.size_bytes == 0 || text_equals(answer->customer, customer))) {
        return true;
    }
    char key[EMIT_KEY_TEXT_MAX];
    emit_key_format(&item->key, key);
    (void)err_set(err, ERR_CONTENT,
                  "org '%.*s', metric '%.*s': event %s is at Dodo already with other content: "
                  "%lld %.*s for %.*s, ours %lld %s for %.*s",
                  (int)item->org_id.size_bytes, item->org_id.bytes, (int)item->metric.size_bytes,
                  item->metric.bytes, key, (long long)answer->amount,
                  (int)answer->currency.size_bytes, answer->currency.bytes,
                  (int)answer->customer.size_bytes, answer->customer.bytes, (long long)item->amount,
                  item->currency->code, (int)customer.size_bytes, customer.bytes);
    return err_hint(err, "see it in Dodo's dashboard; nothing more was sent");
}

static bool load_answer(const struct dodo *dodo, struct emit_work *work, struct text customer,
                        const struct journal_answer *answer, struct err *err) {
    work->attempt = answer->attempt;
    work->result.attempts = answer->attempt;
    keep_text(work->result.detail, sizeof work->result.detail, answer->detail);
    switch (answer->outcome) {
    case OUTCOME_SENT:
    case OUTCOME_FOUND:
        work->result.status = EMIT_SENT;
        keep_text(work->result.object_id, sizeof work->result.object_id, answer->object_id);
        return check_known(work, customer, answer, err);
    case OUTCOME_REFUSED:
        work->result.status = dodo->options.retries_failed ? EMIT_OPEN : EMIT_FAILED;
        work->attempt++;
        return true;
    case OUTCOME_ABSENT:
        work->attempt++;
        return true;
    }
    return true;
}

bool dodo_load_work(struct dodo *dodo, struct dodo_open *open, struct err *err) {
    struct journal_state known;
    struct emit_work *work = open->work;
    work->attempt = 1;
    if (!journal_find(dodo->journal, &work->item.key, &known, err)) {
        return false;
    }
    if (known.is_unsettled) {
        work->attempt = known.intent.attempt;
        work->is_unsettled = true;
        return true;
    }
    if (!known.has_answer && work->recorded_id != NULL) {
        work->result.status = EMIT_SENT;
        keep_text(work->result.object_id, EMIT_ID_MAX, text_from(work->recorded_id));
    }
    return !known.has_answer || load_answer(dodo, work, open->customer, &known.answer, err);
}

bool dodo_answered(struct dodo *dodo, struct emit_work *work, struct text customer,
                   enum journal_outcome outcome, int status, const char *detail, struct err *err) {
    char key[EMIT_KEY_TEXT_MAX];
    bool is_there = outcome == OUTCOME_SENT || outcome == OUTCOME_FOUND;
    emit_key_format(&work->item.key, key);
    struct journal_answer answer = {
        .key = work->item.key,
        .attempt = work->attempt,
        .outcome = outcome,
        .status = status,
        .amount = work->item.amount,
        .currency = text_from(work->item.currency->code),
        .customer = customer,
        .object_id = text_from(is_there ? key : ""),
        .request_id = text_from(""),
        .detail = text_from(detail),
    };
    if (!journal_put_answer(dodo->journal, &answer, err)) {
        return false;
    }
    work->is_unsettled = false;
    work->result.attempts = work->attempt;
    keep_text(work->result.detail, sizeof work->result.detail, answer.detail);
    keep_text(work->result.object_id, sizeof work->result.object_id, answer.object_id);
    switch (outcome) {
    case OUTCOME_SENT:
    case OUTCOME_FOUND:
        work->result.status = EMIT_SENT;
        break;
    case OUTCOME_REFUSED:
        work->result.status = EMIT_FAILED;
        break;
    case OUTCOME_ABSENT:
        work->attempt++;
        work->raised++;
        break;
    }
    return true;
}

/* --- what is to be done -------------------------------------------------------------------------
 */

static void hold(struct emit_work *work, const char *reason, const char *detail) {
    work->result.status = EMIT_HELD;
    work->result.reason = reason;
    (void)snprintf(work->result.detail, sizeof work->result.detail, "%s", detail);
}

static const char held_negative[] = "negative_amount";

const char *dodo_held_reason(const struct emit_group *group, const struct emit_work *work) {
    return group->held_reason != NULL        ? group->held_reason
           : work->held_reason != NULL       ? work->held_reason
           : group->customer.size_bytes == 0 ? "no_dodo_customer"
           : work->item.amount < 0           ? held_negative
                                             : NULL;
}

static bool decide(struct dodo *dodo, const struct emit_group *group, struct dodo_open *open,
                   struct err *err) {
    struct emit_work *work = open->work;
    const char *reason = dodo_held_reason(group, work);
    char detail[EMIT_DETAIL_MAX] = "";
    if (reason == held_negative) {
        (void)snprintf(detail, sizeof detail, "a meter takes no credit: give it by hand");
    }
    if (reason == NULL && !dodo_book_find(dodo->book, &work->item, group->customer, &open->landing,
                                          &reason, detail, err)) {
        return false;
    }
    if (reason != NULL) {
        hold(work, reason, detail);
    }
    return true;
}

static bool open_reserve(struct dodo *dodo, size_t more, struct err *err) {
    size_t needed = dodo->open_count + more;
    if (needed <= dodo->open_capacity) {
        return true;
    }
    struct dodo_open *open = mem_realloc(dodo->open, needed * 2 * sizeof *open);
    if (open == NULL) {
        return err_memory(err, needed * 2 * sizeof *open);
    }
    dodo->open = open;
    dodo->open_capacity = needed * 2;
    return true;
}

/* What is settled has its result; what is unknown is proven; what is new waits in dodo->open. */
static bool take_group(struct dodo *dodo, struct emit_group *group, struct err *err) {
    if (!open_reserve(dodo, group->works_count, err)) {
        return false;
    }
    for (size_t index = 0; index < group->works_count; index++) {
        struct dodo_open *open = &dodo->open[dodo->open_count];
        *open = (struct dodo_open){.work = &group->works[index], .customer = group->customer};
        if (!dodo_load_work(dodo, open, err) ||
            (open->work->is_unsettled && !dodo_prove(dodo, open, err)) ||
            (open->work->result.status == EMIT_OPEN && !decide(dodo, group, open, err))) {
            return false;
        }
        dodo->open_count += open->work->result.status == EMIT_OPEN ? 1 : 0;
    }
    return true;
}

static bool groups_reserve(struct dodo *dodo, struct err *err) {
    if (dodo->groups_count < dodo->groups_capacity) {
        return true;
    }
    size_t capacity = dodo->groups_capacity == 0 ? 128 : dodo->groups_capacity * 2;
    struct emit_group *groups = mem_realloc(dodo->groups, capacity * sizeof *groups);
    if (groups == NULL) {
        return err_memory(err, capacity * sizeof *groups);
    }
    for (size_t index = dodo->groups_capacity; index < capacity; index++) {
        groups[index] = (struct emit_group){0};
    }
    dodo->groups = groups;
    dodo->groups_capacity = capacity;
    return true;
}

static bool give_back(struct dodo *dodo, const struct emit_feed *feed, struct err *err) {
    for (size_t index = 0; index < dodo->groups_count; index++) {
        if (!feed->done(feed->context, &dodo->groups[index], err)) {
            return false;
        }
    }
    dodo->groups_count = 0;
    dodo->open_count = 0;
    return true;
}

bool dodo_run(struct dodo *dodo, const struct emit_feed *feed, struct err *err) {
    bool is_found = true;
    while (is_found) {
        while (dodo->open_count < WINDOW_ITEMS && dodo->groups_count < WINDOW_ITEMS * 10) {
            if (!groups_reserve(dodo, err) ||
                !feed->next(feed->context, &dodo->groups[dodo->groups_count], &is_found, err)) {
                return false;
            }
            if (!is_found) {
                break;
            }
            if (!take_group(dodo, &dodo->groups[dodo->groups_count++], err)) {
                return false;
            }
        }
        if (!dodo_send_open(dodo, err) || !give_back(dodo, feed, err)) {
            return false;
        }
    }
    return true;
}
