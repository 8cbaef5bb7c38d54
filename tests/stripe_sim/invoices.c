/* /v1/invoices: drafts, their lines, finalising, previews. */
#include <stdio.h>
#include <string.h>

#include "stripe_sim/api.h"

enum { DRAFT_SECONDS = 3600 };

/* --- what the other calls use -------------------------------------------------------------------
 */

json_t *invoice_new(struct world *world, const char *customer, const char *currency) {
    int64_t now_s = world_now_s(world);
    json_t *id = world_new_id(world, "in");
    char url[128];
    (void)snprintf(url, sizeof url, "/v1/invoices/%s/lines", json_string_value(id));
    return must(json_pack(
        "{s:o, s:s, s:s, s:s, s:s, s:I, s:b, s:b, s:I, s:I, s:I, s:n, s:n, s:{}, s:I, s:I, s:n,"
        " s:{s:s, s:s, s:b, s:[]}}",
        "id", id, "object", "invoice", "status", "draft", "customer", customer, "currency",
        currency, "created", (json_int_t)now_s, "livemode", world_is_live(world), "auto_advance",
        false, "total", (json_int_t)0, "subtotal", (json_int_t)0, "amount_due", (json_int_t)0,
        "number", "description", "metadata", "period_start", (json_int_t)now_s, "period_end",
        (json_int_t)now_s, "parent", "lines", "object", "list", "url", url, "has_more", false,
        "data"));
}

static void invoice_total(struct world *world, json_t *invoice) {
    const json_t *lines = world_lines_of(world, field_text(invoice, "id"));
    int64_t total = 0;
    for (size_t index = 0; index < json_array_size(lines); index++) {
        total += field_integer(json_array_get(lines, index), "amount");
    }
    (void)json_object_set_new(invoice, "total", must(json_integer(total)));
    (void)json_object_set_new(invoice, "total_excluding_tax", must(json_integer(total)));
    (void)json_object_set_new(invoice, "subtotal", must(json_integer(total)));
    (void)json_object_set_new(invoice, "amount_due", must(json_integer(total > 0 ? total : 0)));
}

static json_t *line_new(struct world *world, const json_t *invoice, const json_t *item) {
    const char *id = field_text(item, "id");
    json_t *parent = *id == '\0' ? json_null()
                                 : must(json_pack("{s:s, s:{s:s}}", "type", "invoice_item_details",
                                                  "invoice_item_details", "invoice_item", id));
    return must(json_pack(
        "{s:o, s:s, s:I, s:s, s:O, s:O, s:s, s:b, s:O, s:O, s:o, s:O?}", "id",
        world_new_id(world, "il"), "object", "line_item", "amount",
        (json_int_t)field_integer(item, "amount"), "currency", field_text(invoice, "currency"),
        "description", json_object_get(item, "description"), "discountable",
        json_object_get(item, "discountable"), "invoice", field_text(invoice, "id"), "livemode",
        world_is_live(world), "metadata", json_object_get(item, "metadata"), "period",
        json_object_get(item, "period"), "parent", parent, "quantity_decimal",
        json_object_get(item, "quantity_decimal")));
}

void invoice_attach(struct world *world, json_t *invoice, json_t *item) {
    (void)json_object_set(item, "invoice", json_object_get(invoice, "id"));
    (void)json_array_append_new(world_lines_of(world, field_text(invoice, "id")),
                                line_new(world, invoice, item));
    invoice_total(world, invoice);
}

void invoice_drop_line(struct world *world, json_t *invoice, bool is_last) {
    json_t *lines = world_lines_of(world, field_text(invoice, "id"));
    size_t place = is_last ? json_array_size(lines) - 1 : 0;
    const json_t *details = json_object_get(json_object_get(json_array_get(lines, place), "parent"),
                                            "invoice_item_details");
    const char *item = field_text(details, "invoice_item");
    if (*item != '\0') {
        world_remove_item(world, item);
    }
    (void)json_array_remove(lines, place);
    invoice_total(world, invoice);
}

void invoice_forget_item(struct world *world, const char *id) {
    const char *invoice_id = field_text(collection_find(&world->items, id), "invoice");
    json_t *lines = world_lines_of(world, invoice_id);
    for (size_t index = json_array_size(lines); index-- > 0;) {
        const json_t *details = json_object_get(
            json_object_get(json_array_get(lines, index), "parent"), "invoice_item_details");
        if (strcmp(field_text(details, "invoice_item"), id) == 0) {
            (void)json_array_remove(lines, index);
            invoice_total(world, collection_find(&world->invoices, invoice_id));
        }
    }
}

