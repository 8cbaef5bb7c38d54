// What is looked at before the first call, dry runs, and where items go:
// emit_check.mjs PERIODCLOSE SIMULATOR FOLDER
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { KEY, PERIOD_END, PERIOD_START, assertSent, closeWords, openAccount, quick, readReport, runProgram,
  writeDataset } from '../emit/close.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, simulatorProgram, folder] = process.argv.slice(2);
const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });
const run = (words, env) => runProgram(program, simulator, words, env);
const dump = () => simulator.ask({ do: 'dump' });
let cases = 0;
async function check(name, orgs, body, account = {}) {
  const place = path.join(folder, String(cases += 1));
  const dataset = writeDataset(path.join(place, 'dataset'), orgs);
  await openAccount(simulator, orgs, account);
  await body(dataset, path.join(place, 'run'));
  console.log(`ok ${name}`);
}

// --- dry runs ---

const mixed = [{ id: 'a', customer: 'cus_a', subscription: 'sub_a', metrics: 2 },
  { id: 'b', customer: 'cus_b', mode: 'quantity' }, { id: 'c', status: 'suspended', customer: 'cus_c' }, { id: 'd' }];
await check('a dry run writes the very requests and sends nothing', mixed, async (dataset, runDir) => {
  let result = await run(closeWords(dataset, runDir, ['--dry-run']), { STRIPE_API_KEY: '' });
  assert.equal(result.status, 4, result.out);
  assert.match(result.out, /3 items to send: 40.00 usd; 2 held or switched off/);
  assert.equal((await dump()).stats.requests, 0);
  const lines = fs.readFileSync(path.join(runDir, 'dry-run/60-emit/requests.jsonl'), 'utf8')
    .trimEnd().split('\n').map((line) => JSON.parse(line));
  result = await run(closeWords(dataset, runDir));
  assert.equal(result.status, 4, result.out);
  // But for asking what is there at first, and reading the invoice in the end.
  const recorded = (await dump()).recorded.filter((request) => !(request.method === 'GET' &&
    (request.path === '/v1/invoiceitems' || request.path.startsWith('/v1/invoices/'))));
  const asked = recorded.filter((request, index) => index !== recorded.findIndex((one) =>
    one.method === 'GET' && one.path === '/v1/invoices'));
  const invoice = (await dump()).invoices[0].id;
  // The run id is in the bodies, and a dry run has its own; the id of the invoice comes from Stripe.
  const plain = (body) => (body ?? '').replace(/metadata\[run_id\]=[0-9a-f]{32}/, '')
    .replace('%7Bid%20of%20the%20invoice%7D', invoice);
  const byKey = (list) => list.map(JSON.stringify).sort();
  assert.deepEqual(
    byKey(lines.map((line) => [line.method, line.url.replace(simulator.base, '').replace(/\?.*/, ''),
      line.idempotency_key ?? null, line.stripe_version, plain(line.body)])),
    byKey(asked.map((request) => [request.method, request.path, request.idempotency_key ?? null,
      request.version, plain(request.body)])));
}, { record: true });

await check('a dry run shows lines that go together, and what is finalised', mixed, async (dataset, runDir) => {
  const words = ['--attach', 'invoice', '--batch', 'lines', '--finalize'];
  let result = await run(closeWords(dataset, runDir, [...words, '--dry-run']), { STRIPE_API_KEY: '' });
  assert.equal(result.status, 4, result.out);
  const lines = fs.readFileSync(path.join(runDir, 'dry-run/60-emit/requests.jsonl'), 'utf8')
    .trimEnd().split('\n').map((line) => JSON.parse(line));
  result = await run(closeWords(dataset, runDir, words));
  assert.equal(result.status, 4, result.out);
  const { recorded } = await dump();
  const name = (line) => line.url.replace(simulator.base, '').replace(/%7B[^/]*%7D/, 'in');
  assert.deepEqual(lines.filter((line) => line.method === 'POST').map(name).sort(),
    recorded.filter((line) => line.method === 'POST').map((line) => line.path.replace(/in_[0-9a-f]+/, 'in')).sort());
  const added = recorded.find((line) => line.path.endsWith('/add_lines'));
  const shown = lines.find((line) => line.url.endsWith('/add_lines'));
  assert.equal(shown.idempotency_key, added.idempotency_key);
  const plain = (body) => body.replaceAll(/\[run_id\]=[0-9a-f]{32}/g, '');
  assert.equal(plain(shown.body), plain(added.body));
}, { record: true });

