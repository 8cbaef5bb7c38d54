// Writes a dataset again, saying the same in other words: rows, columns and quotes at random,
// usage cut into several files, LF or CRLF.
//
//   node rewrite_dataset.mjs FROM TO SEED lf|crlf
import fs from 'node:fs';
import path from 'node:path';
import { parseCsv } from '../reference/csv.mjs';
import { randomOf } from '../reference/random.mjs';

const [from, to, seed, ending] = process.argv.slice(2);
const random = randomOf(parseInt(seed, 10));
const newline = { lf: '\n', crlf: '\r\n' }[ending];

function spell(field) {
  const mustQuote = /[",\r\n]|^[ \t]|[ \t]$/.test(field);
  return mustQuote || (field !== '' && random.oneIn(5)) ? `"${field.replaceAll('"', '""')}"` : field;
}

function write(name, header, rows) {
  const order = random.shuffle(header.map((column, index) => index));
  const lines = [header, ...random.shuffle(rows)]
    .map((row) => order.map((place) => spell(row[place])).join(','));
  const isEnded = random.oneIn(2);
  fs.writeFileSync(path.join(to, name), lines.join(newline) + (isEnded ? newline : ''));
}

fs.mkdirSync(to, { recursive: true });
for (const name of fs.readdirSync(from).filter((file) => file.endsWith('.csv')).sort()) {
  const text = fs.readFileSync(path.join(from, name), 'utf8').replace(/^\uFEFF/, '');
  const [header, ...rows] = parseCsv(text);
  if (/^usage.*\.csv$/.test(name) && name !== 'usage_history.csv' && random.oneIn(2)) {
    const shuffled = random.shuffle(rows);
    const part = random.below(rows.length + 1);
    write(name, header, shuffled.slice(0, part));
    write(name.replace('.csv', '_part.csv'), header, shuffled.slice(part));
  } else {
    write(name, header, rows);
  }
}
