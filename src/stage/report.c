/*
 * report: CSV files for people, from the sealed tables alone. Those with rows by org and price are
 * written in one walk that the workers share, the others one worker each; then the totals of what
 * was written are held against the tables, and SHA256SUMS is made.
 */
#include <stdio.h>

#include "core/memory.h"
#include "core/shell.h"
#include "report/reports.h"
#include "stage/session.h"
#include "stage/stages.h"
#include "sys/process.h"

/* Where each table of a shard goes in a struct report_shard. */
struct shard_table {
    const struct table_schema *schema;
    size_t offset_bytes;
};

#define SHARD_TABLE(name)                                                                          \
    { &checkpoint_##name, offsetof(struct report_shard, name) }

static const struct shard_table shard_tables[] = {
    SHARD_TABLE(orgs),      SHARD_TABLE(limits),      SHARD_TABLE(asides),
    SHARD_TABLE(usage),     SHARD_TABLE(negatives),   SHARD_TABLE(charges),
    SHARD_TABLE(estimates), SHARD_TABLE(projections), SHARD_TABLE(changes),
    SHARD_TABLE(records),   SHARD_TABLE(adjustments), SHARD_TABLE(items),
};

enum { SHARD_TABLES_COUNT = sizeof shard_tables / sizeof shard_tables[0] };

static struct table **shard_table_at(struct report_shard *shard, size_t table_index) {
    return (struct table **)(void *)((char *)shard + shard_tables[table_index].offset_bytes);
}

enum { REPORTS_MAX = 16 };

static const char sums_file[] = "SHA256SUMS";

/* What was written, for the manifest. */
struct written_reports {
    size_t reports_count;
    struct {
        char relative_path[64]; /* reports/usage.csv */
        struct table_seal seal;
    } reports[REPORTS_MAX];
};

/* Everything that reports read, and what they left. */
struct writing {
    struct run *run;
    struct arena *arena;
    struct table *plans;
    struct table *prices;
    struct table *tiers;
    struct table *invoices;
    struct terms terms;
    struct report_shard *shards;
    struct report_source source;
    bool is_last_phase;                        /* the reports that read the totals of the others */
    struct totals *totals;                     /* of all reports of the first phase */
    struct totals *report_totals[REPORTS_MAX]; /* of one report each */
    struct report_file files[REPORTS_MAX];     /* those that are due; ended, not yet committed */
    bool is_due[REPORTS_MAX];
    struct saver *sums; /* SHA256SUMS; the same */
};

static bool stage_is_done_for(struct run *run, const struct table_schema *schema) {
    const struct stage_output *output;
    return run_stage_is_done(run, stage_of_table(run_stages(run), schema, &output));
}

static bool writing_open_shard(struct writing *writing, size_t shard_index, struct err *err) {
    struct report_shard *shard = &writing->shards[shard_index];
    for (size_t index = 0; index < SHARD_TABLES_COUNT; index++) {
        const struct table_schema *schema = shard_tables[index].schema;
        if (stage_is_done_for(writing->run, schema) &&
            !run_input_open(writing->run, schema, shard_index, shard_table_at(shard, index), err)) {
            return false;
        }
    }
    return true;
}

/* The control totals of all finished stages, as the manifest has them, and the reports' own. */
static bool writing_gather_totals(struct writing *writing, struct err *err) {
    struct stage_list list = run_stages(writing->run);
    size_t own_count;
    const struct totals_row *own_rows = totals_rows(writing->totals, &own_count);
    size_t count = own_count;
    for (size_t index = 0; index < list.stages_count; index++) {
        size_t rows_count;
        (void)run_stage_totals(writing->run, list.stages[index], &rows_count);
        count += rows_count;
    }
    struct report_total *totals = arena_alloc_array(writing->arena, count + 1, sizeof *totals, err);
    if (totals == NULL) {
        return false;
    }
    size_t filled = 0;
    for (size_t index = 0; index < list.stages_count; index++) {
        size_t rows_count;
        const struct totals_row *rows =
            run_stage_totals(writing->run, list.stages[index], &rows_count);
        if (list.stages[index] == &stage_report) {
            rows = own_rows;
            rows_count = own_count;
        }
        for (size_t row = 0; row < rows_count; row++) {
            totals[filled++] = (struct report_total){.stage = list.stages[index]->name,
                                                     .name = rows[row].name,
                                                     .unit = rows[row].unit,
                                                     .left = rows[row].left,
                                                     .right = rows[row].right};
        }
    }
    writing->source.totals = totals;
    writing->source.totals_count = filled;
    return true;
}

/* What a database has recorded is revised by any run of the period that finds it changed. */
static bool writing_has_adjusted(const struct run *run) {
    size_t files_count;
    uint64_t rows_count = 0;
    const struct run_file *files = run_stage_files(run, &stage_record, &files_count);
    for (size_t index = 0; index < files_count; index++) {
        rows_count +=
            strstr(files[index].path, "adjustments") != NULL ? files[index].rows_count : 0;
    }
    return rows_count > 0;
}

static bool writing_open(struct writing *writing, struct err *err) {
    struct run *run = writing->run;
    if (!run_stage_is_done(run, &stage_extract)) {
        (void)err_set(err, ERR_MISMATCH, "%s: nothing to report yet: stage '%s' is not done",
                      run_path(run), stage_extract.name);
        return err_hint(err, "periodclose status %s",
                        shell_word(run_path(run), &(struct shell_word){0}));
    }
    size_t shards_count = run_shards_count(run);
    writing->arena = arena_create(err);
    if (writing->arena == NULL) {
        return false;
    }
    writing->shards = arena_alloc_array(writing->arena, shards_count, sizeof *writing->shards, err);
    if (writing->shards == NULL ||
        !run_input_open(run, &checkpoint_plans, 0, &writing->plans, err) ||
        !run_input_open(run, &checkpoint_prices, 0, &writing->prices, err) ||
        !run_input_open(run, &checkpoint_tiers, 0, &writing->tiers, err) ||
        !terms_load(&writing->terms, writing->plans, writing->prices, writing->tiers,
                    writing->arena, err)) {
        return false;
    }
    const char *emission = run_pinned(run, PIN_OPTION, "emit");
    writing->source = (struct report_source){
        .shards = writing->shards,
        .shards_count = shards_count,
        .terms = &writing->terms,
        .is_emitting = emission != NULL && strcmp(emission, "none") != 0,
        .is_revision = run_pinned(run, PIN_INPUT, "previous") != NULL || writing_has_adjusted(run),
    };
    for (size_t index = 0; index < shards_count; index++) {
        if (!writing_open_shard(writing, index, err)) {
            return false;
        }
    }
    if (stage_is_done_for(run, &checkpoint_invoices) &&
        !run_input_open(run, &checkpoint_invoices, 0, &writing->invoices, err)) {
        return false;
    }
    writing->source.invoices = writing->invoices;
    writing->totals = totals_create(err);
    return writing->totals != NULL && writing_gather_totals(writing, err);
}

static void writing_close(struct writing *writing) {
    for (size_t shard = 0; writing->shards != NULL && shard < writing->source.shards_count;
         shard++) {
        for (size_t index = 0; index < SHARD_TABLES_COUNT; index++) {
            table_close(*shard_table_at(&writing->shards[shard], index));
        }
    }
    for (size_t index = 0; index < REPORTS_MAX; index++) {
        report_file_abort(&writing->files[index]);
        totals_destroy(writing->report_totals[index]);
    }
    saver_destroy(writing->sums);
    totals_destroy(writing->totals);
    table_close(writing->plans);
    table_close(writing->prices);
    table_close(writing->tiers);
    table_close(writing->invoices);
    arena_destroy(writing->arena);
}

static bool writing_path(const struct writing *writing, const char *file_name,
                         char path[FILE_PATH_MAX], struct err *err) {
    return path_format(path, err, "%s/reports/%s", run_path(writing->run), file_name);
}

static bool writing_write_one(void *context, size_t report_index, struct err *err) {
    struct writing *writing = context;
    const struct report *report = report_table[report_index];
    char path[FILE_PATH_MAX];
    if (report->is_last != writing->is_last_phase || !report->is_due(&writing->source)) {
        return true;
    }
    writing->is_due[report_index] = true;
    struct report_file *file = &writing->files[report_index];
    if (!writing_path(writing, report->file_name, path, err) ||
        !report_file_open(file, run_sys(writing->run), path, report->columns, report->columns_count,
                          err)) {
        return false;
    }
    return report->write == NULL ||
           (report->write(&writing->source, file, writing->report_totals[report_index], err) &&
            report_file_end(file, err));
}

/* The rows of those that are open by now and written in one walk. */
static bool writing_walk(struct writing *writing, size_t jobs, struct err *err) {
    struct report_output outputs[REPORTS_MAX];
    size_t outputs_count = 0;
    for (size_t index = 0; index < report_table_count; index++) {
        if (writing->is_due[index] && report_table[index]->rows != NULL) {
            outputs[outputs_count++] = (struct report_output){.report = report_table[index],
                                                              .file = &writing->files[index]};
        }
    }
    if (!report_walk_write(&writing->source, outputs, outputs_count, jobs, writing->totals, err)) {
        return false;
    }
    for (size_t index = 0; index < outputs_count; index++) {
        if (!report_file_end(outputs[index].file, err)) {
            return false;
        }
    }
    return true;
}

static void writing_list(struct written_reports *written, const char *file_name,
                         const struct report_seal *seal) {
    size_t row = written->reports_count++;
    (void)snprintf(written->reports[row].relative_path, sizeof written->reports[row].relative_path,
                   "reports/%s", file_name);
    written->reports[row].seal = (struct table_seal){
        .rows_count = seal->rows_count, .size_bytes = seal->size_bytes, .digest = seal->digest};
}

/* SHA256SUMS, from the digests of all: it becomes durable beside the others. */
static bool writing_sums(struct writing *writing, struct written_reports *written,
                         struct err *err) {
    char path[FILE_PATH_MAX];
    struct buffer sums = {0};
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < report_table_count; index++) {
        struct report_seal seal;
        char text[DIGEST_TEXT_MAX];
        if (!writing->is_due[index]) {
            continue;
        }
        is_fine = report_file_seal(&writing->files[index], &seal, err);
        if (is_fine) {
            const char *file_name = report_table[index]->file_name;
            digest_format(&seal.digest, text);
            is_fine = buffer_append_format(&sums, err, "%s  %s\n", text, file_name);
            writing_list(written, file_name, &seal);
        }
    }
    is_fine = is_fine && writing_path(writing, sums_file, path, err) &&
              saver_create(run_sys(writing->run), path, &writing->sums, err);
    if (is_fine) {
        struct report_seal seal = {.rows_count = written->reports_count};
        is_fine = saver_give(writing->sums, &sums, err);
        saver_end(writing->sums);
        seal.size_bytes = saver_size_bytes(writing->sums);
        is_fine = is_fine && saver_digest(writing->sums, &seal.digest, err);
        writing_list(written, sums_file, &seal);
    }
    buffer_release(&sums);
    return is_fine;
}

