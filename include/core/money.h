/*
 * Currencies and the rounding of money.
 *
 * One table gives, per currency, the decimals shown in reports, the billing increment to which an
 * amount is rounded once (half away from zero), and the exponent of Stripe's minor units.
 * Source: shared/stripe/stripe-facts.md section 3 (docs.stripe.com/currencies) and ISO 4217.
 * Codes are kept in lower case; look-ups take any case.
 */
#ifndef PERIODCLOSE_CORE_MONEY_H
#define PERIODCLOSE_CORE_MONEY_H

#include "core/decimal.h"
#include "core/err.h"

struct currency {
    char code[4];             /* lower case, terminated */
    int decimals;             /* shown in reports; 10^-decimals is our minor unit */
    struct decimal increment; /* billed amounts are multiples: usd 0.01, jpy 1, kwd 0.010 */
    int stripe_exponent;      /* Stripe's minor unit is 10^-stripe_exponent: isk 2, mga 0 */
};

/* NULL for an unknown code. The pointer is constant and lives for ever. */
const struct currency *currency_find(struct text code);

/* The whole table, sorted by code: index 0 to currency_count() - 1 (asserted). */
size_t currency_count(void);
const struct currency *currency_at(size_t index);

/* The one rounding of an amount: half away from zero to the billing increment. ERR_RANGE. */
bool money_round(struct exact exact_cost, const struct currency *currency, struct decimal *cost,
                 struct err *err);

/* amount in the report's minor units; false when out of range or not a whole number. */
bool money_to_minor(struct decimal amount, const struct currency *currency, int64_t *minor);

/* amount in Stripe's minor units; false when out of range or not a whole number. */
bool money_to_stripe(struct decimal amount, const struct currency *currency, int64_t *minor);

/* The other way; every int64 fits. */
struct decimal money_from_stripe(int64_t minor, const struct currency *currency);

/* With the currency's decimals. Returns the length. */
size_t money_format(struct decimal amount, const struct currency *currency,
                    char text[DECIMAL_TEXT_MAX]);
/* The same without a NUL: see decimal_write. */
static inline char *money_write(char *at, struct decimal amount, const struct currency *currency) {
    return decimal_write_fixed(at, amount, currency->decimals);
}

#endif
