// What is made of the rounds of one figure. Nothing is rounded here.

export interface Spread {
  median: number;
  least: number;
  most: number;
}

/** The middle one, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

/** The value below which that part of the values lies, from 0 to 1: one of them, never between two. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = Math.ceil(part * sorted.length) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, place))] ?? Number.NaN;
}

/**
 * How many times the one is as good as the other, round by round, so that what slows a whole round
 * down does not count: the median of the rounds' ratios.
 */
export function ratio(values: readonly number[], to: readonly number[]): number {
  const rounds = Math.min(values.length, to.length);
  return median(
    Array.from({ length: rounds }, (_, round) => (values[round] ?? 0) / (to[round] ?? 0)),
  );
}

/** Three significant digits, never in powers of ten. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 100) {
    const digits = Math.floor(Math.log10(size)) - 2;
    const step = 10 ** digits;
    return (Math.round(value / step) * step).toLocaleString("en-US");
  }
  return value === 0 ? "0" : value.toPrecision(3);
}
