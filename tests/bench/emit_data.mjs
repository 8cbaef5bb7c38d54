// A dataset folder with one invoice item an org: node emit_data.mjs FOLDER ORGS
//
// The server of the benchmark knows no customers: it answers with the Idempotency-Key that it sees
// for one. So each org's customer is that key: the digest of (org, metric, period, revision) and
// the attempt.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const [folder, count] = [process.argv[2], Number(process.argv[3])];
fs.mkdirSync(folder, { recursive: true });

function keyOf(...fields) {
  const content = fields.map((field) => `${Buffer.byteLength(field)}:${field}`).join('');
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}

function write(name, head, rowOf) {
  const file = fs.openSync(path.join(folder, `${name}.csv`), 'w');
  let lines = [head];
  for (let n = 0; n < count; n += 1) {
    lines.push(rowOf(`org${n}`, n));
    if (lines.length >= 10000) {
      fs.writeSync(file, `${lines.join('\n')}\n`);
      lines = [];
    }
  }
  fs.writeSync(file, lines.length > 0 ? `${lines.join('\n')}\n` : '');
  fs.closeSync(file);
}

write('orgs', 'org_id,stripe_customer_id,stripe_subscription_id', (org, n) => (
  `${org},${keyOf(org, 'tokens', '2026-10', '1')}-00001,sub_${n}`));
write('subscriptions', 'org_id,plan_id', (org) => `${org},p`);
write('usage', 'org_id,metric,quantity,occurred_at', (org) => `${org},tokens,1234,2026-10-12T09:30:00Z`);
fs.writeFileSync(path.join(folder, 'plans.csv'), 'plan_id\np\n');
fs.writeFileSync(path.join(folder, 'prices.csv'),
  'plan_id,metric,included,unit_price\np,tokens,0,0.01\n');
