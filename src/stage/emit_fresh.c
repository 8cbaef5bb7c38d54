/*
 * What changed in orgs.csv, or in billing.orgs, since it was extracted: a customer that there is
 * now, an org that is no longer suspended. Only orgs are looked for whose items could not be sent.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/memory.h"
#include "emit.h"
#include "source/csv.h"
#include "stage/emission.h"
#include "stage/stages.h"

enum { BATCH_ORGS = 1000 };
enum { COLUMN_ORG_ID, COLUMN_STATUS, COLUMN_CUSTOMER, COLUMN_SUBSCRIPTION, COLUMN_DODO };

static const struct csv_column columns[] = {
    [COLUMN_ORG_ID] = {"org_id", true},
    [COLUMN_STATUS] = {"status", false},
    [COLUMN_CUSTOMER] = {"stripe_customer_id", false},
    [COLUMN_SUBSCRIPTION] = {"stripe_subscription_id", false},
    [COLUMN_DODO] = {"dodo_customer_id", false},
};

struct emit_fresh {
    struct arena *arena;
    struct emit_fresh_org *orgs; /* sorted by org_id */
    size_t orgs_count;
    size_t orgs_capacity;
};

static bool keep(struct emit_fresh *fresh, struct text text, struct text *kept, struct err *err) {
    char *bytes = arena_alloc(fresh->arena, text.size_bytes + 1, err);
    if (bytes == NULL) {
        return false;
    }
    memcpy(bytes, text.bytes != NULL ? text.bytes : "", text.size_bytes);
    *kept = (struct text){bytes, text.size_bytes};
    return true;
}

/* In the order of orgs, each once. */
static bool want(struct emit_fresh *fresh, struct text org_id, struct err *err) {
    if (fresh->orgs_count > 0 && text_equals(fresh->orgs[fresh->orgs_count - 1].org_id, org_id)) {
        return true;
    }
    if (fresh->orgs_count == fresh->orgs_capacity) {
        size_t capacity = fresh->orgs_capacity == 0 ? 64 : fresh->orgs_capacity * 2;
        struct emit_fresh_org *orgs = mem_realloc(fresh->orgs, capacity * sizeof *orgs);
        if (orgs == NULL) {
            return err_memory(err, capacity * sizeof *orgs);
        }
        fresh->orgs = orgs;
        fresh->orgs_capacity = capacity;
    }
    struct emit_fresh_org *org = &fresh->orgs[fresh->orgs_count];
    *org = (struct emit_fresh_org){.is_found = false};
    if (!keep(fresh, org_id, &org->org_id, err)) {
        return false;
    }
    fresh->orgs_count++;
    return true;
}

/* Orgs without a customer or held, and those whose items were refused or held by the last emit. */
static bool want_shard(struct emit_fresh *fresh, struct run *run, size_t shard_index,
                       bool has_items, struct err *err) {
    struct table *orgs = NULL;
    struct table *records = NULL;
    struct table *items = NULL;
    bool is_fine = run_input_open(run, &checkpoint_orgs, shard_index, &orgs, err) &&
                   run_input_open(run, &checkpoint_records, shard_index, &records, err) &&
                   (!has_items || run_input_open(run, &checkpoint_items, shard_index, &items, err));
    if (is_fine) {
        struct table_cursor org = table_cursor_start(orgs);
        struct table_cursor record = table_cursor_start(records);
        struct table_cursor item = {0};
        bool has_record = table_cursor_next(&record);
        bool has_item = false;
        if (has_items) {
            item = table_cursor_start(items);
            has_item = table_cursor_next(&item);
        }
        while (is_fine && table_cursor_next(&org)) {
            struct text org_id = table_get_text(&org, ORGS_ORG_ID);
            bool is_wanted = false;
            bool has_customer = !table_is_null(&org, ORGS_STRIPE_CUSTOMER_ID);
            for (; has_record && text_equals(table_get_text(&record, RECORDS_ORG_ID), org_id);
                 has_record = table_cursor_next(&record)) {
                is_wanted = is_wanted || !has_customer ||
                            text_equals(table_get_text(&record, RECORDS_STATUS), text_from("held"));
            }
            for (; has_item && text_equals(table_get_text(&item, ITEMS_ORG_ID), org_id);
                 has_item = table_cursor_next(&item)) {
                struct text status = table_get_text(&item, ITEMS_STATUS);
                is_wanted = is_wanted || text_equals(status, text_from("failed")) ||
                            text_equals(status, text_from("held"));
            }
            is_fine = !is_wanted || want(fresh, org_id, err);
        }
    }
    table_close(orgs);
    table_close(records);
    table_close(items);
    return is_fine;
}

