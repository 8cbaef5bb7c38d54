/*
 * Comparing what was recorded with what Dodo has: the events of every metric are listed once, page
 * by page, and matched by their ids. What was sent and is not in the lists is asked for by its id.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/memory.h"
#include "dodo_internal.h"
#include "sys/clock.h"

/* An event of ours as Dodo has it. Texts are in the index's arena. */
struct indexed {
    struct emit_key key;
    int64_t amount;
    struct text currency;
    struct text customer;
    struct text org_id;
    struct text metric;
    char run_id[EMIT_KEY_TEXT_MAX];
    char stamp[INSTANT_TEXT_MAX];
    bool is_matched;
};

struct dodo_index {
    struct arena *arena;
    struct indexed *events; /* sorted by key, each once */
    size_t events_count;
    size_t events_capacity;
    bool has_book; /* subscriptions are asked for when the first item is not there */
};

void dodo_index_destroy(struct dodo_index *index) {
    if (index != NULL) {
        arena_destroy(index->arena);
        mem_free(index->events);
        mem_free(index);
    }
}

/* --- what is there ------------------------------------------------------------------------------
 */

static bool keep(struct dodo_index *index, const char *given, struct text *kept, struct err *err) {
    size_t size = strlen(given);
    char *bytes = arena_alloc(index->arena, size + 1, err);
    if (bytes == NULL) {
        return false;
    }
    memcpy(bytes, given, size + 1);
    *kept = (struct text){bytes, size};
    return true;
}

static bool index_event(struct dodo_index *index, const json_t *event, struct indexed *one,
                        struct err *err) {
    const json_t *metadata = json_object_get(event, "metadata");
    *one = (struct indexed){.amount = json_integer_value(json_object_get(metadata, "amount"))};
    (void)snprintf(one->run_id, sizeof one->run_id, "%s", client_text(metadata, "run_id"));
    (void)snprintf(one->stamp, sizeof one->stamp, "%s", client_text(event, "timestamp"));
    return keep(index, client_text(metadata, "currency"), &one->currency, err) &&
           keep(index, client_text(event, "customer_id"), &one->customer, err) &&
           keep(index, client_text(metadata, "org_id"), &one->org_id, err) &&
           keep(index, client_text(metadata, "metric"), &one->metric, err);
}

static bool index_note(struct dodo *dodo, const json_t *event, struct err *err) {
    struct dodo_index *index = dodo->index;
    struct emit_key key;
    const char *period = client_text(json_object_get(event, "metadata"), "period");
    if (strcmp(period, dodo->options.period) != 0 ||
        !emit_key_parse(text_from(client_text(event, "event_id")), &key)) {
        return true; /* somebody else's, or another period's */
    }
    if (index->events_count == index->events_capacity) {
        size_t capacity = index->events_capacity == 0 ? 256 : index->events_capacity * 2;
        struct indexed *events = mem_realloc(index->events, capacity * sizeof *events);
        if (events == NULL) {
            return err_memory(err, capacity * sizeof *events);
        }
        index->events = events;
        index->events_capacity = capacity;
    }
    struct indexed *one = &index->events[index->events_count];
    if (!index_event(index, event, one, err)) {
        return false;
    }
    one->key = key;
    index->events_count++;
    return true;
}

static int compare_keys(const void *left, const void *right) {
    const struct indexed *a = left;
    const struct indexed *b = right;
    return memcmp(a->key.bytes, b->key.bytes, sizeof a->key.bytes);
}

/* While pages are asked for, a new event may shift them: what came twice stands once. */
static void index_sort(struct dodo_index *index) {
    size_t kept = 0;
    if (index->events_count == 0) {
        return;
    }
    qsort(index->events, index->events_count, sizeof index->events[0], compare_keys);
    for (size_t next = 1; next < index->events_count; next++) {
        if (compare_keys(&index->events[kept], &index->events[next]) != 0) {
            index->events[++kept] = index->events[next];
        }
    }
    index->events_count = kept + 1;
}

