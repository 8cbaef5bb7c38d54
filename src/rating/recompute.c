/* Numbers are values: rows of digits, copied freely. Slow, and easy to believe. */
#include "rating/recompute.h"

#include <assert.h>
#include <stdlib.h>

enum { UNIT_PLACES = 15 }; /* a unit is 10^-15 */

_Static_assert((int)UNIT_PLACES == (int)DECIMAL_PLACES, "numbers count the units of decimals");

/* --- digits -------------------------------------------------------------------------------------
 */

static struct recompute_number number_trim(struct recompute_number value) {
    while (value.count > 0 && value.digits[value.count - 1] == 0) {
        value.count--;
    }
    return value;
}

static struct recompute_number number_from(uint128 value) {
    struct recompute_number result = {.count = 0};
    const uint64_t chunk = UINT64_C(1000000000000000000);
    enum { CHUNK_DIGITS = 18 };
    while (value != 0) {
        uint64_t low = (uint64_t)(value % chunk);
        value /= chunk;
        for (int digit = 0; digit < CHUNK_DIGITS; digit++) {
            result.digits[result.count++] = (uint8_t)(low % 10);
            low /= 10;
        }
    }
    return number_trim(result);
}

static int number_compare(const struct recompute_number *left,
                          const struct recompute_number *right) {
    if (left->count != right->count) {
        return left->count < right->count ? -1 : 1;
    }
    for (unsigned place = left->count; place-- > 0;) {
        if (left->digits[place] != right->digits[place]) {
            return left->digits[place] < right->digits[place] ? -1 : 1;
        }
    }
    return 0;
}

void recompute_add(struct recompute_number *sum, const struct recompute_number *addend) {
    unsigned carry = 0;
    for (unsigned place = 0; place < addend->count || carry != 0; place++) {
        assert(place < RECOMPUTE_DIGITS_MAX);
        unsigned digit = carry + (place < sum->count ? sum->digits[place] : 0U) +
                         (place < addend->count ? addend->digits[place] : 0U);
        carry = digit > 9 ? 1 : 0;
        sum->digits[place] = (uint8_t)(digit - carry * 10);
        sum->count = place >= sum->count ? place + 1 : sum->count;
    }
}

/* left - right, for left >= right. */
static struct recompute_number number_subtract(const struct recompute_number *left,
                                               const struct recompute_number *right) {
    assert(number_compare(left, right) >= 0);
    struct recompute_number result = *left;
    int borrow = 0;
    for (unsigned place = 0; place < right->count || borrow != 0; place++) {
        int digit =
            result.digits[place] - borrow - (place < right->count ? right->digits[place] : 0);
        borrow = digit < 0 ? 1 : 0;
        result.digits[place] = (uint8_t)(digit + borrow * 10);
    }
    return number_trim(result);
}

static struct recompute_number number_multiply(const struct recompute_number *left,
                                               const struct recompute_number *right) {
    struct recompute_number result = {.count = left->count + right->count};
    assert(result.count <= RECOMPUTE_DIGITS_MAX);
    for (unsigned row = 0; row < right->count; row++) {
        unsigned carry = 0;
        for (unsigned column = 0; column < left->count; column++) {
            carry += result.digits[row + column] +
                     (unsigned)left->digits[column] * (unsigned)right->digits[row];
            result.digits[row + column] = (uint8_t)(carry % 10);
            carry /= 10;
        }
        result.digits[row + left->count] = (uint8_t)carry;
    }
    return number_trim(result);
}

/* value followed by zeros: x 10^places. */
static struct recompute_number number_shift(const struct recompute_number *value, unsigned places) {
    if (value->count == 0) {
        return *value;
    }
    struct recompute_number result = {.count = value->count + places};
    assert(result.count <= RECOMPUTE_DIGITS_MAX);
    memcpy(result.digits + places, value->digits, value->count);
    return result;
}

/* Long division, digit by digit: floor(numerator / denominator), and what is left. */
static struct recompute_number divide_long(const struct recompute_number *numerator,
                                           const struct recompute_number *denominator,
                                           struct recompute_number *rest) {
    struct recompute_number quotient = {.count = numerator->count};
    struct recompute_number left = {.count = 0};
    for (unsigned place = numerator->count; place-- > 0;) {
        left = number_shift(&left, 1);
        if (numerator->digits[place] != 0 || left.count > 0) {
            left.digits[0] = numerator->digits[place];
            left.count = left.count == 0 ? 1 : left.count;
        }
        while (number_compare(&left, denominator) >= 0) {
            left = number_subtract(&left, denominator);
            quotient.digits[place]++;
        }
    }
    *rest = left;
    return number_trim(quotient);
}

