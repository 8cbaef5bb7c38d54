/* subscriptions.csv: which time of the period an org subscribed to, and which plan rates it. */
#include <assert.h>

#include "core/memory.h"
#include "dataset_internal.h"

/* --- rows: their plan's index stands before the packed fields --------------------------------- */

/* What one thread has read. */
struct subscriptions_reading {
    _Alignas(DATASET_LINE_BYTES) struct sorter *sorter;
    struct buffer packed;
};

struct subscriptions_loading {
    struct dataset *dataset;
    struct subscriptions_reading readings[DATASET_READERS_MAX];
    struct keyed_merge merge;
    struct vector org_rows; /* of struct subscription: those of the org being taken */
    uint32_t org;
};

enum { STARTS_KEY_BYTES = 9 };

/* Sorts like the instant, "not given" first. */
static void starts_key(const struct field *starts_at, char key[STARTS_KEY_BYTES]) {
    uint64_t ordered =
        starts_at->is_given ? (uint64_t)starts_at->instant.us ^ (UINT64_C(1) << 63) : 0;
    key[0] = starts_at->is_given ? 1 : 0;
    for (int index = 0; index < 8; index++) {
        key[1 + index] = (char)(unsigned char)(ordered >> (56 - 8 * index));
    }
}

static bool add_subscription(struct subscriptions_reading *reading, const struct dataset_row *row,
                             uint32_t rank, uint32_t plan, struct err *err) {
    char key[STARTS_KEY_BYTES + CATALOG_ID_BYTES_MAX];
    struct text plan_id = row->fields[SUBSCRIPTION_FIELD_PLAN_ID].text;
    assert(plan_id.size_bytes <= CATALOG_ID_BYTES_MAX);
    starts_key(&row->fields[SUBSCRIPTION_FIELD_STARTS_AT], key);
    memcpy(key + STARTS_KEY_BYTES, plan_id.bytes, plan_id.size_bytes);
    buffer_clear(&reading->packed);
    return buffer_append(&reading->packed, (struct text){(const char *)&plan, sizeof plan}, err) &&
           columns_pack(&dataset_files[DATASET_SUBSCRIPTIONS], row->fields, &reading->packed,
                        err) &&
           keyed_add(reading->sorter,
                     &(struct keyed){.rank = rank,
                                     .key = {key, STARTS_KEY_BYTES + plan_id.size_bytes},
                                     .line = row->line,
                                     .payload = buffer_text(&reading->packed)},
                     err);
}

static bool take_subscription(void *context, const struct dataset_row *row, struct err *err) {
    struct dataset *dataset = row->dataset;
    const struct field *fields = row->fields;
    const struct field *starts_at = &fields[SUBSCRIPTION_FIELD_STARTS_AT];
    const struct field *ends_at = &fields[SUBSCRIPTION_FIELD_ENDS_AT];
    struct text plan_id = fields[SUBSCRIPTION_FIELD_PLAN_ID].text;
    uint32_t rank;
    uint32_t plan = dataset_find_plan(dataset, plan_id);
    if (!dataset_find_org(row, fields[SUBSCRIPTION_FIELD_ORG_ID].text, &rank, err)) {
        return false;
    }
    if (plan == UINT32_MAX && dataset->plans_are_sound &&
        !dataset_refuse(row, "plan_id", plan_id, "is not in plans.csv", err)) {
        return false;
    }
    if (starts_at->is_given && ends_at->is_given &&
        instant_compare(starts_at->instant, ends_at->instant) > 0) {
        char shown[INSTANT_TEXT_MAX];
        struct text value = {shown, instant_format(ends_at->instant, shown)};
        return dataset_refuse(row, "ends_at", value, "is before starts_at", err);
    }
    if (rank == CATALOG_NONE || rank == CATALOG_NOT_SELECTED || plan == UINT32_MAX ||
        !row->is_sound) {
        return true;
    }
    return add_subscription(context, row, rank, plan, err);
}

/* --- one org ---------------------------------------------------------------------------------- */

static bool clip(struct interval interval, struct interval period, struct interval *clipped) {
    clipped->from = interval.from.us > period.from.us ? interval.from : period.from;
    clipped->until = interval.until.us < period.until.us ? interval.until : period.until;
    return clipped->from.us < clipped->until.us;
}

/*
 * Clipped to the period, the plan in force at its last instant is the one that ends last, and so is
 * the last one in force when none is any more then.
 */
