#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rating/daily.h"
#include "support/scratch.h"

enum { DAYS_COUNT_OF_PERIOD = 5, FIRST_DATE = 20000 };

/* The tables by day of series 3 (flow), 4 (unique) and 7 (level). */
struct tables {
    struct table *days;
    struct table *keys;
    struct table *levels;
};

static struct decimal whole(int64_t value) {
    struct decimal decimal;
    (void)decimal_from_int64(value, &decimal);
    return decimal;
}

static struct table_writer *begin(const struct table_schema *schema) {
    struct err err = {0};
    struct table_writer *writer = NULL;
    assert_true(table_writer_create(sys_real(), schema->name, schema, NULL, 0, &writer, &err));
    return writer;
}

static struct table *finish(const struct table_schema *schema, struct table_writer *writer) {
    struct err err = {0};
    struct table_seal seal;
    struct table *table = NULL;
    assert_true(table_writer_commit(writer, &seal, &err));
    assert_true(table_open(sys_real(), schema->name, schema, &table, &err));
    return table;
}

static void put_day(struct table_writer *writer, int64_t series, int32_t day, int64_t sum,
                    int64_t count) {
    struct err err = {0};
    table_put_int64(writer, DAYS_SERIES, series);
    table_put_date(writer, DAYS_DAY, FIRST_DATE + day);
    table_put_decimal(writer, DAYS_SUM, whole(sum));
    table_put_int64(writer, DAYS_COUNT, count);
    assert_true(table_end_row(writer, &err));
}

static void put_level(struct table_writer *writer, int32_t day, const struct decimal *closing) {
    struct err err = {0};
    table_put_int64(writer, LEVELS_SERIES, 7);
    table_put_date(writer, LEVELS_DAY, FIRST_DATE + day);
    if (closing != NULL) {
        table_put_decimal(writer, LEVELS_CLOSING, *closing);
        table_put_decimal(writer, LEVELS_HIGHEST, *closing);
    }
    table_put_decimal(writer, LEVELS_SHARE, DECIMAL_ZERO);
    table_put_int64(writer, LEVELS_SHARE_REMAINDER, 0);
    assert_true(table_end_row(writer, &err));
}

static int make_tables(void **state) {
    static struct tables tables;
    struct err err = {0};
    if (scratch_setup(state) != 0) {
        return -1;
    }
    struct table_writer *days = begin(&checkpoint_days);
    put_day(days, 3, 1, 40, 2);
    put_day(days, 3, 4, -6, 3);
    put_day(days, 4, 2, 9, 5);
    tables.days = finish(&checkpoint_days, days);
    struct table_writer *keys = begin(&checkpoint_keys);
    table_put_int64(keys, KEYS_SERIES, 4);
    table_put_date(keys, KEYS_DAY, FIRST_DATE + 2);
    table_put_int64(keys, KEYS_KEYS, 8);
    assert_true(table_end_row(keys, &err));
    tables.keys = finish(&checkpoint_keys, keys);
    struct table_writer *levels = begin(&checkpoint_levels);
    const struct decimal closings[] = {whole(11), whole(13)};
    put_level(levels, 0, &closings[0]);
    put_level(levels, 2, NULL);
    put_level(levels, 3, &closings[1]);
    tables.levels = finish(&checkpoint_levels, levels);
    *state = &tables;
    return 0;
}

static int drop_tables(void **state) {
    struct tables *tables = *state;
    table_close(tables->days);
    table_close(tables->keys);
    table_close(tables->levels);
    return scratch_teardown(state);
}

static void assert_filled(struct daily_walk *walk, int64_t series, enum aggregation aggregation,
                          const int64_t expected[DAYS_COUNT_OF_PERIOD]) {
    struct decimal quantities[DAYS_COUNT_OF_PERIOD];
    for (size_t day = 0; day < DAYS_COUNT_OF_PERIOD; day++) {
        quantities[day] = whole(77);
    }
    assert_true(
        daily_walk_fill(walk, series, aggregation, FIRST_DATE, DAYS_COUNT_OF_PERIOD, quantities));
    for (size_t day = 0; day < DAYS_COUNT_OF_PERIOD; day++) {
        assert_true(decimal_compare(quantities[day], whole(expected[day])) == 0);
    }
}

static struct daily_walk start(const struct tables *tables) {
    return daily_walk_start(tables->days, tables->keys, tables->levels);
}

static void days_without_a_row_are_zero_and_levels_hold(void **state) {
    struct daily_walk walk = start(*state);
    struct err err = {0};
    assert_filled(&walk, 3, AGGREGATION_SUM, (const int64_t[]){0, 40, 0, 0, -6});
    assert_filled(&walk, 4, AGGREGATION_UNIQUE, (const int64_t[]){0, 0, 8, 0, 0});
    assert_filled(&walk, 7, AGGREGATION_LAST, (const int64_t[]){11, 11, 0, 13, 13});
    assert_true(daily_walk_end(&walk, &err));
}

static void a_count_counts_events(void **state) {
    struct daily_walk walk = start(*state);
    assert_filled(&walk, 3, AGGREGATION_COUNT, (const int64_t[]){0, 2, 0, 0, 3});
}

static void one_series_can_be_gone_to(void **state) {
    struct daily_walk walk = start(*state);
    daily_walk_to(&walk, 4);
    assert_filled(&walk, 4, AGGREGATION_UNIQUE, (const int64_t[]){0, 0, 8, 0, 0});
}

static void rows_that_nobody_takes_are_damage(void **state) {
    struct daily_walk walk = start(*state);
    struct err err = {0};
    assert_filled(&walk, 3, AGGREGATION_SUM, (const int64_t[]){0, 40, 0, 0, -6});
    assert_filled(&walk, 7, AGGREGATION_LAST, (const int64_t[]){11, 11, 0, 13, 13});
    assert_false(daily_walk_end(&walk, &err));
    assert_int_equal(err.code, ERR_DAMAGED);
    assert_non_null(strstr(err.message, "series 4"));
    err_release(&err);
}

static void a_day_of_another_period_is_refused(void **state) {
    struct daily_walk walk = start(*state);
    struct decimal quantities[DAYS_COUNT_OF_PERIOD];
    assert_false(daily_walk_fill(&walk, 3, AGGREGATION_SUM, FIRST_DATE, 4, quantities));
    walk = start(*state);
    assert_false(daily_walk_fill(&walk, 3, AGGREGATION_SUM, FIRST_DATE + 2, DAYS_COUNT_OF_PERIOD,
                                 quantities));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(days_without_a_row_are_zero_and_levels_hold, make_tables,
                                        drop_tables),
        cmocka_unit_test_setup_teardown(a_count_counts_events, make_tables, drop_tables),
        cmocka_unit_test_setup_teardown(one_series_can_be_gone_to, make_tables, drop_tables),
        cmocka_unit_test_setup_teardown(rows_that_nobody_takes_are_damage, make_tables,
                                        drop_tables),
        cmocka_unit_test_setup_teardown(a_day_of_another_period_is_refused, make_tables,
                                        drop_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
