/*
 * orgs.csv: sorted by org_id, which gives every selected org its rank; its days; and, with a run
 * before, the terms that it was rated with there, found by walking that run's orgs alongside.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "dataset_internal.h"

/* --- rows ------------------------------------------------------------------------------------ */

/* What one thread has read. */
struct orgs_reading {
    _Alignas(DATASET_LINE_BYTES) struct sorter *sorter;
    size_t rows_count;
    struct buffer packed;
    struct calendars_met calendars;
};

/* Before the packed fields of an org's row: what most orgs need of them. */
struct org_head {
    const struct dataset_calendar *calendar;
    const struct currency *currency;
};

struct orgs_loading {
    struct dataset *dataset;
    struct orgs_reading readings[DATASET_READERS_MAX];
    struct keyed_merge merge;
    size_t rows_count;
    struct buffer packed;
    /* the run before */
    size_t sealed_shard;
    struct table_cursor sealed_row;
    bool has_sealed_row;
    bool is_sealed_row_met; /* its org is there today */
    /* filled in key order */
    size_t selected_next; /* of options.selected_orgs: those before were found or told */
};

static bool check_cap(const struct dataset_row *row, struct err *err) {
    const struct field *cap = &row->fields[ORG_FIELD_OVERAGE_CAP];
    const struct currency *currency = row->fields[ORG_FIELD_CURRENCY].currency;
    if (!row->is_sound || !cap->is_given || cap->decimal.units % currency->increment.units == 0) {
        return true;
    }
    char shown[DECIMAL_TEXT_MAX];
    char increment[DECIMAL_TEXT_MAX];
    (void)decimal_format(cap->decimal, shown);
    (void)decimal_format(currency->increment, increment);
    return problems_add(row->reader->problems, dataset_file_name(row->dataset, DATASET_ORGS),
                        row->line, "overage_cap", text_from(shown), err,
                        "is not a multiple of %s, as %s is billed", increment, currency->code);
}

static bool add_row(struct orgs_reading *reading, uint64_t line, const struct field *fields,
                    const struct dataset_calendar *calendar, struct err *err) {
    assert(calendar != NULL);
    const struct org_head head = {calendar, fields[ORG_FIELD_CURRENCY].currency};
    buffer_clear(&reading->packed);
    reading->rows_count++;
    return buffer_append(&reading->packed, (struct text){(const char *)&head, sizeof head}, err) &&
           columns_pack(&dataset_files[DATASET_ORGS], fields, &reading->packed, err) &&
           keyed_add(reading->sorter,
                     &(struct keyed){.key = fields[ORG_FIELD_ID].text,
                                     .line = line,
                                     .payload = buffer_text(&reading->packed)},
                     err);
}

static bool take_org(void *context, const struct dataset_row *row, struct err *err) {
    struct orgs_reading *reading = context;
    struct text zone = row->fields[ORG_FIELD_TIMEZONE].text;
    int anchor_day = (int)row->fields[ORG_FIELD_ANCHOR_DAY].integer;
    const struct dataset_calendar *calendar;
    if (!check_cap(row, err) || !dataset_meet_calendar(row->dataset, &reading->calendars, zone,
                                                       anchor_day, &calendar, err)) {
        return false;
    }
    if (calendar != NULL) {
        return add_row(reading, row->line, row->fields, calendar, err);
    }
    struct field fields[ORG_FIELDS_COUNT]; /* the run stops, but not yet */
    memcpy(fields, row->fields, sizeof fields);
    fields[ORG_FIELD_TIMEZONE].text = text_from("UTC");
    return dataset_refuse(row, "timezone", zone, "is no time zone of the tz database", err) &&
           dataset_meet_calendar(row->dataset, &reading->calendars, fields[ORG_FIELD_TIMEZONE].text,
                                 anchor_day, &calendar, err) &&
           add_row(reading, row->line, fields, calendar, err);
}

static bool finish_reading(void *context, struct err *err) {
    struct orgs_reading *reading = context;
    return sorter_finish(reading->sorter, err);
}

/* --- the run before -------------------------------------------------------------------------- */

static void sealed_step(struct orgs_loading *loading) {
    const struct sealed_terms *sealed = loading->dataset->options.sealed;
    loading->has_sealed_row = false;
    while (loading->sealed_shard < sealed->shards_count) {
        if (table_cursor_next(&loading->sealed_row)) {
            loading->has_sealed_row = true;
            return;
        }
        loading->sealed_shard++;
        if (loading->sealed_shard < sealed->shards_count) {
            loading->sealed_row = table_cursor_start(sealed->orgs[loading->sealed_shard]);
        }
    }
}

