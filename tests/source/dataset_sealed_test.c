/* A revision: what was sealed with the run before beats today's dataset. */
#include "dataset_fixture.h"

struct sealed_run {
    struct table *orgs;
    struct table *limits;
    struct sealed_terms terms;
};

/* Closes the fixture's dataset as it stands and opens its tables as the run before. */
static void seal(struct fixture *fixture, const char *name, struct sealed_run *run) {
    char folder[FILE_PATH_MAX];
    assert_true(path_format(folder, &fixture->err, "%s/%s", fixture->folder.path, name));
    fixture_load(fixture);
    catalog_settle(dataset_catalog(fixture->dataset));
    fixture_write_tables(fixture, folder);
    fixture_forget(fixture);
    run->orgs = fixture_open(fixture, folder, FIXTURE_ORGS);
    run->limits = fixture_open(fixture, folder, FIXTURE_LIMITS);
    run->terms = (struct sealed_terms){
        .orgs = &run->orgs,
        .limits = &run->limits,
        .shards_count = 1,
        .plans = fixture_open(fixture, folder, FIXTURE_PLANS),
        .prices = fixture_open(fixture, folder, FIXTURE_PRICES),
        .tiers = fixture_open(fixture, folder, FIXTURE_TIERS),
    };
    fixture->options.sealed = &run->terms;
}

static void unseal(struct fixture *fixture, struct sealed_run *run) {
    fixture_forget(fixture);
    table_close(run->orgs);
    table_close(run->limits);
    table_close(run->terms.plans);
    table_close(run->terms.prices);
    table_close(run->terms.tiers);
}

static const char *tables_folder(struct fixture *fixture, const char *name) {
    static char path[FILE_PATH_MAX];
    assert_true(path_format(path, &fixture->err, "%s/%s", fixture->folder.path, name));
    return path;
}

static void rated_orgs_keep_their_terms_the_others_get_todays(void **state) {
    struct fixture *fixture = *state;
    struct sealed_run before;
    /* initech was not subscribed then, and is set aside no more. */
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\nacme,pro\nglobex,team\n");
    seal(fixture, "first", &before);
    fixture_write(fixture, "orgs.csv",
                  "org_id,name,status,currency,timezone,anchor_day,overage_enabled,overage_cap\n"
                  "acme,New,active,eur,Asia/Tokyo,9,false,7\n"
                  "globex,,suspended,,,,,\ninitech,,,,,,,\n");
    fixture_write(fixture, "prices.csv",
                  "plan_id,metric,included,unit_price\npro,tokens,5,9\nteam,runs,6,8\n");
    fixture_remove(fixture, "tiers.csv");
    fixture_write(fixture, "limits.csv",
                  "org_id,metric,soft_limit\nacme,tokens,1\ninitech,tokens,33\n");
    fixture_write(fixture, "subscriptions.csv",
                  "org_id,plan_id,starts_at\nacme,team,2026-10-11T00:00:00Z\nglobex,team,\n"
                  "initech,pro,\n");
    fixture_load(fixture);
    catalog_settle(dataset_catalog(fixture->dataset));
    const char *folder = tables_folder(fixture, "second");
    fixture_write_tables(fixture, folder);
    assert_string_equal(
        fixture_tell(fixture, folder, FIXTURE_ORGS),
        "acme|New|active|usd|UTC|1|2026-10-01T00:00:00Z|2026-11-01T00:00:00Z|"
        "2026-10-01|31|30|21|pro|1|false|-|-|-|amount|-|rated|-|-|\n"
        "globex|-|suspended|eur|Europe/Berlin|15|2026-10-14T22:00:00Z|2026-11-14T23:00:00Z|"
        "2026-10-15|31|30|31|team|1|true|12.5|-|-|amount|-|rated|-|-|\n"
        "initech|-|active|usd|UTC|1|2026-10-01T00:00:00Z|2026-11-01T00:00:00Z|"
        "2026-10-01|31|30|31|pro|0|true|-|-|-|amount|-|rated|-|-|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_PLANS),
                        "0|pro|-|usd|\n0|team|Team|eur|\n0|yen|Yen|jpy|\n"
                        "1|pro|-|usd|\n1|team|Team|eur|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_PRICES),
                        "0|pro|tokens|sum|per_unit|5|-|9|-|-|\n"
                        "0|team|runs|sum|per_unit|6|-|8|-|-|\n"
                        "1|pro|disk|time_weighted|graduated|10|-|-|-|GB|\n"
                        "1|pro|tokens|sum|per_unit|500000|-|0.0001|-|token|\n"
                        "1|team|runs|count|package|50|900|1.5|25|-|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_TIERS),
                        "1|pro|disk|1|12.5|0.09|0|\n1|pro|disk|2|100|0.05|3|\n"
                        "1|pro|disk|3|-|0.02|0|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_LIMITS),
                        "acme|disk|20|-|\nacme|tokens|-|1000000|\nglobex|runs|70|80.5|\n"
                        "initech|tokens|33|-|\n");
    unseal(fixture, &before);
}

/* In the second run acme is rated by the first one's pro, initech by that day's: the third needs
 * both, under one id. */
