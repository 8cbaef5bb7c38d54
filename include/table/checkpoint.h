/*
 * The tables of every checkpoint: name, columns, types, order. The one place that says what a run
 * directory holds.
 *
 * A table is declared once, as a list of columns X(CONSTANT, "name", TYPE, nullable). From it come
 * an enum (ORGS_ORG_ID = 0, …), used to write and read columns, and the schema (checkpoint_orgs).
 *
 * Units: quantities, prices and amounts are decimals in metric units or major units of the
 * currency; instants are UTC; a date is the local date of the org's day. Rows are sorted by the key
 * named with each table, text by its bytes.
 *
 * Sharded tables are cut after every CHECKPOINT_SHARD_ORGS orgs in org_id order: TABLE.arrow,
 * TABLE.1.arrow, TABLE.2.arrow … A shard holds all rows of its orgs. Where the cuts fall depends on
 * the data alone, and every shard of every stage can be computed by itself.
 *
 * A series is one (org, metric) of extract. Its number is shard x 2^32 + row number in its shard;
 * the narrow per-day tables, and usage, name the series by that number.
 */
#ifndef PERIODCLOSE_TABLE_CHECKPOINT_H
#define PERIODCLOSE_TABLE_CHECKPOINT_H

#include "table/table.h"

enum { CHECKPOINT_SHARD_ORGS = 50000 };

/* --- extract ---------------------------------------------------------------------------------- */

/*
 * orgs: every selected org. Key: org_id. disposition: rated, set_aside, listed; reason is null when
 * rated. terms: 0 = today's prices, 1 = the terms sealed with the revision before (see prices).
 * days, next_days: dates of the period and of the one after it (a date
 * that the zone skipped is counted);
 * subscribed_days: days of the period with subscribed time in them. Day i of
 * the period is written as the date first_date + i in every table.
 */
#define ORGS_COLUMNS(X)                                                                            \
    X(ORGS_ORG_ID, "org_id", UTF8, false)                                                          \
    X(ORGS_NAME, "name", UTF8, true)                                                               \
    X(ORGS_STATUS, "status", UTF8, false)                                                          \
    X(ORGS_CURRENCY, "currency", UTF8, false)                                                      \
    X(ORGS_TIMEZONE, "timezone", UTF8, false)                                                      \
    X(ORGS_ANCHOR_DAY, "anchor_day", INT64, false)                                                 \
    X(ORGS_PERIOD_START, "period_start", TIMESTAMP, false)                                         \
    X(ORGS_PERIOD_END, "period_end", TIMESTAMP, false)                                             \
    X(ORGS_FIRST_DATE, "first_date", DATE, false)                                                  \
    X(ORGS_DAYS, "days", INT64, false)                                                             \
    X(ORGS_NEXT_DAYS, "next_days", INT64, false)                                                   \
    X(ORGS_SUBSCRIBED_DAYS, "subscribed_days", INT64, false)                                       \
    X(ORGS_PLAN_ID, "plan_id", UTF8, true)                                                         \
    X(ORGS_TERMS, "terms", INT64, false)                                                           \
    X(ORGS_OVERAGE_ENABLED, "overage_enabled", BOOL, false)                                        \
    X(ORGS_OVERAGE_CAP, "overage_cap", DECIMAL, true)                                              \
    X(ORGS_STRIPE_CUSTOMER_ID, "stripe_customer_id", UTF8, true)                                   \
    X(ORGS_STRIPE_SUBSCRIPTION_ID, "stripe_subscription_id", UTF8, true)                           \
    X(ORGS_STRIPE_ITEM_MODE, "stripe_item_mode", UTF8, false)                                      \
    X(ORGS_DODO_CUSTOMER_ID, "dodo_customer_id", UTF8, true)                                       \
    X(ORGS_DISPOSITION, "disposition", UTF8, false)                                                \
    X(ORGS_REASON, "reason", UTF8, true)                                                           \
    X(ORGS_DETAIL, "detail", UTF8, true)

