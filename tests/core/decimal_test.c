#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/decimal.h"
#include "schoolbook.h"

#define UNITS_PER_ONE ((int128)1000000000000000)
#define INT128_MAX ((int128)(((uint128)1 << 127) - 1))
#define INT128_MIN (-INT128_MAX - 1)

static struct decimal parsed(const char *text) {
    struct decimal value;
    assert_int_equal(decimal_parse(text_from(text), &value), DECIMAL_OK);
    return value;
}

static struct decimal largest(void) {
    return parsed("99999999999999999999999.999999999999999");
}

static void decimal_parse_takes_every_form_of_a_number(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *canonical;
    } rows[] = {
        {"0", "0"},
        {"-0", "0"},
        {"+0.000", "0"},
        {"7", "7"},
        {"+750000", "750000"},
        {"-750000.25", "-750000.25"},
        {".5", "0.5"},
        {"-.5", "-0.5"},
        {"5.", "5"},
        {"+5.", "5"},
        {"0.0001", "0.0001"},
        {"000000000000000000000000000000000000000000012.50", "12.5"},
        {"0.000000000000001", "0.000000000000001"},
        {"3.1415926535897930000000000000000", "3.141592653589793"},
        {"-0.000000000000001000", "-0.000000000000001"},
        {"9999999999999999999", "9999999999999999999"},
        {"18446744073709551615", "18446744073709551615"},
        {"18446744073709551616.5", "18446744073709551616.5"},
        {"12345678901234567890123.123456789012345", "12345678901234567890123.123456789012345"},
        {"99999999999999999999999.999999999999999", "99999999999999999999999.999999999999999"},
        {"-99999999999999999999999.9999999999999990", "-99999999999999999999999.999999999999999"},
        {"00099999999999999999999999", "99999999999999999999999"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        char text[DECIMAL_TEXT_MAX];
        size_t length = decimal_format(parsed(rows[row].text), text);
        assert_string_equal(text, rows[row].canonical);
        assert_int_equal(length, strlen(rows[row].canonical));
    }
}

static void decimal_parse_refuses_everything_else(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum decimal_fault fault;
    } rows[] = {
        {"", DECIMAL_NOT_A_NUMBER},
        {".", DECIMAL_NOT_A_NUMBER},
        {"-", DECIMAL_NOT_A_NUMBER},
        {"+", DECIMAL_NOT_A_NUMBER},
        {"-.", DECIMAL_NOT_A_NUMBER},
        {"--5", DECIMAL_NOT_A_NUMBER},
        {"+-5", DECIMAL_NOT_A_NUMBER},
        {"5-", DECIMAL_NOT_A_NUMBER},
        {"1e5", DECIMAL_NOT_A_NUMBER},
        {"1E+05", DECIMAL_NOT_A_NUMBER},
        {"1.5e3", DECIMAL_NOT_A_NUMBER},
        {"1,000", DECIMAL_NOT_A_NUMBER},
        {"1'000", DECIMAL_NOT_A_NUMBER},
        {"1_000", DECIMAL_NOT_A_NUMBER},
        {"1,5", DECIMAL_NOT_A_NUMBER},
        {"1.5.", DECIMAL_NOT_A_NUMBER},
        {"1..5", DECIMAL_NOT_A_NUMBER},
        {" 1", DECIMAL_NOT_A_NUMBER},
        {"1 ", DECIMAL_NOT_A_NUMBER},
        {"1\n", DECIMAL_NOT_A_NUMBER},
        {"NaN", DECIMAL_NOT_A_NUMBER},
        {"inf", DECIMAL_NOT_A_NUMBER},
        {"-Infinity", DECIMAL_NOT_A_NUMBER},
        {"0x10", DECIMAL_NOT_A_NUMBER},
        {"$5", DECIMAL_NOT_A_NUMBER},
        {"5%", DECIMAL_NOT_A_NUMBER},
        {"\xE2\x88\x92"
         "5",
         DECIMAL_NOT_A_NUMBER},             /* U+2212, the minus sign of word processors */
        {"\xD9\xA3", DECIMAL_NOT_A_NUMBER}, /* an Arabic digit */
        {"99999999999999999999999999999999x", DECIMAL_NOT_A_NUMBER},
        {"0.0000000000000000001x", DECIMAL_NOT_A_NUMBER},
        {"0.0000000000000001", DECIMAL_TOO_MANY_DECIMALS},
        {"-1.0000000000000005", DECIMAL_TOO_MANY_DECIMALS},
        {"0.00000000000000000000000000000000000001", DECIMAL_TOO_MANY_DECIMALS},
        {"100000000000000000000000", DECIMAL_OUT_OF_RANGE},
        {"-100000000000000000000000", DECIMAL_OUT_OF_RANGE},
        {"340282366920938463463374607431768211456", DECIMAL_OUT_OF_RANGE}, /* 2^128 */
        {"18446744073709551616000000000000000000000001", DECIMAL_OUT_OF_RANGE},
        {"100000000000000000000000.000000000000000", DECIMAL_OUT_OF_RANGE},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct decimal value = {.units = 4711};
        assert_int_equal(decimal_parse(text_from(rows[row].text), &value), rows[row].fault);
        assert_true(value.units == 4711);
        assert_true(strlen(decimal_fault_text(rows[row].fault)) > 0);
    }
    struct decimal value;
    assert_int_equal(decimal_parse((struct text){.bytes = NULL}, &value), DECIMAL_NOT_A_NUMBER);
    struct text with_nul = {.bytes = "12\0003", .size_bytes = 4};
    assert_int_equal(decimal_parse(with_nul, &value), DECIMAL_NOT_A_NUMBER);
    struct text ends_in_nul = {.bytes = "12", .size_bytes = 3};
    assert_int_equal(decimal_parse(ends_in_nul, &value), DECIMAL_NOT_A_NUMBER);
}

