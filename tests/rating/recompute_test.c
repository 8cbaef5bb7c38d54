#include "numbers.h"

#include "rating/charge.h"
#include "rating/recompute.h"
#include "rating/trend.h"

static int create_arena(void **state) {
    struct err err = {0};
    *state = arena_create(&err);
    return *state == NULL ? -1 : 0;
}

static int destroy_arena(void **state) {
    arena_destroy(*state);
    return 0;
}

static struct recompute_number num(const char *text) {
    bool is_negative;
    struct recompute_number value = recompute_read(dec(text), &is_negative);
    assert_false(is_negative);
    return value;
}

#define assert_number(actual, expected)                                                            \
    do {                                                                                           \
        char actual_text[RECOMPUTE_TEXT_MAX];                                                      \
        struct recompute_number actual_number = (actual);                                          \
        recompute_format(&actual_number, actual_text);                                             \
        assert_string_equal(actual_text, (expected));                                              \
    } while (0)

static struct recompute_price load(const struct price *price, struct arena *arena) {
    struct recompute_price loaded;
    struct err err = {0};
    if (!recompute_price_load(&loaded, price, arena, &err)) {
        fail_msg("%s", err.message);
    }
    return loaded;
}

struct own_limits {
    const char *soft_limit;
    const char *hard_limit;
};

static struct recompute_charge charge(const struct price *price, struct own_limits limits,
                                      const char *usage, const char *increment, void **state) {
    struct recompute_price loaded = load(price, *state);
    struct recompute_number soft = num(limits.soft_limit != NULL ? limits.soft_limit : "0");
    struct recompute_number hard = num(limits.hard_limit != NULL ? limits.hard_limit : "0");
    struct recompute_number step = num(increment);
    struct recompute_number quantity = num(usage);
    struct recompute_terms terms = {.price = &loaded, .increment = &step};
    terms.soft_limit = limits.soft_limit != NULL ? &soft : NULL;
    terms.hard_limit = limits.hard_limit != NULL ? &hard : NULL;
    struct recompute_charge result;
    recompute_charge(&terms, &quantity, &result, NULL);
    return result;
}

static const struct own_limits no_limits = {NULL, NULL};

static void numbers_are_written_as_decimals(void **state) {
    (void)state;
    assert_number(num("0"), "0");
    assert_number(num("0.000000000000001"), "0.000000000000001");
    assert_number(num("1200"), "1200");
    assert_number(num("99999999999999999999999.999999999999999"),
                  "99999999999999999999999.999999999999999");
    bool is_negative;
    assert_number(recompute_read(dec("-12.5"), &is_negative), "12.5");
    assert_true(is_negative);
}

static void the_two_examples_cost_25_dollars_each(void **state) {
    struct price tokens = {.included = dec("500000"), .unit_price = dec("0.0001")};
    struct recompute_charge result = charge(&tokens, no_limits, "750000", "0.01", state);
    assert_number(result.limit, "500000");
    assert_number(result.overage, "250000");
    assert_number(result.exact_cost, "25");
    assert_number(result.uncapped_cost, "25");
    struct price runs = {.included = dec("50"), .unit_price = dec("1")};
    result = charge(&runs, no_limits, "75", "0.01", state);
    assert_number(result.uncapped_cost, "25");
}

static void half_an_increment_is_rounded_up_and_less_down(void **state) {
    struct price price = {.unit_price = dec("0.001")};
    assert_number(charge(&price, no_limits, "5", "0.01", state).uncapped_cost, "0.01");
    assert_number(charge(&price, no_limits, "4.999", "0.01", state).uncapped_cost, "0");
    assert_number(charge(&price, no_limits, "4.999", "0.01", state).exact_cost, "0.004999");
    assert_number(charge(&price, no_limits, "1235", "0.01", state).uncapped_cost, "1.24");
    assert_number(charge(&price, no_limits, "50500", "1", state).uncapped_cost, "51");
    /* an increment that is not a power of ten: 1.23 is 24.6 steps of 0.05 */
    assert_number(charge(&price, no_limits, "1230", "0.05", state).uncapped_cost, "1.25");
}

