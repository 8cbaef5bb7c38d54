#include <signal.h>

#include "dataset_fixture.h"
#include "sys/process.h"

static const char *tables_folder(struct fixture *fixture, const char *name) {
    static char path[FILE_PATH_MAX];
    assert_true(path_format(path, &fixture->err, "%s/%s", fixture->folder.path, name));
    return path;
}

static void every_column_reaches_its_table_with_its_default(void **state) {
    struct fixture *fixture = *state;
    fixture_load(fixture);
    catalog_settle(dataset_catalog(fixture->dataset));
    assert_int_equal(dataset_shards_count(fixture->dataset), 1);
    const char *folder = tables_folder(fixture, "tables");
    fixture_write_tables(fixture, folder);
    assert_string_equal(
        fixture_tell(fixture, folder, FIXTURE_ORGS),
        "acme|Acme, \"Inc\"\n=Co|suspended|usd|UTC|1|2026-10-01T00:00:00Z|2026-11-01T00:00:00Z|"
        "2026-10-01|31|30|31|pro|0|true|-|-|-|amount|-|rated|-|-|\n"
        "globex|-|active|eur|Europe/Berlin|15|2026-10-14T22:00:00Z|2026-11-14T23:00:00Z|"
        "2026-10-15|31|30|18|team|0|false|12.5|cus_9|-|quantity|-|rated|-|-|\n"
        "initech|Initech|cancelled|jpy|Asia/Tokyo|31|2026-10-30T15:00:00Z|2026-11-29T15:00:00Z|"
        "2026-10-31|30|31|30|yen|0|true|300|-|-|amount|-|rated|-|-|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_PLANS),
                        "0|pro|-|usd|\n0|team|Team|eur|\n0|yen|Yen|jpy|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_PRICES),
                        "0|pro|disk|time_weighted|graduated|10|-|-|-|GB|\n"
                        "0|pro|tokens|sum|per_unit|500000|-|0.0001|-|token|\n"
                        "0|team|runs|count|package|50|900|1.5|25|-|\n"
                        "0|yen|seats|last|volume|3|-|-|-|-|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_TIERS), "0|pro|disk|1|12.5|0.09|0|\n"
                                                                      "0|pro|disk|2|100|0.05|3|\n"
                                                                      "0|pro|disk|3|-|0.02|0|\n"
                                                                      "0|yen|seats|1|-|400|0|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_SUBSCRIPTIONS),
                        "acme|pro|2026-01-01T00:00:00Z|-|\n"
                        "globex|pro|2026-01-01T00:00:00Z|2026-10-20T00:00:00Z|\n"
                        "globex|team|2026-10-20T00:00:00Z|2026-11-01T00:00:00Z|\n"
                        "initech|yen|-|-|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_LIMITS),
                        "acme|disk|20|-|\nacme|tokens|-|1000000|\nglobex|runs|70|80.5|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_HISTORY),
                        "acme|books|2026-09|1|99|-|-|-|-|-|\n"
                        "acme|disk|2026-09|7.5|8.25|-|-|-|-|-|\n"
                        "acme|tokens|2026-09|4321|-|0|0|usd|5000|0|\n");
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_INVITATIONS),
                        "acme|i2|a@x.example|admin|pending|2026-09-01T00:00:00Z|"
                        "2026-09-30T22:00:00Z|-|\n"
                        "globex|i1|-|-|accepted|2026-09-01T10:00:00.500000Z|-|"
                        "2026-09-02T00:00:00Z|\n");
}

