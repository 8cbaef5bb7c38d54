/* From a provider's JSON to billing.sync_subscription. */
#include "emit/sync.h"

#include <stdio.h>
#include <stdlib.h>

#include "emit/form.h"
#include "sys/clock.h"
#include "sys/process.h"

#define CLOCKS_DIFFER_US (INT64_C(120) * 1000000)

enum { PAGE_SIZE = 100, PAGES_MAX = 1000000, ID_MAX = 256 };

static const char *const provider_names[] = {[SYNC_STRIPE] = "stripe", [SYNC_DODO] = "dodo"};

/* What is taken over of one subscription. Texts belong to the JSON, plans is owned. */
struct seen {
    const char *id;
    const char *customer;
    const char *org; /* "" when the metadata names none */
    json_t *plans;   /* array of what may name its plan */
    const char *state;
    const char *status;
    bool has_start;
    struct instant starts_at;
    bool has_end;
    struct instant ends_at;
};

static void add_plan(struct seen *seen, const char *key) {
    if (key[0] != '\0') {
        (void)json_array_append_new(seen->plans, json_string(key));
    }
}

static bool is_one_of(const char *word, const char *const *words) {
    for (; *words != NULL; words++) {
        if (strcmp(word, *words) == 0) {
            return true;
        }
    }
    return false;
}

/* --- Stripe -------------------------------------------------------------------------------------
 */

/* An id, or the id of what was expanded in its place. */
static const char *id_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_object(value) ? client_text(value, "id") : client_text(object, name);
}

static bool seconds_of(const json_t *object, const char *name, struct instant *at) {
    const json_t *value = json_object_get(object, name);
    int64_t seconds = json_integer_value(value);
    bool is_time = json_is_integer(value) && seconds > 0 && seconds < INT64_C(253402300800);
    *at = (struct instant){is_time ? seconds * 1000000 : 0};
    return is_time;
}

static void read_stripe_items(const json_t *object, struct seen *seen, struct instant *period_end) {
    const json_t *items = json_object_get(json_object_get(object, "items"), "data");
    bool has_end = seconds_of(object, "current_period_end", period_end);
    size_t index;
    json_t *item;
    json_array_foreach(items, index, item) {
        const json_t *price = json_object_get(item, "price");
        struct instant end;
        add_plan(seen, client_text(json_object_get(price, "metadata"), "plan_id"));
        add_plan(seen, client_text(price, "lookup_key"));
        add_plan(seen, client_text(price, "id"));
        add_plan(seen, id_of(price, "product"));
        if (seconds_of(item, "current_period_end", &end) &&
            (!has_end || instant_compare(end, *period_end) < 0)) {
            *period_end = end;
            has_end = true;
        }
    }
}

static void read_stripe(const json_t *object, struct seen *seen) {
    static const char *const in_force[] = {"active", "trialing", "past_due",
                                           "unpaid", "paused",   NULL};
    const json_t *metadata = json_object_get(object, "metadata");
    struct instant period_end = {0};
    seen->id = client_text(object, "id");
    seen->customer = id_of(object, "customer");
    seen->org = client_text(metadata, "org_id");
    seen->status = client_text(object, "status");
    add_plan(seen, client_text(metadata, "plan_id"));
    read_stripe_items(object, seen, &period_end);
    seen->has_start = seconds_of(object, "start_date", &seen->starts_at) ||
                      seconds_of(object, "created", &seen->starts_at);
    if (is_one_of(seen->status, in_force)) {
        seen->state = "in_force";
        seen->has_end = seconds_of(object, "cancel_at", &seen->ends_at);
        if (!seen->has_end && json_is_true(json_object_get(object, "cancel_at_period_end"))) {
            seen->has_end = period_end.us > 0;
            seen->ends_at = period_end;
        }
    } else if (strcmp(seen->status, "canceled") == 0) {
        seen->state = "ended";
        seen->has_end = seconds_of(object, "ended_at", &seen->ends_at) ||
                        seconds_of(object, "canceled_at", &seen->ends_at);
    } else { /* incomplete, incomplete_expired */
        seen->state = "not_begun";
    }
}

/* --- Dodo ---------------------------------------------------------------------------------------
 */

static bool time_of(const json_t *object, const char *name, struct instant *at) {
    const char *text = client_text(object, name);
    return text[0] != '\0' && instant_parse(text_from(text), at) == NULL;
}

