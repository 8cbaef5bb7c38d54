#include "emit/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/files.h"

enum { SECRET_FILE_BYTES_MAX = 4096 };

void secret_clear(struct secret *secret) {
    explicit_bzero(secret, sizeof *secret);
}

static bool secret_keep(struct text bytes, const char *from, struct secret *secret,
                        struct err *err) {
    while (bytes.size_bytes > 0 && strchr("\r\n \t", bytes.bytes[bytes.size_bytes - 1]) != NULL) {
        bytes.size_bytes--;
    }
    bool is_key = bytes.size_bytes > 0 && bytes.size_bytes < SECRET_BYTES_MAX;
    for (size_t index = 0; is_key && index < bytes.size_bytes; index++) {
        is_key = bytes.bytes[index] > ' ' && bytes.bytes[index] < 127;
    }
    if (!is_key) {
        (void)err_set(err, ERR_USAGE, "%.300s holds no key", from);
        return err_hint(err, "one key, of printable characters and without spaces");
    }
    memcpy(secret->text, bytes.bytes, bytes.size_bytes);
    secret->text[bytes.size_bytes] = '\0';
    return true;
}

/* A file that cannot be read is a mistake of who named it, as a name that is not set would be. */
static bool secret_unread(const char *variable, struct err *err) {
    if (err->code == ERR_FILE || err->code == ERR_DAMAGED) {
        err->code = ERR_USAGE;
        (void)err_hint(err, "let %s name a file that this user may read, with the key alone in it",
                       variable);
    }
    return err_wrap(err, "%s", variable);
}

/* variable: of the environment, that leads to the file. */
static bool secret_from_file(const struct sys *sys, const char *path, const char *variable,
                             struct secret *secret, struct err *err) {
    struct buffer content = {0};
    bool is_fine =
        (file_load(sys, path, SECRET_FILE_BYTES_MAX, &content, err) ||
         secret_unread(variable, err)) &&
        (secret_keep(buffer_text(&content), path, secret, err) || err_wrap(err, "%s", variable));
    if (content.bytes != NULL) {
        explicit_bzero(content.bytes, content.capacity_bytes);
    }
    buffer_release(&content);
    return is_fine;
}

bool secret_load(const struct sys *sys, const char *name, struct secret *secret, struct err *err) {
    char file_name[64];
    char path[FILE_PATH_MAX];
    enum path_kind kind = PATH_MISSING;
    const char *value = getenv(name);
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    *secret = (struct secret){{0}};
    (void)sys->forbid_dumps(sys->self); /* where the kernel will not, the key is still needed */
    (void)snprintf(file_name, sizeof file_name, "%s_FILE", name);
    const char *file = getenv(file_name);
    if (value != NULL && value[0] != '\0') {
        return secret_keep(text_from(value), name, secret, err);
    }
    if (file != NULL && file[0] != '\0') {
        return secret_from_file(sys, file, file_name, secret, err);
    }
    if (folder != NULL && folder[0] != '\0') {
        if (!path_format(path, err, "%s/%s", folder, name) || !path_kind(sys, path, &kind, err)) {
            return false;
        }
        if (kind == PATH_FILE) {
            return secret_from_file(sys, path, "CREDENTIALS_DIRECTORY", secret, err);
        }
    }
    (void)err_set(err, ERR_USAGE, "there is no key: %s is not set", name);
    return err_hint(err,
                    "set %s, %s_FILE (a file that holds it), or a systemd credential of that "
                    "name",
                    name, name);
}
