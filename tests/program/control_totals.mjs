// Fails unless every row of a control_totals.csv on stdin says ok, and is: left - right =
// difference = 0, by its own digits.
import fs from 'node:fs';
import { parseCsv } from '../reference/csv.mjs';
import { parseDecimal } from '../reference/decimal.mjs';

const [header, ...rows] = parseCsv(fs.readFileSync(0, 'utf8'));
if (header.slice(0, 7).join() !== 'stage,name,unit,left,right,difference,ok') {
  throw new Error(`columns are ${header.join()}`);
}
if (rows.length < 5) throw new Error(`only ${rows.length} rows`);
for (const row of rows) {
  const [left, right, difference] = row.slice(3, 6).map((text) => parseDecimal(text, 'a total'));
  if (row[6] !== 'true' || left - right !== difference || difference !== 0n) {
    process.stdout.write(`${row.join()}\n`);
    process.exitCode = 1;
  }
}