static void the_exact_cost_is_rounded_at_15_decimals(void **state) {
    struct price price = {.unit_price = dec("0.000000000000001")};
    assert_number(charge(&price, no_limits, "7.5", "0.01", state).exact_cost, "0.000000000000008");
    assert_number(charge(&price, no_limits, "7.4", "0.01", state).exact_cost, "0.000000000000007");
}

static void own_limits_beat_the_prices(void **state) {
    struct price price = {.included = dec("50"),
                          .has_hard_limit = true,
                          .hard_limit = dec("1000"),
                          .unit_price = dec("2")};
    struct recompute_charge result = charge(&price, no_limits, "1200", "0.01", state);
    assert_number(result.overage, "950");
    assert_number(result.blocked, "200");
    result = charge(&price, (struct own_limits){"70", "300"}, "1200", "0.01", state);
    assert_number(result.limit, "70");
    assert_number(result.overage, "230");
    assert_number(result.blocked, "900");
    assert_number(result.uncapped_cost, "460");
    result = charge(&price, (struct own_limits){"400", "300"}, "1200", "0.01", state);
    assert_number(result.overage, "0"); /* a hard limit below the limit */
    assert_number(result.blocked, "900");
    assert_number(result.uncapped_cost, "0");
}

static const struct tier *three_tiers(void) {
    static struct tier tiers[3];
    tiers[0] = (struct tier){.up_to = dec("1000000"), .unit_price = dec("0.00008")};
    tiers[1] = (struct tier){
        .up_to = dec("5000000"), .unit_price = dec("0.00006"), .flat_price = dec("5")};
    tiers[2] = (struct tier){.is_open = true, .unit_price = dec("0.00004")};
    return tiers;
}

static void graduated_charges_each_part_in_its_tier(void **state) {
    struct price price = {.model = MODEL_GRADUATED, .tiers = three_tiers(), .tiers_count = 3};
    /* 80 + (240 + 5) + 60 */
    assert_number(charge(&price, no_limits, "6500000", "0.01", state).uncapped_cost, "385");
    /* exactly at the bound: the next tier's flat price is not due */
    assert_number(charge(&price, no_limits, "1000000", "0.01", state).uncapped_cost, "80");
    assert_number(charge(&price, no_limits, "1000000.5", "0.01", state).exact_cost, "85.00003");
}

static void volume_charges_all_in_the_tier_it_falls_in(void **state) {
    struct price price = {.model = MODEL_VOLUME, .tiers = three_tiers(), .tiers_count = 3};
    assert_number(charge(&price, no_limits, "2000000", "0.01", state).uncapped_cost, "125");
    assert_number(charge(&price, no_limits, "5000000", "0.01", state).uncapped_cost, "305");
    assert_number(charge(&price, no_limits, "5000001", "0.01", state).exact_cost, "200.00004");
}

static void package_charges_what_is_begun(void **state) {
    struct price price = {
        .model = MODEL_PACKAGE, .package_size = dec("100"), .unit_price = dec("2.5")};
    assert_number(charge(&price, no_limits, "121", "0.01", state).uncapped_cost, "5");
    assert_number(charge(&price, no_limits, "300", "0.01", state).uncapped_cost, "7.5");
    assert_number(charge(&price, no_limits, "300.000000000000001", "0.01", state).uncapped_cost,
                  "10");
}

