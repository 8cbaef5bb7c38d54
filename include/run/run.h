/*
 * A run: one close of one period, in one run directory (DESIGN.md 6).
 *
 *     RUN/manifest.json   what is pinned and what is sealed; replaced last
 *     RUN/lock            an OFD lock, held to exit, never unlinked; its text says who
 *     RUN/progress.json   replaced at most once a second
 *     RUN/scratch/        spill files; may be lost at any time, emptied at start and end
 *     RUN/NN-STAGE/TABLE[.SHARD].arrow, RUN/reports/…
 *
 * Invariants (src/run/run.c names the functions that keep them):
 *  1. A stage is done if and only if the manifest lists it and every file it lists has the listed
 *     size and SHA-256.
 *  2. The manifest changes only by file_replace, after all files of the stage are durable.
 *     While they become so, the next stages may be performed from what was written, unless they
 *     touch the outside (stage.h): a death then takes them along.
 *  3. Stages are done in order: a stage is never listed without those before it.
 *  4. One process at a time: everything but status and inspect-like reading holds the lock.
 *  5. Files of a stage that is not listed are leftovers and are overwritten or removed.
 *
 *     run_open(sys, path, stages, mode, &run, err)     locks; verifies what the manifest lists
 *     run_begin(run, …)                                after RUN_PREPARE and RUN_REPLACE
 *     run_pin(run, pins, …)                            a new run writes them, an old one compares
 *     run_execute(run, session, until, err)            the stages that are not yet done
 *     run_close(run)
 */
#ifndef PERIODCLOSE_RUN_RUN_H
#define PERIODCLOSE_RUN_RUN_H

#include "run/stage.h"
#include "sys/files.h"

#define RUN_DRY_FOLDER "dry-run" /* in the run directory that a dry run is made for */

enum run_mode {
    RUN_PREPARE, /* like RUN_CREATE; where no run is yet, nothing is written until run_begin */
    RUN_REPLACE, /* a new run; what is there is left alone until run_begin moves it aside */
    RUN_CREATE,  /* create or resume, locked for writing */
    RUN_UPDATE,  /* must exist, locked for writing (report, emit) */
    RUN_INSPECT, /* must exist, read only, no lock, sealed files are verified */
    RUN_STATUS,  /* must exist, read only, no lock, files are not read */
};

struct run;

/*
 * ERR_LOCKED names the holder (text of the lock file). A directory with other people's files and no
 * manifest is refused (ERR_MISMATCH: not a run directory), one with checkpoints and no manifest is
 * ERR_DAMAGED, a file is ERR_FILE. A sealed file that is missing, torn, edited or foreign is
 * ERR_DAMAGED naming the file and both digests, with a hint (--restart, or replay from the stage
 * before); so is the manifest itself. A manifest of another format version, or with stages that
 * this program does not have, is ERR_MISMATCH. With RUN_UPDATE, reports are not verified: they can
 * be written again (run_unseal_reports). Left over files of stages that are not listed are removed,
 * but for journals (what is neither .arrow nor .tmp) in the folders of stages that write to the
 * database or send, and but for files in reports/ that are not ours.
 */
bool run_open(const struct sys *sys, const char *path, struct stage_list stages, enum run_mode mode,
              struct run **run, struct err *err);
/* The same with sealed files read by several threads. */
bool run_open_jobs(const struct sys *sys, const char *path, struct stage_list stages,
                   enum run_mode mode, size_t jobs, struct run **run, struct err *err);
/*
 * A run that was only prepared comes to be, with what is pinned so far: its folder, its lock, its
 * manifest. So what is refused before leaves nothing behind, and a start that dies leaves nothing
 * or a run that can be gone on with. With RUN_REPLACE what stood there is moved aside (see
 * run_move_aside), told in moved_to; else that is empty. ERR_LOCKED when another start was faster.
 * A run that has begun is left as it is.
 */
bool run_begin(struct run *run, char moved_to[FILE_PATH_MAX], struct err *err);
/* What the lock's text says besides process, host and time: "periodclose run --period 2026-10". */
bool run_tell_command(struct run *run, const char *command, struct err *err);
void run_close(struct run *run); /* NULL is fine; keeps the lock file */

