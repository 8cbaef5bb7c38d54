/*
 * With a database: what became of each item goes onto its record there, in batches. Writing it
 * again is harmless, so a start that goes on simply writes all of it once more; what stands already
 * is not touched.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "db/migrate.h"
#include "emit.h"
#include "sys/clock.h"
#include "sys/process.h"

enum { BATCH_ROWS = 1000 };

struct emit_write_back {
    struct run *run; /* NULL: of none, and the connection is somebody else's */
    const char *conninfo;
    struct db *db;
    char period[INSTANT_TEXT_MAX];
    json_t *batch;                /* array */
    bool is_asking;               /* nothing is written, and nobody kept from sending */
    bool is_alone;                /* nobody else sends items of the period */
    char mark[EMIT_KEY_TEXT_MAX]; /* of the run directory's journal; empty: it is not begun */
    int64_t quiet_us;             /* so long nobody else begins to send after it was alone */
    int64_t
        held_us; /* by clock_elapsed_us: when it last was seen to hold; 0: nothing is sent yet */
};

bool emit_database_open(struct run *run, const char *conninfo, struct db **db, struct err *err) {
    const struct db_options options = {
        .conninfo = conninfo, .role = DB_ROLE_CLOSE, .sees_all_rows = true};
    if (!db_open(run_sys(run), &options, db, err) || !migrate_check(*db, err)) {
        return false;
    }
    const char *pinned = run_pinned(run, PIN_INPUT, "database");
    if (pinned == NULL || strcmp(pinned, db_identity(*db)) == 0) {
        return true;
    }
    (void)err_set(err, ERR_MISMATCH, "%s has recorded in database %s, this is %s", run_path(run),
                  pinned, db_identity(*db));
    return err_hint(err, "give the same one with --database");
}

/* Beside others that send, but not beside a repair of the period out of the database. */
static bool lock(struct emit_write_back *back, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    bool is_locked = false;
    db_params_text(&params, text_from(back->period));
    bool is_fine = db_run(back->db, "emit/lock_shared.sql", &params, &result, err) &&
                   db_result_bool(&result, 0, 0, &is_locked, err);
    db_result_release(&result);
    if (!is_fine || is_locked) {
        return is_fine;
    }
    (void)err_set(err, ERR_LOCKED,
                  "somebody settles items of the period in %s, and nobody else may send meanwhile",
                  db_description(back->db));
    return err_hint(err, "wait until reconcile --period, or the same run in another directory, has "
                         "ended, then type the same again");
}

/* Of a folder on this machine: another one may have another journal of the same run. */
bool emit_mark_make(const char *folder, const struct journal *journal, char text[EMIT_KEY_TEXT_MAX],
                    struct err *err) {
    char path[FILE_PATH_MAX];
    struct instant begun_at;
    text[0] = '\0';
    if (!journal_begun_at(journal, &begun_at)) {
        return true;
    }
    char host[256];
    struct buffer content = {0};
    struct digest digest;
    struct emit_key mark;
    process_host_name(host, sizeof host);
    bool is_fine = path_absolute(folder, path, err) &&
                   buffer_append_format(&content, err, "run directory %s %s %lld", host, path,
                                        (long long)begun_at.us) &&
                   digest_of(content.bytes, content.size_bytes, &digest, err);
    buffer_release(&content);
    if (is_fine) {
        memcpy(mark.bytes, digest.bytes, sizeof mark.bytes);
        emit_key_format(&mark, text);
    }
    return is_fine;
}

bool emit_write_back_sign(struct emit_write_back *back, const struct journal *journal,
                          struct err *err) {
    return back == NULL || emit_mark_make(run_path(back->run), journal, back->mark, err);
}

const char *emit_write_back_mark(const struct emit_write_back *back) {
    return back->mark;
}

bool emit_write_back_is_alone(const struct emit_write_back *back) {
    return back->is_alone;
}

static bool lock_alone(struct emit_write_back *back, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    bool is_locked = false;
    db_params_text(&params, text_from(back->period));
    bool is_fine = db_run(back->db, "settle/lock.sql", &params, &result, err) &&
                   db_result_bool(&result, 0, 0, &is_locked, err);
    db_result_release(&result);
    back->is_alone = is_fine && is_locked;
    if (!is_fine || is_locked) {
        return is_fine;
    }
    (void)err_set(err, ERR_LOCKED,
                  "items of this run were begun out of another run directory, and somebody sends "
                  "items of the period in %s now",
                  db_description(back->db));
    return err_hint(err, "let that end, or go on in its directory; then type the same again: what "
                         "it sent is asked for first");
}

/* Who may send after us waits as long as that before it looks what is there. */
static bool check_away(const struct emit_write_back *back, struct err *err) {
    int64_t away_us = clock_elapsed_us(run_sys(back->run)) - back->held_us;
    if (back->held_us == 0 || away_us < back->quiet_us) {
        return true;
    }
    (void)err_set(err, ERR_DATABASE,
                  "the connection to %s was lost for %lld s: meanwhile somebody else may have sent "
                  "items of the period",
                  db_description(back->db), (long long)(away_us / 1000000));
    return err_hint(err, "type the same command again: what is there is asked for first");
}

static bool connect(struct emit_write_back *back, struct err *err) {
    if (back->run == NULL || (back->db != NULL && !db_is_lost(back->db))) {
        return true;
    }
    db_close(back->db);
    back->db = NULL;
    if (!emit_database_open(back->run, back->conninfo, &back->db, err)) {
        return false;
    }
    if (back->is_asking) {
        return true;
    }
    if (!lock(back, err) || (back->is_alone && !lock_alone(back, err)) || !check_away(back, err)) {
        return false;
    }
    if (back->held_us != 0) {
        back->held_us = clock_elapsed_us(run_sys(back->run));
    }
    return true;
}

