// The simulator's own test: it must be as strict as Stripe, or it proves nothing. One line a fact.
//
//   node tests/stripe_sim/selftest.mjs SIMULATOR
import http from 'node:http';
import https from 'node:https';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeCertificate } from './certificate.mjs';
import { startSimulator } from './simulator.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'periodclose-selftest-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));
const tls = makeCertificate(scratch);
const simulator = await startSimulator(process.argv[2], { seconds: 1500, tls });
const KEY = 'sk_test_selftest';
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
let good = 0;
let bad = 0;

function check(sentence, isTrue, seen) {
  if (isTrue) {
    good += 1;
    console.log(`ok - ${sentence}`);
  } else {
    bad += 1;
    console.log(`not ok - ${sentence}\n    ${JSON.stringify(seen)}`);
  }
}

function send(method, where, { body = '', key, headers = {}, bearer = KEY, timeout = 60000,
  through = agent, secure = false } = {}) {
  const sent = { 'Stripe-Version': '2026-07-29.dahlia', Authorization: `Bearer ${bearer}`,
    'Content-Type': 'application/x-www-form-urlencoded', ...headers };
  if (key !== undefined) sent['Idempotency-Key'] = key;
  return new Promise((resolve) => {
    const target = secure ? { port: simulator.tlsPort, ca: fs.readFileSync(tls[0]), agent: false }
      : { port: simulator.port, agent: through };
    const request = (secure ? https : http).request({ host: '127.0.0.1', method, path: where,
      headers: sent, timeout, ...target }, (response) => {
      let text = '';
      response.on('data', (data) => { text += data; });
      response.on('end', () => {
        let json = null;
        try { json = JSON.parse(text); } catch { /* not JSON: json stays null */ }
        resolve({ status: response.statusCode, headers: response.headers, json, text });
      });
      response.on('error', (error) => resolve({ status: 0, code: error.code }));
    });
    request.on('timeout', () => request.destroy(new Error('too slow')));
    request.on('error', (error) => resolve({ status: 0, code: error.code, text: error.message }));
    request.end(body);
  });
}

const reset = (more = {}) => simulator.ask({ do: 'reset', seed: 7, key: KEY, ...more })
  .then(() => simulator.ask({ do: 'add', customers: [{ id: 'cus_1' }, { id: 'cus_2' },
    { id: 'cus_isk', currency: 'isk' }],
  subscriptions: [{ id: 'sub_1', object: 'subscription', customer: 'cus_1', status: 'active',
    currency: 'usd', created: 1, items: { data: [{ current_period_end: 99 }] } },
  { id: 'sub_gone', object: 'subscription', customer: 'cus_1', status: 'canceled',
    currency: 'usd', created: 2, items: { data: [{ current_period_end: 99 }] } }] }));
const items = async () => (await simulator.ask({ do: 'dump' })).items;
const ITEM = 'customer=cus_1&amount=1234&currency=usd&description=a%20b&metadata[item_key]=k1';
const post = (body, key, more = {}) => send('POST', '/v1/invoiceitems', { body, key, ...more });
const scripted = (kind, more = {}) => reset({ faults: { stall_ms: 1000, refuse_ms: 1500,
  script: [{ method: 'POST', path: '/v1/', nth: 1, kind, ...more }] } });

// --- an item ---
await reset();
const made = await post(ITEM, 'a');
check('an item is made', made.status === 200 && made.json.amount === 1234 &&
  made.json.description === 'a b' && made.json.metadata.item_key === 'k1', made);
const shape = JSON.parse(fs.readFileSync(path.join(HERE, 'invoice_items.schema.json'), 'utf8'))
  .$defs.invoiceitem;
check('its fields are those of the schema', shape.required.every((name) => name in made.json) &&
  Object.keys(made.json).every((name) => name in shape.properties), made.json);
const again = await post(ITEM, 'a');
check('the same key gives the same answer, marked as replayed',
  again.json.id === made.json.id && again.headers['idempotent-replayed'] === 'true' &&
  (await items()).length === 1, again);
