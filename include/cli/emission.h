/* What commands share about sending: its options and pins, and what became of the items. */
#ifndef PERIODCLOSE_CLI_EMISSION_H
#define PERIODCLOSE_CLI_EMISSION_H

#include "cli/closing.h"

#define EMISSION_OPTIONS                                                                           \
    (OPTION_BIT(OPTION_ATTACH) | OPTION_BIT(OPTION_BATCH) | OPTION_BIT(OPTION_FINALIZE) |          \
     OPTION_BIT(OPTION_TEST_KEY) | OPTION_BIT(OPTION_RATE) | OPTION_BIT(OPTION_IN_FLIGHT) |        \
     OPTION_BIT(OPTION_MAX_WAIT) | OPTION_BIT(OPTION_NO_STANDALONE) |                              \
     OPTION_BIT(OPTION_DISCOUNTABLE) | OPTION_BIT(OPTION_TIMEOUT) |                                \
     OPTION_BIT(OPTION_RETRY_DELAY) | OPTION_BIT(OPTION_DEADLINE) |                                \
     OPTION_BIT(OPTION_NEVER_SENT) | OPTION_BIT(OPTION_EARLIER_BILLED))

extern const char pin_emit[];
extern const char pin_earlier_billed[]; /* "true": by other means (--earlier-billed) */
/* What decides how items are sent and what they say: with it, once chosen. */
extern const char pin_max_wait[];
extern const char pin_standalone[];
extern const char pin_discountable[];
extern const char pin_attach[];
extern const char pin_rate[];
extern const char pin_batch[];
extern const char pin_finalize[];
extern const char pin_invoices[]; /* what became of invoices of our own, in words */

/* Pins --emit and what decides the content of items; fills the session. Reads the API key. */
bool emission_pin(struct cli *cli, struct run *run, struct stage_session *session, struct err *err);
/* ERR_USAGE for an option of sending that was typed and means nothing where items go. */
bool emission_check_options(const struct cli *cli, enum emission emission, struct err *err);
/* Pinning without a run: address, key and pace, from the options and the environment alone. */
bool emission_address(struct cli *cli, enum emission emission, struct stage_sending *sending,
                      struct err *err);
/* Without a run, with a database: --emit (usually stripe), what decides the content of items, and
 * all of that. A key of test mode is refused unless --test-key is given. */
/* ERR_USAGE for a key of test mode without --test-key. */
bool emission_check_test_key(const struct cli *cli, const struct secret *key, struct err *err);
bool emission_database(struct cli *cli, enum emission *emission, struct stage_sending *sending,
                       struct err *err);
/*
 * What sending needs besides the run: the runs that it revises; with is_again also what orgs whose
 * items could not be sent are now. Into the session, until closed;
 * close also after a failure.
 */
enum { EMISSION_EARLIER_MAX = 64 };
struct emission_aids {
    struct run *runs[EMISSION_EARLIER_MAX];
    size_t runs_count;
    struct emit_earlier *earlier;
    struct emit_fresh *fresh;
};
bool emission_aids_open(struct cli *cli, struct run *run, bool is_again,
                        struct stage_session *session, struct emission_aids *aids, struct err *err);
void emission_aids_close(struct emission_aids *aids); /* a zeroed one is fine */

/* A finished run with outcomes that are not known: its sending is opened again, to settle them. */
bool emission_reopen(struct run *run, const struct stage_session *session, struct err *err);
/* Was something to be sent, and has every item an outcome? */
bool emission_is_done(const struct run *run);
/* A dry run of a sending, which knows what is held. */
bool emission_is_tried(const struct run *run);
/*
 * How many items were sent, held, failed, are unknown, and what became of invoices of their own;
 * sets cli->status: 22, 21, 15 or 4. Of a dry run how many would be sent and held. What is to be
 * looked at, in words, goes at the end of asides.
 */
bool emission_tell(struct cli *cli, struct run *run, struct buffer *asides, struct err *err);

#endif
