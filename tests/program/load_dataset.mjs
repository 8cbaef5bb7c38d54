// Writes a psql script that loads a dataset folder into the tables, without the program: one way in
// that ours can be compared with. node load_dataset.mjs FOLDER | psql -v ON_ERROR_STOP=1
import fs from 'node:fs';
import path from 'node:path';
import { parseCsv } from '../reference/csv.mjs';

const folder = process.argv[2];
const LEVELS = new Set(['last', 'max', 'time_weighted']);

function readRows(name) {
  const file = path.join(folder, name);
  if (!fs.existsSync(file)) return [];
  const [header, ...rows] = parseCsv(fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, ''));
  return rows.map((fields) => Object.fromEntries(header.map((column, at) => [column, fields[at]])));
}

const quote = (text) => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/\t/g, '\\t')
  .replace(/\r/g, '\\r');
const field = (text) => (text === undefined || text === null || text === '' ? '\\N' : quote(text));

function copy(table, columns, rows) {
  console.log(`copy billing.${table} (${columns.join(', ')}) from stdin;`);
  rows.forEach((row) => console.log(columns.map((column) => field(row[column])).join('\t')));
  console.log('\\.');
}

const withDefaults = (rows, defaults) => rows.map((row) => {
  const kept = Object.entries(row).filter(([, value]) => value !== '');
  return { ...defaults, ...Object.fromEntries(kept) };
});

// Finer fractions than microseconds are cut off, as the program does; the server would round them.
const instant = (text) => {
  if (!text) return text;
  const cut = text.replace(/(\.\d{6})\d+/, '$1');
  return /[zZ]|[+-]\d\d:?\d\d$/.test(cut) ? cut : `${cut}Z`;
};
const orgs = withDefaults(readRows('orgs.csv'), {
  status: 'active', currency: 'usd', timezone: 'UTC', anchor_day: '1', overage_enabled: 'true',
  stripe_item_mode: 'amount',
});
orgs.forEach((org) => { org.currency = org.currency.toLowerCase(); });
const plans = withDefaults(readRows('plans.csv'), { currency: 'usd' });
const prices = withDefaults(readRows('prices.csv'), { model: 'per_unit', included: '0' });
prices.forEach((price) => { price.aggregation ??= price.metric === 'seats' ? 'last' : 'sum'; });
const subscriptions = readRows('subscriptions.csv');

const plansOf = new Map();
subscriptions.forEach(({ org_id: org, plan_id: plan }) => {
  plansOf.set(org, [...(plansOf.get(org) ?? []), plan]);
});
const isLevel = (org, metric) => prices.some((price) => price.metric === metric
  && (plansOf.get(org) ?? []).includes(price.plan_id) && LEVELS.has(price.aggregation));

function readUsage() {
  const files = fs.readdirSync(folder).filter((name) => /^usage.*\.csv$/.test(name)
    && name !== 'usage_history.csv');
  const seen = new Map();
  const rows = [];
  files.sort().flatMap(readRows).forEach((row) => {
    const event = {
      ...row,
      kind: row.kind || (isLevel(row.org_id, row.metric) ? 'set' : 'delta'),
      occurred_at: instant(row.occurred_at),
      recorded_at: instant(row.recorded_at),
    };
    const key = row.event_id ? JSON.stringify([row.org_id, row.event_id]) : null;
    const first = key && seen.get(key);
    if (!first) {
      rows.push(event);
      if (key) seen.set(key, event);
    } else if (!event.recorded_at || (first.recorded_at
      && Date.parse(event.recorded_at) < Date.parse(first.recorded_at))) {
      first.recorded_at = event.recorded_at;
    }
  });
  return rows;
}

console.log('begin; set local timezone to \'UTC\';');
copy('orgs', ['org_id', 'name', 'status', 'currency', 'timezone', 'anchor_day', 'overage_enabled',
  'overage_cap', 'stripe_customer_id', 'stripe_subscription_id', 'stripe_item_mode',
  'dodo_customer_id'], orgs);
copy('plans', ['plan_id', 'name', 'currency'], plans);
copy('prices', ['plan_id', 'metric', 'aggregation', 'model', 'included', 'hard_limit', 'unit_price',
  'package_size', 'unit'], prices);
copy('price_tiers', ['plan_id', 'metric', 'up_to', 'unit_price', 'flat_price'],
  withDefaults(readRows('tiers.csv'), { flat_price: '0' }));
copy('subscriptions', ['org_id', 'plan_id', 'starts_at', 'ends_at'], subscriptions);
copy('org_limits', ['org_id', 'metric', 'soft_limit', 'hard_limit'], readRows('limits.csv'));
const usage = readUsage();
const months = new Set(usage.map((row) => new Date(row.occurred_at).toISOString().slice(0, 7)));
months.forEach((month) => {
  console.log(`select billing.ensure_ledger_partition('${month}-01T00:00:00Z');`);
});
copy('usage_ledger', ['org_id', 'metric', 'quantity', 'occurred_at', 'event_id', 'kind',
  'unique_key', 'recorded_at'], usage);
const seats = readRows('seats.csv').map((seat, at) => ({ ...seat, seat_id: String(at + 1) }));
copy('seat_events', ['org_id', 'seat_id', 'kind', 'user_id', 'role', 'occurred_at'],
  seats.flatMap((seat) => [
    { ...seat, kind: 'assigned', occurred_at: instant(seat.assigned_at) },
    ...(seat.revoked_at ? [{ ...seat, role: '', kind: 'revoked', occurred_at: instant(seat.revoked_at) }] : []),
  ]));
copy('seat_invitations', ['invitation_id', 'org_id', 'email', 'role', 'status', 'created_at',
  'expires_at', 'accepted_at'], readRows('invitations.csv'));
copy('org_billing_usage_monthly', ['org_id', 'metric', 'period', 'usage', 'closing_level', 'overage',
  'cost', 'currency', 'projected', 'projected_cost'], readRows('usage_history.csv')
  .map((row) => ({ ...row, usage: row.quantity, period: `${row.period}-01` })));
console.log('commit;');
