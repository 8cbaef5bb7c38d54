// What periodclose sends is, byte for byte, what Stripe's own Node client sends for the same
// parameters. One line a fact.
//
//   node tests/emit/encoding.mjs PERIODCLOSE SIMULATOR
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import Stripe from 'stripe';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, simulatorProgram] = process.argv.slice(2);
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'periodclose-encoding-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));
const KEY = 'sk_test_encoding';
let good = 0;
let bad = 0;
function check(sentence, isTrue, seen) {
  if (isTrue) good += 1; else bad += 1;
  console.log(isTrue ? `ok - ${sentence}` : `not ok - ${sentence}\n    ${JSON.stringify(seen)}`);
}

// Names and units that an encoder could get wrong.
const METRICS = ['tokens', 'a b+c&d=e', "it's (50%) *!~_.-", '播放 ü/é?#[x]', '"quoted", 𝄞', '%41'];
const dataset = path.join(scratch, 'dataset');
fs.mkdirSync(dataset);
const field = (value) => `"${String(value).replaceAll('"', '""')}"`;
const write = (name, head, rows) => fs.writeFileSync(path.join(dataset, `${name}.csv`),
  `${head}\n${rows.map((row) => row.map(field).join(',')).join('\n')}\n`);
const orgs = ['amount', 'quantity'].map((mode, n) => [`org & ${n} ü`, `cus_${n}`,
  n === 0 ? 'sub_0' : '', mode]);
write('orgs', 'org_id,stripe_customer_id,stripe_subscription_id,stripe_item_mode', orgs);
write('plans', 'plan_id', [['p']]);
write('prices', 'plan_id,metric,included,unit_price,unit',
  METRICS.map((metric, n) => ['p', metric, n, '0.0125', n % 2 ? 'Stück & mehr' : '']));
write('subscriptions', 'org_id,plan_id', orgs.map((org) => [org[0], 'p']));
write('usage', 'org_id,metric,quantity,occurred_at', orgs.flatMap((org, o) => METRICS.map(
  (metric, m) => [org[0], metric, 1000 * (m + 1) + 80 * o, '2026-10-12T09:30:00Z'])));

const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });
const now = Math.floor(Date.now() / 1000);
const reset = () => simulator.ask({ do: 'reset', seed: 3, key: KEY, record: true }).then(() => (
  simulator.ask({ do: 'add', customers: [{ id: 'cus_0' }, { id: 'cus_1' }], subscriptions: [{
    id: 'sub_0', object: 'subscription', customer: 'cus_0', status: 'active', currency: 'usd',
    created: now, items: { data: [{ current_period_end: now + 86400 }] } }] })));
const posted = async () => (await simulator.ask({ do: 'dump' })).recorded
  .filter((one) => one.method === 'POST');

await reset();
const child = spawn(program, ['run', '--period', '2026-10', '--now', '2026-11-01T00:00:00Z',
  '--source', dataset, '--run-dir', path.join(scratch, 'run'), '--emit', 'stripe', '--rate', 'none',
  '--timeout', '4000', '--quiet'], { stdio: ['ignore', 'ignore', 'inherit'],
  env: { PATH: process.env.PATH, STRIPE_API_KEY: KEY, STRIPE_API_BASE: simulator.base } });
const status = await new Promise((resolve) => { child.on('close', resolve); });
const ours = await posted();
const items = ours.filter((one) => one.path === '/v1/invoiceitems');
check('every item was sent', status === 0 && items.length === orgs.length * METRICS.length,
  [status, ours.map((one) => [one.path, one.status])]);
check('every request was understood', ours.every((one) => one.status === 200), ours);
check('some go by quantity, some by amount', items.some((one) => /(^|&)amount=/.test(one.body)) &&
  items.some((one) => /quantity_decimal=/.test(one.body)), items.map((one) => one.body));
check('the version of the API is pinned', ours.every((one) => /^\d{4}-\d\d-\d\d\./.test(one.version)));
check('every request has a key of its own',
  new Set(ours.map((one) => one.idempotency_key)).size === ours.length);

// "a[b]=c" back to the object that the client takes.
function parametersOf(body) {
  const params = {};
  for (const [name, value] of new URLSearchParams(body)) {
    const [first, ...rest] = name.split(/\[|\]\[|\]/).filter((part) => part !== '');
    let at = params;
    let key = first;
    for (const part of rest) {
      at[key] ??= {};
      at = at[key];
      key = part;
    }
    at[key] = value;
  }
  return params;
}
await reset();
const client = new Stripe(KEY, { host: '127.0.0.1', port: simulator.port, protocol: 'http',
  maxNetworkRetries: 0, telemetry: false, apiVersion: items[0].version });
for (const item of items) {
  const params = parametersOf(item.body);
  if (params.invoice !== undefined) params.invoice = 'in_any'; // is not made anew for this
  await client.invoiceItems.create(params, { idempotencyKey: item.idempotency_key })
    .catch((error) => { if (params.invoice === undefined) throw error; });
}
const theirs = await posted();
items.forEach((item, index) => {
  const same = item.body.replace(/(^|&)invoice=[^&]*/, '$1invoice=in_any');
  check(`item ${index + 1} is encoded as Stripe's client does`, theirs[index]?.body === same,
    [item.body, theirs[index]?.body]);
});
await simulator.stop();
console.log(`# encoding.mjs: ${good} ok, ${bad} not ok`);
process.exit(bad === 0 && good > 0 ? 0 : 1);
