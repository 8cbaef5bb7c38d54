/*
 * Inside of src/run: the manifest in memory, and the run that holds it.
 *
 *   manifest.c         pins and sealed stages in memory
 *   manifest_write.c   … as text
 *   manifest_read.c    … from text, which nobody vouches for
 *   lock.c             RUN/lock
 *   folder.c           what lies in a run directory: what it is, what is left over
 *   verify.c           sealed files are what the manifest says
 *   run.c              opening, pinning, saving, closing; what is sealed
 *   execute.c          stage after stage
 *   group.c            stages that only compute, together
 *   performance.c      the stages at hand; those that are done become sealed
 *   compute.c          a shard of a stage that only computes
 *   output.c           tables and files of the stages at hand; reading those that are there
 *   progress.c         RUN/progress.json and the observer
 *   replay.c           a new run from the first stages of another
 */
#ifndef PERIODCLOSE_SRC_RUN_RUN_INTERNAL_H
#define PERIODCLOSE_SRC_RUN_RUN_INTERNAL_H

#include <pthread.h>

#include "run/run.h"

enum {
    PIN_GROUPS_COUNT = 3,
    RUN_ID_TEXT_MAX = 33, /* 32 hex digits and a NUL */
    MANIFEST_BYTES_MAX = 64 * 1024 * 1024,
    MANIFEST_FORMAT_VERSION = 1,
    SHARDS_COUNT_MAX = 1000000,
    RELATIVE_PATH_MAX = 512,
};

#define MANIFEST_FILE "manifest.json"
#define LOCK_FILE "lock"
#define PROGRESS_FILE "progress.json"
#define SCRATCH_FOLDER "scratch"
#define REPORTS_FOLDER "reports"

/* What to do about a file that nothing can compute again. A manifest does not tell any more whether
 * it is that of a replay, which has no --restart. */
#define HINT_RESTORE                                                                               \
    "restore the file from a backup, or begin anew: run with --restart, replay into another "      \
    "--run-dir"
extern const char pin_replay_path[]; /* where the origin of a replay was; told, not compared */
#define HINT_REPLAY_ELSEWHERE "take another --run-dir"

/* --- manifest.c ------------------------------------------------------------------------------- */

struct pin {
    const char *name; /* in a list of pins: owned by it */
    const char *value;
    bool is_tentative;         /* goes with its stage if that is not sealed after all */
    const struct stage *stage; /* of a tentative one: it was pinned while this was performed */
};

struct pins {
    struct pin *rows; /* sorted by name */
    size_t rows_count;
    size_t rows_capacity;
};

struct sealed_stage {
    const struct stage *stage;
    int version;
    int64_t elapsed_us;
    struct run_file *files; /* sorted by path; the paths are owned */
    size_t files_count;
    size_t files_capacity;
    struct totals *totals;
    bool is_own;      /* performed by this process: its tables need no second look */
    bool is_volatile; /* of a dry run: known to this process, never written down */
    bool is_pending;  /* performed, not yet sealed: not to be written down before it is durable */
};

struct manifest {
    struct stage_list list;
    struct pins pins[PIN_GROUPS_COUNT];
    size_t shards_count;             /* 0: not known yet */
    char id[RUN_ID_TEXT_MAX];        /* empty: not known yet */
    char replay_of[RUN_ID_TEXT_MAX]; /* empty: no replay */
    const struct stage *replay_from; /* NULL: no replay, or not from a stage */
    struct sealed_stage *stages;     /* those of the list, in its order */
    size_t stages_count;             /* room for list.stages_count */
};

bool manifest_init(struct manifest *manifest, struct stage_list list, struct err *err);
void manifest_release(struct manifest *manifest);

const struct pin *pins_find(const struct pins *pins, const char *name);
/* Copies name and value; the name must not be there yet. */
bool pins_add(struct pins *pins, struct pin pin, struct err *err);
void pins_drop(struct pins *pins, const char *name); /* fine when it is not there */
void pins_drop_tentative(struct pins *pins, const struct stage *stage);
void pins_keep_tentative(struct pins *pins, const struct stage *stage);

bool sealed_stage_init(struct sealed_stage *sealed, const struct stage *stage, struct err *err);
void sealed_stage_release(struct sealed_stage *sealed);
/* Kept sorted; a path that is there already is asserted not to be. */
bool sealed_stage_add(struct sealed_stage *sealed, const char *path, const struct table_seal *seal,
                      struct err *err);
void sealed_stage_mark_temporary(struct sealed_stage *sealed, const char *path);
void sealed_stage_mark_checked(struct sealed_stage *sealed, const char *path);
void sealed_stage_mark_unverified(struct sealed_stage *sealed, const char *path,
                                  bool is_unverified);
const struct run_file *sealed_stage_find(const struct sealed_stage *sealed, const char *path);

