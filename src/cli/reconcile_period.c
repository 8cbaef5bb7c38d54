/* reconcile --period: a recorded period out of the database alone; see stage/settle.h. */
#include <stdio.h>

#include "cli/emission.h"
#include "core/memory.h"
#include "database_option.h"
#include "reconcile_report.h"
#include "stage/settle.h"

struct settling {
    struct cli *cli;
    struct settle *settle;
    struct settle_options options;
    struct stage_sending sending;
    struct emit_key resend[RECONCILE_RESEND_MAX];
    size_t resend_count;
    bool repairs;
    char folder[FILE_PATH_MAX];
    char period[INSTANT_TEXT_MAX];
    struct reconcile_report report;
};

static void note(void *context, const char *text) {
    console_say(context, LOG_NOTE, "note: %s", text);
}

static bool compare(struct settling *settling, bool repairs, struct reconcile *reconcile,
                    struct err *err) {
    *reconcile = (struct reconcile){.repairs = repairs,
                                    .resend = settling->resend,
                                    .resend_count = repairs ? settling->resend_count : 0,
                                    .context = &settling->report,
                                    .found = reconcile_report_found};
    return reconcile_report_begin(&settling->report, err) &&
           settle_compare(settling->settle, reconcile, err) &&
           reconcile_report_end(&settling->report, reconcile, err);
}

static bool send(struct settling *settling, struct err *err) {
    struct console *console = &settling->cli->console;
    struct settle_counts counts;
    if (!settle_send(settling->settle, &counts, err)) {
        return false;
    }
    settling->cli->status = counts.unknown > 0  ? ERR_UNKNOWN
                            : counts.failed > 0 ? ERR_REFUSED
                            : counts.held > 0   ? ERR_SET_ASIDE
                                                : settling->cli->status;
    console->is_mute = settling->report.format != PRINT_TEXT;
    bool is_fine = console_out(
        console, err, "\n  items     %llu sent, %llu held, %llu refused, %llu unknown\n\n",
        (unsigned long long)counts.sent, (unsigned long long)counts.held,
        (unsigned long long)counts.failed, (unsigned long long)counts.unknown);
    console->is_mute = false;
    return is_fine;
}

static bool has_work(const struct settling *settling, const struct reconcile *reconcile) {
    const uint64_t *kinds = settling->report.kinds;
    return kinds[RECONCILE_NEVER_SENT] > 0 || kinds[RECONCILE_UNRECORDED] > 0 ||
           reconcile->counts.resent > 0 || (settling->repairs && reconcile->counts.held > 0);
}

static bool settle_all(struct settling *settling, struct err *err) {
    struct cli *cli = settling->cli;
    struct reconcile reconcile;
    if (!compare(settling, settling->repairs, &reconcile, err) ||
        (settling->repairs && !reconcile_check_resent(settling->resend_count, &reconcile, err))) {
        return false;
    }
    bool can_repair = has_work(settling, &reconcile);
    if (settling->repairs && can_repair) {
        if (!send(settling, err) || !compare(settling, false, &reconcile, err)) {
            return false;
        }
    }
    cli->next[0] = '\0';
    if (reconcile.counts.findings > 0) {
        cli->status = cli->status == ERR_UNKNOWN ? ERR_UNKNOWN : ERR_DRIFT;
        if (can_repair && !settling->repairs) {
            cli_next(cli, "%s --repair", cli->command_line);
        } else {
            reconcile_report_next(&settling->report, NULL);
        }
        reconcile_report_advise(&settling->report);
    }
    return true;
}

/* Invoices of their own are a run's: a period alone puts no lines on them and finalises none. */
static bool check_options(const struct cli *cli, struct err *err) {
    static const enum option of_runs[] = {OPTION_BATCH, OPTION_FINALIZE};
    for (size_t index = 0; index < sizeof of_runs / sizeof of_runs[0]; index++) {
        if (cli->options.is_typed[of_runs[index]]) {
            (void)err_set(err, ERR_USAGE, "--%s does not go with --period",
                          option_table[of_runs[index]].name);
            return err_hint(err, "periodclose reconcile RUN takes it, and periodclose emit RUN");
        }
    }
    return true;
}

static bool prepare(struct settling *settling, struct err *err) {
    struct cli *cli = settling->cli;
    struct settle_options *options = &settling->options;
    const char *period = option_value(&cli->options, OPTION_PERIOD);
    const char *folder = option_value(&cli->options, OPTION_RUN_DIR);
    const char *problem = month_parse(text_from(period), &options->month);
    if (cli->positionals_count > 0) {
        return err_set(err, ERR_USAGE, "reconcile: '%.80s' does not go with --period",
                       cli->positionals[0]);
    }
    if (problem != NULL) {
        return err_set(err, ERR_USAGE, "--period: '%.40s' %s", period, problem);
    }
    if (!check_options(cli, err) || !reconcile_report_init(&settling->report, cli, err) ||
        !cli_database(cli, &options->conninfo, err) ||
        !emission_database(cli, &options->emission, &settling->sending, err) ||
        !reconcile_read_resend(cli, settling->resend, &settling->resend_count, err)) {
        return false;
    }
    (void)month_format(options->month, settling->period);
    settling->repairs = option_is_set(&cli->options, OPTION_REPAIR) || settling->resend_count > 0;
    if (settling->repairs) {
        bool is_fine = folder != NULL
                           ? path_format(settling->folder, err, "%s", folder)
                           : path_format(settling->folder, err, "reconcile-%s", settling->period);
        if (!is_fine) {
            return false;
        }
        options->folder = settling->folder;
    }
    settling->report.period = settling->period;
    settling->report.emission = options->emission;
    options->sys = cli->sys;
    options->sending = &settling->sending;
    options->note = note;
    options->note_context = &cli->console;
    return true;
}

bool reconcile_period(struct cli *cli, struct err *err) {
    struct settling *settling = mem_alloc(sizeof *settling);
    if (settling == NULL) {
        return err_memory(err, sizeof *settling);
    }
    settling->cli = cli;
    cli_next(cli, "%s", cli->command_line);
    bool is_fine = prepare(settling, err) &&
                   settle_open(&settling->options, &settling->settle, err) &&
                   settle_all(settling, err);
    settle_close(settling->settle);
    secret_clear(&settling->sending.key);
    mem_free(settling);
    return is_fine;
}
