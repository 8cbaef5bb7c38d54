#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/wide.h"
#include "schoolbook.h"

#define INT128_MAX ((int128)(((uint128)1 << 127) - 1))
#define INT128_MIN (-INT128_MAX - 1)

static struct number number_from_wide(const struct wide *value) {
    return number_from_limbs(value->limbs, value->limbs_count, value->is_negative);
}

static void assert_wide_is(const struct wide *value, struct number expected) {
    assert_int_equal(number_compare(number_from_wide(value), expected), 0);
    assert_true(value->limbs_count <= WIDE_LIMBS_MAX);
    assert_true(value->limbs_count == 0 || value->limbs[value->limbs_count - 1] != 0);
    assert_false(value->limbs_count == 0 && value->is_negative);
}

static struct wide random_wide(unsigned limbs_max) {
    struct wide value = {.is_negative = random_below(2) == 0};
    value.limbs_count = (unsigned)random_below(limbs_max + 1);
    for (unsigned index = 0; index < value.limbs_count; index++) {
        value.limbs[index] = random_limb();
    }
    while (value.limbs_count > 0 && value.limbs[value.limbs_count - 1] == 0) {
        value.limbs_count--;
    }
    value.is_negative = value.is_negative && value.limbs_count > 0;
    return value;
}

static struct wide all_ones(unsigned limbs_count) {
    struct wide value = {.limbs_count = limbs_count};
    for (unsigned index = 0; index < limbs_count; index++) {
        value.limbs[index] = UINT64_MAX;
    }
    return value;
}

static bool fits_wide(struct number value) {
    struct number limit = number_power_of_two(64 * WIDE_LIMBS_MAX);
    return number_compare_magnitudes(&value, &limit) < 0;
}

typedef bool wide_operation(const struct wide *, const struct wide *, struct wide *);
typedef struct number number_operation(struct number, struct number);

static void assert_operation_agrees(wide_operation *operation, number_operation *schoolbook,
                                    unsigned limbs_max) {
    struct wide left = random_wide(limbs_max);
    struct wide right = random_wide(limbs_max);
    struct number expected = schoolbook(number_from_wide(&left), number_from_wide(&right));
    struct number left_before = number_from_wide(&left);
    struct wide result = wide_from_int128(4711);
    bool fits = operation(&left, &right, &result);
    assert_int_equal(fits, fits_wide(expected));
    assert_wide_is(&result, fits ? expected : number_from_int128(4711));
    assert_wide_is(&left, left_before);
    struct wide onto_right = right;
    assert_int_equal(operation(&left, &onto_right, &onto_right), fits);
    assert_wide_is(&onto_right, fits ? expected : number_from_wide(&right));
    assert_int_equal(operation(&left, &right, &left), fits);
    assert_wide_is(&left, fits ? expected : left_before);
}

static void wide_sums_agree_with_schoolbook_sums(void **state) {
    (void)state;
    for (int round = 0; round < 600; round++) {
        unsigned limbs_max = round % 2 == 0 ? 5 : WIDE_LIMBS_MAX;
        assert_operation_agrees(wide_add, number_add, limbs_max);
        assert_operation_agrees(wide_subtract, number_subtract, limbs_max);
    }
}

static void wide_products_agree_with_schoolbook_products(void **state) {
    (void)state;
    for (int round = 0; round < 600; round++) {
        assert_operation_agrees(wide_multiply, number_multiply, round % 2 == 0 ? 5 : 11);
    }
}

static void wide_order_agrees_with_schoolbook_order(void **state) {
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct wide left = random_wide(3);
        struct wide right = round % 4 == 0 ? left : random_wide(3);
        assert_int_equal(wide_compare(&left, &right),
                         number_compare(number_from_wide(&left), number_from_wide(&right)));
        assert_int_equal(wide_compare(&left, &right), -wide_compare(&right, &left));
    }
}

