// Closes every org of a dataset in memory: who is rated under which terms, and each metric's
// numbers; or why an org is not rated.
import { BadInput, UNIT, currencyOf } from './decimal.mjs';
import { addMonths, calendarOf, formatInstant, formatPeriod, parsePeriod } from './time.mjs';
import {
  applyAll, contains, distinctEvents, isLevel, meterMetric, unionOf,
} from './meter.mjs';
import { applyCap, chargeOf, limitsOf, overageOf } from './rate.mjs';
import { trendOf } from './project.mjs';

// The subscriptions that could rate the period: those in force at its last instant, else those
// that were the last to end inside it. More than one is two_plans, also when the plan is the same.
function ratingSubscriptions(subscriptions, { start, end }) {
  const touching = subscriptions.filter(({ from, to }) => from < to && from < end && to > start);
  const final = touching.filter(({ from, to }) => from < end && to >= end);
  if (final.length > 0) return final;
  const latest = touching.reduce((top, { to }) => (to > top ? to : top), start);
  return touching.filter(({ to }) => to === latest);
}

const inside = (events, { start, end }) => events.some(({ at }) => at >= start && at < end);

function unplannedReason(org, calendar) {
  const hasSeats = unionOf(org.seats, calendar.start, calendar.end).length > 0;
  return hasSeats || inside(org.events, calendar)
    ? { kind: 'set_aside', reason: 'no_plan', detail: '' }
    : { kind: 'listed', reason: 'not_subscribed', detail: '' };
}

// Time without a subscription is no gap: there was nothing to close.
function isGap(org, latest, { start }) {
  const next = addMonths(parsePeriod(latest), 1);
  const { start: recordedEnd } = calendarOf(org.zone, org.anchorDay, next);
  return org.subscriptions.some(({ from, to }) => {
    const until = to < start ? to : start;
    return from < until && until > recordedEnd;
  });
}

function historyReason(org, period, calendar, sealed) {
  const latest = org.history.reduce((top, row) => (row.period > top ? row.period : top), '');
  const expected = formatPeriod(addMonths(period, -1));
  if (latest === '' || latest === expected) return null;
  if (latest < expected) {
    if (!isGap(org, latest, calendar)) return null;
    return { kind: 'set_aside', reason: 'period_gap', detail: `last recorded ${latest}` };
  }
  if (sealed) return null;
  return { kind: 'set_aside', reason: 'period_overlap', detail: `last recorded ${latest}` };
}

// Either { terms } or { aside }. An org rated in the previous run keeps the terms sealed there.
function termsOf(org, data, { period, cutoff }, sealed) {
  const calendar = sealed?.calendar ?? calendarOf(org.zone, org.anchorDay, period);
  if (calendar.end > cutoff) {
    const detail = `ends ${formatInstant(calendar.end)}`;
    return { aside: { kind: 'listed', reason: 'period_open', detail } };
  }
  const terms = sealed ?? { calendar, cap: org.cap, limits: org.limits };
  if (!sealed) {
    const rating = ratingSubscriptions(org.subscriptions, calendar);
    if (rating.length > 1) {
      const detail = rating.map(({ planId }) => planId).sort().join(', ');
      return { aside: { kind: 'set_aside', reason: 'two_plans', detail } };
    }
    if (rating.length === 0) return { aside: unplannedReason(org, calendar) };
    terms.plan = data.plans.get(rating[0].planId);
    if (terms.plan.currency !== org.currency) {
      const detail = `org ${org.currency}, plan ${terms.plan.currency}`;
      return { aside: { kind: 'set_aside', reason: 'currency_mismatch', detail } };
    }
    terms.currency = currencyOf(org.currency);
  }
  const aside = historyReason(org, period, calendar, sealed);
  return aside ? { aside } : { terms };
}

// Changes add up; of sets the last one stands, with the changes since.
function quantityByMetric(events) {
  const rows = new Map();
  for (const event of events) {
    if (!rows.has(event.metric)) rows.set(event.metric, []);
    rows.get(event.metric).push(event);
  }
  return new Map([...rows].map(([metric, of]) => [metric, applyAll(0n, of)]));
}

const usersAt = (seats, instant) => new Set(seats
  .filter(({ from, to }) => from <= instant && instant < to).map(({ user }) => user));

function rateMetrics(metrics, terms) {
  for (const metric of metrics) {
    Object.assign(metric, limitsOf(metric.price, terms.limits.get(metric.metric)));
    Object.assign(metric, overageOf(metric.usage, metric));
    Object.assign(metric, chargeOf(metric.price, metric.overage, terms.currency));
  }
  const costs = applyCap(metrics, terms.cap, terms.currency);
  for (const metric of metrics) metric.cost = costs.get(metric.metric);
}

