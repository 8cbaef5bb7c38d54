#include "numbers.h"

#include "rating/charge.h"

static int create_arena(void **state) {
    struct err err = {0};
    *state = arena_create(&err);
    return *state == NULL ? -1 : 0;
}

static int destroy_arena(void **state) {
    arena_destroy(*state);
    return 0;
}

static struct capped_cost cost_of(const char *metric, const char *uncapped) {
    return (struct capped_cost){
        .metric = text_from(metric),
        .uncapped_cost = dec(uncapped),
        .cost = {-77},
    };
}

static void cap(struct capped_cost *costs, size_t count, const char *cap_text, const char *currency,
                void **state) {
    struct err err = {0};
    if (!charge_cap(costs, count, dec(cap_text), currency_find(text_from(currency)), *state,
                    &err)) {
        fail_msg("%s", err.message);
    }
}

static void costs_under_the_cap_stay_as_they_are(void **state) {
    struct capped_cost costs[] = {cost_of("runs", "12.34"), cost_of("tokens", "7.66")};
    cap(costs, 2, "20.01", "usd", state);
    assert_decimal(costs[0].cost, "12.34");
    assert_decimal(costs[1].cost, "7.66");
    cap(costs, 2, "20", "usd", state); /* as much as the cap is not more */
    assert_decimal(costs[0].cost, "12.34");
    cap(costs, 0, "3", "usd", state);
}

static void costs_over_the_cap_are_cut_pro_rata_and_add_up_to_it(void **state) {
    struct capped_cost costs[] = {cost_of("runs", "60"), cost_of("tokens", "40")};
    cap(costs, 2, "10", "usd", state);
    assert_decimal(costs[0].cost, "6");
    assert_decimal(costs[1].cost, "4");
}

static void the_largest_remainder_gets_the_cent_left_over(void **state) {
    /* Fair shares of 5 cents: 2.142…, 1.428…, 1.428… of 3, 2, 2: floors 2 + 1 + 1, one left over.
     */
    struct capped_cost costs[] = {cost_of("a", "0.03"), cost_of("c", "0.02"), cost_of("b", "0.02")};
    cap(costs, 3, "0.05", "usd", state);
    assert_decimal(costs[0].cost, "0.02");
    assert_decimal(costs[1].cost, "0.01");
    assert_decimal(costs[2].cost, "0.02"); /* a tie: b before c, by bytes */
}

static void ties_go_by_the_bytes_of_the_metric(void **state) {
    struct capped_cost costs[] = {cost_of("\xc3\xa9", "1"), cost_of("z", "1"), cost_of("Z", "1"),
                                  cost_of("za", "1")};
    cap(costs, 4, "0.03", "usd", state); /* 0.75 cents each */
    assert_decimal(costs[2].cost, "0.01");
    assert_decimal(costs[1].cost, "0.01");
    assert_decimal(costs[3].cost, "0.01");
    assert_decimal(costs[0].cost, "0"); /* e acute: the highest byte, whatever a locale says */
}

static void a_metric_without_cost_gets_nothing(void **state) {
    struct capped_cost costs[] = {cost_of("a", "0"), cost_of("b", "0.02"), cost_of("c", "0.02"),
                                  cost_of("d", "0")};
    cap(costs, 4, "0.03", "usd", state);
    assert_decimal(costs[0].cost, "0");
    assert_decimal(costs[1].cost, "0.02");
    assert_decimal(costs[2].cost, "0.01");
    assert_decimal(costs[3].cost, "0");
}

static void a_cap_of_zero_bills_nothing(void **state) {
    struct capped_cost costs[] = {cost_of("a", "3.21"), cost_of("b", "0")};
    cap(costs, 2, "0", "usd", state);
    assert_decimal(costs[0].cost, "0");
    assert_decimal(costs[1].cost, "0");
}

static void shares_are_counted_in_the_currency_s_increment(void **state) {
    struct capped_cost costs[] = {cost_of("a", "7"), cost_of("b", "6"), cost_of("c", "5")};
    cap(costs, 3, "10", "jpy", state); /* 3.88…, 3.33…, 2.77… */
    assert_decimal(costs[0].cost, "4");
    assert_decimal(costs[1].cost, "3");
    assert_decimal(costs[2].cost, "3");
    struct capped_cost dinars[] = {cost_of("a", "0.07"), cost_of("b", "0.06")};
    cap(dinars, 2, "0.05", "kwd", state); /* increments of 0.010: 2.69…, 2.30… */
    assert_decimal(dinars[0].cost, "0.03");
    assert_decimal(dinars[1].cost, "0.02");
}