await check('emit --dry-run tells what is still to be sent', mixed, async (dataset, runDir) => {
  let result = await run(closeWords(dataset, runDir, ['--until', 'record']));
  assert.equal(result.status, 4, result.out);
  result = await run(['emit', runDir, '--dry-run'], { STRIPE_API_KEY: '' });
  assert.equal(result.status, 4, result.out);
  const posts = (text) => text.trimEnd().split('\n').filter((line) => line.includes('/v1/invoiceitems"')).length;
  assert.equal(posts(result.stdout), 3);
  assert.match(result.out, /note: 3 items would be sent or settled, 2 held, 0 sent before/);
  assert.equal((await dump()).stats.requests, 0);
  result = await run(closeWords(dataset, runDir));
  assert.equal(result.status, 4, result.out);
  result = await run(['emit', runDir, '--dry-run'], { STRIPE_API_KEY: '' });
  const held = result.stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(held.map((line) => [line.held, line.org_id, line.metric, line.revision, line.amount, line.currency]),
    [['suspended', 'c', 'm0', 1, '10.00', 'usd'], ['no_stripe_customer', 'd', 'm0', 1, '10.00', 'usd']]);
  assert.match(result.out, /note: 0 items would be sent or settled, 2 held, 3 sent before/);
  assert.equal(result.status, 4, result.out);
});

await check('a dry run lists what is held, and why', mixed, async (dataset, runDir) => {
  const told = (run) => readReport(run, 'invoice_items.csv').map((row) => [row.org_id, row.metric, row.amount, row.status, row.reason].join(' '));
  let result = await run(closeWords(dataset, runDir, ['--dry-run', '--no-standalone']), { STRIPE_API_KEY: '' });
  assert.equal(result.status, 4, result.out);
  assert.match(result.out, /2 would be sent, 3 held/);
  const dry = path.join(runDir, 'dry-run');
  assert.deepEqual(told(dry), ['a m0 10.00 not_emitted ', 'a m1 20.00 not_emitted ', 'b m0 10.00 held no_upcoming_invoice',
    'c m0 10.00 held suspended', 'd m0 10.00 held no_stripe_customer']);
  assert.match(fs.readFileSync(path.join(dry, 'reports/exceptions.csv'), 'utf8'), /d,m0,held,no_stripe_customer,/);
  const lines = fs.readFileSync(path.join(dry, '60-emit/requests.jsonl'), 'utf8').trimEnd().split('\n');
  assert.ok(lines.every((line) => JSON.parse(line).method !== undefined), 'requests alone');
  // The sending holds the same.
  result = await run(closeWords(dataset, runDir, ['--no-standalone']));
  assert.equal(result.status, 4, result.out);
  assert.deepEqual(told(runDir), told(dry).map((line) => line.replace('not_emitted', 'sent')));
});

const alone = [{ id: 'd' }];
await check('a dry run of which all is held says so', alone, async (dataset, runDir) => {
  let result = await run(closeWords(dataset, runDir, ['--dry-run']), { STRIPE_API_KEY: '' });
  assert.equal(result.status, 4, result.out);
  assert.match(result.out, /0 items to send; 1 held or switched off/);
  assert.match(result.out, /0 would be sent, 1 held/);
  assert.equal(fs.readFileSync(path.join(runDir, 'dry-run/60-emit/requests.jsonl'), 'utf8'), '');
});

// --- limits ---

await check('orgs of one customer with more items than an invoice takes stop it all',
  [{ id: 'a', customer: 'cus_x', metrics: 126 }, { id: 'b', customer: 'cus_x', metrics: 125 }, { id: 'c', customer: 'cus_c' }],
  async (dataset, runDir) => {
    const result = await run(closeWords(dataset, runDir));
    assert.equal(result.status, 32, result.out);
    assert.match(result.out, /'cus_x' has 251 items in usd for an invoice of its own/);
    assert.equal((await dump()).stats.requests, 0);
  });

// Stripe takes amounts of up to 12 digits.
const rich = [{ id: 'most', customer: 'cus_most' }, { id: 'b', customer: 'cus_b' }];
await check('an amount that Stripe does not take stops it all', rich, async (dataset, runDir) => {
  const usage = path.join(dataset, 'usage.csv');
  const use = (quantity) => fs.writeFileSync(usage, fs.readFileSync(usage, 'utf8').replace(/^most,m0,[0-9.]+/m, `most,m0,${quantity}`));
  use('10000000005');
  let result = await run(closeWords(dataset, runDir));
  assert.equal(result.status, 32, result.out);
  assert.match(result.out, /org 'most', metric 'm0': 10000000000 usd is no amount for an invoice item/);
  assert.equal((await dump()).stats.requests, 0);
  use('10000000004.99');
  result = await run(closeWords(dataset, `${runDir}-most`));
  assert.equal(result.status, 0, result.out);
  assert.deepEqual((await dump()).items.map((item) => item.amount).sort((a, b) => a - b), [1000, 999999999999]);
});

