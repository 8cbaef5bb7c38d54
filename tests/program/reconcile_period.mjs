// The run directory is lost: what was recorded in the database and the metadata at the other side are
// enough. reconcile_period.mjs PERIODCLOSE FAULTY SIMULATOR FOLDER, with the libpq environment of a cluster.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { runKillable } from '../emit/close.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';
import { createDatabase, end, period, sql } from './fresh_database.mjs';

const [program, faulty, simulatorProgram, folder] = process.argv.slice(2);
const KEY = 'sk_test_simulator';
const ORGS = 40;

// org_5 is suspended, org_7 has no customer, org_9 uses nothing beyond its plan.
function freshDatabase(name) {
  createDatabase(program, name);
  sql(`insert into billing.plans (plan_id) values ('pro');
    insert into billing.prices (plan_id, metric, included, unit_price, unit) values
      ('pro', 'tokens', 500000, 0.0001, null), ('pro', 'runs', 50, 1, 'runs');
    insert into billing.orgs (org_id, status, stripe_customer_id, dodo_customer_id, stripe_item_mode)
      select 'org_' || n, case when n = 5 then 'suspended' else 'active' end, case when n <> 7 then 'cus_' || n end, 'cus_' || n,
        case when n % 3 = 0 then 'quantity' else 'amount' end
      from generate_series(0, ${ORGS - 1}) as n;
    insert into billing.subscriptions (org_id, plan_id, starts_at) select org_id, 'pro', '2026-01-01Z' from billing.orgs;
    select billing.ensure_ledger_partition('${period}-05Z');
    insert into billing.usage_ledger (occurred_at, recorded_at, kind, org_id, metric, quantity, event_id)
      select '${period}-05Z'::timestamptz, '${period}-05Z'::timestamptz, 'delta'::billing.usage_kind, 'org_' || n, 'tokens', 750000 + 1000 * n, 't'
      from generate_series(0, ${ORGS - 1}) as n where n <> 9
      union all
      select '${period}-06Z', '${period}-06Z', 'delta', 'org_' || n, 'runs', 60 + n % 9, 'r' from generate_series(0, ${ORGS - 1}) as n where n <> 9;`);
}
const ITEMS = (ORGS - 1) * 2;
const HELD = 4;

const run = (words, { by = program, ...env } = {}) => runKillable(by, simulator,
  [...words, '--rate', 'none', '--retry-delay', '1', '--timeout', '2000'], { STRIPE_API_BASE: simulator.base,
    STRIPE_API_KEY: KEY, DODO_PAYMENTS_API_BASE: simulator.base, DODO_PAYMENTS_API_KEY: KEY, ...env }, KEY);
const closeWords = (runDir, emit = 'stripe') => ['run', '--period', period, '--database', '', '--run-dir', runDir,
  '--emit', emit, '--now', end, ...(emit !== 'dodo' ? ['--test-key'] : [])];
const repairs = path.join(folder, 'repairs');
async function reconcile(words = [], emit = 'stripe', env = {}) {
  const result = await run(['reconcile', '--period', period, '--database', '', '--emit', emit, '--json',
    ...(emit !== 'dodo' ? ['--test-key'] : []), ...words], env);
  const lines = result.stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  return { ...result, first: lines[0], last: lines.at(-1) };
}
const kinds = (told) => Object.fromEntries(Object.entries(told.counts).filter(([, count]) => count > 0));
const dump = () => simulator.ask({ do: 'dump' });
const statuses = () => Object.fromEntries(sql(`select item_status, count(*) from billing.org_billing_overages where billed <> 0
  group by 1 order by 1`).split('\n').map((line) => line.split('|')).map(([word, count]) => [word, Number(count)]));
