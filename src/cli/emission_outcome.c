/* What became of the items of a run, and of invoices of its own: counted, and told. */
#include <stdio.h>

#include "cli/emission.h"
#include "cli/shard_walk.h"
#include "stage/stages.h"

/* --- what became of the items -------------------------------------------------------------------
 */

struct item_counts {
    uint64_t sent;
    uint64_t held;
    uint64_t failed;
    uint64_t unknown;
    uint64_t lasting;     /* of those: stays so, as nobody can be asked */
    uint64_t not_emitted; /* of a dry run: would be sent */
};

static bool count_items(struct run *run, struct item_counts *counts, struct err *err) {
    struct shard_walk walk = {0};
    *counts = (struct item_counts){0};
    bool is_fine = shard_walk_start(&walk, run, &checkpoint_items, err);
    while (is_fine && walk.has_row) {
        struct text status = table_get_text(&walk.cursor, ITEMS_STATUS);
        counts->sent += text_equals(status, text_from("sent")) ? 1 : 0;
        counts->held += text_equals(status, text_from("held")) ? 1 : 0;
        counts->failed += text_equals(status, text_from("failed")) ? 1 : 0;
        counts->unknown += text_equals(status, text_from("unknown")) ? 1 : 0;
        counts->lasting +=
            text_equals(status, text_from("unknown")) && !table_is_null(&walk.cursor, ITEMS_REASON)
                ? 1
                : 0;
        counts->not_emitted += text_equals(status, text_from("not_emitted")) ? 1 : 0;
        is_fine = shard_walk_next(&walk, err);
    }
    shard_walk_close(&walk);
    return is_fine;
}

/* --- what became of invoices of our own ----------------------------------------------------------
 */

struct invoice_counts {
    uint64_t drafts;
    uint64_t not_asked; /* of the drafts */
    uint64_t finalised;
    uint64_t different;
    uint64_t failed;
    uint64_t unknown;
};

static bool count_invoices(struct run *run, struct invoice_counts *counts, struct err *err) {
    struct table *invoices = NULL;
    *counts = (struct invoice_counts){0};
    if (!run_input_open(run, &checkpoint_invoices, 0, &invoices, err)) {
        return false;
    }
    struct table_cursor row = table_cursor_start(invoices);
    while (table_cursor_next(&row)) {
        struct text status = table_get_text(&row, INVOICES_STATUS);
        bool has_reason = !table_is_null(&row, INVOICES_REASON);
        counts->drafts += text_equals(status, text_from("draft")) ? 1 : 0;
        counts->not_asked +=
            has_reason && text_equals(table_get_text(&row, INVOICES_REASON), text_from("not_asked"))
                ? 1
                : 0;
        counts->finalised += text_equals(status, text_from("finalised")) ? 1 : 0;
        counts->different += text_equals(status, text_from("different")) ? 1 : 0;
        counts->failed += text_equals(status, text_from("failed")) ? 1 : 0;
        counts->unknown += text_equals(status, text_from("unknown")) ? 1 : 0;
    }
    table_close(invoices);
    return true;
}

/* Also noted with the run, for status, which reads no table. */
static bool tell_invoices(struct cli *cli, struct run *run, const struct invoice_counts *counts,
                          struct err *err) {
    char text[200];
    uint64_t count =
        counts->drafts + counts->finalised + counts->different + counts->failed + counts->unknown;
    if (count == 0) {
        return true;
    }
    (void)snprintf(text, sizeof text,
                   "%llu finalised, %llu draft%s, %llu different at Stripe, %llu refused, "
                   "%llu unknown",
                   (unsigned long long)counts->finalised, (unsigned long long)counts->drafts,
                   counts->drafts == 1 ? "" : "s", (unsigned long long)counts->different,
                   (unsigned long long)counts->failed, (unsigned long long)counts->unknown);
    return run_pin_anew(run, pin_invoices, text, err) && run_save(run, err) &&
           console_out(&cli->console, err, "  invoices  %s\n", text);
}

bool emission_reopen(struct run *run, const struct stage_session *session, struct err *err) {
    struct item_counts counts;
    struct invoice_counts invoices;
    if (session->emission == EMISSION_NONE || !run_stage_is_done(run, &stage_emit) ||
        run_is_replay(run)) {
        return true;
    }
    if (!count_items(run, &counts, err) || !count_invoices(run, &invoices, err)) {
        return false;
    }
    bool is_open = counts.unknown + invoices.unknown > 0 ||
                   (session->sending.finalizes && invoices.not_asked > 0);
    return !is_open || run_unseal_sending(run, err);
}

bool emission_is_done(const struct run *run) {
    const char *emit = run_pinned(run, PIN_OPTION, pin_emit);
    return emit != NULL && strcmp(emit, "none") != 0 && run_stage_is_done(run, &stage_emit) &&
           run_pinned(run, PIN_OPTION, pin_dry_run) == NULL;
}

bool emission_is_tried(const struct run *run) {
    const char *emit = run_pinned(run, PIN_OPTION, pin_emit);
    return emit != NULL && strcmp(emit, "none") != 0 && run_stage_is_done(run, &stage_emit) &&
           run_pinned(run, PIN_OPTION, pin_dry_run) != NULL;
}

/* A dry run ends as the sending would, as far as that can be told. */
static bool tell_tried(struct cli *cli, struct run *run, struct err *err) {
    struct item_counts counts;
    if (!count_items(run, &counts, err)) {
        return false;
    }
    cli->status = counts.held > 0 ? ERR_SET_ASIDE : cli->status;
    return console_out(&cli->console, err, "\n  items     %llu would be sent, %llu held\n",
                       (unsigned long long)counts.not_emitted, (unsigned long long)counts.held);
}

bool emission_tell(struct cli *cli, struct run *run, struct buffer *asides, struct err *err) {
    struct item_counts counts;
    struct invoice_counts invoices;
    if (emission_is_tried(run)) {
        return tell_tried(cli, run, err);
    }
    if (!emission_is_done(run)) {
        return true;
    }
    if (!count_items(run, &counts, err) || !count_invoices(run, &invoices, err)) {
        return false;
    }
    cli->status = counts.unknown + invoices.unknown > 0 ? ERR_UNKNOWN
                  : counts.failed + invoices.failed > 0 ? ERR_REFUSED
                  : invoices.different > 0              ? ERR_DRIFT
                  : counts.held > 0                     ? ERR_SET_ASIDE
                                                        : cli->status;
    if (counts.lasting > 0 && counts.lasting == counts.unknown && invoices.unknown == 0) {
        /* The same command again would only say the same. */
        cli_next(cli, "periodclose reconcile %s",
                 shell_word(run_path(run), &(struct shell_word){0}));
    }
    if (!console_out(&cli->console, err,
                     "\n  items     %llu sent, %llu held, %llu refused, %llu unknown\n",
                     (unsigned long long)counts.sent, (unsigned long long)counts.held,
                     (unsigned long long)counts.failed, (unsigned long long)counts.unknown)) {
        return false;
    }
    return closing_add_aside(asides, counts.held, "item", "held", err) &&
           closing_add_aside(asides, counts.failed, "item", "refused", err) &&
           closing_add_aside(asides, counts.unknown - counts.lasting, "item", "unknown", err) &&
           closing_add_aside(asides, counts.lasting, "item", "unknown for good", err) &&
           tell_invoices(cli, run, &invoices, err);
}
