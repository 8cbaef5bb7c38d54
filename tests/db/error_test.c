/* What is told of connections that could not be made, or broke: by SQLSTATE, never by the words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/db/db_internal.h"

static const char description[] = "database 'billing' at db1:5432 as 'closer'";

/* Fails as libpq says it, with the SQLSTATE that connect.c asks it for. */
static void fails(struct err *err, const char *message, bool needs_password) {
    *err = (struct err){0};
    assert_false(db_fail_open(description, message, needs_password, err));
    assert_int_equal(err->code, ERR_DATABASE);
    assert_non_null(strstr(err->message, "cannot connect to database 'billing' at db1:5432"));
}

static void sqlstate_of_a_refused_connection_decides_the_hint(void **state) {
    static const struct {
        const char *sqlstate;
        const char *hint;
    } cases[] = {
        {"28P01", "~/.pgpass"},
        {"28000", "pg_hba.conf"},
        {"3D000", "createdb"},
        {"53300", "lower --jobs"},
        {"53100", "disk is full"},
        {"53200", "lacks resources"},
        {"57P03", "type the same command again"},
        {"57P01", "type the same command again"},
        {"08006", "type the same command again"},
        {"42501", "billing_close"},
        {"25006", "name the primary"},
        {"57014", "statement_timeout"},
        {"40001", "another session was in the way"},
        {"42P01", "periodclose migrate"},
        {"XX000", "see whether the server runs"},
    };
    (void)state;
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        char message[160];
        struct err err;
        /* In the server's language: words must not count. */
        (void)snprintf(message, sizeof message,
                       "connection to server failed: FATAL:  %s: Das ging nicht: 3D00\n"
                       "LOCATION:  auth_failed, auth.c:335\n",
                       cases[index].sqlstate);
        fails(&err, message, false);
        if (strstr(err.hint, cases[index].hint) == NULL) {
            fail_msg("%s: %s", cases[index].sqlstate, err.hint);
        }
        assert_null(strstr(err.message, "LOCATION"));
        assert_null(strchr(err.message, '\n'));
    }
}

static void last_of_several_hosts_counts(void **state) {
    struct err err;
    (void)state;
    fails(&err,
          "connection to server at \"db1\" failed: FATAL:  57P03: starting up\n"
          "LOCATION:  ProcessStartupPacket, postmaster.c:2353\n"
          "connection to server at \"db2\" failed: FATAL:  28P01: no such password",
          false);
    assert_non_null(strstr(err.hint, "PGPASSWORD"));
    assert_non_null(strstr(err.message, "starting up connection to server at \"db2\""));
}

static void password_that_is_asked_for_is_hinted_at_without_a_sqlstate(void **state) {
    struct err err;
    (void)state;
    fails(&err, "fe_sendauth: no password supplied\n", true);
    assert_non_null(strstr(err.hint, "PGPASSFILE"));
    fails(&err, "could not translate host name\n", false);
    assert_non_null(strstr(err.hint, "host, port and dbname"));
}

static void long_message_is_cut(void **state) {
    char message[4000];
    struct err err;
    (void)state;
    memset(message, 'x', sizeof message);
    memcpy(message + sizeof message - 20, "\nLOCATION:  a, b.c:1", 20);
    message[sizeof message - 1] = '\0';
    fails(&err, message, false);
    assert_in_range(strlen(err.message), 500, 700);
    message[3] = '\n';
    memcpy(message + 3, "\nLOCATION:", 10); /* and all of the rest is of that line */
    fails(&err, message, false);
    assert_non_null(strstr(err.message, ": xxx"));
}

static void silent_server_is_a_lost_connection(void **state) {
    struct db db = {.silence_ms_max = 90000};
    struct err err = {0};
    (void)state;
    (void)snprintf(db.description, sizeof db.description, "%s", description);
    assert_false(db_fail_silence(&db, "record/claim.sql", &err));
    assert_int_equal(err.code, ERR_DATABASE);
    assert_true(db_is_lost(&db));
    assert_string_equal(db_state(&db), "08006");
    assert_non_null(strstr(err.message, "record/claim.sql: the server has said nothing for 90 s"));
    assert_non_null(strstr(err.hint, "type the same command again"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sqlstate_of_a_refused_connection_decides_the_hint),
        cmocka_unit_test(last_of_several_hosts_counts),
        cmocka_unit_test(password_that_is_asked_for_is_hinted_at_without_a_sqlstate),
        cmocka_unit_test(long_message_is_cut),
        cmocka_unit_test(silent_server_is_a_lost_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
