#include "guard.h"

#include <assert.h>
#include <stdio.h>

#include "cli/closing.h"
#include "cli/print.h"
#include "cli/shard_walk.h"
#include "core/money.h"
#include "stage/stages.h"

const char pin_max_total[] = "max_total";
const char pin_max_change[] = "max_change";

/* What lifts a guard: typed, and kept, so that the manifest tells that somebody did. */
static const char none[] = "none";

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
    bool is_lifted; /* amount means nothing */
};

/* At most one of each currency. */
struct guard_totals {
    struct guard_total rows[CURRENCIES_MAX];
    size_t count;
};

/* --- what was typed ----------------------------------------------------------------------------
 */

static bool total_parse(const char *typed, struct guard_total *total, struct err *err) {
    const char *equals = strchr(typed, '=');
    if (equals != NULL) {
        struct text code = {typed, (size_t)(equals - typed)};
        enum decimal_fault fault = decimal_parse(text_from(equals + 1), &total->amount);
        total->currency = currency_find(code);
        total->is_lifted = strcmp(equals + 1, none) == 0;
        if (total->currency == NULL) {
            return err_set(err, ERR_USAGE, "--max-total: '%s': unknown currency", typed);
        }
        if (total->is_lifted) {
            return true;
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
    return err_hint(err, "for example --max-total usd=25000; --max-total none lifts it");
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

/* What is said last of a currency holds; none, of all of them. */
static bool totals_take(struct guard_totals *totals, const char *typed, struct err *err) {
    struct guard_total total;
    size_t place = 0;
    if (strcmp(typed, none) == 0) {
        totals->count = 0;
        return true;
    }
    if (!total_parse(typed, &total, err)) {
        return false;
    }
    while (place < totals->count && totals->rows[place].currency != total.currency) {
        place++;
    }
    if (total.is_lifted) {
        if (place < totals->count) {
            totals->rows[place] = totals->rows[--totals->count];
        }
        return true;
    }
    if (place == CURRENCIES_MAX) {
        return err_set(err, ERR_USAGE, "--max-total: more than %d currencies", (int)CURRENCIES_MAX);
    }
    totals->rows[place] = total;
    totals->count = place == totals->count ? place + 1 : totals->count;
    return true;
}

bool guards_parse(const struct cli *cli, struct err *err) {
    const struct option_values *options = &cli->options;
    const char *change = option_value(options, OPTION_MAX_CHANGE);
    struct decimal percent;
    struct guard_totals totals = {.count = 0};
    for (size_t index = 0; index < options->values_count[OPTION_MAX_TOTAL]; index++) {
        if (!totals_take(&totals, options->values[OPTION_MAX_TOTAL][index], err)) {
            return false;
        }
    }
    return change == NULL || strcmp(change, none) == 0 || change_parse(change, &percent, err);
}

/* --- what is kept with the run ------------------------------------------------------------------
 */

enum { TOTALS_TEXT_MAX = CURRENCIES_MAX * (DECIMAL_TEXT_MAX + 8) };

/* "usd=10 jpy=300", or none. */
static void totals_format(const struct guard_totals *totals, char text[TOTALS_TEXT_MAX]) {
    size_t size = 0;
    (void)snprintf(text, TOTALS_TEXT_MAX, "%s", none);
    for (size_t index = 0; index < totals->count; index++) {
        char amount[DECIMAL_TEXT_MAX];
        (void)decimal_format(totals->rows[index].amount, amount);
        int written = snprintf(text + size, TOTALS_TEXT_MAX - size, "%s%s=%s", index > 0 ? " " : "",
                               totals->rows[index].currency->code, amount);
        assert(written > 0 && (size_t)written < TOTALS_TEXT_MAX - size);
        size += (size_t)written;
    }
}

static bool totals_load(const struct run *run, struct guard_totals *totals, struct err *err) {
    const char *kept = run_pinned(run, PIN_VERSION, pin_max_total);
    totals->count = 0;
    while (kept != NULL && *kept != '\0') {
        char word[DECIMAL_TEXT_MAX + 8];
        size_t size = strcspn(kept, " ");
        (void)snprintf(word, sizeof word, "%.*s", (int)size, kept);
        if (size >= sizeof word || !totals_take(totals, word, err)) {
            return size < sizeof word ? err_wrap(err, "%s", run_path(run))
                                      : err_set(err, ERR_DAMAGED, "%s: the kept %s is none",
                                                run_path(run), pin_max_total);
        }
        kept += size + (kept[size] == ' ' ? 1 : 0);
    }
    return true;
}

/* NULL: no guard. */
static const char *change_kept(const struct run *run) {
    const char *kept = run_pinned(run, PIN_VERSION, pin_max_change);
    return kept != NULL && strcmp(kept, none) != 0 ? kept : NULL;
}

bool guards_pin(const struct cli *cli, struct run *run, struct err *err) {
    const struct option_values *options = &cli->options;
    const char *change = option_value(options, OPTION_MAX_CHANGE);
    struct guard_totals totals;
    char text[TOTALS_TEXT_MAX];
    if (!totals_load(run, &totals, err)) {
        return false;
    }
    for (size_t index = 0; index < options->values_count[OPTION_MAX_TOTAL]; index++) {
        if (!totals_take(&totals, options->values[OPTION_MAX_TOTAL][index], err)) {
            return false;
        }
    }
    totals_format(&totals, text);
    return (!option_is_set(options, OPTION_MAX_TOTAL) ||
            run_pin_anew(run, pin_max_total, text, err)) &&
           (change == NULL || run_pin_anew(run, pin_max_change, change, err));
}

/* --- what a damaged manifest kept ----------------------------------------------------------------
 */

/* The text behind a pin's name, wherever it stands; false without one, or where it lifts. */
static bool find_kept(struct text manifest, const char *pin, struct text *value) {
    char name[32];
    int size = snprintf(name, sizeof name, "\"%s\"", pin);
    const char *found = memmem(manifest.bytes, manifest.size_bytes, name, (size_t)size);
    if (found == NULL) {
        return false;
    }
    const char *end = manifest.bytes + manifest.size_bytes;
    found += size;
    while (found < end && (*found == ':' || *found == ' ' || *found == '"')) {
        found++;
    }
    const char *from = found;
    while (found < end && *found != '"' && *found != '\n' && found - from < DECIMAL_TEXT_MAX) {
        found++;
    }
    *value = (struct text){from, (size_t)(found - from)};
    return value->size_bytes != strlen(none) || memcmp(from, none, value->size_bytes) != 0;
}

static bool refuse_lost(const char *path, enum option option, struct text kept, struct err *err) {
    const char *name = option_table[option].name;
    (void)err_set(err, ERR_DAMAGED,
                  "'%.500s/manifest.json' is damaged, and the limit --%s was kept in it: it reads "
                  "'%.*s'",
                  path, name, (int)kept.size_bytes, kept.bytes);
    return err_hint(err, "type with the same command what is to hold: --%s %s, or none", name,
                    option_table[option].argument);
}

bool guards_survive(struct cli *cli, const char *path, struct err *err) {
    enum { MANIFEST_BYTES_MAX = 64 * 1024 * 1024 };
    static const struct {
        enum option option;
        const char *pin;
    } guards[] = {{OPTION_MAX_TOTAL, pin_max_total}, {OPTION_MAX_CHANGE, pin_max_change}};
    char name[FILE_PATH_MAX];
    struct buffer manifest = {0};
    struct err unread = {0};
    bool is_fine = path_format(name, err, "%s/manifest.json", path);
    if (is_fine && !file_load(cli->sys, name, MANIFEST_BYTES_MAX, &manifest, &unread)) {
        err_release(&unread); /* as good as empty: nothing is known of it */
    }
    for (size_t index = 0; is_fine && index < sizeof guards / sizeof guards[0]; index++) {
        struct text kept;
        bool is_typed = option_is_set(&cli->options, guards[index].option);
        if (is_typed) {
            continue;
        }
        if (find_kept(buffer_text(&manifest), guards[index].pin, &kept)) {
            is_fine = refuse_lost(path, guards[index].option, kept, err);
        } else {
            console_say(&cli->console, LOG_NOTE,
                        "note: '%s' is damaged: if --%s was kept in it, it holds no more", name,
                        option_table[guards[index].option].name);
        }
    }
    buffer_release(&manifest);
    return is_fine;
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

/* What is to be typed to go past a guard: nothing else does. */
static bool hint_guard(const struct run *run, const char *option, const char *value,
                       struct err *err) {
    const char *path = shell_word(run_path(run), &(struct shell_word){0});
    if (run_pinned(run, PIN_OPTION, pin_dry_run) != NULL) {
        return err_hint(err,
                        "review it: periodclose report %s; the run itself would stop here, too, "
                        "unless another limit is typed: --%s %s, or none",
                        path, option, value);
    }
    return err_hint(err,
                    "review it: periodclose report %s; no start of this run goes past the limit, "
                    "unless another one is typed: periodclose run --run-dir %s --%s %s, or none",
                    path, path, option, value);
}

static bool check_total(struct guard_table *table, const struct guard_total *total, struct run *run,
                        struct err *err) {
    struct guard_sums *sums = table_find(table, text_from(total->currency->code), err);
    if (sums == NULL || decimal_compare(sums->cost, total->amount) <= 0) {
        return sums != NULL;
    }
    const char *code = total->currency->code;
    char cost[PRINT_NUMBER_MAX];
    char plain[DECIMAL_TEXT_MAX];
    char allowed[DECIMAL_TEXT_MAX];
    char value[DECIMAL_TEXT_MAX + 8];
    (void)print_money(sums->cost, total->currency, cost);
    (void)decimal_format(sums->cost, plain);
    (void)decimal_format(total->amount, allowed);
    (void)snprintf(value, sizeof value, "%s=%s", code, plain);
    (void)err_set(err, ERR_CONTROL,
                  "the overage of this period costs %s, more than --max-total %s=%s allows: "
                  "nothing was recorded",
                  cost, code, allowed);
    return hint_guard(run, option_table[OPTION_MAX_TOTAL].name, value, err);
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
    return hint_guard(run, option_table[OPTION_MAX_CHANGE].name,
                      option_table[OPTION_MAX_CHANGE].argument, err);
}

static bool guards_check(struct cli *cli, struct run *run, struct month month, struct err *err) {
    const char *change = change_kept(run);
    struct guard_totals totals;
    struct guard_table table = {.count = 0};
    if (!totals_load(run, &totals, err) || !sum_charges(&table, run, err) ||
        !sum_history(&table, run, month, err)) {
        return false;
    }
    for (size_t index = 0; index < totals.count; index++) {
        if (!check_total(&table, &totals.rows[index], run, err)) {
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
    const char *total = run_pinned(run, PIN_VERSION, pin_max_total);
    bool is_guarded = change_kept(run) != NULL || (total != NULL && strcmp(total, none) != 0);
    if (!is_guarded || is_early || run_stage_is_done(run, &stage_record)) {
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
