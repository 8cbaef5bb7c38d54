// Closes out of a database and sends to the simulator: emit_database.mjs PERIODCLOSE FAULTY SIMULATOR FOLDER, with
// the libpq environment of a cluster. The records must say what invoice_items.csv says.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { startSimulator } from '../stripe_sim/simulator.mjs';
import { createDatabase, end, period, sql } from './fresh_database.mjs';

const [program, faulty, simulatorProgram, folder] = process.argv.slice(2);
const KEY = 'sk_test_simulator';
const ORGS = 600;

function freshDatabase(name) {
  createDatabase(program, name);
  sql(`insert into billing.plans (plan_id) values ('pro');
    insert into billing.prices (plan_id, metric, included, unit_price) values ('pro', 'tokens', 500000, 0.0001), ('pro', 'runs', 50, 1);
    insert into billing.orgs (org_id, status, stripe_customer_id, dodo_customer_id)
      select 'org_' || n, case when n = 5 then 'suspended' else 'active' end, case when n <> 7 then 'cus_' || n end, 'cus_' || n
      from generate_series(0, ${ORGS - 1}) as n;
    insert into billing.subscriptions (org_id, plan_id, starts_at) select org_id, 'pro', '2026-01-01Z' from billing.orgs;
    select billing.ensure_ledger_partition('${period}-05Z');
    insert into billing.usage_ledger (occurred_at, recorded_at, kind, org_id, metric, quantity, event_id)
      select '${period}-05Z'::timestamptz, '${period}-05Z'::timestamptz, 'delta'::billing.usage_kind, 'org_' || n, 'tokens', 750000 + n, 't'
      from generate_series(0, ${ORGS - 1}) as n
      union all
      select '${period}-06Z', '${period}-06Z', 'delta', 'org_' || n, 'runs', 60 + n % 9, 'r' from generate_series(0, ${ORGS - 1}) as n;`);
}

function run(simulator, words, env = {}, started = () => {}) {
  return new Promise((resolve) => {
    const child = spawn(env.PROGRAM ?? program, [...words, '--rate', env.RATE ?? 'none', '--retry-delay', '1', '--timeout', '2000'], {
      env: { ...process.env, STRIPE_API_BASE: simulator.base, STRIPE_API_KEY: KEY,
        DODO_PAYMENTS_API_BASE: simulator.base, DODO_PAYMENTS_API_KEY: KEY, ...env },
    });
    started(child);
    let out = '';
    child.stdout.on('data', (bytes) => { out += bytes; });
    child.stderr.on('data', (bytes) => { out += bytes; });
    const limit = setTimeout(() => child.kill('SIGKILL'), 240000);
    child.on('close', (status, signal) => {
      clearTimeout(limit);
      resolve({ status, signal, out });
    });
    simulator.ask({ do: 'client', pid: child.pid }).catch(() => {});
  });
}
const closeWords = (runDir, emit = 'stripe') => ['run', '--period', period, '--database', '', '--run-dir', runDir,
  '--emit', emit, '--now', end, ...(emit !== 'dodo' ? ['--test-key'] : [])];

const customers = (from = 0) => Array.from({ length: ORGS - from }, (_, n) => ({ id: `cus_${n + from}`, currency: 'usd' }));

// Every record says what invoice_items.csv says.
function checkRecords(runDir, hasIds = true) {
  const reported = fs.readFileSync(path.join(runDir, 'reports/invoice_items.csv'), 'utf8').trim().split('\n').slice(1)
    .map((line) => line.split(',')).map((row) => `${row[1]} ${row[2]} ${row[6]} ${hasIds ? row[8] : ''}`).sort();
  const recorded = sql(`select org_id || ' ' || metric_type || ' ' || item_status || ' ' || ${hasIds ? "coalesce(stripe_invoice_item_id, '')" : "''"}
    from billing.org_billing_overages`).split('\n').sort();
  assert.deepEqual(recorded.map((line) => line.trim()), reported.map((line) => line.trim()));
  return recorded;
}
const count = (lines, word) => lines.filter((line) => line.split(' ')[2] === word).length;

const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });

// sent, held and refused; what was refused is sent later, and the record says so
freshDatabase('calm');
await simulator.ask({ do: 'reset', seed: 1, key: KEY });
await simulator.ask({ do: 'add', customers: customers(2) }); // cus_0 and cus_1 are not there
const calm = path.join(folder, 'calm');
const refused = await run(simulator, closeWords(calm).filter((word) => word !== '--test-key')); // for all it knows it is the live one
assert.equal(refused.status, 2, refused.out);
assert.match(refused.out, /STRIPE_API_KEY is a key of test mode.*\nhint: .*--test-key/);
assert.deepEqual([fs.existsSync(calm), (await simulator.ask({ do: 'dump' })).stats.requests], [false, 0]);
let result = await run(simulator, closeWords(calm));
assert.equal(result.status, 21, result.out);
let records = checkRecords(calm);
assert.deepEqual([count(records, 'sent'), count(records, 'held'), count(records, 'failed')], [2 * (ORGS - 4), 4, 4]);
await simulator.ask({ do: 'add', customers: customers().slice(0, 2) });
result = await run(simulator, ['emit', calm, '--test-key']);
assert.equal(result.status, 4, result.out);
records = checkRecords(calm);
assert.deepEqual([count(records, 'sent'), count(records, 'held')], [2 * (ORGS - 2), 4]);
const items = (await simulator.ask({ do: 'dump' })).items;
assert.equal(items.length, 2 * (ORGS - 2));
assert.ok(records.includes(`org_0 tokens sent ${items.find((item) => item.metadata.org_id === 'org_0'
  && item.metadata.metric === 'tokens').id}`));

// another database than the one it was recorded in is refused, before anything is sent
freshDatabase('other');
result = await run(simulator, ['emit', calm, '--test-key', '--database', 'dbname=other']);
assert.equal(result.status, 13, result.out);
assert.match(result.out, /has recorded in database/);

// killed on the way, and started again until it is done
freshDatabase('killed');
await simulator.ask({ do: 'reset', seed: 3, key: KEY,
  faults: { seed: 3, per_mille: 20, faults_max: 12, kills_max: 4, kinds: ['kill_before', 'kill_done', 'kill_answered', '500_after'] } });
await simulator.ask({ do: 'add', customers: customers() });
const killed = path.join(folder, 'killed');
let kills = 0;
for (let start = 1; ; start += 1) {
  assert.ok(start < 20, result.out);
  result = await run(simulator, closeWords(killed));
  if (result.status === 4) break;
  assert.ok(result.signal === 'SIGKILL' || [21, 22].includes(result.status), result.out);
  kills += 1;
}
assert.ok(kills > 0);
records = checkRecords(killed);
assert.equal(count(records, 'sent'), 2 * (ORGS - 2));
assert.equal((await simulator.ask({ do: 'dump' })).items.length, 2 * (ORGS - 2));

// meters: the run directory is lost, and Stripe keeps identifiers no longer apart; the records know
freshDatabase('meters');
await simulator.ask({ do: 'reset', seed: 1, key: KEY });
await simulator.ask({ do: 'add', customers: customers() });
const meters = path.join(folder, 'meters');
for (const directory of [meters, path.join(folder, 'anew')]) {
  result = await run(simulator, closeWords(directory, 'stripe-meters'));
  assert.equal(result.status, 4, result.out);
  records = checkRecords(directory);
  assert.equal(count(records, 'sent'), 2 * (ORGS - 2));
  assert.equal((await simulator.ask({ do: 'dump' })).calls['POST /v1/billing/meter_events 200'], 2 * (ORGS - 2));
  fs.rmSync(meters, { recursive: true, force: true });
  await simulator.ask({ do: 'clock', advance_s: 2 * 86400 });
}
assert.match(result.out, /the database says that items were sent before/);

// … killed on the way, lost, and started again over a day later: what may have been sent stays unknown, the rest is
// never begun; with its run directory it goes on, however late
for (const isLost of [true, false]) {
  freshDatabase(isLost ? 'meters_lost' : 'meters_late');
  await simulator.ask({ do: 'reset', seed: 1, key: KEY, faults: { seed: 1, kills_max: 1, script: [
    { method: 'POST', path: '/v1/billing/meter_events', nth: 500, times: 1, kind: 'kill_done' }] } });
  await simulator.ask({ do: 'add', customers: customers() });
  const directory = path.join(folder, `meters-${isLost}`);
  result = await run(simulator, closeWords(directory, 'stripe-meters'));
  assert.equal(result.signal, 'SIGKILL', result.out);
  const begun = (await simulator.ask({ do: 'dump' })).meter_events.length;
  if (isLost) fs.rmSync(directory, { recursive: true });
  await simulator.ask({ do: 'clock', advance_s: 90000 });
  result = await run(simulator, closeWords(directory, 'stripe-meters'), { PROGRAM: faulty, FAULTY_CLOCK_S: '90000' });
  assert.equal(result.status, 22, result.out);
  records = checkRecords(directory);
  const there = (await simulator.ask({ do: 'dump' })).meter_events;
  assert.equal(new Set(there.map((event) => event.identifier)).size, there.length, 'none is there twice');
  assert.equal(count(records, 'sent') + count(records, 'unknown'), 2 * (ORGS - 2));
  assert.ok(there.length >= begun && (!isLost || there.length === begun && count(records, 'sent') === 0));
}

