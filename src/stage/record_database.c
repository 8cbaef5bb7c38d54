#include "record_database.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "core/money.h"
#include "source/recorded.h"
#include "stage/stages.h"
#include "sys/process.h"

/* --- the run's own row ----------------------------------------------------------------------- */

/* Of everything that is recorded, by the seals of the stages that made it. */
static bool digest_result(struct ledger *ledger, struct err *err) {
    const struct stage_list stages = run_stages(ledger->run);
    struct hasher *hasher = hasher_create(err);
    bool is_fine = hasher != NULL;
    for (size_t index = 0; is_fine && stages.stages[index] != &stage_record; index++) {
        size_t files_count;
        const struct run_file *files =
            run_stage_files(ledger->run, stages.stages[index], &files_count);
        for (size_t file = 0; is_fine && file < files_count; file++) {
            is_fine = hasher_add(hasher, files[file].path, strlen(files[file].path) + 1, err) &&
                      hasher_add(hasher, files[file].digest.bytes, DIGEST_BYTES, err);
        }
    }
    is_fine = is_fine && hasher_finish(hasher, &ledger->result_key, err);
    hasher_destroy(hasher);
    return is_fine;
}

static bool refuse_claim(const struct ledger *ledger, const char *what, struct err *err) {
    (void)err_set(err, ERR_LOCKED, "the claim of run %lld on the period %s",
                  (long long)ledger->session->claim.run_id, what);
    return err_hint(err, "somebody took the run for dead; nothing of it was recorded. Type the "
                         "same command again: it asks for a claim of its own");
}

static bool judge_row(struct ledger *ledger, const struct db_result *row, struct err *err) {
    struct text state;
    struct text key;
    if (row->rows_count == 0) {
        return refuse_claim(ledger, "is not there any more", err);
    }
    if (!db_result_text(row, 0, 0, &state, err) || !db_result_text(row, 0, 1, &key, err)) {
        return false;
    }
    if (text_equals(state, text_from("running"))) {
        return true;
    }
    if (!text_equals(state, text_from("recorded"))) {
        return refuse_claim(ledger, "was given back", err);
    }
    ledger->is_written = true;
    if (text_equals(key, (struct text){(const char *)ledger->result_key.bytes, DIGEST_BYTES})) {
        struct text reason;
        return db_result_text(row, 0, 2, &reason, err) &&
               buffer_append(&ledger->reason, reason, err);
    }
    (void)err_set(err, ERR_MISMATCH, "run %lld has recorded another result than %s holds",
                  (long long)ledger->session->claim.run_id, run_path(ledger->run));
    return err_hint(err, "begin anew with --restart: what is recorded is compared then");
}

static bool lock_row(struct ledger *ledger, struct err *err) {
    struct db_params params = {0};
    struct db_result row = {0};
    db_params_int64(&params, ledger->session->claim.run_id);
    db_params_instant(&params, ledger->session->claim.started_at);
    bool is_done = db_run(ledger->db, "record/lock_run.sql", &params, &row, err) &&
                   judge_row(ledger, &row, err);
    db_result_release(&row);
    return is_done;
}

/* What was sealed for revisions is what is recorded, only while nobody has recorded since. */
static bool check_mark(struct ledger *ledger, struct err *err) {
    struct buffer mark = {0};
    const char *before = run_pinned(ledger->run, PIN_VERSION, pin_recorded);
    bool is_done = recorded_mark(ledger->db, &mark, err);
    if (is_done && (before == NULL || strcmp(before, mark.bytes) != 0)) {
        (void)err_set(err, ERR_MISMATCH,
                      "something was recorded of the period since %s read the database",
                      run_path(ledger->run));
        is_done = err_hint(err, "begin anew: add --restart");
    }
    buffer_release(&mark);
    return is_done;
}

/* --- what is recorded ------------------------------------------------------------------------ */

static bool read_table(struct ledger *ledger, const struct recorded_table *recorded,
                       struct table ***tables, struct err *err) {
    *tables = mem_alloc(sizeof **tables);
    if (*tables == NULL) {
        return err_memory(err, sizeof **tables);
    }
    return recorded_read(ledger->db, run_sys(ledger->run), run_scratch_path(ledger->run), recorded,
                         *tables, err);
}

static bool digest_one_shard(void *context, size_t shard_index, struct err *err) {
    return ledger_digest_shard(context, shard_index, err);
}

static bool digest_shards(struct ledger *ledger, struct err *err) {
    ledger->shards_count = run_shards_count(ledger->run);
    ledger->shards = mem_alloc(ledger->shards_count * sizeof *ledger->shards);
    if (ledger->shards == NULL) {
        return err_memory(err, ledger->shards_count * sizeof *ledger->shards);
    }
    if (!process_parallel(run_current_options(ledger->run)->jobs, ledger->shards_count,
                          digest_one_shard, ledger, err)) {
        return false;
    }
    for (size_t shard = 0; shard < ledger->shards_count; shard++) {
        for (size_t index = 0; index < ledger->shards[shard].orgs_count; index++) {
            ledger->counts[ledger->shards[shard].orgs[index].state]++;
        }
    }
    return true;
}

static bool read_recorded(struct ledger *ledger, struct err *err) {
    struct previous_tables *previous = &ledger->previous;
    previous->shards_count = 1;
    if (!read_table(ledger, &recorded_orgs, &previous->orgs, err) ||
        !read_table(ledger, &recorded_records, &previous->records, err) ||
        !digest_shards(ledger, err)) {
        return false;
    }
    /* Of orgs that are as they were, nothing else is asked. */
    return ledger->counts[LEDGER_CHANGED] == 0 ||
           (read_table(ledger, &recorded_usage, &previous->usage, err) &&
            read_table(ledger, &recorded_negatives, &previous->negatives, err) &&
            read_table(ledger, &recorded_charges, &previous->charges, err));
}

