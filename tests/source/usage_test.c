#include "usage_run.h"

static struct test_folder folder;

static int setup(void **state) {
    (void)state;
    test_folder_create(&folder);
    usage_run_write_orgs(&folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_folder_remove(&folder);
    return 0;
}

static void expect(const char *usage_csv, const char *expected) {
    usage_run_write(&folder, "usage.csv", usage_csv);
    usage_run_expect(&(struct usage_run){.folder = folder.path}, expected);
}

static void usage_sums_and_counts_by_day(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at\n"
           "a,sum,2.5,2026-10-01T00:00:00Z\na,sum,4,2026-10-01T23:59:59.999999Z\n"
           "a,sum,-1.25,2026-10-31T10:00:00+02:00\na,count,7,2026-10-03 08:00:00\n",
           "S a count 1 7 2026-10-03T08:00:00Z 2026-10-03T08:00:00Z - - -\n"
           "S a sum 3 5.25 2026-10-01T00:00:00Z 2026-10-31T08:00:00Z - - -\n"
           "D a count 2026-10-03 7 1\nD a sum 2026-10-01 6.5 2\nD a sum 2026-10-31 -1.25 1\n"
           "T count: 1 7, metered 1 7\nT sum: 3 5.25, metered 3 5.25\n");
}

static void usage_keeps_numbers_too_wide_for_a_pair(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at\n"
           "a,sum,12345678901234567890123.123456789012345,2026-10-02T00:00:00Z\n"
           "a,sum,-345678901234567890123.000000000000005,2026-10-02T00:00:01Z\n"
           "a,sum,0.000000000000001,2026-10-02T00:00:02Z\n",
           "S a sum 3 12000000000000000000000.123456789012341 2026-10-02T00:00:00Z "
           "2026-10-02T00:00:02Z - - -\n"
           "D a sum 2026-10-02 12000000000000000000000.123456789012341 3\n"
           "T sum: 3 12000000000000000000000.123456789012341, metered 3 "
           "12000000000000000000000.123456789012341\n");
}

static void usage_sum_that_does_not_fit_names_org_and_metric(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at\n"
           "a,sum,99999999999999999999999,2026-10-02T00:00:00Z\n"
           "a,sum,3,2026-10-02T00:00:01Z\n",
           "ERROR 32: org 'a', metric 'sum': the usage adds up to more than 38 digits\n");
}

static void usage_sum_may_leave_the_range_on_its_way(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at\n"
           "a,sum,99999999999999999999999,2026-10-02T00:00:00Z\n"
           "a,sum,99999999999999999999999,2026-10-02T00:00:00Z\n"
           "a,sum,-99999999999999999999998,2026-10-02T00:00:01Z\n"
           "a,sum,-99999999999999999999998,2026-10-02T00:00:01Z\n",
           "S a sum 4 2 2026-10-02T00:00:00Z 2026-10-02T00:00:01Z - - -\n"
           "D a sum 2026-10-02 2 4\nT sum: 4 2, metered 4 2\n");
}

static void usage_unique_counts_a_key_on_the_day_it_was_first_seen(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at,unique_key\n"
           "a,unique,3,2026-10-09T00:00:00Z,x\na,unique,5,2026-10-04T00:00:00Z,x\n"
           "a,unique,7,2026-10-04T00:00:00Z,y\na,unique,11,2026-10-09T00:00:00Z,z\n"
           "c,unique,13,2026-10-05T00:00:00Z,x\n",
           "S a unique 4 26 2026-10-04T00:00:00Z 2026-10-09T00:00:00Z - - -\n"
           "S c unique 1 13 2026-10-05T00:00:00Z 2026-10-05T00:00:00Z - - -\n"
           "D a unique 2026-10-04 12 2\nD a unique 2026-10-09 14 2\nD c unique 2026-10-05 13 1\n"
           "K a unique 2026-10-04 2\nK a unique 2026-10-09 1\nK c unique 2026-10-05 1\n"
           "T unique: 5 39, metered 5 39\n");
}

