#include "program.h"

#include <jansson.h>

#include "table/checkpoint.h"
#include "table/table.h"

/* --- edits that the digests do not show ---------------------------------------------------------
 */

static void load(const char *path, struct buffer *content) {
    struct err err = {0};
    buffer_clear(content);
    if (!file_load(sys_real(), path, 1024 * 1024, content, &err)) {
        fail_msg("%s", err.message);
    }
}

static void save(const char *path, const struct buffer *content) {
    struct err err = {0};
    assert_true(file_replace(sys_real(), path, buffer_text(content), &err));
}

/* Replaces every occurrence, of equal length; at least one. */
static void replace(struct buffer *content, const void *from, const void *to, size_t size_bytes) {
    size_t found = 0;
    for (size_t at = 0; at + size_bytes <= content->size_bytes; at++) {
        if (memcmp(content->bytes + at, from, size_bytes) == 0) {
            memcpy(content->bytes + at, to, size_bytes);
            found++;
        }
    }
    assert_true(found > 0);
}

static struct digest digest_now(const char *path) {
    struct table_seal seal;
    struct err err = {0};
    assert_true(table_file_digest(sys_real(), path, &seal, &err));
    return seal.digest;
}

/* The manifest's own seal: the digest of its compact form without that member. */
static void seal_manifest(struct buffer *content) {
    json_error_t error;
    struct digest digest;
    struct err err = {0};
    char text[DIGEST_TEXT_MAX];
    json_t *root = json_loadb(content->bytes, content->size_bytes, 0, &error);
    assert_non_null(root);
    assert_int_equal(json_object_del(root, "sha256"), 0);
    char *compact = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    assert_true(digest_of(compact, strlen(compact), &digest, &err));
    digest_format(&digest, text);
    assert_int_equal(json_object_set_new(root, "sha256", json_string(text)), 0);
    char *whole = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    buffer_clear(content);
    assert_true(buffer_append_format(content, &err, "%s\n", whole));
    free(compact);
    free(whole);
    json_decref(root);
}

/* Edits a sealed file and seals it anew: what a careful forger, or a bug in a stage, would leave.
 */
static void forge(const char *path, const void *from, const void *to, size_t size_bytes) {
    struct buffer content = {0};
    char before[DIGEST_TEXT_MAX];
    char after[DIGEST_TEXT_MAX];
    char manifest[FILE_PATH_MAX];
    (void)snprintf(manifest, sizeof manifest, "%.*s/manifest.json", (int)strcspn(path, "/"), path);
    struct digest digest = digest_now(path);
    digest_format(&digest, before);
    load(path, &content);
    replace(&content, from, to, size_bytes);
    save(path, &content);
    digest = digest_now(path);
    digest_format(&digest, after);
    load(manifest, &content);
    replace(&content, before, after, DIGEST_TEXT_MAX - 1);
    seal_manifest(&content);
    save(manifest, &content);
    buffer_release(&content);
}

static void forge_decimal(const char *path, const char *from, const char *to) {
    struct decimal values[2];
    assert_int_equal(decimal_parse(text_from(from), &values[0]), DECIMAL_OK);
    assert_int_equal(decimal_parse(text_from(to), &values[1]), DECIMAL_OK);
    forge(path, &values[0], &values[1], sizeof values[0]);
}

/* --- */

static void a_sound_run_agrees_in_everything(void **state) {
    (void)state;
    assert_status(0, "verify", "close");
    assert_says(program.out, "all as sealed\n");
    assert_says(program.out, "quantities      recomputed: 80 of 80 agree\n");
    assert_says(program.out, "charges         recomputed: 80 of 80 agree\n");
    assert_says(program.out, "tiers           recomputed: 8 of 8 agree\n");
    assert_says(program.out, "projections     recomputed: 80 of 80 agree\n");
    assert_says(program.out, "5 of 5 reports agree\n");
    assert_says(program.out, "39 rows read again; the sums in 4 currencies are the tables'\n");
}

