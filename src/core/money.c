#include "core/money.h"

#include <assert.h>
#include <stdlib.h>

#define UNITS_PER_ONE INT64_C(1000000000000000)

_Static_assert(DECIMAL_PLACES == 15, "UNITS_PER_ONE is 10^15");
_Static_assert(sizeof((struct currency *)NULL)->code == 4, "three letters and their end");

/*
 * One row per kind of currency: decimals, increment and Stripe's exponent belong together.
 *
 * WHOLE_AS_CENTS: no decimals in ISO 4217, but Stripe takes two, which must be zeros.
 * TENS_OF_MILLS: three decimals, of which Stripe wants the last to be zero.
 * MILLS: three decimals in ISO 4217, on none of Stripe's lists.
 */
#define CURRENCY(code, decimals, increment, exponent)                                              \
    { code, decimals, {increment}, exponent }
#define CENTS(code) CURRENCY(code, 2, UNITS_PER_ONE / 100, 2)
#define WHOLE(code) CURRENCY(code, 0, UNITS_PER_ONE, 0)
#define WHOLE_AS_CENTS(code) CURRENCY(code, 0, UNITS_PER_ONE, 2)
#define TENS_OF_MILLS(code) CURRENCY(code, 3, UNITS_PER_ONE / 100, 3)
#define MILLS(code) CURRENCY(code, 3, UNITS_PER_ONE / 1000, 3)

/*
 * Money in use by ISO 4217 (funds, metals and test codes left out), sorted by code. ang and bgn
 * went out of use in 2025 and 2026 and stay for periods before that. mga has 1/5 as its subunit in
 * ISO 4217 and none at Stripe, which is followed here.
 */
static const struct currency currencies[] = {
    CENTS("aed"), CENTS("afn"),         CENTS("all"),          CENTS("amd"), CENTS("ang"),
    CENTS("aoa"), CENTS("ars"),         CENTS("aud"),          CENTS("awg"), CENTS("azn"),
    CENTS("bam"), CENTS("bbd"),         CENTS("bdt"),          CENTS("bgn"), TENS_OF_MILLS("bhd"),
    WHOLE("bif"), CENTS("bmd"),         CENTS("bnd"),          CENTS("bob"), CENTS("brl"),
    CENTS("bsd"), CENTS("btn"),         CENTS("bwp"),          CENTS("byn"), CENTS("bzd"),
    CENTS("cad"), CENTS("cdf"),         CENTS("chf"),          WHOLE("clp"), CENTS("cny"),
    CENTS("cop"), CENTS("crc"),         CENTS("cup"),          CENTS("cve"), CENTS("czk"),
    WHOLE("djf"), CENTS("dkk"),         CENTS("dop"),          CENTS("dzd"), CENTS("egp"),
    CENTS("ern"), CENTS("etb"),         CENTS("eur"),          CENTS("fjd"), CENTS("fkp"),
    CENTS("gbp"), CENTS("gel"),         CENTS("ghs"),          CENTS("gip"), CENTS("gmd"),
    WHOLE("gnf"), CENTS("gtq"),         CENTS("gyd"),          CENTS("hkd"), CENTS("hnl"),
    CENTS("htg"), CENTS("huf"),         CENTS("idr"),          CENTS("ils"), CENTS("inr"),
    MILLS("iqd"), CENTS("irr"),         WHOLE_AS_CENTS("isk"), CENTS("jmd"), TENS_OF_MILLS("jod"),
    WHOLE("jpy"), CENTS("kes"),         CENTS("kgs"),          CENTS("khr"), WHOLE("kmf"),
    CENTS("kpw"), WHOLE("krw"),         TENS_OF_MILLS("kwd"),  CENTS("kyd"), CENTS("kzt"),
    CENTS("lak"), CENTS("lbp"),         CENTS("lkr"),          CENTS("lrd"), CENTS("lsl"),
    MILLS("lyd"), CENTS("mad"),         CENTS("mdl"),          WHOLE("mga"), CENTS("mkd"),
    CENTS("mmk"), CENTS("mnt"),         CENTS("mop"),          CENTS("mru"), CENTS("mur"),
    CENTS("mvr"), CENTS("mwk"),         CENTS("mxn"),          CENTS("myr"), CENTS("mzn"),
    CENTS("nad"), CENTS("ngn"),         CENTS("nio"),          CENTS("nok"), CENTS("npr"),
    CENTS("nzd"), TENS_OF_MILLS("omr"), CENTS("pab"),          CENTS("pen"), CENTS("pgk"),
    CENTS("php"), CENTS("pkr"),         CENTS("pln"),          WHOLE("pyg"), CENTS("qar"),
    CENTS("ron"), CENTS("rsd"),         CENTS("rub"),          WHOLE("rwf"), CENTS("sar"),
    CENTS("sbd"), CENTS("scr"),         CENTS("sdg"),          CENTS("sek"), CENTS("sgd"),
    CENTS("shp"), CENTS("sle"),         CENTS("sos"),          CENTS("srd"), CENTS("ssp"),
    CENTS("stn"), CENTS("svc"),         CENTS("syp"),          CENTS("szl"), CENTS("thb"),
    CENTS("tjs"), CENTS("tmt"),         TENS_OF_MILLS("tnd"),  CENTS("top"), CENTS("try"),
    CENTS("ttd"), CENTS("twd"),         CENTS("tzs"),          CENTS("uah"), WHOLE_AS_CENTS("ugx"),
    CENTS("usd"), CENTS("uyu"),         CENTS("uzs"),          CENTS("ved"), CENTS("ves"),
    WHOLE("vnd"), WHOLE("vuv"),         CENTS("wst"),          WHOLE("xaf"), CENTS("xcd"),
    CENTS("xcg"), WHOLE("xof"),         WHOLE("xpf"),          CENTS("yer"), CENTS("zar"),
    CENTS("zmw"), CENTS("zwg")};

