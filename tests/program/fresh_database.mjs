// Databases of their own for tests that send, with the libpq environment of a cluster.
import { execFileSync } from 'node:child_process';

// The last month that is over for a day and an hour: meters take no time stamp that is older than 35 days, and tell
// what they were sent within a day apart, so that tests of what comes later would fail on the first of a month.
const then = new Date(Date.now() - 25 * 3600e3);
const monthStart = (back) => new Date(Date.UTC(then.getUTCFullYear(), then.getUTCMonth() - back, 1)).toISOString();
export const end = monthStart(0);
export const period = monthStart(1).slice(0, 7);

export function sql(text) {
  return execFileSync('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1'], { input: text, encoding: 'utf8' }).trim();
}

// Made, migrated, and from now on the one that libpq connects to.
export function createDatabase(program, name) {
  execFileSync('createdb', ['--template', 'template0', '--encoding', 'UTF8', name], { env: { ...process.env, PGDATABASE: 'postgres' } });
  process.env.PGDATABASE = name;
  execFileSync(program, ['migrate', '--database', ''], { stdio: ['ignore', 'ignore', 'pipe'] });
}
