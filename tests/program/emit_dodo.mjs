// Sends the overages of a small close to Dodo's simulator: emit_dodo.mjs PERIODCLOSE SIMULATOR FOLDER
//
// What Dodo has must be what the reports say, whatever was killed, refused or lost between.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { runKillable } from '../emit/close.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, simulatorProgram, folder] = process.argv.slice(2);
const KEY = 'dodo_test_simulator';
const ORGS = 160;
const SEEDS = Number(process.env.SEEDS ?? 6);
const FAULT_KINDS = ['refuse', 'reset_before', 'reset_after', 'close_after', '500_before', '500_after', '409',
  '429_locked', 'stall_after', 'truncate', 'not_json_502', 'not_json_after', 'kill_before', 'kill_done',
  'kill_answered'];
const HELD = { org_005: 'suspended', org_007: 'no_dodo_customer', org_011: 'no_dodo_subscription',
  org_013: 'dodo_free_threshold', org_014: 'dodo_price', org_015: 'dodo_currency', org_016: 'dodo_meter' };

function makeDataset(name, change = (n) => 750000 + 1000 * n) {
  const dataset = path.join(folder, name);
  fs.mkdirSync(dataset, { recursive: true });
  const write = (file, rows) => fs.writeFileSync(path.join(dataset, file), `${rows.join('\n')}\n`);
  const orgs = ['org_id,name,status,currency,dodo_customer_id'];
  const subscriptions = ['org_id,plan_id,starts_at'];
  const usage = ['org_id,metric,quantity,occurred_at,event_id'];
  for (let n = 0; n < ORGS; n += 1) {
    const id = `org_${String(n).padStart(3, '0')}`;
    orgs.push(`${id},Org ${n},${n === 5 ? 'suspended' : 'active'},usd,${n === 7 ? '' : `cus_${n}`}`);
    subscriptions.push(`${id},pro,2026-01-01T00:00:00Z`);
    usage.push(`${id},tokens,${change(n)},2026-10-05T00:00:00Z,t${n}`);
    usage.push(`${id},runs,${60 + n},2026-10-06T00:00:00Z,r${n}`);
  }
  write('orgs.csv', orgs);
  write('plans.csv', ['plan_id,name,currency', 'pro,Pro,usd']);
  write('prices.csv', ['plan_id,metric,aggregation,model,included,unit_price',
    'pro,tokens,sum,per_unit,500000,0.0001', 'pro,runs,sum,per_unit,50,1']);
  write('subscriptions.csv', subscriptions);
  write('usage.csv', usage);
  return dataset;
}

const run = (simulator, words, env = {}) => runKillable(program, simulator, words,
  { DODO_PAYMENTS_API_BASE: simulator.base, DODO_PAYMENTS_API_KEY: KEY, ...env }, KEY);

const FAST = ['--rate', 'none', '--retry-delay', '1', '--timeout', '2000'];
const closeWords = (dataset, runDir, more = []) => ['run', '--period', '2026-10', '--source', dataset,
  '--run-dir', runDir, '--emit', 'dodo', '--now', '2026-11-02T00:00:00Z', ...FAST, ...more];

const soon = new Date(Date.now() + 10 * 86400e3).toISOString().replace(/\.\d+Z/, 'Z');
const before = new Date(Date.now() - 20 * 86400e3).toISOString().replace(/\.\d+Z/, 'Z');

async function reset(simulator, faults = undefined) {
  await simulator.ask({ do: 'reset', seed: 1, key: KEY, ...(faults ? { faults } : {}) });
  const customers = [];
  const subscriptions = [];
  const meters = ['tokens', 'runs'].map((metric) => ({ id: `mtr_${metric}`, name: metric,
    event_name: `overage.${metric}`, measurement_unit: 'cent', aggregation: { type: 'sum', key: 'amount' } }));
  const wrong = ['tokens', 'runs'].map((metric) => ({ id: `mtr_wrong_${metric}`, name: metric,
    event_name: `overage.${metric}`, measurement_unit: 'cent', aggregation: { type: 'count', key: null } }));
  for (let n = 0; n < ORGS; n += 1) {
    customers.push({ id: `cus_${n}` });
    const prefix = n === 16 ? 'mtr_wrong_' : 'mtr_';
    subscriptions.push({ id: `sub_${n}`, subscription_id: `sub_${n}`, status: n === 11 ? 'cancelled' : 'active',
      customer: { customer_id: `cus_${n}` }, product_id: 'pdt_1', currency: 'USD',
      previous_billing_date: before, next_billing_date: soon,
      meters: ['tokens', 'runs'].map((metric) => ({ meter_id: `${prefix}${metric}`, name: metric,
        currency: n === 15 ? 'EUR' : 'USD', free_threshold: n === 13 ? 100 : 0,
        price_per_unit: n === 14 ? '2' : '1', measurement_unit: 'cent' })) });
  }
  await simulator.ask({ do: 'add', customers, subscriptions, meters: [...meters, ...wrong] });
}

