// Rewrites the expected reports of every fixture (make expected). The diff is reviewed as code.
//
// The numbers are the reference's. Only the prose of exceptions.csv (its column `detail`) is the
// program's own: its file is taken when all other columns equal the reference's.
//
//   node tests/reference/expected.mjs [FIXTURES]
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseCsv } from './csv.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const FIXTURES = process.argv[2] ?? path.join(HERE, '..', '..', 'fixtures');

const PROGRAM = process.env.PERIODCLOSE ?? path.join(HERE, '..', '..', 'build', 'periodclose');

// One word or value a line; values may hold spaces.
const argsOf = (dir) => fs.readFileSync(path.join(dir, 'args'), 'utf8').trimEnd().split('\n');

function close(dir, more) {
  const out = path.join(dir, 'expected');
  const words = [path.join(HERE, 'close.mjs'), ...argsOf(dir), '--source',
    path.join(dir, 'dataset'), '--out', out, ...more];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  if (status !== 0 && status !== 4) throw new Error(`${dir}: exit ${status}: ${stderr}`);
  process.stdout.write(`${out}: exit ${status}\n`);
}

const withoutDetail = (file) => JSON.stringify(parseCsv(fs.readFileSync(file, 'utf8'))
  .map((row) => row.filter((field, index) => index !== 4)));

function takeProse(dir, run, more) {
  const words = ['run', ...argsOf(dir), '--source', path.join(dir, 'dataset'), '--run-dir', run,
    ...more];
  const { status, stderr } = spawnSync(PROGRAM, words, { encoding: 'utf8' });
  if (status !== 0 && status !== 4) throw new Error(`${dir}: exit ${status}: ${stderr}`);
  const expected = path.join(dir, 'expected', 'exceptions.csv');
  const written = path.join(run, 'reports', 'exceptions.csv');
  if (withoutDetail(expected) !== withoutDetail(written)) {
    throw new Error(`${expected}: the program says otherwise, see ${written}`);
  }
  fs.copyFileSync(written, expected);
}

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'expected-'));
for (const name of fs.readdirSync(FIXTURES).sort()) {
  const dir = path.join(FIXTURES, name);
  if (!fs.existsSync(path.join(dir, 'args'))) continue;
  const run = path.join(scratch, name);
  close(dir, []);
  takeProse(dir, run, []);
  const revision = path.join(dir, 'revision');
  if (fs.existsSync(revision)) {
    const words = argsOf(dir);
    close(revision, ['--previous-source', path.join(dir, 'dataset'), '--previous-cutoff',
      words[words.indexOf('--cutoff') + 1]]);
    takeProse(revision, `${run}-revision`, ['--previous', run]);
  }
}
fs.rmSync(scratch, { recursive: true });