static void a_flipped_byte_is_damage(void **state) {
    (void)state;
    struct buffer content = {0};
    load("close/30-rate/charges.arrow", &content);
    content.bytes[content.size_bytes / 2] ^= 1;
    save("close/30-rate/charges.arrow", &content);
    assert_status(ERR_DAMAGED, "verify", "close");
    assert_says(program.told, "close/30-rate/charges.arrow");
    content.bytes[content.size_bytes / 2] ^= 1;
    save("close/30-rate/charges.arrow", &content);
    buffer_release(&content);
    assert_status(0, "verify", "close");
}

static void a_wrong_cost_is_found_although_its_digest_is_right(void **state) {
    (void)state;
    forge_decimal("close/30-rate/charges.arrow", "16.13", "16.14");
    assert_status(ERR_CONTROL, "verify", "close", "--jobs", "1");
    assert_says(program.out, "charges         recomputed: 79 of 80 agree\n");
    assert_says(program.out, "playbook_runs     cost: sealed 16.14, should be 16.13\n");
    assert_says(program.out, "sum of cost: sealed 976.65, should be 976.66\n");
    assert_says(program.told, "hint: do not bill from this run");
    forge_decimal("close/30-rate/charges.arrow", "16.14", "16.13");
    assert_status(0, "verify", "close");
}

static void a_wrong_quantity_is_found_with_what_it_costs(void **state) {
    (void)state;
    forge_decimal("close/20-meter/usage.arrow", "7500000", "7500001");
    assert_status(ERR_CONTROL, "verify", "close");
    assert_says(program.out, "quantities      recomputed: 79 of 80 agree\n");
    assert_says(program.out, "quantity: sealed 7500001, should be 7500000\n");
    assert_says(program.out, "overage: sealed 6500000, should be 6500001\n");
    assert_says(program.out, "exact_cost: sealed 385, should be 385.00004\n");
    forge_decimal("close/20-meter/usage.arrow", "7500001", "7500000");
}

static void a_wrong_average_is_found(void **state) {
    (void)state;
    forge_decimal("close/20-meter/usage.arrow", "2500000000", "2500000000.5");
    assert_status(ERR_CONTROL, "verify", "close");
    assert_says(program.out, "quantity: sealed 2500000000.5, should be 2500000000\n");
    forge_decimal("close/20-meter/usage.arrow", "2500000000.5", "2500000000");
}

static void a_wrong_price_is_found_in_all_that_it_made(void **state) {
    (void)state;
    forge_decimal("close/10-extract/prices.arrow", "0.75", "0.5"); /* visitors: 3 over */
    assert_status(ERR_CONTROL, "verify", "close");
    assert_says(program.out, "exact_cost: sealed 2.25, should be 1.5\n");
    assert_says(program.out, "cost: sealed 2.25, should be 1.5\n");
    forge_decimal("close/10-extract/prices.arrow", "0.5", "0.75");
}

/* --- every column ------------------------------------------------------------------------------
 */

struct sealed_column {
    const char *path;
    const struct table_schema *schema;
    size_t column;
    const char *told;
};