async function reset(faults) {
  await simulator.ask({ do: 'reset', seed: 1, key: KEY, ...(faults ? { faults } : {}) });
  await simulator.ask({ do: 'add', customers: Array.from({ length: ORGS }, (_, n) => ({ id: `cus_${n}`, currency: 'usd' })) });
}
function post(item, more) {
  const fields = { customer: item.customer, amount: item.amount, currency: 'usd', ...more,
    ...Object.fromEntries(Object.entries(item.metadata).map(([name, value]) => [`metadata[${name}]`, value])) };
  return fetch(`${simulator.base}/v1/invoiceitems`, { method: 'POST', headers: { Authorization: `Bearer ${KEY}`,
    'Stripe-Version': '2026-07-29.dahlia' }, body: new URLSearchParams(fields) });
}
async function assertBilled() {
  const { items } = await dump();
  const told = sql(`select org_id || ' ' || metric_type || ' ' || (billed * 100)::bigint || ' ' || stripe_invoice_item_id
    from billing.org_billing_overages where item_status = 'sent' and billed <> 0`).split('\n').sort();
  assert.deepEqual(items.map((item) => `${item.metadata.org_id} ${item.metadata.metric} ${item.amount} ${item.id}`).sort(), told);
}

const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });

// sent, then compared: as recorded, without a run directory
freshDatabase('calm');
await reset();
const lost = path.join(folder, 'lost');
let result = await run(closeWords(lost));
assert.equal(result.status, 4, result.out);
fs.rmSync(lost, { recursive: true });
const sentDescriptions = (await dump()).items.map((item) => `${item.metadata.item_key} ${item.description} ${item.metadata.run_id}`).sort();
let told = await reconcile();
assert.equal(told.status, 0, `${told.signal} ${told.out}`);
assert.deepEqual([told.first.items, told.first.as_recorded], [ITEMS, ITEMS]);
const { calls } = await dump();
assert.equal(calls['GET /v1/invoiceitems 200'] >= ORGS - 1, true, 'every customer is looked at');
result = await run(['reconcile', '--period', '2001-02', '--database', '', '--test-key']);
assert.equal(result.status, 13, result.out);
result = await run(['reconcile', '--period', period, '--database', '']);
assert.equal(result.status, 2, result.out);

// an org that has another customer now: its items are looked for by their ids, where they were sent to
sql(`update billing.orgs set stripe_customer_id = 'cus_9' where org_id in ('org_3', 'org_4')`);
told = await reconcile();
assert.equal(told.status, 0, told.out);
assert.deepEqual([told.first.items, told.first.as_recorded], [ITEMS, ITEMS]);
// … or none at all
sql(`update billing.orgs set stripe_customer_id = null where org_id = 'org_4'`);
const ofFourth = (await dump()).items.filter((item) => item.metadata.org_id === 'org_4');
await simulator.ask({ do: 'remove', item: ofFourth[0].id });
told = await reconcile();
assert.equal(told.status, 15, told.out);
assert.deepEqual([kinds(told.first), told.first.as_recorded], [{ removed_at_stripe: 1 }, ITEMS - 1]);
sql(`update billing.orgs set stripe_customer_id = 'cus_' || substr(org_id, 5) where org_id in ('org_3', 'org_4')`);
told = await reconcile(['--resend', ofFourth[0].metadata.item_key, '--run-dir', path.join(folder, 'fourth')]);
assert.equal(told.status, 4, told.out);

// removed, and extra at a customer that is billed nothing: told, never sent again by itself, deleted by nobody
const items = (await dump()).items;
const removed = items.find((item) => item.metadata.org_id === 'org_12' && item.metadata.metric === 'runs');
await simulator.ask({ do: 'remove', item: removed.id });
await post({ ...removed, metadata: { ...removed.metadata, org_id: 'org_9', item_key: 'ab'.repeat(16) } }, { customer: 'cus_9', amount: 500 });
told = await reconcile(['--repair', '--run-dir', repairs]);
assert.equal(told.status, 15, told.out);
assert.deepEqual(kinds(told.last), { removed_at_stripe: 1, extra: 1 });
assert.equal((await dump()).items.length, items.length);
assert.match(told.out, /^note: extra: .*nothing that stands at Stripe is deleted by us: look up the id .* in the dashboard/m);
assert.match(told.out, /^note: removed_at_stripe: .*--resend KEY sends it again/m);
assert.equal(told.out.match(/^next: .*$/m)[0], `next: periodclose reconcile --period ${period} --database '' --run-dir ${repairs}`
  + ' --emit stripe --test-key --rate none --timeout 2000 --retry-delay 1 --json');