static void prices_that_no_rule_allows_are_refused(void **state) {
    struct recompute_price loaded;
    struct err err = {0};
    struct price negative = {.unit_price = dec("-1")};
    assert_false(recompute_price_load(&loaded, &negative, *state, &err));
    assert_int_equal(err.code, ERR_CONTROL);
    struct price empty = {.model = MODEL_PACKAGE, .unit_price = dec("3")};
    err = (struct err){0};
    assert_false(recompute_price_load(&loaded, &empty, *state, &err));
    assert_int_equal(err.code, ERR_CONTROL);
    struct price closed = {.model = MODEL_VOLUME, .tiers = three_tiers(), .tiers_count = 2};
    err = (struct err){0};
    assert_false(recompute_price_load(&loaded, &closed, *state, &err));
    assert_int_equal(err.code, ERR_CONTROL);
}

static void the_cap_goes_by_largest_remainder(void **state) {
    (void)state;
    struct recompute_number cap = num("39.99");
    struct recompute_number step = num("0.01");
    struct recompute_capped costs[] = {
        {.metric = text_from("tokens"), .uncapped_cost = num("25")},
        {.metric = text_from("seats"), .uncapped_cost = num("12")},
        {.metric = text_from("playbook_runs"), .uncapped_cost = num("25")},
    };
    recompute_cap(costs, 3, &cap, &step);
    assert_true(text_equals(costs[0].metric, text_from("tokens"))); /* the order is kept */
    assert_number(costs[0].cost, "16.12");
    assert_number(costs[1].cost, "7.74");
    assert_number(costs[2].cost, "16.13"); /* the odd cent: the smaller name */
    cap = num("62");
    recompute_cap(costs, 3, &cap, &step);
    assert_number(costs[1].cost, "12"); /* as much as the cap is not more */
}

static void flows_of_both_signs_never_bill_below_zero(void **state) {
    (void)state;
    struct recompute_flow flow = {0};
    recompute_flow_add(&flow, dec("7.25"));
    recompute_flow_add(&flow, dec("-2.5"));
    recompute_flow_add_count(&flow, 3);
    struct recompute_number quantity = recompute_flow_quantity(&flow);
    assert_number(quantity, "7.75");
    recompute_flow_add(&flow, dec("-8"));
    quantity = recompute_flow_quantity(&flow);
    assert_number(quantity, "0");
}

static void averages_are_rounded_once_at_the_end(void **state) {
    (void)state;
    struct recompute_average average = {0};
    recompute_average_add(&average, dec("0.000000000000001"), 4);
    struct recompute_signed net = recompute_average_net(&average, 7);
    assert_true(recompute_signed_is(&net, dec("0.000000000000002"))); /* 1 + 4/7 */
    recompute_average_add(&average, dec("-0.000000000000001"), 3);
    net = recompute_average_net(&average, 7);
    assert_true(recompute_signed_is(&net, dec("0.000000000000001"))); /* 0 + 7/7 */
    recompute_average_add(&average, dec("-3"), 6);
    net = recompute_average_net(&average, 7);
    assert_true(recompute_signed_is(&net, dec("-2.999999999999998"))); /* -3 + 13/7 units */
}

/* --- two implementations, one result ------------------------------------------------------------
 */

static struct decimal random_decimal(struct stream *stream, unsigned bits) {
    return (struct decimal){.units = stream_bits(stream, (unsigned)stream_below(stream, bits))};
}

static struct price random_price(struct stream *stream, struct tier *tiers) {
    struct price price = {
        .model = (enum model)stream_below(stream, MODELS_COUNT),
        .included = random_decimal(stream, 70),
        .has_hard_limit = stream_below(stream, 3) == 0,
        .hard_limit = random_decimal(stream, 90),
        .unit_price = random_decimal(stream, 60),
        .package_size = {.units = random_decimal(stream, 70).units + 1},
    };
    if (!model_table[price.model].needs_tiers) {
        return price;
    }
    price.tiers = tiers;
    price.tiers_count = 1 + (size_t)stream_below(stream, 4);
    int128 up_to = 0;
    for (size_t index = 0; index < price.tiers_count; index++) {
        up_to += random_decimal(stream, 80).units + 1;
        tiers[index] = (struct tier){.is_open = index + 1 == price.tiers_count,
                                     .up_to = {.units = up_to},
                                     .unit_price = random_decimal(stream, 60),
                                     .flat_price = random_decimal(stream, 70)};
    }
    return price;
}

