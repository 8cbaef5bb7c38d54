/*
 * The manifest as text: JSON with sorted keys and an indent of 2, and a newline.
 *
 * Its member "sha256" is the SHA-256 of the compact dump without that member, so anybody can check
 * it:  jq -cjS 'del(.sha256)' manifest.json | sha256sum
 */
#include <jansson.h>
#include <string.h>

#include "core/memory.h"
#include "run_internal.h"

/*
 * jansson goes on after some failed requests for memory: its reader then drops characters, its
 * writer keys. So each thread remembers whether one failed.
 */
static _Thread_local bool has_lacked_memory;

static void *allocate(size_t size_bytes) {
    void *memory = mem_alloc(size_bytes);
    has_lacked_memory = has_lacked_memory || memory == NULL;
    return memory;
}

void manifest_use_memory(void) {
    json_set_alloc_funcs(allocate, mem_free);
    has_lacked_memory = false;
}

bool manifest_lacked_memory(void) {
    return has_lacked_memory;
}

struct dump {
    struct buffer *buffer;
    struct err *err;
    bool has_failed; /* jansson does not always pass it on */
};

static int append_dumped(const char *bytes, size_t size_bytes, void *context) {
    struct dump *dump = context;
    struct text text = {.bytes = bytes, .size_bytes = size_bytes};
    dump->has_failed = dump->has_failed || !buffer_append(dump->buffer, text, dump->err);
    return dump->has_failed ? -1 : 0;
}

static bool no_memory(struct err *err) {
    /* jansson does not say how much it asked for. */
    return err->code != ERR_NONE ? false : err_set(err, ERR_MEMORY, "out of memory for a manifest");
}

static bool dump_json(const json_t *root, size_t flags, struct buffer *buffer, struct err *err) {
    struct dump dump = {.buffer = buffer, .err = err};
    bool is_dumped = json_dump_callback(root, append_dumped, &dump, flags) == 0;
    return (is_dumped && !dump.has_failed && !has_lacked_memory) || no_memory(err);
}

bool manifest_seal(json_t *root, struct digest *digest, struct err *err) {
    struct buffer buffer = {0};
    json_t *kept = json_incref(json_object_get(root, "sha256"));
    (void)json_object_del(root, "sha256");
    bool is_fine = dump_json(root, JSON_COMPACT | JSON_SORT_KEYS, &buffer, err) &&
                   digest_of(buffer.bytes, buffer.size_bytes, digest, err);
    if (kept != NULL && json_object_set_new(root, "sha256", kept) != 0 && is_fine) {
        is_fine = no_memory(err);
    }
    buffer_release(&buffer);
    return is_fine;
}

/* Puts a value that was just made (NULL: no memory) into an object, which owns it from then on. */
static bool put(json_t *object, const char *key, json_t *value) {
    return json_object_set_new(object, key, value) == 0;
}

/* Is it of a stage that is not written down yet either? */
static bool pin_is_pending(const struct manifest *manifest, const struct pin *pin) {
    const struct sealed_stage *sealed =
        pin->is_tentative ? manifest_find(manifest, pin->stage) : NULL;
    return sealed != NULL && sealed->is_pending;
}