// … nor by a close out of the database in a new run directory
result = await run(closeWords(lost));
assert.equal(result.status, 4, result.out);
assert.match(result.out, /the database says that items were sent before/);
assert.equal((await dump()).items.length, items.length);
// but by its key
told = await reconcile(['--resend', removed.metadata.item_key, '--run-dir', repairs]);
assert.equal(told.status, 15, told.out);
assert.deepEqual(kinds(told.last), { extra: 1 });
const again = (await dump()).items.filter((item) => item.metadata.item_key === removed.metadata.item_key);
assert.deepEqual([again.length, again[0].amount, again[0].description], [1, removed.amount, removed.description]);
assert.equal(sql(`select stripe_invoice_item_id from billing.org_billing_overages where org_id = 'org_12' and metric_type = 'runs'`), again[0].id);
told = await reconcile(['--resend', removed.metadata.item_key, '--run-dir', repairs]);
assert.equal(told.status, 13, told.out);

// the sending died on the way, and its run directory is gone: what is there is noted, the rest is sent, once
freshDatabase('died');
await reset({ seed: 5, kills_max: 1, script: [{ method: 'POST', path: '/v1/invoiceitems', nth: 31, times: 1, kind: 'kill_done' }] });
result = await run(closeWords(lost + '2'));
assert.equal(result.signal, 'SIGKILL', result.out);
await simulator.ask({ do: 'faults', plan: null });
fs.rmSync(lost + '2', { recursive: true });
const there = (await dump()).items.length;
assert.ok(there >= 31 && there < ITEMS - HELD);
told = await reconcile();
assert.equal(told.status, 15, told.out);
assert.deepEqual([told.first.counts.not_recorded, told.first.counts.never_sent, told.first.as_recorded],
  [there, ITEMS - HELD - there, HELD]);
assert.match(told.out, /next: .*reconcile --period .* --repair/);
assert.equal((await dump()).items.length, there, 'comparing sends nothing');
// … also when it is killed itself, hours pass, and its folder is lost again
await simulator.ask({ do: 'faults', plan: { seed: 6, kills_max: 2, script: [
  { method: 'POST', path: '/v1/invoiceitems', nth: 5, times: 1, kind: 'kill_done' },
  { method: 'POST', path: '/v1/invoiceitems', nth: 15, times: 1, kind: 'kill_answered' }] } });
let ahead = 0;
for (let start = 1; ; start += 1) {
  assert.ok(start < 9, told.out);
  told = await reconcile(['--repair', '--run-dir', path.join(folder, 'died')], 'stripe', { by: faulty, FAULTY_CLOCK_S: String(ahead) });
  if (told.status === 4) break;
  assert.ok(told.signal === 'SIGKILL' || [15, 21, 22].includes(told.status), told.out);
  if (start === 1) fs.rmSync(path.join(folder, 'died'), { recursive: true });
  ahead += 90000;
  await simulator.ask({ do: 'clock', advance_s: 90000 });
}
assert.ok(ahead >= 180000);
assert.deepEqual(statuses(), { held: HELD, sent: ITEMS - HELD });
await assertBilled();
const healed = (await dump()).items.map((item) => `${item.metadata.item_key} ${item.description}`).sort();
assert.deepEqual(healed.map((line) => line.split(' ').slice(1).join(' ')),
  sentDescriptions.map((line) => line.split(' ').slice(1, -1).join(' ')), 'the same words on the bill');
told = await reconcile();
assert.equal(told.status, 0, `${told.signal} ${told.out}`);
// a suspended org that is active again, and one that has a customer now, are sent like any other
sql(`update billing.orgs set status = 'active', stripe_customer_id = 'cus_' || substr(org_id, 5)`);
told = await reconcile(['--repair', '--run-dir', path.join(folder, 'died')], 'stripe', { by: faulty, FAULTY_CLOCK_S: String(ahead) });
assert.equal(told.status, 0, `${told.signal} ${told.out}`);
assert.deepEqual(statuses(), { sent: ITEMS });
await assertBilled();

