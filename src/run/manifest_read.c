/*
 * The manifest from text that nobody vouches for.
 *
 * First the seal (sha256), so that damage is told from a file of another program version; then
 * every member, its type and its range; at last the manifest is written again and must come out as
 * the same bytes. So nothing in the file is unread, doubled or out of order.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "run_internal.h"

/* Far above what any run has; a hostile file must not make us reserve more. */
enum { FILES_COUNT_MAX = 1000000, TOTALS_COUNT_MAX = 1000000, PINS_COUNT_MAX = 1000000 };

struct reader {
    struct manifest *manifest;
    const char *path;
    struct err *err;
};

static bool damaged(const struct reader *reader, const char *what) {
    (void)err_set(reader->err, ERR_DAMAGED, "'%.500s' is damaged: %s", reader->path, what);
    (void)err_hint(reader->err, HINT_RESTORE);
    return false;
}

static bool damaged_member(const struct reader *reader, const char *key, const char *what) {
    char text[128];
    (void)snprintf(text, sizeof text, "member '%.60s' is missing or %s", key, what);
    return damaged(reader, text);
}

static bool read_string(const struct reader *reader, const json_t *object, const char *key,
                        const char **value) {
    const json_t *member = json_object_get(object, key);
    if (!json_is_string(member)) {
        return damaged_member(reader, key, "is no text");
    }
    *value = json_string_value(member);
    return true;
}

static bool read_integer(const struct reader *reader, const json_t *object, const char *key,
                         int64_t max, int64_t *value) {
    const json_t *member = json_object_get(object, key);
    if (!json_is_integer(member) || json_integer_value(member) < 0 ||
        json_integer_value(member) > max) {
        return damaged_member(reader, key, "is no whole number in its range");
    }
    *value = json_integer_value(member);
    return true;
}

static bool read_array(const struct reader *reader, const json_t *object, const char *key,
                       size_t count_max, const json_t **array) {
    *array = json_object_get(object, key);
    if (!json_is_array(*array) || json_array_size(*array) > count_max) {
        return damaged_member(reader, key, "is no list, or a too long one");
    }
    return true;
}

static bool read_pins(const struct reader *reader, json_t *root, const char *key,
                      struct pins *pins) {
    json_t *object = json_object_get(root, key);
    if (!json_is_object(object) || json_object_size(object) > PINS_COUNT_MAX) {
        return damaged_member(reader, key, "is no object");
    }
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        if (!json_is_string(value)) {
            return damaged(reader, "a pinned value is no text");
        }
        if (pins_find(pins, name) != NULL) {
            return damaged(reader, "a pin stands in it twice");
        }
        struct pin pin = {.name = name, .value = json_string_value(value)};
        if (!pins_add(pins, pin, reader->err)) {
            return false;
        }
    }
    return true;
}

static bool read_file(const struct reader *reader, const json_t *object,
                      struct sealed_stage *sealed) {
    const char *path;
    const char *digest;
    int64_t rows_count;
    int64_t size_bytes;
    struct table_seal seal = {0};
    if (!read_string(reader, object, "path", &path) ||
        !read_string(reader, object, "sha256", &digest) ||
        !read_integer(reader, object, "rows", INT64_MAX, &rows_count) ||
        !read_integer(reader, object, "bytes", INT64_MAX, &size_bytes)) {
        return false;
    }
    if (!stage_owns_path(sealed->stage, path)) {
        return damaged(reader, "it lists a path that no stage of ours would");
    }
    if (sealed_stage_find(sealed, path) != NULL ||
        manifest_find_file(reader->manifest, path) != NULL) {
        return damaged(reader, "it lists a file twice");
    }
    if (!digest_parse(digest, &seal.digest)) {
        return damaged(reader, "a SHA-256 is not 64 hex digits");
    }
    seal.rows_count = (uint64_t)rows_count;
    seal.size_bytes = (uint64_t)size_bytes;
    return sealed_stage_add(sealed, path, &seal, reader->err);
}

static bool read_total(const struct reader *reader, const json_t *object,
                       struct sealed_stage *sealed) {
    const char *name;
    const char *unit;
    const char *left_text;
    const char *right_text;
    if (!read_string(reader, object, "name", &name) ||
        !read_string(reader, object, "unit", &unit) ||
        !read_string(reader, object, "left", &left_text) ||
        !read_string(reader, object, "right", &right_text)) {
        return false;
    }
    struct decimal left;
    struct decimal right;
    if (decimal_parse(text_from(left_text), &left) != DECIMAL_OK ||
        decimal_parse(text_from(right_text), &right) != DECIMAL_OK) {
        return damaged(reader, "a control total is no decimal number");
    }
    size_t before;
    size_t after;
    (void)totals_rows(sealed->totals, &before);
    if (!totals_add_left(sealed->totals, name, text_from(unit), left, reader->err) ||
        !totals_add_right(sealed->totals, name, text_from(unit), right, reader->err)) {
        return reader->err->code == ERR_RANGE
                   ? (err_release(reader->err), damaged(reader, "a control total is too large"))
                   : false;
    }
    (void)totals_rows(sealed->totals, &after);
    return after == before + 1 || damaged(reader, "a control total stands in it twice");
}