/* The lowest places digits are cut off. */
static struct recompute_number number_cut(const struct recompute_number *value, unsigned places) {
    struct recompute_number result = {.count = 0};
    if (value->count > places) {
        result.count = value->count - places;
        memcpy(result.digits, value->digits + places, result.count);
    }
    return result;
}

/* Zeros at the end of the denominator (it is often 1 and many zeros) are set aside first. */
static struct recompute_number number_divide(const struct recompute_number *numerator,
                                             const struct recompute_number *denominator,
                                             struct recompute_number *rest) {
    unsigned zeros = 0;
    assert(denominator->count > 0);
    while (denominator->digits[zeros] == 0) {
        zeros++;
    }
    struct recompute_number short_numerator = number_cut(numerator, zeros);
    struct recompute_number short_denominator = number_cut(denominator, zeros);
    struct recompute_number short_rest;
    struct recompute_number low = *numerator;
    low.count = low.count < zeros ? low.count : zeros;
    low = number_trim(low);
    struct recompute_number quotient;
    if (short_denominator.count == 1 && short_denominator.digits[0] == 1) {
        quotient = short_numerator;
        short_rest = (struct recompute_number){.count = 0};
    } else {
        quotient = divide_long(&short_numerator, &short_denominator, &short_rest);
    }
    *rest = number_shift(&short_rest, zeros);
    recompute_add(rest, &low);
    return quotient;
}

/* numerator / denominator, half away from zero. */
static struct recompute_number number_divide_half_away(const struct recompute_number *numerator,
                                                       const struct recompute_number *denominator) {
    static const struct recompute_number one = {.count = 1, .digits = {1}};
    struct recompute_number rest;
    struct recompute_number quotient = number_divide(numerator, denominator, &rest);
    struct recompute_number twice = rest;
    recompute_add(&twice, &rest);
    if (number_compare(&twice, denominator) >= 0) {
        recompute_add(&quotient, &one);
    }
    return quotient;
}

struct recompute_number recompute_read(struct decimal value, bool *is_negative) {
    *is_negative = value.units < 0;
    return number_from(value.units < 0 ? -(uint128)value.units : (uint128)value.units);
}

bool recompute_is(const struct recompute_number *value, struct decimal expected) {
    bool is_negative;
    struct recompute_number other = recompute_read(expected, &is_negative);
    return !is_negative && number_compare(value, &other) == 0;
}

size_t recompute_format(const struct recompute_number *value, char text[RECOMPUTE_TEXT_MAX]) {
    size_t size = 0;
    unsigned last = 0;
    while (last < UNIT_PLACES && (last >= value->count || value->digits[last] == 0)) {
        last++; /* zeros at the end of the decimals */
    }
    unsigned places = value->count > UNIT_PLACES ? value->count : UNIT_PLACES + 1;
    for (unsigned place = places; place-- > last;) {
        if (place + 1 == UNIT_PLACES) {
            text[size++] = '.';
        }
        text[size++] = (char)('0' + (place < value->count ? value->digits[place] : 0));
    }
    text[size] = '\0';
    return size;
}

/* --- charges ------------------------------------------------------------------------------------
 */

static bool read_positive(struct decimal value, struct recompute_number *result, struct err *err) {
    bool is_negative;
    *result = recompute_read(value, &is_negative);
    return !is_negative ||
           err_set(err, ERR_CONTROL, "a price, a tier or a limit below zero is sealed");
}

static bool load_tiers(struct recompute_price *loaded, const struct price *price,
                       struct arena *arena, struct err *err) {
    struct recompute_tier *tiers = arena_alloc_array(arena, price->tiers_count, sizeof *tiers, err);
    if (tiers == NULL) {
        return false;
    }
    for (size_t index = 0; index < price->tiers_count; index++) {
        tiers[index].is_open = price->tiers[index].is_open;
        if (!read_positive(price->tiers[index].up_to, &tiers[index].up_to, err) ||
            !read_positive(price->tiers[index].unit_price, &tiers[index].unit_price, err) ||
            !read_positive(price->tiers[index].flat_price, &tiers[index].flat_price, err)) {
            return false;
        }
    }
    bool ends_open = price->tiers_count > 0 && tiers[price->tiers_count - 1].is_open;
    for (size_t index = 0; index + 1 < price->tiers_count; index++) {
        bool is_below = index + 2 == price->tiers_count ||
                        number_compare(&tiers[index].up_to, &tiers[index + 1].up_to) < 0;
        ends_open = ends_open && !tiers[index].is_open && is_below;
    }
    bool needs_tiers = price->model == MODEL_GRADUATED || price->model == MODEL_VOLUME;
    if (needs_tiers && !ends_open) {
        return err_set(err, ERR_CONTROL, "tiers that do not ascend to one open tier are sealed");
    }
    loaded->tiers = tiers;
    loaded->tiers_count = price->tiers_count;
    return true;
}

