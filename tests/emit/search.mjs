// Exactly once, by search: each seed tells a story of faults, and in the end every overage must stand
// on the right customer's bill once (make sim SEEDS=N).
//
//   node tests/emit/search.mjs BUILD [--seeds N] [--from SEED] [--seed SEED] [--jobs N] [--seconds N]
//
// A story: a close of fixtures/acme (with customers and subscriptions added) or of a made set with
// 300 items, sent to the simulator, which lets go wrong what the seed says and kills the client at
// message boundaries; the client also dies at operations of its own, with what was not synced lost
// or not; between two lives the clock may jump by up to days, and the run directory may be gone.
// It is started again until it says that it is done. Then: the simulator's items are the records,
// none twice, none missing, none different; invoices of our own are drafts or finalised as the reports
// say, with what stands on them; no customer ever had two requests at once; and
// invoice_items.csv says what that of a calm run says, but for ids and attempts.
//
// Stories go over plain connections or TLS, under rate limits or none, with keys that the other side
// forgets at 24 hours or later. Pauses go at many times their speed. A seed draws the same story
// always (from 40000 on, items go on invoices of their own, one by one or as lines, and these are
// finalised or not); which of two requests comes first may differ, so that a failure may need a few tellings.
//
// --seed tells one story in full; --seconds begins no new one after that time. Seeds of tests/emit/seeds.txt, which once failed, always run too.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseCsv } from '../reference/csv.mjs';
import { makeCertificate } from '../stripe_sim/certificate.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';
import { draws } from './draws.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ROOT = path.join(HERE, '..', '..');
const EXPONENTS = { usd: 2, eur: 2, jpy: 0, kwd: 3, isk: 2 };
const LIVES_WITH_FAULTS = 12;
const LIVES_MAX = 30;
const LIFE_MS_MAX = 240000; // a busy machine
const PATIENT_MS = '10000'; // time limit of a request once nothing goes wrong any more
const SPEED = 50; // pauses between tries are not waited for in full
const DIED = 77;

const PLACES = ['upcoming', 'draft', 'invoice'];
const WAYS = [['invoice', ['--finalize']], ['invoice', ['--finalize', '--batch', 'lines']],
  ['invoice', ['--batch', 'lines']], ['upcoming', ['--finalize', '--batch', 'lines']]];

