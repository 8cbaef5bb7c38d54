// What tests of sending share: a small dataset, a run of the program against the simulator, and
// what stands there.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parseCsv } from '../reference/csv.mjs';

export const KEY = 'sk_test_simulator';
export const PERIOD_START = Date.UTC(2026, 9, 1) / 1000;
export const PERIOD_END = Date.UTC(2026, 10, 1) / 1000;

// orgs: [{id, customer, subscription, metrics (default 1), status, mode, currency}]; metric n has an
// overage of 10 (n + 1) at 1.00 each, so that every amount differs.
export function writeDataset(folder, orgs) {
  fs.mkdirSync(folder, { recursive: true });
  const write = (file, rows) => fs.writeFileSync(path.join(folder, file), `${rows.join('\n')}\n`);
  const metricsMax = Math.max(...orgs.map((org) => org.metrics ?? 1));
  const currencies = [...new Set(orgs.map((org) => org.currency ?? 'usd'))];
  write('orgs.csv', ['org_id,name,status,currency,stripe_customer_id,stripe_subscription_id,stripe_item_mode',
    ...orgs.map((org) => [org.id, org.id, org.status ?? 'active', org.currency ?? 'usd',
      org.customer ?? '', org.subscription ?? '', org.mode ?? 'amount'].join())]);
  write('plans.csv', ['plan_id,name,currency', ...currencies.map((currency) => `pro_${currency},Pro,${currency}`)]);
  write('prices.csv', ['plan_id,metric,included,unit_price', ...currencies.flatMap((currency) =>
    Array.from({ length: metricsMax }, (_, n) => `pro_${currency},m${n},5,1`))]);
  write('subscriptions.csv', ['org_id,plan_id,starts_at',
    ...orgs.map((org) => `${org.id},pro_${org.currency ?? 'usd'},2026-01-01T00:00:00Z`)]);
  write('usage.csv', ['org_id,metric,quantity,occurred_at', ...orgs.flatMap((org) =>
    Array.from({ length: org.metrics ?? 1 }, (_, n) => `${org.id},m${n},${15 + 10 * n},2026-10-05T00:00:00Z`))]);
  return folder;
}

// What the simulator is to know of them. bills: seconds to a subscription's next invoice.
export async function openAccount(simulator, orgs, { faults, key = KEY, record = false } = {}) {
  const customers = new Map();
  const subscriptions = new Map();
  const soon = Math.floor(Date.now() / 1000) + 86400;
  for (const org of orgs) {
    const currency = org.currency ?? 'usd';
    if (org.customer) customers.set(org.customer, { id: org.customer, currency });
    if (org.subscription) {
      subscriptions.set(org.subscription, { id: org.subscription, object: 'subscription',
        customer: org.customer, status: org.subscriptionStatus ?? 'active', currency,
        items: { data: [{ current_period_end: soon }] } });
    }
  }
  await simulator.ask({ do: 'reset', seed: 1, key, record, ...(faults ? { faults } : {}) });
  await simulator.ask({ do: 'add', customers: [...customers.values()],
    subscriptions: [...subscriptions.values()] });
}

// A run that the simulator may kill: it is told whose requests come. The key must not be in its output.
export function runKillable(program, simulator, words, env, secret) {
  return new Promise((resolve) => {
    const child = spawn(program, words, { env: { ...process.env, ...env } });
    let out = '';
    let stdout = '';
    child.stdout.on('data', (bytes) => { out += bytes; stdout += bytes; });
    child.stderr.on('data', (bytes) => { out += bytes; });
    const limit = setTimeout(() => child.kill('SIGKILL'), 240000);
    child.on('close', (status, signal) => {
      clearTimeout(limit);
      assert.ok(!out.includes(secret), 'the key is in the output');
      resolve({ status, signal, out, stdout, pid: child.pid });
    });
    simulator.ask({ do: 'client', pid: child.pid }).catch(() => {});
  });
}

export function runProgram(program, simulator, words, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, words, {
      env: { PATH: process.env.PATH, ...faster, STRIPE_API_BASE: simulator.base, STRIPE_API_KEY: KEY, ...env },
    });
    let out = '';
    let stdout = '';
    child.stdout.on('data', (bytes) => { out += bytes; stdout += bytes; });
    child.stderr.on('data', (bytes) => { out += bytes; });
    const limit = setTimeout(() => child.kill('SIGKILL'), 240000);
    child.on('close', (status, signal) => {
      clearTimeout(limit);
      assert.ok(!out.includes(env.STRIPE_API_KEY || KEY), 'the key is in the output');
      resolve({ status, signal, out, stdout });
    });
  });
}

export const closeWords = (dataset, run, more = []) => ['run', '--period', '2026-10', '--source', dataset,
  '--run-dir', run, '--emit', 'stripe', '--now', '2026-11-02T00:00:00Z', ...quick, ...more];
// Nothing that is sent waits for its time limit, and a disk that is slow for a second must not look like one that is
// over. But a new journal is waited with for longer than that: by the program over a clock that goes faster
// (tests/program/faulty_main.c) in no time.
export const quick = ['--rate', 'none', '--retry-delay', '1', '--timeout', '10000'];
export const faster = { FAULTY_SPEED: '25' };

export function readReport(run, name) {
  const [head, ...rows] = parseCsv(fs.readFileSync(path.join(run, 'reports', name), 'utf8'));
  return rows.map((row) => Object.fromEntries(head.map((column, index) => [column, row[index]])));
}

// The simulator's items are the items sent, each once, with its amount and customer.
export async function assertSent(simulator, run, orgs) {
  const dump = await simulator.ask({ do: 'dump' });
  const sent = readReport(run, 'invoice_items.csv').filter((row) => row.status === 'sent');
  const customers = new Map(orgs.map((org) => [org.id, org.customer]));
  const told = sent.map((row) => `${row.item_key} ${customers.get(row.org_id)} ${Math.round(row.amount * 100)} ${row.stripe_invoice_item_id}`);
  const there = dump.items.map((item) => `${item.metadata.item_key} ${item.customer} ${item.amount} ${item.id}`);
  assert.deepEqual(there.sort(), told.sort());
  return dump;
}
