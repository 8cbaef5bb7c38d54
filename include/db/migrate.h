/*
 * Migrations: the files of sql/migrations, which are part of the program, in order of their names.
 *
 * Each is applied in one transaction together with its row in billing.schema_migrations (name,
 * SHA-256). What psql applied has noted itself; a schema of the files from before they did so is
 * taken over after a look at what they made. One session migrates at a time; another waits and then
 * finds nothing to do. A file that was applied and has changed since, and a database with a
 * migration that this program does not have, are ERR_DATABASE, and nothing is applied.
 */
#ifndef PERIODCLOSE_DB_MIGRATE_H
#define PERIODCLOSE_DB_MIGRATE_H

#include "db/db.h"

struct migrate_options {
    bool is_dry; /* only tell what would be applied */
    void (*tell)(void *context, const char *name, bool is_applied_before);
    void *context;
};

bool migrate_run(struct db *db, const struct migrate_options *options, size_t *applied_count,
                 struct err *err);

/* The database has exactly this program's migrations, and the columns that the job works with are
 * as they made them; else ERR_DATABASE with what to do. */
bool migrate_check(struct db *db, struct err *err);

#endif
