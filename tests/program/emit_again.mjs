// What is sent later: orgs that have a customer by now, revisions: emit_again.mjs PERIODCLOSE SIMULATOR FOLDER
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { assertSent, closeWords, openAccount, quick, readReport, runProgram, writeDataset } from '../emit/close.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';
import { reseal } from './older.mjs';

const [program, simulatorProgram, folder] = process.argv.slice(2);
const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });
const run = (words, env) => runProgram(program, simulator, words, env);
const statuses = (runDir) => readReport(runDir, 'invoice_items.csv')
  .map((row) => `${row.org_id} ${row.metric} ${row.status} ${row.reason}`.trim());
const edit = (dataset, file, from, to) => {
  const name = path.join(dataset, file);
  const text = fs.readFileSync(name, 'utf8');
  assert.ok(text.includes(from));
  fs.writeFileSync(name, text.replaceAll(from, to));
};
let cases = 0;
async function check(name, orgs, body) {
  const place = path.join(folder, String(cases += 1));
  await openAccount(simulator, orgs);
  await body(writeDataset(path.join(place, 'dataset'), orgs), path.join(place, 'run'));
  console.log(`ok ${name}`);
}

const orgs = [{ id: 'a', customer: 'cus_a' }, { id: 'b', metrics: 2 }, { id: 'c', customer: 'cus_c', status: 'suspended' },
  { id: 'd', customer: 'cus_d' }];
await check('what items say stays: another option is named as it is typed', orgs.slice(0, 1), async (dataset, runDir) => {
  let result = await run(closeWords(dataset, runDir, ['--max-wait', '60']));
  assert.equal(result.status, 0, result.out);
  for (const command of ['emit', 'reconcile']) {
    for (const [words, told] of [[['--max-wait', '50'], /--max-wait: .*run was begun with '60', now '50'/],
      [['--attach', 'draft'], /--attach: .*run was begun with 'upcoming', now 'draft'/],
      [['--discountable'], /--discountable: .*run was begun without it/],
      [['--no-standalone'], /--no-standalone: .*run was begun without it/]]) {
      result = await run([command, runDir, ...words, ...quick]);
      assert.equal(result.status, 13, result.out);
      assert.match(result.out, told);
      assert.match(result.out, new RegExp(`hint: leave it out: periodclose ${command} goes by what the run was begun with`));
      assert.doesNotMatch(result.out, /--restart|max_wait/);
    }
  }
  result = await run(['reconcile', runDir, '--emit', 'dodo', ...quick]);
  assert.match(result.out, /--emit: .*run was begun with 'stripe', now 'dodo'.*hint: leave it out/s);
  // Where it can be begun anew, that is said.
  result = await run(closeWords(dataset, runDir, ['--max-wait', '50']));
  assert.equal(result.status, 13, result.out);
  assert.match(result.out, /--max-wait: .*run was begun with '60', now '50'.*hint: .*another --run-dir, or begin anew with --restart/s);
});

await check('customers and suspensions are read again', orgs, async (dataset, runDir) => {
  edit(dataset, 'orgs.csv', 'cus_d', 'cus_wrong');
  let result = await run(closeWords(dataset, runDir));
  assert.equal(result.status, 21, result.out);
  assert.deepEqual(statuses(runDir), ['a m0 sent', 'b m0 held no_stripe_customer', 'b m1 held no_stripe_customer',
    'c m0 held suspended', 'd m0 failed']);
  result = await run(['explain', runDir, '--org', 'b', '--metric', 'm0']);
  assert.match(result.out, /billed .*: revision 1, held back\n +no_stripe_customer\n/);
  result = await run(['status', runDir]);
  assert.match(result.out, /^to check {2}3 items held, 1 item refused$/m);
  result = await run(['emit', runDir, ...quick]);
  assert.equal(result.status, 21, result.out);
  assert.equal((await simulator.ask({ do: 'dump' })).items.length, 1);
  edit(dataset, 'orgs.csv', 'cus_wrong', 'cus_d');
  edit(dataset, 'orgs.csv', 'b,b,active,usd,,', 'b,b,active,usd,cus_b,');
  edit(dataset, 'orgs.csv', 'suspended', 'active');
  await simulator.ask({ do: 'add', customers: [{ id: 'cus_b', currency: 'usd' }] });
  result = await run(['emit', runDir, ...quick]);
  assert.equal(result.status, 0, result.out);
  assert.deepEqual(statuses(runDir), ['a m0 sent', 'b m0 sent', 'b m1 sent', 'c m0 sent', 'd m0 sent']);
  result = await run(['status', runDir]);
  assert.doesNotMatch(result.out, /to check/);
  await assertSent(simulator, runDir, orgs.map((org) => ({ ...org, customer: `cus_${org.id}` })));
  // Another customer than where it was sent is no conflict: what was sent stays.
  edit(dataset, 'orgs.csv', 'cus_b', 'cus_a');
  result = await run(['emit', runDir, ...quick]);
  assert.equal(result.status, 0, result.out);
  assert.equal((await simulator.ask({ do: 'dump' })).items.length, 5);
});