static void usage_outside_the_subscribed_time_is_not_metered(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at\n"
           "b,sum,2,2026-10-04T23:59:59Z\nb,sum,3,2026-10-05T00:00:00Z\n"
           "b,sum,5,2026-10-25T00:00:00Z\na,sum,7,2026-09-30T23:59:59Z\n"
           "a,sum,11,2026-11-01T00:00:00Z\n",
           "S b sum 1 3 2026-10-05T00:00:00Z 2026-10-05T00:00:00Z - - -\n"
           "D b sum 2026-10-05 3 1\nT sum: 5 28, outside 4 25, metered 1 3\n");
}

static void usage_without_a_price_is_an_aside(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at\n"
           "a,zebra,2,2026-10-04T00:00:00Z\na,ant,3,2026-10-05T00:00:00Z\n"
           "a,zebra,5,2026-10-06T00:00:00Z\n",
           "A a ant unpriced 1 3 2026-10-05T00:00:00Z 2026-10-05T00:00:00Z\n"
           "A a zebra unpriced 2 7 2026-10-04T00:00:00Z 2026-10-06T00:00:00Z\n"
           "T ant: 1 3, unpriced 1 3\nT zebra: 2 7, unpriced 2 7\n");
}

static void usage_recorded_after_the_cutoff_is_late(void **state) {
    (void)state;
    usage_run_write(&folder, "usage.csv",
                    "org_id,metric,quantity,occurred_at,recorded_at\n"
                    "a,sum,2,2026-10-04T00:00:00Z,2026-11-02T00:00:00Z\n"
                    "a,sum,3,2026-10-05T00:00:00Z,2026-11-02T00:00:00.000001Z\n"
                    "a,last,5,2026-10-06T00:00:00Z,2026-11-03T00:00:00Z\n"
                    "a,sum,7,2026-10-07T00:00:00Z,\n"
                    "a,sum,11,2026-09-07T00:00:00Z,2026-11-03T00:00:00Z\n");
    usage_run_expect(&(struct usage_run){.folder = folder.path, .cutoff = "2026-11-02T00:00:00Z"},
                     "S a sum 2 9 2026-10-04T00:00:00Z 2026-10-07T00:00:00Z - - -\n"
                     "D a sum 2026-10-04 2 1\nD a sum 2026-10-07 7 1\n"
                     "A a last late 1 5 2026-10-06T00:00:00Z 2026-10-06T00:00:00Z\n"
                     "A a sum late 1 3 2026-10-05T00:00:00Z 2026-10-05T00:00:00Z\n"
                     "T last: 1 0, late 1 0\nT sum: 4 23, outside 1 11, late 1 3, metered 2 9\n");
}

static void usage_aside_of_a_level_is_its_last_set_and_what_came_since(void **state) {
    (void)state;
    usage_run_write(&folder, "usage_history.csv",
                    "org_id,metric,period,quantity,closing_level\na,max,2026-09,10,10\n");
    usage_run_write(&folder, "usage.csv",
                    "org_id,metric,quantity,occurred_at,kind,event_id,recorded_at\n"
                    "a,last,7,2026-10-06T00:00:00Z,set,b,2026-11-03T00:00:00Z\n"
                    "a,last,50,2026-10-06T00:00:00Z,set,a,2026-11-03T00:00:00Z\n"
                    "a,last,90,2026-10-06T00:00:00Z,set,,2026-11-03T00:00:00Z\n"
                    "a,last,6,2026-10-05T00:00:00Z,set,z,2026-11-03T00:00:00Z\n"
                    "a,last,100,2026-10-05T12:00:00Z,delta,,2026-11-03T00:00:00Z\n"
                    "a,last,-1,2026-10-07T00:00:00Z,delta,,2026-11-03T00:00:00Z\n"
                    "a,last,3,2026-10-06T00:00:00Z,delta,,2026-11-03T00:00:00Z\n"
                    "a,max,4,2026-09-28T00:00:00Z,set,,2026-10-01T00:00:00Z\n"
                    "a,max,8,2026-09-27T00:00:00Z,set,,2026-10-01T00:00:00Z\n"
                    "a,average,4,2026-10-28T00:00:00Z,delta,,2026-11-03T00:00:00Z\n"
                    "a,average,8,2026-10-27T00:00:00Z,delta,,2026-11-03T00:00:00Z\n"
                    "a,zebra,5,2026-10-09T00:00:00Z,set,m,\n"
                    "a,zebra,6,2026-10-09T00:00:00Z,set,,\n"
                    "a,zebra,1,2026-10-08T00:00:00Z,delta,,\n");
    usage_run_expect(&(struct usage_run){.folder = folder.path, .cutoff = "2026-11-02T00:00:00Z"},
                     "S a max 0 0 - - 4 4 4\nL a max 2026-10-01 4 4 4 0\n"
                     "A a average late 2 12 2026-10-27T00:00:00Z 2026-10-28T00:00:00Z\n"
                     "A a last late 7 9 2026-10-05T00:00:00Z 2026-10-07T00:00:00Z\n"
                     "A a max late_opening 2 4 2026-09-27T00:00:00Z 2026-09-28T00:00:00Z\n"
                     "A a zebra unpriced 3 5 2026-10-08T00:00:00Z 2026-10-09T00:00:00Z\n"
                     "T average: 2 12, late 2 12\nT last: 7 102, late 7 102\n"
                     "T max: 2 0, outside 2 0\nT zebra: 3 1, unpriced 3 1\n");
}