static void read_dodo(const json_t *object, struct seen *seen) {
    static const char *const in_force[] = {"active", "on_hold", "paused", "unpaid", NULL};
    static const char *const ended[] = {"cancelled", "expired", NULL};
    const json_t *metadata = json_object_get(object, "metadata");
    seen->id = client_text(object, "subscription_id");
    seen->customer = client_text(json_object_get(object, "customer"), "customer_id");
    seen->org = client_text(metadata, "org_id");
    seen->status = client_text(object, "status");
    add_plan(seen, client_text(metadata, "plan_id"));
    add_plan(seen, client_text(object, "product_id"));
    seen->has_start = time_of(object, "created_at", &seen->starts_at);
    if (is_one_of(seen->status, in_force)) {
        seen->state = "in_force";
        seen->has_end = json_is_true(json_object_get(object, "cancel_at_next_billing_date")) &&
                        time_of(object, "next_billing_date", &seen->ends_at);
    } else if (is_one_of(seen->status, ended)) {
        seen->state = "ended";
        seen->has_end = time_of(object, "cancelled_at", &seen->ends_at) ||
                        time_of(object, "expires_at", &seen->ends_at);
    } else { /* pending, failed */
        seen->state = "not_begun";
    }
}

/* --- taking it over -----------------------------------------------------------------------------
 */

static void params_optional(struct db_params *params, const char *text) {
    if (text[0] != '\0') {
        db_params_text(params, text_from(text));
    } else {
        db_params_null(params);
    }
}

static void params_instant(struct db_params *params, bool is_given, struct instant at) {
    if (is_given) {
        db_params_instant(params, at);
    } else {
        db_params_null(params);
    }
}

static bool apply_seen(struct db *db, enum sync_provider provider, const struct seen *seen,
                       struct instant as_of, char word[64], struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    struct text outcome;
    char *plans = json_dumps(seen->plans, JSON_COMPACT);
    if (plans == NULL) {
        return err_memory(err, 0);
    }
    db_params_text(&params, text_from(provider_names[provider]));
    db_params_text(&params, text_from(seen->id));
    db_params_text(&params, text_from(seen->customer));
    params_optional(&params, seen->org);
    db_params_text(&params, text_from(plans));
    db_params_text(&params, text_from(seen->state));
    db_params_text(&params, text_from(seen->status));
    params_instant(&params, seen->has_start, seen->starts_at);
    params_instant(&params, seen->has_end || strcmp(seen->state, "ended") == 0,
                   seen->has_end ? seen->ends_at : as_of);
    db_params_instant(&params, as_of);
    bool is_fine = db_run(db, "sync/subscription.sql", &params, &result, err) &&
                   db_result_text(&result, 0, 0, &outcome, err);
    if (is_fine) {
        (void)snprintf(word, 64, "%.*s", (int)outcome.size_bytes, outcome.bytes);
    }
    db_result_release(&result);
    free(plans);
    return is_fine;
}

/* *is_whole false: the object is no subscription. */
static bool take_object(struct db *db, enum sync_provider provider, const json_t *object,
                        struct instant as_of, struct seen *seen, char word[64], bool *is_whole,
                        struct err *err) {
    *seen = (struct seen){.plans = json_array()};
    if (seen->plans == NULL) {
        return err_memory(err, 0);
    }
    if (provider == SYNC_STRIPE) {
        read_stripe(object, seen);
    } else {
        read_dodo(object, seen);
    }
    *is_whole = seen->id[0] != '\0' && seen->customer[0] != '\0' && seen->status[0] != '\0';
    bool is_fine = !*is_whole || apply_seen(db, provider, seen, as_of, word, err);
    json_decref(seen->plans);
    return is_fine;
}

static bool is_taken(const char *word) {
    static const char *const words[] = {"added", "changed", "same", "stale", NULL};
    return is_one_of(word, words);
}

/* --- all, page by page --------------------------------------------------------------------------
 */

struct syncing {
    const struct sys *sys;
    struct db *db;
    struct client *client;
    enum sync_provider provider;
    const struct sync_options *options;
    struct sync_counts *counts;
    char first[ID_MAX]; /* of the page before */
    char after[ID_MAX]; /* its last one */
    int page;
};

static void count(struct syncing *syncing, const struct seen *seen, const char *word) {
    struct sync_counts *counts = syncing->counts;
    counts->read++;
    counts->added += strcmp(word, "added") == 0 ? 1 : 0;
    counts->changed += strcmp(word, "changed") == 0 ? 1 : 0;
    counts->same += strcmp(word, "same") == 0 ? 1 : 0;
    counts->stale += strcmp(word, "stale") == 0 ? 1 : 0;
    if (!is_taken(word)) {
        counts->left++;
        if (syncing->options->tell != NULL) {
            syncing->options->tell(syncing->options->context, seen->id, seen->customer, word);
        }
    }
}

