/**
 * Pauses that double up to the longest. Half of each is chance, so that a service which was away is not met by
 * everybody at once.
 */
export function createBackoff(firstMs: number, longestMs: number) {
  let ms = firstMs;
  return {
    next(): number {
      const pause = ms * (0.5 + Math.random() / 2);
      ms = Math.min(ms * 2, longestMs);
      return pause;
    },
    reset(): void {
      ms = firstMs;
    },
  };
}