static void both_ways_to_rate_agree_on_random_prices(void **state) {
    enum { ROUNDS = 4000 };
    struct stream stream = stream_start("both ways to rate");
    static const char *const currencies[] = {"usd", "jpy", "kwd"};
    size_t rated = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct arena_mark mark = arena_mark(*state);
        struct tier tiers[4];
        struct err err = {0};
        struct price price = random_price(&stream, tiers);
        const struct currency *currency = currency_find(text_from(currencies[round % 3]));
        struct decimal usage = random_decimal(&stream, 95);
        struct charge expected;
        if (!charge_rate(&price, NULL, usage, currency, &expected, NULL, &err)) {
            assert_int_equal(err.code, ERR_RANGE);
            continue;
        }
        bool is_negative;
        struct recompute_price loaded = load(&price, *state);
        struct recompute_number quantity = recompute_read(usage, &is_negative);
        struct recompute_number increment = recompute_read(currency->increment, &is_negative);
        struct recompute_terms terms = {.price = &loaded, .increment = &increment};
        struct recompute_charge actual;
        recompute_charge(&terms, &quantity, &actual, NULL);
        assert_true(recompute_is(&actual.limit, expected.limit));
        assert_true(recompute_is(&actual.overage, expected.overage));
        assert_true(recompute_is(&actual.blocked, expected.blocked));
        assert_true(recompute_is(&actual.exact_cost, expected.exact_cost));
        assert_true(recompute_is(&actual.uncapped_cost, expected.uncapped_cost));
        rated += decimal_is_zero(expected.uncapped_cost) ? 0 : 1;
        arena_rewind(*state, mark);
    }
    assert_true(rated > ROUNDS / 10);
}

static void both_ways_to_cap_agree_on_random_costs(void **state) {
    enum { ROUNDS = 2000, METRICS_MAX = 6 };
    struct stream stream = stream_start("both ways to cap");
    static const char *const names[METRICS_MAX] = {"b", "a", "ab", "Z", "\xc3\xa9", "c"};
    const struct currency *currency = currency_find(text_from("usd"));
    struct recompute_number increment = num("0.01");
    size_t reduced = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct capped_cost costs[METRICS_MAX];
        struct recompute_capped others[METRICS_MAX];
        size_t count = 1 + (size_t)stream_below(&stream, METRICS_MAX);
        bool is_negative;
        struct err err = {0};
        unsigned bits = (unsigned)stream_below(&stream, 60);
        for (size_t index = 0; index < count; index++) {
            struct decimal cost = {stream_bits(&stream, bits) * currency->increment.units};
            costs[index] =
                (struct capped_cost){.metric = text_from(names[index]), .uncapped_cost = cost};
            others[index] = (struct recompute_capped){.metric = text_from(names[index])};
            others[index].uncapped_cost = recompute_read(cost, &is_negative);
        }
        struct decimal cap = {stream_bits(&stream, bits) * currency->increment.units};
        struct recompute_number other_cap = recompute_read(cap, &is_negative);
        assert_true(charge_cap(costs, count, cap, currency, *state, &err));
        recompute_cap(others, count, &other_cap, &increment);
        for (size_t index = 0; index < count; index++) {
            assert_true(recompute_is(&others[index].cost, costs[index].cost));
            reduced += decimal_compare(costs[index].cost, costs[index].uncapped_cost) != 0;
        }
    }
    assert_true(reduced > ROUNDS / 4);
}