static void the_catalog_knows_plans_days_and_subscribed_time(void **state) {
    struct fixture *fixture = *state;
    fixture_load(fixture);
    const struct catalog *catalog = dataset_catalog(fixture->dataset);
    assert_int_equal(catalog->orgs_count, 3);
    assert_false(catalog->has_seats_file);
    assert_false(catalog->is_incomplete);
    const struct catalog_org *acme = fixture_org(fixture, "acme");
    const struct catalog_org *globex = fixture_org(fixture, "globex");
    assert_int_equal(acme->is_whole_period, 1);
    assert_int_equal(acme->subscribed_count, 1);
    assert_true(acme->subscribed[0].from.us == calendar_start(&acme->calendar->calendar).us);
    assert_true(acme->subscribed[0].until.us == calendar_end(&acme->calendar->calendar).us);
    assert_int_equal(globex->is_whole_period, 0);
    assert_int_equal(globex->subscribed_count, 1); /* two that touch are one stretch */
    struct instant ends;
    assert_null(instant_parse(text_from("2026-11-01T00:00:00Z"), &ends));
    assert_true(globex->subscribed[0].until.us == ends.us);
    assert_true(text_equals(globex->plan->plan_id, text_from("team")));
    uint32_t slot;
    const struct catalog_price *disk = catalog_find_price(acme, text_from("disk"), &slot);
    assert_int_equal(disk->price.tiers_count, 3);
    assert_int_equal(disk->price.model, MODEL_GRADUATED);
    assert_true(disk->price.tiers[2].is_open);
    assert_int_equal(catalog->openings_count, 1); /* disk: books has no price, tokens no level */
    uint32_t rank = catalog_find_org(catalog, text_from("acme"));
    const struct decimal *level = catalog_find_opening(catalog, rank, text_from("disk"));
    struct decimal expected;
    assert_int_equal(decimal_parse(text_from("8.25"), &expected), DECIMAL_OK);
    assert_non_null(level);
    assert_int_equal(decimal_compare(*level, expected), 0);
}

/* --- row order, line ends ----------------------------------------------------------------------
 */

/* The lines after the first in reverse; with CRLF, a mark, and no last newline. No quoted newline
 * may be in the file. */
static void write_shuffled(struct fixture *fixture, const char *name, const char *content) {
    struct buffer shuffled = {0};
    struct err *err = &fixture->err;
    const char *lines[64];
    size_t count = 0;
    for (const char *at = content; *at != '\0'; at = strchr(at, '\n') + 1) {
        lines[count++] = at;
    }
    assert_true(buffer_append(&shuffled, text_from("\xEF\xBB\xBF"), err));
    for (size_t index = 0; index < count; index++) {
        const char *line = lines[index == 0 ? 0 : count - index];
        assert_true(buffer_append_format(&shuffled, err, "%s%.*s", index == 0 ? "" : "\r\n",
                                         (int)strcspn(line, "\n"), line));
    }
    char path[FILE_PATH_MAX];
    (void)snprintf(path, sizeof path, "source/%s", name);
    test_folder_write(&fixture->folder, path, buffer_text(&shuffled));
    buffer_release(&shuffled);
}

static void expect_same_tables(struct fixture *fixture, const char *left, const char *right) {
    for (size_t table = 0; table < FIXTURE_TABLES_COUNT; table++) {
        struct table_seal seals[2];
        const char *folders[] = {left, right};
        for (int side = 0; side < 2; side++) {
            char path[FILE_PATH_MAX];
            assert_true(path_format(path, &fixture->err, "%s/%s/%s.arrow", fixture->folder.path,
                                    folders[side], fixture_schema(table)->name));
            assert_true(table_file_digest(sys_real(), path, &seals[side], &fixture->err));
        }
        assert_true(digest_equals(&seals[0].digest, &seals[1].digest));
    }
}

static void rows_in_any_order_give_the_same_bytes(void **state) {
    struct fixture *fixture = *state;
    /* The one name with a newline would not survive the shuffling of lines. */
    const char *orgs = "org_id,name,currency,overage_cap\nglobex,G,eur,5\nacme,A,usd,\n"
                       "initech,I,jpy,7\n";
    fixture_write(fixture, "orgs.csv", orgs);
    fixture_load(fixture);
    fixture_write_tables(fixture, tables_folder(fixture, "calm"));
    fixture_forget(fixture);
    write_shuffled(fixture, "orgs.csv", orgs);
    for (size_t file = 1; file < GOOD_FILES_COUNT; file++) {
        write_shuffled(fixture, good_files[file].name, good_files[file].content);
    }
    fixture_load(fixture);
    fixture_write_tables(fixture, tables_folder(fixture, "shuffled"));
    expect_same_tables(fixture, "calm", "shuffled");
    fixture_forget(fixture);
    fixture->options.jobs = 3;
    fixture->options.part_bytes = 1;
    fixture_load(fixture);
    fixture_write_tables(fixture, tables_folder(fixture, "parts"));
    expect_same_tables(fixture, "calm", "parts");
}

