/*
 * Asking for everything since a time, page by page: for a journal that may not know all that was
 * sent, because it was lost with its run directory, or lost its last records.
 */
#include <stdio.h>

#include "emit/form.h"
#include "sender_internal.h"
#include "sys/clock.h"

enum { WAIT_STEP_US = 500000, PAGE_ROWS = 100 };

/* How far a listing is, and how often its next page was asked for in vain. */
struct list_place {
    char page_after[EMIT_ID_MAX];
    bool has_more;
    unsigned tries;
    unsigned misses;
};

/* What is listed, and who takes the rows. */
struct listing {
    enum step step;
    const char *path;
    struct text query; /* without the page */
    bool is_trial;     /* one row is enough */
    bool (*put)(void *context, const struct http_answer *answer, const json_t *row,
                struct err *err);
    void *context;
};

static bool list_ask(struct sender *sender, const struct listing *listing, const char *page_after,
                     struct http_call *call, struct err *err) {
    struct buffer query = {0};
    bool is_fine = buffer_append(&query, listing->query, err) &&
                   form_int64(&query, "limit", listing->is_trial ? 1 : PAGE_ROWS, err) &&
                   (page_after[0] == '\0' ||
                    form_text(&query, "starting_after", text_from(page_after), err)) &&
                   buffer_append(&call->url, text_from(listing->path), err) &&
                   buffer_append(&call->url, text_from("?"), err) &&
                   buffer_append(&call->url, buffer_text(&query), err) &&
                   http_send(sender->http, call, err);
    buffer_release(&query);
    return is_fine;
}

/* Up to until_us, or the deadline: in steps, so that neither that nor a signal is slept over. */
static bool sweep_wait(struct sender *sender, int64_t until_us, struct err *err) {
    int64_t now_us = clock_monotonic_us(sender->options.sys);
    while (now_us < until_us) {
        int64_t step_us = until_us - now_us < WAIT_STEP_US ? until_us - now_us : WAIT_STEP_US;
        if (!reach_check_time(&sender->reach, now_us, err) ||
            !http_wait(sender->http, now_us + step_us, err)) {
            return false;
        }
        now_us = clock_monotonic_us(sender->options.sys);
    }
    return true;
}

static int64_t quiet_until_us(const struct sender *sender) {
    return sender->options.started_us + sender_quiet_us(sender->options.timeout_ms);
}

/*
 * A request of an earlier start that is still under way would not be seen. Each start waits anew,
 * so that a deadline before the wait's end would be met for ever.
 */
static bool sweep_wait_quiet(struct sender *sender, struct err *err) {
    int64_t until_us = quiet_until_us(sender);
    int64_t deadline_us = sender->options.deadline_us;
    if (sweep_wait(sender, until_us, err)) {
        return true;
    }
    bool is_too_short = deadline_us != 0 && deadline_us < until_us &&
                        clock_monotonic_us(sender->options.sys) >= deadline_us;
    if (is_too_short) {
        (void)err_hint(err,
                       "nothing was sent: the first emission asks what is there %lld s after its "
                       "start (1.25 times --timeout); type the same command with a --deadline "
                       "beyond that",
                       (long long)(sender_quiet_us(sender->options.timeout_ms) / 1000000));
    }
    return false;
}

/* One answer, whatever it is. The call is the caller's to finish. */
static bool list_exchange(struct sender *sender, const struct listing *listing,
                          const char *page_after, struct http_call **call, struct err *err) {
    int64_t when_us;
    while (!pace_take(&sender->paces[listing->step], clock_monotonic_us(sender->options.sys),
                      &when_us)) {
        if (!sweep_wait(sender, when_us, err)) {
            return false;
        }
    }
    *call = http_begin(sender->http);
    sender->counts.requests++;
    if (!list_ask(sender, listing, page_after, *call, err)) {
        return false;
    }
    while (http_next_done(sender->http) == NULL) {
        int64_t now_us = clock_monotonic_us(sender->options.sys);
        if (!reach_check_time(&sender->reach, now_us, err) ||
            !http_wait(sender->http, now_us + WAIT_STEP_US, err)) {
            return false;
        }
    }
    return true;
}

