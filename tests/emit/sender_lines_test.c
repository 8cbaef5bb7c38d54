#include "invoicing.h"

#include <string.h>

static const char refused[] = REFUSAL("invalid_request_error", "parameter_invalid");

static void assert_sent(const struct fixture *fixture, size_t count, unsigned attempts) {
    for (size_t index = 0; index < count; index++) {
        const struct emit_result *result = &fixture->bill.results[0][index];
        assert_int_equal(result->status, EMIT_SENT);
        assert_int_equal(result->attempts, attempts);
        assert_string_equal(result->invoice_id, "in_1");
    }
}

/* Every item is on the invoice as one line, with its amount. */
static void assert_lines_once(const struct invoicing *invoicing, size_t count) {
    assert_int_equal(invoicing->lines_count, count);
    for (size_t index = 0; index < count; index++) {
        char amount[ACCOUNT_TEXT_MAX];
        (void)snprintf(amount, sizeof amount, "%zu", 1000 + index);
        assert_string_equal(invoicing->lines[index].amount, amount);
        for (size_t other = 0; other < index; other++) {
            assert_string_not_equal(invoicing->lines[index].item_key,
                                    invoicing->lines[other].item_key);
        }
    }
}

static size_t calls(const struct fixture *fixture, const char *line) {
    return account_calls(&fixture->account, line);
}

static void the_items_of_a_group_go_by_one_request(void **state) {
    (void)state;
    struct invoicing invoicing;
    struct fixture *fixture = invoicing_new(&invoicing, 4);
    live_well(fixture);
    assert_sent(fixture, 4, 1);
    assert_lines_once(&invoicing, 4);
    assert_string_equal(fixture->bill.results[0][2].object_id, "ii_line_3");
    assert_int_equal(calls(fixture, add_lines), 1);
    assert_int_equal(calls(fixture, get_lines), 0);
    assert_int_equal(calls(fixture, post_item), 0);
    size_t calls_count = fixture->account.calls_count;
    live_well(fixture); /* all is known: nothing is asked for */
    assert_int_equal(fixture->account.calls_count, calls_count);
    assert_sent(fixture, 4, 1);
    peer_close(&fixture->peer);
}

static void a_single_item_is_no_batch(void **state) {
    (void)state;
    struct invoicing invoicing;
    struct fixture *fixture = invoicing_new(&invoicing, 1);
    live_well(fixture);
    assert_int_equal(calls(fixture, add_lines), 0);
    assert_once_each(fixture, 1);
    assert_string_equal(fixture->account.items[0].place, "in_1");
    peer_close(&fixture->peer);
}

/* The answer shows the first lines alone: the ids of the others come page by page. */
static void lines_that_are_not_shown_are_asked_for(void **state) {
    (void)state;
    struct invoicing invoicing;
    struct fixture *fixture = invoicing_new(&invoicing, 4);
    invoicing.shown_max = 2;
    live_well(fixture);
    assert_sent(fixture, 4, 1);
    assert_lines_once(&invoicing, 4);
    assert_string_equal(fixture->bill.results[0][3].object_id, "ii_line_4");
    assert_int_equal(calls(fixture, add_lines), 1);
    assert_int_equal(calls(fixture, get_lines), 2);
    peer_close(&fixture->peer);
}

