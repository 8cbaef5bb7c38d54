/*
 * Any bytes as a manifest: refused, or what is written again is the same. Hardly any bytes carry
 * the right seal, so they are also read without looking at it; what is taken then is written, and
 * must be read as a sealed manifest.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../../src/run/run_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes);

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static const struct table_column columns[] = {{.name = "key", .type = TABLE_UTF8}};
static const struct table_schema amounts = {
    .name = "amounts", .columns = columns, .columns_count = 1, .key_columns_count = 1};
static const struct table_schema sums = {
    .name = "sums", .columns = columns, .columns_count = 1, .key_columns_count = 1};

static const struct stage gather = {
    .name = "gather",
    .number = 10,
    .version = 1,
    .effect = EFFECT_SOURCE,
    .outputs = (const struct stage_output[]){{&amounts, true}},
    .outputs_count = 1,
};
static const struct stage add = {
    .name = "add",
    .number = 30,
    .version = 1,
    .effect = EFFECT_NONE,
    .outputs = (const struct stage_output[]){{&sums, true}},
    .outputs_count = 1,
};
static const struct stage *const stages[] = {&gather, &add};
static const struct stage_list list = {.stages = stages, .stages_count = 2};

static void check_written(const struct manifest *manifest, struct buffer *written) {
    struct err err = {0};
    struct manifest again;
    require(manifest_format(manifest, written, &err));
    require(manifest_parse(&again, list, buffer_text(written), "written", &err));
    for (size_t index = 0; index < again.stages_count; index++) {
        const struct sealed_stage *sealed = &again.stages[index];
        for (size_t row = 0; row < sealed->files_count; row++) {
            const char *path = sealed->files[row].path;
            require(path[0] != '/' && strstr(path, "/../") == NULL && strstr(path, "//") == NULL);
        }
    }
    manifest_release(&again);
}

static void check_refusal(struct err *err) {
    require(err->code == ERR_DAMAGED || err->code == ERR_MISMATCH);
    require(err->message[0] != '\0');
    err_release(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes) {
    struct text text = {.bytes = (const char *)bytes, .size_bytes = size_bytes};
    struct err err = {0};
    struct manifest manifest;
    struct buffer written = {0};
    if (manifest_parse(&manifest, list, text, "fuzzed", &err)) {
        check_written(&manifest, &written);
        require(text_equals(buffer_text(&written), text));
        manifest_release(&manifest);
    } else {
        check_refusal(&err);
    }
    if (manifest_parse_content(&manifest, list, text, "fuzzed", &err)) {
        check_written(&manifest, &written);
        manifest_release(&manifest);
    } else {
        check_refusal(&err);
    }
    buffer_release(&written);
    return 0;
}