static json_t *find_invoice(struct world *world, const char *id, struct answer *answer) {
    json_t *invoice = collection_find(&world->invoices, id);
    if (invoice == NULL) {
        (void)answer_refuse(answer, 404, "resource_missing", "invoice", "No such invoice: '%s'",
                            id);
    }
    return invoice;
}

json_t *draft_for(struct world *world, const char *id, const char *customer, size_t more,
                  struct answer *answer) {
    json_t *invoice = find_invoice(world, id, answer);
    if (invoice == NULL) {
        return NULL;
    }
    if (strcmp(field_text(invoice, "status"), "draft") != 0) {
        (void)answer_refuse(answer, 400, "invoice_not_editable", "invoice",
                            "This invoice is no longer editable.");
        return NULL;
    }
    if (customer != NULL && strcmp(field_text(invoice, "customer"), customer) != 0) {
        (void)answer_refuse(answer, 400, NULL, "invoice",
                            "The invoice belongs to another customer.");
        return NULL;
    }
    if (json_array_size(world_lines_of(world, id)) + more > INVOICE_LINES_MAX) {
        (void)answer_refuse(answer, 400, NULL, "invoice", "An invoice can have at most 250 items.");
        return NULL;
    }
    return invoice;
}

/* A copy for the client, with the first of its lines. */
static json_t *invoice_shown(struct world *world, const json_t *invoice) {
    enum { LINES_SHOWN = 10 };
    json_t *shown = json_deep_copy(invoice);
    const json_t *lines = world_lines_of(world, field_text(invoice, "id"));
    json_t *list = json_object_get(shown, "lines");
    size_t count = json_array_size(lines);
    for (size_t index = 0; index < count && index < LINES_SHOWN; index++) {
        (void)json_array_append(json_object_get(list, "data"), json_array_get(lines, index));
    }
    (void)json_object_set_new(list, "has_more", json_boolean(count > LINES_SHOWN));
    return shown;
}

/* --- calls --------------------------------------------------------------------------------------
 */

static bool is_pending_for(const json_t *item, const char *currency) {
    return *field_text(item, "invoice") == '\0' &&
           strcmp(field_text(item, "currency"), currency) == 0;
}

bool create_invoice(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *params = request->params;
    const char *customer = param_text(params, "customer");
    const char *currency = param_text(params, "currency");
    const char *subscription = param_text(params, "subscription");
    const char *pending = param_text(params, "pending_invoice_items_behavior");
    const json_t *owner = customer != NULL ? collection_find(&world->customers, customer) : NULL;
    if (owner == NULL) {
        return answer_refuse(answer, 400,
                             customer == NULL ? "parameter_missing" : "resource_missing",
                             "customer", "No such customer: '%s'", customer ? customer : "");
    }
    if (subscription != NULL && collection_find(&world->subscriptions, subscription) == NULL) {
        return answer_refuse(answer, 400, "resource_missing", "subscription",
                             "No such subscription: '%s'", subscription);
    }
    if (!metadata_accepts(params, "metadata", answer) ||
        (currency != NULL && !amount_accepts(0, currency, answer))) {
        return false;
    }
    json_t *invoice =
        invoice_new(world, customer, currency != NULL ? currency : field_text(owner, "currency"));
    (void)json_object_set_new(invoice, "auto_advance",
                              json_boolean(param_is_true(params, "auto_advance", false)));
    (void)json_object_set_new(invoice, "metadata", metadata_of(params, "metadata"));
    if (param_text(params, "description") != NULL) {
        (void)json_object_set(invoice, "description", json_object_get(params, "description"));
    }
    collection_add(&world->invoices, invoice);
    json_t *items = world_items_of(world, customer);
    for (size_t index = 0; index < json_array_size(items); index++) {
        json_t *item = json_array_get(items, index);
        if (pending != NULL && strcmp(pending, "include") == 0 &&
            is_pending_for(item, field_text(invoice, "currency")) &&
            json_array_size(world_lines_of(world, field_text(invoice, "id"))) < INVOICE_LINES_MAX) {
            invoice_attach(world, invoice, item);
        }
    }
    answer->body = invoice_shown(world, invoice);
    return true;
}

