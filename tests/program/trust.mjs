// Certificates and proxies: trust.mjs PERIODCLOSE SIMULATOR FOLDER
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { KEY, assertSent, closeWords, openAccount, quick, runProgram, writeDataset } from '../emit/close.mjs';
import { makeCertificate } from '../stripe_sim/certificate.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, simulatorProgram, folder] = process.argv.slice(2);
// One server for two names: loopback, and one that only a proxy can find.
const certificate = makeCertificate(folder, 'both', 'IP:127.0.0.1,DNS:stripe.test');
const other = makeCertificate(folder, 'other', 'DNS:elsewhere.test');
const simulator = await startSimulator(simulatorProgram, { seconds: 1500, tls: certificate });
const misnamed = await startSimulator(simulatorProgram, { seconds: 1500, tls: other });
const orgs = [{ id: 'a', customer: 'cus_a', metrics: 2 }, { id: 'b', customer: 'cus_b' }];
const dataset = writeDataset(path.join(folder, 'dataset'), orgs);
const loopback = `https://127.0.0.1:${simulator.tlsPort}`;
const requests = async (one = simulator) => (await one.ask({ do: 'dump' })).stats.requests;
let runs = 0;
async function close(env, base = loopback, more = []) {
  runs += 1;
  const run = path.join(folder, `run-${runs}`);
  await openAccount(simulator, orgs);
  return { run, ...await runProgram(program, simulator, [...closeWords(dataset, run), ...more], { STRIPE_API_BASE: base, ...env }) };
}
async function assertSentAll(result) {
  assert.equal(result.status, 0, result.out);
  assert.equal((await assertSent(simulator, result.run, orgs)).items.length, 3);
}
async function assertUntrusted(result, what = /SSL/) {
  assert.equal(result.status, 21, result.out);
  assert.match(result.out, /what answers is not known to be (Stripe|Dodo): /);
  assert.match(result.out, what);
  assert.match(result.out, /hint: nothing was sent to it; .*SSL_CERT_FILE/s);
}

// nobody vouches for it; somebody does, but for another one; the file of authorities is not there
for (const env of [{}, { CURL_CA_BUNDLE: other[0] }, { SSL_CERT_FILE: other[0] }, { CURL_CA_BUNDLE: path.join(folder, 'none.pem') }]) {
  await assertUntrusted(await close(env));
  assert.equal(await requests(), 0);
}
// vouched for, but not under this name
await misnamed.ask({ do: 'reset', seed: 1, key: KEY });
await assertUntrusted(await close({ CURL_CA_BUNDLE: other[0] }, `https://127.0.0.1:${misnamed.tlsPort}`));
assert.equal(await requests(misnamed), 0);

// the usual names of authorities
const authorities = path.join(folder, 'authorities');
fs.mkdirSync(authorities);
fs.copyFileSync(certificate[0], path.join(authorities, 'both.pem'));
execFileSync('openssl', ['rehash', authorities]);
for (const env of [{ CURL_CA_BUNDLE: certificate[0] }, { SSL_CERT_FILE: certificate[0] },
  { SSL_CERT_DIR: authorities, SSL_CERT_FILE: other[0] }]) {
  await assertSentAll(await close(env));
}
// who was not trusted yesterday may be today: nothing is lost, and nothing twice
const before = await close({});
await assertUntrusted(before);
await assertSentAll({ run: before.run, ...await runProgram(program, simulator, ['run', '--run-dir', before.run, ...quick],
  { STRIPE_API_BASE: loopback, CURL_CA_BUNDLE: certificate[0] }) });

// Dodo, too
const withDodo = path.join(folder, 'with-dodo');
fs.cpSync(dataset, withDodo, { recursive: true });
fs.writeFileSync(path.join(withDodo, 'orgs.csv'), fs.readFileSync(path.join(dataset, 'orgs.csv'), 'utf8').trim().split('\n')
  .map((line, n) => `${line},${n === 0 ? 'dodo_customer_id' : 'cus_a'}\n`).join(''));