static void decimal_parse_reads_no_byte_behind_its_slice(void **state) {
    (void)state;
    struct decimal value;
    char *heap = malloc(4); /* the sanitizer watches its end */
    assert_non_null(heap);
    memcpy(heap, "-1.5", 4);
    for (size_t size_bytes = 1; size_bytes <= 4; size_bytes++) {
        struct text text = {.bytes = heap + 4 - size_bytes, .size_bytes = size_bytes};
        assert_int_equal(decimal_parse(text, &value), DECIMAL_OK);
    }
    assert_true(value.units == -UNITS_PER_ONE * 3 / 2);
    free(heap);
}

static void decimal_parse_takes_a_megabyte_of_zeros(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    char *zeros = malloc(SIZE);
    assert_non_null(zeros);
    memset(zeros, '0', SIZE);
    zeros[SIZE / 2] = '.';
    zeros[SIZE / 2 - 1] = '7';
    zeros[SIZE / 2 + 15] = '3';
    struct decimal value;
    struct text text = {.bytes = zeros, .size_bytes = SIZE};
    assert_int_equal(decimal_parse(text, &value), DECIMAL_OK);
    assert_true(value.units == 7 * UNITS_PER_ONE + 3);
    zeros[SIZE - 1] = '1';
    assert_int_equal(decimal_parse(text, &value), DECIMAL_TOO_MANY_DECIMALS);
    free(zeros);
}

static void decimal_format_agrees_with_schoolbook_digits(void **state) {
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct decimal value = {.units = random_int128()};
        char expected[DECIMAL_TEXT_MAX];
        char text[DECIMAL_TEXT_MAX];
        number_text(number_from_int128(value.units), DECIMAL_PLACES, expected);
        assert_int_equal(decimal_format(value, text), strlen(expected));
        assert_string_equal(text, expected);
        struct decimal again = {.units = 0};
        enum decimal_fault fault = decimal_parse(text_from(text), &again);
        if (decimal_in_range(value.units)) {
            assert_int_equal(fault, DECIMAL_OK);
            assert_true(again.units == value.units);
        } else {
            assert_int_equal(fault, DECIMAL_OUT_OF_RANGE);
        }
    }
}

