/*
 * Sending to Dodo: check all, open the journal, ask for what it may not know, look at the meters,
 * then send.
 */
#include <stdio.h>

#include "emit/dodo.h"
#include "emit_run.h"
#include "stage/stages.h"
#include "sys/clock.h"

#define DAY_US (INT64_C(86400) * 1000000)

enum { METRICS_MAX = 4096, PREVIEW_EVENTS = 100 };

struct dodo_run {
    struct run *run;
    const struct stage_session *session;
    const struct terms *terms; /* &loaded */
    struct terms loaded;
    struct table *plans; /* behind terms */
    struct table *prices;
    struct table *tiers;
    char period[INSTANT_TEXT_MAX];
    char journal_path[FILE_PATH_MAX];
    struct client *client;
    struct journal *journal;
    struct dodo *dodo;
    struct arena *arena;
    struct text *metrics; /* of the items to be sent, distinct */
    size_t metrics_count;
    uint64_t items_count;
    uint64_t held_count;
    struct instant first_end; /* of all periods billed */
    bool is_comparing;        /* nothing is sent: no totals, no word about it */
};

static bool note_metric(struct dodo_run *sending, struct text metric, struct err *err) {
    for (size_t index = 0; index < sending->metrics_count; index++) {
        if (text_equals(sending->metrics[index], metric)) {
            return true;
        }
    }
    char *bytes = arena_alloc(sending->arena, metric.size_bytes, err);
    if (bytes == NULL || sending->metrics_count == METRICS_MAX) {
        return bytes != NULL && err_set(err, ERR_RANGE, "more than %d metrics", (int)METRICS_MAX);
    }
    memcpy(bytes, metric.bytes, metric.size_bytes);
    sending->metrics[sending->metrics_count++] = (struct text){bytes, metric.size_bytes};
    return true;
}

static bool check_group(struct dodo_run *sending, const struct emit_group *group, struct err *err) {
    bool is_held = group->held_reason != NULL || group->customer.size_bytes == 0;
    for (size_t index = 0; index < group->works_count; index++) {
        const struct emit_item *item = &group->works[index].item;
        bool is_sendable = !is_held && item->amount > 0;
        if ((!sending->is_comparing &&
             !totals_add_left(run_totals(sending->run), emit_equation,
                              text_from(item->currency->code), item->billed, err)) ||
            (is_sendable && !note_metric(sending, item->metric, err))) {
            return false;
        }
        sending->items_count += is_sendable ? 1 : 0;
        sending->held_count += is_sendable ? 0 : 1;
        if (sending->first_end.us == 0 || item->period_end.us < sending->first_end.us) {
            sending->first_end = item->period_end;
        }
    }
    return true;
}

static bool open_shard(struct dodo_run *sending, struct emit_shard *shard, size_t shard_index,
                       struct err *err) {
    if (!emit_shard_open(shard, sending->run, sending->session, sending->terms, sending->period,
                         shard_index, err)) {
        return false;
    }
    shard->is_dodo = true;
    return true;
}

