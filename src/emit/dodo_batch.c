/* One batch: its intents, its request, and the proof of what became of it. */
#include <assert.h>
#include <stdio.h>

#include "core/digest.h"
#include "dodo_internal.h"
#include "emit/form.h"
#include "sys/clock.h"
#include "sys/process.h"

enum { BATCH_RAISED_MAX = 3, RANGES_MAX = 64 };

/* --- proof --------------------------------------------------------------------------------------
 */

static bool other_content(const struct dodo_open *open, const json_t *event, struct err *err) {
    const struct emit_item *item = &open->work->item;
    const json_t *metadata = json_object_get(event, "metadata");
    (void)err_set(err, ERR_CONTENT,
                  "org '%.*s', metric '%.*s': event %.64s is at Dodo already with other content: "
                  "%lld %.8s for %.64s, ours %lld %s for %.*s",
                  (int)item->org_id.size_bytes, item->org_id.bytes, (int)item->metric.size_bytes,
                  item->metric.bytes, client_text(event, "event_id"),
                  (long long)json_integer_value(json_object_get(metadata, "amount")),
                  client_text(metadata, "currency"), client_text(event, "customer_id"),
                  (long long)item->amount, item->currency->code, (int)open->customer.size_bytes,
                  open->customer.bytes);
    return err_hint(err, "see it in Dodo's dashboard; nothing more was sent");
}

static bool is_same_event(const struct dodo_open *open, const json_t *event) {
    const struct emit_item *item = &open->work->item;
    const json_t *metadata = json_object_get(event, "metadata");
    return json_integer_value(json_object_get(metadata, "amount")) == item->amount &&
           strcmp(client_text(metadata, "currency"), item->currency->code) == 0 &&
           text_equals(text_from(client_text(event, "customer_id")), open->customer);
}

static void name_where(const struct dodo_open *open, struct instant at, bool has_at,
                       char detail[EMIT_DETAIL_MAX]) {
    char stamp[INSTANT_TEXT_MAX];
    detail[0] = '\0';
    if (has_at && open->landing.subscription.size_bytes > 0) {
        dodo_name_cycle(&open->landing, at, detail);
    } else if (has_at) {
        (void)instant_format(at, stamp);
        (void)snprintf(detail, EMIT_DETAIL_MAX, "stamped %s", stamp);
    }
}

static bool take_found(struct dodo *dodo, struct dodo_open *open, const json_t *event,
                       struct err *err) {
    struct instant at = {0};
    char detail[EMIT_DETAIL_MAX];
    const char *reason = NULL;
    if (!is_same_event(open, event)) {
        return other_content(open, event, err);
    }
    if (open->landing.subscription.size_bytes == 0 &&
        !dodo_book_find(dodo->book, &open->work->item, open->customer, &open->landing, &reason,
                        detail, err)) {
        return false;
    }
    bool has_at = instant_parse(text_from(client_text(event, "timestamp")), &at) == NULL;
    name_where(open, at, has_at, detail);
    return dodo_answered(dodo, open->work, open->customer, OUTCOME_FOUND, 200, detail, err);
}

bool dodo_prove(struct dodo *dodo, struct dodo_open *open, struct err *err) {
    char path[EMIT_KEY_TEXT_MAX + 16];
    char key[EMIT_KEY_TEXT_MAX];
    struct client_reply reply;
    emit_key_format(&open->work->item.key, key);
    (void)snprintf(path, sizeof path, "/events/%s", key);
    if (!client_get(dodo->client, text_from(path), &reply, err)) {
        bool is_over = err->code == ERR_INTERRUPTED && !interrupt_pending();
        err->code = is_over ? ERR_UNKNOWN : err->code; /* the deadline: it stays unknown */
        return false;
    }
    bool is_fine = true;
    switch (reply.fate) {
    case CLIENT_DONE:
        is_fine = take_found(dodo, open, reply.object, err);
        break;
    case CLIENT_NOT_THERE:
        is_fine =
            dodo_answered(dodo, open->work, open->customer, OUTCOME_ABSENT, reply.status, "", err);
        break;
    case CLIENT_REFUSED:
    case CLIENT_NOT_SENT:
    case CLIENT_UNSURE:
        open->work->result.status = EMIT_UNKNOWN;
        open->work->result.attempts = open->work->attempt;
        (void)snprintf(open->work->result.detail, sizeof open->work->result.detail, "%s",
                       reply.detail);
        break;
    }
    client_reply_release(&reply);
    return is_fine;
}

/* --- the request --------------------------------------------------------------------------------
 */

/* Digest of the event without its stamp: what may not change under the id. */
static bool put_intent(struct dodo *dodo, struct dodo_open *open, struct instant now,
                       struct err *err) {
    struct emit_work *work = open->work;
    struct digest digest;
    struct journal_intent intent = {.key = work->item.key,
                                    .attempt = work->attempt,
                                    .at = now,
                                    .place = PLACE_SUBSCRIPTION,
                                    .place_id = open->landing.subscription,
                                    .customer = open->customer};
    buffer_clear(&dodo->body);
    if (!dodo_event_body(&work->item, open->customer, dodo->options.run_id, NULL, &dodo->body,
                         err) ||
        !digest_of(dodo->body.bytes, dodo->body.size_bytes, &digest, err)) {
        return false;
    }
    memcpy(intent.content.bytes, digest.bytes, sizeof intent.content.bytes);
    work->is_unsettled = true;
    return journal_put_intent(dodo->journal, &intent, err);
}

struct range {
    size_t first;
    size_t end;
};

