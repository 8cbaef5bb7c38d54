#include "program.h"

#include "cli/print.h"

static void a_run_shows_pins_files_and_totals(void **state) {
    (void)state;
    assert_status(0, "inspect", "close");
    assert_says(program.out, "period                   2024-02\n");
    assert_says(program.out, "30-rate/charges.arrow                       39 ");
    assert_says(program.out, "uncapped_cost - cap_reduction = cost       usd                  "
                             "976.65 = 976.65\n");
    assert_status(0, "inspect", "close", "--format", "csv");
    assert_says(program.out, "stage,file,rows,bytes,sha256\nextract,10-extract/");
}

static void a_stage_goes_by_name_or_folder(void **state) {
    (void)state;
    assert_status(0, "inspect", "close/rate");
    assert_says(program.out, "charges: 39 rows in 1 file\n");
    assert_says(program.out, "  cost                     decimal128(38,15)\n");
    assert_status(0, "inspect", "close/30-rate/");
    assert_says(program.out, "charges: 39 rows in 1 file\n");
}

static void rows_come_as_csv(void **state) {
    (void)state;
    assert_status(0, "inspect", "close/rate/charges", "--org", "capped");
    assert_string_equal(program.out.bytes,
                        "org_id,metric,limit,overage,blocked,exact_cost,uncapped_cost,"
                        "cap_reduction,cost\n"
                        "capped,playbook_runs,50,25,0,25,25,8.87,16.13\n"
                        "capped,seats,3,1,0,12,12,4.26,7.74\n"
                        "capped,tokens,500000,250000,0,25,25,8.88,16.12\n");
    assert_status(0, "inspect", "close/extract/orgs.arrow", "--org", "ledger", "--org", "capped");
    assert_says(program.out, "ledger,\"Two\nLines GmbH\",active,");
    assert_says(program.out, "capped,\"The \"\"Capped\"\" Company\",active,");
    assert_status(0, "inspect", "close/extract/orgs", "--org", "=formula");
    assert_says(program.out, "\n=formula,\"=HYPERLINK("); /* as it is: this is no report */
}

static void rows_come_as_json(void **state) {
    (void)state;
    assert_status(0, "inspect", "close/extract/limits", "--org", "softly", "--format", "json");
    assert_string_equal(program.out.bytes,
                        "{\"org_id\":\"softly\",\"metric\":\"tokens\",\"soft_limit\":\"600000\","
                        "\"hard_limit\":null}\n");
    assert_status(0, "inspect", "close/extract/orgs", "--org", "ledger", "--format", "json");
    assert_says(program.out, "\"name\":\"Two\\u000aLines GmbH\"");
    assert_says(program.out, "\"overage_enabled\":true");
    assert_says(program.out, "\"period_start\":\"2024-02-01T00:00:00Z\"");
}

static void tables_by_day_tell_org_and_metric(void **state) {
    (void)state;
    assert_status(0, "inspect", "close/extract/days", "--org", "twice");
    assert_says(program.out, "org_id,metric,series,day,sum,count\ntwice,playbook_runs,");
    assert_status(0, "inspect", "close/extract/days", "--org", "latecomer", "--format", "json");
    assert_says(program.out, "{\"org_id\":\"latecomer\",\"metric\":\"playbook_runs\",\"series\":");
    assert_says(program.out, "\"day\":\"2024-02-13\",\"sum\":\"55\",\"count\":\"1\"}\n");
}

static void what_is_not_there_is_refused_with_what_is(void **state) {
    (void)state;
    assert_status(ERR_USAGE, "inspect", "close/rat");
    assert_says(program.told, "the stages are extract, meter, rate");
    assert_status(ERR_USAGE, "inspect", "close/rate/charge");
    assert_says(program.told, "its tables are: charges, lines\n");
    assert_status(ERR_USAGE, "inspect", "close/rate/charges.1.arrow"); /* there is one file */
    assert_status(ERR_USAGE, "inspect", "close/extract/plans", "--org", "acme");
    assert_status(ERR_USAGE, "inspect", "close", "--org", "acme");
    assert_status(ERR_USAGE, "inspect", "close", "--format", "yaml");
    assert_status(0, "inspect", "close/rate/charges", "--org", "nobody");
    assert_says(program.told, "no rows of that org in 'charges'\n");
}

/* --- print.h ------------------------------------------------------------------------------------
 */

static void control_bytes_are_escaped_and_columns_filled(void **state) {
    (void)state;
    struct buffer line = {0};
    struct err err = {0};
    assert_true(print_escape(&line, text_from("a\x1b[2J\n\tb\x7f\xc2\x9b\xc3\xa9"), &err));
    assert_true(print_pad(&line, text_from("|\xc3\xa9x"), 5, &err));
    assert_true(print_pad(&line, text_from("|toolong"), 5, &err));
    assert_true(buffer_append(&line, (struct text){"", 1}, &err));
    assert_string_equal(line.bytes, "a\\x1b[2J\\n\\tb\\x7f\\x9b\xc3\xa9|\xc3\xa9x  |too…");
    buffer_release(&line);
}

static void numbers_are_grouped_by_thousands(void **state) {
    (void)state;
    char text[PRINT_NUMBER_MAX];
    struct decimal value;
    static const char *const pairs[][2] = {
        {"0", "0"},
        {"-999.125", "-999.125"},
        {"1000", "1,000"},
        {"-123456.0001", "-123,456.0001"},
        {"99999999999999999999999.999999999999999",
         "99,999,999,999,999,999,999,999.999999999999999"},
    };
    for (size_t index = 0; index < sizeof pairs / sizeof pairs[0]; index++) {
        assert_int_equal(decimal_parse(text_from(pairs[index][0]), &value), DECIMAL_OK);
        assert_int_equal(print_decimal(value, text), strlen(pairs[index][1]));
        assert_string_equal(text, pairs[index][1]);
    }
    const struct currency *usd = currency_find(text_from("usd"));
    assert_int_equal(decimal_parse(text_from("1234.5"), &value), DECIMAL_OK);
    (void)print_difference(value, usd, text);
    assert_string_equal(text, "+1,234.50 USD");
    assert_int_equal(decimal_parse(text_from("0.125"), &value), DECIMAL_OK);
    (void)print_money(value, usd, text); /* not whole cents: shown in full */
    assert_string_equal(text, "0.125 USD");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_shows_pins_files_and_totals),
        cmocka_unit_test(a_stage_goes_by_name_or_folder),
        cmocka_unit_test(rows_come_as_csv),
        cmocka_unit_test(rows_come_as_json),
        cmocka_unit_test(tables_by_day_tell_org_and_metric),
        cmocka_unit_test(what_is_not_there_is_refused_with_what_is),
        cmocka_unit_test(control_bytes_are_escaped_and_columns_filled),
        cmocka_unit_test(numbers_are_grouped_by_thousands),
    };
    return cmocka_run_group_tests(tests, program_setup, program_teardown);
}
