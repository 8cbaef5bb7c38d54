/*
 * replay: computes a run again from one of its checkpoints, in a new directory; with other prices,
 * what the period would have cost under them.
 *
 * The stages before --from are carried over as they are. With --prices, plans.csv, prices.csv and
 * tiers.csv of that folder take the place of the sealed tables; they must price exactly the metrics
 * that were metered, aggregated alike, or the quantities would not be theirs.
 */
#include "cli/closing.h"
#include "cli/commands.h"
#include "rating/terms.h"
#include "source/price_list.h"
#include "stage/stages.h"

static const struct table_schema *const replaced_tables[] = {
    &checkpoint_plans,
    &checkpoint_prices,
    &checkpoint_tiers,
};

enum { REPLACED_COUNT = sizeof replaced_tables / sizeof replaced_tables[0] };

struct replay {
    struct cli *cli;
    struct run *origin;
    struct run *run;
    struct run *previous; /* of a revision: needed to compute differences again */
    struct run_options options;
    const struct stage *from;
    const char *prices_folder; /* NULL: the sealed prices */
};

/* --- other prices -------------------------------------------------------------------------------
 */

static bool price_list_row_fits(const struct terms_plan *sealed, const struct catalog_plan *plan,
                                struct err *err) {
    if (sealed->currency != plan->currency) {
        return err_set(err, ERR_MISMATCH, "plan '%.*s': was %s, is %s in --prices",
                       (int)plan->plan_id.size_bytes, plan->plan_id.bytes, sealed->currency->code,
                       plan->currency->code);
    }
    for (uint32_t index = 0; index < plan->prices_count; index++) {
        const struct catalog_price *price = &plan->prices[index];
        const struct terms_price *metered = terms_find_price(sealed, price->metric);
        if (metered == NULL || metered->price.aggregation != price->price.aggregation) {
            (void)err_set(err, ERR_MISMATCH, "plan '%.*s', metric '%.*s': %s",
                          (int)plan->plan_id.size_bytes, plan->plan_id.bytes,
                          (int)price->metric.size_bytes, price->metric.bytes,
                          metered == NULL ? "was not metered in this run"
                                          : "was metered with another aggregation");
            return err_hint(err, "a what-if changes prices, tiers and included units; other "
                                 "metrics need a run of their own");
        }
    }
    if (plan->prices_count != sealed->prices_count) {
        return err_set(err, ERR_MISMATCH,
                       "plan '%.*s': %zu metric%s metered, --prices has %u of them",
                       (int)plan->plan_id.size_bytes, plan->plan_id.bytes, sealed->prices_count,
                       sealed->prices_count == 1 ? " was" : "s were", plan->prices_count);
    }
    return true;
}

static const struct catalog_plan *price_list_find(const struct price_list *list,
                                                  struct text plan_id) {
    for (uint32_t index = 0; index < list->plans_count; index++) {
        if (text_equals(list->plans[index].plan_id, plan_id)) {
            return &list->plans[index];
        }
    }
    return NULL;
}

/* Writes every sealed plan with the new prices, under the terms it had. */
static bool replay_write_terms(struct replay *replay, const struct terms *sealed,
                               const struct price_list *list, struct err *err) {
    struct table_writer *writers[REPLACED_COUNT] = {0};
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < REPLACED_COUNT; index++) {
        is_fine = run_replay_create(replay->run, replaced_tables[index], &writers[index], err);
    }
    const struct price_list_writers of_plans = {
        .plans = writers[0], .prices = writers[1], .tiers = writers[2]};
    for (size_t index = 0; is_fine && index < sealed->plans_count; index++) {
        const struct terms_plan *old = &sealed->plans[index];
        const struct catalog_plan *plan = price_list_find(list, old->plan_id);
        if (plan == NULL) {
            is_fine =
                err_set(err, ERR_INPUT, "%s/plans.csv: plan '%.*s' of the run is missing",
                        replay->prices_folder, (int)old->plan_id.size_bytes, old->plan_id.bytes);
            break;
        }
        struct catalog_plan under_old_terms = *plan;
        under_old_terms.terms = old->terms;
        is_fine = price_list_row_fits(old, plan, err) &&
                  price_list_write(&under_old_terms, &of_plans, err);
    }
    for (size_t index = 0; index < REPLACED_COUNT; index++) {
        if (is_fine) {
            is_fine = run_replay_commit(replay->run, replaced_tables[index], writers[index], err);
        } else {
            table_writer_destroy(writers[index]);
        }
    }
    return is_fine;
}

