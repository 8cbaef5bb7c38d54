// Compares the reports of fixtures/focus with the bill they were made from: list_cost.csv.
//
//   node focus_bill.mjs FIXTURE REPORTS
//
// A key is an (org, metric). AWS keys of one line: exact_cost rounded half away from zero to 10
// places is the bill's own list cost. Others: exact_cost is the exact sum, rounded to 15 places.
// Keys at or below zero have no record; those below are listed as negative.
import fs from 'node:fs';
import path from 'node:path';
import { parseCsv } from '../reference/csv.mjs';

const [fixture, reports] = process.argv.slice(2);

function rowsOf(file) {
  const [header, ...rows] = parseCsv(fs.readFileSync(file, 'utf8'));
  return rows.map((row) => Object.fromEntries(header.map((name, at) => [name, row[at]])));
}

const keyOf = (row) => `${row.org_id} ${row.metric}`;

// A decimal text as a count of 10^-40, so that nothing is lost.
function scaled(text) {
  const [, sign, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  const count = BigInt(whole + fraction.padEnd(40, '0'));
  return sign === '-' ? -count : count;
}

function roundTo(count, places) {
  const step = 10n ** BigInt(40 - places);
  const magnitude = count < 0n ? -count : count;
  const rounded = ((2n * magnitude + step) / (2n * step)) * step;
  return count < 0n ? -rounded : rounded;
}

const exact = new Map(rowsOf(path.join(reports, 'overages.csv'))
  .map((row) => [keyOf(row), row.exact_cost]));
const negative = new Set(rowsOf(path.join(reports, 'exceptions.csv'))
  .filter((row) => row.kind === 'negative').map(keyOf));
const usage = new Map(rowsOf(path.join(reports, 'usage.csv')).map((row) => [keyOf(row), row.usage]));
const count = { single: 0, summed: 0, negative: 0, zero: 0 };
const wrong = [];

for (const row of rowsOf(path.join(fixture, 'list_cost.csv'))) {
  const key = keyOf(row);
  if (!exact.has(key)) {
    const isNegative = negative.has(key);
    const isRight = usage.get(key) === '0' && (isNegative || scaled(row.list_cost) === 0n);
    count[isNegative ? 'negative' : 'zero'] += 1;
    if (!isRight) wrong.push(`${key}: no record, the bill says ${row.list_cost}`);
    continue;
  }
  const isSingle = row.provider === 'AWS' && row.lines === '1';
  count[isSingle ? 'single' : 'summed'] += 1;
  const places = isSingle ? 10 : 15;
  if (roundTo(scaled(exact.get(key)), places) !== roundTo(scaled(row.list_cost), places)) {
    wrong.push(`${key}: exact_cost ${exact.get(key)}, the bill says ${row.list_cost}`);
  }
}
const counted = JSON.stringify(count);
process.stdout.write(`${counted}\n`);
if (counted !== '{"single":158,"summed":61,"negative":7,"zero":4}') {
  wrong.push('not the numbers of keys that the fixture tells');
}
process.stdout.write(wrong.map((line) => `${line}\n`).join(''));
process.exitCode = wrong.length > 0 ? 1 : 0;