static const struct sealed_column sealed_columns[] = {
    {"close/20-meter/usage.arrow", &checkpoint_usage, USAGE_QUANTITY, "quantity: sealed "},
    {"close/20-meter/moments.arrow", &checkpoint_moments, MOMENTS_DAY_SUM, "day_sum: sealed "},
    {"close/20-meter/moments.arrow", &checkpoint_moments, MOMENTS_DAY_MOMENT,
     "day_moment: sealed "},
    {"close/20-meter/moments.arrow", &checkpoint_moments, MOMENTS_R_SQUARED, "r_squared: sealed "},
    {"close/20-meter/negatives.arrow", &checkpoint_negatives, NEGATIVES_NET,
     "negative net: sealed "},
    {"close/30-rate/charges.arrow", &checkpoint_charges, CHARGES_LIMIT, "limit: sealed "},
    {"close/30-rate/charges.arrow", &checkpoint_charges, CHARGES_OVERAGE, "overage: sealed "},
    {"close/30-rate/charges.arrow", &checkpoint_charges, CHARGES_BLOCKED, "blocked: sealed "},
    {"close/30-rate/charges.arrow", &checkpoint_charges, CHARGES_EXACT_COST, "exact_cost: sealed "},
    {"close/30-rate/charges.arrow", &checkpoint_charges, CHARGES_UNCAPPED_COST,
     "uncapped_cost: sealed "},
    {"close/30-rate/charges.arrow", &checkpoint_charges, CHARGES_CAP_REDUCTION,
     "cost + cap_reduction, beside uncapped_cost: sealed "},
    {"close/30-rate/charges.arrow", &checkpoint_charges, CHARGES_COST, "cost: sealed "},
    {"close/30-rate/lines.arrow", &checkpoint_lines, LINES_QUANTITY, "1, quantity: sealed "},
    {"close/30-rate/lines.arrow", &checkpoint_lines, LINES_UNIT_PRICE, "unit_price: sealed "},
    {"close/30-rate/lines.arrow", &checkpoint_lines, LINES_FLAT_PRICE, "flat_price: sealed "},
    {"close/30-rate/lines.arrow", &checkpoint_lines, LINES_AMOUNT, "amount: sealed "},
    {"close/40-project/projections.arrow", &checkpoint_projections, PROJECTIONS_SLOPE_PER_DAY,
     "slope_per_day: sealed "},
    {"close/40-project/projections.arrow", &checkpoint_projections, PROJECTIONS_GROWTH_30_DAYS,
     "growth_30_days: sealed "},
    {"close/40-project/projections.arrow", &checkpoint_projections, PROJECTIONS_R_SQUARED,
     "r_squared: sealed "},
    {"close/40-project/projections.arrow", &checkpoint_projections, PROJECTIONS_PROJECTED,
     "projected: sealed "},
    {"close/40-project/estimates.arrow", &checkpoint_estimates, ESTIMATES_PROJECTED_OVERAGE,
     "projected_overage: sealed "},
    {"close/40-project/estimates.arrow", &checkpoint_estimates, ESTIMATES_PROJECTED_COST,
     "projected_cost: sealed "},
    {"close/40-project/changes.arrow", &checkpoint_changes, CHANGES_PREVIOUS, "previous: sealed "},
    {"close/40-project/changes.arrow", &checkpoint_changes, CHANGES_CHANGE, "change: sealed "},
};

/* The first value of the column that is there and not zero. */
static struct decimal first_value(const struct sealed_column *sealed) {
    struct table *table;
    struct err err = {0};
    struct decimal value = DECIMAL_ZERO;
    if (!table_open(sys_real(), sealed->path, sealed->schema, &table, &err)) {
        fail_msg("%s", err.message);
    }
    struct table_cursor row = table_cursor_start(table);
    while (decimal_is_zero(value) && table_cursor_next(&row)) {
        if (!table_is_null(&row, sealed->column)) {
            value = table_get_decimal(&row, sealed->column);
        }
    }
    table_close(table);
    assert_false(decimal_is_zero(value));
    return value;
}

/* One unit of the last decimal place, in every column that follows from others. */
static void the_last_digit_of_every_column_is_checked(void **state) {
    (void)state;
    for (size_t index = 0; index < sizeof sealed_columns / sizeof sealed_columns[0]; index++) {
        const struct sealed_column *sealed = &sealed_columns[index];
        struct decimal value = first_value(sealed);
        struct decimal changed = {value.units + 1};
        forge(sealed->path, &value, &changed, sizeof value);
        assert_status(ERR_CONTROL, "verify", "close");
        assert_says(program.out, sealed->told);
        forge(sealed->path, &changed, &value, sizeof value);
    }
    assert_status(0, "verify", "close");
}

static void a_report_with_another_sum_is_found(void **state) {
    (void)state;
    static const char before[] = ",385.00,1,computed,";
    static const char after[] = ",384.00,1,computed,";
    forge("close/reports/overages.csv", before, after, sizeof before - 1);
    assert_status(ERR_CONTROL, "verify", "close");
    assert_says(program.out, "SHA256SUMS      4 of 5 reports agree\n");
    assert_says(program.out, "sum of billed: sealed 975.65, should be 976.65\n");
    forge("close/reports/overages.csv", after, before, sizeof before - 1);
    assert_status(0, "verify", "close");
}

static void a_run_that_is_not_finished_tells_what_is_missing(void **state) {
    (void)state;
    char dataset[FILE_PATH_MAX];
    (void)snprintf(dataset, sizeof dataset, "%s/dataset", fixture);
    assert_status(0, "run", "--period", "2024-02", "--cutoff", "2024-03-31T02:00:00Z", "--source",
                  dataset, "--run-dir", "begun", "--until", "meter");
    assert_status(0, "verify", "begun");
    assert_says(program.out, "quantities      recomputed: 80 of 80 agree\n");
    assert_says(program.out, "charges         not rated yet\n");
    assert_says(program.out, "projections     not projected yet\n");
    assert_says(program.out, "reports         not written yet\n");
}