function readItems(runDir) {
  const [head, ...rows] = fs.readFileSync(path.join(runDir, 'reports/invoice_items.csv'), 'utf8')
    .trim().split('\n').map((line) => line.split(','));
  return rows.map((row) => Object.fromEntries(head.map((name, index) => [name, row[index]])));
}

const events = async (simulator) => (await simulator.ask({ do: 'dump' })).dodo_events;

const EXPECTED = (ORGS - Object.keys(HELD).length) * 2;
async function checkExactlyOnce(simulator, runDir, expected = EXPECTED) {
  const there = await events(simulator);
  const reported = readItems(runDir);
  const sent = reported.filter((row) => row.status === 'sent');
  assert.equal(sent.length, expected, 'items sent');
  assert.equal(there.length, expected, 'events at Dodo');
  const byId = new Map(there.map((event) => [event.event_id, event]));
  for (const row of sent) {
    const event = byId.get(row.item_key);
    assert.ok(event, `${row.item_key} is not there`);
    assert.equal(event.metadata.amount, Math.round(Number(row.amount) * 100));
    assert.equal(event.event_name, `overage.${row.metric}`);
    assert.ok(Math.abs(Date.parse(event.timestamp) - Date.now()) < 300e3, 'stamped at sending');
  }
  for (const row of reported.filter((one) => one.status !== 'sent')) {
    assert.equal(`${row.status} ${row.reason}`, `held ${HELD[row.org_id]}`);
  }
  return reported;
}
const stable = (rows) => rows.map((row) => [row.item_key, row.amount, row.status, row.reason].join());

const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });
const dataset = makeDataset('dataset');

// a dry run says what it would send, needs no key and sends nothing
await reset(simulator);
let result = await run(simulator, closeWords(dataset, path.join(folder, 'dry'), ['--dry-run']), { DODO_PAYMENTS_API_KEY: '' });
assert.equal(result.status, 4, result.out);
const planned = fs.readFileSync(path.join(folder, 'dry/dry-run/60-emit/requests.jsonl'), 'utf8').trim().split('\n')
  .flatMap((line) => JSON.parse(line).body.events);
assert.match(result.out, new RegExp(`note: ${(ORGS - 2) * 2} items to send to Dodo, 4 held or switched off`));
assert.deepEqual([...new Set(readItems(path.join(folder, 'dry/dry-run')).filter((row) => row.status === 'held').map((row) => row.reason))].sort(),
  ['no_dodo_customer', 'suspended']);
assert.equal(planned.length, (ORGS - 2) * 2); // not those of the suspended org, and of the one without a customer
assert.deepEqual((await simulator.ask({ do: 'dump' })).calls, {});

// a calm run names the cycle, holds what a meter would bill wrongly, and does nothing when typed again
const calm = path.join(folder, 'calm');
result = await run(simulator, closeWords(dataset, calm));
assert.equal(result.status, 4, result.out);
const calmRows = await checkExactlyOnce(simulator, calm);
const said = new Map(planned.map(({ event_id: id, metadata: { run_id: run, ...rest } }) => [id, JSON.stringify(rest)]));
for (const { event_id: id, metadata: { run_id: run, ...rest } } of await events(simulator)) {
  assert.equal(said.get(id), JSON.stringify(rest), 'as the dry run said');
}
assert.equal(calmRows.find((row) => row.org_id === 'org_000').detail, `cycle ${before} to ${soon} of sub_0`);
assert.match(fs.readFileSync(path.join(calm, 'reports/exceptions.csv'), 'utf8'),
  /org_013,tokens,held,dodo_free_threshold,meter mtr_tokens leaves the first 100 units free: the free threshold has to be 0,/);
result = await run(simulator, closeWords(dataset, calm));
assert.equal(result.status, 4, result.out);
result = await run(simulator, ['emit', calm, ...FAST]);
assert.equal(result.status, 4, result.out);
await checkExactlyOnce(simulator, calm);
assert.ok(!fs.readFileSync(path.join(calm, '60-emit/journal')).includes(KEY));
const verified = await run(simulator, ['verify', calm]);
assert.equal(verified.status, 0, verified.out);

// a correction downwards is held: a meter takes no credit
const less = makeDataset('less', (n) => 700000 + 1000 * n);
const revised = path.join(folder, 'revised');
result = await run(simulator, closeWords(less, revised, ['--previous', calm, '--reason', 'less']));
assert.equal(result.status, 4, result.out);
assert.equal((await events(simulator)).length, EXPECTED);
assert.ok(readItems(revised).some((row) => row.amount === '-5.00' && row.status === 'held'
  && row.reason === 'negative_amount'));

