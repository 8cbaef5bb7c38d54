#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/cli/answer.h"
#include "sys/sys.h"

static struct buffer printed;

static ssize_t keep(void *self, int fd, const void *bytes, size_t size_bytes) {
    struct err err = {0};
    (void)self;
    assert_int_equal(fd, STDOUT_FILENO);
    assert_true(buffer_append(&printed, (struct text){bytes, size_bytes}, &err));
    return (ssize_t)size_bytes;
}

/* What is printed for data; the answer must be good. */
static const char *print(json_t *data) {
    struct err err = {0};
    struct sys sys = *sys_real();
    struct cli cli = {.sys = &sys};
    sys.write = keep;
    buffer_clear(&printed);
    console_init(&cli.console, &sys);
    assert_true(answer_print(&cli, data, &err));
    console_flush(&cli.console);
    console_release(&cli.console);
    assert_true(buffer_append(&printed, (struct text){"", 1}, &err));
    return printed.bytes;
}

static struct decimal decimal(const char *text) {
    struct decimal value;
    assert_int_equal(decimal_parse(text_from(text), &value), DECIMAL_OK);
    return value;
}

static void an_answer_is_one_line(void **state) {
    (void)state;
    assert_string_equal(print(json_pack("{s:s, s:i}", "org_id", "acme\n", "seats", 7)),
                        "{\"success\":true,\"data\":{\"org_id\":\"acme\\n\",\"seats\":7}}\n");
}

static void who_has_nothing_is_answered_null(void **state) {
    (void)state;
    assert_string_equal(print(json_null()), "{\"success\":true,\"data\":null}\n");
}

static void an_answer_that_could_not_be_built_is_want_of_memory(void **state) {
    (void)state;
    struct err err = {0};
    struct cli cli = {.sys = sys_real()};
    assert_false(answer_print(&cli, NULL, &err));
    assert_int_equal(err.code, ERR_MEMORY);
    assert_int_equal(cli.console.out.size_bytes, 0);
    err_release(&err);
}

static void a_metric_has_decimals_as_strings_and_its_cost_in_minor_units(void **state) {
    (void)state;
    const struct decimal price = decimal("0.0001");
    assert_string_equal(print(answer_metric(decimal("250000.5"), &price, 2500)),
                        "{\"success\":true,\"data\":{\"amount\":\"250000.5\",\"unitPrice\":"
                        "\"0.0001\",\"cost\":2500}}\n");
}

/* Digits that a double would lose. */
static void a_metric_keeps_every_digit(void **state) {
    (void)state;
    const struct decimal price = decimal("0.000000000000001");
    assert_string_equal(
        print(answer_metric(decimal("99999999999999999999999.999999999999999"), &price,
                            INT64_C(9007199254740993))),
        "{\"success\":true,\"data\":{\"amount\":\"99999999999999999999999.999999999999999\","
        "\"unitPrice\":\"0.000000000000001\",\"cost\":9007199254740993}}\n");
}

static void a_metric_with_tiers_has_no_unit_price(void **state) {
    (void)state;
    assert_string_equal(
        print(answer_metric(decimal("3"), NULL, -40)),
        "{\"success\":true,\"data\":{\"amount\":\"3\",\"unitPrice\":null,\"cost\":-40}}\n");
}

/* A name is not terminated, and need not be plain. */
static void a_value_is_put_under_the_bytes_of_its_name(void **state) {
    (void)state;
    struct err err = {0};
    json_t *object = json_object();
    assert_true(answer_put(object, (struct text){"tokens_out", 6}, json_integer(5), &err));
    assert_true(answer_put(object, text_from("Größe \"x\""), json_string("y"), &err));
    assert_true(answer_put(object, text_from("tokens"), json_integer(6), &err));
    assert_string_equal(print(object),
                        "{\"success\":true,\"data\":{\"tokens\":6,\"Größe \\\"x\\\"\":\"y\"}}\n");
}

static void a_value_that_is_not_there_is_want_of_memory(void **state) {
    (void)state;
    struct err err = {0};
    json_t *object = json_object();
    assert_false(answer_put(object, text_from("tokens"), NULL, &err));
    assert_int_equal(err.code, ERR_MEMORY);
    assert_int_equal(json_object_size(object), 0);
    json_decref(object);
    err_release(&err);
}

static int teardown(void **state) {
    (void)state;
    buffer_release(&printed);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_one_line),
        cmocka_unit_test(who_has_nothing_is_answered_null),
        cmocka_unit_test(an_answer_that_could_not_be_built_is_want_of_memory),
        cmocka_unit_test(a_metric_has_decimals_as_strings_and_its_cost_in_minor_units),
        cmocka_unit_test(a_metric_keeps_every_digit),
        cmocka_unit_test(a_metric_with_tiers_has_no_unit_price),
        cmocka_unit_test(a_value_is_put_under_the_bytes_of_its_name),
        cmocka_unit_test(a_value_that_is_not_there_is_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
