// Cuts the connection to the database at every message between the claim and the committed result,
// one after the other, and goes on with the run: the tables then equal those of a calm run.
//
//     node cuts.mjs PROGRAM BASE RUN LANE LANES
//
// BASE: a run done up to project; RUN: where to try; of LANES side by side, this one (from 1) tries
// every LANES-th message.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { startProxy } from '../support/cut_proxy.mjs';

const [program, base, run] = process.argv.slice(2, 5);
const [lane, lanes] = process.argv.slice(5).map(Number);
const proxy = await startProxy(process.env.PGHOST, Number(process.env.PGPORT));

// One psql for all questions: a line of SQL in, a line of text out.
const psql = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'], { stdio: ['pipe', 'pipe', 'inherit'] });
const answers = readline.createInterface({ input: psql.stdout })[Symbol.asyncIterator]();
async function ask(sql) {
  psql.stdin.write(`${sql}\n`);
  const { value } = await answers.next();
  return value;
}

// Everything that is recorded, but for the times at which it was.
const dump = `select md5(string_agg(line, E'\\n' order by line)) from (
  select (to_jsonb(r) - 'recorded_at')::text as line from billing.org_periods r union all
  select (to_jsonb(r) - 'recorded_at')::text from billing.org_billing_usage_monthly r union all
  select (to_jsonb(r) - 'created_at')::text from billing.org_billing_overages r union all
  select (to_jsonb(r) - 'recorded_at')::text from billing.org_billing_terms r union all
  select to_jsonb(r)::text from billing.sealed_plans r union all
  select to_jsonb(r)::text from billing.sealed_prices r union all
  select to_jsonb(r)::text from billing.sealed_tiers r union all
  select (to_jsonb(r) - 'created_at')::text from billing.usage_alerts r union all
  select (to_jsonb(r) - array['recorded_at', 'started_at', 'ended_at'])::text from billing.close_runs r
  ) as lines;`.replaceAll('\n', ' ');
const reset = `set session_replication_role = replica; truncate billing.org_periods, billing.org_billing_usage_monthly,
  billing.org_billing_overages, billing.org_billing_terms, billing.sealed_plans, billing.sealed_prices,
  billing.sealed_tiers, billing.usage_alerts, billing.close_runs; select 'done';`.replaceAll('\n', ' ');

function close() {
  return new Promise((resolve) => {
    const args = ['run', '--run-dir', run, '--until', 'record', '--quiet', '--org', 'acme', '--org', 'capped', '--org', 'models', '--database',
      `host=127.0.0.1 port=${proxy.port} sslmode=disable gssencmode=disable`];
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 120000, killSignal: 'SIGKILL' });
    let said = '';
    child.stderr.on('data', (bytes) => { said += bytes; });
    child.on('close', (code, signal) => resolve({ code: code ?? signal, said }));
  });
}

async function begin() {
  fs.rmSync(run, { recursive: true, force: true });
  fs.cpSync(base, run, { recursive: true });
  await ask(reset);
}

// The stage's own control totals: who is told that all was written is told it by the same rows.
const totals = () => JSON.stringify(JSON.parse(fs.readFileSync(path.join(run, 'manifest.json'), 'utf8'))
  .stages.find((stage) => stage.name === "record").control_totals);
const tables = () => fs.readdirSync(path.join(run, '50-record')).filter((name) => name.endsWith('.arrow'))
  .map((name) => fs.readFileSync(path.join(run, '50-record', name)).toString('hex')).join(' ');

let failed = 0;
function expect(isTrue, cut, what) {
  if (isTrue) return;
  failed += 1;
  console.log(`cut at message ${cut} (${proxy.state.last}): ${what}`);
}

await begin();
proxy.arm(0, false);
const calm = await close();
const messages = proxy.state.count;
if (calm.code !== 0) {
  console.log(`the calm run ends with ${calm.code}: ${calm.said}`);
  process.exit(1);
}
const wanted = await ask(dump);
const wantedTables = tables();
const wantedTotals = totals();
let lost = 0;
const began = Date.now();
for (let cut = lane; cut <= messages && failed < 5; cut += lanes) {
  await begin();
  proxy.arm(cut, Math.ceil(cut / lanes) % 2 === 0); // in every other case the claim cannot be given back either
  const first = await close();
  const at = proxy.state.last;
  // The last messages only say good-bye.
  expect(first.code === 20 || (first.code === 0 && cut > messages - 4), cut, `exit ${first.code}: ${first.said}`);
  expect(first.code !== 20 || first.said.includes('hint: '), cut, `no hint: ${first.said}`);
  const isWritten = (await ask('select count(*) from billing.org_periods;')) !== '0';
  lost += first.code === 20 && isWritten ? 1 : 0;
  proxy.arm(0, false);
  const second = await close();
  proxy.state.last = at;
  expect(second.code === 0, cut, `going on ends with ${second.code}: ${second.said}`);
  expect((await ask(dump)) === wanted, cut, 'the tables are not those of a calm run');
  expect(tables() === wantedTables, cut, 'the records of the run are not those of a calm one');
  expect(totals() === wantedTotals, cut, `the control totals are not those of a calm run: ${totals()}`);
}
console.log(`# ${messages} messages, ${lost} lost the answer to COMMIT, ${Math.round((Date.now() - began) * lanes / messages)} ms each`);
psql.stdin.end();
proxy.close();
process.exit(failed > 0 || messages < 50 ? 1 : 0);
