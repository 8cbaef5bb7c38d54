/* The manifest in memory: pins by name, sealed stages in order. */
#include <assert.h>
#include <string.h>

#include "core/memory.h"
#include "run_internal.h"

bool manifest_init(struct manifest *manifest, struct stage_list list, struct err *err) {
    *manifest = (struct manifest){.list = list};
    manifest->stages = mem_alloc(list.stages_count * sizeof *manifest->stages);
    if (manifest->stages == NULL) {
        return err_memory(err, list.stages_count * sizeof *manifest->stages);
    }
    return true;
}

static void pins_release(struct pins *pins) {
    for (size_t row = 0; row < pins->rows_count; row++) {
        mem_free((void *)pins->rows[row].name);
        mem_free((void *)pins->rows[row].value);
    }
    mem_free(pins->rows);
    *pins = (struct pins){0};
}

void manifest_release(struct manifest *manifest) {
    for (size_t group = 0; group < PIN_GROUPS_COUNT; group++) {
        pins_release(&manifest->pins[group]);
    }
    for (size_t index = 0; index < manifest->stages_count; index++) {
        sealed_stage_release(&manifest->stages[index]);
    }
    mem_free(manifest->stages);
    *manifest = (struct manifest){0};
}

/* --- pins ----------------------------------------------------------------------------------- */

