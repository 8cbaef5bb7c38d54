/*
 * Plans with their prices and tiers: today's from plans.csv, prices.csv and tiers.csv, and those
 * sealed with the revision before that some org is still rated with.
 *
 * A sealed plan keeps its id, so its `terms` tells it from today's: 1, and counting up where the
 * revision before itself used several plans of that id (its own today's and older sealed ones).
 */
#include <assert.h>
#include <stdlib.h>

#include "core/memory.h"
#include "dataset_internal.h"

struct plan_row {
    struct catalog_plan plan;
    uint64_t line;
};

struct price_row {
    uint32_t plan; /* index into today's */
    uint64_t line;
    bool has_unit_price;
    bool has_package_size;
    struct catalog_price price;
};

struct tier_row {
    size_t price; /* index into the sorted prices */
    uint64_t line;
    struct text up_to; /* as it is written */
    struct tier tier;
};

/* While the three files are read. */
struct plans_loading {
    struct dataset *dataset;
    struct vector plans;
    struct vector prices;
    struct vector tiers;
    struct catalog_price *sorted_prices; /* in the arena, as the plans point to them */
    bool prices_are_sound;
    bool tiers_are_sound;
};

static struct plan_row *plan_rows(const struct plans_loading *loading) {
    return loading->plans.items;
}
static struct price_row *price_rows(const struct plans_loading *loading) {
    return loading->prices.items;
}
static struct tier_row *tier_rows(const struct plans_loading *loading) {
    return loading->tiers.items;
}

static int compare_lines(uint64_t left, uint64_t right) {
    return (left > right) - (left < right);
}

static void sort_vector(struct vector *vector, int (*compare)(const void *, const void *)) {
    if (vector->count > 1) {
        qsort(vector->items, vector->count, vector->item_bytes, compare);
    }
}

/* --- plans.csv ------------------------------------------------------------------------------- */

static bool take_plan(void *context, const struct dataset_row *row, struct err *err) {
    struct plans_loading *loading = context;
    struct plan_row *added = vector_add(&loading->plans, err);
    if (added == NULL) {
        return false;
    }
    added->line = row->line;
    added->plan.currency = row->fields[PLAN_FIELD_CURRENCY].currency;
    struct text name = row->fields[PLAN_FIELD_NAME].is_given ? row->fields[PLAN_FIELD_NAME].text
                                                             : (struct text){"", 0};
    return dataset_keep_text(row->dataset, row->fields[PLAN_FIELD_ID].text, &added->plan.plan_id,
                             err) &&
           dataset_keep_text(row->dataset, name, &added->plan.name, err);
}

/* A what-if changes prices: without a plans.csv of its own, the plans are those of the run. */
static bool take_sealed_plans(struct plans_loading *loading, struct err *err) {
    struct table_cursor row = table_cursor_start(loading->dataset->stand_in_plans);
    struct dataset *dataset = loading->dataset;
    uint64_t line = 0;
    while (table_cursor_next(&row)) {
        struct text plan_id = table_get_text(&row, PLANS_PLAN_ID);
        line++;
        struct plan_row *added = vector_add(&loading->plans, err);
        if (added == NULL) {
            return false;
        }
        struct text name = table_is_null(&row, PLANS_NAME) ? (struct text){"", 0}
                                                           : table_get_text(&row, PLANS_NAME);
        added->line = line;
        added->plan.currency = currency_find(table_get_text(&row, PLANS_CURRENCY));
        if (added->plan.currency == NULL) {
            return err_set(err, ERR_DAMAGED, "'%.700s': a plan in a currency that is unknown",
                           table_path(loading->dataset->stand_in_plans));
        }
        if (!dataset_keep_text(dataset, plan_id, &added->plan.plan_id, err) ||
            !dataset_keep_text(dataset, name, &added->plan.name, err)) {
            return false;
        }
    }
    return true;
}

static bool read_plan_rows(struct plans_loading *loading, struct err *err) {
    struct dataset *dataset = loading->dataset;
    struct dataset_reading reading = {.file = DATASET_PLANS, .take = take_plan, .context = loading};
    char path[FILE_PATH_MAX];
    enum path_kind kind = PATH_FILE;
    if (dataset->stand_in_plans != NULL &&
        (!path_format(path, err, "%s/%s", dataset->options.folder,
                      dataset_files[DATASET_PLANS].file) ||
         !path_kind_of_input(dataset->sys, path, &kind, err))) {
        return false;
    }
    if (kind == PATH_MISSING) {
        dataset->plans_are_sound = true;
        return take_sealed_plans(loading, err);
    }
    dataset->stand_in_plans = NULL; /* not needed */
    bool is_read = dataset_read(dataset, &reading, err);
    dataset->plans_are_sound = reading.is_sound;
    return is_read;
}