enum { CURRENCIES_COUNT = sizeof currencies / sizeof currencies[0] };

static int compare_code(const void *key, const void *row) {
    const struct currency *currency = row;
    return memcmp(key, currency->code, sizeof currency->code - 1);
}

const struct currency *currency_find(struct text code) {
    char lower[sizeof currencies[0].code - 1];
    if (code.size_bytes != sizeof lower) {
        return NULL;
    }
    for (size_t index = 0; index < sizeof lower; index++) {
        char letter = code.bytes[index];
        lower[index] = letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
    }
    return bsearch(lower, currencies, CURRENCIES_COUNT, sizeof currencies[0], compare_code);
}

size_t currency_count(void) {
    return CURRENCIES_COUNT;
}

const struct currency *currency_at(size_t index) {
    assert(index < CURRENCIES_COUNT);
    return &currencies[index];
}

bool money_round(struct exact exact_cost, const struct currency *currency, struct decimal *cost,
                 struct err *err) {
    if (exact_round_half_away(exact_cost, currency->increment, cost)) {
        return true;
    }
    char text[EXACT_TEXT_MAX];
    (void)exact_format(exact_cost, text);
    return err_set(err, ERR_RANGE, "amount %s %s has more than 23 digits before the point", text,
                   currency->code);
}

/* amount * 10^exponent as a whole number of 64 bits; false when it is none or does not fit. */
static bool scale_to_minor(struct decimal amount, int exponent, int64_t *minor) {
    assert(exponent >= 0 && exponent <= 3);
    static const int64_t units_per_minor[4] = {UNITS_PER_ONE, UNITS_PER_ONE / 10,
                                               UNITS_PER_ONE / 100, UNITS_PER_ONE / 1000};
    int128 count = amount.units / units_per_minor[exponent];
    if (count * units_per_minor[exponent] != amount.units || count < INT64_MIN ||
        count > INT64_MAX) {
        return false;
    }
    *minor = (int64_t)count;
    return true;
}

bool money_to_minor(struct decimal amount, const struct currency *currency, int64_t *minor) {
    return scale_to_minor(amount, currency->decimals, minor);
}

bool money_to_stripe(struct decimal amount, const struct currency *currency, int64_t *minor) {
    return scale_to_minor(amount, currency->stripe_exponent, minor);
}

struct decimal money_from_stripe(int64_t minor, const struct currency *currency) {
    int128 units = minor;
    for (int place = currency->stripe_exponent; place < DECIMAL_PLACES; place++) {
        units *= 10;
    }
    return (struct decimal){units};
}

size_t money_format(struct decimal amount, const struct currency *currency,
                    char text[DECIMAL_TEXT_MAX]) {
    return decimal_format_fixed(amount, currency->decimals, text);
}
