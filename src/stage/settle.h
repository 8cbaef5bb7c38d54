/* Inside of settling: the records of a period as groups of items, page by page. */
#ifndef PERIODCLOSE_SRC_STAGE_SETTLE_H
#define PERIODCLOSE_SRC_STAGE_SETTLE_H

#include "db/db.h"
#include "emit.h"
#include "stage/settle.h"

/*
 * settle_records.c. Open asks for the page behind `after` (an org; empty: the first one); its
 * groups are then taken one by one. Texts are valid until it is closed.
 */
struct settle_page {
    const struct settle_options *options;
    const char *period; /* YYYY-MM */
    struct db_result result;
    size_t row;
    bool gives_all;        /* also orgs that are billed nothing */
    struct settle *settle; /* who is told what became of the items */
};

enum { SETTLE_ALL_REVISIONS = 0 };

bool settle_page_open(struct settle_page *page, const struct settle_options *options, struct db *db,
                      const char *period, struct text after, int64_t revision, struct err *err);
void settle_page_close(struct settle_page *page);
bool settle_page_is_last(const struct settle_page *page); /* there are no orgs */
/* The last org, for the next page. */
bool settle_page_after(const struct settle_page *page, struct buffer *after, struct err *err);
/* For struct emit_feed; the context is the page. */
bool settle_page_next(void *context, struct emit_group *group, bool *is_found, struct err *err);

/*
 * settle_moved.c. Every group is given to expect, then the end; list is asked for all that stands
 * at the other side, once for each records_max of those that were not sent.
 */
struct settle_listing {
    void *context;
    bool (*list)(void *context,
                 bool (*take)(void *moved, const struct journal_answer *found, struct err *err),
                 void *moved, struct err *err);
};
struct settle_moved;
struct settle_moved *settle_moved_create(const struct settle_listing *listing, size_t records_max,
                                         struct err *err); /* NULL: no memory */
void settle_moved_destroy(struct settle_moved *moved);     /* NULL is fine */
bool settle_moved_expect(struct settle_moved *moved, const struct emit_group *group,
                         struct err *err);
bool settle_moved_end(struct settle_moved *moved, struct err *err);
/* For struct reconcile (elsewhere); the context is the whole. */
const json_t *settle_moved_find(void *context, const struct emit_key *key);

#endif