const revised = [{ id: 'a', customer: 'cus_a', metrics: 2 }, { id: 'b', customer: 'cus_b' }, { id: 'c', customer: 'cus_c' }];
await check('a difference waits for the item before it', revised, async (dataset, runDir) => {
  await simulator.ask({ do: 'faults', plan: { script: [{ method: 'POST', path: '/v1/invoiceitems', nth: 1, times: 1, kind: '402' }] } });
  let result = await run(closeWords(dataset, runDir, ['--in-flight', '1']));
  assert.equal(result.status, 21, result.out);
  const failed = readReport(runDir, 'invoice_items.csv').filter((row) => row.status === 'failed');
  assert.equal(failed.length, 1);
  const { org_id: org, metric } = failed[0];
  const corrected = path.join(path.dirname(runDir), 'corrected');
  fs.cpSync(dataset, corrected, { recursive: true });
  edit(corrected, 'usage.csv', ',15,', ',18,');
  const second = `${runDir}-2`;
  result = await run(closeWords(corrected, second, ['--previous', runDir, '--reason', 'late']));
  assert.equal(result.status, 4, result.out);
  assert.deepEqual(statuses(second).filter((line) => line.includes('held')), [`${org} ${metric} held earlier_revision`]);
  assert.equal((await simulator.ask({ do: 'dump' })).items.length, 3 + 2);
  // A difference of nothing is recorded, and neither sent nor asked about.
  const same = readReport(second, 'overages.csv').find((row) => row.org_id === 'a' && row.metric === 'm1');
  assert.deepEqual([same.cost, same.billed, same.status], ['20.00', '0.00', 'zero']);
  assert.equal(readReport(second, 'invoice_items.csv').filter((row) => row.metric === 'm1' && row.status !== 'zero').length, 0);
  // A third revision waits for both.
  const again = path.join(path.dirname(runDir), 'again');
  fs.cpSync(corrected, again, { recursive: true });
  edit(again, 'usage.csv', ',18,', ',16,');
  const third = `${runDir}-3`;
  result = await run(closeWords(again, third, ['--previous', second, '--reason', 'later']));
  assert.equal(result.status, 4, result.out);
  assert.deepEqual(statuses(third).filter((line) => line.includes('held')), [`${org} ${metric} held earlier_revision`]);
  for (const [revision, status] of [[third, 4], [second, 4], [runDir, 0], [third, 4], [second, 0], [third, 0]]) {
    result = await run(['emit', revision, ...quick]);
    assert.equal(result.status, status, result.out);
  }
  const there = (await simulator.ask({ do: 'dump' })).items;
  assert.equal(there.length, 4 + 3 + 3);
  const sums = {};
  for (const item of there) sums[`${item.customer} ${item.metadata.metric}`] = (sums[`${item.customer} ${item.metadata.metric}`] ?? 0) + item.amount;
  assert.deepEqual(sums, { 'cus_a m0': 1100, 'cus_a m1': 2000, 'cus_b m0': 1100, 'cus_c m0': 1100 });
});

await check('the rate is that of the first start, until another one is typed', revised, async (dataset, runDir) => {
  await simulator.ask({ do: 'faults', plan: { script: [{ method: 'GET', path: '/v1/invoiceitems', nth: 1, times: 1000, kind: 'not_json_502' }] } });
  for (const [words, rate] of [[['--rate', '3'], 3], [[], 3], [['--rate', '9'], 9], [[], 9]]) {
    const all = rate === 3 && words.length > 0 ? closeWords(dataset, runDir) : ['run', '--run-dir', runDir, ...quick];
    const kept = all.filter((word, index) => word !== '--rate' && all[index - 1] !== '--rate');
    const result = await run([...kept, ...words, '--deadline', '3']);
    assert.ok([22, 40].includes(result.status), result.out);
    assert.match(result.out, new RegExp(`^note: 4 items to send: .*; at ${rate} a second it takes about`, 'm'));
  }
});

