/* Commands that speak with Stripe or Dodo by themselves, without a run. */
#ifndef PERIODCLOSE_SRC_CLI_API_CLIENT_H
#define PERIODCLOSE_SRC_CLI_API_CLIENT_H

#include "cli/cli.h"
#include "emit/client.h"

#define API_CLIENT_OPTIONS                                                                         \
    (OPTION_BIT(OPTION_RATE) | OPTION_BIT(OPTION_TIMEOUT) | OPTION_BIT(OPTION_RETRY_DELAY) |       \
     OPTION_BIT(OPTION_DEADLINE))

/*
 * A key of Stripe's test mode is refused unless --test-key is given: what is read goes into a
 * database. With the key from DODO_PAYMENTS_API_KEY or STRIPE_API_KEY, at the usual address
 * or …_API_BASE.
 */
bool api_client_open(struct cli *cli, enum client_dialect dialect, struct client **client,
                     struct err *err);

#endif
