/*
 * RUN/lock: who works on this run directory.
 *
 * An OFD lock on the open file is what counts: the kernel gives it back however the holder ends.
 * The text says who, for people; nobody decides by it. The file is never unlinked.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/shell.h"
#include "run_internal.h"
#include "sys/clock.h"
#include "sys/process.h"

enum {
    /*
     * Who looks whether the directory is still where it was takes a free lock for an instant.
     * Asking again this many times (about a millisecond in all) outlasts it.
     */
    LOCK_ATTEMPTS_MAX = 64,
    LOCK_TEXT_MAX = 512,
};

/* The first line of the file, as somebody else may be writing it: made fit for a message. */
static bool read_holder(const struct file *file, char text[LOCK_TEXT_MAX], struct err *err) {
    size_t size_bytes;
    if (!file_read_at(file, 0, text, LOCK_TEXT_MAX - 1, &size_bytes, err)) {
        return false;
    }
    for (size_t index = 0; index < size_bytes; index++) {
        unsigned char byte = (unsigned char)text[index];
        if (byte == '\n' || byte == '\0') {
            size_bytes = index;
        } else if (byte < 0x20 || byte > 0x7e) {
            text[index] = '?';
        }
    }
    text[size_bytes] = '\0';
    if (size_bytes == 0) {
        (void)snprintf(text, LOCK_TEXT_MAX, "a process that has not said who it is");
    }
    return true;
}

static bool refuse(const struct file *file, const char *run_path, struct err *err) {
    char holder[LOCK_TEXT_MAX];
    if (!read_holder(file, holder, err)) {
        return false;
    }
    (void)err_set(err, ERR_LOCKED, "'%.400s' is in use by %s", run_path, holder);
    return err_hint(err, "wait for it to end, or look at it with: periodclose status %s",
                    shell_word(run_path, &(struct shell_word){0}));
}

/*
 * Is the file that was locked still what the path leads to? --restart may have moved the directory
 * aside between our open and our lock. A second open of the same file cannot have the lock as well.
 */
static bool is_current(const struct sys *sys, const char *path, bool *is_same, struct err *err) {
    struct file second;
    bool is_taken;
    if (!file_open_update(sys, path, &second, err)) {
        return false;
    }
    bool is_fine = file_lock(&second, &is_taken, err);
    file_abandon(&second);
    *is_same = is_fine && !is_taken;
    return is_fine;
}

bool lock_take(const struct sys *sys, const char *run_path, struct file *lock, struct err *err) {
    char path[FILE_PATH_MAX];
    *lock = FILE_CLOSED;
    if (!path_format(path, err, "%s/" LOCK_FILE, run_path)) {
        return false;
    }
    for (size_t attempt = 1;; attempt++) {
        bool is_taken;
        bool is_same = false;
        if (!file_open_update(sys, path, lock, err)) {
            return false;
        }
        if (!file_lock(lock, &is_taken, err) ||
            (is_taken && !is_current(sys, path, &is_same, err))) {
            file_abandon(lock);
            return false;
        }
        if (is_taken && is_same) {
            return true;
        }
        if (attempt == LOCK_ATTEMPTS_MAX) {
            (void)refuse(lock, run_path, err);
            file_abandon(lock);
            return false;
        }
        file_abandon(lock);
    }
}

bool lock_write(struct file *lock, const char *command, struct err *err) {
    char host[128];
    char since[INSTANT_TEXT_MAX];
    char text[LOCK_TEXT_MAX];
    process_host_name(host, sizeof host);
    (void)instant_format(clock_now(lock->sys), since);
    (void)snprintf(text, sizeof text - 1, "process %d on %s since %s: %s", process_id(), host,
                   since, command);
    size_t size_bytes = strlen(text);
    text[size_bytes++] = '\n';
    return file_write_at(lock, 0, text, size_bytes, err) && file_truncate(lock, size_bytes, err);
}

bool run_lock_holder(const struct run *run, bool *is_held, struct buffer *who, struct err *err) {
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    buffer_clear(who);
    *is_held = false;
    if (!run_path_format(run, path, LOCK_FILE, err) || !path_kind(run->sys, path, &kind, err)) {
        return false;
    }
    if (kind == PATH_MISSING) {
        return true;
    }
    struct file file;
    char holder[LOCK_TEXT_MAX];
    /* For reading: whoever may look at the run may not always write to it. */
    if (!file_open_read(run->sys, path, &file, err)) {
        return false;
    }
    bool is_fine = file_is_locked(&file, is_held, err);
    if (is_fine && *is_held) {
        is_fine = read_holder(&file, holder, err) && buffer_append(who, text_from(holder), err);
    }
    file_abandon(&file);
    return is_fine;
}