/* Every item is made once before the first call: what is wrong with one stops all of them. */
static bool check_all(struct dodo_run *sending, struct err *err) {
    char text[200];
    for (size_t index = 0; index < run_shards_count(sending->run); index++) {
        struct emit_shard shard;
        struct emit_group group = {0};
        bool is_found = true;
        if (!open_shard(sending, &shard, index, err)) {
            return false;
        }
        bool is_fine = true;
        while (is_fine && is_found) {
            is_fine = emit_shard_next(&shard, &group, &is_found, err) &&
                      (!is_found || check_group(sending, &group, err));
        }
        emit_group_release(&group);
        emit_shard_close(&shard);
        if (!is_fine) {
            return false;
        }
    }
    if (sending->session->note != NULL && !sending->is_comparing) {
        (void)snprintf(text, sizeof text,
                       "%llu item%s to send to Dodo, %llu held or switched off; what is sent is "
                       "billed in the cycles that run now",
                       (unsigned long long)sending->items_count,
                       sending->items_count == 1 ? "" : "s",
                       (unsigned long long)sending->held_count);
        sending->session->note(sending->session->note_context, text);
    }
    return true;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static bool open_client(struct dodo_run *sending, struct err *err) {
    const struct stage_sending *how = &sending->session->sending;
    const struct sys *sys = run_sys(sending->run);
    struct client_options options = {
        .sys = sys,
        .base = how->base,
        .secret = how->key.text,
        .secret_name = "DODO_PAYMENTS_API_KEY",
        .content_type = "application/json",
        .dialect = DIALECT_DODO,
        .per_minute = how->per_minute,
        .timeout_ms = how->timeout_ms,
        .retry_delay_ms = how->retry_delay_ms,
        .deadline_us = clock_monotonic_us(sys) + how->deadline_s * 1000000,
        .note = sending->session->note,
        .note_context = sending->session->note_context,
    };
    if (!client_create(&options, &sending->client, err)) {
        return false;
    }
    client_keep_connecting(sending->client, !sending->is_comparing);
    return true;
}

static bool open_journal(struct dodo_run *sending, struct err *err) {
    const struct sys *sys = run_sys(sending->run);
    struct dodo_options options = {.sys = sys,
                                   .run_id = run_id(sending->run),
                                   .period = sending->period,
                                   .retries_failed = sending->session->sending.retries_failed};
    dodo_destroy(sending->dodo);
    sending->dodo = NULL;
    journal_close(sending->journal);
    return journal_open(sys, sending->journal_path, run_id(sending->run), clock_now(sys),
                        &sending->journal, err) &&
           dodo_create(&options, sending->client, sending->journal, &sending->dodo, err);
}

/*
 * What was begun out of another directory is seen, and asked for by its id before anything is sent;
 * what may be begun here is marked, before anybody else looks.
 */
static bool take_recorded(struct dodo_run *sending, struct err *err) {
    struct emit_write_back *back = sending->session->write_back;
    struct emission_run emission = {.run = sending->run,
                                    .session = sending->session,
                                    .terms = sending->loaded,
                                    .journal = sending->journal};
    bool has_others = false;
    bool is_noted = false;
    if (back == NULL) {
        return true;
    }
    memcpy(emission.period, sending->period, sizeof emission.period);
    if (!emit_write_back_sign(back, sending->journal, err) ||
        !emit_write_back_marking(back, true, err) ||
        !emit_recorded_others(&emission, &has_others, err) ||
        (has_others && !emit_write_back_alone(back, err)) ||
        !emit_recorded_note(&emission, (struct emit_recorded_state){0}, &is_noted, err) ||
        (is_noted && !open_journal(sending, err))) {
        return false;
    }
    emission.journal = sending->journal;
    return emit_recorded_mark(&emission, err) && emit_write_back_marking(back, false, err);
}

/* A journal that begins now, or that lost its end, does not know all that was sent. */
static bool complete_journal(struct dodo_run *sending, struct err *err) {
    bool has_since;
    struct instant since;
    if (sending->items_count == 0) {
        return true;
    }
    if (!journal_is_incomplete(sending->journal, &has_since, &since)) {
        return take_recorded(sending, err);
    }
    if (!has_since || sending->first_end.us - DAY_US > since.us) {
        since.us = sending->first_end.us;
    }
    since.us -= DAY_US;
    return dodo_sweep(sending->dodo, sending->metrics, sending->metrics_count, since, err) &&
           open_journal(sending, err) && take_recorded(sending, err);
}

static bool send_shard(struct dodo_run *sending, size_t shard_index, struct err *err) {
    struct emit_shard shard;
    if (!open_shard(sending, &shard, shard_index, err)) {
        return false;
    }
    struct emit_feed feed = {.context = &shard, .next = emit_shard_next, .done = emit_shard_done};
    bool is_fine = emit_shard_begin_items(&shard, shard_index, err) &&
                   dodo_run(sending->dodo, &feed, err) &&
                   emit_shard_end_items(&shard, shard_index, err);
    emit_shard_close(&shard);
    return is_fine;
}

static bool send_all(struct dodo_run *sending, struct err *err) {
    for (size_t shard = 0; shard < run_shards_count(sending->run); shard++) {
        if (!send_shard(sending, shard, err)) {
            return false;
        }
    }
    return true;
}

/* --- opening and closing ------------------------------------------------------------------------
 */

static bool sending_open(struct dodo_run *sending, struct run *run,
                         const struct stage_session *session, struct err *err) {
    *sending = (struct dodo_run){.run = run, .session = session};
    (void)month_format(session->month, sending->period);
    sending->arena = arena_create(err);
    if (sending->arena != NULL) {
        sending->metrics =
            arena_alloc_array(sending->arena, METRICS_MAX, sizeof *sending->metrics, err);
    }
    return sending->metrics != NULL &&
           run_input_open(run, &checkpoint_plans, 0, &sending->plans, err) &&
           run_input_open(run, &checkpoint_prices, 0, &sending->prices, err) &&
           run_input_open(run, &checkpoint_tiers, 0, &sending->tiers, err) &&
           terms_load(&sending->loaded, sending->plans, sending->prices, sending->tiers,
                      sending->arena, err) &&
           path_format(sending->journal_path, err, "%s/%d-%s/journal", run_path(run),
                       stage_emit.number, stage_emit.name);
}

static void sending_close(struct dodo_run *sending) {
    dodo_destroy(sending->dodo);
    journal_close(sending->journal);
    client_destroy(sending->client);
    table_close(sending->plans);
    table_close(sending->prices);
    table_close(sending->tiers);
    arena_destroy(sending->arena);
}

bool emit_dodo(struct run *run, const struct stage_session *session, struct err *err) {
    struct dodo_run sending;
    bool is_fine = sending_open(&sending, run, session, err);
    sending.terms = &sending.loaded;
    is_fine = is_fine && check_all(&sending, err) && open_client(&sending, err) &&
              open_journal(&sending, err) && complete_journal(&sending, err) &&
              (sending.items_count == 0 || dodo_load(sending.dodo, err)) && send_all(&sending, err);
    sending_close(&sending);
    return is_fine;
}

/* --- comparing ----------------------------------------------------------------------------------
 */

/* Of every plan, also of orgs that have nothing to be billed: the events to be listed. */
static bool note_metrics(struct dodo_run *sending, struct err *err) {
    struct table_cursor price = table_cursor_start(sending->prices);
    while (table_cursor_next(&price)) {
        if (!note_metric(sending, table_get_text(&price, PRICES_METRIC), err)) {
            return false;
        }
    }
    return true;
}

static bool reconcile_shard(struct dodo_run *sending, size_t shard_index,
                            struct reconcile *reconcile, struct err *err) {
    struct emit_shard shard;
    if (!open_shard(sending, &shard, shard_index, err)) {
        return false;
    }
    struct emit_feed feed = {.context = &shard, .next = emit_shard_next};
    bool is_fine = dodo_reconcile(sending->dodo, &feed, reconcile, err);
    emit_shard_close(&shard);
    return is_fine;
}

bool emit_dodo_reconcile(struct run *run, const struct stage_session *session,
                         struct reconcile *reconcile, struct err *err) {
    struct dodo_run sending;
    bool is_fine = sending_open(&sending, run, session, err);
    sending.terms = &sending.loaded;
    sending.is_comparing = true;
    is_fine = is_fine && check_all(&sending, err) && note_metrics(&sending, err) &&
              open_client(&sending, err) && open_journal(&sending, err);
    struct instant since = {sending.first_end.us - DAY_US};
    is_fine = is_fine && (sending.first_end.us == 0 ||
                          dodo_reconcile_begin(sending.dodo, sending.metrics, sending.metrics_count,
                                               since, err));
    for (size_t shard = 0; is_fine && sending.first_end.us != 0 && shard < run_shards_count(run);
         shard++) {
        is_fine = reconcile_shard(&sending, shard, reconcile, err);
    }
    is_fine =
        is_fine && (sending.first_end.us == 0 || dodo_reconcile_end(sending.dodo, reconcile, err));
    sending_close(&sending);
    return is_fine;
}

/* --- what would be sent -------------------------------------------------------------------------
 */

static bool preview_line(const struct dodo_run *sending, struct buffer *events,
                         const struct preview_sink *sink, struct err *err) {
    struct buffer line = {0};
    bool is_fine = buffer_append_format(&line, err,
                                        "{\"method\":\"POST\",\"url\":\"%s/events/ingest\","
                                        "\"if\":\"the meters bill these amounts\","
                                        "\"body\":{\"events\":[",
                                        sending->session->sending.base) &&
                   buffer_append(&line, buffer_text(events), err) &&
                   buffer_append(&line, text_from("]}}"), err) &&
                   sink->put(sink->context, buffer_text(&line), err);
    buffer_release(&line);
    buffer_clear(events);
    return is_fine;
}

static bool preview_group(const struct dodo_run *sending, struct emit_group *group,
                          struct buffer *events, size_t *events_count, struct err *err) {
    for (size_t index = 0; index < group->works_count; index++) {
        struct emit_work *work = &group->works[index];
        const char *reason = dodo_held_reason(group, work);
        if (reason != NULL) {
            work->result.status = EMIT_HELD;
            work->result.reason = reason;
            continue;
        }
        if ((events->size_bytes > 0 && !buffer_append(events, text_from(","), err)) ||
            !dodo_event_body(&work->item, group->customer, run_id(sending->run), NULL, events,
                             err)) {
            return false;
        }
        (*events_count)++;
    }
    return true;
}

static bool preview_shard(struct dodo_run *sending, size_t shard_index, struct buffer *events,
                          size_t *events_count, const struct preview_sink *sink, struct err *err) {
    struct emit_shard shard;
    struct emit_group group = {0};
    bool is_found = true;
    if (!open_shard(sending, &shard, shard_index, err)) {
        return false;
    }
    shard.is_dry = true;
    bool is_fine = emit_shard_begin_items(&shard, shard_index, err);
    while (is_fine && is_found) {
        is_fine = emit_shard_next(&shard, &group, &is_found, err) &&
                  (!is_found || (preview_group(sending, &group, events, events_count, err) &&
                                 emit_shard_done(&shard, &group, err)));
        if (is_fine && *events_count >= PREVIEW_EVENTS) {
            is_fine = preview_line(sending, events, sink, err);
            *events_count = 0;
        }
    }
    is_fine = is_fine && emit_shard_end_items(&shard, shard_index, err);
    emit_group_release(&group);
    emit_shard_close(&shard);
    return is_fine;
}

bool emit_dodo_preview(struct run *run, const struct stage_session *session,
                       const struct preview_sink *sink, struct err *err) {
    struct dodo_run sending;
    struct buffer events = {0};
    size_t events_count = 0;
    bool is_fine = sending_open(&sending, run, session, err);
    sending.terms = &sending.loaded;
    is_fine = is_fine && check_all(&sending, err);
    for (size_t shard = 0; is_fine && shard < run_shards_count(run); shard++) {
        is_fine = preview_shard(&sending, shard, &events, &events_count, sink, err);
    }
    is_fine = is_fine && (events_count == 0 || preview_line(&sending, &events, sink, err));
    buffer_release(&events);
    sending_close(&sending);
    return is_fine;
}