/* plans: not sharded. Key: terms, plan_id. */
#define PLANS_COLUMNS(X)                                                                           \
    X(PLANS_TERMS, "terms", INT64, false)                                                          \
    X(PLANS_PLAN_ID, "plan_id", UTF8, false)                                                       \
    X(PLANS_NAME, "name", UTF8, true)                                                              \
    X(PLANS_CURRENCY, "currency", UTF8, false)

/* prices: not sharded. Key: terms, plan_id, metric. */
#define PRICES_COLUMNS(X)                                                                          \
    X(PRICES_TERMS, "terms", INT64, false)                                                         \
    X(PRICES_PLAN_ID, "plan_id", UTF8, false)                                                      \
    X(PRICES_METRIC, "metric", UTF8, false)                                                        \
    X(PRICES_AGGREGATION, "aggregation", UTF8, false)                                              \
    X(PRICES_MODEL, "model", UTF8, false)                                                          \
    X(PRICES_INCLUDED, "included", DECIMAL, false)                                                 \
    X(PRICES_HARD_LIMIT, "hard_limit", DECIMAL, true)                                              \
    X(PRICES_UNIT_PRICE, "unit_price", DECIMAL, true)                                              \
    X(PRICES_PACKAGE_SIZE, "package_size", DECIMAL, true)                                          \
    X(PRICES_UNIT, "unit", UTF8, true)

/* tiers: not sharded. Key: terms, plan_id, metric, tier (1, 2, …; the last has no up_to). */
#define TIERS_COLUMNS(X)                                                                           \
    X(TIERS_TERMS, "terms", INT64, false)                                                          \
    X(TIERS_PLAN_ID, "plan_id", UTF8, false)                                                       \
    X(TIERS_METRIC, "metric", UTF8, false)                                                         \
    X(TIERS_TIER, "tier", INT64, false)                                                            \
    X(TIERS_UP_TO, "up_to", DECIMAL, true)                                                         \
    X(TIERS_UNIT_PRICE, "unit_price", DECIMAL, false)                                              \
    X(TIERS_FLAT_PRICE, "flat_price", DECIMAL, false)

/* subscriptions: key org_id, starts_at (null first), plan_id. Copied whole. */
#define SUBSCRIPTIONS_COLUMNS(X)                                                                   \
    X(SUBSCRIPTIONS_ORG_ID, "org_id", UTF8, false)                                                 \
    X(SUBSCRIPTIONS_PLAN_ID, "plan_id", UTF8, false)                                               \
    X(SUBSCRIPTIONS_STARTS_AT, "starts_at", TIMESTAMP, true)                                       \
    X(SUBSCRIPTIONS_ENDS_AT, "ends_at", TIMESTAMP, true)

/* limits: key org_id, metric. */
#define LIMITS_COLUMNS(X)                                                                          \
    X(LIMITS_ORG_ID, "org_id", UTF8, false)                                                        \
    X(LIMITS_METRIC, "metric", UTF8, false)                                                        \
    X(LIMITS_SOFT_LIMIT, "soft_limit", DECIMAL, true)                                              \
    X(LIMITS_HARD_LIMIT, "hard_limit", DECIMAL, true)

/* history: the month before; of an org with a plan also its latest period, where that is another
 * one, which shows a gap or an overlap. Key: org_id, metric, period (YYYY-MM). */
#define HISTORY_COLUMNS(X)                                                                         \
    X(HISTORY_ORG_ID, "org_id", UTF8, false)                                                       \
    X(HISTORY_METRIC, "metric", UTF8, false)                                                       \
    X(HISTORY_PERIOD, "period", UTF8, false)                                                       \
    X(HISTORY_QUANTITY, "quantity", DECIMAL, false)                                                \
    X(HISTORY_CLOSING_LEVEL, "closing_level", DECIMAL, true)                                       \
    X(HISTORY_OVERAGE, "overage", DECIMAL, true)                                                   \
    X(HISTORY_COST, "cost", DECIMAL, true)                                                         \
    X(HISTORY_CURRENCY, "currency", UTF8, true)                                                    \
    X(HISTORY_PROJECTED, "projected", DECIMAL, true)                                               \
    X(HISTORY_PROJECTED_COST, "projected_cost", DECIMAL, true)

