#include "cli/emission.h"

#include <stdio.h>
#include <stdlib.h>

#include "emit/http.h"
#include "emit/pace.h"
#include "stage/stages.h"
#include "sys/clock.h"

const char pin_emit[] = "emit";
const char pin_max_wait[] = "max_wait";
const char pin_standalone[] = "standalone";
const char pin_discountable[] = "discountable";
const char pin_rate[] = "rate";
const char pin_attach[] = "attach";
static const char pin_key_mode[] = "stripe_mode";
const char pin_batch[] = "batch";
const char pin_finalize[] = "finalize";
const char pin_invoices[] = "invoices";
const char pin_earlier_billed[] = "earlier_billed";

#define DAY_US (INT64_C(86400) * 1000000)

/* The API that the bodies are written for; Stripe keeps it working for accounts of any age. */
static const char stripe_version[] = "2026-07-29.dahlia";

/* --- options ------------------------------------------------------------------------------------
 */

/* A whole number of an option, `otherwise` when it was not given. */
static bool number_of(const char *name, const char *text, int64_t otherwise, int64_t max,
                      int64_t *number, struct err *err) {
    *number = otherwise;
    if (text == NULL) {
        return true;
    }
    int64_t value = 0;
    bool is_number = text[0] != '\0';
    for (const char *digit = text; is_number && *digit != '\0'; digit++) {
        is_number = *digit >= '0' && *digit <= '9' && value <= max;
        value = value * 10 + (*digit - '0');
    }
    if (!is_number || value < 1 || value > max) {
        return err_set(err, ERR_USAGE, "--%s: '%.40s' is not a number from 1 to %lld", name, text,
                       (long long)max);
    }
    *number = value;
    return true;
}

static bool option_number(const struct cli *cli, enum option option, int64_t otherwise, int64_t max,
                          int64_t *number, struct err *err) {
    return number_of(option_table[option].name, option_value(&cli->options, option), otherwise, max,
                     number, err);
}

/*
 * Pins an option that decides what items say, and refuses another value than the run has, by the
 * name that was typed, and with what helps in the command at hand.
 */
static bool pin_option(const struct cli *cli, struct run *run, enum option option, const char *name,
                       const char *value, bool is_given, struct err *err) {
    const struct option_row *row = &option_table[option];
    const char *pinned = run_pinned(run, PIN_OPTION, name);
    struct err refused = {0};
    if (run_pin(run, PIN_OPTION, name, value, is_given, &refused)) {
        return true;
    }
    if (refused.code != ERR_MISMATCH) {
        *err = refused;
        return false;
    }
    err_release(&refused);
    if (row->argument == NULL || pinned == NULL) {
        (void)err_set(err, ERR_MISMATCH, "--%s: %.700s was begun without it", row->name,
                      run_path(run));
    } else {
        (void)err_set(err, ERR_MISMATCH, "--%s: %.700s was begun with '%.80s', now '%.80s'",
                      row->name, run_path(run), pinned, value);
    }
    if ((cli->command->options & OPTION_BIT(OPTION_RESTART)) != 0) {
        return err_hint(err, "leave it out, take another --run-dir, or begin anew with --restart");
    }
    return err_hint(err, "leave it out: periodclose %s goes by what the run was begun with",
                    cli->command->name);
}

/*
 * The pinned text of an option that decides what items say: typed, pinned before, or usual. Without
 * a run nothing is pinned.
 */
static bool pin_text(const struct cli *cli, struct run *run, enum option option, const char *name,
                     const char *value, const char *usual, const char **pinned, struct err *err) {
    bool is_given = option_is_set(&cli->options, option);
    if (run == NULL) {
        *pinned = is_given ? value : usual;
        return true;
    }
    if (!pin_option(cli, run, option, name, is_given ? value : usual, is_given, err)) {
        return false;
    }
    *pinned = run_pinned(run, PIN_OPTION, name);
    if (*pinned == NULL) {
        *pinned = usual;
    }
    return true;
}

static bool attach_of(const char *text, enum emit_attach *attach, struct err *err) {
    static const char *const names[] = {
        [ATTACH_UPCOMING] = "upcoming", [ATTACH_DRAFT] = "draft", [ATTACH_INVOICE] = "invoice"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (strcmp(text, names[index]) == 0) {
            *attach = (enum emit_attach)index;
            return true;
        }
    }
    return err_set(err, ERR_USAGE, "--attach: '%.40s' is not known: upcoming, draft or invoice",
                   text);
}

