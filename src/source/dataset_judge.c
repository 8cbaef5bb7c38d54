/* Who is rated, who is set aside and why; and the same in a sentence, for the reports. */
#include <stdio.h>

#include "dataset_judge.h"

/* In the order of the reasons that count first. */
static bool judge(struct dataset *dataset, uint32_t rank, enum org_reason *reason,
                  struct err *err) {
    const struct catalog_org *org = &dataset->catalog.orgs[rank];
    const struct org_extra *extra = &dataset->extras[rank];
    *reason = ORG_REASON_NONE;
    if (dataset->options.has_cutoff &&
        instant_compare(calendar_end(&org->calendar->calendar), dataset->options.cutoff) > 0) {
        *reason = ORG_REASON_PERIOD_OPEN;
    } else if (extra->sealed_plan > 0 && org->plan != NULL) {
        return true; /* its plan, currency and period were judged then */
    } else if (org->plan == NULL) {
        *reason = (enum org_reason)org->reason; /* two_plans, or not_subscribed so far */
    } else if (org->plan->currency != extra->currency) {
        *reason = ORG_REASON_CURRENCY_MISMATCH;
    } else {
        return dataset_judge_history(dataset, rank, reason, err);
    }
    return true;
}

bool dataset_judge_orgs(struct dataset *dataset, struct err *err) {
    for (uint32_t rank = 0; rank < dataset->catalog.orgs_count; rank++) {
        struct catalog_org *org = &dataset->catalog.orgs[rank];
        enum org_reason reason;
        if (!judge(dataset, rank, &reason, err)) {
            return false;
        }
        org->reason = (uint8_t)reason;
        org->disposition = (uint8_t)org_reason_table[reason].disposition;
    }
    return true;
}

/* --- in a sentence ---------------------------------------------------------------------------- */

static bool append_two_plans(const struct dataset *dataset, const struct subscription_end *end,
                             struct buffer *detail, struct err *err) {
    char at[INSTANT_TEXT_MAX];
    struct text first = dataset->catalog.plans[end->plans[0]].plan_id;
    struct text second = dataset->catalog.plans[end->plans[1]].plan_id;
    (void)instant_format((struct instant){end->until.us - 1}, at);
    return buffer_append(detail, first, err) && buffer_append(detail, text_from(" and "), err) &&
           buffer_append(detail, second, err) &&
           buffer_append_format(detail, err, " both in force at %s", at);
}

/* What it takes to go over to another calendar: a gap ends where this period begins, an overlap
 * with it. */
static bool append_last_period(const struct org_extra *extra, const struct interval *period,
                               struct buffer *detail, struct err *err) {
    char month[INSTANT_TEXT_MAX];
    char start[INSTANT_TEXT_MAX];
    (void)instant_format(period->from, start);
    (void)month_format((struct month){extra->latest_period / 12, extra->latest_period % 12 + 1},
                       month);
    if (!extra->has_misfit) {
        return buffer_append_format(detail, err, "last recorded period %s, this one begins %s",
                                    month, start);
    }
    char ended[INSTANT_TEXT_MAX];
    char next[INSTANT_TEXT_MAX];
    bool is_overlap = extra->recorded_end.us > period->from.us;
    (void)instant_format(extra->recorded_end, ended);
    (void)instant_format(is_overlap ? period->until : period->from, next);
    return buffer_append_format(detail, err,
                                "last recorded period %s ended %s, this one begins %s: time zone "
                                "or anchor day was changed. Change it back, or let no subscription "
                                "be in force from %s to %s",
                                month, ended, start, ended, next);
}

static bool append_misfit(const struct catalog_org *org, const struct catalog_misfit *misfit,
                          struct buffer *detail, struct err *err) {
    char at[INSTANT_TEXT_MAX];
    (void)instant_format(misfit->at, at);
    return buffer_append(detail, misfit->price->metric, err) &&
           buffer_append_format(detail, err,
                                misfit->is_set ? " was set at %s, but plan "
                                               : " of %s has no unique_key, but plan ",
                                at) &&
           buffer_append(detail, org->plan->plan_id, err) &&
           buffer_append_format(
               detail, err,
               " aggregates it by %s: give it the aggregation in billing.prices that its rows were "
               "written for, until this period is recorded",
               aggregation_table[misfit->price->price.aggregation].name);
}

bool dataset_format_detail(const struct dataset *dataset, uint32_t rank,
                           const struct subscription_end *end, struct buffer *detail,
                           struct err *err) {
    const struct catalog_org *org = &dataset->catalog.orgs[rank];
    const struct org_extra *extra = &dataset->extras[rank];
    const struct interval *period = calendar_period(org->calendar);
    char from[INSTANT_TEXT_MAX];
    char until[INSTANT_TEXT_MAX];
    char cutoff[INSTANT_TEXT_MAX];
    (void)instant_format(period->from, from);
    (void)instant_format(period->until, until);
    buffer_clear(detail);
    switch ((enum org_reason)org->reason) {
    case ORG_REASON_NONE:
    case ORG_REASONS_COUNT:
        return true;
    case ORG_REASON_NO_PLAN:
        return buffer_append_format(
            detail, err, "usage or seats, but no subscription from %s to %s", from, until);
    case ORG_REASON_NOT_SUBSCRIBED:
        return buffer_append_format(detail, err, "no subscription from %s to %s", from, until);
    case ORG_REASON_TWO_PLANS:
        return append_two_plans(dataset, end, detail, err);
    case ORG_REASON_CURRENCY_MISMATCH:
        return buffer_append_format(detail, err, "org is %s, plan ", extra->currency->code) &&
               buffer_append(detail, org->plan->plan_id, err) &&
               buffer_append_format(detail, err, " is %s", org->plan->currency->code);
    case ORG_REASON_PERIOD_GAP:
    case ORG_REASON_PERIOD_OVERLAP:
        return append_last_period(extra, period, detail, err);
    case ORG_REASON_KIND_MISMATCH:
        return append_misfit(org, &dataset->misfits[rank], detail, err);
    case ORG_REASON_PERIOD_OPEN:
        (void)instant_format(dataset->options.cutoff, cutoff);
        return buffer_append_format(detail, err, "period ends %s, after the cutoff %s", until,
                                    cutoff);
    }
    return true;
}