const char *run_path(const struct run *run);
const struct sys *run_sys(const struct run *run);
/* Monotonic: when its lock was had, or when there was none to have; before its files were read. */
int64_t run_opened_us(const struct run *run);
struct stage_list run_stages(const struct run *run);
bool run_is_new(const struct run *run); /* there is no manifest yet */

/* --- pins: inputs and options, kept in the manifest ---------------------------------------------
 */

/*
 * Pinned values are texts by name, in groups: "options" (period, cutoff, now, …), "inputs" (a file
 * and its digest), "versions" (program, tz database …; told, never compared). On a new run run_pin
 * records the value; on an old one it compares: a different value is ERR_MISMATCH naming the pin
 * and both values. is_given false (a default, not typed): an old run's value stands.
 *
 * Options and inputs can be added until the first stage is sealed (also by that stage: they are
 * sealed with it, or dropped when it fails). After that a name that is not there is ERR_MISMATCH
 * when is_given, and is left out otherwise: run_pinned gives NULL and the caller its default. What
 * is only told and must not change the run id goes into PIN_VERSION. Texts must be UTF-8
 * (ERR_INPUT).
 */
enum pin_group { PIN_OPTION, PIN_INPUT, PIN_VERSION };

bool run_pin(struct run *run, enum pin_group group, const char *name, const char *value,
             bool is_given, struct err *err);
/*
 * While no stage is sealed nothing was computed: forgets the inputs, and the options and versions
 * but those named (NULL: all are kept), so that a run that stopped at bad rows or at a mistyped
 * word can be typed again when it is corrected. Later: nothing.
 */
void run_forget_unsealed(struct run *run, const char *const *kept, size_t kept_count);
/* PIN_VERSION anew, whatever stood there: what is only told, and changes. Saved with run_save.
 * value NULL: forgets it. */
bool run_pin_anew(struct run *run, const char *name, const char *value, struct err *err);
/* The pinned value, NULL when there is none. */
const char *run_pinned(const struct run *run, enum pin_group group, const char *name);
size_t run_pins_count(const struct run *run, enum pin_group group);
const char *run_pin_name(const struct run *run, enum pin_group group, size_t pin_index);
/* Writes the manifest with what is pinned so far. Not while a stage is performed (asserted). */
bool run_save(struct run *run, struct err *err);
/* The same, where something was pinned since it was read or written. */
bool run_save_changes(struct run *run, struct err *err);
/*
 * Digest of the options and inputs but `now`, and for a replay of its origin and of what it began
 * with: 32 hex digits. NULL until the first stage is sealed.
 */
const char *run_id(const struct run *run);
/*
 * A replay can never record or emit: its database and sending stages are performed like others, and
 * must themselves ask run_is_replay and only leave their tables. origin: the run id it comes from.
 * run_replay does this.
 */
bool run_mark_replay(struct run *run, const char *origin, struct err *err);
bool run_is_replay(const struct run *run);
const char *run_replay_origin(const struct run *run); /* NULL when it is no replay */
/* Where that was, as it was named, and the first stage computed anew; NULL when not known. */
const char *run_replay_path(const struct run *run);
const struct stage *run_replay_from(const struct run *run);

/* --- executing ----------------------------------------------------------------------------------
 */

struct run_event;

struct run_options {
    size_t jobs;
    uint64_t memory_bytes;
    const struct stage *until; /* NULL: to the end */
    bool is_dry;               /* see run_execute */
    /*
     * Told when a stage begins, goes on (at most ten times a second) and ends, or is done already;
     * may be NULL. Called by any thread, one at a time; must not call the run.
     */
    void (*observe)(void *context, const struct run_event *event);
    void *observe_context;
    /*
     * Called once when all stages up to `until` are computed or were done already, while what the
     * last ones wrote is made durable, which may fail: for what needs their tables only. May be
     * NULL; a failure is the caller's to keep.
     */
    void (*computed)(void *context);
    void *computed_context;
};

enum run_event_kind { RUN_STAGE_BEGINS, RUN_STAGE_GOES_ON, RUN_STAGE_ENDS, RUN_STAGE_SKIPPED };

