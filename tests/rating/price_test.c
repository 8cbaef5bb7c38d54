#include "numbers.h"

#include "rating/price.h"

static void every_aggregation_is_found_by_its_name(void **state) {
    (void)state;
    static const struct {
        const char *name;
        enum aggregation aggregation;
        bool is_level;
    } rows[] = {
        {"sum", AGGREGATION_SUM, false},       {"count", AGGREGATION_COUNT, false},
        {"max", AGGREGATION_MAX, true},        {"last", AGGREGATION_LAST, true},
        {"unique", AGGREGATION_UNIQUE, false}, {"time_weighted", AGGREGATION_TIME_WEIGHTED, true},
    };
    assert_int_equal(sizeof rows / sizeof rows[0], AGGREGATIONS_COUNT);
    for (size_t row = 0; row < AGGREGATIONS_COUNT; row++) {
        enum aggregation found = AGGREGATIONS_COUNT;
        assert_true(aggregation_find(text_from(rows[row].name), &found));
        assert_int_equal(found, rows[row].aggregation);
        assert_int_equal(aggregation_table[found].is_level, rows[row].is_level);
    }
}

static void every_model_is_found_by_its_name_and_says_what_it_needs(void **state) {
    (void)state;
    static const struct {
        const char *name;
        enum model model;
        bool unit_price;
        bool package_size;
        bool tiers;
    } rows[] = {
        {"per_unit", MODEL_PER_UNIT, true, false, false},
        {"graduated", MODEL_GRADUATED, false, false, true},
        {"volume", MODEL_VOLUME, false, false, true},
        {"package", MODEL_PACKAGE, true, true, false},
    };
    assert_int_equal(sizeof rows / sizeof rows[0], MODELS_COUNT);
    for (size_t row = 0; row < MODELS_COUNT; row++) {
        enum model found = MODELS_COUNT;
        assert_true(model_find(text_from(rows[row].name), &found));
        assert_int_equal(found, rows[row].model);
        assert_int_equal(model_table[found].needs_unit_price, rows[row].unit_price);
        assert_int_equal(model_table[found].needs_package_size, rows[row].package_size);
        assert_int_equal(model_table[found].needs_tiers, rows[row].tiers);
        assert_non_null(model_table[found].cost);
    }
}

static void a_name_that_is_not_exactly_in_a_table_is_not_found(void **state) {
    (void)state;
    static const char *const names[] = {"", "Sum", "su", "sums", "per-unit", "per_unit ", "tiered"};
    for (size_t name = 0; name < sizeof names / sizeof names[0]; name++) {
        enum aggregation aggregation = AGGREGATION_UNIQUE;
        enum model model = MODEL_PACKAGE;
        assert_false(aggregation_find(text_from(names[name]), &aggregation));
        assert_false(model_find(text_from(names[name]), &model));
        assert_int_equal(aggregation, AGGREGATION_UNIQUE);
        assert_int_equal(model, MODEL_PACKAGE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_aggregation_is_found_by_its_name),
        cmocka_unit_test(every_model_is_found_by_its_name_and_says_what_it_needs),
        cmocka_unit_test(a_name_that_is_not_exactly_in_a_table_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
