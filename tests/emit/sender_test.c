#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "emit/account.h"
#include "emit/sender.h"
#include "support/scratch.h"
#include "sys/process.h"

static const char run_id[] = "0123456789abcdef0123456789abcdef";
static const char post_item[] = "POST /v1/invoiceitems";
static const char list_items[] = "GET /v1/invoiceitems";
#define HOUR_US (INT64_C(3600) * 1000000)
#define REFUSAL(type, code) "{\"error\":{\"type\":\"" type "\",\"code\":\"" code "\"}}"

enum { GROUPS_MAX = 128, WORKS_MAX = 4 };

/* What is billed: groups of items, and what became of them. */
struct bill {
    struct {
        const char *customer;
        const char *subscription;
        const char *held_reason;
        size_t items;
    } groups[GROUPS_MAX];
    size_t groups_count;
    size_t next;
    size_t done;
    struct emit_result results[GROUPS_MAX][WORKS_MAX];
    char names[GROUPS_MAX][16]; /* of the orgs */
};

static bool bill_next(void *context, struct emit_group *group, bool *is_found, struct err *err) {
    static const char *const metrics[WORKS_MAX] = {"tokens", "runs", "seats", "storage"};
    struct bill *bill = context;
    *is_found = bill->next < bill->groups_count;
    if (!*is_found) {
        return true;
    }
    size_t index = bill->next++;
    (void)snprintf(bill->names[index], sizeof bill->names[index], "org%zu", index);
    group->org_id = text_from(bill->names[index]);
    group->customer = text_from(bill->groups[index].customer);
    group->subscription =
        text_from(bill->groups[index].subscription != NULL ? bill->groups[index].subscription : "");
    group->held_reason = bill->groups[index].held_reason;
    group->works_count = 0;
    for (size_t item = 0; item < bill->groups[index].items; item++) {
        struct emit_work *work = emit_group_add(group, err);
        assert_non_null(work);
        work->item = (struct emit_item){.org_id = group->org_id,
                                        .metric = text_from(metrics[item]),
                                        .period = "2026-10",
                                        .revision = 1,
                                        .currency = currency_find(text_from("usd"))};
        work->item.amount = (int64_t)(1000 + 10 * index + item);
        work->item.period_start.us = PEER_EPOCH_US - 31 * 24 * HOUR_US;
        work->item.period_end.us = PEER_EPOCH_US;
        assert_true(
            emit_key_of(work->item.org_id, work->item.metric, "2026-10", 1, &work->item.key, err));
    }
    return true;
}

static bool bill_done(void *context, const struct emit_group *group, struct err *err) {
    struct bill *bill = context;
    (void)err;
    assert_true(text_equals(group->org_id, text_from(bill->names[bill->done])));
    for (size_t index = 0; index < group->works_count; index++) {
        bill->results[bill->done][index] = group->works[index].result;
    }
    bill->done++;
    return true;
}

struct fixture {
    struct peer peer;
    struct account account;
    struct bill bill;
    struct sender_options options;
    struct journal *journal;
    struct sender *sender;
    struct sender_counts counts;
    struct journal_counts journal_counts;
};

static struct fixture *fixture_new(void) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    peer_open(&fixture.peer, account_answer, &fixture.account);
    fixture.options = (struct sender_options){.sys = &fixture.peer.sys,
                                              .base = fixture.peer.base,
                                              .secret = "sk_test_51verysecret",
                                              .version = "2026-07-29.dahlia",
                                              .run_id = run_id,
                                              .period = "2026-10",
                                              .in_flight = 8,
                                              .timeout_ms = 20000,
                                              .retry_delay_ms = 500,
                                              .max_wait_us = -1,
                                              .may_stand_alone = true};
    return &fixture;
}

static void add_groups(struct bill *bill, size_t count, size_t items) {
    static char customers[GROUPS_MAX][16];
    static char subscriptions[GROUPS_MAX][16];
    for (size_t group = 0; group < count; group++) {
        size_t index = bill->groups_count++;
        (void)snprintf(customers[index], sizeof customers[index], "cus_%zu", index);
        (void)snprintf(subscriptions[index], sizeof subscriptions[index], "sub_%zu", index);
        bill->groups[index].customer = customers[index];
        bill->groups[index].subscription = subscriptions[index];
        bill->groups[index].items = items;
    }
}

