// push against a database and Dodo's simulator: push.mjs PERIODCLOSE FAULTY SIMULATOR, with the libpq
// environment of a migrated, empty database. FAULTY is the program over a clock that can be moved.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, faulty, simulatorProgram] = process.argv.slice(2);
const KEY = 'dodo_test_simulator';
const SEEDS = Number(process.env.SEEDS ?? 5);
const FAULT_KINDS = ['refuse', 'reset_before', 'reset_after', 'close_after', '500_before', '500_after', '409',
  '429_locked', 'stall_after', 'truncate', 'not_json_502', 'not_json_after', 'kill_before', 'kill_done',
  'kill_answered'];

const sql = (text) => execFileSync('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1'], { input: text, encoding: 'utf8' })
  .trim();

function start(simulator, { by = program, words = [], ...env } = {}) {
  const child = spawn(by, ['push', '--database', '', '--rate', 'none', '--retry-delay', '1', '--timeout', '20000', ...words], {
    env: { ...process.env, DODO_PAYMENTS_API_BASE: simulator.base, DODO_PAYMENTS_API_KEY: KEY, ...env },
  });
  return { child, done: new Promise((resolve) => {
    let out = '';
    child.stdout.on('data', (bytes) => { out += bytes; });
    child.stderr.on('data', (bytes) => { out += bytes; });
    const limit = setTimeout(() => child.kill('SIGKILL'), 240000);
    child.on('close', (status, signal) => {
      clearTimeout(limit);
      resolve({ status, signal, out });
    });
  }) };
}
async function push(simulator, env) {
  const { child, done } = start(simulator, env);
  await simulator.ask({ do: 'client', pid: child.pid }).catch(() => {});
  return done;
}

const ORGS = 20;
async function reset(simulator, faults = undefined) {
  await simulator.ask({ do: 'reset', seed: 1, key: KEY, ...(faults ? { faults } : {}) });
  await simulator.ask({ do: 'add', customers: Array.from({ length: ORGS }, (_, n) => ({ id: `cus_${n}` })) });
}
const eventsOf = async (simulator) => (await simulator.ask({ do: 'dump' })).dodo_events;

// What Dodo should have: org's customer, metric and quantity of every row since a mark.
const ledger = (where) => sql(`select dodo_customer_id || ' ' || metric || ' ' || trim_scale(quantity)
  from billing.usage_ledger join billing.orgs using (org_id)
  where dodo_customer_id is not null and coalesce(reason, '') <> 'monthly_reset' and ${where}`)
  .split('\n').filter((line) => line !== '').sort();
const shown = (events) => events.map((event) => `${event.customer_id} ${event.event_name} ${event.metadata.quantity}`).sort();

sql(`insert into billing.orgs (org_id, dodo_customer_id)
  select 'org_' || n, case when n = 7 then null else 'cus_' || n end from generate_series(0, ${ORGS - 1}) as n;
  select billing.ensure_ledger_partition(now() + month * interval '1 month') from generate_series(-3, 1) as month;`);
let batch = 0;
// Rows as applications write them: with and without a key, two that are the same in everything.
function write(rows, at = 'now()') {
  batch += 1;
  sql(`insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity, event_id)
    select ${at}, 'delta', 'org_' || n % ${ORGS}, 'tokens', n + 0.5, case when n % 2 = 0 then 'b${batch}-' || n end
    from generate_series(1, ${rows}) as n;
    insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity)
    select ${at}, 'delta', 'org_3', 'runs', 2 from generate_series(1, 2);`);
}

const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });

// the first push begins with the hour; what it cannot send is listed
await reset(simulator);
write(5, "now() - interval '2 hours'");
write(2500);
let result = await push(simulator);
assert.equal(result.status, 0, result.out);
assert.match(result.out, /this is the first push/);
const recent = "occurred_at > now() - interval '1 hour'";
assert.deepEqual(shown(await eventsOf(simulator)), ledger(recent));
assert.equal(sql('select rows_sent from billing.push_cursors'), String(ledger(recent).length));
const calls = (await simulator.ask({ do: 'dump' })).calls;
assert.equal(calls['POST /events/ingest 200'], 3, 'batches of up to 1,000');