static void sealed_start(struct orgs_loading *loading) {
    const struct sealed_terms *sealed = loading->dataset->options.sealed;
    if (sealed != NULL && sealed->shards_count > 0) {
        loading->sealed_row = table_cursor_start(sealed->orgs[0]);
        sealed_step(loading);
    }
}

static bool sealed_row_is_rated(const struct orgs_loading *loading) {
    return text_equals(table_get_text(&loading->sealed_row, ORGS_DISPOSITION),
                       text_from(org_disposition_names[ORG_RATED]));
}

static bool is_selected(const struct dataset_options *options, struct text org_id) {
    size_t first = 0;
    size_t end = options->selected_orgs_count;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        int order = text_compare(options->selected_orgs[middle], org_id);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return options->selected_orgs_count == 0;
}

/* An org that was billed and is gone: its revision could only bill nothing, silently. */
static bool tell_lost_org(struct orgs_loading *loading, struct err *err) {
    struct dataset *dataset = loading->dataset;
    struct text org_id = table_get_text(&loading->sealed_row, ORGS_ORG_ID);
    return !dataset->orgs_are_sound || dataset->options.selected_orgs_count > 0 ||
           !sealed_row_is_rated(loading) ||
           dataset_add_problem(dataset, DATASET_ORGS, 0, "org_id", org_id,
                               "was rated by the previous run, but is not there any more", err);
}

/* Moves on to the org or behind it; *is_rated: the row is the org's, and it was rated. */
static bool sealed_walk_to(struct orgs_loading *loading, struct text org_id, bool *is_rated,
                           struct err *err) {
    *is_rated = false;
    for (; loading->has_sealed_row; sealed_step(loading)) {
        int order = text_compare(table_get_text(&loading->sealed_row, ORGS_ORG_ID), org_id);
        if (order >= 0) {
            *is_rated = order == 0 && sealed_row_is_rated(loading);
            return true;
        }
        if (!loading->is_sealed_row_met && !tell_lost_org(loading, err)) {
            return false;
        }
        loading->is_sealed_row_met = false;
    }
    return true;
}

static bool damaged(const struct table_cursor *row, const char *what, struct err *err) {
    return err_set(err, ERR_DAMAGED, "'%.700s': %s", table_path(row->table), what);
}

/* The sealed calendar and today's tz database must still agree on the period. */
static bool check_sealed_period(const struct table_cursor *row, struct text org_id,
                                const struct interval *period, struct err *err) {
    struct interval sealed = {table_get_instant(row, ORGS_PERIOD_START),
                              table_get_instant(row, ORGS_PERIOD_END)};
    if (sealed.from.us == period->from.us && sealed.until.us == period->until.us) {
        return true;
    }
    char texts[4][INSTANT_TEXT_MAX];
    (void)instant_format(sealed.from, texts[0]);
    (void)instant_format(sealed.until, texts[1]);
    (void)instant_format(period->from, texts[2]);
    (void)instant_format(period->until, texts[3]);
    (void)err_set(err, ERR_MISMATCH,
                  "org '%.*s': the previous run closed %s to %s, but now the period is %s to %s",
                  (int)org_id.size_bytes, org_id.bytes, texts[0], texts[1], texts[2], texts[3]);
    return err_hint(err, "the period or the time zone database is another one: run with those of "
                         "the previous run");
}

static bool find_sealed_plan(struct dataset *dataset, const struct table_cursor *row,
                             uint32_t *sealed_plan, struct err *err) {
    if (table_is_null(row, ORGS_PLAN_ID)) {
        return damaged(row, "a rated org has no plan", err);
    }
    const struct terms_plan *plan;
    if (!terms_find_plan(&dataset->sealed_terms, table_get_int64(row, ORGS_TERMS),
                         table_get_text(row, ORGS_PLAN_ID), &plan, err)) {
        return false;
    }
    size_t index = (size_t)(plan - dataset->sealed_terms.plans);
    static const struct catalog_plan in_use;
    dataset->sealed_plans[index] = &in_use; /* a mark until dataset_finish_plans */
    *sealed_plan = (uint32_t)index + 1;
    return true;
}