static void usage_of_an_org_without_a_plan_is_set_aside(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at\nd,sum,2,2026-10-04T00:00:00Z\n",
           "T sum: 1 2, set_aside 1 2\n");
}

static void usage_of_other_orgs_is_not_selected(void **state) {
    (void)state;
    usage_run_write(&folder, "usage.csv",
                    "org_id,metric,quantity,occurred_at\na,sum,2,2026-10-04T00:00:00Z\n"
                    "c,sum,3,2026-10-04T00:00:00Z\n");
    usage_run_expect(&(struct usage_run){.folder = folder.path, .org = "c"},
                     "S c sum 1 3 2026-10-04T00:00:00Z 2026-10-04T00:00:00Z - - -\n"
                     "D c sum 2026-10-04 3 1\nT sum: 2 5, not_selected 1 2, metered 1 3\n");
}

static void usage_level_opens_with_what_was_before(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at,kind\n"
           "a,last,40,2026-08-01T00:00:00Z,set\na,last,2,2026-09-01T00:00:00Z,delta\n"
           "a,last,-12,2026-10-16T00:00:00Z,delta\na,last,99,2026-11-01T00:00:00Z,set\n",
           "S a last 1 -12 2026-10-16T00:00:00Z 2026-10-16T00:00:00Z 42 30 30\n"
           "L a last 2026-10-01 42 42 20.32258064516129 864000000000\n"
           "L a last 2026-10-16 30 30 15.483870967741935 1296000000000\n"
           "T last: 4 -10, outside 3 2, metered 1 -12\n");
}

static void usage_recorded_opening_takes_only_what_it_had_not_seen(void **state) {
    (void)state;
    usage_run_write(&folder, "usage_history.csv",
                    "org_id,metric,period,quantity,closing_level\na,last,2026-09,10,10\n"
                    "c,max,2026-09,3,3\n");
    expect("org_id,metric,quantity,occurred_at,kind,recorded_at\n"
           "a,last,40,2026-08-01T00:00:00Z,set,\n"
           "a,last,2,2026-09-01T00:00:00Z,delta,2026-09-30T23:59:59Z\n"
           "a,last,5,2026-09-02T00:00:00Z,delta,2026-10-01T00:00:00Z\n",
           "S a last 0 0 - - 15 15 15\nS c max 0 0 - - 3 3 3\n"
           "L a last 2026-10-01 15 15 15 0\nL c max 2026-10-01 3 3 3 0\n"
           "A a last late_opening 1 5 2026-09-02T00:00:00Z 2026-09-02T00:00:00Z\n"
           "T last: 3 7, outside 3 7\n");
}