/* --- dispositions ------------------------------------------------------------------------------
 */

static void expect_reason(struct fixture *fixture, const char *org_id, enum org_reason reason,
                          const char *detail) {
    const struct catalog_org *org = fixture_org(fixture, org_id);
    assert_int_equal(org->reason, reason);
    assert_int_equal(org->disposition, org_reason_table[reason].disposition);
    static int number;
    char name[32];
    (void)snprintf(name, sizeof name, "reason-%d", number++);
    const char *folder = tables_folder(fixture, name);
    fixture_write_tables(fixture, folder);
    struct table *table = fixture_open(fixture, folder, FIXTURE_ORGS);
    struct table_cursor row = table_cursor_start(table);
    bool is_found = false;
    while (!is_found && table_cursor_next(&row)) {
        is_found = text_equals(table_get_text(&row, ORGS_ORG_ID), text_from(org_id));
    }
    assert_true(is_found);
    struct text told = table_get_text(&row, ORGS_DETAIL);
    assert_int_equal(told.size_bytes, strlen(detail));
    assert_memory_equal(told.bytes, detail, told.size_bytes);
    table_close(table);
}

static void two_plans_at_the_last_instant_set_the_org_aside(void **state) {
    struct fixture *fixture = *state;
    fixture_write(fixture, "subscriptions.csv",
                  "org_id,plan_id,starts_at,ends_at\nacme,team,2026-10-30T00:00:00Z,\n"
                  "acme,pro,,2026-11-01T00:00:00Z\n"
                  "globex,team,2026-10-16T00:00:00Z,2026-10-18T00:00:00Z\n"
                  "globex,pro,2026-10-17T00:00:00Z,2026-10-18T00:00:00Z\n"
                  "initech,yen,2026-01-01T00:00:00Z,\ninitech,yen,,\n");
    fixture_load(fixture);
    assert_null(fixture_org(fixture, "acme")->plan);
    expect_reason(fixture, "acme", ORG_REASON_TWO_PLANS,
                  "pro and team both in force at 2026-10-31T23:59:59.999999Z");
    expect_reason(fixture, "globex", ORG_REASON_TWO_PLANS,
                  "pro and team both in force at 2026-10-17T23:59:59.999999Z");
    /* twice the same plan is two subscriptions */
    expect_reason(fixture, "initech", ORG_REASON_TWO_PLANS,
                  "yen and yen both in force at 2026-11-29T14:59:59.999999Z");
}

static void a_plan_that_ended_inside_the_period_still_rates_it(void **state) {
    struct fixture *fixture = *state;
    fixture_write(fixture, "subscriptions.csv",
                  "org_id,plan_id,starts_at,ends_at\n"
                  "acme,team,2026-10-02T00:00:00Z,2026-10-03T00:00:00Z\n"
                  "acme,pro,2026-10-05T00:00:00Z,2026-10-07T00:00:00Z\n"
                  "acme,yen,2026-10-09T00:00:00Z,2026-10-09T00:00:00Z\n"
                  "acme,yen,2026-11-01T00:00:00Z,\n");
    fixture_load(fixture);
    const struct catalog_org *acme = fixture_org(fixture, "acme");
    assert_true(text_equals(acme->plan->plan_id, text_from("pro")));
    assert_int_equal(acme->subscribed_count, 2);
    assert_int_equal(acme->subscribed[1].until.us - acme->subscribed[1].from.us,
                     2 * INSTANT_DAY_US);
}

static void orgs_without_a_plan_are_set_aside_only_when_active(void **state) {
    struct fixture *fixture = *state;
    fixture_write(fixture, "subscriptions.csv",
                  "org_id,plan_id,starts_at,ends_at\nacme,pro,,2026-10-01T00:00:00Z\n");
    fixture_load(fixture);
    struct catalog *catalog = dataset_catalog(fixture->dataset);
    catalog_mark_active(catalog, catalog_find_org(catalog, text_from("globex")));
    catalog_settle(catalog);
    assert_int_equal(fixture_org(fixture, "acme")->subscribed_count, 0);
    expect_reason(fixture, "acme", ORG_REASON_NOT_SUBSCRIBED,
                  "no subscription from 2026-10-01T00:00:00Z to 2026-11-01T00:00:00Z");
    expect_reason(fixture, "globex", ORG_REASON_NO_PLAN,
                  "usage or seats, but no subscription from 2026-10-14T22:00:00Z to "
                  "2026-11-14T23:00:00Z");
}

