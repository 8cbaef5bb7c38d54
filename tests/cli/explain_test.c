#include "program.h"

static void a_flow_is_told_from_events_to_cents(void **state) {
    (void)state;
    assert_status(0, "explain", "close", "--org", "acme", "--metric", "tokens");
    assert_says(program.out, "acme: Acme\n");
    assert_says(program.out, "750,000: sum of 6 events on 6 of 29 days\n");
    assert_says(program.out, "first 2024-02-01T00:00:00Z, last 2024-02-29T23:59:59.999999Z\n");
    assert_says(program.out, "busiest day 2024-02-28 with 249,999.5\n");
    assert_says(program.out, "limit        500,000: included in the plan\n");
    assert_says(program.out, "overage      750,000 - 500,000 = 250,000\n");
    assert_says(program.out, "250,000 x 0.0001 USD/token = 25 USD\n");
    assert_says(program.out, "billed       25.00 USD: revision 1,");
    assert_null(strstr(program.out.bytes, "playbook_runs")); /* only the metric asked for */
}

static void tiers_are_told_one_by_one_and_summed(void **state) {
    (void)state;
    assert_status(0, "explain", "close", "--org", "models");
    assert_says(program.out, "1,000,000 x 0.00008 =  80 USD\n");
    assert_says(program.out, "4,000,000 x 0.00006 + 5 flat = 245 USD\n");
    assert_says(program.out, "1,500,000 x 0.00004 =  60 USD\n");
    assert_says(program.out, "exact cost   385 USD, all tiers together\n");
    assert_says(program.out, "tier 2, above 3 up to 10   6 x 0.4 + 1 flat = 3.4 USD\n");
    assert_says(program.out, "121 in packages of 100: 2 begun\n");
    assert_says(program.out, "2 x 2.5 USD = 5 USD\n");
    assert_says(program.out, "5: different keys in 7 events on 5 of 29 days\n");
}

static void rounding_is_told_with_what_it_added(void **state) {
    (void)state;
    assert_status(0, "explain", "close", "--org", "gulf");
    assert_says(program.out, "1.240 KWD: half away from zero to steps of 0.010 KWD (+0.005)\n");
    assert_status(0, "explain", "close", "--org", "halves");
    assert_says(program.out, "0.00 USD: half away from zero to steps of 0.01 USD (-0.0049)\n");
}

static void limits_tell_where_they_come_from(void **state) {
    (void)state;
    assert_status(0, "explain", "close", "--org", "softly", "--metric", "tokens");
    assert_says(program.out, "600,000: the org's own soft limit (the plan includes 500,000)\n");
    assert_status(0, "explain", "close", "--org", "lowceiling", "--metric", "exports");
    assert_says(program.out, "hard limit   300: the org's own, the plan's is 1,000\n");
    assert_says(program.out, "blocked      900 above the hard limit");
    assert_says(program.out, "overage      min(1,200; 300) - 10 = 290\n");
}

static void levels_tell_opening_closing_highest_and_average(void **state) {
    (void)state;
    assert_status(0, "explain", "close", "--org", "warehouse", "--metric", "storage_bytes");
    assert_says(program.out, "2,500,000,000: average level over the whole period\n");
    assert_says(program.out, "opened the period at 2,000,000,000, closed it at 3,000,000,000\n");
    assert_says(program.out, "highest 3,000,000,000, first on 2024-02-15; "
                             "average over time 2,500,000,000\n");
    assert_status(0, "explain", "close", "--org", "gone", "--metric", "seats");
    assert_says(program.out, "it was 4 when the subscription ended\n");
}

static void the_cap_is_told_over_all_metrics(void **state) {
    (void)state;
    assert_status(0, "explain", "close", "--org", "capped", "--metric", "seats");
    assert_says(program.out, "39.99 USD for all metrics; they come to 62.00 USD");
    assert_says(program.out, "16.125        8.87 USD       16.13 USD\n");
    assert_says(program.out, "7.74        4.26 USD        7.74 USD\n");
    assert_says(program.out, "16.125        8.88 USD       16.12 USD\n");
}

static void what_was_set_aside_is_told_with_the_reason(void **state) {
    (void)state;
    assert_status(0, "explain", "close", "--org", "latecomer", "--metric", "playbook_runs");
    assert_says(program.out, "20 in 1 event recorded after the cutoff: not counted here\n");
    assert_status(0, "explain", "close", "--org", "explorer");
    assert_says(program.out, "pdf_pages    19.5 in 2 events");
    assert_status(0, "explain", "close", "--org", "refund", "--metric", "playbook_runs");
    assert_says(program.out, "it comes to -5.5, which is billed as zero\n");
    assert_status(0, "explain", "close", "--org", "suspended");
    assert_says(program.out, "revision 1, held back, as the org is suspended\n");
}

static void an_org_that_was_not_closed_tells_why_and_what_to_do(void **state) {
    (void)state;
    assert_status(0, "explain", "close", "--org", "noplan");
    assert_says(program.out, "not closed: set aside, no_plan\n");
    assert_says(program.out, "add its subscription to subscriptions.csv");
    assert_says(program.out, "--previous close --run-dir NEW\n");
    assert_status(0, "explain", "close", "--org", "dormant");
    assert_says(program.out, "not closed: listed, not_subscribed\n");
    assert_says(program.out, "nothing: there is nothing to bill\n");
}

static void names_cannot_steer_the_terminal(void **state) {
    (void)state;
    assert_status(0, "explain", "close", "--org", "ledger");
    assert_says(program.out, "ledger: Two\\nLines GmbH\n");
}

static void unknown_names_are_refused_with_the_nearest_ones(void **state) {
    (void)state;
    assert_status(ERR_USAGE, "explain", "close", "--org", "latecomr");
    assert_says(program.told, "hint: did you mean latecomer?\n");
    assert_status(ERR_USAGE, "explain", "close", "--org", "nobody-like-this");
    assert_says(program.told, "close/extract/orgs lists them\n");
    assert_status(ERR_USAGE, "explain", "close", "--org", "acme", "--metric", "token");
    assert_says(program.told, "hint: its metrics are: playbook_runs, seats, tokens\n");
    assert_status(ERR_USAGE, "explain", "close");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_is_told_from_events_to_cents),
        cmocka_unit_test(tiers_are_told_one_by_one_and_summed),
        cmocka_unit_test(rounding_is_told_with_what_it_added),
        cmocka_unit_test(limits_tell_where_they_come_from),
        cmocka_unit_test(levels_tell_opening_closing_highest_and_average),
        cmocka_unit_test(the_cap_is_told_over_all_metrics),
        cmocka_unit_test(what_was_set_aside_is_told_with_the_reason),
        cmocka_unit_test(an_org_that_was_not_closed_tells_why_and_what_to_do),
        cmocka_unit_test(names_cannot_steer_the_terminal),
        cmocka_unit_test(unknown_names_are_refused_with_the_nearest_ones),
    };
    return cmocka_run_group_tests(tests, program_setup, program_teardown);
}