struct subscription_end subscriptions_find_end(const struct subscription *subscriptions,
                                               size_t subscriptions_count, struct interval period) {
    struct subscription_end end = {.plans_count = 0};
    for (size_t index = 0; index < subscriptions_count; index++) {
        struct interval clipped;
        uint32_t plan = subscriptions[index].plan;
        if (!clip(subscriptions[index].interval, period, &clipped) ||
            (end.plans_count > 0 && clipped.until.us < end.until.us)) {
            continue;
        }
        if (end.plans_count == 0 || clipped.until.us > end.until.us) {
            end = (struct subscription_end){clipped.until, 1, {plan, plan}};
            continue;
        }
        /* Two subscriptions are two, also to one plan. Plans are sorted by plan_id: the two
         * smallest are told, whatever the order of the rows. */
        if (end.plans_count == 1) {
            end.plans[1] = plan;
            end.plans_count = 2;
        } else if (plan < end.plans[1]) {
            end.plans[1] = plan;
        }
        if (end.plans[1] < end.plans[0]) {
            uint32_t larger = end.plans[0];
            end.plans[0] = end.plans[1];
            end.plans[1] = larger;
        }
    }
    return end;
}

/* The union of what is clipped; rows come sorted by their start. */
static bool find_subscribed(struct dataset *dataset, struct catalog_org *org,
                            const struct subscription *rows, size_t rows_count, struct err *err) {
    const struct interval *period = calendar_period(org->calendar);
    struct interval *merged = NULL;
    uint32_t count = 0;
    for (size_t index = 0; index < rows_count; index++) {
        struct interval clipped;
        if (!clip(rows[index].interval, *period, &clipped)) {
            continue;
        }
        if (count > 0 && clipped.from.us <= merged[count - 1].until.us) {
            if (clipped.until.us > merged[count - 1].until.us) {
                merged[count - 1].until = clipped.until;
            }
            continue;
        }
        if (merged == NULL) {
            merged = arena_alloc_array(dataset->arena, rows_count - index, sizeof *merged, err);
            if (merged == NULL) {
                return false;
            }
        }
        merged[count] = clipped;
        count++;
    }
    org->subscribed = merged;
    org->subscribed_count = count;
    return true;
}

/* Where its latest subscribed time before the period ends; INT64_MIN: there is none. */
static struct instant find_subscribed_before(const struct subscription *rows, size_t rows_count,
                                             struct instant start) {
    struct instant latest = {INT64_MIN};
    for (size_t index = 0; index < rows_count; index++) {
        struct interval interval = rows[index].interval;
        int64_t until_us = interval.until.us < start.us ? interval.until.us : start.us;
        if (interval.from.us < until_us && until_us > latest.us) {
            latest.us = until_us;
        }
    }
    return latest;
}

static bool resolve_org(struct dataset *dataset, uint32_t rank, const struct subscription *rows,
                        size_t rows_count, struct err *err) {
    struct catalog_org *org = &dataset->catalog.orgs[rank];
    const struct interval *period = calendar_period(org->calendar);
    uint32_t sealed_plan = dataset->extras[rank].sealed_plan;
    struct arena_mark mark = arena_mark(dataset->arena);
    dataset->extras[rank].subscribed_before =
        find_subscribed_before(rows, rows_count, period->from);
    if (!find_subscribed(dataset, org, rows, rows_count, err)) {
        return false;
    }
    bool is_whole = org->subscribed_count == 1 && org->subscribed[0].from.us == period->from.us &&
                    org->subscribed[0].until.us == period->until.us;
    if (is_whole) {
        arena_rewind(dataset->arena, mark); /* most orgs share the interval of their calendar */
        org->subscribed = period;
        org->subscribed_count = 1;
        org->is_whole_period = 1;
    }
    if (sealed_plan > 0 && org->subscribed_count > 0) {
        org->plan = dataset->sealed_plans[sealed_plan - 1];
        return true;
    }
    /* Rated before, not subscribed today: which time to meter is nobody's to guess. Not being rated
     * now, the org stops the revision. */
    struct subscription_end end = subscriptions_find_end(rows, rows_count, *period);
    if (end.plans_count == 1) {
        org->plan = &dataset->catalog.plans[end.plans[0]];
    }
    org->reason = (uint8_t)(end.plans_count == 0   ? ORG_REASON_NOT_SUBSCRIBED
                            : end.plans_count == 1 ? ORG_REASON_NONE
                                                   : ORG_REASON_TWO_PLANS);
    return true;
}

