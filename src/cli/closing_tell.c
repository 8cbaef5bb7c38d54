/* What a close tells a person at its end. */
#include "cli/closing.h"

#include "cli/emission.h"

#include <stdio.h>
#include <string.h>

#include "closing_summary.h"
#include "source/usage.h"
#include "stage/stages.h"

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

static bool summary_tell_costs(struct cli *cli, const struct summary *summary, struct err *err) {
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

bool closing_tell(struct cli *cli, struct run *run, const struct summary *summary,
                  struct err *err) {
    struct buffer asides = {0};
    if (!run_stage_is_done(run, &stage_record)) {
        const struct stage *next = run_next_stage(run);
        return console_out(&cli->console, err, "period %s: stopped before stage '%s', as asked\n",
                           run_pinned(run, PIN_OPTION, pin_period), next->name);
    }
    if (!summary_tell_orgs(cli, summary, run, err) || !summary_tell_events(cli, run, err) ||
        !summary_tell_costs(cli, summary, err) || !summary_tell_largest(cli, summary, err)) {
        return false;
    }
    summary_tell_open(cli, summary, run);
    summary_tell_known(cli, summary, run);
    if (summary->set_aside > 0 || summary->held > 0) {
        cli->status = ERR_SET_ASIDE;
    }
    bool is_fine = closing_add_aside(&asides, summary->set_aside, "org", "set aside", err) &&
                   closing_add_aside(&asides, summary->held, "record", "held", err) &&
                   emission_tell(cli, run, &asides, err) && closing_note_asides(run, &asides, err);
    buffer_release(&asides);
    return is_fine && console_out(&cli->console, err, "\n  reports   %s/reports\n", run_path(run));
}