/* seats: every assignment. Key: org_id, user_id, assigned_at, revoked_at (null last). */
#define SEATS_COLUMNS(X)                                                                           \
    X(SEATS_ORG_ID, "org_id", UTF8, false)                                                         \
    X(SEATS_USER_ID, "user_id", UTF8, false)                                                       \
    X(SEATS_ROLE, "role", UTF8, true)                                                              \
    X(SEATS_ASSIGNED_AT, "assigned_at", TIMESTAMP, false)                                          \
    X(SEATS_REVOKED_AT, "revoked_at", TIMESTAMP, true)

/* invitations: key org_id, invitation_id. */
#define INVITATIONS_COLUMNS(X)                                                                     \
    X(INVITATIONS_ORG_ID, "org_id", UTF8, false)                                                   \
    X(INVITATIONS_INVITATION_ID, "invitation_id", UTF8, false)                                     \
    X(INVITATIONS_EMAIL, "email", UTF8, true)                                                      \
    X(INVITATIONS_ROLE, "role", UTF8, true)                                                        \
    X(INVITATIONS_STATUS, "status", UTF8, true)                                                    \
    X(INVITATIONS_CREATED_AT, "created_at", TIMESTAMP, false)                                      \
    X(INVITATIONS_EXPIRES_AT, "expires_at", TIMESTAMP, true)                                       \
    X(INVITATIONS_ACCEPTED_AT, "accepted_at", TIMESTAMP, true)

/*
 * series: one row per priced (org, metric) of a rated org that has metered events or a level. Key:
 * org_id, metric; series is the row's series number. events: metered events; first_at, last_at:
 * of those. units: net of the metered changes (sum of their quantities; for count and unique too).
 * Levels only: opening_level at the period's start, closing_level just before its end (the next
 * period's opening), metered_level at the end of the subscribed time (what `last` bills).
 */
#define SERIES_COLUMNS(X)                                                                          \
    X(SERIES_ORG_ID, "org_id", UTF8, false)                                                        \
    X(SERIES_METRIC, "metric", UTF8, false)                                                        \
    X(SERIES_SERIES, "series", INT64, false)                                                       \
    X(SERIES_EVENTS, "events", INT64, false)                                                       \
    X(SERIES_UNITS, "units", DECIMAL, false)                                                       \
    X(SERIES_FIRST_AT, "first_at", TIMESTAMP, true)                                                \
    X(SERIES_LAST_AT, "last_at", TIMESTAMP, true)                                                  \
    X(SERIES_OPENING_LEVEL, "opening_level", DECIMAL, true)                                        \
    X(SERIES_CLOSING_LEVEL, "closing_level", DECIMAL, true)                                        \
    X(SERIES_METERED_LEVEL, "metered_level", DECIMAL, true)

/* days: flows, only days with metered events. Key: series, day. sum: net quantity; count: events.
 */
#define DAYS_COLUMNS(X)                                                                            \
    X(DAYS_SERIES, "series", INT64, false)                                                         \
    X(DAYS_DAY, "day", DATE, false)                                                                \
    X(DAYS_SUM, "sum", DECIMAL, false)                                                             \
    X(DAYS_COUNT, "count", INT64, false)

/* keys: for metrics aggregated by unique; distinct unique_keys first seen that day. Key: series,
 * day. */
#define KEYS_COLUMNS(X)                                                                            \
    X(KEYS_SERIES, "series", INT64, false)                                                         \
    X(KEYS_DAY, "day", DATE, false)                                                                \
    X(KEYS_KEYS, "keys", INT64, false)

/*
 * levels: runs of days. Key: series, day. A row holds from its day until the next row's day (the
 * last one until the period's end); there is always one for the first day. closing: level at the
 * end of the subscribed time of each day of the run; highest: highest level in the run's subscribed
 * time; both null when the run has none. share and share_remainder: the run's level x subscribed
 * microseconds, divided by the period's length in microseconds: floored quotient (10^-15 units) and
 * the remainder (0 <= remainder < length), so that shares add up exactly.
 */
