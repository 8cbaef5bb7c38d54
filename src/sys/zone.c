/*
 * The C library answers one question here: what is the local offset at this second? Changes are
 * found by asking at fixed steps and bisecting between two that differ.
 *
 * The library never says that it could not read a zone: it quietly takes UTC, and every period
 * boundary would be wrong by hours. So the file is checked here before it is used, and TZ is set to
 * its full path, so that TZDIR in the environment cannot make the library read another one.
 */
#include "sys/zone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/memory.h"
#include "sys/files.h"

#define ZONE_FOLDER "/usr/share/zoneinfo"

enum {
    ZONE_NAME_MAX = 64,
    ZONE_FILE_BYTES_MAX = 1024 * 1024,
    TZIF_HEADER_BYTES = 44,
    /* No zone has changed twice within this: the result equals zdump for all zones, 1971 to 2100.
     */
    SAMPLE_STEP_SECONDS = 6 * 3600,
};

static const char UNKNOWN_HINT[] =
    "use a name of the IANA time zone database, such as UTC or Europe/Berlin";

/* --- the name ------------------------------------------------------------------------------- */

static bool name_starts_with(struct text name, const char *prefix) {
    size_t size_bytes = strlen(prefix);
    return name.size_bytes >= size_bytes && memcmp(name.bytes, prefix, size_bytes) == 0;
}

/* Letters, digits, "_", "+", "-", in parts between single slashes. */
static bool name_is_plausible(struct text name) {
    if (name.size_bytes == 0 || name.size_bytes > ZONE_NAME_MAX) {
        return false;
    }
    char before = '/';
    for (size_t index = 0; index < name.size_bytes; index++) {
        char byte = name.bytes[index];
        bool is_letter = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
        bool is_digit = byte >= '0' && byte <= '9';
        bool is_joint = byte == '/' && before != '/';
        if (!is_letter && !is_digit && byte != '_' && byte != '+' && byte != '-' && !is_joint) {
            return false;
        }
        before = byte;
    }
    /* In that folder, but not in the database: the machine's own zone, and two whole copies. */
    return before != '/' && !text_equals(name, text_from("localtime")) &&
           !text_equals(name, text_from("posixrules")) && !name_starts_with(name, "posix/") &&
           !name_starts_with(name, "right/");
}

static bool unknown_zone(struct text name, struct err *err) {
    char shown[ZONE_NAME_MAX + 1];
    size_t shown_bytes = name.size_bytes < ZONE_NAME_MAX ? name.size_bytes : ZONE_NAME_MAX;
    for (size_t index = 0; index < shown_bytes; index++) {
        char byte = name.bytes[index];
        shown[index] = byte >= ' ' && byte <= '~' ? byte : '?';
    }
    shown[shown_bytes] = '\0';
    (void)err_set(err, ERR_INPUT, "unknown time zone '%s%s'", shown,
                  name.size_bytes > shown_bytes ? "..." : "");
    return err_hint(err, "%s", UNKNOWN_HINT);
}

/* --- the file (RFC 8536) -------------------------------------------------------------------- */

