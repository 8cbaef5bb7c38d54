#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/decimal.h"
#include "schoolbook.h"

static struct decimal parsed(const char *text) {
    struct decimal value;
    assert_int_equal(decimal_parse(text_from(text), &value), DECIMAL_OK);
    return value;
}

static struct decimal largest(void) {
    return parsed("99999999999999999999999.999999999999999");
}

/* text * 10^-15: exact values finer than a decimal, out of two of them. */
static struct exact exact_of(const char *decimal, const char *units) {
    struct exact value = EXACT_ZERO;
    assert_true(exact_add_decimal(&value, parsed(decimal)));
    assert_true(exact_add_product(&value, parsed(units), parsed("0.000000000000001")));
    return value;
}

static struct exact random_exact(void) {
    struct exact value;
    uint64_t fill = random_below(2) == 0 ? 0 : UINT64_MAX;
    uint64_t kept = 1 + random_below(4);
    for (uint64_t limb = 0; limb < 4; limb++) {
        value.limbs[limb] = limb < kept ? random_limb() : fill;
    }
    return value;
}

/* -2^255 <= value < 2^255 */
static bool fits_exact(struct number value) {
    struct number limit = number_power_of_two(255);
    return number_compare(value, limit) < 0 && number_compare(value, number_negate(limit)) >= 0;
}

static void assert_exact_is(struct exact value, struct number expected) {
    assert_int_equal(number_compare(number_from_exact(value), expected), 0);
}

static void exact_sums_of_products_agree_with_schoolbook_sums(void **state) {
    (void)state;
    for (int round = 0; round < 4000; round++) {
        struct exact sum = random_exact();
        struct number before = number_from_exact(sum);
        struct decimal left = random_decimal();
        struct decimal right = random_decimal();
        struct number product =
            number_multiply(number_from_int128(left.units), number_from_int128(right.units));
        struct number expected = number_add(before, product);
        bool fits = exact_add_product(&sum, left, right);
        assert_int_equal(fits, fits_exact(expected));
        assert_exact_is(sum, fits ? expected : before);
    }
}

static void exact_sums_of_counted_prices_agree_with_schoolbook_sums(void **state) {
    (void)state;
    struct number one = number_power_of_ten(DECIMAL_PLACES);
    for (int round = 0; round < 4000; round++) {
        struct exact sum = random_exact();
        struct number before = number_from_exact(sum);
        int128 count = random_int128();
        struct decimal price = random_decimal();
        struct number product =
            number_multiply(number_from_int128(count), number_from_int128(price.units));
        product = number_multiply(product, one);
        struct number expected = number_add(before, product);
        bool fits = exact_add_count_product(&sum, count, price);
        assert_int_equal(fits, fits_exact(product) && fits_exact(expected));
        assert_exact_is(sum, fits ? expected : before);
    }
}

static void exact_sums_of_sums_agree_with_schoolbook_sums(void **state) {
    (void)state;
    for (int round = 0; round < 4000; round++) {
        struct exact sum = random_exact();
        struct exact addend = random_exact();
        struct number before = number_from_exact(sum);
        struct number expected = number_add(before, number_from_exact(addend));
        int order = exact_compare(sum, addend);
        assert_int_equal(order, number_compare(before, number_from_exact(addend)));
        bool fits = exact_add(&sum, addend);
        assert_int_equal(fits, fits_exact(expected));
        assert_exact_is(sum, fits ? expected : before);
        assert_int_equal(exact_is_zero(sum), number_from_exact(sum).count == 0);
    }
}

static void exact_sum_of_the_largest_products_overflows_at_the_sixth(void **state) {
    (void)state;
    /* (10^38 - 1)^2 is a little below 10^76, and 2^255 is 5.79 * 10^76. */
    struct decimal lowest = {.units = -largest().units};
    struct exact up = EXACT_ZERO;
    struct exact down = EXACT_ZERO;
    for (int count = 0; count < 5; count++) {
        assert_true(exact_add_product(&up, largest(), largest()));
        assert_true(exact_add_product(&down, largest(), lowest));
    }
    struct exact up_before = up;
    struct exact down_before = down;
    assert_false(exact_add_product(&up, lowest, lowest));
    assert_false(exact_add_product(&down, lowest, largest()));
    assert_int_equal(exact_compare(up, up_before), 0);
    assert_int_equal(exact_compare(down, down_before), 0);
    assert_true(exact_add(&up, down));
    assert_true(exact_is_zero(up));
}

