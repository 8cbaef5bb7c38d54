#include "core/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"

bool err_set(struct err *err, enum err_code code, const char *format, ...) {
    assert(err->code == ERR_NONE);
    assert(code != ERR_NONE);
    err->code = code;
    err->hint[0] = '\0';
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return false;
}

bool err_wrap(struct err *err, const char *format, ...) {
    assert(err->code != ERR_NONE);
    char context[ERR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    size_t context_size = strlen(context);
    if (context_size + 2 >= sizeof err->message) {
        return false;
    }
    size_t room = sizeof err->message - context_size - 3;
    size_t kept = strnlen(err->message, room);
    memmove(err->message + context_size + 2, err->message, kept);
    memcpy(err->message, context, context_size);
    memcpy(err->message + context_size, ": ", 2);
    err->message[context_size + 2 + kept] = '\0';
    return false;
}

bool err_hint(struct err *err, const char *format, ...) {
    assert(err->code != ERR_NONE);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(err->hint, sizeof err->hint, format, arguments);
    va_end(arguments);
    return false;
}

bool err_memory(struct err *err, size_t size_bytes) {
    err_set(err, ERR_MEMORY, "out of memory asking for %zu bytes", size_bytes);
    return err_hint(err, "give the process more memory, or lower --memory and --jobs");
}

void err_take_details(struct err *err, char *details) {
    assert(err->code != ERR_NONE);
    mem_free(err->details);
    err->details = details;
}

void err_release(struct err *err) {
    mem_free(err->details);
    *err = (struct err){0};
}