/* A walk over what stands there; open: invoices of ours whose lines did not all come with them. */
struct swept {
    struct sender *sender;
    bool (*take)(void *context, const struct journal_answer *found, struct err *err);
    void *context;
    struct text customer; /* of the invoice whose lines are at hand */
    struct buffer open;   /* id and customer of each, ended by a zero byte */
};

static bool sweep_note(void *context, const struct http_answer *answer, const json_t *object,
                       struct err *err) {
    const struct swept *swept = context;
    const struct sender *sender = swept->sender;
    const char *customer = object_text(object, "customer");
    const json_t *metadata = json_object_get(object, "metadata");
    struct journal_answer found = {
        .attempt = 1,
        .outcome = OUTCOME_FOUND,
        .status = answer->status,
        .amount = json_integer_value(json_object_get(object, "amount")),
        .currency = text_from(object_text(object, "currency")),
        .customer = customer[0] != '\0' ? text_from(customer) : swept->customer,
        .object_id = text_from(object_text(object, "id")),
        .request_id = text_from(answer->request_id),
        .invoice_id = text_from(object_text(object, "invoice")),
    };
    if (strcmp(object_text(metadata, "period"), sender->options.period) != 0 ||
        !emit_key_parse(text_from(object_text(metadata, "item_key")), &found.key)) {
        return true; /* somebody else's, or another period's */
    }
    return swept->take(swept->context, &found, err);
}

static bool keep_found(void *context, const struct journal_answer *answer, struct err *err) {
    struct sender *sender = context;
    struct journal_answer found = *answer;
    struct journal_state known;
    if (!journal_find(sender->journal, &found.key, &known, err)) {
        return false;
    }
    /* Keys of attempts that are known of are not used again. */
    found.attempt = known.has_answer ? known.answer.attempt : found.attempt;
    found.attempt = known.is_unsettled ? known.intent.attempt : found.attempt;
    return journal_put_answer(sender->journal, &found, err);
}

/* A line that was added with others is no item that is listed. */
static bool sweep_line(void *context, const struct http_answer *answer, const json_t *line,
                       struct err *err) {
    json_t *item = line_as_item(line);
    if (item == NULL) {
        return err_memory(err, sizeof(struct swept));
    }
    bool is_fine = sweep_note(context, answer, item, err);
    json_decref(item);
    return is_fine;
}

static bool sweep_invoice(void *context, const struct http_answer *answer, const json_t *invoice,
                          struct err *err) {
    struct swept *swept = context;
    struct emit_key key;
    const json_t *metadata = json_object_get(invoice, "metadata");
    const json_t *lines = json_object_get(invoice, "lines");
    const char *customer = object_text(invoice, "customer");
    if (!emit_key_parse(text_from(object_text(metadata, "invoice_key")), &key) ||
        strcmp(object_text(metadata, "period"), swept->sender->options.period) != 0) {
        return true;
    }
    if (!json_is_false(json_object_get(lines, "has_more"))) {
        const char *id = object_text(invoice, "id");
        return buffer_append(&swept->open, (struct text){id, strlen(id) + 1}, err) &&
               buffer_append(&swept->open, (struct text){customer, strlen(customer) + 1}, err);
    }
    swept->customer = text_from(customer);
    size_t index;
    json_t *line;
    json_array_foreach(json_object_get(lines, "data"), index, line) {
        if (!sweep_line(swept, answer, line, err)) {
            return false;
        }
    }
    return true;
}

static bool list_page(const struct listing *listing, const struct http_answer *answer,
                      const json_t *object, char page_after[EMIT_ID_MAX], bool *has_more,
                      struct err *err) {
    size_t index;
    json_t *row;
    page_after[0] = '\0';
    json_array_foreach(json_object_get(object, "data"), index, row) {
        keep_text(page_after, EMIT_ID_MAX, text_from(object_text(row, "id")));
        if (!listing->put(listing->context, answer, row, err)) {
            return false;
        }
    }
    *has_more = json_is_true(json_object_get(object, "has_more")) && page_after[0] != '\0';
    return true;
}

