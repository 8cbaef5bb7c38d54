// Prints a CSV of stdin without one column: the columns left are comma-separated JSON texts.
//
//   node drop_column.mjs COLUMN <FILE
import fs from 'node:fs';
import { parseCsv } from '../reference/csv.mjs';

const rows = parseCsv(fs.readFileSync(0, 'utf8'));
const place = rows[0].indexOf(process.argv[2]);
if (place < 0) throw new Error(`no column '${process.argv[2]}'`);
for (const row of rows) {
  const kept = row.filter((field, index) => index !== place);
  process.stdout.write(`${kept.map((field) => JSON.stringify(field)).join(',')}\n`);
}
