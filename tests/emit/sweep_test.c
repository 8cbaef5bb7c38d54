#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "account.h"
#include "emit/sender.h"
#include "support/scratch.h"

static const char run_id[] = "0123456789abcdef0123456789abcdef";
static const char list_items[] = "GET /v1/invoiceitems";
static const struct instant since = {PEER_EPOCH_US};

struct fixture {
    struct peer peer;
    struct account account;
};

static struct fixture *fixture_new(void) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    peer_open(&fixture.peer, account_answer, &fixture.account);
    return &fixture;
}

static struct emit_key key_of(size_t number) {
    struct emit_key key;
    struct err err = {0};
    assert_true(
        emit_key_of(text_from("org"), text_from("tokens"), "2026-10", (int64_t)number, &key, &err));
    return key;
}

/* An item that stands at Stripe already. */
static void there_is(struct fixture *fixture, size_t number, const char *period) {
    struct account *account = &fixture->account;
    struct emit_key key = key_of(number);
    struct account_item *item = &account->items[account->items_count++];
    (void)snprintf(item->id, sizeof item->id, "ii_%zu", account->items_count);
    (void)snprintf(item->customer, sizeof item->customer, "cus_%zu", number % 7);
    (void)snprintf(item->amount, sizeof item->amount, "%zu", number + 100);
    (void)snprintf(item->currency, sizeof item->currency, "usd");
    (void)snprintf(item->period, sizeof item->period, "%s", period);
    emit_key_format(&key, item->item_key);
}

/* One look or sweep over a journal of its own, in that time (0: any); its end. */
static enum err_code ask_within(struct fixture *fixture, int64_t deadline_us, bool is_trial,
                                struct err *err) {
    struct journal *journal;
    struct sender *sender;
    struct sender_options options = {.sys = &fixture->peer.sys,
                                     .base = fixture->peer.base,
                                     .secret = "sk_test_51verysecret",
                                     .version = "2026-07-29.dahlia",
                                     .run_id = run_id,
                                     .period = "2026-10",
                                     .rate = 20,
                                     .in_flight = 8,
                                     .timeout_ms = 20000,
                                     .retry_delay_ms = 500,
                                     .started_us = fixture->peer.clock_us,
                                     .deadline_us = deadline_us};
    assert_true(journal_open(&fixture->peer.sys, "journal", run_id, since, &journal, err));
    assert_true(sender_create(&options, journal, &sender, err));
    bool is_fine = is_trial ? sender_try_key(sender, err) : sender_sweep(sender, since, err);
    sender_destroy(sender);
    journal_close(journal);
    assert_int_equal(is_fine, err->code == ERR_NONE);
    assert_null(strstr(err->message, "verysecret"));
    return err->code;
}

static enum err_code sweep_within(struct fixture *fixture, int64_t deadline_us, struct err *err) {
    return ask_within(fixture, deadline_us, false, err);
}

static enum err_code sweep(struct fixture *fixture, struct err *err) {
    return sweep_within(fixture, 0, err);
}

/* What the journal knows of the item afterwards. */
static bool is_known(size_t number, struct journal_state *known, struct err *err) {
    static char object_id[64];
    struct journal *journal;
    struct emit_key key = key_of(number);
    assert_true(journal_open(sys_real(), "journal", run_id, since, &journal, err));
    bool is_fine = journal_find(journal, &key, known, err);
    if (is_fine && known->has_answer) {
        assert_true(known->answer.object_id.size_bytes < sizeof object_id);
        memcpy(object_id, known->answer.object_id.bytes, known->answer.object_id.size_bytes);
        known->answer.object_id.bytes = object_id;
    }
    journal_close(journal);
    return is_fine;
}

static bool is_complete(void) {
    struct journal *journal;
    struct err err = {0};
    bool has_since;
    struct instant last;
    assert_true(journal_open(sys_real(), "journal", run_id, since, &journal, &err));
    bool is_incomplete = journal_is_incomplete(journal, &has_since, &last);
    journal_close(journal);
    return !is_incomplete;
}