static bool writing_leave(struct writing *writing, struct err *err) {
    for (size_t index = 0; index < report_table_count; index++) {
        if (writing->is_due[index] && !report_file_leave(&writing->files[index], err)) {
            return false;
        }
    }
    struct saver *sums = writing->sums;
    writing->sums = NULL;
    return saver_leave(sums, err);
}

/* All are durable before any gets its name; SHA256SUMS is named last. */
static bool writing_commit(struct writing *writing, const struct written_reports *written,
                           struct err *err) {
    const struct sys *sys = run_sys(writing->run);
    char path[FILE_PATH_MAX];
    if (!writing_leave(writing, err)) {
        return false;
    }
    for (size_t row = 0; row < written->reports_count; row++) {
        if (!path_format(path, err, "%s/%s", run_path(writing->run),
                         written->reports[row].relative_path) ||
            !file_replace_adopt(sys, path, err)) {
            return false;
        }
    }
    return directory_sync_parent(sys, path, err);
}

static bool writing_make_totals(struct writing *writing, struct err *err) {
    for (size_t index = 0; index < report_table_count; index++) {
        writing->report_totals[index] = totals_create(err);
        if (writing->report_totals[index] == NULL) {
            return false;
        }
    }
    return true;
}

static bool writing_write_all(struct writing *writing, struct err *err) {
    size_t jobs = run_current_options(writing->run)->jobs;
    if (!process_parallel(jobs, report_table_count, writing_write_one, writing, err) ||
        !writing_walk(writing, jobs, err)) {
        return false;
    }
    for (size_t index = 0; index < report_table_count; index++) {
        if (!totals_merge(writing->totals, writing->report_totals[index], err)) {
            return false;
        }
    }
    writing->is_last_phase = true;
    return writing_gather_totals(writing, err) &&
           process_parallel(jobs, report_table_count, writing_write_one, writing, err);
}

