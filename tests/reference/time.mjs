// Instants as BigInt microseconds UTC, and the calendar of a (zone, anchor day).
import { BadInput } from './decimal.mjs';

export const BEFORE_ALL = -(2n ** 63n);
export const AFTER_ALL = 2n ** 63n - 1n;
const SECOND = 1000000n;
const DAY_SECONDS = 86400n;

export function isLeapYear(year) {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

export function daysInMonth(year, month) {
  if (month === 2) return isLeapYear(year) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

// Days from 1970-01-01 to a date, counted on the proleptic Gregorian calendar.
export function daysFromDate(year, month, day) {
  const shifted = BigInt(month <= 2 ? year - 1 : year);
  const monthFromMarch = BigInt((month + 9) % 12);
  const dayOfYear = (153n * monthFromMarch + 2n) / 5n + BigInt(day - 1);
  return 365n * shifted + shifted / 4n - shifted / 100n + shifted / 400n + dayOfYear - 719468n;
}

const INSTANT = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?$/;

export function parseInstant(text, what) {
  const match = INSTANT.exec(text);
  if (!match) throw new BadInput(`${what}: '${text}' is not an instant`);
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((p) => parseInt(p, 10));
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) {
    throw new BadInput(`${what}: '${text}' is not a date`);
  }
  if (hour > 23 || minute > 59 || second > 60) {
    throw new BadInput(`${what}: '${text}' is not a time of day`);
  }
  const fraction = BigInt((match[7] ?? '').slice(0, 6).padEnd(6, '0'));
  const zone = match[8] ?? 'Z';
  let offset = 0;
  if (zone !== 'Z' && zone !== 'z') {
    const minutes = parseInt(zone.slice(1, 3), 10) * 60 + parseInt(zone.slice(4, 6), 10);
    offset = zone[0] === '-' ? -minutes : minutes;
  }
  const seconds = daysFromDate(year, month, day) * DAY_SECONDS
    + BigInt(hour * 3600 + minute * 60 + second - offset * 60);
  if (second === 60) {
    const utc = new Date(Number(seconds) * 1000);
    if (utc.toISOString().slice(8, 19) !== '01T00:00:00') {
      throw new BadInput(`${what}: '${text}' is no leap second`);
    }
  }
  return seconds * SECOND + fraction;
}

export function formatInstant(instant) {
  let fraction = instant % SECOND;
  if (fraction < 0n) fraction += SECOND;
  const seconds = (instant - fraction) / SECOND;
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return `${text}${fraction === 0n ? '' : `.${fraction.toString().padStart(6, '0')}`}Z`;
}

export function nowInstant() {
  return BigInt(Date.now()) * 1000n;
}

const formats = new Map();

function formatOf(zone) {
  if (!formats.has(zone)) {
    try {
      formats.set(zone, new Intl.DateTimeFormat('en-US', {
        timeZone: zone, hourCycle: 'h23', calendar: 'gregory', year: 'numeric', month: 'numeric',
        day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
      }));
    } catch {
      throw new BadInput(`'${zone}' is not a time zone`);
    }
  }
  return formats.get(zone);
}

// What clocks in the zone show at a UTC second, as seconds since 1970-01-01T00:00 on that clock.
function wallSeconds(zone, seconds) {
  const part = {};
  for (const { type, value } of formatOf(zone).formatToParts(new Date(Number(seconds) * 1000))) {
    part[type] = parseInt(value, 10);
  }
  return daysFromDate(part.year, part.month, part.day) * DAY_SECONDS
    + BigInt(part.hour * 3600 + part.minute * 60 + part.second);
}

// The UTC second at which a local date begins: its midnight, the earlier of two, or where the
// midnight is skipped the moment the clock jumps over it. Offsets are looked up around the
// date, five hours apart: no zone ever kept one for less.
function dateBegin(zone, days) {
  const midnight = days * DAY_SECONDS;
  const matches = new Set();
  for (let hour = -50n; hour <= 50n; hour += 5n) {
    const sample = midnight + hour * 3600n;
    const offset = wallSeconds(zone, sample) - sample;
    const candidate = midnight - offset;
    if (wallSeconds(zone, candidate) === midnight) matches.add(candidate);
  }
  if (matches.size > 0) return [...matches].reduce((a, b) => (a < b ? a : b));
  let before = midnight - 180000n;
  let after = midnight + 180000n;
  while (after - before > 1n) {
    const middle = (before + after) / 2n;
    if (wallSeconds(zone, middle) >= midnight) after = middle;
    else before = middle;
  }
  return after;
}

const beginnings = new Map();

function cachedDateBegin(zone, days) {
  const key = `${zone}|${days}`;
  if (!beginnings.has(key)) beginnings.set(key, dateBegin(zone, days) * SECOND);
  return beginnings.get(key);
}

export function parsePeriod(text) {
  const match = /^(\d{4})-(\d\d)$/.exec(text);
  const month = match ? parseInt(match[2], 10) : 0;
  if (month < 1 || month > 12) throw new BadInput(`'${text}' is not a period`);
  return { year: parseInt(match[1], 10), month };
}

export function formatPeriod({ year, month }) {
  return `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}`;
}

export function addMonths({ year, month }, count) {
  const index = year * 12 + (month - 1) + count;
  return { year: Math.floor(index / 12), month: (index % 12) + 1 };
}

function anchorDate(period, anchorDay) {
  return daysFromDate(period.year, period.month,
    Math.min(anchorDay, daysInMonth(period.year, period.month)));
}

// The period that begins in the named month on the anchor day: its bounds, the begin of each of
// its dates (and the end), and how many dates the next one has.
export function calendarOf(zone, anchorDay, name) {
  const first = anchorDate(name, anchorDay);
  const next = anchorDate(addMonths(name, 1), anchorDay);
  const afterNext = anchorDate(addMonths(name, 2), anchorDay);
  const bounds = [];
  for (let day = first; day <= next; day += 1n) bounds.push(cachedDateBegin(zone, day));
  return {
    start: bounds[0],
    end: bounds[bounds.length - 1],
    bounds,
    daysCount: bounds.length - 1,
    nextDaysCount: Number(afterNext - next),
  };
}

// The day an instant of the period falls on.
export function dayIndex(calendar, instant) {
  for (let day = 0; day < calendar.daysCount; day += 1) {
    if (instant >= calendar.bounds[day] && instant < calendar.bounds[day + 1]) return day;
  }
  throw new Error('an instant outside the period has no day');
}
