/* /v1/invoiceitems: the calls that the whole product is about. */
#include <string.h>

#include "stripe_sim/api.h"

static json_t *text_or_null(const char *text) {
    return text != NULL && *text != '\0' ? must(json_string(text)) : json_null();
}

static bool customer_accepts(struct world *world, const char *customer, struct answer *answer) {
    if (customer == NULL) {
        return answer_refuse(answer, 400, "parameter_missing", "customer",
                             "Missing required param: customer.");
    }
    return collection_find(&world->customers, customer) != NULL ||
           answer_refuse(answer, 400, "resource_missing", "customer", "No such customer: '%s'",
                         customer);
}

static bool subscription_accepts(struct world *world, const char *id, const json_t *params,
                                 struct answer *answer) {
    if (id == NULL) {
        return true;
    }
    const json_t *subscription = collection_find(&world->subscriptions, id);
    if (subscription == NULL ||
        strcmp(field_text(subscription, "customer"), param_text(params, "customer")) != 0) {
        return answer_refuse(answer, 400, "resource_missing", "subscription",
                             "No such subscription: '%s'", id);
    }
    if (strcmp(field_text(subscription, "status"), "canceled") == 0) {
        return answer_refuse(answer, 400, NULL, "subscription",
                             "The subscription %s is canceled and has no upcoming invoice.", id);
    }
    const char *currency = param_text(params, "currency");
    return (currency != NULL && strcmp(currency, field_text(subscription, "currency")) == 0) ||
           answer_refuse(answer, 400, NULL, "currency",
                         "The currency of the item is not that of the subscription.");
}

static bool price_accepts(const json_t *params, int64_t *amount, const char **currency,
                          struct answer *answer) {
    static const char *const unit_names[] = {"unit_amount_decimal", "quantity", "quantity_decimal",
                                             "price_data", "pricing"};
    bool has_amount = param_integer(params, "amount", amount);
    *currency = param_text(params, "currency");
    for (size_t index = 0; has_amount && index < sizeof unit_names / sizeof unit_names[0];
         index++) {
        if (json_object_get(params, unit_names[index]) != NULL) {
            return answer_refuse(answer, 400, "parameter_invalid", unit_names[index],
                                 "You may only specify one of these: amount, %s.",
                                 unit_names[index]);
        }
    }
    if (json_object_get(params, "pricing") != NULL) {
        return answer_refuse(answer, 400, "resource_missing", "pricing[price]",
                             "No such price: '%s'",
                             param_text(json_object_get(params, "pricing"), "price"));
    }
    const json_t *price = json_object_get(params, "price_data");
    if (price != NULL && *currency == NULL) {
        *currency = param_text(price, "currency");
    }
    if (*currency == NULL) {
        return answer_refuse(answer, 400, "parameter_missing", "currency",
                             "Missing required param: currency.");
    }
    if (!has_amount && !amount_of_price(params, price != NULL ? price : params, amount, answer)) {
        return false;
    }
    return amount_accepts(*amount, *currency, answer);
}

static bool period_accepts(const json_t *params, struct answer *answer) {
    const json_t *period = json_object_get(params, "period");
    int64_t start = 0;
    int64_t end = 0;
    return period == NULL ||
           (param_integer(period, "start", &start) && param_integer(period, "end", &end) &&
            end >= start) ||
           answer_refuse(answer, 400, "parameter_invalid", "period",
                         "The period's end must not be before its start.");
}

static json_t *period_of(const json_t *params, int64_t now_s) {
    int64_t start = now_s;
    int64_t end = now_s;
    const json_t *period = json_object_get(params, "period");
    (void)param_integer(period, "start", &start);
    (void)param_integer(period, "end", &end);
    return must(json_pack("{s:I, s:I}", "start", (json_int_t)start, "end", (json_int_t)end));
}

static json_t *parent_of(const char *subscription) {
    return subscription == NULL
               ? json_null()
               : must(json_pack("{s:s, s:{s:s}}", "type", "subscription_details",
                                "subscription_details", "subscription", subscription));
}

static json_t *pricing_of(const json_t *params) {
    const char *unit = param_text(params, "unit_amount_decimal");
    return unit == NULL ? json_null()
                        : must(json_pack("{s:s, s:s}", "type", "price_details",
                                         "unit_amount_decimal", unit));
}

