#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "emit/form.h"
#include "emit/item.h"

static struct decimal number(const char *text) {
    struct decimal value;
    assert_int_equal(decimal_parse(text_from(text), &value), DECIMAL_OK);
    return value;
}

static struct emit_item sample(void) {
    struct err err = {0};
    struct emit_item item = {
        .org_id = text_from("org_ü&b"),
        .metric = text_from("tokens"),
        .period = "2026-10",
        .revision = 1,
        .currency = currency_find(text_from("usd")),
        .billed = number("25"),
        .overage = number("250000"),
        .limit = number("500000"),
        .unit_price = number("0.0001"),
        .period_start = {INT64_C(1790812800000000)},
        .period_end = {INT64_C(1793491200000000)},
    };
    assert_true(emit_key_of(item.org_id, item.metric, item.period, 1, &item.key, &err));
    assert_true(emit_item_set_amount(&item, &err));
    return item;
}

static void assert_form(const struct buffer *form, const char *expected) {
    assert_int_equal(form->size_bytes, strlen(expected));
    assert_memory_equal(form->bytes, expected, form->size_bytes);
}

static void form_is_encoded_as_stripes_client_does(void **state) {
    (void)state;
    struct buffer form = {0};
    struct err err = {0};
    assert_true(form_text(&form, "description", text_from("é & ü!'()*~[x]"), &err));
    assert_true(form_text(&form, "metadata[run_id]", text_from("2026-10/a b"), &err));
    assert_true(form_int64(&form, "period[start]", -7, &err));
    assert_true(form_bool(&form, "discountable", false, &err));
    assert_form(&form, "description=%C3%A9%20%26%20%C3%BC%21%27%28%29%2A~[x]"
                       "&metadata[run_id]=2026-10%2Fa%20b&period[start]=-7&discountable=false");
    buffer_release(&form);
}

static void keys_differ_in_every_field(void **state) {
    (void)state;
    static const struct {
        const char *org, *metric, *period;
        int64_t revision;
    } rows[] = {{"ab", "c", "2026-10", 1}, {"a", "bc", "2026-10", 1},  {"ab", "c", "2026-11", 1},
                {"ab", "c", "2026-10", 2}, {"ab", "c1", "2026-10", 1}, {"abc", "", "2026-10", 1}};
    enum { ROWS_COUNT = sizeof rows / sizeof rows[0] };
    struct emit_key keys[ROWS_COUNT];
    struct err err = {0};
    for (size_t row = 0; row < ROWS_COUNT; row++) {
        assert_true(emit_key_of(text_from(rows[row].org), text_from(rows[row].metric),
                                rows[row].period, rows[row].revision, &keys[row], &err));
        for (size_t before = 0; before < row; before++) {
            assert_memory_not_equal(keys[row].bytes, keys[before].bytes, EMIT_KEY_BYTES);
        }
    }
    char text[EMIT_KEY_TEXT_MAX];
    struct emit_key parsed;
    emit_key_format(&keys[0], text);
    assert_true(emit_key_parse(text_from(text), &parsed));
    assert_memory_equal(parsed.bytes, keys[0].bytes, EMIT_KEY_BYTES);
    assert_false(emit_key_parse(text_from("00"), &parsed));
    char idempotency[EMIT_IDEMPOTENCY_MAX];
    emit_idempotency_format(&keys[0], 12, idempotency);
    assert_memory_equal(idempotency, text, 32);
    assert_string_equal(idempotency + 32, "-00012");
}