static void wide_results_that_outgrow_1024_bits_are_refused(void **state) {
    (void)state;
    struct wide ones = all_ones(WIDE_LIMBS_MAX);
    struct wide one = wide_from_int128(1);
    struct wide two = wide_from_int128(2);
    struct wide result = wide_from_int128(4711);
    assert_false(wide_add(&ones, &one, &result));
    assert_false(wide_multiply(&ones, &two, &result));
    assert_false(wide_multiply(&ones, &ones, &result));
    struct wide minus_ones = ones;
    minus_ones.is_negative = true;
    assert_false(wide_subtract(&minus_ones, &one, &result));
    assert_wide_is(&result, number_from_int128(4711));
    assert_true(wide_multiply(&ones, &one, &result));
    assert_wide_is(&result, number_from_wide(&ones));
    assert_true(wide_subtract(&ones, &one, &result));
    assert_true(wide_add(&result, &one, &result));
    assert_wide_is(&result, number_from_wide(&ones));
    struct wide zero = wide_from_int128(0);
    assert_true(wide_multiply(&ones, &zero, &result));
    assert_true(wide_is_zero(&result));
    struct wide half = all_ones(8);
    assert_true(wide_multiply(&half, &half, &result)); /* exactly 1,024 bits */
    assert_wide_is(&result, number_multiply(number_from_wide(&half), number_from_wide(&half)));
}

static void assert_division_is_nearest(struct wide numerator, struct wide denominator) {
    struct wide quotient;
    assert_true(wide_divide_half_away(&numerator, &denominator, &quotient));
    struct number dividend = number_from_wide(&numerator);
    struct number divisor = number_from_wide(&denominator);
    assert_true(number_is_half_away(number_from_wide(&quotient), dividend, divisor));
    assert_wide_is(&quotient, number_from_wide(&quotient));
    struct wide onto = numerator;
    assert_true(wide_divide_half_away(&onto, &denominator, &onto));
    assert_int_equal(wide_compare(&onto, &quotient), 0);
    onto = denominator;
    assert_true(wide_divide_half_away(&numerator, &onto, &onto));
    assert_int_equal(wide_compare(&onto, &quotient), 0);
}

static void wide_division_is_nearest_for_any_operands(void **state) {
    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct wide numerator = random_wide(round % 8 == 0 ? WIDE_LIMBS_MAX : 6);
        struct wide denominator = random_wide(round % 8 == 0 ? WIDE_LIMBS_MAX : 5);
        if (!wide_is_zero(&denominator)) {
            assert_division_is_nearest(numerator, denominator);
        }
    }
}

/* Products one off, and halves: where an estimated digit is wrong, or rounding turns. */
static void wide_division_is_nearest_beside_whole_and_half_quotients(void **state) {
    (void)state;
    for (int round = 0; round < 1500; round++) {
        struct wide denominator = random_wide(5);
        struct wide quotient = random_wide(5);
        struct wide offset = wide_from_int128((int128)random_below(3) - 1);
        struct wide numerator;
        if (wide_is_zero(&denominator)) {
            continue;
        }
        assert_true(wide_multiply(&denominator, &quotient, &numerator));
        assert_true(wide_add(&numerator, &offset, &numerator));
        assert_division_is_nearest(numerator, denominator);
        struct wide doubled;
        assert_true(wide_add(&denominator, &denominator, &doubled));
        assert_true(wide_add(&numerator, &denominator, &numerator));
        assert_division_is_nearest(numerator, doubled);
    }
}

static void wide_division_survives_wrong_estimates_of_a_digit(void **state) {
    (void)state;
    /* Hacker's Delight, 9-2: operands whose estimated digit must be added back, made 64 bits wide;
     * the third has equal leading limbs. */
    static const struct {
        uint64_t numerator[5];
        unsigned numerator_count;
        uint64_t denominator[3];
        unsigned denominator_count;
    } rows[] = {
        {{3, 0, UINT64_C(1) << 63}, 3, {1, 0, UINT64_C(1) << 61}, 3},
        {{0, 0, UINT64_C(1) << 63, UINT64_MAX >> 1}, 4, {1, 0, UINT64_C(1) << 63}, 3},
        {{0, UINT64_MAX - 1, UINT64_C(1) << 63}, 3, {UINT64_MAX, UINT64_C(1) << 63}, 2},
        {{0, 0, 0, UINT64_C(1) << 63, UINT64_MAX >> 1}, 5, {1, 0, UINT64_C(1) << 63}, 3},
        {{UINT64_MAX, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX}, 4, {UINT64_MAX, UINT64_MAX}, 2},
        {{0, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX}, 4, {UINT64_MAX, 0, UINT64_MAX}, 3},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct wide numerator = {.limbs_count = rows[row].numerator_count};
        struct wide denominator = {.limbs_count = rows[row].denominator_count};
        memcpy(numerator.limbs, rows[row].numerator, sizeof rows[row].numerator);
        memcpy(denominator.limbs, rows[row].denominator, sizeof rows[row].denominator);
        assert_division_is_nearest(numerator, denominator);
    }
}