/* Text, end and the room that the header promises; the sanitizer watches the memory's end. */
static void expect_written(struct decimal value) {
    char expected[DECIMAL_TEXT_MAX];
    char *room = malloc(DECIMAL_TEXT_MAX);
    assert_non_null(room);
    number_text(number_from_int128(value.units), DECIMAL_PLACES, expected);
    char *end = decimal_write(room, value);
    assert_int_equal(end - room, strlen(expected));
    assert_memory_equal(room, expected, strlen(expected));
    free(room);
}

static void decimal_write_agrees_with_schoolbook_digits_at_every_length(void **state) {
    (void)state;
    int128 power = 1;
    for (int digits = 0; digits < 38; digits++, power *= 10) {
        for (int nearby = -2; nearby <= 2; nearby++) {
            expect_written((struct decimal){power + nearby});
            expect_written((struct decimal){-power + nearby});
        }
        /* So many zeros at the end, of whole numbers and of fractions. */
        for (int round = 0; round < 50; round++) {
            struct decimal value = {random_decimal().units / power * power};
            expect_written(value);
            expect_written((struct decimal){value.units % (UNITS_PER_ONE * 10000)});
            expect_written((struct decimal){value.units % UNITS_PER_ONE});
        }
    }
    for (int bits = 0; bits < 125; bits++) {
        expect_written((struct decimal){((int128)1 << bits) - 1});
        expect_written((struct decimal){-((int128)1 << bits)});
        expect_written((struct decimal){((int128)1 << bits) * 3});
    }
    for (int whole = -10001; whole <= 10001; whole++) {
        expect_written((struct decimal){whole * UNITS_PER_ONE});
        expect_written((struct decimal){whole * (UNITS_PER_ONE / 100)});
    }
    expect_written((struct decimal){INT128_MIN});
    expect_written((struct decimal){INT128_MAX});
}

static void decimal_write_int64_writes_whole_numbers(void **state) {
    (void)state;
    char expected[DECIMAL_TEXT_MAX];
    char text[DECIMAL_TEXT_MAX];
    uint64_t bits = 0;
    for (int round = 0; round < 30000; round++) {
        int64_t value = round < 20000 ? round - 10000 : (int64_t)(bits >> (round % 64));
        value = round == 29998 ? INT64_MIN : round == 29999 ? INT64_MAX : value;
        bits = (uint64_t)random_int128();
        (void)snprintf(expected, sizeof expected, "%" PRId64, value);
        char *end = decimal_write_int64(text, value);
        assert_int_equal(end - text, strlen(expected));
        assert_memory_equal(text, expected, strlen(expected));
    }
}

static void decimal_format_shows_values_that_no_decimal_should_have(void **state) {
    (void)state;
    char text[DECIMAL_TEXT_MAX];
    assert_int_equal(decimal_format((struct decimal){.units = INT128_MIN}, text), 41);
    assert_string_equal(text, "-170141183460469231731687.303715884105728");
    (void)decimal_format((struct decimal){.units = INT128_MAX}, text);
    assert_string_equal(text, "170141183460469231731687.303715884105727");
}