#define LEVELS_COLUMNS(X)                                                                          \
    X(LEVELS_SERIES, "series", INT64, false)                                                       \
    X(LEVELS_DAY, "day", DATE, false)                                                              \
    X(LEVELS_CLOSING, "closing", DECIMAL, true)                                                    \
    X(LEVELS_HIGHEST, "highest", DECIMAL, true)                                                    \
    X(LEVELS_SHARE, "share", DECIMAL, false)                                                       \
    X(LEVELS_SHARE_REMAINDER, "share_remainder", INT64, false)

/*
 * asides: usage that was read but not metered, per org, metric and kind. Key: org_id, metric, kind.
 * kind: late (inside the period, recorded after the cutoff), late_earlier (of a flow's earlier
 * period, which a database has recorded without it), late_opening (rows before the start
 * that the recorded closing level had not seen; they did move the opening level), unpriced.
 * quantity: the sum of changes; with sets among the rows, the last set and the changes since.
 */
#define ASIDES_COLUMNS(X)                                                                          \
    X(ASIDES_ORG_ID, "org_id", UTF8, false)                                                        \
    X(ASIDES_METRIC, "metric", UTF8, false)                                                        \
    X(ASIDES_KIND, "kind", UTF8, false)                                                            \
    X(ASIDES_EVENTS, "events", INT64, false)                                                       \
    X(ASIDES_QUANTITY, "quantity", DECIMAL, false)                                                 \
    X(ASIDES_FIRST_AT, "first_at", TIMESTAMP, false)                                               \
    X(ASIDES_LAST_AT, "last_at", TIMESTAMP, false)

/*
 * categories: where every event that was read went, per metric. Not sharded. Key: metric, category
 * (usage_category_names in source/usage.h; only rows with events). units: quantities of changes.
 */
#define CATEGORIES_COLUMNS(X)                                                                      \
    X(CATEGORIES_METRIC, "metric", UTF8, false)                                                    \
    X(CATEGORIES_CATEGORY, "category", UTF8, false)                                                \
    X(CATEGORIES_EVENTS, "events", INT64, false)                                                   \
    X(CATEGORIES_UNITS, "units", DECIMAL, false)

/* --- meter ------------------------------------------------------------------------------------ */

/*
 * usage: one row for every price of every rated org's plan, zeros too. Key: org_id, metric.
 * quantity: what is billed on, never negative. days_with_data: flows, days with events; levels,
 * days with subscribed time. series: where extract has the days it was made of (days, keys or
 * levels: the daily series, see rating/daily.h) and its opening and closing level (series); null
 * where nothing was metered.
 */
#define USAGE_COLUMNS(X)                                                                           \
    X(USAGE_ORG_ID, "org_id", UTF8, false)                                                         \
    X(USAGE_METRIC, "metric", UTF8, false)                                                         \
    X(USAGE_SERIES, "series", INT64, true)                                                         \
    X(USAGE_QUANTITY, "quantity", DECIMAL, false)                                                  \
    X(USAGE_EVENTS, "events", INT64, false)                                                        \
    X(USAGE_DAYS_WITH_DATA, "days_with_data", INT64, false)

/*
 * moments: what a line through a daily series needs of it (rating/trend.h), where one is fitted:
 * for rows of usage with a series and two or more days with data. Key: series. With x = 0 … n - 1
 * for the n days of the period and y for the quantity of the day: day_sum is the sum of y,
 * day_moment that of (2x - n + 1) y; r_squared: how well the line fits, null for a constant.
 */
#define MOMENTS_COLUMNS(X)                                                                         \
    X(MOMENTS_SERIES, "series", INT64, false)                                                      \
    X(MOMENTS_DAY_SUM, "day_sum", DECIMAL, false)                                                  \
    X(MOMENTS_DAY_MOMENT, "day_moment", DECIMAL, false)                                            \
    X(MOMENTS_R_SQUARED, "r_squared", DECIMAL, true)

/*
 * daily: in place of a row of moments, the daily series itself without its days of zero, where a
 * sum is no decimal (days of 10^20 and more). Key: series, day.
 */
#define DAILY_COLUMNS(X)                                                                           \
    X(DAILY_SERIES, "series", INT64, false)                                                        \
    X(DAILY_DAY, "day", DATE, false)                                                               \
    X(DAILY_QUANTITY, "quantity", DECIMAL, false)

