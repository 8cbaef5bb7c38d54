// Exactly once, by search, at the other targets: overages as events at Dodo, as events of Stripe's
// meters, usage pushed to Dodo out of a database, and invoice items of a period that is recorded in a
// database, sent by runs and by repairs (reconcile --period) in turn. Each seed tells a story of faults, kills, deaths,
// clock jumps and lost run directories; in the end what the other side has must be what was recorded.
//
//   tests/support/with_cluster.sh node tests/emit/search_targets.mjs BUILD [--seeds N] [--from SEED]
//       [--seed SEED] [--target dodo|meters|push|period] [--jobs N] [--seconds N]
//
// Without a cluster's environment (PGHOST) push and period are left out. A meter event is told apart for a day, so
// a directory that is lost for longer may end a story with exit 22: then nothing is there twice. Events
// that stay unknown are looked up, as a person would do, and those that are not there sent by their key.
//
// Seeds of tests/emit/seeds_targets.txt, which once failed, always run too.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { end, period } from '../program/fresh_database.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';
import { draws } from './draws.mjs';
import { compareEvents, eventsOf, lines, shown } from './events.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const LIVES_WITH_FAULTS = 10;
const LIVES_MAX = 40;
const LIFE_MS_MAX = 240000; // a busy machine
const DIED = 77;
const KEY = 'sk_test_targets';
const FAULT_KINDS = ['refuse', 'reset_before', 'reset_after', 'close_after', '500_before', '500_after', '409', '429_limited',
  '429_locked', 'stall_before', 'stall_after', 'truncate', 'not_json_502', 'not_json_after', 'kill_before', 'kill_done',
  'kill_answered'];

const words = process.argv.slice(2);
const build = path.resolve(words.shift() ?? 'build');
const option = (name, otherwise) => {
  const at = words.indexOf(`--${name}`);
  return at < 0 ? otherwise : words[at + 1];
};
const program = path.join(build, 'faulty_periodclose');
const scratch = fs.mkdtempSync(path.join(
  fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'periodclose-targets-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));

// --- what is closed ---

const ORGS = 70;
function makeDataset() {
  const dataset = path.join(scratch, 'dataset');
  fs.mkdirSync(dataset);
  const write = (file, rows) => fs.writeFileSync(path.join(dataset, `${file}.csv`), `${rows.join('\n')}\n`);
  const ids = Array.from({ length: ORGS }, (_, n) => `org_${n}`);
  write('orgs', ['org_id,status,currency,stripe_customer_id,dodo_customer_id', ...ids.map((id, n) =>
    // two orgs are one customer; one is suspended, one has no customer
    `${id},${n === 5 ? 'suspended' : 'active'},usd,${n === 7 ? ',' : [0, 0].map(() => `cus_${n === 9 ? 8 : n}`).join()}`)]);
  write('plans', ['plan_id,currency', 'pro,usd']);
  write('prices', ['plan_id,metric,included,unit_price', 'pro,tokens,500000,0.0001', 'pro,runs,50,1']);
  write('subscriptions', ['org_id,plan_id,starts_at', ...ids.map((id) => `${id},pro,2026-01-01T00:00:00Z`)]);
  write('usage', ['org_id,metric,quantity,occurred_at', ...ids.flatMap((id, n) => [
    `${id},tokens,${750000 + 1000 * n},${period}-05T00:00:00Z`, `${id},runs,${60 + n},${period}-06T00:00:00Z`])]);
  return dataset;
}

const at = (days) => new Date(Date.now() + days * 86400e3).toISOString().replace(/\.\d+Z/, 'Z');
async function reset(simulator, seed, plan) {
  await simulator.ask({ do: 'reset', seed, key: KEY, ...(plan ? { faults: plan } : {}) });
  const meters = ['tokens', 'runs'].map((metric) => ({ id: `mtr_${metric}`, name: metric,
    event_name: `overage.${metric}`, measurement_unit: 'cent', aggregation: { type: 'sum', key: 'amount' } }));
  await simulator.ask({ do: 'add', meters, customers: Array.from({ length: ORGS }, (_, n) => ({ id: `cus_${n}` })),
    subscriptions: Array.from({ length: ORGS }, (_, n) => ({ id: `sub_${n}`, subscription_id: `sub_${n}`,
      status: n === 11 ? 'cancelled' : 'active', customer: { customer_id: `cus_${n}` }, product_id: 'pdt_1', currency: 'USD',
      previous_billing_date: at(-20), next_billing_date: at(10),
      meters: meters.map((meter) => ({ meter_id: meter.id, currency: 'USD', free_threshold: n === 13 ? 100 : 0,
        price_per_unit: '1' })) })) });
}

async function live(simulator, command, env) {
  const child = spawn(program, command, { stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TZ: 'UTC', STRIPE_API_BASE: simulator.base, STRIPE_API_KEY: KEY,
      DODO_PAYMENTS_API_BASE: simulator.base, DODO_PAYMENTS_API_KEY: KEY, ...env } });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { text += data; });
  let isLate = false;
  const timer = setTimeout(() => { isLate = true; child.kill('SIGKILL'); }, LIFE_MS_MAX);
  const ended = new Promise((resolve) => { child.on('close', (status, signal) => resolve({ status, signal })); });
  await simulator.ask({ do: 'client', pid: child.pid }).catch(() => null); // it may be over already
  const { status, signal } = await ended;
  clearTimeout(timer);
  await simulator.ask({ do: 'client', pid: 0 });
  return { status, signal, text, isLate };
}
const isExpected = (life) => (life.signal === 'SIGKILL' && !life.isLate) || [DIED, 21, 22, 40].includes(life.status);
const fast = ['--rate', 'none', '--retry-delay', '1'];

