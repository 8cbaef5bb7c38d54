#include "numbers.h"

#include "rating/charge.h"

enum { TIERS_MAX = 8 };

static const struct currency *usd(void) {
    return currency_find(text_from("usd"));
}

static struct price per_unit(const char *included, const char *unit_price) {
    return (struct price){
        .model = MODEL_PER_UNIT,
        .included = dec(included),
        .unit_price = dec(unit_price),
    };
}

/* The tiers that most tests use: 10 at 0.3 + 2 flat, then to 25.5 at 0.2 + 3 flat, then 0.07 + 11.
 */
static struct tier tiers[3];

static struct price tiered(enum model model, const char *included) {
    tiers[0] = (struct tier){false, dec("10"), dec("0.3"), dec("2")};
    tiers[1] = (struct tier){false, dec("25.5"), dec("0.2"), dec("3")};
    tiers[2] = (struct tier){true, DECIMAL_ZERO, dec("0.07"), dec("11")};
    return (struct price){
        .model = model,
        .included = dec(included),
        .tiers = tiers,
        .tiers_count = 3,
    };
}

static struct charge rate(const struct price *price, const struct limits *limits,
                          const char *usage) {
    struct err err = {0};
    struct charge charge;
    if (!charge_rate(price, limits, dec(usage), usd(), &charge, NULL, &err)) {
        fail_msg("%s", err.message);
    }
    return charge;
}

#define assert_cost(actual, expected_exact, expected_uncapped)                                     \
    do {                                                                                           \
        struct charge rated = (actual);                                                            \
        char exact_text[EXACT_TEXT_MAX];                                                           \
        exact_format(rated.exact, exact_text);                                                     \
        assert_string_equal(exact_text, (expected_exact));                                         \
        assert_decimal(rated.uncapped_cost, (expected_uncapped));                                  \
    } while (0)

static void the_first_engine_s_examples_cost_what_they_did(void **state) {
    (void)state;
    struct price tokens = per_unit("500000", "0.0001"); /* 10 milli-cents */
    struct price runs = per_unit("50", "1");            /* 100 cents */
    assert_decimal(rate(&tokens, NULL, "750000").overage, "250000");
    assert_cost(rate(&tokens, NULL, "750000"), "25", "25");
    assert_cost(rate(&runs, NULL, "75"), "25", "25");
}

static void usage_up_to_the_limit_costs_nothing_under_every_model(void **state) {
    (void)state;
    struct price prices[] = {per_unit("37.5", "4"), tiered(MODEL_GRADUATED, "37.5"),
                             tiered(MODEL_VOLUME, "37.5"), per_unit("37.5", "4")};
    prices[3].model = MODEL_PACKAGE;
    prices[3].package_size = dec("7");
    static const char *const usages[] = {"0", "12", "37.499999999999999", "37.5"};
    for (size_t index = 0; index < 4; index++) {
        for (size_t usage = 0; usage < 4; usage++) {
            struct charge charge = rate(&prices[index], NULL, usages[usage]);
            assert_decimal(charge.overage, "0");
            assert_decimal(charge.exact_cost, "0");
            assert_cost(charge, "0", "0");
        }
        assert_true(rate(&prices[index], NULL, "37.6").exact_cost.units > 0);
    }
}

static void the_soft_limit_of_the_org_replaces_the_included_units(void **state) {
    (void)state;
    struct price price = per_unit("100", "3");
    struct limits higher = {.has_soft_limit = true, .soft_limit = dec("120")};
    struct limits lower = {.has_soft_limit = true, .soft_limit = dec("0")};
    struct limits none = {.has_soft_limit = false, .soft_limit = dec("7")};
    assert_cost(rate(&price, &higher, "150"), "90", "90");
    assert_decimal(rate(&price, &higher, "150").limit, "120");
    assert_cost(rate(&price, &lower, "150"), "450", "450");
    assert_cost(rate(&price, &none, "150"), "150", "150");
}

static void usage_above_the_hard_limit_is_blocked_and_not_billed(void **state) {
    (void)state;
    struct price price = per_unit("100", "3");
    price.has_hard_limit = true;
    price.hard_limit = dec("130");
    struct charge charge = rate(&price, NULL, "150.25");
    assert_decimal(charge.overage, "30");
    assert_decimal(charge.blocked, "20.25");
    assert_cost(charge, "90", "90");
    assert_decimal(rate(&price, NULL, "130").blocked, "0");
    assert_decimal(rate(&price, NULL, "130").overage, "30");
}