/* Checked before a stage is sealed, so it must hold when it is read again. */
static bool check_totals(const struct reader *reader, const struct sealed_stage *sealed) {
    struct err unequal = {0};
    if (totals_check(sealed->totals, sealed->stage->name, &unequal)) {
        return true;
    }
    (void)damaged(reader, unequal.message);
    err_release(&unequal);
    return false;
}

static bool read_rows(const struct reader *reader, const json_t *object,
                      struct sealed_stage *sealed) {
    const json_t *files;
    const json_t *totals;
    if (!read_array(reader, object, "files", FILES_COUNT_MAX, &files) ||
        !read_array(reader, object, "control_totals", TOTALS_COUNT_MAX, &totals)) {
        return false;
    }
    for (size_t index = 0; index < json_array_size(files); index++) {
        if (!read_file(reader, json_array_get(files, index), sealed)) {
            return false;
        }
    }
    for (size_t index = 0; index < json_array_size(totals); index++) {
        if (!read_total(reader, json_array_get(totals, index), sealed)) {
            return false;
        }
    }
    return check_totals(reader, sealed);
}

static bool read_stage(const struct reader *reader, const json_t *object) {
    struct manifest *manifest = reader->manifest;
    const struct stage *stage = manifest->list.stages[manifest->stages_count];
    const char *name;
    int64_t number;
    int64_t version;
    int64_t elapsed_us;
    if (!read_string(reader, object, "name", &name) ||
        !read_integer(reader, object, "number", INT32_MAX, &number) ||
        !read_integer(reader, object, "version", INT32_MAX, &version) ||
        !read_integer(reader, object, "elapsed_us", INT64_MAX, &elapsed_us)) {
        return false;
    }
    if (strcmp(name, stage->name) != 0 || number != stage->number) {
        (void)err_set(reader->err, ERR_MISMATCH,
                      "'%.500s' has a stage %d-'%.100s' where this program has %d-'%s'",
                      reader->path, (int)number, name, stage->number, stage->name);
        return err_hint(reader->err, "use the program version that began this run");
    }
    struct sealed_stage sealed;
    if (!sealed_stage_init(&sealed, stage, reader->err)) {
        return false;
    }
    sealed.version = (int)version;
    sealed.elapsed_us = elapsed_us;
    if (!read_rows(reader, object, &sealed)) {
        sealed_stage_release(&sealed);
        return false;
    }
    manifest->stages[manifest->stages_count++] = sealed;
    return true;
}

static bool is_run_id(const char *text) {
    return strlen(text) == RUN_ID_TEXT_MAX - 1 &&
           strspn(text, "0123456789abcdef") == RUN_ID_TEXT_MAX - 1;
}

static bool read_replay(const struct reader *reader, const json_t *root) {
    const json_t *replay = json_object_get(root, "replay");
    if (json_is_null(replay)) {
        return true;
    }
    const char *of;
    if (!read_string(reader, replay, "of", &of)) {
        return false;
    }
    if (!is_run_id(of)) {
        return damaged(reader, "the id of a replay's origin is not 32 hex digits");
    }
    memcpy(reader->manifest->replay_of, of, RUN_ID_TEXT_MAX);
    if (json_is_null(json_object_get(replay, "from"))) {
        return true;
    }
    const char *from;
    if (!read_string(reader, replay, "from", &from)) {
        return false;
    }
    reader->manifest->replay_from = stage_find(reader->manifest->list, from);
    return reader->manifest->replay_from != NULL ||
           damaged(reader, "a replay begins at a stage that is not there");
}

static bool read_id(const struct reader *reader, const json_t *root) {
    const json_t *member = json_object_get(root, "run_id");
    const char *stated = json_is_null(member) ? "" : json_string_value(member);
    if (!manifest_update_id(reader->manifest, reader->err)) {
        return false;
    }
    return (stated != NULL && strcmp(stated, reader->manifest->id) == 0) ||
           damaged(reader, "the run id is not the digest of what is pinned");
}

