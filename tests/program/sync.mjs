// sync against a database and the simulator: sync.mjs PERIODCLOSE SIMULATOR FOLDER, with the libpq
// environment of a migrated, empty database.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, simulatorProgram, folder] = process.argv.slice(2);
const KEY = 'sk_test_simulator';
const STRIPE_SECRET = 'whsec_c2ltdWxhdG9y';
const DODO_SECRET = `whsec_${Buffer.from('a secret of twenty-four').toString('base64')}`;
const ORGS = 250;

const sql = (text) => execFileSync('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1'], { input: text, encoding: 'utf8' })
  .trim();

function run(simulator, words, { input, env = {} } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, ['sync', ...words, '--database', ''], {
      env: { ...process.env, STRIPE_API_BASE: simulator.base, STRIPE_API_KEY: KEY,
        DODO_PAYMENTS_API_BASE: simulator.base, DODO_PAYMENTS_API_KEY: KEY,
        STRIPE_WEBHOOK_SECRET: STRIPE_SECRET, DODO_PAYMENTS_WEBHOOK_KEY: DODO_SECRET, ...env },
    });
    let out = '';
    child.stdout.on('data', (bytes) => { out += bytes; });
    child.stderr.on('data', (bytes) => { out += bytes; });
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
    const limit = setTimeout(() => child.kill('SIGKILL'), 240000);
    child.on('close', (status) => {
      clearTimeout(limit);
      resolve({ status, out });
    });
  });
}
const FAST = ['--rate', 'none', '--retry-delay', '1', '--timeout', '20000'];

const now = Math.floor(Date.now() / 1000);
const begun = now - 100 * 86400;
const stripeSubscription = (n, more = {}) => ({ id: `sub_${n}`, object: 'subscription', customer: `cus_${n}`,
  status: 'active', created: begun, start_date: begun, currency: 'usd', metadata: {}, cancel_at_period_end: false,
  items: { data: [{ current_period_end: now + 86400, price: { id: 'price_1', lookup_key: 'pro', product: 'prod_1' } }] },
  ...more });

sql(`insert into billing.plans (plan_id) values ('pro'), ('big'), ('pdt_1');
  insert into billing.orgs (org_id, stripe_customer_id)
  select 'org_' || n, case when n % 2 = 0 then 'cus_' || n end from generate_series(0, ${ORGS - 1}) as n;
  insert into billing.orgs (org_id) values ('dodo_1'), ('dodo_2');
  insert into billing.plan_links values ('stripe', 'prod_big', 'big');
  insert into billing.subscriptions (org_id, plan_id, starts_at) values
    ('org_2', 'pro', '2020-01-01Z'), ('org_4', 'big', '2020-01-01Z');`);
const inForce = (org) => sql(`select plan_id || ' ' || coalesce(extract(epoch from ends_at)::bigint::text, 'open')
  from billing.subscriptions where org_id = '${org}' order by starts_at`);

const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });

// all of them, page by page; orgs without a customer id are found by the metadata
const subscriptions = Array.from({ length: ORGS }, (_, n) => stripeSubscription(n,
  n % 2 === 0 ? {} : { metadata: { org_id: `org_${n}` } }));
subscriptions[6] = stripeSubscription(6, { status: 'canceled', ended_at: now - 5000 });
subscriptions[8] = stripeSubscription(8, { cancel_at_period_end: true });
subscriptions[10] = stripeSubscription(10, { items: { data: [{ price: { id: 'price_9', product: { id: 'prod_big' } } }] } });
subscriptions[12] = stripeSubscription(12, { items: { data: [{ price: { id: 'price_none', product: 'prod_none' } }] } });
subscriptions[14] = stripeSubscription(14, { status: 'incomplete' });
subscriptions.push(stripeSubscription('stranger'));
await simulator.ask({ do: 'reset', seed: 1, key: KEY });
await simulator.ask({ do: 'add', subscriptions });
let result = await run(simulator, ['stripe', ...FAST]);
assert.equal(result.status, 2, result.out); // a key of test mode, and nobody says that it is meant
assert.match(result.out, /--test-key/);
assert.equal(sql('select count(*) from billing.synced_subscriptions'), '0');
result = await run(simulator, ['stripe', '--test-key', ...FAST]);
assert.equal(result.status, 4, result.out);
assert.match(result.out, /subscriptions +251\nadded +248\nchanged +0\nsame +0\nstale +0\nleft +3\n/);
assert.match(result.out, /left {2}sub_stranger {2}cus_stranger {2}no_org: /);
assert.match(result.out, /left {2}sub_12 {2}cus_12 {2}no_plan: /);
assert.match(result.out, /left {2}sub_4 {2}cus_4 {2}overlap: /); // another plan, written by hand
assert.equal(inForce('org_0'), 'pro open');
assert.equal(inForce('org_2'), 'pro open', 'a row that was there is taken for it');
assert.equal(inForce('org_6'), `pro ${now - 5000}`);
assert.equal(inForce('org_8'), `pro ${now + 86400}`);
assert.equal(inForce('org_10'), 'big open');
assert.equal(inForce('org_14'), '');
assert.equal(sql("select stripe_customer_id || ' ' || stripe_subscription_id from billing.orgs where org_id = 'org_1'"),
  'cus_1 sub_1');
