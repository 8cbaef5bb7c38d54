/*
 * Before the first call: every item is made once, so that what is wrong with one stops all of them;
 * the cost and the time are told; no bill has more items than an invoice takes. A bill is the next
 * invoice of a subscription, or the invoice of its own that a customer has in a currency. (Where a
 * subscription turns out to bill nothing soon, its items go on the latter, too; when that is full,
 * another one is made: sender_place.c.)
 *
 * Orgs may share a bill, and nobody's memory should grow with their number. So bills are first
 * counted in buckets by a hash; only those of a bucket that is fuller than one bill may be are then
 * counted apart, by a second walk.
 */
#include <stdio.h>

#include "core/memory.h"
#include "emit_run.h"

enum { BUCKETS_COUNT = 65536, WAITING_ASKED_FROM = 200 };

struct bill_count {
    struct text customer;     /* owned; NULL: free */
    struct text subscription; /* owned, behind the customer; empty: an invoice of its own */
    const struct currency *currency;
    uint64_t hash;
    uint64_t items_count;
};

struct currency_sum {
    const struct currency *currency;
    struct decimal billed;
};

struct emit_check {
    struct emission_run *emission;
    uint64_t *buckets;        /* items by hash of bill */
    bool is_counting;         /* the second walk */
    struct bill_count *bills; /* open addressing; a power of two */
    size_t bills_size;
    size_t bills_count;
    struct currency_sum *sums; /* of all currencies */
};

uint64_t emit_customer_hash(struct text customer) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t index = 0; index < customer.size_bytes; index++) {
        hash = (hash ^ (unsigned char)customer.bytes[index]) * UINT64_C(1099511628211);
    }
    return hash ^ (hash >> 32);
}

/* --- counting -----------------------------------------------------------------------------------
 */

/* Where the group's items will be: without texts of its own. */
static struct bill_count bill_of(const struct emit_check *check, const struct emit_group *group) {
    bool has_subscription = group->subscription.size_bytes > 0 &&
                            check->emission->session->sending.attach != ATTACH_INVOICE;
    struct bill_count bill = {.customer = group->customer,
                              .subscription =
                                  has_subscription ? group->subscription : (struct text){"", 0},
                              .currency = group->works[0].item.currency};
    bill.hash = emit_customer_hash(bill.customer) * 31 + emit_customer_hash(bill.subscription) * 7 +
                (uint64_t)(bill.currency - currency_at(0));
    return bill;
}

static bool is_same_bill(const struct bill_count *left, const struct bill_count *right) {
    return left->hash == right->hash && left->currency == right->currency &&
           text_equals(left->customer, right->customer) &&
           text_equals(left->subscription, right->subscription);
}

static struct bill_count *count_at(struct bill_count *bills, size_t size,
                                   const struct bill_count *bill) {
    size_t at = (size_t)(bill->hash >> 16) & (size - 1);
    while (bills[at].customer.bytes != NULL && !is_same_bill(&bills[at], bill)) {
        at = (at + 1) & (size - 1);
    }
    return &bills[at];
}

static bool counts_grow(struct emit_check *check, struct err *err) {
    size_t size = check->bills_size == 0 ? 64 : check->bills_size * 2;
    struct bill_count *bills = mem_alloc(size * sizeof *bills);
    if (bills == NULL) {
        return err_memory(err, size * sizeof *bills);
    }
    for (size_t index = 0; index < check->bills_size; index++) {
        const struct bill_count *old = &check->bills[index];
        if (old->customer.bytes != NULL) {
            *count_at(bills, size, old) = *old;
        }
    }
    mem_free(check->bills);
    check->bills = bills;
    check->bills_size = size;
    return true;
}

/* A bill that is counted apart has its own copy of the texts. */
static bool bill_keep(struct bill_count *count, const struct bill_count *bill, struct err *err) {
    size_t size = bill->customer.size_bytes + bill->subscription.size_bytes + 1;
    char *bytes = mem_alloc(size);
    if (bytes == NULL) {
        return err_memory(err, size);
    }
    *count = *bill;
    memcpy(bytes, bill->customer.bytes, bill->customer.size_bytes);
    count->customer.bytes = bytes;
    if (bill->subscription.size_bytes > 0) {
        memcpy(bytes + bill->customer.size_bytes, bill->subscription.bytes,
               bill->subscription.size_bytes);
    }
    count->subscription.bytes = bytes + bill->customer.size_bytes;
    return true;
}

