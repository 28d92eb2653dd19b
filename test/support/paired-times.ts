/** Makes one call ready, and gives it. */
export type Prepare = () => Promise<() => Promise<unknown>>;

/** Times two kinds of calls by turns, in pairs of random order; gives by how many ms the first kind took longer, pair by pair. */
export async function pairTimes(first: Prepare, second: Prepare, pairs: number): Promise<number[]> {
  const differences: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const swapped = Math.random() < 0.5;
    const [earlier, later] = swapped
      ? [await timeOf(second), await timeOf(first)]
      : [await timeOf(first), await timeOf(second)];
    differences.push(swapped ? later - earlier : earlier - later);
  }
  return differences;
}

/** How long a call takes, in ms. */
export async function timeOf(prepare: Prepare): Promise<number> {
  const call = await prepare();
  const begun = performance.now();
  await call();
  return performance.now() - begun;
}

/**
 * How surely the differences are more than a tolerance, to either side, as a normal deviate: Wilcoxon's signed ranks.
 * Whatever the machine has to do beside and however that changes, differences of a random order are as likely above
 * their middle as below it: where that is within the tolerance, 5.2 is passed by chance in one of 10^7 runs.
 */
export function sureness(differences: readonly number[], tolerance: number): number {
  return Math.max(
    signedRanks(differences.map((difference) => difference - tolerance)),
    signedRanks(differences.map((difference) => -difference - tolerance)),
  );
}

function signedRanks(values: readonly number[]): number {
  const n = values.length;
  const sorted = values.toSorted((one, other) => Math.abs(one) - Math.abs(other));
  const sum = sorted.reduce((total, value, index) => total + Math.sign(value) * (index + 1), 0);
  return sum / Math.sqrt((n * (n + 1) * (2 * n + 1)) / 6);
}

/** The middle one of some numbers. */
export function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}