static bool list_failed(const struct judgement *judgement, const struct http_answer *answer,
                        struct err *err) {
    if (judgement->is_untrusted) {
        return answer_untrusted("Stripe", judgement, err);
    }
    bool is_refused = judgement->verdict == VERDICT_BAD_KEY || answer->fate == HTTP_ANSWERED;
    (void)err_set(err, is_refused ? ERR_REFUSED : ERR_INTERRUPTED,
                  "cannot ask Stripe what is there already: %s%s%s", judgement->detail,
                  answer->request_id[0] != '\0' ? ", request " : "", answer->request_id);
    return err_hint(err, "nothing was sent; check STRIPE_API_KEY and the network, then type the "
                         "same command again");
}

/* One page, or a try that brought none: *tries counts those; *misses the ones that nobody saw. */
static bool list_take(struct sender *sender, const struct listing *listing, struct http_call *call,
                      struct list_place *place, struct err *err) {
    struct judgement judgement;
    bool is_fine = true;
    answer_judge(&call->answer, &judgement);
    bool is_done = judgement.verdict == VERDICT_DONE;
    bool is_missed = judgement.verdict == VERDICT_NOT_DONE;
    bool is_over = !is_done && !is_missed &&
                   (judgement.verdict == VERDICT_BAD_KEY || judgement.verdict == VERDICT_REFUSED ||
                    ++place->tries >= TRIES_MAX);
    place->misses = is_missed ? place->misses + 1 : 0;
    if (is_missed) {
        reach_missed(&sender->reach, call->answer.problem);
    } else {
        reach_made(&sender->reach);
    }
    if (is_done) {
        place->tries = 0;
        is_fine = list_page(listing, &call->answer, judgement.object, place->page_after,
                            &place->has_more, err);
    } else if (is_over) {
        is_fine = list_failed(&judgement, &call->answer, err);
    }
    judgement_release(&judgement);
    return is_fine;
}

static bool list_all(struct sender *sender, const struct listing *listing, struct err *err) {
    struct list_place place = {.has_more = true};
    while (place.has_more) {
        struct http_call *call;
        int64_t now_us = clock_monotonic_us(sender->options.sys);
        if (!reach_check_time(&sender->reach, now_us, err) ||
            !list_exchange(sender, listing, place.page_after, &call, err)) {
            return false;
        }
        bool is_fine = list_take(sender, listing, call, &place, err);
        http_finish(sender->http, call);
        unsigned times = place.tries + place.misses;
        now_us = clock_monotonic_us(sender->options.sys);
        if (!is_fine ||
            (times > 0 && !sweep_wait(sender, now_us + retry_delay_us(sender, times), err))) {
            return false;
        }
    }
    return true;
}

bool sender_try_key(struct sender *sender, struct err *err) {
    struct http_call *call;
    struct judgement judgement;
    struct listing listing = {
        .step = STEP_LIST, .path = "/v1/invoiceitems", .query = {"", 0}, .is_trial = true};
    if (clock_monotonic_us(sender->options.sys) >= quiet_until_us(sender)) {
        return true;
    }
    if (!list_exchange(sender, &listing, "", &call, err)) {
        return false;
    }
    answer_judge(&call->answer, &judgement);
    if (judgement.verdict == VERDICT_NOT_DONE) {
        reach_missed(&sender->reach, call->answer.problem);
    } else {
        reach_made(&sender->reach);
    }
    bool is_fine = judgement.verdict != VERDICT_BAD_KEY && judgement.verdict != VERDICT_REFUSED;
    if (!is_fine) {
        (void)list_failed(&judgement, &call->answer, err);
    }
    judgement_release(&judgement);
    http_finish(sender->http, call);
    return is_fine;
}

