/* Ingest, first half: rows of files, judged, into the staging tables of this session. */
#include "ingest_internal.h"
#include "sys/process.h"
#include "usage_state.h"

enum { EVENT_ID_BYTES_MAX = 1000, ROWS_BETWEEN_LOOKS = 4096 };

struct staging {
    struct ingest *ingest;
    struct db_copy_in copy;
    const char *file_name;
    int32_t file_index;
    bool has_seats_file;
    uint64_t rows_count;
};

static bool count_row(struct staging *staging, const struct csv_row *row, size_t columns_count,
                      struct err *err) {
    struct ingest *ingest = staging->ingest;
    for (size_t index = 0; index < columns_count; index++) {
        ingest->bytes_done += row->fields[index].size_bytes + 1;
    }
    staging->rows_count++;
    if (staging->rows_count % ROWS_BETWEEN_LOOKS != 0) {
        return true;
    }
    if (ingest->options->progress != NULL) {
        uint64_t total = ingest->bytes_total;
        ingest->options->progress(ingest->options->progress_context, INGEST_READS,
                                  ingest->bytes_done < total ? ingest->bytes_done : total, total);
    }
    return interrupt_check(err);
}

static bool put_text(struct db_copy_in *copy, struct text text, struct err *err) {
    return text.size_bytes == 0 ? db_copy_in_null(copy, err) : db_copy_in_text(copy, text, err);
}

/* --- usage ------------------------------------------------------------------------------------ */

struct staged_usage {
    struct decimal quantity;
    struct instant occurred_at;
    struct instant recorded_at;
    bool is_sound;
};

static bool refuse(const struct staging *staging, const struct csv_row *row,
                   const struct csv_column *columns, size_t column, const char *reason,
                   bool *is_sound, struct err *err) {
    *is_sound = false;
    return problems_add(staging->ingest->problems, staging->file_name, row->line,
                        columns[column].name, row->fields[column], err, "%s", reason);
}

static const char *judge_decimal(struct text text, struct decimal *value) {
    enum decimal_fault fault = decimal_parse(text, value);
    return fault == DECIMAL_OK ? NULL : decimal_fault_text(fault);
}

static const char *judge_kind(struct text kind) {
    bool is_known = kind.size_bytes == 0 || text_equals(kind, text_from("set")) ||
                    text_equals(kind, text_from("delta"));
    return is_known ? NULL : "is neither 'set' nor 'delta'";
}

/* What a close asks of a row, as far as the row alone can answer; the rest is judge_usage.sql. */
static bool judge_usage(const struct staging *staging, const struct csv_row *row,
                        struct staged_usage *usage, struct err *err) {
    const struct text *fields = row->fields;
    const char *reasons[USAGE_COLUMNS_COUNT] = {0};
    for (size_t column = 0; column <= USAGE_COLUMN_OCCURRED_AT; column++) {
        reasons[column] = fields[column].size_bytes == 0 ? "is not given" : NULL;
    }
    if (reasons[USAGE_COLUMN_METRIC] == NULL) {
        reasons[USAGE_COLUMN_METRIC] =
            metric_refusal(fields[USAGE_COLUMN_METRIC], staging->has_seats_file);
    }
    if (reasons[USAGE_COLUMN_QUANTITY] == NULL) {
        reasons[USAGE_COLUMN_QUANTITY] =
            judge_decimal(fields[USAGE_COLUMN_QUANTITY], &usage->quantity);
    }
    if (reasons[USAGE_COLUMN_OCCURRED_AT] == NULL) {
        reasons[USAGE_COLUMN_OCCURRED_AT] =
            instant_parse(fields[USAGE_COLUMN_OCCURRED_AT], &usage->occurred_at);
    }
    if (fields[USAGE_COLUMN_RECORDED_AT].size_bytes > 0) {
        reasons[USAGE_COLUMN_RECORDED_AT] =
            instant_parse(fields[USAGE_COLUMN_RECORDED_AT], &usage->recorded_at);
    }
    if (fields[USAGE_COLUMN_EVENT_ID].size_bytes > EVENT_ID_BYTES_MAX) {
        reasons[USAGE_COLUMN_EVENT_ID] = "has more than 1000 bytes";
    }
    reasons[USAGE_COLUMN_KIND] = judge_kind(fields[USAGE_COLUMN_KIND]);
    usage->is_sound = true;
    for (size_t column = 0; column < USAGE_COLUMNS_COUNT; column++) {
        /* As in a run, a kind is only looked at in a row that is good otherwise. */
        bool is_told = column != USAGE_COLUMN_KIND ||
                       (usage->is_sound && reasons[USAGE_COLUMN_RECORDED_AT] == NULL);
        if (reasons[column] != NULL && is_told &&
            !refuse(staging, row, usage_columns, column, reasons[column], &usage->is_sound, err)) {
            return false;
        }
    }
    return true;
}

