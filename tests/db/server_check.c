/*
 * The database module against a server: server_check (in the environment that pg_virtualenv makes;
 * tests/program/database.sh runs it). Not named _test, since make test-db needs no server.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "db/copy.h"
#include "db/db.h"
#include "db/wire.h"
#include "sys/process.h"

static struct db *open_db(void) {
    struct err err = {0};
    struct db *db = NULL;
    if (!db_open(sys_real(), &(struct db_options){.conninfo = ""}, &db, &err)) {
        fail_msg("%s", err.message);
    }
    return db;
}

static void must(bool is_done, const struct err *err) {
    if (!is_done) {
        fail_msg("%d %s", (int)err->code, err->message);
    }
}

static void values_come_back_as_they_were_sent(void **state) {
    struct db *db = open_db();
    struct err err = {0};
    struct db_params params = {0};
    struct db_result result = {0};
    struct decimal sent;
    struct decimal decimal;
    struct instant instant;
    struct text text;
    int64_t integer;
    bool boolean;
    (void)state;
    (void)decimal_parse(text_from("-12345678901234567890123.000000000000007"), &sent);
    db_params_text(&params, text_from("na\xC3\xAFve \\' $1"));
    db_params_int64(&params, INT64_MIN);
    db_params_decimal(&params, sent);
    db_params_instant(&params, (struct instant){1234567890123457});
    db_params_bool(&params, true);
    db_params_null(&params);
    must(db_run(db, "check/echo.sql", &params, &result, &err), &err);
    assert_int_equal(result.rows_count, 1);
    must(db_result_text(&result, 0, 0, &text, &err), &err);
    assert_true(text_equals(text, text_from("na\xC3\xAFve \\' $1")));
    must(db_result_int64(&result, 0, 1, &integer, &err), &err);
    assert_true(integer == INT64_MIN);
    must(db_result_decimal(&result, 0, 2, &decimal, &err), &err);
    assert_int_equal(decimal_compare(decimal, sent), 0);
    must(db_result_instant(&result, 0, 3, &instant, &err), &err);
    assert_true(instant.us == 1234567890123457);
    must(db_result_bool(&result, 0, 4, &boolean, &err), &err);
    assert_true(boolean);
    assert_true(db_result_is_null(&result, 0, 5));
    assert_false(db_result_int64(&result, 0, 0, &integer, &err));
    assert_int_equal(err.code, ERR_DATABASE);
    db_result_release(&result);
    db_close(db);
}

static void failure_names_its_reason_and_leaves_the_connection_whole(void **state) {
    struct db *db = open_db();
    struct err err = {0};
    (void)state;
    assert_false(db_run_script(db, "try", "select * from nowhere", &err));
    assert_int_equal(err.code, ERR_DATABASE);
    assert_non_null(strstr(err.message, "\"nowhere\" does not exist"));
    assert_non_null(strstr(err.hint, "periodclose migrate"));
    assert_string_equal(db_state(db), "42P01");
    assert_false(db_is_lost(db));
    err_release(&err);
    must(db_begin(db, "", &err), &err);
    assert_false(db_run_script(db, "try", "select 1 / 0", &err));
    err_release(&err);
    assert_false(db_commit(db, &err));
    assert_int_equal(err.code, ERR_DATABASE);
    err_release(&err);
    must(db_run_script(db, "try", "select 1", &err), &err);
    db_close(db);
}

static void copy_takes_in_and_gives_out_the_same_rows(void **state) {
    struct db *db = open_db();
    struct err err = {0};
    struct db_copy_in in;
    struct db_copy_out out;
    struct db_copy_row row = {0};
    uint64_t count;
    int64_t total = 0;
    enum { ROWS = 70000 };
    (void)state;
    must(db_run_script(db, "make",
                       "create temporary table copy_check (number bigint, label text, "
                       "quantity numeric)",
                       &err),
         &err);
    must(db_copy_in_begin(db, "check/copy_in.sql", &in, &err), &err);
    for (int64_t number = 1; number <= ROWS; number++) {
        struct decimal quantity;
        (void)decimal_from_int64(number, &quantity);
        must(db_copy_in_row(&in, 3, &err) && db_copy_in_int64(&in, number, &err), &err);
        must(number % 2 == 0 ? db_copy_in_null(&in, &err)
                             : db_copy_in_text(&in, text_from("odd"), &err),
             &err);
        must(db_copy_in_decimal(&in, quantity, &err), &err);
    }
    must(db_copy_in_finish(&in, &count, &err), &err);
    assert_int_equal(count, ROWS);
    must(db_copy_out_begin(db, "check/copy_out.sql", 3, &out, &err), &err);
    count = 0;
    for (;;) {
        struct decimal quantity;
        must(db_copy_out_next(&out, &row, &err), &err);
        if (row.fields == NULL) {
            break;
        }
        count++;
        total += (int64_t)wire_uint64(row.fields[0].bytes);
        assert_int_equal(wire_uint64(row.fields[0].bytes) % 2 == 0, row.fields[1].bytes == NULL);
        assert_int_equal(wire_decimal(row.fields[2].bytes, row.fields[2].size_bytes, &quantity),
                         DECIMAL_OK);
        assert_true(quantity.units == (int128)wire_uint64(row.fields[0].bytes) * DECIMAL_ONE.units);
    }
    must(db_copy_out_end(&out, &err), &err);
    assert_int_equal(count, ROWS);
    assert_int_equal(total, (int64_t)ROWS * (ROWS + 1) / 2);
    /* given up in the middle, in both directions */
    must(db_copy_out_begin(db, "check/copy_out.sql", 3, &out, &err), &err);
    must(db_copy_out_next(&out, &row, &err), &err);
    db_copy_out_abort(&out);
    must(db_copy_in_begin(db, "check/copy_in.sql", &in, &err), &err);
    must(db_copy_in_row(&in, 3, &err) && db_copy_in_null(&in, &err) && db_copy_in_null(&in, &err) &&
             db_copy_in_null(&in, &err),
         &err);
    db_copy_in_abort(&in);
    assert_false(db_is_lost(db));
    must(db_run_script(db, "try", "select 1 / (count(*) = 70000)::int from copy_check", &err),
         &err);
    db_close(db);
}

