/*
 * package: ceil(quantity / package_size) x unit_price. A package begun is a package paid.
 */
#include "models.h"

#include <assert.h>

bool model_package_cost(const struct price *price, struct decimal quantity, struct exact *cost,
                        struct charge_lines *lines) {
    (void)lines;
    assert(price->package_size.units > 0);
    int128 packages = decimal_divide_ceiling(quantity, price->package_size);
    return exact_add_count_product(cost, packages, price->unit_price);
}
