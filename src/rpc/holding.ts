/** Holds something back for a moment, 50 ms at most by far, then calls back with for how many milliseconds that was. */
export type Hold = (release: (heldMs: number) => void) => void;

interface Held {
  readonly since: number;
  readonly release: (heldMs: number) => void;
}

const HOLD_MS = 34;
const LONGEST_HOLD_MS = 42;
const TICK_MS = 5;
const FEW = 8;

/**
 * Builds a place where the many are held and the few are not: who comes alone leaves at once, and at each tick a few of
 * those who are there, or as large a share as has them all wait for so long on average. Held for equal times, those who
 * come back at once would be in step for ever, and all else would wait behind each such crowd.
 */
export function createHolding(): Hold {
  const held: Held[] = [];
  let timer: NodeJS.Timeout | undefined;
  let releasedAt = 0;

  const release = () => {
    const now = performance.now();
    const share = Math.ceil((held.length * (now - releasedAt)) / HOLD_MS);
    const staying = held.findIndex(({ since }) => now - since < LONGEST_HOLD_MS);
    const due = staying < 0 ? held.length : staying;
    releasedAt = now;
    for (const { since, release } of held.splice(0, Math.max(FEW, share, due))) release(now - since);
    if (held.length > 0) return;
    clearInterval(timer);
    timer = undefined;
  };

  return (callback) => {
    const since = performance.now();
    if (!timer && since - releasedAt >= TICK_MS) {
      releasedAt = since;
      callback(0);
      return;
    }
    held.push({ since, release: callback });
    timer ??= setInterval(release, TICK_MS);
  };
}
