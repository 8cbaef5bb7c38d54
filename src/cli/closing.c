#include "cli/closing.h"

#include "cli/emission.h"

#include <stdio.h>
#include <stdlib.h>

#include "rating/terms.h"
#include "report/reports.h"
#include "source/usage.h"
#include "stage/stages.h"

const char pin_period[] = "period";
const char pin_previous[] = "previous";
const char pin_previous_path[] = "previous_path";
const char pin_reason[] = "reason";
const char pin_cutoff[] = "cutoff";
const char pin_now[] = "now";
const char pin_dry_run[] = "dry_run";
const char pin_source[] = "source";
const char pin_refused[] = "refused";
const char pin_asides[] = "to_check";

bool closing_options(struct cli *cli, struct run_options *options, struct err *err) {
    options->observe = console_observe;
    options->observe_context = &cli->console;
    return cli_jobs(cli, &options->jobs, err) && cli_memory(cli, &options->memory_bytes, err);
}

void closing_next_same(struct cli *cli) {
    cli_next(cli, "%s", cli->command_line);
}

static int compare_texts(const void *left, const void *right) {
    return text_compare(*(const struct text *)left, *(const struct text *)right);
}

bool closing_selected_orgs(struct cli *cli, struct stage_session *session, struct err *err) {
    size_t given = cli->options.values_count[OPTION_ORG];
    if (given == 0) {
        return true;
    }
    struct text *orgs = arena_alloc_array(cli->arena, given, sizeof *orgs, err);
    if (orgs == NULL) {
        return false;
    }
    for (size_t index = 0; index < given; index++) {
        orgs[index] = text_from(cli->options.values[OPTION_ORG][index]);
    }
    qsort(orgs, given, sizeof *orgs, compare_texts);
    size_t kept = 0;
    for (size_t index = 0; index < given; index++) {
        if (kept == 0 || !text_equals(orgs[kept - 1], orgs[index])) {
            orgs[kept++] = orgs[index];
        }
    }
    session->selected_orgs = orgs;
    session->selected_orgs_count = kept;
    return true;
}

/* --- the summary --------------------------------------------------------------------------------
 */

enum { LARGEST_MAX = 10, CURRENCIES_MAX = 64, NAME_SHOWN_MAX = 32 };

struct largest {
    char org_id[NAME_SHOWN_MAX + 4];
    char metric[NAME_SHOWN_MAX + 4];
    struct decimal overage;
    struct decimal cost;
};

/* Amounts of different currencies are not compared: each has its own largest. */
struct currency_sums {
    const struct currency *currency;
    struct decimal cost;
    struct decimal billed;
    struct decimal held;
    struct decimal disabled;
    int64_t records;
    struct largest largest[LARGEST_MAX];
    size_t largest_count;
};

struct summary {
    uint64_t rated;
    uint64_t set_aside;
    uint64_t listed;
    uint64_t held;             /* records */
    bool is_emitted;           /* items tell what is held now */
    uint64_t open;             /* orgs whose period is not over at the cutoff */
    struct instant open_until; /* when the last of them is */
    struct currency_sums currencies[CURRENCIES_MAX];
    size_t currencies_count;
};

static struct currency_sums *summary_currency(struct summary *summary, struct text code,
                                              struct err *err) {
    for (size_t index = 0; index < summary->currencies_count; index++) {
        if (text_equals(text_from(summary->currencies[index].currency->code), code)) {
            return &summary->currencies[index];
        }
    }
    const struct currency *currency = currency_find(code);
    if (currency == NULL || summary->currencies_count == CURRENCIES_MAX) {
        (void)err_set(err, ERR_DAMAGED, "currency '%.*s': unknown, or more than %d of them",
                      (int)code.size_bytes, code.bytes, (int)CURRENCIES_MAX);
        return NULL;
    }
    struct currency_sums *sums = &summary->currencies[summary->currencies_count++];
    *sums = (struct currency_sums){.currency = currency};
    return sums;
}

