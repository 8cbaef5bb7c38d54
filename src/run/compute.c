/*
 * A shard of a stage that only computes. It gets its own tables, arena and totals; what comes out
 * depends on the input files alone, which the metadata of a pure stage's tables names by their
 * digest.
 */
#include <assert.h>
#include <string.h>

#include "run_internal.h"

enum { STAGE_TABLES_MAX = 32 };

/* What one shard holds while it is computed. */
struct shard {
    struct run *run;
    const struct stage *stage;
    size_t shard_index;
    struct table *inputs[STAGE_TABLES_MAX];
    struct table_writer *outputs[STAGE_TABLES_MAX]; /* NULL: another shard writes it */
    struct arena *arena;
};

static size_t table_shard(const struct shard *shard, const struct table_schema *schema) {
    const struct stage_output *output;
    (void)stage_of_table(shard->run->manifest.list, schema, &output);
    return output->is_sharded ? shard->shard_index : 0;
}

/* Without its folder. */
static const char *file_name(const struct run_file *file) {
    return strchr(file->path, '/') + 1;
}

/* "HEX  NAME\n" of each input file, sorted by name: what sha256sum prints for them. */
static bool append_inputs(const struct shard *shard, struct buffer *content, struct err *err) {
    struct run_file files[STAGE_TABLES_MAX];
    size_t files_count = 0;
    for (size_t index = 0; index < shard->stage->inputs_count; index++) {
        const struct table_schema *schema = shard->stage->inputs[index];
        const struct stage *origin = stage_of_table(shard->run->manifest.list, schema, NULL);
        char path[FILE_PATH_MAX];
        if (!table_path_format(path, origin, schema, table_shard(shard, schema), err)) {
            return false;
        }
        struct run_file file = output_file(shard->run, origin, path);
        size_t place = files_count++;
        while (place > 0 && strcmp(file_name(&files[place - 1]), file_name(&file)) > 0) {
            files[place] = files[place - 1];
            place--;
        }
        files[place] = file;
    }
    for (size_t index = 0; index < files_count; index++) {
        char digest[DIGEST_TEXT_MAX];
        digest_format(&files[index].digest, digest);
        if (!buffer_append_format(content, err, "%s  %s\n", digest, file_name(&files[index]))) {
            return false;
        }
    }
    return true;
}

static bool digest_inputs(const struct shard *shard, char text[DIGEST_TEXT_MAX], struct err *err) {
    struct buffer content = {0};
    struct digest digest;
    bool is_fine = append_inputs(shard, &content, err) &&
                   digest_of(content.bytes, content.size_bytes, &digest, err);
    buffer_release(&content);
    if (is_fine) {
        digest_format(&digest, text);
    }
    return is_fine;
}

static bool shard_open_inputs(struct shard *shard, struct err *err) {
    for (size_t index = 0; index < shard->stage->inputs_count; index++) {
        const struct table_schema *schema = shard->stage->inputs[index];
        if (!run_input_open(shard->run, schema, table_shard(shard, schema), &shard->inputs[index],
                            err)) {
            shard->inputs[index] = NULL;
            return false;
        }
    }
    return true;
}

static bool shard_open(struct shard *shard, struct err *err) {
    const struct stage *stage = shard->stage;
    bool is_pure = stage->effect == EFFECT_NONE;
    char input_sha256[DIGEST_TEXT_MAX];
    if (!shard_open_inputs(shard, err) || (is_pure && !digest_inputs(shard, input_sha256, err))) {
        return false;
    }
    for (size_t index = 0; index < stage->outputs_count; index++) {
        const struct stage_output *output = &stage->outputs[index];
        if ((shard->shard_index == 0 || output->is_sharded) &&
            !output_create(shard->run, output->schema, shard->shard_index,
                           is_pure ? input_sha256 : NULL, &shard->outputs[index], err)) {
            shard->outputs[index] = NULL;
            return false;
        }
    }
    shard->arena = arena_create(err);
    return shard->arena != NULL;
}

static bool shard_commit(struct shard *shard, struct err *err) {
    for (size_t index = 0; index < shard->stage->outputs_count; index++) {
        struct table_writer *writer = shard->outputs[index];
        shard->outputs[index] = NULL; /* a commit ends the writer, whatever comes of it */
        if (writer != NULL && !run_output_commit(shard->run, shard->stage->outputs[index].schema,
                                                 shard->shard_index, writer, err)) {
            return false;
        }
    }
    return true;
}

static void shard_close(struct shard *shard) {
    for (size_t index = 0; index < shard->stage->inputs_count; index++) {
        table_close(shard->inputs[index]);
    }
    for (size_t index = 0; index < shard->stage->outputs_count; index++) {
        table_writer_destroy(shard->outputs[index]);
    }
    arena_destroy(shard->arena);
}

bool compute_shard(struct run *run, const struct stage *stage, size_t shard_index,
                   struct totals *totals, struct err *err) {
    assert(stage->inputs_count <= STAGE_TABLES_MAX && stage->outputs_count <= STAGE_TABLES_MAX);
    struct shard shard = {.run = run, .stage = stage, .shard_index = shard_index};
    bool is_fine = shard_open(&shard, err);
    if (is_fine) {
        const struct stage_shard seen = {.shard_index = shard_index,
                                         .inputs = shard.inputs,
                                         .outputs = shard.outputs,
                                         .arena = shard.arena,
                                         .totals = totals};
        is_fine = stage->compute(&seen, err) && shard_commit(&shard, err);
    }
    shard_close(&shard);
    return is_fine;
}

size_t compute_shards_count(const struct run *run, const struct stage *stage) {
    bool is_sharded = false;
    for (size_t index = 0; index < stage->inputs_count; index++) {
        const struct stage_output *output;
        (void)stage_of_table(run->manifest.list, stage->inputs[index], &output);
        is_sharded = is_sharded || output->is_sharded;
    }
    for (size_t index = 0; index < stage->outputs_count; index++) {
        is_sharded = is_sharded || stage->outputs[index].is_sharded;
    }
    assert(!is_sharded || run->manifest.shards_count >= 1);
    return is_sharded ? run->manifest.shards_count : 1;
}