static void tiers_are_told_one_by_one(void **state) {
    const struct tier tiers[] = {
        {.up_to = dec("5"), .unit_price = dec("0.5"), .flat_price = dec("1")},
        {.is_open = true, .unit_price = dec("0.3"), .flat_price = dec("2")}};
    struct price price = {.model = MODEL_GRADUATED, .tiers = tiers, .tiers_count = 2};
    struct recompute_price loaded = load(&price, *state);
    struct recompute_number increment = num("0.01");
    struct recompute_terms terms = {.price = &loaded, .increment = &increment};
    struct recompute_number quantity = num("8.5");
    struct recompute_line told[2];
    struct recompute_lines lines = {.lines = told};
    struct recompute_charge result;
    recompute_charge(&terms, &quantity, &result, &lines);
    assert_int_equal(lines.count, 2);
    assert_int_equal(told[1].tier, 1);
    assert_number(told[0].quantity, "5");
    assert_number(told[0].amount, "3.5");
    assert_number(told[1].quantity, "3.5");
    assert_number(told[1].amount, "3.05");
    price.model = MODEL_VOLUME;
    loaded = load(&price, *state);
    lines.count = 0;
    recompute_charge(&terms, &quantity, &result, &lines);
    assert_int_equal(lines.count, 1);
    assert_int_equal(told[0].tier, 1);
    assert_number(told[0].quantity, "8.5");
    assert_number(told[0].amount, "4.55");
}

/* x 0..3, y 1 2 4 4: slope 11/10, y(x) = 1.1 + 1.1 x, R² = 121/135; done with pencil and paper. */
static void a_trend_is_the_textbooks_line(void **state) {
    (void)state;
    struct recompute_flow days[4] = {0};
    const char *const values[4] = {"1", "2", "4", "4"};
    for (size_t day = 0; day < 4; day++) {
        recompute_flow_add(&days[day], dec(values[day]));
    }
    struct recompute_series series = {.aggregation = AGGREGATION_SUM,
                                      .days = days,
                                      .days_count = 4,
                                      .next_days_count = 3,
                                      .days_with_data = 4,
                                      .current = dec("11")};
    struct recompute_trend trend;
    recompute_trend(&series, &trend);
    assert_true(trend.has_slope && trend.has_r_squared && trend.has_projected);
    assert_false(trend.slope_per_day.is_negative);
    assert_number(trend.slope_per_day.size, "1.1");
    assert_number(trend.growth_30_days.size, "33");
    assert_number(trend.r_squared, "0.896296296296296");
    assert_number(trend.projected, "19.8"); /* 5.5 + 6.6 + 7.7 */
    series.aggregation = AGGREGATION_MAX;
    recompute_trend(&series, &trend);
    assert_number(trend.projected, "7.7");
    series.days_with_data = 1;
    recompute_trend(&series, &trend);
    assert_number(trend.projected, "11");
    struct recompute_signed change = recompute_change(dec("1"), dec("-3"));
    assert_false(change.is_negative);
    assert_number(change.size, "1.333333");
    change = recompute_change(dec("1"), dec("3"));
    assert_true(change.is_negative);
    assert_number(change.size, "0.666667");
}

static void assert_same_trend(const struct trend *expected, const struct recompute_trend *actual) {
    assert_int_equal(actual->has_slope, expected->has_slope);
    assert_int_equal(actual->has_r_squared, expected->has_r_squared);
    assert_int_equal(actual->has_projected, expected->has_projected);
    assert_true(!expected->has_slope ||
                (recompute_signed_is(&actual->slope_per_day, expected->slope_per_day) &&
                 recompute_signed_is(&actual->growth_30_days, expected->growth_30_days)));
    assert_true(!expected->has_r_squared || recompute_is(&actual->r_squared, expected->r_squared));
    assert_true(!expected->has_projected || recompute_is(&actual->projected, expected->projected));
}

static void assert_same_moments(const struct trend_moments *expected,
                                const struct recompute_trend *actual) {
    bool has_sums =
        recompute_fits(&actual->day_sum.size) && recompute_fits(&actual->day_moment.size);
    assert_int_equal(has_sums, expected->has_sums);
    assert_true(!has_sums || (recompute_signed_is(&actual->day_sum, expected->sum) &&
                              recompute_signed_is(&actual->day_moment, expected->moment)));
    assert_int_equal(actual->has_r_squared, expected->has_r_squared);
    assert_true(!expected->has_r_squared || recompute_is(&actual->r_squared, expected->r_squared));
}

