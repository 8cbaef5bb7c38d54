/*
 * Any bytes as a decimal and as a time stamp: what is taken must be written, and what was written
 * must be read as the same value. What is refused must leave the result alone.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/decimal.h"
#include "core/instant.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes);

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static void check_decimal(struct text text) {
    struct decimal value = {.units = 4711};
    if (decimal_parse(text, &value) != DECIMAL_OK) {
        require(value.units == 4711);
        return;
    }
    require(decimal_in_range(value.units));
    char written[DECIMAL_TEXT_MAX];
    size_t length = decimal_format(value, written);
    require(length == strlen(written) && length < sizeof written);
    struct decimal again;
    require(decimal_parse(text_from(written), &again) == DECIMAL_OK);
    require(again.units == value.units);
    (void)decimal_format_fixed(value, DECIMAL_PLACES, written);
    require(decimal_parse(text_from(written), &again) == DECIMAL_OK);
    require(again.units == value.units);

    struct exact sum = EXACT_ZERO;
    require(exact_add_decimal(&sum, value));
    require(exact_round_to_decimal(sum, &again));
    require(again.units == value.units);
    char exact_written[EXACT_TEXT_MAX];
    (void)exact_format(sum, exact_written);
    (void)decimal_format(value, written);
    require(strcmp(exact_written, written) == 0);
}

static void check_instant(struct text text) {
    struct instant instant = {.us = 4711};
    const char *reason = instant_parse(text, &instant);
    if (reason != NULL) {
        require(instant.us == 4711 && reason[0] != '\0');
        return;
    }
    char written[INSTANT_TEXT_MAX];
    size_t length = instant_format(instant, written);
    require(length == strlen(written) && (length == 20 || length == 27));
    struct instant again;
    require(instant_parse(text_from(written), &again) == NULL);
    require(again.us == instant.us);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes) {
    struct text text = {.bytes = (const char *)bytes, .size_bytes = size_bytes};
    check_decimal(text);
    check_instant(text);
    return 0;
}