static void the_hard_limit_of_the_org_beats_the_plan_s_in_both_directions(void **state) {
    (void)state;
    struct price price = per_unit("100", "3");
    price.has_hard_limit = true;
    price.hard_limit = dec("130");
    struct limits wider = {.has_hard_limit = true, .hard_limit = dec("145")};
    struct limits tighter = {.has_hard_limit = true, .hard_limit = dec("112")};
    assert_decimal(rate(&price, &wider, "150").overage, "45");
    assert_decimal(rate(&price, &wider, "150").hard_limit, "145");
    assert_decimal(rate(&price, &tighter, "150").overage, "12");
    assert_decimal(rate(&price, &tighter, "150").blocked, "38");
    price.has_hard_limit = false;
    assert_false(rate(&price, NULL, "150").has_hard_limit);
    assert_true(rate(&price, &tighter, "150").has_hard_limit);
    assert_decimal(rate(&price, &tighter, "150").overage, "12");
}

static void a_hard_limit_below_the_limit_leaves_no_overage(void **state) {
    (void)state;
    struct price price = per_unit("100", "3");
    struct limits limits = {.has_hard_limit = true, .hard_limit = dec("80")};
    struct charge charge = rate(&price, &limits, "150");
    assert_decimal(charge.overage, "0");
    assert_decimal(charge.blocked, "70");
    assert_cost(charge, "0", "0");
}

static void graduated_rates_each_part_at_its_own_tier(void **state) {
    (void)state;
    struct price price = tiered(MODEL_GRADUATED, "100");
    assert_cost(rate(&price, NULL, "104"), "3.2", "3.2");          /* 4 x 0.3 + 2 */
    assert_cost(rate(&price, NULL, "120"), "10", "10");            /* 3 + 2 + 2 + 3 */
    assert_cost(rate(&price, NULL, "137.5"), "22.94", "22.94");    /* 5 + 6.1 + 0.84 + 11 */
    assert_cost(rate(&price, NULL, "137.53"), "22.9421", "22.94"); /* rounded once, at the end */
}

static void a_graduated_bound_is_inclusive(void **state) {
    (void)state;
    struct price price = tiered(MODEL_GRADUATED, "0");
    assert_cost(rate(&price, NULL, "10"), "5", "5");
    assert_cost(rate(&price, NULL, "25.5"), "11.1", "11.1");
}

static void graduated_leaves_no_gap_for_fractions_and_any_part_brings_the_flat_price(void **state) {
    (void)state;
    struct price price = tiered(MODEL_GRADUATED, "0");
    assert_cost(rate(&price, NULL, "10.000000000000001"), "8.0000000000000002", "8");
    assert_cost(rate(&price, NULL, "10.5"), "8.1", "8.1");
    assert_cost(rate(&price, NULL, "0.000000000000001"), "2.0000000000000003", "2");
}

static void a_tier_that_ends_at_zero_rates_nothing(void **state) {
    (void)state;
    struct price price = tiered(MODEL_GRADUATED, "0");
    tiers[0].up_to = DECIMAL_ZERO;
    assert_cost(rate(&price, NULL, "7"), "4.4", "4.4"); /* 7 x 0.2 + 3, without the flat 2 */
}

static void volume_rates_all_at_the_tier_it_falls_in(void **state) {
    (void)state;
    struct price price = tiered(MODEL_VOLUME, "100");
    assert_cost(rate(&price, NULL, "104"), "3.2", "3.2");
    assert_cost(rate(&price, NULL, "110"), "5", "5"); /* inclusive: 10 x 0.3 + 2 */
    assert_cost(rate(&price, NULL, "110.000000000000001"), "5.0000000000000002", "5");
    assert_cost(rate(&price, NULL, "125.5"), "8.1", "8.1");
    assert_cost(rate(&price, NULL, "200"), "18", "18"); /* 100 x 0.07 + 11 */
}

static void a_package_begun_is_a_package_paid(void **state) {
    (void)state;
    struct price price = per_unit("100", "12.5");
    price.model = MODEL_PACKAGE;
    price.package_size = dec("2.5");
    assert_cost(rate(&price, NULL, "100.000000000000001"), "12.5", "12.5");
    assert_cost(rate(&price, NULL, "102.5"), "12.5", "12.5");
    assert_cost(rate(&price, NULL, "102.6"), "25", "25");
    assert_cost(rate(&price, NULL, "110"), "50", "50");
}

