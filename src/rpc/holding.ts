/** Holds somebody back for some 47 ms at most, then calls back and says for how many milliseconds that was. */
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
 * Builds a place where many are held and few are not: who comes alone leaves at once; of a crowd, at each tick those who
 * came first leave, a few at least, or as many as make `HOLD_MS` the average wait. Held for equal times, those who come
 * back at once would be in step for ever, and all else would wait behind each such crowd.
 */
export function createHolding(): Hold {
  const held: Held[] = [];
  let timer: NodeJS.Timeout | undefined;
  let releasedAt = 0;

  const tick = () => {
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
    timer ??= setInterval(tick, TICK_MS);
  };
}
