#include "guard.h"

#include <stdio.h>

#include "cli/print.h"
#include "cli/shard_walk.h"
#include "core/money.h"
#include "stage/stages.h"

enum { CURRENCIES_MAX = 64 };

struct guard_sums {
    const struct currency *currency;
    struct decimal cost;
    struct decimal previous_cost;
    bool has_previous; /* the source knows a cost of the period before */
};

struct guard_table {
    struct guard_sums sums[CURRENCIES_MAX];
    size_t count;
};

struct guard_total {
    const struct currency *currency;
    struct decimal amount;
};

/* --- what was typed ----------------------------------------------------------------------------
 */

static bool total_parse(const char *typed, struct guard_total *total, struct err *err) {
    const char *equals = strchr(typed, '=');
    if (equals != NULL) {
        struct text code = {typed, (size_t)(equals - typed)};
        enum decimal_fault fault = decimal_parse(text_from(equals + 1), &total->amount);
        total->currency = currency_find(code);
        if (total->currency == NULL) {
            return err_set(err, ERR_USAGE, "--max-total: '%s': unknown currency", typed);
        }
        if (fault != DECIMAL_OK) {
            return err_set(err, ERR_USAGE, "--max-total: '%s': %s", typed,
                           decimal_fault_text(fault));
        }
        if (!decimal_is_negative(total->amount)) {
            return true;
        }
    }
    (void)err_set(err, ERR_USAGE, "--max-total: '%s' is not CURRENCY=AMOUNT", typed);
    return err_hint(err, "for example --max-total usd=25000");
}

static bool change_parse(const char *typed, struct decimal *percent, struct err *err) {
    enum decimal_fault fault = decimal_parse(text_from(typed), percent);
    if (fault == DECIMAL_OK && !decimal_is_negative(*percent)) {
        return true;
    }
    (void)err_set(err, ERR_USAGE, "--max-change: '%s' %s", typed,
                  fault != DECIMAL_OK ? decimal_fault_text(fault) : "is below zero");
    return err_hint(err, "give a percentage as a plain number: --max-change 25");
}

bool guards_parse(const struct cli *cli, bool *is_given, struct err *err) {
    const struct option_values *options = &cli->options;
    const char *change = option_value(options, OPTION_MAX_CHANGE);
    struct decimal percent;
    *is_given = change != NULL || option_is_set(options, OPTION_MAX_TOTAL);
    for (size_t index = 0; index < options->values_count[OPTION_MAX_TOTAL]; index++) {
        struct guard_total total;
        if (!total_parse(options->values[OPTION_MAX_TOTAL][index], &total, err)) {
            return false;
        }
    }
    return change == NULL || change_parse(change, &percent, err);
}

/* --- sums --------------------------------------------------------------------------------------
 */

static struct guard_sums *table_find(struct guard_table *table, struct text code, struct err *err) {
    const struct currency *currency = currency_find(code);
    for (size_t index = 0; index < table->count; index++) {
        if (table->sums[index].currency == currency) {
            return &table->sums[index];
        }
    }
    if (currency == NULL || table->count == CURRENCIES_MAX) {
        (void)err_set(err, ERR_DAMAGED, "currency '%.*s': unknown, or more than %d of them",
                      (int)code.size_bytes, code.bytes, (int)CURRENCIES_MAX);
        return NULL;
    }
    struct guard_sums *sums = &table->sums[table->count++];
    *sums = (struct guard_sums){.currency = currency};
    return sums;
}

static bool sum_add(struct decimal *sum, struct decimal amount, struct err *err) {
    return decimal_add(*sum, amount, sum) || err_set(err, ERR_RANGE, "a sum of costs does not fit");
}

/* Moves orgs to the org of a row in another table, which is sorted by it too. */
static bool walk_to_org(struct shard_walk *orgs, const struct shard_walk *rows, struct err *err) {
    bool is_found = false;
    enum { ORG_ID_COLUMN = 0 };
    struct text org_id = table_get_text(&rows->cursor, ORG_ID_COLUMN);
    if (!shard_walk_to(orgs, org_id, &is_found, err)) {
        return false;
    }
    return is_found || err_set(err, ERR_DAMAGED, "%s: a row of an org that is not there",
                               table_path(rows->table));
}

static bool sum_charges(struct guard_table *table, struct run *run, struct err *err) {
    struct shard_walk orgs = {0};
    struct shard_walk charges = {0};
    bool is_fine = shard_walk_start(&orgs, run, &checkpoint_orgs, err) &&
                   shard_walk_start(&charges, run, &checkpoint_charges, err);
    while (is_fine && charges.has_row) {
        struct guard_sums *sums = NULL;
        is_fine =
            walk_to_org(&orgs, &charges, err) &&
            (sums = table_find(table, table_get_text(&orgs.cursor, ORGS_CURRENCY), err)) != NULL &&
            sum_add(&sums->cost, table_get_decimal(&charges.cursor, CHARGES_COST), err) &&
            shard_walk_next(&charges, err);
    }
    shard_walk_close(&orgs);
    shard_walk_close(&charges);
    return is_fine;
}

static bool sum_history_row(struct guard_table *table, const struct shard_walk *history,
                            const struct shard_walk *orgs, struct err *err) {
    const struct table_cursor *row = &history->cursor;
    struct text code = table_is_null(row, HISTORY_CURRENCY)
                           ? table_get_text(&orgs->cursor, ORGS_CURRENCY)
                           : table_get_text(row, HISTORY_CURRENCY);
    struct guard_sums *sums = table_find(table, code, err);
    if (sums == NULL) {
        return false;
    }
    sums->has_previous = true;
    return sum_add(&sums->previous_cost, table_get_decimal(row, HISTORY_COST), err);
}