// the run directory is lost: what Dodo has is found, nothing is sent again
fs.rmSync(calm, { recursive: true });
result = await run(simulator, closeWords(dataset, calm));
assert.equal(result.status, 4, result.out);
assert.deepEqual(stable(await checkExactlyOnce(simulator, calm)), stable(calmRows));

// compared with what Dodo has; what the journal lost is noted, and nothing is sent again
const reconcile = async (words) => {
  const told = await run(simulator, ['reconcile', calm, '--json', ...FAST, ...words]);
  const lines = told.stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  return { ...told, first: lines[0], last: lines.at(-1) };
};
await simulator.ask({ do: 'faults', plan: { seed: 1, faults_max: 99, script: [ // they pass: it is asked on
  { method: 'GET', path: '/events', nth: 1, times: 6, kind: '500_before' },
  { method: 'GET', path: '/events', nth: 7, times: 6, kind: 'reset_before' }] } });
result = await reconcile([]);
await simulator.ask({ do: 'faults' });
assert.equal(result.status, 0, result.out);
assert.deepEqual([result.first.items, result.first.as_recorded], [ORGS * 2, ORGS * 2]);
fs.rmSync(path.join(calm, '60-emit/journal'));
result = await reconcile([]);
assert.equal(result.status, 15, result.out);
assert.deepEqual([result.first.counts.not_recorded, result.first.as_recorded], [EXPECTED, ORGS * 2 - EXPECTED]);
result = await reconcile(['--repair']);
assert.equal(result.status, 4, result.out);
assert.equal(result.last.as_recorded, ORGS * 2);
assert.equal((await events(simulator)).length, EXPECTED);
// an event of ours that nobody recorded, and one that is gone: told, and sent again by its key alone
const shown = await events(simulator);
const [gone] = shown;
await simulator.ask({ do: 'remove_event', event: gone.event_id });
const answer = await fetch(`${simulator.base}/events/ingest`, { method: 'POST',
  headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
  body: JSON.stringify({ events: [{ event_id: 'ab'.repeat(16), customer_id: 'cus_1', event_name: 'overage.runs',
    metadata: { ...gone.metadata, amount: 77 } }] }) });
assert.equal(answer.status, 200);
result = await reconcile(['--repair']);
assert.equal(result.status, 15, result.out);
assert.deepEqual(result.last.findings.map((one) => `${one.kind} ${one.item_key}`).sort(),
  [`extra ${'ab'.repeat(16)}`, `removed_at_dodo ${gone.event_id}`]);
assert.equal((await events(simulator)).length, EXPECTED);
result = await reconcile(['--resend', gone.event_id]);
assert.equal(result.status, 15, result.out);
assert.deepEqual(result.last.findings.map((one) => one.kind), ['extra']);
assert.equal((await events(simulator)).length, EXPECTED + 1);
await simulator.ask({ do: 'remove_event', event: 'ab'.repeat(16) });

// somebody changed what it is about: stop
fs.rmSync(calm, { recursive: true });
result = await run(simulator, closeWords(less, calm));
assert.equal(result.status, 23, result.out);
assert.equal((await events(simulator)).length, EXPECTED);

// a customer that Dodo does not know fails alone, out of the middle of a batch
await reset(simulator);
const stranger = path.join(folder, 'stranger');
fs.cpSync(dataset, stranger, { recursive: true });
fs.writeFileSync(path.join(stranger, 'orgs.csv'),
  fs.readFileSync(path.join(dataset, 'orgs.csv'), 'utf8').replace('cus_40\n', 'cus_gone\n'));
await simulator.ask({ do: 'add', subscriptions: [{ id: 'sub_gone', subscription_id: 'sub_gone', status: 'active',
  customer: { customer_id: 'cus_gone' }, previous_billing_date: before, next_billing_date: soon,
  meters: ['tokens', 'runs'].map((metric) => ({ meter_id: `mtr_${metric}`, currency: 'USD', free_threshold: 0,
    price_per_unit: '1' })) }] });
result = await run(simulator, closeWords(stranger, path.join(folder, 'stranger-run')));
assert.equal(result.status, 21, result.out);
assert.equal((await events(simulator)).length, EXPECTED - 2);
const refused = readItems(path.join(folder, 'stranger-run')).filter((row) => row.status === 'failed');
assert.equal(refused.length, 2);
assert.match(refused[0].detail, /unknown customer 'cus_gone'/);
await simulator.ask({ do: 'add', customers: [{ id: 'cus_gone' }] });
result = await run(simulator, ['emit', path.join(folder, 'stranger-run'), ...FAST]);
assert.equal(result.status, 4, result.out);
assert.equal((await events(simulator)).length, EXPECTED);

