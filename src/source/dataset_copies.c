/*
 * The files keyed by org that are copied to the checkpoint row by row: limits.csv,
 * usage_history.csv and invitations.csv. What the catalog needs of the history (the opening levels,
 * and which period was recorded last) is taken on the way. Of the history only that is copied: the
 * month before, and what shows a gap or an overlap. The rest grows from month to month, and is read
 * by nothing.
 */
#include <assert.h>
#include <stdio.h>

#include "core/memory.h"
#include "dataset_internal.h"

enum { KEY_BYTES_MAX = CATALOG_ID_BYTES_MAX + INSTANT_TEXT_MAX + 1 };

struct copying;

/* One of those files; a row of copies[] below is its whole declaration. */
struct copy {
    enum dataset_file_number file;
    size_t org_field;
    const char *key_column; /* named when a key stands twice */
    /* Sorts within the org like the checkpoint's key. Returns its bytes. */
    size_t (*format_key)(const struct field *fields, char key[KEY_BYTES_MAX]);
    bool is_sealed; /* orgs rated by the run before keep that run's rows instead */
    /* A row as it comes, before they are in order; may be NULL. */
    void (*note)(struct copying *copying, uint32_t rank, const struct field *fields);
    /* Is it copied? May be NULL: all are. */
    bool (*is_kept)(const struct copying *copying, uint32_t rank, const struct field *fields);
    /* A row in key order that is, seen by the catalog; may be NULL. */
    bool (*see)(struct copying *copying, uint32_t rank, const struct field *fields,
                struct err *err);
};

struct copying {
    struct dataset *dataset;
    const struct copy *copy;
    struct sorter *sorter;
    struct sorter *ids; /* invitations: by id over all orgs */
    struct buffer packed;
    struct vector openings;
    uint64_t idle_count; /* limits of metrics that the org's plan does not price */
    char idle[CATALOG_ID_BYTES_MAX + CATALOG_METRIC_BYTES_MAX + 3]; /* the first of them */
};

static size_t copy_key(struct text text, char key[KEY_BYTES_MAX]) {
    assert(text.size_bytes <= CATALOG_ID_BYTES_MAX);
    memcpy(key, text.bytes, text.size_bytes);
    return text.size_bytes;
}

static size_t limit_key(const struct field *fields, char key[KEY_BYTES_MAX]) {
    return copy_key(fields[LIMIT_FIELD_METRIC].text, key);
}

/* No metric holds a NUL, so a metric sorts before all that it begins. */
static size_t history_key(const struct field *fields, char key[KEY_BYTES_MAX]) {
    size_t size_bytes = copy_key(fields[HISTORY_FIELD_METRIC].text, key);
    key[size_bytes] = '\0';
    char month[INSTANT_TEXT_MAX];
    size_t month_bytes = month_format(fields[HISTORY_FIELD_PERIOD].month, month);
    memcpy(key + size_bytes + 1, month, month_bytes);
    return size_bytes + 1 + month_bytes;
}

static size_t invitation_key(const struct field *fields, char key[KEY_BYTES_MAX]) {
    return copy_key(fields[INVITATION_FIELD_ID].text, key);
}

/* Most likely a slip of the pen: it does nothing. */
static bool see_limit(struct copying *copying, uint32_t rank, const struct field *fields,
                      struct err *err) {
    (void)err;
    const struct catalog_org *org = &copying->dataset->catalog.orgs[rank];
    const struct text *metric = &fields[LIMIT_FIELD_METRIC].text;
    uint32_t slot;
    if (org->plan != NULL && catalog_find_price(org, *metric, &slot) == NULL &&
        copying->idle_count++ == 0) {
        (void)snprintf(copying->idle, sizeof copying->idle, "%.*s, %.*s",
                       (int)org->org_id.size_bytes, org->org_id.bytes, (int)metric->size_bytes,
                       metric->bytes);
    }
    return true;
}

static bool note_idle(const struct copying *copying, struct err *err) {
    return copying->idle_count == 0 ||
           problems_note(
               copying->dataset->problems, err,
               "%s: rows for metrics that the org's plan has no price for have no effect: "
               "%llu, the first: %s",
               dataset_files[copying->copy->file].file, (unsigned long long)copying->idle_count,
               copying->idle);
}

static void note_history(struct copying *copying, uint32_t rank, const struct field *fields) {
    int32_t number = month_number(fields[HISTORY_FIELD_PERIOD].month);
    struct org_extra *extra = &copying->dataset->extras[rank];
    if (number > extra->latest_period) {
        extra->latest_period = number;
    }
}

static bool is_month_before(const struct copying *copying, const struct field *fields) {
    return month_number(fields[HISTORY_FIELD_PERIOD].month) ==
           month_number(copying->dataset->options.month) - 1;
}