static void copy_of_no_rows_is_fine(void **state) {
    struct db *db = open_db();
    struct err err = {0};
    struct db_copy_in in;
    struct db_copy_out out;
    struct db_copy_row row;
    uint64_t count = 7;
    (void)state;
    must(db_run_script(db, "make",
                       "create temporary table copy_check (number bigint, label text, "
                       "quantity numeric)",
                       &err),
         &err);
    must(db_copy_in_begin(db, "check/copy_in.sql", &in, &err), &err);
    must(db_copy_in_finish(&in, &count, &err), &err);
    assert_int_equal(count, 0);
    must(db_copy_out_begin(db, "check/copy_out.sql", 3, &out, &err), &err);
    must(db_copy_out_next(&out, &row, &err), &err);
    assert_null(row.fields);
    must(db_copy_out_end(&out, &err), &err);
    db_close(db);
}

static void copy_has_its_parameters_as_literals(void **state) {
    /* What would end a literal, or begin an escape, is text like any other. */
    const char *const odd = "o'dd \\ \"$1\" -- \xc3\xa4 {}";
    struct db *db = open_db();
    struct err err = {0};
    struct instant at = {INT64_C(-62135596800000000)};
    struct db_copy_out out;
    struct db_copy_row row;
    struct db_params params = {0};
    (void)state;
    db_params_text(&params, text_from(odd));
    db_params_int64(&params, INT64_MIN);
    db_params_bool(&params, false);
    db_params_instant(&params, at);
    must(db_copy_out_begin_with(db, "check/copy_literals.sql", &params, 5, &out, &err), &err);
    must(db_copy_out_next(&out, &row, &err), &err);
    assert_non_null(row.fields);
    assert_int_equal(row.fields[0].size_bytes, strlen(odd));
    assert_memory_equal(row.fields[0].bytes, odd, strlen(odd));
    assert_true((int64_t)wire_uint64(row.fields[1].bytes) == INT64_MIN);
    assert_int_equal(row.fields[2].bytes[0], 0);
    assert_null(wire_instant(row.fields[3].bytes, &at));
    assert_true(at.us == INT64_C(-62135596800000000));
    assert_memory_equal(row.fields[4].bytes, "$1 -- $2", 8);
    must(db_copy_out_next(&out, &row, &err), &err);
    assert_null(row.fields);
    must(db_copy_out_end(&out, &err), &err);
    db_close(db);
}

