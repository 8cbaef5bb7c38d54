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
/* The pin that says what was recorded of the period then (source/recorded.h). */
extern const char pin_recorded[];
/* The pin that says of how many orgs the record stage found a result that was not recorded yet. */
extern const char pin_new_results[];

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
    int64_t started_us; /* monotonic: when this command began, and no other was sending any more */
    enum emit_attach attach;
    int64_t max_wait_us; /* to the next invoice of a subscription; -1: not asked */
    bool may_stand_alone;
    bool is_discountable;
    bool retries_failed;
    bool is_never_sent;     /* somebody says so: no start before this one sent anything */
    bool batches_lines;     /* --batch lines */
    bool finalizes;         /* --finalize: invoices of our own that agree */
    bool is_earlier_billed; /* what was recorded and never sent was billed by other means */
};

/* A run's row in billing.close_runs (stage/claim.h). run_id 0: none. */
struct stage_claim {
    int64_t run_id;
    struct instant started_at;
};

struct emit_earlier;
struct emit_fresh;
struct emit_write_back;

struct stage_session {
    const char *source_folder; /* NULL on a replay, and with a database */
    const char *conninfo;      /* of the database; NULL: none, or a replay */
    struct db *database;       /* the session's own connection to it; may be lost: db_is_lost */
    struct stage_claim claim;  /* of the period, in the database */
    const char *kind;          /* of the run, for close_runs; NULL: close */
    bool is_forced;            /* --force: another result than the recorded one is meant */
    bool keeps_cutoff;         /* of orgs that are recorded: none was given */
    bool adds_up_on_server;    /* --aggregate server */
    struct month month;
    struct instant cutoff;            /* rows recorded after it are late */
    const struct text *selected_orgs; /* sorted, distinct; none: all */
    size_t selected_orgs_count;
    struct run *previous; /* the run of the revision before, opened for reading; NULL: none */
    const char *reason;   /* of a revision, for adjustments.csv; NULL: none */
    bool is_repriced;     /* --reprice: today's terms also for orgs rated before */
    bool is_overage_off;  /* --overage-billing false: no org is billed for overage */
    enum emission emission;
    const struct emit_earlier *earlier; /* items of earlier revisions; NULL: none */
    const struct emit_fresh *fresh;     /* what orgs are now; NULL: as they were extracted */
    struct stage_sending sending;
    struct emit_write_back *write_back; /* the stage emit's own: records to be told; NULL: none */
    /* a note for people (an unknown column …); may be NULL */
    void (*note)(void *context, const char *text);
    void *note_context;
};

/* Sees to it that session->database can be used: opens it again where it was lost. */
bool session_database(const struct run *run, struct stage_session *session, struct err *err);
/* The period as the database names it: the first day of its month. */
void session_period(const struct stage_session *session, char day[INSTANT_TEXT_MAX]);

#endif
