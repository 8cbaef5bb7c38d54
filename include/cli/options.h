/*
 * Options: one table, walked by the parser, help, the man page, completion and tests.
 *
 * Every option may also come from the environment: --run-dir is PERIODCLOSE_RUN_DIR; a typed option
 * wins. A flag from the environment is on for 1, true, yes or on.
 */
#ifndef PERIODCLOSE_CLI_OPTIONS_H
#define PERIODCLOSE_CLI_OPTIONS_H

#include "core/err.h"
#include "core/text.h"

enum option {
    OPTION_PERIOD,
    OPTION_SOURCE,
    OPTION_DATABASE,
    OPTION_AGGREGATE,
    OPTION_RUN_DIR,
    OPTION_PREVIOUS,
    OPTION_REPRICE,
    OPTION_REASON,
    OPTION_FORCE,
    OPTION_RELEASE,
    OPTION_ORG,
    OPTION_METRIC,
    OPTION_ACTION,
    OPTION_TRUTH,
    OPTION_QUERY,
    OPTION_SEATS,
    OPTION_VERIFY,
    OPTION_CUTOFF,
    OPTION_NOW,
    OPTION_UNTIL,
    OPTION_FROM,
    OPTION_PRICES,
    OPTION_EMIT,
    OPTION_ATTACH,
    OPTION_BATCH,
    OPTION_FINALIZE,
    OPTION_TEST_KEY,
    OPTION_REPAIR,
    OPTION_RESEND,
    OPTION_NEVER_SENT,
    OPTION_EARLIER_BILLED,
    OPTION_RATE,
    OPTION_IN_FLIGHT,
    OPTION_MAX_WAIT,
    OPTION_NO_STANDALONE,
    OPTION_DISCOUNTABLE,
    OPTION_TIMEOUT,
    OPTION_RETRY_DELAY,
    OPTION_DEADLINE,
    OPTION_EVENT,
    OPTION_HEADER,
    OPTION_OVERAGE_BILLING,
    OPTION_MAX_TOTAL,
    OPTION_MAX_CHANGE,
    OPTION_RESTART,
    OPTION_DRY_RUN,
    OPTION_JOBS,
    OPTION_MEMORY,
    OPTION_FORMAT,
    OPTION_JSON,
    OPTION_LOG_FORMAT,
    OPTION_QUIET,
    OPTION_HELP,
    OPTION_VERSION,
    OPTIONS_COUNT,
};

struct option_row {
    const char *name;     /* without the dashes */
    const char *argument; /* what stands for the value in help; NULL: a flag */
    bool is_repeatable;
    bool is_secret;   /* printed as <redacted> */
    const char *help; /* lower case, no full stop; of any command that has no words of its own */
};

extern const struct option_row option_table[OPTIONS_COUNT];

enum { OPTION_VALUES_MAX = 4096 };

/* What was given. Values point into argv or the environment. */
struct option_values {
    const char *const *values[OPTIONS_COUNT]; /* values_count each */
    size_t values_count[OPTIONS_COUNT];
    bool is_typed[OPTIONS_COUNT]; /* on the command line, not from the environment */
};

struct arena;

/*
 * Parses argv (without the program's and the command's name): --name VALUE, --name=VALUE, -- ends
 * options, anything else is positional. allowed: a bit per option. ERR_USAGE names the word and,
 * for a near miss, the option that was probably meant.
 */
bool options_parse(int argc, char *const *argv, uint64_t allowed, struct arena *arena,
                   struct option_values *values, const char ***positionals,
                   size_t *positionals_count, struct err *err);

/* The value, or NULL; the last one typed of an option that may be repeated. */
const char *option_value(const struct option_values *values, enum option option);
bool option_is_set(const struct option_values *values, enum option option);

#define OPTION_BIT(option) (UINT64_C(1) << (option))

#endif
