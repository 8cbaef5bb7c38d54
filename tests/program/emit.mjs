// Sends the items of a small close to the simulator: emit.mjs PERIODCLOSE FAULTY SIMULATOR FOLDER
//
// FAULTY is the same program over a system whose pauses go faster (close.mjs).
//
// What stands at Stripe must be what the reports say, whatever was killed, refused or lost between.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { faster, runKillable } from '../emit/close.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, faulty, simulatorProgram, folder] = process.argv.slice(2);
const KEY = 'sk_test_simulator';
const ORGS = 40;
const SEEDS = Number(process.env.SEEDS ?? 10);
const FAULT_KINDS = ['refuse', 'reset_before', 'reset_after', 'close_after', '500_before', '500_after', '409',
  '429_limited', '429_locked', 'stall_before', 'stall_after', 'truncate', 'not_json_502', 'not_json_after',
  'kill_before', 'kill_done', 'kill_answered'];

function makeDataset(name) {
  const dataset = path.join(folder, name);
  fs.mkdirSync(dataset, { recursive: true });
  const write = (file, rows) => fs.writeFileSync(path.join(dataset, file), `${rows.join('\n')}\n`);
  const orgs = ['org_id,name,status,currency,stripe_customer_id,stripe_subscription_id,stripe_item_mode'];
  const subscriptions = ['org_id,plan_id,starts_at'];
  const usage = ['org_id,metric,quantity,occurred_at,event_id'];
  for (let n = 0; n < ORGS; n += 1) {
    const id = `org_${String(n).padStart(3, '0')}`;
    const customer = n === 7 ? '' : `cus_${n === 9 ? 8 : n}`; // 8 and 9 share one; 7 has none
    const subscription = n % 3 === 0 && n !== 9 ? `sub_${n}` : '';
    const mode = n % 4 === 1 ? 'quantity' : 'amount';
    orgs.push(`${id},Org ${n},${n === 5 ? 'suspended' : 'active'},usd,${customer},${subscription},${mode}`);
    subscriptions.push(`${id},pro,2026-01-01T00:00:00Z`);
    usage.push(`${id},tokens,${750000 + 1000 * n},2026-10-05T00:00:00Z,t${n}`);
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

const run = (simulator, words, { by = program, ...env } = {}) => runKillable(by, simulator, words,
  { STRIPE_API_BASE: simulator.base, STRIPE_API_KEY: KEY, ...env }, KEY);

function closeWords(dataset, runDir, more = []) {
  return ['run', '--period', '2026-10', '--source', dataset, '--run-dir', runDir, '--emit', 'stripe',
    '--now', '2026-11-02T00:00:00Z', '--rate', 'none', '--retry-delay', '1', '--timeout', '2000', ...more];
}

async function reset(simulator, faults = undefined) {
  await simulator.ask({ do: 'reset', seed: 1, key: KEY, ...(faults ? { faults } : {}) });
  const customers = [];
  const subscriptions = [];
  const soon = Math.floor(Date.now() / 1000) + 86400;
  for (let n = 0; n < ORGS; n += 1) {
    customers.push({ id: `cus_${n}`, currency: 'usd' });
    if (n % 3 === 0 && n !== 9) {
      subscriptions.push({ id: `sub_${n}`, object: 'subscription', customer: `cus_${n}`,
        status: n === 12 ? 'canceled' : 'active', currency: 'usd',
        items: { data: [{ current_period_end: n === 15 ? soon + 90 * 86400 : soon }] } });
    }
  }
  await simulator.ask({ do: 'add', customers, subscriptions });
}

const parseCsv = (text) => text.trim().split('\n').map((line) => line.split(','));

function readItems(runDir) {
  const [head, ...rows] = parseCsv(fs.readFileSync(path.join(runDir, 'reports/invoice_items.csv'), 'utf8'));
  return rows.map((row) => Object.fromEntries(head.map((name, index) => [name, row[index]])));
}

async function atStripe(simulator) {
  const dump = await simulator.ask({ do: 'dump' });
  const world = dump.world ?? dump;
  const items = Array.isArray(world.items) ? world.items : world.items.list;
  return items;
}

// Everything that is to be billed stands there once, and as the report says.
async function checkExactlyOnce(simulator, runDir, expected) {
  const items = await atStripe(simulator);
  const reported = readItems(runDir);
  const sent = reported.filter((row) => row.status === 'sent');
  assert.equal(sent.length, expected, 'items sent');
  assert.equal(items.length, expected, 'items at Stripe');
  const byId = new Map(items.map((item) => [item.id, item]));
  for (const row of sent) {
    const item = byId.get(row.stripe_invoice_item_id);
    assert.ok(item, `${row.item_key} is not there`);
    assert.equal(item.metadata.item_key, row.item_key);
    assert.equal(item.amount, Math.round(Number(row.amount) * 100));
  }
  return reported;
}

const stable = (rows) => rows.map((row) => [row.item_key, row.org_id, row.metric, row.revision, row.amount, row.status, row.reason].join());

const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });
const dataset = makeDataset('dataset');
const EXPECTED = (ORGS - 2) * 2;

