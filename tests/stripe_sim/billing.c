/* Customers, subscriptions and meter events. */
#include <string.h>

#include "stripe_sim/api.h"

enum { METER_DAYS_MAX = 35, METER_AHEAD_MAX_S = 300, DAY_S = 86400 };

bool show_customer(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *customer = collection_find(&world->customers, request->id);
    if (customer == NULL) {
        return answer_refuse(answer, 404, "resource_missing", "id", "No such customer: '%s'",
                             request->id);
    }
    answer->body = json_deep_copy(customer);
    return true;
}

static bool subscription_wanted(const json_t *subscription, const json_t *params) {
    const char *customer = param_text(params, "customer");
    const char *wanted = param_text(params, "status");
    const char *status = field_text(subscription, "status");
    bool has_ended = strcmp(status, "canceled") == 0 || strcmp(status, "incomplete_expired") == 0;
    bool has_status = wanted == NULL                 ? strcmp(status, "canceled") != 0
                      : strcmp(wanted, "all") == 0   ? true
                      : strcmp(wanted, "ended") == 0 ? has_ended
                                                     : strcmp(wanted, status) == 0;
    return has_status &&
           (customer == NULL || strcmp(customer, field_text(subscription, "customer")) == 0) &&
           created_fits(params, field_integer(subscription, "created"));
}

bool list_subscriptions(struct world *world, const struct request *request, struct answer *answer) {
    return answer_page(answer, request->params, world->subscriptions.list, subscription_wanted,
                       "/v1/subscriptions");
}

bool show_subscription(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *subscription = collection_find(&world->subscriptions, request->id);
    if (subscription == NULL) {
        return answer_refuse(answer, 404, "resource_missing", "id", "No such subscription: '%s'",
                             request->id);
    }
    answer->body = json_deep_copy(subscription);
    return true;
}

/* Stripe counts the events later and tells of a bad customer elsewhere; here it is told at once. */
bool create_meter_event(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *params = request->params;
    const json_t *payload = json_object_get(params, "payload");
    const char *customer = param_text(payload, "stripe_customer_id");
    const char *identifier = param_text(params, "identifier");
    int64_t now_s = world_now_s(world);
    int64_t timestamp = now_s;
    (void)param_integer(params, "timestamp", &timestamp);
    if (customer == NULL || collection_find(&world->customers, customer) == NULL ||
        param_text(payload, "value") == NULL) {
        return answer_refuse(answer, 400, "parameter_invalid", "payload",
                             "payload wants a known stripe_customer_id and a value.");
    }
    if (timestamp < now_s - (int64_t)METER_DAYS_MAX * DAY_S ||
        timestamp > now_s + METER_AHEAD_MAX_S) {
        return answer_refuse(answer, 400, "timestamp_too_far_in_past", "timestamp",
                             "The timestamp must be within the past 35 days and at most 5 "
                             "minutes ahead.");
    }
    json_t *id = identifier != NULL ? must(json_string(identifier)) : world_new_id(world, "mev");
    json_t *known = collection_find(&world->meter_events, json_string_value(id));
    if (known != NULL && now_s - field_integer(known, "created") < DAY_S) {
        json_decref(id);
        return answer_refuse(answer, 400, "resource_already_exists", "identifier",
                             "An event already exists with identifier %s.", identifier);
    }
    json_t *event =
        must(json_pack("{s:o, s:O, s:s, s:I, s:s, s:b, s:O, s:I}", "identifier", id, "id", id,
                       "object", "billing.meter_event", "created", (json_int_t)now_s, "event_name",
                       param_text(params, "event_name"), "livemode", world_is_live(world),
                       "payload", payload, "timestamp", (json_int_t)timestamp));
    answer->body = json_deep_copy(event);
    (void)json_object_del(answer->body, "id");
    collection_add(&world->meter_events, event);
    return true;
}
