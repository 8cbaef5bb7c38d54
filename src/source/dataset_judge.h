/* Why an org is not rated, in a sentence. Internal to src/source. */
#ifndef PERIODCLOSE_SOURCE_DATASET_JUDGE_H
#define PERIODCLOSE_SOURCE_DATASET_JUDGE_H

#include "dataset_internal.h"

/* Replaces detail; empty for a rated org. end: of the org's subscriptions. */
bool dataset_format_detail(const struct dataset *dataset, uint32_t rank,
                           const struct subscription_end *end, struct buffer *detail,
                           struct err *err);

#endif
