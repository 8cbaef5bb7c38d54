#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emit/http.h"
#include "support/peer.h"

static const char secret[] = "sk_test_51verysecret";

/* What the peer answers to all that comes, and what came last. */
struct told {
    int status;
    const char *headers;
    const char *body;
    const char *raw; /* in place of all that */
    enum peer_end end;
    bool is_silent;
    char head[2048];
    char form[2048];
};

static void tell(void *context, const struct peer_request *request, struct peer_answer *answer) {
    struct told *told = context;
    struct err err = {0};
    (void)snprintf(told->head, sizeof told->head, "%s", request->head);
    (void)snprintf(told->form, sizeof told->form, "%s", request->body);
    answer->end = told->end;
    answer->after_us = told->is_silent ? INT64_C(1) << 60 : 0;
    if (told->raw != NULL) {
        assert_true(buffer_append(&answer->text, text_from(told->raw), &err));
    } else {
        peer_say(answer, told->status, told->headers != NULL ? told->headers : "",
                 told->body != NULL ? told->body : "{}");
    }
}

struct fixture {
    struct peer peer;
    struct told told;
    struct http *http;
};

static void set_up(struct fixture *fixture, size_t in_flight, int64_t timeout_ms) {
    struct err err = {0};
    fixture->told = (struct told){.status = 200};
    peer_open(&fixture->peer, tell, &fixture->told);
    struct http_options options = {.sys = &fixture->peer.sys,
                                   .base = fixture->peer.base,
                                   .secret = secret,
                                   .version = "2026-07-29.dahlia",
                                   .content_type = "application/x-www-form-urlencoded",
                                   .in_flight_max = in_flight,
                                   .timeout_ms = timeout_ms};
    assert_true(http_create(&options, &fixture->http, &err));
}

static void tear_down(struct fixture *fixture) {
    http_destroy(fixture->http);
    peer_close(&fixture->peer);
}

static void fill(struct http_call *call, const char *path, const char *body, const char *key) {
    struct err err = {0};
    assert_true(buffer_append(&call->url, text_from(path), &err));
    call->is_post = body != NULL;
    assert_true(body == NULL || buffer_append(&call->body, text_from(body), &err));
    (void)snprintf(call->idempotency_key, sizeof call->idempotency_key, "%s", key);
}

static struct http_call *next_done(struct http *http) {
    struct err err = {0};
    struct http_call *call = http_next_done(http);
    for (int waits = 0; call == NULL && waits < 100000; waits++) {
        assert_true(http_wait(http, INT64_MAX / 2, &err));
        call = http_next_done(http);
    }
    assert_non_null(call);
    return call;
}

/* One request and its answer; to be finished. */
static struct http_call *ask(struct fixture *fixture, const char *path, const char *body,
                             const char *key) {
    struct err err = {0};
    struct http_call *call = http_begin(fixture->http);
    assert_non_null(call);
    fill(call, path, body, key);
    assert_true(http_send(fixture->http, call, &err));
    assert_ptr_equal(next_done(fixture->http), call);
    assert_int_equal(http_in_flight(fixture->http), 0);
    return call;
}

static void assert_header(const struct told *told, const char *name, const char *expected) {
    char value[256];
    struct peer_request request = {.head = told->head};
    peer_header(&request, name, value, sizeof value);
    assert_string_equal(value, expected);
}

static void a_request_says_who_asks_what(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 2, 5000);
    http_finish(fixture.http, ask(&fixture, "/v1/invoiceitems", "customer=cus_1", "k-00001"));
    assert_memory_equal(fixture.told.head, "POST /v1/invoiceitems HTTP/1.1\r\n", 32);
    assert_string_equal(fixture.told.form, "customer=cus_1");
    assert_header(&fixture.told, "Authorization", "Bearer sk_test_51verysecret");
    assert_header(&fixture.told, "Stripe-Version", "2026-07-29.dahlia");
    assert_header(&fixture.told, "Content-Type", "application/x-www-form-urlencoded");
    assert_header(&fixture.told, "Idempotency-Key", "k-00001");
    assert_header(&fixture.told, "Expect", "");
    /* The next one by the same handle carries nothing of it along. */
    http_finish(fixture.http, ask(&fixture, "/v1/invoiceitems?limit=100", NULL, ""));
    assert_memory_equal(fixture.told.head, "GET /v1/invoiceitems?limit=100 HTTP/1.1\r\n", 41);
    assert_string_equal(fixture.told.form, "");
    assert_header(&fixture.told, "Idempotency-Key", "");
    assert_header(&fixture.told, "Authorization", "Bearer sk_test_51verysecret");
    http_finish(fixture.http, ask(&fixture, "/v1/invoices", "", "a-longer-key-than-before"));
    assert_header(&fixture.told, "Idempotency-Key", "a-longer-key-than-before");
    assert_header(&fixture.told, "Content-Length", "0");
    tear_down(&fixture);
}

