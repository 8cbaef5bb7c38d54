/*
 * void and waive: records of a period at zero, as an ordinary next revision; what was billed is
 * taken back by the difference. One transaction, without a run directory; typed again it finds
 * nothing left to take back.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/closing.h"
#include "cli/commands.h"
#include "core/money.h"
#include "database_option.h"
#include "db/migrate.h"
#include "sys/process.h"

struct waiving {
    struct cli *cli;
    struct db *db;
    const char *kind; /* void, waive */
    const char *reason;
    const char *metric;           /* NULL: all */
    struct stage_session session; /* period and orgs */
    char day[INSTANT_TEXT_MAX];
    struct buffer orgs; /* as an array's text; empty: all */
    int64_t run_id;
    json_t *totals;
    struct buffer told;
    int64_t records_count;
};

/* --- what is meant --------------------------------------------------------------------------- */

static bool parse_period(struct waiving *waiving, struct err *err) {
    const char *typed;
    if (!cli_required(waiving->cli, OPTION_PERIOD, &typed, err)) {
        return false;
    }
    const char *reason = month_parse(text_from(typed), &waiving->session.month);
    if (reason != NULL) {
        return err_set(err, ERR_USAGE, "--period: '%s' %s", typed, reason);
    }
    session_period(&waiving->session, waiving->day);
    return true;
}

static bool list_orgs(struct waiving *waiving, struct err *err) {
    struct buffer *list = &waiving->orgs;
    size_t count = waiving->session.selected_orgs_count;
    bool is_fine = count == 0 || buffer_append(list, text_from("{"), err);
    for (size_t index = 0; is_fine && index < count; index++) {
        struct text org_id = waiving->session.selected_orgs[index];
        is_fine = buffer_append(list, text_from(index > 0 ? ",\"" : "\""), err);
        for (size_t at = 0; is_fine && at < org_id.size_bytes; at++) {
            bool is_quoted = org_id.bytes[at] == '"' || org_id.bytes[at] == '\\';
            is_fine = (!is_quoted || buffer_append(list, text_from("\\"), err)) &&
                      buffer_append(list, (struct text){org_id.bytes + at, 1}, err);
        }
        is_fine = is_fine && buffer_append(list, text_from("\""), err);
    }
    return is_fine && (count == 0 || buffer_append(list, text_from("}"), err));
}

static char *format_scope(const struct waiving *waiving, struct err *err) {
    json_t *orgs = waiving->session.selected_orgs_count > 0 ? json_array() : json_string("all");
    for (size_t index = 0; orgs != NULL && index < waiving->session.selected_orgs_count; index++) {
        struct text org_id = waiving->session.selected_orgs[index];
        if (json_array_append_new(orgs, json_stringn(org_id.bytes, org_id.size_bytes)) != 0) {
            json_decref(orgs);
            orgs = NULL;
        }
    }
    json_t *scope = orgs != NULL ? json_pack("{s:o}", "orgs", orgs) : NULL;
    if (scope != NULL && waiving->metric != NULL) {
        (void)json_object_set_new(scope, "metric", json_string(waiving->metric));
    }
    char *text = scope != NULL ? json_dumps(scope, JSON_COMPACT) : NULL;
    json_decref(scope);
    if (text == NULL) {
        (void)err_memory(err, 4096);
    }
    return text;
}

static void put_narrowing(struct db_params *params, const struct waiving *waiving) {
    if (waiving->orgs.size_bytes > 0) {
        db_params_text(params, buffer_text(&waiving->orgs));
    } else {
        db_params_null(params);
    }
    if (waiving->metric != NULL) {
        db_params_text(params, text_from(waiving->metric));
    } else {
        db_params_null(params);
    }
}

/* --- the transaction ------------------------------------------------------------------------- */

/* Its own row, in this transaction: a run of the period that is under way is not disturbed. */
static bool claim(struct waiving *waiving, struct err *err) {
    char host[256];
    bool is_own = false;
    struct text run_dir;
    struct db_params params = {0};
    struct db_result row = {0};
    char *scope = format_scope(waiving, err);
    if (scope == NULL) {
        return false;
    }
    process_host_name(host, sizeof host);
    db_params_text(&params, text_from(waiving->kind));
    db_params_text(&params, text_from(waiving->day));
    db_params_text(&params, text_from(scope));
    db_params_text(&params, text_from(host));
    db_params_null(&params);
    db_params_text(&params, text_from(PERIODCLOSE_VERSION));
    db_params_null(&params);
    db_params_null(&params);
    bool is_done = db_run(waiving->db, "record/claim.sql", &params, &row, err) &&
                   db_result_int64(&row, 0, 0, &waiving->run_id, err) &&
                   db_result_bool(&row, 0, 1, &is_own, err) &&
                   db_result_text(&row, 0, 4, &run_dir, err);
    if (is_done && !is_own) {
        (void)err_set(err, ERR_LOCKED, "the period is claimed by run %lld, in %.*s",
                      (long long)waiving->run_id, (int)run_dir.size_bytes, run_dir.bytes);
        is_done = err_hint(err, "wait until it has recorded; periodclose claims --database "
                                "CONNINFO tells more");
    }
    db_result_release(&row);
    free(scope);
    return is_done;
}

