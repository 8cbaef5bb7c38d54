// Rewrites the expected reports of every fixture (make expected). The diff is reviewed as code.
//
//   node tests/reference/expected.mjs [FIXTURES]
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const FIXTURES = process.argv[2] ?? path.join(HERE, '..', '..', 'fixtures');

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

for (const name of fs.readdirSync(FIXTURES).sort()) {
  const dir = path.join(FIXTURES, name);
  if (!fs.existsSync(path.join(dir, 'args'))) continue;
  close(dir, []);
  const revision = path.join(dir, 'revision');
  if (fs.existsSync(revision)) {
    const words = argsOf(dir);
    close(revision, ['--previous-source', path.join(dir, 'dataset'), '--previous-cutoff',
      words[words.indexOf('--cutoff') + 1]]);
  }
}
