/*
 * Inside of the stage emit: the groups of items of a run, from its tables.
 *
 * emit_feed_open opens one shard; its groups are then taken in the order of orgs by the sender, and
 * given back in the same order, with what became of each item.
 */
#ifndef PERIODCLOSE_SRC_STAGE_EMIT_H
#define PERIODCLOSE_SRC_STAGE_EMIT_H

#include "emit/sender.h"
#include "rating/terms.h"
#include "record_previous.h"
#include "stage/session.h"

struct emit_shard {
    struct run *run;
    const struct terms *terms;
    const char *period;
    const struct stage_session *session;
    struct emit_earlier_walk *earlier;
    bool *is_behind;        /* of its revisions, in their order (emit_behind.c); NULL: none is */
    size_t revisions_count; /* that were taken */
    struct table *orgs;
    struct table *records;
    struct table *charges;
    struct table *limits;
    struct table_writer *items; /* NULL: nothing is written */
    struct table *last_items;   /* what became of them, to be compared; NULL: not known */
    struct terms_walk last_item;
    bool is_dodo;     /* whose customer ids are taken */
    bool gives_all;   /* also closed orgs without an item, to be compared */
    bool has_no_keys; /* items are only counted: their keys are not worked out */
    bool is_dry;      /* nothing is sent: what is not held is not_emitted */
    struct table_cursor org;
    struct table_cursor record;
    struct terms_walk charge;
    struct terms_walk limit;
    bool has_record;
    uint64_t done;  /* groups */
    uint64_t total; /* orgs of all shards */
};

bool emit_shard_open(struct emit_shard *shard, struct run *run, const struct stage_session *session,
                     const struct terms *terms, const char *period, size_t shard_index,
                     struct err *err);
/* Also what the last emission held is told. */
bool emit_shard_open_compared(struct emit_shard *shard, struct run *run,
                              const struct stage_session *session, const struct terms *terms,
                              const char *period, size_t shard_index, struct err *err);
void emit_shard_close(struct emit_shard *shard);
/* For struct emit_feed; the context is the shard. */
bool emit_shard_next(void *context, struct emit_group *group, bool *is_found, struct err *err);
bool emit_shard_done(void *context, const struct emit_group *group, struct err *err);
/* The table of items: made, and sealed if all went well; closing the shard throws it away. */
bool emit_shard_begin_items(struct emit_shard *shard, size_t shard_index, struct err *err);
bool emit_shard_end_items(struct emit_shard *shard, size_t shard_index, struct err *err);

/* However many items there are, few of them wait in memory. */
bool emit_items_create(struct run *run, size_t shard_index, struct table_writer **items,
                       struct err *err);

/* The status of an item in reports and records. */
const char *emit_status_word(const struct emit_result *result);

/* emit_earlier.c. Orgs and metrics are asked for in their order. */
bool emit_earlier_walk_open(const struct emit_earlier *earlier, struct emit_earlier_walk **walk,
                            struct err *err);
void emit_earlier_walk_close(struct emit_earlier_walk *walk); /* NULL is fine */
bool emit_earlier_is_settled(struct emit_earlier_walk *walk, struct text org_id,
                             struct text metric);

/*
 * emit_behind.c. Of each record that emit_is_revision, in their order: whether it waits for an
 * earlier revision, by the records in the database. NULL where there is none, or no revision.
 */
bool emit_is_revision(const struct table_cursor *record);
bool emit_behind_load(struct run *run, const struct stage_session *session, struct table *records,
                      bool **is_behind, struct err *err);

/* emit_fresh.c */
struct emit_fresh_org {
    struct text org_id;
    struct text customer; /* empty: none */
    struct text subscription;
    struct text dodo_customer;
    bool is_found;
    bool is_suspended;
};
/* NULL: as it was extracted. */
const struct emit_fresh_org *emit_fresh_find(const struct emit_fresh *fresh, struct text org_id);

/*
 * emit_write_back.c. The records in the database; NULL without one, and then the others do nothing.
 * Put collects a batch, flush writes it.
 */
struct emit_write_back;
/* The database that the run has recorded in, and no other. */
bool emit_database_open(struct run *run, const char *conninfo, struct db **db, struct err *err);
bool emit_write_back_open(struct run *run, const struct stage_session *session,
                          struct emit_write_back **back, struct err *err);
/* Over a connection of somebody else, who sees to it that nobody else sends. */
bool emit_write_back_borrow(struct db *db, const char *day, struct emit_write_back **back,
                            struct err *err);
bool emit_write_back_put(struct emit_write_back *back, const struct emit_item *item,
                         const char *status, const char *object_id, struct err *err);
bool emit_write_back_flush(struct emit_write_back *back, struct err *err);
/* For asking alone, beside whoever sends. */
bool emit_write_back_only_ask(struct run *run, const struct stage_session *session,
                              struct emit_write_back **back, struct err *err);
/*
 * What stands on records that may be asked for out of a folder: status unknown, and this in place
 * of an id. It is the mark of a journal, by place and time: another one that takes its place, once
 * it is lost, does not know what it knew.
 */
bool emit_mark_make(const char *folder, const struct journal *journal, char mark[EMIT_KEY_TEXT_MAX],
                    struct err *err);
bool emit_write_back_sign(struct emit_write_back *back, const struct journal *journal,
                          struct err *err);
/*
 * Alone: nobody else sends items of the period from here on (ERR_LOCKED). Marking: one after the
 * other sees what is marked, and marks. Hold: whether that is still so, or still may be; over a new
 * connection where that was lost, unless it was away so long that somebody else may have sent.
 */
const char *emit_write_back_mark(const struct emit_write_back *back);
bool emit_write_back_hold(struct emit_write_back *back, struct err *err);
bool emit_write_back_alone(struct emit_write_back *back, struct err *err);
bool emit_write_back_is_alone(const struct emit_write_back *back);
bool emit_write_back_marking(struct emit_write_back *back, bool begins, struct err *err);
/* statement: of items, as sql/emit/known.sql; the result is the caller's to release. */
bool emit_write_back_ask(struct emit_write_back *back, const char *statement, const char *items,
                         struct db_result *result, struct err *err);
void emit_write_back_close(struct emit_write_back *back);

/* billed = sent + held + failed + unknown + not emitted */
extern const char emit_equation[];

/* emit_invoices.c: the table of invoices of our own, without any. */
bool emit_no_invoices(struct run *run, struct err *err);

/* What would be sent, into requests.jsonl of the stage; what is held, into the items. */
bool emit_dry(struct run *run, const struct stage_session *session, struct err *err);
/* Sends; the items of every shard are written. */
bool emit_stripe(struct run *run, const struct stage_session *session, struct err *err);
bool emit_dodo(struct run *run, const struct stage_session *session, struct err *err);
bool emit_dodo_reconcile(struct run *run, const struct stage_session *session,
                         struct reconcile *reconcile, struct err *err);
struct preview_sink;
/* The same for Dodo: the requests but for their time stamps, without asking it about meters. */
bool emit_dodo_preview(struct run *run, const struct stage_session *session,
                       const struct preview_sink *sink, struct err *err);

#endif
