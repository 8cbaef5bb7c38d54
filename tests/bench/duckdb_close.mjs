/*
 * The same close as SQL for DuckDB: a yardstick, and a second opinion on every cost.
 *
 *     node duckdb_close.mjs close DATA OUT        closes DATA, writes OUT/*.csv, prints totals
 *     node duckdb_close.mjs events DATA OUT       DATA has event ids: tells events apart first
 *     node duckdb_close.mjs compare OUT REPORTS   both closes' costs, (org, metric) by (org, metric)
 *
 * DUCKDB_MEMORY=SIZE sets DuckDB's memory_limit (it spills to OUT/spill then); without it DuckDB
 * takes what it likes. Two threads, no extensions, no network.
 *
 * It is kind to DuckDB: it does what a good SQL author would do for this one dataset (two decimals,
 * one month, one time zone, no limits, no level metrics but seats, no late usage, only the trend's slope, no
 * checkpoints), where periodclose does the whole job. Money is as exact as ours: the operands of
 * every product are narrow enough that DuckDB holds it in full, and `narrowed` says when they
 * were not.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

const [mode, first, second] = process.argv.slice(2);

const quote = (text) => `'${text.replaceAll("'", "''")}'`;

/* Rows of a CSV file whose columns and types are stated, so that DuckDB does not guess. */
function csv(folder, name, columns) {
  const types = Object.entries(columns).map(([column, type]) => `'${column}': '${type}'`);
  return `read_csv(${quote(join(folder, name))}, header = true, auto_detect = false, delim = ',',
    quote = '"', escape = '"', columns = {${types.join(', ')}})`;
}

/* DECIMAL(38,15), as ours, costs DuckDB 5 microseconds a row to parse: thirty times the whole close. */
const usageColumns = {
  org_id: 'varchar',
  metric: 'varchar',
  quantity: 'decimal(18,2)',
  occurred_at: 'timestamp',
};

const periodStart = "timestamp '2026-09-01'";
const periodEnd = "timestamp '2026-10-01'";
const days = 30;
/* days x sum of squares - square of the sum, of the days 0 to 29 */
const spread = 67425;

const orders = (data) => [
  `create table terms as
   select o.org_id, o.overage_cap, s.plan_id
   from ${csv(data, 'orgs.csv', { org_id: 'varchar', name: 'varchar', overage_cap: 'decimal(18,2)' })} o
   join ${csv(data, 'subscriptions.csv', { org_id: 'varchar', plan_id: 'varchar' })} s using (org_id)`,
  `create table prices as
   select p.*, plans.currency
   from ${csv(data, 'prices.csv', {
     plan_id: 'varchar',
     metric: 'varchar',
     aggregation: 'varchar',
     model: 'varchar',
     included: 'decimal(18,2)',
     unit_price: 'decimal(18,6)',
   })} p
   join ${csv(data, 'plans.csv', { plan_id: 'varchar', name: 'varchar', currency: 'varchar' })} plans
   using (plan_id)`,
  `create table tiers as
   select plan_id, metric, up_to, unit_price, flat_price,
     coalesce(lag(up_to) over (partition by plan_id, metric order by up_to nulls last), 0) as above
   from ${csv(data, 'tiers.csv', {
     plan_id: 'varchar',
     metric: 'varchar',
     up_to: 'decimal(18,2)',
     unit_price: 'decimal(18,6)',
     flat_price: 'decimal(18,6)',
   })}`,
];

const inPeriod = `occurred_at >= ${periodStart} and occurred_at < ${periodEnd}`;

const dailyOf = (rows) => `create table daily as
   select org_id, metric, date_diff('day', ${periodStart}, occurred_at) as day, sum(quantity) as quantity
   from ${rows}
   where ${inPeriod}
   group by all`;

/* The slope by its closed form over the days that have data: empty days add nothing to any sum. */
const flows = `create table flows as
   select org_id, metric, sum(quantity) as quantity,
     case when count(*) < 2 then 0
       else (${days} * sum(day * quantity)::double - ${(days * (days - 1)) / 2} * sum(quantity)::double)
         / ${spread} end as slope
   from daily
   group by all`;

