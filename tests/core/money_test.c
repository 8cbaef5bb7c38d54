#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/money.h"

static struct decimal parsed(const char *text) {
    struct decimal value;
    assert_int_equal(decimal_parse(text_from(text), &value), DECIMAL_OK);
    return value;
}

static const struct currency *known(const char *code) {
    const struct currency *currency = currency_find(text_from(code));
    assert_non_null(currency);
    return currency;
}

static int128 power_of_ten(int exponent) {
    int128 power = 1;
    for (int index = 0; index < exponent; index++) {
        power *= 10;
    }
    return power;
}

static void currencies_are_sorted_and_their_codes_are_lower_case(void **state) {
    (void)state;
    for (size_t index = 0; index < currency_count(); index++) {
        const struct currency *currency = currency_at(index);
        assert_int_equal(strlen(currency->code), 3);
        assert_int_equal(strspn(currency->code, "abcdefghijklmnopqrstuvwxyz"), 3);
        assert_true(index == 0 || strcmp(currency_at(index - 1)->code, currency->code) < 0);
        assert_ptr_equal(currency_find(text_from(currency->code)), currency);
    }
    assert_true(currency_count() > 150);
}

static void currencies_have_increments_that_reports_and_stripe_can_write(void **state) {
    (void)state;
    for (size_t index = 0; index < currency_count(); index++) {
        const struct currency *currency = currency_at(index);
        assert_in_range(currency->decimals, 0, 3);
        assert_in_range(currency->stripe_exponent, 0, 3);
        assert_true(currency->increment.units > 0);
        assert_true(currency->increment.units % power_of_ten(15 - currency->decimals) == 0);
        assert_true(currency->increment.units % power_of_ten(15 - currency->stripe_exponent) == 0);
        int64_t minor;
        assert_true(money_to_minor(currency->increment, currency, &minor));
        assert_true(money_to_stripe(currency->increment, currency, &minor));
    }
}

static void currencies_follow_the_lists_of_stripe(void **state) {
    (void)state;
    static const char whole[][4] = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga",
                                    "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"};
    static const char whole_as_cents[][4] = {"isk", "ugx"};
    static const char tens_of_mills[][4] = {"bhd", "jod", "kwd", "omr", "tnd"};
    static const char mills[][4] = {"iqd", "lyd"};
    static const struct {
        const char (*codes)[4];
        size_t count;
        int decimals;
        const char *increment;
        int exponent;
    } kinds[] = {
        {whole, sizeof whole / sizeof whole[0], 0, "1", 0},
        {whole_as_cents, sizeof whole_as_cents / sizeof whole_as_cents[0], 0, "1", 2},
        {tens_of_mills, sizeof tens_of_mills / sizeof tens_of_mills[0], 3, "0.010", 3},
        {mills, sizeof mills / sizeof mills[0], 3, "0.001", 3},
    };
    size_t listed = 0;
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        for (size_t index = 0; index < kinds[kind].count; index++, listed++) {
            const struct currency *currency = known(kinds[kind].codes[index]);
            assert_int_equal(currency->decimals, kinds[kind].decimals);
            assert_int_equal(currency->stripe_exponent, kinds[kind].exponent);
            assert_int_equal(decimal_compare(currency->increment, parsed(kinds[kind].increment)),
                             0);
        }
    }
    /* Everything on no list has cents. */
    size_t with_cents = 0;
    for (size_t index = 0; index < currency_count(); index++) {
        const struct currency *currency = currency_at(index);
        with_cents += currency->decimals == 2 && currency->stripe_exponent == 2 &&
                      currency->increment.units == power_of_ten(13);
    }
    assert_int_equal(with_cents + listed, currency_count());
}

static void currency_find_takes_any_case_and_nothing_unknown(void **state) {
    (void)state;
    assert_ptr_equal(known("USD"), known("usd"));
    assert_ptr_equal(known("Eur"), known("eur"));
    static const char *const common[] = {"gbp", "chf", "cad", "aud", "sek", "inr",
                                         "brl", "huf", "twd", "cny", "zar", "mxn"};
    for (size_t index = 0; index < sizeof common / sizeof common[0]; index++) {
        assert_string_equal(known(common[index])->code, common[index]);
    }
    static const char *const unknown[] = {"",    "us",  "usdd", "zzz",  "aaa",       "xts", "xau",
                                          " us", "us ", "u$d",  "USD ", "\xC3\xA4x", "dem"};
    for (size_t index = 0; index < sizeof unknown / sizeof unknown[0]; index++) {
        assert_null(currency_find(text_from(unknown[index])));
    }
    assert_null(currency_find((struct text){.bytes = "us\0", .size_bytes = 3}));
    assert_null(currency_find((struct text){.bytes = NULL}));
}

