#include "core/shell.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char cut_mark[] = "…";

enum { ESCAPED_MAX = 8, TAIL_SIZE = 1 + sizeof cut_mark }; /* a closing quote, the mark, NUL */

static bool is_control(char byte) {
    return ((unsigned char)byte < ' ') || byte == 0x7f;
}

static bool word_is_plain(const char *word) {
    return word[0] != '\0' && word[strspn(word, "abcdefghijklmnopqrstuvwxyz"
                                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                "0123456789-_=./:,+@%")] == '\0';
}

static bool word_has_control(const char *word) {
    for (; *word != '\0'; word++) {
        if (is_control(*word)) {
            return true;
        }
    }
    return false;
}

/* One byte inside the quotes; returns how many it takes. */
static size_t escape_byte(char byte, bool is_dollar, char escaped[ESCAPED_MAX]) {
    int size;
    if (!is_dollar) {
        size = snprintf(escaped, ESCAPED_MAX, "%s", byte == '\'' ? "'\\''" : "");
        if (byte != '\'') {
            escaped[0] = byte;
            size = 1;
        }
    } else if (is_control(byte)) {
        size = snprintf(escaped, ESCAPED_MAX, "\\%03o", (unsigned char)byte);
    } else {
        bool is_special = byte == '\'' || byte == '\\';
        size = snprintf(escaped, ESCAPED_MAX, "%s%c", is_special ? "\\" : "", byte);
    }
    return (size_t)size;
}

const char *shell_word(const char *word, struct shell_word *room) {
    bool is_plain = word_is_plain(word);
    bool is_dollar = word_has_control(word);
    size_t size = 0;
    bool is_cut = false;
    if (!is_plain) {
        size = (size_t)snprintf(room->text, SHELL_WORD_MAX, "%s", is_dollar ? "$'" : "'");
    }
    for (; *word != '\0' && !is_cut; word++) {
        char escaped[ESCAPED_MAX] = {*word};
        size_t escaped_size = is_plain ? 1 : escape_byte(*word, is_dollar, escaped);
        is_cut = size + escaped_size + TAIL_SIZE > SHELL_WORD_MAX;
        if (!is_cut) {
            memcpy(room->text + size, escaped, escaped_size);
            size += escaped_size;
        }
    }
    (void)snprintf(room->text + size, SHELL_WORD_MAX - size, "%s%s", is_plain ? "" : "'",
                   is_cut ? cut_mark : "");
    return room->text;
}
