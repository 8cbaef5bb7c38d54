#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "rating/rated.h"
#include "support/scratch.h"

/* Plan gold had two prices when it was first sealed, and has three now. */
static const struct terms_price old_gold[] = {
    {.metric = {"runs", 4}},
    {.metric = {"tokens", 6}},
};
static const struct terms_price gold[] = {
    {.metric = {"runs", 4}},
    {.metric = {"storage_bytes", 13}},
    {.metric = {"tokens", 6}},
};
static const struct terms_price tin[] = {
    {.metric = {"tokens", 6}},
};
static const struct terms_plan plans[] = {
    {.terms = 1, .plan_id = {"gold", 4}, .prices = old_gold, .prices_count = 2},
    {.terms = 2, .plan_id = {"gold", 4}, .prices = gold, .prices_count = 3},
    {.terms = 2, .plan_id = {"tin", 3}, .prices = tin, .prices_count = 1},
};
static const struct terms terms = {.plans = plans, .plans_count = 3};

/* --- tables -------------------------------------------------------------------------------------
 */

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

/* Whatever a row needs and the walk does not look at. */
static void end_row(struct table_writer *writer, const struct table_schema *schema) {
    struct err err = {0};
    for (size_t column = 0; column < schema->columns_count; column++) {
        if (schema->columns[column].is_nullable || (writer->columns_put >> column & 1) != 0) {
            continue;
        }
        switch (schema->columns[column].type) {
        case TABLE_DECIMAL:
            table_put_decimal(writer, column, DECIMAL_ZERO);
            break;
        case TABLE_UTF8:
            table_put_text(writer, column, text_from("any"));
            break;
        case TABLE_INT64:
            table_put_int64(writer, column, 7);
            break;
        case TABLE_TIMESTAMP:
            table_put_instant(writer, column, (struct instant){0});
            break;
        case TABLE_DATE:
            table_put_date(writer, column, 20000);
            break;
        case TABLE_BOOL:
            table_put_bool(writer, column, true);
            break;
        }
    }
    assert_true(table_end_row(writer, &err));
}

struct org_row {
    const char *org_id;
    int64_t version;
    const char *plan_id; /* NULL: none */
    const char *reason;  /* NULL: it is rated */
};

static struct table *make_orgs(const struct org_row *rows, size_t rows_count) {
    struct table_writer *writer = begin(&checkpoint_orgs);
    for (size_t index = 0; index < rows_count; index++) {
        table_put_text(writer, ORGS_ORG_ID, text_from(rows[index].org_id));
        table_put_int64(writer, ORGS_TERMS, rows[index].version);
        if (rows[index].plan_id != NULL) {
            table_put_text(writer, ORGS_PLAN_ID, text_from(rows[index].plan_id));
        }
        if (rows[index].reason != NULL) {
            table_put_text(writer, ORGS_REASON, text_from(rows[index].reason));
        }
        end_row(writer, &checkpoint_orgs);
    }
    return finish(&checkpoint_orgs, writer);
}

struct key {
    const char *org_id;
    const char *metric;
};

/* A table whose first two columns are org_id and metric; a row's soft limit is its number. */
static struct table *make_keys(const struct table_schema *schema, const struct key *keys,
                               size_t keys_count) {
    struct table_writer *writer = begin(schema);
    for (size_t index = 0; index < keys_count; index++) {
        table_put_text(writer, 0, text_from(keys[index].org_id));
        table_put_text(writer, 1, text_from(keys[index].metric));
        if (schema == &checkpoint_limits) {
            table_put_decimal(writer, LIMITS_SOFT_LIMIT, (struct decimal){(int128)index + 1});
        }
        end_row(writer, schema);
    }
    return finish(schema, writer);
}

static const struct org_row org_rows[] = {
    {"ant", 1, "gold", NULL},
    {"bee", 2, "tin", "two_plans"},
    {"cat", 2, "gold", NULL},
    {"dog", 2, "tin", NULL},
};

static const struct key usage_keys[] = {
    {"ant", "runs"},          {"ant", "tokens"}, {"cat", "runs"},
    {"cat", "storage_bytes"}, {"cat", "tokens"}, {"dog", "tokens"},
};

enum { ORGS_COUNT = 4, USAGE_COUNT = 6 };

/* --- tests --------------------------------------------------------------------------------------
 */