static bool add_row(struct waiving *waiving, const struct db_result *rows, size_t row,
                    struct err *err) {
    struct text code;
    int64_t records;
    struct decimal billed;
    char amount[DECIMAL_TEXT_MAX];
    if (!db_result_text(rows, row, 0, &code, err) ||
        !db_result_int64(rows, row, 1, &records, err) ||
        !db_result_decimal(rows, row, 2, &billed, err)) {
        return false;
    }
    const struct currency *currency = currency_find(code);
    if (currency == NULL) {
        return err_set(err, ERR_DAMAGED, "a record is in an unknown currency: '%.*s'",
                       (int)code.size_bytes, code.bytes);
    }
    (void)money_format(billed, currency, amount);
    waiving->records_count += records;
    json_t *object = json_pack("{s:I, s:s}", "records", (json_int_t)records, "billed", amount);
    if (json_object_set_new(waiving->totals, currency->code, object) != 0) {
        return err_memory(err, 4096);
    }
    return buffer_append_format(&waiving->told, err, "  %lld record%s, billed %s %s\n",
                                (long long)records, records == 1 ? "" : "s", amount,
                                currency->code);
}

static bool waive_records(struct waiving *waiving, struct err *err) {
    struct db_params params = {0};
    struct db_result rows = {0};
    db_params_int64(&params, waiving->run_id);
    db_params_text(&params, text_from(waiving->day));
    put_narrowing(&params, waiving);
    bool is_done = db_run(waiving->db, "record/waive.sql", &params, &rows, err);
    for (size_t row = 0; is_done && row < rows.rows_count; row++) {
        is_done = add_row(waiving, &rows, row, err);
    }
    db_result_release(&rows);
    return is_done;
}

/* Nothing was taken back: because there is nothing, or because it is at zero already? */
static bool check_records(const struct waiving *waiving, struct err *err) {
    struct db_params params = {0};
    struct db_result row = {0};
    int64_t count = 0;
    db_params_text(&params, text_from(waiving->day));
    put_narrowing(&params, waiving);
    bool is_done = db_run(waiving->db, "record/count_records.sql", &params, &row, err) &&
                   db_result_int64(&row, 0, 0, &count, err);
    db_result_release(&row);
    if (!is_done || count > 0) {
        return is_done;
    }
    (void)err_set(err, ERR_MISMATCH, "nothing is recorded there: no record of that period%s%s",
                  waiving->orgs.size_bytes > 0 ? ", org" : "",
                  waiving->metric != NULL ? " and metric" : "");
    return err_hint(err, "ids and metrics are compared byte by byte; periodclose summary --org ID "
                         "--database CONNINFO tells what an org has");
}

static bool mark(struct waiving *waiving, struct err *err) {
    struct db_params params = {0};
    char *totals = json_dumps(waiving->totals, JSON_COMPACT);
    if (totals == NULL) {
        return err_memory(err, 4096);
    }
    db_params_int64(&params, waiving->run_id);
    db_params_text(&params, text_from(waiving->reason));
    db_params_text(&params, text_from(totals));
    bool is_done = db_run(waiving->db, "record/finish_waiver.sql", &params, NULL, err);
    free(totals);
    return is_done;
}

/* Committed only when there is something; a dry run only looks. */
static bool transact(struct waiving *waiving, struct err *err) {
    bool is_dry = option_is_set(&waiving->cli->options, OPTION_DRY_RUN);
    if (!db_begin(waiving->db, "", err)) {
        return false;
    }
    bool is_done = claim(waiving, err) && waive_records(waiving, err) &&
                   (waiving->records_count > 0 || check_records(waiving, err)) &&
                   mark(waiving, err);
    if (is_done && waiving->records_count > 0 && !is_dry) {
        return db_commit(waiving->db, err);
    }
    db_rollback(waiving->db);
    return is_done;
}

/* The same without --dry-run; afterwards what the org, or the period, is billed now. */
static void tell_next(const struct waiving *waiving, bool is_dry) {
    struct cli *cli = waiving->cli;
    struct buffer line = {0};
    struct err err = {0};
    const struct stage_session *session = &waiving->session;
    const char *period = option_value(&cli->options, OPTION_PERIOD);
    const char *database = cli_database_again(cli, &(struct database_words){0});
    bool is_told = buffer_append_format(&line, &err, "periodclose %s --period %s%s",
                                        is_dry ? waiving->kind : "summary", period, database);
    for (size_t index = 0; is_told && index < session->selected_orgs_count; index++) {
        is_told = buffer_append_format(
            &line, &err, " --org %s",
            shell_word(session->selected_orgs[index].bytes, &(struct shell_word){0}));
    }
    if (is_told && is_dry && waiving->metric != NULL) {
        is_told = buffer_append_format(&line, &err, " --metric %s",
                                       shell_word(waiving->metric, &(struct shell_word){0}));
    }
    if (is_told && is_dry) {
        is_told = buffer_append_format(&line, &err, " --reason %s",
                                       shell_word(waiving->reason, &(struct shell_word){0}));
    }
    if (!is_dry && session->selected_orgs_count == 0) {
        cli_next(cli, "periodclose run --period %s%s --run-dir run-%s-%s --dry-run", period,
                 database, period, waiving->kind);
    } else if (is_told && line.size_bytes < sizeof cli->next) {
        cli_next(cli, "%.*s", (int)line.size_bytes, line.bytes);
    } else {
        cli_next(cli, "periodclose %s --help", waiving->kind);
    }
    err_release(&err);
    buffer_release(&line);
}

