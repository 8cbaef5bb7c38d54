#include "api_client.h"

#include "cli/emission.h"
#include "sys/clock.h"

static void note(void *context, const char *text) {
    console_say(context, LOG_NOTE, "note: %s", text);
}

bool api_client_open(struct cli *cli, enum client_dialect dialect, struct client **client,
                     struct err *err) {
    struct stage_sending sending = {0};
    bool is_dodo = dialect == DIALECT_DODO;
    bool is_fine =
        emission_address(cli, is_dodo ? EMISSION_DODO : EMISSION_STRIPE, &sending, err) &&
        (is_dodo || emission_check_test_key(cli, &sending.key, err));
    if (is_fine) {
        struct client_options options = {
            .sys = cli->sys,
            .base = sending.base,
            .secret = sending.key.text,
            .secret_name = is_dodo ? "DODO_PAYMENTS_API_KEY" : "STRIPE_API_KEY",
            .version = sending.version,
            .content_type = is_dodo ? "application/json" : "application/x-www-form-urlencoded",
            .dialect = dialect,
            .per_minute = sending.per_minute,
            .timeout_ms = sending.timeout_ms,
            .retry_delay_ms = sending.retry_delay_ms,
            .deadline_us = clock_monotonic_us(cli->sys) + sending.deadline_s * 1000000,
            .note = note,
            .note_context = &cli->console,
        };
        is_fine = client_create(&options, client, err);
    }
    secret_clear(&sending.key);
    return is_fine;
}