/* A name for a table on a terminal: control bytes as ?, cut with … */
static void shown_name(char *shown, struct text name) {
    size_t size = name.size_bytes < NAME_SHOWN_MAX ? name.size_bytes : NAME_SHOWN_MAX;
    while (size < name.size_bytes && size > 0 && ((unsigned char)name.bytes[size] & 0xC0) == 0x80) {
        size--; /* not inside a character */
    }
    for (size_t index = 0; index < size; index++) {
        shown[index] = (unsigned char)name.bytes[index] < ' ' ? '?' : name.bytes[index];
    }
    (void)snprintf(shown + size, 4, "%s", size < name.size_bytes ? "…" : "");
}

static void currency_add_largest(struct currency_sums *sums, struct text org_id, struct text metric,
                                 struct decimal overage, struct decimal cost) {
    size_t place = sums->largest_count;
    while (place > 0 && decimal_compare(sums->largest[place - 1].cost, cost) < 0) {
        place--;
    }
    if (place == LARGEST_MAX) {
        return;
    }
    size_t last = sums->largest_count < LARGEST_MAX ? sums->largest_count : LARGEST_MAX - 1;
    for (size_t index = last; index > place; index--) {
        sums->largest[index] = sums->largest[index - 1];
    }
    sums->largest_count = last + 1;
    struct largest *row = &sums->largest[place];
    *row = (struct largest){.overage = overage, .cost = cost};
    shown_name(row->org_id, org_id);
    shown_name(row->metric, metric);
}

static bool sum_add(struct decimal *sum, struct decimal amount, struct err *err) {
    return decimal_add(*sum, amount, sum) || err_set(err, ERR_RANGE, "a sum of costs does not fit");
}

static bool summary_record(struct summary *summary, const struct table_cursor *record,
                           const struct table_cursor *org, struct decimal overage,
                           struct err *err) {
    struct currency_sums *sums = summary_currency(summary, table_get_text(org, ORGS_CURRENCY), err);
    struct decimal cost = table_get_decimal(record, RECORDS_COST);
    struct decimal billed = table_get_decimal(record, RECORDS_BILLED);
    struct text status = table_get_text(record, RECORDS_STATUS);
    if (sums == NULL || !sum_add(&sums->cost, cost, err) || !sum_add(&sums->billed, billed, err)) {
        return false;
    }
    sums->records++;
    if (!decimal_is_zero(cost)) {
        currency_add_largest(sums, table_get_text(record, RECORDS_ORG_ID),
                             table_get_text(record, RECORDS_METRIC), overage, cost);
    }
    if (!summary->is_emitted && text_equals(status, text_from("held"))) {
        summary->held++;
        return sum_add(&sums->held, billed, err);
    }
    return !text_equals(status, text_from("disabled")) || sum_add(&sums->disabled, billed, err);
}

static void summary_add_open(struct summary *summary, const struct table_cursor *org) {
    if (table_is_null(org, ORGS_REASON) ||
        !text_equals(table_get_text(org, ORGS_REASON), text_from("period_open"))) {
        return;
    }
    struct instant end = table_get_instant(org, ORGS_PERIOD_END);
    if (summary->open++ == 0 || instant_compare(end, summary->open_until) > 0) {
        summary->open_until = end;
    }
}

static bool summary_rows(struct summary *summary, struct table *orgs, struct table *charges,
                         struct table *records, struct err *err) {
    struct table_cursor record = table_cursor_start(records);
    struct table_cursor org = table_cursor_start(orgs);
    struct terms_walk charge = terms_walk_start(charges);
    bool has_record = table_cursor_next(&record);
    while (table_cursor_next(&org)) {
        struct text disposition = table_get_text(&org, ORGS_DISPOSITION);
        summary->rated += text_equals(disposition, text_from("rated")) ? 1 : 0;
        summary->set_aside += text_equals(disposition, text_from("set_aside")) ? 1 : 0;
        summary->listed += text_equals(disposition, text_from("listed")) ? 1 : 0;
        summary_add_open(summary, &org);
        struct text org_id = table_get_text(&org, ORGS_ORG_ID);
        while (has_record && text_equals(table_get_text(&record, RECORDS_ORG_ID), org_id)) {
            struct decimal overage = DECIMAL_ZERO;
            if (terms_walk_to(&charge, org_id, table_get_text(&record, RECORDS_METRIC))) {
                overage = table_get_decimal(&charge.cursor, CHARGES_OVERAGE);
            }
            if (!summary_record(summary, &record, &org, overage, err)) {
                return false;
            }
            has_record = table_cursor_next(&record);
        }
    }
    return true;
}