static void open_sender(struct fixture *fixture) {
    struct err err = {0};
    struct instant now = {fixture->peer.sys.now_us(&fixture->peer)};
    assert_true(journal_open(&fixture->peer.sys, "journal", run_id, now, &fixture->journal, &err));
    assert_true(sender_create(&fixture->options, fixture->journal, &fixture->sender, &err));
    fixture->bill.next = 0;
    fixture->bill.done = 0;
}

static void close_sender(struct fixture *fixture) {
    fixture->counts = sender_counts(fixture->sender);
    fixture->journal_counts = journal_counts(fixture->journal);
    sender_destroy(fixture->sender);
    journal_close(fixture->journal);
    fixture->sender = NULL;
    fixture->journal = NULL;
}

/* One life of the program; its end. */
static enum err_code live(struct fixture *fixture, struct err *err) {
    struct emit_feed feed = {.context = &fixture->bill, .next = bill_next, .done = bill_done};
    open_sender(fixture);
    bool is_fine = sender_run(fixture->sender, &feed, err);
    close_sender(fixture);
    assert_int_equal(is_fine, err->code == ERR_NONE);
    assert_null(strstr(err->message, "verysecret"));
    assert_null(strstr(err->hint, "verysecret"));
    return err->code;
}

static void live_well(struct fixture *fixture) {
    struct err err = {0};
    assert_int_equal(live(fixture, &err), ERR_NONE);
    assert_int_equal(fixture->bill.done, fixture->bill.groups_count);
}

/* Every item that was billed is there once. */
static void assert_once_each(const struct fixture *fixture, size_t count) {
    const struct account *account = &fixture->account;
    assert_int_equal(account->items_count, count);
    for (size_t index = 0; index < count; index++) {
        for (size_t other = 0; other < index; other++) {
            assert_string_not_equal(account->items[index].item_key, account->items[other].item_key);
        }
    }
}

static void use_rules(struct fixture *fixture, const struct account_rule *rules, size_t count) {
    fixture->account.rules = rules;
    fixture->account.rules_count = count;
}

static const struct account_call *call_at(const struct fixture *fixture, const char *line,
                                          size_t nth) {
    for (size_t index = 0; index < fixture->account.calls_count; index++) {
        const struct account_call *call = &fixture->account.calls[index];
        if (strncmp(call->line, line, strlen(line)) == 0 && nth-- == 0) {
            return call;
        }
    }
    fail();
    return NULL;
}

/* --- order and bounds ---------------------------------------------------------------------------
 */

/* Is the key of what is asked for in the file by now? */
static void watch_journal(struct account *account, const struct peer_request *request) {
    static char bytes[1 << 20];
    char text[ACCOUNT_TEXT_MAX];
    struct emit_key key;
    (void)account;
    peer_field(request->body, "metadata[item_key]", text, sizeof text);
    assert_true(emit_key_parse(text_from(text), &key));
    FILE *file = fopen("journal", "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    assert_non_null(memmem(bytes, size, key.bytes, sizeof key.bytes));
}

static void an_intent_is_durable_before_its_request(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 40, 3);
    fixture->account.watch = watch_journal;
    live_well(fixture);
    assert_once_each(fixture, 120);
    assert_int_equal(fixture->counts.sent, 120);
    assert_int_equal(fixture->counts.requests, 120);
    assert_int_equal(fixture->journal_counts.records, 240);
    assert_string_equal(fixture->bill.results[7][2].object_id[0] != '\0' ? "id" : "", "id");
    assert_string_equal(fixture->bill.results[7][2].request_id, "req_item");
    assert_int_equal(fixture->bill.results[7][2].attempts, 1);
    peer_close(&fixture->peer);
}

static void many_intents_share_a_sync(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 128, 4);
    live_well(fixture);
    assert_true(fixture->journal_counts.syncs * 64 <= 512);
    peer_close(&fixture->peer);
}