bool emit_write_back_hold(struct emit_write_back *back, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    bool is_fine = connect(back, err) && db_run(back->db, "emit/hold.sql", &params, &result, err);
    db_result_release(&result);
    if (!is_fine && back->db != NULL && db_is_lost(back->db)) {
        err_release(err);
        is_fine = connect(back, err);
    }
    if (is_fine) {
        back->held_us = clock_elapsed_us(run_sys(back->run));
    }
    return is_fine || err_wrap(err, "seeing to it that nobody else sends");
}

static bool open_back(struct run *run, const struct stage_session *session, bool is_asking,
                      struct emit_write_back **back, struct err *err) {
    *back = NULL;
    struct emit_write_back *made = mem_alloc(sizeof *made);
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    *made = (struct emit_write_back){.run = run,
                                     .conninfo = session->conninfo,
                                     .batch = json_array(),
                                     .is_asking = is_asking,
                                     .quiet_us = sender_quiet_us(session->sending.timeout_ms)};
    session_period(session, made->period);
    if (made->batch == NULL || !connect(made, err)) {
        bool has_batch = made->batch != NULL;
        emit_write_back_close(made);
        return has_batch ? false : err_memory(err, 0);
    }
    *back = made;
    return true;
}

bool emit_write_back_open(struct run *run, const struct stage_session *session,
                          struct emit_write_back **back, struct err *err) {
    *back = NULL;
    return session->conninfo == NULL || open_back(run, session, false, back, err);
}

bool emit_write_back_only_ask(struct run *run, const struct stage_session *session,
                              struct emit_write_back **back, struct err *err) {
    return open_back(run, session, true, back, err);
}

bool emit_write_back_borrow(struct db *db, const char *day, struct emit_write_back **back,
                            struct err *err) {
    struct emit_write_back *made = mem_alloc(sizeof *made);
    *back = made;
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    *made = (struct emit_write_back){.db = db, .batch = json_array()};
    (void)snprintf(made->period, sizeof made->period, "%s", day);
    return made->batch != NULL || err_memory(err, 0);
}

void emit_write_back_close(struct emit_write_back *back) {
    if (back != NULL) {
        if (back->run != NULL) {
            db_close(back->db);
        }
        json_decref(back->batch);
        mem_free(back);
    }
}

bool emit_write_back_alone(struct emit_write_back *back, struct err *err) {
    return connect(back, err) && (back->is_alone || lock_alone(back, err));
}

bool emit_write_back_marking(struct emit_write_back *back, bool begins, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    const char *statement = begins ? "emit/lock_marking.sql" : "emit/unlock_marking.sql";
    db_params_text(&params, text_from(back->period));
    bool is_fine = connect(back, err) && db_run(back->db, statement, &params, &result, err);
    db_result_release(&result);
    return is_fine;
}

bool emit_write_back_ask(struct emit_write_back *back, const char *statement, const char *items,
                         struct db_result *result, struct err *err) {
    struct db_params params = {0};
    db_params_text(&params, text_from(back->period));
    db_params_text(&params, text_from(items));
    return connect(back, err) && db_run(back->db, statement, &params, result, err);
}

static bool check_found(const struct emit_write_back *back, int64_t found_count, struct err *err) {
    size_t count = json_array_size(back->batch);
    if (found_count == (int64_t)count) {
        return true;
    }
    (void)err_set(err, ERR_MISMATCH, "%zu item%s sent or held, but %s has records of %lld of them",
                  count, count == 1 ? " was" : "s were", db_description(back->db),
                  (long long)found_count);
    return err_hint(err, "the database is not as the run left it; restored from a backup, perhaps? "
                         "What was sent stands in the journal and at the other side");
}

static bool write_batch(struct emit_write_back *back, const char *items, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    int64_t found_count = 0;
    db_params_text(&params, text_from(back->period));
    db_params_text(&params, text_from(items));
    bool is_fine =
        connect(back, err) && db_run(back->db, "emit/write_back.sql", &params, &result, err) &&
        db_result_int64(&result, 0, 0, &found_count, err) && check_found(back, found_count, err);
    db_result_release(&result);
    return is_fine;
}

bool emit_write_back_flush(struct emit_write_back *back, struct err *err) {
    if (back == NULL || json_array_size(back->batch) == 0) {
        return true;
    }
    char *items = json_dumps(back->batch, JSON_COMPACT);
    if (items == NULL) {
        return err_memory(err, 0);
    }
    bool is_fine = write_batch(back, items, err);
    if (!is_fine && back->run != NULL && back->db != NULL && db_is_lost(back->db)) {
        /* Hours may lie between two batches: a connection that was dropped is made anew, once. */
        err_release(err);
        is_fine = write_batch(back, items, err);
    }
    free(items);
    (void)json_array_clear(back->batch);
    return is_fine || err_wrap(err, "writing what became of the items");
}

bool emit_write_back_put(struct emit_write_back *back, const struct emit_item *item,
                         const char *status, const char *object_id, struct err *err) {
    if (back == NULL) {
        return true;
    }
    json_t *row = json_pack("{s:s%, s:s%, s:I, s:s, s:s?}", "org_id", item->org_id.bytes,
                            item->org_id.size_bytes, "metric", item->metric.bytes,
                            item->metric.size_bytes, "revision", (json_int_t)item->revision,
                            "status", status, "id", object_id[0] != '\0' ? object_id : NULL);
    if (row == NULL || json_array_append_new(back->batch, row) != 0) {
        return err_memory(err, 0);
    }
    return json_array_size(back->batch) < BATCH_ROWS || emit_write_back_flush(back, err);
}
