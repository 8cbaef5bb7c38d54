/* Seats out of PostgreSQL, judged as those of a file are. */
#include "sys/process.h"
#include "usage_database.h"

static const char seat_book[] = "billing.seat_intervals";

enum { INTERRUPT_ROWS = 4096 };

/* NULL, or what is wrong with it. A field that is not given leaves *instant. */
static const char *take_instant(const struct db_field *field, struct instant *instant) {
    return field->bytes == NULL     ? NULL
           : field->size_bytes != 8 ? "is no timestamptz"
                                    : wire_instant(field->bytes, instant);
}

static bool judge_times(struct usage_feed *feed, const struct feed_line *line,
                        const struct db_field *fields, struct instant *assigned_at,
                        struct instant *revoked_at, bool *is_bad, struct err *err) {
    const struct db_field *assigned = &fields[SEATS_COLUMN_ASSIGNED_AT];
    const char *reason =
        assigned->bytes == NULL ? "is not given" : take_instant(assigned, assigned_at);
    enum seats_column column = SEATS_COLUMN_ASSIGNED_AT;
    if (reason == NULL) {
        column = SEATS_COLUMN_REVOKED_AT;
        reason = take_instant(&fields[SEATS_COLUMN_REVOKED_AT], revoked_at);
    }
    if (reason == NULL && instant_compare(*revoked_at, *assigned_at) < 0) {
        reason = "is before assigned_at";
    }
    *is_bad = *is_bad || reason != NULL;
    return reason == NULL || feed_refuse_seat(feed, line, column, reason, err);
}

static bool take_seat(struct usage_feed *feed, const struct db_field *fields, uint64_t number,
                      struct err *err) {
    struct instant assigned_at = {0};
    struct instant revoked_at = {INT64_MAX};
    struct feed_line line = {.line = number};
    bool is_bad;
    for (size_t column = 0; column < SEATS_COLUMN_ASSIGNED_AT; column++) {
        line.fields[column] = database_text(&fields[column]);
    }
    feed_find_orgs(feed, &line, 1);
    if (!feed_judge_seat(feed, &line, &is_bad, err) ||
        !judge_times(feed, &line, fields, &assigned_at, &revoked_at, &is_bad, err)) {
        return false;
    }
    return is_bad || feed_take_seat(feed, &line, assigned_at, revoked_at, err);
}

static bool take_seats(struct usage_feed *feed, struct db_copy_out *copy, struct err *err) {
    struct db_copy_row row;
    for (uint64_t number = 1;; number++) {
        if (!db_copy_out_next(copy, &row, err)) {
            return false;
        }
        if (row.fields == NULL) {
            return db_copy_out_end(copy, err);
        }
        if ((number % INTERRUPT_ROWS == 0 && !interrupt_check(err)) ||
            !take_seat(feed, row.fields, number, err)) {
            return false;
        }
    }
}

bool begin_seats_database(struct source_database *database, size_t connection,
                          struct db_copy_out *copy, struct err *err) {
    struct db *db = source_database_connection(database, connection);
    const char *statement =
        source_database_has_recorded(database) ? "extract/seats_recorded.sql" : "extract/seats.sql";
    struct db_params params = {0};
    db_params_text(&params, text_from(source_database_period(database)));
    db_params_bool(&params, source_database_keeps_cutoff(database));
    return db_run(db, "extract/seats_scope.sql", &params, NULL, err) &&
           db_copy_out_begin(db, statement, SEATS_COLUMNS_COUNT, copy, err);
}

bool read_seats_database(struct usage_feed *feed, struct source_database *database, size_t worker,
                         struct err *err) {
    struct db_copy_out begun;
    struct db_copy_out *copy = source_database_seats(database);
    feed->file_name = seat_book;
    if (copy == NULL) {
        copy = &begun;
        if (!begin_seats_database(database, worker, copy, err)) {
            return false;
        }
    }
    source_database_take_seats(database);
    if (!take_seats(feed, copy, err)) {
        db_copy_out_abort(copy);
        return false;
    }
    return true;
}