struct run_event {
    enum run_event_kind kind;
    const struct stage *stage;
    uint64_t done; /* of total, in the stage's unit */
    uint64_t total;
    const char *unit; /* "bytes", "orgs", "rows" */
    int64_t elapsed_us;
};

/*
 * Performs the stages not yet done, up to `until`. All that are done are sealed when it returns,
 * and before and after a stage that touches the outside; a failure (with the stage's name in front)
 * leaves no sealed stage behind it. ERR_INTERRUPTED between stages and shards. ERR_CONTROL when
 * totals do not agree, ERR_MISMATCH when stages were sealed by other versions of them.
 *
 * is_dry: stages that touch the database or send are performed, must ask run_is_dry, and only leave
 * their tables as if computed. These stages and all after them count as done for the rest of this
 * process (later stages read their tables, run_stage_files tells them) but are never written into
 * the manifest. The caller opens RUN/dry-run as the run directory.
 */
bool run_execute(struct run *run, const struct run_options *options, struct stage_session *session,
                 struct err *err);

/*
 * Writes the reports from what there is (RUN_UPDATE), without sealing them: the next start removes
 * them again. For a run whose turn for them has not come; asserted not to be done.
 */
bool run_perform_reports(struct run *run, const struct stage *stage,
                         const struct run_options *options, struct stage_session *session,
                         struct err *err);
/* Forgets reports that are sealed last, and removes them: run_execute writes them again. */
bool run_unseal_reports(struct run *run, struct err *err);
/* The same with the stage that sends before them: its journal stays, and it goes on from there. */
bool run_unseal_sending(struct run *run, struct err *err);

bool run_stage_is_done(const struct run *run, const struct stage *stage);
/* The first stage not yet done, NULL when all are. */
const struct stage *run_next_stage(const struct run *run);

/* --- for effect stages ------------------------------------------------------------------------
 */

const struct run_options *run_current_options(const struct run *run); /* NULL between executions */
bool run_is_dry(const struct run *run);
struct totals *run_totals(struct run *run); /* of the stage being performed */
/* All that is left to the stage is to wait for its files (run_options.computed). */
void run_tell_computed(struct run *run);
/* Threads ok. unit: a plain word. Costs a clock call and a mutex: tell it every few thousand rows.
 */
void run_progress(struct run *run, uint64_t done, uint64_t total, const char *unit);
/* Exists while a stage is performed that reads the source or may write to the database. */
const char *run_scratch_path(const struct run *run);

size_t run_shards_count(const struct run *run); /* as sealed with the first stage; 0 before */
/* By the first stage while it is performed; 1 if it does not. */
void run_set_shards_count(struct run *run, size_t shards_count);

/*
 * Creates an output table of the stage being performed, and commits it into its list of files (the
 * writer is gone after a commit, also a failed one). A committed file is hashed, written and synced
 * beside the stage, which waits for it before it is sealed; a failure may be told only there.
 * Thread-safe. Every table that the stage declares must be there at its end, in every shard if it
 * is sharded (asserted).
 */
bool run_output_create(struct run *run, const struct table_schema *schema, size_t shard_index,
                       struct table_writer **writer, struct err *err);
bool run_output_commit(struct run *run, const struct table_schema *schema, size_t shard_index,
                       struct table_writer *writer, struct err *err);
/*
 * Adds another file (a report, a journal) that is durable already to the stage being performed. The
 * path is relative to RUN, in the stage's folder or in reports/ (both exist by then; asserted).
 */
bool run_output_file(struct run *run, const char *relative_path, uint64_t rows_count,
                     struct err *err);
/* The same for a file that was hashed while it was written: it is not read again. */
bool run_output_sealed_file(struct run *run, const char *relative_path,
                            const struct table_seal *seal, struct err *err);

/*
 * Opens a sealed table (verified: not with RUN_STATUS, asserted). Shard 0 for tables that are not
 * sharded. ERR_MISMATCH when its stage is not done; the stage being performed may open what it has
 * committed itself, when none of its threads commits any more.
 */
bool run_input_open(struct run *run, const struct table_schema *schema, size_t shard_index,
                    struct table **table, struct err *err);