// A new directory waits until nothing older can be under way, but pauses go too fast here.
const waitForOlder = (simulator) => simulator.ask({ do: 'clock', advance_s: 0 });

// What a story goes through between two lives.
async function pass(simulator, draw, story, say) {
  const jump = draw.chance(30) ? [1800, 4000, 82000, 90000][draw.below(4)] : 0;
  if (jump > 0 && story.ahead + jump <= 3 * 86400) {
    story.ahead += jump;
    await simulator.ask({ do: 'clock', advance_s: jump });
    say(`the clock jumps by ${jump} s`);
  }
}
function dying(draw, story, env) {
  if (story.lives < story.deaths) {
    env.FAULTY_DIE_AT = String(1 + draw.below(story.calls));
    env.FAULTY_LOSS = ['none', 'drop', 'tear'][draw.below(3)];
  }
  if (story.target !== 'push') env.FAULTY_SPEED = '50'; // but the server of a database keeps its own time
  env.FAULTY_CLOCK_S = String(story.ahead);
  return env;
}

// --- a close that is sent as events ---

function prepare(target, dataset) {
  const run = path.join(scratch, `${target}-recorded`);
  const all = ['run', '--period', period, '--source', dataset, '--emit', target === 'dodo' ? 'dodo' : 'stripe-meters',
    '--now', end, '--jobs', '1', '--quiet', '--run-dir'];
  const { status, stderr } = spawnSync(program, [...all, run, '--until', 'record'], { encoding: 'utf8',
    env: { ...process.env, STRIPE_API_KEY: KEY, DODO_PAYMENTS_API_KEY: KEY } });
  if (status !== 0 && status !== 4) throw new Error(`${target}: exit ${status}: ${stderr}`);
  return { target, recorded: run, all };
}

