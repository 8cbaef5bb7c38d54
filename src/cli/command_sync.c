/* sync: subscriptions from Stripe or Dodo into a database; all of them, or a webhook's body. */
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "api_client.h"
#include "cli/commands.h"
#include "database_option.h"
#include "emit/secret.h"
#include "emit/sync.h"
#include "emit/webhook.h"
#include "sys/clock.h"

enum { BODY_BYTES_MAX = 4 * 1024 * 1024 };

struct told {
    struct cli *cli;
    bool is_fine;
    struct err err;
};

/* --- all ----------------------------------------------------------------------------------------
 */

static const char *why_left(const char *word) {
    static const struct {
        const char *word;
        const char *text;
    } rows[] = {
        {"no_org", "no org has this customer id, and its metadata org_id names none"},
        {"two_orgs", "two orgs have this customer id"},
        {"other_customer", "the org that its metadata names has another customer id"},
        {"other_org", "it was synced for another org before"},
        {"no_plan", "no plan has the id of its product, price or lookup key: see plan_links"},
        {"overlap", "the org has another subscription at that time"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        if (strcmp(rows[row].word, word) == 0) {
            return rows[row].text;
        }
    }
    return word;
}

static void sync_tell(void *context, const char *external_id, const char *customer,
                      const char *why) {
    struct told *told = context;
    told->is_fine =
        told->is_fine && console_out(&told->cli->console, &told->err, "left  %s  %s  %s: %s\n",
                                     external_id, customer, why, why_left(why));
}

static bool sync_page_by_page(struct cli *cli, struct db *db, struct client *client,
                              enum sync_provider provider, struct err *err) {
    struct told told = {.cli = cli, .is_fine = true};
    struct sync_options options = {.tell = sync_tell, .context = &told};
    struct sync_counts counts;
    bool is_fine = sync_all(cli->sys, db, client, provider, &options, &counts, err);
    struct err printing = {0};
    bool is_told = told.is_fine && console_out(&cli->console, &printing,
                                               "subscriptions %8" PRIu64 "\n"
                                               "added         %8" PRIu64 "\n"
                                               "changed       %8" PRIu64 "\n"
                                               "same          %8" PRIu64 "\n"
                                               "stale         %8" PRIu64 "\n"
                                               "left          %8" PRIu64 "\n",
                                               counts.read, counts.added, counts.changed,
                                               counts.same, counts.stale, counts.left);
    if (is_fine && !is_told) {
        *err = told.is_fine ? printing : told.err;
        return false;
    }
    err_release(&printing);
    err_release(&told.err);
    if (is_fine && counts.left > 0) {
        cli->status = ERR_SET_ASIDE;
    }
    return is_fine;
}

static bool sync_provider_of(const struct cli *cli, enum sync_provider *provider, struct err *err) {
    const char *name = cli->positionals_count > 0 ? cli->positionals[0] : "";
    *provider = strcmp(name, "dodo") == 0 ? SYNC_DODO : SYNC_STRIPE;
    if (strcmp(name, "dodo") == 0 || strcmp(name, "stripe") == 0) {
        return true;
    }
    (void)err_set(err, ERR_USAGE, "sync: from where? stripe or dodo, or --event FILE");
    return err_hint(err, "periodclose sync stripe --database CONNINFO");
}

static bool sync_from(struct cli *cli, struct err *err) {
    enum sync_provider provider;
    struct client *client = NULL;
    struct db *db = NULL;
    if (!sync_provider_of(cli, &provider, err)) {
        return false;
    }
    cli_next(cli, "%s", cli->command_line);
    bool is_fine =
        api_client_open(cli, provider == SYNC_DODO ? DIALECT_DODO : DIALECT_STRIPE, &client, err) &&
        cli_open_database(cli, true, &db, err) && sync_page_by_page(cli, db, client, provider, err);
    if (is_fine) {
        cli->next[0] = '\0';
    }
    db_close(db);
    client_destroy(client);
    return is_fine;
}

/* --- one event ----------------------------------------------------------------------------------
 */

/* Of --header 'NAME: VALUE', else of the environment that a web server sets (CGI). NULL: none. */
static const char *header_of(const struct cli *cli, const char *name, const char *variable) {
    size_t size = strlen(name);
    for (size_t index = 0; index < cli->options.values_count[OPTION_HEADER]; index++) {
        const char *header = cli->options.values[OPTION_HEADER][index];
        if (strncasecmp(header, name, size) == 0 && header[size] == ':') {
            return header + size + 1 + strspn(header + size + 1, " \t");
        }
    }
    return getenv(variable);
}

static bool check_stripe(struct cli *cli, const char *signature, struct text body,
                         struct sync_event *event, struct err *err) {
    struct secret secret;
    if (!secret_load(cli->sys, "STRIPE_WEBHOOK_SECRET", &secret, err)) {
        return false;
    }
    bool is_fine = webhook_check_stripe(body, signature, secret.text, clock_now(cli->sys), err);
    secret_clear(&secret);
    *event = (struct sync_event){.provider = SYNC_STRIPE,
                                 .takes_test = option_is_set(&cli->options, OPTION_TEST_KEY),
                                 .body = body};
    return is_fine;
}

static bool check_dodo(struct cli *cli, const struct webhook_standard *headers, struct text body,
                       struct sync_event *event, struct err *err) {
    struct secret secret;
    if (headers->id == NULL || headers->timestamp == NULL) {
        (void)err_set(err, ERR_INPUT,
                      "--event: webhook-signature came without webhook-id or webhook-timestamp");
        return err_hint(err, "pass all three headers of the webhook on, each by a --header or from "
                             "the environment");
    }
    if (!secret_load(cli->sys, "DODO_PAYMENTS_WEBHOOK_KEY", &secret, err)) {
        return false;
    }
    bool is_fine = webhook_check_standard(body, headers, secret.text, clock_now(cli->sys), err);
    secret_clear(&secret);
    *event = (struct sync_event){
        .provider = SYNC_DODO,
        .event_id = headers->id,
        .sent_at = {is_fine ? strtoll(headers->timestamp, NULL, 10) * 1000000 : 0},
        .body = body,
    };
    return is_fine;
}

static bool check_event(struct cli *cli, struct text body, struct sync_event *event,
                        struct err *err) {
    const char *stripe = header_of(cli, "stripe-signature", "HTTP_STRIPE_SIGNATURE");
    struct webhook_standard standard = {
        .id = header_of(cli, "webhook-id", "HTTP_WEBHOOK_ID"),
        .timestamp = header_of(cli, "webhook-timestamp", "HTTP_WEBHOOK_TIMESTAMP"),
        .signature = header_of(cli, "webhook-signature", "HTTP_WEBHOOK_SIGNATURE"),
    };
    if (stripe != NULL) {
        return check_stripe(cli, stripe, body, event, err);
    }
    if (standard.signature != NULL) {
        return check_dodo(cli, &standard, body, event, err);
    }
    /* Nothing is wrong with what was typed: anybody may post a body without one. */
    (void)err_set(err, ERR_INPUT, "--event: there is no signature");
    return err_hint(err, "pass the webhook's headers on: --header 'Stripe-Signature: …', or "
                         "webhook-id, webhook-timestamp and webhook-signature");
}

static bool take_event(struct cli *cli, const struct sync_event *event, struct err *err) {
    struct db *db = NULL;
    enum sync_outcome outcome;
    char word[64];
    bool is_fine = cli_open_database(cli, true, &db, err) &&
                   sync_event(db, event, &outcome, word, err) &&
                   console_out(&cli->console, err, "%s\n", word);
    db_close(db);
    if (!is_fine || outcome != SYNC_LEFT) {
        return is_fine;
    }
    cli->status = ERR_SET_ASIDE;
    console_say(&cli->console, LOG_NOTE,
                "note: the event was not taken: %s; it may be sent again later", why_left(word));
    return true;
}

static bool sync_one_event(struct cli *cli, const char *path, struct err *err) {
    struct buffer body = {0};
    struct sync_event event;
    bool is_stdin = strcmp(path, "-") == 0;
    if (cli->positionals_count > 0) {
        return err_set(err, ERR_USAGE, "sync: '%.40s' does not go with --event",
                       cli->positionals[0]);
    }
    bool is_fine = (is_stdin ? file_load_stdin(cli->sys, BODY_BYTES_MAX, &body, err)
                             : file_load(cli->sys, path, BODY_BYTES_MAX, &body, err)) &&
                   check_event(cli, buffer_text(&body), &event, err) &&
                   take_event(cli, &event, err);
    buffer_release(&body);
    return is_fine;
}

static bool sync_command(struct cli *cli, struct err *err) {
    const char *path = option_value(&cli->options, OPTION_EVENT);
    return path != NULL ? sync_one_event(cli, path, err) : sync_from(cli, err);
}

const struct command command_sync = {
    .name = "sync",
    .summary = "take subscriptions over from Stripe or Dodo into a database",
    .arguments = "stripe|dodo --database CONNINFO | --event FILE --database CONNINFO",
    .positionals_max = 1,
    .positional = "stripe|dodo",
    .options = OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_EVENT) | OPTION_BIT(OPTION_HEADER) |
               OPTION_BIT(OPTION_TEST_KEY) | API_CLIENT_OPTIONS,
    .option_texts =
        {
            {OPTION_TEST_KEY, "a key or an event of Stripe's test mode is meant", NULL},
            {OPTION_RATE,
             "requests a second, or a minute, or none for no bound (default: 20; Dodo: 100/min)",
             NULL},
        },
    .description =
        "Reads all subscriptions, page by page, into billing.subscriptions and the orgs'\n"
        "customer ids. The org is the one that has the customer id; an org without one is\n"
        "found by org_id in the subscription's metadata. The plan is the one whose id is\n"
        "plan_id in the metadata, the price's lookup key, the price or the product; where\n"
        "they differ, billing.plan_links says which. A change of plan ends one row and\n"
        "begins another. What cannot be taken over is listed, and ends with exit 4.\n\n"
        "With --event it takes the body of one webhook, from a file or from stdin (-), with\n"
        "its headers: from --header, or from the environment as CGI sets it\n"
        "(HTTP_STRIPE_SIGNATURE, HTTP_WEBHOOK_ID, …). The signature must be there, fit, and be\n"
        "at most five minutes old (exit 10 otherwise). The same event again does nothing, and an "
        "event\n"
        "that is older than what is known changes nothing. An event that ends with exit 4\n"
        "was not taken: let it be sent again.\n\n"
        "What is of Stripe's test mode, a key or an event, is refused unless --test-key is\n"
        "given: its customers are not those of the live mode.\n\n"
        "Keys: STRIPE_API_KEY or DODO_PAYMENTS_API_KEY; for events STRIPE_WEBHOOK_SECRET or\n"
        "DODO_PAYMENTS_WEBHOOK_KEY. Each also as a file (…_FILE) or a systemd credential.",
    .example = "periodclose sync stripe --database 'host=db1 dbname=billing'",
    .run = sync_command,
};