static void two_sealed_plans_of_one_id_stay_apart(void **state) {
    struct fixture *fixture = *state;
    struct sealed_run first;
    struct sealed_run second;
    fixture_remove(fixture, "tiers.csv");
    fixture_write(fixture, "orgs.csv", "org_id\nacme\nglobex\ninitech\n");
    fixture_write(fixture, "prices.csv", "plan_id,metric,unit_price\npro,tokens,2\n");
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\nacme,pro\n");
    seal(fixture, "first", &first);
    fixture_write(fixture, "prices.csv", "plan_id,metric,unit_price\npro,tokens,3\n");
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\nacme,pro\ninitech,pro\n");
    seal(fixture, "second", &second);
    fixture_write(fixture, "prices.csv", "plan_id,metric,unit_price\npro,tokens,5\n");
    fixture_write(fixture, "subscriptions.csv",
                  "org_id,plan_id\nacme,pro\ninitech,pro\nglobex,pro\n");
    fixture_load(fixture);
    const char *const ids[] = {"globex", "acme", "initech"};
    const char *const prices[] = {"5", "2", "3"};
    for (size_t index = 0; index < 3; index++) {
        const struct catalog_org *org = fixture_org(fixture, ids[index]);
        struct decimal expected;
        assert_int_equal(decimal_parse(text_from(prices[index]), &expected), DECIMAL_OK);
        assert_int_equal(org->disposition, ORG_RATED);
        assert_int_equal(org->plan->prices_count, 1);
        assert_int_equal(decimal_compare(org->plan->prices[0].price.unit_price, expected), 0);
    }
    assert_int_equal(fixture_org(fixture, "globex")->plan->terms, 0);
    assert_int_equal(fixture_org(fixture, "initech")->plan->terms, 1);
    assert_int_equal(fixture_org(fixture, "acme")->plan->terms, 2);
    const char *folder = tables_folder(fixture, "third");
    fixture_write_tables(fixture, folder);
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_PRICES),
                        "0|pro|tokens|sum|per_unit|0|-|5|-|-|\n"
                        "1|pro|tokens|sum|per_unit|0|-|3|-|-|\n"
                        "2|pro|tokens|sum|per_unit|0|-|2|-|-|\n");
    fixture->options.sealed = NULL;
    fixture_forget(fixture);
    unseal(fixture, &first);
    unseal(fixture, &second);
}

static void a_recorded_period_overlaps_only_what_was_not_rated_before(void **state) {
    struct fixture *fixture = *state;
    struct sealed_run before;
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\nacme,pro\nglobex,team\n");
    seal(fixture, "first", &before);
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\nacme,team\ninitech,yen\n");
    fixture_write(fixture, "usage_history.csv",
                  "org_id,metric,period,quantity\nacme,tokens,2026-10,1\n"
                  "initech,seats,2026-10,1\n");
    fixture_load(fixture);
    assert_int_equal(fixture_org(fixture, "acme")->disposition, ORG_RATED);
    assert_int_equal(fixture_org(fixture, "initech")->reason, ORG_REASON_PERIOD_OVERLAP);
    /* Rated before, without any subscription today: nobody guesses which time to meter. */
    assert_null(fixture_org(fixture, "globex")->plan);
    assert_int_equal(fixture_org(fixture, "globex")->reason, ORG_REASON_NOT_SUBSCRIBED);
    unseal(fixture, &before);
}

static void an_org_that_was_rated_and_is_gone_is_told(void **state) {
    struct fixture *fixture = *state;
    struct sealed_run before;
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\nacme,pro\nglobex,team\n");
    seal(fixture, "first", &before);
    fixture_write(fixture, "orgs.csv", "org_id\nacme\n");
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\nacme,pro\n");
    const char *const copies[] = {"limits.csv", "usage_history.csv", "invitations.csv"};
    for (size_t file = 0; file < 3; file++) {
        fixture_remove(fixture, copies[file]);
    }
    assert_true(dataset_load(sys_real(), &fixture->options, &fixture->dataset, fixture->problems,
                             &fixture->err));
    assert_false(problems_check(fixture->problems, &fixture->err));
    assert_string_equal(fixture->err.details,
                        "orgs.csv: org_id 'globex': was rated by the previous run, but is not "
                        "there any more\n");
    unseal(fixture, &before);
}

static void a_sealed_period_that_is_another_now_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct sealed_run before;
    seal(fixture, "first", &before);
    fixture->options.month = (struct month){2026, 11};
    assert_false(dataset_load(sys_real(), &fixture->options, &fixture->dataset, fixture->problems,
                              &fixture->err));
    assert_int_equal(fixture->err.code, ERR_MISMATCH);
    assert_string_equal(fixture->err.message,
                        "org 'acme': the previous run closed 2026-10-01T00:00:00Z to "
                        "2026-11-01T00:00:00Z, but now the period is 2026-11-01T00:00:00Z to "
                        "2026-12-01T00:00:00Z");
    unseal(fixture, &before);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rated_orgs_keep_their_terms_the_others_get_todays),
        TEST(two_sealed_plans_of_one_id_stay_apart),
        TEST(a_recorded_period_overlaps_only_what_was_not_rated_before),
        TEST(an_org_that_was_rated_and_is_gone_is_told),
        TEST(a_sealed_period_that_is_another_now_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
