// From a quantity to what it costs: limits, models, one rounding, the org's cap.
import { BadInput, UNIT, ceilingDivide, checkFits, divideHalfAway } from './decimal.mjs';
import { compareBytes } from './csv.mjs';

export function limitsOf(price, override) {
  const soft = override?.soft ?? null;
  const hard = override?.hard ?? price.hardLimit;
  return { soft, hard, limit: soft ?? price.included };
}

export function overageOf(usage, { hard, limit }) {
  const allowed = hard !== null && usage > hard ? hard : usage;
  return {
    overage: allowed > limit ? allowed - limit : 0n,
    blocked: usage - allowed,
  };
}

// Exact costs count 10^-30: a decimal times a decimal.
function graduatedCost(tiers, quantity) {
  let cost = 0n;
  let floor = 0n;
  for (const tier of tiers) {
    if (quantity <= floor) break;
    const top = tier.upTo === null || quantity < tier.upTo ? quantity : tier.upTo;
    cost += (top - floor) * tier.unitPrice + tier.flatPrice * UNIT;
    floor = top;
    if (tier.upTo === null) break;
    floor = tier.upTo;
  }
  return cost;
}

export function exactCost(price, quantity) {
  if (quantity === 0n) return 0n;
  switch (price.model) {
    case 'per_unit':
      return quantity * price.unitPrice;
    case 'package':
      return ceilingDivide(quantity, price.packageSize) * price.unitPrice * UNIT;
    case 'graduated':
      return graduatedCost(price.tiers, quantity);
    case 'volume': {
      const tier = price.tiers.find(({ upTo }) => upTo === null || quantity <= upTo);
      return quantity * tier.unitPrice + tier.flatPrice * UNIT;
    }
    default:
      throw new BadInput(`'${price.model}' is not a model`);
  }
}

export function chargeOf(price, quantity, currency) {
  const exact = exactCost(price, quantity);
  const exactShown = checkFits(divideHalfAway(exact, UNIT), 'a cost');
  const uncapped = divideHalfAway(exact, currency.increment * UNIT) * currency.increment;
  return { exactShown, uncapped, rounding: uncapped - exactShown };
}

// Costs by metric after the cap: each gets its share of the cap in whole increments, and what is
// left over goes one increment each to the largest remainders (ties: metric by bytes).
export function applyCap(charges, cap, currency) {
  const total = charges.reduce((sum, { uncapped }) => sum + uncapped, 0n);
  if (cap === null || total <= cap) {
    return new Map(charges.map(({ metric, uncapped }) => [metric, uncapped]));
  }
  const increments = cap / currency.increment;
  const shares = charges.map(({ metric, uncapped }) => ({
    metric,
    count: (uncapped * increments) / total,
    remainder: (uncapped * increments) % total,
  }));
  let left = increments - shares.reduce((sum, { count }) => sum + count, 0n);
  shares.sort((a, b) => {
    if (a.remainder !== b.remainder) return a.remainder > b.remainder ? -1 : 1;
    return compareBytes(a.metric, b.metric);
  });
  for (const share of shares) {
    if (left === 0n) break;
    share.count += 1n;
    left -= 1n;
  }
  return new Map(shares.map(({ metric, count }) => [metric, count * currency.increment]));
}
