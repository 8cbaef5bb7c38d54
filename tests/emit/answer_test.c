#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../src/emit/answer.h"

#define REFUSAL(type, code)                                                                        \
    "{\"error\":{\"type\":\"" type "\",\"code\":\"" code "\",\"message\":\"why not\"}}"

static struct http_answer answered(int status, const char *body) {
    struct http_answer answer = {.fate = HTTP_ANSWERED, .status = status};
    answer.body.bytes = (char *)(uintptr_t)body;
    answer.body.size_bytes = strlen(body);
    return answer;
}

static void assert_verdict(const struct http_answer *answer, enum verdict verdict) {
    struct judgement judgement;
    answer_judge(answer, &judgement);
    assert_int_equal(judgement.verdict, verdict);
    assert_int_equal(judgement.object != NULL, verdict == VERDICT_DONE);
    assert_int_equal(judgement.detail[0] != '\0', verdict != VERDICT_DONE);
    judgement_release(&judgement);
    assert_null(judgement.object);
}

static void an_object_is_done_and_only_an_object(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",       "{",       "{\"id\":\"ii_1\"",  "[1]",     "17", "null",
        "<html>", "{} more", "{\"a\":1,\"a\":2}", "\"text\""};
    struct http_answer answer = answered(200, "{\"id\":\"ii_1\"}");
    struct judgement judgement;
    answer_judge(&answer, &judgement);
    assert_int_equal(judgement.verdict, VERDICT_DONE);
    assert_string_equal(object_text(judgement.object, "id"), "ii_1");
    assert_string_equal(object_text(judgement.object, "nothing"), "");
    judgement_release(&judgement);
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        answer = answered(200, bad[index]);
        assert_verdict(&answer, VERDICT_UNSURE);
    }
    answer = (struct http_answer){.fate = HTTP_ANSWERED, .status = 200}; /* no body at all */
    assert_verdict(&answer, VERDICT_UNSURE);
}

static void each_status_means_what_stripe_says(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum verdict verdict;
    } rows[] = {
        {400, REFUSAL("invalid_request_error", "parameter_unknown"), VERDICT_REFUSED},
        {402, REFUSAL("card_error", "card_declined"), VERDICT_REFUSED},
        {403, REFUSAL("invalid_request_error", "x"), VERDICT_REFUSED},
        {404, REFUSAL("invalid_request_error", "resource_missing"), VERDICT_REFUSED},
        {400, REFUSAL("idempotency_error", "x"), VERDICT_OTHER_CONTENT},
        {401, REFUSAL("invalid_request_error", "api_key_expired"), VERDICT_BAD_KEY},
        {409, REFUSAL("invalid_request_error", "idempotency_key_in_use"), VERDICT_UNSURE},
        {409, REFUSAL("invalid_request_error", "lock_timeout"), VERDICT_UNSURE},
        {424, REFUSAL("api_error", "x"), VERDICT_REFUSED},
        {429, REFUSAL("invalid_request_error", "rate_limit"), VERDICT_TOO_MUCH},
        {429, "", VERDICT_TOO_MUCH},
        {500, REFUSAL("api_error", "x"), VERDICT_UNSURE},
        {502, "<html>Bad Gateway</html>", VERDICT_UNSURE},
        {503, "", VERDICT_UNSURE},
        {504, "{}", VERDICT_UNSURE},
        {403, "<html>a proxy says no</html>", VERDICT_UNSURE}, /* not Stripe's word */
        {404, "{}", VERDICT_UNSURE},
        {302, "", VERDICT_UNSURE},
        {302, REFUSAL("invalid_request_error", "x"), VERDICT_UNSURE},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct http_answer answer = answered(rows[row].status, rows[row].body);
        assert_verdict(&answer, rows[row].verdict);
    }
}

/* A 5xx that is kept under the key will come for ever; one that is not may be over next time. */
static void a_replayed_500_is_told_from_a_new_one(void **state) {
    (void)state;
    struct http_answer answer = answered(500, REFUSAL("api_error", "x"));
    answer.is_replayed = true;
    assert_verdict(&answer, VERDICT_KEPT_FAILURE);
}

static void stripes_own_word_on_trying_again_comes_first(void **state) {
    (void)state;
    struct http_answer answer = answered(400, REFUSAL("invalid_request_error", "x"));
    answer.has_should_retry = true;
    answer.should_retry = true;
    assert_verdict(&answer, VERDICT_UNSURE);
    answer.should_retry = false;
    assert_verdict(&answer, VERDICT_REFUSED);
}

static void what_never_arrived_is_told_from_what_may_have(void **state) {
    (void)state;
    static const struct {
        enum http_fate fate;
        enum verdict verdict;
    } rows[] = {{HTTP_NOT_SENT, VERDICT_NOT_DONE},
                {HTTP_LOST, VERDICT_UNSURE},
                {HTTP_UNTRUSTED, VERDICT_BAD_KEY}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct http_answer answer = {.fate = rows[row].fate, .problem = "the line is dead"};
        struct judgement judgement;
        answer_judge(&answer, &judgement);
        assert_int_equal(judgement.verdict, rows[row].verdict);
        assert_string_equal(judgement.detail, "the line is dead");
        judgement_release(&judgement);
    }
}

static void the_reason_is_one_line_of_whole_characters(void **state) {
    (void)state;
    char body[600];
    char message[400] = "";
    struct judgement judgement;
    struct http_answer answer = answered(
        404, "{\"error\":{\"code\":\"resource_missing\",\"message\":\"no\\nsuch\\tcustomer\"}}");
    answer_judge(&answer, &judgement);
    assert_string_equal(judgement.detail, "HTTP 404 resource_missing: no such customer");
    for (size_t shift = 0; shift < 4; shift++) { /* cut at every place inside a character */
        memset(message, 'x', shift);
        for (size_t at = shift; at + 4 < sizeof message; at += 4) {
            memcpy(message + at, "\xF0\x9D\x84\x9E", 5);
        }
        (void)snprintf(body, sizeof body, "{\"error\":{\"message\":\"%s\"}}", message);
        answer = answered(400, body);
        answer_judge(&answer, &judgement);
        assert_true(text_is_utf8(text_from(judgement.detail)));
        assert_true(strlen(judgement.detail) > 150);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_done_and_only_an_object),
        cmocka_unit_test(each_status_means_what_stripe_says),
        cmocka_unit_test(a_replayed_500_is_told_from_a_new_one),
        cmocka_unit_test(stripes_own_word_on_trying_again_comes_first),
        cmocka_unit_test(what_never_arrived_is_told_from_what_may_have),
        cmocka_unit_test(the_reason_is_one_line_of_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