static json_t *pins_to_json(const struct manifest *manifest, enum pin_group group) {
    const struct pins *pins = &manifest->pins[group];
    json_t *object = json_object();
    for (size_t row = 0; object != NULL && row < pins->rows_count; row++) {
        if (pin_is_pending(manifest, &pins->rows[row])) {
            continue;
        }
        if (!put(object, pins->rows[row].name, json_string(pins->rows[row].value))) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

static json_t *file_to_json(const struct run_file *file) {
    char digest[DIGEST_TEXT_MAX];
    digest_format(&file->digest, digest);
    json_t *object = json_object();
    if (object == NULL || !put(object, "path", json_string(file->path)) ||
        !put(object, "rows", json_integer((json_int_t)file->rows_count)) ||
        !put(object, "bytes", json_integer((json_int_t)file->size_bytes)) ||
        !put(object, "sha256", json_string(digest))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *total_to_json(const struct totals_row *row) {
    char left[DECIMAL_TEXT_MAX];
    char right[DECIMAL_TEXT_MAX];
    (void)decimal_format(row->left, left);
    (void)decimal_format(row->right, right);
    json_t *object = json_object();
    if (object == NULL || !put(object, "name", json_string(row->name)) ||
        !put(object, "unit", json_string(row->unit)) || !put(object, "left", json_string(left)) ||
        !put(object, "right", json_string(right))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *files_to_json(const struct sealed_stage *sealed) {
    json_t *array = json_array();
    for (size_t index = 0; array != NULL && index < sealed->files_count; index++) {
        if (json_array_append_new(array, file_to_json(&sealed->files[index])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static json_t *totals_to_json(const struct sealed_stage *sealed) {
    size_t rows_count;
    const struct totals_row *rows = totals_rows(sealed->totals, &rows_count);
    json_t *array = json_array();
    for (size_t row = 0; array != NULL && row < rows_count; row++) {
        if (json_array_append_new(array, total_to_json(&rows[row])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static json_t *stage_to_json(const struct sealed_stage *sealed) {
    json_t *object = json_object();
    if (object == NULL || !put(object, "name", json_string(sealed->stage->name)) ||
        !put(object, "number", json_integer(sealed->stage->number)) ||
        !put(object, "version", json_integer(sealed->version)) ||
        !put(object, "elapsed_us", json_integer((json_int_t)sealed->elapsed_us)) ||
        !put(object, "files", files_to_json(sealed)) ||
        !put(object, "control_totals", totals_to_json(sealed))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *stages_to_json(const struct manifest *manifest) {
    json_t *array = json_array();
    for (size_t index = 0; array != NULL && index < manifest->stages_count; index++) {
        const struct sealed_stage *sealed = &manifest->stages[index];
        if (!sealed->is_volatile && !sealed->is_pending &&
            json_array_append_new(array, stage_to_json(sealed)) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static json_t *replay_to_json(const struct manifest *manifest) {
    if (manifest->replay_of[0] == '\0') {
        return json_null();
    }
    const struct stage *from = manifest->replay_from;
    json_t *object = json_object();
    if (object == NULL || !put(object, "of", json_string(manifest->replay_of)) ||
        !put(object, "from", from == NULL ? json_null() : json_string(from->name))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *to_json(const struct manifest *manifest) {
    json_t *root = json_object();
    if (root == NULL || !put(root, "format", json_string("periodclose run")) ||
        !put(root, "format_version", json_integer(MANIFEST_FORMAT_VERSION)) ||
        !put(root, "run_id", manifest->id[0] == '\0' ? json_null() : json_string(manifest->id)) ||
        !put(root, "replay", replay_to_json(manifest)) ||
        !put(root, "shards", json_integer((json_int_t)manifest->shards_count)) ||
        !put(root, "options", pins_to_json(manifest, PIN_OPTION)) ||
        !put(root, "inputs", pins_to_json(manifest, PIN_INPUT)) ||
        !put(root, "versions", pins_to_json(manifest, PIN_VERSION)) ||
        !put(root, "stages", stages_to_json(manifest))) {
        json_decref(root);
        return NULL;
    }
    return root;
}

bool manifest_format(const struct manifest *manifest, struct buffer *text, struct err *err) {
    buffer_clear(text);
    manifest_use_memory();
    json_t *root = to_json(manifest);
    if (root == NULL) {
        return no_memory(err);
    }
    struct digest digest;
    char digest_text[DIGEST_TEXT_MAX];
    bool is_fine = manifest_seal(root, &digest, err);
    if (is_fine) {
        digest_format(&digest, digest_text);
        is_fine = put(root, "sha256", json_string(digest_text)) || no_memory(err);
    }
    is_fine = is_fine && dump_json(root, JSON_INDENT(2) | JSON_SORT_KEYS, text, err) &&
              buffer_append(text, text_from("\n"), err);
    json_decref(root);
    return is_fine;
}