static void costs_as_large_as_decimals_go_are_spread_exactly(void **state) {
    static const char *const most = "99999999999999999999999.99";
    struct capped_cost costs[] = {cost_of("a", most), cost_of("b", most), cost_of("c", "0.01")};
    /* The total is no decimal, and need not be. Remainders: a quarter, a quarter, nearly a half. */
    cap(costs, 3, most, "usd", state);
    assert_decimal(costs[0].cost, "49999999999999999999999.99");
    assert_decimal(costs[1].cost, "49999999999999999999999.99");
    assert_decimal(costs[2].cost, "0.01");
}

/* Each within one increment of its exact share, never above its own cost, together the cap. */
static void costs_add_up_to_the_cap_in_any_order(void **state) {
    enum { ROUNDS = 3000, METRICS = 6 };
    static const char *const metrics[METRICS] = {"a", "aa", "b", "c", "d", "e"};
    const int128 cent = DECIMAL_ONE.units / 100;
    struct stream stream = stream_start("cap");
    for (int round = 0; round < ROUNDS; round++) {
        struct capped_cost costs[METRICS];
        struct capped_cost turned[METRICS];
        unsigned bits = 1 + (unsigned)stream_below(&stream, 80);
        int128 total = 0;
        for (size_t metric = 0; metric < METRICS; metric++) {
            int128 cents = stream_bits(&stream, (unsigned)stream_below(&stream, bits));
            costs[metric] = cost_of(metrics[metric], "0");
            costs[metric].uncapped_cost.units = cents * cent;
            total += cents;
        }
        int128 limit = total == 0 ? 0 : stream_bits(&stream, 120) % (total + total / 8 + 2);
        size_t turn = stream_below(&stream, METRICS);
        for (size_t metric = 0; metric < METRICS; metric++) {
            turned[metric] = costs[(metric + turn) % METRICS];
        }
        struct err err = {0};
        const struct currency *usd = currency_find(text_from("usd"));
        struct decimal limit_units = {limit * cent};
        assert_true(charge_cap(costs, METRICS, limit_units, usd, *state, &err));
        assert_true(charge_cap(turned, METRICS, limit_units, usd, *state, &err));
        int128 sum = 0;
        for (size_t metric = 0; metric < METRICS; metric++) {
            const struct capped_cost *one = &costs[(metric + turn) % METRICS];
            assert_true(one->cost.units == turned[metric].cost.units);
            assert_true(one->cost.units >= 0 && one->cost.units <= one->uncapped_cost.units);
            assert_true(one->cost.units % cent == 0);
            sum += one->cost.units / cent;
            if (total > limit) {
                /* floor <= granted <= floor + 1 */
                struct school rest;
                struct school fair =
                    school_times(school_from(one->uncapped_cost.units / cent), limit);
                struct school floor_of = school_divide_sizes(&fair, school_from(total), &rest);
                struct school granted = school_from(-(one->cost.units / cent));
                struct school above = school_negate(school_add(floor_of, granted));
                struct school single = school_from(1);
                assert_true(school_is_zero(&above) ||
                            (!above.is_negative && school_compare_size(&above, &single) == 0));
            }
        }
        assert_true(sum == (total > limit ? limit : total));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_under_the_cap_stay_as_they_are),
        cmocka_unit_test(costs_over_the_cap_are_cut_pro_rata_and_add_up_to_it),
        cmocka_unit_test(the_largest_remainder_gets_the_cent_left_over),
        cmocka_unit_test(ties_go_by_the_bytes_of_the_metric),
        cmocka_unit_test(a_metric_without_cost_gets_nothing),
        cmocka_unit_test(a_cap_of_zero_bills_nothing),
        cmocka_unit_test(shares_are_counted_in_the_currency_s_increment),
        cmocka_unit_test(costs_as_large_as_decimals_go_are_spread_exactly),
        cmocka_unit_test(costs_add_up_to_the_cap_in_any_order),
    };
    return cmocka_run_group_tests(tests, create_arena, destroy_arena);
}