static void another_currency_than_the_plan_sets_the_org_aside(void **state) {
    struct fixture *fixture = *state;
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\nacme,team\n");
    fixture_load(fixture);
    expect_reason(fixture, "acme", ORG_REASON_CURRENCY_MISMATCH, "org is usd, plan team is eur");
}

static void the_period_must_follow_the_last_recorded_one(void **state) {
    struct fixture *fixture = *state;
    fixture_write(fixture, "usage_history.csv",
                  "org_id,metric,period,quantity\nacme,tokens,2026-07,1\nacme,disk,2026-03,1\n"
                  "globex,runs,2026-09,1\nglobex,runs,2026-10,1\ninitech,seats,2026-09,1\n");
    fixture_load(fixture);
    expect_reason(fixture, "acme", ORG_REASON_PERIOD_GAP,
                  "last recorded period 2026-07, this one begins 2026-10-01T00:00:00Z");
    expect_reason(fixture, "globex", ORG_REASON_PERIOD_OVERLAP,
                  "last recorded period 2026-10, this one begins 2026-10-14T22:00:00Z");
    expect_reason(fixture, "initech", ORG_REASON_NONE, "");
}

/* The month before, and where the latest period is another one that one. */
static void of_the_history_only_what_is_read_is_copied(void **state) {
    struct fixture *fixture = *state;
    fixture_write(fixture, "usage_history.csv",
                  "org_id,metric,period,quantity\nacme,tokens,2026-07,1\nacme,disk,2026-07,2\n"
                  "acme,disk,2026-03,3\nglobex,runs,2026-10,4\nglobex,runs,2026-09,5\n"
                  "globex,tokens,2026-08,6\ninitech,seats,2026-09,7\ninitech,seats,2026-08,8\n");
    fixture_load(fixture);
    fixture_write_tables(fixture, fixture->scratch);
    assert_string_equal(fixture_tell(fixture, fixture->scratch, FIXTURE_HISTORY),
                        "acme|disk|2026-07|2|-|-|-|-|-|-|\nacme|tokens|2026-07|1|-|-|-|-|-|-|\n"
                        "globex|runs|2026-09|5|-|-|-|-|-|-|\nglobex|runs|2026-10|4|-|-|-|-|-|-|\n"
                        "initech|seats|2026-09|7|-|-|-|-|-|-|\n");
}

static void time_without_a_subscription_is_no_gap(void **state) {
    struct fixture *fixture = *state;
    /* The period 2026-07 of acme ends with July in UTC, that of globex on the 15th in Berlin. */
    fixture_write(fixture, "usage_history.csv",
                  "org_id,metric,period,quantity\nacme,tokens,2026-07,1\nglobex,runs,2026-07,1\n"
                  "initech,seats,2026-08,1\n");
    fixture_write(fixture, "subscriptions.csv",
                  "org_id,plan_id,starts_at,ends_at\nacme,pro,,2026-08-01T00:00:00.000001Z\n"
                  "acme,pro,2026-10-01T00:00:00Z,\nglobex,team,,2026-08-14T22:00:00Z\n"
                  "globex,team,2026-10-20T00:00:00Z,\n"
                  "initech,yen,2026-09-29T15:00:00Z,2026-09-30T00:00:00Z\ninitech,yen,2026-10-"
                  "30T00:00:00Z,\n");
    fixture_load(fixture);
    expect_reason(fixture, "acme", ORG_REASON_PERIOD_GAP,
                  "last recorded period 2026-07, this one begins 2026-10-01T00:00:00Z");
    expect_reason(fixture, "globex", ORG_REASON_NONE, "");
    expect_reason(fixture, "initech", ORG_REASON_PERIOD_GAP,
                  "last recorded period 2026-08, this one begins 2026-10-30T15:00:00Z");
}