// seats are told to be left out
assert.doesNotMatch(result.out, /seats/);
sql(`insert into billing.orgs (org_id) values ('seated');
  insert into billing.seat_events (org_id, seat_id, user_id, kind, occurred_at) values ('seated', 1, 'u1', 'assigned', now())`);
result = await push(simulator);
assert.equal(result.status, 0, result.out);
assert.match(result.out, /note: seats are not pushed: /);

// nothing new: nothing is asked; typed again after more was written: only that is sent
result = await push(simulator);
assert.equal(result.status, 0, result.out);
assert.match(result.out, /requests +0\n/);
await reset(simulator);
write(30);
sql(`insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity, reason)
  values (now(), 'delta', 'org_1', 'tokens', -99, 'monthly_reset')`);
result = await push(simulator);
assert.equal(result.status, 0, result.out);
assert.equal((await eventsOf(simulator)).length, 30); // 30 and 2, but for two of org_7

// what is written by a transaction that commits late is not passed over
await reset(simulator);
const late = spawn('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1'], { stdio: ['pipe', 'pipe', 'inherit'] });
late.stdin.write(`begin; insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity)
  values (now(), 'delta', 'org_1', 'late', 41);\n\\echo written\n`);
await new Promise((resolve) => { late.stdout.once('data', resolve); });
write(1);
assert.equal((await push(simulator)).status, 0);
assert.equal((await eventsOf(simulator)).length, 3);
late.stdin.end('commit;\n');
await new Promise((resolve) => { late.on('close', resolve); });
assert.equal((await push(simulator)).status, 0);
assert.deepEqual(shown(await eventsOf(simulator)).filter((line) => line.includes('late')), ['cus_1 late 41']);

// too old, ahead of its time, a customer that Dodo does not know: listed and counted, the rest is sent
await reset(simulator);
sql("update billing.orgs set dodo_customer_id = 'cus_unknown' where org_id = 'org_9'");
sql(`insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity, event_id) values
  (now() - interval '3 hours', 'delta', 'org_1', 'tokens', 11, 'old'),
  (now() - interval '40 days', 'delta', 'org_2', 'tokens', 12, null),
  (now() + interval '20 minutes', 'delta', 'org_4', 'tokens', 14, 'ahead'),
  (now(), 'delta', 'org_9', 'tokens', 19, 'stranger'), (now(), 'delta', 'org_5', 'tokens', 15, 'fine')`);
result = await push(simulator);
assert.equal(result.status, 4, result.out);
assert.match(result.out, /too_old {3}org_1 {2}tokens {2}11 {2}/);
assert.match(result.out, /sent +1\ntoo old +2\nahead of time +1\nrefused +1\n/);
assert.deepEqual(shown(await eventsOf(simulator)), ['cus_5 tokens 15']);
assert.equal(sql('select reason, org_id, trim_scale(quantity) from billing.push_unsent order by 1, 2'),
  'ahead|org_4|14\nrefused|org_9|19\ntoo_old|org_1|11\ntoo_old|org_2|12');
assert.match(sql("select detail from billing.push_unsent where reason = 'refused'"), /unknown customer 'cus_unknown'/);
assert.equal((await push(simulator)).status, 0); // nothing new
// when it is due it is sent, and leaves the list
await simulator.ask({ do: 'clock', advance_s: 1200 });
result = await push(simulator, { by: faulty, FAULTY_CLOCK_S: '1200' });
assert.equal(result.status, 0, result.out);
assert.deepEqual(shown(await eventsOf(simulator)), ['cus_4 tokens 14', 'cus_5 tokens 15']);
assert.equal(sql("select count(*) from billing.push_unsent where reason = 'ahead'"), '0');
sql("update billing.orgs set dodo_customer_id = 'cus_9' where org_id = 'org_9'");