/* NULL when the stage is not sealed. */
struct sealed_stage *manifest_find(const struct manifest *manifest, const struct stage *stage);
const struct run_file *manifest_find_file(const struct manifest *manifest, const char *path);
/* Sets the id when the first stage is there, empties it before; a failure leaves it alone. */
bool manifest_update_id(struct manifest *manifest, struct err *err);

/* How many of the last are not sealed yet. */
size_t manifest_pending_count(const struct manifest *manifest);

/* Can it write to the database, or send? */
bool stage_touches(const struct stage *stage);
/* Asserted to be in the list. */
size_t stage_index(struct stage_list list, const struct stage *stage);
/* NUMBER-NAME */
bool stage_folder_format(char folder[FILE_PATH_MAX], const struct stage *stage, struct err *err);
/* NUMBER-NAME/TABLE[.SHARD].arrow */
bool table_path_format(char path[FILE_PATH_MAX], const struct stage *stage,
                       const struct table_schema *schema, size_t shard_index, struct err *err);
/* Is this a path that the stage may list: plain, relative, in its own folder or in reports/. */
bool stage_owns_path(const struct stage *stage, const char *path);

/* --- manifest_write.c, manifest_read.c -------------------------------------------------------- */

/* jansson takes its memory from core/memory.h from then on, and has not lacked any so far. */
void manifest_use_memory(void);
bool manifest_lacked_memory(void); /* since then, in this thread */

struct json_t;

/* SHA-256 of the compact dump with sorted keys and without the member sha256. */
bool manifest_seal(struct json_t *root, struct digest *digest, struct err *err);

bool manifest_format(const struct manifest *manifest, struct buffer *text, struct err *err);

/*
 * The whole text must be what manifest_format writes: every byte is checked. What is not is
 * ERR_DAMAGED; a whole manifest of another format or with stages unknown here is ERR_MISMATCH. path
 * is for messages. *manifest needs no release after a failure.
 */
bool manifest_parse(struct manifest *manifest, struct stage_list list, struct text text,
                    const char *path, struct err *err);
/* The same without looking at sha256 and at the way it is written: for tests. */
bool manifest_parse_content(struct manifest *manifest, struct stage_list list, struct text text,
                            const char *path, struct err *err);

/* --- the run ---------------------------------------------------------------------------------- */

/* A table whose writer is at its end, while its file is being finished (see sys/saver.h). */
struct ended_output {
    const struct stage *stage;
    const struct table_schema *schema;
    size_t shard_index;
    struct table_writer *writer;
    bool is_listed; /* among the files of its stage */
};

/* Each may have a thread that waits for the disk. With fewer than a close of a few shards has
 * tables in all, its later stages would wait for the first. */
enum { ENDED_OUTPUTS_MAX = 128 };

/* As many stages are at hand at most: one, or several that only compute (group.c). */
enum { STAGES_AT_HAND_MAX = 8 };

/* A stage being performed. */
struct performance {
    const struct stage *stage; /* NULL: it is done */
    struct sealed_stage sealed;
    bool has_scratch;
    size_t shards_count_before;
    int64_t started_us; /* or the stage before it ended, which it is performed together with */
};

struct progress {
    pthread_mutex_t mutex; /* guards what follows, and the calls of the observer */
    bool is_written;       /* the file may be there */
    int64_t written_us;
    int64_t observed_us;
};

struct run {
    const struct sys *sys;
    char path[FILE_PATH_MAX];
    char scratch_path[FILE_PATH_MAX];
    enum run_mode mode;
    size_t jobs; /* threads that verify */
    struct file lock;
    int64_t opened_us; /* monotonic */
    struct manifest manifest;
    bool is_saved;                     /* manifest.json is there */
    bool has_changes;                  /* pins that it does not have yet */
    bool is_verified;                  /* what it lists was read */
    const struct run_options *options; /* while executing */
    struct performance performances[STAGES_AT_HAND_MAX];
    size_t performances_count;
    struct ended_output ended[ENDED_OUTPUTS_MAX]; /* in the order they ended */
    size_t ended_count;
    int64_t sealed_us; /* monotonic: when a stage was sealed last, or executing began */
    bool has_told_computed;
    size_t shards_count_sealed; /* while stages are pending: what it was before them */
    /* To be taken in this order: one waits for a table to be durable, one for it to be written; the
     * last guards what lists the files of stages, at hand or done, where they are, and ended. */
    pthread_mutex_t leaving_mutex;
    pthread_mutex_t listing_mutex;
    pthread_mutex_t outputs_mutex;
    struct err unleft; /* under leaving_mutex: the first table that did not become durable */
    const struct stage *unleft_stage; /* that left it; NULL: all did */
    struct progress progress;
    /* a replay that is being made, see replay.c */
    struct sealed_stage *carried;
    size_t carried_count;
    size_t carried_shards_count;
    const struct table_schema **replaced; /* still to be written anew */
    size_t replaced_count;
};

