/* Every kind of bad row of the small files: what is told, word for word. */
#include "dataset_fixture.h"

/* In parts by several threads, a line or two each, or as one. */
static void read_in_parts(struct fixture *fixture, bool is_in_parts) {
    fixture->options.jobs = is_in_parts ? 3 : 1;
    fixture->options.part_bytes = is_in_parts ? 1 : 0;
}

/* The whole list of problems after one file was replaced, and the same counts of bad rows however
 * it is read; the file is good again afterwards. */
static void expect_told(struct fixture *fixture, const char *name, const char *content,
                        const char *details) {
    char message[sizeof fixture->err.message] = "";
    fixture_write(fixture, name, content);
    for (int pass = 0; pass < 2; pass++) {
        read_in_parts(fixture, pass == 1);
        assert_true(dataset_load(sys_real(), &fixture->options, &fixture->dataset,
                                 fixture->problems, &fixture->err));
        assert_false(problems_check(fixture->problems, &fixture->err));
        assert_int_equal(fixture->err.code, ERR_INPUT);
        assert_string_equal(fixture->err.details, details);
        if (pass == 0) {
            memcpy(message, fixture->err.message, sizeof message);
        }
        assert_string_equal(fixture->err.message, message);
        fixture_forget(fixture);
    }
    fixture_write_good(fixture);
}

static void bad_orgs_are_told(void **state) {
    struct fixture *fixture = *state;
    fixture_remove(fixture, "subscriptions.csv");
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\n");
    const char *const keep[] = {"limits.csv", "usage_history.csv", "invitations.csv"};
    for (size_t file = 0; file < 3; file++) {
        fixture_remove(fixture, keep[file]);
    }
    expect_told(fixture, "orgs.csv",
                "org_id,status,currency,timezone,anchor_day,overage_enabled,overage_cap,"
                "stripe_item_mode,name\n"
                ",,,,,,,,x\n"
                "a,Active,,,,,,,\n"
                "b,,dollar,,,,,,\n"
                "c,,,Mars/Base,,,,,\n"
                "d,,,../etc/passwd,,,,,\n"
                "e,,,,0,,,,\n"
                "f,,,,32,,,,\n"
                "g,,,,1.5,,,,\n"
                "h,,,,,maybe,,,\n"
                "i,,,,,,-1,,\n"
                "j,,,,,,10.005,,\n"
                "k,,jpy,,,,10.5,,\n"
                "l,,kwd,,,,1.005,,\n"
                "m,,,,,,1e3,,\n"
                "n,,,,,,0.0000000000000001,,\n"
                "o,,,,,,99999999999999999999999999,,\n"
                "p,,,,,,,weight,\n"
                "\"q\nq\",,,,,,,,\n"
                "a,,,,,,,,\n",
                "orgs.csv:2: org_id: is empty, but must be given\n"
                "orgs.csv:3: status 'Active': is none of active, suspended, cancelled\n"
                "orgs.csv:4: currency 'dollar': is no currency known here\n"
                "orgs.csv:5: timezone 'Mars/Base': is no time zone of the tz database\n"
                "orgs.csv:6: timezone '../etc/passwd': is no time zone of the tz database\n"
                "orgs.csv:7: anchor_day '0': is not a day of the month, 1 to 31\n"
                "orgs.csv:8: anchor_day '32': is not a day of the month, 1 to 31\n"
                "orgs.csv:9: anchor_day '1.5': is not a day of the month, 1 to 31\n"
                "orgs.csv:10: overage_enabled 'maybe': is neither true nor false\n"
                "orgs.csv:11: overage_cap '-1': is negative\n"
                "orgs.csv:12: overage_cap '10.005': is not a multiple of 0.01, as usd is billed\n"
                "orgs.csv:13: overage_cap '10.5': is not a multiple of 1, as jpy is billed\n"
                "orgs.csv:14: overage_cap '1.005': is not a multiple of 0.01, as kwd is billed\n"
                "orgs.csv:15: overage_cap '1e3': is not a decimal number\n"
                "orgs.csv:16: overage_cap '0.0000000000000001': has more than 15 decimals\n"
                "orgs.csv:17: overage_cap '99999999999999999999999999': is out of range "
                "(at most 23 digits before the point)\n"
                "orgs.csv:18: stripe_item_mode 'weight': is none of amount, quantity\n"
                "orgs.csv:19: org_id 'q\\nq': holds a control character\n"
                "orgs.csv:21: org_id 'a': stands on line 3 already\n");
}

