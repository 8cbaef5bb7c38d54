// The least-squares line over the days of the period and what it says about the next one.
import { UNIT, divideHalfAway, fits } from './decimal.mjs';

// Exact sums over the points (day, quantity). With D = n Sxx - Sx^2 and B = n Sxy - Sx Sy the slope
// is B / D and the line at day x is (Sy D - B Sx + n B x) / (n D).
function sumsOf(daily) {
  const sums = { n: BigInt(daily.length), sx: 0n, sy: 0n, sxx: 0n, sxy: 0n, syy: 0n };
  daily.forEach((y, index) => {
    const x = BigInt(index);
    sums.sx += x;
    sums.sy += y;
    sums.sxx += x * x;
    sums.sxy += x * y;
    sums.syy += y * y;
  });
  return sums;
}

function projectedQuantity(aggregation, { usage, sy, n, fitted, denominator }) {
  const total = fitted.reduce((sum, value) => sum + value, 0n);
  const days = BigInt(fitted.length);
  switch (aggregation) {
    case 'sum':
    case 'count':
      return divideHalfAway(total, denominator);
    case 'unique': // usage x (fitted daily mean) / (current daily mean)
      return divideHalfAway(usage * total * n, denominator * days * sy);
    case 'last':
      return divideHalfAway(fitted[fitted.length - 1], denominator);
    case 'max':
      return divideHalfAway(fitted.reduce((top, day) => (day > top ? day : top)), denominator);
    case 'time_weighted':
      return divideHalfAway(total, denominator * days);
    default:
      throw new Error(`unknown aggregation '${aggregation}'`);
  }
}

// slope, growth, rSquared (null for none) and the projected quantity; null when it does not fit.
export function trendOf({ aggregation, usage, daily, daysWithData, nextDaysCount }) {
  if (daysWithData < 2) return { slope: 0n, growth: 0n, rSquared: null, projected: usage };
  const { n, sx, sy, sxx, sxy, syy } = sumsOf(daily);
  const d = n * sxx - sx * sx;
  const b = n * sxy - sx * sy;
  const spread = n * syy - sy * sy;
  const fitted = [];
  for (let day = 0; day < nextDaysCount; day += 1) {
    const value = sy * d - b * sx + n * b * (n + BigInt(day));
    fitted.push(value > 0n ? value : 0n);
  }
  const trend = {
    slope: divideHalfAway(b, d),
    growth: divideHalfAway(30n * b, d),
    rSquared: spread === 0n ? null : divideHalfAway(b * b * UNIT, d * spread),
    projected: projectedQuantity(aggregation, { usage, sy, n, fitted, denominator: n * d }),
  };
  const isRepresentable = fits(trend.slope) && fits(trend.growth) && fits(trend.projected);
  return isRepresentable ? trend : null;
}
