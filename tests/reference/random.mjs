// Seeded choices: the same seed gives the same dataset on every machine.

export function randomOf(seed) {
  let state = seed >>> 0;
  const next = () => { // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (count) => next() % count;
  const random = {
    below,
    between: (low, high) => low + below(high - low + 1),
    oneIn: (count) => below(count) === 0,
    pick: (list) => list[below(list.length)],
    digits: (count) => Array.from({ length: count }, () => String(below(10))).join(''),
    // A BigInt in [low, high).
    instant: (low, high) => {
      const range = high - low;
      if (range <= 0n) return low;
      return low + (BigInt(next()) * 4294967296n + BigInt(next())) % range;
    },
    shuffle: (list) => {
      const copy = [...list];
      for (let at = copy.length - 1; at > 0; at -= 1) {
        const other = below(at + 1);
        [copy[at], copy[other]] = [copy[other], copy[at]];
      }
      return copy;
    },
  };
  return random;
}
