/*
 * Stages: what the table of stages says of each, and what a stage is given.
 *
 * One const table (src/stage/stages.c) declares them all; running, resuming, --from, --until,
 * status, file names, help and tests walk it. A table of rows is the output of exactly one stage,
 * so an input is named by its schema alone.
 *
 * A pure stage computes one shard from the input tables of that shard: it is given tables, an arena
 * and its totals, and nothing of the operating system. Same bytes in, same bytes out. The runner
 * opens the inputs, creates the outputs, runs shards on `jobs` threads, checks totals, commits.
 *
 * An output that is not sharded is written by shard 0; outputs[] has NULL in its place in the other
 * shards. What a pure stage leaves says (key input_sha256) what it was computed from: the SHA-256
 * of the lines "SHA256  TABLE.arrow" of the shard's input files, sorted by name.
 *
 * An effect stage is given the run itself and the session of the command. One that writes to the
 * database or sends may say that it will not this time (touches NULL: it always may): then it need
 * not wait until the stages before it are sealed. It may have both functions and say that it only
 * computes this time: then it is like a pure one, but for input_sha256.
 *
 * Stages in a row that only compute are performed together: a shard of one is computed as soon as
 * those are that it reads, whatever other shards of their stages do. What such a stage took is from
 * the end of the stage before to its own end: the times of all add up to that of the run, and of
 * what was computed beside an earlier stage only the rest counts.
 */
#ifndef PERIODCLOSE_RUN_STAGE_H
#define PERIODCLOSE_RUN_STAGE_H

#include "core/arena.h"
#include "run/totals.h"
#include "table/checkpoint.h"

enum stage_effect {
    EFFECT_SOURCE,   /* reads the source */
    EFFECT_NONE,     /* pure */
    EFFECT_DATABASE, /* writes to the database */
    EFFECT_SENDS,    /* sends to Stripe or Dodo */
    EFFECT_REPORTS,  /* writes reports for people */
};

struct stage_output {
    const struct table_schema *schema;
    bool is_sharded;
};

/* What a pure stage sees of one shard. */
struct stage_shard {
    size_t shard_index;
    struct table *const *inputs;         /* in the order of stage->inputs */
    struct table_writer *const *outputs; /* in the order of stage->outputs */
    struct arena *arena;                 /* of this shard */
    struct totals *totals;               /* of this shard; merged by the runner */
};

struct run;
struct stage_session; /* what the command gives to effect stages; src/stage defines it */

struct stage {
    const char *name;
    int number;  /* 10, 20 …: the folder is NUMBER-NAME */
    int version; /* raised when the same inputs give other bytes */
    enum stage_effect effect;
    const char *summary;                      /* one line for help and man page */
    const struct table_schema *const *inputs; /* of an effect stage: what a replay of it reads */
    size_t inputs_count;
    const struct stage_output *outputs;
    size_t outputs_count;
    /* one of them, or both and only_computes: */
    bool (*compute)(const struct stage_shard *shard, struct err *err);
    bool (*perform)(struct run *run, const struct stage *stage, struct stage_session *session,
                    struct err *err);
    bool (*only_computes)(const struct run *run, const struct stage_session *session);
    bool (*touches)(const struct run *run, const struct stage_session *session);
};

struct stage_list {
    const struct stage *const *stages; /* ascending by number */
    size_t stages_count;
};

const struct stage *stage_find(struct stage_list list, const char *name); /* NULL if unknown */
/* The stage that leaves the table, and its output row; asserted to exist. */
const struct stage *stage_of_table(struct stage_list list, const struct table_schema *schema,
                                   const struct stage_output **output);

#endif