/* Takes over what was sealed for an org. */
static bool take_sealed_terms(struct dataset *dataset, const struct table_cursor *row,
                              struct text org_id, struct field *fields, struct org_extra *extra,
                              struct err *err) {
    int64_t anchor_day = table_get_int64(row, ORGS_ANCHOR_DAY);
    const struct currency *currency = currency_find(table_get_text(row, ORGS_CURRENCY));
    const struct dataset_calendar *calendar;
    if (anchor_day < 1 || anchor_day > ANCHOR_DAYS_MAX || currency == NULL) {
        return damaged(row, "a rated org has no such anchor day or currency", err);
    }
    fields[ORG_FIELD_TIMEZONE].text = table_get_text(row, ORGS_TIMEZONE);
    fields[ORG_FIELD_ANCHOR_DAY].integer = anchor_day;
    fields[ORG_FIELD_CURRENCY].currency = currency;
    struct field *cap = &fields[ORG_FIELD_OVERAGE_CAP];
    cap->is_given = !table_is_null(row, ORGS_OVERAGE_CAP);
    if (cap->is_given) {
        cap->decimal = table_get_decimal(row, ORGS_OVERAGE_CAP);
    }
    if (!dataset_find_calendar(dataset, fields[ORG_FIELD_TIMEZONE].text, (int)anchor_day, &calendar,
                               err)) {
        return false;
    }
    if (calendar == NULL) {
        struct text zone = fields[ORG_FIELD_TIMEZONE].text;
        return err_set(err, ERR_MISMATCH,
                       "the previous run closed org '%.*s' in time zone '%.*s', which the tz "
                       "database lacks",
                       (int)org_id.size_bytes, org_id.bytes, (int)zone.size_bytes, zone.bytes);
    }
    return check_sealed_period(row, org_id, &calendar->period, err) &&
           find_sealed_plan(dataset, row, &extra->sealed_plan, err);
}

/* --- in key order ---------------------------------------------------------------------------- */

/* Orgs that --org named and that come before this one, or before the end, are not there. */
static bool tell_unknown_selected(struct orgs_loading *loading, const struct text *reached,
                                  struct err *err) {
    const struct dataset_options *options = &loading->dataset->options;
    while (loading->selected_next < options->selected_orgs_count) {
        struct text wanted = options->selected_orgs[loading->selected_next];
        int order = reached != NULL ? text_compare(wanted, *reached) : -1;
        if (order > 0) {
            return true;
        }
        loading->selected_next++;
        if (order < 0 && loading->dataset->orgs_are_sound) {
            /* Nothing is wrong with the dataset: it is the command line that is mistyped. */
            (void)err_set(err, ERR_USAGE, "--org: '%.*s' is not in orgs.csv",
                          (int)wanted.size_bytes, wanted.bytes);
            return err_hint(err, "ids are compared byte by byte: capitals and spaces count");
        }
    }
    return true;
}

/* An org that is not all as it stands in its row. */
static bool change_row(struct orgs_loading *loading, struct text org_id, bool is_sealed,
                       struct org_extra *extra, struct org_head *head, struct text *row,
                       struct err *err) {
    struct dataset *dataset = loading->dataset;
    const struct dataset_file_columns *file = &dataset_files[DATASET_ORGS];
    struct field fields[ORG_FIELDS_COUNT];
    columns_unpack(file, *row, fields);
    if (dataset->options.is_overage_off) {
        fields[ORG_FIELD_OVERAGE_ENABLED].boolean = false;
    }
    if (is_sealed &&
        !take_sealed_terms(dataset, &loading->sealed_row, org_id, fields, extra, err)) {
        return false;
    }
    if (!dataset_find_calendar(dataset, fields[ORG_FIELD_TIMEZONE].text,
                               (int)fields[ORG_FIELD_ANCHOR_DAY].integer, &head->calendar, err)) {
        return false;
    }
    assert(head->calendar != NULL);
    head->currency = fields[ORG_FIELD_CURRENCY].currency;
    buffer_clear(&loading->packed);
    if (!columns_pack(file, fields, &loading->packed, err)) {
        return false;
    }
    *row = buffer_text(&loading->packed);
    return true;
}

static bool add_org(struct orgs_loading *loading, const struct keyed *keyed, struct err *err) {
    struct dataset *dataset = loading->dataset;
    struct org_head head;
    bool is_sealed;
    struct text org_id;
    if (!tell_unknown_selected(loading, &keyed->key, err) ||
        !dataset_keep_text(dataset, keyed->key, &org_id, err)) {
        return false;
    }
    if (!sealed_walk_to(loading, org_id, &is_sealed, err)) {
        return false;
    }
    loading->is_sealed_row_met =
        loading->has_sealed_row &&
        text_equals(table_get_text(&loading->sealed_row, ORGS_ORG_ID), org_id);
    if (!is_selected(&dataset->options, org_id)) {
        dataset->not_selected[dataset->not_selected_count] = org_id;
        dataset->not_selected_count++;
        return true;
    }
    uint32_t rank = dataset->catalog.orgs_count;
    struct catalog_org *org = &dataset->catalog.orgs[rank];
    struct org_extra *extra = &dataset->extras[rank];
    memcpy(&head, keyed->payload.bytes, sizeof head);
    struct text row = {keyed->payload.bytes + sizeof head, keyed->payload.size_bytes - sizeof head};
    if ((is_sealed || dataset->options.is_overage_off) &&
        !change_row(loading, org_id, is_sealed, extra, &head, &row, err)) {
        return false;
    }
    org->org_id = org_id;
    org->calendar = &head.calendar->calendar;
    extra->currency = head.currency;
    dataset->catalog.orgs_count++;
    return streams_put(dataset, DATASET_ORGS, rank, row, err);
}