async function calmClose(simulator, prepared) {
  const run = path.join(scratch, `${prepared.target}-calm-${process.pid}-${simulator.port}`);
  const calls = `${run}-calls`;
  fs.cpSync(prepared.recorded, run, { recursive: true });
  await reset(simulator, 0, null);
  const life = await live(simulator, [...prepared.all, run, ...fast, '--timeout', '2000', '--never-sent'].filter((word) =>
    prepared.target === 'meters' || word !== '--never-sent'), { FAULTY_CALLS: calls });
  if (life.status !== 4) throw new Error(`calm ${prepared.target}: ${life.status} ${life.text}`);
  const rows = lines(run);
  const sent = rows.filter((row) => row.status === 'sent');
  const events = eventsOf(prepared.target, await simulator.ask({ do: 'dump' }));
  const wanted = new Map(events.map((event) => [event.key, `${event.customer} ${event.name} ${event.value}`]));
  for (const row of sent) {
    const customer = `cus_${row.org_id === 'org_9' ? 8 : row.org_id.slice(4)}`;
    if (wanted.get(row.item_key) !== `${customer} overage.${row.metric} ${Math.round(row.amount * 100)}`) {
      throw new Error(`calm ${prepared.target}: ${shown(row)} is ${wanted.get(row.item_key)}`);
    }
  }
  if (sent.length !== wanted.size || sent.length < ORGS) throw new Error(`calm ${prepared.target}: ${sent.length} sent`);
  return { ...prepared, calm: rows.map(shown), wanted, calls: Math.ceil(Number(fs.readFileSync(calls, 'utf8')) * 1.3) };
}

// Events of meters that stay unknown are looked for at Stripe; what is not there is sent by its key.
async function resendAbsent(simulator, story, run, say) {
  const there = new Set(eventsOf('meters', await simulator.ask({ do: 'dump' })).map((event) => event.key));
  const absent = lines(run).filter((row) => row.status === 'unknown' && !there.has(row.item_key));
  if (absent.length === 0) return null;
  const life = await live(simulator, ['reconcile', run, ...absent.flatMap((row) => ['--resend', row.item_key]), ...fast,
    '--timeout', '10000'], { FAULTY_CLOCK_S: String(story.ahead) });
  say(`resend of ${absent.length}: exit ${life.status}\n${life.text}`);
  return life;
}