bool ledger_open(struct ledger *ledger, struct run *run, struct stage_session *session,
                 const struct terms *terms, struct err *err) {
    bool is_dry = run_is_dry(run);
    *ledger = (struct ledger){.run = run, .session = session, .terms = terms};
    session_period(session, ledger->day);
    if (!digest_result(ledger, err) || !session_database(run, session, err)) {
        return false;
    }
    ledger->db = session->database;
    const struct recorded_scope scope = {
        .day = ledger->day,
        .selected_orgs = session->selected_orgs,
        .selected_orgs_count = session->selected_orgs_count,
        .before_run_id = session->claim.run_id,
    };
    assert(is_dry || session->claim.run_id != 0);
    if (!db_begin(ledger->db, is_dry ? "isolation level repeatable read read only" : "", err)) {
        return false;
    }
    if ((is_dry || lock_row(ledger, err)) && recorded_settings(ledger->db, &scope, err) &&
        check_mark(ledger, err) && read_recorded(ledger, err)) {
        return true;
    }
    db_rollback(ledger->db);
    return false;
}

/* The same whether they were written by this start of the run, or by one that did not know. */
bool ledger_pin_results(const struct ledger *ledger, struct err *err) {
    char text[24];
    (void)snprintf(
        text, sizeof text, "%llu",
        (unsigned long long)(ledger->counts[LEDGER_NEW] + ledger->counts[LEDGER_CHANGED]));
    return run_pin(ledger->run, PIN_VERSION, pin_new_results, text, false, err);
}

void ledger_close(struct ledger *ledger) {
    if (ledger->db != NULL) {
        db_rollback(ledger->db);
    }
    for (size_t shard = 0; ledger->shards != NULL && shard < ledger->shards_count; shard++) {
        mem_free(ledger->shards[shard].orgs);
    }
    mem_free(ledger->shards);
    buffer_release(&ledger->reason);
    previous_close(&ledger->previous);
}

/* --- refusing -------------------------------------------------------------------------------- */

enum { CHANGES_TOLD_MAX = 50 };

static bool tell_change(struct buffer *list, const struct table_cursor *row, struct err *err) {
    char old_usage[DECIMAL_TEXT_MAX];
    char new_usage[DECIMAL_TEXT_MAX];
    char old_cost[DECIMAL_TEXT_MAX];
    char new_cost[DECIMAL_TEXT_MAX];
    struct text org_id = table_get_text(row, ADJUSTMENTS_ORG_ID);
    struct text metric = table_get_text(row, ADJUSTMENTS_METRIC);
    const struct currency *currency = currency_find(table_get_text(row, ADJUSTMENTS_CURRENCY));
    assert(currency != NULL); /* of the plan it was just written from */
    (void)decimal_format(table_get_decimal(row, ADJUSTMENTS_OLD_USAGE), old_usage);
    (void)decimal_format(table_get_decimal(row, ADJUSTMENTS_NEW_USAGE), new_usage);
    (void)money_format(table_get_decimal(row, ADJUSTMENTS_OLD_COST), currency, old_cost);
    (void)money_format(table_get_decimal(row, ADJUSTMENTS_NEW_COST), currency, new_cost);
    return buffer_append_format(
        list, err, "%.*s, %.*s: recorded usage %s cost %s %s, now usage %s cost %s\n",
        (int)org_id.size_bytes, org_id.bytes, (int)metric.size_bytes, metric.bytes, old_usage,
        old_cost, currency->code, new_usage, new_cost);
}

static bool tell_changes(const struct ledger *ledger, struct buffer *list, uint64_t *count,
                         struct err *err) {
    for (size_t shard = 0; shard < ledger->shards_count; shard++) {
        struct table *adjustments;
        if (!run_input_open(ledger->run, &checkpoint_adjustments, shard, &adjustments, err)) {
            return false;
        }
        bool is_fine = true;
        struct table_cursor row = table_cursor_start(adjustments);
        while (is_fine && table_cursor_next(&row)) {
            is_fine = ++*count > CHANGES_TOLD_MAX || tell_change(list, &row, err);
        }
        table_close(adjustments);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

bool ledger_refuse_changes(const struct ledger *ledger, struct err *err) {
    struct buffer list = {0};
    uint64_t count = 0;
    uint64_t changed = ledger->counts[LEDGER_CHANGED];
    bool is_fine = tell_changes(ledger, &list, &count, err);
    if (is_fine && count > CHANGES_TOLD_MAX) {
        is_fine = buffer_append_format(&list, err,
                                       "… and %llu more: see reports/adjustments.csv "
                                       "of a --dry-run\n",
                                       (unsigned long long)(count - CHANGES_TOLD_MAX));
    } else if (is_fine && count == 0) {
        is_fine = buffer_append_format(&list, err,
                                       "no usage and no cost, but limits, plans, "
                                       "levels or periods differ\n");
    }
    is_fine = is_fine && buffer_append(&list, (struct text){"", 1}, err);
    if (!is_fine) {
        buffer_release(&list);
        return false;
    }
    (void)err_set(err, ERR_MISMATCH,
                  "another result is recorded already for %llu org%s of this period: nothing was "
                  "written",
                  (unsigned long long)changed, changed == 1 ? "" : "s");
    err_take_details(err, list.bytes);
    return err_hint(err, "if this one is meant, type the same command with --force --reason TEXT: "
                         "it becomes the next revision, and only the difference is billed");
}
