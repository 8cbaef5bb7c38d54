// Writes a small random dataset without bad input, one that leans on the rules' edges.
//
//   node generate.mjs SEED DIR [--corrected]
//
// DIR gets the dataset and args.txt (one word a line: --period P --cutoff T --now T). With
// --corrected the same orgs come with usage taken away, added and changed, and with other prices,
// limits, caps and anchors, which a revision of the first close must not take for its orgs.
import fs from 'node:fs';
import path from 'node:path';
import { compareBytes, writeRawCsv } from './csv.mjs';
import { randomOf } from './random.mjs';
import { addMonths, calendarOf, formatInstant, formatPeriod, parsePeriod } from './time.mjs';
import { makePlans, METRICS } from './generate_plans.mjs';
import { makeUsage } from './generate_usage.mjs';

const ZONES = ['UTC', '', 'America/Havana', 'Atlantic/Azores', 'America/Halifax', 'Europe/Berlin',
  'Asia/Kathmandu', 'America/New_York', 'Asia/Tokyo', 'Pacific/Apia'];
// Not with December 2011 in the period or the next one: Apia skipped a date in it.
const PERIODS = ['2024-02', '2024-01', '2024-03', '2024-10', '2023-11', '2025-03', '2025-12',
  '2011-09', '2023-02', '2024-09'];
const NAMES = ['Plain', 'Comma, Inc.', 'The "Quoted" Co', 'Two\nlines', 'Return\r\nline',
  '=SUM(A1:A9)', '+1 Ltd', '-minus', '@home', '', 'Größe & Söhne', '日本の会社', '\ttabbed',
  '=a,"b"', "'quoted already"];
const ID_TAILS = ['', '', '', '', '-ü', '-\uFF5E', '-\u{1F600}', ',comma', '"quote', ' space'];
const DAY = 86400000000n;

const maybe = (random, count, text) => (random.oneIn(count) ? text : '');

function capOf(random, currency) {
  if (!random.oneIn(3)) return '';
  const whole = String(random.pick([0, 1, 7, 25, 100, random.below(2000)]));
  if (currency === 'jpy' || currency === 'isk') return whole;
  return random.pick([whole, `${whole}.${random.digits(2)}`, `${whole}.50`]);
}

function makeOrgs(random) {
  const count = random.pick([1, 2, 5, 12, 20, 30]);
  return Array.from({ length: count }, (unused, index) => {
    const currency = random.pick(['usd', 'usd', 'jpy', 'kwd', 'isk', 'eur']);
    const prefix = random.oneIn(12) ? '=' : '';
    return {
      org_id: `${prefix}org${String(index).padStart(2, '0')}${random.pick(ID_TAILS)}`,
      name: random.pick(NAMES),
      status: random.pick(['', 'active', 'active', 'suspended', 'cancelled']),
      currency: currency === 'usd' ? random.pick(['', 'usd', 'USD']) : currency,
      timezone: random.pick(ZONES),
      anchor_day: random.pick(['', '1', '2', '15', '28', '29', '30', '31',
        String(random.between(1, 31))]),
      overage_enabled: random.pick(['', 'true', 'true', 'true', 'false']),
      overage_cap: capOf(random, currency),
    };
  });
}

const currencyCode = (row) => (row.currency || 'usd').toLowerCase();
const text = (instant) => formatInstant(instant);

// Subscriptions as lists of [plan, from, to]; undefined stands for "not given".
function subscriptionShapes(random, { start, end }, plans, otherCurrency) {
  const [a, b] = [random.pick(plans), random.pick(plans)];
  const inside = () => random.instant(start + 1n, end);
  const [early, late] = [inside(), inside()].sort((x, y) => (x < y ? -1 : 1));
  return random.pick([
    [[a]], [[a]], [[a]], [[a]],
    [[a, start, end]],
    [[a, start - 9n * DAY, early]],
    [[a, early]],
    [[a, early, late]],
    [[a, undefined, early], [b, early]],
    [[a, undefined, early], [b, late]],
    [[a, start - DAY, late], [b, early - 1n, undefined]],
    [[a, start, early], [b, start - DAY, late]],
    [[a, start, late], [b, start - DAY, late]],
    [[a], [b, early]],
    [[a, undefined, start], [b, end, undefined]],
    [[a, undefined, end - 1n]],
    [[a, start - 90n * DAY, start - 45n * DAY], [b, start]],
    [[a, undefined, start - 20n * DAY], [b, early]],
    [[a, undefined, start - 31n * DAY], [b, start - DAY]],
    [[a, undefined, end - 1n], [b, end - 1n, end]],
    [[a, start, start], [b, start - 1n, start + 1n]],
    [],
    [[otherCurrency]],
  ]);
}

