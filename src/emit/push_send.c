/* One batch of events. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/digest.h"
#include "push_internal.h"

enum { SEND_TRIES_MAX = 6, RANGES_MAX = 64, METADATA_TEXT_MAX = 500 };

/* --- one event ----------------------------------------------------------------------------------
 */

/* Text of any kind as JSON. */
static bool put_string(struct buffer *body, struct text value, struct err *err) {
    json_t *string = json_stringn(value.bytes, value.size_bytes);
    char *text = string != NULL ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    json_decref(string);
    if (text == NULL) {
        return err_memory(err, value.size_bytes);
    }
    bool is_fine = buffer_append(body, text_from(text), err);
    free(text);
    return is_fine;
}

static bool put_field(struct buffer *body, const char *name, struct text value, struct err *err) {
    return buffer_append_format(body, err, "\"%s\":", name) && put_string(body, value, err);
}

/* A long key is known by its digest: Dodo takes 500 characters. */
static bool put_unique_key(struct buffer *body, struct text key, struct err *err) {
    struct digest digest;
    char text[DIGEST_TEXT_MAX];
    if (key.size_bytes == 0) {
        return true;
    }
    if (key.size_bytes > METADATA_TEXT_MAX) {
        if (!digest_of(key.bytes, key.size_bytes, &digest, err)) {
            return false;
        }
        digest_format(&digest, text);
        key = text_from(text);
    }
    return buffer_append(body, text_from(","), err) && put_field(body, "unique_key", key, err);
}

bool push_event_body(const struct push_row *row, struct buffer *body, struct err *err) {
    char at[INSTANT_TEXT_MAX];
    char quantity[DECIMAL_TEXT_MAX];
    (void)instant_format(row->occurred_at, at);
    (void)decimal_format(row->quantity, quantity);
    return buffer_append(body, text_from("{"), err) &&
           put_field(body, "event_id", text_from(row->event_id), err) &&
           buffer_append(body, text_from(","), err) &&
           put_field(body, "customer_id", row->customer, err) &&
           buffer_append(body, text_from(","), err) &&
           put_field(body, "event_name", row->metric, err) &&
           buffer_append_format(body, err, ",\"timestamp\":\"%s\",\"metadata\":{\"quantity\":%s,",
                                at, quantity) &&
           put_field(body, "kind", row->kind, err) && put_unique_key(body, row->unique_key, err) &&
           buffer_append(body, text_from("}}"), err);
}

/* --- a range of them ----------------------------------------------------------------------------
 */

struct range {
    size_t first;
    size_t end;
};

static size_t count_open(const struct push_item *items, struct range range) {
    size_t count = 0;
    for (size_t index = range.first; index < range.end; index++) {
        count += items[index].fate == PUSH_OPEN ? 1 : 0;
    }
    return count;
}

static bool make_body(const struct push_item *items, struct range range, struct buffer *body,
                      struct err *err) {
    bool is_first = true;
    buffer_clear(body);
    bool is_fine = buffer_append(body, text_from("{\"events\":["), err);
    for (size_t index = range.first; is_fine && index < range.end; index++) {
        if (items[index].fate == PUSH_OPEN) {
            is_fine = (is_first || buffer_append(body, text_from(","), err)) &&
                      push_event_body(&items[index].row, body, err);
            is_first = false;
        }
    }
    return is_fine && buffer_append(body, text_from("]}"), err);
}

static void settle(struct push_item *items, struct range range, enum push_fate fate,
                   const char *detail) {
    for (size_t index = range.first; index < range.end; index++) {
        if (items[index].fate == PUSH_OPEN) {
            items[index].fate = fate;
            (void)snprintf(items[index].detail, sizeof items[index].detail, "%.199s", detail);
        }
    }
}

static bool no_answer(const struct client_reply *reply, struct err *err) {
    bool is_unsure = reply->fate == CLIENT_UNSURE;
    (void)err_set(err, is_unsure ? ERR_UNKNOWN : ERR_INTERRUPTED, "Dodo does not answer: %s",
                  reply->detail);
    return err_hint(err, "type the same command again soon: it goes on with this batch, whose "
                         "events keep their ids");
}

