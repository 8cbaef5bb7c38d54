/*
 * What a command gives to the effect stages of a run: where to read, what to write to, and the
 * options that are not pinned numbers. Owned by the command; constant while stages are performed.
 */
#ifndef PERIODCLOSE_STAGE_SESSION_H
#define PERIODCLOSE_STAGE_SESSION_H

#include "core/calendar.h"
#include "db/db.h"
#include "emit/secret.h"
#include "emit/sender.h"
#include "run/run.h"

/* The pin that says what the extract saw of a database: pg_current_snapshot() as text. */
extern const char pin_snapshot[];

enum emission { EMISSION_NONE, EMISSION_STRIPE, EMISSION_STRIPE_METERS, EMISSION_DODO };

/* How items are sent; of all but EMISSION_NONE. */
struct stage_sending {
    const char *base;
    const char *version; /* of the API */
    struct secret key;
    unsigned rate;       /* requests a second; 0: no bound */
    unsigned per_minute; /* the same for Dodo, who counts by the minute */
    size_t in_flight;
    int64_t timeout_ms;
    int64_t retry_delay_ms;
    int64_t deadline_s;
    int64_t started_us; /* monotonic: when this command began */
    enum emit_attach attach;
    int64_t max_wait_us; /* to the next invoice of a subscription; -1: not asked */
    bool may_stand_alone;
    bool is_discountable;
    bool retries_failed;
};

struct stage_session {
    const char *source_folder; /* NULL on a replay, and with a database */
    const char *conninfo;      /* of the database; NULL: none, or a replay */
    struct db *database;       /* the command's own connection to it; may be lost: db_is_lost */
    struct month month;
    struct instant cutoff;            /* rows recorded after it are late */
    const struct text *selected_orgs; /* sorted, distinct; none: all */
    size_t selected_orgs_count;
    struct run *previous; /* the run of the revision before, opened for reading; NULL: none */
    const char *reason;   /* of a revision, for adjustments.csv; NULL: none */
    bool is_repriced;     /* --reprice: today's terms also for orgs rated before */
    bool is_overage_off;  /* --overage-billing false: no org is billed for overage */
    enum emission emission;
    struct stage_sending sending;
    /* a note for people (an unknown column …); may be NULL */
    void (*note)(void *context, const char *text);
    void *note_context;
};

#endif