static void rated_orgs_come_with_the_prices_of_their_plan_and_its_version(void **state) {
    (void)state;
    struct err err = {0};
    struct table *orgs = make_orgs(org_rows, ORGS_COUNT);
    struct table *usage = make_keys(&checkpoint_usage, usage_keys, USAGE_COUNT);
    struct rated_walk walk = rated_walk_start(&terms, orgs);
    rated_walk_usage(&walk, usage);
    size_t found = 0;
    while (rated_walk_next_org(&walk, &err)) {
        while (rated_walk_next_price(&walk, &err)) {
            assert_true(found < USAGE_COUNT);
            assert_true(text_equals(walk.org_id, text_from(usage_keys[found].org_id)));
            assert_true(text_equals(walk.price->metric, text_from(usage_keys[found].metric)));
            assert_true(text_equals(table_get_text(&walk.usage, USAGE_METRIC), walk.price->metric));
            found++;
        }
    }
    assert_int_equal(err.code, ERR_NONE);
    assert_int_equal(found, USAGE_COUNT);
    table_close(orgs);
    table_close(usage);
}

static void an_org_that_is_set_aside_has_no_plan_and_no_prices(void **state) {
    (void)state;
    struct err err = {0};
    struct table *orgs = make_orgs(org_rows, ORGS_COUNT);
    struct rated_walk walk = rated_walk_start(&terms, orgs);
    const struct terms_plan *const expected[] = {&plans[0], NULL, &plans[1], &plans[2]};
    for (size_t index = 0; index < ORGS_COUNT; index++) {
        assert_true(rated_walk_next_any(&walk, &err));
        assert_true(text_equals(walk.org_id, text_from(org_rows[index].org_id)));
        assert_ptr_equal(walk.plan, expected[index]);
        assert_null(walk.price);
        size_t prices_count = 0;
        while (rated_walk_next_price(&walk, &err)) {
            prices_count++;
        }
        assert_int_equal(prices_count, expected[index] == NULL ? 0 : expected[index]->prices_count);
    }
    assert_false(rated_walk_next_any(&walk, &err));
    assert_int_equal(err.code, ERR_NONE);
    table_close(orgs);
}

/* What the limits say of each price: the number of the row, 0 for none. */
static void assert_sides(const struct key *keys, size_t keys_count, const int *expected) {
    enum { SIDE_NOTHING = 1, SIDE_LIMITS = 3 };
    struct err err = {0};
    struct table *orgs = make_orgs(org_rows, ORGS_COUNT);
    struct table *limits = make_keys(&checkpoint_limits, keys, keys_count);
    struct rated_walk walk = rated_walk_start(&terms, orgs);
    rated_walk_beside(&walk, SIDE_NOTHING, NULL);
    rated_walk_beside(&walk, SIDE_LIMITS, limits);
    size_t found = 0;
    while (rated_walk_next_org(&walk, &err)) {
        while (rated_walk_next_price(&walk, &err)) {
            struct limits row = rated_limits(&walk.sides[SIDE_LIMITS]);
            assert_int_equal(row.has_soft_limit, expected[found] != 0);
            assert_int_equal((int64_t)row.soft_limit.units, expected[found]);
            assert_false(walk.sides[SIDE_NOTHING].is_here);
            found++;
        }
    }
    assert_int_equal(err.code, ERR_NONE);
    assert_int_equal(found, USAGE_COUNT);
    table_close(orgs);
    table_close(limits);
}

static void a_row_beside_belongs_to_its_org_and_metric_alone(void **state) {
    (void)state;
    static const struct key keys[] = {
        {"aaa", "runs"},      /* an org that is not there, before all */
        {"ant", "tokens"},    /* its last price, and its second */
        {"bee", "tokens"},    /* set aside */
        {"cat", "api_calls"}, /* a metric without a price, before the first */
        {"cat", "runs"},         {"cat", "storage_bytesx"}, /* one that another begins */
        {"cat", "zzz"},                                     /* after the last */
        {"cat\xc3\xa9", "runs"},                            /* an org between two */
        {"dog", "token"},                                   /* a beginning of a metric */
        {"dog", "tokens"},       {"eel", "tokens"},         /* after all */
    };
    static const int expected[USAGE_COUNT] = {0, 2, 5, 0, 0, 10};
    assert_sides(keys, sizeof keys / sizeof keys[0], expected);
}

static void of_several_rows_of_a_key_the_first_is_at_hand(void **state) {
    (void)state;
    static const struct key keys[] = {
        {"ant", "runs"}, {"ant", "runs"},   {"ant", "tokens"},
        {"cat", "runs"}, {"cat", "tokens"}, {"cat", "tokens"},
    };
    static const int expected[USAGE_COUNT] = {1, 3, 4, 0, 5, 0};
    assert_sides(keys, sizeof keys / sizeof keys[0], expected);
}

static void a_table_beside_may_have_no_rows(void **state) {
    (void)state;
    static const int expected[USAGE_COUNT] = {0};
    assert_sides(NULL, 0, expected);
}