const other = await post(ITEM.replace('1234', '1235'), 'a');
check('the same key with other parameters is refused', other.status === 400 &&
  other.json.error.type === 'idempotency_error', other);
await simulator.ask({ do: 'clock', advance_s: 86340 });
await post(ITEM, 'a');
check('a key is kept for 24 hours', (await items()).length === 1);
await simulator.ask({ do: 'clock', advance_s: 61 });
const late = await post(ITEM, 'a');
check('and forgotten after that: a second item', late.status === 200 &&
  (await items()).length === 2 && late.headers['idempotent-replayed'] === undefined, late);

// --- what is refused ---
const refused = [
  ['an unknown parameter', `${ITEM}&colour=red`, 'parameter_unknown'],
  ['an unknown nested parameter', `${ITEM}&period[start]=1&period[end]=2&period[x]=3`,
    'parameter_unknown'],
  ['an unknown customer', ITEM.replace('cus_1', 'cus_9'), 'resource_missing'],
  ['no customer', ITEM.replace('customer=cus_1&', ''), 'parameter_missing'],
  ['an amount with a point', ITEM.replace('1234', '12.34'), 'parameter_invalid_integer'],
  ['an amount of 13 digits', ITEM.replace('1234', '1000000000000'), 'amount_too_large'],
  ['a currency in capitals', ITEM.replace('usd', 'USD'), 'parameter_invalid'],
  ['an unknown currency', ITEM.replace('usd', 'zzz'), 'parameter_invalid'],
  ['kronur with aurar', ITEM.replace('usd', 'isk'), 'parameter_invalid'],
  ['Kuwaiti thousandths', ITEM.replace('usd', 'kwd'), 'parameter_invalid'],
  ['a period that ends before it starts', `${ITEM}&period[start]=2&period[end]=1`,
    'parameter_invalid'],
  ['half a period', `${ITEM}&period[start]=2`, 'parameter_missing'],
  ['a metadata key of 41 characters', `${ITEM}&metadata[${'k'.repeat(41)}]=1`, 'parameter_invalid'],
  ['a metadata value of 501 characters', `${ITEM}&metadata[v]=${'v'.repeat(501)}`,
    'parameter_invalid'],
  ['51 metadata keys', ITEM + Array.from({ length: 50 }, (_, i) => `&metadata[k${i}]=1`).join(''),
    'parameter_invalid'],
  ['a description of 5001 characters', ITEM.replace('a%20b', 'x'.repeat(5001)),
    'parameter_invalid_string_too_long'],
  ['an empty description', ITEM.replace('a%20b', ''), 'parameter_invalid_empty'],
  ['an amount and a unit amount', `${ITEM}&unit_amount_decimal=1`, 'parameter_invalid'],
  ['a unit amount of 13 decimals', 'customer=cus_1&currency=usd&unit_amount_decimal=0.1234567890123',
    'parameter_invalid_decimal'],
  ['a canceled subscription', `${ITEM}&subscription=sub_gone`, undefined],
  ["another's subscription", ITEM.replace('cus_1', 'cus_2') + '&subscription=sub_1',
    'resource_missing'],
  ['a currency that is not the subscription\'s', `${ITEM.replace('usd', 'eur')}&subscription=sub_1`,
    undefined],
  ['a broken escape', `${ITEM}&description=%zz`, 'parameter_invalid'],
  ['a parameter given twice', `${ITEM}&amount=5`, 'parameter_invalid'],
];
await reset();
for (const [what, body, code] of refused) {
  const answer = await post(body, `r-${what}`);
  check(`refused: ${what}`, answer.status === 400 && answer.json.error.code === code, answer);
}
check('nothing came of them', (await items()).length === 0);
check('a wrong key is 401', (await post(ITEM, 'x', { bearer: 'sk_test_other' })).status === 401);
check('no Stripe-Version is refused',
  (await post(ITEM, 'x', { headers: { 'Stripe-Version': '' } })).status === 400);
check('an unknown path is 404', (await send('POST', '/v1/nothing')).status === 404);
check('a refusal for its parameters leaves the key free',
  (await post(`${ITEM}&colour=red`, 'free')).status === 400 &&
  (await post(ITEM, 'free')).status === 200);