/*
 * negatives: the rows of usage whose net was negative, and made zero. Key: org_id, metric. For sum,
 * count and unique the net is the sum of the days.
 */
#define NEGATIVES_COLUMNS(X)                                                                       \
    X(NEGATIVES_ORG_ID, "org_id", UTF8, false)                                                     \
    X(NEGATIVES_METRIC, "metric", UTF8, false)                                                     \
    X(NEGATIVES_NET, "net", DECIMAL, false)

/* --- rate ------------------------------------------------------------------------------------- */

/*
 * charges: the rows of usage with overage, or with something above the hard limit. Key: org_id,
 * metric. All others cost nothing; their limit is the org's soft limit, or what its plan includes.
 * exact_cost: the exact sum of products, rounded half away to 15 decimals; uncapped_cost: rounded
 * once to the billing increment; cost = uncapped_cost - cap_reduction.
 */
#define CHARGES_COLUMNS(X)                                                                         \
    X(CHARGES_ORG_ID, "org_id", UTF8, false)                                                       \
    X(CHARGES_METRIC, "metric", UTF8, false)                                                       \
    X(CHARGES_LIMIT, "limit", DECIMAL, false)                                                      \
    X(CHARGES_OVERAGE, "overage", DECIMAL, false)                                                  \
    X(CHARGES_BLOCKED, "blocked", DECIMAL, false)                                                  \
    X(CHARGES_EXACT_COST, "exact_cost", DECIMAL, false)                                            \
    X(CHARGES_UNCAPPED_COST, "uncapped_cost", DECIMAL, false)                                      \
    X(CHARGES_CAP_REDUCTION, "cap_reduction", DECIMAL, false)                                      \
    X(CHARGES_COST, "cost", DECIMAL, false)

/*
 * lines: how a graduated or volume charge came about, one row per tier used (only charges with
 * overage). Key: org_id, metric, tier. amount: quantity x unit_price + flat_price, rounded half
 * away to 15 decimals for reading; the charge sums the exact ones.
 */
#define LINES_COLUMNS(X)                                                                           \
    X(LINES_ORG_ID, "org_id", UTF8, false)                                                         \
    X(LINES_METRIC, "metric", UTF8, false)                                                         \
    X(LINES_TIER, "tier", INT64, false)                                                            \
    X(LINES_QUANTITY, "quantity", DECIMAL, false)                                                  \
    X(LINES_UNIT_PRICE, "unit_price", DECIMAL, false)                                              \
    X(LINES_FLAT_PRICE, "flat_price", DECIMAL, false)                                              \
    X(LINES_AMOUNT, "amount", DECIMAL, false)

/* --- project ---------------------------------------------------------------------------------- */

/*
 * projections: the rows of usage that a line was fitted to, but for those that go on as they are.
 * Key: org_id, metric. Without a row the slope and the growth are zero, there is no R², and the
 * next period's quantity is this one's. Null where the numbers do not fit; r_squared also for a
 * constant.
 */
#define PROJECTIONS_COLUMNS(X)                                                                     \
    X(PROJECTIONS_ORG_ID, "org_id", UTF8, false)                                                   \
    X(PROJECTIONS_METRIC, "metric", UTF8, false)                                                   \
    X(PROJECTIONS_SLOPE_PER_DAY, "slope_per_day", DECIMAL, true)                                   \
    X(PROJECTIONS_GROWTH_30_DAYS, "growth_30_days", DECIMAL, true)                                 \
    X(PROJECTIONS_R_SQUARED, "r_squared", DECIMAL, true)                                           \
    X(PROJECTIONS_PROJECTED, "projected", DECIMAL, true)

/*
 * estimates: what the next period's quantities would cost, where that is anything. Key: org_id,
 * metric. Without a row there is no overage; null where the numbers do not fit.
 */
#define ESTIMATES_COLUMNS(X)                                                                       \
    X(ESTIMATES_ORG_ID, "org_id", UTF8, false)                                                     \
    X(ESTIMATES_METRIC, "metric", UTF8, false)                                                     \
    X(ESTIMATES_PROJECTED_OVERAGE, "projected_overage", DECIMAL, true)                             \
    X(ESTIMATES_PROJECTED_COST, "projected_cost", DECIMAL, true)

