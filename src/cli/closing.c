#include "cli/closing.h"

#include <stdlib.h>

#include "cli/emission.h"
#include "closing_summary.h"
#include "stage/stages.h"

const char pin_period[] = "period";
const char pin_previous[] = "previous";
const char pin_previous_path[] = "previous_path";
const char pin_reason[] = "reason";
const char pin_cutoff[] = "cutoff";
const char pin_now[] = "now";
const char pin_dry_run[] = "dry_run";
const char pin_source[] = "source";
const char pin_refused[] = "refused";
const char pin_asides[] = "to_check";

bool closing_options(struct cli *cli, struct run_options *options, struct err *err) {
    options->observe = console_observe;
    options->observe_context = &cli->console;
    return cli_jobs(cli, &options->jobs, err) && cli_memory(cli, &options->memory_bytes, err);
}

void closing_next_same(struct cli *cli) {
    cli_next(cli, "%s", cli->command_line);
}

static int compare_texts(const void *left, const void *right) {
    return text_compare(*(const struct text *)left, *(const struct text *)right);
}

bool closing_selected_orgs(struct cli *cli, struct stage_session *session, struct err *err) {
    size_t given = cli->options.values_count[OPTION_ORG];
    if (given == 0) {
        return true;
    }
    struct text *orgs = arena_alloc_array(cli->arena, given, sizeof *orgs, err);
    if (orgs == NULL) {
        return false;
    }
    for (size_t index = 0; index < given; index++) {
        orgs[index] = text_from(cli->options.values[OPTION_ORG][index]);
    }
    qsort(orgs, given, sizeof *orgs, compare_texts);
    size_t kept = 0;
    for (size_t index = 0; index < given; index++) {
        if (kept == 0 || !text_equals(orgs[kept - 1], orgs[index])) {
            orgs[kept++] = orgs[index];
        }
    }
    session->selected_orgs = orgs;
    session->selected_orgs_count = kept;
    return true;
}

/* What is to be told of a run. */
struct closing_sums {
    struct run *run;
    size_t jobs;
    struct summary summary;
    struct err err; /* why it could not be summed up */
};

static void closing_sum_up(void *context) {
    struct closing_sums *sums = context;
    if (run_stage_is_done(sums->run, &stage_record)) {
        sums->summary.is_emitted = emission_is_done(sums->run) || emission_is_tried(sums->run);
        (void)summary_load(&sums->summary, sums->run, sums->jobs, &sums->err);
    }
}

static bool closing_execute_and_tell(struct cli *cli, struct run *run,
                                     struct stage_session *session,
                                     const struct run_options *options, struct err *err) {
    struct closing_sums sums = {.run = run, .jobs = options->jobs};
    struct run_options summing = *options;
    summing.computed = closing_sum_up;
    summing.computed_context = &sums;
    if (!run_execute(run, &summing, session, err)) {
        err_release(&sums.err);
        return false;
    }
    cli->next[0] = '\0';
    bool is_summed = sums.err.code == ERR_NONE;
    if (!is_summed) {
        *err = sums.err;
    }
    if (!is_summed || !closing_tell(cli, run, &sums.summary, err)) {
        closing_next_same(cli);
        return false;
    }
    return true;
}

bool closing_execute(struct cli *cli, struct run *run, struct stage_session *session,
                     const struct run_options *options, struct err *err) {
    if (!closing_execute_and_tell(cli, run, session, options, err)) {
        return false;
    }
    const struct stage *next = run_next_stage(run);
    const char *path = shell_word(run_path(run), &(struct shell_word){0});
    if (cli->next[0] != '\0') {
        return true; /* told already */
    }
    if (options->is_dry || cli->status == ERR_SET_ASIDE) {
        cli_next_of_reports(cli, run);
    } else if (next != NULL) {
        cli_next(cli, "periodclose run --run-dir %s", path);
    } else if (cli->status != ERR_NONE) {
        cli_next_of_run(cli, run); /* as status says it: both go by what is noted */
    } else {
        cli_next(cli, "periodclose verify %s", path);
    }
    return true;
}
