// Random usage rows: on and beside the bounds of days and periods, ties, duplicates, late ones.
import { METRICS } from './generate_plans.mjs';
import { formatInstant } from './time.mjs';

const DAY = 86400000000n;
const SMALL = ['0', '1', '1', '2', '3', '10', '0.5', '0.000000000000001', '1.5', '99.99', '-1',
  '-2.5', '+4', '.25', '7.'];
const HUGE = ['100000000000000000000', '99999999999999999999.999999999999999', '1', '-1',
  '12345678901234567890.123456789012345', '-50000000000000000000'];

// The same instant in one of the ways the dataset allows to write it.
function spell(random, instant) {
  const text = formatInstant(instant);
  const pieces = /^(.{10})T(.{8})(\.\d+)?Z$/.exec(text);
  const [date, time, fraction] = [pieces[1], pieces[2], pieces[3] ?? ''];
  switch (random.below(5)) {
    case 0: return `${date} ${time}${fraction}`;
    case 1: return `${date}T${time}${fraction || '.000000'}${random.digits(3)}Z`;
    case 2: {
      const shifted = formatInstant(instant + 20700000000n); // 5:45 later on the clock
      return shifted.replace('Z', '+05:45');
    }
    case 3: return formatInstant(instant - 10800000000n).replace('Z', '-03:00');
    default: return text;
  }
}

function instantFor(random, { start, end, bounds }) {
  const bound = random.pick(bounds);
  return random.pick([
    start, start - 1n, end - 1n, end, bound, bound - 1n, bound + 1n,
    start - random.instant(0n, 40n * DAY), end + random.instant(0n, 9n * DAY),
    random.instant(start, end), random.instant(start, end), random.instant(start, end),
    random.instant(start, end), random.instant(start, end), random.instant(start, end),
  ]);
}

function recordedFor(random, at, start, cutoff) {
  const late = at < start ? start + random.instant(0n, DAY) : at;
  return random.pick(['', '', formatInstant(at), formatInstant(late), formatInstant(start),
    formatInstant(start - 1n), formatInstant(cutoff), formatInstant(cutoff + 1n),
    formatInstant(at + 5n * DAY)]);
}

function quantityFor(random, metric) {
  if (metric.isBig) return random.pick(HUGE);
  if (random.oneIn(4)) return `${random.below(5000)}.${random.digits(random.between(1, 15))}`;
  return random.pick(SMALL);
}

function kindFor(random, metric) {
  if (metric.family === 'level') return random.pick(['', 'set', 'delta', 'delta']);
  return random.pick(['', 'delta']);
}

// A second row of an event: the same facts, written and recorded another way.
function repeat(random, row, recordedAt) {
  const isPlain = /^-?\d+\.\d{1,12}$/.test(row.quantity);
  return {
    ...row,
    quantity: isPlain && random.oneIn(2) ? `${row.quantity}00` : row.quantity,
    recorded_at: recordedAt,
  };
}

function usageOf(random, org, calendar, cutoff, metrics, prefix) {
  const rows = [];
  const count = random.below(random.oneIn(4) ? 60 : 25);
  let tied = instantFor(random, calendar);
  for (let index = 0; index < count; index += 1) {
    const metric = random.pick(metrics);
    if (!random.oneIn(4)) tied = instantFor(random, calendar);
    const row = {
      org_id: org.org_id,
      metric: metric.name,
      quantity: quantityFor(random, metric),
      occurred_at: spell(random, tied),
      event_id: random.oneIn(5) ? '' : `${prefix}e${random.digits(2)}-${index}`,
      kind: kindFor(random, metric),
      unique_key: metric.family === 'unique' || random.oneIn(4) ? `key-${random.below(9)}` : '',
      recorded_at: recordedFor(random, tied, calendar.start, cutoff),
    };
    rows.push(row);
    while (row.event_id !== '' && random.oneIn(8)) {
      rows.push(repeat(random, row, recordedFor(random, tied, calendar.start, cutoff)));
    }
  }
  return rows;
}

export function makeUsage(random, orgs, calendars, cutoff, hasSeats, prefix = '') {
  return orgs.flatMap((org) => {
    const metrics = METRICS.filter(({ name }) => !(hasSeats && name === 'seats'))
      .filter(() => !random.oneIn(3));
    if (metrics.length === 0) return [];
    return usageOf(random, org, calendars.get(org.org_id), cutoff, metrics, prefix);
  });
}