/* Room for every row: repeated ones are few, and memory that is never touched costs nothing. */
static bool make_room(struct orgs_loading *loading, struct err *err) {
    struct dataset *dataset = loading->dataset;
    size_t count = loading->rows_count;
    if (count >= CATALOG_NOT_SELECTED / 2) {
        return err_set(err, ERR_INPUT, "orgs.csv has %zu rows, more than can be read", count);
    }
    bool is_selective = dataset->options.selected_orgs_count > 0;
    size_t selected = dataset->options.selected_orgs_count;
    size_t orgs_count = is_selective && selected < count ? selected : count;
    dataset->shards_count = (orgs_count + CHECKPOINT_SHARD_ORGS - 1) / CHECKPOINT_SHARD_ORGS;
    dataset->shards_count += dataset->shards_count == 0 ? 1 : 0;
    dataset->catalog.orgs = mem_alloc(orgs_count * sizeof *dataset->catalog.orgs);
    dataset->extras = mem_alloc(orgs_count * sizeof *dataset->extras);
    size_t others_bytes = (is_selective ? count : 0) * sizeof *dataset->not_selected;
    dataset->not_selected = mem_alloc(others_bytes);
    if (dataset->catalog.orgs == NULL || dataset->extras == NULL || dataset->not_selected == NULL) {
        return err_memory(err, orgs_count * sizeof *dataset->catalog.orgs + others_bytes);
    }
    return streams_create(dataset, DATASET_ORGS, err);
}

static bool take_sorted(struct orgs_loading *loading, struct keyed_check *check, struct err *err) {
    struct dataset *dataset = loading->dataset;
    struct keyed keyed;
    bool has_row;
    bool is_repeated;
    if (!make_room(loading, err)) {
        return false;
    }
    sealed_start(loading);
    for (;;) {
        if (!keyed_merge_next(&loading->merge, &keyed, &has_row, err)) {
            return false;
        }
        if (!has_row) {
            break;
        }
        if (!keyed_check_next(check, &keyed, &is_repeated, err)) {
            return false;
        }
        bool is_taken = is_repeated ? dataset_add_repeated(dataset, DATASET_ORGS, keyed.line,
                                                           "org_id", keyed.key, check->line, err)
                                    : add_org(loading, &keyed, err);
        if (!is_taken) {
            return false;
        }
    }
    for (; loading->has_sealed_row; sealed_step(loading)) {
        if (!loading->is_sealed_row_met && !tell_lost_org(loading, err)) {
            return false;
        }
        loading->is_sealed_row_met = false;
    }
    return tell_unknown_selected(loading, NULL, err) && streams_finish(dataset, DATASET_ORGS, err);
}

static bool read_orgs(struct orgs_loading *loading, bool *is_sound, struct err *err) {
    struct dataset_reading reading = {
        .file = DATASET_ORGS,
        .take = take_org,
        .finish = finish_reading,
        .context = loading->readings,
        .context_bytes = sizeof loading->readings[0],
        .contexts_count = loading->merge.sorters_count,
    };
    for (size_t index = 0; index < loading->merge.sorters_count; index++) {
        loading->readings[index] = (struct orgs_reading){
            .sorter = loading->merge.sorters[index],
        };
    }
    bool is_read = dataset_read(loading->dataset, &reading, err);
    for (size_t index = 0; index < loading->merge.sorters_count; index++) {
        loading->rows_count += loading->readings[index].rows_count;
        buffer_release(&loading->readings[index].packed);
        vector_release(&loading->readings[index].calendars.zones);
    }
    *is_sound = reading.is_sound;
    return is_read;
}

bool dataset_load_orgs(struct dataset *dataset, struct err *err) {
    struct orgs_loading loading = {.dataset = dataset};
    struct keyed_check check = {0};
    bool is_sound = false;
    bool is_loaded =
        keyed_merge_create(dataset, &loading.merge, err) && read_orgs(&loading, &is_sound, err);
    if (is_loaded) {
        dataset->orgs_are_sound = is_sound;
        is_loaded = take_sorted(&loading, &check, err) &&
                    catalog_index_create(&dataset->catalog, dataset->not_selected,
                                         dataset->not_selected_count, err);
        dataset->catalog.is_incomplete = !is_sound;
    }
    keyed_merge_release(&loading.merge);
    buffer_release(&loading.packed);
    buffer_release(&check.key);
    return is_loaded;
}