static void wide_division_rounds_small_numbers_as_one_would_by_hand(void **state) {
    (void)state;
    static const struct {
        int numerator;
        int denominator;
        int quotient;
    } rows[] = {
        {5, 2, 3},   {-5, 2, -3}, {5, -2, -3}, {-5, -2, 3}, {7, 3, 2},
        {-8, 3, -3}, {1, 3, 0},   {-1, 3, 0},  {-1, 2, -1}, {0, -7, 0},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct wide numerator = wide_from_int128(rows[row].numerator);
        struct wide denominator = wide_from_int128(rows[row].denominator);
        struct wide quotient;
        int128 narrow;
        assert_true(wide_divide_half_away(&numerator, &denominator, &quotient));
        assert_true(wide_to_int128(&quotient, &narrow));
        assert_true(narrow == rows[row].quotient);
        assert_wide_is(&quotient, number_from_int128(rows[row].quotient));
    }
    /* 2^128 / 2^129 is a half; one less is not. */
    struct wide half = {.limbs_count = 3, .limbs = {0, 0, 1}};
    struct wide below = all_ones(2);
    struct wide whole = {.limbs_count = 3, .limbs = {0, 0, 2}};
    struct wide quotient;
    assert_true(wide_divide_half_away(&half, &whole, &quotient));
    assert_wide_is(&quotient, number_from_int128(1));
    assert_true(wide_divide_half_away(&below, &whole, &quotient));
    assert_true(wide_is_zero(&quotient));
}

static void wide_keeps_every_int128(void **state) {
    (void)state;
    const int128 edges[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT128_MAX, INT128_MIN};
    for (size_t index = 0; index < sizeof edges / sizeof edges[0]; index++) {
        struct wide value = wide_from_int128(edges[index]);
        int128 back;
        assert_wide_is(&value, number_from_int128(edges[index]));
        assert_true(wide_to_int128(&value, &back));
        assert_true(back == edges[index]);
    }
    for (int round = 0; round < 2000; round++) {
        int128 expected = random_int128();
        struct wide value = wide_from_int128(expected);
        int128 back;
        assert_true(wide_to_int128(&value, &back));
        assert_true(back == expected);
    }
    struct wide one = wide_from_int128(1);
    struct wide value = wide_from_int128(INT128_MAX);
    int128 back = 4711;
    assert_true(wide_add(&value, &one, &value));
    assert_false(wide_to_int128(&value, &back));
    value = wide_from_int128(INT128_MIN);
    assert_true(wide_subtract(&value, &one, &value));
    assert_false(wide_to_int128(&value, &back));
    value = all_ones(3);
    assert_false(wide_to_int128(&value, &back));
    assert_true(back == 4711);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_sums_agree_with_schoolbook_sums),
        cmocka_unit_test(wide_products_agree_with_schoolbook_products),
        cmocka_unit_test(wide_order_agrees_with_schoolbook_order),
        cmocka_unit_test(wide_results_that_outgrow_1024_bits_are_refused),
        cmocka_unit_test(wide_division_is_nearest_for_any_operands),
        cmocka_unit_test(wide_division_is_nearest_beside_whole_and_half_quotients),
        cmocka_unit_test(wide_division_survives_wrong_estimates_of_a_digit),
        cmocka_unit_test(wide_division_rounds_small_numbers_as_one_would_by_hand),
        cmocka_unit_test(wide_keeps_every_int128),
    };
    return cmocka_run_group_tests(tests, random_setup, NULL);
}
