/*
 * A pipeline small enough to be tried at every step: five stages, two shards, a handful of rows.
 *
 *   10-gather   source   amounts (2 shards), rates; pins an input, counts a total
 *   20-multiply pure     amounts, rates → products (2 shards)
 *   30-add      pure     products, rates → sums (2 shards), marks (1)
 *   40-send     sends    sums → outcomes (1); outside: counts what was sent
 *   50-tell     reports  outcomes → reports/total.csv
 */
#ifndef PERIODCLOSE_TESTS_RUN_SMALL_PIPELINE_H
#define PERIODCLOSE_TESTS_RUN_SMALL_PIPELINE_H

#include <assert.h>
#include <stdio.h>

#include "run/run.h"
#include "sys/process.h"

enum { SMALL_SHARDS = 2, SMALL_SHARD_ROWS = 7 };

static const struct table_column small_columns[] = {
    {.name = "key", .type = TABLE_UTF8},
    {.name = "amount", .type = TABLE_DECIMAL},
};

#define SMALL_TABLE(table)                                                                         \
    static const struct table_schema small_##table = {                                             \
        .name = #table, .columns = small_columns, .columns_count = 2, .key_columns_count = 1}

SMALL_TABLE(amounts);
SMALL_TABLE(rates);
SMALL_TABLE(products);
SMALL_TABLE(sums);
SMALL_TABLE(marks);
SMALL_TABLE(outcomes);

struct stage_session {
    int sent_count;            /* what the world outside has seen */
    int multiplier;            /* what the source says */
    const char *failing_stage; /* the perform of this stage fails after its work */
    const char *unequal_stage; /* … or counts something that does not agree */
    const char *source_digest;
};

static inline struct decimal small_decimal(int64_t whole) {
    struct decimal result;
    (void)decimal_from_int64(whole, &result);
    return result;
}

static inline bool small_put(struct table_writer *writer, const char *key, struct decimal amount,
                             struct err *err) {
    table_put_text(writer, 0, text_from(key));
    table_put_decimal(writer, 1, amount);
    return table_end_row(writer, err);
}

/* Commits or destroys. */
static inline bool small_end(struct run *run, const struct table_schema *schema, size_t shard_index,
                             struct table_writer *writer, bool is_fine, struct err *err) {
    if (!is_fine) {
        table_writer_destroy(writer);
        return false;
    }
    return run_output_commit(run, schema, shard_index, writer, err);
}

static inline bool small_end_stage(struct run *run, const struct stage *stage,
                                   const struct stage_session *session, struct err *err) {
    if (session->unequal_stage != NULL && strcmp(session->unequal_stage, stage->name) == 0 &&
        !totals_add_left(run_totals(run), "in = out", text_from("pieces"), small_decimal(3), err)) {
        return false;
    }
    if (session->failing_stage != NULL && strcmp(session->failing_stage, stage->name) == 0) {
        return err_set(err, ERR_DATABASE, "the test said so");
    }
    return true;
}

static inline bool small_gather(struct run *run, const struct stage *stage,
                                struct stage_session *session, struct err *err) {
    char path[FILE_PATH_MAX];
    struct table_writer *writer;
    if (!path_format(path, err, "%s/spill", run_scratch_path(run)) ||
        !file_replace(run_sys(run), path, text_from("spilled"), err) ||
        !run_pin(run, PIN_INPUT, "amounts.csv", session->source_digest, true, err)) {
        return false;
    }
    run_set_shards_count(run, SMALL_SHARDS);
    for (size_t shard_index = 0; shard_index < SMALL_SHARDS; shard_index++) {
        if (!run_output_create(run, &small_amounts, shard_index, &writer, err)) {
            return false;
        }
        bool is_fine = true;
        for (int row = 0; is_fine && row < SMALL_SHARD_ROWS; row++) {
            char key[32];
            (void)snprintf(key, sizeof key, "key-%zu-%d", shard_index, row);
            is_fine = small_put(writer, key, small_decimal(11 + row + 100 * (int)shard_index), err);
        }
        if (!small_end(run, &small_amounts, shard_index, writer, is_fine, err)) {
            return false;
        }
        run_progress(run, shard_index + 1, SMALL_SHARDS, "shards");
    }
    if (!run_output_create(run, &small_rates, 0, &writer, err)) {
        return false;
    }
    bool is_fine = small_put(writer, "rate", small_decimal(session->multiplier), err);
    return small_end(run, &small_rates, 0, writer, is_fine, err) &&
           totals_add_left(run_totals(run), "read = kept", text_from("rows"), small_decimal(14),
                           err) &&
           totals_add_right(run_totals(run), "read = kept", text_from("rows"), small_decimal(14),
                            err) &&
           small_end_stage(run, stage, session, err);
}