static bool invoice_wanted(const json_t *invoice, const json_t *params) {
    const char *customer = param_text(params, "customer");
    const char *status = param_text(params, "status");
    const char *subscription = param_text(params, "subscription");
    const json_t *details =
        json_object_get(json_object_get(invoice, "parent"), "subscription_details");
    return (customer == NULL || strcmp(customer, field_text(invoice, "customer")) == 0) &&
           (status == NULL || strcmp(status, field_text(invoice, "status")) == 0) &&
           (subscription == NULL ||
            strcmp(subscription, field_text(details, "subscription")) == 0) &&
           created_fits(params, field_integer(invoice, "created"));
}

bool list_invoices(struct world *world, const struct request *request, struct answer *answer) {
    if (!answer_page(answer, request->params, world->invoices.list, invoice_wanted,
                     "/v1/invoices")) {
        return false;
    }
    json_t *page = json_object_get(answer->body, "data");
    for (size_t index = 0; index < json_array_size(page); index++) {
        (void)json_array_set_new(page, index, invoice_shown(world, json_array_get(page, index)));
    }
    return true;
}

bool show_invoice(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *invoice = find_invoice(world, request->id, answer);
    answer->body = invoice != NULL ? invoice_shown(world, invoice) : answer->body;
    return invoice != NULL;
}

bool delete_invoice(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *invoice = draft_for(world, request->id, NULL, 0, answer);
    if (invoice == NULL) {
        return false;
    }
    json_t *items = json_copy(world_items_of(world, field_text(invoice, "customer")));
    for (size_t index = 0; index < json_array_size(items); index++) {
        const json_t *item = json_array_get(items, index);
        if (strcmp(field_text(item, "invoice"), request->id) == 0) {
            world_remove_item(world, field_text(item, "id"));
        }
    }
    json_decref(items);
    (void)json_object_del(world->lines_of, request->id);
    collection_remove(&world->invoices, request->id);
    answer->body =
        must(json_pack("{s:s, s:s, s:b}", "id", request->id, "object", "invoice", "deleted", 1));
    return true;
}

bool finalize_invoice(struct world *world, const struct request *request, struct answer *answer) {
    json_t *invoice = draft_for(world, request->id, NULL, 0, answer);
    if (invoice == NULL) {
        return false;
    }
    if (json_array_size(world_lines_of(world, request->id)) == 0) {
        return answer_refuse(answer, 400, "invoice_no_customer_line_items", NULL,
                             "Nothing to invoice.");
    }
    bool is_due = field_integer(invoice, "total") > 0;
    (void)json_object_set_new(invoice, "status", must(json_string(is_due ? "open" : "paid")));
    (void)json_object_set_new(invoice, "number", world_new_id(world, "SIM"));
    answer->body = invoice_shown(world, invoice);
    return true;
}

/* --- lines --------------------------------------------------------------------------------------
 */

bool world_takes_metric(const struct world *world, const json_t *params, struct answer *answer) {
    const char *metric = param_text(json_object_get(params, "metadata"), "metric");
    return world->refused_metric[0] == '\0' || metric == NULL ||
           strcmp(metric, world->refused_metric) != 0 ||
           answer_refuse(answer, 400, "parameter_invalid", "description", "This is refused.");
}

/* A line of add_lines as if it were an item; NULL and a refusal when it is none. */
static json_t *line_asked(struct world *world, const json_t *invoice, const json_t *line,
                          struct answer *answer) {
    int64_t amount = 0;
    const json_t *price = json_object_get(line, "price_data");
    bool has_amount = param_integer(line, "amount", &amount);
    if (has_amount == (price != NULL)) {
        (void)answer_refuse(answer, 400, "parameter_invalid", "lines",
                            "A line has either an amount or price_data.");
        return NULL;
    }
    if (!world_takes_metric(world, line, answer)) {
        return NULL;
    }
    if (price != NULL &&
        strcmp(param_text(price, "currency"), field_text(invoice, "currency")) != 0) {
        (void)answer_refuse(answer, 400, NULL, "lines", "A line has the invoice's currency.");
        return NULL;
    }
    if ((!has_amount && !amount_of_price(line, price, &amount, answer)) ||
        !amount_accepts(amount, field_text(invoice, "currency"), answer) ||
        !metadata_accepts(line, "metadata", answer)) {
        return NULL;
    }
    const json_t *period = json_object_get(line, "period");
    int64_t start = world_now_s(world);
    int64_t end = start;
    (void)param_integer(period, "start", &start);
    (void)param_integer(period, "end", &end);
    if (end < start) {
        (void)answer_refuse(answer, 400, "parameter_invalid", "lines",
                            "The period's end must not be before its start.");
        return NULL;
    }
    const char *description = param_text(line, "description");
    const char *quantity = param_text(line, "quantity_decimal");
    return must(json_pack("{s:s, s:I, s:s?, s:b, s:o, s:{s:I, s:I}, s:s}", "id", "", "amount",
                          (json_int_t)amount, "description", description, "discountable",
                          param_is_true(line, "discountable", amount >= 0), "metadata",
                          metadata_of(line, "metadata"), "period", "start", (json_int_t)start,
                          "end", (json_int_t)end, "quantity_decimal",
                          quantity != NULL ? quantity : "1"));
}

