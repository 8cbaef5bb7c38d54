/* reconcile: compares what was recorded and sent with what stands at Stripe. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/emission.h"
#include "cli/print.h"
#include "core/memory.h"
#include "stage/emission.h"
#include "stage/stages.h"

enum { RESEND_MAX = 1000, AMOUNT_MAX = 48 };

static const char *const kind_names[RECONCILE_KINDS_COUNT] = {
    [RECONCILE_NEVER_SENT] = "never_sent", [RECONCILE_REMOVED] = "removed_at_stripe",
    [RECONCILE_DIFFERENT] = "different",   [RECONCILE_UNRECORDED] = "not_recorded",
    [RECONCILE_EXTRA] = "extra",
};

struct comparison {
    struct cli *cli;
    struct run *run;
    struct stage_session session;
    struct run_options options;
    struct emission_aids aids;
    struct emit_key resend[RESEND_MAX];
    size_t resend_count;
    bool is_csv;
    bool has_head;
    uint64_t kinds[RECONCILE_KINDS_COUNT];
};

/* --- telling ------------------------------------------------------------------------------------
 */

/* Stripe's minor units in major ones; in minor ones where the currency is not known. */
static void amount_text(int64_t minor, struct text code, char text[AMOUNT_MAX]) {
    const struct currency *currency = currency_find(code);
    int exponent = currency != NULL ? currency->stripe_exponent : 0;
    uint64_t scale = 1;
    for (int place = 0; place < exponent; place++) {
        scale *= 10;
    }
    uint64_t size = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    int length = snprintf(text, AMOUNT_MAX, "%s%llu", minor < 0 ? "-" : "",
                          (unsigned long long)(size / scale));
    if (exponent > 0) {
        length += snprintf(text + length, (size_t)(AMOUNT_MAX - length), ".%0*llu", exponent,
                           (unsigned long long)(size % scale));
    }
    (void)snprintf(text + length, (size_t)(AMOUNT_MAX - length), " %.*s",
                   (int)(code.size_bytes < 8 ? code.size_bytes : 8), code.bytes);
}

static bool tell_text(struct comparison *comparison, const struct reconcile_finding *finding,
                      const char *ours, const char *theirs, const char *key, struct err *err) {
    struct console *console = &comparison->cli->console;
    struct buffer line = {0};
    bool is_fine =
        comparison->has_head || console_out(console, err, "%-17s  %-20s  %-16s  %14s  %14s  %s\n",
                                            "", "org", "metric", "ours", "at stripe", "item");
    comparison->has_head = true;
    is_fine = is_fine && buffer_append_format(&line, err, "%-17s  ", kind_names[finding->kind]) &&
              print_pad(&line, finding->org_id, 20, err) &&
              buffer_append(&line, text_from("  "), err) &&
              print_pad(&line, finding->metric, 16, err) &&
              buffer_append_format(&line, err, "  %14s  %14s  %s", ours, theirs, key) &&
              (finding->their_id[0] == '\0' ||
               (buffer_append(&line, text_from(" "), err) &&
                print_escape(&line, text_from(finding->their_id), err))) &&
              buffer_append(&line, text_from("\n"), err) &&
              console_out_text(console, buffer_text(&line), err);
    buffer_release(&line);
    return is_fine;
}

static bool tell_csv(struct comparison *comparison, const struct reconcile_finding *finding,
                     const char *ours, const char *theirs, const char *key, struct err *err) {
    struct console *console = &comparison->cli->console;
    return console_out(console, err, "%s,", kind_names[finding->kind]) &&
           print_csv(console, finding->org_id, err) && console_out(console, err, ",") &&
           print_csv(console, finding->metric, err) &&
           console_out(console, err, ",%s,%s,%s,%s,", ours, theirs, key, finding->our_id) &&
           print_csv(console, text_from(finding->their_id), err) && console_out(console, err, "\n");
}

static bool found(void *context, const struct reconcile_finding *finding, struct err *err) {
    struct comparison *comparison = context;
    char key[EMIT_KEY_TEXT_MAX];
    char ours[AMOUNT_MAX] = "";
    char theirs[AMOUNT_MAX] = "";
    comparison->kinds[finding->kind]++;
    emit_key_format(&finding->key, key);
    if (finding->item != NULL) {
        amount_text(finding->item->amount, text_from(finding->item->currency->code), ours);
    }
    if (finding->their_id[0] != '\0') {
        amount_text(finding->their_amount, finding->their_currency, theirs);
    }
    return comparison->is_csv ? tell_csv(comparison, finding, ours, theirs, key, err)
                              : tell_text(comparison, finding, ours, theirs, key, err);
}

