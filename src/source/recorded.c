#include "source/recorded.h"

#include <assert.h>

#include "db/copy.h"
#include "db/wire.h"
#include "sys/files.h"
#include "sys/process.h"

/* --- the tables ------------------------------------------------------------------------------ */

#define COLUMN_ROW(constant, column_name, column_type, column_is_nullable)                         \
    {.name = (column_name), .type = TABLE_##column_type, .is_nullable = (column_is_nullable)},

static const struct table_column orgs_columns[] = {
    ORGS_COLUMNS(COLUMN_ROW) COLUMN_ROW(RECORDED_ORGS_REVISION, "revision", INT64, false)
        COLUMN_ROW(RECORDED_ORGS_DIGEST, "digest", UTF8, false)
            COLUMN_ROW(RECORDED_ORGS_SEEN_BY, "seen_by", INT64, false)};

static const struct table_column records_columns[] = {
    RECORDS_COLUMNS(COLUMN_ROW) COLUMN_ROW(RECORDED_RECORDS_IS_WAIVED, "is_waived", BOOL, false)};

static const struct table_column thresholds_columns[] = {
    {.name = "org_id", .type = TABLE_UTF8},
    {.name = "threshold", .type = TABLE_DECIMAL, .is_nullable = true},
};

static const struct table_column alerts_columns[] = {
    {.name = "org_id", .type = TABLE_UTF8},
    {.name = "metric", .type = TABLE_UTF8},
    {.name = "is_projected", .type = TABLE_BOOL},
    {.name = "threshold", .type = TABLE_DECIMAL},
};

static const struct table_schema orgs_schema = {
    .name = "recorded_orgs",
    .columns = orgs_columns,
    .columns_count = sizeof orgs_columns / sizeof *orgs_columns,
    .key_columns_count = 1,
};

static const struct table_schema records_schema = {
    .name = "recorded_records",
    .columns = records_columns,
    .columns_count = sizeof records_columns / sizeof *records_columns,
    .key_columns_count = 2,
};

static const struct table_schema thresholds_schema = {
    .name = "recorded_thresholds",
    .columns = thresholds_columns,
    .columns_count = sizeof thresholds_columns / sizeof *thresholds_columns,
};

static const struct table_schema alerts_schema = {
    .name = "recorded_alerts",
    .columns = alerts_columns,
    .columns_count = sizeof alerts_columns / sizeof *alerts_columns,
};

const struct recorded_table recorded_orgs = {"recorded/orgs.sql", &orgs_schema};
const struct recorded_table recorded_limits = {"recorded/limits.sql", &checkpoint_limits};
const struct recorded_table recorded_plans = {"recorded/plans.sql", &checkpoint_plans};
const struct recorded_table recorded_prices = {"recorded/prices.sql", &checkpoint_prices};
const struct recorded_table recorded_tiers = {"recorded/tiers.sql", &checkpoint_tiers};
const struct recorded_table recorded_records = {"recorded/records.sql", &records_schema};
const struct recorded_table recorded_usage = {"recorded/usage.sql", &checkpoint_usage};
const struct recorded_table recorded_negatives = {"recorded/negatives.sql", &checkpoint_negatives};
const struct recorded_table recorded_charges = {"recorded/charges.sql", &checkpoint_charges};
const struct recorded_table recorded_thresholds = {"recorded/thresholds.sql", &thresholds_schema};
const struct recorded_table recorded_alerts = {"recorded/alerts.sql", &alerts_schema};

/* --- settings -------------------------------------------------------------------------------- */

/* Orgs as the text of an array: every one quoted, ids hold no control characters. */
static bool list_orgs(const struct recorded_scope *scope, struct buffer *list, struct err *err) {
    bool is_fine = buffer_append(list, text_from("{"), err);
    for (size_t index = 0; is_fine && index < scope->selected_orgs_count; index++) {
        struct text org_id = scope->selected_orgs[index];
        is_fine = buffer_append(list, text_from(index > 0 ? ",\"" : "\""), err);
        for (size_t at = 0; is_fine && at < org_id.size_bytes; at++) {
            bool is_quoted = org_id.bytes[at] == '"' || org_id.bytes[at] == '\\';
            is_fine = (!is_quoted || buffer_append(list, text_from("\\"), err)) &&
                      buffer_append(list, (struct text){org_id.bytes + at, 1}, err);
        }
        is_fine = is_fine && buffer_append(list, text_from("\""), err);
    }
    return is_fine && buffer_append(list, text_from("}"), err);
}

bool recorded_settings(struct db *db, const struct recorded_scope *scope, struct err *err) {
    struct buffer list = {0};
    struct db_params params = {0};
    bool is_done = list_orgs(scope, &list, err);
    db_params_text(&params, text_from(scope->day));
    if (scope->selected_orgs_count > 0) {
        db_params_text(&params, buffer_text(&list));
    } else {
        db_params_null(&params);
    }
    db_params_int64(&params, scope->before_run_id != 0 ? scope->before_run_id : INT64_MAX);
    is_done = is_done && db_run(db, "recorded/settings.sql", &params, NULL, err);
    buffer_release(&list);
    return is_done;
}

bool recorded_mark(struct db *db, struct buffer *mark, struct err *err) {
    struct db_result result = {0};
    struct text text;
    bool is_done = db_run(db, "recorded/mark.sql", NULL, &result, err) &&
                   db_result_text(&result, 0, 0, &text, err) && buffer_append(mark, text, err) &&
                   buffer_append(mark, (struct text){"", 1}, err);
    db_result_release(&result);
    return is_done;
}

/* --- reading --------------------------------------------------------------------------------- */

static bool fail_column(const struct recorded_table *recorded, size_t column, const char *reason,
                        struct err *err) {
    (void)err_set(err, ERR_DATABASE, "%s: column '%s' %s", recorded->statement,
                  recorded->schema->columns[column].name, reason);
    return err_hint(err, "the schema is not the one of this version: see what was changed in it, "
                         "and apply the migrations with: periodclose migrate --database CONNINFO");
}

/* NULL, or what is wrong with the field. */
static const char *put_field(struct table_writer *writer, size_t column, enum table_type type,
                             const struct db_field *field) {
    struct decimal decimal;
    struct instant instant;
    const char *reason;
    switch (type) {
    case TABLE_UTF8:
        table_put_text(writer, column,
                       (struct text){(const char *)field->bytes, field->size_bytes});
        return NULL;
    case TABLE_DECIMAL:
        if (wire_decimal(field->bytes, field->size_bytes, &decimal) != DECIMAL_OK) {
            return "is no numeric(38, 15)";
        }
        table_put_decimal(writer, column, decimal);
        return NULL;
    case TABLE_INT64:
        if (field->size_bytes != 8) {
            return "is no bigint";
        }
        table_put_int64(writer, column, (int64_t)wire_uint64(field->bytes));
        return NULL;
    case TABLE_TIMESTAMP:
        reason =
            field->size_bytes != 8 ? "is no timestamptz" : wire_instant(field->bytes, &instant);
        if (reason == NULL) {
            table_put_instant(writer, column, instant);
        }
        return reason;
    case TABLE_DATE:
        if (field->size_bytes != 4) {
            return "is no date";
        }
        table_put_date(writer, column,
                       (int32_t)wire_uint32(field->bytes) +
                           (int32_t)(WIRE_EPOCH_US / INSTANT_DAY_US));
        return NULL;
    case TABLE_BOOL:
        if (field->size_bytes != 1) {
            return "is no boolean";
        }
        table_put_bool(writer, column, field->bytes[0] != 0);
        return NULL;
    }
    return NULL;
}

static bool put_row(const struct recorded_table *recorded, struct table_writer *writer,
                    const struct db_field *fields, struct err *err) {
    for (size_t column = 0; column < recorded->schema->columns_count; column++) {
        const struct table_column *declared = &recorded->schema->columns[column];
        const char *reason = NULL;
        if (fields[column].bytes != NULL) {
            reason = put_field(writer, column, declared->type, &fields[column]);
        } else if (!declared->is_nullable) {
            reason = "is null";
        }
        if (reason != NULL) {
            return fail_column(recorded, column, reason, err);
        }
    }
    return table_end_row(writer, err);
}

static bool read_rows(struct db *db, const struct recorded_table *recorded,
                      struct table_writer *writer, struct err *err) {
    enum { INTERRUPT_ROWS = 4096 };
    struct db_copy_out copy;
    struct db_copy_row row;
    if (!db_copy_out_begin(db, recorded->statement, recorded->schema->columns_count, &copy, err)) {
        return false;
    }
    for (uint64_t count = 1;; count++) {
        if (!db_copy_out_next(&copy, &row, err) ||
            (row.fields != NULL && !put_row(recorded, writer, row.fields, err)) ||
            (count % INTERRUPT_ROWS == 0 && !interrupt_check(err))) {
            db_copy_out_abort(&copy);
            return false;
        }
        if (row.fields == NULL) {
            return db_copy_out_end(&copy, err);
        }
    }
}

bool recorded_read(struct db *db, const struct sys *sys, const char *folder,
                   const struct recorded_table *recorded, struct table **table, struct err *err) {
    char path[FILE_PATH_MAX];
    struct table_writer *writer;
    struct table_seal seal;
    char name[64];
    size_t size_bytes = strlen(recorded->statement) - strlen(".sql");
    assert(size_bytes < sizeof name);
    memcpy(name, recorded->statement, size_bytes);
    name[size_bytes] = '\0';
    char *slash = strchr(name, '/');
    *slash = '-';
    if (!path_format(path, err, "%s/%s.arrow", folder, name) ||
        !table_writer_create(sys, path, recorded->schema, NULL, 0, &writer, err)) {
        return false;
    }
    if (!read_rows(db, recorded, writer, err)) {
        table_writer_destroy(writer);
        return false;
    }
    return table_writer_commit(writer, &seal, err) &&
           table_open_own(sys, path, recorded->schema, table, err);
}