static void body_says_everything_in_a_fixed_order(void **state) {
    (void)state;
    struct emit_item item = sample();
    struct err err = {0};
    struct buffer body = {0};
    struct emit_target target = {.customer = text_from("cus_1"),
                                 .place = PLACE_SUBSCRIPTION,
                                 .place_id = text_from("sub_1"),
                                 .run_id = "0123"};
    char key[EMIT_KEY_TEXT_MAX];
    char expected[1024];
    emit_key_format(&item.key, key);
    (void)snprintf(expected, sizeof expected,
                   "customer=cus_1&amount=2500&currency=usd&discountable=false"
                   "&description=tokens%%3A%%20250%%2C000%%20over%%20500%%2C000%%20included%%2C"
                   "%%20October%%202026&period[start]=1790812800&period[end]=1793491199"
                   "&metadata[item_key]=%s&metadata[run_id]=0123"
                   "&metadata[org_id]=org_%%C3%%BC%%26b&metadata[metric]=tokens"
                   "&metadata[period]=2026-10&metadata[quantity]=250000&metadata[revision]=1"
                   "&subscription=sub_1",
                   key);
    assert_true(emit_item_body(&item, &target, &body, &err));
    assert_form(&body, expected);
    buffer_release(&body);
}

static void assert_described(const struct emit_item *item, const char *expected) {
    struct err err = {0};
    struct buffer text = {0};
    assert_true(emit_item_describe(item, &text, &err));
    assert_true(buffer_append(&text, (struct text){"", 1}, &err));
    assert_string_equal(text.bytes, expected);
    buffer_release(&text);
}

static void a_customer_reads_what_is_billed(void **state) {
    (void)state;
    struct emit_item item = sample();
    item.metric = text_from("seats");
    item.overage = number("1");
    item.limit = number("5");
    assert_described(&item, "seats: 1 over 5 included, October 2026");
    item.metric = text_from("storage_bytes");
    item.overage = number("1234567.5");
    item.unit = text_from("GB");
    assert_described(&item, "storage_bytes: 1,234,567.5 GB over 5 included, October 2026");
    item.limit = number("0");
    assert_described(&item, "storage_bytes: 1,234,567.5 GB, none included, October 2026");
    item = sample();
    item.revision = 2;
    item.billed = number("10");
    assert_described(&item, "tokens: 250,000 over 500,000 included, October 2026 "
                            "(correction 1: difference)");
    item.overage = number("0");
    item.billed = number("-25");
    item.revision = 3;
    assert_described(&item, "tokens: 0 over 500,000 included, October 2026 (correction 2: credit)");
}

static void quantity_is_used_only_where_it_is_exact(void **state) {
    (void)state;
    struct emit_item item = sample();
    emit_item_use_quantity(&item);
    assert_true(item.is_by_quantity);
    item.overage = number("250000.5"); /* 25.00005 was rounded */
    emit_item_use_quantity(&item);
    assert_false(item.is_by_quantity);
    item = sample();
    item.unit_price = number("0.000000000000001"); /* 13 decimals in cents */
    item.overage = number("20000000000000");
    item.billed = number("0.02");
    emit_item_use_quantity(&item);
    assert_false(item.is_by_quantity);
}

static void amount_is_in_stripes_minor_units(void **state) {
    (void)state;
    static const struct {
        const char *currency, *billed;
        int64_t amount;
    } rows[] = {{"usd", "-12.34", -1234},
                {"jpy", "77", 77},
                {"kwd", "1.230", 1230},
                {"isk", "31", 3100},
                {"mga", "200", 200}};
    struct err err = {0};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct emit_item item = sample();
        item.currency = currency_find(text_from(rows[row].currency));
        item.billed = number(rows[row].billed);
        assert_true(emit_item_set_amount(&item, &err));
        assert_int_equal(item.amount, rows[row].amount);
    }
    struct emit_item item = sample();
    item.billed = number("10000000000");
    assert_false(emit_item_set_amount(&item, &err));
    assert_int_equal(err.code, ERR_RANGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(form_is_encoded_as_stripes_client_does),
        cmocka_unit_test(keys_differ_in_every_field),
        cmocka_unit_test(body_says_everything_in_a_fixed_order),
        cmocka_unit_test(a_customer_reads_what_is_billed),
        cmocka_unit_test(quantity_is_used_only_where_it_is_exact),
        cmocka_unit_test(amount_is_in_stripes_minor_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
