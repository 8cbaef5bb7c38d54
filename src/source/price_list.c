#include "source/price_list.h"

#include "core/memory.h"
#include "dataset_internal.h"

static bool folder_is_there(const struct sys *sys, const char *folder, struct err *err) {
    enum path_kind kind;
    if (!path_kind_of_input(sys, folder, &kind, err)) {
        return false;
    }
    if (kind == PATH_DIRECTORY) {
        return true;
    }
    (void)err_set(err, ERR_INPUT, "price list '%.700s' is %s", folder,
                  kind == PATH_MISSING ? "not there" : "not a folder");
    return err_hint(err, "name the folder that holds prices.csv and, for tiered models, tiers.csv");
}

bool price_list_load(const struct sys *sys, const char *folder, const struct table *sealed_plans,
                     struct price_list *list, struct problems *problems, struct err *err) {
    *list = (struct price_list){0};
    if (!folder_is_there(sys, folder, err)) {
        return false;
    }
    struct dataset *dataset = mem_alloc(sizeof *dataset);
    if (dataset == NULL) {
        return err_memory(err, sizeof *dataset);
    }
    dataset->sys = sys;
    dataset->options.folder = folder;
    dataset->problems = problems;
    dataset->stand_in_plans = sealed_plans;
    (void)pthread_mutex_init(&dataset->zones_mutex, NULL);
    dataset->arena = arena_create(err);
    if (dataset->arena == NULL || !dataset_load_plans(dataset, err)) {
        dataset_destroy(dataset);
        return false;
    }
    *list = (struct price_list){
        .dataset = dataset, .plans = dataset->today, .plans_count = (uint32_t)dataset->today_count};
    return true;
}

void price_list_release(struct price_list *list) {
    dataset_destroy(list->dataset);
    *list = (struct price_list){0};
}

static bool write_tiers(const struct catalog_plan *plan, const struct catalog_price *price,
                        struct table_writer *tiers, struct err *err) {
    for (size_t index = 0; index < price->price.tiers_count; index++) {
        const struct tier *tier = &price->price.tiers[index];
        table_put_int64(tiers, TIERS_TERMS, plan->terms);
        table_put_text(tiers, TIERS_PLAN_ID, plan->plan_id);
        table_put_text(tiers, TIERS_METRIC, price->metric);
        table_put_int64(tiers, TIERS_TIER, (int64_t)index + 1);
        if (!tier->is_open) {
            table_put_decimal(tiers, TIERS_UP_TO, tier->up_to);
        }
        table_put_decimal(tiers, TIERS_UNIT_PRICE, tier->unit_price);
        table_put_decimal(tiers, TIERS_FLAT_PRICE, tier->flat_price);
        if (!table_end_row(tiers, err)) {
            return false;
        }
    }
    return true;
}

static bool write_price(const struct catalog_plan *plan, const struct catalog_price *price,
                        struct table_writer *prices, struct err *err) {
    const struct model_row *model = &model_table[price->price.model];
    table_put_int64(prices, PRICES_TERMS, plan->terms);
    table_put_text(prices, PRICES_PLAN_ID, plan->plan_id);
    table_put_text(prices, PRICES_METRIC, price->metric);
    table_put_text(prices, PRICES_AGGREGATION,
                   text_from(aggregation_table[price->price.aggregation].name));
    table_put_text(prices, PRICES_MODEL, text_from(model->name));
    table_put_decimal(prices, PRICES_INCLUDED, price->price.included);
    if (price->price.has_hard_limit) {
        table_put_decimal(prices, PRICES_HARD_LIMIT, price->price.hard_limit);
    }
    if (model->needs_unit_price) {
        table_put_decimal(prices, PRICES_UNIT_PRICE, price->price.unit_price);
    }
    if (model->needs_package_size) {
        table_put_decimal(prices, PRICES_PACKAGE_SIZE, price->price.package_size);
    }
    if (price->unit.size_bytes > 0) {
        table_put_text(prices, PRICES_UNIT, price->unit);
    }
    return table_end_row(prices, err);
}

bool price_list_write(const struct catalog_plan *plan, const struct price_list_writers *writers,
                      struct err *err) {
    table_put_int64(writers->plans, PLANS_TERMS, plan->terms);
    table_put_text(writers->plans, PLANS_PLAN_ID, plan->plan_id);
    if (plan->name.size_bytes > 0) {
        table_put_text(writers->plans, PLANS_NAME, plan->name);
    }
    table_put_text(writers->plans, PLANS_CURRENCY, text_from(plan->currency->code));
    if (!table_end_row(writers->plans, err)) {
        return false;
    }
    for (uint32_t slot = 0; slot < plan->prices_count; slot++) {
        const struct catalog_price *price = &plan->prices[slot];
        if (!write_price(plan, price, writers->prices, err) ||
            !write_tiers(plan, price, writers->tiers, err)) {
            return false;
        }
    }
    return true;
}
