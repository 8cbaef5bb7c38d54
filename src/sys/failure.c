#include "failure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for the words around it in a message and in a hint. */
enum { PATH_SHOWN_MAX = 700, PATH_HINTED_MAX = 400 };

/* The end of a long path, not beginning inside a UTF-8 sequence. */
static const char *path_end(const char *path, size_t shown_max) {
    size_t size_bytes = strlen(path);
    if (size_bytes <= shown_max) {
        return path;
    }
    const char *end = path + size_bytes - shown_max;
    while (((unsigned char)*end & 0xC0) == 0x80) {
        end++;
    }
    return end;
}

static void add_hint(struct err *err, const char *path, int error) {
    const char *shown = path_end(path, PATH_HINTED_MAX);
    const char *dots = shown == path ? "" : "...";
    switch (error) {
    case ENOSPC:
        (void)err_hint(err, "free space on the disk of '%s%s', then type the same command again",
                       dots, shown);
        break;
    case EDQUOT:
        (void)err_hint(err,
                       "free space on the disk of '%s%s' or raise the disk quota, then type the "
                       "same command again",
                       dots, shown);
        break;
    case EMFILE:
    case ENFILE:
        (void)err_hint(err, "raise the limit of open files (ulimit -n), or lower --jobs");
        break;
    case ENOMEM:
        (void)err_hint(err, "give the process more memory, or lower --memory and --jobs");
        break;
    default:
        break;
    }
}

bool sys_failure(struct err *err, const char *action, const char *path, int error) {
    error = abs(error);
    /* Not strerror: it is not thread-safe, and it follows the locale. */
    const char *reason = strerrordesc_np(error);
    const char *shown = path_end(path, PATH_SHOWN_MAX);
    (void)err_set(err, error == ENOMEM ? ERR_MEMORY : ERR_FILE, "cannot %s '%s%s': %s", action,
                  shown == path ? "" : "...", shown, reason == NULL ? "unknown error" : reason);
    add_hint(err, path, error);
    return false;
}