/* Orgs up to, not including, rank; the gathered rows are those of loading->org. */
static bool resolve_until(struct subscriptions_loading *loading, uint32_t rank, struct err *err) {
    for (; loading->org < rank; loading->org++) {
        if (!resolve_org(loading->dataset, loading->org, loading->org_rows.items,
                         loading->org_rows.count, err)) {
            return false;
        }
        loading->org_rows.count = 0;
    }
    return true;
}

/* --- all of them ------------------------------------------------------------------------------ */

void subscription_unpack(struct text payload, struct subscription *subscription,
                         struct field fields[SUBSCRIPTION_FIELDS_COUNT]) {
    uint32_t plan;
    assert(payload.size_bytes >= sizeof plan);
    memcpy(&plan, payload.bytes, sizeof plan);
    columns_unpack(&dataset_files[DATASET_SUBSCRIPTIONS],
                   (struct text){payload.bytes + sizeof plan, payload.size_bytes - sizeof plan},
                   fields);
    const struct field *starts_at = &fields[SUBSCRIPTION_FIELD_STARTS_AT];
    const struct field *ends_at = &fields[SUBSCRIPTION_FIELD_ENDS_AT];
    subscription->plan = plan;
    subscription->interval.from.us = starts_at->is_given ? starts_at->instant.us : INT64_MIN;
    subscription->interval.until.us = ends_at->is_given ? ends_at->instant.us : INT64_MAX;
}

static bool take_sorted(struct subscriptions_loading *loading, struct keyed_check *check,
                        struct err *err) {
    struct dataset *dataset = loading->dataset;
    for (;;) {
        struct keyed keyed;
        bool has_row;
        bool is_repeated;
        if (!keyed_merge_next(&loading->merge, &keyed, &has_row, err)) {
            return false;
        }
        if (!has_row) {
            return resolve_until(loading, dataset->catalog.orgs_count, err);
        }
        if (!keyed_check_next(check, &keyed, &is_repeated, err)) {
            return false;
        }
        if (is_repeated) {
            if (!dataset_add_repeated(dataset, DATASET_SUBSCRIPTIONS, keyed.line, "org_id",
                                      dataset->catalog.orgs[keyed.rank].org_id, check->line, err)) {
                return false;
            }
            continue;
        }
        struct field fields[SUBSCRIPTION_FIELDS_COUNT];
        if (!resolve_until(loading, keyed.rank, err)) {
            return false;
        }
        struct subscription *added = vector_add(&loading->org_rows, err);
        if (added == NULL) {
            return false;
        }
        subscription_unpack(keyed.payload, added, fields);
        if (!streams_put(dataset, DATASET_SUBSCRIPTIONS, keyed.rank, keyed.payload, err)) {
            return false;
        }
    }
}

static bool finish_reading(void *context, struct err *err) {
    struct subscriptions_reading *reading = context;
    return sorter_finish(reading->sorter, err);
}

static bool read_subscriptions(struct subscriptions_loading *loading, struct err *err) {
    struct dataset_reading reading = {
        .file = DATASET_SUBSCRIPTIONS,
        .take = take_subscription,
        .finish = finish_reading,
        .context = loading->readings,
        .context_bytes = sizeof loading->readings[0],
        .contexts_count = loading->merge.sorters_count,
    };
    for (size_t index = 0; index < loading->merge.sorters_count; index++) {
        loading->readings[index].sorter = loading->merge.sorters[index];
    }
    bool is_read = dataset_read(loading->dataset, &reading, err);
    for (size_t index = 0; index < loading->merge.sorters_count; index++) {
        buffer_release(&loading->readings[index].packed);
    }
    return is_read;
}

bool dataset_load_subscriptions(struct dataset *dataset, struct err *err) {
    struct subscriptions_loading loading = {
        .dataset = dataset, .org_rows = {.item_bytes = sizeof(struct subscription)}};
    struct keyed_check check = {0};
    bool is_loaded =
        keyed_merge_create(dataset, &loading.merge, err) && read_subscriptions(&loading, err) &&
        streams_create(dataset, DATASET_SUBSCRIPTIONS, err) && take_sorted(&loading, &check, err) &&
        streams_finish(dataset, DATASET_SUBSCRIPTIONS, err);
    keyed_merge_release(&loading.merge);
    buffer_release(&check.key);
    vector_release(&loading.org_rows);
    return is_loaded;
}