static bool replay_replace_prices(struct replay *replay, struct err *err) {
    struct terms sealed;
    struct table *tables[REPLACED_COUNT] = {0};
    struct price_list list = {0};
    struct problems *problems = problems_create(err);
    bool is_fine = problems != NULL;
    for (size_t index = 0; is_fine && index < REPLACED_COUNT; index++) {
        is_fine = run_input_open(replay->origin, replaced_tables[index], 0, &tables[index], err);
    }
    is_fine =
        is_fine &&
        price_list_load(replay->cli->sys, replay->prices_folder, tables[0], &list, problems, err) &&
        problems_check(problems, err) &&
        terms_load(&sealed, tables[0], tables[1], tables[2], replay->cli->arena, err) &&
        replay_write_terms(replay, &sealed, &list, err);
    for (size_t index = 0; index < REPLACED_COUNT; index++) {
        table_close(tables[index]);
    }
    price_list_release(&list);
    problems_destroy(problems);
    return is_fine;
}

/* --- the replay ---------------------------------------------------------------------------------
 */

static bool replay_find_from(struct replay *replay, struct err *err) {
    const char *name;
    if (!cli_required(replay->cli, OPTION_FROM, &name, err)) {
        return false;
    }
    replay->from = stage_find(stages_all(), name);
    if (replay->from == NULL) {
        (void)err_set(err, ERR_USAGE, "--from: '%s' is no stage", name);
        return err_hint(err, "periodclose --help lists them");
    }
    if (replay->from == &stage_extract) {
        (void)err_set(err, ERR_USAGE, "--from: stage '%s' reads the source, and a replay does not",
                      name);
        return err_hint(err, "replay from meter or later, or start a run of its own");
    }
    if (replay->prices_folder != NULL && replay->from->number > stage_rate.number) {
        return err_set(err, ERR_USAGE, "--prices: they are applied by stage '%s', replay from it",
                       stage_rate.name);
    }
    return true;
}

/* A replayed revision computes its differences to the same run again. */
static bool replay_open_previous(struct replay *replay, struct stage_session *session,
                                 struct err *err) {
    const char *id = run_pinned(replay->origin, PIN_INPUT, pin_previous);
    const char *path = run_pinned(replay->origin, PIN_VERSION, pin_previous_path);
    session->reason = run_pinned(replay->origin, PIN_OPTION, pin_reason);
    if (session->reason != NULL && session->reason[0] == '\0') {
        session->reason = NULL;
    }
    if (id == NULL || path == NULL || replay->from->number > stage_record.number) {
        return true;
    }
    if (!run_open_jobs(replay->cli->sys, path, stages_all(), RUN_INSPECT, replay->options.jobs,
                       &replay->previous, err)) {
        return err_wrap(err, "the run that %s revised", run_path(replay->origin));
    }
    if (run_id(replay->previous) == NULL || strcmp(run_id(replay->previous), id) != 0) {
        return err_set(err, ERR_MISMATCH, "%s: is run %s, the one that was revised is %s", path,
                       run_id(replay->previous) != NULL ? run_id(replay->previous) : "(none)", id);
    }
    session->previous = replay->previous;
    return true;
}

/* Where the same command would only fail again: which of the two directories it is about. */
static void replay_tell_remedy(struct replay *replay, const char *path, const char *new_path,
                               struct err *err) {
    const struct stage *next = run_next_stage(replay->origin);
    bool is_too_early = next != NULL && next->number < replay->from->number;
    cli_next_remedy(replay->cli, err->code == ERR_DAMAGED || is_too_early ? path : new_path, err);
}