// a key that is not taken stops at once and sends nothing
await reset(simulator);
result = await run(simulator, closeWords(dataset, path.join(folder, 'badkey')), { DODO_PAYMENTS_API_KEY: 'other' });
assert.equal(result.status, 21, result.out);
assert.equal((await events(simulator)).length, 0);

// a lost answer is proven event by event: what is there does not go again, what is not does
for (const kind of ['not_json_after', '500_after', 'not_json_502']) { // the last one is not counted: it never came there
  await reset(simulator, { seed: 1, script: [{ method: 'POST', path: '/events/ingest', nth: 1, times: 1, kind }] });
  result = await run(simulator, closeWords(dataset, path.join(folder, `proven-${kind}`)));
  assert.equal(result.status, 4, result.out);
  await checkExactlyOnce(simulator, path.join(folder, `proven-${kind}`));
  const { calls } = await simulator.ask({ do: 'dump' });
  const of = (pattern) => Object.entries(calls).filter(([call]) => pattern.test(call)).reduce((sum, [, count]) => sum + count, 0);
  assert.deepEqual([of(/^POST \/events\/ingest /), of(/^GET \/events\/\{\} /)], [Math.ceil(EXPECTED / 100), 100], JSON.stringify(calls));
}

// an outcome that nobody can tell by the deadline is unknown, and is settled by the next run
await reset(simulator, { seed: 1, script: [
  { method: 'POST', path: '/events/ingest', nth: 1, times: 1, kind: '500_after' },
  { method: 'GET', path: '/events/', nth: 1, times: 100000, kind: 'not_json_502' }] });
result = await run(simulator, closeWords(dataset, path.join(folder, 'unknown'), ['--deadline', '1']));
assert.equal(result.status, 22, result.out);
assert.match(result.out, /the deadline for sending is over, and http.* does not answer as it should: HTTP 502/);
await simulator.ask({ do: 'faults' });
result = await run(simulator, ['run', '--run-dir', path.join(folder, 'unknown'), ...FAST]);
assert.equal(result.status, 4, result.out);
assert.deepEqual(stable(await checkExactlyOnce(simulator, path.join(folder, 'unknown'))), stable(calmRows));

// where nobody listens it is tried until the deadline, nothing is called failed, and the same command goes on
await reset(simulator);
const unreached = path.join(folder, 'unreached');
result = await run(simulator, closeWords(dataset, unreached, ['--deadline', '1']), { DODO_PAYMENTS_API_BASE: 'http://127.0.0.1:1' });
assert.equal(result.status, 40, result.out);
assert.match(result.out, /the deadline for sending is over, and http:\/\/127.0.0.1:1 cannot be reached.*DODO_PAYMENTS_API_BASE/s);
await simulator.ask({ do: 'faults', plan: { seed: 1, faults_max: 1, refuse_ms: 1500, script: [
  { method: 'POST', path: '/events/ingest', nth: 1, times: 1, kind: 'refuse' }] } });
result = await run(simulator, closeWords(dataset, unreached));
assert.equal(result.status, 4, result.out);
assert.deepEqual(stable(await checkExactlyOnce(simulator, unreached)), stable(calmRows));

// whatever goes wrong on the way, seed by seed; started again until it is done
async function survive(seed) {
  await reset(simulator, { seed, per_mille: 100, faults_max: 80, kills_max: 4, stall_ms: 30, refuse_ms: 5,
    kinds: FAULT_KINDS });
  const runDir = path.join(folder, `seed-${seed}`);
  for (let start = 1; ; start += 1) {
    assert.ok(start < 40, `seed ${seed}: never done: ${result.status} ${result.out}`);
    if (seed % 3 === 0 && start === 3) fs.rmSync(runDir, { recursive: true, force: true });
    const has = fs.existsSync(path.join(runDir, 'manifest.json'));
    result = await run(simulator, has && result.status === 21 ? ['emit', runDir, ...FAST] : closeWords(dataset, runDir));
    if (start === 8) await simulator.ask({ do: 'faults' });
    if (result.status === 4) break;
    assert.ok(result.signal === 'SIGKILL' || [21, 22, 40].includes(result.status), `seed ${seed}: ${result.status} ${result.out}`);
  }
  assert.deepEqual(stable(await checkExactlyOnce(simulator, runDir)), stable(calmRows), `seed ${seed}`);
  fs.rmSync(runDir, { recursive: true });
}
for (let seed = Number(process.env.SEED ?? 1); seed <= SEEDS; seed += 1) await survive(seed);

console.log('calm, corrected, lost, changed, refused, unknown, faulty: as they should be');
await simulator.stop();