static bool tell_counts(struct comparison *comparison, const struct reconcile *reconcile,
                        struct err *err) {
    struct console *console = &comparison->cli->console;
    if (comparison->is_csv) {
        return true;
    }
    if (!console_out(console, err, "%s%llu item%s compared: %llu as recorded",
                     reconcile->counts.findings > 0 ? "\n" : "",
                     (unsigned long long)reconcile->counts.items,
                     reconcile->counts.items == 1 ? "" : "s",
                     (unsigned long long)reconcile->counts.agreed)) {
        return false;
    }
    for (size_t kind = 0; kind < RECONCILE_KINDS_COUNT; kind++) {
        if (comparison->kinds[kind] > 0 &&
            !console_out(console, err, ", %llu %s", (unsigned long long)comparison->kinds[kind],
                         kind_names[kind])) {
            return false;
        }
    }
    return console_out(console, err, "\n");
}

/* --- comparing and repairing --------------------------------------------------------------------
 */

static bool compare(struct comparison *comparison, bool repairs, struct reconcile *reconcile,
                    struct err *err) {
    *reconcile = (struct reconcile){.repairs = repairs,
                                    .resend = comparison->resend,
                                    .resend_count = repairs ? comparison->resend_count : 0,
                                    .context = comparison,
                                    .found = found};
    memset(comparison->kinds, 0, sizeof comparison->kinds);
    comparison->has_head = false;
    if (comparison->is_csv &&
        !console_out(&comparison->cli->console, err,
                     "kind,org_id,metric,ours,at_stripe,item_key,our_id,stripe_id\n")) {
        return false;
    }
    return emission_reconcile(comparison->run, &comparison->session, reconcile, err) &&
           tell_counts(comparison, reconcile, err);
}

static bool check_resent(const struct comparison *comparison, const struct reconcile *reconcile,
                         struct err *err) {
    if (reconcile->counts.resent == comparison->resend_count) {
        return true;
    }
    (void)err_set(err, ERR_MISMATCH, "--resend: %zu of %zu keys are no items removed at Stripe",
                  comparison->resend_count - (size_t)reconcile->counts.resent,
                  comparison->resend_count);
    return err_hint(err, "reconcile without --resend lists the keys of those that are");
}

static bool repair(struct comparison *comparison, const struct reconcile *reconcile,
                   struct err *err) {
    struct cli *cli = comparison->cli;
    bool has_work = comparison->kinds[RECONCILE_NEVER_SENT] > 0 ||
                    comparison->kinds[RECONCILE_UNRECORDED] > 0 || reconcile->counts.resent > 0;
    if (!has_work) {
        return true;
    }
    return (!run_stage_is_done(comparison->run, &stage_emit) ||
            run_unseal_sending(comparison->run, err)) &&
           console_out(&cli->console, err, "\n") &&
           closing_execute(cli, comparison->run, &comparison->session, &comparison->options, err) &&
           console_out(&cli->console, err, "\n");
}

static bool reconcile_all(struct comparison *comparison, struct err *err) {
    struct reconcile reconcile;
    struct cli *cli = comparison->cli;
    bool repairs = option_is_set(&cli->options, OPTION_REPAIR) || comparison->resend_count > 0;
    const char *path = shell_word(run_path(comparison->run), &(struct shell_word){0});
    if (!compare(comparison, repairs, &reconcile, err)) {
        return false;
    }
    if (repairs && !check_resent(comparison, &reconcile, err)) {
        return false;
    }
    if (repairs && reconcile.counts.findings > 0) {
        if (!repair(comparison, &reconcile, err) || !compare(comparison, false, &reconcile, err)) {
            return false;
        }
    }
    if (reconcile.counts.findings == 0) {
        cli_next(cli, "periodclose verify %s", path);
        return true;
    }
    bool can_repair =
        comparison->kinds[RECONCILE_NEVER_SENT] > 0 || comparison->kinds[RECONCILE_UNRECORDED] > 0;
    cli->status = ERR_DRIFT;
    if (can_repair && !repairs) {
        cli_next(cli, "periodclose reconcile %s --repair", path);
    } else {
        cli_next(cli, "less %s/reports/invoice_items.csv", path);
    }
    return true;
}