static bool malformed(const struct syncing *syncing, struct err *err) {
    (void)err_set(err, ERR_REFUSED, "%s's answer is no page of subscriptions",
                  syncing->provider == SYNC_STRIPE ? "Stripe" : "Dodo");
    return err_hint(err, "see whether the API's address in the environment is right");
}

/* Pages that are always the same would never come to an end. */
static bool check_new(const struct syncing *syncing, const json_t *rows, struct err *err) {
    const char *id_name = syncing->provider == SYNC_STRIPE ? "id" : "subscription_id";
    size_t count = json_array_size(rows);
    const char *first = client_text(json_array_get(rows, 0), id_name);
    const char *last = count > 0 ? client_text(json_array_get(rows, count - 1), id_name) : "";
    bool is_same = syncing->page > 0 && count > 0 && strcmp(first, syncing->first) == 0 &&
                   strcmp(last, syncing->after) == 0;
    return !is_same || malformed(syncing, err);
}

static bool take_page(struct syncing *syncing, const json_t *rows, struct instant as_of,
                      struct err *err) {
    size_t index;
    json_t *row;
    if (!check_new(syncing, rows, err) || !db_begin(syncing->db, "", err)) {
        return false;
    }
    json_array_foreach(rows, index, row) {
        struct seen seen;
        char word[64];
        bool is_whole;
        bool is_fine =
            take_object(syncing->db, syncing->provider, row, as_of, &seen, word, &is_whole, err) &&
            (is_whole || malformed(syncing, err));
        if (!is_fine) {
            db_rollback(syncing->db);
            return false;
        }
        if (index == 0) {
            (void)snprintf(syncing->first, sizeof syncing->first, "%s", seen.id);
        }
        (void)snprintf(syncing->after, sizeof syncing->after, "%s", seen.id);
        count(syncing, &seen, word);
    }
    return db_commit(syncing->db, err);
}

static bool page_path(const struct syncing *syncing, struct buffer *path, struct err *err) {
    buffer_clear(path);
    if (syncing->provider == SYNC_DODO) {
        return buffer_append_format(path, err, "/subscriptions?page_number=%d&page_size=%d",
                                    syncing->page, (int)PAGE_SIZE);
    }
    return buffer_append_format(path, err, "/v1/subscriptions?status=all&limit=%d",
                                (int)PAGE_SIZE) &&
           (syncing->after[0] == '\0' || (buffer_append(path, text_from("&starting_after="), err) &&
                                          form_encode(path, text_from(syncing->after), err)));
}

static bool ask_page(struct syncing *syncing, struct client_reply *reply, struct err *err) {
    struct buffer path = {0};
    bool is_fine = interrupt_check(err) && page_path(syncing, &path, err) &&
                   client_get(syncing->client, buffer_text(&path), reply, err);
    buffer_release(&path);
    if (!is_fine || reply->fate == CLIENT_DONE) {
        return is_fine;
    }
    bool is_word = reply->fate == CLIENT_REFUSED || reply->fate == CLIENT_NOT_THERE;
    (void)err_set(err, is_word ? ERR_REFUSED : ERR_INTERRUPTED, "cannot read the subscriptions: %s",
                  reply->detail);
    return err_hint(err, "what was read is taken over; type the same command again");
}