/* An org without a plan has no gap: there is nothing to close. */
static bool is_history_kept(const struct copying *copying, uint32_t rank,
                            const struct field *fields) {
    const struct dataset *dataset = copying->dataset;
    return is_month_before(copying, fields) || (dataset->catalog.orgs[rank].plan != NULL &&
                                                month_number(fields[HISTORY_FIELD_PERIOD].month) ==
                                                    dataset->extras[rank].latest_period);
}

static bool see_history(struct copying *copying, uint32_t rank, const struct field *fields,
                        struct err *err) {
    struct dataset *dataset = copying->dataset;
    if (!is_month_before(copying, fields) || !fields[HISTORY_FIELD_CLOSING_LEVEL].is_given) {
        return true;
    }
    uint32_t slot;
    const struct catalog_price *price =
        catalog_find_price(&dataset->catalog.orgs[rank], fields[HISTORY_FIELD_METRIC].text, &slot);
    if (price == NULL) {
        return true;
    }
    struct catalog_opening *opening = vector_add(&copying->openings, err);
    if (opening == NULL) {
        return false;
    }
    *opening = (struct catalog_opening){
        .org = rank,
        .metric = price->metric, /* its text lives as long as the catalog */
        .closing_level = fields[HISTORY_FIELD_CLOSING_LEVEL].decimal,
    };
    return true;
}

static const struct copy copy_limits = {
    .file = DATASET_LIMITS,
    .org_field = LIMIT_FIELD_ORG_ID,
    .key_column = "metric",
    .format_key = limit_key,
    .is_sealed = true,
    .see = see_limit,
};
static const struct copy copy_history = {
    .file = DATASET_HISTORY,
    .org_field = HISTORY_FIELD_ORG_ID,
    .key_column = "metric",
    .format_key = history_key,
    .note = note_history,
    .is_kept = is_history_kept,
    .see = see_history,
};
static const struct copy copy_invitations = {
    .file = DATASET_INVITATIONS,
    .org_field = INVITATION_FIELD_ORG_ID,
    .key_column = "invitation_id",
    .format_key = invitation_key,
};

/* --- rows in ---------------------------------------------------------------------------------- */

static bool add_row(struct copying *copying, uint32_t rank, uint64_t line,
                    const struct field *fields, struct err *err) {
    char key[KEY_BYTES_MAX];
    struct text key_text = {key, copying->copy->format_key(fields, key)};
    buffer_clear(&copying->packed);
    return columns_pack(&dataset_files[copying->copy->file], fields, &copying->packed, err) &&
           keyed_add(copying->sorter,
                     &(struct keyed){.rank = rank,
                                     .key = key_text,
                                     .line = line,
                                     .payload = buffer_text(&copying->packed)},
                     err);
}

static bool take_row(void *context, const struct dataset_row *row, struct err *err) {
    struct copying *copying = context;
    const struct copy *copy = copying->copy;
    struct dataset *dataset = row->dataset;
    uint32_t rank;
    if (copying->ids != NULL &&
        !keyed_add(copying->ids,
                   &(struct keyed){.key = row->fields[INVITATION_FIELD_ID].text, .line = row->line},
                   err)) {
        return false;
    }
    if (!dataset_find_org(row, row->fields[copy->org_field].text, &rank, err)) {
        return false;
    }
    if (rank == CATALOG_NONE || rank == CATALOG_NOT_SELECTED || !row->is_sound ||
        (copy->is_sealed && dataset->extras[rank].sealed_plan > 0)) {
        return true;
    }
    if (copy->note != NULL) {
        copy->note(copying, rank, row->fields);
    }
    return add_row(copying, rank, row->line, row->fields, err);
}

/* The limits of the run before, for the orgs that are rated with its terms. */
static bool add_sealed_limits(struct copying *copying, struct err *err) {
    struct dataset *dataset = copying->dataset;
    const struct sealed_terms *sealed = dataset->options.sealed;
    for (size_t shard = 0; sealed != NULL && shard < sealed->shards_count; shard++) {
        struct table_cursor row = table_cursor_start(sealed->limits[shard]);
        while (table_cursor_next(&row)) {
            uint32_t rank =
                catalog_find_org(&dataset->catalog, table_get_text(&row, LIMITS_ORG_ID));
            if (rank == CATALOG_NONE || rank == CATALOG_NOT_SELECTED ||
                dataset->extras[rank].sealed_plan == 0) {
                continue;
            }
            struct field fields[LIMIT_FIELDS_COUNT] = {0};
            fields[LIMIT_FIELD_METRIC].is_given = true;
            fields[LIMIT_FIELD_METRIC].text = table_get_text(&row, LIMITS_METRIC);
            struct field *soft = &fields[LIMIT_FIELD_SOFT_LIMIT];
            struct field *hard = &fields[LIMIT_FIELD_HARD_LIMIT];
            soft->is_given = !table_is_null(&row, LIMITS_SOFT_LIMIT);
            hard->is_given = !table_is_null(&row, LIMITS_HARD_LIMIT);
            if (soft->is_given) {
                soft->decimal = table_get_decimal(&row, LIMITS_SOFT_LIMIT);
            }
            if (hard->is_given) {
                hard->decimal = table_get_decimal(&row, LIMITS_HARD_LIMIT);
            }
            if (catalog_check_metric(fields[LIMIT_FIELD_METRIC].text) != NULL) {
                return err_set(err, ERR_DAMAGED, "'%.700s': a metric is none",
                               table_path(sealed->limits[shard]));
            }
            if (!add_row(copying, rank, 0, fields, err)) {
                return false;
            }
        }
    }
    return true;
}

