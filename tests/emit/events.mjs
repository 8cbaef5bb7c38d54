// Overages that were sent as events: what a run reports of them, what the other side has, and where these differ.
import fs from 'node:fs';
import path from 'node:path';
import { parseCsv } from '../reference/csv.mjs';

const table = (text) => {
  const [head, ...rows] = parseCsv(text);
  return rows.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i]])));
};

export const lines = (run) => table(fs.readFileSync(path.join(run, 'reports', 'invoice_items.csv'), 'utf8'));
export const shown = (row) => [row.item_key, row.org_id, row.metric, row.amount, row.status, row.reason].join('|');

export function eventsOf(target, dump) {
  return target === 'dodo'
    ? dump.dodo_events.map((event) => ({ key: event.event_id, customer: event.customer_id, name: event.event_name,
      value: String(event.metadata.amount) }))
    : dump.meter_events.map((event) => ({ key: event.identifier, customer: event.payload.stripe_customer_id,
      name: event.event_name, value: event.payload.value }));
}

// What is there twice, is missing, or is another than was recorded.
export function compareEvents(wanted, events, mayLack) {
  const problems = [];
  const found = new Set();
  for (const event of events) {
    if (found.has(event.key)) problems.push(`twice: ${event.key}`);
    found.add(event.key);
    const ours = wanted.get(event.key);
    if (ours !== `${event.customer} ${event.name} ${event.value}`) {
      problems.push(`different: ${event.key} is ${event.customer} ${event.name} ${event.value}, not ${ours}`);
    }
  }
  if (!mayLack) {
    for (const key of wanted.keys()) if (!found.has(key)) problems.push(`missing: ${key}`);
  }
  return problems;
}