/* The walk ends at the first price whose usage is not there, and names it. */
static void assert_mismatch(const struct key *keys, size_t keys_count, const char *named) {
    struct err err = {0};
    struct table *orgs = make_orgs(org_rows, ORGS_COUNT);
    struct table *usage = make_keys(&checkpoint_usage, keys, keys_count);
    struct rated_walk walk = rated_walk_start(&terms, orgs);
    rated_walk_usage(&walk, usage);
    while (err.code == ERR_NONE && rated_walk_next_org(&walk, &err)) {
        while (rated_walk_next_price(&walk, &err)) {
        }
    }
    assert_int_equal(err.code, ERR_MISMATCH);
    assert_non_null(strstr(err.message, named));
    err_release(&err);
    table_close(orgs);
    table_close(usage);
}

static void usage_that_is_not_in_step_is_told(void **state) {
    (void)state;
    static const struct key missing[] = {{"ant", "runs"}, {"cat", "runs"}};
    static const struct key of_another[] = {{"ant", "runs"}, {"bee", "tokens"}};
    static const struct key too_many[] = {{"ant", "api_calls"}, {"ant", "runs"}};
    assert_mismatch(missing, 2, "org 'ant', metric 'tokens'");
    assert_mismatch(of_another, 2, "org 'ant', metric 'tokens'");
    assert_mismatch(too_many, 2, "org 'ant', metric 'runs'");
    assert_mismatch(usage_keys, USAGE_COUNT - 1, "org 'dog', metric 'tokens'");
}

/* Every way to cut the orgs in two, each part with what the whole walk says of its orgs. */
static void a_range_of_orgs_has_their_rows_and_no_others(void **state) {
    (void)state;
    static const struct key keys[] = {
        {"aaa", "runs"}, {"ant", "runs"},          {"bee", "tokens"},
        {"cat", "runs"}, {"cat", "storage_bytes"}, {"dog", "tokens"},
    };
    static const int expected[USAGE_COUNT] = {2, 0, 4, 5, 0, 6};
    static const size_t prices_before[ORGS_COUNT + 1] = {0, 2, 2, 5, 6};
    struct err err = {0};
    struct table *orgs = make_orgs(org_rows, ORGS_COUNT);
    struct table *usage = make_keys(&checkpoint_usage, usage_keys, USAGE_COUNT);
    struct table *limits = make_keys(&checkpoint_limits, keys, sizeof keys / sizeof keys[0]);
    struct rated_walk walk = rated_walk_start(&terms, orgs);
    rated_walk_usage(&walk, usage);
    rated_walk_beside(&walk, 0, limits);
    rated_walk_beside(&walk, 1, NULL);
    for (size_t from = 0; from <= ORGS_COUNT; from++) {
        for (size_t until = from; until <= ORGS_COUNT; until++) {
            rated_walk_range(&walk, from, until);
            size_t found = prices_before[from];
            size_t found_orgs = from;
            while (rated_walk_next_any(&walk, &err)) {
                assert_true(text_equals(walk.org_id, text_from(org_rows[found_orgs++].org_id)));
                while (rated_walk_next_price(&walk, &err)) {
                    assert_int_equal((int64_t)rated_limits(&walk.sides[0]).soft_limit.units,
                                     expected[found]);
                    found++;
                }
            }
            assert_int_equal(err.code, ERR_NONE);
            assert_int_equal(found_orgs, until);
            assert_int_equal(found, prices_before[until]);
            rated_walk_more(&walk, 1);
            assert_int_equal(rated_walk_next_any(&walk, &err), until < ORGS_COUNT);
        }
    }
    table_close(orgs);
    table_close(usage);
    table_close(limits);
}

static void a_plan_that_is_not_sealed_is_damage(void **state) {
    (void)state;
    static const struct org_row rows[] = {{"ant", 1, "gold", NULL}, {"bee", 1, "tin", NULL}};
    struct err err = {0};
    struct table *orgs = make_orgs(rows, 2);
    struct rated_walk walk = rated_walk_start(&terms, orgs);
    assert_true(rated_walk_next_org(&walk, &err));
    assert_false(rated_walk_next_org(&walk, &err));
    assert_int_equal(err.code, ERR_DAMAGED);
    assert_non_null(strstr(err.message, "'tin'"));
    err_release(&err);
    table_close(orgs);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(rated_orgs_come_with_the_prices_of_their_plan_and_its_version),
        TEST(an_org_that_is_set_aside_has_no_plan_and_no_prices),
        TEST(a_row_beside_belongs_to_its_org_and_metric_alone),
        TEST(of_several_rows_of_a_key_the_first_is_at_hand),
        TEST(a_table_beside_may_have_no_rows),
        TEST(usage_that_is_not_in_step_is_told),
        TEST(a_range_of_orgs_has_their_rows_and_no_others),
        TEST(a_plan_that_is_not_sealed_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