function makeSubscriptions(random, orgs, plans, calendars) {
  return orgs.flatMap((org) => {
    const same = plans.filter((plan) => currencyCode(plan) === currencyCode(org));
    const other = plans.find((plan) => currencyCode(plan) !== currencyCode(org)) ?? same[0];
    return subscriptionShapes(random, calendars.get(org.org_id), same, other)
      .map(([plan, from, to]) => ({
        org_id: org.org_id,
        plan_id: plan.plan_id,
        starts_at: from === undefined ? '' : text(from),
        ends_at: to === undefined ? '' : text(to),
      }));
  });
}

function makeLimits(random, orgs) {
  return orgs.flatMap((org) => METRICS.filter(() => random.oneIn(5)).map((metric) => ({
    org_id: org.org_id,
    metric: metric.name,
    soft_limit: maybe(random, 2, random.pick(['0', '3', '10.5', '100', '1000'])),
    hard_limit: maybe(random, 3, random.pick(['0', '4', '50', '5000.000000000000001'])),
  })));
}

function makeSeats(random, orgs, calendars) {
  return orgs.flatMap((org) => {
    const { start, end } = calendars.get(org.org_id);
    const instants = () => random.pick([start, end, start - 1n, end - 1n, start - 5n * DAY,
      random.instant(start, end), random.instant(start, end), random.instant(start, end)]);
    return Array.from({ length: random.below(12) }, () => {
      const [from, to] = [instants(), instants()].sort((x, y) => (x < y ? -1 : 1));
      return {
        org_id: org.org_id,
        user_id: `user-${random.below(6)}`,
        role: random.pick(['', 'member', 'admin']),
        assigned_at: text(from),
        revoked_at: random.oneIn(3) ? '' : text(to),
      };
    });
  });
}

function makeHistory(random, orgs, period) {
  const month = (count) => formatPeriod(addMonths(period, count));
  return orgs.filter(() => random.oneIn(3)).flatMap((org) => {
    const latest = random.pick([-1, -1, -1, -1, -1, -1, -2, -3, 0, 1]);
    return METRICS.filter(() => random.oneIn(2)).map((metric) => ({
      org_id: org.org_id,
      metric: metric.name,
      period: month(latest),
      quantity: random.pick(['0', '3', '120', '0.5', '77.000000000000001']),
      closing_level: metric.family === 'level' && !random.oneIn(3)
        ? random.pick(['0', '5', '17.25', '1000']) : '',
    }));
  });
}

function makeInvitations(random, orgs, calendars) {
  return orgs.filter(() => random.oneIn(4)).map((org, index) => ({
    invitation_id: `invitation-${index}`,
    org_id: org.org_id,
    email: `someone+${index}@example.com`,
    role: 'member',
    status: random.pick(['', 'pending', 'accepted']),
    created_at: text(calendars.get(org.org_id).start),
  }));
}

// Writes rows (objects) with their columns, and the rows themselves, in random order.
function writeTable(random, dir, name, columns, rows) {
  const shuffled = random.shuffle(columns.split(' '));
  writeRawCsv(path.join(dir, name), shuffled,
    random.shuffle(rows).map((row) => shuffled.map((column) => row[column] ?? '')));
}

const calendarsOf = (orgs, period) => new Map(orgs.map((org) => [org.org_id,
  calendarOf(org.timezone || 'UTC', parseInt(org.anchor_day || '1', 10), period)]));

// What a correction changes besides usage: all of it is sealed for orgs rated before.
function changeTerms(random, tables) {
  for (const org of tables.orgs) {
    if (random.oneIn(4)) org.overage_cap = '';
    if (random.oneIn(6)) org.status = random.pick(['active', 'suspended']);
  }
  for (const price of tables.prices) {
    if (price.unit_price !== '' && random.oneIn(2)) price.unit_price = '0.37';
    if (random.oneIn(3)) price.included = '2';
  }
  tables.limits = tables.limits.filter(() => !random.oneIn(3));
}

