#include "invoicing.h"

#include <string.h>

/* The invoice in_1 with what was put on it. */
struct closing_feed {
    struct fixture *fixture;
    uint64_t open_count;
    struct emit_bill bill; /* what became of it */
    size_t done;
};

static bool next_invoice(void *context, struct emit_group *group, bool *is_found, struct err *err) {
    struct closing_feed *feed = context;
    if (!bill_next(&feed->fixture->bill, group, is_found, err)) {
        return false;
    }
    if (!*is_found) {
        return true;
    }
    group->bill = (struct emit_bill){.invoice_id = text_from("in_1"),
                                     .reason = "",
                                     .open_count = feed->open_count,
                                     .open_reason = "held"};
    return true;
}

static bool invoice_done(void *context, const struct emit_group *group, struct err *err) {
    struct closing_feed *feed = context;
    (void)err;
    feed->bill = group->bill;
    feed->done++;
    return true;
}

static enum err_code close_with(struct closing_feed *closing, bool finalizes, struct err *err) {
    struct fixture *fixture = closing->fixture;
    struct emit_feed feed = {.context = closing, .next = next_invoice, .done = invoice_done};
    closing->done = 0;
    open_sender(fixture);
    bool is_fine = sender_close_invoices(fixture->sender, &feed, finalizes, err);
    close_sender(fixture);
    assert_int_equal(is_fine, err->code == ERR_NONE);
    return err->code;
}

static void close_well(struct closing_feed *closing, bool finalizes) {
    struct err err = {0};
    assert_int_equal(close_with(closing, finalizes, &err), ERR_NONE);
    assert_int_equal(closing->done, 1);
}

static void assert_closed(const struct closing_feed *closing, enum invoice_status status,
                          const char *reason) {
    assert_int_equal(closing->bill.status, status);
    assert_string_equal(closing->bill.reason, reason);
}

/* Sent are three items: 10.00, 10.01 and 10.02 dollars. */
static struct fixture *sent_new(struct invoicing *invoicing, struct closing_feed *closing) {
    struct fixture *fixture = invoicing_new(invoicing, 3);
    *closing = (struct closing_feed){.fixture = fixture};
    live_well(fixture);
    fixture->account.calls_count = 0;
    return fixture;
}

static size_t calls(const struct fixture *fixture, const char *line) {
    return account_calls(&fixture->account, line);
}

/* --- finalising ---------------------------------------------------------------------------------
 */

static void an_invoice_that_agrees_is_finalised_once(void **state) {
    (void)state;
    struct invoicing invoicing;
    struct closing_feed closing;
    struct fixture *fixture = sent_new(&invoicing, &closing);
    close_well(&closing, true);
    assert_closed(&closing, INVOICE_FINALISED, "");
    assert_string_equal(closing.bill.state, "open");
    assert_int_equal(closing.bill.ours, 3003);
    assert_int_equal(closing.bill.theirs, 3003);
    assert_int_equal(calls(fixture, finalize), 1);
    assert_string_equal(call_at(fixture, finalize, 0)->idempotency_key + 32, "-00001");
    close_well(&closing, true); /* it is no draft any more */
    assert_closed(&closing, INVOICE_FINALISED, "");
    assert_int_equal(calls(fixture, finalize), 1);
    peer_close(&fixture->peer);
}

static void a_draft_stays_one_for_a_reason(void **state) {
    (void)state;
    struct invoicing invoicing;
    struct closing_feed closing;
    struct fixture *fixture = sent_new(&invoicing, &closing);
    close_well(&closing, false);
    assert_closed(&closing, INVOICE_DRAFT, "not_asked");
    closing.open_count = 2;
    close_well(&closing, true);
    assert_closed(&closing, INVOICE_DRAFT, "items_open");
    assert_int_equal(calls(fixture, finalize), 0);
    assert_string_equal(closing.bill.state, "draft");
    peer_close(&fixture->peer);
}