static void both_ways_to_fit_agree_on_random_days(void **state) {
    enum { ROUNDS = 3000 };
    (void)state;
    struct stream stream = stream_start("both ways to fit");
    size_t projected = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct decimal days[TREND_DAYS_MAX];
        struct recompute_flow others[TREND_DAYS_MAX] = {0};
        unsigned bits = 1 + (unsigned)stream_below(&stream, 126);
        size_t days_count = 1 + (size_t)stream_below(&stream, 31);
        for (size_t day = 0; day < days_count; day++) {
            int128 units = stream_bits(&stream, bits);
            bool is_negative = stream_below(&stream, 4) == 0;
            days[day] = (struct decimal){is_negative ? -units : units};
            days[day].units = decimal_in_range(days[day].units) ? days[day].units : 0;
            recompute_flow_add(&others[day], days[day]);
        }
        struct decimal current = {stream_bits(&stream, bits)};
        current.units = decimal_in_range(current.units) ? current.units : 0;
        struct trend_input input = {.aggregation =
                                        (enum aggregation)stream_below(&stream, AGGREGATIONS_COUNT),
                                    .days_count = days_count,
                                    .next_days_count = 28 + (size_t)stream_below(&stream, 4),
                                    .days_with_data = (size_t)stream_below(&stream, days_count + 1),
                                    .current = current};
        struct recompute_series series = {.aggregation = input.aggregation,
                                          .days = others,
                                          .days_count = days_count,
                                          .next_days_count = input.next_days_count,
                                          .days_with_data = input.days_with_data,
                                          .current = current};
        struct trend expected;
        struct recompute_trend actual;
        struct trend_days runs;
        trend_days_start(&runs, days_count);
        for (size_t day = 0; day < days_count; day++) {
            assert_true(trend_days_put(&runs, (int64_t)day, 1, days[day]));
        }
        trend_fit(&input, &runs, &expected);
        recompute_trend(&series, &actual);
        assert_same_trend(&expected, &actual);
        assert_int_equal(actual.has_line, trend_has_line(days_count, input.days_with_data));
        if (actual.has_line) {
            struct trend_moments moments;
            trend_measure(&runs, &moments);
            assert_same_moments(&moments, &actual);
        }
        projected += expected.has_r_squared && !decimal_is_zero(expected.projected) ? 1 : 0;
    }
    assert_true(projected > ROUNDS / 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written_as_decimals),
        cmocka_unit_test(the_two_examples_cost_25_dollars_each),
        cmocka_unit_test(half_an_increment_is_rounded_up_and_less_down),
        cmocka_unit_test(the_exact_cost_is_rounded_at_15_decimals),
        cmocka_unit_test(own_limits_beat_the_prices),
        cmocka_unit_test(graduated_charges_each_part_in_its_tier),
        cmocka_unit_test(volume_charges_all_in_the_tier_it_falls_in),
        cmocka_unit_test(package_charges_what_is_begun),
        cmocka_unit_test(prices_that_no_rule_allows_are_refused),
        cmocka_unit_test(the_cap_goes_by_largest_remainder),
        cmocka_unit_test(flows_of_both_signs_never_bill_below_zero),
        cmocka_unit_test(averages_are_rounded_once_at_the_end),
        cmocka_unit_test(both_ways_to_rate_agree_on_random_prices),
        cmocka_unit_test(both_ways_to_cap_agree_on_random_costs),
        cmocka_unit_test(tiers_are_told_one_by_one),
        cmocka_unit_test(a_trend_is_the_textbooks_line),
        cmocka_unit_test(both_ways_to_fit_agree_on_random_days),
    };
    return cmocka_run_group_tests(tests, create_arena, destroy_arena);
}