static bool count_group(struct emit_check *check, const struct emit_group *group, struct err *err) {
    struct bill_count bill = bill_of(check, group);
    if (!check->is_counting) {
        check->buckets[bill.hash % BUCKETS_COUNT] += group->works_count;
        return true;
    }
    if (check->buckets[bill.hash % BUCKETS_COUNT] <= WAITING_ASKED_FROM) {
        return true;
    }
    if (check->bills_count * 3 >= check->bills_size * 2 && !counts_grow(check, err)) {
        return false;
    }
    struct bill_count *count = count_at(check->bills, check->bills_size, &bill);
    if (count->customer.bytes == NULL) {
        if (!bill_keep(count, &bill, err)) {
            return false;
        }
        check->bills_count++;
    }
    count->items_count += group->works_count;
    return true;
}

static bool add_item(struct emit_check *check, const struct emit_item *item, bool is_held,
                     struct err *err) {
    struct emission_run *emission = check->emission;
    struct currency_sum *sum = &check->sums[item->currency - currency_at(0)];
    if (emission->is_totalled &&
        !totals_add_left(run_totals(emission->run), emit_equation, text_from(item->currency->code),
                         item->billed, err)) {
        return false;
    }
    emission->items_count += is_held ? 0 : 1;
    emission->held_count += is_held ? 1 : 0;
    if (emission->first_end.us == 0 || item->period_end.us < emission->first_end.us) {
        emission->first_end = item->period_end;
    }
    sum->currency = item->currency;
    return is_held || decimal_add(sum->billed, item->billed, &sum->billed) ||
           err_set(err, ERR_RANGE, "the sum of all items in %s does not fit", item->currency->code);
}

static bool check_shard(struct emit_check *check, size_t shard_index, struct err *err) {
    struct emission_run *emission = check->emission;
    struct emit_shard shard;
    struct emit_group group = {0};
    bool is_found = true;
    if (!emit_shard_open(&shard, emission->run, emission->session, &emission->terms,
                         emission->period, shard_index, err)) {
        return false;
    }
    bool is_fine = true;
    shard.has_no_keys = true;
    while (is_fine && is_found) {
        is_fine = emit_shard_next(&shard, &group, &is_found, err);
        if (!is_fine || !is_found) {
            break;
        }
        bool is_held = group.held_reason != NULL || group.customer.size_bytes == 0;
        for (size_t index = 0; is_fine && !check->is_counting && index < group.works_count;
             index++) {
            bool is_waiting = group.works[index].held_reason != NULL;
            is_fine = add_item(check, &group.works[index].item, is_held || is_waiting, err);
        }
        is_fine = is_fine && (is_held || count_group(check, &group, err));
    }
    emit_group_release(&group);
    emit_shard_close(&shard);
    return is_fine;
}

static bool check_walk(struct emit_check *check, bool is_counting, struct err *err) {
    check->is_counting = is_counting;
    for (size_t shard = 0; shard < run_shards_count(check->emission->run); shard++) {
        if (!check_shard(check, shard, err)) {
            return false;
        }
    }
    return true;
}

/* --- telling ------------------------------------------------------------------------------------
 */