static void exact_counted_prices_that_outgrow_the_sum_are_refused(void **state) {
    (void)state;
    struct exact sum = exact_of("17", "3");
    struct exact before = sum;
    assert_false(exact_add_count_product(&sum, largest().units, largest()));
    assert_false(exact_add_count_product(&sum, -largest().units, largest()));
    assert_int_equal(exact_compare(sum, before), 0);
    assert_true(exact_add_count_product(&sum, -17, DECIMAL_ONE));
    assert_int_equal(exact_compare(sum, exact_of("0", "3")), 0);
}

static void exact_rounding_takes_halves_away_from_zero(void **state) {
    (void)state;
    static const struct {
        const char *value;
        const char *units; /* plus this many 10^-15, itself a decimal */
        const char *increment;
        const char *rounded;
    } rows[] = {
        {"0.005", "0", "0.01", "0.01"},
        {"-0.005", "0", "0.01", "-0.01"},
        {"0.005", "-0.000000000000001", "0.01", "0"}, /* 10^-30 below the half */
        {"-0.005", "0.000000000000001", "0.01", "0"},
        {"0.004999999999999", "0.999999999999999", "0.01", "0"},
        {"0.015", "0", "0.01", "0.02"},
        {"0.025", "0", "0.01", "0.03"}, /* half-even would give 0.02 */
        {"-0.025", "0", "0.01", "-0.03"},
        {"2.5", "0", "1", "3"},
        {"-2.5", "0", "1", "-3"},
        {"-2.4", "0", "1", "-2"},
        {"0.5", "0", "1", "1"},
        {"1.005", "0", "0.010", "1.01"},
        {"1.0049", "0", "0.010", "1"},
        {"1.0005", "0", "0.001", "1.001"},
        {"12.5", "0", "25", "25"},
        {"12.4", "0", "25", "0"},
        {"37.4", "0", "25", "25"},
        {"0.075", "0", "0.05", "0.1"},
        {"0.0749", "0", "0.05", "0.05"},
        {"0", "0.5", "0.000000000000001", "0.000000000000001"},
        {"0", "0.499999999999999", "0.000000000000001", "0"},
        {"700000000.125", "0", "0.01", "700000000.13"}, /* more than 128 bits */
        {"-700000000.125", "0", "0.01", "-700000000.13"},
        {"700000000.125", "-0.000000000000001", "0.01", "700000000.12"},
        {"340282366.92", "0", "0.01", "340282366.92"}, /* either side of 2^128 units */
        {"340282366.925", "0", "0.01", "340282366.93"},
        {"99999999999999999999999.99", "0.499", "0.01", "99999999999999999999999.99"},
        {"0.1", "0", "99999999999999999999999", "0"},
        {"50000000000000000000000", "0", "99999999999999999999999", "99999999999999999999999"},
        {"49999999999999999999999", "0", "99999999999999999999999", "0"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct decimal result;
        struct exact value = exact_of(rows[row].value, rows[row].units);
        assert_true(exact_round_half_away(value, parsed(rows[row].increment), &result));
        char text[DECIMAL_TEXT_MAX];
        (void)decimal_format(result, text);
        assert_string_equal(text, rows[row].rounded);
    }
}

/* Rounding cases of the suites of Lago, OpenMeter and Flexprice, those that round to nearest. */
static void exact_rounding_agrees_with_other_billing_engines(void **state) {
    (void)state;
    static const struct {
        const char *id;
        const char *value;
        const char *increment;
        const char *rounded;
    } rows[] = {
        {"LG131", "123.456", "0.01", "123.46"}, {"LG132", "123.456", "1", "123"},
        {"OM079", "1.9556789", "1", "2"},       {"FX061", "99.996", "0.01", "100"},
        {"FX067", "0.0001", "0.01", "0"},       {"FX091", "1000.5", "1", "1001"},
        {"FX097", "0.014", "0.01", "0.01"},     {"FX100", "10.225", "0.01", "10.23"},
        {"FX101", "10.325", "0.01", "10.33"},   {"FX105", "-100.4", "1", "-100"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct decimal result;
        struct exact value = exact_of(rows[row].value, "0");
        assert_true(exact_round_half_away(value, parsed(rows[row].increment), &result));
        if (decimal_compare(result, parsed(rows[row].rounded)) != 0) {
            fail_msg("%s rounds differently", rows[row].id);
        }
    }
}

static void exact_rounding_is_nearest_for_any_value_and_increment(void **state) {
    (void)state;
    struct number one = number_power_of_ten(DECIMAL_PLACES);
    struct number limit = number_power_of_ten(38);
    for (int round = 0; round < 6000; round++) {
        struct exact value = random_exact();
        struct decimal increment = random_decimal();
        if (round % 3 == 0) {
            increment.units = (int128)10000000000000;
        }
        if (increment.units <= 0) {
            continue;
        }
        struct number dividend = number_from_exact(value);
        struct number divisor = number_multiply(number_from_int128(increment.units), one);
        struct decimal result = {.units = 4711};
        if (exact_round_half_away(value, increment, &result)) {
            assert_true(result.units % increment.units == 0);
            assert_true(decimal_in_range(result.units));
            assert_true(number_is_half_away(number_from_int128(result.units / increment.units),
                                            dividend, divisor));
        } else {
            /* Refused rightly: even a half increment less would be out of range. */
            struct number scaled =
                number_multiply(limit, number_multiply(one, number_from_int128(2)));
            struct number nearest =
                number_add(number_scale(number_absolute(dividend), 2, 0), divisor);
            assert_true(number_compare(nearest, scaled) >= 0);
            assert_true(result.units == 4711);
        }
    }
}

static void exact_rounding_to_15_decimals_is_nearest(void **state) {
    (void)state;
    struct number one = number_power_of_ten(DECIMAL_PLACES);
    for (int round = 0; round < 4000; round++) {
        struct exact value = EXACT_ZERO;
        assert_true(exact_add_product(&value, random_decimal(), random_decimal()));
        struct decimal result;
        if (exact_round_to_decimal(value, &result)) {
            assert_true(number_is_half_away(number_from_int128(result.units),
                                            number_from_exact(value), one));
        } else {
            struct number magnitude = number_absolute(number_from_exact(value));
            struct number limit = number_subtract(number_power_of_ten(38 + DECIMAL_PLACES), one);
            assert_true(number_compare(magnitude, limit) > 0);
        }
    }
}

static void exact_rounding_that_leaves_the_range_is_refused(void **state) {
    (void)state;
    struct decimal result = {.units = 4711};
    struct exact value = exact_of("99999999999999999999999.995", "0");
    assert_false(exact_round_half_away(value, parsed("0.01"), &result));
    value = exact_of("-99999999999999999999999.5", "0");
    assert_false(exact_round_half_away(value, DECIMAL_ONE, &result));
    value = exact_of("99999999999999999999999.999999999999999", "0.5");
    assert_false(exact_round_to_decimal(value, &result));
    struct exact lowest = {{0, 0, 0, UINT64_C(1) << 63}};
    assert_false(exact_round_to_decimal(lowest, &result));
    assert_false(exact_round_half_away(lowest, largest(), &result));
    assert_true(result.units == 4711);
    value = exact_of("99999999999999999999999.999999999999999", "0.499999999999999");
    assert_true(exact_round_to_decimal(value, &result));
    assert_int_equal(decimal_compare(result, largest()), 0);
}

static void exact_format_agrees_with_schoolbook_digits(void **state) {
    (void)state;
    char text[EXACT_TEXT_MAX];
    char expected[EXACT_TEXT_MAX];
    for (int round = 0; round < 4000; round++) {
        struct exact value = random_exact();
        number_text(number_from_exact(value), EXACT_PLACES, expected);
        assert_int_equal(exact_format(value, text), strlen(expected));
        assert_string_equal(text, expected);
    }
    assert_int_equal(exact_format(EXACT_ZERO, text), 1);
    assert_string_equal(text, "0");
    (void)exact_format(exact_of("-25", "0"), text);
    assert_string_equal(text, "-25");
    (void)exact_format(exact_of("0", "0.000000000000001"), text);
    assert_string_equal(text, "0.000000000000000000000000000001");
    (void)exact_format((struct exact){{0, 0, 0, UINT64_C(1) << 63}}, text);
    assert_string_equal(
        text, "-57896044618658097711785492504343953926634992332.820282019728792003956564819968");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_sums_of_products_agree_with_schoolbook_sums),
        cmocka_unit_test(exact_sums_of_counted_prices_agree_with_schoolbook_sums),
        cmocka_unit_test(exact_sums_of_sums_agree_with_schoolbook_sums),
        cmocka_unit_test(exact_sum_of_the_largest_products_overflows_at_the_sixth),
        cmocka_unit_test(exact_counted_prices_that_outgrow_the_sum_are_refused),
        cmocka_unit_test(exact_rounding_takes_halves_away_from_zero),
        cmocka_unit_test(exact_rounding_agrees_with_other_billing_engines),
        cmocka_unit_test(exact_rounding_is_nearest_for_any_value_and_increment),
        cmocka_unit_test(exact_rounding_to_15_decimals_is_nearest),
        cmocka_unit_test(exact_rounding_that_leaves_the_range_is_refused),
        cmocka_unit_test(exact_format_agrees_with_schoolbook_digits),
    };
    return cmocka_run_group_tests(tests, random_setup, NULL);
}