static void an_answer_comes_with_what_its_headers_say(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, 5000);
    fixture.told.status = 429;
    fixture.told.body = "{\"error\":{}}";
    fixture.told.headers = "request-id: req_1\r\nIDEMPOTENT-REPLAYED: true\r\n"
                           "Stripe-Should-Retry: false\r\nRetry-After:  7 \r\n"
                           "Stripe-Rate-Limited-Reason: endpoint-rate\r\n";
    struct http_call *call = ask(&fixture, "/v1/x", "a=b", "k");
    assert_int_equal(call->answer.fate, HTTP_ANSWERED);
    assert_int_equal(call->answer.status, 429);
    assert_string_equal(call->answer.request_id, "req_1");
    assert_true(call->answer.is_replayed && call->answer.is_rate_limited);
    assert_true(call->answer.has_should_retry && !call->answer.should_retry);
    assert_int_equal(call->answer.retry_after_us, 7000000);
    assert_int_equal(call->answer.body.size_bytes, strlen(fixture.told.body));
    assert_memory_equal(call->answer.body.bytes, fixture.told.body, call->answer.body.size_bytes);
    http_finish(fixture.http, call);
    fixture.told = (struct told){.status = 200, .headers = "Stripe-Should-Retry: true\r\n"};
    call = ask(&fixture, "/v1/x", "a=b", "k");
    assert_true(call->answer.has_should_retry && call->answer.should_retry);
    assert_false(call->answer.is_replayed || call->answer.is_rate_limited);
    assert_string_equal(call->answer.request_id, "");
    assert_int_equal(call->answer.retry_after_us, 0);
    http_finish(fixture.http, call);
    tear_down(&fixture);
}

/* Only a number of seconds that makes sense is waited for. */
static void an_odd_retry_after_is_none(void **state) {
    (void)state;
    static const struct {
        const char *header;
        int64_t after_us;
    } rows[] = {{"Retry-After: 86399\r\n", INT64_C(86399000000)},
                {"Retry-After: 86400\r\n", 0},
                {"Retry-After: -3\r\n", 0},
                {"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", 0},
                {"Retry-After: 99999999999999999999999\r\n", 0},
                {"Retry-After:\r\n", 0}};
    struct fixture fixture;
    set_up(&fixture, 1, 5000);
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        fixture.told.headers = rows[row].header;
        struct http_call *call = ask(&fixture, "/v1/x", NULL, "");
        assert_int_equal(call->answer.retry_after_us, rows[row].after_us);
        http_finish(fixture.http, call);
    }
    tear_down(&fixture);
}

static void a_connection_is_kept(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 4, 5000);
    for (int count = 0; count < 20; count++) {
        http_finish(fixture.http, ask(&fixture, "/v1/x", "a=b", "k"));
    }
    assert_int_equal(fixture.peer.requests_count, 20);
    assert_int_equal(fixture.peer.connections_count, 1);
    tear_down(&fixture);
}

/* The n-th request is answered the sooner the later it came. */
static void answer_backwards(void *context, const struct peer_request *request,
                             struct peer_answer *answer) {
    char name[32];
    (void)context;
    peer_field(request->body, "name", name, sizeof name);
    answer->after_us = 1000000 - (int64_t)request->number * 10000;
    peer_say(answer, 200, "", name);
}

static void answers_find_their_requests(void **state) {
    (void)state;
    enum { CALLS = 8 };
    struct fixture fixture;
    struct err err = {0};
    char body[160];
    char names[CALLS][16];
    set_up(&fixture, CALLS, 5000);
    fixture.peer.answer = answer_backwards;
    for (size_t index = 0; index < CALLS; index++) {
        struct http_call *call = http_begin(fixture.http);
        (void)snprintf(names[index], sizeof names[index], "call%u", (unsigned)index % 10);
        (void)snprintf(body, sizeof body, "name=%s", names[index]);
        fill(call, "/v1/x", body, "k");
        call->owner = names[index];
        assert_true(http_send(fixture.http, call, &err));
    }
    assert_null(http_begin(fixture.http)); /* all are in use */
    assert_int_equal(http_in_flight(fixture.http), CALLS);
    for (size_t index = 0; index < CALLS; index++) {
        struct http_call *call = next_done(fixture.http);
        assert_int_equal(call->answer.body.size_bytes, strlen(call->owner));
        assert_memory_equal(call->answer.body.bytes, call->owner, strlen(call->owner));
        http_finish(fixture.http, call);
    }
    struct http_call *call = http_begin(fixture.http);
    assert_non_null(call);
    assert_null(call->owner);
    tear_down(&fixture);
}