static void an_org_with_a_bad_field_is_no_unknown_org_elsewhere(void **state) {
    expect_told(*state, "orgs.csv", "org_id,anchor_day\nacme,99\nglobex,\ninitech\n",
                "orgs.csv:2: anchor_day '99': is not a day of the month, 1 to 31\n"
                "orgs.csv:4: row has 1 field, the header has 2\n");
}

/* No quote in it, so that it is read in parts: what stands twice is in two of them. */
static void bad_orgs_of_several_parts_are_told_in_order(void **state) {
    struct fixture *fixture = *state;
    fixture_write(fixture, "subscriptions.csv",
                  "org_id,plan_id\nacme,pro\nnobody,pro\nacme,gold\nglobex,team\nacme,pro\n");
    expect_told(fixture, "orgs.csv",
                "org_id,timezone,overage_cap\nglobex,,\n\nacme,Mars/Base,\nx,,1.005\n"
                "y,Mars/Base,\nz,too,many,fields\r\nacme,Mars/Base,\ninitech,Asia/Tokyo,7",
                "orgs.csv:4: timezone 'Mars/Base': is no time zone of the tz database\n"
                "orgs.csv:5: overage_cap '1.005': is not a multiple of 0.01, as usd is billed\n"
                "orgs.csv:6: timezone 'Mars/Base': is no time zone of the tz database\n"
                "orgs.csv:7: row has 4 fields, the header has 3\n"
                "orgs.csv:8: org_id 'acme': stands on line 4 already\n"
                "orgs.csv:8: timezone 'Mars/Base': is no time zone of the tz database\n"
                "subscriptions.csv:4: plan_id 'gold': is not in plans.csv\n"
                "subscriptions.csv:6: org_id 'acme': stands on line 2 already\n");
}

static void bad_plans_are_told(void **state) {
    expect_told(*state, "plans.csv", "plan_id,currency\npro,usd\nteam,eur\nyen,jpy\npro,USD\n",
                "plans.csv:5: plan_id 'pro': stands on line 2 already\n");
    expect_told(*state, "plans.csv", "plan_id,currency\npro,usd\nteam,eur\npro,eur\nyen,jpy\n",
                "plans.csv:4: plan_id 'pro': has two currencies: eur here, usd on line 2\n");
    expect_told(*state, "plans.csv", "plan_id,currency\npro,usd\nteam,xyz\nyen,jpy\n",
                "plans.csv:3: currency 'xyz': is no currency known here\n");
    expect_told(*state, "plans.csv", "plan_id\npro\nyen\n",
                "prices.csv:4: plan_id 'team': is not in plans.csv\n"
                "subscriptions.csv:4: plan_id 'team': is not in plans.csv\n");
}

static void bad_prices_are_told(void **state) {
    struct fixture *fixture = *state;
    fixture_remove(fixture, "tiers.csv");
    expect_told(fixture, "prices.csv",
                "plan_id,metric,aggregation,model,included,hard_limit,unit_price,package_size\n"
                "pro,a,avg,,,,1,\n"
                "pro,b,,flat,,,1,\n"
                "pro,c,,,-1,,1,\n"
                "pro,d,,,,-2,1,\n"
                "pro,e,,,,,-3,\n"
                "pro,f,,package,,,1,0\n"
                "pro,g,,,,,,\n"
                "pro,h,,package,,,,5\n"
                "pro,i,,package,,,5,\n"
                "pro,j,,volume,,,,\n"
                "pro,k,,,,,1,\n"
                "pro,k,max,,,,2,\n"
                "pro,,,,,,1,\n"
                "\"pro\",\"\t\",,,,,1,\n",
                "prices.csv:2: aggregation 'avg': is none of sum, count, max, last, unique, "
                "time_weighted\n"
                "prices.csv:3: model 'flat': is none of per_unit, graduated, volume, package\n"
                "prices.csv:4: included '-1': is negative\n"
                "prices.csv:5: hard_limit '-2': is negative\n"
                "prices.csv:6: unit_price '-3': is negative\n"
                "prices.csv:7: package_size '0': is not above zero\n"
                "prices.csv:8: unit_price: is empty, but model per_unit needs it\n"
                "prices.csv:9: unit_price: is empty, but model package needs it\n"
                "prices.csv:10: package_size: is empty, but model package needs it\n"
                "prices.csv:11: model 'volume': needs tiers, but tiers.csv has none for this "
                "price\n"
                "prices.csv:13: metric 'k': stands on line 12 already\n"
                "prices.csv:14: metric: is empty, but must be given\n"
                "prices.csv:15: metric '\\t': holds a control character\n");
}