bool sync_all(const struct sys *sys, struct db *db, struct client *client,
              enum sync_provider provider, const struct sync_options *options,
              struct sync_counts *counts, struct err *err) {
    struct syncing syncing = {.sys = sys,
                              .db = db,
                              .client = client,
                              .provider = provider,
                              .options = options,
                              .counts = counts};
    bool has_more = true;
    *counts = (struct sync_counts){0};
    for (; has_more && syncing.page < PAGES_MAX; syncing.page++) {
        struct instant as_of = {clock_now(sys).us - CLOCKS_DIFFER_US};
        struct client_reply reply = {0};
        if (!ask_page(&syncing, &reply, err)) {
            client_reply_release(&reply);
            return false;
        }
        const json_t *rows =
            json_object_get(reply.object, provider == SYNC_STRIPE ? "data" : "items");
        /* Dodo has no other word for the end than an empty page. */
        has_more =
            json_array_size(rows) > 0 &&
            (provider == SYNC_DODO || json_is_true(json_object_get(reply.object, "has_more")));
        bool is_fine = (json_is_array(rows) || malformed(&syncing, err)) &&
                       take_page(&syncing, rows, as_of, err);
        client_reply_release(&reply);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

/* --- one event ----------------------------------------------------------------------------------
 */

static bool is_seen(struct db *db, enum sync_provider provider, const char *id, bool *is_known,
                    struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    db_params_text(&params, text_from(provider_names[provider]));
    db_params_text(&params, text_from(id));
    bool is_fine = db_run(db, "sync/seen.sql", &params, &result, err) &&
                   db_result_bool(&result, 0, 0, is_known, err);
    db_result_release(&result);
    return is_fine;
}

static bool note_event(struct db *db, enum sync_provider provider, const char *id, const char *type,
                       const char *word, bool *is_new, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    db_params_text(&params, text_from(provider_names[provider]));
    db_params_text(&params, text_from(id));
    db_params_text(&params, text_from(type));
    db_params_text(&params, text_from(word));
    bool is_fine = db_run(db, "sync/take.sql", &params, &result, err);
    *is_new = is_fine && result.affected_count == 1;
    db_result_release(&result);
    return is_fine;
}

static bool no_event(const char *what, struct err *err) {
    return err_set(err, ERR_INPUT, "the body is no webhook event: %s", what);
}

/* In one transaction: what the event says, and that it was taken. */
static bool take_event(struct db *db, const struct sync_event *event, const char *id,
                       const json_t *root, enum sync_outcome *outcome, char word[64],
                       struct err *err) {
    bool is_stripe = event->provider == SYNC_STRIPE;
    const char *type = client_text(root, "type");
    const json_t *data = json_object_get(root, "data");
    const json_t *object = is_stripe ? json_object_get(data, "object") : data;
    bool is_ours = is_stripe ? strncmp(type, "customer.subscription.", 22) == 0
                             : strncmp(type, "subscription.", 13) == 0;
    struct instant as_of = event->sent_at;
    struct seen seen;
    bool is_whole = true;
    bool is_new;
    *outcome = is_ours ? SYNC_TAKEN : SYNC_IGNORED;
    (void)snprintf(word, 64, "ignored");
    if (is_stripe && !seconds_of(root, "created", &as_of)) {
        return no_event("it has no time of creation", err);
    }
    if (is_stripe && !event->takes_test && json_is_false(json_object_get(root, "livemode"))) {
        (void)err_set(err, ERR_INPUT, "the event is of Stripe's test mode");
        return err_hint(err, "say --test-key if the database is no live one");
    }
    if (is_ours) {
        if (!take_object(db, event->provider, object, as_of, &seen, word, &is_whole, err)) {
            return false;
        }
        if (!is_whole) {
            return no_event("its object is no subscription", err);
        }
        if (!is_taken(word)) {
            *outcome = SYNC_LEFT;
            return true;
        }
    }
    if (!note_event(db, event->provider, id, type, word, &is_new, err)) {
        return false;
    }
    if (!is_new) {
        *outcome = SYNC_REPEATED;
    }
    return true;
}

bool sync_event(struct db *db, const struct sync_event *event, enum sync_outcome *outcome,
                char word[64], struct err *err) {
    json_t *root =
        json_loadb(event->body.bytes, event->body.size_bytes, JSON_REJECT_DUPLICATES, NULL);
    const char *id = event->event_id != NULL ? event->event_id : client_text(root, "id");
    bool is_known = false;
    bool is_fine = (json_is_object(root) || no_event("it is no JSON object", err)) &&
                   ((id[0] != '\0' && client_text(root, "type")[0] != '\0') ||
                    no_event("it has no id or no type", err)) &&
                   is_seen(db, event->provider, id, &is_known, err);
    *outcome = SYNC_REPEATED;
    (void)snprintf(word, 64, "repeated");
    if (is_fine && !is_known) {
        is_fine = db_begin(db, "", err);
        if (is_fine && !take_event(db, event, id, root, outcome, word, err)) {
            db_rollback(db);
            is_fine = false;
        }
        /* What is left leaves nothing behind: it may be taken when it comes again. */
        if (is_fine && *outcome == SYNC_LEFT) {
            db_rollback(db);
        } else if (is_fine) {
            is_fine = db_commit(db, err);
        }
    }
    json_decref(root);
    return is_fine;
}