bool recompute_price_load(struct recompute_price *loaded, const struct price *price,
                          struct arena *arena, struct err *err) {
    *loaded =
        (struct recompute_price){.model = price->model, .has_hard_limit = price->has_hard_limit};
    if (!read_positive(price->included, &loaded->included, err) ||
        !read_positive(price->hard_limit, &loaded->hard_limit, err) ||
        !read_positive(price->unit_price, &loaded->unit_price, err) ||
        !read_positive(price->package_size, &loaded->package_size, err)) {
        return false;
    }
    if (price->model == MODEL_PACKAGE && loaded->package_size.count == 0) {
        return err_set(err, ERR_CONTROL, "a package of size zero is sealed");
    }
    return load_tiers(loaded, price, arena, err);
}

/* amount counts 10^-30: quantity x price, both in units. */
static void add_product(struct recompute_number *amount, const struct recompute_number *quantity,
                        const struct recompute_number *price) {
    struct recompute_number product = number_multiply(quantity, price);
    recompute_add(amount, &product);
}

static void add_flat(struct recompute_number *amount, const struct recompute_number *flat_price) {
    struct recompute_number flat = number_shift(flat_price, UNIT_PLACES);
    recompute_add(amount, &flat);
}

/* Each tier's part of the quantity, from the bottom up. */
static struct recompute_number cost_graduated(const struct recompute_price *price,
                                              const struct recompute_number *quantity) {
    struct recompute_number amount = {.count = 0};
    struct recompute_number below = {.count = 0}; /* the upper bound of the tier before */
    for (size_t index = 0; index < price->tiers_count; index++) {
        const struct recompute_tier *tier = &price->tiers[index];
        bool is_last = tier->is_open || number_compare(quantity, &tier->up_to) <= 0;
        struct recompute_number part = number_subtract(is_last ? quantity : &tier->up_to, &below);
        add_product(&amount, &part, &tier->unit_price);
        add_flat(&amount, &tier->flat_price);
        if (is_last) {
            break;
        }
        below = tier->up_to;
    }
    return amount;
}

/* The whole quantity at the price of the tier it falls in. */
static struct recompute_number cost_volume(const struct recompute_price *price,
                                           const struct recompute_number *quantity) {
    struct recompute_number amount = {.count = 0};
    size_t index = 0;
    while (!price->tiers[index].is_open &&
           number_compare(quantity, &price->tiers[index].up_to) > 0) {
        index++;
    }
    add_product(&amount, quantity, &price->tiers[index].unit_price);
    add_flat(&amount, &price->tiers[index].flat_price);
    return amount;
}

/* A package begun is a package sold. */
static struct recompute_number cost_package(const struct recompute_price *price,
                                            const struct recompute_number *quantity) {
    static const struct recompute_number one = {.count = 1, .digits = {1}};
    struct recompute_number rest;
    struct recompute_number packages = number_divide(quantity, &price->package_size, &rest);
    if (rest.count > 0) {
        recompute_add(&packages, &one);
    }
    struct recompute_number amount = number_multiply(&packages, &price->unit_price);
    return number_shift(&amount, UNIT_PLACES);
}

/* Counts 10^-30; quantity above zero. */
static struct recompute_number cost_of(const struct recompute_price *price,
                                       const struct recompute_number *quantity) {
    switch (price->model) {
    case MODEL_PER_UNIT:
        return number_multiply(quantity, &price->unit_price);
    case MODEL_GRADUATED:
        return cost_graduated(price, quantity);
    case MODEL_VOLUME:
        return cost_volume(price, quantity);
    case MODEL_PACKAGE:
        return cost_package(price, quantity);
    case MODELS_COUNT:
        break;
    }
    assert(false && "a price has a model");
    abort();
}