static void usage_level_at_one_instant_takes_the_last_set_and_all_changes(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at,kind,event_id\n"
           "a,max,5,2026-10-01T00:00:00Z,delta,\na,max,70,2026-10-01T00:00:00Z,set,m\n"
           "a,max,30,2026-10-01T00:00:00Z,set,z\na,max,90,2026-10-01T00:00:00Z,set,\n"
           "a,max,-1,2026-10-01T00:00:00Z,delta,a\n",
           "S a max 5 4 2026-10-01T00:00:00Z 2026-10-01T00:00:00Z 0 34 34\n"
           "L a max 2026-10-01 34 34 34 0\nT max: 5 4, metered 5 4\n");
}

static void usage_level_moves_outside_subscribed_time(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at\n"
           "b,last,8,2026-10-02T00:00:00Z\nb,last,9,2026-10-26T00:00:00Z\n",
           "S b last 0 0 - - 0 9 8\n"
           "L b last 2026-10-01 - - 0 0\nL b last 2026-10-02 - - 0 0\n"
           "L b last 2026-10-05 8 8 5.161290322580645 432000000000\n"
           "L b last 2026-10-25 - - 0 0\nL b last 2026-10-26 - - 0 0\n"
           "T last: 2 0, outside 2 0\n");
}

static void usage_level_that_does_not_fit_names_org_and_metric(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at,kind\n"
           "a,average,99999999999999999999999,2026-09-02T00:00:00Z,set\n"
           "a,average,99999999999999999999999,2026-10-02T00:00:00Z,delta\n",
           "ERROR 32: org 'a', metric 'average': the usage adds up to more than 38 digits\n");
}

static void usage_events_of_one_id_count_once(void **state) {
    (void)state;
    usage_run_write(&folder, "usage.csv",
                    "org_id,metric,quantity,occurred_at,event_id,recorded_at,kind\n"
                    "a,sum,2.50,2026-10-04T00:00:00Z,e1,2026-11-05T00:00:00Z,\n"
                    "a,sum,2.5,2026-10-04T02:00:00+02:00,e1,2026-10-04T00:00:00Z,delta\n"
                    "c,sum,3,2026-10-04T00:00:00Z,e1,,\n"
                    "d,sum,5,2026-10-04T00:00:00Z,e1,,\nd,sum,5,2026-10-04T00:00:00Z,e1,,\n"
                    "a,last,7,2026-10-04T00:00:00Z,e2,,\na,last,7,2026-10-04T00:00:00Z,e2,,set\n");
    usage_run_expect(
        &(struct usage_run){.folder = folder.path, .cutoff = "2026-11-02T00:00:00Z"},
        "S a last 1 0 2026-10-04T00:00:00Z 2026-10-04T00:00:00Z 0 7 7\n"
        "S a sum 1 2.5 2026-10-04T00:00:00Z 2026-10-04T00:00:00Z - - -\n"
        "S c sum 1 3 2026-10-04T00:00:00Z 2026-10-04T00:00:00Z - - -\n"
        "D a sum 2026-10-04 2.5 1\nD c sum 2026-10-04 3 1\n"
        "L a last 2026-10-01 0 0 0 0\nL a last 2026-10-04 7 7 6.32258064516129 864000000000\n"
        "T last: 2 0, duplicate 1 0, metered 1 0\n"
        "T sum: 5 18, duplicate 2 7.5, set_aside 1 5, metered 2 5.5\n");
}