static int compare_plans(const void *left_row, const void *right_row) {
    const struct plan_row *left = left_row;
    const struct plan_row *right = right_row;
    int order = text_compare(left->plan.plan_id, right->plan.plan_id);
    return order != 0 ? order : compare_lines(left->line, right->line);
}

static bool add_repeated_plan(struct dataset *dataset, const struct plan_row *first,
                              const struct plan_row *again, struct err *err) {
    if (first->plan.currency == again->plan.currency) {
        return dataset_add_repeated(dataset, DATASET_PLANS, again->line, "plan_id",
                                    again->plan.plan_id, first->line, err);
    }
    return problems_add(dataset->problems, dataset_file_name(dataset, DATASET_PLANS), again->line,
                        "plan_id", again->plan.plan_id, err,
                        "has two currencies: %s here, %s on line %llu", again->plan.currency->code,
                        first->plan.currency->code, (unsigned long long)first->line);
}

static bool load_plan_rows(struct plans_loading *loading, struct err *err) {
    struct dataset *dataset = loading->dataset;
    if (!read_plan_rows(loading, err)) {
        return false;
    }
    sort_vector(&loading->plans, compare_plans);
    dataset->today =
        arena_alloc_array(dataset->arena, loading->plans.count, sizeof *dataset->today, err);
    if (dataset->today == NULL) {
        return false;
    }
    const struct plan_row *first = NULL;
    for (size_t index = 0; index < loading->plans.count; index++) {
        const struct plan_row *row = &plan_rows(loading)[index];
        if (first != NULL && text_equals(first->plan.plan_id, row->plan.plan_id)) {
            /* sealed plans: the same once more, on older terms */
            if (dataset->stand_in_plans == NULL && !add_repeated_plan(dataset, first, row, err)) {
                return false;
            }
            continue;
        }
        first = row;
        dataset->today[dataset->today_count] = row->plan;
        dataset->today_count++;
    }
    return true;
}

/* --- prices.csv ------------------------------------------------------------------------------ */

/* The index of a row's plan; UINT32_MAX with its problem told. */
static bool find_row_plan(struct dataset *dataset, enum dataset_file_number file, uint64_t line,
                          struct text plan_id, uint32_t *plan, struct err *err) {
    *plan = dataset_find_plan(dataset, plan_id);
    /* Beside the plans of a run: prices of others are not needed, and those it has must all be
     * there. */
    return *plan != UINT32_MAX || !dataset->plans_are_sound || dataset->stand_in_plans != NULL ||
           dataset_add_problem(dataset, file, line, "plan_id", plan_id, "is not in plans.csv", err);
}

static bool check_price(const struct dataset_row *row, const struct price_row *price,
                        struct err *err) {
    struct dataset *dataset = row->dataset;
    const struct model_row *model = &model_table[price->price.price.model];
    const struct aggregation_row *aggregation = &aggregation_table[price->price.price.aggregation];
    const char *file = dataset_file_name(dataset, DATASET_PRICES);
    const struct text nothing = {0};
    if (model->needs_unit_price && !price->has_unit_price &&
        !problems_add(dataset->problems, file, row->line, "unit_price", nothing, err,
                      "is empty, but model %s needs it", model->name)) {
        return false;
    }
    if (model->needs_package_size && !price->has_package_size &&
        !problems_add(dataset->problems, file, row->line, "package_size", nothing, err,
                      "is empty, but model %s needs it", model->name)) {
        return false;
    }
    bool is_seats = text_equals(price->price.metric, text_from("seats"));
    if (is_seats && dataset->catalog.has_seats_file && !aggregation->is_level) {
        return problems_add(dataset->problems, file, row->line, "aggregation",
                            text_from(aggregation->name), err,
                            "does not go with seats.csv: use last, max or time_weighted");
    }
    return true;
}