static bool make_body(struct dodo *dodo, struct range range, struct instant stamp,
                      struct err *err) {
    buffer_clear(&dodo->body);
    bool is_fine = buffer_append(&dodo->body, text_from("{\"events\":["), err);
    for (size_t index = range.first; is_fine && index < range.end; index++) {
        is_fine = (index == range.first || buffer_append(&dodo->body, text_from(","), err)) &&
                  dodo_event_body(&dodo->open[index].work->item, dodo->open[index].customer,
                                  dodo->options.run_id, &stamp, &dodo->body, err);
    }
    return is_fine && buffer_append(&dodo->body, text_from("]}"), err);
}

/* Intents of the range, durable, then the request. */
static bool ask_range(struct dodo *dodo, struct range range, struct instant *stamp,
                      struct client_reply *reply, struct err *err) {
    *stamp = clock_now(dodo->options.sys);
    for (size_t index = range.first; index < range.end; index++) {
        if (!dodo->open[index].work->is_unsettled &&
            !put_intent(dodo, &dodo->open[index], *stamp, err)) {
            return false;
        }
    }
    return journal_commit(dodo->journal, *stamp, err) && make_body(dodo, range, *stamp, err) &&
           client_post(dodo->client, text_from("/events/ingest"), buffer_text(&dodo->body), reply,
                       err);
}

static bool answer_range(struct dodo *dodo, struct range range, enum journal_outcome outcome,
                         struct instant stamp, const struct client_reply *reply, struct err *err) {
    for (size_t index = range.first; index < range.end; index++) {
        struct dodo_open *open = &dodo->open[index];
        char detail[EMIT_DETAIL_MAX];
        name_where(open, stamp, true, detail);
        if (!dodo_answered(dodo, open->work, open->customer, outcome, reply->status,
                           outcome == OUTCOME_SENT ? detail : reply->detail, err)) {
            return false;
        }
    }
    return true;
}

/* Those that are still to be sent come first: the range then ends behind them. */
static struct range keep_open(struct dodo *dodo, struct range range) {
    size_t kept = range.first;
    for (size_t index = range.first; index < range.end; index++) {
        if (dodo->open[index].work->result.status == EMIT_OPEN) {
            struct dodo_open open = dodo->open[index];
            dodo->open[index] = dodo->open[kept];
            dodo->open[kept++] = open;
        }
    }
    return (struct range){range.first, kept};
}

/* After a lost answer: whatever is not there goes out again, but not for ever. */
static bool prove_range(struct dodo *dodo, struct range range, const struct client_reply *reply,
                        struct err *err) {
    for (size_t index = range.first; index < range.end; index++) {
        struct dodo_open *open = &dodo->open[index];
        struct emit_work *work = open->work;
        if (!dodo_prove(dodo, open, err)) {
            return false;
        }
        if (work->result.status == EMIT_OPEN && work->raised >= BATCH_RAISED_MAX) {
            work->result.status = EMIT_FAILED;
            work->result.attempts = work->attempt - 1;
            memcpy(work->result.detail, reply->detail, sizeof work->result.detail);
        }
    }
    return journal_commit(dodo->journal, clock_now(dodo->options.sys), err);
}

/* One request; *is_halved: it was refused as a whole, and its halves are to be tried. */
static bool send_range(struct dodo *dodo, struct range range, bool *is_halved, struct err *err) {
    struct instant stamp;
    struct client_reply reply;
    *is_halved = false;
    if (!ask_range(dodo, range, &stamp, &reply, err)) {
        return false;
    }
    bool is_fine = true;
    switch (reply.fate) {
    case CLIENT_DONE:
        is_fine = answer_range(dodo, range, OUTCOME_SENT, stamp, &reply, err);
        break;
    case CLIENT_REFUSED:
    case CLIENT_NOT_THERE:
        *is_halved = range.end - range.first > 1;
        is_fine = *is_halved || answer_range(dodo, range, OUTCOME_REFUSED, stamp, &reply, err);
        break;
    case CLIENT_NOT_SENT:
        is_fine = answer_range(dodo, range, OUTCOME_REFUSED, stamp, &reply, err);
        break;
    case CLIENT_UNSURE:
        is_fine = prove_range(dodo, range, &reply, err);
        break;
    }
    client_reply_release(&reply);
    return is_fine;
}

bool dodo_send_open(struct dodo *dodo, struct err *err) {
    struct range ranges[RANGES_MAX];
    size_t ranges_count = 0;
    for (size_t first = 0; first < dodo->open_count; first += DODO_EVENTS_PER_REQUEST_MAX) {
        size_t left = dodo->open_count - first;
        size_t count = left < DODO_EVENTS_PER_REQUEST_MAX ? left : DODO_EVENTS_PER_REQUEST_MAX;
        ranges[ranges_count++] = (struct range){first, first + count};
        while (ranges_count > 0) {
            struct range range = keep_open(dodo, ranges[--ranges_count]);
            bool is_halved;
            if (range.first == range.end) {
                continue;
            }
            if (!send_range(dodo, range, &is_halved, err)) {
                return false;
            }
            assert(ranges_count + 2 <= RANGES_MAX); /* halves: at most one more than the depth */
            if (is_halved) {
                size_t middle = range.first + (range.end - range.first) / 2;
                ranges[ranges_count++] = (struct range){middle, range.end};
                ranges[ranges_count++] = (struct range){range.first, middle};
            } else {
                ranges[ranges_count++] = range; /* what was not there goes out again */
            }
        }
    }
    return journal_commit(dodo->journal, clock_now(dodo->options.sys), err);
}
