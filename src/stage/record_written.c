/*
 * What a result has become in the tables: their sums are those of what was sent, or nothing is
 * recorded; then the run's own row is marked as written.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "record_write.h"

/* --- the sums, as the tables have them ------------------------------------------------------- */

static bool differ(const struct writing *writing, const char *what, const char *unit,
                   struct decimal sent, struct decimal there, struct err *err) {
    char left[DECIMAL_TEXT_MAX];
    char right[DECIMAL_TEXT_MAX];
    (void)decimal_format(sent, left);
    (void)decimal_format(there, right);
    if (!writing->ledger->is_written) {
        return err_set(err, ERR_CONTROL,
                       "%s %s: %s were sent, the tables have %s: nothing was recorded", what, unit,
                       left, right);
    }
    (void)err_set(err, ERR_CONTROL, "%s %s: run %lld recorded %s, the tables have %s", what, unit,
                  (long long)writing_run_number(writing), left, right);
    return err_hint(err, "rows of the run were changed or deleted in the database since: find out "
                         "who did it before anything is sent");
}

static struct decimal count_of(int64_t count) {
    struct decimal decimal;
    bool fits = decimal_from_int64(count, &decimal);
    assert(fits);
    (void)fits;
    return decimal;
}

struct written_row {
    struct text currency;
    int64_t rows_count;
    struct decimal cost;
    struct decimal billed;
    int64_t orgs_count;
};

static bool read_written(const struct db_result *result, size_t row, struct written_row *written,
                         struct err *err) {
    return db_result_text(result, row, 0, &written->currency, err) &&
           db_result_int64(result, row, 1, &written->rows_count, err) &&
           db_result_decimal(result, row, 2, &written->cost, err) &&
           db_result_decimal(result, row, 3, &written->billed, err) &&
           db_result_int64(result, row, 4, &written->orgs_count, err);
}

static bool check_pair(const struct writing *writing, const char *what, struct text unit,
                       struct decimal sent, struct decimal there, struct err *err) {
    struct totals *totals = run_totals(writing->ledger->run);
    if (decimal_compare(sent, there) != 0) {
        char shown[128];
        (void)snprintf(shown, sizeof shown, "(%.*s)", (int)unit.size_bytes, unit.bytes);
        return differ(writing, what, shown, sent, there, err);
    }
    return totals_add_left(totals, what, unit, sent, err) &&
           totals_add_right(totals, what, unit, there, err);
}

/* Row 0 is usage, the others are records by currency. */
static bool check_row(const struct writing *writing, const struct db_result *result, size_t row,
                      struct err *err) {
    static const char rows[] = "rows recorded = rows in the database";
    struct written_row there;
    if (!read_written(result, row, &there, err)) {
        return false;
    }
    if (row == 0) {
        return check_pair(writing, rows, text_from("periods"),
                          count_of((int64_t)writing->orgs_count), count_of(there.orgs_count),
                          err) &&
               check_pair(writing, rows, text_from("usage"),
                          count_of((int64_t)writing->usage_count), count_of(there.rows_count),
                          err) &&
               check_pair(writing, "usage recorded = usage in the database", text_from("units"),
                          writing->usage, there.cost, err) &&
               check_pair(writing, "usage recorded = usage in the database", text_from("events"),
                          count_of(writing->events), there.billed, err);
    }
    const struct written_sums none = {.rows_count = 0};
    const struct written_sums *sums = &none;
    for (size_t index = 0; index < writing->sums_count; index++) {
        if (text_equals(text_from(writing->sums[index].currency->code), there.currency)) {
            sums = &writing->sums[index];
        }
    }
    return check_pair(writing, "records written = records in the database", there.currency,
                      count_of((int64_t)sums->rows_count), count_of(there.rows_count), err) &&
           check_pair(writing, "cost recorded = cost in the database", there.currency, sums->cost,
                      there.cost, err) &&
           check_pair(writing, "billed recorded = billed in the database", there.currency,
                      sums->billed, there.billed, err);
}