/* The pending item that a line adopts; NULL and a refusal when there is none to adopt. */
static json_t *item_adopted(struct world *world, const json_t *invoice, const char *id,
                            struct answer *answer) {
    json_t *item = collection_find(&world->items, id);
    if (item == NULL ||
        strcmp(field_text(item, "customer"), field_text(invoice, "customer")) != 0 ||
        !is_pending_for(item, field_text(invoice, "currency"))) {
        (void)answer_refuse(answer, 400, "resource_missing", "lines",
                            "No such pending invoice item: '%s'", id);
        return NULL;
    }
    return item;
}

bool add_lines(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *asked = json_object_get(request->params, "lines");
    size_t count = json_object_size(asked);
    if (count == 0) {
        return answer_refuse(answer, 400, "parameter_missing", "lines", "There are no lines.");
    }
    json_t *invoice = draft_for(world, request->id, NULL, count, answer);
    if (invoice == NULL) {
        return false;
    }
    json_t *found[INVOICE_LINES_MAX] = {NULL}; /* all are checked before the first is added */
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < count; index++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%zu", index);
        const json_t *line = json_object_get(asked, name);
        const char *item = param_text(line, "invoice_item");
        found[index] = item != NULL ? json_incref(item_adopted(world, invoice, item, answer))
                                    : line_asked(world, invoice, line, answer);
        is_fine = found[index] != NULL;
    }
    for (size_t index = 0; index < count; index++) {
        if (is_fine) {
            invoice_attach(world, invoice, found[index]);
        }
        json_decref(found[index]);
    }
    if (is_fine) {
        answer->body = invoice_shown(world, invoice);
    }
    return is_fine;
}

bool list_lines(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *invoice = find_invoice(world, request->id, answer);
    return invoice != NULL &&
           answer_page(answer, request->params, world_lines_of(world, request->id), NULL,
                       field_text(json_object_get(invoice, "lines"), "url"));
}

bool preview_invoice(struct world *world, const struct request *request, struct answer *answer) {
    const char *id = param_text(request->params, "subscription");
    const char *customer = param_text(request->params, "customer");
    const json_t *subscription = id != NULL ? collection_find(&world->subscriptions, id) : NULL;
    if (id != NULL && subscription == NULL) {
        return answer_refuse(answer, 404, "resource_missing", "subscription",
                             "No such subscription: '%s'", id);
    }
    if (subscription != NULL) {
        customer = field_text(subscription, "customer");
    }
    if (customer == NULL || subscription == NULL ||
        strcmp(field_text(subscription, "status"), "canceled") == 0) {
        return answer_refuse(answer, 404, "invoice_upcoming_none", NULL,
                             "No upcoming invoices for customer: %s", customer ? customer : "");
    }
    json_t *invoice = invoice_new(world, customer, field_text(subscription, "currency"));
    const json_t *plan =
        json_array_get(json_object_get(json_object_get(subscription, "items"), "data"), 0);
    (void)json_object_set(invoice, "period_end", json_object_get(plan, "current_period_end"));
    (void)json_object_set_new(
        invoice, "next_payment_attempt",
        must(json_integer(field_integer(plan, "current_period_end") + DRAFT_SECONDS)));
    json_t *lines = json_object_get(json_object_get(invoice, "lines"), "data");
    const json_t *items = world_items_of(world, customer);
    for (size_t index = 0; index < json_array_size(items); index++) {
        const json_t *item = json_array_get(items, index);
        if (is_pending_for(item, field_text(invoice, "currency"))) {
            (void)json_array_append_new(lines, line_new(world, invoice, item));
        }
    }
    answer->body = invoice;
    return true;
}