/* A user is active at the end of the days first_day to last_day; no user has two assignments. */
const seats = (data) => `create table seats as
   with spans as (
     select org_id,
       greatest(date_diff('day', ${periodStart}, assigned_at), 0) as first_day,
       least(coalesce(date_diff('day', ${periodStart}, revoked_at), ${days}), ${days}) - 1 as last_day,
       assigned_at < ${periodEnd} and coalesce(revoked_at >= ${periodEnd}, true) as is_active
     from ${csv(data, 'seats.csv', {
       org_id: 'varchar',
       user_id: 'varchar',
       role: 'varchar',
       assigned_at: 'timestamp',
       revoked_at: 'timestamp',
     })}
     where assigned_at < ${periodEnd}
   ), lengths as (
     select org_id, is_active, first_day, last_day, greatest(last_day - first_day + 1, 0) as length
     from spans
   )
   select org_id, 'seats' as metric, count(*) filter (is_active) as quantity,
     (${days} * sum((first_day + last_day) * length / 2)
       - ${(days * (days - 1)) / 2} * sum(length)) / ${spread} as slope
   from lengths
   group by org_id`;

const used = `create table used as
   select t.org_id, t.plan_id, t.overage_cap, p.metric, p.model, p.currency, p.included, p.unit_price,
     coalesce(f.quantity, s.quantity, 0)::decimal(38,2) as usage,
     coalesce(f.slope, s.slope, 0) as slope,
     greatest(usage - p.included, 0) as overage
   from terms t
   join prices p using (plan_id)
   left join flows f on f.org_id = t.org_id and f.metric = p.metric
   left join seats s on s.org_id = t.org_id and s.metric = p.metric`;

/* 18 digits times 18 digits fit in 36: the products are exact, and so are their sums. */
const exactCosts = `create table exact_costs as
   with narrow as (
     select *, overage::decimal(18,2) as units from used where overage > 0
   ), lines as (
     select n.org_id, n.metric,
       sum((least(n.units, coalesce(t.up_to, n.units)) - t.above)::decimal(18,2) * t.unit_price
         + t.flat_price) as exact
     from narrow n
     join tiers t on t.plan_id = n.plan_id and t.metric = n.metric and n.units > t.above
     where n.model = 'graduated'
     group by all
   )
   select n.*, n.units <> n.overage as narrowed,
     coalesce(l.exact, (n.units * n.unit_price)::decimal(38,8)) as exact_cost,
     round(exact_cost, 2)::decimal(18,2) as uncapped
   from narrow n left join lines l using (org_id, metric)`;

/* Largest remainder, in cents; integers throughout. */
const costs = `create table costs as
   with cents as (
     select org_id, metric, (uncapped * 100)::hugeint as cents, (overage_cap * 100)::hugeint as cap,
       sum((uncapped * 100)::hugeint) over (partition by org_id) as total
     from exact_costs
     where overage_cap is not null
   ), shares as (
     select org_id, metric, cap, cents * cap // total as share, cents * cap % total as remainder
     from cents where total > cap
   ), placed as (
     select *, cap - sum(share) over (partition by org_id) as missing,
       row_number() over (partition by org_id order by remainder desc, metric) as place
     from shares
   ), capped as (
     select org_id, metric, (share + case when place <= missing then 1 else 0 end) as cents from placed
   )
   select e.*, coalesce((c.cents::decimal(18,0) / 100)::decimal(18,2), e.uncapped) as cost
   from exact_costs e left join capped c using (org_id, metric)`;

const copies = (out) => [
  `copy (select org_id, plan_id, metric, currency, usage, included, overage, model, exact_cost, uncapped,
      uncapped - cost as cap_reduction, cost from costs order by org_id, metric)
   to ${quote(join(out, 'overages.csv'))} (header, delimiter ',')`,
  `copy (select org_id, plan_id, metric, usage, included, overage from used order by org_id, metric)
   to ${quote(join(out, 'usage.csv'))} (header, delimiter ',')`,
  `copy (select org_id, metric, slope as slope_per_day, 30 * slope as growth_30_days, usage as current
      from used order by org_id, metric)
   to ${quote(join(out, 'projections.csv'))} (header, delimiter ',')`,
];

async function open(spill) {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '2',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    ...(process.env.DUCKDB_MEMORY ? { memory_limit: process.env.DUCKDB_MEMORY } : {}),
    ...(spill ? { temp_directory: spill } : {}),
  });
  return instance.connect();
}

async function runAll(connection, statements) {
  for (const statement of statements) {
    const start = process.hrtime.bigint();
    await connection.run(statement);
    const took = Number((process.hrtime.bigint() - start) / 1000000n);
    console.log(`${String(took).padStart(7)} ms  ${statement.slice(0, 60).split('\n')[0]}`);
  }
}

async function show(connection, sql) {
  const result = await connection.runAndReadAll(sql);
  for (const row of result.getRowsJson()) {
    console.log(row.join(' '));
  }
  return result.getRowsJson();
}

