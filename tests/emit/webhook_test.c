#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "emit/push.h"
#include "emit/webhook.h"

/* Made with another program's HMAC, at 1700000000. */
static const char body[] = "{\"id\":\"evt_1\"}";
static const char stripe_secret[] = "whsec_test";
#define STRIPE_HEX "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925"
static const char standard_secret[] = "whsec_c2VjcmV0IG9mIHRoaXMgdGVzdA==";
#define STANDARD_BASE64 "QpFUqbyFtntx7QbVR8I6skfsSYFUweQUfMoKJvByxcE="

static struct instant after_s(int64_t seconds) {
    return (struct instant){(INT64_C(1700000000) + seconds) * 1000000};
}

static bool stripe_fits(const char *header, const char *secret, int64_t seconds) {
    struct err err = {0};
    bool is_fine = webhook_check_stripe(text_from(body), header, secret, after_s(seconds), &err);
    assert_int_equal(err.code, is_fine ? ERR_NONE : ERR_INPUT);
    assert_null(strstr(err.message, secret));
    err_release(&err);
    return is_fine;
}

static void stripes_signature_fits_its_body_and_secret_only(void **state) {
    (void)state;
    struct err err = {0};
    static const char header[] = "t=1700000000,v1=" STRIPE_HEX;
    assert_true(stripe_fits(header, stripe_secret, 0));
    assert_true(stripe_fits("t=1700000000,v0=12,v1=00,v1=" STRIPE_HEX, stripe_secret, 0));
    assert_false(stripe_fits(header, "whsec_other", 0));
    assert_false(stripe_fits("t=1700000001,v1=" STRIPE_HEX, stripe_secret, 0));
    assert_false(stripe_fits("t=1700000000,v0=" STRIPE_HEX, stripe_secret, 0));
    assert_false(stripe_fits("t=1700000000,v1=" STRIPE_HEX "00", stripe_secret, 0));
    assert_false(webhook_check_stripe(text_from("{\"id\":\"evt_2\"}"), header, stripe_secret,
                                      after_s(0), &err));
    err_release(&err);
}

static void a_signature_that_is_malformed_fits_nothing(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      ",",
                                      "=",
                                      "t=",
                                      "v1=",
                                      "t=x,v1=" STRIPE_HEX,
                                      "t=-1,v1=" STRIPE_HEX,
                                      "t=17000000000000000000000,v1=" STRIPE_HEX,
                                      "v1=" STRIPE_HEX,
                                      "t=1700000000",
                                      "t=1700000000,v1=",
                                      STRIPE_HEX};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        assert_false(stripe_fits(bad[index], stripe_secret, 0));
    }
}

static void a_time_stamp_holds_for_five_minutes(void **state) {
    (void)state;
    static const char header[] = "t=1700000000,v1=" STRIPE_HEX;
    assert_true(stripe_fits(header, stripe_secret, 300));
    assert_false(stripe_fits(header, stripe_secret, 301));
    assert_true(stripe_fits(header, stripe_secret, -300));
    assert_false(stripe_fits(header, stripe_secret, -301));
}

static bool standard_fits(const char *id, const char *signature, const char *secret) {
    struct err err = {0};
    struct webhook_standard headers = {id, "1700000000", signature};
    bool is_fine = webhook_check_standard(text_from(body), &headers, secret, after_s(2), &err);
    assert_int_equal(err.code, is_fine ? ERR_NONE : ERR_INPUT);
    err_release(&err);
    return is_fine;
}

static void a_standard_webhook_fits_its_id_body_and_secret_only(void **state) {
    (void)state;
    static const char signature[] = "v1," STANDARD_BASE64;
    assert_true(standard_fits("msg_1", signature, standard_secret));
    assert_true(standard_fits("msg_1", "v1a,AAAA v1,AAAA v1," STANDARD_BASE64, standard_secret));
    assert_false(standard_fits("msg_2", signature, standard_secret));
    assert_false(standard_fits("msg_1", "v2," STANDARD_BASE64, standard_secret));
    assert_false(standard_fits("msg_1", "", standard_secret));
    assert_false(standard_fits("msg_1", "v1,====", standard_secret));
    assert_false(standard_fits("msg_1", signature, "whsec_c2VjcmV0IG9mIG90aGVyIHRlc3Q="));
    assert_false(standard_fits("msg_1", signature, "whsec_no base64"));
    assert_false(standard_fits("msg_1", signature, "whsec_"));
}

static void an_event_of_usage_keeps_every_decimal(void **state) {
    (void)state;
    struct err err = {0};
    struct buffer event = {0};
    struct push_row row = {.org_id = text_from("o"),
                           .customer = text_from("cus_\"1"),
                           .metric = text_from("tokens"),
                           .kind = text_from("delta"),
                           .occurred_at = after_s(0),
                           .unique_key = text_from("k\n"),
                           .event_id = "00112233445566778899aabbccddeeff"};
    assert_int_equal(
        decimal_parse(text_from("-12345678901234567890.000000000000001"), &row.quantity),
        DECIMAL_OK);
    assert_true(push_event_body(&row, &event, &err));
    assert_true(buffer_append(&event, (struct text){"", 1}, &err));
    assert_string_equal(
        event.bytes,
        "{\"event_id\":\"00112233445566778899aabbccddeeff\",\"customer_id\":\"cus_\\\"1\","
        "\"event_name\":\"tokens\",\"timestamp\":\"2023-11-14T22:13:20Z\",\"metadata\":{"
        "\"quantity\":-12345678901234567890.000000000000001,\"kind\":\"delta\","
        "\"unique_key\":\"k\\n\"}}");
    buffer_release(&event);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stripes_signature_fits_its_body_and_secret_only),
        cmocka_unit_test(a_signature_that_is_malformed_fits_nothing),
        cmocka_unit_test(a_time_stamp_holds_for_five_minutes),
        cmocka_unit_test(a_standard_webhook_fits_its_id_body_and_secret_only),
        cmocka_unit_test(an_event_of_usage_keeps_every_decimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