/* --- rows out --------------------------------------------------------------------------------- */

static bool tell_repeated(struct copying *copying, const struct keyed *keyed,
                          const struct keyed_check *check, struct err *err) {
    const char *end = memchr(keyed->key.bytes, '\0', keyed->key.size_bytes); /* before a period */
    size_t size_bytes = end != NULL ? (size_t)(end - keyed->key.bytes) : keyed->key.size_bytes;
    return dataset_add_repeated(copying->dataset, copying->copy->file, keyed->line,
                                copying->copy->key_column,
                                (struct text){keyed->key.bytes, size_bytes}, check->line, err);
}

static bool check_ids(struct copying *copying, struct keyed_check *check, struct err *err) {
    struct keyed keyed;
    bool has_row;
    bool is_repeated;
    if (!sorter_finish(copying->ids, err)) {
        return false;
    }
    for (;;) {
        if (!keyed_next(copying->ids, &keyed, &has_row, err)) {
            return false;
        }
        if (!has_row) {
            return true;
        }
        if (!keyed_check_next(check, &keyed, &is_repeated, err) ||
            (is_repeated && !tell_repeated(copying, &keyed, check, err))) {
            return false;
        }
    }
}

static bool take_sorted(struct copying *copying, struct keyed_check *check, struct err *err) {
    struct dataset *dataset = copying->dataset;
    const struct copy *copy = copying->copy;
    struct keyed keyed;
    bool has_row;
    bool is_repeated;
    for (;;) {
        if (!keyed_next(copying->sorter, &keyed, &has_row, err)) {
            return false;
        }
        if (!has_row) {
            return true;
        }
        if (!keyed_check_next(check, &keyed, &is_repeated, err)) {
            return false;
        }
        if (is_repeated) {
            if (copying->ids == NULL && !tell_repeated(copying, &keyed, check, err)) {
                return false;
            }
            continue;
        }
        struct field fields[CSV_COLUMNS_MAX];
        columns_unpack(&dataset_files[copy->file], keyed.payload, fields);
        if (copy->is_kept != NULL && !copy->is_kept(copying, keyed.rank, fields)) {
            continue;
        }
        if ((copy->see != NULL && !copy->see(copying, keyed.rank, fields, err)) ||
            !streams_put(dataset, copy->file, keyed.rank, keyed.payload, err)) {
            return false;
        }
    }
}

static bool copying_run(struct copying *copying, struct err *err) {
    struct dataset *dataset = copying->dataset;
    struct dataset_reading reading = {
        .file = copying->copy->file, .take = take_row, .context = copying};
    struct keyed_check check = {0};
    struct keyed_check ids_check = {0};
    bool is_loaded =
        keyed_sorter_create(dataset, &copying->sorter, err) &&
        dataset_read(dataset, &reading, err) &&
        (!copying->copy->is_sealed || add_sealed_limits(copying, err)) &&
        (copying->ids == NULL || check_ids(copying, &ids_check, err)) &&
        sorter_finish(copying->sorter, err) && streams_create(dataset, copying->copy->file, err) &&
        take_sorted(copying, &check, err) && streams_finish(dataset, copying->copy->file, err);
    sorter_destroy(copying->sorter);
    sorter_destroy(copying->ids);
    buffer_release(&copying->packed);
    buffer_release(&check.key);
    buffer_release(&ids_check.key);
    return is_loaded;
}

bool dataset_load_limits(struct dataset *dataset, struct err *err) {
    struct copying copying = {.dataset = dataset, .copy = &copy_limits};
    return copying_run(&copying, err) && note_idle(&copying, err);
}

bool dataset_load_history(struct dataset *dataset, struct err *err) {
    struct copying copying = {.dataset = dataset,
                              .copy = &copy_history,
                              .openings = {.item_bytes = sizeof(struct catalog_opening)}};
    bool is_loaded = copying_run(&copying, err);
    dataset->openings = copying.openings.items;
    dataset->catalog.openings = copying.openings.items;
    dataset->catalog.openings_count = (uint32_t)copying.openings.count;
    return is_loaded;
}

bool dataset_load_invitations(struct dataset *dataset, struct err *err) {
    struct copying copying = {.dataset = dataset, .copy = &copy_invitations};
    return keyed_sorter_create(dataset, &copying.ids, err) && copying_run(&copying, err);
}