async function close(data, out, rows, before) {
  mkdirSync(out, { recursive: true });
  const spill = join(out, 'spill');
  const connection = await open(spill);
  await runAll(connection, [
    ...orders(data),
    ...before,
    dailyOf(rows),
    flows,
    seats(data),
    used,
    exactCosts,
    costs,
    ...copies(out),
  ]);
  await show(
    connection,
    `select currency, count(*) as records, sum(exact_cost), sum(uncapped), sum(cost) from costs group by all`,
  );
  await show(connection, `select metric, sum(usage), sum(overage) from used group by all order by 1`);
  const [[narrowed]] = await show(connection, `select count(*) from costs where narrowed`);
  rmSync(spill, { recursive: true, force: true });
  if (Number(narrowed) > 0) {
    throw new Error(`${narrowed} quantities have more than two decimals: costs are not exact`);
  }
}

/* Events by (org_id, event_id); rows of one event that disagree stop the close, as ours do. */
const eventsOf = (rows) => `create table events as
   select any_value(metric) as metric, any_value(quantity) as quantity, any_value(occurred_at) as
     occurred_at, org_id, min(metric) <> max(metric) or min(quantity) <> max(quantity)
     or min(occurred_at) <> max(occurred_at) as disagree
   from ${rows}
   group by org_id, event_id`;

const refuseDisagreement = `select case when count(*) > 0 then error('events disagree') end
   from events where disagree`;

/* Every (org, metric) of either side; slopes as doubles, since DuckDB has nothing wider. */
async function compare(out, reports) {
  const connection = await open();
  const theirs = `select org_id, metric, overage::decimal(38,15) as overage,
      exact_cost::decimal(38,15) as exact, uncapped_cost::decimal(18,2) as uncapped,
      cost::decimal(18,2) as cost
    from read_csv(${quote(join(reports, 'overages.csv'))}, header = true, all_varchar = true)`;
  const ours = `select org_id, metric, overage::decimal(38,15) as overage,
      exact_cost::decimal(38,15) as exact, uncapped::decimal(18,2) as uncapped, cost::decimal(18,2) as cost
    from read_csv(${quote(join(out, 'overages.csv'))}, header = true, all_varchar = true)`;
  await connection.run(`create table pairs as
    select coalesce(p.org_id, d.org_id) as org_id, coalesce(p.metric, d.metric) as metric,
      p.overage, d.overage as duckdb_overage, p.exact, d.exact as duckdb_exact,
      p.uncapped, d.uncapped as duckdb_uncapped, p.cost, d.cost as duckdb_cost,
      coalesce(p.overage = d.overage and p.exact = d.exact and p.uncapped = d.uncapped
        and p.cost = d.cost, false) as is_equal
    from (${theirs}) p full join (${ours}) d on p.org_id = d.org_id and p.metric = d.metric`);
  const slopes = (folder) => `select org_id, metric, slope_per_day::double as slope
    from read_csv(${quote(join(folder, 'projections.csv'))}, header = true, all_varchar = true)`;
  await connection.run(`create table slope_pairs as
    select coalesce(p.org_id, d.org_id) as org_id, coalesce(p.metric, d.metric) as metric,
      p.slope, d.slope as duckdb_slope,
      coalesce(abs(p.slope - d.slope) <= 1e-9 * greatest(abs(d.slope), 1), false) as is_equal
    from (${slopes(reports)}) p full join (${slopes(out)}) d
      on p.org_id = d.org_id and p.metric = d.metric`);
  let isEqual = true;
  for (const [table, what] of [
    ['pairs', 'rows'],
    ['slope_pairs', 'slopes'],
  ]) {
    const [[rows, different]] = (
      await connection.runAndReadAll(`select count(*), count(*) filter (not is_equal) from ${table}`)
    ).getRowsJson();
    if (Number(different) === 0 && Number(rows) > 0) {
      console.log(`equal: ${rows} ${what}`);
    } else {
      isEqual = false;
      console.log(`different: ${different} of ${rows} ${what}; the first of them:`);
      await show(
        connection,
        `select * from ${table} where not is_equal order by org_id, metric limit 10`,
      );
    }
  }
  process.exitCode = isEqual ? 0 : 1;
}

switch (mode) {
  case 'close':
    await close(first, second, csv(first, 'usage.csv', usageColumns), []);
    break;
  case 'events':
    await close(first, second, 'events', [
      eventsOf(csv(first, 'usage.csv', { ...usageColumns, event_id: 'varchar' })),
      refuseDisagreement,
    ]);
    break;
  case 'compare':
    await compare(first, second);
    break;
  default:
    console.error('usage: duckdb_close.mjs close DATA OUT | events DATA OUT | compare OUT REPORTS');
    process.exitCode = 2;
}