const quantity = await post('customer=cus_2&currency=usd&quantity_decimal=2500.5' +
  '&unit_amount_decimal=0.01', 'q');
check('quantity times unit amount is rounded half away', quantity.json.amount === 25, quantity);
check('an odd amount of pieces in kronur',
  (await post('customer=cus_isk&amount=500&currency=isk', 'isk')).status === 200);

// --- lists ---
await reset();
for (let n = 0; n < 25; n += 1) await post(ITEM.replace('1234', String(1000 + n)), `n${n}`);
await post(ITEM.replace('cus_1', 'cus_2'), 'elsewhere');
const seen = [];
let page = await send('GET', '/v1/invoiceitems?customer=cus_1&limit=10');
for (let pages = 0; pages < 5; pages += 1) {
  seen.push(...page.json.data.map((item) => item.amount));
  if (!page.json.has_more) break;
  page = await send('GET',
    `/v1/invoiceitems?customer=cus_1&limit=10&starting_after=${page.json.data.at(-1).id}`);
}
check('pages show each item of the customer once, newest first',
  JSON.stringify(seen) === JSON.stringify(Array.from({ length: 25 }, (_, n) => 1024 - n)), seen);
check('a page of 101 is refused', (await send('GET', '/v1/invoiceitems?limit=101')).status === 400);
const none = await send('GET', `/v1/invoiceitems?created[gt]=${2 ** 40}`);
check('created filters', none.json.data.length === 0, none);
const { id } = page.json.data[0];
const gone = await send('DELETE', `/v1/invoiceitems/${id}`);
check('an item can be deleted once', gone.json.deleted === true &&
  (await send('DELETE', `/v1/invoiceitems/${id}`)).status === 404, gone);

// --- invoices ---
await reset();
const draft = await send('POST', '/v1/invoices', { body: 'customer=cus_1&auto_advance=false', key: 'i' });
await post(`${ITEM}&invoice=${draft.json.id}`, 'on');
const lines = await send('POST', `/v1/invoices/${draft.json.id}/add_lines`, { key: 'l',
  body: 'lines[0][amount]=66&lines[0][description]=x&lines[0][metadata][item_key]=k2' +
    '&lines[1][amount]=-100&lines[1][description]=y' });
check('lines add up to the total', lines.json.total === 1200, lines);
const listed = await send('GET', `/v1/invoices/${draft.json.id}/lines?limit=100`);
check('lines are listed with their metadata', listed.json.data.length === 3 &&
  listed.json.data.some((line) => line.metadata.item_key === 'k2'), listed);
const many = await send('POST', `/v1/invoices/${draft.json.id}/add_lines`, { key: 'm',
  body: Array.from({ length: 248 }, (_, i) => `lines[${i}][amount]=1`).join('&') });
check('251 lines are too many, and none of them is added', many.status === 400 &&
  (await send('GET', `/v1/invoices/${draft.json.id}`)).json.total === 1200, many);
const final = await send('POST', `/v1/invoices/${draft.json.id}/finalize`, { key: 'f' });
const tooLate = await post(`${ITEM}&invoice=${draft.json.id}`, 'late');
check('a final invoice takes nothing more', final.json.status === 'open' &&
  tooLate.status === 400 && tooLate.json.error.code === 'invoice_not_editable', tooLate);
await reset();
await post(`${ITEM}&subscription=sub_1`, 'p');
const renewed = await simulator.ask({ do: 'renew', subscription: 'sub_1' });
check('a renewal takes the pending items',
  (await items())[0].invoice === renewed.invoice, await items());
const active = await send('GET', '/v1/subscriptions?customer=cus_1');
check('canceled subscriptions are not listed unless asked for', active.json.data.length === 1 &&
  (await send('GET', '/v1/subscriptions?status=all')).json.data.length === 2, active);
const preview = await send('POST', '/v1/invoices/create_preview', { body: 'subscription=sub_1' });
check('a preview knows when the next invoice is', preview.json.period_end === 99, preview);