function projectMetrics(metrics, terms) {
  const charges = [];
  for (const metric of metrics) {
    metric.trend = trendOf({
      aggregation: metric.price.aggregation,
      usage: metric.usage,
      daily: metric.daily,
      daysWithData: metric.daysWithData,
      nextDaysCount: terms.calendar.nextDaysCount,
    });
    if (metric.trend === null) continue;
    metric.trend.overage = overageOf(metric.trend.projected, metric).overage;
    charges.push({
      metric: metric.metric,
      ...chargeOf(metric.price, metric.trend.overage, terms.currency),
    });
  }
  const costs = applyCap(charges, terms.cap, terms.currency);
  for (const metric of metrics) {
    if (metric.trend !== null) metric.trend.cost = costs.get(metric.metric);
  }
}

function closeOrg(org, data, options, terms) {
  const { calendar, plan } = terms;
  const before = formatPeriod(addMonths(options.period, -1));
  const history = new Map(org.history.filter((row) => row.period === before)
    .map((row) => [row.metric, row]));
  const kindOf = ({ metric, kind }) => {
    const price = plan.prices.get(metric);
    return kind || (price && isLevel(price.aggregation) ? 'set' : 'delta');
  };
  const events = distinctEvents(org.events, kindOf);
  const subscribed = unionOf(org.subscriptions, calendar.start, calendar.end);
  const counted = events.filter(({ at }) => contains(subscribed, at));
  const metrics = [...plan.prices.values()].map((price) => ({
    metric: price.metric,
    price,
    previousQuantity: history.get(price.metric)?.quantity ?? null,
    ...meterMetric({
      price,
      events: events.filter(({ metric }) => metric === price.metric),
      seats: price.metric === 'seats' && data.hasSeatsFile ? org.seats : null,
      closingLevel: history.get(price.metric)?.closingLevel ?? null,
      subscribed,
      calendar,
      cutoff: options.cutoff,
    }),
  }));
  rateMetrics(metrics, terms);
  projectMetrics(metrics, terms);
  const unpriced = quantityByMetric(counted.filter((event) => (
    event.recordedAt <= options.cutoff && !plan.prices.has(event.metric))));
  const hasSeats = unionOf(org.seats, calendar.start, calendar.end).length > 0;
  if (hasSeats && !plan.prices.has('seats')) {
    unpriced.set('seats', BigInt(usersAt(org.seats, calendar.end - 1n).size) * UNIT);
  }
  return {
    org,
    terms,
    metrics: new Map(metrics.map((metric) => [metric.metric, metric])),
    lateQuantities: quantityByMetric(counted.filter((event) => event.recordedAt > options.cutoff)),
    unpricedQuantities: unpriced,
  };
}

// Revision and billed amount of every (org, metric), given the run before (or null).
function reviseOrg(closed, previous) {
  for (const metric of closed.metrics.values()) {
    const old = previous?.metrics.get(metric.metric);
    metric.old = old ?? null;
    metric.previousCost = old ? old.cost : 0n;
    metric.billed = metric.cost - metric.previousCost;
    metric.revision = old?.revision ?? 1n;
    if (old && (old.overage !== metric.overage || old.cost !== metric.cost)) metric.revision += 1n;
    metric.hasRecord = metric.overage > 0n || (old ? old.hasRecord : false);
    metric.status = statusOf(closed.org, metric);
  }
}

function statusOf(org, metric) {
  if (!org.isOverageEnabled) return 'disabled';
  if (metric.billed === 0n) return 'zero';
  return org.status === 'suspended' ? 'held' : 'computed';
}

// Map of org id to { org, terms, metrics, ... } or { org, aside }.
export function closeDataset(data, { period: periodText, cutoff, selected = [], previous = null }) {
  const options = { period: parsePeriod(periodText), cutoff };
  for (const id of selected) {
    if (!data.orgs.has(id)) throw new BadInput(`unknown org '${id}'`);
  }
  const result = new Map();
  for (const org of data.orgs.values()) {
    if (selected.length > 0 && !selected.includes(org.id)) continue;
    const old = previous?.get(org.id) ?? null;
    const { terms, aside } = termsOf(org, data, options, old?.terms ?? null);
    if (aside) {
      result.set(org.id, { org, aside });
      continue;
    }
    const closed = closeOrg(org, data, options, terms);
    reviseOrg(closed, old?.metrics ? old : null);
    result.set(org.id, closed);
  }
  return result;
}

