/*
 * The cost functions behind model_table, one file each: model_NAME.c. A new model is its file, its
 * line here, its value in enum model and its row in price.c.
 *
 * Each adds the exact cost of quantity (> 0) to *cost and returns false when that does not fit.
 * Models with tiers append the tiers they used to lines, unless it is NULL.
 */
#ifndef PERIODCLOSE_RATING_MODELS_H
#define PERIODCLOSE_RATING_MODELS_H

#include "rating/charge.h"

bool model_per_unit_cost(const struct price *price, struct decimal quantity, struct exact *cost,
                         struct charge_lines *lines);
bool model_graduated_cost(const struct price *price, struct decimal quantity, struct exact *cost,
                          struct charge_lines *lines);
bool model_volume_cost(const struct price *price, struct decimal quantity, struct exact *cost,
                       struct charge_lines *lines);
bool model_package_cost(const struct price *price, struct decimal quantity, struct exact *cost,
                        struct charge_lines *lines);

/* The part of a quantity that tier number `tier` rates: part x unit_price + flat_price. */
bool tier_add_cost(const struct price *price, size_t tier, struct decimal part, struct exact *cost,
                   struct charge_lines *lines);

#endif