const full = [{ id: 'a', customer: 'cus_x', subscription: 'sub_x', metrics: 120 },
  { id: 'b', customer: 'cus_x', subscription: 'sub_x', metrics: 90 }];
await check('what waits at Stripe counts', full, async (dataset, runDir) => {
  const others = async (count) => {
    for (let n = 0; n < count; n += 1) {
      const answer = await fetch(`${simulator.base}/v1/invoiceitems`, { method: 'POST',
        headers: { Authorization: `Bearer ${KEY}`, 'Stripe-Version': '2026-07-29.dahlia' },
        body: 'customer=cus_x&amount=100&currency=usd' });
      assert.equal(answer.status, 200);
    }
  };
  await others(41);
  let result = await run(closeWords(dataset, runDir));
  assert.equal(result.status, 32, result.out);
  assert.match(result.out, /'cus_x' has 210 items for subscription 'sub_x', and 41 others wait at Stripe/);
  assert.equal((await dump()).items.length, 41);
  await openAccount(simulator, full);
  await others(40);
  result = await run(closeWords(dataset, runDir));
  assert.equal(result.status, 0, result.out);
  assert.equal((await dump()).items.length, 250);
});

const two = [{ id: 'a', customer: 'cus_x', subscription: 'sub_x', metrics: 130 },
  { id: 'b', customer: 'cus_x', subscription: 'sub_y', metrics: 130 }];
await check('two subscriptions of a customer have an invoice each', two, async (dataset, runDir) => {
  const result = await run(closeWords(dataset, runDir));
  assert.equal(result.status, 0, result.out);
  assert.equal((await assertSent(simulator, runDir, two)).items.length, 260);
});

const over = two.map((org) => ({ ...org, subscriptionStatus: 'canceled' }));
for (const [batch, counts] of [['items', [10, 250]], ['lines', [130, 130]]]) {
  await check(`an invoice of their own that is full is followed by another (${batch})`, over, async (dataset, runDir) => {
    const result = await run(closeWords(dataset, runDir, ['--batch', batch, '--finalize']));
    assert.equal(result.status, 0, result.out);
    const there = await dump();
    assert.deepEqual(Object.values(there.lines).map((lines) => lines.length).sort((a, b) => a - b), counts);
    assert.equal(new Set(Object.values(there.lines).flat().map((line) => line.metadata.item_key)).size, 260);
    assert.deepEqual(there.invoices.map((invoice) => invoice.status), ['open', 'open']);
  });
}

// --- keys ---

await check('a key of the other mode is refused', mixed, async (dataset, runDir) => {
  let result = await run(closeWords(dataset, runDir, ['--until', 'record']));
  assert.equal(result.status, 4, result.out);
  result = await run(closeWords(dataset, runDir), { STRIPE_API_KEY: 'sk_live_simulator' });
  assert.equal(result.status, 13, result.out);
  assert.match(result.out, /was begun with a test key of Stripe, STRIPE_API_KEY is a live key/);
  assert.equal((await dump()).stats.requests, 0);
});

await check('an address over which the key would be read is refused before anything is begun', mixed, async (dataset, runDir) => {
  for (const base of ['http://example.com', 'http://127.0.0.1.example.com', 'ftp://127.0.0.1', 'nonsense:']) {
    const result = await run(closeWords(dataset, runDir), { STRIPE_API_BASE: base });
    assert.equal(result.status, 2, result.out);
    assert.match(result.out, /is no address to send to/);
    assert.doesNotMatch(result.out, /extract/);
  }
  assert.equal((await dump()).stats.requests, 0);
});

// --- where items go ---

const attached = [{ id: 'a', customer: 'cus_a', subscription: 'sub_a', metrics: 2 },
  { id: 'b', customer: 'cus_b', subscription: 'sub_b' }, { id: 'c', customer: 'cus_c' }, { id: 'd', customer: 'cus_c', metrics: 3 }];
