/* check: may an org do something now? What applications ask in SQL, on the command line. */
#include "answer.h"
#include "cli/commands.h"
#include "database_option.h"

static bool check_print(struct cli *cli, const struct db_result *row, const char *org_id,
                        const char *action, struct err *err) {
    bool is_allowed;
    struct text reason;
    if (!db_result_bool(row, 0, 0, &is_allowed, err) || !db_result_text(row, 0, 1, &reason, err)) {
        return false;
    }
    return answer_print(cli,
                        json_pack("{s:s, s:s, s:b, s:s%}", "orgId", org_id, "action", action,
                                  "allowed", is_allowed, "reason", reason.bytes, reason.size_bytes),
                        err);
}

static bool check_command(struct cli *cli, struct err *err) {
    const char *org_id;
    const char *action;
    struct db *db;
    struct db_params params = {0};
    struct db_result row = {0};
    if (!cli_required(cli, OPTION_ORG, &org_id, err) ||
        !cli_required(cli, OPTION_ACTION, &action, err)) {
        return false;
    }
    if (cli->options.values_count[OPTION_ORG] > 1) {
        return err_set(err, ERR_USAGE, "--org: one org at a time");
    }
    if (!cli_open_database(cli, false, &db, err)) {
        return false;
    }
    db_params_text(&params, text_from(org_id));
    db_params_text(&params, text_from(action));
    bool is_fine = db_run(db, "ask/entitlement.sql", &params, &row, err) &&
                   check_print(cli, &row, org_id, action, err);
    db_result_release(&row);
    db_close(db);
    if (is_fine) {
        cli_next(cli, "periodclose seats --org %s%s", shell_word(org_id, &(struct shell_word){0}),
                 cli_database_again(cli, &(struct database_words){0}));
    }
    return is_fine;
}

const struct command command_check = {
    .name = "check",
    .summary = "may an org do something now? as JSON",
    .arguments = "--org ID --action NAME --database CONNINFO",
    .options = OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_ORG) | OPTION_BIT(OPTION_ACTION),
    .option_texts =
        {
            {OPTION_ORG, "the org", NULL},
        },
    .description =
        "Prints {\"success\":true,\"data\":{\"orgId\",\"action\",\"allowed\",\"reason\"}}: what\n"
        "billing.check_entitlement says. The actions are in billing.entitlement_actions.\n"
        "allowed: within_limit, overage, unmetered. Not allowed: unknown_org, org_suspended,\n"
        "org_cancelled, unknown_action, feature_disabled, no_plan, not_in_plan, hard_limit,\n"
        "plan_limit, overage_disabled, overage_cap. Exit status 0 for both: nothing is\n"
        "reserved, and to be denied is no failure.",
    .example = "periodclose check --org acme --action use_tokens --database 'dbname=billing'",
    .run = check_command,
};
