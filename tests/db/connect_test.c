/* Connection strings, and that a password goes nowhere but to libpq. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "db/db.h"

static bool has_password(const char *conninfo) {
    struct err err = {0};
    bool found;
    if (!db_conninfo_check(conninfo, &found, &err)) {
        fail_msg("%s: %s", conninfo, err.message);
    }
    return found;
}

static void password_in_a_connection_string_is_found(void **state) {
    (void)state;
    assert_true(has_password("host=db1 password=s3cret"));
    assert_true(has_password("password = 's3 cret' host = db1"));
    assert_true(has_password("postgresql://me:s3cret@db1/billing"));
    assert_true(has_password("postgres://db1/billing?password=s3cret"));
    assert_true(has_password("host=db1 sslpassword=s3cret"));
    assert_false(has_password("host=db1 password=''"));
    assert_false(has_password("postgresql://me@db1/billing"));
    assert_false(has_password("host=db1 passfile=/etc/password"));
    assert_false(has_password("dbname='password=x'"));
    assert_false(has_password("host=@socket,@other,db1"));
    assert_false(has_password(""));
    assert_false(has_password(NULL));
}

static void malformed_connection_string_is_not_repeated(void **state) {
    static const char *const malformed[] = {
        "host=db1 password='s3cret",
        "s3cret",
        "host=db1 s3cret=1",
        "postgresql://me:s3cret@[db1/billing",
        "postgresql://db1/billing?s3cret",
        "password=%s3cret%n host",
        "dbname='postgresql://me:s3cret@db1/billing'",
        "host=db1 dbname=postgres://me:s3cret@db1",
        "postgresql://me:half@s3cret@db1/billing", /* an @ that is not written as %40 */
        "host='db1,s3cret@db2'",
    };
    (void)state;
    for (size_t index = 0; index < sizeof malformed / sizeof *malformed; index++) {
        struct err err = {0};
        struct buffer text = {0};
        bool found;
        assert_false(db_conninfo_check(malformed[index], &found, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_null(strstr(err.message, "s3cret"));
        assert_null(strstr(err.hint, "s3cret"));
        err_release(&err);
        assert_false(db_conninfo_without_password(malformed[index], &text, &err));
        assert_int_equal(text.size_bytes, 0);
        assert_null(strstr(err.message, "s3cret"));
    }
}

/* libpq would take it for a name, which is told. */
static void connection_string_for_a_name_in_the_environment_is_not_repeated(void **state) {
    struct err err = {0};
    struct db *db = NULL;
    const struct db_options options = {.conninfo = "host=127.0.0.1 port=1"};
    (void)state;
    assert_int_equal(setenv("PGDATABASE", "postgresql://me:s3cret@db1/billing", 1), 0);
    assert_false(db_open(sys_real(), &options, &db, &err));
    assert_int_equal(unsetenv("PGDATABASE"), 0);
    assert_int_equal(err.code, ERR_USAGE);
    assert_null(strstr(err.message, "s3cret"));
    assert_non_null(strstr(err.hint, "PGDATABASE"));
    err_release(&err);
}

static void loses_its_password(const char *conninfo, const char *expected) {
    struct err err = {0};
    struct buffer text = {0};
    assert_true(db_conninfo_without_password(conninfo, &text, &err));
    assert_true(buffer_append(&text, (struct text){"", 1}, &err));
    assert_string_equal(text.bytes, expected);
    assert_false(has_password(text.bytes));
    buffer_release(&text);
}

static void connection_string_loses_its_password_and_keeps_all_else(void **state) {
    (void)state;
    loses_its_password("password=s3cret host=db1", "host='db1'");
    loses_its_password("dbname='it\\'s a \\\\ name' password='s\\'3cret'",
                       "dbname='it\\'s a \\\\ name'");
    loses_its_password("dbname='it\\'s a \\\\ name'",
                       "dbname='it\\'s a \\\\ name'"); /* once more: the same */
    loses_its_password(
        "postgresql://me:s3cret@db1:5433,db2/bil%20ling?target_session_attrs=primary",
        "user='me' dbname='bil ling' host='db1,db2' port='5433,' "
        "target_session_attrs='primary'");
    loses_its_password("options='-c statement_timeout=2h' sslpassword=s3cret",
                       "options='-c statement_timeout=2h'");
}

static void connection_that_fails_names_where_but_not_the_password(void **state) {
    struct err err = {0};
    struct db *db = NULL;
    const struct db_options options = {
        .conninfo = "host=/nonexistent dbname=billing user=closer port=1 password=s3cret"};
    (void)state;
    assert_false(db_open(sys_real(), &options, &db, &err));
    assert_null(db);
    assert_int_equal(err.code, ERR_DATABASE);
    assert_non_null(strstr(err.message, "database 'billing' at /nonexistent:1 as 'closer'"));
    assert_null(strstr(err.message, "s3cret"));
    assert_null(strstr(err.hint, "s3cret"));
    db_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(password_in_a_connection_string_is_found),
        cmocka_unit_test(malformed_connection_string_is_not_repeated),
        cmocka_unit_test(connection_string_for_a_name_in_the_environment_is_not_repeated),
        cmocka_unit_test(connection_string_loses_its_password_and_keeps_all_else),
        cmocka_unit_test(connection_that_fails_names_where_but_not_the_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
