/* Whose meter an event meets: the active subscriptions, and the meters on them. */
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "dodo_internal.h"
#include "emit/form.h"

struct book_meter {
    struct text id;
    struct text event_name;
    struct text aggregation; /* sum, count, … */
    struct text key;         /* of the metadata that is aggregated */
};

/* A meter on a subscription. */
struct book_charge {
    const struct book_meter *meter;
    struct text currency;
    struct text price; /* a decimal, in the smallest unit of the currency */
    int64_t free_threshold;
};

struct book_subscription {
    struct text customer;
    struct text id;
    struct instant cycle_start;
    struct instant cycle_end;
    bool is_loaded; /* its meters were asked for */
    struct book_charge *charges;
    size_t charges_count;
};

enum { BOOK_METERS_MAX = 1024, BOOK_PAGES_MAX = 1000000 };

struct dodo_book {
    struct client *client;
    struct arena *arena;
    struct book_subscription *subscriptions; /* sorted by customer, then id */
    size_t subscriptions_count;
    size_t subscriptions_capacity;
    struct book_meter meters[BOOK_METERS_MAX];
    size_t meters_count;
};

bool dodo_book_create(struct client *client, struct dodo_book **book, struct err *err) {
    *book = mem_alloc(sizeof **book);
    if (*book == NULL) {
        return err_memory(err, sizeof **book);
    }
    (*book)->client = client;
    (*book)->arena = arena_create(err);
    if ((*book)->arena == NULL) {
        dodo_book_destroy(*book);
        *book = NULL;
        return false;
    }
    return true;
}

void dodo_book_destroy(struct dodo_book *book) {
    if (book != NULL) {
        arena_destroy(book->arena);
        mem_free(book->subscriptions);
        mem_free(book);
    }
}

static bool keep(struct dodo_book *book, const char *given, struct text *kept, struct err *err) {
    size_t size = strlen(given);
    char *bytes = arena_alloc(book->arena, size + 1, err);
    if (bytes == NULL) {
        return false;
    }
    memcpy(bytes, given, size + 1);
    *kept = (struct text){bytes, size};
    return true;
}

/* --- subscriptions ------------------------------------------------------------------------------
 */

static bool answer_malformed(const char *what, struct err *err) {
    (void)err_set(err, ERR_REFUSED, "Dodo's answer is not as it is described: %s", what);
    return err_hint(err, "nothing was sent; see whether DODO_PAYMENTS_API_BASE is Dodo's");
}

static bool add_subscription(struct dodo_book *book, const json_t *object, struct err *err) {
    if (book->subscriptions_count == book->subscriptions_capacity) {
        size_t capacity =
            book->subscriptions_capacity == 0 ? 256 : book->subscriptions_capacity * 2;
        struct book_subscription *grown =
            mem_realloc(book->subscriptions, capacity * sizeof *grown);
        if (grown == NULL) {
            return err_memory(err, capacity * sizeof *grown);
        }
        book->subscriptions = grown;
        book->subscriptions_capacity = capacity;
    }
    struct book_subscription *added = &book->subscriptions[book->subscriptions_count];
    const char *customer = client_text(json_object_get(object, "customer"), "customer_id");
    const char *id = client_text(object, "subscription_id");
    *added = (struct book_subscription){0};
    if (customer[0] == '\0' || id[0] == '\0' ||
        instant_parse(text_from(client_text(object, "previous_billing_date")),
                      &added->cycle_start) != NULL ||
        instant_parse(text_from(client_text(object, "next_billing_date")), &added->cycle_end) !=
            NULL) {
        return answer_malformed("a subscription without customer, id or billing dates", err);
    }
    book->subscriptions_count++;
    return keep(book, customer, &added->customer, err) && keep(book, id, &added->id, err);
}

static int compare_subscriptions(const void *left, const void *right) {
    const struct book_subscription *a = left;
    const struct book_subscription *b = right;
    int order = text_compare(a->customer, b->customer);
    return order != 0 ? order : text_compare(a->id, b->id);
}

/* While pages are asked for, a new subscription may shift them: what came twice stands once. */
static void sort_subscriptions(struct dodo_book *book) {
    size_t kept = 0;
    if (book->subscriptions_count == 0) {
        return;
    }
    qsort(book->subscriptions, book->subscriptions_count, sizeof book->subscriptions[0],
          compare_subscriptions);
    for (size_t index = 1; index < book->subscriptions_count; index++) {
        if (!text_equals(book->subscriptions[kept].id, book->subscriptions[index].id)) {
            book->subscriptions[++kept] = book->subscriptions[index];
        }
    }
    book->subscriptions_count = kept + 1;
}

static bool reply_refused(const char *what, const struct client_reply *reply, struct err *err) {
    bool is_word = reply->fate == CLIENT_REFUSED || reply->fate == CLIENT_NOT_THERE;
    (void)err_set(err, is_word ? ERR_REFUSED : ERR_INTERRUPTED, "cannot ask Dodo for %s: %s", what,
                  reply->detail);
    return err_hint(err, "see DODO_PAYMENTS_API_KEY and the network, then type the same command "
                         "again");
}

