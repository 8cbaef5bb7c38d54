/*
 * Words for a shell: commands that are told ("next: …", hints) can be copied and typed as they are.
 *
 *     cli_next(cli, "periodclose verify %s", shell_word(path, &(struct shell_word){0}));
 *
 * Plain words stay as they are; others stand in single quotes, those with control bytes as $'…'
 * (bash, zsh, ksh), so that no name can break a line or steer a terminal. A word that does not fit
 * is cut, and ends with … to show it.
 */
#ifndef PERIODCLOSE_CORE_SHELL_H
#define PERIODCLOSE_CORE_SHELL_H

enum { SHELL_WORD_MAX = 5120 };

struct shell_word {
    char text[SHELL_WORD_MAX];
};

/* Returns room->text. */
const char *shell_word(const char *word, struct shell_word *room);

#endif