async function tellClose(simulator, prepared, seed, draw, say) {
  const { target } = prepared;
  const run = path.join(scratch, `run-${target}-${seed}`);
  const isSlow = draw.chance(20);
  const plan = { seed, per_mille: draw.below(4) * 70, faults_max: 5 + draw.below(50), kills_max: draw.below(5),
    stall_ms: isSlow ? 80 : 5, refuse_ms: 3, kinds: FAULT_KINDS };
  const timeout = isSlow ? '150' : '1000';
  const story = { ahead: 0, lives: 0, deaths: draw.below(4), calls: prepared.calls };
  const inFlight = String([1, 4, 16][draw.below(3)]);
  say(`${target}, ${JSON.stringify(plan)}, in flight ${inFlight}, up to ${story.deaths} deaths`);
  const begin = () => {
    fs.rmSync(run, { recursive: true, force: true });
    fs.cpSync(prepared.recorded, run, { recursive: true });
  };
  begin();
  await reset(simulator, seed, plan);
  let isToldNeverSent = target === 'meters';
  let firstAt = null; // when something may have been sent first
  let hasRefused = false;
  let problem = 'did not come to its end';
  let isLost = false; // a meter's run directory, for longer than a day
  for (; story.lives < LIVES_MAX; story.lives += 1) {
    if (story.lives === LIVES_WITH_FAULTS) await simulator.ask({ do: 'faults', plan: null });
    const isRetry = hasRefused && (story.lives >= LIVES_WITH_FAULTS || draw.chance(50));
    firstAt ??= story.ahead;
    const life = await live(simulator, [...(isRetry ? ['emit', run, '--jobs', '1', '--quiet'] : [...prepared.all, run]),
      ...fast, '--timeout', story.lives < LIVES_WITH_FAULTS ? timeout : '10000', ...(target === 'dodo' ? [] : ['--in-flight', inFlight]),
      ...(isToldNeverSent ? ['--never-sent'] : [])], dying(draw, story, {}));
    say(`life ${story.lives + 1}${isRetry ? ', emit' : ''}: ${life.signal ?? `exit ${life.status}`}\n${life.text}`);
    hasRefused = life.status === 21;
    if (life.status === 4) {
      problem = '';
      break;
    }
    if (!isExpected(life)) {
      problem = `${life.isLate ? 'took too long' : `exit ${life.status ?? life.signal}`}: ${life.text}`;
      break;
    }
    if (life.status === 22 && /--never-sent/.test(life.text)) {
      if (isToldNeverSent) {
        problem = `refused though it was told: ${life.text}`;
        break;
      }
      if (story.ahead - firstAt > 23 * 3600) {
        isLost = true;
        problem = '';
        break;
      }
      isToldNeverSent = true; // within the day: what was sent is told apart
      continue;
    }
    const isUnknown = life.status === 22 && story.lives >= LIVES_WITH_FAULTS && target === 'meters';
    if (isUnknown && story.ahead - firstAt > 22 * 3600) {
      const again = await resendAbsent(simulator, story, run, say);
      if (again === null || [4, 15, 22].includes(again.status)) {
        problem = '';
        break;
      }
      problem = `resend: exit ${again.status}: ${again.text}`;
      break;
    }
    isToldNeverSent = false; // the journal is there by now, or nobody can say
    if (target === 'meters' && !fs.existsSync(path.join(run, '60-emit', 'journal'))) isToldNeverSent = firstAt === story.ahead;
    await pass(simulator, draw, story, say);
    if (draw.chance(12)) {
      begin();
      hasRefused = false;
      await waitForOlder(simulator);
      say('the run directory is lost');
    }
  }
  const dump = await simulator.ask({ do: 'dump' });
  const problems = problem !== '' ? [problem] : compareEvents(prepared.wanted, eventsOf(target, dump), isLost);
  if (problem === '' && !isLost) {
    lines(run).map(shown).forEach((line, index) => {
      const said = target === 'meters' ? line.replace(/\|unknown\|(not_sent_again)?$/, '|sent|') : line;
      if (said !== prepared.calm[index]) problems.push(`invoice_items.csv: ${line}, calm: ${prepared.calm[index]}`);
    });
  }
  fs.rmSync(run, { recursive: true, force: true });
  return { problems, lives: story.lives + 1, struck: dump.struck, items: eventsOf(target, dump).length, isLost };
}

// --- usage that is pushed ---

const sqlOf = (database) => (text) => execFileSync('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-d', database],
  { input: text, encoding: 'utf8' }).trim();

function preparePush(index) {
  const database = `targets_${index}`;
  const environment = { env: { ...process.env, PGDATABASE: 'postgres' }, stdio: 'ignore' };
  execFileSync('createdb', ['--template', 'template0', '--encoding', 'UTF8', database], environment);
  execFileSync(program, ['migrate', '--database', `dbname=${database}`], environment);
  const sql = sqlOf(database);
  sql(`insert into billing.orgs (org_id, dodo_customer_id) select 'org_' || n, case when n <> 7 then 'cus_' || n end
      from generate_series(0, ${ORGS - 1}) as n;
    select billing.ensure_ledger_partition(now() + month * interval '1 month') from generate_series(-1, 1) as month;`);
  return { target: 'push', database, sql };
}