// a calm run: held ones are told, and typing it again does nothing more
await reset(simulator);
const calm = path.join(folder, 'calm');
let result = await run(simulator, closeWords(dataset, calm));
assert.equal(result.status, 4, result.out);
const calmRows = await checkExactlyOnce(simulator, calm, EXPECTED);
assert.deepEqual(calmRows.filter((row) => row.status === 'held').map((row) => `${row.org_id} ${row.reason}`),
  ['org_005 suspended', 'org_005 suspended', 'org_007 no_stripe_customer', 'org_007 no_stripe_customer']);
result = await run(simulator, closeWords(dataset, calm));
assert.equal(result.status, 4, result.out);
await checkExactlyOnce(simulator, calm, EXPECTED);
result = await run(simulator, ['emit', calm]);
assert.equal(result.status, 4, result.out);
await checkExactlyOnce(simulator, calm, EXPECTED);
const placed = await atStripe(simulator);
assert.ok(placed.some((item) => item.parent?.subscription_details?.subscription === 'sub_3'), 'on the subscription');
assert.ok(placed.filter((item) => item.customer === 'cus_12' || item.customer === 'cus_15').every((item) => item.invoice),
  'a subscription that bills nothing soon: on an invoice');
assert.ok(!fs.readFileSync(path.join(calm, '60-emit/journal')).includes(KEY));

// the run directory is lost: what stands at Stripe is found, nothing is sent again
fs.rmSync(calm, { recursive: true });
result = await run(simulator, closeWords(dataset, calm));
assert.equal(result.status, 4, result.out);
assert.deepEqual(stable(await checkExactlyOnce(simulator, calm, EXPECTED)), stable(calmRows));

// a time limit before the first wait's end ends it there, and says what is needed
const limited = closeWords(dataset, path.join(folder, 'limited'), ['--deadline', '1']);
limited[limited.indexOf('--timeout') + 1] = '80000';
result = await run(simulator, limited);
assert.equal(result.status, 40, result.out);
assert.match(result.out, /the deadline for sending is over/);
assert.match(result.out, /100 s after its start .*--deadline/);

// somebody changed what it is about: stop
const changed = makeDataset('changed');
fs.writeFileSync(path.join(changed, 'usage.csv'),
  fs.readFileSync(path.join(changed, 'usage.csv'), 'utf8').replace('750000', '760000'));
result = await run(simulator, closeWords(changed, path.join(folder, 'changed-run')));
assert.equal(result.status, 23, result.out);
assert.equal((await atStripe(simulator)).length, EXPECTED);

// a key that is not taken stops at once and sends nothing
await reset(simulator);
result = await run(simulator, closeWords(dataset, path.join(folder, 'badkey')), { STRIPE_API_KEY: 'sk_test_other' });
assert.equal(result.status, 21, result.out);
assert.equal((await atStripe(simulator)).length, 0);
result = await run(simulator, closeWords(dataset, path.join(folder, 'badkey')));
assert.equal(result.status, 4, result.out);
await checkExactlyOnce(simulator, path.join(folder, 'badkey'), EXPECTED);

// whatever goes wrong on the way, seed by seed; started again until it is done
async function survive(seed) {
  await reset(simulator, { seed, per_mille: 150, faults_max: 60, kills_max: 4, stall_ms: 30, refuse_ms: 5,
    kinds: FAULT_KINDS });
  const runDir = path.join(folder, `seed-${seed}`);
  for (let start = 1; ; start += 1) {
    assert.ok(start < 40, `seed ${seed}: never done: ${result.status} ${result.out}`);
    if (seed % 3 === 0 && start === 3) fs.rmSync(runDir, { recursive: true, force: true });
    const words = result.status === 21 && start > 1 ? ['emit', runDir, '--retry-delay', '1', '--timeout', '10000']
      : closeWords(dataset, runDir);
    if (!fs.existsSync(path.join(runDir, 'manifest.json'))) words.splice(0, words.length, ...closeWords(dataset, runDir));
    words.forEach((word, at) => { if (words[at - 1] === '--timeout') words[at] = '10000'; });
    result = await run(simulator, words, { by: faulty, ...faster });
    if (start === 6) await simulator.ask({ do: 'faults' });
    if (result.status === 4) break;
    assert.ok(result.signal === 'SIGKILL' || [21, 22, 40].includes(result.status), `seed ${seed}: ${result.status} ${result.out}`);
  }
  assert.deepEqual(stable(await checkExactlyOnce(simulator, runDir, EXPECTED)), stable(calmRows), `seed ${seed}`);
  fs.rmSync(runDir, { recursive: true });
}
for (let seed = Number(process.env.SEED ?? 1); seed <= SEEDS; seed += 1) await survive(seed);

console.log('calm, lost, changed, bad key: as they should be');
await simulator.stop();
