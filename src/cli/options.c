#include "cli/options.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/arena.h"

const struct option_row option_table[OPTIONS_COUNT] = {
    [OPTION_PERIOD] = {"period", "YYYY-MM", false, false,
                       "the period, by the month in which it begins"},
    [OPTION_SOURCE] = {"source", "DIR", false, false, "dataset folder to read (CSV files)"},
    [OPTION_DATABASE] =
        {"database", "CONNINFO", false, false,
         "libpq connection string or URI without a password, or '' for libpq's own environment"},
    [OPTION_AGGREGATE] = {"aggregate", "client|server", false, false,
                          "where usage of a database is added up (default: client); server: for "
                          "slow links"},
    [OPTION_RUN_DIR] = {"run-dir", "RUN", false, false,
                        "the run directory, instead of the word RUN"},
    [OPTION_PREVIOUS] = {"previous", "RUN", false, false,
                         "revise that finished run of the same period: bill only the difference"},
    [OPTION_REPRICE] = {"reprice", NULL, false, false,
                        "rate what is revised with today's terms, not with those sealed with it"},
    [OPTION_REASON] = {"reason", "TEXT", false, false, "why; kept in billing.close_runs"},
    [OPTION_FORCE] = {"force", NULL, false, false,
                      "record the result as the next revision (needs --reason)"},
    [OPTION_RELEASE] = {"release", "NUMBER", false, false,
                        "take its claim from the run of that number"},
    [OPTION_ORG] = {"org", "ID", true, false, "only this org; may be given several times"},
    [OPTION_METRIC] = {"metric", "NAME", false, false, "only this metric"},
    [OPTION_ACTION] = {"action", "NAME", false, false, "what the org wants to do, as use_tokens"},
    [OPTION_TRUTH] = {"truth", "FILE", false, false,
                      "CSV file of org_id, metric, quantity: what is true"},
    [OPTION_QUERY] = {"query", "SQL", false, false, "a query that gives those three columns"},
    [OPTION_SEATS] = {"seats", NULL, false, false, "take the seat book for the truth"},
    [OPTION_VERIFY] = {"verify", NULL, false, false, "only compare: exit status 15 on any drift"},
    [OPTION_CUTOFF] = {"cutoff", "TIME", false, false,
                       "usage recorded after this instant is late (default: the first start; for "
                       "what is recorded or revised, the cutoff it had)"},
    [OPTION_NOW] = {"now", "TIME", false, false,
                    "the time of the run, to repeat one or to test (default: the clock)"},
    [OPTION_UNTIL] = {"until", "STAGE", false, false, "stop after this stage"},
    [OPTION_FROM] = {"from", "STAGE", false, false, "the first stage to compute again"},
    [OPTION_PRICES] = {"prices", "DIR", false, false,
                       "take prices.csv and tiers.csv from there: what if"},
    [OPTION_EMIT] = {"emit", "none|stripe|stripe-meters|dodo", false, false,
                     "where overages go (default: none)"},
    [OPTION_ATTACH] = {"attach", "upcoming|draft|invoice", false, false,
                       "where items go: on the subscription's next invoice (default), on its draft "
                       "of the closed period while there is one, or on an invoice of their own"},
    [OPTION_BATCH] = {"batch", "items|lines", false, false,
                      "how items go on an invoice of their own: one by one (default), or as lines, "
                      "those of an org by one request"},
    [OPTION_FINALIZE] = {"finalize", NULL, false, false,
                         "finalise invoices of their own that have all their items and the right "
                         "total"},
    [OPTION_TEST_KEY] = {"test-key", NULL, false, false,
                         "a key of Stripe's test mode is meant, though there is a database"},
    [OPTION_REPAIR] = {"repair", NULL, false, false,
                       "send what was never sent, and note what stands there; never delete"},
    [OPTION_RESEND] = {"resend", "KEY", true, false,
                       "send that item again: removed at Stripe, or a meter event that is unknown"},
    [OPTION_NEVER_SENT] =
        {"never-sent", NULL, false, false,
         "with stripe-meters: no start before this one sent events of the period"},
    [OPTION_EARLIER_BILLED] = {"earlier-billed", NULL, false, false,
                               "what earlier revisions billed and never sent was billed by other "
                               "means: send the differences"},
    [OPTION_RATE] = {"rate", "N|N/min|none", false, false,
                     "requests a second and endpoint, or a minute, or none for no bound (default: "
                     "20; Dodo: 100/min)"},
    [OPTION_IN_FLIGHT] = {"in-flight", "N", false, false,
                          "requests at once to Stripe (default: 8)"},
    [OPTION_MAX_WAIT] = {"max-wait", "DAYS|none", false, false,
                         "put items on a subscription whose next invoice is no further away "
                         "(default: 45); none: do not ask"},
    [OPTION_NO_STANDALONE] = {"no-standalone", NULL, false, false,
                              "hold items without an upcoming invoice, make none for them"},
    [OPTION_DISCOUNTABLE] = {"discountable", NULL, false, false, "coupons reduce overage, too"},
    [OPTION_TIMEOUT] = {"timeout", "MS", false, false,
                        "time limit of one request (default: 80000)"},
    [OPTION_RETRY_DELAY] = {"retry-delay", "MS", false, false,
                            "first pause before a request is tried again (default: 500)"},
    [OPTION_DEADLINE] = {"deadline", "SECONDS", false, false,
                         "time limit of all requests together (default: 86400)"},
    [OPTION_EVENT] = {"event", "FILE", false, false, "the body of one webhook; - is stdin"},
    [OPTION_HEADER] = {"header", "'NAME: VALUE'", true, false,
                       "a header of the webhook; may be given several times"},
    [OPTION_OVERAGE_BILLING] = {"overage-billing", "true|false", false, false,
                                "false: meter and report overage, but bill none of it"},
    [OPTION_MAX_TOTAL] = {"max-total", "CUR=AMOUNT", true, false,
                          "stop before recording when the cost in that currency is higher, also "
                          "later; none lifts it"},
    [OPTION_MAX_CHANGE] = {"max-change", "PERCENT", false, false,
                           "the same when it differs by more from that of the period before; none "
                           "lifts it"},
    [OPTION_RESTART] = {"restart", NULL, false, false,
                        "move an existing run directory aside and begin anew"},
    [OPTION_DRY_RUN] = {"dry-run", NULL, false, false,
                        "write everything to RUN/dry-run; record nothing and send nothing"},
    [OPTION_JOBS] = {"jobs", "N", false, false, "worker threads (default: processors)"},
    [OPTION_MEMORY] = {"memory", "SIZE", false, false,
                       "bound on working memory, as 96M or 1G (default: 128M)"},
    [OPTION_FORMAT] = {"format", "csv|json", false, false, "form of the output, for programs"},
    [OPTION_JSON] = {"json", NULL, false, false, "JSON on stdout"},
    [OPTION_LOG_FORMAT] = {"log-format", "text|json", false, false,
                           "form of the messages on stderr (default: text)"},
    [OPTION_QUIET] = {"quiet", NULL, false, false, "only errors and the next command on stderr"},
    [OPTION_HELP] = {"help", NULL, false, false, "show help"},
    [OPTION_VERSION] = {"version", NULL, false, false, "show the version"},
};

