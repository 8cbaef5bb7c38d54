/* Opening and closing connections. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "db_internal.h"
#include "sys/clock.h"

enum { CONNECT_TIMEOUT_DEFAULT_S = 15, HOSTS_MAX = 16 };

/* --- conninfo -------------------------------------------------------------------------------- */

/* What names the database or its host is told; a password that got into it is not to be. */
static bool has_stray_password(const PQconninfoOption *option) {
    if (option->val == NULL) {
        return false;
    }
    if (strcmp(option->keyword, "dbname") == 0) { /* a whole string, which libpq takes for a name */
        return strncmp(option->val, "postgres://", 11) == 0 ||
               strncmp(option->val, "postgresql://", 13) == 0;
    }
    const char *at = strcmp(option->keyword, "host") == 0 ? strchr(option->val, '@') : NULL;
    while (at != NULL && (at == option->val || at[-1] == ',')) { /* an abstract socket */
        at = strchr(at + 1, '@');
    }
    return at != NULL; /* the end of a password that has an @ itself */
}

/* None given: libpq's own failure is told later. */
static bool check_names(const PQconninfoOption *options, struct err *err) {
    for (const PQconninfoOption *option = options; option != NULL && option->keyword != NULL;
         option++) {
        if (has_stray_password(option)) {
            (void)err_set(err, ERR_USAGE,
                          "the database's connection string has a part of another one, or of a "
                          "password, for its %s",
                          option->keyword);
            return err_hint(err, "write an @ in a password as %%40; a whole connection string "
                                 "goes into PERIODCLOSE_DATABASE, not into dbname or PGDATABASE");
        }
    }
    return true;
}

static bool parse_conninfo(const char *conninfo, PQconninfoOption **options, struct err *err) {
    char *message = NULL;
    *options = PQconninfoParse(conninfo != NULL ? conninfo : "", &message);
    if (*options != NULL) {
        bool is_fine = check_names(*options, err);
        if (!is_fine) {
            PQconninfoFree(*options);
            *options = NULL;
        }
        return is_fine;
    }
    /* libpq's message may repeat what it could not read: a password, say. */
    PQfreemem(message);
    (void)err_set(err, ERR_USAGE, "the database's connection string cannot be read");
    return err_hint(err, "write 'host=db1 dbname=billing user=closer' or "
                         "postgresql://closer@db1/billing, with the password in ~/.pgpass or "
                         "PGPASSWORD");
}

static bool is_given(const PQconninfoOption *option) {
    return option->val != NULL && option->val[0] != '\0';
}

/* libpq marks its secrets as such: password and sslpassword. */
static bool is_secret(const PQconninfoOption *option) {
    return option->dispchar != NULL && strchr(option->dispchar, '*') != NULL;
}

bool db_conninfo_check(const char *conninfo, bool *has_password, struct err *err) {
    PQconninfoOption *options;
    *has_password = false;
    if (!parse_conninfo(conninfo, &options, err)) {
        return false;
    }
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        *has_password = *has_password || (is_given(option) && is_secret(option));
    }
    PQconninfoFree(options);
    return true;
}

static bool append_pair(struct buffer *text, const PQconninfoOption *option, struct err *err) {
    if (!buffer_append_format(text, err, "%s%s='", text->size_bytes > 0 ? " " : "",
                              option->keyword)) {
        return false;
    }
    for (const char *at = option->val; *at != '\0'; at++) {
        if (((*at == '\'' || *at == '\\') && !buffer_append(text, text_from("\\"), err)) ||
            !buffer_append(text, (struct text){at, 1}, err)) {
            return false;
        }
    }
    return buffer_append(text, text_from("'"), err);
}

bool db_conninfo_without_password(const char *conninfo, struct buffer *text, struct err *err) {
    PQconninfoOption *options;
    if (!parse_conninfo(conninfo, &options, err)) {
        return false;
    }
    bool is_done = true;
    for (const PQconninfoOption *option = options; is_done && option->keyword != NULL; option++) {
        if (is_given(option) && !is_secret(option)) {
            is_done = append_pair(text, option, err);
        }
    }
    PQconninfoFree(options);
    return is_done;
}

/* --- connecting ------------------------------------------------------------------------------ */

static void drop_notice(void *context, const PGresult *result) {
    (void)context;
    (void)result;
}

