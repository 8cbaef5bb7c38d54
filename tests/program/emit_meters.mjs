// Sends the overages of a small close as meter events: emit_meters.mjs PERIODCLOSE FAULTY SIMULATOR FOLDER
//
// FAULTY is the same program over a system whose clock can be moved (tests/program/faulty_main.c).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { runKillable } from '../emit/close.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';
import { end, period } from './fresh_database.mjs';

const [program, faulty, simulatorProgram, folder] = process.argv.slice(2);
const KEY = 'sk_test_simulator';
const ORGS = 30;
const SEEDS = Number(process.env.SEEDS ?? 6);
const FAULT_KINDS = ['refuse', 'reset_before', 'reset_after', 'close_after', '500_before', '500_after', '409',
  '429_limited', '429_locked', 'stall_after', 'truncate', 'not_json_502', 'not_json_after', 'kill_before', 'kill_done',
  'kill_answered'];

function makeDataset(name, base = 750000) {
  const dataset = path.join(folder, name);
  fs.mkdirSync(dataset, { recursive: true });
  const write = (file, rows) => fs.writeFileSync(path.join(dataset, file), `${rows.join('\n')}\n`);
  const orgs = ['org_id,name,status,currency,stripe_customer_id'];
  const subscriptions = ['org_id,plan_id,starts_at'];
  const usage = ['org_id,metric,quantity,occurred_at,event_id'];
  for (let n = 0; n < ORGS; n += 1) {
    const id = `org_${String(n).padStart(3, '0')}`;
    orgs.push(`${id},Org ${n},active,usd,${n === 7 ? '' : `cus_${n}`}`);
    subscriptions.push(`${id},pro,2026-01-01T00:00:00Z`);
    usage.push(`${id},tokens,${base + 1000 * n},${period}-05T00:00:00Z,t${n}`);
    usage.push(`${id},runs,${60 + n},${period}-06T00:00:00Z,r${n}`);
  }
  write('orgs.csv', orgs);
  write('plans.csv', ['plan_id,name,currency', 'pro,Pro,usd']);
  write('prices.csv', ['plan_id,metric,aggregation,model,included,unit_price',
    'pro,tokens,sum,per_unit,500000,0.0001', 'pro,runs,sum,per_unit,50,1']);
  write('subscriptions.csv', subscriptions);
  write('usage.csv', usage);
  return dataset;
}

const run = (simulator, words, { by = program, ...env } = {}) => runKillable(by, simulator, words,
  { STRIPE_API_BASE: simulator.base, STRIPE_API_KEY: KEY, ...env }, KEY);

const FAST = ['--rate', 'none', '--retry-delay', '1', '--timeout', '2000'];
const closeWords = (dataset, runDir, more = []) => ['run', '--period', period, '--source', dataset,
  '--run-dir', runDir, '--emit', 'stripe-meters', '--now', end, '--never-sent', ...FAST, ...more];

async function reset(simulator, faults = undefined) {
  await simulator.ask({ do: 'reset', seed: 1, key: KEY, ...(faults ? { faults } : {}) });
  await simulator.ask({ do: 'add', customers: Array.from({ length: ORGS }, (_, n) => ({ id: `cus_${n}` })) });
}

function readItems(runDir) {
  const [head, ...rows] = fs.readFileSync(path.join(runDir, 'reports/invoice_items.csv'), 'utf8')
    .trim().split('\n').map((line) => line.split(','));
  return rows.map((row) => Object.fromEntries(head.map((name, index) => [name, row[index]])));
}

const events = async (simulator) => (await simulator.ask({ do: 'dump' })).meter_events;
const EXPECTED = (ORGS - 1) * 2;

async function checkExactlyOnce(simulator, runDir) {
  const there = await events(simulator);
  const sent = readItems(runDir).filter((row) => row.status === 'sent');
  assert.equal(sent.length, EXPECTED, 'items sent');
  assert.equal(there.length, EXPECTED, 'events at Stripe');
  const byId = new Map(there.map((event) => [event.identifier, event]));
  for (const row of sent) {
    const event = byId.get(row.item_key);
    assert.ok(event, `${row.item_key} is not there`);
    assert.equal(event.payload.value, String(Math.round(Number(row.amount) * 100)));
    assert.equal(event.event_name, `overage.${row.metric}`);
    assert.equal(event.timestamp, Date.parse(end) / 1000 - 1, 'just before the end of the period');
  }
}

