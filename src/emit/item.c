#include "emit/item.h"

#include <assert.h>
#include <stdio.h>

#include "emit/form.h"
#include "item_internal.h"

/* --- keys ---------------------------------------------------------------------------------------
 */

/* Length before content: no two different lists of fields give the same bytes. */
static bool put_field(struct buffer *content, struct text field, struct err *err) {
    return form_digits(content, (int64_t)field.size_bytes, err) &&
           buffer_append(content, (struct text){":", 1}, err) && buffer_append(content, field, err);
}

bool emit_key_of(struct text org_id, struct text metric, const char *period, int64_t revision,
                 struct emit_key *key, struct err *err) {
    struct buffer content = {0};
    struct buffer number = {0};
    struct digest digest;
    bool is_fine = put_field(&content, org_id, err) && put_field(&content, metric, err) &&
                   put_field(&content, text_from(period), err) &&
                   form_digits(&number, revision, err) &&
                   put_field(&content, buffer_text(&number), err) &&
                   digest_of(content.bytes, content.size_bytes, &digest, err);
    buffer_release(&content);
    buffer_release(&number);
    if (is_fine) {
        memcpy(key->bytes, digest.bytes, sizeof key->bytes);
    }
    return is_fine;
}

void emit_key_format(const struct emit_key *key, char text[EMIT_KEY_TEXT_MAX]) {
    static const char hex[] = "0123456789abcdef";
    for (size_t index = 0; index < EMIT_KEY_BYTES; index++) {
        text[index * 2] = hex[key->bytes[index] >> 4];
        text[index * 2 + 1] = hex[key->bytes[index] & 15];
    }
    text[EMIT_KEY_TEXT_MAX - 1] = '\0';
}

static int hex_value(char digit) {
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                          : -1;
}