static inline struct decimal small_rate(const struct table *rates) {
    struct table_cursor cursor = table_cursor_start(rates);
    bool has_row = table_cursor_next(&cursor);
    assert(has_row);
    (void)has_row;
    return table_get_decimal(&cursor, 1);
}

static inline bool small_multiply(const struct stage_shard *shard, struct err *err) {
    struct decimal rate = small_rate(shard->inputs[1]);
    struct table_cursor cursor = table_cursor_start(shard->inputs[0]);
    while (table_cursor_next(&cursor)) {
        struct exact product = EXACT_ZERO;
        struct decimal amount;
        if (!exact_add_product(&product, table_get_decimal(&cursor, 1), rate) ||
            !exact_round_to_decimal(product, &amount)) {
            return err_set(err, ERR_RANGE, "a product does not fit");
        }
        /* Through the arena, so that its memory is asked for. */
        struct decimal *kept = arena_alloc(shard->arena, sizeof *kept, err);
        if (kept == NULL) {
            return false;
        }
        *kept = amount;
        table_put_text(shard->outputs[0], 0, table_get_text(&cursor, 0));
        table_put_decimal(shard->outputs[0], 1, *kept);
        if (!table_end_row(shard->outputs[0], err) ||
            !totals_add_left(shard->totals, "products = products", text_from("usd"), amount, err) ||
            !totals_add_right(shard->totals, "products = products", text_from("usd"), amount,
                              err)) {
            return false;
        }
    }
    return true;
}

static inline bool small_add(const struct stage_shard *shard, struct err *err) {
    struct decimal sum = DECIMAL_ZERO;
    struct table_cursor cursor = table_cursor_start(shard->inputs[1]);
    while (table_cursor_next(&cursor)) {
        if (!decimal_add(sum, table_get_decimal(&cursor, 1), &sum)) {
            return err_set(err, ERR_RANGE, "a sum does not fit");
        }
    }
    assert((shard->outputs[1] != NULL) == (shard->shard_index == 0));
    return small_put(shard->outputs[0], "sum", sum, err) &&
           (shard->outputs[1] == NULL ||
            small_put(shard->outputs[1], "mark", small_rate(shard->inputs[0]), err));
}

static inline bool small_send(struct run *run, const struct stage *stage,
                              struct stage_session *session, struct err *err) {
    struct table_writer *writer;
    if (!run_output_create(run, &small_outcomes, 0, &writer, err)) {
        return false;
    }
    bool is_fine = true;
    for (size_t shard_index = 0; is_fine && shard_index < run_shards_count(run); shard_index++) {
        struct table *sums;
        if (!run_input_open(run, &small_sums, shard_index, &sums, err)) {
            table_writer_destroy(writer);
            return false;
        }
        char key[32];
        (void)snprintf(key, sizeof key, "sum-%zu", shard_index);
        is_fine = small_put(writer, key, small_rate(sums), err);
        table_close(sums);
        if (!run_is_dry(run) && !run_is_replay(run)) {
            session->sent_count++;
        }
    }
    return small_end(run, &small_outcomes, 0, writer, is_fine, err) &&
           small_end_stage(run, stage, session, err);
}

static inline bool small_tell(struct run *run, const struct stage *stage,
                              struct stage_session *session, struct err *err) {
    char path[FILE_PATH_MAX];
    char content[256] = "amount\n";
    if (run_stage_is_done(run, stage_find(run_stages(run), "send"))) {
        struct table *outcomes;
        if (!run_input_open(run, &small_outcomes, 0, &outcomes, err)) {
            return false;
        }
        struct table_cursor cursor = table_cursor_start(outcomes);
        while (table_cursor_next(&cursor)) {
            char amount[DECIMAL_TEXT_MAX];
            (void)decimal_format(table_get_decimal(&cursor, 1), amount);
            size_t used = strlen(content);
            (void)snprintf(content + used, sizeof content - used, "%s\n", amount);
        }
        table_close(outcomes);
    }
    return path_format(path, err, "%s/reports/total.csv", run_path(run)) &&
           file_replace(run_sys(run), path, text_from(content), err) &&
           run_output_file(run, "reports/total.csv", SMALL_SHARDS, err) &&
           small_end_stage(run, stage, session, err);
}