async function tellPush(simulator, prepared, seed, draw, say) {
  const { sql } = prepared;
  const plan = { seed, per_mille: draw.below(4) * 100, faults_max: 5 + draw.below(40), kills_max: draw.below(6), stall_ms: 20,
    refuse_ms: 3, kinds: FAULT_KINDS };
  const story = { target: 'push', ahead: 0, lives: 0, deaths: 0, calls: 1 };
  let written = 0;
  sql('delete from billing.push_unsent'); // the cursor stays: all that other stories wrote is done
  const mark = sql('select pg_current_snapshot()');
  // Rows as applications write them: with and without a key, some the same in everything, some of two hours ago.
  const write = (rows) => sql(`insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity, event_id)
      select now() + interval '${story.ahead} s' - case when n % 97 = 1 then interval '2 hours' else interval '0' end, 'delta',
        'org_' || n % ${ORGS}, 'tokens', n + 0.5, case when n % 2 = 0 then 's${seed}-' || ${written} || '-' || n end
      from generate_series(1, ${rows}) as n;
    insert into billing.usage_ledger (occurred_at, kind, org_id, metric, quantity)
      select now() + interval '${story.ahead} s', 'delta', 'org_3', 'runs', 2 from generate_series(1, 2);`);
  // The first push, over nothing: from now on all that is written is to be sent or listed.
  await reset(simulator, seed, null);
  const first = await live(simulator, ['push', '--database', `dbname=${prepared.database}`, ...fast], {});
  say(`push, ${JSON.stringify(plan)}; first: exit ${first.status}`);
  sql('delete from billing.push_unsent');
  await reset(simulator, seed, plan);
  const since = sql('select pg_current_snapshot()');
  let problem = first.status === 0 || first.status === 4 ? 'did not come to its end' : `first: ${first.isLate ? 'took too long' : first.status ?? first.signal}: ${first.text}`;
  const rounds = 1 + draw.below(3);
  let round = 0;
  for (; problem === 'did not come to its end' && story.lives < LIVES_MAX; story.lives += 1) {
    if (story.lives === LIVES_WITH_FAULTS) await simulator.ask({ do: 'faults', plan: null });
    if (round < rounds && (story.lives === 0 || draw.chance(40))) {
      write(20 + draw.below(2300));
      written += 1;
      round += 1;
    }
    const life = await live(simulator, ['push', '--database', `dbname=${prepared.database}`, ...fast, '--timeout', '2000'],
      dying(draw, story, {}));
    say(`life ${story.lives + 1}: ${life.signal ?? `exit ${life.status}`}\n${life.text}`);
    if ((life.status === 0 || life.status === 4) && round === rounds) {
      problem = '';
      break;
    }
    // 11: the server has not seen yet that the one before is dead
    if (![0, 4, 11].includes(life.status) && !isExpected(life)) problem = `exit ${life.status ?? life.signal}: ${life.text}`;
    await pass(simulator, draw, story, say);
  }
  const dump = await simulator.ask({ do: 'dump' });
  const problems = problem === '' ? [] : [problem];
  const events = dump.dodo_events;
  const unsent = sql(`select event_id || ' ' || reason from billing.push_unsent`).split('\n').filter((line) => line !== '');
  const ids = new Set(events.map((event) => event.event_id));
  if (ids.size !== events.length) problems.push('an event is there twice');
  for (const line of unsent) if (ids.has(line.split(' ')[0])) problems.push(`sent and listed: ${line}`);
  const amount = (org, metric, quantity) => `${org} ${metric} ${Number(quantity)}`;
  const there = [...events.map((event) => amount(event.customer_id, event.event_name, event.metadata.quantity)),
    ...sql(`select dodo_customer_id || ' ' || metric || ' ' || trim_scale(quantity) from billing.push_unsent
      join billing.orgs using (org_id)`).split('\n').filter((line) => line !== '')].sort();
  const recorded = sql(`select dodo_customer_id || ' ' || metric || ' ' || trim_scale(quantity) from billing.usage_ledger
    join billing.orgs using (org_id) where dodo_customer_id is not null
      and not pg_visible_in_snapshot(recorded_xid, '${since}')`).split('\n').filter((line) => line !== '').sort();
  if (problem === '' && JSON.stringify(there) !== JSON.stringify(recorded)) {
    problems.push(`sent and listed ${there.length}, recorded ${recorded.length} (since ${mark}); first of them ` +
      `${there.find((line, index) => line !== recorded[index])}, ${recorded.find((line, index) => line !== there[index])}`);
  }
  return { problems, lives: story.lives + 1, struck: dump.struck, items: events.length, isLost: false };
}