static void usage_rows_of_one_event_that_disagree_are_told(void **state) {
    (void)state;
    usage_run_write(&folder, "usage-2.csv",
                    "org_id,metric,quantity,occurred_at,event_id\n\n"
                    "a,sum,9,2026-10-04T00:00:00Z,e1\n");
    expect("org_id,metric,quantity,occurred_at,event_id,unique_key\n"
           "a,sum,2,2026-10-04T00:00:00Z,e1,\na,sum,2,2026-10-04T00:00:00.000001Z,e1,\n"
           "a,unique,5,2026-10-04T00:00:00Z,e2,k\na,unique,5,2026-10-04T00:00:00Z,e2,l\n"
           "a,sum,5,2026-10-04T00:00:00Z,e3,\na,count,5,2026-10-04T00:00:00Z,e3,\n",
           "ERROR 10: 4 bad rows: usage.csv 4\n"
           "usage.csv:2: event_id 'e1': is an event that usage-2.csv:3 "
           "has with another metric, kind, quantity, time or unique_key\n"
           "usage.csv:3: event_id 'e1': is an event that usage-2.csv:3 "
           "has with another metric, kind, quantity, time or unique_key\n"
           "usage.csv:5: event_id 'e2': is an event that usage.csv:4 "
           "has with another metric, kind, quantity, time or unique_key\n"
           "usage.csv:7: event_id 'e3': is an event that usage.csv:6 "
           "has with another metric, kind, quantity, time or unique_key\n");
}

static void usage_bad_rows_are_told_by_line_and_column(void **state) {
    (void)state;
    expect("org_id,metric,quantity,occurred_at,kind,unique_key,recorded_at\n"
           "zz,sum,2,2026-10-04T00:00:00Z,,,\n"
           ",sum,2,2026-10-04T00:00:00Z,,,\n"
           "a,,2,2026-10-04T00:00:00Z,,,\n"
           "a,sum,1e5,2026-13-04T00:00:00Z,,,x\n"
           "a,sum,,,,,\n"
           "a,sum,2,2026-10-04T00:00:00Z,add,,\n"
           "a,sum,2,2026-10-04T00:00:00Z,set,,\n"
           "a,unique,2,2026-10-04T00:00:00Z,,,\n"
           "a,sum,2,2026-10-04T00:00:00Z,,\n",
           "ERROR 10: 9 bad rows: usage.csv 9\n"
           "usage.csv:2: org_id 'zz': is not in orgs.csv\n"
           "usage.csv:3: org_id: is not given\n"
           "usage.csv:4: metric: is not given\n"
           "usage.csv:5: occurred_at '2026-13-04T00:00:00Z': has a month outside 01 to 12\n"
           "usage.csv:5: quantity '1e5': is not a decimal number\n"
           "usage.csv:5: recorded_at 'x': is not a time stamp; write YYYY-MM-DDTHH:MM:SSZ\n"
           "usage.csv:6: occurred_at: is not given\n"
           "usage.csv:6: quantity: is not given\n"
           "usage.csv:7: kind 'add': is neither 'set' nor 'delta'\n"
           "usage.csv:8: kind 'set': the org's plan adds this metric up: it cannot be set\n"
           "usage.csv:9: unique_key: is not given, but the org's plan counts unique ones\n"
           "usage.csv:10: row has 6 fields, the header has 7\n");
}

static void usage_of_seats_beside_a_seats_file_is_refused(void **state) {
    (void)state;
    usage_run_write(&folder, "seats.csv", "org_id,user_id,assigned_at,revoked_at\n");
    expect("org_id,metric,quantity,occurred_at\na,seats,2,2026-10-04T00:00:00Z\n",
           "ERROR 10: 1 bad row: usage.csv 1\n"
           "usage.csv:2: metric 'seats': seats are counted from seats.csv, which is given "
           "too\n");
}

static void usage_seats_without_a_price_are_an_aside(void **state) {
    (void)state;
    usage_run_write(&folder, "seats.csv",
                    "org_id,user_id,role,assigned_at,revoked_at\n"
                    "a,u2,admin,2026-10-20T00:00:00Z,\n"
                    "a,u1,,2026-09-01T00:00:00Z,2026-10-02T00:00:00Z\n"
                    "a,u3,,2026-08-01T00:00:00Z,2026-09-02T00:00:00Z\n"
                    "c,u4,,2026-11-01T00:00:00Z,\n");
    expect("org_id,metric,quantity,occurred_at\na,zebra,2,2026-10-04T00:00:00Z\n"
           "a,ant,2,2026-10-04T00:00:00Z\n",
           "A a ant unpriced 1 2 2026-10-04T00:00:00Z 2026-10-04T00:00:00Z\n"
           "A a seats unpriced 0 1 2026-09-01T00:00:00Z 2026-10-20T00:00:00Z\n"
           "A a zebra unpriced 1 2 2026-10-04T00:00:00Z 2026-10-04T00:00:00Z\n"
           "E a u1 - 2026-09-01T00:00:00Z 2026-10-02T00:00:00Z\n"
           "E a u2 admin 2026-10-20T00:00:00Z -\n"
           "E a u3 - 2026-08-01T00:00:00Z 2026-09-02T00:00:00Z\n"
           "E c u4 - 2026-11-01T00:00:00Z -\n"
           "T ant: 1 2, unpriced 1 2\nT zebra: 1 2, unpriced 1 2\n");
}

