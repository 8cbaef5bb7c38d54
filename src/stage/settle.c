#include "settle.h"

#include <stdio.h>

#include "core/digest.h"
#include "core/memory.h"
#include "db/migrate.h"
#include "emit/dodo.h"
#include "sys/clock.h"

#define DAY_US (INT64_C(86400) * 1000000)
enum { MOVED_RECORDS = 262144 }; /* 6 MB */

struct settle {
    struct settle_options options;
    struct db *db;
    struct emit_write_back *write_back;
    char day[INSTANT_TEXT_MAX];
    char period[INSTANT_TEXT_MAX];
    char run_id[EMIT_KEY_TEXT_MAX]; /* of the journal */
    char mark[EMIT_KEY_TEXT_MAX];   /* of the same: what it is about to send */
    int64_t alone_us;               /* monotonic: since when nobody else sends */
    char journal_path[FILE_PATH_MAX];
    int64_t revisions; /* the highest */
    struct instant first_end;
    struct journal *journal; /* NULL: nothing is sent */
    struct sender *sender;   /* of Stripe */
    struct client *client;   /* of Dodo */
    struct dodo *dodo;
    struct settle_counts *counts;
};

static bool is_dodo(const struct settle *settle) {
    return settle->options.emission == EMISSION_DODO;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static bool lock_period(struct settle *settle, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    bool is_locked = false;
    db_params_text(&params, text_from(settle->day));
    bool is_fine = db_run(settle->db, "settle/lock.sql", &params, &result, err) &&
                   db_result_bool(&result, 0, 0, &is_locked, err);
    db_result_release(&result);
    settle->alone_us = clock_monotonic_us(settle->options.sys);
    if (!is_fine || is_locked) {
        return is_fine;
    }
    (void)err_set(err, ERR_LOCKED, "items of %s are being sent out of %s", settle->period,
                  db_description(settle->db));
    return err_hint(err, "wait until that has ended, then type the same command again");
}

static bool read_scope(struct settle *settle, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    int64_t orgs = 0;
    db_params_text(&params, text_from(settle->day));
    bool is_fine = db_run(settle->db, "settle/scope.sql", &params, &result, err) &&
                   db_result_int64(&result, 0, 0, &orgs, err) &&
                   db_result_int64(&result, 0, 1, &settle->revisions, err) &&
                   db_result_instant(&result, 0, 2, &settle->first_end, err);
    db_result_release(&result);
    if (!is_fine || orgs > 0) {
        return is_fine;
    }
    (void)err_set(err, ERR_MISMATCH, "nothing is recorded of %s in %s", settle->period,
                  db_description(settle->db));
    return err_hint(err, "see the period, and whether it is the right database");
}

/* The journal of a folder is of one period in one database. */
static bool make_run_id(struct settle *settle, struct err *err) {
    struct buffer content = {0};
    struct digest digest;
    struct emit_key id;
    bool is_fine = buffer_append_format(&content, err, "reconcile %s %s", settle->period,
                                        db_identity(settle->db)) &&
                   digest_of(content.bytes, content.size_bytes, &digest, err);
    buffer_release(&content);
    if (is_fine) {
        memcpy(id.bytes, digest.bytes, sizeof id.bytes);
        emit_key_format(&id, settle->run_id);
    }
    return is_fine;
}

static bool make_folder(struct settle *settle, struct err *err) {
    const struct sys *sys = settle->options.sys;
    const char *folder = settle->options.folder;
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    if (!path_format(path, err, "%s/manifest.json", folder) || !path_kind(sys, path, &kind, err)) {
        return false;
    }
    if (kind != PATH_MISSING) {
        (void)err_set(err, ERR_MISMATCH, "%s is a run directory, with a journal of its own",
                      folder);
        return err_hint(err,
                        "periodclose reconcile RUN --repair goes on with it; for --period take "
                        "another --run-dir");
    }
    return path_format(path, err, "%s/60-emit", folder) && directory_create_all(sys, path, err) &&
           path_format(settle->journal_path, err, "%s/60-emit/journal", folder);
}

/* The lock ends with the connection, which is not made anew. */
static bool hold(void *context, struct err *err) {
    struct settle *settle = context;
    struct db_params params = {0};
    struct db_result result = {0};
    bool is_fine = db_run(settle->db, "emit/hold.sql", &params, &result, err);
    db_result_release(&result);
    return is_fine || err_wrap(err, "seeing to it that nobody else sends");
}

static struct sender_options sender_options_of(struct settle *settle) {
    const struct stage_sending *sending = settle->options.sending;
    const struct sys *sys = settle->options.sys;
    return (struct sender_options){
        .sys = sys,
        .base = sending->base,
        .secret = sending->key.text,
        .version = sending->version,
        .run_id = settle->run_id,
        .period = settle->period,
        .rate = sending->rate,
        .in_flight = sending->in_flight,
        .timeout_ms = sending->timeout_ms,
        .retry_delay_ms = sending->retry_delay_ms,
        .started_us = settle->alone_us,
        .deadline_us = clock_monotonic_us(sys) + sending->deadline_s * 1000000,
        .attach = sending->attach,
        .max_wait_us = sending->max_wait_us,
        .may_stand_alone = sending->may_stand_alone,
        .is_discountable = sending->is_discountable,
        .retries_failed = true,
        .tells_different = true,
        .hold = settle->options.folder != NULL ? hold : NULL,
        .hold_context = settle,
        .is_metered = settle->options.emission == EMISSION_STRIPE_METERS,
    };
}

static bool open_client(struct settle *settle, struct err *err) {
    const struct stage_sending *sending = settle->options.sending;
    const struct sys *sys = settle->options.sys;
    struct client_options options = {
        .sys = sys,
        .base = sending->base,
        .secret = sending->key.text,
        .secret_name = "DODO_PAYMENTS_API_KEY",
        .content_type = "application/json",
        .dialect = DIALECT_DODO,
        .per_minute = sending->per_minute,
        .timeout_ms = sending->timeout_ms,
        .retry_delay_ms = sending->retry_delay_ms,
        .deadline_us = clock_monotonic_us(sys) + sending->deadline_s * 1000000,
        .note = settle->options.note,
        .note_context = settle->options.note_context,
    };
    return settle->client != NULL || client_create(&options, &settle->client, err);
}

/* The journal as it is now, and who sends by it. */
static bool open_sender(struct settle *settle, struct err *err) {
    const struct sys *sys = settle->options.sys;
    dodo_destroy(settle->dodo);
    settle->dodo = NULL;
    sender_destroy(settle->sender);
    settle->sender = NULL;
    journal_close(settle->journal);
    settle->journal = NULL;
    if (settle->options.folder != NULL &&
        (!journal_open(sys, settle->journal_path, settle->run_id, clock_now(sys), &settle->journal,
                       err) ||
         !emit_mark_make(settle->options.folder, settle->journal, settle->mark, err))) {
        return false;
    }
    if (is_dodo(settle)) {
        struct dodo_options options = {
            .sys = sys, .run_id = settle->run_id, .period = settle->period, .retries_failed = true};
        return open_client(settle, err) &&
               dodo_create(&options, settle->client, settle->journal, &settle->dodo, err);
    }
    struct sender_options options = sender_options_of(settle);
    return sender_create(&options, settle->journal, &settle->sender, err);
}

bool settle_open(const struct settle_options *options, struct settle **settle, struct err *err) {
    const struct db_options database = {
        .conninfo = options->conninfo, .role = DB_ROLE_CLOSE, .sees_all_rows = true};
    struct settle *made = mem_alloc(sizeof *made);
    *settle = made;
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    made->options = *options;
    session_period(&(struct stage_session){.month = options->month}, made->day);
    (void)month_format(options->month, made->period);
    return db_open(options->sys, &database, &made->db, err) && migrate_check(made->db, err) &&
           read_scope(made, err) && make_run_id(made, err) &&
           (options->folder == NULL ||
            (lock_period(made, err) && make_folder(made, err) &&
             emit_write_back_borrow(made->db, made->day, &made->write_back, err))) &&
           open_sender(made, err);
}

void settle_close(struct settle *settle) {
    if (settle != NULL) {
        dodo_destroy(settle->dodo);
        client_destroy(settle->client);
        sender_destroy(settle->sender);
        journal_close(settle->journal);
        emit_write_back_close(settle->write_back);
        db_close(settle->db);
        mem_free(settle);
    }
}

/* --- page by page -------------------------------------------------------------------------------
 */

/* act: what is done with each page, until there are no more. */
static bool walk(struct settle *settle, int64_t revision, bool gives_all,
                 bool (*act)(struct settle *settle, struct settle_page *page, void *context,
                             struct err *err),
                 void *context, struct err *err) {
    struct buffer after = {0};
    bool is_last = false;
    bool is_fine = true;
    while (is_fine && !is_last) {
        struct settle_page page;
        is_fine = settle_page_open(&page, &settle->options, settle->db, settle->period,
                                   buffer_text(&after), revision, err);
        page.gives_all = gives_all;
        is_last = is_fine && settle_page_is_last(&page);
        is_fine = is_fine && (is_last || (act(settle, &page, context, err) &&
                                          settle_page_after(&page, &after, err)));
        settle_page_close(&page);
    }
    buffer_release(&after);
    return is_fine;
}

struct metrics {
    struct db_result result;
    struct text *texts;
    size_t count;
};

static bool metrics_read(struct settle *settle, struct metrics *metrics, struct err *err) {
    struct db_params params = {0};
    *metrics = (struct metrics){.count = 0};
    db_params_text(&params, text_from(settle->day));
    if (!db_run(settle->db, "settle/metrics.sql", &params, &metrics->result, err)) {
        return false;
    }
    metrics->texts = mem_alloc((metrics->result.rows_count + 1) * sizeof *metrics->texts);
    if (metrics->texts == NULL) {
        return err_memory(err, metrics->result.rows_count * sizeof *metrics->texts);
    }
    for (; metrics->count < metrics->result.rows_count; metrics->count++) {
        if (!db_result_text(&metrics->result, metrics->count, 0, &metrics->texts[metrics->count],
                            err)) {
            return false;
        }
    }
    return true;
}

static void metrics_release(struct metrics *metrics) {
    db_result_release(&metrics->result);
    mem_free(metrics->texts);
}

/* --- comparing ----------------------------------------------------------------------------------
 */

static bool compare_page(struct settle *settle, struct settle_page *page, void *context,
                         struct err *err) {
    struct emit_feed feed = {.context = page, .next = settle_page_next};
    return is_dodo(settle) ? dodo_reconcile(settle->dodo, &feed, context, err)
                           : sender_reconcile(settle->sender, &feed, context, err);
}

static bool compare_dodo(struct settle *settle, struct reconcile *reconcile, struct err *err) {
    struct metrics metrics;
    struct instant since = {settle->first_end.us - DAY_US};
    bool is_fine = metrics_read(settle, &metrics, err) &&
                   dodo_reconcile_begin(settle->dodo, metrics.texts, metrics.count, since, err) &&
                   walk(settle, SETTLE_ALL_REVISIONS, false, compare_page, reconcile, err) &&
                   dodo_reconcile_end(settle->dodo, reconcile, err);
    metrics_release(&metrics);
    return is_fine;
}

static bool expect_page(struct settle *settle, struct settle_page *page, void *context,
                        struct err *err) {
    struct emit_group group = {0};
    bool is_found = true;
    bool is_fine = true;
    (void)settle;
    while (is_fine && is_found) {
        is_fine = settle_page_next(page, &group, &is_found, err) &&
                  (!is_found || settle_moved_expect(context, &group, err));
    }
    emit_group_release(&group);
    return is_fine;
}

static bool list_all(void *context,
                     bool (*take)(void *moved, const struct journal_answer *found, struct err *err),
                     void *moved, struct err *err) {
    struct settle *settle = context;
    struct instant since = {settle->first_end.us - DAY_US};
    return sender_list(settle->sender, since, take, moved, err);
}

static bool compare_stripe(struct settle *settle, struct reconcile *reconcile, struct err *err) {
    const struct settle_listing listing = {.context = settle, .list = list_all};
    struct settle_moved *moved = settle_moved_create(&listing, MOVED_RECORDS, err);
    bool is_fine = moved != NULL &&
                   walk(settle, SETTLE_ALL_REVISIONS, false, expect_page, moved, err) &&
                   settle_moved_end(moved, err);
    reconcile->elsewhere = settle_moved_find;
    reconcile->elsewhere_context = moved;
    is_fine = is_fine && walk(settle, SETTLE_ALL_REVISIONS, true, compare_page, reconcile, err);
    reconcile->elsewhere = NULL;
    settle_moved_destroy(moved);
    return is_fine;
}

bool settle_compare(struct settle *settle, struct reconcile *reconcile, struct err *err) {
    reconcile->knows_all = true;
    if (!open_sender(settle, err)) {
        return false;
    }
    bool is_fine = is_dodo(settle) ? compare_dodo(settle, reconcile, err)
                   : settle->options.emission == EMISSION_STRIPE
                       ? compare_stripe(settle, reconcile, err)
                       : walk(settle, SETTLE_ALL_REVISIONS, false, compare_page, reconcile, err);
    return is_fine && (settle->journal == NULL ||
                       journal_commit(settle->journal, clock_now(settle->options.sys), err));
}

/* --- sending ------------------------------------------------------------------------------------
 */

static bool note_sent(void *context, const struct emit_group *group, struct err *err) {
    struct settle *settle = ((const struct settle_page *)context)->settle;
    for (size_t index = 0; index < group->works_count; index++) {
        const struct emit_work *work = &group->works[index];
        const struct emit_result *result = &work->result;
        settle->counts->sent += result->status == EMIT_SENT ? 1 : 0;
        settle->counts->held += result->status == EMIT_HELD ? 1 : 0;
        settle->counts->failed += result->status == EMIT_FAILED ? 1 : 0;
        settle->counts->unknown +=
            !work->is_different && (result->status == EMIT_UNKNOWN || result->status == EMIT_OPEN)
                ? 1
                : 0;
        /* What stands there with other content keeps its mark: whoever sends asks for it first. */
        if (!work->is_different &&
            !emit_write_back_put(settle->write_back, &work->item, emit_status_word(result),
                                 result->object_id, err)) {
            return false;
        }
    }
    return true;
}

/*
 * What is asked for from here on is not known from here on: neither to a run directory that comes
 * back, nor to another folder of repairs. The mark of the journal stands where an id will be.
 */
static bool mark_page(struct settle *settle, struct settle_page *page, struct err *err) {
    struct emit_group group = {0};
    bool is_found = true;
    bool is_fine = true;
    while (is_fine && is_found) {
        is_fine = settle_page_next(page, &group, &is_found, err);
        bool is_sent =
            is_fine && is_found && group.customer.size_bytes > 0 && group.held_reason == NULL;
        for (size_t index = 0; is_fine && is_sent && index < group.works_count; index++) {
            const struct emit_work *work = &group.works[index];
            is_fine =
                work->held_reason != NULL || work->recorded_id != NULL ||
                emit_write_back_put(settle->write_back, &work->item, "unknown", settle->mark, err);
        }
    }
    emit_group_release(&group);
    page->row = 0;
    return is_fine && emit_write_back_flush(settle->write_back, err);
}

static bool send_page(struct settle *settle, struct settle_page *page, void *context,
                      struct err *err) {
    struct emit_feed feed = {.context = page, .next = settle_page_next, .done = note_sent};
    (void)context;
    page->settle = settle;
    return mark_page(settle, page, err) &&
           (is_dodo(settle) ? dodo_run(settle->dodo, &feed, err)
                            : sender_run(settle->sender, &feed, err)) &&
           emit_write_back_flush(settle->write_back, err);
}

/* Something was begun by a run, or out of another folder, that the journal may not know of. */
static bool has_others(struct settle *settle, bool *is_any, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    int64_t count = 0;
    db_params_text(&params, text_from(settle->day));
    db_params_text(&params, text_from(settle->mark));
    bool is_fine = db_run(settle->db, "settle/begun.sql", &params, &result, err) &&
                   db_result_int64(&result, 0, 0, &count, err);
    db_result_release(&result);
    *is_any = count > 0;
    return is_fine;
}

/*
 * A journal that begins here does not know what was sent; nor does one that lost its end, or that
 * somebody else has sent beside.
 */
static bool complete_journal(struct settle *settle, struct err *err) {
    bool has_since;
    struct instant since;
    struct instant from = {settle->first_end.us - DAY_US};
    bool is_listed = settle->options.emission != EMISSION_STRIPE_METERS;
    bool is_any = false;
    bool is_incomplete = journal_is_incomplete(settle->journal, &has_since, &since);
    if (!is_incomplete && is_listed && !has_others(settle, &is_any, err)) {
        return false;
    }
    if (!is_incomplete && !is_any) {
        return true;
    }
    if (is_dodo(settle)) {
        struct metrics metrics;
        bool is_fine = metrics_read(settle, &metrics, err) &&
                       dodo_sweep(settle->dodo, metrics.texts, metrics.count, from, err);
        metrics_release(&metrics);
        return is_fine && open_sender(settle, err);
    }
    if (settle->options.emission == EMISSION_STRIPE_METERS) { /* doubt is told item by item */
        return journal_put_swept(settle->journal, err) &&
               journal_commit(settle->journal, clock_now(settle->options.sys), err) &&
               open_sender(settle, err);
    }
    if (settle->options.note != NULL) {
        settle->options.note(settle->options.note_context,
                             is_any
                                 ? "somebody else has begun to send: waiting until nothing of it "
                                   "can be under way, then asking Stripe what is there"
                                 : "the journal begins here: waiting until nothing sent before "
                                   "can be under way, then asking Stripe what is there");
    }
    return sender_sweep(settle->sender, from, err) && open_sender(settle, err);
}

static bool send_all(struct settle *settle, struct err *err) {
    if (!open_sender(settle, err) || !complete_journal(settle, err) ||
        (is_dodo(settle) && !dodo_load(settle->dodo, err))) {
        return false;
    }
    /* A difference goes only when what it differs from is settled. */
    for (int64_t revision = 1; revision <= settle->revisions; revision++) {
        if (!walk(settle, revision, false, send_page, NULL, err)) {
            return false;
        }
    }
    return true;
}

bool settle_send(struct settle *settle, struct settle_counts *counts, struct err *err) {
    *counts = (struct settle_counts){0};
    settle->counts = counts;
    if (settle->client != NULL) {
        client_keep_connecting(settle->client, true);
    }
    bool is_fine = send_all(settle, err);
    if (settle->client != NULL) {
        client_keep_connecting(settle->client, false);
    }
    return is_fine;
}