static void a_period_that_is_not_over_is_listed_before_all_else(void **state) {
    struct fixture *fixture = *state;
    fixture->options.has_cutoff = true;
    assert_null(instant_parse(text_from("2026-11-14T22:59:59Z"), &fixture->options.cutoff));
    fixture_write(fixture, "subscriptions.csv",
                  "org_id,plan_id\nglobex,pro\nglobex,team\nacme,pro\n");
    fixture_load(fixture);
    struct catalog *catalog = dataset_catalog(fixture->dataset);
    catalog_mark_active(catalog, catalog_find_org(catalog, text_from("initech")));
    catalog_settle(catalog);
    expect_reason(fixture, "globex", ORG_REASON_PERIOD_OPEN,
                  "period ends 2026-11-14T23:00:00Z, after the cutoff 2026-11-14T22:59:59Z");
    expect_reason(fixture, "initech", ORG_REASON_PERIOD_OPEN,
                  "period ends 2026-11-29T15:00:00Z, after the cutoff 2026-11-14T22:59:59Z");
    expect_reason(fixture, "acme", ORG_REASON_NONE, "");
}

static void selected_orgs_alone_get_ranks(void **state) {
    struct fixture *fixture = *state;
    const struct text selected[] = {text_from("acme"), text_from("initech")};
    fixture->options.selected_orgs = selected;
    fixture->options.selected_orgs_count = 2;
    fixture_load(fixture);
    const struct catalog *catalog = dataset_catalog(fixture->dataset);
    assert_int_equal(catalog->orgs_count, 2);
    assert_int_equal(catalog_find_org(catalog, text_from("acme")), 0);
    assert_int_equal(catalog_find_org(catalog, text_from("initech")), 1);
    assert_int_equal(catalog_find_org(catalog, text_from("globex")), CATALOG_NOT_SELECTED);
    assert_int_equal(catalog_find_org(catalog, text_from("globe")), CATALOG_NONE);
    const char *folder = tables_folder(fixture, "selected");
    fixture_write_tables(fixture, folder);
    assert_string_equal(fixture_tell(fixture, folder, FIXTURE_LIMITS),
                        "acme|disk|20|-|\nacme|tokens|-|1000000|\n");
}

/* No bad row, but a mistyped option: the first that is not there. */
static void a_selected_org_that_is_not_there_is_a_mistake_in_usage(void **state) {
    struct fixture *fixture = *state;
    const struct text selected[] = {text_from("Acme"), text_from("globex"), text_from("zed")};
    fixture->options.selected_orgs = selected;
    fixture->options.selected_orgs_count = 3;
    assert_false(dataset_load(sys_real(), &fixture->options, &fixture->dataset, fixture->problems,
                              &fixture->err));
    assert_int_equal(fixture->err.code, ERR_USAGE);
    assert_string_equal(fixture->err.message, "--org: 'Acme' is not in orgs.csv");
}

/* --- many orgs ---------------------------------------------------------------------------------
 */

