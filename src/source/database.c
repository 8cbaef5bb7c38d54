#include "source/database.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/memory.h"
#include "db/migrate.h"
#include "usage_database.h"

enum { SNAPSHOT_MAX = 8192, CONNECTIONS_MAX = 64 };

struct source_database {
    const struct sys *sys;
    const char *conninfo;
    _Atomic bool has_lost; /* a connection that was replaced */
    struct db *connections[CONNECTIONS_MAX];
    size_t connections_count;
    char *snapshot; /* as long as many transactions are under way */
    char exported[64];
    char period[INSTANT_TEXT_MAX];
    bool has_seats;
    bool has_recorded;
    bool keeps_cutoff;
    bool adds_up;
    struct db_copy_out seats; /* what was asked for, until it is read */
    bool has_asked_seats;
};

static bool begin_reading(const struct sys *sys, const char *conninfo, struct db **result,
                          struct err *err) {
    const struct db_options options = {
        .conninfo = conninfo, .role = DB_ROLE_CLOSE, .sees_all_rows = true};
    struct db *db;
    if (!db_open(sys, &options, &db, err)) {
        return false;
    }
    if (!db_begin(db, "isolation level repeatable read read only", err)) {
        db_close(db);
        return false;
    }
    *result = db;
    return true;
}

static bool open_connection(const struct sys *sys, const char *conninfo,
                            struct source_database *database, struct err *err) {
    if (!begin_reading(sys, conninfo, &database->connections[database->connections_count], err)) {
        return false;
    }
    database->connections_count++;
    return true;
}

static bool take_snapshot(struct source_database *database, struct err *err) {
    struct db_result result = {0};
    struct text exported;
    struct text snapshot;
    bool is_done = db_run(database->connections[0], "extract/begin.sql", NULL, &result, err) &&
                   db_result_text(&result, 0, 0, &exported, err) &&
                   db_result_text(&result, 0, 1, &snapshot, err) &&
                   db_result_bool(&result, 0, 2, &database->has_seats, err);
    if (is_done) {
        (void)snprintf(database->exported, sizeof database->exported, "%.*s",
                       (int)exported.size_bytes, exported.bytes);
        database->snapshot = mem_alloc(snapshot.size_bytes + 1);
        is_done = database->snapshot != NULL || err_memory(err, snapshot.size_bytes + 1);
    }
    if (is_done) {
        memcpy(database->snapshot, snapshot.bytes, snapshot.size_bytes);
    }
    db_result_release(&result);
    return is_done;
}

/* SET TRANSACTION SNAPSHOT takes no parameter: the id came from the server, of hex digits and -. */
static bool join_snapshot(struct source_database *database, struct db *db, struct err *err) {
    char command[128];
    if (strspn(database->exported, "0123456789ABCDEF-") != strlen(database->exported)) {
        return err_set(err, ERR_DATABASE, "%s: the exported snapshot has an odd name",
                       db_description(db));
    }
    (void)snprintf(command, sizeof command, "set transaction snapshot '%s'", database->exported);
    return db_run_script(db, "set transaction snapshot", command, err);
}

static bool set_period(struct source_database *database, struct month month, struct err *err) {
    struct db *db = database->connections[0];
    struct db_params params = {0};
    struct db_result result = {0};
    struct civil_date first = {month.year, month.month, 1};
    (void)civil_format(civil_to_days(first), database->period);
    db_params_text(&params, text_from(database->period));
    bool is_done = db_run(db, "recorded/exists.sql", &params, &result, err) &&
                   db_result_bool(&result, 0, 0, &database->has_recorded, err);
    db_result_release(&result);
    return is_done;
}

static bool open_all(const struct sys *sys, const struct source_database_options *options,
                     struct source_database *database, struct err *err) {
    database->sys = sys;
    database->conninfo = options->conninfo;
    database->keeps_cutoff = options->keeps_cutoff;
    database->adds_up = options->adds_up;
    if (!open_connection(sys, options->conninfo, database, err) ||
        !migrate_check(database->connections[0], err) || !take_snapshot(database, err) ||
        !set_period(database, options->month, err)) {
        return false;
    }
    size_t jobs = options->jobs < CONNECTIONS_MAX ? options->jobs : CONNECTIONS_MAX;
    while (database->connections_count < jobs) {
        if (!open_connection(sys, options->conninfo, database, err) ||
            !join_snapshot(database, database->connections[database->connections_count - 1], err)) {
            return false;
        }
    }
    return true;
}

bool source_database_open(const struct sys *sys, const struct source_database_options *options,
                          struct source_database **result, struct err *err) {
    struct source_database *database = mem_alloc(sizeof *database);
    if (database == NULL) {
        return err_memory(err, sizeof *database);
    }
    if (!open_all(sys, options, database, err)) {
        source_database_close(database);
        return false;
    }
    *result = database;
    return true;
}

bool source_database_ask_seats(struct source_database *database, struct err *err) {
    size_t last = database->connections_count - 1;
    database->has_asked_seats =
        last > 0 && begin_seats_database(database, last, &database->seats, err);
    return last == 0 || database->has_asked_seats;
}

struct db_copy_out *source_database_seats(struct source_database *database) {
    return database->has_asked_seats ? &database->seats : NULL;
}

void source_database_take_seats(struct source_database *database) {
    database->has_asked_seats = false;
}

void source_database_close(struct source_database *database) {
    if (database == NULL) {
        return;
    }
    if (database->has_asked_seats) {
        db_copy_out_abort(&database->seats);
    }
    for (size_t index = 0; index < database->connections_count; index++) {
        db_close(database->connections[index]);
    }
    mem_free(database->snapshot);
    mem_free(database);
}

const char *source_database_snapshot(const struct source_database *database) {
    return database->snapshot;
}

bool source_database_has_seats(const struct source_database *database) {
    return database->has_seats;
}

bool source_database_has_recorded(const struct source_database *database) {
    return database->has_recorded;
}

bool source_database_keeps_cutoff(const struct source_database *database) {
    return database->keeps_cutoff;
}

bool source_database_adds_up(const struct source_database *database) {
    return database->adds_up;
}

const char *source_database_period(const struct source_database *database) {
    return database->period;
}

bool source_database_reconnect(struct source_database *database, size_t index, struct err *err) {
    struct db *db;
    assert(index < database->connections_count);
    if (index == 0) {
        return err_set(err, ERR_DATABASE, "the connection that held the snapshot is lost");
    }
    if (!begin_reading(database->sys, database->conninfo, &db, err)) {
        return false;
    }
    if (!join_snapshot(database, db, err)) {
        db_close(db);
        return false;
    }
    db_close(database->connections[index]);
    database->connections[index] = db;
    atomic_store(&database->has_lost, true);
    return true;
}

bool source_database_is_lost(const struct source_database *database) {
    bool is_lost = atomic_load(&database->has_lost);
    for (size_t index = 0; index < database->connections_count; index++) {
        is_lost = is_lost || db_is_lost(database->connections[index]);
    }
    return is_lost;
}

struct db *source_database_connection(const struct source_database *database, size_t index) {
    assert(index < database->connections_count);
    return database->connections[index];
}

size_t source_database_connections_count(const struct source_database *database) {
    return database->connections_count;
}