static void a_lost_answer_is_asked_for_again_under_the_same_key(void **state) {
    (void)state;
    for (int was_done = 0; was_done < 2; was_done++) {
        const struct account_rule rule = {add_lines, .does = was_done == 1, .end = PEER_RESETS};
        struct invoicing invoicing;
        struct fixture *fixture = invoicing_new(&invoicing, 3);
        use_rules(fixture, &rule, 1);
        live_well(fixture);
        assert_sent(fixture, 3, 1);
        assert_lines_once(&invoicing, 3);
        assert_int_equal(calls(fixture, add_lines), 2);
        assert_string_equal(call_at(fixture, add_lines, 0)->idempotency_key,
                            call_at(fixture, add_lines, 1)->idempotency_key);
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

/* Dies with the lines under way: the intents are there and no answer is. */
static void die_adding(struct fixture *fixture, bool was_done) {
    const struct account_rule rule = {add_lines, .is_silent = true, .does = was_done,
                                      .times = 1000};
    struct err err = {0};
    fixture->options.deadline_us = fixture->peer.clock_us + 100000;
    fixture->options.timeout_ms = 30;
    use_rules(fixture, &rule, 1);
    assert_int_equal(live(fixture, &err), ERR_UNKNOWN);
    fixture->options.deadline_us = 0;
    fixture->options.timeout_ms = 20000;
    use_rules(fixture, NULL, 0);
    fixture->account.calls_count = 0;
}

/* Which others went with a line, only the invoice can tell: it is asked before anything is sent. */
static void after_a_death_the_lines_of_the_invoice_settle(void **state) {
    (void)state;
    for (int was_done = 0; was_done < 2; was_done++) {
        struct invoicing invoicing;
        struct fixture *fixture = invoicing_new(&invoicing, 3);
        die_adding(fixture, was_done == 1);
        live_well(fixture);
        assert_sent(fixture, 3, was_done == 1 ? 1 : 2);
        assert_lines_once(&invoicing, 3);
        assert_int_equal(strncmp(fixture->account.calls[0].line, get_lines, strlen(get_lines)), 0);
        assert_int_equal(calls(fixture, add_lines), was_done == 1 ? 0 : 1);
        if (was_done == 0) {
            assert_string_equal(call_at(fixture, add_lines, 0)->idempotency_key + 32, "-00002");
        }
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

/* It is gone, and its items may have become items of the customer: they are looked for there. */
static void when_the_invoice_is_gone_the_items_of_its_customer_settle(void **state) {
    (void)state;
    static const struct account_rule gone = {get_lines, .status = 404,
                                             .body = REFUSAL("invalid_request_error", "missing")};
    struct invoicing invoicing;
    struct fixture *fixture = invoicing_new(&invoicing, 2);
    die_adding(fixture, false);
    use_rules(fixture, &gone, 1);
    (void)snprintf(invoicing.state, sizeof invoicing.state, "void");
    live_well(fixture);
    assert_int_equal(calls(fixture, list_items), 1);
    assert_int_equal(calls(fixture, "POST /v1/invoices/in_2/add_lines "), 1);
    assert_lines_once(&invoicing, 2);
    assert_int_equal(invoicing.lines[0].invoice, 2);
    assert_string_equal(fixture->bill.results[0][1].invoice_id, "in_2");
    assert_int_equal(fixture->bill.results[0][1].attempts, 2);
    peer_close(&fixture->peer);
}

/* A bad one is its own affair. Nobody promises that nothing was done of what was refused. */
static void after_a_refusal_the_items_go_one_by_one(void **state) {
    (void)state;
    const struct account_rule rules[] = {{add_lines, .status = 400, .body = refused},
                                         {post_item, .nth = 2, .status = 400, .body = refused}};
    struct invoicing invoicing;
    struct fixture *fixture = invoicing_new(&invoicing, 3);
    use_rules(fixture, rules, 2);
    live_well(fixture);
    assert_int_equal(calls(fixture, add_lines), 1);
    assert_int_equal(calls(fixture, get_lines), 1);
    assert_int_equal(calls(fixture, post_item), 3);
    assert_once_each(fixture, 2);
    assert_int_equal(invoicing.lines_count, 0);
    assert_int_equal(fixture->bill.results[0][0].status, EMIT_SENT);
    assert_int_equal(fixture->bill.results[0][1].status, EMIT_FAILED);
    assert_int_equal(fixture->bill.results[0][2].status, EMIT_SENT);
    assert_string_equal(call_at(fixture, post_item, 0)->idempotency_key + 32, "-00002");
    peer_close(&fixture->peer);
}

/* Refused, and yet carried out: no item is sent a second time. */
static void what_a_refused_request_did_is_found(void **state) {
    (void)state;
    const struct account_rule rule = {add_lines, .does = true, .status = 400, .body = refused};
    struct invoicing invoicing;
    struct fixture *fixture = invoicing_new(&invoicing, 3);
    use_rules(fixture, &rule, 1);
    live_well(fixture);
    assert_sent(fixture, 3, 1);
    assert_lines_once(&invoicing, 3);
    assert_int_equal(calls(fixture, post_item), 0);
    peer_close(&fixture->peer);
}

static void an_invoice_that_takes_no_more_is_followed_by_another(void **state) {
    (void)state;
    static const struct account_rule rule = {
        add_lines, .status = 400, .body = REFUSAL("invalid_request_error", "invoice_not_editable")};
    struct invoicing invoicing;
    struct fixture *fixture = invoicing_new(&invoicing, 3);
    use_rules(fixture, &rule, 1);
    live_well(fixture);
    assert_int_equal(invoicing.invoices_count, 2);
    assert_int_equal(calls(fixture, "POST /v1/invoices/in_2/add_lines "), 1);
    assert_int_equal(calls(fixture, post_item), 0);
    assert_lines_once(&invoicing, 3);
    assert_string_equal(fixture->bill.results[0][0].invoice_id, "in_2");
    peer_close(&fixture->peer);
}

static void lines_under_a_key_with_other_content_are_looked_for(void **state) {
    (void)state;
    for (int was_done = 0; was_done < 2; was_done++) {
        const struct account_rule rule = {add_lines, .does = was_done == 1, .status = 400,
                                          .body = REFUSAL("idempotency_error", "")};
        struct invoicing invoicing;
        struct fixture *fixture = invoicing_new(&invoicing, 2);
        use_rules(fixture, &rule, 1);
        live_well(fixture);
        assert_sent(fixture, 2, was_done == 1 ? 1 : 2);
        assert_lines_once(&invoicing, 2);
        assert_true(calls(fixture, get_lines) >= 1);
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

/* Sent again they might be there twice. */
static void lines_that_were_added_and_are_not_there_stay_unknown(void **state) {
    (void)state;
    static const struct account_rule rules[] = {
        {add_lines, .status = 200, .body = "{\"id\":\"in_1\",\"lines\":{\"data\":[]}}"}};
    struct invoicing invoicing;
    struct fixture *fixture = invoicing_new(&invoicing, 2);
    use_rules(fixture, rules, 1);
    live_well(fixture);
    for (size_t index = 0; index < 2; index++) {
        assert_int_equal(fixture->bill.results[0][index].status, EMIT_UNKNOWN);
        assert_non_null(strstr(fixture->bill.results[0][index].detail, "in_1"));
    }
    assert_int_equal(calls(fixture, add_lines), 1);
    assert_int_equal(calls(fixture, post_item), 0);
    assert_int_equal(invoicing.lines_count, 0);
    peer_close(&fixture->peer);
}

static void a_line_with_another_amount_stops_everything(void **state) {
    (void)state;
    struct invoicing invoicing;
    struct fixture *fixture = invoicing_new(&invoicing, 3);
    struct err err = {0};
    die_adding(fixture, true);
    (void)snprintf(invoicing.lines[1].amount, sizeof invoicing.lines[1].amount, "9");
    assert_int_equal(live(fixture, &err), ERR_CONTENT);
    assert_non_null(strstr(err.message, "runs"));
    err_release(&err);
    assert_int_equal(calls(fixture, add_lines), 0);
    peer_close(&fixture->peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_items_of_a_group_go_by_one_request),
        TEST(a_single_item_is_no_batch),
        TEST(lines_that_are_not_shown_are_asked_for),
        TEST(a_lost_answer_is_asked_for_again_under_the_same_key),
        TEST(after_a_death_the_lines_of_the_invoice_settle),
        TEST(when_the_invoice_is_gone_the_items_of_its_customer_settle),
        TEST(after_a_refusal_the_items_go_one_by_one),
        TEST(what_a_refused_request_did_is_found),
        TEST(an_invoice_that_takes_no_more_is_followed_by_another),
        TEST(lines_under_a_key_with_other_content_are_looked_for),
        TEST(lines_that_were_added_and_are_not_there_stay_unknown),
        TEST(a_line_with_another_amount_stops_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