static void everything_of_the_period_is_found_page_by_page(void **state) {
    (void)state;
    enum { ITEMS = 230 };
    struct fixture *fixture = fixture_new();
    struct err err = {0};
    struct journal_state known;
    for (size_t number = 0; number < ITEMS; number++) {
        there_is(fixture, number, number % 10 == 3 ? "2026-09" : "2026-10");
    }
    (void)snprintf(fixture->account.items[50].item_key, ACCOUNT_TEXT_MAX, "somebody else's");
    assert_int_equal(sweep(fixture, &err), ERR_NONE);
    assert_int_equal(account_calls(&fixture->account, list_items), 3);
    for (size_t number = 0; number < ITEMS; number++) {
        assert_true(is_known(number, &known, &err));
        assert_int_equal(known.has_answer, number % 10 != 3 && number != 50);
        assert_false(known.is_unsettled);
        if (known.has_answer) {
            assert_int_equal(known.answer.outcome, OUTCOME_FOUND);
            assert_int_equal(known.answer.amount, (int64_t)number + 100);
        }
    }
    assert_true(is_complete());
    peer_close(&fixture->peer);
}

/* An hour of slack: the clocks of two machines differ. */
static void it_asks_from_a_little_before(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    struct err err = {0};
    char expected[64];
    (void)snprintf(expected, sizeof expected, "created[gte]=%lld&limit=100",
                   (long long)(since.us / 1000000 - 3600));
    assert_int_equal(sweep(fixture, &err), ERR_NONE);
    assert_int_equal(fixture->account.calls_count, 2); /* items, and invoices of ours */
    assert_non_null(strstr(fixture->account.calls[0].line, expected));
    assert_true(is_complete());
    peer_close(&fixture->peer);
}

static void a_page_that_does_not_come_is_asked_for_again(void **state) {
    (void)state;
    static const struct account_rule rules[] = {
        {list_items, .status = 500, .body = "{\"error\":{\"type\":\"api_error\"}}"},
        {list_items, .nth = 2, .status = 429},
        {list_items, .nth = 4, .end = PEER_RESETS},
        {list_items, .nth = 5, .status = 200, .body = "{\"data\":["}};
    struct fixture *fixture = fixture_new();
    struct err err = {0};
    struct journal_state known;
    for (size_t number = 0; number < 12; number++) {
        there_is(fixture, number, "2026-10");
    }
    fixture->account.page_max = 5;
    fixture->account.rules = rules;
    fixture->account.rules_count = sizeof rules / sizeof rules[0];
    assert_int_equal(sweep(fixture, &err), ERR_NONE);
    for (size_t number = 0; number < 12; number++) {
        assert_true(is_known(number, &known, &err) && known.has_answer);
    }
    peer_close(&fixture->peer);
}