static bool take_price(void *context, const struct dataset_row *row, struct err *err) {
    struct plans_loading *loading = context;
    const struct field *fields = row->fields;
    uint32_t plan;
    if (!find_row_plan(row->dataset, DATASET_PRICES, row->line, fields[PRICE_FIELD_PLAN_ID].text,
                       &plan, err)) {
        return false;
    }
    if (plan == UINT32_MAX) {
        return true;
    }
    struct price_row *added = vector_add(&loading->prices, err);
    if (added == NULL) {
        return false;
    }
    struct text metric = fields[PRICE_FIELD_METRIC].text;
    struct price *price = &added->price.price;
    added->plan = plan;
    added->line = row->line;
    price->aggregation =
        text_equals(metric, text_from("seats")) ? AGGREGATION_LAST : AGGREGATION_SUM;
    if (fields[PRICE_FIELD_AGGREGATION].is_given) {
        price->aggregation = (enum aggregation)fields[PRICE_FIELD_AGGREGATION].integer;
    }
    price->model = (enum model)fields[PRICE_FIELD_MODEL].integer;
    price->included = fields[PRICE_FIELD_INCLUDED].decimal;
    price->has_hard_limit = fields[PRICE_FIELD_HARD_LIMIT].is_given;
    price->hard_limit =
        price->has_hard_limit ? fields[PRICE_FIELD_HARD_LIMIT].decimal : DECIMAL_ZERO;
    /* What the model has no use for is left out, here and in the checkpoint. */
    const struct model_row *model = &model_table[price->model];
    added->has_unit_price = fields[PRICE_FIELD_UNIT_PRICE].is_given;
    if (model->needs_unit_price && added->has_unit_price) {
        price->unit_price = fields[PRICE_FIELD_UNIT_PRICE].decimal;
    }
    added->has_package_size = fields[PRICE_FIELD_PACKAGE_SIZE].is_given;
    if (model->needs_package_size) {
        price->package_size =
            added->has_package_size ? fields[PRICE_FIELD_PACKAGE_SIZE].decimal : DECIMAL_ONE;
    }
    struct text unit =
        fields[PRICE_FIELD_UNIT].is_given ? fields[PRICE_FIELD_UNIT].text : (struct text){"", 0};
    return dataset_keep_text(row->dataset, metric, &added->price.metric, err) &&
           dataset_keep_text(row->dataset, unit, &added->price.unit, err) &&
           (!row->is_sound || check_price(row, added, err));
}

static int compare_prices(const void *left_row, const void *right_row) {
    const struct price_row *left = left_row;
    const struct price_row *right = right_row;
    if (left->plan != right->plan) {
        return left->plan < right->plan ? -1 : 1;
    }
    int order = text_compare(left->price.metric, right->price.metric);
    return order != 0 ? order : compare_lines(left->line, right->line);
}

static bool is_same_price(const struct price_row *left, const struct price_row *right) {
    return left->plan == right->plan && text_equals(left->price.metric, right->price.metric);
}

/* Sorts the rows, drops repeated ones, and hangs each plan's prices on it. */
static bool load_price_rows(struct plans_loading *loading, struct err *err) {
    struct dataset *dataset = loading->dataset;
    struct dataset_reading reading = {
        .file = DATASET_PRICES, .take = take_price, .context = loading};
    if (!dataset_read(dataset, &reading, err)) {
        return false;
    }
    loading->prices_are_sound = reading.is_sound;
    sort_vector(&loading->prices, compare_prices);
    loading->sorted_prices = arena_alloc_array(dataset->arena, loading->prices.count,
                                               sizeof *loading->sorted_prices, err);
    if (loading->sorted_prices == NULL) {
        return false;
    }
    struct price_row *rows = price_rows(loading);
    size_t kept = 0;
    for (size_t index = 0; index < loading->prices.count; index++) {
        if (kept > 0 && is_same_price(&rows[kept - 1], &rows[index])) {
            if (!dataset_add_repeated(dataset, DATASET_PRICES, rows[index].line, "metric",
                                      rows[index].price.metric, rows[kept - 1].line, err)) {
                return false;
            }
            continue;
        }
        rows[kept] = rows[index];
        loading->sorted_prices[kept] = rows[kept].price;
        struct catalog_plan *plan = &dataset->today[rows[kept].plan];
        if (plan->prices_count == 0) {
            plan->prices = &loading->sorted_prices[kept];
        }
        plan->prices_count++;
        kept++;
    }
    loading->prices.count = kept;
    return true;
}

/* --- tiers.csv ------------------------------------------------------------------------------- */

static bool take_tier(void *context, const struct dataset_row *row, struct err *err) {
    struct plans_loading *loading = context;
    struct dataset *dataset = row->dataset;
    const struct field *fields = row->fields;
    struct text metric = fields[TIER_FIELD_METRIC].text;
    uint32_t plan;
    uint32_t slot;
    if (!find_row_plan(dataset, DATASET_TIERS, row->line, fields[TIER_FIELD_PLAN_ID].text, &plan,
                       err)) {
        return false;
    }
    if (plan == UINT32_MAX) {
        return true;
    }
    const struct catalog_org org = {.plan = &dataset->today[plan]};
    const struct catalog_price *price = catalog_find_price(&org, metric, &slot);
    if (price == NULL) {
        return !loading->prices_are_sound ||
               dataset_add_problem(dataset, DATASET_TIERS, row->line, "metric", metric,
                                   "has no price in prices.csv for this plan", err);
    }
    const struct model_row *model = &model_table[price->price.model];
    if (!model->needs_tiers) {
        return problems_add(dataset->problems, dataset_file_name(dataset, DATASET_TIERS), row->line,
                            "metric", metric, err, "is priced by model %s, which has no tiers",
                            model->name);
    }
    struct tier_row *added = vector_add(&loading->tiers, err);
    if (added == NULL) {
        return false;
    }
    added->price = (size_t)(price - loading->sorted_prices);
    added->line = row->line;
    added->tier.is_open = !fields[TIER_FIELD_UP_TO].is_given;
    added->tier.up_to = added->tier.is_open ? DECIMAL_ZERO : fields[TIER_FIELD_UP_TO].decimal;
    added->tier.unit_price = fields[TIER_FIELD_UNIT_PRICE].decimal;
    added->tier.flat_price = fields[TIER_FIELD_FLAT_PRICE].decimal;
    return dataset_keep_text(dataset, row->texts[TIER_FIELD_UP_TO], &added->up_to, err);
}