static bool pin_content(const struct cli *cli, struct run *run, struct stage_sending *sending,
                        struct err *err) {
    const char *max_wait;
    const char *standalone;
    const char *discountable;
    const char *attach;
    int64_t days;
    if (!pin_text(cli, run, OPTION_MAX_WAIT, pin_max_wait,
                  option_value(&cli->options, OPTION_MAX_WAIT), "45", &max_wait, err) ||
        !pin_text(cli, run, OPTION_NO_STANDALONE, pin_standalone, "false", "true", &standalone,
                  err) ||
        !pin_text(cli, run, OPTION_DISCOUNTABLE, pin_discountable, "true", "false", &discountable,
                  err) ||
        !pin_text(cli, run, OPTION_ATTACH, pin_attach, option_value(&cli->options, OPTION_ATTACH),
                  "upcoming", &attach, err) ||
        !attach_of(attach, &sending->attach, err)) {
        return false;
    }
    sending->may_stand_alone = strcmp(standalone, "true") == 0;
    sending->is_discountable = strcmp(discountable, "true") == 0;
    sending->max_wait_us = -1;
    if (strcmp(max_wait, "none") == 0) {
        return true;
    }
    if (!number_of("max-wait", max_wait, 45, 3660, &days, err)) {
        return false;
    }
    sending->max_wait_us = days * DAY_US;
    return true;
}

/* What decides how items go, and not what they say: typed, as typed before, or usual. */
static bool pin_way(const struct cli *cli, struct run *run, enum option option, const char *name,
                    const char *value, const char *usual, const char **way, struct err *err) {
    if (option_is_set(&cli->options, option) && !run_pin_anew(run, name, value, err)) {
        return false;
    }
    *way = run_pinned(run, PIN_VERSION, name);
    *way = *way != NULL ? *way : usual;
    return true;
}

static bool pin_ways(const struct cli *cli, struct run *run, struct stage_sending *sending,
                     struct err *err) {
    const char *batch;
    const char *finalize;
    if (!pin_way(cli, run, OPTION_BATCH, pin_batch, option_value(&cli->options, OPTION_BATCH),
                 "items", &batch, err) ||
        !pin_way(cli, run, OPTION_FINALIZE, pin_finalize, "true", "false", &finalize, err)) {
        return false;
    }
    sending->finalizes = strcmp(finalize, "true") == 0;
    sending->batches_lines = strcmp(batch, "lines") == 0;
    return sending->batches_lines || strcmp(batch, "items") == 0 ||
           err_set(err, ERR_USAGE, "--batch: '%.40s' is not known: items or lines", batch);
}

/* "20", "100/min" or "none". Stripe counts by the second, Dodo by the minute. */
static bool rate_of(const char *rate, struct stage_sending *sending, struct err *err) {
    static const char by_minute[] = "/min";
    char digits[16];
    int64_t number = 0;
    size_t size = strlen(rate);
    size_t suffix = sizeof by_minute - 1;
    sending->rate = 0;
    sending->per_minute = 0;
    if (strcmp(rate, "none") == 0) {
        return true;
    }
    if (size > suffix && size < sizeof digits && strcmp(rate + size - suffix, by_minute) == 0) {
        memcpy(digits, rate, size - suffix);
        digits[size - suffix] = '\0';
        if (!number_of("rate", digits, 100, PACE_RATE_MAX, &number, err)) {
            return false;
        }
        sending->per_minute = (unsigned)number;
        sending->rate = (unsigned)(number / 60 > 0 ? number / 60 : 1);
        return true;
    }
    if (!number_of("rate", rate, 20, PACE_RATE_MAX, &number, err)) {
        return false;
    }
    sending->rate = (unsigned)number;
    sending->per_minute = (unsigned)number * 60;
    return true;
}

static bool speed_of(const struct cli *cli, const char *rate, struct stage_sending *sending,
                     struct err *err) {
    int64_t in_flight;
    if (!rate_of(rate, sending, err) ||
        !option_number(cli, OPTION_IN_FLIGHT, 8, HTTP_IN_FLIGHT_MAX, &in_flight, err) ||
        !option_number(cli, OPTION_TIMEOUT, 80000, 600000, &sending->timeout_ms, err) ||
        !option_number(cli, OPTION_RETRY_DELAY, 500, 60000, &sending->retry_delay_ms, err) ||
        !option_number(cli, OPTION_DEADLINE, 86400, 30 * 86400, &sending->deadline_s, err)) {
        return false;
    }
    sending->in_flight = (size_t)in_flight;
    return true;
}