static void signal_cancels_what_runs(void **state) {
    struct db *db = open_db();
    struct err err = {0};
    (void)state;
    interrupt_install();
    (void)raise(SIGTERM);
    assert_false(db_run_script(db, "sleep", "select pg_sleep(60)", &err));
    assert_int_equal(err.code, ERR_INTERRUPTED);
    interrupt_clear();
    err_release(&err);
    assert_false(db_is_lost(db));
    must(db_run_script(db, "try", "select 1", &err), &err);
    db_close(db);
}

static void lost_connection_is_told_and_stays_lost(void **state) {
    struct db *db = open_db();
    struct err err = {0};
    (void)state;
    assert_false(db_run_script(db, "die", "select pg_terminate_backend(pg_backend_pid())", &err));
    assert_int_equal(err.code, ERR_DATABASE);
    assert_true(db_is_lost(db));
    assert_non_null(strstr(err.hint, "type the same command again"));
    err_release(&err);
    assert_false(db_run_script(db, "try", "select 1", &err));
    assert_int_equal(err.code, ERR_DATABASE);
    err_release(&err);
    db_close(db);
}

static void fails_to_open(const char *conninfo, const char *said, const char *hinted) {
    struct err err = {0};
    struct db *db = NULL;
    assert_false(db_open(sys_real(), &(struct db_options){.conninfo = conninfo}, &db, &err));
    if (strstr(err.message, said) == NULL || strstr(err.hint, hinted) == NULL) {
        fail_msg("'%s', '%s' instead of '%s', '%s'", err.message, err.hint, said, hinted);
    }
    assert_null(strstr(err.message, "s3cret"));
    assert_null(strstr(err.hint, "s3cret"));
    err_release(&err);
}

static void connection_refused_is_told_without_the_password(void **state) {
    (void)state;
    fails_to_open("password=s3cret", "password authentication failed", "PGPASSWORD");
    fails_to_open("dbname=nowhere", "\"nowhere\" does not exist", "createdb");
    fails_to_open("port=1 password=s3cret", "cannot connect to database", "server runs");
    fails_to_open("dbname s3cret", "cannot be read", "postgresql://");
}

static void conninfo_loses_its_password_and_nothing_else(void **state) {
    struct err err = {0};
    struct buffer text = {0};
    bool has_password;
    (void)state;
    must(db_conninfo_check("postgresql://me:s3cret@db1/billing?sslmode=require", &has_password,
                           &err),
         &err);
    assert_true(has_password);
    must(db_conninfo_without_password("postgresql://me:s3cret@db1/it's?sslmode=require", &text,
                                      &err),
         &err);
    assert_true(text_equals(buffer_text(&text),
                            text_from("user='me' dbname='it\\'s' host='db1' sslmode='require'")));
    buffer_release(&text);
    must(db_conninfo_check("host=db1", &has_password, &err), &err);
    assert_false(has_password);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_were_sent),
        cmocka_unit_test(failure_names_its_reason_and_leaves_the_connection_whole),
        cmocka_unit_test(copy_takes_in_and_gives_out_the_same_rows),
        cmocka_unit_test(copy_of_no_rows_is_fine),
        cmocka_unit_test(copy_has_its_parameters_as_literals),
        cmocka_unit_test(signal_cancels_what_runs),
        cmocka_unit_test(lost_connection_is_told_and_stays_lost),
        cmocka_unit_test(connection_refused_is_told_without_the_password),
        cmocka_unit_test(conninfo_loses_its_password_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
