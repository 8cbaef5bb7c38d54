// Writes a dataset of many usage rows, the same for the same count.
//
//   node make_rows.mjs DIR ROWS
import fs from 'node:fs';
import path from 'node:path';
import { randomOf } from '../reference/random.mjs';

const [dir, countText] = process.argv.slice(2);
const rowsCount = parseInt(countText, 10);
const ORGS = 2000;
const random = randomOf(rowsCount);
const write = (name, lines) => fs.writeFileSync(path.join(dir, name), `${lines.join('\n')}\n`);
const orgs = Array.from({ length: ORGS }, (unused, index) => `org-${index * 7 % ORGS}`);

fs.mkdirSync(dir, { recursive: true });
write('orgs.csv', ['org_id,timezone', ...orgs.map((id, at) => (
  `${id},${['UTC', 'Europe/Berlin', 'America/New_York'][at % 3]}`))]);
write('plans.csv', ['plan_id', 'all']);
write('prices.csv', ['plan_id,metric,aggregation,model,included,unit_price',
  'all,tokens,sum,graduated,100,', 'all,runs,count,per_unit,20,0.013',
  'all,storage,time_weighted,per_unit,50,0.007', 'all,visitors,unique,per_unit,3,0.4']);
write('tiers.csv', ['plan_id,metric,up_to,unit_price', 'all,tokens,5000,0.003',
  'all,tokens,,0.0021']);
write('subscriptions.csv', ['org_id,plan_id', ...orgs.map((id) => `${id},all`)]);

const file = fs.openSync(path.join(dir, 'usage.csv'), 'w');
let lines = ['org_id,metric,quantity,occurred_at,event_id,unique_key'];
for (let row = 0; row < rowsCount; row += 1) {
  const metric = ['tokens', 'tokens', 'runs', 'storage', 'visitors'][random.below(5)];
  const day = String(random.between(1, 31)).padStart(2, '0');
  const second = String(random.below(60)).padStart(2, '0');
  lines.push(`org-${random.below(ORGS)},${metric},${random.below(900)}.${random.below(10)},`
    + `2025-03-${day}T1${random.below(10)}:${random.between(10, 59)}:${second}Z,e${row},`
    + `${metric === 'visitors' ? `v${random.below(50)}` : ''}`);
  if (lines.length === 20000) {
    fs.writeSync(file, `${lines.join('\n')}\n`);
    lines = [];
  }
}
fs.writeSync(file, lines.length > 0 ? `${lines.join('\n')}\n` : '');
fs.closeSync(file);
