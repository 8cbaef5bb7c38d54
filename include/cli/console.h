/*
 * The console: stdout carries what was asked for, stderr people's text.
 *
 * console_out collects bytes for stdout; console_flush writes them. A reader that has gone is no
 * error; any other failure to write is kept in has_lost_output, and the command ends with it.
 * console_say writes one line to stderr: plain, or one JSON object with --log-format json. On a
 * terminal console_progress draws a bar with rate and time left, else a line per stage.
 */
#ifndef PERIODCLOSE_CLI_CONSOLE_H
#define PERIODCLOSE_CLI_CONSOLE_H

#include "core/text.h"
#include "run/run.h"

enum log_level { LOG_INFO, LOG_NOTE, LOG_ERROR, LOG_LEVELS_COUNT };

struct console {
    const struct sys *sys;
    struct buffer out;
    bool is_json;         /* --log-format json */
    bool is_quiet;        /* errors and the next command only */
    bool is_mute;         /* nothing goes to stdout for now: something else is printed there */
    bool is_terminal;     /* stderr is one */
    bool has_bar;         /* a progress bar stands on the current line */
    bool has_lost_output; /* stdout could not be written, though somebody was there to read */
    int64_t bar_drawn_us;
};

void console_init(struct console *console, const struct sys *sys);
void console_release(struct console *console);

bool console_out(struct console *console, struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool console_out_text(struct console *console, struct text text, struct err *err);
void console_flush(struct console *console);

void console_say(struct console *console, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* For run_options.observe; the context is the console. */
void console_observe(void *context, const struct run_event *event);

/* The final error: message, details, hint; then the next command. */
void console_tell_error(struct console *console, const struct err *err);
/* The last line: "next: COMMAND". */
void console_next(struct console *console, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
