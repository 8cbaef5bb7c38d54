/*
 * What reconcile prints: each finding, then how many items there were; for people, as CSV, or as
 * one JSON object a comparison.
 */
#ifndef PERIODCLOSE_SRC_CLI_RECONCILE_REPORT_H
#define PERIODCLOSE_SRC_CLI_RECONCILE_REPORT_H

#include "cli/cli.h"
#include "cli/print.h"
#include "emit/reconcile.h"
#include "stage/session.h"

struct reconcile_report {
    struct cli *cli;
    enum print_format format;
    enum emission emission; /* of what: names the other side */
    const char *period;     /* YYYY-MM */
    bool has_finding;
    uint64_t kinds[RECONCILE_KINDS_COUNT]; /* of the comparison at hand */
};

/* --format or --json. */
bool reconcile_report_init(struct reconcile_report *report, struct cli *cli, struct err *err);
/* Around each comparison. */
bool reconcile_report_begin(struct reconcile_report *report, struct err *err);
bool reconcile_report_end(struct reconcile_report *report, const struct reconcile *reconcile,
                          struct err *err);
/* For struct reconcile; the context is the report. */
bool reconcile_report_found(void *context, const struct reconcile_finding *finding,
                            struct err *err);

/*
 * After the last comparison, where something was found that nobody repairs: what can be done about
 * it; and what to type then (run_path: of the run; NULL: of a period out of the database).
 */
void reconcile_report_advise(const struct reconcile_report *report);
void reconcile_report_next(const struct reconcile_report *report, const char *run_path);

/* The keys of --resend, at most RECONCILE_RESEND_MAX. */
enum { RECONCILE_RESEND_MAX = 1000 };
bool reconcile_read_resend(const struct cli *cli, struct emit_key keys[RECONCILE_RESEND_MAX],
                           size_t *keys_count, struct err *err);
/* All of them were found to be such that can be sent again. */
bool reconcile_check_resent(size_t keys_count, const struct reconcile *reconcile, struct err *err);

/* reconcile --period: out of the database alone (reconcile_period.c). */
bool reconcile_period(struct cli *cli, struct err *err);

#endif