static void an_amount_is_rounded_once_and_half_away(void **state) {
    (void)state;
    struct price price = per_unit("0", "0.005");
    assert_cost(rate(&price, NULL, "1"), "0.005", "0.01");
    assert_cost(rate(&price, NULL, "0.999999999999999"), "0.004999999999999995", "0");
    /* Shown to 15 decimals it would be half a cent; rounded a second time, a cent. */
    assert_decimal(rate(&price, NULL, "0.999999999999999").exact_cost, "0.005");
    assert_decimal(rate(&price, NULL, "5").uncapped_cost, "0.03"); /* half-even has 0.02 */
}

static void the_increment_is_the_currency_s(void **state) {
    (void)state;
    struct price price = per_unit("0", "1.2345");
    static const char *const rows[][2] = {{"jpy", "4"}, {"usd", "3.7"}, {"kwd", "3.7"}};
    for (size_t row = 0; row < 3; row++) {
        struct err err = {0};
        struct charge charge;
        assert_true(charge_rate(&price, NULL, dec("3"), currency_find(text_from(rows[row][0])),
                                &charge, NULL, &err));
        assert_decimal(charge.exact_cost, "3.7035");
        assert_decimal(charge.uncapped_cost, rows[row][1]);
    }
}

static void lines_say_which_tiers_were_used_and_add_up(void **state) {
    (void)state;
    struct price price = tiered(MODEL_GRADUATED, "5");
    struct charge_line room[3];
    struct charge_lines lines = {.lines_count = 7, .lines = room};
    struct charge charge;
    struct err err = {0};
    assert_true(charge_rate(&price, NULL, dec("42.5"), usd(), &charge, &lines, &err));
    assert_int_equal(lines.lines_count, 3);
    static const char *const quantities[] = {"10", "15.5", "12"};
    static const char *const amounts[] = {"5", "6.1", "11.84"};
    for (size_t line = 0; line < 3; line++) {
        char text[EXACT_TEXT_MAX];
        assert_int_equal(room[line].tier, line);
        assert_decimal(room[line].quantity, quantities[line]);
        exact_format(room[line].amount, text);
        assert_string_equal(text, amounts[line]);
    }
    assert_cost(charge, "22.94", "22.94");
    price.model = MODEL_VOLUME;
    assert_true(charge_rate(&price, NULL, dec("17"), usd(), &charge, &lines, &err));
    assert_int_equal(lines.lines_count, 1);
    assert_int_equal(room[0].tier, 1);
    assert_decimal(room[0].quantity, "12");
    assert_true(charge_rate(&price, NULL, dec("5"), usd(), &charge, &lines, &err));
    assert_int_equal(lines.lines_count, 0);
}

static void what_does_not_fit_is_an_error_and_never_wraps(void **state) {
    (void)state;
    static const char *const most = "99999999999999999999999.999999999999999";
    struct price price = per_unit("0", most);
    for (int model = 0; model < MODELS_COUNT; model++) {
        struct price other = tiered((enum model)model, "0");
        tiers[2].unit_price = dec(most);
        other.unit_price = dec(most);
        other.package_size = dec("0.000000000000001");
        struct err err = {0};
        struct charge charge;
        assert_false(charge_rate(&other, NULL, dec(most), usd(), &charge, NULL, &err));
        assert_int_equal(err.code, ERR_RANGE);
    }
    /* A product that fits 256 bits but no decimal; and one that fits but not when rounded up. */
    struct err err = {0};
    struct charge charge;
    assert_false(charge_rate(&price, NULL, dec("2"), usd(), &charge, NULL, &err));
    assert_int_equal(err.code, ERR_RANGE);
    err = (struct err){0};
    assert_false(charge_rate(&price, NULL, dec("1"), usd(), &charge, NULL, &err));
    assert_int_equal(err.code, ERR_RANGE);
    /* Overage that does not fit, from a limit that no source lets pass. */
    struct limits limits = {.has_soft_limit = true, .soft_limit = dec("-1")};
    err = (struct err){0};
    assert_false(charge_rate(&price, &limits, dec(most), usd(), &charge, NULL, &err));
    assert_int_equal(err.code, ERR_RANGE);
}

/* Prices below are drawn so that graduated never costs less for more, and parts are visible. */
static size_t draw_tiers(struct stream *stream, struct tier *drawn) {
    size_t count = 1 + stream_below(stream, TIERS_MAX);
    int128 bound = 0;
    for (size_t tier = 0; tier < count; tier++) {
        bound += 1 + stream_bits(stream, 1 + (unsigned)stream_below(stream, 60));
        drawn[tier] = (struct tier){
            .is_open = tier + 1 == count,
            .up_to = {bound},
            .unit_price = {stream_bits(stream, (unsigned)stream_below(stream, 60))},
            .flat_price = {stream_bits(stream, (unsigned)stream_below(stream, 60))},
        };
    }
    return count;
}

