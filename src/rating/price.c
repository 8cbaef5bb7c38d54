/*
 * The tables of aggregations and models, and look-ups by name.
 */
#include "rating/price.h"

#include "models.h"

const struct aggregation_row aggregation_table[AGGREGATIONS_COUNT] = {
    [AGGREGATION_SUM] = {.name = "sum", .is_level = false},
    [AGGREGATION_COUNT] = {.name = "count", .is_level = false},
    [AGGREGATION_MAX] = {.name = "max", .is_level = true},
    [AGGREGATION_LAST] = {.name = "last", .is_level = true},
    [AGGREGATION_UNIQUE] = {.name = "unique", .is_level = false},
    [AGGREGATION_TIME_WEIGHTED] = {.name = "time_weighted", .is_level = true},
};

const struct model_row model_table[MODELS_COUNT] = {
    [MODEL_PER_UNIT] =
        {
            .name = "per_unit",
            .needs_unit_price = true,
            .cost = model_per_unit_cost,
        },
    [MODEL_GRADUATED] =
        {
            .name = "graduated",
            .needs_tiers = true,
            .cost = model_graduated_cost,
        },
    [MODEL_VOLUME] =
        {
            .name = "volume",
            .needs_tiers = true,
            .cost = model_volume_cost,
        },
    [MODEL_PACKAGE] =
        {
            .name = "package",
            .needs_unit_price = true,
            .needs_package_size = true,
            .cost = model_package_cost,
        },
};

/* A value added to an enum without its row above would leave a hole at the end of its table. */
_Static_assert(AGGREGATIONS_COUNT == 6, "a new aggregation needs its row in aggregation_table");
_Static_assert(MODELS_COUNT == 4, "a new model needs its row in model_table");

bool aggregation_find(struct text name, enum aggregation *aggregation) {
    for (size_t row = 0; row < AGGREGATIONS_COUNT; row++) {
        if (text_equals(name, text_from(aggregation_table[row].name))) {
            *aggregation = (enum aggregation)row;
            return true;
        }
    }
    return false;
}

bool model_find(struct text name, enum model *model) {
    for (size_t row = 0; row < MODELS_COUNT; row++) {
        if (text_equals(name, text_from(model_table[row].name))) {
            *model = (enum model)row;
            return true;
        }
    }
    return false;
}