static uint32_t big_endian(const char *bytes) {
    const unsigned char *byte = (const unsigned char *)bytes;
    return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

/* Bytes of a header and its data block, 0 when it is no header or counts leap seconds. */
static uint64_t tzif_block_bytes(struct text content, uint64_t offset, uint64_t time_bytes) {
    if (offset + TZIF_HEADER_BYTES > content.size_bytes ||
        memcmp(content.bytes + offset, "TZif", 4) != 0) {
        return 0;
    }
    const char *counts = content.bytes + offset + 20;
    uint64_t utc_flags = big_endian(counts);
    uint64_t standard_flags = big_endian(counts + 4);
    uint64_t leaps = big_endian(counts + 8);
    uint64_t changes = big_endian(counts + 12);
    uint64_t types = big_endian(counts + 16);
    uint64_t letters = big_endian(counts + 20);
    if (leaps != 0 || types == 0) {
        return 0;
    }
    return TZIF_HEADER_BYTES + changes * (time_bytes + 1) + types * 6 + letters + standard_flags +
           utc_flags;
}

/* All of the file is there: both blocks and, from version 2 on, the rule between two newlines. */
static bool tzif_is_whole(struct text content) {
    uint64_t first = tzif_block_bytes(content, 0, 4);
    if (first == 0 || first > content.size_bytes) {
        return false;
    }
    if (content.bytes[4] == '\0') {
        return first == content.size_bytes;
    }
    uint64_t second = tzif_block_bytes(content, first, 8);
    return second != 0 && first + second + 2 <= content.size_bytes &&
           content.bytes[first + second] == '\n' && content.bytes[content.size_bytes - 1] == '\n';
}

static bool check_zone_file(const char *path, struct text name, struct err *err) {
    const struct sys *sys = sys_real();
    enum path_kind kind;
    if (!path_kind(sys, path, &kind, err)) {
        return err_wrap(err, "time zone '%.*s'", (int)name.size_bytes, name.bytes);
    }
    if (kind != PATH_FILE) {
        enum path_kind folder_kind;
        (void)unknown_zone(name, err);
        struct err ignored = {0};
        if (path_kind(sys, ZONE_FOLDER "/Etc", &folder_kind, &ignored) &&
            folder_kind == PATH_MISSING) {
            return err_hint(err, "install the time zone database (package tzdata)");
        }
        err_release(&ignored);
        return false;
    }
    struct buffer content = {0};
    bool is_loaded = file_load(sys, path, ZONE_FILE_BYTES_MAX, &content, err);
    if (!is_loaded) {
        (void)err_wrap(err, "time zone '%.*s'", (int)name.size_bytes, name.bytes);
    } else if (content.size_bytes < 4 || memcmp(content.bytes, "TZif", 4) != 0) {
        is_loaded = unknown_zone(name, err); /* a table of the database, such as zone1970 */
    } else if (!tzif_is_whole(buffer_text(&content))) {
        (void)err_set(err, ERR_FILE, "time zone file '%s' is damaged", path);
        is_loaded = err_hint(err, "install the time zone database again (package tzdata)");
    }
    buffer_release(&content);
    return is_loaded;
}

/* --- the process's zone --------------------------------------------------------------------- */

/* Sets TZ, or removes it when value is NULL. */
static bool set_zone(const char *value, struct err *err) {
    int result = value != NULL ? setenv("TZ", value, 1) : unsetenv("TZ");
    if (result != 0) {
        return err_memory(err, value != NULL ? strlen(value) : 0);
    }
    tzset();
    return true;
}

/* A copy of TZ, for mem_free; NULL when it is not set. */
static bool save_zone(char **saved, struct err *err) {
    *saved = NULL;
    const char *value = getenv("TZ");
    if (value == NULL) {
        return true;
    }
    size_t size_bytes = strlen(value) + 1;
    *saved = mem_alloc(size_bytes);
    if (*saved == NULL) {
        return err_memory(err, size_bytes);
    }
    memcpy(*saved, value, size_bytes);
    return true;
}

static bool offset_at(int64_t seconds, int32_t *offset_seconds, struct err *err) {
    time_t time = (time_t)seconds;
    struct tm local;
    if (localtime_r(&time, &local) == NULL) {
        return err_set(err, ERR_RANGE, "no local time for second %lld", (long long)seconds);
    }
    *offset_seconds = (int32_t)local.tm_gmtoff;
    return true;
}

/* First second after low with high's offset; between the two there is one change. */
static bool find_change(int64_t low, int64_t high, int32_t low_offset, int64_t *change,
                        struct err *err) {
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        int32_t offset = 0;
        if (!offset_at(middle, &offset, err)) {
            return false;
        }
        if (offset == low_offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *change = high;
    return true;
}

struct offset_list {
    struct zone_offset *offsets;
    size_t count;
    size_t capacity;
};

static bool offset_list_add(struct offset_list *list, struct arena *arena,
                            struct zone_offset offset, struct err *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        struct zone_offset *grown = arena_alloc_array(arena, capacity, sizeof *grown, err);
        if (grown == NULL) {
            return false;
        }
        if (list->count > 0) {
            memcpy(grown, list->offsets, list->count * sizeof *grown);
        }
        list->offsets = grown;
        list->capacity = capacity;
    }
    list->offsets[list->count++] = offset;
    return true;
}

static int64_t whole_seconds(struct instant instant) {
    return instant.us / 1000000 - (instant.us % 1000000 < 0 ? 1 : 0);
}

static bool find_offsets(struct offset_list *list, struct arena *arena, struct zone_range range,
                         struct err *err) {
    int64_t at = whole_seconds(range.from);
    int64_t until = whole_seconds(range.until);
    int32_t offset = 0;
    if (!offset_at(at, &offset, err) ||
        !offset_list_add(list, arena, (struct zone_offset){INT64_MIN, offset}, err)) {
        return false;
    }
    while (at < until) {
        int64_t next = until - at > SAMPLE_STEP_SECONDS ? at + SAMPLE_STEP_SECONDS : until;
        int32_t next_offset = 0;
        if (!offset_at(next, &next_offset, err)) {
            return false;
        }
        if (next_offset != offset) {
            int64_t change = 0;
            if (!find_change(at, next, offset, &change, err) ||
                !offset_list_add(list, arena, (struct zone_offset){change * 1000000, next_offset},
                                 err)) {
                return false;
            }
        }
        at = next;
        offset = next_offset;
    }
    return true;
}

bool zone_load(struct arena *arena, struct text name, struct zone_range range, struct zone *zone,
               struct err *err) {
    struct offset_list list = {0};
    if (text_equals(name, text_from("UTC"))) {
        if (!offset_list_add(&list, arena, (struct zone_offset){INT64_MIN, 0}, err)) {
            return false;
        }
        *zone = (struct zone){.offsets = list.offsets, .offsets_count = list.count};
        return true;
    }
    if (!name_is_plausible(name)) {
        return unknown_zone(name, err);
    }
    char value[sizeof ":" ZONE_FOLDER "/" + ZONE_NAME_MAX];
    (void)snprintf(value, sizeof value, ":%s/%.*s", ZONE_FOLDER, (int)name.size_bytes, name.bytes);
    char *saved;
    if (!check_zone_file(value + 1, name, err) || !save_zone(&saved, err)) {
        return false;
    }
    bool is_found = set_zone(value, err) && find_offsets(&list, arena, range, err);
    struct err restoring = {0};
    if (!set_zone(saved, is_found ? err : &restoring)) {
        is_found = false;
    }
    mem_free(saved);
    if (is_found) {
        *zone = (struct zone){.offsets = list.offsets, .offsets_count = list.count};
    }
    return is_found;
}

/* --- the version ---------------------------------------------------------------------------- */

/* "# version 2026f" and the end of the line: its last word, else nothing. */
static struct text version_word(struct text content) {
    static const char PREFIX[] = "# version ";
    size_t start = sizeof PREFIX - 1;
    if (content.size_bytes < start || memcmp(content.bytes, PREFIX, start) != 0) {
        return (struct text){0};
    }
    size_t end = start;
    while (end < content.size_bytes && content.bytes[end] > ' ' && content.bytes[end] <= '~' &&
           content.bytes[end] != '"' && content.bytes[end] != '\\') {
        end++;
    }
    bool is_whole = end < content.size_bytes && content.bytes[end] == '\n';
    return (struct text){content.bytes + start, is_whole ? end - start : 0};
}

size_t zone_database_version(char *version, size_t size_bytes) {
    char content[64];
    size_t read_bytes = 0;
    struct file file;
    struct err ignored = {0};
    if (file_open_read(sys_real(), ZONE_FOLDER "/tzdata.zi", &file, &ignored) &&
        !file_read(&file, content, sizeof content, &read_bytes, &ignored)) {
        read_bytes = 0;
    }
    file_abandon(&file);
    err_release(&ignored);
    struct text word = version_word((struct text){content, read_bytes});
    if (word.size_bytes == 0) {
        word = text_from("unknown");
    }
    int written = snprintf(version, size_bytes, "%.*s", (int)word.size_bytes, word.bytes);
    size_t length = written > 0 ? (size_t)written : 0;
    return length < size_bytes ? length : size_bytes - 1;
}
