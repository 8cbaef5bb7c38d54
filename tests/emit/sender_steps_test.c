#include "bill.h"

/* --- answers that settle ------------------------------------------------------------------------
 */

static void a_refusal_is_one_items_affair(void **state) {
    (void)state;
    static const int statuses[] = {400, 402, 403, 404};
    for (size_t row = 0; row < sizeof statuses / sizeof statuses[0]; row++) {
        struct account_rule rule = {post_item, .nth = 2, .status = statuses[row],
                                    .headers = "Request-Id: req_no\r\n",
                                    .body = "{\"error\":{\"type\":\"invalid_request_error\","
                                            "\"message\":\"No such customer\"}}"};
        struct fixture *fixture = fixture_new();
        char expected[64];
        add_groups(&fixture->bill, 1, 3);
        use_rules(fixture, &rule, 1);
        live_well(fixture);
        assert_once_each(fixture, 2);
        assert_int_equal(fixture->bill.results[0][0].status, EMIT_SENT);
        assert_int_equal(fixture->bill.results[0][1].status, EMIT_FAILED);
        assert_int_equal(fixture->bill.results[0][2].status, EMIT_SENT);
        (void)snprintf(expected, sizeof expected, "HTTP %d: No such customer", statuses[row]);
        assert_string_equal(fixture->bill.results[0][1].detail, expected);
        assert_string_equal(fixture->bill.results[0][1].request_id, "req_no");
        live_well(fixture); /* it stays so */
        assert_int_equal(fixture->account.calls_count, 3);
        assert_int_equal(fixture->bill.results[0][1].status, EMIT_FAILED);
        fixture->options.retries_failed = true; /* until it is asked for: a new key */
        live_well(fixture);
        assert_once_each(fixture, 3);
        assert_string_equal(call_at(fixture, post_item, 3)->idempotency_key + 32, "-00002");
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

static void a_refused_api_key_stops_everything(void **state) {
    (void)state;
    static const struct account_rule rule = {
        post_item, .nth = 3, .status = 401, .headers = "Request-Id: req_401\r\n",
        .body = REFUSAL("invalid_request_error", "api_key_expired")};
    struct fixture *fixture = fixture_new();
    struct err err = {0};
    add_groups(&fixture->bill, 20, 1);
    fixture->options.in_flight = 1;
    use_rules(fixture, &rule, 1);
    assert_int_equal(live(fixture, &err), ERR_REFUSED);
    assert_non_null(strstr(err.message, "req_401"));
    assert_int_equal(fixture->account.calls_count, 3);
    struct err none = {0};
    assert_int_equal(live(fixture, &none), ERR_NONE);
    assert_once_each(fixture, 20);
    peer_close(&fixture->peer);
}

static void other_content_stops_everything(void **state) {
    (void)state;
    static const struct account_rule rules[] = {
        {post_item, .status = 200,
         .body = "{\"id\":\"ii_9\",\"amount\":1,\"currency\":\"usd\",\"customer\":\"cus_0\"}"},
        {post_item, .status = 200,
         .body = "{\"id\":\"ii_9\",\"amount\":1000,\"currency\":\"usd\",\"customer\":\"cus_7\"}"},
        {post_item, .status = 200,
         .body = "{\"id\":\"ii_9\",\"amount\":1000,\"currency\":\"eur\",\"customer\":\"cus_0\"}"}};
    for (size_t row = 0; row < sizeof rules / sizeof rules[0]; row++) {
        struct fixture *fixture = fixture_new();
        struct err err = {0};
        add_groups(&fixture->bill, 5, 1);
        fixture->options.in_flight = 1;
        use_rules(fixture, &rules[row], 1);
        assert_int_equal(live(fixture, &err), ERR_CONTENT);
        assert_int_equal(fixture->account.calls_count, 1);
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

/* --- settling -----------------------------------------------------------------------------------
 */

/* A start whose journal is lost may have used it: what stands there decides. */
static void a_key_with_another_body_is_settled_by_listing(void **state) {
    (void)state;
    for (int was_done = 0; was_done < 2; was_done++) {
        struct account_rule rules[] = {{post_item, .status = 400, .does = was_done == 1,
                                        .body = REFUSAL("idempotency_error", "")}};
        struct fixture *fixture = fixture_new();
        add_groups(&fixture->bill, 1, 1);
        use_rules(fixture, rules, 1);
        int64_t began_us = fixture->peer.sys.monotonic_us(&fixture->peer);
        live_well(fixture);
        assert_once_each(fixture, 1);
        assert_int_equal(fixture->bill.results[0][0].attempts, was_done == 1 ? 1 : 2);
        assert_int_equal(account_calls(&fixture->account, list_items), 1);
        /* Not before what another start may have under way has arrived. */
        assert_true(fixture->peer.sys.monotonic_us(&fixture->peer) - began_us >= 20000 * 1250);
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

/* A 500 that is kept under the key: was it done before that? Only a listing can tell. */
static void a_kept_failure_is_settled_by_listing(void **state) {
    (void)state;
    for (int was_done = 0; was_done < 2; was_done++) {
        struct account_rule rules[] = {
            {post_item, .status = 500, .does = was_done == 1, .body = REFUSAL("api_error", "")},
            {post_item, .nth = 2, .status = 500, .headers = "Idempotent-Replayed: true\r\n",
             .body = REFUSAL("api_error", "")}};
        struct fixture *fixture = fixture_new();
        add_groups(&fixture->bill, 1, 1);
        use_rules(fixture, rules, 2);
        live_well(fixture);
        assert_once_each(fixture, 1);
        assert_int_equal(fixture->bill.results[0][0].status, EMIT_SENT);
        assert_int_equal(account_calls(&fixture->account, list_items), 1);
        assert_int_equal(account_calls(&fixture->account, post_item), was_done == 1 ? 2 : 3);
        assert_int_equal(fixture->bill.results[0][0].attempts, was_done == 1 ? 1 : 2);
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

/* The program dies with a request under way: the intent is there and no answer is. */
static void die_asking(struct fixture *fixture, bool was_done) {
    struct account_rule rule = {post_item, .is_silent = true, .does = was_done, .times = 1000};
    struct emit_feed feed = {.context = &fixture->bill, .next = bill_next, .done = bill_done};
    struct err err = {0};
    fixture->options.deadline_us = fixture->peer.clock_us + 100000;
    fixture->options.timeout_ms = 30;
    use_rules(fixture, &rule, 1);
    open_sender(fixture);
    assert_false(sender_run(fixture->sender, &feed, &err));
    assert_int_equal(err.code, ERR_UNKNOWN);
    close_sender(fixture);
    fixture->options.deadline_us = 0;
    fixture->options.timeout_ms = 20000;
    use_rules(fixture, NULL, 0);
    fixture->account.calls_count = 0;
}

static void within_the_life_of_its_key_the_same_request_settles(void **state) {
    (void)state;
    for (int was_done = 0; was_done < 2; was_done++) {
        struct fixture *fixture = fixture_new();
        add_groups(&fixture->bill, 1, 1);
        die_asking(fixture, was_done == 1);
        fixture->peer.clock_us += 22 * HOUR_US;
        live_well(fixture);
        assert_once_each(fixture, 1);
        assert_int_equal(account_calls(&fixture->account, list_items), 0);
        assert_string_equal(call_at(fixture, post_item, 0)->idempotency_key + 32, "-00001");
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

/* Stripe forgot the key: sent again it would be a second item. */
static void after_the_life_of_its_key_a_listing_settles(void **state) {
    (void)state;
    static const int64_t later_us[] = {23 * HOUR_US + 1, 40 * 24 * HOUR_US, -3 * HOUR_US};
    for (size_t row = 0; row < sizeof later_us / sizeof later_us[0]; row++) {
        for (int was_done = 0; was_done < 2; was_done++) {
            struct fixture *fixture = fixture_new();
            fixture->peer.clock_us += 10 * HOUR_US;
            add_groups(&fixture->bill, 1, 2);
            die_asking(fixture, was_done == 1);
            fixture->peer.clock_us += later_us[row];
            fixture->account.is_forgetful = true;
            live_well(fixture);
            assert_once_each(fixture, 2);
            assert_true(account_calls(&fixture->account, list_items) >= 1);
            assert_true(strncmp(fixture->account.calls[0].line, list_items, 20) == 0);
            assert_int_equal(fixture->counts.sent, 2);
            peer_close(&fixture->peer);
            scratch_empty();
        }
    }
}

/* Nothing new, even for a customer with other items to send. */
static void settling_sends_nothing_new(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    struct emit_feed feed = {.context = &fixture->bill, .next = bill_next};
    struct err err = {0};
    add_groups(&fixture->bill, 3, 1);
    fixture->options.in_flight = 1;
    die_asking(fixture, true);
    add_groups(&fixture->bill, 2, 2);
    open_sender(fixture);
    assert_true(sender_settle(fixture->sender, &feed, &err));
    close_sender(fixture);
    assert_int_equal(fixture->account.calls_count, 3); /* each had its intent */
    assert_once_each(fixture, 3);
    peer_close(&fixture->peer);
}

/* Permission is looked at before the key: a 403 says nothing about the request before. */
static void a_late_403_does_not_settle_what_may_be_done(void **state) {
    (void)state;
    static const struct account_rule rules[] = {
        {post_item, .end = PEER_RESETS, .does = true},
        {post_item, .nth = 2, .status = 403, .body = REFUSAL("invalid_request_error", "")}};
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 1, 1);
    use_rules(fixture, rules, 2);
    live_well(fixture);
    assert_once_each(fixture, 1);
    assert_int_equal(fixture->bill.results[0][0].status, EMIT_SENT);
    peer_close(&fixture->peer);
}

/* The same key again would be answered the same: it is not asked, a listing tells. */
static void what_must_not_be_tried_again_is_not(void **state) {
    (void)state;
    for (int was_done = 0; was_done < 2; was_done++) {
        struct account_rule rules[] = {{post_item, .status = 500, .does = was_done == 1,
                                        .headers = "Stripe-Should-Retry: false\r\n",
                                        .body = REFUSAL("api_error", "")}};
        struct fixture *fixture = fixture_new();
        add_groups(&fixture->bill, 1, 1);
        use_rules(fixture, rules, 1);
        live_well(fixture);
        assert_once_each(fixture, 1);
        assert_int_equal(account_calls(&fixture->account, list_items), 1);
        assert_true(strncmp(fixture->account.calls[1].line, list_items, 20) == 0);
        peer_close(&fixture->peer);
        scratch_empty();
    }
    static const struct account_rule limited = {
        post_item, .times = 1000, .status = 429, .headers = "Stripe-Should-Retry: false\r\n",
        .body = REFUSAL("invalid_request_error", "rate_limit")};
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 1, 1);
    use_rules(fixture, &limited, 1);
    live_well(fixture);
    assert_int_equal(fixture->bill.results[0][0].status, EMIT_FAILED);
    assert_int_equal(fixture->account.calls_count, 1);
    peer_close(&fixture->peer);
}

/* --- ends ---------------------------------------------------------------------------------------
 */

static void the_deadline_ends_it_and_says_whether_something_is_open(void **state) {
    (void)state;
    static const struct account_rule busy = {
        post_item, .times = 1000, .status = 429, .headers = "Retry-After: 30\r\n",
        .body = REFUSAL("invalid_request_error", "rate_limit")};
    static const struct account_rule broken = {post_item, .times = 1000, .status = 503,
                                               .headers = "Retry-After: 30\r\n"};
    static const struct {
        const struct account_rule *rule;
        enum err_code code;
    } rows[] = {{&busy, ERR_INTERRUPTED}, {&broken, ERR_UNKNOWN}};
    for (size_t row = 0; row < 2; row++) {
        struct fixture *fixture = fixture_new();
        struct err err = {0};
        add_groups(&fixture->bill, 1, 1);
        use_rules(fixture, rows[row].rule, 1);
        int64_t began_us = fixture->peer.clock_us;
        fixture->options.deadline_us = began_us + 100 * INT64_C(1000000);
        assert_int_equal(live(fixture, &err), rows[row].code);
        assert_in_range(fixture->peer.clock_us - began_us, 100000000, 101000000);
        assert_non_null(strstr(err.message, "deadline"));
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

static void an_item_is_held_for_a_reason(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 3, 1);
    fixture->bill.groups[0].held_reason = "suspended";
    fixture->bill.groups[1].customer = "";
    fixture->bill.groups[2].subscription = NULL;
    fixture->options.may_stand_alone = false;
    live_well(fixture);
    static const char *const reasons[] = {"suspended", "no_stripe_customer", "no_upcoming_invoice"};
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal(fixture->bill.results[index][0].status, EMIT_HELD);
        assert_string_equal(fixture->bill.results[index][0].reason, reasons[index]);
    }
    assert_int_equal(fixture->account.calls_count, 0);
    assert_int_equal(fixture->counts.held, 3);
    peer_close(&fixture->peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_refusal_is_one_items_affair),
        TEST(a_refused_api_key_stops_everything),
        TEST(other_content_stops_everything),
        TEST(a_key_with_another_body_is_settled_by_listing),
        TEST(a_kept_failure_is_settled_by_listing),
        TEST(within_the_life_of_its_key_the_same_request_settles),
        TEST(after_the_life_of_its_key_a_listing_settles),
        TEST(settling_sends_nothing_new),
        TEST(a_late_403_does_not_settle_what_may_be_done),
        TEST(what_must_not_be_tried_again_is_not),
        TEST(the_deadline_ends_it_and_says_whether_something_is_open),
        TEST(an_item_is_held_for_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
