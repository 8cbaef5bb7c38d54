#include "bill.h"

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

static size_t notes_count;
static char notes[4][512];

static void note(void *context, const char *text) {
    (void)context;
    assert_true(notes_count < 4);
    (void)snprintf(notes[notes_count++], sizeof notes[0], "%s", text);
}

/* Not failed, which needs somebody to look at each of them: the same command again goes on. */
static void where_nobody_listens_items_stay_unsent(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    struct err err = {0};
    add_groups(&fixture->bill, 3, 2);
    fixture->options.deadline_us = fixture->peer.clock_us + 600 * INT64_C(1000000);
    fixture->options.note = note;
    notes_count = 0;
    peer_refuse(&fixture->peer);
    int64_t began_us = fixture->peer.clock_us;
    assert_int_equal(live(fixture, &err), ERR_INTERRUPTED);
    assert_in_range(fixture->peer.clock_us - began_us, 600000000, 601000000);
    assert_non_null(strstr(err.message, "cannot be reached"));
    assert_non_null(strstr(err.hint, "same command again"));
    assert_int_equal(fixture->counts.failed + fixture->counts.unknown, 0);
    assert_int_equal(fixture->bill.done, 0);
    assert_int_equal(notes_count, 1); /* however often it was tried */
    assert_non_null(strstr(notes[0], "tried again until the deadline"));
    /* Hours later, with the server back. */
    struct err none = {0};
    fixture->options.deadline_us = 0;
    fixture->peer.clock_us += 5 * HOUR_US;
    peer_accept(&fixture->peer);
    assert_int_equal(live(fixture, &none), ERR_NONE);
    assert_once_each(fixture, 6);
    assert_string_equal(call_at(fixture, post_item, 0)->idempotency_key + 32, "-00001");
    peer_close(&fixture->peer);
}

/* What accepts connections again after a minute; the clock only goes while somebody waits. */
static struct peer *away;
static int64_t away_until_us;
static int64_t away_jump_us;  /* then, as if nobody had woken in between */
static int64_t away_slept_us; /* the same, and the machine slept */
static int64_t (*away_clock)(void *self);

static int64_t clock_of_away(void *self) {
    int64_t now_us = away_clock(self);
    if (away != NULL && now_us >= away_until_us) {
        away->clock_us += away_jump_us;
        away->slept_us += away_slept_us;
        peer_accept(away);
        away = NULL;
    }
    return now_us;
}

static void a_minute_without_a_connection_costs_a_minute(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 3, 2);
    fixture->options.note = note;
    notes_count = 0;
    peer_refuse(&fixture->peer);
    away = &fixture->peer;
    away_until_us = fixture->peer.clock_us + 60 * INT64_C(1000000);
    away_jump_us = 0;
    away_slept_us = 0;
    away_clock = fixture->peer.sys.monotonic_us;
    fixture->peer.sys.monotonic_us = clock_of_away;
    int64_t began_us = fixture->peer.clock_us;
    live_well(fixture);
    assert_once_each(fixture, 6);
    assert_int_equal(fixture->counts.sent, 6);
    assert_in_range(fixture->peer.clock_us - began_us, 60000000, 70000000);
    assert_int_equal(notes_count, 2);
    assert_non_null(strstr(notes[1], "is there again, after 6"));
    peer_close(&fixture->peer);
}

static void go_away(struct account *account, const struct peer_request *request) {
    (void)request;
    if (account->calls_count == 0) {
        peer_refuse(away);
    }
}

static int64_t wall_clock_that_was_put_back(void *self) {
    (void)self;
    return PEER_EPOCH_US;
}

/* Its answer was lost, then nobody was there for longer than Stripe keeps the key. */
static void a_day_goes_by_without_a_connection(bool is_put_back) {
    static const struct account_rule rule = {post_item, .end = PEER_RESETS, .does = true};
    struct fixture *fixture = fixture_new();
    add_groups(&fixture->bill, 1, 1);
    use_rules(fixture, &rule, 1);
    fixture->account.watch = go_away;
    fixture->account.is_forgetful = true;
    away = &fixture->peer;
    away_until_us = fixture->peer.clock_us + 10 * INT64_C(1000000);
    away_jump_us = is_put_back ? 0 : 25 * HOUR_US;
    away_slept_us = is_put_back ? 25 * HOUR_US : 0;
    away_clock = fixture->peer.sys.monotonic_us;
    fixture->peer.sys.monotonic_us = clock_of_away;
    if (is_put_back) {
        fixture->peer.sys.now_us = wall_clock_that_was_put_back;
    }
    live_well(fixture);
    assert_once_each(fixture, 1);
    assert_int_equal(account_calls(&fixture->account, list_items), 1);
    assert_int_equal(fixture->bill.results[0][0].status, EMIT_SENT);
    peer_close(&fixture->peer);
}

static void after_a_day_without_a_connection_a_listing_settles(void **state) {
    (void)state;
    a_day_goes_by_without_a_connection(false);
}

/* Its hours are counted by the clock that nobody sets, and that goes on while the machine sleeps.
 */
static void a_day_is_a_day_whatever_the_wall_clock_says(void **state) {
    (void)state;
    a_day_goes_by_without_a_connection(true);
}

static void sleep_at_the_second(struct account *account, const struct peer_request *request) {
    (void)request;
    if (account->calls_count == 1) {
        away->slept_us += 25 * HOUR_US;
    }
}

/* Somebody else took over while the machine slept. */
static bool hold_until_it_slept(void *context, struct err *err) {
    const int64_t *slept_us = context;
    return away->slept_us == *slept_us || err_set(err, ERR_LOCKED, "somebody else sends");
}

static void after_a_sleep_it_is_asked_first_whether_nobody_else_sends(void **state) {
    (void)state;
    struct err err = {0};
    struct fixture *fixture = fixture_new();
    int64_t slept_us = fixture->peer.slept_us;
    add_groups(&fixture->bill, 6, 1);
    fixture->options.in_flight = 1;
    fixture->options.hold = hold_until_it_slept;
    fixture->options.hold_context = &slept_us;
    fixture->account.watch = sleep_at_the_second;
    away = &fixture->peer;
    assert_int_equal(live(fixture, &err), ERR_LOCKED);
    assert_int_equal(account_calls(&fixture->account, post_item), 2);
    err_release(&err);
    peer_close(&fixture->peer);
}

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
        TEST(where_nobody_listens_items_stay_unsent),
        TEST(a_minute_without_a_connection_costs_a_minute),
        TEST(after_a_day_without_a_connection_a_listing_settles),
        TEST(a_day_is_a_day_whatever_the_wall_clock_says),
        TEST(after_a_sleep_it_is_asked_first_whether_nobody_else_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
