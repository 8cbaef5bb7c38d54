/* Dodo Payments: usage events and subscriptions. Bodies are JSON; errors are made flat by api.c. */
#include <stdlib.h>
#include <string.h>

#include "core/instant.h"
#include "stripe_sim/api.h"

enum {
    EVENTS_MAX = 1000,
    METADATA_MAX = 50,
    METADATA_KEY_MAX = 100,
    METADATA_VALUE_MAX = 500,
    PAST_MAX_S = 3600,
    AHEAD_MAX_S = 300,
    SECOND_US = 1000000,
};

static bool metadata_is_flat(const json_t *metadata) {
    const char *key = NULL;
    json_t *value = NULL;
    if (metadata == NULL) {
        return true;
    }
    if (!json_is_object(metadata) || json_object_size(metadata) > METADATA_MAX) {
        return false;
    }
    json_object_foreach((json_t *)metadata, key, value) {
        if (json_is_object(value) || json_is_array(value) || json_is_null(value) ||
            strlen(key) > METADATA_KEY_MAX ||
            (json_is_string(value) && json_string_length(value) > METADATA_VALUE_MAX)) {
            return false;
        }
    }
    return true;
}

static bool has_known_fields(const json_t *event) {
    static const char *const known[] = {"event_id", "customer_id", "event_name", "timestamp",
                                        "metadata"};
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)event, key, value) {
        bool is_known = false;
        for (size_t index = 0; index < sizeof known / sizeof known[0]; index++) {
            is_known = is_known || strcmp(key, known[index]) == 0;
        }
        if (!is_known) {
            return false;
        }
    }
    return true;
}

static bool event_accepts(struct world *world, const json_t *event, struct answer *answer) {
    struct instant at = {.us = world_now_us(world)};
    const char *customer = field_text(event, "customer_id");
    const char *timestamp = field_text(event, "timestamp");
    if (!json_is_object(event) || *field_text(event, "event_id") == '\0' ||
        *field_text(event, "event_name") == '\0' || !has_known_fields(event)) {
        return answer_refuse(answer, 422, NULL, NULL, "an event lacks a field or has one too many");
    }
    if (collection_find(&world->customers, customer) == NULL) {
        return answer_refuse(answer, 400, NULL, NULL, "unknown customer '%s'", customer);
    }
    if (!metadata_is_flat(json_object_get(event, "metadata"))) {
        return answer_refuse(answer, 400, NULL, NULL, "metadata is not flat, or too large");
    }
    if (*timestamp != '\0' && instant_parse(text_from(timestamp), &at) != NULL) {
        return answer_refuse(answer, 422, NULL, NULL, "timestamp '%s'", timestamp);
    }
    int64_t behind_us = world_now_us(world) - at.us;
    return (behind_us <= (int64_t)PAST_MAX_S * SECOND_US &&
            behind_us >= -(int64_t)AHEAD_MAX_S * SECOND_US) ||
           answer_refuse(answer, 400, NULL, NULL,
                         "timestamp '%s' is older than 1 hour or more than 5 minutes ahead",
                         timestamp);
}

static void keep_event(struct world *world, const json_t *event) {
    json_t *kept = json_deep_copy(event);
    (void)json_object_set(kept, "id", json_object_get(event, "event_id"));
    (void)json_object_set_new(kept, "business_id", must(json_string("bus_simulator")));
    if (json_object_get(kept, "timestamp") == NULL) {
        char now[INSTANT_TEXT_MAX];
        (void)instant_format((struct instant){.us = world_now_us(world)}, now);
        (void)json_object_set_new(kept, "timestamp", must(json_string(now)));
    }
    collection_add(&world->dodo_events, kept);
}

bool ingest_events(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *events = json_object_get(request->params, "events");
    size_t count = json_array_size(events);
    if (count == 0 || count > EVENTS_MAX) {
        return answer_refuse(answer, 422, NULL, NULL, "events must hold 1 to 1000 elements");
    }
    json_t *seen = must(json_object());
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < count; index++) {
        const json_t *event = json_array_get(events, index);
        is_fine = event_accepts(world, event, answer) &&
                  (json_object_get(seen, field_text(event, "event_id")) == NULL ||
                   answer_refuse(answer, 400, NULL, NULL, "duplicate event_id '%s'",
                                 field_text(event, "event_id")));
        if (is_fine) {
            (void)json_object_set_new(seen, field_text(event, "event_id"), json_true());
        }
    }
    json_int_t ingested_count = 0;
    for (size_t index = 0; is_fine && index < count; index++) {
        const json_t *event = json_array_get(events, index);
        if (collection_find(&world->dodo_events, field_text(event, "event_id")) == NULL) {
            keep_event(world, event);
            ingested_count++;
        }
    }
    json_decref(seen);
    if (is_fine) {
        answer->body = must(json_pack("{s:I}", "ingested_count", ingested_count));
    }
    return is_fine;
}