static bool reports_write(struct run *run, struct written_reports *written, struct err *err) {
    struct writing writing = {.run = run};
    char folder[FILE_PATH_MAX];
    *written = (struct written_reports){0};
    bool is_fine = path_format(folder, err, "%s/reports", run_path(run)) &&
                   writing_open(&writing, err) && writing_make_totals(&writing, err) &&
                   directory_create(run_sys(run), folder, err) &&
                   writing_write_all(&writing, err) && writing_sums(&writing, written, err) &&
                   totals_merge(run_totals(run), writing.totals, err);
    if (is_fine) {
        run_tell_computed(run);
        is_fine = writing_commit(&writing, written, err);
    }
    writing_close(&writing);
    return is_fine;
}

static bool report_perform(struct run *run, const struct stage *stage,
                           struct stage_session *session, struct err *err) {
    (void)stage;
    (void)session;
    struct written_reports written;
    if (!reports_write(run, &written, err)) {
        return false;
    }
    for (size_t index = 0; index < written.reports_count; index++) {
        if (!run_output_sealed_file(run, written.reports[index].relative_path,
                                    &written.reports[index].seal, err)) {
            return false;
        }
    }
    return true;
}

static const struct table_schema *const report_inputs[] = {
    &checkpoint_orgs,    &checkpoint_plans,       &checkpoint_prices,      &checkpoint_tiers,
    &checkpoint_limits,  &checkpoint_asides,      &checkpoint_usage,       &checkpoint_negatives,
    &checkpoint_charges, &checkpoint_records,     &checkpoint_projections, &checkpoint_estimates,
    &checkpoint_changes, &checkpoint_adjustments, &checkpoint_items,       &checkpoint_invoices,
};

const struct stage stage_report = {
    .name = "report",
    .number = 70,
    .version = 1,
    .effect = EFFECT_REPORTS,
    .summary = "write the CSV reports",
    .inputs = report_inputs,
    .inputs_count = sizeof report_inputs / sizeof report_inputs[0],
    .perform = report_perform,
};