static bool stage_usage_row(void *context, const struct csv_row *row, struct err *err) {
    struct staging *staging = context;
    struct staged_usage usage = {0};
    if (!count_row(staging, row, USAGE_COLUMNS_COUNT, err) ||
        !judge_usage(staging, row, &usage, err)) {
        return false;
    }
    if (!usage.is_sound) {
        return true;
    }
    const struct text *fields = row->fields;
    struct db_copy_in *copy = &staging->copy;
    return db_copy_in_row(copy, USAGE_COLUMNS_COUNT + 2, err) &&
           db_copy_in_int32(copy, staging->file_index, err) &&
           db_copy_in_int64(copy, (int64_t)row->line, err) &&
           db_copy_in_text(copy, fields[USAGE_COLUMN_ORG_ID], err) &&
           db_copy_in_text(copy, fields[USAGE_COLUMN_METRIC], err) &&
           put_text(copy, fields[USAGE_COLUMN_KIND], err) &&
           db_copy_in_decimal(copy, usage.quantity, err) &&
           db_copy_in_instant(copy, usage.occurred_at, err) &&
           put_text(copy, fields[USAGE_COLUMN_EVENT_ID], err) &&
           put_text(copy, fields[USAGE_COLUMN_UNIQUE_KEY], err) &&
           (fields[USAGE_COLUMN_RECORDED_AT].size_bytes == 0
                ? db_copy_in_null(copy, err)
                : db_copy_in_instant(copy, usage.recorded_at, err));
}

/* --- one file --------------------------------------------------------------------------------- */

struct staged_file {
    const char *name;
    const struct csv_column *columns;
    size_t columns_count;
    const char *statement;
    bool (*take)(void *context, const struct csv_row *row, struct err *err);
};

static bool stage_file(struct staging *staging, const struct staged_file *file, struct err *err) {
    struct ingest *ingest = staging->ingest;
    struct csv_file csv;
    bool is_found;
    uint64_t copied;
    staging->file_name = file->name;
    if (!csv_open(ingest->sys, ingest->folder, file->name, file->columns, file->columns_count, true,
                  &csv, &is_found, ingest->problems, err)) {
        return false;
    }
    if (!is_found) {
        return true;
    }
    struct csv_range range = {csv.layout.rows_offset, UINT64_MAX, csv.layout.rows_line};
    bool is_done = db_copy_in_begin(ingest->db, file->statement, &staging->copy, err) &&
                   csv_read(&csv, range, file->take, staging, ingest->problems, NULL, err) &&
                   db_copy_in_finish(&staging->copy, &copied, err);
    if (!is_done) {
        db_copy_in_abort(&staging->copy);
    }
    csv_close(&csv);
    return is_done && ingest_count(ingest, file->name, &(struct ingest_counts){0}, err);
}

static bool has_seats(const struct ingest *ingest, bool *has_file, struct err *err) {
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    *has_file = false;
    if (!ingest->is_dataset) {
        return true;
    }
    if (!path_format(path, err, "%s/seats.csv", ingest->folder) ||
        !path_kind_of_input(ingest->sys, path, &kind, err)) {
        return false;
    }
    *has_file = kind != PATH_MISSING;
    return true;
}