bool emit_key_parse(struct text text, struct emit_key *key) {
    if (text.size_bytes != EMIT_KEY_TEXT_MAX - 1) {
        return false;
    }
    for (size_t index = 0; index < EMIT_KEY_BYTES; index++) {
        int high = hex_value(text.bytes[index * 2]);
        int low = hex_value(text.bytes[index * 2 + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        key->bytes[index] = (unsigned char)(high * 16 + low);
    }
    return true;
}

void emit_idempotency_format(const struct emit_key *key, unsigned attempt,
                             char text[EMIT_IDEMPOTENCY_MAX]) {
    emit_key_format(key, text);
    enum { ATTEMPT_DIGITS = 5 };
    assert(attempt <= 99999);
    char *at = text + EMIT_KEY_TEXT_MAX - 1;
    *at = '-';
    for (int place = ATTEMPT_DIGITS; place > 0; place--) {
        at[place] = (char)('0' + attempt % 10);
        attempt /= 10;
    }
    at[ATTEMPT_DIGITS + 1] = '\0';
}

/* --- amounts ------------------------------------------------------------------------------------
 */

bool emit_item_set_amount(struct emit_item *item, struct err *err) {
    if (money_to_stripe(item->billed, item->currency, &item->amount) &&
        item->amount <= EMIT_AMOUNT_MAX && item->amount >= -EMIT_AMOUNT_MAX) {
        return true;
    }
    char amount[DECIMAL_TEXT_MAX];
    (void)decimal_format(item->billed, amount);
    (void)err_set(err, ERR_RANGE,
                  "org '%.*s', metric '%.*s': %s %s is no amount for an invoice item (at most 12 "
                  "digits of the smallest unit)",
                  (int)item->org_id.size_bytes, item->org_id.bytes, (int)item->metric.size_bytes,
                  item->metric.bytes, amount, item->currency->code);
    return err_hint(err, "bill it by hand, or correct the usage and run again");
}

enum { STRIPE_DECIMALS = 12 };

/* value as Stripe takes it: in full, at most 12 decimals. */
static bool fits_stripe(struct decimal value) {
    int128 beyond = 1;
    for (int place = STRIPE_DECIMALS; place < DECIMAL_PLACES; place++) {
        beyond *= 10;
    }
    return value.units % beyond == 0;
}

static bool unit_amount_of(const struct emit_item *item, struct decimal *unit_amount) {
    int128 units = item->unit_price.units;
    for (int place = 0; place < item->currency->stripe_exponent; place++) {
        if (__builtin_mul_overflow(units, (int128)10, &units)) {
            return false;
        }
    }
    *unit_amount = (struct decimal){units};
    return decimal_in_range(units) && fits_stripe(*unit_amount);
}

void emit_item_use_quantity(struct emit_item *item) {
    struct exact product = EXACT_ZERO;
    struct exact billed = EXACT_ZERO;
    struct decimal unit_amount;
    item->is_by_quantity = fits_stripe(item->overage) && unit_amount_of(item, &unit_amount) &&
                           exact_add_product(&product, item->overage, item->unit_price) &&
                           exact_add_decimal(&billed, item->billed) &&
                           exact_compare(product, billed) == 0;
}

/* --- words --------------------------------------------------------------------------------------
 */

/* 1234567.5 as 1,234,567.5 */
static bool put_grouped(struct buffer *text, struct decimal value, struct err *err) {
    char digits[DECIMAL_TEXT_MAX];
    char grouped[DECIMAL_TEXT_MAX * 2];
    (void)decimal_format(value, digits);
    const char *at = digits;
    size_t size = 0;
    if (*at == '-') {
        grouped[size++] = *at++;
    }
    size_t whole = strcspn(at, ".");
    for (size_t index = 0; index < whole; index++) {
        if (index > 0 && (whole - index) % 3 == 0) {
            grouped[size++] = ',';
        }
        grouped[size++] = at[index];
    }
    return buffer_append(text, (struct text){grouped, size}, err) &&
           buffer_append(text, text_from(at + whole), err);
}

/* A plan may include none of it. */
static bool put_limit(struct buffer *text, struct decimal limit, struct err *err) {
    if (decimal_is_zero(limit)) {
        return buffer_append(text, text_from(", none included, "), err);
    }
    return buffer_append(text, text_from(" over "), err) && put_grouped(text, limit, err) &&
           buffer_append(text, text_from(" included, "), err);
}

/* What a correction bills is not what its quantity costs: that is said. */
static bool put_correction(struct buffer *text, const struct emit_item *item, struct err *err) {
    return item->revision == 1 ||
           buffer_append_format(text, err, " (correction %lld: %s)", (long long)item->revision - 1,
                                item->billed.units < 0 ? "credit" : "difference");
}

bool emit_item_describe(const struct emit_item *item, struct buffer *text, struct err *err) {
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    unsigned month = 10U * (unsigned)(item->period[5] - '0') + (unsigned)(item->period[6] - '0');
    assert(month >= 1 && month <= 12);
    bool has_unit = item->unit.size_bytes > 0;
    return buffer_append(text, item->metric, err) && buffer_append(text, text_from(": "), err) &&
           put_grouped(text, item->overage, err) &&
           (!has_unit ||
            (buffer_append(text, text_from(" "), err) && buffer_append(text, item->unit, err))) &&
           put_limit(text, item->limit, err) &&
           buffer_append(text, text_from(months[month - 1]), err) &&
           buffer_append(text, text_from(" "), err) &&
           buffer_append(text, (struct text){item->period, 4}, err) &&
           put_correction(text, item, err);
}

/* --- the body -----------------------------------------------------------------------------------
 */

struct text item_metadata_value(struct text value) {
    size_t size = value.size_bytes;
    if (size > EMIT_METADATA_VALUE_MAX) {
        size = EMIT_METADATA_VALUE_MAX;
        while (size > 0 && ((unsigned char)value.bytes[size] & 0xC0) == 0x80) {
            size--;
        }
    }
    return (struct text){value.bytes, size};
}

int64_t item_floor_seconds(int64_t us) {
    return us >= 0 ? us / 1000000 : -((-us + 999999) / 1000000);
}

static bool put_amount(const struct emit_item *item, struct buffer *body, struct err *err) {
    char quantity[DECIMAL_TEXT_MAX];
    char unit_text[DECIMAL_TEXT_MAX];
    struct decimal unit_amount;
    if (!item->is_by_quantity) {
        return form_int64(body, "amount", item->amount, err);
    }
    bool has_unit_amount = unit_amount_of(item, &unit_amount);
    assert(has_unit_amount);
    (void)has_unit_amount;
    (void)decimal_format(item->overage, quantity);
    (void)decimal_format(unit_amount, unit_text);
    return form_text(body, "quantity_decimal", text_from(quantity), err) &&
           form_text(body, "unit_amount_decimal", text_from(unit_text), err);
}

static bool put_place(const struct emit_target *target, struct buffer *body, struct err *err) {
    switch (target->place) {
    case PLACE_SUBSCRIPTION:
        return form_text(body, "subscription", target->place_id, err);
    case PLACE_INVOICE:
    case PLACE_LINES:
        return form_text(body, "invoice", target->place_id, err);
    case PLACE_CUSTOMER:
    case PLACE_METER:
    case PLACES_COUNT:
        return true;
    }
    return true;
}

static bool meter_body(const struct emit_item *item, const struct emit_target *target,
                       struct buffer *body, struct err *err) {
    char key[EMIT_KEY_TEXT_MAX];
    struct buffer name = {0};
    emit_key_format(&item->key, key);
    bool is_fine = buffer_append(&name, text_from("overage."), err) &&
                   buffer_append(&name, item->metric, err) &&
                   form_text(body, "event_name", buffer_text(&name), err) &&
                   form_text(body, "identifier", text_from(key), err) &&
                   form_text(body, "payload[stripe_customer_id]", target->customer, err) &&
                   form_int64(body, "payload[value]", item->amount, err) &&
                   form_int64(body, "timestamp", item_floor_seconds(item->period_end.us - 1), err);
    buffer_release(&name);
    return is_fine;
}

bool emit_item_body(const struct emit_item *item, const struct emit_target *target,
                    struct buffer *body, struct err *err) {
    char key[EMIT_KEY_TEXT_MAX];
    char quantity[DECIMAL_TEXT_MAX];
    struct buffer description = {0};
    buffer_clear(body);
    if (target->place == PLACE_METER) {
        return meter_body(item, target, body, err);
    }
    emit_key_format(&item->key, key);
    (void)decimal_format(item->overage, quantity);
    bool is_fine =
        form_text(body, "customer", target->customer, err) && put_amount(item, body, err) &&
        form_text(body, "currency", text_from(item->currency->code), err) &&
        form_bool(body, "discountable", target->is_discountable, err) &&
        emit_item_describe(item, &description, err) &&
        form_text(body, "description", buffer_text(&description), err) &&
        form_int64(body, "period[start]", item_floor_seconds(item->period_start.us), err) &&
        form_int64(body, "period[end]", item_floor_seconds(item->period_end.us - 1000000), err) &&
        form_text(body, "metadata[item_key]", text_from(key), err) &&
        form_text(body, "metadata[run_id]",
                  text_from(item->run_id != NULL ? item->run_id : target->run_id), err) &&
        form_text(body, "metadata[org_id]", item_metadata_value(item->org_id), err) &&
        form_text(body, "metadata[metric]", item_metadata_value(item->metric), err) &&
        form_text(body, "metadata[period]", text_from(item->period), err) &&
        form_text(body, "metadata[quantity]", text_from(quantity), err) &&
        form_int64(body, "metadata[revision]", item->revision, err) && put_place(target, body, err);
    buffer_release(&description);
    return is_fine;
}
