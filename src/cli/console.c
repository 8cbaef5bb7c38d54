#include "cli/console.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/decimal.h"
#include "sys/clock.h"
#include "sys/process.h"

enum {
    CONSOLE_LINE_MAX = 8448,
    CONSOLE_OUT_FLUSH_BYTES = 64 * 1024,
    BAR_CELLS = 24,
    BAR_INTERVAL_US = 100000,
};

static const char *const level_names[LOG_LEVELS_COUNT] = {
    [LOG_INFO] = "info", [LOG_NOTE] = "note", [LOG_ERROR] = "error"};

void console_init(struct console *console, const struct sys *sys) {
    *console = (struct console){.sys = sys, .is_terminal = process_is_terminal(STDERR_FILENO)};
}

void console_release(struct console *console) {
    buffer_release(&console->out);
}

/* Best effort for stderr, where nobody is left to tell; stdout must not lose its end in silence. */
static void console_write(struct console *console, int fd, const char *bytes, size_t size_bytes) {
    size_t written = 0;
    for (int tries = 0; written < size_bytes && tries < 1000; tries++) {
        ssize_t count =
            console->sys->write(console->sys->self, fd, bytes + written, size_bytes - written);
        if (count > 0) {
            written += (size_t)count;
        } else if (count != -EINTR) {
            console->has_lost_output |= fd == STDOUT_FILENO && count != -EPIPE;
            return;
        }
    }
}

bool console_out_text(struct console *console, struct text text, struct err *err) {
    if (console->is_mute) {
        return true;
    }
    if (!buffer_append(&console->out, text, err)) {
        return false;
    }
    if (console->out.size_bytes >= CONSOLE_OUT_FLUSH_BYTES) {
        console_flush(console);
    }
    return true;
}

bool console_out(struct console *console, struct err *err, const char *format, ...) {
    char line[CONSOLE_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t kept = size < 0 ? 0 : (size_t)size;
    kept = kept < sizeof line ? kept : sizeof line - 1;
    return console_out_text(console, (struct text){line, kept}, err);
}

void console_flush(struct console *console) {
    console_write(console, STDOUT_FILENO, console->out.bytes, console->out.size_bytes);
    buffer_clear(&console->out);
}

static void console_clear_bar(struct console *console) {
    if (console->has_bar) {
        console_write(console, STDERR_FILENO, "\r\033[K", 4);
        console->has_bar = false;
    }
}

/* Names of files and words of the command line may hold anything; cut where it does not fit. */
static void make_showable(const char *message, char shown[CONSOLE_LINE_MAX]) {
    struct text text = text_from(message);
    size_t length = 0;
    for (size_t index = 0; index < text.size_bytes && length + 5 <= CONSOLE_LINE_MAX;) {
        size_t size_bytes = text_shown_bytes(text, index);
        if (size_bytes > 0) {
            memcpy(shown + length, text.bytes + index, size_bytes);
            length += size_bytes;
            index += size_bytes;
        } else {
            length += (size_t)snprintf(shown + length, CONSOLE_LINE_MAX - length, "\\x%02x",
                                       (unsigned)(unsigned char)text.bytes[index]);
            index++;
        }
    }
    shown[length] = '\0';
}

static void console_line(struct console *console, enum log_level level, const char *key,
                         const char *raw_message) {
    char message[CONSOLE_LINE_MAX];
    make_showable(raw_message, message);
    console_clear_bar(console);
    if (!console->is_json) {
        console_write(console, STDERR_FILENO, message, strlen(message));
        console_write(console, STDERR_FILENO, "\n", 1);
        return;
    }
    char time[INSTANT_TEXT_MAX];
    (void)instant_format(clock_now(console->sys), time);
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "time", time, "level", level_names[level], key, message);
    char *line = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    if (line != NULL) {
        console_write(console, STDERR_FILENO, line, strlen(line));
        console_write(console, STDERR_FILENO, "\n", 1);
    }
    free(line);
    json_decref(object);
}

void console_say(struct console *console, enum log_level level, const char *format, ...) {
    char line[CONSOLE_LINE_MAX];
    if (console->is_quiet && level != LOG_ERROR) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    console_line(console, level, "message", line);
}