await check('on the draft of the closed period while there is one', attached, async (dataset, runDir) => {
  const period = { period_start: PERIOD_START, period_end: PERIOD_END };
  const old = await simulator.ask({ do: 'renew', subscription: 'sub_a', period_start: PERIOD_START - 31 * 86400, period_end: PERIOD_START });
  const draft = await simulator.ask({ do: 'renew', subscription: 'sub_a', ...period });
  const result = await run(closeWords(dataset, runDir, ['--attach', 'draft']));
  assert.equal(result.status, 0, result.out);
  const there = await assertSent(simulator, runDir, attached);
  const invoicesOf = (customer) => [...new Set(there.items.filter((item) => item.customer === customer).map((item) => item.invoice))];
  assert.deepEqual(invoicesOf('cus_a'), [draft.invoice]);
  assert.deepEqual(invoicesOf('cus_b'), [null]);
  assert.equal(there.items.find((item) => item.customer === 'cus_b').parent.subscription_details.subscription, 'sub_b');
  assert.equal(invoicesOf('cus_c').length, 1);
  assert.notEqual(invoicesOf('cus_c')[0], null);
  assert.equal(there.invoices.length, 3);
  assert.equal((there.lines[old.invoice] ?? []).length, 0);
});

// An invoice that is too far away, and a subscription that bills nothing any more.
const waiting = [{ id: 'far', customer: 'cus_far', subscription: 'sub_far' }, { id: 'soon', customer: 'cus_soon', subscription: 'sub_soon' },
  { id: 'over', customer: 'cus_over', subscription: 'sub_over', subscriptionStatus: 'canceled' }];
await check('where no invoice is to come soon, on one of their own, or held', waiting, async (dataset, runDir) => {
  const placed = async (name, words) => {
    await openAccount(simulator, waiting);
    await simulator.ask({ do: 'add', subscriptions: [{ id: 'sub_far', object: 'subscription', customer: 'cus_far', status: 'active',
      currency: 'usd', items: { data: [{ current_period_end: Math.floor(Date.now() / 1000) + 50 * 86400 }] } }] });
    const result = await run(closeWords(dataset, `${runDir}-${name}`, words));
    const rows = readReport(`${runDir}-${name}`, 'invoice_items.csv');
    const there = new Map((await dump()).items.map((item) => [item.metadata.org_id,
      item.invoice !== null ? 'own' : item.parent.subscription_details.subscription]));
    return [result.status, ...rows.map((row) => `${row.org_id} ${row.reason || there.get(row.org_id)}`)];
  };
  assert.deepEqual(await placed('usual', []), [0, 'far own', 'over own', 'soon sub_soon']);
  assert.deepEqual(await placed('longer', ['--max-wait', '60']), [0, 'far sub_far', 'over own', 'soon sub_soon']);
  assert.deepEqual(await placed('held', ['--no-standalone']), [4, 'far no_upcoming_invoice', 'over no_upcoming_invoice', 'soon sub_soon']);
});

await check('on an invoice of their own, one for each customer', attached, async (dataset, runDir) => {
  const result = await run(closeWords(dataset, runDir, ['--attach', 'invoice']));
  assert.equal(result.status, 0, result.out);
  const there = await assertSent(simulator, runDir, attached);
  assert.equal(there.invoices.length, 3);
  assert.ok(there.items.every((item) => item.invoice !== null));
  assert.ok(there.invoices.every((invoice) => invoice.status === 'draft' && !invoice.auto_advance));
});

await check('where the draft is finalised in between, on the next invoice', attached, async (dataset, runDir) => {
  const draft = await simulator.ask({ do: 'renew', subscription: 'sub_a', period_start: PERIOD_START, period_end: PERIOD_END });
  // One item arrives, then somebody finalises it.
  await simulator.ask({ do: 'faults', plan: { script: [{ method: 'POST', path: '/v1/invoiceitems', nth: 2, times: 100, kind: '402' }] } });
  let result = await run(closeWords(dataset, runDir, ['--attach', 'draft', '--in-flight', '1']));
  assert.equal(result.status, 21, result.out);
  const answer = await fetch(`${simulator.base}/v1/invoices/${draft.invoice}/finalize`, { method: 'POST',
    headers: { Authorization: `Bearer ${KEY}`, 'Stripe-Version': '2026-07-29.dahlia' } });
  assert.equal(answer.status, 200);
  await simulator.ask({ do: 'faults', plan: null });
  result = await run(['emit', runDir, ...quick]);
  assert.equal(result.status, 0, result.out);
  const there = await assertSent(simulator, runDir, attached);
  const places = there.items.filter((item) => item.customer === 'cus_a').map((item) => item.invoice).sort();
  assert.deepEqual(places, [draft.invoice, null].sort());
  assert.deepEqual(readReport(runDir, 'invoice_items.csv').map((row) => row.status), Array(7).fill('sent'));
});

await simulator.stop();
