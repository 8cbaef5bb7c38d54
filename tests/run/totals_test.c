#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "run/totals.h"

static struct decimal parse(const char *text) {
    struct decimal value;
    assert_int_equal(decimal_parse(text_from(text), &value), DECIMAL_OK);
    return value;
}

static struct totals *create(void) {
    struct err err = {0};
    struct totals *totals = totals_create(&err);
    assert_non_null(totals);
    return totals;
}

static void add(struct totals *totals, const char *name, const char *unit, const char *left,
                const char *right) {
    struct err err = {0};
    assert_true(totals_add_left(totals, name, text_from(unit), parse(left), &err));
    assert_true(totals_add_right(totals, name, text_from(unit), parse(right), &err));
}

static void rows_are_sorted_by_name_and_unit_and_summed(void **state) {
    (void)state;
    struct totals *totals = create();
    add(totals, "units", "tokens", "2.5", "1.25");
    add(totals, "events", "events", "3", "3");
    add(totals, "units", "runs", "7", "7");
    add(totals, "units", "tokens", "0.5", "1.75");
    size_t rows_count;
    const struct totals_row *rows = totals_rows(totals, &rows_count);
    assert_int_equal(rows_count, 3);
    assert_string_equal(rows[0].name, "events");
    assert_string_equal(rows[1].unit, "runs");
    assert_string_equal(rows[2].unit, "tokens");
    assert_int_equal(decimal_compare(rows[2].left, parse("3")), 0);
    assert_int_equal(decimal_compare(rows[2].right, parse("3")), 0);
    struct err err = {0};
    assert_true(totals_check(totals, "rate", &err));
    totals_destroy(totals);
}

static void the_name_and_the_unit_are_copied(void **state) {
    (void)state;
    struct totals *totals = create();
    char name[] = "events";
    char unit[] = "tokens and more";
    struct err err = {0};
    assert_true(totals_add_left(totals, name, (struct text){unit, 6}, parse("5"), &err));
    memset(name, 'x', sizeof name - 1);
    memset(unit, 'x', sizeof unit - 1);
    size_t rows_count;
    const struct totals_row *rows = totals_rows(totals, &rows_count);
    assert_string_equal(rows[0].name, "events");
    assert_string_equal(rows[0].unit, "tokens");
    totals_destroy(totals);
}

static void a_row_that_does_not_agree_shows_both_sides(void **state) {
    (void)state;
    struct totals *totals = create();
    add(totals, "cost = billed", "usd", "25.01", "24.999");
    struct err err = {0};
    assert_false(totals_check(totals, "rate", &err));
    assert_int_equal(err.code, ERR_CONTROL);
    assert_string_equal(err.message,
                        "stage 'rate': control total 'cost = billed' of 'usd' does not agree: "
                        "25.01 on the left, 24.999 on the right, difference 0.011");
    totals_destroy(totals);
}

static void sums_of_shards_are_merged(void **state) {
    (void)state;
    struct totals *all = create();
    struct totals *shard = create();
    add(all, "events", "events", "3", "1");
    add(shard, "events", "events", "4", "6");
    add(shard, "cost", "jpy", "11", "11");
    struct err err = {0};
    assert_true(totals_merge(all, shard, &err));
    totals_destroy(shard);
    size_t rows_count;
    const struct totals_row *rows = totals_rows(all, &rows_count);
    assert_int_equal(rows_count, 2);
    assert_int_equal(decimal_compare(rows[1].left, parse("7")), 0);
    assert_true(totals_check(all, "rate", &err));
    totals_destroy(all);
}

static void a_sum_that_does_not_fit_is_an_error_and_changes_nothing(void **state) {
    (void)state;
    static const char *const greatest = "99999999999999999999999.999999999999999";
    struct totals *totals = create();
    add(totals, "cost", "usd", greatest, greatest);
    struct err err = {0};
    assert_false(totals_add_left(totals, "cost", text_from("usd"), parse("0.5"), &err));
    assert_int_equal(err.code, ERR_RANGE);
    err_release(&err);
    assert_true(totals_check(totals, "rate", &err));
    totals_destroy(totals);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sorted_by_name_and_unit_and_summed),
        cmocka_unit_test(the_name_and_the_unit_are_copied),
        cmocka_unit_test(a_row_that_does_not_agree_shows_both_sides),
        cmocka_unit_test(sums_of_shards_are_merged),
        cmocka_unit_test(a_sum_that_does_not_fit_is_an_error_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