bool ingest_stage_usage(struct ingest *ingest, struct err *err) {
    struct staging staging = {.ingest = ingest};
    if (!has_seats(ingest, &staging.has_seats_file, err)) {
        return false;
    }
    for (size_t index = 0; index < ingest->usage_files_count; index++) {
        const struct staged_file file = {ingest->usage_files[index].name, usage_columns,
                                         USAGE_COLUMNS_COUNT, "ingest/stage_usage.sql",
                                         stage_usage_row};
        staging.file_index = (int32_t)index;
        if (!stage_file(&staging, &file, err)) {
            return false;
        }
    }
    ingest->rows_total = staging.rows_count;
    return true;
}

/* --- seats ------------------------------------------------------------------------------------ */

struct staged_seat {
    struct instant assigned_at;
    struct instant revoked_at;
    bool is_sound;
};

static bool judge_seat(const struct staging *staging, const struct csv_row *row,
                       struct staged_seat *seat, struct err *err) {
    const struct text *fields = row->fields;
    const char *reasons[SEATS_COLUMNS_COUNT] = {0};
    bool is_revoked = fields[SEATS_COLUMN_REVOKED_AT].size_bytes > 0;
    for (size_t column = 0; column < SEATS_COLUMNS_COUNT; column++) {
        bool is_wanted = seats_columns[column].is_required;
        reasons[column] = is_wanted && fields[column].size_bytes == 0 ? "is not given" : NULL;
    }
    const struct catalog *catalog = dataset_catalog(staging->ingest->dataset);
    if (reasons[SEATS_COLUMN_ORG_ID] == NULL && !catalog->is_incomplete &&
        catalog_find_org(catalog, fields[SEATS_COLUMN_ORG_ID]) == CATALOG_NONE) {
        reasons[SEATS_COLUMN_ORG_ID] = "is not in orgs.csv";
    }
    if (reasons[SEATS_COLUMN_USER_ID] == NULL) {
        reasons[SEATS_COLUMN_USER_ID] = catalog_check_id(fields[SEATS_COLUMN_USER_ID]);
    }
    if (reasons[SEATS_COLUMN_ASSIGNED_AT] == NULL) {
        reasons[SEATS_COLUMN_ASSIGNED_AT] =
            instant_parse(fields[SEATS_COLUMN_ASSIGNED_AT], &seat->assigned_at);
    }
    if (is_revoked) {
        reasons[SEATS_COLUMN_REVOKED_AT] =
            instant_parse(fields[SEATS_COLUMN_REVOKED_AT], &seat->revoked_at);
        if (reasons[SEATS_COLUMN_REVOKED_AT] == NULL && reasons[SEATS_COLUMN_ASSIGNED_AT] == NULL &&
            instant_compare(seat->revoked_at, seat->assigned_at) < 0) {
            reasons[SEATS_COLUMN_REVOKED_AT] = "is before assigned_at";
        }
    }
    seat->is_sound = true;
    for (size_t column = 0; column < SEATS_COLUMNS_COUNT; column++) {
        if (reasons[column] != NULL &&
            !refuse(staging, row, seats_columns, column, reasons[column], &seat->is_sound, err)) {
            return false;
        }
    }
    return true;
}

static bool stage_seat_row(void *context, const struct csv_row *row, struct err *err) {
    struct staging *staging = context;
    struct staged_seat seat = {0};
    if (!count_row(staging, row, SEATS_COLUMNS_COUNT, err) ||
        !judge_seat(staging, row, &seat, err)) {
        return false;
    }
    if (!seat.is_sound) {
        return true;
    }
    const struct text *fields = row->fields;
    struct db_copy_in *copy = &staging->copy;
    return db_copy_in_row(copy, SEATS_COLUMNS_COUNT + 1, err) &&
           db_copy_in_int64(copy, (int64_t)row->line, err) &&
           db_copy_in_text(copy, fields[SEATS_COLUMN_ORG_ID], err) &&
           db_copy_in_text(copy, fields[SEATS_COLUMN_USER_ID], err) &&
           put_text(copy, fields[SEATS_COLUMN_ROLE], err) &&
           db_copy_in_instant(copy, seat.assigned_at, err) &&
           (fields[SEATS_COLUMN_REVOKED_AT].size_bytes == 0
                ? db_copy_in_null(copy, err)
                : db_copy_in_instant(copy, seat.revoked_at, err));
}