static struct indexed *index_find(const struct dodo_index *index, const struct emit_key *key) {
    struct indexed wanted = {.key = *key};
    return index->events_count == 0 ? NULL
                                    : bsearch(&wanted, index->events, index->events_count,
                                              sizeof index->events[0], compare_keys);
}

bool dodo_reconcile_begin(struct dodo *dodo, const struct text *metrics, size_t metrics_count,
                          struct instant since, struct err *err) {
    dodo_index_destroy(dodo->index);
    dodo->index = mem_alloc(sizeof *dodo->index);
    if (dodo->index == NULL) {
        return err_memory(err, sizeof *dodo->index);
    }
    dodo->index->arena = arena_create(err);
    if (dodo->index->arena == NULL) {
        return false;
    }
    for (size_t metric = 0; metric < metrics_count; metric++) {
        if (!dodo_list_metric(dodo, metrics[metric], since, index_note, err)) {
            return false;
        }
    }
    index_sort(dodo->index);
    return true;
}

/* --- comparing ----------------------------------------------------------------------------------
 */

static bool tell(struct reconcile *reconcile, enum reconcile_kind kind,
                 const struct emit_work *work, const struct indexed *there, struct err *err) {
    char key[EMIT_KEY_TEXT_MAX] = "";
    struct reconcile_finding finding = {
        .kind = kind,
        .key = work != NULL ? work->item.key : there->key,
        .has_key = true,
        .org_id = work != NULL ? work->item.org_id : there->org_id,
        .metric = work != NULL ? work->item.metric : there->metric,
        .item = work != NULL ? &work->item : NULL,
        .our_id = work != NULL ? work->result.object_id : "",
        .their_id = "",
        .their_currency = {"", 0},
    };
    if (there != NULL) {
        emit_key_format(&there->key, key);
        finding.their_id = key;
        finding.their_amount = there->amount;
        finding.their_currency = there->currency;
    }
    reconcile->counts.findings++;
    return reconcile->found(reconcile->context, &finding, err);
}

static bool take_there(struct dodo *dodo, struct dodo_open *open, const struct indexed *there,
                       struct reconcile *reconcile, struct err *err) {
    struct emit_work *work = open->work;
    char detail[EMIT_DETAIL_MAX];
    bool is_same = there->amount == work->item.amount &&
                   text_equals(there->currency, text_from(work->item.currency->code)) &&
                   (open->customer.size_bytes == 0 || text_equals(there->customer, open->customer));
    if (!is_same) {
        return tell(reconcile, RECONCILE_DIFFERENT, work, there, err);
    }
    if (work->result.status == EMIT_SENT) {
        reconcile->counts.agreed++;
        return true;
    }
    if (!tell(reconcile, RECONCILE_UNRECORDED, work, there, err)) {
        return false;
    }
    if (!reconcile->repairs) {
        return true;
    }
    (void)snprintf(detail, sizeof detail, "stamped %s", there->stamp);
    return dodo_answered(dodo, work, there->customer, OUTCOME_FOUND, 200, detail, err);
}

static bool take_absent(struct dodo *dodo, struct dodo_open *open, struct reconcile *reconcile,
                        struct err *err) {
    struct emit_work *work = open->work;
    if (work->result.status != EMIT_SENT) {
        return tell(reconcile, RECONCILE_NEVER_SENT, work, NULL, err);
    }
    if (!tell(reconcile, RECONCILE_REMOVED, work, NULL, err)) {
        return false;
    }
    if (!reconcile_is_resent(reconcile, &work->item.key)) {
        return true;
    }
    reconcile->counts.resent++;
    return dodo_answered(dodo, work, open->customer, OUTCOME_ABSENT, 0, "", err);
}