static struct emit_fresh_org *find_org(const struct emit_fresh *fresh, struct text org_id) {
    size_t low = 0;
    size_t high = fresh->orgs_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = text_compare(fresh->orgs[middle].org_id, org_id);
        if (order == 0) {
            return &fresh->orgs[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

static bool take_row(void *context, const struct csv_row *row, struct err *err) {
    struct emit_fresh *fresh = context;
    struct emit_fresh_org *org = find_org(fresh, row->fields[COLUMN_ORG_ID]);
    if (org == NULL) {
        return true;
    }
    org->is_found = true;
    org->is_suspended = text_equals(row->fields[COLUMN_STATUS], text_from("suspended"));
    return keep(fresh, row->fields[COLUMN_CUSTOMER], &org->customer, err) &&
           keep(fresh, row->fields[COLUMN_SUBSCRIPTION], &org->subscription, err) &&
           keep(fresh, row->fields[COLUMN_DODO], &org->dodo_customer, err);
}

static bool read_orgs(struct emit_fresh *fresh, const struct sys *sys, const char *folder,
                      struct err *err) {
    struct csv_file csv = {.file = FILE_CLOSED};
    struct csv_range range = {.until = UINT64_MAX};
    bool is_found = false;
    struct problems *problems = problems_create(err);
    bool is_fine = problems != NULL &&
                   csv_open(sys, folder, "orgs.csv", columns, sizeof columns / sizeof columns[0],
                            false, &csv, &is_found, problems, err);
    if (is_fine && is_found) {
        range.from = csv.layout.rows_offset;
        range.line = csv.layout.rows_line;
        is_fine = csv_read(&csv, range, take_row, fresh, problems, NULL, err);
    }
    csv_close(&csv);
    is_fine = is_fine && problems_check(problems, err);
    problems_destroy(problems);
    return is_fine;
}

/* --- from a database ----------------------------------------------------------------------------
 */

static bool take_text(struct emit_fresh *fresh, const struct db_result *result, size_t row,
                      size_t column, struct text *kept, struct err *err) {
    struct text text = {"", 0};
    return (db_result_is_null(result, row, column) ||
            db_result_text(result, row, column, &text, err)) &&
           keep(fresh, text, kept, err);
}

static bool take_result(struct emit_fresh *fresh, size_t first, const struct db_result *result,
                        struct err *err) {
    for (size_t row = 0; row < result->rows_count; row++) {
        int64_t place;
        struct text status;
        if (!db_result_int64(result, row, 0, &place, err) ||
            !db_result_text(result, row, 1, &status, err)) {
            return false;
        }
        struct emit_fresh_org *org = &fresh->orgs[first + (size_t)place];
        org->is_found = true;
        org->is_suspended = text_equals(status, text_from("suspended"));
        if (!take_text(fresh, result, row, 2, &org->customer, err) ||
            !take_text(fresh, result, row, 3, &org->subscription, err) ||
            !take_text(fresh, result, row, 4, &org->dodo_customer, err)) {
            return false;
        }
    }
    return true;
}

static bool ask_orgs(struct emit_fresh *fresh, struct db *db, size_t first, size_t count,
                     struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    json_t *ids = json_array();
    for (size_t index = first; index < first + count; index++) {
        struct text org_id = fresh->orgs[index].org_id;
        (void)json_array_append_new(ids, json_stringn(org_id.bytes, org_id.size_bytes));
    }
    char *text = json_array_size(ids) == count ? json_dumps(ids, JSON_COMPACT) : NULL;
    json_decref(ids);
    if (text == NULL) {
        return err_memory(err, 0);
    }
    db_params_text(&params, text_from(text));
    bool is_fine = db_run(db, "emit/orgs.sql", &params, &result, err) &&
                   take_result(fresh, first, &result, err);
    db_result_release(&result);
    free(text);
    return is_fine;
}

static bool ask_all(struct emit_fresh *fresh, struct run *run, const char *conninfo,
                    struct err *err) {
    struct db *db = NULL;
    bool is_fine = emit_database_open(run, conninfo, &db, err);
    for (size_t first = 0; is_fine && first < fresh->orgs_count; first += BATCH_ORGS) {
        size_t left = fresh->orgs_count - first;
        is_fine = ask_orgs(fresh, db, first, left < BATCH_ORGS ? left : BATCH_ORGS, err);
    }
    db_close(db);
    return is_fine;
}

/* --- loading ------------------------------------------------------------------------------------
 */

/* The orgs to look for. */
static bool fresh_begin(struct run *run, struct emit_fresh **fresh, struct err *err) {
    struct emit_fresh *made = mem_alloc(sizeof *made);
    *fresh = made;
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    made->arena = arena_create(err);
    bool is_fine = made->arena != NULL;
    bool has_items = run_stage_is_done(run, &stage_emit);
    for (size_t shard = 0; is_fine && shard < run_shards_count(run); shard++) {
        is_fine = want_shard(made, run, shard, has_items, err);
    }
    return is_fine;
}

bool emission_fresh_load(struct run *run, const char *folder, struct emit_fresh **fresh,
                         struct err *err) {
    return fresh_begin(run, fresh, err) &&
           ((*fresh)->orgs_count == 0 || read_orgs(*fresh, run_sys(run), folder, err));
}

bool emission_fresh_load_database(struct run *run, const char *conninfo, struct emit_fresh **fresh,
                                  struct err *err) {
    return fresh_begin(run, fresh, err) &&
           ((*fresh)->orgs_count == 0 || ask_all(*fresh, run, conninfo, err));
}

void emission_fresh_release(struct emit_fresh *fresh) {
    if (fresh != NULL) {
        arena_destroy(fresh->arena);
        mem_free(fresh->orgs);
        mem_free(fresh);
    }
}

const struct emit_fresh_org *emit_fresh_find(const struct emit_fresh *fresh, struct text org_id) {
    const struct emit_fresh_org *org = fresh != NULL ? find_org(fresh, org_id) : NULL;
    return org != NULL && org->is_found ? org : NULL;
}