/* 1234567 bytes as "1.2 MB"; other units as they are, in thousands. */
static void format_amount(char *text, size_t size_bytes, uint64_t amount, const char *unit) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    uint64_t tenths = amount * 10;
    size_t prefix = 0;
    while (tenths >= 10000 && prefix + 1 < sizeof prefixes / sizeof prefixes[0]) {
        tenths /= 1000;
        prefix++;
    }
    bool is_bytes = strcmp(unit, "bytes") == 0;
    if (prefix == 0) {
        (void)snprintf(text, size_bytes, "%llu %s", (unsigned long long)amount, unit);
    } else {
        (void)snprintf(text, size_bytes, "%llu.%llu %s%s%s", (unsigned long long)(tenths / 10),
                       (unsigned long long)(tenths % 10), prefixes[prefix], is_bytes ? "" : " ",
                       is_bytes ? "B" : unit);
    }
}

static void console_bar(struct console *console, const struct run_event *event) {
    int64_t now = clock_monotonic_us(console->sys);
    size_t columns = process_terminal_columns(STDERR_FILENO);
    if (columns == 0 || event->total == 0 || now - console->bar_drawn_us < BAR_INTERVAL_US) {
        return;
    }
    console->bar_drawn_us = now;
    uint64_t done = event->done < event->total ? event->done : event->total;
    int cells = (int)(done * BAR_CELLS / event->total);
    char bar[BAR_CELLS + 1];
    for (int cell = 0; cell < BAR_CELLS; cell++) {
        bar[cell] = cell < cells ? '#' : '.';
    }
    bar[BAR_CELLS] = '\0';
    uint64_t elapsed = event->elapsed_us > 0 ? (uint64_t)event->elapsed_us : 1;
    uint64_t rate = (uint64_t)((uint128)done * 1000000 / elapsed);
    uint64_t left = rate > 0 ? (event->total - done) / rate : 0;
    char rate_text[48];
    char line[CONSOLE_LINE_MAX];
    format_amount(rate_text, sizeof rate_text, rate, event->unit);
    int size =
        snprintf(line, sizeof line, "%-8s %3d %%  %llu:%02llu left  %s/s  [%s]", event->stage->name,
                 (int)(done * 100 / event->total), (unsigned long long)(left / 60),
                 (unsigned long long)(left % 60), rate_text, bar);
    /* A line that wraps could not be drawn over: its end, the bar, gives way. */
    size_t shown = (size_t)size < columns ? (size_t)size : columns - 1;
    console_write(console, STDERR_FILENO, "\r", 1);
    console_write(console, STDERR_FILENO, line, shown);
    console_write(console, STDERR_FILENO, "\033[K", 3);
    console->has_bar = true;
}

void console_observe(void *context, const struct run_event *event) {
    struct console *console = context;
    switch (event->kind) {
    case RUN_STAGE_BEGINS:
        return;
    case RUN_STAGE_GOES_ON:
        if (console->is_terminal && !console->is_json && !console->is_quiet) {
            console_bar(console, event);
        }
        return;
    case RUN_STAGE_ENDS:
        console_say(console, LOG_INFO, "%-8s done in %lld.%03lld s", event->stage->name,
                    (long long)(event->elapsed_us / 1000000),
                    (long long)(event->elapsed_us / 1000 % 1000));
        return;
    case RUN_STAGE_SKIPPED:
        console_say(console, LOG_INFO, "%-8s already done", event->stage->name);
        return;
    }
}

void console_tell_error(struct console *console, const struct err *err) {
    char line[ERR_MESSAGE_MAX + 64];
    const char *details = err->details;
    while (details != NULL && *details != '\0') {
        const char *end = strchr(details, '\n');
        int size = end != NULL ? (int)(end - details) : (int)strlen(details);
        (void)snprintf(line, sizeof line, "%.*s", size, details);
        console_line(console, LOG_ERROR, "detail", line);
        details = end != NULL ? end + 1 : NULL;
    }
    (void)snprintf(line, sizeof line, "periodclose: %s", err->message);
    console_line(console, LOG_ERROR, "message", line);
    if (err->hint[0] != '\0') {
        (void)snprintf(line, sizeof line, "hint: %s", err->hint);
        console_line(console, LOG_ERROR, "hint", line);
    }
}

void console_next(struct console *console, const char *format, ...) {
    char command[CONSOLE_LINE_MAX];
    char line[CONSOLE_LINE_MAX + 8];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    (void)snprintf(line, sizeof line, "next: %s", command);
    console_line(console, LOG_INFO, "message", line);
}