static void put_file(const char *path, const char *content) {
    struct err err = {0};
    assert_true(file_replace(sys_real(), path, text_from(content), &err));
}

/* A level and a flow whose days are decimals and whose sums are not. */
static void days_too_large_to_add_up_are_kept_and_checked(void **state) {
    (void)state;
    struct err err = {0};
    assert_true(directory_create(sys_real(), "vast", &err));
    put_file("vast/orgs.csv", "org_id\nvast\n");
    put_file("vast/plans.csv", "plan_id\npro\n");
    put_file("vast/prices.csv", "plan_id,metric,aggregation,included,unit_price\n"
                                "pro,bytes,last,90000000000000000000000,0.5\n"
                                "pro,tokens,sum,90000000000000000000000,0.5\n");
    put_file("vast/subscriptions.csv", "org_id,plan_id\nvast,pro\n");
    put_file("vast/usage.csv", "org_id,metric,quantity,occurred_at,kind\n"
                               "vast,bytes,50000000000000000000000,2024-02-03T05:00:00Z,set\n"
                               "vast,bytes,70000000000000000000000,2024-02-17T05:00:00Z,set\n"
                               "vast,tokens,60000000000000000000000,2024-02-28T05:00:00Z,delta\n"
                               "vast,tokens,7.5,2024-02-11T05:00:00Z,delta\n");
    assert_status(0, "run", "--period", "2024-02", "--cutoff", "2024-03-31T02:00:00Z", "--source",
                  "vast", "--run-dir", "large");
    assert_status(0, "verify", "large");
    assert_says(program.out, "quantities      recomputed: 2 of 2 agree\n");
    assert_says(program.out, "projections     recomputed: 2 of 2 agree\n");
    assert_status(0, "inspect", "large/meter/daily", "--format", "csv");
    assert_says(program.out, "vast,bytes,0,2024-02-03,50000000000000000000000\n");
    assert_says(program.out, "vast,bytes,0,2024-02-29,70000000000000000000000\n");
    assert_says(program.out, "vast,tokens,1,2024-02-11,7.5\n"
                             "vast,tokens,1,2024-02-28,60000000000000000000000\n");
    forge_decimal("large/20-meter/daily.arrow", "7.5", "7.25");
    assert_status(ERR_CONTROL, "verify", "large");
    assert_says(program.out, "tokens            day: sealed 7.25, should be 7.5\n");
    assert_says(program.out, "quantities      recomputed: 1 of 2 agree\n");
    forge_decimal("large/20-meter/daily.arrow", "7.25", "7.5");
    const int64_t series[][2] = {{1, 1}, {2, 2}};
    forge("large/20-meter/daily.arrow", series[0], series[1], sizeof series[0]);
    assert_status(ERR_CONTROL, "verify", "large");
    assert_says(program.out, "day: sealed nothing, should be a value\n");
    assert_says(program.out,
                "rows by day: sealed rows of series 2, should be metered by no price\n");
    assert_status(ERR_DAMAGED, "replay", "large", "--from", "project", "--run-dir", "again");
    assert_says(program.told, "no days of series 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_run_agrees_in_everything),
        cmocka_unit_test(a_flipped_byte_is_damage),
        cmocka_unit_test(a_wrong_cost_is_found_although_its_digest_is_right),
        cmocka_unit_test(a_wrong_quantity_is_found_with_what_it_costs),
        cmocka_unit_test(a_wrong_average_is_found),
        cmocka_unit_test(a_wrong_price_is_found_in_all_that_it_made),
        cmocka_unit_test(the_last_digit_of_every_column_is_checked),
        cmocka_unit_test(a_report_with_another_sum_is_found),
        cmocka_unit_test(days_too_large_to_add_up_are_kept_and_checked),
        cmocka_unit_test(a_run_that_is_not_finished_tells_what_is_missing),
    };
    return cmocka_run_group_tests(tests, program_setup, program_teardown);
}