static void orgs_fill_shards_in_order_of_their_ids(void **state) {
    struct fixture *fixture = *state;
    enum { ORGS = CHECKPOINT_SHARD_ORGS + 1234 };
    struct buffer orgs = {0};
    struct buffer subscriptions = {0};
    struct err *err = &fixture->err;
    assert_true(buffer_append(&orgs, text_from("org_id\n"), err));
    assert_true(buffer_append(&subscriptions, text_from("org_id,plan_id,ends_at\n"), err));
    for (int index = 0; index < ORGS; index++) {
        int number = (int)((int64_t)index * 7919 % ORGS); /* each once */
        assert_true(buffer_append_format(&orgs, err, "o%06d\n", number));
        assert_true(buffer_append_format(&subscriptions, err, "o%06d,pro,%s\n", ORGS - 1 - index,
                                         index % 3 == 0 ? "2026-10-11T00:00:00Z" : ""));
    }
    test_folder_write(&fixture->folder, "source/orgs.csv", buffer_text(&orgs));
    test_folder_write(&fixture->folder, "source/subscriptions.csv", buffer_text(&subscriptions));
    fixture_remove(fixture, "limits.csv");
    fixture_remove(fixture, "usage_history.csv");
    fixture_remove(fixture, "invitations.csv");
    buffer_release(&orgs);
    buffer_release(&subscriptions);
    fixture_load(fixture);
    const struct catalog *catalog = dataset_catalog(fixture->dataset);
    assert_int_equal(catalog->orgs_count, ORGS);
    assert_int_equal(dataset_shards_count(fixture->dataset), 2);
    for (int number = 0; number < ORGS; number++) {
        char org_id[16];
        (void)snprintf(org_id, sizeof org_id, "o%06d", number);
        assert_true(text_equals(catalog->orgs[number].org_id, text_from(org_id)));
        assert_int_equal(catalog->orgs[number].is_whole_period, (ORGS - 1 - number) % 3 != 0);
    }
    struct table_writer *writers[FIXTURE_TABLES_COUNT] = {NULL};
    for (size_t table = 0; table < FIXTURE_TABLES_COUNT; table++) {
        char path[FILE_PATH_MAX];
        assert_true(
            path_format(path, err, "%s/%s.1.arrow", fixture->scratch, fixture_schema(table)->name));
        assert_true(table_writer_create(sys_real(), path, fixture_schema(table), NULL, 0,
                                        &writers[table], err));
    }
    const struct dataset_writers second = {
        .orgs = writers[FIXTURE_ORGS],
        .subscriptions = writers[FIXTURE_SUBSCRIPTIONS],
        .limits = writers[FIXTURE_LIMITS],
        .history = writers[FIXTURE_HISTORY],
        .invitations = writers[FIXTURE_INVITATIONS],
    };
    assert_true(dataset_write(fixture->dataset, 1, &second, err));
    assert_int_equal(table_writer_rows_count(writers[FIXTURE_ORGS]), 1234);
    assert_int_equal(table_writer_rows_count(writers[FIXTURE_SUBSCRIPTIONS]), 1234);
    for (size_t table = 0; table < FIXTURE_TABLES_COUNT; table++) {
        table_writer_destroy(writers[table]);
    }
}

/* Met in an order of its own by each of several readers. */
static void orgs_of_many_zones_and_days_get_their_own_calendars(void **state) {
    struct fixture *fixture = *state;
    enum { ZONES = 27, ORGS = ZONES * 31 * 2 };
    struct buffer orgs = {0};
    struct err *err = &fixture->err;
    assert_true(buffer_append(&orgs, text_from("org_id,timezone,anchor_day\n"), err));
    for (int index = 0; index < ORGS; index++) {
        int number = index * 307 % ORGS; /* each once */
        assert_true(buffer_append_format(&orgs, err, "o%04d,Etc/GMT%+d,%d\n", number,
                                         number % ZONES - 14, number / ZONES % 31 + 1));
    }
    test_folder_write(&fixture->folder, "source/orgs.csv", buffer_text(&orgs));
    buffer_release(&orgs);
    fixture_write(fixture, "subscriptions.csv", "org_id,plan_id\n");
    fixture_remove(fixture, "limits.csv");
    fixture_remove(fixture, "usage_history.csv");
    fixture_remove(fixture, "invitations.csv");
    fixture->options.jobs = 3;
    fixture->options.part_bytes = 1;
    fixture_load(fixture);
    const struct catalog *catalog = dataset_catalog(fixture->dataset);
    assert_int_equal(catalog->orgs_count, ORGS);
    for (int number = 0; number < ORGS; number++) {
        const struct catalog_calendar *calendar = catalog->orgs[number].calendar;
        char zone[16];
        int hours = number % ZONES - 14; /* behind UTC */
        int anchor_day = number / ZONES % 31 + 1;
        (void)snprintf(zone, sizeof zone, "Etc/GMT%+d", hours);
        assert_true(text_equals(calendar->timezone, text_from(zone)));
        assert_int_equal(calendar->anchor_day, anchor_day);
        struct civil_date first = {2026, 10, anchor_day};
        int64_t hours_us = (int64_t)hours * 3600 * 1000000;
        assert_int_equal(calendar_start(&calendar->calendar).us,
                         civil_to_days(first) * INSTANT_DAY_US + hours_us);
    }
}

/* --- the folder --------------------------------------------------------------------------------
 */