/* The folder is to be corrected by what was sealed, which the same command would miss again. */
static void replay_tell_prices(struct replay *replay, const char *path, const struct err *err) {
    if (err->code == ERR_MISMATCH) {
        cli_next(replay->cli, "periodclose inspect %s/%s/%s",
                 shell_word(path, &(struct shell_word){0}), stage_extract.name,
                 checkpoint_prices.name);
    }
}

static bool replay_start(struct replay *replay, const char *path, const char *new_path,
                         struct err *err) {
    bool has_prices = replay->prices_folder != NULL;
    /* Without other prices only what is carried over is read and verified: a run whose later files
     * are damaged can be computed again. */
    enum run_mode mode = has_prices ? RUN_INSPECT : RUN_STATUS;
    if (!run_open_jobs(replay->cli->sys, path, stages_all(), mode, replay->options.jobs,
                       &replay->origin, err)) {
        return false;
    }
    closing_next_same(replay->cli);
    if (!run_replay(replay->origin, new_path, replay->from, replaced_tables,
                    has_prices ? REPLACED_COUNT : 0, &replay->run, err)) {
        replay_tell_remedy(replay, path, new_path, err);
        return false;
    }
    return run_tell_command(replay->run, replay->cli->command_line, err);
}

static bool replay_do(struct replay *replay, struct err *err) {
    struct cli *cli = replay->cli;
    struct stage_session session = {0};
    const char *path = cli->positionals[0];
    const char *new_path;
    replay->prices_folder = option_value(&cli->options, OPTION_PRICES);
    if (!cli_required(cli, OPTION_RUN_DIR, &new_path, err) || !replay_find_from(replay, err) ||
        !closing_options(cli, &replay->options, err) ||
        !replay_start(replay, path, new_path, err) ||
        !replay_open_previous(replay, &session, err)) {
        return false;
    }
    if (replay->prices_folder != NULL && !replay_replace_prices(replay, err)) {
        replay_tell_prices(replay, path, err);
        return false;
    }
    if (!closing_execute(cli, replay->run, &session, &replay->options, err)) {
        return false;
    }
    cli_next(cli, "periodclose diff %s %s", shell_word(path, &(struct shell_word){0}),
             shell_word(new_path, &(struct shell_word){0}));
    return true;
}

static bool replay_run(struct cli *cli, struct err *err) {
    struct replay replay = {.cli = cli};
    bool is_fine = replay_do(&replay, err);
    run_close(replay.previous);
    run_close(replay.run);
    run_close(replay.origin);
    return is_fine;
}

const struct command command_replay = {
    .name = "replay",
    .summary = "compute a run again from a checkpoint; with other prices: what if",
    .arguments = "RUN --from STAGE --run-dir NEW [--prices DIR]",
    .positionals_min = 1,
    .positionals_max = 1,
    .positional = "RUN",
    .options = OPTION_BIT(OPTION_FROM) | OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_PRICES) |
               OPTION_BIT(OPTION_JOBS) | OPTION_BIT(OPTION_MEMORY),
    .option_texts =
        {
            {OPTION_RUN_DIR, "where the replay goes: a new run directory", "NEW"},
        },
    .description =
        "Takes the sealed stages before STAGE from RUN as they are and computes the rest\n"
        "in NEW. The same program gives the same bytes. A replay is marked as one and can\n"
        "never record or emit. What it reads of RUN is verified first; what it only takes\n"
        "over (the seats and their days, say) is verified when NEW is opened.\n\n"
        "With --prices, the prices.csv of that folder and, for tiered models, its tiers.csv\n"
        "are taken instead of the sealed ones: what would this period have cost? `diff`\n"
        "then shows it org by org. Every metric of every plan of the run must be there; a\n"
        "plans.csv is needed only for other names of plans.\n\n"
        "A replay that was stopped goes on when the same command is typed again.",
    .example = "periodclose replay /var/lib/periodclose/2026-10 --from rate "
               "--prices new-prices --run-dir what-if",
    .run = replay_run,
};