/* Lists may be behind: of what should be there, its id is the last word. */
static bool ask_event(struct dodo *dodo, struct dodo_open *open, struct reconcile *reconcile,
                      struct err *err) {
    char path[EMIT_KEY_TEXT_MAX + 16];
    char key[EMIT_KEY_TEXT_MAX];
    struct client_reply reply;
    struct indexed there;
    emit_key_format(&open->work->item.key, key);
    (void)snprintf(path, sizeof path, "/events/%s", key);
    if (!client_get(dodo->client, text_from(path), &reply, err)) {
        return false;
    }
    bool is_fine;
    if (reply.fate == CLIENT_DONE) {
        is_fine = index_event(dodo->index, reply.object, &there, err);
        there.key = open->work->item.key;
        is_fine = is_fine && take_there(dodo, open, &there, reconcile, err);
    } else if (reply.fate == CLIENT_NOT_THERE) {
        is_fine = take_absent(dodo, open, reconcile, err);
    } else {
        is_fine = err_set(err, reply.fate == CLIENT_REFUSED ? ERR_REFUSED : ERR_INTERRUPTED,
                          "cannot ask Dodo for event %s: %s", key, reply.detail);
        (void)err_hint(err, "see DODO_PAYMENTS_API_KEY and the network, then type the same "
                            "command again");
    }
    client_reply_release(&reply);
    return is_fine;
}

/* Would it be held, as its customer's meters are now? */
static bool look_up(struct dodo *dodo, const struct emit_group *group, const struct emit_work *work,
                    bool *is_held, struct err *err) {
    const char *reason = NULL;
    char detail[EMIT_DETAIL_MAX];
    struct dodo_landing landing;
    *is_held = group->held_reason != NULL || work->held_reason != NULL ||
               group->customer.size_bytes == 0 || work->item.amount < 0;
    if (*is_held) {
        return true;
    }
    if (!dodo->index->has_book && !dodo_load(dodo, err)) {
        return false;
    }
    dodo->index->has_book = true;
    if (!dodo_book_find(dodo->book, &work->item, group->customer, &landing, &reason, detail, err)) {
        return false;
    }
    *is_held = reason != NULL;
    return true;
}

static bool compare_work(struct dodo *dodo, const struct emit_group *group, struct emit_work *work,
                         struct reconcile *reconcile, struct err *err) {
    struct dodo_open open = {.work = work, .customer = group->customer};
    struct indexed *there = index_find(dodo->index, &work->item.key);
    reconcile->counts.items++;
    if (!dodo_load_work(dodo, &open, err)) {
        return false;
    }
    if (there != NULL) {
        there->is_matched = true;
        return take_there(dodo, &open, there, reconcile, err);
    }
    if (work->result.status == EMIT_SENT || work->is_unsettled) {
        return ask_event(dodo, &open, reconcile, err);
    }
    bool is_held;
    if (!look_up(dodo, group, work, &is_held, err)) {
        return false;
    }
    if (is_held) {
        reconcile->counts.agreed++;
        return true;
    }
    return take_absent(dodo, &open, reconcile, err);
}

bool dodo_reconcile(struct dodo *dodo, const struct emit_feed *feed, struct reconcile *reconcile,
                    struct err *err) {
    struct emit_group group = {0};
    bool is_found = true;
    bool is_fine = true;
    while (is_fine && is_found) {
        is_fine = feed->next(feed->context, &group, &is_found, err);
        for (size_t work = 0; is_fine && is_found && work < group.works_count; work++) {
            is_fine = compare_work(dodo, &group, &group.works[work], reconcile, err);
        }
    }
    emit_group_release(&group);
    return is_fine && journal_commit(dodo->journal, clock_now(dodo->options.sys), err);
}

bool dodo_reconcile_end(struct dodo *dodo, struct reconcile *reconcile, struct err *err) {
    for (size_t event = 0; event < dodo->index->events_count; event++) {
        const struct indexed *there = &dodo->index->events[event];
        /* Events of other runs are compared with theirs. */
        bool is_ours = reconcile->knows_all || strcmp(there->run_id, dodo->options.run_id) == 0;
        if (!there->is_matched && is_ours && !tell(reconcile, RECONCILE_EXTRA, NULL, there, err)) {
            return false;
        }
    }
    return true;
}