function makeTables(random, period, cutoffDelay) {
  const tables = { orgs: makeOrgs(random) };
  const calendars = calendarsOf(tables.orgs, period);
  const ends = [...calendars.values()].map(({ end }) => end).sort((a, b) => (a < b ? -1 : 1));
  const lastEnd = ends[ends.length - 1];
  const cutoff = cutoffDelay === null ? lastEnd - 1n : lastEnd + cutoffDelay;
  const currencies = ['usd', 'jpy', 'kwd', 'isk', 'eur'];
  const hasSeats = random.oneIn(2);
  Object.assign(tables, makePlans(random, currencies));
  tables.subscriptions = makeSubscriptions(random, tables.orgs, tables.plans, calendars);
  tables.limits = makeLimits(random, tables.orgs);
  tables.seats = hasSeats ? makeSeats(random, tables.orgs, calendars) : null;
  tables.history = makeHistory(random, tables.orgs, period);
  tables.invitations = makeInvitations(random, tables.orgs, calendars);
  tables.usage = makeUsage(random, tables.orgs, calendars, cutoff, hasSeats);
  return { tables, cutoff, calendars, hasSeats };
}

function correctUsage(random, made, cutoff) {
  const { tables, calendars, hasSeats } = made;
  const dropped = new Set(tables.usage.filter(() => random.oneIn(6)).map((row) => row.event_id));
  const emptied = tables.orgs.filter(() => random.oneIn(5)).map((org) => org.org_id);
  const kept = tables.usage.filter((row) => !dropped.has(row.event_id) || row.event_id === '')
    .filter((row) => !emptied.includes(row.org_id));
  const added = makeUsage(random, tables.orgs.filter(() => random.oneIn(3)), calendars, cutoff,
    hasSeats, 'late-');
  tables.usage = [...kept, ...added];
}

function writeDataset(random, dir, tables) {
  const write = (...args) => writeTable(random, dir, ...args);
  write('orgs.csv', 'org_id name status currency timezone anchor_day overage_enabled overage_cap',
    tables.orgs);
  write('plans.csv', 'plan_id name currency', tables.plans);
  write('prices.csv', 'plan_id metric aggregation model included hard_limit unit_price '
    + 'package_size unit', tables.prices);
  write('tiers.csv', 'plan_id metric up_to unit_price flat_price', tables.tiers);
  write('subscriptions.csv', 'org_id plan_id starts_at ends_at', tables.subscriptions);
  write('limits.csv', 'org_id metric soft_limit hard_limit', tables.limits);
  write('usage_history.csv', 'org_id metric period quantity closing_level', tables.history);
  write('invitations.csv', 'invitation_id org_id email role status created_at', tables.invitations);
  if (tables.seats) {
    write('seats.csv', 'org_id user_id role assigned_at revoked_at', tables.seats);
  }
  const columns = 'org_id metric quantity occurred_at event_id kind unique_key recorded_at';
  const part = random.oneIn(3) ? random.below(tables.usage.length + 1) : tables.usage.length;
  write('usage.csv', columns, tables.usage.slice(0, part));
  if (part < tables.usage.length) write('usage_late.csv', columns, tables.usage.slice(part));
}

function main([seedText, dir, flag]) {
  if (!/^\d+$/.test(seedText ?? '') || !dir || (flag && flag !== '--corrected')) {
    process.stderr.write('generate.mjs: give a seed and a folder, and --corrected or nothing\n');
    return 2;
  }
  const seed = parseInt(seedText, 10);
  const random = randomOf(seed * 2 + 1);
  const period = parsePeriod(PERIODS[seed % PERIODS.length]);
  const delay = random.pick([0n, 1n, DAY, 3n * DAY, 40n * DAY, 40n * DAY, null]);
  const made = makeTables(random, period, delay);
  let { cutoff } = made;
  const change = randomOf(seed * 2 + 2);
  if (flag) {
    cutoff += change.pick([0n, 2n * DAY, 60n * DAY]);
    correctUsage(change, made, cutoff);
    changeTerms(change, made.tables);
  }
  made.tables.usage.sort((a, b) => compareBytes(a.event_id, b.event_id));
  fs.mkdirSync(dir, { recursive: true });
  writeDataset(change, dir, made.tables);
  fs.writeFileSync(path.join(dir, 'args.txt'), ['--period', formatPeriod(period), '--cutoff',
    text(cutoff), '--now', text(cutoff + DAY), ''].join('\n'));
  return 0;
}

process.exitCode = main(process.argv.slice(2));