void recompute_charge(const struct recompute_terms *terms, const struct recompute_number *usage,
                      struct recompute_charge *charge) {
    static const struct recompute_number one = {.count = 1, .digits = {1}};
    const struct recompute_price *price = terms->price;
    const struct recompute_number *hard_limit = terms->hard_limit;
    if (hard_limit == NULL && price->has_hard_limit) {
        hard_limit = &price->hard_limit;
    }
    *charge = (struct recompute_charge){.limit = terms->soft_limit != NULL ? *terms->soft_limit
                                                                           : price->included};
    const struct recompute_number *billable = usage;
    if (hard_limit != NULL && number_compare(usage, hard_limit) > 0) {
        charge->blocked = number_subtract(usage, hard_limit);
        billable = hard_limit;
    }
    if (number_compare(billable, &charge->limit) <= 0) {
        return; /* no overage costs nothing */
    }
    charge->overage = number_subtract(billable, &charge->limit);
    struct recompute_number exact = cost_of(price, &charge->overage);
    struct recompute_number unit = number_shift(&one, UNIT_PLACES);
    struct recompute_number increment = number_shift(terms->increment, UNIT_PLACES);
    charge->exact_cost = number_divide_half_away(&exact, &unit);
    struct recompute_number increments = number_divide_half_away(&exact, &increment);
    charge->uncapped_cost = number_multiply(&increments, terms->increment);
}

/* The largest rest first; ties by the bytes of the metric. */
static int capped_compare(const void *left, const void *right) {
    const struct recompute_capped *a = left;
    const struct recompute_capped *b = right;
    int order = number_compare(&b->rest, &a->rest);
    return order != 0 ? order : text_compare(a->metric, b->metric);
}

static int place_compare(const void *left, const void *right) {
    const struct recompute_capped *a = left;
    const struct recompute_capped *b = right;
    return (a->place > b->place) - (a->place < b->place);
}

void recompute_cap(struct recompute_capped *costs, size_t costs_count,
                   const struct recompute_number *cap, const struct recompute_number *increment) {
    static const struct recompute_number one = {.count = 1, .digits = {1}};
    struct recompute_number rest;
    struct recompute_number total = {.count = 0};
    for (size_t index = 0; index < costs_count; index++) {
        costs[index].place = index;
        costs[index].cost = costs[index].uncapped_cost;
        recompute_add(&total, &costs[index].uncapped_cost);
    }
    if (number_compare(&total, cap) <= 0) {
        return;
    }
    /* In increments: share = cost x cap / total, and the increments that nobody got. */
    struct recompute_number left_over = number_divide(cap, increment, &rest);
    for (size_t index = 0; index < costs_count; index++) {
        struct recompute_number increments =
            number_divide(&costs[index].uncapped_cost, increment, &rest);
        struct recompute_number product = number_multiply(&increments, cap);
        costs[index].cost = number_divide(&product, &total, &costs[index].rest);
        left_over = number_subtract(&left_over, &costs[index].cost);
    }
    qsort(costs, costs_count, sizeof *costs, capped_compare);
    for (size_t index = 0; index < costs_count; index++) {
        if (left_over.count > 0) {
            recompute_add(&costs[index].cost, &one);
            left_over = number_subtract(&left_over, &one);
        }
        costs[index].cost = number_multiply(&costs[index].cost, increment);
    }
    qsort(costs, costs_count, sizeof *costs, place_compare);
}

/* --- quantities ---------------------------------------------------------------------------------
 */

void recompute_flow_add(struct recompute_flow *flow, struct decimal value) {
    bool is_negative;
    struct recompute_number size = recompute_read(value, &is_negative);
    recompute_add(is_negative ? &flow->less : &flow->more, &size);
}

void recompute_flow_add_count(struct recompute_flow *flow, int64_t count) {
    struct recompute_number whole = number_from(count < 0 ? -(uint128)count : (uint128)count);
    struct recompute_number size = number_shift(&whole, UNIT_PLACES);
    recompute_add(count < 0 ? &flow->less : &flow->more, &size);
}

struct recompute_number recompute_flow_quantity(const struct recompute_flow *flow) {
    if (number_compare(&flow->more, &flow->less) <= 0) {
        return (struct recompute_number){.count = 0};
    }
    return number_subtract(&flow->more, &flow->less);
}

void recompute_average_add(struct recompute_average *average, struct decimal share,
                           int64_t left_over) {
    recompute_flow_add(&average->shares, share);
    assert(left_over >= 0);
    struct recompute_number rest = number_from((uint128)left_over);
    recompute_add(&average->left_over, &rest);
}

struct recompute_number recompute_average_quantity(const struct recompute_average *average,
                                                   int64_t period_us) {
    assert(period_us > 0);
    struct recompute_number period = number_from((uint128)period_us);
    struct recompute_flow area = {
        .more = number_multiply(&average->shares.more, &period),
        .less = number_multiply(&average->shares.less, &period),
    };
    recompute_add(&area.more, &average->left_over);
    struct recompute_number quantity = recompute_flow_quantity(&area);
    return number_divide_half_away(&quantity, &period);
}