static bool sum_history(struct guard_table *table, struct run *run, struct month month,
                        struct err *err) {
    struct shard_walk orgs = {0};
    struct shard_walk history = {0};
    char before[INSTANT_TEXT_MAX];
    (void)month_format(month_add(month, -1), before);
    bool is_fine = shard_walk_start(&orgs, run, &checkpoint_orgs, err) &&
                   shard_walk_start(&history, run, &checkpoint_history, err);
    while (is_fine && history.has_row) {
        const struct table_cursor *row = &history.cursor;
        bool is_wanted = !table_is_null(row, HISTORY_COST) &&
                         text_equals(table_get_text(row, HISTORY_PERIOD), text_from(before));
        is_fine = (!is_wanted || (walk_to_org(&orgs, &history, err) &&
                                  sum_history_row(table, &history, &orgs, err))) &&
                  shard_walk_next(&history, err);
    }
    shard_walk_close(&orgs);
    shard_walk_close(&history);
    return is_fine;
}

/* --- checks ------------------------------------------------------------------------------------
 */

static bool check_total(struct guard_table *table, const char *typed, struct run *run,
                        struct err *err) {
    struct guard_total total;
    if (!total_parse(typed, &total, err)) {
        return false;
    }
    struct guard_sums *sums = table_find(table, text_from(total.currency->code), err);
    if (sums == NULL || decimal_compare(sums->cost, total.amount) <= 0) {
        return sums != NULL;
    }
    char cost[PRINT_NUMBER_MAX];
    (void)print_money(sums->cost, total.currency, cost);
    (void)err_set(err, ERR_CONTROL,
                  "the overage of this period costs %s, more than --max-total %s allows: nothing "
                  "was recorded",
                  cost, typed);
    return err_hint(err,
                    "review it: periodclose report %s; if it is right, run again with a higher "
                    "--max-total",
                    run_path(run));
}

/* |cost - previous| x 100 > percent x previous, exactly. */
static bool change_is_beyond(const struct guard_sums *sums, struct decimal percent, bool *is_beyond,
                             struct err *err) {
    static const struct decimal hundred = {.units = (int128)100 * 1000000000000000};
    struct decimal change;
    struct exact scaled_change = EXACT_ZERO;
    struct exact allowed = EXACT_ZERO;
    if (!decimal_subtract(sums->cost, sums->previous_cost, &change)) {
        return err_set(err, ERR_RANGE, "the change of the cost does not fit");
    }
    change.units = change.units < 0 ? -change.units : change.units;
    if (!exact_add_product(&scaled_change, change, hundred) ||
        !exact_add_product(&allowed, percent, sums->previous_cost)) {
        return err_set(err, ERR_RANGE, "the change of the cost does not fit");
    }
    *is_beyond = exact_compare(scaled_change, allowed) > 0;
    return true;
}

static bool check_change(struct cli *cli, const struct guard_sums *sums, const char *typed,
                         struct run *run, struct err *err) {
    struct decimal percent;
    bool is_beyond = false;
    if (!sums->has_previous) {
        console_say(&cli->console, LOG_NOTE,
                    "note: --max-change: the source knows no %s cost of the period before: not "
                    "compared",
                    sums->currency->code);
        return true;
    }
    if (!change_parse(typed, &percent, err) || !change_is_beyond(sums, percent, &is_beyond, err) ||
        !is_beyond) {
        return err->code == ERR_NONE;
    }
    char cost[PRINT_NUMBER_MAX];
    char before[PRINT_NUMBER_MAX];
    (void)print_money(sums->cost, sums->currency, cost);
    (void)print_money(sums->previous_cost, sums->currency, before);
    (void)err_set(err, ERR_CONTROL,
                  "the overage of this period costs %s, that of the period before %s: a change "
                  "beyond --max-change %s (percent): nothing was recorded",
                  cost, before, typed);
    return err_hint(err,
                    "review it: periodclose report %s; if it is right, run again with a higher "
                    "--max-change",
                    run_path(run));
}

static bool guards_check(struct cli *cli, struct run *run, struct month month, struct err *err) {
    const struct option_values *options = &cli->options;
    const char *change = option_value(options, OPTION_MAX_CHANGE);
    struct guard_table table = {.count = 0};
    if (!sum_charges(&table, run, err) || !sum_history(&table, run, month, err)) {
        return false;
    }
    for (size_t index = 0; index < options->values_count[OPTION_MAX_TOTAL]; index++) {
        if (!check_total(&table, options->values[OPTION_MAX_TOTAL][index], run, err)) {
            return false;
        }
    }
    for (size_t index = 0; change != NULL && index < table.count; index++) {
        if (!check_change(cli, &table.sums[index], change, run, err)) {
            return false;
        }
    }
    return true;
}

/* What the stages before have told already is not told again. */
static void observe_further(void *context, const struct run_event *event) {
    if (event->kind != RUN_STAGE_SKIPPED) {
        console_observe(context, event);
    }
}

bool guards_pass(struct cli *cli, struct run *run, struct stage_session *session,
                 struct run_options *options, struct err *err) {
    const struct stage_list stages = run_stages(run);
    const struct stage *before = NULL;
    for (size_t index = 0; stages.stages[index] != &stage_record; index++) {
        before = stages.stages[index];
    }
    bool is_early = options->until != NULL && options->until->number < stage_record.number;
    if (is_early || run_stage_is_done(run, &stage_record)) {
        return true;
    }
    struct run_options first = *options;
    first.until = before;
    if (!run_execute(run, &first, session, err) || !guards_check(cli, run, session->month, err)) {
        return false;
    }
    options->observe = observe_further;
    return true;
}