// a difference waits for what it differs from
sql(`insert into billing.usage_ledger (occurred_at, recorded_at, kind, org_id, metric, quantity, event_id)
  values ('${period}-07Z', now(), 'delta', 'org_3', 'runs', 100, 'late')`);
execFileSync(program, ['recalculate', '--period', period, '--database', '', '--org', 'org_3', '--run-dir', path.join(folder, 'more'),
  '--force', '--reason', 'late'], { stdio: ['ignore', 'ignore', 'inherit'] });
told = await reconcile();
assert.deepEqual(kinds(told.first), { never_sent: 1 });
told = await reconcile(['--repair', '--run-dir', path.join(folder, 'died')]);
assert.equal(told.status, 0, `${told.signal} ${told.out}`);
await assertBilled();
assert.equal((await dump()).items.filter((item) => item.metadata.org_id === 'org_3' && item.metadata.metric === 'runs')
  .map((item) => `${item.metadata.revision} ${item.amount}`).sort().join(), '1 1300,2 10000');

// a repair dies before it has told the records, its folder is lost, and days later the run directory comes back
freshDatabase('back');
await reset({ seed: 5, kills_max: 2, script: [{ method: 'POST', path: '/v1/invoiceitems', nth: 31, times: 1, kind: 'kill_done' },
  { method: 'POST', path: '/v1/invoiceitems', nth: 45, times: 1, kind: 'kill_done' }] });
const back = path.join(folder, 'back');
result = await run(closeWords(back));
assert.equal(result.signal, 'SIGKILL', result.out);
told = await reconcile(['--repair', '--run-dir', path.join(folder, 'back-repairs')]);
assert.equal(told.signal, 'SIGKILL', told.out);
assert.equal(statuses().sent, undefined, 'the records were not told');
fs.rmSync(path.join(folder, 'back-repairs'), { recursive: true });
await simulator.ask({ do: 'clock', advance_s: 180000 });
result = await run(closeWords(back), { by: faulty, FAULTY_CLOCK_S: '180000' });
assert.equal(result.status, 4, result.out);
assert.deepEqual(statuses(), { held: HELD, sent: ITEMS - HELD });
await assertBilled();

// nobody repairs what somebody is sending, and the other way round
const holder = spawn('psql', ['-X', '-q', '-At'], { stdio: ['pipe', 'pipe', 'inherit'] });
holder.stdin.write(`select pg_advisory_lock(hashtextextended('periodclose emit ${period}-01', 0));\n`);
await new Promise((resolve) => { holder.stdout.once('data', resolve); });
told = await reconcile(['--repair', '--run-dir', path.join(folder, 'back-repairs')]);
assert.equal(told.status, 11, told.out);
result = await run(['emit', back, '--test-key']);
assert.equal(result.status, 11, result.out);
holder.stdin.end();
await new Promise((resolve) => { holder.on('close', resolve); });

// a run directory is not taken for a folder of repairs
fs.writeFileSync(path.join(folder, 'manifest.json'), '{}');
told = await reconcile(['--repair', '--run-dir', folder]);
assert.equal(told.status, 13, told.out);

// a folder of repairs that is complete looks for what was begun elsewhere since, also at a customer that the org does not
// have any more: that is told, and the others are sent
freshDatabase('moved');
await reset();
const moved = path.join(folder, 'moved');
const movedRepairs = path.join(folder, 'moved-repairs');
result = await run([...closeWords(moved), '--until', 'record']);
assert.ok([0, 4].includes(result.status), result.out);
told = await reconcile(['--no-standalone', '--repair', '--run-dir', movedRepairs]); // nothing of it can be sent
assert.deepEqual([told.status, (await dump()).items.length], [4, 0], told.out);
await simulator.ask({ do: 'faults', plan: { seed: 9, kills_max: 1, script: [
  { method: 'POST', path: '/v1/invoiceitems', nth: 60, times: 1, kind: 'kill_done' }] } });
result = await run(closeWords(moved));
assert.equal(result.signal, 'SIGKILL', result.out);
await simulator.ask({ do: 'faults', plan: null });
fs.rmSync(moved, { recursive: true });
const atOld = (await dump()).items;
const [ofMoved, ofEdited] = [...new Set(atOld.map((item) => item.metadata.org_id))].map((org) =>
  atOld.filter((item) => item.metadata.org_id === org)).filter((some) => some.length === 2);