static void assert_lost(struct fixture *fixture, enum http_fate fate) {
    struct http_call *call = ask(fixture, "/v1/invoiceitems", "a=b", "k");
    assert_int_equal(call->answer.fate, fate);
    assert_int_equal(call->answer.status, 0);
    assert_true(call->answer.problem[0] != '\0');
    assert_null(strstr(call->answer.problem, "verysecret"));
    http_finish(fixture->http, call);
}

static void an_answer_that_breaks_off_is_lost(void **state) {
    (void)state;
    static const struct {
        const char *raw;
        enum peer_end end;
    } rows[] = {
        {"", PEER_CLOSES},
        {"", PEER_RESETS},
        {"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{\"id\":\"ii_1\"", PEER_CLOSES},
        {"SSH-2.0-OpenSSH_9.9\r\n", PEER_CLOSES},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"id\"\r\n", PEER_CLOSES}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct fixture fixture;
        set_up(&fixture, 1, 5000);
        fixture.told.raw = rows[row].raw;
        fixture.told.end = rows[row].end;

        assert_lost(&fixture, HTTP_LOST);
        fixture.told = (struct told){.status = 200};
        struct http_call *call = ask(&fixture, "/v1/x", "a=b", "k"); /* the next one is fine */
        assert_int_equal(call->answer.fate, HTTP_ANSWERED);
        assert_string_equal(call->answer.problem, "");
        http_finish(fixture.http, call);
        tear_down(&fixture);
    }
}

static void who_never_answers_is_waited_for_so_long_and_no_longer(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, 40);
    fixture.told.is_silent = true;
    assert_lost(&fixture, HTTP_LOST);
    tear_down(&fixture);
}

static void an_answer_without_end_is_cut_off(void **state) {
    (void)state;
    enum { BYTES = 17 * 1024 * 1024 };
    struct fixture fixture;
    char *body = calloc(1, BYTES + 1);
    assert_non_null(body);
    memset(body, ' ', BYTES);
    set_up(&fixture, 1, 20000);
    fixture.told.body = body;
    assert_lost(&fixture, HTTP_LOST);
    tear_down(&fixture);
    free(body);
}

static void where_nobody_listens_nothing_was_sent(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, 5000);
    peer_refuse(&fixture.peer);
    assert_lost(&fixture, HTTP_NOT_SENT);
    assert_int_equal(fixture.peer.requests_count, 0);
    tear_down(&fixture);
}

/* libcurl tries again by itself when a connection that was kept dies: it must not hide the first.
 */
static void tell_and_leave(void *context, const struct peer_request *request,
                           struct peer_answer *answer) {
    struct fixture *fixture = context;
    (void)request;
    peer_refuse(&fixture->peer);
    answer->end = PEER_CLOSES;
}

static void what_was_sent_once_is_lost_even_if_a_second_try_cannot_connect(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, 5000);
    http_finish(fixture.http, ask(&fixture, "/v1/x", "a=b", "k"));
    fixture.peer.answer = tell_and_leave;
    fixture.peer.context = &fixture;
    assert_lost(&fixture, HTTP_LOST);
    assert_int_equal(fixture.peer.requests_count, 2);
    assert_lost(&fixture, HTTP_NOT_SENT); /* this one nobody saw */
    tear_down(&fixture);
}

/* The key would follow to wherever it points. */
static void a_redirect_is_an_answer_like_others(void **state) {
    (void)state;
    struct fixture fixture;
    char location[128];
    set_up(&fixture, 1, 5000);
    (void)snprintf(location, sizeof location, "Location: %s/elsewhere\r\n", fixture.peer.base);
    fixture.told = (struct told){.status = 307, .headers = location};
    struct http_call *call = ask(&fixture, "/v1/x", "a=b", "k");
    assert_int_equal(call->answer.status, 307);
    assert_int_equal(fixture.peer.requests_count, 1);
    http_finish(fixture.http, call);
    tear_down(&fixture);
}

