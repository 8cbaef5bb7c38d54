#include "support/test_folder.h"

#include "source/csv.h"

static const struct text NOTHING = {0};

static void no_problems_are_no_error(void **state) {
    (void)state;
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    assert_true(problems_check(problems, &err));
    assert_int_equal(problems_count(problems), 0);
    assert_null(problems_note_text(problems, 0));
    problems_destroy(problems);
    problems_destroy(NULL);
}

static void problems_are_told_in_order_with_file_line_column_value_and_reason(void **state) {
    (void)state;
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    assert_true(problems_add(problems, "usage.csv", 17, "quantity", text_from("12x"), &err,
                             "is not a %s number", "decimal"));
    assert_true(problems_add(problems, "usage.csv", 9, NULL, NOTHING, &err,
                             "row has 7 fields, the header has 8"));
    assert_true(problems_add(problems, "prices.csv", 117, "metric", NOTHING, &err, "is empty"));
    assert_true(problems_add(problems, "prices.csv", 117, "model", text_from("x"), &err, "is bad"));
    assert_false(problems_check(problems, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_string_equal(err.message, "3 bad rows: usage.csv 2, prices.csv 1");
    assert_string_equal(err.details, "prices.csv:117: metric: is empty\n"
                                     "prices.csv:117: model 'x': is bad\n"
                                     "usage.csv:9: row has 7 fields, the header has 8\n"
                                     "usage.csv:17: quantity '12x': is not a decimal number\n");
    err_release(&err);
    problems_destroy(problems);
}

static void a_problem_of_a_whole_file_is_no_bad_row(void **state) {
    (void)state;
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    assert_true(problems_add(problems, "plans.csv", 0, NULL, NOTHING, &err, "the file is missing"));
    assert_false(problems_check(problems, &err));
    assert_string_equal(err.message, "1 problem: plans.csv 1");
    assert_string_equal(err.details, "plans.csv: the file is missing\n");
    err_release(&err);
    problems_destroy(problems);
}

static void the_first_hundred_are_kept_whatever_the_order_of_adding(void **state) {
    (void)state;
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    for (uint64_t index = 0; index < 1009; index++) {
        uint64_t line = index * 577 % 1009 + 2; /* every line from 2 to 1010 once */
        assert_true(problems_add(problems, "seats.csv", line, "role", NOTHING, &err, "is odd"));
    }
    assert_int_equal(problems_count(problems), 1009);
    assert_false(problems_check(problems, &err));
    assert_string_equal(err.message, "1009 bad rows: seats.csv 1009");
    struct buffer expected = {0};
    struct err ignored = {0};
    for (int line = 2; line < 102; line++) {
        assert_true(
            buffer_append_format(&expected, &ignored, "seats.csv:%d: role: is odd\n", line));
    }
    assert_true(buffer_append_format(&expected, &ignored, "and 909 more\n"));
    assert_int_equal(strlen(err.details), expected.size_bytes);
    assert_memory_equal(err.details, expected.bytes, expected.size_bytes);
    buffer_release(&expected);
    err_release(&err);
    problems_destroy(problems);
}

static void merging_moves_problems_and_notes_and_shifts_lines(void **state) {
    (void)state;
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    struct problems *part = problems_create(&err);
    assert_true(problems_add(problems, "usage.csv", 40, "kind", NOTHING, &err, "is odd"));
    assert_true(problems_add(part, "usage.csv", 3, "kind", NOTHING, &err, "is late"));
    assert_true(problems_add(part, "usage.csv", 0, NULL, NOTHING, &err, "all of it"));
    assert_true(problems_note(part, &err, "%s: ignored", "colour"));
    assert_true(problems_merge(problems, part, 25, &err));
    assert_int_equal(problems_count(part), 0);
    assert_null(problems_note_text(part, 0));
    problems_destroy(part);
    assert_string_equal(problems_note_text(problems, 0), "colour: ignored");
    assert_false(problems_check(problems, &err));
    assert_string_equal(err.message, "3 problems: usage.csv 3");
    assert_string_equal(err.details, "usage.csv: all of it\n"
                                     "usage.csv:28: kind: is late\n"
                                     "usage.csv:40: kind: is odd\n");
    err_release(&err);
    problems_destroy(problems);
}

static void a_row_with_problems_before_and_after_merging_is_one_bad_row(void **state) {
    (void)state;
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    struct problems *part = problems_create(&err);
    assert_true(problems_add(problems, "orgs.csv", 3, "cap", NOTHING, &err, "is odd"));
    assert_true(problems_add(part, "orgs.csv", 3, "zone", NOTHING, &err, "is unknown"));
    assert_true(problems_add(part, "plans.csv", 0, NULL, NOTHING, &err, "is missing"));
    assert_true(problems_merge(problems, part, 25, &err));
    problems_destroy(part);
    assert_true(problems_add(problems, "orgs.csv", 28, "org_id", NOTHING, &err, "is repeated"));
    assert_true(problems_add(problems, "plans.csv", 0, NULL, NOTHING, &err, "is needed"));
    assert_true(problems_add(problems, "plans.csv", 25, NULL, NOTHING, &err, "is odd"));
    assert_false(problems_check(problems, &err));
    assert_string_equal(err.message, "4 problems: orgs.csv 2, plans.csv 2");
    err_release(&err);
    problems_destroy(problems);
}

static void a_note_told_again_stands_once(void **state) {
    (void)state;
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    struct problems *part = problems_create(&err);
    assert_true(problems_note(problems, &err, "usage.csv: ignored: '%s'", "colour"));
    assert_true(problems_note(problems, &err, "usage.csv: ignored: '%s'", "colour"));
    assert_true(problems_note(part, &err, "usage.csv: ignored: 'colour'"));
    assert_true(problems_note(part, &err, "seats.csv: ignored: 'colour'"));
    assert_true(problems_merge(problems, part, 0, &err));
    problems_destroy(part);
    assert_string_equal(problems_note_text(problems, 0), "usage.csv: ignored: 'colour'");
    assert_string_equal(problems_note_text(problems, 1), "seats.csv: ignored: 'colour'");
    assert_null(problems_note_text(problems, 2));
    problems_destroy(problems);
}

static void values_are_cut_and_control_bytes_escaped(void **state) {
    (void)state;
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    const char bytes[] = "a\n\x1b[2J\0\xff\xc2\x9bz\\\xc3\xa9";
    struct text value = {bytes, sizeof bytes - 1};
    assert_true(problems_add(problems, "orgs.csv", 2, "name", value, &err, "is odd"));
    char long_value[200];
    memset(long_value, 'y', sizeof long_value);
    value = (struct text){long_value, sizeof long_value};
    assert_true(problems_add(problems, "orgs.csv", 3, "name", value, &err, "is long"));
    assert_false(problems_check(problems, &err));
    char expected[400];
    (void)snprintf(expected, sizeof expected,
                   "orgs.csv:2: name 'a\\n\\x1b[2J\\x00\\xff\\xc2\\x9bz\\\\\xc3\xa9': is odd\n"
                   "orgs.csv:3: name '%.120s...': is long\n",
                   long_value);
    assert_string_equal(err.details, expected);
    err_release(&err);
    problems_destroy(problems);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_problems_are_no_error),
        cmocka_unit_test(problems_are_told_in_order_with_file_line_column_value_and_reason),
        cmocka_unit_test(a_problem_of_a_whole_file_is_no_bad_row),
        cmocka_unit_test(the_first_hundred_are_kept_whatever_the_order_of_adding),
        cmocka_unit_test(merging_moves_problems_and_notes_and_shifts_lines),
        cmocka_unit_test(a_row_with_problems_before_and_after_merging_is_one_bad_row),
        cmocka_unit_test(a_note_told_again_stands_once),
        cmocka_unit_test(values_are_cut_and_control_bytes_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