// Dodo: held without a subscription there
freshDatabase('dodo');
await simulator.ask({ do: 'reset', seed: 1, key: KEY });
result = await run(simulator, closeWords(path.join(folder, 'dodo'), 'dodo'));
assert.equal(result.status, 4, result.out);
assert.equal(count(checkRecords(path.join(folder, 'dodo')), 'held'), 2 * ORGS);

// two directories of one run: one dies before it has told the records, and over a day later the other goes on,
// whose journal knows nothing of it; while somebody else sends, it does not
freshDatabase('two');
await simulator.ask({ do: 'reset', seed: 7, key: KEY, faults: { seed: 7, kills_max: 2, script: [
  { method: 'POST', path: '/v1/invoiceitems', nth: 1, times: 1, kind: 'kill_before' },
  { method: 'POST', path: '/v1/invoiceitems', nth: 300, times: 1, kind: 'kill_done' }] } });
await simulator.ask({ do: 'add', customers: customers() });
const two = [path.join(folder, 'two-1'), path.join(folder, 'two-2')];
for (const directory of two) {
  result = await run(simulator, closeWords(directory));
  assert.equal(result.signal, 'SIGKILL', result.out);
}
const byNow = (await simulator.ask({ do: 'dump' })).items.length;
assert.ok(byNow > 200 && byNow < 2 * (ORGS - 2));
assert.equal(sql("select count(*) from billing.org_billing_overages where item_status = 'sent'"), '0');
await simulator.ask({ do: 'clock', advance_s: 180000 });
const late = { PROGRAM: faulty, FAULTY_CLOCK_S: '180000' };
const sender = spawn('psql', ['-X', '-q', '-At'], { stdio: ['pipe', 'pipe', 'inherit'] });
sender.stdin.write(`select pg_advisory_lock_shared(hashtextextended('periodclose emit ${period}-01', 0));\n`);
await new Promise((resolve) => { sender.stdout.once('data', resolve); });
result = await run(simulator, closeWords(two[0]), late);
assert.equal(result.status, 11, result.out);
assert.match(result.out, /begun out of another run directory/);
sender.stdin.end();
await new Promise((resolve) => { sender.on('close', resolve); });
assert.equal((await simulator.ask({ do: 'dump' })).items.length, byNow);
result = await run(simulator, closeWords(two[0]), late);
assert.equal(result.status, 4, result.out);
records = checkRecords(two[0]);
assert.equal(count(records, 'sent'), 2 * (ORGS - 2));
const once = (await simulator.ask({ do: 'dump' })).items;
assert.equal(new Set(once.map((item) => item.metadata.item_key)).size, once.length, 'none is there twice');
assert.equal(once.length, 2 * (ORGS - 2));