/* The same events again under the same ids: what Dodo has of them, it ignores. */
static bool ask_range(struct client *client, struct text body, struct client_reply *reply,
                      struct err *err) {
    for (unsigned tries = 1;; tries++) {
        if (!client_post(client, text_from("/events/ingest"), body, reply, err)) {
            return false;
        }
        if (reply->fate == CLIENT_UNSURE && tries < SEND_TRIES_MAX) {
            client_reply_release(reply);
            if (!client_rest(client, tries, err)) {
                return false;
            }
            continue;
        }
        return true;
    }
}

static bool send_range(struct client *client, struct push_item *items, struct range range,
                       struct buffer *body, bool *is_halved, struct err *err) {
    struct client_reply reply = {0};
    *is_halved = false;
    if (!make_body(items, range, body, err) || !ask_range(client, buffer_text(body), &reply, err)) {
        return false;
    }
    bool is_fine = true;
    switch (reply.fate) {
    case CLIENT_DONE:
        settle(items, range, PUSH_SENT, "");
        break;
    case CLIENT_REFUSED:
    case CLIENT_NOT_THERE:
        if (reply.status == 403) {
            (void)err_set(err, ERR_REFUSED, "Dodo does not let this key send events: %s",
                          reply.detail);
            is_fine = err_hint(err, "give it the right to write; nothing is lost until usage is "
                                    "older than an hour");
        } else if (count_open(items, range) > 1) {
            *is_halved = true;
        } else {
            settle(items, range, PUSH_REFUSED, reply.detail);
        }
        break;
    case CLIENT_NOT_SENT:
    case CLIENT_UNSURE:
        is_fine = no_answer(&reply, err);
        break;
    }
    client_reply_release(&reply);
    return is_fine;
}

static bool check_all_refused(const struct push_item *items, size_t items_count, size_t open_count,
                              struct err *err) {
    size_t refused_count = 0;
    const char *detail = "";
    for (size_t index = 0; index < items_count; index++) {
        if (items[index].fate == PUSH_REFUSED) {
            refused_count++;
            detail = items[index].detail;
        }
    }
    if (refused_count < 2 || refused_count < open_count) {
        return true;
    }
    (void)err_set(err, ERR_REFUSED, "Dodo refuses all %zu events of a batch: %s", refused_count,
                  detail);
    return err_hint(err,
                    "see the clock of this machine and the customer ids; nothing is lost until "
                    "usage is older than an hour");
}

bool push_send(struct client *client, struct push_item *items, size_t items_count,
               struct buffer *body, struct err *err) {
    struct range ranges[RANGES_MAX] = {{0, items_count}};
    size_t ranges_count = 1;
    size_t open_count = count_open(items, ranges[0]);
    while (ranges_count > 0) {
        struct range range = ranges[--ranges_count];
        bool is_halved;
        if (count_open(items, range) == 0) {
            continue;
        }
        if (!send_range(client, items, range, body, &is_halved, err)) {
            return false;
        }
        if (is_halved) {
            size_t middle = range.first + (range.end - range.first) / 2;
            assert(ranges_count + 2 <= RANGES_MAX);
            ranges[ranges_count++] = (struct range){middle, range.end};
            ranges[ranges_count++] = (struct range){range.first, middle};
        }
    }
    return check_all_refused(items, items_count, open_count, err);
}

bool push_prove(struct client *client, struct push_item *items, size_t items_count,
                struct err *err) {
    for (size_t index = 0; index < items_count; index++) {
        char path[64];
        struct client_reply reply;
        if (items[index].fate != PUSH_TOO_OLD) {
            continue;
        }
        (void)snprintf(path, sizeof path, "/events/%s", items[index].row.event_id);
        if (!client_get(client, text_from(path), &reply, err)) {
            return false;
        }
        if (reply.fate == CLIENT_DONE) {
            items[index].fate = PUSH_SENT;
        }
        bool is_told = reply.fate == CLIENT_DONE || reply.fate == CLIENT_NOT_THERE;
        if (!is_told) {
            (void)no_answer(&reply, err);
        }
        client_reply_release(&reply);
        if (!is_told) {
            return false;
        }
    }
    return true;
}
