#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/err.h"
#include "core/memory.h"

static void err_wrap_puts_the_context_in_front_and_keeps_the_rest(void **state) {
    (void)state;
    struct err err = {0};
    assert_false(err_set(&err, ERR_INPUT, "line %d: %s", 17, "bad"));
    assert_false(err_hint(&err, "write %s", "YYYY-MM"));
    assert_false(err_wrap(&err, "reading '%s'", "usage.csv"));
    assert_int_equal(err.code, ERR_INPUT);
    assert_string_equal(err.message, "reading 'usage.csv': line 17: bad");
    assert_string_equal(err.hint, "write YYYY-MM");
    err_release(&err);
    assert_int_equal(err.code, ERR_NONE);
    assert_string_equal(err.message, "");
}

static void err_messages_that_do_not_fit_are_cut(void **state) {
    (void)state;
    char large[ERR_MESSAGE_MAX * 2];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    struct err err = {0};
    assert_false(err_set(&err, ERR_FILE, "%s", large));
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
    assert_false(err_hint(&err, "%s", large));
    assert_int_equal(strlen(err.hint), ERR_HINT_MAX - 1);
    assert_false(err_wrap(&err, "context"));
    assert_true(strlen(err.message) < ERR_MESSAGE_MAX);
    assert_memory_equal(err.message, "context: xxx", 12);
    assert_false(err_wrap(&err, "%s", large));
    assert_true(strlen(err.message) < ERR_MESSAGE_MAX);
    /* Any length of message and of context together. */
    for (size_t length = ERR_MESSAGE_MAX - 8; length < ERR_MESSAGE_MAX + 8; length++) {
        err_release(&err);
        assert_false(err_set(&err, ERR_FILE, "reason"));
        assert_false(err_wrap(&err, "%.*s", (int)length, large));
        assert_true(strlen(err.message) < ERR_MESSAGE_MAX);
    }
    err_release(&err);
}

static void err_owns_its_details(void **state) {
    (void)state;
    struct err err = {0};
    assert_false(err_memory(&err, 4096));
    assert_int_equal(err.code, ERR_MEMORY);
    assert_non_null(strstr(err.message, "4096"));
    err_take_details(&err, mem_alloc(10));
    err_take_details(&err, mem_alloc(20)); /* the sanitizer would tell of the first one */
    assert_non_null(err.details);
    err_release(&err);
    assert_null(err.details);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_wrap_puts_the_context_in_front_and_keeps_the_rest),
        cmocka_unit_test(err_messages_that_do_not_fit_are_cut),
        cmocka_unit_test(err_owns_its_details),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