static json_t *item_new(struct world *world, const json_t *params, int64_t amount,
                        const char *currency) {
    int64_t now_s = world_now_s(world);
    int64_t quantity = 1;
    (void)param_integer(params, "quantity", &quantity);
    const char *quantity_decimal = param_text(params, "quantity_decimal");
    return must(json_pack(
        "{s:o, s:s, s:I, s:s, s:s, s:n, s:I, s:o, s:b, s:[], s:n, s:b, s:o, s:I, s:o, s:o, s:o,"
        " s:b, s:I, s:s, s:[], s:n}",
        "id", world_new_id(world, "ii"), "object", "invoiceitem", "amount", (json_int_t)amount,
        "currency", currency, "customer", param_text(params, "customer"), "customer_account",
        "date", (json_int_t)now_s, "description", text_or_null(param_text(params, "description")),
        "discountable", param_is_true(params, "discountable", amount >= 0), "discounts", "invoice",
        "livemode", world_is_live(world), "metadata", metadata_of(params, "metadata"), "net_amount",
        (json_int_t)amount, "parent", parent_of(param_text(params, "subscription")), "period",
        period_of(params, now_s), "pricing", pricing_of(params), "proration", false, "quantity",
        (json_int_t)quantity, "quantity_decimal", quantity_decimal != NULL ? quantity_decimal : "1",
        "tax_rates", "test_clock"));
}

bool create_item(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *params = request->params;
    const char *customer = param_text(params, "customer");
    const char *subscription = param_text(params, "subscription");
    const char *invoice_id = param_text(params, "invoice");
    const char *currency = NULL;
    int64_t amount = 0;
    if (!customer_accepts(world, customer, answer) || !world_takes_metric(world, params, answer) ||
        !price_accepts(params, &amount, &currency, answer) ||
        !subscription_accepts(world, subscription, params, answer) ||
        !period_accepts(params, answer) || !metadata_accepts(params, "metadata", answer)) {
        return false;
    }
    json_t *invoice = NULL;
    if (invoice_id != NULL) {
        invoice = draft_for(world, invoice_id, customer, 1, answer);
        if (invoice == NULL) {
            return false;
        }
        if (strcmp(field_text(invoice, "currency"), currency) != 0) {
            return answer_refuse(answer, 400, NULL, "currency",
                                 "The currency of the item is not that of the invoice.");
        }
    }
    json_t *item = item_new(world, params, amount, currency);
    world_add_item(world, item);
    if (invoice != NULL) {
        invoice_attach(world, invoice, item);
    }
    answer->body = json_deep_copy(item);
    return true;
}

static bool item_wanted(const json_t *item, const json_t *params) {
    const char *customer = param_text(params, "customer");
    const char *invoice = param_text(params, "invoice");
    const char *pending = param_text(params, "pending");
    bool is_pending = *field_text(item, "invoice") == '\0';
    return (customer == NULL || strcmp(customer, field_text(item, "customer")) == 0) &&
           (invoice == NULL || strcmp(invoice, field_text(item, "invoice")) == 0) &&
           (pending == NULL || (strcmp(pending, "true") == 0) == is_pending) &&
           created_fits(params, field_integer(item, "date"));
}

bool list_items(struct world *world, const struct request *request, struct answer *answer) {
    const char *customer = param_text(request->params, "customer");
    return answer_page(answer, request->params,
                       customer != NULL ? world_items_of(world, customer) : world->items.list,
                       item_wanted, "/v1/invoiceitems");
}

static json_t *find_item(struct world *world, const char *id, struct answer *answer) {
    json_t *item = collection_find(&world->items, id);
    if (item == NULL) {
        (void)answer_refuse(answer, 404, "resource_missing", "invoiceitem",
                            "No such invoiceitem: '%s'", id);
    }
    return item;
}

bool show_item(struct world *world, const struct request *request, struct answer *answer) {
    json_t *item = find_item(world, request->id, answer);
    answer->body = item != NULL ? json_deep_copy(item) : answer->body;
    return item != NULL;
}

bool delete_item(struct world *world, const struct request *request, struct answer *answer) {
    json_t *item = find_item(world, request->id, answer);
    if (item == NULL) {
        return false;
    }
    const char *invoice = field_text(item, "invoice");
    if (*invoice != '\0' &&
        strcmp(field_text(collection_find(&world->invoices, invoice), "status"), "draft") != 0) {
        return answer_refuse(answer, 400, "invoice_not_editable", NULL,
                             "The item is on an invoice that is no draft any more.");
    }
    answer->body = must(
        json_pack("{s:s, s:s, s:b}", "id", request->id, "object", "invoiceitem", "deleted", 1));
    invoice_forget_item(world, request->id);
    world_remove_item(world, request->id);
    return true;
}
