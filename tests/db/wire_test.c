#include "db/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct decimal decimal_of(const char *text) {
    struct decimal value;
    assert_int_equal(decimal_parse(text_from(text), &value), DECIMAL_OK);
    return value;
}

static void numeric_and_decimal_are_each_other_exactly(void **state) {
    static const char *const texts[] = {
        "0",
        "3",
        "-3",
        "9999",
        "10000",
        "10001",
        "0.1",
        "0.0001",
        "0.00001",
        "0.000000000000001",
        "-0.000000000000001",
        "0.123456789012345",
        "120000",
        "500000.0000025",
        "99999999999999999999999.999999999999999",
        "-99999999999999999999999.999999999999999",
        "10000000000000000000000",
        "12345678901234567890123.000000000000007",
    };
    (void)state;
    for (size_t index = 0; index < sizeof texts / sizeof *texts; index++) {
        unsigned char bytes[DB_NUMERIC_BYTES_MAX];
        struct decimal value = decimal_of(texts[index]);
        struct decimal back;
        size_t size_bytes = wire_put_decimal(value, bytes);
        assert_in_range(size_bytes, 8, DB_NUMERIC_BYTES_MAX);
        assert_int_equal(wire_decimal(bytes, size_bytes, &back), DECIMAL_OK);
        assert_int_equal(decimal_compare(value, back), 0);
    }
}

/* What a server sends for 120000.0025: groups 12, 0, 25 at weight 1. */
static void numeric_is_written_as_the_server_writes_it(void **state) {
    static const unsigned char expected[] = {0, 3, 0, 1, 0, 0, 0, 4, 0, 12, 0, 0, 0, 25};
    unsigned char bytes[DB_NUMERIC_BYTES_MAX];
    (void)state;
    assert_int_equal(wire_put_decimal(decimal_of("120000.0025"), bytes), sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
}

struct numeric_case {
    enum decimal_fault fault;
    size_t size_bytes;
    unsigned char bytes[28];
};

static void numeric_that_is_no_decimal_is_refused(void **state) {
    static const struct numeric_case cases[] = {
        {DECIMAL_NOT_A_NUMBER, 8, {0, 0, 0, 0, 0xC0, 0, 0, 0}},           /* NaN */
        {DECIMAL_NOT_A_NUMBER, 8, {0, 0, 0, 0, 0xD0, 0, 0, 32}},          /* Infinity */
        {DECIMAL_NOT_A_NUMBER, 8, {0, 0, 0, 0, 0xF0, 0, 0, 32}},          /* -Infinity */
        {DECIMAL_NOT_A_NUMBER, 7, {0, 0, 0, 0, 0, 0, 0}},                 /* cut */
        {DECIMAL_NOT_A_NUMBER, 8, {0, 1, 0, 0, 0, 0, 0, 0}},              /* a group is missing */
        {DECIMAL_NOT_A_NUMBER, 10, {0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10}}, /* a group of 10000 */
        {DECIMAL_NOT_A_NUMBER, 10, {0, 1, 0xFF, 0xFC, 0, 0, 0, 16, 0x27, 0x10}},
        {DECIMAL_TOO_MANY_DECIMALS, 10, {0, 1, 0xFF, 0xFC, 0, 0, 0, 16, 0, 7}},  /* 7e-16 */
        {DECIMAL_TOO_MANY_DECIMALS, 10, {0, 1, 0xFF, 0xFB, 0, 0, 0, 20, 0, 10}}, /* 10e-20 */
        {DECIMAL_OUT_OF_RANGE, 10, {0, 1, 0, 6, 0, 0, 0, 0, 0, 1}},              /* 10^24 */
        {DECIMAL_OUT_OF_RANGE, 10, {0, 1, 0, 5, 0, 0, 0, 0, 0x03, 0xE8}},        /* 10^23 */
        {DECIMAL_OUT_OF_RANGE, 10, {0, 1, 0x7F, 0xFF, 0, 0, 0, 0, 0, 1}},
        {DECIMAL_OK, 10, {0, 1, 0, 5, 0, 0, 0, 0, 0x03, 0xE7}},   /* 999 * 10^20 */
        {DECIMAL_OK, 12, {0, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0}},   /* a zero behind */
        {DECIMAL_OK, 12, {0, 2, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7}},   /* a zero before */
        {DECIMAL_OK, 10, {0, 1, 0xFF, 0xFC, 0, 0, 0, 15, 0, 70}}, /* 7e-15 */
    };
    (void)state;
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        struct decimal value;
        assert_int_equal(wire_decimal(cases[index].bytes, cases[index].size_bytes, &value),
                         cases[index].fault);
    }
}

static void instant_counts_from_2000_on_the_wire(void **state) {
    struct instant instant;
    struct instant back;
    unsigned char bytes[8];
    (void)state;
    assert_null(instant_parse(text_from("2000-01-01T00:00:00.000007Z"), &instant));
    wire_put_instant(instant, bytes);
    assert_int_equal(wire_uint64(bytes), 7);
    assert_null(wire_instant(bytes, &back));
    assert_int_equal(back.us, instant.us);
    wire_put_uint64((uint64_t)INT64_MAX, bytes);
    assert_string_equal(wire_instant(bytes, &back), "is infinite");
    wire_put_uint64((uint64_t)INT64_MIN, bytes);
    assert_string_equal(wire_instant(bytes, &back), "is infinite");
    assert_null(instant_parse(text_from("9999-12-31T23:59:59.999999Z"), &instant));
    wire_put_instant(instant, bytes);
    assert_null(wire_instant(bytes, &back));
    wire_put_uint64(wire_uint64(bytes) + 1, bytes);
    assert_non_null(wire_instant(bytes, &back));
    assert_null(instant_parse(text_from("0001-01-01T00:00:00Z"), &instant));
    wire_put_instant(instant, bytes);
    assert_null(wire_instant(bytes, &back));
    wire_put_uint64(wire_uint64(bytes) - 1, bytes);
    assert_non_null(wire_instant(bytes, &back));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_and_decimal_are_each_other_exactly),
        cmocka_unit_test(numeric_is_written_as_the_server_writes_it),
        cmocka_unit_test(numeric_that_is_no_decimal_is_refused),
        cmocka_unit_test(instant_counts_from_2000_on_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