bool show_event(struct world *world, const struct request *request, struct answer *answer) {
    const json_t *event = collection_find(&world->dodo_events, request->id);
    if (event == NULL) {
        return answer_refuse(answer, 404, NULL, NULL, "no event '%s'", request->id);
    }
    answer->body = json_deep_copy(event);
    (void)json_object_del(answer->body, "id");
    return true;
}

/* --- pages: numbered from 0, and there is neither a total nor a word about more ------------------
 */

struct page {
    int64_t number;
    int64_t size;
    int64_t position; /* of the next that is wanted */
    json_t *items;
};

static bool page_begin(const struct request *request, struct page *page, struct answer *answer) {
    *page = (struct page){.size = 10};
    (void)param_integer(request->params, "page_number", &page->number);
    (void)param_integer(request->params, "page_size", &page->size);
    if (page->number < 0 || page->size < 1 || page->size > 100) {
        return answer_refuse(answer, 422, NULL, NULL, "page_number or page_size is out of range");
    }
    page->items = must(json_array());
    return true;
}

static void page_add(struct page *page, json_t *object) {
    if (page->position >= page->number * page->size &&
        page->position < (page->number + 1) * page->size) {
        (void)json_array_append(page->items, object);
    }
    page->position++;
}

static bool page_end(struct page *page, struct answer *answer) {
    answer->body = must(json_pack("{s:o}", "items", page->items));
    return true;
}

static bool is_wanted(const json_t *params, const char *name, const char *value) {
    const char *wanted = param_text(params, name);
    return wanted == NULL || strcmp(wanted, value) == 0;
}

bool list_events(struct world *world, const struct request *request, struct answer *answer) {
    struct page page;
    struct instant start = {.us = INT64_MIN};
    const char *start_text = param_text(request->params, "start");
    if (start_text != NULL && instant_parse(text_from(start_text), &start) != NULL) {
        return answer_refuse(answer, 422, NULL, NULL, "start '%s'", start_text);
    }
    if (!page_begin(request, &page, answer)) {
        return false;
    }
    for (size_t index = 0; index < json_array_size(world->dodo_events.list); index++) {
        json_t *event = json_array_get(world->dodo_events.list, index);
        struct instant at = {0};
        (void)instant_parse(text_from(field_text(event, "timestamp")), &at);
        if (at.us >= start.us &&
            is_wanted(request->params, "event_name", field_text(event, "event_name")) &&
            is_wanted(request->params, "customer_id", field_text(event, "customer_id"))) {
            page_add(&page, event);
        }
    }
    return page_end(&page, answer);
}

bool list_dodo_subscriptions(struct world *world, const struct request *request,
                             struct answer *answer) {
    struct page page;
    if (!page_begin(request, &page, answer)) {
        return false;
    }
    for (size_t index = 0; index < json_array_size(world->subscriptions.list); index++) {
        json_t *subscription = json_array_get(world->subscriptions.list, index);
        const json_t *owner = json_object_get(subscription, "customer");
        if (is_wanted(request->params, "customer_id", field_text(owner, "customer_id")) &&
            is_wanted(request->params, "status", field_text(subscription, "status"))) {
            json_t *shown = json_deep_copy(subscription);
            (void)json_object_del(shown, "meters"); /* the list does not tell them */
            page_add(&page, shown);
            json_decref(shown);
        }
    }
    return page_end(&page, answer);
}

static bool show(const struct collection *collection, const struct request *request,
                 struct answer *answer) {
    const json_t *object = collection_find(collection, request->id);
    if (object == NULL) {
        return answer_refuse(answer, 404, NULL, NULL, "there is no '%s'", request->id);
    }
    answer->body = json_deep_copy(object);
    return true;
}

bool show_dodo_subscription(struct world *world, const struct request *request,
                            struct answer *answer) {
    return show(&world->subscriptions, request, answer);
}

bool show_meter(struct world *world, const struct request *request, struct answer *answer) {
    return show(&world->meters, request, answer);
}
