// The report files, from a result that closeDataset made.
import path from 'node:path';
import { formatDecimal, formatFixed, formatRatio } from './decimal.mjs';
import { compareBytes, compareKeys, textField, writeCsv } from './csv.mjs';
import { formatInstant } from './time.mjs';
import { applyAll } from './meter.mjs';

const sorted = (map) => [...map.entries()].sort(([a], [b]) => compareBytes(a, b)).map(([, v]) => v);
const ratedOrgs = (result) => sorted(result).filter(({ aside }) => !aside);
const optional = (value, format = formatDecimal) => (value === null ? '' : format(value));

// [closed, metric] for every price of every rated org, in key order.
const ratedMetrics = (result) => ratedOrgs(result)
  .flatMap((closed) => sorted(closed.metrics).map((metric) => [closed, metric]));

const amountIn = (closed) => (value) => formatFixed(value, closed.terms.currency.decimals);

const OVERAGES = ('org_id,org_name,plan_id,metric,currency,period_start,period_end,usage,limit,'
  + 'overage,model,exact_cost,rounding,uncapped_cost,cap_reduction,cost,previous_cost,billed,'
  + 'revision,status,stripe_invoice_item_id').split(',');

export function writeOverages(dir, result) {
  const rows = ratedMetrics(result).filter(([, metric]) => metric.hasRecord)
    .map(([closed, metric]) => {
      const { org, terms } = closed;
      const amount = amountIn(closed);
      return [
        textField(org.id), textField(org.name), textField(terms.plan.id),
        textField(metric.metric), terms.currency.code,
        formatInstant(terms.calendar.start), formatInstant(terms.calendar.end),
        formatDecimal(metric.usage), formatDecimal(metric.limit), formatDecimal(metric.overage),
        metric.price.model, formatDecimal(metric.exactShown), formatDecimal(metric.rounding),
        amount(metric.uncapped), amount(metric.uncapped - metric.cost), amount(metric.cost),
        amount(metric.previousCost), amount(metric.billed), metric.revision.toString(),
        metric.status, '',
      ];
    });
  writeCsv(path.join(dir, 'overages.csv'), OVERAGES, rows);
}

const USAGE = ('org_id,plan_id,metric,aggregation,usage,included,soft_limit,hard_limit,limit,'
  + 'overage,blocked,utilisation').split(',');

export function writeUsage(dir, result) {
  const rows = ratedMetrics(result).map(([{ org, terms }, metric]) => [
    textField(org.id), textField(terms.plan.id), textField(metric.metric),
    metric.price.aggregation, formatDecimal(metric.usage), formatDecimal(metric.price.included),
    optional(metric.soft), optional(metric.hard), formatDecimal(metric.limit),
    formatDecimal(metric.overage), formatDecimal(metric.blocked),
    metric.limit === 0n ? '' : formatRatio(metric.usage, metric.limit),
  ]);
  writeCsv(path.join(dir, 'usage.csv'), USAGE, rows);
}

const PROJECTIONS = ('org_id,metric,days,slope_per_day,growth_30_days,r_squared,current,projected,'
  + 'projected_overage,projected_cost,currency,previous,change').split(',');

function changeOf({ usage, previousQuantity }) {
  if (previousQuantity === null || previousQuantity === 0n) return '';
  const base = previousQuantity < 0n ? -previousQuantity : previousQuantity;
  return formatRatio(usage - previousQuantity, base);
}

export function writeProjections(dir, result) {
  const rows = ratedMetrics(result).map(([closed, metric]) => {
    const { trend } = metric;
    return [
      textField(closed.org.id), textField(metric.metric), String(metric.daysWithData),
      ...(trend === null ? ['', '', '']
        : [formatDecimal(trend.slope), formatDecimal(trend.growth), optional(trend.rSquared)]),
      formatDecimal(metric.usage),
      ...(trend === null ? ['', '', '']
        : [formatDecimal(trend.projected), formatDecimal(trend.overage),
          amountIn(closed)(trend.cost)]),
      closed.terms.currency.code, optional(metric.previousQuantity), changeOf(metric),
    ];
  });
  writeCsv(path.join(dir, 'projections.csv'), PROJECTIONS, rows);
}

function exceptionsOfClosed(closed) {
  const found = [];
  const add = (metric, kind, reason, value, currency = '', detail = '') => {
    found.push({ id: closed.org.id, metric, kind, reason, detail, value, currency });
  };
  for (const [metric, quantity] of closed.unpricedQuantities) {
    add(metric, 'unpriced', 'no_price', formatDecimal(quantity));
  }
  for (const [metric, quantity] of closed.lateQuantities) {
    add(metric, 'late', 'recorded_after_cutoff', formatDecimal(quantity));
  }
  for (const metric of closed.metrics.values()) {
    const name = metric.metric;
    if (metric.hasRecord && metric.status === 'held') {
      const value = amountIn(closed)(metric.billed);
      add(name, 'held', 'suspended', value, closed.terms.currency.code);
    }
    if (metric.blocked > 0n) add(name, 'blocked', 'hard_limit', formatDecimal(metric.blocked));
    if (metric.net < 0n) add(name, 'negative', 'negative_net', formatDecimal(metric.net));
    if (metric.lateOpening.length > 0) {
      add(name, 'late', 'late_opening', formatDecimal(applyAll(0n, metric.lateOpening)));
    }
  }
  return found;
}

function exceptionsOf(result) {
  const found = [...result.values()].flatMap((closed) => (closed.aside
    ? [{ id: closed.org.id, metric: '', value: '', currency: '', ...closed.aside }]
    : exceptionsOfClosed(closed)));
  const key = ({ id, metric, kind, reason }) => [id, metric, kind, reason];
  return found.sort((a, b) => compareKeys(key(a), key(b)));
}

const EXCEPTIONS = 'org_id,metric,kind,reason,detail,value,currency'.split(',');

// Writes exceptions.csv; true when orgs were set aside or items held.
export function writeExceptions(dir, result) {
  const exceptions = exceptionsOf(result);
  const rows = exceptions.map(({ id, metric, kind, reason, detail, value, currency }) => [
    textField(id), textField(metric), kind, reason, textField(detail), value, currency,
  ]);
  writeCsv(path.join(dir, 'exceptions.csv'), EXCEPTIONS, rows);
  return exceptions.some(({ kind }) => kind === 'set_aside' || kind === 'held');
}

const ADJUSTMENTS = ('org_id,metric,late_events,late_quantity,old_usage,new_usage,old_cost,'
  + 'new_cost,difference,currency,reason').split(',');

export function writeAdjustments(dir, result, reason) {
  const rows = ratedMetrics(result)
    .filter(([, { old, usage, eventsCount, cost }]) => old
      && (old.usage !== usage || old.eventsCount !== eventsCount || old.cost !== cost))
    .map(([closed, metric]) => {
      const { old } = metric;
      const amount = amountIn(closed);
      return [
        textField(closed.org.id), textField(metric.metric),
        String(metric.eventsCount - old.eventsCount), formatDecimal(metric.net - old.net),
        formatDecimal(old.usage), formatDecimal(metric.usage), amount(old.cost),
        amount(metric.cost), amount(metric.cost - old.cost), closed.terms.currency.code,
        textField(reason),
      ];
    });
  writeCsv(path.join(dir, 'adjustments.csv'), ADJUSTMENTS, rows);
}