static size_t pins_place(const struct pins *pins, const char *name) {
    size_t low = 0;
    size_t high = pins->rows_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(pins->rows[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct pin *pins_find(const struct pins *pins, const char *name) {
    size_t place = pins_place(pins, name);
    bool is_found = place < pins->rows_count && strcmp(pins->rows[place].name, name) == 0;
    return is_found ? &pins->rows[place] : NULL;
}

static char *duplicate(const char *text, struct err *err) {
    size_t size_bytes = strlen(text) + 1;
    char *copy = mem_alloc(size_bytes);
    if (copy == NULL) {
        (void)err_memory(err, size_bytes);
        return NULL;
    }
    memcpy(copy, text, size_bytes);
    return copy;
}

bool pins_add(struct pins *pins, struct pin pin, struct err *err) {
    size_t place = pins_place(pins, pin.name);
    assert(place == pins->rows_count || strcmp(pins->rows[place].name, pin.name) != 0);
    if (pins->rows_count == pins->rows_capacity) {
        size_t capacity = pins->rows_capacity == 0 ? 16 : pins->rows_capacity * 2;
        struct pin *rows = mem_realloc(pins->rows, capacity * sizeof *rows);
        if (rows == NULL) {
            return err_memory(err, capacity * sizeof *rows);
        }
        pins->rows = rows;
        pins->rows_capacity = capacity;
    }
    struct pin kept = {
        .name = duplicate(pin.name, err), .is_tentative = pin.is_tentative, .stage = pin.stage};
    if (kept.name == NULL) {
        return false;
    }
    kept.value = duplicate(pin.value, err);
    if (kept.value == NULL) {
        mem_free((void *)kept.name);
        return false;
    }
    memmove(pins->rows + place + 1, pins->rows + place,
            (pins->rows_count - place) * sizeof *pins->rows);
    pins->rows[place] = kept;
    pins->rows_count++;
    return true;
}

void pins_drop(struct pins *pins, const char *name) {
    size_t place = pins_place(pins, name);
    if (place == pins->rows_count || strcmp(pins->rows[place].name, name) != 0) {
        return;
    }
    mem_free((void *)pins->rows[place].name);
    mem_free((void *)pins->rows[place].value);
    pins->rows_count--;
    memmove(pins->rows + place, pins->rows + place + 1,
            (pins->rows_count - place) * sizeof *pins->rows);
}

void pins_keep_tentative(struct pins *pins, const struct stage *stage) {
    for (size_t row = 0; row < pins->rows_count; row++) {
        if (pins->rows[row].stage == stage) {
            pins->rows[row].is_tentative = false;
            pins->rows[row].stage = NULL;
        }
    }
}

void pins_drop_tentative(struct pins *pins, const struct stage *stage) {
    size_t kept = 0;
    for (size_t row = 0; row < pins->rows_count; row++) {
        if (pins->rows[row].is_tentative && pins->rows[row].stage == stage) {
            mem_free((void *)pins->rows[row].name);
            mem_free((void *)pins->rows[row].value);
        } else {
            pins->rows[kept++] = pins->rows[row];
        }
    }
    pins->rows_count = kept;
}

/* --- sealed stages -------------------------------------------------------------------------- */

bool sealed_stage_init(struct sealed_stage *sealed, const struct stage *stage, struct err *err) {
    *sealed = (struct sealed_stage){
        .stage = stage, .version = stage->version, .totals = totals_create(err)};
    return sealed->totals != NULL;
}

void sealed_stage_release(struct sealed_stage *sealed) {
    for (size_t index = 0; index < sealed->files_count; index++) {
        mem_free((void *)sealed->files[index].path);
    }
    mem_free(sealed->files);
    totals_destroy(sealed->totals);
    *sealed = (struct sealed_stage){0};
}

static size_t file_place(const struct sealed_stage *sealed, const char *path) {
    size_t low = 0;
    size_t high = sealed->files_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(sealed->files[middle].path, path) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct run_file *sealed_stage_find(const struct sealed_stage *sealed, const char *path) {
    size_t place = file_place(sealed, path);
    bool is_found = place < sealed->files_count && strcmp(sealed->files[place].path, path) == 0;
    return is_found ? &sealed->files[place] : NULL;
}

void sealed_stage_mark_checked(struct sealed_stage *sealed, const char *path) {
    size_t place = file_place(sealed, path);
    assert(place < sealed->files_count && strcmp(sealed->files[place].path, path) == 0);
    sealed->files[place].is_checked = true;
}

void sealed_stage_mark_unverified(struct sealed_stage *sealed, const char *path,
                                  bool is_unverified) {
    size_t place = file_place(sealed, path);
    assert(place < sealed->files_count && strcmp(sealed->files[place].path, path) == 0);
    sealed->files[place].is_unverified = is_unverified;
}

void sealed_stage_mark_temporary(struct sealed_stage *sealed, const char *path) {
    size_t place = file_place(sealed, path);
    assert(place < sealed->files_count && strcmp(sealed->files[place].path, path) == 0);
    sealed->files[place].is_temporary = true;
}

bool sealed_stage_add(struct sealed_stage *sealed, const char *path, const struct table_seal *seal,
                      struct err *err) {
    size_t place = file_place(sealed, path);
    assert(place == sealed->files_count || strcmp(sealed->files[place].path, path) != 0);
    if (sealed->files_count == sealed->files_capacity) {
        size_t capacity = sealed->files_capacity == 0 ? 16 : sealed->files_capacity * 2;
        struct run_file *files = mem_realloc(sealed->files, capacity * sizeof *files);
        if (files == NULL) {
            return err_memory(err, capacity * sizeof *files);
        }
        sealed->files = files;
        sealed->files_capacity = capacity;
    }
    char *kept = duplicate(path, err);
    if (kept == NULL) {
        return false;
    }
    memmove(sealed->files + place + 1, sealed->files + place,
            (sealed->files_count - place) * sizeof *sealed->files);
    sealed->files[place] = (struct run_file){.path = kept,
                                             .rows_count = seal->rows_count,
                                             .size_bytes = seal->size_bytes,
                                             .digest = seal->digest};
    sealed->files_count++;
    return true;
}

size_t manifest_pending_count(const struct manifest *manifest) {
    size_t count = 0;
    while (count < manifest->stages_count &&
           manifest->stages[manifest->stages_count - 1 - count].is_pending) {
        count++;
    }
    return count;
}

struct sealed_stage *manifest_find(const struct manifest *manifest, const struct stage *stage) {
    for (size_t index = 0; index < manifest->stages_count; index++) {
        if (manifest->stages[index].stage == stage) {
            return &manifest->stages[index];
        }
    }
    return NULL;
}

const struct run_file *manifest_find_file(const struct manifest *manifest, const char *path) {
    for (size_t index = 0; index < manifest->stages_count; index++) {
        const struct run_file *file = sealed_stage_find(&manifest->stages[index], path);
        if (file != NULL) {
            return file;
        }
    }
    return NULL;
}

/* --- the run id ----------------------------------------------------------------------------- */

static bool append_pins(struct buffer *content, const char *group, const struct pins *pins,
                        const char *except, struct err *err) {
    for (size_t row = 0; row < pins->rows_count; row++) {
        const struct pin *pin = &pins->rows[row];
        if (except != NULL && strcmp(pin->name, except) == 0) {
            continue;
        }
        /* The lengths keep one list of pins from reading as another. */
        if (!buffer_append_format(content, err, "%s %zu:%s=%zu:%s\n", group, strlen(pin->name),
                                  pin->name, strlen(pin->value), pin->value)) {
            return false;
        }
    }
    return true;
}

/* A replay may have other prices than its origin, so what it began with is part of what it is. */
static bool append_replay(struct buffer *content, const struct manifest *manifest,
                          struct err *err) {
    if (manifest->replay_of[0] == '\0') {
        return true;
    }
    const struct stage *from = manifest->replay_from;
    if (!buffer_append_format(content, err, "replay of %s from %s\n", manifest->replay_of,
                              from == NULL ? "" : from->name)) {
        return false;
    }
    for (size_t index = 0; index < manifest->stages_count; index++) {
        const struct sealed_stage *sealed = &manifest->stages[index];
        if (from == NULL || index >= stage_index(manifest->list, from)) {
            break;
        }
        for (size_t row = 0; row < sealed->files_count; row++) {
            char digest[DIGEST_TEXT_MAX];
            digest_format(&sealed->files[row].digest, digest);
            if (!buffer_append_format(content, err, "%s  %s\n", digest, sealed->files[row].path)) {
                return false;
            }
        }
    }
    return true;
}

bool manifest_update_id(struct manifest *manifest, struct err *err) {
    if (manifest->stages_count == 0) {
        manifest->id[0] = '\0';
        return true;
    }
    struct buffer content = {0};
    struct digest digest;
    bool is_fine = append_pins(&content, "option", &manifest->pins[PIN_OPTION], "now", err) &&
                   append_pins(&content, "input", &manifest->pins[PIN_INPUT], NULL, err) &&
                   append_replay(&content, manifest, err) &&
                   digest_of(content.bytes, content.size_bytes, &digest, err);
    buffer_release(&content);
    if (!is_fine) {
        return false;
    }
    char text[DIGEST_TEXT_MAX];
    digest_format(&digest, text);
    memcpy(manifest->id, text, RUN_ID_TEXT_MAX - 1);
    manifest->id[RUN_ID_TEXT_MAX - 1] = '\0';
    return true;
}

/* --- names of files ------------------------------------------------------------------------- */

size_t stage_index(struct stage_list list, const struct stage *stage) {
    size_t index = 0;
    while (index < list.stages_count && list.stages[index] != stage) {
        index++;
    }
    assert(index < list.stages_count);
    return index;
}

bool stage_folder_format(char folder[FILE_PATH_MAX], const struct stage *stage, struct err *err) {
    return path_format(folder, err, "%02d-%s", stage->number, stage->name);
}

bool table_path_format(char path[FILE_PATH_MAX], const struct stage *stage,
                       const struct table_schema *schema, size_t shard_index, struct err *err) {
    if (shard_index == 0) {
        return path_format(path, err, "%02d-%s/%s.arrow", stage->number, stage->name, schema->name);
    }
    return path_format(path, err, "%02d-%s/%s.%zu.arrow", stage->number, stage->name, schema->name,
                       shard_index);
}

static bool starts_with_folder(const char *path, const char *folder) {
    size_t size_bytes = strlen(folder);
    return strncmp(path, folder, size_bytes) == 0 && path[size_bytes] == '/';
}

/* No part is empty, "." or "..", and there are no control characters. */
static bool is_plain_path(const char *path) {
    size_t size_bytes = strlen(path);
    if (size_bytes == 0 || size_bytes >= RELATIVE_PATH_MAX ||
        !text_is_utf8((struct text){.bytes = path, .size_bytes = size_bytes})) {
        return false;
    }
    const char *part = path;
    for (const char *byte = path;; byte++) {
        if (*byte != '/' && *byte != '\0') {
            if ((unsigned char)*byte < 0x20 || *byte == 0x7f || *byte == '\\') {
                return false;
            }
            continue;
        }
        size_t part_bytes = (size_t)(byte - part);
        if (part_bytes == 0 || (part_bytes == 1 && part[0] == '.') ||
            (part_bytes == 2 && part[0] == '.' && part[1] == '.')) {
            return false;
        }
        if (*byte == '\0') {
            return true;
        }
        part = byte + 1;
    }
}

bool stage_owns_path(const struct stage *stage, const char *path) {
    char folder[FILE_PATH_MAX];
    struct err err = {0};
    if (!stage_folder_format(folder, stage, &err)) {
        return false;
    }
    return is_plain_path(path) &&
           (starts_with_folder(path, folder) || starts_with_folder(path, REPORTS_FOLDER));
}
