// Comparing with Stripe, and repairing: reconcile.mjs PERIODCLOSE SIMULATOR FOLDER
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { KEY, assertSent, closeWords, openAccount, quick, readReport, runProgram, writeDataset } from '../emit/close.mjs';
import { parseCsv } from '../reference/csv.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, simulatorProgram, folder] = process.argv.slice(2);
const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });
const run = (words, env) => runProgram(program, simulator, words, env);
const dump = () => simulator.ask({ do: 'dump' });
const orgs = [{ id: 'a', customer: 'cus_a', subscription: 'sub_a', metrics: 3 }, { id: 'b', customer: 'cus_b' },
  { id: 'c', customer: 'cus_b', metrics: 2 }, { id: 'd' }, { id: 'e', customer: 'cus_e' }, { id: 'f', customer: 'cus_f' },
  { id: 'g', customer: 'cus_g', metrics: 0 }];
const dataset = writeDataset(path.join(folder, 'dataset'), orgs);
const runDir = path.join(folder, 'run');

async function post(item, amount) {
  const fields = { customer: item.customer, amount, currency: 'usd',
    ...Object.fromEntries(Object.entries(item.metadata).map(([name, value]) => [`metadata[${name}]`, value])) };
  const answer = await fetch(`${simulator.base}/v1/invoiceitems`, { method: 'POST',
    headers: { Authorization: `Bearer ${KEY}`, 'Stripe-Version': '2026-07-29.dahlia' }, body: new URLSearchParams(fields) });
  assert.equal(answer.status, 200, await answer.clone().text());
}

async function findings(words = []) {
  const result = await run(['reconcile', runDir, '--format', 'csv', ...quick, ...words]);
  const [head, ...rows] = parseCsv(result.stdout);
  return { status: result.status, out: result.out,
    rows: rows.map((row) => Object.fromEntries(head.map((name, index) => [name, row[index]]))) };
}
const nextOf = ({ out }) => out.match(/^next: periodclose (.*)$/m)[1].split(' ').sort();
const inShort = ({ rows }) => rows.map((row) => `${row.kind} ${row.org_id} ${row.metric} ${row.ours}|${row.at_stripe}`).sort();

// Everything is as it was recorded.
await openAccount(simulator, orgs);
await simulator.ask({ do: 'faults', plan: { script: [{ method: 'POST', path: '/v1/invoices', nth: 1, times: 9, kind: '402' }] } });
let result = await run(closeWords(dataset, runDir));
assert.equal(result.status, 21, result.out);
assert.match((await run(['status', runDir])).out, new RegExp(`^next: less ${runDir}/reports/invoice_items.csv$`, 'm'));
await simulator.ask({ do: 'faults', plan: null });
let found = await findings();
assert.equal(found.status, 15, found.out);
assert.deepEqual(inShort(found), ['never_sent b m0 10.00 usd|', 'never_sent c m0 10.00 usd|', 'never_sent c m1 20.00 usd|',
  'never_sent e m0 10.00 usd|', 'never_sent f m0 10.00 usd|']);
assert.deepEqual(nextOf(found), ['reconcile', runDir, '--repair'].sort());
result = await run(['reconcile', runDir, '--repair', ...quick]);
assert.equal(result.status, 4, result.out); // d has no customer
result = await run(['reconcile', runDir, ...quick]);
assert.equal(result.status, 0, result.out);
assert.match(result.stdout, /^9 items compared: 9 as recorded$/m);
await assertSent(simulator, runDir, orgs);
assert.equal((await dump()).items.length, 8);

// Removed, different, twice, and one of ours that nobody recorded.
const items = (await dump()).items;
const itemOf = (org, metric) => items.find((item) => item.metadata.org_id === org && item.metadata.metric === metric);
const [removed, changed, doubled] = [itemOf('a', 'm1'), itemOf('b', 'm0'), itemOf('c', 'm1')];
await simulator.ask({ do: 'remove', item: removed.id });
await simulator.ask({ do: 'remove', item: changed.id });
await post(changed, 999);
await post(doubled, doubled.amount);
await post({ ...itemOf('e', 'm0'), metadata: { ...itemOf('e', 'm0').metadata, item_key: 'ab'.repeat(16), metric: 'm7' } }, 700);
// … and one of an org that is billed nothing
await post({ customer: 'cus_g', metadata: { ...itemOf('e', 'm0').metadata, item_key: 'cd'.repeat(16), org_id: 'g' } }, 300);
found = await findings();
assert.equal(found.status, 15, found.out);
assert.deepEqual(inShort(found), ['extra b m0 10.00 usd|9.99 usd', 'extra c m1 20.00 usd|20.00 usd', 'extra e m7 |7.00 usd',
  'extra g m0 |3.00 usd', 'removed_at_stripe a m1 20.00 usd|', 'removed_at_stripe b m0 10.00 usd|']);