// a key that is not taken stops, and what it did not send is sent later
await reset(simulator);
write(10);
result = await push(simulator, { DODO_PAYMENTS_API_KEY: 'other' });
assert.equal(result.status, 21, result.out);
assert.equal((await push(simulator)).status, 0);
assert.equal((await eventsOf(simulator)).length, 11);

// two side by side: one works, the other says so
await reset(simulator, { seed: 1, stall_ms: 3000, script: [
  { method: 'POST', path: '/events/ingest', nth: 1, times: 1, kind: 'stall_after' }] });
write(10);
const ended = []; // of two that start together, either may be the one that works
const first = start(simulator).done.then((one) => ended.push(one));
const isRefused = (one) => one.status === 11;
for (let tries = 0; !ended.some(isRefused) && tries < 50; tries += 1) {
  ended.push(await start(simulator).done);
}
await first;
assert.ok(ended.some(isRefused), ended.map((one) => one.out).join(''));
assert.match(ended.find(isRefused).out, /another push is under way/);
assert.ok(ended.every((one) => [0, 11].includes(one.status)));
assert.equal((await push(simulator)).status, 0);
assert.equal((await eventsOf(simulator)).length, 11);

// killed after Dodo took a batch, and started again over an hour later: it is proven, not listed as too old
await reset(simulator, { seed: 1, kills_max: 1, script: [
  { method: 'POST', path: '/events/ingest', nth: 2, times: 1, kind: 'kill_done' }] });
write(1500);
const listed = sql('select count(*) from billing.push_unsent');
result = await push(simulator);
assert.equal(result.signal, 'SIGKILL', result.out);
await simulator.ask({ do: 'clock', advance_s: 4000 });
result = await push(simulator, { by: faulty, FAULTY_CLOCK_S: '4000' });
assert.equal(result.status, 0, result.out);
assert.match(result.out, /sent +\d+\ntoo old +0\n/);
assert.equal(sql('select count(*) from billing.push_unsent'), listed);
assert.equal((await eventsOf(simulator)).length, 1500 - 75 + 2);

// where nobody listens it is tried until the deadline; the same command goes on
await reset(simulator);
write(100);
result = await push(simulator, { words: ['--deadline', '1'], DODO_PAYMENTS_API_BASE: 'http://127.0.0.1:1' });
assert.equal(result.status, 40, result.out);
assert.match(result.out, /the deadline for sending is over, and http:\/\/127.0.0.1:1 cannot be reached.*DODO_PAYMENTS_API_BASE/s);
assert.equal((await push(simulator)).status, 0);
assert.equal((await eventsOf(simulator)).length, 100 - 5 + 2);

// whatever goes wrong on the way; started again until it is done
for (let seed = 1; seed <= SEEDS; seed += 1) {
  await reset(simulator, { seed, per_mille: 300, faults_max: 30, kills_max: 4, stall_ms: 30, refuse_ms: 5,
    kinds: FAULT_KINDS });
  const mark = sql('select pg_current_snapshot()');
  write(2200);
  for (let again = 1; ; again += 1) {
    assert.ok(again < 40, `seed ${seed}: never done: ${result.status} ${result.out}`);
    result = await push(simulator);
    if (result.status === 0) break;
    assert.ok(result.signal === 'SIGKILL' || [11, 21, 22, 40].includes(result.status), `seed ${seed}: ${result.status} ${result.out}`);
  }
  assert.deepEqual(shown(await eventsOf(simulator)),
    ledger(`not pg_visible_in_snapshot(recorded_xid, '${mark}')`), `seed ${seed}`);
}

console.log('first, again, late, too old, ahead, refused, side by side, killed, faulty: as they should be');
await simulator.stop();
