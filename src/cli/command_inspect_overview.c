/* inspect RUN and inspect RUN/STAGE: the manifest and the declarations of the tables. */
#include <stdio.h>

#include "inspect.h"

/* --- a run --------------------------------------------------------------------------------------
 */

static bool print_pins(const struct inspection *inspection, enum pin_group group,
                       const char *heading, struct err *err) {
    struct console *console = &inspection->cli->console;
    size_t count = run_pins_count(inspection->run, group);
    for (size_t index = 0; index < count; index++) {
        const char *name = run_pin_name(inspection->run, group, index);
        const char *value = run_pinned(inspection->run, group, name);
        struct buffer line = {0};
        bool is_fine =
            buffer_append_format(&line, err, "%-10s%-24s ", index == 0 ? heading : "", name) &&
            print_escape(&line, text_from(value[0] != '\0' ? value : "-"), err) &&
            buffer_append(&line, text_from("\n"), err) &&
            console_out_text(console, buffer_text(&line), err);
        buffer_release(&line);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

static bool print_head(const struct inspection *inspection, struct err *err) {
    struct console *console = &inspection->cli->console;
    const char *id = run_id(inspection->run);
    return console_out(console, err, "run       %s\nid        %s\n", run_path(inspection->run),
                       id != NULL ? id : "- (nothing is sealed yet)") &&
           (!run_is_replay(inspection->run) ||
            console_out(console, err, "replay of %s\n", run_replay_origin(inspection->run))) &&
           print_pins(inspection, PIN_OPTION, "options", err) &&
           print_pins(inspection, PIN_INPUT, "inputs", err) &&
           print_pins(inspection, PIN_VERSION, "versions", err);
}

static bool print_files(const struct inspection *inspection, const struct stage *stage,
                        struct err *err) {
    struct console *console = &inspection->cli->console;
    size_t files_count;
    const struct run_file *files = run_stage_files(inspection->run, stage, &files_count);
    for (size_t index = 0; index < files_count; index++) {
        char rows[PRINT_NUMBER_MAX];
        char bytes[PRINT_NUMBER_MAX];
        char digest[DIGEST_TEXT_MAX];
        (void)print_count(files[index].rows_count, rows);
        (void)print_count(files[index].size_bytes, bytes);
        digest_format(&files[index].digest, digest);
        if (!console_out(console, err, "  %-32s %13s %15s  %s\n", files[index].path, rows, bytes,
                         digest)) {
            return false;
        }
    }
    return true;
}

static bool print_totals(const struct inspection *inspection, const struct stage *stage,
                         struct err *err) {
    struct console *console = &inspection->cli->console;
    size_t rows_count;
    const struct totals_row *rows = run_stage_totals(inspection->run, stage, &rows_count);
    for (size_t index = 0; index < rows_count; index++) {
        char left[PRINT_NUMBER_MAX];
        char right[PRINT_NUMBER_MAX];
        struct buffer line = {0};
        bool agrees = decimal_compare(rows[index].left, rows[index].right) == 0;
        (void)print_decimal(rows[index].left, left);
        (void)print_decimal(rows[index].right, right);
        bool is_fine =
            buffer_append_format(&line, err, "  %-42s ", rows[index].name) &&
            print_pad(&line, text_from(rows[index].unit), 20, err) &&
            buffer_append_format(&line, err, " %s %s %s\n", left, agrees ? "=" : "is not", right) &&
            console_out_text(console, buffer_text(&line), err);
        buffer_release(&line);
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

static bool print_stage(const struct inspection *inspection, const struct stage *stage,
                        struct err *err) {
    struct console *console = &inspection->cli->console;
    if (!run_stage_is_done(inspection->run, stage)) {
        return console_out(console, err, "\n%d-%s: not done yet\n", stage->number, stage->name);
    }
    size_t files_count;
    size_t rows_count;
    (void)run_stage_files(inspection->run, stage, &files_count);
    (void)run_stage_totals(inspection->run, stage, &rows_count);
    return console_out(console, err, "\n%d-%s: %s\n", stage->number, stage->name, stage->summary) &&
           (files_count == 0 || console_out(console, err, "  %-32s %13s %15s  %s\n", "file", "rows",
                                            "bytes", "sha256")) &&
           print_files(inspection, stage, err) &&
           (rows_count == 0 || console_out(console, err, "  %-42s %-20s %s\n", "control total",
                                           "unit", "left and right")) &&
           print_totals(inspection, stage, err);
}

/* --- the same for programs ----------------------------------------------------------------------
 */

static bool print_file_record(const struct inspection *inspection, const struct stage *stage,
                              const struct run_file *file, struct err *err) {
    struct console *console = &inspection->cli->console;
    char digest[DIGEST_TEXT_MAX];
    digest_format(&file->digest, digest);
    if (inspection->format == PRINT_CSV) {
        return console_out(console, err, "%s,", stage->name) &&
               print_csv(console, text_from(file->path), err) &&
               console_out(console, err, ",%llu,%llu,%s\n", (unsigned long long)file->rows_count,
                           (unsigned long long)file->size_bytes, digest);
    }
    return console_out(console, err, "{\"stage\":\"%s\",\"file\":", stage->name) &&
           print_json(console, text_from(file->path), err) &&
           console_out(console, err, ",\"rows\":\"%llu\",\"bytes\":\"%llu\",\"sha256\":\"%s\"}\n",
                       (unsigned long long)file->rows_count, (unsigned long long)file->size_bytes,
                       digest);
}

static bool print_total_record(const struct inspection *inspection, const struct stage *stage,
                               const struct totals_row *row, struct err *err) {
    struct console *console = &inspection->cli->console;
    char left[DECIMAL_TEXT_MAX];
    char right[DECIMAL_TEXT_MAX];
    (void)decimal_format(row->left, left);
    (void)decimal_format(row->right, right);
    return console_out(console, err, "{\"stage\":\"%s\",\"total\":", stage->name) &&
           print_json(console, text_from(row->name), err) &&
           console_out(console, err, ",\"unit\":") &&
           print_json(console, text_from(row->unit), err) &&
           console_out(console, err, ",\"left\":\"%s\",\"right\":\"%s\"}\n", left, right);
}

/* JSON has the control totals, too; as CSV they are reports/control_totals.csv. */
static bool print_stage_records(const struct inspection *inspection, const struct stage *stage,
                                struct err *err) {
    size_t files_count;
    size_t rows_count;
    const struct run_file *files = run_stage_files(inspection->run, stage, &files_count);
    const struct totals_row *rows = run_stage_totals(inspection->run, stage, &rows_count);
    for (size_t index = 0; index < files_count; index++) {
        if (!print_file_record(inspection, stage, &files[index], err)) {
            return false;
        }
    }
    for (size_t index = 0; inspection->format == PRINT_JSON && index < rows_count; index++) {
        if (!print_total_record(inspection, stage, &rows[index], err)) {
            return false;
        }
    }
    return true;
}

bool inspect_run(const struct inspection *inspection, struct err *err) {
    struct stage_list list = run_stages(inspection->run);
    bool is_fine = inspection->format == PRINT_TEXT  ? print_head(inspection, err)
                   : inspection->format == PRINT_CSV ? console_out(&inspection->cli->console, err,
                                                                   "stage,file,rows,bytes,sha256\n")
                                                     : true;
    for (size_t index = 0; is_fine && index < list.stages_count; index++) {
        is_fine = inspection->format == PRINT_TEXT
                      ? print_stage(inspection, list.stages[index], err)
                      : print_stage_records(inspection, list.stages[index], err);
    }
    return is_fine;
}

/* --- a stage ------------------------------------------------------------------------------------
 */

/* Rows of all files of the table; their paths are FOLDER/TABLE[.SHARD].arrow. */
static uint64_t table_rows(const struct inspection *inspection, const struct table_schema *schema) {
    size_t files_count;
    uint64_t rows = 0;
    size_t name_size = strlen(schema->name);
    const struct run_file *files =
        run_stage_files(inspection->run, inspection->stage, &files_count);
    for (size_t index = 0; index < files_count; index++) {
        const char *slash = strrchr(files[index].path, '/');
        const char *name = slash != NULL ? slash + 1 : files[index].path;
        if (strncmp(name, schema->name, name_size) == 0 && name[name_size] == '.') {
            rows += files[index].rows_count;
        }
    }
    return rows;
}

static bool print_table(const struct inspection *inspection, const struct stage_output *output,
                        struct err *err) {
    struct console *console = &inspection->cli->console;
    const struct table_schema *schema = output->schema;
    char rows[PRINT_NUMBER_MAX];
    size_t files_count = output->is_sharded ? run_shards_count(inspection->run) : 1;
    (void)print_count(table_rows(inspection, schema), rows);
    if (!console_out(console, err, "\n%s: %s row%s in %zu file%s\n", schema->name, rows,
                     strcmp(rows, "1") == 0 ? "" : "s", files_count, files_count == 1 ? "" : "s")) {
        return false;
    }
    for (size_t column = 0; column < schema->columns_count; column++) {
        const struct table_column *declared = &schema->columns[column];
        const char *note = column < schema->key_columns_count ? "  key"
                           : declared->is_nullable            ? "  may be null"
                                                              : "";
        if (!console_out(console, err, "  %-24s %s%s\n", declared->name,
                         table_type_name(declared->type), note)) {
            return false;
        }
    }
    return true;
}

static bool print_table_records(const struct inspection *inspection,
                                const struct stage_output *output, struct err *err) {
    struct console *console = &inspection->cli->console;
    const struct table_schema *schema = output->schema;
    unsigned long long rows = table_rows(inspection, schema);
    for (size_t column = 0; column < schema->columns_count; column++) {
        const struct table_column *declared = &schema->columns[column];
        const char *type = table_type_name(declared->type);
        const char *is_nullable = declared->is_nullable ? "true" : "false";
        bool is_fine;
        if (inspection->format == PRINT_CSV) {
            is_fine =
                console_out(console, err, "%s,%llu,%s,", schema->name, rows, declared->name) &&
                print_csv(console, text_from(type), err) &&
                console_out(console, err, ",%s\n", is_nullable);
        } else {
            is_fine = console_out(console, err,
                                  "{\"table\":\"%s\",\"rows\":\"%llu\",\"column\":\"%s\","
                                  "\"type\":\"%s\",\"nullable\":%s}\n",
                                  schema->name, rows, declared->name, type, is_nullable);
        }
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

bool inspect_stage(const struct inspection *inspection, struct err *err) {
    const struct stage *stage = inspection->stage;
    struct console *console = &inspection->cli->console;
    if (inspection->format == PRINT_TEXT && !print_stage(inspection, stage, err)) {
        return false;
    }
    if (inspection->format == PRINT_CSV &&
        !console_out(console, err, "table,rows,column,type,nullable\n")) {
        return false;
    }
    for (size_t index = 0; index < stage->outputs_count; index++) {
        const struct stage_output *output = &stage->outputs[index];
        if (inspection->format == PRINT_TEXT ? !print_table(inspection, output, err)
                                             : !print_table_records(inspection, output, err)) {
            return false;
        }
    }
    return true;
}