/* The lines of those invoices that have more than came with them. */
static bool sweep_lines(struct swept *swept, struct err *err) {
    struct buffer path = {0};
    bool is_fine = true;
    size_t at = 0;
    while (is_fine && at < swept->open.size_bytes) {
        const char *id = swept->open.bytes + at;
        swept->customer = text_from(id + strlen(id) + 1);
        at += strlen(id) + swept->customer.size_bytes + 2;
        buffer_clear(&path);
        is_fine = buffer_append(&path, text_from("/v1/invoices/"), err) &&
                  form_encode(&path, text_from(id), err) &&
                  buffer_append(&path, text_from("/lines"), err) &&
                  buffer_append(&path, (struct text){"", 1}, err);
        struct listing listing = {.step = STEP_LINES,
                                  .path = path.bytes,
                                  .query = {"", 0},
                                  .put = sweep_line,
                                  .context = swept};
        is_fine = is_fine && list_all(swept->sender, &listing, err);
    }
    buffer_release(&path);
    return is_fine;
}

bool sender_list(struct sender *sender, struct instant since,
                 bool (*take)(void *context, const struct journal_answer *found, struct err *err),
                 void *context, struct err *err) {
    struct buffer query = {0};
    struct swept swept = {.sender = sender, .take = take, .context = context};
    struct listing listing = {
        .step = STEP_LIST, .path = "/v1/invoiceitems", .put = sweep_note, .context = &swept};
    struct listing invoices = {
        .step = STEP_INVOICES, .path = "/v1/invoices", .put = sweep_invoice, .context = &swept};
    bool is_fine = form_int64(&query, "created[gte]", (since.us - LIST_SLACK_US) / 1000000, err);
    listing.query = buffer_text(&query);
    invoices.query = listing.query;
    is_fine = is_fine && list_all(sender, &listing, err) && list_all(sender, &invoices, err) &&
              sweep_lines(&swept, err);
    buffer_release(&query);
    buffer_release(&swept.open);
    return is_fine;
}

bool sender_sweep(struct sender *sender, struct instant since, struct err *err) {
    return sweep_wait_quiet(sender, err) && sender_list(sender, since, keep_found, sender, err) &&
           journal_put_swept(sender->journal, err) &&
           journal_commit(sender->journal, clock_now(sender->options.sys), err);
}

/* --- what waits for a customer's next invoice ---------------------------------------------------
 */

struct waiting {
    struct text subscription;
    const char *period;
    uint64_t count;
};

static bool waiting_note(void *context, const struct http_answer *answer, const json_t *object,
                         struct err *err) {
    struct waiting *waiting = context;
    struct emit_key key;
    const json_t *metadata = json_object_get(object, "metadata");
    bool is_ours = emit_key_parse(text_from(object_text(metadata, "item_key")), &key) &&
                   strcmp(object_text(metadata, "period"), waiting->period) == 0;
    (void)answer;
    (void)err;
    const char *subscription = object_text(
        json_object_get(json_object_get(object, "parent"), "subscription_details"), "subscription");
    bool is_elsewhere =
        subscription[0] != '\0' && !text_equals(text_from(subscription), waiting->subscription);
    waiting->count += is_ours || is_elsewhere ? 0 : 1;
    return true;
}

bool sender_count_waiting(struct sender *sender, struct text customer, struct text subscription,
                          uint64_t *waiting_count, struct err *err) {
    struct buffer query = {0};
    struct waiting waiting = {.subscription = subscription, .period = sender->options.period};
    struct listing listing = {
        .step = STEP_LIST, .path = "/v1/invoiceitems", .put = waiting_note, .context = &waiting};
    bool is_fine =
        form_text(&query, "customer", customer, err) && form_bool(&query, "pending", true, err);
    listing.query = buffer_text(&query);
    is_fine = is_fine && list_all(sender, &listing, err);
    buffer_release(&query);
    *waiting_count = waiting.count;
    return is_fine;
}