_Static_assert(OPTIONS_COUNT <= 64, "allowed options are bits of 64");

enum { OPTION_NAME_MAX = 64 };

/* PERIODCLOSE_RUN_DIR for run-dir. */
static const char *option_environment(const struct option_row *row) {
    char name[OPTION_NAME_MAX] = "PERIODCLOSE_";
    size_t size = strlen(name);
    for (const char *letter = row->name; *letter != '\0'; letter++) {
        assert(size + 1 < sizeof name);
        name[size++] = *letter == '-' ? '_' : (char)toupper((unsigned char)*letter);
    }
    name[size] = '\0';
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* A flag's value in the environment; *is_on tells which. False: neither. */
static bool flag_word(const char *value, bool *is_on) {
    static const char *const on_words[] = {"1", "true", "yes", "on"};
    static const char *const off_words[] = {"0", "false", "no", "off"};
    for (size_t index = 0; index < sizeof on_words / sizeof on_words[0]; index++) {
        *is_on = strcmp(value, on_words[index]) == 0;
        if (*is_on || strcmp(value, off_words[index]) == 0) {
            return true;
        }
    }
    return false;
}

/* Letters that differ or are missing, up to a few: for "did you mean". Small bounded words. */
static size_t word_distance(const char *left, const char *right) {
    size_t row[OPTION_NAME_MAX];
    size_t right_size = strlen(right);
    if (strlen(left) >= OPTION_NAME_MAX || right_size >= OPTION_NAME_MAX) {
        return OPTION_NAME_MAX;
    }
    for (size_t index = 0; index <= right_size; index++) {
        row[index] = index;
    }
    for (size_t i = 1; left[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= right_size; j++) {
            size_t above = row[j];
            size_t best = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[right_size];
}

static bool option_unknown(const char *word, uint64_t allowed, struct err *err) {
    size_t nearest_distance = 3;
    const char *nearest = NULL;
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        size_t distance = word_distance(word, option_table[option].name);
        if ((allowed & OPTION_BIT(option)) != 0 && distance < nearest_distance) {
            nearest_distance = distance;
            nearest = option_table[option].name;
        }
    }
    (void)err_set(err, ERR_USAGE, "--%s: no such option here", word);
    if (nearest != NULL) {
        (void)err_hint(err, "did you mean --%s?", nearest);
    }
    return false;
}

struct option_word {
    enum option option;
    const char *value; /* after "=", or NULL */
};

static bool option_recognise(const char *argument, uint64_t allowed, struct option_word *word,
                             struct err *err) {
    char name[OPTION_NAME_MAX];
    const char *equals = strchr(argument, '=');
    size_t size = equals != NULL ? (size_t)(equals - argument) : strlen(argument);
    if (size >= sizeof name) {
        return err_set(err, ERR_USAGE, "--%.40s…: no such option here", argument);
    }
    memcpy(name, argument, size);
    name[size] = '\0';
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        if (strcmp(option_table[option].name, name) != 0) {
            continue;
        }
        if ((allowed & OPTION_BIT(option)) == 0) {
            return err_set(err, ERR_USAGE, "--%s: not an option of this command", name);
        }
        *word = (struct option_word){.option = (enum option)option,
                                     .value = equals != NULL ? equals + 1 : NULL};
        return true;
    }
    return option_unknown(name, allowed, err);
}

struct option_lists {
    const char **lists[OPTIONS_COUNT];
    size_t counts[OPTIONS_COUNT];
};

static bool option_keep(struct option_lists *lists, struct option_word word, struct arena *arena,
                        size_t room, struct err *err) {
    const struct option_row *row = &option_table[word.option];
    /* An empty connection string is libpq's environment; an empty reason says nothing, and may. */
    bool may_be_empty = word.option == OPTION_DATABASE || word.option == OPTION_REASON;
    if (row->argument != NULL && word.value[0] == '\0' && !may_be_empty) {
        (void)err_set(err, ERR_USAGE, "--%s: is empty", row->name);
        return err_hint(err, "if it comes from a variable, that one is not set");
    }
    if (lists->lists[word.option] == NULL) {
        lists->lists[word.option] =
            arena_alloc_array(arena, room, sizeof *lists->lists[word.option], err);
        if (lists->lists[word.option] == NULL) {
            return false;
        }
    }
    if (lists->counts[word.option] > 0 && !row->is_repeatable && row->argument != NULL) {
        return err_set(err, ERR_USAGE, "--%s: given twice", row->name);
    }
    lists->lists[word.option][lists->counts[word.option]++] = word.value;
    return true;
}

static bool options_from_environment(struct option_values *values, uint64_t allowed,
                                     struct arena *arena, struct err *err) {
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        const struct option_row *row = &option_table[option];
        const char *value = option_environment(row);
        bool is_on = true;
        if (values->values_count[option] > 0 || (allowed & OPTION_BIT(option)) == 0 ||
            value == NULL) {
            continue;
        }
        if (row->argument == NULL && !flag_word(value, &is_on)) {
            return err_set(err, ERR_USAGE,
                           "the environment's value of --%s: '%s' is neither yes nor no", row->name,
                           value);
        }
        if (!is_on) {
            continue;
        }
        const char **list = arena_alloc(arena, sizeof *list, err);
        if (list == NULL) {
            return false;
        }
        list[0] = value;
        values->values[option] = list;
        values->values_count[option] = 1;
    }
    return true;
}