static void a_folder_that_is_a_file_or_missing_is_refused(void **state) {
    struct fixture *fixture = *state;
    char path[FILE_PATH_MAX];
    assert_true(path_format(path, &fixture->err, "%s/orgs.csv", fixture->source));
    fixture->options.folder = path;
    assert_false(dataset_load(sys_real(), &fixture->options, &fixture->dataset, fixture->problems,
                              &fixture->err));
    assert_int_equal(fixture->err.code, ERR_INPUT);
    assert_non_null(strstr(fixture->err.message, "is not a folder"));
    err_release(&fixture->err);
    fixture->options.folder = "/nowhere/at/all";
    assert_false(dataset_load(sys_real(), &fixture->options, &fixture->dataset, fixture->problems,
                              &fixture->err));
    assert_int_equal(fixture->err.code, ERR_INPUT);
    assert_string_equal(fixture->err.message, "dataset '/nowhere/at/all' is not there");
}

static _Atomic int refusals_left;

static bool refuse_memory(void) {
    return --refusals_left == 0;
}

static void refuse_every_allocation(struct fixture *fixture) {
    bool is_over = false;
    int failures = 0;
    for (int number = 1; !is_over; number++) {
        assert_in_range(number, 1, 2000);
        refusals_left = number;
        mem_set_fault(refuse_memory);
        bool is_loaded = dataset_load(sys_real(), &fixture->options, &fixture->dataset,
                                      fixture->problems, &fixture->err);
        mem_set_fault(NULL);
        is_over = refusals_left > 0;
        if (!is_loaded) {
            assert_int_equal(fixture->err.code, ERR_MEMORY);
            assert_null(fixture->dataset);
            failures++;
        }
        fixture_forget(fixture);
    }
    print_message("%d refused allocations\n", failures);
    assert_true(failures > 50);
}

static void every_refused_allocation_is_an_error_without_a_leak(void **state) {
    refuse_every_allocation(*state);
}

static void so_is_one_in_a_thread_that_reads_a_part(void **state) {
    struct fixture *fixture = *state;
    fixture->options.jobs = 3;
    fixture->options.part_bytes = 1;
    refuse_every_allocation(fixture);
}

/* Whichever thread notices: the others stop, and nothing is left behind. */
static void an_interrupt_stops_all_threads_that_read(void **state) {
    struct fixture *fixture = *state;
    struct buffer orgs = {0};
    assert_true(buffer_append(&orgs, text_from("org_id\n"), &fixture->err));
    for (int org = 0; org < 20000; org++) {
        assert_true(buffer_append_format(&orgs, &fixture->err, "org_%05d\n", org));
    }
    test_folder_write(&fixture->folder, "source/orgs.csv", buffer_text(&orgs));
    buffer_release(&orgs);
    fixture->options.jobs = 3;
    fixture->options.part_bytes = 1;
    interrupt_install();
    assert_int_equal(raise(SIGTERM), 0);
    assert_false(dataset_load(sys_real(), &fixture->options, &fixture->dataset, fixture->problems,
                              &fixture->err));
    interrupt_clear();
    assert_int_equal(fixture->err.code, ERR_INTERRUPTED);
    assert_null(fixture->dataset);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_column_reaches_its_table_with_its_default),
        TEST(the_catalog_knows_plans_days_and_subscribed_time),
        TEST(rows_in_any_order_give_the_same_bytes),
        TEST(two_plans_at_the_last_instant_set_the_org_aside),
        TEST(a_plan_that_ended_inside_the_period_still_rates_it),
        TEST(orgs_without_a_plan_are_set_aside_only_when_active),
        TEST(another_currency_than_the_plan_sets_the_org_aside),
        TEST(the_period_must_follow_the_last_recorded_one),
        TEST(of_the_history_only_what_is_read_is_copied),
        TEST(time_without_a_subscription_is_no_gap),
        TEST(a_period_that_is_not_over_is_listed_before_all_else),
        TEST(selected_orgs_alone_get_ranks),
        TEST(a_selected_org_that_is_not_there_is_a_mistake_in_usage),
        TEST(orgs_fill_shards_in_order_of_their_ids),
        TEST(orgs_of_many_zones_and_days_get_their_own_calendars),
        TEST(a_folder_that_is_a_file_or_missing_is_refused),
        TEST(every_refused_allocation_is_an_error_without_a_leak),
        TEST(so_is_one_in_a_thread_that_reads_a_part),
        TEST(an_interrupt_stops_all_threads_that_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
