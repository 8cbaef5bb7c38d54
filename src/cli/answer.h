/* What commands about one org print: {"success":true,"data":…}, one line on stdout. */
#ifndef PERIODCLOSE_SRC_CLI_ANSWER_H
#define PERIODCLOSE_SRC_CLI_ANSWER_H

#include <jansson.h>

#include "cli/cli.h"
#include "core/decimal.h"

/* Takes data, which may be NULL for want of memory. */
bool answer_print(struct cli *cli, json_t *data, struct err *err);

/* object[name] = value, which is taken and may be NULL for want of memory. */
bool answer_put(json_t *object, struct text name, json_t *value, struct err *err);

/* One metric of a summary: {"amount", "unitPrice", "cost"}; unit_price NULL for tiers. */
json_t *answer_metric(struct decimal overage, const struct decimal *unit_price, int64_t cost_minor);

/* summary out of the database instead of a run directory. */
bool summary_database(struct cli *cli, struct err *err);

#endif