bool writing_check_sums(const struct writing *writing, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    db_params_text(&params, text_from(writing->ledger->day));
    db_params_int64(&params, writing_run_number(writing));
    bool is_done = db_run(writing->ledger->db, "record/written.sql", &params, &result, err);
    if (is_done && result.rows_count != writing->sums_count + 1) {
        is_done =
            differ(writing, "currencies of", "records", count_of((int64_t)writing->sums_count),
                   count_of((int64_t)result.rows_count - 1), err);
    }
    for (size_t row = 0; is_done && row < result.rows_count; row++) {
        is_done = check_row(writing, &result, row, err);
    }
    db_result_release(&result);
    return is_done;
}

/* --- the mark that it is written ------------------------------------------------------------- */

static json_t *sums_document(const struct writing *writing) {
    json_t *sums = json_object();
    for (size_t index = 0; sums != NULL && index < writing->sums_count; index++) {
        const struct written_sums *row = &writing->sums[index];
        char cost[DECIMAL_TEXT_MAX];
        char billed[DECIMAL_TEXT_MAX];
        (void)money_format(row->cost, row->currency, cost);
        (void)money_format(row->billed, row->currency, billed);
        json_t *object = json_pack("{s:I, s:s, s:s}", "records", (json_int_t)row->rows_count,
                                   "cost", cost, "billed", billed);
        if (json_object_set_new(sums, row->currency->code, object) != 0) {
            json_decref(sums);
            return NULL;
        }
    }
    return sums;
}

static char *totals_document(const struct writing *writing) {
    const struct ledger *ledger = writing->ledger;
    json_t *sums = sums_document(writing);
    json_t *document =
        sums == NULL
            ? NULL
            : json_pack("{s:I, s:I, s:I, s:o}", "new_orgs", (json_int_t)ledger->counts[LEDGER_NEW],
                        "changed_orgs", (json_int_t)ledger->counts[LEDGER_CHANGED], "usage_rows",
                        (json_int_t)writing->usage_count, "currencies", sums);
    char *text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    return text;
}

static char *digests_document(const struct ledger *ledger, struct err *err) {
    char key[DIGEST_TEXT_MAX];
    (void)err;
    digest_format(&ledger->result_key, key);
    json_t *document = json_pack("{s:s}", "result", key);
    char *text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    return text;
}

static bool pinned_instant(const struct ledger *ledger, const char *name, struct db_params *params,
                           struct err *err) {
    const char *pinned = run_pinned(ledger->run, PIN_OPTION, name);
    struct instant instant;
    if (pinned == NULL || instant_parse(text_from(pinned), &instant) != NULL) {
        return err_set(err, ERR_DAMAGED, "%s: '%s' is not pinned, or is no time stamp",
                       run_path(ledger->run), name);
    }
    db_params_instant(params, instant);
    return true;
}

static void put_word(struct db_params *params, const char *word) {
    if (word != NULL) {
        db_params_text(params, text_from(word));
    } else {
        db_params_null(params);
    }
}

bool writing_mark_done(const struct writing *writing, struct err *err) {
    const struct ledger *ledger = writing->ledger;
    const struct stage_session *session = ledger->session;
    struct db_params params = {0};
    char *totals = totals_document(writing);
    char *digests = digests_document(ledger, err);
    db_params_int64(&params, session->claim.run_id);
    put_word(&params, session->reason);
    db_params_bool(&params, session->is_forced);
    bool is_done = pinned_instant(ledger, "cutoff", &params, err) &&
                   pinned_instant(ledger, "now", &params, err);
    put_word(&params, run_pinned(ledger->run, PIN_VERSION, pin_snapshot));
    put_word(&params, run_id(ledger->run));
    db_params_bytes(&params, (struct text){(const char *)ledger->result_key.bytes, DIGEST_BYTES});
    put_word(&params, digests);
    put_word(&params, totals);
    is_done = is_done && ((totals != NULL && digests != NULL) || err_memory(err, 4096)) &&
              db_run(ledger->db, "record/finish.sql", &params, NULL, err);
    free(totals);
    free(digests);
    return is_done;
}