/* Half of what is there is nothing: the journal stays incomplete, and nobody may send. */
static void what_cannot_be_asked_for_to_its_end_is_an_error(void **state) {
    (void)state;
    static const struct {
        struct account_rule rule;
        enum err_code code;
    } rows[] = {
        {{list_items, .nth = 2, .times = 1000, .status = 401,
          .body = "{\"error\":{\"type\":\"invalid_request_error\"}}"},
         ERR_REFUSED},
        {{list_items, .nth = 2, .times = 1000, .status = 403,
          .body = "{\"error\":{\"type\":\"invalid_request_error\"}}"},
         ERR_REFUSED},
        {{list_items, .nth = 2, .times = 1000, .end = PEER_CLOSES}, ERR_INTERRUPTED},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct fixture *fixture = fixture_new();
        struct err err = {0};
        for (size_t number = 0; number < 9; number++) {
            there_is(fixture, number, "2026-10");
        }
        fixture->account.page_max = 5;
        fixture->account.rules = &rows[row].rule;
        fixture->account.rules_count = 1;
        assert_int_equal(sweep(fixture, &err), rows[row].code);
        assert_true(err.hint[0] != '\0');
        assert_in_range(fixture->account.calls_count, 2, 30);
        assert_false(is_complete());
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

/* Only an answer that says so is about the key; none of these is waited for. */
static void a_key_that_is_not_taken_is_known_before_the_wait(void **state) {
    (void)state;
    static const char refusal[] = "{\"error\":{\"type\":\"invalid_request_error\"}}";
    static const struct {
        struct account_rule rule;
        enum err_code code;
    } rows[] = {
        {{list_items, .status = 401, .headers = "Request-Id: req_401\r\n", .body = refusal},
         ERR_REFUSED},
        {{list_items, .status = 403, .headers = "Request-Id: req_403\r\n", .body = refusal},
         ERR_REFUSED},
        {{list_items, .status = 429, .body = refusal}, ERR_NONE},
        {{list_items, .status = 503}, ERR_NONE},
        {{list_items, .end = PEER_RESETS}, ERR_NONE},
        {{"no such request", .nth = 1}, ERR_NONE},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct fixture *fixture = fixture_new();
        struct err err = {0};
        there_is(fixture, row, "2026-10");
        fixture->account.rules = &rows[row].rule;
        fixture->account.rules_count = 1;
        int64_t began_us = fixture->peer.clock_us;
        assert_int_equal(ask_within(fixture, 0, true, &err), rows[row].code);
        assert_true(fixture->peer.clock_us - began_us < 1000000);
        assert_int_equal(fixture->account.calls_count, 1);
        if (rows[row].code != ERR_NONE) {
            assert_non_null(
                strstr(err.message, rows[row].rule.status == 401 ? "req_401" : "req_403"));
            assert_non_null(strstr(err.hint, "STRIPE_API_KEY"));
        }
        assert_false(is_complete()); /* a look completes nothing */
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

/* 1.25 times 20 s. */
static void the_wait_before_it_ends_at_the_deadline(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    struct err err = {0};
    int64_t began_us = fixture->peer.clock_us;
    assert_int_equal(sweep_within(fixture, began_us + 5 * 1000000, &err), ERR_INTERRUPTED);
    assert_true(fixture->peer.clock_us - began_us >= 5 * 1000000 &&
                fixture->peer.clock_us - began_us < 6 * 1000000);
    assert_non_null(strstr(err.hint, "25 s"));
    assert_non_null(strstr(err.hint, "--deadline"));
    assert_int_equal(fixture->account.calls_count, 0);
    assert_false(is_complete());
    err = (struct err){0};
    assert_int_equal(sweep_within(fixture, fixture->peer.clock_us + 40 * 1000000, &err), ERR_NONE);
    assert_true(is_complete());
    peer_close(&fixture->peer);
}

static void an_item_that_is_there_twice_is_a_conflict(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    struct err err = {0};
    struct journal_state known;
    there_is(fixture, 1, "2026-10");
    there_is(fixture, 2, "2026-10");
    there_is(fixture, 1, "2026-10");
    assert_int_equal(sweep(fixture, &err), ERR_NONE);
    assert_true(is_known(2, &known, &err));
    assert_false(is_known(1, &known, &err));
    assert_int_equal(err.code, ERR_CONTENT);
    assert_non_null(strstr(err.message, "ii_1"));
    assert_non_null(strstr(err.message, "ii_3"));
    peer_close(&fixture->peer);
}

/* Pages go at the rate of their endpoint, too. */
static void pages_keep_to_the_rate(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    struct err err = {0};
    for (size_t number = 0; number < 120; number++) {
        there_is(fixture, number, "2026-10");
    }
    fixture->account.page_max = 3;
    assert_int_equal(sweep(fixture, &err), ERR_NONE);
    assert_int_equal(fixture->account.calls_count, 40 + 1); /* and one for invoices */
    for (size_t index = 20; index < 40; index++) {
        assert_true(fixture->account.calls[index].at_us - fixture->account.calls[index - 20].at_us >
                    1000000);
    }
    peer_close(&fixture->peer);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(everything_of_the_period_is_found_page_by_page),
        TEST(it_asks_from_a_little_before),
        TEST(a_page_that_does_not_come_is_asked_for_again),
        TEST(what_cannot_be_asked_for_to_its_end_is_an_error),
        TEST(a_key_that_is_not_taken_is_known_before_the_wait),
        TEST(the_wait_before_it_ends_at_the_deadline),
        TEST(an_item_that_is_there_twice_is_a_conflict),
        TEST(pages_keep_to_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