// --- a period in a database, sent and repaired ---

function preparePeriod(index) {
  const database = `period_${index}`;
  const environment = { env: { ...process.env, PGDATABASE: 'postgres', STRIPE_API_KEY: KEY }, stdio: 'ignore' };
  execFileSync('createdb', ['--template', 'template0', '--encoding', 'UTF8', database], environment);
  execFileSync(program, ['migrate', '--database', `dbname=${database}`], environment);
  sqlOf(database)(`insert into billing.plans (plan_id) values ('pro');
    insert into billing.prices (plan_id, metric, included, unit_price) values ('pro', 'tokens', 500000, 0.0001), ('pro', 'runs', 50, 1);
    insert into billing.orgs (org_id, status, stripe_customer_id)
      select 'org_' || n, case when n = 5 then 'suspended' else 'active' end, case when n = 9 then 'cus_8' when n <> 7 then 'cus_' || n end
      from generate_series(0, ${ORGS - 1}) as n;
    insert into billing.subscriptions (org_id, plan_id, starts_at) select org_id, 'pro', '2026-01-01Z' from billing.orgs;
    select billing.ensure_ledger_partition('${period}-05Z');
    insert into billing.usage_ledger (occurred_at, recorded_at, kind, org_id, metric, quantity, event_id)
      select '${period}-05Z'::timestamptz, '${period}-05Z'::timestamptz, 'delta'::billing.usage_kind, 'org_' || n, 'tokens', 750000 + 1000 * n, 't'
      from generate_series(0, ${ORGS - 1}) as n
      union all
      select '${period}-06Z', '${period}-06Z', 'delta', 'org_' || n, 'runs', 60 + n, 'r' from generate_series(0, ${ORGS - 1}) as n;`);
  const run = path.join(scratch, `period-recorded-${index}`);
  const all = ['run', '--period', period, '--database', `dbname=${database}_now`, '--emit', 'stripe', '--test-key', '--now',
    end, '--jobs', '1', '--quiet', '--run-dir'];
  return { target: 'period', database, recorded: run, all, calls: 120 };
}