// --- meters and Dodo ---
const now = Math.floor(Date.now() / 1000);
const meter = 'event_name=tokens&payload[stripe_customer_id]=cus_1&payload[value]=5&identifier=e1';
check('a meter event is taken once', (await send('POST', '/v1/billing/meter_events',
  { body: `${meter}&timestamp=${now - 60}`, key: 'e' })).status === 200 &&
  (await send('POST', '/v1/billing/meter_events', { body: meter, key: 'e2' })).status === 400);
check('not after 35 days', (await send('POST', '/v1/billing/meter_events',
  { body: `${meter}2&timestamp=${now - 36 * 86400}`, key: 'e3' })).status === 400);
const ingest = (...events) => send('POST', '/events/ingest', { body: JSON.stringify({ events }) });
const event = { event_id: 'd1', customer_id: 'cus_1', event_name: 'tokens', metadata: { n: '5' } };
check('Dodo ingests, and ignores what it has', (await ingest(event)).json.ingested_count === 1 &&
  (await ingest(event)).json.ingested_count === 0);
check('a duplicate in one request fails all of it',
  (await ingest({ ...event, event_id: 'd2' }, { ...event, event_id: 'd2' })).status === 400 &&
  (await send('GET', '/events/d2')).status === 404);
check('Dodo refuses what is older than an hour', (await ingest({ ...event, event_id: 'd3',
  timestamp: new Date(Date.now() - 3601000).toISOString() })).status === 400);
check('an event is proven by its id',
  (await send('GET', '/events/d1')).json.metadata.n === '5');
check('events are listed by name, page by page',
  (await send('GET', '/events?event_name=tokens&page_size=1')).json.items.length === 1 &&
  (await send('GET', '/events?event_name=tokens&page_size=1&page_number=1')).json.items.length === 0 &&
  (await send('GET', '/events?event_name=other')).json.items.length === 0);
const missing = await send('GET', '/meters/none');
check("Dodo's errors are flat", missing.status === 404 && missing.json.code === 'NOT_FOUND');

// --- what goes wrong ---
for (const [kind, status, count, replayed] of [
  ['reset_before', 0, 0, 200], ['reset_after', 0, 1, 200], ['close_after', 0, 1, 200],
  ['500_before', 500, 0, 500], ['500_after', 500, 1, 500], ['409', 409, 0, 200],
  ['429_limited', 429, 0, 200], ['429_locked', 429, 0, 200], ['truncate', 0, 1, 200],
  ['not_json_502', 502, 0, 200], ['402', 402, 0, 402], ['403', 403, 0, 200]]) {
  await scripted(kind);
  const answer = await post(ITEM, 'w');
  const kept = (await items()).length;
  const retried = await post(ITEM, 'w');
  check(`${kind}: ${status || 'no answer'}, ${count} done, then ${replayed}`,
    (status === 0 ? answer.status === 0 || answer.code !== undefined : answer.status === status) &&
    kept === count && retried.status === replayed &&
    (answer.headers?.['stripe-rate-limited-reason'] !== undefined) === (kind === '429_limited'),
    [answer, kept, retried]);
}
// Until the simulator works on so many requests.
async function begun(count) {
  while ((await simulator.ask({ do: 'dump' })).stats.requests < count);
}
await scripted('stall_before');
const slow = post(ITEM, 's');
await begun(1);
const meanwhile = await post(ITEM, 's');
check('a key that is being worked on is 409', meanwhile.status === 409 &&
  meanwhile.json.error.code === 'idempotency_key_in_use' && (await slow).status === 200 &&
  (await post(ITEM, 's')).status === 200 && (await items()).length === 1, meanwhile);
check('two requests of one customer at once are noticed',
  (await simulator.ask({ do: 'dump' })).stats.overlaps === 1);
