/* summary --database: one org's overages as they are recorded. */
#include <stdio.h>

#include "answer.h"
#include "core/calendar.h"
#include "core/money.h"
#include "database_option.h"

struct recorded {
    const char *org_id;
    struct text period; /* YYYY-MM */
    struct instant start;
    struct instant end;
    const struct currency *currency;
    struct text plan_digest;
};

static bool unknown_org(const char *org_id, struct err *err) {
    (void)err_set(err, ERR_INPUT, "org '%.300s' is not in billing.orgs", org_id);
    return err_hint(err, "see how it is spelled: select org_id from billing.orgs");
}

static bool add_metric(const struct db_result *rows, size_t row, const struct recorded *recorded,
                       json_t *overages, int64_t *total, struct err *err) {
    struct text metric;
    bool has_tiers;
    struct decimal unit_price;
    struct decimal amount;
    struct decimal cost;
    int64_t minor;
    if (!db_result_text(rows, row, 0, &metric, err) ||
        !db_result_bool(rows, row, 1, &has_tiers, err) ||
        !db_result_decimal(rows, row, 2, &unit_price, err) ||
        !db_result_decimal(rows, row, 3, &amount, err) ||
        !db_result_decimal(rows, row, 4, &cost, err)) {
        return false;
    }
    if (!money_to_minor(cost, recorded->currency, &minor) ||
        __builtin_add_overflow(*total, minor, total)) {
        return err_set(err, ERR_RANGE, "cost does not fit in 64 bits of minor units");
    }
    json_t *object = answer_metric(amount, has_tiers ? NULL : &unit_price, minor);
    return answer_put(overages, metric, object, err);
}

static bool print_recorded(struct cli *cli, struct db *db, const struct recorded *recorded,
                           struct err *err) {
    struct db_params params = {0};
    struct db_result rows = {0};
    char first_day[16];
    char start[INSTANT_TEXT_MAX];
    char end[INSTANT_TEXT_MAX];
    int64_t total = 0;
    (void)snprintf(first_day, sizeof first_day, "%.*s-01", (int)recorded->period.size_bytes,
                   recorded->period.bytes);
    db_params_text(&params, text_from(recorded->org_id));
    db_params_text(&params, text_from(first_day));
    db_params_bytes(&params, recorded->plan_digest);
    bool is_fine = db_run(db, "ask/overages.sql", &params, &rows, err);
    json_t *overages = json_object();
    for (size_t row = 0; is_fine && row < rows.rows_count; row++) {
        is_fine = add_metric(&rows, row, recorded, overages, &total, err);
    }
    db_result_release(&rows);
    if (!is_fine) {
        json_decref(overages);
        return false;
    }
    (void)instant_format(recorded->start, start);
    (void)instant_format(recorded->end, end);
    return answer_print(cli,
                        json_pack("{s:s, s:{s:s, s:s}, s:o, s:I}", "orgId", recorded->org_id,
                                  "period", "start", start, "end", end, "overages", overages,
                                  "totalCost", (json_int_t)total),
                        err);
}

static bool take_period(const struct db_result *row, struct recorded *recorded, struct err *err) {
    struct text currency;
    if (!db_result_text(row, 0, 0, &recorded->period, err) ||
        !db_result_instant(row, 0, 1, &recorded->start, err) ||
        !db_result_instant(row, 0, 2, &recorded->end, err) ||
        !db_result_text(row, 0, 3, &currency, err) ||
        !db_result_text(row, 0, 4, &recorded->plan_digest, err)) {
        return false;
    }
    recorded->currency = currency_find(currency);
    return recorded->currency != NULL ||
           err_set(err, ERR_DATABASE, "org '%.300s' was billed in '%.*s', which is no currency",
                   recorded->org_id, (int)currency.size_bytes, currency.bytes);
}

static bool summary_one(struct cli *cli, struct db *db, const char *org_id, const char *first_day,
                        struct err *err) {
    struct db_params params = {0};
    struct db_result row = {0};
    struct recorded recorded = {.org_id = org_id};
    db_params_text(&params, text_from(org_id));
    if (first_day != NULL) {
        db_params_text(&params, text_from(first_day));
    } else {
        db_params_null(&params);
    }
    bool is_fine = db_run(db, "ask/period.sql", &params, &row, err) &&
                   (row.rows_count == 1 || unknown_org(org_id, err));
    if (is_fine) {
        is_fine = db_result_is_null(&row, 0, 4) ? answer_print(cli, json_null(), err)
                                                : take_period(&row, &recorded, err) &&
                                                      print_recorded(cli, db, &recorded, err);
    }
    db_result_release(&row);
    return is_fine;
}

bool summary_database(struct cli *cli, struct err *err) {
    const char *period = option_value(&cli->options, OPTION_PERIOD);
    const char *first_org;
    char first_day[32];
    struct month month;
    struct db *db;
    const char *reason = period != NULL ? month_parse(text_from(period), &month) : NULL;
    if (reason != NULL) {
        return err_set(err, ERR_USAGE, "--period: '%.80s' %s", period, reason);
    }
    if (period != NULL) {
        (void)snprintf(first_day, sizeof first_day, "%04d-%02d-01", month.year, month.month);
    }
    if (!cli_required(cli, OPTION_ORG, &first_org, err) ||
        !cli_open_database(cli, false, &db, err)) {
        return false;
    }
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < cli->options.values_count[OPTION_ORG]; index++) {
        is_fine = summary_one(cli, db, cli->options.values[OPTION_ORG][index],
                              period != NULL ? first_day : NULL, err);
    }
    db_close(db);
    if (is_fine) {
        cli_next(cli, "periodclose seats --org %s%s",
                 shell_word(first_org, &(struct shell_word){0}),
                 cli_database_again(cli, &(struct database_words){0}));
    }
    return is_fine;
}