static void usage_seats_make_a_level_of_distinct_users(void **state) {
    (void)state;
    usage_run_write(&folder, "prices.csv",
                    "plan_id,metric,aggregation,model,unit_price\np,seats,max,per_unit,2\n");
    usage_run_write(&folder, "seats.csv",
                    "org_id,user_id,assigned_at,revoked_at\n"
                    "a,u1,2026-09-01T00:00:00Z,2026-10-11T00:00:00Z\n"
                    "a,u1,2026-10-10T00:00:00Z,2026-10-21T00:00:00Z\n"
                    "a,u2,2026-10-11T00:00:00Z,\n"
                    "a,u3,2026-10-12T00:00:00Z,2026-10-12T00:00:00Z\n"
                    "d,u3,2026-10-12T00:00:00Z,2026-10-12T00:00:00Z\n");
    usage_run_expect(&(struct usage_run){.folder = folder.path},
                     "S a seats 0 0 - - 1 1 1\n"
                     "L a seats 2026-10-01 1 1 0.32258064516129 864000000000\n"
                     "L a seats 2026-10-11 2 2 0.64516129032258 1728000000000\n"
                     "L a seats 2026-10-21 1 1 0.354838709677419 950400000000\n"
                     "E a u1 - 2026-09-01T00:00:00Z 2026-10-11T00:00:00Z\n"
                     "E a u1 - 2026-10-10T00:00:00Z 2026-10-21T00:00:00Z\n"
                     "E a u2 - 2026-10-11T00:00:00Z -\n"
                     "E a u3 - 2026-10-12T00:00:00Z 2026-10-12T00:00:00Z\n"
                     "E d u3 - 2026-10-12T00:00:00Z 2026-10-12T00:00:00Z\n");
}

static void usage_without_any_file_is_nothing(void **state) {
    (void)state;
    usage_run_expect(&(struct usage_run){.folder = folder.path}, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(usage_sums_and_counts_by_day),
        TEST(usage_keeps_numbers_too_wide_for_a_pair),
        TEST(usage_sum_that_does_not_fit_names_org_and_metric),
        TEST(usage_sum_may_leave_the_range_on_its_way),
        TEST(usage_unique_counts_a_key_on_the_day_it_was_first_seen),
        TEST(usage_outside_the_subscribed_time_is_not_metered),
        TEST(usage_without_a_price_is_an_aside),
        TEST(usage_recorded_after_the_cutoff_is_late),
        TEST(usage_aside_of_a_level_is_its_last_set_and_what_came_since),
        TEST(usage_of_an_org_without_a_plan_is_set_aside),
        TEST(usage_of_other_orgs_is_not_selected),
        TEST(usage_level_opens_with_what_was_before),
        TEST(usage_recorded_opening_takes_only_what_it_had_not_seen),
        TEST(usage_level_at_one_instant_takes_the_last_set_and_all_changes),
        TEST(usage_level_moves_outside_subscribed_time),
        TEST(usage_level_that_does_not_fit_names_org_and_metric),
        TEST(usage_events_of_one_id_count_once),
        TEST(usage_rows_of_one_event_that_disagree_are_told),
        TEST(usage_bad_rows_are_told_by_line_and_column),
        TEST(usage_of_seats_beside_a_seats_file_is_refused),
        TEST(usage_seats_without_a_price_are_an_aside),
        TEST(usage_seats_make_a_level_of_distinct_users),
        TEST(usage_without_any_file_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
