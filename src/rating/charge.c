/*
 * From usage to cents for one (org, metric).
 */
#include "rating/charge.h"

#include <assert.h>

/* What of the usage is billed, and what the hard limit should have kept out. */
static bool charge_set_overage(struct charge *charge, struct decimal usage) {
    struct decimal billable = usage;
    charge->blocked = DECIMAL_ZERO;
    if (charge->has_hard_limit && usage.units > charge->hard_limit.units) {
        billable = charge->hard_limit;
        if (!decimal_subtract(usage, charge->hard_limit, &charge->blocked)) {
            return false;
        }
    }
    charge->overage = DECIMAL_ZERO; /* also where the hard limit lies below the limit */
    return billable.units <= charge->limit.units ||
           decimal_subtract(billable, charge->limit, &charge->overage);
}

struct decimal charge_limit(const struct price *price, const struct limits *limits) {
    return limits != NULL && limits->has_soft_limit ? limits->soft_limit : price->included;
}

bool charge_rate(const struct price *price, const struct limits *limits, struct decimal usage,
                 const struct currency *currency, struct charge *charge, struct charge_lines *lines,
                 struct err *err) {
    assert(usage.units >= 0);
    assert((size_t)price->model < MODELS_COUNT);
    if (lines != NULL) {
        lines->lines_count = 0;
    }
    bool has_own_hard_limit = limits != NULL && limits->has_hard_limit;
    charge->limit = charge_limit(price, limits);
    charge->has_hard_limit = has_own_hard_limit || price->has_hard_limit;
    charge->hard_limit = DECIMAL_ZERO;
    if (charge->has_hard_limit) {
        charge->hard_limit = has_own_hard_limit ? limits->hard_limit : price->hard_limit;
    }
    charge->exact = EXACT_ZERO;
    charge->exact_cost = DECIMAL_ZERO;
    charge->uncapped_cost = DECIMAL_ZERO;
    if (!charge_set_overage(charge, usage)) {
        return err_set(err, ERR_RANGE, "overage: usage less its limit does not fit");
    }
    if (decimal_is_zero(charge->overage)) {
        return true;
    }
    const struct model_row *model = &model_table[price->model];
    if (!model->cost(price, charge->overage, &charge->exact, lines)) {
        return err_set(err, ERR_RANGE, "cost: the sum of products of model '%s' does not fit",
                       model->name);
    }
    if (!exact_round_to_decimal(charge->exact, &charge->exact_cost)) {
        return err_set(err, ERR_RANGE, "cost: the exact cost does not fit");
    }
    return money_round(charge->exact, currency, &charge->uncapped_cost, err);
}
