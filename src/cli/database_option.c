#include "database_option.h"

#include "db/db.h"

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