const calls = (await simulator.ask({ do: 'dump' })).calls;
assert.equal(calls['GET /v1/subscriptions 200'], 3);

// again: nothing changes; lost answers are asked for again
await simulator.ask({ do: 'faults', plan: { seed: 3, per_mille: 400, faults_max: 4, kinds: ['not_json_502', 'truncate', '429_locked'] } });
result = await run(simulator, ['stripe', '--test-key', ...FAST]);
assert.match(result.out, /added +0\nchanged +0\nsame +248\nstale +0\nleft +3\n/);
await simulator.ask({ do: 'faults' });

// Stripe's events: signed, once, and never back in time
function stripeEvent(id, created, object, type = 'customer.subscription.updated') {
  return JSON.stringify({ id, object: 'event', type, created, data: { object } });
}
function stripeHeader(body, { at = now, secret = STRIPE_SECRET, before = '' } = {}) {
  const hmac = createHmac('sha256', secret).update(`${at}.${body}`).digest('hex');
  return ['--header', `Stripe-Signature: t=${at},${before}v1=${hmac}`];
}
const send = (body, header = stripeHeader(body)) => run(simulator, ['--event', '-', ...header], { input: body });
const deleted = stripeEvent('evt_1', now, stripeSubscription(0, { status: 'canceled', ended_at: now - 10 }),
  'customer.subscription.deleted');
for (const [header, why] of [
  [stripeHeader(deleted, { secret: 'whsec_other' }), /no signature in Stripe-Signature fits/],
  [stripeHeader(`${deleted} `), /no signature in Stripe-Signature fits/],
  [stripeHeader(deleted, { at: now - 400 }), /more than five minutes off/],
  [stripeHeader(deleted, { at: now + 4000 }), /more than five minutes off/],
  [['--header', `Stripe-Signature: t=${now}`], /no signature in Stripe-Signature fits/],
  [['--header', 'Stripe-Signature: v1=00'], /no time stamp/],
  [[], /there is no signature/],
  [['--header', 'webhook-signature: v1,00'], /came without webhook-id or webhook-timestamp/]]) {
  result = await send(deleted, header);
  assert.equal(result.status, 10, result.out);
  assert.match(result.out, why);
  assert.ok(!result.out.includes(STRIPE_SECRET));
}
assert.equal(inForce('org_0'), 'pro open', 'nothing was taken');
result = await send(deleted, stripeHeader(deleted, { before: `v1=${'0'.repeat(64)},` })); // rotated secrets
assert.equal(`${result.status} ${result.out}`, '0 changed\n');
assert.equal(inForce('org_0'), `pro ${now - 10}`);
assert.equal(sql("select stripe_subscription_id is null from billing.orgs where org_id = 'org_0'"), 't');
result = await send(deleted);
assert.equal(`${result.status} ${result.out}`, '0 repeated\n');
for (const [id, at] of [['evt_2', now - 60], ['evt_3', now]]) { // older, and of the same second
  result = await send(stripeEvent(id, at, stripeSubscription(0)));
  assert.equal(`${result.status} ${result.out}`, '0 stale\n');
}
assert.equal(inForce('org_0'), `pro ${now - 10}`);
// a change of plan ends one row and begins another; the body comes from a file, the header as CGI has it
const bigger = stripeEvent('evt_4', now, stripeSubscription(16,
  { items: { data: [{ price: { id: 'price_9', product: 'prod_big' } }] } }));
fs.writeFileSync(path.join(folder, 'event.json'), bigger);
result = await run(simulator, ['--event', path.join(folder, 'event.json')],
  { env: { HTTP_STRIPE_SIGNATURE: stripeHeader(bigger)[1].slice('Stripe-Signature: '.length) } });
assert.equal(`${result.status} ${result.out}`, '0 changed\n');
assert.equal(inForce('org_16'), `pro ${now}\nbig open`);
// what cannot be taken over yet may be sent again
const early = stripeEvent('evt_5', now, stripeSubscription('stranger'));
result = await send(early);
assert.equal(result.status, 4, result.out);
sql("insert into billing.orgs (org_id, stripe_customer_id) values ('late', 'cus_stranger')");
result = await send(early);
assert.equal(`${result.status} ${result.out}`, '0 added\n');
result = await send(JSON.stringify({ id: 'evt_6', type: 'invoice.paid', created: now, data: { object: {} } }));
assert.equal(`${result.status} ${result.out}`, '0 ignored\n');
const ofTest = JSON.stringify({ ...JSON.parse(stripeEvent('evt_7', now + 1, stripeSubscription(18, { status: 'canceled' }))), livemode: false });
result = await send(ofTest);
assert.equal(result.status, 10, result.out);
assert.equal(inForce('org_18'), 'pro open');
result = await run(simulator, ['--event', '-', '--test-key', ...stripeHeader(ofTest)], { input: ofTest });
assert.equal(`${result.status} ${result.out}`, '0 changed\n');
result = await send('{"no": "event"}');
assert.equal(result.status, 10, result.out);