/* --- the command --------------------------------------------------------------------------------
 */

static bool read_resend(struct comparison *comparison, struct err *err) {
    const struct option_values *options = &comparison->cli->options;
    size_t count = options->values_count[OPTION_RESEND];
    if (count > RESEND_MAX) {
        return err_set(err, ERR_USAGE, "--resend: at most %d keys at once", (int)RESEND_MAX);
    }
    for (size_t index = 0; index < count; index++) {
        const char *text = options->values[OPTION_RESEND][index];
        if (!emit_key_parse(text_from(text), &comparison->resend[index])) {
            (void)err_set(err, ERR_USAGE, "--resend: '%.40s' is no item key", text);
            return err_hint(err,
                            "reconcile prints them, and invoice_items.csv has them: 32 digits");
        }
    }
    comparison->resend_count = count;
    return true;
}

static bool reconcile_prepare(struct comparison *comparison, struct err *err) {
    struct cli *cli = comparison->cli;
    struct run *run = comparison->run;
    enum print_format format;
    const char *period = run_pinned(run, PIN_OPTION, pin_period);
    if (!run_stage_is_done(run, &stage_record) || run_is_replay(run) ||
        run_pinned(run, PIN_OPTION, pin_dry_run) != NULL) {
        (void)err_set(err, ERR_MISMATCH, "%s: nothing of it was recorded to be sent",
                      run_path(run));
        return err_hint(err, "periodclose status tells how far it is");
    }
    if (period == NULL || month_parse(text_from(period), &comparison->session.month) != NULL) {
        return err_set(err, ERR_DAMAGED, "%s: the pinned period is no month", run_path(run));
    }
    if (!print_format(cli, &format, err) || !closing_options(cli, &comparison->options, err) ||
        !emission_pin(cli, run, &comparison->session, err) || !read_resend(comparison, err)) {
        return false;
    }
    comparison->is_csv = format == PRINT_CSV;
    if (comparison->session.emission != EMISSION_STRIPE || format == PRINT_JSON) {
        return err_set(err, ERR_USAGE,
                       format == PRINT_JSON ? "--format: text or csv"
                                            : "only runs with --emit stripe can be reconciled");
    }
    comparison->session.sending.retries_failed = true;
    return emission_aids_open(cli, run, true, &comparison->session, &comparison->aids, err);
}

static bool reconcile_run(struct cli *cli, struct err *err) {
    const char *path;
    struct comparison *comparison = mem_alloc(sizeof *comparison);
    if (comparison == NULL) {
        return err_memory(err, sizeof *comparison);
    }
    comparison->cli = cli;
    closing_next_same(cli);
    bool is_fine = cli_run_path(cli, &path, err) &&
                   run_open(cli->sys, path, stages_all(), RUN_UPDATE, &comparison->run, err) &&
                   run_tell_command(comparison->run, cli->command_line, err) &&
                   reconcile_prepare(comparison, err) && reconcile_all(comparison, err);
    emission_aids_close(&comparison->aids);
    run_close(comparison->run);
    mem_free(comparison);
    return is_fine;
}

const struct command command_reconcile = {
    .name = "reconcile",
    .summary = "compare what was sent with what stands at Stripe",
    .arguments = "RUN [--repair] [--resend KEY]",
    .positionals_max = 1,
    .options = OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_JOBS) | OPTION_BIT(OPTION_MEMORY) |
               OPTION_BIT(OPTION_FORMAT) | OPTION_BIT(OPTION_REPAIR) | OPTION_BIT(OPTION_RESEND) |
               EMISSION_OPTIONS,
    .description =
        "Lists the items that each customer of the run has at Stripe since the period's end,\n"
        "matches them by their metadata, and prints what is not as it was recorded: never\n"
        "sent, removed there, different, not recorded as sent, or there without a record.\n"
        "With such a finding the exit status is 15.\n\n"
        "--repair notes what stands there unknown to us and sends what was never sent; it\n"
        "deletes nothing. What was removed at Stripe may have been somebody's goodwill: it\n"
        "is sent again only when its key is named with --resend.",
    .example = "periodclose reconcile /var/lib/periodclose/2026-10",
    .run = reconcile_run,
};