/*
 * changes: month over month, where history has the month before. Key: org_id, metric. change is
 * null when previous is zero.
 */
#define CHANGES_COLUMNS(X)                                                                         \
    X(CHANGES_ORG_ID, "org_id", UTF8, false)                                                       \
    X(CHANGES_METRIC, "metric", UTF8, false)                                                       \
    X(CHANGES_PREVIOUS, "previous", DECIMAL, false)                                                \
    X(CHANGES_CHANGE, "change", DECIMAL, true)

/* --- record ----------------------------------------------------------------------------------- */

/*
 * records: one row per record: where this result's overage, or an earlier revision's, is above
 * zero. Key: org_id, metric. billed = cost - previous_cost. status as in overages.csv (computed,
 * recorded, zero, held, disabled).
 */
#define RECORDS_COLUMNS(X)                                                                         \
    X(RECORDS_ORG_ID, "org_id", UTF8, false)                                                       \
    X(RECORDS_METRIC, "metric", UTF8, false)                                                       \
    X(RECORDS_REVISION, "revision", INT64, false)                                                  \
    X(RECORDS_COST, "cost", DECIMAL, false)                                                        \
    X(RECORDS_PREVIOUS_COST, "previous_cost", DECIMAL, false)                                      \
    X(RECORDS_BILLED, "billed", DECIMAL, false)                                                    \
    X(RECORDS_STATUS, "status", UTF8, false)

/*
 * adjustments: what a revision changed, per org and metric whose usage, events or cost differ from
 * the revision before. Key: org_id, metric.
 */
#define ADJUSTMENTS_COLUMNS(X)                                                                     \
    X(ADJUSTMENTS_ORG_ID, "org_id", UTF8, false)                                                   \
    X(ADJUSTMENTS_METRIC, "metric", UTF8, false)                                                   \
    X(ADJUSTMENTS_LATE_EVENTS, "late_events", INT64, false)                                        \
    X(ADJUSTMENTS_LATE_QUANTITY, "late_quantity", DECIMAL, false)                                  \
    X(ADJUSTMENTS_OLD_USAGE, "old_usage", DECIMAL, false)                                          \
    X(ADJUSTMENTS_NEW_USAGE, "new_usage", DECIMAL, false)                                          \
    X(ADJUSTMENTS_OLD_COST, "old_cost", DECIMAL, false)                                            \
    X(ADJUSTMENTS_NEW_COST, "new_cost", DECIMAL, false)                                            \
    X(ADJUSTMENTS_CURRENCY, "currency", UTF8, false)                                               \
    X(ADJUSTMENTS_REASON, "reason", UTF8, true)

/* --- emit ------------------------------------------------------------------------------------- */

/*
 * items: the outcome of every record with something to bill. Key: org_id, metric. status: sent,
 * held (reason), failed (detail), unknown, disabled; not_emitted with --emit none. item_key,
 * attempts, request_id: of what was asked of Stripe; null where nothing was.
 */
#define ITEMS_COLUMNS(X)                                                                           \
    X(ITEMS_ORG_ID, "org_id", UTF8, false)                                                         \
    X(ITEMS_METRIC, "metric", UTF8, false)                                                         \
    X(ITEMS_REVISION, "revision", INT64, false)                                                    \
    X(ITEMS_BILLED, "billed", DECIMAL, false)                                                      \
    X(ITEMS_CURRENCY, "currency", UTF8, false)                                                     \
    X(ITEMS_STATUS, "status", UTF8, false)                                                         \
    X(ITEMS_REASON, "reason", UTF8, true)                                                          \
    X(ITEMS_STRIPE_ITEM_ID, "stripe_item_id", UTF8, true)                                          \
    X(ITEMS_ITEM_KEY, "item_key", UTF8, true)                                                      \
    X(ITEMS_ATTEMPTS, "attempts", INT64, true)                                                     \
    X(ITEMS_REQUEST_ID, "request_id", UTF8, true)                                                  \
    X(ITEMS_DETAIL, "detail", UTF8, true)                                                          \
    X(ITEMS_INVOICE_ID, "stripe_invoice_id", UTF8, true)

