/* What the bodies of items and of lines have in common. */
#ifndef PERIODCLOSE_SRC_EMIT_ITEM_INTERNAL_H
#define PERIODCLOSE_SRC_EMIT_ITEM_INTERNAL_H

#include "emit/item.h"

/* Cut at a character where Stripe would refuse it for its length. */
struct text item_metadata_value(struct text value);
int64_t item_floor_seconds(int64_t us);

#endif