// Dodo: pages until an empty one, and Standard Webhooks
const iso = (seconds) => new Date(seconds * 1000).toISOString();
const dodoSubscription = (n, more = {}) => ({ id: `dsub_${n}`, subscription_id: `dsub_${n}`, status: 'active',
  customer: { customer_id: `dcus_${n}` }, product_id: 'pdt_1', created_at: iso(begun), previous_billing_date: iso(begun),
  next_billing_date: iso(now + 86400), cancel_at_next_billing_date: false, metadata: { org_id: `dodo_${n}` }, ...more });
await simulator.ask({ do: 'reset', seed: 1, key: KEY });
await simulator.ask({ do: 'add', subscriptions: [dodoSubscription(1), dodoSubscription(2, { cancel_at_next_billing_date: true })] });
await simulator.ask({ do: 'faults', plan: { seed: 1, faults_max: 99, script: [ // they pass: it is asked on
  { method: 'GET', path: '/subscriptions', nth: 1, times: 5, kind: '500_before' },
  { method: 'GET', path: '/subscriptions', nth: 6, times: 5, kind: 'not_json_502' },
  { method: 'GET', path: '/subscriptions', nth: 11, times: 3, kind: '429_limited' }] } });
result = await run(simulator, ['dodo', ...FAST]);
assert.equal(result.status, 0, result.out);
await simulator.ask({ do: 'faults' });
assert.match(result.out, /subscriptions +2\nadded +2\n/);
assert.equal(inForce('dodo_1'), 'pdt_1 open');
assert.equal(inForce('dodo_2'), `pdt_1 ${now + 86400}`);
assert.equal(sql("select dodo_customer_id from billing.orgs where org_id = 'dodo_1'"), 'dcus_1');
function dodoHeaders(id, body, { at = now, secret = DODO_SECRET, others = '' } = {}) {
  const hmac = createHmac('sha256', Buffer.from(secret.slice(6), 'base64')).update(`${id}.${at}.${body}`).digest('base64');
  return ['--header', `webhook-id: ${id}`, '--header', `webhook-timestamp: ${at}`,
    '--header', `webhook-signature: ${others}v1,${hmac}`];
}
const cancelled = JSON.stringify({ business_id: 'bus_1', type: 'subscription.cancelled', timestamp: iso(now),
  data: { payload_type: 'Subscription', ...dodoSubscription(1, { status: 'cancelled', cancelled_at: iso(now - 20) }) } });
const wrongKey = `whsec_${Buffer.from('another secret, as long').toString('base64')}`;
for (const headers of [dodoHeaders('msg_1', cancelled, { secret: wrongKey }), dodoHeaders('msg_1', `${cancelled} `),
  dodoHeaders('msg_1', cancelled, { at: now - 400 })]) {
  result = await send(cancelled, headers);
  assert.equal(result.status, 10, result.out);
}
result = await send(cancelled, dodoHeaders('msg_1', cancelled, { others: 'v1a,AAAA v1,AAAA ' }));
assert.equal(`${result.status} ${result.out}`, '0 changed\n');
assert.equal(inForce('dodo_1'), `pdt_1 ${now - 20}`);
result = await send(cancelled, dodoHeaders('msg_1', cancelled));
assert.equal(`${result.status} ${result.out}`, '0 repeated\n');
const renewed = JSON.stringify({ type: 'subscription.renewed', data: dodoSubscription(1) });
result = await send(renewed, dodoHeaders('msg_0', renewed, { at: now - 100 }));
assert.equal(`${result.status} ${result.out}`, '0 stale\n');
assert.equal(inForce('dodo_1'), `pdt_1 ${now - 20}`);

// a page that says there are more, and has none; pages that are always the same: neither is asked for ever
const stuck = { asked: 0, answer: null };
const server = http.createServer((request, response) => {
  stuck.asked += 1;
  response.end(JSON.stringify(stuck.answer));
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const stuckBase = `http://127.0.0.1:${server.address().port}`;
for (const [words, answer, status] of [
  [['stripe', '--test-key'], { data: [], has_more: true }, 0],
  [['stripe', '--test-key'], { data: [stripeSubscription(20), stripeSubscription(22)], has_more: true }, 21],
  [['dodo'], { items: [dodoSubscription(1), dodoSubscription(2)] }, 21]]) {
  Object.assign(stuck, { asked: 0, answer });
  result = await run(simulator, [...words, ...FAST], { env: { STRIPE_API_BASE: stuckBase, DODO_PAYMENTS_API_BASE: stuckBase } });
  assert.equal(result.status, status, result.out);
  assert.ok(stuck.asked <= 2);
}
server.close();

console.log('pages, events, forgeries, repetitions, old ones: as they should be');
await simulator.stop();