// what one directory was refused, another one has sent: the first knows of it by the records, also of what somebody
// has removed since, which no listing would tell; and where that one died before it told the records, by their marks,
// over a day later, when Stripe knows no key of it any more
for (const dies of [false, true]) {
  const name = dies ? 'refused_died' : 'refused';
  freshDatabase(name);
  await simulator.ask({ do: 'reset', seed: 1, key: KEY });
  await simulator.ask({ do: 'add', customers: customers(2) });
  const [first, other] = [path.join(folder, `${name}-1`), path.join(folder, `${name}-2`)];
  for (const directory of [first, other]) { // under the same keys
    result = await run(simulator, closeWords(directory));
    assert.equal(result.status, 21, result.out);
  }
  await simulator.ask({ do: 'add', customers: customers().slice(0, 2) });
  if (dies) {
    await simulator.ask({ do: 'faults', plan: { seed: 1, kills_max: 1, script: [
      { method: 'POST', path: '/v1/invoiceitems', nth: 2, times: 1, kind: 'kill_done' }] } });
  }
  result = await run(simulator, ['emit', other, '--test-key']);
  assert.equal(dies ? result.signal : result.status, dies ? 'SIGKILL' : 4, result.out);
  await simulator.ask({ do: 'faults', plan: null });
  const ofRefused = (await simulator.ask({ do: 'dump' })).items.filter((item) => ['org_0', 'org_1'].includes(item.metadata.org_id));
  assert.ok(dies ? ofRefused.length > 0 && ofRefused.length < 4 : ofRefused.length === 4, `${ofRefused.length} were sent`);
  assert.equal(sql("select count(*) from billing.org_billing_overages where item_status = 'sent' and org_id in ('org_0', 'org_1')"),
    dies ? '0' : '4');
  if (!dies) await simulator.ask({ do: 'remove', item: ofRefused[0].id });
  await simulator.ask({ do: 'clock', advance_s: 180000 });
  result = await run(simulator, ['emit', first, '--test-key'], { PROGRAM: faulty, FAULTY_CLOCK_S: '180000' });
  assert.equal(result.status, 4, result.out);
  const keys = (await simulator.ask({ do: 'dump' })).items.map((item) => item.metadata.item_key);
  assert.deepEqual([keys.length, new Set(keys).size], Array(2).fill(2 * (ORGS - 2) - (dies ? 0 : 1)), 'each once');
  assert.equal(count(checkRecords(first), 'sent'), 2 * (ORGS - 2));
}

// the server ends the connection while items are sent, and somebody else is alone before it is made anew: nothing more goes
freshDatabase('cut');
await simulator.ask({ do: 'reset', seed: 1, key: KEY });
await simulator.ask({ do: 'add', customers: customers() });
const cut = path.join(folder, 'cut');
const whole = run(simulator, [...closeWords(cut), '--in-flight', '1'], { RATE: '150' });
while ((await simulator.ask({ do: 'dump' })).items.length < 40) await new Promise((resolve) => { setTimeout(resolve, 20); });
const waiter = spawn('psql', ['-X', '-q', '-At'], { stdio: ['pipe', 'pipe', 'inherit'] });
waiter.stdin.write(`select pg_advisory_lock(hashtextextended('periodclose emit ${period}-01', 0));\n`);
while (sql("select count(*) from pg_locks where locktype = 'advisory' and not granted") === '0');
sql("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and mode = 'ShareLock' and granted");
result = await whole;
assert.equal(result.status, 11, result.out);
const whenCut = (await simulator.ask({ do: 'dump' })).items.length;
assert.ok(whenCut < ORGS, `${whenCut} were sent`);
waiter.stdin.end();
await new Promise((resolve) => { waiter.on('close', resolve); });
// … and where nobody was, it is made anew
const again = run(simulator, closeWords(cut), { RATE: '400' });
while ((await simulator.ask({ do: 'dump' })).items.length < whenCut + 100) await new Promise((resolve) => { setTimeout(resolve, 20); });
sql("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and mode = 'ShareLock' and granted");
result = await again;
assert.equal(result.status, 4, result.out);
assert.equal(count(checkRecords(cut), 'sent'), 2 * (ORGS - 2));
assert.equal((await simulator.ask({ do: 'dump' })).items.length, 2 * (ORGS - 2));
// The machine slept while items were sent, and the connection is lost: it can be made anew, and nobody is alone, but
// after 2.5 s (1.25 times --timeout) somebody may have been. Nothing more goes then; typed again, it goes on.
freshDatabase('slept');
await simulator.ask({ do: 'reset', seed: 1, key: KEY });
await simulator.ask({ do: 'add', customers: customers() });
const slept = path.join(folder, 'slept');
async function sleepAmidst(seconds, more) {
  const file = path.join(folder, `slept-${seconds}-s`);
  const before = (await simulator.ask({ do: 'dump' })).items.length;
  let child;
  const whole = run(simulator, [...closeWords(slept), '--in-flight', '1'], { PROGRAM: faulty, RATE: '200', FAULTY_SLEPT: file },
    (started) => { child = started; });
  while ((await simulator.ask({ do: 'dump' })).items.length < before + more) await new Promise((resolve) => { setTimeout(resolve, 20); });
  child.kill('SIGSTOP');
  sql("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and mode = 'ShareLock' and granted");
  fs.writeFileSync(file, String(seconds));
  const sent = (await simulator.ask({ do: 'dump' })).items.length;
  child.kill('SIGCONT');
  return { ...await whole, sent };
}
result = await sleepAmidst(3, 40);
assert.equal(result.status, 20, result.out);
assert.match(result.out, /the connection to .* was lost for [34] s: meanwhile somebody else may have sent items of the period/);
assert.match(result.out, /^hint: type the same command again: what is there is asked for first$/m);
const afterSleep = (await simulator.ask({ do: 'dump' })).items.length;
assert.ok(afterSleep <= result.sent + 1, `${afterSleep - result.sent} went after the sleep`); // one was under way
result = await sleepAmidst(1, 40);
assert.equal(result.status, 4, result.out);
assert.equal(count(checkRecords(slept), 'sent'), 2 * (ORGS - 2));
assert.equal((await simulator.ask({ do: 'dump' })).items.length, 2 * (ORGS - 2));