async function tellPeriod(simulator, prepared, seed, draw, say) {
  const now = `${prepared.database}_now`;
  const environment = { env: { ...process.env, PGDATABASE: 'postgres' }, stdio: 'ignore' };
  execFileSync('dropdb', ['--if-exists', '--force', now], environment);
  execFileSync('createdb', ['--template', prepared.database, now], environment);
  const sql = sqlOf(now);
  // Half of them are closed out of two run directories, by turns.
  const drawDirectory = draws(BigInt(seed) + (1n << 43n));
  const runs = Array.from({ length: drawDirectory.chance(50) ? 2 : 1 }, (_, index) => path.join(scratch, `run-period-${seed}-${index}`));
  let run = runs[0];
  const repairs = path.join(scratch, `repairs-period-${seed}`);
  const plan = { seed, per_mille: draw.below(4) * 60, faults_max: 5 + draw.below(40), kills_max: 1 + draw.below(6), stall_ms: 20,
    refuse_ms: 3, kinds: FAULT_KINDS };
  const story = { target: 'push', ahead: 0, lives: 0, deaths: draw.below(4), calls: prepared.calls };
  say(`period, ${JSON.stringify(plan)}`);
  await reset(simulator, seed, null);
  const first = await live(simulator, [...prepared.all, run, '--until', 'record'], {});
  let problem = first.status === 0 || first.status === 4 ? 'did not come to its end' : `record: ${first.isLate ? 'took too long' : first.status ?? first.signal}: ${first.text}`;
  await reset(simulator, seed, plan);
  let isOver = false;
  const refused = new Set(); // directories with refused items
  for (; problem === 'did not come to its end' && !isOver && story.lives < LIVES_MAX; story.lives += 1) {
    if (story.lives === LIVES_WITH_FAULTS) await simulator.ask({ do: 'faults', plan: null });
    run = runs[drawDirectory.below(runs.length)];
    const isRepair = draw.chance(50);
    const patience = ['--timeout', story.lives < LIVES_WITH_FAULTS ? '300' : '5000'];
    const words = isRepair
      ? ['reconcile', '--period', period, '--database', `dbname=${now}`, '--test-key', '--repair', '--run-dir', repairs]
      : refused.has(run) ? ['emit', run, '--jobs', '1', '--quiet', '--test-key'] : [...prepared.all, run];
    const life = await live(simulator, [...words, ...fast, ...patience], dying(draw, story, {}));
    say(`life ${story.lives + 1}${isRepair ? ', repair' : ` of ${run.slice(-1)}`}: ${life.signal ?? `exit ${life.status}`}\n${life.text}`);
    if (!isRepair && life.status === 21) refused.add(run);
    else if (!isRepair) refused.delete(run);
    isOver = life.status === 4 || life.status === 0;
    // 11: the server has not seen yet that the one before is dead; 15: what was refused stays never sent
    if (!isOver && ![11, 15].includes(life.status) && !isExpected(life)) problem = `exit ${life.status ?? life.signal}: ${life.text}`;
    await pass(simulator, draw, story, say);
    if (draw.chance(15)) {
      fs.rmSync(run, { recursive: true, force: true });
      refused.delete(run);
      await waitForOlder(simulator);
      say('the run directory is lost');
    }
    if (draw.chance(15)) {
      fs.rmSync(repairs, { recursive: true, force: true });
      await waitForOlder(simulator);
      say('the folder of repairs is lost');
    }
  }
  if (isOver) problem = '';
  // Each of them says so then, and sends nothing; the first of all after one that died with a claim on the period.
  const rest = isOver ? [...runs] : [];
  for (let turn = 0; rest.length > 0; turn += 1) {
    const other = rest.shift();
    await simulator.ask({ do: 'faults', plan: null });
    const life = await live(simulator, [...prepared.all, other, ...fast, '--timeout', '5000'], {});
    say(`the end of ${other.slice(-1)}: ${life.signal ?? `exit ${life.status}`}\n${life.text}`);
    if (life.status === 11 && turn < runs.length && runs.length > 1) rest.push(other);
    else if (![0, 4, 21].includes(life.status)) problem = `in the end: exit ${life.status ?? life.signal}: ${life.text}`;
  }
  const dump = await simulator.ask({ do: 'dump' });
  const problems = problem === '' ? [] : [problem];
  const there = dump.items.map((item) => `${item.metadata.org_id} ${item.metadata.metric} ${item.customer} ${item.amount} ${item.id}`).sort();
  const told = sql(`select org_id || ' ' || metric_type || ' ' || stripe_customer_id || ' ' || (billed * 100)::bigint || ' ' ||
    stripe_invoice_item_id from billing.org_billing_overages join billing.orgs using (org_id) where item_status = 'sent'`)
    .split('\n').filter((line) => line !== '').sort();
  const statuses = sql(`select item_status || ' ' || count(*) from billing.org_billing_overages group by item_status order by 1`);
  if (problem === '') {
    for (const line of there) if (!told.includes(line)) problems.push(`there, and not recorded: ${line}`);
    for (const line of told) if (!there.includes(line)) problems.push(`recorded, and not there: ${line}`);
    if (statuses !== `held 4\nsent ${2 * ORGS - 4}`) problems.push(`records: ${statuses}`);
  }
  for (const folder of [...runs, repairs]) fs.rmSync(folder, { recursive: true, force: true });
  return { problems, lives: story.lives + 1, struck: dump.struck, items: dump.items.length, isLost: false };
}

// --- all of them ---

const only = option('seed', null);
const target = option('target', null);
const count = only !== null ? 1 : Number(option('seeds', 100));
const first = Number(only ?? option('from', 1));
const kept = fs.readFileSync(path.join(HERE, 'seeds_targets.txt'), 'utf8').split('\n')
  .filter((line) => /^\d+/.test(line)).map((line) => Number.parseInt(line, 10));