static void a_lost_answer_is_read_off_the_invoice(void **state) {
    (void)state;
    for (int was_done = 0; was_done < 2; was_done++) {
        const struct account_rule rule = {finalize, .does = was_done == 1, .end = PEER_RESETS};
        struct invoicing invoicing;
        struct closing_feed closing;
        struct fixture *fixture = sent_new(&invoicing, &closing);
        use_rules(fixture, &rule, 1);
        close_well(&closing, true);
        assert_closed(&closing, INVOICE_FINALISED, "");
        assert_int_equal(calls(fixture, finalize), 2);
        assert_string_equal(call_at(fixture, finalize, 0)->idempotency_key,
                            call_at(fixture, finalize, 1)->idempotency_key);
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

static void an_invoice_that_is_refused_is_told(void **state) {
    (void)state;
    static const struct account_rule rule = {
        finalize, .status = 400, .headers = "Request-Id: req_no\r\n",
        .body = REFUSAL("invalid_request_error", "invoice_no_customer_line_items")};
    struct invoicing invoicing;
    struct closing_feed closing;
    struct fixture *fixture = sent_new(&invoicing, &closing);
    use_rules(fixture, &rule, 1);
    close_well(&closing, true);
    assert_closed(&closing, INVOICE_FAILED, "refused");
    assert_non_null(strstr(closing.bill.detail, "invoice_no_customer_line_items"));
    assert_int_equal(calls(fixture, finalize), 1);
    use_rules(fixture, NULL, 0);
    close_well(&closing, true); /* the next start asks again, under another key */
    assert_closed(&closing, INVOICE_FINALISED, "");
    assert_string_equal(call_at(fixture, finalize, 1)->idempotency_key + 32, "-00002");
    peer_close(&fixture->peer);
}

/* Somebody else was faster, while we asked: nothing is wrong with that. */
static void what_somebody_finalised_in_between_is_done(void **state) {
    (void)state;
    static const struct account_rule rule = {
        finalize, .does = true, .status = 400,
        .body = REFUSAL("invalid_request_error", "invoice_not_editable")};
    struct invoicing invoicing;
    struct closing_feed closing;
    struct fixture *fixture = sent_new(&invoicing, &closing);
    use_rules(fixture, &rule, 1);
    close_well(&closing, true);
    assert_closed(&closing, INVOICE_FINALISED, "");
    assert_int_equal(calls(fixture, finalize), 1);
    peer_close(&fixture->peer);
}

/* --- comparing ----------------------------------------------------------------------------------
 */

static void lines_beyond_the_first_page_are_listed(void **state) {
    (void)state;
    struct invoicing invoicing;
    struct closing_feed closing;
    struct fixture *fixture = sent_new(&invoicing, &closing);
    invoicing.shown_max = 2;
    close_well(&closing, true);
    assert_closed(&closing, INVOICE_FINALISED, "");
    assert_int_equal(closing.bill.ours, 3003);
    assert_int_equal(calls(fixture, get_lines), 2);
    peer_close(&fixture->peer);
}

static void drop_line(struct invoicing *invoicing) {
    invoicing->lines_count--;
}

static void add_strange_line(struct invoicing *invoicing) {
    struct invoicing_line *line = &invoicing->lines[invoicing->lines_count++];
    *line = (struct invoicing_line){.invoice = 1, .amount = "500"};
}

/* Of another run of ours: an earlier revision, or another org of the customer. */
static void add_earlier_line(struct invoicing *invoicing) {
    struct invoicing_line *line = &invoicing->lines[invoicing->lines_count++];
    *line = (struct invoicing_line){.invoice = 1, .amount = "500", .period = "2026-10"};
    memset(line->item_key, 'a', 32);
    memset(line->run_id, 'b', 32);
}

static void change_total(struct invoicing *invoicing) {
    invoicing->more_cents = -7;
}

static void make_void(struct invoicing *invoicing) {
    (void)snprintf(invoicing->state, sizeof invoicing->state, "void");
}

static void make_others(struct invoicing *invoicing) {
    memset(invoicing->invoice_key, 'c', 32);
}

static void what_differs_is_told_and_not_finalised(void **state) {
    (void)state;
    static const struct {
        void (*change)(struct invoicing *invoicing);
        enum invoice_status status;
        const char *reason;
        int64_t theirs;
    } rows[] = {{drop_line, INVOICE_DIFFERENT, "lines_missing", 2001},
                {add_strange_line, INVOICE_DIFFERENT, "lines_not_ours", 3503},
                {change_total, INVOICE_DIFFERENT, "total", 2996},
                {make_void, INVOICE_DIFFERENT, "void", 3003},
                {make_others, INVOICE_OF_OTHERS, "", 0}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct invoicing invoicing;
        struct closing_feed closing;
        struct fixture *fixture = sent_new(&invoicing, &closing);
        rows[row].change(&invoicing);
        close_well(&closing, true);
        assert_closed(&closing, rows[row].status, rows[row].reason);
        assert_int_equal(closing.bill.theirs, rows[row].theirs);
        assert_int_equal(calls(fixture, finalize), 0);
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

static void lines_of_other_runs_of_ours_count_as_they_stand(void **state) {
    (void)state;
    struct invoicing invoicing;
    struct closing_feed closing;
    struct fixture *fixture = sent_new(&invoicing, &closing);
    add_earlier_line(&invoicing);
    close_well(&closing, true);
    assert_closed(&closing, INVOICE_FINALISED, "");
    assert_int_equal(closing.bill.ours, 3503);
    assert_int_equal(closing.bill.ours_count, 4);
    peer_close(&fixture->peer);
}

static void an_invoice_that_cannot_be_read_is_told(void **state) {
    (void)state;
    static const struct {
        int status;
        enum invoice_status becomes;
        const char *reason;
    } rows[] = {{404, INVOICE_DIFFERENT, "gone"}, {403, INVOICE_FAILED, "not_shown"}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        const struct account_rule rule = {show_invoice, .status = rows[row].status,
                                          .body = REFUSAL("invalid_request_error", "")};
        struct invoicing invoicing;
        struct closing_feed closing;
        struct fixture *fixture = sent_new(&invoicing, &closing);
        use_rules(fixture, &rule, 1);
        close_well(&closing, true);
        assert_closed(&closing, rows[row].becomes, rows[row].reason);
        assert_int_equal(calls(fixture, finalize), 0);
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

static void change_amount(struct invoicing *invoicing) {
    (void)snprintf(invoicing->lines[1].amount, sizeof invoicing->lines[1].amount, "2");
}

static void double_line(struct invoicing *invoicing) {
    invoicing->lines[invoicing->lines_count++] = invoicing->lines[1];
}

static void a_line_of_ours_that_is_wrong_stops_everything(void **state) {
    (void)state;
    static const struct {
        void (*change)(struct invoicing *invoicing);
        const char *told;
    } rows[] = {{change_amount, "other content"}, {double_line, "twice on invoice in_1"}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct invoicing invoicing;
        struct closing_feed closing;
        struct fixture *fixture = sent_new(&invoicing, &closing);
        struct err err = {0};
        rows[row].change(&invoicing);
        assert_int_equal(close_with(&closing, true, &err), ERR_CONTENT);
        assert_non_null(strstr(err.message, rows[row].told));
        assert_non_null(strstr(err.message, "runs"));
        err_release(&err);
        assert_int_equal(calls(fixture, finalize), 0);
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_invoice_that_agrees_is_finalised_once),
        TEST(a_draft_stays_one_for_a_reason),
        TEST(a_lost_answer_is_read_off_the_invoice),
        TEST(an_invoice_that_is_refused_is_told),
        TEST(what_somebody_finalised_in_between_is_done),
        TEST(lines_beyond_the_first_page_are_listed),
        TEST(what_differs_is_told_and_not_finalised),
        TEST(lines_of_other_runs_of_ours_count_as_they_stand),
        TEST(an_invoice_that_cannot_be_read_is_told),
        TEST(a_line_of_ours_that_is_wrong_stops_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