// … and what can be done about it: no report of the run has what only stands at Stripe.
assert.match(found.out, /^note: extra: .*nothing that stands at Stripe is deleted by us: look up the id .* in the dashboard/m);
assert.match(found.out, /^note: removed_at_stripe: .*--resend KEY sends it again/m);
assert.doesNotMatch(found.out, /^note: (different|never_sent|not_recorded|unknown):/m);
assert.deepEqual(nextOf(found), ['reconcile', runDir, '--format', 'csv', ...quick].sort());
result = await run(['reconcile', runDir, ...quick]);
const atG = (await dump()).items.find((item) => item.customer === 'cus_g');
assert.match(result.stdout, new RegExp(`^extra +g +m0 +3.00 usd +${'cd'.repeat(16)} ${atG.id}$`, 'm'));

// The same for a machine.
result = await run(['reconcile', runDir, '--json', ...quick]);
assert.equal(result.status, 15, result.out);
const told = JSON.parse(result.stdout);
assert.deepEqual([told.period, told.target, told.items, told.counts.extra, told.counts.removed_at_stripe],
  ['2026-10', 'stripe', 9, 4, 2]);
assert.deepEqual(told.findings.find((one) => one.org_id === 'g'), { kind: 'extra', org_id: 'g', metric: 'm0', ours: null,
  theirs: { amount: '3.00', currency: 'usd' }, item_key: 'cd'.repeat(16), our_id: null,
  their_id: (await dump()).items.find((item) => item.customer === 'cus_g').id });

// Repairing deletes nothing and sends nothing of these again.
const before = (await dump()).items.length;
result = await run(['reconcile', runDir, '--repair', ...quick]);
assert.equal(result.status, 15, result.out);
assert.equal((await dump()).items.length, before);
assert.deepEqual(nextOf(result), ['reconcile', runDir, ...quick].sort());

// But by its key, and only what was removed.
const row = readReport(runDir, 'invoice_items.csv').find((one) => one.org_id === 'a' && one.metric === 'm1');
result = await run(['reconcile', runDir, '--resend', row.item_key, ...quick]);
assert.equal(result.status, 15, result.out);
const again = (await dump()).items.filter((item) => item.metadata.item_key === row.item_key);
assert.equal(again.length, 1);
assert.equal(again[0].amount, 2000);
assert.notEqual(again[0].id, removed.id);
assert.equal(readReport(runDir, 'invoice_items.csv').find((one) => one.item_key === row.item_key).stripe_invoice_item_id, again[0].id);
result = await run(['reconcile', runDir, '--resend', row.item_key, ...quick]);
assert.equal(result.status, 13, result.out);
assert.equal((await dump()).items.length, before + 1);
// Nor one beside which another stands with its key.
result = await run(['reconcile', runDir, '--resend', changed.metadata.item_key, ...quick]);
assert.equal(result.status, 13, result.out);
assert.equal((await dump()).items.length, before + 1);
result = await run(['reconcile', runDir, '--resend', 'nonsense', ...quick]);
assert.equal(result.status, 2, result.out);

// The journal is lost: what stands there is noted, and nothing is sent again.
await openAccount(simulator, orgs);
const second = path.join(folder, 'second');
result = await run(closeWords(dataset, second));
assert.equal(result.status, 4, result.out);
fs.rmSync(path.join(second, '60-emit/journal'));
result = await run(['reconcile', second, ...quick]);
assert.equal(result.status, 15, result.out);
assert.match(result.stdout, /^9 items compared: 1 as recorded, 8 not_recorded$/m);
result = await run(['reconcile', second, '--repair', ...quick]);
assert.equal(result.status, 4, result.out);
await assertSent(simulator, second, orgs);
assert.equal((await dump()).items.length, 8);

console.log('ok what differs is told, and what can be repaired is');
await simulator.stop();
