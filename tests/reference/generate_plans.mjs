// Random plans: every model and aggregation, prices that fall on halves of an increment.

// The family is fixed per metric, so that an explicit `set` or a missing unique_key is never
// bad input whichever plan rates the org.
export const METRICS = [
  { name: 'tokens', family: 'flow' },
  { name: 'playbook_runs', family: 'flow' },
  { name: '=metric,"odd"', family: 'flow' },
  { name: 'big_units', family: 'flow', isBig: true },
  { name: 'größe', family: 'level' },
  { name: 'storage_bytes', family: 'level' },
  { name: 'members', family: 'level' },
  { name: 'big_level', family: 'level', isBig: true },
  { name: 'visitors', family: 'unique' },
  { name: 'seats', family: 'level' },
  { name: 'unpriced_thing', family: 'flow', isNeverPriced: true },
];

const AGGREGATIONS = {
  flow: ['', 'sum', 'sum', 'count'],
  level: ['last', 'max', 'time_weighted'],
  unique: ['unique'],
};
const PRICES = ['0.01', '0.005', '0.015', '1', '0.5', '2.5', '0.0001', '0.000000000000001', '0',
  '12.345', '0.333333333333333', '.1', '5.', '0.0050'];
const BIG_PRICES = ['0.0001', '0.000000000000001', '0.00000000005'];

// Tiers in random order; the bounds rise, the last is open.
function makeTiers(random, planId, metric) {
  const bounds = random.pick([[], ['10'], ['0.5', '3'], ['5', '10.000000000000001', '250']]);
  const prices = metric.isBig ? BIG_PRICES : PRICES;
  return random.shuffle([...bounds, ''].map((bound) => ({
    plan_id: planId,
    metric: metric.name,
    up_to: bound,
    unit_price: random.pick(prices),
    flat_price: random.pick(['', '', '0', '3', '0.005', '1.25']),
  })));
}

function makePrice(random, planId, metric) {
  const model = random.pick(['', 'per_unit', 'graduated', 'volume', 'package']);
  const isTiered = ['graduated', 'volume'].includes(model);
  const aggregation = metric.name === 'seats' && random.oneIn(3)
    ? '' : random.pick(AGGREGATIONS[metric.family]);
  return {
    plan_id: planId,
    metric: metric.name,
    aggregation,
    model,
    included: random.pick(['', '0', '0', '1', '5', '20.5', '100']),
    hard_limit: random.oneIn(6) ? random.pick(['0', '8', '60', '3000']) : '',
    unit_price: isTiered ? '' : random.pick(metric.isBig ? BIG_PRICES : PRICES),
    package_size: model === 'package' ? random.pick(['1', '7', '0.3', '1000']) : '',
    unit: random.pick(['', 'unit']),
  };
}

export function makePlans(random, currencies) {
  const plans = [];
  const prices = [];
  const tiers = [];
  for (const currency of currencies) {
    const count = random.between(1, 3);
    for (let index = 0; index < count; index += 1) {
      const planId = `${currency}-plan-${index}`;
      plans.push({ plan_id: planId, name: random.pick(['', 'Pro, yearly', '=Plan']), currency });
      for (const metric of METRICS) {
        if (metric.isNeverPriced || random.oneIn(4)) continue;
        const price = makePrice(random, planId, metric);
        prices.push(price);
        if (['graduated', 'volume'].includes(price.model)) {
          tiers.push(...makeTiers(random, planId, metric));
        }
      }
    }
  }
  return { plans, prices, tiers };
}
