/*
 * Folding: rows that repeat the row before in everything but the quantity and the time of day, when
 * that one went the plain lane, are added up as they are read and spilled as one record. In a file
 * in order of orgs these are most rows. What they repeat is compared as bytes, so they need not
 * even be split: a row is known when its bytes before, between and behind the two fields are those
 * of the row before, which was split and judged.
 *
 *     fold_open(feed, fields, row)   after rows were taken, with the last of them
 *     fold_rows(fold, split)         takes the rows that follow, as far as they are so
 *     fold_close(feed, err)          before other rows are taken, and at the end
 *
 * Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_USAGE_FOLD_H
#define PERIODCLOSE_SOURCE_USAGE_FOLD_H

#include "split.h"
#include "usage_state.h"

/* fields: of row, a whole line of a window. Opens only if that row went the plain lane. */
void fold_open(struct usage_feed *feed, const struct text *fields, struct text row);
/*
 * Takes rows from split->offset on until one is for others. Not open: none. One window holds no so
 * many rows that their sum overflows.
 */
void fold_rows(struct feed_fold *fold, struct split *split);
/* Spills what was folded; closed is fine. */
bool fold_close(struct usage_feed *feed, struct err *err);

#endif