/* --- the small files -------------------------------------------------------------------------- */

static const char *const stage_statements[DATASET_FILES_COUNT] = {
    [DATASET_ORGS] = "ingest/stage_orgs.sql",
    [DATASET_PLANS] = "ingest/stage_plans.sql",
    [DATASET_PRICES] = "ingest/stage_prices.sql",
    [DATASET_TIERS] = "ingest/stage_tiers.sql",
    [DATASET_SUBSCRIPTIONS] = "ingest/stage_subscriptions.sql",
    [DATASET_LIMITS] = "ingest/stage_limits.sql",
    [DATASET_HISTORY] = "ingest/stage_history.sql",
    [DATASET_INVITATIONS] = "ingest/stage_invitations.sql",
};

static bool put_field(struct db_copy_in *copy, const struct column *column,
                      const struct field *field, struct err *err) {
    if (!field->is_given) {
        return db_copy_in_null(copy, err);
    }
    switch (column->type->kind) {
    case FIELD_TEXT:
        return db_copy_in_text(copy, field->text, err);
    case FIELD_DECIMAL:
        return db_copy_in_decimal(copy, field->decimal, err);
    case FIELD_INSTANT:
        return db_copy_in_instant(copy, field->instant, err);
    case FIELD_MONTH: {
        struct civil_date first = {field->month.year, field->month.month, 1};
        return db_copy_in_date(copy, civil_to_days(first), err);
    }
    case FIELD_CURRENCY:
        return db_copy_in_text(copy, text_from(field->currency->code), err);
    case FIELD_INTEGER:
        return db_copy_in_int64(copy, field->integer, err);
    case FIELD_BOOLEAN:
        return db_copy_in_bool(copy, field->boolean, err);
    case FIELD_CHOICE:
        return db_copy_in_text(copy, text_from(column->choice_name((size_t)field->integer)), err);
    }
    return false;
}

struct sending {
    struct db_copy_in copy;
    const struct dataset_file_columns *file;
};

static bool send_row(void *context, const struct dataset_row *row, struct err *err) {
    struct sending *sending = context;
    const struct dataset_file_columns *file = sending->file;
    if (!db_copy_in_row(&sending->copy, (int)file->columns_count + 1, err) ||
        !db_copy_in_int64(&sending->copy, (int64_t)row->line, err)) {
        return false;
    }
    for (size_t index = 0; index < file->columns_count; index++) {
        if (!put_field(&sending->copy, &file->columns[index], &row->fields[index], err)) {
            return false;
        }
    }
    return true;
}

/* Judged before, as a whole: what is read here once more is sound. */
static bool stage_small(struct ingest *ingest, enum dataset_file_number number, struct err *err) {
    struct sending sending = {.file = &dataset_files[number]};
    struct dataset_reading reading = {.file = number, .take = send_row, .context = &sending};
    uint64_t copied;
    if (!db_copy_in_begin(ingest->db, stage_statements[number], &sending.copy, err)) {
        db_copy_in_abort(&sending.copy);
        return false;
    }
    if (!dataset_read(ingest->dataset, &reading, err) ||
        !db_copy_in_finish(&sending.copy, &copied, err)) {
        db_copy_in_abort(&sending.copy);
        return false;
    }
    return reading.is_sound ||
           err_set(err, ERR_INPUT, "%s was changed while it was read", sending.file->file);
}

bool ingest_stage_seats(struct ingest *ingest, struct err *err) {
    struct staging staging = {.ingest = ingest};
    const struct staged_file seats = {"seats.csv", seats_columns, SEATS_COLUMNS_COUNT,
                                      "ingest/stage_seats.sql", stage_seat_row};
    return stage_file(&staging, &seats, err);
}

bool ingest_stage_dataset(struct ingest *ingest, struct err *err) {
    struct problems *again = problems_create(err);
    bool is_done = again != NULL;
    ingest->dataset->problems = again;
    for (size_t file = 0; is_done && file < DATASET_FILES_COUNT; file++) {
        is_done = stage_small(ingest, (enum dataset_file_number)file, err);
    }
    ingest->dataset->problems = NULL;
    problems_destroy(again);
    return is_done;
}