const words = process.argv.slice(2);
const build = path.resolve(words.shift() ?? 'build');
const option = (name, otherwise) => {
  const at = words.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(words[at + 1]);
};
const program = path.join(build, 'faulty_periodclose');
const scratch = fs.mkdtempSync(path.join(
  fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'periodclose-search-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));
const tls = makeCertificate(scratch);

// --- the two closes ---

const table = (text) => {
  const [head, ...rows] = parseCsv(text);
  return rows.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i]])));
};
const quoted = (field) => (/[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
const csv = (rows) => `${[Object.keys(rows[0]), ...rows.map(Object.values)]
  .map((row) => row.map((field) => quoted(String(field ?? ''))).join(',')).join('\n')}\n`;

// Of four orgs one has no subscription, one an active one, one a far one, one a canceled one.
function withCustomers(orgs, now) {
  const customers = [];
  const subscriptions = [];
  const rows = orgs.map((org, index) => {
    // The two are one customer, without a subscription: one invoice for both.
    const isSecond = index % 16 === 8;
    const customer = `cus_${isSecond ? index - 4 : index}`;
    const kind = index % 4;
    const currency = (org.currency || 'usd').toLowerCase();
    if (!isSecond) customers.push({ id: customer, currency });
    if (kind > 0) {
      const end = now + (kind === 2 ? 90 : 6) * 86400;
      subscriptions.push({ id: `sub_${index}`, object: 'subscription', customer, currency,
        status: kind === 3 ? 'canceled' : 'active', created: now - 9000000,
        items: { object: 'list', data: [{ id: `si_${index}`, current_period_start: now - 86400,
          current_period_end: end }] } });
    }
    return { ...org, stripe_customer_id: customer,
      stripe_subscription_id: kind > 0 ? `sub_${index}` : '',
      stripe_item_mode: index % 5 === 0 ? 'quantity' : 'amount' };
  });
  return { rows, customers, subscriptions };
}

function acmeStory(now) {
  const from = path.join(ROOT, 'fixtures', 'acme');
  const folder = path.join(scratch, 'acme');
  fs.cpSync(path.join(from, 'dataset'), folder, { recursive: true });
  const added = withCustomers(table(fs.readFileSync(path.join(folder, 'orgs.csv'), 'utf8')), now);
  fs.writeFileSync(path.join(folder, 'orgs.csv'), csv(added.rows));
  const args = fs.readFileSync(path.join(from, 'args'), 'utf8').trimEnd().split('\n');
  return { name: 'acme', folder, args, ...added };
}

function madeStory(now) {
  const folder = path.join(scratch, 'made');
  fs.mkdirSync(folder);
  const orgs = Array.from({ length: 100 }, (_, n) => ({ org_id: `org${n}`, name: `Org ${n}`,
    currency: n % 10 === 7 ? 'eur' : 'usd' }));
  const added = withCustomers(orgs, now);
  const write = (name, rows) => fs.writeFileSync(path.join(folder, `${name}.csv`), csv(rows));
  write('orgs', added.rows);
  write('plans', ['usd', 'eur'].map((currency) => ({ plan_id: currency, currency })));
  write('prices', ['usd', 'eur'].flatMap((plan) => ['runs', 'tokens', 'exports'].map((metric, m) => (
    { plan_id: plan, metric, included: 10 + m, unit_price: ['0.07', '0.0123', '3'][m] }))));
  write('subscriptions', orgs.map((org) => ({ org_id: org.org_id, plan_id: org.currency })));
  write('usage', orgs.flatMap((org, n) => ['runs', 'tokens', 'exports'].map((metric, m) => (
    { org_id: org.org_id, metric, quantity: 200 + 7 * n + 13 * m,
      occurred_at: '2026-10-12T09:30:00Z' }))));
  return { name: 'made', folder, args: ['--period', '2026-10', '--now', '2026-11-01T00:00:00Z'],
    ...added };
}

// Closes up to the stage before emit once; lives begin from a copy of it.
function prepare(story, attach, ways = []) {
  const name = [story.name, attach, ...ways.map((word) => word.replace('--', ''))].join('-');
  const run = path.join(scratch, `${name}-recorded`);
  const all = ['run', ...story.args, '--source', story.folder, '--jobs', '1', '--quiet', '--emit',
    'stripe', '--attach', attach, ...ways, '--run-dir'];
  const { status, stderr } = spawnSync(program, [...all, run, '--until', 'record'],
    { env: { ...process.env, STRIPE_API_KEY: 'sk_test_prepare' }, encoding: 'utf8' });
  if (status !== 0 && status !== 4) throw new Error(`${story.name}: exit ${status}: ${stderr}`);
  return { ...story, name, attach, recorded: run, all };
}

// --- what must be ---

function told(run) {
  const rows = table(fs.readFileSync(path.join(run, 'reports', 'invoice_items.csv'), 'utf8'));
  return rows.map((row) => [row.item_key, row.org_id, row.metric, row.revision, row.currency,
    row.amount, row.status, row.reason, row.invoice_status].join('|'));
}

const minor = (amount, currency) => {
  const [whole, part = ''] = amount.split('.');
  return Number(`${whole}${part.padEnd(EXPONENTS[currency], '0').slice(0, EXPONENTS[currency])}`);
};

// Lines that were added to an invoice without an item behind them.
function linesAlone(dump) {
  const customers = new Map(dump.invoices.map((invoice) => [invoice.id, invoice.customer]));
  return Object.entries(dump.lines).flatMap(([invoice, lines]) => lines
    .filter((line) => line.parent === null)
    .map((line) => ({ ...line, customer: customers.get(invoice) })));
}

// Invoices of our own are what the reports say of them, and bill what stands on them.
function invoiceProblems(run, dump) {
  const file = path.join(run, 'reports', 'invoices.csv');
  const rows = fs.existsSync(file) ? table(fs.readFileSync(file, 'utf8')) : [];
  const told = new Map(rows.map((row) => [row.stripe_invoice_id, row]));
  return dump.invoices.filter((invoice) => invoice.metadata.invoice_key !== undefined).flatMap((invoice) => {
    const lines = dump.lines[invoice.id] ?? [];
    const row = told.get(invoice.id);
    const sum = lines.reduce((total, line) => total + line.amount, 0);
    if (lines.length === 0) return invoice.status === 'draft' ? [] : [`${invoice.id} is empty and finalised`];
    if (row === undefined) return [`${invoice.id} is not in invoices.csv`];
    return [
      ...(row.status === (invoice.status === 'draft' ? 'draft' : 'finalised') ? []
        : [`${invoice.id} is ${invoice.status}, told as ${row.status} ${row.reason}`]),
      ...(Number(row.items) === lines.length && row.amount === row.total_at_stripe && invoice.total === sum ? []
        : [`${invoice.id} has ${lines.length} lines of ${sum}, told as ${row.items} of ${row.amount}`]),
    ];
  });
}

// What is wrong with the bills; empty when all is well.
function problemsOf(story, run, dump, calm) {
  const problems = [];
  const records = table(fs.readFileSync(path.join(run, 'reports', 'overages.csv'), 'utf8'));
  const customers = new Map(story.rows.map((org) => [org.org_id, org.stripe_customer_id]));
  const nameOf = (org, metric) => `${customers.get(org)}|${org}|${metric}`;
  const wanted = new Map();
  for (const row of records) {
    const org = row.org_id.replace(/^'/, '');
    if (row.status === 'sent') {
      wanted.set(nameOf(org, row.metric), minor(row.billed, row.currency));
    } else if (!['zero', 'held', 'disabled'].includes(row.status)) {
      problems.push(`${org} ${row.metric} is ${row.status}`);
    }
  }
  const found = new Map();
  for (const item of [...dump.items, ...linesAlone(dump)]) {
    const key = `${item.customer}|${item.metadata.org_id}|${item.metadata.metric}`;
    if (found.has(key)) problems.push(`twice: ${key} ${item.id} and ${found.get(key).id}`);
    found.set(key, item);
    if (wanted.get(key) !== item.amount) {
      problems.push(`different: ${key} is ${item.amount}, not ${wanted.get(key)}`);
    }
  }
  for (const key of wanted.keys()) if (!found.has(key)) problems.push(`missing: ${key}`);
  const lines = told(run);
  lines.forEach((line, index) => {
    if (line !== calm[index]) problems.push(`invoice_items.csv: ${line}, calm: ${calm[index]}`);
  });
  if (lines.length !== calm.length) problems.push('invoice_items.csv has other rows than calm');
  problems.push(...invoiceProblems(run, dump));
  if (dump.stats.overlaps > 0) problems.push('a customer had two requests at once');
  return problems;
}

// --- lives ---

async function live(simulator, command, env) {
  const child = spawn(program, command, { stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, TZ: 'UTC', STRIPE_API_BASE: simulator.base, CURL_CA_BUNDLE: tls[0],
      FAULTY_SPEED: String(SPEED), ...env } });
  let text = '';
  child.stderr.on('data', (data) => { text += data; });
  const timer = setTimeout(() => child.kill('SIGKILL'), LIFE_MS_MAX);
  let isLate = false;
  const late = setTimeout(() => { isLate = true; }, LIFE_MS_MAX);
  const ended = new Promise((resolve) => {
    child.on('close', (status, signal) => resolve({ status, signal }));
  });
  await simulator.ask({ do: 'client', pid: child.pid }).catch(() => null); // it may be over already
  const { status, signal } = await ended;
  clearTimeout(timer);
  clearTimeout(late);
  await simulator.ask({ do: 'client', pid: 0 });
  return { status, signal, text, isLate };
}

async function world(simulator, story, seed, faults, more = {}) {
  const key = `sk_test_${story.name}_${seed}`;
  await simulator.ask({ do: 'reset', seed, key, faults, ...more });
  await simulator.ask({ do: 'add', customers: story.customers, subscriptions: story.subscriptions });
  // Some subscriptions have been billed for the period and their invoice is still a draft.
  const [year, month] = story.args[story.args.indexOf('--period') + 1].split('-').map(Number);
  const drafts = story.attach === 'draft' ? story.subscriptions.filter((_, index) => index % 3 !== 1) : [];
  for (const { id } of drafts) {
    await simulator.ask({ do: 'renew', subscription: id, period_start: Date.UTC(year, month - 1, 1) / 1000,
      period_end: Date.UTC(year, month, 1) / 1000 });
  }
  return key;
}

// What cannot connect is tried until the deadline: of 30 seconds at this speed, so that another life may.
const fast = ['--rate', 'none', '--retry-delay', '1'];

async function calmRun(simulator, story) {
  const run = path.join(scratch, `${story.name}-calm`);
  fs.cpSync(story.recorded, run, { recursive: true });
  const key = await world(simulator, story, 0, null);
  const calls = path.join(scratch, 'calls');
  const end = await live(simulator, [...story.all, run, ...fast, '--timeout', PATIENT_MS],
    { STRIPE_API_KEY: key, FAULTY_CALLS: calls });
  if (end.status !== 0 && end.status !== 4) throw new Error(`calm ${story.name}: ${end.text}`);
  const dump = await simulator.ask({ do: 'dump' });
  const calm = told(run);
  const problems = problemsOf(story, run, dump, calm);
  if (problems.length > 0) throw new Error(`calm ${story.name}: ${problems.join('\n')}`);
  return { ...story, calm, calls: Number(fs.readFileSync(calls, 'utf8')), items: dump.items.length };
}

async function tell(simulator, stories, seed, say) {
  const draw = draws(seed);
  const base = draw.chance(80) ? 0 : 1;
  const drawPlace = draws(BigInt(seed) + (1n << 41n)); // seeds below 20000 were told before there were places
  const drawWays = draws(BigInt(seed) + (1n << 42n)); // and those below 40000 before invoices were finalised
  const story = stories[seed >= 40000 ? base + 2 * (PLACES.length + drawWays.below(WAYS.length))
    : seed < 20000 || drawPlace.chance(50) ? base : base + 2 * (1 + drawPlace.below(2))];
  const run = path.join(scratch, `run-${seed}`);
  const isSlow = draw.chance(30);
  const plan = { seed, per_mille: draw.below(5) * 80, faults_max: 5 + draw.below(60),
    kills_max: draw.below(5), stall_ms: isSlow ? 60 + draw.below(120) : 5, refuse_ms: 2 + draw.below(10) };
  const timeout = isSlow ? '150' : '400';
  const inFlight = String([1, 2, 8, 32][draw.below(4)]);
  const deaths = draw.below(4);
  const startsFromNothing = draw.chance(5);
  const drawMore = draws(BigInt(seed) + (1n << 40n)); // so that older seeds tell what they told
  const isSecure = drawMore.chance(12);
  const more = { key_slack_s: drawMore.chance(50) ? 2 * 86400 : 0,
    limits: drawMore.chance(12) ? { endpoint: 150 + drawMore.below(250), account: 400 } : {} };
  let ahead = 0;
  say(`${story.name}, ${JSON.stringify(plan)}, ${JSON.stringify(more)}, ${isSecure ? 'TLS, ' : ''}` +
    `in flight ${inFlight}, up to ${deaths} deaths`);
  const begin = () => {
    fs.rmSync(run, { recursive: true, force: true });
    if (!startsFromNothing) fs.cpSync(story.recorded, run, { recursive: true });
  };
  begin();
  const key = await world(simulator, story, seed, plan, more);
  let problem = 'did not come to its end';
  let lives = 0;
  let hasRefused = false; // what was refused is tried again by the command emit alone
  for (; lives < LIVES_MAX; lives += 1) {
    if (lives === LIVES_WITH_FAULTS) await simulator.ask({ do: 'faults', plan: null });
    const env = { STRIPE_API_KEY: key, FAULTY_CLOCK_S: String(ahead) };
    if (isSecure) env.STRIPE_API_BASE = `https://127.0.0.1:${simulator.tlsPort}`;
    if (lives < deaths) {
      env.FAULTY_DIE_AT = String(1 + draw.below(Math.ceil(story.calls * 1.3)));
      env.FAULTY_LOSS = ['none', 'drop', 'tear'][draw.below(3)];
    }
    const isRetry = hasRefused && (lives >= LIVES_WITH_FAULTS || drawMore.chance(50));
    const end = await live(simulator, [...(isRetry ? ['emit', run, '--jobs', '1', '--quiet']
      : [...story.all, run]), ...fast, ...(lives < LIVES_WITH_FAULTS ? ['--deadline', '1500'] : []), '--timeout',
      lives < LIVES_WITH_FAULTS ? timeout : PATIENT_MS, '--in-flight', inFlight], env);
    hasRefused = end.status === 21;
    say(`life ${lives + 1}${isRetry ? ', emit' : ''}: ${end.signal ?? `exit ${end.status}`} ${JSON.stringify(env)}\n${end.text}`);
    if (end.status === 0 || end.status === 4) {
      problem = '';
      break;
    }
    const isExpected = (end.signal === 'SIGKILL' && !end.isLate) ||
      [DIED, 21, 22, 40].includes(end.status);
    if (!isExpected) {
      problem = `${end.isLate ? 'took too long' : `exit ${end.status ?? end.signal}`}: ${end.text}`;
      break;
    }
    const jump = draw.chance(30) ? [3600, 82000, 84600, 90000, 180000][draw.below(5)] : 0;
    if (jump > 0) {
      ahead += jump;
      await simulator.ask({ do: 'clock', advance_s: jump });
      say(`the clock jumps by ${jump} s`);
    }
    if (draw.chance(12)) {
      begin();
      hasRefused = false;
      // A new directory waits until nothing older can be under way, but pauses go too fast here.
      await simulator.ask({ do: 'clock', advance_s: 0 });
      say('the run directory is lost');
    }
  }
  const dump = await simulator.ask({ do: 'dump' });
  const problems = problem !== '' ? [problem] : problemsOf(story, run, dump, story.calm);
  fs.rmSync(run, { recursive: true, force: true });
  return { problems, lives: lives + 1, struck: dump.struck, items: dump.items.length };
}

// --- all of them ---

const now = Math.floor(Date.now() / 1000);
const only = option('seed', null);
const count = only !== null ? 1 : option('seeds', 500);
const first = only ?? option('from', 1);
const kept = fs.readFileSync(path.join(HERE, 'seeds.txt'), 'utf8').split('\n')
  .filter((line) => /^\d+/.test(line)).map((line) => Number.parseInt(line, 10));
const seeds = only !== null ? [only]
  : [...new Set([...kept, ...Array.from({ length: count }, (_, n) => first + n)])];
const bases = [acmeStory(now), madeStory(now)];
const prepared = [...PLACES.map((attach) => [attach, []]), ...WAYS].flatMap(([attach, ways]) =>
  bases.map((story) => prepare(story, attach, ways)));
const failed = [];
const accounts = []; // of the seeds that failed: what was wrong, and the end of the story
let toldCount = 0;
const totals = { lives: 0, items: 0, struck: {} };
const began = Date.now();
const secondsMax = option('seconds', Infinity);

async function worker() {
  const simulator = await startSimulator(path.join(build, 'release', 'stripe_sim'),
    { seconds: 86400, tls });
  const stories = [];
  for (const story of prepared) {
    const own = path.join(scratch, `${story.name}-calm`);
    fs.rmSync(own, { recursive: true, force: true });
    stories.push(await calmRun(simulator, story));
  }
  return { simulator, async go() {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
      if ((Date.now() - began) / 1000 > secondsMax) return simulator.stop();
      toldCount += 1;
      const log = [];
      const end = await tell(simulator, stories, seed, (line) => log.push(line));
      totals.lives += end.lives;
      totals.items += end.items;
      for (const [kind, times] of Object.entries(end.struck)) {
        totals.struck[kind] = (totals.struck[kind] ?? 0) + times;
      }
      if (only !== null) console.log(log.join('\n'));
      if (end.problems.length > 0) {
        failed.push(seed);
        accounts.push(`    seed ${seed} failed; tell it again: node tests/emit/search.mjs ` +
          `${path.relative(process.cwd(), build)} --seed ${seed}\n` +
          [...end.problems.slice(0, 6), ...log.slice(-12)].join('\n').split('\n').slice(-60)
            .map((line) => `    ${line}`).join('\n'));
      }
    }
    return simulator.stop();
  } };
}

const workers = [];
for (let index = 0; index < (only !== null ? 1 : option('jobs', 6)); index += 1) {
  workers.push(await worker());
}
await Promise.all(workers.map((one) => one.go()));
const total = toldCount;
const seconds = (Date.now() - began) / 1000;
console.log(`# ${total} seeds in ${seconds.toFixed(0)} s, ${(total / seconds).toFixed(1)} a second; ` +
  `${totals.lives} lives, ${totals.items} items`);
console.log(`# faults: ${Object.entries(totals.struck).filter(([, times]) => times > 0)
  .map(([kind, times]) => `${kind} ${times}`).join(', ')}`);
const didStrike = only !== null || total < 100 ||
  Object.entries(totals.struck).filter(([, times]) => times > 0).length > 15;
if (!didStrike) console.log('not ok - hardly anything went wrong: this proved nothing');
console.log(failed.length === 0 ? `ok - ${total} seeds, each overage billed exactly once`
  : `not ok - ${failed.length} of ${total} seeds: ${failed.join(' ')}`);
if (accounts.length > 0) console.log(accounts.join('\n'));
console.log(`# search.mjs: ${failed.length === 0 ? 1 : 0} ok, ${(failed.length === 0 ? 0 : 1) +
  (didStrike ? 0 : 1)} not ok`);
process.exit(failed.length === 0 && didStrike ? 0 : 1);