/* 10^-30 units of a graduated cost, unit by unit of the definition, in slow integers. */
static struct school slow_graduated(const struct tier *drawn, size_t count, int128 quantity) {
    struct school cost = school_from(0);
    int128 below = 0;
    for (size_t tier = 0; tier < count && quantity > below; tier++) {
        int128 above = drawn[tier].is_open || quantity < drawn[tier].up_to.units
                           ? quantity
                           : drawn[tier].up_to.units;
        cost = school_add(cost,
                          school_times(school_from(above - below), drawn[tier].unit_price.units));
        cost = school_add(
            cost, school_times(school_from(drawn[tier].flat_price.units), DECIMAL_ONE.units));
        below = above;
    }
    return cost;
}

static void graduated_is_the_sum_of_its_parts_and_never_costs_less_for_more(void **state) {
    (void)state;
    enum { ROUNDS = 3000 };
    struct stream stream = stream_start("graduated");
    for (int round = 0; round < ROUNDS; round++) {
        struct tier drawn[TIERS_MAX];
        struct charge_line room[TIERS_MAX];
        struct charge_lines lines = {.lines = room};
        struct price price = {.model = MODEL_GRADUATED, .tiers = drawn};
        price.tiers_count = draw_tiers(&stream, drawn);
        struct decimal usage = {1 + stream_bits(&stream, 1 + (unsigned)stream_below(&stream, 62))};
        if (round % 5 == 0) {
            usage = drawn[stream_below(&stream, price.tiers_count)].up_to;
        }
        struct err err = {0};
        struct charge charge;
        struct charge more;
        assert_true(charge_rate(&price, NULL, usage, usd(), &charge, &lines, &err));
        struct decimal higher = {usage.units + stream_bits(&stream, 50)};
        assert_true(charge_rate(&price, NULL, higher, usd(), &more, NULL, &err));
        assert_true(exact_compare(charge.exact, more.exact) <= 0);
        assert_true(charge.uncapped_cost.units <= more.uncapped_cost.units);

        struct exact total = EXACT_ZERO;
        int128 quantity = 0;
        for (size_t line = 0; line < lines.lines_count; line++) {
            assert_true(exact_add(&total, room[line].amount));
            quantity += room[line].quantity.units;
        }
        assert_int_equal(exact_compare(total, charge.exact), 0);
        assert_true(quantity == charge.overage.units);

        int128 shown = 0;
        struct school cost = slow_graduated(drawn, price.tiers_count, usage.units);
        assert_true(school_round(cost, school_from(DECIMAL_ONE.units), &shown));
        assert_true(shown == charge.exact_cost.units);
        int128 cents = 0;
        struct school cent = school_times(school_from(DECIMAL_ONE.units), DECIMAL_ONE.units / 100);
        assert_true(school_round(cost, cent, &cents));
        assert_true(cents * (DECIMAL_ONE.units / 100) == charge.uncapped_cost.units);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_engine_s_examples_cost_what_they_did),
        cmocka_unit_test(usage_up_to_the_limit_costs_nothing_under_every_model),
        cmocka_unit_test(the_soft_limit_of_the_org_replaces_the_included_units),
        cmocka_unit_test(usage_above_the_hard_limit_is_blocked_and_not_billed),
        cmocka_unit_test(the_hard_limit_of_the_org_beats_the_plan_s_in_both_directions),
        cmocka_unit_test(a_hard_limit_below_the_limit_leaves_no_overage),
        cmocka_unit_test(graduated_rates_each_part_at_its_own_tier),
        cmocka_unit_test(a_graduated_bound_is_inclusive),
        cmocka_unit_test(graduated_leaves_no_gap_for_fractions_and_any_part_brings_the_flat_price),
        cmocka_unit_test(a_tier_that_ends_at_zero_rates_nothing),
        cmocka_unit_test(volume_rates_all_at_the_tier_it_falls_in),
        cmocka_unit_test(a_package_begun_is_a_package_paid),
        cmocka_unit_test(an_amount_is_rounded_once_and_half_away),
        cmocka_unit_test(the_increment_is_the_currency_s),
        cmocka_unit_test(lines_say_which_tiers_were_used_and_add_up),
        cmocka_unit_test(what_does_not_fit_is_an_error_and_never_wraps),
        cmocka_unit_test(graduated_is_the_sum_of_its_parts_and_never_costs_less_for_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