static void seats_with_a_seats_file_are_a_level(void **state) {
    struct fixture *fixture = *state;
    fixture_write(fixture, "seats.csv", "org_id,user_id,assigned_at\n");
    fixture_remove(fixture, "tiers.csv");
    expect_told(fixture, "prices.csv",
                "plan_id,metric,aggregation,unit_price\npro,seats,sum,1\nteam,seats,,2\n",
                "prices.csv:2: aggregation 'sum': does not go with seats.csv: use last, max or "
                "time_weighted\n");
}

static void bad_tiers_are_told(void **state) {
    expect_told(*state, "tiers.csv",
                "plan_id,metric,up_to,unit_price,flat_price\n"
                "pro,disk,100,1,\npro,disk,,2,\npro,disk,100.0,3,\npro,disk,,4,\n"
                "yen,seats,5,1,\nyen,seats,9.000,1,\n",
                "tiers.csv:4: up_to '100.0': overlaps the tier on line 2\n"
                "tiers.csv:5: up_to: overlaps the tier on line 3\n"
                "tiers.csv:7: up_to '9.000': ends the last tier of metric 'seats', which must be "
                "open: leave it empty\n");
    expect_told(*state, "tiers.csv",
                "plan_id,metric,up_to,unit_price,flat_price\n"
                "pro,disk,,1,\nyen,seats,,2,\n"
                "pro,books,,1,\npro,tokens,,1,\nbasic,disk,,1,\n",
                "tiers.csv:4: metric 'books': has no price in prices.csv for this plan\n"
                "tiers.csv:5: metric 'tokens': is priced by model per_unit, which has no tiers\n"
                "tiers.csv:6: plan_id 'basic': is not in plans.csv\n");
    expect_told(*state, "tiers.csv",
                "plan_id,metric,up_to,unit_price,flat_price\n"
                "pro,disk,0,1,\npro,disk,-1,1,\npro,disk,,,\nyen,seats,,2,-1\n",
                "tiers.csv:2: up_to '0': is not above zero\n"
                "tiers.csv:3: up_to '-1': is not above zero\n"
                "tiers.csv:4: unit_price: is empty, but must be given\n"
                "tiers.csv:5: flat_price '-1': is negative\n");
}

static void too_many_tiers_are_told(void **state) {
    struct fixture *fixture = *state;
    struct buffer content = {0};
    struct err err = {0};
    assert_true(buffer_append(&content,
                              text_from("plan_id,metric,up_to,unit_price\nyen,seats,,3\n"), &err));
    for (int tier = 1; tier <= CHARGE_LINES_MAX; tier++) {
        assert_true(buffer_append_format(&content, &err, "pro,disk,%d,1\n", tier));
    }
    assert_true(buffer_append(&content, (struct text){"pro,disk,,1\n", 13}, &err));
    expect_told(fixture, "tiers.csv", content.bytes,
                "tiers.csv:1027: metric 'disk': has 1025 tiers, at most 1024 are possible\n");
    buffer_release(&content);
}

