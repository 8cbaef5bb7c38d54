#include "support/test_folder.h"

#include "core/memory.h"
#include "source/catalog.h"

static struct decimal whole(int64_t value) {
    struct decimal result;
    (void)decimal_from_int64(value, &result);
    return result;
}

static void every_org_is_found_at_its_rank_and_no_other(void **state) {
    (void)state;
    enum { ORGS = 3000, OTHERS = 700 };
    struct err err = {0};
    static char names[ORGS + OTHERS][16];
    struct catalog_org *orgs = calloc(ORGS, sizeof *orgs);
    struct text others[OTHERS];
    assert_non_null(orgs);
    for (int number = 0; number < ORGS + OTHERS; number++) {
        (void)snprintf(names[number], sizeof names[number], "org-%05d", number);
        if (number < ORGS) {
            orgs[number].org_id = text_from(names[number]);
        } else {
            others[number - ORGS] = text_from(names[number]);
        }
    }
    struct catalog catalog = {.orgs = orgs, .orgs_count = ORGS};
    assert_true(catalog_index_create(&catalog, others, OTHERS, &err));
    for (uint32_t number = 0; number < ORGS + OTHERS; number++) {
        assert_int_equal(catalog_find_org(&catalog, text_from(names[number])),
                         number < ORGS ? number : CATALOG_NOT_SELECTED);
    }
    assert_int_equal(catalog_find_org(&catalog, text_from("org-0000")), CATALOG_NONE);
    assert_int_equal(catalog_find_org(&catalog, text_from("org-000001")), CATALOG_NONE);
    assert_int_equal(catalog_find_org(&catalog, (struct text){0}), CATALOG_NONE);
    catalog_index_release(&catalog);
    catalog_index_release(&catalog);
    free(orgs);
}

static void prices_are_found_by_the_bytes_of_their_metric(void **state) {
    (void)state;
    const struct catalog_price prices[] = {
        {.metric = text_from("Tokens")},
        {.metric = text_from("runs")},
        {.metric = text_from("tokens")},
        {.metric = text_from("tokens_out")},
    };
    const struct catalog_plan plan = {.prices = prices, .prices_count = 4};
    const struct catalog_org org = {.plan = &plan};
    const struct catalog_org stray = {.plan = NULL};
    uint32_t slot = 99;
    for (uint32_t index = 0; index < 4; index++) {
        assert_ptr_equal(catalog_find_price(&org, prices[index].metric, &slot), &prices[index]);
        assert_int_equal(slot, index);
    }
    assert_null(catalog_find_price(&org, text_from("token"), &slot));
    assert_null(catalog_find_price(&org, text_from("a"), &slot));
    assert_null(catalog_find_price(&org, text_from("z"), &slot));
    assert_null(catalog_find_price(&stray, text_from("runs"), &slot));
}

static void openings_are_found_by_org_and_metric(void **state) {
    (void)state;
    const struct catalog_opening openings[] = {
        {.org = 2, .metric = text_from("disk"), .closing_level = whole(5)},
        {.org = 2, .metric = text_from("members"), .closing_level = whole(6)},
        {.org = 7, .metric = text_from("disk"), .closing_level = whole(7)},
    };
    const struct catalog catalog = {.openings = openings, .openings_count = 3};
    for (size_t index = 0; index < 3; index++) {
        const struct decimal *level =
            catalog_find_opening(&catalog, openings[index].org, openings[index].metric);
        assert_ptr_equal(level, &openings[index].closing_level);
    }
    assert_null(catalog_find_opening(&catalog, 7, text_from("members")));
    assert_null(catalog_find_opening(&catalog, 1, text_from("disk")));
    assert_null(catalog_find_opening(&catalog, 8, text_from("disk")));
}

static void active_orgs_without_a_plan_are_set_aside_the_others_listed(void **state) {
    (void)state;
    struct catalog_org orgs[] = {
        {.reason = ORG_REASON_NOT_SUBSCRIBED, .disposition = ORG_LISTED},
        {.reason = ORG_REASON_NOT_SUBSCRIBED, .disposition = ORG_LISTED},
        {.reason = ORG_REASON_PERIOD_OPEN, .disposition = ORG_LISTED},
        {.reason = ORG_REASON_NONE, .disposition = ORG_RATED},
    };
    struct catalog catalog = {.orgs = orgs, .orgs_count = 4};
    for (uint32_t org = 1; org < 4; org++) {
        catalog_mark_active(&catalog, org);
    }
    catalog_settle(&catalog);
    assert_int_equal(orgs[0].reason, ORG_REASON_NOT_SUBSCRIBED);
    assert_int_equal(orgs[0].disposition, ORG_LISTED);
    assert_int_equal(orgs[1].reason, ORG_REASON_NO_PLAN);
    assert_int_equal(orgs[1].disposition, ORG_SET_ASIDE);
    assert_int_equal(orgs[2].reason, ORG_REASON_PERIOD_OPEN);
    assert_int_equal(orgs[3].disposition, ORG_RATED);
}

static void ids_and_metrics_are_bounded_and_without_control_characters(void **state) {
    (void)state;
    char bytes[256];
    memset(bytes, 'm', sizeof bytes);
    assert_null(catalog_check_id((struct text){bytes, 255}));
    assert_string_equal(catalog_check_id((struct text){bytes, 256}), "is over 255 bytes long");
    assert_null(catalog_check_metric((struct text){bytes, 128}));
    assert_string_equal(catalog_check_metric((struct text){bytes, 129}), "is over 128 bytes long");
    assert_string_equal(catalog_check_metric((struct text){0}), "is empty");
    assert_null(catalog_check_id(text_from("caf\xC3\xA9 =\xE2\x82\xAC, \"x\"")));
    assert_non_null(catalog_check_id(text_from("a\nb")));
    assert_non_null(catalog_check_id(text_from("a\x7F")));
    assert_non_null(catalog_check_metric(text_from("a\xC2\x85z")));
    assert_null(catalog_check_metric(text_from("a\xC2\xA0z")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_org_is_found_at_its_rank_and_no_other),
        cmocka_unit_test(prices_are_found_by_the_bytes_of_their_metric),
        cmocka_unit_test(openings_are_found_by_org_and_metric),
        cmocka_unit_test(active_orgs_without_a_plan_are_set_aside_the_others_listed),
        cmocka_unit_test(ids_and_metrics_are_bounded_and_without_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
