// CSV: a reader that walks the text one character at a time, and a writer.
import fs from 'node:fs';
import { BadInput } from './decimal.mjs';

// Rows of fields; blank lines are skipped, unquoted fields lose the spaces and tabs around them.
export function parseCsv(text) {
  const rows = [];
  let row = [];
  let field = '';
  let wasQuoted = false;
  let inQuotes = false;
  const endField = () => {
    row.push(wasQuoted ? field : field.replace(/^[ \t]+|[ \t]+$/g, ''));
    field = '';
    wasQuoted = false;
  };
  const endRow = () => {
    if (row.length === 0 && !wasQuoted && field.trim() === '') {
      field = '';
      return;
    }
    endField();
    rows.push(row);
    row = [];
  };
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (inQuotes) {
      if (character !== '"') field += character;
      else if (text[at + 1] === '"') {
        field += '"';
        at += 1;
      } else inQuotes = false;
    } else if (character === '"' && field.trim() === '' && !wasQuoted) {
      field = '';
      wasQuoted = true;
      inQuotes = true;
    } else if (character === ',') endField();
    else if (character === '\n') endRow();
    else if (character === '\r' && text[at + 1] === '\n') continue;
    else if (wasQuoted) {
      if (character !== ' ' && character !== '\t') throw new BadInput('text after a closing quote');
    } else field += character;
  }
  if (inQuotes) throw new BadInput('a quote is not closed');
  endRow();
  return rows;
}

// A list of objects keyed by column; columns the file does not have are ''.
export function readTable(path, columns) {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(fs.readFileSync(path));
  const [header, ...rows] = parseCsv(text);
  if (!header) throw new BadInput(`${path} is empty`);
  const places = columns.map(({ name, required }) => {
    const place = header.indexOf(name);
    if (place < 0 && required) throw new BadInput(`${path}: no column '${name}'`);
    return { name, required, place };
  });
  return rows.map((fields, index) => {
    if (fields.length !== header.length) {
      throw new BadInput(`${path}: row ${index + 2} has ${fields.length} fields`);
    }
    const entry = {};
    for (const { name, required, place } of places) {
      entry[name] = place < 0 ? '' : fields[place];
      if (required && entry[name] === '') {
        throw new BadInput(`${path}: row ${index + 2}: '${name}' is not given`);
      }
    }
    return entry;
  });
}

const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

// A text a spreadsheet would run as a formula gets a leading quote sign; numbers do not.
export function textField(text) {
  return quote(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
}

export function writeCsv(path, header, rows) {
  const lines = [header, ...rows].map((fields) => `${fields.join(',')}\n`);
  fs.writeFileSync(path, lines.join(''));
}

// What parseCsv reads back as it is: blanks at an end need quotes too.
const rawField = (text) => (/^[ \t]|[ \t]$/.test(text) ? `"${text.replaceAll('"', '""')}"` : quote(text));

export function writeRawCsv(path, header, rows) {
  writeCsv(path, header, rows.map((fields) => fields.map(rawField)));
}

export function compareBytes(left, right) {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

// Compares two lists of texts, the first difference deciding.
export function compareKeys(left, right) {
  for (let at = 0; at < left.length; at += 1) {
    const order = compareBytes(left[at], right[at]);
    if (order !== 0) return order;
  }
  return 0;
}