sql(`update billing.orgs set stripe_customer_id = 'cus_9' where org_id = '${ofMoved[0].metadata.org_id}'`);
await simulator.ask({ do: 'remove', item: ofEdited[0].id });
await post(ofEdited[0], { amount: ofEdited[0].amount + 5 }); // by hand
await simulator.ask({ do: 'clock', advance_s: 180000 }); // no key is known any more
told = await reconcile(); // without a folder nothing is sent, and what it says is the same
assert.equal(told.status, 15, told.out);
assert.deepEqual(kinds(told.first), { never_sent: ITEMS - HELD - atOld.length, different: 3, not_recorded: atOld.length - 3 });
assert.deepEqual(told.first.findings.filter((finding) => finding.kind === 'different' && finding.org_id === ofMoved[0].metadata.org_id)
  .map((finding) => finding.their_id).sort(), ofMoved.map((item) => item.id).sort());
for (const start of [1, 2]) {
  told = await reconcile(['--repair', '--run-dir', movedRepairs], 'stripe', { by: faulty, FAULTY_CLOCK_S: '180000' });
  assert.equal(told.status, 15, `${start}: ${told.signal} ${told.out}`);
  assert.deepEqual(kinds(told.last), { different: 3 });
  assert.deepEqual(told.last.findings.map((finding) => finding.org_id).sort(),
    [...ofMoved.map((item) => item.metadata.org_id), ofEdited[0].metadata.org_id].sort());
}
const byKey = (await dump()).items.map((item) => item.metadata.item_key);
assert.deepEqual([byKey.length, new Set(byKey).size], [ITEMS - HELD, ITEMS - HELD], 'each is billed once');
assert.deepEqual(statuses(), { held: HELD, sent: ITEMS - HELD - 3, unknown: 3 });
result = await run(closeWords(moved), { by: faulty, FAULTY_CLOCK_S: '180000' }); // nor by a run
assert.equal(result.status, 23, result.out);
assert.equal((await dump()).items.length, byKey.length);

// what was held is sent by emit as the database has its org now
freshDatabase('later');
await reset();
const later = path.join(folder, 'later');
result = await run(closeWords(later));
assert.equal(result.status, 4, result.out);
assert.deepEqual(statuses(), { held: HELD, sent: ITEMS - HELD });
sql(`update billing.orgs set status = 'active', stripe_customer_id = 'cus_' || substr(org_id, 5)`);
result = await run(['emit', later, '--test-key']);
assert.equal(result.status, 0, result.out);
assert.deepEqual(statuses(), { sent: ITEMS });
await assertBilled();

// what waits for an invoice to come is held, and not taken for never sent; a repair looks whether it still has to wait
freshDatabase('waiting');
await reset();
const waiting = path.join(folder, 'waiting');
result = await run([...closeWords(waiting), '--no-standalone']);
assert.equal(result.status, 4, result.out);
assert.deepEqual(statuses(), { held: ITEMS });
told = await reconcile(['--no-standalone']);
assert.equal(told.status, 0, told.out);
assert.deepEqual([kinds(told.first), told.first.as_recorded], [{}, ITEMS]);
const wait = ['reconcile', waiting, '--json', '--test-key'];
result = await run(wait);
assert.equal(result.status, 0, result.out);
result = await run([...wait, '--repair']);
assert.equal(result.status, 4, result.out);
assert.equal((await dump()).items.length, 0);
await simulator.ask({ do: 'add', subscriptions: [{ id: 'sub_1', object: 'subscription', customer: 'cus_1', status: 'active', currency: 'usd',
  items: { data: [{ current_period_end: Math.floor(Date.now() / 1000) + 86400 }] } }] });
sql("update billing.orgs set stripe_subscription_id = 'sub_1' where org_id = 'org_1'");
told = await reconcile(['--no-standalone', '--repair', '--run-dir', path.join(folder, 'waiting-repairs')]);
assert.equal(told.status, 4, told.out);
assert.deepEqual(kinds(told.last), {});
assert.deepEqual(statuses(), { held: ITEMS - 2, sent: 2 });

