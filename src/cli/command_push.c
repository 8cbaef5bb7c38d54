/* push: sends the usage ledger of a database to Dodo, through the period. */
#include <inttypes.h>
#include <stdio.h>

#include "api_client.h"
#include "cli/commands.h"
#include "database_option.h"
#include "emit/push.h"
#include "sys/clock.h"

#define HOUR_US (INT64_C(3600) * 1000000)

enum { TOLD_MAX = 20 };

struct pushing {
    struct cli *cli;
    uint64_t told;
    bool is_fine;
    struct err err;
};

/* The first few; all stand in billing.push_unsent. */
static void push_tell(void *context, const struct push_row *row, const char *reason,
                      const char *detail) {
    struct pushing *pushing = context;
    char quantity[DECIMAL_TEXT_MAX];
    char at[INSTANT_TEXT_MAX];
    if (!pushing->is_fine || ++pushing->told > TOLD_MAX) {
        return;
    }
    (void)decimal_format(row->quantity, quantity);
    (void)instant_format(row->occurred_at, at);
    pushing->is_fine =
        console_out(&pushing->cli->console, &pushing->err, "%-8s  %.*s  %.*s  %s  %s%s%s\n", reason,
                    (int)row->org_id.size_bytes, row->org_id.bytes, (int)row->metric.size_bytes,
                    row->metric.bytes, quantity, at, detail[0] != '\0' ? "  " : "", detail);
}

static bool push_print(struct cli *cli, const struct push_counts *counts, struct err *err) {
    return console_out(&cli->console, err,
                       "sent              %12" PRIu64 "\n"
                       "too old           %12" PRIu64 "\n"
                       "ahead of time     %12" PRIu64 "\n"
                       "refused           %12" PRIu64 "\n"
                       "no Dodo customer  %12" PRIu64 "\n"
                       "requests          %12" PRIu64 "\n",
                       counts->sent, counts->too_old, counts->ahead, counts->refused,
                       counts->without_customer, counts->requests);
}

static void push_note(struct cli *cli, const struct push_counts *counts) {
    char text[INSTANT_TEXT_MAX];
    int64_t now_us = clock_now(cli->sys).us;
    if (counts->has_seats) {
        console_say(&cli->console, LOG_NOTE,
                    "note: seats are not pushed: bill them by a subscription's quantity at Dodo, "
                    "or their overage with run --emit dodo");
    }
    if (counts->is_first) {
        (void)instant_format(counts->begins_at, text);
        console_say(&cli->console, LOG_NOTE,
                    "note: this is the first push: usage from before %s is not sent", text);
    } else if (counts->has_pushed_at && now_us - counts->pushed_at.us > HOUR_US) {
        (void)instant_format(counts->pushed_at, text);
        console_say(&cli->console, LOG_NOTE,
                    "note: the push before ended at %s: push at least hourly, as Dodo refuses "
                    "usage that is older than an hour",
                    text);
    }
}

static bool push_all(struct cli *cli, struct db *db, struct db *reader, struct client *client,
                     struct err *err) {
    struct pushing pushing = {.cli = cli, .is_fine = true};
    struct push_options options = {.tell = push_tell, .context = &pushing};
    struct push_counts counts;
    client_keep_connecting(client, true);
    bool is_fine = push_run(cli->sys, db, reader, client, &options, &counts, err);
    struct err printing = {0};
    bool is_told = pushing.is_fine && push_print(cli, &counts, &printing);
    push_note(cli, &counts);
    if (is_fine && !is_told) {
        *err = pushing.is_fine ? printing : pushing.err;
        return false;
    }
    err_release(&printing);
    err_release(&pushing.err);
    if (is_fine && counts.too_old + counts.refused > 0) {
        cli->status = ERR_SET_ASIDE;
        cli_next(cli, "psql -c 'select * from billing.push_unsent order by listed_at desc'");
    }
    return is_fine;
}

static bool push_command(struct cli *cli, struct err *err) {
    struct db *db = NULL;
    struct db *reader = NULL;
    struct client *client = NULL;
    cli_next(cli, "%s", cli->command_line);
    bool is_fine = api_client_open(cli, DIALECT_DODO, &client, err) &&
                   cli_open_database(cli, true, &db, err) &&
                   cli_open_database(cli, true, &reader, err);
    if (is_fine) {
        cli->next[0] = '\0';
        is_fine = push_all(cli, db, reader, client, err);
        if (!is_fine) {
            cli_next(cli, "%s", cli->command_line);
        }
    }
    db_close(reader);
    db_close(db);
    client_destroy(client);
    return is_fine;
}

const struct command command_push = {
    .name = "push",
    .summary = "send the usage ledger of a database to Dodo, through the period",
    .arguments = "--database CONNINFO",
    .options = OPTION_BIT(OPTION_DATABASE) | API_CLIENT_OPTIONS,
    .option_texts =
        {
            {OPTION_RATE,
             "requests a minute (with /min) or a second, or none for no bound (default: 100/min)",
             NULL},
        },
    .description =
        "Sends every row of the usage ledger that was written since the last push to Dodo\n"
        "Payments, in batches of up to 1,000 events. An event is named by its metric and\n"
        "carries quantity, kind and unique_key; its id comes from the row alone, so that\n"
        "it counts once however often it is sent. The cursor stands in the database: a\n"
        "push that was killed goes on, and two never run side by side (exit 11).\n\n"
        "Type it at least hourly (deploy/systemd/periodclose-push.timer does so every five\n"
        "minutes): Dodo refuses usage that is older than an hour. Rows that are too old, or\n"
        "refused for another reason, are listed in billing.push_unsent, counted, and end\n"
        "the command with exit 4. Rows of orgs without a Dodo customer are counted.\n\n"
        "The key comes from DODO_PAYMENTS_API_KEY, the file DODO_PAYMENTS_API_KEY_FILE, or\n"
        "a systemd credential. DODO_PAYMENTS_API_BASE is another address, as\n"
        "https://test.dodopayments.com. Of one metric send the usage or the overage\n"
        "(run --emit dodo), not both. Seats are not pushed: they are assignments, which may\n"
        "be corrected for any time, and Dodo takes nothing back.",
    .example = "periodclose push --database 'host=db1 dbname=billing'",
    .run = push_command,
};
