/* inspect RUN/STAGE/TABLE: rows, streamed from shard after shard. */
#include "inspect.h"
#include "sys/process.h"

enum { NO_COLUMN = TABLE_COLUMNS_MAX };

static size_t column_find(const struct table_schema *schema, const char *name) {
    for (size_t column = 0; column < schema->columns_count; column++) {
        if (strcmp(schema->columns[column].name, name) == 0) {
            return column;
        }
    }
    return NO_COLUMN;
}

/* Where org and metric of a row are found: in the row itself, or in the table of its series. */
struct row_owner {
    const struct table_schema *series_schema; /* NULL: the table has an org_id, or no orgs */
    size_t org_id_column;                     /* in the table itself; NO_COLUMN: none */
    size_t row_series_column;                 /* in the table by day */
    size_t series_column;                     /* in the table of the series, as are: */
    size_t series_org_id_column;
    size_t series_metric_column;
};

static struct row_owner owner_find(const struct inspection *inspection) {
    const struct table_schema *schema = inspection->schema;
    struct row_owner owner = {.org_id_column = column_find(schema, "org_id"),
                              .row_series_column = column_find(schema, "series")};
    if (owner.org_id_column != NO_COLUMN || owner.row_series_column == NO_COLUMN) {
        return owner;
    }
    for (size_t index = 0; index < inspection->stage->outputs_count; index++) {
        const struct table_schema *other = inspection->stage->outputs[index].schema;
        owner.series_column = column_find(other, "series");
        owner.series_org_id_column = column_find(other, "org_id");
        owner.series_metric_column = column_find(other, "metric");
        if (owner.series_column != NO_COLUMN && owner.series_org_id_column != NO_COLUMN &&
            owner.series_metric_column != NO_COLUMN) {
            owner.series_schema = other;
            break;
        }
    }
    return owner;
}

static bool org_is_wanted(const struct cli *cli, struct text org_id) {
    size_t wanted_count = cli->options.values_count[OPTION_ORG];
    for (size_t index = 0; index < wanted_count; index++) {
        if (text_equals(org_id, text_from(cli->options.values[OPTION_ORG][index]))) {
            return true;
        }
    }
    return wanted_count == 0;
}

struct row_printer {
    const struct inspection *inspection;
    struct row_owner owner;
    struct table_cursor series; /* side by side with the table by day */
    bool has_series;
    uint64_t printed;
};

static bool print_header(const struct row_printer *printer, struct err *err) {
    struct console *console = &printer->inspection->cli->console;
    const struct table_schema *schema = printer->inspection->schema;
    if (printer->inspection->format == PRINT_JSON) {
        return true;
    }
    bool is_fine = printer->owner.series_schema == NULL ||
                   console_out_text(console, text_from("org_id,metric,"), err);
    for (size_t column = 0; is_fine && column < schema->columns_count; column++) {
        is_fine = (column == 0 || console_out_text(console, text_from(","), err)) &&
                  console_out_text(console, text_from(schema->columns[column].name), err);
    }
    return is_fine && console_out_text(console, text_from("\n"), err);
}

static bool print_row_csv(const struct row_printer *printer, const struct table_cursor *row,
                          struct err *err) {
    struct console *console = &printer->inspection->cli->console;
    const struct table_schema *schema = printer->inspection->schema;
    const struct row_owner *owner = &printer->owner;
    const struct table_cursor *series = &printer->series;
    bool is_fine = owner->series_schema == NULL ||
                   (print_cell_csv(console, series, owner->series_org_id_column, TABLE_UTF8, err) &&
                    console_out_text(console, text_from(","), err) &&
                    print_cell_csv(console, series, owner->series_metric_column, TABLE_UTF8, err) &&
                    console_out_text(console, text_from(","), err));
    for (size_t column = 0; is_fine && column < schema->columns_count; column++) {
        is_fine = (column == 0 || console_out_text(console, text_from(","), err)) &&
                  print_cell_csv(console, row, column, schema->columns[column].type, err);
    }
    return is_fine && console_out_text(console, text_from("\n"), err);
}