// lines of invoices of our own have no invoice items that a record could name: they are looked for on those invoices
const asLines = ['--attach', 'invoice', '--batch', 'lines'];
const sharing = () => sql("update billing.orgs set stripe_customer_id = 'cus_20' where org_id between 'org_20' and 'org_28'");
const linesThere = async () => Object.values((await dump()).lines).flat();
const posts = async () => Object.entries((await dump()).calls).filter(([name]) => name.startsWith('POST ')).sort().join();
freshDatabase('lines');
sharing();
await reset();
result = await run([...closeWords(path.join(folder, 'lines')), ...asLines]);
assert.equal(result.status, 4, result.out);
fs.rmSync(path.join(folder, 'lines'), { recursive: true });
let lines = await linesThere();
const alone = lines.filter((line) => line.parent === null);
assert.equal(lines.length, ITEMS - HELD);
assert.ok(alone.length > ITEMS / 2);
assert.ok(Object.values((await dump()).lines).some((some) => some.length > 10), 'more than come with their invoice');
let before = await posts();
told = await reconcile();
assert.equal(told.status, 0, `${told.signal} ${told.out}`);
assert.deepEqual([told.first.items, told.first.as_recorded], [ITEMS, ITEMS]);
told = await reconcile(['--repair', '--run-dir', path.join(folder, 'line-repairs')]);
assert.equal(told.last.findings.length, 0, told.out);
told = await reconcile(['--resend', alone[0].metadata.item_key, '--run-dir', path.join(folder, 'line-repairs')]);
assert.equal(told.status, 13, told.out);
// … also those of an org that has another customer now, or none
sql("update billing.orgs set stripe_customer_id = 'cus_9' where org_id = 'org_1'");
sql("update billing.orgs set stripe_customer_id = null where org_id = 'org_2'");
told = await reconcile();
assert.equal(told.status, 0, `${told.signal} ${told.out}`);
assert.deepEqual([told.first.items, told.first.as_recorded], [ITEMS, ITEMS]);
sql("update billing.orgs set stripe_customer_id = 'cus_' || substr(org_id, 5) where org_id in ('org_1', 'org_2')");
// … with their amounts
sql(`alter table billing.org_billing_overages drop constraint overages_billed_is_the_difference;
  set session_replication_role = replica; update billing.org_billing_overages set billed = billed + 1 where org_id = 'org_22' and metric_type = 'runs'`);
told = await reconcile();
assert.equal(told.status, 15, told.out);
assert.deepEqual(kinds(told.first), { different: 1 });
sql("set session_replication_role = replica; update billing.org_billing_overages set billed = billed - 1 where org_id = 'org_22' and metric_type = 'runs'");
assert.equal(await posts(), before, 'nothing was sent');
// … with more that stands on their invoices: of ours that nobody recorded, a second one, and one that somebody put there, on
// an invoice of several orgs
const onShared = lines.find((line) => line.metadata.org_id === 'org_21');
const onFirst = lines.find((line) => line.metadata.org_id === 'org_1' && line.parent === null);
const addLine = (line, amount, metadata) => simulator.ask({ do: 'line', invoice: line.invoice, amount, metadata });
await addLine(onFirst, 700, { ...onFirst.metadata, item_key: 'cd'.repeat(16), metric: 'm7' });
await addLine(onFirst, onFirst.amount, onFirst.metadata);
await addLine(onShared, 900, {});
told = await reconcile(['--repair', '--run-dir', path.join(folder, 'line-repairs')]);
assert.equal(told.status, 15, told.out);
assert.deepEqual(told.last.findings.map((finding) => [finding.kind, finding.metric, finding.theirs.amount, finding.item_key]).sort(), [
  ['extra', 'm7', '7.00', 'cd'.repeat(16)], ['extra', onFirst.metadata.metric, (onFirst.amount / 100).toFixed(2), onFirst.metadata.item_key],
  ['extra', null, '9.00', null]].sort());
