/* The migrations that are built in: their order, and that each notes itself as what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/digest.h"
#include "db/sql.h"

enum { FIRST_THAT_NOTES_ITSELF = 14 };

static void migrations_are_numbered_without_a_gap(void **state) {
    size_t count;
    const struct sql_file *files = sql_find_all("migrations/", &count);
    (void)state;
    assert_in_range(count, FIRST_THAT_NOTES_ITSELF, 9999);
    for (size_t index = 0; index < count; index++) {
        char prefix[48];
        (void)snprintf(prefix, sizeof prefix, "migrations/%04zu_", index + 1);
        assert_int_equal(strncmp(files[index].name, prefix, strlen(prefix)), 0);
        assert_string_equal(files[index].name + strlen(files[index].name) - 4, ".sql");
    }
}

/* Who forgets sql/seal.sh, or edits a file after it, makes a schema that psql cannot apply. */
static void migration_notes_itself_with_the_digest_of_what_is_above(void **state) {
    size_t count;
    const struct sql_file *files = sql_find_all("migrations/", &count);
    (void)state;
    for (size_t index = FIRST_THAT_NOTES_ITSELF - 1; index < count; index++) {
        const struct sql_file *file = &files[index];
        const char *last = file->text + file->size_bytes - 1;
        char expected[256];
        char digest_text[DIGEST_TEXT_MAX];
        struct digest digest;
        struct err err = {0};
        assert_int_equal(*last, '\n');
        while (last > file->text && last[-1] != '\n') {
            last--;
        }
        assert_true(digest_of(file->text, (size_t)(last - file->text), &digest, &err));
        digest_format(&digest, digest_text);
        (void)snprintf(expected, sizeof expected, "call billing.note_migration('%s', '%s', '",
                       file->name + strlen("migrations/"), digest_text);
        if (strncmp(last, expected, strlen(expected)) != 0) {
            fail_msg("%s ends with: %s, not with: %s…; type: sql/seal.sh sql/%s", file->name, last,
                     expected, file->name);
        }
    }
}

/* psql runs them, and the program in a transaction of its own. */
static void migration_holds_no_transaction_and_no_command_of_psql(void **state) {
    size_t count;
    const struct sql_file *files = sql_find_all("migrations/", &count);
    (void)state;
    for (size_t index = 0; index < count; index++) {
        const char *text = files[index].text;
        assert_null(strstr(text, "\ncommit;"));
        assert_null(strstr(text, "\nbegin;"));
        assert_null(strstr(text, "\nrollback;"));
        assert_null(strstr(text, "\n\\"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_are_numbered_without_a_gap),
        cmocka_unit_test(migration_notes_itself_with_the_digest_of_what_is_above),
        cmocka_unit_test(migration_holds_no_transaction_and_no_command_of_psql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
