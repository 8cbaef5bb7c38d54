/* Ingest: the small files of a dataset folder, staged before, into their tables. */
#include <inttypes.h>
#include <stdio.h>

#include "ingest_internal.h"

struct merging {
    const char *file;
    const char *before; /* a statement that comes first; NULL: none */
    const char *take;
    const char *refuse; /* lists rows that were not taken; NULL: none can be */
    const char *column; /* what is wrong with those */
    const char *reason; /* %.*s: what is known instead */
};

/* What refers to others comes after them. Subscriptions are merged apart. */
static const struct merging mergings[] = {
    {.file = "orgs.csv", .take = "ingest/take_orgs.sql"},
    {.file = "plans.csv", .take = "ingest/take_plans.sql"},
    {.file = "prices.csv", .take = "ingest/take_prices.sql"},
    {.file = "tiers.csv", .before = "ingest/drop_tiers.sql", .take = "ingest/take_tiers.sql"},
    {.file = "subscriptions.csv", .take = "ingest/take_subscriptions.sql"},
    {.file = "limits.csv", .take = "ingest/take_limits.sql"},
    {.file = "usage_history.csv",
     .take = "ingest/take_history.sql",
     .refuse = "ingest/refuse_history.sql",
     .column = "metric",
     .reason = "is recorded otherwise: "},
    {.file = "invitations.csv",
     .take = "ingest/take_invitations.sql",
     .refuse = "ingest/refuse_invitations.sql",
     .column = "invitation_id",
     .reason = "is an invitation of org "},
    {.file = "seats.csv",
     .take = "ingest/take_seats.sql",
     .refuse = "ingest/refuse_seats.sql",
     .column = "user_id",
     .reason = "has a seat from then with another end: "},
};

/* Rows of line, value, what is known instead. */
static bool tell_refused(struct ingest *ingest, const struct merging *merging,
                         uint64_t *refused_count, struct err *err) {
    struct db_result rows = {0};
    bool is_done = merging->refuse == NULL || db_run(ingest->db, merging->refuse, NULL, &rows, err);
    for (size_t row = 0; is_done && row < rows.rows_count; row++) {
        int64_t line;
        struct text value;
        struct text known;
        is_done = db_result_int64(&rows, row, 0, &line, err) &&
                  db_result_text(&rows, row, 1, &value, err) &&
                  db_result_text(&rows, row, 2, &known, err) &&
                  problems_add(ingest->problems, merging->file, (uint64_t)line, merging->column,
                               value, err, "%s%.*s", merging->reason,
                               known.size_bytes > 0 ? (int)known.size_bytes : 4,
                               known.size_bytes > 0 ? known.bytes : "none");
    }
    *refused_count += rows.rows_count;
    db_result_release(&rows);
    return is_done;
}

static bool count_merged(struct ingest *ingest, const struct merging *merging,
                         const struct db_result *result, struct err *err) {
    int64_t rows;
    int64_t taken;
    int64_t refused;
    if (!db_result_int64(result, 0, 0, &rows, err) || !db_result_int64(result, 0, 1, &taken, err) ||
        !db_result_int64(result, 0, 2, &refused, err)) {
        return false;
    }
    struct ingest_counts counts = {
        .rows = (uint64_t)rows, .taken = (uint64_t)taken, .refused = (uint64_t)refused};
    if (!tell_refused(ingest, merging, &counts.refused, err)) {
        return false;
    }
    counts.duplicates = counts.rows - counts.taken - counts.refused;
    return rows == 0 || ingest_count(ingest, merging->file, &counts, err);
}

static bool merge(struct ingest *ingest, const struct merging *merging, struct err *err) {
    struct db_result result = {0};
    bool is_done =
        (merging->before == NULL || db_run(ingest->db, merging->before, NULL, NULL, err)) &&
        db_run(ingest->db, merging->take, NULL, &result, err) &&
        count_merged(ingest, merging, &result, err);
    db_result_release(&result);
    return is_done;
}

static bool refuse_orgs(struct ingest *ingest, struct err *err) {
    struct db_result rows = {0};
    bool is_done = db_run(ingest->db, "ingest/refuse_orgs.sql", NULL, &rows, err);
    for (size_t row = 0; is_done && row < rows.rows_count; row++) {
        int64_t line;
        int64_t other_line;
        struct text org_id;
        struct text plan_id;
        char other[320];
        is_done = db_result_int64(&rows, row, 0, &line, err) &&
                  db_result_text(&rows, row, 1, &org_id, err) &&
                  db_result_int64(&rows, row, 2, &other_line, err) &&
                  db_result_text(&rows, row, 3, &plan_id, err);
        if (!is_done) {
            break;
        }
        if (db_result_is_null(&rows, row, 2)) {
            (void)snprintf(other, sizeof other, "a subscription to %.*s in the database",
                           (int)plan_id.size_bytes, plan_id.bytes);
        } else {
            (void)snprintf(other, sizeof other, "the subscription on line %" PRId64, other_line);
        }
        is_done = problems_add(ingest->problems, "subscriptions.csv", (uint64_t)line, "org_id",
                               org_id, err, "overlaps %s: nothing of this org was taken", other);
    }
    db_result_release(&rows);
    return is_done;
}

/* First those that end earlier than was known, then those that end later. */
static bool end_subscriptions(struct ingest *ingest, uint64_t *changed_count, struct err *err) {
    *changed_count = 0;
    for (int pass = 0; pass < 2; pass++) {
        struct db_params params = {0};
        struct db_result result = {0};
        db_params_bool(&params, pass == 0);
        if (!db_run(ingest->db, "ingest/end_subscriptions.sql", &params, &result, err)) {
            return false;
        }
        *changed_count += result.affected_count;
        db_result_release(&result);
    }
    return true;
}

bool ingest_merge_dataset(struct ingest *ingest, struct err *err) {
    uint64_t changed_count;
    if (!refuse_orgs(ingest, err) || !end_subscriptions(ingest, &changed_count, err)) {
        return false;
    }
    for (size_t index = 0; index < sizeof mergings / sizeof mergings[0]; index++) {
        if (!merge(ingest, &mergings[index], err)) {
            return false;
        }
    }
    /* A changed end was counted as known. */
    struct ingest_counts changed = {.taken = changed_count, .duplicates = 0 - changed_count};
    return (changed_count == 0 || ingest_count(ingest, "subscriptions.csv", &changed, err)) &&
           db_run(ingest->db, "ingest/rebuild_seats.sql", NULL, NULL, err);
}