assert.deepEqual(told.last.as_recorded, ITEMS);
assert.equal(await posts(), before, 'nothing was sent');
for (const invoice of [onFirst.invoice, onFirst.invoice, onShared.invoice]) await simulator.ask({ do: 'line', invoice, remove: true, last: true });
told = await reconcile();
assert.equal(told.status, 0, `${told.signal} ${told.out}`);
// … and one that was removed is missed
await simulator.ask({ do: 'line', invoice: lines.find((line) => line.metadata.org_id === 'org_8').invoice, remove: true });
told = await reconcile(['--repair', '--run-dir', path.join(folder, 'line-repairs')]);
assert.equal(told.status, 15, told.out);
assert.deepEqual(kinds(told.last), { removed_at_stripe: 1 });
assert.equal(told.last.findings[0].org_id, 'org_8');
assert.equal((await linesThere()).length, ITEMS - HELD - 1);

// lines whose sending died before the records were told, and a folder of repairs that began before it
freshDatabase('line-died');
sharing();
await reset();
const lineRun = path.join(folder, 'line-died');
const lineRepairs = path.join(folder, 'line-died-repairs');
result = await run([...closeWords(lineRun), ...asLines, '--until', 'record']);
assert.ok([0, 4].includes(result.status), result.out);
told = await reconcile(['--no-standalone', '--repair', '--run-dir', lineRepairs]);
assert.deepEqual([told.status, (await dump()).items.length], [4, 0], told.out);
await simulator.ask({ do: 'faults', plan: { seed: 7, kills_max: 1, script: [
  { method: 'POST', path: '/v1/invoices/', ends: '/add_lines', nth: 9, times: 1, kind: 'kill_done' }] } });
result = await run([...closeWords(lineRun), ...asLines]);
assert.equal(result.signal, 'SIGKILL', result.out);
await simulator.ask({ do: 'faults', plan: null });
fs.rmSync(lineRun, { recursive: true });
lines = await linesThere();
assert.ok(lines.filter((line) => line.parent === null).length >= 16);
told = await reconcile();
assert.equal(told.first.counts.not_recorded, lines.length, told.out);
told = await reconcile(['--repair', '--run-dir', lineRepairs]);
assert.equal(told.status, 4, told.out);
assert.deepEqual(statuses(), { held: HELD, sent: ITEMS - HELD });
const billedKeys = async () => {
  const { items: there } = await dump();
  return [...(await linesThere()).filter((line) => line.parent === null), ...there].map((one) => one.metadata.item_key);
};
const billed = await billedKeys();
assert.deepEqual([billed.length, new Set(billed).size], [ITEMS - HELD, ITEMS - HELD], 'each is billed once');
told = await reconcile();
assert.equal(told.status, 0, `${told.signal} ${told.out}`);

// Dodo: the same
freshDatabase('dodo');
await reset();
const cycle = { previous_billing_date: new Date(Date.now() - 20 * 86400e3).toISOString(),
  next_billing_date: new Date(Date.now() + 10 * 86400e3).toISOString() };
const meters = ['tokens', 'runs'].map((metric) => ({ id: `mtr_${metric}`, name: metric, event_name: `overage.${metric}`,
  measurement_unit: 'cent', aggregation: { type: 'sum', key: 'amount' } }));
const subscriptions = Array.from({ length: ORGS }, (_, n) => ({ id: `sub_${n}`, subscription_id: `sub_${n}`, status: 'active',
  customer: { customer_id: `cus_${n}` }, product_id: 'pdt_1', currency: 'USD', ...cycle,
  meters: meters.map((meter) => ({ meter_id: meter.id, currency: 'USD', free_threshold: 0, price_per_unit: '1' })) }));
await simulator.ask({ do: 'add', subscriptions, meters });
await simulator.ask({ do: 'faults', plan: { seed: 1, kills_max: 1, script: [{ method: 'POST', path: '/events/ingest', nth: 1, times: 1, kind: 'kill_done' }] } });
result = await run(closeWords(path.join(folder, 'dodo'), 'dodo'));
assert.equal(result.signal, 'SIGKILL', result.out);
fs.rmSync(path.join(folder, 'dodo'), { recursive: true });
assert.equal(sql(`select count(*) || ' ' || count(distinct stripe_invoice_item_id) from billing.org_billing_overages
  where item_status = 'unknown'`), `${ITEMS - 2} 1`, 'they may have been sent, by one journal');