/* The first sealed file, in the order of stages, that is not as the manifest says. Any mode. */
struct run_file;
struct run_damage {
    const struct stage *stage;
    const struct run_file *file; /* as it should be */
};
bool run_find_damage(const struct run *run, bool *is_found, struct run_damage *damage,
                     struct err *err);
/*
 * Files in the folders of sealed stages that the manifest does not list and that the next start
 * removes. In reports/ people keep files of their own, journals stay, and files of a stage that is
 * not sealed are left over from a death.
 */
bool run_each_foreign(const struct run *run,
                      bool (*tell)(void *context, const char *path, struct err *err), void *context,
                      struct err *err);

/* --- what is sealed -----------------------------------------------------------------------------
 */

struct run_file {
    const char *path; /* relative to RUN */
    uint64_t rows_count;
    uint64_t size_bytes;
    struct digest digest;
    bool is_checked;    /* its values were looked at by this process: no second look is needed */
    bool is_unverified; /* carried by a replay that does not read it: verified if it is opened */
    bool is_temporary;  /* of a stage that is not sealed yet: it still is at PATH.tmp */
};

/* Files and totals of a finished stage; none when it is not done. Valid until the run changes. */
const struct run_file *run_stage_files(const struct run *run, const struct stage *stage,
                                       size_t *files_count);
const struct totals_row *run_stage_totals(const struct run *run, const struct stage *stage,
                                          size_t *rows_count);
int64_t run_stage_elapsed_us(const struct run *run, const struct stage *stage);
/* The version of the stage that sealed it: this program may have another. 0 when it is not done. */
int run_stage_version(const struct run *run, const struct stage *stage);

/* The progress file of another process (status): stage, done, total, updated_at. */
struct run_progress_text {
    char stage[32];
    uint64_t done;
    uint64_t total;
    char unit[16];
    struct instant updated_at;
};
bool run_progress_load(const struct run *run, bool *is_found, struct run_progress_text *progress,
                       struct err *err);
/* Is the lock held by somebody now, and the text that says who. */
bool run_lock_holder(const struct run *run, bool *is_held, struct buffer *who, struct err *err);

/*
 * Replay: makes NEW from RUN with the stages before `from` sealed as they are (files linked or
 * copied), except those tables that the caller writes anew (prices for a what-if). NEW is marked as
 * a replay and left open, locked, at *replay. replaced[] schemas (not sharded) are left out, to be
 * written with run_replay_create and run_replay_commit before run_execute; until all are, NEW
 * cannot go on. Inputs may be pinned between run_replay and the last commit, under names that the
 * origin does not have. run may be open in any mode; with RUN_STATUS only what `from` and the
 * stages after it read is verified, so that a run with a damaged file can be replayed from the
 * stage that left it. What is carried unread is verified when it is opened.
 *
 * The same replay typed again goes on where it stopped. NEW that is something else, or was begun
 * with other tables, is ERR_MISMATCH; a `from` that reads the source is ERR_USAGE.
 */
bool run_replay(struct run *run, const char *new_path, const struct stage *from,
                const struct table_schema *const *replaced, size_t replaced_count,
                struct run **replay, struct err *err);
/* Writer for a replaced table of a sealed stage; run_replay_commit seals it into that stage. */
bool run_replay_create(struct run *replay, const struct table_schema *schema,
                       struct table_writer **writer, struct err *err);
bool run_replay_commit(struct run *replay, const struct table_schema *schema,
                       struct table_writer *writer, struct err *err);

/*
 * --restart: moves RUN aside to RUN.1, RUN.2 …, under its lock; told in moved_to, empty when there
 * was nothing to move (missing, or nothing begun). A damaged run is moved like a whole one; a
 * folder that is no run directory is ERR_MISMATCH.
 */
bool run_move_aside(const struct sys *sys, const char *path, struct stage_list stages,
                    char moved_to[FILE_PATH_MAX], struct err *err);
/* The last of RUN.1, RUN.2 … that are runs, one behind the other; empty: there is none. */
bool run_find_aside(const struct sys *sys, const char *path, char aside[FILE_PATH_MAX],
                    struct err *err);

#endif