bool run_is_locked(const struct run *run); /* opened for writing; once it has begun, locked */
/* Also while a stage is being sealed. */
bool save_manifest(struct run *run, struct err *err);
bool run_path_format(const struct run *run, char path[FILE_PATH_MAX], const char *relative,
                     struct err *err);

/* lock.c */
bool lock_take(const struct sys *sys, const char *run_path, struct file *lock, struct err *err);
bool lock_write(struct file *lock, const char *command, struct err *err);

/* folder.c */
enum folder_kind {
    FOLDER_MISSING,
    FOLDER_FRESH,   /* empty but for what a start leaves before its manifest */
    FOLDER_RUN,     /* has a manifest */
    FOLDER_TORN,    /* has checkpoints and no manifest */
    FOLDER_FOREIGN, /* something else */
};

bool folder_look(const struct sys *sys, const char *path, struct stage_list list,
                 enum folder_kind *kind, struct err *err);
/* Invariant 5: removes what is left over of stages that are not sealed. */
bool folder_clean(struct run *run, struct err *err);

/* verify.c: the files of the first stages_count sealed stages; of a table by shards only if reader
 * (NULL: anybody) or a stage after it reads it. */
bool verify_stages(const struct run *run, size_t stages_count, const struct stage *reader,
                   size_t jobs, struct err *err);
bool verify_is_read(const struct run *run, const struct stage *stage, const struct run_file *file,
                    const struct stage *reader);
bool verify_file(const struct run *run, const struct stage *stage, const struct run_file *file,
                 struct err *err);

/* performance.c */
/* One more stage is at hand. only_computes: this time, if it could do more. */
bool performance_begin(struct run *run, const struct stage *stage, bool only_computes,
                       struct err *err);
/* The stage is done: from now on it counts as such for this process, and is pending. In order. */
bool performance_end(struct run *run, struct performance *performance, struct err *err);
void performances_drop(struct run *run); /* those that are not done */
/* NULL: it is not at hand. Under outputs_mutex, where others may be at work. */
struct performance *performance_find(struct run *run, const struct stage *stage);
/* Of a stage that is performed by itself: asserted. */
struct performance *performance_alone(struct run *run);
/*
 * Seals the stages that are pending, but for the last kept_count, and waits for them. Those that
 * cannot be sealed are forgotten, and all after them.
 */
bool seal_pending(struct run *run, size_t kept_count, struct err *err);
/* The same beside others who read their tables; after a failure these must be sent away before all
 * that are pending are forgotten. */
bool seal_durable(struct run *run, size_t kept_count, struct err *err);
void seal_forget(struct run *run);
/* Are there any, and could they be sealed without waiting for their files? */
bool seal_is_ready(struct run *run, size_t kept_count);

/* compute.c */
size_t compute_shards_count(const struct run *run, const struct stage *stage);
/* Its outputs have ended then. What it reads is done, or listed (outputs_list). */
bool compute_shard(struct run *run, const struct stage *stage, size_t shard_index,
                   struct totals *totals, struct err *err);

/* group.c: the stages are done when it comes back, or dropped. Only one that failed is told. */
bool group_perform(struct run *run, const struct stage *const *stages, size_t stages_count,
                   struct err *err);

/* output.c */
bool output_create(struct run *run, const struct table_schema *schema, size_t shard_index,
                   const char *input_sha256, struct table_writer **writer, struct err *err);
/* Waits until the table can be read, and lists it; fine where that was done. */
bool outputs_list(struct run *run, const struct table_schema *schema, size_t shard_index,
                  struct err *err);
/* The same with the tables of the stage at hand that have ended. */
bool outputs_finish(struct run *run, const struct stage *stage, struct err *err);
/* A listed table as it is now. */
struct run_file output_file(struct run *run, const struct stage *stage, const char *relative);
/* Waits until the tables of the stage, and of those before it, are durable. */
bool outputs_settle(struct run *run, const struct stage *stage, struct err *err);
bool outputs_are_settled(struct run *run, const struct stage *stage);
void outputs_drop(struct run *run, const struct stage *stage);

/* progress.c */
void progress_begin(struct run *run, const struct stage *stage);
void progress_go_on(struct run *run, const struct performance *performance, uint64_t done,
                    uint64_t total, const char *unit);
void progress_tell(struct run *run, enum run_event_kind kind, const struct stage *stage,
                   int64_t elapsed_us);
void progress_end(struct run *run); /* removes the file */

/* replay.c */
void replay_release(struct run *run);
/* ERR_MISMATCH when the run is a replay that was not finished being made. */
bool replay_check_ready(const struct run *run, struct err *err);

#endif
