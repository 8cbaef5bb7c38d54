// Decimals as BigInt counts of 10^-15, and the one rounding rule. Nothing here is a float.

export const UNIT = 10n ** 15n;
export const DECIMAL_MAX = 10n ** 38n - 1n;

export class BadInput extends Error {}

const abs = (value) => (value < 0n ? -value : value);

// The quotient rounded to the nearest integer, halves away from zero.
export function divideHalfAway(numerator, denominator) {
  if (denominator <= 0n) throw new Error('the divisor must be above zero');
  const magnitude = (2n * abs(numerator) + denominator) / (2n * denominator);
  return numerator < 0n ? -magnitude : magnitude;
}

export function ceilingDivide(numerator, denominator) {
  return (numerator + denominator - 1n) / denominator;
}

export function fits(value) {
  return abs(value) <= DECIMAL_MAX;
}

export function checkFits(value, what) {
  if (!fits(value)) throw new BadInput(`${what} does not fit DECIMAL(38,15)`);
  return value;
}

// Optional sign, digits, optional point; ".5" and "5." are fine; no exponent.
export function parseDecimal(text, what) {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?$/.exec(text);
  if (!match || (match[2] === '' && (match[3] ?? '') === '')) {
    throw new BadInput(`${what}: '${text}' is not a number`);
  }
  const fraction = (match[3] ?? '').replace(/0+$/, '');
  if (fraction.length > 15) throw new BadInput(`${what}: '${text}' has too many decimals`);
  const magnitude = BigInt(`${match[2] || '0'}${fraction.padEnd(15, '0')}`);
  return checkFits(match[1] === '-' ? -magnitude : magnitude, what);
}

// In full, without exponent or trailing zeros. `places` says how many decimals value counts.
export function formatDecimal(value, places = 15) {
  const digits = abs(value).toString().padStart(places + 1, '0');
  const whole = digits.slice(0, digits.length - places);
  const fraction = digits.slice(digits.length - places).replace(/0+$/, '');
  return `${value < 0n ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

// Exactly `places` decimals; `value` counts 10^-15 and must not have more.
export function formatFixed(value, places) {
  const step = 10n ** BigInt(15 - places);
  if (value % step !== 0n) throw new Error(`an amount has more than ${places} decimals`);
  const digits = (abs(value) / step).toString().padStart(places + 1, '0');
  const whole = digits.slice(0, digits.length - places);
  const fraction = digits.slice(digits.length - places);
  return `${value < 0n ? '-' : ''}${whole}${places === 0 ? '' : `.${fraction}`}`;
}

// numerator / denominator to 6 decimals, half away, no trailing zeros.
export function formatRatio(numerator, denominator) {
  return formatDecimal(divideHalfAway(numerator * 1000000n, denominator), 6);
}

const ZERO_DECIMALS = new Set(
  'bif clp djf gnf isk jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf'.split(' '),
);
const THREE_DECIMALS = new Set('bhd jod kwd omr tnd'.split(' '));

// decimals: how amounts are printed; increment: what amounts are multiples of (10^-15 units).
export function currencyOf(code) {
  if (!/^[a-z]{3}$/.test(code)) throw new BadInput(`'${code}' is not a currency`);
  if (ZERO_DECIMALS.has(code)) return { code, decimals: 0, increment: UNIT };
  if (THREE_DECIMALS.has(code)) return { code, decimals: 3, increment: UNIT / 100n };
  return { code, decimals: 2, increment: UNIT / 100n };
}