static void money_round_rounds_once_to_the_billing_increment(void **state) {
    (void)state;
    static const struct {
        const char *code;
        const char *quantity;
        const char *price;
        const char *cost; /* as reports write it */
        int64_t minor;
        int64_t stripe;
    } rows[] = {
        {"usd", "250000", "0.0001", "25.00", 2500, 2500},
        {"usd", "25", "1", "25.00", 2500, 2500},
        {"usd", "3", "0.005", "0.02", 2, 2},
        {"usd", "-3", "0.005", "-0.02", -2, -2},
        {"usd", "0.5", "0.0099", "0.00", 0, 0},
        {"jpy", "7", "0.5", "4", 4, 4},
        {"kwd", "201", "0.005", "1.010", 1010, 1010},
        {"kwd", "1004", "0.001", "1.000", 1000, 1000},
        {"bhd", "1005", "-0.001", "-1.010", -1010, -1010},
        {"isk", "5", "0.5", "3", 3, 300},
        {"ugx", "1249", "0.01", "12", 12, 1200},
        {"mga", "125", "0.1", "13", 13, 13},
        {"lyd", "1", "0.0125", "0.013", 13, 13},
        /* Flexprice's and OpenMeter's own cases (FX061, FX067, FX091, FX092, FX097, FX100, FX101,
         * FX105, OM079) */
        {"eur", "1", "99.996", "100.00", 10000, 10000},
        {"usd", "1", "0.0001", "0.00", 0, 0},
        {"vnd", "1", "1000.5", "1001", 1001, 1001},
        {"clp", "1", "1000.5", "1001", 1001, 1001},
        {"usd", "1", "0.014", "0.01", 1, 1},
        {"usd", "1", "10.225", "10.23", 1023, 1023},
        {"usd", "1", "10.325", "10.33", 1033, 1033},
        {"jpy", "1", "-100.4", "-100", -100, -100},
        {"jpy", "1", "1.9556789", "2", 2, 2},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        const struct currency *currency = known(rows[row].code);
        struct exact exact_cost = EXACT_ZERO;
        struct decimal cost;
        struct err err = {0};
        assert_true(
            exact_add_product(&exact_cost, parsed(rows[row].quantity), parsed(rows[row].price)));
        assert_true(money_round(exact_cost, currency, &cost, &err));
        char text[DECIMAL_TEXT_MAX];
        assert_int_equal(money_format(cost, currency, text), strlen(rows[row].cost));
        assert_string_equal(text, rows[row].cost);
        int64_t minor;
        assert_true(money_to_minor(cost, currency, &minor));
        assert_true(minor == rows[row].minor);
        assert_true(money_to_stripe(cost, currency, &minor));
        assert_true(minor == rows[row].stripe);
    }
}

static void money_round_says_when_an_amount_is_out_of_range(void **state) {
    (void)state;
    struct exact exact_cost = EXACT_ZERO;
    struct decimal quantity = parsed("99999999999999999999999");
    assert_true(exact_add_product(&exact_cost, quantity, quantity));
    struct decimal cost = {.units = 4711};
    struct err err = {0};
    assert_false(money_round(exact_cost, known("usd"), &cost, &err));
    assert_int_equal(err.code, ERR_RANGE);
    assert_non_null(strstr(err.message, "usd"));
    assert_non_null(strstr(err.message, "9999999999999999999999800000000000000000000001"));
    assert_true(cost.units == 4711);
    err_release(&err);
}

static void money_minor_units_are_whole_and_64_bits_or_refused(void **state) {
    (void)state;
    int64_t minor = 4711;
    assert_true(money_to_minor(parsed("92233720368547758.07"), known("usd"), &minor));
    assert_true(minor == INT64_MAX);
    assert_true(money_to_minor(parsed("-92233720368547758.08"), known("usd"), &minor));
    assert_true(minor == INT64_MIN);
    minor = 4711;
    assert_false(money_to_minor(parsed("92233720368547758.08"), known("usd"), &minor));
    assert_false(money_to_minor(parsed("-92233720368547758.09"), known("usd"), &minor));
    assert_false(money_to_minor(parsed("99999999999999999999999"), known("jpy"), &minor));
    assert_false(money_to_minor(parsed("0.005"), known("usd"), &minor));
    assert_false(money_to_minor(parsed("0.5"), known("jpy"), &minor));
    assert_false(money_to_stripe(parsed("0.0005"), known("kwd"), &minor));
    assert_false(money_to_stripe(parsed("92233720368547758.08"), known("isk"), &minor));
    assert_true(minor == 4711);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(currencies_are_sorted_and_their_codes_are_lower_case),
        cmocka_unit_test(currencies_have_increments_that_reports_and_stripe_can_write),
        cmocka_unit_test(currencies_follow_the_lists_of_stripe),
        cmocka_unit_test(currency_find_takes_any_case_and_nothing_unknown),
        cmocka_unit_test(money_round_rounds_once_to_the_billing_increment),
        cmocka_unit_test(money_round_says_when_an_amount_is_out_of_range),
        cmocka_unit_test(money_minor_units_are_whole_and_64_bits_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