static bool read_stages(const struct reader *reader, const json_t *root) {
    const json_t *stages;
    if (!read_array(reader, root, "stages", reader->manifest->list.stages_count, &stages)) {
        return false;
    }
    for (size_t index = 0; index < json_array_size(stages); index++) {
        if (!read_stage(reader, json_array_get(stages, index))) {
            return false;
        }
    }
    return true;
}

static bool read_content(const struct reader *reader, json_t *root) {
    int64_t version;
    const char *format;
    if (!read_string(reader, root, "format", &format) ||
        !read_integer(reader, root, "format_version", INT64_MAX, &version)) {
        return false;
    }
    if (strcmp(format, "periodclose run") != 0) {
        return damaged(reader, "it is not the manifest of a run");
    }
    if (version != MANIFEST_FORMAT_VERSION) {
        (void)err_set(reader->err, ERR_MISMATCH,
                      "'%.500s' has format version %lld, this program reads %d", reader->path,
                      (long long)version, MANIFEST_FORMAT_VERSION);
        return err_hint(reader->err, "use the program version that began this run");
    }
    int64_t shards_count;
    if (!read_integer(reader, root, "shards", SHARDS_COUNT_MAX, &shards_count)) {
        return false;
    }
    struct manifest *manifest = reader->manifest;
    manifest->shards_count = (size_t)shards_count;
    if (!read_pins(reader, root, "options", &manifest->pins[PIN_OPTION]) ||
        !read_pins(reader, root, "inputs", &manifest->pins[PIN_INPUT]) ||
        !read_pins(reader, root, "versions", &manifest->pins[PIN_VERSION]) ||
        !read_replay(reader, root) || !read_stages(reader, root) || !read_id(reader, root)) {
        return false;
    }
    return (manifest->stages_count == 0) == (shards_count == 0) ||
           damaged(reader, "the number of shards does not fit its stages");
}

static bool load_json(const struct reader *reader, struct text text, json_t **root) {
    manifest_use_memory();
    *root = json_loadb(text.bytes == NULL ? "" : text.bytes, text.size_bytes,
                       JSON_REJECT_DUPLICATES, NULL);
    if (manifest_lacked_memory()) {
        json_decref(*root);
        *root = NULL;
        return err_set(reader->err, ERR_MEMORY, "out of memory reading '%.500s'", reader->path);
    }
    if (!json_is_object(*root)) {
        json_decref(*root);
        *root = NULL;
        return damaged(reader, "it is not a JSON object");
    }
    return true;
}

static bool check_seal(const struct reader *reader, json_t *root) {
    const char *stated_text;
    struct digest stated;
    struct digest actual;
    if (!read_string(reader, root, "sha256", &stated_text)) {
        return false;
    }
    if (!digest_parse(stated_text, &stated)) {
        return damaged(reader, "its own SHA-256 is not 64 hex digits");
    }
    if (!manifest_seal(root, &actual, reader->err)) {
        return false;
    }
    if (digest_equals(&stated, &actual)) {
        return true;
    }
    char actual_text[DIGEST_TEXT_MAX];
    digest_format(&actual, actual_text);
    char what[256];
    (void)snprintf(what, sizeof what, "its SHA-256 is %s, it says %s", actual_text, stated_text);
    return damaged(reader, what);
}

/* Written again, it must be the same bytes. */
static bool check_writing(const struct reader *reader, struct text text) {
    struct buffer again = {0};
    bool is_fine = manifest_format(reader->manifest, &again, reader->err);
    if (is_fine && !text_equals(buffer_text(&again), text)) {
        is_fine = damaged(reader, "it is not written the way this program writes it");
    }
    buffer_release(&again);
    return is_fine;
}

static bool parse(struct manifest *manifest, struct stage_list list, struct text text,
                  const char *path, bool is_strict, struct err *err) {
    struct reader reader = {.manifest = manifest, .path = path, .err = err};
    json_t *root;
    if (!load_json(&reader, text, &root)) {
        return false;
    }
    if (is_strict && !check_seal(&reader, root)) {
        json_decref(root);
        return false;
    }
    if (!manifest_init(manifest, list, err)) {
        json_decref(root);
        return false;
    }
    bool is_fine = read_content(&reader, root) && (!is_strict || check_writing(&reader, text));
    json_decref(root);
    if (!is_fine) {
        manifest_release(manifest);
    }
    return is_fine;
}

bool manifest_parse(struct manifest *manifest, struct stage_list list, struct text text,
                    const char *path, struct err *err) {
    return parse(manifest, list, text, path, true, err);
}

bool manifest_parse_content(struct manifest *manifest, struct stage_list list, struct text text,
                            const char *path, struct err *err) {
    return parse(manifest, list, text, path, false, err);
}
