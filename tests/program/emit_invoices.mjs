// Invoices of their own: items as lines by one request, totals compared, drafts finalised once:
// emit_invoices.mjs PERIODCLOSE SIMULATOR FOLDER
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { KEY, closeWords, faster, openAccount, quick, readReport, runKillable, runProgram, writeDataset } from '../emit/close.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, simulatorProgram, folder] = process.argv.slice(2);
const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });
const run = (words, env) => runProgram(program, simulator, words, env);
const killable = (words) => runKillable(program, simulator, words,
  { STRIPE_API_BASE: simulator.base, STRIPE_API_KEY: KEY, ...faster }, KEY);
const dump = () => simulator.ask({ do: 'dump' });
const script = (...lines) => simulator.ask({ do: 'faults', plan: { script: lines } });
const post = (name) => fetch(`${simulator.base}${name}`, { method: 'POST',
  headers: { Authorization: `Bearer ${KEY}`, 'Stripe-Version': '2026-07-29.dahlia' } });
const calls = (world, ends) => Object.entries(world.calls)
  .filter(([name]) => name.startsWith(ends)).reduce((sum, [, times]) => sum + times, 0);
let cases = 0;
async function check(name, orgs, body, account = {}) {
  const place = path.join(folder, String(cases += 1));
  const dataset = writeDataset(path.join(place, 'dataset'), orgs);
  await openAccount(simulator, orgs, account);
  await body(dataset, path.join(place, 'run'));
  console.log(`ok ${name}`);
}

// Everything that was sent stands on its invoice once, as the report says.
async function assertBilled(runDir) {
  const world = await dump();
  const rows = readReport(runDir, 'invoice_items.csv').filter((row) => row.status === 'sent');
  const there = Object.entries(world.lines).flatMap(([invoice, lines]) => lines.map((line) =>
    `${line.metadata.item_key} ${line.amount} ${invoice} ${line.parent?.invoice_item_details?.invoice_item ?? line.id}`));
  assert.deepEqual(there.sort(), rows.map((row) => `${row.item_key} ${Math.round(row.amount * 100)} ` +
    `${row.stripe_invoice_id} ${row.stripe_invoice_item_id}`).sort());
  return world;
}
const invoices = (runDir) => readReport(runDir, 'invoices.csv')
  .map((row) => `${row.stripe_customer_id} ${row.items} ${row.amount} ${row.state} ${row.status} ${row.reason}`.trim()).sort();
// Said by the command itself, and by status after it.
async function assertNext(result, runDir, words) {
  for (const told of [result, await run(['status', runDir])]) {
    assert.equal(told.out.match(/^next: (.*)$/m)[1], words, told.out);
  }
}

// d shares the customer of c; e is billed by quantity, which no line can be.
const orgs = [{ id: 'a', customer: 'cus_a', metrics: 12 }, { id: 'b', customer: 'cus_b' },
  { id: 'c', customer: 'cus_c', metrics: 2 }, { id: 'd', customer: 'cus_c', metrics: 3 },
  { id: 'e', customer: 'cus_e', metrics: 2, mode: 'quantity' }];
const ended = (state, status, reason = '') => ['cus_a 12 780.00', 'cus_b 1 10.00', 'cus_c 5 90.00', 'cus_e 2 30.00']
  .map((text) => `${text} ${state} ${status} ${reason}`.trim());
const attach = ['--attach', 'invoice'];

await check('drafts are compared and left as they are, then finalised when that is asked for', orgs, async (dataset, runDir) => {
  let result = await run(closeWords(dataset, runDir, attach));
  assert.equal(result.status, 0, result.out);
  await assertBilled(runDir);
  assert.deepEqual(invoices(runDir), ended('draft', 'draft', 'not_asked'));
  result = await run(['status', runDir]);
  assert.match(result.out, /invoices  0 finalised, 4 drafts/);
  result = await run(['emit', runDir, '--finalize', ...quick]);
  assert.equal(result.status, 0, result.out);
  assert.match(result.out, /4 finalised, 0 drafts/);
  assert.deepEqual(invoices(runDir), ended('open', 'finalised'));
  const world = await assertBilled(runDir);
  assert.equal(calls(world, 'POST /v1/invoices/{}/finalize'), 4);
  assert.ok(readReport(runDir, 'invoice_items.csv').every((row) => row.invoice_status === 'finalised'));
  // Typed again, also from a directory that is lost: nothing more is asked to be finalised.
  result = await run(['emit', runDir, ...quick]);
  assert.equal(result.status, 0, result.out);
  fs.rmSync(runDir, { recursive: true });
  result = await run(closeWords(dataset, runDir, [...attach, '--finalize']));
  assert.equal(result.status, 0, result.out);
  assert.deepEqual(invoices(runDir), ended('open', 'finalised'));
  assert.equal(calls(await assertBilled(runDir), 'POST /v1/invoices/{}/finalize'), 4);
});

