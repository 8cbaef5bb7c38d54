/*
 * The shards of a pure stage, on several threads. Each gets its own tables, arena and totals; what
 * comes out depends on the input files alone, which its metadata names by their digest.
 */
#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "core/memory.h"
#include "run_internal.h"
#include "sys/process.h"

enum { STAGE_TABLES_MAX = 32 };

struct compute {
    struct run *run;
    const struct stage *stage;
    size_t shards_count;
    struct totals **totals; /* by shard */
    atomic_size_t shards_done;
};

/* What one shard holds while it is computed. */
struct shard_state {
    struct table *inputs[STAGE_TABLES_MAX];
    struct table_writer *outputs[STAGE_TABLES_MAX]; /* NULL: another shard writes it */
    struct arena *arena;
};

static size_t table_shard(const struct compute *compute, const struct table_schema *schema,
                          size_t shard_index) {
    const struct stage_output *output;
    (void)stage_of_table(compute->run->manifest.list, schema, &output);
    return output->is_sharded ? shard_index : 0;
}

/* "HEX  NAME\n" of each input file, sorted by name: what sha256sum prints for them. */
static bool append_inputs(const struct compute *compute, size_t shard_index, struct buffer *content,
                          struct err *err) {
    const struct run *run = compute->run;
    const struct run_file *files[STAGE_TABLES_MAX];
    size_t files_count = 0;
    for (size_t index = 0; index < compute->stage->inputs_count; index++) {
        const struct table_schema *schema = compute->stage->inputs[index];
        const struct stage *origin = stage_of_table(run->manifest.list, schema, NULL);
        char path[FILE_PATH_MAX];
        if (!table_path_format(path, origin, schema, table_shard(compute, schema, shard_index),
                               err)) {
            return false;
        }
        const struct run_file *file = manifest_find_file(&run->manifest, path);
        assert(file != NULL);
        size_t place = files_count++;
        while (place > 0 &&
               strcmp(strchr(files[place - 1]->path, '/'), strchr(file->path, '/')) > 0) {
            files[place] = files[place - 1];
            place--;
        }
        files[place] = file;
    }
    for (size_t index = 0; index < files_count; index++) {
        char digest[DIGEST_TEXT_MAX];
        digest_format(&files[index]->digest, digest);
        if (!buffer_append_format(content, err, "%s  %s\n", digest,
                                  strchr(files[index]->path, '/') + 1)) {
            return false;
        }
    }
    return true;
}

static bool digest_inputs(const struct compute *compute, size_t shard_index,
                          char text[DIGEST_TEXT_MAX], struct err *err) {
    struct buffer content = {0};
    struct digest digest;
    bool is_fine = append_inputs(compute, shard_index, &content, err) &&
                   digest_of(content.bytes, content.size_bytes, &digest, err);
    buffer_release(&content);
    if (is_fine) {
        digest_format(&digest, text);
    }
    return is_fine;
}

static bool shard_open(const struct compute *compute, size_t shard_index, struct shard_state *state,
                       struct err *err) {
    const struct stage *stage = compute->stage;
    char input_sha256[DIGEST_TEXT_MAX];
    for (size_t index = 0; index < stage->inputs_count; index++) {
        const struct table_schema *schema = stage->inputs[index];
        if (!run_input_open(compute->run, schema, table_shard(compute, schema, shard_index),
                            &state->inputs[index], err)) {
            state->inputs[index] = NULL;
            return false;
        }
    }
    if (!digest_inputs(compute, shard_index, input_sha256, err)) {
        return false;
    }
    for (size_t index = 0; index < stage->outputs_count; index++) {
        const struct stage_output *output = &stage->outputs[index];
        if ((shard_index == 0 || output->is_sharded) &&
            !output_create(compute->run, output->schema, shard_index, input_sha256,
                           &state->outputs[index], err)) {
            state->outputs[index] = NULL;
            return false;
        }
    }
    state->arena = arena_create(err);
    return state->arena != NULL;
}

static bool shard_commit(const struct compute *compute, size_t shard_index,
                         struct shard_state *state, struct err *err) {
    for (size_t index = 0; index < compute->stage->outputs_count; index++) {
        struct table_writer *writer = state->outputs[index];
        state->outputs[index] = NULL; /* a commit ends the writer, whatever comes of it */
        if (writer != NULL &&
            !run_output_commit(compute->run, compute->stage->outputs[index].schema, shard_index,
                               writer, err)) {
            return false;
        }
    }
    return true;
}

static void shard_close(const struct compute *compute, struct shard_state *state) {
    for (size_t index = 0; index < compute->stage->inputs_count; index++) {
        table_close(state->inputs[index]);
    }
    for (size_t index = 0; index < compute->stage->outputs_count; index++) {
        table_writer_destroy(state->outputs[index]);
    }
    arena_destroy(state->arena);
}

static bool compute_shard(void *context, size_t shard_index, struct err *err) {
    struct compute *compute = context;
    struct shard_state state = {0};
    if (!interrupt_check(err)) {
        return false;
    }
    compute->totals[shard_index] = totals_create(err);
    bool is_fine =
        compute->totals[shard_index] != NULL && shard_open(compute, shard_index, &state, err);
    if (is_fine) {
        const struct stage_shard shard = {.shard_index = shard_index,
                                          .inputs = state.inputs,
                                          .outputs = state.outputs,
                                          .arena = state.arena,
                                          .totals = compute->totals[shard_index]};
        is_fine =
            compute->stage->compute(&shard, err) && shard_commit(compute, shard_index, &state, err);
    }
    shard_close(compute, &state);
    if (is_fine) {
        size_t shards_done = atomic_fetch_add(&compute->shards_done, 1) + 1;
        run_progress(compute->run, shards_done, compute->shards_count, "shards");
    }
    return is_fine;
}

static bool has_shards(const struct run *run, const struct stage *stage) {
    bool is_sharded = false;
    for (size_t index = 0; index < stage->inputs_count; index++) {
        const struct stage_output *output;
        (void)stage_of_table(run->manifest.list, stage->inputs[index], &output);
        is_sharded = is_sharded || output->is_sharded;
    }
    for (size_t index = 0; index < stage->outputs_count; index++) {
        is_sharded = is_sharded || stage->outputs[index].is_sharded;
    }
    return is_sharded;
}

bool compute_stage(struct run *run, const struct stage *stage, size_t jobs, struct err *err) {
    assert(stage->inputs_count <= STAGE_TABLES_MAX && stage->outputs_count <= STAGE_TABLES_MAX);
    struct compute compute = {.run = run, .stage = stage, .shards_count = 1};
    if (has_shards(run, stage)) {
        assert(run->manifest.shards_count >= 1);
        compute.shards_count = run->manifest.shards_count;
    }
    compute.totals = mem_alloc(compute.shards_count * sizeof(struct totals *));
    if (compute.totals == NULL) {
        return err_memory(err, compute.shards_count * sizeof(struct totals *));
    }
    bool is_fine = process_parallel(jobs, compute.shards_count, compute_shard, &compute, err);
    for (size_t shard_index = 0; shard_index < compute.shards_count; shard_index++) {
        struct totals *totals = compute.totals[shard_index];
        is_fine = is_fine && totals_merge(run->performance.sealed.totals, totals, err);
        totals_destroy(totals);
    }
    mem_free(compute.totals);
    return is_fine;
}
