/* seats: how many seats an org has and who has them. */
#include "answer.h"
#include "cli/commands.h"
#include "database_option.h"

enum { ALLOCATION_COLUMNS_COUNT = 5 };

static bool put_decimal(json_t *object, const char *key, const struct db_result *row, size_t column,
                        struct err *err) {
    char text[DECIMAL_TEXT_MAX];
    struct decimal value;
    if (!db_result_decimal(row, 0, column, &value, err)) {
        return false;
    }
    (void)decimal_format(value, text);
    json_t *string = db_result_is_null(row, 0, column) ? json_null() : json_string(text);
    return json_object_set_new(object, key, string) == 0 || err_memory(err, sizeof text);
}

static bool put_instant(json_t *object, const char *key, const struct db_result *rows, size_t row,
                        size_t column, struct err *err) {
    char text[INSTANT_TEXT_MAX];
    struct instant instant;
    if (!db_result_instant(rows, row, column, &instant, err)) {
        return false;
    }
    (void)instant_format(instant, text);
    json_t *string = db_result_is_null(rows, row, column) ? json_null() : json_string(text);
    return json_object_set_new(object, key, string) == 0 || err_memory(err, sizeof text);
}

static bool put_text(json_t *object, const char *key, const struct db_result *rows, size_t row,
                     size_t column, struct err *err) {
    struct text text;
    if (!db_result_text(rows, row, column, &text, err)) {
        return false;
    }
    json_t *string = db_result_is_null(rows, row, column)
                         ? json_null()
                         : json_stringn(text.bytes, text.size_bytes);
    return json_object_set_new(object, key, string) == 0 || err_memory(err, text.size_bytes);
}

static bool add_allocation(const struct db_result *row, json_t *data, struct err *err) {
    static const char *const keys[ALLOCATION_COLUMNS_COUNT] = {"total", "used", "available",
                                                               "pending", "overage"};
    bool is_allowed;
    bool requires_upgrade;
    for (size_t column = 0; column < ALLOCATION_COLUMNS_COUNT; column++) {
        if (!put_decimal(data, keys[column], row, 1 + column, err)) {
            return false;
        }
    }
    if (!db_result_bool(row, 0, 6, &is_allowed, err) ||
        !db_result_bool(row, 0, 7, &requires_upgrade, err)) {
        return false;
    }
    json_t *more =
        json_pack("{s:b, s:b}", "allowed", is_allowed, "requiresUpgrade", requires_upgrade);
    if (json_object_set_new(data, "oneMore", more) != 0) {
        return err_memory(err, 256);
    }
    return put_decimal(more, "overageFee", row, 8, err);
}

static bool add_users(const struct db_result *rows, json_t *data, struct err *err) {
    json_t *users = json_array();
    if (json_object_set_new(data, "users", users) != 0) {
        return err_memory(err, 256);
    }
    for (size_t row = 0; row < rows->rows_count; row++) {
        json_t *user = json_object();
        if (json_array_append_new(users, user) != 0) {
            return err_memory(err, 256);
        }
        if (!put_text(user, "userId", rows, row, 0, err) ||
            !put_text(user, "role", rows, row, 1, err) ||
            !put_instant(user, "assignedAt", rows, row, 2, err) ||
            !put_instant(user, "expiresAt", rows, row, 3, err)) {
            return false;
        }
    }
    return true;
}

static bool check_org(const struct db_result *row, const char *org_id, struct err *err) {
    bool is_known;
    if (!db_result_bool(row, 0, 0, &is_known, err)) {
        return false;
    }
    if (is_known) {
        return true;
    }
    (void)err_set(err, ERR_INPUT, "org '%.300s' is not in billing.orgs", org_id);
    return err_hint(err, "see how it is spelled: select org_id from billing.orgs");
}

static bool seats_print(struct cli *cli, struct db *db, const char *org_id, struct err *err) {
    struct db_params params = {0};
    struct db_result allocation = {0};
    struct db_result users = {0};
    json_t *data = json_pack("{s:s}", "orgId", org_id);
    db_params_text(&params, text_from(org_id));
    bool is_fine = (data != NULL || err_memory(err, 256)) &&
                   db_run(db, "ask/seats.sql", &params, &allocation, err) &&
                   check_org(&allocation, org_id, err) &&
                   db_run(db, "ask/users.sql", &params, &users, err) &&
                   add_allocation(&allocation, data, err) && add_users(&users, data, err);
    db_result_release(&allocation);
    db_result_release(&users);
    if (!is_fine) {
        json_decref(data);
        return false;
    }
    return answer_print(cli, data, err);
}

static bool seats_command(struct cli *cli, struct err *err) {
    const char *org_id;
    struct db *db;
    if (!cli_required(cli, OPTION_ORG, &org_id, err) || !cli_open_database(cli, false, &db, err)) {
        return false;
    }
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < cli->options.values_count[OPTION_ORG]; index++) {
        is_fine = seats_print(cli, db, cli->options.values[OPTION_ORG][index], err);
    }
    db_close(db);
    if (is_fine) {
        cli_next(cli, "periodclose check --org %s --action add_seat%s",
                 shell_word(org_id, &(struct shell_word){0}),
                 cli_database_again(cli, &(struct database_words){0}));
    }
    return is_fine;
}

const struct command command_seats = {
    .name = "seats",
    .summary = "one org's seats as JSON",
    .arguments = "--org ID... --database CONNINFO",
    .options = OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_ORG),
    .option_texts =
        {
            {OPTION_ORG, "the org; given several times, a line for each", NULL},
        },
    .description =
        "Prints "
        "{\"success\":true,\"data\":{\"orgId\",\"total\",\"used\",\"available\",\"pending\",\n"
        "\"overage\",\"oneMore\",\"users\"}}, as of now: the seats of the plan, those with an\n"
        "active user, free, held by pending invitations, and above the plan; whether one\n"
        "more may be assigned and what it adds to the overage; and who has one. Numbers\n"
        "are decimal strings. With several --org, one such line for each.",
    .example = "periodclose seats --org acme --database 'dbname=billing'",
    .run = seats_command,
};