bool options_parse(int argc, char *const *argv, uint64_t allowed, struct arena *arena,
                   struct option_values *values, const char ***positionals,
                   size_t *positionals_count, struct err *err) {
    struct option_lists lists = {0};
    size_t room = (size_t)argc + 1;
    bool is_over = false;
    *values = (struct option_values){0};
    *positionals_count = 0;
    *positionals = arena_alloc_array(arena, room, sizeof **positionals, err);
    if (*positionals == NULL) {
        return false;
    }
    for (int index = 0; index < argc; index++) {
        const char *argument = argv[index];
        if (is_over || argument[0] != '-' || argument[1] == '\0') {
            (*positionals)[(*positionals_count)++] = argument;
            continue;
        }
        if (strcmp(argument, "--") == 0) {
            is_over = true;
            continue;
        }
        struct option_word word = {.value = NULL};
        if (strcmp(argument, "-h") == 0) {
            argument = "--help";
        }
        if (argument[1] != '-') {
            return err_set(err, ERR_USAGE, "%s: options begin with two dashes", argument);
        }
        if (!option_recognise(argument + 2, allowed, &word, err)) {
            return false;
        }
        const struct option_row *row = &option_table[word.option];
        if (row->argument == NULL && word.value != NULL) {
            return err_set(err, ERR_USAGE, "--%s: takes no value", row->name);
        }
        if (row->argument != NULL && word.value == NULL) {
            if (++index >= argc) {
                return err_set(err, ERR_USAGE, "--%s: wants a value (%s)", row->name,
                               row->argument);
            }
            word.value = argv[index];
        }
        if (word.value == NULL) {
            word.value = "true";
        }
        if (!option_keep(&lists, word, arena, room, err)) {
            return false;
        }
    }
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        values->values[option] = lists.lists[option];
        values->values_count[option] = lists.counts[option];
        values->is_typed[option] = lists.counts[option] > 0;
    }
    return options_from_environment(values, allowed, arena, err);
}

const char *option_value(const struct option_values *values, enum option option) {
    size_t count = values->values_count[option];
    return count > 0 ? values->values[option][count - 1] : NULL;
}

bool option_is_set(const struct option_values *values, enum option option) {
    return values->values_count[option] > 0;
}