static void the_key_goes_in_the_clear_to_this_machine_only(void **state) {
    (void)state;
    static const struct {
        const char *base;
        bool is_fine;
    } rows[] = {{"https://api.stripe.com", true},
                {"http://127.0.0.1:1", true},
                {"http://localhost:1", true},
                {"http://[::1]:1", true},
                {"http://api.stripe.com", false},
                {"http://127.0.0.1.example.com", false},
                {"http://127.0.0.1@example.com", false},
                {"http://10.0.0.1", false},
                {"ftp://127.0.0.1", false},
                {"file:///etc/passwd", false},
                {"", false}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct http *http;
        struct err err = {0};
        struct http_options options = {.sys = sys_real(),
                                       .base = rows[row].base,
                                       .secret = secret,
                                       .content_type = "text/plain",
                                       .in_flight_max = 1,
                                       .timeout_ms = 1000};
        assert_int_equal(http_create(&options, &http, &err), rows[row].is_fine);
        assert_int_equal(http != NULL, rows[row].is_fine);
        assert_int_equal(err.code, rows[row].is_fine ? ERR_NONE : ERR_USAGE);
        assert_null(strstr(err.message, "verysecret"));
        http_destroy(http);
    }
}

static void what_is_under_way_can_be_given_up(void **state) {
    (void)state;
    struct fixture fixture;
    struct err err = {0};
    set_up(&fixture, 3, 60000);
    fixture.told.is_silent = true;
    for (int count = 0; count < 3; count++) {
        struct http_call *call = http_begin(fixture.http);
        fill(call, "/v1/x", "a=b", "k");
        assert_true(http_send(fixture.http, call, &err));
    }
    for (int waits = 0; waits < 5; waits++) {
        assert_true(http_wait(fixture.http, fixture.peer.clock_us + 1000, &err));
    }
    assert_null(http_next_done(fixture.http));
    assert_int_equal(http_in_flight(fixture.http), 3);
    tear_down(&fixture);
}

static struct {
    int holds;
    int releases;
    int held_fd; /* -1: none */
} gathered;

static int hold_noted(void *self, int fd, bool is_held) {
    gathered.holds += is_held ? 1 : 0;
    gathered.releases += is_held ? 0 : 1;
    gathered.held_fd = is_held ? fd : gathered.held_fd == fd ? -1 : gathered.held_fd;
    return sys_real()->socket_hold(self, fd, is_held);
}

/* Over HTTP/1.1 the second of them opens a connection of its own meanwhile. */
static void requests_begun_together_leave_a_connection_together(void **state) {
    (void)state;
    struct fixture fixture;
    struct err err = {0};
    set_up(&fixture, 2, 5000);
    gathered.held_fd = -1;
    fixture.peer.sys.socket_hold = hold_noted;
    http_finish(fixture.http, ask(&fixture, "/v1/x", "a=b", "k"));
    http_finish(fixture.http, ask(&fixture, "/v1/x", "a=b", "k"));
    assert_int_equal(gathered.holds, 0); /* one at a time: nothing to wait for */
    for (int round = 1; round <= 2; round++) {
        struct http_call *calls[2];
        for (int index = 0; index < 2; index++) {
            calls[index] = http_begin(fixture.http);
            fill(calls[index], "/v1/x", "a=b", "k");
            assert_true(http_send(fixture.http, calls[index], &err));
        }
        http_push(fixture.http);
        assert_int_equal(gathered.held_fd, -1);
        for (int index = 0; index < 2; index++) {
            struct http_call *done = next_done(fixture.http);
            assert_int_equal(done->answer.status, 200);
            http_finish(fixture.http, done);
        }
        /* In the second round each has a connection: there is nothing to gather. */
        assert_int_equal(gathered.holds, 1);
        assert_int_equal(gathered.releases, 1);
    }
    tear_down(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_says_who_asks_what),
        cmocka_unit_test(an_answer_comes_with_what_its_headers_say),
        cmocka_unit_test(an_odd_retry_after_is_none),
        cmocka_unit_test(a_connection_is_kept),
        cmocka_unit_test(answers_find_their_requests),
        cmocka_unit_test(an_answer_that_breaks_off_is_lost),
        cmocka_unit_test(who_never_answers_is_waited_for_so_long_and_no_longer),
        cmocka_unit_test(an_answer_without_end_is_cut_off),
        cmocka_unit_test(where_nobody_listens_nothing_was_sent),
        cmocka_unit_test(what_was_sent_once_is_lost_even_if_a_second_try_cannot_connect),
        cmocka_unit_test(a_redirect_is_an_answer_like_others),
        cmocka_unit_test(the_key_goes_in_the_clear_to_this_machine_only),
        cmocka_unit_test(what_is_under_way_can_be_given_up),
        cmocka_unit_test(requests_begun_together_leave_a_connection_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
