// Types README.md in: every block of sh, in order, in one shell, against a throw-away PostgreSQL and
// the simulator of Stripe and Dodo. readme.mjs PERIODCLOSE SIMULATOR README FOLDER
//
// A command ends with 0, or with the N of a comment "# exit N" behind it. A block of text shows
// lines that came, in that order, from the block of sh above it. Prints "ok - …" or "not ok - …".
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { openAccount } from '../emit/close.mjs';
import { startSimulator } from '../stripe_sim/simulator.mjs';

const [program, simulatorProgram, readme, folder] = process.argv.slice(2);
const KEY = 'sk_live_simulator';

// --- what is on the page ---

// Blocks of sh, each with the lines that are shown below it.
function readBlocks(text) {
  const blocks = [];
  for (const [, language, body] of text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)) {
    if (language === 'sh') blocks.push({ commands: commandsOf(body), shown: [] });
    if (language === 'text') blocks.at(-1).shown.push(...body.split('\n').filter((line) => line !== ''));
  }
  return blocks;
}

// Lines that end with a backslash go on.
function commandsOf(body) {
  return body.replace(/\\\n/g, '\\\0').split('\n').filter((line) => line !== '')
    .map((line) => line.replaceAll('\0', '\n'))
    .map((line) => ({ line, status: Number(/# exit (\d+)/.exec(line)?.[1] ?? 0) }));
}

const blocks = readBlocks(fs.readFileSync(readme, 'utf8'));

// --- typing it in ---

const simulator = await startSimulator(simulatorProgram, { seconds: 1500 });
await openAccount(simulator, [{ id: 'globex', customer: 'cus_globex' }], { key: KEY });
fs.mkdirSync(path.join(folder, 'bin'), { recursive: true });
fs.mkdirSync(path.join(folder, 'place'));
fs.symlinkSync(path.resolve(program), path.join(folder, 'bin/periodclose'));
fs.writeFileSync(path.join(folder, 'stripe.key'), `${KEY}\n`);
fs.writeFileSync(path.join(folder, 'dodo.key'), `${KEY}\n`);

// Later than any clock, so that what a database dates is never late.
const child = spawn('bash', ['--norc'], {
  cwd: path.join(folder, 'place'),
  env: { ...process.env, HOME: folder, PATH: `${folder}/bin:${process.env.PATH}`,
    STRIPE_API_BASE: simulator.base, DODO_PAYMENTS_API_BASE: simulator.base,
    PERIODCLOSE_NOW: '2099-01-01T00:00:00Z', PERIODCLOSE_TIMEOUT: '2000', PERIODCLOSE_RETRY_DELAY: '1' },
});
let told = '';
let heard = () => {};
child.stdout.on('data', (bytes) => { told += bytes; heard(); });
child.stderr.on('data', (bytes) => { told += bytes; heard(); });
const limit = setTimeout(() => child.kill('SIGKILL'), 1000000);
child.on('close', () => { clearTimeout(limit); heard(); });

// The status, and what it printed: stdout, then stderr, so that lines are whole.
async function type(line) {
  told = '';
  const [out, err] = ['out', 'err'].map((name) => path.join(folder, name));
  child.stdin.write(`{ ${line}\n} >'${out}' 2>'${err}'; echo "status $?"\n`);
  while (!/status \d+\n/.test(told)) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the shell ended: ${line}`);
    await new Promise((resolve) => { heard = resolve; });
  }
  return { status: Number(/status (\d+)\n/.exec(told)[1]),
    printed: fs.readFileSync(out, 'utf8') + fs.readFileSync(err, 'utf8') };
}

let failed = 0;
function judge(name, problem) {
  failed += problem === undefined ? 0 : 1;
  console.log(`${problem === undefined ? 'ok' : 'not ok'} - ${name}`);
  if (problem !== undefined) console.log(problem.trimEnd().replace(/^/gm, '    '));
}

function missing(shown, printed) {
  const lines = printed.split('\n');
  let from = 0;
  for (const line of shown) {
    const at = lines.indexOf(line, from);
    if (at < 0) return `is not printed, or not in that order: ${line}\n${printed}`;
    from = at + 1;
  }
  return undefined;
}

const names = new Set();
for (const { commands, shown } of blocks) {
  let printed = '';
  if (shown.some((line) => line.startsWith('removed_at_stripe'))) {
    for (const item of (await simulator.ask({ do: 'dump' })).items) {
      await simulator.ask({ do: 'remove', item: item.id });
    }
  }
  for (const { line, status } of commands) {
    const result = await type(line);
    printed += result.printed;
    for (const [, word] of line.matchAll(/periodclose ([a-z]+)/g)) names.add(word);
    judge(line.replace(/ *#.*/, '').replace(/\s+/g, ' ').slice(0, 100),
      result.status === status ? undefined : `exit ${result.status}, not ${status}\n${result.printed}`);
  }
  if (shown.length > 0) judge(`prints "${shown.at(-1).trim().slice(0, 60)}"`, missing(shown, printed));
}

// --- nothing is left out ---

const help = (await type('periodclose --help')).printed;
const all = [...help.slice(help.indexOf('\ncommands:'), help.indexOf('\nstages')).matchAll(/^ {2}([a-z]+)/gm)]
  .map(([, name]) => name);
const unseen = all.filter((name) => !names.has(name));
judge('every command has an example', all.length >= 20 && unseen.length === 0 ? undefined : `none of ${unseen.join(', ')}`);

child.stdin.end();
await simulator.stop();
process.exit(failed > 0 ? 1 : 0);