const leave = async (key) => {
  const left = http.request({ port: simulator.port, method: 'POST', path: '/v1/invoiceitems',
    agent: false, headers: { 'Stripe-Version': '2026-07-29.dahlia', Authorization: `Bearer ${KEY}`,
      'Idempotency-Key': key } });
  left.on('error', () => {});
  left.end(ITEM);
  await begun(1);
  left.destroy();
};
await scripted('stall_before');
await leave('before');
const byThen = Math.ceil(Date.now() / 1000);
await simulator.ask({ do: 'clock', advance_s: 90000 });
const [before, ...others] = await items();
check('what was sent is done before time moves', before !== undefined && before.date <= byThen &&
  others.length === 0, before);
await scripted('stall_before');
await leave('left');
const inUse = await post(ITEM, 'left');
let settled = inUse;
while (settled.status === 409) settled = await post(ITEM, 'left');
check('what a client left behind is done all the same, and its key is free again',
  inUse.status === 409 && settled.status === 200 &&
  settled.headers['idempotent-replayed'] === 'true' && (await items()).length === 1,
  [inUse, settled]);
await scripted('reset_before');
const unread = await new Promise((resolve) => {
  const socket = net.connect(simulator.port, '127.0.0.1', () => {
    socket.write(`POST /v1/invoiceitems HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n`);
  });
  socket.on('error', (error) => resolve(error.code));
  socket.on('close', () => resolve('closed'));
});
check('a connection can be reset before the body is read', unread === 'ECONNRESET', unread);
await scripted('not_json_after');
const page200 = await post(ITEM, 'h');
check('a page in place of JSON', page200.status === 200 && page200.json === null &&
  (await items()).length === 1, page200);
await scripted('refuse');
const first = await post(ITEM, 'c');
const second = await post(ITEM, 'c', { through: false });
check('refused connections', first.status === 0 && second.code === 'ECONNREFUSED', [first, second]);
let third = second;
while (third.code === 'ECONNREFUSED') third = await post(ITEM, 'c', { through: false });
check('which pass', third.status === 200, third);
await reset();
check('over TLS it is the same', (await post(ITEM, 't', { secure: true })).status === 200 &&
  (await post(ITEM, 't')).headers['idempotent-replayed'] === 'true');
await scripted('close_session');
const goodbye = await post(ITEM, 'u', { secure: true });
check('a TLS session can be closed in place of an answer', goodbye.status === 0 &&
  (await items()).length === 1 && (await post(ITEM, 'u')).status === 200, goodbye);
await reset({ key_slack_s: 86400 });
const keys = Array.from({ length: 24 }, (_, n) => `slack${n}`);
for (const key of keys) await post(ITEM, key);
await simulator.ask({ do: 'clock', advance_s: 86401 });
for (const key of keys) await post(ITEM, key);
const afterDay = (await items()).length;
await simulator.ask({ do: 'clock', advance_s: 86400 });
for (const key of keys) await post(ITEM, key);
check('some keys are lost after a day, and some are kept for longer', afterDay > 26 &&
  afterDay < 46 && (await items()).length > 48, [afterDay, (await items()).length]);
await reset({ limits: { endpoint: 5 } });
const burst = await Promise.all(Array.from({ length: 8 }, (_, n) => post(ITEM, `b${n}`)));
check('five a second and no more', burst.filter((answer) => answer.status === 200).length === 5 &&
  burst.filter((answer) => answer.headers['stripe-rate-limited-reason'] === 'endpoint-rate')
    .length === 3, burst.map((answer) => answer.status));
const plan = { seed: 5, per_mille: 500, kinds: ['500_before', '409', '429_locked'] };
const told = [];
for (let round = 0; round < 2; round += 1) {
  await reset({ faults: plan });
  const order = Array.from({ length: 30 }, (_, n) => (round === 0 ? n : 29 - n));
  const answers = [];
  for (const n of order) answers[n] = (await post(ITEM, `d${n}`)).status;
  told.push(answers.join());
}
check('a seed tells the same story, whatever the order', told[0] === told[1] &&
  new Set(told[0].split(',')).size === 4, told);

agent.destroy();
check('it ends when stdin does', await simulator.stop() === 0);
console.log(`# selftest.mjs: ${good} ok, ${bad} not ok`);
process.exit(bad === 0 ? 0 : 1);
