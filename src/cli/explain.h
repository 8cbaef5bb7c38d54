/* What `explain` tells: inside of the command, split over command_explain*.c. */
#ifndef PERIODCLOSE_CLI_EXPLAIN_H
#define PERIODCLOSE_CLI_EXPLAIN_H

#include "cli/cli.h"
#include "cli/print.h"
#include "core/calendar.h"
#include "rating/terms.h"

/* Tables of the org's shard; NULL where the stage that leaves it is not done. */
struct explain_tables {
    struct table *orgs;
    struct table *limits;
    struct table *subscriptions;
    struct table *series;
    struct table *days;
    struct table *keys;
    struct table *levels;
    struct table *asides;
    struct table *usage;
    struct table *negatives;
    struct table *charges;
    struct table *projections;
    struct table *estimates;
    struct table *changes;
    struct table *records;
    struct table *items; /* of a run that sends */
    struct table *adjustments;
};

struct explanation {
    struct cli *cli;
    struct run *run;
    const char *metric_wanted; /* --metric, or NULL */
    struct table *plans;
    struct table *prices;
    struct table *tiers;
    struct terms terms;
    struct explain_tables tables;
    struct table_cursor org;
    struct text org_id;
    bool has_zone; /* the org's, when it is not UTC; good for [zone_from, zone_until) */
    struct zone zone;
    struct instant zone_from;
    struct instant zone_until;
    const char *currency;          /* the org's, in capitals: "USD" */
    const struct terms_plan *plan; /* NULL: the org is not rated */
};

/* One metric at hand; the cursors stand at its rows. */
struct explain_metric {
    const struct terms_price *price;
    const char *name; /* escaped */
    const char *unit; /* "/token", or empty; escaped */
    struct limits limits;
    struct table_cursor usage;
    bool is_rated;
    bool has_charge_row; /* else it costs nothing */
    struct table_cursor charge_row;
    struct charge charge; /* the same once more, for what the table does not keep */
    struct charge_lines lines;
};

/* "  LABEL        TEXT"; the label may be empty. */
bool explain_say(const struct explanation *explanation, struct err *err, const char *label,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A copy without control bytes, of the command's arena. NULL: no memory. */
const char *explain_escape(const struct explanation *explanation, struct text text,
                           struct err *err);
/* The row of (org, metric), or of org alone in tables of orgs. False: there is none. */
bool explain_find(const struct explanation *explanation, const struct table *table,
                  struct text metric, struct table_cursor *row);
/* Half away to places decimals, for reading. */
struct decimal explain_shorten(struct decimal value, int places);

/* command_explain_time.c: the org's zone, once its row is found. */
bool explain_load_zone(struct explanation *explanation, struct err *err);
/* "2026-10-01 00:00:00 +02:00", or in UTC (false) where the zone is UTC or not known. */
enum { EXPLAIN_INSTANT_MAX = 48 };
bool explain_instant(const struct explanation *explanation, struct instant instant,
                     char text[EXPLAIN_INSTANT_MAX]);

struct explain_span {
    struct instant from;
    struct instant until;
    const char *one; /* before the instant, where both are the same; NULL: as if they were two */
    const char *first;
    const char *between;
};
/* A line in the org's time, and one in UTC where that is another. */
bool explain_say_span(const struct explanation *explanation, const struct explain_span *span,
                      struct err *err);

/* command_explain_org.c */
bool explain_org(const struct explanation *explanation, struct err *err);
/* Is all of the period subscribed time? */
bool explain_is_subscribed_throughout(const struct explanation *explanation);
bool explain_set_aside(const struct explanation *explanation, struct err *err);
bool explain_unpriced(const struct explanation *explanation, struct err *err);
/* ERR_MISMATCH while no org of the run is known yet. */
bool explain_check_orgs(const struct run *run, const char *what, struct err *err);
/* ERR_USAGE, with the ids that come nearest. */
bool explain_unknown_org(struct run *run, const char *org_id, struct err *err);

/* command_explain_usage.c */
bool explain_usage(const struct explanation *explanation, const struct explain_metric *metric,
                   struct err *err);

/* command_explain_cost.c */
bool explain_cost(const struct explanation *explanation, const struct explain_metric *metric,
                  struct err *err);
bool explain_cap(const struct explanation *explanation, struct err *err);

/* command_explain_next.c: what was recorded, and what may come. */
bool explain_record(const struct explanation *explanation, const struct explain_metric *metric,
                    struct err *err);
bool explain_projection(const struct explanation *explanation, const struct explain_metric *metric,
                        struct err *err);

#endif
