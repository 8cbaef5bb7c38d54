/* Words that a shell takes back as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/shell.h"

static const struct {
    const char *word;
    const char *quoted;
} words[] = {
    {"run-2026-10", "run-2026-10"},
    {"/var/lib/periodclose/2026-10", "/var/lib/periodclose/2026-10"},
    {"", "''"},
    {"my run", "'my run'"},
    {"it's", "'it'\\''s'"},
    {"$HOME/*", "'$HOME/*'"},
    {"back\\slash", "'back\\slash'"},
    {"zażółć", "'zażółć'"},
    {"a;rm", "'a;rm'"},
    {"~root", "'~root'"},
    {"two\nlines", "$'two\\012lines'"},
    {"it's\t\\\x1b[2J", "$'it\\'s\\011\\\\\\033[2J'"},
};

static void a_word_is_quoted_where_a_shell_needs_it(void **state) {
    (void)state;
    for (size_t index = 0; index < sizeof words / sizeof words[0]; index++) {
        struct shell_word room;
        assert_string_equal(shell_word(words[index].word, &room), words[index].quoted);
    }
}

/* A word of 8,000 bytes has no room: what is told says so, and its quotes are closed. */
static void a_word_without_room_is_cut_in_sight(void **state) {
    enum { LONG_SIZE = 8000 };
    char word[LONG_SIZE + 1];
    struct shell_word room;
    (void)state;
    memset(word, '\'', LONG_SIZE);
    word[LONG_SIZE] = '\0';
    const char *quoted = shell_word(word, &room);
    size_t size = strlen(quoted);
    assert_true(size < SHELL_WORD_MAX);
    assert_string_equal(quoted + size - strlen("''…"), "''…");
    memset(word, 'x', LONG_SIZE);
    quoted = shell_word(word, &room);
    assert_string_equal(quoted + strlen(quoted) - strlen("xx…"), "xx…");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_quoted_where_a_shell_needs_it),
        cmocka_unit_test(a_word_without_room_is_cut_in_sight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