static void decimal_format_fixed_keeps_the_zeros(void **state) {
    (void)state;
    static const struct {
        const char *value;
        int places;
        const char *text;
    } rows[] = {
        {"25", 2, "25.00"},
        {"-0.5", 2, "-0.50"},
        {"0", 0, "0"},
        {"0", 3, "0.000"},
        {"-1234", 0, "-1234"},
        {"1.01", 3, "1.010"},
        {"0.000000000000001", 15, "0.000000000000001"},
        {"-0.01", 2, "-0.01"},
        {"12345678.90", 2, "12345678.90"},
        {"10000", 2, "10000.00"},
        {"1.2345678", 8, "1.23456780"},
        {"1.23456789", 9, "1.234567890"},
        {"99999999999999999999999.99", 2, "99999999999999999999999.99"},
        {"20000000000000000000", 1, "20000000000000000000.0"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        char text[DECIMAL_TEXT_MAX];
        size_t length = decimal_format_fixed(parsed(rows[row].value), rows[row].places, text);
        assert_string_equal(text, rows[row].text);
        assert_int_equal(length, strlen(text));
    }
}

static void decimal_sums_stop_at_the_ends_of_the_range(void **state) {
    (void)state;
    struct decimal unit = {.units = 1};
    struct decimal lowest = {.units = -largest().units};
    struct decimal result = {.units = 4711};
    assert_false(decimal_add(largest(), unit, &result));
    assert_false(decimal_add(largest(), largest(), &result));
    assert_false(decimal_subtract(lowest, unit, &result));
    assert_false(decimal_subtract(largest(), lowest, &result));
    assert_false(decimal_add((struct decimal){INT128_MAX}, unit, &result));
    assert_false(decimal_subtract((struct decimal){INT128_MIN}, unit, &result));
    assert_true(result.units == 4711);
    assert_true(decimal_add(largest(), lowest, &result));
    assert_true(decimal_is_zero(result));
    assert_true(decimal_subtract(largest(), unit, &result));
    assert_true(decimal_add(result, unit, &result));
    assert_int_equal(decimal_compare(result, largest()), 0);
    assert_true(decimal_in_range(largest().units));
    assert_false(decimal_in_range(largest().units + 1));
    assert_false(decimal_in_range(lowest.units - 1));
}

static void decimal_sums_agree_with_schoolbook_sums(void **state) {
    (void)state;
    struct number limit = number_power_of_ten(38);
    for (int round = 0; round < 5000; round++) {
        struct decimal left = random_decimal();
        struct decimal right = random_decimal();
        bool is_sum = random_below(2) == 0;
        struct number other = number_from_int128(right.units);
        struct number expected =
            number_add(number_from_int128(left.units), is_sum ? other : number_negate(other));
        struct decimal result;
        bool fits =
            is_sum ? decimal_add(left, right, &result) : decimal_subtract(left, right, &result);
        assert_int_equal(fits, number_compare_magnitudes(&expected, &limit) < 0);
        if (fits) {
            assert_int_equal(number_compare(number_from_int128(result.units), expected), 0);
        }
    }
}

static void decimal_from_whole_numbers_is_exact_or_refused(void **state) {
    (void)state;
    struct decimal value;
    assert_true(decimal_from_int64(INT64_MIN, &value));
    assert_int_equal(decimal_compare(value, parsed("-9223372036854775808")), 0);
    assert_true(decimal_from_int64(INT64_MAX, &value));
    assert_int_equal(decimal_compare(value, parsed("9223372036854775807")), 0);
    int128 whole_max = (int128)99999999999 * 1000000000000 + 999999999999; /* 10^23 - 1 */
    assert_true(decimal_from_int128(whole_max, &value));
    assert_int_equal(decimal_compare(value, parsed("99999999999999999999999")), 0);
    assert_true(decimal_from_int128(-whole_max, &value));
    assert_true(decimal_is_negative(value));
    value.units = 4711;
    assert_false(decimal_from_int128(whole_max + 1, &value));
    assert_false(decimal_from_int128(-whole_max - 1, &value));
    assert_false(decimal_from_int128(INT128_MAX, &value));
    assert_false(decimal_from_int128(INT128_MIN, &value));
    assert_true(value.units == 4711);
}

static void decimal_order_is_that_of_numbers(void **state) {
    (void)state;
    struct decimal low = parsed("-3.5");
    struct decimal high = parsed("2.000000000000001");
    assert_true(decimal_compare(low, high) < 0);
    assert_true(decimal_compare(high, low) > 0);
    assert_true(decimal_min(low, high).units == low.units);
    assert_true(decimal_max(low, high).units == high.units);
}

static void decimal_divide_ceiling_counts_started_packages(void **state) {
    (void)state;
    assert_true(decimal_divide_ceiling(parsed("0"), parsed("100")) == 0);
    assert_true(decimal_divide_ceiling(parsed("0.000000000000001"), parsed("100")) == 1);
    assert_true(decimal_divide_ceiling(parsed("300"), parsed("100")) == 3);
    assert_true(decimal_divide_ceiling(parsed("300.000000000000001"), parsed("100")) == 4);
    assert_true(decimal_divide_ceiling(parsed("1"), parsed("0.3")) == 4);
    assert_true(decimal_divide_ceiling(largest(), (struct decimal){1}) == largest().units);
    for (int round = 0; round < 2000; round++) {
        struct decimal quantity = random_decimal();
        struct decimal size = random_decimal();
        if (quantity.units < 0 || size.units <= 0) {
            continue;
        }
        int128 count = decimal_divide_ceiling(quantity, size);
        struct number package = number_from_int128(size.units);
        struct number needed = number_from_int128(quantity.units);
        struct number held = number_multiply(number_from_int128(count), package);
        assert_true(number_compare(held, needed) >= 0);
        assert_true(number_compare(number_subtract(held, package), needed) < 0);
    }
}

static void int128_division_rounds_halves_away_from_zero(void **state) {
    (void)state;
    assert_true(int128_divide_half_away(5, 2) == 3);
    assert_true(int128_divide_half_away(-5, 2) == -3);
    assert_true(int128_divide_half_away(7, 2) == 4);
    assert_true(int128_divide_half_away(4, 3) == 1);
    assert_true(int128_divide_half_away(-4, 3) == -1);
    assert_true(int128_divide_half_away(5, 3) == 2);
    assert_true(int128_divide_half_away(0, 3) == 0);
    assert_true(int128_divide_half_away(1, 3) == 0);
    assert_true(int128_divide_half_away(INT128_MIN, 1) == INT128_MIN);
    assert_true(int128_divide_half_away(INT128_MAX, 1) == INT128_MAX);
    assert_true(int128_divide_half_away(INT128_MIN, INT128_MAX) == -1);
    assert_true(int128_divide_half_away(INT128_MAX / 2, INT128_MAX) == 0);
    assert_true(int128_divide_half_away(INT128_MAX / 2 + 1, INT128_MAX) == 1);
    for (int round = 0; round < 5000; round++) {
        int128 numerator = random_int128();
        int128 denominator = random_int128();
        if (denominator <= 0) {
            continue;
        }
        int128 quotient = int128_divide_half_away(numerator, denominator);
        assert_true(number_is_half_away(number_from_int128(quotient), number_from_int128(numerator),
                                        number_from_int128(denominator)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimal_parse_takes_every_form_of_a_number),
        cmocka_unit_test(decimal_parse_refuses_everything_else),
        cmocka_unit_test(decimal_parse_reads_no_byte_behind_its_slice),
        cmocka_unit_test(decimal_parse_takes_a_megabyte_of_zeros),
        cmocka_unit_test(decimal_format_agrees_with_schoolbook_digits),
        cmocka_unit_test(decimal_write_agrees_with_schoolbook_digits_at_every_length),
        cmocka_unit_test(decimal_write_int64_writes_whole_numbers),
        cmocka_unit_test(decimal_format_shows_values_that_no_decimal_should_have),
        cmocka_unit_test(decimal_format_fixed_keeps_the_zeros),
        cmocka_unit_test(decimal_sums_stop_at_the_ends_of_the_range),
        cmocka_unit_test(decimal_sums_agree_with_schoolbook_sums),
        cmocka_unit_test(decimal_from_whole_numbers_is_exact_or_refused),
        cmocka_unit_test(decimal_order_is_that_of_numbers),
        cmocka_unit_test(decimal_divide_ceiling_counts_started_packages),
        cmocka_unit_test(int128_division_rounds_halves_away_from_zero),
    };
    return cmocka_run_group_tests(tests, random_setup, NULL);
}
