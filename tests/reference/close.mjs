// The reference: closes a period of a dataset folder the slow and obvious way, for checking the
// product. It shares no code with it: plain rows in memory, BigInt rationals, strings.
//
//   node close.mjs --period 2026-10 --source DIR --out OUTDIR [--cutoff T] [--now T] [--org ID]...
//                  [--previous-source DIR --previous-cutoff T --reason TEXT]
//
// Writes overages.csv, usage.csv, projections.csv, exceptions.csv and, with a previous close,
// adjustments.csv. Exit status: 0, 4 (orgs set aside or items held), 10 (bad input), 2 (usage).
import fs from 'node:fs';
import { BadInput } from './decimal.mjs';
import { loadDataset } from './dataset.mjs';
import { closeDataset } from './result.mjs';
import { nowInstant, parseInstant } from './time.mjs';
import {
  writeAdjustments, writeExceptions, writeOverages, writeProjections, writeUsage,
} from './reports.mjs';

const OPTIONS = ['period', 'source', 'out', 'cutoff', 'now', 'org', 'previous-source',
  'previous-cutoff', 'reason'];

function parseOptions(words) {
  const options = { org: [] };
  for (let at = 0; at < words.length; at += 2) {
    const name = words[at].replace(/^--/, '');
    if (!OPTIONS.includes(name) || words[at + 1] === undefined) return null;
    if (name === 'org') options.org.push(words[at + 1]);
    else options[name] = words[at + 1];
  }
  const isComplete = options.period && options.source && options.out
    && Boolean(options['previous-source']) === Boolean(options['previous-cutoff']);
  return isComplete ? options : null;
}

function main() {
  const options = parseOptions(process.argv.slice(2));
  if (!options) {
    process.stderr.write('close.mjs: wrong options; see the head of the file\n');
    return 2;
  }
  const { period } = options;
  const previous = options['previous-source']
    ? closeDataset(loadDataset(options['previous-source']), {
      period,
      cutoff: parseInstant(options['previous-cutoff'], '--previous-cutoff'),
    })
    : null;
  const now = options.now ? parseInstant(options.now, '--now') : nowInstant();
  const byDefault = previous ? parseInstant(options['previous-cutoff'], '--previous-cutoff') : now;
  const cutoff = options.cutoff ? parseInstant(options.cutoff, '--cutoff') : byDefault;
  const data = loadDataset(options.source);
  const result = closeDataset(data, { period, cutoff, selected: options.org, previous });
  fs.mkdirSync(options.out, { recursive: true });
  writeOverages(options.out, result);
  writeUsage(options.out, result);
  writeProjections(options.out, result);
  if (previous) writeAdjustments(options.out, result, options.reason ?? '');
  return writeExceptions(options.out, result) ? 4 : 0;
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof BadInput)) throw error;
  process.stderr.write(`close.mjs: ${error.message}\n`);
  process.exitCode = 10;
}