await check('lines go by one request for each org', orgs, async (dataset, runDir) => {
  const result = await run(closeWords(dataset, runDir, [...attach, '--batch', 'lines', '--finalize']));
  assert.equal(result.status, 0, result.out);
  const world = await assertBilled(runDir);
  assert.equal(calls(world, 'POST /v1/invoices/{}/add_lines'), 3);
  assert.equal(calls(world, 'POST /v1/invoiceitems'), 3); // b alone, e by quantity
  assert.deepEqual(invoices(runDir), ended('open', 'finalised'));
  const compared = await run(['reconcile', runDir, ...quick]);
  assert.equal(compared.status, 0, compared.out);
  assert.match(compared.out, /20 items compared: 20 as recorded/);
  await simulator.ask({ do: 'line', invoice: world.invoices[0].id, remove: true });
  const drifted = await run(['reconcile', runDir, ...quick]);
  assert.equal(drifted.status, 15, drifted.out);
  assert.match(drifted.out, /19 as recorded, 1 removed_at_stripe/);
  fs.rmSync(runDir, { recursive: true });
  await openAccount(simulator, orgs);
  assert.equal((await run(closeWords(dataset, runDir, [...attach, '--batch', 'lines', '--finalize']))).status, 0);
  fs.rmSync(runDir, { recursive: true });
  const again = await run(closeWords(dataset, runDir, attach)); // and without its options
  assert.equal(again.status, 0, again.out);
  assert.equal(calls(await assertBilled(runDir), 'POST /v1/invoices/{}/add_lines'), 3);
});

await check('a line that is refused does not take the others with it', orgs, async (dataset, runDir) => {
  await simulator.ask({ do: 'refuse', metric: 'm1' });
  let result = await run(closeWords(dataset, runDir, [...attach, '--batch', 'lines', '--finalize']));
  assert.equal(result.status, 21, result.out);
  let rows = readReport(runDir, 'invoice_items.csv');
  assert.ok(rows.every((row) => row.status === (row.metric === 'm1' ? 'failed' : 'sent')));
  assert.ok(rows.filter((row) => row.metric === 'm1').every((row) => row.detail.includes('This is refused')));
  await assertBilled(runDir);
  assert.deepEqual(invoices(runDir), ['cus_a 11 760.00 draft draft items_open', 'cus_b 1 10.00 open finalised',
    'cus_c 3 50.00 draft draft items_open', 'cus_e 1 10.00 draft draft items_open']);
  assert.match(readReport(runDir, 'invoices.csv').find((row) => row.stripe_customer_id === 'cus_c').detail,
    /2 items of this customer are not sent: failed/);
  await simulator.ask({ do: 'refuse' });
  result = await run(['emit', runDir, ...quick]); // --finalize is kept with the run
  assert.equal(result.status, 0, result.out);
  rows = readReport(runDir, 'invoice_items.csv');
  assert.ok(rows.every((row) => row.status === 'sent'));
  await assertBilled(runDir);
  assert.deepEqual(invoices(runDir), ended('open', 'finalised'));
});

await check('held items keep their invoice a draft', [...orgs.slice(0, 3), { ...orgs[3], status: 'suspended' }], async (dataset, runDir) => {
  const result = await run(closeWords(dataset, runDir, [...attach, '--finalize']));
  assert.equal(result.status, 4, result.out);
  assert.deepEqual(invoices(runDir), ['cus_a 12 780.00 open finalised', 'cus_b 1 10.00 open finalised',
    'cus_c 2 30.00 draft draft items_open']);
});

await check('what differs at Stripe is not finalised', orgs, async (dataset, runDir) => {
  let result = await run(closeWords(dataset, runDir, attach));
  assert.equal(result.status, 0, result.out);
  const idOf = (customer) => readReport(runDir, 'invoices.csv').find((row) => row.stripe_customer_id === customer).stripe_invoice_id;
  await simulator.ask({ do: 'line', invoice: idOf('cus_a'), amount: 500 });
  await simulator.ask({ do: 'line', invoice: idOf('cus_c'), remove: true });
  result = await run(['emit', runDir, '--finalize', ...quick]);
  assert.equal(result.status, 15, result.out);
  assert.match(result.out, /2 finalised, 0 drafts, 2 different at Stripe/);
  assert.deepEqual(invoices(runDir), ['cus_a 12 780.00 draft different lines_not_ours', 'cus_b 1 10.00 open finalised',
    'cus_c 5 80.00 draft different lines_missing', 'cus_e 2 30.00 open finalised']);
  await assertNext(result, runDir, `less ${runDir}/reports/invoices.csv`);
});

