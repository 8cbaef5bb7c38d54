// What one org used of one metric in its period: the quantity and its daily series.
import { BadInput, UNIT, divideHalfAway } from './decimal.mjs';
import { compareBytes } from './csv.mjs';
import { dayIndex } from './time.mjs';

export const isLevel = (aggregation) => ['last', 'max', 'time_weighted'].includes(aggregation);

// The union of half-open intervals, clipped to [start, end), in order.
export function unionOf(intervals, start, end) {
  const clipped = intervals
    .map(({ from, to }) => ({ from: from > start ? from : start, to: to < end ? to : end }))
    .filter(({ from, to }) => from < to)
    .sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));
  const merged = [];
  for (const interval of clipped) {
    const last = merged[merged.length - 1];
    if (last && interval.from <= last.to) last.to = interval.to > last.to ? interval.to : last.to;
    else merged.push({ ...interval });
  }
  return merged;
}

export const contains = (intervals, instant) => (
  intervals.some(({ from, to }) => from <= instant && instant < to)
);

// Rows that agree are one event, recorded when the earliest of them was; others are bad input.
export function distinctEvents(events, kindOf) {
  const kept = [];
  const byId = new Map();
  for (const event of events) {
    const resolved = { ...event, kind: kindOf(event) };
    const first = event.eventId === '' ? undefined : byId.get(event.eventId);
    if (!first) {
      kept.push(resolved);
      if (event.eventId !== '') byId.set(event.eventId, resolved);
      continue;
    }
    const agrees = ['metric', 'kind', 'quantity', 'at', 'uniqueKey']
      .every((name) => first[name] === resolved[name]);
    if (!agrees) throw new BadInput(`two rows of event '${event.eventId}' disagree`);
    if (resolved.recordedAt < first.recordedAt) first.recordedAt = resolved.recordedAt;
  }
  return kept;
}

const compareBig = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function compareRows(a, b) {
  return compareBig(a.at, b.at)
    || compareBytes(b.kind, a.kind) // "set" before "delta"
    || compareBytes(a.eventId, b.eventId)
    || compareBig(a.quantity, b.quantity)
    || compareBytes(a.uniqueKey, b.uniqueKey);
}

const applyRow = (level, row) => (row.kind === 'set' ? row.quantity : level + row.quantity);

export const applyAll = (level, rows) => [...rows].sort(compareRows).reduce(applyRow, level);

// The level through [start, end) as stretches of one level each. Rows of one instant are all
// applied before the level is read.
function stretchesOfRows(opening, rows, start, end) {
  const stretches = [];
  let level = opening;
  let from = start;
  for (const row of [...rows].sort(compareRows)) {
    if (row.at > from) stretches.push({ from, to: row.at, level });
    from = row.at;
    level = applyRow(level, row);
  }
  stretches.push({ from, to: end, level });
  return stretches;
}

function stretchesOfSeats(seats, start, end) {
  const users = new Map();
  for (const seat of seats) users.set(seat.user, [...(users.get(seat.user) ?? []), seat]);
  const active = [...users.values()].map((intervals) => unionOf(intervals, start, end));
  const instants = new Set([start, end]);
  for (const interval of active.flat()) instants.add(interval.from).add(interval.to);
  const ordered = [...instants].sort(compareBig);
  const stretches = [];
  for (let at = 0; at + 1 < ordered.length; at += 1) {
    const count = active.filter((intervals) => contains(intervals, ordered[at])).length;
    stretches.push({ from: ordered[at], to: ordered[at + 1], level: BigInt(count) * UNIT });
  }
  return stretches;
}

// The parts of the stretches that lie in the intervals, in order.
function clip(stretches, intervals) {
  return intervals.flatMap((interval) => stretches
    .map(({ from, to, level }) => ({
      from: from > interval.from ? from : interval.from,
      to: to < interval.to ? to : interval.to,
      level,
    }))
    .filter(({ from, to }) => from < to));
}

const lastLevel = (parts) => (parts.length === 0 ? 0n : parts[parts.length - 1].level);

function levelQuantity(aggregation, parts, calendar) {
  if (parts.length === 0) return 0n;
  if (aggregation === 'last') return lastLevel(parts);
  if (aggregation === 'max') {
    return parts.reduce((top, { level }) => (level > top ? level : top), parts[0].level);
  }
  const area = parts.reduce((sum, { from, to, level }) => sum + level * (to - from), 0n);
  return divideHalfAway(area, calendar.end - calendar.start);
}

function meterLevel(price, stretches, subscribed, calendar, eventsCount) {
  const parts = clip(stretches, subscribed);
  const daily = [];
  let daysWithData = 0;
  for (let day = 0; day < calendar.daysCount; day += 1) {
    const bounds = { from: calendar.bounds[day], to: calendar.bounds[day + 1] };
    const today = clip(parts, [bounds]);
    if (today.length > 0) daysWithData += 1;
    daily.push(lastLevel(today));
  }
  const net = levelQuantity(price.aggregation, parts, calendar);
  return { net, eventsCount, daily, daysWithData };
}

function meterFlow(price, events, calendar) {
  const daily = new Array(calendar.daysCount).fill(0n);
  const days = new Set();
  const seen = new Set();
  for (const event of [...events].sort(compareRows)) {
    const day = dayIndex(calendar, event.at);
    days.add(day);
    if (price.aggregation === 'sum') daily[day] += event.quantity;
    else if (price.aggregation === 'count') daily[day] += UNIT;
    else if (event.uniqueKey === '') throw new BadInput(`'${price.metric}' needs a unique_key`);
    else if (!seen.has(event.uniqueKey)) {
      seen.add(event.uniqueKey);
      daily[day] += UNIT;
    }
  }
  const net = daily.reduce((sum, quantity) => sum + quantity, 0n);
  return { net, eventsCount: events.length, daily, daysWithData: days.size };
}

// Opening level, and the rows the closing level of the month before had not seen.
function openingOf(rows, closingLevel, start) {
  const before = rows.filter((row) => row.at < start);
  if (closingLevel === null) return { level: applyAll(0n, before), late: [] };
  const late = before.filter((row) => row.recordedAt >= start);
  return { level: applyAll(closingLevel, late), late };
}

// One (org, metric). `events` are the org's distinct events of this metric; `subscribed` lies
// within the period. `late_opening` rows come back for the exceptions report.
export function meterMetric({ price, events, seats, closingLevel, subscribed, calendar, cutoff }) {
  const { start, end } = calendar;
  let metered;
  let lateOpening = [];
  if (seats !== null) {
    metered = meterLevel(price, stretchesOfSeats(seats, start, end), subscribed, calendar, 0);
  } else {
    const known = events.filter((event) => event.recordedAt <= cutoff);
    const inside = known.filter((event) => event.at >= start && event.at < end);
    const counted = inside.filter((event) => contains(subscribed, event.at));
    if (isLevel(price.aggregation)) {
      const opening = openingOf(known, closingLevel, start);
      const stretches = stretchesOfRows(opening.level, inside, start, end);
      metered = meterLevel(price, stretches, subscribed, calendar, counted.length);
      lateOpening = opening.late;
    } else {
      metered = meterFlow(price, counted, calendar);
    }
  }
  return { ...metered, usage: metered.net > 0n ? metered.net : 0n, lateOpening };
}
