#include "database_option.h"

#include <stdio.h>

#include "core/calendar.h"
#include "db/migrate.h"
#include "sys/clock.h"

bool cli_database(const struct cli *cli, const char **conninfo, struct err *err) {
    bool has_password;
    if (!cli_required(cli, OPTION_DATABASE, conninfo, err) ||
        !db_conninfo_check(*conninfo, &has_password, err)) {
        return false;
    }
    if (has_password && cli->options.is_typed[OPTION_DATABASE]) {
        /* Every user of the machine can read a command line. */
        (void)err_set(err, ERR_USAGE, "--database holds a password");
        return err_hint(err, "keep it in ~/.pgpass (PGPASSFILE) or PGPASSWORD, or give the whole "
                             "connection string in PERIODCLOSE_DATABASE");
    }
    return true;
}

bool cli_open_database(const struct cli *cli, bool sees_all_rows, struct db **db, struct err *err) {
    const char *conninfo;
    struct db *opened;
    if (!cli_database(cli, &conninfo, err)) {
        return false;
    }
    const struct db_options options = {
        .conninfo = conninfo, .role = DB_ROLE_CLOSE, .sees_all_rows = sees_all_rows};
    if (!db_open(cli->sys, &options, &opened, err)) {
        return false;
    }
    if (!migrate_check(opened, err)) {
        db_close(opened);
        return false;
    }
    *db = opened;
    return true;
}

const char *cli_database_again(const struct cli *cli, struct database_words *room) {
    room->text[0] = '\0';
    if (cli->options.is_typed[OPTION_DATABASE]) {
        const char *conninfo = option_value(&cli->options, OPTION_DATABASE);
        (void)snprintf(room->text, sizeof room->text, " --database %s",
                       shell_word(conninfo, &(struct shell_word){0}));
    }
    return room->text;
}

void cli_next_close(struct cli *cli) {
    char period[INSTANT_TEXT_MAX];
    int64_t days = clock_now(cli->sys).us / INSTANT_DAY_US;
    struct civil_date today = civil_from_days((int32_t)days);
    struct month month = {.year = today.year, .month = today.month};
    (void)month_format(month_add(month, -1), period);
    cli_next(cli, "periodclose run --period %s%s --run-dir run-%s --dry-run", period,
             cli_database_again(cli, &(struct database_words){0}), period);
}