bool dodo_book_load(struct dodo_book *book, struct err *err) {
    for (int page = 0; page < BOOK_PAGES_MAX; page++) {
        char path[96];
        struct client_reply reply;
        (void)snprintf(path, sizeof path,
                       "/subscriptions?status=active&page_number=%d&page_size=%d", page,
                       (int)DODO_PAGE_SIZE);
        if (!client_get(book->client, text_from(path), &reply, err)) {
            return false;
        }
        const json_t *items = json_object_get(reply.object, "items");
        bool is_fine = reply.fate == CLIENT_DONE || reply_refused("subscriptions", &reply, err);
        is_fine = is_fine && (json_is_array(items) || answer_malformed("a page has no items", err));
        size_t count = json_array_size(items);
        for (size_t index = 0; is_fine && index < count; index++) {
            is_fine = add_subscription(book, json_array_get(items, index), err);
        }
        client_reply_release(&reply);
        if (!is_fine) {
            return false;
        }
        if (count == 0) { /* the only word that there are no more */
            sort_subscriptions(book);
            return true;
        }
    }
    return answer_malformed("pages without an end", err);
}

/* --- meters -------------------------------------------------------------------------------------
 */

static bool load_meter(struct dodo_book *book, const char *id, const struct book_meter **meter,
                       struct err *err) {
    for (size_t index = 0; index < book->meters_count; index++) {
        if (text_equals(book->meters[index].id, text_from(id))) {
            *meter = &book->meters[index];
            return true;
        }
    }
    struct buffer path = {0};
    struct client_reply reply = {0};
    bool is_fine =
        (book->meters_count < BOOK_METERS_MAX || answer_malformed("more than 1,024 meters", err)) &&
        buffer_append(&path, text_from("/meters/"), err) &&
        form_encode(&path, text_from(id), err) &&
        client_get(book->client, buffer_text(&path), &reply, err) &&
        (reply.fate == CLIENT_DONE || reply_refused("a meter", &reply, err));
    if (is_fine) {
        struct book_meter *added = &book->meters[book->meters_count++];
        const json_t *aggregation = json_object_get(reply.object, "aggregation");
        is_fine = keep(book, id, &added->id, err) &&
                  keep(book, client_text(reply.object, "event_name"), &added->event_name, err) &&
                  keep(book, client_text(aggregation, "type"), &added->aggregation, err) &&
                  keep(book, client_text(aggregation, "key"), &added->key, err);
        *meter = added;
    }
    buffer_release(&path);
    client_reply_release(&reply);
    return is_fine;
}

static bool load_charges(struct dodo_book *book, struct book_subscription *subscription,
                         const json_t *meters, struct err *err) {
    size_t count = json_array_size(meters);
    subscription->charges =
        arena_alloc_array(book->arena, count + 1, sizeof *subscription->charges, err);
    if (subscription->charges == NULL) {
        return false;
    }
    for (size_t index = 0; index < count; index++) {
        const json_t *row = json_array_get(meters, index);
        struct book_charge *charge = &subscription->charges[index];
        *charge = (struct book_charge){
            .free_threshold = json_integer_value(json_object_get(row, "free_threshold"))};
        if (!load_meter(book, client_text(row, "meter_id"), &charge->meter, err) ||
            !keep(book, client_text(row, "currency"), &charge->currency, err) ||
            !keep(book, client_text(row, "price_per_unit"), &charge->price, err)) {
            return false;
        }
    }
    subscription->charges_count = count;
    subscription->is_loaded = true;
    return true;
}

static bool load_subscription(struct dodo_book *book, struct book_subscription *subscription,
                              struct err *err) {
    struct buffer path = {0};
    struct client_reply reply = {0};
    if (subscription->is_loaded) {
        return true;
    }
    bool is_fine = buffer_append(&path, text_from("/subscriptions/"), err) &&
                   form_encode(&path, subscription->id, err) &&
                   client_get(book->client, buffer_text(&path), &reply, err) &&
                   (reply.fate == CLIENT_DONE || reply_refused("a subscription", &reply, err)) &&
                   load_charges(book, subscription, json_object_get(reply.object, "meters"), err);
    buffer_release(&path);
    client_reply_release(&reply);
    return is_fine;
}

/* --- where an event lands -----------------------------------------------------------------------
 */

