#include "answer.h"

#include <stdlib.h>

bool answer_print(struct cli *cli, json_t *data, struct err *err) {
    json_t *object = data != NULL ? json_pack("{s:b, s:o}", "success", 1, "data", data) : NULL;
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text == NULL) {
        return err_memory(err, 4096);
    }
    bool is_fine = console_out_text(&cli->console, text_from(text), err) &&
                   console_out(&cli->console, err, "\n");
    free(text);
    return is_fine;
}

json_t *answer_metric(struct decimal overage, const struct decimal *unit_price,
                      int64_t cost_minor) {
    char amount[DECIMAL_TEXT_MAX];
    char price[DECIMAL_TEXT_MAX];
    (void)decimal_format(overage, amount);
    if (unit_price != NULL) {
        (void)decimal_format(*unit_price, price);
    }
    return json_pack("{s:s, s:s?, s:I}", "amount", amount, "unitPrice",
                     unit_price != NULL ? price : NULL, "cost", (json_int_t)cost_minor);
}

/* jansson takes names with a size since 2.14; Ubuntu 22.04 has 2.13. */
bool answer_put(json_t *object, struct text name, json_t *value, struct err *err) {
    struct buffer key = {0};
    bool is_fine = buffer_append(&key, name, err) && buffer_append(&key, (struct text){"", 1}, err);
    if (!is_fine) {
        json_decref(value);
    } else if (json_object_set_new(object, key.bytes, value) != 0) {
        is_fine = err_memory(err, name.size_bytes);
    }
    buffer_release(&key);
    return is_fine;
}