/* Ours first: what conninfo says of the same thing comes later and stands. */
static PGconn *start(const char *conninfo) {
    const char *const keywords[] = {
        "fallback_application_name", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout",          "dbname",          "client_encoding",     NULL};
    const char *const values[] = {
        "periodclose", "30", "10", "4", "60000", conninfo != NULL ? conninfo : "", "UTF8", NULL};
    return PQconnectStartParams(keywords, values, 1);
}

static const char *or_else(const char *text, const char *other) {
    return text != NULL && text[0] != '\0' ? text : other;
}

static void describe(struct db *db) {
    const char *host = or_else(PQhost(db->connection), "the local socket");
    const char *port = or_else(PQport(db->connection), "?");
    (void)snprintf(db->description, sizeof db->description, "database '%s' at %s:%s as '%s'",
                   or_else(PQdb(db->connection), "?"), host, port,
                   or_else(PQuser(db->connection), "?"));
}

/* connect_timeout, as conninfo or PGCONNECT_TIMEOUT have it, for each of the hosts. */
static int64_t connect_timeout_us(const struct db *db) {
    long seconds = CONNECT_TIMEOUT_DEFAULT_S;
    long hosts = 1;
    PQconninfoOption *options = PQconninfo(db->connection);
    for (const PQconninfoOption *option = options; option != NULL && option->keyword != NULL;
         option++) {
        if (!is_given(option)) {
            continue;
        }
        if (strcmp(option->keyword, "connect_timeout") == 0) {
            long given = strtol(option->val, NULL, 10);
            seconds = given > 0 && given < 3600 ? given : seconds;
        } else if (strcmp(option->keyword, "host") == 0) {
            for (const char *at = option->val; *at != '\0'; at++) {
                hosts += *at == ',' && hosts < HOSTS_MAX;
            }
        }
    }
    PQconninfoFree(options);
    return (int64_t)seconds * hosts * 1000000;
}

static bool fail_open(struct db *db, const char *message, struct err *err) {
    describe(db);
    bool needs_password = PQconnectionNeedsPassword(db->connection) == 1 ||
                          PQconnectionUsedPassword(db->connection) == 1;
    return db_fail_open(db->description, message, needs_password, err);
}

/* Also of what comes from libpq's environment and services. */
static bool check_connection(const struct db *db, struct err *err) {
    PQconninfoOption *options = PQconninfo(db->connection);
    bool is_fine = check_names(options, err);
    PQconninfoFree(options);
    return is_fine;
}

static bool connect_socket(struct db *db, struct err *err) {
    int64_t deadline_us = clock_monotonic_us(db->sys) + connect_timeout_us(db);
    PostgresPollingStatusType polling = PGRES_POLLING_WRITING;
    if (PQstatus(db->connection) == CONNECTION_BAD) {
        return fail_open(db, PQerrorMessage(db->connection), err);
    }
    while (polling != PGRES_POLLING_OK) {
        if (polling == PGRES_POLLING_FAILED) {
            return fail_open(db, PQerrorMessage(db->connection), err);
        }
        bool is_ready;
        enum db_wait wait = polling == PGRES_POLLING_READING ? DB_WAIT_READ : DB_WAIT_WRITE;
        if (!db_wait_socket(db, wait, deadline_us, &is_ready, err)) {
            return false;
        }
        if (!is_ready) {
            return fail_open(db, "no answer within connect_timeout", err);
        }
        polling = PQconnectPoll(db->connection);
    }
    return true;
}

/* --- the first statement --------------------------------------------------------------------- */

static bool take_session(struct db *db, const struct db_result *result, struct err *err) {
    struct text name;
    struct text cluster;
    if (!db_result_int64(result, 0, 0, &db->server_version, err) ||
        !db_result_bool(result, 0, 1, &db->is_standby, err) ||
        !db_result_text(result, 0, 2, &name, err) || !db_result_text(result, 0, 3, &cluster, err) ||
        !db_result_int64(result, 0, 9, &db->silence_ms_max, err)) {
        return false;
    }
    if (db->silence_ms_max > 0) {
        db->silence_ms_max += DB_SILENCE_GRACE_MS;
    }
    (void)snprintf(db->identity, sizeof db->identity, "%.*s of cluster %.*s", (int)name.size_bytes,
                   name.bytes, (int)cluster.size_bytes, cluster.bytes);
    return true;
}

static bool open_session(struct db *db, const struct db_options *options, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    int64_t timeout_ms = options->statement_timeout_ms;
    if (PQserverVersion(db->connection) < DB_SERVER_VERSION_MIN) {
        int version = PQserverVersion(db->connection);
        (void)err_set(err, ERR_DATABASE, "%s: the server is PostgreSQL %d.%d", db->description,
                      version / 10000, version % 10000);
        return err_hint(err, "PostgreSQL 15 or later is needed");
    }
    db_params_text(&params, text_from(options->role != NULL ? options->role : ""));
    db_params_int64(&params, timeout_ms != 0 ? timeout_ms : DB_TIMEOUT_DEFAULT_MS);
    db_params_bool(&params, options->sees_all_rows);
    bool is_done =
        db_run(db, "session/open.sql", &params, &result, err) && take_session(db, &result, err);
    db_result_release(&result);
    return is_done;
}

bool db_open(const struct sys *sys, const struct db_options *options, struct db **result,
             struct err *err) {
    PQconninfoOption *parsed;
    if (!parse_conninfo(options->conninfo, &parsed, err)) {
        return false;
    }
    PQconninfoFree(parsed);
    struct db *db = mem_alloc(sizeof *db);
    if (db == NULL) {
        return err_memory(err, sizeof *db);
    }
    db->sys = sys;
    db->silence_ms_max = DB_TIMEOUT_DEFAULT_MS;
    db->connection = start(options->conninfo);
    if (db->connection == NULL) {
        mem_free(db);
        return err_memory(err, 16384);
    }
    (void)PQsetNoticeReceiver(db->connection, drop_notice, NULL);
    (void)PQsetErrorVerbosity(db->connection, PQERRORS_VERBOSE);
    bool is_open = check_connection(db, err) && connect_socket(db, err);
    if (is_open) {
        describe(db);
        (void)PQsetErrorVerbosity(db->connection, PQERRORS_DEFAULT);
        is_open = (PQsetnonblocking(db->connection, 1) == 0 ||
                   db_fail_connection(db, "connecting", err)) &&
                  open_session(db, options, err);
    }
    if (!is_open) {
        db_close(db);
        return false;
    }
    *result = db;
    return true;
}

void db_close(struct db *db) {
    if (db == NULL) {
        return;
    }
    PQfinish(db->connection);
    mem_free(db);
}

/* --- what is known --------------------------------------------------------------------------- */

void db_finish_in_peace(struct db *db) {
    db->ignores_interrupts = true;
}

bool db_is_lost(const struct db *db) {
    return db->is_lost;
}

bool db_is_standby(const struct db *db) {
    return db->is_standby;
}

int64_t db_server_version(const struct db *db) {
    return db->server_version;
}

const char *db_description(const struct db *db) {
    return db->description;
}

const char *db_identity(const struct db *db) {
    return db->identity;
}

const char *db_state(const struct db *db) {
    return db->state;
}