static const struct stage small_gather_stage = {
    .name = "gather",
    .number = 10,
    .version = 1,
    .effect = EFFECT_SOURCE,
    .outputs = (const struct stage_output[]){{&small_amounts, true}, {&small_rates, false}},
    .outputs_count = 2,
    .perform = small_gather,
};
static const struct stage small_multiply_stage = {
    .name = "multiply",
    .number = 20,
    .version = 3,
    .effect = EFFECT_NONE,
    .inputs = (const struct table_schema *const[]){&small_amounts, &small_rates},
    .inputs_count = 2,
    .outputs = (const struct stage_output[]){{&small_products, true}},
    .outputs_count = 1,
    .compute = small_multiply,
};
static const struct stage small_add_stage = {
    .name = "add",
    .number = 30,
    .version = 1,
    .effect = EFFECT_NONE,
    .inputs = (const struct table_schema *const[]){&small_rates, &small_products},
    .inputs_count = 2,
    .outputs = (const struct stage_output[]){{&small_sums, true}, {&small_marks, false}},
    .outputs_count = 2,
    .compute = small_add,
};
static const struct stage small_send_stage = {
    .name = "send",
    .number = 40,
    .version = 1,
    .effect = EFFECT_SENDS,
    .inputs = (const struct table_schema *const[]){&small_sums},
    .inputs_count = 1,
    .outputs = (const struct stage_output[]){{&small_outcomes, false}},
    .outputs_count = 1,
    .perform = small_send,
};
static const struct stage small_tell_stage = {
    .name = "tell",
    .number = 50,
    .version = 1,
    .effect = EFFECT_REPORTS,
    .inputs = (const struct table_schema *const[]){&small_outcomes},
    .inputs_count = 1,
    .perform = small_tell,
};

static const struct stage *const small_stages[] = {&small_gather_stage, &small_multiply_stage,
                                                   &small_add_stage, &small_send_stage,
                                                   &small_tell_stage};
enum { SMALL_STAGES_COUNT = 5 };
static const struct stage_list small_list = {.stages = small_stages,
                                             .stages_count = SMALL_STAGES_COUNT};

#define SMALL_SESSION ((struct stage_session){.multiplier = 7, .source_digest = "0a1b"})

/* What the command `run` does. *run is left open if it is not NULL. */
static inline bool small_run(const struct sys *sys, const char *path,
                             const struct run_options *options, struct stage_session *session,
                             struct err *err) {
    struct run *run;
    if (!run_open_jobs(sys, path, small_list, RUN_CREATE, options->jobs, &run, err)) {
        return false;
    }
    bool is_fine = run_pin(run, PIN_OPTION, "period", "2026-09", true, err) &&
                   run_pin(run, PIN_OPTION, "now", "2026-10-01T00:00:00Z", false, err) &&
                   run_pin(run, PIN_VERSION, "program", "0.1.0", true, err) &&
                   (!run_is_new(run) || run_save(run, err)) &&
                   run_execute(run, options, session, err);
    run_close(run);
    return is_fine;
}

/* "SHA256 rows path" of every file of every stage, and the run id: equal runs have equal texts. */
static inline bool small_describe(const char *path, struct buffer *text, struct err *err) {
    struct run *run;
    buffer_clear(text);
    if (!run_open(sys_real(), path, small_list, RUN_INSPECT, &run, err)) {
        return false;
    }
    bool is_fine =
        buffer_append_format(text, err, "run %s\n", run_id(run) == NULL ? "-" : run_id(run));
    for (size_t index = 0; is_fine && index < SMALL_STAGES_COUNT; index++) {
        size_t files_count;
        const struct run_file *files = run_stage_files(run, small_stages[index], &files_count);
        for (size_t row = 0; is_fine && row < files_count; row++) {
            char digest[DIGEST_TEXT_MAX];
            digest_format(&files[row].digest, digest);
            is_fine =
                buffer_append_format(text, err, "%s %llu %s\n", digest,
                                     (unsigned long long)files[row].rows_count, files[row].path);
        }
        size_t rows_count;
        const struct totals_row *rows = run_stage_totals(run, small_stages[index], &rows_count);
        for (size_t row = 0; is_fine && row < rows_count; row++) {
            char left[DECIMAL_TEXT_MAX];
            (void)decimal_format(rows[row].left, left);
            is_fine =
                buffer_append_format(text, err, "%s %s %s\n", rows[row].name, rows[row].unit, left);
        }
    }
    run_close(run);
    return is_fine;
}

#endif