static int compare_tiers(const void *left_row, const void *right_row) {
    const struct tier_row *left = left_row;
    const struct tier_row *right = right_row;
    if (left->price != right->price) {
        return left->price < right->price ? -1 : 1;
    }
    if (left->tier.is_open != right->tier.is_open) {
        return left->tier.is_open ? 1 : -1;
    }
    int order = decimal_compare(left->tier.up_to, right->tier.up_to);
    return order != 0 ? order : compare_lines(left->line, right->line);
}

/* The rows of one price, sorted. */
static bool check_tiers(struct dataset *dataset, const struct price_row *price,
                        const struct tier_row *rows, size_t count, struct err *err) {
    const char *file = dataset_file_name(dataset, DATASET_TIERS);
    for (size_t index = 1; index < count; index++) {
        const struct tier_row *before = &rows[index - 1];
        const struct tier_row *row = &rows[index];
        if (row->tier.is_open != before->tier.is_open ||
            decimal_compare(row->tier.up_to, before->tier.up_to) != 0) {
            continue;
        }
        if (!problems_add(dataset->problems, file, row->line, "up_to", row->up_to, err,
                          "overlaps the tier on line %llu", (unsigned long long)before->line)) {
            return false;
        }
    }
    if (count > CHARGE_LINES_MAX) {
        return problems_add(dataset->problems, file, rows[CHARGE_LINES_MAX].line, "metric",
                            price->price.metric, err, "has %zu tiers, at most %d are possible",
                            count, CHARGE_LINES_MAX);
    }
    if (count > 0 && !rows[count - 1].tier.is_open) {
        return problems_add(
            dataset->problems, file, rows[count - 1].line, "up_to", rows[count - 1].up_to, err,
            "ends the last tier of metric '%.*s', which must be open: leave it empty",
            (int)price->price.metric.size_bytes, price->price.metric.bytes);
    }
    if (count == 0) {
        return problems_add(dataset->problems, dataset_file_name(dataset, DATASET_PRICES),
                            price->line, "model",
                            text_from(model_table[price->price.price.model].name), err,
                            "needs tiers, but tiers.csv has none for this price");
    }
    return true;
}

static bool load_tier_rows(struct plans_loading *loading, struct err *err) {
    struct dataset *dataset = loading->dataset;
    struct dataset_reading reading = {.file = DATASET_TIERS, .take = take_tier, .context = loading};
    if (!dataset_read(dataset, &reading, err)) {
        return false;
    }
    sort_vector(&loading->tiers, compare_tiers);
    struct tier *sorted =
        arena_alloc_array(dataset->arena, loading->tiers.count, sizeof *sorted, err);
    if (sorted == NULL) {
        return false;
    }
    const struct tier_row *rows = tier_rows(loading);
    size_t next = 0;
    for (size_t index = 0; index < loading->prices.count; index++) {
        size_t first = next;
        for (; next < loading->tiers.count && rows[next].price == index; next++) {
            sorted[next] = rows[next].tier;
        }
        struct price *price = &loading->sorted_prices[index].price;
        price->tiers = &sorted[first];
        price->tiers_count = next - first;
        /* A tier that was dropped for another problem would only be missed here. */
        if (model_table[price->model].needs_tiers && reading.is_sound &&
            !check_tiers(dataset, &price_rows(loading)[index], next > first ? &rows[first] : NULL,
                         next - first, err)) {
            return false;
        }
    }
    assert(next == loading->tiers.count);
    return true;
}

bool dataset_load_plans(struct dataset *dataset, struct err *err) {
    struct plans_loading loading = {
        .dataset = dataset,
        .plans = {.item_bytes = sizeof(struct plan_row)},
        .prices = {.item_bytes = sizeof(struct price_row)},
        .tiers = {.item_bytes = sizeof(struct tier_row)},
    };
    bool is_loaded = load_plan_rows(&loading, err) && load_price_rows(&loading, err) &&
                     load_tier_rows(&loading, err);
    vector_release(&loading.plans);
    vector_release(&loading.prices);
    vector_release(&loading.tiers);
    return is_loaded;
}