const dodo = await runProgram(program, simulator, ['run', '--period', '2026-10', '--source', withDodo, '--run-dir',
  path.join(folder, 'dodo'), '--emit', 'dodo', '--now', '2026-11-02T00:00:00Z', '--rate', 'none'],
{ DODO_PAYMENTS_API_BASE: loopback, DODO_PAYMENTS_API_KEY: KEY });
await assertUntrusted(dodo);

// a proxy of the usual environment is asked for the name; TLS goes through it, unread
const asked = [];
const proxy = net.createServer((client) => {
  client.once('data', (data) => {
    const target = /^CONNECT (\S+) HTTP/.exec(data.toString())?.[1];
    asked.push(target ?? data.toString().split('\r\n')[0]);
    const server = net.connect(simulator.tlsPort, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(server).pipe(client);
    });
    for (const end of [client, server]) end.on('error', () => { client.destroy(); server.destroy(); });
  });
});
await new Promise((resolve) => { proxy.listen(0, '127.0.0.1', resolve); });
const url = `http://127.0.0.1:${proxy.address().port}`;
const named = 'https://stripe.test';
await assertSentAll(await close({ HTTPS_PROXY: url, CURL_CA_BUNDLE: certificate[0] }, named));
assert.ok(asked.length > 0 && asked.every((target) => target === 'stripe.test:443'), asked.join());
// … but what the proxy leads to is not trusted for that
asked.length = 0;
await assertUntrusted(await close({ HTTPS_PROXY: url }, named));
assert.equal(await requests(), 0);
// NO_PROXY: asked directly, where nobody has that name
asked.length = 0;
const direct = await close({ HTTPS_PROXY: url, NO_PROXY: 'stripe.test', CURL_CA_BUNDLE: certificate[0] }, named, ['--deadline', '2']);
assert.ok([21, 22, 40].includes(direct.status), direct.out);
assert.deepEqual(asked, []);
assert.equal(await requests(), 0);
// this very machine is asked without one
await assertSentAll(await close({ HTTPS_PROXY: url, CURL_CA_BUNDLE: certificate[0] }));
assert.deepEqual(asked, []);

// HTTP/2 where it is offered, over few connections that are kept; HTTP/1.1 where it is not
const many = writeDataset(path.join(folder, 'many'), Array.from({ length: 40 }, (_, n) => ({ id: `m${n}`, customer: `cus_m${n}` })));
for (const offers of ['2.0', '1.1']) {
  const versions = new Set();
  let connections = 0;
  let count = 0;
  const tls = { key: fs.readFileSync(certificate[1]), cert: fs.readFileSync(certificate[0]) };
  const pass = (request, response) => {
    count += 1;
    versions.add(request.httpVersion);
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !/^(:|connection|host)/.test(name)));
    const onward = http.request(`${simulator.base}${request.url}`, { method: request.method, headers }, (answer) => {
      const told = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !/^(connection|keep-alive|transfer-encoding)$/.test(name)));
      response.writeHead(answer.statusCode, told);
      answer.pipe(response);
    });
    request.pipe(onward);
  };
  const front = offers === '2.0' ? http2.createSecureServer({ ...tls, allowHTTP1: true }, pass) : https.createServer(tls, pass);
  front.on('secureConnection', () => { connections += 1; });
  await new Promise((resolve) => { front.listen(0, '127.0.0.1', resolve); });
  const run = path.join(folder, `offers-${offers}`);
  await openAccount(simulator, Array.from({ length: 40 }, (_, n) => ({ id: `m${n}`, customer: `cus_m${n}` })));
  const result = await runProgram(program, simulator, closeWords(many, run, ['--attach', 'upcoming', '--in-flight', '4']),
    { STRIPE_API_BASE: `https://127.0.0.1:${front.address().port}`, CURL_CA_BUNDLE: certificate[0] });
  assert.equal(result.status, 0, result.out);
  assert.equal((await simulator.ask({ do: 'dump' })).items.length, 40);
  assert.deepEqual([...versions], [offers]);
  assert.ok(count > 80 && connections * 4 < count, `${count} requests over ${connections} connections`);
  front.close();
}

console.log('untrusted, misnamed, vouched for, through a proxy: as it should be');
proxy.close();
await simulator.stop();
await misnamed.stop();