/*
 * invoices: those of our own that items were put on. Key: invoice_id. items: of this run that are
 * on it; open_items: of its customer and currency that are not sent; ours: its lines of ours;
 * theirs: its total at Stripe, without taxes. state: as Stripe calls it. status: draft (reason:
 * not_asked, items_open), finalised, different (lines_missing, lines_not_ours, total, void, gone),
 * failed (refused, not_shown), unknown.
 */
#define INVOICES_COLUMNS(X)                                                                        \
    X(INVOICES_INVOICE_ID, "invoice_id", UTF8, false)                                              \
    X(INVOICES_CUSTOMER_ID, "customer_id", UTF8, false)                                            \
    X(INVOICES_CURRENCY, "currency", UTF8, false)                                                  \
    X(INVOICES_ITEMS, "items", INT64, false)                                                       \
    X(INVOICES_OPEN_ITEMS, "open_items", INT64, false)                                             \
    X(INVOICES_OURS, "ours", DECIMAL, false)                                                       \
    X(INVOICES_THEIRS, "theirs", DECIMAL, false)                                                   \
    X(INVOICES_STATE, "state", UTF8, true)                                                         \
    X(INVOICES_STATUS, "status", UTF8, false)                                                      \
    X(INVOICES_REASON, "reason", UTF8, true)                                                       \
    X(INVOICES_REQUEST_ID, "request_id", UTF8, true)                                               \
    X(INVOICES_DETAIL, "detail", UTF8, true)

/* --- what the declarations above give ----------------------------------------------------------
 */

#define CHECKPOINT_TABLES(T)                                                                       \
    T(orgs, ORGS_COLUMNS, 1)                                                                       \
    T(plans, PLANS_COLUMNS, 2)                                                                     \
    T(prices, PRICES_COLUMNS, 3)                                                                   \
    T(tiers, TIERS_COLUMNS, 4)                                                                     \
    T(subscriptions, SUBSCRIPTIONS_COLUMNS, 3)                                                     \
    T(limits, LIMITS_COLUMNS, 2)                                                                   \
    T(history, HISTORY_COLUMNS, 3)                                                                 \
    T(seats, SEATS_COLUMNS, 4)                                                                     \
    T(invitations, INVITATIONS_COLUMNS, 2)                                                         \
    T(series, SERIES_COLUMNS, 2)                                                                   \
    T(days, DAYS_COLUMNS, 2)                                                                       \
    T(keys, KEYS_COLUMNS, 2)                                                                       \
    T(levels, LEVELS_COLUMNS, 2)                                                                   \
    T(asides, ASIDES_COLUMNS, 3)                                                                   \
    T(categories, CATEGORIES_COLUMNS, 2)                                                           \
    T(usage, USAGE_COLUMNS, 2)                                                                     \
    T(moments, MOMENTS_COLUMNS, 1)                                                                 \
    T(daily, DAILY_COLUMNS, 2)                                                                     \
    T(negatives, NEGATIVES_COLUMNS, 2)                                                             \
    T(charges, CHARGES_COLUMNS, 2)                                                                 \
    T(lines, LINES_COLUMNS, 3)                                                                     \
    T(projections, PROJECTIONS_COLUMNS, 2)                                                         \
    T(estimates, ESTIMATES_COLUMNS, 2)                                                             \
    T(changes, CHANGES_COLUMNS, 2)                                                                 \
    T(records, RECORDS_COLUMNS, 2)                                                                 \
    T(adjustments, ADJUSTMENTS_COLUMNS, 2)                                                         \
    T(items, ITEMS_COLUMNS, 2)                                                                     \
    T(invoices, INVOICES_COLUMNS, 1)

#define CHECKPOINT_ENUM_ROW(constant, name, type, is_nullable) constant,
#define CHECKPOINT_DECLARE(table, columns, keys)                                                   \
    enum { columns(CHECKPOINT_ENUM_ROW) checkpoint_##table##_columns_count };                      \
    extern const struct table_schema checkpoint_##table;

CHECKPOINT_TABLES(CHECKPOINT_DECLARE)

#endif