const seeds = only !== null ? [first]
  : [...new Set([...kept, ...Array.from({ length: count }, (_, n) => first + n)])];
const tellers = { dodo: tellClose, meters: tellClose, push: tellPush, period: tellPeriod };
const targets = ['dodo', 'meters', ...(process.env.PGHOST ? ['push', 'period'] : [])].filter((name) => target === null || name === target);
const dataset = makeDataset();
const prepared = targets.filter((name) => tellers[name] === tellClose).map((name) => prepare(name, dataset));
const failed = [];
const accounts = []; // of the seeds that failed: what was wrong, and the end of the story
const totals = { told: 0, lives: 0, items: 0, lost: 0, struck: {} };
const began = Date.now();
const secondsMax = Number(option('seconds', Infinity));

async function worker(index) {
  const simulator = await startSimulator(path.join(build, 'release', 'stripe_sim'), { seconds: 86400 });
  const stories = [];
  for (const story of prepared) stories.push(await calmClose(simulator, story));
  if (targets.includes('push')) stories.push(preparePush(index));
  if (targets.includes('period')) stories.push(preparePeriod(index));
  return { simulator, async go() {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
      if ((Date.now() - began) / 1000 > secondsMax) break;
      const draw = draws(seed);
      const names = ['dodo', 'meters', 'push', 'period'];
      const story = stories.find((one) => one.target === names[draw.below(names.length)]) ?? stories[seed % stories.length];
      const log = [];
      totals.told += 1;
      const told = await tellers[story.target](simulator, story, seed, draw, (line) => log.push(line));
      totals.lives += told.lives;
      totals.items += told.items;
      totals.lost += told.isLost ? 1 : 0;
      for (const [kind, times] of Object.entries(told.struck)) totals.struck[kind] = (totals.struck[kind] ?? 0) + times;
      if (only !== null) console.log(log.join('\n'));
      if (told.problems.length > 0) {
        failed.push(seed);
        accounts.push(`    seed ${seed} (${story.target}) failed; tell it again: node tests/emit/search_targets.mjs ` +
          `${path.relative(process.cwd(), build)} --seed ${seed}${target === null ? '' : ` --target ${target}`}\n` +
          [...told.problems.slice(0, 6), ...log.slice(-12)].join('\n').split('\n').slice(-60)
            .map((line) => `    ${line}`).join('\n'));
      }
    }
    return simulator.stop();
  } };
}

const workers = [];
for (let index = 0; index < (only !== null ? 1 : Number(option('jobs', 4))); index += 1) workers.push(await worker(index));
await Promise.all(workers.map((one) => one.go()));
const seconds = (Date.now() - began) / 1000;
const kinds = Object.entries(totals.struck).filter(([, times]) => times > 0);
console.log(`# ${totals.told} seeds of ${targets.join(', ')} in ${seconds.toFixed(0)} s; ${totals.lives} lives, ` +
  `${totals.items} events; ${totals.lost} ended with a directory lost for over a day`);
console.log(`# faults: ${kinds.map(([kind, times]) => `${kind} ${times}`).join(', ')}`);
const didStrike = only !== null || totals.told < 60 || kinds.length > 12;
if (!didStrike) console.log('not ok - hardly anything went wrong: this proved nothing');
console.log(failed.length === 0 ? `ok - ${totals.told} seeds, each event there exactly once`
  : `not ok - ${failed.length} of ${totals.told} seeds: ${failed.join(' ')}`);
if (accounts.length > 0) console.log(accounts.join('\n'));
console.log(`# search_targets.mjs: ${failed.length === 0 ? 1 : 0} ok, ${(failed.length === 0 ? 0 : 1) +
  (didStrike ? 0 : 1)} not ok`);
process.exit(failed.length === 0 && didStrike ? 0 : 1);