await check('an invoice that is refused or unknown is the next thing to see to', orgs, async (dataset, runDir) => {
  const finalize = { path: '/v1/invoices/', ends: '/finalize', nth: 1, times: 400 };
  await script({ ...finalize, kind: '402' });
  let result = await run(closeWords(dataset, runDir, [...attach, '--finalize']));
  assert.equal(result.status, 21, result.out);
  assert.match(result.out, /0 finalised, 0 drafts, 0 different at Stripe, 4 refused, 0 unknown/);
  assert.ok(readReport(runDir, 'invoice_items.csv').every((row) => row.status === 'sent'));
  await assertNext(result, runDir, `less ${runDir}/reports/invoices.csv`);
  await script({ ...finalize, kind: '500_before' });
  result = await run(['emit', runDir, ...quick]);
  assert.equal(result.status, 22, result.out);
  assert.match(result.out, /0 refused, 4 unknown/);
  assert.ok(readReport(runDir, 'invoice_items.csv').every((row) => row.status === 'sent'));
  await assertNext(result, runDir, `periodclose run --run-dir ${runDir}`);
  await script();
  result = await run(['run', '--run-dir', runDir, ...quick]);
  assert.equal(result.status, 0, result.out);
  await assertNext(result, runDir, `periodclose verify ${runDir}`);
  assert.deepEqual(invoices(runDir), ended('open', 'finalised'));
});

await check('a refused invoice is told before orgs that are held, an item before it', [...orgs.slice(0, 3),
  { ...orgs[3], status: 'suspended' }, { id: 'f', customer: 'cus_f' }], async (dataset, runDir) => {
  await script({ path: '/v1/invoices/', ends: '/finalize', nth: 1, times: 400, kind: '402' });
  let result = await run(closeWords(dataset, runDir, [...attach, '--finalize']));
  assert.equal(result.status, 21, result.out);
  await assertNext(result, runDir, `less ${runDir}/reports/invoices.csv`);
  fs.rmSync(runDir, { recursive: true });
  await openAccount(simulator, [...orgs.slice(0, 4), { id: 'f', customer: 'cus_f' }]);
  await simulator.ask({ do: 'refuse', metric: 'm1' });
  await script({ path: '/v1/invoices/', ends: '/finalize', nth: 1, times: 400, kind: '402' });
  result = await run(closeWords(dataset, runDir, [...attach, '--finalize']));
  assert.equal(result.status, 21, result.out);
  await assertNext(result, runDir, `less ${runDir}/reports/invoice_items.csv`);
});

await check('a draft of before, and an invoice that somebody finalised or made void', orgs, async (dataset, runDir) => {
  let result = await run(closeWords(dataset, runDir, attach));
  assert.equal(result.status, 0, result.out);
  const rows = readReport(runDir, 'invoices.csv');
  assert.equal((await post(`/v1/invoices/${rows[0].stripe_invoice_id}/finalize`)).status, 200);
  result = await run(['emit', runDir, '--finalize', ...quick]);
  assert.equal(result.status, 0, result.out);
  assert.deepEqual(invoices(runDir), ended('open', 'finalised'));
  assert.equal(calls(await assertBilled(runDir), 'POST /v1/invoices/{}/finalize'), 4);
});

// Whatever becomes of the request: it is finalised once, and the run says so in the end.
for (const kind of ['reset_before', 'reset_after', '500_before', '500_after', '409', '429_locked', 'truncate',
  'stall_after', 'not_json_after', 'kill_before', 'kill_done', 'kill_answered', '402']) {
  for (const ends of ['/finalize', '/add_lines', '/lines']) {
    await check(`${kind} at ${ends}`, orgs, async (dataset, runDir) => {
      await script({ path: '/v1/invoices/', ends, kind, nth: 1, times: ends === '/finalize' ? 2 : 1 });
      const words = closeWords(dataset, runDir, [...attach, '--batch', 'lines', '--finalize']);
      let result = await killable(words);
      for (let start = 1; result.status !== 0; start += 1) {
        assert.ok(start < 12, `never done: ${result.status} ${result.out}`);
        assert.ok(result.signal === 'SIGKILL' || [21, 22].includes(result.status), `${result.status} ${result.out}`);
        result = await killable(result.status === 21 ? ['emit', runDir, ...quick] : words);
      }
      const world = await assertBilled(runDir);
      assert.deepEqual(invoices(runDir), ended('open', 'finalised'));
      assert.equal(world.invoices.filter((invoice) => invoice.status === 'open').length, 4);
    });
  }
}

await simulator.stop();
