/* Options of sending that would mean nothing: refused, so that nobody believes they were heeded. */
#include "cli/emission.h"

enum {
    ITEMS = 1 << EMISSION_STRIPE,
    METERS = 1 << EMISSION_STRIPE_METERS,
    EVENTS = 1 << EMISSION_DODO,
};

/* Where each means something. */
static const struct option_place {
    enum option option;
    unsigned emissions; /* bits */
    const char *words;  /* as --emit is typed */
} option_places[] = {
    {OPTION_ATTACH, ITEMS, "stripe"},
    {OPTION_BATCH, ITEMS, "stripe"},
    {OPTION_FINALIZE, ITEMS, "stripe"},
    {OPTION_MAX_WAIT, ITEMS, "stripe"},
    {OPTION_NO_STANDALONE, ITEMS, "stripe"},
    {OPTION_DISCOUNTABLE, ITEMS, "stripe"},
    {OPTION_NEVER_SENT, METERS, "stripe-meters"},
    {OPTION_TEST_KEY, ITEMS | METERS, "stripe or stripe-meters"},
    {OPTION_IN_FLIGHT, ITEMS | METERS, "stripe or stripe-meters"},
    {OPTION_EARLIER_BILLED, ITEMS | METERS | EVENTS, "stripe, stripe-meters or dodo"},
    {OPTION_RATE, ITEMS | METERS | EVENTS, "stripe, stripe-meters or dodo"},
    {OPTION_TIMEOUT, ITEMS | METERS | EVENTS, "stripe, stripe-meters or dodo"},
    {OPTION_RETRY_DELAY, ITEMS | METERS | EVENTS, "stripe, stripe-meters or dodo"},
    {OPTION_DEADLINE, ITEMS | METERS | EVENTS, "stripe, stripe-meters or dodo"},
};

static const char *emission_word(enum emission emission) {
    switch (emission) {
    case EMISSION_NONE:
        return "none";
    case EMISSION_STRIPE:
        return "stripe";
    case EMISSION_STRIPE_METERS:
        return "stripe-meters";
    case EMISSION_DODO:
        return "dodo";
    }
    return "";
}

/* The environment is for all commands: what it has and one of them does not need is no mistake. */
bool emission_check_options(const struct cli *cli, enum emission emission, struct err *err) {
    const struct option_values *options = &cli->options;
    for (size_t row = 0; row < sizeof option_places / sizeof option_places[0]; row++) {
        const struct option_place *place = &option_places[row];
        if (!options->is_typed[place->option] || (place->emissions & (1U << emission)) != 0) {
            continue;
        }
        (void)err_set(err, ERR_USAGE, "--%s goes with --emit %s, and this run has --emit %s",
                      option_table[place->option].name, place->words, emission_word(emission));
        return err_hint(err, "leave it out: here it would change nothing");
    }
    const char *attach = option_value(options, OPTION_ATTACH);
    bool is_apart = attach != NULL && strcmp(attach, "invoice") == 0;
    enum option moot = options->is_typed[OPTION_MAX_WAIT] ? OPTION_MAX_WAIT : OPTION_NO_STANDALONE;
    if (is_apart && options->is_typed[moot]) {
        (void)err_set(err, ERR_USAGE, "--%s means nothing with --attach invoice",
                      option_table[moot].name);
        return err_hint(err, "every item goes on an invoice of its own customer; leave it out");
    }
    return true;
}