static bool tell_cost(struct emit_check *check, struct err *err) {
    const struct emission_run *emission = check->emission;
    unsigned rate = emission->session->sending.rate;
    struct buffer text = {0};
    bool is_fine = buffer_append_format(&text, err, "%llu item%s to send",
                                        (unsigned long long)emission->items_count,
                                        emission->items_count == 1 ? "" : "s");
    const char *separator = ":";
    for (size_t index = 0; is_fine && index < currency_count(); index++) {
        const struct currency_sum *sum = &check->sums[index];
        if (sum->currency != NULL && !decimal_is_zero(sum->billed)) {
            char amount[DECIMAL_TEXT_MAX];
            (void)money_format(sum->billed, sum->currency, amount);
            is_fine = buffer_append_format(&text, err, "%s %s %s", separator, amount,
                                           sum->currency->code);
            separator = ",";
        }
    }
    is_fine = is_fine && (emission->held_count == 0 ||
                          buffer_append_format(&text, err, "; %llu held or switched off",
                                               (unsigned long long)emission->held_count));
    is_fine =
        is_fine && (rate == 0 || emission->items_count == 0 ||
                    buffer_append_format(&text, err, "; at %u a second it takes about %llu s", rate,
                                         (unsigned long long)(emission->items_count / rate + 1)));
    is_fine = is_fine && buffer_append(&text, (struct text){"", 1}, err);
    if (is_fine) {
        emission_tell_note(emission, text.bytes);
    }
    buffer_release(&text);
    return is_fine;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static int shown(struct text text) {
    return (int)(text.size_bytes < EMIT_ID_MAX ? text.size_bytes : EMIT_ID_MAX);
}

static bool too_many(const struct bill_count *count, uint64_t waiting_count, struct err *err) {
    char waiting[80] = "";
    if (waiting_count > 0) {
        (void)snprintf(waiting, sizeof waiting, ", and %llu other%s at Stripe",
                       (unsigned long long)waiting_count, waiting_count == 1 ? " waits" : "s wait");
    }
    if (count->subscription.size_bytes > 0) {
        (void)err_set(err, ERR_RANGE,
                      "Stripe customer '%.*s' has %llu items for subscription '%.*s'%s: an invoice "
                      "takes %d",
                      shown(count->customer), count->customer.bytes,
                      (unsigned long long)count->items_count, shown(count->subscription),
                      count->subscription.bytes, waiting, (int)EMIT_ITEMS_PER_INVOICE_MAX);
    } else {
        (void)err_set(err, ERR_RANGE,
                      "Stripe customer '%.*s' has %llu items in %s for an invoice of its own: that "
                      "takes %d",
                      shown(count->customer), count->customer.bytes,
                      (unsigned long long)count->items_count, count->currency->code,
                      (int)EMIT_ITEMS_PER_INVOICE_MAX);
    }
    return err_hint(err, "nothing was sent; bill fewer metrics for the orgs of this customer, or "
                         "finalise what waits there");
}

static bool check_fullest(struct emit_check *check, struct err *err) {
    bool is_full = false;
    for (size_t index = 0; index < BUCKETS_COUNT; index++) {
        is_full = is_full || check->buckets[index] > WAITING_ASKED_FROM;
    }
    if (is_full && !check_walk(check, true, err)) {
        return false;
    }
    for (size_t index = 0; index < check->bills_size; index++) {
        if (check->bills[index].items_count > EMIT_ITEMS_PER_INVOICE_MAX) {
            return too_many(&check->bills[index], 0, err);
        }
    }
    return true;
}

/* What others have put there waits for the same invoice; one of their own takes nothing of it. */
static bool check_waiting(struct emit_check *check, struct err *err) {
    struct emission_run *emission = check->emission;
    for (size_t index = 0; index < check->bills_size; index++) {
        const struct bill_count *count = &check->bills[index];
        uint64_t waiting_count;
        if (count->items_count <= WAITING_ASKED_FROM || count->subscription.size_bytes == 0) {
            continue;
        }
        if (!sender_count_waiting(emission->sender, count->customer, count->subscription,
                                  &waiting_count, err)) {
            return false;
        }
        if (count->items_count + waiting_count > EMIT_ITEMS_PER_INVOICE_MAX) {
            return too_many(count, waiting_count, err);
        }
    }
    return true;
}

bool emit_check_open(struct emission_run *emission, struct emit_check **check, struct err *err) {
    struct emit_check *made = mem_alloc(sizeof *made);
    *check = made;
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    *made = (struct emit_check){.emission = emission};
    made->buckets = mem_alloc(BUCKETS_COUNT * sizeof *made->buckets);
    made->sums = mem_alloc(currency_count() * sizeof *made->sums);
    if (made->buckets == NULL || made->sums == NULL) {
        return err_memory(err, BUCKETS_COUNT * sizeof *made->buckets);
    }
    return check_walk(made, false, err) && check_fullest(made, err) && tell_cost(made, err);
}

bool emit_check_waiting(struct emit_check *check, struct err *err) {
    return check_waiting(check, err);
}

void emit_check_close(struct emit_check *check) {
    if (check == NULL) {
        return;
    }
    for (size_t index = 0; index < check->bills_size; index++) {
        mem_free((void *)check->bills[index].customer.bytes);
    }
    mem_free(check->bills);
    mem_free(check->buckets);
    mem_free(check->sums);
    mem_free(check);
}