/* Going on later keeps the rate, unless another one is typed. */
static bool pin_speed(const struct cli *cli, struct run *run, const char *usual_rate,
                      struct stage_sending *sending, struct err *err) {
    const char *rate = option_value(&cli->options, OPTION_RATE);
    if (rate == NULL) {
        rate = run_pinned(run, PIN_VERSION, pin_rate);
    }
    if (rate == NULL) {
        rate = usual_rate;
    }
    return speed_of(cli, rate, sending, err) && run_pin_anew(run, pin_rate, rate, err);
}

static bool key_of_stripe(const struct sys *sys, struct secret *key, struct err *err) {
    if (!secret_load(sys, "STRIPE_API_KEY", key, err)) {
        return false;
    }
    if (strncmp(key->text, "sk_", 3) == 0 || strncmp(key->text, "rk_", 3) == 0) {
        return true;
    }
    secret_clear(key);
    (void)err_set(err, ERR_USAGE, "STRIPE_API_KEY is no secret or restricted key");
    return err_hint(err, "it begins with sk_ or rk_; publishable keys (pk_) cannot send");
}

static const char *environment_or(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

static bool is_test_key(const struct secret *key) {
    return strncmp(key->text + 3, "test_", 5) == 0;
}

/* A database is taken for the live one, unless somebody says otherwise. */
bool emission_check_test_key(const struct cli *cli, const struct secret *key, struct err *err) {
    if (!is_test_key(key) || option_is_set(&cli->options, OPTION_TEST_KEY)) {
        return true;
    }
    (void)err_set(err, ERR_USAGE, "STRIPE_API_KEY is a key of test mode: nobody would be billed");
    return err_hint(err, "take a live key, or say --test-key if the database is no live one");
}

/*
 * A run is sent with keys of one mode: what was sent in test mode is on nobody's bill.
 */
static bool check_key_mode(const struct cli *cli, struct run *run, const struct secret *key,
                           struct err *err) {
    const char *mode = is_test_key(key) ? "test" : "live";
    const char *pinned = run_pinned(run, PIN_VERSION, pin_key_mode);
    if (pinned != NULL && strcmp(pinned, mode) != 0) {
        (void)err_set(err, ERR_MISMATCH,
                      "%s was begun with a %s key of Stripe, STRIPE_API_KEY is a %s key",
                      run_path(run), pinned, mode);
        return err_hint(err, "take a key of the same mode, or another run directory");
    }
    bool has_database = option_is_set(&cli->options, OPTION_DATABASE) ||
                        run_pinned(run, PIN_VERSION, "database") != NULL;
    bool is_known = pinned != NULL; /* said when the run was begun */
    if (has_database && !is_known && !emission_check_test_key(cli, key, err)) {
        return false;
    }
    return run_pin(run, PIN_VERSION, pin_key_mode, mode, false, err);
}

static const char stripe_rate[] = "20";
static const char dodo_rate[] = "100/min";

/* What only writes down what it would send needs no key. */
static bool address_stripe(const struct sys *sys, bool is_dry, struct stage_sending *sending,
                           struct err *err) {
    sending->base = environment_or("STRIPE_API_BASE", "https://api.stripe.com");
    sending->version = stripe_version;
    return is_dry ||
           (http_check_base(sending->base, err) && key_of_stripe(sys, &sending->key, err));
}

static bool address_dodo(const struct sys *sys, bool is_dry, struct stage_sending *sending,
                         struct err *err) {
    sending->base = environment_or("DODO_PAYMENTS_API_BASE", "https://live.dodopayments.com");
    return is_dry || (http_check_base(sending->base, err) &&
                      secret_load(sys, "DODO_PAYMENTS_API_KEY", &sending->key, err));
}

static bool prepare_stripe(struct cli *cli, struct run *run, struct stage_sending *sending,
                           struct err *err) {
    bool is_dry = option_is_set(&cli->options, OPTION_DRY_RUN);
    sending->is_never_sent = option_is_set(&cli->options, OPTION_NEVER_SENT);
    return pin_content(cli, run, sending, err) && pin_ways(cli, run, sending, err) &&
           pin_speed(cli, run, stripe_rate, sending, err) &&
           address_stripe(cli->sys, is_dry, sending, err) &&
           (is_dry || check_key_mode(cli, run, &sending->key, err));
}

static bool prepare_dodo(struct cli *cli, struct run *run, struct stage_sending *sending,
                         struct err *err) {
    return pin_speed(cli, run, dodo_rate, sending, err) &&
           address_dodo(cli->sys, option_is_set(&cli->options, OPTION_DRY_RUN), sending, err);
}

bool emission_address(struct cli *cli, enum emission emission, struct stage_sending *sending,
                      struct err *err) {
    const char *rate = option_value(&cli->options, OPTION_RATE);
    bool is_dodo = emission == EMISSION_DODO;
    const char *usual = is_dodo ? dodo_rate : stripe_rate;
    return speed_of(cli, rate != NULL ? rate : usual, sending, err) &&
           (is_dodo ? address_dodo(cli->sys, false, sending, err)
                    : address_stripe(cli->sys, false, sending, err));
}

/* Where items may go: what is typed, and how that is made ready. */
static const struct emission_row {
    const char *name;
    enum emission emission;
    bool (*prepare)(struct cli *cli, struct run *run, struct stage_sending *sending,
                    struct err *err);
} emission_rows[] = {
    {"none", EMISSION_NONE, NULL},
    {"stripe", EMISSION_STRIPE, prepare_stripe},
    {"stripe-meters", EMISSION_STRIPE_METERS, prepare_stripe},
    {"dodo", EMISSION_DODO, prepare_dodo},
};

static const struct emission_row *emission_find(const char *name) {
    for (size_t row = 0; row < sizeof emission_rows / sizeof emission_rows[0]; row++) {
        if (strcmp(emission_rows[row].name, name) == 0) {
            return &emission_rows[row];
        }
    }
    return NULL;
}

bool emission_pin(struct cli *cli, struct run *run, struct stage_session *session,
                  struct err *err) {
    const char *emit = option_value(&cli->options, OPTION_EMIT);
    if (emit != NULL && emission_find(emit) == NULL) {
        return err_set(err, ERR_USAGE, "--emit: '%.40s' is not known: %s", emit,
                       option_table[OPTION_EMIT].argument);
    }
    if (!pin_option(cli, run, OPTION_EMIT, pin_emit, emit != NULL ? emit : "none", emit != NULL,
                    err)) {
        return false;
    }
    const char *pinned = run_pinned(run, PIN_OPTION, pin_emit);
    const struct emission_row *row = emission_find(pinned != NULL ? pinned : "none");
    if (row == NULL) {
        return err_set(err, ERR_DAMAGED, "%s: the pinned --emit is none that this program knows",
                       run_path(run));
    }
    session->emission = row->emission;
    session->sending.started_us = run_opened_us(run);
    if (!emission_check_options(cli, row->emission, err)) {
        return false;
    }
    const char *earlier_billed = "false";
    if (row->prepare != NULL && !pin_way(cli, run, OPTION_EARLIER_BILLED, pin_earlier_billed,
                                         "true", "false", &earlier_billed, err)) {
        return false;
    }
    session->sending.is_earlier_billed = strcmp(earlier_billed, "true") == 0;
    return row->prepare == NULL || row->prepare(cli, run, &session->sending, err);
}

bool emission_database(struct cli *cli, enum emission *emission, struct stage_sending *sending,
                       struct err *err) {
    const char *emit = option_value(&cli->options, OPTION_EMIT);
    const struct emission_row *row = emission_find(emit != NULL ? emit : "stripe");
    if (row == NULL || row->emission == EMISSION_NONE) {
        return err_set(err, ERR_USAGE, "--emit: '%.40s' is nothing to reconcile with", emit);
    }
    *emission = row->emission;
    sending->started_us = clock_monotonic_us(cli->sys);
    sending->is_never_sent = option_is_set(&cli->options, OPTION_NEVER_SENT);
    if (!pin_content(cli, NULL, sending, err) ||
        !emission_address(cli, row->emission, sending, err)) {
        return false;
    }
    return row->emission == EMISSION_DODO || emission_check_test_key(cli, &sending->key, err);
}
