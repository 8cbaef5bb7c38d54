/*
 * The PostgreSQL source: connections that all see one snapshot.
 *
 * source_database_open connects, begins a REPEATABLE READ READ ONLY transaction, exports its
 * snapshot to jobs - 1 further connections, and checks that the schema is the one of this program.
 * Dataset and usage then read from it instead of from a folder (dataset_options.database,
 * usage_read_database): the same rows, judged by the same code, so that both sources leave the same
 * checkpoints. A standby will do. Failures are ERR_DATABASE (db/db.h). A lost connection but the
 * first, which holds the snapshot, may be replaced (source_database_reconnect); else the caller
 * begins anew with a new source (source_database_is_lost).
 */
#ifndef PERIODCLOSE_SOURCE_DATABASE_H
#define PERIODCLOSE_SOURCE_DATABASE_H

#include "core/calendar.h"
#include "db/db.h"

struct source_database;

struct source_database_options {
    const char *conninfo; /* lives as long as the source */
    size_t jobs;
    struct month month;
    bool keeps_cutoff; /* orgs of which the period is recorded are read as that run saw them */
    bool adds_up;      /* the server adds usage up where it can: less to send, more to compute */
};

bool source_database_open(const struct sys *sys, const struct source_database_options *options,
                          struct source_database **database, struct err *err);
void source_database_close(struct source_database *database); /* NULL is fine */

/*
 * Asks for the seats over the last connection, where there are several: the server packs their
 * events while the catalog is loaded over the first. usage_read_database reads them.
 */
bool source_database_ask_seats(struct source_database *database, struct err *err);
/* pg_current_snapshot() of it: what was visible. */
const char *source_database_snapshot(const struct source_database *database);
bool source_database_has_seats(const struct source_database *database);
/* A run has recorded this period or the one before, of some orgs: what it saw is told apart. */
bool source_database_has_recorded(const struct source_database *database);
bool source_database_keeps_cutoff(const struct source_database *database);
bool source_database_adds_up(const struct source_database *database);
/* The period: the first day of its month. */
const char *source_database_period(const struct source_database *database);
/*
 * Another connection to the same snapshot in place of a lost one, by the thread that uses it.
 * Fails when the snapshot is gone, and leaves the lost one where it is.
 */
bool source_database_reconnect(struct source_database *database, size_t index, struct err *err);
/* A connection is lost, or was and has been replaced. */
bool source_database_is_lost(const struct source_database *database);
/* Connection 0 … jobs - 1, each for one thread. */
struct db *source_database_connection(const struct source_database *database, size_t index);
size_t source_database_connections_count(const struct source_database *database);

#endif