static void bad_subscriptions_are_told(void **state) {
    expect_told(*state, "subscriptions.csv",
                "org_id,plan_id,starts_at,ends_at\n"
                "acme,pro,,\n"
                "nobody,pro,,\n"
                "acme,basic,,\n"
                "acme,pro,2026-10-02T00:00:00Z,2026-10-01T23:59:59Z\n"
                "acme,pro,2026-10-02,\n"
                "acme,pro,2026-13-02T00:00:00Z,\n"
                "acme,pro,,2026-10-01T00:00:00Z\n"
                ",pro,,\n",
                "subscriptions.csv:3: org_id 'nobody': is not in orgs.csv\n"
                "subscriptions.csv:4: plan_id 'basic': is not in plans.csv\n"
                "subscriptions.csv:5: ends_at '2026-10-01T23:59:59Z': is before starts_at\n"
                "subscriptions.csv:6: starts_at '2026-10-02': has no time of day; write "
                "YYYY-MM-DDTHH:MM:SSZ\n"
                "subscriptions.csv:7: starts_at '2026-13-02T00:00:00Z': has a month outside 01 to "
                "12\n"
                "subscriptions.csv:8: org_id 'acme': stands on line 2 already\n"
                "subscriptions.csv:9: org_id: is empty, but must be given\n");
}

static void bad_copies_are_told(void **state) {
    expect_told(*state, "limits.csv",
                "org_id,metric,soft_limit,hard_limit\nacme,a,1,\nacme,a,2,\nno,a,,\nacme,b,-1,x\n",
                "limits.csv:3: metric 'a': stands on line 2 already\n"
                "limits.csv:4: org_id 'no': is not in orgs.csv\n"
                "limits.csv:5: hard_limit 'x': is not a decimal number\n"
                "limits.csv:5: soft_limit '-1': is negative\n");
    expect_told(*state, "usage_history.csv",
                "org_id,metric,period,quantity\nacme,a,2026-09,1\nacme,a,2026-08,1\n"
                "acme,a,2026-09,1\nno,a,2026-09,1\nacme,a,2026-9,1\nacme,a,2026-07,\n",
                "usage_history.csv:4: metric 'a': stands on line 2 already\n"
                "usage_history.csv:5: org_id 'no': is not in orgs.csv\n"
                "usage_history.csv:6: period '2026-9': is not a month; write YYYY-MM\n"
                "usage_history.csv:7: quantity: is empty, but must be given\n");
    expect_told(*state, "invitations.csv",
                "invitation_id,org_id,created_at\ni1,acme,2026-01-01T00:00:00Z\n"
                "i1,globex,2026-01-01T00:00:00Z\ni2,no,2026-01-01T00:00:00Z\ni3,acme,\n",
                "invitations.csv:3: invitation_id 'i1': stands on line 2 already\n"
                "invitations.csv:4: org_id 'no': is not in orgs.csv\n"
                "invitations.csv:5: created_at: is empty, but must be given\n");
}

static void missing_files_and_columns_are_told_together(void **state) {
    struct fixture *fixture = *state;
    fixture_remove(fixture, "plans.csv");
    fixture_remove(fixture, "subscriptions.csv");
    fixture_remove(fixture, "limits.csv");
    fixture_write(fixture, "tiers.csv", "plan_id,metric,up_to\n");
    expect_told(fixture, "orgs.csv", "name,status\nx,active\n",
                "orgs.csv:1: org_id: the header lacks this column\n"
                "plans.csv: the file is missing from the dataset folder\n"
                "subscriptions.csv: the file is missing from the dataset folder\n"
                "tiers.csv:1: unit_price: the header lacks this column\n");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(bad_orgs_are_told),
        TEST(an_org_with_a_bad_field_is_no_unknown_org_elsewhere),
        TEST(bad_orgs_of_several_parts_are_told_in_order),
        TEST(bad_plans_are_told),
        TEST(bad_prices_are_told),
        TEST(seats_with_a_seats_file_are_a_level),
        TEST(bad_tiers_are_told),
        TEST(too_many_tiers_are_told),
        TEST(bad_subscriptions_are_told),
        TEST(bad_copies_are_told),
        TEST(missing_files_and_columns_are_told_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
