#include "program.h"

/* The same close with tokens of plan starter at 0.00013 instead of 0.0001: run "what-if". */
static void make_what_if(void) {
    struct buffer prices = {0};
    struct err err = {0};
    char path[FILE_PATH_MAX];
    static const char *const names[] = {"plans.csv", "prices.csv", "tiers.csv"};
    assert_true(directory_create(sys_real(), "prices", &err));
    for (size_t index = 0; index < 3; index++) {
        (void)snprintf(path, sizeof path, "%s/dataset/%s", fixture, names[index]);
        assert_true(file_load(sys_real(), path, 1024 * 1024, &prices, &err));
        assert_true(buffer_append(&prices, (struct text){"", 1}, &err));
        char *line = strstr(prices.bytes, "starter,tokens,");
        char *price = line != NULL ? strstr(line, "0.0001,") : NULL;
        assert_true(index != 1 || price != NULL);
        if (price != NULL) {
            memcpy(price, "0.0003", 6);
        }
        (void)snprintf(path, sizeof path, "prices/%s", names[index]);
        prices.size_bytes--;
        assert_true(file_replace(sys_real(), path, buffer_text(&prices), &err));
    }
    buffer_release(&prices);
    int status = program_run("replay", "close", "--from", "rate", "--run-dir", "what-if",
                             "--prices", "prices", NULL);
    if (status != 0 && status != ERR_SET_ASIDE) {
        fail_msg("replay: %d\n%s", status, program.told.bytes);
    }
}

static int setup(void **state) {
    if (program_setup(state) != 0) {
        return -1;
    }
    make_what_if();
    return 0;
}

static void a_run_is_identical_to_itself(void **state) {
    (void)state;
    assert_status(0, "diff", "close", "close");
    assert_says(program.out, "rate     identical\n");
    assert_says(program.out, "\nidentical\n");
}

static void another_price_differs_where_it_counts(void **state) {
    (void)state;
    assert_status(ERR_DIFFERENT, "diff", "close", "what-if");
    assert_says(program.out,
                "extract  1 of 16 prices differs: starter, tokens: unit_price 0.0001 -> 0.0003\n");
    assert_says(program.out, "meter    identical\n");
    assert_says(program.out, "cost 25.00 -> 75.00\n"); /* 250,000 x 0.0003 */
    assert_says(program.out, "+50.00 USD");
    assert_says(program.out, "1.240 KWD              1.240 KWD              0.000 KWD\n");
    assert_null(strstr(program.out.bytes, "playbook_runs            +")); /* dearer only tokens */
}

static void an_org_and_a_metric_can_be_picked(void **state) {
    (void)state;
    assert_status(0, "diff", "close", "what-if", "--org", "gulf");
    assert_says(program.out, "\nthe same\n");
    assert_status(0, "diff", "close", "what-if", "--org", "acme", "--metric", "seats");
    assert_status(ERR_DIFFERENT, "diff", "close", "what-if", "--org", "acme");
    assert_null(strstr(program.out.bytes, "softly"));
    assert_says(program.out, "50.00 USD             100.00 USD             +50.00 USD\n");
}

static void programs_get_a_row_for_every_value(void **state) {
    (void)state;
    assert_status(ERR_DIFFERENT, "diff", "close", "what-if", "--org", "acme", "--format", "csv");
    assert_says(program.out, "stage,table,org_id,metric,column,a,b,difference,currency\n"
                             "rate,charges,acme,tokens,exact_cost,25,75,50,usd\n");
    assert_says(program.out, "record,records,acme,tokens,billed,25,75,50,usd\n");
    assert_status(ERR_DIFFERENT, "diff", "close", "what-if", "--org", "acme", "--format", "json");
    assert_says(program.out, "{\"stage\":\"rate\",\"table\":\"charges\",\"org_id\":\"acme\","
                             "\"metric\":\"tokens\",\"column\":\"cost\",\"a\":\"25\",\"b\":\"75\","
                             "\"difference\":\"50\",\"currency\":\"usd\"}\n");
    assert_status(ERR_USAGE, "diff", "close", "what-if", "--format", "xml");
}

static void a_closed_period_differs_from_its_revision(void **state) {
    (void)state;
    char dataset[FILE_PATH_MAX];
    (void)snprintf(dataset, sizeof dataset, "%s/revision/dataset", fixture);
    int status = program_run("run", "--period", "2024-02", "--cutoff", "2024-04-15T00:00:00Z",
                             "--now", "2024-05-02T00:00:00Z", "--previous", "close", "--source",
                             dataset, "--run-dir", "revision", NULL);
    assert_true(status == 0 || status == ERR_SET_ASIDE);
    assert_status(ERR_DIFFERENT, "diff", "close", "revision");
    assert_says(program.out, "noplan                disposition set_aside -> rated");
    assert_says(program.out, "cost 0.00 -> 24.00\n");       /* noplan, at today's price */
    assert_says(program.out, "-8.00 USD  overage 8 -> 0;"); /* zeroed */
    assert_status(0, "verify", "revision");
    assert_status(0, "explain", "revision", "--org", "zeroed", "--metric", "playbook_runs");
    assert_says(program.out, "0.00 USD - 8.00 USD billed before = -8.00 USD: revision 2,");
    assert_says(program.out, "usage 58 -> 38, cost 8.00 USD -> 0.00 USD\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_identical_to_itself),
        cmocka_unit_test(another_price_differs_where_it_counts),
        cmocka_unit_test(an_org_and_a_metric_can_be_picked),
        cmocka_unit_test(programs_get_a_row_for_every_value),
        cmocka_unit_test(a_closed_period_differs_from_its_revision),
    };
    return cmocka_run_group_tests(tests, setup, program_teardown);
}