static bool summary_load(struct summary *summary, struct run *run, struct err *err) {
    for (size_t shard = 0; shard < run_shards_count(run); shard++) {
        struct table *orgs = NULL;
        struct table *charges = NULL;
        struct table *records = NULL;
        bool is_fine = run_input_open(run, &checkpoint_orgs, shard, &orgs, err) &&
                       run_input_open(run, &checkpoint_charges, shard, &charges, err) &&
                       run_input_open(run, &checkpoint_records, shard, &records, err) &&
                       summary_rows(summary, orgs, charges, records, err);
        table_close(orgs);
        table_close(charges);
        table_close(records);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

static bool summary_tell_orgs(struct cli *cli, const struct summary *summary, struct run *run,
                              struct err *err) {
    return console_out(&cli->console, err,
                       "period %s%s%s\n\n  orgs      %llu closed, %llu set aside, "
                       "%llu listed\n",
                       run_pinned(run, PIN_OPTION, pin_period),
                       run_is_replay(run) ? " (replay)" : "",
                       run_pinned(run, PIN_INPUT, pin_previous) != NULL ? " (revision)" : "",
                       (unsigned long long)summary->rated, (unsigned long long)summary->set_aside,
                       (unsigned long long)summary->listed);
}

/* Index into usage_category_names; their number for a name that is none of them. */
static size_t find_category(struct text name) {
    size_t category = 0;
    while (category < USAGE_CATEGORIES_COUNT &&
           !text_equals(text_from(usage_category_names[category]), name)) {
        category++;
    }
    return category;
}

static bool summary_tell_events(struct cli *cli, struct run *run, struct err *err) {
    struct table *categories;
    int64_t sums[USAGE_CATEGORIES_COUNT + 1] = {0};
    int64_t total = 0;
    if (!run_input_open(run, &checkpoint_categories, 0, &categories, err)) {
        return false;
    }
    struct table_cursor row = table_cursor_start(categories);
    while (table_cursor_next(&row)) {
        int64_t events = table_get_int64(&row, CATEGORIES_EVENTS);
        sums[find_category(table_get_text(&row, CATEGORIES_CATEGORY))] += events;
        total += events;
    }
    table_close(categories);
    if (!console_out(&cli->console, err, "  events    %lld read", (long long)total)) {
        return false;
    }
    const char *separator = ":";
    for (size_t category = USAGE_CATEGORIES_COUNT; category-- > 0;) { /* metered first */
        if (sums[category] == 0) {
            continue;
        }
        /* the category of listed orgs, too: not the number of orgs that are set aside */
        const char *words =
            category == USAGE_SET_ASIDE ? "of orgs not closed" : usage_category_names[category];
        if (!console_out(&cli->console, err, "%s %lld %s", separator, (long long)sums[category],
                         words)) {
            return false;
        }
        separator = ",";
    }
    return console_out(&cli->console, err, "\n");
}

static int compare_currencies(const void *left, const void *right) {
    const struct currency_sums *a = left;
    const struct currency_sums *b = right;
    return strcmp(a->currency->code, b->currency->code);
}

static bool summary_tell_costs(struct cli *cli, struct summary *summary, struct err *err) {
    qsort(summary->currencies, summary->currencies_count, sizeof summary->currencies[0],
          compare_currencies);
    if (summary->currencies_count == 0) {
        return console_out(&cli->console, err, "  overage   none\n");
    }
    for (size_t index = 0; index < summary->currencies_count; index++) {
        const struct currency_sums *sums = &summary->currencies[index];
        char cost[DECIMAL_TEXT_MAX];
        char billed[DECIMAL_TEXT_MAX];
        char held[DECIMAL_TEXT_MAX];
        char disabled[DECIMAL_TEXT_MAX];
        (void)money_format(sums->cost, sums->currency, cost);
        (void)money_format(sums->billed, sums->currency, billed);
        (void)money_format(sums->held, sums->currency, held);
        (void)money_format(sums->disabled, sums->currency, disabled);
        bool has_held = !decimal_is_zero(sums->held);
        bool has_disabled = !decimal_is_zero(sums->disabled);
        if (!console_out(&cli->console, err,
                         "  %-9s %s cost %s, billed %s%s%s%s%s; %lld record%s\n",
                         index == 0 ? "overage" : "", sums->currency->code, cost, billed,
                         has_held ? ", of it held " : "", has_held ? held : "",
                         has_disabled ? ", of it disabled " : "", has_disabled ? disabled : "",
                         (long long)sums->records, sums->records == 1 ? "" : "s")) {
            return false;
        }
    }
    return true;
}

/* Cells a text takes on a terminal, near enough: characters, not bytes. */
static int shown_width(const char *shown) {
    int width = 0;
    for (const char *byte = shown; *byte != '\0'; byte++) {
        width += ((unsigned char)*byte & 0xC0) != 0x80 ? 1 : 0;
    }
    return width;
}

static bool tell_cell(struct cli *cli, const char *text, int width, struct err *err) {
    int padding = width - shown_width(text);
    return console_out(&cli->console, err, "%s%*s", text, padding > 0 ? padding : 0, "");
}

static bool tell_largest_rows(struct cli *cli, const struct currency_sums *sums, int org_width,
                              int metric_width, struct err *err) {
    for (size_t index = 0; index < sums->largest_count; index++) {
        const struct largest *row = &sums->largest[index];
        char overage[DECIMAL_TEXT_MAX];
        char cost[DECIMAL_TEXT_MAX];
        (void)decimal_format(row->overage, overage);
        (void)money_format(row->cost, sums->currency, cost);
        if (!console_out(&cli->console, err, "    ") ||
            !tell_cell(cli, row->org_id, org_width + 2, err) ||
            !tell_cell(cli, row->metric, metric_width + 2, err) ||
            !console_out(&cli->console, err, "%18s  %12s %s\n", overage, cost,
                         sums->currency->code)) {
            return false;
        }
    }
    return true;
}

static bool summary_tell_largest(struct cli *cli, const struct summary *summary, struct err *err) {
    int org_width = 4;
    int metric_width = 7;
    size_t largest_count = 0;
    for (size_t index = 0; index < summary->currencies_count; index++) {
        const struct currency_sums *sums = &summary->currencies[index];
        for (size_t row = 0; row < sums->largest_count; row++) {
            int org = shown_width(sums->largest[row].org_id);
            int metric = shown_width(sums->largest[row].metric);
            org_width = org > org_width ? org : org_width;
            metric_width = metric > metric_width ? metric : metric_width;
        }
        largest_count += sums->largest_count;
    }
    if (largest_count == 0) {
        return true;
    }
    if (!console_out(&cli->console, err, "\n  largest%s\n    %-*s  %-*s  %18s  %16s\n",
                     summary->currencies_count > 1 ? " in each currency" : "", org_width, "org",
                     metric_width, "metric", "overage", "cost")) {
        return false;
    }
    for (size_t index = 0; index < summary->currencies_count; index++) {
        if (!tell_largest_rows(cli, &summary->currencies[index], org_width, metric_width, err)) {
            return false;
        }
    }
    return true;
}

/*
 * Normal (D3: it does not change the exit code), but not what somebody expects who closes a month:
 * told in so many words. When nothing else was closed, the month is to be closed anew later.
 */
static void summary_tell_open(struct cli *cli, const struct summary *summary,
                              const struct run *run) {
    char until[INSTANT_TEXT_MAX];
    const char *cutoff = run_pinned(run, PIN_OPTION, pin_cutoff);
    if (summary->open == 0) {
        return;
    }
    (void)instant_format(summary->open_until, until);
    console_say(&cli->console, LOG_NOTE,
                "note: the period of %llu org%s was not over at the cutoff %s: listed as "
                "period_open, nothing was billed; it is over at %s%s",
                (unsigned long long)summary->open, summary->open == 1 ? "" : "s",
                cutoff != NULL ? cutoff : "", until, summary->open > 1 ? " at the latest" : "");
    if (summary->rated + summary->set_aside == 0 && !run_is_replay(run) &&
        run_pinned(run, PIN_OPTION, pin_dry_run) == NULL) {
        cli_next(cli, "periodclose run --run-dir %s --restart",
                 shell_word(run_path(run), &(struct shell_word){0}));
    }
}

bool closing_add_aside(struct buffer *asides, uint64_t count, const char *noun, const char *what,
                       struct err *err) {
    return count == 0 ||
           buffer_append_format(asides, err, "%s%llu %s%s %s", asides->size_bytes > 0 ? ", " : "",
                                (unsigned long long)count, noun, count == 1 ? "" : "s", what);
}

/* Noted with the run, for status, which reads no table; of a run that has any, or had before. */
static bool closing_note_asides(struct run *run, struct buffer *asides, struct err *err) {
    const char *noted = run_pinned(run, PIN_VERSION, pin_asides);
    bool is_new = !text_equals(text_from(noted != NULL ? noted : ""), buffer_text(asides));
    if (!is_new || run_pinned(run, PIN_OPTION, pin_dry_run) != NULL) {
        return true;
    }
    bool has_any = asides->size_bytes > 0;
    return buffer_append(asides, (struct text){"", 1}, err) &&
           run_pin_anew(run, pin_asides, has_any ? asides->bytes : NULL, err) && run_save(run, err);
}

/* Safe to type again: but who looks for what this run has written is told that it was there. */
static void summary_tell_known(struct cli *cli, const struct summary *summary,
                               const struct run *run) {
    const char *new_results = run_pinned(run, PIN_VERSION, pin_new_results);
    if (summary->rated > 0 && new_results != NULL && strcmp(new_results, "0") == 0) {
        console_say(&cli->console, LOG_NOTE,
                    "note: these results are recorded already: the database was left as it was");
    }
}

bool closing_tell(struct cli *cli, struct run *run, struct err *err) {
    struct summary summary = {0};
    struct buffer asides = {0};
    if (!run_stage_is_done(run, &stage_record)) {
        const struct stage *next = run_next_stage(run);
        return console_out(&cli->console, err, "period %s: stopped before stage '%s', as asked\n",
                           run_pinned(run, PIN_OPTION, pin_period), next->name);
    }
    summary.is_emitted = emission_is_done(run) || emission_is_tried(run);
    if (!summary_load(&summary, run, err) || !summary_tell_orgs(cli, &summary, run, err) ||
        !summary_tell_events(cli, run, err) || !summary_tell_costs(cli, &summary, err) ||
        !summary_tell_largest(cli, &summary, err)) {
        return false;
    }
    summary_tell_open(cli, &summary, run);
    summary_tell_known(cli, &summary, run);
    if (summary.set_aside > 0 || summary.held > 0) {
        cli->status = ERR_SET_ASIDE;
    }
    bool is_fine = closing_add_aside(&asides, summary.set_aside, "org", "set aside", err) &&
                   closing_add_aside(&asides, summary.held, "record", "held", err) &&
                   emission_tell(cli, run, &asides, err) && closing_note_asides(run, &asides, err);
    buffer_release(&asides);
    return is_fine && console_out(&cli->console, err, "\n  reports   %s/reports\n", run_path(run));
}

bool closing_execute(struct cli *cli, struct run *run, struct stage_session *session,
                     struct run_options *options, struct err *err) {
    if (!run_execute(run, options, session, err)) {
        return false;
    }
    cli->next[0] = '\0';
    if (!closing_tell(cli, run, err)) {
        closing_next_same(cli);
        return false;
    }
    const struct stage *next = run_next_stage(run);
    const char *path = shell_word(run_path(run), &(struct shell_word){0});
    if (cli->next[0] != '\0') {
        return true; /* told already */
    }
    if (options->is_dry || cli->status == ERR_SET_ASIDE) {
        cli_next_of_reports(cli, run);
    } else if (next != NULL || cli->status == ERR_UNKNOWN) {
        cli_next(cli, "periodclose run --run-dir %s", path);
    } else if (cli->status == ERR_REFUSED) {
        cli_next(cli, "less %s/reports/invoice_items.csv", path);
    } else if (cli->status == ERR_DRIFT) {
        cli_next(cli, "less %s/reports/invoices.csv", path);
    } else {
        cli_next(cli, "periodclose verify %s", path);
    }
    return true;
}