/* Every third group is of the same customer; answers take long enough to overlap. */
static void a_customer_never_has_two_requests_at_once(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 30, 2);
    for (size_t index = 0; index < 30; index += 3) {
        fixture->bill.groups[index].customer = "cus_same";
    }
    fixture->account.answer_us = 40000;
    live_well(fixture);
    assert_once_each(fixture, 60);
    const struct account *account = &fixture->account;
    size_t at_once_max = 0;
    for (size_t index = 0; index < account->calls_count; index++) {
        const struct account_call *call = &account->calls[index];
        at_once_max = call->waiting + 1 > at_once_max ? call->waiting + 1 : at_once_max;
        for (size_t other = 0; other < index; other++) {
            if (strcmp(account->calls[other].customer, call->customer) == 0) {
                assert_true(account->calls[other].until_us <= call->at_us);
            }
        }
    }
    assert_int_equal(at_once_max, 8); /* as many as may, and no more */
    peer_close(&fixture->peer);
}

static void the_rate_holds_in_every_second(void **state) {
    (void)state;
    enum { RATE = 25, ITEMS = 128 };
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, ITEMS, 1);
    fixture->options.rate = RATE;
    fixture->account.answer_us = 60000;
    live_well(fixture);
    const struct account *account = &fixture->account;
    assert_int_equal(account->calls_count, ITEMS);
    for (size_t index = RATE; index < ITEMS; index++) {
        assert_true(account->calls[index].at_us - account->calls[index - RATE].at_us > 1000000);
    }
    int64_t took_us = account->calls[ITEMS - 1].at_us - account->calls[0].at_us;
    assert_in_range(took_us, (ITEMS - 1) * INT64_C(40000), (ITEMS - 1) * INT64_C(40800));
    peer_close(&fixture->peer);
}

/* --- trying again -------------------------------------------------------------------------------
 */

static void what_may_pass_is_tried_again_under_the_same_key(void **state) {
    (void)state;
    static const struct account_rule rules[] = {
        {post_item, .status = 409, .body = REFUSAL("invalid_request_error", "lock_timeout")},
        {post_item, .status = 500, .body = REFUSAL("api_error", "")},
        {post_item, .status = 502, .body = "<html>Bad Gateway</html>"},
        {post_item, .status = 503},
        {post_item, .status = 429, .body = REFUSAL("invalid_request_error", "lock_timeout")},
        {post_item, .status = 200, .does = true, .body = "{\"id\":\"ii_1\",\"obj"},
        {post_item, .status = 200, .does = true, .body = "<html>Welcome to the hotel</html>"},
        {post_item, .status = 400, .headers = "Stripe-Should-Retry: true\r\n",
         .body = REFUSAL("invalid_request_error", "")},
        {post_item, .end = PEER_RESETS},
        {post_item, .end = PEER_RESETS, .does = true},
        {post_item, .end = PEER_CLOSES, .does = true},
    };
    for (size_t row = 0; row < sizeof rules / sizeof rules[0]; row++) {
        struct fixture *fixture = fixture_new();
        add_groups(&fixture->bill, 1, 1);
        use_rules(fixture, &rules[row], 1);
        live_well(fixture);
        assert_once_each(fixture, 1);
        assert_int_equal(fixture->bill.results[0][0].status, EMIT_SENT);
        assert_int_equal(fixture->bill.results[0][0].attempts, 1);
        assert_true(account_calls(&fixture->account, post_item) >= 2);
        for (size_t call = 1; call < fixture->account.calls_count; call++) {
            assert_string_equal(fixture->account.calls[call].idempotency_key,
                                fixture->account.calls[0].idempotency_key);
        }
        peer_close(&fixture->peer);
        scratch_empty();
    }
}