// recorded and never sent, then taken back: no credit goes for what nobody was billed, until that is sent
freshDatabase('taken_back');
await simulator.ask({ do: 'reset', seed: 1, key: KEY });
await simulator.ask({ do: 'add', customers: customers() });
const silent = ['run', '--period', period, '--database', '', '--run-dir', path.join(folder, 'silent'), '--now', end];
const plain = (words) => new Promise((resolve) => {
  const child = spawn(program, words, { env: process.env });
  let out = '';
  child.stdout.on('data', (bytes) => { out += bytes; });
  child.stderr.on('data', (bytes) => { out += bytes; });
  child.on('close', (status) => resolve({ status, out }));
});
result = await plain(silent);
assert.equal(result.status, 4, result.out);
result = await plain(['void', '--period', period, '--database', '', '--org', 'org_1', '--reason', 'never to be billed']);
assert.equal(result.status, 0, result.out);
const back = path.join(folder, 'back');
const ofOrg = (runDir) => fs.readFileSync(path.join(runDir, 'reports/invoice_items.csv'), 'utf8').trim().split('\n')
  .map((line) => line.split(',')).filter((row) => row[1] === 'org_1').map((row) => row.slice(2, 8).join(' '));
const waiting = ['runs 2 usd -11.00 held earlier_revision', 'tokens 2 usd -25.00 held earlier_revision'];
result = await run(simulator, [...closeWords(back), '--dry-run']);
assert.equal(result.status, 4, result.out);
assert.deepEqual(ofOrg(path.join(back, 'dry-run')), waiting);
assert.ok(!fs.readFileSync(path.join(back, 'dry-run/60-emit/requests.jsonl'), 'utf8').includes('[org_id]=org_1&'));
result = await run(simulator, closeWords(back));
assert.equal(result.status, 4, result.out);
assert.deepEqual(ofOrg(back), waiting);
const there = async () => (await simulator.ask({ do: 'dump' })).items;
const ofFirst = async () => (await there()).filter((item) => item.metadata.org_id === 'org_1').map((item) => item.amount);
assert.equal((await there()).length, 2 * (ORGS - 3));
assert.deepEqual(await ofFirst(), []);
result = await run(simulator, ['reconcile', back, '--test-key']);
assert.equal(result.status, 0, result.out);
result = await run(simulator, ['reconcile', '--period', period, '--database', '', '--repair', '--test-key', '--run-dir', path.join(folder, 'back-repair')]);
assert.equal((await ofFirst()).reduce((sum, amount) => sum + amount, 0), 0, result.out);
assert.equal((await ofFirst()).length, 4);
// … over all pages of orgs, once each: two items of every org, and two differences of one
assert.deepEqual(result.out.match(/^\d+ items compared/mg), Array(2).fill(`${2 * ORGS + 2} items compared`), result.out);
assert.equal((await there()).length, 2 * (ORGS - 2) + 2);
// … or it was billed by other means, somebody says
freshDatabase('by_others');
await simulator.ask({ do: 'reset', seed: 1, key: KEY });
await simulator.ask({ do: 'add', customers: customers() });
fs.rmSync(path.join(folder, 'silent'), { recursive: true });
assert.equal((await plain(silent)).status, 4);
assert.equal((await plain(['void', '--period', period, '--database', '', '--org', 'org_1', '--reason', 'goodwill'])).status, 0);
result = await run(simulator, [...closeWords(path.join(folder, 'others')), '--earlier-billed']);
assert.equal(result.status, 4, result.out);
assert.deepEqual((await ofFirst()).sort(), [-1100, -2500]);

console.log('sent, held, refused, later, elsewhere, killed: as they should be');
await simulator.stop();
