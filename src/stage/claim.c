#include "stage/claim.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "stage/stages.h"
#include "sys/process.h"

const char pin_claim[] = "claim";

bool session_database(const struct run *run, struct stage_session *session, struct err *err) {
    const struct db_options options = {
        .conninfo = session->conninfo, .role = DB_ROLE_CLOSE, .sees_all_rows = true};
    if (session->database != NULL && !db_is_lost(session->database)) {
        return true;
    }
    db_close(session->database);
    session->database = NULL;
    return db_open(run_sys(run), &options, &session->database, err);
}

void session_period(const struct stage_session *session, char day[INSTANT_TEXT_MAX]) {
    const struct civil_date first = {session->month.year, session->month.month, 1};
    (void)civil_format(civil_to_days(first), day);
}

/* "RUN_ID STARTED_AT", as it is noted. */
static bool parse_claim(const char *noted, struct stage_claim *claim) {
    char *end = NULL;
    claim->run_id = strtoll(noted, &end, 10);
    return claim->run_id > 0 && *end == ' ' &&
           instant_parse(text_from(end + 1), &claim->started_at) == NULL;
}

static bool note_claim(struct run *run, const struct stage_claim *claim, struct err *err) {
    char started_at[INSTANT_TEXT_MAX];
    char noted[INSTANT_TEXT_MAX + 32];
    (void)instant_format(claim->started_at, started_at);
    (void)snprintf(noted, sizeof noted, "%lld %s", (long long)claim->run_id, started_at);
    const char *before = run_pinned(run, PIN_VERSION, pin_claim);
    return (before != NULL && strcmp(before, noted) == 0) ||
           (run_pin_anew(run, pin_claim, noted, err) && run_save(run, err));
}

/* {"orgs": "all"} or {"orgs": ["acme", …]}, to be freed. */
static char *format_scope(const struct stage_session *session, struct err *err) {
    json_t *orgs = session->selected_orgs_count > 0 ? json_array() : json_string("all");
    bool is_fine = orgs != NULL;
    for (size_t index = 0; is_fine && index < session->selected_orgs_count; index++) {
        const struct text *org_id = &session->selected_orgs[index];
        is_fine = json_array_append_new(orgs, json_stringn(org_id->bytes, org_id->size_bytes)) == 0;
    }
    json_t *scope = is_fine ? json_pack("{s:O}", "orgs", orgs) : NULL;
    char *text = scope != NULL ? json_dumps(scope, JSON_COMPACT) : NULL;
    json_decref(scope);
    json_decref(orgs);
    if (text == NULL) {
        (void)err_memory(err, 4096);
    }
    return text;
}

struct claim_row {
    int64_t run_id;
    bool is_own;
    struct text state;
    struct text host;
    struct text run_dir;
    struct text started_by;
    struct instant started_at;
};

static bool read_row(const struct db_result *result, struct claim_row *row, struct err *err) {
    return db_result_int64(result, 0, 0, &row->run_id, err) &&
           db_result_bool(result, 0, 1, &row->is_own, err) &&
           db_result_text(result, 0, 2, &row->state, err) &&
           db_result_text(result, 0, 3, &row->host, err) &&
           db_result_text(result, 0, 4, &row->run_dir, err) &&
           db_result_text(result, 0, 5, &row->started_by, err) &&
           db_result_instant(result, 0, 6, &row->started_at, err);
}

static bool refuse(const struct stage_session *session, const struct claim_row *row,
                   struct err *err) {
    char month[INSTANT_TEXT_MAX];
    char since[INSTANT_TEXT_MAX];
    (void)month_format(session->month, month);
    (void)instant_format(row->started_at, since);
    (void)err_set(err, ERR_LOCKED,
                  "period %s is claimed by run %lld: %.*s on %.*s, by %.*s, since %s", month,
                  (long long)row->run_id, (int)row->run_dir.size_bytes, row->run_dir.bytes,
                  (int)row->host.size_bytes, row->host.bytes, (int)row->started_by.size_bytes,
                  row->started_by.bytes, since);
    return err_hint(err,
                    "wait for it; if it died, go on with it there, or give its claim back: "
                    "periodclose claims --database CONNINFO --release %lld --reason TEXT",
                    (long long)row->run_id);
}

static bool ask(struct run *run, struct stage_session *session, const char *scope,
                struct db_result *result, struct err *err) {
    char day[INSTANT_TEXT_MAX];
    char host[256];
    char path[FILE_PATH_MAX];
    struct stage_claim known;
    struct db_params params = {0};
    const char *noted = run_pinned(run, PIN_VERSION, pin_claim);
    if (!path_absolute(run_path(run), path, err)) {
        return false;
    }
    session_period(session, day);
    process_host_name(host, sizeof host);
    db_params_text(&params, text_from(session->kind != NULL ? session->kind : "close"));
    db_params_text(&params, text_from(day));
    db_params_text(&params, text_from(scope));
    db_params_text(&params, text_from(host));
    db_params_text(&params, text_from(path));
    db_params_text(&params, text_from(PERIODCLOSE_VERSION));
    if (noted != NULL && parse_claim(noted, &known)) {
        db_params_int64(&params, known.run_id);
        db_params_instant(&params, known.started_at);
    } else {
        db_params_null(&params);
        db_params_null(&params);
    }
    return db_run(session->database, "record/claim.sql", &params, result, err);
}

static bool check_writable(const struct db *db, struct err *err) {
    if (!db_is_standby(db)) {
        return true;
    }
    (void)err_set(err, ERR_DATABASE, "%s is a read-only standby: nothing can be recorded there",
                  db_description(db));
    return err_hint(err, "name the primary with --database; or only compute, without recording: "
                         "--until project");
}

bool claim_take(struct run *run, struct stage_session *session, struct err *err) {
    struct db_result result = {0};
    struct claim_row row;
    if (!session_database(run, session, err) || !check_writable(session->database, err)) {
        return false;
    }
    char *scope = format_scope(session, err);
    bool is_done =
        scope != NULL && ask(run, session, scope, &result, err) && read_row(&result, &row, err);
    free(scope);
    if (is_done && !row.is_own) {
        is_done = refuse(session, &row, err);
    }
    if (is_done) {
        session->claim = (struct stage_claim){row.run_id, row.started_at};
        is_done = note_claim(run, &session->claim, err);
    }
    db_result_release(&result);
    return is_done;
}

bool claim_give_back(const struct run *run, struct stage_session *session, struct err *err) {
    struct db_params params = {0};
    if (session->claim.run_id == 0 || run_stage_is_done(run, &stage_record)) {
        return true;
    }
    db_params_int64(&params, session->claim.run_id);
    db_params_instant(&params, session->claim.started_at);
    if (!session_database(run, session, err)) {
        return false;
    }
    db_finish_in_peace(session->database);
    return db_run(session->database, "record/give_back.sql", &params, NULL, err);
}