const [gone, ...rest] = (await dump()).dodo_events;
await simulator.ask({ do: 'remove_event', event: gone.event_id });
told = await reconcile([], 'dodo');
assert.equal(told.status, 15, told.out);
assert.deepEqual(kinds(told.first), { never_sent: 1, not_recorded: rest.length });
told = await reconcile(['--repair', '--run-dir', path.join(folder, 'dodo-repairs')], 'dodo');
assert.equal(told.status, 4, told.out);
assert.deepEqual(kinds(told.last), {});
assert.deepEqual(statuses(), { held: 2, sent: ITEMS - 2 });
assert.equal((await dump()).dodo_events.length, ITEMS - 2);
const eventIds = async () => (await dump()).dodo_events.map((event) => event.event_id).sort().join('\n');
const recordedIds = () => sql("select stripe_invoice_item_id from billing.org_billing_overages where item_status = 'sent'").split('\n').sort().join('\n');
assert.equal(recordedIds(), await eventIds());
// … a directory whose journal is complete knows of what another one has begun by the records, and asks for it
freshDatabase('dodo_two');
await reset();
await simulator.ask({ do: 'add', subscriptions, meters });
const dodoTwo = ['dodo-1', 'dodo-2'].map((name) => path.join(folder, name));
await simulator.ask({ do: 'faults', plan: { seed: 1, kills_max: 2, script: [
  { method: 'POST', path: '/events/ingest', nth: 1, times: 1, kind: 'kill_before' },
  { method: 'POST', path: '/events/ingest', nth: 2, times: 1, kind: 'kill_done' }] } });
for (const directory of dodoTwo) {
  result = await run(closeWords(directory, 'dodo'));
  assert.equal(result.signal, 'SIGKILL', result.out);
}
await simulator.ask({ do: 'faults', plan: null });
result = await run(closeWords(dodoTwo[0], 'dodo'));
assert.equal(result.status, 4, result.out);
assert.deepEqual(statuses(), { held: 2, sent: ITEMS - 2 });
assert.equal(recordedIds(), await eventIds());
result = await run(closeWords(dodoTwo[1], 'dodo'));
assert.equal(result.status, 4, result.out);
assert.equal((await dump()).calls['POST /events/ingest 200'], 1, 'nothing was sent again');

// meters: nobody can be asked; after a day what has no word about its sending is unknown
freshDatabase('meters');
await reset();
result = await run([...closeWords(path.join(folder, 'meters'), 'stripe-meters'), '--until', 'record']);
assert.ok([0, 4].includes(result.status), result.out);
const day = { by: faulty, FAULTY_CLOCK_S: '90000' };
sql("update billing.org_billing_overages set item_status = 'unknown' where org_id in ('org_3', 'org_4')"); // about to be sent
told = await reconcile(['--repair', '--run-dir', path.join(folder, 'meter-repairs')], 'stripe-meters', day);
assert.equal(told.status, 22, told.out);
assert.deepEqual(kinds(told.last), { unknown: 4 });
assert.equal((await dump()).meter_events.length, ITEMS - HELD - 4);
const [one, ...others] = told.last.findings.map((finding) => finding.item_key);
told = await reconcile(['--resend', one, '--run-dir', path.join(folder, 'meter-repairs')], 'stripe-meters', day);
assert.equal(told.status, 22, told.out);
assert.deepEqual(told.last.findings.map((finding) => finding.item_key), others);
assert.ok((await dump()).meter_events.some((event) => event.identifier === one));
told = await reconcile(['--repair', '--never-sent', '--run-dir', path.join(folder, 'meter-repairs')], 'stripe-meters', day);
assert.equal(told.status, 4, told.out);
assert.equal((await dump()).meter_events.length, ITEMS - HELD);
told = await reconcile([], 'stripe-meters', day);
assert.equal(told.status, 0, `${told.signal} ${told.out}`);

console.log('compared, noted, sent, held, sent again by key: out of the database alone');
await simulator.stop();