static bool print_row_json(const struct row_printer *printer, const struct table_cursor *row,
                           struct err *err) {
    struct console *console = &printer->inspection->cli->console;
    const struct table_schema *schema = printer->inspection->schema;
    const struct row_owner *owner = &printer->owner;
    const struct table_cursor *series = &printer->series;
    bool is_fine =
        console_out_text(console, text_from("{"), err) &&
        (owner->series_schema == NULL ||
         (console_out_text(console, text_from("\"org_id\":"), err) &&
          print_cell_json(console, series, owner->series_org_id_column, TABLE_UTF8, err) &&
          console_out_text(console, text_from(",\"metric\":"), err) &&
          print_cell_json(console, series, owner->series_metric_column, TABLE_UTF8, err) &&
          console_out_text(console, text_from(","), err)));
    for (size_t column = 0; is_fine && column < schema->columns_count; column++) {
        const struct table_column *declared = &schema->columns[column];
        is_fine = console_out(console, err, "%s\"%s\":", column > 0 ? "," : "", declared->name) &&
                  print_cell_json(console, row, column, declared->type, err);
    }
    return is_fine && console_out_text(console, text_from("}\n"), err);
}

/* Brings the series up to the row's; sorted by number both. */
static bool find_series(struct row_printer *printer, const struct table_cursor *row,
                        struct err *err) {
    int64_t wanted = table_get_int64(row, printer->owner.row_series_column);
    while (printer->has_series &&
           table_get_int64(&printer->series, printer->owner.series_column) < wanted) {
        printer->has_series = table_cursor_next(&printer->series);
    }
    if (printer->has_series &&
        table_get_int64(&printer->series, printer->owner.series_column) == wanted) {
        return true;
    }
    return err_set(err, ERR_DAMAGED, "%s: series %lld is not in '%s'", table_path(row->table),
                   (long long)wanted, printer->owner.series_schema->name);
}

static bool print_row(struct row_printer *printer, const struct table_cursor *row,
                      struct err *err) {
    const struct row_owner *owner = &printer->owner;
    if (owner->series_schema != NULL && !find_series(printer, row, err)) {
        return false;
    }
    bool is_wanted =
        owner->series_schema != NULL
            ? org_is_wanted(printer->inspection->cli,
                            table_get_text(&printer->series, owner->series_org_id_column))
            : owner->org_id_column == NO_COLUMN ||
                  org_is_wanted(printer->inspection->cli,
                                table_get_text(row, owner->org_id_column));
    if (!is_wanted) {
        return true;
    }
    printer->printed++;
    return printer->inspection->format == PRINT_JSON ? print_row_json(printer, row, err)
                                                     : print_row_csv(printer, row, err);
}

static bool print_shard(struct row_printer *printer, size_t shard_index, struct err *err) {
    const struct inspection *inspection = printer->inspection;
    struct table *table = NULL;
    struct table *series = NULL;
    bool is_fine =
        run_input_open(inspection->run, inspection->schema, shard_index, &table, err) &&
        (printer->owner.series_schema == NULL ||
         run_input_open(inspection->run, printer->owner.series_schema, shard_index, &series, err));
    if (is_fine && series != NULL) {
        printer->series = table_cursor_start(series);
        printer->has_series = table_cursor_next(&printer->series);
    }
    if (is_fine) {
        struct table_cursor row = table_cursor_start(table);
        while (is_fine && table_cursor_next(&row)) {
            is_fine = interrupt_check(err) && print_row(printer, &row, err);
        }
    }
    table_close(table);
    table_close(series);
    return is_fine;
}

bool inspect_rows(const struct inspection *inspection, struct err *err) {
    struct row_printer printer = {.inspection = inspection, .owner = owner_find(inspection)};
    const struct stage_output *output;
    struct cli *cli = inspection->cli;
    (void)stage_of_table(run_stages(inspection->run), inspection->schema, &output);
    bool has_filter = option_is_set(&cli->options, OPTION_ORG);
    if (has_filter && printer.owner.org_id_column == NO_COLUMN &&
        printer.owner.series_schema == NULL) {
        return err_set(err, ERR_USAGE, "--org: table '%s' has no orgs", inspection->schema->name);
    }
    size_t shards_count = output->is_sharded ? run_shards_count(inspection->run) : 1;
    size_t first = inspection->has_shard ? inspection->shard_index : 0;
    size_t end = inspection->has_shard ? first + 1 : shards_count;
    bool is_fine = print_header(&printer, err);
    for (size_t shard = first; is_fine && shard < end; shard++) {
        is_fine = print_shard(&printer, shard, err);
    }
    if (is_fine && has_filter && printer.printed == 0) {
        console_say(&cli->console, LOG_NOTE, "no rows of that org in '%s'",
                    inspection->schema->name);
    }
    return is_fine;
}