static bool tell(struct waiving *waiving, struct err *err) {
    struct cli *cli = waiving->cli;
    const char *period = option_value(&cli->options, OPTION_PERIOD);
    bool is_dry = option_is_set(&cli->options, OPTION_DRY_RUN);
    tell_next(waiving, is_dry && waiving->records_count > 0);
    if (waiving->records_count == 0) {
        return console_out(&cli->console, err, "period %s: at zero already\n", period);
    }
    return console_out(&cli->console, err, "period %s: %s\n%.*s", period,
                       is_dry                               ? "would be taken back"
                       : strcmp(waiving->kind, "void") == 0 ? "voided"
                                                            : "waived",
                       (int)waiving->told.size_bytes, waiving->told.bytes);
}

static bool waive_with(struct cli *cli, const char *kind, struct err *err) {
    const char *conninfo;
    struct waiving waiving = {.cli = cli, .kind = kind};
    waiving.metric = option_value(&cli->options, OPTION_METRIC);
    if (!cli_database(cli, &conninfo, err) || !parse_period(&waiving, err) ||
        !cli_required(cli, OPTION_REASON, &waiving.reason, err) ||
        !closing_selected_orgs(cli, &waiving.session, err)) {
        return false;
    }
    const struct db_options options = {
        .conninfo = conninfo, .role = DB_ROLE_CLOSE, .sees_all_rows = true};
    waiving.totals = json_object();
    bool is_done = (waiving.totals != NULL || err_memory(err, 4096)) && list_orgs(&waiving, err) &&
                   db_open(cli->sys, &options, &waiving.db, err) &&
                   migrate_check(waiving.db, err) && transact(&waiving, err) && tell(&waiving, err);
    db_close(waiving.db);
    json_decref(waiving.totals);
    buffer_release(&waiving.orgs);
    buffer_release(&waiving.told);
    return is_done;
}

static bool void_command(struct cli *cli, struct err *err) {
    return waive_with(cli, "void", err);
}

static bool waive_command(struct cli *cli, struct err *err) {
    const char *typed;
    return cli_required(cli, OPTION_ORG, &typed, err) &&
           cli_required(cli, OPTION_METRIC, &typed, err) && waive_with(cli, "waive", err);
}

#define WAIVE_OPTIONS                                                                              \
    (OPTION_BIT(OPTION_PERIOD) | OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_ORG) |            \
     OPTION_BIT(OPTION_REASON) | OPTION_BIT(OPTION_DRY_RUN))

const struct command command_void = {
    .name = "void",
    .summary = "take back all that a period was billed, of all orgs or some",
    .arguments = "--period YYYY-MM --database CONNINFO [--org ID]... --reason TEXT",
    .options = WAIVE_OPTIONS,
    .option_texts =
        {
            {OPTION_DRY_RUN, "only tell what would be taken back", NULL},
        },
    .description =
        "Gives every record of the period that costs something a next revision at zero: the\n"
        "difference is billed, which is what was billed before, taken back. Usage stays as\n"
        "recorded. Who, when and why is kept in billing.close_runs.\n\n"
        "Later revisions, when late usage is taken in, stay at zero too; --reprice ends that.\n"
        "Typed again, there is nothing left to take back. With --dry-run it only tells.",
    .example = "periodclose void --period 2026-10 --database 'host=db1 dbname=billing' --org acme "
               "--reason 'test account'",
    .run = void_command,
};

const struct command command_waive = {
    .name = "waive",
    .summary = "take back what one metric of an org was billed for a period",
    .arguments = "--period YYYY-MM --database CONNINFO --org ID --metric NAME --reason TEXT",
    .options = WAIVE_OPTIONS | OPTION_BIT(OPTION_METRIC),
    .option_texts =
        {
            {OPTION_ORG, "the org; may be given several times", NULL},
            {OPTION_METRIC, "the metric", NULL},
            {OPTION_DRY_RUN, "only tell what would be taken back", NULL},
        },
    .description =
        "Gives the record of that metric a next revision at zero: the difference is billed,\n"
        "which is what was billed before, taken back. Usage stays as recorded. Who, when and\n"
        "why is kept in billing.close_runs.\n\n"
        "Later revisions, when late usage is taken in, stay at zero too; --reprice ends that.\n"
        "Typed again, there is nothing left to take back. With --dry-run it only tells.",
    .example = "periodclose waive --period 2026-10 --database 'host=db1 dbname=billing' --org acme "
               "--metric tokens --reason 'outage on the 12th'",
    .run = waive_command,
};