const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });
const dataset = makeDataset('dataset');

// a dry run says what it would send, needs no key and sends nothing
await reset(simulator);
let result = await run(simulator, closeWords(dataset, path.join(folder, 'dry'), ['--dry-run']), { STRIPE_API_KEY: '' });
assert.equal(result.status, 4, result.out);
assert.match(result.out, new RegExp(`note: ${EXPECTED} items to send: .*; 2 held or switched off`));
assert.deepEqual(readItems(path.join(folder, 'dry/dry-run')).filter((row) => row.status === 'held').map((row) => `${row.org_id} ${row.reason}`),
  ['org_007 no_stripe_customer', 'org_007 no_stripe_customer']);
const planned = fs.readFileSync(path.join(folder, 'dry/dry-run/60-emit/requests.jsonl'), 'utf8').trim().split('\n')
  .map((line) => JSON.parse(line));
assert.equal(planned.length, EXPECTED);
assert.ok(planned.every((request) => request.url.endsWith('/v1/billing/meter_events')));
assert.deepEqual((await simulator.ask({ do: 'dump' })).calls, {});

// over a day after the period nobody can tell whether events were sent out of a directory that is lost: asked first
const calm = path.join(folder, 'calm');
const unasked = closeWords(dataset, calm).filter((word) => word !== '--never-sent');
for (const words of [unasked, ['run', '--run-dir', calm, ...FAST]]) {
  result = await run(simulator, words);
  assert.equal(result.status, 22, result.out);
  assert.match(result.out, /the journal does not know whether.*hint: .*--never-sent/s);
  assert.equal((await events(simulator)).length, 0);
}
result = await run(simulator, closeWords(dataset, calm));
assert.equal(result.status, 4, result.out);
await checkExactlyOnce(simulator, calm);
assert.deepEqual(readItems(calm).filter((row) => row.status === 'held').map((row) => `${row.org_id} ${row.reason}`),
  ['org_007 no_stripe_customer', 'org_007 no_stripe_customer']);
result = await run(simulator, ['emit', calm, ...FAST]);
assert.equal(result.status, 4, result.out);
await checkExactlyOnce(simulator, calm);

// a correction downwards is held: a meter takes no credit
const revised = path.join(folder, 'revised');
result = await run(simulator, closeWords(makeDataset('less', 700000), revised, ['--previous', calm]));
assert.equal(result.status, 4, result.out);
assert.ok(readItems(revised).some((row) => row.amount === '-5.00' && row.status === 'held'
  && row.reason === 'negative_amount'));

// the run directory is lost within a day: what was sent is told apart by its identifier
fs.rmSync(calm, { recursive: true });
result = await run(simulator, closeWords(dataset, calm));
assert.equal(result.status, 4, result.out);
await checkExactlyOnce(simulator, calm);

const nextOf = ({ out }) => out.match(/^next: periodclose (.*)$/m)[1];
// every answer of the first customer's events is lost: unknown, settled while the identifier is kept
const LOST = [{ method: 'POST', path: '/v1/billing/meter_events', nth: 1, times: 400, kind: 'not_json_502' }];
async function unknown(name) {
  await reset(simulator, { seed: 1, script: LOST });
  const runDir = path.join(folder, name);
  result = await run(simulator, closeWords(dataset, runDir));
  assert.equal(result.status, 22, result.out);
  assert.equal(readItems(runDir).filter((row) => row.status === 'unknown').length, EXPECTED);
  await simulator.ask({ do: 'faults' });
  return runDir;
}
const settled = await unknown('settled');
assert.equal(nextOf(result), `run --run-dir ${settled}`);
assert.ok(readItems(settled).every((row) => row.status !== 'unknown' || row.reason === ''));
result = await run(simulator, ['status', settled]);
assert.equal(nextOf(result), `run --run-dir ${settled}`);
result = await run(simulator, ['run', '--run-dir', settled, ...FAST]);
assert.equal(result.status, 4, result.out);
await checkExactlyOnce(simulator, settled);