static struct book_subscription *first_of(struct dodo_book *book, struct text customer) {
    size_t low = 0;
    size_t high = book->subscriptions_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (text_compare(book->subscriptions[middle].customer, customer) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return book->subscriptions + low;
}

static bool is_currency(struct text theirs, const char *ours) {
    return theirs.size_bytes == strlen(ours) &&
           strncasecmp(theirs.bytes, ours, theirs.size_bytes) == 0;
}

/* NULL, or why the meter would bill another amount than ours. */
static const char *judge_charge(const struct book_charge *charge, const struct emit_item *item,
                                char detail[EMIT_DETAIL_MAX]) {
    struct decimal price;

    const struct book_meter *meter = charge->meter;
    int id_size = meter->id.size_bytes < 64 ? (int)meter->id.size_bytes : 64;

    if (!text_equals(meter->aggregation, text_from("sum")) ||
        !text_equals(meter->key, text_from("amount"))) {
        (void)snprintf(
            detail, EMIT_DETAIL_MAX,
            "meter %.*s has to sum the key 'amount', it is: %.*s of '%.*s'", id_size,
            meter->id.bytes, (int)meter->aggregation.size_bytes, meter->aggregation.bytes,
            meter->key.size_bytes < 64 ? (int)meter->key.size_bytes : 64, meter->key.bytes);
        return "dodo_meter";
    }
    if (charge->free_threshold != 0) {
        (void)snprintf(
            detail, EMIT_DETAIL_MAX,
            "meter %.*s leaves the first %lld units free: the free threshold has to be 0", id_size,
            meter->id.bytes, (long long)charge->free_threshold);
        return "dodo_free_threshold";
    }
    if (!is_currency(charge->currency, item->currency->code)) {
        (void)snprintf(detail, EMIT_DETAIL_MAX, "meter %.*s bills in %.*s, the item is in %s",
                       id_size, meter->id.bytes,
                       charge->currency.size_bytes < 8 ? (int)charge->currency.size_bytes : 8,
                       charge->currency.bytes, item->currency->code);
        return "dodo_currency";
    }
    if (decimal_parse(charge->price, &price) != DECIMAL_OK ||
        decimal_compare(price, DECIMAL_ONE) != 0) {
        (void)snprintf(detail, EMIT_DETAIL_MAX,
                       "meter %.*s has the price %.*s a unit: it has to be 1 (the smallest unit of "
                       "the currency)",
                       id_size, meter->id.bytes,
                       charge->price.size_bytes < 40 ? (int)charge->price.size_bytes : 40,
                       charge->price.bytes);
        return "dodo_price";
    }
    return NULL;
}

bool dodo_book_find(struct dodo_book *book, const struct emit_item *item, struct text customer,
                    struct dodo_landing *landing, const char **held_reason,
                    char detail[EMIT_DETAIL_MAX], struct err *err) {
    const struct book_charge *found = NULL;
    struct buffer name = {0};
    size_t found_count = 0;
    struct book_subscription *end = book->subscriptions + book->subscriptions_count;
    struct book_subscription *one = first_of(book, customer);
    bool has_any = one < end && text_equals(one->customer, customer);
    if (!dodo_event_name(item->metric, &name, err)) {
        return false;
    }
    for (; one < end && text_equals(one->customer, customer); one++) {
        if (!load_subscription(book, one, err)) {
            buffer_release(&name);
            return false;
        }
        for (size_t index = 0; index < one->charges_count; index++) {
            if (text_equals(one->charges[index].meter->event_name, buffer_text(&name))) {
                found = &one->charges[index];
                found_count++;
                *landing = (struct dodo_landing){one->id, one->cycle_start, one->cycle_end};
            }
        }
    }
    if (found_count == 1) {
        *held_reason = judge_charge(found, item, detail);
    } else if (!has_any) {
        *held_reason = "no_dodo_subscription";
        (void)snprintf(detail, EMIT_DETAIL_MAX, "the customer has no active subscription at Dodo");
    } else {
        *held_reason = found_count == 0 ? "no_dodo_meter" : "two_dodo_meters";
        (void)snprintf(detail, EMIT_DETAIL_MAX, "%zu meters of the customer take events '%.*s'",
                       found_count, name.size_bytes < 140 ? (int)name.size_bytes : 140, name.bytes);
    }
    buffer_release(&name);
    return true;
}

void dodo_name_cycle(const struct dodo_landing *landing, struct instant at,
                     char detail[EMIT_DETAIL_MAX]) {
    char start[INSTANT_TEXT_MAX];
    char end[INSTANT_TEXT_MAX];
    int id_size =
        landing->subscription.size_bytes < 100 ? (int)landing->subscription.size_bytes : 100;
    (void)instant_format(landing->cycle_start, start);
    (void)instant_format(landing->cycle_end, end);
    if (instant_compare(at, landing->cycle_start) < 0) {
        (void)snprintf(detail, EMIT_DETAIL_MAX, "cycle that ended %s of %.*s", start, id_size,
                       landing->subscription.bytes);
    } else if (instant_compare(at, landing->cycle_end) < 0) {
        (void)snprintf(detail, EMIT_DETAIL_MAX, "cycle %s to %s of %.*s", start, end, id_size,
                       landing->subscription.bytes);
    } else { /* its renewal is due, and this comes behind it */
        (void)snprintf(detail, EMIT_DETAIL_MAX, "cycle that begins %s of %.*s", end, id_size,
                       landing->subscription.bytes);
    }
}
