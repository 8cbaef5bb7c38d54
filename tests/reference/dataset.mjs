// Reads a dataset folder into plain objects: texts as texts, numbers as BigInt.
import fs from 'node:fs';
import path from 'node:path';
import { BadInput, parseDecimal } from './decimal.mjs';
import { readTable } from './csv.mjs';
import { AFTER_ALL, BEFORE_ALL, parseInstant, parsePeriod } from './time.mjs';

const columns = (text) => text.split(' ').map((word) => ({
  name: word.replace('*', ''),
  required: word.endsWith('*'),
}));

const COLUMNS = {
  orgs: columns('org_id* name status currency timezone anchor_day overage_enabled overage_cap'),
  plans: columns('plan_id* name currency'),
  prices: columns(
    'plan_id* metric* aggregation model included hard_limit unit_price package_size unit',
  ),
  tiers: columns('plan_id* metric* up_to unit_price* flat_price'),
  subscriptions: columns('org_id* plan_id* starts_at ends_at'),
  limits: columns('org_id* metric* soft_limit hard_limit'),
  usage: columns('org_id* metric* quantity* occurred_at* event_id kind unique_key recorded_at'),
  seats: columns('org_id* user_id* role assigned_at* revoked_at'),
  history: columns('org_id* metric* period* quantity* closing_level'),
};

const decimalOr = (text, other, what) => (text === '' ? other : parseDecimal(text, what));
const instantOr = (text, other, what) => (text === '' ? other : parseInstant(text, what));

function unique(map, key, value, what) {
  if (map.has(key)) throw new BadInput(`${what}: '${key}' is given twice`);
  map.set(key, value);
}

function loadOrgs(read, data) {
  for (const row of read('orgs')) {
    unique(data.orgs, row.org_id, {
      id: row.org_id,
      name: row.name,
      status: row.status || 'active',
      currency: (row.currency || 'usd').toLowerCase(),
      zone: row.timezone || 'UTC',
      anchorDay: parseInt(row.anchor_day || '1', 10),
      isOverageEnabled: (row.overage_enabled || 'true') === 'true',
      cap: decimalOr(row.overage_cap, null, 'overage_cap'),
      subscriptions: [],
      events: [],
      seats: [],
      history: [],
      limits: new Map(),
    }, 'orgs.csv');
  }
}

function loadPlans(read, data) {
  for (const row of read('plans')) {
    unique(data.plans, row.plan_id, {
      id: row.plan_id,
      currency: (row.currency || 'usd').toLowerCase(),
      prices: new Map(),
    }, 'plans.csv');
  }
  for (const row of read('prices')) {
    const plan = data.plans.get(row.plan_id);
    if (!plan) throw new BadInput(`prices.csv: unknown plan '${row.plan_id}'`);
    unique(plan.prices, row.metric, {
      metric: row.metric,
      aggregation: row.aggregation || (row.metric === 'seats' ? 'last' : 'sum'),
      model: row.model || 'per_unit',
      included: decimalOr(row.included, 0n, 'included'),
      hardLimit: decimalOr(row.hard_limit, null, 'hard_limit'),
      unitPrice: decimalOr(row.unit_price, null, 'unit_price'),
      packageSize: decimalOr(row.package_size, null, 'package_size'),
      tiers: [],
    }, 'prices.csv');
  }
  for (const row of read('tiers')) {
    const price = data.plans.get(row.plan_id)?.prices.get(row.metric);
    if (!price) throw new BadInput(`tiers.csv: no price for '${row.plan_id}', '${row.metric}'`);
    price.tiers.push({
      upTo: decimalOr(row.up_to, null, 'up_to'),
      unitPrice: parseDecimal(row.unit_price, 'unit_price'),
      flatPrice: decimalOr(row.flat_price, 0n, 'flat_price'),
    });
  }
  for (const plan of data.plans.values()) {
    for (const price of plan.prices.values()) sortTiers(price);
  }
}

function sortTiers(price) {
  price.tiers.sort((a, b) => {
    if (a.upTo === null) return 1;
    if (b.upTo === null) return -1;
    return a.upTo < b.upTo ? -1 : 1;
  });
  const last = price.tiers[price.tiers.length - 1];
  if (['graduated', 'volume'].includes(price.model) && (!last || last.upTo !== null)) {
    throw new BadInput(`the tiers of '${price.metric}' do not end open`);
  }
}

function loadEvents(read, data, orgOf) {
  for (const row of read('usage')) {
    orgOf(row, 'usage.csv').events.push({
      metric: row.metric,
      quantity: parseDecimal(row.quantity, 'quantity'),
      at: parseInstant(row.occurred_at, 'occurred_at'),
      eventId: row.event_id,
      kind: row.kind,
      uniqueKey: row.unique_key,
      recordedAt: instantOr(row.recorded_at, BEFORE_ALL, 'recorded_at'),
    });
  }
}

function loadOrgFacts(read, data, orgOf) {
  for (const row of read('subscriptions')) {
    if (!data.plans.has(row.plan_id)) {
      throw new BadInput(`subscriptions.csv: unknown plan '${row.plan_id}'`);
    }
    orgOf(row, 'subscriptions.csv').subscriptions.push({
      planId: row.plan_id,
      from: instantOr(row.starts_at, BEFORE_ALL, 'starts_at'),
      to: instantOr(row.ends_at, AFTER_ALL, 'ends_at'),
    });
  }
  for (const row of read('limits')) {
    unique(orgOf(row, 'limits.csv').limits, row.metric, {
      soft: decimalOr(row.soft_limit, null, 'soft_limit'),
      hard: decimalOr(row.hard_limit, null, 'hard_limit'),
    }, 'limits.csv');
  }
  for (const row of read('seats')) {
    orgOf(row, 'seats.csv').seats.push({
      user: row.user_id,
      from: parseInstant(row.assigned_at, 'assigned_at'),
      to: instantOr(row.revoked_at, AFTER_ALL, 'revoked_at'),
    });
  }
  for (const row of read('history')) {
    parsePeriod(row.period);
    orgOf(row, 'usage_history.csv').history.push({
      metric: row.metric,
      period: row.period,
      quantity: parseDecimal(row.quantity, 'quantity'),
      closingLevel: decimalOr(row.closing_level, null, 'closing_level'),
    });
  }
}

function filesOf(dir, table) {
  if (table === 'usage') {
    return fs.readdirSync(dir).sort()
      .filter((name) => /^usage.*\.csv$/.test(name) && name !== 'usage_history.csv');
  }
  const name = table === 'history' ? 'usage_history.csv' : `${table}.csv`;
  const isNeeded = ['orgs', 'plans', 'prices', 'subscriptions'].includes(table);
  return isNeeded || fs.existsSync(path.join(dir, name)) ? [name] : [];
}

export function loadDataset(dir) {
  const data = { orgs: new Map(), plans: new Map(), hasSeatsFile: false };
  const read = (table) => filesOf(dir, table)
    .flatMap((name) => readTable(path.join(dir, name), COLUMNS[table]));
  const orgOf = (row, file) => {
    const org = data.orgs.get(row.org_id);
    if (!org) throw new BadInput(`${file}: unknown org '${row.org_id}'`);
    return org;
  };
  data.hasSeatsFile = filesOf(dir, 'seats').length > 0;
  loadOrgs(read, data);
  loadPlans(read, data);
  loadEvents(read, data, orgOf);
  loadOrgFacts(read, data, orgOf);
  return data;
}
