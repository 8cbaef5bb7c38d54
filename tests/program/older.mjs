// A finished run as an older version of the program left it: `node older.mjs RUN STAGE TABLE...` takes
// the tables away of the stage, lowers its version and seals the manifest again.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const sorted = (value) => (Array.isArray(value) ? value.map(sorted) : value !== null && typeof value === 'object'
  ? Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])])) : value);

// change(manifest) changes it in its place.
export function reseal(runDir, change) {
  const file = path.join(runDir, 'manifest.json');
  const written = fs.readFileSync(file, 'utf8');
  const { sha256, ...manifest } = JSON.parse(written);
  const asWritten = (root, digest) => `${JSON.stringify(sorted({ ...root, sha256: digest }), null, 2)}\n`;
  const seal = (root) => createHash('sha256').update(JSON.stringify(sorted(root))).digest('hex');
  assert.equal(asWritten(manifest, sha256), written);
  assert.equal(seal(manifest), sha256);
  change(manifest);
  fs.writeFileSync(file, asWritten(manifest, seal(manifest)));
}

function makeOlder(runDir, name, tables) {
  reseal(runDir, (manifest) => {
    const stage = manifest.stages.find((one) => one.name === name);
    const isTaken = (one) => tables.includes(path.basename(one.path).split('.')[0]);
    const taken = stage.files.filter(isTaken);
    assert.ok(taken.length >= tables.length);
    stage.version -= 1;
    stage.files = stage.files.filter((one) => !isTaken(one));
    for (const one of taken) fs.unlinkSync(path.join(runDir, one.path));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [runDir, name, ...tables] = process.argv.slice(2);
  makeOlder(runDir, name, tables);
}
