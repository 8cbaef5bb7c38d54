#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emit/secret.h"
#include "support/scratch.h"

static const char in_environment[] = "sk_test_51environment";
static const char in_file[] = "sk_test_51file";
static const char in_credentials[] = "sk_test_51credentials";

static void environment(const char *value, const char *file, const char *folder) {
    (void)unsetenv("TRIED_KEY");
    (void)unsetenv("TRIED_KEY_FILE");
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    assert_true(value == NULL || setenv("TRIED_KEY", value, 1) == 0);
    assert_true(file == NULL || setenv("TRIED_KEY_FILE", file, 1) == 0);
    assert_true(folder == NULL || setenv("CREDENTIALS_DIRECTORY", folder, 1) == 0);
}

static void assert_loads(const char *expected) {
    struct secret secret;
    struct err err = {0};
    assert_true(secret_load(sys_real(), "TRIED_KEY", &secret, &err));
    assert_string_equal(secret.text, expected);
    secret_clear(&secret);
    assert_memory_equal(&secret, &(struct secret){{0}}, sizeof secret);
}

/* Nothing that was read may stand in what is told. */
static void assert_refused(enum err_code code, const char *hidden) {
    struct secret secret;
    struct err err = {0};
    assert_false(secret_load(sys_real(), "TRIED_KEY", &secret, &err));
    assert_int_equal(err.code, code);
    assert_null(strstr(err.message, hidden));
    assert_null(strstr(err.hint, hidden));
    assert_null(err.details);
    assert_string_equal(secret.text, "");
}

static void it_is_looked_for_in_a_fixed_order(void **state) {
    (void)state;
    scratch_write("key", "sk_test_51file\r\n");
    assert_int_equal(mkdir("credentials", 0700), 0);
    scratch_write("credentials/TRIED_KEY", "sk_test_51credentials \n\n");
    environment(in_environment, "key", "credentials");
    assert_loads(in_environment);
    environment("", "key", "credentials");
    assert_loads(in_file);
    environment(NULL, NULL, "credentials");
    assert_loads(in_credentials);
    environment(NULL, "", "credentials");
    assert_loads(in_credentials);
}

static void where_there_is_none_it_says_where_to_put_it(void **state) {
    (void)state;
    struct secret secret;
    struct err err = {0};
    environment(NULL, NULL, NULL);
    assert_false(secret_load(sys_real(), "TRIED_KEY", &secret, &err));
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.message, "TRIED_KEY is not set"));
    assert_non_null(strstr(err.hint, "TRIED_KEY_FILE"));
    assert_int_equal(mkdir("empty", 0700), 0);
    environment(NULL, NULL, "empty");
    assert_refused(ERR_USAGE, "sk_test");
}

/* Each would break a header, or is not what was meant; the value itself is never told. */
static void what_is_no_key_is_refused_without_telling_it(void **state) {
    (void)state;
    char long_key[SECRET_BYTES_MAX + 1];
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    environment(long_key, NULL, NULL);
    assert_refused(ERR_USAGE, "kkkk");
    long_key[SECRET_BYTES_MAX - 1] = '\0';
    environment(long_key, NULL, NULL);
    assert_loads(long_key);
    static const char *const bad[] = {"sk_test hidden", "sk_test_\x01hidden",
                                      "sk_test_hidden\xC3\xBC", "hidden\nX-Header: hidden"};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        environment(bad[index], NULL, NULL);
        assert_refused(ERR_USAGE, "hidden");
        scratch_write("bad", bad[index]);
        environment(NULL, "bad", NULL);
        assert_refused(ERR_USAGE, "hidden");
    }
    scratch_write("bad", " \n");
    assert_refused(ERR_USAGE, "hidden");
}

/* As a name that is not set: who named the file is told what to mend. */
static void assert_named(const char *variable, const char *path) {
    struct secret secret;
    struct err err = {0};
    assert_false(secret_load(sys_real(), "TRIED_KEY", &secret, &err));
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.message, variable));
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.hint, variable));
}

static void a_file_that_cannot_be_read_is_told_with_the_variable_that_names_it(void **state) {
    (void)state;
    char content[8192];
    environment(NULL, "nowhere", NULL);
    assert_named("TRIED_KEY_FILE", "'nowhere'");
    assert_int_equal(mkdir("folder", 0700), 0);
    environment(NULL, "folder", NULL);
    assert_named("TRIED_KEY_FILE", "'folder'");
    memset(content, 'x', sizeof content - 1);
    content[sizeof content - 1] = '\0';
    scratch_write("much", content);
    environment(NULL, "much", NULL);
    assert_named("TRIED_KEY_FILE", "'much'");
    assert_refused(ERR_USAGE, "xxxx");
    if (geteuid() != 0) {
        assert_int_equal(chmod("much", 0), 0);
        assert_named("TRIED_KEY_FILE", "'much'");
    }
    assert_int_equal(mkdir("credentials", 0700), 0);
    scratch_write("credentials/TRIED_KEY", content);
    environment(NULL, NULL, "credentials");
    assert_named("CREDENTIALS_DIRECTORY", "'credentials/TRIED_KEY'");
}

static void who_has_one_can_be_dumped_no_more(void **state) {
    (void)state;
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    environment(in_environment, NULL, NULL);
    assert_loads(in_environment);
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
    /* The leak checker looks into this very process. */
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
}

static int teardown(void **state) {
    environment(NULL, NULL, NULL);
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return scratch_teardown(state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(it_is_looked_for_in_a_fixed_order),
        TEST(where_there_is_none_it_says_where_to_put_it),
        TEST(what_is_no_key_is_refused_without_telling_it),
        TEST(a_file_that_cannot_be_read_is_told_with_the_variable_that_names_it),
        TEST(who_has_one_can_be_dumped_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