// after 23 hours it stays unknown, is never sent again by itself, and says so
const late = await unknown('late');
for (const hours of [23, 50]) {
  const env = { by: faulty, FAULTY_CLOCK_S: String(hours * 3600 + 60) };
  result = await run(simulator, ['run', '--run-dir', late, ...FAST], env);
  assert.equal(result.status, 22, result.out);
  assert.equal(nextOf(result), `reconcile ${late}`); // the same again would say the same
  result = await run(simulator, ['emit', late, ...FAST], env);
  assert.equal(result.status, 22, result.out);
  assert.equal(nextOf(result), `reconcile ${late}`);
  assert.equal((await events(simulator)).length, 0);
  result = await run(simulator, ['status', late]);
  assert.match(result.out, new RegExp(`^to check {2}2 items held, ${EXPECTED} items unknown for good$`, 'm'));
  assert.equal(nextOf(result), `reconcile ${late}`);
}
const unknowns = readItems(late).filter((row) => row.status === 'unknown');
assert.match(unknowns[0].detail, /not sent again/);
assert.ok(unknowns.every((row) => row.reason === 'not_sent_again'));

// they are told, and one goes again by its key, but none of those that were sent
const after = { by: faulty, FAULTY_CLOCK_S: String(51 * 3600) };
result = await run(simulator, ['reconcile', late, '--repair', '--json', ...FAST], after);
assert.equal(result.status, 22, result.out);
assert.match(result.out, /^note: unknown: look at the customer's usage in the dashboard; .*--resend KEY sends it/m);
const compared = JSON.parse(result.stdout.split('\n').find((line) => line.startsWith('{')));
assert.deepEqual([compared.target, compared.items, compared.as_recorded, compared.counts.unknown, compared.findings.length],
  ['stripe-meters', EXPECTED + 2, 2, EXPECTED, EXPECTED]);
assert.equal((await events(simulator)).length, 0);
result = await run(simulator, ['reconcile', late, '--resend', unknowns[3].item_key, ...FAST], after);
assert.equal(result.status, 22, result.out);
assert.deepEqual((await events(simulator)).map((event) => event.identifier), [unknowns[3].item_key]);
assert.equal(readItems(late).find((row) => row.item_key === unknowns[3].item_key).status, 'sent');
result = await run(simulator, ['reconcile', late, '--resend', unknowns[3].item_key, ...FAST], after);
assert.equal(result.status, 13, result.out);
assert.equal((await events(simulator)).length, 1);

// one that is sent anew and gets no answer is settled by the run, whatever the others are
await simulator.ask({ do: 'faults', plan: { script: LOST } });
result = await run(simulator, ['reconcile', late, '--resend', unknowns[0].item_key, ...FAST], after);
assert.equal(result.status, 22, result.out);
result = await run(simulator, ['status', late]);
assert.match(result.out, new RegExp(`^to check {2}2 items held, 1 item unknown, ${EXPECTED - 2} items unknown for good$`, 'm'));
assert.equal(nextOf(result), `run --run-dir ${late}`);
await simulator.ask({ do: 'faults' });
result = await run(simulator, ['run', '--run-dir', late, ...FAST], after);
assert.equal(result.status, 22, result.out);
assert.equal(nextOf(result), `reconcile ${late}`);
assert.deepEqual((await events(simulator)).map((event) => event.identifier).sort(),
  [unknowns[0].item_key, unknowns[3].item_key].sort());

// whatever goes wrong on the way, seed by seed; started again until it is done
for (let seed = Number(process.env.SEED ?? 1); seed <= SEEDS; seed += 1) {
  await reset(simulator, { seed, per_mille: 150, faults_max: 60, kills_max: 4, stall_ms: 30, refuse_ms: 5,
    kinds: FAULT_KINDS });
  const runDir = path.join(folder, `seed-${seed}`);
  for (let again = 1; ; again += 1) {
    assert.ok(again < 40, `seed ${seed}: never done: ${result.status} ${result.out}`);
    const has = fs.existsSync(path.join(runDir, 'manifest.json'));
    result = await run(simulator, has && result.status === 21 ? ['emit', runDir, ...FAST] : closeWords(dataset, runDir));
    if (again === 8) await simulator.ask({ do: 'faults' });
    if (result.status === 4) break;
    assert.ok(result.signal === 'SIGKILL' || [21, 22, 40].includes(result.status), `seed ${seed}: ${result.status} ${result.out}`);
  }
  await checkExactlyOnce(simulator, runDir);
  fs.rmSync(runDir, { recursive: true });
}

console.log('calm, corrected, lost, unknown, faulty: as they should be');
await simulator.stop();