// A finished run whose stages are of older versions: told as what it is, and never as damage. Who reads
// none of the tables that are missing goes on; who does is refused, and takes nothing away.
await check('a run of an older version of the stage', [{ id: 'a', customer: 'cus_a' }], async (dataset, runDir) => {
  let result = await run(closeWords(dataset, runDir));
  assert.equal(result.status, 0, result.out);
  reseal(runDir, (manifest) => {
    const stage = manifest.stages.find((one) => one.name === 'emit');
    stage.version -= 1;
    manifest.stages.find((one) => one.name === 'meter').version -= 1; // its tables are as this version's
    stage.files = stage.files.filter((one) => !JSON.stringify(one).includes('invoices'));
  });
  const reports = () => fs.readdirSync(path.join(runDir, 'reports')).sort()
    .map((name) => [name, fs.readFileSync(path.join(runDir, 'reports', name), 'utf8')]);
  const reported = reports();
  assert.ok(reported.length > 0);
  for (const words of [['report', runDir], closeWords(dataset, runDir)]) {
    result = await run(words);
    assert.deepEqual(reports(), reported);
    assert.equal(result.status, 13, result.out);
    assert.match(result.out, /stage 'emit'.* sealed by version 2 of it, this program has version 3.*hint: use the program version that/s);
    assert.doesNotMatch(result.out, /it goes on there/);
  }
  // What only looks goes on, and emit performs the stage anew.
  for (const words of [['status', runDir], ['verify', runDir], ['emit', runDir, ...quick], ['report', runDir]]) {
    result = await run(words);
    assert.equal(result.status, 0, result.out);
  }
  assert.equal((await simulator.ask({ do: 'dump' })).items.length, 1);
});

// What a run without --emit billed was sent by nobody, or by other means: only people know.
const silent = [{ id: 'a', customer: 'cus_a', metrics: 2 }, { id: 'b', customer: 'cus_b' }];
await check('a difference to what was never sent is not sent by itself', silent, async (dataset, runDir) => {
  const plain = (words) => words.filter((word, at) => word !== '--emit' && words[at - 1] !== '--emit');
  let result = await run(['run', '--period', '2026-10', '--source', dataset, '--run-dir', runDir, '--now', '2026-11-02T00:00:00Z']);
  assert.equal(result.status, 0, result.out);
  const corrected = path.join(path.dirname(runDir), 'corrected');
  fs.cpSync(dataset, corrected, { recursive: true });
  edit(corrected, 'usage.csv', ',15,', ',12,');
  const revise = (target, before, more = []) => run(closeWords(corrected, target, ['--previous', before, '--reason', 'late', ...more]));
  for (const more of [[], ['--dry-run']]) {
    result = await revise(`${runDir}-2`, runDir, more);
    assert.equal(result.status, 13, result.out);
    assert.match(result.out, /run was closed with --emit none: what it billed was not sent.*hint: .*without --previous.*--earlier-billed/s);
  }
  assert.equal((await simulator.ask({ do: 'dump' })).stats.requests, 0);
  // Billed by other means, somebody says: the difference goes, and the next one waits for it alone.
  result = await revise(`${runDir}-2`, runDir, ['--earlier-billed']);
  assert.equal(result.status, 0, result.out);
  result = await run(['emit', `${runDir}-2`, ...quick]);
  assert.equal(result.status, 0, result.out);
  edit(corrected, 'usage.csv', ',12,', ',18,');
  result = await revise(`${runDir}-3`, `${runDir}-2`);
  assert.equal(result.status, 0, result.out);
  assert.deepEqual((await simulator.ask({ do: 'dump' })).items.map((item) => `${item.customer} ${item.amount}`).sort(),
    ['cus_a -300', 'cus_a 600', 'cus_b -300', 'cus_b 600']);
  // A revision that is not sent itself needs no such word.
  result = await run(plain(closeWords(corrected, `${runDir}-4`, ['--previous', runDir, '--reason', 'late'])).filter((word) => !quick.includes(word)));
  assert.equal(result.status, 0, result.out);
});

await simulator.stop();
