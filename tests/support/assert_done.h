/* What tests say of a function that returns bool and leaves an error; with the includes of cmocka.
 */
#ifndef TESTS_SUPPORT_ASSERT_DONE_H
#define TESTS_SUPPORT_ASSERT_DONE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/err.h"

/* Fails the test with the error's own words. */
static inline void assert_done(bool is_done, const struct err *err) {
    if (!is_done) {
        fail_msg("%s", err->message);
    }
}

/* It must fail with that code, and part must stand in the message. Releases err. */
static inline void assert_fails(bool is_done, struct err *err, enum err_code code,
                                const char *part) {
    assert_false(is_done);
    if (err->code != code || strstr(err->message, part) == NULL) {
        fail_msg("code %d: '%s' is not in '%s'", (int)err->code, part, err->message);
    }
    err_release(err);
}

#endif