static void pauses_grow_and_a_longer_one_that_is_asked_for_is_obeyed(void **state) {
    (void)state;
    static const struct account_rule rules[] = {
        {post_item, .times = 3, .status = 503},
        {post_item, .nth = 4, .status = 429, .headers = "Retry-After: 70\r\n"},
        {post_item, .nth = 5, .status = 503, .headers = "Retry-After: 9\r\n"}};
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 1, 1);
    use_rules(fixture, rules, 3);
    live_well(fixture);
    static const int64_t pauses_ms[][2] = {
        {250, 500}, {500, 1000}, {1000, 2000}, {70000, 70100}, {9000, 9100}};
    assert_int_equal(fixture->account.calls_count, 6);
    for (size_t index = 0; index < 5; index++) {
        int64_t pause_us =
            fixture->account.calls[index + 1].at_us - fixture->account.calls[index].at_us;
        assert_in_range(pause_us, pauses_ms[index][0] * 1000, pauses_ms[index][1] * 1000 + 3000);
    }
    assert_once_each(fixture, 1);
    peer_close(&fixture->peer);
}

/* The limiter speaks for the account: all wait, and go on more slowly. A lock speaks for one. */
static void the_limiter_slows_everybody_and_a_lock_only_one(void **state) {
    (void)state;
    static const struct account_rule limited = {
        post_item, .nth = 5, .status = 429, .body = REFUSAL("invalid_request_error", "rate_limit"),
        .headers = "Stripe-Rate-Limited-Reason: endpoint-rate\r\nRetry-After: 3\r\n"};
    static const struct account_rule locked = {
        post_item, .nth = 5, .status = 429, .headers = "Retry-After: 3\r\n",
        .body = REFUSAL("invalid_request_error", "lock_timeout")};
    int64_t quiet_us[2];
    for (size_t which = 0; which < 2; which++) {
        struct fixture *fixture = fixture_new();
        add_groups(&fixture->bill, 60, 1);
        use_rules(fixture, which == 0 ? &limited : &locked, 1);
        fixture->account.answer_us = 20000;
        live_well(fixture);
        assert_once_each(fixture, 60);
        quiet_us[which] = 0;
        for (size_t index = 5; index < fixture->account.calls_count - 1; index++) {
            int64_t gap_us =
                fixture->account.calls[index].at_us - fixture->account.calls[index - 1].at_us;
            quiet_us[which] = gap_us > quiet_us[which] ? gap_us : quiet_us[which];
        }
        peer_close(&fixture->peer);
        scratch_empty();
    }
    assert_true(quiet_us[0] > 2900000);
    assert_true(quiet_us[1] < 500000);
}

static void trying_again_has_an_end(void **state) {
    (void)state;
    static const struct account_rule dead = {post_item, .times = 1000, .end = PEER_CLOSES};
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 2, 1);
    use_rules(fixture, &dead, 1);
    live_well(fixture);
    assert_int_equal(fixture->bill.results[0][0].status, EMIT_UNKNOWN);
    assert_int_equal(fixture->counts.unknown, 2);
    assert_in_range(fixture->account.calls_count, 2, 40);
    /* Later, the same key: it was never raised. */
    use_rules(fixture, NULL, 0);
    live_well(fixture);
    assert_once_each(fixture, 2);
    assert_string_equal(
        call_at(fixture, post_item, fixture->account.calls_count - 1)->idempotency_key + 32,
        "-00001");
    peer_close(&fixture->peer);
}

static void where_nobody_listens_an_item_fails_and_is_known_to_have_failed(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 1, 2);
    peer_refuse(&fixture->peer);
    live_well(fixture);
    assert_int_equal(fixture->counts.failed, 2);
    assert_true(fixture->bill.results[0][1].detail[0] != '\0');
    assert_int_equal(fixture->account.calls_count, 0);
    peer_close(&fixture->peer);
}

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
        {post_item, .status = 400, .body = REFUSAL("idempotency_error", "")},
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

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_intent_is_durable_before_its_request),
        TEST(many_intents_share_a_sync),
        TEST(a_customer_never_has_two_requests_at_once),
        TEST(the_rate_holds_in_every_second),
        TEST(what_may_pass_is_tried_again_under_the_same_key),
        TEST(pauses_grow_and_a_longer_one_that_is_asked_for_is_obeyed),
        TEST(the_limiter_slows_everybody_and_a_lock_only_one),
        TEST(trying_again_has_an_end),
        TEST(where_nobody_listens_an_item_fails_and_is_known_to_have_failed),
        TEST(a_refusal_is_one_items_affair),
        TEST(a_refused_api_key_stops_everything),
        TEST(other_content_stops_everything),
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
