/* Today's plans and the sealed ones that are in use, in one array for the catalog. */
#include <assert.h>
#include <stdlib.h>

#include "dataset_internal.h"

static bool copy_prices(struct dataset *dataset, const struct terms_plan *from,
                        struct catalog_plan *plan, struct err *err) {
    struct catalog_price *prices =
        arena_alloc_array(dataset->arena, from->prices_count, sizeof *prices, err);
    if (prices == NULL) {
        return false;
    }
    for (size_t index = 0; index < from->prices_count; index++) {
        prices[index] = (struct catalog_price){
            .metric = from->prices[index].metric,
            .unit = from->prices[index].unit,
            .price = from->prices[index].price,
        };
    }
    plan->prices = prices;
    plan->prices_count = (uint32_t)from->prices_count;
    return true;
}

static int compare_plans(const void *left_plan, const void *right_plan) {
    const struct catalog_plan *left = left_plan;
    const struct catalog_plan *right = right_plan;
    if (left->terms != right->terms) {
        return left->terms < right->terms ? -1 : 1;
    }
    return text_compare(left->plan_id, right->plan_id);
}

/* Sealed plans come sorted by (terms, plan_id): how many of this id in use came before. */
static int64_t number_of_terms(const struct dataset *dataset, size_t sealed_index) {
    const struct terms_plan *plans = dataset->sealed_terms.plans;
    int64_t terms = 1;
    for (size_t index = 0; index < sealed_index; index++) {
        if (dataset->sealed_plans[index] != NULL &&
            text_equals(plans[index].plan_id, plans[sealed_index].plan_id)) {
            terms++;
        }
    }
    return terms;
}

/* sealed_plans[] held a mark for each one in use; afterwards it points at the catalog's copy. */
bool dataset_finish_plans(struct dataset *dataset, struct err *err) {
    size_t count = dataset->today_count;
    for (size_t index = 0; index < dataset->sealed_terms.plans_count; index++) {
        count += dataset->sealed_plans[index] != NULL ? 1 : 0;
    }
    struct catalog_plan *plans = arena_alloc_array(dataset->arena, count, sizeof *plans, err);
    if (plans == NULL) {
        return false;
    }
    if (dataset->today_count > 0) {
        memcpy(plans, dataset->today, dataset->today_count * sizeof *plans);
    }
    dataset->today = plans;
    size_t next = dataset->today_count;
    if (dataset->options.sealed != NULL) {
        struct table_cursor row = table_cursor_start(dataset->options.sealed->plans);
        for (size_t index = 0; index < dataset->sealed_terms.plans_count; index++) {
            const struct terms_plan *sealed = &dataset->sealed_terms.plans[index];
            bool has_row = table_cursor_next(&row);
            assert(has_row); /* terms_load read the same table */
            if (dataset->sealed_plans[index] == NULL) {
                continue;
            }
            struct catalog_plan *plan = &plans[next];
            *plan = (struct catalog_plan){
                .plan_id = sealed->plan_id,
                .name = table_is_null(&row, PLANS_NAME) ? (struct text){"", 0}
                                                        : table_get_text(&row, PLANS_NAME),
                .currency = sealed->currency,
                .terms = number_of_terms(dataset, index),
            };
            if (!copy_prices(dataset, sealed, plan, err)) {
                return false;
            }
            next++;
        }
    }
    assert(next == count);
    if (next > dataset->today_count + 1) {
        qsort(plans + dataset->today_count, next - dataset->today_count, sizeof *plans,
              compare_plans);
    }
    for (size_t index = 0; index < dataset->sealed_terms.plans_count; index++) {
        if (dataset->sealed_plans[index] == NULL) {
            continue;
        }
        const struct catalog_plan key = {
            .plan_id = dataset->sealed_terms.plans[index].plan_id,
            .terms = number_of_terms(dataset, index),
        };
        dataset->sealed_plans[index] =
            bsearch(&key, plans + dataset->today_count, next - dataset->today_count, sizeof *plans,
                    compare_plans);
        assert(dataset->sealed_plans[index] != NULL);
    }
    dataset->catalog.plans = plans;
    dataset->catalog.plans_count = (uint32_t)count;
    return true;
}
